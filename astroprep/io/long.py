"""Long tables: one row a measurement, the rows of an object together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.interchange import NAMES
from astroprep.io.columns import (
    ColumnNames,
    as_float,
    as_numbers,
    as_text,
    find_object_columns,
    find_point_columns,
    survey_meta,
)
from astroprep.io.survey import Survey

__all__ = ["FLAGS", "WEIGHT", "LongReader"]

FLAGS, WEIGHT = "astroprep_flags", "astroprep_weight"  # a survey's "flags" are not ours
INTEGERS = frozenset({"cadence", "survey_flags"})


class LongReader(Survey):
    """What readers of long tables share; a format says what its columns and blocks of rows are.

    Parameters
    ----------
    path : Path
        The file.
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.
    columns : list of str
        Columns of the file.
    schema_metadata : dict of str to str
        What the file says of itself.

    Raises
    ------
    DataError
        If there is no id, time or value column.
    """

    def __init__(
        self,
        path: Path,
        names: ColumnNames | None,
        columns: list[str],
        schema_metadata: dict[str, str],
    ) -> None:
        self.path = path
        self.names = names or ColumnNames()
        self.columns = columns
        self.schema_metadata = schema_metadata
        where, names = str(self.path), self.names
        roles = find_object_columns(names, self.columns, where)
        if "id" not in roles:
            raise DataError(
                f"{where}: no column for the id of the object; looked for "
                f"{', '.join(NAMES['id'])}; there is {', '.join(self.columns)}. "
                "Name it, as in id_column=..."
            )
        self._id = roles.pop("id")
        self._object_columns = roles
        self._points = replace(
            find_point_columns(names, self.columns, where),
            flags=FLAGS if FLAGS in self.columns else None,
            weight=WEIGHT if WEIGHT in self.columns else None,
        )
        self._bands: tuple[str, ...] | None = None
        self._n_objects: int | None = None

    @property
    def n_objects(self) -> int:
        """Objects in the file; the first use reads its id column once."""
        if self._n_objects is None:
            count: int = 0
            last: object = self  # no id equals it
            for block in self._blocks([self._id]):
                _, starts, ids = _runs(block[self._id])
                count += len(starts) - (ids[0] == last)
                last = ids[-1]
            self._n_objects = count
        return self._n_objects

    @property
    def meta(self) -> Meta:
        """Metadata of every batch; reads the band column once if there is one."""
        if self._bands is None:
            seen: set[str] = set()
            if self._points.band is not None:
                for block in self._blocks([self._points.band]):
                    seen.update(pc.unique(block[self._points.band]).to_pylist())
            self._bands = tuple(sorted(name or "" for name in seen))
        return survey_meta(self._points, self.schema_metadata, self._bands, str(self.path))

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches of at most `max_objects` objects in the order of the file.

        Parameters
        ----------
        max_objects : int, default 4096
            Bounds the size of a batch.
        first_row : int, default 0
            Objects before it are read but not given.

        Yields
        ------
        LightCurveBatch
            ``objects["row"]`` counts the objects of the file. A file with a header only gives
            one empty batch.

        Raises
        ------
        DataError
            If a cell does not hold what its column must, an id is missing or comes back, or a
            column per object changes within one.
        """
        if max_objects < 1:
            raise ConfigError(f"max_objects must be at least 1, got {max_objects!r}")
        meta, row, empty = self.meta, 0, True
        seen: set[str] = set()
        for table, starts in self._whole_objects(max_objects):
            ids = as_text(table[self._id].take(pa.array(starts[:-1])), str(self.path), self._id)
            self._check_ids(ids, seen)
            skip = max(0, min(first_row - row, ids.size))
            if skip < ids.size:
                empty = False
                first = int(starts[skip])
                yield self._batch(table.slice(first), starts[skip:] - first, row + skip, meta)
            row += ids.size
        if empty:
            nothing = self._schema().empty_table()
            yield self._batch(nothing, np.zeros(1, np.int64), row, meta)

    def read(self) -> LightCurveBatch:
        """Whole file as one batch, for files that fit into memory."""
        return LightCurveBatch.concat(list(self.iter_batches()))

    def _schema(self) -> pa.Schema:
        """Column types: numbers where numbers must be, text elsewhere."""
        points, roles = self._points, self._object_columns
        numbers = {points.time, points.value, points.error}
        numbers |= {roles.get(r) for r in ("ra", "dec", "catalogue_period")}
        numbers |= {points.weight, *points.further}
        whole = {points.flags, *(INTEGERS & set(points.further))}
        wanted = [self._id, *points.names(), *roles.values()]
        return pa.schema(
            [
                (
                    name,
                    pa.int64()
                    if name in whole
                    else pa.float64()
                    if name in numbers
                    else pa.string(),
                )
                for name in dict.fromkeys(wanted)
                if name is not None
            ]
        )

    def _blocks(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Blocks of rows, in their order, of the types that `_schema` states."""
        raise NotImplementedError

    def _whole_objects(self, max_objects: int) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Tables of complete objects with the row at which each starts, and the end."""
        held: list[pa.Table] = []
        starts: list[NDArray[np.int64]] = []
        rows = 0
        last: object = self  # no id equals it
        for block in self._blocks():
            n, begin, ids = _runs(block[self._id])
            starts.append(begin[1:] + rows if ids[0] == last else begin + rows)
            held.append(block)
            rows, last = rows + n, ids[-1]
            every = np.concatenate(starts)
            if every.size > max_objects:
                table = pa.concat_tables(held)
                done = 0
                while every.size - done > max_objects:  # the last one may go on in the next block
                    cut = every[done : done + max_objects + 1]
                    yield table.slice(cut[0], cut[-1] - cut[0]), cut - cut[0]
                    done += max_objects
                held = [table.slice(every[done])]
                starts = [every[done:] - every[done]]
                rows -= int(every[done])
        if rows:
            yield pa.concat_tables(held), np.append(np.concatenate(starts), rows)

    def _check_ids(self, ids: NDArray[np.object_], seen: set[str]) -> None:
        for name in ids.tolist():
            if not name:
                raise DataError(
                    f"{self.path}: rows without an id in column {self._id!r}; every measurement "
                    "must say which object it belongs to"
                )
            if name in seen:
                raise DataError(
                    f"{self.path}: object {name!r} comes back after other objects; the rows of "
                    f"an object must stand together. Sort the file by {self._id!r} first"
                )
            seen.add(name)

    def _batch(
        self, table: pa.Table, offsets: NDArray[np.int64], row: int, meta: Meta
    ) -> LightCurveBatch:
        where, points = str(self.path), self._points
        n = offsets.size - 1
        first = pa.array(offsets[:-1])
        objects: dict[str, NDArray[Any]] = {
            "id": as_text(table[self._id].take(first), where, self._id),
            "row": np.arange(row, row + n, dtype=np.int64),
        }
        for role, name in self._object_columns.items():
            self._check_constant(table[name], offsets, name, objects["id"])
            objects[role] = self._object_values(role, table[name].take(first), name)
        band = None
        if points.band is not None:
            codes = pc.index_in(
                pc.fill_null(table[points.band], ""), pa.array(meta.bands, pa.string())
            )
            band = pc.fill_null(codes, -1).to_numpy().astype(np.int16)  # -1: a point without one
        time = as_float(table[points.time], where, points.time)
        further = {name: as_numbers(table[name], where, name) for name in points.further}
        return LightCurveBatch(
            time=time,
            value=as_float(table[points.value], where, points.value),
            error=(
                np.full(time.size, np.nan)
                if points.error is None
                else as_float(table[points.error], where, points.error)
            ),
            offsets=offsets,
            flags=self._flags(table),  # type: ignore[arg-type]
            weight=(
                None  # type: ignore[arg-type]
                if points.weight is None
                else as_float(table[points.weight], where, points.weight)
            ),
            band=band,
            points=further,
            objects=objects,
            meta=meta,
        )

    def _object_values(self, role: str, column: Any, name: str) -> NDArray[Any]:
        """Column per object: numbers as float64, else text."""
        number = pa.types.is_floating(column.type)
        return (as_float if number else as_text)(column, str(self.path), name)

    def _flags(self, table: pa.Table) -> NDArray[np.uint32] | None:
        """Flags that a writer of long tables wrote; None where there are none."""
        if self._points.flags is None:
            return None
        flags = as_numbers(table[self._points.flags], str(self.path), self._points.flags)
        if flags.dtype.kind not in "iu" or (flags < 0).any() or (flags > 0xFFFFFFFF).any():
            raise DataError(
                f"{self.path}: column {self._points.flags!r} must hold the bits of PointFlag on "
                "every row; rename it if it is something else"
            )
        return flags.astype(np.uint32)

    def _check_constant(
        self, column: Any, offsets: NDArray[np.int64], name: str, ids: NDArray[np.object_]
    ) -> None:
        codes = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
        code = codes.indices.to_numpy() if len(codes) else np.empty(0, np.int64)
        changes = np.flatnonzero(code[1:] != code[:-1]) + 1
        inside = changes[~np.isin(changes, offsets)]
        if inside.size:
            curve = int(np.searchsorted(offsets, inside[0], side="right")) - 1
            raise DataError(
                f"{self.path}: column {name!r} changes within object {ids[curve]!r}; a column "
                "per object must repeat one value on all its rows"
            )


def _runs(column: Any) -> tuple[int, NDArray[np.int64], list[str | None]]:
    """Number of rows, where each run of equal ids starts, and the ids of the runs."""
    codes = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    code = codes.indices.to_numpy()
    starts = np.flatnonzero(np.concatenate(([True], code[1:] != code[:-1]))).astype(np.int64)
    return code.size, starts, codes.dictionary.take(pa.array(code[starts])).to_pylist()

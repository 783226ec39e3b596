"""Nested Parquet: one row an object, its light curve in list columns."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io.columns import (
    OWN_OBJECTS,
    WRITTEN_BY,
    ColumnNames,
    PointColumns,
    as_float,
    as_numbers,
    as_text,
    find_object_columns,
    find_point_columns,
    survey_meta,
)
from astroprep.io.files import check_file, first_line
from astroprep.io.nested import find_curve, list_sizes, point_lists, point_types

__all__ = ["NestedParquetReader"]

logger = logging.getLogger(__name__)

COARSE_FLOAT32 = 2.0**17  # days; from here on float32 steps are 1/64 d, more than a short period


class NestedParquetReader:
    """Survey in a Parquet file, read a few thousand objects at a time.

    The light curve may be a struct of lists, a list of structs, or list columns side by side.
    A float64 list without nulls becomes a column of the batch without a copy; float32 is
    converted.

    Parameters
    ----------
    path : str or Path
        The file.
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a row whose lists differ in length.

    Attributes
    ----------
    n_objects : int
        Rows of the file.
    columns : list of str
        Top-level columns of the file.
    schema_metadata : dict of str to str
        What the file says of itself.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or no Parquet, or a column is missing or has
        the wrong type.
    """

    def __init__(
        self, path: str | Path, names: ColumnNames | None = None, *, on_bad: OnBad = "raise"
    ) -> None:
        self.path = Path(path)
        self.names = names or ColumnNames()
        self.on_bad = on_bad
        self._file = _open(self.path)
        schema = self._file.schema_arrow
        self.n_objects: int = self._file.metadata.num_rows
        self.columns: list[str] = list(schema.names)
        self.schema_metadata = {
            key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in (schema.metadata or {}).items()
            if not key.startswith((b"ARROW:", b"pandas"))
        }
        where = str(self.path)
        self._curve = find_curve(schema, self.names, where)
        self._own = self.schema_metadata.get("written_by") == WRITTEN_BY["written_by"]
        self._points = self._find_point_columns(point_types(schema, self._curve))
        self._check_types(schema)
        self._object_columns = self._find_object_columns(schema)
        self._bands: tuple[str, ...] | None = None

    # -- opening --------------------------------------------------------------------------

    def _find_point_columns(self, types: dict[str, pa.DataType]) -> PointColumns:
        """Columns per point; flags, weights and all further ones where the file is our own."""
        found = find_point_columns(self.names, types, str(self.path))
        if not self._own:
            return found
        taken = {*found.names(), "flags", "weight"}
        others = [
            name
            for name, kind in types.items()
            if name not in taken and (_is_number(kind) or pa.types.is_boolean(kind))
        ]
        return replace(
            found,
            flags="flags" if types.get("flags") == pa.uint32() else None,
            weight="weight" if types.get("weight") in (pa.float64(), pa.float32()) else None,
            further=(*found.further, *others),
        )

    def _check_types(self, schema: pa.Schema) -> None:
        types = point_types(schema, self._curve)
        for name in (self._points.time, self._points.value, self._points.error):
            kind = None if name is None else types[name]
            if kind is not None and not _is_number(kind):
                raise DataError(
                    f"{self.path}: the points' column {name!r} must hold lists of numbers, but "
                    f"holds {kind}; convert it, or name another column"
                )

    def _find_object_columns(self, schema: pa.Schema) -> dict[str, str]:
        """Column of the file for each column per object of the batch."""
        flat = [f.name for f in schema if not pa.types.is_nested(f.type)]
        found = find_object_columns(self.names, flat, str(self.path))
        if self._own:
            found.update({name: name for name in OWN_OBJECTS if name in flat})
        for role in ("ra", "dec"):
            column = found.get(role)
            if column is not None and getattr(self.names, role) is None:
                kind = schema.field(column).type
                if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                    logger.warning(
                        "%s: column %r holds %s, not degrees, and is left out",
                        self.path, column, kind,
                    )  # fmt: skip
                    del found[role]
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading --------------------------------------------------------------------------

    @property
    def meta(self) -> Meta:
        """Metadata of every batch; reads the band column once if there is one."""
        if self._bands is None:
            self._bands = self._all_bands()
        return survey_meta(self._points, self.schema_metadata, self._bands, str(self.path))

    def iter_batches(
        self, max_objects: int = 4096, *, first_row: int = 0
    ) -> Iterator[LightCurveBatch]:
        """Batches of at most `max_objects` rows in the order of the file.

        Parameters
        ----------
        max_objects : int, default 4096
            Larger row groups are cut.
        first_row : int, default 0
            Rows before it are skipped, whole row groups without being read.

        Yields
        ------
        LightCurveBatch
            ``objects["row"]`` is the row in the file, the key that every object is accounted
            by: ids may repeat. A file without rows gives one empty batch.

        Raises
        ------
        DataError
            If the file is damaged or, with ``on_bad="raise"``, the lists of a row differ in
            length.
        """
        if max_objects < 1:
            raise ConfigError(f"max_objects must be at least 1, got {max_objects!r}")
        meta, row = self.meta, first_row
        for part in self._parts(max_objects, first_row):
            yield self._batch(part, row, meta)
            row += part.num_rows
        if row == first_row:
            schema = self._file.schema_arrow
            yield self._batch(pa.RecordBatch.from_pylist([], schema=schema), row, meta)

    def _parts(self, max_objects: int, first_row: int) -> Iterator[pa.RecordBatch]:
        """Rows from `first_row` on, cut alike wherever one starts; copied only to join pieces."""
        row, groups = self._groups_from(first_row)
        skip = first_row - row
        held: list[pa.RecordBatch] = []
        try:
            for part in self._file.iter_batches(
                batch_size=max_objects, row_groups=groups, columns=self._wanted()
            ):
                row += part.num_rows
                left = part.slice(skip)
                skip = max(0, skip - part.num_rows)
                room = max_objects - sum(p.num_rows for p in held)
                if left.num_rows:
                    held.append(left.slice(0, room))
                if left.num_rows >= room:
                    yield _joined(held)
                    held = [left.slice(room)] if left.num_rows > room else []
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged from row {row} on ({first_line(error)}); "
                "copy or write the file again"
            ) from error
        if held:
            yield _joined(held)

    def read(self) -> LightCurveBatch:
        """Whole file as one batch, for files that fit into memory."""
        return LightCurveBatch.concat(list(self.iter_batches(max(1, self.n_objects))))

    def _groups_from(self, first_row: int) -> tuple[int, list[int]]:
        """First row of the first row group that holds `first_row`, and the groups from there."""
        info = self._file.metadata
        row, first = 0, 0
        while first < info.num_row_groups and row + info.row_group(first).num_rows <= first_row:
            row += info.row_group(first).num_rows
            first += 1
        return row, list(range(first, info.num_row_groups))

    def _wanted(self) -> list[str]:
        points = self._points.names()
        if self._curve is not None:
            kind = self._file.schema_arrow.field(self._curve).type
            points = (
                [f"{self._curve}.{p}" for p in points]
                if pa.types.is_struct(kind)
                else [self._curve]
            )
        return [*dict.fromkeys(self._object_columns.values()), *points]

    def _batch(self, part: pa.RecordBatch, row: int, meta: Meta) -> LightCurveBatch:
        rows = np.arange(row, row + part.num_rows, dtype=np.int64)
        lists = point_lists(part, self._curve, self._points)
        sizes = {name: list_sizes(column) for name, column in lists.items()}
        size = sizes[self._points.time]
        bad = np.zeros(part.num_rows, bool)
        for other in sizes.values():
            bad |= other != size
        if bad.any():
            refused = self._refuse(part, rows, bad, sizes)
            kept = self._batch_of(part.filter(pa.array(~bad)), rows[~bad], meta)
            return LightCurveBatch(
                **{**{f: getattr(kept, f) for f in kept.__dataclass_fields__}, "rejected": refused}
            )
        return self._batch_of(part, rows, meta)

    def _batch_of(
        self, part: pa.RecordBatch, rows: NDArray[np.int64], meta: Meta
    ) -> LightCurveBatch:
        where = str(self.path)
        lists = point_lists(part, self._curve, self._points)
        names = self._points
        offsets = np.concatenate(([0], np.cumsum(list_sizes(lists[names.time]), dtype=np.int64)))
        flat_time = lists[names.time].flatten()
        time = as_float(flat_time, where, names.time)
        if pa.types.is_float32(flat_time.type) and time.size:
            self._check_resolution(time)
        error = (
            np.full(time.size, np.nan)
            if names.error is None
            else as_float(lists[names.error].flatten(), where, names.error)
        )
        band = None
        if names.band is not None:
            text = as_text(lists[names.band].flatten(), where, names.band)
            band = (
                pc.index_in(pa.array(text, pa.string()), pa.array(meta.bands, pa.string()))
                .to_numpy()
                .astype(np.int16)
            )
        flat = {
            name: as_numbers(lists[name].flatten(), where, name)
            for name in (*names.further, names.flags, names.weight)
            if name is not None
        }
        return LightCurveBatch(
            time=time,
            value=as_float(lists[names.value].flatten(), where, names.value),
            error=error,
            offsets=offsets,
            flags=flat.get("flags" if names.flags else ""),  # type: ignore[arg-type]
            weight=flat.get("weight" if names.weight else ""),  # type: ignore[arg-type]
            band=band,
            points={name: flat[name] for name in names.further},
            objects={"row": rows, **self._objects(part, rows)},
            meta=meta,
        )

    def _check_resolution(self, time: NDArray[np.float64]) -> None:
        """Refuse times that float32 has rounded beyond use, such as Julian dates."""
        size = float(np.median(np.abs(time)))
        if size >= COARSE_FLOAT32:
            raise DataError(
                f"{self.path}: column {self._points.time!r} holds times near {size:,.0f} d as "
                f"float32, in steps of {np.spacing(np.float32(size)):.2g} d; no period survives "
                "that. Write them as float64, or with a reference subtracted"
            )

    def _objects(self, part: pa.RecordBatch, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        where = str(self.path)
        objects: dict[str, NDArray[Any]] = {}
        for role, name in self._object_columns.items():
            column = part.column(name)
            number = pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
            if self._own and role in (*OWN_OBJECTS, *self.names.extra) and _is_number(column.type):
                objects[role] = as_numbers(column, where, name)
            elif role in ("ra", "dec", "catalogue_period") or (role in self.names.extra and number):
                objects[role] = as_float(column, where, name)
            else:
                objects[role] = as_text(column, where, name)
        ids = objects.get("id", np.full(rows.size, "", dtype=object))
        objects["id"] = np.where(ids == "", np.array([f"row-{r}" for r in rows], object), ids)
        return objects

    def _refuse(
        self,
        part: pa.RecordBatch,
        rows: NDArray[np.int64],
        bad: NDArray[np.bool_],
        sizes: dict[str, NDArray[np.int64]],
    ) -> Rejected:
        objects = self._objects(part, rows)
        ids = objects["id"]
        reason = [
            "needs lists of equal length, has "
            + ", ".join(f"{size[i]} in {name!r}" for name, size in sizes.items())
            for i in np.flatnonzero(bad)
        ]
        if self.on_bad == "raise":
            raise DataError(
                f"{self.path}: {ids[bad][0]!r} (row {rows[bad][0]}) {reason[0]}; "
                f"{int(bad.sum())} of {bad.size} rows here are like this. "
                "Pass on_bad='reject' to set them aside with the reason."
            )
        step = np.full(int(bad.sum()), "NestedParquetReader", dtype=object)
        return Rejected(
            row=rows[bad],
            id=ids[bad],
            step=step,
            reason=np.array(reason, dtype=object),
            **{name: objects[name][bad] for name in ("label", "split") if name in objects},
        )

    def _own_bands(self) -> tuple[str, ...]:
        """Names of all bands as the writer of the file listed them."""
        try:
            bands = json.loads(self.schema_metadata["bands"])
        except (ValueError, RecursionError):
            bands = None
        if not isinstance(bands, list) or not all(isinstance(name, str) for name in bands):
            raise DataError(f"{self.path}: its metadata 'bands' are damaged; write the file again")
        return tuple(bands)

    def _all_bands(self) -> tuple[str, ...]:
        """Names of all bands in the file, sorted; the band column is read alone."""
        name = self._points.band
        if name is None:
            return ()
        if self._own and "bands" in self.schema_metadata:
            return self._own_bands()
        seen: set[str] = set()
        only = PointColumns(name, name, None, None, "mag")
        column = name
        if self._curve is not None:
            nested = pa.types.is_struct(self._file.schema_arrow.field(self._curve).type)
            column = f"{self._curve}.{name}" if nested else self._curve
        try:
            for part in self._file.iter_batches(batch_size=4096, columns=[column]):
                lists = point_lists(part, self._curve, only)[name]
                seen.update(as_text(pc.unique(lists.flatten()), str(self.path), name).tolist())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged ({first_line(error)}); copy or write the file again"
            ) from error
        return tuple(sorted(seen))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
        or pa.types.is_decimal(kind)
    )


def _open(path: Path) -> pq.ParquetFile:
    check_file(path)
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({first_line(error)}); it may be truncated or of "
            "another format: copy or write it again"
        ) from error


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

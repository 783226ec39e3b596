"""Nested Parquet: one row an object, its light curve in list columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.arrow_arrays import arrow_text, numpy_numbers
from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io.columns import (
    OWN_OBJECTS,
    WRITTEN_BY,
    ColumnNames,
    PointColumns,
    arrow_text_of,
    as_float,
    as_numbers,
    as_text,
    survey_meta,
)
from astroprep.io.files import first_line
from astroprep.io.nested import find_curve, list_sizes, point_lists
from astroprep.io.parquet_columns import is_number, object_columns_of, point_columns_of
from astroprep.io.parquet_rows import open_parquet, row_batches
from astroprep.io.survey import Survey

__all__ = ["NestedParquetReader"]

COARSE_FLOAT32 = 2.0**17  # days; from here on float32 steps are 1/64 d, more than a short period


class NestedParquetReader(Survey):
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
        self._file = open_parquet(self.path)
        schema = self._file.schema_arrow
        self._n_objects: int = self._file.metadata.num_rows
        self.columns: list[str] = list(schema.names)
        self.schema_metadata = {
            key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in (schema.metadata or {}).items()
            if not key.startswith((b"ARROW:", b"pandas"))
        }
        where = str(self.path)
        self._curve = find_curve(schema, self.names, where)
        self._own = self.schema_metadata.get("written_by") == WRITTEN_BY["written_by"]
        self._points = point_columns_of(schema, self._curve, self.names, self._own, where)
        self._object_columns = object_columns_of(schema, self.names, self._own, where)
        self._bands: tuple[str, ...] | None = None

    @property
    def n_objects(self) -> int:
        """Rows of the file."""
        return self._n_objects

    def close(self) -> None:
        """Close the file."""
        self._file.close()

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
        for part in row_batches(self._file, self.path, self._wanted(), max_objects, first_row):
            yield self._batch(part, row, meta)
            row += part.num_rows
        if row == first_row:
            schema = self._file.schema_arrow
            yield self._batch(pa.RecordBatch.from_pylist([], schema=schema), row, meta)

    def _wanted(self) -> list[str]:
        columns = self._object_columns.values()
        return [*dict.fromkeys(columns), *self._stored(self._points.names())]

    def _stored(self, names: Iterable[str]) -> list[str]:
        """Columns of the file that hold columns per point."""
        if self._curve is None:
            return list(names)
        if pa.types.is_struct(self._file.schema_arrow.field(self._curve).type):
            return [f"{self._curve}.{name}" for name in names]
        return [self._curve]

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
            text = arrow_text_of(lists[names.band].flatten(), where, names.band)
            code = pc.index_in(text, arrow_text(meta.bands))
            if code.null_count:
                raise DataError(
                    f"{where}: column {names.band!r} holds {text.filter(code.is_null())[0]}, which "
                    f"is none of its bands ({', '.join(meta.bands)}); write the file again"
                )
            band = numpy_numbers(code).astype(np.int16)
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
            if self._own and role in (*OWN_OBJECTS, *self.names.extra) and is_number(column.type):
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
        try:
            for part in self._file.iter_batches(batch_size=4096, columns=self._stored([name])):
                lists = point_lists(part, self._curve, only)[name]
                seen.update(as_text(pc.unique(lists.flatten()), str(self.path), name).tolist())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged ({first_line(error)}); copy or write the file again"
            ) from error
        return tuple(sorted(seen))

"""Nested Parquet out: a batch, or a survey batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.io.columns import OWN_NAMES, WRITTEN_BY
from astroprep.io.files import replaced

__all__ = ["batch_table", "narrow", "point_columns", "recorded", "survey_writer", "write_batch"]

RECORD = b"astroprep"  # key of the metadata


def write_batch(
    path: str | Path,
    batch: LightCurveBatch,
    *,
    points: Sequence[str] | Literal["all"] = (),
    row_group_objects: int = 2000,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a batch as nested Parquet; the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    batch : LightCurveBatch
        Its columns per object with one dimension are written under their own names, but
        ``catalogue_period`` as ``period`` and ``row`` not at all. Values and errors are
        float32 where that loses nothing. Flags and weights are written where there are any
        (a flag other than 0, a weight other than 1). The rejected are not in the file.
    points : sequence of str or "all", default ()
        Which of ``batch.points`` to write. None by default: the file is what a survey would
        give, and a simulated truth is not in it. ``"all"`` takes every one of numbers and one
        dimension.
    row_group_objects : int, default 2000
        Objects in a row group, the unit of streaming.
    record : mapping, optional
        Where the batch comes from, see `astroprep.io.make_provenance`.

    Raises
    ------
    DataError
        If the file cannot be written, or a column of `points` is not there, holds no numbers or
        has the name of one of the batch's own.

    Notes
    -----
    `NestedParquetReader` gives back what was written: metadata, bands, flags, weights, further
    columns per point, and of those per object the usual ones, the five that detrending needs
    (``segment``, ``channel``, ``brightness``, ``crowding``, ``flux_fraction``) and what
    ``ColumnNames(extra=...)`` names.
    """
    table = recorded(_to_table(batch, points, exact=False), record)
    with replaced(path) as part:
        pq.write_table(table, part, row_group_size=row_group_objects, compression="zstd")


@contextmanager
def survey_writer(
    path: str | Path, record: Mapping[str, Any] | None = None
) -> Iterator[Callable[[LightCurveBatch], None]]:
    """Write a survey batch by batch as nested Parquet; the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    record : mapping, optional
        Where the survey comes from, see `astroprep.io.make_provenance`.

    Yields
    ------
    callable
        Called with each batch in turn. What batches hold is written as by `write_batch` with
        ``points="all"``, but numbers keep their type and flags and weights are always there, so
        that all batches agree.

    Raises
    ------
    DataError
        If the file cannot be written, or a batch has other columns than the first.
    """
    with replaced(path) as part:
        writer: pq.ParquetWriter | None = None

        def write(batch: LightCurveBatch) -> None:
            nonlocal writer
            table = recorded(batch_table(batch, "all"), record)
            if writer is None:
                writer = pq.ParquetWriter(part, table.schema, compression="zstd")
            if table.schema != writer.schema:  # a cast would drop what the first did not have
                raise DataError(
                    f"{path}: a batch differs from the first in its columns: {table.schema} "
                    f"after {writer.schema}"
                )
            writer.write_table(table)

        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{path}: nothing to write, not even an empty batch")


def point_columns(
    batch: LightCurveBatch, points: Sequence[str] | Literal["all"]
) -> dict[str, NDArray[Any]]:
    """Columns of ``batch.points`` to write, checked: numbers, in one dimension, of a free name.

    Raises
    ------
    DataError
        If a column is not there or cannot be written; with ``"all"`` only if its name is taken.
    """
    fits = {
        name: column
        for name, column in batch.points.items()
        if column.ndim == 1 and column.dtype.kind in "biuf"
    }
    wanted = list(fits) if points == "all" else list(points)
    for name in wanted:
        if name not in fits:
            seen = (
                f"is {batch.points[name].dtype} of shape {batch.points[name].shape}"
                if name in batch.points
                else f"is not among {', '.join(batch.points) or 'none'}"
            )
            raise DataError(
                f"further columns per point are written as one number a point, but {name!r} {seen}"
            )
        if name in OWN_NAMES:
            raise DataError(
                f"the further column {name!r} has the name of one of the batch's own; rename it"
            )
    return {name: fits[name] for name in wanted}


def batch_table(batch: LightCurveBatch, points: Sequence[str] | Literal["all"]) -> pa.Table:
    """Nested table of a batch, whose types and columns do not depend on the values."""
    return _to_table(batch, points, exact=True)


def recorded(table: pa.Table, record: Mapping[str, Any] | None) -> pa.Table:
    """A table with the record of where it comes from among its metadata."""
    if not record:
        return table
    metadata = {**(table.schema.metadata or {}), RECORD: json.dumps(dict(record)).encode()}
    return table.replace_schema_metadata(metadata)


def _to_table(
    batch: LightCurveBatch, points: Sequence[str] | Literal["all"], *, exact: bool
) -> pa.Table:
    """Table of a batch; with `exact` its types and columns do not depend on the values."""
    brief: Callable[[NDArray[Any]], pa.Array] = pa.array if exact else narrow
    offsets = pa.array(batch.offsets, pa.int64())
    quantity = batch.meta.quantity
    lists = {"time": pa.array(batch.time), quantity: brief(batch.value)}
    lists[f"{quantity}_err"] = brief(batch.error)
    if batch.band is not None:
        names = np.array([*batch.meta.bands, ""], dtype=object)
        lists["band"] = pa.array(names[batch.band], pa.string())
    if exact or batch.flags.any():
        lists["flags"] = pa.array(batch.flags)
    if exact or (batch.weight != 1).any():
        lists["weight"] = brief(batch.weight)
    for name, column in point_columns(batch, points).items():
        lists[name] = brief(column) if column.dtype.kind == "f" else pa.array(column)
    curves = pa.StructArray.from_arrays(
        [pa.LargeListArray.from_arrays(offsets, column) for column in lists.values()],
        names=list(lists),
    ).cast(pa.struct([(name, pa.list_(column.type)) for name, column in lists.items()]))
    columns: dict[str, Any] = {}
    order: Sequence[str] = ["id", *(name for name in batch.objects if name not in ("id", "row"))]
    for name in order:
        values = batch.objects[name]
        if values.ndim == 1:
            columns["period" if name == "catalogue_period" else name] = pa.array(
                values, pa.string() if values.dtype == object else None
            )
    columns["lightcurve"] = curves
    meta = batch.meta
    about = {"survey": meta.survey, "time_system": meta.time_scale, "quantity": quantity}
    if meta.unit:
        about["unit"] = meta.unit
    if meta.time_ref is not None:
        about["time_ref"] = repr(meta.time_ref)
    if batch.band is not None:
        about["bands"] = json.dumps(meta.bands)
    about |= WRITTEN_BY
    return pa.table(columns).replace_schema_metadata(about)


def narrow(column: NDArray[np.float64]) -> pa.Array:
    """float32 where every value survives it."""
    with np.errstate(over="ignore"):
        narrow = column.astype(np.float32)
    return pa.array(narrow if np.array_equal(narrow, column, equal_nan=True) else column)

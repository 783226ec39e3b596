"""Light curves inside an Arrow column, taken and given without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta, Quantity
from astroprep.errors import DataError
from astroprep.interchange.names import find_column, measurement

__all__ = ["band_codes", "from_arrow", "point_columns", "to_arrow"]


def _flat(column: pa.Array) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Offsets and flat children of a struct-of-lists or a list-of-structs column."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        offsets, values = _list_parts(column)
        return offsets, dict(zip([f.name for f in values.type], values.flatten(), strict=True))
    shared: NDArray[np.int64] | None = None
    children: dict[str, pa.Array] = {}
    for child_field, child in zip(column.type, column.flatten(), strict=True):
        offsets, values = _list_parts(child)
        if shared is not None and not np.array_equal(offsets, shared):
            i = int(np.argmax(np.diff(offsets) != np.diff(shared)))
            raise DataError(
                f"light-curve column: in row {i} the list {child_field.name!r} has "
                f"{offsets[i + 1] - offsets[i]} entries and the others "
                f"{shared[i + 1] - shared[i]}; all must be equally long"
            )
        shared = offsets
        children[child_field.name] = values
    if shared is None:
        raise DataError("light-curve column: the struct has no lists inside")
    return shared, children


def _list_parts(column: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Offsets from 0 and values of a list array, without copying the values."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise DataError(f"light-curve column: expected lists, got {column.type}")
    if column.null_count:  # an absent list is an empty curve
        sizes = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))), column.flatten()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], column.values.slice(offsets[0], offsets[-1] - offsets[0])


def _numbers(name: str, values: pa.Array) -> NDArray[np.float64]:
    """Float64 of an Arrow array, null as NaN; a view where Arrow holds it so."""
    if pa.types.is_boolean(values.type) or not (
        pa.types.is_floating(values.type)
        or pa.types.is_integer(values.type)
        or pa.types.is_decimal(values.type)
        or pa.types.is_null(values.type)
    ):
        raise DataError(
            f"light-curve column {name!r} holds {values.type}, not numbers; "
            "write it as float64 (or float32)"
        )
    if pa.types.is_decimal(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.float64())
    plain: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return plain.astype(np.float64, copy=False)


def _roles(
    given: Mapping[str, str], names: list[str], meta: Meta
) -> tuple[str, str, str | None, Quantity]:
    """Names of time, value and error, and what the value measures."""
    for role, name in given.items():
        if name not in names:
            raise DataError(
                f"light-curve column: no {name!r} (asked for as {role}) among {', '.join(names)}"
            )
    if "time" in given and "value" in given:
        return given["time"], given["value"], given.get("error"), meta.quantity
    time, value, error, quantity = measurement(names, "light-curve column")
    return given.get("time", time), given.get("value", value), given.get("error", error), quantity


def from_arrow(
    lightcurve: pa.Array | pa.ChunkedArray,
    *,
    objects: Mapping[str, NDArray[Any]] | None = None,
    meta: Meta | None = None,
    columns: Mapping[str, str] | None = None,
) -> LightCurveBatch:
    """Batch of an Arrow column of light curves.

    Parameters
    ----------
    lightcurve : pyarrow array
        Struct of lists or list of structs, one entry an object. Float64 children without
        nulls become columns without a copy; a null list is an empty curve.
    objects : mapping, optional
        Columns per object.
    meta : Meta, optional
        Metadata; quantity and bands are taken from the column itself.
    columns : mapping, optional
        Names of ``time``, ``value``, ``error`` and ``band`` inside the struct, where they are
        not to be found by `NAMES`.

    Returns
    -------
    LightCurveBatch

    Raises
    ------
    DataError
        If a needed column is missing, is not numeric, or its lists differ in length.
    """
    if isinstance(lightcurve, pa.ChunkedArray):
        lightcurve = (
            lightcurve.chunk(0) if lightcurve.num_chunks == 1 else lightcurve.combine_chunks()
        )
    offsets, children = _flat(lightcurve)
    meta = meta or Meta()
    given = dict(columns or {})
    names = list(children)
    time, value, error, quantity = _roles(given, names, meta)
    band_name = given.get("band") or find_column(names, "band")
    band, bands = None, meta.bands
    if band_name is not None:
        band, bands = band_codes(children[band_name], meta.bands)
    # flags of this type beside a weight are what `to_arrow` wrote, not a survey's own
    ours = (
        {"flags", "weight"} <= set(names)
        and pa.types.is_uint32(children["flags"].type)
        and not children["flags"].null_count
    )
    return LightCurveBatch(
        time=_numbers(time, children[time]),
        value=_numbers(value, children[value]),
        error=np.full(len(children[time]), np.nan)
        if error is None
        else _numbers(error, children[error]),
        offsets=offsets,
        flags=children["flags"].to_numpy() if ours else None,  # type: ignore[arg-type]
        weight=_numbers("weight", children["weight"]) if ours else None,  # type: ignore[arg-type]
        band=band,
        objects=objects or {},
        meta=Meta(
            survey=meta.survey,
            quantity=quantity,
            unit=meta.unit if quantity == meta.quantity else {"mag": "mag", "flux": ""}[quantity],
            time_scale=meta.time_scale,
            time_ref=meta.time_ref,
            bands=bands,
        ),
    )


def band_codes(
    names: pa.Array, known: tuple[str, ...]
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Codes of band names, those in `known` first, so that batches of one file agree."""
    coded = names.cast(pa.string()).fill_null("").dictionary_encode()
    found = coded.dictionary.to_pylist()
    bands = known + tuple(sorted(set(found) - set(known)))
    table = np.array([bands.index(name) for name in found], dtype=np.int16)
    return table[coded.indices.to_numpy()], bands


def point_columns(batch: LightCurveBatch) -> dict[str, NDArray[Any]]:
    """Columns per point under the names in which they leave astroprep."""
    quantity = batch.meta.quantity
    columns: dict[str, NDArray[Any]] = {
        "time": batch.time,
        quantity: batch.value,
        f"{quantity}_err": batch.error,
        "flags": batch.flags,
        "weight": batch.weight,
    }
    if batch.band is not None:
        columns["band"] = np.array(batch.meta.bands, dtype=object)[batch.band]
    return {**columns, **batch.points}


def to_arrow(batch: LightCurveBatch, *, name: str = "lightcurve") -> pa.Table:
    """Arrow table, one row an object: its columns and one struct-of-lists column.

    Parameters
    ----------
    batch : LightCurveBatch
        Numeric columns are shared with the table, not copied. The rejected are not in it.
    name : str
        Name of the nested column.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    DataError
        If there are more points than the offsets of Arrow lists can count, 2^31.
    """
    offsets = pa.array(batch.offsets.astype(np.int32))
    if batch.n_points > np.iinfo(np.int32).max:
        raise DataError("to_arrow: more than 2^31 points in one batch; write smaller batches")
    lists = {
        key: pa.ListArray.from_arrays(offsets, pa.array(column))
        for key, column in point_columns(batch).items()
    }
    struct = pa.StructArray.from_arrays(list(lists.values()), names=list(lists))
    columns: dict[str, pa.Array] = {}
    for key, column in batch.objects.items():
        if column.ndim == 1:
            columns[key] = pa.array(column)
        else:
            width = int(np.prod(column.shape[1:]))
            columns[key] = pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), width)
    return pa.table({**columns, name: struct})

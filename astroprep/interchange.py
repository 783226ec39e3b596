"""Light curves as others hold them: taken in, and given back in the same form.

One pair of functions a form (`from_arrow` and `to_arrow`, ...), and `take`, which recognises the
form. Columns are found by the names in `NAMES`, or given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta, Quantity
from astroprep.errors import DataError
from astroprep.optional import need
from astroprep.units import TIME_REFERENCES

__all__ = [
    "NAMES",
    "find_column",
    "from_arrow",
    "from_lightkurve",
    "from_nested",
    "from_pandas",
    "from_timeseries",
    "take",
    "to_arrow",
    "to_lightkurve",
    "to_nested",
    "to_pandas",
    "to_timeseries",
]

NAMES: Mapping[str, tuple[str, ...]] = {
    "id": (
        "id", "source_id", "object_id", "objectid", "obj_id", "oid", "sourceid", "star_id", "star",
        "name", "diaobjectid",
    ),
    "ra": (
        "ra", "ra_deg", "raj2000", "ra_icrs", "star_ra", "ramean", "meanra", "objra", "_raj2000",
    ),
    "dec": (
        "dec", "dec_deg", "dej2000", "decj2000", "de_icrs", "dec_icrs", "star_dec", "decmean",
        "meandec", "objdec", "_dej2000",
    ),
    "label": ("label",),
    "split": ("split",),
    "lightcurve": ("lightcurve", "light_curve", "lc", "sources", "nested"),
    "time": ("time", "mjd", "hmjd", "hjd", "bjd", "jd", "btjd", "bkjd", "midpointmjdtai", "t"),
    "mag": ("mag", "magnitude", "psfmag", "magpsf", "mag_psf"),
    "mag_err": (
        "mag_err", "magerr", "mag_error", "magnitude_error", "e_mag", "sigma_mag", "sigmapsf",
        "psfmagerr", "error", "err",
    ),
    "flux": ("flux", "psfflux"),
    "flux_err": (
        "flux_err", "fluxerr", "flux_error", "psffluxerr", "e_flux", "error", "err",
    ),
    "band": ("band", "filter", "filtercode", "passband", "filtername"),
}  # fmt: skip
"""What surveys call the canonical columns; the first name that is there wins."""

GiveBack = Callable[[LightCurveBatch], Any]


def find_column(available: Sequence[str], wanted: str) -> str | None:
    """Name among `available` under which a survey keeps the canonical column `wanted`.

    Case is ignored. Returns None when none of the names in `NAMES` is there.
    """
    by_lower = {name.lower(): name for name in reversed(available)}
    for name in NAMES[wanted]:
        if name in by_lower:
            return by_lower[name]
    return None


def _measurement(available: Sequence[str], who: str) -> tuple[str, str, str | None, Quantity]:
    """Columns of time, measurement and error, and which quantity it is."""
    time = find_column(available, "time")
    for quantity in ("mag", "flux"):
        value = find_column(available, quantity)
        if time is not None and value is not None:
            error = find_column(available, f"{quantity}_err")
            return time, value, error, quantity
    raise DataError(
        f"{who} needs a column of times and one of magnitudes or fluxes, "
        f"but has {', '.join(available) or 'none'}; rename them to time and mag (or flux)"
    )


def _filled(values: Any) -> NDArray[np.float64]:
    """Plain float64 values of a Quantity, Time, masked or ordinary column; masked is NaN."""
    plain = getattr(values, "value", values)
    if hasattr(plain, "unmasked"):  # astropy.utils.masked.Masked
        return np.where(plain.mask, np.nan, plain.unmasked).astype(np.float64)
    return np.ma.filled(np.ma.asarray(plain, dtype=np.float64), np.nan)


# -- Arrow ------------------------------------------------------------------------------------


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
    for role, name in given.items():
        if name not in children:
            raise DataError(
                f"light-curve column: no {name!r} (asked for as {role}) among {', '.join(children)}"
            )
    names = list(children)
    if "time" in given and "value" in given:
        time, value, error = given["time"], given["value"], given.get("error")
        quantity = meta.quantity
    else:
        time, value, error, quantity = _measurement(names, "light-curve column")
        time, value = given.get("time", time), given.get("value", value)
        error = given.get("error", error)
    band_name = given.get("band") or find_column(names, "band")
    band, bands = None, meta.bands
    if band_name is not None:
        band, bands = _band_codes(children[band_name], meta.bands)
    return LightCurveBatch(
        time=_numbers(time, children[time]),
        value=_numbers(value, children[value]),
        error=np.full(len(children[time]), np.nan)
        if error is None
        else _numbers(error, children[error]),
        offsets=offsets,
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


def _band_codes(
    names: pa.Array, known: tuple[str, ...]
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Codes of band names, those in `known` first, so that batches of one file agree."""
    coded = names.cast(pa.string()).fill_null("").dictionary_encode()
    found = coded.dictionary.to_pylist()
    bands = known + tuple(sorted(set(found) - set(known)))
    table = np.array([bands.index(name) for name in found], dtype=np.int16)
    return table[coded.indices.to_numpy()], bands


def _point_columns(batch: LightCurveBatch) -> dict[str, NDArray[Any]]:
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
    """
    offsets = pa.array(batch.offsets.astype(np.int32))
    if batch.n_points > np.iinfo(np.int32).max:
        raise DataError("to_arrow: more than 2^31 points in one batch; write smaller batches")
    lists = {
        key: pa.ListArray.from_arrays(offsets, pa.array(column))
        for key, column in _point_columns(batch).items()
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


# -- pandas and nested-pandas ---------------------------------------------------------------------


def from_pandas(frame: pd.DataFrame, *, id_column: str | None = None) -> LightCurveBatch:
    """Batch of a long frame, one row a measurement.

    Parameters
    ----------
    frame : pandas.DataFrame
        With a column of times, one of magnitudes or fluxes and, for several objects, one of
        ids. Rows of one object need not be adjacent.
    id_column : str, optional
        Name of the id column; found by `NAMES` otherwise; without one the frame is one curve.

    Raises
    ------
    DataError
        If columns are missing.
    """
    return _from_frame(frame, id_column)[0]


def _from_frame(
    frame: pd.DataFrame, id_column: str | None
) -> tuple[LightCurveBatch, NDArray[np.int64]]:
    names = [str(name) for name in frame.columns]
    time, value, error, quantity = _measurement(names, "DataFrame")
    who = id_column or find_column(names, "id")
    if who is None:
        codes, ids = np.zeros(len(frame), np.int64), pd.Index(["0"])
    else:
        if who not in names:
            raise DataError(f"DataFrame has no column {who!r}; it has {', '.join(names)}")
        codes, ids = pd.factorize(frame[who], use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(ids))

    def numbers(name: str) -> NDArray[np.float64]:
        try:
            return frame[name].to_numpy(np.float64, na_value=np.nan)[order]
        except (TypeError, ValueError) as failure:
            raise DataError(f"DataFrame column {name!r} holds no numbers: {failure}") from None

    band_name = find_column(names, "band")
    band, bands = None, cast(tuple[str, ...], ())
    if band_name is not None:
        band, bands = _band_codes(pa.array(frame[band_name].astype(str).to_numpy()[order]), ())
    return (
        LightCurveBatch(
            time=numbers(time),
            value=numbers(value),
            error=np.full(len(frame), np.nan) if error is None else numbers(error),
            offsets=np.concatenate(([0], np.cumsum(counts))),
            band=band,
            objects={"id": ids.to_numpy(dtype=object)},
            meta=Meta(quantity=quantity, unit="mag" if quantity == "mag" else "", bands=bands),
        ),
        order,
    )


def to_pandas(batch: LightCurveBatch) -> pd.DataFrame:
    """Long frame, one row a measurement, with the one-dimensional object columns repeated."""
    sizes = np.diff(batch.offsets)
    columns = {
        name: np.repeat(column, sizes)
        for name, column in batch.objects.items()
        if column.ndim == 1 and name != "row"
    }
    return pd.DataFrame({**columns, **_point_columns(batch)})


def from_nested(frame: pd.DataFrame, *, column: str | None = None) -> LightCurveBatch:
    """Batch of a nested-pandas frame, one row an object; float64 fields are not copied.

    Parameters
    ----------
    frame : nested_pandas.NestedFrame
        With one nested column, or `column` naming it.

    Raises
    ------
    DataError
        If there is no nested column, or several and none was named.
    """
    nested = [
        str(name) for name, kind in frame.dtypes.items() if type(kind).__name__ == "NestedDtype"
    ]
    if column is None and len(nested) != 1:
        raise DataError(
            f"NestedFrame has {len(nested)} nested columns ({', '.join(nested)}); name one"
        )
    column = column or nested[0]
    others = [str(name) for name in frame.columns if name not in nested]
    objects = {name: frame[name].to_numpy() for name in others}
    who = find_column(others, "id")
    objects["id"] = frame.index.to_numpy() if who is None else objects[who]
    return from_arrow(pa.array(frame[column].array), objects=objects)


def to_nested(batch: LightCurveBatch, *, name: str = "lightcurve") -> Any:
    """Return a nested-pandas frame, one row an object; needs the nested-pandas package."""
    nested_pandas = need("nested_pandas", extra="lsdb", who="to_nested")
    table = to_arrow(batch, name=name)
    frame = table.drop_columns([name]).to_pandas()
    frame[name] = pd.Series(
        table.column(name).combine_chunks(),
        index=frame.index,
        dtype=nested_pandas.NestedDtype(table.schema.field(name).type),
    )
    return nested_pandas.NestedFrame(frame)


# -- astropy and lightkurve ------------------------------------------------------------------------


def _time_column(table: Any) -> tuple[NDArray[np.float64], str, float | None]:
    """Find times in days, their system and its zero, of a TimeSeries, LightCurve or Table."""
    name = find_column(table.colnames, "time")
    if name is None:
        raise DataError(f"table needs a column of times, but has {', '.join(table.colnames)}")
    time = table[name]
    if hasattr(time, "scale"):  # astropy.time.Time
        reference = TIME_REFERENCES.get(time.format.upper())
        if reference is None:
            return _filled(time.jd), f"JD {time.scale.upper()}", 0.0
        return _filled(time), f"{time.format.upper()} {time.scale.upper()}", reference
    return _filled(time), "", None


def from_timeseries(table: Any) -> LightCurveBatch:
    """Batch with the one curve of an astropy ``TimeSeries``, ``Table`` or lightkurve object.

    Parameters
    ----------
    table : astropy.table.Table
        With times (an astropy ``Time`` or numbers in days) and magnitudes or fluxes. Masked
        entries become NaN. A quality column (lightkurve) marks points with
        `PointFlag.SURVEY` where it is not zero.

    Raises
    ------
    DataError
        If columns are missing.
    """
    names = list(table.colnames)
    time, time_scale, reference = _time_column(table)
    _, value, error, quantity = _measurement(names, type(table).__name__)
    unit = getattr(table[value], "unit", None)
    flags = np.zeros(time.size, np.uint32)
    if "flags" in names:
        flags = np.asarray(table["flags"], np.uint32)
    elif "quality" in names:
        quality = np.asarray(np.ma.filled(np.ma.asarray(table["quality"]), 0))
        if quality.dtype.kind in "iu":
            flags = np.where(quality != 0, np.uint32(16), np.uint32(0))
    label = table.meta.get("LABEL") or table.meta.get("OBJECT") or "0"
    return LightCurveBatch(
        time=time,
        value=_filled(table[value]),
        error=np.full(time.size, np.nan) if error is None else _filled(table[error]),
        offsets=np.array([0, time.size]),
        flags=flags,
        objects={"id": np.array([str(label)], dtype=object)},
        meta=Meta(
            survey=str(table.meta.get("MISSION", "")),
            quantity=quantity,
            unit="" if unit is None else str(unit),
            time_scale=time_scale,
            time_ref=reference,
        ),
    )


def to_timeseries(batch: LightCurveBatch, like: Any) -> Any:
    """Copy of the table `like` with what the steps changed.

    Parameters
    ----------
    batch : LightCurveBatch
        The one curve that `from_timeseries` made of `like`, after any steps.
    like : astropy.table.Table
        Gives type, units, metadata and further columns. ``flags`` and the columns that steps
        added are put in; numbers per object (period, features) go to ``meta["astroprep"]``.

    Raises
    ------
    DataError
        If the batch is not one curve of that length, or a step rejected it.
    """
    if len(batch.rejected):
        away = batch.rejected
        raise DataError(
            f"no light curve to give back: {away.id[0]!r} was rejected, as "
            f"{away.step[0]} {away.reason[0]}"
        )
    if batch.n_curves != 1 or batch.n_points != len(like):
        raise DataError(
            f"to_timeseries needs one curve of {len(like)} points, "
            f"got {batch.n_curves} curves with {batch.n_points}"
        )
    table = like.copy()
    _, value, error, _ = _measurement(list(table.colnames), type(table).__name__)
    for name, column in ((value, batch.value), (error, batch.error)):
        if name is not None and not np.array_equal(_filled(table[name]), column, equal_nan=True):
            unit = getattr(table[name], "unit", None)
            table[name] = column if unit is None else column * unit
    table["flags"] = batch.flags
    for name, column in batch.points.items():
        table[name] = column
    own = {name: column[0] for name, column in batch.objects.items() if name not in ("id", "row")}
    if own:
        table.meta["astroprep"] = own
    return table


def from_lightkurve(lightcurve: Any) -> LightCurveBatch:
    """Batch of a lightkurve ``LightCurve``, or of a collection of them.

    See `from_timeseries`; curves of a collection must share time system and unit.
    """
    if hasattr(lightcurve, "colnames"):
        return from_timeseries(lightcurve)
    parts = [from_timeseries(one) for one in lightcurve]
    whole = LightCurveBatch.concat(parts)
    return whole.with_columns(objects={"row": np.arange(whole.n_curves, dtype=np.int64)})


def to_lightkurve(batch: LightCurveBatch, like: Any) -> Any:
    """Give back the lightkurve object, list or collection `like` with what the steps changed.

    Of several, those that a step rejected are left out.
    """
    if hasattr(like, "colnames"):
        return to_timeseries(batch, like)
    kept = enumerate(batch.objects["row"].tolist())
    return type(like)([to_timeseries(batch[i], like[row]) for i, row in kept])


# -- any of them --------------------------------------------------------------------------------


def _kinds(data: Any) -> set[str]:
    """Names of the classes of an object, with the package that each comes from."""
    return {f"{c.__module__.partition('.')[0]}.{c.__name__}" for c in type(data).__mro__}


def take(data: Any) -> tuple[LightCurveBatch, GiveBack]:
    """Batch of whatever holds light curves, and how to give the result back.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, Table, DataFrame, NestedFrame, \
list of tables, or tuple of arrays (time, value[, error])

    Returns
    -------
    batch : LightCurveBatch
        What kernels work on.
    give_back : callable
        Turns a result batch into the kind of object that came in.

    Raises
    ------
    DataError
        If the kind is not known; the message lists those that are.
    """
    if isinstance(data, LightCurveBatch):
        return data, lambda batch: batch
    kinds = _kinds(data)
    if "astropy.Table" in kinds:
        return from_timeseries(data), lambda batch: to_timeseries(batch, data)
    if "nested_pandas.NestedFrame" in kinds:
        return from_nested(data), to_nested
    if isinstance(data, pd.DataFrame):
        batch, order = _from_frame(data, None)
        return batch, lambda result: _frame_back(result, data, order)
    if isinstance(data, tuple) and len(data) in (2, 3) and all(np.ndim(d) == 1 for d in data):
        time, value, *error = data
        curve = (time, value, error[0] if error else None)
        return LightCurveBatch.from_curves([curve]), lambda batch: batch
    if isinstance(data, Sequence) or "lightkurve.LightCurveCollection" in kinds:
        tables = list(data)
        if tables and all("astropy.Table" in _kinds(one) for one in tables):
            return from_lightkurve(tables), lambda batch: to_lightkurve(batch, data)
    raise DataError(
        f"cannot take light curves from {type(data).__name__}; give a LightCurveBatch, a "
        "lightkurve or astropy table (or a list of them), a pandas or nested-pandas frame, or "
        "a tuple of arrays (time, value, error)"
    )


def _frame_back(
    batch: LightCurveBatch, frame: pd.DataFrame, order: NDArray[np.int64]
) -> pd.DataFrame:
    """Long frame in its own row order; rows of rejected objects are left out."""
    who = find_column([str(name) for name in frame.columns], "id")
    curve = np.zeros(len(frame), np.int64)
    if who is not None:
        curve = pd.factorize(frame[who], use_na_sentinel=False)[0]
    position = order[np.isin(curve[order], batch.objects["row"])]
    _, value, error, quantity = _measurement([str(c) for c in frame.columns], "DataFrame")
    columns = to_pandas(batch)
    added = {
        str(name): columns[name].to_numpy()
        for name in columns.columns
        if name not in (*NAMES, quantity, f"{quantity}_err")
    }
    added[value] = batch.value
    if error is not None:
        added[error] = batch.error
    return frame.iloc[position].assign(**added).iloc[np.argsort(position)]

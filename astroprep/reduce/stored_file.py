"""Stored light curves in a Parquet file: one row a series, checked when it is read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.data import Meta
from astroprep.errors import DataError
from astroprep.io.files import check_file, first_line, replaced
from astroprep.io.parquet_writer import narrow
from astroprep.reduce.parameters import NUMBERS, RAGGED, Kind, Parameters, offsets_of
from astroprep.reduce.stored import STATISTICS, KeptPoints, StoredCurves
from astroprep.reduce.walk_kernel import WALK_PARAMETERS

__all__ = ["read_stored", "write_stored"]

FORMAT = "astroprep stored curves 1"
PAGE = 1 << 24  # bytes: neighbours on the sky share exposures, which zstd finds within a page
LEVEL = 9
KEPT = tuple(field.name for field in fields(KeptPoints))
TYPES = {"codes": np.int16, "floats": np.float32, "knots": np.uint16}


def write_stored(path: str | Path, stored: StoredCurves) -> None:
    """Write stored curves as Parquet (zstd); the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    stored : StoredCurves
        Columns per object of one dimension are written under their own names, those of a model
        as ``model_...`` and kept points as lists ``kept_...``. The rejected are not in the file.

    Raises
    ------
    DataError
        If the file cannot be written, or a column per object has a name of these.
    """
    columns: dict[str, Any] = {}
    for name, values in stored.objects.items():
        if name.startswith(("model_", "kept_")):
            raise DataError(
                f"{path}: the column {name!r} per object has the prefix of the file's own columns; "
                "rename it"
            )
        if values.ndim == 1:
            kind = pa.string() if values.dtype == object else None
            columns[name] = pa.array(values[stored.curve], kind)
    own = stored.parameters
    columns["model_curve"] = pa.array(stored.curve)
    columns["model_kind"] = pa.array(own.kind)
    if stored.band is not None:
        columns["model_band"] = pa.array(stored.band)
    columns |= {f"model_{name}": narrow(getattr(own, name)) for name in NUMBERS}
    columns |= {f"model_{name}": narrow(getattr(stored, name)) for name in STATISTICS}
    columns["model_reason"] = pa.array(stored.reason, pa.string())
    columns["model_points"] = pa.array(stored.n_modelled)
    for name in RAGGED:
        columns[f"model_{name}"] = _lists(getattr(own, name), getattr(own, f"{name}_offsets"))
    if stored.ticks is not None:
        small = stored.ticks.max(initial=0) <= np.iinfo(np.int32).max
        ticks = stored.ticks.astype(np.int32) if small else stored.ticks
        columns["model_ticks"] = _lists(ticks, offsets_of(stored.n_modelled))
    for name in KEPT:
        values = getattr(stored.kept, name)
        columns[f"kept_{name}"] = _lists(
            narrow(values) if name != "flags" else values, stored.kept_offsets
        )
    about = {
        "format": FORMAT,
        "meta": json.dumps(vars(stored.meta)),
        "time_resolution": repr(stored.time_resolution),
    }
    table = pa.table(columns).replace_schema_metadata(about)
    words = [name for name, column in columns.items() if pa.types.is_string(column.type)]
    with replaced(path) as part:
        pq.write_table(
            table,
            part,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=words,
            data_page_size=PAGE,
        )


def _lists(values: Any, offsets: NDArray[np.int64]) -> pa.Array:
    flat = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
    return flat.cast(pa.list_(flat.type.value_type))


def read_stored(path: str | Path) -> dict[str, Any]:
    """Read stored curves and check that every number is one that `decode` can use.

    Parameters
    ----------
    path : str or Path
        What `write_stored` wrote.

    Returns
    -------
    dict
        Parts of a `StoredCurves`.

    Raises
    ------
    DataError
        If the file is missing, damaged, not such a file, or its parts contradict each other.
    """
    path = Path(path)
    check_file(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is no readable Parquet file: {first_line(error)}") from error
    try:
        return _parts(table)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise DataError(f"{path} holds no stored curves: {first_line(error)}") from error


def _parts(table: pa.Table) -> dict[str, Any]:
    about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    if about.get("format") != FORMAT:
        raise ValueError(f"its metadata say {about.get('format')!r}, not {FORMAT!r}")
    meta = json.loads(about["meta"])
    meta["bands"] = tuple(str(name) for name in meta["bands"])
    ragged: dict[str, Any] = {}
    for name, kind in TYPES.items():
        ragged[name], ragged[f"{name}_offsets"] = _ragged(table, f"model_{name}", kind)
    parameters = Parameters(
        kind=_flat(table, "model_kind", np.int8),
        **{name: _flat(table, f"model_{name}", np.float64) for name in NUMBERS},
        **ragged,
    )
    n_modelled = _flat(table, "model_points", np.int64)
    resolution = float(about["time_resolution"])
    ticks = None
    if "model_ticks" in table.column_names:
        ticks, offsets = _ragged(table, "model_ticks", np.int64)
        _demand(np.array_equal(np.diff(offsets), n_modelled), "as many times as points")
        _demand(bool((ticks >= 0).all()), "ascending times")
    points = [
        _ragged(table, f"kept_{name}", np.uint32 if name == "flags" else np.float64)
        for name in KEPT
    ]
    _demand(all(np.array_equal(p[1], points[0][1]) for p in points), "equally long kept columns")
    curve = _flat(table, "model_curve", np.int64)
    _check(parameters, n_modelled, curve, resolution)
    band = None
    if "model_band" in table.column_names:
        band = _flat(table, "model_band", np.int16)
        _demand(bool(((band >= -1) & (band < len(meta["bands"]))).all()), "known bands")
    first = np.flatnonzero(np.diff(curve, prepend=-1) == 1)
    return {
        "meta": Meta(**meta),
        "objects": {
            name: _object(table, name)[first]
            for name in table.column_names
            if not name.startswith(("model_", "kept_"))
        },
        "curve": curve,
        "band": band,
        "parameters": parameters,
        "n_modelled": n_modelled,
        "ticks": ticks,
        "time_resolution": resolution,
        "kept": KeptPoints(*(p[0] for p in points)),
        "kept_offsets": points[0][1],
        **{name: _flat(table, f"model_{name}", np.float64) for name in STATISTICS},
        "reason": _object(table, "model_reason"),
    }


def _demand(holds: bool | np.bool_, what: str) -> None:
    if not holds:
        raise ValueError(f"it needs {what}")


def _check(
    own: Parameters, n_modelled: NDArray[np.int64], curve: NDArray[np.int64], resolution: float
) -> None:
    """Hold every number that a kernel takes as an index or a divisor against its range."""
    n_codes, n_floats, n_knots = (np.diff(getattr(own, f"{name}_offsets")) for name in RAGGED)
    _demand(0 < resolution < np.inf, "a positive time resolution")
    _demand(np.isin(own.kind, list(Kind)).all(), "kinds from 0 to 3")
    _demand(
        np.isin(np.diff(curve, prepend=-1), (0, 1)).all() and (curve[:1] == 0).all(),
        "curves in order",
    )
    raw, wave, spline, walk = (own.kind == kind for kind in Kind)
    n_own = n_codes + n_floats - WALK_PARAMETERS * walk
    _demand(bool((n_floats >= WALK_PARAMETERS)[walk].all()), "the numbers of each walk")
    _demand(not (n_codes + n_floats + n_knots + n_modelled)[raw].any(), "no model of a raw series")
    _demand(bool((n_own % 2 == 1)[wave].all() and not n_knots[wave].any()), "whole harmonics")
    _demand(bool((own.period > 0)[wave].all()), "positive periods")
    _demand(bool((n_own == n_knots + 4)[spline].all()), "four more coefficients than knots")
    _demand(bool((n_own == n_knots)[walk].all()), "a place for each anchor")
    _demand(bool((own.last > own.first)[spline | (walk & (n_knots > 0))].all()), "spans")
    _demand(bool((n_modelled >= 0).all()), "counts of points")
    for name in NUMBERS[:4]:
        _demand(bool(np.isfinite(getattr(own, name))[~raw].all()), f"finite {name!r}")
    _demand(bool(np.isfinite(own.floats).all()), "finite coefficients")
    series = np.repeat(np.arange(len(own)), n_knots)
    rising = (np.diff(own.knots.astype(np.int64)) > 0) | (np.diff(series) > 0)
    _demand(bool((rising | ~spline[series[1:]]).all()), "ascending knots")
    inside = (own.knots > 0) & (own.knots < np.iinfo(np.uint16).max)
    _demand(bool((inside | ~spline[series]).all()), "inner knots")


def _flat(table: pa.Table, name: str, kind: type) -> NDArray[Any]:
    column = table[name]
    _demand(column.null_count == 0, f"no nulls in {name!r}")
    values = column.to_numpy()
    _demand(values.dtype.kind in "iuf", f"numbers in {name!r}, it has {column.type}")
    whole: NDArray[Any] = values.astype(kind)
    _demand(np.array_equal(whole, values, equal_nan=values.dtype.kind == "f"), f"{name!r} in range")
    return whole


def _ragged(table: pa.Table, name: str, kind: type) -> tuple[NDArray[Any], NDArray[np.int64]]:
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # older pyarrow, no rows
        column = pa.concat_arrays(column.chunks) if column.num_chunks else column.type
    _demand(column.null_count == 0, f"no nulls in {name!r}")
    _demand(pa.types.is_list(column.type), f"lists in {name!r}, it has {column.type}")
    flat = column.flatten()
    _demand(flat.null_count == 0, f"no nulls in {name!r}")
    values = flat.to_numpy(zero_copy_only=False)
    _demand(values.dtype.kind in "iuf", f"numbers in {name!r}, it has {column.type}")
    whole = values.astype(kind)
    _demand(np.array_equal(whole, values, equal_nan=values.dtype.kind == "f"), f"{name!r} in range")
    return whole, offsets_of(np.asarray(column.value_lengths()))


def _object(table: pa.Table, name: str) -> NDArray[Any]:
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(["" if v is None else v for v in column.to_pylist()] + [""], object)[:-1]
    values: NDArray[Any] = column.to_numpy()
    return values

"""astropy tables and lightkurve objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.interchange.names import filled, find_column, measurement
from astroprep.units import TIME_REFERENCES

__all__ = [
    "OBJECT_KEYWORDS",
    "POINT_COLUMNS",
    "from_lightkurve",
    "from_timeseries",
    "to_lightkurve",
    "to_timeseries",
]

POINT_COLUMNS: Mapping[str, tuple[str, bool]] = {
    "cadence": ("cadenceno", True),
    "survey_flags": ("quality", True),
    "pos_corr1": ("pos_corr1", False),
    "pos_corr2": ("pos_corr2", False),
    "centroid1": ("centroid_col", False),
    "centroid2": ("centroid_row", False),
    "background": ("sap_bkg", False),
}
"""Columns of lightkurve objects that go to ``points``, and which of them hold whole numbers."""

OBJECT_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "ra": ("RA_OBJ", "RA"),
    "dec": ("DEC_OBJ", "DEC"),
    "segment": ("QUARTER", "CAMPAIGN", "SECTOR"),
    "brightness": ("KEPMAG", "TESSMAG"),
    "crowding": ("CROWDSAP",),
    "flux_fraction": ("FLFRCSAP",),
}
"""Keywords of lightkurve's metadata that go to ``objects``, the first that has a number."""

OURS = "astroprep_points"  # metadata: names of the columns that steps put into the table


def _time_column(table: Any) -> tuple[NDArray[np.float64], str, float | None]:
    """Find times in days, their system and its zero, of a TimeSeries, LightCurve or Table."""
    name = find_column(table.colnames, "time")
    if name is None:
        raise DataError(f"table needs a column of times, but has {', '.join(table.colnames)}")
    time = table[name]
    if hasattr(time, "scale"):  # astropy.time.Time
        reference = TIME_REFERENCES.get(time.format.upper())
        if reference is None:
            return filled(time.jd), f"JD {time.scale.upper()}", 0.0
        return filled(time), f"{time.format.upper()} {time.scale.upper()}", reference
    return filled(time), "", None


def from_timeseries(table: Any) -> LightCurveBatch:
    """Batch with the one curve of an astropy ``TimeSeries``, ``Table`` or lightkurve object.

    Parameters
    ----------
    table : astropy.table.Table
        With times (an astropy ``Time`` or numbers in days) and magnitudes or fluxes. Masked
        entries become NaN. Of a lightkurve object the cadence number, the raw quality, the
        motion on the detector, the centroids and the background go to ``points`` under the
        names that space photometry has in a batch (`POINT_COLUMNS`), and position, quarter
        (campaign, sector), channel, brightness and crowding to ``objects``. What earlier steps
        put into the table (flags, weights, columns per point, numbers per object) comes back.

    Returns
    -------
    LightCurveBatch

    Raises
    ------
    DataError
        If columns are missing.

    Notes
    -----
    The survey's own quality does not take a point out of use by itself: many of its bits are
    harmless, and some mark flares. `astroprep.clean.SurveyFlags` decides.
    """
    names = list(table.colnames)
    time, time_scale, reference = _time_column(table)
    _, value, error, quantity = measurement(names, type(table).__name__)
    label = table.meta.get("LABEL") or table.meta.get("OBJECT") or "0"
    earlier = table.meta.get("astroprep", {})
    return LightCurveBatch(
        time=time,
        value=filled(table[value]),
        error=np.full(time.size, np.nan) if error is None else filled(table[error]),
        offsets=np.array([0, time.size]),
        flags=_own_flags(table),  # type: ignore[arg-type]
        weight=filled(table["weight"]) if _is_ours("weight", table) else None,  # type: ignore[arg-type]
        points=_points(table),
        objects={
            **_header_objects(table.meta),
            **{name: np.asarray(number)[None] for name, number in earlier.items()},
            "id": np.array([str(label)], dtype=object),
        },
        meta=Meta(
            survey=str(table.meta.get("MISSION") or ""),
            quantity=quantity,
            unit=_unit_text(table[value]),
            time_scale=time_scale,
            time_ref=reference,
        ),
    )


def _own_flags(table: Any) -> NDArray[np.uint32] | None:
    """Flags that an earlier step put in, also by a table that was made by hand of a batch's."""
    if "flags" not in table.colnames:
        return None
    ours = _is_ours("flags", table) or table["flags"].dtype == np.uint32
    return np.asarray(table["flags"], np.uint32) if ours else None


def _is_ours(name: str, table: Any) -> bool:
    """Whether a step of astroprep put the column into the table."""
    return name in table.colnames and name in table.meta.get(OURS, ())


def _points(table: Any) -> dict[str, NDArray[Any]]:
    """Columns per point to carry along: those of space photometry, and those of earlier steps."""
    points: dict[str, NDArray[Any]] = {}
    for name, (source, whole) in POINT_COLUMNS.items():
        if source not in table.colnames:
            continue
        column = _whole_numbers(table[source]) if whole else filled(table[source])
        if column is not None:
            points[name] = column
    for name in table.meta.get(OURS, ()):
        if name in table.colnames and name not in ("flags", "weight"):
            plain = getattr(table[name], "value", table[name])
            points[name] = (
                filled(table[name]) if plain.dtype.kind == "f" else np.asarray(table[name])
            )
    return points


def _whole_numbers(column: Any) -> NDArray[np.int64] | None:
    """Integers of a column; None where it holds none, or has gaps that no integer can say."""
    plain = np.ma.asarray(getattr(column, "value", column))
    if plain.dtype.kind not in "iu" or np.ma.is_masked(plain):
        return None
    return np.asarray(plain, np.int64)


def _header_objects(meta: Any) -> dict[str, NDArray[Any]]:
    """Columns per object from the headers that lightkurve keeps; only those that are there."""
    found: dict[str, NDArray[Any]] = {}
    for name, keywords in OBJECT_KEYWORDS.items():
        value = next((meta[key] for key in keywords if meta.get(key) is not None), None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = np.array([value], np.int64 if name == "segment" else np.float64)
    channel, camera, ccd = (meta.get(key) for key in ("CHANNEL", "CAMERA", "CCD"))
    if isinstance(camera, int) and isinstance(ccd, int):
        channel = 4 * (camera - 1) + ccd
    if isinstance(channel, int):
        found["channel"] = np.array([channel], np.int64)
    return found


def _unit_text(column: Any) -> str:
    """Unit of a column as a batch writes it, such as ``"electron/s"``."""
    unit = getattr(column, "unit", None)
    return "" if unit is None else str(unit).replace(" / ", "/")


def to_timeseries(batch: LightCurveBatch, like: Any) -> Any:
    """Copy of the table `like` with what the steps changed.

    Parameters
    ----------
    batch : LightCurveBatch
        The one curve that `from_timeseries` made of `like`, after any steps.
    like : astropy.table.Table
        Gives type, units, metadata and further columns. ``flags``, weights where there are any
        and the columns that steps added are put in, a trend in the unit of the values; numbers
        per object (period, features) go to ``meta["astroprep"]``. Values in another unit
        (after normalization) take that unit, another quantity columns of its own.

    Returns
    -------
    table of the class of `like`

    Raises
    ------
    DataError
        If the batch is not one curve, or a step rejected it.

    Notes
    -----
    A step that drops points gives the rows that are left, with all columns. One that makes new
    points (bins) gives a new table of the same class with time, value, error and its columns.
    """
    if len(batch.rejected):
        away = batch.rejected
        raise DataError(
            f"no light curve to give back: {away.id[0]!r} was rejected, as "
            f"{away.step[0]} {away.reason[0]}"
        )
    if batch.n_curves != 1:
        raise DataError(f"to_timeseries needs one curve, got {batch.n_curves}")
    if batch.n_points != len(like):
        rows = _rows_left(from_timeseries(like).time, batch.time)
        like = _table_of(batch, like) if rows is None else like[rows]
    table = like.copy()
    before = from_timeseries(like)
    unit = _put_values(table, batch, before)
    table["flags"] = batch.flags
    ours = ["flags"]
    if (batch.weight != 1).any() or "weight" in like.meta.get(OURS, ()):
        table["weight"] = batch.weight
        ours.append("weight")
    for name, column in batch.points.items():
        known = before.points.get(name)
        if known is not None and np.array_equal(known, column, equal_nan=column.dtype.kind == "f"):
            continue
        in_flux = name in ("trend", "trend_err") and unit is not None
        table[name] = column * unit if in_flux else column
        ours.append(name)
    kept = [name for name in like.meta.get(OURS, ()) if name in table.colnames]
    table.meta[OURS] = tuple(dict.fromkeys([*kept, *ours]))
    own = {
        name: column[0]
        for name, column in batch.objects.items()
        if name not in ("id", "row", *_header_objects(like.meta))
    }
    if own:
        table.meta["astroprep"] = own
    return table


def _rows_left(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Rows of the times `before` that are left `after`; None where they are not a part of them."""
    order = np.argsort(before, kind="stable")
    place = np.searchsorted(before[order], after)
    if after.size > before.size or (place >= before.size).any():
        return None
    rows: NDArray[np.intp] = order[place]
    there = np.array_equal(before[rows], after) and np.unique(rows).size == rows.size
    return rows if there else None


def _table_of(batch: LightCurveBatch, like: Any) -> Any:
    """New table of the class of `like` with the times, values and errors of the batch."""
    names = list(like.colnames)
    time, value, error, _ = measurement(names, type(like).__name__)
    old = like[time]
    times = batch.time
    if hasattr(old, "scale"):
        from astropy.time import Time

        known = old.format.upper() in TIME_REFERENCES
        times = Time(batch.time, format=old.format if known else "jd", scale=old.scale)
    unit = getattr(like[value], "unit", None)
    columns = {
        name: column if unit is None else column * unit
        for name, column in ((value, batch.value), (error, batch.error))
        if name is not None
    }
    kept = {key: text for key, text in like.meta.items() if key != OURS}
    if not hasattr(old, "scale"):
        return type(like)({time: times, **columns}, meta=kept)
    table = type(like)(time=times, **columns) if "flux" in columns else type(like)(time=times)
    for name, column in columns.items():
        table[name] = column
    table.meta.update(kept)
    return table


def _put_values(table: Any, batch: LightCurveBatch, before: LightCurveBatch) -> Any:
    """Write values and errors that changed; gives their unit, None where the table has none."""
    _, value, error, quantity = measurement(list(table.colnames), type(table).__name__)
    unit = getattr(table[value], "unit", None)
    if batch.meta.unit != before.meta.unit or batch.meta.quantity != quantity:
        from astropy.units import Unit

        unit = Unit(batch.meta.unit)  # text without a unit is a number
    if batch.meta.quantity != quantity:
        value, error = batch.meta.quantity, f"{batch.meta.quantity}_err"
    same_unit = batch.meta.unit == before.meta.unit
    for name, column, old in (
        (value, batch.value, before.value),
        (error, batch.error, before.error),
    ):
        there = name in table.colnames
        if name is not None and not (
            there and same_unit and np.array_equal(old, column, equal_nan=True)
        ):
            table[name] = column if unit is None else column * unit
    return unit


def from_lightkurve(lightcurve: Any) -> LightCurveBatch:
    """Batch of a lightkurve ``LightCurve``, or of a collection of them.

    See `from_timeseries`. Columns that not all members have are left out.

    Returns
    -------
    LightCurveBatch

    Raises
    ------
    DataError
        If the members do not share survey, time system and unit.
    """
    if hasattr(lightcurve, "colnames"):
        return from_timeseries(lightcurve)
    parts = [from_timeseries(one) for one in lightcurve]
    for i, part in enumerate(parts):
        if part.meta != parts[0].meta:
            raise DataError(
                f"the light curves of a collection must be of one kind, but {parts[0].ids[0]!r} "
                f"(the first) has {parts[0].meta} and {part.ids[0]!r} (number {i}) {part.meta}; "
                "give them apart"
            )
    points = set.intersection(*(set(part.points) for part in parts))
    objects = set.intersection(*(set(part.objects) for part in parts))
    whole = LightCurveBatch.concat(
        [
            replace(
                part,
                points={name: part.points[name] for name in part.points if name in points},
                objects={name: part.objects[name] for name in part.objects if name in objects},
            )
            for part in parts
        ]
    )
    return whole.with_columns(objects={"row": np.arange(whole.n_curves, dtype=np.int64)})


def to_lightkurve(batch: LightCurveBatch, like: Any) -> Any:
    """Give back the lightkurve object, list or collection `like` with what the steps changed.

    Of several, those that a step rejected are left out.

    Parameters
    ----------
    batch : LightCurveBatch
        What `from_lightkurve` made of `like`, after any steps.
    like : lightkurve object, or list or collection of them
        Left as it is.

    Returns
    -------
    object of the class of `like`
    """
    if hasattr(like, "colnames"):
        return to_timeseries(batch, like)
    kept = enumerate(batch.objects["row"].tolist())
    return type(like)([to_timeseries(batch[i], like[row]) for i, row in kept])

"""The points of a survey's table in canonical units, before they are grouped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import PointFlag
from astroprep.errors import DataError
from astroprep.surveys.bits import SURVEY_BITS
from astroprep.surveys.cells import angles, bits, coded_words, factor, is_one_of, numbers, truths
from astroprep.surveys.resolve import Plan
from astroprep.surveys.schema import Schema, SeriesTable
from astroprep.surveys.tables import Exploded, PlainTable, explode
from astroprep.units import J2000, JULIAN_YEAR, PLAUSIBLE_JD, TIME_REFERENCES, time_reference

__all__ = ["Points", "read_points"]

MISSING = np.uint32(PointFlag.MISSING_VALUE)
SENTINEL = np.uint32(PointFlag.SENTINEL)
MJD_ZERO = TIME_REFERENCES["MJD"]
COARSE_FLOAT32 = 2.0**17  # days; from here on float32 steps are 1/64 d


@dataclass(frozen=True, eq=False)
class Points:
    """Columns per point.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days and the unit of the batch.
    flags : uint32 array, shape (n_points,)
        `PointFlag` bits.
    band : int64 array, shape (n_points,), or None
        Index into the canonical names of the schema, -1 where unknown.
    unknown_bands : tuple of str
        What stood there.
    ra, dec : float64 array, shape (n_points,), or None
        Degrees, where each point has a position.
    further : dict of str to array
        Other columns.
    broken : dict of str to bool array
        Points that spoil their light curve, by what is needed.
    parent : int64 array, shape (n_points,)
        Row of the table.
    uneven : bool array, shape (n_rows,)
        Rows whose lists differ in length.
    nested : bool
        Whether a row of the table is a light curve.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    flags: NDArray[np.uint32]
    band: NDArray[np.int64] | None
    unknown_bands: tuple[str, ...]
    ra: NDArray[np.float64] | None
    dec: NDArray[np.float64] | None
    further: Mapping[str, NDArray[Any]]
    broken: Mapping[str, NDArray[np.bool_]]
    parent: NDArray[np.int64]
    uneven: NDArray[np.bool_]
    nested: bool


def read_points(schema: Schema, plan: Plan, table: PlainTable) -> Points:
    """Points of a table; those of bands side by side come one band after the other.

    Raises
    ------
    DataError
        If a column has the wrong type or unit.
    """
    if not plan.series:
        return _block(schema, plan, table, None)
    return _joined([_block(schema, plan, table, series) for series in plan.series])


def _block(schema: Schema, plan: Plan, table: PlainTable, series: SeriesTable | None) -> Points:
    columns = dict(plan.columns)
    if series is not None:
        columns["value"] = series.value
        columns.pop("error", None)
        if series.error is not None:
            columns["error"] = series.error
        if series.time is not None:
            columns["time"] = series.time
    roles: tuple[str, ...] = ("time", "value", "error", "band")
    per_point = schema.position is not None and schema.position.per == "point"
    if per_point and {"ra", "dec"} <= columns.keys():
        roles = (*roles, "ra", "dec")
    names = [columns[role] for role in roles if role in columns]
    rows = explode(table, [*names, *plan.flags, *plan.points.values()])
    reader = _Reader(schema, plan, rows, columns, table.units)
    time, value, error = reader.time(), reader.value(), reader.error()
    band, unknown = reader.band(None if series is None else series.band)
    further = reader.survey_flags()
    further |= {name: reader.number(column) for name, column in plan.points.items()}
    ra, dec = reader.position() if "ra" in roles else (None, None)
    return Points(
        time, value, error, reader.flags, band, unknown, ra, dec, further, reader.broken,
        rows.parent, rows.uneven, rows.nested,
    )  # fmt: skip


class _Reader:
    """Columns of one block, and what was found wrong on the way."""

    def __init__(
        self,
        schema: Schema,
        plan: Plan,
        rows: Exploded,
        columns: Mapping[str, str],
        units: Mapping[str, str],
    ) -> None:
        self.schema, self.plan, self.rows = schema, plan, rows
        self.columns, self.units = columns, units
        self.flags = np.zeros(rows.parent.size, np.uint32)
        self.broken: dict[str, NDArray[np.bool_]] = {}

    def spoil(self, reason: str, mask: NDArray[np.bool_]) -> None:
        if mask.any():
            self.broken[reason] = self.broken.get(reason, np.zeros(mask.size, bool)) | mask

    def number(self, column: str, limit_prefix: str = "") -> NDArray[np.float64]:
        """Numbers as they stand there; text that is none spoils the light curve."""
        cells = numbers(self.rows.columns[column], column, limit_prefix)
        self.flags[cells.limit] |= np.uint32(PointFlag.UPPER_LIMIT)
        self.spoil(f"a number in every cell of {column!r}", cells.broken)
        return cells.values

    def scale(self, column: str, unit: str, to: str) -> float:
        """What to multiply by; the unit that the table itself states comes first."""
        return factor(self.units.get(column, unit), to, column)

    def time(self) -> NDArray[np.float64]:
        column, spec = self.columns["time"], self.plan.time
        raw = self.number(column)
        sentinel = is_one_of(raw, spec.sentinels)
        bad = sentinel | ~np.isfinite(raw)
        if pa.types.is_float32(self.rows.columns[column].type) and not bad.all():
            size = float(np.median(np.abs(raw[~bad])))
            if size >= COARSE_FLOAT32:
                raise DataError(
                    f"column {column!r} holds times near {size:,.0f} as float32, in steps of "
                    f"{np.spacing(np.float32(size)):.2g}; no period survives that. Make the "
                    "table with float64"
                )
        self.flags[bad] |= np.uint32(PointFlag.BAD_TIME)
        self.flags[sentinel] |= SENTINEL
        days = np.where(bad, np.nan, raw) * self.scale(column, spec.unit, "day")
        self.check_zero(column, days[~bad])
        return days

    def check_zero(self, column: str, days: NDArray[np.float64]) -> None:
        """Raise where most times are outside the survey's years: they count from another zero."""
        spec = self.plan.time
        first, last = spec.julian_dates
        dates = days + (time_reference(spec.system) or 0.0)
        outside = (dates < first) | (dates > last)
        if 2 * np.count_nonzero(outside) > days.size:
            raise DataError(
                f"column {column!r} holds times near {np.median(days):,.10g}, which as "
                f"{spec.system} are outside the years {_year(first):.0f} to {_year(last):.0f} of "
                f"{self.schema.survey}; they count from another zero. Load a copy of the "
                f"schema that says which, as system = {_other_zero(spec.system, days)!r} would"
            )

    def value(self) -> NDArray[np.float64]:
        column, spec = self.columns["value"], self.plan.value
        raw = self.number(column, spec.limit_prefix)
        sentinel = is_one_of(raw, spec.sentinels)
        bad = sentinel | ~np.isfinite(raw)
        self.flags[bad] |= MISSING
        self.flags[sentinel] |= SENTINEL
        return np.where(bad, np.nan, raw) * self.scale(column, spec.unit, spec.batch_unit)

    def error(self) -> NDArray[np.float64]:
        if "error" not in self.columns:
            return np.full(self.rows.parent.size, np.nan)
        column, spec = self.columns["error"], self.plan.value
        raw = self.number(column)
        limit = is_one_of(raw, spec.limit_errors)
        self.flags[limit] |= np.uint32(PointFlag.UPPER_LIMIT)
        bad = limit | is_one_of(raw, spec.error_sentinels) | ~np.isfinite(raw)
        unit = spec.error_unit or spec.unit
        return np.where(bad, np.nan, raw) * self.scale(column, unit, spec.batch_unit)

    def band(self, fixed: str | None) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
        """Index of each point's band, and the texts that the schema does not know."""
        table, n = self.schema.band, self.rows.parent.size
        names = table.canonical() or tuple(s.band for s in self.schema.series)
        fixed = fixed or (table.fixed if "band" not in self.columns else None)
        if fixed is not None:
            return np.full(n, names.index(fixed), np.int64), ()
        if "band" not in self.columns:
            return None, ()
        column = self.columns["band"]
        code, words = coded_words(self.rows.columns[column], column)
        index = [names.index(table.names[w]) if w in table.names else -1 for w in words]
        band = np.array([*index, -1], np.int64)[code]
        self.flags[band < 0] |= np.uint32(PointFlag.OTHER_BAND)
        unknown = sorted(word for word in words if word not in table.names)
        return band, tuple(unknown[:20])

    def survey_flags(self) -> dict[str, NDArray[Any]]:
        """The survey's bits, where it has any."""
        spec = self.schema.flags
        if spec is None or not self.plan.flags:
            return {}
        if spec.booleans:
            packed = np.zeros(self.rows.parent.size, np.int64)
            members = {
                m.lower(): int(b) for m, b in SURVEY_BITS[spec.table].flag.__members__.items()
            }
            for column in self.plan.flags:
                packed[truths(self.rows.columns[column], column)] |= members[column.lower()]
            return {"survey_flags": packed}
        column = self.plan.flags[0]
        packed, missing, broken = bits(self.rows.columns[column], column, spec.values)
        self.flags[missing] |= np.uint32(PointFlag.SURVEY)
        self.spoil(f"flags that the schema knows in every cell of {column!r}", broken)
        return {"survey_flags": packed}

    def position(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position of each point, degrees."""
        assert self.schema.position is not None
        found = []
        for role in ("ra", "dec"):
            column = self.columns[role]
            form, unit = self.schema.position.format, self.units.get(column)
            cells = angles(self.rows.columns[column], column, form, right=role == "ra", unit=unit)
            self.spoil(f"an angle in every cell of {column!r}", cells.broken)
            found.append(cells.values)
        return found[0], found[1]


def _year(date: float) -> float:
    """Julian year of a Julian date."""
    return 2000.0 + (date - J2000) / JULIAN_YEAR


def _other_zero(system: str, days: NDArray[np.float64]) -> str:
    """The usual system, of the same place and clock, that such times are likely in."""
    name = system.upper().partition("-")[0]
    place = name[0] if name in ("HJD", "BJD", "HMJD", "BMJD") else ""
    first, last = (date - MJD_ZERO for date in PLAUSIBLE_JD)
    typical = float(np.median(days))
    if typical > first + MJD_ZERO:
        return f"{place}JD"
    return f"{place}MJD" if first < typical < last and typical > 40000 else f"{place}JD-2447892.5"


def _joined(blocks: list[Points]) -> Points:
    """Points of all blocks, one after the other."""
    sizes = [block.time.size for block in blocks]

    def every(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(block, name) for block in blocks])

    broken: dict[str, NDArray[np.bool_]] = {}
    for reason in dict.fromkeys(r for block in blocks for r in block.broken):
        parts = [
            b.broken.get(reason, np.zeros(n, bool)) for b, n in zip(blocks, sizes, strict=True)
        ]
        broken[reason] = np.concatenate(parts)
    first = blocks[0]
    has_position = first.ra is not None
    return Points(
        every("time"), every("value"), every("error"), every("flags"), every("band"), (),
        every("ra") if has_position else None, every("dec") if has_position else None,
        {k: np.concatenate([b.further[k] for b in blocks]) for k in first.further},
        broken, every("parent"), np.logical_or.reduce([b.uneven for b in blocks]), first.nested,
    )  # fmt: skip

"""Flag times, values and errors that cannot be what a telescope measured."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.threads import for_objects
from astroprep.units import PLAUSIBLE_JD

__all__ = ["FlagBad", "find_duplicates", "flag_counts", "point_scatter"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
OLDEST_PLATE = -36525.0  # days; when the reference is unknown, a century before its zero

# Numbers that surveys write for "none". No star has such a magnitude; among fluxes only the
# large negative ones are safe to take for a code.
MAG_SENTINELS = (
    99.0, 99.9, 99.99, 99.999, 99.9999, 999.0, 9999.0,
    -99.0, -99.9, -99.99, -99.999, -999.0, -9999.0,
)  # fmt: skip
FLUX_SENTINELS = (-999.0, -9999.0, -99999.0)
ERROR_SENTINELS = (9.9, 9.99, 9.999, 9.9999, 99.0, 99.9, 99.99, 99.999, 99.9999, 999.0, 9999.0)


@njit(cache=True)
def _mark_copies(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    band: NDArray[np.int16],
    part: NDArray[np.int64],
    double: NDArray[np.bool_],
) -> None:
    """Set `double` for those of the points `part` that repeat an earlier one."""
    by_time = part[np.argsort(time[part], kind="mergesort")]
    first = 0
    while first < by_time.size:
        last = first + 1
        while last < by_time.size and time[by_time[last]] == time[by_time[first]]:
            last += 1
        if last - first > 1:
            same_time = by_time[first:last]
            group = same_time[np.argsort(value[same_time], kind="mergesort")]
            start = 0  # of the run of equal values
            for k in range(1, group.size):
                if value[group[k]] != value[group[start]]:
                    start = k
                    continue
                for j in range(start, k):
                    if not double[group[j]] and band[group[j]] == band[group[k]]:
                        double[group[k]] = True
                        break
        first = last


@njit(nogil=True, cache=True)
def _find_duplicates_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    band: NDArray[np.int16],
    good: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    double: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        part = _positions(good, offsets[i], offsets[i + 1])
        _mark_copies(time, value, band, part, double)


def find_duplicates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    band: NDArray[np.int16],
    good: NDArray[np.bool_],
    offsets: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Points that repeat an earlier point of the same curve in time, value and band.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        In any order of time.
    band : int16 array, shape (n_points,)
        All zero where there is one band.
    good : bool array, shape (n_points,)
        Only these points are compared; their times and values are finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    bool array, shape (n_points,)
        True for every copy but the first in the order of the file.
    """
    double = np.zeros(time.size, np.bool_)
    for_objects(_find_duplicates_range, offsets.size - 1, time, value, band, good, offsets, double)
    return double


@njit(cache=True)
def _positions(good: NDArray[np.bool_], first: int, last: int) -> NDArray[np.int64]:
    return first + np.flatnonzero(good[first:last])


@njit(cache=True)
def _scatter_of_steps(
    time: NDArray[np.float64], value: NDArray[np.float64], max_gap: float
) -> float:
    if time.size < 2:
        return np.nan
    step = np.abs(value[1:] - value[:-1])
    close = (time[1:] - time[:-1]) <= max_gap
    if close.sum() >= 5:
        step = step[close]
    return float(MAD_TO_SIGMA * np.median(step) / np.sqrt(2.0))


@njit(nogil=True, cache=True)
def _point_scatter_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    max_gap: float,
    scatter: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        scatter[i] = _scatter_of_steps(time[first:last], value[first:last], max_gap)


def point_scatter(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    max_gap: float,
) -> NDArray[np.float64]:
    """Noise of each curve from the differences of successive points.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each curve; days and any unit.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    max_gap : float
        Pairs further apart, in days, are used only when fewer than five are closer: over
        minutes a star hardly changes, over days a variable does.

    Returns
    -------
    float64 array, shape (n_curves,)
        ``1.4826 median(|difference|) / sqrt(2)``; NaN for fewer than two points.
    """
    scatter = np.empty(offsets.size - 1)
    for_objects(_point_scatter_range, scatter.size, time, value, offsets, max_gap, scatter)
    return scatter


def flag_counts(batch: LightCurveBatch) -> dict[str, int]:
    """How many points carry each flag.

    Parameters
    ----------
    batch : LightCurveBatch
        A point with two flags counts twice.

    Returns
    -------
    dict of str to int
        By the name of the `PointFlag`, in lower case; every flag is there.
    """
    return {
        str(flag.name).lower(): int(np.count_nonzero(batch.flags & np.uint32(flag)))
        for flag in PointFlag
    }


class FlagBad(Transformer):
    """Flag what is no measurement: bad times, missing values, sentinels, copies.

    No point is removed. An unknown error bar can be replaced by an estimate, which is flagged
    as such and keeps the point in use.

    Parameters
    ----------
    min_time, max_time : float or None, default None
        Plausible times in the days of the batch. By default the Julian dates of the years 1800
        to 2200, where the time reference is known, and otherwise a century before its zero to
        the Julian date of 2200, which still catches an MJD of -2409998.5.
    sentinels : tuple of float or None, default None
        Values that stand for "none"; by default 99.99 and its like for magnitudes, -999 and its
        like for fluxes.
    missing_errors : {"estimate", "flag"}, default "estimate"
        What to do where the error is not finite, not positive, or such a code as 9.999.
        ``"estimate"`` takes the scatter of successive points (within an hour where there are
        such pairs, see `point_scatter`), or the median of the known errors where that is
        zero, and sets ``ESTIMATED_ERROR``; ``"flag"`` sets ``MISSING_ERROR``, which takes the
        point out of use.
    duplicates : bool, default True
        Flag a point that repeats another one of its curve in time, value and band.
    on_bad : {"raise", "reject"}, default "raise"
        Every curve can be served, so it makes no difference here.

    Notes
    -----
    The estimate is an upper limit for a variable star that is measured less than once an hour.
    """

    needs = Needs(single_band=False)

    def __init__(
        self,
        min_time: float | None = None,
        max_time: float | None = None,
        sentinels: tuple[float, ...] | None = None,
        missing_errors: Literal["estimate", "flag"] = "estimate",
        duplicates: bool = True,
        on_bad: OnBad = "raise",
    ) -> None:
        self.min_time = min_time
        self.max_time = max_time
        self.sentinels = sentinels
        self.missing_errors = missing_errors
        self.duplicates = duplicates
        self.on_bad = on_bad

    def _check(self) -> None:
        if self.missing_errors not in ("estimate", "flag"):
            raise ConfigError(
                f"FlagBad: missing_errors must be 'estimate' or 'flag', got {self.missing_errors!r}"
            )
        codes = self.sentinels
        if codes is not None and (
            isinstance(codes, str) or not all(isinstance(c, int | float) for c in codes)
        ):
            raise ConfigError(f"FlagBad: sentinels must be a tuple of numbers, got {codes!r}")
        low, high = self.min_time, self.max_time
        if low is not None and high is not None and not low < high:
            raise ConfigError(f"FlagBad: min_time must be below max_time, got {low!r} and {high!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        flags = batch.flags.copy()
        low, high = self._time_limits(batch.meta.time_ref)
        with np.errstate(invalid="ignore"):
            good_time = (batch.time >= low) & (batch.time <= high)
        flags[~good_time] |= np.uint32(PointFlag.BAD_TIME)
        finite = np.isfinite(batch.value)
        flags[~finite] |= np.uint32(PointFlag.MISSING_VALUE)
        code = _is_any(batch.value, self._sentinels(batch))
        flags[code] |= np.uint32(PointFlag.SENTINEL)
        if self.duplicates:
            band = np.zeros(batch.n_points, np.int16) if batch.band is None else batch.band
            double = find_duplicates(
                batch.time, batch.value, band, good_time & finite & ~code, batch.offsets
            )
            flags[double] |= np.uint32(PointFlag.DUPLICATE)
        with np.errstate(invalid="ignore"):
            unknown = ~(np.isfinite(batch.error) & (batch.error > 0))
        unknown |= _is_any(batch.error, ERROR_SENTINELS if batch.meta.quantity == "mag" else ())
        if self.missing_errors == "flag" or not unknown.any():
            flags[unknown] |= np.uint32(PointFlag.MISSING_ERROR)
            return batch.with_columns(flags=flags)
        error = _estimated(batch.with_columns(flags=flags), unknown)
        known = np.isfinite(error)
        flags[unknown & known] |= np.uint32(PointFlag.ESTIMATED_ERROR)
        flags[~known] |= np.uint32(PointFlag.MISSING_ERROR)
        return batch.with_columns(flags=flags, error=np.where(known, error, batch.error))

    def _time_limits(self, time_ref: float | None) -> tuple[float, float]:
        low, high = (
            (OLDEST_PLATE, PLAUSIBLE_JD[1])
            if time_ref is None
            else (PLAUSIBLE_JD[0] - time_ref, PLAUSIBLE_JD[1] - time_ref)
        )
        return (
            low if self.min_time is None else self.min_time,
            high if self.max_time is None else self.max_time,
        )

    def _sentinels(self, batch: LightCurveBatch) -> tuple[float, ...]:
        if self.sentinels is not None:
            return tuple(self.sentinels)
        return MAG_SENTINELS if batch.meta.quantity == "mag" else FLUX_SENTINELS


def _is_any(values: NDArray[np.float64], codes: tuple[float, ...]) -> NDArray[np.bool_]:
    """Values equal to a code within the rounding of float32, in which surveys store them."""
    hit = np.zeros(values.size, bool)
    large = np.flatnonzero(
        np.isfinite(values) & (np.abs(values) >= min(map(abs, codes), default=0))
    )
    for code in codes:
        hit[large] |= np.isclose(values[large], code, rtol=2e-7, atol=0.0)
    return hit


def _estimated(batch: LightCurveBatch, unknown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Errors with the unknown ones replaced by an estimate, NaN where there is none."""
    usable = batch.usable
    scatter = point_scatter(usable.time, usable.value, usable.offsets, 1 / 24)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    for i in np.unique(curve[unknown]):
        if not scatter[i] > 0:
            part = slice(batch.offsets[i], batch.offsets[i + 1])
            known = batch.error[part][~unknown[part]]
            scatter[i] = np.median(known) if known.size else np.nan
    return np.where(unknown, scatter[curve], batch.error)

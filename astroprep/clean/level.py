"""What a curve would be without its outliers: a constant, a slow trend, a folded shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.clip import fast_median
from astroprep.clean.window import moving_median
from astroprep.data import LightCurveBatch, Usable
from astroprep.errors import DataError
from astroprep.period.fold import fold_ragged
from astroprep.threads import for_objects

__all__ = [
    "PHASE_POINTS",
    "PHASE_WINDOW",
    "Level",
    "curve_medians",
    "folded_level",
    "level_of",
    "periods_of",
    "phase_order",
]

# Running median of the folded curve: eclipses of detached binaries last 0.05 to 0.1 of the
# period, and a median follows what fills more than half of its window.
PHASE_WINDOW = 0.03
PHASE_POINTS = 7  # a median of seven stands three outliers
# The scatter at a phase: a median of 11 distances is known to 30 %.
BLUR_WINDOW = 0.04
BLUR_POINTS = 11
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993


@njit(nogil=True, cache=True)
def _phase_order_range(
    begin: int,
    end: int,
    phase: NDArray[np.float64],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        _order_of(phase, offsets[i], offsets[i + 1], order)


def phase_order(phase: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the points by rising phase within each curve.

    Parameters
    ----------
    phase : float64 array, shape (n_points,)
        In [0, 1).
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    int64 array, shape (n_points,)
        ``phase[order]`` rises within each curve; equal phases keep their order.
    """
    order = np.empty(phase.size, np.int64)
    for_objects(_phase_order_range, offsets.size - 1, phase, offsets, order)
    return order


@njit(cache=True)
def _order_of(phase: NDArray[np.float64], first: int, last: int, order: NDArray[np.int64]) -> None:
    place = np.argsort(phase[first:last], kind="mergesort")
    for j in range(place.size):
        order[first + j] = first + place[j]


@njit(cache=True)
def _twice_around(
    phase: NDArray[np.float64], value: NDArray[np.float64], wide: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A folded curve with its last `wide` points before it and its first ones behind it."""
    n = phase.size
    x, y = np.empty(n + 2 * wide), np.empty(n + 2 * wide)
    for j in range(-wide, n + wide):
        turn = -1.0 if j < 0 else 1.0 if j >= n else 0.0
        x[j + wide] = phase[j % n] + turn
        y[j + wide] = value[j % n]
    return x, y


def folded_level(
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float = PHASE_WINDOW,
    min_points: int = PHASE_POINTS,
) -> NDArray[np.float64]:
    """Running median of folded curves, around the circle.

    Parameters
    ----------
    phase, value : float64 array, shape (n_points,)
        Phase in [0, 1), rising within each curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    window : float
        Full width as a part of the period.
    min_points : int
        A window with fewer points is widened; a curve with fewer gives its median.

    Returns
    -------
    float64 array, shape (n_points,)
        Unit of the value. A shape narrower than half the window is not followed.
    """
    sizes = np.diff(offsets)
    start = np.append(phase, 0.0)[offsets[:-1]]
    wide = np.where((sizes < min_points) | (start >= 1.0), 0, sizes)  # no circle from 1 on
    padded = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes + 2 * wide)))
    x, y = _around(phase, value, offsets, padded)
    level = moving_median(x, y, padded, window, np.inf, min_points)
    inside = np.arange(phase.size) + np.repeat(padded[:-1] + wide - offsets[:-1], sizes)
    return np.asarray(level[inside])


@njit(nogil=True, cache=True)
def _around_range(
    begin: int,
    end: int,
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    padded: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        n = last - first
        if n:
            wide = (padded[i + 1] - padded[i] - n) // 2
            a, b = _twice_around(phase[first:last], value[first:last], wide)
            for j in range(a.size):
                x[padded[i] + j], y[padded[i] + j] = a[j], b[j]


def _around(
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    padded: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.empty(padded[-1]), np.empty(padded[-1])
    for_objects(_around_range, offsets.size - 1, phase, value, offsets, padded, x, y)
    return x, y


def periods_of(batch: LightCurveBatch, column: str, step: str) -> NDArray[np.float64]:
    """Periods of the curves, NaN where there is no positive one.

    Raises
    ------
    DataError
        If the batch has no such column of numbers.
    """
    if column not in batch.objects or batch.objects[column].dtype.kind not in "iuf":
        raise DataError(
            f"{step} needs the periods in the column {column!r} per object, but the batch has "
            f"{', '.join(sorted(batch.objects))}; put the step that adds it before"
        )
    period = np.asarray(batch.objects[column], np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(period) & (period > 0), period, np.nan)


@njit(nogil=True, cache=True)
def _curve_medians_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        if last > first:
            level[first:last] = fast_median(value[first:last], np.empty(last - first))


def curve_medians(value: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of the curve of each point.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Any unit and order, finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_points,)
        One number within each curve.
    """
    level = np.empty(value.size)
    for_objects(_curve_medians_range, offsets.size - 1, value, offsets, level)
    return level


@dataclass(frozen=True)
class Level:
    """Level of the usable points, and what belongs to it.

    Parameters
    ----------
    value : float64 array, shape (n_usable,)
        The slow trend and, about it, the folded shape; unit of the value.
    blur : float64 array, shape (n_usable,)
        By how much the points of one phase scatter more than those of the whole curve: at a steep
        rise a small change of phase, or of the star, is a large one of the value. In quadrature,
        unit of the value; 0 without periods.
    order : int64 array, shape (n_usable,) or (0,)
        Positions by phase; empty without periods.
    phase : float64 array, shape (n_usable,) or (0,)
        Phase of each point in that order. Points of a curve without a period have one from 10 on,
        each another whole number, so that none is the neighbour of another.
    """

    value: NDArray[np.float64]
    blur: NDArray[np.float64]
    order: NDArray[np.int64]
    phase: NDArray[np.float64]


def level_of(
    usable: Usable, window: float | None, gap: float, period: NDArray[np.float64] | None
) -> Level:
    """Level of each usable point.

    Parameters
    ----------
    usable : Usable
        Points of the batch.
    window, gap : float or None, float
        Of the moving median, days; without a window the trend is the median of the curve.
    period : float64 array, shape (n_curves,), or None
        Days; curves where it is NaN are not folded.
    """
    trend = np.asarray(
        moving_median(usable.time, usable.value, usable.offsets, window, gap, 3)
        if window
        else curve_medians(usable.value, usable.offsets),
        np.float64,
    )
    shape, blur = np.zeros((2, usable.time.size))
    if period is None:
        return Level(trend, blur, np.empty(0, np.int64), np.empty(0))
    known = np.isfinite(period)
    first = np.zeros(period.size)
    filled = usable.counts() > 0
    first[filled] = usable.time[usable.offsets[:-1][filled]]
    phase = fold_ragged(usable.time, usable.offsets, np.where(known, period, 1.0), first)
    apart = np.repeat(~known, usable.counts())
    phase[apart] = 10.0 + np.flatnonzero(apart)
    order = phase_order(phase, usable.offsets)
    phase = phase[order]
    folded = (usable.value - trend)[order]
    middle = folded_level(phase, folded, usable.offsets)
    shape[order] = middle
    blur[order] = _blur(phase, np.abs(folded - middle), usable.offsets)
    shape[apart] = blur[apart] = 0.0
    return Level(trend + shape, blur, order, phase)


def _blur(
    phase: NDArray[np.float64], distance: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scatter of the points of one phase beyond that of the curve, in quadrature."""
    here = folded_level(phase, distance, offsets, BLUR_WINDOW, BLUR_POINTS)
    everywhere = curve_medians(distance, offsets)
    beyond = np.maximum(here**2 - everywhere**2, 0.0)
    return np.asarray(MAD_TO_SIGMA * np.sqrt(beyond), np.float64)

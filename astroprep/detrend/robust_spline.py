"""Robust smoothing splines of many curves, bridged over the points that are left out."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.spline import half_gain_density, smooth_run
from astroprep.threads import for_objects

__all__ = ["curve_scales", "robust_scatter", "smooth_curve", "spline_trend"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
TUKEY = 5.0  # robust sigma at which a point loses all weight; 4.685 is 95 % efficient
HUBER = 1.5  # robust sigma from which weights fall; 1.345 is 95 % efficient
FIRST_PASSES, PASSES = 2, 4  # Huber's weights at first: a median is off where the slope is steep


@njit(cache=True)
def robust_scatter(values: NDArray[np.float64]) -> float:
    """Gaussian sigma of float64 values from their MAD, in their unit.

    The root mean square deviation from the median where more than half of them are equal.
    """
    off = np.abs(values - np.median(values))
    sigma = MAD_TO_SIGMA * np.median(off)
    if sigma == 0.0:
        sigma = np.sqrt(np.mean(off**2))
    return float(sigma)


@njit(nogil=True, cache=True)
def _curve_scales_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    level: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        t, v = time[offsets[i] : offsets[i + 1]], value[offsets[i] : offsets[i + 1]]
        if t.size > 0:
            level[i] = np.median(v)
        if t.size > 1:
            cadence[i] = np.median(t[1:] - t[:-1])
            sigma = MAD_TO_SIGMA * np.median(np.abs(v[1:] - v[:-1])) / np.sqrt(2.0)
            if sigma == 0.0:
                sigma = robust_scatter(v)
            if sigma > 0 and np.isfinite(sigma):
                noise[i] = sigma


def curve_scales(
    time: NDArray[np.float64], value: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cadence, level and noise of each curve.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each curve; days and any unit.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    cadence : float64 array, shape (n_curves,)
        Median distance of neighbours, days; 0 for fewer than two points.
    level : float64 array, shape (n_curves,)
        Median, 0 for an empty curve.
    noise : float64 array, shape (n_curves,)
        Robust sigma from differences of neighbours; 1 where that is 0 or unknown.
    """
    n_curves = offsets.size - 1
    cadence, level, noise = np.zeros(n_curves), np.zeros(n_curves), np.ones(n_curves)
    for_objects(_curve_scales_range, n_curves, time, value, offsets, cadence, level, noise)
    return cadence, level, noise


@njit(cache=True)
def _reweigh(
    residual: NDArray[np.float64],
    keep: NDArray[np.bool_],
    forgive: bool,
    weight: NDArray[np.float64],
) -> None:
    """Weights of the points that are kept, in their robust sigma, or the noise if that is more.

    Huber's to `forgive` a trend that is off, so that no stretch loses all its points;
    Tukey's biweight otherwise.
    """
    sigma = max(1.0, robust_scatter(residual[keep])) if keep.any() else 1.0
    for i in range(residual.size):
        if not keep[i]:
            weight[i] = 0.0
            continue
        u = abs(residual[i]) / sigma
        if forgive:
            weight[i] = min(1.0, HUBER / u) if u > 0 else 1.0
        else:
            weight[i] = (1 - (u / TUKEY) ** 2) ** 2 if u < TUKEY else 0.0


@njit(cache=True)
def smooth_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    density: float,
    gap: float,
    min_points: int,
    trend: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    """Robust spline through each run of one curve; runs that are too short keep `start`.

    Parameters are those of `spline_trend`, of one curve; `density` is that of `half_gain_density`.
    Fills `trend` and `variance`.
    """
    n = time.size
    weight = np.empty(n)
    for j in range(n):
        trend[j] = start[j]
    for again in range(PASSES):
        _reweigh(value - trend, keep, again < FIRST_PASSES, weight)
        first = 0
        while first < n:
            last = first + 1
            while last < n and time[last] - time[last - 1] <= gap:
                last += 1
            part = slice(first, last)
            if np.sum(weight[part] > 0) >= min_points and time[last - 1] > time[first]:
                smooth_run(
                    time[part], value[part], weight[part], density, trend[part], variance[part]
                )
            else:
                trend[part] = start[part]
                variance[part] = np.nan
            first = last


@njit(nogil=True, cache=True)
def _spline_trend_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescale: NDArray[np.float64],
    gap: float,
    min_points: int,
    trend: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if keep[part].sum() >= min_points and cadence[i] > 0:
            density = half_gain_density(timescale[i], cadence[i])
            smooth_curve(
                time[part],
                value[part],
                start[part],
                keep[part],
                density,
                gap,
                min_points,
                trend[part],
                variance[part],
            )


def spline_trend(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescale: NDArray[np.float64],
    gap: float,
    min_points: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Robust smoothing spline of each curve, bridging points that are not kept.

    Parameters
    ----------
    time, value, start, keep, offsets, cadence, gap, min_points
        As in `astroprep.detrend.event_kernel.choose_timescale`.
    timescale : float64 array, shape (n_curves,)
        Period that the spline halves, days.

    Returns
    -------
    trend, variance : float64 array, shape (n_points,)
        In units of the noise and of its square; `start` and NaN in runs that are too short.
    """
    trend, variance = start.copy(), np.full(time.size, np.nan)
    for_objects(
        _spline_trend_range,
        offsets.size - 1,
        time,
        value,
        start,
        keep,
        offsets,
        cadence,
        timescale,
        gap,
        min_points,
        trend,
        variance,
    )
    return trend, variance

"""Local lines at chosen times over ragged curves, with the error of what they say."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["CERTAIN", "TINY_PIVOT", "first_not_before", "local_linear_at"]

TINY_PIVOT = 1e-10  # of a normal matrix with unit diagonal: its columns are one column
CERTAIN = 1e-12  # of the values: a smaller error is rounding, not knowledge


@njit(cache=True)
def first_not_before(time: NDArray[np.float64], t: float) -> int:
    """Position of the first time that is not before `t`."""
    low, high = 0, time.size
    while low < high:
        middle = (low + high) // 2
        if time[middle] < t:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _line(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    extra: float,
    t: float,
) -> tuple[float, float, float, float]:
    """Weighted line through the points, at `t`.

    Returns its value there, the variance of that, the sum of weighted squares of the residuals
    less its expectation, and the slope of that expectation with extra variance of the points.
    """
    s0 = s1 = s2 = q0 = q1 = q2 = 0.0
    t0 = t1 = 0.0
    for j in range(time.size):
        w = 1.0 / (variance[j] + extra)
        d = time[j] - t
        s0 += w
        s1 += w * d
        s2 += w * d * d
        t0 += w * value[j]
        t1 += w * d * value[j]
        q0 += w * w
        q1 += w * w * d
        q2 += w * w * d * d
    determinant = s0 * s2 - s1 * s1
    if not determinant > TINY_PIVOT * s0 * s2:  # all at one time
        return np.nan, np.nan, 0.0, 1.0
    a = (s2 * t0 - s1 * t1) / determinant
    b = (s0 * t1 - s1 * t0) / determinant
    excess = -float(time.size - 2)
    for j in range(time.size):
        residual = value[j] - a - b * (time[j] - t)
        excess += residual * residual / (variance[j] + extra)
    slope = s0 - (s2 * q0 - 2.0 * s1 * q1 + s0 * q2) / determinant
    return a, s2 / determinant, excess, slope


@njit(cache=True)
def _one_line(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    known: bool,
    t: float,
) -> tuple[float, float]:
    """Local line at `t` and the variance of a measurement there."""
    at, of_line, excess, slope = _line(time, value, variance, 0.0, t)
    if not math.isfinite(at):
        return np.nan, np.nan
    if not known:  # unit variances stood in: scale by what the residuals say
        scale = (excess + time.size - 2) / (time.size - 2)
        return at, scale * (1.0 + of_line)
    intrinsic = max(excess / slope, 0.0) if slope > 0 else 0.0
    if intrinsic > 0:
        at, of_line, excess, slope = _line(time, value, variance, intrinsic, t)
    return at, of_line + intrinsic + variance.mean()


@njit(cache=True)
def _lines_of_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    target: NDArray[np.float64],
    half: float,
    max_gap: float,
    min_points: int,
    result: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> None:
    known = bool(np.all(error > 0) and np.all(np.isfinite(error)))
    size = np.median(error) if known else 1.0  # in this unit no weight is too large to square
    variance = (error / size) ** 2 if known else np.ones(error.size)
    level = np.median(value)
    scaled = (value - level) / size
    for k in range(target.size):
        t = target[k]
        right = first_not_before(time, t)
        if right == 0 or right == time.size:  # nothing on one side: never extrapolated
            continue
        if time[right] - time[right - 1] > max_gap:
            continue
        if time[right] - t > half or t - time[right - 1] > half:
            continue
        first = first_not_before(time, t - half)
        last = right
        while last < time.size and time[last] <= t + half:
            last += 1
        if last - first < max(min_points, 3):
            continue
        part = slice(first, last)
        at, predicted = _one_line(time[part], scaled[part], variance[part], known, t)
        spread = size * math.sqrt(predicted)
        at = level + size * at
        if math.isfinite(spread) and math.isfinite(at) and spread > CERTAIN * abs(at):
            result[k] = at
            sigma[k] = spread


@njit(parallel=True, cache=True)
def local_linear_at(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    window: float,
    max_gap: float,
    min_points: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error-weighted line through the points around each target time.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve; days and any unit. A curve with an error that is not
        positive and finite is fitted without weights.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    target : float64 array, shape (n_targets,)
        Where to evaluate, days, in any order, finite.
    target_offsets : int64 array, shape (n_curves + 1,)
        Targets of curve i are ``target_offsets[i]:target_offsets[i + 1]``.
    window : float
        Full width in days of the points that make the line.
    max_gap : float
        Longest distance in days of the points before and after a target.
    min_points : int
        Points that the window holds at least; never fewer than 3 are taken.

    Returns
    -------
    at, sigma : float64 array, shape (n_targets,)
        The line at the target, and the standard deviation of a measurement there about it. NaN
        where the target has no point on one side within half a window, a longer gap around it,
        too few points, or where nothing tells how sure the line is (a constant curve without
        errors).

    Notes
    -----
    ``sigma² = variance of the line + τ² + mean(error²)``. The intrinsic scatter ``τ²`` of the
    window is what ``χ² = n - 2`` asks for beyond the errors, by the method of moments for a
    weighted regression [1]_, and enters the weights; it covers whatever a line cannot follow.

    References
    ----------
    .. [1] DerSimonian & Laird 1986, Controlled Clinical Trials 7, 177,
       doi:10.1016/0197-2456(86)90046-2
    """
    result = np.full(target.size, np.nan)
    sigma = np.full(target.size, np.nan)
    for i in prange(offsets.size - 1):
        points = slice(offsets[i], offsets[i + 1])
        targets = slice(target_offsets[i], target_offsets[i + 1])
        if offsets[i + 1] > offsets[i] and target_offsets[i + 1] > target_offsets[i]:
            _lines_of_curve(
                time[points],
                value[points],
                error[points],
                target[targets],
                0.5 * window,
                max_gap,
                min_points,
                result[targets],
                sigma[targets],
            )
    return result, sigma

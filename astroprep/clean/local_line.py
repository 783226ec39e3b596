"""Local lines at chosen times over ragged curves, with the error of what they say."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = [
    "CERTAIN",
    "LEAST_FACTOR",
    "LEAST_LEFT_OUT",
    "LEAST_VARIANCE",
    "TINY_PIVOT",
    "first_not_before",
    "local_linear_at",
    "one_sigma",
]

TINY_PIVOT = 1e-10  # of a normal matrix with unit diagonal: its columns are one column
CERTAIN = 1e-12  # of the values: a smaller error is rounding, not knowledge
LEAST_VARIANCE = 1e-24  # relative to that of the median error: squares of weights stay finite
ONE_SIGMA = 0.6827  # probability within one sigma of a Gaussian
MOST_LEFT_OUT = 200  # points of a curve that test the errors: the factor is good to 7 %
LEAST_FACTOR = 0.1  # no survey overstates errors tenfold; equal values tell nothing of noise
LEAST_LEFT_OUT = 20  # fewer tell less (22 %) than the errors of the survey and the residuals do


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def _line(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    extra: float,
    t: float,
    skip: int,
) -> tuple[float, float, float, float]:
    """Weighted line through the points but the one at `skip`, at `t`.

    Returns its value there, the variance of that, the sum of weighted squares of the residuals
    less its expectation, and the slope of that expectation with extra variance of the points.
    """
    s0 = s1 = s2 = q0 = q1 = q2 = 0.0
    t0 = t1 = 0.0
    n = 0
    for j in range(time.size):
        if j == skip:
            continue
        n += 1
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
    excess = 2.0 - n
    for j in range(time.size):
        if j == skip:
            continue
        residual = value[j] - a - b * (time[j] - t)
        excess += residual * residual / (variance[j] + extra)
    slope = s0 - (s2 * q0 - 2.0 * s1 * q1 + s0 * q2) / determinant
    return a, s2 / determinant, excess, slope


@njit(cache=True, error_model="numpy")
def _one_line(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    known: bool,
    t: float,
    skip: int,
) -> tuple[float, float, float]:
    """Local line at `t`, the variance of a measurement there, and what the survey says of it."""
    n = time.size - (1 if 0 <= skip < time.size else 0)
    if n < 3:
        return np.nan, np.nan, np.nan
    at, of_line, excess, slope = _line(time, value, variance, 0.0, t, skip)
    if not math.isfinite(at):
        return np.nan, np.nan, np.nan
    if not known:  # unit variances stood in: scale by what the residuals say
        scale = (excess + n - 2) / (n - 2)
        return at, scale * (1.0 + of_line), 0.0
    intrinsic = max(excess / slope, 0.0) if slope > 0 else 0.0
    if intrinsic > 0:
        at, of_line, excess, slope = _line(time, value, variance, intrinsic, t, skip)
    quoted = time.size / np.sum(1.0 / variance)  # one doubted point does not raise it
    return at, of_line + intrinsic + quoted, quoted


@njit(cache=True, error_model="numpy")
def one_sigma(deviation: NDArray[np.float64]) -> float:
    """Size that 68.27 % of the absolute deviations stay within; 1 for fewer than 20 of them."""
    if deviation.size < LEAST_LEFT_OUT:
        return 1.0
    return float(np.quantile(np.abs(deviation), ONE_SIGMA))


@njit(cache=True, error_model="numpy")
def _left_out(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    known: bool,
    half: float,
    max_gap: float,
    min_points: int,
) -> float:
    """Factor on the errors that makes one sigma hold for points of the curve left out in turn."""
    n = time.size
    stride = max(n // MOST_LEFT_OUT, 1)
    deviation = np.empty(n // stride + 1)
    m = 0
    for j in range(1, n - 1, stride):
        if time[j + 1] - time[j - 1] > max_gap:
            continue
        first = first_not_before(time, time[j] - half)
        last = j + 1
        while last < n and time[last] <= time[j] + half:
            last += 1
        if last - first - 1 < min_points:
            continue
        part = slice(first, last)
        at, predicted, _ = _one_line(
            time[part], value[part], variance[part], known, time[j], j - first
        )
        if predicted > 0:
            deviation[m] = (value[j] - at) / math.sqrt(predicted)
            m += 1
    return one_sigma(deviation[:m])


@njit(cache=True, error_model="numpy")
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
    quoted: NDArray[np.float64],
) -> None:
    known = bool(np.all(error > 0) and np.all(np.isfinite(error)))
    size = np.median(error) if known else 1.0  # in this unit no weight is too large to square
    variance = np.maximum((error / size) ** 2, LEAST_VARIANCE) if known else np.ones(error.size)
    level = np.median(value)
    scaled = (value - level) / size
    factor = -1.0
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
        if last - first < min_points:
            continue
        if factor < 0:
            factor = _left_out(time, scaled, variance, known, half, max_gap, min_points)
        part = slice(first, last)
        at, predicted, noise = _one_line(time[part], scaled[part], variance[part], known, t, -1)
        least = LEAST_FACTOR if known else 0.0
        spread = size * max(factor, least) * math.sqrt(predicted)
        at = level + size * at
        if math.isfinite(spread) and math.isfinite(at) and spread > CERTAIN * abs(at):
            result[k] = at
            sigma[k] = spread
            quoted[k] = size * math.sqrt(noise)


@njit(parallel=True, cache=True, error_model="numpy")
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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
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
    at, sigma, quoted : float64 array, shape (n_targets,)
        The line at the target, the standard deviation of a measurement there about it, and
        ``sqrt(n / sum(1 / error²))`` of the n points in the window (0 where unknown). NaN where
        the target has no point on one side within half a window, a longer gap around it, too few
        points, or where nothing tells how sure the line is (a constant curve without errors).

    Notes
    -----
    ``sigma² = f² (variance of the line + τ² + quoted²)``. The intrinsic scatter ``τ²`` of the
    window is what ``χ² = n - 2`` asks for beyond the errors, by the method of moments for a
    weighted regression [1]_, and enters the weights. The factor ``f`` is one of the curve: up to
    200 of its points are left out in turn and predicted, and 68.27 % of them shall lie within one
    sigma (1 where fewer than 20 can be predicted, never below 0.1 of known errors). It makes up
    for what a line cannot follow, for windows of few points and for errors that the survey
    quotes wrong. It holds for points missing at random; longer gaps are less sure than it says.

    References
    ----------
    .. [1] DerSimonian & Laird 1986, Controlled Clinical Trials 7, 177,
       doi:10.1016/0197-2456(86)90046-2
    """
    result = np.full(target.size, np.nan)
    sigma = np.full(target.size, np.nan)
    quoted = np.full(target.size, np.nan)
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
                quoted[targets],
            )
    return result, sigma, quoted

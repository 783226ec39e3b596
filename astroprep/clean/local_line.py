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
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
N_WIDTHS = 8  # of the window, each half of the one before
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
    if n < 3:  # the line goes through both
        return a, s2 / determinant, 0.0, 0.0
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
    t: float,
    skip: int,
) -> tuple[float, float, float]:
    """Local line at `t`, the variance of a measurement there, and what the survey says of it."""
    at, of_line, excess, slope = _line(time, value, variance, 0.0, t, skip)
    quoted = time.size / np.sum(1.0 / variance)  # one doubted point does not raise it
    intrinsic = 0.0
    if excess > 0 and slope > 0:  # two points have no excess
        intrinsic = excess / slope
        at, of_line, excess, slope = _line(time, value, variance, intrinsic, t, skip)
    return at, of_line + intrinsic + quoted, quoted


@njit(cache=True, error_model="numpy")
def one_sigma(deviation: NDArray[np.float64]) -> float:
    """Size that 68.27 % of the absolute deviations stay within; 1 for fewer than 20 of them."""
    if deviation.size < LEAST_LEFT_OUT:
        return 1.0
    return float(np.quantile(np.abs(deviation), ONE_SIGMA))


@njit(cache=True, error_model="numpy")
def _window(
    time: NDArray[np.float64], t: float, before: int, after: int, half: float
) -> tuple[int, int]:
    """Points within half a window of `t`; none where a neighbour is not."""
    if time[after] - t > half or t - time[before] > half:
        return 0, 0
    last = after + 1
    while last < time.size and time[last] <= t + half:
        last += 1
    return first_not_before(time, t - half), last


@njit(cache=True, error_model="numpy")
def _left_out(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    half: float,
    max_gap: float,
    min_points: int,
) -> tuple[int, float, float]:
    """Predict points of the curve that are left out in turn.

    Returns how many, what 68 % of them are missed by at most, and the same in predicted sigmas.
    """
    n = time.size
    stride = max(n // MOST_LEFT_OUT, 1)
    missed, deviation = np.empty(n // stride + 1), np.empty(n // stride + 1)
    m = 0
    for j in range(1, n - 1, stride):
        if time[j + 1] - time[j - 1] > max_gap:
            continue
        first, last = _window(time, time[j], j - 1, j + 1, half)
        if last - first - 1 < min_points:
            continue
        part = slice(first, last)
        at, predicted, _ = _one_line(time[part], value[part], variance[part], time[j], j - first)
        if predicted > 0:
            missed[m] = value[j] - at
            deviation[m] = missed[m] / math.sqrt(predicted)
            m += 1
    if m < LEAST_LEFT_OUT:
        return m, np.inf, 1.0
    return m, one_sigma(missed[:m]), one_sigma(deviation[:m])


@njit(cache=True, error_model="numpy")
def _choose_width(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    half: float,
    max_gap: float,
    min_points: int,
    factor: NDArray[np.float64],
) -> int:
    """Halvings of the window that miss points left out by least; fills the factor of each."""
    best, least, most = 0, np.inf, 0
    for k in range(factor.size):
        tested, missed, factor[k] = _left_out(
            time, value, variance, half / 2.0**k, max_gap, min_points
        )
        most = max(most, tested)
        if tested < max(LEAST_LEFT_OUT, most // 2):
            factor[k] = -1.0  # nothing is known of this width
            break
        if missed < least:
            best, least = k, missed
    return best


@njit(cache=True, error_model="numpy")
def _unit(value: NDArray[np.float64], error: NDArray[np.float64], known: bool) -> float:
    """Median error, or the scatter of successive points where errors are unknown."""
    if known:
        return float(np.median(error))
    if value.size < 2:
        return 0.0
    return float(np.median(np.abs(value[1:] - value[:-1])) * MAD_TO_SIGMA / math.sqrt(2.0))


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
    size = _unit(value, error, known)  # in this unit no weight is too large to square
    if not size > 0:
        return
    variance = np.maximum((error / size) ** 2, LEAST_VARIANCE) if known else np.ones(error.size)
    level = np.median(value)
    scaled = (value - level) / size
    factor, width = np.empty(N_WIDTHS), -1
    for k in range(target.size):
        t = target[k]
        right = first_not_before(time, t)
        if right == 0 or right == time.size:  # nothing on one side: never extrapolated
            continue
        if time[right] - time[right - 1] > max_gap:
            continue
        if width < 0:
            width = _choose_width(time, scaled, variance, half, max_gap, min_points, factor)
        for w in range(width, -1, -1):  # the next wider window where this one holds too little
            first, last = _window(time, t, right - 1, right, half / 2.0**w)
            if last - first < (min_points if factor[w] > 0 else max(min_points, 3)):
                continue
            part = slice(first, last)
            at, predicted, noise = _one_line(time[part], scaled[part], variance[part], t, -1)
            least = LEAST_FACTOR if known else 0.0
            scale = 1.0 if factor[w] < 0 else max(factor[w], least)
            spread = size * scale * math.sqrt(predicted)
            at = level + size * at
            if math.isfinite(spread) and math.isfinite(at) and spread > CERTAIN * abs(at):
                result[k] = at
                sigma[k] = spread
                quoted[k] = size * math.sqrt(noise) if known else 0.0
            break


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
        positive and finite counts as one without errors: the scatter of its successive points
        stands in.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    target : float64 array, shape (n_targets,)
        Where to evaluate, days, in any order, finite.
    target_offsets : int64 array, shape (n_curves + 1,)
        Targets of curve i are ``target_offsets[i]:target_offsets[i + 1]``.
    window : float
        Largest full width in days of the points that make the line. Each curve takes this, or
        its half, quarter, down to 1/128: whichever predicts points left out best. A target with
        too few points in that takes the next wider one.
    max_gap : float
        Longest distance in days of the points before and after a target.
    min_points : int
        Points that the window holds at least, 2 or more; 3 where fewer than 20 points of the
        curve can be left out.

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
    weighted regression [1]_, and enters the weights. Up to 200 points of the curve are left
    out in turn and predicted: the factor ``f`` of a width is such that 68.27 % of them lie within
    one sigma (1 where fewer than 20 can be predicted, and then the whole window is taken; never
    below 0.1 of known errors). It makes up for what a line cannot follow, for windows of few
    points and for errors that the survey quotes wrong. It holds for points missing at random,
    one by one; longer gaps are less sure than it says.

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

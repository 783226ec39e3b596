"""Local lines at chosen times over ragged curves, with the error of what they say."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.weighted_line import LEAST_LEFT_OUT, first_not_before, line_at, one_sigma
from astroprep.threads import for_objects

__all__ = ["CERTAIN", "LEAST_FACTOR", "LEAST_VARIANCE", "local_linear_at"]

CERTAIN = 1e-12  # of the values: a smaller error is rounding, not knowledge
LEAST_VARIANCE = 1e-24  # relative to that of the median error: squares of weights stay finite
MOST_LEFT_OUT = 1000  # points of a curve that test the errors: the factor is good to 3 %
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
N_WIDTHS = 8  # of the window, each half of the one before
LEAST_FACTOR = 0.1  # no survey overstates errors tenfold; equal values tell nothing of noise


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
    inner: float,
    max_gap: float,
    min_points: int,
) -> tuple[int, float, float]:
    """Predict points of the curve that are left out in turn, with all within `inner` of them.

    Returns how many, what they are missed by on average, and what 68 % of them are missed by at
    most in predicted sigmas.
    """
    n = time.size
    stride = max(n // MOST_LEFT_OUT, 1)
    missed, deviation = np.empty(n // stride + 1), np.empty(n // stride + 1)
    m = 0
    for j in range(0, n, stride):
        before, after = j - 1, j + 1
        while before >= 0 and time[j] - time[before] <= inner:
            before -= 1
        while after < n and time[after] - time[j] <= inner:
            after += 1
        if before < 0 or after == n or time[after] - time[before] > max_gap:
            continue
        first, last = _window(time, time[j], before, after, half)
        if last - first - (after - before - 1) < min_points:
            continue
        part, skip = slice(first, last), (before + 1 - first, after - first)
        at, predicted, _ = line_at(time[part], value[part], variance[part], time[j], skip)
        if predicted > 0:
            missed[m] = value[j] - at
            deviation[m] = missed[m] / math.sqrt(predicted)
            m += 1
    if m < LEAST_LEFT_OUT:
        return m, np.inf, 1.0
    return m, float(np.mean(np.abs(missed[:m]))), one_sigma(deviation[:m])


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
            time, value, variance, half / 2.0**k, 0.0, max_gap, min_points
        )
        most = max(most, tested)
        if tested < max(LEAST_LEFT_OUT, most // 2):
            factor[k] = -1.0  # nothing is known of this width
            break
        if missed < least:
            best, least = k, missed
    for k in range(best):  # taken only where the narrower ones hold too little: in a gap
        tested, missed, scale = _left_out(
            time, value, variance, half / 2.0**k, half / 2.0 ** (k + 1), max_gap, min_points
        )
        if tested >= LEAST_LEFT_OUT:
            factor[k] = scale
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
            at, predicted, noise = line_at(time[part], scaled[part], variance[part], t, (0, 0))
            least = LEAST_FACTOR if known else 0.0
            scale = 1.0 if factor[w] < 0 else max(factor[w], least)
            spread = size * scale * math.sqrt(predicted)
            at = level + size * at
            if math.isfinite(spread) and math.isfinite(at) and spread > CERTAIN * abs(at):
                result[k] = at
                sigma[k] = spread
                quoted[k] = size * math.sqrt(noise) if known else 0.0
            break


@njit(nogil=True, cache=True, error_model="numpy")
def _local_linear_at_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    window: float,
    max_gap: float,
    min_points: int,
    result: NDArray[np.float64],
    sigma: NDArray[np.float64],
    quoted: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
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
    weighted regression [1]_, and enters the weights. Up to a thousand points of the curve are left
    out in turn and predicted: the factor ``f`` of a width is such that 68.27 % of them lie within
    one sigma (1 where fewer than 20 can be predicted, and then the whole window is taken; never
    below 0.1 of known errors). It makes up for what a line cannot follow, for windows of few
    points and for errors that the survey quotes wrong. For windows that are taken for want of
    points in narrower ones, it is found with the points of the narrower ones left out too: in a
    gap the error is rather too large. It holds for points missing at random.

    References
    ----------
    .. [1] DerSimonian & Laird 1986, Controlled Clinical Trials 7, 177,
       doi:10.1016/0197-2456(86)90046-2
    """
    result = np.full(target.size, np.nan)
    sigma = np.full(target.size, np.nan)
    quoted = np.full(target.size, np.nan)
    for_objects(
        _local_linear_at_range,
        offsets.size - 1,
        time,
        value,
        error,
        offsets,
        target,
        target_offsets,
        window,
        max_gap,
        min_points,
        result,
        sigma,
        quoted,
    )
    return result, sigma, quoted

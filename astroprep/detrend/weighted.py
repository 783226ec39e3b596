"""Weighted means, medians and biweights in a moving window.

With equal weights they are those of `astroprep.detrend.average`. Every window is summed anew, so
that a step costs as much as the window has points: ten times as much for some hundred points.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.biweight import LAST_STEP, MAX_STEPS, SHORT, STEEP, TOLERANCE
from astroprep.detrend.one_window import MAD_TO_SIGMA, MEAN, MEDIAN, MEDIAN_ERROR, NO_SPREAD
from astroprep.detrend.sorted_window import nearest_points

__all__ = ["weighted_of", "weighted_run"]

# Sums of weights that should be half of all differ from it by rounding: so much is still half.
ROUNDING = 1e-12


@njit(cache=True, error_model="numpy")
def _weighted_median(
    x: NDArray[np.float64], p: NDArray[np.float64], total: float
) -> tuple[int, float]:
    """Median of values in order, and the place of the last that is not above it."""
    half, below = 0.5 * total, 0.0
    for k in range(x.size):
        below += p[k]
        if abs(below - half) <= ROUNDING * total and k + 1 < x.size:
            return k, 0.5 * (x[k] + x[k + 1])
        if below > half:
            return k, x[k]
    return x.size - 1, x[x.size - 1]


@njit(cache=True, error_model="numpy")
def _weighted_mad(
    x: NDArray[np.float64], p: NDArray[np.float64], total: float, center: float, place: int
) -> float:
    """Weighted median of the deviations from `center`, collected outwards from `place`."""
    half, within, left, right = 0.5 * total, 0.0, place, place + 1
    while True:
        before = center - x[left] if left >= 0 else np.inf
        after = x[right] - center if right < x.size else np.inf
        if before <= after:
            near = before
            within += p[left]
            left -= 1
        else:
            near = after
            within += p[right]
            right += 1
        more = left >= 0 or right < x.size
        if more and abs(within - half) <= ROUNDING * total:
            before = center - x[left] if left >= 0 else np.inf
            after = x[right] - center if right < x.size else np.inf
            return 0.5 * (near + min(before, after))
        if within > half or not more:
            return near


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _sums(
    x: NDArray[np.float64], p: NDArray[np.float64], center: float, cut: float
) -> tuple[float, float, float, float]:
    """Pull on the centre in units of the cut, its slope and second derivative, the weight."""
    pull, slope, bend, weight, inverse = 0.0, 0.0, 0.0, 0.0, 1.0 / cut
    for k in range(x.size):
        u = (x[k] - center) * inverse
        v = max(1.0 - u * u, 0.0)
        inside = p[k] if v > 0.0 else 0.0
        pull += inside * u * v * v
        slope += inside * v * (1.0 - 5.0 * u * u)
        bend += inside * u * (20.0 * u * u - 12.0)
        weight += inside * v * v
    return pull, slope, bend, weight


@njit(cache=True, error_model="numpy")
def _weighted_biweight(
    x: NDArray[np.float64], p: NDArray[np.float64], median: float, mad: float, tuning: float
) -> float:
    """Fixed point of reweighting that is reached from the median, see `biweight_of`."""
    center, cut = median, tuning * mad
    for _ in range(MAX_STEPS):
        pull, slope, bend, weight = _sums(x, p, center, cut)
        step, last = pull / slope, LAST_STEP / tuning
        if slope > STEEP * weight and abs(step) <= SHORT:
            step += 0.5 * bend / slope * step * step
        else:
            step, last = pull / weight, TOLERANCE / tuning
        center += step * cut
        if abs(step) <= last:
            break
    return center


@njit(cache=True, error_model="numpy")
def _influence_error(
    x: NDArray[np.float64], p: NDArray[np.float64], center: float, cut: float
) -> float:
    spread, slope, square = 0.0, 0.0, 0.0
    for k in range(x.size):
        u = (x[k] - center) / cut
        v = 1.0 - u * u
        if v > 0.0:
            spread += (p[k] * u * v * v) ** 2
            slope += p[k] * v * (1.0 - 5.0 * u * u)
            square += p[k] ** 2 * v * (1.0 - 5.0 * u * u)
    if not slope > 0.0:
        return np.nan
    # square / slope is the one point of the n - 1 of a variance, 1 for equal weights of 1
    return float(cut * np.sqrt(spread / max(slope * (slope - square / slope), 0.25 * slope**2)))


@njit(cache=True, error_model="numpy")
def weighted_of(
    x: NDArray[np.float64], p: NDArray[np.float64], average: int, tuning: float
) -> tuple[float, float]:
    """Weighted average of values in order, and its standard error.

    Parameters
    ----------
    x : float64 array, shape (n,)
        Values, ascending, at least one.
    p : float64 array, shape (n,)
        Weights, positive.
    average : int
        0 for the mean, 1 for the median, 2 for the biweight.
    tuning : float
        Of the biweight: values beyond so many weighted MAD have no weight.
    """
    total, squares = p.sum(), (p * p).sum()
    effective = total * total / squares  # as many equal weights give the same error
    if average == MEAN:
        mean = x[0] + (p * (x - x[0])).sum() / total
        if x.size < 2:
            return mean, np.nan
        # not through one scatter for all: where weights are 1 / error**2 it differs
        spread = ((p * (x - mean)) ** 2).sum() / (total * total)
        return mean, np.sqrt(spread * effective / max(effective - 1.0, ROUNDING))
    place, center = _weighted_median(x, p, total)
    mad = _weighted_mad(x, p, total, center, place)
    if average == MEDIAN or mad <= NO_SPREAD:
        if x.size < 2:
            return center, np.nan
        sigma = MAD_TO_SIGMA * mad * effective / (effective - 0.8)
        if mad <= NO_SPREAD:
            sigma = np.sqrt((p * (x - center) ** 2).sum() / total)
        return center, MEDIAN_ERROR * sigma / np.sqrt(effective)
    center = _weighted_biweight(x, p, center, mad, tuning)
    return center, _influence_error(x, p, center, tuning * mad)


@njit(cache=True, error_model="numpy")
def _put(x: NDArray[np.float64], p: NDArray[np.float64], m: int, new: float, weight: float) -> int:
    k = m
    while k > 0 and x[k - 1] > new:
        x[k], p[k] = x[k - 1], p[k - 1]
        k -= 1
    x[k], p[k] = new, weight
    return m + 1


@njit(cache=True, error_model="numpy")
def _take(x: NDArray[np.float64], p: NDArray[np.float64], m: int, old: float, weight: float) -> int:
    k = int(np.searchsorted(x[:m], old))
    while p[k] != weight:  # of equal values the one with this weight
        k += 1
    for j in range(k, m - 1):
        x[j], p[j] = x[j + 1], p[j + 1]
    return m - 1


@njit(cache=True, error_model="numpy")
def weighted_run(
    query: NDArray[np.float64],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    min_points: int,
    average: int,
    tuning: float,
    trend: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Weighted averages of one run of points without a gap, see `moving_average`."""
    x, p = np.empty(time.size), np.empty(time.size)
    low, high, m = 0, 0, 0
    for i in range(query.size):
        while high < time.size and time[high] < query[i] + half:
            m = _put(x, p, m, value[high], weight[high])
            high += 1
        while low < high and time[low] < query[i] - half:
            m = _take(x, p, m, value[low], weight[low])
            low += 1
        if m < min_points:
            first, last = nearest_points(time, query[i], min_points)
            order = np.argsort(value[first:last])
            near, trust = value[first:last][order], weight[first:last][order]
            trend[i], error[i] = weighted_of(near, trust, average, tuning)
        else:
            trend[i], error[i] = weighted_of(x[:m], p[:m], average, tuning)

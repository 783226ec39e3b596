"""Plain k-sigma clipping of ragged curves: asymmetric, iterated, every point on its own."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["clip_points", "fast_median"]

MAD_TO_SIGMA = 1.482602218505602  # 1 / Phi^-1(3/4): Gaussian sigma per unit of MAD
SAMPLE = 256  # points whose median tells where to look for that of all; its error is 0.08 sigma
REACH = 0.3  # look so many sample sigmas to both sides: a miss costs a second search
RETRACE = 0.1  # the same for the median after a clip, which moves less


@njit(cache=True)
def _median_near(
    value: NDArray[np.float64], guess: float, reach: float, near: NDArray[np.float64]
) -> float:
    """Median, looked for within `reach` of `guess` and, if it is not there, everywhere."""
    n, below, m = value.size, 0, 0
    floor, ceiling = guess - reach, guess + reach
    for j in range(n):  # no branches: half of them would be guessed wrongly
        v = value[j]
        below += v < floor
        near[m] = v
        m += (v >= floor) & (v <= ceiling)
    low, high = (n - 1) // 2 - below, n // 2 - below
    if low < 0 or high >= m:
        return float(np.median(value))
    parted = np.partition(near[:m], high)
    if low == high:
        return float(parted[high])
    return float(0.5 * (parted[:high].max() + parted[high]))


@njit(cache=True)
def fast_median(value: NDArray[np.float64], near: NDArray[np.float64]) -> float:
    """Median, looked for near that of a sample; `near` is room for as many numbers."""
    n = value.size
    if n < 4 * SAMPLE:
        return float(np.median(value))
    sample = np.sort(value[:: n // SAMPLE])
    m = sample.size
    sigma = (sample[(3 * m) // 4] - sample[m // 4]) / 1.35
    return _median_near(value, sample[m // 2], REACH * sigma, near)


@njit(cache=True)
def _distances(value: NDArray[np.float64], centre: float, result: NDArray[np.float64]) -> None:
    for j in range(value.size):
        result[j] = abs(value[j] - centre)


@njit(cache=True, fastmath={"reassoc", "contract"})
def _moments(value: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation in two passes."""
    total = 0.0
    for j in range(value.size):
        total += value[j]
    mean = total / value.size
    square = 0.0
    for j in range(value.size):
        square += (value[j] - mean) ** 2
    return mean, np.sqrt(square / value.size)


@njit(cache=True)
def _keep(value: NDArray[np.float64], floor: float, ceiling: float) -> int:
    """Move what the bounds leave to the front; how many they are."""
    kept = 0
    for j in range(value.size):
        v = value[j]
        value[kept] = v
        kept += (v >= floor) & (v <= ceiling)
    return kept


@njit(cache=True)
def _bounds_of(
    value: NDArray[np.float64],
    low: float,
    high: float,
    use_mean: bool,
    use_std: bool,
    iterations: int,
) -> tuple[float, float]:
    """Bounds of one curve."""
    kept, near = value.copy(), np.empty(value.size)
    away = np.empty(0 if use_std else value.size)
    floor, ceiling, median, scatter, mad = -np.inf, np.inf, 0.0, 0.0, 0.0
    for turn in range(iterations):
        mean, std = _moments(kept) if use_mean or use_std else (0.0, 0.0)
        if not (use_mean and use_std):
            if turn == 0:
                median = fast_median(kept, near)
            else:
                median = _median_near(kept, median, RETRACE * scatter, near)
        if not use_std:
            _distances(kept, median, away)
            if turn == 0:
                mad = fast_median(away[: kept.size], near)
            else:
                mad = _median_near(away[: kept.size], mad, RETRACE * mad, near)
        scatter = std if use_std else MAD_TO_SIGMA * mad
        centre = mean if use_mean else median
        left = _keep(kept, centre - low * scatter, centre + high * scatter)
        if left == 0:  # such bounds tell nothing
            break
        floor, ceiling = centre - low * scatter, centre + high * scatter
        if left == kept.size:
            break
        kept = kept[:left]
    return floor, ceiling


@njit(cache=True)
def _mark_outside(
    value: NDArray[np.float64], floor: float, ceiling: float, out: NDArray[np.bool_]
) -> None:
    for j in range(value.size):
        out[j] = (value[j] < floor) | (value[j] > ceiling)


@njit(nogil=True, cache=True)
def _clip_points_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    low: float,
    high: float,
    use_mean: bool,
    use_std: bool,
    iterations: int,
    out: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        if last > first:
            part = value[first:last]
            floor, ceiling = _bounds_of(part, low, high, use_mean, use_std, iterations)
            _mark_outside(part, floor, ceiling, out[first:last])


def clip_points(
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    low: float,
    high: float,
    use_mean: bool,
    use_std: bool,
    iterations: int,
) -> NDArray[np.bool_]:
    """Points that k-sigma clipping takes.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        In any order within each curve, finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    low, high : float
        Thresholds below and above the centre in units of the scatter.
    use_mean : bool
        The centre is the mean, otherwise the median.
    use_std : bool
        The scatter is the standard deviation, otherwise the scaled median absolute deviation.
    iterations : int
        Centre and scatter are taken at most so many times, each time of what the bounds before
        left, until they take no more.

    Returns
    -------
    bool array, shape (n_points,)
        True outside of the last bounds. Bounds that would leave no point (the mean of numbers that
        are mostly one has a MAD of zero about it) are not taken.

    Notes
    -----
    The definition is that of astropy's ``sigma_clip``, whose masks this gives: the last bounds
    judge all points, also those that earlier bounds had left out. A median after the first
    is looked for near the one before, in one pass.
    """
    out = np.empty(value.size, np.bool_)
    for_objects(
        _clip_points_range,
        offsets.size - 1,
        value,
        offsets,
        low,
        high,
        use_mean,
        use_std,
        iterations,
        out,
    )
    return out

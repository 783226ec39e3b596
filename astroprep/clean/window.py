"""Medians in a moving window over ragged curves, which never look across a gap."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["moving_median"]


@njit(cache=True)
def _count(tree: NDArray[np.int32], rank: int, change: int) -> None:
    """Add `change` to the number of points at `rank`."""
    i = rank + 1
    while i < tree.size:
        tree[i] += change
        i += i & -i


@njit(cache=True)
def _rank_of(tree: NDArray[np.int32], top: int, k: int) -> int:
    """Rank of the k-th point (from 0) among those counted in `tree`."""
    rank, left, step = 0, k + 1, top
    while step > 0:
        if rank + step < tree.size and tree[rank + step] < left:
            rank += step
            left -= tree[rank]
        step //= 2
    return rank


@njit(cache=True)
def _nearest_median(
    time: NDArray[np.float64], value: NDArray[np.float64], i: int, least: int
) -> float:
    """Median of the `least` points nearest to point i, and of all that are as near."""
    low, high, reach = i, i + 1, 0.0
    while low > 0 or high < time.size:
        before = time[i] - time[low - 1] if low > 0 else np.inf
        after = time[high] - time[i] if high < time.size else np.inf
        if high - low >= least and min(before, after) > reach:
            break
        reach = max(reach, min(before, after))
        if before <= after:
            low -= 1
        else:
            high += 1
    return float(np.median(value[low:high]))


@njit(cache=True)
def _segment_median(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    half: float,
    min_points: int,
    fallback: float,
    trend: NDArray[np.float64],
) -> None:
    """Fill `trend` for one run of points without a gap.

    A tree of partial sums over the ranks (Fenwick 1994) counts the points in the window.
    """
    n = time.size
    if n < min_points:
        trend[:] = fallback
        return
    if time[n - 1] - time[0] <= half:  # every window holds the whole run
        trend[:] = np.median(value)
        return
    order = np.argsort(value)
    rank = np.empty(n, np.int64)
    for j in range(n):
        rank[order[j]] = j
    tree = np.zeros(n + 1, np.int32)
    top = 1
    while 2 * top <= n:
        top *= 2
    left, right = 0, 0
    for i in range(n):
        while right < n and time[right] - time[i] <= half:
            _count(tree, rank[right], 1)
            right += 1
        while time[i] - time[left] > half:
            _count(tree, rank[left], -1)
            left += 1
        size = right - left
        if size < min_points:
            trend[i] = _nearest_median(time, value, i, min_points)
            continue
        upper = value[order[_rank_of(tree, top, size // 2)]]
        if size % 2:
            trend[i] = upper
        else:
            trend[i] = 0.5 * (value[order[_rank_of(tree, top, size // 2 - 1)]] + upper)


@njit(cache=True)
def _curve_median(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    half: float,
    gap: float,
    min_points: int,
    trend: NDArray[np.float64],
) -> None:
    """Fill `trend` for one curve, run by run."""
    n, first = time.size, 0
    if n == 0:
        return
    level = np.median(value)
    while first < n:
        last = first + 1
        while last < n and time[last] - time[last - 1] <= gap:
            last += 1
        _segment_median(
            time[first:last], value[first:last], half, min_points, level, trend[first:last]
        )
        first = last


@njit(nogil=True, cache=True)
def _moving_median_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    min_points: int,
    trend: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        _curve_median(
            time[first:last],
            value[first:last],
            0.5 * window,
            gap,
            min_points,
            trend[first:last],
        )


def moving_median(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    min_points: int,
) -> NDArray[np.float64]:
    """Median of the points within half a window of each point, on its side of any gap.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each curve, finite; days and any unit.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    window : float
        Full width in days; infinite for the median of the whole run.
    gap : float
        Points further apart than this, in days, are never in one window.
    min_points : int
        A window with fewer points is widened to that many of its run of points, and those as
        near; a run with fewer gives the median of the curve.

    Returns
    -------
    float64 array, shape (n_points,)
        At the ends of a run the window is cut off.

    Notes
    -----
    Time is n log n for a run of n points, whatever the window.

    References
    ----------
    .. [1] Fenwick 1994, Software: Practice and Experience 24, 327,
       doi:10.1002/spe.4380240306
    """
    trend = np.empty(time.size)
    for_objects(
        _moving_median_range, offsets.size - 1, time, value, offsets, window, gap, min_points, trend
    )
    return trend

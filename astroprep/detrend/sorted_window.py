"""The values of a sliding window, kept in order: its median and its spread are look-ups.

The window lives in ``now[1 : m + 1]``, ascending, between the sentinels ``now[0] = -inf`` and
``now[m + 1] = inf``; ``spare`` is a scratch array of the same length. Everything is for use inside
other kernels.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "exchange",
    "fill",
    "insert",
    "median_of",
    "nearest_half",
    "nearest_points",
    "remove",
]

# Up to this many values a pass over all of them, without a branch, beats a search: 15 ns against
# 35 ns a point at 37 values (Zen 4).
SHORT = 128
LANES = 8  # values that a vector unit of 512 bits holds
MIDDLE = 1024  # the block of the search is 16 below, 64 above: about the root of this


@njit(cache=True, forceinline=True, error_model="numpy")
def _rank_by(now: NDArray[np.float64], m: int, x: float, block: int) -> int:
    """Place of the first of the `m` values that is not below `x`, from 1.

    Counts over every so manieth value, then over those of one block, instead of a bisection:
    there is no branch to guess wrong, and counts become vector code.
    """
    size, below = np.uint64(block), 0
    for k in range(np.uint64(m // block)):
        below += now[size * k + size] < x
    rank = below * block + 1
    start = np.uint64(rank)
    if rank + block <= m:
        for k in range(size):
            rank += now[start + k] < x
    else:
        for k in range(start, np.uint64(m + 1)):
            rank += now[k] < x
    return rank


@njit(cache=True, error_model="numpy")
def _rank(now: NDArray[np.float64], m: int, x: float) -> int:
    return _rank_by(now, m, x, 16) if m <= MIDDLE else _rank_by(now, m, x, 64)


@njit(cache=True, error_model="numpy")
def insert(now: NDArray[np.float64], m: int, x: float) -> int:
    """Put `x` among the `m` values; returns how many there are then."""
    at, one = np.uint64(_rank(now, m, x)), np.uint64(1)
    k = np.uint64(m + 2)
    while k > at:
        now[k] = now[k - one]
        k -= one
    now[at] = x
    return m + 1


@njit(cache=True, error_model="numpy")
def remove(now: NDArray[np.float64], m: int, x: float) -> int:
    """Take `x`, which must be there, out of the `m` values; returns how many are left."""
    one = np.uint64(1)
    for k in range(np.uint64(_rank(now, m, x)), np.uint64(m + 1)):
        now[k] = now[k + one]
    return m - 1


@njit(cache=True, forceinline=True, error_model="numpy")
def exchange(now: NDArray[np.float64], m: int, old: float, new: float) -> None:
    """Replace `old`, which must be there, by `new`."""
    if m <= SHORT:
        _exchange_short(now, m, old, new)
        return
    one = np.uint64(1)
    out, into = np.uint64(_rank(now, m, old)), np.uint64(_rank(now, m, new))
    if into > out:
        for k in range(out, into - one):
            now[k] = now[k + one]
        now[into - one] = new
    else:
        for k in range(out - into):
            now[out - k] = now[out - k - one]
        now[into] = new


@njit(cache=True, forceinline=True, error_model="numpy")
def _exchange_short(now: NDArray[np.float64], m: int, old: float, new: float) -> None:
    """Do the same in one pass over all values, each from its old neighbours alone.

    Without `old` place k holds ``kept``, and the place before it ``before``; `new` then belongs
    where it lies between the two. The pass has no branch, so that it becomes vector code.
    """
    one = np.uint64(1)
    last = now[0]  # the value that stood before place k
    for k in range(one, np.uint64(m + 1)):
        here = now[k]
        kept = here if here < old else now[k + one]
        before = last if last < old else here
        most = before if before > new else new
        now[k] = kept if kept < most else most
        last = here


@njit(cache=True, error_model="numpy")
def fill(now: NDArray[np.float64], values: NDArray[np.float64]) -> int:
    """Start a window with `values`, in any order; returns how many there are."""
    m = values.size
    now[0] = -np.inf
    for k in range(m):
        now[k + 1] = values[k]
    now[1 : m + 1].sort()
    now[m + 1] = np.inf
    return m


@njit(cache=True, forceinline=True, error_model="numpy")
def median_of(now: NDArray[np.float64], m: int) -> float:
    """Median of the `m` values, of which there is at least one."""
    middle = np.uint64((m + 1) // 2)
    if m % 2:
        return float(now[middle])
    return float(0.5 * (now[middle] + now[middle + np.uint64(1)]))


@njit(cache=True, forceinline=True, error_model="numpy")
def nearest_half(now: NDArray[np.float64], m: int, center: float, first: int) -> tuple[int, float]:
    """Median absolute deviation from `center`, and the place where the nearest half begins.

    The ``k = (m + 1) // 2`` values nearest to the centre are neighbours in order, so their run
    is known by its first place, which hardly moves from one window to the next: `first` is where
    to begin to look. Its further end is the (lower) median of the deviations.
    """
    half, one, reach = (m + 1) // 2, np.uint64(1), np.uint64(LANES)
    k = np.uint64(half)
    a = np.uint64(max(min(first - LANES // 2, m - half + 1 - LANES), 1))
    if m - half >= LANES:
        start, count = a, 0
        for j in range(reach):  # a count has no branch to guess wrong
            count += center - now[start + j] > now[start + j + k] - center
        a += np.uint64(count)
    while center - now[a] > now[a + k] - center:
        a += one
    while now[a + k - one] - center > center - now[a - one]:
        a -= one
    near = max(center - now[a], now[a + k - one] - center)
    if m % 2 == 0:
        near = 0.5 * (near + min(center - now[a - one], now[a + k] - center))
    return int(a), float(near)


@njit(cache=True, error_model="numpy")
def nearest_points(time: NDArray[np.float64], t: float, least: int) -> tuple[int, int]:
    """Where those of `time` begin and end that are the `least` nearest to `t`, or as near."""
    high = int(np.searchsorted(time, t))
    low, reach = high, 0.0
    while low > 0 or high < time.size:
        before = t - time[low - 1] if low > 0 else np.inf
        after = time[high] - t if high < time.size else np.inf
        if high - low >= least and min(before, after) > reach:
            break
        reach = max(reach, min(before, after))
        if before <= after:
            low -= 1
        else:
            high += 1
    return low, high

"""Structure functions from quantiles and absolute differences, on a fair draw of the pairs."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.threads import for_objects

__all__ = ["draw_pairs", "robust_structure"]

MEAN_ABSOLUTE, IQR = 1, 2  # positions in `Definition`; the third is the median of |d|
IQR_TO_SIGMA = 1 / 1.3489795003921634
MAD_TO_SIGMA = 1 / 0.6744897501960817
# Weyl's sequence of the golden ratio (Knuth, TAOCP 3, 6.4) fills [0, 1) evenly: where in its
# share of the pairs each draw falls. No generator, so a curve gets the same draw in any batch.
GOLDEN = 0.6180339887498949


@njit(**KERNEL)
def draw_pairs(
    first: NDArray[np.int64], last: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of each point i with the points ``first[i]:last[i]``: all, or `most` evenly drawn.

    Parameters
    ----------
    first, last : int64 array, shape (n_points,)
        Windows of partners.
    most : int
        How many pairs at most.

    Returns
    -------
    int64 array, shape (n_pairs,), twice
        Both points of each pair.
    """
    total = 0
    for i in range(first.size):
        total += max(last[i] - first[i], 0)
    n = min(total, most)
    left, right = np.empty(n, np.int64), np.empty(n, np.int64)
    i, before = 0, 0
    for q in range(n):
        place = q
        if total > most:
            place = min(int((q + (q * GOLDEN) % 1.0) * total / most), total - 1)
        while place - before >= max(last[i] - first[i], 0):
            before += max(last[i] - first[i], 0)
            i += 1
        left[q], right[q] = i, first[i] + place - before
    return left, right


@njit(**KERNEL)
def _quantile(ordered: NDArray[np.float64], p: float) -> float:
    """Quantile of Hazen's plotting positions."""
    x = min(max(p * ordered.size - 0.5, 0.0), ordered.size - 1.0)
    k = min(int(x), ordered.size - 2)
    return float(ordered[k] + (x - k) * (ordered[k + 1] - ordered[k]))


@njit(**KERNEL)
def _squared(d: NDArray[np.float64], noise: NDArray[np.float64], kind: int) -> float:
    if d.size < 2:
        return math.nan
    if kind == MEAN_ABSOLUTE:
        return float(0.5 * math.pi * np.abs(d).mean() ** 2 - noise.mean())
    if kind == IQR:
        ordered = np.sort(d)
        wide = _quantile(ordered, 0.75) - _quantile(ordered, 0.25)
        return float((IQR_TO_SIGMA * wide) ** 2 - noise.mean())
    return float((MAD_TO_SIGMA * np.median(np.abs(d))) ** 2 - noise.mean())


@njit(**KERNEL)
def _one_bin(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    low: float,
    high: float,
    kind: int,
    most: int,
    n_blocks: int,
) -> tuple[float, float]:
    """SF² and its jackknife error in one bin."""
    n = time.size
    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    f = g = 0
    for i in range(n):
        while f < n and time[f] - time[i] < low:
            f += 1
        g = max(f, g)
        while g < n and time[g] - time[i] < high:
            g += 1
        first[i], last[i] = f, g
    left, right = draw_pairs(first, last, most)
    d = value[right] - value[left]
    noise = error[right] ** 2 + error[left] ** 2
    block_left, block_right = left * n_blocks // n, right * n_blocks // n
    without = np.empty(n_blocks)
    used = 0
    for b in range(n_blocks):
        keep = (block_left != b) & (block_right != b)
        kept = keep.sum()
        if 1 < kept < d.size:
            without[used] = _squared(d[keep], noise[keep], kind)
            used += 1
    spread = math.nan
    if used > 1:
        part = without[:used]
        spread = math.sqrt((used - 1.0) / used * ((part - part.mean()) ** 2).sum())
    return _squared(d, noise, kind), spread


@njit(nogil=True, **KERNEL)
def _robust_structure_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    edges: NDArray[np.float64],
    kind: int,
    most: int,
    n_blocks: int,
    squared: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        for k in range(edges.size - 1):
            squared[i, k], spread[i, k] = _one_bin(
                time[part],
                value[part],
                error[part],
                edges[k],
                edges[k + 1],
                kind,
                most,
                n_blocks,
            )


def robust_structure(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    edges: NDArray[np.float64],
    kind: int,
    most: int,
    n_blocks: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """SF² less noise and its jackknife error, from the definition `kind`.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days in ascending order in each curve; values with their errors.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    edges : float64 array, shape (n_bins + 1,)
        Days, ascending.
    kind : int
        1 mean absolute difference, 2 interquartile range, 3 median absolute difference.
    most : int
        Pairs of a bin at most.
    n_blocks : int
        Stretches of the jackknife.

    Returns
    -------
    float64 array, shape (n_curves, n_bins), twice
        NaN where there are no two pairs.
    """
    shape = (offsets.size - 1, edges.size - 1)
    squared, spread = np.full(shape, np.nan), np.full(shape, np.nan)
    for_objects(
        _robust_structure_range,
        shape[0],
        time,
        value,
        error,
        offsets,
        edges,
        kind,
        most,
        n_blocks,
        squared,
        spread,
    )
    return squared, spread

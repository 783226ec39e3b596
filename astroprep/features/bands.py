"""Several bands of one object: a curve of each, and what the bands tell together."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.bands_table import CROSS_BAND
from astroprep.features.feature import KERNEL, columns
from astroprep.threads import for_objects

__all__ = ["NIGHT", "PAIRED", "pair_statistics", "split_bands"]

NIGHT = 0.5  # days; points of two bands that are nearer than this can be a pair
GAUSSIAN_K = 0.798  # Stetson's K of Gaussian noise, sqrt(2 / π), as he rounds it

PAIRED = CROSS_BAND[4:]
"""Those that `pair_statistics` gives, in its order."""

C = columns(PAIRED)
N_PAIRED = len(PAIRED)


@njit(nogil=True, cache=True)
def _count_range(
    begin: int,
    end: int,
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    place: NDArray[np.int64],
    n_bands: int,
    counts: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        for j in range(offsets[i], offsets[i + 1]):
            where = place[band[j]]
            if where >= 0:
                counts[i * n_bands + where] += 1


def _count(
    band: NDArray[np.int16], offsets: NDArray[np.int64], place: NDArray[np.int64], n_bands: int
) -> NDArray[np.int64]:
    """Points of each curve in each band, flat."""
    counts = np.zeros((offsets.size - 1) * n_bands, np.int64)
    for_objects(_count_range, offsets.size - 1, band, offsets, place, n_bands, counts)
    return counts


@njit(nogil=True, cache=True)
def _positions_range(
    begin: int,
    end: int,
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    place: NDArray[np.int64],
    starts: NDArray[np.int64],
    n_bands: int,
    index: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        held = starts[i * n_bands : (i + 1) * n_bands].copy()
        for j in range(offsets[i], offsets[i + 1]):
            where = place[band[j]]
            if where >= 0:
                index[held[where]] = j
                held[where] += 1


def _positions(
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    place: NDArray[np.int64],
    starts: NDArray[np.int64],
    n_bands: int,
) -> NDArray[np.int64]:
    """Positions of the points, by curve, band and time."""
    index = np.empty(starts[-1], np.int64)
    for_objects(_positions_range, offsets.size - 1, band, offsets, place, starts, n_bands, index)
    return index


def split_bands(
    band: NDArray[np.int16], offsets: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort points by curve and band, so that each band of a curve is a curve of its own.

    Parameters
    ----------
    band : int16 array, shape (n_points,)
        Codes, none negative.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``, by time.
    codes : int64 array, shape (n_bands,)
        Bands that are wanted, in the order of the result.

    Returns
    -------
    index : int64 array
        Positions of the points of those bands, by curve, then band, then time.
    starts : int64 array, shape (n_curves * n_bands + 1,)
        Band b of curve i is ``starts[i * n_bands + b]:starts[i * n_bands + b + 1]``, empty
        where the curve has no such point.
    """
    highest = int(max(band.max(initial=0), codes.max(initial=0)))
    place = np.full(highest + 1, -1)
    place[codes] = np.arange(codes.size)
    counts = _count(band, offsets, place, codes.size)
    starts = np.concatenate(([0], np.cumsum(counts)))
    return _positions(band, offsets, place, starts, codes.size), starts


@njit(**KERNEL)
def _pairs(
    t: NDArray[np.float64], u: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of points of two ascending series that are nearest to each other."""
    first, second = np.empty(t.size, np.int64), np.empty(t.size, np.int64)
    held = i = j = 0
    while i < t.size and j < u.size:
        gap = abs(t[i] - u[j])
        if i + 1 < t.size and abs(t[i + 1] - u[j]) < gap:
            i += 1
        elif j + 1 < u.size and abs(t[i] - u[j + 1]) < gap:
            j += 1
        else:
            if gap < NIGHT:
                first[held], second[held] = i, j
                held += 1
                i += 1
                j += 1
            elif t[i] < u[j]:
                i += 1
            else:
                j += 1
    return first[:held], second[:held]


@njit(**KERNEL)
def _deviations(
    x: NDArray[np.float64], e: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, float]:
    """Values about their weighted mean in errors, with the sums of their sizes and squares."""
    n = x.size
    weights = weighted = 0.0
    for j in range(n):
        w = 1.0 / (e[j] * e[j])
        weights += w
        weighted += w * (x[j] - x[0])
    level, unbiased = weighted / weights, math.sqrt(n / (n - 1.0))
    d = np.empty(n)
    size = square = 0.0
    for j in range(n):
        d[j] = unbiased * ((x[j] - x[0]) - level) / e[j]
        size += abs(d[j])
        square += d[j] * d[j]
    return d, size, square


@njit(**KERNEL)
def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's correlation; NaN where one does not vary."""
    n = x.size
    mean_x = mean_y = 0.0
    for j in range(n):
        mean_x += x[j] - x[0]
        mean_y += y[j] - y[0]
    mean_x, mean_y = mean_x / n, mean_y / n
    xx = yy = xy = 0.0
    for j in range(n):
        dx, dy = (x[j] - x[0]) - mean_x, (y[j] - y[0]) - mean_y
        xx += dx * dx
        yy += dy * dy
        xy += dx * dy
    return min(max(xy / math.sqrt(xx * yy), -1.0), 1.0) if xx > 0 and yy > 0 else np.nan


@njit(**KERNEL)
def _one_pair(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    u: NDArray[np.float64],
    y: NDArray[np.float64],
    f: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Statistics of two bands of one object; gives the number of pairs."""
    first, second = _pairs(t, u)
    n = first.size
    if n == 0:
        return 0
    if n > 2:
        out[C.PAIR_CORRELATION] = _correlation(x[first], y[second])
    d, size, square = _deviations(x, e)
    g, more_size, more_square = _deviations(y, f)
    index = total = 0.0
    for k in range(n):
        product = d[first[k]] * g[second[k]]
        index += product
        total += math.copysign(math.sqrt(abs(product)), product)
    if n > 1:
        out[C.WELCH_STETSON_I] = index / math.sqrt(n * (n - 1.0))
    out[C.PAIR_STETSON_J] = total / n
    points, squares = t.size + u.size, square + more_square
    if squares > 0:
        k_index = (size + more_size) / math.sqrt(points * squares)
        out[C.PAIR_STETSON_L] = total / n * k_index / GAUSSIAN_K
    return int(n)


@njit(nogil=True, **KERNEL)
def _pair_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    starts: NDArray[np.int64],
    first: int,
    n_bands: int,
    result: NDArray[np.float64],
    pairs: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        at = i * n_bands + first
        a, b = slice(starts[at], starts[at + 1]), slice(starts[at + 1], starts[at + 2])
        if starts[at + 1] - starts[at] >= 2 and starts[at + 2] - starts[at + 1] >= 2:
            pairs[i] = _one_pair(
                time[a], value[a], error[a], time[b], value[b], error[b], result[i]
            )


def pair_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    starts: NDArray[np.int64],
    first: int,
    n_bands: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Statistics of points of two bands that were taken together, one row an object.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        As `split_bands` sorts them.
    starts : int64 array, shape (n_curves * n_bands + 1,)
        Its second result.
    first, n_bands : int
        Place of the first of the two bands, the other is the next; and how many there are.

    Returns
    -------
    rows : float64 array, shape (n_curves, len(PAIRED))
        NaN where the table says so, and with fewer than two points in a band.
    pairs : int64 array, shape (n_curves,)
        Pairs that were found.
    """
    n_curves = (starts.size - 1) // n_bands
    result = np.full((n_curves, N_PAIRED), np.nan)
    pairs = np.zeros(n_curves, np.int64)
    for_objects(
        _pair_statistics_range, n_curves, time, value, error, starts, first, n_bands, result, pairs
    )
    return result, pairs

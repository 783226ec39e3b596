"""Pairs of points on a grid of time and brightness difference, exact or sampled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from astroprep.threads import for_objects

__all__ = ["MAX_PAIRS", "count_pairs"]

MAX_PAIRS = 2_000_000
"""Pairs of one curve that are looked at one by one; all of them up to 2,000 points."""

CELLS = 4096  # of the table that guesses the bin of a brightness difference
REACH = 6.5  # sigma; beyond lie 8e-11 of a Gaussian
NODES = 64  # a sigma; cubic pieces between them err by less than 1e-10
_X = np.arange(-int(REACH * NODES), int(REACH * NODES) + 2) / NODES
_CDF = np.ascontiguousarray(ndtr(_X))
_PDF = np.ascontiguousarray(np.exp(-0.5 * _X**2) / math.sqrt(2 * math.pi) / NODES)  # a node


@njit(cache=True, inline="always")
def _gaussian_cdf(x: float, cdf: NDArray[np.float64], pdf: NDArray[np.float64]) -> float:
    """Distribution function of the unit Gaussian by a cubic Hermite piece."""
    if x <= -REACH:
        return 0.0
    if x >= REACH:
        return 1.0
    at = (x + REACH) * NODES
    k = int(at)
    u = at - k
    v = 1.0 - u
    return float(
        v * v * ((1.0 + 2.0 * u) * cdf[k] + u * pdf[k])
        + u * u * ((1.0 + 2.0 * v) * cdf[k + 1] - v * pdf[k + 1])
    )


@njit(cache=True, inline="always")
def _bin_of(
    x: float, edges: NDArray[np.float64], guess: NDArray[np.int16], low: float, scale: float
) -> int:
    """Bin of x, which lies in the range of the edges; exact, whatever the guess."""
    k = int(guess[min(int((x - low) * scale), CELLS - 1)])
    while x < edges[k]:
        k -= 1
    while x >= edges[k + 1]:
        k += 1
    return k


@njit(cache=True, inline="always")
def _add(
    dm: float,
    variance: float,
    share: float,
    row: NDArray[np.float64],
    edges: NDArray[np.float64],
    guess: NDArray[np.int16],
    scale: float,
    cdf: NDArray[np.float64],
    pdf: NDArray[np.float64],
) -> None:
    """Put one pair, `share` times, into a row of one time difference."""
    low, high = edges[0], edges[-1]
    sigma = math.sqrt(variance)
    if sigma < 1e-150:  # no error, or one whose inverse overflows: the pair is a point
        if low <= dm < high:
            row[_bin_of(dm, edges, guess, low, scale)] += share
        return
    first, last = dm - REACH * sigma, dm + REACH * sigma
    if first >= high or last <= low:
        return
    k = 0 if first <= low else _bin_of(first, edges, guess, low, scale)
    below = _gaussian_cdf((edges[k] - dm) / sigma, cdf, pdf)
    while k < row.size:
        above = _gaussian_cdf((edges[k + 1] - dm) / sigma, cdf, pdf)
        row[k] += share * (above - below)
        if edges[k + 1] >= last:
            break
        below = above
        k += 1


@njit(cache=True)
def _all_pairs(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    dt_edges: NDArray[np.float64],
    dm_edges: NDArray[np.float64],
    guess: NDArray[np.int16],
    scale: float,
    cdf: NDArray[np.float64],
    pdf: NDArray[np.float64],
    out: NDArray[np.float64],
    pairs: NDArray[np.int64],
) -> None:
    n, n_dt = t.size, dt_edges.size - 1
    low, high = dm_edges[0], dm_edges[-1]
    spread = e.size > 0
    for i in range(n):
        j = i + 1
        while j < n and t[j] - t[i] < dt_edges[0]:
            j += 1
        for k in range(n_dt):
            start, upper, row = j, dt_edges[k + 1], out[k]
            if spread:
                while j < n and t[j] - t[i] < upper:
                    variance = e[i] * e[i] + e[j] * e[j]
                    _add(x[j] - x[i], variance, 1.0, row, dm_edges, guess, scale, cdf, pdf)
                    j += 1
            else:
                while j < n and t[j] - t[i] < upper:
                    dm = x[j] - x[i]
                    if low <= dm < high:
                        row[_bin_of(dm, dm_edges, guess, low, scale)] += 1.0
                    j += 1
            pairs[k] += j - start
            if j == n:
                break


@njit(cache=True)
def _pairs_in_rows(
    t: NDArray[np.float64], dt_edges: NDArray[np.float64], pairs: NDArray[np.int64]
) -> None:
    """Exact number of pairs in each row, in time O(points x rows)."""
    n = t.size
    place = np.zeros(dt_edges.size, np.int64)
    for i in range(n):
        for k in range(place.size):
            j = max(place[k], i + 1)
            while j < n and t[j] - t[i] < dt_edges[k]:
                j += 1
            place[k] = j
            if k > 0:
                pairs[k - 1] += place[k] - place[k - 1]


@njit(cache=True)
def _quotas(pairs: NDArray[np.int64], max_pairs: int) -> NDArray[np.int64]:
    """Pairs to look at in each row: all of the thin rows, what is left evenly in the others."""
    quota = np.zeros_like(pairs)
    order = np.argsort(pairs)
    left = max_pairs
    for place in range(order.size):
        k = order[place]
        quota[k] = min(pairs[k], max(left // (order.size - place), 1))
        left -= quota[k]
    return quota


@njit(cache=True, inline="always")
def _random(seed: np.uint64, row: int, stratum: int) -> np.uint64:
    """Random bits that depend on nothing but the three numbers (splitmix64)."""
    z = seed + np.uint64(row + 1) * np.uint64(0xD1B54A32D192ED03)
    z += np.uint64(stratum + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _sampled_row(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    k: int,
    n_pairs: int,
    quota: int,
    seed: np.uint64,
    dt_edges: NDArray[np.float64],
    dm_edges: NDArray[np.float64],
    guess: NDArray[np.int16],
    scale: float,
    cdf: NDArray[np.float64],
    pdf: NDArray[np.float64],
    row: NDArray[np.float64],
) -> None:
    """One pair out of each of `quota` runs of neighbouring pairs, standing for its run."""
    n = t.size
    spread = e.size > 0
    first = last = before = stratum = 0
    begin, end = 0, n_pairs // quota
    wanted = begin + int(_random(seed, k, 0) % np.uint64(end - begin))
    for i in range(n):
        first, last = max(first, i + 1), max(last, i + 1)
        while first < n and t[first] - t[i] < dt_edges[k]:
            first += 1
        while last < n and t[last] - t[i] < dt_edges[k + 1]:
            last += 1
        while stratum < quota and wanted < before + last - first:
            j = first + wanted - before
            variance = e[i] * e[i] + e[j] * e[j] if spread else 0.0
            share = float(end - begin)
            _add(x[j] - x[i], variance, share, row, dm_edges, guess, scale, cdf, pdf)
            stratum += 1
            begin, end = end, (stratum + 1) * n_pairs // quota
            if stratum < quota:
                wanted = begin + int(_random(seed, k, stratum) % np.uint64(end - begin))
        before += last - first


@njit(nogil=True, cache=True)
def _count_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    dt_edges: NDArray[np.float64],
    dm_edges: NDArray[np.float64],
    guess: NDArray[np.int16],
    cdf: NDArray[np.float64],
    pdf: NDArray[np.float64],
    max_pairs: int,
    seed: np.uint64,
    n_dt: int,
    counts: NDArray[np.float64],
    pairs: NDArray[np.int64],
    looked_at: NDArray[np.int64],
    scale: float,
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        t, x = time[a:b], value[a:b]
        e = error[a:b] if error.size > 0 else error
        n = b - a
        sampled = n * (n - 1) // 2 > max_pairs
        if sampled:
            _pairs_in_rows(t, dt_edges, pairs[i])
            sampled = pairs[i].sum() > max_pairs
            if not sampled:
                pairs[i] = 0
        if not sampled:
            _all_pairs(t, x, e, dt_edges, dm_edges, guess, scale, cdf, pdf, counts[i], pairs[i])
            looked_at[i] = pairs[i]
            continue
        looked_at[i] = _quotas(pairs[i], max_pairs)
        for k in range(n_dt):
            if pairs[i, k] > 0:
                _sampled_row(
                    t,
                    x,
                    e,
                    k,
                    pairs[i, k],
                    looked_at[i, k],
                    seed,
                    dt_edges,
                    dm_edges,
                    guess,
                    scale,
                    cdf,
                    pdf,
                    counts[i, k],
                )


def _count(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    dt_edges: NDArray[np.float64],
    dm_edges: NDArray[np.float64],
    guess: NDArray[np.int16],
    cdf: NDArray[np.float64],
    pdf: NDArray[np.float64],
    max_pairs: int,
    seed: np.uint64,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    n_curves, n_dt, n_dm = offsets.size - 1, dt_edges.size - 1, dm_edges.size - 1
    counts = np.zeros((n_curves, n_dt, n_dm))
    pairs = np.zeros((n_curves, n_dt), np.int64)
    looked_at = np.zeros((n_curves, n_dt), np.int64)
    scale = CELLS / (dm_edges[-1] - dm_edges[0])
    for_objects(
        _count_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        dt_edges,
        dm_edges,
        guess,
        cdf,
        pdf,
        max_pairs,
        seed,
        n_dt,
        counts,
        pairs,
        looked_at,
        scale,
    )
    return counts, pairs, looked_at


def count_pairs(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64] | None,
    offsets: NDArray[np.int64],
    dt_edges: NDArray[np.float64],
    dm_edges: NDArray[np.float64],
    max_pairs: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """`dmdt_counts` of checked arguments."""
    cells = dm_edges[0] + np.arange(CELLS) * ((dm_edges[-1] - dm_edges[0]) / CELLS)
    guess = np.clip(np.searchsorted(dm_edges, cells, "right") - 1, 0, dm_edges.size - 2)
    made: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]] = _count(
        time,
        value,
        np.empty(0) if error is None else error,
        offsets,
        dt_edges,
        dm_edges,
        guess.astype(np.int16),
        _CDF,
        _PDF,
        max_pairs,
        np.uint64(seed),
    )
    return made

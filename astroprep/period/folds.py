"""What one trial period makes of a curve: nested Fourier fits, statistics of the fold."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit

__all__ = ["ENTROPY_LEVELS", "fold_statistics", "levels", "nested_fit", "usable_harmonics"]

FINE_BINS = 40  # an eclipse of 1/20 of the period still fills two
ENTROPY_BINS = 10  # phase bins of the conditional entropy
ENTROPY_LEVELS = 5  # and its brightness levels, equally filled


@njit(cache=True)
def usable_harmonics(n_points: int, wanted: int) -> int:
    """As many harmonics as wanted, but four points for each coefficient pair."""
    return int(max(1, min(wanted, (n_points - 3) // 4)))


@njit(cache=True)
def nested_fit(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    share: NDArray[np.float64],
) -> None:
    """Shares of variance explained by 1, 2, ..., `n_harmonics` harmonics, from one fit.

    The Cholesky factor L that `harmonic_fit` leaves behind and its solution x give back
    ``y = L' x``, whose squares are what each column adds to the columns before it.

    Parameters
    ----------
    time, weight, weighted, frequency, n_harmonics, work, matrix, coefficient
        As for `harmonic_fit`.
    share : float64 array, shape (at least n_harmonics,)
        Filled; entries past `n_harmonics` repeat the last one.
    """
    harmonic_fit(time, weight, weighted, frequency, n_harmonics, work, matrix, coefficient)
    total = 0.0
    for h in range(share.size):
        if h < n_harmonics:
            for k in (2 * h, 2 * h + 1):
                y = 0.0
                for i in range(k, 2 * n_harmonics):
                    if matrix[i, k] < np.inf:  # a left-out column is marked by an infinite pivot
                        y += matrix[i, k] * coefficient[i]
                total += y * y
        share[h] = min(max(total, 0.0), 1.0)


@njit(cache=True)
def levels(value: NDArray[np.float64], n_levels: int) -> NDArray[np.int64]:
    """Number of the equally filled brightness level of each point."""
    order = np.argsort(value, kind="mergesort")
    level = np.empty(value.size, np.int64)
    for rank in range(value.size):
        level[order[rank]] = rank * n_levels // value.size
    return level


@njit(cache=True)
def _adjusted(explained: float, n: int, occupied: int) -> float:
    """Share explained by bins, corrected for their number; 0 where bins are as many as points."""
    if n - occupied < 2:
        return 0.0
    return max(1.0 - (1.0 - explained) * (n - 1) / (n - occupied), -1.0)


@njit(cache=True)
def fold_statistics(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    value: NDArray[np.float64],
    level: NDArray[np.int64],
    frequency: float,
    phase: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Dispersion, string length and conditional entropy of a folded curve.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    value : float64 array, shape (n_points,)
        Standardised values, ``weighted / weight``.
    level : int64 array, shape (n_points,)
        From `levels`.
    frequency : float
        Cycles per day.
    phase : float64 array, shape (n_points,)
        Overwritten.
    out : float64 array, shape (5,)
        Filled: share of variance explained by 40, 20 and 10 phase bins, adjusted for their
        number; squared steps from point to point of the sorted fold over those of a random
        order; conditional entropy over the largest possible.
    """
    n = time.size
    mass = np.zeros(FINE_BINS)
    height = np.zeros(FINE_BINS)
    count = np.zeros((ENTROPY_BINS, ENTROPY_LEVELS))
    for j in range(n):
        cycles = frequency * time[j]
        p = cycles - np.floor(cycles)
        phase[j] = p
        b = min(int(p * FINE_BINS), FINE_BINS - 1)
        mass[b] += weight[j]
        height[b] += weighted[j]
        count[b * ENTROPY_BINS // FINE_BINS, level[j]] += 1.0
    for column, merged in ((0, 1), (1, 2), (2, 4)):
        explained = 0.0
        occupied = 0
        for b in range(0, FINE_BINS, merged):
            m = 0.0
            h = 0.0
            for k in range(b, b + merged):
                m += mass[k]
                h += height[k]
            if m > 0:
                explained += h * h / m
                occupied += 1
        out[column] = _adjusted(explained, n, occupied)
    order = np.argsort(phase[:n], kind="quicksort")
    steps = 0.0
    scatter = 0.0
    mean = value.mean()
    before = value[order[n - 1]]
    for j in range(n):
        here = value[order[j]]
        steps += (here - before) ** 2
        scatter += (here - mean) ** 2
        before = here
    out[3] = min(0.5 * steps / scatter, 2.0) if scatter > 0 else 1.0
    entropy = 0.0
    for b in range(ENTROPY_BINS):
        m = count[b].sum()
        for k in range(ENTROPY_LEVELS):
            if count[b, k] > 0:
                entropy += count[b, k] * np.log(m / count[b, k])
    out[4] = entropy / (n * np.log(ENTROPY_LEVELS))

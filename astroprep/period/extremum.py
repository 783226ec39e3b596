"""Where a folded light curve is brightest: the top of a smooth curve through its points."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["GRID", "WIDTHS", "brightest_phase"]

GRID = 256  # phases of the smooth curve
WIDTHS = np.array([1, 2, 4, 8, 16, 32])  # half widths of the smoothing, grid steps: 1/256 to 1/8


@njit(cache=True)
def _smooth(
    total: NDArray[np.float64], weight: NDArray[np.float64], half: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sums smoothed around the circle by a biweight kernel that is 1 in the middle."""
    smooth_total, smooth_weight = np.zeros(GRID), np.zeros(GRID)
    for shift in range(-half, half + 1):
        u = shift / (half + 1.0)
        kernel = (1.0 - u * u) ** 2
        for k in range(GRID):
            other = (k + shift) % GRID
            smooth_total[k] += kernel * total[other]
            smooth_weight[k] += kernel * weight[other]
    return smooth_total, smooth_weight


@njit(cache=True)
def _error_left_out(
    cell: NDArray[np.int64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    total: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> float:
    """Weighted mean square error of predicting each point by the others, value of mean zero."""
    error = 0.0
    for j in range(value.size):
        k = cell[j]
        rest = sums[k] - weight[j]
        alone = rest <= 1e-9 * weight[j]
        predicted = 0.0 if alone else (total[k] - weight[j] * value[j]) / rest
        error += weight[j] * (value[j] - predicted) ** 2
    return error


@njit(cache=True)
def _top(curve: NDArray[np.float64], there: NDArray[np.bool_]) -> float:
    """Phase of the largest value, between the grid steps by a parabola."""
    best = -1
    for k in range(GRID):
        if there[k] and (best < 0 or curve[k] > curve[best]):
            best = k
    first = last = best  # a level top is as wide as its equal values
    level = there & (curve == curve[best])
    while last - best < GRID and level[(last + 1) % GRID]:
        last += 1
    while best - first < GRID and level[(first - 1) % GRID]:
        first -= 1
    if last > first:
        return (0.5 * (first + last) + 0.5) / GRID
    left, right = (best - 1) % GRID, (best + 1) % GRID
    shift = 0.0
    if there[left] and there[right]:
        bend = curve[left] - 2.0 * curve[best] + curve[right]
        if bend < 0.0:
            shift = 0.5 * (curve[left] - curve[right]) / bend
    return (best + 0.5 + shift) / GRID


@njit(nogil=True, cache=True)
def _brightest_phase_range(
    begin: int,
    end: int,
    phase: NDArray[np.float64],
    bright: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    found: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        value = bright[part].copy()
        if value.size == 0 or value.max() == value.min():
            continue
        known = error[part]
        weight = np.ones(value.size)
        if np.all(np.isfinite(known) & (known > 0)):
            weight = (known.min() / known) ** 2
        weight /= weight.sum()
        value -= (weight * value).sum()
        value /= np.abs(value).max()
        cell = np.minimum((phase[part] * GRID).astype(np.int64), GRID - 1)
        total, sums = np.zeros(GRID), np.zeros(GRID)
        for j in range(value.size):
            total[cell[j]] += weight[j] * value[j]
            sums[cell[j]] += weight[j]
        least = np.inf
        for half in WIDTHS:
            smooth, sum_ = _smooth(total, sums, half)
            left = _error_left_out(cell, value, weight, smooth, sum_)
            if left < least:
                least = left
                there = sum_ > 0.0
                curve = np.where(there, smooth / np.where(there, sum_, 1.0), 0.0)
                found[i] = _top(curve, there)
        found[i] -= np.floor(found[i])
        if found[i] >= 1.0:
            found[i] = 0.0


def brightest_phase(
    phase: NDArray[np.float64],
    bright: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Phase at which each folded curve is brightest.

    Parameters
    ----------
    phase : float64 array, shape (n_points,)
        In [0, 1).
    bright : float64 array, shape (n_points,)
        Any unit in which large is what is looked for.
    error : float64 array, shape (n_points,)
        Its error; where one of a curve is not positive and finite, all its points weigh the same.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_curves,)
        In [0, 1); 0 for a curve without points or without a change.

    Notes
    -----
    The smooth curve is the error-weighted mean under a biweight kernel on the circle, at 256
    phases. Its width, from 1/256 to 1/8 of the period to either side, is the one that best
    predicts each point from the others. A mean never leaves the range of the points, so a gap in
    the phases cannot hold a false peak, as it can in a Fourier fit; the price is that a lopsided
    peak moves to its gentler side by a part of the width.

    References
    ----------
    .. [1] Nadaraya 1964, Theory Probab. Appl. 9, 141, doi:10.1137/1109020
    .. [2] Stone 1974, JRSS B 36, 111, doi:10.1111/j.2517-6161.1974.tb00994.x (leaving one out)
    """
    found = np.zeros(offsets.size - 1)
    for_objects(_brightest_phase_range, offsets.size - 1, phase, bright, error, offsets, found)
    return found

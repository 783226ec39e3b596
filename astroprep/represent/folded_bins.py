"""Folded light curves as means and variances of bins, aligned in phase, nothing filled in."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["Align", "FoldedBins", "bin_folds"]

Align = Literal["faintest", "brightest"]

GAUSSIAN_90 = 3.2897  # width of the central 90 % of a Gaussian, in sigma
HARMONICS = 4  # of the fit that finds phase zero
JITTER = 0.1  # sigma of the curve; what so few harmonics leave, added to the errors of that fit
FINE = 256  # phases at which that fit is looked at
LEAST_WEIGHT = 1e-12  # of a point, relative to the best of its curve


class FoldedBins(NamedTuple):
    """What `bin_folds` gives.

    Parameters
    ----------
    mean : float64 array, shape (n_curves, n_bins)
        Error-weighted mean of the standardised brightness, bright up; 0 in an empty bin.
    variance : float64 array, shape (n_curves, n_bins)
        Of that mean; infinite in an empty bin.
    epoch : float64 array, shape (n_curves,)
        Time of phase zero, days, the centre of bin 0; within the period after the first point.
    level, scale : float64 array, shape (n_curves,)
        Median and robust sigma of the curve, in its unit.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    epoch: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]


@njit(cache=True)
def _level_and_scale(value: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float]:
    """Median, and sigma from the central 90 %, which sees eclipses and ignores outliers."""
    ordered = np.sort(value)
    n = ordered.size
    low, high = 0.05 * (n - 1), 0.95 * (n - 1)
    i, j = int(low), min(int(high), n - 2)
    width = (ordered[j] + (high - j) * (ordered[j + 1] - ordered[j])) - (
        ordered[i] + (low - i) * (ordered[i + 1] - ordered[i])
    )
    scale = width / GAUSSIAN_90
    if not scale > 0:
        scale = float(np.median(error))
    return float(np.median(value)), scale if scale > 0 else 1.0


@njit(cache=True)
def _solve_positive(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """Solve a x = b in place; a is symmetric and positive definite."""
    n = b.size
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(total) if i == j else total / a[j, j]
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]


@njit(cache=True)
def _basis(phase: float, row: NDArray[np.float64]) -> None:
    row[0] = 1.0
    for h in range(1, HARMONICS + 1):
        row[2 * h - 1] = math.cos(2 * math.pi * h * phase)
        row[2 * h] = math.sin(2 * math.pi * h * phase)


@njit(cache=True)
def _phase_zero(
    phase: NDArray[np.float64], z: NDArray[np.float64], noise: NDArray[np.float64], sign: float
) -> float:
    """Phase at which ``sign`` times a short Fourier series of the curve is largest.

    The series has a Gaussian prior of sigma 1 / h on harmonic h: it holds the series across a
    gap, and a curve of a few points has one too.
    """
    size = 2 * HARMONICS + 1
    a, b, row = np.zeros((size, size)), np.zeros(size), np.empty(size)
    a[0, 0] = 1e-3
    for h in range(1, HARMONICS + 1):
        a[2 * h - 1, 2 * h - 1] = a[2 * h, 2 * h] = h * h
    for j in range(z.size):
        weight = 1.0 / (noise[j] * noise[j] + JITTER * JITTER)
        _basis(phase[j], row)
        for k in range(size):
            b[k] += weight * row[k] * z[j]
            for m in range(k + 1):
                a[k, m] += weight * row[k] * row[m]
    _solve_positive(a, b)
    curve = np.empty(FINE)
    for k in range(FINE):
        _basis(k / FINE, row)
        curve[k] = sign * (row * b).sum()
    best = int(np.argmax(curve))
    left, right = curve[best - 1], curve[(best + 1) % FINE]
    bend = left - 2.0 * curve[best] + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    at = (best + min(max(shift, -0.5), 0.5)) / FINE
    return at - math.floor(at)


@njit(cache=True)
def _fill_bins(
    phase: NDArray[np.float64],
    z: NDArray[np.float64],
    weight: NDArray[np.float64],
    best: float,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    """Weighted mean of each bin and its variance, from the errors and from the scatter."""
    n_bins = mean.size
    where = np.empty(z.size, np.int64)
    total = np.zeros(n_bins)
    for j in range(z.size):
        k = int(phase[j] * n_bins + 0.5) % n_bins  # bin 0 is centred on phase 0
        where[j] = k
        total[k] += weight[j]
        mean[k] += weight[j] * z[j]
    filled = 0
    for k in range(n_bins):
        if total[k] > 0:
            mean[k] /= total[k]
            filled += 1
    spread = 0.0
    for j in range(z.size):
        spread += weight[j] * (z[j] - mean[where[j]]) ** 2
    freedom = z.size - filled
    unit = best * best  # variance of a point of weight 1
    if freedom > 0:
        unit = max(unit, spread / freedom)
    for k in range(n_bins):
        variance[k] = unit / total[k] if total[k] > 0 else np.inf


@njit(nogil=True, cache=True)
def _bin_folds_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    bright: float,
    align: float,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    epoch: NDArray[np.float64],
    level: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        level[i], scale[i] = _level_and_scale(value[a:b], error[a:b])
        z = bright * (value[a:b] - level[i]) / scale[i]
        noise = error[a:b] / scale[i]
        turns = (time[a:b] - time[a]) / period[i]
        phase = turns - np.floor(turns)
        zero = _phase_zero(phase, z, noise, align)
        epoch[i] = time[a] + zero * period[i]
        best = noise.min()
        weight = np.maximum((error[a:b].min() / error[a:b]) ** 2, LEAST_WEIGHT)
        phase = phase - zero
        _fill_bins(phase - np.floor(phase), z, weight, best, mean[i], variance[i])


def _bin_folds(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_bins: int,
    bright: float,
    align: float,
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    n = offsets.size - 1
    mean, variance = np.zeros((n, n_bins)), np.empty((n, n_bins))
    epoch, level, scale = np.empty(n), np.empty(n), np.empty(n)
    for_objects(
        _bin_folds_range,
        n,
        time,
        value,
        error,
        offsets,
        period,
        bright,
        align,
        mean,
        variance,
        epoch,
        level,
        scale,
    )
    return mean, variance, epoch, level, scale


def bin_folds(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_bins: int,
    *,
    bright_is_small: bool,
    align: Align = "faintest",
) -> FoldedBins:
    """Fold each light curve into bins that start at a phase of its own.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted within each curve.
    value, error : float64 array, shape (n_points,)
        Magnitude or flux, any unit, and its error; ``error > 0``, no NaN, two points a curve at
        least.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days, positive.
    n_bins : int
        Bins of the circle.
    bright_is_small : bool
        True for magnitudes.
    align : {"faintest", "brightest"}, default "faintest"
        What stands at phase zero.

    Returns
    -------
    FoldedBins
        Means, variances, and what was taken out. A later start of the observations changes
        none of the bins by more than rounding.

    Notes
    -----
    Values are standardised by the median and the width of their central 90 %. Phase zero is the
    extremum of a Fourier series of four harmonics that is fitted to the points with a prior of
    1 / h on harmonic h, not the extreme bin, which a single outlier could be.

    The variance of a mean is ``s² / sum(1 / e²)`` with s² the reduced chi squared of the points
    about the means of their bins, 1 at least: where error bars are too small, or the curve does
    not repeat, the scatter counts.
    """
    return FoldedBins(
        *_bin_folds(
            time,
            value,
            error,
            offsets,
            np.ascontiguousarray(period, np.float64),
            n_bins,
            -1.0 if bright_is_small else 1.0,
            -1.0 if align == "faintest" else 1.0,
        )
    )

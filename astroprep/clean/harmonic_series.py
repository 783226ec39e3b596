"""Fourier series at chosen times over ragged curves, with the error of what they say."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.local_line import CERTAIN, LEAST_FACTOR, LEAST_VARIANCE
from astroprep.clean.weighted_line import LEAST_LEFT_OUT, TINY_PIVOT, first_not_before, one_sigma
from astroprep.threads import for_objects

__all__ = ["harmonic_at"]


@njit(cache=True, error_model="numpy")
def _row(time: float, frequency: float, row: NDArray[np.float64]) -> None:
    """One, and cosine and sine of each harmonic."""
    turns = time * frequency
    angle = 2.0 * math.pi * (turns - math.floor(turns))
    row[0] = 1.0
    for k in range(1, (row.size + 1) // 2):
        row[2 * k - 1] = math.cos(k * angle)
        row[2 * k] = math.sin(k * angle)


@njit(cache=True, error_model="numpy")
def _factor(matrix: NDArray[np.float64]) -> bool:
    """Cholesky factor in the lower triangle; False where the columns are not independent."""
    for i in range(len(matrix)):
        scale = matrix[i, i]
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not total > TINY_PIVOT * scale:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    return True


@njit(cache=True, error_model="numpy")
def _forward(factor: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Right-hand side, in place: becomes L⁻¹ right."""
    for i in range(right.size):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * right[k]
        right[i] = total / factor[i, i]


@njit(cache=True, error_model="numpy")
def _series(
    design: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    extra: float,
    factor: NDArray[np.float64],
    solution: NDArray[np.float64],
) -> tuple[bool, float, float]:
    """Weighted least squares; `factor` and `solution` (L⁻¹ of the right side) are filled.

    Returns whether it could be solved, and excess and slope as in `_line`.
    """
    n, p = design.shape
    factor[:] = 0.0
    solution[:] = 0.0
    for j in range(n):
        w = 1.0 / (variance[j] + extra)
        for a in range(p):
            solution[a] += w * design[j, a] * value[j]
            for b in range(a + 1):
                factor[a, b] += w * design[j, a] * design[j, b]
    if not _factor(factor):
        return False, 0.0, 0.0
    _forward(factor, solution)
    excess, slope = -float(n - p), 0.0
    row = np.empty(p)
    for j in range(n):
        row[:] = design[j]
        _forward(factor, row)
        w = 1.0 / (variance[j] + extra)
        model = leverage = 0.0
        for a in range(p):
            model += row[a] * solution[a]
            leverage += row[a] * row[a]
        excess += w * (value[j] - model) ** 2
        slope += w * (1.0 - w * leverage)
    return True, excess, slope


@njit(cache=True, error_model="numpy")
def _left_out(
    design: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    extra: float,
    noise: float,
    factor: NDArray[np.float64],
    solution: NDArray[np.float64],
) -> float:
    """Factor on the errors that makes one sigma hold for points left out in turn.

    The fit without a point follows from the fit with it and the leverage of the point.
    """
    n, p = design.shape
    deviation = np.empty(n)
    row = np.empty(p)
    for j in range(n):
        row[:] = design[j]
        _forward(factor, row)
        of_model = np.sum(row * row)
        left = max(1.0 - of_model / (variance[j] + extra), TINY_PIVOT)
        residual = (value[j] - np.sum(row * solution)) / left
        deviation[j] = residual / math.sqrt(of_model / left + noise)
    return one_sigma(deviation)


@njit(cache=True, error_model="numpy")
def _phase_gap(phase: NDArray[np.float64], at: float) -> float:
    """Distance on the circle of the sorted phases before and after `at`."""
    right = first_not_before(phase, at)
    after = phase[right] if right < phase.size else phase[0] + 1.0
    before = phase[right - 1] if right > 0 else phase[-1] - 1.0
    return float(after - before)


@njit(cache=True, error_model="numpy")
def _series_of_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    target: NDArray[np.float64],
    period: float,
    n_harmonics: int,
    max_phase_gap: float,
    min_points: int,
    result: NDArray[np.float64],
    sigma: NDArray[np.float64],
    quoted: NDArray[np.float64],
) -> None:
    n = time.size
    harmonics = min(n_harmonics, (n // 3 - 1) // 2)  # three points a coefficient
    if harmonics < 1 or n < min_points or not (period > 0 and math.isfinite(period)):
        return
    known = bool(np.all(error > 0) and np.all(np.isfinite(error)))
    p = 2 * harmonics + 1
    frequency, level = 1.0 / period, value.mean()
    design, phase = np.empty((n, p)), np.empty(n)
    for j in range(n):
        turns = (time[j] - time[0]) * frequency
        phase[j] = turns - math.floor(turns)
        _row(time[j] - time[0], frequency, design[j])
    phase.sort()
    size = np.median(error) if known else 1.0  # weights near one: no number is too small to solve
    variance = np.maximum((error / size) ** 2, LEAST_VARIANCE) if known else np.ones(n)
    scaled = (value - level) / size
    factor, solution = np.empty((p, p)), np.empty(p)
    solved, excess, slope = _series(design, scaled, variance, 0.0, factor, solution)
    if not solved:
        return
    quote = n / np.sum(1.0 / variance)  # one doubted point does not raise it
    intrinsic, noise = 0.0, quote
    if known and excess > 0 and slope > 0:
        intrinsic = excess / slope
        _series(design, scaled, variance, intrinsic, factor, solution)
    noise += intrinsic
    stretch = _left_out(design, scaled, variance, intrinsic, noise, factor, solution)
    if known:
        stretch = max(stretch, LEAST_FACTOR)
    elif n < LEAST_LEFT_OUT:
        stretch = math.sqrt((excess + n - p) / (n - p))
    row = np.empty(p)
    for k in range(target.size):
        if not time[0] <= target[k] <= time[n - 1]:
            continue
        turns = (target[k] - time[0]) * frequency
        if _phase_gap(phase, turns - math.floor(turns)) > max_phase_gap:
            continue
        _row(target[k] - time[0], frequency, row)
        _forward(factor, row)
        at = level + size * np.sum(row * solution)
        spread = size * stretch * math.sqrt(np.sum(row * row) + noise)
        if math.isfinite(spread) and math.isfinite(at) and spread > CERTAIN * abs(at):
            result[k] = at
            sigma[k] = spread
            quoted[k] = size * math.sqrt(quote) if known else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _harmonic_at_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_harmonics: int,
    max_phase_gap: float,
    min_points: int,
    result: NDArray[np.float64],
    sigma: NDArray[np.float64],
    quoted: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        points = slice(offsets[i], offsets[i + 1])
        targets = slice(target_offsets[i], target_offsets[i + 1])
        if offsets[i + 1] > offsets[i] and target_offsets[i + 1] > target_offsets[i]:
            _series_of_curve(
                time[points],
                value[points],
                error[points],
                target[targets],
                period[i],
                n_harmonics,
                max_phase_gap,
                min_points,
                result[targets],
                sigma[targets],
                quoted[targets],
            )


def harmonic_at(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_harmonics: int,
    max_phase_gap: float,
    min_points: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fourier series of each curve at its period, evaluated at the target times.

    Parameters
    ----------
    time, value, error, offsets, target, target_offsets
        As in `local_linear_at`.
    period : float64 array, shape (n_curves,)
        Days; a curve whose period is not positive gets no values.
    n_harmonics : int
        Fewer are taken where a curve has fewer than three points a coefficient.
    max_phase_gap : float
        Longest distance, in cycles, of the phases before and after a target.
    min_points : int
        Points that a curve has at least; never fewer than 9 are taken.

    Returns
    -------
    at, sigma, quoted : float64 array, shape (n_targets,)
        The series at the target, the standard deviation of a measurement about it, by the same
        rule as in `local_linear_at`, and ``sqrt(n / sum(1 / error²))`` of the curve (0 where
        unknown). NaN outside the first to the last point, in a wider gap of phase, with too few
        points, and where the points do not fix the series.
    """
    result = np.full(target.size, np.nan)
    sigma = np.full(target.size, np.nan)
    quoted = np.full(target.size, np.nan)
    for_objects(
        _harmonic_at_range,
        offsets.size - 1,
        time,
        value,
        error,
        offsets,
        target,
        target_offsets,
        period,
        n_harmonics,
        max_phase_gap,
        min_points,
        result,
        sigma,
        quoted,
    )
    return result, sigma, quoted

"""Robust Fourier series of ragged curves, with the number of harmonics chosen for each."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.reduce.robust_fit import (
    BIC,
    LEAST_PIVOT,
    information_criterion,
    prepare,
    reweigh,
)
from astroprep.threads import for_objects

__all__ = ["fit_harmonics", "harmonic_values"]

FORGIVING, FINAL = 3, 4  # passes with Huber's weights at most harmonics, then with Tukey's
POINTS_A_COEFFICIENT = 3


@njit(cache=True, error_model="numpy")
def _phase(time: float, first: float, period: float) -> float:
    turns = (time - first) / period
    return float(turns - math.floor(turns))


@njit(cache=True, error_model="numpy")
def _row(phase: float, row: NDArray[np.float64]) -> None:
    """One, then cosine and sine of each harmonic."""
    c1, s1 = math.cos(2 * math.pi * phase), math.sin(2 * math.pi * phase)
    c, s = 1.0, 0.0
    row[0] = 1.0
    for k in range(1, (row.size + 1) // 2):
        c, s = c * c1 - s * s1, s * c1 + c * s1
        row[2 * k - 1], row[2 * k] = c, s


@njit(cache=True, error_model="numpy")
def _most_harmonics(phase: NDArray[np.float64], limit: int) -> int:
    """Harmonics that the points may have: three points a coefficient, no half wave in a gap."""
    ordered = np.sort(phase)
    gap = ordered[0] + 1.0 - ordered[-1]
    for j in range(1, ordered.size):
        gap = max(gap, ordered[j] - ordered[j - 1])
    return min(limit, (phase.size // POINTS_A_COEFFICIENT - 1) // 2, int(0.5 / gap))


@njit(cache=True, error_model="numpy")
def _factor(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    size: int,
    lower: NDArray[np.float64],
    right: NDArray[np.float64],
) -> int:
    """Cholesky factor of the normal equations and L⁻¹ of their right side; unknowns that hold."""
    lower[:size, :size] = 0.0
    right[:size] = 0.0
    for j in range(y.size):
        for a in range(size):
            wa = w[j] * design[j, a]
            right[a] += wa * y[j]
            for b in range(a + 1):
                lower[a, b] += wa * design[j, b]
    for a in range(size):
        diagonal = lower[a, a]
        for b in range(a):
            total = lower[a, b]
            for c in range(b):
                total -= lower[a, c] * lower[b, c]
            lower[a, b] = total / lower[b, b]
        pivot, rest = diagonal, right[a]
        for c in range(a):
            pivot -= lower[a, c] * lower[a, c]
            rest -= lower[a, c] * right[c]
        if not pivot > LEAST_PIVOT * diagonal:
            return a
        lower[a, a] = math.sqrt(pivot)
        right[a] = rest / lower[a, a]
    return size


@njit(cache=True, error_model="numpy")
def _solve(
    lower: NDArray[np.float64], right: NDArray[np.float64], size: int, out: NDArray[np.float64]
) -> None:
    """Back substitution of the leading block; further coefficients are zero."""
    out[:] = 0.0
    for a in range(size - 1, -1, -1):
        total = right[a]
        for b in range(a + 1, size):
            total -= lower[b, a] * out[b]
        out[a] = total / lower[a, a]


@njit(cache=True, error_model="numpy")
def _subtract(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    solution: NDArray[np.float64],
    size: int,
    residual: NDArray[np.float64],
) -> None:
    for j in range(y.size):
        model = 0.0
        for a in range(size):
            model += design[j, a] * solution[a]
        residual[j] = y[j] - model


@njit(cache=True, error_model="numpy")
def _choose(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    lower: NDArray[np.float64],
    right: NDArray[np.float64],
    held: int,
    criterion: int,
) -> int:
    """Unknowns of the best of the nested models, which the leading blocks of one factor hold."""
    n = y.size
    orders = (held - 1) // 2 + 1
    score = np.zeros(orders)
    z = np.empty(held)
    if criterion == BIC:
        rest = np.sum(w * y * y)
        for a in range(held):
            rest -= right[a] * right[a]
            if a % 2 == 0:
                score[a // 2] = information_criterion(rest, n, a + 1)
    else:  # residual of each point from the fit without it, through its leverage
        for j in range(n):
            fitted = leverage = 0.0
            for a in range(held):
                total = design[j, a]
                for b in range(a):
                    total -= lower[a, b] * z[b]
                z[a] = total / lower[a, a]
                fitted += z[a] * right[a]
                leverage += z[a] * z[a]
                if a % 2 == 0:
                    left = max(1.0 - w[j] * leverage, 1e-9)
                    score[a // 2] += w[j] * ((y[j] - fitted) / left) ** 2
    return 2 * int(np.argmin(score)) + 1


@njit(cache=True, error_model="numpy")
def _one_curve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    period: float,
    max_harmonics: int,
    criterion: int,
    out: NDArray[np.float64],
) -> tuple[int, float]:
    """Coefficients from the level, in place; how many, and the level."""
    n = time.size
    y, e, level, size = prepare(value, error)
    phase = np.empty(n)
    for j in range(n):
        phase[j] = _phase(time[j], time[0], period)
    most = 2 * max(_most_harmonics(phase, max_harmonics), 0) + 1
    design = np.empty((n, most))
    for j in range(n):
        _row(phase[j], design[j])
    lower, right, solution = np.zeros((most, most)), np.empty(most), np.empty(most)
    w, residual = np.empty(n), np.zeros(n)
    unknowns = most
    for again in range(FORGIVING + FINAL):
        forgive = again < FORGIVING
        reweigh(residual, e, forgive, w)
        held = _factor(design, y, w, unknowns, lower, right)
        held -= 1 - held % 2  # a cosine goes with its sine
        if held < 1:
            return 0, level
        unknowns = held
        if again == FORGIVING - 1:
            unknowns = _choose(design, y, w, lower, right, held, criterion)
        _solve(lower, right, unknowns, solution)
        _subtract(design, y, solution, unknowns, residual)
    for a in range(unknowns):
        out[a] = size * solution[a]
    return unknowns, level


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_harmonics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    max_harmonics: int,
    criterion: int,
    coefficients: NDArray[np.float64],
    unknowns: NDArray[np.int64],
    level: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] > offsets[i] and period[i] > 0 and math.isfinite(period[i]):
            unknowns[i], level[i] = _one_curve(
                time[part],
                value[part],
                error[part],
                period[i],
                max_harmonics,
                criterion,
                coefficients[i],
            )


def fit_harmonics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    max_harmonics: int,
    criterion: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Robust Fourier series of each curve at its period.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value, error : float64 array, shape (n_points,)
        One unit; errors as in `astroprep.reduce.robust_fit.prepare`.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days; a curve whose period is not positive and finite is left out.
    max_harmonics : int
        At most; fewer where a curve has not three points a coefficient, or a gap in phase longer
        than half a wave of the last.
    criterion : int
        `BIC` or `LEAVE_ONE_OUT`.

    Returns
    -------
    coefficients : float64 array, shape (n_curves, 2 * max_harmonics + 1)
        Constant from the level, then cosine and sine of each harmonic, unit of the value.
    unknowns : int64 array, shape (n_curves,)
        Coefficients in use, odd; 0 where there is no fit.
    level : float64 array, shape (n_curves,)
        Median value.

    Notes
    -----
    ``f(t) = level + c0 + sum a_k cos(2πk φ) + b_k sin(2πk φ)``, ``φ = (t - t_first) / P``. The
    weights are Huber's over squared errors while most harmonics are fitted, so that an eclipse
    that a low order misses is no outlier; the number is chosen under those weights; the chosen
    series is then fitted again with Tukey's biweight.
    """
    n_curves = offsets.size - 1
    coefficients = np.zeros((n_curves, 2 * max_harmonics + 1))
    unknowns, level = np.zeros(n_curves, np.int64), np.zeros(n_curves)
    for_objects(
        _fit_harmonics_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        period,
        max_harmonics,
        criterion,
        coefficients,
        unknowns,
        level,
    )
    return coefficients, unknowns, level


@njit(nogil=True, cache=True, error_model="numpy")
def _harmonic_values_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    period: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    coefficient_offsets: NDArray[np.int64],
    model: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        own = coefficients[coefficient_offsets[i] : coefficient_offsets[i + 1]]
        row = np.empty(own.size)
        if own.size > 0:
            for j in range(offsets[i], offsets[i + 1]):
                _row(_phase(time[j], first[i], period[i]), row)
                model[j] = np.sum(row * own)


def harmonic_values(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    period: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    coefficient_offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fourier series at the times of each curve.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    first, period : float64 array, shape (n_curves,)
        Time of phase zero and period, days.
    coefficients : float64 array
        Those of all curves, one after the other, as in `fit_harmonics`.
    coefficient_offsets : int64 array, shape (n_curves + 1,)
        Of the coefficients of each curve.

    Returns
    -------
    float64 array, shape (n_points,)
        From the level, unit of the coefficients.
    """
    model = np.zeros(time.size)
    for_objects(
        _harmonic_values_range,
        offsets.size - 1,
        time,
        offsets,
        first,
        period,
        coefficients,
        coefficient_offsets,
        model,
    )
    return model

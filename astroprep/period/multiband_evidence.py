"""How probable a folded multi-band curve makes its period: the evidence that ranks candidates.

One Fourier series for all bands, whose coefficients have a prior that shrinks with the harmonic.
Its marginal likelihood weighs how well the curve is explained against how freely: a loose alias
loses by its residuals, twice the period by the harmonics that it does not need. Two things keep it
honest on real stars. Residuals have Student tails, so that outliers lose their pull. And the points
of one visit share their phase and go wrong together, so that five bands are not five times the
information: how many times they are is measured on the residuals (the design effect of surveys by
clusters).
"""

from __future__ import annotations

from math import lgamma

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import REORDER

__all__ = ["DECAYS", "SERIES", "VISIT", "log_evidence", "number_visits"]

VISIT = 0.02  # days from its first point within which points are one visit
SERIES = 4  # harmonics of the folded curve
# prior of a coefficient of harmonic h, in units of the band's half range: PRIOR / h ** decay. A
# sine has 1.4. The decays stand for sharp curves (RRab, Cepheids) and smooth ones (RRc, contact
# binaries); both were chosen on simulated stars with published shapes, not on a survey
PRIOR = 0.7
DECAYS = (1.0, 2.0)
# degrees of freedom of the Student errors, the classic robust choice
# (Lange, Little & Taylor 1989, JASA 84, 881, doi:10.1080/01621459.1989.10478852)
FREEDOM = 4.0
REWEIGHTS = 3
MEDIAN_SQUARE = 0.4549  # median of a chi-square of one degree of freedom
SMALL = 1e-12  # of the largest precision: residuals below it are rounding


@njit(cache=True, nogil=True)
def number_visits(time: NDArray[np.float64]) -> NDArray[np.int64]:
    """Visit of each point: 0, 1, ... in order of time.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Sorted, days; one point at least.

    Returns
    -------
    int64 array, shape (n_points,)
    """
    visit = np.zeros(time.size, np.int64)
    begin = time[0]
    for j in range(1, time.size):
        visit[j] = visit[j - 1]
        if time[j] - begin > VISIT:
            begin = time[j]
            visit[j] += 1
    return visit


@njit(cache=True)
def _student(square: NDArray[np.float64]) -> float:
    """Log-likelihood of visits under Student errors of the most likely scale.

    `square` holds the mean squared residual of each visit.
    """
    n = square.size
    scale = max(np.median(square), SMALL)
    for _ in range(30):
        total = 0.0
        for q in square:
            total += (FREEDOM + 1) * q / (FREEDOM + q / scale)
        new = max(total / n, SMALL)
        settled = abs(new - scale) < 1e-6 * scale
        scale = new
        if settled:
            break
    score = n * (lgamma((FREEDOM + 1) / 2) - lgamma(FREEDOM / 2))
    score -= 0.5 * n * np.log(np.pi * FREEDOM * scale)
    for q in square:
        score -= 0.5 * (FREEDOM + 1) * np.log1p(q / (FREEDOM * scale))
    return float(score)


@njit(cache=True, fastmath=REORDER)
def _normal_equations(
    columns: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    matrix: NDArray[np.float64],
    right: NDArray[np.float64],
) -> None:
    """Weighted; lower triangle."""
    for i in range(right.size):
        for k in range(i + 1):
            total = 0.0
            for j in range(value.size):
                total += weight[j] * columns[i, j] * columns[k, j]
            matrix[i, k] = total
        total = 0.0
        for j in range(value.size):
            total += weight[j] * columns[i, j] * value[j]
        right[i] = total


@njit(cache=True)
def _solve_in_place(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Cholesky factor and solution of a positive definite system."""
    p = right.size
    for k in range(p):
        pivot = matrix[k, k]
        for m in range(k):
            pivot -= matrix[k, m] * matrix[k, m]
        root = np.sqrt(max(pivot, 1e-12 * matrix[k, k]))
        matrix[k, k] = root
        for i in range(k + 1, p):
            value = matrix[i, k]
            for m in range(k):
                value -= matrix[i, m] * matrix[k, m]
            matrix[i, k] = value / root
        value = right[k]
        for m in range(k):
            value -= matrix[k, m] * right[m]
        right[k] = value / root
    for k in range(p - 1, -1, -1):
        value = right[k]
        for m in range(k + 1, p):
            value -= matrix[m, k] * right[m]
        right[k] = value / matrix[k, k]


@njit(cache=True, fastmath=REORDER)
def _residuals(
    columns: NDArray[np.float64],
    value: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    rest: NDArray[np.float64],
) -> None:
    for j in range(value.size):
        rest[j] = value[j]
    for i in range(coefficient.size):
        for j in range(value.size):
            rest[j] -= coefficient[i] * columns[i, j]


@njit(cache=True)
def _design(
    time: NDArray[np.float64],
    bands: NDArray[np.int64],
    frequency: float,
    columns: NDArray[np.float64],
) -> None:
    """Rows: one for the mean of each band, then cos and sin of each harmonic."""
    n_bands = bands.size - 1
    columns[:n_bands] = 0.0
    for b in range(n_bands):
        columns[b, bands[b] : bands[b + 1]] = 1.0
    for j in range(time.size):
        angle = 2 * np.pi * ((frequency * time[j]) % 1.0)
        c1, s1 = np.cos(angle), np.sin(angle)
        c, s = c1, s1
        for h in range(SERIES):
            columns[n_bands + 2 * h, j] = c
            columns[n_bands + 2 * h + 1, j] = s
            c, s = c * c1 - s * s1, s * c1 + c * s1


@njit(cache=True)
def _by_visit(
    rest: NDArray[np.float64], precision: NDArray[np.float64], visit: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Mean squared residual of each visit, and how many points a visit is worth.

    Independent points have a squared mean that is smaller than their mean square by their number;
    points that go wrong together have equal ones. Loud visits count less.
    """
    n_visits = visit.max() + 1
    square = np.zeros(n_visits)
    mean = np.zeros(n_visits)
    count = np.zeros(n_visits)
    for j in range(rest.size):
        square[visit[j]] += precision[j] * rest[j] ** 2
        mean[visit[j]] += np.sqrt(precision[j]) * rest[j]
        count[visit[j]] += 1
    square /= count
    mean /= count
    quiet = 1 / (1 + square / (FREEDOM * max(np.median(square), SMALL)))
    worth = (quiet * square).sum() / max((quiet * mean**2).sum(), 1e-300)
    return square, min(max(worth, 1.0), rest.size / n_visits)


@njit(cache=True, nogil=True)
def log_evidence(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    precision: NDArray[np.float64],
    bands: NDArray[np.int64],
    visit: NDArray[np.int64],
    frequency: float,
    worth: float,
    decay: float,
    columns: NDArray[np.float64],
) -> tuple[float, float]:
    """Log of the marginal likelihood of a period, up to a constant of the curve.

    Parameters
    ----------
    time, value, precision : float64 array, shape (n_points,)
        The points of a band together. Days, centred; value in half ranges of its band; inverse
        variance in any unit, near one at the most.
    bands : int64 array, shape (n_bands + 1,)
        Band b is ``bands[b]:bands[b + 1]``.
    visit : int64 array, shape (n_points,)
        From `number_visits`.
    frequency : float
        Cycles per day.
    worth : float
        How many independent points a visit counts for, 1 to the points in it.
    decay : float
        How fast the prior of the harmonics falls, one of `DECAYS`.
    columns : float64 array, shape (n_bands + 2 * SERIES, n_points)
        Overwritten.

    Returns
    -------
    evidence : float
        Natural logarithm.
    worth : float
        What the residuals of this fit say that a visit counts for.

    Notes
    -----
    Laplace's approximation about the mode, with the scale of the errors at its most likely value:
    ``log L - c'Pc / 2 + log|P| / 2 - log|H| / 2`` with coefficients c, their prior precision P and
    the Hessian H; the means of the bands have a flat prior.
    """
    n = value.size
    n_bands = bands.size - 1
    p = columns.shape[0]
    share = worth * (visit.max() + 1) / n
    _design(time, bands, frequency, columns)
    prior = np.zeros(p)
    for i in range(n_bands, p):
        prior[i] = (((i - n_bands) // 2 + 1.0) ** decay / PRIOR) ** 2
    matrix = np.empty((p, p))
    coefficient = np.empty(p)
    weight = share * precision
    rest = np.empty(n)
    scale = 1.0
    for turn in range(REWEIGHTS + 1):
        _normal_equations(columns, value, weight, matrix, coefficient)
        for i in range(n_bands, p):
            matrix[i, i] += scale * prior[i]
        _solve_in_place(matrix, coefficient)
        _residuals(columns, value, coefficient, rest)
        if turn < REWEIGHTS:
            square = precision * rest * rest
            scale = max(np.median(square) / MEDIAN_SQUARE, SMALL)
            weight = share * precision * (FREEDOM + 1) / (FREEDOM + square / scale)
    square, seen = _by_visit(rest, precision, visit)
    total = worth * _student(square)
    for i in range(n_bands, p):
        total -= 0.5 * prior[i] * coefficient[i] ** 2
        total += 0.5 * np.log(prior[i] * scale) - np.log(matrix[i, i])
    return total, seen

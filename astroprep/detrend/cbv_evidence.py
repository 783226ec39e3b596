"""Sparse Bayesian regression: a prior width per amplitude, chosen by the marginal likelihood."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["choose_modes", "enter_modes", "evidence", "mode_rows"]

MAX_MODES = 240  # sine and cosine pairs of one curve; bounds the cost
MARGIN = 1  # modes below the longest protected period: a sine between modes leaks into them
OVERSAMPLING = 2  # modes per 1/T: with one, a sine between modes is not represented (measured)
LEAST_CYCLES = 2.0  # fewer cycles in a curve are a trend, and belong to the vectors
MAX_STEPS = 40  # of the evidence iteration; most curves stop near 15
CONVERGED = 2e-3  # largest change of the number of well-determined parameters of a group
WEAK = 0.02  # a mode whose data determine less than this of it is taken out
FLAT = 1e-8  # prior precision that says nothing, in units of the curve's scatter
ENTERS = 24.0  # chi-square of two amplitudes: by chance in one of 160,000 modes
JITTER = 1e-10  # of the diagonal: lets equal vectors share their coefficient


@njit(cache=True)
def choose_modes(
    span: float, n_bins: int, n_vectors: int, shortest: float, longest: float
) -> tuple[float, int, int]:
    """Frequencies that the star may have: multiples of half the inverse of the span.

    Parameters
    ----------
    span : float
        Of the curve, days.
    n_bins, n_vectors : int
        There are never more parameters than bins.
    shortest, longest : float
        Periods, days; ``longest=0`` for no modes.

    Returns
    -------
    step : float
        Frequency step, cycles per day.
    first, count : int
        The modes are ``step * (first, ..., first + count - 1)``.
    """
    if not (longest > 0 and span > 0):
        return 1.0, 1, 0
    step = 1.0 / (OVERSAMPLING * span)
    slowest = min(longest, span / LEAST_CYCLES)
    first = max(int(np.floor(1.0 / (slowest * step))) - MARGIN, 1)
    last = int(min(np.floor(1.0 / (shortest * step)), 1e9))
    room = (n_bins - n_vectors - 1) // 2
    return step, first, max(min(last - first + 1, room, MAX_MODES), 0)


@njit(cache=True)
def mode_rows(
    time: NDArray[np.float64],
    vectors: NDArray[np.float64],
    step: float,
    first: int,
    n_modes: int,
) -> NDArray[np.float64]:
    """Rows of the design: one, the vectors, cosines, sines.

    Parameters
    ----------
    time : float64 array, shape (n_bins,)
        Days since the first point.
    vectors : float64 array, shape (n_bins, n_vectors)
        At the bins.
    step, first, n_modes
        From `choose_modes`.

    Returns
    -------
    float64 array, shape (1 + n_vectors + 2 * n_modes, n_bins)
        The cosine and the sine of a mode are `n_modes` rows apart.
    """
    k, n = vectors.shape[1], time.size
    rows = np.empty((1 + k + 2 * n_modes, n))
    rows[0] = 1.0
    for j in range(k):
        rows[1 + j] = vectors[:, j]
    if n_modes == 0:
        return rows
    angle = 2 * np.pi * step * time
    c1, s1 = np.cos(angle), np.sin(angle)
    rows[1 + k] = np.cos(first * angle)
    rows[1 + k + n_modes] = np.sin(first * angle)
    for j in range(1 + k, k + n_modes):  # the next multiple of the angle
        rows[j + 1] = rows[j] * c1 - rows[j + n_modes] * s1
        rows[j + 1 + n_modes] = rows[j + n_modes] * c1 + rows[j] * s1
    return rows


@njit(cache=True)
def _posterior(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    precision: NDArray[np.float64],
    group: NDArray[np.int64],
    beta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance and mean of the parameters, Gaussian prior and noise given."""
    matrix = beta * gram
    for a in range(group.size):
        matrix[a, a] += precision[group[a]] + JITTER * matrix[a, a] + 1e-300
    covariance = np.asarray(np.linalg.inv(matrix), np.float64)
    mean = np.zeros(group.size)
    for a in range(group.size):
        for c in range(group.size):
            mean[a] += covariance[a, c] * beta * right[c]
    return covariance, mean


@njit(cache=True)
def _reweigh(
    covariance: NDArray[np.float64],
    mean: NDArray[np.float64],
    group: NDArray[np.int64],
    precision: NDArray[np.float64],
    gamma: NDArray[np.float64],
) -> float:
    """MacKay's step: prior precision = well-determined parameters / squared mean; its change."""
    found = np.zeros(precision.size)
    power = np.zeros(precision.size)
    for a in range(group.size):
        g = group[a]
        found[g] += max(1.0 - precision[g] * covariance[a, a], 0.0)
        power[g] += mean[a] ** 2
    change = 0.0
    for g in range(precision.size):
        change = max(change, abs(found[g] - gamma[g]))
        gamma[g] = found[g]
        if g > 0:  # the level keeps its flat prior
            precision[g] = min(max(max(found[g], 1e-6) / max(power[g], 1e-12), FLAT), 1e8)
    return change


@njit(cache=True)
def _strong(
    group: NDArray[np.int64], gamma: NDArray[np.float64], n_vectors: int
) -> NDArray[np.int64]:
    """Parameters without the modes that the data say nothing of."""
    kept = np.empty(group.size, np.int64)
    n = 0
    for a in range(group.size):
        if group[a] <= n_vectors or gamma[group[a]] > WEAK:
            kept[n] = a
            n += 1
    return kept[:n].copy()


@njit(cache=True)
def _part(matrix: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.float64]:
    part = np.empty((kept.size, kept.size))
    for a in range(kept.size):
        for c in range(kept.size):
            part[a, c] = matrix[kept[a], kept[c]]
    return part


@njit(cache=True)
def evidence(
    rows: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    entered: NDArray[np.int64],
    group_of: NDArray[np.int64],
    precision: NDArray[np.float64],
    gamma: NDArray[np.float64],
    n_vectors: int,
    beta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], float]:
    """Prior precisions and noise that make the data most likely, and the posterior under them.

    Parameters
    ----------
    rows : float64 array, shape (n_parameters, n_bins)
        From `mode_rows`.
    value, weight : float64 array, shape (n_bins,)
        Data and inverse variances.
    entered : int64 array, shape (n_entered,)
        Rows that take part; the level and the vectors come first.
    group_of : int64 array, shape (n_parameters,)
        Which prior precision each row shares.
    precision, gamma : float64 arrays, shape (n_groups,)
        Prior precisions and numbers of well-determined parameters; both are changed.
    n_vectors : int
        Groups up to this one stay.
    beta : float
        Inverse of the factor on the variances at the start.

    Returns
    -------
    covariance : float64 array, shape (n_left, n_left)
    mean : float64 array, shape (n_left,)
    entered : int64 array, shape (n_left,)
        Rows that are left.
    beta : float
        At most 1: the noise may exceed, not fall below, what neighbouring points show.
    """
    used = rows[entered]
    gram = np.dot(used * weight, used.T)
    right = np.zeros(entered.size)
    for a in range(entered.size):
        right[a] = np.sum(used[a] * weight * value)
    power = np.sum(weight * value**2)
    group = group_of[entered]
    covariance, mean = _posterior(gram, right, precision, group, beta)
    for it in range(MAX_STEPS):
        change = _reweigh(covariance, mean, group, precision, gamma)
        misfit = power
        for a in range(group.size):
            misfit -= 2 * mean[a] * right[a]
            for c in range(group.size):
                misfit += mean[a] * gram[a, c] * mean[c]
        beta = min(1.0, max(value.size - gamma.sum(), 1.0) / max(misfit, 1e-300))
        if it >= 2:
            kept = _strong(group, gamma, n_vectors)
            if kept.size < group.size:
                gram, right = _part(gram, kept), right[kept]
                entered, group = entered[kept], group[kept]
        covariance, mean = _posterior(gram, right, precision, group, beta)
        if change < CONVERGED * max(gamma.sum(), 1.0):
            break
    return covariance, mean, entered, beta


@njit(cache=True)
def enter_modes(
    rows: NDArray[np.float64],
    left: NDArray[np.float64],
    weight: NDArray[np.float64],
    entered: NDArray[np.int64],
    precision: NDArray[np.float64],
    n_vectors: int,
    beta: float,
) -> NDArray[np.int64]:
    """Add the modes that what is left still shows.

    Parameters
    ----------
    rows, weight, entered, precision, n_vectors, beta
        As in `evidence`; ``precision`` of a new mode becomes that of its amplitude.
    left : float64 array, shape (n_bins,)
        Data less the model.

    Returns
    -------
    int64 array
        `entered` with the new modes behind it.
    """
    n_modes = (rows.shape[0] - 1 - n_vectors) // 2
    inside = np.zeros(rows.shape[0], np.bool_)
    inside[entered] = True
    longer = np.empty(rows.shape[0], np.int64)
    for a in range(entered.size):
        longer[a] = entered[a]
    n = entered.size
    weighted = weight * left
    for j in range(n_modes):
        cosine, sine = 1 + n_vectors + j, 1 + n_vectors + n_modes + j
        if inside[cosine]:
            continue
        chi, size = 0.0, 0.0
        for i in (cosine, sine):
            square = np.sum(weight * rows[i] ** 2)
            if square > 0:
                amplitude = np.sum(weighted * rows[i]) / square
                chi += beta * square * amplitude**2
                size += amplitude**2
        if chi > ENTERS:
            longer[n], longer[n + 1] = cosine, sine
            n += 2
            precision[1 + n_vectors + j] = 2.0 / size
    return longer[:n].copy()

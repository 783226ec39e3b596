"""Posterior of the vectors' coefficients beside the star's own modes, for one curve."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.cbv_evidence import (
    FLAT,
    JITTER,
    choose_modes,
    enter_modes,
    evidence,
    mode_rows,
)

__all__ = ["MAD_TO_SIGMA", "fit_vectors"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
FIRST_MODES = 60  # of the slowest that take part from the start; faster ones enter when needed
STAR_AT_FIRST = 0.01  # of the variance: systematics are tried before stellar variation
BISQUARE = 4.685  # 95 % efficient at the Gaussian; Beaton & Tukey 1974
ROUNDS = 3  # of robust weights


@njit(cache=True)
def _binned(
    edges: NDArray[np.int64], weight: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean of the columns in each bin, plain where a bin has no weight; the weight."""
    heavy = np.zeros(edges.size - 1)
    result = np.zeros((edges.size - 1, values.shape[1]))
    for i in range(edges.size - 1):
        total = 0.0
        for j in range(edges[i], edges[i + 1]):
            total += weight[j]
        for j in range(edges[i], edges[i + 1]):
            part = weight[j] / total if total > 0 else 1.0 / (edges[i + 1] - edges[i])
            for c in range(values.shape[1]):
                result[i, c] += part * values[j, c]
        heavy[i] = total
    return result, heavy


@njit(cache=True)
def _bisquare(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    star: NDArray[np.float64],
    bin_time: NDArray[np.float64],
    sigma: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> None:
    """Robust weights of the points, from what vectors and star leave of them."""
    z = (residual - np.interp(time, bin_time, star)) / sigma
    scale = max(MAD_TO_SIGMA * np.median(np.abs(z)), 1.0)
    for i in range(z.size):
        u = z[i] / (BISQUARE * scale)
        weight[i] = (1 - u * u) ** 2 / sigma[i] ** 2 if abs(u) < 1 else 0.0


@njit(cache=True)
def _overfit(
    rows: NDArray[np.float64],
    weight: NDArray[np.float64],
    covariance: NDArray[np.float64],
    entered: NDArray[np.int64],
    beta: float,
    k: int,
) -> float:
    """Largest share that the vectors take of a faint sine: diagonal of the hat matrix."""
    cross = np.dot(rows[1 + k :] * weight, rows[entered].T)  # (mode, entered)
    over = 0.0
    for j in range(cross.shape[0]):
        lost = 0.0
        for a in range(1, 1 + k):
            for c in range(entered.size):
                lost += cross[j, a] * covariance[a, c] * cross[j, c]
        size = np.sum(weight * rows[1 + k + j] ** 2)
        over = max(over, beta * lost / max(size, 1e-300))
    return min(over, 1.0)


@njit(cache=True)
def _underfit(
    rows: NDArray[np.float64], weight: NDArray[np.float64], left: NDArray[np.float64], k: int
) -> float:
    """Share of the variance left by vectors and star that the vectors still explain."""
    vectors = rows[1 : 1 + k]
    inner = np.dot(vectors * weight, vectors.T)
    right = np.zeros(k)
    for j in range(k):
        inner[j, j] += JITTER * inner[j, j] + 1e-300
        right[j] = np.sum(vectors[j] * weight * left)
    explained = np.sum(right * np.linalg.solve(inner, right))
    power = np.sum(weight * left**2)
    return min(max(explained / power, 0.0), 1.0) if power > 0 else 0.0


@njit(cache=True)
def fit_vectors(
    table: NDArray[np.float64],
    sigma: NDArray[np.float64],
    edges: NDArray[np.int64],
    shortest: float,
    longest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float, float, int]:
    """Posterior of the vectors' coefficients, and the scores, of one curve in unit scale.

    Parameters
    ----------
    table : float64 array, shape (n_points, 2 + n_vectors)
        Values about their median in units of their scatter, days since the first point, and the
        vectors with unit rms.
    sigma : float64 array, shape (n_points,)
        White noise of each point, in the unit of the values.
    edges : int64 array, shape (n_bins + 1,)
        First point of each bin in time.
    shortest, longest : float
        Time scales of the star's modes, days.

    Returns
    -------
    covariance : float64 array, shape (n_vectors, n_vectors)
    mean : float64 array, shape (n_vectors,)
        Of the coefficients.
    over, under : float
        Largest share that the vectors take of a faint sine, and share of what is left that they
        still explain; 0 to 1.
    used : float
        Vectors that the data determine.
    modes : int
        Modes of the star that entered.
    """
    k, n_bins = table.shape[1] - 2, edges.size - 1
    step, first, n_modes = choose_modes(table[-1, 1], n_bins, k, shortest, longest)
    group = np.empty(1 + k + 2 * n_modes, np.int64)
    for a in range(group.size):  # both waves of a mode have one group
        group[a] = a if a < 1 + k + n_modes else a - n_modes
    precision = np.ones(1 + k + n_modes)
    precision[0] = FLAT
    precision[1 + k :] = max(n_modes, 1) / STAR_AT_FIRST
    gamma = np.zeros(precision.size)
    entered = np.flatnonzero(group < 1 + k + FIRST_MODES)
    weight = 1.0 / sigma**2
    beta = 1.0
    covariance, mean = np.empty((0, 0)), np.empty(0)
    rows, heavy, left = covariance, mean, mean
    for turn in range(ROUNDS):
        bins, heavy = _binned(edges, weight, table)
        rows = mode_rows(bins[:, 1].copy(), bins[:, 2:], step, first, n_modes)
        value = bins[:, 0].copy()
        for _ in range(2):
            covariance, mean, entered, beta = evidence(
                rows, value, heavy, entered, group, precision, gamma, k, beta
            )
            star = np.zeros(n_bins)
            for a in range(1 + k, entered.size):
                star += mean[a] * rows[entered[a]]
            left = value - star
            for a in range(1 + k):
                left -= mean[a] * rows[a]
            longer = enter_modes(rows, left, heavy, entered, precision, k, beta)
            if longer.size == entered.size:
                break
            entered = longer
        if entered.size != mean.size:  # new ones, and no turn left to weigh them
            covariance, mean, entered, beta = evidence(
                rows, value, heavy, entered, group, precision, gamma, k, beta
            )
        if turn < ROUNDS - 1:
            rest = table[:, 0] - mean[0]
            for a in range(k):
                rest -= mean[1 + a] * table[:, 2 + a]
            _bisquare(table[:, 1].copy(), rest, star, bins[:, 1].copy(), sigma, weight)
    over = _overfit(rows, heavy, covariance, entered, beta, k) if n_modes else 0.0
    inner = covariance[1 : 1 + k, 1 : 1 + k].copy()
    under = _underfit(rows, heavy, left, k)
    used = np.sum(gamma[1 : 1 + k])
    return inner, mean[1 : 1 + k].copy(), over, under, used, (entered.size - 1 - k) // 2

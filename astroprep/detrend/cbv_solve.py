"""The fit behind the cotrending step: vectors and star side by side, sparse Bayesian."""

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
from astroprep.threads import for_objects

__all__ = ["STATISTICS", "solve_curves"]

STATISTICS = ("overfit", "underfit", "prior", "vectors_used", "star_modes", "noise", "level")
"""Columns of the statistics that `solve_curves` gives."""

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
FIRST_MODES = 60  # of the slowest that take part from the start; faster ones enter when needed
STAR_AT_FIRST = 0.01  # of the variance: systematics are tried before stellar variation
BISQUARE = 4.685  # 95 % efficient at the Gaussian; Beaton & Tukey 1974
ROUNDS = 3  # of robust weights
LEAST_ERROR = 1e-3  # of the usual one: a smaller error bar is a mistake
LEAST_NOISE = 1e-4  # of the scatter: more than four digits of systematics are not believed


@njit(cache=True)
def _scatter(values: NDArray[np.float64]) -> float:
    if values.size == 0:
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


@njit(cache=True)
def _bin_edges(time: NDArray[np.float64], width: float) -> NDArray[np.int64]:
    """First point of each bin that holds a point, and the number of points at the end."""
    edges = np.empty(time.size + 1, np.int64)
    n = 0
    last = -1.0
    for i in range(time.size):
        this = np.floor((time[i] - time[0]) / width)
        if i == 0 or this != last:
            edges[n] = i
            n += 1
            last = this
    edges[n] = time.size
    return edges[: n + 1].copy()


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
def _noise(
    value: NDArray[np.float64], error: NDArray[np.float64], scatter: float
) -> NDArray[np.float64]:
    """White noise of each point: the error bars, scaled to what neighbours show."""
    n = value.size
    known = error[np.isfinite(error) & (error > 0)]
    usual = np.median(known) if known.size else 1.0
    sigma = np.full(n, usual)
    steps = np.empty(max(n - 1, 1))
    steps[0] = 0.0
    for i in range(n):
        if np.isfinite(error[i]) and error[i] > LEAST_ERROR * usual:
            sigma[i] = error[i]
        if i > 0:
            both = np.sqrt(sigma[i] ** 2 + sigma[i - 1] ** 2)
            steps[i - 1] = abs(value[i] - value[i - 1]) / both
    factor = MAD_TO_SIGMA * np.median(steps)
    return sigma * max(factor, LEAST_NOISE * scatter / usual)


@njit(cache=True)
def _unit_columns(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vectors about their mean at these points with unit rms, and the scales."""
    unit = np.zeros(vectors.shape)
    scale = np.zeros(vectors.shape[1])
    for j in range(vectors.shape[1]):
        column = vectors[:, j] - np.mean(vectors[:, j])
        rms = np.sqrt(np.mean(column**2))
        if rms > 1e-12 * np.max(np.abs(vectors[:, j])):
            scale[j] = 1.0 / rms
            for i in range(column.size):
                unit[i, j] = column[i] / rms
    return unit, scale


@njit(cache=True)
def _fit(
    table: NDArray[np.float64],
    sigma: NDArray[np.float64],
    edges: NDArray[np.int64],
    shortest: float,
    longest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float, float, int]:
    """Posterior of the vectors' coefficients, and the scores, of one curve in unit scale."""
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


@njit(cache=True)
def _solve(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    vectors: NDArray[np.float64],
    width: float,
    shortest: float,
    longest: float,
    coefficient: NDArray[np.float64],
    spread: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Fit one curve; results are written into the last three arrays."""
    k = vectors.shape[1]
    centre = np.median(value)
    statistics[6] = centre
    scatter = _scatter(value)
    if scatter <= 1e-12 * max(abs(centre), 1e-300):
        scatter = float(np.std(value))
    if not scatter > 1e-12 * abs(centre):
        statistics[2] = 1.0  # a constant curve: nothing to take out, and none is
        return
    y = (value - centre) / scatter
    sigma = _noise(y, error / scatter, 1.0)
    unit, scale = _unit_columns(vectors)
    table = np.empty((time.size, 2 + k))
    for i in range(time.size):
        table[i, 0], table[i, 1] = y[i], time[i] - time[0]
        for j in range(k):
            table[i, 2 + j] = unit[i, j]
    covariance, mean, over, under, used, modes = _fit(
        table, sigma, _bin_edges(time, width), shortest, longest
    )
    for i in range(k):
        coefficient[i] = mean[i] * scale[i] * scatter
        for j in range(k):
            spread[i, j] = covariance[i, j] * scale[i] * scale[j] * scatter**2
    statistics[0] = over
    statistics[1] = under
    statistics[2] = 1.0 - used / max(float(np.sum(scale > 0)), 1.0)
    statistics[3] = used
    statistics[4] = modes
    statistics[5] = scatter * np.median(sigma)


@njit(nogil=True, cache=True)
def _solve_curves_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    vectors: NDArray[np.float64],
    offsets: NDArray[np.int64],
    width: float,
    shortest: float,
    longest: float,
    coefficients: NDArray[np.float64],
    covariances: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        _solve(
            time[a:b],
            value[a:b],
            error[a:b],
            vectors[a:b],
            width,
            shortest,
            longest,
            coefficients[i],
            covariances[i],
            statistics[i],
        )


def solve_curves(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    vectors: NDArray[np.float64],
    offsets: NDArray[np.int64],
    width: float,
    shortest: float,
    longest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of the vectors for each curve, with the star's own variation beside them.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted within each curve.
    value, error : float64 array, shape (n_points,)
        Any unit, the same for both; an error that is not positive or not finite counts as
        the median one.
    vectors : float64 array, shape (n_points, n_vectors)
        The vectors at each point, no NaN.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; at least two points each.
    width : float
        Bins in which the fit sees the curve, days.
    shortest, longest : float
        Periods at which the star may vary, days; ``longest=0`` for none.

    Returns
    -------
    coefficients : float64 array, shape (n_curves, n_vectors)
        Unit of the value per unit of the vector.
    covariances : float64 array, shape (n_curves, n_vectors, n_vectors)
        Posterior, the star's amplitudes integrated out.
    statistics : float64 array, shape (n_curves, 7)
        The columns of `STATISTICS`.

    Notes
    -----
    The flux is ``level + V c + F a + noise``, with F the sines and cosines that the star may
    have, every coefficient of a vector and every frequency with a Gaussian prior of its own
    width, all widths by maximum marginal likelihood (MacKay's fixed point). A prior that the
    data do not want shrinks to nothing, so a signal of a few frequencies stands beside the
    vectors instead of being shared among them, and a vector that does not help is not used.

    References
    ----------
    .. [1] MacKay 1992, Neural Computation 4, 415, doi:10.1162/neco.1992.4.3.415
    .. [2] Tipping 2001, Journal of Machine Learning Research 1, 211
    .. [3] Smith et al. 2012, PASP 124, 1000, arXiv:1203.1383 (a prior for cotrending)
    """
    n, k = offsets.size - 1, vectors.shape[1]
    coefficients = np.zeros((n, k))
    covariances = np.zeros((n, k, k))
    statistics = np.zeros((n, len(STATISTICS)))
    for_objects(
        _solve_curves_range,
        n,
        time,
        value,
        error,
        vectors,
        offsets,
        width,
        shortest,
        longest,
        coefficients,
        covariances,
        statistics,
    )
    return coefficients, covariances, statistics

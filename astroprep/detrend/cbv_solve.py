"""The fit behind the cotrending step: vectors and star side by side, sparse Bayesian."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["STATISTICS", "solve_curves"]

STATISTICS = ("overfit", "underfit", "prior", "vectors_used", "star_modes", "noise")
"""Columns of the statistics that `solve_curves` gives."""

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MAX_MODES = 200  # sine and cosine pairs of one curve; bounds the cubic cost
MARGIN = 1  # modes below the longest protected period: a sine between modes leaks into them
OVERSAMPLING = 2  # modes per 1/T: with one, a sine between modes is not represented (measured)
LEAST_CYCLES = 2.0  # fewer cycles in a curve are a trend, and belong to the vectors
MAX_STEPS = 40  # of the evidence iteration; most curves stop near 15
CONVERGED = 2e-3  # largest change of the number of well-determined parameters of a group
WEAK = 0.02  # a mode whose data determine less than this of it is taken out
FLAT = 1e-8  # prior precision that says nothing, in units of the curve's scatter
BISQUARE = 4.685  # 95 % efficient at the Gaussian; Beaton & Tukey 1974
ROUNDS = 3  # of robust weights
STAR_AT_FIRST = 0.01  # of the variance: systematics are tried before stellar variation
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
def _modes(
    time: NDArray[np.float64], shortest: float, longest: float, n_vectors: int
) -> tuple[float, int, int]:
    """Frequency step of the star's modes, the first multiple of it and how many there are."""
    span = time[-1] - time[0]
    if not (longest > 0 and span > 0):
        return 1.0, 1, 0
    step = 1.0 / (OVERSAMPLING * span)
    slowest = min(longest, span / LEAST_CYCLES)
    first = max(int(np.floor(1.0 / (slowest * step))) - MARGIN, 1)
    last = int(np.floor(1.0 / (shortest * step)))
    room = (time.size - n_vectors - 1) // 2  # never more parameters than bins
    return step, first, max(min(last - first + 1, room, MAX_MODES), 0)


@njit(cache=True)
def _design(
    time: NDArray[np.float64],
    vectors: NDArray[np.float64],
    step: float,
    first: int,
    n_modes: int,
) -> NDArray[np.float64]:
    """Rows: one, the vectors, cosines, sines, all at the bins."""
    k, n = vectors.shape[1], time.size
    rows = np.empty((1 + k + 2 * n_modes, n))
    rows[0] = 1.0
    for j in range(k):
        rows[1 + j] = vectors[:, j]
    for i in range(n):
        angle = 2 * np.pi * step * (time[i] - time[0])
        c1, s1 = np.cos(angle), np.sin(angle)
        c, s = np.cos(first * angle), np.sin(first * angle)
        for j in range(n_modes):
            rows[1 + k + j, i] = c
            rows[1 + k + n_modes + j, i] = s
            c, s = c * c1 - s * s1, s * c1 + c * s1  # the next multiple of the angle
    return rows


@njit(cache=True)
def _posterior(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    precision: NDArray[np.float64],
    group: NDArray[np.int64],
    active: NDArray[np.int64],
    beta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance and mean of the active parameters, Gaussian prior and noise given."""
    n = active.size
    matrix = np.empty((n, n))
    b = np.empty(n)
    for a in range(n):
        i = active[a]
        for c in range(n):
            matrix[a, c] = beta * gram[i, active[c]]
        # the jitter lets equal vectors share their coefficient instead of breaking the solver
        matrix[a, a] += precision[group[i]] + 1e-10 * beta * gram[i, i] + 1e-300
        b[a] = beta * right[i]
    covariance = np.linalg.inv(matrix)
    return covariance, np.dot(covariance, b)


@njit(cache=True)
def _reweigh(
    covariance: NDArray[np.float64],
    mean: NDArray[np.float64],
    group: NDArray[np.int64],
    active: NDArray[np.int64],
    precision: NDArray[np.float64],
    gamma: NDArray[np.float64],
) -> float:
    """MacKay's step: prior precision = well-determined parameters / squared mean; its change."""
    found = np.zeros(precision.size)
    power = np.zeros(precision.size)
    for a in range(active.size):
        g = group[active[a]]
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
def _keep(
    active: NDArray[np.int64],
    group: NDArray[np.int64],
    gamma: NDArray[np.float64],
    first_mode: int,
) -> NDArray[np.int64]:
    """Active parameters without the modes that the data say nothing of."""
    kept = np.empty(active.size, np.int64)
    n = 0
    for i in active:
        if group[i] < first_mode or gamma[group[i]] > WEAK:
            kept[n] = i
            n += 1
    return kept[:n].copy()


@njit(cache=True)
def _evidence(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    power: float,
    n_bins: int,
    group: NDArray[np.int64],
    active: NDArray[np.int64],
    precision: NDArray[np.float64],
    gamma: NDArray[np.float64],
    n_vectors: int,
    beta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], float]:
    """Prior precisions and noise that make the data most likely; posterior under them."""
    covariance, mean = _posterior(gram, right, precision, group, active, beta)
    for it in range(MAX_STEPS):
        change = _reweigh(covariance, mean, group, active, precision, gamma)
        misfit = power
        for a in range(active.size):
            misfit -= 2 * mean[a] * right[active[a]]
            for c in range(active.size):
                misfit += mean[a] * gram[active[a], active[c]] * mean[c]
        # the noise of the bins may exceed, not fall below, what neighbouring points show
        beta = min(1.0, max(n_bins - gamma.sum(), 1.0) / max(misfit, 1e-300))
        if it >= 2:
            active = _keep(active, group, gamma, 1 + n_vectors)
        covariance, mean = _posterior(gram, right, precision, group, active, beta)
        if change < CONVERGED * max(gamma.sum(), 1.0):
            break
    return covariance, mean, active, beta


@njit(cache=True)
def _binned(
    edges: NDArray[np.int64], weight: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted mean of the columns in each bin; plain where a bin has no weight."""
    result = np.zeros((edges.size - 1, values.shape[1]))
    for i in range(edges.size - 1):
        total = 0.0
        for j in range(edges[i], edges[i + 1]):
            total += weight[j]
        for j in range(edges[i], edges[i + 1]):
            part = weight[j] / total if total > 0 else 1.0 / (edges[i + 1] - edges[i])
            for c in range(values.shape[1]):
                result[i, c] += part * values[j, c]
    return result


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
    z -= np.median(z)
    scale = max(_scatter(z), 1.0)
    for i in range(z.size):
        u = z[i] / (BISQUARE * scale)
        weight[i] = (1 - u * u) ** 2 / sigma[i] ** 2 if abs(u) < 1 else 0.0


@njit(cache=True)
def _scores(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    power: float,
    covariance: NDArray[np.float64],
    mean: NDArray[np.float64],
    active: NDArray[np.int64],
    beta: float,
    k: int,
    n_modes: int,
) -> tuple[float, float]:
    """Over-fit: largest share taken of a faint sine. Under-fit: what the vectors still explain."""
    left = right.copy()
    for a in range(active.size):
        left -= gram[:, active[a]] * mean[a]
    over = 0.0
    for j in range(1 + k, 1 + k + 2 * n_modes):
        lost = 0.0
        for a in range(1, 1 + k):  # the level and the vectors are always the first active ones
            for c in range(active.size):
                lost += gram[j, a] * covariance[a, c] * gram[active[c], j]
        over = max(over, beta * lost / max(gram[j, j], 1e-300))
    inner = gram[1 : 1 + k, 1 : 1 + k].copy()
    for j in range(k):
        inner[j, j] *= 1 + 1e-10
        inner[j, j] += 1e-300
    explained = np.dot(left[1 : 1 + k], np.linalg.solve(inner, left[1 : 1 + k]))
    remains = power
    for a in range(active.size):
        remains -= mean[a] * (right[active[a]] + left[active[a]])
    under = explained / remains if remains > 0 else 0.0
    return min(over, 1.0), min(max(under, 0.0), 1.0)


@njit(cache=True)
def _noise(
    value: NDArray[np.float64], error: NDArray[np.float64], scatter: float
) -> NDArray[np.float64]:
    """White noise of each point: the error bars, scaled to what neighbours show."""
    n = value.size
    known = error[np.isfinite(error) & (error > 0)]
    usual = np.median(known) if known.size else 1.0
    sigma = np.where(np.isfinite(error) & (error > 0), error, usual)
    steps = np.diff(value) / np.sqrt(sigma[1:] ** 2 + sigma[:-1] ** 2)
    factor = _scatter(steps)
    factor = max(factor, LEAST_NOISE * scatter / np.median(sigma))
    return np.maximum(sigma * factor, 1e-3 * np.median(sigma) * factor) if n else sigma


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
            unit[:, j] = column / rms
    return unit, scale


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
    scatter = _scatter(value)
    if scatter <= 1e-12 * max(abs(centre), 1e-300):
        scatter = np.std(value)
    if not scatter > 1e-12 * abs(centre):
        statistics[2] = 1.0  # a constant curve: nothing to take out, and none is
        return
    y = (value - centre) / scatter
    sigma = _noise(y, error / scatter, 1.0)
    unit, scale = _unit_columns(vectors)
    edges = _bin_edges(time, width)
    n_bins = edges.size - 1
    table = np.empty((time.size, 2 + k))
    table[:, 0] = y
    table[:, 1] = time - time[0]
    table[:, 2:] = unit
    step, first, n_modes = _modes(time, shortest, longest, k)
    n_modes = max(min(n_modes, (n_bins - k - 1) // 2), 0)
    size = 1 + k + 2 * n_modes
    group = np.empty(size, np.int64)
    group[: 1 + k] = np.arange(1 + k)
    group[1 + k : 1 + k + n_modes] = 1 + k + np.arange(n_modes)
    group[1 + k + n_modes :] = 1 + k + np.arange(n_modes)
    precision = np.ones(1 + k + n_modes)
    precision[0] = FLAT
    precision[1 + k :] = max(n_modes, 1) / STAR_AT_FIRST
    gamma = np.zeros(precision.size)
    active = np.arange(size)
    weight = 1.0 / sigma**2
    beta = 1.0
    covariance, mean = np.empty((0, 0)), np.empty(0)
    gram, right, power = covariance, mean, 0.0
    for turn in range(ROUNDS):
        bins = _binned(edges, weight, table)
        heavy = np.empty(n_bins)
        for i in range(n_bins):
            heavy[i] = np.sum(weight[edges[i] : edges[i + 1]])
        rows = _design(bins[:, 1].copy(), bins[:, 2:], step, first, n_modes)
        weighted = rows * heavy
        gram = np.dot(weighted, rows.T)
        right = np.dot(weighted, bins[:, 0].copy())
        power = np.sum(heavy * bins[:, 0] ** 2)
        covariance, mean, active, beta = _evidence(
            gram, right, power, n_bins, group, active, precision, gamma, k, beta
        )
        if turn < ROUNDS - 1:
            star = np.zeros(n_bins)
            for a in range(active.size):
                if group[active[a]] > k:
                    star += mean[a] * rows[active[a]]
            left = y - mean[0] - np.dot(unit, mean[1 : 1 + k].copy())
            _bisquare(time, left, star, bins[:, 1].copy() + time[0], sigma, weight)
    over, under = _scores(gram, right, power, covariance, mean, active, beta, k, n_modes)
    for i in range(k):
        coefficient[i] = mean[1 + i] * scale[i] * scatter
        for j in range(k):
            spread[i, j] = covariance[1 + i, 1 + j] * scale[i] * scale[j] * scatter**2
    statistics[0] = over
    statistics[1] = under
    statistics[3] = np.sum(gamma[1 : 1 + k])
    statistics[2] = 1.0 - statistics[3] / max(np.sum(scale > 0), 1)
    statistics[4] = (active.size - 1 - k) // 2
    statistics[5] = scatter * np.median(sigma)


@njit(parallel=True, cache=True)
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
    statistics : float64 array, shape (n_curves, 6)
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
    statistics = np.zeros((n, 6))
    for i in prange(n):
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
    return coefficients, covariances, statistics

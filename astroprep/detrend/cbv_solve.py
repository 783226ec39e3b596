"""The fit behind the cotrending step: vectors and star side by side, sparse Bayesian."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.cbv_posterior import MAD_TO_SIGMA, fit_vectors
from astroprep.threads import for_objects

__all__ = ["STATISTICS", "solve_curves"]

STATISTICS = ("overfit", "underfit", "prior", "vectors_used", "star_modes", "noise", "level")
"""Columns of the statistics that `solve_curves` gives."""

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
    covariance, mean, over, under, used, modes = fit_vectors(
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

"""Probabilistic principal components of a table with missing entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["Model", "fit_model", "project"]

NOISE_FLOOR = 1e-8  # of the mean variance: keeps equations solvable where features repeat exactly


@dataclass(frozen=True, eq=False)
class Model:
    """Gaussian of low rank: ``z = mean + factors t + noise``, t of unit variance.

    Parameters
    ----------
    mean : float64 array, shape (n_features,)
        Scaled units.
    directions : float64 array, shape (n_components, n_features)
        Orthonormal.
    variance : float64 array, shape (n_features,)
        Eigenvalues of the covariance, largest first.
    log_likelihood : float64 array, shape (n_iterations,)
        Mean per object of the entries that are there, at the start of each iteration.
    converged : bool
        Whether it stopped rising.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    variance: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    converged: bool

    @property
    def noise(self) -> float:
        """Variance along each direction that is no component."""
        return noise_of(self.variance, len(self.directions))


def noise_of(variance: NDArray[np.float64], n_components: int) -> float:
    """Mean of the eigenvalues left over (Tipping & Bishop 1999, eq. 8), never quite zero."""
    rest = variance[n_components:]
    floor = NOISE_FLOOR * variance.mean()
    return float(max(rest.mean() if rest.size else 0.0, floor))


def fit_model(
    z: NDArray[np.float64], n_components: int, tolerance: float, max_iterations: int
) -> Model:
    """Maximum likelihood given the entries that are there.

    Parameters
    ----------
    z : float64 array, shape (n_objects, n_features)
        Scaled; NaN where missing.
    n_components : int
        Rank of the model.
    tolerance : float
        Rise of the mean log-likelihood per object below which it has converged.
    max_iterations : int
        At most so many.

    Notes
    -----
    EM with the missing entries alone as the hidden variables. E step: their mean and covariance
    under the model, given the other entries of the object; M step: the eigenvectors of the
    expected covariance, which is the exact maximum [1]_ (eq. 7). The likelihood never falls, and
    a complete table converges at once to ordinary principal components.

    References
    ----------
    .. [1] Tipping & Bishop 1999, JRSS B 61, 611, doi:10.1111/1467-9868.00196
    .. [2] Ilin & Raiko 2010, JMLR 11, 1957
    """
    there = np.isfinite(z)
    whole = there.all(axis=1)
    n = len(z)
    full_sum = z[whole].sum(axis=0)
    full_cross = z[whole].T @ z[whole]
    patterns = _patterns(there, np.flatnonzero(~whole))
    mean = np.nanmean(z, axis=0)
    filled = np.where(there, z, mean)
    variance, vectors = _eigen(np.cov(filled, rowvar=False, bias=True).reshape(len(mean), -1))
    likelihood: list[float] = []
    converged = False
    for _ in range(max_iterations):
        factors, noise = _factors(variance, vectors, n_components)
        total, cross = full_sum.copy(), full_cross.copy()
        value = _complete_likelihood(z[whole], mean, factors, noise) if whole.any() else 0.0
        for rows, seen in patterns:
            part, extra, gained = _expect(z[rows], seen, mean, factors, noise)
            total += part.sum(axis=0)
            cross += part.T @ part
            cross[np.ix_(~seen, ~seen)] += len(rows) * extra
            value += gained
        likelihood.append(value / n)
        mean = total / n
        variance, vectors = _eigen(cross / n - np.outer(mean, mean))
        if len(likelihood) > 1 and likelihood[-1] - likelihood[-2] < tolerance:
            converged = True
            break
        if not patterns:  # the first step was exact
            converged = True
            break
    directions = vectors[:, :n_components].T
    sign = np.sign(directions[np.arange(n_components), np.abs(directions).argmax(axis=1)])
    return Model(mean, directions * sign[:, None], variance, np.array(likelihood), converged)


def _patterns(
    there: NDArray[np.bool_], rows: NDArray[np.intp]
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Rows that miss the same entries, with what they have."""
    packed = np.packbits(there[rows], axis=1)
    _, first, code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(code, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(code, minlength=first.size))[:-1])
    return [(part, there[part[0]]) for part in parts if part.size]


def _eigen(cov: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, largest first and never negative, and eigenvectors in columns."""
    value, vector = np.linalg.eigh((cov + cov.T) / 2)
    return np.maximum(value[::-1], 0.0), vector[:, ::-1]


def _factors(
    variance: NDArray[np.float64], vectors: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], float]:
    noise = noise_of(variance, k)
    return vectors[:, :k] * np.sqrt(np.maximum(variance[:k] - noise, 0.0)), noise


def _inner(factors: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    return factors.T @ factors + noise * np.eye(factors.shape[1])


def _solve(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(a, b), dtype=np.float64)


def _gaussian(
    z: NDArray[np.float64],
    factors: NDArray[np.float64],
    noise: float,
    latent: NDArray[np.float64],
) -> float:
    """Sum of log-densities of centred rows, by the lemmas of Woodbury and Sylvester."""
    n, d = z.shape
    k = factors.shape[1]
    log_det = np.linalg.slogdet(_inner(factors, noise))[1] + (d - k) * np.log(noise)
    square = (np.sum(z * z) - np.sum((z @ factors) * latent)) / noise
    return float(-0.5 * (n * (d * np.log(2 * np.pi) + log_det) + square))


def _complete_likelihood(
    z: NDArray[np.float64], mean: NDArray[np.float64], factors: NDArray[np.float64], noise: float
) -> float:
    centred = z - mean
    latent = _solve(_inner(factors, noise), (centred @ factors).T).T
    return _gaussian(centred, factors, noise, latent)


def _expect(
    z: NDArray[np.float64],
    seen: NDArray[np.bool_],
    mean: NDArray[np.float64],
    factors: NDArray[np.float64],
    noise: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Rows with their missing entries expected, those entries' covariance, log-likelihood."""
    known, hidden = factors[seen], factors[~seen]
    inner = _inner(known, noise)
    centred = z[:, seen] - mean[seen]
    latent = _solve(inner, (centred @ known).T).T
    filled = np.empty_like(z)
    filled[:, seen] = z[:, seen]
    filled[:, ~seen] = mean[~seen] + latent @ hidden.T
    extra = noise * (np.eye(len(hidden)) + hidden @ _solve(inner, hidden.T))
    gained = _gaussian(centred, known, noise, latent) if seen.any() else 0.0
    return filled, extra, gained


@njit(cache=True)
def _factor_solve(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> None:
    """Cholesky factor of a in its lower triangle; a x = b, and l y = c for the rows of c."""
    k = a.shape[0]
    for i in range(k):
        for j in range(i + 1):
            s = a[i, j]
            for m in range(j):
                s -= a[i, m] * a[j, m]
            a[i, j] = np.sqrt(s) if i == j else s / a[j, j]
    for i in range(k):
        for m in range(i):
            b[i] -= a[i, m] * b[m]
        b[i] /= a[i, i]
    for i in range(k - 1, -1, -1):
        for m in range(i + 1, k):
            b[i] -= a[m, i] * b[m]
        b[i] /= a[i, i]
    for row in range(c.shape[0]):
        for i in range(k):
            for m in range(i):
                c[row, i] -= a[i, m] * c[row, m]
            c[row, i] /= a[i, i]


@njit(cache=True)
def _project_one(
    z: NDArray[np.float64],
    directions: NDArray[np.float64],
    factors: NDArray[np.float64],
    noise: float,
    score: NDArray[np.float64],
    error: NDArray[np.float64],
    filled: NDArray[np.float64],
) -> None:
    """Scores of one centred row; each row is summed in one order, whatever stands beside it."""
    k, d = directions.shape
    inner = np.zeros((k, k))
    latent = np.zeros(k)
    missing = 0
    for j in range(d):
        filled[j] = z[j]
        if np.isnan(z[j]):
            missing += 1
            continue
        for a in range(k):
            latent[a] += factors[j, a] * z[j]
            for b in range(a + 1):
                inner[a, b] += factors[j, a] * factors[j, b]
    if missing:
        for a in range(k):
            inner[a, a] += noise
        # directions and factors over the missing entries: covariance of the scores
        both = np.zeros((k, k))
        for j in range(d):
            if np.isnan(z[j]):
                for a in range(k):
                    for b in range(k):
                        both[a, b] += directions[a, j] * factors[j, b]
                    error[a] += noise * directions[a, j] ** 2
        _factor_solve(inner, latent, both)
        for j in range(d):
            if np.isnan(z[j]):
                filled[j] = 0.0
                for a in range(k):
                    filled[j] += factors[j, a] * latent[a]
        for a in range(k):
            for b in range(k):
                error[a] += noise * both[a, b] ** 2
    for a in range(k):
        for j in range(d):
            score[a] += directions[a, j] * filled[j]
        error[a] = np.sqrt(error[a])


@njit(nogil=True, cache=True)
def _project_range(
    begin: int,
    end: int,
    z: NDArray[np.float64],
    directions: NDArray[np.float64],
    factors: NDArray[np.float64],
    noise: float,
    score: NDArray[np.float64],
    error: NDArray[np.float64],
    filled: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        _project_one(z[i], directions, factors, noise, score[i], error[i], filled[i])


def project(
    z: NDArray[np.float64],
    directions: NDArray[np.float64],
    factors: NDArray[np.float64],
    noise: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scores, their errors from missing entries, and rows with those entries expected.

    Parameters
    ----------
    z : float64 array, shape (n_objects, n_features)
        Scaled and centred; NaN where missing.
    directions : float64 array, shape (n_components, n_features)
        Orthonormal.
    factors : float64 array, shape (n_features, n_components)
        Directions times ``sqrt(variance - noise)``.
    noise : float
        Variance, positive.

    Returns
    -------
    score, error : float64 array, shape (n_objects, n_components)
        The error is 0 for a complete row.
    filled : float64 array, shape (n_objects, n_features)
        Centred as `z`.
    """
    n, k = len(z), len(directions)
    score, error = np.zeros((n, k)), np.zeros((n, k))
    filled = np.empty(z.shape)
    for_objects(_project_range, n, z, directions, factors, noise, score, error, filled)
    return score, error, filled

"""Principal components of rows with an error each, missing entries included, by EM."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.threads import for_objects

__all__ = ["Components", "fit_components", "posterior"]

LEAST_NOISE = 1e-8  # variance beside the errors, so that no weight is infinite
CHUNK = 4096  # rows whose second moments are held at a time
Moments = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Components(NamedTuple):
    """What `fit_components` gives.

    Parameters
    ----------
    mean : float64 array, shape (n_bins,)
        Of the rows.
    components : float64 array, shape (n_components, n_bins)
        Orthonormal, by falling variance; the largest number of each is positive.
    variance : float64 array, shape (n_components,)
        Of the coefficients over the rows.
    noise : float
        Variance of each entry beside its error and the components.
    log_likelihood : float64 array, shape (n_iterations,)
        Mean over the rows, after each iteration but the last; never falls.
    converged : bool
        False if the iterations ended it.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variance: NDArray[np.float64]
    noise: float
    log_likelihood: NDArray[np.float64]
    converged: bool


@njit(nogil=True, cache=True)
def _posterior_range(
    begin: int,
    end: int,
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
    n_bins: int,
    q: int,
    z: NDArray[np.float64],
    covariance: NDArray[np.float64],
    log_likelihood: NDArray[np.float64],
    chi2: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        m, b = np.eye(q), np.zeros(q)
        total, seen = 0.0, 0
        for k in range(n_bins):
            if not variance[i, k] < np.inf:
                continue
            d = 1.0 / (variance[i, k] + noise)
            r = x[i, k] - mean[k]
            seen += 1
            total += r * r * d - math.log(d) + math.log(2 * math.pi)
            for p in range(q):
                b[p] += d * loadings[p, k] * r
                for s in range(p + 1):
                    m[p, s] += d * loadings[p, k] * loadings[s, k]
        for p in range(q):  # Cholesky factor in the lower triangle
            for s in range(p + 1):
                part = m[p, s]
                for u in range(s):
                    part -= m[p, u] * m[s, u]
                m[p, s] = math.sqrt(part) if p == s else part / m[s, s]
        inverse = np.zeros((q, q))  # of the factor
        for s in range(q):
            inverse[s, s] = 1.0 / m[s, s]
            for p in range(s + 1, q):
                part = 0.0
                for u in range(s, p):
                    part -= m[p, u] * inverse[u, s]
                inverse[p, s] = part / m[p, p]
        for p in range(q):
            total += 2.0 * math.log(m[p, p])
            for s in range(q):
                part = 0.0
                for u in range(max(p, s), q):
                    part += inverse[u, p] * inverse[u, s]
                covariance[i, p, s] = part
        for p in range(q):
            for s in range(q):
                z[i, p] += covariance[i, p, s] * b[s]
        for p in range(q):
            total -= z[i, p] * b[p]
        log_likelihood[i] = -0.5 * total
        square = 0.0
        for k in range(n_bins):
            if variance[i, k] < np.inf:
                r = x[i, k] - mean[k]
                for p in range(q):
                    r -= z[i, p] * loadings[p, k]
                square += r * r / (variance[i, k] + noise)
        chi2[i] = square / seen if seen > 0 else np.nan


def _posterior(
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
) -> Moments:
    n, n_bins = x.shape
    q = loadings.shape[0]
    z, covariance = np.zeros((n, q)), np.zeros((n, q, q))
    log_likelihood, chi2 = np.zeros(n), np.empty(n)
    for_objects(
        _posterior_range,
        n,
        x,
        variance,
        mean,
        loadings,
        noise,
        n_bins,
        q,
        z,
        covariance,
        log_likelihood,
        chi2,
    )
    return z, covariance, log_likelihood, chi2


def posterior(
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
) -> Moments:
    """Distribution of the unit coefficients of each row, given what was observed of it.

    Parameters
    ----------
    x, variance : float64 array, shape (n_rows, n_bins)
        Entries and their variances; infinite where there is none, whatever x holds there.
    mean : float64 array, shape (n_bins,)
        Of the rows.
    loadings : float64 array, shape (n_components, n_bins)
        Components times the standard deviations of their coefficients.
    noise : float
        Variance beside the errors, positive.

    Returns
    -------
    coefficients : float64 array, shape (n_rows, n_components)
        Posterior means under a unit Gaussian prior; 0 for a row without entries.
    covariance : float64 array, shape (n_rows, n_components, n_components)
        Posterior covariances; the identity for a row without entries.
    log_likelihood : float64 array, shape (n_rows,)
        Of the observed entries.
    chi2 : float64 array, shape (n_rows,)
        Of the observed entries about the reconstruction, per entry; NaN without.

    Raises
    ------
    DataError
        If shapes do not fit together, or a parameter of the model is not finite.

    Notes
    -----
    With d = 1 / (variance + noise): C = (1 + W D Wᵀ)⁻¹ and z = C W D (x - mean) (Tipping & Bishop
    1999, section 3, with a noise for each entry).
    """
    n_bins = np.shape(loadings)[-1]
    fits = (
        x.ndim == 2
        and x.shape == variance.shape
        and x.shape[1] == n_bins == mean.size
        and np.ndim(loadings) == 2
    )
    if not fits or mean.ndim != 1:
        raise DataError(
            f"components of {n_bins} bins and a mean of {mean.shape} do not fit rows of shape "
            f"{x.shape} with variances of shape {variance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(loadings).all() and 0 < noise < np.inf):
        raise DataError("components need a finite mean, finite loadings and positive noise")
    made: Moments = _posterior(x, variance, mean, np.ascontiguousarray(loadings), noise)
    return made


def _start(
    x: NDArray[np.float64], seen: NDArray[np.bool_], q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Mean, loadings and noise to begin with, from the covariances of pairs seen together."""
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x, 0.0).sum(axis=0) / count
    r = np.where(seen, x - mean, 0.0)
    together = np.maximum(seen.T.astype(np.float64) @ seen, 1.0)
    values, vectors = np.linalg.eigh((r.T @ r) / together)
    values, vectors = np.maximum(values[::-1], 1e-6), vectors[:, ::-1]
    noise = max(float(values[q:].mean()) if q < values.size else 0.0, 1e-4)
    return mean, np.sqrt(values[:q])[:, None] * vectors[:, :q].T, noise


def _step(
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """One EM iteration; the log likelihood is that of what it was given."""
    q, n_bins = loadings.shape
    left = np.zeros((n_bins, (q + 1) ** 2))
    right = np.zeros((n_bins, q + 1))
    log_likelihood = 0.0
    parts = []
    for a in range(0, len(x), CHUNK):
        rows = slice(a, a + CHUNK)
        z, covariance, log_l, _ = posterior(x[rows], variance[rows], mean, loadings, noise)
        log_likelihood += float(log_l.sum())
        ones = np.concatenate([z, np.ones((len(z), 1))], axis=1)  # the mean is one more loading
        second = ones[:, :, None] * ones[:, None, :]
        second[:, :q, :q] += covariance
        d = 1.0 / (variance[rows] + noise)  # 0 where nothing was seen
        left += d.T @ second.reshape(len(z), -1)
        right += (d * x[rows]).T @ ones
        parts.append((z, covariance))
    system = left.reshape(n_bins, q + 1, q + 1)
    system += 1e-12 * np.trace(system, axis1=1, axis2=2)[:, None, None] * np.eye(q + 1)
    held = left.any(axis=1)  # the bins that any row has
    solved = np.zeros((n_bins, q + 1))
    solved[held] = np.linalg.solve(system[held], right[held][..., None])[..., 0]
    new_loadings, new_mean = np.ascontiguousarray(solved[:, :q].T), solved[:, q].copy()
    return (
        new_mean,
        new_loadings,
        _noise(x, variance, new_mean, new_loadings, noise, parts),
        (log_likelihood / len(x)),
    )


def _noise(
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noise: float,
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> float:
    """EM update of the variance beside the errors, the noise of each entry being hidden too."""
    total = seen = 0.0
    start = 0
    for z, covariance in parts:
        rows = slice(start, start + len(z))
        start += len(z)
        has = np.isfinite(variance[rows])
        d = 1.0 / (variance[rows] + noise)
        r = np.where(has, x[rows] - mean - z @ loadings, 0.0)
        square = r**2 + np.einsum("pk,ips,sk->ik", loadings, covariance, loadings, optimize=True)
        v = np.where(has, variance[rows], 0.0)
        total += float(((noise * d) ** 2 * square + noise * d * v)[has].sum())
        seen += float(has.sum())
    return max(total / seen, LEAST_NOISE)


def fit_components(
    x: NDArray[np.float64],
    variance: NDArray[np.float64],
    n_components: int,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 300,
) -> Components:
    """Principal components of rows of which every entry has its own error, or is missing.

    Parameters
    ----------
    x, variance : float64 array, shape (n_rows, n_bins)
        Entries and their variances; infinite where there is none, whatever x holds there.
    n_components : int
        Fewer than rows and than bins.
    tolerance : float, default 1e-4
        Gain of the log likelihood of a mean row, in nats, below which it has converged.
    max_iterations : int, default 300
        At most.

    Returns
    -------
    Components
        Maximum-likelihood components.

    Raises
    ------
    DataError
        If there are too few rows, an entry that was seen is not finite, or a bin never was.

    Notes
    -----
    The model is x = mean + z W + n + e: z a unit Gaussian, n of one variance that is learned, e of
    the known variances. Missing entries are integrated over and not filled: each iteration
    takes the posterior of z from what was seen of its row, and solves a weighted least-squares
    problem for each bin from the rows that have it. Without errors this is probabilistic PCA [2]_;
    without prior and n it is the weighted EMPCA of [3]_.

    References
    ----------
    .. [1] Roweis 1998, "EM algorithms for PCA and SPCA", NIPS 10
    .. [2] Tipping & Bishop 1999, J. R. Stat. Soc. B 61, 611, doi:10.1111/1467-9868.00196
    .. [3] Bailey 2012, PASP 124, 1015, doi:10.1086/668105
    """
    seen = np.isfinite(variance)
    if len(x) <= n_components or x.shape[1] <= n_components:
        raise DataError(
            f"{n_components} components need more rows and more bins than that, got {len(x)} rows "
            f"of {x.shape[1]} bins"
        )
    if not np.isfinite(x[seen]).all() or (variance[seen] < 0).any() or np.isnan(variance).any():
        raise DataError("components need finite entries and variances wherever a bin was seen")
    if not seen.any(axis=0).all():
        k = int(np.argmin(seen.any(axis=0)))
        raise DataError(f"components need every bin in one row at least, bin {k} is in none")
    x = np.where(seen, x, 0.0)
    mean, loadings, noise = _start(x, seen, n_components)
    history: list[float] = []
    converged = False
    while len(history) < max_iterations and not converged:
        mean, loadings, noise, log_l = _step(x, variance, mean, loadings, noise)
        converged = bool(history) and log_l - history[-1] < tolerance
        history.append(log_l)
    _, sigma, components = np.linalg.svd(loadings, full_matrices=False)
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(n_components), largest])[:, None]
    return Components(mean, components, sigma**2, noise, np.array(history), converged)

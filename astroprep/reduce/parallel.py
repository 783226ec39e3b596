"""How many components stand above chance: eigenvalues against those of shuffled columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError

__all__ = ["ParallelAnalysis", "pairwise_correlation", "parallel_analysis"]


@dataclass(frozen=True, eq=False)
class ParallelAnalysis:
    """Eigenvalues of a correlation matrix beside those of chance.

    Parameters
    ----------
    eigenvalue : float64 array, shape (n_features,)
        Of the table, largest first.
    chance : float64 array, shape (n_features,)
        The quantile of those of tables with shuffled columns.
    n_components : int
        Leading eigenvalues above chance, up to the first that is not.
    """

    eigenvalue: NDArray[np.float64]
    chance: NDArray[np.float64]
    n_components: int


def pairwise_correlation(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of each two columns over the rows that have both.

    Parameters
    ----------
    z : float64 array, shape (n_objects, n_features)
        NaN where missing.

    Returns
    -------
    float64 array, shape (n_features, n_features)
        Ones on the diagonal, 0 where fewer than two rows have both or one of them is constant
        there. With missing entries it need not be positive definite.
    """
    there = np.isfinite(z)
    x = np.where(there, z, 0.0)
    if there.all():
        x = x - x.mean(axis=0)
        cov, spread = x.T @ x, np.sqrt(np.sum(x * x, axis=0))
        scale = np.outer(spread, spread)
    else:
        m = there.astype(np.float64)
        n, first = m.T @ m, x.T @ m
        second = (x * x).T @ m
        with np.errstate(invalid="ignore", divide="ignore"):
            cov = x.T @ x - first * first.T / n
            var = second - first * first / n
            scale = np.sqrt(np.maximum(var, 0.0) * np.maximum(var, 0.0).T)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = np.where(scale > 0, cov / scale, 0.0)
    rho = np.clip(np.nan_to_num(rho), -1.0, 1.0)
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho, dtype=np.float64)


def parallel_analysis(
    z: NDArray[np.float64], *, n_shuffles: int = 40, quantile: float = 0.95, seed: int = 0
) -> ParallelAnalysis:
    """Count the components whose eigenvalue chance does not reach.

    Parameters
    ----------
    z : float64 array, shape (n_objects, n_features)
        NaN where missing; columns should not have tails that carry their variance alone.
    n_shuffles : int, default 40
        Tables to compare with.
    quantile : float, default 0.95
        Of their eigenvalues, rank by rank.
    seed : int, default 0
        Of the shuffles.

    Raises
    ------
    ConfigError
        If `n_shuffles` is below 1 or `quantile` not within (0, 1].

    Notes
    -----
    Each column is shuffled among the rows that have it [1]_ [2]_, so distributions and missing
    entries stay and correlations go. Both sides are computed pairwise, the same way.

    References
    ----------
    .. [1] Horn 1965, Psychometrika 30, 179, doi:10.1007/BF02289447
    .. [2] Glorfeld 1995, Educ. Psychol. Meas. 55, 377, doi:10.1177/0013164495055003002
    """
    if n_shuffles < 1 or not 0 < quantile <= 1:
        raise ConfigError(
            f"parallel_analysis needs n_shuffles >= 1 and 0 < quantile <= 1, got {n_shuffles!r} "
            f"and {quantile!r}"
        )
    rng = np.random.default_rng(seed)
    eigenvalue = np.asarray(np.linalg.eigvalsh(pairwise_correlation(z))[::-1], np.float64)
    there = np.isfinite(z)
    null = np.empty((n_shuffles, z.shape[1]))
    mixed = z.copy()
    for s in range(n_shuffles):
        for k in range(z.shape[1]):
            mixed[there[:, k], k] = rng.permutation(z[there[:, k], k])
        null[s] = np.linalg.eigvalsh(pairwise_correlation(mixed))[::-1]
    chance = np.quantile(null, quantile, axis=0)
    above = eigenvalue > chance
    count = int(above.size if above.all() else np.argmin(above))
    return ParallelAnalysis(eigenvalue, np.asarray(chance, np.float64), count)

"""Features that tell the same: rank correlation of all pairs, and clusters of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from astroprep.errors import ConfigError
from astroprep.reduce.table import as_table
from astroprep.threads import for_objects

__all__ = ["CorrelationClusters", "correlation_clusters", "rank_correlation"]

Method = Literal["complete", "average", "single"]
METHODS: tuple[Method, ...] = ("complete", "average", "single")
FEWEST = 3  # objects that have both features; with two, every correlation is 1


@njit(cache=True)
def _ranks(
    order: NDArray[np.int64],
    x: NDArray[np.float64],
    both: NDArray[np.bool_],
    rank: NDArray[np.float64],
) -> int:
    """Mean ranks of the rows in `both`, walked in the order of x; how many there are."""
    count = 0
    start = -1  # place in `order` of the first of a run of equal values
    for place in range(order.size + 1):
        row = order[place] if place < order.size else -1
        if row >= 0 and not both[row]:
            continue
        if start >= 0 and (row < 0 or x[row] != x[order[start]]):
            equal = 0
            for at in range(start, place):
                equal += both[order[at]]
            for at in range(start, place):
                if both[order[at]]:
                    rank[order[at]] = count + 0.5 * (equal + 1)
            count += equal
            start = -1
        if row >= 0 and start < 0:
            start = place
    return count


@njit(cache=True)
def _pearson(
    a: NDArray[np.float64], b: NDArray[np.float64], both: NDArray[np.bool_], n: int
) -> float:
    """Correlation of ranks, whose mean is known; NaN where either is constant."""
    mean = 0.5 * (n + 1)
    ab = aa = bb = 0.0
    for row in range(both.size):
        if both[row]:
            p, q = a[row] - mean, b[row] - mean
            ab += p * q
            aa += p * p
            bb += q * q
    if aa == 0 or bb == 0:
        return np.nan
    return float(min(1.0, max(-1.0, ab / np.sqrt(aa * bb))))


@njit(nogil=True, cache=True)
def _all_pairs_range(
    begin: int,
    end: int,
    x: NDArray[np.float64],
    order: NDArray[np.int64],
    counts: NDArray[np.int64],
    fewest: int,
    d: int,
    n: int,
    rho: NDArray[np.float64],
    common: NDArray[np.int64],
) -> None:
    for i in range(begin, end):
        a, b, both = np.empty(n), np.empty(n), np.empty(n, np.bool_)
        for j in range(i, d):
            shared = 0
            for row in range(n):
                both[row] = not (np.isnan(x[i, row]) or np.isnan(x[j, row]))
                shared += both[row]
            common[i, j] = common[j, i] = shared
            if shared < fewest:
                continue
            _ranks(order[i, : counts[i]], x[i], both, a)
            _ranks(order[j, : counts[j]], x[j], both, b)
            rho[i, j] = rho[j, i] = _pearson(a, b, both, shared)


def _all_pairs(
    x: NDArray[np.float64], order: NDArray[np.int64], counts: NDArray[np.int64], fewest: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Spearman's rho of all pairs of rows of x, and the entries that they share."""
    d, n = x.shape
    rho, common = np.full((d, d), np.nan), np.zeros((d, d), np.int64)
    for_objects(_all_pairs_range, d, x, order, counts, fewest, d, n, rho, common)
    return rho, common


def rank_correlation(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Spearman's correlation of each two columns over the objects that have both.

    Parameters
    ----------
    values : float64 array, shape (n_objects, n_features)
        NaN where missing.

    Returns
    -------
    rho : float64 array, shape (n_features, n_features)
        Equal values share their mean rank. NaN where fewer than three objects have both or one
        of them is constant there.
    common : int64 array, shape (n_features, n_features)
        Objects that have both.
    """
    x = np.ascontiguousarray(np.asarray(values, dtype=np.float64).T)
    order = np.argsort(x, axis=1, kind="stable")  # NaN last
    counts = np.isfinite(x).sum(axis=1)
    rho, common = _all_pairs(x, order, counts, FEWEST)
    return rho, common


@dataclass(frozen=True, eq=False)
class CorrelationClusters:
    """Clusters of features whose rank correlation is high.

    Parameters
    ----------
    names : tuple of str
        Features.
    rho : float64 array, shape (n_features, n_features)
        Spearman's; NaN where undefined.
    common : int64 array, shape (n_features, n_features)
        Objects that have both features.
    cluster : int64 array, shape (n_features,)
        Number of the cluster of each, from 0, in the order of first appearance.
    order : int64 array, shape (n_features,)
        Features with the similar side by side, for a picture.
    threshold : float
        ``|rho|`` of a cluster.
    """

    names: tuple[str, ...]
    rho: NDArray[np.float64]
    common: NDArray[np.int64]
    cluster: NDArray[np.int64]
    order: NDArray[np.int64]
    threshold: float

    @property
    def n_clusters(self) -> int:
        """Clusters, those of one feature among them."""
        return int(self.cluster.max()) + 1

    def members(self, cluster: int) -> NDArray[np.int64]:
        """Positions of the features of a cluster."""
        return np.flatnonzero(self.cluster == cluster)

    def representatives(self, worth: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """One feature of each cluster, its position.

        Parameters
        ----------
        worth : float64 array, shape (n_features,), optional
            The largest wins, the first of equals; without it the feature nearest to the others,
            by its mean ``|rho|``. NaN loses.
        """
        chosen = np.empty(self.n_clusters, np.int64)
        for c in range(self.n_clusters):
            index = self.members(c)
            if worth is None:
                value = np.nan_to_num(np.abs(self.rho[np.ix_(index, index)])).mean(axis=1)
            else:
                value = np.where(np.isnan(worth[index]), -np.inf, worth[index])
            chosen[c] = index[np.argmax(value)]
        return chosen

    def table(self) -> pd.DataFrame:
        """One row a feature: cluster, its size, its representative and rho with that."""
        chosen = self.representatives()[self.cluster]
        return pd.DataFrame(
            {
                "feature": self.names,
                "cluster": self.cluster,
                "size": np.bincount(self.cluster)[self.cluster],
                "representative": [self.names[k] for k in chosen],
                "rho": self.rho[np.arange(chosen.size), chosen],
            }
        )

    def report(self) -> str:
        """Text for people: the clusters of more than one feature, the largest first."""
        size = np.bincount(self.cluster)
        chosen = self.representatives()
        lines = [
            f"{len(self.names)} features in {self.n_clusters} clusters of |rho| >= "
            f"{self.threshold:g}; {int(np.sum(size == 1))} stand alone."
        ]
        for c in np.argsort(-size, kind="stable"):
            if size[c] < 2:
                continue
            others = [
                f"{self.names[k]} {self.rho[chosen[c], k]:+.2f}"
                for k in self.members(int(c))
                if k != chosen[c]
            ]
            lines.append(f"  {self.names[chosen[c]]}: {', '.join(others)}")
        return "\n".join(lines)


def correlation_clusters(
    table: Any,
    threshold: float = 0.9,
    *,
    method: Method = "complete",
    names: Sequence[str] | None = None,
) -> CorrelationClusters:
    """Group features by the rank correlation between them.

    Parameters
    ----------
    table : any table
        See `as_table`; what is not finite is missing.
    threshold : float, default 0.9
        ``|rho|`` from which features are one cluster, within (0, 1].
    method : {"complete", "average", "single"}, default "complete"
        Whether all pairs of a cluster reach it, their mean, or some chain of pairs.
    names : sequence of str, optional
        Of the columns of an array, or columns to take.

    Returns
    -------
    CorrelationClusters

    Raises
    ------
    ConfigError
        If the threshold or the method is not one of these.

    Notes
    -----
    Agglomerative clustering on the distance ``1 - |rho|``. A pair whose rho is undefined counts
    as unrelated. Ranks are blind to monotonic transforms, so a feature and its logarithm are
    twins, and see no relation that turns around, such as a square of a symmetric feature.

    References
    ----------
    .. [1] Spearman 1904, Am. J. Psychol. 15, 72, doi:10.2307/1412159
    """
    if not 0 < threshold <= 1 or method not in METHODS:
        raise ConfigError(
            "correlation_clusters needs a threshold within (0, 1] and a method of "
            f"{', '.join(METHODS)}, got {threshold!r} and {method!r}"
        )
    given = as_table(table, names)
    rho, common = rank_correlation(given.values)
    d = given.n_features
    if d == 1:
        cluster, order = np.zeros(1, np.int64), np.zeros(1, np.int64)
    else:
        distance = 1 - np.abs(np.nan_to_num(rho))
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), method, optimal_ordering=d <= 500)
        raw = fcluster(tree, 1 - threshold + 1e-12, "distance")
        _, first, code = np.unique(raw, return_index=True, return_inverse=True)
        cluster = np.argsort(np.argsort(first))[code].astype(np.int64)
        order = leaves_list(tree).astype(np.int64)
    return CorrelationClusters(given.names, rho, common, cluster, order, float(threshold))

"""One partner for each: mutual, greedy or optimal choice among candidate pairs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from astroprep.errors import ConfigError

__all__ = ["Assignment", "assign"]

Assignment = Literal["mutual", "greedy", "optimal"]
LARGE = 400  # left objects of a group that a dense solution takes


def assign(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    gain: NDArray[np.float64],
    n_left: int,
    n_right: int,
    how: Assignment = "optimal",
) -> NDArray[np.bool_]:
    """Choose pairs such that no object is in two of them.

    Parameters
    ----------
    left, right : int64 array, shape (n_pairs,)
        Rows of the candidates; no pair twice.
    gain : float64 array, shape (n_pairs,)
        How good each pair is; a pair without positive gain is not chosen.
    n_left, n_right : int
        Rows of the catalogues.
    how : {"mutual", "greedy", "optimal"}
        ``"mutual"``: pairs whose members are each other's best. ``"greedy"``: the best pair,
        then the best of what is left, and so on. ``"optimal"``: the largest sum of gains.

    Returns
    -------
    bool array, shape (n_pairs,)
        True where a pair is chosen. Of equal gains the pair with the lower left
        row and then the lower right row goes first (mutual and greedy).

    Raises
    ------
    ConfigError
        If `how` is not known.

    Notes
    -----
    The optimum is found in each connected group of objects on its own, by the Hungarian method
    with potentials, O(n³) in the group [1]_; groups of more than 400 left objects by the
    sparse method of Jonker and Volgenant in scipy.

    References
    ----------
    .. [1] Jonker & Volgenant 1987, Computing 38, 325, doi:10.1007/BF02278710
    """
    if how not in ("mutual", "greedy", "optimal"):
        raise ConfigError(f"assignment must be 'mutual', 'greedy' or 'optimal', got {how!r}")
    chosen = np.zeros(left.size, bool)
    eligible = np.flatnonzero(gain > 0)
    if not eligible.size:
        return chosen
    a, b, g = left[eligible], right[eligible], gain[eligible]
    if how == "optimal":
        chosen[eligible[_optimal(a, b, g, n_left, n_right)]] = True
        return chosen
    best_first = np.lexsort((b, a, -g))
    if how == "greedy":
        chosen[eligible[_greedy(a, b, best_first, n_left, n_right)]] = True
        return chosen
    here = np.arange(a.size)
    mutual = (_best(a, best_first, n_left)[a] == here) & (_best(b, best_first, n_right)[b] == here)
    chosen[eligible[mutual]] = True
    return chosen


def _best(row: NDArray[np.int64], best_first: NDArray[np.intp], n: int) -> NDArray[np.int64]:
    """Best pair of each object, -1 for none."""
    best = np.full(n, -1, np.int64)
    backwards = best_first[::-1]  # so that the best is written last
    best[row[backwards]] = backwards
    return best


@njit(cache=True)
def _greedy(left, right, order, n_left, n_right):  # type: ignore[no-untyped-def]
    left_free, right_free = np.ones(n_left, np.bool_), np.ones(n_right, np.bool_)
    taken = np.empty(order.size, np.int64)
    n = 0
    for k in order:
        if left_free[left[k]] and right_free[right[k]]:
            left_free[left[k]] = right_free[right[k]] = False
            taken[n] = k
            n += 1
    return taken[:n]


def _optimal(
    a: NDArray[np.int64], b: NDArray[np.int64], gain: NDArray[np.float64], n_a: int, n_b: int
) -> NDArray[np.int64]:
    """Pairs of the largest sum of gains."""
    lonely = (np.bincount(a, minlength=n_a) == 1)[a] & (np.bincount(b, minlength=n_b) == 1)[b]
    pairs = np.flatnonzero(lonely)
    rest = np.flatnonzero(~lonely)
    if not rest.size:
        return pairs
    a_rows, inverse_a = np.unique(a[rest], return_inverse=True)
    b_rows, inverse_b = np.unique(b[rest], return_inverse=True)
    chosen = _optimal_groups(inverse_a, inverse_b, gain[rest], a_rows.size, b_rows.size)
    return np.concatenate([pairs, rest[chosen]])


def _optimal_groups(
    a: NDArray[np.int64], b: NDArray[np.int64], gain: NDArray[np.float64], n_a: int, n_b: int
) -> NDArray[np.int64]:
    """Optimum, group by connected group."""
    n = n_a + n_b
    links = coo_array((np.ones(a.size, np.int8), (a, n_a + b)), shape=(n, n))
    _, group = connected_components(links, directed=False)
    rest = np.argsort(group[a], kind="stable")
    bounds = np.flatnonzero(np.diff(group[a[rest]], prepend=-1, append=-1))
    taken = []
    small = np.ones(bounds.size - 1, bool)
    for k in np.flatnonzero(np.diff(bounds) > LARGE):  # a group this large is rare
        part = rest[bounds[k] : bounds[k + 1]]
        small[k] = np.unique(a[part]).size <= LARGE
        if not small[k]:
            taken.append(part[_sparse(a[part], b[part], gain[part])])
    mask = _groups(a, b, gain, rest, bounds, small, n_a, n_b)
    return np.concatenate([*taken, rest[mask]])


def _sparse(
    a: NDArray[np.int64], b: NDArray[np.int64], gain: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Optimum of a large group; a partner of no gain for each left object lets it stay alone."""
    a, b = (np.unique(x, return_inverse=True)[1] for x in (a, b))
    n, m = int(a.max()) + 1, int(b.max()) + 1
    base = float(gain.max()) * 1e-3 + 1e-300  # the solver takes no weight for no edge
    weight = np.concatenate([base + gain, np.full(n, base)])
    rows, columns = np.append(a, np.arange(n)), np.append(b, m + np.arange(n))
    graph = coo_array((weight, (rows, columns)), shape=(n, m + n)).tocsr()
    i, j = min_weight_full_bipartite_matching(graph, maximize=True)
    partner = np.full(n, -1)
    partner[i] = j
    return np.flatnonzero(partner[a] == b)


@njit(cache=True)
def _groups(a, b, gain, rest, bounds, small, n_a, n_b):  # type: ignore[no-untyped-def]
    """Optimum of each small group; which of `rest` are chosen."""
    chosen = np.zeros(rest.size, np.bool_)
    place_a, place_b = np.full(n_a, -1, np.int64), np.full(n_b, -1, np.int64)
    for k in range(small.size):
        if not small[k]:
            continue
        n = m = 0
        for t in range(bounds[k], bounds[k + 1]):
            p = rest[t]
            if place_a[a[p]] < 0:
                place_a[a[p]] = n
                n += 1
            if place_b[b[p]] < 0:
                place_b[b[p]] = m
                m += 1
        cost = np.zeros((n, m + n))  # the last n columns: left alone, for nothing
        for t in range(bounds[k], bounds[k + 1]):
            p = rest[t]
            cost[place_a[a[p]], place_b[b[p]]] = -gain[p]
        partner = _hungarian(cost)
        for t in range(bounds[k], bounds[k + 1]):
            p = rest[t]
            chosen[t] = partner[place_a[a[p]]] == place_b[b[p]]
    return chosen


@njit(cache=True)
def _hungarian(cost):  # type: ignore[no-untyped-def]
    """Column of each row such that the sum of costs is least; no more rows than columns.

    Rows enter one by one; each takes the shortest augmenting path in reduced costs.
    """
    n, m = cost.shape
    u, v = np.zeros(n + 1), np.zeros(m + 1)
    row_of, way = np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64)
    for i in range(1, n + 1):
        row_of[0], column = i, 0
        least, done = np.full(m + 1, np.inf), np.zeros(m + 1, np.bool_)
        while row_of[column] != 0:
            done[column] = True
            row, delta, following = row_of[column], np.inf, 0
            for j in range(1, m + 1):
                if done[j]:
                    continue
                reduced = cost[row - 1, j - 1] - u[row] - v[j]
                if reduced < least[j]:
                    least[j], way[j] = reduced, column
                if least[j] < delta:
                    delta, following = least[j], j
            for j in range(m + 1):
                if done[j]:
                    u[row_of[j]] += delta
                    v[j] -= delta
                else:
                    least[j] -= delta
            column = following
        while column:
            row_of[column] = row_of[way[column]]
            column = way[column]
    partner = np.full(n, -1, np.int64)
    for j in range(1, m + 1):
        if row_of[j]:
            partner[row_of[j] - 1] = j - 1
    return partner

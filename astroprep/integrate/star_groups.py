"""Pairs to groups: union-find that joins the surest first and never joins what contradicts."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["cross_pairs", "join"]

Rows = NDArray[np.int64]


def cross_pairs(
    left: Rows, right: Rows, n_curves: int, most: int
) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """All pairs within each set that links connect, but for sets larger than `most`.

    Parameters
    ----------
    left, right : int64 array, shape (n_links,)
        Rows of the links.
    n_curves : int
        Rows altogether.
    most : int
        Largest set.

    Returns
    -------
    left, right : int64 array, shape (n_pairs,)
        Rows, the lower one left.
    large : bool array, shape (n_curves,)
        Members of sets that are too large.
    """
    graph = coo_array((np.ones(left.size, np.int8), (left, right)), shape=(n_curves, n_curves))
    _, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=1)
    large = size[label] > most
    order = np.argsort(label, kind="stable")
    keep = (size[label[order]] > 1) & ~large[order]
    member = order[keep]
    starts = np.flatnonzero(np.diff(label[member], prepend=-1))
    first, second = _within(member, np.append(starts, member.size))
    return np.minimum(first, second), np.maximum(first, second), large


@njit(cache=True)
def _within(member, starts):  # type: ignore[no-untyped-def]
    total = 0
    for g in range(starts.size - 1):
        k = starts[g + 1] - starts[g]
        total += k * (k - 1) // 2
    first, second = np.empty(total, np.int64), np.empty(total, np.int64)
    n = 0
    for g in range(starts.size - 1):
        for a in range(starts[g], starts[g + 1]):
            for b in range(a + 1, starts[g + 1]):
                first[n], second[n] = member[a], member[b]
                n += 1
    return first, second


@njit(cache=True)
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def join(order, left, right, starts, neighbour, pair, n_curves):  # type: ignore[no-untyped-def]
    """Join links in their order unless two members of the joined groups contradict each other.

    Parameters
    ----------
    order : int64 array, shape (n_links,)
        Pairs to try, the surest first.
    left, right : int64 array, shape (n_pairs,)
        Rows.
    starts : int64 array, shape (n_curves + 1,)
        Pairs that contradict, by either row: ``starts[i]:starts[i + 1]``.
    neighbour, pair : int64 array
        The other row, and the pair itself.
    n_curves : int
        Rows altogether.

    Returns
    -------
    group : int64 array, shape (n_curves,)
        Lowest row of the group.
    by : int64 array, shape (n_curves,)
        Pair by which the row's group was joined to another when it was last joined as the side
        with the higher lowest row; -1 for none.
    blocked : int64 array, shape (n_pairs,)
        Of a link that was not joined: the pair that contradicts; -1 elsewhere.
    """
    parent = np.arange(n_curves)
    after = np.full(n_curves, -1, np.int64)  # members of a group as a chain
    last = np.arange(n_curves)
    by = np.full(n_curves, -1, np.int64)
    blocked = np.full(left.size, -1, np.int64)
    for k in order:
        a, b = _root(parent, left[k]), _root(parent, right[k])
        if a == b:
            continue
        against = -1
        i = a
        while i >= 0 and against < 0:
            for m in range(starts[i], starts[i + 1]):
                if _root(parent, neighbour[m]) == b:
                    against = pair[m]
                    break
            i = after[i]
        if against >= 0:
            blocked[k] = against
            continue
        low, high = min(a, b), max(a, b)
        by[high] = k
        parent[high] = low
        after[last[low]] = high
        last[low] = last[high]
    group = np.empty(n_curves, np.int64)
    for i in range(n_curves):
        group[i] = _root(parent, i)
    return group, by, blocked

"""Classes within classes: probabilities and measures at every level of a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import balanced_accuracy, evaluate

__all__ = ["Taxonomy", "evaluate_levels"]


@dataclass(frozen=True)
class Taxonomy:
    """A tree whose leaves are the classes of a network.

    Parameters
    ----------
    paths : dict of str to tuple of str
        Nodes from the top down to each class, the class last.

    Notes
    -----
    In a recipe a table: a list names the classes of a group, a table holds groups within a
    group, an empty list makes the key itself a class::

        [taxonomy]
        eclipsing = ["EA", "EW"]
        rotational = []
        [taxonomy.pulsating]
        "RR Lyrae" = ["RRab", "RRc"]
        LPV = []

    A class on a level above the deepest stands for itself on the levels below.
    """

    paths: dict[str, tuple[str, ...]]

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Read a nested table.

        Raises
        ------
        ConfigError
            If a name is not text, stands in two places, or a value is neither list nor table.
        """
        paths: dict[str, tuple[str, ...]] = {}
        nodes: list[str] = []

        def leaf(path: tuple[str, ...]) -> None:
            if path[-1] in paths:
                raise ConfigError(f"taxonomy: class {path[-1]!r} stands in two places")
            paths[path[-1]] = path

        def walk(branch: Mapping[str, Any], above: tuple[str, ...]) -> None:
            for name, value in branch.items():
                if isinstance(value, Mapping) and value:
                    nodes.append(name)
                    walk(value, (*above, name))
                elif isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
                    if value:
                        nodes.append(name)
                    for one in value:
                        leaf((*above, name, one))
                    if not value:
                        leaf((*above, name))
                else:
                    raise ConfigError(
                        f"taxonomy: {name!r} needs a list of classes or a table, got {value!r}"
                    )

        walk(table, ())
        twice = sorted({name for name in nodes if nodes.count(name) > 1 or name in paths})
        if twice:
            raise ConfigError(f"taxonomy: {', '.join(twice)} stands in two places")
        return cls(paths)

    def of(self, classes: Sequence[str]) -> Self:
        """Taxonomy of just these classes; one that the tree lacks stands alone at the top.

        Parameters
        ----------
        classes : sequence of str
            Of a network.

        Raises
        ------
        ConfigError
            If a class is named like a group.
        """
        groups = {node for path in self.paths.values() for node in path[:-1]}
        clash = sorted(set(classes) & groups)
        if clash:
            raise ConfigError(f"taxonomy: {', '.join(clash)} is a class of the data and a group")
        return type(self)({name: self.paths.get(name, (name,)) for name in classes})

    @property
    def depth(self) -> int:
        """Number of levels; the last one is that of the classes themselves."""
        return max((len(path) for path in self.paths.values()), default=0)

    def node(self, label: str, level: int) -> str:
        """Node of a class on a level (1 is the top); ``""`` for a class that is not known."""
        path = self.paths.get(label)
        return "" if path is None else path[min(level, len(path)) - 1]

    def nodes(self, level: int) -> list[str]:
        """Nodes of a level in the order of their first class."""
        return list(dict.fromkeys(self.node(name, level) for name in self.paths))

    def probabilities(
        self, probability: NDArray[np.floating[Any]], level: int
    ) -> NDArray[np.float64]:
        """Probabilities of the nodes of a level: each the sum of its classes'.

        Parameters
        ----------
        probability : float array, shape (n_objects, n_classes)
            In the order of ``paths``; rows of NaN stay NaN.
        level : int
            1 is the top.

        Returns
        -------
        float64 array, shape (n_objects, n_nodes)
            In the order of `nodes`.

        Raises
        ------
        DataError
            If there is not one column a class.
        """
        p = np.asarray(probability, dtype=np.float64)
        if p.ndim != 2 or p.shape[1] != len(self.paths):
            raise DataError(f"taxonomy of {len(self.paths)} classes, probabilities {p.shape}")
        place = {name: i for i, name in enumerate(self.nodes(level))}
        index = np.array([place[self.node(name, level)] for name in self.paths], dtype=np.int64)
        out = np.zeros((len(p), len(place)))
        for k, node in enumerate(index):
            out[:, node] += p[:, k]
        return out


def evaluate_levels(
    truth: ArrayLike, probability: NDArray[np.floating[Any]], taxonomy: Taxonomy
) -> list[dict[str, Any]]:
    """Measures at every level, end to end and within the true parent.

    Parameters
    ----------
    truth : array-like of str, shape (n_objects,)
        True classes; others than the taxonomy's are left out.
    probability : float array, shape (n_objects, n_classes)
        In the order of ``taxonomy.paths``; rows of NaN (rejected objects) count as wrong.
    taxonomy : Taxonomy
        Of the classes of the network.

    Returns
    -------
    list of dict
        For each level ``level``, ``nodes``, ``end_to_end`` (`evaluate` of the node of highest
        summed probability) and ``within``: for each parent of two nodes or more its
        ``parent``, ``nodes``, ``n`` and ``balanced_accuracy``, over the objects that truly
        belong to the parent, decided among its nodes alone; so Hosenie et al. [1]_ score.

    Raises
    ------
    DataError
        If lengths do not agree.

    References
    ----------
    .. [1] Hosenie et al. 2020, MNRAS 493, 6050, section 4, doi:10.1093/mnras/staa642
    """
    label = np.asarray(truth, dtype=object).ravel()
    p = np.asarray(probability, dtype=np.float64)
    if len(label) != len(p):
        raise DataError(f"{len(label)} true classes for {len(p)} rows of probabilities")
    known = np.array([name in taxonomy.paths for name in label.tolist()], bool)
    label, p = label[known], p[known]
    served = np.isfinite(p).all(axis=1)
    out = []
    for level in range(1, taxonomy.depth + 1):
        nodes = np.array(taxonomy.nodes(level), dtype=object)
        share = taxonomy.probabilities(p, level)
        true = np.array([taxonomy.node(name, level) for name in label.tolist()], dtype=object)
        best = np.full(label.size, "", dtype=object)
        best[served] = nodes[share[served].argmax(axis=1)]
        out.append(
            {
                "level": level,
                "nodes": nodes.tolist(),
                "end_to_end": evaluate(true, best, nodes.tolist()),
                "within": _within(taxonomy, level, true, share, served),
            }
        )
    return out


def _within(
    taxonomy: Taxonomy,
    level: int,
    true: NDArray[np.object_],
    share: NDArray[np.float64],
    served: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Scores within each true parent."""
    nodes = taxonomy.nodes(level)
    parent_of = {
        taxonomy.node(name, level): taxonomy.node(name, level - 1) if level > 1 else ""
        for name in taxonomy.paths
    }
    found = []
    for parent in dict.fromkeys(parent_of.values()):
        children = [node for node in nodes if parent_of[node] == parent]
        if len(children) < 2:
            continue
        columns = [nodes.index(node) for node in children]
        mine = np.isin(true, children)
        best = np.full(int(mine.sum()), "", dtype=object)
        some = served[mine]
        inside = share[mine][:, columns]
        best[some] = np.array(children, dtype=object)[inside[some].argmax(axis=1)]
        score = balanced_accuracy(true[mine], best, children)
        found.append(
            {
                "parent": parent,
                "nodes": children,
                "n": int(mine.sum()),
                "balanced_accuracy": None if np.isnan(score) else score,
            }
        )
    return found

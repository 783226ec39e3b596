"""How unlike anything learned an object is, and from where on it is called unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.density import LOOKS, ClassDensity

__all__ = ["METHODS", "UnknownScore", "entropy_score"]

Method = Literal["combined", "columns", "directions", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

PARTS = {"columns": 1.0, "directions": 1.0, "entropy": 0.5}
"""Of the combined score, and their weights: a whole entropy takes detached binaries, of which the
network is sure when it never saw one, for known stars."""

KNOTS = 12  # of the curve from a part to its surprise
BEYOND = 10  # validation objects above the last knot, from which on it is a straight line


def entropy_score(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Entropy of the class probabilities: high where several classes are as probable.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        Before temperature and priors.

    Returns
    -------
    float64 array, shape (n_objects,)
        Nats, 0 to the logarithm of the number of classes.
    """
    exact = np.asarray(logits, dtype=np.float64)
    log_p = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
    return np.asarray(-(np.exp(log_p) * log_p).sum(axis=1))


@dataclass(frozen=True, eq=False)
class UnknownScore:
    """A score learned from the training objects, with its threshold.

    Parameters
    ----------
    method : {"combined", "columns", "directions", "entropy"}
        ``columns``, ``directions``: how rare such auxiliaries were in training, by a few of them
        or by linear discriminants of all (`ClassDensity`). ``entropy``: of the logits, see
        `entropy_score`. ``combined``: weighted sum [1]_ of minus the logarithm of the share of
        validation objects that are as unlike, for each of the three.
    n_auxiliary : int
        Auxiliaries of an object.
    density : dict of str to ClassDensity
        Of ``columns`` and ``directions``; empty where there is no auxiliary.
    tail : float64 array, shape (3, 12)
        Values of the three parts at equal steps of that logarithm, from 0 on.
    highest : float
        The logarithm at the last of them.
    threshold : float
        Scores above it are called unknown.
    false_unknown_rate : float
        Share of objects of known classes that may lie above it.

    Notes
    -----
    Each part sees what the others do not: the columns a class beside the learned ones, the
    directions what is no star at all, the entropy what falls between learned classes. Densities
    are those of the auxiliaries, because the last layers keep only what tells the learned classes
    apart, and noise looks ordinary there.

    References
    ----------
    .. [1] Good 1955, "On the weighted combination of significance tests", JRSS B 17, 264,
       doi:10.1111/j.2517-6161.1955.tb00201.x
    """

    method: Method
    n_auxiliary: int
    density: dict[str, ClassDensity]
    tail: NDArray[np.float64]
    highest: float
    threshold: float
    false_unknown_rate: float

    @classmethod
    def fit(
        cls,
        auxiliary: NDArray[np.floating[Any]],
        code: NDArray[np.integer[Any]],
        validation_logits: NDArray[np.floating[Any]],
        validation_auxiliary: NDArray[np.floating[Any]],
        *,
        n_classes: int,
        method: Method = "combined",
        false_unknown_rate: float = 0.02,
    ) -> Self:
        """Learn the density from training, shares and threshold from validation objects.

        Parameters
        ----------
        auxiliary : float array, shape (n_training, n_auxiliary)
            Of training objects, finite; without any the entropy decides alone.
        code : int array, shape (n_training,)
            Their classes; each needs one object.
        validation_logits : float array, shape (n_validation, n_classes)
            Of objects that the network did not learn. Without any the score is that of the
            columns, and nothing is called unknown.
        validation_auxiliary : float array, shape (n_validation, n_auxiliary)
            Of the same.
        n_classes : int
            Number of classes.
        method : {"combined", "columns", "directions", "entropy"}, default "combined"
            See the class.
        false_unknown_rate : float, default 0.02
            Share of known objects that may be called unknown. Where there are fewer validation
            objects than it takes to state the rate (49 for 0.02), none is called unknown.

        Raises
        ------
        DataError
            If a class has no object, or an auxiliary is not finite.
        ConfigError
            If the rate is not between 0 and 1, or for another method.
        """
        if method not in METHODS:
            raise ConfigError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
        if not 0 < false_unknown_rate < 1:
            raise ConfigError(f"false_unknown_rate must be in (0, 1), got {false_unknown_rate!r}")
        h = np.asarray(auxiliary, dtype=np.float64)
        count = np.bincount(code, minlength=n_classes)
        if h.ndim != 2 or not np.isfinite(h).all() or not (count > 0).all():
            raise DataError(
                "UnknownScore needs finite auxiliaries of an object of every class at least, got "
                f"shape {h.shape} and objects of each class {count.tolist()}"
            )
        if not h.shape[1]:
            method = "entropy"
        if not len(validation_logits) and method == "combined":
            method = "columns"
        draft = cls(
            method=method,
            n_auxiliary=h.shape[1],
            density={
                name: ClassDensity.fit(h, code, n_classes, name) for name in LOOKS if h.shape[1]
            },
            tail=np.zeros((len(PARTS), KNOTS)),
            highest=1.0,
            threshold=float(np.finfo(np.float64).max),
            false_unknown_rate=false_unknown_rate,
        )
        return draft._with_threshold(validation_logits, validation_auxiliary)

    def _with_threshold(
        self, logits: NDArray[np.floating[Any]], auxiliary: NDArray[np.floating[Any]]
    ) -> Self:
        n = len(logits)
        if not n:
            return self
        made = self
        if self.method == "combined":
            highest = math.log(max((n + 1) / BEYOND, 2.0))
            share = np.exp(-np.linspace(0.0, highest, KNOTS))
            parts = [self._part(name, logits, auxiliary) for name in PARTS]
            tail = np.quantile(parts, 1 - share, axis=1).T.astype(np.float32).astype(np.float64)
            made = replace(self, tail=tail, highest=highest)
        score = np.sort(made.score(logits, auxiliary))
        # a new known object exceeds the k-th largest of n with probability k / (n + 1)
        k = int(self.false_unknown_rate * (n + 1))
        return replace(made, threshold=float(score[-k])) if k else made

    def _part(
        self, name: str, logits: NDArray[np.floating[Any]], auxiliary: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        if name == "entropy":
            return entropy_score(logits)
        return self.density[name].surprise(auxiliary)

    def score(
        self, logits: NDArray[np.floating[Any]], auxiliary: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """How unlike the training objects each object is; large is unlike.

        Parameters
        ----------
        logits : float array, shape (n_objects, n_classes)
            Before temperature and priors.
        auxiliary : float array, shape (n_objects, n_auxiliary)
            As the network takes them.

        Returns
        -------
        float64 array, shape (n_objects,)
            To be compared with ``threshold``.

        Raises
        ------
        DataError
            If there are not as many auxiliaries as were learned from.
        """
        if np.shape(auxiliary) != (len(logits), self.n_auxiliary):
            raise DataError(
                f"UnknownScore learned {self.n_auxiliary} auxiliaries, got an array of shape "
                f"{np.shape(auxiliary)} for {len(logits)} objects"
            )
        if self.method != "combined":
            return self._part(self.method, logits, auxiliary)
        total = np.zeros(len(logits))
        for (name, weight), knots in zip(PARTS.items(), self.tail, strict=True):
            part = self._part(name, logits, auxiliary)
            total += weight * _surprise(part, knots, self.highest)
        return total

    def is_unknown(self, score: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """True where a score is above the threshold, shape (n_objects,)."""
        return np.asarray(np.asarray(score) > self.threshold)

    def to_state(self) -> dict[str, Any]:
        """Plain values, for the bundle."""
        density = {name: one.to_state() for name, one in self.density.items()}
        return {**self.__dict__, "density": density, "tail": self.tail.astype(np.float32)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_classes: int) -> Self:
        """Take up what `to_state` gave.

        Raises
        ------
        DataError
            If it does not fit together.
        """
        tail, n = state.get("tail"), state.get("n_auxiliary")
        numbers = ("highest", "threshold", "false_unknown_rate")
        method = state.get("method")
        if not (
            isinstance(n, int)
            and n >= 0
            and isinstance(method, str)
            and method in (METHODS if n else ("entropy",))
            and all(isinstance(state.get(name), float) for name in numbers)
            and state["highest"] > 0
            and isinstance(tail, np.ndarray)
            and tail.dtype.kind == "f"
            and tail.shape == (len(PARTS), KNOTS)
            and np.isfinite(tail).all()
        ):
            raise DataError("the unknown score is missing parts or damaged")
        density: dict[str, ClassDensity] = {}
        stored = state.get("density")
        for name in LOOKS if n else ():
            one = stored.get(name) if isinstance(stored, Mapping) else None
            density[name] = ClassDensity.from_state(one, n_classes)
            if len(density[name].look) != n:
                raise DataError(f"the density of the unknown score takes not {n} auxiliaries")
        rest = {name: state[name] for name in ("method", "n_auxiliary", *numbers)}
        return cls(density=density, tail=np.asarray(tail, np.float64), **rest)


def _surprise(
    part: NDArray[np.float64], knots: NDArray[np.float64], highest: float
) -> NDArray[np.float64]:
    """Minus the logarithm of the share of validation objects with as large a part or a larger."""
    level = np.linspace(0.0, highest, knots.size)
    middle = knots.size // 2
    width = max(float(knots[-1] - knots[middle]), 1e-9)
    slope = (highest - level[middle]) / width
    return np.asarray(np.interp(part, knots, level) + slope * np.maximum(part - knots[-1], 0.0))

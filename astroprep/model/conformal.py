"""Sets of classes that hold the true one with a stated probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["Conformal", "conformity_scores", "default_groups"]

Score = Literal["lac", "aps", "raps"]

KNOTS = np.append(np.linspace(0.0, 0.8, 17), np.linspace(0.8, 1.0, 61)[1:])
"""Ranks that are kept of a class with more objects than knots; most where coverages are wanted:
sets there are too large by a third of a point of coverage at most."""

ALONE = 30  # validation objects from which on a class has a threshold of its own
RAPS_PENALTY, RAPS_FREE = 0.01, 3  # lambda and k_reg of Angelopoulos et al.


def _uniform(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """A number in [0, 1) of each row, made of its own bits: the same alone and in any crowd."""
    bits = np.bitwise_xor.reduce(
        np.ascontiguousarray(p).view(np.uint64)
        * (2 * np.arange(p.shape[1], dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)),
        axis=1,
    )
    bits = (bits ^ (bits >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)


def conformity_scores(
    probability: NDArray[np.floating[Any]], score: Score = "lac"
) -> NDArray[np.float64]:
    """How badly each class fits each object; small is good.

    Parameters
    ----------
    probability : float array, shape (n_objects, n_classes)
        Finite; rows sum to 1.
    score : {"lac", "aps", "raps"}, default "lac"
        ``lac``: minus the logarithm of the probability (least ambiguous sets [1]_). ``aps``:
        the probability of all likelier classes and a random part of its own [2]_, the random
        number made of the row's own bits. ``raps``: that and 0.01 for each rank beyond the
        third [3]_.

    Returns
    -------
    float64 array, shape (n_objects, n_classes)
        Infinite for a class of probability 0.

    Raises
    ------
    DataError
        If a probability is not finite.
    ConfigError
        For another score.

    Notes
    -----
    A machine whose arithmetic differs in the last bit draws another random number: coverage is
    the same there, single sets of ``aps`` and ``raps`` may differ by a class at their edge.

    References
    ----------
    .. [1] Sadinle, Lei & Wasserman 2019, JASA 114, 223, doi:10.1080/01621459.2017.1395341
    .. [2] Romano, Sesia & Candès 2020, "Classification with valid and adaptive coverage",
       equations 6 and 10, arXiv:2006.02544
    .. [3] Angelopoulos et al. 2021, "Uncertainty sets for image classifiers using conformal
       prediction", equation 4, arXiv:2009.14193
    """
    p = np.asarray(probability, dtype=np.float64)
    if score not in get_args(Score):
        raise ConfigError(f"conformal score must be lac, aps or raps, got {score!r}")
    if not np.isfinite(p).all():
        row = int(np.argmin(np.isfinite(p).all(axis=1)))
        raise DataError(f"conformal sets need finite probabilities, row {row} has others")
    if score == "lac":
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(p))
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    value = np.cumsum(ranked, axis=1) - (1 - _uniform(p)[:, None]) * ranked
    if score == "raps":
        rank = np.arange(1, p.shape[1] + 1)
        value = value + RAPS_PENALTY * np.maximum(rank - RAPS_FREE, 0)
    out = np.empty_like(p)
    np.put_along_axis(out, order, np.where(ranked > 0, value, np.inf), axis=1)
    return out


def default_groups(count: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Each class alone where it has 30 objects, the rarer ones together.

    Parameters
    ----------
    count : int array, shape (n_classes,)
        Validation objects.

    Returns
    -------
    int64 array, shape (n_classes,)
        Group of each class.
    """
    rare = np.asarray(count) < ALONE
    return np.where(rare, len(rare), np.arange(len(rare))).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Conformal:
    """Split conformal prediction: what the true class scored on objects that nothing learned.

    Parameters
    ----------
    score : {"lac", "aps", "raps"}
        See `conformity_scores`.
    group : int64 array, shape (n_classes,)
        Classes of one group share a threshold, which covers the group as a whole.
    scores : tuple of float64 arrays, each of shape (n_knots of the class,)
        Ascending scores of the true class.
    counts : tuple of int64 arrays, each of shape (n_knots of the class,)
        Objects that each of these stands for: 1, or more in a large class that was thinned (the
        largest of them is kept, so that coverage can only rise).

    Notes
    -----
    Probabilities must be those under the learned priors, before any correction to others: then
    the scores do not depend on the class shares of a new survey. With each class in a group of
    its own, coverage holds within every class, whatever the shares are. Within a group of
    several the objects are weighted by the ratio of new to calibration shares [2]_.

    A set may be empty: no class is as typical as most of its members are.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world", section 4.5
       (label-conditional), doi:10.1007/b106715
    .. [2] Podkopaev & Ramdas 2021, "Distribution-free uncertainty quantification for
       classification under label shift", equation 9, arXiv:2103.03323; the weighted quantile is
       that of Tibshirani et al. 2019, lemma 3, arXiv:1904.06019
    """

    score: Score
    group: NDArray[np.int64]
    scores: tuple[NDArray[np.float64], ...]
    counts: tuple[NDArray[np.int64], ...]

    @classmethod
    def fit(
        cls,
        probability: NDArray[np.floating[Any]],
        code: NDArray[np.integer[Any]],
        *,
        score: Score = "lac",
        group: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> Self:
        """Score calibration objects.

        Parameters
        ----------
        probability : float array, shape (n_objects, n_classes)
            Finite.
        code : int array, shape (n_objects,)
            True classes.
        score : {"lac", "aps", "raps"}, default "lac"
            See `conformity_scores`.
        group : int array, shape (n_classes,), optional
            `default_groups` of the objects by default; zeros for one threshold.

        Raises
        ------
        DataError
            If there is no object or a probability is not finite.
        ConfigError
            If a group is missing, or for another score.
        """
        y = np.asarray(code, dtype=np.int64)
        n_classes = np.shape(probability)[1]
        if not y.size:
            raise DataError("Conformal needs at least one calibration object, got none")
        value = conformity_scores(probability, score)[np.arange(y.size), y]
        count = np.bincount(y, minlength=n_classes)
        groups = default_groups(count) if group is None else np.asarray(group, dtype=np.int64)
        if groups.shape != (n_classes,):
            raise ConfigError(f"Conformal needs a group for each of {n_classes} classes")
        thinned = [_thin(np.sort(value[y == k])) for k in range(n_classes)]
        kept = tuple(_rounded_up(s, score).astype(np.float64) for s, _ in thinned)
        return cls(score, groups, kept, tuple(n for _, n in thinned))

    def thresholds(
        self, coverage: float, shares: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float64]:
        """Largest score at which each class belongs to a set.

        Parameters
        ----------
        coverage : float
            Wanted probability that the set holds the true class, between 0 and 1.
        shares : float array, shape (n_classes,), optional
            Class shares of the sample, for groups of several classes; those of the calibration
            objects by default.

        Returns
        -------
        float64 array, shape (n_classes,)
            Infinite where too few objects were seen to leave the class out of any set.

        Raises
        ------
        ConfigError
            If the coverage is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ConfigError(f"coverage must be between 0 and 1, got {coverage!r}")
        seen = np.array([n.sum() for n in self.counts], dtype=np.float64)
        wanted = seen if shares is None else np.asarray(shares, dtype=np.float64)
        weight = np.divide(wanted, seen, out=np.zeros_like(wanted), where=seen > 0)
        limit = np.full(seen.size, np.inf)
        for k in range(seen.size):
            members = np.flatnonzero(self.group == self.group[k])
            value = np.concatenate([self.scores[j] for j in members])
            mass = np.concatenate([weight[j] * self.counts[j] for j in members])
            own = weight[k] if weight[k] > 0 else weight[members].max()
            order = np.argsort(value, kind="stable")
            reached = np.cumsum(mass[order])
            needed = coverage * (mass.sum() + own)
            at = int(np.searchsorted(reached, needed * (1 - 1e-12)))
            if mass.sum() > 0 and at < value.size:
                limit[k] = value[order][at]
        return limit

    def contains(
        self,
        probability: NDArray[np.floating[Any]],
        coverage: float,
        shares: NDArray[np.floating[Any]] | None = None,
    ) -> NDArray[np.bool_]:
        """Which classes each set holds.

        Parameters
        ----------
        probability : float array, shape (n_objects, n_classes)
            Finite, under the learned priors.
        coverage, shares
            See `thresholds`.

        Returns
        -------
        bool array, shape (n_objects, n_classes)
            True where the class is in the set.

        Raises
        ------
        DataError, ConfigError
            See `conformity_scores` and `thresholds`.
        """
        value = conformity_scores(probability, self.score)
        return np.asarray(value <= self.thresholds(coverage, shares))

    def to_state(self) -> dict[str, Any]:
        """Plain values, for the bundle."""
        return {
            "score": self.score,
            "group": self.group,
            "scores": [_rounded_up(s, self.score) for s in self.scores],
            "counts": [n.astype(np.int32) for n in self.counts],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_classes: int) -> Self:
        """Take up what `to_state` gave.

        Raises
        ------
        DataError
            If it is not that of so many classes.
        """
        group, scores, counts = (state.get(name) for name in ("group", "scores", "counts"))
        good = (
            state.get("score") in get_args(Score)
            and isinstance(group, np.ndarray)
            and group.shape == (n_classes,)
            and group.dtype.kind == "i"
            and isinstance(scores, list)
            and isinstance(counts, list)
            and len(scores) == len(counts) == n_classes
            and all(map(_are_knots, scores, counts))
        )
        if not good:
            raise DataError(f"conformal scores of {n_classes} classes are missing or damaged")
        return cls(
            state["score"],
            state["group"],
            tuple(s.astype(np.float64) for s in state["scores"]),
            tuple(n.astype(np.int64) for n in state["counts"]),
        )


def _are_knots(scores: Any, counts: Any) -> bool:
    return (
        isinstance(scores, np.ndarray)
        and isinstance(counts, np.ndarray)
        and scores.ndim == 1
        and scores.shape == counts.shape
        and scores.dtype.kind == "f"
        and counts.dtype.kind == "i"
        and bool((np.diff(scores) >= 0).all() and (counts > 0).all())
    )


def _thin(value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ascending scores cut to the knots, and how many each stands for."""
    n = value.size
    if n <= KNOTS.size:
        return value, np.ones(n, dtype=np.int64)
    rank = np.unique(np.ceil(KNOTS * n).astype(np.int64))
    rank = rank[rank > 0]
    return value[rank - 1], np.diff(rank, prepend=0)


def _rounded_up(scores: NDArray[np.float64], score: Score) -> NDArray[Any]:
    """Scores as the bundle holds them, none smaller than it was.

    Of a logarithm half precision is enough; sums of probabilities crowd near 1.
    """
    kind = np.dtype(np.float16 if score == "lac" else np.float32)
    with np.errstate(over="ignore"):  # what the kind cannot hold is infinite: a larger set
        small = scores.astype(kind)
        return np.where(small < scores, np.nextafter(small, kind.type(np.inf)), small)

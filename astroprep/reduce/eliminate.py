"""Leave out the least important features again and again, and score each set on new objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from astroprep.reduce.folds import Estimator, Score, grouped_folds
from astroprep.reduce.importance import losses

__all__ = ["Elimination", "SelectionCurve", "eliminate"]

CHECK_FOLDS = 4  # a quarter of what a fold learns from ranks its features


@dataclass(frozen=True, eq=False)
class SelectionCurve:
    """Score against the number of features.

    Parameters
    ----------
    n_features : int64 array, shape (n_sizes,)
        Falling; the first is the full set.
    scores : float64 array, shape (n_folds, n_sizes)
        On held-out objects, which neither taught nor ranked.
    chosen : int
        Size of the smallest set whose score reaches `bar`.
    """

    n_features: NDArray[np.int64]
    scores: NDArray[np.float64]
    chosen: int

    @property
    def score(self) -> NDArray[np.float64]:
        """Mean over folds."""
        return np.asarray(self.scores.mean(axis=0))

    @property
    def error(self) -> NDArray[np.float64]:
        """Spread of the folds over the root of their number; they share training objects."""
        return np.asarray(self.scores.std(axis=0, ddof=1) / np.sqrt(len(self.scores)))

    @property
    def bar(self) -> float:
        """One standard error below the best size's score, and not below that of the full set.

        An estimator that noise misleads does better with fewer features than with all, and a
        set that is merely no worse than all would then be far from its best.
        """
        return _bar(self.scores)

    def table(self) -> pd.DataFrame:
        """One row a size."""
        return pd.DataFrame(
            {"n_features": self.n_features, "score": self.score, "error": self.error}
        )


@dataclass(frozen=True, eq=False)
class Elimination:
    """Curve, and what happened to each feature when all objects took part.

    Parameters
    ----------
    curve : SelectionCurve
        Which size was chosen, and why.
    kept : bool array, shape (n_features,)
        The chosen set.
    importance : float64 array, shape (n_features,)
        Mean held-out loss when it was last ranked: in the chosen set, or when it was left out.
    error : float64 array, shape (n_features,)
        Its spread over the root of the number of folds.
    left_at : int64 array, shape (n_features,)
        Features there were when it was left out, 0 for a kept one.
    """

    curve: SelectionCurve
    kept: NDArray[np.bool_]
    importance: NDArray[np.float64]
    error: NDArray[np.float64]
    left_at: NDArray[np.int64]


def sizes(n_features: int, drop: float) -> list[int]:
    """Numbers of features from all to one, each smaller by a share `drop`, by one at least."""
    found = [n_features]
    while found[-1] > 1:
        found.append(max(1, min(found[-1] - 1, int(np.floor(found[-1] * (1 - drop))))))
    return found


def eliminate(
    estimator: Estimator,
    x: NDArray[np.float64],
    y: NDArray[np.object_],
    groups: NDArray[Any] | None,
    *,
    drop: float,
    n_folds: int,
    n_repeats: int,
    score: Score,
    seed: int,
) -> Elimination:
    """Recursive elimination with a score curve that no ranking has seen.

    Notes
    -----
    In each fold the rows learned from are split again, by groups: an estimator is fitted on three
    quarters, a quarter ranks the features by permutation, and the fold's held-out rows score the
    same estimator. The chosen size is then reached once more with all folds agreeing on the
    ranking.
    """
    grid = sizes(x.shape[1], drop)
    folds = list(grouped_folds(y, groups, n_folds, seed))
    rng = np.random.default_rng(seed)
    scores = np.empty((len(folds), len(grid)))
    for f, (train, test) in enumerate(folds):
        own = None if groups is None else groups[train]
        learn, check = next(iter(grouped_folds(y[train], own, CHECK_FOLDS, seed + 1)))
        kept = np.arange(x.shape[1])
        for s in range(len(grid)):
            model = clone(estimator, safe=False)
            model.fit(x[train[learn]][:, kept], y[train[learn]])
            scores[f, s], _ = losses(model, x[test][:, kept], y[test], [], score, 1, rng)
            if s + 1 < len(grid):
                rows = train[check]
                lost = _ranked(model, x[rows][:, kept], y[rows], score, n_repeats, rng)
                kept = kept[_keep(lost, grid[s + 1])]
    curve = SelectionCurve(np.array(grid), scores, _smallest(grid, scores))
    return _all_folds(estimator, x, y, folds, curve, score, n_repeats, rng)


def _ranked(
    model: Any,
    x: NDArray[np.float64],
    y: NDArray[np.object_],
    score: Score,
    n_repeats: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    single = [np.array([k], dtype=np.intp) for k in range(x.shape[1])]
    return losses(model, x, y, single, score, n_repeats, rng)[1]


def _keep(lost: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """The n largest, in their order in the table."""
    return np.sort(np.argsort(-lost, kind="stable")[:n])


def _bar(scores: NDArray[np.float64]) -> float:
    """What the smallest set has to reach."""
    error = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    floor = scores.mean(axis=0) - error
    return float(max(floor[0], floor[np.argmax(scores.mean(axis=0))]))


def _smallest(grid: list[int], scores: NDArray[np.float64]) -> int:
    """Smallest size whose mean score reaches the bar."""
    return grid[int(np.flatnonzero(scores.mean(axis=0) >= _bar(scores))[-1])]


def _all_folds(
    estimator: Estimator,
    x: NDArray[np.float64],
    y: NDArray[np.object_],
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
    curve: SelectionCurve,
    score: Score,
    n_repeats: int,
    rng: np.random.Generator,
) -> Elimination:
    """Down to the chosen size, ranked by the mean over the held-out rows of all folds."""
    d = x.shape[1]
    importance, error = np.full(d, np.nan), np.full(d, np.nan)
    left_at = np.zeros(d, np.int64)
    kept = np.arange(d)
    for size, after in zip(curve.n_features, [*curve.n_features[1:], 0], strict=True):
        lost = np.empty((len(folds), kept.size))
        for f, (train, test) in enumerate(folds):
            model = clone(estimator, safe=False)
            model.fit(x[train][:, kept], y[train])
            lost[f] = _ranked(model, x[test][:, kept], y[test], score, n_repeats, rng)
        importance[kept] = lost.mean(axis=0)
        error[kept] = lost.std(axis=0, ddof=1) / np.sqrt(len(folds))
        if size == curve.chosen:
            break
        stays = _keep(lost.mean(axis=0), int(after))
        left_at[np.delete(kept, stays)] = size
        kept = kept[stays]
    chosen = np.zeros(d, dtype=bool)
    chosen[kept] = True
    return Elimination(curve, chosen, importance, error, left_at)

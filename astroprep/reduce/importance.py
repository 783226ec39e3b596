"""What a classifier loses on objects that it has not seen when a feature is shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from astroprep.errors import ConfigError, DataError
from astroprep.reduce.folds import (
    Estimator,
    Score,
    balanced_accuracy,
    check_estimator,
    grouped_folds,
)
from astroprep.reduce.table import as_labels, as_table

__all__ = ["PermutationImportance", "losses", "permutation_importance"]


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """Loss of score on held-out objects when features are shuffled.

    Parameters
    ----------
    names : tuple of str
        Of features or, where blocks were given, of blocks.
    loss : float64 array, shape (n_folds, n_names)
        Score of the fold minus the mean score with the feature shuffled.
    score : float64 array, shape (n_folds,)
        Without shuffling.
    held_out : float
        Objects held out per object learned from, mean of the folds.
    """

    names: tuple[str, ...]
    loss: NDArray[np.float64]
    score: NDArray[np.float64]
    held_out: float

    @property
    def importance(self) -> NDArray[np.float64]:
        """Mean over folds."""
        return np.asarray(self.loss.mean(axis=0))

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error of `importance`: folds share what they learn from, see Notes there."""
        n = len(self.loss)
        if n < 2:
            return np.full(self.loss.shape[1], np.nan)
        return np.asarray(np.sqrt((1 / n + self.held_out) * self.loss.var(axis=0, ddof=1)))

    def table(self) -> pd.DataFrame:
        """One row a feature, the most important first."""
        frame = pd.DataFrame(
            {"feature": self.names, "importance": self.importance, "error": self.error}
        )
        return frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)

    def report(self, n: int = 15) -> str:
        """Text for people: the `n` most important."""
        lines = [
            f"Held-out score {self.score.mean():.4f} ({len(self.score)} folds); shuffled, it loses:"
        ]
        lines += [
            f"  {row.importance:+.4f} ± {row.error:.4f}  {row.feature}"
            for row in self.table().head(n).itertuples()
        ]
        return "\n".join(lines)


def permutation_importance(
    estimator: Estimator,
    table: Any,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    blocks: Sequence[Sequence[str]] | None = None,
    score: Score = balanced_accuracy,
    n_folds: int = 5,
    n_repeats: int = 5,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> PermutationImportance:
    """Measure how much an estimator relies on each feature, on objects it has not seen.

    Parameters
    ----------
    estimator : anything with ``fit(X, y)`` and ``predict(X)``
        A copy is fitted in each fold. It is given NaN where a feature is missing.
    table : any table
        See `as_table`.
    labels : sequence of str, shape (n_objects,)
        Classes; objects without one are left out.
    groups : array, shape (n_objects,), optional
        Objects of equal value are never on both sides, see `astroprep.integrate.twins`.
    blocks : sequence of sequences of str, optional
        Features to shuffle together, each block named by its first. Twins stand in for each
        other, so that one alone seems to matter little.
    score : callable, default `balanced_accuracy`
        Of truth and prediction, larger is better.
    n_folds : int, default 5
        Each object is held out once.
    n_repeats : int, default 5
        Shuffles of each feature in each fold.
    seed : int, default 0
        Of folds and shuffles.
    names : sequence of str, optional
        Of the columns of an array, or columns to take.

    Returns
    -------
    PermutationImportance

    Raises
    ------
    ConfigError
        If the estimator lacks a method, or a number is too small.
    DataError
        If numbers of rows differ, a block names an unknown feature, or classes do not allow
        the folds.

    Notes
    -----
    The loss of one fold is that of [1]_, with missing entries shuffled along. The standard error
    of the mean of J folds is ``sqrt((1 / J + n_test / n_train) s²)`` [2]_, for folds share
    their training objects.

    References
    ----------
    .. [1] Breiman 2001, Machine Learning 45, 5, doi:10.1023/A:1010933404324
    .. [2] Nadeau & Bengio 2003, Machine Learning 52, 239, doi:10.1023/A:1024068626366
    """
    check_estimator(estimator, "permutation_importance")
    if n_repeats < 1:
        raise ConfigError(f"permutation_importance: n_repeats must be at least 1, got {n_repeats}")
    given = as_table(table, names)
    text = as_labels(labels, given.n_objects, "permutation_importance")
    known = text != ""
    x, y = given.values[known], text[known]
    own = None if groups is None else _some(groups, known)
    index = _blocks(given.names, blocks)
    rng = np.random.default_rng(seed)
    loss, plain, share = [], [], []
    for train, test in grouped_folds(y, own, n_folds, seed):
        model = clone(estimator, safe=False)
        model.fit(x[train], y[train])
        at, lost = losses(model, x[test], y[test], index, score, n_repeats, rng)
        plain.append(at)
        loss.append(lost)
        share.append(test.size / train.size)
    return PermutationImportance(
        names=tuple(given.names[block[0]] for block in index),
        loss=np.array(loss),
        score=np.array(plain),
        held_out=float(np.mean(share)),
    )


def losses(
    model: Any,
    x: NDArray[np.float64],
    y: NDArray[np.object_],
    blocks: Sequence[NDArray[np.intp]],
    score: Score,
    n_repeats: int,
    rng: np.random.Generator,
) -> tuple[float, NDArray[np.float64]]:
    """Score of a fitted model, and its mean loss with each block shuffled."""
    plain = score(y, _text(model.predict(x)))
    lost = np.empty(len(blocks))
    mixed = x.copy()
    for k, block in enumerate(blocks):
        total = 0.0
        for _ in range(n_repeats):
            mixed[:, block] = x[rng.permutation(len(x))][:, block]
            total += plain - score(y, _text(model.predict(mixed)))
        mixed[:, block] = x[:, block]
        lost[k] = total / n_repeats
    return plain, lost


def _text(predicted: Any) -> NDArray[np.object_]:
    return np.array([str(v) for v in np.asarray(predicted).ravel().tolist()], dtype=object)


def _some(groups: ArrayLike, known: NDArray[np.bool_]) -> NDArray[Any]:
    own = np.asarray(groups).ravel()
    if own.size != known.size:
        raise DataError(f"groups needs one value an object: {known.size} rows, {own.size} groups")
    return own[known]


def _blocks(
    names: tuple[str, ...], blocks: Sequence[Sequence[str]] | None
) -> list[NDArray[np.intp]]:
    if blocks is None:
        return [np.array([k], dtype=np.intp) for k in range(len(names))]
    place = {name: k for k, name in enumerate(names)}
    strange = [name for block in blocks for name in block if name not in place]
    if strange or not all(len(block) for block in blocks) or not blocks:
        raise DataError(
            f"blocks need features of the table, got {strange[0]!r}"
            if strange
            else "blocks must not be empty"
        )
    return [np.array([place[name] for name in block], dtype=np.intp) for block in blocks]

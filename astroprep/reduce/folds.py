"""Split objects so that those of one group (twins of one star) stay together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold

from astroprep.errors import ConfigError, DataError

__all__ = ["Estimator", "Score", "balanced_accuracy", "check_estimator", "grouped_folds"]

Score = Callable[[NDArray[np.object_], NDArray[np.object_]], float]


class Estimator(Protocol):
    """Whatever learns classes: scikit-learn's, or anything with these two methods."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from a float64 array, NaN where a feature is missing, and classes."""

    def predict(self, X: Any) -> Any:
        """Classes of rows."""


def balanced_accuracy(truth: NDArray[np.object_], predicted: NDArray[np.object_]) -> float:
    """Mean recall of the classes that are in `truth`."""
    _, code = np.unique(truth.astype(str), return_inverse=True)
    right = (truth == predicted).astype(np.float64)
    return float(np.mean(np.bincount(code, weights=right) / np.bincount(code)))


def check_estimator(estimator: Any, who: str) -> None:
    """Raise `ConfigError` unless it has ``fit`` and ``predict``."""
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise ConfigError(f"{who} needs an estimator with fit and predict, got {estimator!r}")


def grouped_folds(
    labels: NDArray[np.object_], groups: ArrayLike | None, n_folds: int, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to learn from and rows held out, `n_folds` times.

    Parameters
    ----------
    labels : object array of str, shape (n_objects,)
        Each fold gets its share of each class, as far as groups allow.
    groups : array, shape (n_objects,), or None
        Objects of equal value stay on one side (see `astroprep.integrate.twins`).
    n_folds : int
        From 2.
    seed : int
        Of the order in which groups are dealt.

    Raises
    ------
    ConfigError
        If `n_folds` is below 2.
    DataError
        If groups and labels differ in number, groups are fewer than folds, or a class has
        objects of one group only: no fold can then learn it and be tested on it.
    """
    if n_folds < 2:
        raise ConfigError(f"n_folds must be at least 2, got {n_folds!r}")
    own = np.arange(labels.size) if groups is None else np.asarray(groups).ravel()
    if own.size != labels.size:
        raise DataError(f"groups needs one value an object: {labels.size} rows, {own.size} groups")
    classes, code = np.unique(labels.astype(str), return_inverse=True)
    _, group = np.unique(own, return_inverse=True)
    if classes.size < 2 or group.max(initial=-1) + 1 < n_folds:
        raise DataError(
            f"{n_folds} folds need two classes and as many groups, got {classes.size} classes and "
            f"{group.max(initial=-1) + 1} groups"
        )
    pairs = np.unique(np.stack([code, group]), axis=1)
    alone = np.flatnonzero(np.bincount(pairs[0]) < 2)
    if alone.size:
        raise DataError(
            f"class {str(classes[alone[0]])!r} has objects of one group only ({alone.size} of "
            f"{classes.size} classes have); leave it out or join it to another"
        )
    with warnings.catch_warnings():  # small classes miss some folds; the score leaves them out
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = list(
            StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(
                np.zeros((labels.size, 1)), code, group
            )
        )
    for train, test in folds:
        if train.size and test.size:
            yield train, test

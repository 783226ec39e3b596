"""How good predictions are, overall and per class, and whether two sets of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError

__all__ = [
    "BootstrapDifference",
    "accuracy",
    "balanced_accuracy",
    "bootstrap_difference",
    "confusion_matrix",
    "ece",
    "evaluate",
    "macro_f1",
    "per_class",
    "split_validation",
]


def _codes(labels: ArrayLike, classes: Sequence[str]) -> NDArray[np.int64]:
    """Position of each label in `classes`, ``len(classes)`` where it is none of them."""
    position = {name: k for k, name in enumerate(classes)}
    text = np.asarray(labels, dtype=object).ravel()
    return np.array([position.get(name, len(classes)) for name in text.tolist()], dtype=np.int64)


def _pair(
    truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    y, p = _codes(truth, classes), _codes(predicted, classes)
    if y.size != p.size:
        raise DataError(f"truth and predictions must be of equal length, got {y.size} and {p.size}")
    return y, p


def confusion_matrix(
    truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]
) -> NDArray[np.int64]:
    """Counts of objects by true and predicted class.

    Parameters
    ----------
    truth, predicted : array-like of str, shape (n_objects,)
        A prediction that is none of the classes (``""`` for a rejected object) counts in the
        last column; a truth that is none of them is left out.
    classes : sequence of str
        Order of rows and columns.

    Returns
    -------
    int64 array, shape (n_classes, n_classes + 1)
        Row: truth. Column: predicted, the last one for predictions outside `classes`.

    Raises
    ------
    DataError
        If the two differ in length.
    """
    y, p = _pair(truth, predicted, classes)
    n = len(classes)
    known = y < n
    flat = np.bincount(y[known] * (n + 1) + p[known], minlength=n * (n + 1))
    return flat.reshape(n, n + 1).astype(np.int64)


def accuracy(truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> float:
    """Share of objects predicted right; a rejected object counts as wrong.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`.

    Returns
    -------
    float
        NaN where no truth is among `classes`.
    """
    matrix = confusion_matrix(truth, predicted, classes)
    n = int(matrix.sum())
    return float(np.trace(matrix)) / n if n else float("nan")


def _recall(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    total = matrix.sum(axis=1)
    recall = np.full(len(matrix), np.nan)
    np.divide(np.diagonal(matrix), total, out=recall, where=total > 0)
    return recall


def _balanced(matrix: NDArray[np.int64]) -> float:
    recall = _recall(matrix)
    present = ~np.isnan(recall)
    return float(recall[present].mean()) if present.any() else float("nan")


def balanced_accuracy(truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> float:
    """Mean recall over the classes that occur in the truth.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`.

    Returns
    -------
    float
        NaN where no truth is among `classes`.
    """
    return _balanced(confusion_matrix(truth, predicted, classes))


def _f1(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class; 0 where it is neither true nor predicted anywhere."""
    hits = np.diagonal(matrix).astype(np.float64)
    both = matrix.sum(axis=1) + matrix[:, : len(matrix)].sum(axis=0)
    f1 = np.zeros(len(matrix))
    np.divide(2 * hits, both, out=f1, where=both > 0)
    return f1


def macro_f1(truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> float:
    """Mean F1 over `classes`, absent ones counted as 0.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`.

    Returns
    -------
    float
        From 0 to 1.
    """
    return float(_f1(confusion_matrix(truth, predicted, classes)).mean())


def per_class(
    truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of true objects of each class.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`.

    Returns
    -------
    dict
        ``{class: {"precision", "recall", "f1", "n"}}``; 0 where nothing was predicted (or is
        true), as scikit-learn with ``zero_division=0``.
    """
    matrix = confusion_matrix(truth, predicted, classes)
    hits = np.diagonal(matrix).astype(np.float64)
    called = matrix[:, : len(classes)].sum(axis=0)
    true = matrix.sum(axis=1)
    precision = np.divide(hits, called, out=np.zeros(hits.size), where=called > 0)
    recall = np.divide(hits, true, out=np.zeros(hits.size), where=true > 0)
    f1 = _f1(matrix)
    return {
        name: {
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "n": int(true[k]),
        }
        for k, name in enumerate(classes)
    }


def ece(
    truth: ArrayLike,
    probability: NDArray[np.floating[Any]],
    classes: Sequence[str],
    n_bins: int = 15,
) -> float:
    """Expected calibration error of the top label in equally wide bins of confidence.

    Parameters
    ----------
    truth : array-like of str, shape (n_objects,)
        True classes.
    probability : float array, shape (n_objects, n_classes)
        Rows of NaN (rejected objects) are left out: they claim no confidence.
    classes : sequence of str
        Order of the columns.
    n_bins : int, default 15
        Number of bins from 0 to 1, each open below and closed above.

    Returns
    -------
    float
        Mean over objects of |accuracy - confidence| of their bin; NaN where none is left.

    References
    ----------
    .. [1] Guo et al. 2017, "On calibration of modern neural networks", equation 3,
       arXiv:1706.04599
    """
    y = _codes(truth, classes)
    rows = np.isfinite(probability).all(axis=1)
    if not rows.any():
        return float("nan")
    p = np.asarray(probability, dtype=np.float64)[rows]
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == y[rows]
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gap = np.bincount(index, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / confidence.size)


def evaluate(
    truth: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    probability: NDArray[np.floating[Any]] | None = None,
) -> dict[str, Any]:
    """All figures at once, plain enough for JSON.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`.
    probability : float array, shape (n_objects, n_classes), optional
        For the calibration error.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``ece`` (None without
        probabilities), ``per_class``, ``confusion`` (rows truth; last column rejected),
        ``classes``, ``n_test``.
    """
    matrix = confusion_matrix(truth, predicted, classes)
    return {
        "accuracy": accuracy(truth, predicted, classes),
        "balanced_accuracy": _balanced(matrix),
        "macro_f1": float(_f1(matrix).mean()),
        "ece": None if probability is None else ece(truth, probability, classes),
        "per_class": per_class(truth, predicted, classes),
        "confusion": matrix.tolist(),
        "classes": list(classes),
        "n_test": int(matrix.sum()),
    }


@dataclass(frozen=True)
class BootstrapDifference:
    """Balanced accuracy of one set of predictions minus that of another.

    Parameters
    ----------
    difference : float
        On the objects as they are.
    low, high : float
        Bounds of the confidence interval.
    standard_error : float
        Standard deviation over the resamples.
    """

    difference: float
    low: float
    high: float
    standard_error: float


def bootstrap_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    classes: Sequence[str],
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapDifference:
    """Paired bootstrap over objects of the difference of two balanced accuracies.

    Parameters
    ----------
    truth, first, second : array-like of str, shape (n_objects,)
        Truth and two predictions of the same objects.
    classes : sequence of str
        Classes that count.
    n_resamples : int, default 1000
        Number of resamples.
    confidence : float, default 0.95
        Of the percentile interval.
    seed : int, default 0
        Of the resampling.

    Returns
    -------
    BootstrapDifference
        ``first`` minus ``second``.

    Notes
    -----
    Objects are drawn within their class, so every resample has every class. Within a class
    only the counts of the four outcomes (first right or not, second right or not) matter, so a
    resample is one multinomial draw a class.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, "An Introduction to the Bootstrap", sections 8.3 and 13.3,
       doi:10.1201/9780429246593
    """
    y, p = _pair(truth, first, classes)
    _, q = _pair(truth, second, classes)
    rng = np.random.default_rng(seed)
    differences: list[float] = []
    drawn: list[NDArray[np.float64]] = []
    for k in range(len(classes)):
        rows = y == k
        n = int(rows.sum())
        if n == 0:
            continue
        first_right, second_right = p[rows] == k, q[rows] == k
        gain = np.array([(first_right & ~second_right).sum(), (second_right & ~first_right).sum()])
        share = np.append(gain, n - gain.sum()) / n
        counts = rng.multinomial(n, share, size=n_resamples)
        differences.append(float(gain[0] - gain[1]) / n)
        drawn.append((counts[:, 0] - counts[:, 1]) / n)
    if not differences:
        raise DataError("bootstrap_difference needs an object of one of the classes, found none")
    resampled = np.mean(drawn, axis=0)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return BootstrapDifference(
        difference=float(np.mean(differences)),
        low=float(low),
        high=float(high),
        standard_error=float(resampled.std(ddof=1)) if n_resamples > 1 else 0.0,
    )


def split_validation(
    label: ArrayLike, group: ArrayLike | None = None, *, fraction: float = 0.15, seed: int = 0
) -> NDArray[np.bool_]:
    """Choose validation objects, the same fraction of every class, groups undivided.

    Parameters
    ----------
    label : array-like of str, shape (n_objects,)
        Classes.
    group : int array-like, shape (n_objects,), optional
        Objects of one group (twins: one star under two ids) stay on one side. Each object is
        its own group by default.
    fraction : float, default 0.15
        Share of validation objects, between 0 and 1.
    seed : int, default 0
        Of the choice.

    Returns
    -------
    bool array, shape (n_objects,)
        True for validation. A class of two or more groups has an object on either side (unless
        its groups are also those of another class); a class of one group is all in training.

    Raises
    ------
    DataError
        If `fraction` is not between 0 and 1, or the lengths differ.
    """
    text = np.asarray(label, dtype=object).ravel()
    groups = np.arange(text.size) if group is None else np.asarray(group).ravel()
    if not 0 < fraction < 1:
        raise DataError(f"split_validation needs a fraction between 0 and 1, got {fraction!r}")
    if groups.size != text.size:
        raise DataError(f"split_validation got {text.size} labels but {groups.size} groups")
    rng = np.random.default_rng(seed)
    _, code = np.unique(groups, return_inverse=True)
    n_groups = int(code.max()) + 1 if code.size else 0
    first = np.full(n_groups, text.size)
    np.minimum.at(first, code, np.arange(text.size))  # a group has the class of its first object
    of_group = text[first] if n_groups else text[:0]
    chosen = np.zeros(n_groups, bool)
    for name in sorted(set(of_group.tolist())):
        members = np.flatnonzero(of_group == name)
        n = round(fraction * members.size)
        if members.size > 1:
            n = min(max(n, 1), members.size - 1)
        chosen[rng.permutation(members)[:n]] = True
    return chosen[code] if code.size else np.zeros(0, bool)

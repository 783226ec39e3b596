"""Measures with their uncertainty, the second guess, and what accuracy depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import confusion_matrix
from astroprep.model.reliability import wilson_interval

__all__ = ["accuracy_by", "bootstrap_scores", "top_k_error"]


def bootstrap_scores(
    truth: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of accuracy and of the measures that weigh classes alike.

    Parameters
    ----------
    truth, predicted, classes
        As in `confusion_matrix`; a rejected object counts as wrong.
    n_resamples : int, default 1000
        Number of resamples.
    confidence : float, default 0.95
        Of the intervals.
    seed : int, default 0
        Of the resampling.

    Returns
    -------
    dict
        ``{"accuracy": (low, high), "balanced_accuracy": ..., "macro_f1": ...,
        "macro_precision": ...}``.

    Raises
    ------
    DataError
        If no object has one of the classes, or lengths differ.

    Notes
    -----
    Objects are drawn within their true class, so that every resample has every class. A resample
    is then one multinomial draw a row of the confusion matrix.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, "An Introduction to the Bootstrap", sections 8.3 and 13.3,
       doi:10.1201/9780429246593
    """
    matrix = confusion_matrix(truth, predicted, classes)
    n = matrix.sum(axis=1)
    if not n.any():
        raise DataError("bootstrap_scores needs an object of one of the classes, found none")
    rng = np.random.default_rng(seed)
    drawn = np.zeros((n_resamples, *matrix.shape))
    for k in np.flatnonzero(n):
        drawn[:, k] = rng.multinomial(n[k], matrix[k] / n[k], size=n_resamples)
    n_classes = len(classes)
    hits = drawn[:, np.arange(n_classes), np.arange(n_classes)]  # (resample, class)
    called = drawn[:, :, :n_classes].sum(axis=1)
    both = called + n
    f1 = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    measures = {
        "accuracy": hits.sum(axis=1) / n.sum(),
        "balanced_accuracy": (hits[:, n > 0] / n[n > 0]).mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "macro_precision": precision.mean(axis=1),
    }
    tail = 50 * (1 - confidence)
    bounds = {name: np.percentile(v, [tail, 100 - tail]) for name, v in measures.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def top_k_error(
    truth: ArrayLike, probability: NDArray[np.floating[Any]], classes: Sequence[str], k: int = 2
) -> float:
    """Share of objects whose class is not among the `k` of highest probability.

    Parameters
    ----------
    truth : array-like of str, shape (n_objects,)
        True classes; others than `classes` are left out.
    probability : float array, shape (n_objects, n_classes)
        Rows of NaN (rejected objects) count as wrong.
    classes : sequence of str
        Order of the columns.
    k : int, default 2
        Guesses.

    Returns
    -------
    float
        NaN where no truth is among `classes`.

    Raises
    ------
    DataError
        If lengths do not agree.
    ConfigError
        If `k` is below 1.
    """
    label = np.asarray(truth, dtype=object).ravel()
    p = np.asarray(probability, dtype=np.float64)
    if p.shape != (label.size, len(classes)):
        raise DataError(f"{label.size} true classes of {len(classes)} for probabilities {p.shape}")
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k!r}")
    place = {name: i for i, name in enumerate(classes)}
    code = np.array([place.get(name, -1) for name in label.tolist()], dtype=np.int64)
    p, code = p[code >= 0], code[code >= 0]
    if not code.size:
        return float("nan")
    own = np.where(np.isfinite(p).all(axis=1), p[np.arange(code.size), code], -np.inf)
    earlier = np.arange(len(classes)) < code[:, None]  # of equal ones the first is named, as argmax
    ahead = (p > own[:, None]) | ((p == own[:, None]) & earlier)
    wrong = (ahead.sum(axis=1) >= k) | ~np.isfinite(own)
    return float(wrong.mean())


def accuracy_by(value: ArrayLike, correct: ArrayLike, *, n_bins: int = 8) -> dict[str, list[float]]:
    """Accuracy in bins of equally many objects, along brightness, points, period or labels.

    Parameters
    ----------
    value : float array, shape (n_objects,)
        What to bin by; objects without a finite one are left out.
    correct : bool array, shape (n_objects,)
        Whether each was predicted right.
    n_bins : int, default 8
        At most; equal values are never divided, so that few distinct ones make fewer bins.

    Returns
    -------
    dict
        ``low`` and ``high`` (ends of each bin), ``middle`` (median), ``n``, ``accuracy``, and its
        Wilson interval of 95 %, ``accuracy_low`` and ``accuracy_high``; as lists.

    Raises
    ------
    DataError
        If the lengths differ.
    """
    v = np.asarray(value, dtype=np.float64).ravel()
    right = np.asarray(correct, dtype=bool).ravel()
    if v.size != right.size:
        raise DataError(f"accuracy_by got {v.size} values for {right.size} objects")
    names = ("low", "high", "middle", "n", "accuracy", "accuracy_low", "accuracy_high")
    out: dict[str, list[float]] = {name: [] for name in names}
    order = np.argsort(v[np.isfinite(v)], kind="stable")
    v, right = v[np.isfinite(v)][order], right[np.isfinite(v)][order]
    if not v.size:
        return out
    edges = np.unique(np.searchsorted(v, np.quantile(v, np.linspace(0, 1, n_bins + 1)[1:-1])))
    for part in np.split(np.arange(v.size), edges[edges > 0]):
        low, high = wilson_interval([right[part].sum()], [part.size], sigma=1.96)
        row = (
            v[part[0]],
            v[part[-1]],
            np.median(v[part]),
            part.size,
            right[part].mean(),
            low[0],
            high[0],
        )
        for name, one in zip(names, row, strict=True):
            out[name].append(float(one))
    return out

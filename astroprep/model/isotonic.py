"""Isotonic calibration, one class against the rest, and the choice between it and a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.model.calibrate import fit_temperature, softmax

__all__ = ["Isotonic", "choose_calibration"]

N_FOLDS = 5
MIN_OBJECTS = 200  # fewer labels than this draw steps, not a curve


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A rising broken line for each class, from probability to calibrated probability.

    Parameters
    ----------
    x, y : tuple of float64 arrays, each of shape (n_knots of the class,)
        Knots of the line of each class, `x` rising, `y` never falling, both within 0 and 1. The
        line is constant outside.

    References
    ----------
    .. [1] Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass
       probability estimates", KDD, section 5, doi:10.1145/775047.775151
    """

    x: tuple[NDArray[np.float64], ...]
    y: tuple[NDArray[np.float64], ...]

    @classmethod
    def fit(
        cls,
        probability: NDArray[np.floating[Any]],
        code: NDArray[np.integer[Any]],
        weight: NDArray[np.floating[Any]] | None = None,
    ) -> Self:
        """Learn the lines from objects that the network did not learn.

        Parameters
        ----------
        probability : float array, shape (n_objects, n_classes)
            Finite; rows sum to 1.
        code : int array, shape (n_objects,)
            True classes.
        weight : float array, shape (n_objects,), optional
            Importance of each object, positive.

        Raises
        ------
        DataError
            If there is no object, or a probability is not finite.
        """
        p = np.asarray(probability, dtype=np.float64)
        if not len(p) or not np.isfinite(p).all():
            raise DataError(
                f"Isotonic needs finite probabilities of one object at least, got {len(p)} rows, "
                f"{int((~np.isfinite(p)).any(axis=1).sum()) if p.size else 0} of them not finite"
            )
        w = np.ones(len(p)) if weight is None else np.asarray(weight, dtype=np.float64)
        knots = [_line(p[:, k], code == k, w) for k in range(p.shape[1])]
        return cls(tuple(x for x, _ in knots), tuple(y for _, y in knots))

    def apply(self, probability: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Calibrated probabilities: each class along its line, then normalised to sum 1.

        Parameters
        ----------
        probability : float array, shape (n_objects, n_classes)
            As they were learned from.

        Returns
        -------
        float64 array, shape (n_objects, n_classes)
            A row of which no class is left stays as it was.
        """
        p = np.asarray(probability, dtype=np.float64)
        lines = zip(p.T, self.x, self.y, strict=True)
        q = np.column_stack([np.interp(column, x, y) for column, x, y in lines])
        total = q.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, q / np.where(total > 0, total, 1.0), p))

    def to_state(self) -> dict[str, Any]:
        """Plain lists of arrays, for the bundle."""
        return {"x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_classes: int) -> Self:
        """Take up what `to_state` gave.

        Raises
        ------
        DataError
            If it holds no rising line for each class.
        """
        x, y = state.get("x"), state.get("y")
        if not isinstance(x, list) or not isinstance(y, list) or {len(x), len(y)} != {n_classes}:
            raise DataError(f"isotonic calibration needs lines of {n_classes} classes")
        for a, b in zip(x, y, strict=True):
            if not _is_line(a) or not _is_line(b) or a.size != b.size or (b > 1).any():
                raise DataError("isotonic calibration needs rising knots between 0 and 1")
        return cls(tuple(x), tuple(y))


def _is_line(knots: Any) -> bool:
    return (
        isinstance(knots, np.ndarray)
        and knots.ndim == 1
        and knots.size > 0
        and knots.dtype.kind == "f"
        and bool(np.isfinite(knots).all() and (np.diff(knots) >= 0).all() and knots[0] >= 0)
    )


def _line(
    p: NDArray[np.float64], is_class: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots of one class: the ends of each flat piece of the isotonic regression.

    A step of the regression says 0 or 1 where it saw only one answer; the rule of succession,
    (hits + 1/2) / (n + 1) with n objects in the step, leaves room for the one that comes next.
    """
    from scipy.optimize import isotonic_regression  # training alone needs it

    x, index = np.unique(p, return_inverse=True)
    n = np.bincount(index)
    w = np.bincount(index, weights=weight)
    mean = np.bincount(index, weights=weight * is_class) / w
    found = isotonic_regression(mean, weights=w)
    blocks = np.asarray(found.blocks)
    size = np.add.reduceat(n, blocks[:-1])
    level = (np.asarray(found.x)[blocks[:-1]] * size + 0.5) / (size + 1.0)
    level = isotonic_regression(level, weights=size).x  # small steps moved most
    first, last = x[blocks[:-1]], x[blocks[1:] - 1]
    knots, levels = np.column_stack([first, last]).ravel(), np.repeat(level, 2)
    once = np.append(True, np.diff(knots) > 0)
    return knots[once], levels[once]


def choose_calibration(
    logits: NDArray[np.floating[Any]],
    code: NDArray[np.integer[Any]],
    weight: NDArray[np.floating[Any]],
    *,
    seed: int = 0,
) -> tuple[float, Isotonic | None]:
    """A temperature, and isotonic lines behind it where they help on objects they did not see.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        Of validation objects, finite.
    code : int array, shape (n_objects,)
        True classes.
    weight : float array, shape (n_objects,)
        Importance of each object.
    seed : int, default 0
        Of the division into five folds.

    Returns
    -------
    temperature : float
        Fitted on all objects.
    isotonic : Isotonic or None
        Fitted on all tempered probabilities; None where, held-out fold by fold, its log loss is
        not lower than that of the temperature alone by more than one standard error, or with
        fewer than 200 objects: of two answers as good the one with a single number is kept.

    Raises
    ------
    DataError
        If there is no object.
    """
    temperature = fit_temperature(logits, code, weight)
    n = len(code)
    if n < MIN_OBJECTS:
        return temperature, None
    fold = np.random.default_rng(seed).permutation(n) % N_FOLDS
    gain = np.empty(n)
    for k in range(N_FOLDS):
        learn, check = fold != k, fold == k
        t = fit_temperature(logits[learn], code[learn], weight[learn])
        plain = softmax(logits[check], t)
        lines = Isotonic.fit(softmax(logits[learn], t), code[learn], weight[learn])
        rows = np.arange(int(check.sum())), code[check]
        gain[check] = weight[check] * np.log(
            np.maximum(lines.apply(plain)[rows], 1e-12) / np.maximum(plain[rows], 1e-12)
        )
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(n):
        return temperature, None
    return temperature, Isotonic.fit(softmax(logits, temperature), code, weight)

"""How often objects like this one were among those that were learned: a Gaussian a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["LOOKS", "ClassDensity"]

N_LOOKS = 16  # columns or directions that are looked at
CORRELATED = 0.8  # from which on the column that separates the classes less is left out
POOLED = 60.0  # objects that the covariance of all classes counts for in that of each
RIDGE = 1e-2  # of the mean variance: a direction that never moved does not decide alone

Looks = Literal["columns", "directions"]
LOOKS: tuple[Looks, ...] = get_args(Looks)


@dataclass(frozen=True, eq=False)
class ClassDensity:
    """Density of the training objects in a few columns or directions of their auxiliaries.

    Parameters
    ----------
    look : float64 array, shape (n_auxiliary, n_looks)
        What is looked at: auxiliaries times this.
    mean : float64 array, shape (n_classes, n_looks)
        Of each class.
    whiten : float64 array, shape (n_classes, n_looks, n_looks)
        Lower triangular, to unit covariance within each class.
    log_share : float64 array, shape (n_classes,)
        Logarithm of the share of training objects in each class.

    Notes
    -----
    Each class is one Gaussian [1]_ whose covariance is drawn to that of all classes by as much
    as 60 objects weigh [2]_. In all auxiliaries the few that tell a new class drown among those
    that do not. Columns are the 16 whose class means differ most in units of the scatter within
    classes, none correlated by more than 0.8 with a better one while there are others.
    Directions are Fisher's linear discriminants, one fewer than classes and 16 at most; they
    draw on all auxiliaries, and so notice what is no star.

    References
    ----------
    .. [1] Hastie, Tibshirani & Friedman 2009, "The elements of statistical learning", sections
       4.3 and 4.3.3, doi:10.1007/978-0-387-84858-7
    .. [2] Friedman 1989, "Regularized discriminant analysis", JASA 84, 165,
       doi:10.1080/01621459.1989.10478752
    """

    look: NDArray[np.float64]
    mean: NDArray[np.float64]
    whiten: NDArray[np.float64]
    log_share: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        auxiliary: NDArray[np.floating[Any]],
        code: NDArray[np.integer[Any]],
        n_classes: int,
        looks: Looks = "columns",
    ) -> Self:
        """Learn from training objects.

        Parameters
        ----------
        auxiliary : float array, shape (n_objects, n_auxiliary)
            Finite; one auxiliary at least.
        code : int array, shape (n_objects,)
            Their classes; each needs one object, and there are two at least.
        n_classes : int
            Number of classes.
        looks : {"columns", "directions"}, default "columns"
            See the class.
        """
        h = np.asarray(auxiliary, dtype=np.float64)
        count = np.bincount(code, minlength=n_classes)
        mean = np.stack([h[code == k].mean(axis=0) for k in range(n_classes)])
        find = _columns if looks == "columns" else _directions
        look = _unpacked(*_packed(find(h, mean, h - mean[code], count)))
        mean = mean @ look
        rest = h @ look - mean[code]
        n = look.shape[1]
        pooled = rest.T @ rest / len(rest)
        ridge = RIDGE * max(float(np.trace(pooled)) / n, 1e-3)
        whiten = np.empty((n_classes, n, n))
        for k in range(n_classes):
            mine = rest[code == k]
            covariance = (mine.T @ mine + POOLED * pooled) / (count[k] + POOLED)
            whiten[k] = _whitening(covariance + ridge * np.eye(n))
        made = cls(look, mean, whiten, np.log(count / count.sum()))
        return cls.from_state(made.to_state(), n_classes)  # what was rounded is what is used

    def surprise(self, auxiliary: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Minus the logarithm of the density, but for a constant, shape (n_objects,).

        Parameters
        ----------
        auxiliary : float array, shape (n_objects, n_auxiliary)
            As the network takes them.
        """
        x = _times(np.asarray(auxiliary, dtype=np.float64), self.look)
        log_density = np.empty((len(x), len(self.mean)))
        for k, (mean, whiten) in enumerate(zip(self.mean, self.whiten, strict=True)):
            square = (_times(x - mean, whiten.T) ** 2).sum(axis=1)
            log_density[:, k] = np.log(np.diag(whiten)).sum() - square / 2
        return np.asarray(-np.logaddexp.reduce(log_density + self.log_share, axis=1))

    def to_state(self) -> dict[str, Any]:
        """Plain values; what is looked at and the whitening matrices in 8 bits."""
        look_unit, look = _packed(self.look)
        unit, step = _packed(self.whiten.transpose(2, 0, 1))  # a unit for each class and row
        i, j = np.tril_indices(self.look.shape[1])
        return {
            "look_unit": look_unit,
            "look": look,
            "mean": self.mean.astype(np.float16),
            "unit": unit,
            "step": step[j, :, i],
            "log_share": self.log_share.astype(np.float32),
        }

    @classmethod
    def from_state(cls, state: Any, n_classes: int) -> Self:
        """Take up what `to_state` gave.

        Raises
        ------
        DataError
            If it does not fit together.
        """
        state = state if isinstance(state, Mapping) else {}
        shape = np.shape(state.get("look", ()))
        n_auxiliary, n = shape if len(shape) == 2 else (0, 0)
        wanted = {
            "look_unit": ("f", (n,)),
            "look": ("u", (n_auxiliary, n)),
            "mean": ("f", (n_classes, n)),
            "unit": ("f", (n_classes, n)),
            "step": ("u", (n * (n + 1) // 2, n_classes)),
            "log_share": ("f", (n_classes,)),
        }
        for name, (kind, size) in wanted.items():
            part = state.get(name)
            good = isinstance(part, np.ndarray) and part.dtype.kind == kind and part.shape == size
            if not good or not n or not np.isfinite(part).all():
                raise DataError(f"the density of the unknown score lacks {name!r} or it is damaged")
        i, j = np.tril_indices(n)
        step = np.full((n, n_classes, n), 128, np.uint8)
        step[j, :, i] = state["step"]
        whiten = _unpacked(state["unit"], step).transpose(1, 2, 0)
        if not (np.diagonal(whiten, axis1=1, axis2=2) > 0).all():
            raise DataError("the density of the unknown score is damaged")
        look = _unpacked(state["look_unit"], state["look"])
        return cls(
            look, state["mean"].astype(np.float64), whiten, state["log_share"].astype(np.float64)
        )


def _times(rows: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """``rows @ matrix``, whose bits do not depend on how many rows there are, as BLAS' do."""
    product = np.zeros((len(rows), matrix.shape[1]))
    for column, weights in zip(rows.T, matrix, strict=True):
        product += column[:, None] * weights
    return product


def _packed(array: NDArray[np.float64]) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Numbers in 8 bits, in units of a 127th of the largest along the first axis.

    The ridge keeps the diagonal of a whitening matrix above a 40th of its row, so above 0 here.
    """
    unit = np.maximum(np.abs(array).max(axis=0) / 127, 1e-4).astype(np.float16)
    step = np.rint(array / unit.astype(np.float64)).clip(-127, 127)
    return unit, (step + 128).astype(np.uint8)


def _unpacked(unit: NDArray[Any], step: NDArray[np.uint8]) -> NDArray[np.float64]:
    return (step.astype(np.float64) - 128) * unit.astype(np.float64)


def _columns(
    h: NDArray[np.float64],
    mean: NDArray[np.float64],
    rest: NDArray[np.float64],
    count: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Auxiliaries that separate the classes most and are not the same twice."""
    share = np.sqrt(count) / np.sqrt(count).sum()  # rare classes have a say
    between = share @ (mean - share @ mean) ** 2
    within = (rest**2).mean(axis=0)
    ratio = np.where(within > 0, between / np.where(within > 0, within, 1.0), 0.0)
    centred = h - h.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(norm > 0, norm, 1.0)
    chosen: list[int] = []
    order = np.argsort(-ratio, kind="stable").tolist()
    for j in order:
        if len(chosen) == N_LOOKS:
            break
        if all(abs(unit[:, j] @ unit[:, i]) < CORRELATED for i in chosen):
            chosen.append(j)
    chosen += [j for j in order if j not in chosen]  # where there are few, all are looked at
    return np.eye(h.shape[1])[:, chosen[:N_LOOKS]]


def _directions(
    h: NDArray[np.float64],
    mean: NDArray[np.float64],
    rest: NDArray[np.float64],
    count: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fisher's linear discriminants, of unit variance within classes, the strongest first."""
    n, d = h.shape
    within = rest.T @ rest / n
    ridge = RIDGE / 10 * max(float(np.trace(within)) / d, 1e-3)
    whiten = _whitening(within + ridge * np.eye(d))
    share = np.sqrt(count) / np.sqrt(count).sum()
    between = np.sqrt(share)[:, None] * (mean - share @ mean) @ whiten.T
    axes = np.linalg.svd(between, full_matrices=False)[2]
    return np.asarray(whiten.T @ axes[: max(1, min(len(count) - 1, N_LOOKS))].T)


def _whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse Cholesky factor."""
    from scipy.linalg import solve_triangular  # training alone needs it

    eye = np.eye(len(covariance))
    return np.asarray(solve_triangular(np.linalg.cholesky(covariance), eye, lower=True))

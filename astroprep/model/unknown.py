"""How unlike anything learned an object is, and from where on it is called unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from astroprep.errors import ConfigError, DataError

__all__ = ["METHODS", "UnknownScore", "energy_score"]

Method = Literal["combined", "energy", "mahalanobis"]
METHODS: tuple[Method, ...] = get_args(Method)

RIDGE = 1e-3  # of the mean variance: a direction that never moved does not decide alone


def energy_score(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Free energy of the logits: high where no class has evidence.

    Parameters
    ----------
    logits : float array, shape (n_objects, n_classes)
        Before temperature and priors.

    Returns
    -------
    float64 array, shape (n_objects,)
        ``-log(sum(exp(logits)))``.

    References
    ----------
    .. [1] Liu et al. 2020, "Energy-based out-of-distribution detection", equation 4,
       arXiv:2010.03759
    """
    return np.asarray(-logsumexp(np.asarray(logits, dtype=np.float64), axis=1))


@dataclass(frozen=True, eq=False)
class UnknownScore:
    """A score learned from the training objects, with its threshold.

    Parameters
    ----------
    method : {"combined", "energy", "mahalanobis"}
        ``energy``: see `energy_score`. ``mahalanobis``: distance of the auxiliaries from the
        nearest class mean, in the shared covariance within classes [1]_. ``combined``: the
        larger of the two, each in units of its upper half-width among validation objects.
    mean : float64 array, shape (n_classes, n_auxiliary)
        Of each class.
    whiten : float64 array, shape (n_auxiliary, n_auxiliary)
        Lower triangular, to unit covariance within classes.
    centre, spread : float64 array, shape (2,)
        Median, and distance from it to the 84th percentile, of energy and distance.
    threshold : float
        Scores above it are called unknown.
    false_unknown_rate : float
        Share of objects of known classes that may lie above it.

    Notes
    -----
    Energy sees classes that fall between the learned ones, the distance sees what is no star at
    all: it is taken on the auxiliaries, because the last layers keep only what tells the learned
    classes apart, and noise looks ordinary there.

    References
    ----------
    .. [1] Lee et al. 2018, "A simple unified framework for detecting out-of-distribution
       samples", equations 1 and 2, arXiv:1807.03888
    """

    method: Method
    mean: NDArray[np.float64]
    whiten: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    threshold: float
    false_unknown_rate: float

    @property
    def n_auxiliary(self) -> int:
        """Auxiliaries that were learned from."""
        return int(self.mean.shape[1])

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
        """Learn means and covariance from training, the threshold from validation objects.

        Parameters
        ----------
        auxiliary : float array, shape (n_training, n_auxiliary)
            Of training objects, finite; without any the energy decides alone.
        code : int array, shape (n_training,)
            Their classes; each needs one object.
        validation_logits : float array, shape (n_validation, n_classes)
            Of objects that the network did not learn. Without any nothing is called unknown.
        validation_auxiliary : float array, shape (n_validation, n_auxiliary)
            Of the same.
        n_classes : int
            Number of classes.
        method : {"combined", "energy", "mahalanobis"}, default "combined"
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
        mean = np.stack([h[code == k].mean(axis=0) for k in range(n_classes)])
        draft = cls(
            method=method if h.shape[1] else "energy",
            mean=_rounded(mean),
            whiten=_rounded(_whitening(h - mean[code])),
            centre=np.zeros(2),
            spread=np.ones(2),
            threshold=float(np.finfo(np.float64).max),
            false_unknown_rate=false_unknown_rate,
        )
        return draft._with_threshold(validation_logits, validation_auxiliary)

    def _with_threshold(
        self, logits: NDArray[np.floating[Any]], auxiliary: NDArray[np.floating[Any]]
    ) -> Self:
        if not len(logits):
            return self
        centre, high = np.percentile(self._parts(logits, auxiliary), [50, 84.13], axis=1)
        scaled = replace(self, centre=centre, spread=np.maximum(high - centre, 1e-9))
        score = np.sort(scaled.score(logits, auxiliary))
        # a new known object exceeds the k-th largest of n with probability k / (n + 1)
        k = int(self.false_unknown_rate * (score.size + 1))
        return replace(scaled, threshold=float(score[-k])) if k else scaled

    def _parts(
        self, logits: NDArray[np.floating[Any]], auxiliary: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Energy and distance, shape (2, n_objects)."""
        x = np.asarray(auxiliary, dtype=np.float64) @ self.whiten.T
        square = np.stack([((x - m) ** 2).sum(axis=1) for m in self.mean @ self.whiten.T])
        return np.stack([energy_score(logits), np.sqrt(square.min(axis=0))])

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
        energy, distance = parts = self._parts(logits, auxiliary)
        if self.method == "energy":
            return np.asarray(energy)
        if self.method == "mahalanobis":
            return np.asarray(distance)
        return np.asarray(((parts - self.centre[:, None]) / self.spread[:, None]).max(axis=0))

    def is_unknown(self, score: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """True where a score is above the threshold, shape (n_objects,)."""
        return np.asarray(np.asarray(score) > self.threshold)

    def to_state(self) -> dict[str, Any]:
        """Plain values, for the bundle."""
        rows = {name: _rows(getattr(self, name)) for name in ("mean", "whiten")}
        return {**self.__dict__, **rows}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_classes: int) -> Self:
        """Take up what `to_state` gave.

        Raises
        ------
        DataError
            If it does not fit together.
        """
        state = {**state, **{name: _of_rows(state.get(name)) for name in ("mean", "whiten")}}
        mean: Any = state["mean"]
        d = mean.shape[1] if isinstance(mean, np.ndarray) and mean.ndim == 2 else -1
        shapes = {"mean": (n_classes, d), "whiten": (d, d), "centre": (2,), "spread": (2,)}
        good = state.get("method") in METHODS and all(
            isinstance(state.get(name), float) for name in ("threshold", "false_unknown_rate")
        )
        for name, shape in shapes.items():
            array: Any = state.get(name)
            good = good and isinstance(array, np.ndarray) and array.dtype.kind == "f"
            good = good and array.shape == shape and bool(np.isfinite(array).all())
        if not good:
            raise DataError("the unknown score is missing parts or damaged")
        arrays: dict[str, Any] = {n: np.asarray(state[n], np.float64) for n in shapes}
        rest = {n: state[n] for n in ("method", "threshold", "false_unknown_rate")}
        return cls(**arrays, **rest)


def _rows(array: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Rows in 8 bits, each in units of a 127th of its largest value: half a percent of it."""
    largest = np.abs(array).max(axis=1, initial=0.0)
    unit = np.maximum((largest / 127).astype(np.float32), np.finfo(np.float32).tiny)
    step = np.rint(array / unit[:, None].astype(np.float64)).clip(-127, 127)
    return {"unit": unit, "step": (step + 128).astype(np.uint8)}


def _of_rows(stored: Any) -> Any:
    """What `_rows` made, or None."""
    if not isinstance(stored, Mapping):
        return None
    unit, step = stored.get("unit"), stored.get("step")
    if not (isinstance(unit, np.ndarray) and isinstance(step, np.ndarray)):
        return None
    if step.ndim != 2 or step.dtype != np.uint8 or unit.shape != step.shape[:1]:
        return None
    if unit.dtype.kind != "f":
        return None
    return (step.astype(np.float64) - 128) * unit[:, None].astype(np.float64)


def _rounded(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is kept of an array, so that the stored score is the one that was fitted."""
    return np.asarray(_of_rows(_rows(array)))


def _whitening(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse Cholesky factor of the covariance, with a ridge."""
    from scipy.linalg import solve_triangular  # training alone needs it

    n, d = centred.shape
    if not d:
        return np.empty((0, 0))
    covariance = centred.T @ centred / n
    ridge = RIDGE * max(float(np.trace(covariance)) / d, 1e-3)
    factor = np.linalg.cholesky(covariance + ridge * np.eye(d))
    return np.asarray(solve_triangular(factor, np.eye(d), lower=True))

"""Teachers: classifiers of several kinds, joined, and what they say of the training objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import fit_temperature, softmax
from astroprep.model.evaluate import balanced_accuracy, macro_f1, split_validation
from astroprep.model.loss import class_weights
from astroprep.model.members import MEMBERS, Logits, fit_member
from astroprep.model.settings import TrainingArrays, TrainSettings

__all__ = [
    "Teacher",
    "TeacherSettings",
    "join_members",
    "select_members",
    "train_teacher",
]

BY_HEART = ("trees", "forest", "rocket")  # fit their training objects whatever their number
PARTS_BY_HEART = 3  # of those, where networks learn from all objects


@dataclass(frozen=True)
class TeacherSettings:
    """Which teachers are trained, and how they are joined.

    Parameters
    ----------
    members : tuple of str
        Out of `MEMBERS`; a kind that is named twice is trained from two initialisations.
    n_parts : int, default 3
        Each member is as many classifiers, each of which leaves out another part of the training
        objects; what they say of the objects they left out is what the student is taught. 1 lets
        networks learn from all objects and teaches what they say of these: stopped early they do
        not know them by heart, and classes of a hundred objects lose none. Trees and fixed
        convolutions do, so they are still three that leave out a third each.
    max_epochs : int, default 25
        Of the networks.
    early_stopping : bool, default True
        Keep the epoch of least validation loss; False keeps the last (over-fitted members differ
        more from each other).
    join : {"select", "average"}, default "select"
        Weights of the members: chosen on validation objects, see `select_members`, or equal.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.
    """

    members: tuple[str, ...] = ("trees", "rocket", "small", "tcn", "resnet", "features")
    n_parts: int = 3
    max_epochs: int = 25
    early_stopping: bool = True
    join: str = "select"

    def __post_init__(self) -> None:
        rules = {
            "members": bool(self.members) and all(kind in MEMBERS for kind in self.members),
            "n_parts": 1 <= self.n_parts <= 20,
            "max_epochs": self.max_epochs >= 1,
            "join": self.join in ("select", "average"),
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(
                f"teacher settings out of range: {', '.join(wrong)}; members are "
                f"{', '.join(MEMBERS)}"
            )


@dataclass(eq=False)
class Teacher:
    """Joined members.

    Parameters
    ----------
    members : list of dict
        Of each: ``kind``, ``weight``, ``temperature``, and on the validation objects ``loss``
        (weighted by class), ``balanced_accuracy`` and ``macro_f1``.
    probability : float32 array, shape (n_objects, n_classes)
        Of the objects of training, see ``TeacherSettings.n_parts``; priors are those that the class
        weights make.
    joined : dict
        The same measures of the whole.
    """

    members: list[dict[str, Any]]
    probability: NDArray[np.float32]
    joined: dict[str, float]
    _parts: list[list[Logits]] = field(default_factory=list, repr=False)

    def predict_proba(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Probabilities of new objects, shape (n_objects, n_classes), under the learned priors.

        Parameters
        ----------
        folded : float32 array, shape (n_objects, n_channels, n_bins)
            Folded channels.
        auxiliary : float32 array, shape (n_objects, n_auxiliary)
            Normalised auxiliaries.
        """
        said = [
            _log_probability([p(folded, auxiliary) for p in parts], member["temperature"])
            for parts, member in zip(self._parts, self.members, strict=True)
            if member["weight"] > 0
        ]
        weights = [member["weight"] for member in self.members if member["weight"] > 0]
        return join_members(np.stack(said), np.array(weights))


def _log_probability(logits: list[NDArray[np.float32]], temperature: float) -> NDArray[Any]:
    """Mean over classifiers of one kind, then the logarithm of calibrated probabilities."""
    p = softmax(np.mean(logits, axis=0), temperature)
    return np.log(np.maximum(p, 1e-7))


def join_members(log_p: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float32]:
    """Late fusion: the normalised geometric mean of what several classifiers say.

    The classifiers may look at different inputs, such as folds, features and dm-dt images.

    Parameters
    ----------
    log_p : float array, shape (n_members, n_objects, n_classes)
        Logarithms of probabilities.
    weight : float64 array, shape (n_members,)
        Not negative; such as `select_members` finds.

    Returns
    -------
    float32 array, shape (n_objects, n_classes)
        Probabilities.
    """
    mixed = np.tensordot(weight / weight.sum(), log_p, axes=1)
    return np.asarray(softmax(mixed, 1.0), dtype=np.float32)


def select_members(
    log_p: NDArray[Any],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    n_rounds: int = 20,
) -> NDArray[np.float64]:
    """Weights of members by greedy forward selection with replacement.

    Parameters
    ----------
    log_p : float array, shape (n_members, n_objects, n_classes)
        Logarithms of probabilities on validation objects.
    label : int64 array, shape (n_objects,)
        Class codes.
    weight : float64 array, shape (n_objects,)
        Of each object in the loss.
    n_rounds : int, default 20
        Each adds the member that lowers the loss of the geometric mean most; the best round
        counts.

    Returns
    -------
    float64 array, shape (n_members,)
        Sums to 1.

    References
    ----------
    .. [1] Caruana et al. 2004, "Ensemble selection from libraries of models", ICML,
       doi:10.1145/1015330.1015432
    """
    count = np.zeros(len(log_p))
    total = np.zeros_like(log_p[0])
    best, kept = np.inf, count
    for _ in range(n_rounds):
        losses = [_loss((total + one) / (count.sum() + 1), label, weight) for one in log_p]
        k = int(np.argmin(losses))
        count[k] += 1
        total = total + log_p[k]
        if losses[k] < best - 1e-9:
            best, kept = losses[k], count.copy()
    return np.asarray(kept / kept.sum())


def _loss(log_p: NDArray[Any], label: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Cross-entropy after normalisation, weighted."""
    top = log_p.max(axis=1)
    norm = top + np.log(np.exp(log_p - top[:, None]).sum(axis=1))
    return float((weight * (norm - log_p[np.arange(label.size), label])).sum() / weight.sum())


def train_teacher(
    arrays: TrainingArrays,
    n_classes: int,
    settings: TeacherSettings,
    fit: TrainSettings,
    *,
    group: NDArray[Any] | None = None,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Teacher:
    """Train all members and join them.

    Parameters
    ----------
    arrays : TrainingArrays
        With validation objects, which choose epochs, temperatures and weights.
    n_classes : int
        Number of classes.
    settings : TeacherSettings
        Which members.
    fit : TrainSettings
        Of the networks; epochs are those of `settings`. Its ``class_power`` and ``seed`` serve all.
    group : array, shape (n_objects,), optional
        Objects of one group (twins) are left out together.
    kept : Path, optional
        Folder where trained networks are kept, for a later call with the same arguments to take up.
    progress : callable, optional
        Told classifiers done and all.

    Returns
    -------
    Teacher
        With what to teach.

    Raises
    ------
    DataError
        If there are no validation objects, or a class has fewer objects than parts.
    """
    learn = np.flatnonzero(~arrays.is_validation)
    check = np.flatnonzero(arrays.is_validation)
    if not check.size:
        raise DataError("teachers are joined on validation objects, and there are none")
    groups = None if group is None else group[learn]
    alone = settings.n_parts == 1
    n_parts = [
        PARTS_BY_HEART if alone and kind in BY_HEART else settings.n_parts
        for kind in settings.members
    ]
    weight = class_weights(arrays.label[learn], n_classes, fit.class_power)
    truth, trust = arrays.label[check], weight[arrays.label[check]]
    members, said, fitted = [], [], []
    for k, (kind, n) in enumerate(zip(settings.members, n_parts, strict=True)):
        logits = np.zeros((len(arrays.label), n_classes), np.float32)
        parts: list[Logits] = []
        part = _parts(arrays.label[learn], groups, n, fit.seed)
        for p in range(n):
            seen, out = (learn[part != p], learn[part == p]) if n > 1 else (learn, learn)
            how = _how(settings, fit, seed=fit.seed + 100 * k + p)
            path = None if kept is None else kept / f"{k}-{p}.pt"
            predict = fit_member(kind, arrays, seen, n_classes, how, path)
            for rows, share in ((out, 1.0), (check, 1.0 / n)):
                logits[rows] += share * predict(arrays.folded[rows], arrays.auxiliary[rows])
            parts.append(predict)
            if progress is not None:
                progress(sum(n_parts[:k]) + p + 1, sum(n_parts))
        temperature = fit_temperature(logits[check], truth, trust)
        log_p = _log_probability([logits], temperature)
        fitted.append(parts)
        said.append(log_p)
        members.append(
            {"kind": kind, "temperature": temperature, **_measure(log_p[check], truth, trust)}
        )
    table = np.stack(said)
    shares = np.full(len(members), 1.0 / len(members))
    if settings.join == "select":
        shares = select_members(table[:, check], truth, trust)
    for member, share in zip(members, shares, strict=True):
        member["weight"] = float(share)
    probability = join_members(table, shares)
    joined = _measure(np.log(np.maximum(probability[check], 1e-7)), truth, trust)
    return Teacher(members, probability, joined, fitted)


def _how(settings: TeacherSettings, fit: TrainSettings, seed: int) -> TrainSettings:
    """Training of the networks among the members."""
    return replace(
        fit,
        max_epochs=settings.max_epochs,
        keep="best" if settings.early_stopping else "last",
        patience=fit.patience if settings.early_stopping else 0,
        distillation=0.0,
        seed=seed,
    )


def _parts(
    label: NDArray[np.int64], group: NDArray[Any] | None, n_parts: int, seed: int
) -> NDArray[np.int64]:
    """Part in which each training object is left out, every class in all of them."""
    part = np.full(label.size, n_parts - 1)
    for k in range(n_parts - 1):
        left = np.flatnonzero(part == n_parts - 1)
        chosen = split_validation(
            label[left].astype(str),
            None if group is None else group[left],
            fraction=1.0 / (n_parts - k),
            seed=seed + k,
        )
        part[left[chosen]] = k
    least = int(np.unique(label, return_counts=True)[1].min(initial=label.size))
    if least < n_parts:
        raise DataError(
            f"teachers of {n_parts} parts need as many training objects of every class, "
            f"but one has {least}; lower n_parts, leave out {', '.join(BY_HEART)} or merge it"
        )
    return part


def _measure(
    log_p: NDArray[Any], truth: NDArray[np.int64], trust: NDArray[np.float64]
) -> dict[str, float]:
    classes = [str(k) for k in range(log_p.shape[1])]
    names, best = truth.astype(str), log_p.argmax(axis=1).astype(str)
    return {
        "loss": _loss(log_p, truth, trust),
        "balanced_accuracy": balanced_accuracy(names, best, classes),
        "macro_f1": macro_f1(names, best, classes),
    }

"""Distillation: a small network taught by soft targets, with temperature and mix chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astroprep.errors import ConfigError, DataError
from astroprep.model.checkpoint import Augment
from astroprep.model.firenet import FireNet, build_network
from astroprep.model.kept import fit_kept
from astroprep.model.loss import Side
from astroprep.model.train import History, TrainingArrays, TrainSettings, predict_logits

__all__ = ["DistilSettings", "Distilled", "distil"]


@dataclass(frozen=True)
class DistilSettings:
    """Which temperatures and mixes are tried.

    Parameters
    ----------
    temperatures : tuple of float, default (1, 2, 4)
        Of the softened probabilities.
    shares : tuple of float, default (0.5, 0.9)
        Of the loss that the teacher has; the labels have the rest.
    trial_epochs : int, default 10
        Training of each trial; a single pair of temperature and share is not tried but taken.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.

    References
    ----------
    .. [1] Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network",
       arXiv:1503.02531
    """

    temperatures: tuple[float, ...] = (1.0, 2.0, 4.0)
    shares: tuple[float, ...] = (0.5, 0.9)
    trial_epochs: int = 10

    def __post_init__(self) -> None:
        rules = {
            "temperatures": bool(self.temperatures)
            and all(0.1 <= t <= 100 for t in self.temperatures),
            "shares": bool(self.shares) and all(0 < s <= 1 for s in self.shares),
            "trial_epochs": self.trial_epochs >= 1,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(f"distillation settings out of range: {', '.join(wrong)}")


@dataclass(frozen=True, eq=False)
class Distilled:
    """A student.

    Parameters
    ----------
    net : FireNet
        Trained, in evaluation mode.
    history : History
        Of its training.
    fit : TrainSettings
        It was trained with, temperature and share included.
    trials : list of dict
        ``temperature``, ``share`` and ``validation_loss`` (on labels alone) of every trial.
    """

    net: FireNet
    history: History
    fit: TrainSettings
    trials: list[dict[str, float]] = field(default_factory=list)


def distil(
    spec: Mapping[str, Any],
    arrays: TrainingArrays,
    settings: DistilSettings,
    fit: TrainSettings,
    *,
    augment: Augment | None = None,
    kept: Path | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> Distilled:
    """Choose temperature and share on the validation objects, then train the student.

    Parameters
    ----------
    spec : mapping
        Description of the student, see `astroprep.model.firenet.firenet_spec`.
    arrays : TrainingArrays
        With ``teacher``: probabilities from classifiers that did not learn from the object.
    settings : DistilSettings
        What is tried.
    fit : TrainSettings
        How the student is trained; its seed makes the weights too.
    augment : Augment, optional
        As in `fit_network`; what the teacher said of the curve as it is stays the target.
    kept : Path, optional
        Folder where finished trainings are kept, for a later call with the same arguments.
    progress : callable, optional
        Given each new row of the history of any training.

    Returns
    -------
    Distilled
        Student and trials.

    Raises
    ------
    DataError
        If there is no teacher, or nothing to choose on.
    """
    if arrays.teacher is None:
        raise DataError("distillation needs the probabilities of a teacher: arrays.teacher")
    pairs = [(t, s) for t in settings.temperatures for s in settings.shares]
    if len(pairs) > 1 and not arrays.is_validation.any():
        raise DataError("temperature and share are chosen on validation objects; there are none")
    trials = []

    def trained(how: TrainSettings, name: str) -> tuple[FireNet, History]:
        net = build_network(spec, how.seed)
        path = None if kept is None else kept / f"{name}.pt"
        return net, fit_kept(net, arrays, how, path, augment=augment, progress=progress)

    for k, (temperature, share) in enumerate(pairs if len(pairs) > 1 else []):
        taught = replace(
            fit,
            distillation=share,
            distillation_temperature=temperature,
            max_epochs=settings.trial_epochs,
        )
        loss = label_loss(trained(taught, f"trial-{k}")[0], arrays, fit)
        trials.append({"temperature": temperature, "share": share, "validation_loss": loss})
    losses = [trial["validation_loss"] for trial in trials]
    temperature, share = pairs[int(np.argmin(losses)) if losses else 0]
    taught = replace(fit, distillation=share, distillation_temperature=temperature)
    net, history = trained(taught, "student")
    return Distilled(net, history, taught, trials)


def label_loss(net: FireNet, arrays: TrainingArrays, fit: TrainSettings) -> float:
    """Cross-entropy of a network with the labels of the validation objects, weighted by class."""
    plain = replace(fit, distillation=0.0, label_smoothing=0.0, focus=0.0)
    logits = predict_logits(
        net, arrays.folded[arrays.is_validation], arrays.auxiliary[arrays.is_validation]
    )
    side = Side(arrays, arrays.is_validation, plain, logits.shape[1])
    return float(side.loss(torch.tensor(logits, device=side.label.device), slice(None)))

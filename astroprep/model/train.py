"""Train a network on folded light curves: weighted loss, averaged weights, early stopping."""

from __future__ import annotations

import copy
import hashlib
import json
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import balanced_accuracy, macro_f1

__all__ = [
    "History",
    "TrainSettings",
    "TrainingArrays",
    "class_weights",
    "fit_network",
    "predict_logits",
]


@dataclass(frozen=True, eq=False)
class TrainingArrays:
    """What a network learns from; row i of every array is the same object.

    Parameters
    ----------
    folded : float32 array, shape (n_objects, n_channels, n_bins)
        Folded channels, finite.
    auxiliary : float32 array, shape (n_objects, n_auxiliary)
        Normalised auxiliaries, finite; ``n_auxiliary`` may be 0.
    label : int64 array, shape (n_objects,)
        Class codes, 0 to ``n_classes - 1``.
    is_validation : bool array, shape (n_objects,)
        True for objects that only steer (early stopping), False for those that are learned.
    weight : float32 array, shape (n_objects,), optional
        Trust in each object; multiplies the class weight in the loss.
    teacher : float32 array, shape (n_objects, n_classes), optional
        Probabilities of a teacher, mixed into the target by ``TrainSettings.distillation``.
    """

    folded: NDArray[np.float32]
    auxiliary: NDArray[np.float32]
    label: NDArray[np.int64]
    is_validation: NDArray[np.bool_]
    weight: NDArray[np.float32] | None = None
    teacher: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained."""

    max_epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    class_power: float = 0.5
    label_smoothing: float = 0.0
    averaging: float = 0.998
    patience: int = 0
    distillation: float = 0.0
    seed: int = 0
    n_threads: int = 2


@dataclass
class History:
    """What happened, epoch by epoch."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    stopped_early: bool = False

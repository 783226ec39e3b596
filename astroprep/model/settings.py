"""What a network learns from, how it is trained, and what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["History", "TrainSettings", "TrainingArrays", "check_arrays"]

Precision = Literal["float32", "bfloat16", "float16"]


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
    """How a network is trained.

    Parameters
    ----------
    max_epochs : int, default 20
        Passes over the training objects; the learning rate falls along a cosine to zero at
        the last one.
    batch_size : int, default 128
        Objects a step.
    learning_rate : float, default 3e-3
        Highest of the schedule, reached after a tenth of the steps.
    weight_decay : float, default 0.05
        Of AdamW, decoupled.
    class_power : float, default 0.5
        See `class_weights`.
    effective_number : float, default 0
        Where it is above 0, classes weigh by their effective number of objects with this beta,
        such as 0.999, see `effective_weights`; `class_power` then only says which priors the
        probabilities are taken to have.
    focus : float, default 0
        Exponent of the focal loss; 0 is the cross-entropy.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over the classes.
    averaging : float, default 0.998
        Decay a step of the exponential average of the weights, which is what is validated
        and kept: the scores of single epochs scatter by points, those of averages do not.
        0 keeps the weights as they are.
    equal_averaging : float, default 0
        Last share of the epochs over which the weights at the end of each epoch are averaged
        equally, at a learning rate that falls no more (stochastic weight averaging).
    patience : int, default 10
        Epochs without a lower validation loss after which training stops; 0 never stops.
    keep : {"best", "last"}, default "best"
        Which epoch's weights are kept.
    distillation : float, default 0.0
        Share of the target taken from ``TrainingArrays.teacher``.
    distillation_temperature : float, default 1.0
        Softens teacher and network where they are compared.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of products and activations; reductions, losses and optimiser stay float32.
    loss_scale : float, default 0
        Multiplies the loss before gradients are taken in float16: 0 adapts the scale, 1 leaves
        it out.
    master_weights : bool, default True
        Keep the weights that are updated in float32; False rounds them to `precision` after
        every step, as if no such copy was there.
    float32_accumulation : bool, default True
        Sum the products of low precision in float32; False rounds after every addition (on a
        processor this is emulated, and slow).
    device : str, default "cpu"
        Where to train: a torch device such as "cuda".
    min_class_objects : int, default 2
        Objects, validation included, that every class needs.
    seed : int, default 0
        Of the order of objects.
    n_threads : int, default 2
        Threads of torch while it trains, of all processes together.
    processes : int, default 1
        Processes that `astroprep.model.parallel.fit_parallel` starts; `fit_network` is one.
    parallel : {"data", "region", "output"}, default "data"
        What is divided among the processes, see `astroprep.model.parallel`.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.
    """

    max_epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    class_power: float = 0.5
    effective_number: float = 0.0
    focus: float = 0.0
    label_smoothing: float = 0.0
    averaging: float = 0.998
    equal_averaging: float = 0.0
    patience: int = 10
    keep: Literal["best", "last"] = "best"
    distillation: float = 0.0
    distillation_temperature: float = 1.0
    precision: Precision = "float32"
    loss_scale: float = 0.0
    master_weights: bool = True
    float32_accumulation: bool = True
    device: str = "cpu"
    min_class_objects: int = 2
    seed: int = 0
    n_threads: int = 2
    processes: int = 1
    parallel: str = "data"

    def __post_init__(self) -> None:
        rules = {
            "max_epochs": self.max_epochs >= 1,
            "batch_size": self.batch_size >= 2,
            "learning_rate": 0 < self.learning_rate < 1,
            "weight_decay": 0 <= self.weight_decay < 1,
            "class_power": 0 <= self.class_power <= 1,
            "effective_number": 0 <= self.effective_number < 1,
            "focus": 0 <= self.focus <= 10,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "averaging": 0 <= self.averaging < 1,
            "equal_averaging": 0 <= self.equal_averaging < 1,
            "patience": self.patience >= 0,
            "keep": self.keep in ("best", "last"),
            "distillation": 0 <= self.distillation <= 1,
            "distillation_temperature": 0.1 <= self.distillation_temperature <= 100,
            "precision": self.precision in ("float32", "bfloat16", "float16"),
            "loss_scale": 0 <= self.loss_scale <= 2**24,
            "min_class_objects": self.min_class_objects >= 1,
            "n_threads": self.n_threads >= 1,
            "processes": 1 <= self.processes <= self.batch_size,
            "parallel": self.parallel in ("data", "region", "output"),
            "seed": isinstance(self.seed, int) and self.seed >= 0,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(f"training settings out of range: {', '.join(wrong)}")


@dataclass
class History:
    """What happened, epoch by epoch.

    Parameters
    ----------
    epochs : list of dict
        One row an epoch: ``epoch`` (from 0), ``learning_rate``, ``loss`` (training),
        ``validation_loss`` (both weighted by class), ``validation_balanced_accuracy``,
        ``validation_macro_f1``, ``seconds``.
    best_epoch : int
        Epoch whose weights were kept; -1 before the first.
    stopped_early : bool
        True where `TrainSettings.patience` ended it.
    bytes_per_step : dict of str to float
        Where several processes trained: bytes that each handed over in a step of the optimiser,
        by purpose (``"gradients"``, ``"norm"`` ...), validation included.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    stopped_early: bool = False
    bytes_per_step: dict[str, float] = field(default_factory=dict)


def check_arrays(arrays: TrainingArrays, settings: TrainSettings) -> None:
    """Refuse what nothing can be learned from.

    Raises
    ------
    DataError
        If arrays disagree in length, hold NaN or infinity, labels are no class codes, nothing is
        left to learn, or fewer than two classes, or a class has too few objects.
    """
    n = len(arrays.label)
    for name in ("folded", "auxiliary", "is_validation", "weight", "teacher"):
        column = getattr(arrays, name)
        if column is not None and len(column) != n:
            raise DataError(f"training needs {n} rows in {name!r} as in 'label', got {len(column)}")
    for name in ("folded", "auxiliary", "weight", "teacher"):
        column = getattr(arrays, name)
        if column is None or np.isfinite(column).all():
            continue
        bad = ~np.isfinite(column).reshape(n, -1).all(axis=1)
        raise DataError(
            f"training needs finite numbers in {name!r}, found NaN or infinity in {bad.sum()} of "
            f"{n} objects, the first at row {int(np.argmax(bad))}"
        )
    if n and arrays.label.min() < 0:
        raise DataError(f"training needs class codes from 0, got {int(arrays.label.min())}")
    learned = arrays.label[~arrays.is_validation]
    found = np.unique(learned)
    if len(found) < 2:
        raise DataError(
            f"training needs objects of two classes at least, got {learned.size} objects of "
            f"{len(found)}"
        )
    count = np.bincount(arrays.label)[found]
    few = count < settings.min_class_objects
    if few.any():
        raise DataError(
            f"training needs {settings.min_class_objects} objects of every class at least, but "
            f"class {int(found[few][0])} has {int(count[few][0])}; merge it with another class, or "
            "leave its objects out"
        )

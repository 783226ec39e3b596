"""Train a network on folded light curves: weighted loss, averaged weights, early stopping."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
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
    label_smoothing : float, default 0.0
        Share of the target spread evenly over the classes.
    averaging : float, default 0.998
        Decay a step of the exponential average of the weights, which is what is validated
        and kept: the scores of single epochs scatter by points, those of averages do not.
        0 keeps the weights as they are.
    patience : int, default 10
        Epochs without a lower validation loss after which training stops; 0 never stops.
    distillation : float, default 0.0
        Share of the target taken from ``TrainingArrays.teacher``.
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
    label_smoothing: float = 0.0
    averaging: float = 0.998
    patience: int = 10
    distillation: float = 0.0
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
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "averaging": 0 <= self.averaging < 1,
            "patience": self.patience >= 0,
            "distillation": 0 <= self.distillation <= 1,
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


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch use n threads, and give back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def class_weights(label: NDArray[np.int64], n_classes: int, power: float) -> NDArray[np.float64]:
    """Weight of each class in the loss: its share to the power of minus `power`.

    Parameters
    ----------
    label : int64 array, shape (n_objects,)
        Class codes.
    n_classes : int
        Number of classes.
    power : float
        0 for none, 1 for equal total weight of every class. The priors that the network
        learns are the shares to the power ``1 - power``.

    Returns
    -------
    float64 array, shape (n_classes,)
        Mean 1 over the objects; 0 for a class without any.
    """
    count = np.bincount(label, minlength=n_classes).astype(np.float64)
    weight = np.zeros(n_classes)
    weight[count > 0] = count[count > 0] ** -power
    return np.asarray(weight * (count.sum() / (weight * count).sum()))


@torch.no_grad()
def predict_logits(
    net: nn.Module,
    folded: NDArray[np.float32],
    auxiliary: NDArray[np.float32],
    *,
    batch_size: int = 1024,
) -> NDArray[np.float32]:
    """Logits of a network in evaluation mode.

    Parameters
    ----------
    net : Module
        Called as ``net(folded, auxiliary)``; its mode is left as it was.
    folded : float32 array, shape (n_objects, n_channels, n_bins)
        Folded channels.
    auxiliary : float32 array, shape (n_objects, n_auxiliary)
        Normalised auxiliaries.
    batch_size : int, default 1024
        Objects at a time; bounds the memory.

    Returns
    -------
    float32 array, shape (n_objects, n_classes)
        Logits.
    """
    training = net.training
    net.eval()
    parts = []
    for i in range(0, max(len(folded), 1), batch_size):
        x = torch.tensor(folded[i : i + batch_size])  # (curve, channel, phase)
        a = torch.tensor(auxiliary[i : i + batch_size])  # (curve, auxiliary)
        parts.append(net(x, a).numpy())
    net.train(training)
    return np.concatenate(parts)


class _Tensors:
    """The arrays of one side (training or validation) as tensors, with soft targets."""

    def __init__(
        self, arrays: TrainingArrays, rows: NDArray[np.bool_], settings: TrainSettings, n: int
    ) -> None:
        self.folded = torch.tensor(arrays.folded[rows])  # (curve, channel, phase)
        self.auxiliary = torch.tensor(arrays.auxiliary[rows])  # (curve, auxiliary)
        self.label = torch.tensor(arrays.label[rows])  # (curve,)
        smooth = settings.label_smoothing
        target = functional.one_hot(self.label, n).float() * (1 - smooth) + smooth / n
        if settings.distillation and arrays.teacher is not None:
            share = settings.distillation
            target = (1 - share) * target + share * torch.tensor(arrays.teacher[rows])
        self.target = target  # (curve, class)
        learned = arrays.label[~arrays.is_validation]
        weight = class_weights(learned, n, settings.class_power)[arrays.label[rows]]
        if arrays.weight is not None:
            weight = weight * arrays.weight[rows]
        self.weight = torch.tensor(weight, dtype=torch.float32)  # (curve,)

    def __len__(self) -> int:
        return int(self.label.shape[0])


def _check_arrays(arrays: TrainingArrays) -> None:
    n = len(arrays.label)
    for name in ("folded", "auxiliary", "is_validation", "weight", "teacher"):
        column = getattr(arrays, name)
        if column is not None and len(column) != n:
            raise DataError(f"training needs {n} rows in {name!r} as in 'label', got {len(column)}")
    for name in ("folded", "auxiliary"):
        if not np.isfinite(getattr(arrays, name)).all():
            raise DataError(f"training needs finite numbers in {name!r}, found NaN or infinity")
    learned = arrays.label[~arrays.is_validation]
    if len(np.unique(learned)) < 2:
        raise DataError(
            f"training needs objects of two classes at least, got {learned.size} objects of "
            f"{len(np.unique(learned))}"
        )


def _loss(logits: torch.Tensor, side: _Tensors, rows: torch.Tensor | slice) -> torch.Tensor:
    entropy = functional.cross_entropy(logits, side.target[rows], reduction="none")  # (curve,)
    return (entropy * side.weight[rows]).mean()


class _Run:
    """Everything that changes while a network trains, so that it can be stored and taken up."""

    def __init__(self, net: nn.Module, settings: TrainSettings, n_training: int) -> None:
        self.net = net
        self.settings = settings
        self.average = copy.deepcopy(net)
        self.history = History()
        self.best: dict[str, torch.Tensor] = {}
        self.order = torch.Generator().manual_seed(settings.seed)
        # A last batch of one object would leave batch norm without a variance.
        self.n_batches = max(1, n_training // settings.batch_size)
        self.n_steps = settings.max_epochs * self.n_batches
        self.optimizer = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        warm = max(1, self.n_steps // 10)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: min(
                (step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(step / self.n_steps, 1.0)))
            ),
        )

    @torch.no_grad()
    def update_average(self) -> None:
        # At most the last third of the steps so far: early weights are not worth remembering,
        # and a short training on few objects has no hundreds of steps to average.
        done = len(self.history.epochs) * self.n_batches
        decay = min(self.settings.averaging, (done + 7) / (done + 10))
        mine = [*self.average.parameters(), *self.average.buffers()]
        theirs = [*self.net.parameters(), *self.net.buffers()]
        for kept, new in zip(mine, theirs, strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def state(self, fingerprint: str) -> dict[str, Any]:
        return {
            "fingerprint": fingerprint,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order.get_state(),
            "global_order": torch.get_rng_state(),
            "history": asdict(self.history),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["global_order"])
        self.history = History(**state["history"])


def _fingerprint(net: nn.Module, arrays: TrainingArrays, settings: TrainSettings) -> str:
    """Name of the exact training: settings, data and initial weights."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for column in (arrays.folded, arrays.auxiliary, arrays.label, arrays.is_validation):
        digest.update(np.ascontiguousarray(column).tobytes())
    for optional in (arrays.weight, arrays.teacher):
        digest.update(b"-" if optional is None else np.ascontiguousarray(optional).tobytes())
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _train_epoch(
    run: _Run, side: _Tensors, after_step: Callable[[nn.Module], None] | None
) -> float:
    run.net.train()
    order = torch.randperm(len(side), generator=run.order)
    total = 0.0
    for rows in torch.tensor_split(order, run.n_batches):
        run.optimizer.zero_grad()
        logits = run.net(side.folded[rows], side.auxiliary[rows])  # (curve, class)
        loss = _loss(logits, side, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        run.schedule.step()
        if after_step is not None:
            after_step(run.net)
        run.update_average()
        total += float(loss.detach()) * len(rows)
    return total / len(side)


def _validate(net: nn.Module, side: _Tensors) -> dict[str, float]:
    if not len(side):
        return {}
    logits = torch.tensor(predict_logits(net, side.folded.numpy(), side.auxiliary.numpy()))
    classes = [str(k) for k in range(logits.shape[1])]
    truth = side.label.numpy().astype(str)
    predicted = logits.argmax(dim=1).numpy().astype(str)
    return {
        "validation_loss": float(_loss(logits, side, slice(None))),
        "validation_balanced_accuracy": balanced_accuracy(truth, predicted, classes),
        "validation_macro_f1": macro_f1(truth, predicted, classes),
    }


def fit_network(
    net: nn.Module,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    after_step: Callable[[nn.Module], None] | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
    checkpoint: Path | None = None,
) -> History:
    """Train a network in place and leave it in evaluation mode with its best weights.

    Parameters
    ----------
    net : Module
        Called as ``net(folded, auxiliary)``, gives logits.
    arrays : TrainingArrays
        Without validation objects the last epoch is kept.
    settings : TrainSettings
        How to train.
    after_step : callable, optional
        Given the network after every step of the optimiser, and the averaged network (of the
        same architecture) before every validation, to hold constraints such as pruning masks.
    progress : callable, optional
        Given each new row of the history.
    checkpoint : Path, optional
        File to store the state in after every epoch and to continue from where it is there;
        removed at the end.

    Returns
    -------
    History
        One row an epoch.

    Raises
    ------
    DataError
        If the arrays disagree in length, hold NaN, or fewer than two classes to learn.
    ConfigError
        If the checkpoint is of another training (other settings, data or initial weights).

    Notes
    -----
    The epoch with the least validation loss, weighted by class as in training, is kept: unlike
    balanced accuracy it does not jump when one object of a rare class changes sides. The same
    call on the same machine with as many threads gives the same weights.

    References
    ----------
    .. [1] Loshchilov & Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101
    .. [2] Polyak & Juditsky 1992, SIAM J. Control Optim. 30, 838, doi:10.1137/0330046
    """
    _check_arrays(arrays)
    with _threads(settings.n_threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        probe = torch.tensor(arrays.folded[:2]), torch.tensor(arrays.auxiliary[:2])
        training = net.training
        with torch.no_grad():
            n_classes = int(net.eval()(*probe).shape[1])
        net.train(training)
        learn = _Tensors(arrays, ~arrays.is_validation, settings, n_classes)
        check = _Tensors(arrays, arrays.is_validation, settings, n_classes)
        run = _Run(net, settings, len(learn))
        fingerprint = _fingerprint(net, arrays, settings) if checkpoint is not None else ""
        if checkpoint is not None and checkpoint.exists():
            _take_up(run, checkpoint, fingerprint)
        _epochs(run, learn, check, fingerprint, after_step, progress, checkpoint)
        net.load_state_dict(run.best)
        net.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run.history


def _take_up(run: _Run, checkpoint: Path, fingerprint: str) -> None:
    state = torch.load(checkpoint, weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise ConfigError(
            f"{checkpoint} belongs to another training (other settings, data or initial "
            "weights); remove it to start anew"
        )
    run.load(state)


def _epochs(
    run: _Run,
    learn: _Tensors,
    check: _Tensors,
    fingerprint: str,
    after_step: Callable[[nn.Module], None] | None,
    progress: Callable[[dict[str, float]], None] | None,
    checkpoint: Path | None,
) -> None:
    history, settings = run.history, run.settings
    while len(history.epochs) < settings.max_epochs and not history.stopped_early:
        start = clock.perf_counter()
        row = {
            "epoch": float(len(history.epochs)),
            "learning_rate": float(run.optimizer.param_groups[0]["lr"]),
            "loss": _train_epoch(run, learn, after_step),
        }
        kept = run.average if settings.averaging else run.net
        if after_step is not None and settings.averaging:
            after_step(run.average)
        row.update(_validate(kept, check))
        row["seconds"] = clock.perf_counter() - start
        history.epochs.append(row)
        losses = [r.get("validation_loss", -r["epoch"]) for r in history.epochs]
        if losses[-1] <= min(losses):
            history.best_epoch = len(losses) - 1
            run.best = {name: t.clone() for name, t in kept.state_dict().items()}
        waited = len(losses) - 1 - history.best_epoch
        history.stopped_early = bool(settings.patience) and waited >= settings.patience
        if checkpoint is not None:
            partial = checkpoint.with_name(checkpoint.name + ".part")
            torch.save(run.state(fingerprint), partial)
            partial.replace(checkpoint)
        if progress is not None:
            progress(row)

"""Train a network on folded light curves: averaged weights, early stopping, exact resume."""

from __future__ import annotations

import copy
import math
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.model.checkpoint import (
    Augment,
    fingerprint_of,
    read_checkpoint,
    write_checkpoint,
)
from astroprep.model.evaluate import balanced_accuracy, macro_f1
from astroprep.model.loss import Side, class_weights, effective_weights
from astroprep.model.precision import MixedPrecision
from astroprep.model.settings import History, TrainingArrays, TrainSettings, check_arrays

__all__ = [
    "History",
    "TrainSettings",
    "TrainingArrays",
    "class_weights",
    "effective_weights",
    "fit_network",
    "predict_logits",
]


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch use n threads, and give back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    device = next((weight.device for weight in net.parameters()), torch.device("cpu"))
    parts = []
    for i in range(0, max(len(folded), 1), batch_size):
        x = torch.tensor(folded[i : i + batch_size], device=device)  # (curve, channel, phase)
        a = torch.tensor(auxiliary[i : i + batch_size], device=device)  # (curve, auxiliary)
        parts.append(net(x, a).float().cpu().numpy())
    net.train(training)
    return np.concatenate(parts)


class _Run:
    """Everything that changes while a network trains, so that it can be stored and taken up."""

    def __init__(self, net: nn.Module, settings: TrainSettings, n_training: int) -> None:
        self.net = net
        self.settings = settings
        self.average = copy.deepcopy(net)
        self.precision = MixedPrecision(settings)
        self.history = History()
        self.best: dict[str, torch.Tensor] = {}
        self.n_equal = 0  # epochs in the equal average
        self.order = torch.Generator().manual_seed(settings.seed)
        # A last batch of one object would leave batch norm without a variance.
        self.n_batches = max(1, n_training // settings.batch_size)
        self.first_equal = settings.max_epochs  # epoch at which the equal average begins
        if settings.equal_averaging:
            self.first_equal -= max(1, round(settings.equal_averaging * settings.max_epochs))
        self.optimizer = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step = 0

    def _set_rate(self) -> None:
        """Rise for a tenth of the steps, then fall along a cosine, until weights are averaged."""
        n_steps = self.settings.max_epochs * self.n_batches
        fall = min(self.step, self.first_equal * self.n_batches) / n_steps
        rise = (self.step + 1) / max(1, n_steps // 10)
        rate = self.settings.learning_rate * min(rise, 0.5 * (1 + math.cos(math.pi * fall)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @property
    def epoch(self) -> int:
        return len(self.history.epochs)

    @torch.no_grad()
    def update_average(self) -> None:
        # At most the last third of the steps so far: early weights are not worth remembering,
        # and a short training on few objects has no hundreds of steps to average.
        done = self.epoch * self.n_batches
        self._move_average(1 - min(self.settings.averaging, (done + 7) / (done + 10)))

    def end_epoch(self) -> nn.Module:
        """The network that is validated and may be kept."""
        if self.epoch >= self.first_equal:
            self.n_equal += 1
            self._move_average(1 / self.n_equal)
            return self.average
        return self.average if self.settings.averaging else self.net

    @torch.no_grad()
    def _move_average(self, share: float) -> None:
        mine = [*self.average.parameters(), *self.average.buffers()]
        theirs = [*self.net.parameters(), *self.net.buffers()]
        for kept, new in zip(mine, theirs, strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, share)
            else:
                kept.copy_(new)

    def state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "n_equal": self.n_equal,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "scaler": self.precision.scaler.state_dict(),
            "order": self.order.get_state(),
            "global_order": torch.get_rng_state(),
            "history": asdict(self.history),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.best = state["best"]
        self.n_equal = state["n_equal"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.precision.scaler.load_state_dict(state["scaler"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["global_order"])
        self.history = History(**state["history"])

    def train_epoch(self, side: Side, after_step: Callable[[nn.Module], None] | None) -> float:
        """One pass over the training objects; gives their mean loss."""
        self.net.train()
        order = torch.randperm(len(side), generator=self.order)
        total = 0.0
        with self.precision.sums(self.net):
            for batch in torch.tensor_split(order, self.n_batches):
                rows = batch.to(side.label.device)
                self._set_rate()
                self.optimizer.zero_grad()
                with self.precision.products():
                    logits = self.net(side.folded[rows], side.auxiliary[rows])  # (curve, class)
                loss = side.loss(logits, rows)
                self.precision.step(loss, self.net, self.optimizer)
                self.step += 1
                if after_step is not None:
                    after_step(self.net)
                if self.settings.averaging and self.epoch < self.first_equal:
                    self.update_average()
                total += float(loss.detach()) * len(rows)
        return total / len(side)

    def keep(self, net: nn.Module) -> None:
        """Remember the weights if this epoch is the best, stop if none was for long."""
        history, settings = self.history, self.settings
        losses = [r.get("validation_loss", -r["epoch"]) for r in history.epochs]
        # the equal average is the goal of its epochs: what came before does not compete with it
        newer = settings.keep == "last" or self.epoch > self.first_equal
        if newer or losses[-1] <= min(losses):
            history.best_epoch = len(losses) - 1
            self.best = {name: t.detach().cpu().clone() for name, t in net.state_dict().items()}
        lowest = len(losses) - 1 - int(np.argmin(losses[::-1]))
        waited = len(losses) - 1 - lowest
        history.stopped_early = 0 < settings.patience <= waited and self.epoch <= self.first_equal


def _validate(net: nn.Module, side: Side) -> dict[str, float]:
    if not len(side):
        return {}
    logits = torch.tensor(
        predict_logits(net, side.folded.cpu().numpy(), side.auxiliary.cpu().numpy()),
        device=side.label.device,
    )
    classes = [str(k) for k in range(logits.shape[1])]
    truth = side.label.cpu().numpy().astype(str)
    predicted = logits.argmax(dim=1).cpu().numpy().astype(str)
    return {
        "validation_loss": float(side.loss(logits, slice(None))),
        "validation_balanced_accuracy": balanced_accuracy(truth, predicted, classes),
        "validation_macro_f1": macro_f1(truth, predicted, classes),
    }


def fit_network(
    net: nn.Module,
    arrays: TrainingArrays,
    settings: TrainSettings,
    *,
    augment: Augment | None = None,
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
    augment : Augment, optional
        Folds the training objects anew for every epoch, such as `astroprep.model.refold.Refold`.
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
        If the arrays disagree in length, hold NaN, or fewer than two classes to learn, or a class
        has too few objects, or the checkpoint is damaged.
    ConfigError
        If the checkpoint is of another network or training (other settings, data or initial
        weights), or the device is not there.

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
    check_arrays(arrays, settings)
    with _threads(settings.n_threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        probe = torch.tensor(arrays.folded[:2]), torch.tensor(arrays.auxiliary[:2])
        training = net.training
        with torch.no_grad():
            n_classes = int(net.eval()(*probe).shape[1])
        net.train(training)
        learn = Side(arrays, ~arrays.is_validation, settings, n_classes)
        check = Side(arrays, arrays.is_validation, settings, n_classes)
        name = fingerprint_of(net, arrays, settings, augment) if checkpoint is not None else ""
        run = _Run(net.to(settings.device), settings, len(learn))
        if checkpoint is not None and checkpoint.exists():
            run.load(read_checkpoint(checkpoint, name, net))
        while run.epoch < settings.max_epochs and not run.history.stopped_early:
            row = _one_epoch(run, learn, check, augment, after_step)
            if checkpoint is not None:
                write_checkpoint(checkpoint, name, net, run.state())
            if progress is not None:
                progress(row)
        net.to("cpu").load_state_dict(run.best)
        net.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run.history


def _one_epoch(
    run: _Run,
    learn: Side,
    check: Side,
    augment: Augment | None,
    after_step: Callable[[nn.Module], None] | None,
) -> dict[str, float]:
    start = clock.perf_counter()
    if augment is not None:
        learn.folded = torch.tensor(augment(learn.rows, run.epoch), device=learn.label.device)
    row = {
        "epoch": float(run.epoch),
        "loss": run.train_epoch(learn, after_step),
        "learning_rate": float(run.optimizer.param_groups[0]["lr"]),
    }
    kept = run.end_epoch()
    if after_step is not None and kept is not run.net:
        after_step(kept)
    row.update(_validate(kept, check))
    row["seconds"] = clock.perf_counter() - start
    run.history.epochs.append(row)
    run.keep(kept)
    return row

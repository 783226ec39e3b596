"""Named ways to compress one trained network, each alone and in combinations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from astroprep.compress.chain import CompressSettings, compress_network, recalibrated
from astroprep.compress.channels import shrink_channels
from astroprep.compress.eight_bits import store_in_eight_bits, train_in_eight_bits, with_ranges
from astroprep.compress.lowrank import factor_layers
from astroprep.compress.match import match_classes
from astroprep.compress.quantize import Calibration
from astroprep.compress.share import stored_form
from astroprep.compress.stored import CompressedNetwork, Progress, store_network, store_tensors
from astroprep.compress.tensor_train import train_layer
from astroprep.compress.ternary import Levels, ternarize
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network

__all__ = ["APPROACHES", "INTEGERS", "Task", "compress_by"]

_CHANNELS = 0.4  # share of the channels that go
_ENERGY = 0.8  # of every layer, kept by its singular values
_TRAIN_RANK = 8


@dataclass(frozen=True, eq=False)
class Task:
    """What every approach is given.

    Parameters
    ----------
    net : FireNet
        Trained; never changed.
    arrays : TrainingArrays
        What it was trained on.
    settings : CompressSettings
        Of pruning, sharing and training in integers. What they leave out has its default here.
    fit : TrainSettings
        How it was trained.
    calibration : {"mse", "percentile", "minmax"}
        Of the ranges of integers.
    progress : callable, optional
        Given each new row of the history.
    made : dict of str to CompressedNetwork
        What was made so far: several approaches go on from another.
    """

    net: FireNet
    arrays: TrainingArrays
    settings: CompressSettings
    fit: TrainSettings
    calibration: Calibration = "mse"
    progress: Progress | None = None
    made: dict[str, CompressedNetwork] = field(default_factory=dict)

    def pruned(self) -> CompressedNetwork:
        """Prune alone."""
        sparsity = self.settings.sparsity or CompressSettings.sparsity
        return self._compressed(self.net, sparsity=sparsity, n_values=0, values_per_layer={})

    def shared(self, net: FireNet) -> CompressedNetwork:
        """Share the values of a network."""
        n_values = self.settings.n_values or CompressSettings.n_values
        return self._compressed(net, sparsity=0.0, n_values=n_values)

    def _compressed(self, net: FireNet, **changes: Any) -> CompressedNetwork:
        settings = replace(self.settings, quantization_aware=False, match_classes=False, **changes)
        return compress_network(net, self.arrays, settings, self.fit, progress=self.progress)

    def tuned(self, net: FireNet) -> FireNet:
        """Retrain a network of another shape as long as pruning does, in place."""
        recalibrated(net, self.arrays, self.fit.seed)
        fit = replace(
            self.fit,
            max_epochs=self.settings.retrain_epochs,
            learning_rate=self.fit.learning_rate * self.settings.rate,
        )
        fit_network(net, self.arrays, fit, progress=self.progress)
        recalibrated(net, self.arrays, self.fit.seed)
        return net

    def calibrated(self, made: CompressedNetwork) -> CompressedNetwork:
        """Let a network compute in integers."""
        return with_ranges(made, self.arrays, method=self.calibration, seed=self.fit.seed)

    def trained_for_integers(self, net: FireNet) -> CompressedNetwork:
        """Train with the rounding in place."""
        return train_in_eight_bits(
            net,
            self.arrays,
            replace(self.fit, max_epochs=self.settings.quantize_epochs),
            rate=self.settings.quantize_rate,
            method=self.calibration,
            progress=self.progress,
        )


def _half(task: Task) -> CompressedNetwork:
    folded = fold_batchnorm(task.net)
    tensors = {n: t.half().float().numpy() for n, t in folded.state_dict().items()}
    return store_tensors(folded, tensors)


def _few_levels(task: Task, levels: Levels) -> CompressedNetwork:
    folded = fold_batchnorm(task.net)
    net = copy.deepcopy(folded)
    ternarize(net, levels=levels)
    fit = replace(
        task.fit,
        max_epochs=task.settings.retrain_epochs,
        learning_rate=task.fit.learning_rate * task.settings.rate * 0.5,
        weight_decay=0.0,
    )
    history = fit_network(net, task.arrays, fit, progress=task.progress)
    return store_tensors(folded, stored_form(net), {levels: history})


def _narrow(task: Task) -> CompressedNetwork:
    return store_network(task.tuned(shrink_channels(task.net, _CHANNELS, multiple=4)))


def _low_rank(task: Task) -> CompressedNetwork:
    return store_network(task.tuned(factor_layers(task.net, energy=_ENERGY)))


def _train(task: Task) -> CompressedNetwork:
    name = "hidden" if task.net.spec["head_width"] else "head"
    return store_network(task.tuned(train_layer(task.net, name, max_rank=_TRAIN_RANK, n_cores=2)))


FLOATS: dict[str, Callable[[Task], CompressedNetwork]] = {
    "reference": lambda task: store_network(task.net),
    "half": _half,
    "pruned": lambda task: task.pruned(),
    "shared": lambda task: task.shared(task.net),
    "pruned + shared": lambda task: task.shared(compress_by("pruned", task).net),
    "pruned + shared + matched": lambda task: match_classes(
        compress_by("pruned + shared", task), task.net, task.arrays
    ),
    "channels": _narrow,
    "channels + shared": lambda task: task.shared(compress_by("channels", task).net),
    "low rank": _low_rank,
    "low rank + shared": lambda task: task.shared(compress_by("low rank", task).net),
    "tensor train": _train,
    "ternary": lambda task: _few_levels(task, "ternary"),
    "binary": lambda task: _few_levels(task, "binary"),
}
"""How each is made; all decode to float32."""

INTEGERS: dict[str, Callable[[Task], CompressedNetwork]] = {
    "int8": lambda task: task.calibrated(store_in_eight_bits(task.net)),
    "int8 trained": lambda task: task.trained_for_integers(task.net),
    "pruned + int8": lambda task: task.calibrated(
        store_in_eight_bits(compress_by("pruned", task).net)
    ),
    "pruned + int8 trained": lambda task: task.trained_for_integers(
        compress_by("pruned", task).net
    ),
    "shared + int8": lambda task: task.calibrated(compress_by("shared", task)),
    "pruned + shared + int8": lambda task: task.calibrated(compress_by("pruned + shared", task)),
    "ternary + int8": lambda task: task.calibrated(compress_by("ternary", task)),
}
"""Those that compute in 8-bit integers, calibrated, or trained with the rounding in place; only
networks of whole layers and one period can."""

APPROACHES = FLOATS | INTEGERS


def compress_by(name: str, task: Task) -> CompressedNetwork:
    """Compress a network in one of the named ways.

    Parameters
    ----------
    name : str
        One of `APPROACHES`.
    task : Task
        Network, data and settings.

    Returns
    -------
    CompressedNetwork
        Its bytes are written and read again. What the task has made already is not made anew.

    Raises
    ------
    ConfigError
        Unknown name, or integers are asked of a network that has none (`quantize_network`).
    """
    if name not in APPROACHES:
        raise ConfigError(f"no approach {name!r}; there are {', '.join(APPROACHES)}")
    if name not in task.made:
        threads = torch.get_num_threads()
        torch.set_num_threads(task.fit.n_threads)
        try:
            task.made[name] = APPROACHES[name](task)
        finally:
            torch.set_num_threads(threads)
    return task.made[name]

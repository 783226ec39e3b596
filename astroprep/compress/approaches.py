"""Named ways to compress one trained network, each alone and in combinations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from astroprep.compress.chain import (
    CompressedNetwork,
    CompressSettings,
    Progress,
    compress_network,
    recalibrated,
    store_network,
    store_tensors,
)
from astroprep.compress.channels import shrink_channels
from astroprep.compress.lowrank import factor_layers
from astroprep.compress.share import stored_form
from astroprep.compress.tensor_train import train_layer
from astroprep.compress.ternary import Levels, ternarize
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network

__all__ = ["APPROACHES", "Task", "compress_by"]

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
        Of pruning and sharing.
    fit : TrainSettings
        How it was trained.
    progress : callable, optional
        Given each new row of the history.
    made : dict of str to FireNet
        Networks that several approaches begin with, made once.
    """

    net: FireNet
    arrays: TrainingArrays
    settings: CompressSettings
    fit: TrainSettings
    progress: Progress | None = None
    made: dict[str, FireNet] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], FireNet]) -> FireNet:
        """A network by its name, made on first use."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def compressed(self, net: FireNet, **changes: float) -> CompressedNetwork:
        """Prune and share a network, some settings changed."""
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]
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


def _pruned(task: Task) -> FireNet:
    return task.once("pruned", lambda: task.compressed(task.net, n_values=0).net)


def _narrow(task: Task) -> FireNet:
    return task.once(
        "channels", lambda: task.tuned(shrink_channels(task.net, _CHANNELS, multiple=4))
    )


def _low_rank(task: Task) -> FireNet:
    return task.once("low rank", lambda: task.tuned(factor_layers(task.net, energy=_ENERGY)))


def _train(task: Task) -> FireNet:
    name = "hidden" if task.net.spec["head_width"] else "head"
    return task.tuned(train_layer(task.net, name, max_rank=_TRAIN_RANK, n_cores=2))


APPROACHES: dict[str, Callable[[Task], CompressedNetwork]] = {
    "reference": lambda task: store_network(task.net),
    "half": _half,
    "pruned": lambda task: store_network(_pruned(task)),
    "shared": lambda task: task.compressed(task.net, sparsity=0.0),
    "pruned + shared": lambda task: task.compressed(_pruned(task), sparsity=0.0),
    "channels": lambda task: store_network(_narrow(task)),
    "channels + shared": lambda task: task.compressed(_narrow(task), sparsity=0.0),
    "low rank": lambda task: store_network(_low_rank(task)),
    "low rank + shared": lambda task: task.compressed(_low_rank(task), sparsity=0.0),
    "tensor train": lambda task: store_network(_train(task)),
    "ternary": lambda task: _few_levels(task, "ternary"),
    "binary": lambda task: _few_levels(task, "binary"),
}
"""How each is made; all decode to float32."""


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
        Its bytes are written and read again.

    Raises
    ------
    ConfigError
        Unknown name.
    """
    if name not in APPROACHES:
        raise ConfigError(f"no approach {name!r}; there are {', '.join(APPROACHES)}")
    threads = torch.get_num_threads()
    torch.set_num_threads(task.fit.n_threads)
    try:
        return APPROACHES[name](task)
    finally:
        torch.set_num_threads(threads)

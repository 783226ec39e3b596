"""The whole chain on one network: prune and retrain, share and fine-tune, code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astroprep.compress.encode import StoredTensor, encode_weights, stored_tensors
from astroprep.compress.prune import (
    Scope,
    apply_masks,
    cubic_sparsity,
    keep_masked,
    magnitude_masks,
    prunable_layers,
    recalibrate_batchnorm,
    sparsity_of,
)
from astroprep.compress.share import Codebook, Initialisation, share_weights, stored_form
from astroprep.compress.tensors import Tensor
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import History, TrainingArrays, TrainSettings, fit_network

__all__ = [
    "CompressSettings",
    "CompressedNetwork",
    "Progress",
    "compress_network",
    "recalibrated",
    "store_network",
    "store_tensors",
]

Progress = Callable[[dict[str, float]], None]
"""Given each new row of the history of whatever pass is training."""

_RECALIBRATION_OBJECTS = 8192


@dataclass(frozen=True)
class CompressSettings:
    """How far and how carefully a network is compressed.

    Parameters
    ----------
    sparsity : float, default 0.8
        Share of the prunable weights that become zero; 0 leaves pruning out. A network of 25,000
        parameters bears 0.8, one of 75,000 bears 0.9.
    scope : {"balanced", "layer", "global"}, default "balanced"
        See `magnitude_masks`.
    floor : float, default 0.02
        Share of its weights that every layer keeps at least.
    spare_first, spare_last : bool, default False
        Leave the stem or the last layer unpruned.
    prune_stages : int, default 4
        Steps in which the sparsity rises (`cubic_sparsity`).
    stage_epochs : int, default 3
        Training after each of them.
    retrain_epochs : int, default 15
        Training at the final sparsity.
    n_values : int, default 16
        Different values a layer, zero included; 0 leaves sharing out (and stores float32).
    values_per_layer : dict of str to int
        Other numbers for the layers named.
    codebook : {"grid", "half"}, default "grid"
        Values as 8-bit multiples of one scale a layer, or float16.
    bias_bits : int, default 8
        Width of the biases.
    initialisation : {"linear", "density", "random"}, default "linear"
        Of k-means.
    share_epochs : int, default 8
        Training of the shared values; 0 keeps the means that k-means found.
    rate : float, default 0.5
        Learning rate of pruning and retraining, in units of the training's.
    share_rate : float, default 0.1
        Learning rate of the shared values, in the same units: one value moves hundreds of weights.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.
    """

    sparsity: float = 0.8
    scope: Scope = "balanced"
    floor: float = 0.02
    spare_first: bool = False
    spare_last: bool = False
    prune_stages: int = 4
    stage_epochs: int = 3
    retrain_epochs: int = 15
    n_values: int = 16
    values_per_layer: dict[str, int] = field(default_factory=dict)
    codebook: Codebook = "grid"
    bias_bits: int = 8
    initialisation: Initialisation = "linear"
    share_epochs: int = 8
    rate: float = 0.5
    share_rate: float = 0.1

    def __post_init__(self) -> None:
        rules = {
            "sparsity": 0 <= self.sparsity < 1,
            "scope": self.scope in ("balanced", "layer", "global"),
            "floor": 0 <= self.floor < 1,
            "prune_stages": self.prune_stages >= 1,
            "stage_epochs": self.stage_epochs >= 1,
            "retrain_epochs": self.retrain_epochs >= 1,
            "n_values": self.n_values == 0 or 2 <= self.n_values <= 255,
            "values_per_layer": all(2 <= n <= 255 for n in self.values_per_layer.values()),
            "codebook": self.codebook in ("grid", "half"),
            "bias_bits": 2 <= self.bias_bits <= 8,
            "initialisation": self.initialisation in ("linear", "density", "random"),
            "share_epochs": self.share_epochs >= 0,
            "rate": 0 < self.rate <= 10,
            "share_rate": 0 < self.share_rate <= 10,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(f"compression settings out of range: {', '.join(wrong)}")


@dataclass(frozen=True, eq=False)
class CompressedNetwork:
    """A network as it is deployed.

    Parameters
    ----------
    net : FireNet
        Batch norms folded, evaluation mode, holding exactly the weights that ``data`` decodes to.
    spec : dict
        Its description.
    data : bytes
        The weights file.
    weights : dict of str to float32 array
        Decoded from ``data``, in the order of the file.
    stored : list of StoredTensor
        Per tensor: size, zeros, values, bits.
    n_parameters : int
        Weights and biases.
    sparsity : float
        Share of zeros among all weights and biases.
    histories : dict of str to History
        Training after each pass, by its name.
    """

    net: FireNet
    spec: dict[str, Any]
    data: bytes
    weights: dict[str, NDArray[np.float32]]
    stored: list[StoredTensor]
    n_parameters: int
    sparsity: float
    histories: dict[str, History] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Four bytes a parameter against the bytes of the weights file, headers included."""
        return 4 * self.n_parameters / len(self.data)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor by name, in the order of the file."""
        return {name: array.shape for name, array in self.weights.items()}


def compress_network(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    *,
    progress: Progress | None = None,
) -> CompressedNetwork:
    """Prune, retrain, share, fine-tune and code a trained network.

    Batch norms stay while the network is pruned, because they keep retraining stable, with their
    statistics taken anew after every pass; they are folded before the weights are shared, so that
    the values shared are the ones deployed.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    arrays : TrainingArrays
        What it was trained on. Objects of its validation part choose the epoch of every pass;
        nothing else is looked at.
    settings : CompressSettings
        How far to go.
    fit : TrainSettings
        How it was trained; epochs and learning rate are replaced for each pass.
    progress : callable, optional
        Given each new row of the history of whatever pass is training.

    Returns
    -------
    CompressedNetwork
        With the decoded weights in place.

    Raises
    ------
    ConfigError
        If ``values_per_layer`` names a layer that the network does not have.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(fit.n_threads)
    try:
        return _compress(net, arrays, settings, fit, progress)
    finally:
        torch.set_num_threads(threads)


def _compress(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    progress: Progress | None,
) -> CompressedNetwork:
    work = copy.deepcopy(net)
    histories: dict[str, History] = {}
    if settings.sparsity > 0:
        histories = _prune(work, arrays, settings, fit, progress)
    folded = fold_batchnorm(work)
    if settings.n_values == 0:
        return store_network(folded, histories)
    shared = copy.deepcopy(folded)
    share_weights(
        shared,
        settings.n_values,
        per_layer=settings.values_per_layer,
        codebook=settings.codebook,
        bias_bits=settings.bias_bits,
        initialisation=settings.initialisation,
        seed=fit.seed,
    )
    if settings.share_epochs:
        histories["share"] = fit_network(
            shared,
            arrays,
            replace(
                fit,
                max_epochs=settings.share_epochs,
                learning_rate=fit.learning_rate * settings.share_rate,
                weight_decay=0.0,
            ),
            progress=progress,
        )
    return store_tensors(folded, stored_form(shared), histories)


def store_network(net: FireNet, histories: dict[str, History] | None = None) -> CompressedNetwork:
    """Code a network as it is, in float32: the reference to compare with.

    Parameters
    ----------
    net : FireNet
        Trained, batch norms folded or not; it is not changed.
    histories : dict of str to History, optional
        To carry along.

    Returns
    -------
    CompressedNetwork
        Of the same weights, batch norms folded.
    """
    folded = fold_batchnorm(net)
    tensors: dict[str, Tensor] = {
        name: array.detach().cpu().numpy().astype(np.float32)
        for name, array in folded.state_dict().items()
    }
    return store_tensors(folded, tensors, histories)


def store_tensors(
    folded: FireNet, tensors: Mapping[str, Tensor], histories: dict[str, History] | None = None
) -> CompressedNetwork:
    """Encode, decode, and load what was decoded.

    Parameters
    ----------
    folded : FireNet
        Of the shapes of the tensors; it is not changed.
    tensors : mapping of str to Tensor
        From `stored_form`, or plain arrays.
    histories : dict of str to History, optional
        To carry along.

    Returns
    -------
    CompressedNetwork
        Holding exactly what its bytes decode to.
    """
    data = encode_weights(tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    weights = decode_weights(data, shapes)
    net = copy.deepcopy(folded)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    n_parameters = sum(array.size for array in weights.values())
    n_nonzero = sum(int(np.count_nonzero(array)) for array in weights.values())
    return CompressedNetwork(
        net=net.eval(),
        spec=dict(net.spec),
        data=data,
        weights=weights,
        stored=stored_tensors(tensors),
        n_parameters=n_parameters,
        sparsity=1.0 - n_nonzero / n_parameters,
        histories=histories or {},
    )


def _prune(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    progress: Progress | None,
) -> dict[str, History]:
    """Raise the sparsity in stages, training after each, in place.

    A stage trains with a fixed mask, so whichever epoch the validation objects choose within it
    has the sparsity of the stage.
    """
    layers = prunable_layers(net, spare_first=settings.spare_first, spare_last=settings.spare_last)
    histories = {}
    for stage in range(1, settings.prune_stages + 1):
        sparsity = cubic_sparsity(stage, settings.prune_stages, settings.sparsity)
        masks = magnitude_masks(net, layers, sparsity, scope=settings.scope, floor=settings.floor)
        apply_masks(net, masks)
        recalibrated(net, arrays, fit.seed)
        is_last = stage == settings.prune_stages
        histories[f"prune {sparsity_of(masks):.2f}"] = fit_network(
            net,
            arrays,
            replace(
                fit,
                max_epochs=settings.retrain_epochs if is_last else settings.stage_epochs,
                learning_rate=fit.learning_rate * settings.rate,
            ),
            after_step=keep_masked(masks),
            progress=progress,
        )
        apply_masks(net, masks)
        recalibrated(net, arrays, fit.seed)
    return histories


def recalibrated(net: FireNet, arrays: TrainingArrays, seed: int) -> FireNet:
    """Take the statistics of batch norms anew over some thousand training objects, in place.

    Parameters
    ----------
    net : FireNet
        After any pass that changed its weights.
    arrays : TrainingArrays
        Objects of its validation part are not looked at.
    seed : int
        Chooses the objects.
    """
    train = np.flatnonzero(~arrays.is_validation)
    order = np.random.default_rng(seed).permutation(train)[:_RECALIBRATION_OBJECTS]
    recalibrate_batchnorm(net, arrays.folded[order], arrays.auxiliary[order])
    return net

"""The whole chain on one network: prune and retrain, share and fine-tune, match, code."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from astroprep.compress.eight_bits import train_in_eight_bits
from astroprep.compress.match import match_classes
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
from astroprep.compress.quantize import Calibration
from astroprep.compress.share import Codebook, Initialisation, share_weights, stored_form
from astroprep.compress.stored import CompressedNetwork, Progress, store_network, store_tensors
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.kept import fit_kept
from astroprep.model.train import History, TrainingArrays, TrainSettings

__all__ = [
    "CompressSettings",
    "compress_network",
    "recalibrated",
]

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
    quantization_aware : bool, default False
        Train with the rounding to 8-bit integers in place, after pruning; needs ``n_values = 0``.
    quantize_epochs : int, default 8
        Training with the rounding in place.
    quantize_rate : float, default 0.05
        Its learning rate, in the same units.
    match_classes : bool, default True
        At the end move the biases of the last layer so that every class gets as much probability
        on the training objects as the whole network gives it. A class of few objects is otherwise
        said less often after long training behind the passes, and more often after short.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once. If weights are to be shared
        and rounded in training: a codebook a layer and a step a channel cannot both be held.
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
    quantization_aware: bool = False
    quantize_epochs: int = 8
    quantize_rate: float = 0.05
    match_classes: bool = True

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
            "quantize_epochs": self.quantize_epochs >= 1,
            "quantize_rate": 0 < self.quantize_rate <= 10,
        }
        wrong = [f"{name} = {getattr(self, name)!r}" for name, good in rules.items() if not good]
        if wrong:
            raise ConfigError(f"compression settings out of range: {', '.join(wrong)}")
        if self.quantization_aware and (self.n_values or self.values_per_layer):
            raise ConfigError(
                "quantization_aware = true needs n_values = 0 and no values_per_layer: training "
                "with the rounding in place moves every weight, and shared ones would part again"
            )


def compress_network(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    *,
    calibration: Calibration = "mse",
    kept: Path | None = None,
    progress: Progress | None = None,
) -> CompressedNetwork:
    """Prune, retrain, share and fine-tune, or round and train, and code a trained network.

    Batch norms stay while the network is pruned, because they keep retraining stable, with their
    statistics taken anew after every pass; they are folded before the weights are shared, so that
    the values shared are the ones deployed. What every class gets of the probability is kept
    (`match_classes`).

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
    calibration : {"mse", "percentile", "minmax"}
        How the ranges are found that quantization-aware training begins with.
    kept : Path, optional
        Folder where the training of every pass is kept, for a later call with the same arguments
        to take up (all but that with the rounding in place, which is short).
    progress : callable, optional
        Given each new row of the history of whatever pass is training.

    Returns
    -------
    CompressedNetwork
        With the decoded weights in place, and with ranges where it was trained for integers.

    Raises
    ------
    ConfigError
        If ``values_per_layer`` names a layer that the network does not have, or integers are asked
        of one that has factored or narrowed layers.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(fit.n_threads)
    try:
        made = _compress(net, arrays, settings, fit, calibration, kept, progress)
        return match_classes(made, net, arrays) if settings.match_classes else made
    finally:
        torch.set_num_threads(threads)


def _compress(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    calibration: Calibration,
    kept: Path | None,
    progress: Progress | None,
) -> CompressedNetwork:
    work = copy.deepcopy(net)
    histories: dict[str, History] = {}
    if settings.sparsity > 0:
        histories = _prune(work, arrays, settings, fit, kept, progress)
    folded = fold_batchnorm(work)
    if settings.quantization_aware:
        made = train_in_eight_bits(
            folded,
            arrays,
            replace(fit, max_epochs=settings.quantize_epochs),
            rate=settings.quantize_rate,
            method=calibration,
            progress=progress,
        )
        return replace(made, histories=histories | made.histories)
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
        histories["share"] = fit_kept(
            shared,
            arrays,
            replace(
                fit,
                max_epochs=settings.share_epochs,
                learning_rate=fit.learning_rate * settings.share_rate,
                weight_decay=0.0,
            ),
            None if kept is None else kept / "share.pt",
            progress=progress,
        )
    return store_tensors(folded, stored_form(shared), histories)


def _prune(
    net: FireNet,
    arrays: TrainingArrays,
    settings: CompressSettings,
    fit: TrainSettings,
    kept: Path | None,
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
        histories[f"prune {sparsity_of(masks):.2f}"] = fit_kept(
            net,
            arrays,
            replace(
                fit,
                max_epochs=settings.retrain_epochs if is_last else settings.stage_epochs,
                learning_rate=fit.learning_rate * settings.rate,
            ),
            None if kept is None else kept / f"prune-{stage}.pt",
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

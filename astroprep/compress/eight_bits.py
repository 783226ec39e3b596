"""A network in 8-bit integers: weights as the file holds them, ranges calibrated or trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.prune import keep_masked, prunable_layers
from astroprep.compress.quantize import Calibration, calibrate_ranges, train_quantized
from astroprep.compress.ranges import ActivationRanges
from astroprep.compress.share import to_grid
from astroprep.compress.stored import CompressedNetwork, Progress, store_tensors
from astroprep.compress.tensors import GridTensor, Tensor
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import History, TrainingArrays, TrainSettings

__all__ = ["store_in_eight_bits", "train_in_eight_bits", "with_ranges"]

N_CALIBRATION = 2048  # training objects that the ranges are calibrated on


def store_in_eight_bits(
    net: FireNet, histories: dict[str, History] | None = None
) -> CompressedNetwork:
    """Code a network with its weights in 8 bits, one scale a tensor, and its biases in 16.

    Parameters
    ----------
    net : FireNet
        Trained, batch norms folded or not; it is not changed.
    histories : dict of str to History, optional
        To carry along.

    Returns
    -------
    CompressedNetwork
        Without ranges.
    """
    folded = fold_batchnorm(net)
    tensors = {n: _stored(n, t.detach().cpu().numpy()) for n, t in folded.state_dict().items()}
    return store_tensors(folded, tensors, histories)


def _stored(name: str, array: NDArray[np.float32]) -> Tensor:
    if name.endswith("weight"):
        return GridTensor(*to_grid(array))
    if np.abs(array).max(initial=0.0) > np.finfo(np.float16).max:
        return array
    return array.astype(np.float16).astype(np.float32)  # sums are 32 bits wide: 8 would be coarse


def with_ranges(
    made: CompressedNetwork, arrays: TrainingArrays, *, method: Calibration = "mse", seed: int = 1
) -> CompressedNetwork:
    """Make a network compute in integers, with ranges calibrated on training objects.

    Parameters
    ----------
    made : CompressedNetwork
        Its weights are rounded as they are stored.
    arrays : TrainingArrays
        What it was trained on. Objects of its validation part are not looked at.
    method : {"mse", "percentile", "minmax"}
        See `calibrate_ranges`, and what it raises.
    seed : int, default 1
        Chooses some thousand objects.
    """
    return replace(made, ranges=_ranges(made.net, arrays, method, seed))


def _ranges(
    net: FireNet, arrays: TrainingArrays, method: Calibration, seed: int
) -> ActivationRanges:
    train = np.flatnonzero(~arrays.is_validation)
    rows = np.random.default_rng(seed).permutation(train)[:N_CALIBRATION]
    ranges = calibrate_ranges(net, arrays.folded[rows], arrays.auxiliary[rows], method=method)
    return ranges.rounded()


def train_in_eight_bits(
    net: FireNet,
    arrays: TrainingArrays,
    fit: TrainSettings,
    *,
    rate: float = 0.05,
    method: Calibration = "mse",
    progress: Progress | None = None,
) -> CompressedNetwork:
    """Go on training with the rounding of file and arithmetic in place; zeros stay zeros.

    Parameters
    ----------
    net : FireNet
        Trained, perhaps pruned; it is not changed.
    arrays : TrainingArrays
        What it was trained on; objects of its validation part choose the epoch.
    fit : TrainSettings
        See `train_quantized`, and what it raises.
    rate : float, default 0.05
        Learning rate in units of the training's.
    method : {"mse", "percentile", "minmax"}
        Of the ranges to begin with.
    progress : callable, optional
        Given each new row of the history.

    Returns
    -------
    CompressedNetwork
        Weights in 8 bits, ranges learned.
    """
    folded = fold_batchnorm(net)
    masks = {name: layer.weight != 0 for name, layer in prunable_layers(folded).items()}
    ranges = _ranges(folded, arrays, method, fit.seed)
    trained, ranges, history = train_quantized(
        folded,
        arrays,
        ranges,
        fit,
        rate=rate,
        weight_bits=8,
        after_step=keep_masked(masks),
        progress=progress,
    )
    made = store_in_eight_bits(trained, {"quantize": history})
    return replace(made, ranges=ranges.rounded())

"""Magnitude pruning: small weights become zero, step by step, with retraining in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.firenet import ConvUnit

__all__ = [
    "Masks",
    "Scope",
    "apply_masks",
    "balanced_densities",
    "cubic_sparsity",
    "keep_masked",
    "magnitude_masks",
    "prunable_layers",
    "recalibrate_batchnorm",
    "sparsity_of",
]

Masks = Mapping[str, torch.Tensor]
"""Bool tensors by the name of the layer, of the shape of its weight; True means kept."""

Scope = Literal["balanced", "layer", "global"]

_RECALIBRATION_BATCH = 512


def cubic_sparsity(stage: int, n_stages: int, final: float, initial: float = 0.0) -> float:
    """Share of weights that are zero after one of several pruning stages.

    Parameters
    ----------
    stage : int
        1 to ``n_stages``.
    n_stages : int
        How many there are.
    final, initial : float
        Sparsity after the last stage and before the first, in [0, 1).

    Returns
    -------
    float
        Rises fast while many weights are redundant and slowly at the end.

    References
    ----------
    .. [1] Zhu & Gupta 2017, "To prune, or not to prune", equation 1, arXiv:1710.01878
    """
    return final + (initial - final) * (1.0 - stage / n_stages) ** 3


def prunable_layers(
    net: nn.Module, *, spare_first: bool = False, spare_last: bool = False
) -> dict[str, nn.Conv1d | nn.Linear]:
    """Layers whose weights may be pruned, by name, in the order of the network.

    Parameters
    ----------
    net : nn.Module
        Any network of one-dimensional convolutions and dense layers.
    spare_first, spare_last : bool, default False
        Leave out the first or the last of them: they hold few weights and see the raw input or
        make the decision.

    Returns
    -------
    dict of str to layer
        Biases and batch norms are never pruned.
    """
    layers = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv1d | nn.Linear)
    }
    names = list(layers)[int(spare_first) : len(layers) - int(spare_last)]
    return {name: layers[name] for name in names}


@torch.no_grad()
def magnitude_masks(
    net: nn.Module,
    layers: Mapping[str, nn.Conv1d | nn.Linear],
    sparsity: float,
    *,
    scope: Scope = "balanced",
    floor: float = 0.02,
) -> dict[str, torch.Tensor]:
    """Which weights to keep: the largest.

    Parameters
    ----------
    net : nn.Module
        Where a batch norm follows a convolution (`ConvUnit`), a weight counts with the factor that
        folding will give it, so that channels compare by their effect.
    layers : mapping of str to layer
        From `prunable_layers`.
    sparsity : float
        Share of the weights of these layers to make zero, in [0, 1).
    scope : {"balanced", "layer", "global"}, default "balanced"
        How the zeros are divided among the layers: small layers keep larger shares
        (`balanced_densities`), all layers keep the same share, or one threshold on the weights of
        all layers, each in units of the root mean square of its own.
    floor : float, default 0.02
        Share of its weights that every layer keeps at least. A single threshold at 98 % would
        otherwise empty whole layers and cut the network in two. At least one weight a layer.

    Returns
    -------
    dict of str to bool tensor
        True where the weight is kept. The overall share is met, to rounding, as long as the floors
        allow it; ties keep the earlier weight.

    Raises
    ------
    ConfigError
        If the sparsity or the floor is not in [0, 1).
    """
    if not 0 <= sparsity < 1 or not 0 <= floor < 1:
        raise ConfigError(f"sparsity and floor must be in [0, 1), got {sparsity!r} and {floor!r}")
    scores = {name: _scores(net, name, layer) for name, layer in layers.items()}
    density = dict.fromkeys(layers, floor if scope == "global" else 1 - sparsity)
    if scope == "balanced":
        density = balanced_densities(
            {name: tuple(layer.weight.shape) for name, layer in layers.items()}, sparsity
        )
    kept = {name: np.zeros(s.size, dtype=bool) for name, s in scores.items()}
    for name, score in scores.items():
        count = max(1, round(max(floor, density[name]) * score.size))
        kept[name][_largest(score, count)] = True
    if scope == "global":
        kept = _filled_up(scores, kept, 1 - sparsity)
    return {
        name: torch.from_numpy(kept[name]).reshape(layer.weight.shape)
        for name, layer in layers.items()
    }


def balanced_densities(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """Share of its weights that each layer keeps when inputs and outputs keep alike many each.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Weights: outputs, inputs, and taps for a convolution.
    sparsity : float
        Share of zeros over all layers, in [0, 1).

    Returns
    -------
    dict of str to float
        In (0, 1]; met overall as the layers that stay dense give their part to the others.

    Notes
    -----
    The Erdős-Rényi kernel rule: density in proportion to the sum of a layer's dimensions over
    their product. One share for all takes the squeeze layers, through which all must pass, down to
    two or three weights a channel while wide dense layers keep what they could miss.

    References
    ----------
    .. [1] Evci et al. 2020, "Rigging the Lottery", section 3, arXiv:1911.11134
    .. [2] Mocanu et al. 2018, Nature Communications 9, 2383, doi:10.1038/s41467-018-04316-3
    """
    size = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    raw = {name: sum(shape) / size[name] for name, shape in shapes.items()}
    full: set[str] = set()
    factor = 0.0
    for _ in shapes:
        left = (1 - sparsity) * sum(size.values()) - sum(size[name] for name in full)
        free = [name for name in shapes if name not in full]
        factor = left / sum(raw[name] * size[name] for name in free)
        over = {name for name in free if factor * raw[name] > 1}
        if not over:
            break
        full |= over
        if len(full) == len(shapes):
            break
    return {name: 1.0 if name in full else factor * raw[name] for name in shapes}


def _filled_up(
    scores: Mapping[str, NDArray[np.float64]],
    kept: Mapping[str, NDArray[np.bool_]],
    density: float,
) -> dict[str, NDArray[np.bool_]]:
    """Add the largest of all layers to those already kept until the overall share is met."""
    everything = np.concatenate(list(scores.values()))
    chosen = np.concatenate(list(kept.values()))
    n_more = round(density * everything.size) - int(chosen.sum())
    if n_more > 0:
        chosen[_largest(np.where(chosen, -1.0, everything), n_more)] = True
    bounds = np.cumsum([s.size for s in scores.values()])[:-1]
    return dict(zip(scores, np.split(chosen, bounds), strict=True))


def _scores(net: nn.Module, name: str, layer: nn.Conv1d | nn.Linear) -> NDArray[np.float64]:
    """Magnitudes in units of the layer's root mean square, batch norm folded in."""
    weight = layer.weight.detach().double()
    parent = net.get_submodule(name.rpartition(".")[0])
    if isinstance(parent, ConvUnit) and parent.norm is not None:
        norm = parent.norm
        variance = norm.running_var
        if variance is not None:
            scale = norm.weight.detach().double() / torch.sqrt(variance.double() + norm.eps)
            weight = weight * scale[:, None, None]
    score = weight.abs().cpu().numpy().ravel()
    root = np.sqrt(np.mean(score**2))
    scaled: NDArray[np.float64] = score / root if root > 0 else score
    return scaled


def _largest(score: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.argsort(-score, kind="stable")[:count]


@torch.no_grad()
def apply_masks(net: nn.Module, masks: Masks) -> None:
    """Set the pruned weights of a network to zero, in place.

    Parameters
    ----------
    net : nn.Module
        Has the layers that the masks name.
    masks : mapping of str to bool tensor
        From `magnitude_masks`.
    """
    for name, mask in masks.items():
        weight = net.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        weight.mul_(mask)


def keep_masked(masks: Masks) -> Callable[[nn.Module], None]:
    """What to call after every optimiser step so that pruned weights stay zero.

    Parameters
    ----------
    masks : mapping of str to bool tensor
        From `magnitude_masks`.

    Returns
    -------
    callable
        For ``fit_network(..., after_step=...)``.
    """

    def after_step(net: nn.Module) -> None:
        apply_masks(net, masks)

    return after_step


@torch.no_grad()
def recalibrate_batchnorm(
    net: nn.Module, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
) -> None:
    """Take the statistics of every batch norm anew, in place, over training objects.

    Parameters
    ----------
    net : nn.Module
        Its other parameters stay; it ends in evaluation mode.
    folded : float32 array, shape (n_objects, n_channels, n_bins)
        Training objects, in any order; a few thousand are enough.
    auxiliary : float32 array, shape (n_objects, n_auxiliary)
        Their normalised auxiliaries.

    Notes
    -----
    Pruning shifts the activations that the running statistics describe: at 98 % sparsity the old
    ones are worse than useless. Running means are plain averages over the batches here.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d)]
    if not norms:
        net.eval()
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    net.train()
    n_batches = max(1, len(folded) // _RECALIBRATION_BATCH)
    for index in np.array_split(np.arange(len(folded)), n_batches):
        net(torch.from_numpy(folded[index]), torch.from_numpy(auxiliary[index]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()


def sparsity_of(masks: Masks) -> float:
    """Share of zeros among the weights that masks cover.

    Parameters
    ----------
    masks : mapping of str to bool tensor
        From `magnitude_masks`.

    Returns
    -------
    float
        0 for no masks.
    """
    total = sum(mask.numel() for mask in masks.values())
    return 1.0 - sum(int(mask.sum()) for mask in masks.values()) / total if total else 0.0

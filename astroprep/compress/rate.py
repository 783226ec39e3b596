"""How many shared values each layer gets: bits where they matter, by rate and distortion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from astroprep.compress.share import Initialisation, assign, kmeans_1d
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet
from astroprep.model.train import TrainingArrays

__all__ = ["RatePoint", "layer_sensitivity", "rate_points", "values_by_rate"]

MAX_BITS = 8
_BOOK_BITS = 6.0  # a value of the codebook in the file, about


@dataclass(frozen=True)
class RatePoint:
    """One layer with codes of one width.

    Parameters
    ----------
    bits : int
        Width of a code; ``2 ** bits`` values, zero included, at most 255.
    rate : float
        Bits that the layer takes: the entropy of its codes, and its codebook.
    distortion : float
        Sum of squared changes of its weights.
    """

    bits: int
    rate: float
    distortion: float


def rate_points(
    weight: NDArray[np.floating], *, initialisation: Initialisation = "linear", seed: int = 0
) -> list[RatePoint]:
    """Rate and distortion of one layer for codes of 1 to 8 bits.

    Parameters
    ----------
    weight : float array, any shape
        Zeros stay zero.
    initialisation, seed
        See `kmeans_1d`.
    """
    flat = np.asarray(weight, dtype=np.float64).ravel()
    used = flat[flat != 0]
    points = []
    for bits in range(1, MAX_BITS + 1):
        n_values = min(1 << bits, 255)
        codes, distortion, n_centres = np.zeros(flat.size, dtype=np.int64), 0.0, 0
        if used.size:
            n_clusters = n_values - int(used.size < flat.size)
            centres = kmeans_1d(used, n_clusters, initialisation=initialisation, seed=seed)
            index = assign(used, centres)
            codes[flat != 0] = 1 + index
            distortion, n_centres = float(np.sum((used - centres[index]) ** 2)), centres.size
        share = np.bincount(codes) / max(codes.size, 1)
        share = share[share > 0]
        rate = -codes.size * float(np.sum(share * np.log2(share))) + _BOOK_BITS * n_centres
        points.append(RatePoint(bits, rate, distortion))
    return points


def layer_sensitivity(
    net: FireNet, arrays: TrainingArrays, n_objects: int = 512
) -> dict[str, float]:
    """How much the loss minds a change of each layer's weights: mean squared gradient.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    arrays : TrainingArrays
        The first of its training objects are taken, in groups of eight.
    n_objects : int, default 512
        How many.

    Notes
    -----
    The empirical Fisher information, an estimate of the diagonal of the Hessian, averaged over
    the layer: a change ``d`` of its weights costs about ``0.5 * sensitivity * sum(d ** 2)``.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv1d | nn.Linear)}
    total = dict.fromkeys(layers, 0.0)
    rows = np.flatnonzero(~arrays.is_validation)[:n_objects]
    groups = np.array_split(rows, max(1, rows.size // 8))
    was_training = net.training
    net.eval()
    for group in groups:
        logits = net(
            torch.from_numpy(arrays.folded[group]), torch.from_numpy(arrays.auxiliary[group])
        )
        loss = functional.cross_entropy(logits, torch.from_numpy(arrays.label[group]))
        gradients = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
        for name, gradient in zip(layers, gradients, strict=True):
            total[name] += group.size * float((gradient**2).mean()) / len(groups)
    net.train(was_training)
    return total


def values_by_rate(
    net: nn.Module,
    bits: float,
    *,
    sensitivity: Mapping[str, float] | None = None,
    initialisation: Initialisation = "linear",
    seed: int = 0,
) -> dict[str, int]:
    """Shared values of each layer that lose least at a total size.

    Parameters
    ----------
    net : nn.Module
        Pruned and folded.
    bits : float
        To spend a weight on average, zeros counted, codebooks included.
    sensitivity : mapping of str to float, optional
        From `layer_sensitivity`; all layers alike without it.
    initialisation, seed
        See `kmeans_1d`.

    Returns
    -------
    dict of str to int
        For ``CompressSettings.values_per_layer``: 2 to 255. Where the size is below that of one
        bit everywhere, one bit everywhere.

    Raises
    ------
    ConfigError
        If ``bits`` is not positive.

    Notes
    -----
    Every layer starts at one bit. Then the step, to any wider code of any layer, that takes off
    most distortion a bit is made until no step fits: this follows the convex hull that a Lagrange
    multiplier would trace.

    References
    ----------
    .. [1] Shoham & Gersho 1988, IEEE Trans. ASSP 36, 1445, doi:10.1109/29.90373
    """
    if not bits > 0:
        raise ConfigError(f"values_by_rate needs a positive number of bits a weight, got {bits!r}")
    weights = {
        name: layer.weight.detach().cpu().numpy()
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv1d | nn.Linear)
    }
    curves = {
        name: rate_points(weight, initialisation=initialisation, seed=seed)
        for name, weight in weights.items()
    }
    mind = {name: 1.0 if sensitivity is None else float(sensitivity[name]) for name in weights}
    at = dict.fromkeys(weights, 0)
    left = bits * sum(w.size for w in weights.values()) - sum(c[0].rate for c in curves.values())
    while True:
        best, choice = 0.0, ("", 0)
        for name, curve in curves.items():
            now = curve[at[name]]
            for step in range(at[name] + 1, len(curve)):
                more = curve[step].rate - now.rate
                gain = mind[name] * (now.distortion - curve[step].distortion)
                if more <= left and gain > best * max(more, 1e-9):
                    best, choice = gain / max(more, 1e-9), (name, step)
        name, step = choice
        if not name:
            break
        left -= curves[name][step].rate - curves[name][at[name]].rate
        at[name] = step
    return {name: min(1 << (1 + step), 255) for name, step in at.items()}

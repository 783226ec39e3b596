"""Low-rank layers: a convolution as few filters and their mixing, by singular values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.factored import LowRank, factored_layer, replace_layer
from astroprep.model.firenet import FireNet
from astroprep.model.spec import reshaped

__all__ = ["factor_layers", "n_kept", "rank_by_accuracy", "rank_by_energy", "worth_rank"]


def rank_by_energy(weight: NDArray[np.floating], energy: float) -> int:
    """Smallest rank that keeps a share of the sum of squares.

    Parameters
    ----------
    weight : float array, shape (n_outputs, ...)
        Of a layer; all but the outputs is flattened.
    energy : float
        Share of the squared Frobenius norm to keep, in (0, 1].

    Returns
    -------
    int
        At least 1.
    """
    return n_kept(np.linalg.svd(weight.reshape(len(weight), -1), compute_uv=False), energy)


def n_kept(values: NDArray[np.floating], energy: float) -> int:
    """How many of the largest singular values hold a share of the sum of squares; at least 1."""
    sums = np.cumsum(values**2)
    return min(int(np.searchsorted(sums, energy * sums[-1] * (1 - 1e-12))) + 1, int(sums.size))


def worth_rank(weight: NDArray[np.floating]) -> int:
    """Largest rank at which two factors hold fewer weights than the layer; may be 0."""
    n_out, n_in = len(weight), weight[0].size
    return int((n_out * n_in - 1) // (n_out + n_in))


def factor_layers(
    net: FireNet, *, energy: float = 0.9, ranks: Mapping[str, int] | None = None
) -> FireNet:
    """Copy of a network with layers replaced by two thinner ones.

    Parameters
    ----------
    net : FireNet
        Trained, batch norms folded or not; it is not changed.
    energy : float, default 0.9
        See `rank_by_energy`; chooses the ranks, and layers that it would not make smaller stay.
    ranks : mapping of str to int, optional
        Take these instead, for these layers only.

    Returns
    -------
    FireNet
        In evaluation mode; the factors are the best of their rank (Eckart & Young), singular
        values shared evenly. Fine-tune it.

    Raises
    ------
    ConfigError
        If the energy, a layer or a rank is wrong, or a layer is factored already.

    Notes
    -----
    The convolution ``(d, c, k)`` is read as a matrix ``(d, c k)``: its right factor is d' filters
    of k taps, its left one a 1x1 convolution.

    References
    ----------
    .. [1] Zhang et al. 2016, IEEE TPAMI 38, 1943, section 3.1, arXiv:1505.06798
    .. [2] Eckart & Young 1936, Psychometrika 1, 211, doi:10.1007/BF02288367
    """
    if not 0 < energy <= 1:
        raise ConfigError(f"the energy to keep must be in (0, 1], got {energy!r}")
    done = net.spec.get("factors", {})
    layers = {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv1d | nn.Linear)
        and not any(name.startswith(f"{other}.") for other in done)
    }
    if ranks is None:
        ranks = {}
        for name, layer in layers.items():
            weight = layer.weight.detach().double().numpy()
            rank = rank_by_energy(weight, energy)
            if rank <= worth_rank(weight):
                ranks[name] = rank
    small = copy.deepcopy(net)
    for name, rank in ranks.items():
        if name not in layers:
            raise ConfigError(f"no layer {name!r} to factor; there are {', '.join(layers)}")
        replace_layer(small, name, _factored(layers[name], rank, name))
    factors = {**done, **{name: {"rank": int(rank)} for name, rank in ranks.items()}}
    small.spec = reshaped(net.spec, factors=factors)
    return small.eval()


@torch.no_grad()
def _factored(layer: nn.Conv1d | nn.Linear, rank: int, name: str) -> LowRank:
    weight = layer.weight.detach().double().numpy()
    flat = weight.reshape(len(weight), -1)
    if not 1 <= rank <= min(flat.shape):
        raise ConfigError(f"layer {name!r} has ranks 1 to {min(flat.shape)}, got {rank}")
    made = factored_layer(layer, {"rank": rank}, name)
    assert isinstance(made, LowRank)
    u, s, v = np.linalg.svd(flat, full_matrices=False)
    root = np.sqrt(s[:rank])
    made.first.weight.copy_(
        torch.from_numpy((root[:, None] * v[:rank]).reshape(made.first.weight.shape))
    )
    made.second.weight.copy_(
        torch.from_numpy((u[:, :rank] * root).reshape(made.second.weight.shape))
    )
    if layer.bias is not None and made.second.bias is not None:
        made.second.bias.copy_(layer.bias)
    return made


def rank_by_accuracy(
    net: FireNet,
    score: Callable[[FireNet], float],
    most: float,
    *,
    energies: tuple[float, ...] = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98),
) -> FireNet:
    """Fewest factors, layer by layer, that cost at most so much of a score.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    score : callable
        Gives a number that falls as the network gets worse, of objects that are neither learned
        nor tested on.
    most : float
        Loss of the score that a single layer may cost, others being whole.
    energies : tuple of float
        Tried from the smallest on.

    Returns
    -------
    FireNet
        As by `factor_layers`.
    """
    whole = score(net)
    ranks: dict[str, int] = {}
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.Linear) or worth_rank(_array(layer)) < 1:
            continue
        for energy in energies:
            rank = rank_by_energy(_array(layer), energy)
            if rank > worth_rank(_array(layer)):
                break
            if score(factor_layers(net, ranks={name: rank})) >= whole - most:
                ranks[name] = rank
                break
    return factor_layers(net, ranks=ranks)


def _array(layer: nn.Conv1d | nn.Linear) -> NDArray[np.float64]:
    return layer.weight.detach().double().numpy()

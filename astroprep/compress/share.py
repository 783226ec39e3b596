"""Weight sharing: a layer's weights take few values, found by k-means and then trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from astroprep.compress.tensors import GridTensor, SharedTensor, Tensor, short_float
from astroprep.errors import ConfigError
from astroprep.model.factored import TensorTrain

__all__ = [
    "Codebook",
    "GridRounding",
    "Initialisation",
    "Stored",
    "assign",
    "kmeans_1d",
    "round_to_grid",
    "share_weights",
    "stored_form",
    "to_grid",
]

Codebook = Literal["grid", "half"]
"""Values as multiples of one scale in 8 bits, or as float16."""

Initialisation = Literal["linear", "density", "random"]


def kmeans_1d(
    values: NDArray[np.float64],
    n_values: int,
    *,
    initialisation: Initialisation = "linear",
    seed: int = 0,
    max_iterations: int = 200,
) -> NDArray[np.float64]:
    """Few values that stand for many, by Lloyd's iteration on the line.

    Parameters
    ----------
    values : float64 array, shape (n,)
        At least one, finite, in any order.
    n_values : int
        Clusters wanted; fewer come back where clusters run empty or there are fewer values.
    initialisation : {"linear", "density", "random"}, default "linear"
        Start evenly over the range (without the hole around zero that pruning leaves), evenly
        over the sorted values, or at ``n_values`` of them. Linear keeps the few large weights,
        which matter most (Han et al. 2016, section 3.2).
    seed : int, default 0
        For ``"random"``.
    max_iterations : int, default 200
        Ends earlier when no value changes its cluster.

    Returns
    -------
    float64 array, shape (at most n_values,)
        Ascending means of the clusters.

    Raises
    ------
    ConfigError
        If there are no values or ``n_values`` is below 1.

    Notes
    -----
    Clusters on a line are intervals, bounded half-way between neighbouring means, so on sorted
    values one iteration is a binary search and differences of a cumulative sum.

    References
    ----------
    .. [1] Lloyd 1982, IEEE Trans. Inf. Theory 28, 129, doi:10.1109/TIT.1982.1056489
    .. [2] Han, Mao & Dally 2016, "Deep Compression", arXiv:1510.00149
    """
    if n_values < 1 or len(values) == 0:
        raise ConfigError(f"k-means needs values and n_values >= 1, got {len(values)}, {n_values}")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    distinct = np.unique(ordered)
    if distinct.size <= n_values:
        return distinct
    if initialisation == "linear":
        centres = _linear(ordered, n_values)
    elif initialisation == "density":
        centres = np.quantile(ordered, (np.arange(n_values) + 0.5) / n_values)
    else:
        centres = np.random.default_rng(seed).choice(distinct, n_values, replace=False)
    centres = np.unique(centres)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    counts = np.zeros(0, dtype=np.int64)
    for _ in range(max_iterations):
        before = counts
        inner = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        bounds = np.concatenate([[0], inner, [ordered.size]])
        counts = np.diff(bounds)
        if np.array_equal(counts, before):
            break
        filled = counts > 0  # an empty cluster waits where it is: the border may yet reach it
        centres[filled] = np.diff(sums[bounds])[filled] / counts[filled]
    return np.unique(centres[counts > 0])


def _linear(ordered: NDArray[np.float64], n_values: int) -> NDArray[np.float64]:
    """Evenly spaced over the range of the values, the hole around zero cut out.

    Centres in the hole would own no weight: of 15, a pruned layer lost up to five.
    """
    below = int(np.searchsorted(ordered, 0.0))
    if below in (0, ordered.size):
        return np.asarray(np.linspace(ordered[0], ordered[-1], n_values))
    low, high = ordered[below - 1], ordered[below]
    centres = ordered[0] + np.linspace(0.0, (ordered[-1] - high) + (low - ordered[0]), n_values)
    return np.asarray(np.where(centres > low, centres + (high - low), centres))


def assign(values: NDArray[np.floating], centres: NDArray[np.floating]) -> NDArray[np.int64]:
    """Nearest centre of each value.

    Parameters
    ----------
    values : float array, any shape
        What to represent.
    centres : float array, shape (n_values,)
        Ascending.

    Returns
    -------
    int64 array, shape of ``values``
        Index of the nearest centre; half-way goes to the upper one.
    """
    index: NDArray[np.int64] = np.searchsorted((centres[1:] + centres[:-1]) / 2, values, "right")
    return index


def to_grid(values: NDArray[np.float32], bits: int = 8) -> tuple[NDArray[np.int8], float]:
    """Nearest multiples of one scale, chosen so that the largest magnitude just fits.

    Parameters
    ----------
    values : float32 array, any shape
        Finite.
    bits : int, default 8
        Width of a signed level, 2 to 8.

    Returns
    -------
    levels : int8 array, shape of ``values``
        From ``-(2 ** (bits - 1) - 1)`` to its opposite.
    scale : float
        A `short_float`; 1 where all values are zero.
    """
    top = (1 << (bits - 1)) - 1
    largest = float(np.abs(values).max(initial=0.0))
    scale = short_float(largest / top) if largest > 0 else 1.0
    if scale == 0:  # below the smallest float32
        scale = 1.0
    levels = np.rint(values.astype(np.float32) / np.float32(scale))
    return np.clip(levels, -top, top).astype(np.int8), scale


@runtime_checkable
class Stored(Protocol):
    """A parametrization that knows the form in which its weights go into the file."""

    def stored(self, original: NDArray[np.float32]) -> Tensor:
        """What the file holds."""


class _SharedWeight(nn.Module):
    """Weight made of a trained codebook and fixed codes; the gradient adds up by code.

    The codebook is rounded to what the file can hold on the way forward, and the rounding is
    ignored on the way back (straight-through), so training sees exactly the deployed weights.
    """

    codes: torch.Tensor

    def __init__(
        self, codes: NDArray[np.uint8], centres: NDArray[np.float64], codebook: Codebook
    ) -> None:
        super().__init__()
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int64)))
        self.centres = centres
        self.codebook = codebook

    def forward(self, book: torch.Tensor) -> torch.Tensor:
        if self.codebook == "grid":
            book = book + (round_to_grid(book, 8) - book).detach()
        else:
            book = book + (book.half().float() - book).detach()
        return torch.cat([book.new_zeros(1), book])[self.codes]

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.centres).to(weight.dtype)

    def stored(self, original: NDArray[np.float32]) -> Tensor:
        """What the file holds."""
        codes = self.codes.cpu().numpy().astype(np.uint8)
        return _shared_tensor(original, codes, self.codebook)


class GridRounding(nn.Module):
    """Biases, or weights, rounded to a grid on the way forward, untouched on the way back."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, bias: torch.Tensor) -> torch.Tensor:
        """Nearest levels."""
        return bias + (round_to_grid(bias, self.bits) - bias).detach()

    def right_inverse(self, bias: torch.Tensor) -> torch.Tensor:
        """The same."""
        return bias

    def stored(self, original: NDArray[np.float32]) -> Tensor:
        """What the file holds."""
        return GridTensor(*to_grid(original, self.bits), self.bits)


def round_to_grid(values: torch.Tensor, bits: int = 8) -> torch.Tensor:
    """What `to_grid` makes of a tensor, as floats; no gradient passes."""
    levels, scale = to_grid(values.detach().cpu().numpy(), bits)
    return torch.from_numpy(levels.astype(np.float32) * np.float32(scale)).to(values.device)


def share_weights(
    net: nn.Module,
    n_values: int = 16,
    *,
    per_layer: Mapping[str, int] | None = None,
    codebook: Codebook = "grid",
    bias_bits: int = 8,
    initialisation: Initialisation = "linear",
    seed: int = 0,
) -> None:
    """Replace the weights of every layer by shared ones that can be trained on, in place.

    Parameters
    ----------
    net : nn.Module
        Convolutions and dense layers, batch norms folded; its weights of zero stay zero for good.
    n_values : int, default 16
        Different values a layer, zero included where the layer has zeros; 2 to 255.
    per_layer : mapping of str to int, optional
        Other numbers for the layers named.
    codebook : {"grid", "half"}, default "grid"
        How values are stored; see `Codebook`.
    bias_bits : int, default 8
        Width of the biases, 2 to 8.
    initialisation : {"linear", "density", "random"}, default "linear"
        See `kmeans_1d`.
    seed : int, default 0
        For ``"random"``.

    Raises
    ------
    ConfigError
        A number out of range, or a layer that the network does not have.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv1d | nn.Linear)}
    wanted = dict.fromkeys(layers, n_values) | dict(per_layer or {})
    unknown = sorted(set(wanted) - set(layers))
    if unknown:
        raise ConfigError(f"no layer {unknown[0]!r} to share; there are {', '.join(layers)}")
    if not 2 <= min(wanted.values()) <= max(wanted.values()) <= 255 or not 2 <= bias_bits <= 8:
        raise ConfigError(
            f"shared values must be 2 to 255 a layer and biases 2 to 8 bits, got "
            f"{sorted(set(wanted.values()))} and {bias_bits}"
        )
    for name, layer in layers.items():
        weight = layer.weight.detach().cpu().numpy().astype(np.float64)
        used = weight[weight != 0]
        codes = np.zeros(weight.shape, dtype=np.uint8)
        centres = np.empty(0)
        if used.size:
            n_clusters = wanted[name] - int(used.size < weight.size)
            centres = kmeans_1d(used, n_clusters, initialisation=initialisation, seed=seed)
            codes[weight != 0] = 1 + assign(used, centres)
        parametrize.register_parametrization(
            layer, "weight", _SharedWeight(codes, centres, codebook)
        )
    for module in list(net.modules()):
        if isinstance(module, nn.Conv1d | nn.Linear | TensorTrain) and module.bias is not None:
            parametrize.register_parametrization(module, "bias", GridRounding(bias_bits))


def stored_form(net: nn.Module) -> dict[str, Tensor]:
    """Tensors of a network under `share_weights` as the weights file stores them.

    Parameters
    ----------
    net : nn.Module
        As left by `share_weights` or `ternarize`, trained on or not.

    Returns
    -------
    dict of str to Tensor
        By the names of an ordinary state, in the order of the network. Values that became equal
        or zero in training are merged.
    """
    tensors: dict[str, Tensor] = {}
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.Linear | TensorTrain):
            continue
        parts = layer.parametrizations
        assert isinstance(parts, nn.ModuleDict)
        for part, chain in parts.items():
            assert isinstance(chain, parametrize.ParametrizationList)
            form, original = chain[0], chain.original.detach().cpu().numpy()
            if isinstance(form, Stored):
                tensors[f"{name}.{part}"] = form.stored(original)
    return tensors


def _shared_tensor(
    book: NDArray[np.float32], codes: NDArray[np.uint8], codebook: Codebook
) -> SharedTensor:
    """Round a codebook, sort it, and drop the values that became equal or zero."""
    scale = None
    if codebook == "grid":
        levels, scale = to_grid(book)
        rounded = levels.astype(np.float32) * np.float32(scale)
    else:
        rounded = book.astype(np.float16).astype(np.float32)
    used = np.zeros(book.size + 1, dtype=bool)
    used[codes] = True
    values = np.unique(rounded[used[1:]])
    values = values[values != 0]
    recode = np.zeros(book.size + 1, dtype=np.uint8)
    place = np.searchsorted(values, rounded)
    matches = np.append(values, 0)[place] == rounded
    recode[1:] = np.where(matches & (rounded != 0), place + 1, 0)
    return SharedTensor(recode[codes], values.astype(np.float32), scale)

"""Layers stored as products of smaller ones, which are never multiplied out.

A factor in a description, under the name of the layer, is ``{"rank": r}`` or, for dense layers,
``{"outputs": [...], "inputs": [...], "ranks": [...]}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from astroprep.errors import ConfigError

__all__ = ["LowRank", "TensorTrain", "factored_layer", "replace_layer"]


class LowRank(nn.Module):
    """A convolution as few filters and a mixing of them, or a dense layer as two.

    Parameters
    ----------
    layer : Conv1d or Linear
        Of which the shapes are taken.
    rank : int
        Filters, or width between the two dense layers.

    References
    ----------
    .. [1] Zhang et al. 2016, IEEE TPAMI 38, 1943, section 3.1: a layer of d filters as one of
       d' filters of the same size and a 1x1 convolution, arXiv:1505.06798
    """

    def __init__(self, layer: nn.Conv1d | nn.Linear, rank: int) -> None:
        super().__init__()
        has_bias = layer.bias is not None
        self.first: nn.Conv1d | nn.Linear
        self.second: nn.Conv1d | nn.Linear
        if isinstance(layer, nn.Conv1d):
            self.first = nn.Conv1d(
                layer.in_channels,
                rank,
                layer.kernel_size[0],
                dilation=layer.dilation[0],
                bias=False,
            )
            self.second = nn.Conv1d(rank, layer.out_channels, 1, bias=has_bias)
        else:
            self.first = nn.Linear(layer.in_features, rank, bias=False)
            self.second = nn.Linear(rank, layer.out_features, bias=has_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, channel, phase) or (curve, input) as the layer did that it replaces."""
        y: torch.Tensor = self.second(self.first(x))
        return y


class TensorTrain(nn.Module):
    """A dense layer whose matrix is a train of small cores.

    Parameters
    ----------
    outputs, inputs : sequence of int
        Factors of the numbers of outputs and inputs, as many of each.
    ranks : sequence of int
        Between neighbouring cores, one fewer.

    Notes
    -----
    ``W[(m1 .. md), (n1 .. nd)] = G1[m1, n1] G2[m2, n2] ... Gd[md, nd]``, the product of matrices
    of shape (r_{k-1}, r_k). Core k is kept as a matrix (m_k r_k, r_{k-1} n_k). Applied from the
    first on, every step is one product and a change of shape: nothing is transposed, and no array
    is larger than the batch with one factor exchanged.

    References
    ----------
    .. [1] Novikov et al. 2015, "Tensorizing neural networks", section 3, arXiv:1509.06569
    .. [2] Oseledets 2011, SIAM J. Sci. Comput. 33, 2295, doi:10.1137/090752286
    """

    def __init__(self, outputs: Sequence[int], inputs: Sequence[int], ranks: Sequence[int]) -> None:
        super().__init__()
        if len(outputs) != len(inputs) or len(ranks) != len(outputs) - 1:
            raise ConfigError(
                f"a tensor train needs as many factors of outputs as of inputs and one rank fewer, "
                f"got {list(outputs)}, {list(inputs)}, {list(ranks)}"
            )
        self.outputs, self.inputs = tuple(outputs), tuple(inputs)
        self.ranks = (1, *ranks, 1)
        self.cores = nn.ModuleList(
            nn.Linear(self.ranks[k] * n, m * self.ranks[k + 1], bias=False)
            for k, (m, n) in enumerate(zip(outputs, inputs, strict=True))
        )
        self.bias = nn.Parameter(torch.zeros(prod(outputs)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, input) to (curve, output)."""
        y = x
        left = prod(self.inputs)
        for k, core in enumerate(self.cores):
            left //= self.inputs[k]
            weight = core.weight
            assert isinstance(weight, torch.Tensor)
            # (curve and outputs so far, rank and input, inputs left)
            y = torch.matmul(weight, y.reshape(-1, weight.shape[1], left))
        return y.reshape(-1, prod(self.outputs)) + self.bias

    def count_macs(self) -> int:
        """Multiply-accumulate operations for one curve."""
        total, done, left = 0, 1, prod(self.inputs)
        for k, (m, n) in enumerate(zip(self.outputs, self.inputs, strict=True)):
            left //= n
            total += done * m * self.ranks[k + 1] * self.ranks[k] * n * left
            done *= m
        return total


def factored_layer(layer: nn.Module, factor: Mapping[str, Any], name: str) -> LowRank | TensorTrain:
    """Layer of random weights in place of another, by its entry in ``spec["factors"]``.

    Parameters
    ----------
    layer : Conv1d or Linear
        What it stands for.
    factor : mapping
        See the top of this module.
    name : str
        Named in errors.

    Raises
    ------
    ConfigError
        If the factor does not fit the layer.
    """
    if isinstance(layer, nn.Conv1d | nn.Linear) and set(factor) == {"rank"} and factor["rank"] > 0:
        return LowRank(layer, int(factor["rank"]))
    if isinstance(layer, nn.Linear) and set(factor) == {"outputs", "inputs", "ranks"}:
        outputs, inputs = factor["outputs"], factor["inputs"]
        if (prod(outputs), prod(inputs)) == (layer.out_features, layer.in_features):
            return TensorTrain(outputs, inputs, factor["ranks"])
    raise ConfigError(f"layer {name!r} cannot be factored as {dict(factor)}")


def replace_layer(net: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer where another was, in place."""
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, layer)

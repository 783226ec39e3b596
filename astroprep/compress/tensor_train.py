"""Dense layers as trains of small cores, cut by singular values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.compress.lowrank import n_kept
from astroprep.errors import ConfigError
from astroprep.model.factored import TensorTrain, factored_layer, replace_layer
from astroprep.model.firenet import FireNet
from astroprep.model.spec import reshaped

__all__ = ["balanced_factors", "train_cores", "train_layer", "train_matrix"]


def balanced_factors(n: int, n_factors: int) -> tuple[int, ...]:
    """A number as a product of factors as equal as its primes allow, ascending.

    Parameters
    ----------
    n : int
        At least 1.
    n_factors : int
        How many; ones where the primes do not suffice.
    """
    factors = [1] * n_factors
    primes, left, p = [], n, 2
    while left > 1:
        while left % p == 0:
            primes.append(p)
            left //= p
        p += 1
    for prime in reversed(primes):
        factors[factors.index(min(factors))] *= prime
    return tuple(sorted(factors))


def train_cores(
    matrix: NDArray[np.floating],
    outputs: Sequence[int],
    inputs: Sequence[int],
    *,
    max_rank: int,
    energy: float = 1.0,
) -> list[NDArray[np.float64]]:
    """Cores of a tensor train for a matrix, by successive singular value decompositions.

    Parameters
    ----------
    matrix : float array, shape (prod(outputs), prod(inputs))
        What to approximate.
    outputs, inputs : sequence of int
        Factors of its sides, as many of each.
    max_rank : int
        No rank between cores is larger.
    energy : float, default 1.0
        Share of the sum of squares that each cut keeps, where the rank allows.

    Returns
    -------
    list of float64 array, shape (r_{k-1}, m_k, n_k, r_k)
        Exact for energy 1 and ranks that suffice.

    Raises
    ------
    ConfigError
        If the factors do not give the sides.

    References
    ----------
    .. [1] Oseledets 2011, SIAM J. Sci. Comput. 33, 2295, algorithm 1, doi:10.1137/090752286
    """
    if len(outputs) != len(inputs) or (prod(outputs), prod(inputs)) != matrix.shape:
        raise ConfigError(
            f"a matrix of shape {matrix.shape} has no factors {list(outputs)} and {list(inputs)}"
        )
    if max_rank < 1 or not 0 < energy <= 1:
        raise ConfigError(f"need max_rank >= 1 and energy in (0, 1], got {max_rank!r}, {energy!r}")
    d = len(outputs)
    pairs = [axis for k in range(d) for axis in (k, d + k)]
    left = np.asarray(matrix, np.float64).reshape(*outputs, *inputs).transpose(pairs)
    cores, rank = [], 1
    for k in range(d - 1):
        left = left.reshape(rank * outputs[k] * inputs[k], -1)
        u, s, v = np.linalg.svd(left, full_matrices=False)
        new = min(n_kept(s, energy), max_rank)
        cores.append(u[:, :new].reshape(rank, outputs[k], inputs[k], new))
        left, rank = s[:new, None] * v[:new], new
    cores.append(left.reshape(rank, outputs[-1], inputs[-1], 1))
    return cores


def train_matrix(cores: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """The matrix that cores stand for, multiplied out.

    Parameters
    ----------
    cores : sequence of float array, shape (r_{k-1}, m_k, n_k, r_k)
        From `train_cores`.

    Returns
    -------
    float64 array, shape (prod(m), prod(n))
        For looking at; `TensorTrain` never makes it.
    """
    whole = np.ones((1, 1, 1))  # (output, input, rank)
    for core in cores:
        whole = np.einsum("abr,rmns->ambns", whole, core)
        a, m, b, n, s = whole.shape
        whole = whole.reshape(a * m, b * n, s)
    return whole[:, :, 0]


@torch.no_grad()
def train_layer(
    net: FireNet,
    name: str = "hidden",
    *,
    max_rank: int,
    n_cores: int = 3,
    energy: float = 1.0,
    outputs: Sequence[int] | None = None,
    inputs: Sequence[int] | None = None,
) -> FireNet:
    """Copy of a network with one dense layer replaced by a tensor train.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    name : str, default "hidden"
        The layer.
    max_rank, energy
        See `train_cores`.
    n_cores : int, default 3
        Used where the factors are not given: then `balanced_factors`, those of the outputs
        ascending and those of the inputs descending, which evens the cores.
    outputs, inputs : sequence of int, optional
        Factors of the sides.

    Returns
    -------
    FireNet
        In evaluation mode; fine-tune it.

    Raises
    ------
    ConfigError
        If there is no such dense layer, or the factors do not fit.
    """
    try:
        layer = net.get_submodule(name)
    except AttributeError:
        layer = nn.Identity()
    if not isinstance(layer, nn.Linear):
        raise ConfigError(f"the network has no dense layer {name!r} to make a tensor train of")
    outputs = outputs or balanced_factors(layer.out_features, n_cores)
    inputs = inputs or balanced_factors(layer.in_features, n_cores)[::-1]
    cores = train_cores(
        layer.weight.detach().numpy(), outputs, inputs, max_rank=max_rank, energy=energy
    )
    factor = {
        "outputs": [int(n) for n in outputs],
        "inputs": [int(n) for n in inputs],
        "ranks": [core.shape[3] for core in cores[:-1]],
    }
    small = copy.deepcopy(net)
    train = factored_layer(layer, factor, name)
    assert isinstance(train, TensorTrain)
    for kept, core in zip(train.cores, cores, strict=True):
        weight = kept.weight
        assert isinstance(weight, torch.Tensor)
        # (rank before, output, input, rank) to (output and rank, rank before and input)
        flat = core.transpose(1, 3, 0, 2).reshape(weight.shape)
        weight.copy_(torch.from_numpy(np.ascontiguousarray(flat)))
    train.bias.copy_(layer.bias)
    replace_layer(small, name, train)
    small.spec = reshaped(net.spec, factors={**net.spec.get("factors", {}), name: factor})
    return small.eval()

"""What one classification costs in energy: arithmetic, and moving numbers to it.

A model, not a measurement: it ranks networks on one imagined chip. Nothing is assumed to be
skipped unless `EnergyModel.skips_zeros` says that the hardware does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.factored import TensorTrain
from astroprep.model.firenet import FireNet

__all__ = ["ACCESS", "OPERATIONS", "EnergyModel", "LayerLoad", "layer_loads", "night_cost"]

OPERATIONS = {
    "int8": (0.03, 0.2),
    "int32": (0.1, 3.1),
    "float16": (0.4, 1.1),
    "float32": (0.9, 3.7),
}
"""pJ of an addition and a multiplication at 45 nm, 0.9 V."""

ACCESS = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))
"""Bytes of a memory and pJ of one access of 64 bits to it; what is larger lies in DRAM."""

BITS = {"int8": 8, "float16": 16, "int32": 32, "float32": 32}


@dataclass(frozen=True)
class LayerLoad:
    """What one layer does for one object.

    Parameters
    ----------
    name : str
        Of the layer.
    macs : int
        Multiply-accumulate operations.
    n_weights, n_nonzero : int
        Weights and biases, and those that are not zero.
    n_inputs, n_outputs : int
        Values read and written.
    """

    name: str
    macs: int
    n_weights: int
    n_nonzero: int
    n_inputs: int
    n_outputs: int


@torch.no_grad()
def layer_loads(net: FireNet) -> list[LayerLoad]:
    """Work of every layer, in the order in which they run.

    Parameters
    ----------
    net : FireNet
        Batch norms folded, or they are not counted.
    """
    loads: list[LayerLoad] = []
    inside = {m for t in net.modules() if isinstance(t, TensorTrain) for m in t.modules()}
    hooks = []

    def watch(name: str, layer: nn.Module) -> None:
        def after(_: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            weights = [p for p in layer.state_dict().values() if p.is_floating_point()]
            if isinstance(layer, TensorTrain):
                macs = layer.count_macs()
            else:
                weight = layer.weight
                assert isinstance(weight, torch.Tensor)
                macs = weight.numel() * (output.shape[-1] if isinstance(layer, nn.Conv1d) else 1)
            loads.append(
                LayerLoad(
                    name,
                    macs,
                    sum(w.numel() for w in weights),
                    sum(int(torch.count_nonzero(w)) for w in weights),
                    inputs[0].numel(),
                    output.numel(),
                )
            )

        hooks.append(layer.register_forward_hook(after))

    for name, layer in net.named_modules():
        if isinstance(layer, TensorTrain) or (
            isinstance(layer, nn.Conv1d | nn.Linear) and layer not in inside
        ):
            watch(name, layer)
    was_training = net.training
    spec = net.spec
    net.eval()(
        torch.zeros(1, int(spec["n_channels"]), int(spec["n_bins"])),
        torch.zeros(1, int(spec["n_auxiliary"])),
    )
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    return loads


@dataclass(frozen=True)
class EnergyModel:
    """A chip of 45 nm with three on-chip memories and DRAM.

    Parameters
    ----------
    dram : float, default 1300.0
        pJ of an access of 64 bits to DRAM; 1300 to 2600 are quoted.
    skips_zeros : bool, default False
        Whether weights of zero cost neither arithmetic nor an access. Ordinary processors do not
        skip zeros that lie scattered.
    access : tuple of (int, float)
        Sizes of the memories, bytes, and pJ of an access, ascending.

    Notes
    -----
    All weights lie in the smallest memory that holds them, in the width in which the arithmetic
    uses them, and are read once an object; every layer's inputs and outputs lie in the smallest
    memory that holds both, and each is moved once. Sums of int8 products are int32. This is the
    least traffic that is possible without fusing layers, so the share of arithmetic is an upper
    bound.

    References
    ----------
    .. [1] Horowitz 2014, "Computing's energy problem", ISSCC, doi:10.1109/ISSCC.2014.6757323
    .. [2] Krouka et al. 2021, "Energy-efficient model compression and splitting for collaborative
       inference over time-varying channels", arXiv:2106.00995
    """

    dram: float = 1300.0
    skips_zeros: bool = False
    access: tuple[tuple[int, float], ...] = field(default=ACCESS)

    def per_access(self, n_bytes: float) -> float:
        """Energy of one access to a memory of at least so many bytes, pJ."""
        for size, cost in self.access:
            if n_bytes <= size:
                return cost
        return self.dram

    def joules(self, net: FireNet, data_type: str = "float32") -> float:
        """Energy of one classification, J.

        Parameters
        ----------
        net : FireNet
            Batch norms folded.
        data_type : {"int8", "int32", "float16", "float32"}
            Of weights and activations.

        Raises
        ------
        ConfigError
            Unknown data type.
        """
        return 1e-12 * sum(self.parts(net, data_type).values())

    def parts(self, net: FireNet, data_type: str = "float32") -> dict[str, float]:
        """Energy of ``arithmetic``, of moving ``weights`` and ``activations``, pJ."""
        if data_type not in OPERATIONS:
            raise ConfigError(
                f"no energies of {data_type!r}; there are those of {', '.join(OPERATIONS)}"
            )
        add, multiply = OPERATIONS[data_type]
        if data_type == "int8":
            add = OPERATIONS["int32"][0]
        loads, width = layer_loads(net), BITS[data_type]
        counted = sum(x.n_nonzero if self.skips_zeros else x.n_weights for x in loads)
        arithmetic = 0.0
        activations = 0.0
        for load in loads:
            density = load.n_nonzero / load.n_weights if self.skips_zeros else 1.0
            arithmetic += density * load.macs * (add + multiply)
            moved = (load.n_inputs + load.n_outputs) * width
            activations += moved / 64 * self.per_access(moved / 8)
        weights = counted * width / 64 * self.per_access(counted * width / 8)
        return {"arithmetic": arithmetic, "weights": weights, "activations": activations}


def night_cost(joules: float, n_objects: int, price: float = 0.3) -> tuple[float, float]:
    """Energy and price of a night's classifications.

    Parameters
    ----------
    joules : float
        Of one object.
    n_objects : int
        A night's alerts.
    price : float, default 0.3
        Of a kWh, in any currency.

    Returns
    -------
    kwh, cost : float
        Of the arithmetic and the memory of the network alone.
    """
    kwh = joules * n_objects / 3.6e6
    return kwh, kwh * price

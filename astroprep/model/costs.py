"""What a network costs: parameters, operations and memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from astroprep.model.firenet import (
    PRESETS,
    FireNet,
    build_network,
    count_macs,
    count_parameters,
    firenet_spec,
)

__all__ = ["NetworkCosts", "network_costs", "preset_costs"]


class NetworkCosts(NamedTuple):
    """Costs of classifying one light curve.

    Parameters
    ----------
    parameters : int
        Weights and biases, batch norms folded.
    macs : int
        Multiply-accumulate operations.
    weight_bytes : int
        Of the parameters in float32.
    activation_bytes : int
        Largest input and output of a layer together with what a bypass keeps, in float32: the
        working memory of a runtime that goes layer by layer.
    """

    parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int


def network_costs(net: FireNet) -> NetworkCosts:
    """Count what a network costs.

    Parameters
    ----------
    net : FireNet
        Folded or not.
    """
    live: list[int] = []
    held = [0]  # numbers that a bypass keeps meanwhile

    def layer(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        live.append(inputs[0].numel() + output.numel() + held[0])

    def before(fire: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        held[0] = inputs[0].numel()

    def after(_: nn.Module, __: tuple[torch.Tensor, ...], ___: torch.Tensor) -> None:
        held[0] = 0

    hooks = [
        module.register_forward_hook(layer)
        for module in net.modules()
        if isinstance(module, nn.Conv1d | nn.Linear)
    ]
    for fire in net.fires:
        hooks += [fire.register_forward_pre_hook(before), fire.register_forward_hook(after)]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(
                torch.zeros(1, int(net.spec["n_channels"]), int(net.spec["n_bins"])),
                torch.zeros(1, int(net.spec["n_auxiliary"])),
            )
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    parameters = count_parameters(net)
    return NetworkCosts(parameters, count_macs(net), 4 * parameters, 4 * max(live))


def preset_costs(
    n_channels: int = 6, n_bins: int = 64, n_auxiliary: int = 45, n_classes: int = 11
) -> dict[str, NetworkCosts]:
    """Costs of every preset for one shape of input.

    Parameters
    ----------
    n_channels, n_bins, n_auxiliary, n_classes : int
        As of `firenet_spec`.
    """
    shape = {
        "n_channels": n_channels,
        "n_bins": n_bins,
        "n_auxiliary": n_auxiliary,
        "n_classes": n_classes,
    }
    return {name: network_costs(build_network(firenet_spec(name, **shape))) for name in PRESETS}

"""Dense layers divided among processes by their output activations.

References
----------
.. [1] Shoeybi et al. 2019, "Megatron-LM", section 3, arXiv:1909.08053: a layer divided by its
   outputs followed by one divided by its inputs meet in a single sum.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn
from torch.nn import functional

from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet
from astroprep.model.parallel_collectives import Team, copied, gather_columns, summed

__all__ = ["ColumnLinear", "RowLinear", "check_outputs", "divide_dense", "joined_state"]


def _bounds(n: int, team: Team) -> list[int]:
    return [rank * n // team.size for rank in range(team.size + 1)]


class ColumnLinear(nn.Module):
    """The outputs of a dense layer that belong to this process.

    Parameters
    ----------
    whole : Linear
        The layer, the same in every process.
    team : Team
        The processes.
    gather : bool
        Whether every process gets all outputs, or each keeps its own.
    """

    def __init__(self, whole: nn.Linear, team: Team, *, gather: bool) -> None:
        super().__init__()
        bounds = _bounds(whole.out_features, team)
        mine = slice(bounds[team.rank], bounds[team.rank + 1])
        self.widths = [b - a for a, b in itertools.pairwise(bounds)]
        self.weight = nn.Parameter(whole.weight.detach()[mine].clone())  # (own output, input)
        self.bias = nn.Parameter(whole.bias.detach()[mine].clone())  # (own output,)
        self.team, self.gather = team, gather

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, input) to (curve, output) or (curve, own output)."""
        y = functional.linear(copied(x, self.team), self.weight, self.bias)
        return gather_columns(y, self.widths, self.team) if self.gather else y

    def joined(self) -> dict[str, torch.Tensor]:
        """Weight and bias of the whole layer."""
        weight = gather_columns(self.weight.detach().T, self.widths, self.team).T.contiguous()
        return {
            "weight": weight,
            "bias": gather_columns(self.bias.detach(), self.widths, self.team),
        }


class RowLinear(nn.Module):
    """The inputs of a dense layer that belong to this process; their sum is every process's.

    Parameters
    ----------
    whole : Linear
        The layer, the same in every process.
    team : Team
        The processes; each is given its own inputs only, as a `ColumnLinear` leaves them.
    """

    def __init__(self, whole: nn.Linear, team: Team) -> None:
        super().__init__()
        bounds = _bounds(whole.in_features, team)
        mine = slice(bounds[team.rank], bounds[team.rank + 1])
        self.widths = [b - a for a, b in itertools.pairwise(bounds)]
        self.weight = nn.Parameter(whole.weight.detach()[:, mine].clone())  # (output, own input)
        self.bias = nn.Parameter(whole.bias.detach().clone())  # (output,), the same everywhere
        self.team = team

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, own input) to (curve, output)."""
        return summed(functional.linear(x, self.weight), self.team) + self.bias

    def joined(self) -> dict[str, torch.Tensor]:
        """Weight and bias of the whole layer."""
        weight = gather_columns(self.weight.detach(), self.widths, self.team)
        return {"weight": weight, "bias": self.bias.detach().clone()}


def _by_columns(net: FireNet) -> dict[str, nn.Linear]:
    """Layers divided by their outputs; the head only where it cannot go by its inputs."""
    layers = {"auxiliary": net.auxiliary, "hidden": net.hidden}
    if net.hidden is None:
        layers["head"] = net.head
    return {name: _dense(name, layer) for name, layer in layers.items() if layer is not None}


def _dense(name: str, layer: nn.Module) -> nn.Linear:
    if not isinstance(layer, nn.Linear):
        raise ConfigError(
            f"layer {name!r} is factored and cannot be divided by its outputs: train it by objects"
        )
    return layer


def check_outputs(net: FireNet, n_processes: int) -> None:
    """Refuse more processes than a dense layer has outputs.

    Parameters
    ----------
    net : FireNet
        The network to divide.
    n_processes : int
        How many would share each layer.

    Raises
    ------
    ConfigError
        If a layer is too narrow; the message names it.
    """
    for name, layer in _by_columns(net).items():
        if layer.out_features < n_processes:
            raise ConfigError(
                f"the layer {name!r} has {layer.out_features} outputs, too few for {n_processes} "
                "processes"
            )


def divide_dense(net: FireNet, team: Team) -> FireNet:
    """Copy of a network whose dense layers are divided by output activation.

    Parameters
    ----------
    net : FireNet
        The same in every process. It is not changed.
    team : Team
        The processes. All are given the same batch; convolutions are computed by each.

    Returns
    -------
    FireNet
        Each process has its own outputs of the auxiliary and the hidden layer, and its own
        inputs of the head; where there is no hidden layer, its own classes of the head.
        Gradients are those of one process: nothing is left to average.

    Raises
    ------
    ConfigError
        As `check_outputs`.
    """
    check_outputs(net, team.size)
    divided = copy.deepcopy(net)
    for name, layer in _by_columns(net).items():
        setattr(divided, name, ColumnLinear(layer, team, gather=name != "hidden"))
    if net.hidden is not None:
        divided.head = RowLinear(_dense("head", net.head), team)
    return divided


@torch.no_grad()
def joined_state(net: nn.Module, team: Team) -> dict[str, torch.Tensor]:
    """State of the whole network, put together from all processes.

    Parameters
    ----------
    net : Module
        Made by `divide_dense`.
    team : Team
        Its processes, which all call this.

    Returns
    -------
    dict of str to tensor
        For the network that was divided.
    """
    state = dict(net.state_dict())
    for name, layer in net.named_modules():
        if isinstance(layer, ColumnLinear | RowLinear):
            state.update({f"{name}.{part}": value for part, value in layer.joined().items()})
    return state

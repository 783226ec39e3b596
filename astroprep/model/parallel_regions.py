"""A network whose circle of phase bins is divided: each process has the bins of one region.

A convolution needs ``dilation * (kernel // 2)`` bins beyond its region, which the neighbours send.
Mean and maximum over the circle, and the statistics of batch norm, are reduced over all regions.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.firenet import ConvUnit, FireNet
from astroprep.model.parallel_collectives import Team, exchange_halo, pool_regions

__all__ = ["check_regions", "divide_circle", "region_of"]


def region_of(n_bins: int, team: Team) -> slice:
    """Bins of this process; regions differ by one bin where they do not divide evenly."""
    edges = [rank * n_bins // team.size for rank in (team.rank, team.rank + 1)]
    return slice(*edges)


class _Halo:
    """Put before a convolution: the region, widened by what the neighbours send."""

    def __init__(self, width: int, team: Team) -> None:
        self.width, self.team = width, team

    def __call__(self, unit: nn.Module, inputs: tuple[Any, ...]) -> tuple[torch.Tensor]:
        return (exchange_halo(inputs[0], self.width, self.team),)


class _RegionPool(nn.Module):
    def __init__(self, n_bins: int, team: Team) -> None:
        super().__init__()
        self.n_bins, self.team = n_bins, team

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pool_regions(x, self.n_bins, self.team)


def _wide_units(net: FireNet) -> list[ConvUnit]:
    return [unit for unit in net.modules() if isinstance(unit, ConvUnit) and unit.pad]


def check_regions(net: FireNet, n_regions: int) -> None:
    """Refuse regions narrower than the widest halo, which would come from beyond a neighbour.

    Parameters
    ----------
    net : FireNet
        The network to divide.
    n_regions : int
        Processes.

    Raises
    ------
    ConfigError
        If there are too many; the message says how many can be.
    """
    n_bins, widest = int(net.spec["n_bins"]), max(unit.pad for unit in _wide_units(net))
    if n_bins // n_regions < widest:
        raise ConfigError(
            f"{n_bins} bins among {n_regions} processes are {n_bins // n_regions} each, but the "
            f"widest convolution reaches {widest} bins to either side: at most "
            f"{n_bins // widest} processes"
        )


def divide_circle(net: FireNet, team: Team) -> FireNet:
    """Copy of a network that is given the bins of `region_of` and gives the whole logits.

    Parameters
    ----------
    net : FireNet
        The same in every process. It is not changed.
    team : Team
        One region a process.

    Returns
    -------
    FireNet
        Gradients of its convolutions are n times those of the region, for `Replicated`
        (``by_rows=False``) to average; `Replicated` makes the batch norms shared too.

    Raises
    ------
    ConfigError
        As `check_regions`.
    """
    check_regions(net, team.size)
    divided = copy.deepcopy(net)
    for unit in _wide_units(divided):
        unit.register_forward_pre_hook(_Halo(unit.pad, team))
        unit.pad = 0
    divided.pool = _RegionPool(int(net.spec["n_bins"]), team)
    return divided

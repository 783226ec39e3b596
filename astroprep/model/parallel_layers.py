"""A network divided by layer: each process has some consecutive layers, micro-batches flow through.

References
----------
.. [1] Huang et al. 2019, "GPipe", arXiv:1811.06965: all forward passes, then all backward ones
.. [2] Narayanan et al. 2019, "PipeDream", doi:10.1145/3341301.3359646: one forward, one backward
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.nn import functional

from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet
from astroprep.model.parallel_collectives import Team
from astroprep.model.spec import fire_layout

__all__ = ["LayerPipeline", "layer_bounds"]

SCHEDULES: dict[str, Any] = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}


def layer_bounds(costs: list[int], n_stages: int) -> list[int]:
    """Cut a chain of layers into stages so that the dearest stage is as cheap as can be.

    Parameters
    ----------
    costs : list of int
        Of each layer, any unit.
    n_stages : int
        From 1 to the number of layers; each stage gets a layer at least.

    Returns
    -------
    list of int
        ``n_stages + 1`` numbers; stage k has the layers ``bounds[k]:bounds[k + 1]``.

    Raises
    ------
    ConfigError
        If there are fewer layers than stages.
    """
    n = len(costs)
    if not 1 <= n_stages <= n:
        raise ConfigError(f"{n} layers cannot be divided among {n_stages} processes")
    # best[i]: dearest stage and bounds of the first i layers, for one stage, two, ...
    best: list[tuple[int, list[int]] | None] = [
        None,
        *((sum(costs[:i]), [0, i]) for i in range(1, n + 1)),
    ]
    for k in range(2, n_stages + 1):
        best = [
            min(
                (
                    (max(before[0], sum(costs[j:i])), [*before[1], i])
                    for j in range(k - 1, i)
                    if (before := best[j]) is not None
                ),
                default=None,
            )
            for i in range(n + 1)
        ]
    found = best[n]
    assert found is not None
    return found[1]


class _Trunk(nn.Module):
    """Layers before the last stage."""

    def __init__(self, stem: nn.Module, fires: list[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.fires = nn.ModuleList(fires)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)  # (curve, channel, phase)
        for fire in self.fires:
            x = fire(x)  # (curve, channel, phase)
        return x


class LayerPipeline:
    """The layers of a network that belong to this process, and how they are trained.

    Parameters
    ----------
    net : FireNet
        The same in every process. It is not changed.
    team : Team
        One stage a process. The stem and every fire module is a layer, the last with the head.
    n_micro : int, default 4
        Micro-batches that a batch is cut into, at most; the largest divisor of the batch that
        is not larger is taken, because a pipeline's messages have one size. For ``"1f1b"`` as
        many as processes at least.
    schedule : {"1f1b", "gpipe"}, default "1f1b"
        ``"1f1b"`` holds the activations of as many micro-batches as there are stages,
        ``"gpipe"`` of all.

    Attributes
    ----------
    stage : Module
        This process's layers; the only parameters that it has.
    bounds : list of int
        Layers of each stage, divided by their multiply-accumulates.

    Raises
    ------
    ConfigError
        If there are fewer layers than processes, or a setting is out of its range.

    Notes
    -----
    Losses and gradients are those of one process that accumulates the same micro-batches: batch
    norm sees a micro-batch at a time, as in GPipe. With ``n_micro=1`` they are those of the whole
    batch, and the processes wait for each other.
    """

    def __init__(
        self, net: FireNet, team: Team, *, n_micro: int = 4, schedule: str = "1f1b"
    ) -> None:
        if n_micro < 1 or schedule not in SCHEDULES:
            raise ConfigError(
                f"LayerPipeline needs n_micro >= 1 and a schedule out of {', '.join(SCHEDULES)}, "
                f"got {n_micro!r} and {schedule!r}"
            )
        self.team, self.n_micro, self.schedule = team, n_micro, schedule
        layers: list[nn.Module] = [net.stem, *net.fires]
        costs = [sum(p.numel() for p in layer.parameters() if p.ndim == 3) for layer in layers]
        self.bounds = layer_bounds(costs, team.size)
        widths = [int(net.spec["stem"]), *(fire.width for fire in fire_layout(net.spec))]
        self._spec = net.spec
        self._widths = [int(net.spec["n_channels"]), *(widths[b - 1] for b in self.bounds[1:-1])]
        self.stage = _stage(net, self.bounds[team.rank], self.bounds[team.rank + 1])
        self._schedules: dict[int, Any] = {}
        self._n_rows = 1

    def parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of this process's layers, for its optimiser."""
        return self.stage.parameters()

    def step(
        self,
        folded: torch.Tensor,
        auxiliary: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor,
    ) -> float:
        """Forward and backward pass of a batch; gradients are added to those of the parameters.

        Parameters
        ----------
        folded : float32 tensor, shape (n_curves, n_channels, n_bins)
            Read by the first process.
        auxiliary : float32 tensor, shape (n_curves, n_auxiliary)
            Read by the last process, as the others below.
        target : float32 tensor, shape (n_curves, n_classes)
            Probabilities.
        weight : float32 tensor, shape (n_curves,)
            Of each object in the loss.

        Returns
        -------
        float
            Mean over the objects of weight times cross entropy, the same in every process.
        """
        n = self._n_rows = len(folded)
        if n not in self._schedules:
            self._schedules[n] = self._schedule(n)
        first, last = self.team.rank == 0, self.team.rank == self.team.size - 1
        losses: list[torch.Tensor] = []
        like = next(self.stage.parameters())
        sent = [0 if first else self._widths[self.team.rank]]  # gradients back
        sent += [0 if last else self._widths[self.team.rank + 1]]  # activations on
        n_bins = int(self._spec["n_bins"])
        self.team.count("activations", n * n_bins * like.element_size() * sum(sent))
        self._schedules[n].step(
            *((folded,) if first else ()),
            **({"auxiliary": auxiliary} if last else {}),
            target=torch.cat([target, weight[:, None]], dim=1) if last else None,
            losses=losses if last else None,
            return_outputs=False,
        )
        total = torch.zeros((), dtype=torch.float64)
        if last:
            total += torch.stack(losses).detach().sum()
        return float(self.team.sum(total, "loss"))

    def _loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        entropy = functional.cross_entropy(logits, target[:, :-1], reduction="none")
        return (entropy * target[:, -1]).sum() / self._n_rows

    def _schedule(self, n: int) -> Any:
        n_micro = max(k for k in range(1, min(self.n_micro, n) + 1) if n % k == 0)
        kind = self.schedule if n_micro >= self.team.size else "gpipe"
        rank, size = self.team.rank, self.team.size
        bins, rows = int(self._spec["n_bins"]), n // n_micro
        like = next(self.stage.parameters())
        ends = [like.new_empty(rows, width, bins, device="meta") for width in self._widths]
        logits = like.new_empty(rows, int(self._spec["n_classes"]), device="meta")
        for end in (*ends[1:], logits):
            end.requires_grad_()
        stage = PipelineStage(
            self.stage,
            rank,
            size,
            torch.device("cpu"),
            input_args=(ends[rank],),
            output_args=((*ends, logits)[rank + 1],),
        )
        return SCHEDULES[kind](stage, n_micro, loss_fn=self._loss, scale_grads=False)

    @torch.no_grad()
    def joined_state(self) -> dict[str, torch.Tensor]:
        """State of the whole network, for the one that was divided; all processes call this."""
        first = self.bounds[self.team.rank]
        own = {}
        for name, tensor in self.stage.state_dict().items():
            if name.startswith("fires."):
                _, number, rest = name.split(".", 2)
                name = f"fires.{int(number) + max(first - 1, 0)}.{rest}"
            own[name] = tensor
        parts: list[dict[str, torch.Tensor]] = [{} for _ in range(self.team.size)]
        distributed.all_gather_object(parts, own)
        return {name: tensor for part in parts for name, tensor in part.items()}


def _stage(net: FireNet, first: int, last: int) -> nn.Module:
    """Copy of the layers from `first` to before `last`; layer 0 is the stem."""
    stem = copy.deepcopy(net.stem) if first == 0 else nn.Identity()
    fires = [copy.deepcopy(fire) for fire in list(net.fires)[max(first - 1, 0) : last - 1]]
    if last <= len(net.fires):
        return _Trunk(stem, fires)
    end = copy.deepcopy(net)
    end.stem = stem  # type: ignore[assignment]
    end.fires = nn.ModuleList(fires)
    return end

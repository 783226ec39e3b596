"""Tensors that travel between processes, with their gradients.

Two conventions for a loss that every process computes alike. Where parameters are *replicated*
and DistributedDataParallel averages their gradients over n processes, what each computes of its
own rows or bins must enter n-fold: `gather_rows` and `pool_regions` multiply by n on the way back.
Where parameters are *divided*, each process keeps the exact gradient of its own: `copied`,
`gather_columns` and `summed`.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, Self

import torch
from torch import distributed

__all__ = [
    "Team",
    "copied",
    "exchange_halo",
    "gather_columns",
    "gather_rows",
    "pool_regions",
    "summed",
]


class Team:
    """The processes that work together, seen from one of them.

    Parameters
    ----------
    timeout : timedelta
        How long one process waits for another.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.
    n_bytes, n_calls : Counter of str
        What this process handed over, by purpose: bytes and how often.

    Notes
    -----
    It has a group of its own, so that its messages never mix with those by which
    DistributedDataParallel overlaps gradients with the backward pass.
    """

    def __init__(self, timeout: timedelta) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self.n_bytes: Counter[str] = Counter()
        self.n_calls: Counter[str] = Counter()
        self._group = distributed.new_group(timeout=timeout)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copy of a network talks to the same processes

    def rows(self, n: int) -> slice:
        """The rows of a batch of n that are this process's; may be none."""
        each = -(-n // self.size)
        return slice(min(n, self.rank * each), min(n, (self.rank + 1) * each))

    def count(self, purpose: str, n_bytes: int) -> None:
        """Note that something was handed over."""
        self.n_bytes[purpose] += n_bytes
        self.n_calls[purpose] += 1

    def sum(self, tensor: torch.Tensor, purpose: str) -> torch.Tensor:
        """Sum over the processes, in place."""
        self.count(purpose, tensor.nbytes)
        distributed.all_reduce(tensor, group=self._group)
        return tensor

    def maximum(self, tensor: torch.Tensor, purpose: str) -> torch.Tensor:
        """Maximum over the processes, in place."""
        self.count(purpose, tensor.nbytes)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=self._group)
        return tensor

    def gather(self, tensor: torch.Tensor, purpose: str) -> list[torch.Tensor]:
        """Tensors of all processes, which have one shape, in the order of ranks."""
        self.count(purpose, tensor.nbytes)
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        distributed.all_gather(parts, tensor.contiguous(), group=self._group)
        return parts

    def exchange(
        self, to_left: torch.Tensor, to_right: torch.Tensor, purpose: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Send to both neighbours on the circle; gives what came from the left and the right."""
        if self.size == 1:
            return to_right, to_left
        self.count(purpose, to_left.nbytes + to_right.nbytes)
        left, right = (self.rank - 1) % self.size, (self.rank + 1) % self.size
        from_left, from_right = torch.empty_like(to_right), torch.empty_like(to_left)
        # tags, because the two neighbours of one of two processes are the same
        work = [
            distributed.isend(to_left.contiguous(), left, group=self._group, tag=0),
            distributed.isend(to_right.contiguous(), right, group=self._group, tag=1),
            distributed.irecv(from_right, right, group=self._group, tag=0),
            distributed.irecv(from_left, left, group=self._group, tag=1),
        ]
        for one in work:
            if one is not None:
                one.wait()
        return from_left, from_right


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: torch.Tensor, team: Team, n: int) -> torch.Tensor:
        ctx.team, ctx.n = team, n
        each = -(-n // team.size)
        padded = mine.new_zeros((each, *mine.shape[1:]))
        padded[: len(mine)] = mine
        return torch.cat(team.gather(padded, "rows"))[:n]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return grad[ctx.team.rows(ctx.n)] * ctx.team.size, None, None


def gather_rows(mine: torch.Tensor, team: Team, n: int) -> torch.Tensor:
    """All n rows, of which this process computed ``team.rows(n)``; backwards n-fold its own."""
    rows: torch.Tensor = _GatherRows.apply(mine, team, n)  # type: ignore[no-untyped-call]
    return rows


class _Halo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, width: int, team: Team) -> torch.Tensor:
        ctx.width, ctx.team = width, team
        left, right = team.exchange(x[..., :width], x[..., -width:], "halo")
        return torch.cat([left, x, right], dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        width = ctx.width
        left, right = ctx.team.exchange(grad[..., :width], grad[..., -width:], "halo")
        own = grad[..., width:-width].clone()
        own[..., :width] += left
        own[..., -width:] += right
        return own, None, None


def exchange_halo(x: torch.Tensor, width: int, team: Team) -> torch.Tensor:
    """A region of the circle with `width` bins of its neighbours on either side.

    Parameters
    ----------
    x : tensor, shape (n_curves, n_channels, n_bins of the region)
        Region ``team.rank`` of the circle, `width` bins at least.
    width : int
        ``dilation * (kernel // 2)`` of the convolution that follows.
    team : Team
        One region a process, in the order of ranks.

    Returns
    -------
    tensor, shape (n_curves, n_channels, n_bins of the region + 2 * width)
        Its gradients in the halo travel back to the bins' owners and are added there.
    """
    wide: torch.Tensor = _Halo.apply(x, width, team)  # type: ignore[no-untyped-call]
    return wide


class _PoolRegions(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, n_bins: int, team: Team
    ) -> tuple[torch.Tensor, torch.Tensor]:
        high = team.maximum(x.amax(dim=-1), "pool")
        at_top = x == high[..., None]
        both = team.sum(torch.stack([x.sum(dim=-1), at_top.sum(dim=-1).to(x.dtype)]), "pool")
        ctx.save_for_backward(at_top, both[1])
        ctx.n_bins, ctx.team = n_bins, team
        return both[0] / n_bins, high

    @staticmethod
    def backward(
        ctx: Any, grad_mean: torch.Tensor, grad_high: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        at_top, ties = ctx.saved_tensors
        # equal maxima share the gradient, as in torch.amax
        grad = grad_mean[..., None] / ctx.n_bins + at_top * (grad_high / ties)[..., None]
        return grad * ctx.team.size, None, None


def pool_regions(x: torch.Tensor, n_bins: int, team: Team) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum over the circle, each process holding a region; backwards n-fold.

    Parameters
    ----------
    x : tensor, shape (n_curves, n_channels, n_bins of the region)
        Features of this process's region.
    n_bins : int
        Of the whole circle.
    team : Team
        One region a process.

    Returns
    -------
    mean, maximum : tensor, shape (n_curves, n_channels)
        The same on every process.
    """
    pooled: tuple[torch.Tensor, torch.Tensor] = _PoolRegions.apply(  # type: ignore[no-untyped-call]
        x, n_bins, team
    )
    return pooled


class _Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team) -> torch.Tensor:
        ctx.team = team
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.team.sum(grad.clone(), "activations"), None


def copied(x: torch.Tensor, team: Team) -> torch.Tensor:
    """The same tensor on every process, whose gradients are summed over them."""
    same: torch.Tensor = _Copied.apply(x, team)  # type: ignore[no-untyped-call]
    return same


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, team: Team) -> torch.Tensor:
        return team.sum(x.clone(), "activations")

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad, None


def summed(x: torch.Tensor, team: Team) -> torch.Tensor:
    """Sum over the processes; each takes the whole gradient."""
    total: torch.Tensor = _Summed.apply(x, team)  # type: ignore[no-untyped-call]
    return total


class _GatherColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: torch.Tensor, widths: list[int], team: Team) -> torch.Tensor:
        start = sum(widths[: team.rank])
        ctx.mine = slice(start, start + widths[team.rank])
        padded = mine.new_zeros((*mine.shape[:-1], max(widths)))
        padded[..., : mine.shape[-1]] = mine
        parts = team.gather(padded, "activations")
        return torch.cat([part[..., :w] for part, w in zip(parts, widths, strict=True)], dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return grad[..., ctx.mine], None, None


def gather_columns(mine: torch.Tensor, widths: list[int], team: Team) -> torch.Tensor:
    """All columns, of which each process has as many as `widths` says; backwards its own."""
    columns: torch.Tensor = _GatherColumns.apply(  # type: ignore[no-untyped-call]
        mine, widths, team
    )
    return columns

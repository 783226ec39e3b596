"""Batch norm whose curves or phases lie on several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from astroprep.model.parallel_collectives import Team

__all__ = ["SharedBatchNorm1d", "share_batch_norm"]


class _Normalize(torch.autograd.Function):
    """Batch norm of (curve, channel, phase) whose curves or phases lie on several processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        eps: float,
        team: Team,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        n_mine = x.numel() // x.shape[1]
        local = x.new_zeros(2, x.shape[1], dtype=torch.float64)
        if n_mine:
            # the moments of torch.var_mean, by the kernel of batch norm, which is faster
            local[0], local[1] = torch.batch_norm_update_stats(x, None, None, 0.0)
        size = torch.full((1, x.shape[1]), float(n_mine), dtype=torch.float64, device=x.device)
        parts = torch.stack(team.gather(torch.cat([local, size]), "norm"))  # (process, 3, channel)
        means, variances, sizes = parts.unbind(1)
        # moments about the common mean, without the cancellation of a sum of squares
        n = sizes.sum(0)
        mean = (sizes * means).sum(0) / n
        variance = (sizes * (variances + (means - mean) ** 2)).sum(0) / n
        known = mean.to(x.dtype), variance.to(x.dtype)
        ctx.save_for_backward(x, gamma, *known, n)
        ctx.eps, ctx.team = eps, team
        ctx.mark_non_differentiable(mean, variance, n)
        y = functional.batch_norm(x, *known, gamma, beta, eps=eps) if len(x) else x.clone()
        return y, mean, variance, n

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        x, gamma, mean, variance, n = ctx.saved_tensors
        direct = grad.clone()
        mine_gamma, mine_beta = torch.zeros_like(gamma), torch.zeros_like(gamma)
        if len(x):  # without a row, torch's kernels divide by zero and end the process
            # torch's fused kernel, as if the moments were constants
            direct, mine_gamma, mine_beta = torch.ops.aten.native_batch_norm_backward(
                grad, x, gamma, mean, variance, None, None, False, ctx.eps, [True, True, True]
            )
        # and what goes through them (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3)
        sums = ctx.team.sum(torch.stack([mine_gamma, mine_beta]), "norm") / n.to(x.dtype)
        scale = torch.rsqrt(variance + ctx.eps)
        slope = gamma * scale * scale * sums[0]
        level = gamma * scale * sums[1] - slope * mean
        through = torch.addcmul(level[:, None], x, slope[:, None])
        return direct.sub_(through), mine_gamma, mine_beta, None, None


class SharedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm over what all processes hold; torch's own exists on GPUs only.

    Parameters
    ----------
    like : BatchNorm1d
        Whose parameters and running statistics it takes over, not copies.
    team : Team
        The processes.

    References
    ----------
    .. [1] Chan, Golub & LeVeque 1983, Am. Stat. 37, 242, doi:10.1080/00031305.1983.10483115,
       for the variance of parts put together
    """

    def __init__(self, like: nn.BatchNorm1d, team: Team) -> None:
        super().__init__(like.num_features, eps=like.eps, momentum=like.momentum)
        self.weight, self.bias = like.weight, like.bias
        self.running_mean, self.running_var = like.running_mean, like.running_var
        self.num_batches_tracked = like.num_batches_tracked
        self.training = like.training
        self.team = team

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (curve, channel, phase)."""
        if not self.training:
            return super().forward(x) if len(x) else x
        y: torch.Tensor
        y, mean, variance, n = _Normalize.apply(  # type: ignore[no-untyped-call]
            x.to(self.weight.dtype), self.weight, self.bias, self.eps, self.team
        )
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            share = self.momentum if self.momentum is not None else 0.1
            unbiased = variance * n / (n - 1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)
            self.num_batches_tracked += 1
        return y


def share_batch_norm(net: nn.Module, team: Team) -> None:
    """Exchange every `BatchNorm1d` in a network for a `SharedBatchNorm1d`."""
    for name, child in list(net.named_children()):
        if isinstance(child, nn.BatchNorm1d):
            setattr(net, name, SharedBatchNorm1d(child, team))
        else:
            share_batch_norm(child, team)

"""A network that every process has: each computes its rows of a batch, gradients are averaged."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from astroprep.model.parallel_collectives import Team, gather_rows
from astroprep.model.parallel_norm import share_batch_norm

__all__ = ["Replicated"]


class Replicated(nn.Module):
    """A network that every process has, and whose gradients are averaged over them.

    Called by every process with the same batch, it gives every process the same logits; in
    between each has computed its part. Around it a training loop of one process stays as it is:
    loss, weights of classes, early stopping and seeds are global by themselves.

    Parameters
    ----------
    net : Module
        The same on every process; taken over, its batch norms become shared ones.
    team : Team
        The processes.
    by_rows : bool, default True
        Each process takes its rows of the batch. False: `net` divides the work itself.
    trained : bool, default True
        False for a copy that only predicts.

    Notes
    -----
    ``state_dict`` is that of `net`, so it fits in and out of one process. A batch need not divide
    evenly: the last processes then have fewer rows, or none.
    """

    def __init__(
        self, net: nn.Module, team: Team, *, by_rows: bool = True, trained: bool = True
    ) -> None:
        super().__init__()
        self.net = net
        self.team = team
        self.by_rows = by_rows
        if trained:
            share_batch_norm(net, team)
            with warnings.catch_warnings():
                # the new name of broadcast_buffers is not in the oldest torch that we work with
                warnings.simplefilter("ignore", FutureWarning)
                engine = DistributedDataParallel(net, broadcast_buffers=False)
            # a lambda, because torch refuses annotations that are text
            engine.register_comm_hook(_GradientMean(net, team), lambda mean, bucket: mean(bucket))
            self._learning = engine.__call__  # a bound method: no second child with the parameters

    def forward(self, folded: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits of the whole batch, (curve, class)."""
        run = self._learning if self.training and torch.is_grad_enabled() else self.net
        if not self.by_rows:
            whole: torch.Tensor = run(folded, auxiliary)
            return whole
        mine = self.team.rows(len(folded))
        return gather_rows(run(folded[mine], auxiliary[mine]), self.team, len(folded))

    def state_dict(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """State of the network, without a prefix."""
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a state of the network, without a prefix."""
        return self.net.load_state_dict(state_dict, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        net = copy.deepcopy(self.net, memo)
        return type(self)(net, self.team, by_rows=self.by_rows, trained=False)


class _GradientMean:
    """Mean of a bucket of gradients over the processes, summed in the order of the parameters.

    DistributedDataParallel reorders its buckets after its first step. More than two summands
    would then round otherwise in a training that was taken up than in one that went through.
    """

    def __init__(self, net: nn.Module, team: Team) -> None:
        self.team = team
        self.place = {id(p): i for i, p in enumerate(net.parameters())}

    def __call__(self, bucket: Any) -> torch.futures.Future[torch.Tensor]:
        pairs = zip(bucket.parameters(), bucket.gradients(), strict=True)
        ordered = sorted(pairs, key=lambda pair: self.place[id(pair[0])])
        flat = torch.cat([grad.flatten() for _, grad in ordered]) / self.team.size
        self.team.count("gradients", flat.nbytes)
        work = distributed.all_reduce(flat, async_op=True)
        assert work is not None

        def put_back(_: Any) -> torch.Tensor:
            parts = torch.split(flat, [grad.numel() for _, grad in ordered])
            for part, (_, grad) in zip(parts, ordered, strict=True):
                grad.copy_(part.view_as(grad))
            buffer: torch.Tensor = bucket.buffer()
            return buffer

        mean: torch.futures.Future[torch.Tensor] = work.get_future().then(put_back)
        return mean

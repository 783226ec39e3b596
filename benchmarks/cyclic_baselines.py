"""The cyclic networks of Zhang & Bloom 2021 (arXiv:2011.01243), rebuilt to be compared with.

Their input is the folded light curve sorted by phase, not binned: the gap to the next point and the
standardised magnitude; mean, scale and log10 of the period join at every position before a head of
1x1 convolutions, whose logits are averaged over the circle. Used by
`classify_cyclic.py` and `classify_crts.py`.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

LENGTH = 200  # points of a sequence
WIDTH = 32  # channels


def sequences(
    curves: dict[str, NDArray[np.float64]], rows: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sequences (object, 2, LENGTH) and auxiliaries (object, 3) of some light curves.

    A longer curve gives LENGTH points at random, a shorter one goes around the circle more than
    once.
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((rows.size, 2, LENGTH), np.float32)
    a = np.zeros((rows.size, 3), np.float32)
    offsets = curves["offsets"]
    for k, i in enumerate(rows):
        part = np.arange(offsets[i], offsets[i + 1])
        if part.size > LENGTH:
            part = rng.choice(part, LENGTH, replace=False)
        period = curves["period"][i]
        phase = (curves["time"][part] / period) % 1.0
        order = np.argsort(phase)
        phase, mag = phase[order], curves["value"][part][order]
        gap = np.diff(phase, append=phase[0] + 1.0)
        mean, scale = mag.mean(), max(mag.std(), 1e-3)
        around = np.arange(LENGTH) % part.size
        x[k, 0], x[k, 1] = gap[around] * part.size, ((mag - mean) / scale)[around]
        a[k] = mean, np.log10(scale), np.log10(period)
    return x, a


class _Wrapped(nn.Module):
    """Convolution that looks back around the circle, ReLU, dropout.

    Every tap is a product with all positions, turned around the circle afterwards.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.turns = [(kernel - 1 - tap) * dilation for tap in range(kernel)]
        self.conv = weight_norm(nn.Conv1d(n_in, n_out, kernel))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (position, curve, channel) to (position, curve, channel)."""
        weight = self.conv.weight.permute(2, 0, 1)  # (tap, channel out, channel in)
        parts = nn.functional.linear(x, weight.flatten(0, 1)).chunk(len(self.turns), dim=-1)
        y = parts[-1] + self.conv.bias
        for part, turn in zip(parts[:-1], self.turns, strict=False):
            y = y + part.roll(turn, dims=0)
        return self.drop(torch.relu(y))


class _Block(nn.Module):
    """Two convolutions and the input."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, dilation: int, dropout: float, last_relu: bool
    ) -> None:
        super().__init__()
        self.first = _Wrapped(n_in, n_out, kernel, dilation, dropout)
        self.second = _Wrapped(n_out, n_out, kernel, dilation, dropout)
        self.carry = nn.Linear(n_in, n_out) if n_in != n_out else nn.Identity()
        self.last_relu = last_relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (position, curve, channel) to (position, curve, channel)."""
        y = self.second(self.first(x)) + self.carry(x)
        return torch.relu(y) if self.last_relu else y


class _Halved(nn.Module):
    """The larger of every two neighbours; an odd circle repeats its last position first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (position, curve, channel) to (half as many positions, curve, channel)."""
        if len(x) % 2:
            x = torch.cat([x[-1:], x])
        return x.unflatten(0, (-1, 2)).amax(dim=1)


def _trunk(kind: str) -> list[nn.Module]:
    """Blocks of one of the two networks.

    iTCN: 8 dilated blocks of 32 channels and 2 taps. iResNet: 5 levels of 2 blocks, 5 taps, 16
    channels on the first level and 32 on the others, without dropout, as its authors set it for
    the stars of MACHO.
    """
    if kind == "iTCN":
        return [_Block(2 if k == 0 else WIDTH, WIDTH, 2, 2**k, 0.15, True) for k in range(8)]
    widths = [2, *(WIDTH // 2 if k < 2 else WIDTH for k in range(10))]
    layers: list[nn.Module] = []
    for k in range(10):
        if k and k % 2 == 0:
            layers.append(_Halved())
        layers.append(_Block(widths[k], widths[k + 1], 5, 1, 0.0, False))
    return layers


class Cyclic(nn.Module):
    """iTCN (dilated blocks) or iResNet (blocks with pooling between) and their head."""

    def __init__(self, kind: str, n_classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_trunk(kind))
        self.hidden = nn.Linear(WIDTH + 3, WIDTH)
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, x: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits (curve, class) of (curve, 2, position) and (curve, 3)."""
        y = self.trunk(x.permute(2, 0, 1).contiguous())  # (position, curve, channel)
        everywhere = auxiliary.expand(len(y), -1, -1)
        y = torch.relu(self.hidden(torch.cat([y, everywhere], dim=-1)))
        logits: torch.Tensor = self.head(y).mean(dim=0)
        return logits


@torch.no_grad()
def logits_of(net: nn.Module, x: NDArray[np.float32], a: NDArray[np.float32]) -> torch.Tensor:
    """Logits in evaluation mode."""
    net.eval()
    parts = [
        net(torch.tensor(x[i : i + 512]), torch.tensor(a[i : i + 512]))
        for i in range(0, len(x), 512)
    ]
    return torch.cat(parts)


def train(
    kind: str,
    curves: dict[str, NDArray[np.float64]],
    label: NDArray[np.int64],
    learn: NDArray[np.intp],
    check: NDArray[np.intp],
    n_classes: int,
    *,
    epochs: int,
    seed: int,
    patience: int = 0,
) -> tuple[nn.Module, tuple[NDArray[np.float32], NDArray[np.float32]], list[float]]:
    """Adam at 5e-3 in batches of 32, halved on a plateau of the validation loss; best epoch kept.

    Ends after `patience` epochs without a lower validation loss, where it is above 0. Gives the
    network, the mean and scale of its auxiliaries, and the validation loss epoch by epoch.
    """
    torch.manual_seed(seed)
    net = Cyclic(kind, n_classes)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    x_check, a_check = sequences(curves, check, seed)
    _, a = sequences(curves, learn, seed)
    scale = a.mean(axis=0), a.std(axis=0)
    a_check = (a_check - scale[0]) / scale[1]
    y_check, losses, kept = torch.tensor(label[check]), [np.inf], copy.deepcopy(net.state_dict())
    for epoch in range(epochs):
        begin = time.process_time()
        x, a = sequences(curves, learn, seed + 1 + epoch)  # other points of the longer curves
        a = (a - scale[0]) / scale[1]
        net.train()
        for rows in torch.randperm(learn.size).split(32):
            if len(rows) < 2:
                continue
            optimizer.zero_grad()
            said = net(torch.tensor(x[rows.numpy()]), torch.tensor(a[rows.numpy()]))
            loss = nn.functional.cross_entropy(said, torch.tensor(label[learn[rows.numpy()]]))
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        loss = float(nn.functional.cross_entropy(logits_of(net, x_check, a_check), y_check))
        plateau.step(loss)
        if loss < min(losses):
            kept = copy.deepcopy(net.state_dict())
        losses.append(loss)
        seconds = time.process_time() - begin
        print(f"  {kind} epoch {epoch}: validation loss {loss:.4f} ({seconds:.0f} s)", flush=True)
        if 0 < patience <= epoch + 1 - int(np.argmin(losses)):
            break
    net.load_state_dict(kept)
    return net, scale, losses[1:]

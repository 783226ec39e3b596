"""Other networks with the inputs of `FireNet`, to teach it and to be compared with."""

from __future__ import annotations

import torch
from torch import nn

from astroprep.errors import ConfigError

__all__ = ["TRUNKS", "CyclicResNet", "CyclicTCN", "FeatureNet", "ImageNet", "build_trunk"]


class _Cyclic(nn.Module):
    """Circular convolution of stride 1 with batch norm."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.pad = dilation * (kernel // 2)
        self.conv = nn.Conv1d(n_in, n_out, kernel, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, channel, phase) to (curve, channel, phase)."""
        if self.pad:
            x = torch.cat([x[..., -self.pad :], x, x[..., : self.pad]], dim=-1)
        y: torch.Tensor = self.norm(self.conv(x))
        return y


class _Residual(nn.Module):
    """Two cyclic convolutions around which the input is carried."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = _Cyclic(n_in, n_out, kernel, dilation)
        self.second = _Cyclic(n_out, n_out, kernel, dilation)
        self.drop = nn.Dropout(dropout)
        self.carry = nn.Conv1d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, channel, phase) to (curve, channel, phase)."""
        y = self.drop(torch.relu(self.first(x)))
        return torch.relu(self.carry(x) + self.second(y))


class _Pooled(nn.Module):
    """Residual blocks, mean and maximum over the circle, auxiliaries, head."""

    def __init__(
        self,
        blocks: list[tuple[int, int, int]],
        *,
        n_channels: int,
        n_auxiliary: int,
        n_classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        layers, width = [], n_channels
        for n_out, kernel, dilation in blocks:
            layers.append(_Residual(width, n_out, kernel, dilation, dropout))
            width = n_out
        self.blocks = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * width + n_auxiliary, 64)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(64, n_classes)

    def forward(self, folded: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits (curve, class) of (curve, channel, phase) and (curve, auxiliary)."""
        x = self.blocks(folded)  # (curve, channel, phase)
        joined = torch.cat([x.mean(dim=-1), x.amax(dim=-1), auxiliary], dim=1)
        logits: torch.Tensor = self.head(self.drop(torch.relu(self.hidden(joined))))
        return logits


class CyclicResNet(_Pooled):
    """Residual network on the circle, wide kernels.

    Parameters
    ----------
    n_channels, n_auxiliary, n_classes : int
        Shape of inputs and output.
    width : int, default 32
        Channels of the first block; the others have twice as many.
    dropout : float, default 0.1
        Share of activations left out in training.

    References
    ----------
    .. [1] Wang, Yan & Oates 2017, "Time series classification from scratch", arXiv:1611.06455
    .. [2] Zhang & Bloom 2021, MNRAS 505, 515, arXiv:2011.01243, for the circle
    """

    def __init__(
        self,
        n_channels: int,
        n_auxiliary: int,
        n_classes: int,
        width: int = 32,
        dropout: float = 0.1,
    ) -> None:
        blocks = [(width, 7, 1), (2 * width, 5, 2), (2 * width, 3, 4)]
        super().__init__(
            blocks,
            n_channels=n_channels,
            n_auxiliary=n_auxiliary,
            n_classes=n_classes,
            dropout=dropout,
        )


class CyclicTCN(_Pooled):
    """Dilated convolutions on the circle, narrow kernels.

    Parameters
    ----------
    n_channels, n_auxiliary, n_classes, width, dropout
        As of `CyclicResNet`; all blocks have `width` channels.

    References
    ----------
    .. [1] Bai, Kolter & Koltun 2018, arXiv:1803.01271
    .. [2] Zhang & Bloom 2021, MNRAS 505, 515, arXiv:2011.01243, for the circle
    """

    def __init__(
        self,
        n_channels: int,
        n_auxiliary: int,
        n_classes: int,
        width: int = 32,
        dropout: float = 0.15,
    ) -> None:
        blocks = [(width, 3, 2**k) for k in range(5)]
        super().__init__(
            blocks,
            n_channels=n_channels,
            n_auxiliary=n_auxiliary,
            n_classes=n_classes,
            dropout=dropout,
        )


class FeatureNet(nn.Module):
    """Two hidden layers on the auxiliaries alone; the folds are not looked at.

    Parameters
    ----------
    n_channels, n_auxiliary, n_classes, width, dropout
        As of `CyclicResNet`; `width` is that of the hidden layers.

    Raises
    ------
    ConfigError
        If there are no auxiliaries.
    """

    def __init__(
        self,
        n_channels: int,
        n_auxiliary: int,
        n_classes: int,
        width: int = 96,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if n_auxiliary < 1:
            raise ConfigError("a network on features alone needs auxiliaries; there are none")
        self.layers = nn.Sequential(
            nn.Linear(n_auxiliary, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(width, n_classes)

    def forward(self, folded: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits (curve, class) of (curve, auxiliary)."""
        logits: torch.Tensor = self.head(self.layers(auxiliary))
        return logits


class ImageNet(nn.Module):
    """Convolutions on dm-dt images, (curve, dt, dm) or (curve, band, dt, dm), and auxiliaries.

    Parameters
    ----------
    n_channels, n_auxiliary, n_classes, width, dropout
        As of `CyclicResNet`; `n_channels` is the number of bands, 1 for images without bands.

    References
    ----------
    .. [1] Mahabal et al. 2017, "Deep-learnt classification of light curves", arXiv:1709.06257
    """

    def __init__(
        self,
        n_channels: int,
        n_auxiliary: int,
        n_classes: int,
        width: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_channels
        for n_out in (width, 2 * width):
            layers += [
                nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            n_in = n_out
        self.layers = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * n_in + n_auxiliary, 64)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(64, n_classes)

    def forward(self, image: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits (curve, class) of images and (curve, auxiliary)."""
        if image.dim() == 3:
            image = image[:, None]
        x = self.layers(image).flatten(2)  # (curve, channel, pixel)
        joined = torch.cat([x.mean(dim=-1), x.amax(dim=-1), auxiliary], dim=1)
        logits: torch.Tensor = self.head(self.drop(torch.relu(self.hidden(joined))))
        return logits


TRUNKS: dict[str, type[nn.Module]] = {
    "resnet": CyclicResNet,
    "tcn": CyclicTCN,
    "features": FeatureNet,
    "image": ImageNet,
}


def build_trunk(
    kind: str, n_channels: int, n_auxiliary: int, n_classes: int, seed: int = 0
) -> nn.Module:
    """Make one of `TRUNKS` with random weights, the same for the same arguments.

    Parameters
    ----------
    kind : {"resnet", "tcn", "features", "image"}
        Which.
    n_channels, n_auxiliary, n_classes : int
        Shape of inputs and output.
    seed : int, default 0
        Of the weights; torch's global random state is left as it was.

    Raises
    ------
    ConfigError
        If there is no such network.
    """
    if kind not in TRUNKS:
        raise ConfigError(f"unknown network {kind!r}; there are {', '.join(TRUNKS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TRUNKS[kind](n_channels, n_auxiliary, n_classes)

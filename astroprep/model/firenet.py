"""A cyclic one-dimensional SqueezeNet for folded light curves.

A folded light curve is a function on a circle and where the circle starts means nothing. Every
convolution here pads circularly and has stride 1, and the bins meet only in a mean and a maximum
over the whole circle, so the logits do not depend on the origin of phase.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.factored import TensorTrain, factored_layer, replace_layer
from astroprep.model.spec import FORMAT, FORMAT_PERIODS, FireLayout, check_format, fire_layout

__all__ = [
    "PRESETS",
    "ConvUnit",
    "Fire",
    "FireNet",
    "build_network",
    "count_macs",
    "count_parameters",
    "firenet_spec",
    "fold_batchnorm",
]

BATCH_NORM_EPS = 1e-5  # added to the variance

# Fire modules are [squeeze width, width of each of the two expansions, dilation]: dilations of
# 1, 2, 4, 8 let the last module see half a circle of 64 bins without striding, which would break
# the invariance to shifts by single bins.
PRESETS: dict[str, dict[str, Any]] = {
    "nano": {
        "stem": 8,
        "fires": [[4, 8, 2], [4, 8, 4]],
        "auxiliary_width": 8,
        "head_width": 0,
    },
    "micro": {
        "stem": 12,
        "fires": [[8, 10, 1], [8, 10, 2], [8, 12, 4]],
        "auxiliary_width": 16,
        "head_width": 16,
    },
    "small": {
        "stem": 24,
        "fires": [[16, 24, 1], [16, 24, 2], [20, 32, 4], [20, 32, 8]],
        "auxiliary_width": 48,
        "head_width": 48,
    },
    "reference": {
        "stem": 32,
        "fires": [[24, 36, 1], [24, 36, 2], [32, 48, 4], [32, 48, 8], [36, 64, 1]],
        "auxiliary_width": 64,
        "head_width": 96,
    },
}


def firenet_spec(
    preset: str,
    *,
    n_channels: int,
    n_bins: int,
    n_auxiliary: int,
    n_classes: int,
    n_periods: int = 1,
    auxiliary_width: int | None = None,
    head_width: int | None = None,
) -> dict[str, Any]:
    """Description of a network, plain enough for JSON, from which `build_network` makes it.

    Parameters
    ----------
    preset : {"nano", "micro", "small", "reference"}
        Size: with 6 channels, 45 auxiliaries and 11 classes 1,459, 3,863, 23,867 and 76,175
        parameters.
    n_channels, n_bins : int
        Shape of a folded light curve.
    n_auxiliary : int
        Number of auxiliaries, may be 0.
    n_classes : int
        At least 2.
    n_periods : int, default 1
        Periods that the channels are folded at, the chosen one first, as many channels for each
        (``FoldedChannels(n_candidates=...)``): all go through the same layers, and the head sees
        the chosen one and the strongest response to any.
    auxiliary_width, head_width : int, optional
        Outputs of the layer that reads the auxiliaries, and of the hidden layer that joins them to
        the curve (0 leaves it out); those of the preset by default.

    Returns
    -------
    dict
        Keys ``format``, ``n_channels``, ``n_bins``, ``n_auxiliary``, ``n_classes``,
        ``batch_norm``, those of `PRESETS` and, for several periods, ``n_periods``.

    Raises
    ------
    ConfigError
        Unknown preset, no outputs, or channels that do not divide among the periods.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown network preset {preset!r}; there are {', '.join(PRESETS)}")
    if n_periods < 1 or n_channels % n_periods:
        raise ConfigError(f"{n_channels} channels do not divide among {n_periods} periods")
    widths = {"auxiliary_width": auxiliary_width, "head_width": head_width}
    given = {name: width for name, width in widths.items() if width is not None}
    for name, width in given.items():
        if width < (name == "auxiliary_width"):
            raise ConfigError(f"{name} = {width} leaves the layer without outputs")
    several = {"n_periods": n_periods} if n_periods > 1 else {}
    return {
        "format": FORMAT_PERIODS if several else FORMAT,
        **several,
        "n_channels": n_channels,
        "n_bins": n_bins,
        "n_auxiliary": n_auxiliary,
        "n_classes": n_classes,
        "batch_norm": True,
        **copy.deepcopy(PRESETS[preset]),
        **given,
    }


class ConvUnit(nn.Module):
    """Circular convolution of stride 1, batch norm (or a bias where it is folded in), ReLU.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int
        Odd, so that the output is centred on the input.
    dilation : int
        Bins between the taps.
    batch_norm : bool
        False in a folded network.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: int, dilation: int = 1, batch_norm: bool = True
    ) -> None:
        super().__init__()
        self.pad = dilation * (kernel // 2)
        self.conv: nn.Module = nn.Conv1d(
            n_in, n_out, kernel, dilation=dilation, bias=not batch_norm
        )
        self.norm = nn.BatchNorm1d(n_out, eps=BATCH_NORM_EPS) if batch_norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, channel, phase) to (curve, channel, phase)."""
        if self.pad:
            x = torch.cat([x[..., -self.pad :], x, x[..., : self.pad]], dim=-1)
        y: torch.Tensor = self.conv(x)  # (curve, channel, phase)
        if self.norm is not None:
            y = self.norm(y)
        return torch.relu(y)


class Fire(nn.Module):
    """Squeeze to few channels by a 1x1 convolution, expand by a 1x1 and a circular 3-tap one.

    The input is added to the output where the widths agree, as in SqueezeNet's simple bypass.

    Parameters
    ----------
    n_in : int
        Channels in.
    layout : FireLayout
        Channels between, out of each of the two expansions, bins between the three taps, and
        whether the input is added.
    batch_norm : bool
        False in a folded network.

    References
    ----------
    .. [1] Iandola et al. 2016, "SqueezeNet", section 3.2 and figure 2, arXiv:1602.07360
    """

    def __init__(self, n_in: int, layout: FireLayout, batch_norm: bool) -> None:
        super().__init__()
        squeeze, expand_1, expand_3, dilation, self.bypass = layout
        self.squeeze = ConvUnit(n_in, squeeze, 1, batch_norm=batch_norm)
        self.expand_1 = ConvUnit(squeeze, expand_1, 1, batch_norm=batch_norm)
        self.expand_3 = ConvUnit(squeeze, expand_3, 3, dilation, batch_norm=batch_norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, channel, phase) to (curve, expanded channel, phase)."""
        s = self.squeeze(x)
        y = torch.cat([self.expand_1(s), self.expand_3(s)], dim=1)  # (curve, channel, phase)
        return x + y if self.bypass else y


class CirclePool(nn.Module):
    """Mean and maximum over the circle, which do not know where it starts."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (curve, channel, phase) to two of (curve, channel)."""
        return x.mean(dim=-1), x.amax(dim=-1)


class FireNet(nn.Module):
    """The network: stem, fire modules, pooling over the circle, auxiliaries, head.

    Parameters
    ----------
    spec : mapping
        As written by `firenet_spec`.

    Raises
    ------
    ConfigError
        The description lacks a key or is of another format.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__()
        check_format(spec, "FireNet")
        try:
            self._build(spec)
        except KeyError as error:
            raise ConfigError(f"the description of the network lacks {error}") from None
        self.spec: dict[str, Any] = copy.deepcopy(dict(spec))

    def _build(self, spec: Mapping[str, Any]) -> None:
        norm = bool(spec["batch_norm"])
        width = int(spec["stem"])
        self.n_periods = int(spec.get("n_periods", 1))
        n_channels = int(spec["n_channels"]) // self.n_periods
        self.stem = ConvUnit(n_channels, width, 5, batch_norm=norm)
        fires = []
        for layout in fire_layout(spec):
            fires.append(Fire(width, layout, norm))
            width = layout.width
        self.fires = nn.ModuleList(fires)
        self.pool: nn.Module = CirclePool()
        n_joined = 2 * width * (1 if self.n_periods == 1 else 2)
        self.auxiliary: nn.Module | None = None
        if spec["n_auxiliary"]:
            self.auxiliary = nn.Linear(int(spec["n_auxiliary"]), int(spec["auxiliary_width"]))
            n_joined += int(spec["auxiliary_width"])
        self.hidden: nn.Module | None = None
        if spec["head_width"]:
            self.hidden = nn.Linear(n_joined, int(spec["head_width"]))
            n_joined = int(spec["head_width"])
        self.head: nn.Module = nn.Linear(n_joined, int(spec["n_classes"]))
        for name, factor in spec.get("factors", {}).items():
            try:
                layer = self.get_submodule(name)
            except AttributeError:
                raise ConfigError(f"the network has no layer {name!r} to factor") from None
            replace_layer(self, name, factored_layer(layer, factor, name))

    def forward(self, folded: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        """Logits of folded light curves.

        Parameters
        ----------
        folded : float32 tensor, shape (n_curves, n_channels, n_bins)
            Folded channels.
        auxiliary : float32 tensor, shape (n_curves, n_auxiliary)
            Normalised auxiliaries.

        Returns
        -------
        float32 tensor, shape (n_curves, n_classes)
            Logits.
        """
        if self.n_periods > 1:  # every period is a curve of its own
            n_channels = folded.shape[1] // self.n_periods
            folded = folded.reshape(-1, n_channels, folded.shape[2])  # (curve x period, ...)
        x = self.stem(folded)  # (curve, channel, phase)
        for fire in self.fires:
            x = fire(x)  # (curve, channel, phase)
        joined = [*self.pool(x)]  # 2 x (curve, channel)
        if self.n_periods > 1:
            pooled = torch.cat(joined, dim=1)  # (curve x period, channel)
            pooled = pooled.reshape(-1, self.n_periods, pooled.shape[1])
            joined = [pooled[:, 0], pooled.amax(dim=1)]  # 2 x (curve, channel)
        if self.auxiliary is not None:
            joined.append(torch.relu(self.auxiliary(auxiliary)))  # (curve, auxiliary)
        y = torch.cat(joined, dim=1)  # (curve, joined)
        if self.hidden is not None:
            y = torch.relu(self.hidden(y))  # (curve, hidden)
        logits: torch.Tensor = self.head(y)  # (curve, class)
        return logits


def build_network(spec: Mapping[str, Any], seed: int = 0) -> FireNet:
    """Make a network of random weights, the same for the same description and seed.

    Parameters
    ----------
    spec : mapping
        As written by `firenet_spec`, or ``net.spec`` of another network.
    seed : int, default 0
        Of the initial weights; torch's global random state is left as it was.

    Returns
    -------
    FireNet
        In training mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FireNet(spec)


@torch.no_grad()
def fold_batchnorm(net: FireNet) -> FireNet:
    """Copy of a network with every batch norm folded into its convolution.

    Parameters
    ----------
    net : FireNet
        Trained; its running statistics are those that count. It is not changed.

    Returns
    -------
    FireNet
        In evaluation mode, ``spec["batch_norm"]`` False, equal logits to float32 rounding.

    Notes
    -----
    With ``s = gamma / sqrt(var + eps)``, the folded weight is ``s w`` and the bias
    ``beta - s mean``: a weight of zero stays zero, so pruning survives folding.
    """
    state = net.state_dict()
    folded = FireNet({**net.spec, "batch_norm": False})
    tensors: dict[str, torch.Tensor] = {}
    for name in folded.state_dict():
        unit, _, kind = name.rpartition(".conv.")
        if f"{unit}.norm.weight" not in state or not unit:
            tensors[name] = state[name]
            continue
        gamma, beta, mean, variance = (
            state[f"{unit}.norm.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / torch.sqrt(variance + BATCH_NORM_EPS)  # (channel,)
        if kind == "first.weight":  # the filters of a factored convolution: its mixing is scaled
            tensors[name] = state[name]
        elif kind in ("weight", "second.weight"):
            tensors[name] = state[name] * scale[:, None, None]
        else:
            tensors[name] = beta - scale * mean
    folded.load_state_dict(tensors)
    return folded.eval()


def count_parameters(net: FireNet) -> int:
    """Number of parameters as deployed: weights and biases, batch norm folded in.

    Parameters
    ----------
    net : FireNet
        Folded or not; the answer is the same.

    Returns
    -------
    int
        A folded convolution has one bias a channel.
    """
    return sum(tensor.numel() for tensor in fold_batchnorm(net).state_dict().values())


def count_macs(net: FireNet) -> int:
    """Multiply-accumulate operations to classify one light curve.

    Parameters
    ----------
    net : FireNet
        Folded or not; batch norm is counted as folded.

    Returns
    -------
    int
        Convolutions cost their weights once a bin, dense layers their weights once.
    """
    n = 0
    cores = set()
    for module in net.modules():
        if isinstance(module, TensorTrain):
            n += module.count_macs()
            cores |= set(module.modules())
        elif isinstance(module, nn.Conv1d):
            n += module.weight.numel() * int(net.spec["n_bins"]) * net.n_periods
        elif isinstance(module, nn.Linear) and module not in cores:
            n += module.weight.numel()
    return n

"""Structured pruning: whole channels go, and with them rows and columns of the weights.

What is left is an ordinary, narrower network with a description of its own, so it is faster
everywhere, not only where something skips zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.spec import FireLayout, fire_layout, reshaped

__all__ = ["ChannelGroup", "channel_groups", "channel_scores", "shrink_channels"]


@dataclass
class ChannelGroup:
    """Channels that can only go together, because bypasses add them.

    Parameters
    ----------
    name : str
        Of its first producer.
    width : int
        Channels.
    producers : list of (str, int, int)
        Layer, and the channels ``start:stop`` of the group that are its outputs.
    consumers : list of (str, int)
        Layer, and the input at which the group begins.
    """

    name: str
    width: int
    producers: list[tuple[str, int, int]] = field(default_factory=list)
    consumers: list[tuple[str, int]] = field(default_factory=list)


def channel_groups(net: FireNet) -> list[ChannelGroup]:
    """All channels and hidden units of a network that pruning may remove, in groups.

    Parameters
    ----------
    net : FireNet
        Without factored layers.

    Returns
    -------
    list of ChannelGroup
        Inputs and classes are not among them.

    Raises
    ------
    ConfigError
        If layers are factored: prune channels first.
    """
    spec = net.spec
    if spec.get("factors"):
        raise ConfigError(
            "channels of factored layers cannot be removed: shrink first, then factor"
        )
    width = int(spec["stem"])
    now = ChannelGroup("stem", width, [("stem.conv", 0, width)])
    groups = [now]
    for i, layout in enumerate(fire_layout(spec)):
        fire = f"fires.{i}"
        now.consumers.append((f"{fire}.squeeze.conv", 0))
        squeezed = ChannelGroup(
            f"{fire}.squeeze", layout.squeeze, [(f"{fire}.squeeze.conv", 0, layout.squeeze)]
        )
        squeezed.consumers += [(f"{fire}.expand_{k}.conv", 0) for k in (1, 3)]
        groups.append(squeezed)
        if not layout.bypass:
            now = ChannelGroup(f"{fire}.expand", layout.width)
            groups.append(now)
        now.producers += [
            (f"{fire}.expand_1.conv", 0, layout.expand_1),
            (f"{fire}.expand_3.conv", layout.expand_1, layout.width),
        ]
    last = "hidden" if spec["head_width"] else "head"
    now.consumers += [(last, 0), (last, now.width)]  # mean and maximum over the circle
    if spec["n_auxiliary"]:
        n = int(spec["auxiliary_width"])
        groups.append(ChannelGroup("auxiliary", n, [("auxiliary", 0, n)], [(last, 2 * now.width)]))
    if spec["head_width"]:
        n = int(spec["head_width"])
        groups.append(ChannelGroup("hidden", n, [("hidden", 0, n)], [("head", 0)]))
    return groups


def channel_scores(net: FireNet) -> dict[str, NDArray[np.float64]]:
    """How much each channel matters: norm of what makes it times norm of what reads it.

    Parameters
    ----------
    net : FireNet
        Trained; batch norms are folded first.

    Returns
    -------
    dict of str to float64 array
        By the name of the group, one number a channel.

    Notes
    -----
    A ReLU passes a positive factor on, so a channel can be made c times larger and its readers c
    times smaller without any change of the network. The product of the norms does not change
    either, unlike the norm of the filter alone [1]_.

    References
    ----------
    .. [1] Li et al. 2017, "Pruning filters for efficient ConvNets", arXiv:1608.08710
    """
    folded = fold_batchnorm(net)
    scores = {}
    for group in channel_groups(net):
        made, read = np.zeros(group.width), np.zeros(group.width)
        for name, start, stop in group.producers:
            weight, bias = _weight(folded, name), _bias(folded, name)
            axes = tuple(range(1, weight.ndim))
            made[start:stop] += (weight**2).sum(axis=axes) + bias**2
        for name, at in group.consumers:
            weight = _weight(folded, name)[:, at : at + group.width]
            read += (weight**2).sum(axis=tuple(k for k in range(weight.ndim) if k != 1))
        scores[group.name] = np.sqrt(made * read)
    return scores


def shrink_channels(net: FireNet, remove: float, *, floor: int = 4, multiple: int = 1) -> FireNet:
    """Smaller copy of a network without its least channels.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    remove : float
        Share of the channels of every group to remove, in [0, 1). Parameters fall about with the
        square of what is left.
    floor : int, default 4
        Channels that every group keeps at least, or all where it has fewer; both expansions of a
        fire module keep one.
    multiple : int, default 1
        Widths are rounded up to multiples of this, which suits vector instructions.

    Returns
    -------
    FireNet
        In evaluation mode, with the weights that stay; retrain it.

    Raises
    ------
    ConfigError
        If a number is out of range, or layers are factored.
    """
    if not 0 <= remove < 1 or floor < 1 or multiple < 1:
        raise ConfigError(
            f"shrink_channels needs remove in [0, 1), floor and multiple of at least 1, got "
            f"{remove!r}, {floor!r}, {multiple!r}"
        )
    scores, groups = channel_scores(net), channel_groups(net)
    kept = {}
    for group in groups:
        n = -(-round((1 - remove) * group.width) // multiple) * multiple
        n = min(max(n, floor), group.width)
        kept[group.name] = _best(scores[group.name], n, group)
    return _without(net, groups, kept)


def _best(score: NDArray[np.float64], n: int, group: ChannelGroup) -> NDArray[np.int64]:
    """The n channels that matter most, at least one of every producer, ascending."""
    order = np.argsort(-score, kind="stable")
    parts = sorted({(start, stop) for _, start, stop in group.producers})
    first = [next(c for c in order if start <= c < stop) for start, stop in parts]
    rest = [c for c in order if c not in first]
    return np.sort(np.array((first + rest)[: max(n, len(first))]))


def _without(
    net: FireNet, groups: list[ChannelGroup], kept: dict[str, NDArray[np.int64]]
) -> FireNet:
    """Build the narrower network and fill it."""
    rows: dict[str, NDArray[np.int64]] = {}
    columns: dict[str, list[tuple[int, int, NDArray[np.int64]]]] = {}
    for group in groups:
        keep = kept[group.name]
        for name, start, stop in group.producers:
            rows[name] = keep[(keep >= start) & (keep < stop)] - start
        for name, at in group.consumers:
            columns.setdefault(name, []).append((at, group.width, keep))
    small = FireNet(_narrow_spec(net.spec, rows))
    tensors = {}
    for name, tensor in net.state_dict().items():
        layer, _, kind = name.rpartition(".")
        own = f"{layer.removesuffix('.norm')}.conv" if layer.endswith(".norm") else layer
        part = tensor
        if own in rows and tensor.ndim:
            part = part[torch.from_numpy(rows[own])]
        if kind == "weight" and own in columns and tensor.ndim > 1:
            index = [at + keep for at, _, keep in sorted(columns[own], key=lambda c: c[0])]
            part = part[:, torch.from_numpy(np.concatenate(index))]
        tensors[name] = part
    small.load_state_dict(tensors)
    return small.eval()


def _narrow_spec(spec: dict[str, Any], rows: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
    layouts = [
        FireLayout(
            rows[f"fires.{i}.squeeze.conv"].size,
            rows[f"fires.{i}.expand_1.conv"].size,
            rows[f"fires.{i}.expand_3.conv"].size,
            layout.dilation,
            layout.bypass,
        )
        for i, layout in enumerate(fire_layout(spec))
    ]
    return reshaped(
        spec,
        stem=rows["stem.conv"].size,
        fires=[list(layout[:4]) for layout in layouts],
        auxiliary_width=rows["auxiliary"].size if "auxiliary" in rows else 0,
        head_width=rows["hidden"].size if "hidden" in rows else 0,
    )


def _weight(net: nn.Module, name: str) -> NDArray[np.float64]:
    weight = net.get_submodule(name).weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().double().numpy()


def _bias(net: nn.Module, name: str) -> NDArray[np.float64]:
    bias = net.get_submodule(name).bias
    assert isinstance(bias, torch.Tensor)
    return bias.detach().double().numpy()

"""From floats to 8-bit integers: ranges calibrated on training curves, or learned in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from astroprep.compress.integer import IntegerNetwork, integer_network
from astroprep.compress.ranges import LEVELS, ActivationRanges, affine, range_names
from astroprep.compress.share import round_to_grid
from astroprep.compress.stored import Progress
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import ConvUnit, Fire, FireNet, fold_batchnorm
from astroprep.model.spec import FORMAT
from astroprep.model.train import History, TrainingArrays, TrainSettings, fit_network

__all__ = ["Calibration", "calibrate_ranges", "quantize_network", "train_quantized"]

Calibration = Literal["minmax", "percentile", "mse"]
Visit = Callable[[str, torch.Tensor], torch.Tensor]
Layer = nn.Conv1d | nn.Linear
WeightOf = Callable[[str, Layer], torch.Tensor]

N_BINS = 2048  # of the histograms; a bin is an eighth of a level of the widest range
BATCH = 256


def calibrate_ranges(
    net: FireNet,
    folded: NDArray[np.float32],
    auxiliary: NDArray[np.float32],
    *,
    method: Calibration = "mse",
    percentile: float = 99.99,
) -> ActivationRanges:
    """Ranges of all activations, from curves of the training set.

    Parameters
    ----------
    net : FireNet
        Trained; batch norms may be folded or not.
    folded : float32 array, shape (n, n_channels, n_bins)
        Curves that were trained on, some hundreds to thousands; finite.
    auxiliary : float32 array, shape (n, n_auxiliary)
        Their auxiliaries.
    method : {"mse", "percentile", "minmax"}
        Inner ranges end where the mean squared error of rounding and clipping together is least,
        at a percentile of the values that are not zero, or at the largest value seen. Inputs end
        at their extremes, under ``"percentile"`` at that percentile on either side.
    percentile : float, default 99.99
        For ``"percentile"``.

    Returns
    -------
    ActivationRanges
        For `quantize_network`.

    Raises
    ------
    ConfigError
        Unknown method, a percentile outside (50, 100], or a network with factored or narrowed
        layers, or with shared or ternary weights in training.
    DataError
        No curves, or values that are not finite.

    References
    ----------
    .. [1] Nagel et al. 2021, "A white paper on neural network quantization", section 3.1,
       arXiv:2106.08295
    """
    if method not in get_args(Calibration) or not 50 < percentile <= 100:
        raise ConfigError(f"calibration: method {method!r}, percentile {percentile!r}")
    if not len(folded) or not (np.isfinite(folded).all() and np.isfinite(auxiliary).all()):
        raise DataError("calibration needs at least one curve, and finite numbers")
    net = _whole(net)
    largest = dict.fromkeys(range_names(net.spec), 0.0)

    def see(name: str, x: torch.Tensor) -> torch.Tensor:
        largest[name] = max(largest[name], float(x.max()))
        return x

    _walk(net, folded, auxiliary, see)
    count = {name: np.zeros(N_BINS, np.int64) for name in largest}

    def tally(name: str, x: torch.Tensor) -> torch.Tensor:
        index = (x.numpy().ravel() * (N_BINS / max(largest[name], 1e-30))).astype(np.int64)
        count[name] += np.bincount(index.clip(0, N_BINS - 1)[index > 0], minlength=N_BINS)
        return x

    if method != "minmax":
        _walk(net, folded, auxiliary, tally)
    clip = percentile if method == "percentile" else 100.0
    low, high = np.percentile(folded, [100 - clip, clip], axis=(0, 2)).astype(np.float64)
    ends = np.percentile(auxiliary, [100 - clip, clip], axis=0).astype(np.float64)
    choose = {"minmax": lambda c: 1.0, "mse": _least_error, "percentile": _quantile(percentile)}
    upper = {name: largest[name] * choose[method](count[name]) for name in largest}
    return ActivationRanges(low, high, ends[0], ends[1], upper)


def _whole(net: FireNet) -> FireNet:
    """Batch norms folded; layers must be as the preset made them."""
    if net.spec["format"] != FORMAT:
        raise ConfigError(
            f"integers need a network of format {FORMAT!r}, of one period and whole layers, got "
            f"{net.spec['format']!r}: deploy it in floats"
        )
    if any(parametrize.is_parametrized(part) for part in net.modules()):
        raise ConfigError(
            "integers need plain weights, but this network still trains shared or ternary ones: "
            "rounding takes one step a channel, a codebook few values a layer, and training cannot "
            "hold both. Quantize what compression returned (CompressedNetwork.net), or do not "
            "share; pruning masks go to train_quantized(after_step=...)"
        )
    return fold_batchnorm(net)


def _conv(unit: ConvUnit) -> nn.Conv1d:
    return cast(nn.Conv1d, unit.conv)


def _fires(net: FireNet) -> list[Fire]:
    return [cast(Fire, fire) for fire in net.fires]


def _quantile(percentile: float) -> Callable[[NDArray[np.int64]], float]:
    def end(count: NDArray[np.int64]) -> float:
        total = np.cumsum(count)
        return float(np.searchsorted(total, total[-1] * percentile / 100) + 1) / N_BINS

    return end


def _least_error(count: NDArray[np.int64]) -> float:
    """End of least mean squared error, as a share of the largest value."""
    centre = (np.arange(N_BINS) + 0.5) / N_BINS
    ends = np.linspace(0.1, 1.0, 91)
    step = ends[:, None] / LEVELS
    over = np.maximum(centre - ends[:, None], 0.0)
    # Within a level the error is uniform; bins are finer than levels only for wide ranges.
    error = np.where(over > 0, over**2, step**2 / 12) @ count
    return float(ends[np.argmin(error)])


def quantize_network(net: FireNet, ranges: ActivationRanges) -> IntegerNetwork:
    """Integer network of a trained one, batch norms folded, weights rounded by output channel.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    ranges : ActivationRanges
        From `calibrate_ranges` or `train_quantized`.

    Returns
    -------
    IntegerNetwork
        See `astroprep.compress.integer.integer_network`, and what it raises.
    """
    folded = _whole(net)
    tensors = {name: t.detach().cpu().numpy() for name, t in folded.state_dict().items()}
    return integer_network(folded.spec, tensors, ranges)


def train_quantized(
    net: FireNet,
    arrays: TrainingArrays,
    ranges: ActivationRanges,
    fit: TrainSettings,
    *,
    rate: float = 0.05,
    weight_bits: int | None = None,
    after_step: Callable[[FireNet], None] | None = None,
    progress: Progress | None = None,
) -> tuple[FireNet, ActivationRanges, History]:
    """Go on training with the rounding in place, so that the weights settle around it.

    Batch norms are folded first. Weights and activations are rounded in the forward pass as the
    integers will be; the gradient passes straight through, and the ends of the ranges learn.

    Parameters
    ----------
    net : FireNet
        Trained; it is not changed.
    arrays : TrainingArrays
        What it was trained on; objects of its validation part choose the epoch.
    ranges : ActivationRanges
        To begin with.
    fit : TrainSettings
        How it was trained; ``max_epochs`` counts anew, weight decay is left out.
    rate : float, default 0.05
        Learning rate in units of the training's.
    weight_bits : int, optional
        Round the weights as a file that holds them in so many bits, one scale a tensor, before
        they are rounded by channel; 2 to 8. Otherwise the file must hold floats.
    after_step : callable, optional
        Given the network after every step, to hold constraints such as pruning masks.
    progress : callable, optional
        Given each new row of the history.

    Returns
    -------
    net : FireNet
        Batch norms folded, evaluation mode, weights as floats.
    ranges : ActivationRanges
        Learned; both go to `quantize_network`.
    history : History
        One row an epoch.

    References
    ----------
    .. [1] Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons",
       arXiv:1308.3432
    .. [2] Esser et al. 2020, "Learned step size quantization", equations 1 to 3, arXiv:1902.08153
    """
    work = _Rounded(_whole(net), ranges, weight_bits)
    hold = None if after_step is None else _inner(after_step)
    settings = replace(fit, learning_rate=fit.learning_rate * rate, weight_decay=0.0)
    history = fit_network(work, arrays, settings, after_step=hold, progress=progress)
    return work.net.eval(), work.learned(), history


def _inner(after_step: Callable[[FireNet], None]) -> Callable[[nn.Module], None]:
    def hold(module: nn.Module) -> None:
        if isinstance(module, _Rounded):
            after_step(module.net)

    return hold


@torch.no_grad()
def _walk(
    net: FireNet, folded: NDArray[np.float32], auxiliary: NDArray[np.float32], visit: Visit
) -> None:
    for i in range(0, len(folded), BATCH):
        rows = slice(i, i + BATCH)
        x, a = torch.tensor(folded[rows]), torch.tensor(auxiliary[rows])
        _forward(net, x, a, visit, lambda _, layer: layer.weight)


def _forward(
    net: FireNet, folded: torch.Tensor, auxiliary: torch.Tensor, visit: Visit, weight: WeightOf
) -> torch.Tensor:
    """`FireNet.forward` of a folded network, with every activation and weight passed on."""

    def unit(name: str, part: ConvUnit, x: torch.Tensor) -> torch.Tensor:
        if part.pad:
            x = torch.cat([x[..., -part.pad :], x, x[..., : part.pad]], dim=-1)
        layer = _conv(part)
        y = functional.conv1d(x, weight(name, layer), layer.bias, dilation=layer.dilation)
        return torch.relu(y)

    def dense(name: str, part: nn.Module, x: torch.Tensor) -> torch.Tensor:
        layer = cast(nn.Linear, part)
        return functional.linear(x, weight(name, layer), layer.bias)

    x = visit("stem", unit("stem", net.stem, folded))  # (curve, channel, phase)
    for i, fire in enumerate(_fires(net)):
        name = f"fires.{i}"
        s = visit(f"{name}.squeeze", unit(f"{name}.squeeze", fire.squeeze, x))
        parts = [unit(f"{name}.{e}", getattr(fire, e), s) for e in ("expand_1", "expand_3")]
        y = torch.cat(parts, dim=1)  # (curve, channel, phase)
        x = visit(name, x + y if fire.bypass else y)
    joined = [visit("mean", x.mean(dim=-1)), x.amax(dim=-1)]  # 2 x (curve, channel)
    if net.auxiliary is not None:
        joined.append(visit("auxiliary", torch.relu(dense("auxiliary", net.auxiliary, auxiliary))))
    y = torch.cat(joined, dim=1)  # (curve, joined)
    if net.hidden is not None:
        y = visit("hidden", torch.relu(dense("hidden", net.hidden, y)))
    return dense("head", net.head, y)


def _round(x: torch.Tensor) -> torch.Tensor:
    """Rounded, with the gradient of the identity."""
    return x + (torch.round(x) - x).detach()


class _Rounded(nn.Module):
    """A folded network that computes in floats what the integers will.

    Parameters
    ----------
    net : FireNet
        Changed by training.
    ranges : ActivationRanges
        Their inner ends become parameters, as logarithms.
    weight_bits : int or None
        Of the file that will hold the weights.
    """

    def __init__(self, net: FireNet, ranges: ActivationRanges, weight_bits: int | None) -> None:
        super().__init__()
        self.net = net
        self.weight_bits = weight_bits
        self.ranges = ranges
        self.names = range_names(net.spec)
        ends = [LEVELS * ranges.scale(name) for name in self.names]
        self.log_high = nn.Parameter(torch.log(torch.tensor(ends, dtype=torch.float32)))
        for kind in ("folded", "auxiliary"):
            pair = affine(getattr(ranges, f"{kind}_low"), getattr(ranges, f"{kind}_high"))
            for part, array in zip(("scale", "zero"), pair, strict=True):
                self.register_buffer(f"{kind}_{part}", torch.tensor(array, dtype=torch.float32))

    def _scales(self) -> dict[str, torch.Tensor]:
        steps = torch.exp(self.log_high) / LEVELS  # (tensor,)
        return dict(zip(self.names, steps, strict=True))

    def forward(self, folded: torch.Tensor, auxiliary: torch.Tensor) -> torch.Tensor:
        scale = self._scales()
        columns = self._columns(scale)

        def visit(name: str, x: torch.Tensor) -> torch.Tensor:
            return _round((x / scale[name]).clamp(0, LEVELS)) * scale[name]

        def weight(name: str, layer: Layer) -> torch.Tensor:
            w: torch.Tensor = layer.weight
            if self.weight_bits is not None:
                w = w + (round_to_grid(w, self.weight_bits) - w).detach()
            column = columns[name].detach().reshape((-1, 1) if w.ndim == 3 else (-1,))
            scaled = w * column
            step = scaled.detach().abs().flatten(1).amax(dim=1).clamp_min(1e-30) / 127
            step = step.reshape((-1,) + (1,) * (w.ndim - 1))
            return _round(scaled / step) * step / column

        x = self._input("folded", folded, (-1, 1))  # (curve, channel, phase)
        a = self._input("auxiliary", auxiliary, (-1,))  # (curve, auxiliary)
        return _forward(self.net, x, a, visit, weight)

    def _input(self, kind: str, x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        scale = cast(torch.Tensor, getattr(self, f"{kind}_scale")).reshape(shape)
        zero = cast(torch.Tensor, getattr(self, f"{kind}_zero")).reshape(shape)
        return (torch.round(x / scale + zero).clamp(0, LEVELS) - zero) * scale

    def _columns(self, scale: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Scale of the input channels of every layer, which its weights take in."""
        return dict(self._columns_of(scale))

    def _columns_of(self, scale: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
        net, x = self.net, scale["stem"]
        width = _conv(net.stem).out_channels
        yield "stem", cast(torch.Tensor, self.folded_scale)
        for i, fire in enumerate(_fires(net)):
            yield f"fires.{i}.squeeze", x.expand(width)
            for part in ("expand_1", "expand_3"):
                inner = scale[f"fires.{i}.squeeze"]
                yield f"fires.{i}.{part}", inner.expand(_conv(fire.squeeze).out_channels)
            x, width = scale[f"fires.{i}"], 2 * _conv(fire.expand_1).out_channels
        joined = [scale["mean"].expand(width), x.expand(width)]
        if net.auxiliary is not None:
            yield "auxiliary", cast(torch.Tensor, self.auxiliary_scale)
            dense = cast(nn.Linear, net.auxiliary)
            joined.append(scale["auxiliary"].expand(dense.out_features))
        last = torch.cat(joined)
        if net.hidden is not None:
            yield "hidden", last
            last = scale["hidden"].expand(cast(nn.Linear, net.hidden).out_features)
        yield "head", last

    @torch.no_grad()
    def learned(self) -> ActivationRanges:
        """Ranges as they are now."""
        high = {name: float(s) * LEVELS for name, s in self._scales().items()}
        return replace(self.ranges, high=high)

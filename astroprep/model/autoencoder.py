"""A small circular autoencoder of folded light curves, trained on what was observed of them."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astroprep.errors import ConfigError, DataError
from astroprep.model.autoencoder_runtime import encoder_input, layer_shapes

__all__ = [
    "AutoencoderHistory",
    "AutoencoderSettings",
    "CircularAutoencoder",
    "fit_autoencoder",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AutoencoderSettings:
    """How an autoencoder is shaped and trained.

    Parameters
    ----------
    n_code : int, default 6
        Numbers in the bottleneck.
    width : int, default 16
        Channels of every hidden layer.
    max_epochs : int, default 60
        Passes over the training curves; the learning rate falls along a cosine.
    batch_size : int, default 128
        Curves a step.
    learning_rate : float, default 3e-3
        Of Adam, at the start.
    hidden : float, default 0.2
        Share of the observed bins that are hidden from the encoder in a training step, anew each
        time, and still scored: it learns to do without.
    noise : float, default 0.1
        Variance, in squared robust sigmas, added to that of each bin in the loss.
    validation : float, default 0.15
        Share of the curves that are not learned from and decide when to stop.
    patience : int, default 10
        Epochs without a lower validation loss after which training stops.
    seed : int, default 0
        Of the first weights, the order, the hidden bins and the validation curves.

    Raises
    ------
    ConfigError
        If a value is out of its range; all mistakes are named at once.
    """

    n_code: int = 6
    width: int = 16
    max_epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 3e-3
    hidden: float = 0.2
    noise: float = 0.1
    validation: float = 0.15
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        whole = {
            "n_code": 1,
            "width": 1,
            "max_epochs": 1,
            "batch_size": 1,
            "patience": 1,
            "seed": 0,
        }
        shares = {"learning_rate": 0.0, "validation": 0.0, "hidden": -1e-9}
        values = vars(self)
        wrong = [n for n, low in whole.items() if values[n] != int(values[n]) or values[n] < low]
        wrong += [n for n, low in shares.items() if not low < values[n] < 1]
        wrong += [] if 0 < self.noise < np.inf else ["noise"]
        if wrong:
            said = ", ".join(f"{name} = {values[name]!r}" for name in wrong)
            raise ConfigError(f"autoencoder settings out of range: {said}")


@dataclass
class AutoencoderHistory:
    """What happened, epoch by epoch.

    Parameters
    ----------
    epochs : list of dict
        ``epoch``, ``loss``, ``validation_loss`` (see `fit_autoencoder`), ``seconds``.
    best_epoch : int
        Epoch whose weights were kept.
    stopped_early : bool
        True where `AutoencoderSettings.patience` ended it.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    stopped_early: bool = False


class CircularAutoencoder(nn.Module):
    """Circular convolutions to a few numbers and back; its twin is in `autoencoder_runtime`.

    Parameters
    ----------
    n_bins : int
        Of the circle; a multiple of 4.
    n_code, width : int
        See `AutoencoderSettings`.
    """

    def __init__(self, n_bins: int, n_code: int, width: int) -> None:
        super().__init__()
        self.width = width
        shapes = layer_shapes(n_bins, n_code, width)
        for name, shape in shapes.items():
            fan_in = int(np.prod(shapes[name.replace("bias", "weight")][1:]))
            start = torch.empty(shape)
            if name.endswith("bias"):
                nn.init.zeros_(start)
            else:
                nn.init.normal_(start, std=(2.0 / fan_in) ** 0.5)  # He et al. 2015
            self.register_parameter(name, nn.Parameter(start))

    def _convolve(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight, bias = self.get_parameter(f"{name}_weight"), self.get_parameter(f"{name}_bias")
        pad = weight.shape[-1] // 2
        x = torch.cat([x[..., -pad:], x, x[..., :pad]], dim=-1)  # (curve, channel, phase)
        return nn.functional.conv1d(x, weight, bias, stride=stride)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.get_parameter(f"{name}_weight"), self.get_parameter(f"{name}_bias")
        return nn.functional.linear(x, weight, bias)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, 2, phase) to (curve, code)."""
        h = torch.relu(self._convolve(x, "encode_1"))
        h = torch.relu(self._convolve(h, "encode_2", stride=2))
        h = torch.relu(self._convolve(h, "encode_3", stride=2))
        return self._linear(h.flatten(1), "code")

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Map (curve, code) to (curve, phase)."""
        h = torch.relu(self._linear(code, "decode_0"))
        h = h.reshape(len(h), self.width, h.shape[1] // self.width)
        for name in ("decode_1", "decode_2"):
            h = torch.relu(self._convolve(h.repeat_interleave(2, dim=-1), name))
        return self._convolve(h, "decode_3").squeeze(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (curve, 2, phase) to (curve, phase)."""
        return self.decode(self.encode(x))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of all weights, by the names of `layer_shapes`."""
        return {name: p.detach().numpy().copy() for name, p in self.named_parameters()}


class _Curves:
    """Curves as tensors: what is seen, what is to be met, and what a miss costs."""

    def __init__(
        self, mean: NDArray[np.float64], variance: NDArray[np.float64], noise: float
    ) -> None:
        seen = np.isfinite(variance)
        weight = 1.0 / (variance + noise)  # 0 where nothing was observed
        weight /= weight.sum(axis=1, keepdims=True)  # each curve counts alike
        x = encoder_input(mean, variance)
        self.input = torch.tensor(x, dtype=torch.float32)  # (curve, 2, phase)
        self.target = torch.tensor(np.where(seen, mean, 0.0), dtype=torch.float32)
        self.weight = torch.tensor(weight, dtype=torch.float32)  # (curve, phase)

    def loss(self, made: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        return (self.weight[rows] * (made - self.target[rows]) ** 2).sum(dim=1).mean()


def _split(n: int, settings: AutoencoderSettings) -> NDArray[np.bool_]:
    """Which curves are held out: one at least, and one at least is not."""
    held = np.zeros(n, bool)
    count = min(max(1, round(settings.validation * n)), n - 1)
    held[np.random.default_rng(settings.seed).permutation(n)[:count]] = True
    return held


def fit_autoencoder(
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    settings: AutoencoderSettings | None = None,
    *,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> tuple[CircularAutoencoder, AutoencoderHistory]:
    """Train an autoencoder on folds with missing phases.

    Parameters
    ----------
    mean, variance : float64 array, shape (n_curves, n_bins)
        From `bin_folds`; the variance is infinite where nothing was observed. ``n_bins`` is a
        multiple of 4.
    settings : AutoencoderSettings, optional
        How.
    progress : callable, optional
        Given each new row of the history.

    Returns
    -------
    net : CircularAutoencoder
        With the weights of the epoch of least validation loss.
    history : AutoencoderHistory
        One row an epoch.

    Raises
    ------
    ConfigError
        If ``n_bins`` is no multiple of 4.
    DataError
        If there are fewer than two curves, or one of them has no finite bin.

    Notes
    -----
    The loss of a curve is ``sum(w (x - x')²) / sum(w)`` with w = 1 / (variance + noise), 0 where
    nothing was observed: a missing phase is neither input nor scored. The same call on the same
    machine gives the same weights.

    References
    ----------
    .. [1] Naul et al. 2018, Nature Astronomy 2, 151, doi:10.1038/s41550-017-0321-z (folds, loss
       weighted by errors)
    .. [2] Vincent et al. 2008, ICML, doi:10.1145/1390156.1390294 (hidden inputs)
    """
    settings = settings or AutoencoderSettings()
    n, n_bins = mean.shape
    if n_bins % 4 or n_bins < 8:
        raise ConfigError(f"an autoencoder needs a multiple of 4 bins, 8 at least, got {n_bins}")
    seen = np.isfinite(variance)
    if n < 2 or not seen.any(axis=1).all() or not np.isfinite(mean[seen]).all():
        raise DataError(
            f"an autoencoder learns from two curves at least, each with finite bins; got {n} curves"
        )
    held = _split(n, settings)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # layers this small lose by more, and results stay the same
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = CircularAutoencoder(n_bins, settings.n_code, settings.width)
            learn = _Curves(mean[~held], variance[~held], settings.noise)
            check = _Curves(mean[held], variance[held], settings.noise)
            history = _train(net, learn, check, settings, progress)
    finally:
        torch.set_num_threads(before)
    return net.eval(), history


def _train(
    net: CircularAutoencoder,
    learn: _Curves,
    check: _Curves,
    settings: AutoencoderSettings,
    progress: Callable[[dict[str, float]], None] | None,
) -> AutoencoderHistory:
    history, best = AutoencoderHistory(), {}
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.max_epochs)
    while len(history.epochs) < settings.max_epochs and not history.stopped_early:
        start = clock.perf_counter()
        loss = _epoch(net, learn, settings, optimizer)
        schedule.step()
        with torch.no_grad():
            validation = float(check.loss(net(check.input), slice(None)))
        row = {
            "epoch": float(len(history.epochs)),
            "loss": loss,
            "validation_loss": validation,
            "seconds": clock.perf_counter() - start,
        }
        history.epochs.append(row)
        losses = [r["validation_loss"] for r in history.epochs]
        if validation <= min(losses):
            history.best_epoch = len(losses) - 1
            best = {name: t.clone() for name, t in net.state_dict().items()}
        history.stopped_early = len(losses) - 1 - history.best_epoch >= settings.patience
        log.info("autoencoder epoch %d: %.4f, held out %.4f", len(losses), loss, validation)
        if progress is not None:
            progress(row)
    if not best:
        raise DataError("autoencoder: the loss is not finite; lower learning_rate")
    net.load_state_dict(best)
    return history


def _epoch(
    net: CircularAutoencoder,
    side: _Curves,
    settings: AutoencoderSettings,
    optimizer: torch.optim.Optimizer,
) -> float:
    n, total = len(side.input), 0.0
    for rows in torch.split(torch.randperm(n), settings.batch_size):
        x = side.input[rows]
        shown = (torch.rand(x.shape[0], 1, x.shape[2]) >= settings.hidden).to(x.dtype)
        optimizer.zero_grad()
        loss = side.loss(net(x * shown), rows)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += float(loss.detach()) * len(rows)
    return total / n

"""Weights of two or three values a layer, trained: ternary with learned scales, and binary."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from astroprep.compress.share import GridRounding
from astroprep.compress.tensors import SharedTensor, Tensor
from astroprep.errors import ConfigError
from astroprep.model.factored import TensorTrain

__all__ = ["Levels", "ternarize", "ternary_state"]

Levels = Literal["ternary", "binary"]


class _Ternary(torch.autograd.Function):
    """Three values forward; gradients for the two scales and the weights behind (Zhu et al.)."""

    @staticmethod
    def forward(
        ctx: Any,
        latent: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        threshold: float,
    ) -> torch.Tensor:
        """Equation 6."""
        limit = threshold * latent.abs().max()
        above, below = latent > limit, latent < -limit
        ctx.save_for_backward(above, below, positive, negative)
        return positive * above - negative * below

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Equations 7 and 8."""
        (gradient,) = gradients
        above, below, positive, negative = ctx.saved_tensors
        scale = torch.where(above, positive, torch.where(below, negative, 1.0))
        to_positive = (gradient * above).sum()
        to_negative = -(gradient * below).sum()
        return gradient * scale, to_positive, to_negative, None


class TernaryWeight(nn.Module):
    """Weight of the values ``-negative``, 0 and ``positive``, all trained.

    Parameters
    ----------
    weight : tensor
        Where it starts: each scale is the mean magnitude of its side.
    threshold : float
        Weights below this share of the largest magnitude are zero.
    """

    def __init__(self, weight: torch.Tensor, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        limit = threshold * weight.abs().max()
        sides = [weight[weight > limit], -weight[weight < -limit]]
        scales = [side.mean() if side.numel() else limit + 1e-3 for side in sides]
        self.positive = nn.Parameter(torch.as_tensor(scales[0]).detach().clone())
        self.negative = nn.Parameter(torch.as_tensor(scales[1]).detach().clone())

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """The three values."""
        out: torch.Tensor = _Ternary.apply(  # type: ignore[no-untyped-call]
            latent, self.positive, self.negative, self.threshold
        )
        return out

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights behind start as they are."""
        return weight

    def signs(self, latent: NDArray[np.float32]) -> NDArray[np.int8]:
        """-1, 0 or 1 for each weight."""
        limit = np.float32(self.threshold) * np.abs(latent).max()
        return np.asarray((latent > limit).astype(np.int8) - (latent < -limit))

    def stored(self, original: NDArray[np.float32]) -> Tensor:
        """What the file holds: scales as float16."""
        return _two_sided(self.signs(original), self.negative.item(), self.positive.item())


class BinaryWeight(nn.Module):
    """Weight of one magnitude: its sign times the layer's mean magnitude.

    References
    ----------
    .. [1] Rastegari et al. 2016, "XNOR-Net", section 3.1 (binary weights), arXiv:1603.05279
    """

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Two values; the gradient passes straight through."""
        scale = latent.abs().mean()
        binary = torch.where(latent >= 0, scale, -scale)
        return latent + (binary - latent).detach()

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights behind start as they are."""
        return weight

    def signs(self, latent: NDArray[np.float32]) -> NDArray[np.int8]:
        """-1 or 1 for each weight."""
        return np.where(latent >= 0, 1, -1).astype(np.int8)

    def stored(self, original: NDArray[np.float32]) -> Tensor:
        """What the file holds: the magnitude as float16."""
        scale = float(np.abs(original).mean())
        return _two_sided(self.signs(original), scale, scale)


def _two_sided(signs: NDArray[np.int8], negative: float, positive: float) -> SharedTensor:
    """Signs and the two magnitudes; a scale that training drove below zero changes the side."""
    levels = np.array([-negative, 0.0, positive]).astype(np.float16).astype(np.float32)
    weights = levels[signs.astype(np.int64) + 1]
    values = np.unique(weights[weights != 0])
    codes = np.where(weights == 0, 0, 1 + np.searchsorted(values, weights))
    return SharedTensor(codes.astype(np.uint8), values)


def ternarize(
    net: nn.Module,
    *,
    levels: Levels = "ternary",
    threshold: float = 0.05,
    spare_first: bool = True,
    spare_last: bool = True,
    bias_bits: int = 8,
) -> None:
    """Give every layer weights of few values, to be trained on, in place.

    Parameters
    ----------
    net : nn.Module
        Convolutions and dense layers, batch norms folded.
    levels : {"ternary", "binary"}, default "ternary"
        Three values with two learned scales, or a sign and the mean magnitude.
    threshold : float, default 0.05
        Of ternary weights, in units of the largest magnitude of the layer, in [0, 1).
    spare_first, spare_last : bool, default True
        The first and the last layer hold few weights and take 8 bits instead, as both papers do.
    bias_bits : int, default 8
        Width of the biases.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Zhu et al. 2017, "Trained ternary quantization", arXiv:1612.01064
    """
    if levels not in ("ternary", "binary") or not 0 <= threshold < 1 or not 2 <= bias_bits <= 8:
        raise ConfigError(
            f"ternarize needs levels 'ternary' or 'binary', a threshold in [0, 1) and biases of 2 "
            f"to 8 bits, got {levels!r}, {threshold!r}, {bias_bits!r}"
        )
    layers = [m for m in net.modules() if isinstance(m, nn.Conv1d | nn.Linear)]
    few = layers[int(spare_first) : len(layers) - int(spare_last)]
    for layer in layers:
        form: nn.Module = GridRounding(8)
        if any(layer is one for one in few):
            weight = layer.weight.detach()
            form = TernaryWeight(weight, threshold) if levels == "ternary" else BinaryWeight()
        parametrize.register_parametrization(layer, "weight", form)
    for module in list(net.modules()):
        if isinstance(module, nn.Conv1d | nn.Linear | TensorTrain) and module.bias is not None:
            parametrize.register_parametrization(module, "bias", GridRounding(bias_bits))


def ternary_state(net: nn.Module) -> dict[str, dict[str, float]]:
    """Where each layer's weights stand, to be kept epoch by epoch.

    Parameters
    ----------
    net : nn.Module
        Under `ternarize`.

    Returns
    -------
    dict of str to dict
        By layer ``positive``, ``zero`` and ``negative`` (shares of the weights), and
        ``scale_positive`` and ``scale_negative``.
    """
    state = {}
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.Linear) or not parametrize.is_parametrized(layer):
            continue
        parts = layer.parametrizations
        assert isinstance(parts, nn.ModuleDict)
        chain = parts["weight"]
        assert isinstance(chain, parametrize.ParametrizationList)
        form = chain[0]
        if isinstance(form, TernaryWeight | BinaryWeight):
            latent = chain.original.detach().numpy()
            signs = form.signs(latent)
            mean = float(np.abs(latent).mean())
            scales = (mean, mean)
            if isinstance(form, TernaryWeight):
                scales = (form.positive.item(), form.negative.item())
            state[name] = {
                "positive": float(np.mean(signs > 0)),
                "zero": float(np.mean(signs == 0)),
                "negative": float(np.mean(signs < 0)),
                "scale_positive": scales[0],
                "scale_negative": scales[1],
            }
    return state

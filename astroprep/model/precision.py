"""Training in 16 bits: low-precision products, float32 weights, a scaled loss, float32 sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.settings import TrainSettings

__all__ = ["MixedPrecision", "low_accumulation"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FIRST_SCALE = 2.0**16  # that the adaptive scale begins with; halved at an overflow
GROWTH_INTERVAL = 500  # steps without overflow after which it doubles


class MixedPrecision:
    """The three techniques of mixed-precision training, each of which can be left out.

    Products and activations have the precision of the settings. Weights are updated in float32
    and rounded for each pass (``master_weights``); the loss is scaled up so that small gradients
    do not vanish in float16 (``loss_scale``; bfloat16 has the range of float32 and needs none);
    products are summed in float32 (``float32_accumulation``).

    Parameters
    ----------
    settings : TrainSettings
        Precision, and which techniques are used.

    Raises
    ------
    ConfigError
        If the device is not there.

    References
    ----------
    .. [1] Micikevicius et al. 2017, "Mixed precision training", section 3, arXiv:1710.03740
    """

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings
        self.dtype = DTYPES[settings.precision]
        try:
            self.device = torch.empty(0, device=settings.device).device
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"training cannot use device {settings.device!r}: {error}") from None
        self.low = self.dtype != torch.float32
        scales = self.dtype == torch.float16 and settings.loss_scale != 1
        adapts = settings.loss_scale == 0
        self.scaler = torch.amp.GradScaler(
            self.device.type,
            init_scale=FIRST_SCALE if adapts else max(settings.loss_scale, 1.0),
            growth_interval=GROWTH_INTERVAL if adapts else 2**31 - 1,
            enabled=scales,
        )

    def products(self) -> AbstractContextManager[Any]:
        """Context in which a network multiplies in low precision."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.low)

    @contextmanager
    def sums(self, net: nn.Module) -> Iterator[None]:
        """Context in which a network sums its products as the settings say."""
        if self.device.type == "cuda":
            flags = torch.backends.cuda.matmul
            before = flags.allow_fp16_reduced_precision_reduction
            flags.allow_fp16_reduced_precision_reduction = not self.settings.float32_accumulation
            try:
                yield
            finally:
                flags.allow_fp16_reduced_precision_reduction = before
        elif self.low and not self.settings.float32_accumulation:
            with low_accumulation(net, self.dtype):
                yield
        else:
            yield

    def step(self, loss: torch.Tensor, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Take gradients and update; a step whose gradients overflowed is left out."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.low and not self.settings.master_weights:
            with torch.no_grad():
                for weight in net.parameters():
                    weight.copy_(weight.to(self.dtype))


def _rounded_sum(terms: list[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Sum of products, each product and each partial sum rounded."""
    total = terms[0].to(dtype)
    for term in terms[1:]:
        total = total + term.to(dtype)
    return total


@contextmanager
def low_accumulation(net: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Let convolutions of stride 1 and dense layers round every partial sum.

    Hardware without float32 accumulators does so; a processor has to be made to. It is there
    to measure what float32 accumulation is worth, and too slow for anything else.

    Parameters
    ----------
    net : Module
        Its layers compute so until the context ends.
    dtype : torch dtype
        Of the partial sums, float16 or bfloat16.
    """

    def conv(layer: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
        x, weight = x.to(dtype), layer.weight.to(dtype)
        reach, (step,) = (
            x.shape[-1] - layer.dilation[0] * (layer.kernel_size[0] - 1),
            layer.dilation,
        )
        terms = [
            weight[None, :, c, k, None] * x[:, None, c, k * step : k * step + reach]
            for c in range(weight.shape[1])
            for k in range(weight.shape[2])
        ]
        total = _rounded_sum(terms, dtype)  # (curve, channel, phase)
        return total if layer.bias is None else total + layer.bias.to(dtype)[None, :, None]

    def dense(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        x, weight = x.to(dtype), layer.weight.to(dtype)
        terms = [weight[None, :, k] * x[:, k, None] for k in range(weight.shape[1])]
        total = _rounded_sum(terms, dtype)  # (curve, output)
        return total if layer.bias is None else total + layer.bias.to(dtype)

    changed = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d) and layer.groups == 1 and layer.stride == (1,):
            layer.forward = lambda x, layer=layer: conv(layer, x)  # type: ignore[misc,method-assign]
        elif isinstance(layer, nn.Linear):
            layer.forward = lambda x, layer=layer: dense(layer, x)  # type: ignore[misc,method-assign]
        else:
            continue
        changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward

"""A network of integers: 8-bit weights and activations, 32-bit sums and rescaling.

Layers and their arithmetic, with nothing left to the machine: from its quantized input on, every
implementation gives the same bits. `IntegerNetwork.evaluate` is the definition that the others
(`astroprep.deploy.kernel`, `astroprep.deploy.c99`) are held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.ranges import LEVELS, ActivationRanges, affine
from astroprep.errors import ConfigError

__all__ = ["IntegerLayer", "IntegerNetwork", "integer_network"]

Integers = NDArray[np.int32]
MAX_INT32 = 2**31 - 1
MAX_SHIFT = 31
BIAS_LIMIT = 2.0**29  # leaves room for the products in a 32-bit sum
STEM_TAPS = 5


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """A convolution on the circle or a dense layer, on unsigned 8-bit inputs.

    Parameters
    ----------
    name : str
        As in the network of floats.
    weight : int8 array, shape (n_out, n_in, n_taps)
        -127 to 127; one tap for dense layers.
    bias : int32 array, shape (n_out,)
        Added to the sum, in its units; zero points of the input are contained.
    multiplier : int32 array, shape (n_out,)
        Of the sum, positive.
    shift : int32 array, shape (n_out,)
        Bits that the product is shifted right, 1 to 31.
    bypass : int32 array, shape (n_out,)
        Multiplier of the block's input, which is added; 0 where nothing is.
    dilation : int
        Bins between the taps; the middle tap is centred.

    Notes
    -----
    The output is ``clip((max(sum, 0) * multiplier + input * bypass + 2**(shift - 1)) >> shift, 0,
    255)``: rounded half up, which for these numbers, none of them negative, is half away from
    zero. Nothing in it leaves 32 bits whatever the input, which `integer_network` proves. The
    last layer has neither ReLU nor clip; its halves are rounded up too.
    """

    name: str
    weight: NDArray[np.int8]
    bias: Integers
    multiplier: Integers
    shift: Integers
    bypass: Integers
    dilation: int = 1

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Least and largest sum of each output over all inputs there can be, and all partial sums.

        Returns
        -------
        low, high : int64 array, shape (n_out,)
            Reached by inputs of 0 and 255 alone, so they are sharp.
        """
        w = self.weight.astype(np.int64).reshape(len(self.weight), -1)
        low = LEVELS * np.minimum(w, 0).sum(axis=1)
        high = LEVELS * np.maximum(w, 0).sum(axis=1)
        bias = self.bias.astype(np.int64)
        return np.minimum(bias, 0) + low, np.maximum(bias, 0) + high

    def sums(self, x: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Weighted sums of (n, n_in, n_bins), shape (n, n_out, n_bins)."""
        n_taps = self.weight.shape[2]
        total = np.zeros((len(x), len(self.weight), x.shape[2]))
        for k in range(n_taps):  # sums below 2**53 are exact in float64, and fast
            rolled = np.roll(x, -(k - n_taps // 2) * self.dilation, axis=2).astype(np.float64)
            total += self.weight[:, :, k].astype(np.float64) @ rolled
        return total.astype(np.int64) + self.bias[:, None]

    def apply(
        self, x: NDArray[np.uint8], bypassed: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Activations, shape (n, n_out, n_bins)."""
        total = np.maximum(self.sums(x), 0) * self.multiplier.astype(np.int64)[:, None]
        if bypassed is not None and self.bypass.any():
            total += bypassed * self.bypass.astype(np.int64)[:, None]
        return _shifted(total, self.shift[:, None]).clip(0, LEVELS).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """What is left of a network when every number is an integer.

    Parameters
    ----------
    spec : dict
        Description of the network.
    layers : dict of str to IntegerLayer
        ``stem``, ``fires.0.squeeze``, ``fires.0.expand_1`` ..., ``hidden``, ``head``.
    mean_multiplier, mean_shift : int
        Rescaling of the sum over the bins of the last fire module.
    logit_scale : float
        Logits are this times the integers.
    ranges : ActivationRanges
        What the input is quantized by.
    """

    spec: dict[str, Any]
    layers: dict[str, IntegerLayer]
    mean_multiplier: int
    mean_shift: int
    logit_scale: float
    ranges: ActivationRanges

    def quantize(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Inputs as integers: ``rint(x * (1 / scale) + zero)`` in float32, clipped to 0 ... 255.

        Parameters
        ----------
        folded : float32 array, shape (n, n_channels, n_bins)
            Finite.
        auxiliary : float32 array, shape (n, n_auxiliary)
            Finite.

        Returns
        -------
        folded, auxiliary : uint8 array
            Of the same shapes.
        """
        out = []
        for x, (inverse, zero) in zip(
            (folded, auxiliary), self.ranges.input_factors(), strict=True
        ):
            shape = (-1, 1) if x.ndim == 3 else (-1,)
            with np.errstate(over="ignore"):
                scaled = x.astype(np.float32) * inverse.reshape(shape) + zero.reshape(shape)
            out.append(np.rint(scaled).clip(0, LEVELS).astype(np.uint8))
        return out[0], out[1]

    def evaluate(
        self, folded: NDArray[np.uint8], auxiliary: NDArray[np.uint8]
    ) -> NDArray[np.int32]:
        """Integer logits, by the definition, in numpy.

        Parameters
        ----------
        folded : uint8 array, shape (n, n_channels, n_bins)
            From `quantize`.
        auxiliary : uint8 array, shape (n, n_auxiliary)
            Likewise.

        Returns
        -------
        int32 array, shape (n, n_classes)
            Times ``logit_scale`` the logits.
        """
        layers = self.layers
        x = layers["stem"].apply(folded)
        for i in range(len(self.spec["fires"])):
            squeezed = layers[f"fires.{i}.squeeze"].apply(x)
            half = len(layers[f"fires.{i}.expand_1"].bias)
            parts = [
                layers[f"fires.{i}.{name}"].apply(squeezed, bypassed)
                for name, bypassed in (("expand_1", x[:, :half]), ("expand_3", x[:, half:]))
            ]
            x = np.concatenate(parts, axis=1)
        total = x.sum(axis=2, dtype=np.int64) * self.mean_multiplier
        mean = _shifted(total, self.mean_shift).clip(0, LEVELS).astype(np.uint8)
        joined = [mean, x.max(axis=2)]
        if "auxiliary" in layers:
            joined.append(layers["auxiliary"].apply(auxiliary[:, :, None])[:, :, 0])
        y = np.concatenate(joined, axis=1)[:, :, None]
        if "hidden" in layers:
            y = layers["hidden"].apply(y)
        head = layers["head"]
        product = head.sums(y)[:, :, 0] * head.multiplier.astype(np.int64)
        return _shifted(product, head.shift).astype(np.int32)


def integer_network(
    spec: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], ranges: ActivationRanges
) -> IntegerNetwork:
    """Fold weights and ranges into integers.

    Parameters
    ----------
    spec : mapping
        Description of a `FireNet` whose batch norms are folded.
    tensors : mapping of str to float32 array
        Its weights.
    ranges : ActivationRanges
        From `astroprep.compress.quantize.calibrate_ranges`, or learned.

    Returns
    -------
    IntegerNetwork
        The same integers on every machine: nothing but products, quotients and roundings of
        float64, which IEEE 754 fixes.

    Raises
    ------
    ConfigError
        If a tensor or range is missing or of the wrong shape, or if a sum could leave 32 bits.

    References
    ----------
    .. [1] Jacob et al. 2018, "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", sections 2.2 to 2.4, arXiv:1712.05877
    """
    try:
        return _Folding(spec, tensors, ranges).network()
    except KeyError as error:
        raise ConfigError(f"integer network: lacks {error}") from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"integer network: tensors and ranges disagree ({error})") from None


class _Folding:
    """Walks through the network as `FireNet.forward` does, and carries the scales along."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        tensors: Mapping[str, NDArray[np.float32]],
        ranges: ActivationRanges,
    ) -> None:
        if spec.get("format") != "firenet-1" or spec.get("batch_norm"):
            raise ConfigError("integer network: needs a 'firenet-1' with its batch norms folded")
        self.spec = dict(spec)
        self.tensors = tensors
        self.ranges = ranges
        self.layers: dict[str, IntegerLayer] = {}

    def network(self) -> IntegerNetwork:
        spec, ranges = self.spec, self.ranges
        scale, zero = affine(ranges.folded_low, ranges.folded_high)
        x, width = ranges.scale("stem"), int(spec["stem"])
        self._layer("stem", width, scale, x, zero=zero, n_taps=STEM_TAPS)
        for i, (squeeze, expand, dilation) in enumerate(spec["fires"]):
            inner, out = ranges.scale(f"fires.{i}.squeeze"), ranges.scale(f"fires.{i}")
            self._layer(f"fires.{i}.squeeze", squeeze, np.full(width, x), inner)
            bypass = x / out if width == 2 * expand else 0.0
            for n_taps, step in ((1, 1), (3, dilation)):
                name, columns = f"fires.{i}.expand_{n_taps}", np.full(squeeze, inner)
                self._layer(name, expand, columns, out, n_taps=n_taps, dilation=step, bypass=bypass)
            width, x = 2 * expand, out
        n_bins = int(spec["n_bins"])
        ratio = np.array([x / (ranges.scale("mean") * n_bins)])
        multiplier, shift = fixed_point(ratio, np.array([LEVELS * n_bins]), 0.0, "mean")
        mean = x / (n_bins * float(_value(multiplier, shift)[0]))
        joined = [np.full(width, mean), np.full(width, x)]
        if spec["n_auxiliary"]:
            scale, zero = affine(ranges.auxiliary_low, ranges.auxiliary_high)
            n, out = int(spec["auxiliary_width"]), ranges.scale("auxiliary")
            joined.append(np.full(n, out))
            self._layer("auxiliary", n, scale, out, zero=zero)
        scales = np.concatenate(joined)
        if spec["head_width"]:
            n, out = int(spec["head_width"]), ranges.scale("hidden")
            self._layer("hidden", n, scales, out)
            scales = np.full(n, out)
        logit_scale = self._layer("head", int(spec["n_classes"]), scales, None)
        return IntegerNetwork(
            spec, self.layers, int(multiplier[0]), int(shift[0]), logit_scale, self.ranges
        )

    def _layer(
        self,
        name: str,
        n_out: int,
        scale_in: NDArray[np.float64],
        scale_out: float | None,
        *,
        zero: NDArray[np.int64] | None = None,
        n_taps: int = 1,
        dilation: int = 1,
        bypass: float = 0.0,
    ) -> float:
        """Quantize a layer by output channel; gives the scale of its output.

        The scales of the inputs go into the weights before these are rounded, so every input
        channel may have its own. The step of the weights of a channel is the least that its
        multiplier and shift can express, so rescaling adds no error of its own.
        """
        w, b = self._floats(name, n_out, scale_in, n_taps)
        size = np.abs(w).reshape(n_out, -1)
        step = np.maximum(size.max(axis=1) / 127, np.abs(b) / BIAS_LIMIT)
        step[step == 0] = 1.0
        if scale_out is None:
            scale_out = float(step.max())
        reach = LEVELS * np.ceil(size / step[:, None]).sum(axis=1) * (1 if zero is None else 2)
        reach += np.ceil(np.abs(b) / step) + 1
        multiplier, shift = fixed_point(step / scale_out, reach, bypass, name)
        step = _value(multiplier, shift) * scale_out
        weight = np.rint(w / step[:, None, None]).astype(np.int8)
        bias = np.rint(b / step).astype(np.int64)
        if zero is not None:
            bias -= weight.sum(axis=2, dtype=np.int64) @ zero
        skipped = np.rint(np.ldexp(bypass, shift)).astype(np.int32)
        layer = IntegerLayer(
            name, weight, bias.astype(np.int32), multiplier, shift, skipped, dilation
        )
        _prove(layer, bias)
        self.layers[name] = layer
        return scale_out

    def _floats(
        self, name: str, n_out: int, scale_in: NDArray[np.float64], n_taps: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights, scales of the inputs taken in, and biases."""
        unit = f"{name}.conv" if f"{name}.conv.weight" in self.tensors else name
        w = np.asarray(self.tensors[f"{unit}.weight"], dtype=np.float64)
        b = np.asarray(self.tensors[f"{unit}.bias"], dtype=np.float64)
        w = w if w.ndim == 3 else w[..., None]
        if w.shape != (n_out, scale_in.size, n_taps) or b.shape != (n_out,):
            raise ConfigError(
                f"integer network: {name!r} must have weights of shape "
                f"{(n_out, scale_in.size, n_taps)}, has {w.shape} and {b.size} biases"
            )
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise ConfigError(f"integer network: weights of {name!r} are not finite")
        return w * scale_in[:, None], b


def _prove(layer: IntegerLayer, bias: NDArray[np.int64]) -> None:
    """Refuse a layer of which any sum or product could leave 32 bits."""
    low, high = layer.bounds()
    half = np.int64(1) << (layer.shift.astype(np.int64) - 1)
    factor = layer.multiplier.astype(np.int64)
    top = high * factor + LEVELS * layer.bypass.astype(np.int64) + half
    bottom = low if layer.name != "head" else low * factor
    ends = (np.abs(bias).max(), np.abs(low).max(), high.max(), top.max(), -bottom.min())
    if max(int(end) for end in ends) > MAX_INT32:
        raise ConfigError(
            f"integer network: {layer.name!r} could reach {max(ends)}, which 32 bits do not hold; "
            "its weights or biases are out of proportion"
        )


def fixed_point(
    ratio: NDArray[np.float64], reach: NDArray[np.float64], bypass: float, name: str
) -> tuple[Integers, Integers]:
    """Least ``multiplier / 2**shift`` that is not below the ratio, as fine as 32 bits allow.

    Parameters
    ----------
    ratio : float64 array, shape (n,)
        Positive.
    reach : float64 array, shape (n,)
        Largest magnitude of the numbers that will be multiplied.
    bypass : float
        Ratio of the levels that are added.
    name : str
        Of the layer, for the error.

    Returns
    -------
    multiplier, shift : int32 array, shape (n,)
        ``reach * multiplier + 255 * bypass * 2**shift + 2**(shift - 1)`` stays below 2**31;
        shift is 1 to 31.

    Raises
    ------
    ConfigError
        If no shift is small enough, or a ratio is not finite.
    """
    room = (2.0**31 - 2 * LEVELS - reach) / (reach * ratio + LEVELS * bypass + 0.5)
    if not (np.isfinite(room) & (room >= 2)).all():
        raise ConfigError(
            f"integer network: {name!r} is out of proportion: its products do not fit 32 bits"
        )
    shift = np.minimum(np.frexp(room)[1] - 1, MAX_SHIFT).astype(np.int32)  # floor of log2
    return np.ceil(np.ldexp(ratio, shift)).clip(1).astype(np.int32), shift


def _value(multiplier: Integers, shift: Integers) -> NDArray[np.float64]:
    return np.ldexp(multiplier.astype(np.float64), -shift)


def _shifted(product: NDArray[np.int64], shift: Any) -> NDArray[np.int64]:
    wide = np.asarray(shift, np.int64)
    rounded: NDArray[np.int64] = (product + (np.int64(1) << (wide - 1))) >> wide
    return rounded

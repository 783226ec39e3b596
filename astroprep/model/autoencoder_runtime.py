"""The circular autoencoder of folded light curves without torch: encode and decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.threads import for_objects

__all__ = ["INPUT_LIMIT", "decode", "encode", "encoder_input", "layer_shapes"]

INPUT_LIMIT = 10.0  # robust sigmas; a brightness beyond is clipped

Array = NDArray[np.float64]


def layer_shapes(n_bins: int, n_code: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, by name, in the order of the layers.

    Parameters
    ----------
    n_bins : int
        Of the circle; a multiple of 4.
    n_code : int
        Numbers in the bottleneck.
    width : int
        Channels of every hidden layer.

    Returns
    -------
    dict of str to tuple of int
        Convolutions are (channel out, channel in, tap), linear maps (out, in).
    """
    short = width * n_bins // 4
    return {
        "encode_1_weight": (width, 2, 5),
        "encode_1_bias": (width,),
        "encode_2_weight": (width, width, 5),
        "encode_2_bias": (width,),
        "encode_3_weight": (width, width, 3),
        "encode_3_bias": (width,),
        "code_weight": (n_code, short),
        "code_bias": (n_code,),
        "decode_0_weight": (short, n_code),
        "decode_0_bias": (short,),
        "decode_1_weight": (width, width, 3),
        "decode_1_bias": (width,),
        "decode_2_weight": (width, width, 5),
        "decode_2_bias": (width,),
        "decode_3_weight": (1, width, 5),
        "decode_3_bias": (1,),
    }


def encoder_input(mean: Array, variance: Array) -> Array:
    """Channels that the encoder sees: brightness times trust, and trust.

    Parameters
    ----------
    mean, variance : float64 array, shape (n_curves, n_bins)
        From `bin_folds`; the variance is infinite where nothing was observed.

    Returns
    -------
    float64 array, shape (n_curves, 2, n_bins)
        The trust is ``1 / (1 + variance)``: 0 in a bin without observations, whose brightness,
        whatever it holds, is therefore not seen.
    """
    trust = 1.0 / (1.0 + variance)
    seen = np.where(trust > 0, np.clip(mean, -INPUT_LIMIT, INPUT_LIMIT), 0.0)
    return np.stack([seen * trust, trust], axis=1)


@njit(cache=True)
def _convolve(x: Array, weight: Array, bias: Array, stride: int, rectify: bool) -> Array:
    """Circular convolution of (channel, phase), centred on the output's bins."""
    n_out, n_in, taps = weight.shape
    n = x.shape[1]
    out = np.empty((n_out, n // stride))
    for o in range(n_out):
        for j in range(n // stride):
            total = bias[o]
            for c in range(n_in):
                for tap in range(taps):
                    total += weight[o, c, tap] * x[c, (j * stride + tap - taps // 2) % n]
            out[o, j] = max(total, 0.0) if rectify else total
    return out


@njit(cache=True)
def _linear(x: Array, weight: Array, bias: Array) -> Array:
    out = bias.copy()
    for o in range(out.size):
        for k in range(x.size):
            out[o] += weight[o, k] * x[k]
    return out


@njit(cache=True)
def _doubled(x: Array) -> Array:
    """Each bin twice."""
    out = np.empty((x.shape[0], 2 * x.shape[1]))
    for c in range(x.shape[0]):
        for k in range(out.shape[1]):
            out[c, k] = x[c, k // 2]
    return out


@njit(nogil=True, cache=True)
def _encode_range(
    begin: int,
    end: int,
    x: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
    w4: Array,
    b4: Array,
    code: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        h = _convolve(x[i], w1, b1, 1, True)
        h = _convolve(h, w2, b2, 2, True)
        h = _convolve(h, w3, b3, 2, True)
        code[i] = _linear(h.ravel(), w4, b4)


def _encode(
    x: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
    w4: Array,
    b4: Array,
) -> Array:
    code = np.empty((x.shape[0], b4.size))
    for_objects(_encode_range, x.shape[0], x, w1, b1, w2, b2, w3, b3, w4, b4, code)
    return code


@njit(nogil=True, cache=True)
def _decode_range(
    begin: int,
    end: int,
    code: Array,
    w0: Array,
    b0: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
    width: int,
    out: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        h = np.maximum(_linear(code[i], w0, b0), 0.0).reshape(width, -1)
        h = _convolve(_doubled(h), w1, b1, 1, True)
        h = _convolve(_doubled(h), w2, b2, 1, True)
        out[i] = _convolve(h, w3, b3, 1, False)[0]


def _decode(
    code: Array,
    w0: Array,
    b0: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
) -> Array:
    width = w1.shape[0]
    out = np.empty((code.shape[0], 4 * b0.size // width))
    for_objects(_decode_range, code.shape[0], code, w0, b0, w1, b1, w2, b2, w3, b3, width, out)
    return out


def _layers(weights: Mapping[str, NDArray[Any]], side: str, names: tuple[str, ...]) -> list[Array]:
    made = []
    for name in names:
        for kind in ("weight", "bias"):
            array = weights.get(f"{name}_{kind}")
            if not isinstance(array, np.ndarray) or not np.isfinite(array).all():
                raise DataError(f"autoencoder: {name}_{kind}, needed to {side}, is missing or bad")
            made.append(np.ascontiguousarray(array, dtype=np.float64))
    return made


def encode(weights: Mapping[str, NDArray[Any]], x: Array) -> Array:
    """Codes of folded light curves.

    Parameters
    ----------
    weights : mapping of str to float array
        By the names of `layer_shapes`.
    x : float64 array, shape (n_curves, 2, n_bins)
        From `encoder_input`.

    Returns
    -------
    float64 array, shape (n_curves, n_code)
        The sums are float64 over weights of float32: within 1e-5 of torch.

    Raises
    ------
    DataError
        If a weight is missing or not finite.
    """
    names = ("encode_1", "encode_2", "encode_3", "code")
    made: Array = _encode(np.ascontiguousarray(x), *_layers(weights, "encode", names))
    return made


def decode(weights: Mapping[str, NDArray[Any]], code: Array) -> Array:
    """Folds that codes stand for.

    Parameters
    ----------
    weights : mapping of str to float array
        By the names of `layer_shapes`.
    code : float64 array, shape (n_curves, n_code)
        From `encode`.

    Returns
    -------
    float64 array, shape (n_curves, n_bins)
        Standardised brightness.

    Raises
    ------
    DataError
        If a weight is missing or not finite.
    """
    names = ("decode_0", "decode_1", "decode_2", "decode_3")
    made: Array = _decode(np.ascontiguousarray(code), *_layers(weights, "decode", names))
    return made

"""Weights in the forms that the weights file can hold exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_SCALE",
    "GridTensor",
    "SharedTensor",
    "Tensor",
    "dense",
    "from_short_bits",
    "is_half",
    "levels_of",
    "short_bits",
    "short_float",
]

MAX_SCALE = 1e30
"""Largest scale of a codebook or of biases: 127 times as much is still finite."""


@dataclass(frozen=True, eq=False)
class GridTensor:
    """Weights that are whole multiples of one scale.

    Parameters
    ----------
    levels : int8 array, any shape
        Integers from ``-(2 ** (bits - 1) - 1)`` to ``2 ** (bits - 1) - 1``.
    scale : float
        A `short_float`, so that products with the levels are exact in float32.
    bits : int, default 8
        Stored width of a level, 2 to 8.
    """

    levels: NDArray[np.int8]
    scale: float
    bits: int = 8

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.levels.shape


@dataclass(frozen=True, eq=False)
class SharedTensor:
    """Weights that take few different values.

    Parameters
    ----------
    codes : uint8 array, any shape
        0 for a weight of zero, k for ``values[k - 1]``.
    values : float32 array, shape (n_values,)
        Ascending, none of them zero; at most 255.
    scale : float, optional
        If given, a `short_float` of which every value is a multiple between -127 and 127; the
        codebook then takes 8 bits a value instead of 16 (float16 if exact) or 32.
    """

    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    scale: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.codes.shape


Tensor = SharedTensor | GridTensor | NDArray[np.float32]


def short_float(value: float) -> float:
    """Smallest number with 8 significant bits that is at least ``value``.

    Parameters
    ----------
    value : float
        Positive and finite in float32.

    Returns
    -------
    float
        Exact in the upper 16 bits of a float32; its products with integers of 8 bits are exact
        in float32.
    """
    bits = int(np.float32(value).view(np.uint32))
    if float(np.uint32(bits).view(np.float32)) < value:
        bits += 1
    return float(np.uint32((bits + 0xFFFF) & 0xFFFF0000).view(np.float32))


def short_bits(value: float) -> int:
    """The upper 16 bits of a `short_float`, which say all of it."""
    return int(np.float32(value).view(np.uint32)) >> 16


def from_short_bits(bits: int) -> float:
    """The number whose upper 16 bits these are."""
    return float(np.uint32((bits & 0xFFFF) << 16).view(np.float32))


def is_half(values: NDArray[np.float32]) -> bool:
    """Whether float16 holds all of these exactly."""
    with np.errstate(over="ignore"):  # what overflows becomes infinite and compares unequal
        return np.array_equal(values.astype(np.float16).astype(np.float32), values)


def levels_of(values: NDArray[np.float32], scale: float) -> NDArray[np.int64]:
    """Nearest whole multiples of a scale, -127 to 127."""
    return np.clip(np.rint(values.astype(np.float64) / scale), -127, 127).astype(np.int64)


def dense(tensor: Tensor) -> NDArray[np.float32]:
    """The weights themselves: what a file with this tensor decodes to.

    Parameters
    ----------
    tensor : SharedTensor, GridTensor or float32 array
        Any shape.

    Returns
    -------
    float32 array
        Of the same shape; zeros are positive.
    """
    if isinstance(tensor, SharedTensor):
        return np.concatenate([np.zeros(1, np.float32), tensor.values])[tensor.codes]
    if isinstance(tensor, GridTensor):
        return tensor.levels.astype(np.float32) * np.float32(tensor.scale)
    return np.asarray(tensor, dtype=np.float32) + np.float32(0.0)

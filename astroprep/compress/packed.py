"""Ternary weights four to a byte, and a product that reads them as they are.

It saves memory, not time: against BLAS it takes 2 to 3 times as long at 90 % zeros and about 10
times at 50 % (``benchmarks/compress_ternary.py``), because adding rows one by one keeps its sums
in the cache and not in registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["pack_ternary", "ternary_product", "unpack_ternary"]

_TILE = 256  # columns at a time: two rows of sums and one of inputs stay in the first-level cache


def pack_ternary(signs: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Two bits a weight: 0 for zero, 1 for positive, 2 for negative, the first one lowest.

    Parameters
    ----------
    signs : integer array, shape (n_outputs, n_inputs)
        -1, 0 and 1.

    Returns
    -------
    uint8 array, shape (n_outputs, ceil(n_inputs / 4))
        Every row begins a byte.

    Raises
    ------
    ConfigError
        If there is any other number, or not two axes.
    """
    if signs.ndim != 2 or not np.isin(signs, (-1, 0, 1)).all():
        raise ConfigError("pack_ternary needs a matrix of -1, 0 and 1")
    n_out, n_in = signs.shape
    codes = np.zeros((n_out, -(-n_in // 4) * 4), dtype=np.uint8)
    codes[:, :n_in] = np.where(signs < 0, 2, signs)
    four = codes.reshape(n_out, -1, 4)
    return np.asarray(four[..., 0] | four[..., 1] << 2 | four[..., 2] << 4 | four[..., 3] << 6)


def unpack_ternary(packed: NDArray[np.uint8], n_inputs: int) -> NDArray[np.int8]:
    """The signs again.

    Parameters
    ----------
    packed : uint8 array, shape (n_outputs, ceil(n_inputs / 4))
        From `pack_ternary`.
    n_inputs : int
        Weights a row.

    Raises
    ------
    DataError
        If a code is 3, or something stands behind the end of a row.
    """
    codes = (packed[:, :, None] >> np.array([0, 2, 4, 6], dtype=np.uint8) & 3).reshape(
        len(packed), -1
    )
    if codes.shape[1] - n_inputs not in range(4) or (codes == 3).any() or codes[:, n_inputs:].any():
        raise DataError(f"packed ternary weights are damaged: not rows of {n_inputs} weights")
    signs: NDArray[np.int8] = np.array([0, 1, -1], dtype=np.int8)[codes[:, :n_inputs]]
    return signs


@njit(cache=True, nogil=True)
def _product(
    packed: NDArray[np.uint8],
    x: NDArray[np.float32],
    positive: np.float32,
    negative: np.float32,
    out: NDArray[np.float32],
) -> None:
    above = np.empty(_TILE, dtype=np.float32)
    below = np.empty(_TILE, dtype=np.float32)
    n = x.shape[1]
    for begin in range(0, n, _TILE):
        width = min(_TILE, n - begin)
        for o in range(packed.shape[0]):
            above[:width] = 0.0
            below[:width] = 0.0
            for j in range(packed.shape[1]):
                four = packed[o, j]
                row = 4 * j
                while four:  # what is zero costs nothing from the last weight of a byte on
                    code = four & 3
                    if code == 1:
                        for c in range(width):
                            above[c] += x[row, begin + c]
                    elif code == 2:
                        for c in range(width):
                            below[c] += x[row, begin + c]
                    four >>= 2
                    row += 1
            for c in range(width):
                out[o, begin + c] = positive * above[c] - negative * below[c]


def ternary_product(
    packed: NDArray[np.uint8],
    x: NDArray[np.float32],
    positive: float,
    negative: float,
) -> NDArray[np.float32]:
    """Matrix of ternary weights times inputs, by additions: two products an output are left.

    Parameters
    ----------
    packed : uint8 array, shape (n_outputs, ceil(n_inputs / 4))
        From `pack_ternary`.
    x : float32 array, shape (n_inputs, n_columns)
        Columns are independent: phases, curves, or both.
    positive, negative : float
        Magnitudes of the two values.

    Returns
    -------
    float32 array, shape (n_outputs, n_columns)
        Sums in the order of the inputs: a column does not depend on its neighbours.

    Raises
    ------
    ConfigError
        If the shapes do not fit.
    """
    if packed.ndim != 2 or x.ndim != 2 or packed.shape[1] != -(-len(x) // 4):
        raise ConfigError(
            f"ternary_product needs packed rows for {len(x)} inputs, got shape {packed.shape}"
        )
    unpack_ternary(packed[:, -1:], (len(x) - 1) % 4 + 1)  # nothing may point behind the inputs
    out = np.empty((len(packed), x.shape[1]), dtype=np.float32)
    _product(
        np.ascontiguousarray(packed),
        np.ascontiguousarray(x, dtype=np.float32),
        np.float32(positive),
        np.float32(negative),
        out,
    )
    return out

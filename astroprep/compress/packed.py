"""Ternary weights four to a byte, and a product that reads them as they are.

Storing them so takes a sixteenth of float32. The product saves time only where nearly all weights
are zero and columns are some hundreds: there it is 1.1 to 1.5 times as fast as BLAS, at 50 % zeros
half as fast, for one column a tenth to a twentieth (``benchmarks/compress_ternary.py``). An
addition takes the instruction slot of the fused multiplication that it replaces, and BLAS keeps its
sums in registers, which loops that numba compiles do not.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError

__all__ = ["pack_ternary", "ternary_product", "unpack_ternary"]

MOST_INPUTS = 2**16 - 1  # what an index of 16 bits can name
_TILE = 512  # columns at a time: sums stay in the first-level cache, inputs in the second


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
    four = codes.reshape(n_out, -(-n_in // 4), 4)
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
        len(packed), 4 * packed.shape[1]
    )
    if codes.shape[1] - n_inputs not in range(4) or (codes == 3).any() or codes[:, n_inputs:].any():
        raise DataError(f"packed ternary weights are damaged: not rows of {n_inputs} weights")
    signs: NDArray[np.int8] = np.array([0, 1, -1], dtype=np.int8)[codes[:, :n_inputs]]
    return signs


@njit(cache=True, nogil=True)
def _lists(
    packed: NDArray[np.uint8], none: int, index: NDArray[np.uint16], ends: NDArray[np.int64]
) -> bool:
    """Inputs that each output adds, then those that it subtracts, in eights; none fills them up."""
    n_out, n_bytes = packed.shape
    below = np.empty(4 * n_bytes + 1, dtype=np.uint16)
    at = 0
    for o in range(n_out):
        n_below = 0
        for j in range(n_bytes):
            four = packed[o, j]
            if four == 0:
                continue
            if four & four >> 1 & 0x55:  # a code of 3; both lists would grow, out of their array
                return False
            for k in range(4):  # written first, counted then: a branch would be guessed wrong
                index[at] = below[n_below] = 4 * j + k
                at += four & 1
                four >>= 1
                n_below += four & 1
                four >>= 1
        while at % 8:
            index[at] = none
            at += 1
        ends[2 * o] = at
        for k in range(n_below):
            index[at + k] = below[k]
        at += n_below
        while at % 8:
            index[at] = none
            at += 1
        ends[2 * o + 1] = at
    return True


@njit(cache=True, nogil=True)
def _add(
    tile: NDArray[np.float32],
    index: NDArray[np.uint16],
    total: NDArray[np.float32],
) -> None:
    """Sum of the listed rows, eight at once: the sums are loaded and stored eight times less."""
    width = total.size
    total[:] = 0.0
    for k in range(0, index.size, 8):
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        e, f, g, h = index[k + 4], index[k + 5], index[k + 6], index[k + 7]
        for i in range(width):
            total[i] += ((tile[a, i] + tile[b, i]) + (tile[c, i] + tile[d, i])) + (
                (tile[e, i] + tile[f, i]) + (tile[g, i] + tile[h, i])
            )


@njit(cache=True, nogil=True)
def _product(
    index: NDArray[np.uint16],
    ends: NDArray[np.int64],
    x: NDArray[np.float32],
    positive: np.float32,
    negative: np.float32,
    out: NDArray[np.float32],
) -> None:
    n_in, n = x.shape
    tile = np.zeros((n_in + 1, min(n, _TILE)), dtype=np.float32)  # the last row stays zero
    above = np.empty(tile.shape[1], dtype=np.float32)
    below = np.empty(tile.shape[1], dtype=np.float32)
    for begin in range(0, n, _TILE):
        width = min(_TILE, n - begin)
        for i in range(n_in):
            for c in range(width):
                tile[i, c] = x[i, begin + c]
        first = 0
        for o in range(len(out)):
            middle, last = ends[2 * o], ends[2 * o + 1]
            _add(tile, index[first:middle], above[:width])
            _add(tile, index[middle:last], below[:width])
            first = last
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
        Every column is summed in the same order: it does not depend on its neighbours.

    Raises
    ------
    ConfigError
        If shapes or types do not fit, or there are more than 65,535 inputs.
    DataError
        If a code is 3, or something stands behind the end of a row.

    Notes
    -----
    While it runs, every weight that is not zero takes two bytes more, in a list of inputs.
    """
    good = packed.ndim == x.ndim == 2 and packed.dtype == np.uint8
    if not good or packed.shape[1] != -(-len(x) // 4):
        raise ConfigError(
            f"ternary_product needs packed rows for {len(x)} inputs, got shape {packed.shape} of "
            f"{packed.dtype}"
        )
    if len(x) > MOST_INPUTS:
        raise ConfigError(f"ternary_product takes {MOST_INPUTS:,} inputs at most, got {len(x):,}")
    if len(x):  # nothing may point behind the inputs
        unpack_ternary(packed[:, -1:], (len(x) - 1) % 4 + 1)
    n_out, n_bytes = packed.shape
    index = np.empty(n_out * (4 * n_bytes + 14) + 1, dtype=np.uint16)
    ends = np.empty(2 * n_out, dtype=np.int64)
    if not _lists(np.ascontiguousarray(packed), len(x), index, ends):
        raise DataError("packed ternary weights are damaged: a code is 3")
    out = np.empty((n_out, x.shape[1]), dtype=np.float32)
    x = np.ascontiguousarray(x, dtype=np.float32)
    _product(index, ends, x, np.float32(positive), np.float32(negative), out)
    return out

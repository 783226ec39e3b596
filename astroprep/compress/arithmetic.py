"""An adaptive binary arithmetic coder that mixes what several contexts foresee.

One set of kernels serves both directions: whoever writes gives the bits, whoever reads gets them,
and the model that learns from them is the same lines of code. All arithmetic is on integers, so
the bytes are the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["code_bits", "code_numbers", "code_weights", "flush", "start"]

# Fields of the coder's state.
LOW, HIGH, CODE, POSITION, WRITES, DAMAGED = range(6)

_TOP = 0xFFFFFFFF
_LOGIT_ONE = 256  # units of a logit
_WEIGHT_ONE = 65536  # units of a mixing weight
_LEARNING = 2  # rate of the mixing weights, in 1/256; 2 to 4 differ by 0.4 % of the bytes
_PRIOR = 4  # observations that a context's first estimate, its parent's, counts for
_MAX_GROUPS = 32  # bits of the longest number

# Contexts by place: numbers have families of 64, the signs and ranks of all layers follow, then
# those of one layer, which are cleared when it begins.
FAMILY = 64
N_FAMILIES = 8
_GLOBAL_SIGN = FAMILY * N_FAMILIES
_GLOBAL_RANK = _GLOBAL_SIGN + 4
_LAYER = _GLOBAL_RANK + 256
_LAYER_SIGN = _LAYER
_LAYER_RANK = _LAYER_SIGN + 4
_LAYER_SIDE = _LAYER_RANK + 256
_NEIGHBOURS = _LAYER_SIDE + 512
_TAPS = _NEIGHBOURS + 8
_N_MIXED = 8  # mixing weights: four of zero or not, three of the values, one unused


def _tables() -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Logit of a probability of 12 bits, probability (16 bits) of a logit, rate of a count.

    No entry lies within 1e-7 of a half, so the rounding is the same with any libm (tested).
    """
    probability = (np.arange(4096) + 0.5) / 4096
    logit = np.rint(_LOGIT_ONE * np.log(probability / (1 - probability)))
    back = np.rint(65536 / (1 + np.exp(-(np.arange(4096) - 2048) / _LOGIT_ONE)))
    rate = 65536 // (np.arange(256) + 1.5)
    return (
        np.clip(logit, -2047, 2047).astype(np.int32),
        np.clip(back, 32, 65536 - 32).astype(np.int32),
        rate.astype(np.int32),
    )


_LOGIT, _SQUASH, _RATE = _tables()


@njit(cache=True, nogil=True, inline="always")
def _step(state: NDArray[np.int64], buffer: NDArray[np.uint8], p: int, bit: int) -> Any:
    """Code one bit that is 1 with probability ``p / 65536``; gives the bit."""
    low, high = state[LOW], state[HIGH]
    middle = low + (((high - low) * p) >> 16)
    if not state[WRITES]:
        bit = 1 if state[CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) & 0xFF000000 == 0:
        at = state[POSITION]
        if state[WRITES]:
            if at < buffer.size:
                buffer[at] = high >> 24
        else:
            # zeros stand behind the end; `finish` notices a stream that needed too many
            new = buffer[at] if at < buffer.size else 0
            state[CODE] = ((state[CODE] << 8) & 0xFFFFFFFF) | new
        state[POSITION] = at + 1
        low = (low << 8) & 0xFFFFFFFF
        high = ((high << 8) & 0xFFFFFFFF) | 255
    state[LOW], state[HIGH] = low, high
    return bit


@njit(cache=True, nogil=True, inline="always")
def _learn(prob: NDArray[np.int32], count: NDArray[np.uint8], slot: int, bit: int) -> None:
    """Move a context's probability towards a bit, the less the more it has seen."""
    n = count[slot]
    prob[slot] += (((bit << 16) - bit - prob[slot]) * _RATE[n]) >> 16
    if n < 254:
        count[slot] = n + 1


@njit(cache=True, nogil=True)
def _adaptive(
    state: NDArray[np.int64],
    buffer: NDArray[np.uint8],
    prob: NDArray[np.int32],
    count: NDArray[np.uint8],
    slot: int,
    bit: int,
) -> Any:
    """Code a bit by one context."""
    p = min(max(prob[slot], 64), 65536 - 64)
    bit = _step(state, buffer, p, bit)
    _learn(prob, count, slot, bit)
    return bit


@njit(cache=True, nogil=True)
def _mixed(
    state: NDArray[np.int64],
    buffer: NDArray[np.uint8],
    prob: NDArray[np.int32],
    count: NDArray[np.uint8],
    slots: NDArray[np.int64],
    n_slots: int,
    weight: NDArray[np.int64],
    first: int,
    bit: int,
) -> Any:
    """Code a bit by several contexts: a logistic regression on their logits that never stops.

    A context not seen before takes the estimate of the first, which all share.
    """
    total = 0
    for k in range(n_slots):
        slot = slots[k]
        if k and count[slot] == 0:
            prob[slot] = prob[slots[0]]
            count[slot] = _PRIOR
        total += weight[first + k] * _LOGIT[prob[slot] >> 4]
    p = _SQUASH[min(max((total >> 16) + 2048, 0), 4095)]
    bit = _step(state, buffer, p, bit)
    error = (bit << 16) - p
    for k in range(n_slots):
        slot = slots[k]
        weight[first + k] += (_LOGIT[prob[slot] >> 4] * error * _LEARNING) >> 16
        _learn(prob, count, slot, bit)
    return bit


@njit(cache=True, nogil=True)
def code_bits(
    state: NDArray[np.int64], buffer: NDArray[np.uint8], width: int, values: NDArray[np.int64]
) -> None:
    """Code numbers of ``width`` bits about which nothing is known.

    Parameters
    ----------
    state : int64 array
        From `start`.
    buffer : uint8 array
        The stream.
    width : int
        Bits of each, 0 to 32.
    values : int64 array, shape (n,)
        Given when writing, filled when reading.
    """
    for i in range(values.size):
        value = 0
        for k in range(width - 1, -1, -1):
            value = (value << 1) | _step(state, buffer, 32768, (values[i] >> k) & 1)
        values[i] = value


@njit(cache=True, nogil=True)
def code_numbers(
    state: NDArray[np.int64],
    buffer: NDArray[np.uint8],
    prob: NDArray[np.int32],
    count: NDArray[np.uint8],
    family: int,
    is_signed: bool,
    values: NDArray[np.int64],
) -> None:
    """Code numbers of unknown size: exponential Golomb words with adaptive bits.

    Parameters
    ----------
    state, buffer : arrays
        See `code_bits`.
    prob, count : int32 and uint8 arrays
        The contexts.
    family : int
        Numbers of like distribution share one, 0 to 7.
    is_signed : bool
        A sign follows each number that is not zero.
    values : int64 array, shape (n,)
        Given when writing, filled when reading; magnitudes below ``2 ** 31``. A word that no
        writer makes sets ``state[DAMAGED]``.
    """
    base = family * FAMILY
    for i in range(values.size):
        word = abs(values[i]) + 1
        groups = 0
        while word >> (groups + 1):
            groups += 1
        n = 0
        while _adaptive(state, buffer, prob, count, base + n, 1 if n < groups else 0):
            n += 1
            if n >= _MAX_GROUPS:
                state[DAMAGED] = 1
                return
        out = 1
        for k in range(n - 1, -1, -1):
            bit = (word >> k) & 1
            if k == n - 1:  # the leading bit below the group is the one worth learning
                bit = _adaptive(state, buffer, prob, count, base + _MAX_GROUPS + min(n, 30), bit)
            else:
                bit = _step(state, buffer, 32768, bit)
            out = (out << 1) | bit
        out -= 1
        if is_signed and out:
            is_negative = 1 if values[i] < 0 else 0
            if _adaptive(state, buffer, prob, count, base + 63, is_negative):
                out = -out
        values[i] = out


@njit(cache=True, nogil=True)
def code_weights(
    state: NDArray[np.int64],
    buffer: NDArray[np.uint8],
    prob: NDArray[np.int32],
    count: NDArray[np.uint8],
    weight: NDArray[np.int64],
    shape: tuple[int, int, int],
    n_below: int,
    n_above: int,
    codes: NDArray[np.uint8],
) -> None:
    """Code the weights of one layer as zeros and values.

    Parameters
    ----------
    state, buffer : arrays
        See `code_bits`.
    prob, count : int32 and uint8 arrays
        At least ``n_contexts(shape)`` long.
    weight : int64 array
        Of the mixing, from `start`.
    shape : tuple of int
        Outputs, inputs, taps.
    n_below, n_above : int
        Values below and above zero in the codebook.
    codes : uint8 array, shape (outputs * inputs * taps,)
        0 for zero, else one more than the index into the ascending codebook; given when writing,
        filled when reading. A code beyond the codebook sets ``state[DAMAGED]``.

    Notes
    -----
    Whether a weight is zero is foreseen from its tap, its neighbours (the input before, the tap
    before, the output before), its output and its input: pruning leaves some channels nearly
    empty. A value follows as its sign and its rank from zero, the rank bit by bit.
    """
    n_out, n_in, n_tap = shape
    row = n_in * n_tap
    rows, columns = _TAPS + n_tap, _TAPS + n_tap + n_out
    prob[_LAYER : columns + n_in] = 32768
    count[_LAYER : columns + n_in] = 0
    slots = np.zeros(4, dtype=np.int64)
    width = 0
    while max(n_below, n_above) > 1 << width:
        width += 1
    for i in range(codes.size):
        j = i % row
        slots[0] = _TAPS + j % n_tap
        before = codes[i - n_tap] if j >= n_tap else 0
        beside = codes[i - 1] if j else 0
        above = codes[i - row] if i >= row else 0
        near = int(before > 0) + 2 * int(beside > 0) + 4 * int(above > 0)
        slots[1] = _NEIGHBOURS + near
        slots[2] = rows + i // row
        slots[3] = columns + j // n_tap
        is_used = int(codes[i] > 0)
        if not _mixed(state, buffer, prob, count, slots, 4, weight, 0, is_used):
            codes[i] = 0
            continue
        is_below = int(codes[i] <= n_below)
        if n_below == 0 or n_above == 0:
            is_below = int(n_above == 0)
        else:
            is_below = _adaptive(state, buffer, prob, count, _LAYER_SIGN, is_below)
        rank = n_below - codes[i] if is_below else codes[i] - 1 - n_below
        node = 1
        for k in range(width - 1, -1, -1):
            slots[0] = _GLOBAL_RANK + node
            slots[1] = _LAYER_RANK + node
            slots[2] = _LAYER_SIDE + 256 * is_below + node
            bit = _mixed(state, buffer, prob, count, slots, 3, weight, 4, (rank >> k) & 1)
            node = (node << 1) | bit
        rank = node - (1 << width)
        if rank >= (n_below if is_below else n_above):
            state[DAMAGED] = 1
            return
        codes[i] = n_below - rank if is_below else n_below + 1 + rank


def n_contexts(shape: tuple[int, int, int]) -> int:
    """Contexts that a layer of this shape needs, those common to all layers included."""
    return _TAPS + shape[0] + shape[1] + shape[2]


def start(
    n_slots: int, data: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
    """Coder, contexts and mixing weights as both sides begin.

    Parameters
    ----------
    n_slots : int
        Contexts, the largest `n_contexts` of all layers.
    data : uint8 array, optional
        The stream to read; without it the coder writes.

    Returns
    -------
    state : int64 array, shape (6,)
        The coder.
    prob, count : int32 and uint8 arrays, shape (n_slots,)
        Even odds, nothing seen.
    weight : int64 array, shape (8,)
        Of the mixing.
    """
    state = np.array([0, _TOP, 0, 0, data is None, 0], dtype=np.int64)
    if data is not None:
        head = data[:4].tobytes().ljust(4, b"\0")
        state[CODE], state[POSITION] = int.from_bytes(head, "big"), 4
    weight = np.full(_N_MIXED, _WEIGHT_ONE // 4, dtype=np.int64)
    return state, np.full(n_slots, 32768, np.int32), np.zeros(n_slots, np.uint8), weight


def flush(state: NDArray[np.int64]) -> bytes:
    """Fewest bytes that end the stream, zeros being read behind them.

    Parameters
    ----------
    state : int64 array
        Either side's: both are at the same place, so a reader knows what the writer added.

    Returns
    -------
    bytes
        0 to 4 of them.
    """
    low, high = int(state[LOW]), int(state[HIGH])
    for n in range(5):
        step = 1 << (32 - 8 * n)
        value = -(-low // step) * step
        if value <= high:
            return value.to_bytes(4, "big")[:n]
    raise AssertionError("unreachable: a step of 1 always fits")

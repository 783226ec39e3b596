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

# With its types stated a kernel is there when its module is: the seconds of numba's first kernel
# belong to the imports of a process that waits for its first bundle, not to opening that.
READY: dict[str, Any] = {"cache": True, "nogil": True}

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


# What follows has neither loops nor branches on purpose: numba then counts no references to the
# arrays, which would take longer than the work, and the processor has nothing to guess.


@njit(forceinline=True)
def _choose(low, high, code, writes, p, bit):  # type: ignore[no-untyped-def]
    """Narrow the interval by a bit that is 1 with probability ``p / 65536``; gives both."""
    middle = low + (((high - low) * p) >> 16)
    read = np.int64(code <= middle)
    bit = read ^ ((read ^ bit) & -writes)
    return middle + 1 + ((low - middle - 1) & -bit), middle + ((high - middle) & (bit - 1)), bit


@njit(forceinline=True)
def _shift(low, high, code, at, writes, buffer):  # type: ignore[no-untyped-def]
    """Move on by the byte that is settled: write it, or read the next one.

    Zeros stand behind the end; `ContextCoder.finish` notices a stream that needed too many.
    """
    is_inside = np.int64(at < buffer.size)
    place = np.uint64(at * is_inside)
    byte = np.int64(buffer[place])
    buffer[place] = byte ^ ((byte ^ (high >> 24)) & -(writes & is_inside))
    code = ((code << 8) & _TOP) | (byte & -is_inside)
    return (low << 8) & _TOP, ((high << 8) & _TOP) | 255, code, at + 1


@njit(forceinline=True)
def _learn(prob, count, slot, bit):  # type: ignore[no-untyped-def]
    """Move a context's probability towards a bit, the less the more it has seen."""
    at = np.uint64(slot)
    n, p = np.int64(count[at]), np.int64(prob[at])
    prob[at] = p + ((((bit << 16) - bit - p) * np.int64(_RATE[np.uint64(n)])) >> 16)
    count[at] = n + np.int64(n < 254)


@njit(forceinline=True)
def _single(prob, slot):  # type: ignore[no-untyped-def]
    """Probability of a bit with one context."""
    return min(max(np.int64(prob[np.uint64(slot)]), 64), 65536 - 64)


@njit(forceinline=True)
def _logit(prob, count, slot, parent):  # type: ignore[no-untyped-def]
    """Logit of a context; one not seen before takes its parent's estimate."""
    at = np.uint64(slot)
    n, p = np.int64(count[at]), np.int64(prob[at])
    is_new = np.int64(n == 0) * np.int64(slot != parent)
    p += (np.int64(prob[np.uint64(parent)]) - p) & -is_new
    prob[at] = p
    count[at] = n + is_new * _PRIOR
    return np.int64(_LOGIT[np.uint64(p >> 4)])


@njit(forceinline=True)
def _mixed(total):  # type: ignore[no-untyped-def]
    """Probability of a sum of weighted logits."""
    return np.int64(_SQUASH[np.uint64(min(max((total >> 16) + 2048, 0), 4095))])


@njit(nogil=True)
def _step(state: NDArray[np.int64], buffer: NDArray[np.uint8], p: int, bit: int) -> Any:
    """Code one bit that is 1 with probability ``p / 65536``; gives the bit."""
    low, high, code, at = state[LOW], state[HIGH], state[CODE], state[POSITION]
    writes = state[WRITES]
    low, high, bit = _choose(low, high, code, writes, p, bit)
    while (low ^ high) >> 24 == 0:
        low, high, code, at = _shift(low, high, code, at, writes, buffer)
    state[LOW], state[HIGH], state[CODE], state[POSITION] = low, high, code, at
    return bit


@njit(nogil=True)
def _adaptive(
    state: NDArray[np.int64],
    buffer: NDArray[np.uint8],
    prob: NDArray[np.int32],
    count: NDArray[np.uint8],
    slot: int,
    bit: int,
) -> Any:
    """Code a bit by one context."""
    bit = _step(state, buffer, _single(prob, slot), bit)
    _learn(prob, count, slot, bit)
    return bit


@njit("void(i8[::1], u1[::1], i8, i8[::1])", **READY)
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


@njit("void(i8[::1], u1[::1], i4[::1], u1[::1], i8, b1, i8[::1])", **READY)
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


@njit(
    "void(i8[::1], u1[::1], i4[::1], u1[::1], i8[::1], UniTuple(i8, 3), i8, i8, u1[::1])", **READY
)
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
    width = 0
    while max(n_below, n_above) > 1 << width:
        width += 1
    has_sides = n_below > 0 and n_above > 0
    low, high, code, at = state[LOW], state[HIGH], state[CODE], state[POSITION]
    writes = state[WRITES]
    w0, w1, w2, w3 = weight[0], weight[1], weight[2], weight[3]  # in registers while it runs
    v0, v1, v2 = weight[4], weight[5], weight[6]
    for o in range(n_out):
        for j in range(row):
            i = np.uint64(o * row + j)
            before = np.int64(j >= n_tap and codes[i - np.uint64(n_tap)] > 0)
            beside = np.int64(j > 0 and codes[i - np.uint64(1)] > 0)
            above = np.int64(o > 0 and codes[i - np.uint64(row)] > 0)
            if j == 0:
                tap, column = _TAPS, columns
            elif tap - _TAPS == n_tap - 1:
                tap, column = _TAPS, column + 1
            else:
                tap += 1
            near, line = _NEIGHBOURS + before + 2 * beside + 4 * above, rows + o
            l0 = _logit(prob, count, tap, tap)
            l1 = _logit(prob, count, near, tap)
            l2 = _logit(prob, count, line, tap)
            l3 = _logit(prob, count, column, tap)
            p = _mixed(w0 * l0 + w1 * l1 + w2 * l2 + w3 * l3)
            low, high, bit = _choose(low, high, code, writes, p, np.int64(codes[i] > 0))
            while (low ^ high) >> 24 == 0:
                low, high, code, at = _shift(low, high, code, at, writes, buffer)
            error = (bit << 16) - p
            w0 += (l0 * error * _LEARNING) >> 16
            w1 += (l1 * error * _LEARNING) >> 16
            w2 += (l2 * error * _LEARNING) >> 16
            w3 += (l3 * error * _LEARNING) >> 16
            _learn(prob, count, tap, bit)
            _learn(prob, count, near, bit)
            _learn(prob, count, line, bit)
            _learn(prob, count, column, bit)
            if bit == 0:
                codes[i] = 0
                continue
            is_below = np.int64(codes[i] <= n_below)
            if has_sides:
                p = _single(prob, _LAYER_SIGN)
                low, high, is_below = _choose(low, high, code, writes, p, is_below)
                while (low ^ high) >> 24 == 0:
                    low, high, code, at = _shift(low, high, code, at, writes, buffer)
                _learn(prob, count, _LAYER_SIGN, is_below)
            else:
                is_below = np.int64(n_above == 0)
            ahead = np.int64(codes[i]) - 1 - n_below
            rank = ahead ^ ((ahead ^ (-1 - ahead)) & -is_below)
            side = _LAYER_SIDE + 256 * is_below
            node = 1
            for k in range(width - 1, -1, -1):
                a, b, d = _GLOBAL_RANK + node, _LAYER_RANK + node, side + node
                l0 = _logit(prob, count, a, a)
                l1 = _logit(prob, count, b, a)
                l2 = _logit(prob, count, d, a)
                p = _mixed(v0 * l0 + v1 * l1 + v2 * l2)
                low, high, bit = _choose(low, high, code, writes, p, (rank >> k) & 1)
                while (low ^ high) >> 24 == 0:
                    low, high, code, at = _shift(low, high, code, at, writes, buffer)
                error = (bit << 16) - p
                v0 += (l0 * error * _LEARNING) >> 16
                v1 += (l1 * error * _LEARNING) >> 16
                v2 += (l2 * error * _LEARNING) >> 16
                _learn(prob, count, a, bit)
                _learn(prob, count, b, bit)
                _learn(prob, count, d, bit)
                node = (node << 1) | bit
            place = node - (1 << width)
            if place >= n_above + ((n_below - n_above) & -is_below):
                state[DAMAGED] = 1
                return
            codes[i] = n_below + 1 + place - ((2 * place + 1) & -is_below)
    weight[0], weight[1], weight[2], weight[3] = w0, w1, w2, w3
    weight[4], weight[5], weight[6] = v0, v1, v2
    state[LOW], state[HIGH], state[CODE], state[POSITION] = low, high, code, at


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

"""The tensors of a network through the adaptive coder: the same walk writes and reads.

Nothing is stored that the model can learn: no tables, no lengths. Per tensor come its kind, its
codebook or scale, and its weights; see `astroprep.compress.arithmetic` for how each is foreseen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.arithmetic import (
    DAMAGED,
    HIGH,
    LOW,
    POSITION,
    code_bits,
    code_numbers,
    code_weights,
    flush,
    n_contexts,
    start,
)
from astroprep.compress.tensors import (
    MAX_SCALE,
    GridTensor,
    SharedTensor,
    Tensor,
    from_short_bits,
    is_half,
    levels_of,
    short_bits,
)
from astroprep.errors import DataError

__all__ = ["ContextCoder", "read_tensors", "write_tensors"]

_RAW_16, _RAW_32, _GRID, _GRID_BOOK, _HALF_BOOK, _FLOAT_BOOK, _SPARSE_16, _SPARSE_32 = range(8)
_PLAIN = {_RAW_16: 16, _RAW_32: 32, _SPARSE_16: 16, _SPARSE_32: 32}  # bits of a float
_SPARSE_FROM = 0.03  # share of zeros from which their places are coded
_ONE = np.ones(1, dtype=np.float32)
_KIND, _SMALL, _FIRST, _STEP, _EXPONENT, _LEVEL = range(6)  # families of numbers
_WEIGHT_BYTES, _NUMBER_BYTES = 14, 50  # the most that one can take


class ContextCoder:
    """Numbers and weights to bytes, or back, depending on whether there is data to read.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Of all tensors; they bound the memory taken.
    data : bytes, optional
        The stream to read; without it the coder writes.
    source : str, default "weights.bin"
        Named in errors.
    """

    def __init__(
        self,
        shapes: Sequence[Sequence[int]],
        data: bytes | None = None,
        source: str = "weights.bin",
    ) -> None:
        n_slots = max(
            (n_contexts(_three(shape)) for shape in shapes), default=n_contexts((1, 1, 1))
        )
        self._reads = data is not None
        self._n_bytes = 0 if data is None else len(data)
        given = bytes(64) if data is None else data + b"\0"  # never empty, as the kernel looks in
        self._buffer = np.array(bytearray(given), np.uint8)
        self._state, self._prob, self._count, self._mixing = start(
            n_slots, self._buffer if self._reads else None
        )
        self._source = source
        self._exponent = 127  # of the scale before

    @property
    def n_bits(self) -> int:
        """Bits so far, the fraction of the last one cut off."""
        width = int(self._state[HIGH] - self._state[LOW]) + 1
        ahead = 4 if self._reads else 0
        return int(8 * (int(self._state[POSITION]) - ahead) + 32 - math.log2(width))

    def damaged(self, what: str) -> DataError:
        """Error to raise when the stream makes no sense."""
        return DataError(
            f"{self._source}: {what}; the file is damaged or truncated, fetch it again"
        )

    def numbers(
        self, family: int, n: int, given: NDArray[np.integer] | None, *, is_signed: bool = False
    ) -> NDArray[np.int64]:
        """Code ``n`` numbers of unknown size."""
        values = self._room(n, given, _NUMBER_BYTES)
        code_numbers(self._state, self._buffer, self._prob, self._count, family, is_signed, values)
        self._check()
        return values

    def number(self, family: int, given: int | None) -> int:
        """Code one number that is not negative."""
        return int(self.numbers(family, 1, None if given is None else np.array([given]))[0])

    def bits(self, width: int, n: int, given: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """Code ``n`` numbers of ``width`` bits as they are."""
        values = self._room(n, given, _NUMBER_BYTES)
        code_bits(self._state, self._buffer, width, values)
        self._check()
        return values

    def scale(self, given: float | None) -> float:
        """Code a `short_float`: its exponent as the step from the one before."""
        stored = None if given is None else short_bits(given)
        step = None if stored is None else np.array([(stored >> 7) - self._exponent])
        self._exponent += int(self.numbers(_EXPONENT, 1, step, is_signed=True)[0])
        mantissa = self.bits(7, 1, None if stored is None else np.array([stored & 127]))[0]
        scale = from_short_bits((self._exponent << 7) | int(mantissa))
        if not 0 < scale <= MAX_SCALE:
            raise self.damaged(f"a scale of {scale}")
        return scale

    def codes(
        self, shape: Sequence[int], values: NDArray[np.float32], given: NDArray[np.uint8] | None
    ) -> NDArray[np.uint8]:
        """Code weights by their codebook."""
        size = int(np.prod(shape))
        codes = np.zeros(size, np.uint8)
        if given is not None:
            codes[:] = given.ravel()
            self._reserve(size * _WEIGHT_BYTES)
        n_below = int(np.count_nonzero(values < 0))
        code_weights(
            self._state,
            self._buffer,
            self._prob,
            self._count,
            self._mixing,
            _three(shape),
            n_below,
            values.size - n_below,
            codes,
        )
        self._check()
        return codes.reshape(tuple(shape))

    def finish(self) -> bytes:
        """End the stream; gives the bytes written.

        Raises
        ------
        DataError
            If what is read is longer or shorter than a writer would have made it.
        """
        tail = flush(self._state)
        at = int(self._state[POSITION])
        if self._reads:
            if at - 4 + len(tail) != self._n_bytes:
                raise self.damaged(f"{self._n_bytes} bytes where {at - 4 + len(tail)} belong")
            return b""
        return self._buffer[:at].tobytes() + tail

    def _room(self, n: int, given: NDArray[np.integer] | None, each: int) -> NDArray[np.int64]:
        values = np.zeros(n, np.int64)
        if given is not None:
            values[:] = np.asarray(given).ravel()
            self._reserve(n * each)
        return values

    def _reserve(self, n_bytes: int) -> None:
        if not self._reads and self._buffer.size < self._state[POSITION] + n_bytes + 8:
            more = np.zeros(n_bytes + 8 + self._buffer.size, np.uint8)
            self._buffer = np.concatenate([self._buffer, more])

    def _check(self) -> None:
        if self._state[DAMAGED]:
            raise self.damaged("a word that no writer makes")
        if self._reads and self._state[POSITION] > self._n_bytes + 4:
            raise self.damaged("the stream ends too early")


def _three(shape: Sequence[int]) -> tuple[int, int, int]:
    """Outputs, inputs and taps; whatever has more dimensions counts them as taps."""
    sizes = [int(n) for n in shape] + [1, 1]
    if len(shape) < 2:
        return 1, sizes[0], 1
    return sizes[0], sizes[1], int(np.prod(sizes[2:]))


def write_tensors(
    tensors: Mapping[str, Tensor],
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """All tensors as one stream.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Checked by `encode_weights`.

    Returns
    -------
    bytes
        The stream.
    dict of str to (int, int)
        Bits of each tensor's header and weights.
    """
    coder = ContextCoder([tensor.shape for tensor in tensors.values()])
    spent = {}
    for name, tensor in tensors.items():
        before = coder.n_bits
        _, middle = _tensor(coder, tensor.shape, tensor)
        spent[name] = (middle - before, coder.n_bits - middle)
    return coder.finish(), spent


def read_tensors(
    data: bytes, shapes: Mapping[str, Sequence[int]], source: str
) -> dict[str, Tensor]:
    """Tensors in the forms in which they were written.

    Parameters
    ----------
    data : bytes
        From `write_tensors`.
    shapes : mapping of str to sequence of int
        Name and shape of every tensor, in order.
    source : str
        Named in errors.

    Raises
    ------
    DataError
        If the stream is damaged.
    """
    coder = ContextCoder(list(shapes.values()), data, source)
    tensors = {name: _tensor(coder, shape, None)[0] for name, shape in shapes.items()}
    coder.finish()
    return tensors


def _tensor(coder: ContextCoder, shape: Sequence[int], given: Tensor | None) -> tuple[Tensor, int]:
    """Code one tensor; gives it and the bits of the stream where its weights begin."""
    kind = coder.number(_KIND, None if given is None else _kind_of(given))
    if kind in _PLAIN:
        assert given is None or isinstance(given, np.ndarray)
        start = coder.n_bits
        if kind in (_RAW_16, _RAW_32):
            flat = _floats(coder, _PLAIN[kind], int(np.prod(shape)), given)
            return flat.reshape(tuple(shape)), start
        mask = coder.codes(shape, _ONE, None if given is None else (given != 0).astype(np.uint8))
        weights = np.zeros(mask.shape, np.float32)
        used = None if given is None else given[given != 0]
        weights[mask > 0] = _floats(coder, _PLAIN[kind], int(np.count_nonzero(mask)), used)
        return weights, start
    if kind == _GRID:
        assert given is None or isinstance(given, GridTensor)
        width = 2 + coder.number(_SMALL, None if given is None else given.bits - 2)
        scale, start = coder.scale(None if given is None else given.scale), coder.n_bits
        levels = coder.numbers(
            _LEVEL, int(np.prod(shape)), None if given is None else given.levels, is_signed=True
        )
        if width > 8 or np.abs(levels).max(initial=0) >= 1 << (width - 1):
            raise coder.damaged(f"levels beyond {width} bits")
        return GridTensor(levels.astype(np.int8).reshape(tuple(shape)), scale, width), start
    if kind not in (_GRID_BOOK, _HALF_BOOK, _FLOAT_BOOK):
        raise coder.damaged(f"a tensor of kind {kind}")
    assert given is None or isinstance(given, SharedTensor)
    values, book_scale = _codebook(coder, kind, given)
    start = coder.n_bits
    codes = coder.codes(shape, values, None if given is None else given.codes)
    return SharedTensor(codes, values, book_scale), start


def _kind_of(tensor: Tensor) -> int:
    if isinstance(tensor, SharedTensor):
        if tensor.scale is not None:
            return _GRID_BOOK
        return _HALF_BOOK if is_half(tensor.values) else _FLOAT_BOOK
    if isinstance(tensor, GridTensor):
        return _GRID
    if tensor.size and np.mean(tensor == 0) >= _SPARSE_FROM:
        return _SPARSE_16 if is_half(tensor) else _SPARSE_32
    return _RAW_16 if is_half(tensor) else _RAW_32


def _floats(
    coder: ContextCoder, width: int, n: int, given: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Code floats of 16 or 32 bits as they are."""
    stored: NDArray[np.integer] | None = None
    if given is not None:
        flat = given.ravel()
        stored = flat.astype(np.float16).view(np.uint16) if width == 16 else flat.view(np.uint32)
    bits = coder.bits(width, n, stored)
    if width == 16:
        values = bits.astype(np.uint16).view(np.float16).astype(np.float32)
    else:
        values = bits.astype(np.uint32).view(np.float32)
    if not np.isfinite(values).all():
        raise coder.damaged("values that are not finite")
    return values


def _codebook(
    coder: ContextCoder, kind: int, given: SharedTensor | None
) -> tuple[NDArray[np.float32], float | None]:
    """Code a codebook; levels of a grid as the steps between them."""
    n = coder.number(_SMALL, None if given is None else given.values.size)
    if n > 255:
        raise coder.damaged(f"a codebook of {n} values")
    if kind != _GRID_BOOK:
        width = 16 if kind == _HALF_BOOK else 32
        values = _floats(coder, width, n, None if given is None else given.values)
        if (values == 0).any() or (np.diff(values) <= 0).any():
            raise coder.damaged("a codebook that does not ascend or holds zero")
        return values, None
    assert given is None or given.scale is not None
    scale = coder.scale(None if given is None else given.scale)
    levels = None
    if given is not None and given.scale is not None:
        levels = levels_of(given.values, given.scale)
    first = coder.numbers(_FIRST, min(n, 1), None if levels is None else levels[:1] + 127)
    steps = coder.numbers(_STEP, max(n - 1, 0), None if levels is None else np.diff(levels) - 1)
    found = np.cumsum(np.concatenate([first - 127, steps + 1]))
    if np.abs(found).max(initial=0) > 127 or (found == 0).any():
        raise coder.damaged("a codebook beyond its grid")
    return found.astype(np.float32) * np.float32(scale), scale

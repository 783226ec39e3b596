"""A stream of bits: numbers and Huffman words in, the same out, damage noticed.

The writer is numpy, the decoding loops are numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.compress.entropy import MAX_LENGTH, canonical_codes
from astroprep.errors import DataError

__all__ = ["BitReader", "BitWriter"]

_PADDING = 8  # bytes behind the stream that a decoder may look at before it notices the end


class BitWriter:
    """Bits in, bytes out; the first bit is the highest of the first byte."""

    def __init__(self) -> None:
        self._values: list[NDArray[np.uint64]] = []
        self._widths: list[NDArray[np.int64]] = []
        self.n_bits = 0

    def fields(self, values: NDArray[np.integer], widths: NDArray[np.integer] | int) -> None:
        """Append numbers, each in its own number of bits.

        Parameters
        ----------
        values : integer array, shape (n,)
            Non-negative and below ``2 ** widths``.
        widths : integer array, shape (n,), or int
            Bits of each, 0 to 32.
        """
        self._values.append(np.asarray(values).astype(np.uint64))
        self._widths.append(np.broadcast_to(np.asarray(widths, dtype=np.int64), len(values)))
        self.n_bits += int(self._widths[-1].sum())

    def field(self, value: int, width: int) -> None:
        """Append one number of ``width`` bits."""
        self.fields(np.array([value]), width)

    def varint(self, value: int) -> None:
        """Append a non-negative number of unknown size, groups of 7 bits, low groups first."""
        while value >= 128:
            self.field(128 + value % 128, 8)
            value //= 128
        self.field(value, 8)

    def table(self, lengths: NDArray[np.uint8]) -> None:
        """Append the word lengths of a Huffman table.

        Each as its step from the one before: ``0`` none, ``10`` one more, ``110`` one less,
        ``111`` and 4 bits for any other. Neighbouring symbols have like counts, so this takes
        about a third of 4 bits each.

        Parameters
        ----------
        lengths : uint8 array, shape (n_symbols,)
            From `code_lengths`.
        """
        step = np.diff(lengths.astype(np.int64), prepend=0)
        values = 112 + lengths.astype(np.int64)
        widths = np.full(lengths.size, 7)
        for delta, word, width in ((0, 0b0, 1), (1, 0b10, 2), (-1, 0b110, 3)):
            values[step == delta] = word
            widths[step == delta] = width
        self.fields(values, widths)

    def symbols(self, symbols: NDArray[np.integer], lengths: NDArray[np.uint8]) -> None:
        """Append Huffman words; a table with one used symbol takes no bits at all.

        Parameters
        ----------
        symbols : integer array, shape (n,)
            Each must have a length in the table.
        lengths : uint8 array, shape (n_symbols,)
            From `code_lengths`.
        """
        self.fields(*self.words(symbols, lengths))

    @staticmethod
    def words(
        symbols: NDArray[np.integer], lengths: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Huffman words and their lengths, for streams that interleave several tables.

        Parameters
        ----------
        symbols : integer array, shape (n,)
            Each must have a length in the table.
        lengths : uint8 array, shape (n_symbols,)
            From `code_lengths`.

        Returns
        -------
        values : uint32 array, shape (n,)
            The words.
        widths : int64 array, shape (n,)
            Their bits; all 0 for a table with one used symbol.
        """
        if np.count_nonzero(lengths) < 2:
            return np.zeros(len(symbols), np.uint32), np.zeros(len(symbols), np.int64)
        return canonical_codes(lengths)[symbols], lengths[symbols].astype(np.int64)

    def getvalue(self) -> bytes:
        """All bits so far, padded with zero bits to whole bytes."""
        if not self._values:
            return b""
        values, widths = np.concatenate(self._values), np.concatenate(self._widths)
        starts = np.cumsum(widths) - widths
        place = np.arange(int(widths.sum())) - np.repeat(starts, widths)
        shift = (np.repeat(widths, widths) - 1 - place).astype(np.uint64)
        return np.packbits((np.repeat(values, widths) >> shift & np.uint64(1)) > 0).tobytes()


@njit(cache=True)
def _peek(buffer: NDArray[np.uint8], bit: int, width: int) -> Any:
    """``width`` bits (at most 32) from position ``bit``; the buffer is padded behind its end."""
    byte = bit >> 3
    window = np.int64(0)
    for k in range(5):
        window = (window << 8) | np.int64(buffer[byte + k])
    return (window >> (40 - width - (bit & 7))) & ((1 << width) - 1)


@njit(cache=True)
def _read_fields(buffer: NDArray[np.uint8], bit: int, width: int, out: NDArray[np.uint32]) -> None:
    """Fill ``out`` with numbers of equal width."""
    for i in range(out.size):
        out[i] = _peek(buffer, bit + i * width, width)


@njit(cache=True)
def _decode_symbols(
    buffer: NDArray[np.uint8],
    bit: int,
    end: int,
    lookup: NDArray[np.uint32],
    width: int,
    out: NDArray[np.uint16],
) -> int:
    """Fill ``out``; return the bit behind the last word, or -1 when the bits ran out."""
    for i in range(out.size):
        if bit >= end:
            return -1
        entry = lookup[_peek(buffer, bit, width)]
        out[i] = entry >> 4
        bit += entry & 15
    return bit if bit <= end else -1


@njit(cache=True)
def _decode_sparse(
    buffer: NDArray[np.uint8],
    bit: int,
    end: int,
    gap_lookup: NDArray[np.uint32],
    gap_width: int,
    code_lookup: NDArray[np.uint32],
    code_width: int,
    n_nonzero: int,
    escape: int,
    out: NDArray[np.uint16],
) -> int:
    """Place ``n_nonzero`` codes by relative index; -1 when the bits ran out, -2 when a gap did."""
    position = 0
    for _ in range(n_nonzero):
        while True:
            if bit > end:
                return -1
            entry = gap_lookup[_peek(buffer, bit, gap_width)]
            bit += entry & 15
            gap = entry >> 4
            position += gap
            if position >= out.size:
                return -2
            if gap != escape:
                break
        entry = code_lookup[_peek(buffer, bit, code_width)]
        bit += entry & 15
        out[position] = entry >> 4
        position += 1
    return bit if bit <= end else -1


class BitReader:
    """Reads what `BitWriter` wrote, and nothing beyond its end.

    Parameters
    ----------
    data : bytes
        The whole stream.
    source : str
        Named in errors.
    """

    def __init__(self, data: bytes, source: str) -> None:
        self._buffer = np.frombuffer(data + bytes(_PADDING), dtype=np.uint8)
        self._end = 8 * len(data)
        self._bit = 0
        self._source = source

    def damaged(self, what: str) -> DataError:
        """Error to raise when the bits make no sense; says where."""
        return DataError(
            f"{self._source}: {what} (bit {self._bit} of {self._end}); "
            "the file is damaged or truncated, fetch it again"
        )

    def field(self, width: int) -> int:
        """Take one number of ``width`` bits (0 to 32)."""
        return int(self.fields(1, width)[0])

    def fields(self, count: int, width: int) -> NDArray[np.uint32]:
        """Numbers of equal width.

        Parameters
        ----------
        count : int
            How many.
        width : int
            Bits of each, 0 to 32.

        Returns
        -------
        uint32 array, shape (count,)
            The numbers.

        Raises
        ------
        DataError
            If the stream ends before.
        """
        last = self._bit + count * width
        if last > self._end:
            raise self.damaged(f"{count} numbers of {width} bits asked for, the stream ends before")
        out = np.zeros(count, dtype=np.uint32)
        _read_fields(self._buffer, self._bit, width, out)
        self._bit = last
        return out

    def varint(self, limit: int) -> int:
        """Take a number that `BitWriter.varint` wrote; more than ``limit`` is an error."""
        value = 0
        for shift in range(0, 35, 7):
            group = self.field(8)
            value += (group & 127) << shift
            if group < 128:
                break
        if value > limit:
            raise self.damaged(f"a count of {value} where at most {limit} is possible")
        return value

    def table(self, n_symbols: int) -> NDArray[np.uint8]:
        """Word lengths that `BitWriter.table` wrote.

        Parameters
        ----------
        n_symbols : int
            Size of the alphabet.

        Returns
        -------
        uint8 array, shape (n_symbols,)
            Bits of each word.

        Raises
        ------
        DataError
            If the stream ends before, or a length leaves 0 to 15.
        """
        lengths = np.zeros(n_symbols, dtype=np.uint8)
        now = 0
        for symbol in range(n_symbols):
            if self.field(1):
                if not self.field(1):
                    now += 1
                elif not self.field(1):
                    now -= 1
                else:
                    now = self.field(4)
            if not 0 <= now <= MAX_LENGTH:
                raise self.damaged(f"a Huffman word of {now} bits")
            lengths[symbol] = now
        return lengths

    def symbols(self, count: int, lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Decode Huffman words.

        Parameters
        ----------
        count : int
            How many symbols; this, not the stream, bounds the memory taken.
        lengths : uint8 array, shape (n_symbols,)
            The table.

        Returns
        -------
        uint16 array, shape (count,)
            The symbols.

        Raises
        ------
        DataError
            If the stream ends before or the table is not a prefix code.
        """
        out = np.zeros(count, dtype=np.uint16)
        if count:
            lookup, width = self._lookup(lengths)
            if width == 0:
                out[:] = lookup[0] >> 4
                return out
            end = _decode_symbols(self._buffer, self._bit, self._end, lookup, width, out)
            if end < 0:
                raise self.damaged(f"{count} Huffman words asked for, the stream ends before")
            self._bit = end
        return out

    def sparse(
        self,
        size: int,
        n_nonzero: int,
        gap_lengths: NDArray[np.uint8],
        code_lengths: NDArray[np.uint8],
    ) -> NDArray[np.uint16]:
        """Decode codes placed by relative index.

        Parameters
        ----------
        size : int
            Length of the result; this bounds the memory taken.
        n_nonzero : int
            How many codes were written.
        gap_lengths : uint8 array
            Table of the number of zeros before a code; the last symbol means that many zeros and
            no code yet.
        code_lengths : uint8 array
            Table of the codes.

        Returns
        -------
        uint16 array, shape (size,)
            The codes, 0 elsewhere.

        Raises
        ------
        DataError
            If the stream ends before, or places a code outside.
        """
        out = np.zeros(size, dtype=np.uint16)
        if n_nonzero:
            gap_lookup, gap_width = self._lookup(gap_lengths)
            code_lookup, code_width = self._lookup(code_lengths)
            end = _decode_sparse(
                self._buffer,
                self._bit,
                self._end,
                gap_lookup,
                gap_width,
                code_lookup,
                code_width,
                n_nonzero,
                gap_lengths.size - 1,
                out,
            )
            if end < 0:
                what = "the stream ends before" if end == -1 else "one falls outside the tensor"
                raise self.damaged(f"{n_nonzero} codes asked for, {what}")
            self._bit = end
        return out

    def finish(self) -> None:
        """Check that only zero padding, less than a byte, is left.

        Raises
        ------
        DataError
            If anything else is.
        """
        left = self._end - self._bit
        if left >= 8 or (left and self.field(left)):
            raise self.damaged(f"{left} bits left over")

    def _lookup(self, lengths: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], int]:
        """Symbol and length (low 4 bits) for every window of the longest word's width."""
        canonical_codes(lengths)  # raises unless it is a prefix code
        used = np.flatnonzero(lengths)
        if used.size == 0:
            raise self.damaged("symbols of an empty Huffman table")
        if used.size == 1:  # known without reading: one entry, no bits
            return np.array([used[0] << 4], dtype=np.uint32), 0
        width = int(lengths.max())
        order = used[np.lexsort((used, lengths[used]))]
        entries = (order.astype(np.uint32) << 4) | lengths[order]
        spans = 1 << (width - lengths[order].astype(np.int64))
        return np.repeat(entries, spans), width

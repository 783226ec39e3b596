"""The weights file: every tensor of a network in one coded, checked stream of bits.

Layout, version 1: ``AW``, the version (1 byte), a CRC-32 of the tensor names, shapes and the rest
(4 bytes), then one bit stream (see `entropy.BitWriter`): a header per tensor, the Huffman tables,
the payload of each tensor. Names and shapes are not stored: they follow from the network's
specification. Decoding is integer arithmetic, look-ups and products that are exact in float32, so
the weights are the same to the bit on every machine.

Three kinds of tensor:

- raw: float16 if that is exact, else float32;
- grid: integers of 1 to 8 bits times one scale (biases);
- shared: few distinct values (a codebook), Huffman-coded either densely or, where that is smaller,
  as pairs (zeros skipped, value): Han et al. 2016, arXiv:1510.00149, section 2 and 3.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.entropy import (
    BitReader,
    BitWriter,
    code_lengths,
    encoded_bits,
    group_tables,
)
from astroprep.errors import ConfigError, DataError

__all__ = [
    "GridTensor",
    "SharedTensor",
    "StoredTensor",
    "Tensor",
    "decode_weights",
    "dense",
    "encode_weights",
    "short_float",
    "stored_tensors",
]

MAGIC = b"AW"
VERSION = 1
HEADER_BYTES = 7
MAX_PARAMETERS = 1 << 24  # a compact network has thousands; this bounds memory at 64 MiB
MAX_VALUES = 255  # codes are 8 bits, and 0 is the zero weight
LONGEST_RUNS = (3, 7, 15, 31, 63, 127, 255, 511)  # zeros that one gap symbol can skip

_RAW, _GRID, _SHARED = 0, 1, 2
_GRID_BOOK, _HALF_BOOK, _FLOAT_BOOK = 0, 1, 2
_TABLE_BITS_PER_SYMBOL = 1.4  # measured on pruned layers; only steers which layers share a table


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


@dataclass(frozen=True)
class StoredTensor:
    """What one tensor costs in the file.

    Parameters
    ----------
    name : str
        Its name in the network.
    kind : str
        ``"raw"``, ``"grid"``, ``"dense"`` or ``"sparse"`` (the two codings of shared weights).
    n_weights, n_nonzero, n_values : int
        Size, weights that are not zero, different values among those.
    header_bits, payload_bits : int
        Own header with the codebook, and the coded weights; Huffman tables are common to several
        tensors and counted in neither.
    """

    name: str
    kind: str
    n_weights: int
    n_nonzero: int
    n_values: int
    header_bits: int
    payload_bits: int


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
    if np.uint32(bits).view(np.float32) < value:
        bits += 1
    return float(np.uint32((bits + 0xFFFF) & 0xFFFF0000).view(np.float32))


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


def encode_weights(tensors: Mapping[str, Tensor]) -> bytes:
    """All tensors of a network as the bytes of a weights file.

    Parameters
    ----------
    tensors : mapping of str to SharedTensor, GridTensor or float32 array
        In the order of the network's specification.

    Returns
    -------
    bytes
        Equal content gives equal bytes.

    Raises
    ------
    ConfigError
        If a tensor cannot be stored exactly: more than 255 values, a codebook that is not sorted,
        holds zero or is no multiple of its scale, codes or levels out of range, too many weights.
    """
    data, _ = _encode(tensors)
    return data


def stored_tensors(tensors: Mapping[str, Tensor]) -> list[StoredTensor]:
    """What each tensor would cost in the file that `encode_weights` writes.

    Parameters
    ----------
    tensors : mapping of str to SharedTensor, GridTensor or float32 array
        In the order of the network's specification.

    Returns
    -------
    list of StoredTensor
        One a tensor, in order.
    """
    _, stored = _encode(tensors)
    return stored


def decode_weights(
    data: bytes, shapes: Mapping[str, Sequence[int]], *, source: str = "weights.bin"
) -> dict[str, NDArray[np.float32]]:
    """Read a weights file back.

    Parameters
    ----------
    data : bytes
        From `encode_weights`.
    shapes : mapping of str to sequence of int
        Name and shape of every tensor, in the order they were written. They alone bound the
        memory taken.
    source : str, default "weights.bin"
        Named in errors.

    Returns
    -------
    dict of str to float32 array
        Exactly the weights that were written.

    Raises
    ------
    DataError
        If the bytes are damaged, truncated, of another version or of a network of other shapes.
    """
    sizes = {name: int(np.prod(shape, dtype=object)) for name, shape in shapes.items()}
    if any(min(shape, default=1) < 0 for shape in shapes.values()):
        raise DataError(f"{source}: a tensor shape has a negative size: {dict(shapes)}")
    if sum(sizes.values()) > MAX_PARAMETERS:
        raise DataError(
            f"{source}: the network has {sum(sizes.values())} weights, at most {MAX_PARAMETERS} "
            "are read; this is not a compact network"
        )
    if len(data) < HEADER_BYTES or data[:2] != MAGIC:
        raise DataError(f"{source}: not a weights file ({len(data)} bytes, begins {data[:2]!r})")
    if data[2] != VERSION:
        raise DataError(
            f"{source}: weights file of version {data[2]}, this astroprep reads version {VERSION}; "
            "use the astroprep that wrote it, or a newer one"
        )
    body = data[HEADER_BYTES:]
    if int.from_bytes(data[3:7], "little") != _checksum(shapes, body):
        raise DataError(
            f"{source}: the checksum does not match; the file is damaged or truncated, or belongs "
            "to a network of other shapes: fetch it again"
        )
    return _decode(BitReader(body, source), shapes, sizes)


def _checksum(shapes: Mapping[str, Sequence[int]], body: bytes) -> int:
    layout = json.dumps([[name, [int(n) for n in shape]] for name, shape in shapes.items()])
    return zlib.crc32(body, zlib.crc32(layout.encode()))


@dataclass
class _Coded:
    """A shared tensor on its way into the file."""

    codes: NDArray[np.uint8]  # flat
    is_sparse: bool
    positions: NDArray[np.int64]  # of the weights that are not zero


def _encode(tensors: Mapping[str, Tensor]) -> tuple[bytes, list[StoredTensor]]:
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if sum(int(np.prod(shape)) for shape in shapes.values()) > MAX_PARAMETERS:
        raise ConfigError(f"encode_weights: more than {MAX_PARAMETERS} weights")
    coded = {n: _prepare(t.codes) for n, t in tensors.items() if isinstance(t, SharedTensor)}
    run = min(range(len(LONGEST_RUNS)), key=lambda r: (_Tables(coded, r).total_bits(), r))
    tables = _Tables(coded, run)

    writer, stored = BitWriter(), []
    headers = [_write_header(writer, tensor, coded.get(name)) for name, tensor in tensors.items()]
    tables.write(writer)
    for (name, tensor), header_bits in zip(tensors.items(), headers, strict=True):
        weights = dense(tensor)
        if isinstance(tensor, SharedTensor):
            kind = "sparse" if coded[name].is_sparse else "dense"
            payload_bits = tables.write_payload(writer, name)
        else:
            kind = "grid" if isinstance(tensor, GridTensor) else "raw"
            payload_bits = _write_plain(writer, tensor)
        stored.append(
            StoredTensor(
                name,
                kind,
                n_weights=weights.size,
                n_nonzero=int(np.count_nonzero(weights)),
                n_values=int(np.unique(weights[weights != 0]).size),
                header_bits=header_bits,
                payload_bits=payload_bits,
            )
        )
    body = writer.getvalue()
    head = MAGIC + bytes([VERSION]) + _checksum(shapes, body).to_bytes(4, "little")
    return head + body, stored


def _check_tensor(name: str, tensor: Tensor) -> None:
    """Refuse what the file could not give back exactly."""
    wrong = ""
    if isinstance(tensor, SharedTensor):
        values = tensor.values
        if values.size > MAX_VALUES or values.dtype != np.float32:
            wrong = f"needs at most {MAX_VALUES} float32 values, has {values.size} {values.dtype}"
        elif not np.isfinite(values).all() or np.any(values == 0) or np.any(np.diff(values) <= 0):
            wrong = "needs ascending finite values other than zero"
        elif tensor.codes.dtype != np.uint8 or tensor.codes.max(initial=0) > values.size:
            wrong = f"has codes that are not uint8 from 0 to {values.size}"
        elif tensor.scale is not None:
            levels = _levels(values, tensor.scale)
            if not np.array_equal(levels.astype(np.float32) * np.float32(tensor.scale), values):
                wrong = f"has values that are no multiples (at most 127) of {tensor.scale}"
    elif isinstance(tensor, GridTensor):
        top = (1 << (tensor.bits - 1)) - 1
        if not 2 <= tensor.bits <= 8 or np.abs(tensor.levels.astype(int)).max(initial=0) > top:
            wrong = f"has levels that do not fit {tensor.bits} bits (2 to 8)"
        elif tensor.scale != short_float(tensor.scale):
            wrong = f"has scale {tensor.scale}, which is not a short_float"
    elif not np.isfinite(tensor).all() or tensor.dtype != np.float32:
        wrong = "needs finite float32 weights"
    if wrong:
        raise ConfigError(f"encode_weights: tensor {name!r} {wrong}")


def _levels(values: NDArray[np.float32], scale: float) -> NDArray[np.int64]:
    return np.clip(np.rint(values.astype(np.float64) / scale), -127, 127).astype(np.int64)


def _gaps(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Zeros in front of each weight that is not zero."""
    return np.diff(positions, prepend=-1) - 1


def _prepare(codes: NDArray[np.uint8]) -> _Coded:
    """Choose the smaller coding of one tensor, by the exact cost with tables of its own."""
    flat = np.ascontiguousarray(codes).ravel()
    positions = np.flatnonzero(flat)
    lengths = code_lengths(np.bincount(flat, minlength=1))
    dense_bits = encoded_bits(flat, lengths) + lengths.size * _TABLE_BITS_PER_SYMBOL
    gaps = np.minimum(_gaps(positions), LONGEST_RUNS[-1])
    sparse_bits = 0.0
    for symbols in (gaps, flat[positions]):
        lengths = code_lengths(np.bincount(symbols, minlength=1))
        sparse_bits += encoded_bits(symbols, lengths)
        sparse_bits += min(lengths.size, 32) * _TABLE_BITS_PER_SYMBOL
    return _Coded(flat, is_sparse=sparse_bits < dense_bits, positions=positions)


class _Tables:
    """The Huffman tables of a file: gaps, codes of sparse and codes of dense tensors.

    Parameters
    ----------
    coded : dict of str to _Coded
        The shared tensors.
    run : int
        Index into ``LONGEST_RUNS`` of the longest gap that one symbol skips.
    """

    def __init__(self, coded: dict[str, _Coded], run: int) -> None:
        self.run = run
        self.streams: list[dict[str, NDArray[np.int64]]] = [{}, {}, {}]
        for name, tensor in coded.items():
            if not tensor.is_sparse:
                self.streams[2][name] = tensor.codes.astype(np.int64)
            elif tensor.positions.size:
                self.streams[0][name] = self._gap_symbols(_gaps(tensor.positions))
                self.streams[1][name] = tensor.codes[tensor.positions].astype(np.int64)
        self.n_symbols: list[int] = []
        self.lengths: list[list[NDArray[np.uint8]]] = []
        self.member: list[dict[str, int]] = []
        for family, streams in enumerate(self.streams):
            top = max((int(s.max(initial=0)) for s in streams.values()), default=0)
            n_symbols = LONGEST_RUNS[run] + 1 if family == 0 else top + 1
            counts = [np.bincount(s, minlength=n_symbols) for s in streams.values()]
            sums, member = group_tables(counts, round(n_symbols * _TABLE_BITS_PER_SYMBOL))
            self.n_symbols.append(n_symbols)
            self.lengths.append([code_lengths(s) for s in sums])
            self.member.append(dict(zip(streams, member, strict=True)))

    def _gap_symbols(self, gaps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each gap as escapes (the longest run, no weight after it) and a rest."""
        longest = LONGEST_RUNS[self.run]
        escapes = gaps // longest
        symbols = np.full(int((escapes + 1).sum()), longest, dtype=np.int64)
        symbols[np.cumsum(escapes + 1) - 1] = gaps % longest
        return symbols

    def total_bits(self) -> int:
        """Bits of tables and payloads."""
        writer = BitWriter()
        self.write(writer)
        bits = writer.n_bits
        for family, streams in enumerate(self.streams):
            for name, symbols in streams.items():
                bits += encoded_bits(symbols, self.lengths[family][self.member[family][name]])
        return bits

    def write(self, writer: BitWriter) -> None:
        """Tables, and which tensor uses which."""
        writer.field(self.run, 3)
        for family, tables in enumerate(self.lengths):
            writer.varint(len(tables))
            if not tables:
                continue
            if family > 0:
                writer.field(self.n_symbols[family] - 1, 8)
            for lengths in tables:
                writer.table(lengths)
            width = (len(tables) - 1).bit_length()
            writer.fields(np.array(list(self.member[family].values())), width)

    def write_payload(self, writer: BitWriter, name: str) -> int:
        """The coded weights of one tensor; returns the bits spent."""
        if name in self.streams[2]:
            lengths = self.lengths[2][self.member[2][name]]
            writer.symbols(self.streams[2][name], lengths)
            return encoded_bits(self.streams[2][name], lengths)
        if name not in self.streams[0]:
            return 0
        gap_lengths = self.lengths[0][self.member[0][name]]
        own_lengths = self.lengths[1][self.member[1][name]]
        gaps, codes = self.streams[0][name], self.streams[1][name]
        escaped = gaps == gap_lengths.size - 1
        words = BitWriter.words(gaps, gap_lengths), BitWriter.words(codes, own_lengths)
        order = np.concatenate([np.arange(gaps.size), np.flatnonzero(~escaped) + 0.5]).argsort()
        values, widths = (np.concatenate(pair)[order] for pair in zip(*words, strict=True))
        writer.fields(values, widths)
        return int(widths.sum())


def _write_header(writer: BitWriter, tensor: Tensor, coded: _Coded | None) -> int:
    """Kind, scale, codebook; returns the bits spent."""
    before = writer.n_bits
    if isinstance(tensor, SharedTensor) and coded is not None:
        writer.field(_SHARED, 2)
        writer.field(coded.is_sparse, 1)
        if coded.is_sparse:
            writer.varint(coded.positions.size)
        writer.field(tensor.values.size, 8)
        if tensor.scale is not None:
            writer.field(_GRID_BOOK, 2)
            writer.field(_short_bits(tensor.scale), 16)
            writer.fields(_levels(tensor.values, tensor.scale) + 127, 8)
        elif np.array_equal(_half(tensor.values), tensor.values):
            writer.field(_HALF_BOOK, 2)
            writer.fields(tensor.values.astype(np.float16).view(np.uint16), 16)
        else:
            writer.field(_FLOAT_BOOK, 2)
            writer.fields(tensor.values.view(np.uint32), 32)
    elif isinstance(tensor, GridTensor):
        writer.field(_GRID, 2)
        writer.field(tensor.bits - 1, 3)
        writer.field(_short_bits(tensor.scale), 16)
    else:
        writer.field(_RAW, 2)
        weights = dense(tensor)
        writer.field(not np.array_equal(_half(weights), weights), 1)
    return writer.n_bits - before


def _write_plain(writer: BitWriter, tensor: GridTensor | NDArray[np.float32]) -> int:
    """Payload of a raw or grid tensor; returns the bits spent."""
    if isinstance(tensor, GridTensor):
        top = (1 << (tensor.bits - 1)) - 1
        writer.fields(tensor.levels.ravel().astype(np.int64) + top, tensor.bits)
        return int(tensor.bits * tensor.levels.size)
    weights = dense(tensor).ravel()
    if np.array_equal(_half(weights), weights):
        writer.fields(weights.astype(np.float16).view(np.uint16), 16)
        return 16 * weights.size
    writer.fields(weights.view(np.uint32), 32)
    return 32 * weights.size


def _half(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Through float16 and back; what overflows becomes infinite and so compares unequal."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _short_bits(scale: float) -> int:
    return int(np.float32(scale).view(np.uint32)) >> 16


@dataclass
class _Header:
    """What the file says about one tensor before its payload."""

    kind: int
    is_sparse: bool = False
    n_nonzero: int = 0
    values: NDArray[np.float32] | None = None
    bits: int = 0
    scale: np.float32 = np.float32(0)


def _decode(
    reader: BitReader, shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int]
) -> dict[str, NDArray[np.float32]]:
    headers = {name: _read_header(reader, size) for name, size in sizes.items()}
    longest = LONGEST_RUNS[reader.field(3)]
    shared = {name: h for name, h in headers.items() if h.kind == _SHARED}
    sparse = [name for name, h in shared.items() if h.is_sparse and h.n_nonzero]
    gap_table = _read_tables(reader, sparse, longest + 1)
    code_table = _read_tables(reader, sparse, None)
    dense_table = _read_tables(reader, [n for n, h in shared.items() if not h.is_sparse], None)

    weights = {}
    for name, header in headers.items():
        size = sizes[name]
        if header.values is not None:
            if not header.is_sparse:
                codes = reader.symbols(size, dense_table[name])
            elif header.n_nonzero:
                codes = reader.sparse(size, header.n_nonzero, gap_table[name], code_table[name])
            else:
                codes = np.zeros(size, dtype=np.uint16)
            book = np.concatenate([np.zeros(1, np.float32), header.values])
            if codes.max(initial=0) >= book.size:
                raise reader.damaged(f"tensor {name!r} has a code beyond its {book.size - 1} values")
            flat = book[codes]
        elif header.kind == _GRID:
            top = (1 << (header.bits - 1)) - 1
            levels = reader.fields(size, header.bits).astype(np.int64) - top
            flat = levels.astype(np.float32) * header.scale
        elif header.bits == 16:
            flat = reader.fields(size, 16).astype(np.uint16).view(np.float16).astype(np.float32)
        else:
            flat = reader.fields(size, 32).view(np.float32)
        if not np.isfinite(flat).all():
            raise reader.damaged(f"tensor {name!r} holds values that are not finite")
        weights[name] = flat.reshape(tuple(shapes[name]))
    reader.finish()
    return weights


def _read_header(reader: BitReader, size: int) -> _Header:
    kind = reader.field(2)
    if kind == _RAW:
        return _Header(kind, bits=32 if reader.field(1) else 16)
    if kind == _GRID:
        return _Header(kind, bits=1 + reader.field(3), scale=_read_short(reader))
    if kind != _SHARED:
        raise reader.damaged(f"a tensor of kind {kind}")
    is_sparse = bool(reader.field(1))
    n_nonzero = reader.varint(size) if is_sparse else 0
    n_values = reader.field(8)
    book = reader.field(2)
    if book == _GRID_BOOK:
        scale = _read_short(reader)
        levels = reader.fields(n_values, 8).astype(np.int64) - 127
        values = levels.astype(np.float32) * scale
    elif book == _HALF_BOOK:
        values = reader.fields(n_values, 16).astype(np.uint16).view(np.float16).astype(np.float32)
    elif book == _FLOAT_BOOK:
        values = reader.fields(n_values, 32).view(np.float32)
    else:
        raise reader.damaged(f"a codebook of kind {book}")
    return _Header(kind, is_sparse=is_sparse, n_nonzero=n_nonzero, values=values)


def _read_short(reader: BitReader) -> np.float32:
    return np.uint32(reader.field(16) << 16).view(np.float32)


def _read_tables(
    reader: BitReader, names: Sequence[str], n_symbols: int | None
) -> dict[str, NDArray[np.uint8]]:
    """The table of each of these tensors; the alphabet is stored unless it is given."""
    n_tables = reader.varint(len(names))
    if bool(n_tables) != bool(names):
        raise reader.damaged(f"{n_tables} Huffman tables for {len(names)} tensors")
    if not n_tables:
        return {}
    if n_symbols is None:
        n_symbols = 1 + reader.field(8)
    tables = [reader.table(n_symbols) for _ in range(n_tables)]
    member = reader.fields(len(names), (n_tables - 1).bit_length())
    if member.max(initial=0) >= n_tables:
        raise reader.damaged(f"table {member.max()} of {n_tables}")
    return {name: tables[m] for name, m in zip(names, member.tolist(), strict=True)}

"""Write the weights file: choose codings and tables by their exact cost, then pack the bits.

The layout is described in `astroprep.compress.weights`, which reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.bits import BitWriter
from astroprep.compress.context import write_tensors
from astroprep.compress.entropy import code_lengths, encoded_bits, group_tables
from astroprep.compress.tensors import (
    MAX_SCALE,
    GridTensor,
    SharedTensor,
    Tensor,
    dense,
    is_half,
    levels_of,
    short_bits,
    short_float,
)
from astroprep.compress.weights import (
    FLOAT_BOOK,
    GRID,
    GRID_BOOK,
    HALF_BOOK,
    LONGEST_RUNS,
    MAGIC,
    MAX_PARAMETERS,
    RAW,
    SHARED,
    VERSION,
    VERSION_CONTEXT,
    checksum,
)
from astroprep.errors import ConfigError

__all__ = ["Coder", "StoredTensor", "encode_weights", "stored_tensors"]

Coder = Literal["smallest", "context", "huffman"]
"""The adaptive arithmetic coder, Huffman words on relative indices, or whichever takes less."""

MAX_VALUES = 255  # codes are 8 bits, and 0 is the zero weight
_TABLE_BITS_PER_SYMBOL = 1.4  # measured on pruned layers; only steers which layers share a table


@dataclass(frozen=True)
class StoredTensor:
    """What one tensor costs in the file.

    Parameters
    ----------
    name : str
        Its name in the network.
    kind : str
        ``"raw"``, ``"grid"``, ``"shared"``, or ``"dense"`` or ``"sparse"`` for the two ways in
        which Huffman words hold shared weights.
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


def encode_weights(tensors: Mapping[str, Tensor], coder: Coder = "smallest") -> bytes:
    """All tensors of a network as the bytes of a weights file.

    Parameters
    ----------
    tensors : mapping of str to SharedTensor, GridTensor or float32 array
        In the order of the network's specification.
    coder : {"smallest", "context", "huffman"}, default "smallest"
        See `Coder`.

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
    data, _ = _encode(tensors, coder)
    return data


def stored_tensors(tensors: Mapping[str, Tensor], coder: Coder = "smallest") -> list[StoredTensor]:
    """What each tensor would cost in the file that `encode_weights` writes.

    Parameters
    ----------
    tensors : mapping of str to SharedTensor, GridTensor or float32 array
        In the order of the network's specification.
    coder : {"smallest", "context", "huffman"}, default "smallest"
        See `Coder`.

    Returns
    -------
    list of StoredTensor
        One a tensor, in order.
    """
    _, stored = _encode(tensors, coder)
    return stored


@dataclass
class _Coded:
    """A shared tensor on its way into the file."""

    codes: NDArray[np.uint8]  # flat
    is_sparse: bool
    positions: NDArray[np.int64]  # of the weights that are not zero


def _encode(tensors: Mapping[str, Tensor], coder: Coder) -> tuple[bytes, list[StoredTensor]]:
    if coder not in ("smallest", "context", "huffman"):
        raise ConfigError(f"encode_weights: unknown coder {coder!r}")
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
    if sum(int(np.prod(tensor.shape)) for tensor in tensors.values()) > MAX_PARAMETERS:
        raise ConfigError(f"encode_weights: more than {MAX_PARAMETERS} weights")
    made = []
    if coder != "huffman":
        made.append(_by_context(tensors))
    if coder != "context":
        made.append(_by_huffman(tensors))
    return min(made, key=lambda one: len(one[0]))


def _file(tensors: Mapping[str, Tensor], version: int, body: bytes) -> bytes:
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return MAGIC + bytes([version]) + checksum(shapes, body).to_bytes(4, "little") + body


def _by_context(tensors: Mapping[str, Tensor]) -> tuple[bytes, list[StoredTensor]]:
    body, spent = write_tensors(tensors)
    stored = [
        _stored(name, tensor, _kind(tensor), *spent[name]) for name, tensor in tensors.items()
    ]
    return _file(tensors, VERSION_CONTEXT, body), stored


def _by_huffman(tensors: Mapping[str, Tensor]) -> tuple[bytes, list[StoredTensor]]:
    coded = {n: _prepare(t.codes) for n, t in tensors.items() if isinstance(t, SharedTensor)}
    run = min(range(len(LONGEST_RUNS)), key=lambda r: (_Tables(coded, r).total_bits(), r))
    tables = _Tables(coded, run)

    writer, stored = BitWriter(), []
    headers = [_write_header(writer, tensor, coded.get(name)) for name, tensor in tensors.items()]
    tables.write(writer)
    for (name, tensor), header_bits in zip(tensors.items(), headers, strict=True):
        if isinstance(tensor, SharedTensor):
            kind = "sparse" if coded[name].is_sparse else "dense"
            payload_bits = tables.write_payload(writer, name)
        else:
            kind = _kind(tensor)
            payload_bits = _write_plain(writer, tensor)
        stored.append(_stored(name, tensor, kind, header_bits, payload_bits))
    return _file(tensors, VERSION, writer.getvalue()), stored


def _kind(tensor: Tensor) -> str:
    if isinstance(tensor, SharedTensor):
        return "shared"
    return "grid" if isinstance(tensor, GridTensor) else "raw"


def _stored(
    name: str, tensor: Tensor, kind: str, header_bits: int, payload_bits: int
) -> StoredTensor:
    weights = dense(tensor)
    return StoredTensor(
        name,
        kind,
        n_weights=weights.size,
        n_nonzero=int(np.count_nonzero(weights)),
        n_values=int(np.unique(weights[weights != 0]).size),
        header_bits=header_bits,
        payload_bits=payload_bits,
    )


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
        elif tensor.scale is not None and not _is_scale(tensor.scale):
            wrong = f"has scale {tensor.scale}, which is not a short_float"
        elif tensor.scale is not None:
            levels = levels_of(values, tensor.scale)
            if not np.array_equal(levels.astype(np.float32) * np.float32(tensor.scale), values):
                wrong = f"has values that are no multiples (at most 127) of {tensor.scale}"
    elif isinstance(tensor, GridTensor):
        top = (1 << (tensor.bits - 1)) - 1
        if not 2 <= tensor.bits <= 8 or np.abs(tensor.levels.astype(int)).max(initial=0) > top:
            wrong = f"has levels that do not fit {tensor.bits} bits (2 to 8)"
        elif not _is_scale(tensor.scale):
            wrong = f"has scale {tensor.scale}, which is not a short_float"
    elif not np.isfinite(tensor).all() or tensor.dtype != np.float32:
        wrong = "needs finite float32 weights"
    if wrong:
        raise ConfigError(f"encode_weights: tensor {name!r} {wrong}")


def _is_scale(scale: float) -> bool:
    return 0 < scale <= MAX_SCALE and scale == short_float(scale)


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
        gap_words, gap_widths = BitWriter.words(gaps, gap_lengths)
        code_words, code_widths = BitWriter.words(codes, own_lengths)
        order = np.concatenate([np.arange(gaps.size), np.flatnonzero(~escaped) + 0.5]).argsort()
        widths = np.concatenate([gap_widths, code_widths])[order]
        writer.fields(np.concatenate([gap_words, code_words])[order], widths)
        return int(widths.sum())


def _write_header(writer: BitWriter, tensor: Tensor, coded: _Coded | None) -> int:
    """Kind, scale, codebook; returns the bits spent."""
    before = writer.n_bits
    if isinstance(tensor, SharedTensor) and coded is not None:
        writer.field(SHARED, 2)
        writer.field(coded.is_sparse, 1)
        if coded.is_sparse:
            writer.varint(coded.positions.size)
        writer.field(tensor.values.size, 8)
        if tensor.scale is not None:
            writer.field(GRID_BOOK, 2)
            writer.field(short_bits(tensor.scale), 16)
            writer.fields(levels_of(tensor.values, tensor.scale) + 127, 8)
        elif is_half(tensor.values):
            writer.field(HALF_BOOK, 2)
            writer.fields(tensor.values.astype(np.float16).view(np.uint16), 16)
        else:
            writer.field(FLOAT_BOOK, 2)
            writer.fields(tensor.values.view(np.uint32), 32)
    elif isinstance(tensor, GridTensor):
        writer.field(GRID, 2)
        writer.field(tensor.bits - 1, 3)
        writer.field(short_bits(tensor.scale), 16)
    else:
        writer.field(RAW, 2)
        weights = dense(tensor)
        writer.field(not is_half(weights), 1)
    return writer.n_bits - before


def _write_plain(writer: BitWriter, tensor: GridTensor | NDArray[np.float32]) -> int:
    """Payload of a raw or grid tensor; returns the bits spent."""
    if isinstance(tensor, GridTensor):
        top = (1 << (tensor.bits - 1)) - 1
        writer.fields(tensor.levels.ravel().astype(np.int64) + top, tensor.bits)
        return int(tensor.bits * tensor.levels.size)
    weights = dense(tensor).ravel()
    if is_half(weights):
        writer.fields(weights.astype(np.float16).view(np.uint16), 16)
        return 16 * weights.size
    writer.fields(weights.view(np.uint32), 32)
    return 32 * weights.size

"""Read the weights file: every tensor of a network in one coded, checked stream of bits.

Layout: ``AW``, the version (1 byte), a CRC-32 of the tensor names, shapes and the rest (4 bytes),
then the body. That of version 2 is one arithmetic-coded stream (see `context`), that of version 1
one bit stream (see `bits.BitWriter`): a header per tensor, the Huffman tables, the payload of
each tensor; a writer takes whichever is smaller. Names and shapes are not stored: they follow from
the network's specification. Decoding is integer arithmetic, look-ups and products that are exact in
float32, so the weights are the same to the bit on every machine.

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

from astroprep.compress.bits import BitReader
from astroprep.compress.context import read_tensors
from astroprep.compress.tensors import MAX_SCALE, dense
from astroprep.errors import DataError

__all__ = ["decode_weights"]

MAGIC = b"AW"
VERSION = 1
VERSION_CONTEXT = 2
HEADER_BYTES = 7
MAX_PARAMETERS = 1 << 24  # a compact network has thousands; this bounds memory at 64 MiB
LONGEST_RUNS = (3, 7, 15, 31, 63, 127, 255, 511)  # zeros that one gap symbol can skip

RAW, GRID, SHARED = 0, 1, 2
GRID_BOOK, HALF_BOOK, FLOAT_BOOK = 0, 1, 2


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
    if data[2] not in (VERSION, VERSION_CONTEXT):
        raise DataError(
            f"{source}: weights file of version {data[2]}, this astroprep reads {VERSION} and "
            f"{VERSION_CONTEXT}; use the astroprep that wrote it, or a newer one"
        )
    body = data[HEADER_BYTES:]
    if int.from_bytes(data[3:7], "little") != checksum(shapes, body):
        raise DataError(
            f"{source}: the checksum does not match; the file is damaged or truncated, or belongs "
            "to a network of other shapes: fetch it again"
        )
    if data[2] == VERSION_CONTEXT:
        return {name: dense(t) for name, t in read_tensors(body, shapes, source).items()}
    return _decode(BitReader(body, source), shapes, sizes)


def checksum(shapes: Mapping[str, Sequence[int]], body: bytes) -> int:
    """CRC-32 of the names and shapes of the tensors and of what follows the header.

    Parameters
    ----------
    shapes : mapping of str to sequence of int
        In the order of the file.
    body : bytes
        The file behind its first 7 bytes.

    Returns
    -------
    int
        32 bits.
    """
    layout = json.dumps([[name, [int(n) for n in shape]] for name, shape in shapes.items()])
    return zlib.crc32(body, zlib.crc32(layout.encode()))


@dataclass
class _Header:
    """What the file says about one tensor before its payload."""

    kind: int
    is_sparse: bool = False
    n_nonzero: int = 0
    values: NDArray[np.float32] | None = None
    bits: int = 0
    scale: float = 0.0


def _decode(
    reader: BitReader, shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int]
) -> dict[str, NDArray[np.float32]]:
    headers = {name: _read_header(reader, size) for name, size in sizes.items()}
    longest = LONGEST_RUNS[reader.field(3)]
    shared = {name: h for name, h in headers.items() if h.kind == SHARED}
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
                raise reader.damaged(
                    f"tensor {name!r} has a code beyond its {book.size - 1} values"
                )
            flat = book[codes]
        elif header.kind == GRID:
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
    if kind == RAW:
        return _Header(kind, bits=32 if reader.field(1) else 16)
    if kind == GRID:
        return _Header(kind, bits=1 + reader.field(3), scale=_read_short(reader))
    if kind != SHARED:
        raise reader.damaged(f"a tensor of kind {kind}")
    is_sparse = bool(reader.field(1))
    n_nonzero = reader.varint(size) if is_sparse else 0
    n_values = reader.field(8)
    book = reader.field(2)
    if book == GRID_BOOK:
        scale = _read_short(reader)
        levels = reader.fields(n_values, 8).astype(np.int64) - 127
        values = levels.astype(np.float32) * scale
    elif book == HALF_BOOK:
        values = reader.fields(n_values, 16).astype(np.uint16).view(np.float16).astype(np.float32)
    elif book == FLOAT_BOOK:
        values = reader.fields(n_values, 32).view(np.float32)
    else:
        raise reader.damaged(f"a codebook of kind {book}")
    return _Header(kind, is_sparse=is_sparse, n_nonzero=n_nonzero, values=values)


def _read_short(reader: BitReader) -> float:
    scale = np.uint32(reader.field(16) << 16).view(np.float32)
    if not 0 < scale <= MAX_SCALE:
        raise reader.damaged(f"a scale of {scale}")
    return float(scale)


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

"""Avro object containers: header, blocks and their compression."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from astroprep.errors import DataError

__all__ = ["read_container"]

MAGIC = b"Obj\x01"
SYNC = 16  # bytes of the marker behind each block
MOST_BYTES = 1 << 28  # of one block after inflating
MOST_RECORDS = 1 << 24  # in one block
LARGEST_SCHEMA = 1 << 22


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A zigzag number and the position behind it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DataError("it ends early or has a number longer than 64 bits")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _bytes(data: memoryview, at: int) -> tuple[memoryview, int]:
    """Bytes with their length before them, and the position behind."""
    size, at = _varint(data, at)
    if not 0 <= size <= len(data) - at:
        raise DataError("it ends early")
    return data[at : at + size], at + size


def _header(data: memoryview) -> tuple[dict[bytes, bytes], int]:
    """Metadata of a container, and where they end."""
    meta: dict[bytes, bytes] = {}
    at = len(MAGIC)
    while True:
        count, at = _varint(data, at)
        if count == 0:
            return meta, at
        if count < 0:
            count, (_, at) = -count, _varint(data, at)
        if count > len(data):
            raise DataError("it ends early")
        for _ in range(count):
            key, at = _bytes(data, at)
            value, at = _bytes(data, at)
            meta[bytes(key)] = bytes(value)


def _snappy(data: memoryview) -> Any:
    """Inflate a block of the snappy codec, whose last four bytes are a checksum."""
    size, _ = _varint(data, 0)
    size = size << 1 if size >= 0 else (~size << 1) + 1  # snappy's number is not zigzag
    if len(data) < 4 or size > MOST_BYTES:
        raise DataError("its snappy block ends early or is absurdly large")
    try:
        plain = pa.decompress(data[:-4], decompressed_size=size, codec="snappy", asbytes=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"its snappy block is damaged ({str(error)[:80]})") from None
    if zlib.crc32(plain) != int.from_bytes(data[-4:], "big"):
        raise DataError("its snappy block is damaged (the checksum differs)")
    return plain


def _deflate(data: memoryview) -> Any:
    """Inflate a block of the deflate codec."""
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise DataError(f"its deflate block is damaged ({str(error)[:80]})") from None
    if not inflater.eof:
        raise DataError("its deflate block ends early or is absurdly large")
    return plain


def _zstandard(data: memoryview) -> Any:
    """Inflate a block of the zstandard codec."""
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            plain = stream.read(MOST_BYTES)
            if stream.read(1):
                raise DataError("its zstandard block is absurdly large")
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"its zstandard block is damaged ({str(error)[:80]})") from None
    return plain


CODECS: Mapping[bytes, Callable[[memoryview], Any]] = {
    b"null": lambda data: data,
    b"snappy": _snappy,
    b"deflate": _deflate,
    b"zstandard": _zstandard,
}


def read_container(data: bytes) -> tuple[bytes, Iterator[tuple[Any, int]]]:
    """Schema and blocks of an Avro object container.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    schema : bytes
        JSON.
    blocks : iterator of (buffer, int)
        Inflated bytes of each block, and the number of records in it.

    Raises
    ------
    DataError
        If it is no container or is damaged; the iterator raises at the block that is.

    References
    ----------
    .. [1] Apache Avro 1.12 specification, "Object Container Files"
    """
    view = memoryview(data)
    if view[: len(MAGIC)] != MAGIC:
        raise DataError("it is no Avro container (it does not begin with 'Obj')")
    meta, at = _header(view)
    codec = meta.get(b"avro.codec", b"null")
    if codec not in CODECS:
        known = ", ".join(name.decode() for name in CODECS)
        raise DataError(f"its Avro codec {codec[:20]!r} is none of {known}")
    if b"avro.schema" not in meta or len(meta[b"avro.schema"]) > LARGEST_SCHEMA:
        raise DataError("it has no Avro schema, or an absurdly large one")
    return meta[b"avro.schema"], _blocks(view, at, CODECS[codec])


def _blocks(
    view: memoryview, at: int, inflate: Callable[[memoryview], Any]
) -> Iterator[tuple[Any, int]]:
    sync = view[at : at + SYNC]
    at += SYNC
    if len(sync) != SYNC:
        raise DataError("it ends early")
    while at < len(view):
        count, at = _varint(view, at)
        block, at = _bytes(view, at)
        if not 0 <= count <= MOST_RECORDS:
            raise DataError("a block has an absurd number of records")
        if view[at : at + SYNC] != sync:
            raise DataError("a block does not end with the marker of the file")
        at += SYNC
        yield inflate(block), count

"""The zip archive of a bundle: its parts, their limits and checksums, and nothing else in it."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from astroprep.deploy.part_reader import PartReader
from astroprep.deploy.plain import to_json
from astroprep.errors import ConfigError, DataError

__all__ = ["pack_parts", "unpack_parts"]

FORMAT = "astroprep bundle"
VERSION = 1
MANIFEST = "manifest.json"
PART_LIMITS = {  # bytes after inflating; a bundle of ours is a hundred times below each
    MANIFEST: 1 << 16,
    "recipe.json": 1 << 22,
    "model.json": 1 << 20,
    "weights.bin": 1 << 26,
    "graph.onnx": 1 << 20,
    "golden.json": 1 << 20,
    "versions.json": 1 << 16,
    "integer.json": 1 << 18,
}
OPTIONAL = {"integer.json"}
ENTRY_LIMIT = 64  # directory entries; a million of them would fill the memory before any check
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every part, so that equal content gives equal bytes


def pack_parts(parts: Mapping[str, bytes]) -> bytes:
    """Archive of the parts and their manifest; equal content gives equal bytes.

    Raises
    ------
    ConfigError
        If a part is larger than any bundle may hold.
    """
    for name, data in parts.items():
        if len(data) > PART_LIMITS[name]:
            raise ConfigError(
                f"{name} of the bundle has {len(data)} bytes, the limit is {PART_LIMITS[name]}"
            )
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "parts": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
        },
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {MANIFEST: to_json(manifest, "manifest"), **parts}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # unix on every system
            info.external_attr = 0o644 << 16
            coded = name == "weights.bin"
            info.compress_type = zipfile.ZIP_STORED if coded else zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=9)
    return out.getvalue()


def unpack_parts(data: bytes, source: str) -> dict[str, bytes]:
    """Parts by name, each the one that its manifest lists.

    Raises
    ------
    DataError
        If the archive is damaged, or holds more, less or other than a bundle does.
    """
    if data.count(b"PK\x01\x02") > ENTRY_LIMIT:
        raise DataError(f"{source}: has more than {ENTRY_LIMIT} parts, which no bundle has")
    parts = _inflate_all(data, source)
    _check_manifest(parts, source)
    return parts


def _inflate_all(data: bytes, source: str) -> dict[str, bytes]:
    """Inflate the parts, none beyond its limit, and no name but the known ones."""
    parts: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            for name in names:
                if name not in PART_LIMITS:
                    raise DataError(
                        f"{source}: unknown part {name[:80]!r}; this is no bundle of astroprep, or "
                        "one of a newer version"
                    )
                if names.count(name) > 1:
                    raise DataError(f"{source}: part {name} is there {names.count(name)} times")
            for info in archive.infolist():
                parts[info.filename] = _inflate(archive, info, source)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,  # a compression method that this Python lacks
        RuntimeError,  # an encrypted part
        UnicodeDecodeError,
        OverflowError,
        OSError,  # an offset before the start
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{source}: not a readable bundle ({str(error)[:200]}); the file is damaged or "
            "truncated, fetch it again"
        ) from None
    missing = [name for name in PART_LIMITS if name not in parts and name not in OPTIONAL]
    if missing:
        raise DataError(f"{source}: lacks {', '.join(missing)}; fetch the bundle again")
    return parts


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> bytes:
    limit = PART_LIMITS[info.filename]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{source}: part {info.filename} is packed by an unusual method")
    with archive.open(info) as part:
        data = part.read(limit + 1)
    if len(data) > limit:
        raise DataError(
            f"{source}: part {info.filename} is larger than {limit} bytes, which no bundle needs"
        )
    return data


def _check_manifest(parts: Mapping[str, bytes], source: str) -> None:
    manifest = PartReader(parts[MANIFEST], f"{source}: {MANIFEST}").content
    if manifest.get("format") != FORMAT:
        raise DataError(f"{source}: {MANIFEST} does not describe a bundle of astroprep")
    if manifest.get("version") != VERSION:
        raise DataError(
            f"{source}: bundle version {manifest.get('version')!r}, this astroprep reads version "
            f"{VERSION}; use the astroprep that wrote it, or a newer one"
        )
    listed = manifest.get("parts")
    if not isinstance(listed, dict) or set(listed) != set(parts) - {MANIFEST}:
        raise DataError(f"{source}: {MANIFEST} does not list the parts of a bundle")
    for name, entry in listed.items():
        seen = {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
        if entry != seen:
            raise DataError(
                f"{source}: part {name} is not the one that was written (its sha256 or size "
                "differs from the manifest's); fetch the bundle again"
            )

"""Tar archives read as streams, whose damage is an error and not an end."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pyarrow as pa

__all__ = ["ARCHIVES", "open_archive"]

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


class _Header(tarfile.TarInfo):
    """Header of a member: tarfile itself takes a damaged one, or none, for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the mark of the end
            raise tarfile.ReadError(f"{error}, and no mark of the end") from error


def open_archive(path: Path) -> tarfile.TarFile:
    """Open an archive to be read once, member by member; by its name it is one.

    Parameters
    ----------
    path : path
        Uncompressed, or by gzip, bzip2, xz or zstandard.

    Raises
    ------
    tarfile.TarError, OSError
        If it is damaged; also by what is called of the archive.
    """
    if not path.name.endswith(".zst"):
        return tarfile.open(path, "r|*", tarinfo=_Header)
    stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header)

"""Open a file or say why not; write one whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from astroprep.errors import ConfigError, DataError

__all__ = [
    "beside",
    "check_file",
    "check_parquet_name",
    "files_named",
    "first_line",
    "format_of",
    "inflated",
    "replaced",
    "unpacked",
    "write_beside",
]

ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv"),
    "fits": (".fits", ".fit"),
    "votable": (".vot", ".xml", ".votable"),
    "hats": (".hats",),
}
MAX_INFLATED = 1 << 30  # bytes in memory; what is larger shall show its size on the disk
GZIP = b"\x1f\x8b"
OTHER_PACKERS = {b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\x1f\x9d": "compress", b"\xfd7zX": "xz"}
HATS_FILES = ("hats.properties", "properties", "collection.properties")


def format_of(path: Path) -> str | None:
    """Format of a file or folder: by its name, a HATS catalogue also by what is in it.

    Parameters
    ----------
    path : Path
        It need not exist. ``.gz`` behind the ending is looked through.

    Returns
    -------
    str or None
        ``"parquet"``, ``"csv"``, ``"fits"``, ``"votable"`` or ``"hats"``; None if it is none of
        them (a folder of FITS files is none).
    """
    if path.is_dir() and any((path / name).is_file() for name in HATS_FILES):
        return "hats"
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    kind = next((kind for kind, ends in ENDINGS.items() if plain.endswith(ends)), None)
    return None if plain != name and kind in ("parquet", "hats") else kind


def check_parquet_name(path: Path) -> None:
    """Refuse a name that promises another format than the Parquet that will be written.

    Parameters
    ----------
    path : Path
        It need not exist.

    Raises
    ------
    ConfigError
        If the ending is that of another format; a name without an ending passes.
    """
    kind = format_of(path)
    if kind not in (None, "parquet") and not path.is_dir():
        raise ConfigError(f"--out {path}: the result is Parquet, not {kind}; end it in .parquet")


def check_file(path: Path) -> None:
    """Make sure that `path` is a readable file with something in it.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If it is missing (the message lists its neighbours), a folder, a pipe or device, unreadable
        or empty.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name one file in it")
        if not path.exists():
            folder = path.parent
            there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else []
            hint = f"; {folder} holds {', '.join(there)}" if there else ""
            raise DataError(f"{path} does not exist{hint}")
        if not path.is_file():  # a pipe nobody writes to would be waited for
            raise DataError(f"{path} is no ordinary file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error
    if empty:
        raise DataError(f"{path} is an empty file (0 bytes); write it again")


def first_line(error: Exception) -> str:
    """First line of what an exception says, for use inside another message."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def unpacked(path: Path) -> Path | io.BytesIO:
    """What a reader of whole files may open: the file, or what a gzip file inflates to.

    Parameters
    ----------
    path : Path
        Its first bytes decide, not its name.

    Raises
    ------
    DataError
        If it is packed by something else than gzip, damaged, or inflates beyond 1 GiB: a few
        megabytes of gzip can hold gigabytes.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    for start, packer in OTHER_PACKERS.items():
        if magic.startswith(start):
            raise DataError(f"{path} is packed by {packer}; unpack it first")
    return io.BytesIO(inflated(path)) if magic.startswith(GZIP) else path


def inflated(path: Path) -> bytes:
    """Content of a gzip file; see `unpacked`."""
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_INFLATED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unzipped ({first_line(error)})") from error
    if len(content) > MAX_INFLATED:
        raise DataError(
            f"{path}: {path.stat().st_size:,} bytes of gzip hold more than {MAX_INFLATED:,}; if "
            "you trust it, gunzip it first"
        )
    return content


def files_named(path: str | Path | Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """Files that a path names.

    Parameters
    ----------
    path : str, Path or sequence of them
        A file, several, a folder or a pattern.
    suffixes : sequence of str
        Endings of the files of a folder, and of a file that is named by itself.

    Returns
    -------
    list of Path
        Of a folder or a pattern in the order of their names.

    Raises
    ------
    DataError
        If there is no such file, or it ends otherwise.
    """
    if not isinstance(path, str | Path):
        files = [Path(one) for one in path]
        if not files:
            raise DataError("an empty list of files; name at least one")
        return files
    path = Path(path)
    endings = tuple(suffix.lower() for suffix in suffixes)
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.name.lower().endswith(endings))
        if not files:
            raise DataError(f"{path} holds no file that ends in {', '.join(endings)}")
        return files
    if any(sign in path.name for sign in "*?[") and not path.exists():
        files = sorted(path.parent.glob(path.name))
        if not files:
            raise DataError(f"no file goes by {path}")
        return files
    if not path.name.lower().endswith(endings):
        raise DataError(f"{path}: a table of this survey ends in {', '.join(endings)}")
    return [path]


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` that becomes `path` if the block ends well.

    Parameters
    ----------
    path : str or Path
        Its folder is made if it is missing.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    DataError
        If the system refuses, or `path` is a folder or a device; nothing is left behind and an
        old file stays as it was.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # as root, /dev/null could be replaced
        raise DataError(f"{path} cannot be written: it is no ordinary file; name another")
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def beside(path: str | Path) -> Path:
    """Where the record of a format without metadata is: ``x.csv.json`` beside ``x.csv``."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def write_beside(path: str | Path, about: Mapping[str, Any]) -> None:
    """Write the record of a CSV file.

    Parameters
    ----------
    path : str or Path
        The CSV file; the record goes where `beside` says.
    about : mapping
        Whatever JSON can hold.

    Raises
    ------
    DataError
        If the system refuses.
    """
    with replaced(beside(path)) as part:
        part.write_text(json.dumps(dict(about), indent=1) + "\n", encoding="utf-8")

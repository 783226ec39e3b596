"""Open a file or say why not; write one whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from astroprep.errors import ConfigError, DataError

__all__ = [
    "beside",
    "check_file",
    "check_parquet_name",
    "first_line",
    "format_of",
    "replaced",
    "write_beside",
]

ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv"),
    "fits": (".fits", ".fit"),
    "votable": (".vot", ".xml", ".votable"),
    "hats": (".hats",),
}
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
        If it is missing (the message lists its neighbours), a folder, unreadable or empty.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; name one file in it")
        if not path.exists():
            folder = path.parent
            there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else []
            hint = f"; {folder} holds {', '.join(there)}" if there else ""
            raise DataError(f"{path} does not exist{hint}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error
    if empty:
        raise DataError(f"{path} is an empty file (0 bytes); write it again")


def first_line(error: Exception) -> str:
    """First line of what an exception says, for use inside another message."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


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

    Raises
    ------
    DataError
        If the system refuses.
    """
    with replaced(beside(path)) as part:
        part.write_text(json.dumps(dict(about), indent=1) + "\n", encoding="utf-8")

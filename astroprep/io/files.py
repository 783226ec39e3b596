"""Open a file or say why not; write one whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astroprep.errors import DataError

__all__ = ["check_file", "first_line", "replaced"]


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

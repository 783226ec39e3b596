"""One writer at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astroprep.errors import ConfigError, DataError

__all__ = ["WriterLock", "is_local"]

NAME = "writer.lock"


def is_local(url: str) -> bool:
    """Whether a state is a folder of this machine."""
    return "://" not in url


class WriterLock:
    """Held from opening to closing; a second writer is refused with who holds it.

    Parameters
    ----------
    url : str
        The state.
    storage_options : mapping
        Of the object store.

    Raises
    ------
    ConfigError
        If somebody else holds it.
    DataError
        If it cannot be written.

    Notes
    -----
    In a folder the lock is the system's, which lets go when the process ends, however it ends. In
    an object store there is no such thing: there the check of the tables' versions at every
    commit refuses the second writer.
    """

    def __init__(self, url: str, storage_options: Mapping[str, str]) -> None:
        self._file: Any = None
        if not is_local(url):
            return
        import fcntl

        path = Path(url) / NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{url} cannot be written: {error.strerror or error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise ConfigError(
                f"{url} is being written by another process ({holder or 'which says no more'}); "
                "wait for it, or read only"
            ) from None
        except OSError as error:
            file.close()
            raise DataError(f"{url} cannot be locked: {error.strerror or error}") from error
        file.truncate(0)
        json.dump(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            file,
        )
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

"""Small tables that a person writes by hand: JSON, TOML or CSV."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astroprep.errors import ConfigError

__all__ = ["read_mapping"]


def read_mapping(
    path: Path, what: str, rows: str, from_csv: Callable[[str], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Table of a file whose name says how it is written.

    Parameters
    ----------
    path : Path
        ``.json``, ``.toml`` or ``.csv``.
    what : str
        What the file holds, with its article, for messages: ``"a label map"``.
    rows : str
        What it leads from and to: ``"foreign label to class"``.
    from_csv : callable
        Makes a table of the text of a CSV file, or raises ValueError.

    Raises
    ------
    ConfigError
        If it has another name, cannot be read, or is no table.
    """
    readers: dict[str, Callable[[str], Any]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".csv": from_csv,
    }
    if path.suffix.lower() not in readers:
        raise ConfigError(f"{path}: {what} is read from .json, .toml or .csv")
    try:
        table = readers[path.suffix.lower()](path.read_text(encoding="utf-8"))
    except OSError as error:
        thing = what.removeprefix("a ").removeprefix("table of ")
        raise ConfigError(f"{path}: cannot read the {thing}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not {what}: {error}") from error
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: needs a table of {rows}, holds a {type(table).__name__}")
    return table

"""Find schemas by name, read them from TOML, and say all that is wrong with one at once."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from astroprep.errors import ConfigError
from astroprep.surveys.schema import (
    BandTable,
    FileTable,
    FlagTable,
    PositionTable,
    Schema,
    SeriesTable,
    SiteTable,
    TimeColumn,
    ValueColumn,
)

__all__ = ["load_schema", "schema_from_toml", "schema_names"]

TABLES: dict[str, type[BaseModel]] = {
    "time": TimeColumn,
    "value": ValueColumn,
    "position": PositionTable,
    "band": BandTable,
    "flags": FlagTable,
    "site": SiteTable,
    "file": FileTable,
    "series": SeriesTable,
}


def schema_names() -> tuple[str, ...]:
    """Names of the schemas that astroprep has, sorted."""
    folder = resources.files("astroprep.surveys") / "schemas"
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))
    )


def load_schema(name: str | Path) -> Schema:
    """Schema by its name, or from a TOML file.

    Parameters
    ----------
    name : str or Path
        One of `schema_names`, in any case, or a path that ends in ``.toml``.

    Returns
    -------
    Schema

    Raises
    ------
    ConfigError
        If there is none of that name (the message holds the names), or the file is no valid
        schema; the message lists every mistake in it.

    Examples
    --------
    >>> load_schema("ztf").band.names["zg"]
    'ztf_g'
    """
    if isinstance(name, Schema):
        return name
    text = str(name)
    if text.lower().endswith(".toml"):
        path = Path(name)
        try:
            return schema_from_toml(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise ConfigError(f"schema {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ConfigError(f"schema {path} is no text in UTF-8; write it again") from None
    known = schema_names()
    wanted = text.strip().lower().replace("_", "-").replace(" ", "-")
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else "a file of your own ends in .toml"
        raise ConfigError(f"no schema is called {text!r}; there are {', '.join(known)}; {hint}")
    source = resources.files("astroprep.surveys") / "schemas" / f"{wanted}.toml"
    return schema_from_toml(source.read_text(encoding="utf-8"), f"schema {wanted}")


def schema_from_toml(text: str, where: str = "schema") -> Schema:
    """Schema from the text of a TOML file.

    Parameters
    ----------
    text : str
        The file.
    where : str
        What messages call it.

    Raises
    ------
    ConfigError
        If it is no TOML or no valid schema; the message lists every mistake in it.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where} is no TOML: {error}") from None
    try:
        return Schema(**table)
    except ValidationError as error:
        mistakes = [_mistake(one) for one in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(dict.fromkeys(mistakes))) from None
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from None


def _mistake(error: Any) -> str:
    """One mistake as a phrase that names the key."""
    loc = [str(part) for part in error["loc"]]
    key = ".".join(loc)
    if error["type"] == "extra_forbidden":
        model = TABLES.get(loc[0], Schema) if len(loc) > 1 else Schema
        close = difflib.get_close_matches(loc[-1], model.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else "keys: " + ", ".join(model.model_fields)
        return f"unknown key {key!r}; {hint}"
    if error["type"] == "missing":
        return f"{key!r} is missing"
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if error["type"] == "literal_error":
        wanted = error["ctx"]["expected"]
        return f"{key} must be {wanted}, got {error['input']!r}"
    return f"{key}: {error['msg']}, got {error['input']!r}"

"""Which column of a file holds what: by given name, else by the names that surveys use."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.arrow_arrays import numpy_numbers
from astroprep.data import Meta, Quantity
from astroprep.errors import ConfigError, DataError
from astroprep.interchange import NAMES
from astroprep.units import time_reference

__all__ = [
    "OWN_NAMES",
    "OWN_OBJECTS",
    "WRITTEN_BY",
    "ColumnNames",
    "PointColumns",
    "arrow_text_of",
    "as_float",
    "as_numbers",
    "as_text",
    "find_column",
    "find_object_columns",
    "find_point_columns",
    "survey_meta",
]


WRITTEN_BY = {"written_by": "astroprep"}
"""Metadata by which a file says that its flags and weights are those of a batch."""

OWN_NAMES = frozenset({"time", "mag", "flux", "mag_err", "flux_err", "band", "flags", "weight"})
"""What a batch's own columns are called in a file; no further column may be."""

OWN_OBJECTS = ("segment", "channel", "brightness", "crowding", "flux_fraction")
"""Columns per object that come back by themselves from a file that astroprep wrote: what
detrending asks for. None of them tells a class, as a period would."""


@dataclass(frozen=True)
class ColumnNames:
    """Names of columns in a survey file; None means: find it by the usual names.

    Parameters
    ----------
    id, ra, dec, label, split : str or None
        Columns per object. Without an id the row number is taken.
    period : str or None
        The catalogue's period. Never found by itself: it is read only under the name given
        here, because a period that gives the class away must not slip into a classifier.
    lightcurve : str or None
        The nested column.
    time, value, error, band : str or None
        Columns per point, inside the nested column where there is one.
    extra : tuple of str
        Further columns per object to carry along under their own names.
    points : tuple of str
        Further numeric columns per point to carry along under their own names, such as
        ``"airmass"``. Those of a Parquet file that astroprep wrote come back by themselves.
    schema : str, Path or None
        Survey whose table the file is, see `astroprep.surveys.load_schema`: a name, or a TOML
        file. It says what the columns mean, so that beside it only ``label, split, period,
        extra`` and, of the values that the schema has, ``value`` can be named.
    """

    id: str | None = None
    ra: str | None = None
    dec: str | None = None
    label: str | None = None
    split: str | None = None
    period: str | None = None
    lightcurve: str | None = None
    time: str | None = None
    value: str | None = None
    error: str | None = None
    band: str | None = None
    extra: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    schema: str | Path | None = None

    def __post_init__(self) -> None:
        taken = ("id", "ra", "dec", "lightcurve", "time", "error", "band", "points")
        clash = [name for name in taken if self.schema is not None and getattr(self, name)]
        if clash:
            raise ConfigError(
                f"the schema {self.schema} says which columns are {', '.join(clash)}; name the "
                "schema or the columns"
            )
        reserved = {"id", "row", "ra", "dec", "label", "split", "catalogue_period"}
        clash = sorted(reserved & set(self.extra))
        if clash:
            raise ConfigError(f"extra columns cannot be called {', '.join(clash)}")
        clash = sorted(OWN_NAMES & set(self.points))
        if clash:
            raise ConfigError(
                f"further columns per point cannot be called {', '.join(clash)}; name the "
                "column of that role instead"
            )


@dataclass(frozen=True)
class PointColumns:
    """Names of the columns per point that a file has; None where it has none."""

    time: str
    value: str
    error: str | None
    band: str | None
    quantity: Quantity
    flags: str | None = None
    weight: str | None = None
    further: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """All of them, each once."""
        own = (self.time, self.value, self.error, self.band, self.flags, self.weight)
        return list(dict.fromkeys(n for n in (*own, *self.further) if n is not None))


def find_column(
    given: str | None, usual: Sequence[str], there: Iterable[str], where: str, what: str
) -> str | None:
    """Name of a column: the given one, else the first of the usual names, any case.

    Parameters
    ----------
    given : str or None
        What the user asked for.
    usual : sequence of str
        Lower-case names to look for when nothing was asked for.
    there : iterable of str
        Columns of the file.
    where, what : str
        The file and the role, for the message.

    Raises
    ------
    DataError
        If the given name is not there (the message holds what is, and the closest match), or
        two columns go by the name.
    """
    names = list(there)
    if given is not None and given not in names:
        raise DataError(
            f"{where}: no column {given!r} for the {what}; {_what_is_there(given, names)}"
        )
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower(), name)
    found = given or next((lower[name] for name in usual if name in lower), None)
    if found is not None and names.count(found) > 1:
        raise DataError(f"{where}: {names.count(found)} columns are called {found!r}; rename them")
    return found


def _check_different(found: Mapping[str, str | None], where: str) -> None:
    """Raise where one column is to be two things."""
    roles: dict[str, str] = {}
    for role, name in found.items():
        if name is not None and roles.setdefault(name, role) != role:
            raise DataError(
                f"{where}: column {name!r} cannot be both the {roles[name]} and the {role}"
            )


def find_object_columns(names: ColumnNames, there: Iterable[str], where: str) -> dict[str, str]:
    """Column of the file for each column per object of a batch, as far as there is one.

    Raises
    ------
    DataError
        If a named column is missing, or one is both right ascension and declination.
    """
    columns = list(there)
    found = {
        "id": find_column(names.id, NAMES["id"], columns, where, "id"),
        "ra": find_column(names.ra, NAMES["ra"], columns, where, "right ascension"),
        "dec": find_column(names.dec, NAMES["dec"], columns, where, "declination"),
        "label": find_column(names.label, ("label",), columns, where, "label"),
        "split": find_column(names.split, ("split",), columns, where, "split"),
        "catalogue_period": find_column(names.period, (), columns, where, "period"),
    }
    _check_different({k: found[k] for k in ("ra", "dec")}, where)
    for name in names.extra:
        found[name] = find_column(name, (), columns, where, "object")
    return {role: column for role, column in found.items() if column is not None}


def find_point_columns(names: ColumnNames, there: Iterable[str], where: str) -> PointColumns:
    """Columns per point by name.

    Raises
    ------
    DataError
        If there is no time or no value, a named column is missing, or one is named twice.
    """
    columns = list(there)
    time = find_column(names.time, NAMES["time"], columns, where, "time of each point")
    band = find_column(names.band, NAMES["band"], columns, where, "band of each point")
    value = find_column(names.value, (*NAMES["mag"], *NAMES["flux"]), columns, where, "value")
    if time is None or value is None:
        role, usual = (
            ("time", NAMES["time"]) if time is None else ("value", (*NAMES["mag"], *NAMES["flux"]))
        )
        raise DataError(
            f"{where}: no column for the {role} of the points; looked for {', '.join(usual)}; "
            f"there is {', '.join(columns) or 'nothing'}. Name it, as in {role}_column=..."
        )
    flux = "flux" in value.lower() and "mag" not in value.lower()
    errors = (
        *(f"{value}{ending}".lower() for ending in ("_err", "err", "_error")),
        *(NAMES["flux_err"] if flux else NAMES["mag_err"]),
    )
    error = find_column(names.error, errors, columns, where, "error of each point")
    _check_different({"time": time, "value": value, "error": error, "band": band}, where)
    for name in names.points:
        find_column(name, (), columns, where, "points")
    return PointColumns(
        time, value, error, band, "flux" if flux else "mag", further=tuple(names.points)
    )


def survey_meta(
    points: PointColumns, metadata: dict[str, str], bands: tuple[str, ...], where: str
) -> Meta:
    """Metadata of a batch from what a file says of itself, else from the names of its columns."""
    quantity: Quantity = points.quantity
    stated = metadata.get("quantity", "")
    if stated in ("mag", "flux"):
        quantity = "mag" if stated == "mag" else "flux"
    scale = metadata.get("time_system", metadata.get("time_scale", ""))
    name = {"midpointmjdtai": "MJD TAI"}.get(points.time.lower(), points.time.upper())
    if not scale and time_reference(name) is not None:
        scale = name
    own = metadata.get("written_by") == WRITTEN_BY["written_by"]
    reference = metadata.get("time_ref") if own else None
    return Meta(
        survey=metadata.get("survey", ""),
        quantity=quantity,
        unit=metadata.get("unit", "mag" if quantity == "mag" else ""),
        time_scale=scale,
        time_ref=time_reference(scale) if reference is None else _days(reference, where),
        bands=bands,
    )


def _days(text: str, where: str) -> float:
    """A finite number out of the metadata of a file."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: its metadata say time_ref = {text!r}; write the file again")
    return number


def as_text(column: Any, where: str, name: str) -> NDArray[np.object_]:
    """Plain str from an Arrow column of text or whole numbers; null becomes ``""``.

    Raises
    ------
    DataError
        If the column holds something that has no exact text.
    """
    return np.array(arrow_text_of(column, where, name).to_pylist(), dtype=object)


def arrow_text_of(column: Any, where: str, name: str) -> Any:
    """Arrow strings from an Arrow column of text or whole numbers; null becomes ``""``.

    Raises
    ------
    DataError
        If the column holds something that has no exact text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            raise _wrong_type(where, name, column.type, "text or whole numbers") from None
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    kind = column.type
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
    ):
        raise _wrong_type(where, name, kind, "text or whole numbers")
    text = column.cast(pa.string())
    return pc.fill_null(text, "") if text.null_count else text


def as_float(column: Any, where: str, name: str) -> NDArray[np.float64]:
    """float64 from an Arrow column of numbers; null becomes NaN. No copy where none is needed.

    Raises
    ------
    DataError
        If the column does not hold numbers.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise _wrong_type(where, name, kind, "numbers")
    return np.asarray(numpy_numbers(column), dtype=np.float64)


def as_numbers(column: Any, where: str, name: str) -> NDArray[Any]:
    """Whole numbers and truth values as they are where none is null, other numbers as float64.

    Raises
    ------
    DataError
        If the column does not hold numbers.
    """
    kind = column.type
    if (pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not column.null_count:
        return numpy_numbers(column)
    return as_float(column, where, name)


def _wrong_type(where: str, name: str, kind: Any, wanted: str) -> DataError:
    return DataError(
        f"{where}: column {name!r} must hold {wanted}, but its type is {kind}; "
        "convert it, or name another column"
    )


def _what_is_there(wanted: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else " Name one of these."
    return f"there is {', '.join(names) or 'nothing'}.{hint}"

"""Cells of a survey's table as numbers, angles, bits and texts, and which of them are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = [
    "Cells",
    "angles",
    "as_words",
    "bits",
    "coded_words",
    "factor",
    "is_one_of",
    "numbers",
    "truths",
]

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NOTHING = ["", "nan", "null", "none", "na", "n/a", "--", "-", "\\n"]
SEXAGESIMAL = (
    r"^(?P<sign>[+-]?)(?P<a>\d{1,3})[:\sh°d]+(?P<b>\d{1,2})[:\sm']+"
    r"(?P<c>\d{1,2}(?:\.\d*)?)[s\"]?$"
)


@dataclass(frozen=True, eq=False)
class Cells:
    """Numbers of a column.

    Parameters
    ----------
    values : float64 array, shape (n,)
        NaN where there is none.
    broken : bool array, shape (n,)
        True where the cell holds something that is no number.
    limit : bool array, shape (n,)
        True where the prefix of upper limits stood before it.
    """

    values: NDArray[np.float64]
    broken: NDArray[np.bool_]
    limit: NDArray[np.bool_]


def as_words(column: Any, name: str) -> Any:
    """Arrow text of a column of text, bytes, whole numbers or truth values, trimmed.

    Raises
    ------
    DataError
        If the column holds lists or other things without an exact text.
    """
    kind = column.type
    if pa.types.is_floating(kind):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            raise _wrong(name, kind, "text or whole numbers") from None
    try:
        text = column.cast(pa.string())
    except (pa.ArrowException, UnicodeDecodeError):
        raise _wrong(name, kind, "text or whole numbers") from None
    return pc.utf8_trim_whitespace(text)


def coded_words(column: Any, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Texts of a column by code: few are different, and only those are made into text.

    Returns
    -------
    code : int64 array, shape (n,)
        Index into the texts.
    words : list of str
        Different texts in the order of their first row, trimmed; null is ``""``.
    """
    raw = pc.dictionary_encode(column, null_encoding="encode")
    words = pc.fill_null(as_words(raw.dictionary, name), "")
    again = pc.dictionary_encode(words)  # trimming makes some equal
    code = np.asarray(again.indices.to_numpy(), np.int64)
    return code[np.asarray(raw.indices.to_numpy(), np.int64)], again.dictionary.to_pylist()


def numbers(column: Any, name: str, limit_prefix: str = "") -> Cells:
    """Numbers of a column of numbers, or of texts that are numbers; null is NaN.

    Parameters
    ----------
    column : pyarrow.Array
        Numbers or text.
    name : str
        For messages.
    limit_prefix : str
        Text before a number that is an upper limit.

    Raises
    ------
    DataError
        If the column holds neither.
    """
    kind, n = column.type, len(column)
    none = np.zeros(n, bool)
    if pa.types.is_null(kind):
        return Cells(np.full(n, np.nan), none, none)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64(), safe=False)
        values = column.to_numpy(zero_copy_only=False)
        return Cells(np.asarray(values, np.float64), none, none)
    if not _is_text(kind):
        raise _wrong(name, kind, "numbers")
    text = as_words(column, name)
    limit = none
    if limit_prefix:
        marked = pc.starts_with(text, limit_prefix)
        limit = _truth(marked)
        bare = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(text, len(limit_prefix)))
        text = pc.if_else(pc.fill_null(marked, False), bare, text)
    fits = pc.match_substring_regex(text, NUMBER)
    blank = pc.is_in(pc.utf8_lower(text), pa.array(NOTHING))
    values = pc.cast(pc.if_else(fits, text, None), pa.float64())
    broken = ~(_truth(fits) | _truth(blank) | _truth(pc.is_null(text)))
    return Cells(np.asarray(values.to_numpy(zero_copy_only=False), np.float64), broken, limit)


def is_one_of(values: NDArray[np.float64], sentinels: Sequence[float]) -> NDArray[np.bool_]:
    """Where values are sentinels, as written or as float32 has rounded them.

    Parameters
    ----------
    values : float64 array, shape (n,)
        As the table has them, before any unit is converted.
    sentinels : sequence of float
        Numbers that stand for "none".

    Returns
    -------
    bool array, shape (n,)
    """
    found = np.zeros(values.shape, bool)
    for number in sentinels:
        found |= (values == number) | (values == float(np.float32(number)))
    return found


def factor(unit: str, to: str, column: str) -> float:
    """What to multiply by to go from one unit to another.

    Raises
    ------
    DataError
        If a unit is not known or one cannot be told in the other; the message names the column.
    """
    if unit == to:
        return 1.0
    import astropy.units as u

    try:
        return float(u.Unit(unit).to(u.Unit(to)))
    except (ValueError, TypeError, u.UnitConversionError):
        raise DataError(
            f"column {column!r} states the unit {unit!r}, which cannot be told in {to!r}; correct "
            "the table's unit, or the schema's"
        ) from None


def angles(
    column: Any,
    name: str,
    form: Literal["degrees", "hours", "sexagesimal"],
    *,
    right: bool,
    unit: str | None = None,
) -> Cells:
    """Degrees of a column of right ascensions or declinations.

    Parameters
    ----------
    column : pyarrow.Array
        Numbers, or text as ``12:34:56.7`` or ``-12 34 56``.
    name : str
        For messages.
    form : {"degrees", "hours", "sexagesimal"}
        See `PositionTable`.
    right : bool
        Whether it is right ascension.
    unit : str, optional
        What the table itself states of its numbers; it comes before `form`.

    Returns
    -------
    Cells
        Broken where there is no number, or none that an angle has (right ascension from 0 to
        360, declination from -90 to 90 degrees).
    """
    if form == "sexagesimal" and _is_text(column.type):
        cells = _sexagesimal(column, name)
    else:
        cells = numbers(column, name)
    scale = 15.0 if right and form != "degrees" else 1.0
    if unit is not None and not _is_text(column.type):
        scale = factor(unit, "deg", name)
    value = cells.values * scale
    low, high = (0.0, 360.0) if right else (-90.0, 90.0)
    outside = np.isinf(value) | (value < low) | (value > high)
    value = np.where(outside | cells.broken, np.nan, np.where(right & (value == 360.0), 0.0, value))
    return Cells(value, cells.broken | outside, cells.limit)


def _sexagesimal(column: Any, name: str) -> Cells:
    text = as_words(column, name)
    parts = pc.extract_regex(text, SEXAGESIMAL)
    matched = ~_truth(pc.is_null(parts))
    a, b, c = (
        np.asarray(
            pc.cast(pc.struct_field(parts, k), pa.float64()).to_numpy(zero_copy_only=False),
            np.float64,
        )
        for k in ("a", "b", "c")
    )
    minus = _truth(pc.equal(pc.struct_field(parts, "sign"), "-"))
    value = np.where(minus, -1.0, 1.0) * (a + b / 60.0 + c / 3600.0)  # -00:30 keeps its sign
    blank = _truth(pc.is_in(pc.utf8_lower(text), pa.array(NOTHING))) | _truth(pc.is_null(text))
    broken = ~matched & ~blank | (b >= 60) | (c >= 60)
    return Cells(np.where(matched, value, np.nan), broken, np.zeros(value.size, bool))


def bits(
    column: Any, name: str, values: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Whole numbers of a column of flags, or the bits that stand for its texts.

    Returns
    -------
    packed : int64 array, shape (n,)
        0 where there is none.
    missing, broken : bool array, shape (n,)
        Where the cell is empty; where it holds no bits.
    """
    if values:
        text = as_words(column, name)
        code = pc.index_in(text, pa.array(list(values), pa.string()))
        known = ~_truth(pc.is_null(code))
        table = np.array([*values.values(), 0], np.int64)
        packed = table[np.asarray(pc.fill_null(code, len(values)).to_numpy(), np.int64)]
        missing = _truth(pc.is_null(text)) | _truth(pc.equal(text, ""))
        return packed, missing & ~known, ~known & ~missing
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        missing = _truth(pc.is_null(column))
        if pa.types.is_uint64(column.type):
            column = column.cast(pa.int64(), safe=False)
        filled = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        packed = np.asarray(filled, np.int64)
        return np.maximum(packed, 0), missing, packed < 0
    cells = numbers(column, name)
    value, missing = cells.values, np.isnan(cells.values) & ~cells.broken
    good = np.isfinite(value) & (value == np.round(value)) & (value >= 0) & (value < 2.0**53)
    return np.where(good, value, 0).astype(np.int64), missing, ~good & ~missing


def truths(column: Any, name: str) -> NDArray[np.bool_]:
    """Where a column of truth values, 0 and 1, or their names is true; null is false.

    Raises
    ------
    DataError
        If a cell holds something else.
    """
    if pa.types.is_boolean(column.type):
        return _truth(column)
    text = pc.utf8_lower(as_words(column, name))
    yes = _truth(pc.is_in(text, pa.array(["true", "t", "1", "yes"])))
    no = _truth(pc.is_in(text, pa.array(["false", "f", "0", "no", ""]))) | _truth(pc.is_null(text))
    if not (yes | no).all():
        odd = text[int(np.argmin(yes | no))].as_py()
        raise DataError(f"column {name!r} must hold true or false, but has {odd!r}")
    return yes


def _truth(column: Any) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), bool)


def _is_text(kind: Any) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _wrong(name: str, kind: Any, wanted: str) -> DataError:
    return DataError(
        f"column {name!r} must hold {wanted}, but its type is {kind}; convert it, or map another "
        "column"
    )

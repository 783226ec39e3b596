"""Tables of a page: what stands in a cell and what it sorts by."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "Cell",
    "Table",
    "byte_text",
    "number",
    "seconds_text",
    "share",
    "verdict",
    "without_numbers",
    "words",
]

LONGEST = 240  # letters of a cell
NOTHING = "\u2013"  # a dash

TONES = {"good": "good", "fair": "poor", "poor": "bad"}
"""Colours of the verdicts."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Parameters
    ----------
    text : str
        What is read.
    value : float, "" or None
        What a column is sorted by, where that is not the text; ``""`` comes before all numbers.
    tone : str
        Colour: ``"good"``, ``"poor"`` (a warning), ``"bad"`` or ``""``.
    """

    text: str
    value: float | str | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequences of Cell
        Of the same length as `head`.
    caption : str
        Sentence above it.
    text_columns : sequence of int
        Columns that are words, not numbers.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    text_columns: Sequence[int] = field(default=(0,))


def words(text: object, tone: str = "") -> Cell:
    """Cell of words, cut where it is endless."""
    plain = str(text)
    return Cell(plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…", tone=tone)


def verdict(text: object) -> Cell:
    """Cell of a verdict, in the colour of what it says."""
    return words(text, TONES.get(str(text).lower(), ""))


def number(value: object, digits: int = 4) -> Cell:
    """Cell of a number with so many significant digits; a dash where there is none."""
    if isinstance(value, bool):
        return words("yes" if value else "no")
    if isinstance(value, int):
        return Cell(f"{value:,}", float(value))
    if not isinstance(value, float) or not math.isfinite(value):
        return Cell(NOTHING, "")
    if value == int(value) and abs(value) < 1e15:
        return Cell(f"{int(value):,}", value)
    return Cell(f"{value:.{digits}g}", value)


def share(value: object) -> Cell:
    """Cell of a score from 0 to 1, three decimals."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return Cell(NOTHING, "")
    return Cell(f"{value:.3f}", float(value))


def byte_text(size: object) -> str:
    """Bytes as people say them."""
    if not isinstance(size, int | float) or not math.isfinite(size):
        return NOTHING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} B"


def seconds_text(seconds: float) -> str:
    """Duration as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def without_numbers(text: str) -> str:
    """Text with its numbers left out, so that like reasons count together."""
    return re.sub(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", "…", text)

"""Recognise the survey of a table, or draft a schema for one that nobody has described."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.interchange import find_column
from astroprep.surveys.cells import as_words, numbers
from astroprep.surveys.load import load_schema, schema_from_toml, schema_names
from astroprep.surveys.resolve import resolve
from astroprep.surveys.schema import Schema
from astroprep.surveys.tables import PlainTable, explode, plain_table
from astroprep.units import PLAUSIBLE_JD, time_reference

__all__ = ["Guess", "SchemaDraft", "describe_schema", "guess_schema", "rank_schemas"]

MAX_BANDS = 24  # more values than this name no bands
SENTINELS = (-9999.0, -999.0, -99.99, -99.9, -99.0, 9.999, 29.999, 99.0, 99.9, 99.99, 99.999,
             999.0, 9999.0)  # fmt: skip
MAGNITUDES = (-30.0, 40.0)  # no star is brighter, no telescope sees fainter


@dataclass(frozen=True)
class Guess:
    """How well a schema fits a table.

    Parameters
    ----------
    name : str
        Of the schema.
    applies : bool
        Whether all that it needs is there, the bands are known and the times are possible.
    matched : tuple of str
        Columns of the table that it explains.
    why_not : tuple of str
        What speaks against it.
    """

    name: str
    applies: bool
    matched: tuple[str, ...]
    why_not: tuple[str, ...] = ()


def rank_schemas(table: Any) -> tuple[Guess, ...]:
    """How well each schema that astroprep has fits a table, the best first.

    Parameters
    ----------
    table : pyarrow.Table, pandas.DataFrame, astropy Table or mapping of arrays
        Some rows are enough.

    Returns
    -------
    tuple of Guess
        Those that apply before those that do not, then by the number of columns explained.
    """
    plain = plain_table(table)
    guesses = [_guess(load_schema(name), plain) for name in schema_names()]
    return tuple(sorted(guesses, key=lambda g: (not g.applies, -len(g.matched), g.name)))


def guess_schema(table: Any) -> Schema:
    """The schema of the survey that a table is from.

    Parameters
    ----------
    table : pyarrow.Table, pandas.DataFrame, astropy Table or mapping of arrays
        Some rows are enough.

    Returns
    -------
    Schema

    Raises
    ------
    DataError
        If none applies, or two explain the table equally well: they may differ in time system or
        magnitudes, so that neither is taken. The message names them.
    """
    ranked = rank_schemas(table)
    good = [g for g in ranked if g.applies]
    if not good:
        close = max(ranked, key=lambda g: len(g.matched))
        raise DataError(
            f"no schema fits the table; nearest is {close.name!r}, but {'; '.join(close.why_not)}. "
            "describe_schema drafts one"
        )
    best = [g.name for g in good if len(g.matched) == len(good[0].matched)]
    if len(best) > 1:
        raise DataError(
            f"the table could be of {', '.join(best)}, which mean different things by the same "
            "columns; say which, as in load_schema(...)"
        )
    return load_schema(best[0])


def _guess(schema: Schema, table: PlainTable) -> Guess:
    plan = resolve(schema, table.columns)
    used = plan.used()
    against = list(plan.missing)
    report = schema.validate(table)
    against += report.wrong
    if report.unknown_bands:
        against.append(f"bands {', '.join(report.unknown_bands)} are none of it")
    if not plan.missing and not report.wrong and "time" in plan.columns:
        name = plan.columns["time"]
        values = numbers(explode(table, [name]).columns[name], name).values
        reference = time_reference(plan.time.system) or 0.0
        if not _possible(values, reference):
            against.append(f"the times in {name!r} are impossible as {plan.time.system}")
    matched = tuple(name for name in table.columns if name in used)
    return Guess(schema.name, not against, matched, tuple(against))


def _possible(time: NDArray[np.float64], reference: float) -> bool:
    """Whether the typical time lies where surveys are."""
    finite = time[np.isfinite(time)]
    if not finite.size:
        return True
    middle = float(np.median(finite)) + reference
    return PLAUSIBLE_JD[0] < middle < PLAUSIBLE_JD[1]


@dataclass(frozen=True)
class SchemaDraft:
    """A schema drafted from a table.

    Parameters
    ----------
    text : str
        TOML; what was not decided is marked in comments. Save it as ``name.toml``, correct it
        and give its path to `load_schema`.
    undecided : tuple of str
        What a table does not tell and you must.
    """

    text: str
    undecided: tuple[str, ...]

    def schema(self) -> Schema:
        """The draft as it stands, with what is undecided as ``"unknown"``.

        Raises
        ------
        ConfigError
            If something without which there is no schema is undecided, such as the column of
            times.
        """
        return schema_from_toml(self.text, "draft")


def describe_schema(table: Any, name: str = "my-survey") -> SchemaDraft:
    """Draft of a schema for a table that none describes.

    Parameters
    ----------
    table : pyarrow.Table, pandas.DataFrame, astropy Table or mapping of arrays
        Some thousand rows are enough.
    name : str, default "my-survey"
        Of the schema.

    Returns
    -------
    SchemaDraft
        Columns are found by the names that surveys use (`astroprep.interchange.NAMES`), the zero
        of the times by their size, units from the table where it states them, sentinels among
        numbers in use that no magnitude can have. What no table tells (clock, place of the
        observer, magnitude system, what a band's sign means) is left open, and so listed.

    Raises
    ------
    DataError
        If it is no table.
    """
    return _Drafter(plain_table(table), name).draft()


class _Drafter:
    def __init__(self, table: PlainTable, name: str) -> None:
        self.table, self.name = table, name
        self.names = list(table.columns)
        self.undecided: list[str] = []
        self.lines: list[str] = []

    def draft(self) -> SchemaDraft:
        put = self.lines.append
        put(f"name = {_quoted(self.name)}")
        put(f"survey = {_quoted(self.name)}")
        put("sources = []  # where the meaning of the columns is written down")
        identity = find_column(self.names, "id")
        if identity is None:
            self.open("the column of ids; without one the table is one light curve")
        put(f"id = [{'' if identity is None else _quoted(identity)}]")
        taken = [self.time(), *self.value(), *self.position(), self.band(), identity]
        left = [n for n in self.names if n not in taken]
        if left:
            self.open(f"whether these matter, flags above all: {', '.join(left)}")
        return SchemaDraft("\n".join(self.lines) + "\n", tuple(self.undecided))

    def open(self, what: str) -> None:
        self.undecided.append(what)
        self.lines.append(f"# undecided: {what}".replace("\n", " "))

    def numbers(self, column: str) -> NDArray[np.float64]:
        return numbers(explode(self.table, [column]).columns[column], column).values

    def time(self) -> str | None:
        self.lines.append("")
        column = find_column(self.names, "time")
        if column is None:
            self.open("the column of times")
            return None
        system = _system(column, self.numbers(column))
        self.lines += ["[[time]]", f"column = {_quoted(column)}"]
        if system is None:
            self.open(f"the zero of {column!r}: its numbers fit no usual system; JD is written")
        self.lines += [f"system = {_quoted(system or 'JD')}", 'scale = "unknown"']
        self.lines.append('reference = "unknown"')
        self.open(f"the clock (UTC, TAI, TT, TDB, TCB) and the place of arrival of {column!r}")
        unit = self.table.units.get(column)
        if unit not in (None, "d", "day"):
            self.lines.append(f"unit = {_quoted(unit or '')}")
        return column

    def value(self) -> list[str | None]:
        taken: list[str | None] = []
        for quantity in ("mag", "flux"):
            column = find_column(self.names, quantity)
            if column is None:
                continue
            error = find_column([n for n in self.names if n not in taken], f"{quantity}_err")
            taken += [column, error]
            unit = self.table.units.get(column, "mag" if quantity == "mag" else "")
            self.lines += ["", "[[value]]", f"column = {_quoted(column)}"]
            if error is not None:
                self.lines.append(f"error = {_quoted(error)}")
            self.lines += [f"quantity = {_quoted(quantity)}", f"unit = {_quoted(unit)}"]
            if quantity == "flux" and not unit:
                self.open(f"the unit of {column!r}")
            self.open(f"the magnitude system of {column!r}")
            self.sentinels(column, error, quantity == "mag")
        if not taken:
            self.open("the column of magnitudes or fluxes")
        return taken

    def sentinels(self, column: str, error: str | None, mag: bool) -> None:
        for key, name in (("sentinels", column), ("error_sentinels", error)):
            if name is None:
                continue
            values = self.numbers(name)
            low, high = MAGNITUDES if mag else (-np.inf, np.inf)
            odd = sorted(
                s
                for s in SENTINELS
                if ((values == s) | (values == float(np.float32(s)))).any()
                and (not low < s < high or key == "error_sentinels")
            )
            if odd:
                self.lines.append(f"{key} = {odd}")
                self.open(f"whether {', '.join(map(str, odd))} in {name!r} stands for none")

    def position(self) -> list[str | None]:
        ra, dec = find_column(self.names, "ra"), find_column(self.names, "dec")
        if ra is None or dec is None:
            return [None]
        self.lines += ["", "[position]", f"ra = [{_quoted(ra)}]", f"dec = [{_quoted(dec)}]"]
        if numbers(explode(self.table, [ra]).columns[ra], ra).broken.any():
            self.lines.append('format = "sexagesimal"')
        elif self.table.units.get(ra) is None:
            self.open("whether positions are in degrees; they are taken so")
        self.open('whether each row has a position of its own (per = "point")')
        return [ra, dec]

    def band(self) -> str | None:
        column = find_column(self.names, "band")
        if column is None:
            return None
        text = as_words(explode(self.table, [column]).columns[column], column)
        words = sorted(w for w in pc.unique(pc.drop_null(text)).to_pylist() if w)
        self.lines += ["", "[band]", f"columns = [{_quoted(column)}]", "", "[band.names]"]
        prefix = self.name.lower().replace("-", "")
        self.lines += [
            f"{_quoted(word)} = {_quoted(f'{prefix}_{word.lower()}')}" for word in words[:MAX_BANDS]
        ]
        if len(words) > MAX_BANDS or not words:
            self.open(f"the bands: {column!r} has {len(words)} values")
        return column


def _system(column: str, time: NDArray[np.float64]) -> str | None:
    """Zero of the times, by the size of the numbers and the name of the column."""
    finite = time[np.isfinite(time)]
    if not finite.size:
        return None
    middle, upper = float(np.median(finite)), column.upper()
    kind = next((k for k in ("HJD", "BJD") if k in upper or k.replace("JD", "MJD") in upper), "JD")
    if PLAUSIBLE_JD[0] < middle < PLAUSIBLE_JD[1]:
        return kind
    if 33000 < middle < 80000:  # 1949 to 2077
        return "MJD" if kind == "JD" else f"{kind}-2400000.5"
    named = upper.split("_")[0]
    if named in ("BKJD", "BTJD"):
        return named
    return None


def _quoted(text: str) -> str:
    """Text as a string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

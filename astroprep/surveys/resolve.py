"""Which columns of one table a schema means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from astroprep.data import Quantity
from astroprep.errors import DataError
from astroprep.surveys.schema import Schema, SeriesTable, TimeColumn, ValueColumn

__all__ = ["Plan", "named", "resolve"]


@dataclass(frozen=True)
class Plan:
    """Columns of a table by role, as that table spells them.

    Parameters
    ----------
    time, value : TimeColumn, ValueColumn
        The alternatives that were chosen.
    columns : mapping of str to str
        Column for each of ``id, time, value, error, band, ra, dec, pm_ra, pm_dec`` that is there.
    id_parts : tuple of str
        Columns that make the id together, where no single one does.
    flags : tuple of str
        The column of bits, or those of truth values.
    series : tuple of SeriesTable
        Bands side by side; empty where each row has one value.
    points, objects : mapping of str to str
        Further columns: name in the batch and in the table.
    missing : tuple of str
        What is not there and must be, as phrases.
    absent : tuple of str
        Columns that the schema names and the table does without.
    """

    time: TimeColumn
    value: ValueColumn
    columns: Mapping[str, str]
    id_parts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    series: tuple[SeriesTable, ...] = ()
    points: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def used(self) -> set[str]:
        """All columns of the table that have a role."""
        series = {c for s in self.series for c in (s.value, s.error, s.time) if c is not None}
        further = {*self.points.values(), *self.objects.values()}
        return {*self.columns.values(), *self.id_parts, *self.flags, *further} | series


def named(wanted: str, there: Iterable[str]) -> str | None:
    """Column of that name: exactly, else in any case where that is one; None where not there."""
    names = list(there)
    if wanted in names:
        return wanted
    same = [name for name in names if name.lower() == wanted.lower()]
    return same[0] if len(same) == 1 else None


def resolve(
    schema: Schema,
    there: Iterable[str],
    *,
    quantity: Quantity | None = None,
    objects: Mapping[str, str] | None = None,
) -> Plan:
    """Columns of a table that a schema means; what is missing is said in the plan.

    Parameters
    ----------
    schema : Schema
        Of the survey.
    there : iterable of str
        Columns of the table.
    quantity : {"mag", "flux"}, optional
        Which value to take, where the table has both.
    objects : mapping of str to str, optional
        Further columns per object beside the schema's: name in the batch and in the table.

    Raises
    ------
    DataError
        If a column of `objects` is not there.
    """
    names = list(there)
    columns: dict[str, str] = {}
    missing: list[str] = []

    def put(role: str, *wanted: str | None) -> None:
        found = next((c for c in (named(w, names) for w in wanted if w) if c), None)
        if found is not None:
            columns[role] = found

    values = [v for v in schema.value if quantity in (None, v.quantity)]
    if not values:
        has = ", ".join(sorted({v.quantity for v in schema.value}))
        raise DataError(f"schema {schema.name} has no {quantity}, only {has}; ask for that")
    value = next((v for v in values if named(v.column, names)), None)
    series = () if value is not None else _side_by_side(schema, names)
    time = next((t for t in schema.time if named(t.column, names)), None)
    if value is None and not series:
        missing.append("a value: one of " + ", ".join(dict.fromkeys(v.column for v in values)))
    if time is None and not (series and all(s.time for s in series)):
        missing.append("a time: one of " + ", ".join(t.column for t in schema.time))
    time, value = time or schema.time[0], value or values[0]
    if not series:
        put("value", value.column)
        put("error", value.error)
    put("time", time.column)
    put("id", *schema.id)
    put("band", *schema.band.columns)
    if schema.band.columns and not (
        schema.band.fixed or not schema.band.required or "band" in columns or series
    ):
        missing.append("a band: one of " + ", ".join(schema.band.columns))
    if schema.position is not None:
        put("ra", *schema.position.ra)
        put("dec", *schema.position.dec)
        put("pm_ra", schema.position.pm_ra)
        put("pm_dec", schema.position.pm_dec)
    given = {n: named(c, names) for n, c in (objects or {}).items()}
    for name, column in given.items():
        if column is None:
            raise DataError(
                f"no column {(objects or {})[name]!r} for {name!r}; there is {', '.join(names)}"
            )
    points = {n: named(c, names) for n, c in schema.points.items()}
    per_object = {n: named(c, names) for n, c in schema.objects.items()} | given
    parts = [named(part, names) for part in schema.id_parts]
    whole = "id" not in columns and all(parts)
    plan = Plan(
        time,
        value,
        columns,
        tuple(part for part in parts if part is not None) if whole else (),
        _flag_columns(schema, names),
        series,
        {n: c for n, c in points.items() if c is not None},
        {n: c for n, c in per_object.items() if c is not None},
        tuple(missing),
    )
    used = {name.lower() for name in plan.used()}
    absent = tuple(c for c in schema.roles() if c.lower() not in used)
    return Plan(**{**plan.__dict__, "absent": absent})


def _side_by_side(schema: Schema, names: list[str]) -> tuple[SeriesTable, ...]:
    """Those bands of a wide table that are there, with the columns as the table spells them."""
    found = []
    for one in schema.series:
        value = named(one.value, names)
        time = None if one.time is None else named(one.time, names)
        if value is not None and (one.time is None or time is not None):
            error = None if one.error is None else named(one.error, names)
            found.append(SeriesTable(band=one.band, value=value, error=error, time=time))
    return tuple(found)


def _flag_columns(schema: Schema, names: list[str]) -> tuple[str, ...]:
    if schema.flags is None:
        return ()
    if schema.flags.booleans:
        from astroprep.surveys.bits import SURVEY_BITS

        members = SURVEY_BITS[schema.flags.table].flag.__members__
        return tuple(c for c in (named(m, names) for m in members) if c is not None)
    column = next((c for c in (named(w, names) for w in schema.flags.columns) if c), None)
    return () if column is None else (column,)

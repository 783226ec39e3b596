"""Compare a table with a schema: what is missing, what disagrees, what is not explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from astroprep.data import Quantity
from astroprep.errors import DataError
from astroprep.surveys.cells import as_words, factor
from astroprep.surveys.resolve import Plan, resolve
from astroprep.surveys.schema import Schema
from astroprep.surveys.tables import PlainTable, explode, is_list, plain_table

__all__ = ["SchemaReport", "validate_table"]

WORDS = 20  # unknown bands and flags that a report names


@dataclass(frozen=True)
class SchemaReport:
    """What of a table a schema does not explain.

    Parameters
    ----------
    schema : str
        Name of the schema.
    missing : tuple of str
        What the table must have and has not; with any of these the schema cannot be applied.
    wrong : tuple of str
        Columns whose type or unit cannot be converted; neither can it then.
    converted : tuple of str
        Columns whose unit is another than the schema's and will be converted.
    unknown_bands, unknown_flags : tuple of str
        Values that the schema does not know; the points are flagged, the light curves refused.
    absent : tuple of str
        Columns of the schema that the table does without.
    unexplained : tuple of str
        Columns of the table that the schema leaves aside.
    """

    schema: str
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    unknown_bands: tuple[str, ...] = ()
    unknown_flags: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        """Whether the schema can be applied to the table."""
        return not self.missing and not self.wrong

    def __str__(self) -> str:
        verdict = "applies" if self.applies else "does not apply"
        lines = [f"schema {self.schema} {verdict}"]
        for title in (
            "missing", "wrong", "converted", "unknown_bands", "unknown_flags", "absent",
            "unexplained",
        ):  # fmt: skip
            found = getattr(self, title)
            if found:
                lines.append(f"  {title.replace('_', ' ')}: {', '.join(found)}")
        return "\n".join(lines)


def validate_table(schema: Schema, table: Any, *, quantity: Quantity | None = None) -> SchemaReport:
    """What of a table a schema does not explain; nothing is raised for it.

    Parameters
    ----------
    schema : Schema
        Of the survey.
    table : pyarrow.Table, pandas.DataFrame, astropy Table or mapping of arrays
        See `apply_schema`.
    quantity : {"mag", "flux"}, optional
        Which value will be taken.

    Raises
    ------
    DataError
        If it is no table, or the schema has no such quantity.
    """
    plain = plain_table(table)
    plan = resolve(schema, plain.columns, quantity=quantity)
    used = plan.used()
    wrong, converted = _units(schema, plan, plain)
    bands, wrong_bands = _unknown(plain, plan.columns.get("band"), set(schema.band.names))
    flags: tuple[str, ...] = ()
    if schema.flags is not None and schema.flags.values and plan.flags:
        flags, _ = _unknown(plain, plan.flags[0], {*schema.flags.values, ""})
    return SchemaReport(
        schema.name,
        plan.missing,
        (*_types(plan, plain), *wrong, *wrong_bands),
        converted,
        bands,
        flags,
        plan.absent,
        tuple(name for name in plain.columns if name not in used),
    )


def _types(plan: Plan, table: PlainTable) -> tuple[str, ...]:
    """Columns of numbers that hold something else."""
    columns = [plan.columns[r] for r in ("time", "value", "error") if r in plan.columns]
    wrong = []
    for name in columns:
        kind = table.columns[name].type
        inner = kind.value_type if is_list(kind) else kind
        if not (
            pa.types.is_floating(inner)
            or pa.types.is_integer(inner)
            or pa.types.is_decimal(inner)
            or pa.types.is_null(inner)
            or pa.types.is_string(inner)
            or pa.types.is_large_string(inner)
        ):
            wrong.append(f"{name} holds {inner}, not numbers")
    return tuple(wrong)


def _units(
    schema: Schema, plan: Plan, table: PlainTable
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Units that the table states and the schema does not."""
    expected = {"time": plan.time.unit, "value": plan.value.unit}
    expected["error"] = plan.value.error_unit or plan.value.unit
    if schema.position is not None:
        expected |= {"pm_ra": schema.position.pm_unit, "pm_dec": schema.position.pm_unit}
        if schema.position.format == "degrees":
            expected |= {"ra": "deg", "dec": "deg"}
    wrong, converted = [], []
    for role, unit in expected.items():
        name = plan.columns.get(role, "")
        stated = table.units.get(name)
        if stated is None:
            continue
        try:
            if factor(stated, unit, name) != 1.0:
                converted.append(f"{name} from {stated}, where the schema has {unit}")
        except DataError:
            wrong.append(f"{name} is in {stated}, not in {unit}")
    return tuple(wrong), tuple(converted)


def _unknown(
    table: PlainTable, name: str | None, known: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Values of a column that are not known, and what is wrong with the column."""
    if name is None:
        return (), ()
    try:
        text = as_words(explode(table, [name]).columns[name], name)
    except DataError as error:
        return (), (str(error),)
    found = [v for v in pc.unique(pc.fill_null(text, "")).to_pylist() if v not in known]
    return tuple(sorted(found)[:WORDS]), ()

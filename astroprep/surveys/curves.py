"""Columns per object of a survey's table: position, motion and what is carried along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.surveys.cells import angles, as_words, factor, numbers
from astroprep.surveys.group import mean_direction
from astroprep.surveys.points import Points
from astroprep.surveys.resolve import Plan
from astroprep.surveys.schema import Schema
from astroprep.surveys.tables import PlainTable, is_list

__all__ = ["Curves", "object_columns"]


@dataclass(frozen=True, eq=False)
class Curves:
    """How points make light curves.

    Parameters
    ----------
    ids : object array of str, shape (n_curves,)
        Names.
    first : int64 array, shape (n_curves,)
        Row of the table that columns per object are taken from.
    order : int64 array, shape (n_points,), or slice
        Brings the points of each curve together.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]`` of the ordered points.
    owner : object array of str, shape (n_curves,), or None
        Name of the object, where a curve is one band of it.
    """

    ids: NDArray[np.object_]
    first: NDArray[np.int64]
    order: Any
    offsets: NDArray[np.int64]
    owner: NDArray[np.object_] | None

    @property
    def n(self) -> int:
        """Light curves."""
        return int(self.ids.size)


def object_columns(
    schema: Schema, plan: Plan, table: PlainTable, points: Points, curves: Curves
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
    """Columns per object, and the light curves that cannot be made, by what they need.

    Raises
    ------
    DataError
        If a column has the wrong type or unit.
    """
    found: dict[str, NDArray[Any]] = {"id": curves.ids}
    refused: dict[str, NDArray[np.bool_]] = {}
    if curves.owner is not None:
        found["object"] = curves.owner
    if "id" in plan.columns or plan.id_parts:
        refused[f"an id in {plan.columns.get('id', ', '.join(plan.id_parts))!r} on every row"] = (
            curves.ids if curves.owner is None else curves.owner
        ) == ""
    if points.uneven.any():
        refused["lists of one length in each row"] = points.uneven[curves.first]
    place = schema.position
    if place is not None and {"ra", "dec"} <= plan.columns.keys():
        if points.ra is not None and points.dec is not None:
            found["ra"], found["dec"] = mean_direction(
                points.ra[curves.order], points.dec[curves.order], curves.offsets
            )
        else:
            _position(schema, plan, table, points, curves, found, refused)
        if place.epoch is not None:
            found["position_epoch"] = np.full(curves.n, place.epoch)
        for role in ("pm_ra", "pm_dec"):
            if role in plan.columns:
                name = plan.columns[role]
                unit = factor(table.units.get(name, place.pm_unit), "mas / yr", name)
                cells = numbers(_at(table, name, curves), name)
                found[role] = cells.values * unit
                refused[f"a number in {name!r}"] = cells.broken
    for name, column in plan.objects.items():
        found[name] = _carried(_at(table, column, curves), column)
    return found, refused


def _at(table: PlainTable, name: str, curves: Curves) -> Any:
    column = table.columns[name]
    if is_list(column.type):
        raise DataError(f"column {name!r} holds lists; a column per object has one value a row")
    return column.take(pa.array(curves.first))


def _position(
    schema: Schema,
    plan: Plan,
    table: PlainTable,
    points: Points,
    curves: Curves,
    found: dict[str, NDArray[Any]],
    refused: dict[str, NDArray[np.bool_]],
) -> None:
    """One position an object: the same on all its rows, or the object is refused."""
    assert schema.position is not None
    for role in ("ra", "dec"):
        name = plan.columns[role]
        column = table.columns[name]
        form = schema.position.format
        unit = table.units.get(name)
        cells = angles(_at(table, name, curves), name, form, right=role == "ra", unit=unit)
        found[role] = cells.values
        refused[f"a position that is an angle in {name!r}"] = cells.broken
        if not points.nested and curves.n:
            coded = pc.dictionary_encode(column, null_encoding="encode")
            code = np.asarray(coded.indices.to_numpy(), np.int64)[points.parent][curves.order]
            begin = np.repeat(curves.offsets[:-1], np.diff(curves.offsets))
            changed = np.zeros(curves.n, bool)
            owner = np.repeat(np.arange(curves.n), np.diff(curves.offsets))
            changed[owner[code != code[begin]]] = True
            refused[f"one position in {name!r}, not several"] = changed


def _carried(column: Any, name: str) -> NDArray[Any]:
    """Numbers as numbers, other things as text."""
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return numbers(column, name).values
    text = pc.fill_null(as_words(column, name), "")
    return np.asarray(text.to_numpy(zero_copy_only=False), dtype=object)

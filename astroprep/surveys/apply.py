"""Make light curves of a survey's table, as its schema says."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch, Meta, Quantity
from astroprep.errors import DataError
from astroprep.surveys.cells import as_words, coded_words
from astroprep.surveys.curves import Curves, object_columns
from astroprep.surveys.group import group_rows
from astroprep.surveys.points import Points, read_points
from astroprep.surveys.resolve import Plan, resolve
from astroprep.surveys.schema import Schema
from astroprep.surveys.tables import PlainTable, is_list, plain_table
from astroprep.units import time_reference

__all__ = ["apply_schema", "schema_meta"]

logger = logging.getLogger(__name__)

STEP = "Schema"


def apply_schema(
    schema: Schema,
    table: Any,
    *,
    quantity: Quantity | None = None,
    objects: Mapping[str, str] | None = None,
    on_bad: OnBad = "raise",
    bands: Sequence[str] | None = None,
    first_row: int = 0,
    object_id: str = "",
    where: str = "",
) -> LightCurveBatch:
    """Batch of light curves from a table of measurements.

    Parameters
    ----------
    schema : Schema
        What the columns mean.
    table : pyarrow.Table, pandas.DataFrame, astropy Table or mapping of arrays
        One row a measurement, in any order; or one row a light curve with lists in its cells.
        Never changed.
    quantity : {"mag", "flux"}, optional
        Which to take where the survey gives both; the first of the schema by default.
    objects : mapping of str to str, optional
        Further columns per object: name in the batch and in the table.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with a light curve that cannot be made.
    bands : sequence of str, optional
        ``meta.bands``; those that occur by default.
    first_row : int, default 0
        ``objects["row"]`` of the first light curve.
    object_id : str, optional
        Id of all rows of a table without a column of ids, which is one light curve; the name
        of the schema by default.
    where : str, optional
        What messages call the table.

    Returns
    -------
    LightCurveBatch
        Curves in the order of their first row, points in that of the table. ``objects`` holds
        ``id`` and, as far as the survey has them, ``ra``, ``dec`` (degrees), ``pm_ra``,
        ``pm_dec`` (mas/yr), ``position_epoch`` (Julian years); ``points`` holds
        ``survey_flags`` and what the schema carries along.

    Raises
    ------
    DataError
        If a column is missing or of the wrong type or unit, or, with ``on_bad="raise"``, a
        light curve cannot be made: a cell that must be a number is none, a position is no
        angle, or one object has several; a row has no id; lists of a row differ in length.

    Notes
    -----
    No row is dropped. A sentinel becomes NaN; a value that is none is flagged
    ``MISSING_VALUE``, a time ``BAD_TIME``, both with ``SENTINEL`` where a sentinel stood there.
    An error that is none stays NaN without a flag, because `FlagBad` decides about such points.
    An upper limit is flagged ``UPPER_LIMIT``. A band that the schema does not know has the code
    -1 and the flag ``OTHER_BAND``, and is named in the log. Flags that are empty count as
    raised: the point is flagged ``SURVEY``.
    """
    name = where or f"schema {schema.name}"
    plain = plain_table(table)
    plan = resolve(schema, plain.columns, quantity=quantity, objects=objects)
    if plan.missing:
        raise DataError(
            f"{name}: the table has no column for {'; nor for '.join(plan.missing)}; there is "
            f"{', '.join(plain.columns) or 'nothing'}. Is it of another survey?"
        )
    try:
        points = read_points(schema, plan, plain)
        curves = _curves(schema, plan, plain, points, object_id or schema.name)
        per_object, refused = object_columns(schema, plan, plain, points, curves)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    names, code = _bands(schema, points, bands)
    batch = LightCurveBatch(
        time=points.time[curves.order],
        value=points.value[curves.order],
        error=points.error[curves.order],
        offsets=curves.offsets,
        flags=points.flags[curves.order],
        band=None if code is None else code[curves.order],
        points={key: column[curves.order] for key, column in points.further.items()},
        objects={**per_object, "row": np.arange(first_row, first_row + curves.n, dtype=np.int64)},
        meta=schema_meta(schema, plan, names),
    )
    return _refuse(batch, _reasons(points, curves, refused), on_bad, name)


def schema_meta(schema: Schema, plan: Plan, bands: Sequence[str]) -> Meta:
    """Metadata of a batch of the columns that a plan has chosen."""
    return Meta(
        survey=schema.survey,
        quantity=plan.value.quantity,
        unit=plan.value.batch_unit,
        time_scale=plan.time.time_scale,
        time_ref=time_reference(plan.time.system),
        bands=tuple(bands),
    )


def _ids(plan: Plan, table: PlainTable) -> tuple[NDArray[np.int64], list[str]] | None:
    """Id of each row by code, ``""`` where there is none; None without a column."""
    names = (plan.columns["id"],) if "id" in plan.columns else plan.id_parts
    for name in names:
        if is_list(table.columns[name].type):
            raise DataError(f"column {name!r} holds lists; an id is one for each row")
    if not names:
        return None
    if len(names) == 1:
        return coded_words(table.columns[names[0]], names[0])
    words = [as_words(table.columns[name], name) for name in names]
    return coded_words(pc.binary_join_element_wise(*words, "."), ".".join(names))


def _curves(
    schema: Schema, plan: Plan, table: PlainTable, points: Points, object_id: str
) -> Curves:
    """Which points make a light curve: by row of a nested table, else by id, and by band."""
    rows = table.n_rows
    found = _ids(plan, table)
    if points.nested:
        first, key, n = np.arange(rows), points.parent, rows
        words = [f"row-{i}" for i in range(rows)]
        if found is not None:
            words = [found[1][code] for code in found[0].tolist()]
    elif found is None:
        n = min(rows, 1)
        first, key = np.zeros(n, np.int64), np.zeros(points.time.size, np.int64)
        words = [object_id] * n
    else:
        code, words = found
        n = len(words)
        first = np.empty(n, np.int64)
        first[code[::-1]] = np.arange(rows)[
            ::-1
        ]  # of equal indices the last is kept: the first row
        key = code[points.parent]
    ids = np.array(words, dtype=object)
    if schema.curve == "object and band" and points.band is not None:
        return _by_band(schema, points, ids, first, key, n)
    order, offsets = group_rows(key, n)
    return Curves(ids, first, slice(None) if order is None else order, offsets, None)


def _by_band(
    schema: Schema,
    points: Points,
    ids: NDArray[np.object_],
    first: NDArray[np.int64],
    key: NDArray[np.int64],
    n: int,
) -> Curves:
    """A light curve for each object and band; an object without points keeps one."""
    names = schema.band.canonical()
    m = len(names) + 1
    assert points.band is not None
    joint = key * m + np.where(points.band < 0, m - 1, points.band)
    alone = np.flatnonzero(np.bincount(key, minlength=n) == 0)
    there = np.unique(np.concatenate((joint, alone * m + m - 1)))
    owner, band = there // m, there % m
    words = np.array([*names, "unknown"], dtype=object)[band]
    order, offsets = group_rows(np.searchsorted(there, joint), there.size)
    return Curves(
        ids[owner] + ":" + words if there.size else np.empty(0, object),
        first[owner],
        slice(None) if order is None else order,
        offsets,
        ids[owner],
    )


def _bands(
    schema: Schema, points: Points, wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int16] | None]:
    """Names of the bands of a batch, and the code of each point."""
    if points.band is None:
        return (), None
    names = schema.band.canonical() or tuple(s.band for s in schema.series)
    if points.unknown_bands:
        logger.warning(
            "schema %s: band %s is not known, so its points are flagged OTHER_BAND; there are %s",
            schema.name, ", ".join(map(repr, points.unknown_bands)), ", ".join(names),
        )  # fmt: skip
    if wanted is None:
        there = np.unique(points.band[points.band >= 0])
        wanted = [names[i] for i in there]
    new = {name: i for i, name in enumerate(wanted)}
    table = np.array([*(new.get(name, -1) for name in names), -1], np.int16)
    return tuple(wanted), table[points.band]


def _reasons(
    points: Points, curves: Curves, refused: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.object_]:
    """Why each light curve cannot be made, ``""`` where it can."""
    why = np.full(curves.n, "", dtype=object)
    curve = np.repeat(np.arange(curves.n), np.diff(curves.offsets))
    for reason, broken in points.broken.items():
        for i in np.unique(curve[broken[curves.order]]):
            why[i] = why[i] or reason
    for reason, mask in refused.items():
        why[mask & (why == "")] = reason
    return why


def _refuse(
    batch: LightCurveBatch, why: NDArray[np.object_], on_bad: OnBad, where: str
) -> LightCurveBatch:
    bad = why != ""
    if not bad.any():
        return batch
    if on_bad == "raise":
        i = int(np.argmax(bad))
        raise DataError(
            f"{where} needs {why[i]}: {batch.ids[i]!r} (light curve {i}); {int(bad.sum())} of "
            f"{bad.size} are refused. Pass on_bad='reject' to set them aside with the reason."
        )
    return batch.reject(bad, np.array([f"needs {w}" for w in why], dtype=object), STEP)

"""Which columns of a nested Parquet file are what, by its schema."""

from __future__ import annotations

import logging
from dataclasses import replace

import pyarrow as pa

from astroprep.errors import DataError
from astroprep.io.columns import (
    OWN_OBJECTS,
    ColumnNames,
    PointColumns,
    find_object_columns,
    find_point_columns,
)
from astroprep.io.nested import point_types

__all__ = ["is_number", "object_columns_of", "point_columns_of"]

logger = logging.getLogger(__name__)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be read as numbers; one without values can."""
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
        or pa.types.is_decimal(kind)
    )


def point_columns_of(
    schema: pa.Schema, curve: str | None, names: ColumnNames, own: bool, where: str
) -> PointColumns:
    """Columns per point; flags, weights and all further ones where the file is our own.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the file.
    curve : str or None
        Column that holds the light curves, see `find_curve`.
    names : ColumnNames
        What the caller named.
    own : bool
        Whether astroprep wrote the file.
    where : str
        The file, for messages.

    Raises
    ------
    DataError
        As `find_point_columns`, or if times, values or errors are no numbers.
    """
    types = point_types(schema, curve)
    found = find_point_columns(names, types, where)
    for name in (found.time, found.value, found.error):
        if name is not None and not is_number(types[name]):
            raise DataError(
                f"{where}: the points' column {name!r} must hold lists of numbers, but "
                f"holds {types[name]}; convert it, or name another column"
            )
    if not own:
        return found
    taken = {*found.names(), "flags", "weight"}
    others = [
        name
        for name, kind in types.items()
        if name not in taken and (is_number(kind) or pa.types.is_boolean(kind))
    ]
    return replace(
        found,
        flags="flags" if types.get("flags") == pa.uint32() else None,
        weight="weight" if types.get("weight") in (pa.float64(), pa.float32()) else None,
        further=(*found.further, *others),
    )


def object_columns_of(
    schema: pa.Schema, names: ColumnNames, own: bool, where: str
) -> dict[str, str]:
    """Column of the file for each column per object of the batch.

    Parameters
    ----------
    schema, names, own, where
        As for `point_columns_of`.

    Raises
    ------
    DataError
        As `find_object_columns`.
    """
    flat = [f.name for f in schema if not pa.types.is_nested(f.type)]
    found = find_object_columns(names, flat, where)
    if own:
        found.update({name: name for name in OWN_OBJECTS if name in flat})
    for role in ("ra", "dec"):
        column = found.get(role)
        if column is not None and getattr(names, role) is None:
            kind = schema.field(column).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                logger.warning(
                    "%s: column %r holds %s, not degrees, and is left out", where, column, kind
                )
                del found[role]
    return found

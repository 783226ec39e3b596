"""Light curves inside Arrow columns: struct of lists, list of structs, lists side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.arrow_arrays import arrow_numbers, numpy_numbers
from astroprep.errors import DataError
from astroprep.interchange import NAMES
from astroprep.io.columns import ColumnNames, PointColumns, find_column

__all__ = ["find_curve", "list_sizes", "point_lists", "point_types"]


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_curve(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_is_list(f.type) for f in kind)
    return _is_list(kind) and bool(pa.types.is_struct(kind.value_type))


def find_curve(schema: pa.Schema, names: ColumnNames, where: str) -> str | None:
    """Name of the nested light-curve column, or None when the lists stand side by side.

    Raises
    ------
    DataError
        If there is no list in the file, or more than one column could be meant.
    """
    nested = [f.name for f in schema if _is_curve(f.type)]
    if names.lightcurve is not None:
        name = find_column(names.lightcurve, (), schema.names, where, "light curve")
        if name not in nested:
            raise DataError(
                f"{where}: the light curve {name!r} must be a struct of lists or a list of "
                f"structs, but is {schema.field(name).type}"
            )
        return name
    usual = find_column(None, NAMES["lightcurve"], nested, where, "light curve")
    if usual is not None or len(nested) == 1:
        return usual or nested[0]
    if len(nested) > 1:
        raise DataError(
            f"{where}: {', '.join(nested)} could each be the light curve; "
            "say which, as in lightcurve_column=..."
        )
    if not any(_is_list(f.type) for f in schema):
        raise DataError(
            f"{where}: no light curves: there is {', '.join(schema.names) or 'nothing'}, none of "
            "it a list. One row must be one object with lists of times and values; a table with "
            "one row a measurement can be read as CSV"
        )
    return None


def point_types(schema: pa.Schema, curve: str | None) -> dict[str, pa.DataType]:
    """Type of each column per point."""
    if curve is None:
        return {f.name: f.type.value_type for f in schema if _is_list(f.type)}
    kind = schema.field(curve).type
    if pa.types.is_struct(kind):
        return {f.name: f.type.value_type for f in kind}
    return {f.name: f.type for f in kind.value_type}


def point_lists(part: pa.RecordBatch, curve: str | None, points: PointColumns) -> dict[str, Any]:
    """Arrow list array of each column per point."""
    names = points.names()
    if curve is None:
        return {name: part.column(name) for name in names}
    column = part.column(curve)
    if pa.types.is_struct(column.type):
        children = dict(zip([f.name for f in column.type], column.flatten(), strict=True))
        return {name: children[name] for name in names}
    sizes = list_sizes(column)
    inner = column.flatten()
    offsets = arrow_numbers(np.concatenate(([0], np.cumsum(sizes))))
    children = dict(zip([f.name for f in inner.type], inner.flatten(), strict=True))
    return {name: pa.LargeListArray.from_arrays(offsets, children[name]) for name in names}


def list_sizes(lists: Any) -> NDArray[np.int64]:
    """Points of each row; a null list has none."""
    sizes = pc.list_value_length(lists)
    if sizes.null_count:
        sizes = pc.fill_null(sizes, 0)
    return np.asarray(numpy_numbers(sizes), dtype=np.int64)

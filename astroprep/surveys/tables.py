"""Tables of any maker as Arrow columns, and lists in their cells as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.errors import DataError

__all__ = ["Exploded", "PlainTable", "explode", "plain_table"]


@dataclass(frozen=True, eq=False)
class PlainTable:
    """Columns of one length, with the units that the table states of itself.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        By name; a struct of lists, or a list of structs, has become one list column a field.
    units : mapping of str to str
        Of the columns that state one.
    n_rows : int
        Length of every column.
    """

    columns: Mapping[str, Any]
    units: Mapping[str, str]
    n_rows: int


def plain_table(table: Any) -> PlainTable:
    """Arrow columns of a pyarrow, pandas or astropy table, or of a mapping of arrays.

    Raises
    ------
    DataError
        If it is none of these, two columns have one name, or a column holds what has no type.
    """
    if isinstance(table, PlainTable):
        return table
    kind = type(table).__module__.partition(".")[0]
    units: dict[str, str] = {}
    try:
        if isinstance(table, pa.RecordBatch):
            arrow = pa.Table.from_batches([table])
        elif isinstance(table, pa.Table):
            arrow = table
        elif hasattr(table, "colnames"):
            arrow, units = _from_astropy(table)
        elif hasattr(table, "to_parquet") and hasattr(table, "columns"):
            _distinct([str(name) for name in table.columns])
            frame = table.reset_index() if table.index.name else table
            arrow = pa.Table.from_pandas(frame, preserve_index=False)
        elif isinstance(table, Mapping):
            arrow = pa.table({str(k): _array(v) for k, v in table.items()})
        else:
            raise DataError(
                f"a schema is applied to a pyarrow, pandas or astropy table or a mapping of "
                f"arrays, got {type(table).__name__} of {kind}"
            )
    except (pa.ArrowException, TypeError) as error:
        raise DataError(
            f"the table has a column without one type ({str(error).splitlines()[0]}); make it "
            "all numbers or all text"
        ) from error
    _distinct(arrow.column_names)
    for field in arrow.schema:
        stated = (field.metadata or {}).get(b"unit")
        if stated:
            units.setdefault(field.name, stated.decode(errors="replace"))
    return PlainTable(_columns(arrow), units, arrow.num_rows)


def _distinct(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the table has several columns called {', '.join(twice)}; rename them")


def _array(values: Any) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    array = np.ma.asanyarray(values)
    mask = np.ma.getmaskarray(array)
    plain = np.asarray(array.data)
    if plain.ndim != 1:
        raise DataError(f"a column has shape {plain.shape}; give one number a row")
    if plain.dtype.kind == "S":
        plain = np.char.decode(plain, "utf-8", "replace")
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("="))
    if plain.dtype.kind == "U":
        plain = plain.astype(object)
    return pa.array(plain, mask=mask if mask.any() else None)


def _from_astropy(table: Any) -> tuple[pa.Table, dict[str, str]]:
    columns, units = {}, {}
    for name in table.colnames:
        column = table[name]
        if hasattr(column, "scale") and hasattr(column, "jd1"):
            raise DataError(
                f"column {name!r} is an astropy Time, but a schema maps numbers: give "
                f"its .mjd or .jd, and say which in the schema"
            )
        if getattr(column, "unit", None) is not None:
            units[name] = column.unit.to_string()
        plain = getattr(column, "value", column)
        mask = getattr(column, "mask", None)
        if hasattr(plain, "unmasked"):
            plain, mask = plain.unmasked, plain.mask
        columns[name] = _array(
            np.ma.MaskedArray(np.asarray(plain), mask=False if mask is None else mask)
        )
    return pa.table(columns), units


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is a list of any sort."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _columns(arrow: pa.Table) -> dict[str, Any]:
    """Columns by name; nested light curves become list columns, one a field."""
    columns: dict[str, Any] = {}
    for name in arrow.column_names:
        column = _one_array(arrow[name])
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_struct(kind) and kind.num_fields and all(is_list(f.type) for f in kind):
            fields = dict(zip([f.name for f in kind], column.flatten(), strict=True))
        elif is_list(kind) and pa.types.is_struct(kind.value_type):
            fields = _list_of_structs(column)
        else:
            fields = {name: column}
        clash = sorted(columns.keys() & fields.keys())
        if clash:
            raise DataError(
                f"the table has {', '.join(clash)} both inside {name!r} and beside it; rename one"
            )
        columns |= fields
    return columns


def _one_array(column: Any) -> Any:
    """Array of a chunked column, without a copy where there is one chunk."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()


def _list_of_structs(column: Any) -> dict[str, Any]:
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    offsets = pa.array(np.concatenate(([0], np.cumsum(sizes))), pa.int64())
    inner = column.flatten()
    return {
        field.name: pa.LargeListArray.from_arrays(offsets, child)
        for field, child in zip(inner.type, inner.flatten(), strict=True)
    }


@dataclass(frozen=True, eq=False)
class Exploded:
    """Columns with one row a point, where a cell of the table held a list of them.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        With one row a point.
    parent : int64 array, shape (n_points,)
        Row of the table that each is from.
    uneven : bool array, shape (n_rows,)
        True where the lists of a row differ in length; such a row has no points.
    nested : bool
        Whether there were any lists.
    """

    columns: Mapping[str, Any]
    parent: NDArray[np.int64]
    uneven: NDArray[np.bool_]
    nested: bool


def explode(table: PlainTable, names: list[str]) -> Exploded:
    """Rows of points of the named columns; a table without lists comes back as it is."""
    wanted = {name: table.columns[name] for name in dict.fromkeys(names)}
    lists = {name: column for name, column in wanted.items() if is_list(column.type)}
    uneven = np.zeros(table.n_rows, bool)
    if not lists:
        return Exploded(wanted, np.arange(table.n_rows), uneven, False)
    sizes = {
        name: np.asarray(pc.fill_null(pc.list_value_length(c), 0).to_numpy(), np.int64)
        for name, c in lists.items()
    }
    first = next(iter(sizes.values()))
    for other in sizes.values():
        uneven |= other != first
    parent = np.repeat(np.arange(table.n_rows), np.where(uneven, 0, first))
    keep, rows = pa.array(~uneven), pa.array(parent)
    columns = {
        name: column.filter(keep).flatten() if name in lists else column.take(rows)
        for name, column in wanted.items()
    }
    return Exploded(columns, parent, uneven, True)

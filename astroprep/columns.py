"""Columns of a batch: read-only, of the wanted type and length."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError

__all__ = ["fixed_columns", "number_column", "sized", "text_column"]


def text_column(values: ArrayLike, size: int | None = None) -> NDArray[np.object_]:
    """Object array of plain str; numpy's own string types print as ``np.str_(...)``.

    Parameters
    ----------
    values : array-like
        Of any shape; None and NaN become empty.
    size : int, optional
        A single value is repeated so often.

    Returns
    -------
    object array of str, shape (n_values,) or (size,)
    """
    source = np.asarray(values, dtype=object).ravel()
    text = np.empty(source.size, dtype=object)
    text[:] = ["" if v is None or v != v else str(v) for v in source.tolist()]  # v != v: NaN
    if size is not None and text.size == 1 and size != 1:
        text = np.repeat(text, size)
    return text


def number_column(name: str, values: ArrayLike, dtype: type) -> NDArray[Any]:
    """Contiguous read-only column of the wanted type, without a copy where it has it already.

    Parameters
    ----------
    name : str
        For messages.
    values : array-like, shape (n_values,)
        Numbers or bool.
    dtype : type
        The wanted one.

    Returns
    -------
    array of `dtype`, shape (n_values,)

    Raises
    ------
    DataError
        If the values are no numbers, or not in one dimension.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"LightCurveBatch needs numbers in {name!r}, got dtype {array.dtype}; "
            "convert the column before"
        )
    if array.ndim != 1:
        raise DataError(f"LightCurveBatch needs {name!r} in one dimension, got {array.shape}")
    return _frozen(np.ascontiguousarray(array, dtype=dtype))


def sized(name: str, column: NDArray[Any], size: int, what: str) -> NDArray[Any]:
    """The column, if it has an entry for each of `size` points or curves.

    Raises
    ------
    DataError
        If it has not.
    """
    if column.ndim == 0 or column.shape[0] != size:
        raise DataError(
            f"LightCurveBatch: column {name!r} has shape {column.shape}, "
            f"but there are {size} {what}"
        )
    return column


def fixed_columns(
    columns: Mapping[str, Any], size: int, what: str
) -> MappingProxyType[str, NDArray[Any]]:
    """Read-only mapping of read-only columns.

    Parameters
    ----------
    columns : mapping of str to array-like, shape (size, ...)
        Of any type.
    size, what
        How many entries each must have, and of what: points or curves.

    Raises
    ------
    DataError
        If a column has another length.
    """
    return MappingProxyType(
        {
            name: sized(name, _frozen(np.asarray(column)), size, what)
            for name, column in columns.items()
        }
    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view

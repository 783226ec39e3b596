"""A table of numbers with named columns, taken from whatever the user holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features.catalog import resolve

__all__ = ["FeatureTable", "as_labels", "as_table", "block_of", "column_names"]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of objects, one row each.

    Parameters
    ----------
    values : float64 array, shape (n_objects, n_features)
        NaN where a feature is missing. Infinities have become NaN: they tell that a feature
        ran away, not how far.
    names : tuple of str
        Of the columns, all different.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]

    @property
    def n_objects(self) -> int:
        """Rows."""
        return int(self.values.shape[0])

    @property
    def n_features(self) -> int:
        """Columns."""
        return int(self.values.shape[1])

    def take(self, columns: Sequence[int] | NDArray[np.intp]) -> FeatureTable:
        """Columns at these positions, in this order."""
        index = np.asarray(columns, dtype=np.intp)
        return FeatureTable(self.values[:, index], tuple(self.names[k] for k in index))


def as_table(table: Any, names: Sequence[str] | None = None) -> FeatureTable:
    """Numbers and names of any table.

    Parameters
    ----------
    table : 2-D array, mapping of columns, pandas, astropy or pyarrow table, LightCurveBatch
        Of a batch ``objects["features"]`` is taken. Columns hold numbers or bools; masked and
        null entries are missing. Never changed.
    names : sequence of str, optional
        Names of the columns of an array or of a batch (``feature_names()`` of the step that
        wrote them); numbered without. Of a table with names: those to take, in this order.

    Returns
    -------
    FeatureTable

    Raises
    ------
    DataError
        If there are no columns, one holds no numbers, lengths differ, or a name is missing or
        there twice.
    """
    if isinstance(table, FeatureTable):
        found = dict(zip(table.names, table.values.T, strict=True))
        return table if names is None else _of_columns(found, names)
    if isinstance(table, LightCurveBatch):
        if "features" not in table.objects:
            raise DataError(
                "a table of features needs the column 'features' per object, but the batch has "
                f"{', '.join(sorted(table.objects))}; put FeatureExtractor before"
            )
        table = table.objects["features"]
    columns = _columns(table)
    if columns is not None:
        return _of_columns(columns, names)
    values = np.asarray(table)
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise DataError(
            "a table of features needs numbers of shape (n_objects, n_features), got dtype "
            f"{values.dtype} and shape {values.shape}"
        )
    chosen = tuple(f"feature_{k}" for k in range(values.shape[1])) if names is None else names
    if isinstance(chosen, str) or len(chosen) != values.shape[1]:
        raise DataError(f"a table of {values.shape[1]} columns needs as many names, got {chosen!r}")
    return _made(values.astype(np.float64), tuple(map(str, chosen)))


def _columns(table: Any) -> Mapping[str, Any] | None:
    """Columns by name of tables that have names."""
    if isinstance(table, pd.DataFrame):
        labels = [str(label) for label in table.columns]
        _unique(labels)
        return {label: table.iloc[:, k] for k, label in enumerate(labels)}
    if isinstance(table, Mapping):
        return {str(name): column for name, column in table.items()}
    for attribute in ("column_names", "colnames"):  # pyarrow, astropy
        if (found := getattr(table, attribute, None)) is not None:
            _unique(list(found))
            return {str(label): table[label] for label in found}
    return None


def _of_columns(columns: Mapping[str, Any], names: Sequence[str] | None) -> FeatureTable:
    wanted = tuple(columns) if names is None else tuple(names)
    lacking = [name for name in wanted if name not in columns]
    if lacking:
        raise DataError(
            f"the table has no column {lacking[0]!r}; it has {', '.join(map(repr, columns))}"
        )
    if not wanted:
        raise DataError("a table of features needs at least one column")
    parts = [_numbers(name, columns[name]) for name in wanted]
    sizes = {part.size for part in parts}
    if len(sizes) > 1:
        raise DataError(f"columns of a table must be equally long, got {sorted(sizes)} rows")
    return _made(np.stack(parts, axis=1), wanted)


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    if hasattr(column, "to_pandas"):  # pyarrow and astropy, whose nulls and masks it keeps
        column = column.to_pandas()
    if isinstance(column, pd.Series):
        if not (pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c"):
            raise DataError(f"column {name!r} must hold numbers, got dtype {column.dtype}")
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values: Any = np.ma.asarray(column)
    if values.dtype.kind not in "biuf" or values.ndim != 1:
        raise DataError(
            f"column {name!r} must hold one number a row, got dtype {values.dtype} and shape "
            f"{values.shape}"
        )
    return np.asarray(values.astype(np.float64).filled(np.nan), dtype=np.float64)


def _unique(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise DataError(f"a table of features names {', '.join(map(repr, twice))} more than once")


def _made(values: NDArray[np.float64], names: tuple[str, ...]) -> FeatureTable:
    if not names:
        raise DataError("a table of features needs at least one column")
    _unique(names)
    if np.isinf(values).any():
        values = np.where(np.isinf(values), np.nan, values)
    values = np.ascontiguousarray(values).view()
    values.flags.writeable = False
    return FeatureTable(values, names)


def column_names(names: Sequence[str] | str | None, columns: Sequence[str] | str) -> list[str]:
    """Names that the settings of a step stand for, empty where they do not say.

    Parameters
    ----------
    names : sequence of str, str or None
        As they are; a single word is what `FeatureExtractor` takes for its features.
    columns : str or sequence of str
        Object columns; several are their own names.

    Raises
    ------
    ConfigError
        If the word is unknown, or names are there twice.
    """
    if isinstance(names, str):
        return [column.name for column in resolve(names)]
    found = list(names or (() if isinstance(columns, str) else columns))
    if len(set(found)) < len(found):
        raise ConfigError(f"names of features must differ, got {found!r}")
    return found


def block_of(
    batch: LightCurveBatch, columns: Sequence[str] | str, names: Sequence[str], who: str
) -> FeatureTable:
    """Object columns of a batch, side by side.

    Parameters
    ----------
    batch : LightCurveBatch
        Holds the columns.
    columns : str or sequence of str
        One block, or columns of one number an object.
    names : sequence of str
        Of the columns of the block; numbered where empty.
    who : str
        Named in errors.

    Raises
    ------
    DataError
        If a column is missing or holds no numbers, or the block has another width.
    """
    wanted = (columns,) if isinstance(columns, str) else tuple(columns)
    parts = []
    for name in wanted:
        if name not in batch.objects:
            raise DataError(
                f"{who} needs the column {name!r} per object, but the batch has "
                f"{', '.join(sorted(batch.objects))}; put the step that adds it before"
            )
        part: NDArray[Any] = batch.objects[name]
        flat = part.ndim == 1 or (part.ndim == 2 and len(wanted) == 1)
        if not flat or part.dtype.kind not in "biuf":
            raise DataError(
                f"{who} needs numbers in the column {name!r}, got dtype {part.dtype} and shape "
                f"{part.shape}"
            )
        parts.append(part[:, None] if part.ndim == 1 else part)
    values = np.concatenate(parts, axis=1)
    if names and len(names) != values.shape[1]:
        raise DataError(
            f"{who} needs {len(names)} columns in {wanted[0]!r} ({', '.join(names[:3])}, ...), "
            f"got {values.shape[1]}; describe the curves with the same FeatureExtractor"
        )
    return as_table(values, list(names) or None)


def as_labels(labels: ArrayLike, n_objects: int, who: str) -> NDArray[np.object_]:
    """Labels as text, one an object; empty, None and NaN stand for none."""
    given = np.asarray(labels, dtype=object).ravel()
    if given.size != n_objects:
        raise DataError(f"{who} needs one label an object: {n_objects} rows, {given.size} labels")
    text = np.empty(given.size, dtype=object)
    text[:] = ["" if v is None or v != v else str(v) for v in given.tolist()]
    return text

"""pandas and nested-pandas frames of light curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.interchange.arrow import band_codes, from_arrow, point_columns, to_arrow
from astroprep.interchange.names import NAMES, find_column, measurement
from astroprep.optional import need

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_back", "from_frame", "from_nested", "from_pandas", "to_nested", "to_pandas"]


def from_pandas(frame: pd.DataFrame, *, id_column: str | None = None) -> LightCurveBatch:
    """Batch of a long frame, one row a measurement.

    Parameters
    ----------
    frame : pandas.DataFrame
        With a column of times, one of magnitudes or fluxes and, for several objects, one of
        ids. Rows of one object need not be adjacent.
    id_column : str, optional
        Name of the id column; found by `NAMES` otherwise; without one the frame is one curve.

    Returns
    -------
    LightCurveBatch

    Raises
    ------
    DataError
        If columns are missing.
    """
    return from_frame(frame, id_column)[0]


def from_frame(
    frame: pd.DataFrame, id_column: str | None
) -> tuple[LightCurveBatch, NDArray[np.int64]]:
    """Batch of a long frame, and the row of the frame behind each of its points."""
    import pandas as pd  # half a second, which nobody pays who holds no frame

    names = [str(name) for name in frame.columns]
    time, value, error, quantity = measurement(names, "DataFrame")
    who = id_column or find_column(names, "id")
    if who is None:
        codes, ids = np.zeros(len(frame), np.int64), pd.Index(["0"])
    else:
        if who not in names:
            raise DataError(f"DataFrame has no column {who!r}; it has {', '.join(names)}")
        codes, ids = pd.factorize(frame[who], use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(ids))

    def numbers(name: str) -> NDArray[np.float64]:
        try:
            return frame[name].to_numpy(np.float64, na_value=np.nan)[order]
        except (TypeError, ValueError) as failure:
            raise DataError(f"DataFrame column {name!r} holds no numbers: {failure}") from None

    band_name = find_column(names, "band")
    band, bands = None, cast(tuple[str, ...], ())
    if band_name is not None:
        band, bands = band_codes(pa.array(frame[band_name].astype(str).to_numpy()[order]), ())
    # flags of this type beside a weight are what `to_pandas` wrote, not a survey's own
    ours = "weight" in names and "flags" in names and frame["flags"].dtype == np.uint32
    return (
        LightCurveBatch(
            time=numbers(time),
            value=numbers(value),
            error=np.full(len(frame), np.nan) if error is None else numbers(error),
            offsets=np.concatenate(([0], np.cumsum(counts))),
            flags=frame["flags"].to_numpy()[order] if ours else None,  # type: ignore[arg-type]
            weight=numbers("weight") if ours else None,  # type: ignore[arg-type]
            band=band,
            objects={"id": ids.to_numpy(dtype=object)},
            meta=Meta(quantity=quantity, unit="mag" if quantity == "mag" else "", bands=bands),
        ),
        order,
    )


def to_pandas(batch: LightCurveBatch) -> pd.DataFrame:
    """Long frame, one row a measurement, with the one-dimensional object columns repeated."""
    import pandas as pd

    sizes = np.diff(batch.offsets)
    columns = {
        name: np.repeat(column, sizes)
        for name, column in batch.objects.items()
        if column.ndim == 1 and name != "row"
    }
    return pd.DataFrame({**columns, **point_columns(batch)})


def from_nested(frame: pd.DataFrame, *, column: str | None = None) -> LightCurveBatch:
    """Batch of a nested-pandas frame, one row an object; float64 fields are not copied.

    Parameters
    ----------
    frame : nested_pandas.NestedFrame
        With one nested column, or `column` naming it.

    Returns
    -------
    LightCurveBatch

    Raises
    ------
    DataError
        If there is no nested column, or several and none was named.
    """
    nested = [
        str(name) for name, kind in frame.dtypes.items() if type(kind).__name__ == "NestedDtype"
    ]
    if column is None and len(nested) != 1:
        raise DataError(
            f"NestedFrame has {len(nested)} nested columns ({', '.join(nested)}); name one"
        )
    column = column or nested[0]
    others = [str(name) for name in frame.columns if name not in nested]
    objects = {name: frame[name].to_numpy() for name in others}
    who = find_column(others, "id")
    objects["id"] = frame.index.to_numpy() if who is None else objects[who]
    return from_arrow(pa.array(frame[column].array), objects=objects)


def to_nested(batch: LightCurveBatch, *, name: str = "lightcurve") -> Any:
    """Return a nested-pandas frame, one row an object; needs the nested-pandas package.

    Parameters
    ----------
    batch : LightCurveBatch
        The rejected are not in the frame.
    name : str, default "lightcurve"
        Name of the nested column.

    Returns
    -------
    nested_pandas.NestedFrame

    Raises
    ------
    MissingExtraError
        If nested-pandas is not installed.
    """
    import pandas as pd

    nested_pandas = need("nested_pandas", extra="lsdb", who="to_nested")
    table = to_arrow(batch, name=name)
    frame = table.drop_columns([name]).to_pandas()
    frame[name] = pd.Series(
        table.column(name).combine_chunks(),
        index=frame.index,
        dtype=nested_pandas.NestedDtype(table.schema.field(name).type),
    )
    return nested_pandas.NestedFrame(frame)


def frame_back(
    batch: LightCurveBatch, frame: pd.DataFrame, order: NDArray[np.int64]
) -> pd.DataFrame:
    """Long frame in its own row order; rows of rejected objects are left out.

    A step that drops points or makes new ones gives a new frame, in the order of the batch.
    """
    import pandas as pd

    who = find_column([str(name) for name in frame.columns], "id")
    curve = np.zeros(len(frame), np.int64)
    if who is not None:
        curve = pd.factorize(frame[who], use_na_sentinel=False)[0]
    position = order[np.isin(curve[order], batch.objects["row"])]
    if position.size != batch.n_points:
        return to_pandas(batch)
    _, value, error, quantity = measurement([str(c) for c in frame.columns], "DataFrame")
    columns = to_pandas(batch)
    added = {
        str(name): columns[name].to_numpy()
        for name in columns.columns
        if name not in (*NAMES, quantity, f"{quantity}_err")
    }
    added[value] = batch.value
    if error is not None:
        added[error] = batch.error
    return frame.iloc[position].assign(**added).iloc[np.argsort(position)]

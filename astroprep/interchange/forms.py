"""Whatever holds light curves, recognised by its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.interchange.frames import frame_back, from_frame, from_nested, to_nested
from astroprep.interchange.tables import (
    from_lightkurve,
    from_timeseries,
    to_lightkurve,
    to_timeseries,
)

__all__ = ["GiveBack", "take"]

GiveBack = Callable[[LightCurveBatch], Any]


def _kinds(data: Any) -> set[str]:
    """Names of the classes of an object, with the package that each comes from."""
    return {f"{c.__module__.partition('.')[0]}.{c.__name__}" for c in type(data).__mro__}


def take(data: Any) -> tuple[LightCurveBatch, GiveBack]:
    """Batch of whatever holds light curves, and how to give the result back.

    Parameters
    ----------
    data : LightCurveBatch, lightkurve.LightCurve, TimeSeries, Table, DataFrame, NestedFrame, \
list of tables, or tuple of arrays (time, value[, error])

    Returns
    -------
    batch : LightCurveBatch
        What kernels work on.
    give_back : callable
        Turns a result batch into the kind of object that came in.

    Raises
    ------
    DataError
        If the kind is not known; the message lists those that are.
    """
    if isinstance(data, LightCurveBatch):
        return data, lambda batch: batch
    kinds = _kinds(data)
    if "astropy.Table" in kinds:
        return from_timeseries(data), lambda batch: to_timeseries(batch, data)
    if "nested_pandas.NestedFrame" in kinds:
        return from_nested(data), to_nested
    if "pandas.DataFrame" in kinds:
        batch, order = from_frame(data, None)
        return batch, lambda result: frame_back(result, data, order)
    if isinstance(data, tuple) and len(data) in (2, 3) and all(np.ndim(d) == 1 for d in data):
        time, value, *error = data
        curve = (time, value, error[0] if error else None)
        return LightCurveBatch.from_curves([curve]), lambda batch: batch
    if isinstance(data, Sequence) or "lightkurve.LightCurveCollection" in kinds:
        tables = list(data)
        if tables and all("astropy.Table" in _kinds(one) for one in tables):
            return from_lightkurve(tables), lambda batch: to_lightkurve(batch, data)
    raise DataError(
        f"cannot take light curves from {type(data).__name__}; give a LightCurveBatch, a "
        "lightkurve or astropy table (or a list of them), a pandas or nested-pandas frame, or "
        "a tuple of arrays (time, value, error)"
    )

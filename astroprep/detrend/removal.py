"""Take a known trend out of curves and keep their level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch

__all__ = ["remove"]


def remove(batch: LightCurveBatch, level: NDArray[np.float64], divide: bool) -> LightCurveBatch:
    """Values without ``points["trend"]``, left as they are where it is NaN.

    Parameters
    ----------
    batch : LightCurveBatch
        With the trend in the unit of the value.
    level : float64 array, shape (n_curves,)
        What each curve keeps.
    divide : bool
        ``value / trend * level``, the errors too; else ``value - trend + level``.
    """
    trend = batch.points["trend"]
    levels = np.repeat(level, np.diff(batch.offsets))
    known = np.isfinite(trend)
    value, error = batch.value.copy(), batch.error.copy()
    if divide:
        scale = levels[known] / trend[known]
        value[known] *= scale
        error[known] *= scale
    else:
        value[known] += levels[known] - trend[known]
    return batch.with_columns(value=value, error=error)

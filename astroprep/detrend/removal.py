"""Take a known trend out of curves and keep their level."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.threads import for_objects

__all__ = ["remove", "without_trend"]


@njit(nogil=True, cache=True, error_model="numpy")
def _without_trend_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    trend: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
    divide: bool,
    new: NDArray[np.float64],
    uncertain: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        for j in range(offsets[i], offsets[i + 1]):
            known = abs(trend[j]) < np.inf
            if divide:
                scale = level[i] / trend[j] if known else 1.0
                new[j] = value[j] * scale
                uncertain[j] = error[j] * abs(scale)
            else:
                new[j] = value[j] + (level[i] - trend[j]) if known else value[j]
                uncertain[j] = error[j]


def without_trend(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    trend: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
    divide: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and errors without a trend, left as they are where it is not finite.

    Parameters
    ----------
    value, error, trend : float64 array, shape (n_points,)
        In one unit.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    level : float64 array, shape (n_curves,)
        What each curve keeps.
    divide : bool
        ``value / trend * level``, the errors too; else ``value - trend + level``.

    Returns
    -------
    value, error : float64 array, shape (n_points,)
        New arrays.
    """
    new, uncertain = np.empty(value.size), np.empty(value.size)
    for_objects(
        _without_trend_range,
        offsets.size - 1,
        value,
        error,
        trend,
        offsets,
        level,
        divide,
        new,
        uncertain,
    )
    return new, uncertain


def remove(batch: LightCurveBatch, level: NDArray[np.float64], divide: bool) -> LightCurveBatch:
    """Values and upper limits without ``points["trend"]``, left as they are where it is NaN.

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
    value, error = without_trend(batch.value, batch.error, trend, batch.offsets, level, divide)
    limits = {}
    if "upper_limit" in batch.points:  # in the unit of the value, and as far from the trend
        limit = np.asarray(batch.points["upper_limit"], np.float64)
        limits["upper_limit"], _ = without_trend(
            limit, batch.error, trend, batch.offsets, level, divide
        )
    return batch.with_columns(value=value, error=error, points=limits)

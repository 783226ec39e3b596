"""Subtract what a fit finds of cotrending vectors in each curve."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend.cbv_solve import STATISTICS, solve_curves
from astroprep.threads import for_objects

__all__ = ["SPARE_POINTS", "apply_vectors"]

SPARE_POINTS = 3  # more points than parameters that a curve must have


@njit(nogil=True, cache=True)
def _trends_range(
    begin: int,
    end: int,
    rows: NDArray[np.float64],
    used: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    covariances: NDArray[np.float64],
    noise: NDArray[np.float64],
    k: int,
    trend: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        mean = np.zeros(k)
        count = 0
        for j in range(offsets[i], offsets[i + 1]):
            if used[j]:
                mean += rows[j]
                count += 1
        mean /= max(count, 1)
        white = np.sum((coefficients[i] * noise[i]) ** 2)
        for j in range(offsets[i], offsets[i + 1]):
            if np.isfinite(rows[j, 0]):
                total, square = 0.0, white
                for a in range(k):
                    va = rows[j, a] - mean[a]
                    total += va * coefficients[i, a]
                    for b in range(k):
                        square += va * covariances[i, a, b] * (rows[j, b] - mean[b])
                trend[j] = total
                error[j] = np.sqrt(max(square, 0.0))


def _trends(
    rows: NDArray[np.float64],
    used: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    covariances: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vectors times coefficients about their mean at the used points, and its error."""
    n, k = rows.shape
    trend, error = np.full(n, np.nan), np.full(n, np.nan)
    for_objects(
        _trends_range,
        offsets.size - 1,
        rows,
        used,
        offsets,
        coefficients,
        covariances,
        noise,
        k,
        trend,
        error,
    )
    return trend, error


def apply_vectors(
    batch: LightCurveBatch,
    rows: NDArray[np.float64],
    noise: NDArray[np.float64] | None = None,
    *,
    bin_width: float = 0.25,
    shortest: float = 1.0,
    protect: float = 20.0,
) -> LightCurveBatch:
    """Correct each curve by its vectors.

    Parameters
    ----------
    batch : LightCurveBatch
        Flux or magnitudes.
    rows : float64 array, shape (n_points, n_vectors)
        The vectors at every point; NaN rows where they are not known.
    noise : float64 array, shape (n_curves, n_vectors), optional
        White noise of the vectors of each curve, which enters the error of the trend.
    bin_width, shortest, protect : float
        As in `CotrendingCorrection`, days.

    Returns
    -------
    LightCurveBatch
        Corrected, with the columns that `CotrendingCorrection` describes.
    """
    usable = batch.usable
    known = np.isfinite(rows[:, 0])
    quiet = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) == 0
    fit = known[usable.index] & quiet
    running = np.concatenate(([0], np.cumsum(fit, dtype=np.int64)))
    offsets = running[usable.offsets]
    index = usable.index[fit]
    coefficients, covariances, statistics = solve_curves(
        usable.time[fit],
        usable.value[fit],
        usable.error[fit],
        rows[index],
        offsets,
        bin_width,
        shortest,
        protect,
    )
    used = np.zeros(batch.n_points, bool)
    used[index] = True
    if noise is None:
        noise = np.zeros_like(coefficients)
    shift, trend_err = _trends(rows, used, batch.offsets, coefficients, covariances, noise)
    level = statistics[:, STATISTICS.index("level")]
    trend = shift + np.repeat(level, np.diff(batch.offsets))
    value = np.where(known, batch.value - shift, batch.value)
    points = {"trend": trend, "trend_err": trend_err}
    if "upper_limit" in batch.points:
        points["upper_limit"] = batch.points["upper_limit"] - np.where(known, shift, 0.0)
    columns = {f"cbv_{name}": statistics[:, STATISTICS.index(name)] for name in STATISTICS[:3]}
    return batch.with_columns(
        value=value,
        flags=batch.flags | np.where(known, 0, PointFlag.SURVEY).astype(np.uint32),
        points=points,
        objects={**columns, "cbv_coefficients": coefficients},
    )

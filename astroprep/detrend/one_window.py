"""Mean, median or biweight of the values of one window, each with its error."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.biweight import biweight_error, biweight_of, new_state
from astroprep.detrend.sorted_window import fill, median_of, nearest_half, nearest_points

__all__ = [
    "BIWEIGHT",
    "MAD_TO_SIGMA",
    "MEAN",
    "MEDIAN",
    "MEDIAN_ERROR",
    "NO_SPREAD",
    "average_near",
    "average_of",
    "median_error",
]

MEAN, MEDIAN, BIWEIGHT = 0, 1, 2
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MEDIAN_ERROR = 1.2533141373155003  # sqrt(pi / 2): error of a median in errors of a mean
NO_SPREAD = 1e-300  # a MAD without an inverse


@njit(cache=True, error_model="numpy")
def median_error(now: NDArray[np.float64], m: int, center: float, mad: float) -> float:
    """Standard error of the median of the `m` values in order; NaN for fewer than two.

    From the MAD with the correction of Croux & Rousseeuw 1992 for small samples, and from the
    squared deviations where more than half the values are one number, as after rounding.
    """
    if m < 2:
        return np.nan
    sigma = MAD_TO_SIGMA * mad * m / (m - 0.8)
    if mad <= NO_SPREAD:
        total = 0.0
        for k in range(1, m + 1):
            total += (now[k] - center) ** 2
        sigma = np.sqrt(total / (m - 1))
    return float(MEDIAN_ERROR * sigma / np.sqrt(m))


@njit(cache=True, error_model="numpy")
def average_of(values: NDArray[np.float64], average: int, tuning: float) -> tuple[float, float]:
    """Average of some values, at least one, and its standard error."""
    m = values.size
    if average == MEAN:
        mean = values[0] + np.sum(values - values[0]) / m
        if m < 2:
            return mean, np.nan
        return mean, np.sqrt(np.sum((values - mean) ** 2) / (m - 1) / m)
    now = np.empty(m + 2)
    fill(now, values)
    center = median_of(now, m)
    _, mad = nearest_half(now, m, center, 1)
    if average == MEDIAN or mad <= NO_SPREAD:
        return center, median_error(now, m, center, mad)
    state, places = new_state()
    center = biweight_of(now, m, state, places, center, mad, tuning)
    return center, biweight_error(now, places, center, tuning * mad)


@njit(cache=True, error_model="numpy")
def average_near(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    t: float,
    min_points: int,
    average: int,
    tuning: float,
) -> tuple[float, float]:
    """Average and error of the `min_points` points nearest to `t`, and of those as near."""
    low, high = nearest_points(time, t, min_points)
    return average_of(value[low:high], average, tuning)

"""Exact climbs from a frequency to the nearest maximum of the explained variance."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit

__all__ = ["CLIMB", "climb", "harmonics_for"]

CLIMB = 0.06  # step of a climb, in units of 1 / T: a parabola fits a peak so near its top
CLIMBS = 12  # steps before a climb gives up; it starts within half a peak width


@njit(cache=True)
def harmonics_for(n_points: int, wanted: int) -> int:
    """As many harmonics as wanted, but four points for each pair of coefficients.

    Parameters
    ----------
    n_points, wanted : int
        Of the curve, and of the series.

    Returns
    -------
    int
        At least 1.
    """
    return int(max(1, min(wanted, (n_points - 3) // 4)))


@njit(cache=True)
def climb(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    start: float,
    top: float,
    step: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float, float]:
    """The nearest maximum of the share of variance that a Fourier series explains.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    start, top : float
        Where to start, cycles per day, and the power there, below 0 where it is not known yet.
    step : float
        Cycles per day.
    n_harmonics, work, matrix, coefficient
        As for `harmonic_fit`.

    Returns
    -------
    frequency, power : float
        Of the maximum; `coefficient` and `work` end as those of this fit.
    curvature : float
        Minus the second derivative of the power with frequency; 0 where it is no maximum.
    """
    best = start
    if top < 0:
        top = harmonic_fit(time, weight, weighted, best, n_harmonics, work, matrix, coefficient)
    left = harmonic_fit(time, weight, weighted, best - step, n_harmonics, work, matrix, coefficient)
    right = harmonic_fit(
        time, weight, weighted, best + step, n_harmonics, work, matrix, coefficient
    )
    for _ in range(CLIMBS):
        if left > top and left >= right and best > 2 * step:
            right, top, best = top, left, best - step
            at = best - step
            left = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        elif right > top:
            left, top, best = top, right, best + step
            at = best + step
            right = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        else:
            break
    curvature = max(2 * top - left - right, 0.0) / step**2
    at = best + step * _vertex(left, top, right)
    power = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
    if power < top:
        at = best
        power = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
    return at, power, curvature


@njit(cache=True)
def _vertex(left: float, middle: float, right: float) -> float:
    """Maximum of the parabola through three points, in steps, within one step."""
    bend = left - 2 * middle + right
    return min(max(0.5 * (left - right) / bend, -1.0), 1.0) if bend < 0 else 0.0

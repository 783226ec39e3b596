"""Weighted line through points and the error of what it says, the kernel of local regression."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LEAST_LEFT_OUT", "TINY_PIVOT", "first_not_before", "line_at", "one_sigma"]

TINY_PIVOT = 1e-10  # of a normal matrix with unit diagonal: its columns are one column
ONE_SIGMA = 0.6827  # probability within one sigma of a Gaussian
LEAST_LEFT_OUT = 20  # points; fewer tell less (22 %) than the errors of the survey and residuals


@njit(cache=True, error_model="numpy")
def first_not_before(time: NDArray[np.float64], t: float) -> int:
    """Position of the first time that is not before `t`."""
    low, high = 0, time.size
    while low < high:
        middle = (low + high) // 2
        if time[middle] < t:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, error_model="numpy")
def _line(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    extra: float,
    t: float,
    skip: tuple[int, int],
) -> tuple[float, float, float, float]:
    """Weighted line through the points but those from ``skip[0]`` to ``skip[1]``, at `t`.

    Returns its value there, the variance of that, the sum of weighted squares of the residuals
    less its expectation, and the slope of that expectation with extra variance of the points.
    """
    s0 = s1 = s2 = q0 = q1 = q2 = 0.0
    t0 = t1 = 0.0
    n = 0
    for j in range(time.size):
        if skip[0] <= j < skip[1]:
            continue
        n += 1
        w = 1.0 / (variance[j] + extra)
        d = time[j] - t
        s0 += w
        s1 += w * d
        s2 += w * d * d
        t0 += w * value[j]
        t1 += w * d * value[j]
        q0 += w * w
        q1 += w * w * d
        q2 += w * w * d * d
    determinant = s0 * s2 - s1 * s1
    if not determinant > TINY_PIVOT * s0 * s2:  # all at one time
        return np.nan, np.nan, 0.0, 1.0
    a = (s2 * t0 - s1 * t1) / determinant
    b = (s0 * t1 - s1 * t0) / determinant
    if n < 3:  # the line goes through both
        return a, s2 / determinant, 0.0, 0.0
    excess = 2.0 - n
    for j in range(time.size):
        if skip[0] <= j < skip[1]:
            continue
        residual = value[j] - a - b * (time[j] - t)
        excess += residual * residual / (variance[j] + extra)
    slope = s0 - (s2 * q0 - 2.0 * s1 * q1 + s0 * q2) / determinant
    return a, s2 / determinant, excess, slope


@njit(cache=True, error_model="numpy")
def line_at(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    t: float,
    skip: tuple[int, int],
) -> tuple[float, float, float]:
    """Local line at `t`, the variance of a measurement there, and what the survey says of it."""
    at, of_line, excess, slope = _line(time, value, variance, 0.0, t, skip)
    quoted = time.size / np.sum(1.0 / variance)  # one doubted point does not raise it
    intrinsic = 0.0
    if excess > 0 and slope > 0:  # two points have no excess
        intrinsic = excess / slope
        at, of_line, excess, slope = _line(time, value, variance, intrinsic, t, skip)
    return at, of_line + intrinsic + quoted, quoted


@njit(cache=True, error_model="numpy")
def one_sigma(deviation: NDArray[np.float64]) -> float:
    """Size that 68.27 % of the absolute deviations stay within; 1 for fewer than 20 of them."""
    if deviation.size < LEAST_LEFT_OUT:
        return 1.0
    return float(np.quantile(np.abs(deviation), ONE_SIGMA))

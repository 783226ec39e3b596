"""Polynomials in windows that move along one run of points."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["MAX_DEGREE", "slide_tricube", "slide_uniform"]

MAX_DEGREE = 3
SINGULAR = 1e-10  # of a pivot, relative to its diagonal: below it the degree is lowered
MOVE = 0.25  # half windows after which the origin of sliding moments moves along
LOST = 1e-4  # of the largest sum of weights: less that is left is summed afresh, not by difference


@njit(cache=True)
def _first_column(
    s: NDArray[np.float64],
    degree: int,
    u: float,
    a: NDArray[np.float64],
    lower: NDArray[np.float64],
) -> int:
    """Solve ``A a = (1, u, u^2, ...)`` with ``A[j, k] = s[j + k]``; the degree that could be.

    ``a . t`` is then the fitted polynomial at `u`, where ``t`` are the moments of the values.
    """
    for j in range(degree + 1):  # LDL', the products L D above the diagonal, 1 / D on it
        pivot = s[2 * j]
        for k in range(j):
            entry = s[j + k]
            for m in range(k):
                entry -= lower[m, j] * lower[k, m]
            lower[k, j] = entry
            lower[j, k] = entry * lower[k, k]
            pivot -= entry * lower[j, k]
        if not pivot > SINGULAR * s[2 * j]:
            degree = j - 1
            break
        lower[j, j] = 1.0 / pivot
    power = 1.0
    for j in range(degree + 1):
        entry = power
        for k in range(j):
            entry -= lower[j, k] * a[k]
        a[j] = entry
        power *= u
    for j in range(degree, -1, -1):
        entry = a[j] * lower[j, j]
        for k in range(j + 1, degree + 1):
            entry -= lower[k, j] * a[k]
        a[j] = entry
    return degree


@njit(cache=True, inline="always")
def _add(
    s: NDArray[np.float64],
    t: NDArray[np.float64],
    degree: int,
    u: float,
    w: float,
    y: float,
) -> None:
    """Add a point of weight `w` at `u` to the moments of weights and of values."""
    term = w
    for m in range(degree + 1):
        s[m] += term
        t[m] += term * y
        term *= u
    for m in range(degree + 1, 2 * degree + 1):
        s[m] += term
        term *= u


@njit(cache=True)
def slide_uniform(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    degree: int,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> None:
    """Uniform window: moments that points enter and leave, linear in their number.

    The origin of the moments moves with the window and they are summed afresh with each move,
    so that neither powers nor rounding grow.

    Parameters
    ----------
    time, value, weight : float64 array, shape (n_points,)
        Days, ascending; any unit; one over the variance, at least 0.
    half : float
        Half of the window, days.
    degree : int
        Of the polynomial, up to `MAX_DEGREE`; lowered where the points do not determine it.
    fit, variance, leverage : float64 array, shape (n_points,)
        Filled: the polynomial at each point, its variance for weights as given, and the share that
        the point itself has in it.
    """
    n = time.size
    s, t, a = np.zeros(2 * MAX_DEGREE + 1), np.zeros(MAX_DEGREE + 1), np.empty(MAX_DEGREE + 1)
    lower = np.empty((MAX_DEGREE + 1, MAX_DEGREE + 1))
    left, right, origin, level, most = 0, 0, -np.inf, 0.0, 0.0
    for i in range(n):
        stale = not time[i] - origin <= MOVE * half
        while right < n and time[right] - time[i] <= half:
            if not stale:
                u = (time[right] - origin) / half
                _add(s, t, degree, u, weight[right], value[right] - level)
            right += 1
        most = max(most, s[0])
        while time[i] - time[left] > half:
            if not stale:
                u = (time[left] - origin) / half
                _add(s, t, degree, u, -weight[left], value[left] - level)
            left += 1
        if stale or s[0] < LOST * most:
            origin, level = time[i], value[i]
            s[:] = 0.0
            t[:] = 0.0
            for k in range(left, right):
                _add(s, t, degree, (time[k] - origin) / half, weight[k], value[k] - level)
            most = s[0]
        u = (time[i] - origin) / half
        used = _first_column(s, max(min(degree, right - left - 2), 0), u, a, lower)
        y, var, power = 0.0, 0.0, 1.0
        for j in range(used + 1):
            y += a[j] * t[j]
            var += a[j] * power
            power *= u
        fit[i], variance[i], leverage[i] = level + y, var, var * weight[i]


@njit(cache=True)
def _tricube_moments(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    i: int,
    left: int,
    right: int,
    half: float,
    s: NDArray[np.float64],
    t: NDArray[np.float64],
    square: NDArray[np.float64],
) -> None:
    """Moments about point i; written out, so that the sums stay in registers."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = 0.0
    q0 = q1 = q2 = q3 = q4 = q5 = q6 = 0.0
    t0 = t1 = t2 = t3 = 0.0
    scale = 1.0 / half
    for k in range(left, right):
        u = (time[k] - time[i]) * scale
        y = value[k] - value[i]
        u2 = u * u
        u3 = u2 * u
        near = max(1.0 - abs(u3), 0.0)  # rounding may put the last point outside
        near = near * near * near
        w = near * weight[k]
        s0 += w
        s1 += w * u
        s2 += w * u2
        s3 += w * u3
        s4 += w * u2 * u2
        s5 += w * u3 * u2
        s6 += w * u3 * u3
        t0 += w * y
        t1 += w * u * y
        t2 += w * u2 * y
        t3 += w * u3 * y
        w *= near
        q0 += w
        q1 += w * u
        q2 += w * u2
        q3 += w * u3
        q4 += w * u2 * u2
        q5 += w * u3 * u2
        q6 += w * u3 * u3
    s[0], s[1], s[2], s[3], s[4], s[5], s[6] = s0, s1, s2, s3, s4, s5, s6
    t[0], t[1], t[2], t[3] = t0, t1, t2, t3
    square[0], square[1], square[2], square[3] = q0, q1, q2, q3
    square[4], square[5], square[6] = q4, q5, q6


@njit(cache=True)
def slide_tricube(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    degree: int,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> None:
    """Tricube window: the weights change with every centre, so each is summed by itself.

    Parameters
    ----------
    time, value, weight, half, degree, fit, variance, leverage
        As for `slide_uniform`.
    """
    n = time.size
    s, t, a = np.empty(2 * MAX_DEGREE + 1), np.empty(MAX_DEGREE + 1), np.empty(MAX_DEGREE + 1)
    square = np.empty(2 * MAX_DEGREE + 1)
    lower = np.empty((MAX_DEGREE + 1, MAX_DEGREE + 1))
    left, right = 0, 0
    for i in range(n):
        while right < n and time[right] - time[i] <= half:
            right += 1
        while time[i] - time[left] > half:
            left += 1
        _tricube_moments(time, value, weight, i, left, right, half, s, t, square)
        used = _first_column(s, max(min(degree, right - left - 2), 0), 0.0, a, lower)
        y, var = 0.0, 0.0
        for j in range(used + 1):
            y += a[j] * t[j]
            for k in range(used + 1):
                var += a[j] * a[k] * square[j + k]
        fit[i], variance[i], leverage[i] = value[i] + y, var, a[0] * weight[i]

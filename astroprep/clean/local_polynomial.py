"""Local polynomials over ragged, irregular, weighted curves, with the variance of the fit."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["MAX_DEGREE", "local_polynomial"]

MAX_DEGREE = 3
SINGULAR = 1e-10  # of a pivot, relative to its diagonal: below it the degree is lowered
OWN_FIT = 0.999  # leverage from which a point is its own fit
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
def _slide(
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
def _direct(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    degree: int,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> None:
    """Tricube window: the weights change with every centre, so each is summed by itself."""
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


@njit(cache=True)
def _runs(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    gap: float,
    degree: int,
    tricube: bool,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> None:
    """One series, run by run."""
    first = 0
    while first < time.size:
        last = first + 1
        while last < time.size and time[last] - time[last - 1] <= gap:
            last += 1
        t, v, w = time[first:last], value[first:last], weight[first:last]
        out = fit[first:last], variance[first:last], leverage[first:last]
        if tricube:
            _direct(t, v, w, half, degree, out[0], out[1], out[2])
        else:
            _slide(t, v, w, half, degree, out[0], out[1], out[2])
        first = last


@njit(cache=True)
def _bisquare(
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
    robust: NDArray[np.float64],
) -> None:
    """Weights that fall to zero at six median residuals (Cleveland 1979, eq. 4).

    Residuals are divided by what the leverage leaves of them, and points that are their own
    fit (alone in a window) have no say: on sparse curves half the residuals would be zero.
    """
    residual = np.full(value.size, np.nan)
    for j in range(value.size):
        if leverage[j] < OWN_FIT:
            free = weight[j] / (1.0 - leverage[j])
            residual[j] = abs(value[j] - fit[j]) * np.sqrt(free)
    known = residual[np.isfinite(residual)]
    scale = 6.0 * np.median(known) if known.size else 0.0
    for j in range(value.size):
        robust[j] = 1.0
        if scale > 0 and np.isfinite(residual[j]):
            z = min(residual[j] / scale, 1.0)
            robust[j] = max((1.0 - z * z) ** 2, 1e-6)  # a window of outliers alone stays solvable


@njit(nogil=True, cache=True)
def _local_polynomial_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    degree: int,
    tricube: bool,
    n_robust: int,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
    used: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        for step in range(n_robust + 1):
            if step > 0:
                _bisquare(value[a:b], weight[a:b], fit[a:b], leverage[a:b], used[a:b])
                used[a:b] *= weight[a:b]
            _runs(
                time[a:b],
                value[a:b],
                used[a:b],
                0.5 * window,
                gap,
                degree,
                tricube,
                fit[a:b],
                variance[a:b],
                leverage[a:b],
            )


def local_polynomial(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    degree: int,
    tricube: bool,
    n_robust: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """At each point the value of a polynomial fitted to the points of its window.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each series, finite; days and any unit.
    weight : float64 array, shape (n_points,)
        Positive: 1 / error^2, or 1.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    window : float
        Full width, days.
    gap : float
        Windows do not reach over longer steps in time, days.
    degree : int
        0 to 3. A window with fewer than ``degree + 2`` points, or with too few different
        times, takes the highest degree that they carry; one point alone is its own fit.
    tricube : bool
        Weights ``(1 - |2 (t - t_i) / window|^3)^3`` as in LOESS, instead of equal ones as in
        Savitzky and Golay's filter.
    n_robust : int
        Repeats with bisquare weights of the residuals.

    Returns
    -------
    fit, variance, leverage : float64 arrays, shape (n_points,)
        `variance` is that of `fit` where ``weight`` is 1 / error^2 and in units of the variance
        of a point where it is 1. `leverage` is the change of the fit with the value of the
        point itself; its sum is the number of free parameters. Robust weights are taken as
        given, with which the variance is an upper limit.

    Notes
    -----
    With equal weights in the window time is linear in the number of points, whatever the window
    is; with tricube weights it grows with both.

    References
    ----------
    .. [1] Savitzky & Golay 1964, Anal. Chem. 36, 1627, doi:10.1021/ac60214a047
    .. [2] Cleveland 1979, JASA 74, 829, doi:10.1080/01621459.1979.10481038
    """
    fit, variance, leverage = np.empty(time.size), np.empty(time.size), np.empty(time.size)
    used = weight.copy()
    for_objects(
        _local_polynomial_range,
        offsets.size - 1,
        time,
        value,
        weight,
        offsets,
        window,
        gap,
        degree,
        tricube,
        n_robust,
        fit,
        variance,
        leverage,
        used,
    )
    return fit, variance, leverage

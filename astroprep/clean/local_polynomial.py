"""Local polynomials over ragged, irregular, weighted curves, with the variance of the fit."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["MAX_DEGREE", "local_polynomial"]

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
    square, unused = np.empty(2 * MAX_DEGREE + 1), np.empty(MAX_DEGREE + 1)
    lower = np.empty((MAX_DEGREE + 1, MAX_DEGREE + 1))
    left, right = 0, 0
    for i in range(n):
        while right < n and time[right] - time[i] <= half:
            right += 1
        while time[i] - time[left] > half:
            left += 1
        s[:] = 0.0
        t[:] = 0.0
        square[:] = 0.0
        for k in range(left, right):
            u = (time[k] - time[i]) / half
            near = 1.0 - abs(u) ** 3
            near = near * near * near
            _add(s, t, degree, u, near * weight[k], value[k] - value[i])
            _add(square, unused, degree, u, near * near * weight[k], 0.0)
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
    robust: NDArray[np.float64],
) -> None:
    """Weights that fall to zero at six median residuals (Cleveland 1979, eq. 4)."""
    residual = np.abs(value - fit) * np.sqrt(weight)
    scale = 6.0 * np.median(residual)
    for j in range(value.size):
        if scale > 0:
            z = min(residual[j] / scale, 1.0)
            robust[j] = max((1.0 - z * z) ** 2, 1e-6)  # a window of outliers alone stays solvable
        else:
            robust[j] = 1.0


@njit(parallel=True, cache=True)
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
    for i in prange(offsets.size - 1):
        a, b = offsets[i], offsets[i + 1]
        for step in range(n_robust + 1):
            if step > 0:
                _bisquare(value[a:b], weight[a:b], fit[a:b], used[a:b])
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
    return fit, variance, leverage

"""A smoothing spline of one curve: the linear solution, and how stiff it should be."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BY_CUTOFF", "BY_DOF", "BY_GCV", "smooth_one"]

BY_GCV, BY_DOF, BY_CUTOFF = 0, 1, 2
N_COARSE = 16  # cut-offs tried before the minimum is narrowed: GCV can have several minima
N_FINE = 24  # golden sections; the last interval is 1e-5 of the first
GOLDEN = 0.6180339887498949


@njit(cache=True, inline="always")
def _carry(
    a: float, b: float, c: float, det: float, u: float, v: float, h: float, q: float
) -> tuple[float, float, float, float, float, float]:
    """Information of (g, g') after a step `h` in which g' wandered with variance `q` a day.

    ``[[a, b], [b, c]]`` is the information matrix, `det` its determinant, (u, v) the matrix
    times the mean. Information of (g, g') is first expressed at the new time; then
    ``(M + det(M) adj(Q)) / det(1 + M Q)`` adds the wandering. Determinants are carried along
    rather than formed: every operation on them is a sum of positive numbers, so that neither
    equal times nor an unknown slope need care.
    """
    b -= h * a
    v -= h * u
    c = (det + b * b) / a
    k = abs(h)  # backwards it wanders alike, and g' points the other way
    q00, q01, q11 = q * k * k * k / 3, q * h * k / 2, q * k
    whole = 1 + max(a * q00 + 2 * b * q01 + c * q11, 0.0) + det * (q * k * k) ** 2 / 12
    s, t = c * u - b * v, a * v - b * u
    return (
        (a + det * q11) / whole,
        (b - det * q01) / whole,
        (c + det * q00) / whole,
        det / whole,
        (u + q11 * s - q01 * t) / whole,
        (v - q01 * s + q00 * t) / whole,
    )


@njit(cache=True)
def _forward(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    q: float,
    state: NDArray[np.float64],
) -> None:
    """Rows of `state`: information from each point and those before it in its run."""
    a, b, c, det, u, v = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(time.size):
        if j > 0:
            a, b, c, det, u, v = _carry(a, b, c, det, u, v, time[j] - time[j - 1], q)
        a += weight[j]
        det += weight[j] * c
        u += weight[j] * value[j]
        state[0, j], state[1, j], state[2, j] = a, b, c
        state[3, j], state[4, j], state[5, j] = det, u, v


@njit(cache=True)
def _backward(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    q: float,
    state: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> tuple[float, float]:
    """Add what later points say; fit, leverage, weighted sum of squares and trace."""
    a, b, c, det, u, v = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    rss, trace = 0.0, 0.0
    for j in range(time.size - 1, -1, -1):
        if j + 1 < time.size:
            a, b, c, det, u, v = _carry(a, b, c, det, u, v, time[j] - time[j + 1], q)
        e, f, g, d = state[0, j], state[1, j], state[2, j], state[3, j]
        total = d + det + max(e * c + g * a - 2 * f * b, 0.0)
        first, second = state[4, j] + u, state[5, j] + v
        if total > 0:
            fit[j] = ((g + c) * first - (f + b) * second) / total
            leverage[j] = weight[j] * (g + c) / total
        else:  # all of one time: no slope to speak of
            fit[j] = first / (e + a)
            leverage[j] = weight[j] / (e + a)
        rss += weight[j] * (value[j] - fit[j]) ** 2
        trace += leverage[j]
        a += weight[j]
        det += weight[j] * c
        u += weight[j] * value[j]
    return rss, trace


@njit(cache=True)
def _evaluate(
    points: NDArray[np.float64],
    run: NDArray[np.int64],
    penalty: float,
    state: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> tuple[float, float]:
    """Fit every run with one penalty; weighted sum of squares and trace of the hat matrix."""
    rss, trace = 0.0, 0.0
    for r in range(run.size - 1):
        a, b = run[r], run[r + 1]
        t, y, w = points[0, a:b], points[1, a:b], points[2, a:b]
        _forward(t, y, w, 1 / penalty, state[:, a:b])
        more = _backward(t, y, w, 1 / penalty, state[:, a:b], fit[a:b], leverage[a:b])
        rss += more[0]
        trace += more[1]
    return rss, trace


@njit(cache=True)
def _penalty(cutoff: float, density: float) -> float:
    """Penalty with which a sine of period `cutoff` keeps half its amplitude."""
    return float(density * (cutoff / (2 * np.pi)) ** 4)


@njit(cache=True)
def _cost(
    at: float,
    points: NDArray[np.float64],
    run: NDArray[np.int64],
    density: float,
    rule: int,
    dof: float,
    state: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> float:
    """What is minimised over the log of the cut-off: the GCV score, or the miss of the dof."""
    penalty = _penalty(np.exp(at), density)
    rss, trace = _evaluate(points, run, penalty, state, fit, leverage)
    if rule == BY_DOF:
        return float(abs(np.log(trace / dof)))
    n = fit.size
    return n * rss / (n - trace) ** 2 if n - trace > 1e-9 * n else np.inf


@njit(cache=True)
def _choose(
    points: NDArray[np.float64],
    run: NDArray[np.int64],
    density: float,
    rule: int,
    dof: float,
    state: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> float:
    """Cut-off period of least cost: a coarse grid, then golden sections in its logarithm."""
    n = fit.size
    span = points[0, n - 1] - points[0, 0]
    low, high = np.log(0.02 * span / n), np.log(100 * span)
    step = (high - low) / (N_COARSE - 1)
    best, least = low, np.inf
    for k in range(N_COARSE):
        cost = _cost(low + k * step, points, run, density, rule, dof, state, fit, leverage)
        if cost < least:
            best, least = low + k * step, cost
    low, high = best - step, best + step
    p, q = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    cost_p = _cost(p, points, run, density, rule, dof, state, fit, leverage)
    cost_q = _cost(q, points, run, density, rule, dof, state, fit, leverage)
    for _ in range(N_FINE):
        if cost_p <= cost_q:
            high, q, cost_q = q, p, cost_p
            p = high - GOLDEN * (high - low)
            cost_p = _cost(p, points, run, density, rule, dof, state, fit, leverage)
        else:
            low, p, cost_p = p, q, cost_q
            q = low + GOLDEN * (high - low)
            cost_q = _cost(q, points, run, density, rule, dof, state, fit, leverage)
    return float(np.exp(0.5 * (low + high)))


@njit(cache=True)
def _cut(time: NDArray[np.float64], gap: float) -> tuple[NDArray[np.int64], float, int]:
    """Offsets of the runs, the time that they cover, and the number of different times."""
    run = np.empty(time.size + 1, np.int64)
    n_runs, spent, n_times = 0, 0.0, 0
    for j in range(time.size):
        if j == 0 or time[j] - time[j - 1] > gap:
            run[n_runs] = j
            n_runs += 1
        else:
            spent += time[j] - time[j - 1]
        n_times += j == 0 or time[j] != time[j - 1]
    run[n_runs] = time.size
    return run[: n_runs + 1].copy(), spent, n_times


@njit(cache=True)
def smooth_one(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    gap: float,
    rule: int,
    parameter: float,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> tuple[float, float]:
    """Fill the results of one series; its cut-off period and degrees of freedom.

    Parameters
    ----------
    time, value, weight : float64 array, shape (n_points,)
        Days, ascending; any unit; one over the variance, positive.
    gap : float
        Days; a longer step in time ends a spline.
    rule : int
        `BY_GCV`, `BY_DOF` or `BY_CUTOFF`: what chooses the stiffness.
    parameter : float
        Degrees of freedom, or cut-off period in days, by `rule`; without effect for `BY_GCV`.
    fit, variance, leverage : float64 array, shape (n_points,)
        Filled, see `astroprep.clean.spline.smoothing_spline`.

    Returns
    -------
    cutoff, trace : float
        Period in days that is halved in amplitude, NaN where nothing was smoothed; degrees of
        freedom.
    """
    n = time.size
    if n == 0:
        return np.nan, 0.0
    points, state = np.empty((3, n)), np.empty((6, n))
    level = np.median(value)  # differences keep digits
    unit = np.mean(weight)  # weights near 1: penalties of all curves are comparable
    points[0], points[1], points[2] = time, value - level, weight / unit
    run, spent, n_times = _cut(time, gap)
    density = n / spent if spent > 0 else 1.0
    cutoff = parameter if rule == BY_CUTOFF else 1.0
    if rule != BY_CUTOFF and n_times > 2 and spent > 0:
        cutoff = _choose(points, run, density, rule, parameter, state, fit, leverage)
    penalty = _penalty(cutoff, density)
    _, trace = _evaluate(points, run, penalty, state, fit, leverage)
    for j in range(n):
        fit[j] += level
        variance[j] = leverage[j] / weight[j]
    return cutoff if n_times > 2 and spent > 0 else np.nan, trace

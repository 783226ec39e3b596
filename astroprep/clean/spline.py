"""Natural cubic smoothing splines over ragged curves, with the variance of the smooth."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["BY_CUTOFF", "BY_DOF", "BY_GCV", "smoothing_spline"]

BY_GCV, BY_DOF, BY_CUTOFF = 0, 1, 2
N_COARSE = 16  # cut-offs tried before the minimum is narrowed: GCV can have several minima
N_FINE = 24  # golden sections; the last interval is 1e-5 of the first
GOLDEN = 0.6180339887498949


@njit(cache=True)
def _merge(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    gap: float,
    knots: NDArray[np.float64],
    place: NDArray[np.int64],
    run: NDArray[np.int64],
) -> tuple[int, int]:
    """Join points of one time into a knot (time, mean, weight); number of knots and of runs."""
    n, n_runs = 0, 0
    for j in range(time.size):
        if j > 0 and time[j] == time[j - 1]:
            total = knots[2, n - 1] + weight[j]
            knots[1, n - 1] += (value[j] - knots[1, n - 1]) * weight[j] / total
            knots[2, n - 1] = total
        else:
            if j == 0 or time[j] - time[j - 1] > gap:
                run[n_runs] = n
                n_runs += 1
            knots[0, n], knots[1, n], knots[2, n] = time[j], value[j], weight[j]
            n += 1
        place[j] = n - 1
    run[n_runs] = n
    return n, n_runs


@njit(cache=True)
def _factor(
    x: NDArray[np.float64], w: NDArray[np.float64], penalty: float, band: NDArray[np.float64]
) -> None:
    """LDL' of ``R + penalty Q' W^-1 Q`` for one run: rows D, first and second off-diagonal of L."""
    m = x.size - 2
    for j in range(m):
        left, right = 1 / (x[j + 1] - x[j]), 1 / (x[j + 2] - x[j + 1])
        centre = -left - right
        d = (x[j + 2] - x[j]) / 3 + penalty * (
            left * left / w[j] + centre * centre / w[j + 1] + right * right / w[j + 2]
        )
        e, f = 0.0, 0.0
        if j + 1 < m:
            after = 1 / (x[j + 3] - x[j + 2])
            e = (x[j + 2] - x[j + 1]) / 6 + penalty * (
                centre * right / w[j + 1] + right * (-right - after) / w[j + 2]
            )
        if j + 2 < m:
            f = penalty * right * (1 / (x[j + 3] - x[j + 2])) / w[j + 2]
        if j > 0:
            d -= band[0, j - 1] * band[1, j - 1] ** 2
            e -= band[0, j - 1] * band[1, j - 1] * band[2, j - 1]
        if j > 1:
            d -= band[0, j - 2] * band[2, j - 2] ** 2
        band[0, j], band[1, j], band[2, j] = d, e / d, f / d


@njit(cache=True)
def _bend(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    band: NDArray[np.float64],
    gamma: NDArray[np.float64],
) -> None:
    """Second derivatives at the inner knots: solve for ``Q' y``."""
    m = x.size - 2
    for j in range(m):
        g = (y[j + 2] - y[j + 1]) / (x[j + 2] - x[j + 1]) - (y[j + 1] - y[j]) / (x[j + 1] - x[j])
        if j > 0:
            g -= band[1, j - 1] * gamma[j - 1]
        if j > 1:
            g -= band[2, j - 2] * gamma[j - 2]
        gamma[j] = g
    for j in range(m - 1, -1, -1):
        gamma[j] /= band[0, j]
        if j + 1 < m:
            gamma[j] -= band[1, j] * gamma[j + 1]
        if j + 2 < m:
            gamma[j] -= band[2, j] * gamma[j + 2]


@njit(cache=True)
def _shrink(
    x: NDArray[np.float64],
    w: NDArray[np.float64],
    penalty: float,
    band: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> float:
    """Diagonal of the hat matrix of one run and its sum, from the band of the inverse."""
    n = x.size
    m = n - 2
    leverage[:] = 0.0
    z01, z11, z12, z22 = 0.0, 0.0, 0.0, 0.0  # the inverse at (j+1, j+1), ... below the row
    z02 = 0.0
    for j in range(m - 1, -1, -1):
        l1 = band[1, j] if j + 1 < m else 0.0
        l2 = band[2, j] if j + 2 < m else 0.0
        z01 = -l1 * z11 - l2 * z12
        z02 = -l1 * z12 - l2 * z22
        z00 = 1 / band[0, j] - l1 * z01 - l2 * z02
        a, c = 1 / (x[j + 1] - x[j]), 1 / (x[j + 2] - x[j + 1])
        b = -a - c
        leverage[j] += a * a * z00
        leverage[j + 1] += b * b * z00
        leverage[j + 2] += c * c * z00
        if j + 1 < m:  # columns j and j + 1 meet in rows j + 1 and j + 2
            d = 1 / (x[j + 3] - x[j + 2])
            leverage[j + 1] += 2 * b * c * z01
            leverage[j + 2] += 2 * c * (-c - d) * z01
            if j + 2 < m:
                leverage[j + 2] += 2 * c * d * z02
        z22, z12, z11 = z11, z01, z00
    trace = 0.0
    for j in range(n):
        leverage[j] = 1 - penalty * leverage[j] / w[j]
        trace += leverage[j]
    return trace


@njit(cache=True)
def _evaluate(
    knots: NDArray[np.float64],
    run: NDArray[np.int64],
    penalty: float,
    band: NDArray[np.float64],
    gamma: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> tuple[float, float]:
    """Fit every run with one penalty; weighted sum of squares and trace of the hat matrix."""
    rss, trace = 0.0, 0.0
    for r in range(run.size - 1):
        a, b = run[r], run[r + 1]
        x, y, w = knots[0, a:b], knots[1, a:b], knots[2, a:b]
        n = b - a
        if n < 3:
            fit[a:b] = y
            leverage[a:b] = 1.0
            trace += n
            continue
        _factor(x, w, penalty, band)
        _bend(x, y, band, gamma)
        for j in range(n):
            turn = 0.0
            if j < n - 2:
                turn += gamma[j] / (x[j + 1] - x[j])
            if 0 < j < n - 1:
                turn -= gamma[j - 1] * (1 / (x[j] - x[j - 1]) + 1 / (x[j + 1] - x[j]))
            if j > 1:
                turn += gamma[j - 2] / (x[j] - x[j - 1])
            change = penalty * turn / w[j]
            fit[a + j] = y[j] - change
            rss += w[j] * change * change
        trace += _shrink(x, w, penalty, band, leverage[a:b])
    return rss, trace


@njit(cache=True)
def _penalty(cutoff: float, density: float) -> float:
    """Penalty with which a sine of period `cutoff` keeps half its amplitude."""
    return float(density * (cutoff / (2 * np.pi)) ** 4)


@njit(cache=True)
def _cost(rss: float, trace: float, n: int, inner: float, rule: int, dof: float) -> float:
    """What is minimised: the GCV score, or the distance from the wanted degrees of freedom."""
    if rule == BY_DOF:
        return abs(np.log(max(trace, 1e-300) / dof))
    left = n - trace
    return n * (rss + inner) / (left * left) if left > 1e-9 * n else np.inf


@njit(cache=True)
def _choose(
    knots: NDArray[np.float64],
    run: NDArray[np.int64],
    density: float,
    inner: float,
    n: int,
    rule: int,
    dof: float,
    band: NDArray[np.float64],
    gamma: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> float:
    """Cut-off period that minimises the cost: a coarse grid, then golden sections in its log."""
    x = knots[0]
    span = x[x.size - 1] - x[0]
    low, high = np.log(0.02 * span / x.size), np.log(100 * span)
    step = (high - low) / (N_COARSE - 1)
    best, least = low, np.inf
    for k in range(N_COARSE):
        at = low + k * step
        rss, trace = _evaluate(
            knots, run, _penalty(np.exp(at), density), band, gamma, fit, leverage
        )
        cost = _cost(rss, trace, n, inner, rule, dof)
        if cost < least:
            best, least = at, cost
    low, high = best - step, best + step
    p, q = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    cost_p, cost_q = np.nan, np.nan
    for _ in range(N_FINE):
        if np.isnan(cost_p):
            rss, trace = _evaluate(
                knots, run, _penalty(np.exp(p), density), band, gamma, fit, leverage
            )
            cost_p = _cost(rss, trace, n, inner, rule, dof)
        if np.isnan(cost_q):
            rss, trace = _evaluate(
                knots, run, _penalty(np.exp(q), density), band, gamma, fit, leverage
            )
            cost_q = _cost(rss, trace, n, inner, rule, dof)
        if cost_p <= cost_q:
            high, q, cost_q = q, p, cost_p
            p, cost_p = high - GOLDEN * (high - low), np.nan
        else:
            low, p, cost_p = p, q, cost_q
            q, cost_q = low + GOLDEN * (high - low), np.nan
    return float(np.exp(0.5 * (low + high)))


@njit(cache=True)
def _smooth_one(
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
    """Fill the results of one series; its cut-off period and degrees of freedom."""
    n = time.size
    if n == 0:
        return np.nan, np.nan
    knots, place, run = np.empty((3, n)), np.empty(n, np.int64), np.empty(n + 1, np.int64)
    level = value[0]
    unit = np.mean(weight)  # weights near 1: penalties of all curves are comparable
    n_knots, n_runs = _merge(time, value - level, weight / unit, gap, knots, place, run)
    knots, run = knots[:, :n_knots].copy(), run[: n_runs + 1]
    band, gamma = np.empty((3, n_knots)), np.empty(n_knots)
    smooth, hat = np.empty(n_knots), np.empty(n_knots)
    spent = 0.0  # time that the runs cover
    for r in range(n_runs):
        spent += knots[0, run[r + 1] - 1] - knots[0, run[r]]
    inner, cutoff = 0.0, np.nan  # scatter of points of one time about their mean
    for j in range(n):
        inner += weight[j] / unit * (value[j] - level - knots[1, place[j]]) ** 2
    density = n / spent if spent > 0 else 1.0
    if spent > 0 and n_knots > 2:
        cutoff = parameter
        if rule != BY_CUTOFF:
            cutoff = _choose(
                knots, run, density, inner, n, rule, parameter, band, gamma, smooth, hat
            )
        _, trace = _evaluate(knots, run, _penalty(cutoff, density), band, gamma, smooth, hat)
    else:
        smooth[:], hat[:], trace = knots[1], 1.0, float(n_knots)
    for j in range(n):
        k = place[j]
        fit[j] = level + smooth[k]
        variance[j] = hat[k] / (knots[2, k] * unit)
        leverage[j] = hat[k] * weight[j] / (knots[2, k] * unit)
    return cutoff, trace


@njit(parallel=True, cache=True)
def smoothing_spline(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    gap: float,
    rule: int,
    parameter: float,
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Curve that minimises ``sum w (y - g(t))^2 + penalty * integral of g''^2``.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each series, finite; days and any unit. Equal times are joined.
    weight : float64 array, shape (n_points,)
        Positive: 1 / error^2, or 1.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    gap : float
        A longer step in time, days, cuts the series into runs that share the penalty only.
    rule : int
        How the penalty is found: `BY_GCV` minimises the generalised cross-validation score,
        `BY_DOF` meets `parameter` degrees of freedom, `BY_CUTOFF` halves the amplitude of a
        sine of `parameter` days.
    parameter : float
        See `rule`; not used by `BY_GCV`.

    Returns
    -------
    fit, variance, leverage : float64 arrays, shape (n_points,)
        `variance` is the diagonal of ``A W^-1``, A the hat matrix, in units of the variance of
        a point of weight 1: Wahba's posterior variance, which holds for the bias too.
        `leverage` is the diagonal of A.
    cutoff, dof : float64 arrays, shape (n_series,)
        Period of half amplitude in days and trace of A. `cutoff` is NaN where a series has
        fewer than three different times, which are left as they are; both for an empty one.

    Notes
    -----
    Reinsch's banded equations, factored in time linear in the number of points; the trace comes
    from the band of the inverse (Hutchinson & de Hoog). For even sampling with rho points of
    weight w a day the curve keeps ``1 / (1 + penalty (2 pi / P)^4 / (rho w))`` of a sine of
    period P, which defines the cut-off; weights are divided by their mean, so that w is 1.

    References
    ----------
    .. [1] Reinsch 1967, Numer. Math. 10, 177, doi:10.1007/BF02162161
    .. [2] Hutchinson & de Hoog 1985, Numer. Math. 47, 99, doi:10.1007/BF01389878
    .. [3] Craven & Wahba 1979, Numer. Math. 31, 377, doi:10.1007/BF01404567
    .. [4] Wahba 1983, J. R. Stat. Soc. B 45, 133, doi:10.1111/j.2517-6161.1983.tb01239.x
    """
    fit, variance, leverage = np.empty(time.size), np.empty(time.size), np.empty(time.size)
    cutoff, dof = np.empty(offsets.size - 1), np.empty(offsets.size - 1)
    for i in prange(offsets.size - 1):
        a, b = offsets[i], offsets[i + 1]
        cutoff[i], dof[i] = _smooth_one(
            time[a:b],
            value[a:b],
            weight[a:b],
            gap,
            rule,
            parameter,
            fit[a:b],
            variance[a:b],
            leverage[a:b],
        )
    return fit, variance, leverage, cutoff, dof

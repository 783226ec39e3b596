"""Posterior of a damped random walk on a grid that narrows to where the probability is."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.random_walk_kernel import LANES, log_likelihoods
from astroprep.threads import for_objects

__all__ = ["WALK", "walk_posteriors"]

WALK = IntEnum(
    "WALK",
    "TAU TAU_LOW TAU_HIGH TAU_MODE SIGMA_HAT SIGMA_HAT_LOW SIGMA_HAT_HIGH LOG_LIKELIHOOD "
    "GAIN_OVER_NOISE GAIN_OVER_INFINITE SHARE_LONG SHARE_SHORT SCALE REFUSED",
    start=0,
)
"""Columns of `walk_posteriors`; times and amplitudes in natural logarithms."""

N_WALK = len(WALK)
N_TAU = 24  # nodes of ln tau: a third of a decade over the widest prior
DEPTH = 12.0  # a node this far below the best holds 6e-6 of its probability
ENOUGH = 7  # nodes of ln sigma within DEPTH: 1.4 standard deviations apart, exact to 1e-4
ENOUGH_TAU = 9
BISECTIONS = 40  # 1e-12 of the span
FINE = 8  # nodes between nodes of ln tau, for quantiles
ZOOMS = 5  # each narrows at least sevenfold
SIGMA_LOW, SIGMA_HIGH = math.log(1e-3), math.log(30.0)  # prior of sigma, in units of the scatter
LEAST_ERROR = 1e-6  # in units of the scatter; below it sums of squares lose the errors anyway
LEAST_FREEDOM = 4
LEAST_IN_BAND = 3
TENTH = 0.1  # of the baseline: Kozłowski 2017, arXiv:1611.08248
RATIO_STEP = math.log(1.6)  # half-width of the first search of a ratio of amplitudes, over LANES
LOWER, MIDDLE, UPPER = 0.15865525393145707, 0.5, 0.8413447460685429


@njit(**KERNEL)
def _near_best(value: NDArray[np.float64]) -> tuple[int, int, int]:
    """Position of the best, and the first and last within DEPTH of it."""
    best = 0
    for k in range(value.size):
        if value[k] > value[best]:
            best = k
    first, last = best, best
    for k in range(value.size):
        if value[k] > value[best] - DEPTH:
            first, last = min(first, k), max(last, k)
    return best, first, last


@njit(**KERNEL)
def _over_sigma(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    tau: float,
    node: NDArray[np.float64],
    value: NDArray[np.float64],
) -> None:
    """Likelihoods at one damping time on nodes of ln sigma that cover where they count."""
    load = np.empty((ratio.size, LANES))
    low, high = SIGMA_LOW, SIGMA_HIGH
    for _ in range(ZOOMS):
        step = (high - low) / (LANES - 1)
        for k in range(LANES):
            node[k] = low + k * step
            for b in range(ratio.size):
                load[b, k] = ratio[b] * math.exp(node[k])
        log_likelihoods(gap, y, noise, band, load, tau, value)
        _, first, last = _near_best(value)
        if last - first + 1 >= ENOUGH:
            return
        low, high = max(SIGMA_LOW, node[first] - step), min(SIGMA_HIGH, node[last] + step)


@njit(**KERNEL)
def _log_area(node: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    best = value.max()
    total = 0.0
    for k in range(value.size):
        total += math.exp(value[k] - best)
    return float(best + math.log(total * (node[1] - node[0])))


@njit(**KERNEL)
def _over_tau(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    span: tuple[float, float],
    tau: NDArray[np.float64],
    node: NDArray[np.float64],
    value: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Marginal of ln tau, unnormalised logarithm, on nodes that cover where it counts."""
    area = np.empty(N_TAU)
    low, high = span
    for _ in range(ZOOMS):
        step = (high - low) / (N_TAU - 1)
        for m in range(N_TAU):
            tau[m] = low + m * step
            _over_sigma(gap, y, noise, band, ratio, math.exp(tau[m]), node[m], value[m])
            area[m] = _log_area(node[m], value[m])
        _, first, last = _near_best(area)
        if last - first + 1 >= ENOUGH_TAU:
            break
        low, high = max(span[0], tau[first] - step), min(span[1], tau[last] + step)
    return area


@njit(**KERNEL)
def _peak(node: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[float, float]:
    """Place and height of the maximum, by the parabola through the best three nodes."""
    best, _, _ = _near_best(value)
    if best == 0 or best == value.size - 1:
        return node[best], value[best]
    a, b, c = value[best - 1], value[best], value[best + 1]
    bend = a - 2 * b + c
    shift = 0.5 * (a - c) / bend if bend < 0 else 0.0
    return node[best] + shift * (node[1] - node[0]), b - 0.25 * (a - c) * shift


@njit(**KERNEL)
def _finer(
    tau: NDArray[np.float64], area: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes FINE times as dense: a log density is nearly a parabola, so cubics fit it well."""
    n = tau.size
    fine = np.linspace(tau[0], tau[-1], FINE * (n - 1) + 1)
    result = np.empty(fine.size)
    for m in range(fine.size):
        k = min(m // FINE, n - 2)
        x = m / FINE - k
        here, there = area[k], area[k + 1]
        slope = 0.5 * (there - area[k - 1]) if k > 0 else there - here
        next_slope = 0.5 * (area[k + 2] - here) if k + 2 < n else there - here
        bend = 3 * (there - here) - 2 * slope - next_slope
        twist = slope + next_slope - 2 * (there - here)
        result[m] = here + x * (slope + x * (bend + x * twist))
    return fine, result


@njit(**KERNEL)
def _inside(area: NDArray[np.float64], tau: NDArray[np.float64], at: float) -> float:
    """Probability below `at`, the density linear between nodes."""
    step = tau[1] - tau[0]
    best = area.max()
    total = below = 0.0
    for m in range(tau.size - 1):
        d0, d1 = math.exp(area[m] - best), math.exp(area[m + 1] - best)
        total += 0.5 * (d0 + d1)
        part = min(max((at - tau[m]) / step, 0.0), 1.0)
        below += part * (d0 + 0.5 * part * (d1 - d0))
    return below / total


@njit(**KERNEL)
def _quantile_of_tau(area: NDArray[np.float64], tau: NDArray[np.float64], p: float) -> float:
    low, high = tau[0], tau[-1]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if _inside(area, tau, middle) < p:
            low = middle
        else:
            high = middle
    return float(0.5 * (low + high))


@njit(**KERNEL)
def _amplitude_limits(
    node: NDArray[np.float64],
    value: NDArray[np.float64],
    shift: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Median and 68 % limits of ln sigma plus `shift`, over all damping times.

    Each row is a density of its own, linear between its nodes; the rows are equally likely per
    unit of ln tau, and their nodes lie elsewhere.
    """
    highest = value.max()
    density, below = np.exp(value - highest), np.zeros(value.shape)
    total = 0.0
    for m in range(N_TAU):
        step = node[m, 1] - node[m, 0]
        for k in range(1, LANES):
            below[m, k] = below[m, k - 1] + 0.5 * step * (density[m, k - 1] + density[m, k])
        total += below[m, LANES - 1]
    for q, p in enumerate((MIDDLE, LOWER, UPPER)):
        low, high = (node[:, 0] + shift).min(), (node[:, LANES - 1] + shift).max()
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            found = 0.0
            for m in range(N_TAU):
                step = node[m, 1] - node[m, 0]
                x = min(max((middle - shift[m] - node[m, 0]) / step, 0.0), LANES - 1.0)
                k = min(int(x), LANES - 2)
                x -= k
                rise = density[m, k + 1] - density[m, k]
                found += below[m, k] + step * x * (density[m, k] + 0.5 * x * rise)
            if found < p * total:
                low = middle
            else:
                high = middle
        out[q] = 0.5 * (low + high)


@njit(**KERNEL)
def _best_ratios(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    tau: float,
    sigma: float,
    ratio: NDArray[np.float64],
    width: NDArray[np.float64],
) -> None:
    """Climb the likelihood along the amplitude of each band in turn; widths are conditional."""
    load = np.empty((ratio.size, LANES))
    node, value = np.empty(LANES), np.empty(LANES)
    for b in range(ratio.size):
        centre, step = math.log(ratio[b]), RATIO_STEP
        for _ in range(ZOOMS):
            for k in range(LANES):
                node[k] = centre + (k - 0.5 * (LANES - 1)) * step
                for c in range(ratio.size):
                    load[c, k] = sigma * (math.exp(node[k]) if c == b else ratio[c])
            log_likelihoods(gap, y, noise, band, load, tau, value)
            best, first, last = _near_best(value)
            if last - first + 1 >= ENOUGH:
                break
            centre, step = node[best], 2.5 * (last - first + 2) * step / LANES
        centre, _ = _peak(node, value)
        total = second = 0.0
        for k in range(LANES):
            w = math.exp(value[k] - value[best])
            total += w
            second += w * (node[k] - centre) ** 2
        ratio[b], width[b] = math.exp(centre), math.sqrt(second / total)


@njit(**KERNEL)
def _summary(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    span: tuple[float, float],
    known: tuple[float, float],
    ratio: NDArray[np.float64],
    row: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> None:
    """Posterior of one prepared curve; `limits` gets median, low, high, mode of each band."""
    tau, node, value = np.empty(N_TAU), np.empty((N_TAU, LANES)), np.empty((N_TAU, LANES))
    width = np.zeros(ratio.size)
    area = _over_tau(gap, y, noise, band, ratio, span, tau, node, value)
    for _ in range(3 if ratio.size > 1 else 0):
        best, _, _ = _near_best(area)
        sigma, _ = _peak(node[best], value[best])
        for _ in range(2):
            _best_ratios(gap, y, noise, band, math.exp(tau[best]), math.exp(sigma), ratio, width)
        area = _over_tau(gap, y, noise, band, ratio, span, tau, node, value)
    top, ridge = np.empty(N_TAU), np.empty(N_TAU)
    for m in range(N_TAU):
        ridge[m], top[m] = _peak(node[m], value[m])
    row[WALK.TAU_MODE], row[WALK.LOG_LIKELIHOOD] = _peak(tau, top)
    mode = np.interp(row[WALK.TAU_MODE], tau, ridge)
    gap_typical, baseline = known
    fine, fine_area = _finer(tau, area)
    for q, p in enumerate((MIDDLE, LOWER, UPPER)):
        row[WALK.TAU + q] = _quantile_of_tau(fine_area, fine, p)
    row[WALK.SHARE_LONG] = 1.0 - _inside(fine_area, fine, math.log(TENTH * baseline))
    row[WALK.SHARE_SHORT] = _inside(fine_area, fine, math.log(gap_typical))
    common = np.empty(3)
    _amplitude_limits(node, value, np.zeros(N_TAU), common)
    hat = 0.5 * (math.log(2.0) - tau)
    _amplitude_limits(node, value, hat, row[WALK.SIGMA_HAT : WALK.SIGMA_HAT + 3])
    for b in range(ratio.size):
        lift = math.log(ratio[b])
        limits[b, 0], limits[b, 3] = common[0] + lift, mode + lift
        limits[b, 1] = limits[b, 0] - math.hypot(common[0] - common[1], width[b])
        limits[b, 2] = limits[b, 0] + math.hypot(common[2] - common[0], width[b])
    for q in range(3):
        row[WALK.SIGMA_HAT + q] += math.log(ratio[0])
    white = _best_at(gap, y, noise, band, ratio, 1e-6 * gap_typical)
    endless = _best_at(gap, y, noise, band, ratio, 1e4 * baseline)
    row[WALK.GAIN_OVER_NOISE] = row[WALK.LOG_LIKELIHOOD] - white
    row[WALK.GAIN_OVER_INFINITE] = row[WALK.LOG_LIKELIHOOD] - endless


@njit(**KERNEL)
def _best_at(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    ratio: NDArray[np.float64],
    tau: float,
) -> float:
    """Largest likelihood at a fixed damping time; sigma unbounded above as tau grows."""
    load = np.empty((ratio.size, LANES))
    node, value = np.empty(LANES), np.empty(LANES)
    low, high = SIGMA_LOW, SIGMA_HIGH + (10.0 if tau > 1.0 else 0.0)
    for _ in range(ZOOMS):
        step = (high - low) / (LANES - 1)
        for k in range(LANES):
            node[k] = low + k * step
            for b in range(ratio.size):
                load[b, k] = ratio[b] * math.exp(node[k])
        log_likelihoods(gap, y, noise, band, load, tau, value)
        _, first, last = _near_best(value)
        if last - first + 1 >= ENOUGH:
            break
        low, high = node[first] - step, node[last] + step
    _, height = _peak(node, value)
    return float(height)


@njit(**KERNEL)
def _prepare(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    n_bands: int,
    row: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Points and bands that count, and the values in units of their scatter about the means.

    `row` says why nothing can be done: 1 few points, 2 one time, 3 flat, 4 no errors.
    """
    count, mean, first = np.zeros(n_bands, np.int64), np.zeros(n_bands), np.zeros(n_bands)
    for i in range(value.size):
        b = band[i]
        if count[b] == 0:
            first[b] = value[i]
        count[b] += 1
        mean[b] += value[i] - first[b]  # from a member, so that equal values leave exactly 0
        if not (error[i] > 0 and math.isfinite(error[i])):
            row[WALK.REFUSED] = 4
    least = LEAST_IN_BAND if n_bands > 1 else 1
    present = np.flatnonzero(count >= least)
    points = np.flatnonzero((count >= least)[band])
    for b in range(n_bands):
        mean[b] /= max(1, count[b])
    y = np.empty(points.size)
    largest = 0.0
    for j in range(points.size):
        b = band[points[j]]
        y[j] = (value[points[j]] - first[b]) - mean[b]
        largest = max(largest, abs(y[j]))
    if points.size < LEAST_FREEDOM + present.size:
        row[WALK.REFUSED] = 1
    elif not time[points[-1]] > time[points[0]]:
        row[WALK.REFUSED] = 2
    elif not largest > 0:
        row[WALK.REFUSED] = 3
    if row[WALK.REFUSED] == 0:
        square = 0.0
        for j in range(points.size):
            square += (y[j] / largest) ** 2
        row[WALK.SCALE] = largest * math.sqrt(square / points.size)
        y /= row[WALK.SCALE]
    return points, present, y


@njit(**KERNEL)
def _one(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    n_bands: int,
    tau_low: float,
    tau_high: float,
    row: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> None:
    row[WALK.REFUSED] = 0
    points, present, y = _prepare(time, value, error, band, n_bands, row)
    if row[WALK.REFUSED] != 0:
        return
    n, scale = points.size, row[WALK.SCALE]
    code = np.zeros(n_bands, np.int64)
    for b in range(present.size):
        code[present[b]] = b
    gap, noise = np.empty(n), np.empty(n)
    gap[0] = np.inf
    for j in range(n):
        if j:
            gap[j] = time[points[j]] - time[points[j - 1]]
        noise[j] = max(error[points[j]] / scale, LEAST_ERROR) ** 2
    codes = code[band[points]]
    positive = gap[1:][gap[1:] > 0]
    typical = np.median(positive)
    baseline = time[points[-1]] - time[points[0]]
    if not tau_high > 0:
        tau_low, tau_high = 0.1 * typical, 10.0 * baseline
    ratio = np.ones(present.size)
    if present.size > 1:
        for b in range(present.size):
            total, members = 0.0, 0
            for j in range(n):
                if codes[j] == b:
                    total += y[j] ** 2 - noise[j]
                    members += 1
            ratio[b] = math.sqrt(max(total / members, 0.01))
    own = np.empty((present.size, 4))
    span = (math.log(tau_low), math.log(tau_high))
    _summary(gap, y, noise, codes, span, (typical, baseline), ratio, row, own)
    for b in range(present.size):
        for q in range(4):
            limits[present[b], q] = own[b, q] + math.log(scale)
    for q in range(3):
        row[WALK.SIGMA_HAT + q] += math.log(scale)
    row[WALK.LOG_LIKELIHOOD] -= (n - present.size) * math.log(scale)


@njit(nogil=True, **KERNEL)
def _walk_posteriors_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    offsets: NDArray[np.int64],
    n_bands: int,
    tau_low: float,
    tau_high: float,
    rows: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        _one(
            time[part],
            value[part],
            error[part],
            band[part],
            n_bands,
            tau_low,
            tau_high,
            rows[i],
            limits[i],
        )


def walk_posteriors(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int64],
    offsets: NDArray[np.int64],
    n_bands: int,
    tau_low: float,
    tau_high: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior of a damped random walk for each curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days in ascending order in each curve; values with their errors.
    band : int64 array, shape (n_points,)
        From 0 to n_bands - 1.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    n_bands : int
        Of the batch; a curve need not have all.
    tau_low, tau_high : float
        Support of the prior, days; 0 for that of each curve.

    Returns
    -------
    float64 array, shape (n_curves, len(WALK))
        As `WALK`; NaN with the reason in REFUSED where there is no posterior.
    float64 array, shape (n_curves, n_bands, 4)
        ln σ of each band: median, lower and upper 68 % limit, mode.
    """
    n_curves = offsets.size - 1
    rows = np.full((n_curves, N_WALK), np.nan)
    limits = np.full((n_curves, n_bands, 4), np.nan)
    for_objects(
        _walk_posteriors_range,
        n_curves,
        time,
        value,
        error,
        band,
        offsets,
        n_bands,
        tau_low,
        tau_high,
        rows,
        limits,
    )
    return rows, limits

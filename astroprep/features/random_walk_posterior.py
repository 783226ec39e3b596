"""Posterior of a damped random walk on a grid that narrows to where the probability is."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.random_walk_grid import (
    N_TAU,
    best_at,
    best_ratios,
    near_best,
    over_tau,
    peak,
)
from astroprep.features.random_walk_kernel import LANES
from astroprep.features.random_walk_limits import (
    LOWER,
    MIDDLE,
    UPPER,
    amplitude_limits,
    finer,
    quantile_of_tau,
    share_below,
)
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
LEAST_ERROR = 1e-6  # in units of the scatter; below it sums of squares lose the errors anyway
LEAST_FREEDOM = 4
LEAST_IN_BAND = 3
TENTH = 0.1  # of the baseline: Kozłowski 2017, arXiv:1611.08248


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
    area = over_tau(gap, y, noise, band, ratio, span, tau, node, value)
    for _ in range(3 if ratio.size > 1 else 0):
        best, _, _ = near_best(area)
        sigma, _ = peak(node[best], value[best])
        for _ in range(2):
            best_ratios(gap, y, noise, band, math.exp(tau[best]), math.exp(sigma), ratio, width)
        area = over_tau(gap, y, noise, band, ratio, span, tau, node, value)
    top, ridge = np.empty(N_TAU), np.empty(N_TAU)
    for m in range(N_TAU):
        ridge[m], top[m] = peak(node[m], value[m])
    row[WALK.TAU_MODE], row[WALK.LOG_LIKELIHOOD] = peak(tau, top)
    mode = np.interp(row[WALK.TAU_MODE], tau, ridge)
    gap_typical, baseline = known
    fine, fine_area = finer(tau, area)
    for q, p in enumerate((MIDDLE, LOWER, UPPER)):
        row[WALK.TAU + q] = quantile_of_tau(fine_area, fine, p)
    row[WALK.SHARE_LONG] = 1.0 - share_below(fine_area, fine, math.log(TENTH * baseline))
    row[WALK.SHARE_SHORT] = share_below(fine_area, fine, math.log(gap_typical))
    common = np.empty(3)
    amplitude_limits(node, value, np.zeros(N_TAU), common)
    hat = 0.5 * (math.log(2.0) - tau)
    amplitude_limits(node, value, hat, row[WALK.SIGMA_HAT : WALK.SIGMA_HAT + 3])
    for b in range(ratio.size):
        lift = math.log(ratio[b])
        limits[b, 0], limits[b, 3] = common[0] + lift, mode + lift
        limits[b, 1] = limits[b, 0] - math.hypot(common[0] - common[1], width[b])
        limits[b, 2] = limits[b, 0] + math.hypot(common[2] - common[0], width[b])
    for q in range(3):
        row[WALK.SIGMA_HAT + q] += math.log(ratio[0])
    white = best_at(gap, y, noise, band, ratio, 1e-6 * gap_typical)
    endless = best_at(gap, y, noise, band, ratio, 1e4 * baseline)
    row[WALK.GAIN_OVER_NOISE] = row[WALK.LOG_LIKELIHOOD] - white
    row[WALK.GAIN_OVER_INFINITE] = row[WALK.LOG_LIKELIHOOD] - endless


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

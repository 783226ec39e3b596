"""Exact likelihood of a damped random walk in linear time, for many amplitudes at once.

A damped random walk is the one Gaussian process whose state is a single number, so that a filter
walks through the points and never forms a covariance matrix (Kelly et al. 2009, appendix). All
bands see one walk of unit variance through their own amplitude; the mean of each band is
marginalised under a flat prior, which the filter does by carrying one more state per band.
Amplitudes run in the innermost loops, so that a processor's vector lanes serve several of them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL

__all__ = ["LANES", "log_likelihoods", "solve_means"]

LANES = 16  # amplitudes that one walk through the points serves
LOG_EVERY = 4  # points per logarithm: four variances of any survey multiply without overflow
LOG_TWO_PI = math.log(2 * math.pi)

# Rows of the filter's room.
STATE, SPREAD, RESIDUAL, GAIN, WEIGHT, CHI2, PRODUCT, LOG_DET, HEAD = range(9)


@njit(**KERNEL)
def solve_means(
    information: NDArray[np.float64], cross: NDArray[np.float64], factor: NDArray[np.float64]
) -> tuple[float, float]:
    """Log determinant of the means' information, and the chi square that the means explain.

    Parameters
    ----------
    information : float64 array, shape (n_bands, n_bands)
        Lower triangle; positive definite.
    cross : float64 array, shape (n_bands,)
        Information times the best means.
    factor : float64 array, shape (n_bands, n_bands)
        Room for the Cholesky factor.

    Returns
    -------
    float, float
        ``ln det A`` and ``c A⁻¹ c``.
    """
    n = cross.size
    log_det = explained = 0.0
    z = np.empty(n)
    for a in range(n):
        for b in range(a + 1):
            total = information[a, b]
            for c in range(b):
                total -= factor[a, c] * factor[b, c]
            if a == b:
                # rounding may leave a means' pivot at or below zero where no point tells it
                factor[a, a] = math.sqrt(max(total, 1e-300))
            else:
                factor[a, b] = total / factor[b, b]
        total = cross[a]
        for c in range(a):
            total -= factor[a, c] * z[c]
        z[a] = total / factor[a, a]
        explained += z[a] * z[a]
        log_det += 2.0 * math.log(factor[a, a])
    return log_det, explained


@njit(**KERNEL)
def _walk(
    decay: float, noise: float, y: float, band: int, n_bands: int, room: NDArray[np.float64]
) -> None:
    """Take one point into the filter.

    Rows of `room`: those of the names below, then for each band its amplitude, the state and the
    residual of its constant, the weighted product of residuals, and a row of the information.
    """
    gained = (1.0 - decay) * (1.0 + decay)
    own, states, residuals = HEAD + band, HEAD + n_bands, HEAD + 2 * n_bands
    for k in range(LANES):
        h = room[own, k]
        p = decay * decay * room[SPREAD, k] + gained
        v = h * h * p + noise
        w = 1.0 / v
        x = decay * room[STATE, k]
        r = y - h * x
        gain = h * p * w
        room[STATE, k] = x + gain * r
        room[SPREAD, k] = p * noise * w  # p - gain h p, without the difference
        room[RESIDUAL, k] = r
        room[GAIN, k] = gain
        room[WEIGHT, k] = w
        room[CHI2, k] += r * r * w
        room[PRODUCT, k] *= v
    for a in range(n_bands):
        one = 1.0 if a == band else 0.0
        for k in range(LANES):
            x = decay * room[states + a, k]
            u = one - room[own, k] * x
            room[states + a, k] = x + room[GAIN, k] * u
            room[residuals + a, k] = u
            room[residuals + n_bands + a, k] += u * room[RESIDUAL, k] * room[WEIGHT, k]
        for b in range(a + 1):
            row = residuals + n_bands * (2 + a) + b
            for k in range(LANES):
                room[row, k] += room[residuals + a, k] * room[residuals + b, k] * room[WEIGHT, k]


@njit(**KERNEL)
def _walk_one_band(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    load: NDArray[np.float64],
    tau: float,
    result: NDArray[np.float64],
) -> None:
    """Same as `log_likelihoods` for one band, in half its time: nearly every curve is one."""
    n = y.size
    room = np.zeros((11, LANES))
    room[SPREAD] = 1.0
    room[PRODUCT] = 1.0
    for k in range(LANES):  # a row would bring in the text of numpy's error messages
        room[HEAD, k] = load[k]
    for i in range(n):
        decay = math.exp(-gap[i] / tau)
        gained = (1.0 - decay) * (1.0 + decay)
        for k in range(LANES):
            h = room[HEAD, k]
            p = decay * decay * room[SPREAD, k] + gained
            v = h * h * p + noise[i]
            w = 1.0 / v
            gain = h * p * w
            x = decay * room[STATE, k]
            r = y[i] - h * x
            room[STATE, k] = x + gain * r
            c = decay * room[RESIDUAL, k]  # the state of the constant, in an idle row
            u = 1.0 - h * c
            room[RESIDUAL, k] = c + gain * u
            room[SPREAD, k] = p * noise[i] * w
            room[CHI2, k] += r * r * w
            room[PRODUCT, k] *= v
            room[9, k] += u * r * w
            room[10, k] += u * u * w
        if i % LOG_EVERY == LOG_EVERY - 1 or i == n - 1:
            for k in range(LANES):
                room[LOG_DET, k] += math.log(room[PRODUCT, k])
                room[PRODUCT, k] = 1.0
    for k in range(LANES):
        information = max(room[10, k], 1e-300)
        chi2 = room[CHI2, k] - room[9, k] ** 2 / information
        means = math.log(information)
        result[k] = -0.5 * (room[LOG_DET, k] + chi2 + means + (n - 1) * LOG_TWO_PI)


@njit(**KERNEL)
def log_likelihoods(
    gap: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    band: NDArray[np.int64],
    load: NDArray[np.float64],
    tau: float,
    result: NDArray[np.float64],
) -> None:
    """Log likelihood of one light curve for `LANES` sets of amplitudes, means marginalised.

    Parameters
    ----------
    gap : float64 array, shape (n_points,)
        Time since the point before, days; infinite for the first.
    y, noise : float64 array, shape (n_points,)
        Values and the squares of their errors, any unit.
    band : int64 array, shape (n_points,)
        From 0 to n_bands - 1, each present.
    load : float64 array, shape (n_bands, LANES)
        Standard deviation of the walk in each band, one column per likelihood.
    tau : float
        Damping time, days.
    result : float64 array, shape (LANES,)
        Filled with ``ln p(y | tau, load)``, in natural logarithms.
    """
    n, n_bands = y.size, load.shape[0]
    if n_bands == 1:
        _walk_one_band(gap, y, noise, load[0], tau, result)
        return
    # one array for everything: LLVM then sees that its rows do not overlap, and vectorises
    room = np.zeros((HEAD + n_bands * (4 + n_bands), LANES))
    room[SPREAD] = 1.0
    room[PRODUCT] = 1.0
    for b in range(n_bands):
        for k in range(LANES):
            room[HEAD + b, k] = load[b, k]
    for i in range(n):
        _walk(math.exp(-gap[i] / tau), noise[i], y[i], band[i], n_bands, room)
        if i % LOG_EVERY == LOG_EVERY - 1 or i == n - 1:
            for k in range(LANES):
                room[LOG_DET, k] += math.log(room[PRODUCT, k])
                room[PRODUCT, k] = 1.0
    factor = np.zeros((n_bands, n_bands))
    information = np.empty((n_bands, n_bands))
    cross = HEAD + 3 * n_bands
    for k in range(LANES):
        for a in range(n_bands):
            for b in range(n_bands):
                information[a, b] = room[cross + n_bands * (1 + a) + b, k]
        means, explained = solve_means(information, room[cross : cross + n_bands, k], factor)
        chi2 = room[CHI2, k] - explained
        result[k] = -0.5 * (room[LOG_DET, k] + chi2 + means + (n - n_bands) * LOG_TWO_PI)

"""Errors and bias of a fitted power law, from the covariance of the score."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL

__all__ = ["GAMMA_HIGH", "YEAR", "correct", "errors_and_bias"]

YEAR = 365.25  # days
GAMMA_HIGH = 1.0  # no process of stationary differences has a steeper structure function
MOST_BIAS = 1.0  # of the error: beyond it the first order is no guide
MOST_STEP = 1.0  # of ln A² and gamma: where noise leaves next to nothing, errors are no bound
MOST_GROWTH = 1.5


@njit(**KERNEL)
def _quadratic_forms(
    time: NDArray[np.float64],
    noise: NDArray[np.float64],
    code: NDArray[np.int64],
    theta: NDArray[np.float64],
    cov: NDArray[np.float64],
    forms: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> None:
    """Covariance of the values, and the score and its slope as quadratic forms of them.

    With z = 1 for ln A² and 2 ln dt for gamma, u = ln SF² and n bands, `forms` holds the
    Laplacians of: the score of each band and of gamma; then the slope for (band, band), for
    (band, gamma), of each band; and for (gamma, gamma). `moments` gets the sums over the pairs of
    each band of the expected second derivative (row 0) and third (row 1), times powers of z.
    """
    n = theta.size - 1
    for i in range(time.size):
        cov[i, i] = noise[i]
        for j in range(i):
            lag = abs(time[i] - time[j])
            if lag == 0:
                continue
            b = code[i]
            z = 2.0 * math.log(lag / YEAR)
            s = math.exp(0.5 * (theta[b] + theta[code[j]]) + theta[n] * z)
            # any function of one time may be added to a covariance that Laplacians see
            cov[i, j] = cov[j, i] = -0.5 * s
            if b != code[j]:
                continue
            added = noise[i] + noise[j]
            v = s + added
            first, second = s / v**2, s * (added - s) / v**3
            _add(forms[b], i, j, first)
            _add(forms[n], i, j, first * z)
            _add(forms[n + 1 + b], i, j, second)
            _add(forms[2 * n + 1 + b], i, j, second * z)
            _add(forms[3 * n + 1], i, j, second * z * z)
            bend, twist = 0.5 * (s / v) ** 2, 0.5 * s * s * (s - 3 * added) / v**3
            for k in range(4):
                moments[0, b, k] += bend
                moments[1, b, k] += twist
                bend, twist = bend * z, twist * z


@njit(**KERNEL)
def _add(form: NDArray[np.float64], i: int, j: int, weight: float) -> None:
    """Add the square of a difference to a Laplacian."""
    form[i, j] -= weight
    form[j, i] -= weight
    form[i, i] += weight
    form[j, j] += weight


@njit(**KERNEL)
def _slope_form(a: int, b: int, n: int) -> int:
    """Position in `forms` of the slope of score a along parameter b; -1 where it is zero."""
    if a == n and b == n:
        return 3 * n + 1
    if a == n or b == n:
        return 2 * n + 1 + min(a, b)
    return n + 1 + a if a == b else -1


@njit(**KERNEL)
def errors_and_bias(
    time: NDArray[np.float64],
    noise: NDArray[np.float64],
    code: NDArray[np.int64],
    theta: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of the estimate by Godambe, and its first-order bias by Cox and Snell.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    noise : float64 array, shape (n_points,)
        Squares of the errors, in units of the scatter.
    code : int64 array, shape (n_points,)
        Band of each point, from 0.
    theta : float64 array, shape (n_bands + 1,)
        ln A² of each band, in units of the scatter at one year, and gamma.

    Returns
    -------
    covariance : float64 array, shape (n_bands + 1, n_bands + 1)
    bias : float64 array, shape (n_bands + 1,)

    Notes
    -----
    Pairs share their points, so the inverse Fisher matrix alone is too small. The score is a
    quadratic form of values whose covariance is known, and so is its own, ``H⁻¹ J H⁻¹`` [1]_.
    Time and memory grow as the third and the second power of n_points.

    References
    ----------
    .. [1] Godambe 1960, Ann. Math. Stat. 31, 1208, doi:10.1214/aoms/1177705693
    .. [2] Cox & Snell 1968, J. R. Stat. Soc. B 30, 248, doi:10.1111/j.2517-6161.1968.tb00724.x
    """
    n, m = theta.size - 1, time.size
    cov, forms = np.zeros((m, m)), np.zeros((3 * n + 2, m, m))
    moments = np.zeros((2, n, 4))
    _quadratic_forms(time, noise, code, theta, cov, forms, moments)
    for k in range(forms.shape[0]):
        forms[k] = np.dot(forms[k], cov)
    fisher = np.zeros((n + 1, n + 1))
    for b in range(n):
        fisher[b, b] = moments[0, b, 0] + 1e-12
        fisher[b, n] = fisher[n, b] = moments[0, b, 1]
        fisher[n, n] += moments[0, b, 2]
    fisher[n, n] += 2.0 / (1.0 + theta[n] ** 2)
    inverse = np.linalg.inv(fisher)
    spread = np.empty((n + 1, n + 1))
    for a in range(n + 1):
        for b in range(a + 1):
            spread[a, b] = spread[b, a] = 0.5 * (forms[a] * forms[b].T).sum()
    total = np.dot(np.dot(inverse, spread), inverse)
    pull = np.zeros(n + 1)
    for a in range(n + 1):
        for b in range(n + 1):
            form = _slope_form(a, b, n)
            for c in range(n + 1 if form >= 0 else 0):
                pull[a] += inverse[b, c] * 0.5 * (forms[form] * forms[c].T).sum()
    for b in range(n):
        t = moments[1, b]
        pull[b] += 0.5 * (t[0] * total[b, b] + 2 * t[1] * total[b, n] + t[2] * total[n, n])
        pull[n] += 0.5 * (t[1] * total[b, b] + 2 * t[2] * total[b, n] + t[3] * total[n, n])
    return total, np.dot(inverse, pull)


@njit(**KERNEL)
def correct(
    time: NDArray[np.float64],
    noise: NDArray[np.float64],
    code: NDArray[np.int64],
    theta: NDArray[np.float64],
    cov: NDArray[np.float64],
    bias: NDArray[np.float64],
) -> None:
    """Take the bias from theta in place, and widen the errors by how it grows with theta.

    Parameters
    ----------
    time, noise, code
        As for `errors_and_bias`.
    theta : float64 array, shape (n_bands + 1,)
        Estimate, corrected in place.
    cov : float64 array, shape (n_bands + 1, n_bands + 1)
        Its covariance; the diagonal is widened in place.
    bias : float64 array, shape (n_bands + 1,)
        Bias at the estimate.
    """
    found = theta.copy()
    for a in range(theta.size):
        limit = min(MOST_BIAS * math.sqrt(max(cov[a, a], 0.0)), MOST_STEP)
        theta[a] -= min(max(bias[a], -limit), limit)
    if not 0 < found[-1] < GAMMA_HIGH:
        theta[-1] = found[-1]  # the prior's end is no estimate to be corrected
    theta[-1] = min(max(theta[-1], 0.0), GAMMA_HIGH)
    _, there = errors_and_bias(time, noise, code, theta)
    for a in range(theta.size):
        moved = theta[a] - found[a]
        growth = (there[a] - bias[a]) / moved if abs(moved) > 1e-9 else 0.0
        cov[a, a] *= min(max(1.0 - growth, 1.0), MOST_GROWTH) ** 2

"""Standard errors of Fourier amplitudes, ratios and phases, from the covariance of the fit."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.harmonic_fit import (
    HARMONICS,
    N_LARGE,
    N_SMALL,
    coefficients,
    factor,
    inverse_factor,
    normal_equations,
    place_of,
    trigonometric_sums,
    weighted_phases,
)
from astroprep.threads import for_objects

__all__ = ["AT_2P", "AT_P", "fourier_errors"]

# Columns of the kernel: amplitude, phase, ratios, phase differences of each model.
AT_P = ("amplitude", "phase", "r21", "r31", "r41", "phi21", "phi31", "phi41")
AT_2P = ("amplitude", "phase", "r21", "r31", "phi21", "phi31")
N_AT_P = len(AT_P)


@njit(**KERNEL)
def _spread(inverse: NDArray[np.float64], gradient: NDArray[np.float64]) -> float:
    """Root of ``g' C g`` with ``C = B' B``."""
    total = 0.0
    for row in range(gradient.size):
        part = 0.0
        for column in range(row + 1):
            part += inverse[row, column] * gradient[column]
        total += part * part
    return math.sqrt(total)


@njit(**KERNEL)
def _propagate(
    solution: NDArray[np.float64],
    inverse: NDArray[np.float64],
    places: NDArray[np.int64],
    scale: float,
    out: NDArray[np.float64],
) -> None:
    """Errors of the first amplitude and phase, then of ratios and of phase differences."""
    size, n = solution.size, places.size
    first = places[0]
    a, b = solution[first], solution[first + 1]
    a1 = math.hypot(a, b)
    if not a1 > 0:  # the gradient of a length at its origin has no direction
        return
    gradient = np.zeros(size)
    gradient[first], gradient[first + 1] = a / a1, b / a1
    out[0] = scale * _spread(inverse, gradient)
    # phase = atan2(-b, a)
    by_a, by_b = b / (a1 * a1), -a / (a1 * a1)
    gradient[first], gradient[first + 1] = by_a, by_b
    out[1] = scale * _spread(inverse, gradient)
    for k in range(1, n):
        here = places[k]
        c, d = solution[here], solution[here + 1]
        ak = math.hypot(c, d)
        if not ak > 0:
            continue
        gradient[:] = 0.0
        gradient[here], gradient[here + 1] = c / (ak * a1), d / (ak * a1)
        gradient[first], gradient[first + 1] = -ak * a / a1**3, -ak * b / a1**3
        out[1 + k] = scale * _spread(inverse, gradient)
        gradient[here], gradient[here + 1] = d / (ak * ak), -c / (ak * ak)
        gradient[first], gradient[first + 1] = -(k + 1) * by_a, -(k + 1) * by_b
        out[n + k] = scale * _spread(inverse, gradient)


@njit(**KERNEL)
def _scale(right: NDArray[np.float64], size: int, variance: float, weights: float, n: int) -> float:
    """Error of unit weight: that of the errors, or of the residuals where they scatter more."""
    left = max(variance - np.sum(right[:size] ** 2), 0.0)
    excess = left * weights / (n - size) if n > size else 1.0
    return math.sqrt(max(excess, 1.0) / weights)


@njit(**KERNEL)
def _one_curve(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    period: float,
    out: NDArray[np.float64],
) -> None:
    cos_one, sin_one, w, y, weights, variance = weighted_phases(t, x, e, period, 1.0)
    w_cos, w_sin, y_cos, y_sin = trigonometric_sums(cos_one, sin_one, w, y)
    matrix, right = normal_equations(w_cos, w_sin, y_cos, y_sin)
    held = factor(matrix, right)
    if held < N_SMALL:
        return
    places = np.empty(HARMONICS, np.int64)
    for k in range(HARMONICS):
        places[k] = place_of(2 * (k + 1))
    solution = coefficients(matrix, right, N_SMALL)
    inverse = inverse_factor(matrix, N_SMALL)
    scale = _scale(right, N_SMALL, variance, weights, t.size)
    _propagate(solution, inverse, places, scale, out[:N_AT_P])
    if held == N_LARGE:
        places = np.empty(3, np.int64)
        for k in range(3):
            places[k] = place_of(k + 1)
        solution = coefficients(matrix, right, N_LARGE)
        inverse = inverse_factor(matrix, N_LARGE)
        scale = _scale(right, N_LARGE, variance, weights, t.size)
        _propagate(solution, inverse, places, scale, out[N_AT_P:])


@njit(nogil=True, **KERNEL)
def _fourier_errors_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] - offsets[i] >= N_SMALL:
            _one_curve(time[part], value[part], error[part], period[i], result[i])


def fourier_errors(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Standard errors of the harmonic models at the period and at twice the period.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value, error : float64 array, shape (n_points,)
        Magnitudes or flux with their one-sigma errors; ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days, positive, taken as exact.

    Returns
    -------
    float64 array, shape (n_curves, len(AT_P) + len(AT_2P))
        NaN where the fit or the first amplitude is undefined; unit of the values, and radians.

    Notes
    -----
    Linear propagation: good while an amplitude is several times its error. Where the residuals
    scatter more than the errors say, the covariance is scaled up to them, never down.

    References
    ----------
    .. [1] Petersen 1986, A&A 170, 59, bibcode 1986A&A...170...59P
    """
    result = np.full((offsets.size - 1, len(AT_P) + len(AT_2P)), np.nan)
    for_objects(
        _fourier_errors_range, offsets.size - 1, time, value, error, offsets, period, result
    )
    return result

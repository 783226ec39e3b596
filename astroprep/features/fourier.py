"""Harmonic models of folded light curves, what they leave over, and powers at related periods."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, columns
from astroprep.features.fourier_table import FOURIER
from astroprep.features.harmonic_fit import (
    HARMONICS,
    N_LARGE,
    N_SMALL,
    coefficients,
    factor,
    normal_equations,
    place_of,
    trigonometric_sums,
    weighted_phases,
)
from astroprep.features.ordering import sorted_values
from astroprep.features.statistics import median_deviation
from astroprep.threads import for_objects

__all__ = ["PHASE", "fourier_statistics"]

N_GRID = 64  # phases at which the model's shape is read
# Determinant of a sine and a cosine less their mean, 1/4 for even phases; below this they are
# as good as one number, and their power would be noise.
LEAST_DETERMINANT = 1e-4

C = columns(FOURIER)
N_FOURIER = len(FOURIER)
PHASE = N_FOURIER
"""Further column of the kernel: phase of the first harmonic at the first point, radians. It is no
feature of its own, but two bands compare theirs."""

_ANGLES = 2 * np.pi * np.arange(N_GRID)[:, None] * np.arange(1, HARMONICS + 1) / N_GRID
GRID_COS, GRID_SIN = np.cos(_ANGLES), np.sin(_ANGLES)  # (phase, harmonic)
POWERS = np.array([1, 2, 4, 6])  # harmonics of 2P, in the order of the features


@njit(**KERNEL)
def _ratios(solution: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Amplitude ratios and phase differences; A cos(kθ + φ) has φ = atan2(-sin part, cos part)."""
    a1 = math.hypot(solution[1], solution[2])
    out[C.FOURIER_AMPLITUDE] = a1
    power = np.sum(solution[1:] ** 2)
    if power > 0:
        for k in range(1, 4):
            share = solution[2 * k - 1] ** 2 + solution[2 * k] ** 2
            out[C.HARMONIC_SHARE_1 + k - 1] = share / power
    if not a1 > 0:
        return
    phi1 = math.atan2(-solution[2], solution[1])
    out[PHASE] = phi1
    for k in range(2, HARMONICS + 1):
        a, b = solution[2 * k - 1], solution[2 * k]
        phi = (math.atan2(-b, a) - k * phi1) % (2 * math.pi)
        out[C.FOURIER_R21 + k - 2] = math.hypot(a, b) / a1
        out[C.FOURIER_PHI21 + k - 2] = phi
        if k < 4:
            out[C.COS_PHI21 + 2 * (k - 2)] = math.cos(phi)
            out[C.SIN_PHI21 + 2 * (k - 2)] = math.sin(phi)


@njit(**KERNEL)
def _ratios_at_twice(solution: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """The same of the model at 2P, for its first three harmonics."""
    first = place_of(1)
    a1 = math.hypot(solution[first], solution[first + 1])
    out[C.FOURIER_AMPLITUDE_2P] = a1
    if not a1 > 0:
        return
    phi1 = math.atan2(-solution[first + 1], solution[first])
    for k in range(2, 4):
        a, b = solution[place_of(k)], solution[place_of(k) + 1]
        out[C.FOURIER_R21_2P + k - 2] = math.hypot(a, b) / a1
        out[C.FOURIER_PHI21_2P + k - 2] = (math.atan2(-b, a) - k * phi1) % (2 * math.pi)


@njit(**KERNEL)
def _powers(
    w_cos: NDArray[np.float64],
    w_sin: NDArray[np.float64],
    y_cos: NDArray[np.float64],
    y_sin: NDArray[np.float64],
    variance: float,
    out: NDArray[np.float64],
) -> None:
    """Power of one sine with a floating mean, equations 5 to 15 of the reference."""
    for i in range(POWERS.size):
        k = POWERS[i]
        c, s, yc, ys = w_cos[k], w_sin[k], y_cos[k], y_sin[k]
        cc = 0.5 * (1.0 + w_cos[2 * k]) - c * c
        ss = 0.5 * (1.0 - w_cos[2 * k]) - s * s
        cs = 0.5 * w_sin[2 * k] - c * s
        determinant = cc * ss - cs * cs
        if determinant > LEAST_DETERMINANT:
            power = (ss * yc * yc + cc * ys * ys - 2 * cs * yc * ys) / (determinant * variance)
            out[C.POWER_2P + i] = min(power, 1.0)


@njit(**KERNEL)
def _asymmetry(solution: NDArray[np.float64], model: NDArray[np.float64], faint: int) -> float:
    """Odd part of the model about its faintest phase, which a parabola finds between the grid."""
    before, after = model[faint - 1], model[(faint + 1) % N_GRID]
    bend = before - 2 * model[faint] + after
    offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    angle = 2 * math.pi * (faint + offset) / N_GRID
    odd = power = 0.0
    for k in range(1, HARMONICS + 1):
        a, b = solution[2 * k - 1], solution[2 * k]
        odd += (b * math.cos(k * angle) - a * math.sin(k * angle)) ** 2
        power += a * a + b * b
    return odd / power


@njit(**KERNEL)
def _model_shape(solution: NDArray[np.float64], out: NDArray[np.float64]) -> float:
    """Shape of the model on a grid of phases; gives the middle between its extremes."""
    model, slope = np.empty(N_GRID), np.empty(N_GRID)
    for g in range(N_GRID):
        level, rate = solution[0], 0.0
        for k in range(HARMONICS):
            a, b = solution[2 * k + 1], solution[2 * k + 2]
            level += a * GRID_COS[g, k] + b * GRID_SIN[g, k]
            rate += (k + 1) * (b * GRID_COS[g, k] - a * GRID_SIN[g, k])
        model[g], slope[g] = level, rate
    faint, bright = np.argmax(model), np.argmin(model)
    middle = float(0.5 * (model[faint] + model[bright]))
    out[C.MODEL_RANGE] = model[faint] - model[bright]
    if model[faint] > model[bright]:
        out[C.RISE_FRACTION] = ((bright - faint) % N_GRID) / N_GRID
        fainter, rising, fading = 0, 0.0, 0.0
        for g in range(N_GRID):
            fainter += model[g] > middle
            rising, fading = max(rising, -slope[g]), max(fading, slope[g])
        out[C.MODEL_FAINT_HALF] = fainter / N_GRID
        out[C.SLOPE_RATIO] = rising / fading
        out[C.MODEL_ASYMMETRY] = _asymmetry(solution, model, faint)
    return middle


@njit(**KERNEL)
def _residuals(
    cos_one: NDArray[np.float64],
    sin_one: NDArray[np.float64],
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    solution: NDArray[np.float64],
    middle: float,
    deviation: float,
    out: NDArray[np.float64],
) -> None:
    """What the model at P leaves over."""
    n = y.size
    r, bright = np.empty(n), np.empty(n)
    for j in range(n):
        c1 = cos_one[j] * cos_one[j] - sin_one[j] * sin_one[j]
        s1 = 2 * cos_one[j] * sin_one[j]
        c, s, model = 1.0, 0.0, solution[0]
        for k in range(HARMONICS):
            c, s = c * c1 - s * s1, s * c1 + c * s1
            model += solution[2 * k + 1] * c + solution[2 * k + 2] * s
        r[j] = y[j] - model
        bright[j] = 1.0 if model < middle else 0.0
    square = chi2 = chi2_bright = n_bright = steps = 0.0
    for j in range(n):
        z = r[j] / e[j]
        square += r[j] * r[j]
        chi2 += z * z
        chi2_bright += bright[j] * z * z
        n_bright += bright[j]
    for j in range(n - 1):
        steps += (r[j + 1] - r[j]) ** 2
    if n > N_SMALL:
        out[C.RESIDUAL_REDUCED_CHI2] = chi2 / (n - N_SMALL)
    if deviation > 0:
        ordered = sorted_values(r)
        median = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
        out[C.RESIDUAL_MAD_RATIO] = median_deviation(ordered, median) / deviation
    if square > 0:
        out[C.RESIDUAL_ETA] = steps / square
        if 0 < n_bright < n:
            high = chi2_bright / n_bright
            low = (chi2 - chi2_bright) / (n - n_bright)
            out[C.RESIDUAL_BRIGHT_SHARE] = high / (high + low)


@njit(**KERNEL)
def _one_curve(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    period: float,
    sign: float,
    deviation: float,
    out: NDArray[np.float64],
) -> None:
    n = t.size
    cos_one, sin_one, w, y, _, variance = weighted_phases(t, x, e, period, sign)
    w_cos, w_sin, y_cos, y_sin = trigonometric_sums(cos_one, sin_one, w, y)
    if variance > 0:
        _powers(w_cos, w_sin, y_cos, y_sin, variance, out)
    matrix, right = normal_equations(w_cos, w_sin, y_cos, y_sin)
    held = factor(matrix, right)
    if held < N_SMALL:
        return
    solution = coefficients(matrix, right, N_SMALL)
    _ratios(solution, out)
    middle = _model_shape(solution, out)
    _residuals(cos_one, sin_one, y, e, solution, middle, deviation, out)
    if held == N_LARGE:
        _ratios_at_twice(coefficients(matrix, right, N_LARGE), out)
    if not variance > 0:
        return
    small = np.sum(right[:N_SMALL] ** 2) / variance
    out[C.VARIANCE_EXPLAINED_P] = min(small, 1.0)
    if held == N_LARGE:
        large = small + np.sum(right[N_SMALL:] ** 2) / variance
        out[C.VARIANCE_EXPLAINED_2P] = min(large, 1.0)
        if small < 1 and n > N_LARGE:
            rest = (1.0 - min(large, 1.0)) / (1.0 - small)
            out[C.ODD_HARMONICS_2P] = 1.0 - rest * (n - N_SMALL) / (n - N_LARGE)


@njit(nogil=True, **KERNEL)
def _fourier_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    sign: float,
    deviation: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] > offsets[i]:
            _one_curve(
                time[part], value[part], error[part], period[i], sign, deviation[i], result[i]
            )


def fourier_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    sign: float,
    deviation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Harmonic models at the period and twice the period, one row a curve, as in `FOURIER`.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value, error : float64 array, shape (n_points,)
        Magnitudes or flux with their one-sigma errors; ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days, positive.
    sign : float
        1 where large values are faint (magnitudes), -1 for flux.
    deviation : float64 array, shape (n_curves,)
        Median absolute deviation of the values.

    Returns
    -------
    float64 array, shape (n_curves, len(FOURIER) + 1)
        NaN where the table says so; `PHASE` is the last column.

    References
    ----------
    .. [1] Simon & Lee 1981, ApJ 248, 291, doi:10.1086/159153
    .. [2] Schwarzenberg-Czerny 1996, ApJ 460, L107, doi:10.1086/309985
    """
    result = np.full((offsets.size - 1, N_FOURIER + 1), np.nan)
    for_objects(
        _fourier_statistics_range,
        offsets.size - 1,
        time,
        value,
        error,
        offsets,
        period,
        sign,
        deviation,
        result,
    )
    return result

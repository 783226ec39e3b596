"""Harmonic models of folded light curves, and what they leave over.

One least-squares fit of eight harmonics at twice the period serves both folds: its even
harmonics are the four at the period, so that with those put first the leading block of one
Cholesky factor is the smaller model.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, Feature, columns
from astroprep.features.ordering import sorted_values
from astroprep.features.statistics import median_deviation

__all__ = ["FOURIER", "fourier_statistics"]

HARMONICS = 4  # at the period
N_SMALL = 1 + 2 * HARMONICS  # unknowns of the model at P
N_LARGE = 1 + 4 * HARMONICS  # unknowns of the model at 2P
N_GRID = 64  # phases at which the model's shape is read
# A normalised pivot is what is left of a harmonic after the earlier ones; below this the phases
# cannot tell it from them, and its amplitude would be noise magnified more than ten times.
LEAST_PIVOT = 5e-3

SIMON = "Simon & Lee 1981, doi:10.1086/159153"
SCHWARZENBERG = "Schwarzenberg-Czerny 1996, doi:10.1086/309985"
NEUMANN = "von Neumann 1941, doi:10.1214/aoms/1177731677"
MODEL = "model: f = A0 + sum A_k cos(2πk t / P + φ_k), k = 1..4, weights 1 / δ²; "
GAPS = "the phases do not constrain four harmonics"
GAPS_2P = "the phases do not constrain eight harmonics at 2P"
NO_FIRST = f"{GAPS}, or A1 = 0"
FLAT_MODEL = f"{GAPS}, or all values are equal"


def _shape(name: str, formula: str, undefined: str = NO_FIRST, reference: str = SIMON) -> Feature:
    return Feature(name, "fourier", 12, formula, undefined, reference, errors=True, period=True)


FOURIER = (
    _shape("fourier_amplitude", f"A1; {MODEL}f the faintness", GAPS),
    _shape("fourier_r21", "A2 / A1"),
    _shape("fourier_r31", "A3 / A1"),
    _shape("fourier_r41", "A4 / A1"),
    _shape("fourier_phi21", "(φ2 - 2 φ1) mod 2π, radians"),
    _shape("fourier_phi31", "(φ3 - 3 φ1) mod 2π, radians"),
    _shape("fourier_phi41", "(φ4 - 4 φ1) mod 2π, radians"),
    _shape("cos_phi21", "cos(φ2 - 2 φ1), without the jump at 2π"),
    _shape("sin_phi21", "sin(φ2 - 2 φ1)"),
    _shape("cos_phi31", "cos(φ3 - 3 φ1)"),
    _shape("sin_phi31", "sin(φ3 - 3 φ1)"),
    _shape(
        "harmonic_share_1", "A1² / (A1² + A2² + A3² + A4²): bounded where R21 runs away", FLAT_MODEL
    ),
    _shape("harmonic_share_2", "A2² / (A1² + A2² + A3² + A4²)", FLAT_MODEL),
    _shape("harmonic_share_3", "A3² / (A1² + A2² + A3² + A4²)", FLAT_MODEL),
    _shape("model_range", "max - min of the model", GAPS),
    _shape("rise_fraction", "phase from the model's faintest to its brightest", FLAT_MODEL),
    _shape(
        "model_faint_half",
        "share of the phase where the model is fainter than its middle",
        FLAT_MODEL,
        "duty cycle",
    ),
    _shape(
        "slope_ratio",
        "steepest brightening over steepest fading of the model",
        FLAT_MODEL,
        "after Richards et al. 2011, doi:10.1088/0004-637X/733/1/10",
    ),
    _shape(
        "variance_explained_p",
        "1 - sum ((m - model) / δ)² / sum ((m - weighted mean) / δ)²",
        FLAT_MODEL,
        SCHWARZENBERG,
    ),
    Feature(
        "variance_explained_2p",
        "fourier",
        24,
        "the same with eight harmonics at 2P",
        f"{GAPS_2P}, or all values are equal",
        SCHWARZENBERG,
        errors=True,
        period=True,
    ),
    Feature(
        "odd_harmonics_2p",
        "fourier",
        24,
        "1 - (1 - V2) (N - 9) / ((1 - V1) (N - 17)), V1, V2 the variance explained at P and 2P: "
        "what 2P adds, 0 for noise",
        f"{GAPS_2P}, or the model at P leaves nothing",
        "adjusted partial R²; Theil 1961",
        errors=True,
        period=True,
    ),
    _shape(
        "residual_reduced_chi2",
        "sum ((m - model) / δ)² / (N - 9)",
        GAPS,
        "Pearson's chi square",
    ),
    _shape(
        "residual_mad_ratio",
        "median absolute residual from the median residual, over that of m",
        f"{GAPS}, or the median absolute deviation is 0",
        "after Dubath et al. 2011, doi:10.1111/j.1365-2966.2011.18575.x (P2p_scatter)",
    ),
    _shape(
        "residual_eta",
        "sum (r[i+1] - r[i])² / sum r² in time order, r = m - model",
        f"{GAPS}, or no residual",
        NEUMANN,
    ),
    _shape(
        "residual_bright_share",
        "B / (B + F), B and F the mean (r / δ)² where the model is in its brighter or fainter half",
        f"{GAPS}, or a half without points, or no residual",
        "stars of changing amplitude scatter around maximum; Blazhko 1907, "
        "doi:10.1002/asna.19071752002",
    ),
)

C = columns(FOURIER)
N_FOURIER = len(FOURIER)

_ANGLES = 2 * np.pi * np.arange(N_GRID)[:, None] * np.arange(1, HARMONICS + 1) / N_GRID
GRID_COS, GRID_SIN = np.cos(_ANGLES), np.sin(_ANGLES)  # (phase, harmonic)

# Harmonic of 2P of each unknown: the constant, those of P, then the odd ones; cos before sin.
HARMONIC_OF = np.array([0, 2, 2, 4, 4, 6, 6, 8, 8, 1, 1, 3, 3, 5, 5, 7, 7])


@njit(**KERNEL)
def _trigonometric_sums(
    cos_one: NDArray[np.float64],
    sin_one: NDArray[np.float64],
    w: NDArray[np.float64],
    y: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums of ``w cos kθ``, ``w sin kθ``, ``w y cos kθ`` and ``w y sin kθ``, k from 0.

    The normal equations need the first two up to twice the highest harmonic.
    """
    n = y.size
    top = 4 * HARMONICS
    w_cos, w_sin = np.zeros(top + 1), np.zeros(top + 1)
    y_cos, y_sin = np.zeros(top // 2 + 1), np.zeros(top // 2 + 1)
    c, s = w.copy(), np.zeros(n)  # w cos kθ and w sin kθ
    for k in range(top + 1):
        if k <= top // 2:
            p = q = 0.0
            for j in range(n):
                p += y[j] * c[j]
                q += y[j] * s[j]
            y_cos[k], y_sin[k] = p, q
        a = b = 0.0
        for j in range(n):
            a += c[j]
            b += s[j]
            turned = c[j] * cos_one[j] - s[j] * sin_one[j]
            s[j] = s[j] * cos_one[j] + c[j] * sin_one[j]
            c[j] = turned
        w_cos[k], w_sin[k] = a, b
    return w_cos, w_sin, y_cos, y_sin


@njit(**KERNEL)
def _normal_equations(
    w_cos: NDArray[np.float64],
    w_sin: NDArray[np.float64],
    y_cos: NDArray[np.float64],
    y_sin: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower half of the normal matrix and the right-hand side, in the order of `HARMONIC_OF`."""
    matrix, right = np.zeros((N_LARGE, N_LARGE)), np.empty(N_LARGE)
    for row in range(N_LARGE):
        k = HARMONIC_OF[row]
        row_sin = row > 0 and row % 2 == 0
        right[row] = y_sin[k] if row_sin else y_cos[k]
        for column in range(row + 1):
            m = HARMONIC_OF[column]
            column_sin = column > 0 and column % 2 == 0
            apart = abs(k - m)
            if row_sin == column_sin:
                sign = -1.0 if row_sin else 1.0
                matrix[row, column] = 0.5 * (w_cos[apart] + sign * w_cos[k + m])
            else:
                odd = k - m if row_sin else m - k
                difference = w_sin[apart] if odd >= 0 else -w_sin[apart]
                matrix[row, column] = 0.5 * (w_sin[k + m] + difference)
    return matrix, right


@njit(**KERNEL)
def _factor(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> int:
    """Cholesky factor in place, and ``right`` becomes L⁻¹ right; gives how many unknowns hold."""
    for row in range(N_LARGE):
        for column in range(row):
            total = matrix[row, column]
            for k in range(column):
                total -= matrix[row, k] * matrix[column, k]
            matrix[row, column] = total / matrix[column, column]
        pivot, rest = matrix[row, row], right[row]
        for k in range(row):
            pivot -= matrix[row, k] * matrix[row, k]
            rest -= matrix[row, k] * right[k]
        if not pivot > LEAST_PIVOT:
            return row
        matrix[row, row] = math.sqrt(pivot)
        right[row] = rest / matrix[row, row]
    return N_LARGE


@njit(**KERNEL)
def _coefficients(factor: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solution of the model at P: back substitution in the leading block."""
    solution = np.empty(N_SMALL)
    for row in range(N_SMALL - 1, -1, -1):
        total = right[row]
        for k in range(row + 1, N_SMALL):
            total -= factor[k, row] * solution[k]
        solution[row] = total / factor[row, row]
    return solution


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
    for k in range(2, HARMONICS + 1):
        a, b = solution[2 * k - 1], solution[2 * k]
        phi = (math.atan2(-b, a) - k * phi1) % (2 * math.pi)
        out[C.FOURIER_R21 + k - 2] = math.hypot(a, b) / a1
        out[C.FOURIER_PHI21 + k - 2] = phi
        if k < 4:
            out[C.COS_PHI21 + 2 * (k - 2)] = math.cos(phi)
            out[C.SIN_PHI21 + 2 * (k - 2)] = math.sin(phi)


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
    cos_one, sin_one, w, y = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    weights = weighted = 0.0
    for j in range(n):
        turns = (t[j] - t[0]) / (2 * period)
        angle = 2 * math.pi * (turns - math.floor(turns))
        cos_one[j], sin_one[j] = math.cos(angle), math.sin(angle)
        w[j] = 1.0 / (e[j] * e[j])
        weights += w[j]
        weighted += w[j] * (x[j] - x[0])
    shift, variance = weighted / weights, 0.0
    for j in range(n):
        w[j] /= weights
        y[j] = sign * ((x[j] - x[0]) - shift)
        variance += w[j] * y[j] * y[j]
    w_cos, w_sin, y_cos, y_sin = _trigonometric_sums(cos_one, sin_one, w, y)
    matrix, right = _normal_equations(w_cos, w_sin, y_cos, y_sin)
    held = _factor(matrix, right)
    if held < N_SMALL:
        return
    solution = _coefficients(matrix, right)
    _ratios(solution, out)
    middle = _model_shape(solution, out)
    _residuals(cos_one, sin_one, y, e, solution, middle, deviation, out)
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


@njit(parallel=True, **KERNEL)
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
    float64 array, shape (n_curves, len(FOURIER))
        NaN where the table says so.

    References
    ----------
    .. [1] Simon & Lee 1981, ApJ 248, 291, doi:10.1086/159153
    .. [2] Schwarzenberg-Czerny 1996, ApJ 460, L107, doi:10.1086/309985
    """
    result = np.full((offsets.size - 1, N_FOURIER), np.nan)
    for i in prange(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] - offsets[i] >= N_SMALL:
            _one_curve(
                time[part], value[part], error[part], period[i], sign, deviation[i], result[i]
            )
    return result

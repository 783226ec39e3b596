"""Least squares of harmonics: four at the period and eight at twice the period in one fit.

The even harmonics of twice the period are those at the period, so that with those put first the
leading block of one Cholesky factor is the smaller model.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL

__all__ = [
    "HARMONICS",
    "N_LARGE",
    "N_SMALL",
    "coefficients",
    "factor",
    "inverse_factor",
    "normal_equations",
    "place_of",
    "trigonometric_sums",
    "weighted_phases",
]

HARMONICS = 4  # at the period
N_SMALL = 1 + 2 * HARMONICS  # unknowns of the model at P
N_LARGE = 1 + 4 * HARMONICS  # unknowns of the model at 2P
# A normalised pivot is what is left of a harmonic after the earlier ones; below this the phases
# cannot tell it from them, and its amplitude would be noise magnified more than ten times.
LEAST_PIVOT = 5e-3

# Harmonic of 2P of each unknown: the constant, those of P, then the odd ones; cos before sin.
HARMONIC_OF = np.array([0, 2, 2, 4, 4, 6, 6, 8, 8, 1, 1, 3, 3, 5, 5, 7, 7])


@njit(**KERNEL)
def place_of(harmonic: int) -> int:
    """Position of the cosine of a harmonic of 2P among the unknowns; the sine follows.

    Parameters
    ----------
    harmonic : int
        1 to 8.

    Returns
    -------
    int
        Such that ``HARMONIC_OF[result] == harmonic``.
    """
    return harmonic - 1 if harmonic % 2 == 0 else N_SMALL + harmonic - 1


@njit(**KERNEL)
def weighted_phases(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    e: NDArray[np.float64],
    period: float,
    sign: float,
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float, float
]:
    """Everything that the fit needs of the points.

    Parameters
    ----------
    t, x, e : float64 array, shape (n_points,)
        Days, values and their errors, at least one point.
    period : float
        Days.
    sign : float
        1 for magnitudes, -1 for flux.

    Returns
    -------
    cos_one, sin_one : float64 array, shape (n_points,)
        Of the angle at twice the period, counted from the first point.
    w : float64 array, shape (n_points,)
        Weights ``1 / e²`` that add up to one.
    y : float64 array, shape (n_points,)
        Faintness, less its weighted mean.
    weights, variance : float
        Sum of ``1 / e²``, and weighted variance of `y`.
    """
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
    return cos_one, sin_one, w, y, weights, variance


@njit(**KERNEL)
def trigonometric_sums(
    cos_one: NDArray[np.float64],
    sin_one: NDArray[np.float64],
    w: NDArray[np.float64],
    y: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums of ``w cos kθ``, ``w sin kθ``, ``w y cos kθ`` and ``w y sin kθ``, k from 0.

    The normal equations need the first two up to twice the highest harmonic.

    Parameters
    ----------
    cos_one, sin_one, w, y : float64 array, shape (n_points,)
        What `weighted_phases` gives.

    Returns
    -------
    w_cos, w_sin : float64 array, shape (4 * HARMONICS + 1,)
        Of the weights alone.
    y_cos, y_sin : float64 array, shape (2 * HARMONICS + 1,)
        Of weights and values; unit of the values.
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
def normal_equations(
    w_cos: NDArray[np.float64],
    w_sin: NDArray[np.float64],
    y_cos: NDArray[np.float64],
    y_sin: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower half of the normal matrix and the right-hand side, in the order of `HARMONIC_OF`.

    Parameters
    ----------
    w_cos, w_sin, y_cos, y_sin : float64 array
        What `trigonometric_sums` gives; products of sines are sums of them.

    Returns
    -------
    matrix : float64 array, shape (N_LARGE, N_LARGE)
        Its upper half is zero.
    right : float64 array, shape (N_LARGE,)
        Unit of the values.
    """
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
def factor(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> int:
    """Cholesky factor in place, and ``right`` becomes L⁻¹ right; gives how many unknowns hold.

    Parameters
    ----------
    matrix, right : float64 array
        What `normal_equations` gives; overwritten.

    Returns
    -------
    int
        Unknowns before the first whose pivot is below `LEAST_PIVOT`: at least `N_SMALL` for
        the model at P, `N_LARGE` for that at 2P.
    """
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
def coefficients(
    lower: NDArray[np.float64], right: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Solution of the leading block of unknowns, by back substitution.

    Parameters
    ----------
    lower, right : float64 array
        What `factor` left.
    size : int
        `N_SMALL` for the model at P, `N_LARGE` for that at 2P.

    Returns
    -------
    float64 array, shape (size,)
        In the order of `HARMONIC_OF`; unit of the values.
    """
    solution = np.empty(size)
    for row in range(size - 1, -1, -1):
        total = right[row]
        for k in range(row + 1, size):
            total -= lower[k, row] * solution[k]
        solution[row] = total / lower[row, row]
    return solution


@njit(**KERNEL)
def inverse_factor(lower: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Inverse of the leading block of a Cholesky factor.

    Parameters
    ----------
    lower : float64 array
        What `factor` left in its lower half.
    size : int
        Unknowns of the block.

    Returns
    -------
    float64 array, shape (size, size)
        B with covariance ``B.T @ B`` of the unknowns, for weights that add up to one.
    """
    inverse = np.zeros((size, size))
    for column in range(size):
        inverse[column, column] = 1.0 / lower[column, column]
        for row in range(column + 1, size):
            total = 0.0
            for k in range(column, row):
                total += lower[row, k] * inverse[k, column]
            inverse[row, column] = -total / lower[row, row]
    return inverse

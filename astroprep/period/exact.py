"""Fourier series fitted at single frequencies, in float64: what confirms the peaks."""

from __future__ import annotations

from math import factorial, frexp, ldexp

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "MAX_HARMONICS",
    "REORDER",
    "cos_sin",
    "harmonic_fit",
    "harmonic_power",
    "next_harmonic",
    "solve",
    "standardise",
    "sums_with_value",
]

MAX_HARMONICS = 8
REORDER = {"reassoc", "contract", "nsz"}  # lets LLVM sum in vector registers; no NaN tricks
# Taylor coefficients of sine and cosine
S1, S2, S3, S4, S5, S6, S7 = ((-1) ** k / factorial(2 * k + 1) for k in range(1, 8))
C1, C2, C3, C4, C5, C6, C7, C8 = ((-1) ** k / factorial(2 * k) for k in range(1, 9))
# A point this much heavier than all others together is as good as known exactly: the power has
# reached its limit within 1e-7, and with more weight the others would drown in its rounding.
HEAVIEST = 1e7
TINY_PIVOT = 1e-9  # a direction that the other columns explain up to this share is left out


@njit(cache=True)
def standardise(
    time: NDArray[np.float64], value: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Centred times, weights and weighted values, as every periodogram kernel takes them.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`; sorted, finite, ``error > 0``.

    Returns
    -------
    centred : float64 array, shape (n_points,)
        Days from the middle of the baseline.
    weight : float64 array, shape (n_points,)
        Inverse variances, normalised to a sum of one; one point counts for `HEAVIEST` times the
        others together at most.
    weighted : float64 array, shape (n_points,)
        ``weight * (value - mean) / deviation``, with the weighted mean and standard deviation.
    deviation : float
        Weighted standard deviation in the unit of `value`; zero for a constant curve.
    """
    centred = time - 0.5 * (time[0] + time[-1])
    smallest = error.min()
    weight = (smallest / error) ** 2
    heaviest = np.argmax(weight)
    others = weight[:heaviest].sum() + weight[heaviest + 1 :].sum()
    if 0.0 < others < 1 / HEAVIEST:
        weight[heaviest] = HEAVIEST * others
    weight /= weight.sum()
    rest = value - value[0]
    # a power of two costs no bit, and keeps squares of huge and tiny values finite
    _, exponent = frexp(np.abs(rest).max())
    for j in range(rest.size):
        rest[j] = ldexp(rest[j], -exponent)
    rest -= (weight * rest).sum()
    spread = np.sqrt((weight * rest * rest).sum())
    deviation = ldexp(spread, exponent)
    # rounding of equal values must read as constant
    if deviation <= 1e-13 * np.abs(value).max():
        deviation = 0.0
    weighted = weight * rest
    if deviation > 0:
        weighted /= spread
    return centred, weight, weighted, deviation


@njit(cache=True, fastmath=REORDER)
def cos_sin(
    time: NDArray[np.float64],
    frequency: float,
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
) -> None:
    """Write cos and sin of ``2 pi frequency time``, without a branch so that the loop vectorises.

    The angle is reduced to a quarter of a half turn, where Taylor series of degree 15 are exact
    to 1e-16, and doubled twice.
    """
    for j in range(time.size):
        cycles = frequency * time[j]
        a = (cycles - np.floor(cycles + 0.5)) * (0.5 * np.pi)
        q = a * a
        s = a * (1 + q * (S1 + q * (S2 + q * (S3 + q * (S4 + q * (S5 + q * (S6 + q * S7)))))))
        c = 1 + q * (C1 + q * (C2 + q * (C3 + q * (C4 + q * (C5 + q * (C6 + q * (C7 + q * C8)))))))
        s2 = 2 * s * c
        c2 = 1 - 2 * s * s
        cosine[j] = 1 - 2 * s2 * s2
        sine[j] = 2 * s2 * c2


@njit(cache=True, fastmath=REORDER)
def sums_with_value(
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """Sums of ``weight cos``, ``weight sin``, ``weighted cos`` and ``weighted sin``."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    for j in range(cosine.size):
        a += weight[j] * cosine[j]
        b += weight[j] * sine[j]
        c += weighted[j] * cosine[j]
        d += weighted[j] * sine[j]
    return a, b, c, d


@njit(cache=True, fastmath=REORDER)
def next_harmonic(
    cosine: NDArray[np.float64],
    sine: NDArray[np.float64],
    c1: NDArray[np.float64],
    s1: NDArray[np.float64],
) -> None:
    """Turn `cosine` and `sine`, in place, by the angles whose cos and sin are `c1` and `s1`."""
    for j in range(cosine.size):
        c = cosine[j] * c1[j] - sine[j] * s1[j]
        sine[j] = sine[j] * c1[j] + cosine[j] * s1[j]
        cosine[j] = c


@njit(cache=True)
def solve(matrix: NDArray[np.float64], right: NDArray[np.float64], n: int) -> float:
    """Cholesky in place of the leading n x n block; returns the share of variance explained.

    `right` ends as the coefficients. A column that depends on the ones before it gets coefficient
    zero.
    """
    explained = 0.0
    for k in range(n):
        scale = matrix[k, k]
        pivot = scale
        for m in range(k):
            pivot -= matrix[k, m] * matrix[k, m]
        if not pivot > TINY_PIVOT * max(scale, TINY_PIVOT):
            for i in range(k, n):
                matrix[i, k] = 0.0
            matrix[k, k] = np.inf
            right[k] = 0.0
            continue
        root = np.sqrt(pivot)
        matrix[k, k] = root
        for i in range(k + 1, n):
            value = matrix[i, k]
            for m in range(k):
                value -= matrix[i, m] * matrix[k, m]
            matrix[i, k] = value / root
        value = right[k]
        for m in range(k):
            value -= matrix[k, m] * right[m]
        right[k] = value / root
        explained += right[k] * right[k]
    for k in range(n - 1, -1, -1):
        if matrix[k, k] == np.inf:
            right[k] = 0.0
            continue
        value = right[k]
        for i in range(k + 1, n):
            value -= matrix[i, k] * right[i]
        right[k] = value / matrix[k, k]
    return explained


@njit(cache=True)
def harmonic_fit(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> float:
    """Share of the variance that a Fourier series with a free mean explains at one frequency.

    With one harmonic this is the floating-mean Lomb-Scargle power in standard normalisation.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `standardise`.
    frequency : float
        Cycles per day.
    n_harmonics : int
        1 to `MAX_HARMONICS`.
    work : float64 array, shape (4, n_points) or longer
        Overwritten.
    matrix : float64 array, shape (2 * MAX_HARMONICS, 2 * MAX_HARMONICS)
        Overwritten.
    coefficient : float64 array, shape (2 * MAX_HARMONICS,)
        Filled with cos, sin pairs of harmonic 1, 2, ..., in units of the standard deviation,
        phase zero in the middle of the baseline.

    Returns
    -------
    float
        Between 0 and 1.
    """
    n = time.size
    c1 = work[0, :n]
    s1 = work[1, :n]
    ck = work[2, :n]
    sk = work[3, :n]
    cos_sin(time, frequency, c1, s1)
    for j in range(n):  # a slice would bring in the text of numpy's error messages
        ck[j], sk[j] = c1[j], s1[j]
    w_cos = np.empty(2 * MAX_HARMONICS + 1)
    w_sin = np.empty(2 * MAX_HARMONICS + 1)
    w_cos[0] = 1.0
    w_sin[0] = 0.0
    for k in range(1, 2 * n_harmonics + 1):
        if k > 1:
            next_harmonic(ck, sk, c1, s1)
        a, b, c, d = sums_with_value(ck, sk, weight, weighted)
        w_cos[k] = a
        w_sin[k] = b
        if k <= n_harmonics:
            coefficient[2 * k - 2] = c
            coefficient[2 * k - 1] = d
    for j in range(1, n_harmonics + 1):
        for k in range(1, j + 1):
            minus_cos = w_cos[j - k]
            minus_sin = w_sin[j - k]
            plus_cos = w_cos[j + k]
            plus_sin = w_sin[j + k]
            row = 2 * j - 2
            column = 2 * k - 2
            matrix[row, column] = 0.5 * (minus_cos + plus_cos) - w_cos[j] * w_cos[k]
            matrix[row, column + 1] = 0.5 * (plus_sin - minus_sin) - w_cos[j] * w_sin[k]
            matrix[row + 1, column] = 0.5 * (plus_sin + minus_sin) - w_sin[j] * w_cos[k]
            matrix[row + 1, column + 1] = 0.5 * (minus_cos - plus_cos) - w_sin[j] * w_sin[k]
    explained = solve(matrix, coefficient, 2 * n_harmonics)
    return min(max(explained, 0.0), 1.0)


@njit(cache=True, nogil=True)
def harmonic_power(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: NDArray[np.float64],
    n_harmonics: int,
) -> NDArray[np.float64]:
    """`harmonic_fit` at many frequencies.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `standardise`.
    frequency : float64 array, shape (n_frequencies,)
        Cycles per day, in any order.
    n_harmonics : int
        1 to `MAX_HARMONICS`.

    Returns
    -------
    float64 array, shape (n_frequencies,)
        Share of the variance explained, 0 to 1.
    """
    work = np.empty((4, time.size))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    power = np.empty(frequency.size)
    for i in range(frequency.size):
        power[i] = harmonic_fit(
            time, weight, weighted, frequency[i], n_harmonics, work, matrix, coefficient
        )
    return power

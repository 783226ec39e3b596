"""Fourier series fitted to several bands at one frequency, for use inside kernels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import cos_sin, next_harmonic, solve, sums_with_value

__all__ = ["MAX_BANDS", "band_edges", "multiband_fit", "scaled_fit", "standardise_bands"]

MAX_BANDS = 32  # filters in one curve; a survey has six, a merged catalogue a dozen
TURNS = 12  # alternations of the scaled fit at most; two or three reach SETTLED
SETTLED = 1e-7  # gain in power at which the alternation stops
PARALLEL = 1e-9  # a shape that varies less than this within a band tells it no amplitude


@njit(cache=True)
def band_edges(band: NDArray[np.int16]) -> NDArray[np.int64]:
    """Where each band begins in codes that are sorted; one more entry closes the last.

    Parameters
    ----------
    band : int16 array, shape (n_points,)
        Equal codes together, one point at least.

    Returns
    -------
    int64 array, shape (n_bands + 1,)
    """
    edges = np.empty(band.size + 1, np.int64)
    edges[0] = 0
    count = 1
    for j in range(1, band.size):
        if band[j] != band[j - 1]:
            edges[count] = j
            count += 1
    edges[count] = band.size
    return edges[: count + 1].copy()


@njit(cache=True)
def standardise_bands(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    bands: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Centred times, weights and weighted values about the mean of each band.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`; the points of a band together, finite, ``error > 0``.
    bands : int64 array, shape (n_bands + 1,)
        Band b is ``bands[b]:bands[b + 1]``; none is empty.

    Returns
    -------
    centred : float64 array, shape (n_points,)
        Days from the middle of the baseline.
    weight : float64 array, shape (n_points,)
        Inverse variances, normalised to a sum of one over all bands.
    weighted : float64 array, shape (n_points,)
        ``weight * (value - mean of the band) / deviation``.
    deviation : float
        Weighted root mean square of these differences; zero where every band is constant.
    """
    centred = time - 0.5 * (time.min() + time.max())
    weight = (error.min() / error) ** 2
    weight /= weight.sum()
    rest = np.empty(value.size)
    largest = 1e-290
    for b in range(bands.size - 1):
        part = slice(bands[b], bands[b + 1])
        w = weight[part]
        level = value[part][0]
        mean = (w * (value[part] - level)).sum() / w.sum()
        rest[part] = (value[part] - level) - mean
        largest = max(largest, np.abs(value[part]).max())
    deviation = np.sqrt((weight * rest * rest).sum())
    if deviation <= 1e-13 * largest:  # rounding of equal values must read as constant
        deviation = 0.0
    weighted = weight * rest
    if deviation > 0:
        weighted /= deviation
    return centred, weight, weighted, deviation


@njit(cache=True)
def multiband_fit(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    bands: NDArray[np.int64],
    frequency: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> float:
    """Share of the variance that one Fourier series explains in all bands, with a mean in each.

    Parameters
    ----------
    time, weight, weighted, bands
        From `standardise_bands`.
    frequency : float
        Cycles per day.
    n_harmonics : int
        1 to `MAX_HARMONICS`.
    work : float64 array, shape (4, n_points) or longer
        Overwritten.
    matrix : float64 array, shape (2 * MAX_HARMONICS, 2 * MAX_HARMONICS)
        Overwritten.
    coefficient : float64 array, shape (2 * MAX_HARMONICS,)
        Filled with cos, sin pairs of harmonic 1, 2, ..., in units of the deviation, phase zero in
        the middle of the baseline.

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18 (shared phase)
    """
    n = time.size
    n_bands = bands.size - 1
    order = 2 * n_harmonics
    c1, s1, ck, sk = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
    cos_sin(time, frequency, c1, s1)
    for j in range(n):
        ck[j], sk[j] = c1[j], s1[j]
    total = np.zeros((order + 1, 2))  # cos and sin sums of all weights
    total[0, 0] = 1.0
    own = np.empty((n_bands, order))  # of the weights of each band
    coefficient[:order] = 0.0
    for k in range(1, order + 1):
        if k > 1:
            next_harmonic(ck, sk, c1, s1)
        for b in range(n_bands):
            i, j = bands[b], bands[b + 1]
            w_cos, w_sin, y_cos, y_sin = sums_with_value(
                ck[i:j], sk[i:j], weight[i:j], weighted[i:j]
            )
            total[k, 0] += w_cos
            total[k, 1] += w_sin
            if k <= n_harmonics:
                own[b, 2 * k - 2] = w_cos
                own[b, 2 * k - 1] = w_sin
                coefficient[2 * k - 2] += y_cos
                coefficient[2 * k - 1] += y_sin
    for j in range(1, n_harmonics + 1):
        for k in range(1, j + 1):
            less, more = total[j - k], total[j + k]
            row, column = 2 * j - 2, 2 * k - 2
            matrix[row, column] = 0.5 * (less[0] + more[0])
            matrix[row, column + 1] = 0.5 * (more[1] - less[1])
            matrix[row + 1, column] = 0.5 * (more[1] + less[1])
            matrix[row + 1, column + 1] = 0.5 * (less[0] - more[0])
    for b in range(n_bands):  # the mean of each band is free: project it out
        share = weight[bands[b] : bands[b + 1]].sum()
        for i in range(order):
            for k in range(i + 1):
                matrix[i, k] -= own[b, i] * own[b, k] / share
    explained = solve(matrix, coefficient, order)
    return min(max(explained, 0.0), 1.0)


@njit(cache=True)
def scaled_fit(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    bands: NDArray[np.int64],
    frequency: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> float:
    """Share of the variance explained by one shape with an amplitude and a mean in every band.

    The fit has rank one: with the amplitudes given it is the shared fit of ``value / amplitude``,
    with the shape given each amplitude is a straight line. The two alternate, each step lowers
    the chi-square, and the start are the amplitudes that `scale` holds.

    Parameters
    ----------
    time, weight, weighted, bands, frequency, n_harmonics, work, matrix, coefficient
        As for `multiband_fit`; `coefficient` is the shape.
    scale : float64 array, shape (n_bands,)
        Amplitude of each band relative to the shape: a start, such as ones, and then the result.

    Returns
    -------
    float
        Between 0 and 1; a local optimum, never below the shared fit where the start are ones.
    """
    n_bands = bands.size - 1
    n = time.size
    heavy = np.empty(n)
    pull = np.empty(n)
    top = -1.0
    for _ in range(TURNS):
        for b in range(n_bands):
            for j in range(bands[b], bands[b + 1]):
                heavy[j] = weight[j] * scale[b] ** 2
                pull[j] = weighted[j] * scale[b]
        size = heavy.sum()
        if not size > 0:  # no band follows the shape
            break
        multiband_fit(
            time, heavy / size, pull / size, bands, frequency, n_harmonics, work, matrix,
            coefficient,
        )  # fmt: skip
        c1, s1, ck, sk = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
        shape = np.zeros(n)
        for j in range(n):
            ck[j], sk[j] = c1[j], s1[j]
        for k in range(n_harmonics):
            if k > 0:
                next_harmonic(ck, sk, c1, s1)
            shape += coefficient[2 * k] * ck + coefficient[2 * k + 1] * sk
        explained = 0.0
        for b in range(n_bands):
            part = slice(bands[b], bands[b + 1])
            w = weight[part]
            own = shape[part] - (w * shape[part]).sum() / w.sum()
            strength = (w * own * own).sum()
            match = (weighted[part] * own).sum()
            if strength > PARALLEL * w.sum():
                scale[b] = match / strength
                explained += match * match / strength
        if explained <= top + SETTLED:
            top = max(top, explained)
            break
        top = explained
    return min(max(top, 0.0), 1.0)

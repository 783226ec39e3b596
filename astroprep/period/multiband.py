"""Lomb-Scargle periodograms of several bands together.

Three models of how the bands relate, all weighted by the errors and all with a free mean in every
band: ``shared``, one Fourier series for all; ``scaled``, one shape with an amplitude in every band,
as pulsating stars have it; ``independent``, a series for every band. The power is the share of the
chi-square about the band means that the model takes away.

`multiband_power` evaluates any of them in float64, frequency by frequency; a whole grid of the
shared one comes faster from `astroprep.period.multiband_grid`.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.period.exact import (
    MAX_HARMONICS,
    cos_sin,
    harmonic_fit,
    next_harmonic,
    solve,
    sums_with_value,
)

__all__ = [
    "MAX_BANDS",
    "BandModel",
    "band_edges",
    "check_harmonics",
    "multiband_fit",
    "multiband_power",
    "scaled_fit",
    "standardise_bands",
]

BandModel = Literal["shared", "scaled", "independent"]

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


@njit(cache=True, nogil=True)
def _exact_power(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    bands: NDArray[np.int64],
    frequency: NDArray[np.float64],
    n_harmonics: int,
    model: int,
) -> NDArray[np.float64]:
    """Power by model 0 (shared), 1 (scaled) or 2 (independent) at any frequencies."""
    power = np.zeros(frequency.size)
    centred, weight, weighted, deviation = standardise_bands(time, value, error, bands)
    if deviation == 0.0:
        return power
    work = np.empty((4, time.size))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    scale = np.empty(bands.size - 1)
    for i in range(frequency.size):
        at = frequency[i]
        if model == 0:
            power[i] = multiband_fit(
                centred, weight, weighted, bands, at, n_harmonics, work, matrix, coefficient
            )
        elif model == 1:
            scale[:] = 1.0
            power[i] = scaled_fit(
                centred, weight, weighted, bands, at, n_harmonics, work, matrix, coefficient, scale
            )
        else:
            for b in range(bands.size - 1):
                j, k = bands[b], bands[b + 1]
                own = weight[j:k].sum()
                variance = (weighted[j:k] ** 2 / weight[j:k]).sum()
                if variance > 0:  # the kernel takes weights of sum one and values of variance one
                    unit = np.sqrt(variance / own)
                    power[i] += variance * harmonic_fit(
                        centred[j:k],
                        weight[j:k] / own,
                        weighted[j:k] / (own * unit),
                        at,
                        n_harmonics,
                        work,
                        matrix,
                        coefficient,
                    )
            power[i] = min(power[i], 1.0)
    return power


def multiband_power(
    time: ArrayLike,
    value: ArrayLike,
    error: ArrayLike,
    band: ArrayLike,
    frequency: ArrayLike,
    *,
    n_harmonics: int = 1,
    model: BandModel = "shared",
) -> NDArray[np.float64]:
    """Exact periodogram of one object in several bands.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`; in any order, finite, ``error > 0``.
    band : array, shape (n_points,)
        Equal entries are one band: codes or names.
    frequency : float64 array, shape (n_frequencies,)
        Cycles per day.
    n_harmonics : int, default 1
        Terms of the Fourier series, 1 to 8.
    model : {"shared", "scaled", "independent"}
        One series for all bands; one shape with an amplitude in each; a series in each. All have
        a mean in every band, so that a shift of a band changes nothing.

    Returns
    -------
    float64 array, shape (n_frequencies,)
        Share of the chi-square about the band means that the model takes away, 0 to 1.

    Raises
    ------
    ConfigError
        If a setting is unknown.
    DataError
        If the arrays differ in length, a number is not finite, an error not positive, there are
        fewer than two points, or all points are at one time.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18
    """
    check_harmonics(n_harmonics)
    if model not in get_args(BandModel):
        known = ", ".join(map(repr, get_args(BandModel)))
        raise ConfigError(f"model must be one of {known}, got {model!r}")
    t, v, e, bands = _arranged(time, value, error, band)
    at = np.atleast_1d(np.asarray(frequency, np.float64))
    if at.ndim != 1 or not np.isfinite(at).all():
        raise DataError("multiband_power needs a list of finite frequencies")
    return np.asarray(
        _exact_power(t, v, e, bands, at, n_harmonics, get_args(BandModel).index(model))
    )


def check_harmonics(n_harmonics: int) -> None:
    """Raise `ConfigError` unless a kernel can fit so many harmonics."""
    if not 1 <= n_harmonics <= MAX_HARMONICS:
        raise ConfigError(f"n_harmonics must be 1 to {MAX_HARMONICS}, got {n_harmonics!r}")


def _arranged(
    time: ArrayLike, value: ArrayLike, error: ArrayLike, band: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Checked columns, the points of a band together, and where each band begins."""
    t, v, e = (np.asarray(column, np.float64) for column in (time, value, error))
    names = np.asarray(band)
    if not (t.ndim == 1 and t.shape == v.shape == e.shape == names.shape):
        raise DataError(
            "multiband_power needs equally many times, values, errors and bands, "
            f"got shapes {t.shape}, {v.shape}, {e.shape} and {names.shape}"
        )
    bad = ~(np.isfinite(t) & np.isfinite(v) & np.isfinite(e) & (e > 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            f"multiband_power needs finite numbers and positive errors: point {i} has "
            f"time {t[i]}, value {v[i]}, error {e[i]}; {bad.sum()} of {t.size} are bad"
        )
    if t.size < 2 or np.ptp(t) == 0:
        raise DataError(f"multiband_power needs points at two times or more, got {t.size} point(s)")
    code = np.unique(names, return_inverse=True)[1]
    order = np.lexsort((t, code))
    if code[order[-1]] >= MAX_BANDS:
        raise DataError(f"multiband_power takes {MAX_BANDS} bands, got {code[order[-1]] + 1}")
    return t[order], v[order], e[order], band_edges(code[order].astype(np.int16))

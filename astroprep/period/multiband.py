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
from astroprep.period.exact import MAX_HARMONICS, harmonic_fit
from astroprep.period.multiband_fit import (
    MAX_BANDS,
    band_edges,
    multiband_fit,
    scaled_fit,
    standardise_bands,
)

__all__ = ["BandModel", "check_harmonics", "multiband_power"]

BandModel = Literal["shared", "scaled", "independent"]


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

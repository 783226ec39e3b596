"""Error-weighted Lomb-Scargle periodograms with a floating mean: one door to all backends.

``fft`` evaluates a whole grid at once in float32 (`sine`, `series`) and ``product`` does so for few
points without interpolating (`product`); both repair the few frequencies where that precision is
not enough. ``exact`` evaluates each frequency in float64. ``auto`` takes what a curve costs least.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError
from astroprep.period.backends import EXACT, PRODUCT, choose, grid_power, plans, room_for
from astroprep.period.exact import MAX_HARMONICS, harmonic_power, standardise
from astroprep.period.grid import FrequencyGrid
from astroprep.period.points import check_points
from astroprep.period.spectrum import Plan
from astroprep.threads import in_chunks

__all__ = [
    "Backend",
    "Normalization",
    "log10_false_alarm",
    "power",
    "power_ragged",
]

Backend = Literal["auto", "fft", "product", "exact"]
Normalization = Literal["standard", "model", "log", "psd"]


_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])  # scipy.special: 30 ms for one function


def _check_settings(n_harmonics: int, backend: str) -> None:
    if not 1 <= n_harmonics <= MAX_HARMONICS:
        raise ConfigError(f"n_harmonics must be 1 to {MAX_HARMONICS}, got {n_harmonics!r}")
    if backend not in get_args(Backend):
        known = ", ".join(map(repr, get_args(Backend)))
        raise ConfigError(f"backend must be one of {known}, got {backend!r}")


@njit(cache=True, nogil=True)
def _power_rows(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    start: float,
    step: float,
    n_harmonics: int,
    choice: NDArray[np.int64],
    plans: tuple[Plan, ...],
    out: NDArray[np.float32],
) -> None:
    size = out.shape[1]
    largest = 0
    for i in range(offsets.size - 1):
        n = offsets[i + 1] - offsets[i]
        needed = room_for(n, size, n_harmonics, choice[i], plans[max(choice[i], 0)])
        largest = max(largest, needed)
    room = np.empty(largest, np.float32)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, deviation = standardise(time[part], value[part], error[part])
        if deviation == 0.0:
            out[i] = 0.0
            continue
        grid_power(
            centred,
            weighted,
            weight,
            start,
            step,
            n_harmonics,
            choice[i],
            plans[max(choice[i], 0)],
            out[i],
            room,
        )


def power_ragged(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    grid: FrequencyGrid,
    *,
    n_harmonics: int = 1,
    backend: Backend = "auto",
    jobs: int | None = None,
) -> NDArray[np.float32]:
    """Fast periodograms of many curves on one grid.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``, two points at least.
    grid : FrequencyGrid
        The same for all.
    n_harmonics : int, default 1
        Terms of the Fourier series, 1 to 8.
    backend : {"auto", "fft", "product", "exact"}
        ``auto`` takes what costs a curve least.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    float32 array, shape (n_curves, grid.size)
        Standard normalisation, 0 to 1; 0 for a constant curve. ``auto`` is within 1e-3 of the
        exact one for one harmonic (5e-5 from 100 points on) and within 5e-4 at its highest peak.
        With less than about ten points a harmonic, ``product`` errs by up to 5e-3 at the few
        frequencies where the sampling hardly determines the series; ``fft`` errs by up to 3e-3
        with fewer than twenty points.

    Raises
    ------
    ConfigError
        If a setting is unknown.
    DataError
        If a curve has fewer than two points or all its points at one time, is not sorted, or a
        number is not finite or an error not positive; the message names the curve.

    References
    ----------
    .. [1] Zechmeister & Kuerster 2009, A&A 496, 577, doi:10.1051/0004-6361:200811296
    .. [2] VanderPlas 2018, ApJS 236, 16, doi:10.3847/1538-4365/aab766
    """
    _check_settings(n_harmonics, backend)
    n_curves = offsets.size - 1
    counts = np.diff(offsets)
    check_points("power_ragged", time, value, error, offsets)
    baseline = time[offsets[1:] - 1] - time[offsets[:-1]]
    choice = choose(
        counts,
        np.full(n_curves, grid.size),
        np.full(n_curves, grid.step),
        baseline,
        n_harmonics,
        transforms_only=backend == "fft",
    )
    if backend in ("product", "exact"):
        choice = np.full(n_curves, PRODUCT if backend == "product" else EXACT)
    out = np.empty((n_curves, grid.size), np.float32)
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        _power_rows(
            time,
            value,
            error,
            offsets[first : last + 1],
            grid.start,
            grid.step,
            n_harmonics,
            choice[first:last],
            tables,
            out[first:last],
        )

    in_chunks(n_curves, jobs, work)
    return out


def power(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    grid: FrequencyGrid,
    *,
    n_harmonics: int = 1,
    backend: Backend = "auto",
    normalization: Normalization = "standard",
) -> NDArray[np.float64]:
    """Periodogram of one curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted, finite, ``error > 0``; at least two points.
    grid : FrequencyGrid
        Where.
    n_harmonics : int, default 1
        Terms of the Fourier series, 1 to 8.
    backend : {"auto", "fft", "product", "exact"}
        ``auto`` takes what costs least; ``exact`` is float64 throughout.
    normalization : {"standard", "model", "log", "psd"}
        As in astropy: with p the share of variance explained, p, p / (1 - p), -log(1 - p) and
        p times half the chi-square of a constant.

    Returns
    -------
    float64 array, shape (grid.size,)

    Raises
    ------
    ConfigError
        If a setting is unknown.
    DataError
        If the curve has fewer than two points or all at one time, is not sorted, or a number is
        not finite or an error not positive.
    """
    if normalization not in get_args(Normalization):
        known = ", ".join(map(repr, get_args(Normalization)))
        raise ConfigError(f"normalization must be one of {known}, got {normalization!r}")
    _check_settings(n_harmonics, backend)
    offsets = np.array([0, time.size], np.int64)
    check_points("power", time, value, error, offsets)
    if backend == "exact":
        centred, weight, weighted, deviation = standardise(time, value, error)
        share = harmonic_power(centred, weight, weighted, grid.frequencies, n_harmonics)
        share = share if deviation > 0 else np.zeros(grid.size)
    else:
        share = power_ragged(
            time, value, error, offsets, grid, n_harmonics=n_harmonics, backend=backend, jobs=1
        )[0].astype(np.float64)
    if normalization == "model":
        return share / (1 - share)
    if normalization == "log":
        return -np.log(1 - share)
    if normalization == "psd":
        weight = (error.min() / error) ** 2  # relative: squares of small errors underflow
        mean = (weight * (value - value[0])).sum() / weight.sum()
        return 0.5 * share * float((((value - value[0] - mean) / error) ** 2).sum())
    return share


def log10_false_alarm(
    power: NDArray[np.float64],
    n_points: NDArray[np.int64],
    deviation: NDArray[np.float64],
    max_frequency: float,
) -> NDArray[np.float64]:
    """Decimal logarithm of the probability that noise alone gives a peak this high.

    Parameters
    ----------
    power : float64 array, shape (n_curves,)
        Highest power of one sine with a floating mean, standard normalisation.
    n_points : int64 array, shape (n_curves,)
        At least 4.
    deviation : float64 array, shape (n_curves,)
        Standard deviation of the times, days.
    max_frequency : float
        Highest frequency searched, cycles per day.

    Returns
    -------
    float64 array, shape (n_curves,)
        0 or less, -400 at least. An upper limit for alias-free sampling.

    References
    ----------
    .. [1] Baluev 2008, MNRAS 385, 1279, doi:10.1111/j.1365-2966.2008.12689.x (eqs. 5, 6 and table
    1)
    """
    z = np.clip(power, 0.0, 1 - 1e-15)
    n_mean = n_points - 1.0
    n_sine = n_points - 3.0
    factor = 0.5 * np.log(2 / n_mean) + _log_gamma(n_mean / 2) - _log_gamma((n_mean - 1) / 2)
    width = max_frequency * np.sqrt(4 * np.pi) * deviation
    rest = np.log1p(-z)
    with np.errstate(divide="ignore"):
        crossings = (
            factor + np.log(width) + 0.5 * (n_sine - 1) * rest + 0.5 * np.log(0.5 * n_mean * z)
        )
    single = 0.5 * n_sine * rest
    # 1 - (1 - single) exp(-crossings), also where both are far below the smallest double
    small = np.logaddexp(crossings, single)
    noise = np.log1p(-np.exp(np.minimum(single, -1e-16))) - np.exp(np.minimum(crossings, 700.0))
    exact = np.log(np.clip(-np.expm1(noise), 1e-300, 1.0))
    logarithm = np.where(small < -30, small, exact) / np.log(10)
    return np.asarray(np.clip(logarithm, -400.0, 0.0), np.float64)

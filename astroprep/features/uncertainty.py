"""Standard errors of features, where theory gives one."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL
from astroprep.features.fourier_errors import AT_2P, AT_P, fourier_errors
from astroprep.features.measure import FIRST_PHASE, Curves
from astroprep.features.quantile_errors import (
    QUANTILE_FEATURES,
    deviation_errors,
    quantile_errors,
)
from astroprep.threads import for_objects

__all__ = ["standard_errors"]

MOMENTS = ("mean", "standard_deviation", "mean_variance", "skew", "kurtosis")
N_MOMENTS = len(MOMENTS)
WEIGHTED = ("weighted_mean", "excess_variance")
SAME = {"linear_trend": "linear_trend_sigma", "linear_fit_slope": "linear_fit_slope_sigma"}
CHI2_UNKNOWNS = {"reduced_chi2": 1, "linear_fit_reduced_chi2": 2, "residual_reduced_chi2": 9}
PHASES = {"cos_phi21": "phi21", "sin_phi21": "phi21", "cos_phi31": "phi31", "sin_phi31": "phi31"}


@njit(**KERNEL)
def _without_each(z: NDArray[np.float64], mean: float, left: NDArray[np.float64]) -> None:
    """Deviation, variation, skewness and kurtosis of standardised values without each point.

    ``mean`` is theirs in units of the deviation; ``left`` has a row a statistic.
    """
    n = z.size
    two = three = four = 0.0
    for j in range(n):
        two += z[j] ** 2
        three += z[j] ** 3
        four += z[j] ** 4
    m = n - 1.0
    for j in range(n):
        x = z[j]
        mu, s2, s3, s4 = -x / m, (two - x**2) / m, (three - x**3) / m, (four - x**4) / m
        variance = s2 - mu * mu
        left[0, j] = math.sqrt(max(variance, 0.0))
        left[1, j] = left[0, j] / (mean + mu)
        left[2, j] = (s3 - 3 * mu * s2 + 2 * mu**3) / variance**1.5
        left[3, j] = (s4 - 4 * mu * s3 + 6 * mu**2 * s2 - 3 * mu**4) / variance**2


@njit(**KERNEL)
def _jackknife(left: NDArray[np.float64]) -> float:
    """Standard error from the values of a statistic without each point."""
    n = left.size
    mean = np.sum(left) / n
    total = 0.0
    for j in range(n):
        total += (left[j] - mean) ** 2
    return math.sqrt(total * (n - 1.0) / n)


@njit(nogil=True, **KERNEL)
def _moment_errors_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        x = value[offsets[i] : offsets[i + 1]]
        n = x.size
        if n < 2:
            continue
        shift = two = 0.0
        for j in range(n):
            shift += x[j] - x[0]
        shift /= n
        for j in range(n):
            two += ((x[j] - x[0]) - shift) ** 2
        sigma = math.sqrt(two / n)
        result[i, 0] = math.sqrt(two / (n - 1) / n)
        result[i, 1] = 0.0 if n > 2 or sigma == 0 else np.nan
        if n < 3 or not sigma > 0:
            continue
        left = np.empty((N_MOMENTS - 1, n))
        _without_each(((x - x[0]) - shift) / sigma, (x[0] + shift) / sigma, left)
        unbiased = math.sqrt(n / (n - 1.0))
        result[i, 1] = _jackknife(left[0]) * sigma * unbiased
        result[i, 2] = _jackknife(left[1]) * unbiased
        if n > 3:
            result[i, 3] = _jackknife(left[2]) * math.sqrt(n * (n - 1.0)) / (n - 2)
        if n > 4:
            result[i, 4] = _jackknife(left[3]) * (n * n - 1.0) / ((n - 2.0) * (n - 3.0))


def _moment_errors(value: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Standard errors of `MOMENTS`, one row a curve: s / sqrt(N), then jackknives."""
    result = np.full((offsets.size - 1, N_MOMENTS), np.nan)
    for_objects(_moment_errors_range, offsets.size - 1, value, offsets, result)
    return result


@njit(nogil=True, **KERNEL)
def _noise_range(
    begin: int,
    end: int,
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        n = offsets[i + 1] - offsets[i]
        if n > 0:
            weights = total = 0.0
            for j in range(offsets[i], offsets[i + 1]):
                square = error[j] * error[j]
                weights += 1.0 / square
                total += square
            level[i], noise[i] = 1.0 / math.sqrt(weights), total / n


def _noise(
    error: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error of the weighted mean, and mean squared error, of each curve."""
    n_curves = offsets.size - 1
    level, noise = np.full(n_curves, np.nan), np.full(n_curves, np.nan)
    for_objects(_noise_range, n_curves, error, offsets, level, noise)
    return level, noise


def _fourier(
    curves: Curves, columns: dict[str, NDArray[np.float64]], period: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Errors of all Fourier features that have one."""
    rows = fourier_errors(curves.time, curves.value, curves.error, curves.offsets, period)
    at_p = dict(zip(AT_P, rows.T, strict=False))
    at_2p = dict(zip(AT_2P, rows.T[len(AT_P) :], strict=True))
    errors = {f"fourier_{name}": column for name, column in at_p.items()}
    errors |= {f"fourier_{name}_2p": column for name, column in at_2p.items()}
    errors[FIRST_PHASE] = at_p["phase"]
    other = {"cos": "sin", "sin": "cos"}
    for name, phase in PHASES.items():  # the slope of a cosine is the sine, and the other way
        errors[name] = np.abs(columns[f"{other[name[:3]]}_{phase}"]) * at_p[phase]
    return errors


def standard_errors(
    curves: Curves,
    columns: dict[str, NDArray[np.float64]],
    names: AbstractSet[str],
    period_error: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Standard errors of features of one band.

    Parameters
    ----------
    curves : Curves
        The points.
    columns : dict of str to float64 array, shape (n_curves,)
        What `astroprep.features.measure.measure` gave for `names`.
    names : set of str
        Features that are wanted; those without a theory are left out.
    period_error : float64 array, shape (n_curves,), optional
        Days.

    Returns
    -------
    dict of str to float64 array, shape (n_curves,)
        In the units of the features.

    Notes
    -----
    Those of the moments (jackknife [1]_) and of quantiles hold for any distribution of enough
    independent points; of the third and fourth moment a tail that shows few points makes them too
    small: at 100 Gaussian points they are 0.9 and 0.8 of the scatter. That of eta holds for white
    Gaussian noise [2]_, those of reduced χ² for noise that the errors δ describe, that of the
    excess variance for the noise of the measurement alone [3]_. Where a star varies slowly the
    points are not independent, and errors are too small.

    References
    ----------
    .. [1] Efron & Stein 1981, Ann. Statist. 9, 586, doi:10.1214/aos/1176345462
    .. [2] von Neumann 1941, doi:10.1214/aoms/1177731677 (variance of eta)
    .. [3] Vaughan et al. 2003, MNRAS 345, 1271, doi:10.1046/j.1365-2966.2003.07042.x, equation 11
    """
    _, value, error, offsets, period, _ = curves
    n = np.diff(offsets).astype(np.float64)
    errors: dict[str, NDArray[np.float64]] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        if names & set(MOMENTS):
            errors |= dict(zip(MOMENTS, _moment_errors(value, offsets).T, strict=True))
        errors |= quantile_errors(value, offsets, names & QUANTILE_FEATURES.keys())
        if "median_absolute_deviation" in names:
            median = np.ascontiguousarray(columns["median"])
            errors["median_absolute_deviation"] = deviation_errors(value, offsets, median)
        if names & set(WEIGHTED):
            level, noise = _noise(error, offsets)
            errors["weighted_mean"] = level
            excess = np.maximum(columns["excess_variance"], 0.0)
            relative = noise / columns["mean"] ** 2
            errors["excess_variance"] = np.sqrt(2 / n * relative**2 + 4 / n * relative * excess)
        if "eta" in names:
            errors["eta"] = 2 * np.sqrt((n - 2) / (n * n - 1))
        for name in names & SAME.keys():
            errors[name] = columns[SAME[name]]
        for name in names & CHI2_UNKNOWNS.keys():
            errors[name] = np.sqrt(2 / (n - CHI2_UNKNOWNS[name]))
        if period is not None and any(x.startswith("fourier_") or x in PHASES for x in names):
            errors |= _fourier(curves, columns, period)
        if period is not None and period_error is not None:
            errors["log10_period"] = period_error / (period * math.log(10))
    return errors

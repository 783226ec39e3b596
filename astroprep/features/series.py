"""How one light curve runs in time: smoothness, trends, slow and fast variability, cadence."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, Feature, columns
from astroprep.threads import for_objects

__all__ = ["CADENCE", "SERIES", "SERIES_NOISE", "series_noise_statistics", "series_statistics"]

SAME_NIGHT = 0.5  # days; a ground-based night is shorter, the gap between two nights longer
GAUSSIAN_K = 0.798  # Stetson's K of Gaussian noise, sqrt(2 / π), as he rounds it
BLOCK = 50.0  # days; longer than any pulsation but that of the Mira stars

DISANTO = "D'Isanto et al. 2016, doi:10.1093/mnras/stw157"
KIM = "Kim et al. 2014, doi:10.1051/0004-6361/201323252"
NEUMANN = "von Neumann 1941, doi:10.1214/aoms/1177731677"
LEAST_SQUARES = "linear least squares; Hogg et al. 2010, arXiv:1008.4686"
FLAT = "all values are equal"
ONE_TIME = "all times are equal"

SERIES = (
    Feature(
        "eta",
        "series",
        2,
        "sum (m[i+1] - m[i])² / ((N - 1) s²)",
        FLAT,
        NEUMANN,
        error="2 sqrt((N - 2) / (N² - 1)): white Gaussian noise, where eta is 2",
    ),
    Feature(
        "eta_e",
        "series",
        2,
        "(t[N-1] - t[0])² / (N - 1)³ sum ((m[i+1] - m[i]) / (t[i+1] - t[i]))² / s²; pairs of equal "
        "times are left out of the sum",
        f"{FLAT}, or {ONE_TIME}",
        KIM,
    ),
    Feature("cusum", "series", 2, "range of the running sums of (m - <m>) / (N s)", FLAT, KIM),
    Feature(
        "maximum_slope",
        "series",
        2,
        "max |m[i+1] - m[i]| / (t[i+1] - t[i]), without pairs of equal times",
        ONE_TIME,
        DISANTO,
    ),
    Feature(
        "linear_trend",
        "series",
        3,
        "slope of m against t, equal weights",
        ONE_TIME,
        LEAST_SQUARES,
        error="linear_trend_sigma",
    ),
    Feature(
        "linear_trend_sigma",
        "series",
        3,
        "standard error of linear_trend: noise / sqrt(sum (t - <t>)²)",
        ONE_TIME,
        LEAST_SQUARES,
    ),
    Feature(
        "linear_trend_noise",
        "series",
        3,
        "sqrt(sum (m - line)² / (N - 2))",
        ONE_TIME,
        LEAST_SQUARES,
    ),
    Feature(
        "trend_fraction",
        "series",
        3,
        "share of the variance that the straight line explains, r²",
        f"{FLAT}, or {ONE_TIME}",
        LEAST_SQUARES,
    ),
    Feature(
        "night_fraction",
        "series",
        3,
        "<(m[i+1] - m[i])²> / (2 s²) over neighbours less than 0.5 d apart; 1 for white noise",
        f"{FLAT}, or no two points within 0.5 d",
        NEUMANN,
    ),
    Feature(
        "slow_fraction",
        "series",
        4,
        "1 - v / s², v the unbiased variance within blocks of 50 d; near 0 unless slow",
        f"{FLAT}, or no block holds two points",
        "analysis of variance; Schwarzenberg-Czerny 1989, doi:10.1093/mnras/241.2.153",
    ),
)

CADENCE = (
    Feature("observation_count", "cadence", 1, "N", "", "survey cadence"),
    Feature("duration", "cadence", 1, "t[N-1] - t[0], days", "", "survey cadence"),
    Feature(
        "minimum_time_interval", "cadence", 2, "min (t[i+1] - t[i]), days", "", "survey cadence"
    ),
    Feature(
        "maximum_time_interval", "cadence", 2, "max (t[i+1] - t[i]), days", "", "survey cadence"
    ),
    Feature(
        "time_standard_deviation",
        "cadence",
        2,
        "sqrt(sum (t - <t>)² / (N - 1)), days",
        "",
        "survey cadence",
    ),
)

SERIES_NOISE = (
    Feature(
        "linear_fit_slope",
        "series",
        3,
        "slope of m against t, weights 1 / δ²",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
        error="linear_fit_slope_sigma",
    ),
    Feature(
        "linear_fit_slope_sigma",
        "series",
        3,
        "standard error of linear_fit_slope from the errors δ",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
    ),
    Feature(
        "linear_fit_reduced_chi2",
        "series",
        3,
        "sum ((m - line) / δ)² / (N - 2)",
        ONE_TIME,
        LEAST_SQUARES,
        errors=True,
        error="sqrt(2 / (N - 2)): Gaussian noise of the errors δ",
    ),
    Feature(
        "stetson_j",
        "noise",
        2,
        "<sign(p) sqrt |p|>, p = d[i] d[i+1] N / (N - 1) over neighbours less than 0.5 d apart, "
        "d = (m - weighted mean) / δ",
        "no two points within 0.5 d",
        "Stetson 1996, doi:10.1086/133808, equation 1",
        errors=True,
    ),
    Feature(
        "stetson_l",
        "noise",
        2,
        "stetson_j stetson_k / 0.798",
        "no two points within 0.5 d, or all values are equal",
        "Stetson 1996, doi:10.1086/133808, equation 3, for one weight of all points",
        errors=True,
        default=False,
    ),
)

S = columns(SERIES + CADENCE)
E = columns(SERIES_NOISE)
N_SERIES, N_SERIES_NOISE = len(SERIES) + len(CADENCE), len(SERIES_NOISE)


@njit(**KERNEL)
def _neighbours(
    t: NDArray[np.float64], x: NDArray[np.float64], std: float, row: NDArray[np.float64]
) -> None:
    """Statistics of neighbouring pairs."""
    n = t.size
    steps = slopes = nightly = steepest = 0.0
    shortest, longest = np.inf, 0.0
    pairs = nights = 0
    for j in range(n - 1):
        step, gap = x[j + 1] - x[j], t[j + 1] - t[j]
        steps += step * step
        shortest, longest = min(shortest, gap), max(longest, gap)
        if gap > 0:
            slope = abs(step / gap)
            slopes += slope * slope
            steepest = max(steepest, slope)
            pairs += 1
        if gap < SAME_NIGHT:
            nightly += step * step
            nights += 1
    row[S.MINIMUM_TIME_INTERVAL] = shortest
    row[S.MAXIMUM_TIME_INTERVAL] = longest
    if pairs:
        row[S.MAXIMUM_SLOPE] = steepest
    if std > 0:
        row[S.ETA] = steps / ((n - 1) * std * std)
        if pairs:
            span = t[n - 1] - t[0]
            row[S.ETA_E] = span * span / (n - 1.0) ** 3 * slopes / (std * std)
        if nights:
            row[S.NIGHT_FRACTION] = nightly / nights / (2 * std * std)


@njit(**KERNEL)
def _running(
    t: NDArray[np.float64],
    x: NDArray[np.float64],
    mean: float,
    std: float,
    row: NDArray[np.float64],
) -> None:
    """Statistics that walk through the curve: running sums and blocks of time."""
    n = t.size
    total, low, high = 0.0, np.inf, -np.inf
    within = 0.0
    blocks, in_block = 0, 0
    block_start, block_mean = -np.inf, 0.0
    for j in range(n):
        d = x[j] - mean
        total += d
        low, high = min(low, total), max(high, total)
        if t[j] >= block_start + BLOCK:
            block_start, block_mean, in_block = t[j], 0.0, 0
            blocks += 1
        in_block += 1
        before = d - block_mean
        block_mean += before / in_block
        within += before * (d - block_mean)
    row[S.CUSUM] = (high - low) / (n * std)
    if n > blocks:
        row[S.SLOW_FRACTION] = 1.0 - within / (n - blocks) / (std * std)


@njit(**KERNEL)
def _trend(
    t: NDArray[np.float64], x: NDArray[np.float64], mean: float, row: NDArray[np.float64]
) -> None:
    """Straight line with equal weights."""
    n = t.size
    origin = t[0]
    total = 0.0
    for j in range(n):
        total += t[j] - origin
    centre = total / n
    tt = tx = xx = 0.0
    for j in range(n):
        dt, dx = (t[j] - origin) - centre, x[j] - mean
        tt += dt * dt
        tx += dt * dx
        xx += dx * dx
    row[S.TIME_STANDARD_DEVIATION] = math.sqrt(tt / (n - 1))
    if n < 3 or t[n - 1] == origin:
        return
    slope = tx / tt
    rest = 0.0
    for j in range(n):
        r = (x[j] - mean) - slope * ((t[j] - origin) - centre)
        rest += r * r
    noise = math.sqrt(rest / (n - 2))
    row[S.LINEAR_TREND] = slope
    row[S.LINEAR_TREND_SIGMA] = noise / math.sqrt(tt)
    row[S.LINEAR_TREND_NOISE] = noise
    if xx > 0:
        row[S.TREND_FRACTION] = 1.0 - rest / xx


@njit(nogil=True, **KERNEL)
def _series_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    moments: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        t, x = time[offsets[i] : offsets[i + 1]], value[offsets[i] : offsets[i + 1]]
        n = t.size
        row = result[i]
        row[S.OBSERVATION_COUNT] = n
        if n == 0:
            continue
        row[S.DURATION] = t[n - 1] - t[0]
        if n < 2:
            continue
        mean = moments[i, 0]
        std = moments[i, 1] if moments[i, 2] > 0 else 0.0
        _neighbours(t, x, std, row)
        _trend(t, x, mean, row)
        if std > 0:
            _running(t, x, mean, std, row)


def series_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    moments: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Statistics of values in time order, one row a curve, in the order of `SERIES` and `CADENCE`.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value : float64 array, shape (n_points,)
        Magnitudes or flux, finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    moments : float64 array, shape (n_curves, 3)
        Mean, standard deviation and half range of the values.

    Returns
    -------
    float64 array, shape (n_curves, len(SERIES) + len(CADENCE))
        NaN where the tables say so.
    """
    result = np.full((offsets.size - 1, N_SERIES), np.nan)
    for_objects(_series_statistics_range, offsets.size - 1, time, value, offsets, moments, result)
    return result


@njit(**KERNEL)
def _weighted_line(
    t: NDArray[np.float64], x: NDArray[np.float64], e: NDArray[np.float64], row: NDArray[np.float64]
) -> float:
    """Straight line with weights 1 / error²; gives back the weighted mean of ``x - x[0]``."""
    n = t.size
    weights = time_sum = value_sum = 0.0
    for j in range(n):
        w = 1.0 / (e[j] * e[j])
        weights += w
        time_sum += w * (t[j] - t[0])
        value_sum += w * (x[j] - x[0])
    centre, level = time_sum / weights, value_sum / weights
    if n < 3 or t[n - 1] == t[0]:
        return level
    tt = tx = 0.0
    for j in range(n):
        w = 1.0 / (e[j] * e[j])
        dt = (t[j] - t[0]) - centre
        tt += w * dt * dt
        tx += w * dt * ((x[j] - x[0]) - level)
    slope = tx / tt
    chi2 = 0.0
    for j in range(n):
        r = (((x[j] - x[0]) - level) - slope * ((t[j] - t[0]) - centre)) / e[j]
        chi2 += r * r
    row[E.LINEAR_FIT_SLOPE] = slope
    row[E.LINEAR_FIT_SLOPE_SIGMA] = math.sqrt(1.0 / tt)
    row[E.LINEAR_FIT_REDUCED_CHI2] = chi2 / (n - 2)
    return level


@njit(**KERNEL)
def _kurtosis(x: NDArray[np.float64], e: NDArray[np.float64], level: float) -> float:
    """Stetson's K of values about ``x[0] + level``."""
    first = second = 0.0
    for j in range(x.size):
        d = abs((x[j] - x[0]) - level) / e[j]
        first += d
        second += d * d
    return first / math.sqrt(x.size * second)


@njit(nogil=True, **KERNEL)
def _series_noise_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        t, x, e = time[part], value[part], error[part]
        n = t.size
        if n < 2:
            continue
        level = _weighted_line(t, x, e, result[i])
        total, pairs = 0.0, 0
        for j in range(n - 1):
            if t[j + 1] - t[j] < SAME_NIGHT:
                first = ((x[j] - x[0]) - level) / e[j]
                second = ((x[j + 1] - x[0]) - level) / e[j + 1]
                product = first * second * n / (n - 1.0)
                total += math.copysign(math.sqrt(abs(product)), product)
                pairs += 1
        if pairs:
            result[i, E.STETSON_J] = total / pairs
            result[i, E.STETSON_L] = total / pairs * _kurtosis(x, e, level) / GAUSSIAN_K


def series_noise_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Statistics in time order that use the errors, one row a curve, ordered as `SERIES_NOISE`.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value, error : float64 array, shape (n_points,)
        Magnitudes or flux with their one-sigma errors; ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_curves, len(SERIES_NOISE))
        NaN where the table says so.
    """
    result = np.full((offsets.size - 1, N_SERIES_NOISE), np.nan)
    for_objects(
        _series_noise_statistics_range, offsets.size - 1, time, value, error, offsets, result
    )
    return result

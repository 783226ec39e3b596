"""How one light curve runs in time: smoothness, trends, slow and fast variability, cadence."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, columns
from astroprep.features.series_table import CADENCE, SERIES, SERIES_NOISE
from astroprep.threads import for_objects

__all__ = ["series_noise_statistics", "series_statistics"]

SAME_NIGHT = 0.5  # days; a ground-based night is shorter, the gap between two nights longer
GAUSSIAN_K = 0.798  # Stetson's K of Gaussian noise, sqrt(2 / π), as he rounds it
BLOCK = 50.0  # days; longer than any pulsation but that of the Mira stars

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

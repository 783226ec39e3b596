"""Bins in time over ragged curves: where they begin, and what they hold."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["bin_statistics", "bin_to_boundary", "cut_bins"]

AUTO_GAP = 5.0  # in median spacings: one missing cadence does not end a bin, a daylight gap does
HALF_PI = np.pi / 2  # variance of a median over that of a mean, many points


@njit(cache=True)
def _longest_step(time: NDArray[np.float64], gap: float) -> float:
    """Longest distance within a bin: `gap`, or its own for the series where that is NaN."""
    if np.isnan(gap):
        return float(AUTO_GAP * np.median(time[1:] - time[:-1])) if time.size > 1 else 0.0
    return gap


@njit(cache=True)
def _cut(
    time: NDArray[np.float64],
    width: float,
    origin: float,
    count: int,
    gap: float,
    start: NDArray[np.bool_],
) -> None:
    """Set `start` where a bin of one series begins."""
    longest = _longest_step(time, gap)
    first = 0  # of the run without a gap
    for j in range(time.size):
        if j == 0 or time[j] - time[j - 1] > longest:
            start[j] = True
            first = j
        elif count > 0:
            start[j] = (j - first) % count == 0
        else:
            start[j] = np.floor((time[j] - origin) / width) != np.floor(
                (time[j - 1] - origin) / width
            )


@njit(nogil=True, cache=True)
def _cut_bins_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    width: float,
    origin: float,
    count: int,
    gap: float,
    start: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        _cut(time[first:last], width, origin, count, gap, start[first:last])


def cut_bins(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    width: float,
    origin: float,
    count: int,
    gap: float,
) -> NDArray[np.int64]:
    """Where bins begin and end.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Sorted within each series, days.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    width, origin : float
        Bins of equal width are ``[origin + k width, origin + (k + 1) width)`` days, the same
        for all series.
    count : int
        If positive, bins hold so many successive points instead (the last of a run fewer).
    gap : float
        A longer step in time, days, ends a bin; NaN for five times the median step.

    Returns
    -------
    int64 array, shape (n_bins + 1,)
        Bin b is points ``bins[b]:bins[b + 1]``; each belongs to one series.
    """
    start = np.zeros(time.size, np.bool_)
    for_objects(_cut_bins_range, offsets.size - 1, time, offsets, width, origin, count, gap, start)
    return np.append(np.flatnonzero(start), time.size)


@njit(cache=True)
def _median_factor(n: int) -> float:
    """Variance of the median of n Gaussian numbers over their own; within 1 %."""
    if n < 3:
        return 1.0 / n
    return HALF_PI / (n + 0.47) if n % 2 else HALF_PI / (n + 1.3)


@njit(cache=True)
def _one_bin(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    median: bool,
) -> tuple[float, float, float, float]:
    """Time, level, its error and chi squared of one bin; chi squared NaN without errors."""
    n = time.size
    known = True
    for j in range(n):
        known = known and error[j] > 0 and error[j] < np.inf
    base, begin, smallest = value[0], time[0], np.inf  # differences keep digits
    for j in range(n):
        smallest = min(smallest, error[j])
    total, first, second, when, variance = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(n):
        w = (smallest / error[j]) ** 2 if known else 1.0
        total += w
        first += w * (value[j] - base)
        when += w * (time[j] - begin)
        if known:
            variance += (error[j] / smallest) ** 2 / n
    mean = first / total
    for j in range(n):
        w = (smallest / error[j]) ** 2 if known else 1.0
        second += w * (value[j] - base - mean) ** 2
    if known:
        chi2 = second / smallest**2
        level_error = smallest / np.sqrt(total)
    else:
        chi2 = np.nan
        level_error = np.sqrt(second / (n - 1) / n) if n > 1 else np.nan
        level_error = level_error if level_error > 0 else np.nan
    if not median:
        return begin + when / total, base + mean, level_error, chi2
    if known:
        level_error = smallest * np.sqrt(variance * _median_factor(n))
    elif n > 2:
        level_error = level_error * np.sqrt(n * _median_factor(n))
    return np.median(time), np.median(value), level_error, chi2


@njit(nogil=True, cache=True)
def _bin_statistics_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    bins: NDArray[np.int64],
    median: bool,
    when: NDArray[np.float64],
    level: NDArray[np.float64],
    level_error: NDArray[np.float64],
    chi2: NDArray[np.float64],
) -> None:
    for b in range(begin, end):
        part = slice(bins[b], bins[b + 1])
        when[b], level[b], level_error[b], chi2[b] = _one_bin(
            time[part], value[part], error[part], median
        )


def bin_statistics(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    bins: NDArray[np.int64],
    median: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Level of each bin, with its error and what the scatter says of it.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit; errors that are not positive and finite are missing.
    bins : int64 array, shape (n_bins + 1,)
        Of `cut_bins`.
    median : bool
        Median instead of the error-weighted mean.

    Returns
    -------
    time, level, level_error, chi2 : float64 arrays, shape (n_bins,)
        `time` is the mean (median) of the times with the same weights. `level_error` is
        propagated: ``(sum 1/e^2)^(-1/2)`` for the mean; for the median the root mean square
        error times the square root of the variance of the median of so many Gaussian numbers
        (1.35 / 3 for three, pi / 2n for many). `chi2` is of the points about their weighted
        mean, with one degree of freedom less than points. In a bin with a missing error all
        points count alike, the error comes from their scatter (NaN for a single point, or
        equal ones) and `chi2` is NaN.

    References
    ----------
    .. [1] Kenney & Keeping 1962, Mathematics of Statistics, part 1, sect. 14 (standard error
       of the median)
    """
    n_bins = bins.size - 1
    when, level = np.empty(n_bins), np.empty(n_bins)
    level_error, chi2 = np.empty(n_bins), np.empty(n_bins)
    for_objects(
        _bin_statistics_range,
        n_bins,
        time,
        value,
        error,
        bins,
        median,
        when,
        level,
        level_error,
        chi2,
    )
    return when, level, level_error, chi2


@njit(nogil=True, cache=True)
def _bin_to_boundary_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    bins: NDArray[np.int64],
    where: NDArray[np.int64],
) -> None:
    for b in range(begin, end):
        first, last = bins[b], bins[b + 1]
        low = first + np.argmin(value[first:last])
        high = first + np.argmax(value[first:last])
        for j in range(first, last):
            where[j] = low if value[j] - value[low] <= value[high] - value[j] else high


def bin_to_boundary(value: NDArray[np.float64], bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each point, which point holds the nearer of the two boundaries of its bin.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Finite.
    bins : int64 array, shape (n_bins + 1,)
        Of `cut_bins`.

    Returns
    -------
    int64 array, shape (n_points,)
        Position of the smallest or the largest value of the bin; the smallest where both are
        as near.

    References
    ----------
    .. [1] Han, Kamber & Pei 2012, Data Mining, 3rd ed., sect. 3.2.2 (smoothing by bin
       boundaries)
    """
    where = np.empty(value.size, np.int64)
    for_objects(_bin_to_boundary_range, bins.size - 1, value, bins, where)
    return where

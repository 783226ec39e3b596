"""Means, medians and biweights in a moving window over ragged curves, each with its error."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.detrend.biweight import biweight_error, biweight_of, new_state, pass_on
from astroprep.detrend.one_window import (
    BIWEIGHT,
    MEAN,
    MEDIAN,
    NO_SPREAD,
    average_near,
    average_of,
    median_error,
)
from astroprep.detrend.sorted_window import exchange, fill, insert, median_of, nearest_half, remove
from astroprep.detrend.weighted import weighted_run

__all__ = ["AVERAGES", "BIWEIGHT", "MEAN", "MEDIAN", "moving_average"]

AVERAGES = {"mean": MEAN, "median": MEDIAN, "biweight": BIWEIGHT}
# The error of a biweight is a sum over the window. It is made anew when this part of the window
# has changed, and interpolated between.
ERROR_STRIDE = 8


@njit(cache=True, inline="always", error_model="numpy")
def _slide(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    window: tuple[int, int, int],
    start: float,
    end: float,
    now: NDArray[np.float64],
    state: NDArray[np.float64] | None,
    places: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Move the window ``(low, high, m)`` to the points with ``start <= time < end``.

    So do the power sums of the biweight, unless `state` is None.
    """
    low, high, m = window
    n = time.size
    while True:
        leaves = low < high and time[low] < start
        enters = high < n and time[high] < end
        if leaves and enters:
            exchange(now, m, value[low], value[high])
            if state is not None:
                pass_on(state, places, value[low], value[high])
            low += 1
            high += 1
        elif leaves:
            m = remove(now, m, value[low])
            if state is not None:
                pass_on(state, places, value[low], np.inf)
            low += 1
        elif enters:
            m = insert(now, m, value[high])
            if state is not None:
                pass_on(state, places, np.inf, value[high])
            high += 1
        else:
            break
    return low, high, m


@njit(cache=True, forceinline=True, error_model="numpy")
def _bridge(error: NDArray[np.float64], known: int, i: int) -> None:
    """Interpolate the errors between two points where they are known."""
    for k in range(known + 1, i):
        error[k] = error[known] + (error[i] - error[known]) * (k - known) / (i - known)


@njit(cache=True, error_model="numpy")
def _sorted_run(
    query: NDArray[np.float64],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    half: float,
    min_points: int,
    tuning: float,
    state: NDArray[np.float64] | None,
    places: NDArray[np.int64],
    with_error: bool,
    trend: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Medians (``state`` None) or biweights of one run of points without a gap.

    numba compiles the two apart, and leaves out what a median does not need.
    """
    now = np.empty(time.size + 2)
    first = int(np.searchsorted(time, query[0] + half))
    window = (0, first, fill(now, value[:first]))
    low, high, known, age, center, mad = -1, -1, -1, 0, 0.0, 0.0
    for i in range(query.size):
        start, end = query[i] - half, query[i] + half
        window = _slide(time, value, window, start, end, now, state, places)
        m = window[2]
        wide = m < min_points
        if wide:
            kind = MEDIAN if state is None else BIWEIGHT
            trend[i], uncertain = average_near(time, value, query[i], min_points, kind, tuning)
            if with_error:
                error[i] = uncertain
        else:
            if low != window[0] or high != window[1]:
                center = median_of(now, m)
                if state is not None:
                    places[2], mad = nearest_half(now, m, center, places[2])
                    if mad > NO_SPREAD:
                        center = biweight_of(now, m, state, places, center, mad, tuning)
                elif with_error:
                    places[2], mad = nearest_half(now, m, center, places[2])
                age += window[0] - low + window[1] - high
                low, high = window[0], window[1]
            trend[i] = center
        if not with_error:
            continue
        direct = wide or state is None or mad <= NO_SPREAD
        if direct or known < 0 or i == query.size - 1 or ERROR_STRIDE * age >= 2 * m:
            if not wide and direct:
                error[i] = median_error(now, m, center, mad)
            elif not wide:
                error[i] = biweight_error(now, places, center, tuning * mad)
            _bridge(error, known, i)
            known, age = i, 0


@njit(cache=True, error_model="numpy")
def _mean_run(
    query: NDArray[np.float64],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    half: float,
    min_points: int,
    with_error: bool,
    trend: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Means of one run of points without a gap.

    Nothing is ever subtracted from a sum: the points before `turn` are kept as sums that reach
    from each of them to it, and those since then as one sum, so that a value of 1e30 is forgotten
    when it leaves the window. The deviations are from the mean of an earlier window.
    """
    first, second = np.empty(time.size), np.empty(time.size)
    low, high, turn, reference, new, square = 0, 0, 0, 0.0, 0.0, 0.0
    for i in range(query.size):
        start, end = query[i] - half, query[i] + half
        while high < time.size and time[high] < end:
            y = value[high] - reference
            new += y
            square += y * y
            high += 1
        while low < high and time[low] < start:
            low += 1
        m = high - low
        if m < min_points:
            trend[i], uncertain = average_near(time, value, query[i], min_points, MEAN, 0.0)
            if with_error:
                error[i] = uncertain
            continue
        if low >= turn:
            turn, reference = high, average_of(value[low:high], MEAN, 0.0)[0]
            new = square = 0.0
            for j in range(high - 1, low - 1, -1):
                y = value[j] - reference
                new += y
                square += y * y
                first[j], second[j] = new, square
            new = square = 0.0
        total = first[low] + new
        trend[i] = reference + total / m
        if with_error:
            spread = max(second[low] + square - total * total / m, 0.0)
            error[i] = np.sqrt(spread / m / (m - 1)) if m > 1 else np.nan


@njit(cache=True, error_model="numpy")
def _curve(
    query: NDArray[np.float64],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    average: int,
    half: float,
    gap: float,
    edge: float,
    min_points: int,
    tuning: float,
    with_error: bool,
    trend: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Fill `trend` and `error` for one curve, run by run."""
    n, first, begin = time.size, 0, 0
    if n == 0:
        trend[:] = np.nan
        error[:] = np.nan
    weighted = weight.size > 0 and weight.min() < weight.max()
    while first < query.size and n > 0:
        last = first + 1
        while last < query.size and query[last] - query[last - 1] <= gap:
            last += 1
        end = begin
        while end < n and time[end] <= query[last - 1]:
            end += 1
        at, x, y = query[first:last], time[begin:end], value[begin:end]
        to, into = trend[first:last], error[first:last]
        if end - begin < min_points:
            center = np.median(value)
            to[:] = center
            into[:] = average_of(value, MEDIAN, 0.0)[1]
        elif weighted:
            p = weight[begin:end]
            into = into if with_error else np.empty(at.size)
            weighted_run(at, x, y, p, half, min_points, average, tuning, to, into)
        elif average == MEAN:
            _mean_run(at, x, y, half, min_points, with_error, to, into)
        else:
            state, places = new_state()
            if average == BIWEIGHT:
                _sorted_run(at, x, y, half, min_points, tuning, state, places, with_error, to, into)
            else:
                _sorted_run(at, x, y, half, min_points, 0.0, None, places, with_error, to, into)
        if edge > 0.0:
            lost = (at < at[0] + edge) | (at > at[-1] - edge)
            to[lost] = np.nan
            if with_error:
                into[lost] = np.nan
        first, begin = last, end


# The one parallel loop: threads over ranges gave 110 us instead of 75 us a median of 2,000 points.
@njit(parallel=True, cache=True, error_model="numpy")
def moving_average(
    query: NDArray[np.float64],
    query_offsets: NDArray[np.int64],
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    average: int,
    window: float,
    gap: float,
    edge: float,
    min_points: int,
    tuning: float,
    with_error: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average of the points within half a window of given times, and its standard error.

    Parameters
    ----------
    query : float64 array, shape (n_query,)
        Where the average is wanted, days, sorted within each curve: all times in `time` and any
        number between them, such as those of points that must not lead the trend.
    query_offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``query_offsets[i]:query_offsets[i + 1]``.
    time, value : float64 array, shape (n_points,)
        The points that are averaged, sorted by time within each curve, finite; days, any unit.
    weight : float64 array, shape (n_points,) or (0,)
        Positive; empty for equal weights.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    average : int
        `MEAN`, `MEDIAN` or `BIWEIGHT`.
    window : float
        Full width, days: the points with ``t - window / 2 <= time < t + window / 2``, so that an
        even cadence of d days has ``window / d`` points in every window.
    gap : float
        Neighbours in `query` further apart than this, days, are never in one window.
    edge : float
        So many days at either end of a run of points without a gap have no average (NaN); 0 for
        averages of windows that the end cuts off.
    min_points : int
        At least 1. A window with fewer points is widened to that many, and those as near, of its
        run; a run with fewer has the median of the curve.
    tuning : float
        Of the biweight: points beyond so many MAD have no weight.
    with_error : bool
        Whether to make the errors; without, their array is empty.

    Returns
    -------
    average, error : float64 array, shape (n_query,)
        NaN for a curve without points; the error is NaN also for a single point.

    Notes
    -----
    The biweight [1]_ is the fixed point of reweighting with ``(1 - u**2)**2``,
    ``u = (x - center) / (tuning MAD)`` for ``|u| < 1``, that is reached from the median; the MAD
    stays that of the median. For a window without spread it is the median. A step of the window
    costs the same for any number of points in it but for the place of a value among the others;
    only where weights differ each window is summed anew. Weights multiply those of the biweight,
    and median and MAD are the weighted ones.

    The errors take the points of a window for independent and the trend for constant in it:
    standard deviation over ``sqrt(n)`` for the mean, ``sqrt(pi / 2) 1.4826 MAD / sqrt(n)`` for
    the median, and the influence function [2]_ for the biweight; for weights p, n is
    ``sum(p)**2 / sum(p**2)``, which makes the error of a median too large where error bars differ
    by an order of magnitude.

    References
    ----------
    .. [1] Hippke et al. 2019, AJ 158, 143, arXiv:1906.00966
    .. [2] Beers, Flynn & Gebhardt 1990, AJ 100, 32, doi:10.1086/115487
    """
    trend, error = np.empty(query.size), np.empty(query.size if with_error else 0)
    for i in prange(offsets.size - 1):
        at = slice(query_offsets[i], query_offsets[i + 1])
        part = slice(offsets[i], offsets[i + 1])
        _curve(
            query[at],
            time[part],
            value[part],
            weight[part] if weight.size > 0 else weight,
            average,
            0.5 * window,
            gap,
            edge,
            min_points,
            tuning,
            with_error,
            trend[at],
            error[at] if with_error else error,
        )
    return trend, error

"""Folding light curves into channels on a circle of bins: the kernel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.threads import for_objects

__all__ = ["ALL_CHANNELS", "CHANNELS", "fold_channels", "fold_curves"]

CHANNELS = ("brightness", "scatter", "occupancy")
"""Channels of one fold by default, in their order."""

ALL_CHANNELS = (*CHANNELS, "precision", "gap", "mask")
"""Channels that there are, see `fold_curves`."""

GAUSSIAN_90 = 3.2897  # width of the central 90 % of a Gaussian, in sigma
LEAST_WEIGHT = 1e-12  # of a point, relative to the best of its curve: a sum of weights is never 0


@njit(cache=True)
def _standardised(
    value: NDArray[np.float64], error: NDArray[np.float64], sign: float
) -> tuple[NDArray[np.float64], float]:
    """Deviation from the median in robust sigmas, bright up, and that sigma.

    The sigma comes from the central 90 % of the values: unlike the MAD it sees an eclipse that
    lasts a twentieth of the period or more, unlike the standard deviation it ignores a few
    outliers. Where it vanishes (most values equal) the median error stands in, then 1.
    """
    ordered = np.sort(value)
    n = ordered.size
    low, high = 0.05 * (n - 1), 0.95 * (n - 1)
    i, j = int(low), min(int(high), n - 2)
    width = (ordered[j] + (high - j) * (ordered[j + 1] - ordered[j])) - (
        ordered[i] + (low - i) * (ordered[i + 1] - ordered[i])
    )
    sigma = width / GAUSSIAN_90
    if not sigma > 0:
        sigma = np.median(error)
    if not sigma > 0:
        sigma = 1.0
    return sign * (value - np.median(value)) / sigma, sigma


@njit(cache=True)
def _fill_cyclic(channel: NDArray[np.float64], count: NDArray[np.int64]) -> None:
    """Interpolate empty bins linearly between their filled neighbours on the circle."""
    n = channel.size
    first = -1
    for i in range(n):
        if count[i] > 0:
            first = i
            break
    left = first
    for step in range(1, n + 1):
        right = (first + step) % n
        if count[right] == 0:
            continue
        gap = (right - left) % n
        if gap == 0:  # one filled bin only
            gap = n
        for k in range(1, gap):
            part = k / gap
            channel[(left + k) % n] = (1.0 - part) * channel[left] + part * channel[right]
        left = right


@njit(cache=True)
def _gaps(count: NDArray[np.int64], gap: NDArray[np.float64]) -> None:
    """Share of the circle that the run of empty bins around each empty bin takes."""
    n = count.size
    for k in range(n):
        gap[k] = 0.0
        if count[k] > 0:
            continue
        left, right = 1, 1
        while left < n and count[k - left] == 0:
            left += 1
        while right < n and count[(k + right) % n] == 0:
            right += 1
        gap[k] = (left + right - 1) / n


@njit(cache=True)
def _fold(
    time: NDArray[np.float64],
    z: NDArray[np.float64],
    error: NDArray[np.float64],
    trust: NDArray[np.float64],
    epoch: float,
    period: float,
    bins: int,
    limit: float,
    channels: NDArray[np.int64],
    out: NDArray[np.float32],
    sigma: float,
) -> None:
    """One fold of one curve, whose robust sigma, in the unit of the errors, is `sigma`."""
    count = np.zeros(bins, np.int64)
    trusted, total, mean = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    spread, gap = np.zeros(bins), np.zeros(bins)
    where = np.empty(time.size, np.int64)
    least = error.min()
    for j in range(time.size):
        turns = (time[j] - epoch) / period
        bin_ = min(int((turns - math.floor(turns)) * bins), bins - 1)
        where[j] = bin_
        weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
        count[bin_] += 1
        trusted[bin_] += trust[j]
        total[bin_] += weight
        mean[bin_] += weight * z[j]
    for k in range(bins):
        if count[k] > 0:
            mean[k] /= total[k]
    for j in range(time.size):
        k = where[j]
        weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
        spread[k] += weight * (z[j] - mean[k]) ** 2
    for k in range(bins):
        if count[k] > 0:
            spread[k] = math.sqrt(spread[k] / total[k])
    _fill_cyclic(mean, count)
    _fill_cyclic(spread, count)
    _gaps(count, gap)
    for k in range(out.shape[1]):
        c = k % bins
        for i in range(channels.size):
            what = channels[i]
            if what == 0:
                out[i, k] = min(max(mean[c], -limit), limit)
            elif what == 1:
                out[i, k] = min(spread[c], limit)
            elif what == 2:
                out[i, k] = trusted[c] / (trusted[c] + 1.0)
            elif what == 3:
                root = math.sqrt(total[c]) * (sigma / least)  # of 1 / variance, in sigmas
                out[i, k] = root / (root + 1.0) if root < 1e30 else 1.0
            elif what == 4:
                out[i, k] = gap[c]
            else:
                out[i, k] = min(count[c], 1)


@njit(cache=True, nogil=True)
def _fold_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    trust: NDArray[np.float64],
    offsets: NDArray[np.int64],
    epoch: NDArray[np.float64],
    period: NDArray[np.float64],
    bins: NDArray[np.int64],
    channels: NDArray[np.int64],
    sign: float,
    limit: float,
    folded: NDArray[np.float32],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        if b - a < 2:
            continue
        z, sigma = _standardised(value[a:b], error[a:b], sign)
        for f in range(bins.size):
            if period[i, f] > 0:
                rows = folded[i, f * channels.size : (f + 1) * channels.size]
                _fold(
                    time[a:b], z, error[a:b], trust[a:b], epoch[i], period[i, f],
                    bins[f], limit, channels, rows, sigma,
                )  # fmt: skip


def fold_curves(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    trust: NDArray[np.float64],
    offsets: NDArray[np.int64],
    epoch: NDArray[np.float64],
    period: NDArray[np.float64],
    bins: NDArray[np.int64],
    channels: NDArray[np.int64],
    sign: float,
    limit: float,
    folded: NDArray[np.float32],
) -> None:
    """Fold each light curve at several periods into channels on one circle of bins.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    value, error : float64 array, shape (n_points,)
        Magnitude or flux, any unit, and its error; ``error > 0``, no NaN.
    trust : float64 array, shape (n_points,)
        Weight of each point in the occupancy, 0 to 1.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    epoch : float64 array, shape (n_curves,)
        Time of phase zero, days.
    period : float64 array, shape (n_curves, n_folds)
        Days; a fold at a period that is not positive is left as it is.
    bins : int64 array, shape (n_folds,)
        Bins of each fold, divisors of the length of the circle; the fold is repeated until
        that is full.
    channels : int64 array, shape (n_channels,)
        Positions in `ALL_CHANNELS`. ``brightness``: the error-weighted mean of the standardised
        brightness. ``scatter``: the error-weighted standard deviation about it. ``occupancy``:
        ``k / (k + 1)`` for points of total trust k. ``precision``: ``1 / (1 + e)`` for an error e
        of the mean, in robust sigmas of the curve. ``gap``: the share of the circle that the
        run of empty bins around this bin takes, 0 in a bin with points. ``mask``: 1 in a bin
        with points. An empty bin has 0 occupancy, precision and mask, and brightness
        and scatter interpolated between its neighbours on the circle.
    sign : float
        -1 for magnitudes, +1 for flux: bright is up.
    limit : float
        Brightness and scatter are clipped to this many robust sigmas.
    folded : float32 array, shape (n_curves, n_folds * n_channels, n_bins)
        Filled, fold by fold; finite. A curve of fewer than two points is left as it is.
    """
    for_objects(
        _fold_range,
        offsets.size - 1,
        time,
        value,
        error,
        trust,
        offsets,
        epoch,
        period,
        bins,
        channels,
        sign,
        limit,
        folded,
    )


def fold_channels(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    multiples: NDArray[np.int64],
    n_bins: int,
    sign: float,
    limit: float,
    trust: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Fold each light curve at multiples of its period into `CHANNELS`.

    Parameters
    ----------
    time, value, error, offsets, sign, limit, trust
        As in `fold_curves`; times are sorted within each curve.
    period : float64 array, shape (n_curves,)
        Days, positive.
    multiples : array, shape (n_folds,)
        Of the period; the largest is a whole multiple of each.
    n_bins : int
        Bins of the longest fold. A fold at a shorter period has as many fewer and is repeated
        until the circle is full, so all bins of all channels are equally wide in time.

    Returns
    -------
    float32 array, shape (n_curves, 3 * n_folds, n_bins)
        See `fold_curves`.

    Notes
    -----
    Phase zero is the first point. Later times by one bin of the longest fold, with the same
    phase zero, roll all channels by one bin.
    """
    folds = np.asarray(multiples, dtype=np.float64)
    bins = np.rint(n_bins * folds / folds.max()).astype(np.int64)
    folded = np.zeros((len(offsets) - 1, len(CHANNELS) * folds.size, n_bins), np.float32)
    first = np.minimum(offsets[:-1], max(len(time) - 1, 0))  # of an empty curve any will do
    fold_curves(
        time,
        value,
        error,
        np.ones(time.size) if trust is None else trust,
        offsets,
        time[first] if len(time) else np.zeros(len(offsets) - 1),
        period[:, None] * folds,
        bins,
        np.arange(len(CHANNELS)),
        sign,
        limit,
        folded,
    )
    return folded

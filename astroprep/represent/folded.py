"""Folded light curves as channels on a circle of bins, the input of the cyclic network."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.threads import for_objects

__all__ = ["CHANNELS", "FoldedChannels", "fold_channels"]

CHANNELS = ("brightness", "scatter", "occupancy")
"""Channels of one fold, in their order."""

GAUSSIAN_90 = 3.2897  # width of the central 90 % of a Gaussian, in sigma
LEAST_WEIGHT = 1e-12  # of a point, relative to the best of its curve: a sum of weights is never 0


@njit(cache=True)
def _standardised(
    value: NDArray[np.float64], error: NDArray[np.float64], sign: float
) -> NDArray[np.float64]:
    """Deviation from the median in robust sigmas, bright up.

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
    standardised: NDArray[np.float64] = sign * (value - np.median(value)) / sigma
    return standardised


@njit(cache=True)
def _fill_cyclic(channel: NDArray[np.float64], count: NDArray[np.int64]) -> None:
    """Interpolate empty bins linearly between their filled neighbours on the circle."""
    n = channel.size
    first = -1
    for i in range(n):
        if count[i] > 0:
            first = i
            break
    if first < 0:
        channel[:] = 0.0
        return
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


@njit(nogil=True, cache=True)
def _fold_channels_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    multiples: NDArray[np.int64],
    n_bins: int,
    sign: float,
    limit: float,
    trust: NDArray[np.float64] | None,
    n_folds: int,
    longest: int,
    folded: NDArray[np.float32],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        z = _standardised(value[a:b], error[a:b], sign)
        least = error[a:b].min()
        for f in range(n_folds):
            bins = n_bins * multiples[f] // longest
            count = np.zeros(bins, np.int64)
            trusted = np.zeros(bins)
            total = np.zeros(bins)
            mean = np.zeros(bins)
            spread = np.zeros(bins)
            where = np.empty(b - a, np.int64)
            frequency = 1.0 / (period[i] * multiples[f])
            for j in range(a, b):
                turns = (time[j] - time[a]) * frequency
                bin_ = min(int((turns - math.floor(turns)) * bins), bins - 1)
                where[j - a] = bin_
                weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
                count[bin_] += 1
                trusted[bin_] += 1.0 if trust is None else trust[j]
                total[bin_] += weight
                mean[bin_] += weight * z[j - a]
            for k in range(bins):
                if count[k] > 0:
                    mean[k] /= total[k]
            for j in range(a, b):
                k = where[j - a]
                weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
                spread[k] += weight * (z[j - a] - mean[k]) ** 2
            for k in range(bins):
                if count[k] > 0:
                    spread[k] = math.sqrt(spread[k] / total[k])
            _fill_cyclic(mean, count)
            _fill_cyclic(spread, count)
            for k in range(n_bins):
                c = k % bins
                folded[i, 3 * f, k] = min(max(mean[c], -limit), limit)
                folded[i, 3 * f + 1, k] = min(spread[c], limit)
                folded[i, 3 * f + 2, k] = trusted[c] / (trusted[c] + 1.0)


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
    """Fold each light curve at multiples of its period into channels on one circle of bins.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, sorted within each curve.
    value, error : float64 array, shape (n_points,)
        Magnitude or flux, any unit, and its error; ``error > 0``, no NaN, two points a curve
        at least.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days, positive.
    multiples : int64 array, shape (n_folds,)
        Each divides the largest, and the largest divides ``n_bins``.
    n_bins : int
        Bins of the longest fold. A fold at a shorter period has as many fewer and is repeated
        until the circle is full, so all bins of all channels are equally wide in time.
    sign : float
        -1 for magnitudes, +1 for flux: bright is up.
    limit : float
        Brightness and scatter are clipped to this many robust sigmas.
    trust : float64 array, shape (n_points,), optional
        Weight of each point in the occupancy, 0 to 1; by default 1.

    Returns
    -------
    float32 array, shape (n_curves, 3 * n_folds, n_bins)
        For each fold `CHANNELS`: the error-weighted mean of the standardised brightness; the
        error-weighted standard deviation about that mean; and ``k / (k + 1)`` for k points in
        the bin, or points of total trust k. In an empty bin the last is 0 and the first two are
        interpolated between the neighbours on the circle. Finite.

    Notes
    -----
    Phase zero is the first point. Later times by one bin of the longest fold, with the same
    phase zero, roll all channels by one bin.
    """
    n_curves = offsets.size - 1
    n_folds = multiples.size
    longest = multiples.max()
    folded = np.zeros((n_curves, 3 * n_folds, n_bins), np.float32)
    for_objects(
        _fold_channels_range,
        n_curves,
        time,
        value,
        error,
        offsets,
        period,
        multiples,
        n_bins,
        sign,
        limit,
        trust,
        n_folds,
        longest,
        folded,
    )
    return folded


class FoldedChannels(Transformer):
    """Add ``objects["folded"]``: each curve folded at multiples of its period.

    Parameters
    ----------
    n_bins : int, default 64
        Bins of the longest fold; a multiple of the largest of `multiples`.
    multiples : tuple of int, default (1, 2)
        Folds, in periods. Twice the period shows the unequal eclipses of a binary whose
        highest Lomb-Scargle peak is at half its period.
    limit : float, default 5.0
        Clip of the standardised brightness, in robust sigmas of the light curve.
    on_bad : {"raise", "reject"}
        What happens to a curve that misses the needs.

    Notes
    -----
    Missing points need no filling: a flagged point is in no channel, whatever its value, and
    the occupancy tells the network how much stands behind a bin. It counts points by their
    ``batch.weight``: two points of trust 0.5 are worth one.
    """

    needs = Needs(min_points=5, errors=True, objects=("period",))
    version = 2  # the occupancy counts trust

    def __init__(
        self,
        n_bins: int = 64,
        multiples: tuple[int, ...] = (1, 2),
        limit: float = 5.0,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_bins = n_bins
        self.multiples = multiples
        self.limit = limit
        self.on_bad = on_bad

    def _check(self) -> None:
        multiples = tuple(self.multiples)
        if not multiples or any(m != int(m) or m < 1 for m in multiples):
            raise ConfigError(f"multiples must be positive whole numbers, got {self.multiples!r}")
        longest = max(multiples)
        if any(longest % m for m in multiples):
            raise ConfigError(f"each of multiples must divide the largest, got {self.multiples!r}")
        if self.n_bins != int(self.n_bins) or self.n_bins < 8 or self.n_bins % longest:
            raise ConfigError(
                f"n_bins must be a multiple of {longest} (the longest of multiples), "
                f"8 at least, got {self.n_bins!r}"
            )
        if not 1 <= self.limit < math.inf:
            raise ConfigError(f"limit must be 1 or more, got {self.limit!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        period = np.ascontiguousarray(batch.objects["period"], dtype=np.float64)
        batch = self.refuse(batch, period <= 0, "a positive 'period'")
        usable = batch.usable
        folded = fold_channels(
            usable.time,
            usable.value,
            usable.error,
            usable.offsets,
            np.ascontiguousarray(batch.objects["period"], dtype=np.float64),
            np.asarray(self.multiples, dtype=np.int64),
            int(self.n_bins),
            -1.0 if batch.meta.quantity == "mag" else 1.0,
            float(self.limit),
            batch.weight[usable.index],
        )
        return batch.with_columns(objects={"folded": folded})

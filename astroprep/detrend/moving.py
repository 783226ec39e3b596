"""Take out slow changes with a moving average that does not look across gaps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.clip import fast_median
from astroprep.data import LightCurveBatch, PointFlag, Usable
from astroprep.detrend.average import AVERAGES, moving_average
from astroprep.detrend.removal import remove
from astroprep.errors import ConfigError
from astroprep.threads import for_objects

__all__ = ["MovingTrend", "between_points", "curve_medians"]

LEAST_WEIGHT = 1e-100  # whose square is still a number; like nothing beside a weight of 1


@njit(cache=True)
def _interpolate(
    time: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    n = x.size
    for j in range(time.size):
        t = time[j]
        if n == 0 or not np.isfinite(t):
            continue
        low, high = 0, n  # the first known time that is not before t
        while low < high:
            middle = (low + high) // 2
            if x[middle] < t:
                low = middle + 1
            else:
                high = middle
        if low == 0 or low == n or x[low] == t:
            result[j] = y[min(low, n - 1)]
        else:
            part = (t - x[low - 1]) / (x[low] - x[low - 1])
            result[j] = y[low - 1] + part * (y[low] - y[low - 1])


@njit(nogil=True, cache=True)
def _between_points_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    known_time: NDArray[np.float64],
    known: NDArray[np.float64],
    known_offsets: NDArray[np.int64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        start, end = known_offsets[i], known_offsets[i + 1]
        _interpolate(time[first:last], known_time[start:end], known[start:end], result[first:last])


def between_points(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    known_time: NDArray[np.float64],
    known: NDArray[np.float64],
    known_offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Linear interpolation within each curve, constant beyond its ends.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Where to interpolate, days, in any order.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    known_time, known : float64 array, shape (n_known,)
        Sorted by time within each curve.
    known_offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``known_offsets[i]:known_offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_points,)
        NaN where the time is not finite or the curve has no known points.
    """
    result = np.full(time.size, np.nan)
    for_objects(
        _between_points_range,
        offsets.size - 1,
        time,
        offsets,
        known_time,
        known,
        known_offsets,
        result,
    )
    return result


@njit(nogil=True, cache=True)
def _curve_medians_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    medians: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        if offsets[i] < offsets[i + 1]:
            curve = value[offsets[i] : offsets[i + 1]]
            medians[i] = fast_median(curve, np.empty(curve.size))


def curve_medians(value: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of each curve, shape (n_curves,); NaN for one without points.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Any unit, finite.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    """
    medians = np.full(offsets.size - 1, np.nan)
    for_objects(_curve_medians_range, medians.size, value, offsets, medians)
    return medians


class MovingTrend(Transformer):
    """Subtract or divide by the average in a moving window, keeping the level of the curve.

    A robust average follows changes slower than the window and leaves an event alone that fills
    less than half of it: take a window three times as long as the longest eclipse or transit.
    A gap cuts the curve in pieces that do not see each other.

    Parameters
    ----------
    average : {"biweight", "median", "mean"}, default "biweight"
        In the comparison of [1]_ Tukey's biweight kept most transits of all averages and splines
        that it tried. It stands as many outliers as the median, and in Gaussian noise its error
        is 12 % smaller (1.10 against 1.25 times that of a mean). A mean follows every event.
    window : float, default 3.0
        Full width in days; a point half a window later is no longer in it.
    gap : float or None, default None
        Longest distance of neighbours in one piece, days; None for half the window.
    edge : float, default 0.0
        Days at either end of a piece without a trend, at most half a window: points there keep
        their value, have the trend NaN and get the weight 0. With 0 the window is cut off at the
        ends, where the trend then is that of one side.
    min_points : int, default 5
        A window with fewer points is widened to that many of its piece; a piece with fewer
        takes the median of the curve, and so is left as it is. A window longer than the curve,
        or a constant curve, changes nothing but the level of pieces.
    method : {"auto", "subtract", "divide"}, default "auto"
        ``"auto"`` subtracts from magnitudes and divides fluxes.
    tuning : float, default 5.0
        Points beyond so many MAD (3.4 sigma by default, as in [1]_) have no weight in a biweight.
    use_errors : bool, default False
        Weigh points by 1 / error**2, for curves whose error bars differ and can be trusted; every
        usable point then needs one. Otherwise only ``batch.weight`` weighs, which is 1 unless a
        step has lowered it.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves whose trend is not positive when it must be divided by
        (difference fluxes: subtract there), or with points of several bands.

    Notes
    -----
    ``value - trend + level`` or ``value / trend * level``, where ``level`` is the median of the
    curve; dividing scales the errors too. The trend is kept as ``points["trend"]`` and its
    standard error as ``points["trend_err"]``, in the unit of the value. It is made from the usable
    points that are no ``EVENT``; events are corrected by the trend at their times, flagged points
    by that between usable ones. A point is left alone where its time is flagged or not finite, or
    where the curve holds nothing but events (trend NaN).

    ``trend_err`` comes from the scatter in the window, not from the error bars, and takes it for
    independent from point to point: where neighbours are correlated over k points (granulation,
    pointing jitter) it is too small by about ``sqrt(k)``. It does not know of curvature, by which
    an average is wrong at the crest of a wave that is shorter than a few windows. The error
    column does not contain it, because it is the same error for all points of a window.

    References
    ----------
    .. [1] Hippke et al. 2019, AJ 158, 143, arXiv:1906.00966
    """

    needs = Needs()

    def __init__(
        self,
        average: Literal["biweight", "median", "mean"] = "biweight",
        window: float = 3.0,
        gap: float | None = None,
        edge: float = 0.0,
        min_points: int = 5,
        method: Literal["auto", "subtract", "divide"] = "auto",
        tuning: float = 5.0,
        use_errors: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.average = average
        self.window = window
        self.gap = gap
        self.edge = edge
        self.min_points = min_points
        self.method = method
        self.tuning = tuning
        self.use_errors = use_errors
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("window", "gap", "min_points")
            if (value := getattr(self, name)) is not None and not value > 0
        ]
        if self.average not in AVERAGES:
            wrong.append(f"average must be 'biweight', 'median' or 'mean', got {self.average!r}")
        if not 0 <= self.edge <= 0.5 * self.window:
            wrong.append(f"edge must be from 0 to half the window, got {self.edge!r}")
        if self.method not in ("auto", "subtract", "divide"):
            wrong.append(f"method must be 'auto', 'subtract' or 'divide', got {self.method!r}")
        if not 1 < self.tuning < np.inf:  # with less, the half nearest to the median is cut
            wrong.append(f"tuning must be above 1 and finite, got {self.tuning!r}")
        if wrong:
            raise ConfigError("MovingTrend: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        divide = self.method == "divide" or (
            self.method == "auto" and batch.meta.quantity == "flux"
        )
        if self.use_errors:
            batch = self._with_errors(batch)
        trend, error, level = self._trend(batch)
        if divide:
            below = np.flatnonzero(trend <= 0)
            if below.size:
                curve = np.searchsorted(batch.usable.offsets, below, side="right") - 1
                negative = np.bincount(curve, minlength=batch.n_curves) > 0
                batch = self.refuse(
                    batch, negative, "a positive trend to divide by (method='subtract' needs none)"
                )
                trend, error, level = self._trend(batch)
        usable = batch.usable
        columns = {
            "trend": _everywhere(batch, usable, trend),
            "trend_err": _everywhere(batch, usable, error),
        }
        weight = None
        if self.edge > 0:
            weight = batch.weight.copy()
            weight[usable.index[np.isnan(trend)]] = 0.0
        return remove(batch.with_columns(weight=weight, points=columns), level, divide)

    def _trend(
        self, batch: LightCurveBatch
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Trend and its error at the usable points, and the level of each curve."""
        usable = batch.usable
        time, value, offsets = usable.time, usable.value, usable.offsets
        weight = self._weight(batch, usable)
        if batch.flags.any():
            leads = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) == 0
            if not leads.all():
                offsets = np.concatenate(([0], np.cumsum(leads)))[offsets]
                time, value = time[leads], value[leads]
                weight = weight[leads] if weight.size else weight
        gap = 0.5 * self.window if self.gap is None else self.gap
        trend, error = moving_average(
            usable.time,
            usable.offsets,
            time,
            value,
            weight,
            offsets,
            AVERAGES[self.average],
            self.window,
            gap,
            self.edge,
            self.min_points,
            self.tuning,
            True,
        )
        return trend, error, curve_medians(value, offsets)

    def _weight(self, batch: LightCurveBatch, usable: Usable) -> NDArray[np.float64]:
        """Weights of the usable points, at most 1 in each curve; empty for equal ones."""
        if not self.use_errors:
            if not np.any(batch.weight != 1.0):
                return np.empty(0)
            weight = batch.weight[usable.index]
            return np.maximum(weight, LEAST_WEIGHT) if np.any(weight != 1.0) else np.empty(0)
        counts = usable.counts()
        least = np.minimum.reduceat(usable.error, usable.offsets[:-1][counts > 0])
        ratio = np.repeat(least, counts[counts > 0]) / usable.error
        return np.asarray(np.maximum(ratio**2, LEAST_WEIGHT))

    def _with_errors(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Refuse the curves in which a usable point has no error."""
        usable = batch.usable
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        bad = ~(np.isfinite(usable.error) & (usable.error > 0))
        lacks = np.bincount(curve[bad], minlength=batch.n_curves) > 0
        return self.refuse(
            batch, lacks, "a positive error on every usable point (FlagBad estimates them)"
        )


def _everywhere(
    batch: LightCurveBatch, usable: Usable, found: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Column of what was found at the usable points, interpolated at the flagged ones."""
    column = usable.scatter_back(found, np.nan)
    if usable.index.size == batch.n_points:
        return column
    rest = np.ones(batch.n_points, bool)
    rest[usable.index] = False
    rest &= (batch.flags & np.uint32(PointFlag.BAD_TIME)) == 0
    if rest.any():
        known = np.isfinite(found)
        column[rest] = between_points(
            batch.time[rest],
            np.concatenate(([0], np.cumsum(rest)))[batch.offsets],
            usable.time[known],
            found[known],
            np.concatenate(([0], np.cumsum(known)))[usable.offsets],
        )
    return column

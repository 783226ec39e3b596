"""Take out slow changes with a moving median that does not look across gaps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.window import moving_median
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError

__all__ = ["MovingMedian", "between_points"]


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


@njit(parallel=True, cache=True)
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
    for i in prange(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        start, end = known_offsets[i], known_offsets[i + 1]
        _interpolate(time[first:last], known_time[start:end], known[start:end], result[first:last])
    return result


class MovingMedian(Transformer):
    """Subtract or divide by the median of a moving window, keeping the level of the curve.

    The median follows changes slower than the window and leaves an event alone that fills
    less than half of it: take a window three times as long as the longest eclipse or transit.
    A gap cuts the curve in pieces that do not see each other.

    Parameters
    ----------
    window : float, default 3.0
        Full width in days.
    gap : float or None, default None
        Longest distance of neighbours in one piece, days; None for half the window.
    min_points : int, default 5
        A window with fewer points is widened to that many of its piece; a piece with fewer
        takes the median of the curve, and so is left as it is. A window longer than the curve,
        or a constant curve, changes nothing but the level of pieces.
    method : {"auto", "subtract", "divide"}, default "auto"
        ``"auto"`` subtracts from magnitudes and divides fluxes.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves whose trend is not positive when it must be divided by
        (difference fluxes: subtract there), or with points of several bands.

    Notes
    -----
    ``value - trend + level`` or ``value / trend * level``, where ``level`` is the median of the
    curve; dividing scales the errors too. The trend is kept as ``points["trend"]``, in the unit
    of the value. It is made from the usable points; flagged points are corrected by the trend
    between those, and left alone where their time is flagged or not finite (trend NaN).

    References
    ----------
    .. [1] Hippke et al. 2019, AJ 158, 143, arXiv:1906.00966 (which window keeps transits)
    """

    needs = Needs()

    def __init__(
        self,
        window: float = 3.0,
        gap: float | None = None,
        min_points: int = 5,
        method: Literal["auto", "subtract", "divide"] = "auto",
        on_bad: OnBad = "raise",
    ) -> None:
        self.window = window
        self.gap = gap
        self.min_points = min_points
        self.method = method
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = [
            f"{name} must be positive, got {value!r}"
            for name in ("window", "gap", "min_points")
            if (value := getattr(self, name)) is not None and not value > 0
        ]
        if self.method not in ("auto", "subtract", "divide"):
            wrong.append(f"method must be 'auto', 'subtract' or 'divide', got {self.method!r}")
        if wrong:
            raise ConfigError("MovingMedian: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        divide = self.method == "divide" or (
            self.method == "auto" and batch.meta.quantity == "flux"
        )
        trend = self._trend(batch)
        if divide:
            curve = np.repeat(np.arange(batch.n_curves), batch.usable.counts())
            negative = np.bincount(curve[~(trend > 0)], minlength=batch.n_curves) > 0
            if negative.any():
                batch = self.refuse(
                    batch, negative, "a positive trend to divide by (method='subtract' needs none)"
                )
                trend = self._trend(batch)
        usable = batch.usable
        everywhere = between_points(batch.time, batch.offsets, usable.time, trend, usable.offsets)
        everywhere[(batch.flags & np.uint32(PointFlag.BAD_TIME)) > 0] = np.nan
        everywhere[usable.index] = trend
        level = moving_median(
            usable.time, usable.value, usable.offsets, np.inf, np.inf, 1
        )  # one number a curve
        known = np.isfinite(everywhere)
        per_curve = np.full(batch.n_curves, np.nan)
        has = usable.counts() > 0
        per_curve[has] = level[usable.offsets[:-1][has]]
        at_point = np.repeat(per_curve, np.diff(batch.offsets))
        value, error = batch.value.copy(), batch.error.copy()
        if divide:
            scale = at_point[known] / everywhere[known]
            value[known] *= scale
            error[known] *= np.abs(scale)
        else:
            value[known] += at_point[known] - everywhere[known]
        return batch.with_columns(value=value, error=error, points={"trend": everywhere})

    def _trend(self, batch: LightCurveBatch) -> NDArray[np.float64]:
        """Trend at the usable points."""
        usable = batch.usable
        gap = 0.5 * self.window if self.gap is None else self.gap
        return np.asarray(
            moving_median(
                usable.time, usable.value, usable.offsets, self.window, gap, self.min_points
            )
        )

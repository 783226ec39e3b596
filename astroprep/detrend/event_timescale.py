"""How fast the trend of each curve may be, chosen from a few time scales."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.event_kernel import COVERED, EDGE, LEAST_SCORES, box_scores, clipped_sums
from astroprep.detrend.robust_spline import robust_scatter, smooth_curve
from astroprep.detrend.spline import half_gain_density, kept_fraction
from astroprep.threads import for_objects

__all__ = ["choose_timescale"]

CHOICE = (2.0, 3.0, 4.5, 6.5, 9.0, 12.0)  # hours; events for which the timescale is best


@njit(cache=True)
def _expected_gain(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    keep: NDArray[np.bool_],
    cadence: float,
    timescale: float,
) -> float:
    """Mean logarithm of the signal to noise of boxes of one height, over their lengths."""
    sums, counts = clipped_sums(residual, keep)
    sigma = robust_scatter(residual[keep])
    score = np.empty(time.size)
    total, n = 0.0, 0
    for hours in CHOICE:
        duration = hours / 24
        least = max(2.0, COVERED * duration / cadence)
        box_scores(time, sums, counts, duration / 2 + EDGE * cadence, least, score)
        good = np.isfinite(score)
        if good.sum() >= LEAST_SCORES:
            spread = sigma * robust_scatter(score[good])
            if spread > 0:
                total += np.log(kept_fraction(duration, timescale) / spread)
                n += 1
    return total / n if n > 0 else -np.inf


@njit(nogil=True, cache=True)
def _choose_timescale_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescales: NDArray[np.float64],
    gap: float,
    min_points: int,
    chosen: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        t, v, s, k = time[part], value[part], start[part], keep[part]
        if k.sum() < LEAST_SCORES or not cadence[i] > 0:
            continue
        trend, variance = np.empty(t.size), np.empty(t.size)
        top = -np.inf
        for scale in timescales[::-1]:
            density = half_gain_density(scale, cadence[i])
            smooth_curve(t, v, s, k, density, gap, min_points, trend, variance)
            gain = _expected_gain(t, v - trend, k, cadence[i], scale)
            if gain > top:
                top, chosen[i] = gain, scale


def choose_timescale(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescales: NDArray[np.float64],
    gap: float,
    min_points: int,
) -> NDArray[np.float64]:
    """Stiffness of the trend with which events of 2 to 12 hours stand out most.

    Parameters
    ----------
    time, value, start : float64 array, shape (n_points,)
        Sorted by time within each curve: days, value and a first trend in units of the noise.
    keep : bool array, shape (n_points,)
        Points that make the trend.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    cadence : float64 array, shape (n_curves,)
        Typical distance of points, days.
    timescales : float64 array
        To choose from, days: periods that the spline halves.
    gap : float
        Longest distance of neighbours in one run, days.
    min_points : int
        Runs with fewer points keep `start`.

    Returns
    -------
    float64 array, shape (n_curves,)
        The longest where nothing speaks for another.

    Notes
    -----
    For a box of one height the trend leaves `kept_fraction`, and the boxes of the residual
    scatter by what the curve itself shows, whatever the colour of its noise: the timescale
    with the largest ratio, averaged over lengths, wins. A sine with the period of events raises
    the scatter and counts as noise.
    """
    chosen = np.full(offsets.size - 1, timescales[-1])
    for_objects(
        _choose_timescale_range,
        offsets.size - 1,
        time,
        value,
        start,
        keep,
        offsets,
        cadence,
        timescales,
        gap,
        min_points,
        chosen,
    )
    return chosen

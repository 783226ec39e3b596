"""Kernels of `events`: boxes that stand out of a residual."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.detrend.robust_spline import robust_scatter, smooth_curve
from astroprep.detrend.spline import half_gain_density
from astroprep.threads import for_objects

__all__ = ["COVERED", "EDGE", "LEAST_SCORES", "box_scores", "clipped_sums", "mark_events"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
CLIP = 5.0  # sigma; no single point weighs more in a box, so that none makes an event alone
LEAST_SIGMA = 0.5  # of boxes; white noise of unit variance leaves 0.6 with 12 hours and 1.5 days
SUPPORT = 0.75  # days of its run that an event needs on both sides, half the first median
COVERED = 0.6  # of the expected points that a box must hold
LEAST_SCORES = 20  # boxes from which their scatter is taken
TAIL, TAIL_SIGMA = 0.9, 1.6449  # share of Gaussian deviations within so many sigma
MAX_ROUNDS = 8  # of marking and a new trend; a bound, it ends when nothing is added
EDGE = 0.01  # cadences; a box includes points on its rim despite rounding


@njit(cache=True)
def box_scores(
    time: NDArray[np.float64],
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    half: float,
    least: float,
    score: NDArray[np.float64],
) -> None:
    """Sum of the box around each point over the root of its points; NaN for too few.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending.
    sums, counts : array, shape (n_points + 1,)
        From `clipped_sums`.
    half : float
        Half of the box, days.
    least : float
        Points of a box.
    score : float64 array, shape (n_points,)
        Filled, in units of the scatter.
    """
    n, low, high = time.size, 0, 0
    for i in range(n):
        while time[i] - time[low] > half:
            low += 1
        while high < n and time[high] - time[i] <= half:
            high += 1
        k = counts[high] - counts[low]
        score[i] = (sums[high] - sums[low]) / np.sqrt(k) if k >= least else np.nan


@njit(cache=True)
def clipped_sums(
    residual: NDArray[np.float64], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Running sums of the kept residuals, clipped in units of their scatter, and their number.

    Nothing is counted when more than half are equal: such a curve has no noise to judge by.

    Parameters
    ----------
    residual : float64 array, shape (n_points,)
        Values less their trend, any unit.
    keep : bool array, shape (n_points,)
        Which of them count.

    Returns
    -------
    sums : float64 array, shape (n_points + 1,)
    counts : int64 array, shape (n_points + 1,)
    """
    sums, counts = np.zeros(residual.size + 1), np.zeros(residual.size + 1, np.int64)
    sigma = 0.0
    if keep.any():
        used = residual[keep]
        sigma = MAD_TO_SIGMA * np.median(np.abs(used - np.median(used)))
        if sigma > 0:
            sigma = max(1.0, sigma)  # a residual below the noise tells of no event
    for i in range(residual.size):
        sums[i + 1], counts[i + 1] = sums[i], counts[i]
        if keep[i] and sigma > 0:
            sums[i + 1] += min(max(residual[i] / sigma, -CLIP), CLIP)
            counts[i + 1] += 1
    return sums, counts


@njit(cache=True)
def _middle_and_tail(score: NDArray[np.float64]) -> tuple[float, float]:
    """Median, and sigma of the middle or of the outer tenth, whichever is larger.

    Beating pulsation and flicker have longer tails than Gaussian noise. It is never much
    less than white noise leaves, so that curves without noise have no events at their ends.
    """
    middle = np.median(score)
    off = np.abs(score - middle)
    tail = np.partition(off, int(TAIL * off.size))[int(TAIL * off.size)] / TAIL_SIGMA
    return float(middle), max(robust_scatter(score), float(tail), LEAST_SIGMA)


@njit(cache=True)
def _best_boxes(
    time: NDArray[np.float64],
    residual: NDArray[np.float64],
    keep: NDArray[np.bool_],
    durations: NDArray[np.float64],
    cadence: float,
    best: NDArray[np.float64],
    length: NDArray[np.float64],
) -> None:
    """Most significant box around each point: its score, in the scatter of all, and length."""
    best[:], length[:] = 0.0, 0.0
    sums, counts = clipped_sums(residual, keep)
    score = np.empty(time.size)
    for duration in durations:
        expected = duration / cadence
        if expected < 1.5:
            continue
        box_scores(
            time, sums, counts, duration / 2 + EDGE * cadence, max(2.0, COVERED * expected), score
        )
        good = np.isfinite(score)
        if good.sum() < LEAST_SCORES:
            continue
        middle, sigma = _middle_and_tail(score[good])
        if not sigma > 0:
            continue
        for i in range(time.size):
            if good[i] and abs(score[i] - middle) > sigma * abs(best[i]):
                best[i] = (score[i] - middle) / sigma
                length[i] = duration


@njit(cache=True)
def _grow(time: NDArray[np.float64], centre: int, reach: float) -> tuple[int, int]:
    """First and last point within `reach` of a point."""
    low, high = centre, centre
    while low > 0 and time[centre] - time[low - 1] <= reach:
        low -= 1
    while high < time.size - 1 and time[high + 1] - time[centre] <= reach:
        high += 1
    return low, high


@njit(cache=True)
def _supported(time: NDArray[np.float64], low: int, high: int, gap: float, support: float) -> bool:
    """Whether the run goes on for `support` before the point `low` and after `high`."""
    i = low
    while time[low] - time[i] < support:
        if i == 0 or time[i] - time[i - 1] > gap:
            return False
        i -= 1
    i = high
    while time[i] - time[high] < support:
        if i == time.size - 1 or time[i + 1] - time[i] > gap:
            return False
        i += 1
    return True


@njit(cache=True)
def _mark(
    time: NDArray[np.float64],
    best: NDArray[np.float64],
    length: NDArray[np.float64],
    threshold: float,
    margin: float,
    cadence: float,
    gap: float,
    longest: float,
    keep: NDArray[np.bool_],
) -> int:
    """Take the points of significant boxes out of `keep`, the highest first; how many boxes.

    Boxes that overlap one of this round wait for the next, where they are judged without it.
    """
    taken = np.zeros(time.size, np.bool_)
    n = 0
    for i in np.argsort(-np.abs(best)):
        if abs(best[i]) < threshold:
            break
        low, high = _grow(time, i, length[i] / 2)
        if taken[low : high + 1].any():
            continue
        reach = length[i] / 2 + max(margin * length[i], cadence)
        low, high = _grow(time, i, reach * (1 + 1e-9))
        taken[low : high + 1] = True
        first, last = low, high
        while first > 0 and not keep[first - 1]:
            first -= 1
        while last < time.size - 1 and not keep[last + 1]:
            last += 1
        if time[last] - time[first] > longest:
            continue
        # at the end of a run a trend is least certain, and cannot be bridged
        if _supported(time, first, last, gap, max(length[i], SUPPORT)):
            keep[low : high + 1] = False
            n += 1
    return n


@njit(nogil=True, cache=True)
def _mark_events_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescale: NDArray[np.float64],
    durations: NDArray[np.float64],
    threshold: NDArray[np.float64],
    margin: float,
    longest: float,
    gap: float,
    min_points: int,
    follow: bool,
    left: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        t, v, s, k = time[part], value[part], start[part], left[part]
        if t.size < LEAST_SCORES or not cadence[i] > 0:
            continue
        density = half_gain_density(timescale[i], cadence[i])
        trend, variance = s.copy(), np.empty(t.size)
        best, length = np.empty(t.size), np.empty(t.size)
        for _ in range(MAX_ROUNDS):
            if follow:
                smooth_curve(t, v, s, k, density, gap, min_points, trend, variance)
            _best_boxes(t, v - trend, k, durations, cadence[i], best, length)
            if _mark(t, best, length, threshold[i], margin, cadence[i], gap, longest, k) == 0:
                break


def mark_events(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    start: NDArray[np.float64],
    keep: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    cadence: NDArray[np.float64],
    timescale: NDArray[np.float64],
    durations: NDArray[np.float64],
    threshold: NDArray[np.float64],
    margin: float,
    longest: float,
    gap: float,
    min_points: int,
    follow: bool,
) -> NDArray[np.bool_]:
    """Points that no trend should be made of: those of events, and those not kept.

    Parameters
    ----------
    time, value, start, keep, offsets, cadence, timescale, gap, min_points
        As in `choose_timescale`.
    durations : float64 array
        Lengths of boxes, days.
    threshold : float64 array, shape (n_curves,)
        Score, in the scatter of boxes of that length, from which a box is an event.
    margin : float
        Marked on both sides, in lengths of the box; a cadence at least.
    longest : float
        A stretch of marked points never gets longer, days.
    follow : bool
        Make a new spline trend each round; otherwise `start` is the trend.

    Returns
    -------
    bool array, shape (n_points,)
        True where the point is left out.
    """
    left = keep.copy()
    for_objects(
        _mark_events_range,
        offsets.size - 1,
        time,
        value,
        start,
        offsets,
        cadence,
        timescale,
        durations,
        threshold,
        margin,
        longest,
        gap,
        min_points,
        follow,
        left,
    )
    return ~left

"""Search for events: trends, pulsation and marks in turn, over all curves of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from astroprep.clean.window import moving_median
from astroprep.data import Usable
from astroprep.detrend.event_kernel import mark_events
from astroprep.detrend.event_timescale import choose_timescale
from astroprep.detrend.robust_spline import curve_scales, spline_trend
from astroprep.detrend.waves import find_waves

__all__ = ["Found", "Search", "find_events"]

FIRST_WINDOW = 1.5  # days; a median over it ignores whatever lasts less than 18 hours
LONGEST = 2.5  # longest stretch of marked points, in the longest duration: margins, and growth


@dataclass(frozen=True)
class Found:
    """What `find_events` learned of the usable points, in units of the value."""

    trend: NDArray[np.float64]
    trend_err: NDArray[np.float64]
    event: NDArray[np.bool_]
    timescale: NDArray[np.float64]
    n_waves: NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """Settings of a search, as the kernels take them."""

    durations: NDArray[np.float64]
    timescales: NDArray[np.float64]
    false_alarms: float
    margin: float
    gap: float
    min_points: int
    max_waves: int
    min_frequency: float
    max_frequency: float

    def thresholds(self, n_points: NDArray[np.int64], cadence: NDArray[np.float64]) -> Any:
        """Score that disjoint boxes of Gaussian noise pass `false_alarms` times a curve."""
        boxes = np.outer(n_points * cadence, 1 / self.durations).sum(axis=1)
        # none at all: no score is infinite
        return np.asarray(-ndtri(self.false_alarms / (2 * np.maximum(boxes, 1.0))))


@dataclass(frozen=True)
class _Curves:
    """Usable points in units of the noise of their curve, with the level at 0."""

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    keep: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    cadence: NDArray[np.float64]

    def take(self, which: NDArray[np.bool_], at: NDArray[np.bool_]) -> _Curves:
        """Those of the curves `which`, whose points are `at`."""
        counts = np.diff(self.offsets)[which]
        return _Curves(
            self.time[at],
            self.value[at],
            self.keep[at],
            np.concatenate(([0], np.cumsum(counts))),
            self.cadence[which],
        )


def _mark(curves: _Curves, wave: Any, search: Search) -> tuple[Any, Any, Any, Any]:
    """Event, trend with wave, its variance and timescale."""
    left = curves.value - wave
    noise = curve_scales(curves.time, left, curves.offsets)[2]  # without the pulsation
    unit = np.repeat(noise, np.diff(curves.offsets))
    left = left / unit
    start = moving_median(curves.time, left, curves.offsets, FIRST_WINDOW, search.gap, 5)
    basis = (curves.time, left, start)
    timescale = choose_timescale(
        *basis, curves.keep, curves.offsets, curves.cadence,
        search.timescales, search.gap, search.min_points,
    )  # fmt: skip
    event = _events(curves, left, start, timescale, search, follow=True)
    trend, variance = spline_trend(
        *basis, ~event, curves.offsets, curves.cadence, timescale, search.gap, search.min_points
    )
    return event, trend * unit + wave, variance * unit**2, timescale


def _events(
    curves: _Curves, value: Any, start: Any, timescale: Any, search: Search, *, follow: bool
) -> Any:
    longest = LONGEST * float(search.durations.max())
    return mark_events(
        curves.time, value, start, curves.keep, curves.offsets, curves.cadence, timescale,
        search.durations, search.thresholds(np.diff(curves.offsets), curves.cadence),
        search.margin, longest, search.gap, search.min_points, follow,
    )  # fmt: skip


def find_events(usable: Usable, known: NDArray[np.bool_], search: Search) -> Found:
    """Events and trend of every curve; sines are found, and found again without the events."""
    counts = usable.counts()
    cadence, level, noise = curve_scales(usable.time, usable.value, usable.offsets)
    unit = np.repeat(noise, counts)
    value = (usable.value - np.repeat(level, counts)) / unit
    curves = _Curves(usable.time, value, ~known, usable.offsets, cadence)
    wave, n_waves = np.zeros(value.size), np.zeros(counts.size, np.int64)
    if search.max_waves:
        start = moving_median(usable.time, value, usable.offsets, FIRST_WINDOW, search.gap, 5)
        scale = np.full(counts.size, search.timescales[-1])
        deep = _events(curves, value, start, scale, search, follow=False)
        wave, n_waves = _waves(curves, value - start, ~deep, search)
    event, trend, variance, timescale = _mark(curves, wave, search)
    if n_waves.any():
        which = n_waves > 0
        at = np.repeat(which, counts)
        some = curves.take(which, at)
        wave, n_waves[which] = _waves(some, (value - trend + wave)[at], ~event[at], search)
        event[at], trend[at], variance[at], timescale[which] = _mark(some, wave, search)
    return Found(
        trend * unit + np.repeat(level, counts),
        np.sqrt(variance) * unit,
        event,
        timescale,
        n_waves,
    )


def _waves(curves: _Curves, residual: Any, keep: Any, search: Search) -> tuple[Any, Any]:
    return find_waves(
        curves.time, residual, keep, curves.offsets, curves.cadence,
        search.min_frequency, search.max_frequency, search.max_waves,
    )  # fmt: skip

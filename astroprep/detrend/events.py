"""Keep flares, dips and eclipses out of the trend, and so whole in what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.clean.window import moving_median
from astroprep.data import LightCurveBatch, PointFlag, Usable
from astroprep.detrend.event_search import Found, Search, find_events
from astroprep.detrend.moving import between_points
from astroprep.detrend.removal import remove
from astroprep.errors import ConfigError, DataError

__all__ = ["EventTrend", "MarkEvents"]

EPHEMERIS = ("period", "epoch", "duration")  # days, days, hours; columns per object


class MarkEvents(Transformer):
    """Flag flares, dips, transits and eclipses as ``EVENT``, so that no trend is made of them.

    Neighbouring points that deviate together from a robust spline are an event when the mean of
    a box over them stands out of the means of all such boxes of the same curve: noise of any
    colour, and pulsation, raise the bar by themselves. Trend and events are found in turn until
    no event is added. The points stay usable (`PointFlag.EVENT` is informative).

    Parameters
    ----------
    durations : sequence of float, default (1, 2, 3, 4.5, 6.5, 9, 12)
        Lengths of the boxes, hours: from two long-cadence exposures to half a day, a factor of
        1.3 to 2 apart, which costs a sixth of the significance in between at most. An event may
        get 2.5 times as long as the longest by growing; longer ones are trend.
    false_alarms : float, default 1e-3
        Expected number of false events in a curve of white Gaussian noise, counting boxes that
        do not overlap; a score of about 5. On the Kepler, K2 and TESS curves of the benchmark
        1e-5 and 1e-8 found as many injected transits and flares later on, but cut into more of
        those that are just visible.
    timescales : sequence of float, default (1.5, 2, 3, 4.5, 6.5)
        Stiffness of the spline, one is chosen a curve: the period, days, of a sine that it
        halves. The choice is that with which boxes of 2 to 12 hours stand out most. Below 1.5
        days the trend would eat most of a long event that is too shallow to be marked.
    margin : float, default 0.25
        Marked before and after a box, in its length, and a cadence at least: ingress and egress.
    gap : float, default 0.5
        Longest distance of neighbours in one run, days. Instruments jump at gaps, so nothing is
        bridged over them, and an event is marked only if its run goes on, on both sides, for its
        own length and 18 hours at least: at the ends a trend bends, which looks like an event.
    min_points : int, default 10
        Runs with fewer usable points get no spline, but the median over 1.5 days.
    max_waves : int, default 40
        Coherent sines (pulsation, contact binaries) that are taken out before events are looked
        for, at most; 0 for none. The brightest pulsators need some dozens.
    min_frequency : float, default 1.8
        Of the sines, cycles per day; the spline follows what is slower.
    max_frequency : float, default 80.0
        Of the sines, cycles per day: Delta Scuti stars reach it. Half the inverse of the
        cadence, if that is lower.
    max_fraction : float, default 0.3
        A curve with a larger fraction of its points in events is a variable star of that
        timescale: nothing is marked in it.
    ephemeris : bool, default False
        Also mark known events, from the columns ``period``, ``epoch`` and ``duration`` per
        object (days, days on the scale of the times, hours; the duration from first to last
        contact). A curve whose numbers are not finite and positive has none.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that hold points of several bands.

    Notes
    -----
    Adds ``objects["event_fraction"]``, found among the usable points (also where it was too
    large), and ``objects["n_events"]``, marked runs of points.

    Limits: a curve that is all events has none; a sine with the timescale of events is never
    marked; single points are for `SigmaClip`; a curve with fewer than twenty boxes of a length
    cannot judge that length, and is left as it is below twenty points, or when more than half of
    its residuals are equal.

    References
    ----------
    .. [1] Hippke et al. 2019, AJ 158, 143, arXiv:1906.00966 (trends that keep transits)
    .. [2] Pont et al. 2006, MNRAS 373, 231, arXiv:astro-ph/0608597 (noise at the timescale)
    """

    needs = Needs()

    def __init__(
        self,
        durations: Sequence[float] = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0),
        false_alarms: float = 1e-3,
        timescales: Sequence[float] = (1.5, 2.0, 3.0, 4.5, 6.5),
        margin: float = 0.25,
        gap: float = 0.5,
        min_points: int = 10,
        max_waves: int = 40,
        min_frequency: float = 1.8,
        max_frequency: float = 80.0,
        max_fraction: float = 0.3,
        ephemeris: bool = False,
        on_bad: OnBad = "raise",
    ) -> None:
        self.durations = durations
        self.false_alarms = false_alarms
        self.timescales = timescales
        self.margin = margin
        self.gap = gap
        self.min_points = min_points
        self.max_waves = max_waves
        self.min_frequency = min_frequency
        self.max_frequency = max_frequency
        self.max_fraction = max_fraction
        self.ephemeris = ephemeris
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = _wrong_settings(self)
        if wrong:
            raise ConfigError(f"{type(self).__name__}: " + "; ".join(wrong))

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        return self._marked(batch)[0]

    def _marked(self, batch: LightCurveBatch) -> tuple[LightCurveBatch, Found]:
        """Batch with flags and columns, and what was found at its usable points."""
        usable = batch.usable
        known = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) > 0
        if self.ephemeris:
            known |= _predicted(batch)
        search = Search(
            np.sort(np.asarray(self.durations, np.float64)) / 24,
            np.sort(np.asarray(self.timescales, np.float64)),
            self.false_alarms,
            self.margin,
            self.gap,
            self.min_points,
            self.max_waves,
            self.min_frequency,
            self.max_frequency,
        )
        found = find_events(usable, known, search)
        fraction, n_events = _count(found.event, usable.offsets)
        variable = fraction > self.max_fraction
        if variable.any():
            at = np.repeat(variable, usable.counts())
            found = _without(found, _find_none(usable, known, search), at, variable)
            n_events = _count(found.event, usable.offsets)[1]
        flags = batch.flags.copy()
        flags[usable.index[found.event]] |= np.uint32(PointFlag.EVENT)
        batch = batch.with_columns(
            flags=flags, objects={"event_fraction": fraction, "n_events": n_events}
        )
        return batch, found


class EventTrend(MarkEvents):
    """Take slow changes and pulsation out of light curves and leave events whole.

    Marks events as `MarkEvents` does, and divides by (or subtracts) a robust smoothing spline
    made of all other points, which is bridged under the events. Its stiffness is chosen for each
    curve, and coherent pulsation goes with it.

    Parameters
    ----------
    durations, false_alarms, timescales, margin, gap, min_points, max_waves, min_frequency, \
max_frequency, max_fraction, ephemeris
        As in `MarkEvents`; points that carry ``EVENT`` already are left out too.
    method : {"auto", "subtract", "divide"}, default "auto"
        ``"auto"`` subtracts from magnitudes and divides fluxes.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves whose trend is not positive when it must be divided by
        (difference fluxes: subtract there), or with points of several bands.

    Notes
    -----
    ``value - trend + level`` or ``value / trend * level``, where ``level`` is the median of the
    curve; dividing scales the errors too. Writes ``points["trend"]`` and ``points["trend_err"]``,
    in the unit of the value: the posterior of the spline, which grows under a bridge (for white
    noise, from the scatter of neighbours, and without the error of the sines); NaN in runs with
    fewer than `min_points`. Points that are not usable are corrected by the trend between
    usable ones, and left alone where their time is flagged or not finite (trend NaN). Columns of
    `MarkEvents`, and ``objects["trend_timescale"]`` (days) and ``objects["n_waves"]``.

    References
    ----------
    .. [1] Kohn & Ansley 1987, SIAM J. Sci. Stat. Comput. 8, 33, doi:10.1137/0908004
    .. [2] Hippke et al. 2019, AJ 158, 143, arXiv:1906.00966
    """

    def __init__(
        self,
        durations: Sequence[float] = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0),
        false_alarms: float = 1e-3,
        timescales: Sequence[float] = (1.5, 2.0, 3.0, 4.5, 6.5),
        margin: float = 0.25,
        gap: float = 0.5,
        min_points: int = 10,
        max_waves: int = 40,
        min_frequency: float = 1.8,
        max_frequency: float = 80.0,
        max_fraction: float = 0.3,
        ephemeris: bool = False,
        method: Literal["auto", "subtract", "divide"] = "auto",
        on_bad: OnBad = "raise",
    ) -> None:
        super().__init__(
            durations,
            false_alarms,
            timescales,
            margin,
            gap,
            min_points,
            max_waves,
            min_frequency,
            max_frequency,
            max_fraction,
            ephemeris,
            on_bad,
        )
        self.method = method

    def _check(self) -> None:
        super()._check()
        if self.method not in ("auto", "subtract", "divide"):
            raise ConfigError(
                f"EventTrend: method must be 'auto', 'subtract' or 'divide', got {self.method!r}"
            )

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        divide = self.method == "divide" or (
            self.method == "auto" and batch.meta.quantity == "flux"
        )
        marked, found = self._marked(batch)
        if divide:
            curve = np.repeat(np.arange(batch.n_curves), batch.usable.counts())
            negative = np.bincount(curve[~(found.trend > 0)], minlength=batch.n_curves) > 0
            if negative.any():
                batch = self.refuse(
                    batch, negative, "a positive trend to divide by (method='subtract' needs none)"
                )
                marked, found = self._marked(batch)
        return _corrected(marked, found, divide)


def _wrong_settings(step: MarkEvents) -> list[str]:
    wrong = []
    for name in ("durations", "timescales"):
        given = getattr(step, name)
        try:
            numbers = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.ndim != 1 or numbers.size == 0 or not np.all((numbers > 0) & (numbers < 1e6)):
            wrong.append(f"{name} must be positive numbers, got {given!r}")
    wrong += [
        f"{name} must be positive, got {getattr(step, name)!r}"
        for name in ("gap", "min_frequency", "max_frequency", "false_alarms")
        if not getattr(step, name) > 0
    ]
    if not step.margin >= 0:
        wrong.append(f"margin must not be negative, got {step.margin!r}")
    if not 0 < step.max_fraction <= 1:
        wrong.append(f"max_fraction must be above 0 and at most 1, got {step.max_fraction!r}")
    for name, least in (("min_points", 3), ("max_waves", 0)):
        if not (isinstance(getattr(step, name), int) and getattr(step, name) >= least):
            wrong.append(f"{name} must be a whole number from {least}, got {getattr(step, name)!r}")
    return wrong


def _predicted(batch: LightCurveBatch) -> NDArray[np.bool_]:
    """Usable points within known events."""
    missing = [name for name in EPHEMERIS if name not in batch.objects]
    if missing:
        raise DataError(
            f"ephemeris=True needs the columns {', '.join(EPHEMERIS)} per object (days, days, "
            f"hours), but the batch has no {', '.join(missing)}"
        )
    usable = batch.usable
    period, epoch, duration = (
        np.repeat(np.asarray(batch.objects[name], np.float64), usable.counts())
        for name in EPHEMERIS
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        cycle = (usable.time - epoch) / period
        off = np.abs(cycle - np.round(cycle)) * period
        return np.asarray((period > 0) & (duration > 0) & (off <= duration / 48))


def _count(
    event: NDArray[np.bool_], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fraction of the points of each curve that are in events, and runs of such points."""
    counts = np.diff(offsets)
    curve = np.repeat(np.arange(counts.size), counts)
    begins = event.copy()
    begins[1:] &= ~event[:-1] | (curve[1:] != curve[:-1])
    points = np.bincount(curve[event], minlength=counts.size)
    return points / np.maximum(counts, 1), np.bincount(curve[begins], minlength=counts.size)


def _find_none(usable: Usable, known: NDArray[np.bool_], search: Search) -> Found:
    """Trend of curves that are events for too long: only what was known before is left out."""
    return find_events(usable, known, replace(search, false_alarms=0.0))


def _without(found: Found, other: Found, at: NDArray[np.bool_], which: NDArray[np.bool_]) -> Found:
    """`found`, with the curves `which`, points `at`, from `other`."""
    return Found(
        np.where(at, other.trend, found.trend),
        np.where(at, other.trend_err, found.trend_err),
        np.where(at, other.event, found.event),
        np.where(which, other.timescale, found.timescale),
        np.where(which, other.n_waves, found.n_waves),
    )


def _corrected(batch: LightCurveBatch, found: Found, divide: bool) -> LightCurveBatch:
    """Take the trend out of all points whose time is known, and keep the level of the curve."""
    usable = batch.usable
    columns = []
    bad_time = (batch.flags & np.uint32(PointFlag.BAD_TIME)) > 0
    for known in (found.trend, found.trend_err):
        full = between_points(batch.time, batch.offsets, usable.time, known, usable.offsets)
        full[bad_time] = np.nan
        full[usable.index] = known
        columns.append(full)
    trend, trend_err = columns
    level = moving_median(usable.time, usable.value, usable.offsets, np.inf, np.inf, 1)
    per_curve = np.full(batch.n_curves, np.nan)
    has = usable.counts() > 0
    per_curve[has] = level[usable.offsets[:-1][has]]
    marked = batch.with_columns(
        points={"trend": trend, "trend_err": trend_err},
        objects={"trend_timescale": found.timescale, "n_waves": found.n_waves},
    )
    return remove(marked, per_curve, divide)

"""The step that finds periods in several bands together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.period.candidates import DROWNED, drowned
from astroprep.period.choice import period_status, relate, share_of_aliases, strongest
from astroprep.period.evidence import window as spectral_window
from astroprep.period.grid import MAX_SIZE, GridRule
from astroprep.period.lombscargle import log10_false_alarm
from astroprep.period.multiband_evidence import number_visits
from astroprep.period.multiband_fit import MAX_BANDS
from astroprep.period.multiband_grid import count_bands
from astroprep.period.multiband_search import (
    LEAST_POINTS,
    OVERSAMPLING,
    LevelledPoints,
    band_grids,
    level_points,
    search_levelled,
)
from astroprep.period.period_step import RELATED, TOLERANCE
from astroprep.period.periodsearch import Rule
from astroprep.period.precision import measure_periods
from astroprep.threads import in_chunks

__all__ = ["MultibandSearch"]


class MultibandSearch(Transformer):
    """Find the period of every object from all its bands together.

    One Fourier series for all bands, each with a mean and a scale of its own, is fitted on an even
    grid; the strongest peaks, twice and half their periods and their daily aliases are ranked by
    the evidence of the folded curve (`astroprep.period.multiband_evidence`), which outliers move
    little. A batch without bands is searched as one band. Adds to ``objects``:

    - ``period``: days; never NaN;
    - ``period_err``: days; from the curvature of chi-square at the peak, the bands on one scale,
      see `astroprep.period.precision.measure_periods`; right only if the peak is;
    - ``period_status``: text, as for `PeriodSearch`;
    - ``period_power``: share of the variance that three harmonics explain at the period, the
      bands on one scale;
    - ``period_fap``: log10 of the false-alarm probability of the highest sine (Baluev 2008), each
      visit counted once;
    - ``period_confidence``: probability of the choice among the candidates;
    - ``period_cycles``: baseline over period;
    - ``period_highest``: period of the plain highest peak, days;
    - ``period_second``, ``period_second_ratio``: period (days) of the next candidate in no simple
      ratio to the chosen one, and its probability over that of the choice;
    - ``period_bands``: how many bands took part;
    - ``period_bands_left_out``: names of those that did not, for too few points or for being
      constant, joined by commas; empty where all did;
    - with ``n_candidates`` above 0 also ``candidate_period``, ``candidate_probability`` and
      ``candidate_status``, as for `PeriodSearch`.

    Refused, with the reason: no band of ``min_band_points`` usable points that varies, fewer than
    five visits, a baseline below ``min_baseline``, a grid above ``max_grid`` (absurd times).

    Parameters
    ----------
    min_frequency, max_frequency : float, default 0 and 24
        Cycles per day. For stars known to be RR Lyrae, 1 to 5 (`RR_LYRAE`).
    min_cycles : float, default 2
        Cycles within the baseline of the longest period.
    oversampling : float, default 8
        Grid steps per peak width.
    max_grid : int, default 2,000,000
        Ceiling on the frequencies of one curve.
    min_baseline : float, default 1
        Days.
    min_band_points : int, default 5
        A band with fewer usable points is left out.
    n_peaks : int, default 15
        Separate peaks of each of the two searches.
    rule : {"ranked", "highest"}
        ``highest`` takes the highest peak of the three-harmonic periodogram as it is.
    n_candidates : int, default 0
        Candidates that are written, for people to look at.
    jobs : int or None, default None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Notes
    -----
    Eclipsing stars with two like eclipses come out at half the orbital period: the light has no
    other, and the evidence carries no prior for them.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18
    """

    needs = Needs(min_points=5, errors=True, single_band=False)

    def __init__(
        self,
        min_frequency: float = 0.0,
        max_frequency: float = 24.0,
        min_cycles: float = 2.0,
        oversampling: float = OVERSAMPLING,
        max_grid: int = MAX_SIZE,
        min_baseline: float = 1.0,
        min_band_points: int = LEAST_POINTS,
        n_peaks: int = 15,
        rule: Rule = "ranked",
        n_candidates: int = 0,
        jobs: int | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.min_frequency = min_frequency
        self.max_frequency = max_frequency
        self.min_cycles = min_cycles
        self.oversampling = oversampling
        self.max_grid = max_grid
        self.min_baseline = min_baseline
        self.min_band_points = min_band_points
        self.n_peaks = n_peaks
        self.rule = rule
        self.n_candidates = n_candidates
        self.jobs = jobs
        self.on_bad = on_bad

    def _check(self) -> None:
        self._rule()
        if not 0 <= self.min_frequency < self.max_frequency:
            raise ConfigError(
                f"min_frequency must be from 0 to below max_frequency={self.max_frequency!r}, "
                f"got {self.min_frequency!r}"
            )
        if not self.min_baseline >= 0:
            raise ConfigError(f"min_baseline must be 0 or more days, got {self.min_baseline!r}")
        for name, least in (("min_band_points", 3), ("n_peaks", 2), ("n_candidates", 0)):
            number = getattr(self, name)
            if not (isinstance(number, int) and least <= number <= 1000):
                raise ConfigError(f"{name} must be a whole number from {least}, got {number!r}")
        if self.jobs is not None and not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise ConfigError(f"jobs must be None or a whole number from 1, got {self.jobs!r}")
        if self.rule not in ("ranked", "highest"):
            raise ConfigError(f"rule must be 'ranked' or 'highest', got {self.rule!r}")

    def _rule(self) -> GridRule:
        return GridRule(self.max_frequency, self.min_cycles, self.oversampling, self.max_grid)

    def _points(self, batch: LightCurveBatch) -> LevelledPoints:
        usable = batch.usable
        band = np.zeros(usable.time.size, np.int16) if usable.band is None else usable.band
        return level_points(
            usable.time, usable.value, usable.error, band, usable.offsets, self.min_band_points
        )

    def _searchable(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Refuse the curves in which no period can be sought, with the reason."""
        points = self._points(batch)
        baseline = points.baseline
        reason = band_grids(self._rule(), self.min_frequency, baseline)[3]
        for i in np.flatnonzero((reason == "") & (baseline < self.min_baseline)):
            reason[i] = (
                f"a baseline of at least min_baseline={self.min_baseline:g} days, "
                f"spans {baseline[i]:.4g}"
            )
        usable = batch.usable
        reason[drowned(usable.value, usable.error, usable.offsets)] = DROWNED
        reason[points.used_bands == 0] = "brightness that varies, it is constant in every band"
        reason[points.long_bands == 0] = (
            f"at least min_band_points={self.min_band_points} usable points in one band"
        )
        reason[points.used_bands > MAX_BANDS] = f"at most {MAX_BANDS} bands"
        for i in np.flatnonzero(reason == ""):
            visits = number_visits(points.time[points.offsets[i] : points.offsets[i + 1]])[-1] + 1
            if visits < LEAST_POINTS:
                reason[i] = f"points on {LEAST_POINTS} separate visits or more, has {visits}"
        return self.refuse(batch, reason != "", reason)

    def _left_out(self, batch: LightCurveBatch, points: LevelledPoints) -> NDArray[np.object_]:
        """Names of the bands that take no part, joined by commas."""
        usable = batch.usable
        names = np.full(batch.n_curves, "", dtype=object)
        if usable.band is None:
            return names
        curve = np.repeat(np.arange(batch.n_curves), usable.counts())
        out = ~points.taken
        for i, code in np.unique(np.stack([curve[out], usable.band[out]], axis=1), axis=0):
            known = 0 <= code < len(batch.meta.bands)
            name = batch.meta.bands[code] if known else str(code)
            names[i] += ("," if names[i] else "") + name
        return names

    def _measured(
        self, points: LevelledPoints, frequency: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Spread of the times, deviation of the frequencies, spectral window there or at half."""
        n_curves = frequency.size
        spread, deviation, window = np.zeros(n_curves), np.zeros(n_curves), np.zeros(n_curves)
        still = np.zeros(n_curves, bool)

        def work(first: int, last: int) -> None:
            offsets = points.offsets[first : last + 1]
            curve = (points.time, points.value, points.error, offsets, still[first:last])
            measure_periods(*curve, frequency[first:last].copy(), deviation[first:last])
            for i in range(first, last):
                time = points.time[points.offsets[i] : points.offsets[i + 1]]
                weight = np.full(time.size, 1 / time.size)
                spread[i] = time.std()
                window[i] = max(spectral_window(time, weight, f * frequency[i]) for f in (1, 2))

        in_chunks(n_curves, self.jobs, work)
        return spread, deviation, window

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        batch = self._searchable(batch)
        points = self._points(batch)
        found = search_levelled(points, self._rule(), self.min_frequency, self.n_peaks, self.jobs)
        row = np.arange(batch.n_curves)
        chosen = np.zeros(batch.n_curves, np.int64)
        if self.rule == "highest":
            distance = np.abs(found.frequency - found.highest[:, None])
            chosen = np.argmin(np.where(found.frequency > 0, distance, np.inf), axis=1)
        frequency = found.frequency[row, chosen]
        confidence = found.probability[row, chosen]
        ratio = found.frequency / frequency[:, None]
        related = (np.abs(ratio[..., None] * RELATED - 1) < TOLERANCE).any(axis=-1)
        other = np.where((found.frequency > 0) & ~related, found.probability, -1.0)
        second = np.argmax(other, axis=1)
        there = other[row, second] >= 0
        spread, deviation, window = self._measured(points, frequency)
        fap = log10_false_alarm(found.power, found.n_visits, spread, self.max_frequency)
        cycles = points.baseline * frequency
        code = relate(
            found.frequency,
            found.frequency,
            np.zeros(found.frequency.shape),
            frequency,
            points.baseline,
        )
        code[row, chosen] = "best"
        status = period_status(fap, window, cycles, share_of_aliases(code, found.probability))
        listed = strongest(found.frequency, found.probability, code, self.n_candidates)
        return batch.with_columns(
            objects={
                "period": 1 / frequency,
                "period_err": deviation / frequency**2,
                "period_status": status,
                "period_power": found.fit[row, chosen],
                "period_fap": fap,
                "period_confidence": confidence,
                "period_cycles": cycles,
                "period_highest": 1 / found.highest,
                "period_second": 1 / np.where(there, found.frequency[row, second], frequency),
                "period_second_ratio": np.where(
                    there, other[row, second] / np.maximum(confidence, 1e-300), 0.0
                ),
                "period_bands": count_bands(points.band, points.offsets),
                "period_bands_left_out": self._left_out(batch, points),
                **(listed if self.n_candidates else {}),
            }
        )

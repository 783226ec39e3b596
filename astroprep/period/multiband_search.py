"""The period of objects that were observed in several bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.backends import plans
from astroprep.period.candidates import DROWNED, drowned
from astroprep.period.choice import period_status, relate, share_of_aliases, strongest
from astroprep.period.evidence import window as spectral_window
from astroprep.period.grid import MAX_SIZE, GridRule
from astroprep.period.lombscargle import log10_false_alarm
from astroprep.period.multiband import MAX_BANDS
from astroprep.period.multiband_candidates import (
    HARMONICS,
    collect_multiband,
    level_bands,
    most_candidates,
)
from astroprep.period.multiband_evidence import number_visits
from astroprep.period.multiband_grid import choose_multiband, count_bands
from astroprep.period.periodsearch import RELATED, TOLERANCE, Rule
from astroprep.period.points import check_points
from astroprep.period.precision import measure_periods
from astroprep.threads import in_chunks

__all__ = ["OVERSAMPLING", "RR_LYRAE", "BandCandidates", "MultibandSearch", "search_multiband"]

RR_LYRAE = (1.0, 5.0)  # cycles per day; all RR Lyrae stars of Soszynski et al. 2014 (OGLE) but a
# few lie between 0.2 and 1 day: for ``min_frequency`` and ``max_frequency`` where a star is known
# to be one
OVERSAMPLING = 8.0  # grid steps per peak width: a series of three harmonics has sharper peaks
LEAST_POINTS = 5  # of a band, and visits of a curve


@dataclass(frozen=True)
class BandCandidates:
    """What the search found in each curve.

    Parameters
    ----------
    frequency : float64 array, shape (n_curves, n_candidates)
        Cycles per day, by falling evidence; 0 where there are no more.
    probability : float64 array, shape (n_curves, n_candidates)
        Of each among the candidates, by the evidence alone; sums to one.
    fit : float64 array, shape (n_curves, n_candidates)
        Share of the variance that three harmonics explain, the bands on one scale.
    highest : float64 array, shape (n_curves,)
        Frequency of the highest peak of the three-harmonic periodogram, cycles per day.
    power : float64 array, shape (n_curves,)
        Highest power of a sine for all bands.
    n_visits : int64 array, shape (n_curves,)
        Separate visits.
    """

    frequency: NDArray[np.float64]
    probability: NDArray[np.float64]
    fit: NDArray[np.float64]
    highest: NDArray[np.float64]
    power: NDArray[np.float64]
    n_visits: NDArray[np.int64]


@dataclass(frozen=True)
class _Levelled:
    """The points that take part, the bands of a curve on one scale."""

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    band: NDArray[np.int16]
    offsets: NDArray[np.int64]
    long_bands: NDArray[np.int64]
    used_bands: NDArray[np.int64]
    taken: NDArray[np.bool_]

    @property
    def baseline(self) -> NDArray[np.float64]:
        """Last minus first time, days, shape (n_curves,); 0 for a curve without points."""
        length = np.zeros(self.offsets.size - 1)
        some = np.diff(self.offsets) > 0
        length[some] = self.time[self.offsets[1:][some] - 1] - self.time[self.offsets[:-1][some]]
        return length


def _level(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    least: int,
) -> _Levelled:
    levelled, softened = np.empty(time.size), np.empty(time.size)
    kept = np.zeros((offsets.size - 1, 2), np.int64)
    level_bands(value, error, band, offsets, least, levelled, softened, kept)
    taken = softened > 0
    before = np.concatenate(([0], np.cumsum(taken)))
    return _Levelled(
        time[taken],
        levelled[taken],
        softened[taken],
        band[taken],
        np.asarray(before[offsets], np.int64),
        kept[:, 0],
        kept[:, 1],
        taken,
    )


def _grids(
    rule: GridRule, min_frequency: float, baseline: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.object_]]:
    """Grids of a rule, begun at `min_frequency` where that is higher; see `GridRule.grids`."""
    start, step, size, reason = rule.grids(baseline)
    skipped = np.clip(np.ceil((min_frequency - start) / step), 0, None).astype(np.int64)
    skipped[reason != ""] = 0
    for i in np.flatnonzero((reason == "") & (skipped >= size)):
        reason[i] = (
            f"a frequency between min_frequency={min_frequency:g} and {rule.max_frequency:g} "
            f"cycles per day in its grid, a baseline of {baseline[i]:.4g} days has none"
        )
    return start + skipped * step, step, np.maximum(size - skipped, 0), reason


def search_multiband(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    min_frequency: float = 0.0,
    n_peaks: int = 15,
    min_band_points: int = LEAST_POINTS,
    jobs: int | None = None,
) -> BandCandidates:
    """Periodogram, peaks with their aliases, and how probable each is, for many curves.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``.
    band : int16 array, shape (n_points,)
        Codes of the bands; all equal for curves of one band.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    grid : GridRule, optional
        Up to 24 cycles per day, eightfold oversampled, otherwise.
    min_frequency : float, default 0
        Cycles per day at which the grid begins, where it lies above the rule's first; `RR_LYRAE`
        is the range for those.
    n_peaks : int, default 15
        Separate peaks of each of the two searches, by one and by three harmonics.
    min_band_points : int, default 5
        A band with fewer points is left out of the fit.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    BandCandidates

    Raises
    ------
    DataError
        If a curve has no grid or no band of so many points that varies, is not sorted, or has a
        number that is not finite or an error that is not positive.
    """
    check_points("search_multiband", time, value, error, offsets)
    points = _level(time, value, error, band, offsets, min_band_points)
    rule = grid or GridRule(oversampling=OVERSAMPLING)
    reason = _grids(rule, min_frequency, points.baseline)[3]
    reason[points.used_bands == 0] = f"{min_band_points} points in a band that varies"
    if (reason != "").any():
        i = int(np.argmax(reason != ""))
        raise DataError(f"search_multiband needs {reason[i]}: curve {i}")
    return _search(points, rule, min_frequency, n_peaks, jobs)


def _search(
    points: _Levelled, rule: GridRule, min_frequency: float, n_peaks: int, jobs: int | None
) -> BandCandidates:
    start, step, size, _ = _grids(rule, min_frequency, points.baseline)
    n_curves = size.size
    n_points = np.diff(points.offsets)
    choice = choose_multiband(n_points, points.used_bands, size, HARMONICS[-1])
    found = np.zeros((n_curves, most_candidates(n_peaks), 3))
    about = np.zeros((n_curves, 4))
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        collect_multiband(
            points.time,
            points.value,
            points.error,
            points.band,
            points.offsets[first : last + 1],
            start[first:last],
            step[first:last],
            size[first:last],
            choice[first:last],
            tables,
            n_peaks,
            found[first:last],
            about[first:last],
        )

    in_chunks(n_curves, jobs, work)
    frequency = found[:, :, 0]
    evidence = np.where(frequency > 0, found[:, :, 2], -np.inf)
    likely = np.exp(evidence - evidence.max(axis=1, keepdims=True, initial=-1e300))
    # sums by column, so that no batch size changes their order
    total = np.cumsum(likely, axis=1)[:, -1:]
    return BandCandidates(
        frequency,
        likely / total,
        found[:, :, 1],
        about[:, 1].copy(),
        about[:, 0].copy(),
        about[:, 3].astype(np.int64),
    )


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

    def _points(self, batch: LightCurveBatch) -> _Levelled:
        usable = batch.usable
        band = np.zeros(usable.time.size, np.int16) if usable.band is None else usable.band
        return _level(
            usable.time, usable.value, usable.error, band, usable.offsets, self.min_band_points
        )

    def _searchable(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Refuse the curves in which no period can be sought, with the reason."""
        points = self._points(batch)
        baseline = points.baseline
        reason = _grids(self._rule(), self.min_frequency, baseline)[3]
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

    def _left_out(self, batch: LightCurveBatch, points: _Levelled) -> NDArray[np.object_]:
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
        self, points: _Levelled, frequency: NDArray[np.float64]
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
        found = _search(points, self._rule(), self.min_frequency, self.n_peaks, self.jobs)
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

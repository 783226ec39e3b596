"""The steps that give every object its period."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.period.choice import Candidates
from astroprep.period.grid import MAX_SIZE
from astroprep.period.period_step import PeriodStep
from astroprep.period.search import N_PEAKS

__all__ = ["AUXILIARIES", "Candidates", "PeriodSearch", "UseCataloguePeriod"]

AUXILIARIES = (
    "period_sine",
    "period_power",
    "period_power_half",
    "period_fap",
    "period_fit",
    "period_fit_double",
    "period_cycles",
    "period_confidence",
    "period_highest",
    "period_second",
    "period_second_ratio",
)

OCTAVES = np.array([1.0, 0.5, 2.0])  # of a catalogue's frequency, its own first: it wins ties

Rule = Literal["ranked", "highest"]


class PeriodSearch(PeriodStep):
    """Find the period of every object.

    A floating-mean Lomb-Scargle periodogram on an even grid from ``min_cycles`` cycles per
    baseline to ``max_frequency``; its strongest separate peaks, their aliases and harmonics, and
    twice all their periods are weighed by fits of several harmonics and by the folded curve, and
    ranked by a small network fitted on labelled variable stars. That twice the period is right
    for shapes like an eclipsing star's is a prior from those labels. Adds to ``objects``:

    - ``period``: days; never NaN;
    - ``period_err``: days; standard deviation from the curvature of chi-square at the peak, see
      `astroprep.period.precision.measure_periods`; right only if the peak is;
    - ``period_status``: text, the first that holds of ``weak`` (false-alarm probability above
      0.01), ``window`` (the sampling itself repeats at the period or half of it), ``few cycles``
      (under four), ``alias?`` (a fifth of the probability or more lies on daily, monthly or
      yearly aliases of the choice) and ``ok``;
    - ``period_sine``: days; half the period where a sine of half the period explains more, as for
      most eclipsing stars, and the period otherwise: the safer one to fold at together with its
      double;
    - ``period_power``, ``period_power_half``: share of the variance that a sine of this period,
      or of half of it, explains;
    - ``period_fap``: log10 of the false-alarm probability of the highest peak (Baluev 2008);
    - ``period_fit``, ``period_fit_double``: share explained by four harmonics at the period and
      at twice it;
    - ``period_cycles``: baseline over period;
    - ``period_confidence``: probability of the choice among the candidates;
    - ``period_highest``: period of the plain highest peak, days; refined with several harmonics,
      so up to two grid steps from the summit of the sine;
    - ``period_second``, ``period_second_ratio``: period (days) of the strongest peak in no simple
      ratio to the chosen one, and its power over the highest;
    - with ``n_candidates`` above 0 also ``candidate_period`` (days), ``candidate_probability`` and
      ``candidate_status`` (see `Candidates.relations`), the most probable first; 0 and empty
      where there are fewer.

    Refused, with the reason: fewer than five usable points or different times, constant
    brightness, a baseline below ``min_baseline`` (a single night), a grid above ``max_grid``
    (absurd times).

    Parameters
    ----------
    max_frequency : float, default 24
        Cycles per day.
    min_cycles : float, default 2
        Cycles within the baseline of the longest period.
    oversampling : float, default 5
        Grid steps per peak width.
    max_grid : int, default 2,000,000
        Ceiling on the frequencies of one curve.
    min_baseline : float, default 1
        Days.
    n_peaks : int, default 16
        Separate peaks that are weighed.
    rule : {"ranked", "highest"}
        ``highest`` takes the highest peak as it is.
    n_candidates : int, default 0
        Candidates that are written, for people to look at.
    jobs : int or None, default None
        Threads; None takes numba's number of threads. The result does not depend on it.

    References
    ----------
    .. [1] Zechmeister & Kuerster 2009, A&A 496, 577, doi:10.1051/0004-6361:200811296
    .. [2] VanderPlas 2018, ApJS 236, 16, doi:10.3847/1538-4365/aab766
    """

    needs = Needs(min_points=5, errors=True)

    def __init__(
        self,
        max_frequency: float = 24.0,
        min_cycles: float = 2.0,
        oversampling: float = 5.0,
        max_grid: int = MAX_SIZE,
        min_baseline: float = 1.0,
        n_peaks: int = N_PEAKS,
        rule: Rule = "ranked",
        n_candidates: int = 0,
        jobs: int | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.max_frequency = max_frequency
        self.min_cycles = min_cycles
        self.oversampling = oversampling
        self.max_grid = max_grid
        self.min_baseline = min_baseline
        self.n_peaks = n_peaks
        self.rule = rule
        self.n_candidates = n_candidates
        self.jobs = jobs
        self.on_bad = on_bad

    def _check(self) -> None:
        super()._check()
        if self.rule not in ("ranked", "highest"):
            raise ConfigError(f"rule must be 'ranked' or 'highest', got {self.rule!r}")
        if not (isinstance(self.n_candidates, int) and 0 <= self.n_candidates <= 1000):
            raise ConfigError(f"n_candidates must be 0 or more, got {self.n_candidates!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        batch = self._searchable(batch)
        found = self._searched(batch)
        row = np.arange(batch.n_curves)
        plain = np.zeros(batch.n_curves, np.int64)
        chosen = plain if self.rule == "highest" else found.best()
        frequency = found.frequency[row, chosen]
        result = self._written(
            batch,
            found,
            frequency,
            found.probability[row, chosen],
            np.full(batch.n_curves, self.rule == "ranked"),
        )
        if not self.n_candidates:
            return result
        return result.with_columns(objects=found.strongest(self.n_candidates, frequency))


class UseCataloguePeriod(PeriodStep):
    """Take the period from ``catalogue_period``, with the same columns as `PeriodSearch`.

    Objects are searched all the same, because the columns that describe how the period compares
    with the other peaks need the periodogram.

    Catalogues give an eclipsing star twice the period of the sine that fits it best and a pulsating
    star that period itself, so their factor of two tells the class: a classifier that learned from
    such periods reads it, and misses it wherever the period has to be searched.

    Parameters
    ----------
    missing : {"refuse", "search"}
        What happens to an object without a positive, finite catalogue period.
    max_frequency, min_cycles, oversampling, max_grid, min_baseline, n_peaks, jobs
        As for `PeriodSearch`.
    octave : {"catalogue", "search"}, default "catalogue"
        ``search`` takes the catalogue's period, half or twice it, whichever is the most probable
        candidate of the search (within a peak width, 1 over the baseline); as it is where none of
        the three is a candidate.
    """

    needs = Needs(min_points=5, errors=True)

    def __init__(
        self,
        missing: Literal["refuse", "search"] = "refuse",
        max_frequency: float = 24.0,
        min_cycles: float = 2.0,
        oversampling: float = 5.0,
        max_grid: int = MAX_SIZE,
        min_baseline: float = 1.0,
        n_peaks: int = N_PEAKS,
        jobs: int | None = None,
        octave: Literal["catalogue", "search"] = "catalogue",
        on_bad: OnBad = "raise",
    ) -> None:
        self.missing = missing
        self.max_frequency = max_frequency
        self.min_cycles = min_cycles
        self.oversampling = oversampling
        self.max_grid = max_grid
        self.min_baseline = min_baseline
        self.n_peaks = n_peaks
        self.jobs = jobs
        self.octave = octave
        self.on_bad = on_bad

    def _check(self) -> None:
        super()._check()
        if self.missing not in ("refuse", "search"):
            raise ConfigError(f"missing must be 'refuse' or 'search', got {self.missing!r}")
        if self.octave not in ("catalogue", "search"):
            raise ConfigError(f"octave must be 'catalogue' or 'search', got {self.octave!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if self.missing == "refuse":
            batch = self.refuse(
                batch,
                ~_has_period(batch),
                "a positive 'catalogue_period' (or missing='search')",
            )
        batch = self._searchable(batch)
        found = self._searched(batch)
        row = np.arange(batch.n_curves)
        chosen = found.best()
        given = _has_period(batch)
        catalogue = 1 / np.where(given, _catalogue(batch), 1.0)
        if self.octave == "search":
            catalogue = _likeliest_octave(found, catalogue)
        return self._written(
            batch,
            found,
            np.where(given, catalogue, found.frequency[row, chosen]),
            np.where(given, 1.0, found.probability[row, chosen]),
            ~given,
        )


def _likeliest_octave(found: Candidates, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each frequency, or half or twice it: the one with the most probable candidate."""
    octaves = frequency[:, None] * OCTAVES
    width = 1.0 / np.maximum(found.baseline, 1e-12)[:, None, None]
    near = np.abs(found.frequency[:, :, None] - octaves[:, None, :]) < width
    probability = np.where(near, found.probability[:, :, None], 0.0).max(axis=1, initial=0.0)
    return np.asarray(octaves[np.arange(frequency.size), probability.argmax(axis=1)])


def _catalogue(batch: LightCurveBatch) -> NDArray[np.float64]:
    column = batch.objects.get("catalogue_period")
    if column is None:
        return np.full(batch.n_curves, np.nan)
    return np.asarray(column, np.float64)


def _has_period(batch: LightCurveBatch) -> NDArray[np.bool_]:
    period = _catalogue(batch)
    return np.isfinite(period) & (period > 0)

"""The steps that give every object its period."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.backends import choose, plans
from astroprep.period.candidates import (
    EVIDENCE,
    collect_candidates,
    describe,
    suitability,
)
from astroprep.period.choice import Candidates, period_status
from astroprep.period.grid import MAX_SIZE, GridRule
from astroprep.period.lombscargle import log10_false_alarm
from astroprep.period.points import check_points
from astroprep.period.precision import measure_periods
from astroprep.period.ranking import rank
from astroprep.threads import in_chunks

__all__ = ["AUXILIARIES", "Candidates", "PeriodSearch", "UseCataloguePeriod", "search", "weigh"]

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
RELATED = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3, 4.0, 0.25])  # ratios that make two peaks one signal
N_PEAKS = 16  # the fitted ranking saw as many
TOLERANCE = 0.01  # of the period, within which two periods are the same

Rule = Literal["ranked", "highest"]


def search(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    n_peaks: int = N_PEAKS,
    quantity: Literal["mag", "flux"] = "mag",
    jobs: int | None = None,
) -> Candidates:
    """Periodogram, peaks, and how probable each candidate is, for many curves.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``; no constant curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; every curve must have a grid by the rule.
    grid : GridRule, optional
        The default one otherwise.
    n_peaks : int, default 16
        Separate peaks that are weighed.
    quantity : {"mag", "flux"}
        Which way is faint.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    Candidates

    Raises
    ------
    DataError
        If a curve has fewer than two points, all at one time, or no grid by the rule, is not
        sorted, or has a number that is not finite or an error that is not positive.
    """
    evidence = weigh(
        time, value, error, offsets, grid=grid, n_peaks=n_peaks, quantity=quantity, jobs=jobs
    )
    n_points = np.diff(offsets)
    frequency, probability = rank(evidence, n_points)
    highest = (grid or GridRule()).max_frequency
    return Candidates.from_ranking(evidence, frequency, probability, n_points, highest)


def weigh(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    n_peaks: int = N_PEAKS,
    quantity: Literal["mag", "flux"] = "mag",
    jobs: int | None = None,
) -> NDArray[np.float64]:
    """Evidence for the strongest peaks of many curves; parameters as for `search`.

    Returns
    -------
    float64 array, shape (n_curves, n_peaks, len(EVIDENCE))
        See `astroprep.period.candidates.EVIDENCE`.

    Raises
    ------
    DataError
        As `search`.
    """
    check_points("search", time, value, error, offsets)
    n_points = np.diff(offsets)
    baseline = time[offsets[1:] - 1] - time[offsets[:-1]]
    start, step, size, reason = (grid or GridRule()).grids(baseline)
    for i in np.flatnonzero(reason != ""):
        raise DataError(f"search needs {reason[i]}: curve {i}")
    evidence = np.zeros((n_points.size, n_peaks, len(EVIDENCE)))
    choice = choose(n_points, size, step, baseline)
    faint = 1.0 if quantity == "mag" else -1.0
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        collect_candidates(
            time,
            value,
            error,
            offsets[first : last + 1],
            start[first:last],
            step[first:last],
            size[first:last],
            choice[first:last],
            tables,
            faint,
            evidence[first:last],
        )

    in_chunks(n_points.size, jobs, work)
    return evidence


def _related(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether two frequencies are the same or in a simple ratio."""
    ratio = (a / np.where(b > 0, b, np.inf))[..., None] * RELATED
    return np.asarray((np.abs(ratio - 1) < TOLERANCE).any(axis=-1))


class _PeriodStep(Transformer):
    """What both steps share: refusals, the search, the columns."""

    version: ClassVar[int] = 2  # candidates are chosen and ranked in another way than in 1
    max_frequency: float
    min_cycles: float
    oversampling: float
    max_grid: int
    min_baseline: float
    n_peaks: int
    jobs: int | None

    def _check(self) -> None:
        self._rule()
        if not self.min_baseline >= 0:
            raise ConfigError(f"min_baseline must be 0 or more days, got {self.min_baseline!r}")
        if not (isinstance(self.n_peaks, int) and 2 <= self.n_peaks <= 1000):
            raise ConfigError(f"n_peaks must be a whole number from 2, got {self.n_peaks!r}")
        if self.jobs is not None and not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise ConfigError(f"jobs must be None or a whole number from 1, got {self.jobs!r}")

    def _rule(self) -> GridRule:
        return GridRule(self.max_frequency, self.min_cycles, self.oversampling, self.max_grid)

    def _searchable(self, batch: LightCurveBatch) -> LightCurveBatch:
        """Refuse the curves in which no period can be sought, with the reason."""
        usable = batch.usable
        first, last = usable.offsets[:-1], usable.offsets[1:] - 1
        baseline = usable.time[last] - usable.time[first]
        reason = self._rule().grids(baseline)[3]
        short = (reason == "") & (baseline < self.min_baseline)
        for i in np.flatnonzero(short):
            reason[i] = (
                f"a baseline of at least min_baseline={self.min_baseline:g} days, "
                f"spans {baseline[i]:.4g}"
            )
        distinct, varies = suitability(usable.time, usable.value, usable.error, usable.offsets)
        least = self.needs.min_points
        for i in np.flatnonzero((reason == "") & (distinct < least)):
            reason[i] = f"points at {least} different times or more, has {distinct[i]}"
        reason[(reason == "") & ~varies] = "brightness that varies, it is constant"
        return self.refuse(batch, reason != "", reason)

    def _searched(self, batch: LightCurveBatch) -> Candidates:
        usable = batch.usable
        return search(
            usable.time,
            usable.value,
            usable.error,
            usable.offsets,
            grid=self._rule(),
            n_peaks=self.n_peaks,
            quantity=batch.meta.quantity,
            jobs=self.jobs,
        )

    def _written(
        self,
        batch: LightCurveBatch,
        found: Candidates,
        frequency: NDArray[np.float64],
        confidence: NDArray[np.float64],
        sharpen: NDArray[np.bool_],
    ) -> LightCurveBatch:
        """Columns at the chosen frequencies."""
        usable = batch.usable
        described = np.zeros((batch.n_curves, 6))
        alias_share = found.alias_share(frequency)
        frequency = frequency.copy()
        deviation = np.zeros(batch.n_curves)

        def work(first: int, last: int) -> None:
            measure_periods(
                usable.time,
                usable.value,
                usable.error,
                usable.offsets[first : last + 1],
                sharpen[first:last],
                frequency[first:last],
                deviation[first:last],
            )
            describe(
                usable.time,
                usable.value,
                usable.error,
                usable.offsets[first : last + 1],
                frequency[first:last],
                described[first:last],
            )

        in_chunks(batch.n_curves, self.jobs, work)
        n_peaks = found.power.shape[1]
        peak = found.frequency[:, :n_peaks]
        strongest = found.power.max(axis=1, initial=0.0)
        other = np.where((peak > 0) & ~_related(peak, frequency[:, None]), found.power, 0.0)
        second = np.argmax(other, axis=1)
        row = np.arange(batch.n_curves)
        second_frequency = np.where(other[row, second] > 0, peak[row, second], peak[:, 0])
        baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
        fap = log10_false_alarm(strongest, usable.counts(), described[:, 4], self.max_frequency)
        cycles = baseline * frequency
        return batch.with_columns(
            objects={
                "period": 1 / frequency,
                "period_err": deviation / frequency**2,
                "period_status": period_status(fap, described[:, 5], cycles, alias_share),
                "period_sine": np.where(described[:, 1] > described[:, 0], 0.5, 1.0) / frequency,
                "period_power": described[:, 0],
                "period_power_half": described[:, 1],
                "period_fap": fap,
                "period_fit": described[:, 2],
                "period_fit_double": described[:, 3],
                "period_cycles": cycles,
                "period_confidence": confidence,
                "period_highest": 1 / peak[:, 0],
                "period_second": 1 / second_frequency,
                "period_second_ratio": other[row, second] / np.maximum(strongest, 1e-12),
            }
        )


class PeriodSearch(_PeriodStep):
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


class UseCataloguePeriod(_PeriodStep):
    """Take the period from ``catalogue_period``, with the same columns as `PeriodSearch`.

    Objects are searched all the same, because the columns that describe how the period compares
    with the other peaks need the periodogram.

    Parameters
    ----------
    missing : {"refuse", "search"}
        What happens to an object without a positive, finite catalogue period.
    max_frequency, min_cycles, oversampling, max_grid, min_baseline, n_peaks, jobs
        As for `PeriodSearch`.
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
        self.on_bad = on_bad

    def _check(self) -> None:
        super()._check()
        if self.missing not in ("refuse", "search"):
            raise ConfigError(f"missing must be 'refuse' or 'search', got {self.missing!r}")

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
        period = np.where(given, _catalogue(batch), 1.0)
        return self._written(
            batch,
            found,
            np.where(given, 1 / period, found.frequency[row, chosen]),
            np.where(given, 1.0, found.probability[row, chosen]),
            ~given,
        )


def _catalogue(batch: LightCurveBatch) -> NDArray[np.float64]:
    column = batch.objects.get("catalogue_period")
    if column is None:
        return np.full(batch.n_curves, np.nan)
    return np.asarray(column, np.float64)


def _has_period(batch: LightCurveBatch) -> NDArray[np.bool_]:
    period = _catalogue(batch)
    return np.isfinite(period) & (period > 0)

"""What the steps that give a period share: refusals, the search, the columns."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.period.candidates import describe, suitability
from astroprep.period.choice import Candidates, period_status
from astroprep.period.grid import GridRule
from astroprep.period.lombscargle import log10_false_alarm
from astroprep.period.precision import measure_periods
from astroprep.period.search import search
from astroprep.threads import in_chunks

__all__ = ["RELATED", "TOLERANCE", "PeriodStep"]

RELATED = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3, 4.0, 0.25])  # ratios that make two peaks one signal
TOLERANCE = 0.01  # of the period, within which two periods are the same


def _related(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether two frequencies are the same or in a simple ratio."""
    ratio = (a / np.where(b > 0, b, np.inf))[..., None] * RELATED
    return np.asarray((np.abs(ratio - 1) < TOLERANCE).any(axis=-1))


def _second(
    found: Candidates, frequency: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strongest peak in no simple ratio to the choice and its power; the highest where none is."""
    peak = found.frequency[:, : found.power.shape[1]]
    other = np.where((peak > 0) & ~_related(peak, frequency[:, None]), found.power, 0.0)
    row, second = np.arange(frequency.size), np.argmax(other, axis=1)
    power = other[row, second]
    return np.where(power > 0, peak[row, second], peak[:, 0]), power


class PeriodStep(Transformer):
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

    def _measured(
        self, batch: LightCurveBatch, frequency: NDArray[np.float64], sharpen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Frequencies, sharpened where wanted, their deviations, and what `describe` says."""
        usable = batch.usable
        sharp = frequency.copy()
        deviation, described = np.zeros(batch.n_curves), np.zeros((batch.n_curves, 6))

        def work(first: int, last: int) -> None:
            part = slice(first, last)
            curves = (usable.time, usable.value, usable.error, usable.offsets[first : last + 1])
            measure_periods(*curves, sharpen[part], sharp[part], deviation[part])
            describe(*curves, sharp[part], described[part])

        in_chunks(batch.n_curves, self.jobs, work)
        return sharp, deviation, described

    def _written(
        self,
        batch: LightCurveBatch,
        found: Candidates,
        chosen: NDArray[np.float64],
        confidence: NDArray[np.float64],
        sharpen: NDArray[np.bool_],
    ) -> LightCurveBatch:
        """Columns at the chosen frequencies."""
        usable = batch.usable
        alias_share = found.alias_share(chosen)
        frequency, deviation, described = self._measured(batch, chosen, sharpen)
        strongest = found.power.max(axis=1, initial=0.0)
        second, second_power = _second(found, frequency)
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
                "period_highest": 1 / found.frequency[:, 0],
                "period_second": 1 / second,
                "period_second_ratio": second_power / np.maximum(strongest, 1e-12),
            }
        )

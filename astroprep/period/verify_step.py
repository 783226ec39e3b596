"""The step that holds a known period against the light curve."""

from __future__ import annotations

import numpy as np

from astroprep.base import Needs, OnBad, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.verdict import Half
from astroprep.period.verifiable import MIN_POINTS, unverifiable
from astroprep.period.verify import EpochOf, check_settings, verify_periods

__all__ = ["VerifyPeriod"]


class VerifyPeriod(Transformer):
    """Hold a period known before against the light curve.

    Adds to ``objects``, all finite:

    - ``period``: days, of the verdict; the known one where it is lost;
    - ``period_verdict``: ``confirmed``, ``drifted``, ``alias``, ``harmonic`` or ``lost``;
    - ``period_err``: days;
    - ``period_ratio``: new over known period;
    - ``period_power``, ``period_power_known``: share of the variance explained at the two;
    - ``period_fap``: log10 of the false-alarm probability;
    - ``period_departure``: standard deviations by which the light curve departs from the known
      ephemeris;
    - ``period_drift``: dP/dt in days per day where it is significant, otherwise 0;
    - ``period_drift_err``: days per day, 0 where there are too few seasons to tell;
    - ``period_epoch``: time of the extreme nearest the middle of the light curve.

    Refused, with the reason: fewer than eight usable points or different times, constant
    brightness, a baseline below one period or above 100,000 days (absurd times), a known period
    that is not positive and finite, below twice the cadence of regular sampling, or too short for
    the precision of the times.

    Parameters
    ----------
    known : str, default "catalogue_period"
        Column of the known periods, days.
    known_err : str, default "catalogue_period_err"
        Column of their standard deviations, days; used where the batch has it.
    epoch_of, max_change, min_shift, half, jobs
        As for `verify_periods`.

    References
    ----------
    .. [1] Sterken 2005, ASP Conf. Ser. 335, 3 (O-C analysis)
    .. [2] Schwarzenberg-Czerny 1996, ApJ 460, L107, doi:10.1086/309985
    """

    needs = Needs(min_points=MIN_POINTS, errors=True)

    def __init__(
        self,
        known: str = "catalogue_period",
        known_err: str = "catalogue_period_err",
        epoch_of: EpochOf = "lowest",
        max_change: float = 0.02,
        min_shift: float = 0.01,
        half: Half = "keep",
        jobs: int | None = None,
        on_bad: OnBad = "raise",
    ) -> None:
        self.known = known
        self.known_err = known_err
        self.epoch_of = epoch_of
        self.max_change = max_change
        self.min_shift = min_shift
        self.half = half
        self.jobs = jobs
        self.on_bad = on_bad

    def _check(self) -> None:
        check_settings(self.epoch_of, self.max_change, self.min_shift, self.half)
        if self.jobs is not None and not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise ConfigError(f"jobs must be None or a whole number from 1, got {self.jobs!r}")

    def _transform(self, batch: LightCurveBatch) -> LightCurveBatch:
        if self.known not in batch.objects:
            raise DataError(
                f"VerifyPeriod needs the column {self.known!r} per object, but the batch has "
                f"{', '.join(sorted(batch.objects))}; name it with known="
            )
        usable = batch.usable
        period = np.asarray(batch.objects[self.known], np.float64)
        reason = unverifiable(usable.time, usable.value, usable.error, usable.offsets, period)
        batch = self.refuse(batch, reason != "", reason)
        usable = batch.usable
        found = verify_periods(
            usable.time,
            usable.value,
            usable.error,
            usable.offsets,
            batch.objects[self.known],
            period_err=batch.objects.get(self.known_err),
            epoch_of=self.epoch_of,
            max_change=self.max_change,
            min_shift=self.min_shift,
            half=self.half,
            jobs=self.jobs,
        )
        return batch.with_columns(
            objects={
                "period": found.period,
                "period_verdict": found.text,
                "period_err": found.period_err,
                "period_ratio": found.ratio,
                "period_power": found.power,
                "period_power_known": found.power_old,
                "period_fap": found.log10_false_alarm,
                "period_departure": found.significance,
                "period_drift": np.where(found.changing, found.dp_dt, 0.0),
                "period_drift_err": np.where(np.isfinite(found.dp_dt_err), found.dp_dt_err, 0.0),
                "period_epoch": found.epoch,
            }
        )

"""Periods of objects that come again: verified where one is known, searched where it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.period.candidates import describe
from astroprep.period.lombscargle import log10_false_alarm
from astroprep.period.periodsearch import AUXILIARIES, PeriodSearch
from astroprep.period.precision import measure_periods
from astroprep.period.verdict import PeriodStatus
from astroprep.period.verifiable import unverifiable
from astroprep.period.verify import verify_periods
from astroprep.threads import in_chunks

__all__ = ["GROWTH", "KnownPeriods", "give_periods"]

GROWTH = 1.5  # times the points of the last search, from which a period is searched anew
FALSE_ALARM = -3.0  # log10; a period that chance gives more often is searched again, not verified
CONFIDENCE = 0.9  # the same of the choice among the candidates


@dataclass(frozen=True, eq=False)
class KnownPeriods:
    """What an earlier night found, by object.

    Parameters
    ----------
    period, period_err : float64 array, shape (n_curves,)
        Days; NaN where there is none.
    searched_points : int64 array, shape (n_curves,)
        Usable points that the last search saw.
    auxiliaries : dict of str to float64 array, shape (n_curves,)
        Columns `AUXILIARIES` of `PeriodSearch`.
    """

    period: NDArray[np.float64]
    period_err: NDArray[np.float64]
    searched_points: NDArray[np.int64]
    auxiliaries: dict[str, NDArray[np.float64]]

    @classmethod
    def none(cls, n: int) -> KnownPeriods:
        """Nothing known of `n` objects."""
        lost = np.full(n, np.nan)
        return cls(lost, lost, np.zeros(n, np.int64), dict.fromkeys(AUXILIARIES, lost))


def give_periods(
    batch: LightCurveBatch, step: PeriodSearch, known: KnownPeriods
) -> LightCurveBatch:
    """Columns of a period search, at the price of a verification where one is enough.

    Parameters
    ----------
    batch : LightCurveBatch
        Behind the steps that stand before the search; ``objects["known"]`` is the row of each
        curve in `known`.
    step : PeriodSearch
        The search.
    known : KnownPeriods
        Of earlier nights.

    Returns
    -------
    LightCurveBatch
        With the columns of `PeriodSearch`, and ``period_origin`` (``searched``, ``confirmed`` or
        ``drifted``) and ``searched_points``. Curves that cannot be searched are rejected.

    Notes
    -----
    A known period is kept when it was sure (false-alarm probability below 0.001, confidence above
    0.9), `verify_periods` confirms it or finds it slightly changed, and the curve has less than 1.5
    times the points of its last search. It is then measured as the search would measure it, so
    that the same points give the same period. The highest and the second peak are followed on the
    new points, and the false-alarm probability is that of now; only the confidence, which needs
    all candidates, stays that of the last search.
    """
    row = batch.objects["known"]
    usable = batch.usable
    period = known.period[row]
    counts = usable.counts()
    reason = unverifiable(usable.time, usable.value, usable.error, usable.offsets, period)
    sure = known.auxiliaries["period_fap"][row] <= FALSE_ALARM
    sure &= known.auxiliaries["period_confidence"][row] >= CONFIDENCE
    for name in ("period_highest", "period_second"):
        sure &= known.auxiliaries[name][row] > 0
    few = counts < GROWTH * known.searched_points[row]
    candidate = np.flatnonzero((reason == "") & few & sure)
    kept = np.zeros(len(batch), bool)
    status = np.zeros(len(batch), np.int64)
    found_period = period.copy()
    if candidate.size:
        some = batch.take(candidate).usable
        verdict = verify_periods(
            some.time,
            some.value,
            some.error,
            some.offsets,
            period[candidate],
            period_err=known.period_err[row][candidate],
            jobs=step.jobs,
        )
        status[candidate] = verdict.status
        kept[candidate] = verdict.status <= PeriodStatus.DRIFTED
        found_period[candidate] = verdict.period
    searched = step.transform(batch.take(~kept))
    searched = searched.with_columns(
        objects={
            "period_origin": np.full(len(searched), "searched", object),
            "searched_points": searched.usable.counts(),
        }
    )
    if not kept.any():
        return _with_rejected(searched, batch)
    words = np.where(status == PeriodStatus.DRIFTED, "drifted", "confirmed").astype(object)
    verified = _measured(batch.take(kept), found_period[kept], words[kept], known, step)
    return _with_rejected(LightCurveBatch.concat([verified, searched]), batch)


def _with_rejected(result: LightCurveBatch, before: LightCurveBatch) -> LightCurveBatch:
    """Give back those that were rejected before the selection, which has none."""
    from dataclasses import replace

    from astroprep.data import Rejected

    return replace(result, rejected=Rejected.concat([before.rejected, result.rejected]))


def _measured(
    batch: LightCurveBatch,
    period: NDArray[np.float64],
    origin: NDArray[np.object_],
    known: KnownPeriods,
    step: PeriodSearch,
) -> LightCurveBatch:
    """Columns of verified periods."""
    usable, row = batch.usable, batch.objects["known"]
    given = {name: known.auxiliaries[name][row] for name in AUXILIARIES}
    frequency, deviation, described = _followed(batch, period, step.jobs)
    highest, _, at_highest = _followed(batch, given["period_highest"], step.jobs)
    second, _, at_second = _followed(batch, given["period_second"], step.jobs)
    strongest = np.maximum(described[:, :2].max(axis=1, initial=0.0), at_highest[:, 0])
    counts, spread = usable.counts(), described[:, 4]
    baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
    columns: dict[str, NDArray[Any]] = {
        "period": 1 / frequency,
        "period_err": deviation / frequency**2,
        "period_status": np.full(len(batch), "known", object),
        "period_sine": np.where(described[:, 1] > described[:, 0], 0.5, 1.0) / frequency,
        "period_power": described[:, 0],
        "period_power_half": described[:, 1],
        "period_fap": log10_false_alarm(strongest, counts, spread, step.max_frequency),
        "period_fit": described[:, 2],
        "period_fit_double": described[:, 3],
        "period_cycles": baseline * frequency,
        "period_confidence": given["period_confidence"],
        "period_highest": 1 / highest,
        "period_second": 1 / second,
        "period_second_ratio": at_second[:, 0] / np.maximum(strongest, 1e-12),
        "period_origin": origin,
        "searched_points": known.searched_points[row],
    }
    return batch.with_columns(objects=columns)


def _followed(
    batch: LightCurveBatch, period: NDArray[np.float64], jobs: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Frequency at the top of each period's peak, its deviation, and what `describe` says there."""
    usable, n = batch.usable, len(batch)
    frequency, deviation, described = 1 / period, np.zeros(n), np.zeros((n, 6))
    sharpen = np.ones(n, bool)

    def work(first: int, last: int) -> None:
        part = (usable.time, usable.value, usable.error, usable.offsets[first : last + 1])
        measure_periods(*part, sharpen[first:last], frequency[first:last], deviation[first:last])
        describe(*part, frequency[first:last], described[first:last])

    in_chunks(n, jobs, work)
    return frequency, deviation, described

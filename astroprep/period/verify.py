"""Does a period measured before still hold? Asked of a light curve at a few per cent of a search.

A survey that knows the period of a star need not search for it again every night, but a stored
period may have been an alias, half the truth, measured on too short a baseline, or right and no
longer so. `verify_periods` looks only where such errors lead: near the old frequency, at its
simple multiples, and where the sampling (day, sidereal day, month, year) confuses it with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.period.examine import examine
from astroprep.period.local import REACH, transform_table
from astroprep.period.segments import MOST
from astroprep.period.verdict import Half, Judgement, PeriodStatus, judge
from astroprep.period.verifiable import unverifiable
from astroprep.period.verify_evidence import EVIDENCE
from astroprep.threads import in_chunks

__all__ = ["EpochOf", "PeriodStatus", "Verification", "check_settings", "verify_periods"]

EpochOf = Literal["lowest", "highest"]

NARROWEST = 1.5  # 1 / baseline; the window reaches at least as far on either side
ERRORS = 5.0  # standard deviations of the stored period that the window covers


@dataclass(frozen=True)
class Verification:
    """What became of known periods; arrays of shape (n_curves,) unless said otherwise.

    Parameters
    ----------
    status : int64 array
        `PeriodStatus`: 0 confirmed, 1 drifted, 2 alias, 3 harmonic, 4 lost.
    period, period_err : float64 array
        Days, of the verdict, in the middle of the baseline; the old ones where it is lost.
    ratio : float64 array
        New over old period.
    power_old, power : float64 array
        Share of the variance that up to four harmonics explain at the old period and at the new.
    log10_false_alarm : float64 array
        That noise explains as much, given all frequencies that were tried.
    significance : float64 array
        Standard deviations by which the light curve departs from the old ephemeris.
    dp_dt, dp_dt_err : float64 array
        Change of the period, days per day. The best estimate, significant or not (see
        `changing`); 0 with an infinite error where there are too few seasons.
    changing : bool array
        Whether the change itself is significant. ``drifted`` without it is a new constant period.
    epoch : float64 array
        Time, on the scale of the input, of the template's extreme nearest the middle of the
        baseline.
    middle, baseline : float64 array
        Of the light curve, days.
    segment_offsets : int64 array, shape (n_curves + 1,)
        The O-C of curve i is ``segment_offsets[i]:segment_offsets[i + 1]``; none for alias,
        harmonic and lost, whose old ephemeris counts nothing.
    segment_time : float64 array, shape (n_segments,)
        Weighted mean time of the points of each segment, on the scale of the input.
    o_minus_c, o_minus_c_err : float64 array, shape (n_segments,)
        Days by which each segment is later than the old ephemeris says. Without a stored epoch
        the zero is the new ephemeris in the middle of the baseline, so only differences count.
    segment_points : int64 array, shape (n_segments,)
        Points of each segment.
    """

    status: NDArray[np.int64]
    period: NDArray[np.float64]
    period_err: NDArray[np.float64]
    ratio: NDArray[np.float64]
    power_old: NDArray[np.float64]
    power: NDArray[np.float64]
    log10_false_alarm: NDArray[np.float64]
    significance: NDArray[np.float64]
    dp_dt: NDArray[np.float64]
    dp_dt_err: NDArray[np.float64]
    changing: NDArray[np.bool_]
    epoch: NDArray[np.float64]
    middle: NDArray[np.float64]
    baseline: NDArray[np.float64]
    segment_offsets: NDArray[np.int64]
    segment_time: NDArray[np.float64]
    o_minus_c: NDArray[np.float64]
    o_minus_c_err: NDArray[np.float64]
    segment_points: NDArray[np.int64]

    @property
    def text(self) -> NDArray[np.object_]:
        """The status in words, object array of str, shape (n_curves,)."""
        words = np.array([status.name.lower() for status in PeriodStatus], dtype=object)
        return words[self.status]


def verify_periods(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: ArrayLike,
    *,
    period_err: ArrayLike | None = None,
    epoch: ArrayLike | None = None,
    epoch_of: EpochOf = "lowest",
    max_change: float = 0.02,
    min_shift: float = 0.01,
    half: Half = "keep",
    jobs: int | None = None,
) -> Verification:
    """Verdicts on the known periods of many light curves.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit, the unit of `value`; sorted by time within each curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        The known ones, days.
    period_err : float64 array, shape (n_curves,), optional
        Standard deviation of each, days. Where it is missing or NaN, the old period is taken to
        be as uncertain as the new measurement.
    epoch : float64 array, shape (n_curves,), optional
        Known times of an extreme, from which O-C is counted, to the nearest cycle; NaN where
        there is none.
    epoch_of : {"lowest", "highest"}
        Which extreme of `value` the epochs are of. Magnitudes are lowest at maximum light.
    max_change : float, default 0.02
        Largest relative change of the period that is looked for, within `REACH` over the
        baseline at most and `NARROWEST` over the baseline at least.
    min_shift : float, default 0.01
        Cycles over the whole baseline by which the old ephemeris must be wrong to be called
        drifted; less does not show in a folded curve of 64 phases.
    half : {"keep", "report"}
        What becomes of a period of which every other harmonic is noise, so that half of it is
        enough: a binary with two equal eclipses, or a wrong period. Only the astronomer knows.
        ``report`` calls it a harmonic.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    Verification

    Raises
    ------
    ConfigError
        If a setting is wrong.
    DataError
        If a curve cannot be served, for a reason of `unverifiable`.

    Notes
    -----
    A period is significant, drifted or changing where the chance of that by noise is below 1e-3.
    A rival family has to pass an F-test with all its coefficients and to leave less than 0.8 of
    the unexplained variance. On 8,000 injected stars of constant period, 60 and 300 points, 0.12
    per cent were called drifted with the period exact, 0.24 per cent with one measured before on
    equally many points and no error given (``benchmarks/period_verify.py``).

    Not told apart: a change that moves the frequency by one cycle per year or month is called an
    alias; of a change by more than the window reaches, or of several cycles in few points, all
    that is said is ``lost``. A lost period needs `PeriodSearch`.
    """
    check_settings(epoch_of, max_change, min_shift, half)
    n_curves = offsets.size - 1
    known = _per_curve("period", period, n_curves)
    known_err = _per_curve("period_err", period_err, n_curves)
    known_epoch = _per_curve("epoch", epoch, n_curves)
    reason = unverifiable(time, value, error, offsets, known)
    for i in np.flatnonzero(reason != ""):
        raise DataError(
            f"verify_periods needs {reason[i]}: curve {i}; {(reason != '').sum()} of {n_curves} "
            "curves are like this. Leave them out (see unverifiable)."
        )
    frequency = 1 / known
    frequency_error = np.where(known_err >= 0, known_err * frequency**2, np.nan)
    baseline = time[offsets[1:] - 1] - time[offsets[:-1]]
    wanted = np.fmax(max_change * frequency, ERRORS * frequency_error) * baseline
    reach = np.clip(wanted, NARROWEST, REACH)
    evidence = np.zeros((n_curves, len(EVIDENCE)))
    segment = np.zeros((n_curves, 3, MOST))
    segment_points = np.zeros((n_curves, MOST), np.int64)
    n_segments = np.zeros(n_curves, np.int64)
    twiddle, order = transform_table()
    highest = 1.0 if epoch_of == "highest" else -1.0

    def work(first: int, last: int) -> None:
        part = slice(first, last)
        known_of = (offsets[first : last + 1], frequency[part], reach[part], highest)
        found = (evidence[part], segment[part], segment_points[part], n_segments[part])
        examine(time, value, error, *known_of, twiddle, order, *found)

    in_chunks(n_curves, jobs, work)
    verdict = judge(evidence, np.diff(offsets), frequency, frequency_error, min_shift, half)
    return _collected(verdict, evidence, known, known_epoch, segment, segment_points, n_segments)


def _collected(
    verdict: Judgement,
    evidence: NDArray[np.float64],
    known: NDArray[np.float64],
    known_epoch: NDArray[np.float64],
    segment: NDArray[np.float64],
    segment_points: NDArray[np.int64],
    n_segments: NDArray[np.int64],
) -> Verification:
    """Periods and days out of frequencies and cycles; the segments that say something."""
    e = {name: evidence[:, k] for k, name in enumerate(EVIDENCE)}
    period = 1 / verdict.frequency
    epoch = e["middle"] + e["extreme"]
    holds = verdict.status <= PeriodStatus.DRIFTED
    used = np.arange(MOST) < n_segments[:, None]
    used &= holds[:, None] & np.isfinite(segment[:, 2])
    at, late = segment[:, 0], segment[:, 1]
    frequency = np.where(e["bend"] != 0, e["frequency_bent"], verdict.frequency)
    move = (1 / known - frequency)[:, None] * at - e["bend"][:, None] * at**2
    cycles = (epoch - np.where(np.isfinite(known_epoch), known_epoch, epoch)) / known
    zero = (cycles - np.rint(cycles))[:, None] - (1 / known - frequency)[:, None] * (
        e["extreme"] * np.isfinite(known_epoch)
    )[:, None]
    days = (late + move + zero) * known[:, None]
    return Verification(
        status=verdict.status,
        period=np.where(verdict.status == PeriodStatus.LOST, known, period),
        period_err=verdict.frequency_error * period**2,
        ratio=np.where(verdict.status == PeriodStatus.LOST, 1.0, period / known),
        power_old=e["power_old"].copy(),
        power=verdict.power,
        log10_false_alarm=verdict.log10_false_alarm,
        significance=verdict.significance,
        dp_dt=-2 * verdict.bend * period**2,
        dp_dt_err=2 * verdict.bend_error * period**2,
        changing=verdict.changing,
        epoch=epoch,
        middle=e["middle"].copy(),
        baseline=e["baseline"].copy(),
        segment_offsets=np.concatenate(([0], np.cumsum(used.sum(axis=1)))),
        segment_time=(at + e["middle"][:, None])[used],
        o_minus_c=days[used],
        o_minus_c_err=(segment[:, 2] * known[:, None])[used],
        segment_points=segment_points[used],
    )


def _per_curve(name: str, given: ArrayLike | None, n_curves: int) -> NDArray[np.float64]:
    if given is None:
        return np.full(n_curves, np.nan)
    column = np.asarray(given, np.float64)
    if column.shape != (n_curves,):
        raise DataError(
            f"verify_periods needs one {name} per curve, shape ({n_curves},), got {column.shape}"
        )
    return column


def check_settings(epoch_of: str, max_change: float, min_shift: float, half: str) -> None:
    """Raise `ConfigError` unless `verify_periods` can take these settings; see there."""
    if epoch_of not in ("lowest", "highest"):
        raise ConfigError(f"epoch_of must be 'lowest' or 'highest', got {epoch_of!r}")
    if half not in ("keep", "report"):
        raise ConfigError(f"half must be 'keep' or 'report', got {half!r}")
    if not 0 < max_change < 0.3:
        raise ConfigError(
            f"max_change must lie between 0 and 0.3, got {max_change!r}: from a third on, "
            "neighbours are harmonics"
        )
    if not (np.isfinite(min_shift) and min_shift >= 0):
        raise ConfigError(f"min_shift must be 0 or more cycles, got {min_shift!r}")

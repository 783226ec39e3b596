"""On which curves a known period can be verified, and why not on the others."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["MIN_POINTS", "unverifiable"]

MIN_POINTS = 8  # one sine, a frequency and a mean leave four points to judge them by
LONGEST = 1e5  # days; the oldest photographs of stars are of 1850, more is an absurd time
RESOLVED = 1e3  # steps of a float64 time within a period, so that phases are good to a thousandth
WHOLE = 0.05  # of the smallest gap; gaps this near to its multiples make the sampling regular


@njit(cache=True)
def _sampling(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Whether all is finite, different times, whether values differ, cadence (0: irregular)."""
    n = offsets.size - 1
    finite = np.ones(n, np.bool_)
    distinct = np.zeros(n, np.int64)
    varies = np.zeros(n, np.bool_)
    cadence = np.zeros(n)
    for i in range(n):
        smallest = np.inf
        for j in range(offsets[i], offsets[i + 1]):
            good = np.isfinite(time[j]) and np.isfinite(value[j]) and np.isfinite(error[j])
            finite[i] = finite[i] and good and error[j] > 0
            gap = time[j] - time[j - 1] if j > offsets[i] else np.inf
            distinct[i] += gap > 0
            varies[i] = varies[i] or value[j] != value[offsets[i]]
            if 0 < gap < smallest:
                smallest = gap
        cadence[i] = smallest if smallest < np.inf else 0.0
        for j in range(offsets[i] + 1, offsets[i + 1]):
            steps = (time[j] - time[j - 1]) / smallest
            if abs(steps - np.rint(steps)) > WHOLE:
                cadence[i] = 0.0
                break
    return finite, distinct, varies, cadence


def unverifiable(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
) -> NDArray[np.object_]:
    """Why a period cannot be verified on a curve: a phrase after "needs", ``""`` where it can.

    Parameters
    ----------
    time, value, error, offsets, period
        As for `verify_periods`.

    Returns
    -------
    object array of str, shape (n_curves,)

    Notes
    -----
    Irregular sampling has no limit in frequency: periods far below the typical gap are measured
    well. Only where all gaps are multiples of the smallest, as with a fixed cadence, is a period
    below twice that cadence the image of a longer one.
    """
    reason = np.full(offsets.size - 1, "", dtype=object)

    def give(where: NDArray[np.bool_], phrase: str, *columns: NDArray[np.generic]) -> None:
        for i in np.flatnonzero(where & (reason == "")):
            reason[i] = phrase.format(*(column[i] for column in columns))

    finite, distinct, varies, cadence = _sampling(time, value, error, offsets)
    give(~finite, "finite times and values and positive errors (see FlagBad)")
    give(~(np.isfinite(period) & (period > 0)), "a positive known period, has {}", period)
    give(
        distinct < MIN_POINTS,
        f"points at {MIN_POINTS} different times or more, has {{}}",
        distinct,
    )
    give(~varies, "brightness that varies, it is constant")
    some = distinct > 0
    baseline = np.zeros(period.size)
    baseline[some] = time[offsets[1:][some] - 1] - time[offsets[:-1][some]]
    give(
        ~(baseline <= LONGEST),
        "a baseline of at most 100,000 days, spans {:.6g}; flag absurd times first (FlagBad)",
        baseline,
    )
    give(
        baseline < period,
        "a baseline of at least one period, {:.6g} days, spans {:.6g}",
        period,
        baseline,
    )
    step = np.zeros(period.size)
    step[some] = np.spacing(np.abs(time[offsets[1:][some] - 1]))
    give(
        period < RESOLVED * step,
        "a period that the times resolve, {:.2g} days apart at least, has {:.6g}",
        step,
        period,
    )
    give(
        period < 2 * cadence,
        "a period of at least twice the cadence of {:.6g} days, has {:.6g}",
        cadence,
        period,
    )
    return reason

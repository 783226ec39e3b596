"""Where the sampling repeats a frequency: aliases of the day, the month and the year."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.climb import CLIMB, climb
from astroprep.period.exact import harmonic_fit

__all__ = ["OFFSETS", "alias_of", "best_alias", "some_of"]

SOME = 250  # points on which rivals are compared before they are fitted to all
GOLDEN = 0.5 * (5**0.5 - 1)
RIVALS = 2  # aliases that are fitted with all harmonics
LIKELY = 0.9  # of the power of two harmonics at the known frequency, from which it is fitted
DAY, SIDEREAL, YEAR, MONTH = 1.0, 1.0027379, 1 / 365.25, 1 / 29.530589  # cycles per day
OFFSETS = np.array(
    [sign * size for size in (DAY, SIDEREAL, 2 * DAY, MONTH, YEAR) for sign in (1.0, -1.0)]
)
"""Frequencies at which ground-based sampling repeats, cycles per day, both signs."""


@njit(cache=True)
def some_of(
    time: NDArray[np.float64], weight: NDArray[np.float64], weighted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points enough to compare frequencies roughly; all of a curve that has no more than twice.

    One point is taken from each of `SOME` runs of equal length, at a place in the run that the
    golden ratio moves on, so that visits in pairs or fours do not all give their first.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.

    Returns
    -------
    time, weight, weighted : float64 array, shape (SOME,) or (n_points,)
        As from `astroprep.period.exact.standardise`.
    """
    n = time.size
    if n <= 2 * SOME:
        return time, weight, weighted
    t = np.empty(SOME)
    w = np.empty(SOME)
    y = np.empty(SOME)
    turn = 0.0
    for i in range(SOME):
        turn = (turn + GOLDEN) % 1.0
        j = int((i + turn) * n / SOME)
        t[i] = time[j]
        w[i] = weight[j]
        y[i] = weighted[j] / weight[j]
    w /= w.sum()
    y -= (w * y).sum()
    y /= max(np.sqrt((w * y * y).sum()), 1e-300)
    return t, w, w * y


@njit(cache=True)
def best_alias(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    baseline: float,
    n_harmonics: int,
    dominant: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float, float]:
    """The frequency that the sampling confuses most with a known one.

    Aliases belong to the harmonic that carries the power: a binary whose second harmonic
    dominates has them half as far from its frequency.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    frequency : float
        The known one, cycles per day.
    baseline : float
        Last minus first time, days.
    dominant : int
        Number of its strongest harmonic, 1 or 2.
    n_harmonics, work, matrix, coefficient
        As for `harmonic_fit`.

    Returns
    -------
    frequency, power, curvature : float
        As from `climb`; power 0 where no alias is worth a climb.
    """
    few = min(n_harmonics, 2)
    some = some_of(time, weight, weighted)
    strong = harmonic_fit(some[0], some[1], some[2], frequency, few, work, matrix, coefficient)
    found = np.zeros(OFFSETS.size)
    for k in range(OFFSETS.size):
        at = abs(frequency + OFFSETS[k] / dominant)
        # nearer than one and a half peaks it is the same peak; a day of another kind, the same
        if abs(OFFSETS[k]) * baseline < 1.5 * dominant or at * baseline < 1.0:
            continue
        if abs(abs(OFFSETS[k]) - SIDEREAL) < 1e-9 and (SIDEREAL - DAY) * baseline < 0.5:
            continue
        found[k] = harmonic_fit(some[0], some[1], some[2], at, few, work, matrix, coefficient)
    best, top, bend = 0.0, 0.0, 0.0
    for _ in range(RIVALS):
        k = int(np.argmax(found))
        if found[k] <= LIKELY * strong:
            break
        found[k] = 0.0
        where, power, curvature = climb(
            time,
            weight,
            weighted,
            abs(frequency + OFFSETS[k] / dominant),
            -1.0,
            CLIMB / baseline,
            n_harmonics,
            work,
            matrix,
            coefficient,
        )
        if power > top:
            best, top, bend = where, power, curvature
    return best, top, bend


def alias_of(
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    dominant: NDArray[np.float64],
    baseline: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether one frequency lies where the sampling repeats another, to within half a peak.

    Parameters
    ----------
    old, new : float64 array, shape (n_curves,)
        Cycles per day.
    dominant : float64 array, shape (n_curves,)
        Number of the strongest harmonic.
    baseline : float64 array, shape (n_curves,)
        Days.

    Returns
    -------
    bool array, shape (n_curves,)
    """
    near = np.zeros(old.shape, bool)
    for offset in OFFSETS:
        meant = np.abs(old + offset / dominant)
        far = np.abs(meant - old) * baseline > 1.0
        near |= far & (np.abs(new - meant) * baseline < 0.5)
    return near

"""Candidate periods of a curve and the choice among them.

A candidate is one of the strongest separate peaks of the Lomb-Scargle periodogram, an alias or
harmonic of the highest ones (`pool`), or twice the period of any. All are screened by quick
Fourier fits; the survivors are weighed: how much of the variance 1 to 8 harmonics and phase bins
explain at the frequency, at its half, double and quarter, how smooth and how ordered the folded
curve is, how strongly the sampling itself repeats. `ranking` turns that into probabilities.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.backends import grid_power, room_for
from astroprep.period.evidence import EVIDENCE, moments, weigh_peak, window
from astroprep.period.exact import MAX_HARMONICS, harmonic_fit, standardise
from astroprep.period.folds import ENTROPY_LEVELS, levels, usable_harmonics
from astroprep.period.peaks import confirm_peak, strongest_peaks
from astroprep.period.pool import pool, screen
from astroprep.period.spectrum import Plan

__all__ = ["DROWNED", "EVIDENCE", "collect_candidates", "describe", "drowned", "suitability"]

SEPARATION = 1.0  # peaks closer than this over the baseline belong together
RELATIVE_SEPARATION = (
    0.0025  # and those whose periods differ by less; yearly sidelobes of short periods
)

POOL = 4  # local maxima screened per peak that is weighed
ENORMOUS = 1e100  # errors over the range of the values; their squares overflow from 1e154 on
DROWNED = "errors below 1e100 times the range of the brightness (see FlagBad)"
ALWAYS = 0.4  # share of the weighed peaks that are the highest, whatever the screening says


@njit(cache=True, nogil=True)
def collect_candidates(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    size: NDArray[np.int64],
    choice: NDArray[np.int64],
    plans: tuple[Plan, ...],
    faint: float,
    evidence: NDArray[np.float64],
) -> None:
    """Search some curves and weigh their strongest peaks.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``, not constant.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    start, step : float64 array, shape (n_curves,)
        Grids, cycles per day.
    size, choice : int64 array, shape (n_curves,)
        Frequencies of each grid, and what `astroprep.period.backends.choose` says.
    plans : tuple of Plan
        Tables of the transforms.
    faint : float
        +1 where large values are faint (magnitudes), -1 where they are bright.
    evidence : float64 array, shape (n_curves, n_peaks, len(EVIDENCE))
        Filled: peaks by falling power of the sine; frequency 0 where there are no more.
    """
    n_peaks = evidence.shape[1]
    largest = 0
    for i in range(offsets.size - 1):
        largest = max(largest, offsets[i + 1] - offsets[i])
    work = np.empty((4, largest))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    room = np.empty(size.max(), np.float32)
    needed = 0
    for i in range(offsets.size - 1):
        n = offsets[i + 1] - offsets[i]
        needed = max(needed, room_for(n, size[i], 1, choice[i], plans[max(choice[i], 0)]))
    transform_room = np.empty(needed, np.float32)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, _ = standardise(time[part], value[part], error[part])
        baseline = time[offsets[i + 1] - 1] - time[offsets[i]]
        power = room[: size[i]]
        plan = plans[max(choice[i], 0)]
        grid_power(
            centred,
            weighted,
            weight,
            start[i],
            step[i],
            1,
            choice[i],
            plan,
            power,
            transform_room,
        )
        first = int(np.rint(start[i] / step[i]))
        separation = SEPARATION / (baseline * step[i])
        peak = strongest_peaks(power, first, POOL * n_peaks, separation, RELATIVE_SEPARATION)
        found_at = pool(power, start[i], step[i], peak, separation)
        gain = np.empty(found_at.size)
        for k in range(found_at.size):
            gain[k] = screen(centred, weight, weighted, found_at[k], work, matrix, coefficient)
        sure = min(int(np.ceil(ALWAYS * n_peaks)), peak.size)
        gain[:sure] = np.inf
        kept = np.argsort(-gain, kind="mergesort")[:n_peaks]
        found = evidence[i]
        found[:] = 0.0
        for k in range(kept.size):
            at = found_at[kept[k]]
            low = max(at - step[i], 0.5 * step[i])
            found[k, 0], found[k, 1] = confirm_peak(
                centred, weight, weighted, low, at + step[i], 1, work, matrix, coefficient
            )
        order = np.argsort(-found[: kept.size, 1], kind="mergesort")
        ordered = found[: kept.size][order]
        for k in range(kept.size):
            for m in range(found.shape[1]):
                found[k, m] = ordered[k, m]
        standard = np.zeros(weight.size)
        for j in range(weight.size):
            if weight[j] > 0:  # zero where an error bar is 1e160 times the smallest
                standard[j] = weighted[j] / weight[j]
        level = levels(faint * standard, ENTROPY_LEVELS)  # alike in mag and flux
        third, fourth = moments(weight, standard)
        away = centred - (weight * centred).sum()
        spread = np.sqrt((weight * away * away).sum())
        for k in range(kept.size):
            found[k, 3] = baseline
            found[k, 4] = spread
            found[k, 5] = faint * third
            found[k, 6] = fourth
            weigh_peak(
                centred,
                weight,
                weighted,
                standard,
                level,
                baseline,
                faint,
                found[k],
                work,
                matrix,
                coefficient,
            )


@njit(cache=True, nogil=True)
def describe(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    described: NDArray[np.float64],
) -> None:
    """What a sine and four harmonics explain at one frequency of each curve and at half of it.

    Parameters
    ----------
    time, value, error, offsets
        As for `collect_candidates`.
    frequency : float64 array, shape (n_curves,)
        Cycles per day.
    described : float64 array, shape (n_curves, 6)
        Filled: power of the sine, power of the sine at twice the frequency, share explained by
        four harmonics, the same at half the frequency, standard deviation of the times in days,
        spectral window at the frequency or at twice it, the larger.
    """
    largest = 0
    for i in range(offsets.size - 1):
        largest = max(largest, offsets[i + 1] - offsets[i])
    work = np.empty((4, largest))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, _ = standardise(time[part], value[part], error[part])
        n = usable_harmonics(centred.size, 4)
        for column, at, harmonics in (
            (0, frequency[i], 1),
            (1, 2.0 * frequency[i], 1),
            (2, frequency[i], n),
            (3, 0.5 * frequency[i], n),
        ):
            described[i, column] = harmonic_fit(
                centred, weight, weighted, at, harmonics, work, matrix, coefficient
            )
        spread = centred - (weight * centred).sum()
        described[i, 4] = np.sqrt((weight * spread * spread).sum())
        described[i, 5] = max(
            window(centred, weight, frequency[i]), window(centred, weight, 2 * frequency[i])
        )


@njit(cache=True, nogil=True)
def suitability(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Whether there is anything to search in each curve.

    Parameters
    ----------
    time, value, error, offsets
        As for `collect_candidates`; constant curves are what this looks for.

    Returns
    -------
    distinct : int64 array, shape (n_curves,)
        Different times.
    varies : bool array, shape (n_curves,)
        False where all values are equal.
    """
    distinct = np.zeros(offsets.size - 1, np.int64)
    varies = np.zeros(offsets.size - 1, np.bool_)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] > offsets[i]:
            varies[i] = standardise(time[part], value[part], error[part])[3] > 0.0
            distinct[i] = 1
        for j in range(offsets[i] + 1, offsets[i + 1]):
            distinct[i] += time[j] != time[j - 1]
    return distinct, varies


@njit(cache=True)
def drowned(
    value: NDArray[np.float64], error: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether a curve has an error whose square overflows beside its brightness.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Finite, ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    bool array, shape (n_curves,)
        True where an error is above `ENORMOUS` times the range of the values; False for constant
        and empty curves.
    """
    found = np.zeros(offsets.size - 1, np.bool_)
    for i in range(found.size):
        part = slice(offsets[i], offsets[i + 1])
        if offsets[i + 1] > offsets[i]:
            half_range = 0.5 * value[part].max() - 0.5 * value[part].min()
            found[i] = half_range > 0 and error[part].max() / half_range > ENORMOUS
    return found

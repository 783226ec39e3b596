"""Candidate periods of a curve and the choice among them.

A candidate is one of the strongest separate peaks of the Lomb-Scargle periodogram, or twice the
period of one. How many Fourier harmonics explain how much of the variance at each, how sharp the
folded curve is and whether the frequency is a whole number of cycles per day make its score: a
linear function whose coefficients were fitted on labelled stars (`coefficients`). Twice the
period for eclipsing shapes is the part of that fit that is a prior: nothing in a sine of half the
period forbids it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.backends import grid_power, room_for
from astroprep.period.exact import MAX_HARMONICS, harmonic_fit, standardise
from astroprep.period.peaks import confirm_peak, strongest_peaks
from astroprep.period.spectrum import Plan

__all__ = ["EVIDENCE", "collect_candidates", "describe", "suitability"]

SEPARATION = 1.0  # peaks closer than this over the baseline belong together
RELATIVE_SEPARATION = (
    0.0025  # and those whose periods differ by less; yearly sidelobes of short periods
)
REACH = 0.3  # a fit of several harmonics may sit this far, over the baseline, from the sine's peak

EVIDENCE = (
    "frequency",  # of the sine, cycles per day
    "power_1",  # share of variance explained by 1, 2, 4 harmonics at the peak
    "power_2",
    "power_4",
    "frequency_half",  # of the best 4-harmonic fit at half the frequency
    "half_2",  # share explained at half the frequency, by 2, 4 and 8 harmonics
    "half_4",
    "half_8",
    "sharp_faint",  # second harmonic in phase with the first's faintest point, relative amplitude
    "sharp_rise",  # and a quarter turn from it
    "frequency_refined",  # of the best 4-harmonic fit near the peak
    "window",  # how strongly the sampling itself repeats at the peak, 0 to 1
)


@njit(cache=True)
def _harmonics_for(n_points: int, wanted: int) -> int:
    """As many harmonics as wanted, but four points for each coefficient pair."""
    return int(max(1, min(wanted, (n_points - 3) // 4)))


@njit(cache=True)
def _near_best(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    center: float,
    reach: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float]:
    """Highest of five fits around a frequency, improved once by a parabola."""
    best = center
    top = -1.0
    step = 0.5 * reach
    for i in range(-2, 3):
        at = center + i * step
        p = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        if p > top:
            top = p
            best = at
    left = harmonic_fit(
        time, weight, weighted, best - 0.5 * step, n_harmonics, work, matrix, coefficient
    )
    right = harmonic_fit(
        time, weight, weighted, best + 0.5 * step, n_harmonics, work, matrix, coefficient
    )
    bend = left - 2 * top + right
    if bend < 0:
        shift = min(max(0.5 * (left - right) / bend, -1.0), 1.0)
        at = best + 0.5 * step * shift
        p = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        if p > top:
            top = p
            best = at
    return best, top


@njit(cache=True)
def _window(time: NDArray[np.float64], weight: NDArray[np.float64], frequency: float) -> float:
    """Size of the spectral window, 0 to 1: 1 where all points share a phase."""
    real = 0.0
    imaginary = 0.0
    for j in range(time.size):
        angle = 2 * np.pi * frequency * time[j]
        real += weight[j] * np.cos(angle)
        imaginary += weight[j] * np.sin(angle)
    return float(np.hypot(real, imaginary))


@njit(cache=True)
def _weigh_peak(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    baseline: float,
    faint: float,
    row: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> None:
    """Fill the evidence of one peak whose frequency and sine power are known."""
    n = time.size
    frequency = row[0]
    reach = REACH / baseline
    row[2] = harmonic_fit(
        time, weight, weighted, frequency, _harmonics_for(n, 2), work, matrix, coefficient
    )
    best, top = _near_best(
        time, weight, weighted, frequency, reach, _harmonics_for(n, 4), work, matrix, coefficient
    )
    row[10] = best
    row[3] = top
    row[2] = max(
        row[2],
        harmonic_fit(time, weight, weighted, best, _harmonics_for(n, 2), work, matrix, coefficient),
    )
    first = complex(coefficient[0], coefficient[1])
    second = complex(coefficient[2], coefficient[3]) if n >= 11 else 0j
    size = abs(first)
    if size > 0:
        turned = second * np.conj(first) ** 2 / size**3
        row[8] = faint * turned.real
        row[9] = faint * turned.imag
    half, top = _near_best(
        time,
        weight,
        weighted,
        0.5 * best,
        0.5 * reach,
        _harmonics_for(n, 4),
        work,
        matrix,
        coefficient,
    )
    row[4] = half
    row[6] = top
    row[5] = harmonic_fit(
        time, weight, weighted, half, _harmonics_for(n, 2), work, matrix, coefficient
    )
    row[7] = harmonic_fit(
        time, weight, weighted, half, _harmonics_for(n, 8), work, matrix, coefficient
    )
    row[11] = _window(time, weight, frequency)


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
        peak = strongest_peaks(
            power, first, n_peaks, SEPARATION / (baseline * step[i]), RELATIVE_SEPARATION
        )
        found = evidence[i]
        found[:] = 0.0
        for k in range(peak.size):
            at = start[i] + peak[k] * step[i]
            low = max(at - step[i], 0.5 * step[i])
            found[k, 0], found[k, 1] = confirm_peak(
                centred, weight, weighted, low, at + step[i], 1, work, matrix, coefficient
            )
        order = np.argsort(-found[: peak.size, 1], kind="mergesort")
        found[: peak.size] = found[: peak.size][order]
        for k in range(peak.size):
            _weigh_peak(
                centred, weight, weighted, baseline, faint, found[k], work, matrix, coefficient
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
    described : float64 array, shape (n_curves, 5)
        Filled: power of the sine, power of the sine at twice the frequency, share explained by
        four harmonics, the same at half the frequency, standard deviation of the times in days.
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
        n = _harmonics_for(centred.size, 4)
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

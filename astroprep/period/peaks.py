"""The strongest separate peaks of a periodogram, confirmed by exact evaluation."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import MAX_HARMONICS, harmonic_fit

__all__ = ["confirm_peak", "repair", "strongest_peaks"]

POOL = 8  # local maxima kept per wanted peak before close ones are merged
ZOOM = 4  # exact evaluations per grid step around a peak


@njit(cache=True, nogil=True)
def repair(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    start: float,
    step: float,
    power: NDArray[np.float32],
    n_harmonics: int,
) -> None:
    """Evaluate exactly, in place, the frequencies that the fast sums marked with -1.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    start, step : float
        First frequency and spacing, cycles per day.
    power : float32 array, shape (n_frequencies,)
        Changed in place.
    n_harmonics : int
        Of the fit, 1 to `MAX_HARMONICS`.
    """
    work = np.empty((4, time.size))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    for i in range(power.size):
        if power[i] < 0:
            at = start + i * step
            power[i] = harmonic_fit(
                time, weight, weighted, at, n_harmonics, work, matrix, coefficient
            )


@njit(cache=True)
def _sift_down(strength: NDArray[np.float32], place: NDArray[np.int64], size: int) -> None:
    """Restore a heap, weakest on top, after its top changed."""
    i = 0
    while True:
        smallest = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < size and strength[child] < strength[smallest]:
                smallest = child
        if smallest == i:
            return
        strength[i], strength[smallest] = strength[smallest], strength[i]
        place[i], place[smallest] = place[smallest], place[i]
        i = smallest


@njit(cache=True, nogil=True)
def strongest_peaks(
    power: NDArray[np.float32], first: int, n_peaks: int, separation: float, relative: float
) -> NDArray[np.int64]:
    """Grid positions of the strongest local maxima that stand apart, strongest first.

    Parameters
    ----------
    power : float32 array, shape (n_frequencies,)
        Power on an even grid.
    first : int
        Number of grid steps from frequency zero to the first frequency.
    n_peaks : int
        How many are wanted.
    separation : float
        A weaker peak within this many grid steps of a stronger one is a sidelobe of it.
    relative : float
        The same as a share of the frequency; the larger of the two holds.

    Returns
    -------
    int64 array, shape (at most n_peaks,)
        Never empty for a non-empty grid.
    """
    n = power.size
    room = POOL * n_peaks
    strength = np.full(room, -1.0, np.float32)
    place = np.full(room, -1, np.int64)
    floor = np.float32(-1.0)
    for i in range(n):
        p = power[i]
        if p > floor:
            before = power[i - 1] if i > 0 else np.float32(-2.0)
            after = power[i + 1] if i + 1 < n else np.float32(-2.0)
            if p > before and p >= after:
                strength[0] = p
                place[0] = i
                _sift_down(strength, place, room)
                floor = strength[0]
    order = np.argsort(-strength, kind="mergesort")
    chosen = np.empty(n_peaks, np.int64)
    count = 0
    for at in order:
        here = place[at]
        if here < 0 or count == n_peaks:
            break
        apart = True
        for k in range(count):
            width = max(separation, relative * (first + chosen[k]))
            if abs(chosen[k] - here) < width:
                apart = False
                break
        if apart:
            chosen[count] = here
            count += 1
    if count == 0:  # a flat periodogram has no local maximum
        chosen[0] = np.argmax(power)
        count = 1
    return chosen[:count]


@njit(cache=True)
def confirm_peak(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    low: float,
    high: float,
    n_harmonics: int,
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float]:
    """Highest exact power near a peak, between two frequencies.

    The interval is sampled evenly and the highest sample is improved by parabolas through three
    points, so that the result is never below the best sample.

    Returns
    -------
    frequency, power : float
        Cycles per day; share of the variance explained.
    """
    n = 2 * ZOOM + 1
    step = (high - low) / (n - 1)
    best = low
    top = -1.0
    for i in range(n):
        at = low + i * step
        p = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        if p > top:
            top = p
            best = at
    for _ in range(2):
        left = harmonic_fit(
            time, weight, weighted, best - step, n_harmonics, work, matrix, coefficient
        )
        right = harmonic_fit(
            time, weight, weighted, best + step, n_harmonics, work, matrix, coefficient
        )
        bend = left - 2 * top + right
        if bend < 0:
            at = best + step * min(max(0.5 * (left - right) / bend, -1.0), 1.0)
            p = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
            if p > top:
                top = p
                best = at
        step *= 0.25
    return best, top

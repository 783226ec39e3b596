"""What a light curve says about a period that was known before: numbers only, no verdict."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.chirp import approach, chirp
from astroprep.period.climb import CLIMB, climb, harmonics_for
from astroprep.period.exact import MAX_HARMONICS, harmonic_fit, standardise
from astroprep.period.local import BENT as HALVES
from astroprep.period.local import BINS, LENGTH, demodulate, smeared, strongest_nearby
from astroprep.period.rivals import weigh_rivals
from astroprep.period.segments import MOST, cut, parabola, shifts
from astroprep.period.verify_evidence import (
    BASELINE,
    BEND,
    BENT,
    C_FAR,
    C_NEAR,
    DOMINANT,
    EXTREME,
    FAR,
    HARMONICS,
    MIDDLE,
    NEAR,
    OLD,
    P_BENT,
    P_FAR,
    P_NEAR,
    REACHED,
    SCATTER,
    STRENGTH,
    V_BEND,
    V_BENT,
    much_better,
)

__all__ = ["BENDS", "examine"]

WANTED = 4  # harmonics: they explain 0.97 of a sawtooth of RR Lyrae, and 19 points suffice
SUSPECT = 2.5  # sigma of the parabola in the O-C from which the exact fit is worth its time
RESTLESS = 3.0  # reduced chi-square of the O-C from which a larger change is suspected
SMEARED = 0.6  # share explained, below which the same is done if parts explain more: a change
# of half a cycle leaves this much
STRONGER = 1.2  # times as strong as the constant one, a changing frequency is fitted exactly
BENDS = 2 * HALVES  # trials of a changing frequency
SAMPLES = 64  # phases at which the extreme of the template is sought


@njit(cache=True)
def _extreme(coefficient: NDArray[np.float64], n_harmonics: int, sign: float) -> float:
    """Phase in [-0.5, 0.5) at which the series times `sign` is largest."""
    value = np.zeros(SAMPLES)
    for i in range(SAMPLES):
        c1 = np.cos(2 * np.pi * i / SAMPLES)
        s1 = np.sin(2 * np.pi * i / SAMPLES)
        c, s = c1, s1
        for k in range(n_harmonics):
            value[i] += sign * (coefficient[2 * k] * c + coefficient[2 * k + 1] * s)
            c, s = c * c1 - s * s1, s * c1 + c * s1
    i = int(np.argmax(value))
    left = value[i - 1]
    right = value[(i + 1) % SAMPLES]
    bend = left - 2 * value[i] + right
    phase = (i + (0.5 * (left - right) / bend if bend < 0 else 0.0)) / SAMPLES
    return float(phase - np.floor(phase + 0.5))


@njit(cache=True)
def _bent(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    bend: float,
    trials: float,
    row: NDArray[np.float64],
    bent: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> bool:
    """Try a changing frequency from where it is given; keep it if it is very much better."""
    h = int(row[HARMONICS])
    kept = coefficient.copy()
    f, b = frequency, bend
    if trials > 0:
        f, b = approach(time, weight, weighted, f, b, h, bent, work, matrix, coefficient)
    f, b, p, vf, vb = chirp(time, weight, weighted, f, b, h, bent, work, matrix, coefficient)
    good = np.isfinite(vb) and f * row[BASELINE] > 1.0
    if good and p > row[P_BENT] and (trials == 0 or much_better(p, row[P_BENT], time.size, trials)):
        row[BENT], row[BEND], row[P_BENT], row[V_BENT], row[V_BEND] = f, b, p, vf, vb
        return True
    for k in range(kept.size):
        coefficient[k] = kept[k]
    harmonic_fit(time, weight, weighted, row[BENT], 1, work, matrix, kept)
    return False


@njit(cache=True)
def _seasons(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    row: NDArray[np.float64],
    work: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    bounds: NDArray[np.int64],
    n_segments: int,
    segment: NDArray[np.float64],
) -> tuple[float, float, bool]:
    """O-C of the segments against the fit at hand: slope, curvature, and whether that is real."""
    h = int(row[HARMONICS])
    bent = row[BEND] != 0.0
    noise = (1 - row[P_BENT]) / max(time.size - 2 * h - 2 - bent, 1)
    mid, late, error = segment[0], segment[1], segment[2]
    shifts(weight, weighted, work, coefficient, h, noise, bounds, n_segments, late, error)
    out = np.zeros(3)
    parts = slice(0, n_segments)
    chi, left, variance = parabola(mid[parts], late[parts], error[parts], 2, out)
    slope, curve = out[1], out[2]
    scale = max(1.0, chi / left) if left > 0 else 1.0
    suspect = left >= 0 and abs(curve) > SUSPECT * np.sqrt(variance * scale)
    if not bent:
        row[V_BEND] = variance / max(noise, 1e-300) if left >= 0 else 0.0
    chi, left, _ = parabola(mid[parts], late[parts], error[parts], 1, out)
    row[SCATTER] = max(1.0, chi / left) if left > 0 else 1.0
    return slope, curve, suspect and not bent


@njit(cache=True)
def _local(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    old: float,
    row: NDArray[np.float64],
    slow: NDArray[np.float64],
    room: NDArray[np.float32],
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> None:
    """The peak at the old frequency, and a very much better one within reach."""
    h = int(row[HARMONICS])
    baseline = row[BASELINE]
    step = CLIMB / baseline
    row[OLD] = harmonic_fit(time, weight, weighted, old, h, work, matrix, coefficient)
    demodulate(time, weight, weighted, baseline, work[0], work[1], slow)
    lowest, last = _range(old, row)
    place, row[STRENGTH] = strongest_nearby(slow, 0, lowest, last, twiddle, order, room)
    strong = old + place / (8 * baseline)
    start = strong if 1 <= abs(place) <= 8 else old
    top = -1.0 if start != old else row[OLD]
    row[NEAR], row[P_NEAR], row[C_NEAR] = climb(
        time, weight, weighted, start, top, step, h, work, matrix, coefficient
    )
    if row[P_NEAR] < row[OLD]:  # two harmonics led to a lesser peak of all
        row[NEAR], row[P_NEAR], row[C_NEAR] = climb(
            time, weight, weighted, old, row[OLD], step, h, work, matrix, coefficient
        )
    row[BENT], row[P_BENT] = row[NEAR], row[P_NEAR]
    if abs(strong - row[NEAR]) * baseline > 0.5 or row[C_NEAR] == 0.0:
        f, p, c = climb(time, weight, weighted, strong, -1.0, step, h, work, matrix, coefficient)
        if much_better(p, row[P_NEAR], time.size, 4 * row[REACHED]):
            row[FAR], row[P_FAR], row[C_FAR] = f, p, c
            row[BENT], row[P_BENT] = f, p
        harmonic_fit(time, weight, weighted, row[BENT], h, work, matrix, coefficient)
    first = np.hypot(coefficient[0], coefficient[1])
    second = np.hypot(coefficient[2], coefficient[3]) if h > 1 else 0.0
    row[DOMINANT] = 2.0 if second > first else 1.0


@njit(cache=True)
def _range(old: float, row: NDArray[np.float64]) -> tuple[int, int]:
    """Steps of 1 / (8 T) that are searched: at least one cycle in the baseline is left."""
    last = int(8 * row[REACHED])
    return max(-last, int(np.ceil(8 * (1.0 - old * row[BASELINE])))), last


@njit(cache=True)
def _strongest_bent(
    old: float,
    row: NDArray[np.float64],
    slow: NDArray[np.float64],
    room: NDArray[np.float32],
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
) -> tuple[float, float]:
    """Frequency and half its change where a few trials are strongest; 0 where none stands out."""
    lowest, last = _range(old, row)
    best, bend = 0, 0
    top = STRONGER * row[STRENGTH]
    for halves in range(-HALVES, HALVES + 1):
        if halves != 0:
            place, strength = strongest_nearby(slow, halves, lowest, last, twiddle, order, room)
            if strength > top:
                best, top, bend = place, strength, halves
    half = 0.5 * row[BASELINE]
    return old + best / (8 * row[BASELINE]), 0.5 * bend / half**2


@njit(cache=True, nogil=True)
def examine(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    reach: NDArray[np.float64],
    highest: float,
    twiddle: NDArray[np.float32],
    order: NDArray[np.int64],
    evidence: NDArray[np.float64],
    segment: NDArray[np.float64],
    segment_points: NDArray[np.int64],
    n_segments: NDArray[np.int64],
) -> None:
    """Fill the evidence and the O-C of each curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``, not constant.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    frequency : float64 array, shape (n_curves,)
        The known one, cycles per day.
    reach : float64 array, shape (n_curves,)
        How far from it to look, in units of 1 / baseline, at most `REACH`.
    highest : float
        +1 where the epoch is that of the highest value, -1 of the lowest.
    twiddle, order
        From `astroprep.period.local.transform_table`.
    evidence : float64 array, shape (n_curves, len(EVIDENCE))
        Filled.
    segment : float64 array, shape (n_curves, 3, MOST)
        Filled: weighted mean time in days after the middle of the baseline, cycles late against
        the fitted ephemeris, its error (infinite where the segment says nothing).
    segment_points : int64 array, shape (n_curves, MOST)
        Filled: points of each segment.
    n_segments : int64 array, shape (n_curves,)
        Filled.
    """
    largest = 1
    for i in range(offsets.size - 1):
        largest = max(largest, offsets[i + 1] - offsets[i])
    work = np.empty((4, largest))
    bent = np.empty(largest)
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.zeros(2 * MAX_HARMONICS)
    slow = np.empty((5, BINS))
    room = np.empty((4, LENGTH), np.float32)
    bounds = np.empty(MOST + 1, np.int64)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, _ = standardise(time[part], value[part], error[part])
        row = evidence[i]
        row[:] = 0.0
        row[HARMONICS] = harmonics_for(centred.size, WANTED)
        row[BASELINE] = centred[-1] - centred[0]
        row[REACHED] = reach[i]
        row[MIDDLE] = 0.5 * (time[offsets[i]] + time[offsets[i + 1] - 1])
        h = int(row[HARMONICS])
        _local(
            centred,
            weight,
            weighted,
            frequency[i],
            row,
            slow,
            room,
            twiddle,
            order,
            work,
            matrix,
            coefficient,
        )
        count = cut(centred, bounds)
        n_segments[i] = count
        for s in range(count):
            of = slice(bounds[s], bounds[s + 1])
            segment[i, 0, s] = (weight[of] * centred[of]).sum() / weight[of].sum()
            segment_points[i, s] = bounds[s + 1] - bounds[s]
        slope, bend, suspect = _seasons(
            centred, weight, weighted, row, work, coefficient, bounds, count, segment[i]
        )
        if suspect:
            at = row[BENT] - slope
            if _bent(
                centred, weight, weighted, at, -bend, 0.0, row, bent, work, matrix, coefficient
            ):
                _seasons(
                    centred, weight, weighted, row, work, coefficient, bounds, count, segment[i]
                )
        away = 8 * (row[BENT] - frequency[i]) * row[BASELINE]
        poor = row[SCATTER] > RESTLESS or row[P_BENT] < SMEARED
        if poor and smeared(slow, away, centred.size):
            at, bend = _strongest_bent(frequency[i], row, slow, room, twiddle, order)
            if _bent(
                centred,
                weight,
                weighted,
                at,
                bend,
                8 * BENDS * reach[i],
                row,
                bent,
                work,
                matrix,
                coefficient,
            ):
                _seasons(
                    centred, weight, weighted, row, work, coefficient, bounds, count, segment[i]
                )
        row[EXTREME] = _extreme(coefficient, h, highest) / row[BENT]
        moved = row[FAR] > 0 or much_better(row[P_NEAR], row[OLD], centred.size, 2.0)
        here = row[FAR] if row[FAR] > 0 else row[NEAR]
        if not moved:
            here = frequency[i]
        weigh_rivals(centred, weight, weighted, here, h, row, work, matrix, coefficient)

"""What a light curve says about a period that was known before: numbers only, no verdict."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import MAX_HARMONICS, harmonic_fit, standardise
from astroprep.period.local import (
    BINS,
    CLIMB,
    REACH,
    best_alias,
    climb,
    harmonics_for,
    strongest_nearby,
)
from astroprep.period.segments import MOST, chirp, cut, parabola, shifts

__all__ = ["EVIDENCE", "VERY_STRONG", "examine"]

EVIDENCE = (
    "harmonics",  # of the Fourier series, 1 to 4
    "baseline",  # days
    "reach",  # how far from the old frequency was searched, in units of 1 / baseline
    "power_old",  # share of variance explained at the old frequency
    "frequency_near",  # maximum that a climb from the old frequency reaches, cycles per day
    "power_near",
    "curvature_near",  # minus the second derivative of the power
    "frequency_far",  # the same from the strongest frequency within reach; 0 if there is no other
    "power_far",
    "curvature_far",
    "frequency_alias",  # best of the day, month and year aliases; 0 if none comes close
    "power_alias",
    "curvature_alias",
    "frequency_long",  # better of half and a third of the frequency
    "power_long",
    "curvature_long",
    "power_half",  # of the even harmonics alone: what half the period explains
    "power_third",  # of every third harmonic alone
    "frequency_bent",  # fit of frequency and its change; the local one and 0 if not needed
    "bend",  # half the change of frequency, cycles per day squared
    "power_bent",
    "variance_bent",  # of frequency_bent, per unit of noise
    "variance_bend",  # of bend, per unit of noise
    "scatter",  # reduced chi-square of the O-C about their line or parabola, at least 1
    "extreme",  # time of the template's extreme nearest the middle, days after the middle
    "middle",  # of the baseline, days
)
(
    HARMONICS, BASELINE, REACHED, OLD, NEAR, P_NEAR, C_NEAR, FAR, P_FAR, C_FAR, ALIAS, P_ALIAS,
    C_ALIAS, LONG, P_LONG, C_LONG, HALF, THIRD, BENT, BEND, P_BENT, V_BENT, V_BEND, SCATTER,
    EXTREME, MIDDLE,
) = range(len(EVIDENCE))  # fmt: skip

WANTED = 4  # harmonics: an RR Lyrae is explained to a few per cent, and 19 points suffice
VERY_STRONG = 10.0  # difference of n ln(rest) from which another frequency is preferred;
# Kass & Raftery 1995, JASA 90, 773, doi:10.1080/01621459.1995.10476572
SUSPECT = 2.5  # sigma of the parabola in the O-C from which the exact fit is worth its time
SAMPLES = 64  # phases at which the extreme of the template is sought


@njit(cache=True)
def _better(power: float, other: float, n_points: int) -> bool:
    """Whether `power` explains very much more than `other`, for as many parameters."""
    rest = max(1.0 - power, 1e-12)
    return n_points * np.log(max(1.0 - other, 1e-12) / rest) > VERY_STRONG


@njit(cache=True)
def _extreme(coefficient: NDArray[np.float64], n_harmonics: int, sign: float) -> float:
    """Phase in [-0.5, 0.5) at which the series times `sign` is largest."""
    value = np.zeros(SAMPLES)
    for i in range(SAMPLES):
        for k in range(n_harmonics):
            angle = 2 * np.pi * (k + 1) * i / SAMPLES
            value[i] += coefficient[2 * k] * np.cos(angle) + coefficient[2 * k + 1] * np.sin(angle)
    value *= sign
    i = int(np.argmax(value))
    left = value[i - 1]
    right = value[(i + 1) % SAMPLES]
    bend = left - 2 * value[i] + right
    phase = (i + (0.5 * (left - right) / bend if bend < 0 else 0.0)) / SAMPLES
    return phase - np.floor(phase + 0.5)


@njit(cache=True)
def _rivals(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    here: float,
    n_harmonics: int,
    row: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> None:
    """Aliases, multiples and fractions of the period; `coefficient` is of the fit at `here`."""
    baseline = row[BASELINE]
    first = np.hypot(coefficient[0], coefficient[1])
    second = np.hypot(coefficient[2], coefficient[3]) if n_harmonics > 1 else 0.0
    dominant = 2 if second > first else 1
    row[ALIAS], row[P_ALIAS], row[C_ALIAS] = best_alias(
        time,
        weight,
        weighted,
        here,
        baseline,
        n_harmonics,
        dominant,
        work,
        matrix,
        coefficient,
    )
    local = row[P_FAR] if row[FAR] > 0 else row[P_NEAR]
    for division in (2, 3):
        at = here / division
        if at * baseline < 1.0:
            break
        p = harmonic_fit(time, weight, weighted, at, n_harmonics, work, matrix, coefficient)
        if p > row[P_LONG]:
            row[LONG], row[P_LONG] = at, p
    if _better(row[P_LONG], local, time.size):
        row[LONG], row[P_LONG], row[C_LONG] = climb(
            time,
            weight,
            weighted,
            row[LONG],
            0.5 * CLIMB / baseline,
            n_harmonics,
            work,
            matrix,
            coefficient,
        )
    if n_harmonics >= 2:
        row[HALF] = harmonic_fit(
            time, weight, weighted, 2 * here, n_harmonics // 2, work, matrix, coefficient
        )
    if n_harmonics >= 3:
        row[THIRD] = harmonic_fit(time, weight, weighted, 3 * here, 1, work, matrix, coefficient)


@njit(cache=True)
def _seasons(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    n_harmonics: int,
    row: NDArray[np.float64],
    bent: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    mid: NDArray[np.float64],
    late: NDArray[np.float64],
    late_error: NDArray[np.float64],
    n_used: NDArray[np.int64],
) -> int:
    """O-C of the segments against the best local ephemeris, bent if that is called for."""
    bounds = np.empty(MOST + 1, np.int64)
    n_segments = cut(time, bounds)
    for s in range(n_segments):
        part = slice(bounds[s], bounds[s + 1])
        mid[s] = (weight[part] * time[part]).sum() / weight[part].sum()
        n_used[s] = bounds[s + 1] - bounds[s]
    freedom = max(time.size - 2 * n_harmonics - 2, 1)
    noise = (1 - row[P_BENT]) / freedom
    shifts(
        weight, weighted, work, coefficient, n_harmonics, noise, bounds, n_segments, late, late_error
    )
    mids, lates, errors = mid[:n_segments], late[:n_segments], late_error[:n_segments]
    out = np.zeros(3)
    chi, left, variance = parabola(mids, lates, errors, 2, out)
    half = max(0.5 * row[BASELINE], 1e-300)
    if left >= 0:
        scale = max(1.0, chi / left) if left > 0 else 1.0
        row[V_BEND] = variance / max(noise, 1e-300)
        row[BEND] = 0.0
        if abs(out[2]) > SUSPECT * np.sqrt(variance * scale) and abs(out[2]) * half**2 > 1e-6:
            f, b, p, vf, vb = chirp(
                time,
                weight,
                weighted,
                row[BENT] - out[1],
                -out[2],
                n_harmonics,
                bent,
                work,
                matrix,
                coefficient,
            )
            if p > row[P_BENT] and np.isfinite(vb):
                row[BENT], row[BEND], row[P_BENT] = f, b, p
                row[V_BENT], row[V_BEND] = vf, vb
                noise = (1 - p) / max(freedom - 1, 1)
                shifts(
                    weight,
                    weighted,
                    work,
                    coefficient,
                    n_harmonics,
                    noise,
                    bounds,
                    n_segments,
                    late,
                    late_error,
                )
    chi, left, _ = parabola(mids, lates, errors, 1, out)
    if left > 0:
        row[SCATTER] = max(1.0, chi / left)
    return n_segments


@njit(cache=True, nogil=True)
def examine(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    frequency: NDArray[np.float64],
    reach: NDArray[np.float64],
    highest: float,
    table: NDArray[np.complex128],
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
    table : complex128 array
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
    room = np.empty((2, 4 * BINS), np.complex128)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, _ = standardise(time[part], value[part], error[part])
        n = centred.size
        h = harmonics_for(n, WANTED)
        baseline = centred[-1] - centred[0]
        step = CLIMB / baseline
        row = evidence[i]
        row[:] = 0.0
        row[HARMONICS], row[BASELINE], row[REACHED], row[SCATTER] = h, baseline, reach[i], 1.0
        row[MIDDLE] = 0.5 * (time[offsets[i]] + time[offsets[i + 1] - 1])
        old = frequency[i]
        # one harmonic leaves cos and sin of the known phase in the work space
        harmonic_fit(centred, weight, weighted, old, 1, work, matrix, coefficient)
        strong = strongest_nearby(
            centred, weighted, old, baseline, min(reach[i], REACH), work[0], work[1], table, room
        )
        row[OLD] = harmonic_fit(centred, weight, weighted, old, h, work, matrix, coefficient)
        row[NEAR], row[P_NEAR], row[C_NEAR] = climb(
            centred, weight, weighted, old, step, h, work, matrix, coefficient
        )
        local, power = row[NEAR], row[P_NEAR]
        if abs(strong - row[NEAR]) * baseline > 0.5:
            f, p, c = climb(centred, weight, weighted, strong, step, h, work, matrix, coefficient)
            if _better(p, power, n):
                row[FAR], row[P_FAR], row[C_FAR] = f, p, c
                local, power = f, p
            harmonic_fit(centred, weight, weighted, local, h, work, matrix, coefficient)
        row[BENT], row[P_BENT] = local, power
        kept = coefficient[: 2 * h].copy()
        n_segments[i] = _seasons(
            centred,
            weight,
            weighted,
            h,
            row,
            bent,
            work,
            matrix,
            coefficient,
            segment[i, 0],
            segment[i, 1],
            segment[i, 2],
            segment_points[i],
        )
        row[EXTREME] = _extreme(coefficient, h, highest) / row[BENT]
        coefficient[: 2 * h] = kept
        _rivals(centred, weight, weighted, local, h, row, work, matrix, coefficient)

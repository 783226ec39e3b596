"""Exact fits of a frequency that changes at an even rate."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit

__all__ = ["approach", "chirp"]

LEVELS, MOVES = 2, 4  # of the pattern search, and moves at each
TURNS = np.array(
    [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]], dtype=np.float64
)
AROUND = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [1, 1]], dtype=np.float64)
"""Neighbours, in steps of frequency and bend, that give the second derivatives."""


@njit(cache=True)
def _at(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    bend: float,
    n_harmonics: int,
    bent: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> float:
    """`harmonic_fit` on the phase ``frequency * t + bend * t ** 2``."""
    for j in range(time.size):
        bent[j] = time[j] * (1 + bend / frequency * time[j])
    return harmonic_fit(
        bent[: time.size], weight, weighted, frequency, n_harmonics, work, matrix, coefficient
    )


@njit(cache=True)
def approach(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    bend: float,
    n_harmonics: int,
    bent: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float]:
    """Frequency and bend near enough to a maximum for `chirp`, by a pattern search.

    The first steps are half the distance of the blind trials.

    Parameters
    ----------
    time, weight, weighted, frequency, bend, n_harmonics, bent, work, matrix, coefficient
        As for `chirp`.

    Returns
    -------
    frequency, bend : float
        Cycles per day, and per day squared.
    """
    baseline = time[-1] - time[0]
    f, b = frequency, bend
    top = _at(time, weight, weighted, f, b, n_harmonics, bent, work, matrix, coefficient)
    step_f = 0.16 / baseline
    step_b = 0.6 / baseline**2  # 0.15 cycles at the ends
    for _ in range(LEVELS):
        for _ in range(MOVES):
            best_f, best_b = f, b
            for k in range(8):
                at_f = f + step_f * TURNS[k, 0]
                at_b = b + step_b * TURNS[k, 1]
                p = _at(
                    time, weight, weighted, at_f, at_b, n_harmonics, bent, work, matrix, coefficient
                )
                if p > top:
                    top, best_f, best_b = p, at_f, at_b
            if best_f == f and best_b == b:
                break
            f, b = best_f, best_b
        step_f *= 0.5
        step_b *= 0.5
    return f, b


@njit(cache=True)
def chirp(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    frequency: float,
    bend: float,
    n_harmonics: int,
    bent: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> tuple[float, float, float, float, float]:
    """Exact fit of frequency and its change, by Newton steps on the explained share.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    frequency, bend : float
        Where to start: cycles per day, and half its change, cycles per day squared.
    bent : float64 array, shape (n_points,) or longer
        Overwritten.
    n_harmonics, work, matrix, coefficient
        As for `harmonic_fit`.

    Returns
    -------
    frequency, bend, power : float
        Of the maximum; `work` and `coefficient` end as those of this fit.
    var_frequency, var_bend : float
        Variances per unit of noise; infinite where the fit found no maximum.
    """
    baseline = time[-1] - time[0]
    hf = 0.08 / baseline
    hb = 0.25 / baseline**2
    best_f, best_b = frequency, bend
    top = -1.0
    vf, vb = np.inf, np.inf
    near = np.empty(AROUND.shape[0])
    for _ in range(5):
        p = _at(
            time, weight, weighted, frequency, bend, n_harmonics, bent, work, matrix, coefficient
        )
        if p <= top:
            break
        gain = p - top
        best_f, best_b, top = frequency, bend, p
        for k in range(AROUND.shape[0]):
            at_f = frequency + hf * AROUND[k, 0]
            at_b = bend + hb * AROUND[k, 1]
            near[k] = _at(
                time, weight, weighted, at_f, at_b, n_harmonics, bent, work, matrix, coefficient
            )
        pl, pr, bl, br, both = near[0], near[1], near[2], near[3], near[4]
        ff = (2 * p - pl - pr) / hf**2
        bb = (2 * p - bl - br) / hb**2
        fb = (pr + br - both - p) / (hf * hb)
        determinant = ff * bb - fb * fb
        if not (ff > 0 and determinant > 1e-6 * ff * abs(bb)):
            vf, vb = np.inf, np.inf
            break
        vf = 2 * bb / determinant
        vb = 2 * ff / determinant
        if gain < 1e-5:
            break
        df = (pr - pl) / (2 * hf)
        db = (br - bl) / (2 * hb)
        move_f = (bb * df - fb * db) / determinant
        move_b = (ff * db - fb * df) / determinant
        frequency += min(max(move_f, -4 * hf), 4 * hf)
        bend += min(max(move_b, -4 * hb), 4 * hb)
    p = _at(time, weight, weighted, best_f, best_b, n_harmonics, bent, work, matrix, coefficient)
    return best_f, best_b, p, vf, vb

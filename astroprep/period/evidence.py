"""What speaks for a peak: fits and folds at its period, at half, twice and four times it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_fit
from astroprep.period.folds import fold_statistics, nested_fit, usable_harmonics

__all__ = ["EVIDENCE", "FIT", "moments", "weigh_peak", "window"]

REACH = 0.3  # a fit of several harmonics may sit this far, over the baseline, from the sine's peak
FIT = (  # of one trial period, in this order
    "frequency",  # cycles per day, of the best fit nearby
    "power_1",  # share of variance explained by 1, 2, 4 and 8 harmonics
    "power_2",
    "power_4",
    "power_8",
    "sharp_faint",  # second harmonic in phase with the first's faintest point, relative amplitude
    "sharp_rise",  # and a quarter turn from it
    "bins_40",  # share explained by 40, 20 and 10 phase bins, adjusted for their number
    "bins_20",
    "bins_10",
    "steps",  # squared steps along the fold, over those of a random order
    "entropy",  # of brightness given phase
)
EVIDENCE = (
    "frequency",  # of the sine, cycles per day
    "power",  # share of variance that it explains
    "window",  # how strongly the sampling itself repeats at the peak, 0 to 1
    "baseline",  # days
    "spread",  # standard deviation of the times, days
    "skew",  # of the brightness, positive where the tail is faint
    "tail",  # fourth moment over that of a Gaussian, less one
    "frequency_fit",  # of the best fit of four harmonics near the peak
    *FIT[1:],  # there
    *(f"{name}_half" for name in FIT),  # at half its frequency
    "power_1_twice",  # at twice its frequency
    "power_2_twice",
    "power_4_quarter",  # at a quarter of its frequency
    "power_8_quarter",
)
N_FIT = len(FIT)
AT_PEAK = EVIDENCE.index("frequency_fit")  # where the blocks of FIT begin
AT_HALF = AT_PEAK + N_FIT
AT_REST = AT_HALF + N_FIT


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
) -> float:
    """Frequency of the highest of five fits, improved once by a parabola."""
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
            best = at
    return best


@njit(cache=True)
def window(time: NDArray[np.float64], weight: NDArray[np.float64], frequency: float) -> float:
    """Size of the spectral window, 0 to 1: 1 where all points share a phase."""
    real = 0.0
    imaginary = 0.0
    for j in range(time.size):
        angle = 2 * np.pi * frequency * time[j]
        real += weight[j] * np.cos(angle)
        imaginary += weight[j] * np.sin(angle)
    return float(np.hypot(real, imaginary))


@njit(cache=True)
def _sharpness(
    matrix: NDArray[np.float64], coefficient: NDArray[np.float64], n_harmonics: int
) -> tuple[float, float]:
    """Second harmonic against the phase of the first, from what `nested_fit` left behind."""
    if n_harmonics < 2:
        return 0.0, 0.0
    solution = np.zeros(4)
    for k in range(4):  # y = L' x, then the leading four columns alone
        for i in range(k, 2 * n_harmonics):
            if matrix[i, k] < np.inf:
                solution[k] += matrix[i, k] * coefficient[i]
    for k in range(3, -1, -1):
        if matrix[k, k] == np.inf:
            solution[k] = 0.0
            continue
        for i in range(k + 1, 4):
            solution[k] -= matrix[i, k] * solution[i]
        solution[k] /= matrix[k, k]
    first = complex(solution[0], solution[1])
    second = complex(solution[2], solution[3])
    size = abs(first)
    if size == 0:
        return 0.0, 0.0
    turned = second * np.conj(first) ** 2 / size**3
    return float(turned.real), float(turned.imag)


@njit(cache=True)
def _weigh_fit(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    value: NDArray[np.float64],
    level: NDArray[np.int64],
    faint: float,
    frequency: float,
    row: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> None:
    """Fill one block of `FIT`."""
    n_harmonics = usable_harmonics(time.size, 8)
    share = np.empty(8)
    nested_fit(time, weight, weighted, frequency, n_harmonics, work, matrix, coefficient, share)
    row[0] = frequency
    row[1] = share[0]
    row[2] = share[1]
    row[3] = share[3]
    row[4] = share[7]
    at_faint, at_rise = _sharpness(matrix, coefficient, n_harmonics)
    row[5] = faint * at_faint
    row[6] = faint * at_rise
    fold_statistics(time, weight, weighted, value, level, frequency, work[0], row[7:12])


@njit(cache=True)
def weigh_peak(
    time: NDArray[np.float64],
    weight: NDArray[np.float64],
    weighted: NDArray[np.float64],
    value: NDArray[np.float64],
    level: NDArray[np.int64],
    baseline: float,
    faint: float,
    row: NDArray[np.float64],
    work: NDArray[np.float64],
    matrix: NDArray[np.float64],
    coefficient: NDArray[np.float64],
) -> None:
    """Fill the evidence of one peak whose frequency and sine power are known."""
    reach = REACH / baseline
    four = usable_harmonics(time.size, 4)
    best = _near_best(time, weight, weighted, row[0], reach, four, work, matrix, coefficient)
    half = _near_best(
        time, weight, weighted, 0.5 * best, 0.5 * reach, four, work, matrix, coefficient
    )
    row[2] = window(time, weight, row[0])
    for at, column in ((best, AT_PEAK), (half, AT_HALF)):
        _weigh_fit(
            time,
            weight,
            weighted,
            value,
            level,
            faint,
            at,
            row[column : column + N_FIT],
            work,
            matrix,
            coefficient,
        )
    share = np.empty(8)
    two = usable_harmonics(time.size, 2)
    nested_fit(time, weight, weighted, 2 * best, two, work, matrix, coefficient, share)
    row[AT_REST] = share[0]
    row[AT_REST + 1] = share[1]
    eight = usable_harmonics(time.size, 8)
    nested_fit(time, weight, weighted, 0.5 * half, eight, work, matrix, coefficient, share)
    row[AT_REST + 2] = share[3]
    row[AT_REST + 3] = share[7]


@njit(cache=True)
def moments(weight: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[float, float]:
    """Third and fourth moment of standardised values; the fourth over 3, less one."""
    third = 0.0
    fourth = 0.0
    for j in range(value.size):
        square = value[j] * value[j]
        third += weight[j] * square * value[j]
        fourth += weight[j] * square * square
    return float(third), float(fourth / 3.0 - 1.0)

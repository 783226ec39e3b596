"""Sharpen a period and say how well the light curve fixes it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import MAX_HARMONICS, harmonic_fit, standardise
from astroprep.period.folds import nested_fit, usable_harmonics
from astroprep.period.peaks import confirm_peak

__all__ = ["measure_periods"]

REACH = 0.05  # how far the period may be moved, in peak widths of a sine
BEND = 0.05  # step of the second derivative, in peak widths of the highest harmonic


@njit(cache=True)
def _order(share: NDArray[np.float64], n_points: int, most: int) -> int:
    """How many of 1, 2, 4, 8 harmonics the Schwarz criterion prefers."""
    best = np.inf
    order = 1
    for h in (1, 2, 4, 8):
        if h <= most:
            criterion = n_points * np.log(max(1.0 - share[h - 1], 1e-12))
            criterion += 2 * h * np.log(n_points)
            if criterion < best:
                best = criterion
                order = h
    return order


@njit(cache=True, nogil=True)
def measure_periods(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    sharpen: NDArray[np.bool_],
    frequency: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> None:
    """Move each frequency to the top of its peak and measure the uncertainty there.

    Parameters
    ----------
    time, value, error, offsets
        As for `astroprep.period.candidates.collect_candidates`.
    sharpen : bool array, shape (n_curves,)
        False keeps the frequency as it is.
    frequency : float64 array, shape (n_curves,)
        Cycles per day; moved in place.
    deviation : float64 array, shape (n_curves,)
        Filled: standard deviation of the frequency, cycles per day.

    Notes
    -----
    With p(f) the share of the weighted variance that N harmonics explain, chi-square is
    proportional to 1 - p. Near its minimum it rises by one error unit per standard deviation
    squared; with the unit set by the residuals, n - 2 N - 2 degrees of freedom,

    ``variance(f) = 2 (1 - p) / (-p''(f) (n - 2 N - 2))``.

    N is the one of 1, 2, 4, 8 with the smallest Schwarz criterion. The errors of the survey count
    through their ratios alone. A wrong peak is not part of it, and red noise makes it too small.
    It is 1 / (2 T) for baseline T where the curve is not bent downwards or the formula
    gives more.

    References
    ----------
    .. [1] VanderPlas 2018, ApJS 236, 16, doi:10.3847/1538-4365/aab766 (section 7.4.1)
    .. [2] Schwarz 1978, Ann. Statist. 6, 461, doi:10.1214/aos/1176344136
    """
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    share = np.empty(MAX_HARMONICS)
    for i in range(offsets.size - 1):
        part = slice(offsets[i], offsets[i + 1])
        centred, weight, weighted, _ = standardise(time[part], value[part], error[part])
        n = centred.size
        work = np.empty((4, n))
        width = 1.0 / (centred[-1] - centred[0])
        at = frequency[i]
        most = usable_harmonics(n, MAX_HARMONICS)
        nested_fit(centred, weight, weighted, at, most, work, matrix, coefficient, share)
        order = _order(share, n, most)
        if sharpen[i]:
            reach = min(REACH * width, 0.5 * at)
            at, _ = confirm_peak(
                centred,
                weight,
                weighted,
                at - reach,
                at + reach,
                order,
                work,
                matrix,
                coefficient,
            )
            frequency[i] = at
        step = min(BEND * width / order, 0.5 * at)
        p = harmonic_fit(centred, weight, weighted, at, order, work, matrix, coefficient)
        bend = -2 * p
        for side in (-step, step):
            bend += harmonic_fit(
                centred, weight, weighted, at + side, order, work, matrix, coefficient
            )
        bend /= step * step
        deviation[i] = 0.5 * width
        free = max(n - 2 * order - 2, 1)
        if bend < 0:
            deviation[i] = min(np.sqrt(2 * (1 - p) / (-bend * free)), 0.5 * width)

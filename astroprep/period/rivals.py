"""Frequencies that a known one may have been mistaken for: aliases, multiples, fractions."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.aliases import best_alias, some_of
from astroprep.period.climb import CLIMB, climb
from astroprep.period.exact import harmonic_fit
from astroprep.period.verify_evidence import (
    ALIAS,
    BASELINE,
    C_ALIAS,
    C_LONG,
    DOMINANT,
    HALF,
    LONG,
    P_ALIAS,
    P_BENT,
    P_LONG,
    THIRD,
    much_better,
)

__all__ = ["weigh_rivals"]

CYCLES = 20.0  # of a multiple of the period in the baseline; with fewer, its harmonics follow the
# slow unrest of long-period variables: at 6 cycles a third of them seemed to have 2 P or 3 P


@njit(cache=True)
def weigh_rivals(
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
    """Fill in the evidence for aliases, multiples and fractions of the period.

    Parameters
    ----------
    time, weight, weighted : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    here : float
        The frequency they rival, cycles per day.
    row : float64 array, shape (len(EVIDENCE),)
        Evidence so far, see `astroprep.period.verify_evidence`.
    n_harmonics, work, matrix, coefficient
        As for `harmonic_fit`.
    """
    baseline = row[BASELINE]
    row[ALIAS], row[P_ALIAS], row[C_ALIAS] = best_alias(
        time,
        weight,
        weighted,
        here,
        baseline,
        n_harmonics,
        int(row[DOMINANT]),
        work,
        matrix,
        coefficient,
    )
    some = some_of(time, weight, weighted)
    whole = row[P_BENT]
    if some[0].size < time.size:
        whole = harmonic_fit(
            some[0], some[1], some[2], here, n_harmonics, work, matrix, coefficient
        )
    for division in (2, 3):
        at = here / division
        if at * baseline < CYCLES:
            break
        p = harmonic_fit(some[0], some[1], some[2], at, n_harmonics, work, matrix, coefficient)
        if p > row[P_LONG]:
            row[LONG], row[P_LONG] = at, p
    if much_better(row[P_LONG], whole, some[0].size, 1.0):
        row[LONG], row[P_LONG], row[C_LONG] = climb(
            time,
            weight,
            weighted,
            row[LONG],
            -1.0,
            0.5 * CLIMB / baseline,
            n_harmonics,
            work,
            matrix,
            coefficient,
        )
    else:
        row[LONG], row[P_LONG] = 0.0, 0.0
    if n_harmonics >= 2:
        row[HALF] = harmonic_fit(
            time, weight, weighted, 2 * here, n_harmonics // 2, work, matrix, coefficient
        )
    if n_harmonics >= 3:
        row[THIRD] = harmonic_fit(time, weight, weighted, 3 * here, 1, work, matrix, coefficient)

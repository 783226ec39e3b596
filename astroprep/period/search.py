"""Periodogram, peaks and evidence of many curves: the search without its step."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.period.backends import choose, plans
from astroprep.period.candidates import EVIDENCE, collect_candidates
from astroprep.period.choice import Candidates
from astroprep.period.grid import GridRule
from astroprep.period.points import check_points
from astroprep.period.ranking import rank
from astroprep.threads import in_chunks

__all__ = ["N_PEAKS", "search", "weigh"]

N_PEAKS = 16  # the fitted ranking saw as many


def search(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    n_peaks: int = N_PEAKS,
    quantity: Literal["mag", "flux"] = "mag",
    jobs: int | None = None,
) -> Candidates:
    """Periodogram, peaks, and how probable each candidate is, for many curves.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``; no constant curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``; every curve must have a grid by the rule.
    grid : GridRule, optional
        The default one otherwise.
    n_peaks : int, default 16
        Separate peaks that are weighed.
    quantity : {"mag", "flux"}
        Which way is faint.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    Candidates

    Raises
    ------
    DataError
        If a curve has fewer than two points, all at one time, or no grid by the rule, is not
        sorted, or has a number that is not finite or an error that is not positive.
    """
    evidence = weigh(
        time, value, error, offsets, grid=grid, n_peaks=n_peaks, quantity=quantity, jobs=jobs
    )
    n_points = np.diff(offsets)
    frequency, probability = rank(evidence, n_points)
    highest = (grid or GridRule()).max_frequency
    return Candidates.from_ranking(evidence, frequency, probability, n_points, highest)


def weigh(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    *,
    grid: GridRule | None = None,
    n_peaks: int = N_PEAKS,
    quantity: Literal["mag", "flux"] = "mag",
    jobs: int | None = None,
) -> NDArray[np.float64]:
    """Evidence for the strongest peaks of many curves.

    Parameters
    ----------
    time, value, error, offsets, grid, n_peaks, quantity, jobs
        As for `search`.

    Returns
    -------
    float64 array, shape (n_curves, n_peaks, len(EVIDENCE))
        See `astroprep.period.candidates.EVIDENCE`.

    Raises
    ------
    DataError
        As `search`.
    """
    check_points("search", time, value, error, offsets)
    n_points = np.diff(offsets)
    baseline = time[offsets[1:] - 1] - time[offsets[:-1]]
    start, step, size, reason = (grid or GridRule()).grids(baseline)
    for i in np.flatnonzero(reason != ""):
        raise DataError(f"search needs {reason[i]}: curve {i}")
    evidence = np.zeros((n_points.size, n_peaks, len(EVIDENCE)))
    choice = choose(n_points, size, step, baseline)
    faint = 1.0 if quantity == "mag" else -1.0
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        collect_candidates(
            time,
            value,
            error,
            offsets[first : last + 1],
            start[first:last],
            step[first:last],
            size[first:last],
            choice[first:last],
            tables,
            faint,
            evidence[first:last],
        )

    in_chunks(n_points.size, jobs, work)
    return evidence

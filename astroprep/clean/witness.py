"""What the neighbours of a point far from its curve say of it, in time or in phase."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.clip import fast_median
from astroprep.threads import for_objects

__all__ = ["ALONE_IN_COMPANY", "CONFIRMED", "LONE", "judge_points"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
CONFIRMED, LONE, ALONE_IN_COMPANY = 1, 2, 3  # verdicts of `judge_points`; 0 is none of them


@njit(cache=True)
def _robust_scatter(residual: NDArray[np.float64]) -> float:
    room = np.empty(residual.size)
    spread = np.abs(residual - fast_median(residual, room))
    scatter = MAD_TO_SIGMA * fast_median(spread, room)
    if scatter == 0.0:  # more than half the values are one number, as after rounding
        scatter = np.sqrt(np.mean(spread**2))
    return float(scatter)


@njit(cache=True)
def _witnessed(
    place: NDArray[np.float64],
    residual: NDArray[np.float64],
    j: int,
    neighbour: float,
    support: float,
    witnesses: int,
) -> int:
    """What the neighbours of point j say: confirmed, lone, or alone in company."""
    n = place.size
    verdict = LONE
    for step in (-1, 1):
        k = j + step
        seen = 0
        while 0 <= k < n and seen < witnesses and abs(place[k] - place[j]) <= neighbour:
            if residual[k] / residual[j] >= support:
                return CONFIRMED
            verdict = ALONE_IN_COMPANY
            seen += 1
            k += step
    return verdict


@njit(cache=True)
def _judge_curve(
    place: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    low: float,
    high: float,
    neighbour: float,
    support: float,
    witnesses: int,
    verdict: NDArray[np.int8],
) -> None:
    """Set `verdict` for the points of one curve."""
    n = place.size
    if n < 3:
        return
    scatter = _robust_scatter(residual)
    for j in range(n):
        scale = max(scatter, error[j]) if error[j] > 0 else scatter
        if not -low * scale <= residual[j] <= high * scale:
            verdict[j] = _witnessed(place, residual, j, neighbour, support, witnesses)


@njit(nogil=True, cache=True)
def _judge_points_range(
    begin: int,
    end: int,
    place: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    low: float,
    high: float,
    neighbour: float,
    support: float,
    witnesses: int,
    verdict: NDArray[np.int8],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        _judge_curve(
            place[first:last],
            residual[first:last],
            error[first:last],
            low,
            high,
            neighbour,
            support,
            witnesses,
            verdict[first:last],
        )


def judge_points(
    place: NDArray[np.float64],
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    low: float,
    high: float,
    neighbour: float,
    support: float,
    witnesses: int,
) -> NDArray[np.int8]:
    """Verdict on each point by its neighbours.

    Parameters
    ----------
    place, residual : float64 array, shape (n_points,)
        Sorted by place within each curve: time in days, or phase; and value minus its level.
    error : float64 array, shape (n_points,)
        Unit of the residual; NaN counts as 0.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    low, high : float
        Thresholds below and above the level, in units of the larger of the curve's robust
        scatter and the point's error.
    neighbour : float
        Points within so much of `place` are neighbours.
    support : float
        A neighbour with at least this fraction of the point's residual confirms it.
    witnesses : int
        So many neighbours on each side are asked, the nearest.

    Returns
    -------
    int8 array, shape (n_points,)
        0 within the thresholds, 1 beyond and confirmed, 2 beyond without any neighbour,
        3 beyond and no neighbour confirms it.
    """
    verdict = np.zeros(place.size, np.int8)
    for_objects(
        _judge_points_range,
        offsets.size - 1,
        place,
        residual,
        error,
        offsets,
        low,
        high,
        neighbour,
        support,
        witnesses,
        verdict,
    )
    return verdict

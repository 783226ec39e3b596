"""What stands next to a time in a ragged curve: a gap, an event."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.weighted_line import first_not_before
from astroprep.threads import for_objects

__all__ = ["beside", "bridged"]


@njit(nogil=True, cache=True)
def _beside_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    marked: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    reach: float,
    near: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        for k in range(target_offsets[i], target_offsets[i + 1]):
            right = first + first_not_before(time[first:last], target[k])
            if right < last and marked[right] and time[right] - target[k] <= reach:
                near[k] = True
            left = right - 1
            if left >= first and marked[left] and target[k] - time[left] <= reach:
                near[k] = True


def beside(
    time: NDArray[np.float64],
    marked: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    reach: float,
) -> NDArray[np.bool_]:
    """Targets with a marked point next to them.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Sorted by time within each curve, days.
    marked : bool array, shape (n_points,)
        The points to keep away from.
    offsets, target_offsets : int64 array, shape (n_curves + 1,)
        Of the points and of the targets.
    target : float64 array, shape (n_targets,)
        Days.
    reach : float
        A neighbour further away than this, in days, is none.

    Returns
    -------
    bool array, shape (n_targets,)
        True where the nearest point before or behind is marked.
    """
    near = np.zeros(target.size, np.bool_)
    for_objects(
        _beside_range, offsets.size - 1, time, marked, offsets, target, target_offsets, reach, near
    )
    return near


@njit(nogil=True, cache=True)
def _bridged_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    max_gap: float,
    inside: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        for k in range(target_offsets[i], target_offsets[i + 1]):
            right = first + first_not_before(time[first:last], target[k])
            if first < right < last and time[right] - time[right - 1] <= max_gap:
                inside[k] = True


def bridged(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    target: NDArray[np.float64],
    target_offsets: NDArray[np.int64],
    max_gap: float,
) -> NDArray[np.bool_]:
    """Targets that lie between two points of their curve which are not too far apart.

    Parameters
    ----------
    time, offsets, target, target_offsets
        As in `beside`.
    max_gap : float
        Longest distance of the two points, days.

    Returns
    -------
    bool array, shape (n_targets,)
        False before the first and after the last point.
    """
    inside = np.zeros(target.size, np.bool_)
    for_objects(
        _bridged_range, offsets.size - 1, time, offsets, target, target_offsets, max_gap, inside
    )
    return inside

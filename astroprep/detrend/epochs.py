"""Exposures that stars share, found from times that agree within a tolerance."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["group_epochs", "match_epochs"]


@njit(cache=True)
def _group(ordered: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    middle = np.empty(ordered.size)
    n = 0
    first = 0
    for j in range(1, ordered.size + 1):
        if j == ordered.size or ordered[j] - ordered[first] > tolerance:
            middle[n] = ordered[first] + np.mean(ordered[first:j] - ordered[first])
            n += 1
            first = j
    return middle[:n]


def group_epochs(time: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Epochs of a field: times in groups no longer than the tolerance.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, of all stars, in any order; finite.
    tolerance : float
        Days. A group begins with its first time and ends before the first that is later by more.

    Returns
    -------
    float64 array, shape (n_epochs,)
        Mean time of each group, rising.
    """
    return np.asarray(_group(np.sort(time), tolerance))


def match_epochs(
    time: NDArray[np.float64], epochs: NDArray[np.float64], tolerance: float
) -> NDArray[np.int64]:
    """Number of the nearest epoch, or -1 where none is within the tolerance.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, in any order; times that are not finite match nothing.
    epochs : float64 array, shape (n_epochs,)
        Rising.
    tolerance : float
        Days.

    Returns
    -------
    int64 array, shape (n_points,)
    """
    if epochs.size == 0:
        return np.full(time.size, -1, np.int64)
    right = np.clip(np.searchsorted(epochs, time), 1, max(epochs.size - 1, 1))
    left = right - 1
    right = np.minimum(right, epochs.size - 1)
    nearest = np.where(np.abs(time - epochs[left]) <= np.abs(time - epochs[right]), left, right)
    with np.errstate(invalid="ignore"):
        close = np.abs(time - epochs[nearest]) <= tolerance
    return np.where(close, nearest, -1).astype(np.int64)

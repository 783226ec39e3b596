"""Rows of points into light curves, in the order in which the curves first appear."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["group_rows", "mean_direction"]


@njit(cache=True)
def _place(key: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the rows of each key, in their order: a counting sort."""
    fill = offsets[:-1].copy()
    order = np.empty(key.size, np.int64)
    for i in range(key.size):
        order[fill[key[i]]] = i
        fill[key[i]] += 1
    return order


def group_rows(
    key: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Order that brings the rows of each key together, and where each begins.

    Parameters
    ----------
    key : int64 array, shape (n_points,)
        Group of each row, from 0 to ``n_groups - 1``.
    n_groups : int
        How many there are; some may have no row.

    Returns
    -------
    order : int64 array, shape (n_points,), or None
        None where the rows stand together already. Rows of a group keep their order.
    offsets : int64 array, shape (n_groups + 1,)
        Group i is ``offsets[i]:offsets[i + 1]`` of the ordered rows.
    """
    offsets = np.concatenate(([0], np.cumsum(np.bincount(key, minlength=n_groups)))).astype(
        np.int64
    )
    if key.size < 2 or bool((key[1:] >= key[:-1]).all()):
        return None, offsets
    return _place(key, offsets), offsets


@njit(cache=True)
def mean_direction(
    ra: NDArray[np.float64], dec: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean direction of the measured positions of each object.

    Parameters
    ----------
    ra, dec : float64 array, shape (n_points,)
        Degrees; NaN is left out.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    ra, dec : float64 array, shape (n_curves,)
        Degrees, right ascension in [0, 360); NaN where nothing was measured.

    Notes
    -----
    The direction of the mean of unit vectors [1]_. Right ascensions on both sides of zero and
    positions around a pole come out right, as a mean of the angles would not.

    References
    ----------
    .. [1] Mardia & Jupp 1999, Directional Statistics, section 9.2, doi:10.1002/9780470316979
    """
    n = offsets.size - 1
    mean_ra, mean_dec = np.full(n, np.nan), np.full(n, np.nan)
    for i in range(n):
        x, y, z, count = 0.0, 0.0, 0.0, 0
        for j in range(offsets[i], offsets[i + 1]):
            if np.isfinite(ra[j]) and np.isfinite(dec[j]):
                a, d = np.radians(ra[j]), np.radians(dec[j])
                x += np.cos(d) * np.cos(a)
                y += np.cos(d) * np.sin(a)
                z += np.sin(d)
                count += 1
        if count:
            angle = np.degrees(np.arctan2(y, x)) % 360.0
            mean_ra[i] = 0.0 if angle >= 360.0 else angle
            mean_dec[i] = np.degrees(np.arctan2(z, np.hypot(x, y)))
    return mean_ra, mean_dec

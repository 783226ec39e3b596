"""Points that a model misses: far ones and clusters of them, kept as they were measured."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.reduce.robust_fit import robust_sigma
from astroprep.threads import for_objects

__all__ = ["CLUSTER_SIGMA", "CLUSTER_SIZE", "exceptions", "residual_statistics"]

CLUSTER_SIGMA = 2.5
CLUSTER_SIZE = 3  # three in a row on one side: 2.4e-7 for Gaussian noise


@njit(nogil=True, cache=True, error_model="numpy")
def _residual_statistics_range(
    begin: int,
    end: int,
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    in_errors: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        r, e = residual[offsets[i] : offsets[i + 1]], error[offsets[i] : offsets[i + 1]]
        if r.size > 0:
            scale[i] = robust_sigma(r)
            if np.all(e > 0) and np.all(np.isfinite(e)):
                in_errors[i] = robust_sigma(r / e)


def residual_statistics(
    residual: NDArray[np.float64], error: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Robust scale of what a model leaves over, about zero.

    Parameters
    ----------
    residual, error : float64 array, shape (n_points,)
        One unit; errors may be missing.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    scale, in_errors : float64 array, shape (n_series,)
        1.4826 times the median absolute residual, and that of ``residual / error``; NaN for an
        empty series, the second also where an error is missing.
    """
    n = offsets.size - 1
    scale, in_errors = np.full(n, np.nan), np.full(n, np.nan)
    for_objects(_residual_statistics_range, n, residual, error, offsets, scale, in_errors)
    return scale, in_errors


@njit(cache=True, error_model="numpy")
def _of_series(z: NDArray[np.float64], far: float, out: NDArray[np.bool_]) -> None:
    """Runs on one side that are long, or that have a far point in them."""
    first = 0
    while first < z.size:
        if not abs(z[first]) > min(CLUSTER_SIGMA, far):
            first += 1
            continue
        last = first
        is_far = False
        while last < z.size and abs(z[last]) > min(CLUSTER_SIGMA, far) and z[last] * z[first] > 0:
            is_far = is_far or abs(z[last]) > far
            last += 1
        if is_far or last - first >= CLUSTER_SIZE:
            out[first:last] = True
        first = last


@njit(nogil=True, cache=True, error_model="numpy")
def _exceptions_range(
    begin: int,
    end: int,
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    in_errors: NDArray[np.float64],
    least: NDArray[np.float64],
    far: float,
    out: NDArray[np.bool_],
) -> None:
    for i in range(begin, end):
        part = slice(offsets[i], offsets[i + 1])
        r, e = residual[part], error[part]
        z = np.empty(r.size)
        for j in range(r.size):
            sigma = e[j] * in_errors[i] if np.isfinite(in_errors[i]) else scale[i]
            sigma = max(sigma, least[i])
            z[j] = r[j] / sigma if sigma > 0 else 0.0
        _of_series(z, far, out[part])


def exceptions(
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    in_errors: NDArray[np.float64],
    least: NDArray[np.float64],
    far: float,
) -> NDArray[np.bool_]:
    """Mask of the points that a model does not stand for.

    Parameters
    ----------
    residual, error, offsets
        As in `residual_statistics`; in time order within each series.
    scale, in_errors : float64 array, shape (n_series,)
        What that gives.
    least : float64 array, shape (n_series,)
        No residual below it is far, unit of the value: the rounding of the stored model.
    far : float
        A point this many robust sigma from the model is an exception by itself.

    Returns
    -------
    bool array, shape (n_points,)
        Also True for three or more points in a row beyond `CLUSTER_SIGMA` on one side, and for
        the points beyond it that join a far one.

    Notes
    -----
    The sigma of a point is its error times `in_errors`, so that errors quoted too small make no
    exceptions, and errors quoted too large hide none; the `scale` of the series where errors are
    missing. Neighbours
    are neighbours in time, however long the gap between them.
    """
    out = np.zeros(residual.size, np.bool_)
    for_objects(
        _exceptions_range,
        offsets.size - 1,
        residual,
        error,
        offsets,
        scale,
        in_errors,
        least,
        far,
        out,
    )
    return out

"""What the scatter of constant stars says of error bars: a factor, and floors."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import nnls

from astroprep.threads import for_objects

__all__ = ["robust_scatter", "solve_errors", "standard_residuals"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
CLIPPED = 4.0  # sigmas beyond which a point does not enter the mean of its star
CELLS = 5  # groups of points by their error in a bin of brightness: what tells factor from floor
LEAST_IN_CELL = 30  # points; the variance of fewer is known to worse than 45 %


@njit(cache=True)
def _standardise(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    z: NDArray[np.float64],
) -> None:
    """Residuals of one group from its mean, over their own expected size."""
    centre = np.median(value)
    total, first = 0.0, 0.0
    for j in range(value.size):
        if abs(value[j] - centre) <= CLIPPED * error[j]:
            w = 1.0 / error[j] ** 2
            total += w
            first += w * (value[j] - centre)
    if total == 0.0:  # none near the median, the mean of the middle two
        for j in range(value.size):
            total += 1.0 / error[j] ** 2
            first += (value[j] - centre) / error[j] ** 2
    for j in range(value.size):
        left = error[j] ** 2 - 1.0 / total  # variance of a residual from the mean it is part of
        if abs(value[j] - centre) > CLIPPED * error[j]:
            left = error[j] ** 2 + 1.0 / total
        r = value[j] - centre - first / total
        z[j] = r / np.sqrt(left) if left > 1e-9 * error[j] ** 2 else np.nan


@njit(nogil=True, cache=True)
def _standard_residuals_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    z: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        if b > a:
            _standardise(value[a:b], error[a:b], z[a:b])


def standard_residuals(
    value: NDArray[np.float64], error: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Deviation of each point from the mean of its group, in sigmas of that deviation.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Any unit; errors positive.
    offsets : int64 array, shape (n_groups + 1,)
        Group i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_points,)
        ``(v - m) / sqrt(e^2 - var(m))``, where m is the weighted mean of the points within
        four of their errors of the median: variance 1 for a constant star with honest errors,
        however few its points are. NaN where the point is alone, or as good as alone.
    """
    z = np.empty(value.size)
    for_objects(_standard_residuals_range, offsets.size - 1, value, error, offsets, z)
    return z


@njit(nogil=True, cache=True)
def _robust_scatter_range(
    begin: int,
    end: int,
    z: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scatter: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = z[offsets[i] : offsets[i + 1]]
        part = part[np.isfinite(part)]
        if part.size:
            scatter[i] = MAD_TO_SIGMA * np.median(np.abs(part))


def robust_scatter(z: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """1.4826 times the median size of the finite numbers of each series.

    Parameters
    ----------
    z : float64 array, shape (n_points,)
        Deviations.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array, shape (n_series,)
        NaN for a series without finite numbers.
    """
    scatter = np.full(offsets.size - 1, np.nan)
    for_objects(_robust_scatter_range, offsets.size - 1, z, offsets, scatter)
    return scatter


def solve_errors(
    error: NDArray[np.float64],
    model: NDArray[np.float64],
    z: NDArray[np.float64],
    bins: NDArray[np.int64],
    n_bins: int,
) -> tuple[float, NDArray[np.float64]]:
    """Factor and floors from the robust variance of groups of points with like errors.

    Parameters
    ----------
    error, model : float64 array, shape (n_points,)
        Catalogue errors, and those of the model with which `z` was made.
    z : float64 array, shape (n_points,)
        Finite, of `standard_residuals`.
    bins : int64 array, shape (n_points,)
        Brightness bin of each point.
    n_bins : int
        How many there are.

    Returns
    -------
    factor : float
        ``a`` in ``(a e)^2 + s^2``.
    floor : float64 array, shape (n_bins,)
        ``s``, unit of the errors; 0 for a bin without points.
    """
    rows, target = [], []
    for b in range(n_bins):
        here = np.flatnonzero(bins == b)
        if not here.size:
            continue
        n_cells = int(np.clip(here.size // LEAST_IN_CELL, 1, CELLS))
        for cell in np.array_split(here[np.argsort(error[here], kind="stable")], n_cells):
            ratio = (MAD_TO_SIGMA * np.median(np.abs(z[cell]))) ** 2
            expected = np.mean(model[cell] ** 2)
            certainty = np.sqrt(cell.size) / expected  # 1 / sampling error, but for a factor
            row = np.zeros(n_bins + 1)
            row[0] = np.mean(error[cell] ** 2) * certainty
            row[1 + b] = certainty
            rows.append(row)
            target.append(ratio * expected * certainty)
    matrix = np.array(rows)
    size = np.maximum(np.abs(matrix).max(axis=0), 1e-300)
    found = nnls(matrix / size, np.array(target))[0] / size
    return float(np.sqrt(found[0])), np.sqrt(found[1:])

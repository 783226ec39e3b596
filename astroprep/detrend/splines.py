"""Smooth curves as columns of a regression: cubic B-splines whose penalty is diagonal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["hats", "roughness_basis", "spline_columns", "walk_basis"]


def spline_columns(
    x: NDArray[np.float64], low: float, high: float, n_pieces: int
) -> NDArray[np.float64]:
    """Cubic B-splines on uniform knots, constant beyond the ends.

    Parameters
    ----------
    x : float64 array, shape (n_points,)
        Finite.
    low, high : float
        First and last knot, ``low < high``.
    n_pieces : int
        Polynomial pieces between them.

    Returns
    -------
    float64 array, shape (n_points, n_pieces + 3)
        Rows sum to one.

    References
    ----------
    .. [1] Eilers & Marx 1996, Statistical Science 11, 89, doi:10.1214/ss/1038425655
    """
    place = np.clip((x - low) / (high - low), 0.0, 1.0) * n_pieces
    piece = np.minimum(place.astype(np.int64), n_pieces - 1)
    f = place - piece
    columns = np.zeros((x.size, n_pieces + 3))
    row = np.arange(x.size)
    columns[row, piece] = (1 - f) ** 3 / 6
    columns[row, piece + 1] = (3 * f**3 - 6 * f**2 + 4) / 6
    columns[row, piece + 2] = (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6
    columns[row, piece + 3] = f**3 / 6
    return columns


def roughness_basis(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn spline coefficients so that the penalty on second differences is diagonal.

    Parameters
    ----------
    size : int
        Number of coefficients, at least 3.

    Returns
    -------
    turn : float64 array, shape (size, size)
        Orthogonal; column 0 is the constant, column 1 the straight line, then ever rougher.
    penalty : float64 array, shape (size,)
        Zero for the first two.
    """
    second = np.diff(np.eye(size), 2, axis=0)
    penalty, turn = np.linalg.eigh(second.T @ second)
    line = np.arange(size) - 0.5 * (size - 1)
    turn[:, 0] = 1 / np.sqrt(size)
    turn[:, 1] = line / np.linalg.norm(line)
    penalty[:2] = 0.0
    return turn, penalty


def hats(x: NDArray[np.float64], low: float, high: float, n_pieces: int) -> NDArray[np.float64]:
    """Linear interpolation between ``n_pieces + 1`` nodes, constant beyond the ends.

    Returns
    -------
    float64 array, shape (n_points, n_pieces + 1)
        Rows sum to one.
    """
    width = max(high - low, np.finfo(float).tiny)
    place = np.clip((x - low) / width, 0.0, 1.0) * n_pieces
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(n_pieces + 1)))


def walk_basis(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `roughness_basis`, for the penalty on first differences: a random walk.

    Returns
    -------
    turn : float64 array, shape (size, size)
        Orthogonal; column 0 is the constant.
    penalty : float64 array, shape (size,)
        Zero for the constant.
    """
    first = np.diff(np.eye(size), axis=0)
    penalty, turn = np.linalg.eigh(first.T @ first)
    turn[:, 0] = 1 / np.sqrt(size)
    penalty[0] = 0.0
    return turn, penalty

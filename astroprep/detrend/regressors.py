"""Telemetry as columns of a regression, with the penalties that keep them smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.detrend.splines import hats, roughness_basis, spline_columns, walk_basis

__all__ = ["Regressors", "polynomial", "roll", "roll_size"]

Array = NDArray[np.float64]
EDGE = 0.001  # share of points at either end of the arc that the spline does not stretch to
STILL = 1e-12  # of its size: a column that moves less is constant


@dataclass(frozen=True)
class Regressors:
    """Columns and their prior.

    Parameters
    ----------
    columns : float64 array, shape (n_points, n_columns)
        Of order one, with mean zero over the points that make the trend.
    penalty : float64 array, shape (n_groups, n_columns)
        As `fit_with_priors` takes it.
    """

    columns: Array
    penalty: Array


def _moving(column: Array, make: NDArray[np.bool_]) -> bool:
    return bool(np.ptp(column[make]) > STILL * max(np.abs(column[make]).max(), 1e-300))


def polynomial(telemetry: Array, make: NDArray[np.bool_], degree: int) -> Regressors:
    """Powers of each column that changes, one prior for each power.

    Parameters
    ----------
    telemetry : float64 array, shape (n_points, n_columns)
        Finite.
    make : bool array, shape (n_points,)
        Points that make the trend; the range of a column is theirs, and other points are held
        at its ends.
    degree : int
        Highest power; Legendre polynomials, so that powers do not fight.
    """
    made, power = [], []
    for column in telemetry.T:
        if not _moving(column, make):
            continue
        low, high = column[make].min(), column[make].max()
        z = np.clip(2 * (column - low) / (high - low) - 1, -1.0, 1.0)
        columns = np.polynomial.legendre.legvander(z, degree)[:, 1:]
        made.append(columns - columns[make].mean(axis=0))
        power += list(range(degree))
    if not made:
        return Regressors(np.empty((len(telemetry), 0)), np.empty((0, 0)))
    return Regressors(np.hstack(made), np.eye(degree)[:, power])


def roll_size(days: float, pieces: int, window: float) -> tuple[int, int]:
    """Nodes in time, and columns in all, that `roll` makes for so many days."""
    nodes = int(max(round(days / window), 1)) + 1
    return nodes, nodes * (pieces + 2) + 2


def roll(
    along: Array,
    across: Array,
    time: Array,
    make: NDArray[np.bool_],
    pieces: int,
    window: float,
) -> Regressors:
    """Spline along the arc that walks in time, and a parabola across the arc.

    Parameters
    ----------
    along, across : float64 array, shape (n_points,)
        From `arclength`, pixels.
    time : float64 array, shape (n_points,)
        Days.
    make : bool array, shape (n_points,)
        Points that make the trend.
    pieces : int
        Of the spline.
    window : float
        Distance of the nodes in time, days.

    Notes
    -----
    The coefficients are those of ``f(s, t)`` on splines in s times hats in t, less the functions
    of t alone, which belong to the star. The prior penalises second differences in s and first
    differences in t, each with its own width.
    """
    made, groups = [], []
    if _moving(along, make):
        low, high = np.quantile(along[make], [EDGE, 1 - EDGE])
        if not low < high:
            low, high = along[make].min(), along[make].max()
        turn, rough = roughness_basis(pieces + 3)
        arc = spline_columns(along, low, high, pieces) @ turn[:, 1:]
        arc -= arc[make].mean(axis=0)
        start, end = time[make].min(), time[make].max()
        nodes, _ = roll_size(end - start, pieces, window)
        turn, walk = walk_basis(nodes)
        when = hats(time, start, end, nodes - 1) @ turn
        columns = (when[:, :, None] * arc[:, None, :]).reshape(time.size, -1)
        made.append(columns - columns[make].mean(axis=0))
        groups.append(np.stack([np.tile(rough[1:], nodes), np.repeat(walk, rough.size - 1)]))
    if _moving(across, make):
        z = across / np.abs(across[make]).max()
        columns = np.column_stack([np.clip(z, -1, 1), np.clip(z, -1, 1) ** 2])
        made.append(columns - columns[make].mean(axis=0))
        groups.append(np.ones((1, 2)))
    if not made:
        return Regressors(np.empty((time.size, 0)), np.empty((0, 0)))
    penalty = np.zeros((sum(g.shape[0] for g in groups), sum(g.shape[1] for g in groups)))
    row = column = 0
    for group in groups:
        penalty[row : row + group.shape[0], column : column + group.shape[1]] = group
        row, column = row + group.shape[0], column + group.shape[1]
    return Regressors(np.hstack(made), penalty)

"""Take the own light of periodic stars out of curves that also have shared effects in them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import solve
from astroprep.threads import for_objects

__all__ = ["CLIP", "POINTS_PER_HARMONIC", "own_light"]

POINTS_PER_HARMONIC = 12  # points that a star must have for each harmonic of its model
CLIP = 5.0  # robust sigmas: eclipses that few harmonics miss must not pull the fit
MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
ROUNDS = 2  # fits, the second without what the first one missed by far


@njit(cache=True)
def _design(
    time: NDArray[np.float64],
    epoch: NDArray[np.int64],
    period: float,
    n_harmonics: int,
    effects: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> None:
    """Harmonics, a constant and the effects, one row a column of the regression."""
    for j in range(time.size):
        if n_harmonics > 0:
            angle = 2 * np.pi * ((time[j] / period) % 1.0)
            c1, s1 = np.cos(angle), np.sin(angle)
            c, s = c1, s1
            for k in range(n_harmonics):
                rows[2 * k, j] = c
                rows[2 * k + 1, j] = s
                c, s = c * c1 - s * s1, s * c1 + c * s1
        rows[2 * n_harmonics, j] = 1.0
        for k in range(effects.shape[0]):
            effect = effects[k, epoch[j]]
            rows[2 * n_harmonics + 1 + k, j] = effect if np.isfinite(effect) else 0.0


@njit(cache=True)
def _regress(
    rows: NDArray[np.float64], value: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted least squares; columns that depend on others get zero."""
    size, n = rows.shape
    matrix = np.zeros((size, size))
    right = np.zeros(size)
    total = max(weight.sum(), 1e-300)
    for p in range(size):
        for j in range(n):
            right[p] += weight[j] / total * rows[p, j] * value[j]
        for q in range(p + 1):
            for j in range(n):
                matrix[p, q] += weight[j] / total * rows[p, j] * rows[q, j]
    solve(matrix, right, size)
    return right


@njit(cache=True)
def _one_star(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    epoch: NDArray[np.int64],
    period: float,
    n_harmonics: int,
    effects: NDArray[np.float64],
    own: NDArray[np.float64],
) -> float:
    """Fill the own light of one star; its scatter about everything."""
    n = time.size
    n_own = 2 * n_harmonics
    n_shared = effects.shape[0] if n > n_own + 2 * effects.shape[0] + 2 else 0
    rows = np.empty((n_own + 1 + n_shared, n))
    _design(time, epoch, period, n_harmonics, effects[:n_shared], rows)
    weight = (error.min() / error) ** 2
    use = weight.copy()
    rest = value.copy()
    scatter = 0.0
    coefficient = np.zeros(rows.shape[0])
    for _ in range(ROUNDS):
        coefficient = _regress(rows, value, use)
        rest = value.copy()
        for p in range(rows.shape[0]):
            rest -= coefficient[p] * rows[p]
        scatter = MAD_TO_SIGMA * np.median(np.abs(rest - np.median(rest)))
        for j in range(n):
            use[j] = weight[j] if abs(rest[j]) <= CLIP * max(scatter, 1e-300) else 0.0
        if use.sum() == 0.0:
            break
    own[:] = 0.0
    for p in range(n_own):
        own += coefficient[p] * rows[p]
    return scatter


@njit(nogil=True, cache=True)
def _own_light_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    epoch: NDArray[np.int64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_harmonics: int,
    effects: NDArray[np.float64],
    own: NDArray[np.float64],
    scatter: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        if b > a:
            order = 0
            if period[i] > 0:
                order = min(n_harmonics, (b - a) // POINTS_PER_HARMONIC)
            scatter[i] = _one_star(
                time[a:b], value[a:b], error[a:b], epoch[a:b], period[i], order, effects, own[a:b]
            )


def own_light(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    epoch: NDArray[np.int64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    n_harmonics: int,
    effects: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Folded harmonic model of each star, fitted together with the shared effects.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days, any unit; errors positive.
    epoch : int64 array, shape (n_points,)
        Column of `effects` that each point belongs to.
    offsets : int64 array, shape (n_stars + 1,)
        Star i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_stars,)
        Days; NaN for stars without own light.
    n_harmonics : int
        At most; one for `POINTS_PER_HARMONIC` points.
    effects : float64 array, shape (n_effects, n_epochs)
        May be NaN at epochs that are not known: taken as zero.

    Returns
    -------
    own : float64 array, shape (n_points,)
        Model less its mean level, unit of the value.
    scatter : float64 array, shape (n_stars,)
        Robust scatter about model, level and effects.
    """
    own = np.zeros(time.size)
    scatter = np.zeros(offsets.size - 1)
    for_objects(
        _own_light_range,
        scatter.size,
        time,
        value,
        error,
        epoch,
        offsets,
        period,
        n_harmonics,
        effects,
        own,
        scatter,
    )
    return own, scatter

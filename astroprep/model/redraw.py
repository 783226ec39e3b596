"""Random choices of points and redrawn values of light curves: the kernels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["draw_points", "redraw_periodic"]

HARMONICS = 8  # of the periodic process
LENGTH = 0.5  # scale of its kernel, in units where the circle has radius 1
JITTER = 0.1  # sigma of the curve; what so few harmonics leave


@njit(cache=True)
def _start(key: NDArray[np.int64], row: int, salt: int) -> np.uint64:
    """State of a generator for one object in one epoch."""
    state = np.uint64(salt)
    for k in range(key.size + 1):
        state ^= np.uint64(key[k]) if k < key.size else np.uint64(row)
        state = (state + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(31)
    return state


@njit(cache=True)
def _uniform(state: np.uint64) -> tuple[np.uint64, float]:
    """Next state and a number in [0, 1): SplitMix64 (Steele, Lea & Flood 2014)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, float(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _normal(state: np.uint64) -> tuple[np.uint64, float]:
    """Next state and a standard Gaussian number, by Box and Muller."""
    state, u = _uniform(state)
    state, v = _uniform(state)
    return state, math.sqrt(-2.0 * math.log(1.0 - u)) * math.cos(2 * math.pi * v)


@njit(cache=True, nogil=True)
def draw_points(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    row: NDArray[np.int64],
    key: NDArray[np.int64],
    chance: NDArray[np.float64],
    min_points: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Choose points of each light curve and add noise to them.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Any unit, the same for both.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    row : int64 array, shape (n_curves,)
        Name of each curve among all; with `key` it decides what is drawn.
    key : int64 array, shape (2,)
        Seed and epoch.
    chance : float64 array, shape (5,)
        ``share``, ``subsample``, ``window``, ``noise`` and ``bootstrap`` of
        `astroprep.model.refold.AugmentSettings`.
    min_points : int
        No curve is cut below this many.

    Returns
    -------
    index : int64 array, shape (n_kept,)
        Points that were chosen.
    value, error : float64 array, shape (n_kept,)
        Of them, with noise.
    offsets : int64 array, shape (n_curves + 1,)
        Where the chosen points of each curve begin.
    """
    share, lowest, window, noise, bootstrap = chance
    n_curves = offsets.size - 1
    index = np.empty(value.size, np.int64)
    drawn, sigma = np.empty(value.size), np.empty(value.size)
    ends = np.zeros(n_curves + 1, np.int64)
    at = 0
    for i in range(n_curves):
        a, n = offsets[i], offsets[i + 1] - offsets[i]
        state = _start(key, row[i], 1)
        state, u = _uniform(state)
        changed = u < share
        state, u = _uniform(state)
        part = max(lowest + (1.0 - lowest) * u, min_points / max(n, 1)) if changed else 1.0
        state, u = _uniform(state)
        in_a_row = u < window
        state, u = _uniform(state)
        again = changed and u < bootstrap
        state, extra = _uniform(state)
        extra = extra * noise if changed else 0.0
        keep = min(n, math.ceil(part * n))
        state, u = _uniform(state)
        first = min(int(u * (n - keep + 1)), n - keep)
        left = keep
        for j in range(n):
            state, u = _uniform(state)
            # scattered: selection sampling, exactly `keep` of n, in order
            take = first <= j < first + keep if in_a_row else u * (n - j) < left
            if take and left > 0:
                left -= 1
                point = a + j
                if again:
                    state, u = _uniform(state)
                    point = a + min(int(u * n), n - 1)
                state, gauss = _normal(state)
                index[at] = point
                drawn[at] = value[point] + extra * error[point] * gauss
                sigma[at] = error[point] * math.sqrt(1.0 + extra * extra)
                at += 1
        ends[i + 1] = at
    return index[:at], drawn[:at], sigma[:at], ends


@njit(cache=True)
def _basis(phase: float, row: NDArray[np.float64]) -> None:
    row[0] = 1.0
    for h in range(1, HARMONICS + 1):
        row[2 * h - 1] = math.cos(2 * math.pi * h * phase)
        row[2 * h] = math.sin(2 * math.pi * h * phase)


@njit(cache=True)
def _factor(a: NDArray[np.float64]) -> None:
    """Lower Cholesky factor of a positive definite matrix, in place."""
    n = a.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(total) if i == j else total / a[j, j]


@njit(cache=True)
def _draw_coefficients(
    a: NDArray[np.float64], b: NDArray[np.float64], state: np.uint64
) -> np.uint64:
    """Turn b into a draw from N(a^-1 b, a^-1): with a = L L', solve L' x = L^-1 b + gauss."""
    _factor(a)
    n = b.size
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        state, gauss = _normal(state)
        b[i] += gauss
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]
    return state


@njit(cache=True, nogil=True)
def redraw_periodic(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    is_rare: NDArray[np.bool_],
    row: NDArray[np.int64],
    key: NDArray[np.int64],
    chance: float,
) -> None:
    """Replace rare light curves by draws from a periodic Gaussian process fitted to them, in place.

    Parameters
    ----------
    time, error : float64 array, shape (n_points,)
        Days; unit of `value`, positive.
    value : float64 array, shape (n_points,)
        Overwritten.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,)
        Days; a curve without a positive one stays as it is.
    is_rare : bool array, shape (n_curves,)
        Curves that may be replaced.
    row, key
        As in `draw_points`.
    chance : float
        Probability that a rare curve is.

    Notes
    -----
    The process is periodic at twice the period, so that unequal minima stay unequal. It is a
    Fourier series about the median whose coefficients have Gaussian priors of variance
    ``s² exp(-h² l² / 2)`` for harmonic h and the curve's variance s², close to the spectrum of the
    kernel ``exp(-2 sin²(π Δt / 2P) / l²)``. So the posterior is a linear regression, and a draw
    from it the solution of one small system.

    References
    ----------
    .. [1] MacKay 1998, "Introduction to Gaussian processes", NATO ASI F168, 133
    .. [2] Boone 2019, AJ 158, 257, arXiv:1907.04690, for the use of such draws
    """
    size = 2 * HARMONICS + 1
    a, b, basis = np.empty((size, size)), np.empty(size), np.empty(size)
    for i in range(offsets.size - 1):
        if not is_rare[i] or not period[i] > 0:
            continue
        state = _start(key, row[i], 2)
        state, u = _uniform(state)
        if u >= chance:
            continue
        first, last = offsets[i], offsets[i + 1]
        if last - first < size:
            continue
        middle = np.median(value[first:last])
        variance = np.mean((value[first:last] - middle) ** 2)
        if not variance > 0:
            continue
        a[:], b[:] = 0.0, 0.0
        for h in range(HARMONICS + 1):
            prior = variance * math.exp(-0.5 * (h * LENGTH) ** 2)
            for k in range(max(2 * h - 1, 0), 2 * h + 1):
                a[k, k] = 1.0 / prior
        for j in range(first, last):
            weight = 1.0 / (error[j] ** 2 + JITTER**2 * variance)
            _basis((time[j] - time[first]) / (2.0 * period[i]), basis)
            for k in range(size):
                b[k] += weight * basis[k] * (value[j] - middle)
                for m in range(k + 1):
                    a[k, m] += weight * basis[k] * basis[m]
        state = _draw_coefficients(a, b, state)
        for j in range(first, last):
            _basis((time[j] - time[first]) / (2.0 * period[i]), basis)
            model = 0.0
            for k in range(size):
                model += basis[k] * b[k]
            state, gauss = _normal(state)
            sigma = math.sqrt(error[j] ** 2 + JITTER**2 * variance)
            value[j] = middle + model + sigma * gauss

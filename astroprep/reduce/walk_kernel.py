"""A damped random walk pinned at a few points: what its statistics and those points still say."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.reduce.robust_fit import robust_sigma
from astroprep.reduce.spline_kernel import KNOT_STEPS
from astroprep.threads import for_objects

__all__ = ["POINTS_AN_ANCHOR", "WALK_PARAMETERS", "anchor_points", "walk_values"]

WALK_PARAMETERS = 3
"""log10 of tau (days), log10 of sigma and log10 of the error of an anchor (unit of the value)."""

POINTS_AN_ANCHOR = 5
MEDIAN_LOSS = 1.2533  # sqrt(π / 2): error of a median over that of a mean, Gaussian noise


@njit(nogil=True, cache=True, error_model="numpy")
def _anchor_points_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
    most: int,
    anchor: NDArray[np.float64],
    place: NDArray[np.uint16],
    count: NDArray[np.int64],
    error: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        t, v = time[offsets[i] : offsets[i + 1]], value[offsets[i] : offsets[i + 1]]
        k = min(most, t.size // POINTS_AN_ANCHOR)
        if k < 1 or not t[-1] > t[0]:
            continue
        spread = np.empty(k)
        for a in range(k):
            part = slice(a * t.size // k, (a + 1) * t.size // k)
            middle = np.median(v[part])
            anchor[i, a] = middle - level[i]
            at = (np.median(t[part]) - t[0]) / (t[-1] - t[0])
            place[i, a] = int(np.rint(KNOT_STEPS * at))
            spread[a] = MEDIAN_LOSS * robust_sigma(v[part] - middle) / math.sqrt(v[part].size)
        count[i] = k
        error[i] = np.median(spread)


def anchor_points(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    level: NDArray[np.float64],
    most: int,
) -> tuple[NDArray[np.float64], NDArray[np.uint16], NDArray[np.int64], NDArray[np.float64]]:
    """Medians of runs of equally many points, where a walk will be pinned.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, ascending within each curve.
    value : float64 array, shape (n_points,)
        Any unit.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    level : float64 array, shape (n_curves,)
        Subtracted from the values.
    most : int
        Anchors at most; one needs five points.

    Returns
    -------
    anchor : float64 array, shape (n_curves, most)
        Median values from the level.
    place : uint16 array, shape (n_curves, most)
        Their median times in steps of ``span / KNOT_STEPS`` from the first.
    count : int64 array, shape (n_curves,)
        Anchors in use.
    error : float64 array, shape (n_curves,)
        Error of an anchor, unit of the value: the typical scatter in a run over the square root
        of its points; NaN without anchors.
    """
    n_curves = offsets.size - 1
    anchor, place = np.zeros((n_curves, most)), np.zeros((n_curves, most), np.uint16)
    count, error = np.zeros(n_curves, np.int64), np.full(n_curves, np.nan)
    for_objects(
        _anchor_points_range,
        n_curves,
        time,
        value,
        offsets,
        level,
        most,
        anchor,
        place,
        count,
        error,
    )
    return anchor, place, count, error


@njit(cache=True, error_model="numpy")
def _solve(
    at: NDArray[np.float64],
    anchor: NDArray[np.float64],
    tau: float,
    noise: float,
) -> NDArray[np.float64]:
    """Weights of the anchors: inverse of their covariance times their values, unit variance."""
    k = anchor.size
    lower = np.empty((k, k))
    for a in range(k):
        for b in range(a + 1):
            lower[a, b] = math.exp(-abs(at[a] - at[b]) / tau)
        lower[a, a] += max(noise, 1e-9)  # two anchors at one place: no pivot is zero
    z = anchor.copy()
    for a in range(k):
        for b in range(a + 1):
            total = lower[a, b]
            for c in range(b):
                total -= lower[a, c] * lower[b, c]
            lower[a, b] = math.sqrt(max(total, 1e-12)) if a == b else total / lower[b, b]
        for c in range(a):
            z[a] -= lower[a, c] * z[c]
        z[a] /= lower[a, a]
    for a in range(k - 1, -1, -1):
        for b in range(a + 1, k):
            z[a] -= lower[b, a] * z[b]
        z[a] /= lower[a, a]
    return z


@njit(nogil=True, cache=True, error_model="numpy")
def _walk_values_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    parameters: NDArray[np.float64],
    place: NDArray[np.uint16],
    anchor: NDArray[np.float64],
    anchor_offsets: NDArray[np.int64],
    model: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        part = slice(anchor_offsets[i], anchor_offsets[i + 1])
        a = anchor[part]
        if a.size == 0:
            continue
        at = first[i] + place[part] * ((last[i] - first[i]) / KNOT_STEPS)
        tau = 10.0 ** parameters[i, 0]
        noise = 10.0 ** (2.0 * (parameters[i, 2] - parameters[i, 1]))
        weights = _solve(at, a, tau, noise)
        for j in range(offsets[i], offsets[i + 1]):
            total = 0.0
            for k in range(a.size):
                total += weights[k] * math.exp(-abs(time[j] - at[k]) / tau)
            model[j] = total


def walk_values(
    time: NDArray[np.float64],
    offsets: NDArray[np.int64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    parameters: NDArray[np.float64],
    place: NDArray[np.uint16],
    anchor: NDArray[np.float64],
    anchor_offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Expectation of a damped random walk between its anchors.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days.
    offsets, anchor_offsets : int64 array, shape (n_curves + 1,)
        Of the times and of the anchors of each curve.
    first, last : float64 array, shape (n_curves,)
        Span, days.
    parameters : float64 array, shape (n_curves, WALK_PARAMETERS)
        As named there.
    place : uint16 array, anchor : float64 array
        Those of all curves, one after the other, as in `anchor_points`.

    Returns
    -------
    float64 array, shape (n_points,)
        From the level, unit of the anchors; zero without anchors, and far from all of them.

    Notes
    -----
    ``E[x(t)] = k(t) (K + δ² I)⁻¹ a`` with ``K = σ² exp(-|Δt| / τ)`` between the anchors.

    References
    ----------
    .. [1] Rybicki & Press 1992, ApJ 398, 169, doi:10.1086/171845, equation 6
    """
    model = np.zeros(time.size)
    for_objects(
        _walk_values_range,
        offsets.size - 1,
        time,
        offsets,
        first,
        last,
        parameters,
        place,
        anchor,
        anchor_offsets,
        model,
    )
    return model

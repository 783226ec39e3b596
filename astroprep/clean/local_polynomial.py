"""Local polynomials over ragged, irregular, weighted curves, with the variance of the fit."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.clean.polynomial_windows import slide_tricube, slide_uniform
from astroprep.threads import for_objects

__all__ = ["local_polynomial"]

OWN_FIT = 0.999  # leverage from which a point is its own fit


@njit(cache=True)
def _runs(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    half: float,
    gap: float,
    degree: int,
    tricube: bool,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> None:
    """One series, run by run."""
    first = 0
    while first < time.size:
        last = first + 1
        while last < time.size and time[last] - time[last - 1] <= gap:
            last += 1
        t, v, w = time[first:last], value[first:last], weight[first:last]
        out = fit[first:last], variance[first:last], leverage[first:last]
        if tricube:
            slide_tricube(t, v, w, half, degree, out[0], out[1], out[2])
        else:
            slide_uniform(t, v, w, half, degree, out[0], out[1], out[2])
        first = last


@njit(cache=True)
def _bisquare(
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    fit: NDArray[np.float64],
    leverage: NDArray[np.float64],
    robust: NDArray[np.float64],
) -> None:
    """Weights that fall to zero at six median residuals (Cleveland 1979, eq. 4).

    Residuals are divided by what the leverage leaves of them, and points that are their own
    fit (alone in a window) have no say: on sparse curves half the residuals would be zero.
    """
    residual = np.full(value.size, np.nan)
    for j in range(value.size):
        if leverage[j] < OWN_FIT:
            free = weight[j] / (1.0 - leverage[j])
            residual[j] = abs(value[j] - fit[j]) * np.sqrt(free)
    known = residual[np.isfinite(residual)]
    scale = 6.0 * np.median(known) if known.size else 0.0
    for j in range(value.size):
        robust[j] = 1.0
        if scale > 0 and np.isfinite(residual[j]):
            z = min(residual[j] / scale, 1.0)
            robust[j] = max((1.0 - z * z) ** 2, 1e-6)  # a window of outliers alone stays solvable


@njit(nogil=True, cache=True)
def _local_polynomial_range(
    begin: int,
    end: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    degree: int,
    tricube: bool,
    n_robust: int,
    fit: NDArray[np.float64],
    variance: NDArray[np.float64],
    leverage: NDArray[np.float64],
    used: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        for step in range(n_robust + 1):
            if step > 0:
                _bisquare(value[a:b], weight[a:b], fit[a:b], leverage[a:b], used[a:b])
                used[a:b] *= weight[a:b]
            _runs(
                time[a:b],
                value[a:b],
                used[a:b],
                0.5 * window,
                gap,
                degree,
                tricube,
                fit[a:b],
                variance[a:b],
                leverage[a:b],
            )


def local_polynomial(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    offsets: NDArray[np.int64],
    window: float,
    gap: float,
    degree: int,
    tricube: bool,
    n_robust: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """At each point the value of a polynomial fitted to the points of its window.

    Parameters
    ----------
    time, value : float64 array, shape (n_points,)
        Sorted by time within each series, finite; days and any unit.
    weight : float64 array, shape (n_points,)
        Positive: 1 / error^2, or 1.
    offsets : int64 array, shape (n_series + 1,)
        Series i is ``offsets[i]:offsets[i + 1]``.
    window : float
        Full width, days.
    gap : float
        Windows do not reach over longer steps in time, days.
    degree : int
        0 to 3. A window with fewer than ``degree + 2`` points, or with too few different
        times, takes the highest degree that they carry; one point alone is its own fit.
    tricube : bool
        Weights ``(1 - |2 (t - t_i) / window|^3)^3`` as in LOESS, instead of equal ones as in
        Savitzky and Golay's filter.
    n_robust : int
        Repeats with bisquare weights of the residuals.

    Returns
    -------
    fit, variance, leverage : float64 arrays, shape (n_points,)
        `variance` is that of `fit` where ``weight`` is 1 / error^2 and in units of the variance
        of a point where it is 1. `leverage` is the change of the fit with the value of the
        point itself; its sum is the number of free parameters. Robust weights are taken as
        given, with which the variance is an upper limit.

    Notes
    -----
    With equal weights in the window time is linear in the number of points, whatever the window
    is; with tricube weights it grows with both.

    References
    ----------
    .. [1] Savitzky & Golay 1964, Anal. Chem. 36, 1627, doi:10.1021/ac60214a047
    .. [2] Cleveland 1979, JASA 74, 829, doi:10.1080/01621459.1979.10481038
    """
    fit, variance, leverage = np.empty(time.size), np.empty(time.size), np.empty(time.size)
    used = weight.copy()
    for_objects(
        _local_polynomial_range,
        offsets.size - 1,
        time,
        value,
        weight,
        offsets,
        window,
        gap,
        degree,
        tricube,
        n_robust,
        fit,
        variance,
        leverage,
        used,
    )
    return fit, variance, leverage

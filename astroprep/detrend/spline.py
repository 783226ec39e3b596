"""Smoothing splines over ragged curves by Kalman filter: any sampling, bridged gaps, errors."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["half_gain_density", "kept_fraction", "smooth_run"]

DIFFUSE = 1e3  # prior scatter of level and slope, in ranges of the run (and per day)


@njit(cache=True)
def half_gain_density(timescale: float, cadence: float) -> float:
    """Spectral density of the curvature noise for which a sine of one period is halved.

    Parameters
    ----------
    timescale : float
        The period, days.
    cadence : float
        Typical distance of points, days; they have unit variance.

    Returns
    -------
    float
        ``cadence (2 pi / timescale)^4``, in per cubic day: the spectrum of an integrated random
        walk, density over frequency to the fourth, meets that of the noise there.
    """
    return float(cadence * (2 * np.pi / timescale) ** 4)


@njit(cache=True)
def kept_fraction(duration: float, timescale: float) -> float:
    """Part of a box that a linear spline trend leaves, far from edges and gaps.

    Parameters
    ----------
    duration, timescale : float
        Length of the box, and the period that the spline halves, days.

    Returns
    -------
    float
        Mean residual within a box of height 1; 1 for short boxes.

    Notes
    -----
    The kernel of the spline is ``a/2 exp(-a|t|) (cos at + sin a|t|)``, ``a = sqrt(2) pi /
    timescale`` (Silverman 1984); its mean over the box is integrated twice.

    References
    ----------
    .. [1] Silverman 1984, Annals of Statistics 12, 898, doi:10.1214/aos/1176346710
    """
    x = np.sqrt(2.0) * np.pi * duration / timescale
    if x < 1e-4:
        return 1.0
    return float((1 + np.exp(-x) * (np.sin(x) - np.cos(x))) / (2 * x))


@njit(cache=True)
def _forward(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    density: float,
    state: NDArray[np.float64],
) -> None:
    """Kalman filter of a level with a slope that walks; rows of `state`: x, v, Pxx, Pxv, Pvv."""
    spread = max(DIFFUSE, DIFFUSE * (np.max(value) - np.min(value)))
    x, v = 0.0, 0.0
    pxx, pxv, pvv = spread**2, 0.0, spread**2
    for i in range(time.size):
        if i > 0:
            dt = time[i] - time[i - 1]
            x += dt * v
            pxx += dt * (2 * pxv + dt * pvv) + density * dt**3 / 3
            pxv += dt * pvv + density * dt**2 / 2
            pvv += density * dt
        if weight[i] > 0:
            noise = 1 / weight[i]
            total = pxx + noise
            gain, gain_v = pxx / total, pxv / total
            off = value[i] - x
            x += gain * off
            v += gain_v * off
            pvv -= gain_v * pxv
            pxv *= noise / total
            pxx *= noise / total
        state[i, 0], state[i, 1] = x, v
        state[i, 2], state[i, 3], state[i, 4] = pxx, pxv, pvv


@njit(cache=True)
def _backward(
    time: NDArray[np.float64],
    density: float,
    state: NDArray[np.float64],
    trend: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    """Smoother of Rauch, Tung and Striebel, in two states."""
    n = time.size
    x, v = state[n - 1, 0], state[n - 1, 1]
    pxx, pxv, pvv = state[n - 1, 2], state[n - 1, 3], state[n - 1, 4]
    trend[n - 1], variance[n - 1] = x, pxx
    for i in range(n - 2, -1, -1):
        dt = time[i + 1] - time[i]
        fxx, fxv, fvv = state[i, 2], state[i, 3], state[i, 4]
        # what the filter expected at the next point
        axx = fxx + dt * (2 * fxv + dt * fvv) + density * dt**3 / 3
        axv = fxv + dt * fvv + density * dt**2 / 2
        avv = fvv + density * dt
        det = axx * avv - axv * axv
        if dt > 0 and det > 0:  # at the same time the state is the same
            cxx, cxv, cvx, cvv = fxx + dt * fxv, fxv, fxv + dt * fvv, fvv  # P F'
            gxx = (cxx * avv - cxv * axv) / det
            gxv = (cxv * axx - cxx * axv) / det
            gvx = (cvx * avv - cvv * axv) / det
            gvv = (cvv * axx - cvx * axv) / det
            dx = x - (state[i, 0] + dt * state[i, 1])
            dv = v - state[i, 1]
            dxx, dxv, dvv = pxx - axx, pxv - axv, pvv - avv
            x = state[i, 0] + gxx * dx + gxv * dv
            v = state[i, 1] + gvx * dx + gvv * dv
            hxx, hxv = gxx * dxx + gxv * dxv, gxx * dxv + gxv * dvv
            hvx, hvv = gvx * dxx + gvv * dxv, gvx * dxv + gvv * dvv
            pxx = fxx + hxx * gxx + hxv * gxv
            pxv = fxv + hxx * gvx + hxv * gvv
            pvv = fvv + hvx * gvx + hvv * gvv
        trend[i], variance[i] = x, max(pxx, 0.0)


@njit(cache=True)
def smooth_run(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    density: float,
    trend: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    """Cubic smoothing spline through one run of points, with its variance.

    Parameters
    ----------
    time, value : float64 array, shape (n,)
        Sorted days; value in units in which a point of weight 1 has unit variance, and near 0.
    weight : float64 array, shape (n,)
        0 for points that are bridged. At least two points of different times have more.
    density : float
        See `half_gain_density`.
    trend, variance : float64 array, shape (n,)
        Filled with the trend at every point and its variance.

    Notes
    -----
    The spline is the posterior mean of an integrated random walk seen through noise (Wahba
    1978), which a Kalman filter gives in one pass each way (Kohn & Ansley 1987): n steps
    for n points, no knots, no matrix.

    References
    ----------
    .. [1] Wahba 1978, J. R. Statist. Soc. B 40, 364, doi:10.1111/j.2517-6161.1978.tb01050.x
    .. [2] Kohn & Ansley 1987, SIAM J. Sci. Stat. Comput. 8, 33, doi:10.1137/0908004
    """
    state = np.empty((time.size, 5))
    _forward(time, value, weight, density, state)
    _backward(time, density, state, trend, variance)

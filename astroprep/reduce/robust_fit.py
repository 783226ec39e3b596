"""Least squares with robust weights and a choice among nested or growing models: shared kernels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "BIC",
    "LEAST_PIVOT",
    "LEAVE_ONE_OUT",
    "information_criterion",
    "prepare",
    "reweigh",
    "robust_sigma",
]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
HUBER = 1.5  # robust sigma from which weights fall; 1.345 is 95 % efficient
TUKEY = 5.0  # robust sigma at which a point loses all weight; 4.685 is 95 % efficient
LEAST_ERROR = 0.1  # of the median error: one error quoted as nothing must not decide the fit
LEAST_PIVOT = 5e-3  # of the diagonal: below it the points do not tell a column from earlier ones
BIC, LEAVE_ONE_OUT = 0, 1


@njit(cache=True, error_model="numpy")
def robust_sigma(z: NDArray[np.float64]) -> float:
    """Gaussian sigma about zero from the median absolute value; root mean square where that is 0.

    Parameters
    ----------
    z : float64 array, shape (n_points,)
        Residuals, any unit, at least one.
    """
    sigma = MAD_TO_SIGMA * np.median(np.abs(z))
    if not sigma > 0:
        sigma = math.sqrt(np.mean(z * z))
    return float(sigma)


@njit(cache=True, error_model="numpy")
def prepare(
    value: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Values from their median and errors, both in units of the median error.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        One unit; a curve with an error that is missing or not positive is fitted with equal
        errors.

    Returns
    -------
    y, e : float64 array, shape (n_points,)
        Dimensionless; errors below a tenth of the median count as that.
    level, size : float
        Median value, and the unit of `y` and `e`.
    """
    level = float(np.median(value))
    known = bool(np.all(error > 0) and np.all(np.isfinite(error)))
    if known:
        size = float(np.median(error))
        e = np.maximum(error / size, LEAST_ERROR)
    else:
        size = robust_sigma(value - level)
        e = np.ones(value.size)
    if not size > 0:
        size = 1.0
    return (value - level) / size, e, level, size


@njit(cache=True, error_model="numpy")
def reweigh(
    residual: NDArray[np.float64],
    e: NDArray[np.float64],
    forgive: bool,
    weight: NDArray[np.float64],
) -> None:
    """Weights ``robust / e²`` that add up to one, in place.

    Parameters
    ----------
    residual, e : float64 array, shape (n_points,)
        In units of the median error.
    forgive : bool
        Huber's weights, which leave every point some; Tukey's biweight otherwise.
    weight : float64 array, shape (n_points,)
        Filled.
    """
    z = residual / e
    sigma = robust_sigma(z)
    total = 0.0
    for j in range(z.size):
        u = abs(z[j]) / sigma if sigma > 0 else 0.0
        if forgive:
            robust = HUBER / u if u > HUBER else 1.0
        else:
            robust = (1.0 - (u / TUKEY) ** 2) ** 2 if u < TUKEY else 0.0
        weight[j] = robust / (e[j] * e[j])
        total += weight[j]
    for j in range(z.size):
        weight[j] /= total


@njit(cache=True, error_model="numpy")
def information_criterion(rest: float, n: int, unknowns: int) -> float:
    """Bayesian information criterion for a noise of unknown size.

    Parameters
    ----------
    rest : float
        Weighted mean square of the residuals, relative to anything fixed.
    n, unknowns : int
        Points, and parameters that were fitted.

    Returns
    -------
    float
        ``n ln(rest) + unknowns ln(n)``; the least is best.

    References
    ----------
    .. [1] Schwarz 1978, Annals of Statistics 6, 461, doi:10.1214/aos/1176344136
    """
    return n * math.log(max(rest, 1e-300)) + unknowns * math.log(n)

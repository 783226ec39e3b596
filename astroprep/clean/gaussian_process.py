"""Gaussian-process regression of single curves, through celerite2 (extra ``gp``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from astroprep.optional import need

__all__ = ["gaussian_process_at"]

MAX_ITERATIONS = 60  # of L-BFGS; three parameters settle in 10 to 30
LARGEST_LOG = 7.0  # bounds of the parameters about their first guess: a factor of 1,100


def gaussian_process_at(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    target: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Mean and standard deviation of a Matérn-3/2 process with jitter, fitted to one curve.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time, finite; errors that are not positive and finite count as unknown, and
        jitter takes their place.
    target : float64 array, shape (n_targets,)
        Days, in any order.

    Returns
    -------
    at, sigma : float64 array, shape (n_targets,)
        ``sigma² = variance of the process + jitter² + mean(error²)``: that of a measurement.
        NaN where the curve has fewer than 5 times, is constant, or the fit fails.
    quoted : float
        Root mean square of the errors, 0 where unknown.

    Raises
    ------
    MissingExtraError
        If celerite2 is not installed.

    Notes
    -----
    Amplitude, time scale and jitter maximise the likelihood; the mean is that of the values. It
    costs n per likelihood, milliseconds to seconds a curve: far more than the other methods.

    References
    ----------
    .. [1] Foreman-Mackey et al. 2017, AJ 154, 220, arXiv:1703.09710
    """
    celerite2 = need("celerite2", extra="gp", who="Impute(method='gp')")
    nothing = np.full(target.size, np.nan), np.full(target.size, np.nan), 0.0
    level, spread = float(np.mean(value)), float(np.std(value))
    span = time[-1] - time[0] if time.size else 0.0
    if np.unique(time).size < 5 or not spread > 1e-12 * abs(level) or not span > 0:
        return nothing
    known = bool(np.all(np.isfinite(error) & (error > 0)))
    noise = (error / spread) ** 2 if known else np.zeros(time.size)
    y = (value - level) / spread
    step = max(float(np.median(np.diff(time))), 1e-6 * span)
    guess = np.log([1.0, min(10.0 * step, span), 0.3])  # amplitude, time scale, jitter

    def process(log_parameters: NDArray[np.float64]) -> object:
        sigma, rho, jitter = np.exp(log_parameters)
        gp = celerite2.GaussianProcess(celerite2.terms.Matern32Term(sigma=sigma, rho=rho), mean=0.0)
        gp.compute(time, diag=noise + jitter**2, quiet=True)
        return gp

    def cost(log_parameters: NDArray[np.float64]) -> float:
        value = -float(process(log_parameters).log_likelihood(y))  # type: ignore[attr-defined]
        return value if np.isfinite(value) else 1e25

    bounds = [(g - LARGEST_LOG, g + LARGEST_LOG) for g in guess]
    found = minimize(
        cost, guess, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_ITERATIONS}
    )
    if not np.isfinite(found.fun) or found.fun >= 1e25:
        return nothing
    gp = process(found.x)
    order = np.argsort(target, kind="stable")
    mean, variance = gp.predict(y, t=target[order], return_var=True)  # type: ignore[attr-defined]
    predicted = np.maximum(variance, 0.0) + np.exp(2 * found.x[2]) + noise.mean()
    at, sigma = np.empty(target.size), np.empty(target.size)
    at[order], sigma[order] = level + spread * mean, spread * np.sqrt(predicted)
    good = np.isfinite(at) & np.isfinite(sigma) & (sigma > 0)
    quoted = spread * float(np.sqrt(noise.mean()))
    return np.where(good, at, np.nan), np.where(good, sigma, np.nan), quoted

"""Linear regression under Gaussian priors whose widths the data choose (type-II likelihood)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack

__all__ = ["Evidence", "fit_with_priors"]

MAX_STEPS = 40  # of the fixed point; it gains little after ten
CLOSE = 0.02  # relative change of the widths that no longer matters to the fit
LARGEST_CHANGE = 1e3  # of a precision in one step: early steps may run away
BOUNDS = (1e-9, 1e15)  # precisions of coefficients of order one: "free" and "absent"
JITTER = 1e-10  # of the diagonal: keeps exactly dependent columns solvable


@dataclass(frozen=True)
class Evidence:
    """Posterior of a linear regression.

    Parameters
    ----------
    coefficient : float64 array, shape (n_columns,)
        Posterior mean.
    covariance : float64 array, shape (n_columns, n_columns)
        Posterior covariance, noise level included.
    variance : float
        Noise variance, in units of the weights' reciprocal.
    precision : float64 array, shape (n_groups,)
        Of each group of the prior.
    freedom : float
        Effective number of coefficients, from the free ones up to ``n_columns``.
    """

    coefficient: NDArray[np.float64]
    covariance: NDArray[np.float64]
    variance: float
    precision: NDArray[np.float64]
    freedom: float


def fit_with_priors(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    square: float,
    n_points: int,
    penalty: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
) -> Evidence:
    """Posterior mean and covariance, with noise and prior widths of largest evidence.

    Parameters
    ----------
    gram : float64 array, shape (n_columns, n_columns)
        ``X.T @ W @ X`` with weights ``W`` of mean about one and columns of order one.
    right : float64 array, shape (n_columns,)
        ``X.T @ W @ y``, with ``y`` of order one.
    square : float
        ``y.T @ W @ y``.
    n_points : int
        Number of points.
    penalty : float64 array, shape (n_groups, n_columns)
        The prior precision of column p is ``precision @ penalty[:, p]``; columns of zeros are
        free. Groups may overlap, as the two directions of a tensor product of splines do.
    start : float64 array, shape (n_groups,), optional
        Precisions to begin with; one each otherwise.

    Returns
    -------
    Evidence

    Notes
    -----
    The fixed point of [1]_ (for one group, that of MacKay [2]_): with ``S`` the prior precision
    and ``A = gram / variance + S``, each precision is multiplied by
    ``(tr(S^-1 P) - tr(A^-1 P)) / (c.T P c)``.

    References
    ----------
    .. [1] Wood & Fasiolo 2017, Biometrics 73, 1071, arXiv:1606.04802
    .. [2] MacKay 1992, Neural Computation 4, 415, doi:10.1162/neco.1992.4.3.415
    """
    size = right.size
    precision = np.ones(penalty.shape[0]) if start is None else start.copy()
    variance = max(square / max(n_points, 1), 1e-300)
    diagonal = np.diag(gram)
    floor = JITTER * (diagonal + diagonal.mean() if size else diagonal)
    for _ in range(MAX_STEPS):
        prior = precision @ penalty
        coefficient, covariance = _posterior(gram, right, variance, prior, floor)
        spread = np.diag(covariance)
        freedom = size - float((prior * spread).sum())
        rest = square - 2 * float(coefficient @ right) + float(coefficient @ gram @ coefficient)
        new_variance = max(rest / max(n_points - freedom, 1.0), 1e-24 * square, 1e-300)
        share = np.where(prior > 0, 1 / np.where(prior > 0, prior, 1.0) - spread, 0.0)
        gain = np.maximum(penalty @ share, 1e-300)
        factor = gain / np.maximum(penalty @ coefficient**2, 1e-300)
        new = np.clip(precision * np.clip(factor, 1 / LARGEST_CHANGE, LARGEST_CHANGE), *BOUNDS)
        change = np.abs(np.log(new / precision)).max(initial=abs(np.log(new_variance / variance)))
        precision, variance = new, new_variance
        if change < CLOSE:
            break
    coefficient, covariance = _posterior(gram, right, variance, precision @ penalty, floor)
    return Evidence(coefficient, covariance, variance, precision, freedom)


def _posterior(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    variance: float,
    prior: NDArray[np.float64],
    floor: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance for given widths; scaled so that no power of ten is lost."""
    matrix = gram + np.diag(floor + variance * prior)
    scale = 1 / np.sqrt(np.diag(matrix))
    lower, fail = lapack.dpotrf(matrix * scale * scale[:, None], lower=1, clean=1)
    while fail:  # dependent beyond rounding: heavier jitter
        matrix[np.diag_indices_from(matrix)] *= 1 + 1e-8
        floor = 10 * floor
        matrix[np.diag_indices_from(matrix)] += floor
        scale = 1 / np.sqrt(np.diag(matrix))
        lower, fail = lapack.dpotrf(matrix * scale * scale[:, None], lower=1, clean=1)
    inverse, _ = lapack.dpotri(lower, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    coefficient = cho_solve((lower, True), right * scale) * scale
    return coefficient, variance * inverse * scale * scale[:, None]

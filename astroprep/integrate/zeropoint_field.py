"""Offsets that hold for many stars, from what each star says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["solve_field", "solve_stars"]

Array = NDArray[np.float64]

FREEDOM = 4.0  # of Student's t over stars: a wrong link counts for little
ROUNDS = 200
TOLERANCE = 1e-4  # of the errors of the offsets, a round
ENOUGH_STARS = 8  # below, the scatter of their scores is no measure of the error


def linked(info: Array, reference: int) -> NDArray[np.bool_]:
    """Systems that comparisons tie to the reference, shape (..., n_systems)."""
    reach = (np.abs(info) > 0) | np.eye(info.shape[-1], dtype=bool)
    for _ in range(max(1, int(np.ceil(np.log2(info.shape[-1] + 1))))):
        reach = np.matmul(reach.astype(np.int64), reach.astype(np.int64)) > 0
    return np.asarray(reach[..., reference, :])


def _grounded(matrix: Array, free: NDArray[np.bool_]) -> Array:
    """Inverse on the free systems, zero elsewhere."""
    both = free[..., :, None] & free[..., None, :]
    eye = np.eye(matrix.shape[-1])
    return np.where(both, np.linalg.inv(np.where(both, matrix, eye)), 0.0)


def solve_stars(info: Array, pull: Array, reference: int) -> tuple[Array, Array]:
    """Offsets of every star by itself.

    Parameters
    ----------
    info, pull : float64 array, shape (n_stars, n_systems, n_systems), (n_stars, n_systems)
        From `star_information`.
    reference : int
        System whose offset is zero.

    Returns
    -------
    offset, error : float64 array, shape (n_stars, n_systems)
        Magnitudes; NaN where nothing ties a system to the reference.
    """
    tied = linked(info, reference)
    free = tied.copy()
    free[:, reference] = False
    cov = _grounded(info, free)
    offset = np.einsum("ijk,ik->ij", cov, pull)
    error = np.sqrt(np.einsum("ijj->ij", cov))
    return np.where(tied, offset, np.nan), np.where(tied, error, np.nan)


def solve_field(info: Array, pull: Array, reference: int) -> tuple[Array, Array, Array]:
    """Offsets that the stars of a field share.

    Parameters
    ----------
    info, pull : float64 array, shape (n_stars, n_systems, n_systems), (n_stars, n_systems)
        From `star_information`.
    reference : int
        System whose offset is zero.

    Returns
    -------
    offset, error, scatter : float64 array, shape (n_systems,)
        Magnitudes; NaN where nothing ties a system to the reference. ``scatter`` is what the
        offset differs by from star to star (colour terms, blends), and is in the error.

    Notes
    -----
    Star ``s`` measures ``offset + u_s`` with ``u_s ~ N(0, scatter^2)`` per system, and the whole
    deviates as Student's t with 4 degrees of freedom, so that wrong links do not count. Solved
    by expectation maximisation [1]_. The error is that of an M-estimator (inverse Hessian,
    scores of the stars between [2]_), which needs no model of what stars have in common; with
    fewer than 8 stars it is the model's, if larger.

    References
    ----------
    .. [1] Lange, Little & Taylor 1989, JASA 84, 881, doi:10.1080/01621459.1989.10478852
    .. [2] Huber 1967, Proc. Fifth Berkeley Symp. 1, 221
    """
    n_systems = pull.shape[-1]
    tied = linked(np.abs(info).sum(axis=0), reference)
    says = np.abs(info).sum(axis=(1, 2)) > 0
    info, pull = info[says], pull[says]
    if tied.sum() < 2:
        alone = np.where(tied, 0.0, np.nan)
        return alone, alone.copy(), alone.copy()
    free = tied.copy()
    free[reference] = False
    present = np.einsum("ijj->ij", info) > 0
    inverse: Array = np.asarray(np.linalg.pinv(info, hermitian=True), np.float64)
    rank = np.linalg.matrix_rank(info, hermitian=True)
    offset = _grounded(info.sum(axis=0), free) @ pull.sum(axis=0)
    spread = np.einsum("ijk,ik->ij", inverse, pull - info @ offset)
    n_present = np.maximum(present.sum(axis=0), 1)
    scatter2 = np.where(present, spread**2, 0).sum(axis=0) / n_present
    error = np.full(n_systems, np.inf)
    for _ in range(ROUNDS):
        score, marginal, weight, _ = _expect(info, pull, inverse, rank, offset, scatter2)
        step = _grounded(np.einsum("i,ijk->jk", weight, marginal), free)
        moved = step @ (weight[:, None] * score).sum(axis=0)
        u = scatter2 * score
        left = scatter2 - scatter2**2 * np.einsum("ijj->ij", marginal)
        grown = np.where(present, weight[:, None] * u**2 + left, 0).sum(axis=0) / n_present
        change = np.abs(np.sqrt(grown) - np.sqrt(scatter2))
        offset, scatter2 = offset + moved, grown
        error = np.sqrt(np.maximum(np.diag(step), 1e-300))
        if (np.maximum(np.abs(moved), change)[free] < TOLERANCE * error[free]).all():
            break
    cov = _covariance(*_expect(info, pull, inverse, rank, offset, scatter2), free)
    few = present.sum(axis=0) < ENOUGH_STARS
    sigma = np.where(few, np.maximum(np.sqrt(np.diag(cov)), error), np.sqrt(np.diag(cov)))
    sigma[reference] = 0.0
    blank = np.where(tied, 0.0, np.nan)
    return offset + blank, sigma + blank, np.sqrt(scatter2) + blank


def _expect(
    info: Array,
    pull: Array,
    inverse: Array,
    rank: NDArray[np.int64],
    offset: Array,
    scatter2: Array,
) -> tuple[Array, Array, Array, Array]:
    """Scores, marginal information, weights and chi-square of the stars."""
    mix = np.eye(info.shape[-1]) + info * scatter2  # I + L T; no inverse of T, which may be zero
    both = np.linalg.solve(mix, np.concatenate([info, (pull - info @ offset)[..., None]], axis=-1))
    marginal, score = both[..., :-1], both[..., -1]
    chi2 = np.einsum("ij,ijk,ik->i", score, inverse, score) + (scatter2 * score**2).sum(axis=1)
    weight = (FREEDOM + rank) / (FREEDOM + chi2)
    return score, marginal, weight, chi2


def _covariance(
    score: Array, marginal: Array, weight: Array, chi2: Array, free: NDArray[np.bool_]
) -> Array:
    """Sandwich covariance of the offsets."""
    pushed = weight[:, None] * score
    curvature = np.einsum("i,ijk->jk", weight, marginal)
    bend = np.einsum("i,ij,ik->jk", 2 / (FREEDOM + chi2) / weight, pushed, pushed)
    sharper = curvature - bend
    block = np.ix_(free, free)
    if np.linalg.eigvalsh(sharper[block])[0] > 0.1 * np.linalg.eigvalsh(curvature[block])[0]:
        curvature = sharper
    bread = _grounded(curvature, free)
    n = len(score)
    # a star pulls its own residual down (both scores by 1 - 1/n), and the error is as uncertain
    # as that of n values: Student's t has its 68 % further out
    few = (n / max(n - 1, 1)) ** 2 * (1 + 1.2 / max(n - 1, 1))
    return np.asarray(bread @ (pushed.T @ pushed) @ bread * few)

"""Offsets that hold for many stars, from what each star says."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2 as chi2_law

__all__ = ["solve_field", "solve_stars"]

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

FREEDOM = 4.0  # of Student's t over stars: a wrong link counts for little
ROUNDS = 500
SHIFT = 1e-10  # of the largest eigenvalue: below it lies the common shift, which says nothing
MOVING = 0.01  # of the errors, in the last round: worth a warning
START_ROUNDS = 30
MAD_TO_SIGMA = 1.4826
OUTVOTED = 6  # stars from which on the middle half of them bounds the scatter
WIDEST = 2.0  # scatter over that of the middle half; Gaussian stars have 1
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
        Magnitudes; NaN where nothing ties a system to the reference. ``scatter`` is the
        standard deviation of the offset from star to star (colour terms, blends), and is in
        the error.

    Notes
    -----
    Star ``s`` measures ``offset + u_s`` with ``u_s`` of some variance per system, and the whole
    deviates as Student's t with 4 degrees of freedom [1]_, so that wrong links do not count; its
    size is that of Gaussian stars of the same weights. The variances by the
    multiplicative steps of [3]_, which come to zero in some rounds where expectation
    maximisation takes thousands. From 6 stars on, none is wider than twice what the
    middle half of the stars has. The error is that of an M-estimator (inverse Hessian,
    scores of the stars between [2]_), which needs no model of what stars have in common; with
    fewer than 8 stars it is the model's, if larger.

    References
    ----------
    .. [1] Lange, Little & Taylor 1989, JASA 84, 881, doi:10.1080/01621459.1989.10478852
    .. [2] Huber 1967, Proc. Fifth Berkeley Symp. 1, 221
    .. [3] Zhou, Hu, Qiao & Lange 2019, JCGS 28, 350, doi:10.1080/10618600.2018.1529601
    """
    tied = linked(np.abs(info).sum(axis=0), reference)
    says = np.abs(info).sum(axis=(1, 2)) > 0
    info, pull = info[says], pull[says]
    if tied.sum() < 2:
        alone = np.where(tied, 0.0, np.nan)
        return alone, alone.copy(), alone.copy()
    free = tied.copy()
    free[reference] = False
    present = np.einsum("ijj->ij", info) > 0
    inverse: Array = np.asarray(np.linalg.pinv(info, rcond=SHIFT, hermitian=True), np.float64)
    rank = np.linalg.matrix_rank(info, rtol=SHIFT, hermitian=True)
    offset, scatter2 = _start(info, pull, inverse, rank, free)
    stars = present.sum(axis=0)
    widest = np.where(stars < OUTVOTED, np.inf, WIDEST**2 * scatter2)
    for _ in range(ROUNDS):
        score, marginal, weight, _ = _expect(info, pull, inverse, rank, offset, scatter2)
        step = _grounded(np.einsum("i,ijk->jk", weight, marginal), free)
        moved = step @ (weight[:, None] * score).sum(axis=0)
        pushed = (weight[:, None] * score**2).sum(axis=0)
        expected = np.maximum(np.einsum("ijj->j", marginal), 1e-300)
        grown = np.minimum(scatter2 * np.sqrt(pushed / expected), widest)
        change = np.abs(np.sqrt(grown) - np.sqrt(scatter2))
        offset, scatter2 = offset + moved, grown
        error = np.sqrt(np.maximum(np.diag(step), 1e-300))
        still = float((np.maximum(np.abs(moved), change)[free] / error[free]).max())
        if still < TOLERANCE:
            break
    if still > MOVING:
        logger.warning(
            "zero points of %d stars still move by %.2g of their errors after %d rounds",
            len(info), still, ROUNDS,
        )  # fmt: skip
    cov = _covariance(*_expect(info, pull, inverse, rank, offset, scatter2), rank, free)
    sigma = np.sqrt(np.diag(cov))
    sigma = np.where(stars < ENOUGH_STARS, np.maximum(sigma, error), sigma)
    scatter = np.sqrt(scatter2 + scatter2[reference])  # of the difference, as the offset is
    sigma[reference] = scatter[reference] = 0.0
    blank = np.where(tied, 0.0, np.nan)
    return offset + blank, sigma + blank, scatter + blank


def _start(
    info: Array, pull: Array, inverse: Array, rank: NDArray[np.int64], free: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Offsets by least distance and squared scatter of the middle half of the stars.

    Student's t in two dimensions and more has a second solution, as wide as the wrong links,
    when a sixth of the stars has one; from here the narrow one is found.
    """
    present = np.einsum("ijj->ij", info) > 0
    offset = _grounded(info.sum(axis=0), free) @ pull.sum(axis=0)
    for _ in range(START_ROUNDS):
        spread = np.abs(np.einsum("ijk,ik->ij", inverse, pull - info @ offset))
        with np.errstate(invalid="ignore"):
            middle = np.array(
                [
                    np.median(x[p]) if p.any() else 0.0
                    for x, p in zip(spread.T, present.T, strict=True)
                ]
            )
        scatter2 = (MAD_TO_SIGMA * middle) ** 2
        score, marginal, _, chi2 = _expect(info, pull, inverse, rank, offset, scatter2)
        weight = 1 / np.sqrt(np.maximum(chi2, 1e-6))
        step = _grounded(np.einsum("i,ijk->jk", weight, marginal), free)
        offset = offset + step @ (weight[:, None] * score).sum(axis=0)
    return offset, scatter2


@cache
def _narrower(rank: int) -> float:
    """Squared size of a Gaussian over that of the t with its weights, so that scatter is sigma."""
    chi2 = chi2_law.ppf((np.arange(4000) + 0.5) / 4000, rank)

    def excess(factor: float) -> float:
        return float((factor * (FREEDOM + rank) * chi2 / (FREEDOM + factor * chi2)).mean() - rank)

    return float(brentq(excess, 0.5, 4.0)) if rank else 1.0


def _factors(rank: NDArray[np.int64]) -> Array:
    ranks, place = np.unique(rank, return_inverse=True)
    return np.array([_narrower(int(r)) for r in ranks])[place]


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
    factor = _factors(rank)
    weight = factor * (FREEDOM + rank) / (FREEDOM + factor * chi2)
    return score, marginal, weight, chi2


def _covariance(
    score: Array,
    marginal: Array,
    weight: Array,
    chi2: Array,
    rank: NDArray[np.int64],
    free: NDArray[np.bool_],
) -> Array:
    """Sandwich covariance of the offsets."""
    pushed = weight[:, None] * score
    curvature = np.einsum("i,ijk->jk", weight, marginal)
    factor = _factors(rank)
    bend = np.einsum("i,ij,ik->jk", 2 * factor / (FREEDOM + factor * chi2) / weight, pushed, pushed)
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

"""Bayes factors of positions with errors, and probabilities that they are one source."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError
from astroprep.integrate.sphere import ARCSEC

__all__ = [
    "completeness",
    "log_bayes_factor",
    "offset",
    "pair_log_bayes",
    "posterior",
    "probabilities",
]

SPHERE = 4.0 * np.pi / ARCSEC**2  # square arcseconds
MAX_TURNS = 2000
STILL = 1e-9


def log_bayes_factor(separation: ArrayLike, *sigma: ArrayLike) -> NDArray[np.float64]:
    """Natural logarithm of the Bayes factor of two positions with circular errors.

    Parameters
    ----------
    separation : float array, shape (n,)
        Arcseconds.
    *sigma : two float arrays, shape (n,)
        Gaussian sigma of each coordinate of the first and the second position, arcseconds.

    Returns
    -------
    float64 array, shape (n,)
        For one source against two, without a prior.

    Raises
    ------
    DataError
        If there are not two errors.

    Notes
    -----
    With angles in radians, Eq. 16 of [1]_, the limit of small errors::

        B = 2 / (σ1² + σ2²) exp(-ψ² / (2 (σ1² + σ2²)))

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156
    """
    if len(sigma) != 2:
        raise DataError(f"log_bayes_factor needs two errors, got {len(sigma)}")
    s = np.asarray(sigma[0], np.float64) ** 2 + np.asarray(sigma[1], np.float64) ** 2
    psi = np.asarray(separation, np.float64)
    return np.asarray(np.log(2.0 / (s * ARCSEC**2)) - psi**2 / (2.0 * s))


def posterior(log_bayes: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
    """Probability that a set of detections is one source, of its Bayes factor and prior.

    Parameters
    ----------
    log_bayes : float array, shape (n,)
        Natural logarithm.
    prior : float array, shape (n,)
        Probability before the positions are looked at, such as N* / (N1 N2).

    Notes
    -----
    ``P = 1 / (1 + (1 - P0) / (B P0))``, Eq. 8 of [1]_.

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156
    """
    prior = np.asarray(prior, np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        odds = np.asarray(log_bayes, np.float64) + np.log(prior) - np.log1p(-prior)
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))


@njit(cache=True)
def offset(ra1, dec1, ra2, dec2):  # type: ignore[no-untyped-def]
    """Second position from the first, east and north in arcseconds, and the turn of north.

    The offset has the length of the arc, so it is right at any separation and at the poles.
    """
    a1, d1, d2 = math.radians(ra1), math.radians(dec1), math.radians(dec2)
    step = math.radians(ra2) - a1
    s, c = math.sin(step), math.cos(step)
    sd1, cd1, sd2, cd2 = math.sin(d1), math.cos(d1), math.sin(d2), math.cos(d2)
    half = math.sin(0.5 * step)
    x = cd2 * s
    # sin(d2 - d1) + ... without the cancellation of sd2 cd1 - cd2 sd1 c
    y = math.sin(d2 - d1) + 2.0 * cd2 * sd1 * half * half
    across = math.hypot(x, y)
    arc = math.atan2(across, sd1 * sd2 + cd1 * cd2 * c)
    scale = arc / across / ARCSEC if across > 0 else 0.0
    # the last two: east at the second place in the axes of the first
    return x * scale, y * scale, c, s * sd1


@njit(cache=True)
def pair_log_bayes(  # type: ignore[no-untyped-def]
    left, right, ra1, dec1, cov1, ra2, dec2, cov2
):
    """Natural logarithm of the Bayes factor of each pair, with full covariances.

    Parameters
    ----------
    left, right : int64 array, shape (n_pairs,)
        Rows.
    ra1, dec1, ra2, dec2 : float64 array, shape (n_left,) and (n_right,)
        Degrees.
    cov1, cov2 : float64 array, shape (n_left, 3) and (n_right, 3)
        Towards east and north, arcsec².

    Notes
    -----
    ``B = 2 / sqrt(det C) exp(-d' C⁻¹ d / 2)`` in radians, C the sum of both covariances and d
    the offset: Budavari & Szalay 2008, Eq. 16, with an ellipse for the circle. The second
    covariance is turned into the axes of the first, which matters beside a pole only.
    """
    result = np.empty(left.size)
    for k in range(left.size):
        i, j = left[k], right[k]
        x, y, cosine, sine = offset(ra1[i], dec1[i], ra2[j], dec2[j])
        norm = math.hypot(cosine, sine)
        c, s = (cosine / norm, sine / norm) if norm > 0 else (1.0, 0.0)
        a, b, d = cov2[j, 0], cov2[j, 1], cov2[j, 2]
        xx = cov1[i, 0] + c * c * a - 2.0 * c * s * b + s * s * d
        xy = cov1[i, 1] + c * s * (a - d) + (c * c - s * s) * b
        yy = cov1[i, 2] + s * s * a + 2.0 * c * s * b + c * c * d
        det = xx * yy - xy * xy
        square = (yy * x * x - 2.0 * xy * x * y + xx * y * y) / det
        result[k] = math.log(2.0 / (math.sqrt(det) * ARCSEC * ARCSEC)) - 0.5 * square
    return result


@njit(cache=True)
def _share_of_each(offsets, log_ratio, log_odds, out):  # type: ignore[no-untyped-def]
    """Probability of each pair and the sum over all, given the odds of having a counterpart."""
    total = 0.0
    for i in range(offsets.size - 1):
        a, b = offsets[i], offsets[i + 1]
        top = 0.0
        for k in range(a, b):
            top = max(top, log_ratio[k] + log_odds)
        whole = math.exp(-top)
        for k in range(a, b):
            out[k] = math.exp(log_ratio[k] + log_odds - top)
            whole += out[k]
        for k in range(a, b):
            out[k] /= whole
            total += out[k]
    return total


def probabilities(
    offsets: NDArray[np.int64], log_ratio: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Probability of each pair among all candidates of its left object.

    Parameters
    ----------
    offsets : int64 array, shape (n_left + 1,)
        Pairs of left object i are ``offsets[i]:offsets[i + 1]``.
    log_ratio : float64 array, shape (n_pairs,)
        Natural logarithm of the Bayes factor over the number of objects that the right
        catalogue would have in the whole sky at its density here.
    share : float
        Of left objects that have a counterpart.

    Notes
    -----
    The hypotheses of a left object exclude each other: candidate j is the counterpart (prior c / N,
    N = 4π ν for the density ν), or none is (prior 1 - c)::

        P_j = c B_j / N / (1 - c + Σ_k c B_k / N)

    For one candidate and few counterparts this is Eq. 8 of [1]_ with its prior N* / (N1 N2),
    as c = N* / N1. See [2]_ and [3]_ for several.

    References
    ----------
    .. [1] Budavari & Szalay 2008, ApJ 679, 301, doi:10.1086/587156
    .. [2] Sutherland & Saunders 1992, MNRAS 259, 413, doi:10.1093/mnras/259.3.413
    .. [3] Salvato et al. 2018, MNRAS 473, 4937, doi:10.1093/mnras/stx2651
    """
    result = np.empty(log_ratio.size)
    _share_of_each(offsets, log_ratio, np.log(share) - np.log1p(-share), result)
    return result


def completeness(
    offsets: NDArray[np.int64], log_ratio: NDArray[np.float64], n_objects: int
) -> float:
    """Share of left objects with a counterpart, consistent with its own probabilities.

    Parameters
    ----------
    offsets, log_ratio
        As in `probabilities`.
    n_objects : int
        Left objects inside the footprint of the right catalogue.

    Returns
    -------
    float
        c such that the sum of all probabilities is c `n_objects`: the iteration of section 3.3
        of Budavari & Szalay 2008, here started at 1/2. Each step raises the likelihood
        of c, which has one maximum. Between 0.5 / n and 1 - 0.5 / n.
    """
    edge = 0.5 / max(n_objects, 1)
    share, out = 0.5, np.empty(log_ratio.size)
    for _ in range(MAX_TURNS):
        total = _share_of_each(offsets, log_ratio, np.log(share) - np.log1p(-share), out)
        new = min(max(total / max(n_objects, 1), edge), 1.0 - edge)
        if abs(new - share) < STILL * share:
            return float(new)
        share = new
    return float(share)

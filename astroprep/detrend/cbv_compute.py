"""Cotrending basis vectors from an ensemble of quiet stars on one detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from astroprep.data import LightCurveBatch
from astroprep.detrend.cbv_table import Axis, cadence_table, common_cadences, normalised
from astroprep.detrend.cbv_vectors import ANY, CotrendingVectors
from astroprep.errors import DataError

__all__ = ["Ensemble", "compute_vectors", "entropy_of", "one_number"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MAX_VARIABILITY = 1.3  # in medians of the ensemble; Smith et al. 2012, section 4
FIRST_LIMIT = 3.0  # times as much before the systematics, which differ from star to star, are out
QUIET_SHARE = 0.5  # the best-correlated half makes the vectors; Smith et al. 2012, section 4
SELECTIONS = 8  # rounds of leaving out what the vectors do not explain
LEAST_ENTROPY = -0.7  # nats below the Gaussian; Smith et al. 2012, section 4
LEAST_SNR = 5.0  # decibel; a vector below is noise
BISQUARE = 4.685  # 95 % efficient at the Gaussian; Beaton & Tukey 1974
ROUNDS = 12  # of robust weights
HEAVY = 4.0  # robust scatters from the median weight: the star that lowers the entropy
ENOUGH_STARS = 50  # as many stay if there are: the noise of a vector falls with their root
ENTROPY_STARS = 10  # fewer say nothing of a distribution
DRIFT_ORDER = 3  # of the polynomial that variability is measured about; Smith et al. 2012


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Vectors of one ensemble and how each star fared.

    Parameters
    ----------
    vectors : CotrendingVectors
        Orthonormal over the cadences that are no gap; ``power`` holds the singular values.
    reason : object array of str, shape (n_curves,)
        Why a star was left out, ``""`` for those that made the vectors.
    variability : float64 array, shape (n_curves,)
        Scatter about a cubic in error bars, over the median of the ensemble; NaN where the star
        covers too little.
    correlation : float64 array, shape (n_curves,)
        Median absolute correlation with the other stars; NaN likewise.
    snr : float64 array, shape (n_vectors,)
        Signal to noise of each vector, decibel.
    entropy : float64 array, shape (n_vectors,)
        Of the stars' weights in each vector, relative to a Gaussian, nats.
    """

    vectors: CotrendingVectors
    reason: NDArray[np.object_]
    variability: NDArray[np.float64]
    correlation: NDArray[np.float64]
    snr: NDArray[np.float64]
    entropy: NDArray[np.float64]


def compute_vectors(
    batch: LightCurveBatch,
    n_vectors: int = 8,
    *,
    bin_width: float | None = None,
    max_variability: float = MAX_VARIABILITY,
    quiet_share: float = QUIET_SHARE,
    least_entropy: float = LEAST_ENTROPY,
    least_snr: float = LEAST_SNR,
) -> Ensemble:
    """Vectors that the quiet stars of a batch share.

    Parameters
    ----------
    batch : LightCurveBatch
        Stars of one detector in one segment.
    n_vectors : int, default 8
        At most so many; Kepler's pipeline takes eight of its sixteen.
    bin_width : float, optional
        Days. Without it curves meet at their cadence numbers, or without these in bins of the
        median sampling step.
    max_variability : float, default 1.3
        Stars that scatter more than this about the vectors, in medians of the ensemble, are
        left out; three times as much counts about a cubic, before there are vectors.
    quiet_share : float, default 0.5
        Share of the remaining stars, the best correlated, that make the vectors; at least 50
        stay if there are so many.
    least_entropy : float, default -0.7
        A star that dominates a vector lowers the entropy of the stars' weights; the heaviest
        is left out until it is this high, nats relative to a Gaussian.
    least_snr : float, default 5.0
        Vectors stop at the first below this, decibel; the first always stays.

    Returns
    -------
    Ensemble
        The vectors and how each star fared.

    Raises
    ------
    DataError
        If there are not at least two stars more than vectors, or no common cadences.

    Notes
    -----
    Each star is divided by its level (flux) and its noise. Gaps are filled by straight lines at
    first and then by the model itself; points far from the model lose weight (bisquare), so
    that transits and flares do not make vectors.

    References
    ----------
    .. [1] Smith et al. 2012, PASP 124, 1000, arXiv:1203.1383 (selection, entropy)
    .. [2] Stumpe et al. 2012, PASP 124, 985, arXiv:1203.1382
    """
    if batch.n_curves < n_vectors + 2:
        raise DataError(
            f"compute_vectors needs at least {n_vectors + 2} stars for {n_vectors} vectors, the "
            f"batch has {batch.n_curves}: one star's own variation would be taken for systematics"
        )
    axis, flux, error = cadence_table(batch, bin_width)
    flux, error, kept, why = common_cadences(axis, flux, error, n_vectors)
    scaled, noise = normalised(flux, error, batch.meta.quantity == "flux")
    variability = _variability(scaled, noise)
    correlation = _correlation(scaled)
    inside = why == ""
    full = np.full((2, batch.n_curves), np.nan)
    full[0, inside], full[1, inside] = variability, correlation
    chosen = _quiet(full[0], full[1], why, max_variability, quiet_share, n_vectors)
    limits = (max_variability, least_entropy)
    u, power, v = _cleaned(scaled, noise, np.flatnonzero(inside), chosen, why, n_vectors, limits)
    entropy = np.array([entropy_of(u[:, j]) for j in range(u.shape[1])])
    snr = np.array([_snr(vector) for vector in v])
    good = np.flatnonzero(snr < least_snr)
    count = max(int(good[0]) if good.size else snr.size, 1)
    vectors = np.full((kept.size, count), np.nan)
    vectors[kept] = v[:count].T
    return Ensemble(
        vectors=_container(batch, axis, vectors, power[:count]),
        reason=why,
        variability=full[0],
        correlation=full[1],
        snr=snr[:count],
        entropy=entropy[:count],
    )


def _variability(scaled: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.linspace(-1, 1, scaled.shape[1])
    drift = np.polynomial.legendre.legvander(x, min(DRIFT_ORDER, x.size - 2))
    left = scaled - (drift @ np.linalg.lstsq(drift, scaled.T, rcond=None)[0]).T
    ratio = left.std(axis=1) / noise
    return np.asarray(ratio / max(float(np.median(ratio)), 1e-300))


def _correlation(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-300)
    matrix = np.abs(centred @ centred.T)
    np.fill_diagonal(matrix, np.nan)
    return np.asarray(np.nanmedian(matrix, axis=1))


def _quiet(
    variability: NDArray[np.float64],
    correlation: NDArray[np.float64],
    why: NDArray[np.object_],
    max_variability: float,
    quiet_share: float,
    n_vectors: int,
) -> NDArray[np.bool_]:
    """Stars that make the vectors; the others get their reason."""
    loud = (why == "") & (variability > FIRST_LIMIT * max_variability)
    for i in np.flatnonzero(loud):
        why[i] = f"varies {variability[i]:.1f} times as much as the median star"
    left = np.flatnonzero(why == "")
    if left.size < n_vectors + 2:
        raise DataError(
            f"compute_vectors needs at least {n_vectors + 2} quiet stars for {n_vectors} vectors; "
            f"{left.size} of {why.size} remain with max_variability={max_variability:g}"
        )
    count = max(int(np.ceil(quiet_share * left.size)), n_vectors + 2, ENOUGH_STARS)
    order = left[np.argsort(-correlation[left], kind="stable")]
    for i in order[count:]:
        why[i] = f"correlates less with the others ({correlation[i]:.2f})"
    return np.asarray(why == "")


def _cleaned(
    scaled: NDArray[np.float64],
    noise: NDArray[np.float64],
    star: NDArray[np.intp],
    chosen: NDArray[np.bool_],
    why: NDArray[np.object_],
    n_vectors: int,
    limits: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Vectors of the chosen stars, less those that vary by themselves or dominate a vector."""
    max_variability, least_entropy = limits
    rows = np.flatnonzero(chosen[star])
    least = max(n_vectors + 2, 2 * n_vectors)
    for _ in range(SELECTIONS):
        _, _, v = _robust_svd(scaled[rows], n_vectors)
        left = scaled[rows] - (scaled[rows] @ v.T) @ v
        own = MAD_TO_SIGMA * np.median(np.abs(left - np.median(left, 1, keepdims=True)), axis=1)
        own /= noise[rows]
        own /= max(float(np.median(own)), 1e-300)
        # the worst first: a loud star bends the vectors that the others are judged by
        worst = np.argsort(-own)[: max(min(rows.size // 6, rows.size - least), 0)]
        worst = worst[own[worst] > max_variability]
        if worst.size == 0:
            break
        for i in worst:
            why[star[rows[i]]] = (
                f"varies {own[i]:.1f} times as much as the median about the vectors"
            )
        rows = np.delete(rows, worst)
    while True:
        u, power, v = _robust_svd(scaled[rows], n_vectors)
        entropy = np.array([entropy_of(u[:, j]) for j in range(u.shape[1])])
        low = int(np.argmin(entropy))
        if entropy[low] >= least_entropy or rows.size <= max(ENTROPY_STARS, least):
            return u, power, v
        away = np.abs(u[:, low] - np.median(u[:, low]))
        heavy = int(np.argmax(away))
        if away[heavy] < HEAVY * MAD_TO_SIGMA * np.median(away):
            return u, power, v  # low for another reason: no star stands out
        why[star[rows[heavy]]] = f"dominates vector {low + 1} (entropy {entropy[low]:.2f})"
        rows = np.delete(rows, heavy)


def entropy_of(weights: NDArray[np.float64]) -> float:
    """Entropy of a distribution relative to a Gaussian of the same width, nats.

    Parameters
    ----------
    weights : float64 array, shape (n,)
        Any scale.

    Returns
    -------
    float
        Near 0 for Gaussian weights, very negative where a few dominate; 0 for fewer than ten.

    Notes
    -----
    From the spacings of the sorted values, less what the same estimator gives for the
    quantiles of a Gaussian, which takes its bias for small samples away.

    References
    ----------
    .. [1] Vasicek 1976, Journal of the Royal Statistical Society B 38, 54
    """
    n = weights.size
    spread = float(weights.std())
    if n < ENTROPY_STARS or spread == 0:
        return 0.0
    ideal = ndtri((np.arange(n) + 0.5) / n)
    return _spacings(np.sort(weights) / spread) - _spacings(ideal / ideal.std())


def _spacings(ordered: NDArray[np.float64]) -> float:
    n = ordered.size
    m = max(int(np.sqrt(n) / 2), 1)
    place = np.arange(n)
    step = ordered[np.minimum(place + m, n - 1)] - ordered[np.maximum(place - m, 0)]
    return float(np.mean(np.log(np.maximum(step, 1e-12) * n / (2 * m))))


def _robust_svd(
    scaled: NDArray[np.float64], n_vectors: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the stars, singular values and vectors; far points are replaced by the model."""
    centred = scaled - np.median(scaled, axis=1, keepdims=True)
    filled = centred
    for _ in range(ROUNDS):
        filled = filled - filled.mean(axis=1, keepdims=True)
        u, s, v = np.linalg.svd(filled, full_matrices=False)
        model = (u[:, :n_vectors] * s[:n_vectors]) @ v[:n_vectors]
        left = centred - model
        left -= np.median(left, axis=1, keepdims=True)
        scale = MAD_TO_SIGMA * np.median(np.abs(left), axis=1, keepdims=True)
        z = left / (BISQUARE * np.maximum(scale, 1e-12))
        weight = np.where(np.abs(z) < 1, (1 - z**2) ** 2, 0.0)
        before, filled = filled, model + weight * left
        if np.abs(filled - before).max() < 1e-6:
            break
    u, s, v = np.linalg.svd(filled - filled.mean(axis=1, keepdims=True), full_matrices=False)
    sign = np.where(np.sum(u[:, :n_vectors], axis=0) < 0, -1.0, 1.0)  # most stars follow it
    return u[:, :n_vectors] * sign, s[:n_vectors], v[:n_vectors] * sign[:, None]


def _snr(vector: NDArray[np.float64]) -> float:
    """Variance over that of the white noise that neighbours show, decibel."""
    noise = np.median(np.abs(np.diff(vector))) * MAD_TO_SIGMA / np.sqrt(2)
    return float(20 * np.log10(max(vector.std(), 1e-300) / max(noise, 1e-300)))


def one_number(batch: LightCurveBatch, name: str) -> int:
    """Segment or channel that all curves share, -1 where they do not."""
    values = np.unique(batch.objects[name]) if name in batch.objects else np.empty(0)
    return int(values[0]) if values.size == 1 and values.dtype.kind in "iu" else ANY


def _container(
    batch: LightCurveBatch,
    axis: Axis,
    vectors: NDArray[np.float64],
    power: NDArray[np.float64],
) -> CotrendingVectors:
    return CotrendingVectors(
        vectors=vectors,
        cadence=axis.cadence,
        time=axis.time,
        time_ref=batch.meta.time_ref,
        survey=batch.meta.survey,
        segment=one_number(batch, "segment"),
        channel=one_number(batch, "channel"),
        power=power,
    )

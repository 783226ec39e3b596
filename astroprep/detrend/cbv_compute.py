"""Cotrending basis vectors from an ensemble of quiet stars on one detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import ndtri

from astroprep.base import Needs, OnBad
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend.cbv import SPARE_POINTS, VectorStep
from astroprep.detrend.cbv_vectors import ANY, CotrendingVectors
from astroprep.errors import ConfigError, DataError

__all__ = ["CotrendingFit", "Ensemble", "compute_vectors", "entropy_of"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
MAX_VARIABILITY = 1.3  # in medians of the ensemble; Smith et al. 2012, section 4
FIRST_LIMIT = 3.0  # times as much before the systematics, which differ from star to star, are out
QUIET_SHARE = 0.5  # the best-correlated half makes the vectors; Smith et al. 2012, section 4
SPIKE, SPIKE_WINDOW = 6.0, 7  # scatters of neighbours, cadences; a slow change stays
SELECTIONS = 8  # rounds of leaving out what the vectors do not explain
LEAST_ENTROPY = -0.7  # nats below the Gaussian; Smith et al. 2012, section 4
LEAST_SNR = 5.0  # decibel; a vector below is noise
LEAST_COVERAGE = 0.5  # of stars at a cadence, and of cadences of a star
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
    axis, flux, error = _table(batch, bin_width)
    flux, error, kept, why = _common(axis, flux, error, n_vectors)
    scaled, noise = _normalised(flux, error, batch.meta.quantity == "flux")
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


# -- from the batch to a table ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where the columns of the table are."""

    cadence: NDArray[np.int64] | None
    time: NDArray[np.float64]


def _table(
    batch: LightCurveBatch, bin_width: float | None
) -> tuple[_Axis, NDArray[np.float64], NDArray[np.float64]]:
    """Value and error of every star at every cadence, NaN where it has none."""
    usable = batch.usable
    calm = (batch.flags[usable.index] & np.uint32(PointFlag.EVENT)) == 0
    star = np.repeat(np.arange(batch.n_curves), usable.counts())[calm]
    time, value, error = usable.time[calm], usable.value[calm], usable.error[calm]
    if time.size == 0:
        raise DataError("compute_vectors needs usable points, and no star has any")
    by_number = bin_width is None and "cadence" in batch.points
    if by_number:
        place = batch.points["cadence"][usable.index[calm]].astype(np.int64)
    else:
        if bin_width is None:
            steps = np.diff(time)[np.diff(star) == 0]
            steps = steps[steps > 0]
            bin_width = float(np.median(steps)) if steps.size else 1.0
        place = np.round((time - time.min()) / bin_width).astype(np.int64)
    numbers, column = np.unique(place, return_inverse=True)
    cell = star * numbers.size + column
    size = batch.n_curves * numbers.size
    count = np.bincount(cell, minlength=size).astype(float)
    count[count == 0] = np.nan
    shape = (batch.n_curves, numbers.size)
    flux = (np.bincount(cell, value, size) / count).reshape(shape)
    known = np.where(np.isfinite(error) & (error > 0), error, np.nan)
    square = np.bincount(cell, known**2, size) / count**2
    at = np.bincount(column, time) / np.bincount(column)
    axis = _Axis(numbers if by_number else None, at)
    return axis, flux, np.sqrt(square).reshape(shape)


def _common(
    axis: _Axis, flux: NDArray[np.float64], error: NDArray[np.float64], n_vectors: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.object_]]:
    """Cadences that half of the stars have, and the stars that have half of these."""
    has = np.isfinite(flux)
    some = has.any(axis=1)
    kept = has.sum(axis=0) >= LEAST_COVERAGE * max(int(some.sum()), 1)
    least = n_vectors + SPARE_POINTS
    if kept.sum() < least:
        kind = "times" if axis.cadence is None else "cadence numbers"
        raise DataError(
            f"compute_vectors needs stars with common cadences: of {kept.size} {kind} only "
            f"{int(kept.sum())} are in half of the {int(some.sum())} stars, {n_vectors} vectors "
            f"need {least}. Put stars of one segment together, or bin by time with bin_width"
        )
    why = np.full(flux.shape[0], "", dtype=object)
    share = has[:, kept].mean(axis=1)
    for i in np.flatnonzero(share < LEAST_COVERAGE):
        why[i] = f"covers {share[i]:.0%} of the common cadences"
    flat = np.array(
        [np.ptp(f[h]) == 0 if h.any() else True for f, h in zip(flux, has, strict=True)]
    )
    why[flat & (why == "")] = "is constant"
    good = why == ""
    if good.sum() < n_vectors + 2:
        raise DataError(
            f"compute_vectors needs at least {n_vectors + 2} stars that cover half of the common "
            f"cadences and are not constant, there are {int(good.sum())} of {good.size}"
        )
    return flux[good][:, kept], error[good][:, kept], kept, why


def _normalised(
    flux: NDArray[np.float64], error: NDArray[np.float64], relative: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each star about its median, over its noise, gaps filled by straight lines.

    Over the noise every star tells as much as it knows, which finds faint vectors best
    (measured: the angle of least squares with known weights, where the scatter as unit gives up
    to ten times that); a star quieter than the median counts as the median one, so that the
    few brightest do not speak for all. Flux is relative to the level, magnitudes are not.
    """
    middle = np.nanmedian(flux, axis=1, keepdims=True)
    if relative:
        middle[middle == 0] = np.nan
        error = error / np.abs(middle)
    scaled = (flux - middle) / (np.abs(middle) if relative else 1.0)
    _drop_spikes(scaled)
    noise = np.empty(flux.shape[0])
    place = np.arange(flux.shape[1])
    for i, row in enumerate(scaled):
        known = np.isfinite(row)
        row[~known] = np.interp(place[~known], place[known], row[known])
        bars = error[i][np.isfinite(error[i])]
        steps = MAD_TO_SIGMA * np.median(np.abs(np.diff(row))) / np.sqrt(2)
        noise[i] = max(float(np.median(bars)) if bars.size else steps, steps)
    floor = float(np.median(noise)) if np.median(noise) > 0 else float(scaled.std())
    unit = np.maximum(noise, floor)[:, None]
    return scaled / unit, np.maximum(noise, 1e-3 * floor) / unit[:, 0]


def _drop_spikes(scaled: NDArray[np.float64]) -> None:
    """Make single points far from their neighbours gaps: each would claim a vector of its own."""
    place = np.arange(scaled.shape[1])
    for row in scaled:
        known = np.isfinite(row)
        filled = np.interp(place, place[known], row[known])
        away = filled - median_filter(filled, SPIKE_WINDOW, mode="mirror")
        quiet = MAD_TO_SIGMA * np.median(np.abs(np.diff(filled))) / np.sqrt(2)
        if quiet > 0:
            row[np.abs(away) > SPIKE * quiet] = np.nan


# -- which stars -----------------------------------------------------------------------------


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


# -- the vectors -----------------------------------------------------------------------------


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


def _one_number(batch: LightCurveBatch, name: str) -> int:
    values = np.unique(batch.objects[name]) if name in batch.objects else np.empty(0)
    return int(values[0]) if values.size == 1 and values.dtype.kind in "iu" else ANY


def _container(
    batch: LightCurveBatch,
    axis: _Axis,
    vectors: NDArray[np.float64],
    power: NDArray[np.float64],
) -> CotrendingVectors:
    return CotrendingVectors(
        vectors=vectors,
        cadence=axis.cadence,
        time=axis.time,
        time_ref=batch.meta.time_ref,
        survey=batch.meta.survey,
        segment=_one_number(batch, "segment"),
        channel=_one_number(batch, "channel"),
        power=power,
    )


class CotrendingFit(VectorStep):
    """Compute cotrending vectors from the fitted batch, a set for each channel, and use them.

    Parameters
    ----------
    n_vectors : int, default 8
        At most so many a set, see `compute_vectors`.
    time_bin : float or None, default None
        Days, for stars that share no cadences; None for cadence numbers, or the median step.
    max_variability, quiet_share, least_entropy, least_snr : float
        Which stars and vectors are good enough, see `compute_vectors`.
    protect, shortest, bin_width, bridge, min_overlap : float
        How curves are corrected, see `CotrendingCorrection`, which this step is from then on.
    on_bad : {"raise", "reject"}, default "raise"
        What to do with curves that no vectors match or overlap.

    Raises
    ------
    DataError
        From ``fit``, where a segment and channel has too few quiet stars for the vectors.

    References
    ----------
    .. [1] Smith et al. 2012, PASP 124, 1000, arXiv:1203.1383
    """

    needs = Needs(min_points=1 + SPARE_POINTS)
    # any three stars: loose limits, and bins that stars of different nights share
    example: ClassVar[dict[str, Any]] = {
        "n_vectors": 1,
        "time_bin": 40.0,
        "max_variability": 100.0,
        "quiet_share": 1.0,
    }

    def __init__(
        self,
        n_vectors: int = 8,
        time_bin: float | None = None,
        max_variability: float = MAX_VARIABILITY,
        quiet_share: float = QUIET_SHARE,
        least_entropy: float = LEAST_ENTROPY,
        least_snr: float = LEAST_SNR,
        protect: float = 20.0,
        shortest: float = 1.0,
        bin_width: float = 0.25,
        bridge: float = 3.0,
        min_overlap: float = 0.5,
        on_bad: OnBad = "raise",
    ) -> None:
        self.n_vectors = n_vectors
        self.time_bin = time_bin
        self.max_variability = max_variability
        self.quiet_share = quiet_share
        self.least_entropy = least_entropy
        self.least_snr = least_snr
        self.protect = protect
        self.shortest = shortest
        self.bin_width = bin_width
        self.bridge = bridge
        self.min_overlap = min_overlap
        self.on_bad = on_bad

    def _check(self) -> None:
        wrong = self._check_fit()
        if not self.n_vectors >= 1:
            wrong.append(f"n_vectors must be at least 1, got {self.n_vectors!r}")
        if self.time_bin is not None and not self.time_bin > 0:
            wrong.append(f"time_bin must be positive, got {self.time_bin!r}")
        if not self.max_variability > 0:
            wrong.append(f"max_variability must be positive, got {self.max_variability!r}")
        if not 0 < self.quiet_share <= 1:
            wrong.append(f"quiet_share must be in (0, 1], got {self.quiet_share!r}")
        if wrong:
            raise ConfigError("CotrendingFit: " + "; ".join(wrong))

    def _fit(self, batch: LightCurveBatch) -> None:
        self._hold([self._of(batch.take(group)) for group in _groups(batch)])

    def _of(self, batch: LightCurveBatch) -> CotrendingVectors:
        try:
            found = compute_vectors(
                batch,
                self.n_vectors,
                bin_width=self.time_bin,
                max_variability=self.max_variability,
                quiet_share=self.quiet_share,
                least_entropy=self.least_entropy,
                least_snr=self.least_snr,
            )
        except DataError as error:
            words = [f"{n} {_one_number(batch, n)}" for n in _group_columns(batch)]
            raise DataError("CotrendingFit: " + ", ".join([*words, str(error)])) from error
        return found.vectors


def _group_columns(batch: LightCurveBatch) -> Sequence[str]:
    return [name for name in ("segment", "channel") if name in batch.objects]


def _groups(batch: LightCurveBatch) -> list[NDArray[np.intp]]:
    """Curves of each segment and channel."""
    names = _group_columns(batch)
    if not names or batch.n_curves == 0:
        return [np.arange(batch.n_curves)]
    key = np.column_stack([np.asarray(batch.objects[name]) for name in names])
    _, member = np.unique(key, axis=0, return_inverse=True)
    return [np.flatnonzero(member == i) for i in range(int(member.max()) + 1)]

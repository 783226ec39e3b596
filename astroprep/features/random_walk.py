"""Damped random walk: amplitude and damping time of each light curve, with posterior intervals.

The posterior of ln τ and ln σ is walked on a grid that narrows to where the probability is, so
there is no starting point, no local optimum and no sampling noise; the mean is marginalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features.random_walk_posterior import WALK, walk_posteriors

__all__ = ["RandomWalkFit", "fit_random_walk", "random_walk_log_likelihood", "simulate_random_walk"]

# MacLeod et al. 2010, section 3.2, keep a walk when it is this much likelier than white noise.
LEAST_GAIN = 2.0
LN10 = math.log(10.0)


@dataclass(frozen=True, eq=False)
class RandomWalkFit:
    """Posterior of a damped random walk for each light curve.

    Medians and central 68 % limits of the marginal posteriors; NaN where `status` is
    ``"few points"``, ``"one time"``, ``"flat"`` or ``"no errors"``.

    Parameters
    ----------
    log10_tau, log10_tau_low, log10_tau_high : float64 array, shape (n_curves,)
        Damping time, days.
    log10_tau_mode, log10_sigma_mode : float64 array, shape (n_curves,) and as `log10_sigma`
        Joint maximum of the posterior (flat in both logarithms: the maximum of the likelihood).
    log10_sigma, log10_sigma_low, log10_sigma_high : float64 array
        Standard deviation of the walk over times much longer than τ, unit of the value; the
        structure function there is sqrt(2) times it. Shape (n_curves,); (n_curves, n_bands) of
        a multi-band fit, NaN where a band has fewer than three points.
    log10_sigma_hat, log10_sigma_hat_low, log10_sigma_hat_high : float64 array, shape (n_curves,)
        σ sqrt(2 / τ), unit of the value per square root of a day: the walk over times much
        shorter than τ, well determined where the baseline is too short for τ and σ. Of the
        first band in a multi-band fit.
    log_likelihood : float64 array, shape (n_curves,)
        At the mode, means marginalised under a flat prior of density one.
    gain_over_noise, gain_over_infinite : float64 array, shape (n_curves,)
        `log_likelihood` less that of the best white noise (τ to 0) and of the best undamped walk
        (τ to infinity).
    share_long, share_short : float64 array, shape (n_curves,)
        Posterior probability that τ is longer than a tenth of the baseline, and shorter than the
        median gap.
    status : object array of str, shape (n_curves,)
        ``"ok"``; ``"long"``: share_long above one half, τ and σ are then lower limits that the
        prior shapes; ``"short"``: share_short above one half, τ is an upper limit;
        ``"noise"``: gain_over_noise below 2, nothing that remembers; or one of the above.
    """

    log10_tau: NDArray[np.float64]
    log10_tau_low: NDArray[np.float64]
    log10_tau_high: NDArray[np.float64]
    log10_tau_mode: NDArray[np.float64]
    log10_sigma: NDArray[np.float64]
    log10_sigma_low: NDArray[np.float64]
    log10_sigma_high: NDArray[np.float64]
    log10_sigma_mode: NDArray[np.float64]
    log10_sigma_hat: NDArray[np.float64]
    log10_sigma_hat_low: NDArray[np.float64]
    log10_sigma_hat_high: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    gain_over_noise: NDArray[np.float64]
    gain_over_infinite: NDArray[np.float64]
    share_long: NDArray[np.float64]
    share_short: NDArray[np.float64]
    status: NDArray[np.object_]


def fit_random_walk(
    batch: LightCurveBatch,
    tau_range: tuple[float, float] | None = None,
    multiband: bool = False,
) -> RandomWalkFit:
    """Fit a damped random walk to each light curve.

    Parameters
    ----------
    batch : LightCurveBatch
        Its usable points count, with their errors.
    tau_range : tuple of two floats, optional
        Support of the prior of τ, days. By default a tenth of the median gap to ten baselines,
        of each curve: faster walks are white noise to it, slower ones undamped.
    multiband : bool, default False
        One walk seen in all bands of a curve: τ is shared, each band has its amplitude and mean.

    Returns
    -------
    RandomWalkFit
        One entry a curve.

    Raises
    ------
    ConfigError
        If `tau_range` is not two ascending positive numbers.
    DataError
        If a curve has several bands and `multiband` is False.

    Notes
    -----
    Covariance ``σ_b σ_c exp(-|Δt| / τ)`` between the bands b and c, plus independent errors.
    Priors: flat in ln τ over `tau_range` and in ln σ from 0.001 to 30 times the scatter of the
    curve (those of Kozłowski et al. 2010 and MacLeod et al. 2010: 1/τ and 1/σ̂ have the same
    product), flat in the means. Errors below a millionth of the scatter count as that.

    In a multi-band fit the ratios of amplitudes are set to their maximum of likelihood, and the
    common amplitude and τ have the full posterior; the limits of a band's σ add the conditional
    width of its ratio in quadrature. Ratios are positive: bands that vary against each other, or
    with a lag, are no such walk.

    With baselines below ten τ the likelihood hardly falls toward long τ [4]_: the median then
    rests on the prior, and `status` says ``"long"``.

    References
    ----------
    .. [1] Kelly, Bechtold & Siemiginowska 2009, ApJ 698, 895, arXiv:0903.5315
    .. [2] Kozłowski et al. 2010, ApJ 708, 927, arXiv:0909.1326
    .. [3] MacLeod et al. 2010, ApJ 721, 1014, arXiv:1004.0276
    .. [4] Kozłowski 2017, A&A 597, A128, arXiv:1611.08248
    """
    span = (0.0, 0.0) if tau_range is None else (float(tau_range[0]), float(tau_range[1]))
    if tau_range is not None and not 0 < span[0] < span[1] < math.inf:
        raise ConfigError(f"fit_random_walk: tau_range must ascend from above 0, got {tau_range!r}")
    usable = batch.usable
    band, n_bands = bands_of(batch, multiband, "fit_random_walk")
    rows, sigma = walk_posteriors(
        usable.time, usable.value, usable.error, band, usable.offsets, n_bands, *span
    )
    return _named(rows, sigma, multiband)


def bands_of(batch: LightCurveBatch, multiband: bool, who: str) -> tuple[NDArray[np.int64], int]:
    """Band of each usable point from 0, and how many bands there are; one where unasked for."""
    usable = batch.usable
    if usable.band is None:
        return np.zeros(usable.time.size, np.int64), 1
    if multiband:
        return usable.band.astype(np.int64), max(len(batch.meta.bands), 1)
    first = usable.band[usable.offsets[:-1][usable.counts() > 0]]
    mixed = usable.band != np.repeat(first, usable.counts()[usable.counts() > 0])
    if mixed.any():
        i = int(np.searchsorted(usable.offsets, np.argmax(mixed), side="right")) - 1
        raise DataError(
            f"{who} needs a single band, but {batch.ids[i]!r} (curve {i}) has several: "
            "choose one with SelectBand, or pass multiband=True"
        )
    return np.zeros(usable.time.size, np.int64), 1


def _named(rows: NDArray[np.float64], sigma: NDArray[np.float64], multiband: bool) -> RandomWalkFit:
    """Rows of the kernel as a fit, in decimal logarithms, with a status."""
    status = np.full(rows.shape[0], "ok", dtype=object)
    status[rows[:, WALK.SHARE_LONG] > 0.5] = "long"
    status[rows[:, WALK.SHARE_SHORT] > 0.5] = "short"
    status[rows[:, WALK.GAIN_OVER_NOISE] < LEAST_GAIN] = "noise"
    for code, word in enumerate(("few points", "one time", "flat", "no errors"), start=1):
        status[rows[:, WALK.REFUSED] == code] = word
    bands = sigma if multiband else sigma[:, 0]  # (curve, band, number) or (curve, number)
    named = {
        name.lower(): rows[:, k].copy()
        for name, k in WALK.__members__.items()
        if name not in ("REFUSED", "SCALE")
    }
    for name in ("tau", "tau_low", "tau_high", "tau_mode"):
        named[f"log10_{name}"] = named.pop(name) / LN10
    for name in ("sigma_hat", "sigma_hat_low", "sigma_hat_high"):
        named[f"log10_{name}"] = named.pop(name) / LN10
    for k, name in enumerate(("sigma", "sigma_low", "sigma_high", "sigma_mode")):
        named[f"log10_{name}"] = bands[..., k] / LN10
    return RandomWalkFit(**named, status=status)


@njit(cache=True)
def _walk(gap: NDArray[np.float64], tau: float, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.empty(gap.size)
    last = 0.0
    for i in range(gap.size):
        decay = math.exp(-gap[i] / tau)
        last = decay * last + math.sqrt((1.0 - decay) * (1.0 + decay)) * normal[i]
        x[i] = last
    return x


def simulate_random_walk(
    time: NDArray[np.float64], tau: float, sigma: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """One exact realisation of a stationary damped random walk of mean zero, without noise.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days, in any order; equal times get equal values.
    tau : float
        Damping time, days, positive.
    sigma : float
        Standard deviation over long times, any unit.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    float64 array, shape (n_points,)
        In the unit of `sigma`.

    Raises
    ------
    ConfigError
        If `tau` is not positive.
    """
    if not tau > 0:
        raise ConfigError(f"simulate_random_walk: tau must be positive, got {tau!r}")
    time = np.asarray(time, np.float64)
    order = np.argsort(time, kind="stable")
    gap = np.diff(time[order], prepend=-np.inf)
    x = np.empty(time.size)
    x[order] = sigma * _walk(gap, float(tau), rng.standard_normal(time.size))
    return x


def random_walk_log_likelihood(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    tau: float,
    sigma: float | NDArray[np.float64],
    band: NDArray[np.int64] | None = None,
) -> float:
    """Exact log likelihood of a damped random walk, the mean of each band marginalised.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days in ascending order, value and its one-sigma error in one unit.
    tau : float
        Damping time, days.
    sigma : float, or float64 array, shape (n_bands,)
        Standard deviation over long times, unit of the value, of each band.
    band : int64 array, shape (n_points,), optional
        Band of each point, from 0; all bands present.

    Returns
    -------
    float
        Natural logarithm; the flat prior of the means has density one.

    Raises
    ------
    DataError
        If times descend.
    """
    from astroprep.features.random_walk_kernel import LANES, log_likelihoods

    time = np.asarray(time, np.float64)
    gap = np.diff(time, prepend=-np.inf)
    if not (gap >= 0).all():
        raise DataError("random_walk_log_likelihood needs times in ascending order; sort them")
    codes = np.zeros(time.size, np.int64) if band is None else np.asarray(band, np.int64)
    load = np.repeat(np.atleast_1d(np.asarray(sigma, np.float64))[:, None], LANES, axis=1)
    result = np.empty(LANES)
    noise = np.asarray(error, np.float64) ** 2
    log_likelihoods(gap, np.asarray(value, np.float64), noise, codes, load, float(tau), result)
    return float(result[0])

"""Power law of the structure function, ``SF = A (dt / 1 yr)^gamma``, by likelihood of all pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.features.power_law_errors import GAMMA_HIGH
from astroprep.features.power_law_kernel import REASONS, power_laws
from astroprep.features.random_walk import bands_of

__all__ = ["PowerLawFit", "fit_power_law"]

MAX_PAIRS = 20_000  # all pairs of 200 points; the spread of more draws is far below the error
AT_BOUND = 1e-3


@dataclass(frozen=True, eq=False)
class PowerLawFit:
    """Power law of the structure function of each light curve.

    Parameters
    ----------
    amplitude, amplitude_error : float64 array, shape (n_curves,) or (n_curves, n_bands)
        A, the structure function at one year (365.25 d), unit of the value; of a multi-band fit
        for each band, NaN where a band has fewer than three points or nothing but noise.
    gamma, gamma_error : float64 array, shape (n_curves,)
        Exponent, from 0 (no memory, or a periodic star) through 0.5 (random walk) to 1 (trend).
        The error is that of the scatter of many fits on average; of single ones it comes from a
        likelihood that ends at 0 and 1, and 51 to 76 per cent of true slopes lie within it.
    status : object array of str, shape (n_curves,)
        ``"ok"``; ``"noise"``: the errors explain all of the scatter, and the numbers are NaN;
        ``"flat slope"`` and ``"steep slope"``: gamma at 0 or 1, the ends of its prior, where the
        errors are those of the unbounded likelihood; ``"few points"``, ``"one time"``,
        ``"flat"`` or ``"no errors"``, where the numbers are NaN.
    """

    amplitude: NDArray[np.float64]
    amplitude_error: NDArray[np.float64]
    gamma: NDArray[np.float64]
    gamma_error: NDArray[np.float64]
    status: NDArray[np.object_]


def fit_power_law(
    batch: LightCurveBatch, multiband: bool = False, max_pairs: int = MAX_PAIRS
) -> PowerLawFit:
    """Fit ``SF = A (dt / 1 yr)^gamma`` to each light curve.

    Parameters
    ----------
    batch : LightCurveBatch
        Its usable points count, with their errors.
    multiband : bool, default False
        Share gamma among the bands of a curve, each with an amplitude of its own; pairs are those
        within a band.
    max_pairs : int, default 20000
        Pairs of a curve at most, evenly drawn, each equally likely: all pairs of 200 points.

    Returns
    -------
    PowerLawFit
        One entry a curve.

    Raises
    ------
    ConfigError
        If `max_pairs` is below 100.
    DataError
        If a curve has several bands and `multiband` is False.

    Notes
    -----
    The likelihood is the product over pairs of normal densities of the difference, of variance
    ``SF²(dt) + e_i² + e_j²`` [1]_; priors 1 / A and 1 / (1 + gamma²), gamma within 0 and 1. Pairs
    share points, and points share the process: the curvature of that likelihood makes errors
    several times too small, and its maximum lies too flat and too low by up to half its true
    error. Both are set right to first order, with the exact covariances of the score and its slope
    if the values are a Gaussian process of this very structure function (of one shape in all
    bands): errors are those of Godambe, ``H⁻¹ J H⁻¹`` [2]_, and the bias is that of Cox and Snell
    [3]_. Beyond 150 points these are computed from 150 of them, evenly chosen.

    A damped random walk, a periodic star or a trend is no power law; the numbers then describe
    its pairs, and the errors are a guide.

    References
    ----------
    .. [1] Schmidt et al. 2010, ApJ 714, 1194, arXiv:1002.2642
    .. [2] Varin, Reid & Firth 2011, Statistica Sinica 21, 5 (composite likelihoods)
    .. [3] Cox & Snell 1968, J. R. Stat. Soc. B 30, 248
    """
    if max_pairs < 100:
        raise ConfigError(f"fit_power_law: max_pairs must be 100 or more, got {max_pairs!r}")
    usable = batch.usable
    band, n_bands = bands_of(batch, multiband, "fit_power_law")
    log_a, gamma, error, refused = power_laws(
        usable.time, usable.value, usable.error, band, usable.offsets, n_bands, int(max_pairs)
    )
    amplitude = np.exp(log_a)
    status = np.full(batch.n_curves, "ok", dtype=object)
    status[gamma < AT_BOUND] = "flat slope"
    status[gamma > GAMMA_HIGH - AT_BOUND] = "steep slope"
    for code, word in enumerate(REASONS, start=1):
        status[refused == code] = word
    spread = amplitude * error[:, :-1]
    if not multiband:
        amplitude, spread = amplitude[:, 0], spread[:, 0]
    return PowerLawFit(amplitude, spread, gamma, error[:, -1].copy(), status)

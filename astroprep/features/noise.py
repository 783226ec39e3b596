"""How the values of one light curve compare with their errors."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.features.feature import KERNEL, Feature, columns
from astroprep.features.statistics_table import DISTRIBUTION
from astroprep.threads import for_objects

__all__ = ["NOISE", "noise_statistics"]

STETSON = "Stetson 1996, doi:10.1086/133808"
FLAT = "all values are equal"

NOISE = (
    Feature(
        "weighted_mean",
        "brightness",
        1,
        "sum (m / δ²) / sum (1 / δ²)",
        "",
        "least squares",
        errors=True,
        error="1 / sqrt(sum (1 / δ²))",
    ),
    Feature(
        "excess_variance",
        "brightness",
        2,
        "(s² - <δ²>) / <m>²",
        "the mean is 0",
        "Sánchez et al. 2017, doi:10.3847/1538-4357/aa9188",
        errors=True,
        error="equation 11 of Vaughan et al. 2003, doi:10.1046/j.1365-2966.2003.07042.x",
    ),
    Feature(
        "reduced_chi2",
        "noise",
        2,
        "sum ((m - weighted mean) / δ)² / (N - 1)",
        "",
        "Pearson's chi square",
        errors=True,
        error="sqrt(2 / (N - 1)): Gaussian noise of the errors δ",
    ),
    Feature(
        "stetson_k",
        "noise",
        2,
        "sum |d| / sqrt(N sum d²), d = (m - weighted mean) / δ",
        FLAT,
        STETSON,
        errors=True,
    ),
    Feature(
        "roms",
        "noise",
        2,
        "sum |m - median| / δ / (N - 1)",
        "",
        "Enoch et al. 2003, doi:10.1086/376598",
        errors=True,
    ),
    Feature(
        "intrinsic_fraction",
        "noise",
        2,
        "1 - <δ²> / s²; negative where the errors are quoted too large",
        FLAT,
        "share of the variance that the errors do not explain; Vaughan et al. 2003, "
        "doi:10.1046/j.1365-2966.2003.07042.x",
        errors=True,
    ),
)

D = columns(DISTRIBUTION)
N = columns(NOISE)
N_NOISE = len(NOISE)


@njit(nogil=True, **KERNEL)
def _noise_statistics_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    distribution: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        x = value[offsets[i] : offsets[i + 1]]
        e = error[offsets[i] : offsets[i + 1]]
        n = x.size
        if n == 0:
            continue
        median = distribution[i, D.MEDIAN]
        weights = weighted = noise = spread = 0.0
        for j in range(n):
            w = 1.0 / (e[j] * e[j])
            weights += w
            weighted += w * (x[j] - median)
            noise += e[j] * e[j]
            spread += abs(x[j] - median) / e[j]
        shift = weighted / weights
        result[i, N.WEIGHTED_MEAN] = median + shift
        if n < 2:
            continue
        first = second = 0.0
        for j in range(n):
            d = abs((x[j] - median) - shift) / e[j]
            first += d
            second += d * d
        result[i, N.REDUCED_CHI2] = second / (n - 1)
        result[i, N.ROMS] = spread / (n - 1)
        variance = distribution[i, D.STANDARD_DEVIATION] ** 2
        mean = distribution[i, D.MEAN]
        if mean != 0:
            result[i, N.EXCESS_VARIANCE] = (variance - noise / n) / mean**2
        if distribution[i, D.AMPLITUDE] > 0:
            result[i, N.STETSON_K] = first / math.sqrt(n * second)
            result[i, N.INTRINSIC_FRACTION] = 1.0 - noise / n / variance


def noise_statistics(
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    distribution: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Statistics of values against their errors, one row a curve, in the order of `NOISE`.

    Parameters
    ----------
    value, error : float64 array, shape (n_points,)
        Magnitudes or flux with their one-sigma errors; ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    distribution : float64 array, shape (n_curves, len(DISTRIBUTION))
        What `distribution_statistics` gave, so that the sorting is shared.

    Returns
    -------
    float64 array, shape (n_curves, len(NOISE))
        NaN where the table says so.
    """
    result = np.full((offsets.size - 1, N_NOISE), np.nan)
    for_objects(
        _noise_statistics_range, offsets.size - 1, value, error, offsets, distribution, result
    )
    return result

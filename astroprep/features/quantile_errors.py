"""Standard errors of quantiles and of what is made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from astroprep.features.feature import KERNEL
from astroprep.features.ordering import sorted_values
from astroprep.features.statistics import quantile
from astroprep.threads import for_objects

__all__ = ["QUANTILE_FEATURES", "deviation_errors", "quantile_errors"]

Weights = dict[float, float]


def _range(low: float) -> Weights:
    return {low: -1.0, 1.0 - low: 1.0}


QUANTILE_FEATURES: dict[str, tuple[Weights, Weights | None]] = {
    "median": ({0.5: 1.0}, None),
    "percent_difference_magnitude_percentile_5": (_range(0.05), {0.5: 1.0}),
    "percent_difference_magnitude_percentile_10": (_range(0.1), {0.5: 1.0}),
    "inter_percentile_range_2": (_range(0.02), None),
    "inter_percentile_range_10": (_range(0.1), None),
    "inter_percentile_range_25": (_range(0.25), None),
    "magnitude_percentage_ratio_40_5": (_range(0.4), _range(0.05)),
    "magnitude_percentage_ratio_20_5": (_range(0.2), _range(0.05)),
    "magnitude_percentage_ratio_32_5": (_range(0.325), _range(0.05)),
    "magnitude_percentage_ratio_25_5": (_range(0.25), _range(0.05)),
    "magnitude_percentage_ratio_17_5": (_range(0.175), _range(0.05)),
    "magnitude_percentage_ratio_10_5": (_range(0.1), _range(0.05)),
    "percentile_skew": ({0.05: 1.0, 0.5: -2.0, 0.95: 1.0}, _range(0.05)),
    "moors_kurtosis": (
        {0.125: -1.0, 0.375: 1.0, 0.625: -1.0, 0.875: 1.0},
        _range(0.25),
    ),
}
"""Weights of the quantiles in the numerator and, where there is one, in the denominator."""

# Half width over which a density is read: Hall & Sheather's h = n^(-1/3) z^(2/3)
# (1.5 φ(x)² / (2x² + 1))^(1/3) at the normal quantile x, z that of a 95 % interval.
INTERVAL = 1.959964


def _bandwidth(p: NDArray[np.float64]) -> NDArray[np.float64]:
    x = ndtri(p)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(INTERVAL ** (2 / 3) * np.cbrt(1.5 * density**2 / (2 * x**2 + 1)))


MIDDLE = float(_bandwidth(np.array([0.5]))[0])


@njit(**KERNEL)
def _sparsity(ordered: NDArray[np.float64], p: float, half: float) -> float:
    """Slope of the quantile function, one over the density; NaN for one point.

    A secant over p cuts the corner of a tail, where the slope grows as 1 / p: at p = 0.05 and 300
    Gaussian points it is a sixth too steep. Over the logit of p a tail is nearly straight.
    """
    edge = 0.5 / ordered.size
    low, high = max(p - half, edge), min(p + half, 1.0 - edge)
    if not high > low:
        return np.nan
    run = math.log(high / (1.0 - high)) - math.log(low / (1.0 - low))
    rise = quantile(ordered, high) - quantile(ordered, low)
    return float(rise / run / (p * (1.0 - p)))


@njit(nogil=True, **KERNEL)
def _quantiles_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    points: NDArray[np.float64],
    bandwidth: NDArray[np.float64],
    where: NDArray[np.float64],
    slope: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        x = value[offsets[i] : offsets[i + 1]]
        if x.size == 0:
            continue
        ordered = sorted_values(x)
        for k in range(points.size):
            where[i, k] = quantile(ordered, points[k])
            slope[i, k] = _sparsity(ordered, points[k], bandwidth[k] / x.size ** (1.0 / 3.0))


def _quantiles(
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    points: NDArray[np.float64],
    bandwidth: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles and their slopes, one row a curve."""
    shape = (offsets.size - 1, points.size)
    where, slope = np.full(shape, np.nan), np.full(shape, np.nan)
    for_objects(_quantiles_range, offsets.size - 1, value, offsets, points, bandwidth, where, slope)
    return where, slope


def quantile_errors(
    value: NDArray[np.float64], offsets: NDArray[np.int64], names: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Standard errors of features that are made of quantiles.

    Parameters
    ----------
    value : float64 array, shape (n_points,)
        Finite, independent.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    names : iterable of str
        Out of `QUANTILE_FEATURES`.

    Returns
    -------
    dict of str to float64 array, shape (n_curves,)
        NaN for one point.

    Notes
    -----
    Quantiles at p <= q have the covariance p (1 - q) s(p) s(q) / N for large N, s the slope of
    the quantile function [1]_; a ratio follows by its gradient. The slope is read over the
    width of Hall & Sheather [2]_, cut at the outermost points, against the logit of p.

    References
    ----------
    .. [1] Mosteller 1946, Ann. Math. Statist. 17, 377, doi:10.1214/aoms/1177730881
    .. [2] Hall & Sheather 1988, JRSS B 50, 381, doi:10.1111/j.2517-6161.1988.tb01735.x
    """
    chosen = {name: QUANTILE_FEATURES[name] for name in names}
    if not chosen:
        return {}
    p = np.array(sorted({q for parts in chosen.values() for part in parts for q in part or ()}))
    where, slope = _quantiles(value, offsets, p, _bandwidth(p))
    shared = np.minimum.outer(p, p) - np.outer(p, p)
    counts = np.maximum(np.diff(offsets), 1)
    errors = {}
    for name, (above, below) in chosen.items():
        gradient = np.array([above.get(q, 0.0) for q in p])[None, :]
        if below is not None:
            lower = np.array([below.get(q, 0.0) for q in p])
            with np.errstate(divide="ignore", invalid="ignore"):
                bottom = where @ lower
                ratio = (where @ gradient[0]) / bottom
                gradient = (gradient - ratio[:, None] * lower) / bottom[:, None]
        step = np.where(gradient == 0, 0.0, gradient * slope)
        variance = np.einsum("ij,jk,ik->i", step, shared, step, optimize=True) / counts
        errors[name] = np.sqrt(np.maximum(variance, 0.0))
    return errors


@njit(nogil=True, **KERNEL)
def _deviation_errors_range(
    begin: int,
    end: int,
    value: NDArray[np.float64],
    offsets: NDArray[np.int64],
    median: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        n = offsets[i + 1] - offsets[i]
        if n > 1:
            ordered = sorted_values(np.abs(value[offsets[i] : offsets[i + 1]] - median[i]))
            half = MIDDLE / n ** (1.0 / 3.0)
            result[i] = 0.5 * _sparsity(ordered, 0.5, half) / np.sqrt(n)


def deviation_errors(
    value: NDArray[np.float64], offsets: NDArray[np.int64], median: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard error of the median absolute deviation, for symmetric distributions.

    Parameters
    ----------
    value, offsets
        As of `quantile_errors`.
    median : float64 array, shape (n_curves,)
        Of the values.

    Returns
    -------
    float64 array, shape (n_curves,)
        That of the median of ``|value - median|``; on symmetric distributions the median that
        was taken off does not add to it.

    References
    ----------
    .. [1] Falk 1997, Statistica Neerlandica 51, 305, doi:10.1111/1467-9574.00058
    """
    result = np.full(offsets.size - 1, np.nan)
    for_objects(_deviation_errors_range, offsets.size - 1, value, offsets, median, result)
    return result

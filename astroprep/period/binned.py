"""Folded light curves averaged in bins of phase, in the unit of the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.period.fold import fold_ragged
from astroprep.threads import for_objects

__all__ = ["FoldedBins", "fold_binned"]

LEAST_WEIGHT = 1e-12  # of a point, relative to the best of its curve: a sum of weights is never 0


@dataclass(frozen=True)
class FoldedBins:
    """Many folded curves in bins of phase.

    Bin k holds the phases from ``k / n_bins`` to ``(k + 1) / n_bins``. Where it holds no point
    `count` is 0, `is_filled` False, and the other three are NaN.

    Parameters
    ----------
    mean : float64 array, shape (n_curves, n_bins)
        Error-weighted mean, unit of the value.
    error : float64 array, shape (n_curves, n_bins)
        Its formal error.
    scatter : float64 array, shape (n_curves, n_bins)
        Error-weighted standard deviation about the mean; 0 for one point.
    count : int64 array, shape (n_curves, n_bins)
        Points.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    scatter: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def is_filled(self) -> NDArray[np.bool_]:
        """True where a bin holds a point, shape (n_curves, n_bins)."""
        return self.count > 0

    @property
    def phase(self) -> NDArray[np.float64]:
        """Middle of each bin, shape (n_bins,)."""
        n_bins = self.count.shape[1]
        return np.asarray((np.arange(n_bins) + 0.5) / n_bins)


@njit(nogil=True, cache=True)
def _bin_range(
    begin: int,
    end: int,
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    mean: NDArray[np.float64],
    sigma: NDArray[np.float64],
    scatter: NDArray[np.float64],
    count: NDArray[np.int64],
    n_bins: int,
) -> None:
    for i in range(begin, end):
        a, b = offsets[i], offsets[i + 1]
        if a == b:
            continue
        least = error[a:b].min()  # weights relative to the best point neither over- nor underflow
        total, square = np.zeros(n_bins), np.zeros(n_bins)
        where = np.empty(b - a, np.int64)
        for j in range(a, b):
            k = min(int(phase[j] * n_bins), n_bins - 1)
            where[j - a] = k
            weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
            total[k] += weight
            count[i, k] += 1
            if count[i, k] == 1:
                mean[i, k] = value[j]
            else:
                mean[i, k] += weight / total[k] * (value[j] - mean[i, k])
        for j in range(a, b):
            k = where[j - a]
            weight = max((least / error[j]) ** 2, LEAST_WEIGHT)
            square[k] += weight * (value[j] - mean[i, k]) ** 2
        for k in range(n_bins):
            if count[i, k] > 0:
                sigma[i, k] = least / np.sqrt(total[k])
                scatter[i, k] = np.sqrt(square[k] / total[k])


def _bin(
    phase: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    mean: NDArray[np.float64],
    sigma: NDArray[np.float64],
    scatter: NDArray[np.float64],
    count: NDArray[np.int64],
) -> None:
    n_bins = mean.shape[1]
    for_objects(
        _bin_range,
        offsets.size - 1,
        phase,
        value,
        error,
        offsets,
        mean,
        sigma,
        scatter,
        count,
        n_bins,
    )


def fold_binned(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    offsets: NDArray[np.int64],
    period: NDArray[np.float64],
    epoch: NDArray[np.float64],
    n_bins: int = 50,
) -> FoldedBins:
    """Many curves folded into bins of phase.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Days and any unit; finite, ``error > 0``.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period, epoch : float64 array, shape (n_curves,)
        Days; ``period > 0``.
    n_bins : int, default 50
        Bins of the circle.

    Returns
    -------
    FoldedBins

    Raises
    ------
    ConfigError
        If `n_bins` is not a whole number from 1.
    DataError
        If a time, value, error or period is not finite, or not positive where it must be.
    """
    if n_bins != int(n_bins) or n_bins < 1:
        raise ConfigError(f"fold_binned needs n_bins, a whole number from 1, got {n_bins!r}")
    bad = ~(np.isfinite(time) & np.isfinite(value) & np.isfinite(error) & (error > 0))
    if bad.any():
        raise DataError(
            f"fold_binned needs finite times and values and positive errors: {int(bad.sum())} of "
            f"{bad.size} points are not, point {int(np.argmax(bad))} first; take batch.usable, "
            "after FlagBad"
        )
    bad = ~(np.isfinite(period) & np.isfinite(epoch) & (period > 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            f"fold_binned needs a positive period and a finite epoch: curve {i} has "
            f"{period[i]!r} and {epoch[i]!r}"
        )
    shape = offsets.size - 1, int(n_bins)
    mean, sigma, scatter = (np.full(shape, np.nan) for _ in range(3))
    count = np.zeros(shape, np.int64)
    phase = fold_ragged(time, offsets, period, epoch)
    _bin(phase, value, error, offsets, mean, sigma, scatter, count)
    return FoldedBins(mean, sigma, scatter, count)

"""Run the kernels that some features come from."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.features.feature import Feature
from astroprep.features.folded import FOLDED, folded_statistics
from astroprep.features.fourier import PHASE, fourier_statistics
from astroprep.features.fourier_table import FOURIER
from astroprep.features.noise import NOISE, noise_statistics
from astroprep.features.series import series_noise_statistics, series_statistics
from astroprep.features.series_table import CADENCE, SERIES, SERIES_NOISE
from astroprep.features.statistics import distribution_statistics
from astroprep.features.statistics_table import DISTRIBUTION

__all__ = ["FIRST_PHASE", "Curves", "curves_of", "lacking_errors", "measure"]

FIRST_PHASE = "first_phase"  # of the first harmonic at the first point; serves pairs of bands


class Curves(NamedTuple):
    """Flat columns that the kernels read.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Usable points, by time in each curve.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``.
    period : float64 array, shape (n_curves,), or None
        Days.
    sign : float
        1 for magnitudes, -1 for flux.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]
    period: NDArray[np.float64] | None
    sign: float


def curves_of(batch: LightCurveBatch) -> Curves:
    """Usable points of a batch, with the periods if it has them."""
    usable, period = batch.usable, batch.objects.get("period")
    return Curves(
        usable.time,
        usable.value,
        usable.error,
        usable.offsets,
        None if period is None else np.ascontiguousarray(period, dtype=np.float64),
        1.0 if batch.meta.quantity == "mag" else -1.0,
    )


def lacking_errors(curves: Curves) -> NDArray[np.bool_]:
    """Curves with a point whose error is missing, zero or negative, shape (n_curves,)."""
    bad = ~(np.isfinite(curves.error) & (curves.error > 0))
    lacking = np.zeros(curves.offsets.size - 1, bool)
    lacking[np.searchsorted(curves.offsets, np.flatnonzero(bad), side="right") - 1] = True
    return lacking


def measure(curves: Curves, names: AbstractSet[str]) -> dict[str, NDArray[np.float64]]:
    """Columns of features, with those that the same kernels gave.

    Parameters
    ----------
    curves : Curves
        The points; with periods where a feature needs them.
    names : set of str
        Features that are wanted.

    Returns
    -------
    dict of str to float64 array, shape (n_curves,)
        As the kernels left them: a curve that is too short, or lacks errors, is the caller's.
    """
    time, value, error, offsets, period, sign = curves
    columns: dict[str, NDArray[np.float64]] = {}

    def wanted(*tables: tuple[Feature, ...]) -> bool:
        return any(feature.name in names for table in tables for feature in table)

    def keep(table: tuple[Feature, ...], rows: NDArray[np.float64]) -> None:
        columns.update({feature.name: rows[:, k] for k, feature in enumerate(table)})

    distribution = distribution_statistics(value, offsets, sign)
    keep(DISTRIBUTION, distribution)
    moments = np.column_stack(
        [columns[name] for name in ("mean", "standard_deviation", "amplitude")]
    )
    if wanted(NOISE):
        keep(NOISE, noise_statistics(value, error, offsets, distribution))
    if wanted(SERIES, CADENCE):
        keep(SERIES + CADENCE, series_statistics(time, value, offsets, moments))
    if wanted(SERIES_NOISE):
        keep(SERIES_NOISE, series_noise_statistics(time, value, error, offsets))
    if period is None:
        return columns
    if "log10_period" in names:
        columns["log10_period"] = np.log10(period)
    if wanted(FOURIER):
        deviation = np.ascontiguousarray(columns["median_absolute_deviation"])
        rows = fourier_statistics(time, value, error, offsets, period, sign, deviation)
        keep(FOURIER, rows)
        columns[FIRST_PHASE] = rows[:, PHASE]
    if wanted(FOLDED):
        keep(FOLDED, folded_statistics(time, value, offsets, period, sign, moments))
    return columns

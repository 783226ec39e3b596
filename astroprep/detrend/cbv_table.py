"""Light curves of an ensemble side by side: one row a star, one column a cadence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend.cbv_apply import SPARE_POINTS
from astroprep.errors import DataError

__all__ = ["Axis", "cadence_table", "common_cadences", "normalised"]

MAD_TO_SIGMA = 1.4826  # Gaussian sigma per unit of MAD; Rousseeuw & Croux 1993
SPIKE, SPIKE_WINDOW = 6.0, 7  # scatters of neighbours, cadences; a slow change stays
LEAST_COVERAGE = 0.5  # of stars at a cadence, and of cadences of a star


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the columns of the table are."""

    cadence: NDArray[np.int64] | None
    time: NDArray[np.float64]


def cadence_table(
    batch: LightCurveBatch, bin_width: float | None
) -> tuple[Axis, NDArray[np.float64], NDArray[np.float64]]:
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
    axis = Axis(numbers if by_number else None, at)
    return axis, flux, np.sqrt(square).reshape(shape)


def common_cadences(
    axis: Axis, flux: NDArray[np.float64], error: NDArray[np.float64], n_vectors: int
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


def normalised(
    flux: NDArray[np.float64], error: NDArray[np.float64], relative: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each star about its median, over its noise, gaps filled by straight lines.

    Over the noise every star tells as much as it knows, which finds faint vectors best
    (measured: the angle of least squares with known weights, where the scatter as unit gives up
    to ten times that); a star quieter than the median counts as the median one, so that the
    few brightest do not speak for all. Flux is relative to the level, magnitudes are not.
    """
    middle = np.nanmedian(flux, axis=1, keepdims=True)
    level = np.ones_like(middle)
    if relative:  # difference flux may have no level: its scatter then
        level = np.where(middle == 0, np.nanstd(flux, axis=1, keepdims=True), np.abs(middle))
    scaled, error = (flux - middle) / level, error / level
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

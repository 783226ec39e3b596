"""What two bands of one object tell together, and its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from astroprep.features.bands import PAIRED, pair_statistics
from astroprep.features.measure import FIRST_PHASE, Curves

__all__ = ["PARTS", "cross_errors", "cross_values"]

PARTS = {
    "colour": ("median",),
    "spread_ratio": ("inter_percentile_range_10", "median"),
    "amplitude_ratio": ("fourier_amplitude", "median"),
    "phase_lag": ("fourier_r21", FIRST_PHASE),
}
"""Features of the single bands that a feature between bands is made of."""

MAGNITUDE = 2.5 / math.log(10)  # magnitudes per unit of ln flux

Table = Mapping[str, NDArray[np.float64]]


def _level(values: Table, flux: bool) -> NDArray[np.float64]:
    """What sizes are compared to in each band: the median flux, or 1 for magnitudes."""
    median = values["median"]
    return np.where(median > 0, median, np.nan) if flux else np.ones_like(median)


def _ratio(values: Table, name: str, at: int, flux: bool) -> NDArray[np.float64]:
    size = values[name] / _level(values, flux)
    below = size[:, at + 1]
    return size[:, at] / np.where(below > 0, below, np.nan)


def _lag(values: Table, curves: Curves, at: int, n_bands: int) -> NDArray[np.float64]:
    """Phases are counted from the first point of each band; both are moved to that of one."""
    starts = curves.offsets[:-1]
    time = np.append(curves.time, np.nan)[np.where(np.diff(curves.offsets) > 0, starts, -1)]
    time = time.reshape(-1, n_bands)
    period = curves.period
    assert period is not None  # the step asked for it
    phase = values[FIRST_PHASE] / (2 * np.pi)
    apart = (time[:, at] - time[:, at + 1]) / period.reshape(-1, n_bands)[:, at]
    lag = phase[:, at + 1] - phase[:, at] + apart
    lag = 0.5 - (0.5 - lag) % 1.0
    return np.asarray(
        np.where(np.isfinite(values["fourier_r21"][:, at : at + 2]).all(1), lag, np.nan)
    )


def cross_values(
    curves: Curves, values: Table, at: int, names: AbstractSet[str]
) -> dict[str, NDArray[np.float64]]:
    """Features between a band and the next.

    Parameters
    ----------
    curves : Curves
        A curve for each band of each object.
    values : mapping of str to float64 array, shape (n_objects, n_bands)
        Features of the single bands that `PARTS` lists, NaN where undefined.
    at : int
        Place of the first band.
    names : set of str
        Features that are wanted.

    Returns
    -------
    dict of str to float64 array, shape (n_objects,)
        NaN where undefined; ``"pairs"`` counts those of points, where they were looked for.
    """
    n_bands = next(iter(values.values())).shape[1]
    flux = curves.sign < 0
    columns: dict[str, NDArray[np.float64]] = {}
    made: dict[str, Callable[[], NDArray[np.float64]]] = {
        "colour": lambda: _colour(values, at, flux),
        "spread_ratio": lambda: _ratio(values, "inter_percentile_range_10", at, flux),
        "amplitude_ratio": lambda: _ratio(values, "fourier_amplitude", at, flux),
        "phase_lag": lambda: _lag(values, curves, at, n_bands),
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in names & made.keys():
            columns[name] = made[name]()
    if names & {feature.name for feature in PAIRED}:
        time, value, error, offsets, _, _ = curves
        rows, pairs = pair_statistics(time, value, error, offsets, at, n_bands)
        columns |= {feature.name: rows[:, k] for k, feature in enumerate(PAIRED)}
        columns["pairs"] = pairs.astype(np.float64)
    return columns


def _colour(values: Table, at: int, flux: bool) -> NDArray[np.float64]:
    median = values["median"]
    if not flux:
        return np.asarray(median[:, at] - median[:, at + 1])
    level = _level(values, flux)
    return np.asarray(-2.5 * np.log10(level[:, at] / level[:, at + 1]))


def cross_errors(
    columns: Table, values: Table, errors: Table, at: int, flux: bool
) -> dict[str, NDArray[np.float64]]:
    """Standard errors of features between a band and the next, as far as theory gives them.

    Parameters
    ----------
    columns : mapping of str to float64 array, shape (n_objects,)
        What `cross_values` gave.
    values, errors : mapping of str to float64 array, shape (n_objects, n_bands)
        Features of the single bands and their errors.
    at : int
        Place of the first band.
    flux : bool
        Whether values are flux.

    Returns
    -------
    dict of str to float64 array, shape (n_objects,)
        Bands are independent measurements: their errors add in quadrature.
    """

    def both(part: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hypot(part[:, at], part[:, at + 1])

    result: dict[str, NDArray[np.float64]] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        if "colour" in columns:
            relative = errors["median"] / values["median"]
            result["colour"] = MAGNITUDE * both(relative) if flux else both(errors["median"])
        for name, part in (
            ("spread_ratio", "inter_percentile_range_10"),
            ("amplitude_ratio", "fourier_amplitude"),
        ):
            if name in columns:
                relative = errors[part] / values[part]
                if flux:
                    relative = np.hypot(relative, errors["median"] / values["median"])
                result[name] = columns[name] * both(relative)
        if "phase_lag" in columns:
            result["phase_lag"] = both(errors[FIRST_PHASE]) / (2 * np.pi)
        if "pair_correlation" in columns:
            spread = 1.0 - columns["pair_correlation"] ** 2
            result["pair_correlation"] = spread / np.sqrt(columns["pairs"] - 1)
    return result

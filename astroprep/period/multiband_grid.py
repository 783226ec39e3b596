"""Fast periodograms of several bands on an even grid, by the model of one shared series.

The sums come from `astroprep.period.series`; the few frequencies where float32 is not enough are
evaluated in float64 by `astroprep.period.multiband`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.period.backends import (
    BANDS,
    CELL,
    COMBINE,
    KERNEL,
    POINT,
    PRODUCT,
    PRODUCT_FREQUENCY,
    PRODUCT_POINT,
    REPAIRS,
    ROWS,
    SERIES_ROWS,
    TRANSFORM,
    n_spreads,
    plans,
)
from astroprep.period.exact import MAX_HARMONICS
from astroprep.period.grid import FrequencyGrid
from astroprep.period.multiband import check_harmonics
from astroprep.period.multiband_fit import MAX_BANDS, band_edges, multiband_fit, standardise_bands
from astroprep.period.points import check_points
from astroprep.period.series import series_power, series_room
from astroprep.period.spectrum import Plan
from astroprep.threads import in_chunks

__all__ = ["choose_multiband", "count_bands", "grid_power_multiband", "power_multiband_ragged"]


@njit(cache=True)
def count_bands(band: NDArray[np.int16], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many different bands each curve has, int64, shape (n_curves,)."""
    count = np.zeros(offsets.size - 1, np.int64)
    for i in range(offsets.size - 1):
        if offsets[i + 1] > offsets[i]:
            ordered = np.sort(band[offsets[i] : offsets[i + 1]])
            count[i] = band_edges(ordered).size - 1
    return count


def choose_multiband(
    n_points: NDArray[np.int64],
    n_bands: NDArray[np.int64],
    size: NDArray[np.int64],
    n_harmonics: int,
) -> NDArray[np.int64]:
    """The cheapest way for each curve: a transform size or matrix products.

    Parameters
    ----------
    n_points, n_bands, size : int64 array, shape (n_curves,)
        Points, bands, and frequencies of the grid.
    n_harmonics : int
        Terms of the series.

    Returns
    -------
    int64 array, shape (n_curves,)
        A place in `astroprep.period.backends.plans`, or `PRODUCT`.
    """
    rows = np.array(ROWS)
    cells = 8.0 * rows
    whole = np.ceil(size[:, None] / np.array(BANDS))
    each = TRANSFORM + CELL * cells * np.log2(cells)
    spread = 3 * n_harmonics * POINT * n_points[:, None]
    cost = whole * (n_harmonics * (2 + n_bands[:, None]) * each + spread)
    cost += KERNEL * n_spreads(n_points, whole, n_harmonics) * n_points[:, None]
    cost = np.where(rows > SERIES_ROWS, np.inf, cost)
    choice = np.argmin(cost, axis=1)
    # products cost the same however many bands the points are in
    few = size * n_harmonics * (PRODUCT_FREQUENCY + PRODUCT_POINT * n_points)
    return np.where(few < cost.min(axis=1) * REPAIRS + COMBINE * size, PRODUCT, choice)


@njit(cache=True, nogil=True)
def grid_power_multiband(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    bands: NDArray[np.int64],
    start: float,
    step: float,
    n_harmonics: int,
    choice: int,
    plan: Plan,
    power: NDArray[np.float32],
    room: NDArray[np.float32],
) -> None:
    """Shared-model power on an even grid; what float32 cannot tell is evaluated exactly.

    Parameters
    ----------
    time, weighted, weight, bands
        From `standardise_bands`.
    choice : int
        From `choose_multiband`.
    start, step, n_harmonics, plan, power, room
        As for `astroprep.period.series.series_power`.
    """
    products = choice == PRODUCT
    if not series_power(
        time, weighted, weight, bands, start, step, n_harmonics, power, products, plan, room
    ):
        return
    work = np.empty((4, time.size))
    matrix = np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS))
    coefficient = np.empty(2 * MAX_HARMONICS)
    for i in range(power.size):
        if power[i] < 0:
            at = start + i * step
            power[i] = multiband_fit(
                time, weight, weighted, bands, at, n_harmonics, work, matrix, coefficient
            )


@njit(cache=True, nogil=True)
def _power_rows(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    start: float,
    step: float,
    n_harmonics: int,
    choice: NDArray[np.int64],
    plans: tuple[Plan, ...],
    out: NDArray[np.float32],
) -> None:
    for i in range(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        order = first + np.argsort(band[first:last], kind="mergesort")
        bands = band_edges(band[order])
        centred, weight, weighted, deviation = standardise_bands(
            time[order], value[order], error[order], bands
        )
        if deviation == 0.0:
            out[i] = 0.0
            continue
        plan = plans[max(choice[i], 0)]
        needed = series_room(order.size, n_harmonics, bands.size - 1, choice[i] == PRODUCT, plan)
        room = np.empty(needed, np.float32)
        grid_power_multiband(
            centred,
            weighted,
            weight,
            bands,
            start,
            step,
            n_harmonics,
            choice[i],
            plan,
            out[i],
            room,
        )


def power_multiband_ragged(
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    error: NDArray[np.float64],
    band: NDArray[np.int16],
    offsets: NDArray[np.int64],
    grid: FrequencyGrid,
    *,
    n_harmonics: int = 1,
    jobs: int | None = None,
) -> NDArray[np.float32]:
    """Fast multi-band periodograms of many curves on one grid, by the shared model.

    Parameters
    ----------
    time, value, error : float64 array, shape (n_points,)
        Sorted by time within each curve, finite, ``error > 0``.
    band : int16 array, shape (n_points,)
        Codes of the bands.
    offsets : int64 array, shape (n_curves + 1,)
        Curve i is ``offsets[i]:offsets[i + 1]``, two points at least.
    grid : FrequencyGrid
        The same for all.
    n_harmonics : int, default 1
        Terms of the Fourier series, 1 to 8.
    jobs : int or None
        Threads; None takes numba's number of threads. The result does not depend on it.

    Returns
    -------
    float32 array, shape (n_curves, grid.size)
        Share of the chi-square about the band means, within 1e-3 of `multiband_power`; 0 for a
        constant curve.

    Raises
    ------
    ConfigError
        If a setting is unknown.
    DataError
        If a curve has fewer than two points, all its points at one time, or too many bands, is
        not sorted, or has a number that is not finite or an error that is not positive.

    References
    ----------
    .. [1] VanderPlas & Ivezic 2015, ApJ 812, 18, doi:10.1088/0004-637X/812/1/18
    """
    check_harmonics(n_harmonics)
    check_points("power_multiband_ragged", time, value, error, offsets)
    n_points = np.diff(offsets)
    n_bands = count_bands(band, offsets)
    if np.any(n_bands > MAX_BANDS):
        curve = int(np.argmax(n_bands > MAX_BANDS))
        raise DataError(f"power_multiband_ragged needs at most {MAX_BANDS} bands: curve {curve}")
    choice = choose_multiband(n_points, n_bands, np.full(n_points.size, grid.size), n_harmonics)
    out = np.empty((n_points.size, grid.size), np.float32)
    tables = plans(choice)

    def work(first: int, last: int) -> None:
        _power_rows(
            time,
            value,
            error,
            band,
            offsets[first : last + 1],
            grid.start,
            grid.step,
            n_harmonics,
            choice[first:last],
            tables,
            out[first:last],
        )

    in_chunks(n_points.size, jobs, work)
    return out

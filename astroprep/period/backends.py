"""Which way to compute the power of a curve, and the one kernel that goes each way.

All ways take the same arguments and give the same power, up to float32: a long transform with
interpolation (`sine`), matrix products for few points (`product`), transforms for a series of
harmonics (`series`), and float64 frequency by frequency (`exact`). The costs were measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.period.exact import harmonic_power
from astroprep.period.peaks import repair
from astroprep.period.product import product_power, product_room
from astroprep.period.series import n_kept, series_power, series_room
from astroprep.period.sine import sine_power, sine_room
from astroprep.period.spectrum import OVERSAMPLING, SUBDIVISION, Plan, band_of, plan

__all__ = ["BANDS", "EXACT", "PRODUCT", "choose", "grid_power", "n_spreads", "plans", "room_for"]

EXACT, PRODUCT = -2, -1  # choices beside the places of `plans`, which mean transforms
# rows of the transforms to choose from; 40,960 cells at most, which a second-level cache holds
ROWS = (32, 64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 3072, 5120)
BANDS = tuple(band_of(rows) for rows in ROWS)  # frequencies of each
# microseconds on a Zen 4 core: of a transform, of each of its cells times the logarithm of their
# number, of each point spread; of a frequency combined
TRANSFORM, CELL, POINT, COMBINE = 0.3, 1.3e-4, 0.0055, 1.6e-3
# series: of the kernel around a point, for each multiple of the grid; and the largest transforms
# that leave room for the spectra of four harmonics in a second-level cache or close to it
KERNEL, SERIES_ROWS = 0.0045, 3072
# of a frequency by matrix products, and of each point that it sums
PRODUCT_FREQUENCY, PRODUCT_POINT = 1.4e-3, 1.48e-4
REPAIRS = 1.4  # several harmonics: what transforms leave to be repaired where points are few


def plans(chosen: NDArray[np.int64] | None = None) -> tuple[Plan, ...]:
    """Tables of every transform size; those that are not chosen are filled up with the least.

    Parameters
    ----------
    chosen : int64 array, optional
        From `choose`; all sizes by default, which take as long to make as a star to search.
    """
    wanted = range(len(ROWS)) if chosen is None else np.unique(chosen).tolist()
    return tuple(plan(rows if k in wanted else ROWS[0]) for k, rows in enumerate(ROWS))


def n_spreads(n_points: NDArray[np.int64], blocks: Any, n_harmonics: int) -> Any:
    """How often a series makes the kernels around all points, in so many blocks of frequencies.

    Parameters
    ----------
    n_points : int64 array, shape (n_curves,)
        Points.
    blocks : array, shape (n_curves, n_plans)
        Transforms side by side.
    n_harmonics : int
        Terms of the series.
    """
    order = 2 * n_harmonics
    kept = n_kept(n_points, n_harmonics)[:, None]
    again = np.where(kept < order, order - kept + 1, 0)
    return order - again + again * blocks


def choose(
    n_points: NDArray[np.int64],
    size: NDArray[np.int64],
    step: NDArray[np.float64],
    baseline: NDArray[np.float64],
    n_harmonics: int = 1,
    *,
    transforms_only: bool = False,
) -> NDArray[np.int64]:
    """The cheapest way for each curve; depends on nothing but the curve and its grid.

    Parameters
    ----------
    n_points, size : int64 array, shape (n_curves,)
        Points, and frequencies of the grid.
    step, baseline : float64 array, shape (n_curves,)
        Spacing of the grid (cycles per day) and length of the curve (days).
    n_harmonics : int
        Terms of the series.
    transforms_only : bool
        Leave matrix products out.

    Returns
    -------
    int64 array, shape (n_curves,)
        A place in `plans`, or `PRODUCT`.
    """
    band = np.array(BANDS)
    cells: NDArray[np.float64] = np.multiply(8.0, ROWS)
    whole = np.ceil(size[:, None] / band)
    steps = size[:, None] / SUBDIVISION
    fine = (n_harmonics == 1) & _interpolates(step, baseline)
    transforms = np.where(
        fine[:, None], np.ceil(steps / band) + np.ceil(2 * steps / band), 3 * n_harmonics * whole
    )
    each = TRANSFORM + CELL * cells * np.log2(cells) + POINT * n_points[:, None]
    kernels = np.where(fine[:, None], 0.0, KERNEL * n_spreads(n_points, whole, n_harmonics))
    cost = transforms * each + kernels * n_points[:, None]
    too_large = ~fine[:, None] & (np.array(ROWS) > SERIES_ROWS)
    cost = np.where(too_large, np.inf, cost)
    choice = np.argmin(cost, axis=1)
    if not transforms_only:
        few = size * n_harmonics * (PRODUCT_FREQUENCY + PRODUCT_POINT * n_points)
        best = cost[np.arange(choice.size), choice] * (1 if n_harmonics == 1 else REPAIRS)
        best += COMBINE * size
        choice = np.where(few < best, PRODUCT, choice)
    return np.asarray(choice, np.int64)


@njit(cache=True)
def _interpolates(step: Any, baseline: Any) -> Any:
    """Whether the spectrum varies slowly enough over a grid step to be interpolated."""
    return step * baseline * (OVERSAMPLING * SUBDIVISION) <= 1 + 1e-9


@njit(cache=True)
def room_for(n_points: int, size: int, n_harmonics: int, choice: int, plan: Plan) -> int:
    """Numbers of work space that `grid_power` needs for one curve."""
    if choice == EXACT:
        return 0
    products = choice == PRODUCT
    if n_harmonics == 1:
        other = product_room(n_points) if products else sine_room(n_points, size, plan)
    else:
        other = 0
    return max(other, series_room(n_points, n_harmonics, 1, products, plan))


@njit(cache=True, nogil=True)
def grid_power(
    time: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: float,
    step: float,
    n_harmonics: int,
    choice: int,
    plan: Plan,
    power: NDArray[np.float32],
    room: NDArray[np.float32],
) -> None:
    """Share of the variance that a Fourier series explains on an even grid, nothing left out.

    Parameters
    ----------
    time, weighted, weight : float64 array, shape (n_points,)
        From `astroprep.period.exact.standardise`.
    start, step : float
        First frequency and spacing, cycles per day.
    n_harmonics : int
        Terms of the series.
    choice : int
        From `choose`, or `EXACT`.
    plan : Plan
        ``plans()[choice]``; any where the choice is none of them.
    power : float32 array, shape (n_frequencies,)
        Filled. What float32 cannot tell is evaluated exactly.
    room : float32 array, shape (at least `room_for`,)
        Overwritten.
    """
    if choice == EXACT:
        at = start + step * np.arange(power.size, dtype=np.float64)
        found = harmonic_power(time, weight, weighted, at, n_harmonics)
        for k in range(power.size):
            power[k] = found[k]
        return
    products = choice == PRODUCT
    if products and n_harmonics == 1:
        marked = product_power(time, weighted, weight, start, step, power, room)
    elif n_harmonics == 1 and _interpolates(step, time[-1] - time[0]):
        marked = sine_power(time, weighted, weight, start, step, power, plan, room)
    else:
        all_points = np.array([0, time.size])
        marked = series_power(
            time,
            weighted,
            weight,
            all_points,
            start,
            step,
            n_harmonics,
            power,
            products,
            plan,
            room,
        )
    if marked:
        repair(time, weight, weighted, start, step, power, n_harmonics)

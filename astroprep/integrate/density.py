"""Objects per square arcsecond around each place, which sets how many matches are chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.integrate.sphere import ARCSEC

__all__ = ["surface_density"]

PER_CELL = 24.0  # objects; nine cells have 216 of them, so the density has an error of 7 %
MAX_CELLS = 1 << 25


@njit(cache=True)
def _layout(side, south, north):  # type: ignore[no-untyped-def]
    """Zones on the sky, the first that holds something, and where the cells of each begin.

    Cells have nearly equal sides; only zones between two declinations (degrees) have any.
    """
    n_zones = max(int(math.ceil(math.pi / side)), 1)  # noqa: RUF046, numba gives a float
    first, last = _zone(south, n_zones), _zone(north, n_zones)
    starts = np.zeros(last - first + 2, np.int64)
    for z in range(first, last + 1):
        middle = (z + 0.5) * math.pi / n_zones - 0.5 * math.pi
        around = max(np.int64(2.0 * math.pi * math.cos(middle) / side), 1)
        starts[z - first + 1] = starts[z - first] + around
    return n_zones, first, starts


@njit(cache=True)
def _zone(dec, n_zones):  # type: ignore[no-untyped-def]
    return min(max(np.int64((dec + 90.0) / 180.0 * n_zones), 0), n_zones - 1)


@njit(cache=True)
def _cell(ra, around):  # type: ignore[no-untyped-def]
    turn = ra / 360.0
    return min(np.int64((turn - math.floor(turn)) * around), around - 1)


@njit(cache=True)
def _counts(ra, dec, n_zones, first, starts):  # type: ignore[no-untyped-def]
    counts = np.zeros(starts[-1], np.int32)
    for i in range(ra.size):
        z = _zone(dec[i], n_zones) - first
        counts[starts[z] + _cell(ra[i], starts[z + 1] - starts[z])] += 1
    return counts


@njit(cache=True)
def _density(ra, dec, n_zones, first, starts, counts, own, own_area):  # type: ignore[no-untyped-def]
    """Counts over area in the cells around each place, without what lies beside the object."""
    density = np.empty(ra.size)
    for i in range(ra.size):
        zone = _zone(dec[i], n_zones)
        count, area = 0, 0.0
        for z in range(max(zone - 1, first), min(zone + 2, first + starts.size - 1)):
            around = starts[z - first + 1] - starts[z - first]
            south = z * math.pi / n_zones - 0.5 * math.pi
            cell = (math.sin(south + math.pi / n_zones) - math.sin(south)) * 2.0 * math.pi / around
            middle = _cell(ra[i], around)
            for step in range(min(around, 3)):
                here = counts[starts[z - first] + (middle - 1 + step) % around]
                count += here
                area += cell if here else 0.0  # an empty cell is outside the footprint
        if count:
            density[i] = max(count - own[i], 1) / max(area - own_area, 0.1 * area)
        else:
            density[i] = math.nan
    return density


def surface_density(
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    of_ra: NDArray[np.float64],
    of_dec: NDArray[np.float64],
    own: NDArray[np.int64],
    radius: float,
) -> NDArray[np.float64]:
    """Surface density of a catalogue around given places.

    Parameters
    ----------
    ra, dec : float64 array, shape (n,)
        Places, degrees.
    of_ra, of_dec : float64 array, shape (n_objects,)
        The catalogue, degrees.
    own : int64 array, shape (n,)
        Objects within `radius` of each place. They are left out with their area, as one of
        them may be the place's own counterpart.
    radius : float
        Arcseconds.

    Returns
    -------
    float64 array, shape (n,)
        Objects per square arcsecond, never 0. NaN where the place is not finite or none of
        the nine cells of about 24 objects around it has any: outside the footprint. Cells at
        its edge are partly outside, so there the density is too low, by a sixth typically.
    """
    density = np.full(ra.size, np.nan)
    there = np.isfinite(of_ra) & np.isfinite(of_dec)
    here = np.isfinite(ra) & np.isfinite(dec)
    if not there.any():
        return density
    of_ra, of_dec = of_ra[there], of_dec[there]
    low, high = float(of_dec.min()), float(of_dec.max())
    band = np.sin(np.deg2rad(high)) - np.sin(np.deg2rad(low))
    area = band * np.deg2rad(min(float(np.ptp(of_ra % 360.0)), 360.0))
    area = min(max(area, 1e-12), 4 * np.pi)
    least = max(4.0 * radius * ARCSEC, np.sqrt(2 * np.pi * max(band, 1e-9) / MAX_CELLS))
    for _ in range(2):  # the box around a footprint first, then the footprint
        side = float(min(max(np.sqrt(PER_CELL * area / of_ra.size), least), 1.0))
        grid: Any = _layout(side, low, high)
        counts = _counts(of_ra, of_dec, *grid)
        area = min(area, side**2 * np.count_nonzero(counts))
    own_area = np.pi * (radius * ARCSEC) ** 2
    density[here] = _density(
        ra[here], dec[here], grid[0], grid[1], grid[2], counts, own[here], own_area
    )
    return np.asarray(density * ARCSEC**2)

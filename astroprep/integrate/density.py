"""Objects per square arcsecond around each place, which sets how many matches are chance."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.integrate.sphere import ARCSEC

__all__ = ["surface_density"]

PER_CELL = 24.0  # objects; nine cells have 216 of them, so the density has an error of 7 %


@njit(cache=True)
def _layout(side):  # type: ignore[no-untyped-def]
    """First cell of each zone, and their sum; cells of nearly equal sides in zones."""
    n_zones = max(np.int64(math.ceil(math.pi / side)), 1)
    starts = np.zeros(n_zones + 1, np.int64)
    for z in range(n_zones):
        middle = (z + 0.5) * math.pi / n_zones - 0.5 * math.pi
        around = max(np.int64(2.0 * math.pi * math.cos(middle) / side), 1)
        starts[z + 1] = starts[z] + around
    return starts


@njit(cache=True)
def _zone_and_turn(ra, dec, n_zones):  # type: ignore[no-untyped-def]
    zone = min(np.int64((dec + 90.0) / 180.0 * n_zones), n_zones - 1)
    turn = ra / 360.0
    return zone, turn - math.floor(turn)


@njit(cache=True)
def _counts(ra, dec, starts):  # type: ignore[no-untyped-def]
    counts = np.zeros(starts[-1], np.int64)
    for i in range(ra.size):
        zone, turn = _zone_and_turn(ra[i], dec[i], starts.size - 1)
        around = starts[zone + 1] - starts[zone]
        counts[starts[zone] + min(np.int64(turn * around), around - 1)] += 1
    return counts


@njit(cache=True)
def _density(ra, dec, starts, counts, own, own_area):  # type: ignore[no-untyped-def]
    """Counts over area in the cells around each place, without what lies beside the object."""
    n_zones = starts.size - 1
    density = np.empty(ra.size)
    for i in range(ra.size):
        zone, turn = _zone_and_turn(ra[i], dec[i], n_zones)
        count, area = 0, 0.0
        for z in range(max(zone - 1, 0), min(zone + 2, n_zones)):
            around = starts[z + 1] - starts[z]
            south = z * math.pi / n_zones - 0.5 * math.pi
            band = math.sin(south + math.pi / n_zones) - math.sin(south)
            cell = band * 2.0 * math.pi / around
            middle = min(np.int64(turn * around), around - 1)
            wide = around if around <= 3 else 3
            for step in range(wide):
                count += counts[starts[z] + (middle - 1 + step) % around]
            area += wide * cell
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
        the nine cells of about 24 objects around it has any: outside the footprint. At the edge
        of a footprint, where some of these cells are empty, it is too low by as much.
    """
    density = np.full(ra.size, np.nan)
    there = np.isfinite(of_ra) & np.isfinite(of_dec)
    here = np.isfinite(ra) & np.isfinite(dec)
    if not there.any():
        return density
    of_ra, of_dec = of_ra[there], of_dec[there]
    low, high = np.deg2rad(of_dec.min()), np.deg2rad(of_dec.max())
    area = (np.sin(high) - np.sin(low)) * np.deg2rad(min(float(np.ptp(of_ra % 360.0)), 360.0))
    area = min(max(area, 1e-10), 4 * np.pi)
    least = max(4.0 * radius * ARCSEC, np.pi / 4000)
    for _ in range(2):  # the box around a footprint first, then the footprint
        side = max(np.sqrt(PER_CELL * area / of_ra.size), least)
        starts = _layout(float(min(side, 1.0)))
        counts = _counts(of_ra, of_dec, starts)
        area = min(area, 4 * np.pi / starts[-1] * np.count_nonzero(counts))
    own_area = np.pi * (radius * ARCSEC) ** 2
    density[here] = _density(ra[here], dec[here], starts, counts, own[here], own_area)
    return np.asarray(density * ARCSEC**2)

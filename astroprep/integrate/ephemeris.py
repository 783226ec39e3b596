"""Light travel from the observer to the Sun or the barycentre, at microseconds, offline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import erfa
import numpy as np
from numba import njit
from numpy.typing import NDArray

from astroprep.integrate.sites import Site
from astroprep.threads import for_objects

__all__ = ["EPHEMERIS_JD", "Ephemeris", "tdb_minus_tt"]

Array = NDArray[np.float64]

MJD_0 = 2400000.5
EPHEMERIS_JD = (2415020.5, 2488069.5)
"""First and last Julian date of the ephemeris (the years 1900 to 2100), days."""

TT_MINUS_TAI = 32.184  # s, by definition
LIGHT_DAYS_PER_AU = erfa.DAU / erfa.CMPS / erfa.DAYSEC
BLOCK = 64  # days that are computed together
TURN_PER_DAY = 2 * np.pi * 1.00273781191135448  # rotation of the Earth against the stars, rad


@njit(nogil=True, cache=True)
def _project_range(
    begin: int,
    end: int,
    place: NDArray[np.int64],
    fraction: NDArray[np.float64],
    curve: NDArray[np.int64],
    star: NDArray[np.float64],
    path: NDArray[np.float64],
    observer: NDArray[np.float64],
    angle: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    for i in range(begin, end):
        k, u, n = place[i], fraction[i], star[curve[i]]
        h11 = u * u * (u - 1)
        h01 = u * u * (3 - 2 * u)
        h10 = u * (u - 1) * (u - 1)
        c, s = np.cos(angle[k] + TURN_PER_DAY * u), np.sin(angle[k] + TURN_PER_DAY * u)
        total = 0.0
        for j in range(3):
            total += n[j] * (
                (1 - h01) * path[k, 0, j]
                + h01 * path[k + 1, 0, j]
                + h10 * path[k, 1, j]
                + h11 * path[k + 1, 1, j]
                + c * observer[k, 0, j]
                + s * observer[k, 1, j]
                + observer[k, 2, j]
            )
        result[i] = total


def _project(
    place: NDArray[np.int64],
    fraction: NDArray[np.float64],
    curve: NDArray[np.int64],
    star: NDArray[np.float64],
    path: NDArray[np.float64],
    observer: NDArray[np.float64],
    angle: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Component towards the star of an interpolated position, for every point.

    Cubic Hermite interpolation over one day; the site turns with the Earth.
    """
    result = np.empty(place.size)
    for_objects(
        _project_range, place.size, place, fraction, curve, star, path, observer, angle, result
    )
    return result


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """Earth at the days that some times need.

    Parameters
    ----------
    first : int
        First block of `BLOCK` days.
    row : int64 array, shape (n_blocks,)
        Row of the first day of each block from `first` on; -1 where it is not there.
    barycentric, heliocentric : float64 array, shape (n_rows, 2, 3)
        Position (au) and velocity (au/day) of the Earth's centre at whole modified Julian days
        (TDB), BCRS axes. A block has `BLOCK` days and the one after.
    observer : float64 array, shape (n_rows, 3, 3)
        The site as ``cos(angle) a + sin(angle) b + c`` in au, GCRS axes.
    angle : float64 array, shape (n_rows,)
        Sidereal time of Greenwich at the start of the day, rad.

    Notes
    -----
    `erfa.epv00`, which takes 0.1 to 0.2 ms, is evaluated once per day, not per point, and kept.
    The error of a cubic Hermite polynomial is ``h^4 / 384`` times the fourth derivative: 13
    km/day^4 of the orbit and as much of its monthly wobble give 0.2 (found: 0.3) microseconds.
    epv00 itself is within 13.4 km (45 microseconds) of DE405 from 1900 to 2100. The site turns
    with the mean sidereal time of UTC in place of UT1, without polar motion and nutation: below
    4 microseconds together, so that no table of Earth rotation is needed.

    References
    ----------
    .. [1] Moisson & Bretagnon 2001, Celest. Mech. Dyn. Astron. 80, 205,
       doi:10.1023/A:1012248120123
    .. [2] Capitaine, Wallace & Chapront 2005, A&A 432, 355, doi:10.1051/0004-6361:20041908
    """

    first: int
    row: NDArray[np.int64]
    barycentric: Array
    heliocentric: Array
    observer: Array
    angle: Array

    @classmethod
    def of_days(cls, days: NDArray[np.int64], site: Site | None) -> Ephemeris:
        """Positions at the given days and the days after them.

        Parameters
        ----------
        days : int64 array, at least one
            Modified Julian days; in any order, repeated or not.
        site : Site or None
            The Earth's centre when None.
        """
        first, row, blocks = _blocks(days)
        earth = [_earth(block) for block in blocks]
        turning = [_observer(block, site) for block in blocks]
        return cls(
            first,
            row,
            np.concatenate([part[0] for part in earth]),
            np.concatenate([part[1] for part in earth]),
            np.concatenate([part[0] for part in turning]),
            np.concatenate([part[1] for part in turning]),
        )

    def light_time(
        self,
        jd: tuple[float, Array],
        curve: NDArray[np.int64],
        star: Array,
        origin: str,
    ) -> Array:
        """How much earlier light from a star passes the observer than the origin.

        Parameters
        ----------
        jd : (float, float64 array, shape (n_points,))
            Julian dates (TDB) in two parts.
        curve : int64 array, shape (n_points,)
            Row of `star` for each point.
        star : float64 array, shape (n_stars, 3)
            Unit vectors, ICRS.
        origin : {"barycentre", "sun"}
            Where times are to be counted.

        Returns
        -------
        float64 array, shape (n_points,)
            Days, to be added.
        """
        zero, time = jd
        mjd = (zero - MJD_0) + time
        day = np.floor(mjd).astype(np.int64)
        place = self.row[day // BLOCK - self.first] + day % BLOCK
        path = self.barycentric if origin == "barycentre" else self.heliocentric
        projected = _project(place, mjd - day, curve, star, path, self.observer, self.angle)
        return np.asarray(projected * LIGHT_DAYS_PER_AU)


def tdb_minus_tt(mjd: Array) -> Array:
    """TDB - TT at the Earth's centre, days.

    Parameters
    ----------
    mjd : float64 array, shape (n_points,)
        Modified Julian dates, TT or TDB.

    Notes
    -----
    `erfa.dtdb` at whole days with a line between: the curvature of the yearly 1.7 ms adds less
    than 0.1 microseconds. What the place on Earth changes (2 microseconds) is left out.

    References
    ----------
    .. [1] Fairhead & Bretagnon 1990, A&A 229, 240, bibcode 1990A&A...229..240F
    """
    if mjd.size == 0:
        return np.zeros(0)
    day = np.floor(mjd).astype(np.int64)
    first, row, blocks = _blocks(day)
    seconds = np.concatenate([_clock(block) for block in blocks])
    place = row[day // BLOCK - first] + day % BLOCK
    low, high = seconds[place], seconds[place + 1]
    return np.asarray((low + (high - low) * (mjd - day)) / erfa.DAYSEC)


def _blocks(days: NDArray[np.int64]) -> tuple[int, NDArray[np.int64], list[int]]:
    """First block, the row of each block from it on, and the blocks that occur."""
    block = days // BLOCK
    first = int(block.min())
    present = np.bincount(block - first) > 0
    row = np.where(present, (np.cumsum(present) - 1) * (BLOCK + 1), -1)
    return first, row.astype(np.int64), (np.flatnonzero(present) + first).tolist()


def _days(block: int) -> Array:
    return np.arange(block * BLOCK, (block + 1) * BLOCK + 1, dtype=np.float64)


# The caches hold every block of two centuries in 8 MB (and as much for each few sites).
@lru_cache(maxsize=2048)
def _earth(block: int) -> tuple[Array, Array]:
    """Position and velocity of the Earth, barycentric and heliocentric, at the days of a block."""
    with warnings.catch_warnings():  # the caller keeps to the years of the ephemeris
        warnings.simplefilter("ignore", erfa.ErfaWarning)
        around_sun, around_all = erfa.epv00(MJD_0, _days(block))
    helio, bary = (np.stack([pv["p"], pv["v"]], axis=1) for pv in (around_sun, around_all))
    return bary, helio


@lru_cache(maxsize=8192)
def _clock(block: int) -> Array:
    """TDB - TT at the days of a block, seconds."""
    return np.asarray(erfa.dtdb(MJD_0, _days(block), 0.0, 0.0, 0.0, 0.0))


@lru_cache(maxsize=8192)
def _observer(block: int, site: Site | None) -> tuple[Array, Array]:
    """A site's three vectors and the sidereal time of Greenwich at the days of a block."""
    tdb = _days(block)
    if site is None:
        return np.zeros((tdb.size, 3, 3)), np.zeros(tdb.size)
    longitude, latitude = np.deg2rad(site.longitude), np.deg2rad(site.latitude)
    x, y, z = np.asarray(erfa.gd2gc(1, longitude, latitude, site.height)) / erfa.DAU
    with warnings.catch_warnings():  # before 1960 there is no UTC, and UT is 30 s off
        warnings.simplefilter("ignore", erfa.ErfaWarning)
        utc = erfa.taiutc(MJD_0, tdb - TT_MINUS_TAI / erfa.DAYSEC)
    vectors = np.array([[x, y, 0.0], [-y, x, 0.0], [0.0, 0.0, z]])
    observer = np.einsum("ij,djk->dik", vectors, erfa.pmat06(MJD_0, tdb))
    return np.ascontiguousarray(observer), np.asarray(erfa.gmst06(*utc, MJD_0, tdb))

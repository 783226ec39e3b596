"""Light travel from the observer to the Sun or the barycentre, at microseconds, offline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import erfa  # type: ignore[import-untyped]  # comes with astropy
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from astroprep.integrate.sites import Site

__all__ = ["EPHEMERIS_JD", "Ephemeris", "tdb_minus_tt"]

Array = NDArray[np.float64]

MJD_0 = 2400000.5
EPHEMERIS_JD = (2415020.5, 2488069.5)
"""First and last Julian date of the ephemeris (the years 1900 to 2100), days."""

TT_MINUS_TAI = 32.184  # s, by definition
LIGHT_DAYS_PER_AU = erfa.DAU / erfa.CMPS / erfa.DAYSEC
TURN_PER_DAY = 2 * np.pi * 1.00273781191135448  # rotation of the Earth against the stars, rad


@njit(parallel=True, cache=True)
def _project(place, fraction, curve, star, position, velocity, observer, angle):  # type: ignore[no-untyped-def]
    """Component towards the star of an interpolated position, for every point.

    Cubic Hermite interpolation over one day; the site turns with the Earth.
    """
    result = np.empty(place.size)
    for i in prange(place.size):
        k, u, n = place[i], fraction[i], star[curve[i]]
        h11 = u * u * (u - 1)
        h01 = u * u * (3 - 2 * u)
        h10 = u * (u - 1) * (u - 1)
        c, s = np.cos(angle[k] + TURN_PER_DAY * u), np.sin(angle[k] + TURN_PER_DAY * u)
        total = 0.0
        for j in range(3):
            total += n[j] * (
                (1 - h01) * position[k, j]
                + h01 * position[k + 1, j]
                + h10 * velocity[k, j]
                + h11 * velocity[k + 1, j]
                + c * observer[k, 0, j]
                + s * observer[k, 1, j]
                + observer[k, 2, j]
            )
        result[i] = total
    return result


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """Earth at the days that some times need, and nothing else.

    Parameters
    ----------
    days : int64 array, shape (n_days,)
        Modified Julian days (TDB), rising.
    barycentric, heliocentric : float64 array, shape (n_days, 2, 3)
        Position (au) and velocity (au/day) of the Earth's centre, BCRS axes.
    observer : float64 array, shape (n_days, 3, 3)
        The site as ``cos(angle) a + sin(angle) b + c`` in au, GCRS axes.
    angle : float64 array, shape (n_days,)
        Sidereal time of Greenwich at the start of the day, rad.

    Notes
    -----
    `erfa.epv00` is evaluated once per day, not per point, and interpolated between. The error of
    a cubic Hermite polynomial is ``h^4 / 384`` times the fourth derivative: 13 km/day^4 of the
    orbit and 13 of its monthly wobble give 0.07 km, 0.2 microseconds. epv00 itself is within
    13.4 km (45 microseconds) of DE405 from 1900 to 2100. The site turns with the mean sidereal
    time of UTC in place of UT1, without polar motion and nutation: below 4 microseconds together,
    so that no table of Earth rotation is needed.

    References
    ----------
    .. [1] Moisson & Bretagnon 2001, Celest. Mech. Dyn. Astron. 80, 205,
       doi:10.1023/A:1012248120123
    .. [2] Capitaine, Wallace & Chapront 2005, A&A 432, 355, doi:10.1051/0004-6361:20041908
    """

    days: NDArray[np.int64]
    barycentric: Array
    heliocentric: Array
    observer: Array
    angle: Array

    @classmethod
    def of_days(cls, days: NDArray[np.int64], site: Site | None) -> Ephemeris:
        """Positions at the given days and the days after them.

        Parameters
        ----------
        days : int64 array
            Modified Julian days; in any order, repeated or not.
        site : Site or None
            The Earth's centre when None.
        """
        days = np.unique(days)
        days = np.union1d(days, days + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", erfa.ErfaWarning)
            around_sun, around_all = erfa.epv00(MJD_0, days.astype(np.float64))
        helio, bary = (np.stack([pv["p"], pv["v"]], axis=1) for pv in (around_sun, around_all))
        observer, angle = np.zeros((days.size, 3, 3)), np.zeros(days.size)
        if site is not None:
            longitude, latitude = np.deg2rad(site.longitude), np.deg2rad(site.latitude)
            x, y, z = np.asarray(erfa.gd2gc(1, longitude, latitude, site.height)) / erfa.DAU
            tdb = days.astype(np.float64)
            with warnings.catch_warnings():  # before 1960 there is no UTC, and UT is 30 s off
                warnings.simplefilter("ignore", erfa.ErfaWarning)
                utc = erfa.taiutc(MJD_0, tdb - TT_MINUS_TAI / erfa.DAYSEC)
            angle = erfa.gmst06(*utc, MJD_0, tdb)
            to_date = erfa.pmat06(MJD_0, tdb)
            observer = np.einsum(
                "ij,djk->dik", np.array([[x, y, 0.0], [-y, x, 0.0], [0.0, 0.0, z]]), to_date
            )
        return cls(days, bary, helio, np.ascontiguousarray(observer), angle)

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
        place = np.searchsorted(self.days, day)
        path = self.barycentric if origin == "barycentre" else self.heliocentric
        position, velocity = np.ascontiguousarray(path[:, 0]), np.ascontiguousarray(path[:, 1])
        projected = _project(
            place, mjd - day, curve, star, position, velocity, self.observer, self.angle
        )
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
    day = np.floor(mjd)
    days, place = np.unique(np.concatenate([day, day + 1]), return_inverse=True)
    seconds = erfa.dtdb(MJD_0, days, 0.0, 0.0, 0.0, 0.0)
    low, high = seconds[place[: day.size]], seconds[place[day.size :]]
    return np.asarray((low + (high - low) * (mjd - day)) / erfa.DAYSEC)

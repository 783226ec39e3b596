"""Bring times of any survey to one clock: barycentric Julian dates in TDB."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import DataError
from astroprep.integrate.ephemeris import EPHEMERIS_JD, MJD_0, TT_MINUS_TAI, Ephemeris, tdb_minus_tt
from astroprep.integrate.sites import Site, find_site
from astroprep.integrate.time_system import TimeSystem, parse_time_system, require_scale
from astroprep.units import PLAUSIBLE_JD

__all__ = ["to_bjd_tdb"]

Array = NDArray[np.float64]

FIRST_UTC = 36934.0  # 1960 January 1, MJD: before it there is no UTC
CHUNK = 1 << 18  # points at once, some 50 MB of working memory
LIGHT_PATH = 0.01  # days, more than light takes from the Sun (0.0058)

OK, NOT_FINITE, IMPLAUSIBLE, BEFORE_UTC, BEYOND_LEAPS, BEYOND_EPHEMERIS = range(6)


def to_bjd_tdb(
    time: ArrayLike,
    *,
    system: str,
    scale: str | None = None,
    ra: ArrayLike | None = None,
    dec: ArrayLike | None = None,
    site: str | tuple[float, float, float] | None = None,
    reference: float | None = None,
) -> Array:
    """Barycentric Julian dates in TDB from times of another system.

    Parameters
    ----------
    time : float array, shape (n_points,)
        Mid-exposure times, days, with the zero of `system` subtracted.
    system : str
        Such as ``"MJD UTC"``, ``"HJD-2450000 UTC"``, ``"BJD-2455197.5 TCB"`` (Gaia) or ``"BTJD"``.
    scale : str, optional
        UTC, TAI, TT, TDB or TCB when `system` says none.
    ra, dec : float or float array, shape (n_points,), optional
        ICRS, degrees, at the epoch of the times. Needed unless the times are barycentric.
    site : str or (longitude, latitude, height), optional
        Where the clock was, see `find_site`; the Earth's centre when not given, which errs by up
        to 21 ms. It does not matter for heliocentric times, from which it cancels.
    reference : float, optional
        Julian date to subtract from the result, days; by default that of `system`.

    Returns
    -------
    float64 array, shape (n_points,)
        Days; NaN where a time is not finite or outside 1800-2200, where UTC is not defined
        (before 1960) or not yet known (after the end of the table of leap seconds), or outside
        the ephemeris (1900-2100).

    Raises
    ------
    ConfigError
        If the system, scale or site is not known.
    DataError
        If nobody states the scale, a position is missing or no position, or shapes disagree.

    Notes
    -----
    ``BJD_TDB = JD_TDB + r . n / c`` with the observer's place ``r`` from the barycentre and the
    direction ``n`` of the star [1]_. A heliocentric time is ``t + (r - s) . n / c`` with the Sun
    at ``s``; it is solved for ``t``, and ``s . n / c`` (up to 5 s) is put back.

    Errors: below 0.1 ms for the Earth and the clocks, plus what is left out: Shapiro delay (0.01
    ms at 40 degrees from the Sun, 0.1 ms at its limb), wavefront curvature (1.2 ms for a star
    at 1 pc, less in proportion), 2.4 ms per arcsecond of error in the position, and the rounding
    of the input (40 microseconds for a full Julian date; none is added). A time that is given
    in BJD UTC within 8 minutes of a leap second may err by that second. UTC dates are those of
    ERFA and astropy: a day with a leap second is 86,401 s long.

    References
    ----------
    .. [1] Eastman, Siverd & Gaudi 2010, PASP 122, 935, doi:10.1086/655938
    """
    given = np.asarray(time)
    if given.dtype.kind not in "iuf" and given.size:
        raise DataError(f"to_bjd_tdb needs times as numbers of days, got dtype {given.dtype}")
    given = given.astype(np.float64)
    known = parse_time_system(system, scale)
    require_scale(known, "to_bjd_tdb", system)
    place = None if site is None else find_site(site)
    flat = given.ravel()
    star, curve = np.zeros((1, 3)), np.zeros(flat.size, np.int64)
    if known.origin != "barycentre":
        star, curve = _stars(ra, dec, given.shape)
    shift, _ = time_shift(flat, known, curve, star, place)
    zero = known.zero if reference is None else float(reference)
    return np.asarray(((known.zero - zero) + flat + shift).reshape(given.shape))


def _stars(
    ra: ArrayLike | None, dec: ArrayLike | None, shape: tuple[int, ...]
) -> tuple[Array, NDArray[np.int64]]:
    """Unit vectors, and which of them each point has."""
    if ra is None or dec is None:
        raise DataError("to_bjd_tdb needs ra and dec for times that are not barycentric yet")
    lon, lat = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    if lon.shape != lat.shape or lon.shape not in ((), shape):
        raise DataError(
            f"to_bjd_tdb needs one ra and dec, or as many as times {shape}, "
            f"got {lon.shape} and {lat.shape}"
        )
    bad = ~is_position(lon, lat)
    if bad.any():
        i = int(np.argmax(bad.ravel()))
        raise DataError(
            "to_bjd_tdb needs positions of finite ra and dec from -90 to 90 degrees, entry "
            f"{i} is ({lon.ravel()[i]:g}, {lat.ravel()[i]:g}); {int(bad.sum())} are wrong"
        )
    n_points = int(np.prod(shape, dtype=np.int64))
    one = lon.shape == () and shape != ()
    curve = np.zeros(n_points, np.int64) if one else np.arange(n_points, dtype=np.int64)
    return directions(lon.ravel(), lat.ravel()), curve


def is_position(ra: Array, dec: Array) -> NDArray[np.bool_]:
    """True where `ra`, `dec` (degrees) is a place on the sky."""
    return np.asarray(np.isfinite(ra) & (np.abs(ra) <= 360) & (np.abs(dec) <= 90))


def directions(ra: Array, dec: Array) -> Array:
    """Unit vectors, shape (n, 3), of `ra`, `dec` in degrees."""
    lon, lat = np.deg2rad(ra), np.deg2rad(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def time_shift(
    time: Array, system: TimeSystem, curve: NDArray[np.int64], star: Array, site: Site | None
) -> tuple[Array, NDArray[np.int8]]:
    """What to add to times of a system to make them BJD_TDB.

    Parameters
    ----------
    time : float64 array, shape (n_points,)
        Days after ``system.zero``.
    system : TimeSystem
        With its scale.
    curve : int64 array, shape (n_points,)
        Row of `star` for each point.
    star : float64 array, shape (n_stars, 3)
        Unit vectors, ICRS.
    site : Site or None
        The Earth's centre when None.

    Returns
    -------
    shift : float64 array, shape (n_points,)
        Days; NaN where there is none.
    why : int8 array, shape (n_points,)
        Index of `reasons`; 0 is good.
    """
    shift = np.full(time.size, np.nan)
    why = np.zeros(time.size, np.int8)
    for first in range(0, time.size, CHUNK):
        part = slice(first, first + CHUNK)
        mjd = (system.zero - MJD_0) + time[part]
        why[part] = _why_not(mjd, system)
        good = np.flatnonzero(why[part] == OK)
        if good.size:
            shift[first + good] = _shift(mjd[good], system, curve[part][good], star, site)
    return shift, why


def reasons() -> list[str]:
    """What a time needs, by the codes of `time_shift`; each reads after "needs"."""
    end = erfa.jd2cal(MJD_0, leap_seconds_end())
    return [
        "",
        "finite times",
        "times in the years 1800 to 2200 (is the time system the right one?)",
        "UTC times from 1960 on, where UTC begins (older ones are in TT or TDB)",
        f"UTC times before {end[0]}-{end[1]:02d}-{end[2]:02d}, where the table of leap seconds "
        "ends (update astropy-iers-data)",
        "times in the years 1900 to 2100, which the ephemeris covers",
    ]


def _why_not(mjd: Array, system: TimeSystem) -> NDArray[np.int8]:
    low, high = (jd - MJD_0 for jd in PLAUSIBLE_JD)
    why = np.where(np.isfinite(mjd), OK, NOT_FINITE)
    why[(why == OK) & ~((mjd >= low) & (mjd <= high))] = IMPLAUSIBLE
    if system.scale == "UTC":
        why[(why == OK) & (mjd < FIRST_UTC)] = BEFORE_UTC
        why[(why == OK) & (mjd > leap_seconds_end())] = BEYOND_LEAPS
    if system.origin != "barycentre":
        low, high = (jd - MJD_0 for jd in EPHEMERIS_JD)
        why[(why == OK) & ~((mjd >= low) & (mjd <= high))] = BEYOND_EPHEMERIS
    return why.astype(np.int8)


def _shift(
    mjd: Array, system: TimeSystem, curve: NDArray[np.int64], star: Array, site: Site | None
) -> Array:
    if system.origin == "barycentre":
        return _to_tdb(mjd, system.scale)
    around = np.concatenate([mjd - LIGHT_PATH, mjd + LIGHT_PATH])
    earth = Ephemeris.of_days(np.floor(around).astype(np.int64), site)
    if system.origin == "observer":
        scale = _to_tdb(mjd, system.scale)
        return scale + earth.light_time((MJD_0, mjd + scale), curve, star, "barycentre")
    path = np.zeros(mjd.size)
    # the path changes by 1e-4 of the time that it is evaluated too late: three rounds leave 1e-9 s
    for _ in range(3):
        scale = _to_tdb(mjd - path, system.scale)
        path = earth.light_time((MJD_0, mjd - path + scale), curve, star, "sun")
    tdb = mjd - path + scale
    return scale + (earth.light_time((MJD_0, tdb), curve, star, "barycentre") - path)


def _to_tdb(mjd: Array, scale: str) -> Array:
    """TDB minus the given scale at modified Julian dates of that scale, days."""
    if scale == "TDB":
        return np.zeros(mjd.size)
    if scale == "TCB":
        return np.asarray(erfa.tcbtdb(MJD_0, mjd)[1] - mjd)
    to_tt = np.zeros(mjd.size)
    if scale in ("UTC", "TAI"):
        to_tt += TT_MINUS_TAI / erfa.DAYSEC
    if scale == "UTC":
        leap_seconds_end()  # brings ERFA's table up to the installed one
        with warnings.catch_warnings():  # "dubious year": the table's own end is checked before
            warnings.simplefilter("ignore", erfa.ErfaWarning)
            to_tt += erfa.utctai(MJD_0, mjd)[1] - mjd
    return to_tt + tdb_minus_tt(mjd + to_tt)


@cache
def leap_seconds_end() -> float:
    """Modified Julian date until which the installed table of leap seconds is known to hold.

    Notes
    -----
    The table is the file of the IERS in the package astropy-iers-data; nothing is downloaded.
    ERFA, whose table is as old as its release, is given the leap seconds that it lacks.
    """
    from astropy_iers_data import IERS_LEAP_SECOND_FILE

    text = Path(IERS_LEAP_SECOND_FILE).read_text(encoding="utf-8")
    rows = re.findall(r"^\s*\d+\.\d\s+\d+\s+(\d+)\s+(\d{4})\s+(\d+)\s*$", text, re.MULTILINE)
    until = re.search(r"expires on\s+(\d+)\s+([A-Za-z]+)\s+(\d{4})", text)
    months = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    if until is None or not rows or until[2][:3].lower() not in months:
        raise DataError(f"{IERS_LEAP_SECOND_FILE} is no table of leap seconds of the IERS")
    table = np.array(
        [(int(year), int(month), float(leaps)) for month, year, leaps in rows],
        dtype=[("year", "i4"), ("month", "i4"), ("tai_utc", "f8")],
    )
    erfa.leap_seconds.update(table)
    month = months.index(until[2][:3].lower()) + 1
    return float(erfa.cal2jd(int(until[3]), month, int(until[1]))[1])

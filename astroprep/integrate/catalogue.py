"""A catalogue to be matched: positions, their errors and motions, and which rows cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.position_errors import (
    motion_covariance,
    position_covariance,
    shaped_numbers,
)

__all__ = ["TROUBLES", "Catalogue", "RaUnit", "as_catalogue", "trouble_code"]

RaUnit = Literal["auto", "degree", "hour"]
TROUBLES = (
    "",
    "no position",
    "impossible position",
    "proper motion without an epoch",
    "infinite proper motion",
    "no positional error",
)
MOST_IMPOSSIBLE = 0.01  # of the rows; more is a wrong column or unit
YEARS = (1600.0, 2200.0)  # of a position: from the first telescopes on
LEAST_FOR_HOURS = 10  # rows; fewer tell nothing
HOURS_DEC, HOURS_RA = 90.0, 12.0  # degrees that hours span and few fields of degrees do


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Columns of a catalogue in fixed units; made by `Catalogue.of`, which checks them.

    Attributes
    ----------
    ra, dec : float64 array, shape (n,)
        ICRS, degrees, right ascension in [0, 360); NaN where `usable` is False.
    ids : object array of str, shape (n,), or None
        Names of the objects; see `names`.
    covariance : float64 array, shape (n, 3), or None
        Of the position towards east and north, arcsec²: variance, covariance, variance.
        NaN where unknown.
    epoch : float64 array, shape (n,), or None
        Julian years.
    pm_ra, pm_dec : float64 array, shape (n,), or None
        Milliarcseconds per year, `pm_ra` with cos(dec); 0 where unknown.
    pm_covariance : float64 array, shape (n, 3), or None
        (mas per year)².
    parallax, radial_velocity : float64 array, shape (n,)
        Milliarcseconds and km/s; 0 where unknown.
    trouble : int8 array, shape (n,)
        Why a row cannot be matched, an index of `TROUBLES`; 0 where it can.
    name : str
        For messages.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    ids: NDArray[np.object_] | None
    covariance: NDArray[np.float64] | None
    epoch: NDArray[np.float64] | None
    pm_ra: NDArray[np.float64] | None
    pm_dec: NDArray[np.float64] | None
    pm_covariance: NDArray[np.float64] | None
    parallax: NDArray[np.float64]
    radial_velocity: NDArray[np.float64]
    trouble: NDArray[np.int8]
    name: str

    def __len__(self) -> int:
        return int(self.ra.size)

    @property
    def moves(self) -> bool:
        """Whether it has proper motions."""
        return self.pm_ra is not None

    def names(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        """Ids of rows, their numbers where the catalogue has no ids; ``""`` for row -1."""
        names = np.full(rows.size, "", dtype=object)
        there = rows >= 0
        names[there] = rows[there].astype(str) if self.ids is None else self.ids[rows[there]]
        return names

    @classmethod
    def of(
        cls,
        ra: ArrayLike,
        dec: ArrayLike,
        *,
        ids: ArrayLike | None = None,
        error: ArrayLike | None = None,
        ellipse: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        epoch: ArrayLike | None = None,
        pm_ra: ArrayLike | None = None,
        pm_dec: ArrayLike | None = None,
        pm_error: ArrayLike | None = None,
        parallax: ArrayLike | None = None,
        radial_velocity: ArrayLike | None = None,
        ra_unit: RaUnit = "auto",
        name: str = "catalogue",
    ) -> Catalogue:
        """Check columns and bring them to fixed units.

        Parameters
        ----------
        ra, dec : float array, shape (n,)
            ICRS, degrees; right ascension from -180 to 360.
        ids : array, shape (n,), optional
            Names of the objects, the row numbers by default.
        error : float array, shape (), (n,) or (n, 2), optional
            Gaussian sigma of the position, arcseconds: of each coordinate, or towards east
            (ra cos dec) and north.
        ellipse : float array, shape (n, 3), optional
            Instead of `error`: semi-major and semi-minor axis (sigma, arcseconds) and position
            angle of the major axis (degrees, north through east).
        covariance : float array, shape (n, 3), optional
            Instead of `error`: variance towards east, covariance, variance towards north, arcsec².
        epoch : float array, shape () or (n,), optional
            Julian years of the positions, such as 2016.0. Needed with proper motions.
        pm_ra, pm_dec : float array, shape (n,), optional
            Proper motion, milliarcseconds per year, `pm_ra` with cos(dec). NaN counts as not
            known and is taken as none.
        pm_error : float array, shape (n, 2), optional
            Sigma of the proper motion, milliarcseconds per year.
        parallax, radial_velocity : float array, shape (n,), optional
            Milliarcseconds and km/s, for the change of perspective of fast near stars.
        ra_unit : {"auto", "degree", "hour"}, default "auto"
            With "auto", right ascensions are degrees, and a catalogue whose right ascensions look
            like hours is refused: at least ten rows, all within [0, 24), spread over more than
            12, with declinations that spread over more than 90 degrees.
        name : str
            For messages.

        Returns
        -------
        Catalogue
            A row without a finite or possible position, or with a proper motion but no epoch,
            has its `trouble`.

        Raises
        ------
        ConfigError
            If settings contradict each other.
        DataError
            If columns differ in length or are no numbers, more than 1 % of the positions are
            impossible, right ascensions look like hours, there are proper motions but no epoch,
            or an epoch is no year from 1600 to 2200.
        """
        lon, lat = (shaped_numbers(x, None, w, name) for x, w in ((ra, "ra"), (dec, "dec")))
        n = lon.size
        if lat.size != n:
            raise DataError(f"{name} needs as many ra as dec, got {n} and {lat.size}")
        lon = _degrees(lon, lat, ra_unit, name)
        trouble = _impossible(lon, lat, name)
        motion = [_optional(x, n, w, name) for x, w in ((pm_ra, "pm_ra"), (pm_dec, "pm_dec"))]
        when = _years(_optional(epoch, n, "epoch", name), name)
        trouble = _motion_trouble(motion, when, trouble, name)
        usable = trouble == 0
        moving = [None if m is None else np.where(np.isfinite(m), m, 0.0) for m in motion]
        return cls(
            ra=np.where(usable, lon % 360.0, np.nan),
            dec=np.where(usable, lat, np.nan),
            ids=_names(ids, n, name),
            covariance=position_covariance(error, ellipse, covariance, n, name),
            epoch=when,
            pm_ra=moving[0],
            pm_dec=moving[1],
            pm_covariance=motion_covariance(pm_error, n, name),
            parallax=np.nan_to_num(_filled(parallax, n, "parallax", name)),
            radial_velocity=np.nan_to_num(_filled(radial_velocity, n, "radial_velocity", name)),
            trouble=trouble,
            name=name,
        )


def as_catalogue(given: Any, name: str) -> Catalogue:
    """A catalogue as it is, or of a pair ``(ra, dec)`` in degrees."""
    if isinstance(given, Catalogue):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return Catalogue.of(*given, name=name)
    raise ConfigError(
        f"{name} must be a Catalogue or a pair (ra, dec) of arrays, got {type(given).__name__}"
    )


def _optional(given: ArrayLike | None, n: int, what: str, name: str) -> NDArray[np.float64] | None:
    return None if given is None else shaped_numbers(given, (n,), what, name)


def _filled(given: ArrayLike | None, n: int, what: str, name: str) -> NDArray[np.float64]:
    return np.zeros(n) if given is None else shaped_numbers(given, (n,), what, name)


def _years(epoch: NDArray[np.float64] | None, name: str) -> NDArray[np.float64] | None:
    """Epochs, which must be years: taken for one, a day of MJD 57,000 moves a star by degrees."""
    if epoch is None:
        return None
    rows = np.flatnonzero(np.isfinite(epoch) & ((epoch < YEARS[0]) | (epoch > YEARS[1])))
    if rows.size:
        raise DataError(
            f"{name}: {rows.size} of {epoch.size} epochs are no Julian years, such as "
            f"{epoch[rows[0]]:.10g} in row {rows[0]}; give 2016.0, not days (J = 2000 + "
            "(JD - 2451545) / 365.25), and NaN where it is not known"
        )
    return epoch


def trouble_code(text: str) -> int:
    """Index of a trouble in `TROUBLES`."""
    return TROUBLES.index(text)


def _names(ids: ArrayLike | None, n: int, name: str) -> NDArray[np.object_] | None:
    if ids is None:
        return None
    given = np.asarray(ids, dtype=object).ravel()
    if given.size != n:
        raise DataError(f"{name} needs as many ids as positions, got {given.size} and {n}")
    names = np.empty(n, dtype=object)
    names[:] = [str(x) for x in given.tolist()]
    return names


def _degrees(
    lon: NDArray[np.float64], lat: NDArray[np.float64], unit: RaUnit, name: str
) -> NDArray[np.float64]:
    """Right ascension in degrees; refuses what looks like hours."""
    if unit not in ("auto", "degree", "hour"):
        raise ConfigError(f"ra_unit must be 'auto', 'degree' or 'hour', got {unit!r}")
    if unit == "hour":
        return lon * 15.0
    both = np.isfinite(lon) & np.isfinite(lat)
    if unit == "auto" and np.count_nonzero(both) >= LEAST_FOR_HOURS:
        a, d = lon[both], lat[both]
        small = a.min() >= 0 and a.max() < 24 and np.ptp(a) > HOURS_RA
        if small and np.ptp(d) > HOURS_DEC:
            raise DataError(
                f"{name}: right ascension looks like hours: all {a.size} values lie between "
                f"{a.min():.4g} and {a.max():.4g} while declinations reach from {d.min():.4g} to "
                f"{d.max():.4g}; say which with ra_unit='hour' or ra_unit='degree'"
            )
    return lon


def _impossible(lon: NDArray[np.float64], lat: NDArray[np.float64], name: str) -> NDArray[np.int8]:
    """Trouble of each position."""
    trouble = np.zeros(lon.size, np.int8)
    known = np.isfinite(lon) & np.isfinite(lat)
    trouble[~known] = trouble_code("no position")
    outside = known & ((np.abs(lat) > 90) | (lon < -180) | (lon > 360))
    rows = np.flatnonzero(outside)
    if rows.size > MOST_IMPOSSIBLE * lon.size:
        i = rows[0]
        raise DataError(
            f"{name}: {rows.size} of {lon.size} positions are impossible, such as ra {lon[i]:.6g}, "
            f"dec {lat[i]:.6g} in row {i}; ra must lie in -180 to 360 and dec in -90 to 90 "
            f"degrees. Are columns swapped or in another unit?"
        )
    trouble[rows] = trouble_code("impossible position")
    return trouble


def _motion_trouble(
    motion: list[NDArray[np.float64] | None],
    epoch: NDArray[np.float64] | None,
    trouble: NDArray[np.int8],
    name: str,
) -> NDArray[np.int8]:
    """Trouble, with that of rows that move from an unknown epoch."""
    if (motion[0] is None) != (motion[1] is None):
        raise ConfigError(f"{name}: proper motion needs both pm_ra and pm_dec")
    if motion[0] is None or motion[1] is None:
        return trouble
    if epoch is None:
        raise DataError(
            f"{name} has proper motions but no epoch of its positions; give epoch, Julian years "
            f"such as 2016.0"
        )
    moving = (np.nan_to_num(motion[0]) != 0) | (np.nan_to_num(motion[1]) != 0)
    lost = moving & ~np.isfinite(epoch) & (trouble == 0)
    trouble[lost] = trouble_code("proper motion without an epoch")
    infinite = (trouble == 0) & (np.isinf(motion[0]) | np.isinf(motion[1]))
    trouble[infinite] = trouble_code("infinite proper motion")
    return trouble

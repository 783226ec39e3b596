"""Probability maps of the sky (LIGO, Fermi): which objects lie in the credible region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.optional import need

__all__ = ["SkyMap", "credible_level", "in_credible_region", "read_skymap"]

FINEST = 29  # the level whose pixels number every place; 0.4 milliarcseconds
TOLERANCE = 0.01  # of the sum of probabilities from 1
NAMES = ("PROB", "PROBABILITY", "PROBDENSITY", "T_PROB")


@dataclass(frozen=True, eq=False)
class SkyMap:
    """A probability map in HEALPix pixels of any sizes, without gaps in meaning.

    Attributes
    ----------
    start, stop : int64 array, shape (n,)
        Range of each pixel in nested numbers of level 29, ascending, not overlapping.
    probability : float64 array, shape (n,)
        Of the source being in the pixel; the sum is 1.
    level : float64 array, shape (n,)
        Probability of the pixel and of all denser ones: the smallest credible level whose region
        has all of the pixel.
    galactic : bool
        Whether pixels are in galactic coordinates; positions are always ICRS.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    probability: NDArray[np.float64]
    level: NDArray[np.float64]
    galactic: bool = False

    @classmethod
    def of(
        cls,
        probability: ArrayLike,
        *,
        order: str = "nested",
        uniq: ArrayLike | None = None,
        density: bool = False,
        galactic: bool = False,
        name: str = "sky map",
    ) -> SkyMap:
        """Make a map of an array.

        Parameters
        ----------
        probability : float array, shape (n,)
            Of each pixel; of all 12 nside² pixels unless `uniq` is given.
        order : {"nested", "ring"}, default "nested"
            Of the pixels of an array without `uniq`.
        uniq : int array, shape (n,), optional
            Unique numbers ``4 nside² + nested number`` of the pixels of a multi-order map.
        density : bool, default False
            Values are per steradian.
        galactic : bool, default False
            Pixels are in galactic coordinates.
        name : str
            For messages.

        Raises
        ------
        ConfigError
            If `order` is not known.
        DataError
            If values are negative or not finite, do not sum to 1 within 1 %, or pixels overlap
            or are no HEALPix pixels.
        """
        value = np.asarray(probability, np.float64).ravel()
        if uniq is None:
            levels, nested = _flat_pixels(value.size, order, name)
        else:
            levels, nested = _unique_pixels(np.asarray(uniq).ravel(), value.size, name)
        if not np.isfinite(value).all() or (value < 0).any():
            bad = ~np.isfinite(value) | (value < 0)
            raise DataError(
                f"{name}: probabilities must be finite and not negative; {int(bad.sum())} of "
                f"{value.size} pixels are not, the first is {np.argmax(bad)}"
            )
        area = np.pi / 3.0 / 4.0 ** levels.astype(np.float64)  # steradians
        value = value * area if density else value
        total = float(value.sum())
        if not abs(total - 1) <= TOLERANCE:
            raise DataError(
                f"{name}: probabilities sum to {total:.6g}, not to 1; is this a probability map, "
                f"and are its values {'per steradian' if density else 'per pixel'}?"
            )
        start = nested << (2 * (FINEST - levels))
        by_place = np.argsort(start, kind="stable")
        start, value = start[by_place], value[by_place]
        levels, area = levels[by_place], area[by_place]
        stop = start + (np.int64(1) << (2 * (FINEST - levels)))
        if (start[1:] < stop[:-1]).any():
            k = int(np.argmax(start[1:] < stop[:-1]))
            raise DataError(f"{name}: pixels overlap, the first beside pixel {by_place[k]}")
        value = value / total
        densest = np.argsort(-value / area, kind="stable")
        summed = np.empty(value.size)
        summed[densest] = np.minimum(np.cumsum(value[densest]), 1.0)
        return cls(start, stop, value, summed, galactic)

    def pixel(self, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.int64]:
        """Pixel of each position, -1 where there is none.

        Parameters
        ----------
        ra, dec : float array, shape (n,)
            ICRS, degrees.
        """
        lon, lat = (np.asarray(x, np.float64).ravel() for x in (ra, dec))
        if lon.size != lat.size:
            raise DataError(f"a sky map needs as many ra as dec, got {lon.size} and {lat.size}")
        here = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90))
        lon, lat = lon[here], lat[here]
        if self.galactic:
            from astropy.coordinates import SkyCoord

            sky = SkyCoord(lon, lat, unit="deg").galactic
            lon, lat = sky.l.deg, sky.b.deg
        result = np.full(np.size(ra), -1, np.int64)
        if not here.size:
            return result
        place = _place(lon, lat)
        k = np.searchsorted(self.start, place, side="right") - 1
        result[here] = np.where((k >= 0) & (place < self.stop[np.maximum(k, 0)]), k, -1)
        return result


def credible_level(ra: ArrayLike, dec: ArrayLike, skymap: SkyMap) -> NDArray[np.float64]:
    """Credible level of each position: the probability of its pixel and all denser ones.

    Parameters
    ----------
    ra, dec : float array, shape (n,)
        ICRS, degrees.
    skymap : SkyMap
        The map, see `read_skymap`.

    Returns
    -------
    float64 array, shape (n,)
        In (0, 1]; 1 where the map has no pixel, NaN where the position is not finite.

    References
    ----------
    .. [1] Singer & Price 2016, Phys. Rev. D 93, 024013, doi:10.1103/PhysRevD.93.024013
    """
    k = skymap.pixel(ra, dec)
    if not skymap.level.size:
        return np.where(_known(ra, dec), 1.0, np.nan)
    level = np.where(k >= 0, skymap.level[k], 1.0)
    return np.where(_known(ra, dec), level, np.nan)


def in_credible_region(
    ra: ArrayLike, dec: ArrayLike, skymap: SkyMap | str | Path, level: float = 0.9
) -> NDArray[np.bool_]:
    """Whether positions lie in the credible region of a map.

    Parameters
    ----------
    ra, dec : float array, shape (n,)
        ICRS, degrees.
    skymap : SkyMap or path
        The map, or its file.
    level : float, default 0.9
        Probability that the region holds at least.

    Returns
    -------
    bool array, shape (n,)
        False where the position is not finite.

    Raises
    ------
    ConfigError
        If `level` is not in (0, 1].
    DataError
        If the file is no probability map.

    Notes
    -----
    The region is made of the densest pixels, one after the other, until their sum is at least
    `level`, so that it never holds less than it says. Some packages leave out the last of them.
    """
    if not 0 < level <= 1:
        raise ConfigError(f"in_credible_region: level must lie in (0, 1], got {level!r}")
    opened = skymap if isinstance(skymap, SkyMap) else read_skymap(skymap)
    k = opened.pixel(ra, dec)
    if not opened.level.size:
        return np.zeros(k.size, bool)
    before = opened.level[k] - opened.probability[k]
    rounding = 1e-12
    return (k >= 0) & (before < level - rounding) & (opened.probability[k] > 0)


def read_skymap(path: str | Path) -> SkyMap:
    """Read a map: FITS, nested or ring pixels, or multi-order with UNIQ and PROBDENSITY.

    Parameters
    ----------
    path : str or Path
        Such as ``bayestar.multiorder.fits`` or ``skymap.fits.gz``.

    Returns
    -------
    SkyMap

    Raises
    ------
    DataError
        If it cannot be read or holds no probability map.
    """
    from astropy.io import fits

    from astroprep.io.files import check_file, first_line, unpacked

    path = Path(path)
    check_file(path)
    try:
        with fits.open(unpacked(path), memmap=False) as opened:
            table = next((h for h in opened if isinstance(h, fits.BinTableHDU)), None)
            if table is None:
                raise DataError(f"{path} has no table; a sky map is a FITS table of pixels")
            columns = {name.upper(): np.asarray(table.data[name]) for name in table.columns.names}
            header = dict(table.header)
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a FITS sky map: {first_line(error)}") from error
    return _of_table(columns, header, str(path))


def _of_table(columns: dict[str, NDArray[Any]], header: dict[str, Any], name: str) -> SkyMap:
    """The map of the columns of a FITS table."""
    frame = str(header.get("COORDSYS", "C")).strip().upper()
    if frame == "E" or frame.startswith("ECL"):
        raise DataError(f"{name}: ecliptic maps (COORDSYS = E) are not supported")
    column = next((n for n in NAMES if n in columns), None)
    if column is None:
        raise DataError(
            f"{name}: no column of probabilities; it has {', '.join(columns)}, "
            f"known are {', '.join(NAMES)}"
        )
    order = str(header.get("ORDERING", "")).strip().upper()
    if order.startswith("NEST"):
        order = "nested"
    elif order == "RING":
        order = "ring"
    elif order != "NUNIQ" and "UNIQ" not in columns:
        raise DataError(f"{name}: ORDERING must be NESTED, RING or NUNIQ, got {order!r}")
    explicit = str(header.get("INDXSCHM", "IMPLICIT")).strip().upper() == "EXPLICIT"
    if explicit and "UNIQ" not in columns:
        raise DataError(f"{name}: partial maps with explicit pixel numbers are not supported")
    return SkyMap.of(
        columns[column],
        order=order,
        uniq=columns.get("UNIQ"),
        density="DENSITY" in column,
        galactic=frame.startswith("G"),
        name=name,
    )


def _known(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.bool_]:
    lon, lat = (np.asarray(x, np.float64).ravel() for x in (ra, dec))
    return np.asarray(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90))


def _place(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nested number at the finest level."""
    from astropy import units

    healpix = need("astropy_healpix", extra="sky", who="A sky map")
    place = healpix.lonlat_to_healpix(lon * units.deg, lat * units.deg, 1 << FINEST, order="nested")
    return np.asarray(place, np.int64)


def _flat_pixels(n: int, order: str, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Levels and nested numbers of all pixels of one size."""
    if order not in ("nested", "ring"):
        raise ConfigError(f"{name}: order must be 'nested' or 'ring', got {order!r}")
    nside = round(np.sqrt(n / 12)) if n else 0
    if not nside or 12 * nside**2 != n or nside & (nside - 1):
        raise DataError(
            f"{name}: {n} pixels are no whole sky; 12 nside² with nside a power of two are"
        )
    number = np.arange(n, dtype=np.int64)
    if order == "ring":
        healpix = need("astropy_healpix", extra="sky", who="A sky map")
        number = np.asarray(healpix.HEALPix(nside, order="ring").ring_to_nested(number), np.int64)
    return np.full(n, nside.bit_length() - 1, np.int64), number


def _unique_pixels(
    uniq: NDArray[Any], n: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Levels and nested numbers of unique numbers."""
    if uniq.size != n:
        raise DataError(f"{name}: {uniq.size} pixel numbers for {n} values")
    number = uniq.astype(np.int64)
    if not n or (number < 4).any() or not np.array_equal(number, uniq):
        raise DataError(f"{name}: UNIQ must be whole numbers from 4; it is empty or has others")
    # frexp gives the exponent exactly below 2**53; above, floats of neighbours may round up
    level = (np.frexp(number.astype(np.float64))[1].astype(np.int64) - 3) // 2
    level -= number < (np.int64(4) << (2 * level))
    nested = number - (np.int64(4) << (2 * level))
    if (level > FINEST).any() or (nested >= (np.int64(12) << (2 * level))).any():
        raise DataError(f"{name}: UNIQ holds numbers that are no HEALPix pixels")
    return level, nested

"""FITS tables and VOTables: columns with units and descriptions, and what a file says of itself."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.files import check_file, first_line, unpacked

__all__ = ["KEYWORDS", "AstroTable", "opened_fits", "read_about", "read_astro_table"]

logger = logging.getLogger(__name__)

HREF = re.compile(rb"h\0?r\0?e\0?f", re.IGNORECASE)  # in UTF-16 too
KEYWORDS = {"astroprep": "ASTROPRP", "astroprep_meta": "ASTRMETA"}  # FITS has eight letters


@dataclass(frozen=True, eq=False)
class AstroTable:
    """Columns of a table and what is known of them.

    Parameters
    ----------
    columns : dict of str to array
        Of one length; missing values are masked, and NaN too where the numbers are floats.
    units, descriptions : dict of str to str
        By column, where the file states them.
    about : dict of str to str
        What the file says of itself: keywords of the FITS headers, or INFO of a VOTable; the
        record of astroprep is under ``"astroprep"``.
    clock : dict of str to str
        ``scale``, ``origin`` (Julian date of time zero, days) and ``place``, where stated.
    """

    columns: dict[str, NDArray[Any]]
    units: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    clock: dict[str, str] = field(default_factory=dict)


def read_astro_table(path: Path, kind: str) -> AstroTable:
    """Read the table of a file.

    Parameters
    ----------
    path : Path
        Plain or gzip. Of several tables in FITS the first is taken, and the log says so; a
        VOTable must have one.
    kind : {"fits", "votable"}
        Its format.

    Returns
    -------
    AstroTable

    Raises
    ------
    DataError
        If the file is missing, truncated, damaged or hostile, or has no table.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units and of the standards' fine points
            return _read_fits(path) if kind == "fits" else _read_votable(path)
    except DataError:
        raise
    except Exception as error:  # hostile XML and FITS raise what they like
        raise DataError(
            f"{path} cannot be read as {kind} ({first_line(error)}); it may be truncated or of "
            "another format"
        ) from error


def read_about(path: Path, kind: str) -> dict[str, str]:
    """What a file says of itself, see `AstroTable`; of FITS only the headers are read."""
    if kind != "fits":
        return read_astro_table(path, kind).about
    check_file(path)
    try:
        with opened_fits(path) as file:
            return _keywords(file[0].header, _first_table(file, path).header)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read as fits ({first_line(error)})") from error


@contextmanager
def opened_fits(path: Path) -> Iterator[Any]:
    """Open a FITS file without its warnings, and close it whatever happens.

    Yields
    ------
    astropy.io.fits.HDUList
        Not mapped into memory.
    """
    from astropy.io import fits

    source = unpacked(path)
    # a file that astropy opened by name stays open where it is no FITS
    with (
        source.open("rb") if isinstance(source, Path) else source as raw,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of what they tell, `_read_fits` tells more
        with fits.open(raw, memmap=False) as file:
            yield file


def _first_table(file: Any, path: Path) -> Any:
    """The first table of a FITS file."""
    from astropy.io import fits

    found, more = None, 0
    for k in range(100):  # one by one: a damaged size may be negative, and there is no end
        try:
            hdu = file[k]
        except IndexError:
            break
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            found, more = found or hdu, more + (found is not None)
    if found is None:
        raise DataError(f"{path} has no table; it holds images only")
    if more:
        logger.warning("%s: the first of %d tables is read", path, more + 1)
    return found


def _read_fits(path: Path) -> AstroTable:
    from astropy.table import Table

    with opened_fits(path) as file:
        hdu = _first_table(file, path)
        need = hdu.fileinfo()["datLoc"] + hdu.header["NAXIS1"] * hdu.header["NAXIS2"]
        if path.suffix.lower() != ".gz" and path.stat().st_size < need:
            raise DataError(
                f"{path}: truncated at {path.stat().st_size} bytes, where its table ends at {need}"
            )
        table = Table.read(hdu, mask_invalid=False)
        about = _keywords(file[0].header, hdu.header)
    for k, name in enumerate(table.colnames, 1):  # as TOPCAT and others have it
        table[name].description = about.get(f"TCOMM{k}")
    return _of_table(table, about, _fits_clock(about))


def _keywords(*headers: Any) -> dict[str, str]:
    about: dict[str, str] = {}
    for header in headers:
        for card in header.cards:
            if card.keyword not in ("", "COMMENT", "HISTORY"):
                about[card.keyword] = str(card.value)
    return about | {name: about.pop(key) for name, key in KEYWORDS.items() if key in about}


def _fits_clock(about: Mapping[str, str]) -> dict[str, str]:
    """Clock of the FITS time standard (Rots et al. 2015, A&A 574, A36)."""
    clock = {"scale": about.get("TIMESYS", ""), "place": about.get("TREFPOS", "")}
    for name, zero in (("JDREF", 0.0), ("MJDREF", 2400000.5), ("BJDREF", 0.0)):
        parts = [about[key] for key in (name, f"{name}I", f"{name}F") if key in about]
        if parts:
            clock["origin"] = repr(zero + sum(map(float, parts)))
            break
    return {key: value for key, value in clock.items() if value}


def _read_votable(path: Path) -> AstroTable:
    from astropy.io import votable

    source = unpacked(path)
    content = source.read_bytes() if isinstance(source, Path) else source.getvalue()
    _check_streams(path, content)
    file = votable.parse(io.BytesIO(content), verify="ignore", filename=str(path))
    tables = list(file.iter_tables())
    if len(tables) != 1:
        names = ", ".join(repr(t.name or t.ID or "unnamed") for t in tables)
        raise DataError(f"{path} holds {len(tables)} tables ({names or 'none'}); save the one")
    infos = [*file.infos, *(info for r in file.resources for info in r.infos), *tables[0].infos]
    if any(info.name == "QUERY_STATUS" and info.value in ("ERROR", "OVERFLOW") for info in infos):
        logger.warning("%s: the service that wrote it says that the result is not complete", path)
    systems = [system for r in file.resources for system in r.time_systems]
    clock: dict[str, str] = {}
    if len(systems) == 1:
        one = systems[0]
        clock = {"scale": str(one.timescale or ""), "place": str(one.refposition or "")}
        words = {"JD-origin": 0.0, "MJD-origin": 2400000.5}
        if one.timeorigin is not None:
            clock["origin"] = repr(float(words.get(str(one.timeorigin), one.timeorigin)))
    about = {str(info.name): str(info.value) for info in infos}
    table = tables[0].to_table(use_names_over_ids=True)
    return _of_table(table, about, {key: value for key, value in clock.items() if value})


def _check_streams(path: Path, content: bytes) -> None:
    """Refuse data that lie elsewhere: astropy would open any file or address that is named."""
    if not HREF.search(content):
        return
    away: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2].upper() == "STREAM" and "href" in map(str.lower, attributes):
            away.append(str(next(v for k, v in attributes.items() if k.lower() == "href")))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(content, True)
    if away:
        raise DataError(
            f"{path}: its data lie elsewhere ({away[0]!r}), and nothing is opened that a file "
            "names; save it with the data in it"
        )


def _of_table(table: Any, about: dict[str, str], clock: dict[str, str]) -> AstroTable:
    columns: dict[str, NDArray[Any]] = {}
    units, descriptions = {}, {}
    for name in table.colnames:
        column = table[name]
        columns[name] = np.ma.asarray(getattr(column, "value", column))
        if getattr(column, "mask", None) is not None:
            columns[name] = np.ma.array(columns[name], mask=np.asarray(column.mask))
        if getattr(column, "unit", None) is not None:
            units[name] = str(column.unit)
        if getattr(column, "description", None):
            descriptions[name] = str(column.description)
    return AstroTable(columns, units, descriptions, about, clock)

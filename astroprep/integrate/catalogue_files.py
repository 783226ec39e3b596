"""Catalogues in files: which column holds what, in which unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.catalogue import Catalogue, RaUnit
from astroprep.integrate.sexagesimal import angles_of_text
from astroprep.integrate.table_files import (
    as_floats,
    as_texts,
    column_names,
    is_text,
    read_table,
)
from astroprep.io import hats_catalog
from astroprep.io.files import check_file, format_of

__all__ = ["CatalogueColumns", "read_catalogue", "read_columns"]

RA = (
    "ra", "raj2000", "ra_icrs", "_raj2000", "_ra", "_ra_icrs", "radeg", "ra_deg", "ra2000",
    "alpha_j2000", "alphawin_j2000", "meanra", "ramean", "rightascension",
    "right_ascension", "alpha",
)  # fmt: skip
DEC = (
    "dec", "dej2000", "decj2000", "de_icrs", "dec_icrs", "_dej2000", "_de", "_de_icrs", "dedeg",
    "decdeg", "dec_deg", "dec2000", "delta_j2000", "deltawin_j2000", "meandec", "decmean",
    "declination", "decl", "de", "delta",
)  # fmt: skip
ID = ("id", "source_id", "object_id", "objectid", "objid", "oid", "designation", "name")
PM_RA = ("pmra", "pm_ra", "pmra_cosdec")
PM_DEC = ("pmdec", "pm_dec", "pmde", "pm_de")
TO_ARCSEC = {"arcsec": 1.0, "as": 1.0, "mas": 1e-3, "deg": 3600.0, "arcmin": 60.0, "uas": 1e-6}


@dataclass(frozen=True)
class CatalogueColumns:
    """Columns of a catalogue file; None means: find it by the usual names, or do without.

    Parameters
    ----------
    id, ra, dec : str or None
        Without an id the row number is taken.
    errors : tuple of str
        One column (sigma of each coordinate), two (towards east and north) or three (major and
        minor axis as sigma, position angle in degrees), or one number for all. Arcseconds unless
        the file states another unit.
    epoch : str or None
        A column of Julian years, or one number for all.
    proper_motion : tuple of str
        Two columns, milliarcseconds per year, the first with cos(dec). Found by the usual names if
        there is an epoch.
    ra_unit : {"auto", "degree", "hour"}
        Of numbers; sexagesimal text is always hours.
    """

    id: str | None = None
    ra: str | None = None
    dec: str | None = None
    errors: tuple[str, ...] = ()
    epoch: str | None = None
    proper_motion: tuple[str, ...] = ()
    ra_unit: RaUnit = "auto"


def read_catalogue(path: str | Path, columns: CatalogueColumns | None = None) -> Catalogue:
    """Read positions and what goes with them.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.tsv`` (or ``.gz`` of them), ``.fits``, ``.vot`` or ``.xml``,
        or the folder of a HATS catalogue, which says itself where its positions are.
    columns : CatalogueColumns, optional
        Names of the columns.

    Returns
    -------
    Catalogue
        Only the columns that are needed are read.

    Raises
    ------
    ConfigError
        If settings contradict each other.
    DataError
        If the file cannot be read or a column is missing; the message lists what there is.
    """
    path, columns = Path(path), columns or CatalogueColumns()
    if format_of(path) == "hats":
        columns = _of_hats(path, columns)
    else:
        check_file(path)
    names = column_names(path)
    wanted = _Wanted.of(names, columns, str(path))
    ids = () if wanted.id is None else (wanted.id,)
    table, units = read_table(path, wanted.all(), text=ids)
    numbers = {
        name: as_floats(table[name], f"{path}: column {name!r}")
        for name in wanted.all()
        if name not in (wanted.id, wanted.ra, wanted.dec)
    }
    for name in wanted.motion:
        numbers[name] *= _factor(units.get(name, ""), "mas/yr", f"{path}: column {name!r}")
    ra_unit, dec_unit = (units.get(name, "") for name in (wanted.ra, wanted.dec))
    if columns.ra_unit == "auto" and not is_text(table[wanted.ra]) and ra_unit:
        table[wanted.ra] = _degrees(table[wanted.ra], ra_unit, path, wanted.ra)
        columns = replace(columns, ra_unit="degree")
    if not is_text(table[wanted.dec]) and dec_unit:
        table[wanted.dec] = _degrees(table[wanted.dec], dec_unit, path, wanted.dec)
    error, ellipse = _errors(wanted, numbers, units, str(path))
    motion: list[Any] = [numbers[name] for name in wanted.motion] or [None, None]
    epoch = wanted.epoch_value if wanted.epoch is None else numbers[wanted.epoch]
    return Catalogue.of(
        _angle(table[wanted.ra], path, wanted.ra, hours=True),
        _angle(table[wanted.dec], path, wanted.dec, hours=False),
        ids=None if wanted.id is None else as_texts(table[wanted.id]),
        error=error,
        ellipse=ellipse,
        epoch=epoch,
        pm_ra=motion[0],
        pm_dec=motion[1],
        ra_unit="degree" if is_text(table[wanted.ra]) else columns.ra_unit,
        name=str(path),
    )


def _of_hats(path: Path, columns: CatalogueColumns) -> CatalogueColumns:
    """Columns of the positions that a HATS catalogue names, which are in degrees."""
    info = hats_catalog(path)
    there = replace(columns, ra=columns.ra or info.ra, dec=columns.dec or info.dec)
    # a patch of sky may well look like hours; the format says that it is in degrees
    given = columns.ra is not None or columns.ra_unit != "auto"
    return there if given else replace(there, ra_unit="degree")


def read_columns(path: str | Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of a catalogue file by name: float64, or object arrays of str.

    Parameters
    ----------
    path : str or Path
        As for `read_catalogue`.
    names : sequence of str
        Which columns.

    Raises
    ------
    DataError
        If the file cannot be read or has no such column.
    """
    path = Path(path)
    check_file(path)
    there = column_names(path)
    wanted = [_find(there, name, (), "the result", str(path)) or name for name in names]
    table, _ = read_table(path, wanted)
    return {
        name: as_texts(column) if is_text(column) else as_floats(column, f"{path}: column {name!r}")
        for name, column in table.items()
    }


@dataclass(frozen=True)
class _Wanted:
    """Names that were found in the file."""

    id: str | None
    ra: str
    dec: str
    errors: tuple[str, ...]
    error_value: float | None
    epoch: str | None
    epoch_value: float | None
    motion: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], asked: CatalogueColumns, path: str) -> _Wanted:
        """Look every column up."""
        ra = _find(names, asked.ra, RA, "right ascension", path)
        dec = _find(names, asked.dec, DEC, "declination", path)
        if ra is None or dec is None:
            what = "right ascension" if ra is None else "declination"
            option = "ra" if ra is None else "dec"
            raise DataError(
                f"{path}: no column of {what}; it has {', '.join(map(repr, names[:20]))}; "
                f"name it with the option for {option!r}"
            )
        if ra == dec:
            raise DataError(f"{path}: column {ra!r} cannot be both right ascension and declination")
        errors, error_value = _column_or_number(names, asked.errors, "errors", path)
        if len(errors) > 3:
            raise ConfigError(f"{path}: errors are one, two or three columns, got {len(errors)}")
        given = () if asked.epoch is None else (asked.epoch,)
        epoch, epoch_value = _column_or_number(names, given, "epoch", path)
        motion = tuple(_find(names, m, (), "proper motion", path) or m for m in asked.proper_motion)
        if motion and len(motion) != 2:
            raise ConfigError(f"{path}: proper motion is two columns, got {len(motion)}")
        if asked.epoch is not None and not motion:
            found = [_find(names, None, usual, "proper motion", path) for usual in (PM_RA, PM_DEC)]
            motion = tuple(name for name in found if name) if all(found) else ()
        return cls(
            _find(names, asked.id, ID, "id", path), ra, dec, errors, error_value,
            epoch[0] if epoch else None, epoch_value, motion,
        )  # fmt: skip

    def all(self) -> list[str]:
        """Names of all columns to read."""
        names = [self.id, self.ra, self.dec, *self.errors, self.epoch, *self.motion]
        return list(dict.fromkeys(name for name in names if name is not None))


def _find(
    names: Sequence[str], asked: str | None, usual: Sequence[str], what: str, path: str
) -> str | None:
    """The column asked for, or the first of the usual names, in any case of letters."""
    if asked is not None:
        if asked in names:
            return asked
        raise DataError(
            f"{path}: no column {asked!r} for {what}; it has {', '.join(map(repr, names[:20]))}"
        )
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower(), name)
    return next((lower[name] for name in usual if name in lower), None)


def _column_or_number(
    names: Sequence[str], given: Sequence[str], what: str, path: str
) -> tuple[tuple[str, ...], float | None]:
    """Columns, or one number for all rows."""
    if len(given) == 1 and given[0] not in names:
        try:
            return (), float(given[0])
        except ValueError:
            pass
    return tuple(_find(names, name, (), what, path) or name for name in given), None


def _errors(
    wanted: _Wanted, numbers: Mapping[str, NDArray[np.float64]], units: Mapping[str, str], path: str
) -> tuple[Any, NDArray[np.float64] | None]:
    """Errors and ellipses in arcseconds."""
    if wanted.error_value is not None:
        return wanted.error_value, None
    if not wanted.errors:
        return None, None
    scaled = []
    for k, name in enumerate(wanted.errors):
        unit = units.get(name, "").strip().lower()
        if k < 2 and unit and unit not in TO_ARCSEC:
            raise DataError(
                f"{path}: column {name!r} of errors has the unit {unit!r}; need an angle"
            )
        scaled.append(numbers[name] * (TO_ARCSEC.get(unit, 1.0) if k < 2 else 1.0))
    if len(scaled) == 3:
        return None, np.stack(scaled, axis=1)
    return (scaled[0] if len(scaled) == 1 else np.stack(scaled, axis=1)), None


def _degrees(column: Any, unit: str, path: Path, name: str) -> NDArray[np.float64]:
    what = f"{path}: column {name!r}"
    return as_floats(column, what) * _factor(unit, "deg", what)


def _factor(unit: str, wanted: str, what: str) -> float:
    """Factor from the unit that a file states to the one of a catalogue; 1 where it states none."""
    from astropy import units

    text = unit.strip()
    if not text or text in ("degrees", wanted):
        return 1.0
    try:
        # one that nobody knows is an error too: read with a wrong factor, positions look right
        return float(units.Unit(text).to(units.Unit(wanted)))
    except (ValueError, TypeError):
        need = "an angle" if wanted == "deg" else wanted
        raise DataError(f"{what} is in {unit!r}; need {need}") from None


def _angle(column: Any, path: Path, name: str, *, hours: bool) -> NDArray[np.float64]:
    what = f"{path}: column {name!r}"
    if is_text(column):
        return angles_of_text(as_texts(column), hours=hours, what=what)
    return as_floats(column, what)

"""One light-curve FITS file of Kepler, K2 or TESS: what it holds, or what is wrong with it."""

from __future__ import annotations

import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.columns import ColumnNames, find_column
from astroprep.io.files import check_file, first_line, unpacked
from astroprep.io.missions import MISSIONS

__all__ = ["SpaceCurve", "read_space_curve"]

FLUX_UNITS = frozenset({"e-/s", "electron/s", "electrons/s", "electron s-1"})
OBJECTS = ("id", "ra", "dec", "segment", "channel", "brightness", "crowding", "flux_fraction")
OPTIONAL = {"pos_corr1": "POS_CORR1", "pos_corr2": "POS_CORR2", "background": "SAP_BKG"}
MAX_EXTENSIONS = 16  # the missions' files have three
INT_KINDS, NUMBER_KINDS = "iu", "iuf"

# What astropy raises for bytes that are no FITS: which of them depends on where they break.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class SpaceCurve:
    """What one file says.

    Parameters
    ----------
    mission : str
        Key of `MISSIONS`.
    columns : tuple of str
        Columns of the file's table.
    time, value, error : float64 array, shape (n_points,)
        Days and electron/s.
    points, objects : dict
        Further columns per point, and one value each per object.
    """

    mission: str
    columns: tuple[str, ...]
    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    points: dict[str, NDArray[Any]]
    objects: dict[str, Any]

    @staticmethod
    def point_names(names: ColumnNames) -> tuple[str, ...]:
        """Names of the columns in `points`."""
        return ("cadence", "survey_flags", *OPTIONAL, *names.points)

    @staticmethod
    def object_names(names: ColumnNames) -> tuple[str, ...]:
        """Names of the columns in `objects`."""
        return (*OBJECTS, *names.extra)


def read_space_curve(path: Path, names: ColumnNames, flux: Literal["pdcsap", "sap"]) -> SpaceCurve:
    """Read one file and close it.

    Parameters
    ----------
    path : Path
        The file.
    names : ColumnNames
        Other flux columns, further columns per point and numbers of the headers, if any.
    flux : {"pdcsap", "sap"}
        Which flux, where `names` says nothing else.

    Raises
    ------
    DataError
        If it is missing, truncated, damaged, or no light curve of a known mission; or its
        columns, types, units or times are not those of the format. The message begins with
        the path.
    """
    from astropy.io import fits  # a third of a second that no other format needs

    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what they tell, `_check_length` tells more
            with fits.open(unpacked(path), memmap=False) as file:
                table = _light_curve_table(file, path)
                _check_length(table, path)
                return _curve(file[0].header, table, names, flux, str(path))
    except DataError:
        raise
    except (*BROKEN, fits.VerifyError) as error:
        raise DataError(
            f"{path}: cannot be read as FITS ({first_line(error)}); it may be truncated or of "
            "another format: fetch it again"
        ) from error


def _light_curve_table(file: Any, path: Path) -> Any:
    """Extension that holds the light curve."""
    names: list[str] = []
    # One by one, as what follows the light curve is not needed; and no more than a few: the
    # size of a damaged extension can be negative, and then there is no end of them.
    for i in range(MAX_EXTENSIONS):
        try:
            hdu = file[i]
        except IndexError:
            break
        names.append(str(hdu.name))
        if names[-1] == "LIGHTCURVE":
            return hdu
    what = "; it holds " + ", ".join(name or "an unnamed extension" for name in names)
    if any(name in ("TARGETTABLES", "PIXELS") for name in names):
        what = "; it is a target pixel file, of which an aperture must be summed first"
    raise DataError(
        f"{path}: no extension LIGHTCURVE, so no light curve of Kepler, K2 or TESS{what}"
    )


def _check_length(table: Any, path: Path) -> None:
    """Refuse a file that ends before its table does; compressed ones fail by themselves."""
    info = table.fileinfo()
    end = info["datLoc"] + table.header["NAXIS1"] * table.header["NAXIS2"]
    if path.suffix.lower() != ".gz" and path.stat().st_size < end:
        raise DataError(
            f"{path}: truncated at {path.stat().st_size} bytes, where its light curve ends at "
            f"{end}; fetch it again"
        )


def _curve(
    primary: Any, table: Any, names: ColumnNames, flux: Literal["pdcsap", "sap"], where: str
) -> SpaceCurve:
    header = table.header
    mission = _mission(primary, where)
    about = MISSIONS[mission]
    columns = _column_names(header)
    value = names.value or ("PDCSAP_FLUX" if flux == "pdcsap" else "SAP_FLUX")
    error = names.error or f"{value}_ERR"
    get = _Columns(table, columns, where)
    shift = _time_shift(header, get.unit("TIME"), mission, where)
    _check_flux_unit(get.unit(value), value, where)
    points: dict[str, NDArray[Any]] = {
        "cadence": get.integers("CADENCENO"),
        "survey_flags": get.integers(about.quality),
    }
    for name, source in OPTIONAL.items():
        points[name] = get.floats(source, optional=True)
    for name in names.points:
        points[name] = get.floats(name)
    return SpaceCurve(
        mission=mission,
        columns=tuple(columns),
        time=get.floats("TIME", precise=True) + shift,
        value=get.floats(value),
        error=get.floats(error),
        points=points,
        objects=_objects(primary, header, mission, names, where),
    )


def _mission(primary: Any, where: str) -> str:
    """Name of the mission, from the primary header."""
    telescope = str(primary.get("TELESCOP", "")).strip()
    if telescope == "TESS":
        return "TESS"
    if telescope == "Kepler":
        # the keyword MISSION is younger than the first deliveries of Kepler
        k2 = str(primary.get("MISSION", "")).strip() == "K2" or "CAMPAIGN" in primary
        return "K2" if k2 else "Kepler"
    raise DataError(
        f"{where}: TELESCOP is {telescope or 'missing'!r}; light curves of {', '.join(MISSIONS)} "
        "can be read"
    )


def _column_names(header: Any) -> list[str]:
    """Names of the columns as the header has them; astropy renames those that come twice."""
    return [
        str(header.get(f"TTYPE{i}", "")).strip().upper()
        for i in range(1, int(header["TFIELDS"]) + 1)
    ]


class _Columns:
    """Columns of one table, each checked for what it must hold."""

    def __init__(self, table: Any, columns: list[str], where: str) -> None:
        self.table = table
        self.columns = columns
        self.where = where

    def _place(self, name: str) -> int:
        find_column(name.upper(), (), self.columns, self.where, "light curve")
        return self.columns.index(name.upper())

    def unit(self, name: str) -> str:
        return str(self.table.header.get(f"TUNIT{self._place(name) + 1}", "")).strip()

    def _column(self, name: str, kinds: str) -> NDArray[Any]:
        place = self._place(name)
        column = np.asarray(self.table.data.field(place))
        if column.ndim != 1 or column.dtype.kind not in kinds:
            raise DataError(
                f"{self.where}: column {name!r} must hold one number a cadence, but its format "
                f"is {self.table.header.get(f'TFORM{place + 1}', 'missing')!r}"
            )
        return column

    def integers(self, name: str) -> NDArray[np.int64]:
        return self._column(name, INT_KINDS).astype(np.int64)

    def floats(
        self, name: str, *, optional: bool = False, precise: bool = False
    ) -> NDArray[np.float64]:
        if optional and name not in self.columns:
            return np.full(len(self.table.data), np.nan)
        column = self._column(name, NUMBER_KINDS)
        if precise and column.dtype.itemsize < 8:
            raise DataError(
                f"{self.where}: column {name!r} is {column.dtype.name}, too coarse for times; "
                "the archives' files have float64"
            )
        return column.astype(np.float64)


def _time_shift(header: Any, unit: str, mission: str, where: str) -> float:
    """Days to add so that times count from the mission's zero; nearly always none."""
    reference, scale = header.get("TIMEREF", "missing"), header.get("TIMESYS", "missing")
    if str(reference).strip() != "SOLARSYSTEM" or str(scale).strip() != "TDB":
        raise DataError(
            f"{where}: TIMEREF is {reference!r} and TIMESYS {scale!r}; times must be "
            "barycentric ('SOLARSYSTEM') and TDB"
        )
    if str(header.get("TIMEUNIT", "d")).strip() != "d":
        raise DataError(f"{where}: TIMEUNIT is {header['TIMEUNIT']!r}, not days ('d')")
    if not isinstance(header.get("BJDREFI"), int | float):
        raise DataError(f"{where}: no BJDREFI, so the zero of the times is unknown")
    zero = float(header["BJDREFI"]) + float(header.get("BJDREFF", 0.0))
    stated = re.search(r"BJD\s*-\s*([0-9.]+)", unit)
    if stated is not None and float(stated[1]) != float(header["BJDREFI"]):
        raise DataError(
            f"{where}: the header counts times from BJD {zero:.1f}, the unit of TIME says "
            f"{unit!r}; one of them is wrong"
        )
    return zero - MISSIONS[mission].time_ref


def _check_flux_unit(unit: str, name: str, where: str) -> None:
    if unit.replace(" / ", "/") not in FLUX_UNITS:
        raise DataError(
            f"{where}: column {name!r} is in {unit or 'no unit'!r}, where the missions' pipelines "
            "give e-/s; for a product of others read it as a table and give its arrays"
        )


def _objects(
    primary: Any, header: Any, mission: str, names: ColumnNames, where: str
) -> dict[str, Any]:
    about = MISSIONS[mission]
    prefix, keyword = about.catalogue
    name = str(primary.get("OBJECT", "")).strip() or f"{prefix} {_whole(primary, keyword, where)}"
    return {
        "id": name,
        "ra": _number(primary, "RA_OBJ"),
        "dec": _number(primary, "DEC_OBJ"),
        "segment": _whole(primary, about.segment, where),
        "channel": (
            4 * (_whole(primary, "CAMERA", where) - 1) + _whole(primary, "CCD", where)
            if mission == "TESS"
            else _whole(primary, "CHANNEL", where)
        ),
        "brightness": _number(primary, about.brightness),
        "crowding": _number(header, "CROWDSAP"),
        "flux_fraction": _number(header, "FLFRCSAP"),
        **{key: _number(primary if key in primary else header, key) for key in names.extra},
    }


def _number(header: Any, keyword: str) -> float:
    """Value of a keyword; NaN where it is absent or blank."""
    value = header.get(keyword)
    return float(value) if isinstance(value, int | float) else np.nan


def _whole(header: Any, keyword: str, where: str) -> int:
    value = header.get(keyword)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: the header has no whole number {keyword}; fetch it again")
    return value

"""Catalogues in files: Parquet, CSV, FITS and VOTable, by extension."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.errors import ConfigError, DataError
from astroprep.integrate.catalogue import Catalogue, RaUnit
from astroprep.integrate.sexagesimal import angles_of_text
from astroprep.io.files import check_file, first_line, replaced

__all__ = ["CatalogueColumns", "read_catalogue", "read_columns", "write_table"]

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
        ``.parquet``, ``.csv`` or ``.tsv`` (or ``.gz`` of them), ``.fits``, ``.vot`` or ``.xml``.
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
    check_file(path)
    names = _names_in(path)
    wanted = _Wanted.of(names, columns, str(path))
    table, units = _read(path, wanted.all())
    numbers = {
        name: _numbers(table[name], f"{path}: column {name!r}")
        for name in wanted.all()
        if name not in (wanted.id, wanted.ra, wanted.dec)
    }
    error, ellipse = _errors(wanted, numbers, units, str(path))
    motion = [numbers[name] for name in wanted.motion] or [None, None]
    epoch = wanted.epoch_value if wanted.epoch is None else numbers[wanted.epoch]
    return Catalogue.of(
        _angle(table[wanted.ra], path, wanted.ra, hours=True),
        _angle(table[wanted.dec], path, wanted.dec, hours=False),
        ids=None if wanted.id is None else _text(table[wanted.id]),
        error=error,
        ellipse=ellipse,
        epoch=epoch,
        pm_ra=motion[0],
        pm_dec=motion[1],
        ra_unit="degree" if _is_text(table[wanted.ra]) else columns.ra_unit,
        name=str(path),
    )


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
    there = _names_in(path)
    wanted = [_find(there, name, (), "the result", str(path)) or name for name in names]
    table, _ = _read(path, wanted)
    return {
        name: _text(column) if _is_text(column) else _numbers(column, f"{path}: column {name!r}")
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


def _kind(path: Path) -> str:
    """Format of a file by its name."""
    name = path.name.lower().removesuffix(".gz")
    for kind, ends in {
        "parquet": (".parquet", ".pq"),
        "csv": (".csv", ".tsv"),
        "fits": (".fits", ".fit"),
        "votable": (".vot", ".xml", ".votable"),
    }.items():
        if name.endswith(ends):
            return kind
    raise DataError(f"{path}: unknown extension; known are .parquet, .csv, .tsv, .fits, .vot, .xml")


def _csv_options(path: Path) -> pa_csv.ParseOptions:
    tabs = path.name.lower().removesuffix(".gz").endswith(".tsv")
    return pa_csv.ParseOptions(delimiter="\t" if tabs else ",")


def _names_in(path: Path) -> list[str]:
    """Column names of a file."""
    kind = _kind(path)
    try:
        if kind == "parquet":
            return list(pq.read_schema(path).names)
        if kind == "csv":
            with pa_csv.open_csv(path, parse_options=_csv_options(path)) as reader:
                return list(reader.schema.names)
        return list(_astropy_table(path, kind).colnames)
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error


def _astropy_table(path: Path, kind: str) -> Any:
    """Table of a FITS or VOTable file."""
    import warnings

    from astropy.table import Table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units and of the standard's fine points
            return Table.read(path, format=kind, **({"hdu": 1} if kind == "fits" else {}))
    except Exception as error:  # hostile XML and FITS raise what they like
        raise DataError(f"{path} cannot be read as {kind}: {first_line(error)}") from error


def _read(path: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Columns by name, and the units that the file states."""
    kind = _kind(path)
    try:
        if kind == "parquet":
            table = pq.read_table(path, columns=names)
        elif kind == "csv":
            convert = pa_csv.ConvertOptions(include_columns=names, strings_can_be_null=True)
            table = pa_csv.read_csv(path, parse_options=_csv_options(path), convert_options=convert)
        else:
            whole = _astropy_table(path, kind)
            units = {name: str(whole[name].unit or "") for name in names}
            return {name: whole[name] for name in names}, units
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    return {name: table[name] for name in names}, {}


def _is_text(column: Any) -> bool:
    if isinstance(column, pa.ChunkedArray):
        kind = column.type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind)
                    or pa.types.is_dictionary(kind))  # fmt: skip
    return bool(np.asarray(column).dtype.kind in "SUO")


def _text(column: Any) -> NDArray[np.object_]:
    values = (
        column.to_pylist() if isinstance(column, pa.ChunkedArray) else np.asarray(column).tolist()
    )
    text = np.empty(len(values), dtype=object)
    text[:] = [
        "" if v is None else v.decode(errors="replace") if isinstance(v, bytes) else str(v)
        for v in values
    ]
    return text


def _numbers(column: Any, what: str) -> NDArray[np.float64]:
    """Float64, NaN for missing values."""
    try:
        if isinstance(column, pa.ChunkedArray):
            return np.array(column.cast(pa.float64()).to_numpy(), np.float64)
        return np.array(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"{what} must hold numbers: {first_line(error)}") from error


def _angle(column: Any, path: Path, name: str, *, hours: bool) -> NDArray[np.float64]:
    what = f"{path}: column {name!r}"
    if _is_text(column):
        return angles_of_text(_text(column), hours=hours, what=what)
    return _numbers(column, what)


def write_table(
    path: str | Path, columns: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    path : str or Path
        The extension decides the format, as in `read_catalogue`.
    columns : mapping of str to array
        Of one length; NaN is a missing value in Parquet and CSV.
    about : mapping
        Provenance: in the metadata of Parquet (key ``astroprep``), the comments of FITS
        and the description of a VOTable; beside a CSV, in ``FILE.json``.

    Raises
    ------
    DataError
        If the extension is not known or the system refuses.
    """
    path = Path(path)
    kind, text = _kind(path), json.dumps(dict(about), indent=1)
    arrow = {name: pa.array(x, from_pandas=True) for name, x in columns.items()}
    with replaced(path) as part:
        if kind == "parquet":
            table = pa.table(arrow)
            pq.write_table(table.replace_schema_metadata({"astroprep": text}), part)
        elif kind == "csv":
            delimiter = _csv_options(path).delimiter
            options = pa_csv.WriteOptions(delimiter=delimiter)
            if path.name.endswith(".gz"):
                with pa.CompressedOutputStream(str(part), "gzip") as stream:
                    pa_csv.write_csv(pa.table(arrow), stream, options)
            else:
                pa_csv.write_csv(pa.table(arrow), str(part), options)
        else:
            _write_astropy(part, kind, columns, text, zipped=path.name.endswith(".gz"))
    if kind == "csv":
        with replaced(path.with_name(path.name + ".json")) as part:
            part.write_text(text + "\n")


def _write_astropy(
    part: Path, kind: str, columns: Mapping[str, NDArray[Any]], text: str, *, zipped: bool
) -> None:
    """Write FITS or VOTable."""
    import gzip
    import io

    from astropy.table import Table

    plain = {n: x.astype(str) if x.dtype == object else x for n, x in columns.items()}
    about = {"comments": text.splitlines()} if kind == "fits" else {"description": text}
    raw = io.BytesIO()
    Table(plain, meta=about).write(raw, format=kind)
    content = raw.getvalue()
    part.write_bytes(gzip.compress(content, mtime=0) if zipped else content)

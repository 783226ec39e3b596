"""One door to every survey file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from astroprep.base import OnBad
from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.io.columns import ColumnNames
from astroprep.io.csv import LongCsvReader, write_long_csv
from astroprep.io.files import check_file, format_of
from astroprep.io.fits import SpaceFitsReader, fits_files
from astroprep.io.hats import HatsReader
from astroprep.io.hats_catalog import hats_files
from astroprep.io.hats_writer import write_hats
from astroprep.io.long_table import LongTableReader, is_long_fits
from astroprep.io.long_table_writer import write_long_table
from astroprep.io.parquet import NestedParquetReader
from astroprep.io.parquet_writer import write_batch
from astroprep.io.survey import Survey

__all__ = ["open_survey", "source_sha256", "write_survey"]


def open_survey(
    path: str | Path | Sequence[str | Path],
    names: ColumnNames | None = None,
    *,
    on_bad: OnBad = "raise",
    flux: Literal["pdcsap", "sap"] = "pdcsap",
    schema: str | Path | None = None,
) -> Survey:
    """Open a survey file by its suffix; nothing but its description is read yet.

    Parameters
    ----------
    path : str, Path or sequence of them
        ``.parquet`` (`NestedParquetReader`), ``.csv`` or ``.csv.gz`` (`LongCsvReader`);
        light-curve FITS of Kepler, K2 or TESS (`SpaceFitsReader`): a file, a folder, a
        pattern such as ``"q5/*_llc.fits"``, or a list of files; another FITS table, or a VOTable
        (``.vot``, ``.xml``), with one row a measurement (`LongTableReader`); the folder of a
        HATS catalogue or collection (`HatsReader`).
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.
    on_bad : {"raise", "reject"}, default "raise"
        What a nested reader does with a row whose lists differ in length, and a FITS reader
        with a file that it cannot read.
    flux : {"pdcsap", "sap"}, default "pdcsap"
        Which flux of space photometry to take, see `SpaceFitsReader`; other files have one.
    schema : str or Path, optional
        Survey whose table it is, by name or as a TOML file (see `astroprep.surveys`): the
        columns, units, sentinels, bands and flags are then those that the schema states, see
        `SchemaReader`. The same as ``ColumnNames(schema=...)``.

    Returns
    -------
    Survey
        With ``n_objects``, ``columns``, ``schema_metadata``, ``meta``, ``iter_batches`` and
        ``read``; close it, or use it in a ``with`` statement.

    Raises
    ------
    DataError
        If the suffix is unknown, the file cannot be read, or a column is missing or of the
        wrong type; the message says what is there and what to do.
    """
    if schema is not None:
        names = replace(names or ColumnNames(), schema=schema)
    if names is not None and names.schema is not None:
        # loaded when asked for: few files have a schema, and its tables take time to set up
        from astroprep.io.schema_reader import SchemaReader

        return SchemaReader(path, names, on_bad=on_bad)
    if not isinstance(path, str | Path):
        wrong = [one for one in path if _format(Path(one)) != "fits"]
        if wrong:
            raise DataError(f"{wrong[0]}: only FITS files are opened as a list; open it alone")
        return SpaceFitsReader(path, names, flux=flux, on_bad=on_bad)
    kind = _format(Path(path))
    if kind == "fits":
        if Path(path).is_file() and is_long_fits(Path(path)):
            return LongTableReader(path, names)
        return SpaceFitsReader(path, names, flux=flux, on_bad=on_bad)
    if kind == "parquet":
        return NestedParquetReader(path, names, on_bad=on_bad)
    if kind == "hats":
        return HatsReader(path, names, on_bad=on_bad)
    if kind == "votable":
        return LongTableReader(path, names)
    return LongCsvReader(path, names)


def write_survey(
    path: str | Path,
    batch: LightCurveBatch,
    *,
    points: Sequence[str] | Literal["all"] = (),
    objects: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a batch in the format that the suffix names; it appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` (see `write_batch`), ``.csv`` or ``.csv.gz`` (see `write_long_csv`),
        ``.fits``, ``.vot`` or ``.xml`` (see `write_long_table`), or a folder that ends in
        ``.hats`` (see `write_hats`).
    batch : LightCurveBatch
        What to write.
    points : sequence of str or "all", default ()
        Which of ``batch.points`` to write, such as ``("trend", "trend_err")``.
    objects : sequence of str, default ()
        Columns per object that CSV has beside the usual ones; the other formats have them all.
    record : mapping, optional
        Where the batch comes from, see `make_provenance`; `read_provenance` reads it back.

    Raises
    ------
    DataError
        If the suffix is unknown or the file cannot be written.
    """
    path = Path(path)
    kind = _format(path)
    if kind == "fits" and format_of(path) != "fits":
        raise DataError(f"{path}: is a folder or a pattern; name a file to write")
    if kind == "parquet":
        write_batch(path, batch, points=points, record=record)
    elif kind == "csv":
        write_long_csv(path, batch, points=points, objects=objects, record=record)
    elif kind == "hats":
        write_hats(path, batch, points=points, record=record)
    else:
        write_long_table(path, batch, points=points, record=record)


def source_sha256(path: str | Path) -> str:
    """Checksum of a survey's bytes: of the file, or of all files of a folder or pattern.

    Parameters
    ----------
    path : str or Path
        What `open_survey` opens.

    Returns
    -------
    str
        64 hexadecimal digits. For a folder the names of the files count too, so that a file that
        was renamed, added or taken away changes it.

    Raises
    ------
    DataError
        If there is nothing to read.
    """
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for one in hats_files(path) if format_of(path) == "hats" else fits_files(path):
        check_file(one)
        with one.open("rb") as file:
            name = one.relative_to(path) if path.is_dir() else one
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _format(path: Path) -> str:
    name = path.name.lower()
    kind = None if name.removesuffix(".gz").endswith(".tsv") else format_of(path)
    if kind is not None:
        return kind
    if path.is_dir() or (any(sign in name for sign in "*?[") and not path.exists()):
        return "fits"
    ending = f"no format goes by {path.suffix!r}" if path.suffix else "a name without a suffix"
    raise DataError(
        f"{path}: {ending}; there are .parquet, .csv, .csv.gz, .fits (or a folder of them), "
        ".vot, .xml and folders of HATS"
    )

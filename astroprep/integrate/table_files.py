"""Tables in files: Parquet, CSV, FITS and VOTable, by extension."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.files import first_line, replaced

__all__ = ["as_floats", "as_texts", "column_names", "is_text", "read_table", "write_table"]

COMMENT = 60  # letters of a FITS comment; longer ones are broken


def file_kind(path: Path) -> str:
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


def column_names(path: Path) -> list[str]:
    """Names of the columns of a file.

    Raises
    ------
    DataError
        If the extension is not known or the file cannot be read.
    """
    kind = file_kind(path)
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


def read_table(path: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Columns by name, and the units that the file states.

    Parameters
    ----------
    path : Path
        A file with these columns.
    names : list of str
        Only these are read where the format allows it.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    kind = file_kind(path)
    try:
        if kind == "parquet":
            table = pq.read_table(path, columns=names)
        elif kind == "csv":
            convert = pa_csv.ConvertOptions(include_columns=names, strings_can_be_null=True)
            table = pa_csv.read_csv(path, parse_options=_csv_options(path), convert_options=convert)
            # "00:40:00" is a time of day to the reader; angles and dates come as they are written
            times = [f.name for f in table.schema if pa.types.is_temporal(f.type)]
            if times:
                convert.column_types = dict.fromkeys(times, pa.string())
                table = pa_csv.read_csv(
                    path, parse_options=_csv_options(path), convert_options=convert
                )
        else:
            whole = _astropy_table(path, kind)
            units = {name: str(whole[name].unit or "") for name in names}
            return {name: whole[name] for name in names}, units
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    return {name: table[name] for name in names}, {}


def is_text(column: Any) -> bool:
    """Whether a column that `read_table` gave holds text."""
    if isinstance(column, pa.ChunkedArray):
        kind = column.type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind)
                    or pa.types.is_dictionary(kind))  # fmt: skip
    return bool(np.asarray(column).dtype.kind in "SUO")


def as_texts(column: Any) -> NDArray[np.object_]:
    """Texts of a column, ``""`` where one is missing."""
    values = (
        column.to_pylist() if isinstance(column, pa.ChunkedArray) else np.asarray(column).tolist()
    )
    text = np.empty(len(values), dtype=object)
    text[:] = [
        "" if v is None else v.decode(errors="replace") if isinstance(v, bytes) else str(v)
        for v in values
    ]
    return text


def as_floats(column: Any, what: str) -> NDArray[np.float64]:
    """Float64, NaN for missing values."""
    try:
        if isinstance(column, pa.ChunkedArray):
            return np.array(column.cast(pa.float64()).to_numpy(), np.float64)
        return np.array(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"{what} must hold numbers: {first_line(error)}") from error


def write_table(
    path: str | Path, columns: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    path : str or Path
        The extension decides the format, ``.parquet``, ``.csv``, ``.tsv`` (or ``.gz`` of them),
        ``.fits``, ``.vot`` or ``.xml``.
    columns : mapping of str to array
        Of one length; NaN is a missing value in Parquet and CSV.
    about : mapping
        Provenance: in the metadata of Parquet (key ``astroprep``), the comments of FITS
        and the description of a VOTable (JSON again once line breaks are taken out); beside a
        CSV, in ``FILE.json``.

    Raises
    ------
    DataError
        If the extension is not known or the system refuses.
    """
    path = Path(path)
    kind, text = file_kind(path), json.dumps(dict(about), indent=1)
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
    # both formats break lines and drop spaces at the breaks, so there are none to drop
    dense = json.dumps(json.loads(text), separators=(",", ":")).replace(" ", "\\u0020")
    lines = [dense[k : k + COMMENT] for k in range(0, len(dense), COMMENT)]
    about = {"comments": lines} if kind == "fits" else {"description": dense}
    raw = io.BytesIO()
    Table(plain, meta=about).write(raw, format=kind)
    content = raw.getvalue()
    part.write_bytes(gzip.compress(content, mtime=0) if zipped else content)

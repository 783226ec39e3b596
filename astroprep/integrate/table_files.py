"""Tables in files: Parquet, CSV, FITS, VOTable and HATS, by extension."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io import AstroTable, astro_bytes, hats_catalog, read_astro_table, write_beside
from astroprep.io.files import first_line, format_of, replaced
from astroprep.io.provenance import KEY

__all__ = ["as_floats", "as_texts", "column_names", "is_text", "read_table", "write_table"]


def file_kind(path: Path) -> str:
    """Format of a file by its name, or of a folder of HATS."""
    kind = format_of(path)
    if kind is None:
        raise DataError(
            f"{path}: unknown extension; known are .parquet, .csv, .tsv, .fits, .vot, .xml and "
            "folders of HATS"
        )
    if kind != "hats":
        return kind
    if not path.is_dir():
        raise DataError(f"{path}: no such folder of a HATS catalogue")
    return kind


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
        if kind == "hats":
            return list(pq.read_schema(hats_catalog(path).files[0]).names)
        if kind == "csv":
            with pa_csv.open_csv(path, parse_options=_csv_options(path)) as reader:
                return list(reader.schema.names)
        return list(read_astro_table(path, kind).columns)
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error


def read_table(
    path: Path, names: list[str], text: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Columns by name, and the units that the file states.

    Parameters
    ----------
    path : Path
        A file with these columns.
    names : list of str
        Only these are read where the format allows it.
    text : sequence of str, default ()
        Those that are text even where a CSV looks like numbers: an id is 00012, not 12.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    kind = file_kind(path)
    try:
        if kind == "parquet":
            table = pq.read_table(path, columns=names)
        elif kind == "hats":
            table = hats_catalog(path).read_columns(names)
        elif kind == "csv":
            convert = pa_csv.ConvertOptions(
                include_columns=names,
                strings_can_be_null=True,
                column_types=dict.fromkeys(text, pa.string()),
            )
            table = pa_csv.read_csv(path, parse_options=_csv_options(path), convert_options=convert)
            # "00:40:00" is a time of day to the reader; angles and dates come as they are written
            times = [f.name for f in table.schema if pa.types.is_temporal(f.type)]
            if times:
                convert.column_types = dict.fromkeys([*times, *text], pa.string())
                table = pa_csv.read_csv(
                    path, parse_options=_csv_options(path), convert_options=convert
                )
        else:
            whole = read_astro_table(path, kind)
            return {name: whole.columns[name] for name in names}, whole.units
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    units = {name: _unit(table.schema.field(name)) for name in names}
    return {name: table[name] for name in names}, units


def _unit(column: pa.Field) -> str:
    """Unit that the metadata of an Arrow column state."""
    return str((column.metadata or {}).get(b"unit", b"").decode(errors="replace"))


def is_text(column: Any) -> bool:
    """Whether a column that `read_table` gave holds text."""
    if isinstance(column, pa.ChunkedArray):
        kind = column.type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind)
                    or pa.types.is_dictionary(kind))  # fmt: skip
    return bool(np.asarray(column).dtype.kind in "SUO")


def as_texts(column: Any) -> NDArray[np.object_]:
    """Texts of a column, ``""`` where one is missing."""
    # to lists: a masked number becomes None there, in an array it is whatever lies beneath
    values = column.to_pylist() if isinstance(column, pa.ChunkedArray) else column.tolist()
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
    path: str | Path,
    columns: Mapping[str, NDArray[Any]],
    about: Mapping[str, Any],
    *,
    units: Mapping[str, str] | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    path : str or Path
        The extension decides the format, ``.parquet``, ``.csv``, ``.tsv`` (or ``.gz`` of them),
        ``.fits``, ``.vot`` or ``.xml``.
    columns : mapping of str to array
        Of one length; NaN is a missing value in all formats.
    about : mapping
        Where it comes from, see `astroprep.io.make_provenance`; `astroprep.io.read_provenance`
        reads it back from each format.
    units, descriptions : mapping of str to str, optional
        By column; CSV has no place for them.

    Raises
    ------
    DataError
        If the extension is not known, a column does not go into the format, or the system
        refuses.
    """
    path = Path(path)
    kind, units, descriptions = file_kind(path), units or {}, descriptions or {}
    if kind == "hats":
        raise DataError(f"{path}: this table is no catalogue of positions; write another format")
    with replaced(path) as part:
        if kind in ("fits", "votable"):
            table = AstroTable(dict(columns), dict(units), dict(descriptions))
            zipped = path.name.lower().endswith(".gz")
            part.write_bytes(astro_bytes(table, kind, about, zipped=zipped))
            return
        arrow = pa.table(
            [pa.array(x, from_pandas=True) for x in columns.values()],
            names=list(columns),
        )
        if kind == "parquet":
            pq.write_table(_described(arrow, about, units, descriptions), part)
        else:
            options = pa_csv.WriteOptions(delimiter=_csv_options(path).delimiter)
            compression = "gzip" if path.name.lower().endswith(".gz") else None
            with pa.output_stream(str(part), compression=compression) as stream:
                pa_csv.write_csv(arrow, stream, options)
    if kind == "csv":
        write_beside(path, about)


def _described(
    table: pa.Table,
    about: Mapping[str, Any],
    units: Mapping[str, str],
    descriptions: Mapping[str, str],
) -> pa.Table:
    """A table with metadata of its own and of its columns."""
    fields = []
    for column in table.schema:
        words = {"unit": units.get(column.name), "description": descriptions.get(column.name)}
        fields.append(column.with_metadata({k: v for k, v in words.items() if v} or None))
    return table.cast(pa.schema(fields, metadata={KEY: json.dumps(dict(about), indent=1)}))

"""One table with its metadata out: the bytes of a FITS binary table or a VOTable."""

from __future__ import annotations

import gzip
import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.astrotable import KEYWORDS, AstroTable
from astroprep.io.files import first_line

__all__ = ["astro_bytes"]

WIDER = {"u2": np.int32, "u4": np.int64, "i1": np.int16, "f2": np.float32}  # VOTable has none


def astro_bytes(
    table: AstroTable,
    kind: str,
    record: Mapping[str, Any] | None = None,
    *,
    dense: bool = False,
    zipped: bool = False,
) -> bytes:
    """Content of a FITS or VOTable file.

    Parameters
    ----------
    table : AstroTable
        ``about`` becomes keywords of the header, or INFO.
    kind : {"fits", "votable"}
        The format.
    record : mapping, optional
        Where the table came from: in FITS the keyword ``ASTROPRP`` (JSON, with CONTINUE) and
        lines of HISTORY, in a VOTable the INFO ``astroprep`` (JSON).
    dense : bool, default False
        A VOTable has BINARY2 instead of rows that people can read.
    zipped : bool, default False
        Compress with gzip.

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        If a column cannot be written in this format: the message names it.
    """
    from astropy.table import Column, Table

    made = Table()
    for name, values in table.columns.items():
        column = Column(_writable(name, values, kind), name=name)
        if kind != "fits":  # astropy leaves out units beyond the standard's, such as electron
            column.unit = table.units.get(name)
        column.description = table.descriptions.get(name)
        made.add_column(column)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = (_fits_bytes if kind == "fits" else _votable_bytes)(
                made, table, record, dense
            )
    except (ValueError, TypeError) as error:
        raise DataError(f"this table cannot be written as {kind}: {first_line(error)}") from error
    return gzip.compress(content, mtime=0) if zipped else content


def _writable(name: str, values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Text and numbers that both formats have."""
    values = np.asarray(values)
    if values.dtype.kind == "O":
        values = np.array(["" if x is None else str(x) for x in values.tolist()], dtype="U")
    if values.dtype.kind == "U" and kind == "fits" and values.size:
        text = "".join(values.tolist())
        if not text.isascii() or any(not x.isprintable() for x in set(text)):
            bad = next(x for x in values.tolist() if not (x.isascii() and x.isprintable()) and x)
            raise DataError(
                f"column {name!r} holds {bad!r}; FITS has plain ASCII only: write a VOTable or "
                "Parquet"
            )
    if values.dtype.kind == "U" and not values.dtype.itemsize:
        values = values.astype("U1")
    if values.dtype == np.uint64:
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise DataError(f"column {name!r} holds numbers beyond 63 bits: write Parquet")
        return values.astype(np.int64)
    wider: Any = WIDER.get(values.dtype.str[1:])
    return values if wider is None else values.astype(wider)


def _fits_bytes(
    made: Any, table: AstroTable, record: Mapping[str, Any] | None, dense: bool
) -> bytes:
    from astropy.io import fits

    hdu = fits.table_to_hdu(made)
    for k, name in enumerate(made.colnames, 1):
        hdu.columns[name].unit = table.units.get(name)
        if name in table.descriptions:
            hdu.header[f"TCOMM{k}"] = table.descriptions[name]
    for name, value in table.about.items():
        hdu.header[KEYWORDS.get(name, name)] = value
    if table.clock:
        hdu.header["TIMESYS"] = table.clock["scale"]
        hdu.header["TIMEUNIT"] = "d"
        if "place" in table.clock:
            hdu.header["TREFPOS"] = table.clock["place"][:8]  # the standard's own cut
        if "origin" in table.clock:
            hdu.header["JDREF"] = float(table.clock["origin"])
    if record:
        hdu.header[KEYWORDS["astroprep"]] = json.dumps(record)
        for line in history(record):
            hdu.header["HISTORY"] = line
    raw = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(raw)
    return raw.getvalue()


def history(record: Mapping[str, Any]) -> list[str]:
    """Lines of a record for people to read, in ASCII."""
    lines = [f"{record.get('verb', '')} by {record.get('made_by', '')}, {record.get('written')}"]
    for one in record.get("inputs", ()):
        rows = one.get("rows", one.get("curves"))
        lines.append(f"input {one['name']}: {rows} rows, sha256 {one['sha256']}")
    return [json.dumps(line)[1:-1] for line in lines]


def _votable_bytes(
    made: Any, table: AstroTable, record: Mapping[str, Any] | None, dense: bool
) -> bytes:
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info, TimeSys

    file = from_table(made)
    file.version = "1.4"  # the first with TIMESYS
    for name, value in table.about.items():
        file.infos.append(Info(name=name, value=value))
    if record:
        file.infos.append(Info(name="astroprep", value=json.dumps(record)))
    if table.clock and "origin" in table.clock:
        system = TimeSys(
            ID="clock",
            timeorigin=float(table.clock["origin"]),
            timescale=table.clock["scale"],
            refposition=table.clock.get("place", "UNKNOWN"),
        )
        file.resources[0].time_systems.append(system)
        for one in file.get_first_table().fields:
            if one.name == "time":
                one.ref = "clock"
    raw = io.BytesIO()
    file.to_xml(raw, tabledata_format="binary2" if dense else "tabledata")
    return raw.getvalue()

"""Long FITS tables and VOTables of light curves: one row a measurement."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astroprep.errors import DataError
from astroprep.io.astrotable import AstroTable, opened_fits, read_astro_table
from astroprep.io.columns import OWN_OBJECTS, ColumnNames, as_numbers
from astroprep.io.files import first_line, format_of
from astroprep.io.long import LongReader
from astroprep.io.parquet import COARSE_FLOAT32

__all__ = ["META", "LongTableReader", "is_long_fits"]

BLOCK_ROWS = 1 << 18
META = "astroprep_meta"  # INFO of a VOTable; a keyword of eight letters in FITS


class LongTableReader(LongReader):
    """Survey in a FITS table or a VOTable with one row a measurement.

    The file is read whole. Rows of an object may stand anywhere; objects come in the order of
    their first rows. Units that the file states are brought to those of a batch: times to days,
    positions to degrees, errors to the unit of the values. A file that `write_long_table` wrote
    gives its further columns per point, flags, weights, bands and metadata back by itself.

    Parameters
    ----------
    path : str or Path
        ``.fits``, ``.vot`` or ``.xml``, or ``.gz`` of them.
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period if wanted.

    Attributes
    ----------
    columns : list of str
        Columns of the table with one value a row.
    schema_metadata : dict of str to str
        What the file says of itself, the clock among it (FITS time keywords, TIMESYS).

    Raises
    ------
    DataError
        If the file cannot be read, has no id, time or value column, or a unit does not fit.
    """

    def __init__(self, path: str | Path, names: ColumnNames | None = None) -> None:
        path = Path(path)
        kind = "fits" if format_of(path) == "fits" else "votable"
        file = read_astro_table(path, kind)
        own = _own(file.about, path)
        self._table = _arrow(file, path)
        metadata = own or _foreign(file)
        super().__init__(path, names, list(self._table.column_names), metadata)
        if own:
            there = set(self.columns)
            further = (*self._points.further, *json.loads(own["points"]))
            further = tuple(name for name in dict.fromkeys(further) if name in there)
            self._points = replace(self._points, further=further)
            self._object_columns |= {name: name for name in OWN_OBJECTS if name in there}
            if "bands" in own and self._points.band is not None:
                self._bands = tuple(json.loads(own["bands"]))
        self._in_units_of_a_batch(file.units)
        self._sort()

    def _in_units_of_a_batch(self, units: Mapping[str, str]) -> None:
        points, roles = self._points, self._object_columns
        value = units.get(points.value, "")
        wanted = {points.time: "d", roles.get("ra"): "deg", roles.get("dec"): "deg"}
        magnitudes = _factor(value, "mag")
        if magnitudes is not None:
            value = wanted[points.value] = "mag"
        if value:
            wanted[points.error] = value
            said = {"unit": value} | ({"quantity": "mag"} if magnitudes is not None else {})
            self.schema_metadata = {**said, **self.schema_metadata}
        for name, unit in wanted.items():
            stated = units.get(name or "", "")
            if name is None or not stated or stated == unit:
                continue
            factor = _factor(stated, unit)
            if factor is None:
                raise DataError(
                    f"{self.path}: column {name!r} is in {stated!r}, which cannot be brought to "
                    f"{unit!r}; correct the unit in the file"
                )
            self._scale(name, factor)
        time = self._table[points.time]
        if pa.types.is_float32(time.type) and len(time):
            size = float(np.nanmedian(np.abs(time.to_numpy())))
            if size >= COARSE_FLOAT32:
                raise DataError(
                    f"{self.path}: column {points.time!r} holds times near {size:,.0f} d as "
                    "float32; no period survives that. Write them as float64"
                )

    def _scale(self, name: str, factor: float) -> None:
        k = self.columns.index(name)
        column = self._table[name]
        if not pa.types.is_string(column.type):  # text is refused where numbers are asked for
            scaled = pc.multiply(column.cast(pa.float64()), factor)
            self._table = self._table.set_column(k, name, scaled)

    def _sort(self) -> None:
        """Bring the rows of each object together, objects by their first row."""
        ids = pc.dictionary_encode(self._table[self._id], null_encoding="encode")
        code = ids.combine_chunks().indices.to_numpy() if len(ids) else np.empty(0, np.int32)
        if (np.diff(code) < 0).any():  # codes count ids as they come
            self._table = self._table.take(pa.array(np.argsort(code, kind="stable")))

    def _schema(self) -> pa.Schema:
        """Column types: floats where they must be, whole numbers as they are, else text."""
        points, roles = self._points, self._object_columns
        floats = {points.time, points.value, points.error, points.weight}
        floats |= {roles.get(role) for role in ("ra", "dec", "catalogue_period")}
        asis = {self._id, points.flags, *points.further, *self.names.extra, *OWN_OBJECTS}
        wanted = dict.fromkeys([self._id, *points.names(), *roles.values()])
        fields = []
        for name in wanted:
            there = self._table.schema.field(name).type
            number = not pa.types.is_string(there)
            kind = pa.float64() if name in floats and number else there
            fields.append((name, kind if name in floats | asis else pa.string()))
        return pa.schema(fields)

    def _blocks(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        schema = self._schema()
        names = columns or schema.names
        types = pa.schema([schema.field(name) for name in names])
        for start in range(0, self._table.num_rows, BLOCK_ROWS):
            block = self._table.select(names).slice(start, BLOCK_ROWS)
            try:
                yield block.cast(types)
            except pa.ArrowException as error:
                raise DataError(f"{self.path}: {first_line(error)}") from error

    def _object_values(self, role: str, column: Any, name: str) -> NDArray[Any]:
        if not pa.types.is_string(column.type) and role in (*OWN_OBJECTS, *self.names.extra):
            return as_numbers(column, str(self.path), name)
        return super()._object_values(role, column, name)


def _own(about: Mapping[str, str], path: Path) -> dict[str, str]:
    """Metadata of a batch, where astroprep wrote the file."""
    if META not in about:
        return {}
    try:
        own: dict[str, str] = dict(json.loads(about[META]))
        lists = [json.loads(own.get(key, "[]")) for key in ("points", "bands")]
        texts = [*own.values(), *(name for names in lists for name in names)]
        good = all(isinstance(text, str) for text in texts) and not isinstance(lists[0], str)
        float(own.get("time_ref", 0))
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good or own.get("quantity") not in ("mag", "flux"):
        raise DataError(f"{path}: its metadata {META} are damaged; write the file again")
    return {"points": "[]", **own}


def _foreign(file: AstroTable) -> dict[str, str]:
    """Time system of a file that states its clock."""
    clock = file.clock
    if not {"scale", "origin"} <= set(clock):
        return {}
    place = clock.get("place", "").upper()
    zero = float(clock["origin"])
    name = "BJD" if place.startswith("BARY") else "HJD" if place.startswith("HELIO") else "JD"
    if name == "JD" and zero == 2400000.5:
        name, zero = "MJD", 0.0
    system = name if zero == 0 else f"{name}-{zero!r}"
    return {"time_system": f"{system} {clock['scale']}"}


def _arrow(file: AstroTable, path: Path) -> pa.Table:
    """Columns with one value a row, in Arrow."""
    columns = {}
    for name, values in file.columns.items():
        if values.ndim != 1 or values.dtype.kind not in "biufSUO":
            continue
        hidden = np.ma.getmaskarray(values)
        plain = np.ma.getdata(values)
        if plain.dtype.kind in "SUO":
            texts = [x.decode("latin-1") if isinstance(x, bytes) else x for x in plain.tolist()]
            texts = [None if x is None else str(x).rstrip() for x in texts]
            columns[name] = pa.array(texts, pa.string(), mask=hidden)
        else:
            native = plain.astype(plain.dtype.newbyteorder("="))
            columns[name] = pa.array(native, mask=hidden)
    if not columns:
        raise DataError(f"{path}: its table has no columns with one value a row")
    return pa.table(columns)


def _factor(unit: str, wanted: str) -> float | None:
    """Factor from one unit to another; None where there is none."""
    from astropy import units

    text = unit.strip()
    if text.lower() in ("days", "jd", "mjd", "hjd", "bjd") or "BJD -" in text:
        text = "d"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(units.Unit(text).to(units.Unit(wanted)))
    except (ValueError, TypeError):
        return None


def is_long_fits(path: Path) -> bool:
    """Whether a FITS file is a table, and no product of Kepler, K2 or TESS.

    False also where it cannot be read, so that the reader of those says why.
    """
    from astropy.io import fits

    try:
        with opened_fits(path) as file:
            mission = str(file[0].header.get("TELESCOP", "")).strip() in ("Kepler", "TESS")
            table = file[1]
            named = str(table.name) in ("LIGHTCURVE", "TARGETTABLES", "PIXELS")
            return isinstance(table, fits.BinTableHDU) and not mission and not named
    except Exception:  # damaged files raise what they like
        return False

"""What the files of a HATS catalogue say of it, without lsdb."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.errors import DataError
from astroprep.io.files import HATS_FILES, check_file, first_line

__all__ = ["HatsCatalog", "hats_catalog", "hats_files"]

MAX_BYTES = 1 << 24  # of a file of properties or partitions; a catalogue of all pixels of order 9
KINDS = ("object", "source", "nested")  # what has one row per object or detection


@dataclass(frozen=True)
class HatsCatalog:
    """What a HATS catalogue says of itself.

    Parameters
    ----------
    folder : Path
        The one with ``dataset/`` in it; of a collection its primary table.
    properties : dict of str to str
        Of ``hats.properties``.
    files : tuple of Path
        Parquet files of the partitions, in their order. Margins are no part of it.
    """

    folder: Path
    properties: Mapping[str, str]
    files: tuple[Path, ...]

    @property
    def ra(self) -> str | None:
        """Column of right ascension, degrees."""
        return self.properties.get("hats_col_ra")

    @property
    def dec(self) -> str | None:
        """Column of declination, degrees."""
        return self.properties.get("hats_col_dec")

    @property
    def index(self) -> str | None:
        """Column of HEALPix numbers of order 29; None where they are of another order."""
        if self.properties.get("hats_col_healpix_order", "29") != "29":
            return None
        return self.properties.get("hats_col_healpix", "_healpix_29")

    @property
    def n_rows(self) -> int:
        """Rows of the catalogue.

        Raises
        ------
        DataError
            If the properties do not say it as a whole number.
        """
        text = self.properties.get("hats_nrows", "")
        if not (text.isdecimal() and len(text) < 20):
            raise DataError(f"{self.folder}: hats_nrows is {text or 'missing'!r}, no whole number")
        return int(text)

    def sizes(self) -> list[int]:
        """Rows of each file, from its footer.

        Raises
        ------
        DataError
            If a file is damaged, or they do not sum to what the properties say.
        """
        sizes = [_size(path) for path in self.files]
        if sum(sizes) != self.n_rows:
            raise DataError(
                f"{self.folder}: its partitions hold {sum(sizes)} rows, its properties say "
                f"{self.n_rows}; the catalogue is not complete, or was changed"
            )
        return sizes

    def read_columns(self, names: list[str]) -> pa.Table:
        """Columns of all partitions.

        Raises
        ------
        DataError
            If a file is damaged or has no such column.
        """
        self.sizes()
        parts = []
        for path in self.files:
            try:
                # through a file object: a path with "Norder=1" in it would add such a column
                with path.open("rb") as file:
                    parts.append(pq.read_table(file, columns=names).select(names))
            except (pa.ArrowException, OSError, KeyError) as error:
                raise DataError(f"{path} cannot be read: {first_line(error)}") from error
        return pa.concat_tables(parts, promote_options="permissive")


def hats_catalog(path: str | Path) -> HatsCatalog:
    """Description of a HATS catalogue; of a collection that of its primary table.

    Parameters
    ----------
    path : str or Path
        Folder with ``hats.properties`` (or ``properties``), or ``collection.properties``.

    Returns
    -------
    HatsCatalog

    Raises
    ------
    DataError
        If it is no catalogue of rows (a margin, an index), its files contradict each other, lie
        elsewhere, or are missing.

    References
    ----------
    .. [1] HATS: https://hats.readthedocs.io, directory scheme and catalogue properties
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: a HATS catalogue is a folder, and there is none of this name")
    collection = folder / "collection.properties"
    if collection.is_file():
        name = _properties(collection).get("hats_primary_table_url", "")
        inside = PurePosixPath(name)
        if not name or inside.is_absolute() or ".." in inside.parts or ":" in name:
            raise DataError(f"{folder}: its primary table {name!r} is no folder in it")
        folder = folder / name
    there = [folder / name for name in HATS_FILES[:2] if (folder / name).is_file()]
    if not there:
        raise DataError(f"{folder} is no HATS catalogue: it has no hats.properties")
    properties = _properties(there[0])
    kind = properties.get("dataproduct_type", "object")
    if kind not in KINDS:
        raise DataError(f"{folder} is a HATS {kind}; open the catalogue that it belongs to")
    pixels = _pixels(folder)
    suffix = properties.get("hats_npix_suffix", ".parquet")
    files = [file for order, pixel in pixels for file in _files(folder, order, pixel, suffix)]
    return HatsCatalog(folder, properties, tuple(files))


def hats_files(path: str | Path) -> list[Path]:
    """Files that make a HATS catalogue what it is: its properties and partitions.

    Raises
    ------
    DataError
        See `hats_catalog`.
    """
    catalog = hats_catalog(path)
    said = [catalog.folder / name for name in (*HATS_FILES, "partition_info.csv")]
    return [*(file for file in said if file.is_file()), *catalog.files]


def _properties(path: Path) -> dict[str, str]:
    """Lines ``key=value``, as Java has them."""
    found = {}
    for line in _lines(path):
        key, sign, value = line.partition("=")
        if sign and not line.lstrip().startswith(("#", "!")):
            found[key.strip()] = value.strip().replace("\\:", ":").replace("\\=", "=")
    return found


def _lines(path: Path) -> list[str]:
    check_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes; none of a catalogue is so long")
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error


def _pixels(folder: Path) -> list[tuple[int, int]]:
    """Order and pixel of each partition, of ``partition_info.csv`` or else ``_metadata``."""
    info, footer = folder / "partition_info.csv", folder / "dataset" / "_metadata"
    if info.is_file():
        pixels = [_pixel(row, info) for row in csv.DictReader(_lines(info))]
    elif footer.is_file():
        try:
            whole = pq.read_metadata(footer)
            paths = [whole.row_group(k).column(0).file_path for k in range(whole.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{footer} cannot be read: {first_line(error)}") from error
        keys = [dict(p.split("=", 1) for p in x.split("/") if "=" in p) for x in paths]
        pixels = [
            _pixel({"Norder": k.get("Norder"), "Npix": k.get("Npix", "").split(".")[0]}, footer)
            for k in keys
        ]
        pixels = list(dict.fromkeys(pixels))  # a file may have several row groups
    else:
        raise DataError(f"{folder}: neither partition_info.csv nor dataset/_metadata")
    if not pixels:
        raise DataError(f"{folder} has no partitions")
    start = np.array([pixel << 2 * (29 - order) for order, pixel in pixels], np.int64)
    stop = np.array([pixel + 1 << 2 * (29 - order) for order, pixel in pixels], np.int64)
    order = np.argsort(start, kind="stable")
    twice = np.flatnonzero(start[order][1:] < stop[order][:-1])
    if twice.size:
        a, b = (pixels[k] for k in order[twice[0] : twice[0] + 2])
        raise DataError(
            f"{folder}: partitions overlap, such as Norder={a[0]}, Npix={a[1]} and "
            f"Norder={b[0]}, Npix={b[1]}; objects would be read twice"
        )
    return pixels


def _pixel(row: Mapping[str, str | None], path: Path) -> tuple[int, int]:
    texts = [(row.get("Norder") or "").strip(), (row.get("Npix") or "").strip()]
    if all(text.isdecimal() and len(text) < 20 for text in texts):
        order, pixel = map(int, texts)
        if order <= 29 and pixel < 12 * 4**order:
            return order, pixel
    raise DataError(f"{path}: {dict(row)} names no HEALPix pixel by Norder and Npix")


def _files(folder: Path, order: int, pixel: int, suffix: str) -> list[Path]:
    """Files of one partition: one, or all in a folder of its own."""
    where = folder / "dataset" / f"Norder={order}" / f"Dir={pixel // 10000 * 10000}"
    if suffix != "/":
        found = [where / f"Npix={pixel}{suffix}"]
    else:
        found = sorted((where / f"Npix={pixel}").glob("*.parquet"))
    if "/" in suffix.removesuffix("/") or not found or not found[0].is_file():
        raise DataError(
            f"{folder}: the partition Norder={order}, Npix={pixel} is missing, "
            f"looked for {where / f'Npix={pixel}{suffix}'}; fetch it again"
        )
    return found


def _size(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({first_line(error)})") from error

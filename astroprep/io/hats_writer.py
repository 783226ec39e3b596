"""HATS catalogues of nested light curves out: Parquet files by HEALPix pixel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.io.parquet_writer import batch_table, recorded
from astroprep.optional import need

__all__ = ["healpix_index", "seal_hats", "unseal_hats", "write_hats"]

FINEST = 29  # order of the numbers in _healpix_29; 0.4 milliarcseconds
DEEPEST = 12  # order of the smallest partitions; 51 arcseconds
INDEX = "_healpix_29"


def write_hats(
    path: str | Path,
    batch: LightCurveBatch,
    *,
    points: Sequence[str] | Literal["all"] = (),
    record: Mapping[str, Any] | None = None,
    max_objects: int = 50_000,
) -> None:
    """Write a batch as a HATS catalogue of nested light curves; it appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Folder; it must not exist. Its name is that of the catalogue.
    batch : LightCurveBatch
        With ``ra`` and ``dec``, degrees, of every object. Columns are written as by
        `astroprep.io.survey_writer`; objects are sorted by pixel, and equal pixels by their order.
    points : sequence of str or "all", default ()
        Which of ``batch.points`` to write.
    record : mapping, optional
        Where the objects come from, see `astroprep.io.make_provenance`.
    max_objects : int, default 50000
        Objects in a partition, unless more than so many lie within 51 arcseconds.

    Raises
    ------
    ConfigError
        If `max_objects` is not positive.
    DataError
        If the folder exists or cannot be written, there is no object, or one has no position.
    MissingExtraError
        If astropy-healpix is not installed.

    Notes
    -----
    Partitions are the largest HEALPix pixels [1]_ that hold at most `max_objects`. There is no
    margin and no map of densities; LSDB reads the catalogue without them, and makes a margin.

    References
    ----------
    .. [1] Górski et al. 2005, ApJ 622, 759, doi:10.1086/427976
    """
    path = Path(path)
    if max_objects < 1:
        raise ConfigError(f"write_hats: max_objects must be at least 1, got {max_objects!r}")
    if path.exists():
        raise DataError(f"{path} exists; a catalogue is a folder of its own: name another")
    place = _places(batch, path)
    by_place = np.argsort(place, kind="stable")
    place = place[by_place]
    order = _orders(place, max_objects)
    table = recorded(batch_table(batch[by_place], points), record)
    table = table.append_column(INDEX, pa.array(place))
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        part.mkdir(parents=True)
        pixels = _write_partitions(part / "dataset", table, place, order)
        _write_properties(part, path.stem, len(batch), pixels, max_objects)
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _places(batch: LightCurveBatch, path: Path) -> NDArray[np.int64]:
    """Nested HEALPix number at the finest order, of each object."""
    if not len(batch):
        raise DataError(f"{path}: a HATS catalogue needs at least one object")
    blank = np.full(len(batch), np.nan)
    ra, dec = (np.asarray(batch.objects.get(n, blank), np.float64) for n in ("ra", "dec"))
    bad = ~(np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90))
    if bad.any():
        raise DataError(
            f"{path}: a HATS catalogue is sorted by position, but {batch.ids[bad][0]!r} has none "
            f"(ra {ra[bad][0]}, dec {dec[bad][0]}), like {int(bad.sum())} of {bad.size} objects; "
            "leave them out, or write Parquet"
        )
    return healpix_index(ra, dec)


def healpix_index(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nested HEALPix number at the finest order of each position.

    Parameters
    ----------
    ra, dec : float64 array, shape (n_objects,)
        Degrees, finite.

    Raises
    ------
    MissingExtraError
        If astropy-healpix is not installed.
    """
    from astropy import units

    healpix = need("astropy_healpix", extra="sky", who="A HATS catalogue")
    number = healpix.lonlat_to_healpix(ra * units.deg, dec * units.deg, 1 << FINEST, order="nested")
    return np.asarray(number, np.int64)


def _orders(place: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Order of the partition of each object: the lowest whose pixel holds at most `most`."""
    order = np.full(place.size, DEEPEST, np.int64)
    left = np.arange(place.size)
    for k in range(DEEPEST):
        pixel = place[left] >> 2 * (FINEST - k)
        _, which, counts = np.unique(pixel, return_inverse=True, return_counts=True)
        fits = counts[which] <= most
        order[left[fits]] = k
        left = left[~fits]
    return order


def _write_partitions(
    folder: Path, table: pa.Table, place: NDArray[np.int64], order: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Write the Parquet files and their common footers; the pixels in their order."""
    pixel = place >> 2 * (FINEST - order)
    starts = np.flatnonzero(np.diff(pixel, prepend=-1) | np.diff(order, prepend=-1))
    footers: list[Any] = []
    pixels = []
    for start, stop in zip(starts, [*starts[1:], place.size], strict=True):
        k, p = int(order[start]), int(pixel[start])
        name = f"Norder={k}/Dir={p // 10000 * 10000}/Npix={p}.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        part = table.slice(start, stop - start)
        pq.write_table(part, folder / name, compression="zstd", metadata_collector=footers)
        footers[-1].set_file_path(name)
        pixels.append((k, p))
    pq.write_metadata(table.schema, folder / "_common_metadata")
    pq.write_metadata(table.schema, folder / "_metadata", metadata_collector=footers)
    return pixels


def unseal_hats(folder: Path) -> None:
    """Make a catalogue unreadable while its partitions change: its properties go first."""
    for name in ("hats.properties", "properties", "partition_info.csv"):
        (folder / name).unlink(missing_ok=True)


def seal_hats(folder: Path, files: Sequence[Path], schema: pa.Schema, n_rows: int) -> None:
    """Make a catalogue of partitions that were written one by one; properties come last.

    Parameters
    ----------
    folder : Path
        Of the catalogue.
    files : sequence of Path
        ``folder/dataset/Norder=k/Dir=d/Npix=p.parquet``, all with the columns of `schema`, among
        them ``ra``, ``dec`` and ``_healpix_29``. Other files under ``dataset`` are removed: no
        pixel of an earlier catalogue stays.
    schema : pyarrow.Schema
        Of the files.
    n_rows : int
        Of all files.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    dataset = folder / "dataset"
    footers, pixels, most = [], [], 1
    try:
        for other in set(dataset.rglob("Npix=*")) - set(files):
            other.unlink()
        for file in files:
            footer = pq.read_metadata(file)
            footer.set_file_path(file.relative_to(dataset).as_posix())
            footers.append(footer)
            order, _, pixel = (part.split("=")[1] for part in file.with_suffix("").parts[-3:])
            pixels.append((int(order), int(pixel)))
            most = max(most, footer.num_rows)
        pq.write_metadata(schema, dataset / "_common_metadata")
        bare = schema.remove_metadata()
        pq.write_metadata(bare, dataset / "_metadata", metadata_collector=footers)
        _write_properties(folder, folder.stem, n_rows, pixels, most)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{folder} cannot be written: {error}") from error


def _write_properties(
    folder: Path, name: str, n_rows: int, pixels: list[tuple[int, int]], max_objects: int
) -> None:
    size = sum(file.stat().st_size for file in (folder / "dataset").rglob("*.parquet"))
    share = sum(0.25**order for order, _ in pixels) / 12
    lines = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": n_rows,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": INDEX,
        "hats_col_healpix_order": FINEST,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": max_objects,
        "hats_order": max(order for order, _ in pixels),
        "moc_sky_fraction": f"{share:.5f}",
        "hats_builder": f"astroprep v{version('astroprep')}",
        "hats_creation_date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MUTC"),
        "hats_estsize": max(1, size // 1024),
        "hats_version": "v1.0",
    }
    text = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in lines.items())
    for file in ("hats.properties", "properties"):  # readers before v0.6 know the second
        (folder / file).write_text(text, encoding="utf-8")
    rows = "".join(f"{order},{pixel}\n" for order, pixel in pixels)
    (folder / "partition_info.csv").write_text(f"Norder,Npix\n{rows}", encoding="utf-8")

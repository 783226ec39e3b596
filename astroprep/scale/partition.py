"""One partition of a HATS catalogue: done once, by whichever worker, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.data import Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, HatsPartition, replaced, source_sha256
from astroprep.io.files import first_line
from astroprep.io.hats_writer import INDEX, healpix_index
from astroprep.pipeline.account import Counts
from astroprep.pipeline.resume import code_sha256
from astroprep.scale.work import Step, Work

__all__ = [
    "FirstRows",
    "PartitionJob",
    "fingerprint",
    "pixel_file",
    "places_in",
    "schema_with_place",
    "stored_counts",
    "with_place",
]

STAMP = b"astroprep_partition"  # metadata of a finished partition
ONE_AT_A_TIME = threading.Lock()  # numba's own thread pool is not for several callers


@lru_cache(maxsize=1)
def _own_code() -> str:
    return code_sha256()


@lru_cache(maxsize=2)
def _begun(work: Work, meta: Meta) -> tuple[pa.Schema, Step]:
    """The work, opened once a process."""
    return work.begin(meta)


def pixel_file(order: int, pixel: int) -> str:
    """File of a HEALPix pixel under ``dataset/``."""
    return f"Norder={order}/Dir={pixel // 10000 * 10000}/Npix={pixel}.parquet"


@dataclass(frozen=True)
class FirstRows:
    """Where the rows of each file of a catalogue begin, in one file that each worker reads once.

    A task then carries its pixel and nothing of the other partitions, however many there are.

    Parameters
    ----------
    path : Path
        JSON of ``{file: first row}``, on a disk that every worker sees.
    sha256 : str
        Of its bytes.
    """

    path: Path
    sha256: str

    @classmethod
    def write(cls, path: Path, rows: Mapping[str, int]) -> FirstRows:
        """Write the file."""
        data = json.dumps(dict(rows)).encode()
        with replaced(path) as temporary:
            temporary.write_bytes(data)
        return cls(path, hashlib.sha256(data).hexdigest())

    def of(self, name: str) -> int:
        """First row of a file.

        Raises
        ------
        DataError
            If the list is not the one that was written.
        """
        return _first_rows(self)[name]


@lru_cache(maxsize=2)
def _first_rows(told: FirstRows) -> dict[str, int]:
    try:
        data = told.path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{told.path} cannot be read by a worker ({error.strerror}): every worker must see "
            "--out by the same name"
        ) from error
    if hashlib.sha256(data).hexdigest() != told.sha256:
        raise DataError(f"{told.path} is not what this run wrote; is another run at work there?")
    rows: dict[str, int] = json.loads(data)
    return rows


def fingerprint(code: str, settings: Mapping[str, Any], source: Path, first_row: int) -> str:
    """Checksum of what the result of a partition depends on.

    Parameters
    ----------
    code : str
        Of `astroprep.pipeline.resume.code_sha256`.
    settings : mapping
        Of the work.
    source : Path
        Parquet file of the partition; all of it is read.
    first_row : int
        Rows of the catalogue before it, because results are numbered by it.
    """
    about = [code, settings, source_sha256(source), first_row]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def stored_counts(path: Path, stamp: str) -> Counts | None:
    """Counts of a partition that was finished with this fingerprint; None if it was not."""
    try:
        about = json.loads((pq.read_metadata(path).metadata or {})[STAMP])
        if about["fingerprint"] == stamp:
            return Counts(**about["counts"])
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        pass  # missing, cut short or of something else: it is done anew
    return None


@dataclass(frozen=True)
class PartitionJob:
    """Do the work on one partition and write its file of the result.

    Parameters
    ----------
    work : Work
        What to do.
    folder : Path
        The catalogue, ``dataset/`` in it.
    names : ColumnNames
        Columns to read, positions included.
    meta : Meta
        Of the whole catalogue.
    index : str or None
        Its column of HEALPix numbers of order 29; None where there is none.
    first_rows : FirstRows
        Where the rows of each partition begin.
    out : Path
        Folder of the result, on a disk that every worker sees.
    code : str
        Checksum of the code that asked, see `astroprep.pipeline.resume.code_sha256`.
    settings : dict
        Of the work.
    batch_objects : int
        Objects that are in memory at a time.
    """

    work: Work
    folder: Path
    names: ColumnNames
    meta: Meta
    index: str | None
    first_rows: FirstRows
    out: Path
    code: str
    settings: dict[str, Any]
    batch_objects: int

    def source(self, name: str) -> Path:
        """File of the catalogue that is called `name` under ``dataset/``."""
        return self.folder / "dataset" / name

    def target(self, name: str) -> Path:
        """File of the result for it."""
        return self.out / "dataset" / name

    def run(self, name: str) -> tuple[Counts, bool]:
        """Counts of one file of the catalogue, and whether they had to be made.

        Raises
        ------
        ConfigError
            If this process runs other code than the one that asked.
        DataError
            If the file is damaged; the message names it.
        """
        if _own_code() != self.code:
            raise ConfigError(
                "a worker of the cluster runs another version of astroprep or its libraries than "
                "this process; install the same everywhere: results are not mixed"
            )
        with ONE_AT_A_TIME:
            numba.set_num_threads(1)
            first = self.first_rows.of(name)
            stamp = fingerprint(self.code, self.settings, self.source(name), first)
            done = stored_counts(self.target(name), stamp)
            return (done, False) if done is not None else (self._do(name, first, stamp), True)

    def _do(self, name: str, first_row: int, stamp: str) -> Counts:
        schema, step = _begun(self.work, self.meta)
        schema = schema_with_place(schema)
        source = self.source(name)
        place = places_in(source, self.names, self.index)
        partition = HatsPartition(source, first_row, self.names, self.meta, "reject")
        counts, start = Counts(), 0
        with replaced(self.target(name)) as temporary:
            file = pq.ParquetWriter(temporary, schema, compression="zstd")
            with file:
                for batch in partition.iter_batches(self.batch_objects):
                    table, rejected = step(batch)
                    stop = start + table.num_rows
                    file.write_table(with_place(table, place.slice(start, stop - start), schema))
                    counts.add(table.num_rows - len(rejected), rejected)
                    start = stop
                about = {"fingerprint": stamp, "counts": asdict(counts)}
                file.add_key_value_metadata({STAMP: json.dumps(about)})
            if start != place.num_rows:
                raise DataError(f"{source}: {place.num_rows} objects in, {start} out")
        return counts


def places_in(source: Path, names: ColumnNames, index: str | None) -> pa.Table:
    """Position and HEALPix number of every row of a file of a catalogue.

    Parameters
    ----------
    source : Path
        The file.
    names : ColumnNames
        Columns of positions, degrees.
    index : str or None
        Column of HEALPix numbers of order 29, which are computed where there is none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    columns = [str(names.ra), str(names.dec)]
    try:
        with source.open("rb") as opened:  # the folders' names are no columns
            file = pq.ParquetFile(opened)
            known = index in file.schema_arrow.names
            columns += [str(index)] if known else []
            table = file.read(columns=columns).select(columns)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{source} is damaged ({first_line(error)}); fetch it again") from error
    if not known:
        ra, dec = (table[name].to_numpy().astype(np.float64) for name in columns)
        table = table.append_column(INDEX, pa.array(healpix_index(ra, dec)))
    return table.rename_columns(["ra", "dec", INDEX])


def schema_with_place(schema: pa.Schema) -> pa.Schema:
    """Columns of a result in a HATS catalogue: those of the work, and where each object is."""
    place = [("ra", pa.float64()), ("dec", pa.float64()), (INDEX, pa.int64())]
    return pa.schema([*schema, *(pa.field(*one) for one in place)], metadata=schema.metadata)


def with_place(table: pa.Table, place: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of a result with where each object is, from `places_in`, in columns of `schema`."""
    for name in ("ra", "dec", INDEX):
        table = table.append_column(name, place[name])
    return table.cast(schema)

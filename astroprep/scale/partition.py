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
from astroprep.io import HatsReader, replaced, source_sha256
from astroprep.io.hats_writer import FINEST, INDEX, healpix_index
from astroprep.pipeline.account import Counts
from astroprep.pipeline.resume import code_sha256
from astroprep.scale.work import Step, Work

__all__ = ["PartitionJob", "fingerprint", "stored_counts"]

STAMP = b"astroprep_partition"  # metadata of a finished partition
ONE_AT_A_TIME = threading.Lock()  # numba's own thread pool is not for several callers


@lru_cache(maxsize=1)
def _own_code() -> str:
    return code_sha256()


@lru_cache(maxsize=2)
def _begun(work: Work, meta: Meta) -> tuple[pa.Schema, Step]:
    """The work, opened once a process."""
    return work.begin(meta)


def fingerprint(code: str, settings: Mapping[str, Any], source: Path) -> str:
    """Checksum of what the result of a partition depends on.

    Parameters
    ----------
    code : str
        Of `astroprep.pipeline.resume.code_sha256`.
    settings : mapping
        Of the work.
    source : Path
        Parquet file of the partition; all of it is read.
    """
    text = json.dumps([code, settings, source_sha256(source)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


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
    reader : HatsReader
        The catalogue, opened.
    meta : Meta
        Of the whole catalogue.
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
    reader: HatsReader
    meta: Meta
    out: Path
    code: str
    settings: dict[str, Any]
    batch_objects: int

    def target(self, k: int) -> Path:
        """File of the result for file `k` of the catalogue."""
        catalog = self.reader.catalog
        name = catalog.files[k].relative_to(catalog.folder / "dataset")
        return self.out / "dataset" / name

    def run(self, k: int) -> tuple[Counts, bool]:
        """Counts of file `k` of the catalogue, and whether they had to be made.

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
            stamp = fingerprint(self.code, self.settings, self.reader.catalog.files[k])
            done = stored_counts(self.target(k), stamp)
            return (done, False) if done is not None else (self._do(k, stamp), True)

    def _do(self, k: int, stamp: str) -> Counts:
        schema, step = _begun(self.work, self.meta)
        place = self._places(k)
        counts, start = Counts(), 0
        with replaced(self.target(k)) as temporary:
            file = pq.ParquetWriter(temporary, schema_with_place(schema), compression="zstd")
            with file:
                for batch in self.reader.iter_partition(k, self.batch_objects):
                    table, rejected = step(batch)
                    stop = start + table.num_rows
                    for name in ("ra", "dec", INDEX):
                        table = table.append_column(name, place[name].slice(start, stop - start))
                    file.write_table(table.cast(schema_with_place(schema)))
                    counts.add(table.num_rows - len(rejected), rejected)
                    start = stop
                about = {"fingerprint": stamp, "counts": asdict(counts)}
                file.add_key_value_metadata({STAMP: json.dumps(about)})
            if start != place.num_rows:
                raise DataError(
                    f"{self.reader.catalog.files[k]}: {place.num_rows} objects in, {start} out"
                )
        return counts

    def _places(self, k: int) -> pa.Table:
        """Position and HEALPix number of every row, rejected ones too."""
        catalog = self.reader.catalog
        path = catalog.files[k]
        index = catalog.properties.get("hats_col_healpix", INDEX)
        finest = catalog.properties.get("hats_col_healpix_order", str(FINEST))
        with path.open("rb") as source:
            file = pq.ParquetFile(source)
            known = index in file.schema_arrow.names and finest == str(FINEST)
            names = [str(catalog.ra), str(catalog.dec), *([index] if known else [])]
            table = file.read(columns=names).select(names)
        if not known:
            ra, dec = (table[name].to_numpy().astype(np.float64) for name in names)
            table = table.append_column(INDEX, pa.array(healpix_index(ra, dec)))
        return table.rename_columns(["ra", "dec", INDEX])


def schema_with_place(schema: pa.Schema) -> pa.Schema:
    """Columns of a result in a HATS catalogue: those of the work, and where each object is."""
    place = [("ra", pa.float64()), ("dec", pa.float64()), (INDEX, pa.int64())]
    return pa.schema([*schema, *(pa.field(*one) for one in place)], metadata=schema.metadata)

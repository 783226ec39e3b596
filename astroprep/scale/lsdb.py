"""Classify, or search periods, in a HATS catalogue on a Dask cluster, through LSDB."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.errors import AstroprepError, ConfigError, DataError
from astroprep.io import HatsReader, replaced
from astroprep.io.files import first_line, format_of
from astroprep.io.hats_writer import seal_hats, unseal_hats
from astroprep.optional import need
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS
from astroprep.pipeline.resume import code_sha256
from astroprep.scale.partition import (
    FirstRows,
    PartitionJob,
    pixel_file,
    places_in,
    schema_with_place,
)
from astroprep.scale.work import Work

__all__ = ["Plan", "check_catalogue", "client_of", "plan_of", "run_on_cluster"]

RETRIES = 3  # of a partition whose worker died
FIRST_ROWS = ".first_rows.json"  # in the folder of the result while a cluster is at work


def run_on_cluster(
    work: Work,
    source: str | Path,
    out: str | Path,
    *,
    cluster: str | None = None,
    n_processes: int = 1,
    batch_objects: int = BATCH_OBJECTS,
    progress: Progress = silent,
) -> Counts:
    """Send every partition of a HATS catalogue to a Dask cluster; write a HATS catalogue.

    Parameters
    ----------
    work : Work
        `astroprep.scale.ClassifyWork` or `PeriodWork`.
    source : path
        HATS catalogue or collection of nested light curves. Its margin is not read: objects are
        independent of their neighbours.
    out : path
        Folder of the result, a HATS catalogue with the partitions of the input and the columns
        that one machine writes, plus ``ra``, ``dec`` and ``_healpix_29``; ``rejected.parquet``
        lists the rejected. Where it holds partitions of an earlier run, those with the same input,
        settings and code stay, others are done anew.
    cluster : str, optional
        Address of a Dask scheduler; by default processes on this machine. Its workers must see
        `source` and `out` by the same names, and run the same astroprep.
    n_processes : int, default 1
        Processes of this machine, where no address is given.
    batch_objects : int, default 2000
        Objects that a task has in memory at a time, whatever the size of a partition.
    progress : callable, optional
        Told verb, objects done, and objects in all.

    Returns
    -------
    Counts
        Objects in, in the result and rejected.

    Raises
    ------
    MissingExtraError
        If LSDB is not installed.
    ConfigError
        If settings are wrong, or a worker runs other code.
    DataError
        If the catalogue is damaged or not HATS, workers die over a partition, or the result
        cannot be written.
    """
    lsdb = need("lsdb", extra="lsdb", who="--engine lsdb")
    plan = plan_of(work, Path(source), Path(out), batch_objects)
    job, n_objects = plan.job, plan.n_objects
    counts = Counts()
    unseal_hats(job.out)
    progress(work.verb, 0, n_objects)
    opened = lsdb.open_catalog(job.folder, columns=[job.names.ra, job.names.dec])
    told = opened.map_partitions(
        _of_pixel, job, include_pixel=True, meta=pd.Series([], dtype="str")
    )
    with _explained(plan):
        for answer in _answers(told, cluster, n_processes):
            part = Counts(**answer)
            counts.input += part.input
            counts.result += part.result
            counts.rejected += part.rejected
            for reason, number in part.reasons.items():
                counts.reasons[reason] = counts.reasons.get(reason, 0) + number
            progress(work.verb, counts.input, n_objects)
    if counts.input != n_objects:
        raise DataError(f"{n_objects} objects in, but {counts.input} accounted for; start again")
    files = [job.target(name) for name in plan.names]
    _list_rejected(files, job.out / "rejected.parquet")
    seal_hats(job.out, files, schema_with_place(plan.schema), n_objects)
    job.first_rows.path.unlink(missing_ok=True)
    return counts


@dataclass(frozen=True)
class Plan:
    """What a cluster is to do.

    Parameters
    ----------
    job : PartitionJob
        What every task is told; its size does not depend on the number of partitions.
    names : tuple of str
        Files under ``dataset/``, in their order.
    n_objects : int
        In all of them.
    schema : pyarrow.Schema
        Columns that the work gives.
    """

    job: PartitionJob
    names: tuple[str, ...]
    n_objects: int
    schema: pa.Schema


def plan_of(work: Work, source: Path, out: Path, batch_objects: int) -> Plan:
    """Check what a cluster is asked to do.

    Raises
    ------
    ConfigError
        If `out` cannot take the result.
    DataError
        If the catalogue is damaged or not of the kind that LSDB reads.
    """
    check_catalogue(source, out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not _ours(out))):
        raise ConfigError(f"--out {out} holds something else; name a new folder")
    reader = HatsReader(source.absolute(), work.names, on_bad="reject")
    if reader.catalog.ra is None or reader.catalog.dec is None:
        raise DataError(f"{source} does not say which columns are positions (hats_col_ra, _dec)")
    if reader.catalog.properties.get("hats_npix_suffix", ".parquet") != ".parquet":
        raise DataError(f"{source}: --engine lsdb needs one Parquet file a partition")
    settings = work.settings()
    settings["names"] = asdict(reader.names)
    settings["bands"] = reader.meta.bands
    schema, _ = work.begin(reader.meta)  # mistakes are found before anything is written or sent
    dataset = reader.catalog.folder / "dataset"
    rows = {p.path.relative_to(dataset).as_posix(): p.first_row for p in reader.partitions()}
    job = PartitionJob(
        work,
        reader.catalog.folder,
        reader.names,
        reader.meta,
        reader.catalog.index,
        FirstRows.write(out.absolute() / FIRST_ROWS, rows),
        out.absolute(),
        code_sha256(),
        settings,
        batch_objects,
    )
    return Plan(job, tuple(rows), reader.n_objects, schema)


def check_catalogue(source: Path, out: Path) -> None:
    """Refuse what is no HATS catalogue, and to write into it.

    Raises
    ------
    ConfigError
        If `out` lies in the catalogue, or is it.
    DataError
        If it is no folder of a HATS catalogue.
    """
    if format_of(source) != "hats":
        raise DataError(
            f"{source}: --engine lsdb reads the folder of a HATS catalogue; `astroprep.io` writes "
            "one from a survey file (a name that ends in .hats)"
        )
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise ConfigError(f"--out {out} is an input too; choose another name")


def _ours(out: Path) -> bool:
    """Whether a folder is a result, finished or not, of an earlier run."""
    known = {
        "dataset", "rejected.parquet", "partition_info.csv", "properties", "hats.properties",
        FIRST_ROWS,
    }  # fmt: skip
    return {path.name for path in out.iterdir() if not path.name.endswith(".tmp")} <= known


def _of_pixel(frame: Any, pixel: Any, job: PartitionJob) -> pd.Series:
    """One partition as LSDB sees it: its pixel says which file, which is streamed in batches."""
    if pixel is None or pixel.order < 0:
        return pd.Series([], dtype="str")  # dask asks what an empty partition would give
    name = pixel_file(pixel.order, pixel.pixel)
    try:
        counts, _ = job.run(name)
    except AstroprepError as error:  # a mistake is no accident: trying again does not help
        return pd.Series([json.dumps({"error": f"{name}: {error}"})], dtype="str")
    return pd.Series([json.dumps(asdict(counts))], dtype="str")


@contextlib.contextmanager
def _explained(plan: Plan) -> Iterator[None]:
    """Errors of the cluster, which name a task, become errors that name a file."""
    distributed = need("distributed", extra="lsdb", who="--engine lsdb")
    job = plan.job
    try:
        yield
    except distributed.KilledWorker as error:
        raise DataError(
            f"{job.folder}: workers died over one partition ({first_line(error)}); give them more "
            "memory, and start again: what is finished stays"
        ) from error
    except (OSError, pa.ArrowException) as error:  # LSDB reads positions before the task begins
        for name in plan.names:
            places_in(job.source(name), job.names, job.index)
        raise DataError(f"a partition could not be done: {first_line(error)}") from error


@contextlib.contextmanager
def client_of(cluster: str | None, n_processes: int) -> Iterator[Any]:
    """Client of a Dask scheduler, or of processes of this machine where no address is given.

    Raises
    ------
    ConfigError
        If no scheduler answers.
    MissingExtraError
        If Dask is not installed.
    """
    distributed = need("distributed", extra="lsdb", who="--engine lsdb")
    with contextlib.ExitStack() as stack:
        try:
            where = cluster or stack.enter_context(
                distributed.LocalCluster(
                    n_workers=n_processes,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.ERROR,
                )
            )
            # `silence_logs` comes too late for what the cluster and its workers say of themselves.
            logging.getLogger("distributed").setLevel(logging.ERROR)
            client = stack.enter_context(distributed.Client(where))
        except (OSError, ValueError) as error:
            raise ConfigError(f"--cluster {cluster}: no scheduler answers ({error})") from error
        yield client


def _answers(told: Any, cluster: str | None, n_processes: int) -> Iterator[dict[str, Any]]:
    """Counts of the partitions as they are done."""
    with client_of(cluster, n_processes) as client:
        distributed = need("distributed", extra="lsdb", who="--engine lsdb")
        # one graph for all: as delayed objects each of them would bring the graph of all
        futures = distributed.futures_of(client.persist(told, retries=RETRIES))
        for _, part in distributed.as_completed(futures, with_results=True):
            for text in part:
                answer = json.loads(text)
                if "error" in answer:
                    raise DataError(answer["error"])
                yield answer


def _list_rejected(files: list[Path], path: Path) -> None:
    """A table of the rejected: row, id and reason; read and written a partition at a time."""
    names = ["row", "id", "rejected_reason"]
    kinds = pa.schema([("row", pa.int64()), ("id", pa.string()), ("rejected_reason", pa.string())])
    with replaced(path) as temporary, pq.ParquetWriter(temporary, kinds) as writer:
        for file in files:
            with file.open("rb") as opened:  # the folders' names are no columns
                table = pq.read_table(opened, columns=names).select(names)
            table = table.filter(table["rejected_reason"].is_valid())
            writer.write_table(table.cast(kinds))

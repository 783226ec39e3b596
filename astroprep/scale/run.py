"""A whole run over a HATS catalogue: a cluster prepares, this process learns and answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.errors import ConfigError
from astroprep.io import HatsReader, hats_catalog, replaced
from astroprep.io.hats_writer import seal_hats, unseal_hats
from astroprep.optional import need
from astroprep.pipeline.account import Progress, silent
from astroprep.pipeline.job import Job, Resources, RunOptions
from astroprep.pipeline.prepare import Prepared
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.resume import PARTITIONS
from astroprep.pipeline.run import RunResult, run
from astroprep.scale.lsdb import check_catalogue, client_of, run_on_cluster
from astroprep.scale.partition import places_in, schema_with_place, with_place
from astroprep.scale.prepared import PrepareWork, read_prepared

__all__ = ["run_recipe_on_cluster"]

ANSWERS = "predictions.hats"


def run_recipe_on_cluster(
    recipe: Recipe,
    source: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    *,
    cluster: str | None = None,
    n_processes: int = 1,
    memory: int | None = None,
    restart: bool = False,
    progress: Progress = silent,
) -> RunResult:
    """Run a recipe over a HATS catalogue; the files of `astroprep.pipeline.run`, and one more.

    Parameters
    ----------
    recipe : Recipe
        From `astroprep.pipeline.recipe.read_recipe`.
    source : path
        HATS catalogue or collection of nested light curves, with labels.
    out : path
        Folder for the results, as of `astroprep.pipeline.run.run`; ``predictions.hats`` holds the
        rows of ``predictions.parquet`` in the partitions of the input. A run that was
        interrupted continues, on a cluster or on one machine.
    options : RunOptions, optional
        Columns, period source and priors.
    cluster, n_processes
        As of `run_on_cluster`.
    memory : int, optional
        Bytes that each process may hold.
    restart : bool, default False
        Forget what an earlier run left in `out`.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    RunResult
        Paths and measures.

    Raises
    ------
    ConfigError
        If recipe, options or folder are wrong, memory does not suffice, or no scheduler answers.
    DataError
        If the catalogue is damaged or not HATS, or there is nothing to learn.
    MissingExtraError
        If LSDB is not installed.

    Notes
    -----
    What is done to each light curve by itself, and costs most, is done where the partitions are:
    cleaning, detrending, period search, features, folding. One network is trained
    on all labelled objects, so training, compression and the answers of the network
    (microseconds an object) stay in this process, as do the assessment and the checksum, which
    read the catalogue once each. Results are the same bytes as on one machine.
    """
    need("lsdb", extra="lsdb", who="--engine lsdb")
    source, out = Path(source).absolute(), Path(out).absolute()
    check_catalogue(source, out / ANSWERS)
    if options is not None and options.schema is not None:
        raise ConfigError("--schema is for survey tables; --engine lsdb reads HATS catalogues")
    if cluster is not None:
        with client_of(cluster, n_processes):
            pass  # a wrong address is told before the work
    resources = Resources(memory, _Cluster(cluster, n_processes))
    result = run(
        recipe, source, out, options, resources=resources, restart=restart, progress=progress
    )
    shutil.rmtree(out / ".work" / PARTITIONS, ignore_errors=True)
    _write_answers(source, out / "predictions.parquet", out / ANSWERS)
    return result


@dataclass(frozen=True)
class _Cluster:
    """Prepares the light curves of a run on a cluster."""

    cluster: str | None
    n_processes: int

    def __call__(self, job: Job, first_row: int) -> Iterator[Prepared]:
        made = job.folder.work / PARTITIONS
        run_on_cluster(
            PrepareWork.of(job.steps, job.options.names()),
            job.source,
            made,
            cluster=self.cluster,
            n_processes=self.n_processes,
            batch_objects=job.batch_objects,
            progress=job.progress,
        )
        files = hats_catalog(made).files
        yield from read_prepared(files, first_row, job.sample())


def _write_answers(source: Path, predictions: Path, out: Path) -> None:
    """The predictions once more, as a HATS catalogue with the partitions of the input."""
    reader = HatsReader(source, on_bad="reject")
    dataset = reader.catalog.folder / "dataset"
    unseal_hats(out)
    files = []
    with pq.ParquetFile(predictions) as answers:
        schema = schema_with_place(answers.schema_arrow)
        rows = _Rows(answers)
        for partition in reader.partitions():
            place = places_in(partition.path, reader.names, reader.catalog.index)
            target = out / "dataset" / partition.path.relative_to(dataset)
            with (
                replaced(target) as temporary,
                pq.ParquetWriter(temporary, schema, compression="zstd") as file,
            ):
                start = 0
                while start < place.num_rows:
                    table = rows.next(place.num_rows - start)
                    file.write_table(with_place(table, place.slice(start, len(table)), schema))
                    start += len(table)
            files.append(target)
    seal_hats(out, files, schema, reader.n_objects)


class _Rows:
    """Rows of a Parquet file in their order, so many at a time as are wanted and at hand."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._groups = (file.read_row_group(k) for k in range(file.num_row_groups))
        self._left: pa.Table | None = None

    def next(self, most: int) -> pa.Table:
        """At least one row, and `most` at most."""
        while self._left is None or not len(self._left):
            self._left = next(self._groups)
        table, self._left = self._left.slice(0, most), self._left.slice(min(most, len(self._left)))
        return table

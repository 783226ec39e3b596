"""The whole way: raw light curves in; a bundle, predictions, measures and a report out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.io import open_survey, replaced
from astroprep.model.priors import estimate_part, read_shares
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS, spare_inputs
from astroprep.pipeline.job import Job, Resources, RunOptions
from astroprep.pipeline.learn import compress, learning_data, teach, train
from astroprep.pipeline.package import deploy
from astroprep.pipeline.points import save_points
from astroprep.pipeline.prepare import Prepared, apply_steps, fit_steps, learns, recut, taken_out
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.results import measure_and_report
from astroprep.pipeline.resume import RESULTS, RunFolder, fingerprint_of
from astroprep.pipeline.sizing import check_learning
from astroprep.pipeline.split import Roles, assign_roles
from astroprep.quality import assess
from astroprep.surveys import load_schema

__all__ = ["Resources", "RunOptions", "RunResult", "opened", "prepared", "run"]

log = logging.getLogger(__name__)

FIT_SAMPLE = 4000  # training objects that steps learn from, where any does


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Parameters
    ----------
    out : Path
        Folder with ``bundle.apz``, ``metrics.json``, ``predictions.parquet``,
        ``features.parquet`` and ``report.html``.
    metrics : dict
        Content of ``metrics.json``.
    counts : Counts
        Objects in, classified, rejected, with reasons.
    """

    out: Path
    metrics: dict[str, Any]
    counts: Counts


def run(
    recipe: Recipe,
    source: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    *,
    resources: Resources | None = None,
    restart: bool = False,
    progress: Progress = silent,
) -> RunResult:
    """Assess, prepare, train, compress and evaluate.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    source : path
        Survey file with labels.
    out : path
        Folder for the results. A run that was interrupted continues there.
    options : RunOptions, optional
        Columns, period source and priors.
    resources : Resources, optional
        A ceiling on memory, and who prepares the light curves. Results do not depend on it.
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
        If recipe, options or folder are wrong, or memory does not suffice.
    DataError
        If the input cannot be read or there is nothing to learn.
    """
    with opened(
        recipe, source, out, options, resources=resources, restart=restart, progress=progress
    ) as job:
        return _go(job)


@contextmanager
def opened(
    recipe: Recipe,
    source: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    *,
    resources: Resources | None = None,
    restart: bool = False,
    progress: Progress = silent,
) -> Iterator[Job]:
    """Check the inputs of a run and hold its folder; parameters as of `run`."""
    options = options or RunOptions()
    if options.period_column is not None:
        recipe = recipe.with_period_from("column")
    elif recipe.period_source() == "column":
        raise ConfigError(
            f"recipe {recipe.name!r} takes its periods from a catalogue: name the input's column "
            "with --period-column, or use PeriodSearch"
        )
    if resources not in (None, Resources()) and recipe.augment_settings() is not None:
        raise ConfigError(
            f"recipe {recipe.name!r} changes its training curves ([training.augment]), whose "
            "points neither a cluster nor a run under --memory keeps: leave out one of them"
        )
    path = Path(source)
    for name in RESULTS:
        spare_inputs(Path(out) / name, path)
    with open_survey(path, options.names(), on_bad="reject"):
        pass  # a file that cannot be read is refused before anything is written
    settings: dict[str, Any] = {"recipe": recipe.to_dict(), "options": dataclasses.asdict(options)}
    if options.schema is not None:  # its content, because a file of that name may be corrected
        settings["schema"] = load_schema(options.schema).model_dump(mode="json")
    if options.prior != "train" and estimate_part(options.prior) is None:
        try:
            settings["shares"] = Path(options.prior).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--prior {options.prior}: neither train, estimate nor a file that can be read"
            ) from error
    fingerprint = fingerprint_of(settings, path)
    with RunFolder(Path(out), fingerprint, restart=restart) as folder:
        yield Job(recipe, path, folder, options, progress, resources or Resources())


def _go(job: Job) -> RunResult:
    catalogue, roles = prepared(job)
    data = teach(job, learning_data(job, catalogue, roles))
    net, history = train(job, data)
    small = compress(job, net, data)
    deploy(job, net, small, data)
    metrics = measure_and_report(job, net, catalogue, roles, history)
    return RunResult(job.folder.out, metrics, job.counts())


def prepared(job: Job) -> tuple[pd.DataFrame, Roles]:
    """Assess and prepare, or take up what was; the catalogue of the input and who is for what."""
    if job.folder.begun:
        log.info("%s: going on where an earlier run stopped", job.folder.out)
    _assess(job)
    catalogue = job.catalogue()
    roles = assign_roles(
        {name: catalogue[name].to_numpy() for name in catalogue.columns},
        job.recipe.split,
        job.recipe.seed,
        given=job.options.split_column is not None or bool((catalogue["split"] != "").any()),
    )
    if job.options.prior != "train" and estimate_part(job.options.prior) is None:
        read_shares(job.options.prior, roles.classes)  # a mistake is told before the work
    _prepare(job, roles)
    return catalogue, roles


def _assess(job: Job) -> None:
    if job.folder.is_done("assess"):
        return
    with job.folder.stage("assess"):
        parts: list[pd.DataFrame] = []

        def watched() -> Iterator[LightCurveBatch]:
            done = 0
            for batch in job.batches():
                parts.append(_catalogue_of(batch))
                yield batch
                done += batch.n_objects
                job.progress("assess", done, None)

        report = assess(watched())
        job.folder.put_json("quality.json", report.to_dict())
        catalogue = pd.concat(parts, ignore_index=True).sort_values("row", kind="stable")
        if catalogue.empty:
            raise DataError(f"{job.source} holds no objects")
        with replaced(job.folder.work / "catalogue.parquet") as path:
            catalogue.to_parquet(path, index=False)


def _prepared_with_points(job: Job, roles: Roles, first_row: int) -> Iterator[Prepared]:
    """Parts from a row on; the points of the training curves are kept beside each."""
    with job.open() as survey:
        batches = survey.iter_batches(BATCH_OBJECTS, first_row=first_row)
        for i, batch in enumerate(batches, first_row // BATCH_OBJECTS):
            result = apply_steps(job.steps, batch)
            taken = taken_out(result, job.steps)
            part = job.folder.work / f"part-{i:06d}.arrow"
            save_points(job.points_path(part), result, job.steps, roles.role == "train")
            yield taken


def _prepare(job: Job, roles: Roles) -> None:
    if learns(job.steps):
        _fit_preprocessing(job, roles)
    total, done = len(roles.role), 0
    if job.folder.is_done("prepare"):
        if sum(part.n_objects for part in job.parts()) != total:
            raise DataError(f"{job.folder.work} lost prepared parts; pass --restart to begin anew")
        return
    if job.resources.memory is not None:
        learned = int(np.isin(roles.role, ("train", "validation")).sum())
        check_learning(job.resources.memory, total, learned, job.sample())
    for path in job.part_paths():
        if job.folder.is_done(path.stem):
            done += Prepared.load(path).n_objects
    job.progress("prepare", done, total)
    # past its end a reader gives an empty batch, which would replace the last part
    parts: Iterator[Prepared] = iter(())
    if done < total:
        parts = (
            recut(job.prepared(done), BATCH_OBJECTS, done)
            if job.augment is None
            else _prepared_with_points(job, roles, done)
        )
    while done < total:
        name = f"part-{done // BATCH_OBJECTS:06d}"
        with job.folder.stage(name, part_of="prepare"):
            part = next(parts, None)
            if part is None:
                raise DataError(f"{job.source}: {total} objects were assessed, {done} are left")
            part.save(job.folder.work / f"{name}.arrow")
        done += part.n_objects
        job.progress("prepare", done, total)
    with job.folder.stage("prepare"):
        pass


def _fit_preprocessing(job: Job, roles: Roles) -> None:
    """Fit the steps that learn on a sample of training objects, the same on every resume."""
    train = np.flatnonzero(roles.role == "train")
    rng = np.random.default_rng(job.recipe.seed)
    chosen = rng.permutation(train)[:FIT_SAMPLE]
    sample = [batch[np.isin(batch.objects["row"], chosen)] for batch in job.batches()]
    fit_steps(job.steps, LightCurveBatch.concat(sample))


def _catalogue_of(batch: LightCurveBatch) -> pd.DataFrame:
    """Columns per object that the split needs, the reader's rejects included."""
    n, away = batch.n_curves, batch.rejected
    blank = {
        "label": np.full(n, "", dtype=object),
        "split": np.full(n, "", dtype=object),
        "ra": np.full(n, np.nan),
        "dec": np.full(n, np.nan),
    }
    columns = {name: batch.objects.get(name, column) for name, column in blank.items()}
    seen = {"n_points": np.diff(batch.offsets).astype(np.float64), "brightness": _medians(batch)}
    kept = pd.DataFrame({"row": batch.objects["row"], "id": batch.ids, **columns, **seen})
    if not len(away):
        return kept
    lost = pd.DataFrame({"row": away.row, "id": away.id, "label": away.label, "split": away.split})
    return pd.concat([kept, lost], ignore_index=True).sort_values("row", kind="stable")


def _medians(batch: LightCurveBatch) -> NDArray[np.float64]:
    """Median measurement of each curve, NaN where nothing is finite."""
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    good = np.isfinite(batch.value)
    curve, value = curve[good], batch.value[good]
    value = value[np.lexsort((value, curve))]
    n = np.bincount(curve, minlength=batch.n_curves)
    first = np.cumsum(n) - n
    median = np.full(batch.n_curves, np.nan)
    some = n > 0
    low, high = first + (n - 1) // 2, first + n // 2
    median[some] = (value[low[some]] + value[high[some]]) / 2
    return median

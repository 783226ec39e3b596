"""Send a survey file through steps, and write the survey that comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from astroprep.base import Transformer
from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io import (
    ColumnNames,
    Survey,
    make_provenance,
    open_survey,
    source_sha256,
    survey_writer,
)
from astroprep.io.rejected import list_rejected, rejected_path
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import spare_inputs
from astroprep.pipeline.prepare import apply_steps, fit_steps, learns

__all__ = ["treat_survey"]

BATCH_OBJECTS = 512  # held at a time: 20,000 points of space photometry each are 0.8 GB
FIT_OBJECTS = 4096  # that a step which learns sees: a field, or a channel of a camera


def treat_survey(
    steps: Sequence[Transformer],
    source: str | Path,
    out: str | Path,
    *,
    names: ColumnNames | None = None,
    flux: Literal["pdcsap", "sap"] = "pdcsap",
    fit_objects: int = FIT_OBJECTS,
    progress: Progress = silent,
) -> Counts:
    """Apply steps to every object of a survey; one batch is held at a time.

    Parameters
    ----------
    steps : sequence of Transformer
        In order, with ``on_bad="reject"`` if one bad object is not to end the work.
    source : path
        Survey file, or a folder or pattern of light-curve FITS.
    out : path
        Nested Parquet: columns per object and, per point, time, value, error, flags, weight and
        what the steps added (``trend``, ``trend_err``, ``outlier_probability`` ...). Read back
        by `open_survey`; `astroprep.io.read_provenance` says what it was made of. Objects that a
        step refused are in the file of `rejected_path`, one row with id, row, step and reason
        each; there is none where all were served.
    names : ColumnNames, optional
        Columns that do not have one of the usual names, and the catalogue's period.
    flux : {"pdcsap", "sap"}, default "pdcsap"
        Which flux of space photometry to take.
    fit_objects : int, default 4096
        Where a step learns from data, it learns from the first so many objects: memory stays
        bounded, and one field or camera channel is not larger.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    Counts
        Objects in, out and rejected.

    Raises
    ------
    ConfigError
        If `out` is an input or no Parquet file.
    DataError
        If the input cannot be read or `out` cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in (".parquet", ".pq"):
        raise ConfigError(f"--out {out}: light curves are written as .parquet; name such a file")
    spare_inputs(out, Path(source))
    counts, away = Counts(), []
    with open_survey(source, names, on_bad="reject", flux=flux) as survey:
        if learns(steps):
            fit_steps(steps, _sample(survey, fit_objects, progress))
        with survey_writer(out, _provenance(steps, source)) as write:
            for batch in survey.iter_batches(BATCH_OBJECTS):
                result = apply_steps(steps, batch)
                write(result)
                away.append(result.rejected)
                counts.add(result.n_curves, result.rejected)
                progress("treat", counts.input, survey.n_objects)
            if not counts.input:
                raise DataError(f"{source} holds no objects")
    list_rejected(rejected_path(out), Rejected.concat(away))
    return counts


def _provenance(steps: Sequence[Transformer], source: str | Path) -> dict[str, Any]:
    """What went in, and each step with its settings as text."""
    return make_provenance(
        "steps",
        inputs=[{"name": Path(source).name, "sha256": source_sha256(source)}],
        settings=[
            {"step": type(step).__name__}
            | {name: str(value) for name, value in step.get_params(deep=False).items()}
            for step in steps
        ],
    )


def _sample(survey: Survey, n_objects: int, progress: Progress) -> LightCurveBatch:
    """The first objects of a survey, as one batch."""
    parts: list[LightCurveBatch] = []
    total = min(n_objects, survey.n_objects)
    done = 0
    for batch in survey.iter_batches(min(BATCH_OBJECTS, n_objects)):
        parts.append(batch[: n_objects - done])
        done += batch.n_objects
        progress("learn", min(done, total), total)
        if done >= n_objects:
            break
    if not done:
        raise DataError(f"{survey.path} holds no objects")
    return LightCurveBatch.concat(parts)

"""Assess a survey file and write what was found, as numbers and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astroprep.data import LightCurveBatch
from astroprep.io import open_survey, replaced
from astroprep.pipeline.account import Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS
from astroprep.quality import assess
from astroprep.report import write_quality_report

__all__ = ["assess_survey"]


def assess_survey(
    source: str | Path,
    out: str | Path,
    *,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write ``quality.json`` and ``quality.html`` for a survey file.

    Parameters
    ----------
    source : path
        Survey file.
    out : path
        Folder, made if it is missing.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    dict
        Content of ``quality.json``.

    Raises
    ------
    DataError
        If the input cannot be read or the folder not written.
    """
    folder = Path(out)

    def watched() -> Iterator[LightCurveBatch]:
        with open_survey(source, on_bad="reject") as survey:
            done = 0
            for batch in survey.iter_batches(BATCH_OBJECTS):
                yield batch
                done += batch.n_objects
                progress("assess", done, survey.n_objects)

    content = assess(watched()).to_dict()
    with replaced(folder / "quality.json") as path:
        path.write_text(json.dumps(content, indent=1))
    write_quality_report(folder / "quality.html", content)
    return content

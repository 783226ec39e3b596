"""Search the period of every object of a survey file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch
from astroprep.io import open_survey, replaced
from astroprep.period import PeriodSearch
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS, spare_inputs
from astroprep.pipeline.prepare import apply_steps

__all__ = ["search_periods"]


def search_periods(
    source: str | Path,
    out: str | Path,
    *,
    max_frequency: float = 24.0,
    progress: Progress = silent,
) -> Counts:
    """Write a Parquet file of periods, one row for every object of the input.

    Parameters
    ----------
    source : path
        Survey file.
    out : path
        Columns ``row, id, period`` (days), what `PeriodSearch` adds, and ``rejected_reason``.
    max_frequency : float, default 24.0
        Cycles per day; 24 reaches the fastest delta Scuti stars of ground surveys.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    Counts
        Objects in, out and rejected.

    Raises
    ------
    ConfigError
        If `max_frequency` makes no sense.
    DataError
        If the input cannot be read or `out` not written.
    """
    steps = [
        FlagBad(missing_errors="estimate", on_bad="reject"),
        PeriodSearch(max_frequency=max_frequency, on_bad="reject"),
    ]
    counts = Counts()
    spare_inputs(Path(out), Path(source))
    with open_survey(source, on_bad="reject") as survey, replaced(out) as temporary:
        writer = None
        for batch in survey.iter_batches(BATCH_OBJECTS):
            given = set(batch.objects)
            result = apply_steps(steps, batch)
            table = _table(result, given)
            if writer is None:
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)
            counts.add(result.n_curves, result.rejected)
            progress("period", counts.input, survey.n_objects)
        if writer is not None:
            writer.close()
    return counts


def _table(result: LightCurveBatch, given: set[str]) -> pa.Table:
    """Rows of the result and of the rejected, in the order of the input."""
    away = result.rejected
    n, m = result.n_curves, len(away)
    row = np.concatenate([result.objects["row"], away.row])
    columns: dict[str, Any] = {
        "row": row,
        "id": pa.array([*result.ids, *away.id], pa.string()),
    }
    for name, column in result.objects.items():
        if name not in given and column.ndim == 1:
            own = pa.array(column, from_pandas=True)
            columns[name] = pa.concat_arrays([own, pa.nulls(m, own.type)])
    reasons = [f"{step} {why}" for step, why in zip(away.step, away.reason, strict=True)]
    columns["rejected_reason"] = pa.array([*[None] * n, *reasons], pa.string())
    return pa.table(columns).take(np.argsort(row, kind="stable"))

"""Search, or re-verify, the period of every object of a survey file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astroprep.base import Transformer
from astroprep.clean import FlagBad, SelectBand
from astroprep.data import LightCurveBatch, Meta, Rejected
from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, check_parquet_name, open_survey, replaced
from astroprep.period import MultibandSearch, PeriodSearch, VerifyPeriod
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS, spare_inputs
from astroprep.pipeline.prepare import apply_steps

__all__ = ["PeriodChain", "search_periods"]

Method = Literal["search", "multi-band", "verified"]

N_CANDIDATES = 5  # written for each object
CANDIDATE = pa.struct(
    [("period", pa.float64()), ("probability", pa.float64()), ("status", pa.string())]
)
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("period", pa.float64()),
        ("period_err", pa.float64()),
        ("significance", pa.float64()),
        ("status", pa.string()),
        ("method", pa.string()),
        ("confidence", pa.float64()),
        ("known_period", pa.float64()),
        ("period_drift", pa.float64()),
        ("period_drift_err", pa.float64()),
        ("candidates", pa.list_(CANDIDATE)),
        ("rejected_reason", pa.string()),
    ]
)
# columns of the file, and what the steps call them
NAMES = {
    "period": "period",
    "period_err": "period_err",
    "significance": "period_fap",
    "status": "period_status",
    "confidence": "period_confidence",
    "period_drift": "period_drift",
    "period_drift_err": "period_drift_err",
}


def search_periods(
    source: str | Path,
    out: str | Path,
    *,
    max_frequency: float = 24.0,
    bands: Sequence[str] = (),
    known_period: str | None = None,
    schema: str | None = None,
    batch_objects: int = BATCH_OBJECTS,
    progress: Progress = silent,
) -> Counts:
    """Write a Parquet file of periods, one row for every object of the input.

    Parameters
    ----------
    source : path
        Survey file.
    out : path
        Columns ``row, id``; ``period`` and ``period_err`` (days); ``significance``, log10 of the
        false-alarm probability; ``status`` (of a search: ``ok``, ``alias?``, ``window``, ``weak``
        or ``few cycles``; of a known period: ``confirmed``, ``drifted``, ``alias`` or
        ``harmonic``); ``method`` (``search``, ``multi-band`` or ``verified``); ``confidence``;
        ``known_period`` and ``period_drift`` (days per day) where one was verified; the most
        probable ``candidates``; and ``rejected_reason``.
    max_frequency : float, default 24.0
        Cycles per day; 24 reaches the fastest delta Scuti stars of ground surveys.
    bands : sequence of str, default all
        Bands that take part. Several are searched together.
    known_period : str, optional
        Column of known periods, days. Where one still holds, or the light curve shows how it
        changed, no search is made; where it is lost or missing, one is.
    schema : str, optional
        Survey whose table the input is, by name or as a TOML file; see `astroprep.surveys`.
    batch_objects : int, default 2000
        Objects that are in memory at a time.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    Counts
        Objects in, out and rejected.

    Raises
    ------
    ConfigError
        If `max_frequency` makes no sense, `known_period` is empty, or known periods are to be
        verified in several bands.
    DataError
        If the input cannot be read, has no such band, or `out` cannot be written.
    """
    if known_period is not None and not known_period.strip():
        raise ConfigError("--known-period needs the name of a column, got an empty one")
    bands = tuple(dict.fromkeys(bands))  # a band named twice is one band
    counts = Counts()
    check_parquet_name(Path(out))
    spare_inputs(Path(out), Path(source))
    names = ColumnNames(period=known_period or None, schema=schema)
    with open_survey(source, names, on_bad="reject") as survey, replaced(out) as temporary:
        chain = PeriodChain(survey.meta, bands, max_frequency, known_period is not None)
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            for batch in survey.iter_batches(batch_objects):
                table, rejected = chain.table(batch)
                writer.write_table(table)
                counts.add(table.num_rows - len(rejected), rejected)
                progress("period", counts.input, survey.n_objects)
    return counts


class PeriodChain:
    """The steps that find or verify the periods of one survey."""

    def __init__(
        self, meta: Meta, bands: tuple[str, ...], max_frequency: float, verify: bool
    ) -> None:
        if verify and len(bands or meta.bands) > 1:
            raise ConfigError(
                "--known-period verifies one band at a time: choose one with --bands, of "
                + ", ".join(meta.bands)
            )
        self.verify = VerifyPeriod(on_bad="reject") if verify else None
        self.clean: list[Transformer] = [FlagBad(missing_errors="estimate", on_bad="reject")]
        together = len(bands or meta.bands) > 1
        if bands:
            self.clean.append(SelectBand(band=bands, on_bad="reject"))
        self.method: Method = "multi-band" if together else "search"
        self.search: Transformer = (
            MultibandSearch(max_frequency=max_frequency, n_candidates=N_CANDIDATES, on_bad="reject")
            if together
            else PeriodSearch(
                max_frequency=max_frequency, n_candidates=N_CANDIDATES, on_bad="reject"
            )
        )
        self.search.check()

    def table(self, batch: LightCurveBatch) -> tuple[pa.Table, Rejected]:
        """Rows of every object of the batch, in the order of the input, and the rejected."""
        good = apply_steps(self.clean, batch)
        away = [good.rejected]
        good = replace(good, rejected=Rejected())
        parts = []
        if self.verify is not None:
            held = replace(self.verify.transform(good), rejected=Rejected())
            held = held.take(np.flatnonzero(held.objects["period_verdict"] != "lost"))
            parts.append(_rows(held, "verified"))
            good = good.take(np.flatnonzero(~np.isin(good.objects["row"], held.objects["row"])))
        found = self.search.transform(good)
        away.append(found.rejected)
        parts.append(_rows(found, self.method))
        rejected = Rejected.concat(away)
        parts.append(_rejected_rows(rejected))
        table = pa.concat_tables(parts)
        return table.take(np.argsort(table["row"].to_numpy(), kind="stable")), rejected


def _rows(result: LightCurveBatch, method: Method) -> pa.Table:
    """Rows of objects with a period."""
    n = result.n_curves
    columns: dict[str, Any] = {
        "row": result.objects["row"],
        "id": list(result.ids),
        "method": [method] * n,
        "candidates": _candidates(result),
    }
    for name, source in NAMES.items():
        if source in result.objects:
            columns[name] = result.objects[source]
    if method == "verified":
        columns["status"] = result.objects["period_verdict"]
        columns["known_period"] = result.objects["catalogue_period"]
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(n, field.type)
        for field in SCHEMA
    ]
    return pa.table(arrays, schema=SCHEMA)


def _candidates(result: LightCurveBatch) -> list[list[dict[str, Any]] | None]:
    """Those that each object has, most probable first; null where none were weighed."""
    if "candidate_period" not in result.objects:
        return [None] * result.n_curves
    period, probability, status = (
        result.objects[f"candidate_{name}"] for name in ("period", "probability", "status")
    )
    return [
        [{"period": p, "probability": q, "status": s} for p, q, s in zip(*of, strict=True) if p > 0]
        for of in zip(period.tolist(), probability.tolist(), status.tolist(), strict=True)
    ]


def _rejected_rows(away: Rejected) -> pa.Table:
    reasons = [f"{step} {why}" for step, why in zip(away.step, away.reason, strict=True)]
    columns = {"row": away.row, "id": list(away.id), "rejected_reason": reasons}
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(len(away), field.type)
        for field in SCHEMA
    ]
    return pa.table(arrays, schema=SCHEMA)

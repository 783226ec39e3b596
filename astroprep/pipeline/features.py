"""Describe every object of a survey file by numbers, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.base import Transformer
from astroprep.clean import FlagBad, SelectBand
from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import ConfigError
from astroprep.features import (
    CROSS_FEATURES,
    DEFAULT_FEATURES,
    FEATURES,
    GROUPS,
    FeatureExtractor,
)
from astroprep.io import ColumnNames, Survey, check_parquet_name, open_survey, replaced
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import spare_inputs
from astroprep.pipeline.prepare import apply_steps
from astroprep.pipeline.treat import BATCH_OBJECTS

__all__ = ["describe_survey"]


def describe_survey(
    source: str | Path,
    out: str | Path,
    *,
    features: Sequence[str] = (),
    groups: Sequence[str] = (),
    bands: Sequence[str] = (),
    period_column: str | None = None,
    errors: bool = False,
    schema: str | None = None,
    progress: Progress = silent,
) -> Counts:
    """Write a Parquet file of features, one row for every object of the input.

    Parameters
    ----------
    source : path
        Survey file, or a folder or pattern of light-curve FITS.
    out : path
        Columns ``row, id``, then a float64 column per feature (null where it is undefined, so
        that no number stands for "none"), then ``rejected_reason``: null, or why the object has
        no features.
    features : sequence of str, optional
        Names of features.
    groups : sequence of str, optional
        Names of groups, such as ``"fourier"``. With neither: those of the default set that need
        no period if there is none, all of it otherwise.
    bands : sequence of str, default all
        Bands that take part, blue to red. With several there is a column for each feature and
        band, and those between bands.
    period_column : str, optional
        Column of periods, days, for the features of the fold. An object without a positive one
        is rejected.
    errors : bool, default False
        Add the standard errors, ``<feature>_error``.
    schema : str, optional
        Survey whose table the input is, by name or as a TOML file; see `astroprep.surveys`.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    Counts
        Objects in, out and rejected.

    Raises
    ------
    ConfigError
        If a name is unknown, or a feature needs a period and no column of periods is given.
    DataError
        If the input cannot be read, has no such band, or `out` cannot be written.
    """
    if period_column is not None and not period_column.strip():
        raise ConfigError("--period-column needs the name of a column, got an empty one")
    unknown = [group for group in groups if group not in (*GROUPS, "bands")]
    if unknown:
        raise ConfigError(
            f"unknown group {unknown[0]!r} of features; there are {', '.join(GROUPS)}, and bands "
            "where there are several"
        )
    counts = Counts()
    check_parquet_name(Path(out))
    spare_inputs(Path(out), Path(source))
    names = ColumnNames(period=period_column, schema=schema)
    with open_survey(source, names, on_bad="reject") as survey, replaced(out) as temporary:
        chain = _Chain(survey, (*features, *groups), tuple(bands), period_column, errors)
        with pq.ParquetWriter(temporary, chain.schema, compression="zstd") as writer:
            for batch in survey.iter_batches(BATCH_OBJECTS):
                table, rejected = chain.table(batch)
                writer.write_table(table)
                counts.add(table.num_rows - len(rejected), rejected)
                progress("features", counts.input, survey.n_objects)
    return counts


def _chosen(words: Sequence[str], several: bool, period: bool) -> list[str]:
    """Names that words stand for, and without any the default as far as it can be computed."""
    if words or period:
        return list(words) or ["default"]
    names = (*DEFAULT_FEATURES, *CROSS_FEATURES) if several else DEFAULT_FEATURES
    return [name for name in names if not {**FEATURES, **CROSS_FEATURES}[name].period]


class _Chain:
    """The steps for one survey."""

    def __init__(
        self,
        survey: Survey,
        words: Sequence[str],
        bands: tuple[str, ...],
        period_column: str | None,
        errors: bool,
    ) -> None:
        self.periods = period_column is not None
        bands = tuple(dict.fromkeys(bands or survey.meta.bands))
        several = len(bands) > 1
        self.clean: list[Transformer] = [FlagBad(missing_errors="estimate", on_bad="reject")]
        if bands and not several:
            self.clean.append(SelectBand(band=bands, on_bad="reject"))
        self.extract = FeatureExtractor(
            features=_chosen(words, several, self.periods),
            bands=bands if several else None,
            errors=errors,
            on_bad="reject",
        )
        self.extract.check()
        if "period" in self.extract.needs.objects and not self.periods:
            first = next(n for n in self.extract.features if _needs_period(n))
            raise ConfigError(
                f"{first!r} needs the period of each object: name its column with --period-column"
            )
        self.names = self.extract.feature_names()
        self.schema = pa.schema(
            [
                ("row", pa.int64()),
                ("id", pa.string()),
                *((name, pa.float64()) for name in self.names),
                ("rejected_reason", pa.string()),
            ]
        )

    def table(self, batch: LightCurveBatch) -> tuple[pa.Table, Rejected]:
        """Rows of every object of the batch, in the order of the input, and the rejected."""
        good = apply_steps(self.clean, batch)
        away = [good.rejected]
        good = replace(good, rejected=Rejected())
        if self.periods and good.n_curves:
            period = np.asarray(good.objects["catalogue_period"], np.float64)
            good = good.with_columns(objects={"period": period})
        result = self.extract.transform(good) if good.n_curves else good
        away.append(result.rejected)
        rejected = Rejected.concat(away)
        parts = [self._rows(result), self._rejected_rows(rejected)]
        table = pa.concat_tables(parts)
        return table.take(np.argsort(table["row"].to_numpy(), kind="stable")), rejected

    def _rows(self, result: LightCurveBatch) -> pa.Table:
        empty = np.empty((0, len(self.names)))
        values: NDArray[Any] = result.objects["features"] if result.n_curves else empty
        columns = [
            pa.array(result.objects["row"][: len(values)], pa.int64()),
            pa.array(list(result.ids[: len(values)]), pa.string()),
            *(pa.array(column, pa.float64(), from_pandas=True) for column in values.T),
            pa.nulls(len(values), pa.string()),
        ]
        return pa.table(columns, schema=self.schema)

    def _rejected_rows(self, away: Rejected) -> pa.Table:
        reasons = [f"{step} {why}" for step, why in zip(away.step, away.reason, strict=True)]
        columns = [
            pa.array(away.row, pa.int64()),
            pa.array(list(away.id), pa.string()),
            *(pa.nulls(len(away), pa.float64()) for _ in self.names),
            pa.array(reasons, pa.string()),
        ]
        return pa.table(columns, schema=self.schema)


def _needs_period(word: str) -> bool:
    """Whether a feature, or one of a group, needs a period."""
    table = {**FEATURES, **CROSS_FEATURES}
    return word in ("default", "all") or any(
        feature.period for name, feature in table.items() if word in (name, feature.group)
    )

"""Merge survey files into one of stars, with a log and where everything came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch, Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.integrate.merge import merge_objects
from astroprep.integrate.same_stars import By, find_same_stars
from astroprep.integrate.stack import stack_surveys
from astroprep.integrate.star_traits import with_periods
from astroprep.io import (
    ColumnNames,
    make_provenance,
    open_survey,
    replaced,
    source_sha256,
    write_survey,
)
from astroprep.io.files import format_of
from astroprep.io.rejected import list_rejected, rejected_path

__all__ = ["Merger", "log_path", "merge_files", "read_merger"]

POINTS = ("source", "survey_code")
EXTRA = ("survey", "star_row", "input", "input_row")
TEXT = ("id", "reason", "survey", "label", "split")  # of the log; ids of digits are no numbers


@dataclass(frozen=True, eq=False)
class Merger:
    """What a merger of files did.

    Parameters
    ----------
    n_curves, n_stars, n_merged, n_points : int
        Curves in, stars out, curves that went into another, points.
    n_without_period : int
        Curves that could not be compared by their period; 0 where it is not looked at.
    verdicts : dict of str to int
        Pairs by verdict.
    n_blocked : int
        Pairs called the same that were kept apart, because their stars contradict each other.
    log : DataFrame
        See `astroprep.integrate.merge_objects`.
    rejected : Rejected
        Curves of the inputs that could not be read, by their row among all, with the reason.
    """

    n_curves: int
    n_stars: int
    n_merged: int
    n_points: int
    n_without_period: int
    verdicts: dict[str, int]
    n_blocked: int
    log: pd.DataFrame
    rejected: Rejected


def log_path(out: str | Path) -> Path:
    """Where the log is written by default: ``x.merges.csv`` beside ``x.parquet``."""
    return Path(out).with_suffix(".merges.csv")


def merge_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    radius: float = 2.0,
    by: By = "position",
    position_error: float = 0.3,
    period_column: str | None = None,
    survey_column: str = "survey",
    schema: str | None = None,
    log: str | Path | None = None,
) -> Merger:
    """Merge the curves of each star in one or several survey files.

    Parameters
    ----------
    inputs : sequence of path
        What `astroprep.io.open_survey` opens; of one quantity, unit and time scale.
    out : path
        Nested Parquet or a folder ``.hats``, one row per star; or a table of one row a point,
        ``.fits``, ``.vot`` or ``.csv`` (see `astroprep.io.write_survey`). Per point ``source``,
        the row among all curves in, and ``survey_code``, the place in the list ``surveys`` of its
        record. The record (`astroprep.io.read_provenance`) holds inputs with checksums, settings,
        counts, version and time. `read_merger` reads it with its log, to take stars apart.
    radius, by, position_error
        See `astroprep.integrate.find_same_stars`.
    period_column : str, optional
        Column of periods, days. Without it they are searched, for `by` other than ``"position"``.
    survey_column : str, default "survey"
        Column that names the survey of a curve, where a file has several.
    schema : str, optional
        Of all inputs, see `astroprep.surveys`.
    log : path, optional
        ``.csv`` or ``.parquet``: one row per curve of a star of several. See `log_path`.

    Returns
    -------
    Merger

    Raises
    ------
    ConfigError
        If no input is given, or `out` is one of them or has no known format.
    DataError
        If an input cannot be read or does not agree with the first.

    Notes
    -----
    Rows whose light curve cannot be read are listed in the file of
    `astroprep.io.rejected.rejected_path`.
    """
    out = Path(out)
    where = Path(log) if log is not None else log_path(out)
    _check(inputs, out, where)
    parts = []
    for path in inputs:
        with open_survey(path, ColumnNames(schema=schema, period=period_column)) as survey:
            extra = tuple(name for name in (survey_column,) if name in survey.columns)
        names = ColumnNames(schema=schema, period=period_column, extra=extra)
        with open_survey(path, names, on_bad="reject") as survey:
            parts.append(_prepared(survey.read(), survey_column))
    batch = stack_surveys(parts)
    if by != "position" and period_column is None:
        batch = with_periods(batch)
    stars = find_same_stars(batch, radius=radius, by=by, position_error=position_error)
    merged, table = merge_objects(batch, stars)
    verdicts, counts = np.unique(stars.verdict.astype(str), return_counts=True)
    result = Merger(
        len(batch), len(merged), len(batch) - len(merged), merged.n_points,
        0 if by == "position" else int((~np.isfinite(batch.objects["period"])).sum()),
        dict(zip(verdicts.tolist(), counts.tolist(), strict=True)),
        int((stars.blocked >= 0).sum()), table, batch.rejected,
    )  # fmt: skip
    settings = {
        "radius": radius,
        "by": by,
        "position_error": position_error,
        "period_column": period_column,
        "survey_column": survey_column,
        "schema": schema,
    }
    sources = [
        {"name": Path(path).name, "sha256": source_sha256(path), "curves": part.n_objects}
        for path, part in zip(inputs, parts, strict=True)
    ]
    _write(out, merged, {"inputs": sources, "settings": settings, "counts": _counts(result)})
    _write_log(where, table)
    list_rejected(rejected_path(out), batch.rejected)
    return result


def _check(inputs: Sequence[str | Path], out: Path, log: Path) -> None:
    if isinstance(inputs, str | Path) or not inputs:
        raise ConfigError("merge_files needs a list of one input or more")
    if format_of(out) is None or out.name.lower().removesuffix(".gz").endswith(".tsv"):
        raise ConfigError(
            f"--out {out}: light curves are written as .parquet, .csv, .fits, .vot or a folder "
            ".hats; name such a file"
        )
    if log.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"--log {log}: the log is written as .csv or .parquet")
    taken = [Path(path).resolve() for path in inputs]
    for path in (out, log):
        if path.resolve() in taken:
            raise ConfigError(f"{path} is an input; name another file to write")
    if out.resolve() == log.resolve():
        raise ConfigError(f"{out} is to hold the light curves and the log; name two files")


def _prepared(batch: LightCurveBatch, survey: str) -> LightCurveBatch:
    """The usual names of columns: the catalogue's period as ``period``, the survey's name."""
    objects = dict(batch.objects)
    if "catalogue_period" in objects:
        objects["period"] = np.asarray(objects.pop("catalogue_period"), np.float64)
    if survey != "survey" and survey in objects:
        objects["survey"] = objects.pop(survey)
    return replace(batch, objects=objects)


def _counts(result: Merger) -> dict[str, object]:
    return {
        "curves": result.n_curves,
        "stars": result.n_stars,
        "merged": result.n_merged,
        "points": result.n_points,
        "without_period": result.n_without_period,
        "rejected": len(result.rejected),
        "pairs": result.verdicts,
        "kept_apart": result.n_blocked,
    }


def _write(out: Path, merged: LightCurveBatch, about: dict[str, object]) -> None:
    """Write the stars, and how they were made into the metadata of the file."""
    names, code = np.unique(merged.points["survey"].astype(str), return_inverse=True)
    points = {
        "source": merged.points["source"],
        "survey_code": code.astype(np.int16),
        **{
            name: column
            for name, column in merged.points.items()
            if column.dtype.kind in "biuf" and name != "source"
        },
    }
    several = replace(merged, points=points, objects=_of_stars(merged, code, names))
    record = make_provenance("merge", **about, surveys=names.tolist())
    write_survey(out, several, points="all", objects=EXTRA, record=record)


def _of_stars(
    merged: LightCurveBatch, code: NDArray[np.int64], names: NDArray[np.str_]
) -> dict[str, NDArray[np.generic]]:
    """Columns per star; the survey names all that saw it."""
    star = np.repeat(np.arange(len(merged)), np.diff(merged.offsets))
    seen = np.zeros((len(merged), names.size), bool)
    seen[star, code] = True
    survey = np.full(len(merged), "", dtype=object)
    for pattern in np.unique(seen, axis=0) if len(merged) else ():
        survey[(seen == pattern).all(axis=1)] = "+".join(names[pattern].tolist())
    return {**merged.objects, "survey": survey, "star_row": merged.objects["row"]}


def read_merger(
    path: str | Path, log: str | Path | None = None
) -> tuple[LightCurveBatch, pd.DataFrame]:
    """Read what `merge_files` wrote, as `astroprep.integrate.undo_merge` takes it.

    Parameters
    ----------
    path : path
        The light curves.
    log : path, optional
        See `log_path` for where it is by default.

    Returns
    -------
    batch : LightCurveBatch
        One curve per star; ``objects["star_row"]`` is its row in the log.
    log : DataFrame
        See `astroprep.integrate.merge_objects`; ids are text.

    Raises
    ------
    DataError
        If a file cannot be read or was not written by `merge_files`.
    """
    where = log_path(path) if log is None else Path(log)
    with open_survey(path, ColumnNames()) as survey:
        if "star_row" not in survey.columns:
            raise DataError(f"{path}: no column 'star_row'; only files of merge_files have it")
        points = tuple(name for name in POINTS if name in survey.columns)  # of a CSV
    with open_survey(path, ColumnNames(extra=EXTRA, points=points)) as survey:
        batch = _whole_numbers(survey.read())
    try:
        if where.suffix.lower() == ".parquet":
            return batch, pd.read_parquet(where)
        # the parser by default is off by a last digit in one number of six
        table = pd.read_csv(
            where, converters=dict.fromkeys(TEXT, str), float_precision="round_trip"
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be read as the log of {path}: {error}") from error
    return batch, table


def _whole_numbers(batch: LightCurveBatch) -> LightCurveBatch:
    """Rows and codes as whole numbers, which a CSV has as text or floats."""
    objects, points = dict(batch.objects), dict(batch.points)
    try:
        for columns, names in ((objects, EXTRA[1:]), (points, POINTS)):
            for name in names:
                columns[name] = np.asarray(columns[name]).astype(np.int64)
    except (ValueError, KeyError) as error:
        raise DataError(f"the merged stars have no whole numbers in {name!r}: {error}") from error
    return replace(batch, objects=objects, points=points)


def _write_log(path: Path, log: pd.DataFrame) -> None:
    with replaced(path) as part:
        if path.suffix.lower() == ".csv":
            log.to_csv(part, index=False)
        else:
            log.to_parquet(part, index=False)

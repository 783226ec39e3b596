"""Assess a survey file and write what was found, as numbers and as a page."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.clean import FlagBad, SigmaClip
from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import read_bundle
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, Survey, open_survey, replaced
from astroprep.io.columns import find_object_columns
from astroprep.pipeline.account import Progress, silent
from astroprep.pipeline.classify import BATCH_OBJECTS, Classifier
from astroprep.pipeline.restore import read_note
from astroprep.quality import ObjectTable, assess
from astroprep.quality.drift import FEATURE_PREFIX
from astroprep.report import write_quality_report

__all__ = ["assess_survey", "write_object_table"]

log = logging.getLogger(__name__)

GROUP = 65_536  # objects in a row group
DRAWN = 9  # worst objects whose light curves stand on the page
LOOKED_AT = 2000  # worst objects among which they are found
OF_A_KIND = 3  # with one fault: more teach nothing
FEWEST_DRAWN = 5  # usable points that make a picture
FEATURE_OBJECTS = 400  # whose features are compared: a distance of 0.1 is sure, in seconds


def assess_survey(
    source: str | Path,
    out: str | Path,
    *,
    bundle: str | Path | None = None,
    longitude: float | None = None,
    flux: Literal["pdcsap", "sap"] = "pdcsap",
    schema: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write ``quality.json``, ``quality.html`` and ``objects.parquet`` for a survey.

    Parameters
    ----------
    source : path
        Survey file, or folder of light-curve FITS.
    out : path
        Folder, made if it is missing.
    bundle : path, optional
        Drift from the survey that it was trained on is judged too. Features are compared for
        400 objects spread over the survey, and only where the bundle searches periods itself.
    longitude : float, optional
        Of the observatory, degrees east, see `astroprep.quality.assess`.
    flux : {"pdcsap", "sap"}, default "pdcsap"
        Which flux of space photometry is judged.
    schema : str, optional
        Survey whose table the input is, by name or as a TOML file; see `astroprep.surveys`.
    progress : callable, optional
        Told stage, done and total.

    Returns
    -------
    dict
        Content of ``quality.json``.

    Raises
    ------
    ConfigError
        If the longitude is none.
    DataError
        If an input cannot be read, the bundle holds no training summary, or the folder cannot
        be written.

    Notes
    -----
    All columns per object of a Parquet file are read, so that redundant ones are found. The
    survey is read once; then the few worst objects are read again to be drawn.
    """
    folder = Path(out)
    training = None if bundle is None else _training(Path(bundle))
    names = _all_columns(source) if schema is None else ColumnNames(schema=schema)
    features = None if bundle is None else _Features(Path(bundle))

    def watched() -> Iterator[LightCurveBatch]:
        with open_survey(source, names, on_bad="reject", flux=flux) as survey:
            done, total = 0, survey.n_objects
            for batch in survey.iter_batches(BATCH_OBJECTS):
                if features is not None:
                    features.add(batch, total)
                yield batch
                done += batch.n_objects
                progress("assess", done, total)

    report = assess(
        watched(),
        longitude=longitude,
        training=training,
        further=None if features is None else features.measures,
    )
    content = report.to_dict()
    with replaced(folder / "quality.json") as path:
        path.write_text(json.dumps(content, indent=1))
    write_object_table(folder / "objects.parquet", report.table)
    with open_survey(source, on_bad="reject", flux=flux, schema=schema) as survey:
        curves = _curves(survey, report.table)
    write_quality_report(folder / "quality.html", {**content, "curves": curves})
    return content


def write_object_table(path: str | Path, table: ObjectTable) -> None:
    """Write one row an object, unknown numbers as null; whole or not at all.

    Parameters
    ----------
    path : path
        Parquet file; for its columns see `astroprep.quality.ObjectTable`.
    table : ObjectTable
        From `astroprep.quality.assess`.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    types = {
        name: pa.string() if column.dtype == object else pa.from_numpy_dtype(column.dtype)
        for name, column in table.columns.items()
    }
    schema = pa.schema(list(types.items()))
    with (
        replaced(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for first in range(0, max(table.n_objects, 1), GROUP):
            columns = [
                pa.array(column[first : first + GROUP], types[name], from_pandas=True)
                for name, column in table.columns.items()
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _training(bundle: Path) -> dict[str, Any]:
    summary = read_bundle(bundle).training_summary
    if not summary:
        raise DataError(
            f"{bundle} holds no summary of the survey that it was trained on, as bundles before "
            "this version; train it again, or assess without --bundle"
        )
    return summary


class _Features:
    """Features of some objects, computed as the bundle does."""

    def __init__(self, bundle: Path) -> None:
        opened = read_bundle(bundle)
        searches = read_note(opened).trained_with == "search"
        self.classifier = Classifier(opened) if searches else None
        if not searches:
            log.warning(
                "%s was trained with a column of periods; features are not compared", bundle
            )
        self._parts: list[LightCurveBatch] = []

    def add(self, batch: LightCurveBatch, total: int) -> None:
        """Keep every k-th object."""
        if self.classifier is None or not batch.n_curves:
            return
        step = max(1, total // FEATURE_OBJECTS)
        chosen = batch[batch.objects["row"] % step == 0]
        if chosen.n_curves:
            self._parts.append(chosen)

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Features by their name in a training summary; none where nothing can be computed."""
        found: dict[str, list[NDArray[np.float64]]] = {}
        for part in self._parts if self.classifier is not None else ():
            assert self.classifier is not None
            try:
                prepared = self.classifier.prepare(part)
            except (ConfigError, DataError) as error:  # another quantity; said in the report
                log.warning("features are not compared: %s", error)
                return {}
            for k, name in enumerate(prepared.feature_names):
                found.setdefault(FEATURE_PREFIX + name, []).append(prepared.features[:, k])
        return {name: np.concatenate(parts) for name, parts in found.items()}


def _all_columns(source: str | Path) -> ColumnNames | None:
    """Names that make a Parquet reader carry all columns per object along."""
    path = Path(source)
    if path.suffix != ".parquet" or not path.is_file():
        return None
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None  # the reader says what is wrong
    flat = [f.name for f in schema if not pa.types.is_nested(f.type)]
    try:
        taken = find_object_columns(ColumnNames(), flat, str(path))
    except DataError:
        return None
    own = {"id", "row", "ra", "dec", "label", "split", "catalogue_period", *taken.values()}
    period = "catalogue_period" if "catalogue_period" in flat else None
    extra = tuple(name for name in flat if name not in own and flat.count(name) == 1)
    return ColumnNames(period=period, extra=extra)


def _curves(survey: Survey, table: ObjectTable) -> list[tuple[LightCurveBatch, Mapping[str, Any]]]:
    """The worst objects with points, flagged, and what is said of each; three of a kind."""
    kinds: Counter[str] = Counter()
    drawn: list[tuple[LightCurveBatch, Mapping[str, Any]]] = []
    for i in table.worst(LOOKED_AT).tolist():
        about = {name: column[i] for name, column in table.columns.items()}
        kind = str(about["worst_check"])
        if about["n_usable"] < FEWEST_DRAWN or len(drawn) == DRAWN or kinds[kind] == OF_A_KIND:
            continue
        kinds[kind] += 1
        one = next(iter(survey.iter_batches(1, first_row=int(about["row"]))))
        if one.n_curves:
            flagged = FlagBad().transform(one)
            if one.band is None:
                flagged = SigmaClip(on_bad="reject").transform(flagged)
            drawn.append((flagged if flagged.n_curves else one, about))
    return drawn

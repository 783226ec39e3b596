"""Classify light curves with a bundle; what `astroprep classify` and the end of a run call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import Bundle, read_bundle
from astroprep.deploy.runtime import Runtime
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey, replaced
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.restore import read_note, restore_scale, restore_steps

__all__ = ["BATCH_OBJECTS", "Classifier", "PredictionWriter", "classify", "prediction_file"]

BATCH_OBJECTS = 2000  # at a few hundred points each, some 50 MB with everything steps make of it


class PredictionWriter:
    """Write predictions batch by batch, one row for every object of the input.

    Parameters
    ----------
    path : Path
        Parquet file with ``row, id, label, split, predicted, prob_<class>..., period,
        rejected_reason``. A rejected object has the reason and nothing predicted.
    classes : sequence of str
        In the order of the probabilities.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.counts = Counts()
        text, number = pa.string(), pa.float64()
        self.schema = pa.schema(
            [("row", pa.int64()), ("id", text), ("label", text), ("split", text)]
            + [("predicted", text)]
            + [(f"prob_{name}", number) for name in self.classes]
            + [("period", number), ("rejected_reason", text)]
        )
        self._file = pq.ParquetWriter(path, self.schema, compression="zstd")

    def write(
        self,
        prepared: Prepared,
        probability: NDArray[np.float64],
        said: Mapping[str, NDArray[np.object_]],
    ) -> pa.Table:
        """Write one batch and give its table.

        Parameters
        ----------
        prepared : Prepared
            The batch.
        probability : float64 array, shape (n_curves, n_classes)
            Of the curves that were not rejected.
        said : mapping of str to object arrays, shape (n_objects,)
            ``label`` and ``split`` of the input rows of this batch, in the order of the rows.
        """
        away = prepared.rejected
        n, m = prepared.row.size, len(away)
        row = np.concatenate([prepared.row, away.row])
        order = np.argsort(row, kind="stable")
        best = np.array(self.classes, dtype=object)[probability.argmax(axis=1)] if n else []
        none = [None] * m
        reasons = [f"{step} {why}" for step, why in zip(away.step, away.reason, strict=True)]
        probabilities = {
            f"prob_{name}": pa.array([*probability[:, i].tolist(), *none], pa.float64())
            for i, name in enumerate(self.classes)
        }
        table = pa.table(
            {
                "row": row,
                "id": pa.array([*prepared.id, *away.id], pa.string()),
                "predicted": pa.array([*best, *none], pa.string()),
                **probabilities,
                "period": pa.array(
                    [*prepared.period, *[np.nan] * m],
                    pa.float64(),
                    from_pandas=True,  # NaN as null
                ),
                "rejected_reason": pa.array([*[None] * n, *reasons], pa.string()),
            }
        ).take(order)
        for name in ("label", "split"):
            table = table.append_column(name, pa.array(said[name], pa.string()))
        table = table.select(self.schema.names)
        self._file.write_table(table)
        self.counts.add(n, away)
        return table

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class Classifier:
    """A bundle with everything in place: raw light curves in, probabilities out.

    Parameters
    ----------
    bundle : Bundle or path
        Opened and checked, golden vectors included.
    period_source : {"search", "column"} or None
        Where periods come from; None as in training.
    n_threads : int, default 1
        Of the network; the steps use numba's threads.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities.
    quantity : {"mag", "flux"}
        What the training survey measured.
    trained_with : {"search", "column"}
        Where the periods came from in training.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        *,
        period_source: Literal["search", "column"] | None = None,
        n_threads: int = 1,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
        about = read_note(self.bundle)
        self.classes = self.bundle.classes
        self.quantity = about.quantity
        self.trained_with = about.trained_with
        self.steps = restore_steps(about, period_source)
        self.runtime = Runtime(self.bundle, n_threads)
        self.scale = restore_scale(self.bundle)
        self.priors = np.array(about.priors)

    def prepare(self, batch: LightCurveBatch) -> Prepared:
        """Send a batch through the steps.

        Raises
        ------
        DataError
            If the batch holds another quantity than the training survey.
        """
        if batch.meta.quantity != self.quantity:
            raise DataError(
                f"the bundle was trained on {self.quantity}, this input holds "
                f"{batch.meta.quantity}; "
                "convert the input or train on its own quantity"
            )
        return prepare(batch, self.steps)

    def logits(self, prepared: Prepared) -> NDArray[np.float32]:
        """Logits of prepared curves, shape (n_curves, n_classes)."""
        return self.runtime.logits(prepared.folded, self.scale.apply(prepared.features))

    def predict_proba(self, prepared: Prepared) -> NDArray[np.float64]:
        """Calibrated probabilities of prepared curves, shape (n_curves, n_classes)."""
        return self.runtime.predict_proba(
            prepared.folded, self.scale.apply(prepared.features), priors=self.priors
        )


def said_of(batch: LightCurveBatch) -> dict[str, NDArray[np.object_]]:
    """What the input says of its objects: label and split, empty where it says nothing."""
    empty = np.full(batch.n_curves, "", dtype=object)
    rows = np.concatenate([batch.objects["row"], batch.rejected.row])
    order = np.argsort(rows, kind="stable")
    return {
        name: np.concatenate([batch.objects.get(name, empty), getattr(batch.rejected, name)])[order]
        for name in ("label", "split")
    }


def spare_inputs(out: Path, *inputs: Path) -> None:
    """Refuse to write over what is being read.

    Raises
    ------
    ConfigError
        If `out` is one of the inputs.
    """
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise ConfigError(f"--out {out} is an input too; choose another name")


@contextlib.contextmanager
def prediction_file(path: Path, classes: Sequence[str]) -> Iterator[PredictionWriter]:
    """Open a `PredictionWriter` whose file appears only when all is written."""
    with replaced(path) as temporary:
        writer = PredictionWriter(temporary, classes)
        try:
            yield writer
        finally:
            writer.close()


def classify(
    bundle: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    period_column: str | None = None,
    search_periods: bool = False,
    schema: str | None = None,
    progress: Progress = silent,
) -> Counts:
    """Classify every object of a survey file.

    Parameters
    ----------
    bundle : path
        Made by `astroprep.pipeline.run.run`.
    source : path
        Nested Parquet or long CSV.
    out : path
        Parquet file of predictions, see `PredictionWriter`.
    period_column : str, optional
        Take the periods from this column of the input; nothing is searched.
    search_periods : bool, default False
        Search periods although the bundle was trained with a column of them.
    schema : str, optional
        Survey whose table the input is, by name or as a TOML file; see `astroprep.surveys`.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Counts
        Objects in, classified and rejected.

    Raises
    ------
    ConfigError
        If the bundle was trained with a period column and none is named, or both a column and
        a search are asked for.
    DataError
        If bundle or input are damaged.
    """
    opened = read_bundle(bundle)
    if period_column is not None and search_periods:
        raise ConfigError("give either --period-column or --search-periods, not both")
    wanted: Literal["search", "column"] | None = "search" if search_periods else None
    if period_column is not None:
        wanted = "column"
    elif not search_periods and read_note(opened).trained_with == "column":
        raise ConfigError(
            f"{bundle} was trained with the periods of a catalogue: name the input's column with "
            "--period-column, or pass --search-periods to search them (accuracy will differ)"
        )
    classifier = Classifier(opened, period_source=wanted)
    target = Path(out)
    spare_inputs(target, Path(source), Path(bundle))
    with (
        open_survey(
            source, ColumnNames(period=period_column, schema=schema), on_bad="reject"
        ) as survey,
        prediction_file(target, classifier.classes) as writer,
    ):
        progress("classify", 0, survey.n_objects)
        for batch in survey.iter_batches(BATCH_OBJECTS):
            prepared = classifier.prepare(batch)
            writer.write(prepared, classifier.predict_proba(prepared), said_of(batch))
            progress("classify", writer.counts.input, survey.n_objects)
    return writer.counts

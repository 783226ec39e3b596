"""Classify light curves with a bundle; what `astroprep classify` and the end of a run call."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.arrow_arrays import numpy_numbers
from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import Bundle, read_bundle
from astroprep.deploy.runtime import Runtime
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, Survey, check_parquet_name, open_survey
from astroprep.model.outputs import COVERAGE
from astroprep.model.priors import estimate_part, estimate_shares, read_shares
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.predictions import Answers, PredictionWriter, facts_of, prediction_file
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.restore import read_note, restore_scale, restore_steps, restore_taxonomy

__all__ = [
    "BATCH_OBJECTS",
    "Classifier",
    "PredictionWriter",
    "classify",
    "open_classifier",
    "prediction_file",
]

log = logging.getLogger(__name__)

BATCH_OBJECTS = 2000  # at a few hundred points each, some 50 MB with everything steps make of it
MAX_ESTIMATE = 200_000  # objects that class shares are estimated from


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
    priors, train_shares : float64 array, shape (n_classes,)
        Class shares that the bundle states, and those of its training objects.
    prior : str
        Where the stated ones came from.
    taxonomy : Taxonomy or None
        Of the recipe.
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
        self.steps = restore_steps(about, period_source, self.bundle.source)
        self.runtime = Runtime(self.bundle, n_threads)
        self.scale = restore_scale(self.bundle)
        self.priors = np.array(about.priors)
        self.train_shares = np.array(about.train_shares or about.priors)
        self.prior = about.prior
        self.taxonomy = restore_taxonomy(self.bundle)

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

    def facts(self, prepared: Prepared, said: Mapping[str, NDArray[np.object_]]) -> pa.Table:
        """What `facts_of` says of a prepared batch, shape (n_objects,) rows."""
        auxiliary = self.scale.apply(prepared.features)
        logits = self.runtime.logits(prepared.folded, auxiliary)
        unknown, outputs = np.full(len(logits), np.nan), self.runtime.outputs
        if outputs.unknown is not None:
            unknown = outputs.unknown.score(logits, auxiliary)
        return facts_of(prepared, outputs.calibrated(logits), unknown, said)

    def predict_proba(self, prepared: Prepared) -> NDArray[np.float64]:
        """Calibrated probabilities of prepared curves, shape (n_curves, n_classes)."""
        return self.runtime.predict_proba(
            prepared.folded, self.scale.apply(prepared.features), priors=self.priors
        )

    def is_unknown(self, prepared: Prepared) -> NDArray[np.bool_]:
        """Whether curves are unlike all training objects, shape (n_curves,).

        By the bundle's `UnknownScore` and its threshold; never where it has none.
        """
        outputs = self.runtime.outputs
        if outputs.unknown is None:
            return np.zeros(len(prepared.folded), bool)
        auxiliary = self.scale.apply(prepared.features)
        logits = self.runtime.logits(prepared.folded, auxiliary)
        return outputs.unknown.is_unknown(outputs.unknown.score(logits, auxiliary))

    def answers(
        self,
        shares: NDArray[np.float64] | None = None,
        *,
        prior: str | None = None,
        coverage: float = COVERAGE,
    ) -> Answers:
        """How this bundle answers.

        Parameters
        ----------
        shares : float64 array, shape (n_classes,), optional
            Class shares to assume; those that the bundle states by default.
        prior : str, optional
            Where they came from.
        coverage : float, default 0.9
            Of the conformal sets.

        Raises
        ------
        ConfigError
            If the coverage is not between 0 and 1.
        """
        return Answers(
            classes=self.classes,
            outputs=self.runtime.outputs,
            shares=self.priors if shares is None else shares,
            taxonomy=self.taxonomy,
            coverage=coverage,
            prior=prior or self.prior,
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


def classify(
    bundle: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    period_column: str | None = None,
    search_periods: bool = False,
    schema: str | None = None,
    prior: str | None = None,
    coverage: float = COVERAGE,
    batch_objects: int = BATCH_OBJECTS,
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
    prior : str, optional
        Class shares to assume: ``"train"`` those of the training objects, ``"estimate"`` those
        that expectation maximisation finds in this input (`estimate_shares`), ``"estimate:0.3"``
        three tenths of the way to them (`PriorEstimate.partly`), or a file of them
        (`read_shares`); by default those that the bundle states. Where they cannot be estimated
        the log says why, and the bundle's are taken. The standard errors in the file's metadata
        are those of the number of objects alone.
    coverage : float, default 0.9
        Of the conformal sets.
    batch_objects : int, default 2000
        Objects that are in memory at a time.
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
        a search are asked for; if class shares or coverage are wrong.
    DataError
        If bundle or input are damaged.
    """
    classifier = open_classifier(bundle, period_column, search_periods=search_periods)
    shares = stated_shares(prior, classifier)
    answers = classifier.answers(shares, prior=prior, coverage=coverage)
    target = Path(out)
    check_parquet_name(target)
    spare_inputs(target, Path(source), Path(bundle))
    names = ColumnNames(period=period_column, schema=schema)
    with open_survey(source, names, on_bad="reject") as survey:
        progress("classify", 0, survey.n_objects)
        if estimate_part(prior) is not None:
            return classify_estimating(classifier, answers, survey, target, progress, batch_objects)
        with prediction_file(target, answers) as writer:
            for batch in survey.iter_batches(batch_objects):
                prepared = classifier.prepare(batch)
                writer.write(classifier.facts(prepared, said_of(batch)), prepared)
                progress("classify", writer.counts.input, survey.n_objects)
    return writer.counts


def open_classifier(
    bundle: str | Path, period_column: str | None = None, *, search_periods: bool = False
) -> Classifier:
    """Open a bundle with its periods from where the caller says.

    Raises
    ------
    ConfigError
        If the bundle was trained with a period column and none is named, or both a column and
        a search are asked for.
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
    return Classifier(opened, period_source=wanted)


def stated_shares(prior: str | None, classifier: Classifier) -> NDArray[np.float64] | None:
    """Class shares that a word or a file states; None for those of the bundle.

    Raises
    ------
    ConfigError
        If it is a file that does not give them.
    """
    if prior is None or estimate_part(prior) is not None:
        return None
    if prior == "train":
        return classifier.train_shares
    return read_shares(str(prior), classifier.classes)


def classify_estimating(
    classifier: Classifier,
    answers: Answers,
    survey: Survey,
    target: Path,
    progress: Progress,
    batch_objects: int = BATCH_OBJECTS,
) -> Counts:
    """Classify under the class shares of the input itself.

    The facts about all objects are kept in a file beside the result until the shares are known;
    those are estimated from 200,000 objects at most, which bounds the memory.
    """
    counts, rng = Counts(), np.random.default_rng(0)
    kept_share = min(1.0, MAX_ESTIMATE / max(survey.n_objects, 1))
    kept: list[NDArray[np.float64]] = []
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name + ".") as folder:
        spool = Path(folder) / "facts.parquet"
        file = None
        for batch in survey.iter_batches(batch_objects):
            prepared = classifier.prepare(batch)
            facts = classifier.facts(prepared, said_of(batch))
            file = file or pq.ParquetWriter(spool, facts.schema)
            file.write_table(facts)
            counts.add(prepared.row.size, prepared.rejected)
            p = numpy_numbers(facts["calibrated"].combine_chunks().flatten())
            p = p.reshape(-1, len(answers.classes))
            kept.append(p[rng.random(len(p)) < kept_share])
            progress("classify", counts.input, survey.n_objects)
        if file is not None:
            file.close()
        answers = estimated(answers, np.concatenate(kept) if kept else None)
        with prediction_file(target, answers) as writer:
            if file is not None:
                for k in range((stored := pq.ParquetFile(spool)).num_row_groups):
                    writer.write(stored.read_row_group(k))
    return counts


def estimated(answers: Answers, calibrated: NDArray[np.float64] | None) -> Answers:
    """The same answers under estimated class shares; as they are, with a word, where that fails."""
    p = np.empty((0, len(answers.classes))) if calibrated is None else calibrated
    try:
        found = estimate_shares(p, answers.outputs.learned).partly(
            answers.outputs.learned, estimate_part(answers.prior) or 1.0
        )
    except DataError as error:
        log.warning("%s; the class shares of the bundle are assumed", error)
        return replace(answers, prior=f"{answers.prior} (not possible: {error})")
    return replace(answers, shares=found.shares, standard_error=found.standard_error)

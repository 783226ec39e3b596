"""The whole way: raw light curves in; a bundle, predictions, measures and a report out."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.compress.chain import CompressedNetwork, CompressSettings, compress_network
from astroprep.data import LightCurveBatch
from astroprep.deploy.bundle import Bundle, write_bundle
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import Runtime, golden_vectors
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey, replaced
from astroprep.model.calibrate import correct_priors, estimate_priors, fit_temperature, softmax
from astroprep.model.evaluate import bootstrap_difference, evaluate
from astroprep.model.firenet import FireNet, build_network, firenet_spec, fold_batchnorm
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    fit_network,
    predict_logits,
)
from astroprep.pipeline.account import Counts, Progress, silent
from astroprep.pipeline.classify import (
    BATCH_OBJECTS,
    Classifier,
    prediction_file,
    state_of_steps,
)
from astroprep.pipeline.prepare import Prepared, apply_steps, fit_steps, learns, prepare
from astroprep.pipeline.recipe import PERIOD_STEPS, Recipe, settings_from_table
from astroprep.pipeline.resume import RunFolder, fingerprint_of
from astroprep.pipeline.split import Roles, assign_roles
from astroprep.quality import assess
from astroprep.report import choose_examples, write_run_report
from astroprep.represent import AuxiliaryScale

__all__ = ["RunOptions", "RunResult", "run"]

log = logging.getLogger(__name__)

FIT_SAMPLE = 4000  # training objects that steps learn from, where any does
N_GOLDEN = 4  # golden vectors in the bundle; each takes about a kilobyte


@dataclass(frozen=True)
class RunOptions:
    """What a run is told beside its recipe.

    Parameters
    ----------
    period_column : str or None
        Take periods from this column instead of searching them.
    label_column, split_column : str or None
        Where labels and the split are; None finds ``label`` and ``split`` if they are there.
    prior : {"train", "estimate"}
        Class shares that probabilities assume: those of training, or those that expectation
        maximisation finds in the whole input.
    """

    period_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    prior: Literal["train", "estimate"] = "train"

    def names(self) -> ColumnNames:
        """Columns to read."""
        return ColumnNames(
            label=self.label_column, split=self.split_column, period=self.period_column
        )


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
        If recipe, options or folder are wrong.
    DataError
        If the input cannot be read or there is nothing to learn.
    """
    options = options or RunOptions()
    if options.period_column is not None:
        recipe = recipe.with_period_from("column")
    elif recipe.period_source() == "column":
        raise ConfigError(
            f"recipe {recipe.name!r} takes its periods from a catalogue: name the input's column "
            "with --period-column, or use PeriodSearch"
        )
    path = Path(source)
    with open_survey(path, options.names(), on_bad="reject"):
        pass  # a file that cannot be read is refused before anything is written
    settings = {"recipe": recipe.to_dict(), "options": dataclasses.asdict(options)}
    folder = RunFolder(Path(out), fingerprint_of(settings, path), restart=restart)
    try:
        return _Run(recipe, path, folder, options, progress).go()
    finally:
        folder.close()


class _Run:
    """One run: its inputs, its folder, and the stages in order."""

    def __init__(
        self,
        recipe: Recipe,
        source: Path,
        folder: RunFolder,
        options: RunOptions,
        progress: Progress,
    ) -> None:
        self.recipe = recipe
        self.source = source
        self.folder = folder
        self.options = options
        self.progress = progress
        self.steps = recipe.make_steps()
        self.training: TrainSettings = replace(
            settings_from_table(TrainSettings, recipe.training), seed=recipe.seed
        )
        self.compression: CompressSettings = settings_from_table(
            CompressSettings, recipe.compression
        )

    def go(self) -> RunResult:
        if self.folder.begun:
            log.info("%s: going on where an earlier run stopped", self.folder.out)
        self.assess()
        catalogue = self.catalogue()
        roles = assign_roles(
            {name: catalogue[name].to_numpy() for name in catalogue.columns},
            self.recipe.split,
            self.recipe.seed,
            given=self.split_is_given(),
        )
        self.prepare(roles)
        data = self.learning_data(catalogue, roles)
        net, history = self.train(data, roles)
        small = self.compress(net, data)
        self.deploy(net, small, data, roles)
        metrics = self.evaluate(net, catalogue, roles, history)
        return RunResult(self.folder.out, metrics, self.counts())

    # -- assess ---------------------------------------------------------------------------------

    def batches(self) -> Iterator[LightCurveBatch]:
        with open_survey(self.source, self.options.names(), on_bad="reject") as survey:
            yield from survey.iter_batches(BATCH_OBJECTS)

    def assess(self) -> None:
        if self.folder.is_done("assess"):
            return
        with self.folder.stage("assess"):
            parts: list[pd.DataFrame] = []

            def watched() -> Iterator[LightCurveBatch]:
                done = 0
                for batch in self.batches():
                    parts.append(_catalogue_of(batch))
                    yield batch
                    done += batch.n_objects
                    self.progress("assess", done, None)

            report = assess(watched())
            self.folder.put_json("quality.json", report.to_dict())
            catalogue = pd.concat(parts, ignore_index=True).sort_values("row", kind="stable")
            if catalogue.empty:
                raise DataError(f"{self.source} holds no objects")
            with replaced(self.folder.work / "catalogue.parquet") as path:
                catalogue.to_parquet(path, index=False)

    def catalogue(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder.work / "catalogue.parquet")

    def split_is_given(self) -> bool:
        with open_survey(self.source, self.options.names(), on_bad="reject") as survey:
            return self.options.split_column is not None or "split" in survey.columns

    # -- prepare --------------------------------------------------------------------------------

    def part_paths(self) -> list[Path]:
        return sorted(self.folder.work.glob("part-*.arrow"))

    def parts(self) -> Iterator[Prepared]:
        for path in self.part_paths():
            yield Prepared.load(path)

    def prepare(self, roles: Roles) -> None:
        if learns(self.steps):
            self.fit_preprocessing(roles)
        if self.folder.is_done("prepare"):
            return
        total, done = len(roles.role), 0
        with open_survey(self.source, self.options.names(), on_bad="reject") as survey:
            for path in self.part_paths():
                if self.folder.is_done(path.stem):
                    done += Prepared.load(path).n_objects
            self.progress("prepare", done, total)
            first = done // BATCH_OBJECTS
            for i, batch in enumerate(survey.iter_batches(BATCH_OBJECTS, first_row=done), first):
                name = f"part-{i:06d}"
                with self.folder.stage(name, part_of="prepare"):
                    prepare(batch, self.steps).save(self.folder.work / f"{name}.arrow")
                done += batch.n_objects
                self.progress("prepare", done, total)
        with self.folder.stage("prepare"):
            pass

    def fit_preprocessing(self, roles: Roles) -> None:
        """Fit the steps that learn on a sample of training objects, the same on every resume."""
        train = np.flatnonzero(roles.role == "train")
        rng = np.random.default_rng(self.recipe.seed)
        chosen = rng.permutation(train)[:FIT_SAMPLE]
        sample = [batch[np.isin(batch.objects["row"], chosen)] for batch in self.batches()]
        fit_steps(self.steps, LightCurveBatch.concat(sample))

    # -- train ----------------------------------------------------------------------------------

    def learning_data(self, catalogue: pd.DataFrame, roles: Roles) -> _LearningData:
        """Training and validation objects that survived preparation, in the order of rows."""
        label = catalogue["label"].to_numpy()
        codes = {name: i for i, name in enumerate(roles.classes)}
        kept: list[Prepared] = []
        for part in self.parts():
            mask = np.isin(roles.role[part.row], ("train", "validation"))
            kept.append(
                replace(
                    part,
                    row=part.row[mask],
                    id=part.id[mask],
                    period=part.period[mask],
                    features=part.features[mask],
                    folded=np.ascontiguousarray(part.folded[mask]),
                )
            )
        row = np.concatenate([part.row for part in kept])
        code = np.array([codes[name] for name in label[row]], dtype=np.int64)
        is_validation = roles.role[row] == "validation"
        if len(set(code[~is_validation])) < 2:
            raise DataError(
                "fewer than two classes are left to train on: "
                f"{row.size} labelled objects survived preparation; "
                f"{self.reasons_in_words()}"
            )
        features = np.concatenate([part.features for part in kept])
        names = kept[0].feature_names
        scale = AuxiliaryScale.fit(features[~is_validation])
        return _LearningData(
            row=row,
            scale=scale,
            feature_names=(*names, *(f"{names[k]}_missing" for k in scale.marked)),
            arrays=TrainingArrays(
                folded=np.concatenate([part.folded for part in kept]),
                auxiliary=scale.apply(features),
                label=code,
                is_validation=is_validation,
            ),
        )

    def reasons_in_words(self) -> str:
        counts: dict[str, int] = {}
        for part in self.parts():
            for step, why in zip(part.rejected.step, part.rejected.reason, strict=True):
                counts[f"{step} {why}"] = counts.get(f"{step} {why}", 0) + 1
        most = sorted(counts.items(), key=lambda item: -item[1])[:3]
        return "rejected: " + ("; ".join(f"{n} x {why}" for why, n in most) or "none")

    def train(self, data: _LearningData, roles: Roles) -> tuple[FireNet, dict[str, Any]]:
        """Train, or take up the trained network."""
        import torch

        folded = data.arrays.folded
        spec = firenet_spec(
            self.recipe.network.preset,
            n_channels=folded.shape[1],
            n_bins=folded.shape[2],
            n_auxiliary=data.arrays.auxiliary.shape[1],
            n_classes=len(roles.classes),
        )
        net = build_network(spec, seed=self.recipe.seed)
        path = self.folder.work / "network.pt"
        if self.folder.is_done("train"):
            net.load_state_dict(torch.load(path, weights_only=True))
            return net.eval(), self.folder.get_json("history.json")
        with self.folder.stage("train"):
            total = self.training.max_epochs
            history = fit_network(
                net,
                data.arrays,
                self.training,
                checkpoint=self.folder.work / "training.pt",
                progress=lambda row: self.progress("train", int(row["epoch"]) + 1, total),
            )
            with replaced(path) as temporary:
                torch.save(net.state_dict(), temporary)
            self.folder.put_json("history.json", dataclasses.asdict(history))
        return net, self.folder.get_json("history.json")

    # -- compress -------------------------------------------------------------------------------

    def compress(self, net: FireNet, data: _LearningData) -> _Small:
        if not self.folder.is_done("compress"):
            with self.folder.stage("compress"):
                epochs = 0

                def count(row: dict[str, float]) -> None:
                    nonlocal epochs
                    epochs += 1
                    self.progress("compress", epochs, None)

                made: CompressedNetwork = compress_network(
                    net, data.arrays, self.compression, self.training, progress=count
                )
                with replaced(self.folder.work / "weights.bin") as path:
                    path.write_bytes(made.data)
                self.folder.put_json(
                    "compressed.json",
                    {
                        "spec": made.spec,
                        "shapes": {name: list(shape) for name, shape in made.shapes.items()},
                        "sparsity": made.sparsity,
                        "histories": {
                            name: dataclasses.asdict(one) for name, one in made.histories.items()
                        },
                    },
                )
        note = self.folder.get_json("compressed.json")
        return _Small(
            spec=note["spec"],
            shapes={name: tuple(shape) for name, shape in note["shapes"].items()},
            data=(self.folder.work / "weights.bin").read_bytes(),
        )

    # -- deploy ---------------------------------------------------------------------------------

    def deploy(self, net: FireNet, small: _Small, data: _LearningData, roles: Roles) -> None:
        if self.folder.is_done("deploy"):
            return
        with self.folder.stage("deploy"):
            arrays = data.arrays
            check = arrays.is_validation
            n_classes = len(roles.classes)
            weight = class_weights(arrays.label[~check], n_classes, self.training.class_power)
            learned = weight * np.bincount(arrays.label[~check], minlength=n_classes)
            with open_survey(self.source, self.options.names(), on_bad="reject") as survey:
                meta = survey.meta
            draft = Bundle(
                classes=tuple(roles.classes),
                network=small.spec,
                shapes=small.shapes,
                weights=small.data,
                graph=build_graph(small.spec, small.shapes),
                temperature=1.0,
                priors=tuple((learned / learned.sum()).tolist()),
                feature_names=data.feature_names,
                auxiliary_state=dataclasses.asdict(data.scale),
                recipe={
                    "name": self.recipe.name,
                    "recipe": self.recipe.to_dict(),
                    "steps": state_of_steps(self.steps),
                    "trained_with": self.recipe.period_source(),
                    "quantity": meta.quantity,
                    "survey": meta.survey,
                    "priors": None,
                },
                golden=golden_vectors(
                    build_graph(small.spec, small.shapes),
                    _decoded(small),
                    *_spread(arrays, N_GOLDEN),
                ),
                versions={name: version(name) for name in ("astroprep", "numpy", "torch", "onnx")},
            )
            runtime = Runtime(draft)
            temperatures = {
                "uncompressed": _temperature(
                    predict_logits(
                        fold_batchnorm(net), arrays.folded[check], arrays.auxiliary[check]
                    ),
                    arrays.label[check],
                    weight,
                ),
                "compressed": _temperature(
                    runtime.logits(arrays.folded[check], arrays.auxiliary[check]),
                    arrays.label[check],
                    weight,
                ),
            }
            self.folder.put_json("temperatures.json", temperatures)
            bundle = replace(draft, temperature=temperatures["compressed"])
            if self.options.prior == "estimate":
                found = self.estimated_priors(bundle, data.scale)
                bundle = replace(bundle, recipe={**bundle.recipe, "priors": found.tolist()})
            write_bundle(self.folder.out / "bundle.apz", bundle)

    def estimated_priors(self, bundle: Bundle, scale: AuxiliaryScale) -> NDArray[np.float64]:
        """Class shares of the whole input by expectation maximisation."""
        runtime = Runtime(bundle)
        probability = np.concatenate(
            [
                runtime.predict_proba(part.folded, scale.apply(part.features))
                for part in self.parts()
            ]
        )
        return estimate_priors(probability, np.asarray(bundle.priors))

    # -- evaluate -------------------------------------------------------------------------------

    def counts(self) -> Counts:
        return Counts(**self.folder.get_json("counts.json"))

    def evaluate(
        self, net: FireNet, catalogue: pd.DataFrame, roles: Roles, history: dict[str, Any]
    ) -> dict[str, Any]:
        """Predict everything with the bundle, measure on the test objects, write the report."""
        out = self.folder.out
        if not self.folder.is_done("evaluate"):
            with self.folder.stage("evaluate"):
                classifier = Classifier(out / "bundle.apz")
                full = self.predict(net, classifier, catalogue)
                self.write_features()
                measures = self.measure(net, classifier, full, catalogue, roles)
                self.folder.put_json("measures.json", measures)
        metrics = {
            **self.folder.get_json("measures.json"),
            "counts": self.counts().to_dict(),
            "split": {
                **{
                    name: int((roles.role == name).sum())
                    for name in ("train", "validation", "test")
                },
                **roles.notes,
            },
            "classes": roles.classes,
            "prior": self.options.prior,
            "period_source": self.recipe.period_source(),
        }
        if not self.folder.is_done("report"):
            with self.folder.stage("report"):
                self.write_report(metrics, history, roles)
        metrics["seconds"] = self.folder.seconds
        with replaced(out / "metrics.json") as path:
            path.write_text(json.dumps(metrics, indent=1))
        return metrics

    def predict(
        self, net: FireNet, classifier: Classifier, catalogue: pd.DataFrame
    ) -> dict[str, NDArray[Any]]:
        """Write ``predictions.parquet``; give what the uncompressed network says, by row."""
        folded_net = fold_batchnorm(net)
        said = {name: catalogue[name].to_numpy() for name in ("label", "split")}
        rows, logits = [], []
        with prediction_file(self.folder.out / "predictions.parquet", classifier.classes) as writer:
            for part in self.parts():
                probability = classifier.predict_proba(part)
                everyone = np.sort(np.concatenate([part.row, part.rejected.row]))
                writer.write(part, probability, {k: v[everyone] for k, v in said.items()})
                rows.append(part.row)
                logits.append(
                    predict_logits(folded_net, part.folded, classifier.scale.apply(part.features))
                )
                self.progress("evaluate", writer.counts.input, len(catalogue))
        if writer.counts.input != len(catalogue):
            raise DataError(
                f"{len(catalogue)} objects in, but {writer.counts.input} accounted for; "
                "pass --restart to begin anew"
            )
        self.folder.put_json("counts.json", dataclasses.asdict(writer.counts))
        return {"row": np.concatenate(rows), "logits": np.concatenate(logits)}

    def write_features(self) -> None:
        """``features.parquet``: a row for every object that was not rejected."""
        with replaced(self.folder.out / "features.parquet") as path:
            writer = None
            for part in self.parts():
                columns = {
                    name: pa.array(part.features[:, i], from_pandas=True)  # NaN as null
                    for i, name in enumerate(part.feature_names)
                }
                table = pa.table(
                    {"row": part.row, "id": pa.array(part.id, pa.string()), "period": part.period}
                    | columns
                )
                if writer is None:
                    writer = pq.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table)
            if writer is not None:
                writer.close()

    def measure(
        self,
        net: FireNet,
        classifier: Classifier,
        full: dict[str, NDArray[Any]],
        catalogue: pd.DataFrame,
        roles: Roles,
    ) -> dict[str, Any]:
        """Measures of both networks on the test objects; a rejected one counts as wrong."""
        out, classes = self.folder.out, roles.classes
        test = np.flatnonzero(roles.role == "test")
        truth = catalogue["label"].to_numpy()[test]
        bundle = classifier.bundle
        temperatures = self.folder.get_json("temperatures.json")
        probability = np.full((len(catalogue), len(classes)), np.nan)
        probability[full["row"]] = softmax(full["logits"], temperatures["uncompressed"])
        if classifier.priors is not None:
            learned = np.asarray(bundle.priors)
            found = estimate_priors(probability[full["row"]], learned)
            probability[full["row"]] = correct_priors(probability[full["row"]], learned, found)
        written = pq.read_table(
            out / "predictions.parquet", columns=[f"prob_{name}" for name in classes]
        )
        deployed = np.column_stack(
            [written[name].to_numpy() for name in written.column_names]
        ).astype(np.float64)
        measured: dict[str, Any] = {}
        decided = {}
        for name, table, size in (
            ("uncompressed", probability, 4 * bundle.n_parameters),
            ("compressed", deployed, len(bundle.weights)),
        ):
            mine = table[test]
            known = np.isfinite(mine).all(axis=1)
            predicted = np.full(test.size, "", dtype=object)
            predicted[known] = np.array(classes, object)[mine[known].argmax(axis=1)]
            measured[name] = {
                **(evaluate(truth, predicted, classes, mine) if test.size else {"n_test": 0}),
                "parameters": bundle.n_parameters,
                "bytes": size,
                "bundle_bytes": (out / "bundle.apz").stat().st_size,
                "temperature": temperatures[name],
            }
            decided[name] = predicted
        if test.size:
            lost = bootstrap_difference(
                truth, decided["compressed"], decided["uncompressed"], classes
            )
            measured["compression"] = dataclasses.asdict(lost)
        return measured

    def write_report(self, metrics: dict[str, Any], history: dict[str, Any], roles: Roles) -> None:
        out = self.folder.out
        predictions = pq.read_table(out / "predictions.parquet").to_pandas()
        predictions["role"] = roles.role[predictions["row"]]
        write_run_report(
            out / "report.html",
            title=f"{self.recipe.name}: {self.source.name}",
            recipe_text=json.dumps(self.recipe.to_dict(), indent=1),
            counts=metrics["counts"],
            seconds=self.folder.seconds,
            quality=self.folder.get_json("quality.json"),
            metrics=metrics,
            predictions=predictions,
            examples=self.examples(predictions),
            history=history,
            classes=roles.classes,
        )

    def examples(self, predictions: pd.DataFrame) -> LightCurveBatch:
        """Light curves for the report: sure and right ones of each class, the worst mistakes."""
        chosen = choose_examples(predictions)
        wanted = np.unique(chosen["row"].to_numpy(np.int64))
        before = [table["step"] in PERIOD_STEPS for table in self.recipe.steps].index(True)
        parts = []
        for batch in self.batches():
            mine = batch[np.isin(batch.objects["row"], wanted)]
            if mine.n_curves:
                parts.append(apply_steps(self.steps[:before], mine))
        batch = LightCurveBatch.concat(parts) if parts else LightCurveBatch.from_curves([])
        position = {row: i for i, row in enumerate(batch.objects["row"])}
        chosen = chosen[chosen["row"].isin(position.keys())]
        picked = batch.take(np.array([position[r] for r in chosen["row"]], dtype=np.int64))
        about = predictions.set_index("row").loc[chosen["row"]]
        columns = [name for name in predictions.columns if name.startswith("prob_")]
        return picked.with_columns(
            objects={
                "label": about["label"].to_numpy(object),
                "predicted": about["predicted"].to_numpy(object),
                "confidence": about[columns].max(axis=1).to_numpy(np.float64),
                "period": about["period"].to_numpy(np.float64),
                "role": chosen["role"].to_numpy(object),
            }
        )


@dataclass(frozen=True, eq=False)
class _LearningData:
    """Training and validation objects, ready for the network."""

    row: NDArray[np.int64]
    arrays: TrainingArrays
    scale: AuxiliaryScale
    feature_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Small:
    """The compressed network, as stored."""

    spec: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    data: bytes


def _decoded(small: _Small) -> dict[str, NDArray[np.float32]]:
    from astroprep.compress.weights import decode_weights

    return decode_weights(small.data, small.shapes)


def _temperature(
    logits: NDArray[np.float32], label: NDArray[np.int64], weight: NDArray[np.float64]
) -> float:
    """Fitted temperature, or 1 where no validation object survived."""
    return fit_temperature(logits, label, weight[label]) if label.size else 1.0


def _spread(arrays: TrainingArrays, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A few training inputs, spread over the classes."""
    order = np.argsort(arrays.label, kind="stable")
    index = order[np.linspace(0, order.size - 1, min(n, order.size)).astype(np.int64)]
    return arrays.folded[index], arrays.auxiliary[index]


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
    kept = pd.DataFrame({"row": batch.objects["row"], "id": batch.ids, **columns})
    if not len(away):
        return kept
    lost = pd.DataFrame({"row": away.row, "id": away.id, "label": "", "split": ""})
    return pd.concat([kept, lost], ignore_index=True).sort_values("row", kind="stable")

"""The end of a run: predict everything with the bundle, measure, and write the report."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.io import replaced
from astroprep.model.calibrate import correct_priors, estimate_priors, priors_between, softmax
from astroprep.model.evaluate import bootstrap_difference
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.priors import estimate_part
from astroprep.model.train import predict_logits
from astroprep.pipeline.classify import Classifier, prediction_file
from astroprep.pipeline.job import Job
from astroprep.pipeline.measures import UNMEASURED, measure_answers, measure_network
from astroprep.pipeline.prepare import apply_steps
from astroprep.pipeline.split import Roles
from astroprep.pipeline.steps import PERIOD_STEPS
from astroprep.report import choose_examples, write_run_report

__all__ = ["measure_and_report"]


def measure_and_report(
    job: Job, net: FireNet, catalogue: pd.DataFrame, roles: Roles, history: dict[str, Any]
) -> dict[str, Any]:
    """Predict everything with the bundle, measure on the test objects, write the report."""
    out = job.folder.out
    if not job.folder.is_done("evaluate"):
        with job.folder.stage("evaluate"):
            classifier = Classifier(out / "bundle.apz")
            full = _predict(job, net, classifier, catalogue)
            _write_features(job)
            measures = _measure(job, classifier, full, catalogue, roles)
            job.folder.put_json("measures.json", measures)
    metrics = {
        **job.folder.get_json("measures.json"),
        "counts": job.counts().to_dict(),
        "split": {
            **{name: int((roles.role == name).sum()) for name in ("train", "validation", "test")},
            **roles.notes,
        },
        "classes": roles.classes,
        "prior": job.options.prior,
        "period_source": job.recipe.period_source(),
    }
    if not job.folder.is_done("report"):
        with job.folder.stage("report"):
            _write_report(job, metrics, history, roles)
    metrics["seconds"] = job.folder.seconds
    with replaced(out / "metrics.json") as path:
        path.write_text(json.dumps(metrics, indent=1))
    job.folder.seal()
    return metrics


def _predict(
    job: Job, net: FireNet, classifier: Classifier, catalogue: pd.DataFrame
) -> dict[str, NDArray[Any]]:
    """Write ``predictions.parquet``; give what the uncompressed network says, by row."""
    folded_net = fold_batchnorm(net)
    said = {name: catalogue[name].to_numpy() for name in ("label", "split")}
    rows, logits = [], []
    with prediction_file(job.folder.out / "predictions.parquet", classifier.answers()) as writer:
        for part in job.parts():
            everyone = np.sort(np.concatenate([part.row, part.rejected.row]))
            facts = classifier.facts(part, {k: v[everyone] for k, v in said.items()})
            writer.write(facts, part)
            rows.append(part.row)
            logits.append(
                predict_logits(folded_net, part.folded, classifier.scale.apply(part.features))
            )
            job.progress("evaluate", writer.counts.input, len(catalogue))
    if writer.counts.input != len(catalogue):
        raise DataError(
            f"{len(catalogue)} objects in, but {writer.counts.input} accounted for; "
            "pass --restart to begin anew"
        )
    job.folder.put_json("counts.json", dataclasses.asdict(writer.counts))
    return {"row": np.concatenate(rows), "logits": np.concatenate(logits)}


def _write_features(job: Job) -> None:
    """``features.parquet``: a row for every object that was not rejected."""
    with replaced(job.folder.out / "features.parquet") as path:
        writer = None
        for part in job.parts():
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


def _measure(
    job: Job,
    classifier: Classifier,
    full: dict[str, NDArray[Any]],
    catalogue: pd.DataFrame,
    roles: Roles,
) -> dict[str, Any]:
    """Measures of both networks on the test objects; a rejected one counts as wrong."""
    out, classes = job.folder.out, list(classifier.classes)
    test = np.flatnonzero(roles.role == "test")
    truth = catalogue["label"].to_numpy()[test]
    bundle = classifier.bundle
    temperatures = job.folder.get_json("temperatures.json")
    probability = np.full((len(catalogue), len(classes)), np.nan)
    probability[full["row"]] = softmax(full["logits"], temperatures["uncompressed"])
    learned, wanted = np.asarray(bundle.priors), classifier.priors
    part = estimate_part(classifier.prior)
    if part is not None:
        found = estimate_priors(probability[full["row"]], learned)
        wanted = priors_between(learned, found, part)
    probability[full["row"]] = correct_priors(probability[full["row"]], learned, wanted)
    written = pq.read_table(
        out / "predictions.parquet", columns=[f"prob_{name}" for name in classes]
    )
    deployed = np.column_stack([written[name].to_numpy() for name in written.column_names]).astype(
        np.float64
    )
    measured: dict[str, Any] = {}
    decided = {}
    for name, table, size in (
        ("uncompressed", probability, 4 * bundle.n_parameters),
        ("compressed", deployed, len(bundle.weights)),
    ):
        mine = table[test]
        everyone = np.zeros((test.size, len(roles.classes)))  # a class without training stays 0
        everyone[:, np.isin(roles.classes, classes)] = mine
        known = np.isfinite(mine).all(axis=1)
        predicted = np.full(test.size, "", dtype=object)
        predicted[known] = np.array(classes, object)[mine[known].argmax(axis=1)]
        measured[name] = {
            **(
                measure_network(truth, predicted, roles.classes, everyone)
                if test.size
                else UNMEASURED
            ),
            "parameters": bundle.n_parameters,
            "bytes": size,
            "bundle_bytes": (out / "bundle.apz").stat().st_size,
            "temperature": temperatures[name],
        }
        decided[name] = predicted
    if test.size:
        lost = bootstrap_difference(
            truth, decided["compressed"], decided["uncompressed"], roles.classes
        )
        measured["compression"] = dataclasses.asdict(lost)
    answers = pq.read_table(out / "predictions.parquet").to_pandas()
    n_learned = catalogue["label"][roles.role == "train"].value_counts()
    return measured | measure_answers(answers, catalogue, roles.role, n_learned, classifier)


def _write_report(job: Job, metrics: dict[str, Any], history: dict[str, Any], roles: Roles) -> None:
    out = job.folder.out
    predictions = pq.read_table(out / "predictions.parquet").to_pandas()
    predictions["role"] = roles.role[predictions["row"]]
    write_run_report(
        out / "report.html",
        title=f"{job.recipe.name}: {job.source.name}",
        recipe_text=json.dumps(job.recipe.to_dict(), indent=1),
        counts=metrics["counts"],
        seconds=job.folder.seconds,
        quality=job.folder.get_json("quality.json"),
        metrics=metrics,
        predictions=predictions,
        examples=_examples(job, predictions),
        history=history,
        classes=roles.classes,
    )


def _examples(job: Job, predictions: pd.DataFrame) -> LightCurveBatch:
    """Light curves for the report: sure and right ones of each class, the worst mistakes."""
    chosen = choose_examples(predictions)
    wanted = np.unique(chosen["row"].to_numpy(np.int64))
    before = [table["step"] in PERIOD_STEPS for table in job.recipe.steps].index(True)
    parts = []
    for batch in job.batches():
        mine = batch[np.isin(batch.objects["row"], wanted)]
        if mine.n_curves:
            parts.append(apply_steps(job.steps[:before], mine))
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

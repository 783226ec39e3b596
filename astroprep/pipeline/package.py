"""The stage `deploy` of a run: calibrate, and pack everything into the bundle."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.weights import decode_weights
from astroprep.deploy.bundle import Bundle, write_bundle
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import Runtime, golden_vectors
from astroprep.model.calibrate import estimate_priors, fit_temperature, tempered_priors
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import TrainingArrays, class_weights, predict_logits
from astroprep.pipeline.job import Job
from astroprep.pipeline.learn import LearningData, Small
from astroprep.pipeline.restore import state_of_steps
from astroprep.quality.drift import COARSE, COARSE_DIGITS, FEATURE_PREFIX, summarize
from astroprep.represent import AuxiliaryScale

__all__ = ["deploy"]

N_GOLDEN = 4  # golden vectors in the bundle; each takes about a kilobyte


def deploy(job: Job, net: FireNet, small: Small, data: LearningData) -> None:
    """Write ``bundle.apz``, unless that is done.

    The network learns with class weights, so its probabilities assume the class shares of
    training evened by them (``Bundle.priors``), and the temperature is fitted on validation
    objects weighted alike. What is reported assumes the shares in ``recipe["priors"]``: those of
    the training objects as they are, or those estimated from the whole input.
    """
    if job.folder.is_done("deploy"):
        return
    with job.folder.stage("deploy"):
        arrays = data.arrays
        check = arrays.is_validation
        n_classes, power = len(data.classes), job.training.class_power
        weight = class_weights(arrays.label[~check], n_classes, power)
        count = np.bincount(arrays.label[~check], minlength=n_classes)
        draft = _draft(job, small, data, tempered_priors(count, power))
        runtime = Runtime(draft)
        temperatures = {
            "uncompressed": _temperature(
                predict_logits(fold_batchnorm(net), arrays.folded[check], arrays.auxiliary[check]),
                arrays.label[check],
                weight,
            ),
            "compressed": _temperature(
                runtime.logits(arrays.folded[check], arrays.auxiliary[check]),
                arrays.label[check],
                weight,
            ),
        }
        job.folder.put_json("temperatures.json", temperatures)
        bundle = replace(draft, temperature=temperatures["compressed"])
        priors = tempered_priors(count, 0.0)
        if job.options.prior == "estimate":
            priors = _estimated_priors(job, bundle, data.scale)
        bundle = replace(bundle, recipe={**bundle.recipe, "priors": priors.tolist()})
        write_bundle(job.folder.out / "bundle.apz", bundle)


def _draft(job: Job, small: Small, data: LearningData, priors: NDArray[np.float64]) -> Bundle:
    """Everything but the temperature."""
    graph = build_graph(small.spec, small.shapes)
    with job.open() as survey:
        meta = survey.meta
    return Bundle(
        classes=tuple(data.classes),
        network=small.spec,
        shapes=small.shapes,
        weights=small.data,
        graph=graph,
        temperature=1.0,
        priors=tuple(priors.tolist()),
        feature_names=data.feature_names,
        auxiliary_state=dataclasses.asdict(data.scale),
        recipe={
            "name": job.recipe.name,
            "recipe": job.recipe.to_dict(),
            "steps": state_of_steps(job.steps),
            "trained_with": job.recipe.period_source(),
            "quantity": meta.quantity,
            "survey": meta.survey,
            "bands": list(meta.bands),
            "training_summary": _training_summary(job, data),
        },
        golden=golden_vectors(
            graph, decode_weights(small.data, small.shapes), *_spread(data.arrays, N_GOLDEN)
        ),
        versions={name: version(name) for name in ("astroprep", "numpy", "torch", "onnx")},
    )


def _training_summary(job: Job, data: LearningData) -> dict[str, Any]:
    """Distributions of the input as it was assessed, and of the features that were learned from.

    Empty for a run that was assessed before there were summaries.
    """
    summary = job.folder.get_json("quality.json").get("summary")
    if not summary:
        return {}
    names: tuple[str, ...] = ()
    found = []
    for part in job.parts():
        names = part.feature_names
        found.append(part.features[np.isin(part.row, data.row)])
    features = np.concatenate(found) if found else np.empty((0, 0))
    measures = {
        FEATURE_PREFIX + name: summarize(features[:, k], COARSE, COARSE_DIGITS)
        for k, name in enumerate(names)
    }
    return {**summary, "measures": {**summary["measures"], **measures}}


def _estimated_priors(job: Job, bundle: Bundle, scale: AuxiliaryScale) -> NDArray[np.float64]:
    """Class shares of the whole input by expectation maximisation."""
    runtime = Runtime(bundle)
    probability = np.concatenate(
        [runtime.predict_proba(part.folded, scale.apply(part.features)) for part in job.parts()]
    )
    return estimate_priors(probability, np.asarray(bundle.priors))


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

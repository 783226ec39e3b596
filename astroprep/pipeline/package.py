"""The stage `deploy` of a run: calibrate, and pack everything into the bundle."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.quantize import quantize_network
from astroprep.compress.ranges import ActivationRanges
from astroprep.compress.weights import decode_weights
from astroprep.deploy.bundle import Bundle, write_bundle
from astroprep.deploy.integer_part import IntegerPart, make_integer_part
from astroprep.deploy.onnx import build_graph
from astroprep.deploy.runtime import Runtime, golden_vectors
from astroprep.errors import DataError
from astroprep.model.calibrate import fit_temperature, tempered_priors
from astroprep.model.firenet import FireNet, build_network, fold_batchnorm
from astroprep.model.outputs import Outputs
from astroprep.model.priors import PriorEstimate, estimate_part, estimate_shares, read_shares
from astroprep.model.train import TrainingArrays, class_weights, predict_logits
from astroprep.model.unknown import UnknownScore
from astroprep.pipeline.job import Job
from astroprep.pipeline.learn import LearningData, Small
from astroprep.pipeline.restore import state_of_steps
from astroprep.quality.drift import COARSE, COARSE_DIGITS, FEATURE_PREFIX, summarize

__all__ = ["deploy"]

log = logging.getLogger(__name__)

N_GOLDEN = 4  # golden vectors in the bundle; each takes about a kilobyte


def deploy(job: Job, net: FireNet, small: Small, data: LearningData) -> None:
    """Write ``bundle.apz``, unless that is done.

    The network learns with class weights, so its probabilities assume the class shares of
    training evened by them (``Bundle.priors``), and the calibration is fitted on validation
    objects weighted alike. What is reported assumes the shares in ``recipe["priors"]``: those of
    the training objects as they are, those estimated from the whole input, or stated ones.
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
        if small.ranges is not None:
            draft = replace(draft, integer=_integers(draft, small.ranges))
        full = predict_logits(fold_batchnorm(net), arrays.folded[check], arrays.auxiliary[check])
        label = arrays.label[check]
        bundle = _calibrated(draft, arrays, weight, job.recipe.false_unknown_rate)
        temperatures = {
            "uncompressed": fit_temperature(full, label, weight[label]) if label.size else 1.0,
            "compressed": bundle.temperature,
        }
        job.folder.put_json("temperatures.json", temperatures)
        stated = _stated(job, bundle, data, tempered_priors(count, 0.0))
        bundle = replace(bundle, recipe={**bundle.recipe, **stated})
        write_bundle(job.folder.out / "bundle.apz", bundle)


def _calibrated(
    draft: Bundle, arrays: TrainingArrays, weight: NDArray[np.float64], false_unknown_rate: float
) -> Bundle:
    """The bundle with all that turns its logits into answers, fitted on validation objects."""
    check, code = arrays.is_validation, arrays.label
    logits = Runtime(draft).logits(arrays.folded[check], arrays.auxiliary[check])
    outputs = Outputs.fit(logits, code[check], np.asarray(draft.priors), weight)
    if check.any():
        unknown = UnknownScore.fit(
            arrays.auxiliary[~check],
            code[~check],
            logits,
            arrays.auxiliary[check],
            n_classes=len(draft.classes),
            false_unknown_rate=false_unknown_rate,
        )
        outputs = replace(outputs, unknown=unknown)
    recipe = {**draft.recipe, "outputs": outputs.to_state()}
    return replace(draft, temperature=outputs.temperature, recipe=recipe)


def _stated(
    job: Job, bundle: Bundle, data: LearningData, train_shares: NDArray[np.float64]
) -> dict[str, Any]:
    """Class shares that the answers assume, and where they are from.

    Shares that cannot be estimated are those of the training objects, with a word in the log.
    """
    shares, source = train_shares, job.options.prior
    note: dict[str, Any] = {}
    part = estimate_part(source)
    if part is not None:
        try:
            found = _estimated(job, bundle, data).partly(np.asarray(bundle.priors), part)
            shares, note["prior_error"] = found.shares, found.standard_error.tolist()
        except DataError as error:
            log.warning("%s; those of the training objects are assumed", error)
            source = "train"
    elif source != "train":
        shares, source = read_shares(source, data.classes), "file"
    return {
        "priors": shares.tolist(),
        "train_shares": train_shares.tolist(),
        "prior": source,
        **note,
    }


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


def _integers(draft: Bundle, ranges: ActivationRanges) -> IntegerPart:
    """Ranges and proofs."""
    import torch

    net = build_network(draft.network)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in draft.tensors().items()})
    golden = draft.golden
    return make_integer_part(quantize_network(net.eval(), ranges), golden.folded, golden.auxiliary)


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


def _estimated(job: Job, bundle: Bundle, data: LearningData) -> PriorEstimate:
    """Class shares of the whole input by expectation maximisation."""
    runtime = Runtime(bundle)
    probability = np.concatenate(
        [
            runtime.predict_proba(part.folded, data.scale.apply(part.features))
            for part in job.parts()
        ]
    )
    check = data.arrays.is_validation
    validation = runtime.predict_proba(data.arrays.folded[check], data.arrays.auxiliary[check])
    return estimate_shares(
        probability,
        np.asarray(bundle.priors),
        validation=validation,
        code=data.arrays.label[check],
    )


def _spread(arrays: TrainingArrays, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A few training inputs, spread over the classes."""
    order = np.argsort(arrays.label, kind="stable")
    index = order[np.linspace(0, order.size - 1, min(n, order.size)).astype(np.int64)]
    return arrays.folded[index], arrays.auxiliary[index]

"""What a run measures on its test objects, as plain values for ``metrics.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.model.evaluate import evaluate
from astroprep.model.reliability import calibration_error, reliability
from astroprep.model.scores import accuracy_by, bootstrap_scores, top_k_error
from astroprep.model.taxonomy import evaluate_levels
from astroprep.pipeline.classify import Classifier
from astroprep.pipeline.predictions import SETS_JOINED_BY

__all__ = ["UNMEASURED", "measure_answers", "measure_network"]

UNMEASURED: dict[str, Any] = {
    "accuracy": None, "balanced_accuracy": None, "macro_f1": None, "ece": None,
    "per_class": {}, "n_test": 0,
}  # fmt: skip


def measure_network(
    truth: NDArray[np.object_],
    predicted: NDArray[np.object_],
    classes: Sequence[str],
    probability: NDArray[np.float64],
) -> dict[str, Any]:
    """All measures of one network on the test objects.

    Parameters
    ----------
    truth, predicted : object array of str, shape (n_objects,)
        Classes; ``""`` for a rejected object, which counts as wrong.
    classes : sequence of str
        In the order of the columns.
    probability : float64 array, shape (n_objects, n_classes)
        Rows of NaN for rejected objects.

    Returns
    -------
    dict
        What `evaluate` gives, with ``intervals`` (95 %), ``top2_error``, ``ece_mass`` (bins of
        equally many objects), ``calibration_debiased`` (root mean square, noise taken out) and
        ``reliability``.
    """
    confidence = probability.max(axis=1)
    right = truth == predicted
    return {
        **evaluate(truth, predicted, classes, probability),
        "intervals": bootstrap_scores(truth, predicted, classes),
        "top2_error": top_k_error(truth, probability, classes),
        "ece_mass": _plain(calibration_error(confidence, right)),
        "calibration_debiased": _plain(calibration_error(confidence, right, norm=2, debias=True)),
        "reliability": reliability(confidence, right, bins="mass").to_dict(),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


def measure_answers(
    answers: pd.DataFrame,
    catalogue: pd.DataFrame,
    role: NDArray[np.object_],
    n_learned: pd.Series,
    classifier: Classifier,
) -> dict[str, Any]:
    """Measures of everything that `PredictionWriter` says of the test objects.

    Parameters
    ----------
    answers : pandas.DataFrame
        The predictions of all objects.
    catalogue : pandas.DataFrame
        ``label``, ``n_points`` and ``brightness`` of the same rows.
    role : object array of str, shape (n_objects,)
        ``"test"`` for those that count.
    n_learned : pandas.Series
        Training objects by label.
    classifier : Classifier
        That answered.

    Returns
    -------
    dict
        ``answers`` (decision rule, class shares and their source), and, with test objects,
        ``levels``, ``sets``, ``unknown``, ``depends``.
    """
    how = classifier.answers()
    said: dict[str, Any] = {"answers": how.about()}
    if "prior_error" in classifier.bundle.recipe:
        said["answers"]["standard_error"] = dict(
            zip(how.classes, classifier.bundle.recipe["prior_error"], strict=True)
        )
    test = role[answers["row"]] == "test"
    mine, about = answers[test], catalogue[test]
    if not len(mine):
        return said
    truth = about["label"].to_numpy(object)
    p = mine[[f"prob_{name}" for name in how.classes]].to_numpy(np.float64)
    if how.taxonomy is not None:
        said["levels"] = evaluate_levels(truth, p, how.taxonomy)
    if "conformal_set" in mine:
        said["sets"] = _measure_sets(truth, mine["conformal_set"], how.coverage)
    if how.outputs.unknown is not None:
        called = mine["is_unknown"].dropna()
        said["unknown"] = {
            "stated_false_unknown_rate": how.outputs.unknown.false_unknown_rate,
            "false_unknown_rate": float(called.astype(bool).mean()) if len(called) else None,
        }
    right = truth == mine["predicted"].to_numpy(object)
    columns = {
        "labels of the class in training": pd.Series(truth).map(n_learned),
        "points": about["n_points"],
        "brightness": about["brightness"],
        "period": mine["period"],
    }
    said["depends"] = {
        name: accuracy_by(column.to_numpy(np.float64), right) for name, column in columns.items()
    }
    return said


def _measure_sets(truth: NDArray[np.object_], sets: pd.Series, coverage: float) -> dict[str, Any]:
    """Coverage and size of the conformal sets; rejected objects have none and are left out."""
    known = sets.notna().to_numpy()
    inside = [one.split(SETS_JOINED_BY) if one else [] for one in sets[known]]
    label = truth[known]
    hit = np.array([name in one for name, one in zip(label, inside, strict=True)], bool)
    size = np.array([len(one) for one in inside], dtype=np.int64)
    if not hit.size:
        return {"stated_coverage": coverage, "n": 0}
    return {
        "stated_coverage": coverage,
        "n": int(hit.size),
        "coverage": float(hit.mean()),
        "mean_size": float(size.mean()),
        "empty": float((size == 0).mean()),
        "single": float((size == 1).mean()),
        "single_right": float(hit[size == 1].mean()) if (size == 1).any() else None,
        "coverage_by_class": {
            str(name): float(hit[label == name].mean()) for name in sorted(set(label.tolist()))
        },
    }

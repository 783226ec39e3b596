"""A small run to report on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from astroprep.data import LightCurveBatch
from astroprep.model.evaluate import evaluate
from astroprep.report import choose_examples

CLASSES = ["EW", "RRab", "RRc"]


def made_predictions(rng: np.random.Generator, n: int = 60) -> pd.DataFrame:
    """Predictions, right three times in four; every twelfth object is rejected."""
    truth = np.arange(n) % 3
    p = rng.dirichlet(np.ones(3), n)
    best = np.where(rng.random(n) < 0.75, truth, rng.integers(0, 3, n))
    p[np.arange(n), best] += 1.0
    p /= p.sum(axis=1, keepdims=True)
    rejected = np.arange(n) % 12 == 5
    p[rejected] = np.nan
    names = np.array(CLASSES, object)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "id": [f"star-{k}" for k in range(n)],
            "label": names[truth],
            "split": np.where(np.arange(n) < n // 2, "train", "test"),
            "predicted": np.where(rejected, "", names[np.nan_to_num(p).argmax(axis=1)]),
            **{f"prob_{name}": p[:, k] for k, name in enumerate(CLASSES)},
            "period": 0.61,
            "rejected_reason": np.where(rejected, "has 3 points, needs 20", ""),
        }
    )


def made_examples(predictions: pd.DataFrame, batch: LightCurveBatch) -> LightCurveBatch:
    """Curves of the chosen rows, with what the page says about them."""
    chosen = choose_examples(predictions, per_class=1, n_mistakes=3)
    about = predictions.set_index("row").loc[chosen["row"]]
    p = about[[name for name in about.columns if name.startswith("prob_")]]
    return batch.take(chosen["row"].to_numpy(np.int64)).with_columns(
        objects={
            "id": about["id"].to_numpy(object),
            "label": about["label"].to_numpy(object),
            "predicted": about["predicted"].to_numpy(object),
            "confidence": p.max(axis=1).to_numpy(np.float64),
            "period": about["period"].to_numpy(np.float64),
            "role": chosen["role"].to_numpy(object),
        }
    )


@pytest.fixture
def predictions(rng: np.random.Generator) -> pd.DataFrame:
    return made_predictions(rng)


@pytest.fixture
def a_run(predictions: pd.DataFrame, make_batch: Callable[..., LightCurveBatch]) -> dict[str, Any]:
    """Arguments of `write_run_report`."""
    tested = predictions[predictions["split"] == "test"]
    p = tested[[f"prob_{name}" for name in CLASSES]].to_numpy(float)
    scores = evaluate(tested["label"], tested["predicted"], CLASSES, p)
    return {
        "title": "demo: survey.parquet",
        "recipe_text": "[detrend]\nwindow = 2.0",
        "counts": {"input": 60, "result": 55, "rejected": 5},
        "seconds": {"assess": 1.5, "train": 130.0},
        "quality": a_quality(),
        "metrics": {
            "uncompressed": scores | {"parameters": 14800, "bytes": 59200, "bundle_bytes": 80000},
            "compressed": scores | {"parameters": 14800, "bytes": 3700, "bundle_bytes": 40000},
            "counts": {"input": 60},
        },
        "predictions": predictions,
        "examples": made_examples(predictions, make_batch(60, 30)),
        "history": {
            "epochs": [
                {"epoch": k, "loss": 1.0 / (k + 1), "validation_macro_f1": 0.1 * k}
                for k in range(6)
            ],
            "best_epoch": 4,
        },
        "classes": CLASSES,
    }


@pytest.fixture
def a_small_run(a_run: dict[str, Any]) -> dict[str, Any]:
    """The same with few pictures, for tests of something else."""
    return a_run | {"quality": {}, "history": {}, "examples": a_run["examples"][::3]}


def a_quality() -> dict[str, Any]:
    """The shape of ``QualityReport.to_dict()``, in small."""
    condition = {
        "name": "no redundancy",
        "meaning": "nothing is there twice",
        "verdict": "poor",
        "checks": [
            {
                "name": "twins",
                "value": 0.05,
                "limits": {"good": 0.001, "fair": 0.02},
                "verdict": "poor",
                "text": "3 of 60 objects",
            }
        ],
    }
    return {
        "survey": {"name": "made up", "quantity": "mag", "time_scale": "MJD UTC", "bands": ["V"]},
        "objects": {"total": 60, "short": 5, "unreadable": {"no list": 1}},
        "points": {"total": 1800, "usable": 1790, "flags": {"sentinel": 10}},
        "errors": {
            "unknown": 0,
            "honesty": {"median": 1.1, "p5": 0.8, "p95": None},
            "histogram": {"edges": [0.5, 1.0, 2.0], "counts": [20, 40]},
        },
        "cadence": {
            "points_per_object": {"median": 30.0, "p5": 30.0, "p95": 30.0},
            "histograms": {
                "points_per_object": {"edges": [0.5, 20.5, 40.5], "counts": [5, 55]},
                "gap": {"edges": [0.01, 0.1, 1.0, 10.0], "counts": [3, 9, 1]},
            },
            "window": {"day": 0.8, "year": None},
        },
        "brightness": {
            "median": {"median": 15.0},
            "histogram": {"edges": [14.0, 15.0, 16.0], "counts": [30, 30]},
            "sample": {"median": [14.5, 15.5, None], "scatter": [0.2, 0.3, 0.1]},
        },
        "redundancy": {"groups": 1, "examples": [["star-1", "star-2"]]},
        "conditions": [condition],
    }

"""ASAS South, and what a classifier of one survey is worth in the other.

    python benchmarks/classify_asas.py --data DATA/ --cache FOLDER/ [--seeds 3]

ASAS stars of one label and of a class with 30 training stars or more; 30 % are tested, chosen by
the sha256 of their id, and validation stars are 15 % of the rest. Catalina South has its published
split. Both surveys go through the shipped recipe with searched periods; no input is a catalogue's
period, apparent brightness or cadence. The `micro` network has the settings of `classify_crts.py`,
"teacher" is the ensemble of the recipe `distilled.toml` and "taught" the micro network that it
teaches: all settings were chosen on Catalina's validation stars, nothing on ASAS (but temperature
and epoch, on its own validation stars). Peers on the same features: scikit-learn's forest and
gradient-boosted trees.

Across surveys a model meets the test stars of the other one, whose labels are translated by
`label_maps/`: a label that means several classes is right with any of them, an answer that no label
means is wrong. "estimated" are class shares by expectation maximisation on the other survey's
unlabelled stars; "train" are the shares the model learned from.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classify_crts import FIT
from classify_distilled import RECIPE
from compress_data import spec_of, training_of
from numpy.typing import NDArray
from record import record
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from survey_stars import MEASURES, SurveyStars, say

from astroprep.compress.distil import DistilSettings, distil
from astroprep.model.label_map import evaluate_mapped
from astroprep.model.teachers import TeacherSettings, train_teacher
from astroprep.model.train import class_weights, predict_logits
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table

MAPS = Path(__file__).parent / "label_maps"
RULES = ("weighted", "train", "estimated")


def trees(stars: SurveyStars, kind: str, seed: int) -> Any:
    """Forest or boosted trees of the training stars, weighed as the network weighs them."""
    y = stars.code[stars.learn]
    weight = class_weights(y, stars.classes.size, FIT.class_power)
    made = (
        RandomForestClassifier(200, min_samples_leaf=2, random_state=seed)
        if kind == "forest"
        else HistGradientBoostingClassifier(random_state=seed)
    )
    return made.fit(stars.features[stars.learn].astype(np.float32), y, weight[y])


def distilled(
    stars: SurveyStars, seed: int, cache: Path, sides: list[tuple[SurveyStars, Any]]
) -> None:
    """Keep the logits of the ensemble and of its pupil, by the recipe `distilled.toml`."""
    recipe, arrays = read_recipe(RECIPE), stars.arrays
    fit = training_of(recipe, seed)
    ensemble = train_teacher(
        arrays, stars.classes.size, settings_from_table(TeacherSettings, recipe.teachers), fit
    )
    inputs = [(other.folded[r], stars.scale.apply(other.features[r])) for other, r in sides]
    said = [np.log(ensemble.predict_proba(*both) + 1e-7) for both in inputs]
    np.savez(cache / f"logits_{stars.survey}_teacher_{seed}.npz", *said)
    pupil = distil(
        spec_of(recipe, stars),
        replace(arrays, teacher=ensemble.probability),
        settings_from_table(DistilSettings, recipe.distillation),
        fit,
    )
    said = [predict_logits(pupil.net, *both) for both in inputs]
    np.savez(cache / f"logits_{stars.survey}_taught_{seed}.npz", *said)


def answers(
    stars: SurveyStars, model: str, seed: int, cache: Path, sides: list[tuple[SurveyStars, Any]]
) -> list[NDArray[Any]]:
    """Logits of one model for stars of either survey; made once."""
    path = cache / f"logits_{stars.survey}_{model}_{seed}.npz"
    if not path.exists() and model in ("teacher", "taught"):
        distilled(stars, seed, cache, sides)
    if not path.exists():
        if model == "micro":
            net = stars.learned(seed, cache)
            made = [stars.logits(net, other, rows) for other, rows in sides]
        else:
            fitted = trees(stars, model, seed)
            made = [
                np.log(fitted.predict_proba(other.features[rows].astype(np.float32)) + 1e-3)
                for other, rows in sides
            ]
        np.savez(path, *made)
    stored = np.load(path)
    return [stored[f"arr_{i}"] for i in range(len(sides))]


def across(stars: SurveyStars, other: SurveyStars, p: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Scores of probabilities of the other survey's test stars."""
    name = "asas_in_crts" if stars.survey == "crts_south" else "crts_in_asas"
    result: dict[str, Any] = {}
    for rule, probability in p.items():
        found = evaluate_mapped(
            other.label[other.test], probability, stars.classes.tolist(), MAPS / f"{name}.toml"
        )
        result |= {f"{key}_{rule}": found[key] for key in MEASURES}
        result[f"intervals_{rule}"] = found["intervals"]
        result[f"recall_{rule}"] = {k: v["recall"] for k, v in found["per_class"].items()}
        result |= {"n_test": found["n_test"], "left_out": found["left_out"]}
    return result


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with both surveys")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--models", default="micro,teacher,taught,forest,boosted", help="those to measure"
    )
    parser.add_argument(
        "--taught-on", default="asas_south,crts_south", help="surveys whose teacher is trained"
    )
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    asas, crts = (SurveyStars(n, given.data, given.cache) for n in ("asas_south", "crts_south"))
    counts = {s.survey: [s.learn.size, s.check.size, s.test.size] for s in (asas, crts)}
    print(counts, {s.survey: s.n_rejected for s in (asas, crts)}, flush=True)
    rows: list[dict[str, Any]] = []
    for stars, other in ((asas, crts), (crts, asas)):
        for model in given.models.split(","):
            if model in ("teacher", "taught") and stars.survey not in given.taught_on.split(","):
                continue
            inside, outside = [], []
            for seed in range(1, given.seeds + 1):
                about = {"model": model, "seed": seed, "learned": stars.survey}
                check, test, far = answers(
                    stars, model, seed, given.cache,
                    [(stars, stars.check), (stars, stars.test), (other, other.test)],
                )  # fmt: skip
                inside.append(about | {"tested": stars.survey} | stars.scores(check, test))
                mapped = across(stars, other, stars.probabilities(check, far))
                outside.append(about | {"tested": other.survey} | mapped)
            rows += inside + outside
            say(f"{stars.survey} {model}", inside, RULES)
            say(f" ... on {other.survey}", outside, RULES)
    print(
        record(
            "classify_asas",
            json.loads(json.dumps(rows)),
            given.out,
            stars=counts,
            classes={s.survey: s.classes.tolist() for s in (asas, crts)},
            data="ASAS-3 (ACVS labels), split by hash of the id; Catalina South variables (Drake "
            "et al. 2017), split of Hosenie et al. 2020; searched periods",
            peer="scikit-learn RandomForestClassifier and HistGradientBoostingClassifier",
        )
    )


if __name__ == "__main__":
    main()

"""Flat classifiers beside the hierarchy of Hosenie et al. 2020, level by level.

    python benchmarks/classify_levels.py --data DATA/ --cache FOLDER/ [--seeds 1 2 3]

Catalina South, their split, the catalogue's period. Their forests decide each level among the stars
that truly belong to the parent, and give balanced accuracy. Classifiers of 11 classes are scored
alike: probabilities under equal shares are summed to the nodes of the level and compared within the
true parent only. Such a score hides what the levels above get wrong, so balanced accuracy of the
same level end to end stands beside it. Equal shares are what balanced accuracy asks for; nothing is
chosen on test stars. Models are those of `classify_distilled.py`, which share its cache, and a
random forest on the same features, as an ensemble has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from classify_distilled import RECIPE, train
from classify_honest import HOSENIE
from compress_data import Said, Variables, training_of, variables
from numpy.typing import NDArray
from record import record

from astroprep.model.calibrate import correct_priors, fit_temperature, softmax, tempered_priors
from astroprep.model.members import fit_member
from astroprep.model.taxonomy import Taxonomy, evaluate_levels
from astroprep.model.train import class_weights
from astroprep.pipeline.recipe import Recipe, read_recipe

PUBLISHED = {
    frozenset(("eclipsing", "rotational", "pulsating")): 0.775,
    frozenset(("EA_detached", "EW_EB_contact_semidetached")): 0.940,
    frozenset(("RR Lyrae", "Cepheid", "LPV", "delta-Scuti")): 0.978,
    frozenset(("RRab", "RRc", "RRd", "Blazhko")): 0.709,
    frozenset(("ACEP", "Cep-II")): 0.913,
}


MODELS = ("micro, labels alone", "micro, taught", "teacher", "teacher and random forest", "forest")


def forest(recipe: Recipe, held: Variables, seed: int) -> Said:
    """What a random forest says."""
    arrays = held.arrays
    learn, check = np.flatnonzero(~arrays.is_validation), arrays.is_validation
    fit = training_of(recipe, seed)
    predict = fit_member("forest", arrays, learn, len(held.classes), fit)
    return Said(
        predict(arrays.folded[check], arrays.auxiliary[check]),
        predict(held.test_folded, held.test_auxiliary),
        0,
        {},
    )


def equal_shares(held: Variables, said: Said, power: float) -> NDArray[np.float64]:
    """Calibrated probabilities of the test stars under equal shares."""
    label, check = held.arrays.label, held.arrays.is_validation
    n_classes = len(held.classes)
    weight = class_weights(label[~check], n_classes, power)[label[check]]
    p = softmax(said.test, fit_temperature(said.check, label[check], weight))
    learned = tempered_priors(np.bincount(label[~check]), power)
    return correct_priors(p, learned, np.full(n_classes, 1 / n_classes))


def levels(held: Variables, p: NDArray[np.float64], model: str, seed: int) -> list[dict[str, Any]]:
    """Balanced accuracy of each decision, within the true parent and end to end."""
    tree = Taxonomy.from_table(HOSENIE).of(held.classes)
    label = np.array(held.classes, dtype=object)[held.test_label]
    rows = []
    for level in evaluate_levels(label, p, tree):
        recall = level["end_to_end"]["per_class"]
        for within in level["within"]:
            nodes = tuple(within["nodes"])
            rows.append(
                {
                    "model": model,
                    "seed": seed,
                    "level": level["level"],
                    **within,
                    "end_to_end": mean(recall[node]["recall"] for node in nodes),
                    "published": PUBLISHED.get(frozenset(nodes)),
                }
            )
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(RECIPE)
    held = variables(given.data, given.cache, recipe)
    power = training_of(recipe, 1).class_power
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        made = train(recipe, held, seed, given.cache) | {"forest": forest(recipe, held, seed)}
        for model in MODELS:
            rows += levels(held, equal_shares(held, made[model], power), model, seed)
    for model, nodes in dict.fromkeys((row["model"], tuple(row["nodes"])) for row in rows):
        mine = [r for r in rows if (r["model"], tuple(r["nodes"])) == (model, nodes)]
        said = []
        for key in ("balanced_accuracy", "end_to_end"):
            values = [row[key] for row in mine]
            said.append(f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0:.3f}")
        print(
            f"{model}, {' / '.join(nodes)}: within {said[0]}, end to end {said[1]}, "
            f"published within {mine[0]['published']} ({len(mine)} seeds, {mine[0]['n']} stars)"
        )
    print(
        record(
            "classify_levels",
            rows,
            given.out,
            data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020, "
            "catalogue periods",
            peer="hierarchical random forest of Hosenie et al. 2020, doi:10.1093/mnras/staa642, "
            "as published",
        )
    )


if __name__ == "__main__":
    main()

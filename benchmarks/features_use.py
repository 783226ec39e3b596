"""What the features of a star are worth to a classifier: all, the selected, their components.

    python benchmarks/features_use.py --data DATA/ [--seeds 5] [--out FILE]

Catalina South, published split, the catalogue's period given. Features of cadence and of apparent
brightness are left out, for they tell the survey; training stars with a twin among the test stars
are dropped. The booster's class-weight power and the share of the remaining prior that its decision
takes out are chosen by grouped folds of the training stars; so are the selected features. The
test stars are predicted once for each set and seed. Peer: a random forest on the same features.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported

import numpy as np
from numpy.typing import NDArray
from record import record
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from astroprep.clean import FlagBad
from astroprep.features import FEATURES, FeatureExtractor
from astroprep.integrate import twins
from astroprep.io import open_survey
from astroprep.io.columns import ColumnNames
from astroprep.reduce import (
    FeatureTable,
    permutation_importance,
    principal_components,
    select_features,
)
from astroprep.reduce.folds import balanced_accuracy, grouped_folds

POWERS = (0.5, 1.0)  # of class weights
DECISIONS = (0.0, 0.5, 1.0)  # share of the remaining prior taken out in the decision
BOOSTER = {
    "max_iter": 100,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "max_features": 0.3,
    "early_stopping": False,
}
TUNING_FOLDS = 4
Stars = tuple[NDArray[np.float64], NDArray[np.object_]]


def read(data: Path) -> tuple[FeatureTable, dict[str, NDArray[Any]]]:
    """Features of all stars, and what the survey says of them."""
    names = [n for n, f in FEATURES.items() if f.group not in ("cadence", "brightness")]
    columns = ColumnNames(period="period")
    with open_survey(data / "crts_south.parquet", columns, on_bad="reject") as survey:
        batch = survey.read()
    batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    batch = batch.with_columns(objects={"period": batch.objects["catalogue_period"]})
    batch = FeatureExtractor(features=names, on_bad="reject").transform(batch)
    if len(batch.rejected):
        print(f"{len(batch.rejected)} stars rejected: {set(batch.rejected.reason)}")
    group = twins(batch.objects["ra"], batch.objects["dec"])
    about = {name: batch.objects[name] for name in ("label", "split")}
    return FeatureTable(batch.objects["features"], tuple(names)), {**about, "group": group}


def probabilities(x: Stars, new: NDArray[np.float64], power: float, seed: int) -> Any:
    """Booster with weights ``n_class ** -power``: classes, their counts, probabilities."""
    classes, code, count = np.unique(x[1].astype(str), return_inverse=True, return_counts=True)
    weight = (count.astype(float) ** -power)[code]
    model = HistGradientBoostingClassifier(random_state=seed, **BOOSTER)
    model.fit(x[0], x[1].astype(str), sample_weight=weight / weight.mean())
    return classes, count, model.predict_proba(new)


def decide(found: Any, power: float, share: float) -> NDArray[np.object_]:
    """Most probable class once `share` of the prior left after weighting is taken out."""
    classes, count, p = found
    return classes[np.argmax(p * count.astype(float) ** (-share * (1 - power)), axis=1)].astype(
        object
    )


def tune(x: Stars, group: NDArray[Any]) -> tuple[float, float, list[dict[str, float]]]:
    """Power and decision of the largest balanced accuracy over grouped folds of training stars."""
    folds = list(grouped_folds(x[1], group, TUNING_FOLDS, 0))
    rows = []
    for power in POWERS:
        found = [
            (test, probabilities((x[0][train], x[1][train]), x[0][test], power, 0))
            for train, test in folds
        ]
        for share in DECISIONS:
            scores = [balanced_accuracy(x[1][t], decide(f, power, share)) for t, f in found]
            rows.append({"power": power, "decision": share, "score": float(np.mean(scores))})
            print(f"train folds: power {power}, decision {share}: {rows[-1]['score']:.4f}")
    best = max(rows, key=lambda row: row["score"])
    return best["power"], best["decision"], rows


def main() -> None:
    """Measure the three sets and the peer, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    arguments = parser.parse_args()
    table, about = read(arguments.data)
    label, split, group = about["label"], about["split"], about["group"]
    test = split == "test"
    train = (split == "train") & ~np.isin(group, group[test])
    print(f"{train.sum()} training stars, {test.sum()} test stars, {table.n_features} features")
    learn = FeatureTable(table.values[train], table.names)
    power, share, tuning = tune((learn.values, label[train]), group[train])
    trees = HistGradientBoostingClassifier(class_weight="balanced", random_state=0, **BOOSTER)
    chosen = select_features(
        learn, label[train], trees, groups=group[train], n_folds=3, n_repeats=1
    )
    print(chosen.report())
    matter = permutation_importance(
        trees, chosen.apply(learn), label[train], groups=group[train], n_folds=3, n_repeats=2
    )
    print(matter.report())
    components = principal_components(learn)
    print(components.report())
    sets = {
        "all": (learn.values, table.values[test]),
        "selected": (chosen.apply(learn).values, chosen.apply(table).values[test]),
        "components": (components.scores(learn), components.scores(table)[test]),
    }
    rows = []
    for name, (old, new) in sets.items():
        for model in ("booster", "forest"):
            scores, begin = [], time.perf_counter()
            for seed in range(arguments.seeds):
                if model == "booster":
                    found = probabilities((old, label[train]), new, power, seed)
                    predicted = decide(found, power, share)
                else:
                    forest = RandomForestClassifier(
                        200,
                        min_samples_leaf=2,
                        class_weight="balanced_subsample",
                        random_state=seed,
                        n_jobs=2,
                    ).fit(old, label[train])
                    predicted = forest.predict(new)
                scores.append(balanced_accuracy(label[test], predicted))
            rows.append(
                {
                    "features": name,
                    "n_features": old.shape[1],
                    "model": model,
                    "balanced_accuracy": float(np.mean(scores)),
                    "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
                    "scores": scores,
                    "seconds": time.perf_counter() - begin,
                }
            )
            print(
                f"{name:10} {old.shape[1]:4} {model:8} balanced accuracy {np.mean(scores):.4f} "
                f"± {np.std(scores):.4f} ({arguments.seeds} seeds)"
            )
    record(
        "features_use",
        rows,
        arguments.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="scikit-learn RandomForestClassifier on the same features",
        power=power,
        decision=share,
        tuning=tuning,
        selected=list(chosen.kept),
        importance=matter.table().head(20).to_dict("list"),
        curve=chosen.curve.table().to_dict("list"),
    )


if __name__ == "__main__":
    main()

"""Networks, teachers and baselines on the Catalina South variables.

    python benchmarks/classify_crts.py --data DATA/ --cache FOLDER/ [--seeds 5] [--only micro]

Published split (Hosenie et al. 2020), the catalogue's period, 11 classes; training stars with a
twin among the test stars are left out. No input tells apparent brightness or cadence. All settings
were chosen on validation stars out of train; the test stars are predicted once for each model and
seed. Decisions are argmax of the probabilities under (a) the priors of the weighted loss, shares to
the power of one half, which is what a network or forest of weighted classes says by itself, (b)
the shares of the training stars and (c) those that expectation maximisation finds in the unlabelled
test stars. Peers: iTCN and iResNet of Zhang & Bloom 2021 rebuilt, and scikit-learn's forest.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclic_baselines
import numpy as np
import torch
from numpy.typing import NDArray
from record import record
from sklearn.ensemble import RandomForestClassifier

from astroprep.clean import FlagBad, SigmaClip
from astroprep.compress.distil import DistilSettings, distil
from astroprep.features import FEATURES, FeatureExtractor
from astroprep.io import ColumnNames, open_survey
from astroprep.model.calibrate import (
    correct_priors,
    estimate_priors,
    fit_temperature,
    softmax,
    tempered_priors,
)
from astroprep.model.evaluate import accuracy, balanced_accuracy, macro_f1
from astroprep.model.firenet import build_network, count_parameters, firenet_spec, fold_batchnorm
from astroprep.model.teachers import TeacherSettings, train_teacher
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    fit_network,
    predict_logits,
)
from astroprep.pipeline.recipe import SplitTable
from astroprep.pipeline.split import assign_roles
from astroprep.represent import AuxiliaryScale, FoldLayout

LAYOUT = FoldLayout(multiples=(1.0, 2.0))
FEATURE_NAMES = [n for n, f in FEATURES.items() if f.group not in ("cadence", "brightness")]
FIT = TrainSettings(max_epochs=30, batch_size=256, learning_rate=5e-3, patience=0, n_threads=1)
# On validation stars fixed convolutions got no weight beside these; folds at half the period and
# augmentation brought nothing.
TEACHER = TeacherSettings(members=("trees", "features", "features", "micro"), max_epochs=15)
DISTIL = DistilSettings(temperatures=(1.0, 2.0), shares=(0.5, 0.9), trial_epochs=6)
POINTS = ("time", "value", "error", "trust", "offsets")
OBJECTS = ("row", "id", "label", "split", "ra", "dec", "period")


def prepared(data: Path, cache: Path) -> dict[str, NDArray[Any]]:
    """Usable points, features and catalogue of all stars; made once."""
    path = cache / "classify_crts.npz"
    if path.exists():
        return dict(np.load(path))
    kept: dict[str, list[NDArray[Any]]] = {k: [] for k in (*POINTS, *OBJECTS, "features")}
    start = 0
    columns = ColumnNames(period="period")
    with open_survey(data / "crts_south.parquet", columns, on_bad="reject") as survey:
        for batch in survey.iter_batches(2000):
            batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
            batch = SigmaClip(on_bad="reject").transform(batch)
            batch = batch.with_columns(objects={"period": batch.objects["catalogue_period"]})
            batch = FeatureExtractor(features=FEATURE_NAMES, on_bad="reject").transform(batch)
            usable = batch.usable
            found = {
                "time": usable.time,
                "value": usable.value,
                "error": usable.error,
                "trust": batch.weight[usable.index],
                "offsets": start + usable.offsets[1:],
                "id": batch.ids,
                **{k: batch.objects[k] for k in (*OBJECTS, "features") if k != "id"},
            }
            start += usable.time.size
            for name, column in found.items():
                kept[name].append(column.astype(str) if column.dtype == object else column)
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    arrays["offsets"] = np.concatenate([[0], arrays["offsets"]])
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def calibrated(
    stars: Any, check: NDArray[Any], test: NDArray[Any], power: float = FIT.class_power
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Test probabilities with a temperature of validation stars, and the shares they assume.

    `stars` has ``code``, ``learn``, ``check``, ``classes`` and ``count``; `check` and `test` are
    logits of a network or forest that learned class weights of this power.
    """
    weight = class_weights(stars.code[stars.learn], len(stars.classes), power)
    truth = stars.code[stars.check]
    p = softmax(test, fit_temperature(check, truth, weight[truth]))
    return p, tempered_priors(stars.count, power)


def trained_once(
    path: Path, spec: dict[str, Any], arrays: TrainingArrays, seed: int
) -> torch.nn.Module:
    """A network of labels alone, batch norms folded; trained, or taken up from `path`."""
    net = build_network(spec, seed)
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        fit_network(net, arrays, replace(FIT, seed=seed))
        torch.save(net.state_dict(), path)
    return fold_batchnorm(net)


class Stars:
    """Inputs, roles and labels."""

    def __init__(self, data: Path, cache: Path) -> None:
        stars = prepared(data, cache)
        texts = {k: stars[k].astype(object) for k in ("id", "label", "split")}
        roles = assign_roles(
            {**texts, "ra": stars["ra"], "dec": stars["dec"]}, SplitTable(), 1, given=True
        )
        self.curves = stars
        self.role = roles.role
        self.classes = np.array(roles.classes)
        self.learn, self.check, self.test = (
            np.flatnonzero(roles.role == name) for name in ("train", "validation", "test")
        )
        self.code = np.searchsorted(self.classes, stars["label"]).clip(0, len(self.classes) - 1)
        self.count = np.bincount(self.code[self.learn])
        offsets = stars["offsets"]
        self.folded = LAYOUT.fold(
            *(stars[k] for k in POINTS), stars["time"][offsets[:-1]], stars["period"][:, None], -1.0
        )
        self.features = stars["features"]
        self.auxiliary = AuxiliaryScale.fit(self.features[self.learn]).apply(self.features)

    def arrays(self, teacher: NDArray[np.float32] | None = None) -> TrainingArrays:
        """Training stars, then validation stars."""
        rows = np.concatenate([self.learn, self.check])
        return TrainingArrays(
            self.folded[rows],
            self.auxiliary[rows],
            self.code[rows].astype(np.int64),
            np.arange(rows.size) >= self.learn.size,
            teacher=teacher,
        )

    def scores(self, check: NDArray[Any], test: NDArray[Any], power: float) -> dict[str, float]:
        """Test scores of logits of validation and test stars that learned priors of this power."""
        p, learned = calibrated(self, check, test, power)
        wanted = {
            "": learned,
            "_train_shares": tempered_priors(self.count, 0.0),
            "_estimated": estimate_priors(p, learned),
        }
        label = self.classes[self.code[self.test]]
        result = {}
        for name, priors in wanted.items():
            said = self.classes[correct_priors(p, learned, priors).argmax(axis=1)]
            result |= {
                f"accuracy{name}": accuracy(label, said, self.classes),
                f"balanced_accuracy{name}": balanced_accuracy(label, said, self.classes),
                f"macro_f1{name}": macro_f1(label, said, self.classes),
            }
        return result

    def spec(self, preset: str) -> dict[str, Any]:
        """Description of a network for these inputs."""
        return firenet_spec(
            preset,
            n_channels=self.folded.shape[1],
            n_bins=self.folded.shape[2],
            n_auxiliary=self.auxiliary.shape[1],
            n_classes=len(self.classes),
        )

    def of_network(self, net: Any) -> dict[str, float]:
        """Scores of a network."""
        sides = (self.check, self.test)
        logits = [predict_logits(net, self.folded[k], self.auxiliary[k]) for k in sides]
        return self.scores(logits[0], logits[1], FIT.class_power)


def labels_alone(stars: Stars, preset: str, seed: int) -> dict[str, Any]:
    """A network that learned from labels."""
    net = build_network(stars.spec(preset), seed)
    fit_network(net, stars.arrays(), replace(FIT, seed=seed))
    return {"parameters": count_parameters(net), **stars.of_network(fold_batchnorm(net))}


def taught(stars: Stars, teacher: NDArray[np.float32], chosen: DistilSettings, seed: int) -> Any:
    """A `micro` network that learned from the teacher too."""
    made = distil(stars.spec("micro"), stars.arrays(teacher), chosen, replace(FIT, seed=seed))
    row = {"parameters": count_parameters(made.net), **stars.of_network(fold_batchnorm(made.net))}
    pair = (made.fit.distillation_temperature, made.fit.distillation)
    return row | {"temperature": pair[0], "share": pair[1], "trials": made.trials}


def teach(stars: Stars, cache: Path, seed: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """What the teachers say of training and validation stars, and their own scores; made once."""
    path = cache / f"teacher_{seed}.npz"
    if not path.exists():
        fit = replace(FIT, seed=seed)
        begin = time.perf_counter()
        made = train_teacher(
            stars.arrays(), len(stars.classes), TEACHER, fit,
            progress=lambda i, n: print(f"  classifier {i} of {n}", flush=True),
        )  # fmt: skip
        check = np.log(np.maximum(made.probability[stars.learn.size :], 1e-7))
        test = np.log(
            np.maximum(
                made.predict_proba(stars.folded[stars.test], stars.auxiliary[stars.test]), 1e-7
            )
        )
        row = {
            "members": made.members,
            "joined": made.joined,
            "minutes": (time.perf_counter() - begin) / 60,
            **stars.scores(check, test, FIT.class_power),
        }
        np.savez(path, probability=made.probability, row=json.dumps(row))
    stored = np.load(path)
    return stored["probability"], json.loads(str(stored["row"]))


def forest(stars: Stars, seed: int) -> dict[str, Any]:
    """Scikit-learn's forest on the same features."""
    weight = class_weights(stars.code[stars.learn], len(stars.classes), FIT.class_power)
    model = RandomForestClassifier(
        200, min_samples_leaf=2, class_weight=dict(enumerate(weight)), random_state=seed
    ).fit(stars.features[stars.learn].astype(np.float32), stars.code[stars.learn])
    logits = [
        np.log(model.predict_proba(stars.features[k].astype(np.float32)) + 1e-3)
        for k in (stars.check, stars.test)
    ]
    return stars.scores(logits[0], logits[1], FIT.class_power)


def baseline(stars: Stars, kind: str, epochs: int, seed: int) -> dict[str, Any]:
    """A network of Zhang & Bloom, which weighs all stars alike."""
    net, (mean, sigma), _ = cyclic_baselines.train(
        kind, stars.curves, stars.code.astype(np.int64), stars.learn, stars.check,
        len(stars.classes), epochs=epochs, seed=seed,
    )  # fmt: skip
    logits = []
    for rows in (stars.check, stars.test):
        x, a = cyclic_baselines.sequences(stars.curves, rows, seed)
        logits.append(cyclic_baselines.logits_of(net, x, (a - mean) / sigma).numpy())
    parameters = sum(p.numel() for p in net.parameters())
    return {"parameters": parameters, "epochs": epochs, **stars.scores(logits[0], logits[1], 0.0)}


def measure(
    stars: Stars, model: str, seed: int, chosen: DistilSettings, given: argparse.Namespace
) -> dict[str, Any]:
    """Train and score one model."""
    if model == "forest":
        return forest(stars, seed)
    if model == "hard":
        return labels_alone(stars, "micro", seed)
    if model == "teacher":
        return teach(stars, given.cache, seed)[1]
    if model == "micro":  # all students have the teacher of the first seed
        return taught(stars, teach(stars, given.cache, 1)[0], chosen, seed)
    return baseline(stars, model, given.baseline_epochs, seed)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--teacher-seeds", type=int, default=1)
    parser.add_argument("--baseline-seeds", type=int, default=1)
    parser.add_argument("--baseline-epochs", type=int, default=30)
    parser.add_argument("--only", default="forest,hard,teacher,micro,iTCN,iResNet")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = Stars(given.data, given.cache)
    print(f"{stars.learn.size} + {stars.check.size} + {stars.test.size} stars", flush=True)
    rows: list[dict[str, Any]] = []
    chosen = DISTIL
    for model in given.only.split(","):
        n_seeds = given.teacher_seeds if model == "teacher" else given.seeds
        if model in ("iTCN", "iResNet"):
            n_seeds = given.baseline_seeds
        made = []
        for seed in range(1, n_seeds + 1):
            path = given.cache / f"row_{model}_{seed}.json"
            if not path.exists():
                begin = time.perf_counter()
                row = measure(stars, model, seed, chosen, given)
                row |= {"model": model, "seed": seed, "seconds": time.perf_counter() - begin}
                path.write_text(json.dumps(row))
            made.append(json.loads(path.read_text()))
            if model == "micro":  # what the first seed chose serves the others
                chosen = DistilSettings((made[0]["temperature"],), (made[0]["share"],))
        rows += made
        for rule in ("", "_train_shares", "_estimated"):
            keys = [f"{m}{rule}" for m in ("accuracy", "balanced_accuracy", "macro_f1")]
            values = np.array([[row[key] for key in keys] for row in made])
            spread = values.std(axis=0, ddof=1) if len(made) > 1 else np.zeros(3)
            words = "  ".join(
                f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(0), spread, strict=True)
            )
            print(f"{model:8} {rule or '_weighted':14} {words}  ({len(made)} seeds)", flush=True)
    path = record(
        "classify_crts",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="iTCN and iResNet (Zhang & Bloom 2021) rebuilt, scikit-learn RandomForestClassifier",
    )
    print(path)


if __name__ == "__main__":
    main()

"""Drop, impute or keep missing values: what each does to recall per class after training.

    python benchmarks/clean_missing.py --data DATA/ [--on test] [--no-network]

Catalina South variables lose the points that a shallower survey would have lost: the chance of
a detection falls with the magnitude of the point, so faint stars and deep minima go first, as in
any flux-limited survey. Learned is on a sample of the published train split, with the same
losses; scored on the published test split (or, with ``--on validation``, on train stars that were
not learned from: on those the losses and the settings were chosen). Periods are those of the
catalogue, since this is not about finding them. An object that a strategy cannot serve counts as
wrong. One thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # and scikit-learn

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record
from scipy.spatial import cKDTree
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from astroprep.clean import DropMissing, DropShort, FlagBad, Impute, KeepMissing
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.features import FeatureExtractor
from astroprep.interchange import from_arrow
from astroprep.represent import FoldedChannels

LIMIT_MAG = 17.0  # half of the points of this magnitude are lost
LIMIT_WIDTH = 0.3  # mag; steepness of the detection curve
LEARNED_PER_CLASS, SCORED_PER_CLASS = 200, 150
MIN_POINTS = 20  # below which the drop strategy sets an object aside; default of DropShort
SHARES = ("missing_fraction",)
TWIN = 6 / 3600  # degrees; stars this close to a test star are not learned from

Strategy = Callable[[LightCurveBatch], LightCurveBatch]
Predict = Callable[[LightCurveBatch], NDArray[Any]]


def describe(extra: tuple[str, ...] = ()) -> list[Any]:
    """Steps from usable points to features and channels; what they cannot serve is rejected."""
    return [FeatureExtractor(extra=extra, on_bad="reject"), FoldedChannels(on_bad="reject")]


def steps(*those: Any, extra: tuple[str, ...] = ()) -> Strategy:
    """One function of a list of steps."""
    return make_pipeline(FlagBad(), *those, *describe(extra)).fit_transform  # type: ignore[no-any-return]


STRATEGIES: dict[str, Strategy] = {
    "drop": steps(DropMissing(), DropShort(MIN_POINTS, on_bad="reject")),
    "impute harmonic": steps(Impute(method="harmonic", on_bad="reject")),
    "impute linear": steps(Impute(window=60.0, max_gap=30.0, min_points=3)),
    "keep": steps(KeepMissing()),
    "keep with share": steps(KeepMissing(), extra=SHARES),
}


def survey(data: Path) -> LightCurveBatch:
    """Stars of the published split, without train twins of test stars."""
    table = pq.read_table(data / "crts_south.parquet")
    columns = {
        name: table[name].to_numpy(zero_copy_only=False)
        for name in ("id", "ra", "dec", "label", "split", "period")
    }
    batch = from_arrow(table["lightcurve"], objects=columns)
    ra, dec = np.radians(columns["ra"]), np.radians(columns["dec"])
    xyz = np.column_stack((np.cos(ra) * np.cos(dec), np.sin(ra) * np.cos(dec), np.sin(dec)))
    test, train = columns["split"] == "test", columns["split"] == "train"
    near = cKDTree(xyz[test]).query(xyz)[0] < 2 * np.sin(np.radians(TWIN) / 2)
    return batch[test | (train & ~near)]


def sample(batch: LightCurveBatch, per_class: int, rng: np.random.Generator) -> LightCurveBatch:
    """At most `per_class` stars of each class."""
    label = batch.objects["label"]
    rows = [
        rng.permutation(np.flatnonzero(label == name))[:per_class] for name in sorted(set(label))
    ]
    return batch[np.sort(np.concatenate(rows))]


def lose(batch: LightCurveBatch, rng: np.random.Generator) -> LightCurveBatch:
    """What a survey of that limit had seen: the exposures are there, faint values are not."""
    seen = rng.random(batch.n_points) < 1 / (1 + np.exp((batch.value - LIMIT_MAG) / LIMIT_WIDTH))
    return batch.with_columns(
        value=np.where(seen, batch.value, np.nan), points={"truth": batch.value}
    )


def boosted(train: LightCurveBatch, seed: int) -> Predict:
    """Gradient-boosted trees, which take NaN features as they are."""
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.15, max_leaf_nodes=12, early_stopping=False,
        class_weight="balanced", random_state=seed,
    ).fit(train.objects["features"], train.objects["label"].astype(str))  # fmt: skip
    return lambda batch: np.asarray(model.predict(batch.objects["features"]), dtype=object)


def network(train: LightCurveBatch, seed: int) -> Predict:
    """Train the smallest network for a short time, under equal priors as the trees."""
    from astroprep.model.classifier import FireNetClassifier

    return FireNetClassifier(
        "nano", max_epochs=25, batch_size=64, learning_rate=1e-2, averaging=0.98, patience=0,
        class_power=1.0, prior_power=1.0, seed=seed, n_threads=1,
    ).fit(train).predict  # fmt: skip


def answers(predict: Predict, served: LightCurveBatch, test: LightCurveBatch) -> NDArray[Any]:
    """Predicted class of every test object, ``""`` where the strategy serves it not."""
    predicted = np.full(test.n_curves, "", dtype=object)
    where = np.searchsorted(test.objects["row"], served.objects["row"])
    predicted[where] = predict(served)
    return predicted


def recalls(truth: NDArray[Any], predicted: NDArray[Any], classes: list[str]) -> NDArray[Any]:
    """Recall of each class and their mean."""
    each = [float(np.mean(predicted[truth == name] == name)) for name in classes]
    return np.array([*each, np.mean(each)])


def flips(truth: NDArray[Any], keep: NDArray[Any], other: NDArray[Any]) -> NDArray[np.int64]:
    """Objects that both serve: how many, right under keep only, right under the other only."""
    both = (keep != "") & (other != "")
    a, b = keep == truth, other == truth
    return np.array([both.sum(), (both & a & ~b).sum(), (both & b & ~a).sum()])


def balance(test: LightCurveBatch, classes: list[str]) -> NDArray[np.float64]:
    """Per class: share of points lost, share of objects dropped, class share before and after."""
    flagged = FlagBad().transform(test)
    kept = DropShort(MIN_POINTS, on_bad="reject").transform(flagged)
    label, left = test.objects["label"], kept.objects["label"]
    of_point = np.repeat(label, np.diff(test.offsets))
    gone = ~np.isfinite(test.value)
    rows = []
    for name in classes:
        n, m = (label == name).sum(), (left == name).sum()
        rows.append([gone[of_point == name].mean(), 1 - m / n, n / label.size, m / left.size])
    return np.array(rows)


def imputed_values(test: LightCurveBatch, rng: np.random.Generator) -> dict[str, float]:
    """How far imputed values and errors are from the truth, at random and as they are lost."""
    result = {}
    complete = FlagBad().transform(test.with_columns(value=test.points["truth"]))
    random = (rng.random(test.n_points) < 0.05) & (complete.flags == 0)
    hidden = complete.with_columns(value=np.where(random, np.nan, complete.value))
    for name, given in (("at random", hidden), ("as lost", FlagBad().transform(test))):
        filled = Impute(method="harmonic").transform(given)
        made = (filled.flags & int(PointFlag.IMPUTED)) > 0
        made &= complete.flags & ~np.uint32(PointFlag.ESTIMATED_ERROR) == 0
        off = filled.value[made] - test.points["truth"][made]
        result[f"coverage {name}"] = float(np.mean(np.abs(off) < filled.error[made]))
        result[f"mean offset {name}"] = float(off.mean())
        result[f"filled {name}"] = float(made.sum() / np.isnan(given.value).sum())
    return result


def one_seed(
    whole: LightCurveBatch, on: str, seed: int, models: dict[str, Callable[..., Predict]]
) -> dict[str, Any]:
    """All strategies and models on one sample with one set of losses."""
    rng = np.random.default_rng(seed)
    split = whole.objects["split"]
    learned = sample(whole[split == "train"], LEARNED_PER_CLASS, rng)
    if on == "validation":
        other = np.setdiff1d(whole.objects["row"][split == "train"], learned.objects["row"])
        pool = whole[np.isin(whole.objects["row"], other)]
        if len(set(pool.objects["label"])) < len(set(learned.objects["label"])):
            aside = rng.random(learned.n_curves) < 0.3  # small classes have no others left
            pool, learned = learned[aside], learned[~aside]
    else:
        pool = whole[split == "test"]
    scored = sample(pool, SCORED_PER_CLASS, rng)
    classes = sorted(set(learned.objects["label"]))
    complete = steps()
    train, test = lose(learned, rng), lose(scored, rng)
    truth = test.objects["label"]
    row: dict[str, Any] = {
        "seed": seed,
        "classes": classes,
        "n_learned": train.n_curves,
        "n_scored": test.n_curves,
        "balance": balance(test, classes).tolist(),
        "imputed": imputed_values(test, rng),
        "recall": {},
        "served": {},
        "flips": {},
        "seconds": {},
    }
    described = {"nothing lost": (complete(learned), complete(scored))}
    for name, strategy in STRATEGIES.items():
        begin = time.perf_counter()
        described[name] = strategy(train), strategy(test)
        row["seconds"][name] = time.perf_counter() - begin
    for model, learn in models.items():
        begin = time.perf_counter()
        predict = {name: learn(given, seed) for name, (given, _) in described.items()}
        row["seconds"][model] = time.perf_counter() - begin
        given = {n: answers(predict[n], served, test) for n, (_, served) in described.items()}
        for name, predicted in given.items():
            key = f"{model}, {name}"
            row["recall"][key] = recalls(truth, predicted, classes).tolist()
            row["served"][key] = float(np.mean(predicted != ""))
            if "impute" in name:
                same = answers(predict["keep"], described[name][1], test)
                row["flips"][key] = flips(truth, given["keep"], predicted).tolist()
                row["flips"][f"{key}, same model"] = flips(truth, given["keep"], same).tolist()
    return row


def show(rows: list[dict[str, Any]], models: list[str]) -> None:
    """Print the tables, means over the seeds."""
    classes = rows[0]["classes"]
    short = [name.split("_")[0][:10] for name in classes]
    table = np.mean([row["balance"] for row in rows], axis=0)
    print(f"\nDropping (fewer than {MIN_POINTS} points set aside) moves the classes, per cent")
    print(f"{'':18}" + "".join(f"{s:>11}" for s in short))
    for k, title in enumerate(("points lost", "objects lost", "share before", "share after")):
        print(f"{title:18}" + "".join(f"{100 * v:11.1f}" for v in table[:, k]))
    names = ["nothing lost", *STRATEGIES]
    for model in models:
        print(f"\nRecall per class, {model}, per cent (unserved objects count as wrong)")
        print(f"{'':18}" + "".join(f"{s:>11}" for s in [*short, "mean", "±", "served"]))
        for name in names:
            all_seeds = np.array([row["recall"][f"{model}, {name}"] for row in rows])
            served = np.mean([row["served"][f"{model}, {name}"] for row in rows])
            cells = [*all_seeds.mean(axis=0), all_seeds[:, -1].std(ddof=1), served]
            print(f"{name:18}" + "".join(f"{100 * v:11.1f}" for v in cells))
        print(f"\n{model}, objects served by both: how many, right under keep and wrong under")
        print("impute, the reverse; trained on imputed curves, or the model of keep")
        for name in rows[0]["flips"]:
            if name.startswith(model):
                n = np.sum([row["flips"][name] for row in rows], axis=0)
                print(f"{name:40}{n[0]:8}{n[1]:8}{n[2]:8}")
    print("\nHarmonic imputation held against the values that were lost")
    for key in rows[0]["imputed"]:
        print(f"{key:26}{np.mean([row['imputed'][key] for row in rows]):9.3f}")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--on", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--no-network", action="store_true", help="boosted trees only")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    arguments = parser.parse_args()
    models = {"trees": boosted} if arguments.no_network else {"trees": boosted, "network": network}
    begin = time.perf_counter()
    whole = survey(arguments.data)
    rows = [one_seed(whole, arguments.on, seed, models) for seed in arguments.seeds]
    show(rows, list(models))
    print(f"\n{time.perf_counter() - begin:.0f} s")
    path = record(
        "clean_missing",
        rows,
        arguments.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        scored_on=arguments.on,
        losses=f"logistic in magnitude, {LIMIT_MAG} ± {LIMIT_WIDTH} mag",
        periods="catalogue",
        spread="seeds choose sample, losses and model",
    )
    print(path)


if __name__ == "__main__":
    main()

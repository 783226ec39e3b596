"""Learned descriptions of folds: error on hidden points, and what they add to features.

    python benchmarks/features_learned.py --data DATA/ [--objects 0] [--folds 5] [--out FILE]

Hidden points: from each held-out star a fifth of the points is hidden; each method describes the
rest by six numbers and predicts the hidden ones. Methods: components (probabilistic PCA) and
autoencoder, learned from other stars; six phase bins with lines between them; a Fourier series of
three harmonics by weighted least squares, its level free. Simulated stars are compared with their
noise-free light, stars of Catalina South with the measurements, whose noise is in every figure.

Classification: boosted trees on the default features, alone and with the learned numbers beside
them, stratified folds of the published train split; what is learned is learned anew from the
training part of each fold. The published test split is not read. Periods are those of the
catalogue.
"""

from __future__ import annotations

import argparse
import os
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported

import numpy as np
from numpy.typing import NDArray
from record import record
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.features import FeatureExtractor
from astroprep.io import open_survey
from astroprep.io.columns import ColumnNames
from astroprep.model import FoldedAutoencoder
from astroprep.model.evaluate import balanced_accuracy, macro_f1
from astroprep.period import UseCataloguePeriod
from astroprep.represent import FoldedComponents
from astroprep.synthetic import simulate_survey

SEED = 20261128
N = 6  # numbers that describe a fold
HIDDEN = 0.2
Fold = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def ready(batch: LightCurveBatch, least: int = 25) -> LightCurveBatch:
    """Flag bad points, take the catalogue's period, leave out stars of few points."""
    for step in (FlagBad(on_bad="reject"), UseCataloguePeriod(on_bad="reject")):
        batch = step.fit(batch).transform(batch)
    return batch[np.flatnonzero(batch.usable.counts() >= least)]


def catalina(data: Path, n_objects: int, rng: np.random.Generator) -> LightCurveBatch:
    """Random stars of the train split, all for 0."""
    names = ColumnNames(period="period")
    with open_survey(data / "crts_south.parquet", names, on_bad="reject") as survey:
        parts = []
        for batch in survey.iter_batches(4096):
            labelled = (batch.objects["split"] == "train") & (batch.objects["label"] != "")
            parts.append(batch[np.flatnonzero(labelled)])
    whole = LightCurveBatch.concat(parts)
    if n_objects:
        whole = whole[np.sort(rng.permutation(whole.n_curves)[:n_objects])]
    return ready(whole)


def hide(
    batch: LightCurveBatch, rng: np.random.Generator
) -> tuple[LightCurveBatch, NDArray[np.bool_]]:
    """Batch in which a share of the usable points is flagged, and which they are."""
    usable = np.zeros(batch.n_points, bool)
    usable[batch.usable.index] = True
    hidden = usable & (rng.random(batch.n_points) < HIDDEN)
    flags = batch.flags | np.where(hidden, np.uint32(PointFlag.OTHER_BAND), np.uint32(0))
    return batch.with_columns(flags=flags), hidden


def fourier(phase: NDArray[np.float64], z: NDArray[np.float64], e: NDArray[np.float64]) -> Fold:
    """Three harmonics and a level by weighted least squares."""

    def basis(p: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = 2 * np.pi * np.outer(p, np.arange(1, N // 2 + 1))
        return np.hstack([np.ones((p.size, 1)), np.cos(turns), np.sin(turns)])

    weight = 1 / e
    solved = np.linalg.lstsq(basis(phase) * weight[:, None], z * weight, rcond=None)[0]
    return lambda p: np.asarray(basis(p) @ solved)


def bins(
    phase: NDArray[np.float64], z: NDArray[np.float64], e: NDArray[np.float64], n: int
) -> Fold:
    """Weighted means in n phase bins, lines between the filled ones."""
    where = (phase * n + 0.5).astype(int) % n
    weight = np.bincount(where, e**-2, n)
    mean = np.bincount(where, z * e**-2, n) / np.maximum(weight, 1e-300)
    filled = np.flatnonzero(weight > 0)
    return lambda p: np.interp(p, filled / n, mean[filled], period=1.0)


def errors_on_hidden(
    batch: LightCurveBatch,
    truth: NDArray[np.float64],
    steps: dict[str, Any],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Root mean square over the hidden points of each star, in its robust sigmas."""
    shown, hidden = hide(batch, rng)
    made = {name: step.set_params(on_bad="reject").transform(shown) for name, step in steps.items()}
    first = made["components"]
    folds = {
        "components": steps["components"].reconstruct(first.objects["folded_coefficients"]),
        "autoencoder": steps["autoencoder"].reconstruct(made["autoencoder"].objects["folded_code"]),
    }
    place = {row: i for i, row in enumerate(batch.objects["row"])}
    usable, rows = first.usable, {name: [] for name in (*folds, f"{N} bins", "fourier", "32 bins")}
    for k, row in enumerate(first.objects["row"]):
        i = place[row]
        a, b = batch.offsets[i : i + 2]
        lost = np.flatnonzero(hidden[a:b]) + a
        if not lost.size:
            continue
        level, scale = (float(first.objects[f"folded_{n}"][k]) for n in ("level", "scale"))
        epoch, period = (float(first.objects[n][k]) for n in ("folded_epoch", "period"))
        part = slice(usable.offsets[k], usable.offsets[k + 1])
        phase = ((usable.time[part] - epoch) / period) % 1
        z, e = -(usable.value[part] - level) / scale, usable.error[part] / scale
        predictors = {
            f"{N} bins": bins(phase, z, e, N),
            "32 bins": bins(phase, z, e, 32),
            "fourier": fourier(phase, z, e),
        }
        for name, fold in folds.items():
            grid = np.arange(fold.shape[1]) / fold.shape[1]
            predictors[name] = lambda p, g=grid, f=fold[k]: np.interp(p, g, f, period=1.0)
        wanted = -(truth[lost] - level) / scale
        at = ((batch.time[lost] - epoch) / period) % 1
        for name, predict in predictors.items():
            rows[name].append(np.sqrt(np.mean((predict(at) - wanted) ** 2)))
    return {name: np.array(column) for name, column in rows.items()}


def reconstruction(
    what: str, learn: LightCurveBatch, check: LightCurveBatch, truth: NDArray[np.float64]
) -> dict[str, Any]:
    """Learn from one batch and score the hidden points of another."""
    steps: dict[str, Any] = {
        "components": FoldedComponents(N, on_bad="reject"),
        "autoencoder": FoldedAutoencoder(N, on_bad="reject"),
    }
    row: dict[str, Any] = {"what": f"hidden points, {what}", "learned_from": learn.n_curves}
    for name, step in steps.items():
        start = clock.perf_counter()
        step.fit(learn)
        row[f"{name}_fit_seconds"] = round(clock.perf_counter() - start, 1)
    found = errors_on_hidden(check, truth, steps, np.random.default_rng(SEED))
    row["held_out"] = len(found["fourier"])
    rng = np.random.default_rng(SEED)
    for name, column in found.items():
        against = column / found["fourier"]
        again = [np.median(rng.choice(against, against.size)) for _ in range(500)]
        row[name] = {
            "median_rms": round(float(np.median(column)), 4),
            "p90_rms": round(float(np.quantile(column, 0.9)), 4),
            "median_ratio_to_fourier": round(float(np.median(against)), 4),
            "ratio_spread": round(float(np.std(again)), 4),
        }
    print(row["what"], f"{row['learned_from']} learned from, {row['held_out']} held out")
    for name in found:
        print(f"  {name:12} {row[name]}")
    return row


def classification(batch: LightCurveBatch, n_folds: int) -> list[dict[str, Any]]:
    """Scores of boosted trees, fold by fold, on the same stars for every set of inputs."""
    batch = FoldedComponents(1, on_bad="reject").fit_transform(batch)  # the same stars for all
    batch = FeatureExtractor(on_bad="reject").fit_transform(batch)
    label = batch.objects["label"].astype(str)
    names, counts = np.unique(label, return_counts=True)
    batch = batch[np.flatnonzero(np.isin(label, names[counts >= 2 * n_folds]))]
    label = batch.objects["label"].astype(str)
    classes = sorted(set(label))
    scores: dict[str, list[tuple[float, float]]] = {}
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=SEED % 2**31)
    for train, test in splitter.split(np.zeros(len(label)), label):
        pca = FoldedComponents(N).fit(batch[train]).transform(batch).objects
        code = FoldedAutoencoder(N).fit(batch[train]).transform(batch).objects
        features = batch.objects["features"]
        components = np.column_stack(
            [pca[f"folded_{n}"] for n in ("coefficients", "coefficients_error", "chi2")]
        )
        coded = np.column_stack([code["folded_code"], code["folded_code_misfit"]])
        about = np.column_stack([np.log10(batch.objects["period"]), pca["folded_scale"]])
        sets = {
            "features": features,
            "features + components": np.column_stack([features, components]),
            "features + code": np.column_stack([features, coded]),
            "period, scale, components": np.column_stack([about, components]),
            "period, scale, code": np.column_stack([about, coded]),
        }
        for name, X in sets.items():
            trees = HistGradientBoostingClassifier(
                max_iter=100, learning_rate=0.1, class_weight="balanced", random_state=1
            ).fit(X[train], label[train])
            predicted = trees.predict(X[test])
            scores.setdefault(name, []).append(
                (
                    balanced_accuracy(label[test], predicted, classes),
                    macro_f1(label[test], predicted, classes),
                )
            )
    rows = []
    for name, pairs in scores.items():
        gain = np.array(pairs) - np.array(scores["features"])
        row = {
            "what": f"boosted trees on {name}",
            "objects": len(label),
            "classes": len(classes),
            "balanced_accuracy": round(float(np.mean([p[0] for p in pairs])), 4),
            "macro_f1": round(float(np.mean([p[1] for p in pairs])), 4),
            "gain_balanced_accuracy": round(float(gain[:, 0].mean()), 4),
            "gain_macro_f1": round(float(gain[:, 1].mean()), 4),
            "gain_spread": [round(float(s), 4) for s in gain.std(axis=0, ddof=1)],
            "folds": [[round(float(v), 4) for v in p] for p in pairs],
        }
        rows.append(row)
        print({k: v for k, v in row.items() if k != "folds"})
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--objects", type=int, default=0, help="stars of the train split; 0: all")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--simulated", type=int, default=3000, help="simulated stars to learn from")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    rows = []
    if arguments.simulated:
        learn = ready(simulate_survey(arguments.simulated, seed=1, accidents=0.0))
        check = ready(simulate_survey(arguments.simulated // 3, seed=2, accidents=0.0))
        rows.append(reconstruction("simulated stars", learn, check, check.points["truth"]))
    stars = catalina(arguments.data, arguments.objects, rng)
    held = rng.permutation(stars.n_curves) < stars.n_curves // 4
    learn, check = stars[~held], stars[held]
    rows.append(reconstruction("Catalina South", learn, check, check.value))
    rows += classification(stars, arguments.folds)
    path = record(
        "features_learned",
        rows,
        arguments.out,
        data="train split of Hosenie et al. 2020 of the Catalina South variables (Drake et al. "
        "2017), periods of the catalogue; simulated stars of astroprep.synthetic, seeds 1 and 2",
        seed=SEED,
        numbers=N,
    )
    print(path)


if __name__ == "__main__":
    main()

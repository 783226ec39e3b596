"""Five trainings: the compressed network against the float32 one and dense ones of equal bytes.

    python benchmarks/compress_seeds.py --data DATA/ --cache FOLDER/

The recipe `deep_compression.toml` and, as dense rivals, smaller networks trained from the start for
as many epochs. What is trained is kept in ``--cache``. Intervals are of the mean difference
over seeds, from a paired bootstrap that draws test objects within classes, the same for all seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from compress_data import (
    DATA,
    MOST_LOST,
    RECIPE,
    SCORES,
    Variables,
    made_once,
    reference,
    scored,
    tag_of,
    training_of,
    variables,
)
from numpy.typing import NDArray
from record import record

from astroprep.compress.approaches import Task
from astroprep.compress.chain import CompressSettings
from astroprep.compress.stored import CompressedNetwork, store_network, store_tensors
from astroprep.model.firenet import fold_batchnorm
from astroprep.model.train import predict_logits
from astroprep.pipeline.recipe import Recipe, read_recipe
from astroprep.pipeline.settings_tables import settings_from_table

N_RESAMPLES = 1000
CHAIN = ("reference", "pruned + shared", "pruned + shared + matched")
DEPLOYED = CHAIN[-1]  # what the recipe makes


def dense(held: Variables, cache: Path, preset: str, half: bool, seed: int) -> CompressedNetwork:
    """A smaller preset, no weight left out, in four bytes a weight or two."""
    net = reference(held, cache, seed, preset=preset)
    if not half:
        return store_network(net)
    folded = fold_batchnorm(net)
    tensors = {n: t.half().float().numpy() for n, t in folded.state_dict().items()}
    return store_tensors(folded, tensors)


def of_recipe(
    held: Variables, cache: Path, recipe: Recipe, seed: int
) -> dict[str, CompressedNetwork]:
    """The recipe's network as float32, and as it is deployed."""
    settings = settings_from_table(CompressSettings, recipe.compression)
    net = reference(held, cache, seed)
    task = Task(net, held.arrays, settings, training_of(recipe, seed))
    tag = tag_of(recipe.network.preset, task)
    return {name: made_once(name, task, cache, tag) for name in CHAIN}


def scores(
    truth: NDArray[np.int64], said: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Balanced accuracy and macro F1 of codes."""
    table = np.bincount(truth * n_classes + said, minlength=n_classes**2).reshape(n_classes, -1)
    right, true, given = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return np.array([np.mean(right / true), np.mean(2 * right / np.maximum(true + given, 1))])


def interval(
    truth: NDArray[np.int64], first: list[NDArray[np.int64]], second: list[NDArray[np.int64]]
) -> dict[str, list[float]]:
    """Second minus first, mean over seeds: difference and 95 % limits of both scores."""
    n_classes = int(truth.max()) + 1
    members = [np.flatnonzero(truth == k) for k in range(n_classes)]
    rng = np.random.default_rng(0)

    def gap(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        pairs = zip(first, second, strict=True)
        t = truth[rows]
        gaps = [scores(t, b[rows], n_classes) - scores(t, a[rows], n_classes) for a, b in pairs]
        return np.mean(gaps, axis=0)

    drawn = np.array(
        [gap(np.concatenate([rng.choice(m, m.size) for m in members])) for _ in range(N_RESAMPLES)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    here = gap(np.arange(truth.size))
    return {
        name: [float(here[k]), float(low[k]), float(high[k])] for k, name in enumerate(SCORES[1:])
    }


def summary(
    name: str, held: Variables, networks: list[CompressedNetwork], logits: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """Mean, spread and every seed of one approach."""
    measures = [scored(held, one) for one in logits]
    n_bytes = [len(network.data) for network in networks]
    row: dict[str, Any] = {
        "approach": name,
        "bytes": n_bytes,
        "mean_bytes": float(np.mean(n_bytes)),
    }
    for score in SCORES:
        each = [m[score] for m in measures]
        row |= {score: each, f"mean_{score}": float(np.mean(each))}
        row[f"spread_{score}"] = float(np.std(each, ddof=1))
    row["recall"] = {k: [m["recall"][k] for m in measures] for k in held.classes}
    return row


def lost(row: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """Recall that classes lose: the largest loss in the mean, and what the gate says of a seed."""
    gaps = {k: np.array(first["recall"][k]) - row["recall"][k] for k in row["recall"]}
    worst = max(gaps, key=lambda k: float(gaps[k].mean()))
    n_seeds = len(row["bytes"])
    over = [sorted(k for k, gap in gaps.items() if gap[i] > MOST_LOST) for i in range(n_seeds)]
    return {"class": worst, "mean_loss": float(gaps[worst].mean()), "over_gate": over}


def main() -> None:
    """Train the rivals, measure all, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    made = {
        name: [dense(held, given.cache, preset, half, seed) for seed in given.seeds]
        for name, preset, half in (
            ("nano, float32", "nano", False),
            ("micro, float16", "micro", True),
        )
    }
    recipe = read_recipe(RECIPE)
    trained = [of_recipe(held, given.cache, recipe, seed) for seed in given.seeds]
    made |= {name: [one[name] for one in trained] for name in trained[0]}
    inputs = held.test_folded, held.test_auxiliary
    logits = {
        name: [predict_logits(one.net, *inputs) for one in networks]
        for name, networks in made.items()
    }
    said = {name: [one.argmax(axis=1) for one in found] for name, found in logits.items()}
    rows: list[dict[str, Any]] = []
    for name in (*CHAIN, "nano, float32", "micro, float16"):
        row = summary(name, held, made[name], logits[name])
        row["ratio"] = float(np.mean([
            len(a.data) / len(b.data)
            for a, b in zip(made["reference"], made[name], strict=True)
        ]))  # fmt: skip
        row["minus_reference"] = interval(held.test_label, said["reference"], said[name])
        row["compressed_minus_this"] = interval(held.test_label, said[name], said[DEPLOYED])
        row["lost_recall"] = lost(row, rows[0] if rows else row)
        rows.append(row)
        print(
            f"{name:16} {row['mean_bytes']:9,.0f} bytes {row['ratio']:5.2f} times, balanced "
            f"{row['mean_balanced_accuracy']:.4f} +- {row['spread_balanced_accuracy']:.4f}, F1 "
            f"{row['mean_macro_f1']:.4f} +- {row['spread_macro_f1']:.4f}; "
            f"minus reference {row['minus_reference']}, lost {row['lost_recall']}"
        )
    print(
        record(
            "compress_seeds",
            rows,
            given.out,
            data=DATA,
            peer="the same network as float32, and smaller dense networks of about equal bytes",
            seeds=given.seeds,
            epochs=recipe.training["max_epochs"],
            sparsity=recipe.compression["sparsity"],
        )
    )


if __name__ == "__main__":
    main()

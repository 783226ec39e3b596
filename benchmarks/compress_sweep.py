"""How far a small network can be pruned, with and without retraining, and who pays for it.

    python benchmarks/compress_sweep.py --data DATA/ --cache FOLDER/ [--seeds 1 2 3]

The figure of Han et al. 2015 (arXiv:1506.02626, figure 5) for the `micro` network on the Catalina
South variables: pruned in one shot, with the statistics of batch norms taken anew, and pruned in
steps with retraining. Histograms of the weights, and the objects whose class changes at 90 and
95 %. Test objects measure; none of it is chosen by them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from compress_data import (
    DATA,
    RECIPE,
    Variables,
    by_seed,
    reference,
    scored,
    training_of,
    variables,
)
from numpy.typing import NDArray
from record import record

from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.sweep import class_changes, pruned_once
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import predict_logits
from astroprep.pipeline.recipe import read_recipe

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97)
LISTED = (0.9, 0.95)
EDGES = np.linspace(-2.0, 2.0, 81)


def histogram(net: FireNet) -> dict[str, Any]:
    """Weights of all layers, batch norms folded: how many are zero, and where the others lie."""
    state = fold_batchnorm(net).state_dict()
    weights = np.concatenate([t.numpy().ravel() for n, t in state.items() if n.endswith("weight")])
    used = weights[weights != 0]
    return {
        "n_weights": int(weights.size),
        "n_zero": int(weights.size - used.size),
        "counts": np.histogram(used.clip(EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
    }


def changes(
    held: Variables, before: NDArray[np.float32], after: NDArray[np.float32]
) -> dict[str, Any]:
    """Which test objects change class: how many, from what to what, and how sure the whole was."""
    moved = class_changes(before, after, held.test_label)
    pairs = Counter(
        f"{held.classes[a]} -> {held.classes[b]}"
        for a, b in zip(moved.before, moved.after, strict=True)
    )
    truth = np.bincount(held.test_label[moved.index], minlength=len(held.classes))
    share = truth / np.bincount(held.test_label, minlength=len(held.classes))
    return {
        "changed": int(moved.index.size),
        "repaired": moved.repaired,
        "broken": moved.broken,
        "median_margin": float(np.median(moved.margin)),
        "share_of_class": dict(zip(held.classes, share.tolist(), strict=True)),
        "commonest": dict(pairs.most_common(8)),
    }


def swept(held: Variables, cache: Path, preset: str, seed: int, retrain: int) -> list[dict]:
    """Every sparsity, every way, for one network."""
    fit = training_of(read_recipe(RECIPE), seed)
    net = reference(held, cache, seed, preset=preset)

    def answer(one: FireNet) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = predict_logits(one, held.test_folded, held.test_auxiliary)
        return logits

    whole = answer(net)
    rows: list[dict[str, Any]] = [
        {"sparsity": 0.0, "way": "whole", **scored(held, whole), "histogram": histogram(net)}
    ]
    for sparsity in SPARSITIES:
        settings = CompressSettings(
            sparsity=sparsity,
            n_values=0,
            prune_stages=2,
            retrain_epochs=retrain,
            match_classes=False,  # the figure is of pruning alone
        )
        ways = {
            "one shot": pruned_once(net, held.arrays, sparsity, recalibrate=False),
            "recalibrated": pruned_once(net, held.arrays, sparsity),
            "retrained": compress_network(net, held.arrays, settings, fit).net,
        }
        for way, one in ways.items():
            logits = answer(one)
            row: dict[str, Any] = {"sparsity": sparsity, "way": way, **scored(held, logits)}
            if sparsity in LISTED:
                row |= {"histogram": histogram(one), "changes": changes(held, whole, logits)}
            rows.append(row)
    return [{"seed": seed, **row} for row in rows]


def main() -> None:
    """Prune, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--preset", default="micro")
    parser.add_argument("--retrain", type=int, default=15, help="epochs at the last sparsity")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    rows = by_seed(
        given.cache,
        f"sweep_{given.preset}_{given.retrain}",
        given.seeds,
        lambda seed: swept(held, given.cache, given.preset, seed, given.retrain),
    )
    for row in rows:
        if row["seed"] != given.seeds[0]:  # one picture is enough
            row.pop("histogram", None)
    for sparsity, way in dict.fromkeys((row["sparsity"], row["way"]) for row in rows):
        values = [
            row["balanced_accuracy"]
            for row in rows
            if (row["sparsity"], row["way"]) == (sparsity, way)
        ]
        print(
            f"{sparsity:.2f} {way:12} balanced {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        )
    path = record(
        "compress_sweep",
        rows,
        given.out,
        data=DATA,
        peer="the same network, whole",
        network=given.preset,
        retrain=given.retrain,
        seeds=given.seeds,
        edges=EDGES.round(3).tolist(),
    )
    print(path)


if __name__ == "__main__":
    main()

"""Shared values: how k-means begins, how many bits a layer needs, and who should have them.

    python benchmarks/compress_share.py --data DATA/ --cache FOLDER/ [--seeds 1 2 3]

The `micro` network on the Catalina South variables, 70 % of its weights pruned away as in
`compress_table.py`. Weights are shared (a) from centres that are evenly spaced, at quantiles or
drawn at random, (b) in 1 to 8 bits a layer alike, (c) in as many bits altogether, but where a
layer's distortion, alone or times the loss's sensitivity to it, asks for them. Each with the means
that k-means found and after training them. Nothing is chosen by the test stars, which measure.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from compress_data import (
    DATA,
    RECIPE,
    Variables,
    by_seed,
    made_once,
    reference,
    scored,
    tag_of,
    training_of,
    variables,
)
from record import record

from astroprep.compress.approaches import Task
from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.rate import layer_sensitivity, rate_points, values_by_rate
from astroprep.model.firenet import FireNet
from astroprep.model.train import predict_logits
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table

PRUNED = {"sparsity": 0.7, "prune_stages": 2, "stage_epochs": 2, "retrain_epochs": 6}
EPOCHS = 4  # training of the shared values
INITIALISATIONS = ("linear", "density", "random")
FEW = (4, 16)  # values for which the initialisations are compared
ALLOTTED = (2, 3, 4)  # bits of the codes whose rate is given out anew


def ways(net: FireNet, held: Variables) -> dict[str, dict[str, Any]]:
    """Settings of every way to share, by its name."""
    made: dict[str, dict[str, Any]] = {
        f"{start}, {n} values": {"n_values": n, "initialisation": start}
        for n in FEW
        for start in INITIALISATIONS
    }
    for bits in range(1, 9):
        made[f"{bits} bits"] = {"n_values": min(1 << bits, 255)}
    weights = {n: t.numpy() for n, t in net.state_dict().items() if n.endswith("weight")}
    points = [rate_points(one) for one in weights.values()]
    sensitivity = layer_sensitivity(net, held.arrays)
    for bits in ALLOTTED:
        rate = sum(p[bits - 1].rate for p in points) / sum(w.size for w in weights.values())
        for words, mind in (("distortion", None), ("sensitivity", sensitivity)):
            values = values_by_rate(net, rate, sensitivity=mind)
            made[f"rate of {bits} bits by {words}"] = {"values_per_layer": values}
    return made


def shared(held: Variables, cache: Path, seed: int) -> list[dict[str, Any]]:
    """Every way, as k-means leaves it and trained."""
    recipe = read_recipe(RECIPE)
    fit = training_of(recipe, seed)
    settings = settings_from_table(CompressSettings, recipe.compression)
    settings = replace(settings, **PRUNED, share_epochs=EPOCHS, quantize_epochs=EPOCHS)
    task = Task(reference(held, cache, seed, preset="micro"), held.arrays, settings, fit)
    net = made_once("pruned", task, cache, tag_of("micro", task)).net
    rows = []
    for way, changes in {"pruned alone": {"n_values": 0}, **ways(net, held)}.items():
        for epochs in (0, EPOCHS) if "pruned" not in way else (0,):
            how = replace(
                settings, sparsity=0.0, share_epochs=epochs, match_classes=False, **changes
            )
            made = compress_network(net, held.arrays, how, fit)
            change = [
                np.sum((made.weights[name] - tensor.numpy()) ** 2)
                for name, tensor in net.state_dict().items()
                if name.endswith("weight")
            ]
            logits = predict_logits(made.net, held.test_folded, held.test_auxiliary)
            rows.append({
                "seed": seed, "way": way, "epochs": epochs, "bytes": len(made.data),
                "squared_change": float(np.sum(change)), **scored(held, logits),
            })  # fmt: skip
    return rows


def main() -> None:
    """Share, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    rows = by_seed(given.cache, "share", given.seeds, lambda seed: shared(held, given.cache, seed))
    for way, epochs in dict.fromkeys((row["way"], row["epochs"]) for row in rows):
        mine = [row for row in rows if (row["way"], row["epochs"]) == (way, epochs)]
        score = [100 * row["balanced_accuracy"] for row in mine]
        spread = f" ± {stdev(score):.1f}" if len(score) > 1 else ""
        print(
            f"{way:32} {epochs} epochs: {mean(r['bytes'] for r in mine):6,.0f} bytes, change "
            f"{mean(r['squared_change'] for r in mine):8.3f}, balanced {mean(score):.1f}{spread} %"
        )
    path = record(
        "compress_share", rows, given.out, data=DATA, peer="the same network in 4 bits alike",
        seeds=given.seeds, pruned=PRUNED,
    )  # fmt: skip
    print(path)


if __name__ == "__main__":
    main()

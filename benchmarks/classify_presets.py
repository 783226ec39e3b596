"""What each preset of the network costs and reaches on the Catalina South variables.

    python benchmarks/classify_presets.py --data DATA/ --cache FOLDER/ [--seeds 1 2 3] [--only nano]

Data, split and training of `compress_data.py` (the recipe `deep_compression.toml`, labels alone,
the epoch of least validation loss), whose trained networks are taken up from the cache. Errors are
those of the test stars, decided by the priors of the weighted loss. Training time is that of one
processor: the median of three epochs, validation included, times the epochs of the recipe.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import torch
from compress_data import RECIPE, Variables, reference, spec_of, training_of, variables
from record import record

from astroprep.model.calibrate import softmax
from astroprep.model.costs import network_costs
from astroprep.model.evaluate import balanced_accuracy, macro_f1
from astroprep.model.firenet import PRESETS, build_network
from astroprep.model.scores import top_k_error
from astroprep.model.train import fit_network, predict_logits
from astroprep.pipeline.recipe import read_recipe

TIMED = 3  # epochs


def epoch_seconds(held: Variables, preset: str) -> float:
    """Processor time of one epoch of training, validation included."""
    recipe, marks = read_recipe(RECIPE), [time.process_time()]
    fit = replace(training_of(recipe, 1), max_epochs=TIMED, patience=0)
    net = build_network(spec_of(recipe, held, preset), 1)
    fit_network(net, held.arrays, fit, progress=lambda _: marks.append(time.process_time()))
    return float(median(np.diff(marks)))


def measure(held: Variables, cache: Path, preset: str, seed: int) -> dict[str, Any]:
    """Score one network."""
    net = reference(held, cache, seed, preset=preset)
    logits = predict_logits(net, held.test_folded, held.test_auxiliary)
    p, names = softmax(logits, 1.0), np.array(held.classes, dtype=object)
    label, said = names[held.test_label], names[p.argmax(axis=1)]
    return {
        "model": preset,
        "seed": seed,
        **network_costs(net)._asdict(),
        "top1_error": top_k_error(label, p, held.classes, k=1),
        "top2_error": top_k_error(label, p, held.classes, k=2),
        "balanced_accuracy": balanced_accuracy(label, said, held.classes),
        "macro_f1": macro_f1(label, said, held.classes),
    }


def show(rows: list[dict[str, Any]], presets: Sequence[str]) -> None:
    """The table of the documentation, in Markdown."""
    print("| preset | parameters | MAC | weights, activations | training | top-1 | top-2 error |")
    print("|---|---|---|---|---|---|---|")
    for preset in presets:
        made = [row for row in rows if row["model"] == preset]
        one = made[0]

        def said(key: str, made: list[dict[str, Any]] = made) -> str:
            values = [100 * row[key] for row in made]
            return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if values[1:] else "") + " %"

        print(
            f"| `{preset}` | {one['parameters']:,} | {one['macs']:,} | "
            f"{one['weight_bytes'] / 1e3:.1f}, {one['activation_bytes'] / 1e3:.1f} kB | "
            f"{one['training_seconds']:.0f} s | {said('top1_error')} | {said('top2_error')} |"
        )


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--few", default="", help="presets of the first seed alone")
    parser.add_argument("--only", default=",".join(PRESETS))
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    held = variables(given.data, given.cache)
    epochs = training_of(read_recipe(RECIPE), 1).max_epochs
    rows = []
    for preset in given.only.split(","):
        few = preset in given.few.split(",")
        path = given.cache / f"epoch_{preset}.json"
        if not path.exists():
            path.write_text(json.dumps(epoch_seconds(held, preset)))
        spent = {"epochs": epochs, "training_seconds": epochs * json.loads(path.read_text())}
        for seed in given.seeds[: 1 if few else None]:
            path = given.cache / f"preset_{preset}_{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(measure(held, given.cache, preset, seed)))
            rows.append(json.loads(path.read_text()) | spent)
            print(rows[-1], flush=True)
    show(rows, given.only.split(","))
    is_validation = held.arrays.is_validation
    path = record(
        "classify_presets",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020; "
        f"{(~is_validation).sum()} training, {is_validation.sum()} validation and "
        f"{held.test_label.size} test stars",
    )
    print(path)


if __name__ == "__main__":
    main()

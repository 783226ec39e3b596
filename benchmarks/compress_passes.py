"""Every compression pass alone and combined, in bytes written and read back.

    python benchmarks/compress_passes.py --data DATA/ --cache FOLDER/ --epochs 6

The recipe `deep_compression.toml` on the Catalina South variables: published split, periods of
the catalogue. ``--epochs`` shortens the training of the reference, ``--retrain`` that behind every
pass; what is trained is kept in ``--cache``. The file to compare with is that of the same network
as float32. Nothing is chosen by the test objects.
"""

from __future__ import annotations

import argparse
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from compress_data import RECIPE, Variables, reference, training_of, variables
from record import record

from astroprep.compress.approaches import APPROACHES, Task, compress_by
from astroprep.compress.budget import BudgetRow, measure, table_text
from astroprep.compress.chain import CompressedNetwork, CompressSettings
from astroprep.model.evaluate import bootstrap_difference
from astroprep.model.train import predict_logits
from astroprep.pipeline.compare import milliseconds
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table

ORDER = [
    "reference", "half", "pruned", "pruned + shared", "shared", "channels", "channels + shared",
    "low rank", "low rank + shared", "ternary", "binary", "tensor train",
]  # fmt: skip
assert set(ORDER) == set(APPROACHES)


def made_once(name: str, task: Task, path: Path) -> CompressedNetwork:
    """Compress, or take up what was kept."""
    if not path.exists():
        begin = time.perf_counter()
        made = compress_by(name, task)
        print(f"{name}: {len(made.data):,} bytes, {time.perf_counter() - begin:.0f} s", flush=True)
        path.write_bytes(pickle.dumps(made))
    made: CompressedNetwork = pickle.loads(path.read_bytes())
    if name in ("pruned", "channels", "low rank"):
        task.made.setdefault(name, made.net)
    return made


def rows_of(
    held: Variables, made: dict[str, CompressedNetwork]
) -> tuple[list[BudgetRow], list[dict[str, Any]]]:
    """Measures of all, and how far each is from the reference with what error."""
    names = np.array(held.classes)
    truth = names[held.test_label]
    first = made["reference"]
    base = names[predict_logits(first.net, held.test_folded, held.test_auxiliary).argmax(axis=1)]
    rows, differences = [], []
    for name, network in made.items():
        logits = predict_logits(network.net, held.test_folded, held.test_auxiliary)
        ms = milliseconds(network, held.test_folded, held.test_auxiliary)
        rows.append(
            measure(name, network, first, logits, held.test_label, held.classes, milliseconds=ms)
        )
        gap = bootstrap_difference(
            truth, base, names[logits.argmax(axis=1)], held.classes, n_resamples=100
        )
        differences.append(
            {
                "balanced_accuracy_difference": gap.difference,
                "balanced_accuracy_low": gap.low,
                "balanced_accuracy_high": gap.high,
                "parameters": network.n_parameters,
                "sparsity": network.sparsity,
            }
        )
    return rows, differences


def main() -> None:
    """Train, compress, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--epochs", type=int, help="of the reference; the recipe's by default")
    parser.add_argument("--retrain", type=int, help="after a pass; the recipe's by default")
    parser.add_argument("--prune", type=int, help="at the last sparsity; as --retrain by default")
    parser.add_argument("--share", type=int, help="of shared values; the recipe's by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=ORDER, choices=ORDER)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    recipe = read_recipe(RECIPE)
    net = reference(held, given.cache, given.seed, given.epochs)
    settings = settings_from_table(CompressSettings, recipe.compression)
    if given.share is not None:
        settings = replace(settings, share_epochs=given.share)
    if given.retrain is not None:
        settings = replace(settings, retrain_epochs=given.retrain, prune_stages=2, stage_epochs=1)
    task = Task(net, held.arrays, settings, training_of(recipe, given.seed, given.epochs))
    made = {}
    for name in given.only:
        one = task
        if name == "pruned" and given.prune is not None:
            one = replace(task, settings=replace(settings, retrain_epochs=given.prune))
        tag = f"{settings.sparsity}-{settings.n_values}-{given.epochs}-{given.seed}"
        made[name] = made_once(name, one, given.cache / f"{name.replace(' ', '_')}-{tag}.pkl")
    rows, differences = rows_of(held, made)
    print(table_text(rows))
    path = record(
        "compress_passes",
        [row.to_dict() | more for row, more in zip(rows, differences, strict=True)],
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="the same network as float32",
        seeds=[given.seed],
        epochs=given.epochs or recipe.training["max_epochs"],
        retrain=given.retrain or settings.retrain_epochs,
    )
    print(path)


if __name__ == "__main__":
    main()

"""One network made smaller by every pass alone and combined: floats, shared values, integers.

    python benchmarks/compress_table.py --data DATA/ --cache FOLDER/ --preset reference --seeds 1 2

The recipe `deep_compression.toml` on the Catalina South variables: published split, periods of
the catalogue, `--preset` and `--sparsity` in place of the recipe's. Every network is written by
both coders, Huffman words on relative indices (Han et al. 2016) and the adaptive context coder,
read back, and what was read measures; the smaller file counts. The ranges of activations count as
bytes of an integer network. The file to compare with is that of the same network as float32.
Nothing is chosen by the test objects. What is trained is kept in ``--cache``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from compress_data import (
    DATA,
    MOST_LOST,
    RECIPE,
    Variables,
    made_once,
    rare,
    reference,
    tag_of,
    training_of,
    variables,
)
from numpy.typing import NDArray
from record import record

from astroprep.compress.approaches import APPROACHES, Task
from astroprep.compress.budget import BudgetRow, gate, measure, pareto, table_text
from astroprep.compress.chain import CompressSettings
from astroprep.compress.encode import encode_weights
from astroprep.compress.energy import EnergyModel
from astroprep.compress.stored import CompressedNetwork
from astroprep.compress.weights import decode_weights
from astroprep.model.evaluate import bootstrap_difference
from astroprep.pipeline.compare import answers, milliseconds
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table


def coded(made: CompressedNetwork) -> dict[str, int]:
    """Bytes of the file by either coder, read back and found equal."""
    sizes = {}
    for coder in ("huffman", "context"):
        data = encode_weights(made.tensors, coder)
        back = decode_weights(data, made.shapes)
        if any(not np.array_equal(back[name], array) for name, array in made.weights.items()):
            raise SystemExit(f"the {coder} file does not hold what was written")
        sizes[f"{coder}_bytes"] = len(data)
    return sizes


def measured(
    name: str,
    held: Variables,
    made: CompressedNetwork,
    first: CompressedNetwork,
    before: NDArray[np.str_],
) -> tuple[BudgetRow, dict[str, Any]]:
    """Row of the table, and what the table of `astroprep compress` does not say.

    `before` are the classes that the network to compare with says.
    """
    inputs = held.test_folded, held.test_auxiliary
    logits = answers(made, *inputs)
    row = measure(
        name, made, first, logits, held.test_label, held.classes,
        milliseconds=milliseconds(made, *inputs),
    )  # fmt: skip
    names = np.array(held.classes)
    gap = bootstrap_difference(
        names[held.test_label], before, names[logits.argmax(axis=1)], held.classes, n_resamples=100
    )  # of before minus after
    more = {
        "balanced_accuracy_change": -gap.difference,
        "balanced_accuracy_change_low": -gap.high,
        "balanced_accuracy_change_high": -gap.low,
        "rare_recall": mean(row.recall[one] for one in rare(held)),
        "joules_zeros_skipped": EnergyModel(skips_zeros=True).joules(made.net, made.data_type),
        "parameters": made.n_parameters,
        "sparsity": made.sparsity,
    }
    return row, coded(made) | more


def main() -> None:
    """Train, compress, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--preset", help="the recipe's by default")
    parser.add_argument("--sparsity", type=float, help="the recipe's by default")
    parser.add_argument(
        "--retrain",
        type=int,
        help="epochs after a pass; pruning in two stages of two epochs, two thirds for shared "
        "values and rounding. The recipe's by default",
    )
    parser.add_argument("--only", nargs="*", default=list(APPROACHES), choices=list(APPROACHES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    recipe = read_recipe(RECIPE)
    preset = given.preset or recipe.network.preset
    settings = settings_from_table(CompressSettings, recipe.compression)
    if given.sparsity is not None:
        settings = replace(settings, sparsity=given.sparsity)
    if given.retrain is not None:
        less = -(-2 * given.retrain // 3)
        settings = replace(
            settings,
            prune_stages=2,
            stage_epochs=2,
            retrain_epochs=given.retrain,
            share_epochs=less,
            quantize_epochs=less,
        )
    content: list[dict[str, Any]] = []
    for seed in given.seeds:
        net = reference(held, given.cache, seed, preset=preset)
        task = Task(net, held.arrays, settings, training_of(recipe, seed))
        tag = tag_of(preset, task)
        first = made_once("reference", task, given.cache, tag)
        made = {name: made_once(name, task, given.cache, tag) for name in given.only}
        said = answers(first, held.test_folded, held.test_auxiliary).argmax(axis=1)
        before = np.array(held.classes)[said]
        found = [measured(name, held, one, first, before) for name, one in made.items()]
        rows = [row for row, _ in found]
        counts = dict(zip(held.classes, np.bincount(held.test_label).tolist(), strict=True))
        by_name = {row.approach: row for row in rows}
        if "reference" in by_name:
            rows = gate(rows, by_name["reference"], MOST_LOST, counts)
        front = {row.approach for row in pareto(rows)}
        content += [
            {"seed": seed, **row.to_dict(), **more, "on_pareto_front": row.approach in front}
            for row, (_, more) in zip(rows, found, strict=True)
        ]
        print(f"seed {seed}\n{table_text(rows)}", flush=True)
    print(
        record(
            f"compress_table_{preset}",
            content,
            given.out,
            data=DATA,
            peer="the same network as float32",
            network=preset,
            sparsity=settings.sparsity,
            time="of the processor, one thread, the least of three",
            rare=rare(held),
            seeds=given.seeds,
            epochs=recipe.training["max_epochs"],
            retrain=settings.retrain_epochs,
        )
    )


if __name__ == "__main__":
    main()

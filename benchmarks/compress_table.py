"""One network made smaller in every way: floats, shared values, and 8-bit integers.

    python benchmarks/compress_table.py --data DATA/ --cache FOLDER/ --preset micro

The passes of `compress_passes.py` on one preset, and integers calibrated (int8) or trained with
the rounding in place (QAT) from weights that the file holds in 8 bits. Every file is written, read
back, and what was read measures. The ranges of activations count as bytes of an integer network.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from compress_data import RECIPE, Variables, reference, training_of, variables
from compress_passes import made_once
from record import record

from astroprep.compress.approaches import APPROACHES, Task
from astroprep.compress.budget import BudgetRow, measure, pareto, table_text
from astroprep.compress.chain import CompressedNetwork, CompressSettings, store_tensors
from astroprep.compress.prune import apply_masks, keep_masked
from astroprep.compress.quantize import calibrate_ranges, quantize_network, train_quantized
from astroprep.compress.ranges import ActivationRanges
from astroprep.compress.share import to_grid
from astroprep.compress.tensors import GridTensor
from astroprep.deploy.kernel import IntegerKernel
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import predict_logits
from astroprep.pipeline.compare import milliseconds
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table

N_CALIBRATION = 2048


def in_eight_bits(net: FireNet) -> CompressedNetwork:
    """File of a network whose tensors are 8-bit multiples of one scale each."""
    folded = fold_batchnorm(net)
    state = folded.state_dict()
    return store_tensors(folded, {n: GridTensor(*to_grid(t.numpy())) for n, t in state.items()})


def calibrated(held: Variables, net: FireNet) -> ActivationRanges:
    """Ranges from training objects."""
    rows = np.flatnonzero(~held.arrays.is_validation)
    rows = np.random.default_rng(0).permutation(rows)[:N_CALIBRATION]
    return calibrate_ranges(net, held.arrays.folded[rows], held.arrays.auxiliary[rows])


def trained(
    held: Variables, start: FireNet, task: Task, *, hold: bool
) -> tuple[CompressedNetwork, ActivationRanges]:
    """QAT, the zeros of the network held or not; the file is of what was trained."""
    net = fold_batchnorm(start)
    state = net.state_dict().items()
    masks = {n.removesuffix(".weight"): t != 0 for n, t in state if n.endswith(".weight")}
    fit = replace(task.fit, max_epochs=task.settings.share_epochs)
    keep = keep_masked(masks) if hold else None
    out, ranges, _ = train_quantized(net, task.arrays, calibrated(held, net), fit, after_step=keep)
    if hold:
        apply_masks(out, masks)
    return in_eight_bits(out), ranges


def integer_row(
    name: str,
    held: Variables,
    made: CompressedNetwork,
    first: CompressedNetwork,
    ranges: ActivationRanges,
) -> BudgetRow:
    """Measures of a network that computes in 8-bit integers."""
    network = quantize_network(made.net, ranges)
    kernel = IntegerKernel(network)
    inputs = held.test_folded, held.test_auxiliary
    logits = kernel.logits(*inputs) * network.logit_scale
    begin = time.process_time()
    kernel.logits(*inputs)
    ms = 1e3 * (time.process_time() - begin) / len(logits)
    content = {k: np.asarray(v).tolist() if k != "high" else v for k, v in ranges.to_dict().items()}
    counted = replace(made, data=made.data + zlib.compress(json.dumps(content).encode(), 9))
    return measure(
        name, counted, first, logits, held.test_label, held.classes,
        data_type="int8", milliseconds=ms,
    )  # fmt: skip


def float_row(
    name: str, held: Variables, made: CompressedNetwork, first: CompressedNetwork
) -> BudgetRow:
    """Measures of a network that computes in floats."""
    logits = predict_logits(made.net, held.test_folded, held.test_auxiliary)
    ms = milliseconds(made, held.test_folded, held.test_auxiliary)
    return measure(name, made, first, logits, held.test_label, held.classes, milliseconds=ms)


def main() -> None:
    """Train, compress, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--preset", default="micro")
    parser.add_argument("--sparsity", type=float, default=0.7)
    parser.add_argument("--retrain", type=int, help="epochs after a pass; the recipe's by default")
    parser.add_argument("--only", nargs="*", default=list(APPROACHES), choices=list(APPROACHES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    recipe = read_recipe(RECIPE)
    settings = settings_from_table(CompressSettings, recipe.compression)
    settings = replace(settings, sparsity=given.sparsity)
    if given.retrain is not None:
        short = {"retrain_epochs": given.retrain, "share_epochs": -(-2 * given.retrain // 3)}
        settings = replace(settings, prune_stages=2, stage_epochs=2, **short)
    net = reference(held, given.cache, given.seed, preset=given.preset)
    task = Task(net, held.arrays, settings, training_of(recipe, given.seed))
    made: dict[str, CompressedNetwork] = {}
    rows: list[BudgetRow] = []
    for name in given.only:
        tag = f"{given.preset}-{given.sparsity}-{given.retrain}-{given.seed}"
        made[name] = made_once(name, task, given.cache / f"{name.replace(' ', '_')}-{tag}.pkl")
        rows.append(float_row(name, held, made[name], made["reference"]))
    first = made["reference"]
    for name in ("reference", "pruned"):
        label = "" if name == "reference" else f"{name} + "
        plain = in_eight_bits(made[name].net)
        rows.append(integer_row(f"{label}int8", held, plain, first, calibrated(held, plain.net)))
        after, ranges = trained(held, made[name].net, task, hold=name == "pruned")
        rows.append(integer_row(f"{label}QAT", held, after, first, ranges))
    for name in ("shared", "pruned + shared", "ternary"):
        ranges = calibrated(held, made[name].net)
        rows.append(integer_row(f"{name} + int8", held, made[name], first, ranges))
    print(table_text(rows))
    front = {row.approach for row in pareto(rows)}
    content: list[dict[str, Any]] = [
        row.to_dict() | {"on_pareto_front": row.approach in front} for row in rows
    ]
    path = record(
        "compress_table",
        content,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="the same network as float32",
        network=given.preset,
        sparsity=given.sparsity,
        seeds=[given.seed],
        epochs=recipe.training["max_epochs"],
        retrain=settings.retrain_epochs,
    )
    print(path)


if __name__ == "__main__":
    main()

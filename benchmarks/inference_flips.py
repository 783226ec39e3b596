"""How many classes hang on what computes the inputs of the integer network.

    python benchmarks/inference_flips.py --data DATA/ --cache FOLDER/ [--objects 4000]

The integer kernel gives the same answer everywhere from the inputs that it is shown; those come
out of floating-point steps, and another machine has another FFT and another libm. Test stars of
Catalina South go through the recipe `deep_compression.toml` (periods of the catalogue) and an 8-bit
network three times: as they are; with all periodograms by matrix products in place of transforms;
and with every brightness and error moved by one unit in the last place, up or down at random, which
is what another libm does to a sum. Counted: stars of which an input, a logit or the class differs.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from compress_data import (
    DATA,
    RECIPE,
    made_once,
    reference,
    tag_of,
    training_of,
    variables,
)
from numpy.typing import NDArray
from record import record

from astroprep.compress.approaches import Task
from astroprep.compress.chain import CompressSettings
from astroprep.data import LightCurveBatch
from astroprep.io import ColumnNames, open_survey
from astroprep.period.backends import PRODUCT
from astroprep.pipeline.compare import answers
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.settings_tables import settings_from_table
from astroprep.represent import AuxiliaryScale


def products(n_points: NDArray[np.int64], *_: Any) -> NDArray[np.int64]:
    """Matrix products for every curve, whatever they cost."""
    return np.full(n_points.size, PRODUCT, np.int64)


def nudged(batch: LightCurveBatch, rng: np.random.Generator) -> LightCurveBatch:
    """Brightness and errors one unit in the last place away."""

    def moved(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.nextafter(x, np.where(rng.random(x.size) < 0.5, -np.inf, np.inf))

    return replace(batch, value=moved(batch.value), error=moved(batch.error))


def main() -> None:
    """Prepare three times, count and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    recipe = read_recipe(RECIPE).with_period_from("column")
    settings = settings_from_table(CompressSettings, recipe.compression)
    net = reference(held, given.cache, given.seed, preset="micro")
    task = Task(net, held.arrays, settings, training_of(recipe, given.seed))
    network = made_once("int8", task, given.cache, tag_of("micro", task))
    with np.load(given.cache / "variables.npz") as kept:
        scale = AuxiliaryScale.fit(kept["features"][kept["role"] == "train"])
    steps, rng = recipe.make_steps(), np.random.default_rng(given.seed)
    ways: dict[str, list[Prepared]] = {"as they are": [], "matrix products": [], "last place": []}
    n = 0
    source = given.data / "crts_south.parquet"
    with open_survey(source, ColumnNames(period="period"), on_bad="reject") as survey:
        for batch in survey.iter_batches(2000):
            test = batch[batch.objects["split"] == "test"]
            n += len(test)
            ways["as they are"].append(prepare(test, steps))
            with mock.patch.object(import_module("astroprep.period.search"), "choose", products):
                ways["matrix products"].append(prepare(test, steps))
            ways["last place"].append(prepare(nudged(test, rng), steps))
            if n >= given.objects:
                break
    inputs, logits = {}, {}
    for name, parts in ways.items():
        folded = np.concatenate([part.folded for part in parts])
        auxiliary = scale.apply(np.concatenate([part.features for part in parts]))
        inputs[name] = np.concatenate([folded.reshape(len(folded), -1), auxiliary], axis=1)
        logits[name] = answers(network, folded, auxiliary)
    first = "as they are"
    rows = []
    for name in ways:
        gap = np.abs(inputs[name] - inputs[first])
        row = {
            "inputs": name,
            "objects": len(inputs[name]),
            "inputs_differ": int((gap > 0).any(axis=1).sum()),
            "largest_difference": float(gap.max()),
            "logits_differ": int((logits[name] != logits[first]).any(axis=1).sum()),
            "classes_differ": int(
                (logits[name].argmax(axis=1) != logits[first].argmax(axis=1)).sum()
            ),
        }
        print(row, flush=True)
        rows.append(row)
    print(record("inference_flips", rows, given.out, data=DATA, peer="the same steps, as they are"))


if __name__ == "__main__":
    main()

"""The Catalina South variables as the compression benchmarks take them, prepared once.

Published split, periods of the catalogue, the steps of a recipe. Validation objects come out of
the training side; twins of test objects are left out (`astroprep.pipeline.split`).
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from astroprep.compress.approaches import Task, compress_by
from astroprep.compress.stored import CompressedNetwork
from astroprep.io import ColumnNames, open_survey
from astroprep.model.evaluate import evaluate
from astroprep.model.firenet import FireNet, build_network, firenet_spec
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network
from astroprep.pipeline.prepare import prepare
from astroprep.pipeline.recipe import Recipe, read_recipe
from astroprep.pipeline.settings_tables import settings_from_table
from astroprep.pipeline.split import assign_roles
from astroprep.represent import AuxiliaryScale

RECIPE = Path(__file__).parents[1] / "pipelines" / "deep_compression.toml"
DATA = "Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020"
SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
MOST_LOST = 0.05  # recall of a class: what `astroprep compress` allows by default


@dataclass(frozen=True, eq=False)
class Variables:
    """What is learned from, what steers, and what only measures."""

    arrays: TrainingArrays
    test_folded: NDArray[np.float32]
    test_auxiliary: NDArray[np.float32]
    test_label: NDArray[np.int64]
    classes: list[str]


@dataclass(frozen=True)
class Said:
    """Logits of one model for validation and test stars, and what it weighs."""

    check: NDArray[np.float32]
    test: NDArray[np.float32]
    n_bytes: int
    about: dict[str, Any]


def variables(data: Path, cache: Path, recipe: Recipe | None = None) -> Variables:
    """Prepare ``crts_south.parquet`` or take up what an earlier call left in `cache`.

    All recipes that are measured with one `cache` have the same steps as ``RECIPE``.
    """
    if recipe is not None and recipe.steps != read_recipe(RECIPE).steps:
        raise SystemExit(f"{recipe.name} has other steps than {RECIPE.name}")
    path = cache / "variables.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_prepared(data / "crts_south.parquet"))
    with np.load(path) as kept:
        held = {name: kept[name] for name in kept.files}
    learn = np.isin(held["role"], ("train", "validation"))
    test = held["role"] == "test"
    scale = AuxiliaryScale.fit(held["features"][held["role"] == "train"])
    auxiliary = scale.apply(held["features"])
    classes = sorted(set(held["label"][learn].tolist()))
    code = np.searchsorted(classes, held["label"])
    code = np.minimum(code, len(classes) - 1).astype(np.int64)
    if not np.isin(held["label"][test], classes).all():
        raise SystemExit("a test object is of a class that was not learned")
    return Variables(
        TrainingArrays(
            held["folded"][learn],
            auxiliary[learn],
            code[learn],
            held["role"][learn] == "validation",
        ),
        held["folded"][test],
        auxiliary[test],
        code[test],
        classes,
    )


def _prepared(source: Path) -> dict[str, NDArray]:
    recipe = read_recipe(RECIPE).with_period_from("column")
    steps = recipe.make_steps()
    parts, catalogue = [], []
    with open_survey(source, ColumnNames(period="period"), on_bad="reject") as survey:
        for batch in survey.iter_batches(2000):
            if len(batch.rejected):
                raise SystemExit("the reader rejected objects: not the survey that is meant")
            names = ("row", "label", "split", "ra", "dec")
            catalogue.append(
                pd.DataFrame({"id": batch.ids, **{n: batch.objects[n] for n in names}})
            )
            parts.append(prepare(batch, steps))
    table = pd.concat(catalogue).set_index("row", drop=False).sort_index()
    roles = assign_roles(
        {name: table[name].to_numpy() for name in table.columns},
        recipe.split,
        recipe.seed,
        given=True,
    )
    row = np.concatenate([part.row for part in parts])
    return {
        "role": roles.role[row].astype(str),
        "label": table["label"].to_numpy()[row].astype(str),
        "features": np.concatenate([part.features for part in parts]),
        "folded": np.concatenate([part.folded for part in parts]),
    }


def spec_of(recipe: Recipe, held: Variables, preset: str | None = None) -> dict:
    """Description of the recipe's network on this survey, or of a preset."""
    table = recipe.network
    widths = {"auxiliary_width": table.auxiliary_width, "head_width": table.head_width}
    return firenet_spec(
        preset or table.preset,
        **({} if preset else widths),
        n_channels=held.arrays.folded.shape[1],
        n_bins=held.arrays.folded.shape[2],
        n_auxiliary=held.arrays.auxiliary.shape[1],
        n_classes=len(held.classes),
    )


def training_of(recipe: Recipe, seed: int, epochs: int | None = None) -> TrainSettings:
    """How the recipe trains, in one thread, or for fewer epochs."""
    table = {**recipe.training, "seed": seed, "n_threads": 1}
    settings: TrainSettings = settings_from_table(TrainSettings, table)
    return replace(settings, max_epochs=epochs or settings.max_epochs)


def reference(
    held: Variables, cache: Path, seed: int, epochs: int | None = None, preset: str | None = None
) -> FireNet:
    """The recipe's network, trained, or taken up from `cache`."""
    recipe = read_recipe(RECIPE)
    settings = training_of(recipe, seed, epochs)
    net = build_network(spec_of(recipe, held, preset), seed=seed)
    name = preset or recipe.network.preset
    path = cache / f"{name}-{settings.max_epochs}-{seed}.pt"
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    fit_network(
        net,
        held.arrays,
        settings,
        checkpoint=cache / f"{path.stem}.part",
        progress=lambda row: print(name, {k: round(v, 4) for k, v in row.items()}, flush=True),
    )
    torch.save(net.state_dict(), path)
    return net


def made_once(name: str, task: Task, cache: Path, tag: str) -> CompressedNetwork:
    """Compress in one of the named ways, or take up what an earlier call left in `cache`.

    `tag` tells apart what the name of the approach does not: network, settings and seed.
    """
    path = cache / f"{name.replace(' ', '_')}-{tag}.pkl"
    if path.exists():
        task.made[name] = pickle.loads(path.read_bytes())
        return task.made[name]
    begin = time.process_time()
    made = compress_by(name, task)
    print(f"{name}: {made.n_bytes:,} bytes, {time.process_time() - begin:.0f} s", flush=True)
    path.write_bytes(pickle.dumps(made))
    return made


def by_seed(
    cache: Path, name: str, seeds: list[int], make: Callable[[int], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Rows of all seeds; those of a seed are made once and kept in `cache`."""
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        path = cache / f"{name}_{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(make(seed)))
        rows += json.loads(path.read_text())
        print(f"seed {seed}: done", flush=True)
    return rows


def tag_of(preset: str, task: Task) -> str:
    """What tells one compression of the same name from another."""
    settings = task.settings
    passes = (settings.retrain_epochs, settings.share_epochs, settings.quantize_epochs)
    epochs = "-".join(str(n) for n in (task.fit.max_epochs, *passes))
    return f"{preset}-{settings.sparsity}-{settings.n_values}-{epochs}-{task.fit.seed}"


def scored(held: Variables, logits: NDArray[np.floating]) -> dict[str, Any]:
    """Scores of the test objects, and the recall of every class."""
    names = np.array(held.classes)
    found = evaluate(names[held.test_label], names[logits.argmax(axis=1)], held.classes)
    recall = {name: float(one["recall"]) for name, one in found["per_class"].items()}
    return {key: float(found[key]) for key in SCORES} | {"recall": recall}


def rare(held: Variables, share: float = 0.01) -> list[str]:
    """Classes with less than this share of the training objects."""
    label = held.arrays.label[~held.arrays.is_validation]
    count = np.bincount(label, minlength=len(held.classes))
    return [name for name, n in zip(held.classes, count, strict=True) if n < share * label.size]

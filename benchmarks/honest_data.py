"""Prepared Catalina South stars and junk for `classify_honest.py`, kept in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.io import ColumnNames, open_survey
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.recipe import Recipe, SplitTable, read_recipe
from astroprep.pipeline.split import Roles, assign_roles

ROOT = Path(__file__).parents[1]
BATCH = 2000
N_JUNK = 400  # curves of each kind and side
JUNK = ("noise", "constant", "permuted", "k2_systematics")


def micro_recipe() -> Recipe:
    """The shipped recipe with the smallest network that is meant for stars."""
    recipe = read_recipe(ROOT / "pipelines" / "periodic_variables.toml")
    network = recipe.network.model_copy(update={"preset": "micro"})
    return recipe.model_copy(update={"network": network})


def catalogue_of(data: Path, cache: Path) -> pd.DataFrame:
    """Id, label, split and position of every object."""
    path = cache / "catalogue.parquet"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        columns = ["id", "label", "split", "ra", "dec"]
        frame = pd.read_parquet(data / "crts_south.parquet", columns=columns)
        for name in ("id", "label", "split"):
            frame[name] = frame[name].fillna("").astype(str)
        frame.to_parquet(path, index=False)
    return pd.read_parquet(path)


def roles_of(catalogue: pd.DataFrame, recipe: Recipe) -> Roles:
    """Train, validation and test as `astroprep run` divides them."""
    columns = {name: catalogue[name].to_numpy() for name in ("id", "label", "split", "ra", "dec")}
    return assign_roles(columns, SplitTable(), recipe.seed, given=True)


def junk_of(
    kind: str, batch: LightCurveBatch, k2: LightCurveBatch, rng: np.random.Generator
) -> LightCurveBatch:
    """Curves that are no star of any class, at the times and errors of real ones."""
    value = np.array(batch.value)
    time = np.array(batch.time)
    for i in range(batch.n_curves):
        part = slice(batch.offsets[i], batch.offsets[i + 1])
        middle = np.nanmedian(value[part])
        if kind == "noise":
            value[part] = middle + batch.error[part] * rng.normal(size=value[part].size)
        elif kind == "constant":
            value[part] = middle
        elif kind == "permuted":
            value[part] = rng.permutation(value[part])
        else:
            star = k2[int(rng.integers(k2.n_curves))]
            good = np.flatnonzero(np.isfinite(star.value) & (star.value > 0))
            chosen = np.sort(rng.choice(good, value[part].size, replace=False))
            time[part] = 54000.0 + star.time[chosen]
            value[part] = middle - 2.5 * np.log10(star.value[chosen] / np.median(star.value[good]))
    return batch.with_columns(time=time, value=value)


def _prepared(path: Path, batch: LightCurveBatch, recipe: Recipe) -> Prepared:
    if not path.exists():
        prepare(batch, recipe.make_steps()).save(path)
    return Prepared.load(path)


def survey_parts(data: Path, cache: Path, recipe: Recipe) -> Iterator[Prepared]:
    """Prepared stars, part by part."""
    cache.mkdir(parents=True, exist_ok=True)
    done = sorted(cache.glob("part-*.arrow"))
    with open_survey(data / "crts_south.parquet", on_bad="reject") as survey:
        if sum(Prepared.load(path).n_objects for path in done) == survey.n_objects:
            yield from map(Prepared.load, done)
            return
        for i, batch in enumerate(survey.iter_batches(BATCH)):
            yield _prepared(cache / f"part-{i:06d}.arrow", batch, recipe)


def junk_parts(
    data: Path, cache: Path, recipe: Recipe, role: NDArray[np.object_]
) -> Iterator[tuple[str, str, Prepared]]:
    """Side (``validation`` or ``test``), kind, and prepared junk made of stars of that side."""
    paths = {
        (side, kind): cache / f"junk-{side}-{kind}.arrow"
        for side in ("validation", "test")
        for kind in JUNK
    }
    if all(path.exists() for path in paths.values()):
        for (side, kind), path in paths.items():
            yield side, kind, Prepared.load(path)
        return
    with open_survey(data / "crts_south.parquet", on_bad="reject") as survey:
        batches = list(survey.iter_batches(BATCH))
    with open_survey(data / "space" / "k2", ColumnNames(), on_bad="reject", flux="sap") as survey:
        k2 = LightCurveBatch.concat(list(survey.iter_batches(10)))
    rng = np.random.default_rng(3)
    for side in ("validation", "test"):
        rows = rng.choice(np.flatnonzero(role == side), N_JUNK, replace=False)
        stars = LightCurveBatch.concat([b[np.isin(b.objects["row"], rows)] for b in batches])
        for kind in JUNK:
            made = junk_of(kind, stars, k2, rng)
            yield side, kind, _prepared(paths[side, kind], made, recipe)

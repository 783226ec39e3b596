"""Catalina South stars and junk, prepared and seen by networks, all kept in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.data import LightCurveBatch
from astroprep.io import ColumnNames, open_survey
from astroprep.model.calibrate import tempered_priors
from astroprep.model.firenet import build_network, firenet_spec, fold_batchnorm
from astroprep.model.outputs import Outputs
from astroprep.model.train import (
    TrainingArrays,
    TrainSettings,
    class_weights,
    fit_network,
    predict_logits,
)
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.pipeline.recipe import Recipe, SplitTable, read_recipe
from astroprep.pipeline.split import Roles, assign_roles
from astroprep.represent import AuxiliaryScale

ROOT = Path(__file__).parents[1]
BATCH = 2000
N_JUNK = 400  # curves of each kind and side
POWER = TrainSettings().class_power
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "none": (),
    "rotational": ("Rotational",),
    "RR Lyrae": ("RRab", "RRc", "RRd", "Blazhko"),
    "LPV": ("LPV",),
    "EA": ("EA_detached",),
    "Cepheids, delta Scuti": ("ACEP", "Cep-II", "delta-Scuti"),
}
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


@dataclass
class Learned:
    """What one network says of prepared stars and junk."""

    classes: list[str]
    role: NDArray[np.object_]
    label: NDArray[np.object_]
    logits: NDArray[np.float32]
    auxiliary: NDArray[np.float32]
    junk: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Stars of a class that was learned."""
        return np.isin(self.label, self.classes)

    def code(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Classes of stars."""
        return np.searchsorted(self.classes, self.label[rows].astype(str))

    def priors(self, power: float) -> NDArray[np.float64]:
        """Class shares of the training stars, evened by a power."""
        count = np.bincount(self.code(self.known & (self.role == "train")))
        return tempered_priors(count, power)

    def outputs(self) -> Outputs:
        """What a run fits on its validation stars."""
        check = self.known & (self.role == "validation")
        train = self.code(self.known & (self.role == "train"))
        weight = class_weights(train, len(self.classes), POWER)
        return Outputs.fit(self.logits[check], self.code(check), self.priors(POWER), weight)


def learned(data: Path, cache: Path, name: str, seed: int = 1) -> Learned:
    """Train without the classes of `name`, or take up what was trained."""
    recipe = micro_recipe()
    catalogue = catalogue_of(data, cache)
    roles = roles_of(catalogue, recipe).role
    parts = list(survey_parts(data, cache, recipe))
    row = np.concatenate([part.row for part in parts])
    role, label = roles[row], catalogue["label"].to_numpy(object)[row]
    features = np.concatenate([part.features for part in parts])
    use = np.isin(role, ("train", "validation")) & ~np.isin(label, LEFT_OUT[name])
    check = role[use] == "validation"
    classes = sorted(set(label[use]))
    scale = AuxiliaryScale.fit(features[use][~check])
    auxiliary = scale.apply(features)
    junk = {
        f"{side} {kind}": part
        for side, kind, part in junk_parts(data, cache, recipe, roles)
        if part.row.size
    }
    path = cache / f"logits-{name.replace(' ', '_').replace(',', '')}-{seed}.npz"
    if not path.exists():
        folded = np.concatenate([part.folded for part in parts])
        arrays = TrainingArrays(
            folded=folded[use],
            auxiliary=auxiliary[use],
            label=np.searchsorted(classes, label[use].astype(str)),
            is_validation=check,
        )
        shape = dict(zip(("n_channels", "n_bins"), folded.shape[1:], strict=True))
        spec = firenet_spec("micro", **shape, n_auxiliary=scale.n_auxiliary, n_classes=len(classes))
        net = build_network(spec, seed)
        epochs = 20 if name == "none" else 10
        fit_network(net, arrays, TrainSettings(seed=seed, max_epochs=epochs, n_threads=1))
        net = fold_batchnorm(net)
        said = {k: predict_logits(net, p.folded, scale.apply(p.features)) for k, p in junk.items()}
        np.savez(path, stars=predict_logits(net, folded, auxiliary), **said)
    said = np.load(path)
    return Learned(
        classes,
        role,
        label,
        said["stars"],
        auxiliary,
        {k: (said[k], scale.apply(part.features)) for k, part in junk.items()},
    )

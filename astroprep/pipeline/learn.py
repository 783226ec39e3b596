"""The middle of a run: gather what was prepared, train, compress."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astroprep.compress.chain import compress_network
from astroprep.compress.distil import DistilSettings, distil
from astroprep.compress.eight_bits import with_ranges
from astroprep.compress.ranges import ActivationRanges
from astroprep.errors import DataError
from astroprep.io import replaced
from astroprep.model.firenet import FireNet, build_network, firenet_spec
from astroprep.model.parallel import fit_parallel
from astroprep.model.refold import Refold
from astroprep.model.teachers import TeacherSettings, train_teacher
from astroprep.model.train import TrainingArrays, TrainSettings
from astroprep.pipeline.job import Job
from astroprep.pipeline.points import load_refold
from astroprep.pipeline.prepare import Prepared
from astroprep.pipeline.settings_tables import settings_from_table
from astroprep.pipeline.split import Roles
from astroprep.represent import AuxiliaryScale

__all__ = [
    "LearningData",
    "Small",
    "compress",
    "learning_data",
    "settings_of_network",
    "teach",
    "train",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LearningData:
    """Training and validation objects, ready for the network.

    Parameters
    ----------
    row : int64 array, shape (n_objects,)
        Rows in the input.
    classes : list of str
        Labels of which a training object survived preparation; codes index it.
    arrays : TrainingArrays
        Inputs and class codes.
    scale : AuxiliaryScale
        Learned from the training objects.
    feature_names : tuple of str
        Of the auxiliaries, marks of missing features last.
    """

    row: NDArray[np.int64]
    classes: list[str]
    arrays: TrainingArrays
    scale: AuxiliaryScale
    feature_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Small:
    """The compressed network, as stored.

    Parameters
    ----------
    spec : dict
        Description of the network, batch norms folded.
    shapes : dict of str to tuple of int
        Of the tensors, in the order of the file.
    data : bytes
        The weights file.
    ranges : ActivationRanges or None
        Of the activations, where the engine computes in integers.
    """

    spec: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    data: bytes
    ranges: ActivationRanges | None


def learning_data(job: Job, catalogue: pd.DataFrame, roles: Roles) -> LearningData:
    """Training and validation objects that survived preparation, in the order of rows."""
    label = catalogue["label"].to_numpy()
    kept: list[Prepared] = []
    for part in job.parts():
        mask = np.isin(roles.role[part.row], ("train", "validation"))
        kept.append(
            replace(
                part,
                row=part.row[mask],
                id=part.id[mask],
                period=part.period[mask],
                features=part.features[mask],
                folded=np.ascontiguousarray(part.folded[mask]),
            )
        )
    row = np.concatenate([part.row for part in kept])
    is_validation = roles.role[row] == "validation"
    classes = sorted(set(label[row[~is_validation]]))
    if len(classes) < 2:
        raise DataError(
            f"training needs two classes, but {classes or 'none'} survived preparation: "
            f"{row.size} labelled objects are left; {_reasons_in_words(job)}"
        )
    lost = sorted(set(roles.classes) - set(classes))
    if lost:
        log.warning("no training object of %s survived preparation", ", ".join(lost))
    known = np.isin(label[row], classes)
    row, is_validation = row[known], is_validation[known]
    least = job.training.min_class_objects
    for name in classes:
        if (n := int((label[row] == name).sum())) < least:
            raise DataError(
                f"training needs {least} objects of every class at least, but {name!r} has {n}; "
                "merge it with another class, or leave its labels empty"
            )
    codes = {name: i for i, name in enumerate(classes)}
    code = np.array([codes[name] for name in label[row]], dtype=np.int64)
    features = np.concatenate([part.features for part in kept])[known]
    names = kept[0].feature_names
    scale = AuxiliaryScale.fit(features[~is_validation])
    return LearningData(
        row=row,
        classes=classes,
        scale=scale,
        feature_names=(*names, *(f"{names[k]}_missing" for k in scale.marked)),
        arrays=TrainingArrays(
            folded=np.concatenate([part.folded for part in kept])[known],
            auxiliary=scale.apply(features),
            label=code,
            is_validation=is_validation,
        ),
    )


def _reasons_in_words(job: Job) -> str:
    counts: dict[str, int] = {}
    for part in job.parts():
        for step, why in zip(part.rejected.step, part.rejected.reason, strict=True):
            counts[f"{step} {why}"] = counts.get(f"{step} {why}", 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:3]
    return "rejected: " + ("; ".join(f"{n} x {why}" for why, n in most) or "none")


def teach(job: Job, data: LearningData) -> LearningData:
    """Add what teachers say of the objects, where the recipe asks for teachers."""
    if not job.recipe.is_distilled():
        return data
    path = job.folder.work / "teacher.npy"
    if not job.folder.is_done("teach"):
        settings: TeacherSettings = settings_from_table(TeacherSettings, job.recipe.teachers)
        with _kept(job, "teach") as kept, job.folder.stage("teach"):
            made = train_teacher(
                data.arrays,
                len(data.classes),
                settings,
                job.training,
                kept=kept,
                progress=lambda done, total: job.progress("teach", done, total),
            )
            with replaced(path) as temporary, temporary.open("wb") as file:
                np.save(file, made.probability)
            job.folder.put_json("teacher.json", {"members": made.members, "joined": made.joined})
    try:
        teacher = np.load(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged; pass --restart to begin anew") from error
    return replace(data, arrays=replace(data.arrays, teacher=teacher))


@contextlib.contextmanager
def _kept(job: Job, stage: str) -> Iterator[Path]:
    """Folder of the finished trainings of a stage; not needed once the stage is done."""
    folder = job.folder.trainings(stage)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def train(job: Job, data: LearningData) -> tuple[FireNet, dict[str, Any]]:
    """Train, or take up the trained network; gives it with its history."""
    import torch

    folded = data.arrays.folded
    spec = firenet_spec(
        job.recipe.network.preset,
        n_channels=folded.shape[1],
        n_bins=folded.shape[2],
        n_auxiliary=data.arrays.auxiliary.shape[1],
        n_classes=len(data.classes),
        n_periods=job.recipe.network.n_periods,
        auxiliary_width=job.recipe.network.auxiliary_width,
        head_width=job.recipe.network.head_width,
    )
    net = build_network(spec, seed=job.recipe.seed)
    path = job.folder.work / "network.pt"
    if job.folder.is_done("train"):
        try:
            net.load_state_dict(torch.load(path, weights_only=True))
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise DataError(f"{path} is damaged; pass --restart to begin anew") from error
        return net.eval(), job.folder.get_json("history.json")
    with _kept(job, "train") as kept, job.folder.stage("train"):
        total = job.training.max_epochs

        def progress(row: dict[str, float]) -> None:
            job.progress("train", int(row["epoch"]) + 1, total)

        augment = _refold(job, data)
        notes: dict[str, Any] = {}
        if job.recipe.is_distilled():
            chosen: DistilSettings = settings_from_table(DistilSettings, job.recipe.distillation)
            made = distil(
                spec, data.arrays, chosen, job.training,
                augment=augment, kept=kept, progress=progress,
            )  # fmt: skip
            net, history = made.net, made.history
            notes = {
                "teacher": job.folder.get_json("teacher.json"),
                "trials": made.trials,
                "temperature": made.fit.distillation_temperature,
                "share": made.fit.distillation,
            }
        else:
            history = fit_parallel(
                net,
                data.arrays,
                job.training,
                augment=augment,
                checkpoint=job.folder.work / "training.pt",
                progress=progress,
            )
        buffer = io.BytesIO()  # torch says RuntimeError where a disk is full
        torch.save(net.state_dict(), buffer)
        with replaced(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
        job.folder.put_json("history.json", dataclasses.asdict(history) | notes)
    return net, job.folder.get_json("history.json")


def _refold(job: Job, data: LearningData) -> Refold | None:
    """What changes the training curves from epoch to epoch, where the recipe asks for it."""
    if job.augment is None:
        return None
    paths = [job.points_path(path) for path in job.part_paths()]
    return load_refold(paths, data.row, data.arrays, job.steps, job.augment)


def settings_of_network(job: Job) -> TrainSettings:
    """How the network was trained: the recipe's settings, and what distillation chose."""
    history = job.folder.get_json("history.json")
    if "share" not in history:
        return job.training
    return replace(
        job.training,
        distillation=history["share"],
        distillation_temperature=history["temperature"],
    )


def compress(job: Job, net: FireNet, data: LearningData) -> Small:
    """Compress, or take up the compressed network."""
    if not job.folder.is_done("compress"):
        with _kept(job, "compress") as kept, job.folder.stage("compress"):
            epochs = 0

            def count(row: dict[str, float]) -> None:
                nonlocal epochs
                epochs += 1
                job.progress("compress", epochs, None)

            method = job.recipe.deployment.calibration
            made = compress_network(
                net,
                data.arrays,
                job.compression,
                settings_of_network(job),
                calibration=method,
                kept=kept,
                progress=count,
            )
            if job.recipe.deployment.engine == "integer" and made.ranges is None:
                made = with_ranges(made, data.arrays, method=method, seed=job.recipe.seed)
            with replaced(job.folder.work / "weights.bin") as path:
                path.write_bytes(made.data)
            job.folder.put_json(
                "compressed.json",
                {
                    "spec": made.spec,
                    "shapes": {name: list(shape) for name, shape in made.shapes.items()},
                    "sparsity": made.sparsity,
                    "ranges": None if made.ranges is None else made.ranges.to_plain(),
                    "histories": {
                        name: dataclasses.asdict(one) for name, one in made.histories.items()
                    },
                },
            )
    note = job.folder.get_json("compressed.json")
    return Small(
        spec=note["spec"],
        shapes={name: tuple(shape) for name, shape in note["shapes"].items()},
        data=job.folder.get_bytes("weights.bin"),
        ranges=_ranges_of(note),
    )


def _ranges_of(note: dict[str, Any]) -> ActivationRanges | None:
    if note["ranges"] is None:
        return None
    content = {k: v if k == "high" else np.array(v) for k, v in note["ranges"].items()}
    return ActivationRanges.from_dict(content, note["spec"], "compressed.json")

"""A recipe that changes its training curves from epoch to epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from astroprep.compress.distil import DistilSettings, distil
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import firenet_spec
from astroprep.pipeline.job import Resources
from astroprep.pipeline.learn import LearningData, learning_data, train
from astroprep.pipeline.points import load_refold, save_points
from astroprep.pipeline.prepare import apply_steps
from astroprep.pipeline.recipe import recipe_from_tables
from astroprep.pipeline.run import RunOptions, opened, prepared

# of the survey's own periods: what is searched is tested elsewhere
TABLES = {
    "name": "augmented",
    "seed": 3,
    "steps": [
        {"step": "FlagBad", "missing_errors": "estimate"},
        {"step": "UseCataloguePeriod"},
        {"step": "FoldedChannels", "n_bins": 16},
    ],
    "network": {"preset": "nano"},
}
COLUMNS = ("time", "value", "error", "trust", "count", "row", "period", "sign")


def made(tmp_path, survey_file, **training):
    """Learning data and trained weights of a recipe."""
    recipe = recipe_from_tables({**TABLES, "training": {"max_epochs": 3, **training}}, source="x")
    options = RunOptions(period_column="period")
    with opened(recipe, survey_file, tmp_path / "out", options) as job:
        data = learning_data(job, *prepared(job))
        return job, data, train(job, data)[0].state_dict()


@pytest.fixture(scope="module")
def plain(tmp_path_factory, survey_file):
    return made(tmp_path_factory.mktemp("plain"), survey_file)


@pytest.fixture(scope="module")
def augmented(tmp_path_factory, survey_file):
    settings = {"noise": 1.0, "bootstrap": 0.5, "process": 0.5, "min_points": 10}
    return made(tmp_path_factory.mktemp("augmented"), survey_file, augment=settings)


def test_a_share_of_zero_trains_the_same_network_bit_by_bit(plain, survey_file, tmp_path):
    _, data, weights = made(tmp_path, survey_file, augment={"share": 0.0})

    np.testing.assert_array_equal(data.arrays.folded, plain[1].arrays.folded)
    for name, tensor in plain[2].items():
        assert torch.equal(weights[name], tensor), name


def test_the_network_learns_from_other_folds_of_the_same_stars(plain, augmented):
    job, data, weights = augmented
    learned = np.flatnonzero(~data.arrays.is_validation)
    refold = _refold(job, data)

    first, second = refold(learned, 0), refold(learned, 1)

    np.testing.assert_array_equal(data.arrays.folded, plain[1].arrays.folded)
    np.testing.assert_array_equal(refold.plain(learned), data.arrays.folded[learned])
    assert ((first != second).any(axis=(1, 2))).mean() > 0.5  # three quarters are changed
    assert any(not torch.equal(weights[name], tensor) for name, tensor in plain[2].items())


def test_validation_and_test_stars_are_not_stored(augmented):
    job, data, _ = augmented
    refold = _refold(job, data)
    stored = np.concatenate([np.load(job.points_path(path))["row"] for path in job.part_paths()])

    assert set(stored) >= set(data.row[~data.arrays.is_validation])
    assert not set(stored) & set(data.row[data.arrays.is_validation])
    assert (np.diff(refold.offsets)[data.arrays.is_validation] == 0).all()


def test_points_that_do_not_give_the_folds_are_refused(augmented, tmp_path):
    job, data, _ = augmented
    (path,) = job.part_paths()
    with np.load(job.points_path(path)) as file:
        columns = dict(file)
    other = tmp_path / "other.npz"
    np.savez(other, **{**columns, "value": columns["value"] ** 2})
    with pytest.raises(ConfigError, match="let FoldedChannels be the last step"):
        load_refold([other], data.row, data.arrays, job.steps, job.augment)


def test_a_part_without_training_stars_adds_nothing(augmented, tmp_path):
    job, data, _ = augmented
    with job.open() as survey:
        batch = apply_steps(job.steps, next(iter(survey.iter_batches(30))))
    none = tmp_path / "none.npz"
    save_points(none, batch, job.steps, np.zeros(1000, bool))
    paths = [none, job.points_path(job.part_paths()[0]), none]

    refold = load_refold(paths, data.row, data.arrays, job.steps, job.augment)

    assert refold.fingerprint() == _refold(job, data).fingerprint()


@pytest.mark.parametrize("damage", ["missing", "truncated", "bit", "other", "pickle"])
def test_damaged_points_are_named(augmented, tmp_path, damage):
    job, data, _ = augmented
    content = job.points_path(job.part_paths()[0]).read_bytes()
    path = tmp_path / "part-000000.points.npz"
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "bit":
        path.write_bytes(content[:400] + bytes([content[400] ^ 1]) + content[401:])
    elif damage == "other":
        np.savez(path, time=np.arange(3.0))
    elif damage == "pickle":
        np.savez(path, **dict.fromkeys(COLUMNS, np.array([{}])))
    with pytest.raises(DataError, match=r"points\.npz is damaged; pass --restart"):
        load_refold([path], data.row, data.arrays, job.steps, job.augment)


def test_a_student_sees_changed_curves_too(augmented):
    job, data, _ = augmented
    n_classes = len(data.classes)
    teacher = np.eye(n_classes, dtype=np.float32)[data.arrays.label]
    arrays = replace(data.arrays, teacher=teacher)
    spec = firenet_spec(
        "nano", n_channels=arrays.folded.shape[1], n_bins=16, n_auxiliary=0, n_classes=n_classes
    )
    chosen = DistilSettings((1.0,), (0.5,))
    seen = [
        distil(spec, arrays, chosen, job.training, augment=augment).history.epochs[-1]["loss"]
        for augment in (None, _refold(job, data))
    ]

    assert seen[0] != seen[1]
    assert np.isfinite(seen).all()


def _refold(job, data: LearningData):
    paths = [job.points_path(path) for path in job.part_paths()]
    return load_refold(paths, data.row, data.arrays, job.steps, job.augment)


def test_the_points_are_not_kept_under_a_ceiling_of_memory(survey_file, tmp_path):
    recipe = recipe_from_tables({**TABLES, "training": {"augment": {}}}, source="x")
    options, resources = RunOptions(period_column="period"), Resources(memory=2**32)
    with (
        pytest.raises(ConfigError, match="neither a cluster nor a run under --memory"),
        opened(recipe, survey_file, tmp_path / "out", options, resources=resources),
    ):
        pass

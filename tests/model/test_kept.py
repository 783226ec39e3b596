"""Trainings in a row: what was finished is not trained again, and the end is the same."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.distil import DistilSettings, distil
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import FireNet, build_network, firenet_spec
from astroprep.model.kept import fit_kept
from astroprep.model.teachers import TeacherSettings, train_teacher
from astroprep.model.train import TrainingArrays, TrainSettings

SPEC = firenet_spec("nano", n_channels=2, n_bins=32, n_auxiliary=3, n_classes=2)
FIT = TrainSettings(max_epochs=3, batch_size=32, n_threads=1)


class KilledError(Exception):
    """The night does not wait."""


class Watch:
    """Counts epochs, and stops after some."""

    def __init__(self, limit: float = np.inf) -> None:
        self.seen, self.limit = 0, limit

    def __call__(self, *_: object) -> None:
        self.seen += 1
        if self.seen >= self.limit:
            raise KilledError


@pytest.fixture(scope="module")
def arrays() -> TrainingArrays:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 120)
    folded = rng.normal(size=(120, 2, 32)) + label[:, None, None]
    auxiliary = rng.normal(size=(120, 3)) + label[:, None]
    return TrainingArrays(
        folded.astype(np.float32), auxiliary.astype(np.float32), label, np.arange(120) % 4 == 0
    )


def same(one: FireNet, other: FireNet) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_finished_training_is_taken_up_and_an_unfinished_one_goes_on(
    arrays: TrainingArrays, tmp_path: Path
) -> None:
    plain = build_network(SPEC, 1)
    history = fit_kept(plain, arrays, FIT, None)

    path = tmp_path / "folder" / "one.pt"
    with pytest.raises(KilledError):
        fit_kept(build_network(SPEC, 1), arrays, FIT, path, progress=Watch(2))
    rest = Watch()
    net = build_network(SPEC, 1)
    fit_kept(net, arrays, FIT, path, progress=rest)
    assert rest.seen == 1
    again, none = build_network(SPEC, 1), Watch()
    taken = fit_kept(again, arrays, FIT, path, progress=none)

    assert none.seen == 0
    assert same(net, plain)
    assert same(again, plain)
    assert not again.training
    assert taken.best_epoch == history.best_epoch
    assert [p.name for p in path.parent.iterdir()] == ["one.pt"]


def test_what_is_kept_of_another_training_or_damaged_is_refused(
    arrays: TrainingArrays, tmp_path: Path
) -> None:
    path = tmp_path / "one.pt"
    fit_kept(build_network(SPEC, 1), arrays, FIT, path)
    with pytest.raises(ConfigError, match="another training"):
        fit_kept(build_network(SPEC, 2), arrays, FIT, path)
    with pytest.raises(ConfigError, match="another training"):
        fit_kept(build_network(SPEC, 1), arrays, replace(FIT, learning_rate=1e-4), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        fit_kept(build_network(SPEC, 1), arrays, FIT, path)


def test_an_unfinished_training_never_passes_for_a_finished_one(
    arrays: TrainingArrays, tmp_path: Path
) -> None:
    path = tmp_path / "one.pt"
    unfinished = path.with_suffix(".unfinished")
    with pytest.raises(KilledError):
        fit_kept(build_network(SPEC, 1), arrays, FIT, path, progress=Watch(1))
    unfinished.rename(path)
    with pytest.raises(ConfigError, match="another training"):
        fit_kept(build_network(SPEC, 1), arrays, FIT, path)
    path.unlink()
    fit_kept(build_network(SPEC, 1), arrays, FIT, path)
    path.rename(unfinished)
    with pytest.raises(ConfigError, match="another training"):
        fit_kept(build_network(SPEC, 1), arrays, FIT, path)


def test_where_nothing_can_be_written_one_error_says_so(
    arrays: TrainingArrays, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"one\.unfinished cannot be written"):
        fit_kept(build_network(SPEC, 1), arrays, FIT, tmp_path / "file" / "one.pt")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # fails as a full disk does
    try:
        with pytest.raises(DataError, match=r"two\.unfinished cannot be written"):
            fit_kept(build_network(SPEC, 1), arrays, FIT, tmp_path / "two.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("dies_after", [1, 2, 4])
def test_teachers_that_were_stopped_end_as_those_that_were_not(
    arrays: TrainingArrays, tmp_path: Path, dies_after: int
) -> None:
    settings = TeacherSettings(members=("nano", "trees", "features"), n_parts=2, max_epochs=2)
    whole = train_teacher(arrays, 2, settings, FIT)
    with pytest.raises(KilledError):
        train_teacher(arrays, 2, settings, FIT, kept=tmp_path, progress=Watch(dies_after))
    done = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert done
    again = train_teacher(arrays, 2, settings, FIT, kept=tmp_path)

    np.testing.assert_array_equal(again.probability, whole.probability)
    assert again.members == whole.members
    np.testing.assert_array_equal(
        again.predict_proba(arrays.folded, arrays.auxiliary),
        whole.predict_proba(arrays.folded, arrays.auxiliary),
    )
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert done.items() <= after.items()  # none of these was written again


@pytest.mark.parametrize("dies_after", [1, 3, 6])
def test_a_student_that_was_stopped_ends_as_one_that_was_not(
    arrays: TrainingArrays, tmp_path: Path, dies_after: int
) -> None:
    teacher = np.eye(2, dtype=np.float32)[arrays.label] * 0.8 + 0.1
    taught = replace(arrays, teacher=teacher)
    settings = DistilSettings(temperatures=(1.0, 2.0), shares=(0.5,), trial_epochs=2)
    whole = distil(SPEC, taught, settings, FIT)
    with pytest.raises(KilledError):
        distil(SPEC, taught, settings, FIT, kept=tmp_path, progress=Watch(dies_after))
    rest = Watch()
    again = distil(SPEC, taught, settings, FIT, kept=tmp_path, progress=rest)

    assert rest.seen == 2 + 2 + 3 - dies_after
    assert same(again.net, whole.net)
    assert again.trials == whole.trials


@pytest.mark.parametrize("dies_after", [1, 3, 5])
def test_a_compression_that_was_stopped_ends_as_one_that_was_not(
    arrays: TrainingArrays, tmp_path: Path, dies_after: int
) -> None:
    net = build_network(SPEC, 1)
    settings = CompressSettings(prune_stages=2, stage_epochs=2, retrain_epochs=2, share_epochs=2)
    whole = compress_network(net, arrays, settings, FIT)
    with pytest.raises(KilledError):
        compress_network(net, arrays, settings, FIT, kept=tmp_path, progress=Watch(dies_after))
    rest = Watch()
    again = compress_network(net, arrays, settings, FIT, kept=tmp_path, progress=rest)

    assert rest.seen == 2 + 2 + 2 - dies_after
    assert again.data == whole.data
    assert list(again.histories) == list(whole.histories)

"""Teachers: members that learn, soft targets out of sample, selection by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import softmax
from astroprep.model.firenet import build_network, firenet_spec
from astroprep.model.rocket import CircularRocket
from astroprep.model.teachers import TeacherSettings, select_members, train_teacher
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network, predict_logits
from astroprep.model.trunks import TRUNKS, build_trunk

FIT = TrainSettings(batch_size=16, learning_rate=1e-2, averaging=0.9, patience=0, n_threads=1)


@pytest.fixture
def arrays(rng):
    """One wave or two at any origin of phase; the auxiliary knows a part of it."""
    label = rng.integers(0, 2, 240)
    phase = np.arange(16) / 16 + rng.random((240, 1))
    wave = np.sin(2 * np.pi * phase * (1 + label[:, None])) + rng.normal(0, 0.1, (240, 16))
    hint = (label[:, None] + rng.normal(0, 0.5, (240, 2))).astype(np.float32)
    return TrainingArrays(
        np.stack([wave, np.ones_like(wave)], axis=1).astype(np.float32),
        hint,
        label.astype(np.int64),
        np.arange(240) % 4 == 0,
    )


@pytest.mark.parametrize("kind", ["resnet", "tcn"])
def test_other_trunks_do_not_see_the_origin_of_phase(kind):
    net = build_trunk(kind, 3, 2, 4, seed=1).eval()
    draw = torch.Generator().manual_seed(0)
    x, a = torch.randn(5, 3, 32, generator=draw), torch.randn(5, 2, generator=draw)
    with torch.no_grad():
        torch.testing.assert_close(net(x.roll(7, -1), a), net(x, a), rtol=1e-5, atol=1e-5)


def test_images_and_features_are_inputs_too():
    image = build_trunk("image", 1, 2, 4).eval()
    features = build_trunk("features", 3, 2, 4).eval()
    a = torch.randn(5, 2)
    with torch.no_grad():
        assert image(torch.randn(5, 23, 24), a).shape == (5, 4)
        same = features(torch.randn(5, 3, 8), a), features(torch.zeros(5, 3, 8), a)
    assert torch.equal(*same)
    with pytest.raises(ConfigError, match="needs auxiliaries"):
        build_trunk("features", 3, 0, 4)
    with pytest.raises(ConfigError, match=f"there are {', '.join(TRUNKS)}"):
        build_trunk("transformer", 3, 0, 4)


def test_rocket_counts_what_brute_force_counts(arrays):
    rocket = CircularRocket(dilations=(2,), n_views=1, n_thresholds=1)
    weight = np.ones(240)
    rocket.fit(arrays.folded, arrays.auxiliary, arrays.label, weight, 2)
    shares = rocket._shares(arrays.folded[:2])

    kernel = np.full(9, -1.0)
    kernel[[0, 1, 2]] = 2.0  # the first of the 84
    curve = arrays.folded[1, rocket.channels_[0][0]].astype(float)
    response = [sum(kernel[t] * curve[(i + 2 * (t - 4)) % 16] for t in range(9)) for i in range(16)]
    level = float(rocket.thresholds_[0][0, 0])
    assert shares[1, 0] == pytest.approx(np.mean(np.array(response) > level))
    rolled = rocket.scores(np.roll(arrays.folded, 5, axis=-1), arrays.auxiliary)
    np.testing.assert_allclose(rolled, rocket.scores(arrays.folded, arrays.auxiliary), atol=1e-4)


def test_rocket_tells_waves_apart(arrays):
    learn = ~arrays.is_validation
    rocket = CircularRocket().fit(
        arrays.folded[learn], arrays.auxiliary[learn], arrays.label[learn], np.ones(learn.sum()), 2
    )
    check = arrays.is_validation
    said = rocket.scores(arrays.folded[check], arrays.auxiliary[check]).argmax(axis=1)

    assert (said == arrays.label[check]).mean() > 0.95
    with pytest.raises(DataError, match="10 objects at least"):
        rocket.fit(arrays.folded[:4], arrays.auxiliary[:4], arrays.label[:4], np.ones(4), 2)


def test_selection_equals_trying_everything(rng):
    """Two members: the weights on the grid of the rounds with least loss."""
    label = rng.integers(0, 3, 200)
    good = np.log(0.2 + 0.4 * np.eye(3)[label] + 1e-9)
    noisy = np.log(rng.dirichlet(np.ones(3), 200) + 0.3 * np.eye(3)[label])
    bad = np.log(rng.dirichlet(np.ones(3), 200))
    weight = np.ones(200)

    found = select_members(np.stack([good, noisy, bad]), label, weight)

    def loss(shares):
        z = np.tensordot(shares, np.stack([good, noisy, bad]), axes=1)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(200), label]).mean()

    assert found.sum() == pytest.approx(1.0)
    assert loss(found) <= min(loss(np.eye(3)[k]) for k in range(3)) + 1e-9
    assert loss(found) <= loss(np.full(3, 1 / 3)) + 1e-9


@pytest.mark.parametrize(("kind", "n_parts"), [("trees", 1), ("trees", 3), ("forest", 1)])
def test_the_student_is_taught_by_trees_that_did_not_see_the_object(arrays, rng, kind, n_parts):
    """Labels at random: trees know theirs by heart, but what they teach is chance."""
    noise = TrainingArrays(
        arrays.folded,
        rng.normal(size=(240, 6)).astype(np.float32),
        rng.integers(0, 2, 240),
        arrays.is_validation,
    )
    teacher = train_teacher(noise, 2, TeacherSettings(members=(kind,), n_parts=n_parts), FIT)
    learn = ~noise.is_validation

    taught = (teacher.probability[learn].argmax(axis=1) == noise.label[learn]).mean()
    by_heart = teacher.predict_proba(noise.folded[learn], noise.auxiliary[learn])
    assert abs(taught - 0.5) < 0.15  # 3 sigma of 180 objects is 0.11
    assert (by_heart.argmax(axis=1) == noise.label[learn]).mean() > 0.75


def test_members_of_every_kind_are_joined(arrays):
    settings = TeacherSettings(
        members=("nano", "rocket", "trees", "forest", "features"), n_parts=2, max_epochs=4
    )
    told = []
    teacher = train_teacher(arrays, 2, settings, FIT, progress=lambda i, n: told.append((i, n)))

    assert told == [(i, 10) for i in range(1, 11)]
    assert [m["kind"] for m in teacher.members] == list(settings.members)
    assert sum(m["weight"] for m in teacher.members) == pytest.approx(1.0)
    np.testing.assert_allclose(teacher.probability.sum(axis=1), 1.0, rtol=1e-5)
    best = min(m["loss"] for m in teacher.members)
    assert teacher.joined["loss"] <= best + 1e-3
    said = teacher.predict_proba(arrays.folded, arrays.auxiliary)
    check = arrays.is_validation
    np.testing.assert_allclose(said[check], teacher.probability[check], atol=1e-4)
    assert (said.argmax(axis=1) == arrays.label).mean() > 0.95


def test_one_part_is_a_network_that_learned_from_all(arrays):
    settings = TeacherSettings(members=("trees", "nano"), n_parts=1, max_epochs=4)
    told = []
    train_teacher(arrays, 2, settings, FIT, progress=lambda i, n: told.append((i, n)))
    assert told == [(i, 4) for i in range(1, 5)]

    net = build_network(
        firenet_spec("nano", n_channels=arrays.folded.shape[1], n_bins=arrays.folded.shape[2],
                     n_auxiliary=arrays.auxiliary.shape[1], n_classes=2), FIT.seed + 100,
    )  # fmt: skip
    fit_network(net, arrays, replace(FIT, max_epochs=4, seed=FIT.seed + 100))
    alone = replace(settings, members=("nano",))
    same = train_teacher(arrays, 2, alone, replace(FIT, seed=FIT.seed + 100))
    p = softmax(predict_logits(net, arrays.folded, arrays.auxiliary),
                same.members[0]["temperature"])  # fmt: skip
    np.testing.assert_allclose(same.probability, p, atol=1e-5)


def test_wrong_teachers_are_named(arrays):
    with pytest.raises(ConfigError, match=r"members = \('oracle',\)"):
        TeacherSettings(members=("oracle",))
    with pytest.raises(DataError, match="validation objects, and there are none"):
        train_teacher(
            TrainingArrays(
                arrays.folded, arrays.auxiliary, arrays.label, np.zeros(240, bool)
            ),
            2, TeacherSettings(), FIT,
        )  # fmt: skip
    label = arrays.label.copy()
    label[1:3] = 2
    rare = TrainingArrays(arrays.folded, arrays.auxiliary, label, arrays.is_validation)
    with pytest.raises(DataError, match="but one has 2"):
        train_teacher(rare, 3, TeacherSettings(), FIT)

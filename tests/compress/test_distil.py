"""Distillation: soft targets are what teaches, temperature and share are chosen on validation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from astroprep.compress.distil import DistilSettings, distil
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import firenet_spec
from astroprep.model.loss import Side
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits

FIT = TrainSettings(
    max_epochs=8, batch_size=16, learning_rate=1e-2, averaging=0.9, patience=0, n_threads=1
)


@pytest.fixture
def arrays(rng):
    """Waves whose labels are wrong for a third; the teacher knows better."""
    truth = rng.integers(0, 2, 240)
    phase = np.arange(16) / 16 + rng.random((240, 1))
    wave = np.sin(2 * np.pi * phase * (1 + truth[:, None])) + rng.normal(0, 0.3, (240, 16))
    check = np.arange(240) % 4 == 0
    wrong = ~check & (rng.random(240) < 0.35)
    return truth, TrainingArrays(
        wave[:, None].astype(np.float32),
        np.zeros((240, 0), np.float32),
        np.where(wrong, 1 - truth, truth).astype(np.int64),
        check,
        teacher=(0.1 + 0.8 * np.eye(2)[truth]).astype(np.float32),
    )


def spec_of():
    return firenet_spec("nano", n_channels=1, n_bins=16, n_auxiliary=0, n_classes=2)


def test_the_loss_by_hand(arrays, rng):
    """Share s of T squared times the cross-entropy of softened teacher and student."""
    _, given = arrays
    settings = TrainSettings(
        class_power=0.0, distillation=0.7, distillation_temperature=3.0, n_threads=1
    )
    side = Side(given, ~given.is_validation, settings, 2)
    logits = torch.tensor(rng.normal(size=(len(side), 2)), dtype=torch.float32)
    soft = torch.tensor(given.teacher[~given.is_validation]) ** (1 / 3)
    soft = soft / soft.sum(dim=1, keepdim=True)
    hard = functional.cross_entropy(logits, side.label)

    expected = 0.3 * hard + 0.7 * 9 * functional.cross_entropy(logits / 3, soft)
    torch.testing.assert_close(side.loss(logits, slice(None)), expected)


def test_focal_loss_by_hand(arrays):
    _, given = arrays
    settings = TrainSettings(class_power=0.0, focus=2.0)
    side = Side(given, ~given.is_validation, settings, 2)
    logits = torch.linspace(-2, 2, 2 * len(side)).reshape(-1, 2)
    p = torch.softmax(logits, dim=1)[torch.arange(len(side)), side.label]

    torch.testing.assert_close(
        side.loss(logits, slice(None)), (-((1 - p) ** 2) * torch.log(p)).mean()
    )


def test_chooses_on_validation_and_learns_from_the_teacher(arrays):
    truth, given = arrays
    settings = DistilSettings(temperatures=(1.0, 2.0), shares=(0.1, 1.0), trial_epochs=4)

    made = distil(spec_of(), given, settings, FIT)

    assert len(made.trials) == 4
    best = min(made.trials, key=lambda trial: trial["validation_loss"])
    assert made.fit.distillation == best["share"] == 1.0
    assert made.fit.distillation_temperature == best["temperature"]
    right = predict_logits(made.net, given.folded, given.auxiliary).argmax(axis=1) == truth
    assert right.mean() > 0.9


def test_a_single_pair_is_taken_without_trials(arrays):
    _, given = arrays
    seen = []

    made = distil(spec_of(), given, DistilSettings((2.0,), (0.9,)), FIT, progress=seen.append)

    assert made.trials == []
    assert len(seen) == FIT.max_epochs


def test_what_is_missing_is_named(arrays):
    _, given = arrays
    alone = TrainingArrays(given.folded, given.auxiliary, given.label, given.is_validation)
    with pytest.raises(DataError, match="needs the probabilities of a teacher"):
        distil(spec_of(), alone, DistilSettings(), FIT)
    with pytest.raises(ConfigError, match=r"shares = \(2,\)"):
        DistilSettings(shares=(2,))
    wrong = TrainingArrays(
        given.folded, given.auxiliary, given.label, given.is_validation,
        teacher=np.ones((240, 5), np.float32),
    )  # fmt: skip
    with pytest.raises(DataError, match="the network has 2 classes"):
        distil(spec_of(), wrong, DistilSettings((1.0,), (0.5,)), FIT)

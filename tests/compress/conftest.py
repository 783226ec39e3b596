"""A toy problem that a tiny network learns in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from astroprep.model.firenet import FireNet, build_network, firenet_spec
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network

FIT = TrainSettings(max_epochs=8, batch_size=32, learning_rate=0.01, averaging=0.9, n_threads=1)


@pytest.fixture(scope="session")
def toy() -> TrainingArrays:
    """Three shapes of folded curves in noise, at random phases."""
    rng = np.random.default_rng(0)
    n, n_bins = 400, 32
    label = rng.integers(0, 3, n)
    phase = (np.arange(n_bins) / n_bins + rng.random((n, 1))) % 1
    shapes = [np.sin(2 * np.pi * phase), np.sign(np.sin(2 * np.pi * phase)), 2 * phase - 1]
    curve = np.choose(label[:, None], shapes) + 0.25 * rng.normal(size=(n, n_bins))
    folded = np.stack([curve, rng.normal(size=(n, n_bins))], axis=1)
    auxiliary = rng.normal(size=(n, 3)) + 0.8 * label[:, None]
    return TrainingArrays(
        folded.astype(np.float32),
        auxiliary.astype(np.float32),
        label.astype(np.int64),
        np.arange(n) % 3 == 0,
    )


@pytest.fixture(scope="session")
def fit() -> TrainSettings:
    return FIT


@pytest.fixture(scope="session")
def trained(toy: TrainingArrays) -> FireNet:
    spec = firenet_spec("micro", n_channels=2, n_bins=32, n_auxiliary=3, n_classes=3)
    net = build_network(spec, seed=1)
    fit_network(net, toy, FIT)
    return net


@pytest.fixture(scope="session")
def accuracy(toy: TrainingArrays) -> Any:
    """Share of validation objects that a network gets right."""
    from astroprep.model.train import predict_logits

    def measure(net: FireNet) -> float:
        rows = toy.is_validation
        logits = predict_logits(net, toy.folded[rows], toy.auxiliary[rows])
        return float(np.mean(logits.argmax(axis=1) == toy.label[rows]))

    return measure

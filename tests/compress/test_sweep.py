"""Bits by layer, pruning without retraining, and the objects that change class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from astroprep.compress.chain import CompressSettings
from astroprep.compress.rate import layer_sensitivity, rate_points, values_by_rate
from astroprep.compress.share import Initialisation, assign, kmeans_1d
from astroprep.compress.sweep import class_changes, pruned_once, sparsity_sweep
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import FireNet
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits


def test_wider_codes_cost_more_and_lose_less() -> None:
    weight = np.random.default_rng(0).normal(size=(40, 50))
    points = rate_points(weight)
    assert [p.bits for p in points] == list(range(1, 9))
    assert all(np.diff([p.rate for p in points]) > 0)
    assert all(np.diff([p.distortion for p in points]) < 0)
    # Gaussian, 2 and 4 levels: Lloyd & Max give 0.363 and 0.1175 of the variance
    assert points[0].distortion / weight.size == pytest.approx(0.363, rel=0.05)
    assert points[1].distortion / weight.size == pytest.approx(0.1175, rel=0.05)
    assert rate_points(np.zeros((3, 3)))[0].rate == 0


@pytest.mark.parametrize("initialisation", ["linear", "density", "random"])
def test_linear_start_keeps_the_large_weights(initialisation: Initialisation) -> None:
    """Han et al. 2016, section 3.2: what the other two do to the one weight that is far out."""
    values = np.append(np.random.default_rng(1).normal(size=2000), 9.0)
    error = {}
    for start in ("linear", initialisation):
        centres = kmeans_1d(values, 8, initialisation=start, max_iterations=3)
        error[start] = abs(9.0 - centres[assign(values[-1:], centres)][0])
    assert error["linear"] < 0.5
    assert error["linear"] <= error[initialisation]


def test_bits_go_where_they_take_off_most() -> None:
    """Two layers of equal size, one with weights ten times larger; then the small one matters."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))
    with torch.no_grad():
        net[0].weight.normal_(0, 1.0)
        net[1].weight.normal_(0, 0.1)
    values = values_by_rate(net, 3.0)
    assert values["0"] > values["1"]
    turned = values_by_rate(net, 3.0, sensitivity={"0": 1.0, "1": 1e4})
    assert turned["1"] > turned["0"]
    spent = sum(
        p.rate
        for layer, n in zip(net, values.values(), strict=True)
        for p in rate_points(layer.weight.detach().numpy())
        if 1 << p.bits == n
    )
    assert spent <= 3.0 * 3200
    assert set(values_by_rate(net, 1e-9).values()) == {2}
    assert set(values_by_rate(net, 99.0).values()) == {255}
    with pytest.raises(ConfigError, match="positive"):
        values_by_rate(net, np.nan)


def test_sensitivity_is_zero_for_what_nothing_reads(trained: FireNet, toy: TrainingArrays) -> None:
    blind = FireNet(trained.spec)
    blind.load_state_dict(trained.state_dict())
    with torch.no_grad():
        blind.hidden.weight[:, -16:] = 0  # the auxiliaries
    before = layer_sensitivity(trained.eval(), toy, 64)
    after = layer_sensitivity(blind.eval(), toy, 64)
    assert before["auxiliary"] > 0
    assert after["auxiliary"] == 0


def test_recalibration_and_retraining_bring_back_what_pruning_takes(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    check = toy.is_validation

    def score(logits: Any) -> float:
        return float(np.mean(logits.argmax(axis=1) == toy.label[check]))

    settings = CompressSettings(prune_stages=2, stage_epochs=1, retrain_epochs=4)
    curves = sparsity_sweep(trained, toy, [0.0, 0.85], score, retrain=(settings, fit))
    assert curves["one shot"][0] > 0.9
    assert curves["retrained"][1] > max(curves["one shot"][1], curves["recalibrated"][1])
    assert curves["retrained"][1] > 0.8
    zeros = pruned_once(trained, toy, 0.85).hidden.weight == 0
    assert zeros.float().mean() > 0.8


def test_changes_of_class_by_hand() -> None:
    before = np.log(np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.55, 0.45]]))
    after = np.log(np.array([[0.4, 0.6], [0.8, 0.2], [0.7, 0.3], [0.3, 0.7]]))
    changes = class_changes(before, after, np.array([0, 0, 0, 0]))
    assert changes.index.tolist() == [0, 2, 3]
    assert (changes.repaired, changes.broken) == (1, 2)
    np.testing.assert_allclose(changes.margin, [0.2, 0.6, 0.1])
    with pytest.raises(DataError, match="equal shape"):
        class_changes(before, after[:2], np.zeros(4, int))


def test_one_shot_pruning_leaves_the_network_alone(trained: FireNet, toy: TrainingArrays) -> None:
    before = predict_logits(trained, toy.folded[:5], toy.auxiliary[:5])
    pruned_once(trained, toy, 0.9)
    np.testing.assert_array_equal(
        predict_logits(trained, toy.folded[:5], toy.auxiliary[:5]), before
    )

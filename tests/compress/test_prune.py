"""Pruning: which weights stay, and that the others stay zero."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from astroprep.compress.prune import (
    apply_masks,
    balanced_densities,
    cubic_sparsity,
    keep_masked,
    magnitude_masks,
    prunable_layers,
    recalibrate_batchnorm,
    sparsity_of,
)
from astroprep.errors import ConfigError
from astroprep.model.firenet import fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network, predict_logits


@pytest.fixture
def net() -> nn.Sequential:
    """Two dense layers whose weights have very different sizes."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
    with torch.no_grad():
        made[2].weight.mul_(0.001)
    return made


def test_the_cubic_schedule_of_the_paper() -> None:
    steps = [cubic_sparsity(k, 4, 0.8) for k in range(5)]
    assert steps == pytest.approx([0.0, 0.4625, 0.7, 0.7875, 0.8])


@pytest.mark.parametrize("scope", ["balanced", "layer", "global"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.98])
def test_the_largest_weights_stay(net: nn.Sequential, scope: Any, sparsity: float) -> None:
    layers = prunable_layers(net)
    masks = magnitude_masks(net, layers, sparsity, scope=scope, floor=0.0)

    assert sparsity_of(masks) == pytest.approx(sparsity, abs=0.01)
    for name, mask in masks.items():
        size = layers[name].weight.detach().abs()
        if mask.any() and not mask.all():
            assert size[mask].min() >= size[~mask].max()


def test_a_floor_keeps_every_layer_alive(net: nn.Sequential) -> None:
    """One layer has a few giants, so a global threshold would take all of its other weights."""
    with torch.no_grad():
        net[0].weight[0, :10] = 100.0
    layers = prunable_layers(net)

    bare = magnitude_masks(net, layers, 0.9, scope="global", floor=0.0)
    masks = magnitude_masks(net, layers, 0.9, scope="global", floor=0.05)

    assert int(bare["0"].sum()) == 10
    assert int(masks["0"].sum()) == 30
    assert sparsity_of(masks) == pytest.approx(0.9, abs=0.002)


def test_balanced_densities_favour_small_layers_and_meet_the_total() -> None:
    shapes = {"squeeze": (16, 24, 1), "expand": (24, 16, 3), "dense": (48, 176)}
    for sparsity in (0.0, 0.3, 0.8, 0.95):
        density = balanced_densities(shapes, sparsity)
        total = sum(density[n] * np.prod(s) for n, s in shapes.items())
        assert total == pytest.approx((1 - sparsity) * sum(np.prod(s) for s in shapes.values()))
        assert max(density.values()) <= 1
        assert density["squeeze"] >= density["expand"] >= density["dense"]
    ratio = density["squeeze"] / density["dense"]
    assert ratio == pytest.approx((41 / 384) / (224 / 8448))


def test_layers_can_be_spared_and_settings_are_checked(net: nn.Sequential) -> None:
    assert list(prunable_layers(net, spare_first=True)) == ["2"]
    assert list(prunable_layers(net, spare_last=True)) == ["0"]
    assert not prunable_layers(net, spare_first=True, spare_last=True)
    assert sparsity_of({}) == 0
    with pytest.raises(ConfigError, match=r"in \[0, 1\), got 1.0"):
        magnitude_masks(net, prunable_layers(net), 1.0)


def test_pruned_weights_stay_zero_through_training(
    trained: Any, toy: TrainingArrays, fit: TrainSettings
) -> None:
    net = copy.deepcopy(trained)
    masks = magnitude_masks(net, prunable_layers(net), 0.7)
    apply_masks(net, masks)
    before = net.stem.conv.weight.detach().clone()

    fit_network(net, toy, fit, after_step=keep_masked(masks))

    for name, mask in masks.items():
        assert not net.get_submodule(name).weight[~mask].any()
    assert not torch.equal(net.stem.conv.weight, before)


def test_magnitudes_include_the_batch_norm(trained: Any) -> None:
    """A folded network ranks its weights the same way."""
    folded = fold_batchnorm(trained)
    one = magnitude_masks(trained, prunable_layers(trained), 0.6)
    two = magnitude_masks(folded, prunable_layers(folded), 0.6)
    same = [float((one[n] == two[n]).float().mean()) for n in one]
    assert min(same) > 0.99  # float32 rounding may swap neighbours


def test_recalibrated_statistics_are_those_of_the_data(trained: Any, toy: TrainingArrays) -> None:
    net = copy.deepcopy(trained)
    seen: list[torch.Tensor] = []
    net.stem.conv.register_forward_hook(lambda *args: seen.append(args[2].detach()))

    recalibrate_batchnorm(net, toy.folded, toy.auxiliary)

    values = torch.cat(seen).numpy()
    np.testing.assert_allclose(
        net.stem.norm.running_mean.numpy(), values.mean(axis=(0, 2)), atol=1e-5
    )
    np.testing.assert_allclose(
        net.stem.norm.running_var.numpy(), values.var(axis=(0, 2)), rtol=0.01
    )
    assert net.stem.norm.momentum == trained.stem.norm.momentum
    assert not net.training


def test_folding_changes_no_answer(trained: Any, toy: TrainingArrays) -> None:
    expected = predict_logits(trained, toy.folded, toy.auxiliary)
    seen = predict_logits(fold_batchnorm(trained), toy.folded, toy.auxiliary)
    np.testing.assert_allclose(seen, expected, atol=1e-5 * np.abs(expected).max())

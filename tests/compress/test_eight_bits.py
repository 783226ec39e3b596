"""Integers in a file: weights on 8-bit grids, ranges beside them, training that sees both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from astroprep.compress.approaches import INTEGERS, Task, compress_by
from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.eight_bits import store_in_eight_bits, train_in_eight_bits, with_ranges
from astroprep.compress.prune import apply_masks, magnitude_masks, prunable_layers
from astroprep.compress.quantize import quantize_network
from astroprep.compress.stored import CompressedNetwork, store_network
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings

AWARE = CompressSettings(
    sparsity=0.6, prune_stages=1, retrain_epochs=2, n_values=0,
    quantization_aware=True, quantize_epochs=3,
)  # fmt: skip


def integer_logits(made: CompressedNetwork, toy: TrainingArrays) -> Any:
    assert made.ranges is not None
    network = quantize_network(made.net, made.ranges)
    check = toy.is_validation
    levels = network.quantize(toy.folded[check], toy.auxiliary[check])
    return network.evaluate(*levels) * network.logit_scale


@pytest.fixture(scope="module")
def aware(trained: FireNet, toy: TrainingArrays, fit: TrainSettings) -> CompressedNetwork:
    return compress_network(trained, toy, AWARE, fit)


def test_weights_lie_within_half_a_step_and_biases_within_half_precision(trained: FireNet) -> None:
    made = store_in_eight_bits(trained)
    exact = {n: t.numpy() for n, t in fold_batchnorm(trained).state_dict().items()}
    for name, array in made.weights.items():
        if name.endswith("weight"):
            step = np.abs(exact[name]).max() / 127
            assert np.abs(array - exact[name]).max() <= 0.51 * step  # a scale has 8 bits itself
            assert np.unique(array).size <= 255
        else:
            np.testing.assert_allclose(array, exact[name], rtol=2**-11, atol=2**-25)
    assert len(made.data) < 0.3 * len(store_network(trained).data)
    assert made.data_type == "float32"
    assert made.n_bytes == len(made.data)


def test_a_bias_beyond_half_precision_is_kept_in_full(trained: FireNet) -> None:
    net = fold_batchnorm(trained)
    with torch.no_grad():
        net.get_parameter("head.bias").fill_(1e5)
    assert (store_in_eight_bits(net).weights["head.bias"] == 1e5).all()


def test_calibrated_integers_count_their_ranges_and_still_classify(
    trained: FireNet, toy: TrainingArrays, accuracy: Any
) -> None:
    made = with_ranges(store_in_eight_bits(trained), toy)
    assert made.data_type == "int8"
    assert made.n_bytes > len(made.data) + 50
    right = integer_logits(made, toy).argmax(axis=1) == toy.label[toy.is_validation]
    assert right.mean() > accuracy(trained) - 0.03


def test_validation_objects_do_not_move_the_ranges(trained: FireNet, toy: TrainingArrays) -> None:
    folded = toy.folded.copy()
    folded[toy.is_validation] *= 100
    moved = with_ranges(store_network(trained), replace(toy, folded=folded))
    kept = with_ranges(store_network(trained), toy)
    assert moved.ranges is not None
    assert kept.ranges is not None
    assert moved.ranges.to_plain() == kept.ranges.to_plain()


def test_what_was_validated_in_training_is_what_the_file_gives(
    aware: CompressedNetwork, toy: TrainingArrays
) -> None:
    """Decoded from the bytes and run in integers: the loss of the epoch that was kept."""
    back = decode_weights(aware.data, aware.shapes)
    assert all(np.array_equal(back[n], t.numpy()) for n, t in aware.net.state_dict().items())
    loss = torch.nn.functional.cross_entropy(
        torch.tensor(integer_logits(aware, toy)), torch.tensor(toy.label[toy.is_validation])
    )
    history = aware.histories["quantize"]
    assert float(loss) == pytest.approx(
        min(row["validation_loss"] for row in history.epochs), rel=0.05, abs=0.002
    )


def test_training_for_integers_keeps_zeros_and_classifies(
    aware: CompressedNetwork, trained: FireNet, toy: TrainingArrays, accuracy: Any
) -> None:
    assert list(aware.histories) == ["prune 0.60", "quantize"]
    weights = np.concatenate([w.ravel() for n, w in aware.weights.items() if n.endswith("weight")])
    assert np.mean(weights == 0) >= 0.59
    right = integer_logits(aware, toy).argmax(axis=1) == toy.label[toy.is_validation]
    assert right.mean() > accuracy(trained) - 0.05


def test_the_rounding_of_the_file_is_seen_in_training(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    """One huge weight makes the grid of its layer coarse; training sees it, so the loss is bad."""
    net = fold_batchnorm(trained)
    masks = magnitude_masks(net, prunable_layers(net), 0.2)
    apply_masks(net, masks)
    with torch.no_grad():
        net.get_parameter("head.weight")[0, 0] = 2e3
    short = replace(fit, max_epochs=1, learning_rate=1e-6)
    made = train_in_eight_bits(net, toy, short)
    others = made.weights["head.weight"].ravel()[1:]
    assert np.unique(others).size < 5
    loss = made.histories["quantize"].epochs[0]["validation_loss"]
    logits = torch.tensor(integer_logits(made, toy))
    truth = torch.tensor(toy.label[toy.is_validation])
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, truth)), rel=0.1)


def test_sharing_and_rounding_in_training_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="quantization_aware = true needs n_values = 0"):
        CompressSettings(quantization_aware=True)
    with pytest.raises(ConfigError, match="no values_per_layer"):
        CompressSettings(quantization_aware=True, n_values=0, values_per_layer={"head": 4})
    with pytest.raises(ConfigError, match="quantize_epochs = 0, quantize_rate = 0"):
        CompressSettings(n_values=0, quantize_epochs=0, quantize_rate=0)


def test_every_integer_approach_goes_on_from_what_was_made(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    """Settings of a recipe that trains for integers still share where an approach shares."""
    settings = replace(AWARE, stage_epochs=1, retrain_epochs=1, share_epochs=1, quantize_epochs=1)
    task = Task(trained, toy, settings, fit)
    made = {name: compress_by(name, task) for name in INTEGERS}

    assert all(one.ranges is not None for one in made.values())
    assert all(np.isfinite(integer_logits(one, toy)).all() for one in made.values())
    assert made["shared + int8"].data == task.made["shared"].data
    assert made["pruned + shared + int8"].data == task.made["pruned + shared"].data
    zeros = {name: task.made[name].sparsity for name in task.made}
    assert zeros["pruned + int8"] >= zeros["pruned"] > 0.5
    assert zeros["pruned + int8 trained"] >= zeros["pruned"]
    assert max(t.n_values for t in task.made["shared"].stored if "weight" in t.name) <= 16
    sizes = {name: one.n_bytes for name, one in made.items()}
    assert sizes["pruned + shared + int8"] < sizes["pruned + int8"] < sizes["int8"]

"""The operating point: every class as often as the whole network says it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.eight_bits import store_in_eight_bits
from astroprep.compress.match import class_offsets, match_classes
from astroprep.compress.stored import CompressedNetwork, store_network, store_tensors
from astroprep.compress.tensors import GridTensor, is_half
from astroprep.errors import DataError
from astroprep.model.calibrate import softmax
from astroprep.model.firenet import FireNet, build_network
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits


def test_two_classes_seen_alike_are_moved_by_the_logarithm_of_the_odds() -> None:
    offset = class_offsets(np.zeros((5, 2)), np.array([0.8, 0.2]))
    np.testing.assert_allclose(offset, [np.log(2), -np.log(2)], atol=1e-5)


def test_shares_are_met_as_a_general_minimiser_meets_them() -> None:
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(500, 4))
    wanted = np.array([0.4, 0.3, 0.29, 0.01])

    def loss(free: np.ndarray) -> float:  # convex; its gradient is present less wanted share
        x = logits + np.append(free, 0.0)
        top = x.max(axis=1)
        total = top + np.log(np.exp(x - top[:, None]).sum(axis=1))
        return float(total.mean() - wanted[:3] @ free)

    best = np.append(minimize(loss, np.zeros(3), tol=1e-12).x, 0.0)
    offset = class_offsets(logits, wanted)
    np.testing.assert_allclose(softmax(logits + offset).mean(axis=0), wanted, rtol=2e-5)
    np.testing.assert_allclose(offset, best - best.mean(), atol=1e-3)


def test_neither_the_unit_of_shares_nor_a_constant_of_an_object_matters() -> None:
    rng = np.random.default_rng(1)
    logits, wanted = rng.normal(size=(50, 3)), np.array([0.5, 0.3, 0.2])
    plain = class_offsets(logits, wanted)
    shifted = class_offsets(logits + rng.normal(size=(50, 1)), 7 * wanted)
    np.testing.assert_allclose(shifted, plain, atol=1e-9)
    assert abs(plain.sum()) < 1e-12


@pytest.mark.parametrize(
    ("logits", "wanted", "words"),
    [
        (np.empty((0, 2)), [0.5, 0.5], "at least one object"),
        (np.zeros((3, 2)), [1.0], "a share for each class"),
        (np.zeros(3), [1.0], "at least one object"),
        (np.array([[np.nan, 0.0]]), [0.5, 0.5], "finite logits"),
        (np.array([[np.inf, 0.0]]), [0.5, 0.5], "finite logits"),
        (np.zeros((3, 2)), [1.0, 0.0], "positive shares"),
        (np.zeros((3, 2)), [np.nan, 0.5], "positive shares"),
    ],
)
def test_what_cannot_be_met_is_refused(logits: np.ndarray, wanted: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        class_offsets(logits, np.array(wanted))


def shares(net: FireNet, arrays: TrainingArrays) -> np.ndarray:
    train = ~arrays.is_validation
    return softmax(predict_logits(net, arrays.folded[train], arrays.auxiliary[train])).mean(axis=0)


def shifted(made: CompressedNetwork, by: float) -> CompressedNetwork:
    """Of another operating point, its last bias in 8 bits."""
    bias = made.tensors["head.bias"] + np.float32(by) * np.arange(3, dtype=np.float32)
    scale = 2.0**-3
    levels = np.rint(bias / scale).astype(np.int8)
    return store_tensors(made.net, made.tensors | {"head.bias": GridTensor(levels, scale)})


def test_a_moved_operating_point_comes_back_and_nothing_else_changes(
    trained: FireNet, toy: TrainingArrays
) -> None:
    moved = shifted(store_network(trained), 4)
    assert np.abs(shares(moved.net, toy) - shares(trained, toy)).max() > 0.1
    back = match_classes(moved, trained, toy)

    np.testing.assert_allclose(shares(back.net, toy), shares(trained, toy), atol=0.01)
    assert isinstance(back.tensors["head.bias"], GridTensor)
    assert abs(len(back.data) - len(moved.data)) <= 2
    for name, array in moved.weights.items():
        assert name == "head.bias" or np.array_equal(back.weights[name], array)


def test_validation_objects_are_not_looked_at(trained: FireNet, toy: TrainingArrays) -> None:
    moved = shifted(store_network(trained), 4)
    other = replace(
        toy,
        label=np.where(toy.is_validation, 0, toy.label),
        folded=np.where(toy.is_validation[:, None, None], np.float32(0), toy.folded),
    )
    again = match_classes(moved, trained, other)
    assert again.data == match_classes(moved, trained, toy).data


def test_a_network_that_is_the_same_stays_and_half_floats_stay_half(
    trained: FireNet, toy: TrainingArrays
) -> None:
    whole = store_network(trained)
    assert match_classes(whole, trained, toy).data == whole.data
    eight = match_classes(store_in_eight_bits(trained), trained, toy)
    assert is_half(eight.weights["head.bias"])


def test_a_bias_too_coarse_to_be_moved_stays(trained: FireNet, toy: TrainingArrays) -> None:
    plain = store_network(trained)
    coarse = GridTensor(np.array([1, 0, -1], dtype=np.int8), 1.0, bits=2)
    made = store_tensors(plain.net, plain.tensors | {"head.bias": coarse})
    whole = copy.deepcopy(made.net)
    with torch.no_grad():
        whole.head.bias.copy_(torch.tensor([1.2, -0.58, -0.62]))  # as 1.2, 0, -1.2
    assert match_classes(made, whole, toy) is made


def test_no_training_objects_are_an_error_and_not_a_warning(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    none = replace(toy, is_validation=np.ones(len(toy.label), dtype=bool))
    with pytest.raises(DataError, match="match_classes needs training objects"):
        compress_network(trained, none, CompressSettings(sparsity=0, n_values=0), fit)


def test_a_network_that_was_not_trained_has_nothing_to_keep_and_that_is_said(
    trained: FireNet, toy: TrainingArrays, caplog: pytest.LogCaptureFixture
) -> None:
    made = store_network(trained)
    fresh = build_network(trained.spec, seed=9)
    with torch.no_grad():
        fresh.head.bias += 3 * torch.arange(3)
    assert np.abs(shares(fresh, toy) - shares(trained, toy)).max() > 0.05
    assert match_classes(made, fresh, toy) is made
    assert "train it in its present shape first" in caplog.text


def test_the_chain_ends_with_it_and_can_leave_it_out(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    settings = CompressSettings(
        sparsity=0.9, prune_stages=1, stage_epochs=1, retrain_epochs=1, share_epochs=1
    )
    without = compress_network(trained, toy, replace(settings, match_classes=False), fit)
    made = compress_network(trained, toy, settings, fit)

    assert made.data == match_classes(without, trained, toy).data
    gap = np.abs(shares(made.net, toy) - shares(trained, toy)).max()
    assert gap < 0.5 * np.abs(shares(without.net, toy) - shares(trained, toy)).max()
    assert list(made.histories) == list(without.histories)

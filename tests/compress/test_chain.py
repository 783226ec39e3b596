"""The chain: what is returned is what the bytes hold, and it still classifies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.stored import CompressedNetwork, store_network
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError
from astroprep.model.firenet import FireNet, count_parameters, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits

SHORT = CompressSettings(
    sparsity=0.7, prune_stages=2, stage_epochs=1, retrain_epochs=4, n_values=16, share_epochs=2
)


@pytest.fixture(scope="module")
def compressed(trained: FireNet, toy: TrainingArrays, fit: TrainSettings) -> CompressedNetwork:
    return compress_network(trained, toy, SHORT, fit)


def test_returns_exactly_what_the_bytes_hold(compressed: CompressedNetwork) -> None:
    decoded = decode_weights(compressed.data, compressed.shapes)
    state = compressed.net.state_dict()

    assert list(decoded) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(decoded[name], tensor.numpy())
        np.testing.assert_array_equal(decoded[name], compressed.weights[name])


def test_is_sparse_shared_and_small(compressed: CompressedNetwork, trained: FireNet) -> None:
    assert compressed.n_parameters == count_parameters(trained)
    assert compressed.ratio == 4 * compressed.n_parameters / len(compressed.data)
    assert compressed.ratio > 10
    pruned = [t for t in compressed.stored if t.name.endswith("weight")]
    zeros = sum(t.n_weights - t.n_nonzero for t in pruned)
    assert zeros / sum(t.n_weights for t in pruned) >= 0.7 - 0.01
    assert max(t.n_values for t in pruned) <= 15
    assert list(compressed.histories) == ["prune 0.61", "prune 0.70", "share"]


def test_still_classifies(compressed: CompressedNetwork, trained: FireNet, accuracy: Any) -> None:
    assert accuracy(trained) > 0.9
    assert accuracy(compressed.net) > accuracy(trained) - 0.05


def test_the_given_network_is_not_changed(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    seen: list[float] = []
    compress_network(
        trained,
        toy,
        CompressSettings(sparsity=0.0, share_epochs=1),
        fit,
        progress=lambda row: seen.append(row["epoch"]),
    )
    assert seen == [0.0]
    assert all(torch.equal(before[n], t) for n, t in trained.state_dict().items())


def test_the_same_again_gives_the_same_bytes(
    compressed: CompressedNetwork, trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    assert compress_network(trained, toy, SHORT, fit).data == compressed.data


def test_without_any_pass_it_is_the_reference(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings
) -> None:
    nothing = CompressSettings(sparsity=0.0, n_values=0)
    plain = compress_network(trained, toy, nothing, fit)

    assert plain.data == store_network(trained).data
    assert 4 * plain.n_parameters <= len(plain.data) <= 4 * plain.n_parameters + 40
    np.testing.assert_array_equal(
        predict_logits(plain.net, toy.folded, toy.auxiliary),
        predict_logits(fold_batchnorm(trained), toy.folded, toy.auxiliary),
    )


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"sparsity = 1.0, scope = 'all', n_values = 1, rate = 0"):
        CompressSettings(sparsity=1.0, scope="all", n_values=1, rate=0)  # type: ignore[arg-type]

"""Narrower and factored networks: they build, run alike everywhere, and their files are smaller."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from astroprep.compress.chain import CompressSettings, compress_network
from astroprep.compress.channels import channel_groups, channel_scores, shrink_channels
from astroprep.compress.lowrank import factor_layers, rank_by_accuracy, rank_by_energy, worth_rank
from astroprep.compress.stored import store_network
from astroprep.compress.tensor_train import (
    balanced_factors,
    train_cores,
    train_layer,
    train_matrix,
)
from astroprep.deploy.onnx import build_graph, check_graph
from astroprep.deploy.runtime import golden_vectors
from astroprep.errors import ConfigError
from astroprep.model.firenet import (
    FireNet,
    build_network,
    count_macs,
    count_parameters,
    firenet_spec,
    fold_batchnorm,
)
from astroprep.model.train import TrainingArrays, TrainSettings, predict_logits


@pytest.fixture(scope="module")
def net() -> FireNet:
    """Bypasses, auxiliaries, a hidden layer, and batch norms that do something."""
    made = build_network(
        firenet_spec("small", n_channels=4, n_bins=16, n_auxiliary=5, n_classes=3), seed=2
    )
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if ".norm." in name and tensor.is_floating_point():
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draw))
    return made.eval()


@pytest.fixture(scope="module")
def inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, 4, 16)).astype("f4"), rng.normal(size=(9, 5)).astype("f4")


WAYS = {
    "narrow": lambda net: shrink_channels(net, 0.4),
    "low rank": lambda net: factor_layers(net, energy=0.5),
    "train": lambda net: train_layer(net, max_rank=4),
    "all": lambda net: train_layer(
        factor_layers(
            shrink_channels(net, 0.3), ranks={"fires.1.expand_3.conv": 3, "auxiliary": 2}
        ),
        max_rank=3,
        n_cores=2,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_builds_from_its_description_and_runs_alike_in_both_runtimes(
    net: FireNet, inputs: Any, way: str
) -> None:
    small = WAYS[way](net)
    again = build_network(json.loads(json.dumps(small.spec)))
    again.load_state_dict(small.state_dict())
    expected = predict_logits(small, *inputs)
    np.testing.assert_array_equal(predict_logits(again.eval(), *inputs), expected)

    stored, whole = store_network(small), store_network(net)
    graph = build_graph(stored.spec, stored.shapes)
    check_graph(graph, stored.shapes, "graph.onnx")
    golden = golden_vectors(graph, stored.weights, *inputs)
    expected = predict_logits(small, golden.folded, golden.auxiliary)
    np.testing.assert_allclose(golden.logits, expected, atol=2e-5 * np.abs(expected).max())

    assert count_parameters(small) == count_parameters(fold_batchnorm(small))
    assert 4 * count_parameters(small) <= len(stored.data) < len(whole.data)
    assert count_macs(small) <= count_macs(net)


def test_channels_that_do_nothing_go_without_a_trace(net: FireNet, inputs: Any) -> None:
    """A quarter of every group reads as zero: without them the logits are the same."""
    idle = copy.deepcopy(net)
    rng = np.random.default_rng(4)
    for group in channel_groups(idle):
        for channel in rng.choice(group.width, group.width // 4, replace=False):
            for name, at in group.consumers:
                with torch.no_grad():
                    idle.get_submodule(name).weight[:, at + int(channel)] = 0
    small = shrink_channels(idle, 0.25)

    before, after = predict_logits(idle, *inputs), predict_logits(small, *inputs)

    assert count_parameters(small) < 0.63 * count_parameters(idle)
    # bypass channels are read by the sum too, where their producers are not zero
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_scores_do_not_depend_on_how_large_a_channel_is_written(net: FireNet) -> None:
    """A ReLU unit times c, its readers over c: the same network, so the same scores."""
    other = fold_batchnorm(net)
    before = channel_scores(other)
    with torch.no_grad():
        other.hidden.weight[3] *= 8
        other.hidden.bias[3] *= 8
        other.head.weight[:, 3] /= 8
    np.testing.assert_allclose(channel_scores(other)["hidden"], before["hidden"], rtol=1e-6)


def test_floors_and_multiples_hold(net: FireNet) -> None:
    tiny = shrink_channels(net, 0.99, floor=4)
    assert all(4 <= group.width <= 5 for group in channel_groups(tiny))
    even = shrink_channels(net, 0.5, multiple=8)
    assert all(group.width % 8 == 0 for group in channel_groups(even))
    assert count_parameters(shrink_channels(net, 0.0)) == count_parameters(net)
    for wrong in (1.0, -0.1):
        with pytest.raises(ConfigError, match="remove in"):
            shrink_channels(net, wrong)
    with pytest.raises(ConfigError, match="shrink first"):
        channel_groups(factor_layers(net, ranks={"hidden": 2}))


def test_full_rank_changes_nothing_and_ranks_are_the_best(net: FireNet, inputs: Any) -> None:
    full = factor_layers(net, ranks={"fires.0.expand_3.conv": 24, "hidden": 48})
    np.testing.assert_allclose(
        predict_logits(full, *inputs), predict_logits(net, *inputs), rtol=1e-4, atol=1e-5
    )
    weight = net.hidden.weight.detach().double().numpy()
    values = np.linalg.svd(weight, compute_uv=False)
    part = factor_layers(net, ranks={"hidden": 7}).hidden
    product = (part.second.weight @ part.first.weight).detach().numpy()
    assert np.linalg.norm(weight - product) == pytest.approx(np.sqrt((values[7:] ** 2).sum()), 1e-5)


def test_ranks_by_energy() -> None:
    matrix = np.diag([3.0, 2.0, 1.0, 1.0])  # energies 9, 4, 1, 1 of 15
    assert [rank_by_energy(matrix, e) for e in (0.1, 0.6, 0.61, 13 / 15, 1.0)] == [1, 1, 2, 2, 4]
    assert rank_by_energy(np.zeros((3, 4)), 0.9) == 1
    assert worth_rank(np.zeros((4, 4))) == 1
    assert worth_rank(np.zeros((10, 5, 3))) == 5


def test_ranks_by_accuracy_ask_for_every_layer(net: FireNet) -> None:
    """A score that minds only one layer keeps that one whole."""

    def score(small: FireNet) -> float:
        return 0.0 if isinstance(small.hidden, nn.Linear) else -1.0

    small = rank_by_accuracy(net, score, 0.5, energies=(0.5,))
    assert isinstance(small.hidden, nn.Linear)
    assert "auxiliary" in small.spec["factors"] or len(small.spec["factors"]) > 3


@pytest.mark.parametrize(("outputs", "inputs"), [((2, 3, 4), (5, 2, 3)), ((6, 8), (4, 9))])
def test_cores_multiply_to_the_matrix_and_agree_with_tensorly(outputs: Any, inputs: Any) -> None:
    tensorly = pytest.importorskip("tensorly")
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(np.prod(outputs), np.prod(inputs)))
    cores = train_cores(matrix, outputs, inputs, max_rank=1000)
    np.testing.assert_allclose(train_matrix(cores), matrix, atol=1e-12)

    cut = train_cores(matrix, outputs, inputs, max_rank=4)
    theirs = tensorly.decomposition.tensor_train_matrix(
        matrix.reshape(*outputs, *inputs), [1, *[4] * (len(outputs) - 1), 1]
    )
    np.testing.assert_allclose(
        train_matrix(cut), theirs.to_tensor().reshape(matrix.shape), atol=1e-10
    )
    assert [core.shape for core in cut] == [tuple(core.shape) for core in theirs.factors]


def test_a_train_runs_as_its_matrix(net: FireNet) -> None:
    small = train_layer(net, max_rank=5, n_cores=3)
    factor = small.spec["factors"]["hidden"]
    weight = net.hidden.weight.detach().numpy()
    cores = train_cores(weight, factor["outputs"], factor["inputs"], max_rank=5)
    x = torch.randn(7, weight.shape[1], generator=torch.Generator().manual_seed(0))
    expected = x.numpy() @ train_matrix(cores).T + net.hidden.bias.detach().numpy()

    with torch.no_grad():
        np.testing.assert_allclose(small.hidden(x).numpy(), expected, atol=1e-5)
    # one object, core after core: counted by hand from the shapes
    by_hand, done = 0, 1
    for k, core in enumerate(cores):
        by_hand += done * core.size * int(np.prod(factor["inputs"][k + 1 :]))
        done *= core.shape[1]
    assert small.hidden.count_macs() == by_hand


def test_factors_of_numbers() -> None:
    assert balanced_factors(320, 3) == (5, 8, 8)
    assert balanced_factors(96, 3) == (4, 4, 6)
    assert balanced_factors(7, 2) == (1, 7)
    assert balanced_factors(1, 2) == (1, 1)


def test_passes_compose_with_pruning_and_sharing(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings, accuracy: Any
) -> None:
    """Narrow, factor, prune, share, code: smaller than pruning and sharing alone."""
    settings = CompressSettings(
        sparsity=0.5, prune_stages=1, retrain_epochs=4, n_values=16, share_epochs=2
    )
    small = train_layer(shrink_channels(trained, 0.3), max_rank=4, n_cores=2)
    alone = compress_network(trained, toy, settings, fit)
    both = compress_network(small, toy, settings, fit)

    assert len(both.data) < 0.75 * len(alone.data)
    assert accuracy(both.net) > 0.8
    assert {"hidden.cores.0.weight", "hidden.bias"} <= set(both.weights)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: factor_layers(net, ranks={"nose": 2}), "no layer 'nose'"),
        (lambda net: factor_layers(net, ranks={"hidden": 99}), "ranks 1 to 48"),
        (lambda net: factor_layers(net, energy=0), r"energy to keep must be in \(0, 1\]"),
        (lambda net: train_layer(net, "stem.conv", max_rank=2), "no dense layer 'stem.conv'"),
        (lambda net: train_layer(net, "nose", max_rank=2), "no dense layer 'nose'"),
        (lambda net: train_layer(net, max_rank=2, outputs=[7, 7], inputs=[2, 3]), "no factors"),
        (
            lambda net: build_network({**net.spec, "format": "firenet-2", "factors": {"x": {}}}),
            "no layer 'x'",
        ),
        (
            lambda net: build_network(
                {**net.spec, "format": "firenet-2", "factors": {"head": {"rank": -1}}}
            ),
            "cannot be factored",
        ),
        (
            lambda net: build_network({**net.spec, "format": "firenet-2", "bypass": [True] * 4}),
            "fire module 0 adds 24 channels to 48",
        ),
    ],
)
def test_mistakes_are_named(net: FireNet, call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(net)

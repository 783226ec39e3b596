"""Sharing: k-means on the line against brute force, and gradients grouped by value."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import nn

from astroprep.compress.encode import encode_weights
from astroprep.compress.share import assign, kmeans_1d, share_weights, stored_form, to_grid
from astroprep.compress.tensors import GridTensor, SharedTensor, dense
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError


@pytest.mark.parametrize("n_values", [2, 4, 15])
def test_equals_lloyd_of_scikit_learn(n_values: int) -> None:
    values = np.random.default_rng(0).gamma(2.0, size=2000)
    start = np.linspace(values.min(), values.max(), n_values)
    theirs = KMeans(n_values, init=start[:, None], n_init=1, tol=0, max_iter=1000)
    theirs.fit(values[:, None])

    ours = kmeans_1d(values, n_values, max_iterations=1000)

    np.testing.assert_allclose(ours, np.sort(theirs.cluster_centers_.ravel()), atol=1e-10)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.integers(1, 12))
def test_centres_are_means_of_their_own_cluster(values: list[float], n_values: int) -> None:
    data = np.array(values)
    for initialisation in ("linear", "density", "random"):
        centres = kmeans_1d(data, n_values, initialisation=initialisation)
        assert 1 <= centres.size <= n_values
        assert np.all(np.diff(centres) > 0)
        index = np.abs(data[:, None] - centres).argmin(axis=1)
        error = np.abs(data - centres[assign(data, centres)])
        np.testing.assert_allclose(error, np.abs(data - centres[index]), atol=1e-9)


def test_no_centre_is_lost_in_the_hole_that_pruning_leaves() -> None:
    values = np.random.default_rng(1).normal(size=4000)
    values = values[np.abs(values) > 1.6]
    for n_values in (2, 7, 15):
        assert kmeans_1d(values, n_values, max_iterations=1).size == n_values


def test_few_values_are_kept_exactly() -> None:
    assert kmeans_1d(np.array([3.0, 1.0, 3.0]), 5).tolist() == [1.0, 3.0]
    with pytest.raises(ConfigError, match="needs values"):
        kmeans_1d(np.empty(0), 3)


@given(st.lists(st.floats(-1e3, 1e3, width=32), max_size=40), st.integers(2, 8))
def test_grids_are_within_half_a_step(values: list[float], bits: int) -> None:
    data = np.array(values, dtype=np.float32)
    levels, scale = to_grid(data, bits)
    top = 2 ** (bits - 1) - 1
    assert np.abs(levels.astype(int)).max(initial=0) <= top
    if np.abs(data).max(initial=0) > 1e-30:
        assert np.abs(levels * scale - data).max() <= scale * 0.5001
        assert scale <= np.abs(data).max() / top * 1.01


def layer(zeros: bool = True) -> nn.Sequential:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(30, 20))
    if zeros:
        with torch.no_grad():
            net[0].weight[net[0].weight.abs() < 0.1] = 0
    return net


@pytest.mark.parametrize("codebook", ["grid", "half"])
@pytest.mark.parametrize("zeros", [True, False])
def test_few_values_and_zeros_stay(zeros: bool, codebook: Any) -> None:
    net = layer(zeros)
    before = net[0].weight.detach().clone()
    share_weights(net, 8, codebook=codebook)
    after = net[0].weight.detach()

    assert torch.equal(before == 0, after == 0)
    assert len(torch.unique(after)) <= 8
    assert (before - after).abs().max() < 0.05
    tensors = stored_form(net)
    assert isinstance(tensors["0.weight"], SharedTensor)
    assert isinstance(tensors["0.bias"], GridTensor)
    decoded = decode_weights(encode_weights(tensors), {n: t.shape for n, t in tensors.items()})
    np.testing.assert_array_equal(decoded["0.weight"], after.numpy())
    np.testing.assert_array_equal(decoded["0.bias"], net[0].bias.detach().numpy())


def test_the_gradient_of_a_value_is_the_sum_over_its_weights() -> None:
    """Han et al. 2016, equation 3."""
    plain, net = layer(), layer()
    share_weights(net, 6)
    codes = net[0].parametrizations.weight[0].codes
    with torch.no_grad():
        plain[0].weight.copy_(net[0].weight)
        plain[0].bias.copy_(net[0].bias)
    x = torch.randn(11, 30)
    for model in (plain, net):
        model(x).square().sum().backward()

    grouped = torch.stack([plain[0].weight.grad[codes == k].sum() for k in range(1, 6)])

    book = net[0].parametrizations.weight.original
    torch.testing.assert_close(book.grad, grouped, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(net[0].parametrizations.bias.original.grad, plain[0].bias.grad)


def test_values_that_meet_in_training_are_merged() -> None:
    net = layer()
    share_weights(net, 8)
    with torch.no_grad():
        book = net[0].parametrizations.weight.original
        book[2] = book[3]
        book[4] = 0.0
    tensor = stored_form(net)["0.weight"]
    assert isinstance(tensor, SharedTensor)
    assert tensor.values.size == 5
    assert np.all(np.diff(tensor.values) > 0)
    np.testing.assert_array_equal(dense(tensor), net[0].weight.detach().numpy())


def test_a_layer_without_weights_left_can_be_shared() -> None:
    net = layer()
    with torch.no_grad():
        net[0].weight.zero_()
    share_weights(net, 8)
    copied = copy.deepcopy(net)
    copied(torch.ones(2, 30)).sum().backward()
    tensors = stored_form(copied)
    assert not dense(tensors["0.weight"]).any()
    assert not decode_weights(encode_weights(tensors), {"0.weight": (20, 30), "0.bias": (20,)})[
        "0.weight"
    ].any()


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="no layer 'x' to share"):
        share_weights(layer(), per_layer={"x": 3})
    with pytest.raises(ConfigError, match="2 to 255"):
        share_weights(layer(), 1)
    with pytest.raises(ConfigError, match="2 to 8 bits"):
        share_weights(layer(), bias_bits=9)


def test_layers_may_have_their_own_number_of_values() -> None:
    net = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 20))
    share_weights(net, 16, per_layer={"1": 4})
    assert len(torch.unique(net[0].weight)) == 16
    assert len(torch.unique(net[1].weight)) == 4

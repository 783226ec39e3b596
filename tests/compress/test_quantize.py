"""Integers: exact by hand, close to the floats, proved not to overflow, trained around."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.compress.integer import IntegerLayer, fixed_point, integer_network
from astroprep.compress.prune import (
    apply_masks,
    keep_masked,
    magnitude_masks,
    prunable_layers,
)
from astroprep.compress.quantize import calibrate_ranges, quantize_network, train_quantized
from astroprep.compress.ranges import ActivationRanges, affine, range_names
from astroprep.compress.share import share_weights, stored_form
from astroprep.compress.stored import store_tensors
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import FireNet, build_network, firenet_spec, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network, predict_logits


def _network(preset: str = "micro", n_auxiliary: int = 7, seed: int = 1) -> FireNet:
    spec = firenet_spec(preset, n_channels=3, n_bins=16, n_auxiliary=n_auxiliary, n_classes=3)
    return build_network(spec, seed).eval()


def _inputs(n: int, n_auxiliary: int = 7) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    folded = rng.normal(size=(n, 3, 16)).astype(np.float32)
    return folded, rng.normal(size=(n, n_auxiliary)).astype(np.float32)


def test_a_layer_by_hand() -> None:
    """One output, two channels, three taps, dilation two: sums and rounding on paper."""
    layer = IntegerLayer(
        "x",
        np.array([[[1, 0, -1], [2, 3, 0]]], np.int8),
        np.array([5], np.int32),
        np.array([3], np.int32),
        np.array([2], np.int32),
        np.array([2], np.int32),
        dilation=2,
    )
    x = np.array([[[10, 20, 30, 40, 50], [1, 2, 3, 4, 5]]], np.uint8)
    # bin 0: 5 + x0[-2] - x0[2] + 2 x1[-2] + 3 x1[0] = 5 + 40 - 30 + 8 + 3
    assert layer.sums(x)[0, 0, 0] == 26
    # bin 2: 5 + 10 - 50 + 2 + 9 = -24, below zero; the bypass gives (0 + 2 * 7 + 2) >> 2
    assert layer.sums(x)[0, 0, 2] == -24
    y = layer.apply(x, np.full((1, 1, 5), 7, np.uint8))
    assert y[0, 0].tolist()[:3:2] == [(26 * 3 + 14 + 2) >> 2, 4]
    assert layer.bounds()[0].tolist() == [-255]
    assert layer.bounds()[1].tolist() == [5 + 6 * 255]


@given(
    st.lists(st.floats(1e-9, 1e5), min_size=1, max_size=8),
    st.floats(1, 2e6),
    st.sampled_from([0.0, 0.3, 1.0, 7.0]),
)
@settings(max_examples=100, deadline=None)
def test_fixed_point_is_fine_and_never_too_large(
    ratio: list[float], reach: float, bypass: float
) -> None:
    ratios, reaches = np.array(ratio), np.full(len(ratio), reach)
    try:
        multiplier, shift = fixed_point(ratios, reaches, bypass, "x")
    except ConfigError:
        assert reach * max(ratio) > 2**28
        return
    value = np.ldexp(multiplier.astype(float), -shift)
    top = np.floor(reach) * multiplier.astype(float) + 255 * np.rint(bypass * 2.0**shift)
    assert (top + 2.0 ** (shift - 1) < 2**31).all()
    assert ((shift >= 1) & (shift <= 31)).all()
    assert (value >= ratios).all()
    assert (value - ratios <= 2.0**-shift).all()


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("n_auxiliary", [7, 0])
@pytest.mark.parametrize("preset", ["nano", "micro", "small"])
def test_close_to_the_floats(preset: str, n_auxiliary: int, method: Any) -> None:
    """Eight bits a tensor leave a per cent or two of the scatter of logits."""
    net, inputs = _network(preset, n_auxiliary), _inputs(200, n_auxiliary)
    network = quantize_network(net, calibrate_ranges(net, *inputs, method=method))
    exact = predict_logits(net, *inputs)

    logits = network.evaluate(*network.quantize(*inputs)) * network.logit_scale

    assert np.abs(logits - exact).std() < 0.03 * exact.std()


def test_does_not_depend_on_the_origin_of_phase() -> None:
    net, (folded, auxiliary) = _network(), _inputs(30)
    network = quantize_network(net, calibrate_ranges(net, folded, auxiliary))
    one, extra = network.quantize(folded, auxiliary)

    rolled = network.evaluate(np.roll(one, 5, axis=2), extra)

    np.testing.assert_array_equal(rolled, network.evaluate(one, extra))


def test_sums_reach_their_bounds_and_stay_in_32_bits() -> None:
    net = _network("small")
    network = quantize_network(net, calibrate_ranges(net, *_inputs(50)))
    for layer in network.layers.values():
        low, high = layer.bounds()
        assert low.min() > -(2**31)
        assert high.max() < 2**31
        n_taps = layer.weight.shape[2]
        for o in range(2):
            # a circle of three bins, so that every tap reads another one
            x = np.zeros((1, layer.weight.shape[1], 3), np.uint8)
            if layer.dilation % 3 and n_taps <= 3:
                for k in range(n_taps):
                    at = (k - n_taps // 2) * layer.dilation % 3
                    x[0, :, at] = np.where(layer.weight[o, :, k] > 0, 255, 0)
                top = high[o] + min(int(layer.bias[o]), 0)
                assert layer.sums(x)[0, o, 0] == top


def test_out_of_proportion_is_refused() -> None:
    folded = fold_batchnorm(_network())
    tensors = {name: t.numpy().copy() for name, t in folded.state_dict().items()}
    ranges = calibrate_ranges(folded, *_inputs(20))
    ranges.high["hidden"] *= 1e-9
    with pytest.raises(ConfigError, match="out of proportion"):
        integer_network(folded.spec, tensors, ranges)
    del tensors["head.bias"]
    with pytest.raises(ConfigError, match=r"head\.bias|out of prop"):
        integer_network(folded.spec, tensors, calibrate_ranges(folded, *_inputs(20)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    folded = fold_batchnorm(_network())
    tensors = {name: t.numpy().copy() for name, t in folded.state_dict().items()}
    tensors["fires.1.squeeze.conv.weight"][0, 0, 0] = value
    with pytest.raises(ConfigError, match=r"fires\.1\.squeeze"):
        integer_network(folded.spec, tensors, calibrate_ranges(folded, *_inputs(20)))


def test_dead_channels_and_dead_networks() -> None:
    """Pruned away entirely: what is left is the bias of the head."""
    folded = fold_batchnorm(_network())
    with torch.no_grad():
        for name, tensor in folded.state_dict().items():
            if name != "head.bias":
                tensor.zero_()
    ranges = calibrate_ranges(folded, *_inputs(20))
    network = quantize_network(folded, ranges)

    logits = network.evaluate(*network.quantize(*_inputs(3))) * network.logit_scale

    expected = folded.state_dict()["head.bias"].numpy()
    np.testing.assert_allclose(logits, np.tile(expected, (3, 1)), atol=1e-5)


def test_inputs_far_outside_saturate() -> None:
    net = _network()
    network = quantize_network(net, calibrate_ranges(net, *_inputs(20)))
    folded = np.full((1, 3, 16), 3e38, np.float32)
    levels, extra = network.quantize(folded, np.full((1, 7), -3e38, np.float32))
    assert (levels == 255).all()
    assert (extra == 0).all()


def test_zero_is_an_exact_level() -> None:
    scale, zero = affine(np.array([-1.0, 2.0, -3.0, 0.0]), np.array([2.0, 5.0, -1.0, 0.0]))
    assert zero.tolist() == [85, 0, 255, 0]
    assert scale[3] == 1.0


def test_percentile_ignores_an_outlier_that_minmax_follows() -> None:
    net, (folded, auxiliary) = _network(), _inputs(300)
    folded[0] *= 50
    narrow, wide = (
        calibrate_ranges(net, folded, auxiliary, method=m, percentile=99.0)
        for m in ("percentile", "minmax")
    )
    assert all(narrow.high[n] < wide.high[n] for n in range_names(net.spec) if n != "auxiliary")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"method": "best"}, "method 'best'"), ({"percentile": 20.0}, r"percentile 20\.0")],
)
def test_calibration_names_wrong_settings(change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        calibrate_ranges(_network(), *_inputs(3), **change)


def test_calibration_needs_curves_and_numbers() -> None:
    folded, auxiliary = _inputs(3)
    with pytest.raises(DataError, match="at least one curve"):
        calibrate_ranges(_network(), folded[:0], auxiliary[:0])
    folded[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        calibrate_ranges(_network(), folded, auxiliary)


def test_weights_still_shared_are_refused_and_once_stored_they_quantize() -> None:
    """A codebook and one step a channel cannot train together; they follow one another."""
    net = fold_batchnorm(_network())
    shared = copy.deepcopy(net)
    share_weights(shared, 4)
    ranges = calibrate_ranges(net, *_inputs(5))
    arrays = TrainingArrays(*_inputs(5), np.arange(5) % 3, np.arange(5) == 0)
    for call in (
        lambda: calibrate_ranges(shared, *_inputs(5)),
        lambda: quantize_network(shared, ranges),
        lambda: train_quantized(shared, arrays, ranges, TrainSettings()),
    ):
        with pytest.raises(ConfigError, match="still trains shared or ternary"):
            call()

    stored = store_tensors(net, stored_form(shared)).net
    network = quantize_network(stored, calibrate_ranges(stored, *_inputs(5)))

    head = stored.state_dict()["head.weight"]
    assert head.unique().numel() <= 4
    assert network.layers["head"].weight.dtype == np.int8


def test_pruned_weights_stay_zero_where_the_rounding_trains() -> None:
    folded, auxiliary = _inputs(60)
    arrays = TrainingArrays(folded, auxiliary, np.arange(60) % 3, np.arange(60) % 4 == 0)
    net = fold_batchnorm(_network())
    masks = magnitude_masks(net, prunable_layers(net), 0.8)
    apply_masks(net, masks)
    fit = TrainSettings(max_epochs=2, batch_size=16, patience=0, n_threads=1)

    trained, _, _ = train_quantized(
        net, arrays, calibrate_ranges(net, folded, auxiliary), fit, after_step=keep_masked(masks)
    )

    after = {n: t.numpy() for n, t in trained.state_dict().items() if n.endswith("weight")}
    before = {n: t.numpy() for n, t in net.state_dict().items()}
    assert sum((a == 0).sum() for a in after.values()) >= 0.7 * sum(a.size for a in after.values())
    assert all((a[before[n] == 0] == 0).all() for n, a in after.items())
    assert any((a != before[n]).any() for n, a in after.items())


def test_ranges_of_a_bundle_are_checked() -> None:
    net = _network()
    ranges = calibrate_ranges(net, *_inputs(5))
    good = ranges.to_dict()
    back = ActivationRanges.from_dict(good, net.spec, "x")
    assert back.high == ranges.high
    for change, message in (
        ({"folded_low": None}, "folded_low must be an array"),
        ({"folded_low": np.zeros(2)}, "must be 3 finite"),
        ({"folded_high": np.full(3, np.nan)}, "must be 3 finite"),
        ({"folded_high": np.full(3, -100.0)}, "ends before it begins"),
        ({"high": {}}, "needs the ranges of stem"),
        ({"high": {**ranges.high, "stem": -1.0}}, "range of stem"),
        ({"high": {**ranges.high, "stem": True}}, "range of stem"),
    ):
        with pytest.raises(DataError, match=message):
            ActivationRanges.from_dict({**good, **change}, net.spec, "x")
    for spec in ({"fires": 3}, {"fires": [[1, 2]]}, {"stem": 1 << 40}, {"n_bins": True}):
        with pytest.raises(DataError, match="sizes that none has"):
            ActivationRanges.from_dict(good, {**net.spec, **spec}, "x")


def test_training_with_the_rounding_in_place_recovers_what_narrow_ranges_lost() -> None:
    """Classes differ in amplitude; ranges cut to a third clip that difference away."""
    rng = np.random.default_rng(0)
    n = 300
    label = rng.integers(0, 3, n)
    folded = rng.normal(size=(n, 3, 16)).astype(np.float32) * (1 + label[:, None, None])
    auxiliary = rng.normal(size=(n, 7)).astype(np.float32)
    arrays = TrainingArrays(folded.astype(np.float32), auxiliary, label, np.arange(n) % 4 == 0)
    net = build_network(_network("nano").spec, 1)
    fit = TrainSettings(max_epochs=4, batch_size=32, learning_rate=0.01, patience=0, n_threads=1)
    fit_network(net, arrays, fit)
    ranges = calibrate_ranges(net, arrays.folded[:100], arrays.auxiliary[:100])
    for name in ranges.high:
        ranges.high[name] /= 3

    def loss(one: FireNet, its: ActivationRanges) -> float:
        network = quantize_network(one, its)
        logits = network.evaluate(*network.quantize(folded, auxiliary)) * network.logit_scale
        check = arrays.is_validation
        return float(
            torch.nn.functional.cross_entropy(
                torch.tensor(logits[check]), torch.tensor(label[check])
            )
        )

    before = loss(net, ranges)
    trained, learned, history = train_quantized(net, arrays, ranges, fit, rate=0.3)
    after = loss(trained, learned)

    assert after < 0.9 * before
    assert learned.high != ranges.high
    # what it validated in floats is what the integers give
    assert after == pytest.approx(min(r["validation_loss"] for r in history.epochs), rel=0.15)

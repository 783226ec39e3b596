"""Training in 16 bits: each of the three techniques matters, and says so in numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from astroprep.errors import ConfigError
from astroprep.model.firenet import build_network, firenet_spec
from astroprep.model.precision import MixedPrecision, low_accumulation
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network, predict_logits


def one_weight(start, **settings):
    """A layer of one weight under plain descent, in the precision asked for."""
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(start)
    precision = MixedPrecision(TrainSettings(**settings))
    return net, precision, torch.optim.SGD(net.parameters(), lr=1.0)


def test_small_updates_survive_in_float32_weights_only():
    """Steps of 1e-4 on a weight of 1: half a unit in the last place of float16 is 4.9e-4."""
    ends = {}
    for master in (True, False):
        net, precision, optimizer = one_weight(1.0, precision="float16", master_weights=master)
        for _ in range(100):
            optimizer.zero_grad()
            precision.step(1e-4 * net.weight.sum(), net, optimizer)
        ends[master] = float(net.weight.detach())

    assert ends[True] == pytest.approx(0.99, abs=1e-5)
    assert ends[False] == 1.0


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 0.0), (1024.0, 1e-8), (0.0, 1e-8)])
def test_small_gradients_survive_a_scaled_loss_only(scale, expected):
    """A gradient of 1e-8 on the way back through float16, whose least number is 6e-8."""
    net, precision, optimizer = one_weight(1.0, precision="float16", loss_scale=scale)
    with precision.products():
        y = net(torch.ones(1, 1))
    precision.step(1e-8 * y.float().sum(), net, optimizer)

    assert float(net.weight.grad) == pytest.approx(expected, rel=0.01, abs=1e-12)


def test_an_overflow_leaves_the_step_out_and_halves_the_scale():
    net, precision, optimizer = one_weight(1.0, precision="float16")
    before = precision.scaler.get_scale()
    precision.step(net.weight.sum() * float("inf"), net, optimizer)

    assert float(net.weight.detach()) == 1.0
    assert precision.scaler.get_scale() == before / 2


def test_sums_in_float16_stagnate():
    """4,096 ones: a running float16 sum stops at 2,048, where the spacing becomes 2."""
    net = nn.Linear(4096, 1, bias=False)
    nn.init.ones_(net.weight)
    x = torch.ones(1, 4096)
    with torch.no_grad():
        with low_accumulation(net, torch.float16):
            low = float(net(x))
        full = float(net(x))

    assert low == 2048.0
    assert full == 4096.0


def test_emulated_layers_equal_the_real_ones_to_their_rounding(rng):
    conv, dense = nn.Conv1d(3, 5, 3, dilation=2), nn.Linear(7, 4)
    x = torch.tensor(rng.normal(size=(2, 3, 12)), dtype=torch.float32)
    y = torch.tensor(rng.normal(size=(2, 7)), dtype=torch.float32)
    expected = conv(x), dense(y)
    with low_accumulation(nn.ModuleList([conv, dense]), torch.float16):
        got = conv(x), dense(y)

    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.0, atol=0.02)
    torch.testing.assert_close(conv(x), expected[0])  # as before, once the context ends


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_network_learns_in_16_bits(rng, precision):
    label = rng.integers(0, 2, 120)
    phase = np.arange(16) / 16 + rng.random((120, 1))
    wave = np.sin(2 * np.pi * phase * (1 + label[:, None]))[:, None].astype(np.float32)
    arrays = TrainingArrays(
        wave, np.zeros((120, 0), np.float32), label.astype(np.int64), np.arange(120) % 4 == 0
    )
    spec = firenet_spec("nano", n_channels=1, n_bins=16, n_auxiliary=0, n_classes=2)
    net = build_network(spec)
    settings = TrainSettings(
        max_epochs=8, batch_size=15, learning_rate=1e-2, averaging=0.8, n_threads=1,
        precision=precision,
    )  # fmt: skip

    fit_network(net, arrays, settings)

    assert {p.dtype for p in net.parameters()} == {torch.float32}
    right = predict_logits(net, wave, arrays.auxiliary).argmax(axis=1) == label
    assert right.mean() > 0.9


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ConfigError, match="cannot use device 'cuda'"):
        MixedPrecision(TrainSettings(device="cuda"))

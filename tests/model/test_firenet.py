"""The cyclic network: origin of phase, folding of batch norm, sizes, description."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.errors import ConfigError
from astroprep.model.firenet import (
    PRESETS,
    build_network,
    count_macs,
    count_parameters,
    firenet_spec,
    fold_batchnorm,
)


def spec_of(preset, n_bins=64, n_auxiliary=45):
    return firenet_spec(preset, n_channels=6, n_bins=n_bins, n_auxiliary=n_auxiliary, n_classes=11)


def lived_in(preset, **shape):
    """A network whose batch norms have seen data, so that folding has something to fold."""
    net = build_network(spec_of(preset, **shape), seed=3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        net(
            2 * torch.randn(32, 6, net.spec["n_bins"], generator=draw) + 1,
            torch.randn(32, net.spec["n_auxiliary"], generator=draw),
        )
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".norm." in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return net.eval()


@settings(max_examples=20, deadline=None)
@given(shift=st.integers(1, 63), preset=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 99))
def test_the_origin_of_phase_does_not_matter(shift, preset, seed):
    """Rolling by any whole bin changes the order of float32 sums only: 1e-5 of the logits."""
    net = build_network(spec_of(preset), seed=seed).eval()
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 6, 64, generator=draw)
    a = torch.randn(4, 45, generator=draw)

    with torch.no_grad():
        still, rolled = net(x, a), net(torch.roll(x, shift, dims=-1), a)

    torch.testing.assert_close(rolled, still, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_folding_batch_norm_keeps_the_logits(preset):
    net = lived_in(preset)
    x, a = torch.randn(16, 6, 64), torch.randn(16, 45)

    folded = fold_batchnorm(net)

    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(x, a), net(x, a), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(fold_batchnorm(folded)(x, a), folded(x, a))


def test_folding_keeps_pruned_weights_at_zero():
    net = lived_in("micro")
    with torch.no_grad():
        net.fires[0].expand_3.conv.weight[:, ::2] = 0.0

    assert (fold_batchnorm(net).fires[0].expand_3.conv.weight[:, ::2] == 0).all()


@pytest.mark.parametrize(
    ("preset", "most"), [("nano", 2_500), ("micro", 6_000), ("small", 40_000), ("reference", 1e5)]
)
def test_sizes_are_within_their_promise(preset, most):
    net = lived_in(preset)
    folded = fold_batchnorm(net)

    stored = sum(p.numel() for p in folded.parameters())
    assert count_parameters(net) == count_parameters(folded) == stored <= most
    assert count_macs(net) == count_macs(folded)


def test_macs_of_a_net_counted_by_hand():
    spec = {
        **spec_of("nano", n_bins=8, n_auxiliary=0),
        "stem": 2,
        "fires": [[3, 4, 1]],
        "head_width": 0,
    }

    # stem 6x2x5, squeeze 2x3, expand 3x4x(1+3), all at 8 bins; head (2x8)x11 once
    assert count_macs(build_network(spec)) == 8 * (60 + 6 + 48) + 16 * 11


def test_is_rebuilt_from_json_and_seed():
    spec = json.loads(json.dumps(spec_of("micro")))

    first, second = build_network(spec, seed=5), build_network(spec, seed=5)

    assert first.spec == spec
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_building_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build_network(spec_of("nano"), seed=9)

    assert torch.equal(torch.rand(3), expected)


def test_works_without_auxiliaries():
    net = build_network(spec_of("nano", n_auxiliary=0)).eval()

    assert net(torch.randn(2, 6, 64), torch.empty(2, 0)).shape == (2, 11)


def test_wrong_descriptions_are_named():
    with pytest.raises(ConfigError, match="unknown network preset 'huge'"):
        spec_of("huge")
    with pytest.raises(ConfigError, match="format"):
        build_network({**spec_of("nano"), "format": "other"})
    short = spec_of("nano")
    del short["stem"]
    with pytest.raises(ConfigError, match="lacks 'stem'"):
        build_network(short)

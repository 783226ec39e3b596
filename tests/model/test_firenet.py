"""The cyclic network: origin of phase, folding of batch norm, sizes, description."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.errors import ConfigError
from astroprep.model.costs import network_costs, preset_costs
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


def several(preset="nano", n_periods=3):
    return firenet_spec(
        preset, n_channels=6, n_bins=16, n_auxiliary=4, n_classes=3, n_periods=n_periods
    )


@settings(max_examples=10, deadline=None)
@given(shifts=st.lists(st.integers(0, 15), min_size=3, max_size=3), swap=st.booleans())
def test_each_period_has_an_origin_of_its_own(shifts, swap):
    """Candidates roll apart and may change places; the chosen period stays the first."""
    net = build_network(several(), seed=2).eval()
    draw = torch.Generator().manual_seed(1)
    x, a = torch.randn(4, 3, 2, 16, generator=draw), torch.randn(4, 4, generator=draw)
    order = [0, 2, 1] if swap else [0, 1, 2]
    y = torch.stack([x[:, k].roll(shift, -1) for k, shift in zip(order, shifts, strict=True)], 1)

    with torch.no_grad():
        still, moved = net(x.flatten(1, 2), a), net(y.flatten(1, 2), a)

    torch.testing.assert_close(moved, still, rtol=1e-5, atol=1e-5)


def test_a_candidate_can_change_the_answer():
    net = build_network(several(), seed=2).eval()
    x, a = torch.zeros(1, 6, 16), torch.zeros(1, 4)
    y = x.clone()
    y[:, 2:4] = 3 * torch.randn(1, 2, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (net(y, a) - net(x, a)).abs().max() > 1e-3
    with pytest.raises(ConfigError, match="6 channels do not divide among 4 periods"):
        several(n_periods=4)


def test_other_widths_than_those_of_the_preset():
    shape = {"n_channels": 6, "n_bins": 64, "n_auxiliary": 53, "n_classes": 11}
    net = build_network(firenet_spec("micro", **shape, auxiliary_width=32, head_width=24))
    plain = build_network(firenet_spec("micro", **shape))
    # (53 + 1) 32 + (48 + 32 + 1) 24 + (24 + 1) 11 instead of (53 + 1) 16 + (48 + 16 + 1) 16 + ...
    assert count_parameters(net) - count_parameters(plain) == 3947 - 2091
    with pytest.raises(ConfigError, match="auxiliary_width = 0"):
        firenet_spec("micro", **shape, auxiliary_width=0)


def test_costs_by_hand():
    """Of the net of the test above, plus the memory of its widest layer with what is held."""
    spec = {**spec_of("nano", n_bins=8, n_auxiliary=0), "stem": 8, "fires": [[3, 4, 1]]}
    net = build_network({**spec, "head_width": 0})

    costs = network_costs(net)

    assert costs.macs == count_macs(net)
    assert costs.weight_bytes == 4 * costs.parameters == 4 * count_parameters(net)
    # expand_3 reads 3 x (8 + 2 bins of wrap) and writes 4 x 8, while the bypass holds 8 x 8;
    # the stem reads 6 x 12 and writes 8 x 8
    assert costs.activation_bytes == 4 * max(30 + 32 + 64, 72 + 64, 24 + 64 + 64)


def test_presets_are_listed_with_what_they_cost():
    table = preset_costs()

    assert list(table) == list(PRESETS)
    sizes = [costs.parameters for costs in table.values()]
    assert sizes == sorted(sizes)
    assert table["micro"].parameters <= 6_000

"""Several processes learn what one learns, each holding its part only."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from astroprep.errors import ConfigError
from astroprep.model.parallel import fit_parallel
from astroprep.model.parallel_layers import layer_bounds
from astroprep.model.parallel_processes import launch
from astroprep.model.train import fit_network

sys.path.insert(0, str(Path(__file__).parent))  # the processes import it by name
import parallel_checks as checks

# Sums over 2 or 3 processes round otherwise than one sum: 1e-16 a step, 6 steps of AdamW.
EXACT = {"rtol": 1e-9, "atol": 1e-10}
# In float32 1e-7 a step; AdamW divides by gradients that may be as small.
SINGLE = {"rtol": 2e-4, "atol": 2e-4}


@pytest.fixture(scope="module", params=[2, 3])
def told(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    launch("parallel_checks:every_kind", folder, request.param)
    return [torch.load(folder / f"told-{rank}.pt") for rank in range(request.param)]


def assert_same_training(found, net, losses, tolerance):
    for one in found:
        np.testing.assert_allclose(one["losses"], losses, **tolerance)
        assert one["state"].keys() == net.state_dict().keys()
        for name, tensor in net.state_dict().items():
            torch.testing.assert_close(
                one["state"][name], tensor, **tolerance, msg=lambda m, name=name: f"{name}: {m}"
            )


@pytest.mark.parametrize("kind", ["data", "region", "output nano", "output micro"])
def test_losses_and_weights_are_those_of_one_process(told, kind):
    net = checks.make_net("nano" if "nano" in kind else "micro")
    losses = checks.learn(net)

    assert_same_training([one[kind] for one in told], net, losses, EXACT)


@pytest.mark.parametrize(("schedule", "n_micro"), [("gpipe", 4), ("1f1b", 4), ("1f1b", 1)])
def test_layers_learn_as_one_process_on_the_same_micro_batches(told, schedule, n_micro):
    net = checks.make_net()
    losses = checks.learn(net, n_micro=n_micro)

    found = [one[f"layer {schedule} {n_micro}"] for one in told]
    assert_same_training(found, net, losses, EXACT)


@pytest.mark.parametrize("kind", checks.KINDS)
def test_the_usual_training_gives_the_same_history(told, kind):
    net = checks.make_net(dtype=torch.float32)
    alone = asdict(fit_network(net, checks.make_arrays(), checks.QUICK))

    for one in told:
        history = one[f"fit {kind}"]["history"]
        assert history["best_epoch"] == alone["best_epoch"]
        for mine, row in zip(history["epochs"], alone["epochs"], strict=True):
            for key in ("loss", "validation_loss"):
                assert mine[key] == pytest.approx(row[key], rel=SINGLE["rtol"])
        for name, tensor in net.state_dict().items():
            torch.testing.assert_close(one[f"fit {kind}"]["state"][name], tensor, **SINGLE)


def test_all_processes_have_the_same_bits(told):
    for kind in ("data", "region", "fit data", "fit region", "fit output"):
        for one in told[1:]:
            for name, tensor in told[0][kind]["state"].items():
                assert torch.equal(one[kind]["state"][name], tensor), (kind, name)


def test_gradients_travel_once_a_step(told):
    n_parameters = sum(p.numel() for p in checks.make_net().parameters())

    assert {one["gradient_bytes"] for one in told} == {8 * n_parameters}
    single = told[0]["fit data"]["history"]["bytes_per_step"]
    assert single["gradients"] == 4 * n_parameters
    assert single["norm"] > 0


def test_a_stopped_training_continues_exactly(told):
    assert told[0]["epochs_resumed"] == [2, 3]
    for one in told:
        for name, tensor in told[0]["fit data"]["state"].items():
            assert torch.equal(one["resumed"]["state"][name], tensor), name


def test_a_process_sees_its_region_and_the_halo_only(told):
    assert sum(one["bins"] for one in told) == checks.N_BINS
    for one in told:
        widths = {name.removeprefix("net."): shape[-1] for name, shape in one["seen"].items()}
        assert widths["stem.conv"] == one["bins"] + 4
        assert widths["fires.0.squeeze.conv"] == one["bins"]
        assert [widths[f"fires.{i}.expand_3.conv"] - one["bins"] for i in range(3)] == [2, 4, 8]


def test_a_process_holds_its_outputs_only(told):
    whole = checks.shapes(checks.make_net("micro"))
    for name in ("auxiliary", "hidden"):
        parts = [one["shapes micro"][f"{name}.weight"] for one in told]
        assert {part[1] for part in parts} == {whole[f"{name}.weight"][1]}
        assert sum(part[0] for part in parts) == whole[f"{name}.weight"][0]
        assert max(part[0] for part in parts) < whole[f"{name}.weight"][0]
    parts = [one["shapes micro"]["head.weight"] for one in told]
    assert sum(part[1] for part in parts) == whole["head.weight"][1]
    parts = [one["shapes nano"]["head.weight"] for one in told]
    assert sum(part[0] for part in parts) == 3


def test_a_process_holds_its_layers_only(told):
    whole = sorted(checks.shapes(checks.make_net()).values())
    parts = [sorted(one["layers"].values()) for one in told]

    assert sorted(shape for part in parts for shape in part) == whole
    assert all(0 < len(part) < len(whole) for part in parts)
    assert not any("stem.conv.weight" in one["layers"] for one in told[1:])


@pytest.mark.parametrize("n_stages", [1, 2, 3, 5])
def test_stages_are_as_even_as_can_be(n_stages, rng):
    costs = [int(c) for c in rng.integers(1, 50, 7)]

    bounds = layer_bounds(costs, n_stages)

    def dearest(cuts):
        edges = [0, *cuts, len(costs)]
        return max(sum(costs[a:b]) for a, b in pairwise(edges))

    best = min(dearest(cuts) for cuts in combinations(range(1, len(costs)), n_stages - 1))
    assert (bounds[0], bounds[-1], len(bounds)) == (0, 7, n_stages + 1)
    assert dearest(bounds[1:-1]) == best


def test_too_many_processes_are_refused():
    with pytest.raises(ConfigError, match="3 layers cannot be divided among 4 processes"):
        layer_bounds([1, 1, 1], 4)
    with pytest.raises(ConfigError, match="processes = 17"):
        replace(checks.QUICK, processes=17)
    with pytest.raises(ConfigError, match="parallel = 'server'"):
        replace(checks.QUICK, parallel="server")
    settings = replace(checks.QUICK, processes=5, parallel="region")
    narrow = replace(checks.QUICK, processes=13, parallel="output")
    with pytest.raises(ConfigError, match=r"layer 'auxiliary' has 8 outputs, too few for 13"):
        fit_parallel(checks.make_net("nano", torch.float32), checks.make_arrays(), narrow)
    with pytest.raises(ConfigError, match=r"17 bins among 5 processes are 3 each.*at most 4"):
        fit_parallel(checks.make_net(dtype=torch.float32), checks.make_arrays(), settings)

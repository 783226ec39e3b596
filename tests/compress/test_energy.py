"""Energy of a network counted by hand, and the table with its gates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from astroprep.compress.budget import BudgetRow, gate, measure, pareto, table_text
from astroprep.compress.energy import EnergyModel, layer_loads, night_cost
from astroprep.compress.stored import store_network
from astroprep.compress.tensor_train import train_layer
from astroprep.errors import ConfigError
from astroprep.model.firenet import (
    FireNet,
    build_network,
    count_macs,
    count_parameters,
    firenet_spec,
    fold_batchnorm,
)
from astroprep.model.train import TrainingArrays, predict_logits


@pytest.fixture(scope="module")
def net() -> FireNet:
    spec = firenet_spec("micro", n_channels=2, n_bins=32, n_auxiliary=3, n_classes=3)
    return fold_batchnorm(build_network(spec))


def test_loads_add_up_to_the_network(net: FireNet) -> None:
    for one in (net, fold_batchnorm(train_layer(net, max_rank=2, n_cores=2))):
        loads = layer_loads(one)
        assert sum(x.macs for x in loads) == count_macs(one)
        assert sum(x.n_weights for x in loads) == count_parameters(one)
    first = layer_loads(net)[0]
    assert (first.name, first.macs, first.n_outputs) == ("stem.conv", 12 * 2 * 5 * 32, 12 * 32)
    assert first.n_inputs == 2 * (32 + 4)  # the circle closed


def test_energy_by_hand(net: FireNet) -> None:
    """Float32 at 4.6 pJ a multiply-accumulate; weights in 32 KB, activations in 8 KB."""
    parts = EnergyModel().parts(net, "float32")
    assert parts["arithmetic"] == pytest.approx(4.6 * count_macs(net))
    assert 8192 < 4 * count_parameters(net) < 32768
    assert parts["weights"] == pytest.approx(count_parameters(net) / 2 * 20)
    moved = sum(x.n_inputs + x.n_outputs for x in layer_loads(net))
    assert parts["activations"] == pytest.approx(moved / 2 * 10)

    small = EnergyModel().parts(net, "int8")
    assert small["arithmetic"] == pytest.approx(0.3 * count_macs(net))
    assert small["weights"] == pytest.approx(count_parameters(net) / 8 * 10)
    assert EnergyModel(access=((10, 1.0),), dram=2600).parts(net)["weights"] == pytest.approx(
        count_parameters(net) / 2 * 2600
    )
    assert night_cost(3.6, 1_000_000, 0.5) == pytest.approx((1.0, 0.5))
    with pytest.raises(ConfigError, match="no energies of 'int4'"):
        EnergyModel().joules(net, "int4")


def test_zeros_are_free_only_where_they_are_skipped(net: FireNet) -> None:
    half = fold_batchnorm(net)
    with torch.no_grad():
        half.stem.conv.weight[:, 0] = 0
    assert EnergyModel().joules(half) == EnergyModel().joules(net)
    assert EnergyModel(skips_zeros=True).joules(half) < EnergyModel(skips_zeros=True).joules(net)


def test_a_row_says_what_the_file_and_the_predictions_are(
    trained: FireNet, toy: TrainingArrays, accuracy: Any
) -> None:
    plain = store_network(trained)
    narrow = store_network(train_layer(trained, max_rank=2, n_cores=2))
    classes = ["sine", "box", "saw"]
    check = toy.is_validation
    inputs = toy.folded[check], toy.auxiliary[check]
    logits = predict_logits(plain.net, *inputs)
    row = measure("reference", plain, plain, logits, toy.label[check], classes)
    other = measure(
        "train", narrow, plain, predict_logits(narrow.net, *inputs), toy.label[check], classes
    )
    assert row.accuracy == pytest.approx(accuracy(trained))
    assert (row.ratio, row.update_bytes) == (1.0, len(plain.data))
    assert other.ratio == len(plain.data) / len(narrow.data) > 1
    assert other.update_bytes > len(narrow.data)  # its description goes along
    assert set(row.recall) == set(classes)
    text = table_text([row, other])
    assert f"{len(plain.data):,} -> {len(narrow.data):,}" in text
    assert len(text.splitlines()) == 3
    with pytest.raises(ConfigError, match="logits of shape"):
        measure("x", plain, plain, logits[:3], toy.label[check], classes)


def row_of(name: str, n_bytes: int, score: float, **recall: float) -> BudgetRow:
    return BudgetRow(
        name, "float32", 1000, n_bytes, 1000 / n_bytes, score, score, score, 0.0, recall, None,
        1e-6, 0.0, 0.0, n_bytes,
    )  # fmt: skip


def test_gates_look_at_every_class_but_not_at_single_objects() -> None:
    reference = row_of("reference", 1000, 0.9, common=0.95, rare=0.9)
    counts = {"common": 1000, "rare": 10, "absent": 0}
    rows = [
        row_of("better in the mean", 100, 0.91, common=0.99, rare=0.7),
        row_of("one rare object", 100, 0.9, common=0.95, rare=0.8),
        row_of("many common ones", 100, 0.9, common=0.88, rare=0.9),
    ]
    judged = gate(rows, reference, 0.05, counts)
    assert [row.refused for row in judged] == [("rare",), (), ("common",)]
    assert [row.refused for row in gate(rows, reference, 0.5, counts)] == [(), (), ()]
    with pytest.raises(ConfigError, match="must be 0 to 1"):
        gate(rows, reference, np.nan, counts)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    rows = [row_of("a", 10, 0.5), row_of("b", 20, 0.4), row_of("c", 30, 0.9), row_of("d", 40, 0.9)]
    assert [row.approach for row in pareto(rows)] == ["a", "c"]
    assert pareto([]) == []
    assert [r.approach for r in pareto([replace(rows[0], approach="z"), rows[0]])] == ["z"]

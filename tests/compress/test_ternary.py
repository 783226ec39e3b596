"""Ternary and binary weights: the paper's gradients, what is stored, and the packed product."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.compress.encode import encode_weights
from astroprep.compress.packed import pack_ternary, ternary_product, unpack_ternary
from astroprep.compress.share import stored_form
from astroprep.compress.tensors import dense
from astroprep.compress.ternary import TernaryWeight, ternarize, ternary_state
from astroprep.compress.weights import decode_weights
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import FireNet, fold_batchnorm
from astroprep.model.train import TrainingArrays, TrainSettings, fit_network, predict_logits


def test_values_and_gradients_of_the_paper() -> None:
    """Six weights, threshold 0.1 of the largest: equations 6 to 8 by hand."""
    latent = torch.tensor([1.0, 0.5, 0.05, -0.05, -0.4, -0.8], requires_grad=True)
    form = TernaryWeight(latent.detach(), 0.1)
    assert form.positive.item() == pytest.approx(0.75)
    assert form.negative.item() == pytest.approx(0.6)

    weight = form(latent)
    assert weight.tolist() == pytest.approx([0.75, 0.75, 0, 0, -0.6, -0.6])
    gradient = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (weight * gradient).sum().backward()

    assert latent.grad.tolist() == pytest.approx([0.75, 1.5, 3, 4, 3.0, 3.6])
    assert form.positive.grad.item() == pytest.approx(3.0)
    assert form.negative.grad.item() == pytest.approx(-11.0)


@pytest.mark.parametrize("levels", ["ternary", "binary"])
def test_trains_and_the_file_holds_what_was_trained(
    trained: FireNet, toy: TrainingArrays, fit: TrainSettings, accuracy: Any, levels: Any
) -> None:
    net = fold_batchnorm(trained)
    plain = copy.deepcopy(net)
    ternarize(net, levels=levels)
    before, history = accuracy(net), [ternary_state(net)]
    few = replace(fit, max_epochs=8, learning_rate=0.003, weight_decay=0.0)
    fit_network(net, toy, few, progress=lambda _: history.append(ternary_state(net)))

    form = stored_form(net)
    data = encode_weights(form)
    weights = decode_weights(data, {name: t.shape for name, t in form.items()})
    plain.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})

    np.testing.assert_allclose(  # scales rounded to float16: 11 bits
        predict_logits(plain, toy.folded, toy.auxiliary),
        predict_logits(net, toy.folded, toy.auxiliary),
        atol=0.05,
    )
    assert accuracy(plain) > max(before, 0.75)
    middle = [w for name, w in weights.items() if "fires" in name and name.endswith("weight")]
    assert max(np.unique(w).size for w in middle) == (3 if levels == "ternary" else 2)
    assert len(data) < sum(w.size for w in weights.values()) / 2
    assert "stem.conv" not in history[0]
    for layer in history[-1].values():
        assert layer["positive"] + layer["zero"] + layer["negative"] == pytest.approx(1)
    assert any(history[-1][name] != history[0][name] for name in history[0])


def test_a_scale_below_zero_is_stored_as_it_acts() -> None:
    form = TernaryWeight(torch.tensor([1.0, -1.0, 0.0]), 0.05)
    with torch.no_grad():
        form.negative.fill_(-0.5)
    latent = np.array([1.0, -1.0, 0.0], dtype=np.float32)
    with torch.no_grad():
        expected = form(torch.from_numpy(latent)).numpy()
    np.testing.assert_array_equal(dense(form.stored(latent)), expected)


def test_what_is_zero_is_not_touched() -> None:
    """No NaN comes out of an input that no weight reads; no column, no output, are no error."""
    signs = np.array([[1, 0, -1, 0, 0], [0, 0, 0, 0, 0]])
    x = np.array([[1.0], [np.nan], [np.inf], [-np.inf], [np.nan]], np.float32)
    product = ternary_product(pack_ternary(signs), x, 2.0, 0.5)
    np.testing.assert_array_equal(product, [[-np.inf], [0.0]])
    assert ternary_product(pack_ternary(signs), x[:, :0], 1.0, 1.0).shape == (2, 0)
    assert ternary_product(pack_ternary(signs[:0]), x, 1.0, 1.0).shape == (0, 1)
    assert not ternary_product(pack_ternary(signs[:, :0]), x[:0], 1.0, 1.0).any()
    with pytest.raises(ConfigError, match="of int64"):
        ternary_product(pack_ternary(signs).astype(np.int64), x, 1.0, 1.0)


signs_strategy = st.tuples(st.integers(1, 9), st.integers(1, 21), st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=40)
@given(signs_strategy, st.integers(1, 600))
def test_the_packed_product_is_the_dense_one(plan: tuple[int, int, int], n_columns: int) -> None:
    n_out, n_in, seed = plan
    rng = np.random.default_rng(seed)
    signs = rng.integers(-1, 2, (n_out, n_in))
    x = rng.normal(size=(n_in, n_columns)).astype(np.float32)
    packed = pack_ternary(signs)

    assert packed.nbytes == n_out * -(-n_in // 4)
    np.testing.assert_array_equal(unpack_ternary(packed, n_in), signs)
    weight = np.where(signs > 0, 0.7, np.where(signs < 0, -0.3, 0.0))
    product = ternary_product(packed, x, 0.7, 0.3)
    np.testing.assert_allclose(product, weight @ x, atol=1e-5 * n_in)
    np.testing.assert_array_equal(product[:, :1], ternary_product(packed, x[:, :1], 0.7, 0.3))


def test_damaged_or_wrong_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="-1, 0 and 1"):
        pack_ternary(np.array([[2, 0]]))
    with pytest.raises(DataError, match="damaged"):
        unpack_ternary(np.array([[3]], np.uint8), 4)
    packed = pack_ternary(np.ones((2, 4), np.int64))
    with pytest.raises(DataError, match="damaged"):  # would read behind the inputs
        ternary_product(packed, np.ones((3, 2), np.float32), 1.0, 1.0)
    for code in (0b11, 0b11000000):  # in the middle of a row
        bad = np.array([[code, 1], [0, 1]], np.uint8)
        with pytest.raises(DataError, match="a code is 3"):
            ternary_product(bad, np.ones((8, 2), np.float32), 1.0, 1.0)
    many = np.zeros((1, 16384), np.uint8)
    with pytest.raises(ConfigError, match="65,535 inputs at most"):
        ternary_product(many, np.ones((65536, 1), np.float32), 1.0, 1.0)
    with pytest.raises(ConfigError, match="packed rows for 9 inputs"):
        ternary_product(packed, np.ones((9, 2), np.float32), 1.0, 1.0)
    with pytest.raises(ConfigError, match=r"got 'quaternary', 0\.05, 8"):
        ternarize(torch.nn.Linear(2, 2), levels="quaternary")  # type: ignore[arg-type]

"""Mutual information where it is known, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.feature_selection import mutual_info_classif

from astroprep.errors import ConfigError, DataError
from astroprep.reduce import mutual_information


def two_gaussians(rng, n, shift):
    y = rng.integers(0, 2, n)
    return rng.normal(size=n) + shift * y, np.array(["A", "B"])[y]


def truth_of_two_gaussians(shift):
    """Bits of two equally frequent unit Gaussians, by quadrature of the mixture's entropy."""

    def density(x):
        return 0.5 * (norm.pdf(x) + norm.pdf(x, shift))

    entropy = quad(lambda x: -density(x) * np.log2(density(x)), -9, 9 + shift, limit=200)[0]
    return entropy - norm.entropy() / np.log(2)


@pytest.mark.parametrize("shift", [0.5, 1.5, 4.0])
def test_two_gaussians_tell_what_theory_says(rng, shift):
    x, y = two_gaussians(rng, 20000, shift)
    found = mutual_information(x[:, None], y, n_shuffles=20)
    truth = truth_of_two_gaussians(shift)
    assert found.information[0] == pytest.approx(truth, abs=0.015)
    assert found.entropy == pytest.approx(1.0, abs=1e-3)
    theirs = mutual_info_classif(x[:4000, None], y[:4000], random_state=0)[0] / np.log(2)
    assert theirs == pytest.approx(truth, abs=0.05)


def test_a_feature_that_is_the_class_tells_all_of_it(rng):
    y = rng.choice(["A", "B", "C"], 900)
    code = np.unique(y, return_inverse=True)[1].astype(float)
    found = mutual_information({"code": code, "noise": rng.normal(size=900)}, y)
    # the bias of a table with three occupied cells is -1 cell: three rows, columns and cells
    assert found.information[0] == pytest.approx(found.entropy - found.bias[0], abs=1e-9)
    assert found.bias[0] == pytest.approx((3 - 3 - 3 + 1) / (2 * 900 * np.log(2)))
    assert found.p_value[0] == pytest.approx(1 / 201)
    assert found.table().feature[0] == "code"
    assert "code" in found.report(1)
    assert "noise" not in found.report(1)


def test_nothing_is_nothing_within_what_chance_gives(rng):
    """The bias is taken out, and p is uniform: few of 300 noise features fall below 0.05."""
    y = rng.choice(list("ABCDE"), 500)
    found = mutual_information(rng.normal(size=(500, 300)), y, n_shuffles=99)
    spread = found.information.std()
    assert abs(found.information.mean()) < 0.1 * found.bias.mean() + 3 * spread / np.sqrt(300)
    np.testing.assert_allclose(found.chance_spread.mean(), spread, rtol=0.15)
    assert 3 <= np.sum(found.p_value <= 0.05) <= 30


def test_it_is_the_plug_in_of_the_textbook(rng):
    x = rng.integers(0, 3, 200).astype(float)
    y = rng.choice(["u", "v"], 200)
    p = np.array([[np.mean((x == a) & (y == b)) for b in "uv"] for a in range(3)])
    raw = np.sum(p * np.log2(p / p.sum(1, keepdims=True) / p.sum(0)))
    found = mutual_information(x[:, None], y)
    assert found.information[0] + found.bias[0] == pytest.approx(raw, abs=1e-12)
    assert found.bias[0] == pytest.approx((6 - 3 - 2 + 1) / (400 * np.log(2)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_monotonic_transforms_and_order_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    x, y = two_gaussians(rng, 120, 1.0)
    table = np.column_stack([x, np.exp(x), 3 * x - 7])
    found = mutual_information(table, y, n_shuffles=5)
    np.testing.assert_allclose(found.information, found.information[0], atol=1e-12)
    order = rng.permutation(120)
    again = mutual_information(table[order], y[order], n_shuffles=5)
    np.testing.assert_allclose(again.information, found.information, atol=1e-12)


def test_missing_values_and_labels_are_left_out(rng):
    x, y = two_gaussians(rng, 300, 2.0)
    y = y.astype(object)
    holes = x.copy()
    holes[:50] = np.nan
    y[-20:] = ""
    found = mutual_information(np.column_stack([holes, np.full(300, np.nan)]), y)
    part = mutual_information(x[50:-20, None], y[50:-20])
    assert found.information[0] == pytest.approx(part.information[0], abs=1e-12)
    assert found.n_used.tolist() == [230, 0]
    assert np.isnan(found.information[1])
    assert found.p_value[1] == 1.0


def test_seeds_repeat(rng):
    x, y = two_gaussians(rng, 100, 0.3)
    one, two, other = (mutual_information(x[:, None], y, seed=s).chance for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert one != other


def test_what_cannot_be_done_is_said(rng):
    x = rng.normal(size=(5, 2))
    with pytest.raises(DataError, match="two classes"):
        mutual_information(x, ["A"] * 5)
    with pytest.raises(DataError, match="two classes"):
        mutual_information(x, [None] * 5)
    with pytest.raises(DataError, match="one label an object"):
        mutual_information(x, ["A"])
    for wrong in ({"n_bins": 1}, {"n_shuffles": 0}):
        with pytest.raises(ConfigError, match="n_bins >= 2 and n_shuffles >= 1"):
            mutual_information(x, list("ABABA"), **wrong)

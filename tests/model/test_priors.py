"""Class shares of a new survey: simulated truth, coverage of the errors, files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.calibrate import correct_priors, estimate_priors, priors_between
from astroprep.model.priors import PriorEstimate, estimate_part, estimate_shares, read_shares

CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.5]])
LEARNED = np.array([0.6, 0.3, 0.1])


def sample(rng, shares, n):
    """Classes and exact probabilities of three Gaussians, learned at LEARNED."""
    code = rng.choice(3, n, p=shares)
    x = CENTRES[code] + rng.normal(size=(n, 2))
    like = np.exp(-0.5 * ((x[:, None] - CENTRES) ** 2).sum(axis=2)) * LEARNED
    return code, like / like.sum(axis=1, keepdims=True)


def test_standard_errors_are_those_of_repeated_surveys(rng):
    shares = np.array([0.2, 0.5, 0.3])
    found = [estimate_shares(sample(rng, shares, 800)[1], LEARNED) for _ in range(120)]

    off = np.array([one.shares - shares for one in found])
    stated = np.mean([one.standard_error for one in found], axis=0)

    np.testing.assert_allclose(off.std(axis=0), stated, rtol=0.2)  # 3 sigma of 120 draws
    assert np.abs(off.mean(axis=0)).max() < 0.006


def test_few_validation_objects_widen_the_errors(rng):
    _, p = sample(rng, [0.2, 0.5, 0.3], 5000)
    code, validation = sample(rng, LEARNED, 150)

    alone = estimate_shares(p, LEARNED)
    both = estimate_shares(p, LEARNED, validation=validation, code=code)

    assert (both.standard_error > 2 * alone.standard_error).all()
    np.testing.assert_array_equal(both.shares, alone.shares)


def test_the_solution_is_a_fixed_point_and_order_does_not_matter(rng):
    _, p = sample(rng, [0.1, 0.1, 0.8], 2000)
    found = estimate_priors(p, LEARNED, tolerance=1e-10)

    np.testing.assert_allclose(correct_priors(p, LEARNED, found).mean(axis=0), found, atol=1e-8)
    np.testing.assert_allclose(
        estimate_priors(p[::-1], LEARNED, tolerance=1e-10), found, atol=1e-12
    )
    turned = estimate_priors(p[:, [2, 0, 1]], LEARNED[[2, 0, 1]], tolerance=1e-10)
    np.testing.assert_allclose(turned, found[[2, 0, 1]], atol=1e-9)


def test_shares_on_the_way_are_geometric_means():
    wanted = np.array([0.1, 0.1, 0.8])
    np.testing.assert_allclose(priors_between(LEARNED, wanted, 0.0), LEARNED)
    np.testing.assert_allclose(priors_between(LEARNED, wanted, 1.0), wanted)
    middle = np.sqrt([0.06, 0.03, 0.08])
    np.testing.assert_allclose(priors_between(LEARNED * 5, wanted, 0.5), middle / middle.sum())
    with pytest.raises(DataError, match="part from 0 to 1"):
        priors_between(LEARNED, wanted, 1.5)


def test_the_error_of_shares_on_the_way_is_that_of_a_small_change():
    found = PriorEstimate(np.array([0.2, 0.0, 0.8]), np.array([1e-6, 1e-6, 0.0]), 100)
    there = found.partly(LEARNED, 0.3)
    # one share alone moves, the norm held: s ~ e**part
    moved = there.shares[0] * ((0.2 + 1e-6) / 0.2) ** 0.3
    np.testing.assert_allclose(there.standard_error[0], moved - there.shares[0], rtol=1e-4)
    assert np.isfinite(there.standard_error).all()
    assert there.shares[1] == 0


def test_words_for_estimated_shares():
    said = [estimate_part(word) for word in (None, "train", "shares.csv", "estimate")]
    assert said == [None, None, None, 1.0]
    assert estimate_part("estimate:0.3") == 0.3
    for word in ("estimate:", "estimate:0", "estimate:1.1", "estimate:nan", "estimate:half"):
        with pytest.raises(ConfigError, match="how far to go"):
            estimate_part(word)


def test_too_few_and_classes_that_cannot_be_told_apart_are_refused(rng):
    _, p = sample(rng, LEARNED, 2000)
    with pytest.raises(DataError, match="from 29 objects, 30 are needed for 3 classes"):
        estimate_shares(p[:29], LEARNED)
    with pytest.raises(DataError, match="from 0 objects"):
        estimate_shares(np.full((50, 3), np.nan), LEARNED)
    blind = np.column_stack([p[:, 0], np.outer(1 - p[:, 0], [0.75, 0.25])])
    with pytest.raises(DataError, match="does not tell some classes apart"):
        estimate_shares(blind, LEARNED)
    with pytest.raises(DataError, match="rows sum to 1"):
        estimate_shares(2 * p, LEARNED)
    with pytest.raises(DataError, match="leave rejected objects out"):
        estimate_priors(np.full((5, 3), np.nan), LEARNED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"EW": 0.7, "RRc": 0.1, "RRab": 0.2}'),
        ("a.toml", "EW = 0.7\nRRab = 0.2\nRRc = 0.1\n"),
        ("a.csv", "class,share\nEW,0.7\nRRab,0.2\nRRc,0.1\n"),
        ("b.csv", "RRab,0.2\nEW,0.7\n\nRRc,0.1\n"),
    ],
)
def test_shares_come_from_any_of_three_formats(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    np.testing.assert_allclose(read_shares(path, ["RRab", "EW", "RRc"]), [0.2, 0.7, 0.1])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"EW": 1.0}, "no share of RRab"),
        ({"EW": 0.5, "RRab": 0.25, "Mira": 0.25}, "unknown class Mira"),
        ({"EW": 0.5, "RRab": 0.4}, "sum to 0.9, not to 1"),
        ({"EW": 1.5, "RRab": -0.5}, "not RRab = -0.5"),
        ({"EW": "much", "RRab": 0.5}, "not EW = 'much'"),
        ({"EW": True, "RRab": 0.0}, "not EW = True"),
        ([0.5, 0.5], "a table of class to share"),
    ],
)
def test_each_mistake_in_a_file_is_named(tmp_path, table, message):
    path = tmp_path / "shares.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ConfigError, match=message):
        read_shares(path, ["EW", "RRab"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not a table of class shares"),
        ("a.txt", "", "read from .json, .toml or .csv"),
        ("a.csv", "EW,0.5\nEW,0.5", "stands there twice"),
        ("a.csv", "EW", "each line needs a class and its share"),
    ],
)
def test_files_that_are_none(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_shares(tmp_path / name, ["EW"])
    with pytest.raises(ConfigError, match="cannot read"):
        read_shares(tmp_path / "nowhere.json", ["EW"])

"""Coverage of conformal sets, with and without a shift of class shares."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.conformal import Conformal, conformity_scores, default_groups


def probabilities(rng, shares, n):
    """Classes of three overlapping Gaussians and their probabilities at equal shares."""
    code = rng.choice(3, n, p=shares)
    x = np.array([0.0, 1.5, 3.0])[code] + rng.normal(size=n)
    like = np.exp(-0.5 * (x[:, None] - [0.0, 1.5, 3.0]) ** 2)
    return code, like / like.sum(axis=1, keepdims=True)


def hits(sets, p, code, coverage, shares=None):
    return sets.contains(p, coverage, shares)[np.arange(code.size), code]


@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
def test_covers_as_stated_in_every_class_whatever_the_shares(rng, score):
    code, p = probabilities(rng, [0.5, 0.3, 0.2], 6000)
    sets = Conformal.fit(p, code, score=score)
    code, p = probabilities(rng, [0.1, 0.1, 0.8], 30_000)

    hit = hits(sets, p, code, 0.9)

    for k in range(3):  # 1,200 calibration and 3,000 test objects: sigma 1.0 %
        assert hit[code == k].mean() == pytest.approx(0.9, abs=0.03)


def test_one_threshold_needs_the_weights_of_the_new_shares(rng):
    shares = np.array([0.05, 0.9, 0.05])  # the middle class is the hard one
    code, p = probabilities(rng, [0.45, 0.1, 0.45], 8000)
    sets = Conformal.fit(p, code, group=np.zeros(3, int))
    code, p = probabilities(rng, shares, 30_000)

    assert hits(sets, p, code, 0.9, shares).mean() == pytest.approx(0.9, abs=0.025)
    assert hits(sets, p, code, 0.9).mean() < 0.87


def test_threshold_is_the_rank_that_theory_says():
    """Of 9 scores the (9 + 1) x 0.9 = 9th, of 8 none: every set holds the class."""
    value = np.linspace(0.1, 0.9, 9)
    p = np.column_stack([value, 1 - value])
    sets = Conformal.fit(p, np.zeros(9, int), group=[0, 1])
    assert sets.thresholds(0.9)[0] == pytest.approx(-np.log(0.1), rel=1e-3)
    fewer = Conformal.fit(p[:8], np.zeros(8, int), group=[0, 1])
    assert np.isinf(fewer.thresholds(0.9)).all()


def test_brute_force_of_adaptive_scores(rng):
    p = rng.dirichlet([0.5] * 4, 50)
    upper = conformity_scores(p, "aps")
    for i in range(50):
        for k in range(4):
            ahead = p[i][p[i] > p[i, k]].sum()
            assert ahead - 1e-12 <= upper[i, k] <= ahead + p[i, k] + 1e-12
    raps = conformity_scores(p, "raps")
    rank = (p[:, None, :] > p[:, :, None]).sum(axis=2) + 1
    np.testing.assert_allclose(raps - upper, 0.01 * np.maximum(rank - 3, 0), atol=1e-12)
    np.testing.assert_array_equal(
        conformity_scores(p[7:8], "aps")[0], upper[7]
    )  # alone as in a crowd


def test_rare_classes_share_a_threshold_and_thinning_costs_little(rng):
    np.testing.assert_array_equal(default_groups(np.array([100, 3, 30, 29])), [0, 4, 2, 4])
    code, p = probabilities(rng, [0.998, 0.001, 0.001], 9000)
    sets = Conformal.fit(p, code, group=np.arange(3))
    assert sets.scores[0].size <= 78
    assert sets.counts[0].sum() == (code == 0).sum()
    value = np.sort(conformity_scores(p)[code == 0, 0])
    exact = value[int(np.ceil((value.size + 1) * 0.9)) - 1]
    limit = sets.thresholds(0.9)[0]
    assert exact <= limit <= 1.001 * value[int(np.ceil((value.size + 1) * 0.904))]


def test_higher_coverage_gives_larger_sets(rng):
    code, p = probabilities(rng, [0.4, 0.3, 0.3], 3000)
    sets = Conformal.fit(p, code)
    assert (sets.contains(p, 0.8) <= sets.contains(p, 0.95)).all()


@pytest.mark.parametrize(("score", "step"), [("lac", 1e-3), ("aps", 2e-7)])
def test_travels_as_it_was_fitted_rounded_to_the_safe_side(rng, score, step):
    code, p = probabilities(rng, [0.4, 0.3, 0.3], 120)
    sets = Conformal.fit(p, code, score=score)
    for k in range(3):
        exact = np.sort(conformity_scores(p, score)[code == k, k])
        assert ((exact <= sets.scores[k]) & (sets.scores[k] <= exact * (1 + step) + 1e-7)).all()
    again = Conformal.from_state(sets.to_state(), 3)
    np.testing.assert_array_equal(again.thresholds(0.9), sets.thresholds(0.9))
    with pytest.raises(DataError, match="4 classes are missing or damaged"):
        Conformal.from_state(sets.to_state(), 4)
    with pytest.raises(DataError, match="damaged"):
        Conformal.from_state({**sets.to_state(), "score": "best"}, 3)


def test_bad_input(rng):
    code, p = probabilities(rng, [0.4, 0.3, 0.3], 50)
    with pytest.raises(DataError, match="at least one calibration object"):
        Conformal.fit(p[:0], code[:0])
    p[3, 1] = np.nan
    with pytest.raises(DataError, match="row 3 has others"):
        Conformal.fit(p, code)
    with pytest.raises(ConfigError, match="lac, aps or raps"):
        Conformal.fit(p[:2], code[:2], score="best")
    with pytest.raises(ConfigError, match="coverage must be between 0 and 1"):
        Conformal.fit(p[:2], code[:2]).thresholds(1.0)

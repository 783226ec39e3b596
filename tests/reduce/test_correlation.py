"""Rank correlation against scipy and pandas; clusters whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from astroprep.errors import ConfigError
from astroprep.reduce import correlation_clusters
from astroprep.reduce.correlation import rank_correlation


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 30), ties=st.booleans())
def test_rho_is_scipys_over_the_rows_that_both_have(seed, n, ties):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (n, 4)).astype(float) if ties else rng.normal(size=(n, 4))
    x[rng.random(x.shape) < 0.2] = np.nan
    rho, common = rank_correlation(x)
    for i in range(4):
        for j in range(4):
            both = np.isfinite(x[:, i]) & np.isfinite(x[:, j])
            assert common[i, j] == both.sum()
            a, b = x[both, i], x[both, j]
            if both.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
                assert np.isnan(rho[i, j])
            else:
                assert rho[i, j] == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_rho_is_that_of_pandas(rng):
    x = rng.normal(size=(300, 6)).cumsum(axis=1)
    x[rng.random(x.shape) < 0.1] = np.nan
    np.testing.assert_allclose(rank_correlation(x)[0], pd.DataFrame(x).corr("spearman"), atol=1e-12)


def twins_and_strangers(rng, n=400):
    a, b = rng.normal(size=(2, n))
    return {
        "a": a,
        "b": b,
        "log_a": np.exp(3 * a),  # the same ranks
        "minus_a": -a + rng.normal(0, 0.05, n),
        "alone": rng.normal(size=n),
        "b_too": b + rng.normal(0, 0.1, n),
        "constant": np.ones(n),
    }


def test_twins_are_clusters_whatever_their_sign_or_scale(rng):
    found = correlation_clusters(twins_and_strangers(rng), 0.9)
    groups = {frozenset(np.array(found.names)[found.members(c)]) for c in range(found.n_clusters)}
    assert groups == {
        frozenset({"a", "log_a", "minus_a"}),
        frozenset({"b", "b_too"}),
        frozenset({"alone"}),
        frozenset({"constant"}),
    }
    table = found.table().set_index("feature")
    assert table.loc["minus_a", "representative"] in ("a", "log_a")
    assert table.loc["minus_a", "rho"] < -0.9
    assert sorted(found.order) == list(range(7))
    text = found.report()
    assert "7 features in 4 clusters" in text
    assert "minus_a -0.99" in text or "minus_a -1.00" in text


def test_complete_linkage_holds_for_every_pair_and_single_chains(rng):
    steps = rng.normal(0, 0.25, (500, 12)).cumsum(axis=1) + rng.normal(size=(500, 1))
    for method, holds in (("complete", True), ("single", False)):
        found = correlation_clusters(steps, 0.85, method=method)
        least = min(
            np.abs(found.rho[np.ix_(m, m)]).min()
            for m in map(found.members, range(found.n_clusters))
        )
        assert (least >= 0.85) == holds


def test_the_most_worth_represents_its_cluster(rng):
    found = correlation_clusters(twins_and_strangers(rng), 0.9)
    worth = np.zeros(7)
    worth[3] = 1.0
    chosen = found.representatives(worth)
    assert 3 in chosen
    worth[:] = np.nan
    assert len(set(found.representatives(worth))) == found.n_clusters


def test_odd_tables(rng):
    one = correlation_clusters(rng.normal(size=(5, 1)))
    assert one.n_clusters == 1
    for table in (np.empty((0, 3)), np.full((5, 3), np.nan), np.ones((5, 3))):
        assert correlation_clusters(table).n_clusters == 3
    exact = correlation_clusters(np.column_stack([np.arange(9.0), np.arange(9.0) ** 3]), 1.0)
    assert exact.n_clusters == 1
    for threshold, method in (
        (0, "complete"),
        (1.1, "complete"),
        (np.nan, "single"),
        (0.9, "ward"),
    ):
        with pytest.raises(ConfigError, match="correlation_clusters needs a threshold"):
            correlation_clusters(np.ones((3, 2)), threshold, method=method)

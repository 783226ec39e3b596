"""Principal components: exact where complete, maximum likelihood where entries are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from astroprep.errors import ConfigError, DataError
from astroprep.reduce import parallel_analysis, principal_components
from astroprep.reduce.missing import fit_model
from astroprep.reduce.parallel import pairwise_correlation
from astroprep.reduce.pca import PrincipalComponents
from astroprep.reduce.scale import ColumnScale
from astroprep.reduce.table import as_table


def factors(rng, n, d=8, k=2, noise=0.3):
    """Objects of k factors: the truth has k components above the noise."""
    w = rng.normal(size=(k, d))
    return rng.normal(size=(n, k)) @ w + rng.normal(0, noise, (n, d)), w


def with_holes(rng, x, share):
    holes = x.copy()
    holes[rng.random(x.shape) < share] = np.nan
    return holes


def angle(a, b):
    """Largest principal angle between two row spaces, degrees."""
    qa, qb = np.linalg.qr(a.T)[0], np.linalg.qr(b.T)[0]
    s = np.linalg.svd(qa.T @ qb, compute_uv=False)
    return np.degrees(np.arccos(np.clip(s.min(), -1, 1)))


def test_a_complete_table_gives_scikit_learns_components(rng):
    x, _ = factors(rng, 200)
    mine = principal_components(x, 3, scale="none")
    theirs = PCA(3).fit(x)
    sign = np.sign(np.sum(mine.directions * theirs.components_, axis=1))
    np.testing.assert_allclose(mine.directions, theirs.components_ * sign[:, None], atol=1e-10)
    np.testing.assert_allclose(mine.explained, theirs.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(mine.scores(x), theirs.transform(x) * sign, atol=1e-9)
    np.testing.assert_array_equal(mine.score_errors(x), 0.0)
    assert mine.converged
    biased = theirs.noise_variance_ * (200 - 1) / 200  # theirs divides by n - 1
    np.testing.assert_allclose(mine.noise, biased, rtol=1e-10)


def test_loadings_are_correlations_of_feature_and_score(rng):
    x, _ = factors(rng, 500)
    found = principal_components(x, 2, scale="standard", names=[f"f{k}" for k in range(8)])
    score = found.scores(x)
    for k in range(2):
        for j, name in enumerate(found.names):
            r = np.corrcoef(x[:, j], score[:, k])[0, 1]
            assert found.loadings.loc[name, f"pc{k + 1}"] == pytest.approx(r, abs=1e-10)


def test_two_features_of_correlation_r_have_eigenvalues_one_plus_minus_r(rng):
    x = rng.normal(size=(400, 2)) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T
    r = np.corrcoef(x.T)[0, 1]
    found = principal_components(x, 1, scale="standard")
    np.testing.assert_allclose(found.variance, [1 + r, 1 - r], rtol=1e-10)


@pytest.mark.parametrize("scale", ["asinh", "standard", "none"])
def test_all_components_give_the_features_back(rng, scale):
    x = np.exp(factors(rng, 60)[0]) * 10.0 ** np.arange(8)
    found = principal_components(x, 8, scale=scale)
    np.testing.assert_allclose(found.inverse(found.scores(x)), x, rtol=1e-7)


def test_missing_entries_cost_less_than_filling_or_dropping(rng):
    """The plane that was put in, from 30 % missing entries: EM, mean filling, complete rows."""
    worst = {"em": [], "mean": [], "rows": []}
    for _ in range(5):
        x, w = factors(rng, 400, noise=0.5)
        holes = with_holes(rng, x, 0.3)
        found = principal_components(holes, 2, scale="none", tolerance=1e-7)
        assert found.converged
        worst["em"].append(angle(found.directions, w))
        filled = np.where(np.isnan(holes), np.nanmean(holes, axis=0), holes)
        worst["mean"].append(angle(PCA(2).fit(filled).components_, w))
        rows = holes[np.isfinite(holes).all(axis=1)]
        worst["rows"].append(angle(PCA(2).fit(rows).components_, w))
    mean = {name: np.mean(v) for name, v in worst.items()}
    assert mean["em"] < 0.75 * min(mean["mean"], mean["rows"]), mean
    assert mean["em"] < 5


def test_the_likelihood_never_falls_and_its_maximum_is_one(rng):
    x = with_holes(rng, factors(rng, 150, d=6)[0], 0.2)
    x = x[np.isfinite(x).any(axis=1)]
    model = fit_model(x, 2, 1e-10, 3000)
    assert model.converged
    assert np.all(np.diff(model.log_likelihood) > -1e-9)

    def brute(mean, directions, variance):
        noise = variance[2:].mean()
        cov = directions.T @ np.diag(variance[:2] - noise) @ directions + noise * np.eye(6)
        total = 0.0
        for row in x:
            o = np.isfinite(row)
            r = row[o] - mean[o]
            c = cov[np.ix_(o, o)]
            total -= 0.5 * (
                r @ np.linalg.solve(c, r) + np.linalg.slogdet(c)[1] + o.sum() * np.log(2 * np.pi)
            )
        return total / len(x)

    best = brute(model.mean, model.directions, model.variance)
    assert best == pytest.approx(model.log_likelihood[-1], abs=1e-8)
    for _ in range(20):
        q, _ = np.linalg.qr((model.directions + rng.normal(0, 0.03, (2, 6))).T)
        other = brute(
            model.mean + rng.normal(0, 0.03, 6), q.T, model.variance * np.exp(rng.normal(0, 0.03))
        )
        assert other < best


def test_scores_of_incomplete_rows_are_conditional_expectations(rng):
    """Against the textbook's formula of a conditional Gaussian, row by row."""
    x, _ = factors(rng, 300, d=6)
    found = principal_components(x, 2, scale="none")
    holes = with_holes(rng, x[:40], 0.3)
    holes = holes[np.isfinite(holes).sum(axis=1) >= 2]
    d, noise = found.directions, found.noise
    cov = d.T @ np.diag(found.variance[:2] - noise) @ d + noise * np.eye(6)
    middle = found.scale.mean + found.center
    scores, errors, filled = found.scores(holes), found.score_errors(holes), found.fill(holes)
    for i, row in enumerate(holes):
        o = np.isfinite(row)
        gain = cov[np.ix_(~o, o)] @ np.linalg.inv(cov[np.ix_(o, o)])
        full = row - middle
        full[~o] = gain @ full[o]
        rest = cov[np.ix_(~o, ~o)] - gain @ cov[np.ix_(o, ~o)]
        np.testing.assert_allclose(scores[i], d @ full, atol=1e-9)
        np.testing.assert_allclose(filled[i], full + middle, atol=1e-9)
        sd = np.sqrt(np.diag(d[:, ~o] @ rest @ d[:, ~o].T))
        np.testing.assert_allclose(errors[i], sd, atol=1e-9)


def test_parallel_analysis_counts_the_factors_and_none_in_noise(rng):
    x, _ = factors(rng, 500, d=12, k=3, noise=1.0)
    for table in (x, with_holes(rng, x, 0.2)):
        found = principal_components(table, scale="standard")
        assert found.n_components == found.parallel.n_components == 3
    nothing = rng.normal(size=(500, 12))
    assert parallel_analysis(nothing, quantile=1.0).n_components == 0
    assert principal_components(nothing).n_components <= 1
    assert "chance" in found.table()


def test_a_share_of_variance_chooses_the_number(rng):
    x, _ = factors(rng, 300, d=10, k=4, noise=0.5)
    ratio = np.cumsum(PCA().fit(x).explained_variance_ratio_)
    for share in (0.5, 0.8, 0.99):
        found = principal_components(x, share, scale="none")
        assert found.n_components == np.argmax(ratio >= share) + 1


def test_pairwise_correlation_is_that_of_pandas(rng):
    import pandas as pd

    x = with_holes(rng, factors(rng, 60)[0], 0.3)
    np.testing.assert_allclose(pairwise_correlation(x), pd.DataFrame(x).corr(), atol=1e-12)
    full = factors(rng, 60)[0]
    np.testing.assert_allclose(pairwise_correlation(full), np.corrcoef(full.T), atol=1e-12)


def test_one_wild_value_does_not_turn_the_first_component(rng):
    x, _ = factors(rng, 500)
    wild = x.copy()
    wild[0, 3] = 1e8
    calm, spoiled = (principal_components(wild, 2, scale=s) for s in ("asinh", "standard"))
    clean = principal_components(x, 2, scale="asinh")
    assert angle(calm.directions, clean.directions) < 5
    assert angle(spoiled.directions, clean.directions) > angle(calm.directions, clean.directions)


def test_features_that_do_not_vary_take_no_part_and_come_back(rng):
    x, _ = factors(rng, 50, d=4)
    table = np.column_stack([x, np.full(50, 7.0), np.full(50, np.nan)])
    found = principal_components(table, 2)
    np.testing.assert_array_equal(found.directions[:, 4:], 0.0)
    plain = principal_components(x, 2)
    np.testing.assert_allclose(found.scores(table), plain.scores(x), atol=1e-12)
    np.testing.assert_array_equal(found.inverse(found.scores(table))[:, 4], 7.0)
    assert "do not vary: feature_4, feature_5" in found.report()


def test_an_object_with_fewer_features_than_components_has_no_scores(rng):
    x, _ = factors(rng, 60)
    found = principal_components(x, 3)
    poor = np.full((2, 8), np.nan)
    poor[0, :2], poor[1, :3] = 1.0, 1.0
    scores = found.scores(poor)
    assert np.isnan(scores[0]).all()
    assert np.isnan(found.fill(poor)[0, 2:]).all()
    assert np.isfinite(scores[1]).all()


def test_state_comes_back_and_damage_is_named(rng):
    from astroprep.deploy.plain import from_json, to_json

    x = with_holes(rng, factors(rng, 80)[0], 0.1)
    found = principal_components(x, 2)
    again = PrincipalComponents.from_state(from_json(to_json(found.state(), "x")))
    np.testing.assert_array_equal(again.scores(x), found.scores(x))
    np.testing.assert_array_equal(again.fill(x), found.fill(x))
    for damage in ({"center": np.zeros(3)}, {"scale": {}}, {"names": 3}):
        with pytest.raises(DataError, match="state is damaged"):
            PrincipalComponents.from_state({**found.state(), **damage})


def test_the_report_names_shares_loadings_and_missing(rng):
    x = with_holes(rng, factors(rng, 80)[0], 0.1)
    text = principal_components(x, 2).report()
    assert "2 components of 8 features and 80 objects" in text
    assert "missing and left out (converged)" in text
    assert "pc1" in text
    assert "feature_" in text


def test_columns_that_repeat_each_other_are_no_trouble(rng):
    x, _ = factors(rng, 100, d=3)
    twice = np.hstack([x, x])
    holes = with_holes(rng, twice, 0.1)
    found = principal_components(holes, 3, scale="standard", tolerance=1e-6)
    known = np.isnan(holes[:, :3]) & np.isfinite(holes[:, 3:])
    np.testing.assert_allclose(found.fill(holes)[:, :3][known], x[known], atol=0.05)


@pytest.mark.parametrize("wrong", [0, -1, 1.0, 0.0, True, "all", None, np.nan])
def test_a_wrong_number_of_components_is_refused(rng, wrong):
    with pytest.raises(ConfigError, match="n_components must be"):
        principal_components(rng.normal(size=(9, 3)), wrong)


def test_what_cannot_be_done_is_said(rng):
    x = rng.normal(size=(9, 3))
    with pytest.raises(ConfigError, match="n_components=4 is more than 9 objects and 3"):
        principal_components(x, 4)
    with pytest.raises(ConfigError, match="scale must be one of"):
        principal_components(x, scale="rank")
    with pytest.raises(ConfigError, match="must be positive"):
        principal_components(x, tolerance=0)
    for empty in (x[:0], x[:1], np.full((5, 2), np.nan), np.ones((5, 2))):
        with pytest.raises(DataError, match="two objects and a feature that varies"):
            principal_components(empty)
    with pytest.raises(DataError, match="scores of 2 components"):
        principal_components(x, 2).inverse(np.ones((3, 3)))
    with pytest.raises(DataError, match="overflows"):
        principal_components(x * 1e200, scale="standard")
    assert np.isfinite(principal_components(x * 1e200).scores(x * 1e200)).all()
    with pytest.raises(ConfigError, match="n_shuffles"):
        parallel_analysis(x, n_shuffles=0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from(["asinh", "standard"]),
    unit=st.floats(1e-3, 1e3),
    offset=st.floats(-1e3, 1e3),
)
def test_units_order_and_neighbours_do_not_matter(seed, scale, unit, offset):
    rng = np.random.default_rng(seed)
    x = with_holes(rng, factors(rng, 40, d=5)[0], 0.1)
    found = principal_components(x, 2, scale=scale)
    moved = principal_components(x * unit + offset, 2, scale=scale)
    np.testing.assert_allclose(moved.scores(x * unit + offset), found.scores(x), atol=1e-4)
    scores = found.scores(x)
    order = rng.permutation(len(x))
    np.testing.assert_array_equal(found.scores(x[order]), scores[order])
    np.testing.assert_array_equal(found.scores(x[3:4]), scores[3:4])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=2, max_size=12))
def test_a_scale_inverts_itself_on_anything(values):
    table = as_table(np.array(values, dtype=np.float64)[:, None])
    scale = ColumnScale.fit(table, "asinh")
    back = scale.invert(scale.apply(table.values))
    good = np.isfinite(table.values) & scale.varies
    size = np.abs(table.values[good]).max(initial=0)
    np.testing.assert_allclose(back[good], table.values[good], rtol=1e-6, atol=1e-6 * size)

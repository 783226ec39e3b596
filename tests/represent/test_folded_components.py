"""Components of folds: known truth, missing phases, likelihood, alignment and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from astroprep.data import LightCurveBatch, Meta
from astroprep.deploy.plain import from_json, to_json
from astroprep.errors import ConfigError, DataError
from astroprep.represent import FoldedComponents, bin_folds, fit_components, posterior

PERIOD = 0.61


def known(rng, n=300, n_bins=16, noise=0.05, missing=0.4):
    """Rows of two known components, with errors and missing entries."""
    basis = np.linalg.qr(rng.normal(size=(n_bins, 2)))[0].T
    truth = np.sin(np.arange(n_bins)) + rng.normal(size=(n, 2)) * [3.0, 1.5] @ basis
    variance = rng.uniform(0.01, 0.2, (n, n_bins))
    x = truth + rng.normal(0, np.sqrt(variance + noise))
    gone = rng.random((n, n_bins)) < missing
    variance[gone] = np.inf
    return basis, truth, x, variance


def test_finds_known_components_through_gaps(rng):
    basis, truth, x, variance = known(rng)

    found = fit_components(x, variance, 2)

    assert found.converged
    overlap = np.linalg.svd(found.components @ basis.T)[1]
    assert overlap.min() > 0.99
    np.testing.assert_allclose(found.variance, [9.0, 2.25], rtol=0.25)  # 300 rows: 8 % a sigma
    assert found.noise == pytest.approx(0.05, rel=0.15)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(2), atol=1e-10)
    sigma = np.sqrt(found.variance)
    z = posterior(x, variance, found.mean, sigma[:, None] * found.components, found.noise)[0]
    made = found.mean + z * sigma @ found.components
    assert np.sqrt(np.mean((made - truth) ** 2)) < 0.25  # of rows that scatter by 0.85


def test_missing_entries_are_not_seen(rng):
    _, _, x, variance = known(rng, n=60)
    other = np.where(np.isfinite(variance), x, 1e9)
    nothing = np.where(np.isfinite(variance), x, np.nan)

    one, two, three = (fit_components(rows, variance, 2) for rows in (x, other, nothing))

    for a, b, c in zip(one, two, three, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_the_likelihood_never_falls_and_is_that_of_scipy(rng):
    _, _, x, variance = known(rng, n=80, n_bins=10)
    found = fit_components(x, variance, 2, tolerance=1e-7)
    assert np.diff(found.log_likelihood).min() > -1e-9

    loadings = np.sqrt(found.variance)[:, None] * found.components
    z, covariance, log_l, _ = posterior(x, variance, found.mean, loadings, found.noise)
    for i in range(5):
        has = np.isfinite(variance[i])
        w = loadings[:, has]
        total = w.T @ w + np.diag(variance[i, has] + found.noise)
        r = x[i, has] - found.mean[has]
        assert log_l[i] == pytest.approx(multivariate_normal(cov=total).logpdf(r), abs=1e-8)
        np.testing.assert_allclose(z[i], w @ np.linalg.solve(total, r), atol=1e-9)
        np.testing.assert_allclose(
            covariance[i], np.eye(2) - w @ np.linalg.solve(total, w.T), atol=1e-9
        )


def test_without_gaps_and_with_equal_errors_it_is_scikit_learns_pca(rng):
    _, _, x, _ = known(rng, missing=0.0)

    found = fit_components(x, np.full_like(x, 1e-9), 2, tolerance=1e-9, max_iterations=2000)
    peer = PCA(2).fit(x)

    np.testing.assert_allclose(np.abs(np.diag(found.components @ peer.components_.T)), 1, atol=1e-4)
    np.testing.assert_allclose(found.mean, peer.mean_, atol=1e-3)
    np.testing.assert_allclose(
        found.variance, peer.explained_variance_ - peer.noise_variance_, rtol=0.01
    )
    assert found.noise == pytest.approx(peer.noise_variance_, rel=0.01)


def test_errors_of_coefficients_cover_the_truth(rng):
    basis, _, _, _ = known(rng)
    n, variance = 4000, np.full((4000, 16), 0.3)
    variance[rng.random((n, 16)) < 0.5] = np.inf
    z = rng.normal(size=(n, 2))
    loadings = np.array([[2.0], [0.5]]) * basis
    x = z @ loadings + rng.normal(0, np.sqrt(0.3 + 0.1), (n, 16))

    mean, covariance, _, chi2 = posterior(x, variance, np.zeros(16), loadings, 0.1)

    pull = (mean - z) / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(pull.mean(axis=0), 0, atol=0.06)
    assert np.nanmean(chi2) < 1  # the coefficients take up some of the noise


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((np.zeros((2, 8)), np.ones((2, 8)), 2), "more rows"),
        ((np.full((9, 8), np.nan), np.ones((9, 8)), 2), "finite entries"),
        ((np.zeros((9, 8)), np.full((9, 8), np.inf), 2), "bin 0 is in none"),
    ],
)
def test_rows_that_teach_nothing_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        fit_components(*rows)


def star(rng, n=150, shape=0.3, gap=0.0, period=PERIOD, turn=0.0):
    """Fundamental and overtone of one phase; observations leave out part of the circle."""
    cycle = np.sort(rng.integers(0, 2000, n))
    phase = rng.uniform(gap, 1.0, n)
    mag = 15 + 0.4 * np.cos(2 * np.pi * (phase + turn))
    mag = mag + 0.4 * shape * np.cos(4 * np.pi * (phase + turn))
    order = np.argsort(cycle + phase)
    return (
        55000 + ((cycle + phase) * period)[order],
        mag[order] + rng.normal(0, 0.02, n),
        np.full(n, 0.02),
    )


def batch_of(curves, period=PERIOD, **about):
    n = len(curves)
    return LightCurveBatch.from_curves(curves, objects={"period": np.full(n, period)}, **about)


@pytest.fixture
def survey(rng):
    return batch_of(
        [star(rng, shape=s, turn=rng.random()) for s in rng.uniform(-0.2, 0.6, 60)],
        ids=[f"star-{i}" for i in range(60)],
    )


def test_bins_equal_brute_force(rng):
    time, mag, error = star(rng)
    error = rng.uniform(0.01, 0.05, time.size)
    batch = batch_of([(time, mag, error)])

    made = bin_folds(time, mag, error, batch.offsets, np.array([PERIOD]), 16, bright_is_small=True)

    phase = ((time - made.epoch[0]) / PERIOD) % 1
    assert abs((phase[np.argmax(mag)] + 0.5) % 1 - 0.5) < 0.1  # the faintest is at phase zero
    z = -(mag - np.median(mag)) / made.scale[0]
    assert made.scale[0] == pytest.approx(np.subtract(*np.percentile(mag, [95, 5])) / 3.2897)
    where = np.floor(phase * 16 + 0.5).astype(int) % 16
    w = (made.scale[0] / error) ** 2
    mean = np.bincount(where, w * z, 16) / np.bincount(where, w, 16)
    chi2 = np.sum(w * (z - mean[where]) ** 2) / (z.size - 16)
    np.testing.assert_allclose(made.mean[0], mean, atol=1e-9)
    np.testing.assert_allclose(
        made.variance[0], max(chi2, 1) / np.bincount(where, w, 16), rtol=1e-9
    )


@pytest.mark.parametrize("align", ["faintest", "brightest"])
def test_the_first_observation_does_not_choose_the_phase(rng, align):
    """The same star, observed from another day on, has the same fold."""
    time, mag, error = star(rng, n=400)
    batch = batch_of([(time, mag, error), (time[1:], mag[1:], error[1:])])
    usable = batch.usable

    made = bin_folds(
        usable.time,
        usable.value,
        usable.error,
        usable.offsets,
        np.full(2, PERIOD),
        16,
        bright_is_small=True,
        align=align,
    )

    turns = np.diff(made.epoch) / PERIOD
    assert abs(turns - np.round(turns)) < 0.02
    np.testing.assert_allclose(made.mean[0], made.mean[1], atol=0.2)
    assert made.mean[0].argmin() == 0 if align == "faintest" else made.mean[0].argmax() == 0


def test_gain_and_offset_do_not_matter(survey):
    step = FoldedComponents(2, 16).fit(survey)
    louder = survey.with_columns(value=3 * survey.value - 7, error=3 * survey.error)

    one, two = (step.transform(b).objects for b in (survey, louder))

    for name in ("folded_coefficients", "folded_coefficients_error", "folded_chi2"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-6)
    np.testing.assert_allclose(two["folded_scale"], 3 * one["folded_scale"])


def test_flux_upside_down_is_the_same_star(survey):
    step = FoldedComponents(2, 16).fit(survey)
    flux = batch_of(
        [
            (survey.time[a:b], -survey.value[a:b], survey.error[a:b])
            for a, b in zip(survey.offsets[:-1], survey.offsets[1:], strict=True)
        ],
        meta=Meta(quantity="flux"),
    )

    one, two = (step.transform(b).objects["folded_coefficients"] for b in (survey, flux))

    np.testing.assert_allclose(one, two, atol=1e-9)


def test_reconstructs_what_a_gap_hides(rng, survey):
    """A star with a third of its circle unobserved: the components say what is there."""
    step = FoldedComponents(3, 16).fit(survey)
    curve = star(rng, 200, shape=0.3, gap=0.3, turn=0.1)  # phases 0 to 0.3 are missing
    made = step.transform(batch_of([curve])).objects

    fold = step.reconstruct(made["folded_coefficients"])[0]

    mag = made["folded_level"][0] - made["folded_scale"][0] * fold
    phase = (made["folded_epoch"][0] + np.arange(16) / 16 * PERIOD - 55000) / PERIOD + 0.1
    truth = 15 + 0.4 * np.cos(2 * np.pi * phase) + 0.12 * np.cos(4 * np.pi * phase)
    assert np.abs(mag - truth).max() < 0.12  # of a range of 0.8
    assert (made["folded_coefficients_error"] > 0).all()


def test_survives_the_bundle(survey):
    step = FoldedComponents(2, 16).fit(survey)

    state = from_json(to_json(step.state(), "state"))
    again = FoldedComponents(2, 16).load_state(state).transform(survey)

    for name, column in step.transform(survey).objects.items():
        np.testing.assert_array_equal(again.objects[name], column)
    assert 0.5 < step.explained_variance_ratio_.sum() <= 1
    assert step.converged_


def test_too_few_observed_phases_are_refused(rng, survey):
    step = FoldedComponents(2, 16).fit(survey)
    batch = batch_of([star(rng), star(rng, gap=0.7), star(rng, period=-1.0)])
    batch = batch.with_columns(objects={"period": np.array([PERIOD, PERIOD, -1.0])})

    kept = step.set_params(on_bad="reject").transform(batch)

    assert kept.n_curves == 1
    assert sorted(kept.rejected.reason)[0].startswith("needs a positive 'period'")
    assert "needs at least 8 of 16 phase bins observed, has" in sorted(kept.rejected.reason)[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean_", np.zeros(3)),
        ("components_", np.zeros((2, 5))),
        ("components_", np.full((2, 16), np.nan)),
        ("noise_variance_", 0.0),
    ],
)
def test_a_made_up_state_is_refused(survey, name, value):
    step = FoldedComponents(2, 16).fit(survey)
    step.load_state({**step.state(), name: value})
    with pytest.raises(DataError, match="components"):
        step.transform(survey)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_components": 0}, "n_components must be 1 or more"),
        ({"n_bins": 4}, "n_bins must be"),
        ({"align": "top"}, "align must be"),
        ({"min_filled": 0.0}, "min_filled must be"),
        ({"tolerance": 0.0}, "tolerance must be"),
        ({"max_iterations": 0}, "max_iterations must be"),
    ],
)
def test_wrong_settings_are_named(survey, wrong, message):
    with pytest.raises(ConfigError, match=message):
        FoldedComponents(**wrong).fit(survey)


def test_says_what_is_missing(survey):
    with pytest.raises(DataError, match="needs more than 6 curves to learn from, got 4"):
        FoldedComponents().fit(survey[:4])
    with pytest.raises(DataError, match="call fit before reconstruct"):
        FoldedComponents().reconstruct(np.zeros((1, 6)))
    with pytest.raises(DataError, match="has 2 coefficients a curve, got an array of shape"):
        FoldedComponents(2, 16).fit(survey).reconstruct(np.zeros((1, 3)))

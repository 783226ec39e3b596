"""Probabilities of matches: the published equations, the exact sphere, calibration, ellipses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from astroprep.errors import DataError
from astroprep.integrate import Catalogue, crossmatch
from astroprep.integrate.bayes import (
    completeness,
    log_bayes_factor,
    pair_log_bayes,
    posterior,
    probabilities,
)
from astroprep.integrate.proper_motion import turn_covariance
from astroprep.integrate.sphere import ARCSEC, unit_vectors


def one(ra, dec, covariance):
    return np.array([ra]), np.array([dec]), np.array([covariance])


def log_b(first, second):
    zero = np.zeros(1, np.int64)
    return pair_log_bayes(zero, zero, *one(*first), *one(*second))[0]


def fisher_log_bayes(psi, s1, s2):
    """Exact for von Mises-Fisher errors: Budavari & Szalay 2008, Eqs. 10-13, w = 1 / sigma²."""
    w1, w2 = 1 / (s1 * ARCSEC) ** 2, 1 / (s2 * ARCSEC) ** 2
    w = np.sqrt(w1**2 + w2**2 + 2 * w1 * w2 * np.cos(psi * ARCSEC))

    def log_sinh(x):
        return x + np.log1p(-np.exp(-2 * x)) - np.log(2)

    return np.log(w1) + np.log(w2) - np.log(w) + log_sinh(w) - log_sinh(w1) - log_sinh(w2)


@pytest.mark.parametrize("psi", [0.0, 40.0, 200.0])
def test_circular_errors_against_the_exact_sphere(psi):
    exact = fisher_log_bayes(psi, 60.0, 80.0)
    assert log_bayes_factor(psi, 60.0, 80.0) == pytest.approx(exact, abs=1e-3)
    for ra, dec in ((10.0, -40.0), (0.0, 0.0), (123.0, 89.99)):
        found = log_b((ra, dec, [3600, 0, 3600]), (ra, dec - psi / 3600, [6400, 0, 6400]))
        assert found == pytest.approx(exact, abs=1e-3)


def test_ellipses_against_scipy(rng):
    """B = 4 pi times the density of the offset, on the tangent plane."""
    for _ in range(20):
        draws = [rng.normal(0, 1, (2, 3)) for _ in range(2)]
        c1, c2 = (d @ d.T for d in draws)
        x, y = rng.normal(0, 2, 2)
        ra, dec = 300.0, 55.0
        there = ra + x / 3600 / np.cos(np.deg2rad(dec)), dec + y / 3600
        found = log_b(
            (ra, dec, [c1[0, 0], c1[0, 1], c1[1, 1]]), (*there, [c2[0, 0], c2[0, 1], c2[1, 1]])
        )
        expected = multivariate_normal([0, 0], (c1 + c2) * ARCSEC**2).logpdf(
            [x * ARCSEC, y * ARCSEC]
        ) + np.log(4 * np.pi)
        assert found == pytest.approx(expected, abs=2e-3)


def test_an_ellipse_is_turned_across_the_pole():
    """A quarter of a turn in right ascension beside the pole makes east of north."""
    near = 90 - 1 / 3600
    long_east = [4.0, 0.0, 0.01]
    # at ra 0 the second place lies at ra 90: one arcsecond past the pole, its north is our east
    here = log_b((0.0, near, [0.01, 0, 0.01]), (90.0, near, long_east))
    basis = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # north at ra 0 and east at ra 0
    a, b = unit_vectors(np.array([0.0, 90.0]), np.array([near, near]))
    d = basis @ (b - a) / ARCSEC
    # east at ra 90 points to -x, which is north as seen at ra 0
    c = np.diag([4.01, 0.02])
    expected = np.log(2 / np.sqrt(np.linalg.det(c)) / ARCSEC**2) - 0.5 * d @ np.linalg.inv(c) @ d
    assert here == pytest.approx(expected, abs=1e-4)


def test_turning_a_covariance_is_r_c_rt(rng):
    d = rng.normal(0, 1, (2, 3))
    c = d @ d.T
    s, k = np.sin(0.7), np.cos(0.7)
    r = np.array([[k, s], [-s, k]])
    expected = r @ c @ r.T
    found = turn_covariance(np.array([c[0, 0], c[0, 1], c[1, 1]]), np.array(k), np.array(s))
    np.testing.assert_allclose(found, [expected[0, 0], expected[0, 1], expected[1, 1]])


def test_ellipse_columns_are_covariances():
    """Position angle from north through east: 90 degrees is east."""
    ellipse = Catalogue.of([1, 1, 1], [2, 2, 2], ellipse=[[3, 1, 0], [3, 1, 90], [3, 1, 45]])
    np.testing.assert_allclose(ellipse.covariance, [[1, 0, 9], [9, 0, 1], [5, 4, 5]], atol=1e-12)
    both = Catalogue.of([1, 1], [2, 2], error=[[1, 2], [3, 4]])
    np.testing.assert_allclose(both.covariance, [[1, 0, 4], [9, 0, 16]])


def test_posterior_is_the_published_equation():
    assert posterior(np.log(1e6), 1e-6) == pytest.approx(1 / (1 + (1 - 1e-6)))
    assert posterior(-np.inf, 0.5) == 0
    assert posterior(2000.0, 1e-9) == 1
    # one candidate and few counterparts: ours and the paper's agree
    share, n = 1e-4, 1e5
    ours = probabilities(np.array([0, 1]), np.array([np.log(3e8) - np.log(n)]), share)[0]
    assert ours == pytest.approx(posterior(np.log(3e8), share / n), abs=1e-4)


def test_probabilities_of_candidates_exclude_each_other(rng):
    offsets = np.array([0, 0, 3, 4])
    ratio = rng.normal(0, 5, 4)
    found = probabilities(offsets, ratio, 0.3)
    for a, b in ((0, 3), (3, 4)):
        terms = np.append(np.log(0.3) + ratio[a:b], np.log(0.7))
        np.testing.assert_allclose(found[a:b], np.exp(terms - logsumexp(terms))[:-1])


def simulated(rng, n, share, sigma, density, size=0.5):
    """Left objects, of which some have a counterpart, among unrelated ones; the truth."""
    ra, dec = 50 + rng.uniform(0, size, n), rng.uniform(-size / 2, size / 2, n)
    s1, s2 = rng.uniform(0.5, 2, (2, n)) * sigma
    has = rng.random(n) < share
    m = rng.poisson(density * (size * 3600) ** 2)
    far_ra, far_dec = 50 + rng.uniform(0, size, m), rng.uniform(-size / 2, size / 2, m)
    step = np.hypot(s1, s2)
    there = ra + step * rng.normal(size=n) / 3600, dec + step * rng.normal(size=n) / 3600
    left = Catalogue.of(ra, dec, error=s1)
    right = Catalogue.of(
        np.append(there[0][has], far_ra), np.append(there[1][has], far_dec),
        error=np.append(s2[has], rng.uniform(0.5, 2, m) * sigma),
    )  # fmt: skip
    truth = np.full(n, -1)
    truth[has] = np.arange(has.sum())
    return left, right, truth


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_the_share_with_a_counterpart_is_recovered(rng, share):
    left, right, truth = simulated(rng, 4000, share, 0.4, 0.01)
    found = crossmatch(left, right, method="bayes", radius=8.0)
    assert found.about["completeness"] == pytest.approx(np.mean(truth >= 0), abs=0.03)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_probabilities_are_calibrated_in_a_crowd(rng, share):
    """Of pairs with probability p a share p is real; 3.1 unrelated objects lie in each circle."""
    left, right, truth = simulated(rng, 8000, share, 0.5, 0.02)
    found = crossmatch(
        left, right, method="bayes", radius=7.0, kind="all", min_probability=1e-6, keep="matched"
    )
    real = truth[found.left_row] == found.right_row
    edges = np.array([0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    which = np.digitize(found.probability, edges[1:-1])
    for k in range(edges.size - 1):
        part = which == k
        if part.sum() < 50:
            continue
        stated, seen = found.probability[part].mean(), real[part].mean()
        spread = np.sqrt(max(stated * (1 - stated), 1e-4) / part.sum())
        assert abs(seen - stated) < 4.5 * spread + 0.02, (k, stated, seen, part.sum())


def test_bayes_beats_the_nearest_where_errors_differ(rng):
    left, right, truth = simulated(rng, 6000, 0.8, 0.6, 0.02)
    right_answers = {}
    for method in ("plain", "bayes"):
        found = crossmatch(left, right, method=method, radius=5.0, min_probability=1e-3)
        right_answers[method] = np.mean(found.right_row[truth >= 0] == truth[truth >= 0])
    assert right_answers["bayes"] > right_answers["plain"]


def test_the_density_is_local(rng):
    """The same separation is a match in an empty field and none in a crowd."""
    crowd = 10 + rng.uniform(0, 0.02, 3000), rng.uniform(0, 0.02, 3000)
    thin = 12 + rng.uniform(0, 0.9, 500), rng.uniform(0, 0.9, 500)
    of = np.append(crowd[0], thin[0]), np.append(crowd[1], thin[1])
    left = Catalogue.of(of[0], of[1] + 1.5 / 3600, error=0.7)
    found = crossmatch(left, Catalogue.of(*of, error=0.7), method="bayes", radius=4.0, prior=0.5)
    own = found.right_row == np.arange(of[0].size)
    p = np.where(own, found.probability, 0)
    assert np.median(p[3000:]) > 0.99
    assert np.median(p[:3000]) < 0.7


def test_by_default_six_sigma_are_searched():
    left = Catalogue.of([10, 10], [0, 5], error=[0.1, 3.0])
    right = Catalogue.of([10, 10], [2 / 3600, 5 + 2 / 3600], error=0.1)
    found = crossmatch(left, right, method="bayes", prior=0.9)
    assert found.match_status.tolist() == ["unmatched: nothing near", "matched"]
    assert found.log_bayes[1] == pytest.approx(log_bayes_factor(2.0, 3.0, 0.1), abs=1e-6)


def test_rows_without_an_error_have_their_reason():
    left = Catalogue.of([10, 20, 30, 40], [0, 0, 0, np.nan], error=[0.1, np.nan, 0.0, 0.1])
    right = Catalogue.of([10, 20, 30], [0, 0, 0], error=0.1)
    found = crossmatch(left, right, method="bayes", prior=0.5)
    assert found.match_status.tolist() == [
        "matched", "unmatched: no positional error", "unmatched: no positional error",
        "unmatched: no position",
    ]  # fmt: skip
    plain = crossmatch(left, right, radius=1)
    assert plain.is_matched.tolist() == [True, True, True, False]


def test_unlikely_candidates_are_named_so(rng):
    left, right, _ = simulated(rng, 3000, 0.01, 0.3, 0.05)
    found = crossmatch(left, right, method="bayes", radius=5.0)
    assert "unmatched: no candidate of probability 0.5" in found.counts()


def test_empty_catalogues_and_their_share():
    nothing = Catalogue.of([], [], error=[])
    some = Catalogue.of([1.0, 2.0], [1.0, 2.0], error=0.1)
    assert len(crossmatch(nothing, some, method="bayes")) == 0
    found = crossmatch(some, nothing, method="bayes")
    assert set(found.match_status) == {"unmatched: nothing near"}
    assert 0 < completeness(np.zeros(3, np.int64), np.empty(0), 2) < 0.5


def test_one_to_one_by_probability_uses_nobody_twice(rng):
    left, right, truth = simulated(rng, 3000, 0.7, 0.8, 0.03, size=0.2)
    found = crossmatch(left, right, method="bayes", radius=6.0, kind="one-to-one")
    pairs = found.right_row[found.is_matched]
    assert np.unique(pairs).size == pairs.size
    several = crossmatch(left, right, method="bayes", radius=6.0)

    def purity(m):
        return np.mean(m.right_row[m.is_matched] == truth[m.left_row[m.is_matched]])

    assert purity(found) > purity(several)


def test_contradicting_errors_are_refused():
    with pytest.raises(ValueError, match="one of error, ellipse and covariance"):
        Catalogue.of([1], [1], error=1, ellipse=[[1, 1, 0]])
    with pytest.raises(DataError, match="two errors"):
        log_bayes_factor(1.0, 1.0)

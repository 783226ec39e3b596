"""Several catalogues at once: two are the pairwise case, three are the published Bayes factor."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import Catalogue, crossmatch, crossmatch_many
from astroprep.integrate.sphere import ARCSEC, separation, unit_vectors


def field(rng, n=1500, share=(0.8, 0.6), size=0.4, crowd=3000):
    """A catalogue and two others that have a part of it, among unrelated objects."""
    ra, dec = 30 + rng.uniform(0, size, n), 10 + rng.uniform(0, size, n)
    sides, truths = [Catalogue.of(ra, dec, error=0.3)], []
    for part, sigma in zip(share, (0.5, 0.8), strict=True):
        has = np.flatnonzero(rng.random(n) < part)
        step = np.hypot(sigma, 0.3) * rng.normal(size=(2, has.size)) / 3600
        far = 30 + rng.uniform(0, size, crowd), 10 + rng.uniform(0, size, crowd)
        sides.append(
            Catalogue.of(
                np.append(ra[has] + step[0] / np.cos(np.deg2rad(dec[has])), far[0]),
                np.append(dec[has] + step[1], far[1]),
                error=sigma,
            )
        )
        truth = np.full(n, -1)
        truth[has] = np.arange(has.size)
        truths.append(truth)
    return sides, truths


def test_two_catalogues_are_the_pairwise_case(rng):
    (one, two, _), _ = field(rng)
    many = crossmatch_many({"a": one, "b": two}, radius=5.0)
    pair = crossmatch(one, two, radius=5.0, method="bayes", kind="nearest")
    assert many.completeness["b"] == pytest.approx(pair.about["completeness"], abs=1e-5)
    same = pair.is_matched & (pair.probability > 0.5)
    np.testing.assert_array_equal(many.row[same, 1], pair.right_row[same])
    np.testing.assert_allclose(many.probability[same], pair.probability[same], atol=1e-5)


def test_three_catalogues_against_the_published_equation():
    """One object and one candidate each, circular errors: Budavari & Szalay 2008, Eq. 18."""
    ra, dec = np.array([40.0, 40.0002, 39.9999]), np.array([-5.0, -5.0001, -4.9998])
    sigma = np.array([0.4, 0.6, 0.9])
    sides = {
        name: Catalogue.of(ra[k : k + 1], dec[k : k + 1], error=sigma[k])
        for k, name in enumerate("abc")
    }
    prior = 0.5
    found = crossmatch_many(sides, radius=30.0, prior=prior)

    w, v = 1 / (sigma * ARCSEC) ** 2, unit_vectors(ra, dec)

    def log_b(members):
        m = list(members)
        pairs = [(i, j) for i in m for j in m if i < j]
        square = sum(w[i] * w[j] * (separation(v[i], v[j]) * ARCSEC) ** 2 for i, j in pairs)
        total = w[m].sum()
        return ((len(m) - 1) * np.log(2) + np.log(w[m]).sum() - np.log(total)
                - square / (2 * total))  # fmt: skip

    from astroprep.integrate.density import surface_density

    own = np.ones(1, np.int64)
    n = [
        4 * np.pi / ARCSEC**2 * surface_density(
            ra[:1], dec[:1], ra[k : k + 1], dec[k : k + 1], own, 30.0
        )[0]
        for k in (1, 2)
    ]  # fmt: skip
    odds = np.log(prior / (1 - prior))
    weights = np.array(
        [
            0.0,
            log_b([0, 1]) + odds - np.log(n[0]),
            log_b([0, 2]) + odds - np.log(n[1]),
            log_b([0, 1, 2]) + 2 * odds - np.log(n[0]) - np.log(n[1]),
        ]
    )
    p = np.exp(weights - weights.max())
    p /= p.sum()
    assert found.probability[0] == pytest.approx(p.max(), rel=1e-4)
    assert found.probability_any[0] == pytest.approx(1 - p[0], rel=1e-4)


def test_shares_and_partners_are_recovered(rng):
    (one, two, three), truths = field(rng)
    found = crossmatch_many({"a": one, "b": two, "c": three}, radius=5.0)
    for k, (name, truth) in enumerate(zip("bc", truths, strict=True), start=1):
        assert found.completeness[name] == pytest.approx(np.mean(truth >= 0), abs=0.04)
        assert np.mean(found.row[:, k] == truth) > 0.93
    both = (found.row[:, 1:] >= 0).all(axis=1)
    assert set(found.match_status[both]) == {"matched in 2 of 2"}
    assert np.isnan(found.separation[found.row < 0]).all()
    # stated probabilities are those seen
    right = np.all([found.row[:, k + 1] == t for k, t in enumerate(truths)], axis=0)
    assert found.probability.mean() == pytest.approx(right.mean(), abs=0.03)


def test_reasons():
    one = Catalogue.of([1, 2, np.nan, 4], [0, 0, 0, 0], error=[0.1, 0.1, 0.1, np.nan])
    two = Catalogue.of([1], [0], error=0.1)
    found = crossmatch_many({"a": one, "b": two}, radius=1.0, prior=0.9)
    assert found.match_status.tolist() == [
        "matched in 1 of 1", "unmatched: nothing near", "unmatched: no position",
        "unmatched: no positional error",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="two catalogues or more"):
        crossmatch_many({"a": one}, radius=1)
    with pytest.raises(ConfigError, match="radius must lie"):
        crossmatch_many({"a": one, "b": two}, radius=0)
    with pytest.raises(DataError, match="'b' has none"):
        crossmatch_many({"a": one, "b": Catalogue.of([1], [0])}, radius=1)
    crowd = Catalogue.of(np.full(500, 1.0), np.zeros(500), error=1.0)
    with pytest.raises(ConfigError, match=r"row 0 of a has 2.51e\+05 sets"):
        crossmatch_many({"a": two, "b": crowd, "c": crowd}, radius=1)
    nothing = Catalogue.of([], [], error=[])
    assert crossmatch_many({"a": nothing, "b": two}, radius=1.0).row.shape == (0, 2)
    alone = crossmatch_many({"a": two, "b": nothing}, radius=1.0)
    assert alone.match_status.tolist() == ["unmatched: nothing near"]

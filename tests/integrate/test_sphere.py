"""Neighbours on the sphere: brute force, poles, the origin of right ascension, astropy."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.errors import ConfigError
from astroprep.integrate import sphere
from astroprep.integrate.density import surface_density
from astroprep.integrate.sphere import separation, unit_vectors, within


def brute(ra1, dec1, ra2, dec2, radius):
    """All pairs by the definition."""
    a, b = unit_vectors(ra1, dec1), unit_vectors(ra2, dec2)
    apart = separation(a[:, None], b[None])
    i, j = np.nonzero(apart <= radius)
    order = np.lexsort((j, apart[i, j], i))
    return i[order], j[order], apart[i, j][order]


def field(rng, where, n, radius):
    """Positions a few radii apart, at places where searches go wrong."""
    if where == "sky":
        return rng.uniform(-180, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    scale = min(radius / 3600 * np.sqrt(n), 40.0)
    if where in ("north", "south"):
        sign = 1 if where == "north" else -1
        return rng.uniform(0, 360, n), sign * (90 - scale * np.sqrt(rng.uniform(0, 1, n)))
    dec = {"origin": 0.0, "high": 89.0, "middle": -47.0}[where]
    dec = dec + scale * rng.uniform(-1, 1, n)
    dec = np.where(dec > 90, 180 - dec, dec)
    return (scale * rng.uniform(-1, 1, n) / np.cos(np.deg2rad(dec))) % 360, dec


@pytest.mark.parametrize("where", ["sky", "north", "south", "origin", "high", "middle"])
@pytest.mark.parametrize("radius", [0.01, 2.0, 900.0, 20000.0])
def test_the_same_pairs_as_brute_force(rng, where, radius):
    one, two = field(rng, where, 180, radius), field(rng, where, 150, radius)

    found = within(*one, *two, radius)

    i, j, apart = brute(*one, *two, radius)
    np.testing.assert_array_equal(found.left, i)
    np.testing.assert_array_equal(found.right, j)
    np.testing.assert_allclose(found.separation, apart, atol=1e-9)
    np.testing.assert_array_equal(np.diff(found.offsets), np.bincount(i, minlength=180))
    if where != "sky":
        assert i.size > 20


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 360), st.floats(-90, 90), st.floats(0.001, 3000), st.floats(0, 360),
    st.floats(0.0, 0.999),
)  # fmt: skip
def test_a_neighbour_inside_is_found_and_one_outside_is_not(ra, dec, radius, angle, part):
    lon, lat, turn = np.deg2rad([ra, dec, angle])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    for factor, n in ((part, 1), (1.001 + part, 0)):
        step = factor * radius * sphere.ARCSEC
        away = unit_vectors(np.array([ra]), np.array([dec]))[0] * np.cos(step)
        away = away + np.sin(step) * (np.sin(turn) * east + np.cos(turn) * north)
        there = (
            np.rad2deg(np.arctan2(away[1:2], away[:1])) % 360,
            np.rad2deg(np.arctan2(away[2:], np.hypot(away[:1], away[1:2]))),
        )
        assert within(np.array([ra]), np.array([dec]), *there, radius).left.size == n
        assert within(*there, np.array([ra]), np.array([dec]), radius).left.size == n


def test_against_astropy(rng):
    one, two = field(rng, "sky", 20_000, 1), field(rng, "sky", 20_000, 1)
    found = within(*one, *two, 3000.0)
    left, right = SkyCoord(*one, unit="deg"), SkyCoord(*two, unit="deg")
    j, i, apart, _ = right.search_around_sky(left, 3000 * units.arcsec)
    i, j = j, i
    order = np.lexsort((j, apart.arcsec, i))
    np.testing.assert_array_equal(found.left, i[order])
    np.testing.assert_array_equal(found.right, j[order])
    np.testing.assert_allclose(found.separation, apart.arcsec[order], atol=1e-8)


def test_each_object_may_have_its_own_radius(rng):
    one, two = field(rng, "middle", 300, 5.0), field(rng, "middle", 300, 5.0)
    radius = rng.uniform(0, 10, 300)
    radius[7] = np.nan
    found = within(*one, *two, radius)
    i, j, apart = brute(*one, *two, 10.0)
    kept = apart <= radius[i]
    np.testing.assert_array_equal(found.left, i[kept])
    np.testing.assert_array_equal(found.right, j[kept])


def test_many_neighbours_are_sorted_too(rng):
    one, two = (np.array([12.0]), np.array([-3.0])), field(rng, "middle", 1, 1)
    two = 12 + rng.normal(0, 1e-4, 500), -3 + rng.normal(0, 1e-4, 500)
    two = np.append(two[0], two[0]), np.append(two[1], two[1])  # each position twice
    found = within(*one, *two, 3.0)
    i, j, _ = brute(*one, *two, 3.0)
    np.testing.assert_array_equal(found.right, j)
    assert i.size > 2 * sphere.FEW


def test_positions_that_are_not_finite_have_no_neighbours():
    nan, inf = np.nan, np.inf
    found = within(
        np.array([nan, 1.0, 1.0]), np.array([0.0, inf, 0.0]),
        np.array([1.0, nan, 1.0]), np.array([0.0, 0.0, nan]), 5.0,
    )  # fmt: skip
    assert found.left.tolist() == [2]
    assert found.right.tolist() == [0]
    nothing = np.empty(0)
    assert within(nothing, nothing, np.ones(2), np.ones(2), 5.0).offsets.tolist() == [0]
    assert within(np.ones(2), np.ones(2), nothing, nothing, 5.0).offsets.tolist() == [0, 0, 0]


def test_too_many_pairs_are_refused():
    same = np.full(200, 3.0)
    with (
        mock.patch.object(sphere, "MAX_PAIRS", 1000),
        pytest.raises(ConfigError, match="more than 1,000 pairs lie within"),
    ):
        within(same, same, same, same, 1.0)


@pytest.mark.parametrize("where", ["equator", "pole"])
def test_density_of_a_uniform_sky(rng, where):
    """200,000 objects on the whole sky are 3.74e-7 per square arcsecond."""
    n = 200_000
    of = rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    ra, dec = rng.uniform(0, 360, 400), rng.uniform(-2, 2, 400)
    if where == "pole":
        dec = 90 - np.abs(dec)
    density = surface_density(ra, dec, *of, np.zeros(400, np.int64), 1.0)
    truth = n / (4 * np.pi) * sphere.ARCSEC**2
    assert np.mean(density) == pytest.approx(truth, rel=0.05)
    assert np.std(density) < 0.15 * truth


def test_density_follows_the_sky_and_ends_with_the_footprint(rng):
    n = 40_000
    dense = 30 + rng.uniform(0, 1, n), rng.uniform(0, 1, n)
    thin = 33 + rng.uniform(0, 1, n // 10), rng.uniform(0, 1, n // 10)
    of = np.append(dense[0], thin[0]), np.append(dense[1], thin[1])
    density = surface_density(
        np.array([30.5, 33.5, 200.0, np.nan]), np.array([0.5, 0.5, 0.5, 0.0]), *of,
        np.zeros(4, np.int64), 1.0,
    )  # fmt: skip
    assert density[0] == pytest.approx(n / 3600**2, rel=0.2)
    assert density[1] == pytest.approx(n / 10 / 3600**2, rel=0.3)
    assert np.isnan(density[2:]).all()

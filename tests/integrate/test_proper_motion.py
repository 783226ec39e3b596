"""Motion through space against astropy's, and matches between epochs."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time

from astroprep.errors import DataError
from astroprep.integrate import Catalogue, crossmatch, propagate
from astroprep.integrate.sphere import separation, unit_vectors


def test_barnards_star_against_astropy():
    """The fastest star over 200 years, with parallax and radial velocity."""
    ra, dec, pm_ra, pm_dec, plx, rv = 269.448503, 4.739420, -801.551, 10362.394, 546.976, -110.47
    star = SkyCoord(
        ra * units.deg, dec * units.deg, distance=Distance(parallax=plx * units.mas),
        pm_ra_cosdec=pm_ra * units.mas / units.yr, pm_dec=pm_dec * units.mas / units.yr,
        radial_velocity=rv * units.km / units.s, obstime=Time(2016.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    for years in (-200.0, 8.5, 200.0):
        there = star.apply_space_motion(Time(2016.0 + years, format="jyear", scale="tdb"))
        found = propagate(
            [ra], [dec], [pm_ra], [pm_dec], years, parallax=[plx], radial_velocity=[rv]
        )
        apart = separation(
            unit_vectors(found.ra, found.dec),
            unit_vectors(np.array([there.ra.deg]), np.array([there.dec.deg])),
        )
        # astropy takes light-travel time into account, about 1e-4 of the motion times v / c
        assert apart[0] < 1e-3 * abs(years) * 10.4 * 0.5 / 100 + 1e-5


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 89.9999), (123.0, -89.99999), (359.9999, 0.0)])
def test_along_a_great_circle_anywhere(ra, dec):
    """Without radial motion the star moves by arctan(mu t), whichever way, over the pole too."""
    for pm_ra, pm_dec in ((5000.0, 0.0), (0.0, 5000.0), (-3000.0, 4000.0)):
        found = propagate([ra], [dec], [pm_ra], [pm_dec], 1000.0)
        apart = separation(
            unit_vectors(np.array([ra]), np.array([dec])), unit_vectors(found.ra, found.dec)
        )
        angle = np.arctan(np.deg2rad(5000.0 / 3600)) / np.deg2rad(1 / 3600)
        assert apart[0] == pytest.approx(angle, abs=1e-5)


def test_there_and_back(rng):
    n = 50
    ra, dec = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    pm = rng.normal(0, 100, (2, n))
    there = propagate(ra, dec, *pm, 20.0)
    back = propagate(there.ra, there.dec, *pm, -20.0)
    apart = separation(unit_vectors(ra, dec), unit_vectors(back.ra, back.dec))
    assert apart.max() < 1e-3  # the direction of north turns on the way: mu² t² tan(dec)


def test_errors_grow_with_time():
    found = propagate([10], [20], [0], [0], 10.0, covariance=[[0.01, 0.002, 0.04]],
                      pm_covariance=[[400.0, 0, 100.0]])  # fmt: skip
    np.testing.assert_allclose(found.covariance, [[0.01 + 0.04, 0.002, 0.04 + 0.01]], atol=1e-12)


def test_errors_turn_at_the_pole():
    """Past the pole east is west, so a covariance of east and north turns by half a turn: same."""
    near = 90 - 1 / 3600
    over = propagate([0], [near], [0], [2000.0], 1.0, covariance=[[1.0, 0.3, 4.0]])
    np.testing.assert_allclose(over.ra, 180, atol=1e-3)
    np.testing.assert_allclose(over.covariance, [[1, 0.3, 4]], atol=1e-3)
    aside = propagate([0], [near], [1000.0], [0.0], 1.0, covariance=[[1.0, 0.0, 4.0]])
    # at 45 degrees of right ascension, north and east have turned by 45 degrees
    np.testing.assert_allclose(aside.ra, 45, atol=1e-3)
    np.testing.assert_allclose(np.abs(aside.covariance), [[2.5, 1.5, 2.5]], atol=1e-3)


def test_an_unmoved_star_stays_to_the_bit(rng):
    ra, dec = rng.uniform(0, 360, 100), rng.uniform(-90, 90, 100)
    found = propagate(ra, dec, np.zeros(100), np.zeros(100), 16.0)
    np.testing.assert_array_equal(found.ra, ra)
    np.testing.assert_array_equal(found.dec, dec)
    with pytest.raises(DataError, match="columns of one length"):
        propagate(ra, dec[:3], 0, 0, 1)


def moving(rng, n):
    ra, dec = 100 + rng.uniform(0, 0.5, n), 60 + rng.uniform(0, 0.5, n)
    return ra, dec, rng.normal(0, 300, n), rng.normal(0, 300, n)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("epochs", ["one", "each its own"])
def test_moving_stars_are_found_at_the_other_epoch(rng, turned, epochs):
    ra, dec, pm_ra, pm_dec = moving(rng, 400)
    when = np.full(400, 1985.0) if epochs == "one" else rng.uniform(1980, 2000, 400)
    old = propagate(ra, dec, pm_ra, pm_dec, when - 2016.0)
    now = Catalogue.of(ra, dec, pm_ra=pm_ra, pm_dec=pm_dec, epoch=2016.0)
    then = Catalogue.of(old.ra, old.dec, epoch=when)
    left, right = (then, now) if turned else (now, then)

    found = crossmatch(left, right, radius=0.05, kind="one-to-one")

    np.testing.assert_array_equal(found.right_row, np.arange(400))
    assert found.separation.max() < (1e-7 if not turned else 1e-4) + 1e-6
    blind = crossmatch((left.ra, left.dec), (right.ra, right.dec), radius=0.05)
    assert blind.is_matched.mean() < 0.05


def test_both_move():
    a = Catalogue.of([10], [0], pm_ra=[1000], pm_dec=[0], epoch=2000.0)
    b = Catalogue.of([10 + 10 / 3600], [0], pm_ra=[1000], pm_dec=[0], epoch=2010.0)
    assert crossmatch(a, b, radius=0.01).separation[0] < 1e-4


def test_missing_epochs_and_motions():
    with pytest.raises(DataError, match="proper motions but no epoch"):
        Catalogue.of([1], [1], pm_ra=[1], pm_dec=[1])
    with pytest.raises(ValueError, match="both pm_ra and pm_dec"):
        Catalogue.of([1], [1], pm_ra=[1], epoch=2000)
    moves = Catalogue.of(
        [1, 2, 3, 4], [1, 1, 1, 1], pm_ra=[5, np.nan, 5, np.inf], pm_dec=[5, np.nan, 5, 5],
        epoch=[2000, np.nan, np.nan, 2000],
    )  # fmt: skip
    with pytest.raises(DataError, match="right catalogue has no epoch to bring them to"):
        crossmatch(moves, ([1.0], [1.0]), radius=1)
    found = crossmatch(moves, Catalogue.of([1, 2, 3], [1, 1, 1], epoch=2000.0), radius=1)
    assert found.match_status.tolist() == [
        "matched", "matched", "unmatched: proper motion without an epoch",
        "unmatched: infinite proper motion",
    ]  # fmt: skip


def test_errors_of_the_motion_enter_the_probability():
    """Thirty years of 50 mas a year are 1.5 arcsec: within the error then, impossible without."""
    there = Catalogue.of([50], [1.5 / 3600], error=0.1, epoch=1986.0)
    common = {"error": 0.1, "pm_ra": [0.0], "pm_dec": [0.0], "epoch": 2016.0}
    sure = Catalogue.of([50], [0], **common, pm_error=[[0.1, 0.1]])
    unsure = Catalogue.of([50], [0], **common, pm_error=[[50, 50]])
    settings = {"method": "bayes", "radius": 5.0, "prior": 0.5}
    assert not crossmatch(sure, there, **settings).is_matched[0]
    assert crossmatch(unsure, there, **settings).is_matched[0]

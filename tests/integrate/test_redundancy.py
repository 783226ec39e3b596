"""Twins: close on the sky or of one id, across the origin and at the poles."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import twins
from astroprep.io import open_survey

ARCSEC = 1 / 3600


def test_alone_everyone_has_their_own_row():
    np.testing.assert_array_equal(twins([10, 20, 30], [0, 1, 2]), [0, 1, 2])


def test_across_right_ascension_zero():
    np.testing.assert_array_equal(twins([359.9999, 0.0001], [0, 0], radius=1.0), [0, 0])
    np.testing.assert_array_equal(twins([360.0, 0.0], [5, 5], radius=0.0), [0, 0])


def test_at_the_poles():
    """Half a turn apart in right ascension, one arcsecond from the pole on either side."""
    dec = 90 - ARCSEC
    np.testing.assert_array_equal(twins([0, 180, 90], [dec, dec, 0], radius=2.1), [0, 0, 2])
    np.testing.assert_array_equal(twins([0, 180, 90], [dec, dec, 0], radius=1.9), [0, 1, 2])


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.0])
def test_the_radius_is_on_the_sky(dec):
    ra = 5 * ARCSEC / np.cos(np.deg2rad(dec))
    assert len(set(twins([0, ra], [dec, dec], radius=5.01))) == 1
    assert len(set(twins([0, ra], [dec, dec], radius=4.99))) == 2


def test_closeness_is_passed_on():
    np.testing.assert_array_equal(
        twins([0, 0, 0, 0], np.array([0, 4, 8, 30]) * ARCSEC, radius=5), [0, 0, 0, 3]
    )


def test_equal_ids_join_wherever_they_are():
    group = twins([0, 90, 180, 270], [0, 0, 0, 0], ids=["x", "y", "x", ""])
    np.testing.assert_array_equal(group, [0, 1, 0, 3])
    np.testing.assert_array_equal(twins([0, 90], [0, 0], ids=["", ""]), [0, 1])


def test_unknown_positions_stay_alone_but_for_their_ids():
    nan, inf = np.nan, np.inf
    np.testing.assert_array_equal(twins([nan, nan, 1, inf], [nan, 0, nan, 2]), [0, 1, 2, 3])
    np.testing.assert_array_equal(twins([nan, nan], [nan, nan], ids=["a", "a"]), [0, 0])


def test_nothing():
    assert twins([], []).shape == (0,)
    assert twins([], [], ids=[]).dtype == np.int64


def test_against_astropy(rng):
    """Pairs found by astropy's search, joined by hand."""
    n = 300
    ra = np.append(rng.uniform(0, 360, n), rng.uniform(0, 1e-2, n) % 360)
    dec = np.append(np.rad2deg(np.arcsin(rng.uniform(-1, 1, n))), 89.99 + rng.uniform(0, 0.01, n))
    sky = SkyCoord(ra, dec, unit="deg")
    first, second, _, _ = sky.search_around_sky(sky, 8 * units.arcsec)
    expected = np.arange(2 * n)
    for _ in range(2 * n):
        before = expected.copy()
        np.minimum.at(expected, first, expected[second])
        if np.array_equal(before, expected):
            break
    np.testing.assert_array_equal(twins(ra, dec, radius=8), expected)
    assert np.any(expected != np.arange(2 * n))


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="radius"):
        twins([0], [0], radius=-1)
    with pytest.raises(DataError, match="as many ra as dec"):
        twins([0, 1], [0])
    with pytest.raises(DataError, match="row 1 has 91"):
        twins([0, 1], [0, 91])
    with pytest.raises(DataError, match="as many ids"):
        twins([0, 1], [0, 1], ids=["a"])


def test_catalina_south(data_dir):
    """Known answer: 50 pairs within 6 arcsec, 24 of them across the published split."""
    parts = list(open_survey(data_dir / "crts_south.parquet").iter_batches())
    ra, dec, split, ids = (
        np.concatenate([p.objects[name] for p in parts]) for name in ("ra", "dec", "split", "id")
    )
    group = twins(ra, dec, radius=6.0, ids=ids)
    second = np.flatnonzero(group != np.arange(group.size))
    assert second.size == 50
    assert np.bincount(group).max() == 2
    assert sum({split[i], split[group[i]]} == {"train", "test"} for i in second) == 24

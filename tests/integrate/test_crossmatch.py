"""Cross-match by radius: every row has its reason, one-to-one is one to one, astropy agrees."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import Catalogue, crossmatch
from astroprep.integrate import assign as assignment
from astroprep.integrate.assign import assign

ARCSEC = 1 / 3600


def crowd(rng, n, m, spacing=2.0):
    """Two catalogues of a field so dense that partners compete."""
    size = spacing * ARCSEC * np.sqrt(max(n, m))
    return [(200 + rng.uniform(0, size, k), rng.uniform(0, size, k)) for k in (n, m)]


def test_every_left_row_once_with_its_reason():
    left = ([10.0, 20.0, np.nan, 30.0], [0.0, 0.0, 0.0, 0.0])
    right = ([10.0, 10.0001, 30.001], [0.0, 0.0, 0.0])

    found = crossmatch(left, right, radius=2.0, keep="both")

    assert found.left_row.tolist() == [0, 1, 2, 3, -1, -1]
    assert found.right_row.tolist() == [0, -1, -1, -1, 1, 2]
    assert found.match_status.tolist() == [
        "ambiguous (2 candidates)",
        "unmatched: nothing within 2 arcsec",
        "unmatched: no position",
        "unmatched: nothing within 2 arcsec",
        "unmatched: lost to a better partner",
        "unmatched: nothing within 2 arcsec",
    ]
    assert found.left_id.tolist() == ["0", "1", "2", "3", "", ""]
    assert found.separation[0] == 0
    assert np.isnan(found.separation[1:]).all()
    assert np.isnan(found.probability).all()
    assert found.counts() == {
        "ambiguous": 1,
        "unmatched: lost to a better partner": 1,
        "unmatched: no position": 1,
        "unmatched: nothing within 2 arcsec": 3,
    }


@pytest.mark.parametrize("dec", [0.0, 89.9, -89.9999])
def test_nearest_is_astropys(rng, dec):
    ra = rng.uniform(0, 360, 2000) if abs(dec) > 80 else rng.uniform(-0.2, 0.2, 2000) % 360
    left = ra, np.clip(dec + rng.uniform(-0.1, 0.1, 2000), -90, 90)
    right = ra[::-1], np.clip(left[1][::-1] + rng.normal(0, 0.001, 2000), -90, 90)

    found = crossmatch(left, right, radius=10.0)

    j, apart, _ = SkyCoord(*left, unit="deg").match_to_catalog_sky(SkyCoord(*right, unit="deg"))
    near = apart.arcsec <= 10
    np.testing.assert_array_equal(found.is_matched, near)
    np.testing.assert_array_equal(found.right_row[near], j[near])
    np.testing.assert_allclose(found.separation[near], apart.arcsec[near], atol=1e-8)


def test_all_gives_one_row_a_pair(rng):
    left, right = crowd(rng, 60, 80)
    found = crossmatch(left, right, radius=3.0, kind="all")
    pairs = [
        (i, j)
        for i, j in itertools.product(range(60), range(80))
        if np.hypot(
            (left[0][i] - right[0][j]) * np.cos(np.deg2rad(left[1][i])), left[1][i] - right[1][j]
        ) <= 3.0 * ARCSEC
    ]  # fmt: skip
    matched = found.is_matched
    assert sorted(zip(found.left_row[matched], found.right_row[matched], strict=True)) == pairs
    assert set(range(60)) <= set(found.left_row)
    assert np.all(np.diff(found.left_row) >= 0)


@pytest.mark.parametrize("how", ["mutual", "greedy", "optimal"])
def test_one_to_one_uses_nobody_twice(rng, how):
    left, right = crowd(rng, 400, 300)
    found = crossmatch(left, right, radius=3.0, kind="one-to-one", assignment=how, keep="both")
    matched = found.is_matched
    for rows, n in ((found.left_row, 400), (found.right_row, 300)):
        assert np.unique(rows[matched]).size == matched.sum()
        assert sorted(rows[rows >= 0]) == list(range(n))
    lost = found.match_status == "unmatched: lost to a better partner"
    assert lost.any()
    # who lost has candidates, and with greedy or optimal choice all of them are taken
    if how != "mutual":
        everyone = crossmatch(left, right, radius=3.0, kind="all")
        taken = set(found.right_row[matched])
        for i in found.left_row[lost & (found.left_row >= 0)]:
            rivals = everyone.right_row[everyone.left_row == i]
            assert set(rivals) <= taken


def test_optimal_is_never_worse_than_greedy_and_that_than_mutual(rng):
    for _ in range(10):
        left, right = crowd(rng, 120, 120)
        gains = {}
        for how in ("mutual", "greedy", "optimal"):
            found = crossmatch(left, right, radius=4.0, kind="one-to-one", assignment=how)
            apart = found.separation[found.is_matched]
            gains[how] = np.sum(16.0 - apart**2)
        assert gains["mutual"] <= gains["greedy"] + 1e-9
        assert gains["greedy"] <= gains["optimal"] + 1e-9
    assert gains["mutual"] < gains["optimal"]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
def test_optimal_is_the_best_of_all_assignments(seed, n, m):
    """Brute force over permutations, some objects left alone."""
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random((n, m)) < 0.6, rng.normal(0.5, 1, (n, m)), 0)
    i, j = np.nonzero(gain)
    chosen = assign(i, j, gain[i, j], n, m)
    best = max(
        sum(max(gain[a, b], 0) for a, b in enumerate(order) if b < m)
        for order in itertools.permutations(range(n + m), n)
    )
    assert gain[i, j][chosen].sum() == pytest.approx(best)
    assert np.unique(i[chosen]).size == np.unique(j[chosen]).size == chosen.sum()


def test_large_groups_take_the_sparse_way_to_the_same_sum(rng, monkeypatch):
    n = 150
    i, j = np.nonzero(rng.random((n, n)) < 0.05)
    gain = rng.normal(0.5, 1, i.size)
    dense = assign(i, j, gain, n, n)
    monkeypatch.setattr(assignment, "LARGE", 5)
    sparse = assign(i, j, gain, n, n)
    assert gain[sparse].sum() == pytest.approx(gain[dense].sum())
    assert np.unique(i[sparse]).size == np.unique(j[sparse]).size == sparse.sum()


def test_swapping_the_catalogues_swaps_one_to_one_partners(rng):
    left, right = crowd(rng, 200, 150)
    for how in ("mutual", "greedy", "optimal"):
        there = crossmatch(left, right, radius=3.0, kind="one-to-one", assignment=how)
        back = crossmatch(right, left, radius=3.0, kind="one-to-one", assignment=how)
        a = {(i, j) for i, j in zip(there.left_row, there.right_row, strict=True) if j >= 0}
        b = {(j, i) for i, j in zip(back.left_row, back.right_row, strict=True) if j >= 0}
        assert a == b, how


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 360), st.floats(-89, 89), st.integers(0, 1000))
def test_turning_the_sky_changes_nothing(ra, dec, seed):
    rng = np.random.default_rng(seed)
    left, right = crowd(rng, 40, 40)
    here = crossmatch(left, right, radius=3.0)
    frame = SkyCoord(ra, dec, unit="deg").skyoffset_frame()
    turned = []
    for side in (left, right):
        sky = SkyCoord(*side, unit="deg").transform_to(frame)
        turned.append((sky.lon.deg, sky.lat.deg))
    there = crossmatch(*turned, radius=3.0)
    np.testing.assert_array_equal(here.right_row, there.right_row)
    np.testing.assert_allclose(here.separation, there.separation, atol=1e-7)


def test_nothing_on_either_side():
    nothing, some = ([], []), ([1.0, 2.0], [3.0, 4.0])
    assert len(crossmatch(nothing, some, radius=1.0)) == 0
    assert len(crossmatch(nothing, nothing, radius=1.0, keep="both")) == 0
    for kind in ("nearest", "one-to-one", "all"):
        alone = crossmatch(some, nothing, radius=1.0, kind=kind)
        assert set(alone.match_status) == {"unmatched: nothing within 1 arcsec"}
        assert crossmatch(nothing, some, radius=1.0, kind=kind, keep="both").left_row.tolist() == [
            -1, -1,
        ]  # fmt: skip


def test_inputs_stay_as_they_are(rng):
    left, right = crowd(rng, 50, 50)
    for column in (*left, *right):
        column.flags.writeable = False
    crossmatch(left, right, radius=3.0, kind="one-to-one")


def test_hours_are_refused_and_can_be_stated(rng):
    hours = rng.uniform(0, 24, 500), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 500)))
    degrees = hours[0] * 15, hours[1]
    with pytest.raises(DataError, match=r"left catalogue: right ascension looks like hours.*hour"):
        crossmatch(hours, degrees, radius=1.0)
    stated = Catalogue.of(*hours, ra_unit="hour")
    assert crossmatch(stated, degrees, radius=1.0).is_matched.all()
    assert len(Catalogue.of(*hours, ra_unit="degree")) == 500
    small = hours[0], hours[1] / 3  # a field of 24 by 60 degrees is one
    assert len(Catalogue.of(*small)) == 500


def test_impossible_positions(rng):
    ra, dec = rng.uniform(0, 360, 300), rng.uniform(-90, 90, 300)
    ra[3], dec[5] = 400.0, 91.0
    found = crossmatch((ra, dec), (ra, dec), radius=1.0)
    assert found.match_status[[3, 5]].tolist() == ["unmatched: impossible position"] * 2
    assert found.is_matched.sum() == 298
    with pytest.raises(DataError, match=r"150 of 300 positions are impossible.*row 150"):
        Catalogue.of(np.append(np.arange(150.0), np.full(150, 500.0)), np.zeros(300))
    assert crossmatch(([-0.0001], [0]), ([359.9999], [0]), radius=1.0).separation[0] < 1e-6
    assert crossmatch(([360.0], [0]), ([0.0], [0]), radius=1.0).separation[0] == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs a radius"),
        ({"radius": -1}, "radius must lie"),
        ({"radius": np.nan}, "radius must lie"),
        ({"radius": 1, "method": "best"}, "method must be one of 'plain', 'bayes', got 'best'"),
        ({"radius": 1, "kind": "some"}, "kind must be"),
        ({"radius": 1, "keep": "none"}, "keep must be"),
        ({"radius": 1, "assignment": "x"}, "assignment must be"),
        ({"radius": 1, "prior": 1.0}, "prior must lie"),
        ({"radius": 1, "min_probability": 0}, "min_probability must lie"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        crossmatch(([1], [1]), ([1], [1]), **settings)


def test_wrong_columns_are_named():
    with pytest.raises(DataError, match="as many ra as dec, got 2 and 1"):
        crossmatch(([1, 2], [1]), ([1], [1]), radius=1)
    with pytest.raises(DataError, match="right catalogue: ra must be a column of numbers"):
        crossmatch(([1], [1]), (["a"], [1]), radius=1)
    with pytest.raises(ConfigError, match="left catalogue must be a Catalogue or a pair"):
        crossmatch([1, 2, 3], ([1], [1]), radius=1)
    with pytest.raises(DataError, match="needs as many ids as positions, got 1 and 2"):
        Catalogue.of([1, 2], [1, 2], ids=["a"])
    with pytest.raises(DataError, match="positional errors, but left catalogue has none"):
        crossmatch(([1], [1]), ([1], [1]), method="bayes")


def test_masked_and_text_numbers():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    assert Catalogue.of(masked, [1, 2]).trouble.tolist() == [0, 1]
    assert Catalogue.of(np.array([1, None], object), [1, 2]).trouble.tolist() == [0, 1]


@pytest.mark.bench
def test_a_million_against_a_million(rng):
    n = 1_000_000
    left = rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    crossmatch(([1], [1]), ([1], [1]), radius=1.0)
    begin = time.process_time()
    crossmatch(left, left, radius=2.0)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("epoch", [57_000.0, 2_457_000.5, [2015.5, 16.0]])
def test_an_epoch_in_days_is_no_year(epoch):
    """57,000 taken for a year moves a star of 100 mas a year by 1.5 degrees."""
    motion = {"pm_ra": [100.0, 0.0], "pm_dec": [0.0, 0.0]}
    with pytest.raises(DataError, match=r"epochs are no Julian years, such as .* in row"):
        Catalogue.of([10.0, 20.0], [1.0, 2.0], epoch=epoch, **motion)


@pytest.mark.parametrize("setting", [{"radius": "2"}, {"radius": [2.0]}, {"radius": True},
                                     {"radius": 2.0, "prior": "0.5"}])  # fmt: skip
def test_settings_that_are_no_numbers_are_refused(setting):
    here = Catalogue.of([10.0], [1.0])
    with pytest.raises(ConfigError, match="must be a number, got"):
        crossmatch(here, here, **setting)

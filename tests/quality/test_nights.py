"""Nights: known shifts come back, noise and errors are told apart, borders follow the rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.quality import assess
from astroprep.quality.nightly import binned_quantiles, night_rule
from astroprep.quality.nights import MAX_NIGHTS, SHIFT_EDGES, Nights


def column(report, name):
    return np.asarray(report.nights["columns"][name], float)


@pytest.mark.parametrize("shift", [-0.3, -0.05, 0.02, 0.3])
def test_a_shifted_night_comes_back(steady, shift):
    batch = steady()
    bad = np.floor(batch.time) == 55007
    report = assess([batch.with_columns(value=batch.value + shift * bad)])
    found, error = column(report, "shift")[7], column(report, "shift_error")[7]
    # sixty stars, their nightly medians of three points known to 0.0134: 0.002 for the median
    # of all, half a bin of rounding beyond 0.05 (asinh bins)
    assert found == pytest.approx(shift, abs=4 * 0.0022 + 0.02 * abs(shift))
    assert 0.0011 < error < 0.0040  # a bin is 0.03 wide at a shift of 0.3
    others = np.delete(column(report, "shift"), 7)
    assert np.abs(others).max() < 5 * 0.0022
    expected = "good" if abs(shift) < 0.03 else "fair" if abs(shift) < 0.1 else "poor"
    assert report.nights["columns"]["verdict"][7] == expected
    if expected != "good":
        assert report.nights["worst"][0]["night"] == 55007
        assert report.nights["worst"][0]["worst_check"] == "zero point"


def test_quiet_stars_decide(steady):
    """Two stars in three are large variables with their own phase; the shift is found."""
    batch = steady(90)
    curve = np.repeat(np.arange(90), 180)
    wave = np.where(curve % 3, 0.5 * np.sin(batch.time * (1 + curve / 50)), 0.0)
    bad = np.floor(batch.time) == 55031
    report = assess([batch.with_columns(value=batch.value + wave + 0.08 * bad)])
    assert column(report, "shift")[31] == pytest.approx(0.08, abs=0.015)
    assert report.nights["bad"]["zero point"] == 1


def test_counts_of_a_night(steady):
    batch = steady()
    night = np.floor(batch.time)
    value = batch.value.copy()
    value[np.flatnonzero(night == 55002)[::4]] = np.nan
    report = assess([batch.with_columns(value=value)])
    assert (column(report, "points") == 180).all()
    assert column(report, "flagged")[2] == pytest.approx(0.25)
    assert column(report, "missing_value")[2] == pytest.approx(0.25)
    assert np.delete(column(report, "flagged"), 2).max() < 0.02
    assert (column(report, "objects") == 60).all()
    assert (column(report, "pairs")[3:] >= 110).all()


def test_objects_of_a_night_are_counted_once_in_two_bands(steady):
    report = assess([steady(bands=2)])
    assert (column(report, "objects") == 60).all()


def test_noise_and_errors_of_a_night(steady, rng):
    batch = steady()
    bad = np.floor(batch.time) == 55010
    value = batch.value + np.where(bad, rng.normal(0, 0.0566, batch.n_points), 0)
    report = assess([batch.with_columns(value=value)])
    # hypot(0.02, 0.0566) is three times 0.02; 120 pairs, of which SigmaClip takes the widest
    assert column(report, "noise")[10] == pytest.approx(3, rel=0.3)
    assert column(report, "honesty")[10] == pytest.approx(3, rel=0.3)
    assert np.median(column(report, "noise")) == pytest.approx(1, rel=0.05)
    assert report.nights["columns"]["verdict"][10] in ("fair", "poor")


def test_cut_into_batches_or_not(steady):
    batch = steady()
    whole, parts = assess([batch]), assess([batch[:17], batch[17:18], batch[18:]])
    for name in ("points", "objects", "shift", "noise", "honesty", "flagged"):
        np.testing.assert_allclose(column(whole, name), column(parts, name), rtol=1e-12)


@pytest.mark.parametrize(
    ("fraction", "longitude", "night"),
    [
        (0.5, None, 55000),
        (0.02, None, 55000),
        (0.02, -70.0, 54999),  # 0.5 h UT in Chile is the evening before
        (0.4, -70.0, 54999),  # 9.6 h UT, its morning
        (0.9, -70.0, 55000),  # 21.6 h UT, the next evening
        (0.59, 149.0, 55000),  # midnight in New South Wales
        (0.12, 149.0, 55000),  # 2.9 h UT is 12.8 h there: past noon, the next night
        (0.05, 149.0, 54999),  # 11.1 h there, the last one
    ],
)
def test_the_border_between_nights(steady, fraction, longitude, night):
    batch = steady(5)
    one = batch.with_columns(time=np.full(batch.n_points, 55000 + fraction))
    report = assess([one], longitude=longitude)
    assert report.nights["columns"]["night"].tolist() == [night]


def test_the_reference_of_times_is_known(steady):
    """The same instants in BJD - 2457000 are in the same nights."""
    batch = steady()
    other = replace(
        batch.with_columns(time=batch.time + 2400000.5 - 2457000),
        meta=replace(batch.meta, time_ref=2457000.0),
    )
    np.testing.assert_array_equal(
        assess([batch]).nights["columns"]["night"], assess([other]).nights["columns"]["night"]
    )


@pytest.mark.parametrize("longitude", [-70.7, 0.0, 149.0, 179.0])
def test_a_fitting_longitude_is_suggested(longitude):
    """Observing from 19 h to 5 h local time."""
    local = (np.arange(24) + 0.5 + longitude / 15) % 24
    hours = np.where((local > 19) | (local < 5), 1000, 0)
    found = night_rule(None, hours)["suggested_longitude"]
    assert abs((found - longitude + 180) % 360 - 180) <= 8  # hours are 15 degrees wide


def test_no_longitude_is_suggested_where_there_is_no_day():
    assert night_rule(None, np.full(24, 10))["suggested_longitude"] is None
    assert night_rule(None, np.zeros(24, int))["suggested_longitude"] is None


def test_gaps_are_listed(steady):
    batch = steady()
    night = np.floor(batch.time) - 55000
    moved = batch.with_columns(time=batch.time + np.where(night >= 30, 200.0, 0.0))
    report = assess([moved])
    assert report.nights["gaps"] == [{"first": 55029, "last": 55230, "days": 201}]
    assert report.nights["observed"] == pytest.approx(60 / 260)


def test_binned_quantiles(rng):
    """Against numpy, to the width of a bin."""
    value = rng.normal(0.01, 0.05, 20_000)
    counts = np.histogram(value, SHIFT_EDGES)[0]
    q = np.array([0.16, 0.5, 0.84])
    found = binned_quantiles(np.stack([counts, 0 * counts]), SHIFT_EDGES, q)
    np.testing.assert_allclose(found[:, 0], np.quantile(value, q), atol=0.001)
    assert np.isnan(found[:, 1]).all()


def test_nights_beyond_all_bounds_are_counted(steady, monkeypatch):
    monkeypatch.setattr("astroprep.quality.nights.MAX_NIGHTS", 10)
    report = assess([steady()])
    assert report.nights["count"] == 10
    assert report.nights["left_out"] == 50 * 180
    assert MAX_NIGHTS > 50_000


@pytest.mark.parametrize("longitude", [-181.0, 361.0, float("nan")])
def test_longitudes_are_checked(longitude):
    with pytest.raises(ConfigError, match="longitude must lie between -180 and 360"):
        Nights(longitude, 1 / 24)

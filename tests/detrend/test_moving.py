"""MovingTrend takes slow change out and leaves events, gaps and levels alone."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.detrend import MovingTrend
from astroprep.detrend.moving import between_points
from astroprep.errors import ConfigError, DataError

FLUX = Meta(quantity="flux", unit="e/s")


def one(time, value, error=0.01, meta=None):
    error = np.full(len(time), error)
    return LightCurveBatch.from_curves([(time, value, error)], ids=["star"], meta=meta)


def test_slow_change_goes_and_the_level_stays(rng):
    time = np.arange(0, 30, 0.02)
    slow = 0.3 * np.sin(2 * np.pi * time / 25)
    noise = rng.normal(0, 0.001, time.size)
    result = MovingTrend(window=2.0).transform(one(time, 15 + slow + noise))
    assert np.median(result.value) == pytest.approx(np.median(15 + slow), abs=0.01)
    assert np.std(result.value[100:-100]) < 0.003
    np.testing.assert_allclose(
        result.value + result.points["trend"] - np.median(15 + slow + noise), 15 + slow + noise
    )


@pytest.mark.parametrize("hours", [2, 6, 12])
def test_transits_survive(hours):
    """An event shorter than a third of the window keeps its whole depth."""
    time = np.arange(0, 27, 1 / 48)
    flux = 1000 * (1 + 0.01 * np.sin(time / 4))
    inside = np.abs((time - 3) % 5 - 1) < hours / 48
    flux[inside] *= 0.99
    result = MovingTrend(window=3.0).transform(one(time, flux, meta=FLUX))
    depth = 1 - result.value[inside].mean() / np.median(result.value)
    assert depth == pytest.approx(0.01, rel=0.1)


def test_fluxes_are_divided_and_errors_scaled():
    time = np.arange(100) * 0.1
    flux = np.where(time < 5, 100.0, 200.0)
    result = MovingTrend(window=1.0).transform(one(time, flux, error=1.0, meta=FLUX))
    level = np.median(flux)
    far = np.abs(time - 5) > 0.6
    np.testing.assert_allclose(result.value[far], level)
    np.testing.assert_allclose(result.error[far], level / flux[far])


def test_gaps_cut(rng):
    """A step hidden in a gap leaves no trace on either side of it."""
    time = np.append(np.arange(50) * 0.1, 100 + np.arange(50) * 0.1)
    value = np.append(np.full(50, 15.0), np.full(50, 16.0))
    result = MovingTrend(window=300.0, gap=10.0).transform(one(time, value))
    np.testing.assert_array_equal(result.value, 15.5)
    across = MovingTrend(window=300.0, gap=1000.0).transform(one(time, value))
    np.testing.assert_array_equal(across.value, value)


@pytest.mark.parametrize(
    ("time", "value"),
    [
        ([], []),
        ([3.0], [15.0]),
        ([1.0, 2.0, 3.0], [15.0, 17.0, 16.0]),  # fewer than min_points
        ([1.0] * 20, np.arange(20.0)),  # one instant: the window holds everything
        (np.arange(50.0), np.full(50, 15.0)),
    ],
)
def test_what_cannot_be_detrended_stays(time, value):
    result = MovingTrend(window=1e6, gap=1e6).transform(one(time, value))
    np.testing.assert_array_equal(result.value, value)
    assert result.points["trend"].shape == (len(time),)


def test_flagged_points_follow_but_do_not_lead():
    time = np.arange(40.0)
    value = 15 + time / 10
    value[20] = 25.0
    time[30] = np.nan
    flags = np.zeros(40, np.uint32)
    flags[20] = 32
    flags[30] = 1
    batch = one(time, value).with_columns(flags=flags)
    result = MovingTrend(window=7.0, gap=5.0).transform(batch)
    assert result.points["trend"][20] == pytest.approx(17.0)
    assert result.value[20] == pytest.approx(25.0 - 17.0 + np.median(batch.usable.value))
    assert np.isnan(result.points["trend"][30])
    assert result.value[30] == value[30]


def test_difference_fluxes_must_be_subtracted():
    time = np.arange(50) * 0.1
    batch = one(time, np.sin(time), meta=FLUX)
    with pytest.raises(DataError, match=r"MovingTrend needs a positive trend.*'star' \(curve 0\)"):
        MovingTrend().transform(batch)
    assert len(MovingTrend(on_bad="reject").transform(batch).rejected) == 1
    result = MovingTrend(method="subtract").transform(batch)
    assert np.isfinite(result.value).all()


def test_settings():
    with pytest.raises(ConfigError, match=r"window must be positive.*gap.*method"):
        MovingTrend(window=0, gap=-1, method="wavelet").transform(one([1.0], [1.0]))


def test_interpolation_against_numpy(rng):
    x, y = np.sort(rng.uniform(0, 10, 20)), rng.normal(0, 1, 20)
    t = rng.uniform(-2, 12, 100)
    offsets, known = np.array([0, 100, 102]), np.array([0, 20, 20])
    found = between_points(np.append(t, [1.0, np.nan]), offsets, x, y, known)
    np.testing.assert_allclose(found[:100], np.interp(t, x, y))
    assert np.isnan(found[100:]).all()


def test_against_wotan(rng):
    """wotan's time-windowed median, away from edges where it cuts windows otherwise."""
    wotan = pytest.importorskip("wotan")
    time = np.sort(rng.uniform(0, 30, 2000))
    flux = 1 + 0.01 * np.sin(time) + rng.normal(0, 1e-3, 2000)
    _, trend = wotan.flatten(
        time, flux, method="median", window_length=1.0, edge_cutoff=0, return_trend=True
    )
    ours = MovingTrend(window=1.0, gap=5.0).transform(one(time, flux, meta=FLUX))
    inside = (time > 1) & (time < 29)
    np.testing.assert_allclose(ours.points["trend"][inside], trend[inside], rtol=1e-3)

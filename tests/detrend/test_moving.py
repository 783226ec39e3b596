"""MovingTrend takes slow change out and leaves events, gaps and levels alone."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
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
    with pytest.raises(ConfigError, match=r"average must be.*edge must be from 0.*tuning must"):
        MovingTrend("mode", window=1.0, edge=0.6, tuning=0.5).transform(one([1.0], [1.0]))


@pytest.mark.parametrize("average", ["mean", "median", "biweight"])
def test_events_do_not_lead(average):
    """A flagged eclipse longer than the window leaves the trend alone and keeps its depth."""
    time = np.arange(0, 30, 0.02)
    flux = 1000 * (1 + 0.01 * np.sin(time / 5))
    inside = np.abs(time - 15) < 1.0
    dimmed = np.where(inside, 0.5 * flux, flux)
    flags = np.where(inside, np.uint32(PointFlag.EVENT), 0).astype(np.uint32)
    batch = one(time, dimmed, error=1.0, meta=FLUX).with_columns(flags=flags)
    result = MovingTrend(average, window=1.5, gap=3.0).transform(batch)
    np.testing.assert_allclose(result.points["trend"], flux, rtol=3e-3)
    level = np.median(dimmed[~inside])
    np.testing.assert_allclose(result.value[inside], 0.5 * level, rtol=3e-3)
    np.testing.assert_array_equal(result.flags, flags)


def test_nothing_but_events_stays():
    """There is nothing to make a trend of: NaN, and the values as they were."""
    flags = np.full(30, np.uint32(PointFlag.EVENT))
    batch = one(np.arange(30.0), np.arange(30.0) + 1, meta=FLUX).with_columns(flags=flags)
    result = MovingTrend().transform(batch)
    assert np.isnan(result.points["trend"]).all()
    np.testing.assert_array_equal(result.value, batch.value)


def test_edges_can_be_given_up():
    """Without a full window there is no trend: NaN, the value kept, no weight for later steps."""
    time = np.append(np.arange(0, 10, 0.1), np.arange(20, 30, 0.1))
    value = 15 + time / 10
    result = MovingTrend(window=2.0, edge=1.0, gap=3.0).transform(one(time, value))
    lost = (
        ((time % 20) < 1 - 1e-9) | ((time % 20) > 8.9 + 1e-9) & (time < 15) | (time > 28.9 + 1e-9)
    )
    np.testing.assert_array_equal(np.isnan(result.points["trend"]), lost)
    np.testing.assert_array_equal(result.value[lost], value[lost])
    np.testing.assert_array_equal(result.weight, np.where(lost, 0.0, 1.0))
    kept = result.value[~lost]
    np.testing.assert_allclose(kept, np.median(value), atol=0.006)  # half a cadence of the slope


def test_weights_lead(rng):
    """Points that a step trusts little hardly move the trend; errors count when asked for."""
    time = np.arange(0, 20, 0.05)
    value = 15 + rng.normal(0, 0.01, time.size)
    low = rng.random(time.size) < 0.4
    value[low] += 0.1  # too many for the biweight alone
    weight = np.where(low, 0.01, 1.0)
    batch = one(time, value).with_columns(weight=weight)
    trend = MovingTrend(window=4.0).transform(batch).points["trend"]
    assert np.abs(trend - 15).max() < 0.01
    errors = one(time, value).with_columns(error=np.where(low, 0.1, 0.01))
    by_error = MovingTrend(window=4.0, use_errors=True).transform(errors).points["trend"]
    np.testing.assert_allclose(by_error, trend, atol=1e-6)
    plain = MovingTrend(window=4.0).transform(errors).points["trend"]
    assert np.abs(plain - 15).max() > 0.02


def test_errors_must_be_there_to_count():
    batch = one(np.arange(20.0), np.arange(20.0), error=0.0)
    with pytest.raises(DataError, match=r"MovingTrend needs a positive error.*'star'"):
        MovingTrend(use_errors=True).transform(batch)
    assert len(MovingTrend(use_errors=True, on_bad="reject").transform(batch).rejected) == 1
    MovingTrend().transform(batch)  # not asked for, not needed


@pytest.mark.parametrize("average", ["mean", "median", "biweight"])
def test_the_error_of_the_trend_is_in_its_unit(rng, average):
    """A hundred points a window and a scatter of 5: about 0.5, whatever the error bars say."""
    time = np.arange(0, 50, 0.02)
    flux = 1000 + rng.normal(0, 5, time.size)
    for error in (0.01, np.nan):
        result = MovingTrend(average, window=2.0).transform(one(time, flux, error, meta=FLUX))
        assert np.median(result.points["trend_err"]) == pytest.approx(0.56, rel=0.15)
    scaled = MovingTrend(average, window=2.0).transform(one(time, flux, 3.0, meta=FLUX))
    level = np.median(flux)
    np.testing.assert_allclose(scaled.error, 3.0 * level / scaled.points["trend"])


def test_windows_follow_by_half_a_step_only():
    """A window of 1 d on a cadence of 0.1 d holds ten points, the later end left out."""
    time = np.arange(40) / 8
    trend = MovingTrend("mean", window=1.0, min_points=1).transform(one(time, time)).points["trend"]
    np.testing.assert_allclose(trend[4:-4], time[4:-4] - 1 / 16)


@pytest.mark.parametrize("average", ["median", "biweight"])
@pytest.mark.parametrize("mission", ["kepler", "k2", "tess"])
def test_real_photometry_gets_quieter_and_a_transit_stays(data_dir, average, mission):
    """Scatter falls, and a transit of 4 h keeps its depth: 90 %, or 80 % beside K2's rolling."""
    fits = pytest.importorskip("astropy.io.fits")
    for path in sorted((data_dir / "space" / mission).glob("*lc.fits")):
        with fits.open(path) as file:
            table = file[1].data
            good = table["QUALITY" if mission == "tess" else "SAP_QUALITY"] == 0
            columns = [np.asarray(table[c], np.float64) for c in ("TIME", "SAP_FLUX")]
        ok = good & np.isfinite(columns).all(axis=0)
        time, flux = (column[ok] for column in columns)
        inside = np.abs((time - time[0]) % 5 - 2.5) < 2 / 24
        step = MovingTrend(average, window=1.0)
        plain = step.transform(one(time, flux, 1.0, FLUX))
        dimmed = step.transform(one(time, np.where(inside, 0.98 * flux, flux), 1.0, FLUX))
        assert np.isfinite(plain.value).all()
        assert np.std(plain.value) / np.median(plain.value) < np.std(flux) / np.median(flux)
        depth = 1 - np.median(dimmed.value[inside] / plain.value[inside])
        depth -= 1 - np.median(dimmed.value[~inside] / plain.value[~inside])
        assert depth == pytest.approx(0.02, rel=0.2 if mission == "k2" else 0.1), path.name


def test_interpolation_against_numpy(rng):
    x, y = np.sort(rng.uniform(0, 10, 20)), rng.normal(0, 1, 20)
    t = rng.uniform(-2, 12, 100)
    offsets, known = np.array([0, 100, 102]), np.array([0, 20, 20])
    found = between_points(np.append(t, [1.0, np.nan]), offsets, x, y, known)
    np.testing.assert_allclose(found[:100], np.interp(t, x, y))
    assert np.isnan(found[100:]).all()


def test_against_wotan(rng):
    """wotan's time-windowed biweight; the kernels are compared in test_average.py."""
    wotan = pytest.importorskip("wotan")
    time = np.sort(rng.uniform(0, 30, 2000))
    flux = 1 + 0.01 * np.sin(time) + rng.normal(0, 1e-3, 2000)
    _, trend = wotan.flatten(
        time, flux, method="biweight", window_length=1.0, edge_cutoff=0, return_trend=True
    )
    ours = MovingTrend(window=1.0).transform(one(time, flux, meta=FLUX))
    np.testing.assert_allclose(ours.points["trend"], trend, rtol=1e-7)

"""Events are marked and stay whole; noise, pulsation and systematics are not marked."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import EventTrend, MarkEvents
from astroprep.errors import ConfigError, DataError

FLUX = Meta(quantity="flux", unit="e/s")
CADENCE = 1 / 48


def batch_of(curves, meta=FLUX, **objects):
    return LightCurveBatch.from_curves(
        curves, ids=[f"star-{i}" for i in range(len(curves))], objects=objects, meta=meta
    )


def one(time, value, error=1.0, meta=FLUX, **objects):
    return batch_of([(time, value, np.full(len(time), error))], meta, **objects)


def slow(time):
    """A star that turns in 23 days, with two spots: 2 % peak to peak."""
    return 1e4 * (1 + 0.008 * np.sin(2 * np.pi * time / 23) + 0.004 * np.sin(4 * np.pi * time / 23))


def marked(batch):
    return (batch.flags & np.uint32(PointFlag.EVENT)) > 0


def flare(time, peak, half=0.05):
    return np.where(time < peak, 0.0, np.exp(-np.clip(time - peak, 0, 50) / half))


@pytest.fixture
def time():
    return np.arange(0, 60, CADENCE)


@pytest.mark.parametrize("hours", [2, 5, 9, 12])
@pytest.mark.parametrize("depth", [0.0006, 0.05, -0.01])
def test_events_are_marked_and_nothing_else(rng, time, hours, depth):
    """All points of the event but its rim, and fewer than half as many beside it."""
    inside = np.abs(time - 31.3) < hours / 48
    flux = slow(time) * (1 - depth * inside) + rng.normal(0, 1.0, time.size)
    event = marked(MarkEvents().transform(one(time, flux)))
    assert event[inside].all()
    near = np.abs(time - 31.3) < hours / 24 + 2 * CADENCE
    assert not event[~near].any()


def test_a_flare_is_marked_to_its_tail(rng, time):
    flux = slow(time) + 300 * flare(time, 20.0) + rng.normal(0, 1.0, time.size)
    event = marked(MarkEvents().transform(one(time, flux)))
    assert event[(time > 20) & (flare(time, 20.0) * 300 > 3)].all()
    assert not event[(time < 19.5) | (time > 20.8)].any()


@pytest.mark.parametrize("hours", [3, 6, 12])
@pytest.mark.parametrize("depth", [0.0002, 0.01, 0.4])
def test_depth_is_kept_without_noise(time, hours, depth):
    """Within 5 % of the depth at every point; analytic truth, noise of 1e-5 of the flux."""
    inside = np.abs(time - 31.3) < hours / 48
    noise = 0.1 * np.cos(np.arange(time.size) * 2.5)
    flux = slow(time) * (1 - depth * inside) + noise
    result = EventTrend(max_waves=0).transform(one(time, flux))
    left = 1 - result.value / np.median(result.value[~inside])
    np.testing.assert_allclose(left[inside], depth, rtol=0.05, atol=3e-5)
    np.testing.assert_allclose(left[~inside][20:-20], 0, atol=3e-5)


@pytest.mark.parametrize("noise", ["white", "red"])
def test_false_alarms_are_as_stated(rng, noise):
    """White: no more than the stated number; red: less than one event in ten curves.

    Red noise is white noise plus an autoregressive part of the same scatter and six hours.
    """
    curves, n = [], 100
    time = np.arange(0, 30, CADENCE)
    for _ in range(n):
        value = rng.normal(size=time.size)
        if noise == "red":
            step = np.exp(-CADENCE / 0.25)
            drive = rng.normal(0, np.sqrt(1 - step**2), time.size)
            walk = np.zeros(time.size)
            for k in range(1, time.size):
                walk[k] = step * walk[k - 1] + drive[k]
            value += walk
        curves.append((time, 1e4 + value, np.ones(time.size)))
    step = MarkEvents(false_alarms=0.01)
    found = step.transform(batch_of(curves)).objects["n_events"].sum()
    # overlapping boxes are counted once in the threshold: three times as many trials at most
    assert found <= (3 + 3 if noise == "white" else n // 10)


@pytest.mark.parametrize("period", [0.25, 0.8, 1.5, 4.0])
def test_a_sine_is_no_event(rng, time, period):
    flux = 1e4 + 300 * np.sin(2 * np.pi * time / period) + rng.normal(0, 3.0, time.size)
    result = MarkEvents().transform(one(time, flux))
    assert result.objects["n_events"][0] == 0
    assert result.objects["event_fraction"][0] == 0


def test_a_transit_of_a_pulsator_comes_out(rng, time):
    """A dip of a twentieth of the pulsation's amplitude keeps its depth within 10 %."""
    inside = np.abs(time - 22.2) < 5 / 48
    pulse = 0.02 * np.sin(2 * np.pi * 4.2 * time) + 0.01 * np.sin(2 * np.pi * 8.4 * time + 1)
    flux = 1e4 * (1 + pulse) * (1 - 0.001 * inside) + rng.normal(0, 1.0, time.size)
    result = EventTrend().transform(one(time, flux))
    assert result.objects["n_waves"][0] >= 2
    left = result.value / np.median(result.value)
    assert 1 - np.mean(left[inside]) == pytest.approx(0.001, rel=0.1)
    assert marked(result)[inside].all()


def test_single_points_are_no_events(rng, time):
    flux = slow(time) + rng.normal(0, 1.0, time.size)
    flux[[300, 900, 1500]] += 500
    assert MarkEvents().transform(one(time, flux)).objects["n_events"][0] == 0


def test_nothing_is_bridged_over_a_gap(rng, time):
    """A step at a gap stays out of the residual, and is no event."""
    keep = (time < 20) | (time > 23)
    t = time[keep]
    flux = slow(t) + np.where(t > 22, 400.0, 0.0) + rng.normal(0, 1.0, t.size)
    result = EventTrend().transform(one(t, flux))
    assert result.objects["n_events"][0] == 0
    assert np.std(result.value) < 1.1


def test_the_error_of_the_trend_grows_under_the_bridge(rng, time):
    inside = np.abs(time - 31.3) < 10 / 48
    truth = slow(time)
    errors = []
    for _ in range(30):
        flux = truth * (1 - 0.01 * inside) + rng.normal(0, 1.0, time.size)
        result = EventTrend(max_waves=0).transform(one(time, flux))
        off = result.points["trend"] - truth
        errors.append(off[inside].mean() / result.points["trend_err"][inside].mean())
        middle = result.points["trend_err"][inside].mean()
    assert middle > 1.3 * np.median(result.points["trend_err"])
    assert 0.5 < np.std(errors) < 1.5  # thirty trials know a scatter to 13 %


def test_a_variable_of_the_timescale_is_left_alone(rng, time):
    """Dips of five hours every eleven: found, reported, not marked."""
    flux = 1e4 - 100.0 * ((time % 0.9) < 0.25) + rng.normal(0, 1.0, time.size)
    result = MarkEvents(max_waves=0, max_fraction=0.02).transform(one(time, flux))
    if result.objects["event_fraction"][0] > 0.02:
        assert not marked(result).any()
        assert result.objects["n_events"][0] == 0
    whole = MarkEvents(max_fraction=1e-3).transform(
        one(time, slow(time) - 100.0 * (np.abs(time - 30) < 0.1) + rng.normal(0, 1, time.size))
    )
    assert whole.objects["event_fraction"][0] > 1e-3
    assert not marked(whole).any()


def test_known_events_are_marked_from_their_ephemeris(rng, time):
    flux = slow(time) + rng.normal(0, 1.0, time.size)
    truth = np.abs((time - 3.3 + 3.5) % 7 - 3.5) <= 4 / 48
    columns = {"period": [7.0], "epoch": [3.3], "duration": [4.0]}
    result = MarkEvents(ephemeris=True).transform(one(time, flux, **columns))
    np.testing.assert_array_equal(marked(result), truth)
    none = {"period": [np.nan], "epoch": [3.3], "duration": [4.0]}
    assert not marked(MarkEvents(ephemeris=True).transform(one(time, flux, **none))).any()
    with pytest.raises(DataError, match="no epoch, duration"):
        MarkEvents(ephemeris=True).transform(one(time, flux, period=[7.0]))


def test_events_marked_before_are_left_out_of_the_trend(rng, time):
    inside = np.abs(time - 31.3) < 6 / 48
    flux = slow(time) * (1 - 0.0002 * inside) + rng.normal(0, 1.0, time.size)
    batch = one(time, flux)
    flags = np.where(inside, np.uint32(PointFlag.EVENT), np.uint32(0)).astype(np.uint32)
    result = EventTrend(max_waves=0).transform(batch.with_columns(flags=flags))
    left = 1 - np.mean(result.value[inside]) / np.median(result.value)
    assert left == pytest.approx(0.0002, abs=5e-5)


def test_magnitudes_are_subtracted_and_fluxes_divided(rng, time):
    mag = 12 + 0.1 * np.sin(2 * np.pi * time / 20) + rng.normal(0, 1e-3, time.size)
    result = EventTrend().transform(one(time, mag, 1e-3, Meta()))
    np.testing.assert_allclose(result.value, mag - result.points["trend"] + np.median(mag))
    np.testing.assert_array_equal(result.error, 1e-3)
    flux = slow(time) + rng.normal(0, 1.0, time.size)
    result = EventTrend().transform(one(time, flux))
    scale = np.median(flux) / result.points["trend"]
    np.testing.assert_allclose(result.value, flux * scale)
    np.testing.assert_allclose(result.error, scale)


def test_a_trend_that_is_not_positive_cannot_be_divided_by(rng, time):
    flux = rng.normal(0, 1.0, time.size) + np.sin(time)
    with pytest.raises(DataError, match="EventTrend needs a positive trend"):
        EventTrend().transform(one(time, flux))
    both = batch_of([(time, flux, None), (time, slow(time) + flux, None)])
    result = EventTrend(on_bad="reject").transform(both)
    assert result.rejected.id.tolist() == ["star-0"]
    subtracted = EventTrend(method="subtract").transform(both)
    assert np.isfinite(subtracted.value).all()


@pytest.mark.parametrize(
    ("t", "v"),
    [
        ([], []),
        ([5.0], [100.0]),
        (np.zeros(40), np.arange(40.0) + 1),
        (np.arange(40.0) * 0.02, np.full(40, 7.0)),
        (np.arange(40.0) * 0.02, np.full(40, np.nan)),
        (np.arange(40.0) * 3, np.arange(40.0) + 1),
        (np.arange(300.0) * 0.02, np.where(np.arange(300) % 2, 1e30, 2e30)),
        (np.arange(300.0) * 0.02, np.full(300, 5.0) + (np.arange(300) == 7)),
        (np.r_[np.arange(9) * 0.02, 50 + np.arange(9) * 0.02], np.arange(18.0) + 1),
    ],
    ids=["empty", "one", "one time", "constant", "all NaN", "sparse", "huge", "one step", "short"],
)
def test_bad_curves_have_a_stated_outcome(t, v):
    """No events, no sines, finite values wherever they were finite."""
    batch = one(np.asarray(t, float), np.asarray(v, float), np.nan)
    result = EventTrend().transform(batch)
    assert result.objects["n_events"][0] == 0
    assert result.objects["event_fraction"][0] == 0
    np.testing.assert_array_equal(np.isfinite(result.value), np.isfinite(batch.value))


def test_flagged_points_are_corrected_and_bad_times_left(rng, time):
    flux = slow(time) + rng.normal(0, 1.0, time.size)
    flags = np.zeros(time.size, np.uint32)
    flags[100] = PointFlag.OUTLIER
    flags[200] = PointFlag.BAD_TIME
    result = EventTrend().transform(one(time, flux).with_columns(flags=flags))
    assert np.isfinite(result.points["trend"][100])
    assert np.isnan(result.points["trend"][200])
    assert result.value[200] == flux[200]


def test_settings_are_checked_together():
    with pytest.raises(ConfigError, match=r"durations must be .*; gap must be .*; margin must"):
        MarkEvents(durations=(), gap=0, margin=-1).check()
    with pytest.raises(ConfigError, match="method must be"):
        EventTrend(method="multiply").check()
    with pytest.raises(ConfigError, match="max_fraction must be above 0"):
        MarkEvents(max_fraction=0).check()
    with pytest.raises(ConfigError, match="max_waves must be a whole number"):
        MarkEvents(max_waves=1.5).check()


def test_published_transits_of_kepler_90_are_marked(data_dir):
    """g and h, and d three times, in quarters 3 to 5 (Cabrera et al. 2014)."""
    from astropy.io import fits

    curves = []
    for path in sorted((data_dir / "space/kepler").glob("kplr011442793*_llc.fits")):
        with fits.open(path) as opened:
            table = opened[1].data
            good = (table["SAP_QUALITY"] & 1130799) == 0
            curves.append((table["TIME"][good], table["PDCSAP_FLUX"][good], None))
    result = MarkEvents().transform(batch_of(curves))
    for centre in (278.45, 338.19, 357.62, 457.64, 472.12):
        assert marked(result)[np.abs(result.time - centre) < 0.08].all()
    assert (result.objects["event_fraction"] < 0.05).all()

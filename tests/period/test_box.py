"""Boxes come back from where they were put, and astropy by hand finds the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.timeseries import BoxLeastSquares

from astroprep.data import LightCurveBatch, Meta
from astroprep.detrend import MovingTrend
from astroprep.errors import ConfigError, DataError
from astroprep.period.box import BoxSearch, find_box
from astroprep.period.boxfit import measure_box
from astroprep.period.boxgrid import SHORTEST, SUN_DURATION, BoxRule
from astroprep.period.boxpower import COARSE_BINS, box_power

FLUX = Meta(survey="test", quantity="flux", unit="e-/s")


def dips(time, period, epoch, duration):
    """1 inside the box, 0 outside."""
    away = np.abs((time - epoch + 0.5 * period) % period - 0.5 * period)
    return (away < 0.5 * duration).astype(float)


def transiting(rng, period, depth, *, noise, n=3000, baseline=27.0, duration=0.15, start=1325.0):
    time = start + np.sort(rng.uniform(0, baseline, n))
    epoch = start + 0.37 * period
    flux = 1 - depth * dips(time, period, epoch, duration) + rng.normal(0, noise, n)
    return time, flux, np.full(n, noise)


def same_period(found, true, baseline, duration=0.15):
    """First and last dip drift apart by less than a third of the duration."""
    return abs(found / true - 1) * baseline < duration / 3


def batch_of(*curves, meta=FLUX, **objects):
    return LightCurveBatch.from_curves(
        curves, ids=[f"star-{i}" for i in range(len(curves))], meta=meta, objects=objects
    )


@pytest.mark.parametrize(
    ("period", "depth", "noise"),
    [(0.87, 5e-5, 8e-5), (2.31, 2e-4, 2e-4), (5.117, 1e-3, 7e-4), (11.4, 5e-3, 2e-3)],
)
def test_an_injected_transit_is_recovered(rng, period, depth, noise):
    curve = transiting(rng, period, depth, noise=noise)

    result = BoxSearch().fit_transform(batch_of(curve)).objects

    assert same_period(result["period"][0], period, 27.0)
    assert result["box_snr"][0] > 7
    assert result["box_depth"][0] == pytest.approx(depth, abs=4 * result["box_depth_err"][0])
    cycles = (result["epoch"][0] - (1325 + 0.37 * period)) / period
    assert abs(cycles - np.rint(cycles)) * period < 0.15 / 4
    assert 0.6 < result["box_duration"][0] / 0.15 < 1.5
    inside = dips(curve[0], period, 1325 + 0.37 * period, 0.15) > 0
    seen = np.unique(np.rint((curve[0][inside] - result["epoch"][0]) / period))
    assert result["box_n_transits"][0] == seen.size
    assert abs(result["box_odd_even"][0]) < 5
    assert curve[0][0] <= result["epoch"][0] + result["box_duration"][0] / 2
    assert result["epoch"][0] - period < curve[0][0]


@pytest.mark.parametrize("durations", [(), (0.2,), (0.1, 0.14, 0.2)])
def test_neighbouring_periods_drift_apart_by_the_stated_part_of_a_duration(durations):
    rule = BoxRule(durations=durations, oversampling=3.0)
    period = rule.periods(27.0)
    frequency = 1 / period
    middle = 0.5 * (frequency[1:] + frequency[:-1])
    shortest = min(durations) if durations else SHORTEST * SUN_DURATION / np.cbrt(middle)

    drift = -np.diff(frequency) * 27.0 / middle

    assert (np.diff(period) > 0).all()
    np.testing.assert_allclose(drift, shortest / 3.0, rtol=2e-3)
    assert period[[0, -1]] == pytest.approx([0.5, 13.5])


def test_the_duration_of_a_transit_of_the_sun_is_the_known_one():
    """13 hours for the Earth, see Borucki & Summers 1984, Icarus 58, 121."""
    earth = SUN_DURATION * 365.25 ** (1 / 3)

    assert earth == pytest.approx(13.0 / 24, abs=0.005)


def test_the_periodogram_is_that_of_astropy_by_hand(rng):
    curve = transiting(rng, 3.3, 3e-3, noise=1e-3, n=800)
    rule = BoxRule(min_period=3.0, max_period=5.0, durations=(0.1, 0.2))

    ours = box_power(*curve, rule)
    byhand = BoxLeastSquares(curve[0], curve[1], dy=curve[2]).power(
        rule.periods(np.ptp(curve[0])), [0.1, 0.2], oversample=COARSE_BINS
    )

    np.testing.assert_array_equal(ours.period, byhand.period)
    np.testing.assert_allclose(ours.power, byhand.power, rtol=1e-9)
    np.testing.assert_allclose(ours.epoch, byhand.transit_time, rtol=1e-12)
    np.testing.assert_array_equal(ours.duration, byhand.duration)
    assert same_period(ours.period[np.argmax(ours.power)], 3.3, 27.0)


def test_the_numbers_of_a_box_are_those_of_astropy_by_hand(rng):
    time, flux, error = transiting(rng, 3.3, 1e-3, noise=1e-3)
    error = error * rng.uniform(0.7, 1.5, time.size)
    epoch = 1325 + 0.37 * 3.3

    box = measure_box(time, flux, error, 3.3, epoch + 3 * 3.3, 0.15)
    model = BoxLeastSquares(time, flux, dy=error)
    stats = model.compute_stats(3.3, 0.15, epoch)

    assert box.epoch == pytest.approx(epoch)
    assert (box.depth, box.depth_error / box.noise) == pytest.approx(stats["depth"])
    assert box.secondary * box.noise == pytest.approx(
        stats["depth_phased"][0] / stats["depth_phased"][1], rel=1e-6
    )
    # astropy calls the first one even
    first, second = (
        np.sum(model.transit_mask(time, 6.6, 0.15, epoch + k * 3.3) / error**2) for k in (0, 1)
    )
    difference = (stats["depth_even"][0] - stats["depth_odd"][0]) / np.hypot(
        first**-0.5, second**-0.5
    )
    assert box.odd_even * box.noise == pytest.approx(difference)
    assert box.n_transits == np.count_nonzero(stats["per_transit_count"])


def test_a_long_transit_at_the_first_point_is_found(rng):
    """Astropy tries no box longer than the shortest across the ends of its fold."""
    time = 100 + np.sort(rng.uniform(0, 27, 2000))
    flux = 1 - 2e-3 * dips(time, 3.217, time[0], 0.3) + rng.normal(0, 1e-3, 2000)

    box = find_box(time, flux, np.full(2000, 1e-3))

    assert same_period(box.period, 3.217, 27.0, 0.3)
    assert box.epoch == pytest.approx(time[0], abs=0.03)
    assert box.duration == pytest.approx(0.3, rel=0.15)
    assert box.depth == pytest.approx(2e-3, abs=4 * box.depth_error)


def binary(rng, ratio, period=4.4):
    time = 100 + np.sort(rng.uniform(0, 50, 4000))
    flux = 1 - 0.05 * (
        dips(time, period, 101, 0.3) + ratio * dips(time, period, 101 + period / 2, 0.3)
    )
    return time, flux + rng.normal(0, 2e-3, time.size), np.full(time.size, 2e-3)


@pytest.mark.parametrize("ratio", [0.2, 0.7, 0.9])
def test_unequal_eclipses_double_the_period(rng, ratio):
    """At ratios above 0.41 two eclipses taken for one kind are the likelier box."""
    box = find_box(*binary(rng, ratio))

    assert same_period(box.period, 4.4, 50.0, 0.3)
    assert box.epoch == pytest.approx(101.0, abs=0.05)
    assert box.secondary > 5
    assert abs(box.odd_even) < 5


def test_odd_and_even_tell_unequal_eclipses_at_half_the_period(rng):
    curve = binary(rng, 0.7)

    kept = find_box(*curve, odd_even=1e9)

    assert same_period(kept.period, 2.2, 50.0, 0.3)
    assert abs(kept.odd_even) > 5
    assert (kept.n_transits, kept.n_odd) == (23, 12)


def test_equal_eclipses_stay_at_half_the_period(rng):
    """Nothing in the light tells them apart: the stated limit of the check."""
    assert same_period(find_box(*binary(rng, 1.0)).period, 2.2, 50.0, 0.3)


def test_magnitudes_dip_the_other_way(rng):
    time, flux, error = transiting(rng, 4.1, 5e-3, noise=2e-3)
    mag = batch_of((time, -flux, error), meta=Meta(quantity="mag"))

    one, other = (
        BoxSearch().fit_transform(b).objects for b in (mag, batch_of((time, flux, error)))
    )

    for name in ("period", "epoch", "box_depth", "box_odd_even"):
        assert one[name][0] == pytest.approx(other[name][0], rel=1e-9)


@pytest.mark.parametrize("gain", [1e-12, 1.0, 1e9])
def test_gain_offset_and_the_origin_of_time_do_not_matter(rng, gain):
    """Astropy alone passes over weights under 2e-16, and so over large fluxes."""
    time, flux, error = transiting(rng, 4.1, 5e-3, noise=2e-3, n=1000)

    plain = find_box(time, flux, error)
    moved = find_box(time + 2457000.0, gain * (flux + 3), gain * error)

    # absolute days are known to 5e-10 d, which moves points between phase bins
    assert same_period(moved.period, plain.period, 27.0, 0.05)
    assert moved.epoch - 2457000.0 == pytest.approx(plain.epoch, abs=0.01)
    assert moved.depth / gain == pytest.approx(plain.depth, rel=0.01)


def test_noise_that_remembers_widens_the_error(rng):
    """A slow wave moves whole transits, which the formal error does not know."""
    time, flux, error = transiting(rng, 4.1, 5e-3, noise=1e-3)
    wave = 2e-3 * np.sin(2 * np.pi * time / 0.9)

    white = measure_box(time, flux, error, 4.1, 1325 + 0.37 * 4.1, 0.15)
    red = measure_box(time, flux + wave, error, 4.1, 1325 + 0.37 * 4.1, 0.15)

    assert white.noise < 1.3
    assert red.noise > 4
    assert red.depth == pytest.approx(5e-3, abs=4 * red.depth_error)


def test_bad_curves_are_refused_with_the_reason(rng):
    good = transiting(rng, 4.1, 5e-3, noise=2e-3, n=500)
    time, flux, error = (column[:200] for column in good)
    nan = np.full(200, np.nan)
    curves = {
        "fine": (good, ""),
        "empty": (([], [], []), "at least 10 usable points, has 0"),
        "one point": (([1.0], [1.0], [1.0]), "at least 10 usable points, has 1"),
        "no values": ((time, nan, error), "at least 10 usable points, has 0"),
        "infinite": ((time, np.full(200, np.inf), error), "at least 10 usable points, has 0"),
        "no errors": ((time, flux, nan), "positive error"),
        "zero errors": ((time, flux, 0 * error), "positive error"),
        "constant": ((good[0], 0 * good[1] + 1, good[2]), "varies, it is constant"),
        "one time": ((0 * time, flux, error), "different times"),
        "overflow": ((good[0], good[1] * 1e300, good[2] * 1e-300), "of ordinary size"),
        "one night": ((0.01 * time, flux, error), "a baseline over 1 days"),
        "absurd times": ((np.append(time[1:], -2.4e6), flux, error), "max_grid=1,000,000"),
    }
    batch = batch_of(*(curve for curve, _ in curves.values()))

    result = BoxSearch(on_bad="reject").fit_transform(batch)

    assert result.objects["row"].tolist() == [0]
    for row, reason in zip(result.rejected.row, result.rejected.reason, strict=True):
        assert list(curves.values())[row][1] in reason
    assert len(result.rejected) == len(curves) - 1
    with pytest.raises(DataError, match=r"max_grid=1,000,000 .*FlagBad.*'star-11'"):
        BoxSearch().fit_transform(batch[11:12])


def test_flagged_curve_of_repeated_times_still_serves(rng):
    time, flux, error = transiting(rng, 4.1, 5e-3, noise=2e-3, n=1000)
    twice = np.repeat(time, 2), np.repeat(flux, 2), np.repeat(error, 2)

    result = BoxSearch().fit_transform(batch_of(twice)).objects

    assert same_period(result["period"][0], 4.1, 27.0)


def test_two_dips_must_have_been_seen(rng):
    """One dip in ten days says nothing of a period: every box with two is shallower."""
    time, flux, error = transiting(rng, 20.0, 0.01, noise=1e-3, n=1500, baseline=10.0)

    once = find_box(time, flux, error, BoxRule(max_period=10.0), min_transits=1)
    twice = find_box(time, flux, error)

    assert twice.n_transits >= 2
    assert twice.depth < once.depth
    assert np.isfinite([twice.odd_even, twice.secondary, twice.snr]).all()
    with pytest.raises(DataError, match="needs 100 or more dips"):
        find_box(time, flux, error, min_transits=100)


def test_one_deep_dip_betrays_itself_by_odd_and_even(rng):
    """The stated limit: it hides the shallow ones, at a period whose other dip is hardly there."""
    time, flux, error = transiting(rng, 4.1, 2e-3, noise=1e-3)
    flux = flux - 0.05 * dips(time, 1e4, 1338.0, 0.2)

    box = find_box(time, flux, error)

    assert abs(box.odd_even) > 10
    known = np.abs(time - 1338.0) > 0.15
    assert same_period(find_box(time[known], flux[known], error[known]).period, 4.1, 27.0)


def test_a_curve_without_a_box_has_no_numbers_for_it():
    """Daily points at a period of one day are all inside any box or all outside."""
    time, rule = np.arange(40.0), BoxRule(min_period=1.0, max_period=1.5, durations=(0.1,))
    found = box_power(time, np.sin(time), np.ones(40), rule)

    none = np.isneginf(found.power)
    assert none[0]
    assert not none.all()
    np.testing.assert_array_equal(np.isnan(found.epoch), none)
    np.testing.assert_array_equal(np.isnan(found.duration), none)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_period": 0.0}, "min_period must be positive"),
        ({"min_period": np.nan}, "min_period must be positive"),
        ({"max_period": 0.1}, "max_period must be above min_period=0.5"),
        ({"oversampling": 0.5}, "oversampling must be at least 1"),
        ({"durations": (-0.1,)}, "durations must be positive"),
        ({"durations": (0.4, 0.3)}, "under half of min_period=0.5"),
        ({"max_grid": -1}, "max_size must be positive"),
        ({"min_transits": 0}, "min_transits must be a whole number"),
        ({"odd_even": -1.0}, "odd_even must be positive"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        BoxSearch(**settings).check()


def space_curve(path: Path) -> LightCurveBatch:
    """A star of the archive, its good points."""
    with fits.open(path) as file:
        table = file[1].data
        quality = table["SAP_QUALITY" if "SAP_QUALITY" in table.names else "QUALITY"]
        columns = [
            np.asarray(table[name], np.float64)
            for name in ("TIME", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR")
        ]
    good = (quality == 0) & np.isfinite(columns).all(axis=0)
    return batch_of(tuple(column[good] for column in columns))


def with_transit(star, period, depth, flatten):
    """A transit put in, and the star's own deep dips left out: they come once or twice here."""
    flat = flatten.fit_transform(star)
    deep = flat.value < np.median(flat.value) - 6 * np.median(flat.error)
    near = np.abs(star.time[:, None] - star.time[deep]).min(axis=1, initial=np.inf) < 0.3
    flux = star.value * (1 - depth * dips(star.time, period, star.time[0] + 1.7, 0.15))
    return flatten.fit_transform(
        batch_of((star.time[~near], flux[~near], star.error[~near])),
    )


@pytest.mark.parametrize(
    ("name", "period", "depth"),
    [
        ("kepler/kplr011442793-2009350155506_llc.fits", 4.13, 2e-4),
        ("kepler/kplr011442793-2010174085026_llc.fits", 6.37, 1e-3),
        ("kepler/kplr009579641-2010174085026_llc.fits", 2.93, 1e-3),
        ("tess/hlsp_tess-data-alerts_tess_phot_00055652896-s01_tess_v1_lc.fits", 3.59, 5e-3),
    ],
)
def test_a_transit_put_into_a_real_curve_is_recovered(data_dir, name, period, depth):
    star = space_curve(data_dir / "space" / name)
    flat = with_transit(star, period, depth, MovingTrend(window=1.0))

    result = BoxSearch().fit_transform(flat).objects

    assert same_period(result["period"][0], period, float(np.ptp(flat.time)))
    relative = result["box_depth"][0] / np.median(flat.value)
    assert relative == pytest.approx(depth, rel=0.25)
    assert result["box_snr"][0] > 7


def test_two_known_planets_are_found_in_one_quarter(data_dir):
    """Kepler-105 b, 5.4122 d, and with its dips out c, 7.1262 d.

    Jontof-Hutter et al. 2016, ApJ 820, 39, doi:10.3847/0004-637X/820/1/39.
    """
    star = space_curve(data_dir / "space/kepler/kplr009579641-2010174085026_llc.fits")

    flat = MovingTrend(window=1.0).fit_transform(star)
    b = BoxSearch().fit_transform(flat).objects
    inside = dips(flat.time, b["period"][0], b["epoch"][0], 1.4 * b["box_duration"][0]) > 0
    rest = batch_of((flat.time[~inside], flat.value[~inside], flat.error[~inside]))
    c = BoxSearch().fit_transform(rest).objects

    assert b["period"][0] == pytest.approx(5.4122, abs=2e-3)
    assert c["period"][0] == pytest.approx(7.1262, abs=4e-3)
    assert b["box_snr"][0] > 20
    assert c["box_snr"][0] > 10
    assert max(abs(b["box_odd_even"][0]), abs(c["box_odd_even"][0])) < 5

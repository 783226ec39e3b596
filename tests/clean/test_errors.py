"""Factor and floor of the errors come back as they were injected; rescaled errors are honest."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import ErrorRescaler
from astroprep.clean.error_model import standard_residuals
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError


def floor_of(mag):
    return 0.004 + 0.01 * np.clip(mag - 15, 0, None)


def field(
    seed, *, n_stars=400, n=80, factor=1.4, floor=floor_of, variable=0.2, outliers=0.01, spread=0.4
):
    """Stars of 13 to 18 mag with catalogue errors e and a true scatter sqrt((a e)^2 + s^2)."""
    rng = np.random.default_rng(seed)
    curves, truth = [], []
    for mag in rng.uniform(13, 18, n_stars):
        error = 0.003 * 10 ** (0.2 * (mag - 13)) * np.exp(rng.normal(0, spread, n))
        sigma = np.hypot(factor * error, floor(mag))
        time = np.sort(rng.uniform(0, 300, n))
        value = mag + rng.normal(0, sigma)
        if rng.random() < variable:
            value += 10 ** rng.uniform(-2, 0) * np.sin(2 * np.pi * time / rng.uniform(0.3, 30))
        value += (rng.random(n) < outliers) * rng.normal(0, 1, n)
        curves.append((time, value, error))
        truth.append(sigma)
    return LightCurveBatch.from_curves(curves), np.concatenate(truth)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", [0.6, 1.0, 2.5])
def test_factor_and_floor_come_back(seed, factor):
    """A fifth of the stars vary, one point in a hundred is an outlier: errors within 5 %."""
    batch, truth = field(seed, factor=factor)
    step = ErrorRescaler().fit(batch)
    ratio = step.transform(batch).error / truth
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert np.percentile(np.abs(ratio - 1), 95) < 0.12
    assert step.factor_[0] == pytest.approx(factor, rel=0.12)


def test_rescaled_errors_have_an_honest_chi_squared():
    """On other stars of the field than those learned from, constant and without outliers."""
    learned, _ = field(10)
    fresh, _ = field(11, variable=0.0, outliers=0.0)
    rescaled = ErrorRescaler().fit(learned).transform(fresh)
    for batch, low, high in ((fresh, 2.0, np.inf), (rescaled, 0.95, 1.05)):
        z = standard_residuals(batch.value, batch.error, batch.offsets)
        assert low < np.nanmean(z**2) < high
    z = standard_residuals(rescaled.value, rescaled.error, rescaled.offsets)
    for part in np.array_split(z[np.argsort(fresh.value)], 5):  # at any brightness
        assert np.mean(part**2) == pytest.approx(1.0, abs=0.1)


def test_honest_errors_stay():
    batch, truth = field(3, factor=1.0, floor=lambda mag: 0.0, variable=0.3)
    rescaled = ErrorRescaler().fit(batch).transform(batch)
    assert np.median(rescaled.error / truth) == pytest.approx(1.0, abs=0.02)


def test_most_variables_are_seen_and_few_constant_stars_lost():
    batch, _ = field(4, variable=0.0)
    calm = ErrorRescaler().fit(batch)
    assert calm.n_constant_[0] > 0.97 * calm.n_stars_[0]
    lively = ErrorRescaler().fit(field(4, variable=0.5)[0])
    assert lively.n_constant_[0] < 0.65 * lively.n_stars_[0]


def test_nights_tell_of_the_errors_where_every_star_varies():
    """All stars vary slowly by a magnitude; four exposures a night know the errors all the same."""
    rng = np.random.default_rng(6)
    curves = []
    for _ in range(80):
        night = np.sort(rng.uniform(0, 900, 40))
        time = np.ravel(night[:, None] + np.arange(4) * 0.007)
        value = 15 + 0.5 * np.sin(2 * np.pi * time / rng.uniform(30, 300))
        curves.append((time, value + rng.normal(0, 0.03, time.size), np.full(time.size, 0.02)))
    batch = LightCurveBatch.from_curves(curves)
    step = ErrorRescaler(group=0.1).fit(batch)
    np.testing.assert_allclose(step.transform(batch).error, 0.03, rtol=0.05)


def test_each_band_learns_its_own(rng):
    n = 100
    curves = []
    for _ in range(60):
        time = np.sort(rng.uniform(0, 100, 2 * n))
        sigma = np.repeat([0.02, 0.06], n)
        order = np.argsort(rng.random(2 * n))
        curves.append((time, 15 + rng.normal(0, sigma)[order], np.full(2 * n, 0.02), order >= n))
    plain = LightCurveBatch.from_curves([c[:3] for c in curves])
    band = np.concatenate([c[3] for c in curves]).astype(np.int16)
    batch = LightCurveBatch(
        plain.time, plain.value, plain.error, plain.offsets, band=band, meta=Meta(bands=("g", "r"))
    )
    step = ErrorRescaler().fit(batch)
    error = step.transform(batch).error
    for code, truth in ((0, 0.02), (1, 0.06)):  # 2,000 points a bin: 2.6 %, times 3.5
        np.testing.assert_allclose(error[band == code], truth, rtol=0.09)
    other = LightCurveBatch(
        plain.time, plain.value, plain.error, plain.offsets, band=band, meta=Meta(bands=("g", "z"))
    )
    with pytest.raises(DataError, match=r"only bands whose errors were learned \('g', 'r'\)"):
        step.transform(other)
    assert len(step.set_params(on_bad="reject").transform(other).rejected) == 60


def test_standard_residuals_have_unit_variance_for_any_number_of_points():
    """Monte Carlo: 200,000 points in groups of 2, 3, 5 and 20, unequal errors."""
    rng = np.random.default_rng(7)
    for n in (2, 3, 5, 20):
        error = rng.uniform(0.5, 2.0, 200_000)
        offsets = np.arange(200_000 // n + 1) * n
        z = standard_residuals(rng.normal(7, error), error, offsets)[: offsets[-1]]
        assert np.nanmean(z**2) == pytest.approx(1.0, abs=0.03)
        assert np.isnan(z).mean() < 0.01  # the other point of the pair is an outlier
    assert np.isnan(standard_residuals(np.ones(1), np.ones(1), np.array([0, 1]))[0])


def test_values_flags_and_missing_points_stay():
    batch, _ = field(8, n_stars=60)
    flags = np.zeros(batch.n_points, np.uint32)
    flags[5] = 32
    error = batch.error.copy()
    error[6], flags[6] = np.nan, 4  # known to be missing
    batch = batch.with_columns(flags=flags, error=error)
    result = ErrorRescaler().fit(batch).transform(batch)
    np.testing.assert_array_equal(result.value, batch.value)
    np.testing.assert_array_equal(result.flags, batch.flags)
    assert np.isnan(result.error[6])
    assert result.error[5] > 0


def test_weights_are_no_error_bars():
    """Distrusted points are used with the errors that the survey gave them."""
    batch, _ = field(15, n_stars=60)
    weight = np.random.default_rng(15).uniform(0.05, 1, batch.n_points)
    plain, weighted = (
        ErrorRescaler().fit(batch),
        ErrorRescaler().fit(batch.with_columns(weight=weight)),
    )
    assert weighted.factor_[0] == plain.factor_[0]
    np.testing.assert_array_equal(weighted.floor_, plain.floor_)


def test_missing_errors_and_small_fields_are_refused():
    batch, _ = field(9, n_stars=30)
    with pytest.raises(DataError, match="positive error on every usable point"):
        ErrorRescaler().fit(batch.with_columns(error=np.full(batch.n_points, np.nan)))
    with pytest.raises(DataError, match="needs at least 20 constant stars, found"):
        ErrorRescaler().fit(batch[:15])
    with pytest.raises(DataError, match="no curve with two points"):
        ErrorRescaler().fit(batch[:0])
    step = ErrorRescaler().fit(batch)
    assert step.transform(batch[:0]).n_curves == 0


def test_stars_of_one_brightness_share_the_bins():
    """Rounded magnitudes and equal stars leave no bin empty."""
    rng = np.random.default_rng(13)
    day = np.arange(100.0)
    curve = (day, np.round(15 + rng.normal(0, 0.04, 100), 2), np.full(100, 0.02))
    batch = LightCurveBatch.from_curves([curve] * 45)
    step = ErrorRescaler().fit(batch)
    assert np.isfinite(step.brightness_).all()
    np.testing.assert_allclose(step.transform(batch).error, 0.04, rtol=0.3)


def test_fluxes_are_served_like_magnitudes():
    batch, truth = field(14, n_stars=200)
    flux = 10 ** (-0.4 * (batch.value - 20))
    scale = flux * 0.4 * np.log(10)
    given = LightCurveBatch(
        batch.time, flux, batch.error * scale, batch.offsets, meta=Meta(quantity="flux", unit="Jy")
    )
    ratio = ErrorRescaler().fit(given).transform(given).error / (truth * scale)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)


def test_factors_are_bounded():
    batch, _ = field(12, n_stars=60, factor=100.0)
    step = ErrorRescaler(max_factor=3.0).fit(batch)
    assert step.factor_[0] <= 3.0
    assert (step.floor_ <= 3.0 * np.median(batch.error)).all()


def test_wrong_settings_are_all_named():
    with pytest.raises(ConfigError, match=r"n_bins .*; min_stars .*; max_scatter .*; group .*; ma"):
        ErrorRescaler(n_bins=0, min_stars=1.5, max_scatter=0, group=-1, max_factor=0.5).check()


def test_real_nights_of_catalina(data_dir):
    """Stars with periods over five days: scatter within nights of stars not learned from.

    Catalina's errors hold a floor that exposures of one night share: those scatter by a quarter
    of them, and by 1.2 of the rescaled errors (all stars, slow variables among them).
    """
    from astroprep.clean import FlagBad
    from astroprep.io import ColumnNames, open_survey

    with open_survey(data_dir / "crts_south.parquet", ColumnNames(period="period")) as survey:
        batch = survey.read()
    slow = batch.take(np.flatnonzero(batch.objects["catalogue_period"] > 5))
    slow = FlagBad().transform(slow)
    step = ErrorRescaler(group=0.1).fit(slow[::2])
    other = slow[1::2]
    for given, low, high in ((other, 0.2, 0.35), (step.transform(other), 0.95, 1.3)):
        usable = given.usable
        start = np.flatnonzero(np.append(True, np.abs(np.diff(usable.time)) > 0.1))
        z = standard_residuals(usable.value, usable.error, np.append(start, usable.time.size))
        assert low < 1.4826 * np.nanmedian(np.abs(z)) < high

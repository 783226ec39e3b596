"""Bad input, every feature: one point, flat, equal times, no errors, NaN, huge ranges, float32."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.features import FEATURES, FeatureExtractor, extract_features, feature_errors

PERIOD = 0.6131
NAMES = tuple(FEATURES)


def batch_of(*curves, quantity="mag"):
    return LightCurveBatch.from_curves(
        curves,
        objects={"period": np.full(len(curves), PERIOD)},
        meta=Meta(quantity=quantity),
    )


def named(batch, get=extract_features):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing about division or invalid values
        table = get(batch, NAMES)
    assert not np.isinf(table).any(), [
        n for n, c in zip(NAMES, table.T, strict=True) if np.isinf(c).any()
    ]
    return dict(zip(NAMES, table.T, strict=True))


def star(rng, n, *, level=15.0, amplitude=0.3, noise=0.02):
    time = np.sort(rng.uniform(55_000, 55_400, n))
    shape = amplitude * np.cos(2 * np.pi * time / PERIOD)
    return time, level + shape + rng.normal(0, noise, n), np.full(n, noise)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 12, 24])
def test_few_points(n, rng):
    """What so many points do not define is NaN, what they do is a number, and never infinity."""
    got = named(batch_of(star(rng, n)))
    named(batch_of(star(rng, n)), feature_errors)
    for name, feature in FEATURES.items():
        if n < feature.min_points:
            assert np.isnan(got[name][0]), name
        elif not feature.undefined:
            assert np.isfinite(got[name][0]), name


@pytest.mark.parametrize("level", [0.0, 15.0, -3.0, 1e8, 1e-30])
def test_equal_values(level, rng):
    time, _, error = star(rng, 60)
    got = named(batch_of((time, np.full(60, level), error)))
    errors = named(batch_of((time, np.full(60, level), error)), feature_errors)
    for name, feature in FEATURES.items():
        if "all values are equal" in feature.undefined:
            assert np.isnan(got[name][0]), name
    for name in ("standard_deviation", "amplitude", "fourier_amplitude", "linear_trend"):
        assert got[name][0] == 0.0, name
    assert errors["mean"][0] == errors["median"][0] == 0.0


@pytest.mark.parametrize("n_times", [1, 2, 3])
def test_equal_times(n_times, rng):
    """Many exposures at one, two or three instants: no phase coverage, no model."""
    time = np.repeat(np.arange(n_times) * 7.3 + 55_000, 60 // n_times)
    curve = time, 15 + rng.normal(0, 0.1, time.size), np.full(time.size, 0.1)
    got = named(batch_of(curve))
    named(batch_of(curve), feature_errors)
    assert np.isnan(got["fourier_amplitude"][0])
    assert np.isnan(got["variance_explained_2p"][0])
    assert np.isfinite(got["standard_deviation"][0])
    if n_times == 1:
        assert np.isnan(got["linear_trend"][0])
        assert np.isnan(got["power_p"][0])


@pytest.mark.parametrize("bad", [0.0, -0.1, np.nan, np.inf])
@pytest.mark.parametrize("where", [slice(None), slice(3, 4)])
def test_errors_that_are_none(bad, where, rng):
    """What needs errors is NaN for that curve, the rest and the other curve are as without them."""
    time, value, error = star(rng, 60)
    error = error.copy()
    error[where] = bad
    other = star(rng, 60)
    got = named(batch_of((time, value, error), other))
    named(batch_of((time, value, error), other), feature_errors)
    expected = named(batch_of((time, value, None), other))
    for name, feature in FEATURES.items():
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
        assert np.isnan(got[name][0]) == (feature.errors or np.isnan(expected[name][0])), name
    with pytest.raises(DataError, match="a positive error on every usable point"):
        FeatureExtractor().transform(batch_of((time, value, error)))


def test_nan_inside_is_no_point(rng):
    time, value, error = star(rng, 80)
    holed, late = value.copy(), time.copy()
    holed[[3, 40]] = np.nan, np.inf
    late[10] = np.nan
    keep = np.isfinite(holed + late)
    got = named(batch_of((late, holed, error)))
    expected = named(batch_of((time[keep], value[keep], error[keep])))
    for name in NAMES:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


def test_nothing_but_nan_is_refused(rng):
    nothing = np.full(20, np.nan)
    batch = batch_of((np.arange(20.0), nothing, nothing), star(rng, 40))
    result = FeatureExtractor(features="all", on_bad="reject").transform(batch)
    assert result.ids.tolist() == ["1"]
    assert result.rejected.reason.tolist() == ["needs at least 1 usable points, has 0"]


class TestFloat32:
    """Flux of a bright star, 1e8 electrons a second, whose float32 has steps of 8."""

    def test_shape_survives_a_level_of_1e8(self, rng):
        """Every feature that knows no level: as of the same star about zero, to 1e-6."""
        time = star(rng, 400)[0]
        small = 400 * np.cos(2 * np.pi * time / PERIOD) + rng.normal(0, 80, 400)
        small = 8 * np.round(small / 8)
        big = (small.astype(np.float32) + np.float32(1e8)).astype(np.float32)
        np.testing.assert_array_equal(big.astype(np.float64) - 1e8, small)
        error = np.full(400, 80.0)
        here = named(batch_of((time, small, error), quantity="flux"))
        there = named(batch_of((time, big, error.astype(np.float32)), quantity="flux"))
        for name, feature in FEATURES.items():
            if feature.group != "brightness":
                scale = pytest.approx(here[name], rel=1e-6, abs=1e-9 * max(1, abs(here[name][0])))
                assert there[name] == scale, name
        assert there["mean"] - 1e8 == pytest.approx(here["mean"], abs=1e-6)
        assert there["weighted_mean"] - 1e8 == pytest.approx(here["weighted_mean"], abs=1e-6)
        errors = [
            named(batch_of((time, v, error), quantity="flux"), feature_errors) for v in (small, big)
        ]
        for name, feature in FEATURES.items():
            if feature.group != "brightness" and feature.error and name != "log10_period":
                assert errors[1][name] == pytest.approx(errors[0][name], rel=1e-5), name

    def test_ppm_signal_on_1e8(self, rng):
        """50 ppm in float64: the amplitude of the fit comes back to a thousandth."""
        time = np.sort(rng.uniform(0, 90, 4000))
        flux = 1e8 * (1 + 50e-6 * np.cos(2 * np.pi * time / PERIOD))
        got = named(batch_of((time, flux, np.full(4000, 100.0)), quantity="flux"))
        assert got["fourier_amplitude"][0] == pytest.approx(5000.0, rel=1e-9)
        assert got["variance_explained_p"][0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("gain", [1e-100, 1e-80, 1e80, 1e100])
def test_moments_of_absurd_units_are_those_of_sane_ones(gain, rng):
    """A fourth power of 1e-100 is no double; the shape is the same all the same."""
    time, value, error = star(rng, 60, level=0.0)
    names = ("skew", "kurtosis", "anderson_darling_normal", "beyond_1_std", "eta", "moors_kurtosis")
    here, there = (
        extract_features(batch_of((time, g * value, g * error)), names) for g in (1.0, gain)
    )
    np.testing.assert_allclose(there, here, rtol=1e-9)


@pytest.mark.parametrize("far", [1e20, -1e20, 1e100])
def test_huge_dynamic_range(far, rng):
    """One point of another world: numbers, and quantiles that do not know it."""
    time, value, error = star(rng, 100)
    spoiled = value.copy()
    spoiled[50] = far
    got, clean = (named(batch_of((time, v, error))) for v in (spoiled, value))
    assert got["median"] == pytest.approx(clean["median"], abs=0.05)
    assert got["median_absolute_deviation"] == pytest.approx(
        clean["median_absolute_deviation"], rel=0.2
    )
    assert got["amplitude"][0] == pytest.approx(abs(far) / 2, rel=1e-9)
    # one point far from n - 1 others: skewness sqrt(n), kurtosis n, both of the unbiased kind
    assert got["skew"][0] == pytest.approx(np.sign(far) * 10, rel=1e-9)
    assert got["kurtosis"][0] == pytest.approx(100, rel=1e-9)


def test_errors_over_many_orders(rng):
    time, value, _ = star(rng, 100)
    named(batch_of((time, value, 10.0 ** rng.uniform(-8, 8, 100))))
    named(batch_of((time, value, 10.0 ** rng.uniform(-8, 8, 100))), feature_errors)


@pytest.mark.parametrize("period", [1e-9, 1e-3, 1e4, 1e12])
def test_periods_from_absurd_to_absurd(period, rng):
    batch = batch_of(star(rng, 100)).with_columns(objects={"period": np.array([period])})
    named(batch)
    named(batch, feature_errors)

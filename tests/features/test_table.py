"""The contract that the table of features states, held against the kernels."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.features import DEFAULT_FEATURES, FEATURES, GROUPS, extract_features

EVERYTHING = tuple(FEATURES)
PERIOD = 0.3

# What a gain of the values (and errors) does to a feature; the others do not change.
SCALES = {
    "amplitude",
    "standard_deviation",
    "inter_percentile_range_2",
    "inter_percentile_range_10",
    "inter_percentile_range_25",
    "median_absolute_deviation",
    "percent_amplitude",
    "otsu_mean_diff",
    "otsu_std_lower",
    "otsu_std_upper",
    "maximum_slope",
    "linear_trend",
    "linear_trend_sigma",
    "linear_trend_noise",
    "linear_fit_slope",
    "linear_fit_slope_sigma",
    "fourier_amplitude",
    "model_range",
    "fourier_amplitude_2p",
    "first_depth_2p",
    "second_depth_2p",
    "slope_10_p",
    "slope_90_p",
}


def generic(rng, n, period=PERIOD):
    """Phases spread evenly over one period and over two, values without symmetry."""
    step = np.arange(n) + 0.5 * (np.arange(n) >= n / 2) + 0.1 * rng.random(n)
    time = 55000.0 + 2 * period * step / n
    value = 15.0 + rng.normal(0, 0.3, n) + 0.3 * np.cos(2 * np.pi * time / period)
    return time, value, rng.uniform(0.01, 0.03, n)


def one(curve, period=PERIOD, quantity="mag"):
    return LightCurveBatch.from_curves(
        [curve], objects={"period": np.array([period])}, meta=Meta(quantity=quantity)
    )


def values(batch, names=EVERYTHING):
    return dict(zip(names, extract_features(batch, names)[0], strict=True))


def test_there_are_enough_and_all_are_explained():
    assert len(FEATURES) >= 110
    assert len(DEFAULT_FEATURES) == 79  # trained networks read these
    assert set(GROUPS) == {
        "period",
        "distribution",
        "brightness",
        "noise",
        "series",
        "cadence",
        "fourier",
        "periodogram",
        "folded",
    }
    for name, feature in FEATURES.items():
        assert name == feature.name
        assert name.isidentifier()
        assert name.islower()
        assert feature.min_points >= 1
        assert len(feature.formula) > 0, name
        assert len(feature.reference) > 5, name


def test_default_knows_neither_survey_nor_brightness(rng):
    groups = {FEATURES[name].group for name in DEFAULT_FEATURES}
    assert not groups & {"brightness", "cadence"}
    time, value, error = generic(rng, 60)
    here = extract_features(one((time, value, error)))
    brighter = extract_features(one((time, value - 4.0, error)))
    np.testing.assert_allclose(brighter, here, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", EVERYTHING)
def test_min_points_is_exact(name, rng):
    least = FEATURES[name].min_points
    assert np.isfinite(values(one(generic(rng, least)), (name,))[name])
    if least > 1:
        assert np.isnan(values(one(generic(rng, least - 1)), (name,))[name])


@pytest.mark.parametrize("name", EVERYTHING)
def test_errors_are_used_if_and_only_if_declared(name, rng):
    time, value, error = generic(rng, 60)
    full = values(one((time, value, error)), (name,))[name]
    other = values(one((time, value, error[::-1] * 1.3)), (name,))[name]
    missing = error.copy()
    missing[7] = np.nan
    zero = error.copy()
    zero[7] = 0.0
    if FEATURES[name].errors:
        assert other != full
        assert np.isnan(values(one((time, value, missing)), (name,))[name])
        assert np.isnan(values(one((time, value, zero)), (name,))[name])
        assert np.isnan(values(one((time, value, None)), (name,))[name])
    else:
        assert other == full
        assert values(one((time, value, None)), (name,))[name] == full


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_period_is_used_if_and_only_if_declared(name, rng):
    curve = generic(rng, 60)
    full = values(one(curve), (name,))[name]
    if FEATURES[name].period:
        assert values(one(curve, period=0.0831), (name,))[name] != full
    else:
        without = LightCurveBatch.from_curves([curve])
        assert values(without, (name,))[name] == full


@pytest.mark.parametrize("name", EVERYTHING)
def test_never_undefined_means_never(name, rng):
    """Features whose `undefined` is empty have a value for flat curves and equal times too."""
    n = 60
    flat = (generic(rng, n)[0], np.full(n, 15.0), np.full(n, 0.1))
    at_once = (np.full(n, 55000.0), generic(rng, n)[1], np.full(n, 0.1))
    for curve in (flat, at_once, (flat[0], np.zeros(n), flat[2]), (flat[0] * 0, flat[1], flat[2])):
        value = values(one(curve), (name,))[name]
        if not FEATURES[name].undefined:
            assert np.isfinite(value)
        assert not np.isinf(value)


def test_undefined_where_the_table_says_so(rng):
    """Equal brightness and equal times, feature by feature."""
    n = 60
    flat = values(one((generic(rng, n)[0], np.full(n, 15.0), np.full(n, 0.1))))
    for name in FEATURES:
        if "all values are equal" in FEATURES[name].undefined:
            assert np.isnan(flat[name]), name
    at_once = values(one((np.full(n, 55000.0), generic(rng, n)[1], np.full(n, 0.1))))
    for name in FEATURES:
        reason = FEATURES[name].undefined
        if "all times are equal" in reason or "the phases do not constrain" in reason:
            assert np.isnan(at_once[name]), name


@pytest.mark.parametrize("gain", [1e-3, 7.0, 1e6])
def test_gain_scales_what_has_a_unit_and_nothing_else(gain, rng):
    time, value, error = generic(rng, 200)
    unitless = [n for n, f in FEATURES.items() if f.group not in ("brightness", "cadence")]
    here = values(one((time, value, error)), unitless)
    there = values(one((time, gain * value, gain * error)), unitless)
    for name in unitless:
        expected = here[name] * (gain if name in SCALES else 1.0)
        assert there[name] == pytest.approx(expected, rel=1e-7, abs=1e-9 * gain), name


def test_time_shift_changes_nothing(rng):
    """Days near JD 2.46e6 have a spacing of 5e-10; steep features see that, no more."""
    time, value, error = generic(rng, 200)
    here = values(one((time - 55000.0, value, error)))
    there = values(one((time + 2400000.0, value, error)))
    for name in EVERYTHING:
        assert there[name] == pytest.approx(here[name], rel=2e-5, abs=1e-6), name


def test_flux_is_magnitude_upside_down(rng):
    """What is named after faint and bright follows the light, not the sign of the number."""
    time, value, error = generic(rng, 100)
    mag = values(one((time, value, error)))
    flux = values(one((time, -value, error), quantity="flux"))
    for name in ("percentile_skew", "faint_reach", "faint_half", "tail_asymmetry"):
        assert flux[name] == pytest.approx(mag[name], rel=1e-9), name
    for name, feature in FEATURES.items():
        if feature.group in ("fourier", "folded"):
            assert flux[name] == pytest.approx(mag[name], rel=1e-9), name


def test_float32_flux_near_1e8_keeps_its_digits(rng):
    """Sums run over differences: a star of 1e8 ± 50 has the shape of one of 0 ± 50."""
    time = generic(rng, 300)[0]
    small = (8 * np.round(rng.normal(0, 50, 300) / 8)).astype(np.float32)  # exact at 1e8
    big = (small + np.float32(1e8)).astype(np.float32)
    np.testing.assert_array_equal(big.astype(np.float64) - 1e8, small)
    error = np.full(300, 8.0)
    here = extract_features(one((time, small.astype(np.float64), error)))[0]
    there = extract_features(one((time, big.astype(np.float64), error)))[0]
    np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-8)


def test_a_dynamic_range_of_twenty_orders_gives_numbers(rng):
    time, value, error = generic(rng, 100)
    value = value.copy()
    value[50] = 1e20
    result = extract_features(one((time, value, error)))
    assert not np.isinf(result).any()

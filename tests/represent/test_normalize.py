"""Values go to a common scale and come back to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.represent import Normalize
from astroprep.represent.normalize import METHODS

EPS = np.finfo(float).eps


def batch_of(*values, error=0.1, meta=None, band=None, flags=None):
    curves = [(np.arange(len(v)), v, np.full(len(v), error)) for v in values]
    plain = LightCurveBatch.from_curves(curves, ids=[f"s{i}" for i in range(len(values))])
    return LightCurveBatch(
        time=plain.time,
        value=plain.value,
        error=plain.error,
        offsets=plain.offsets,
        band=band,
        flags=flags,
        objects=plain.objects,
        meta=meta or Meta(),
    )


def normalized(batch, **settings):
    step = Normalize(**settings)
    return step.fit(batch).transform(batch)


def test_scalers_of_scikit_learn_agree(rng):
    x = rng.normal(15, 2, 200)
    column = x[:, None]
    for method, peer in (
        ("min_max", MinMaxScaler()),
        ("z_score", StandardScaler()),
    ):
        ours = normalized(batch_of(x), method=method).value
        np.testing.assert_allclose(ours, peer.fit_transform(column)[:, 0], atol=1e-12)
    ours = normalized(batch_of(x), method="robust_z").value
    centre = RobustScaler().fit(column).center_[0]
    scatter = stats.median_abs_deviation(x) * 1.4826
    np.testing.assert_allclose(ours, (x - centre) / scatter, atol=1e-12)


@pytest.mark.parametrize(
    ("largest", "divided"),
    [(986.0, 1e3), (1000.0, 1e4), (999.9999, 1e3), (1.0, 10.0), (0.5, 1.0), (0.003, 0.01),
     (0.1, 1.0), (1e22, 1e23), (0.0, 1.0)],
)  # fmt: skip
def test_decimal_scaling_divides_by_the_smallest_power_that_fits(largest, divided):
    """Han & Kamber's example: -986 and 917 become -0.986 and 0.917."""
    result = normalized(batch_of([-largest, 0.93 * largest]), method="decimal")
    assert result.objects["normalize_scale"][0] == divided
    assert np.abs(result.value).max() < 1
    np.testing.assert_allclose(result.value * divided, [-largest, 0.93 * largest], rtol=2 * EPS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["object", "band", "survey"])
def test_the_inverse_needs_only_its_batch(rng, method, per):
    values = [rng.normal(15, 2, 40), rng.normal(-3000, 500, 30), np.full(5, 7.0), [12.0], []]
    n = sum(len(v) for v in values)
    band = rng.integers(0, 2, n).astype(np.int16)
    given = batch_of(*values, band=band, meta=Meta(quantity="flux", unit="e/s", bands=("g", "r")))
    given = given.with_columns(
        points={
            "trend": given.value * 1.01,
            "trend_err": np.full(n, 0.3),
            "upper_limit": given.value + 2,
            "x": np.arange(n),
        }
    )
    there = normalized(given, method=method, per=per)
    assert there.meta.unit == ""
    above = (there.points["upper_limit"] - there.value) / there.error  # two units, errors 0.1
    np.testing.assert_allclose(above, 20, rtol=1e-9)
    back = Normalize(on_bad="reject").inverse_transform(there)
    np.testing.assert_allclose(back.value, given.value, rtol=0, atol=4 * EPS * 5000)
    np.testing.assert_allclose(back.points["upper_limit"], given.value + 2, atol=4 * EPS * 5000)
    np.testing.assert_allclose(back.error, given.error, rtol=4 * EPS)
    np.testing.assert_allclose(back.points["trend"], given.points["trend"], atol=4 * EPS * 5000)
    np.testing.assert_allclose(back.points["trend_err"], 0.3, rtol=4 * EPS)
    np.testing.assert_array_equal(back.points["x"], given.points["x"])
    assert back.meta == given.meta
    assert set(back.objects) == set(given.objects)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20),
    method=st.sampled_from(METHODS),
)
def test_the_inverse_is_exact_to_rounding(values, method):
    """Within four units in the last place of the largest size, whatever the values."""
    given_batch = batch_of(values)
    there = normalized(given_batch, method=method)
    back = Normalize().inverse_transform(there)
    largest = np.abs(values).max()
    np.testing.assert_allclose(back.value, values, rtol=0, atol=4 * EPS * largest)
    assert np.isfinite(there.value).all()


@settings(max_examples=50, deadline=None)
@given(gain=st.floats(1e-6, 1e6), offset=st.floats(-1e6, 1e6), seed=st.integers(0, 99))
def test_gain_and_offset_of_the_flux_leave_no_trace(gain, offset, seed):
    x = np.random.default_rng(seed).normal(0, 1, 25)
    for method in ("min_max", "z_score", "robust_z"):
        plain = normalized(batch_of(x, error=0.1), method=method)
        moved = normalized(batch_of(x * gain + offset, error=0.1 * gain), method=method)
        tolerance = 1e-12 * (1 + abs(offset) / gain)
        np.testing.assert_allclose(moved.value, plain.value, atol=tolerance)
        np.testing.assert_allclose(moved.error, plain.error, rtol=tolerance)


def test_bands_have_scales_of_their_own(rng):
    g, r = rng.normal(15, 0.1, 50), rng.normal(14, 0.4, 50)
    band = np.tile([0, 1], 50).astype(np.int16)
    both = np.ravel(np.column_stack([g, r]))
    given = batch_of(both, [3.0, 5.0], band=np.append(band, [1, 1]), meta=Meta(bands=("g", "r")))
    result = normalized(given, method="z_score", per="band")
    assert result.objects["normalize_offset"].shape == (2, 2)
    np.testing.assert_allclose(result.value[:100][band == 0], stats.zscore(g), atol=1e-10)
    np.testing.assert_allclose(result.value[:100][band == 1], stats.zscore(r), atol=1e-10)
    np.testing.assert_array_equal(result.objects["normalize_offset"][1], [0.0, 4.0])
    np.testing.assert_array_equal(result.objects["normalize_scale"][1], [1.0, 1.0])


def test_a_survey_scale_keeps_amplitudes_comparable(rng):
    small, large = rng.normal(0, 1, 300), rng.normal(0, 3, 300)
    step = Normalize(method="z_score", per="survey").fit(batch_of(small, large))
    result = step.transform(batch_of(large[:50]))
    scale = np.concatenate([small, large]).std()
    np.testing.assert_allclose(
        result.value, (large[:50] - np.concatenate([small, large]).mean()) / scale, atol=1e-12
    )
    again = Normalize(method="z_score", per="survey").load_state(step.state())
    np.testing.assert_array_equal(again.transform(batch_of(large[:50])).value, result.value)


def test_a_band_that_the_survey_had_not_is_refused(rng):
    x = rng.normal(0, 1, 10)
    zero, one = np.zeros(10, np.int16), np.ones(10, np.int16)
    step = Normalize(per="survey").fit(batch_of(x, band=zero, meta=Meta(bands=("g", "r"))))
    other = batch_of(x, band=one, meta=Meta(bands=("g", "r")))
    with pytest.raises(DataError, match="only bands that the survey had"):
        step.transform(other)
    step.on_bad = "reject"
    assert len(step.transform(other).rejected) == 1
    with pytest.raises(DataError, match="no usable point"):
        Normalize(per="survey").fit(batch_of([], [np.nan]))


@pytest.mark.parametrize("method", METHODS)
def test_odd_curves_have_a_stated_outcome(method):
    """Constant, one point, empty, all missing, more than half equal: finite, and 0 or as it was."""
    given = batch_of(
        np.full(6, 15.0), [3.0], [], [np.nan] * 3, [2.0] * 5 + [4.0], [1.0, np.inf, 3.0]
    )
    result = normalized(given, method=method)
    assert np.isfinite(result.objects["normalize_offset"]).all()
    assert (result.objects["normalize_scale"] > 0).all()
    if method != "decimal":
        np.testing.assert_array_equal(result.value[:7], 0.0)
        np.testing.assert_array_equal(result.error[:7], 0.1)
    assert np.isnan(result.value[7:10]).all()
    assert result.value[-2] == np.inf
    assert np.isfinite(result.value[[-1, -3]]).all()
    back = Normalize().inverse_transform(result)
    np.testing.assert_allclose(back.value, given.value, rtol=4 * EPS)


def test_flagged_points_are_scaled_but_not_asked():
    flags = np.array([0, 0, 0, PointFlag.OUTLIER], np.uint32)
    result = normalized(batch_of([0.0, 1.0, 2.0, 100.0], flags=flags), method="min_max")
    np.testing.assert_array_equal(result.value, [0.0, 0.5, 1.0, 50.0])


def test_values_too_far_apart_are_refused():
    given = batch_of([-1.7e308, 1.7e308], [1.0, 2.0])
    with pytest.raises(DataError, match="differences are finite"):
        normalized(given, method="min_max")
    assert len(normalized(given, method="min_max", on_bad="reject").rejected) == 1


def test_twice_is_refused_and_so_is_undoing_what_was_not_done(rng):
    once = normalized(batch_of(rng.normal(0, 1, 9)))
    with pytest.raises(DataError, match="normalised already"):
        Normalize().fit(once).transform(once)
    with pytest.raises(DataError, match="normalize_offset"):
        Normalize().inverse_transform(batch_of([1.0, 2.0]))


def test_a_lightkurve_object_comes_back_without_a_unit(rng):
    need = pytest.importorskip("lightkurve")
    curve = need.LightCurve(time=np.arange(50.0), flux=rng.normal(100, 1, 50), flux_err=np.ones(50))
    result = Normalize(method="min_max").fit_transform(curve)
    assert isinstance(result, need.LightCurve)
    assert (result.flux.min(), result.flux.max()) == (0, 1)


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match=r"method must be one of .*; per must be"):
        Normalize(method="minmax", per="star").check()


@pytest.mark.parametrize("gain", [1e-300, 1e300])
def test_squares_of_extreme_values_neither_vanish_nor_overflow(rng, gain):
    x = rng.normal(0, 1, 30)
    found = normalized(batch_of(x * gain), method="z_score").value
    np.testing.assert_allclose(found, (x - x.mean()) / x.std(), rtol=1e-9, atol=1e-12)

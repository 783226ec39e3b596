"""Upper limits: which points, which limits, and that they are never measurements."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import FlagBad, MarkUpperLimits
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.features import FeatureExtractor

LIMIT = int(PointFlag.UPPER_LIMIT)


def fluxes(value, error, **points):
    n = len(value)
    batch = LightCurveBatch.from_curves(
        [(np.arange(n) + 55000.0, value, error)], meta=Meta(quantity="flux", unit="nJy")
    )
    return batch.with_columns(points={k: np.asarray(v) for k, v in points.items()})


def is_limit(batch):
    return (batch.flags & LIMIT) > 0


def test_fluxes_below_three_sigma_are_limits_of_five():
    result = MarkUpperLimits().transform(fluxes([29.9, 30.0, -50.0, 0.0], [10.0] * 4))

    assert is_limit(result).tolist() == [True, False, True, True]
    np.testing.assert_array_equal(result.points["upper_limit"], [50.0, np.nan, 50.0, 50.0])
    assert result.objects["nondetection_fraction"].tolist() == [0.75]
    assert result.usable.counts().tolist() == [1]
    assert result.value.tolist() == [29.9, 30.0, -50.0, 0.0]


def test_difference_fluxes_are_detected_on_both_sides():
    batch = fluxes([-50.0, 50.0, -20.0], [10.0] * 3)

    assert is_limit(MarkUpperLimits(two_sided=True).transform(batch)).tolist() == [False, False, 1]


def test_magnitudes_say_the_same_as_their_fluxes(rng):
    """Truth by construction: flux rule and magnitude rule agree point by point."""
    flux = rng.uniform(1.0, 100.0, 500)
    error = rng.uniform(1.0, 20.0, 500)
    mag, mag_err = 25.0 - 2.5 * np.log10(flux), 2.5 / np.log(10) * error / flux
    time = np.arange(500) + 55000.0

    by_flux = MarkUpperLimits().transform(fluxes(flux, error))
    by_mag = MarkUpperLimits().transform(LightCurveBatch.from_curves([(time, mag, mag_err)]))

    np.testing.assert_array_equal(by_flux.flags, by_mag.flags)
    np.testing.assert_allclose(
        by_mag.points["upper_limit"], 25.0 - 2.5 * np.log10(by_flux.points["upper_limit"])
    )


@pytest.mark.parametrize("gain", [1e-30, 0.5, 1e30])
def test_a_gain_changes_no_flag(rng, gain):
    flux, error = rng.normal(0, 30, 200), rng.uniform(1, 20, 200)

    plain = MarkUpperLimits().transform(fluxes(flux, error))
    scaled = MarkUpperLimits().transform(fluxes(flux * gain, error * gain))

    np.testing.assert_array_equal(plain.flags, scaled.flags)
    np.testing.assert_allclose(plain.points["upper_limit"] * gain, scaled.points["upper_limit"])


def test_a_stated_limit_counts_where_there_is_no_value():
    """Forced photometry states a limiting magnitude for every exposure."""
    value = [18.0, np.nan, 99.99, np.nan]
    batch = LightCurveBatch.from_curves([(np.arange(4) + 55000.0, value, [0.1] * 4)])
    batch = batch.with_columns(points={"diffmaglim": np.array([20.5, 20.6, 20.7, np.nan])})

    result = MarkUpperLimits(limit_column="diffmaglim").transform(FlagBad().transform(batch))

    assert is_limit(result).tolist() == [False, True, True, False]
    np.testing.assert_array_equal(result.points["upper_limit"], [np.nan, 20.6, 20.7, np.nan])
    assert result.objects["nondetection_fraction"][0] == pytest.approx(2 / 3)


def test_a_mask_says_that_the_value_is_the_limit():
    batch = fluxes([5.0, 100.0, np.nan], [1.0, 1.0, 1.0], is_limit=[True, False, True])

    result = MarkUpperLimits(snr=None, is_limit_column="is_limit").transform(batch)

    assert is_limit(result).tolist() == [True, False, False]
    np.testing.assert_array_equal(result.points["upper_limit"], [5.0, np.nan, np.nan])


def test_nothing_is_said_where_the_error_says_nothing():
    result = MarkUpperLimits().transform(
        fluxes([1.0, 1.0, 1.0, np.nan, np.inf], [0.0, np.nan, -1.0, 1.0, 1.0])
    )

    assert not is_limit(result).any()
    assert np.isnan(result.points["upper_limit"]).all()


def test_an_estimated_error_makes_no_limit():
    """The scatter of a strong variable is no noise."""
    value = 10.0 + 9.0 * np.sin(np.arange(40.0))
    batch = FlagBad().transform(fluxes(value, None))

    assert (batch.flags & int(PointFlag.ESTIMATED_ERROR) > 0).all()
    assert not is_limit(MarkUpperLimits().transform(batch)).any()


def test_points_out_of_use_are_left_alone_and_earlier_limits_stay():
    batch = fluxes([1.0, 1.0], [1.0, 1.0], upper_limit=[np.nan, 7.0])
    batch = batch.with_columns(flags=np.array([PointFlag.SURVEY, LIMIT], np.uint32))

    result = MarkUpperLimits().transform(batch)

    assert result.flags.tolist() == [PointFlag.SURVEY, LIMIT]
    np.testing.assert_array_equal(result.points["upper_limit"], [np.nan, 7.0])


def test_the_share_of_limits_can_be_a_feature(make_batch):
    batch = MarkUpperLimits().transform(make_batch(2))

    step = FeatureExtractor(features=("skew",), extra=("nondetection_fraction",))

    assert step.transform(batch).objects["features"][:, 1].tolist() == [0.0, 0.0]


def test_empty_and_one_point():
    batch = LightCurveBatch.from_curves([([], [], []), ([55000.0], [15.0], [1.0])])

    assert MarkUpperLimits().transform(batch).objects["nondetection_fraction"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"snr": 0.0}, "snr must be positive"),
        ({"limit_snr": np.nan}, "limit_snr must be positive"),
        ({"snr": None}, "nothing to go by"),
    ],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(ConfigError, match=said):
        MarkUpperLimits(**settings).transform(fluxes([1.0], [1.0]))


def test_columns_are_checked():
    batch = fluxes([1.0], [1.0], name=np.array(["x"], object))
    with pytest.raises(DataError, match="no column 'lim' per point; the batch has name"):
        MarkUpperLimits(limit_column="lim").transform(batch)
    with pytest.raises(DataError, match="needs numbers in 'name'"):
        MarkUpperLimits(limit_column="name").transform(batch)

"""`FeatureExtractor`: names, choice, needs and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.features import DEFAULT_FEATURES, FEATURES, FeatureExtractor, extract_features


def test_columns_are_named(make_batch):
    batch = make_batch(4)
    step = FeatureExtractor()
    result = step.transform(batch)
    features = result.objects["features"]
    assert features.dtype == np.float64
    assert features.shape == (4, len(DEFAULT_FEATURES)) == (4, len(step.feature_names()))
    assert step.feature_names() == list(DEFAULT_FEATURES)
    column = features[:, step.feature_names().index("log10_period")]
    np.testing.assert_allclose(column, np.log10(0.61))
    assert np.isfinite(features).all()


def test_choice_by_name_and_group_keeps_its_order(make_batch):
    batch = make_batch(2)
    step = FeatureExtractor(features=("skew", "cadence", "amplitude", "skew"))
    names = step.feature_names()
    assert names[0] == "skew"
    assert names[-1] == "amplitude"
    assert set(names[1:-1]) == {n for n, f in FEATURES.items() if f.group == "cadence"}
    whole = extract_features(batch, tuple(FEATURES))
    some = step.transform(batch).objects["features"]
    for k, name in enumerate(names):
        np.testing.assert_array_equal(some[:, k], whole[:, list(FEATURES).index(name)])
    together = FeatureExtractor(features=("default", "brightness")).feature_names()
    assert together[: len(DEFAULT_FEATURES)] == list(DEFAULT_FEATURES)
    assert "median" in together


def test_extra_columns_are_appended(make_batch):
    batch = make_batch(3).with_columns(objects={"period_power": np.array([0.1, 0.2, 0.3])})
    step = FeatureExtractor(features=("skew",), extra=("period_power",))
    assert step.feature_names() == ["skew", "period_power"]
    np.testing.assert_array_equal(step.transform(batch).objects["features"][:, 1], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match="needs the column 'nothing'"):
        FeatureExtractor(extra=("nothing",)).transform(batch)
    with pytest.raises(DataError, match="extra column 'id' must hold one number a curve"):
        FeatureExtractor(extra=("id",)).transform(batch)


def test_needs_follow_the_choice(make_batch):
    assert FeatureExtractor.needs.errors
    assert FeatureExtractor.needs.objects == ("period",)
    assert not FeatureExtractor(features=("skew",)).needs.errors
    assert FeatureExtractor(features=("skew",)).needs.objects == ()
    assert FeatureExtractor(features=("folded",)).needs.objects == ("period",)
    batch = make_batch(2)
    bare = LightCurveBatch.from_curves([(batch.time[:60], batch.value[:60], None)])
    result = FeatureExtractor(features=("distribution", "eta")).transform(bare)
    assert np.isfinite(result.objects["features"]).all()
    with pytest.raises(DataError, match="needs the column 'period'"):
        FeatureExtractor(features=("folded",)).transform(bare)


@pytest.mark.parametrize("period", [0.0, -1.0])
def test_a_period_must_be_positive(period, make_batch):
    batch = make_batch(3).with_columns(objects={"period": np.array([0.61, period, 0.61])})
    with pytest.raises(DataError, match=r"needs a positive 'period': 'star-1' \(curve 1\)"):
        FeatureExtractor().transform(batch)
    result = FeatureExtractor(on_bad="reject").transform(batch)
    assert result.ids.tolist() == ["star-0", "star-2"]
    assert result.rejected.id.tolist() == ["star-1"]


def test_short_curves_stay_and_have_nan(make_batch):
    """Three points carry an amplitude and no Fourier series: NaN is the mask, not a rejection."""
    batch = make_batch(1, n_points=3)
    step = FeatureExtractor()
    values = dict(
        zip(step.feature_names(), step.transform(batch).objects["features"][0], strict=True)
    )
    assert np.isfinite(values["amplitude"])
    assert np.isfinite(values["skew"])
    assert np.isnan(values["kurtosis"])
    assert np.isnan(values["fourier_r21"])


def test_missing_period_is_named(make_batch):
    batch = make_batch(2).with_columns(objects={"period": np.array([0.61, np.nan])})
    result = FeatureExtractor(on_bad="reject").transform(batch)
    assert result.rejected.id.tolist() == ["star-1"]
    assert "period" in result.rejected.reason[0]


def test_empty_batch(make_batch):
    result = FeatureExtractor().transform(make_batch(2)[:0])
    assert result.objects["features"].shape == (0, len(DEFAULT_FEATURES))


def test_flagged_points_do_not_count(make_batch):
    batch = make_batch(1)
    value = batch.value.copy()
    value[5] = 99.99
    flags = np.zeros(batch.n_points, np.uint32)
    flags[5] = 8
    spoiled = batch.with_columns(value=value, flags=flags)
    keep = np.arange(batch.n_points) != 5
    clean = LightCurveBatch.from_curves(
        [(batch.time[keep], batch.value[keep], batch.error[keep])],
        objects={"period": batch.objects["period"]},
    )
    np.testing.assert_array_equal(extract_features(spoiled), extract_features(clean))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ("skw",)}, "unknown feature 'skw'; did you mean 'skew'"),
        ({"features": "defualt"}, "did you mean 'default'"),
        ({"features": ()}, "features is empty"),
        ({"features": ("qqqqqq",)}, "groups: period"),
        ({"extra": "period_power"}, r"extra must be a sequence.*write \('period_power',\)"),
        ({"extra": ("skew",)}, "repeats the features skew"),
    ],
)
def test_wrong_settings(settings, message, make_batch):
    with pytest.raises(ConfigError, match=message):
        FeatureExtractor(**settings).transform(make_batch(1))


def test_clone_keeps_the_choice():
    step = FeatureExtractor(features=("skew", "folded"), extra=("period_power",))
    assert clone(step).get_params() == step.get_params()
    assert clone(step).needs == step.needs

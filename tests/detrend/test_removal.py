"""Trends taken out in one pass: against plain numpy, point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroprep.data import LightCurveBatch
from astroprep.detrend.moving import curve_medians
from astroprep.detrend.removal import remove, without_trend


@pytest.mark.parametrize("divide", [False, True])
def test_against_numpy(rng, divide):
    offsets = np.array([0, 3, 3, 40, 100])
    value, error, trend = rng.normal(5, 1, (3, 100))
    trend[[0, 20, 99]] = np.nan, np.inf, -np.inf
    error[5], value[6] = np.nan, np.nan
    level = np.array([4.0, np.nan, 5.0, -6.0])
    before = value.copy(), error.copy(), trend.copy()
    found, uncertain = without_trend(value, error, trend, offsets, level, divide)
    at, known = np.repeat(level, np.diff(offsets)), np.isfinite(trend)
    with np.errstate(invalid="ignore"):
        scale = np.where(known, at / trend, 1.0)
    wanted = value * scale if divide else np.where(known, value + (at - trend), value)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(uncertain, error * np.abs(scale) if divide else error)
    for mine, copy in zip((value, error, trend), before, strict=True):
        np.testing.assert_array_equal(mine, copy)


def test_points_without_a_trend_keep_every_bit():
    value, error = np.array([-0.0, 1e308, np.nan]), np.array([0.0, np.inf, np.nan])
    unknown, level = np.full(3, np.nan), np.array([7.0])
    for divide in (False, True):
        found, uncertain = without_trend(value, error, unknown, np.array([0, 3]), level, divide)
        assert found.tobytes() == value.tobytes()
        assert uncertain.tobytes() == error.tobytes()


def test_the_batch_keeps_its_columns():
    batch = LightCurveBatch.from_curves([([1, 2], [3, 5], [1, 1]), ([], [], [])])
    batch = batch.with_columns(points={"trend": np.array([2.0, np.nan])})
    found = remove(batch, np.array([4.0, np.nan]), divide=True)
    assert found.value.tolist() == [6.0, 5.0]
    assert found.error.tolist() == [2.0, 1.0]
    assert batch.value.tolist() == [3.0, 5.0]


@pytest.mark.parametrize("divide", [False, True])
def test_upper_limits_go_along(rng, divide):
    """A limit that is the value stays the value, with a trend and without one."""
    value = rng.uniform(5, 9, 50)
    batch = LightCurveBatch.from_curves([(np.arange(50), value, np.ones(50))])
    trend = np.where(np.arange(50) % 7, rng.uniform(5, 9, 50), np.nan)
    batch = batch.with_columns(points={"trend": trend, "upper_limit": value})
    found = remove(batch, np.array([4.0]), divide)
    np.testing.assert_array_equal(found.points["upper_limit"], found.value)
    assert not np.array_equal(found.value, value)


@given(
    st.lists(st.sampled_from([0, 1, 2, 7, 1023, 1024, 1025, 4000]), max_size=4),
    st.integers(0, 1000),
    st.booleans(),
)
def test_medians_of_curves(sizes, seed, rounded):
    """Brute force: numpy; long curves are looked for near the median of a sample."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    value = rng.standard_t(1.5, offsets[-1])
    value = np.round(value) if rounded else value
    found = curve_medians(value, offsets)
    for i, size in enumerate(sizes):
        wanted = np.median(value[offsets[i] : offsets[i + 1]]) if size else np.nan
        np.testing.assert_array_equal(found[i], wanted)

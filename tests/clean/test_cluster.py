"""Clusters are those of DBSCAN; what has no witness is not called noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from astroprep.clean import ClusterNoise
from astroprep.clean.cluster import cluster_labels, points_within
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("min_points", [1, 2, 3, 6, 40])
def test_labels_are_those_of_scikit_learn(seed, min_points):
    """Oracle: DBSCAN on the scaled plane, three ragged curves at once, label by label."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 150, 3)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    time = np.concatenate([np.sort(np.round(rng.uniform(0, 20, n), 2)) for n in sizes])
    value = rng.normal(0, 1, time.size)
    scale = rng.uniform(0.1, 1.0, 3)
    ours = cluster_labels(time, value, offsets, 0.7, scale, min_points)
    for i, (a, b) in enumerate(itertools.pairwise(offsets)):
        if b > a:
            plane = np.column_stack([time[a:b] / 0.7, value[a:b] / scale[i]])
            peer = DBSCAN(eps=1.0, min_samples=min_points).fit(plane)
            np.testing.assert_array_equal(ours[a:b], peer.labels_)


def test_points_within_by_brute_force(rng):
    time, offsets = np.sort(rng.uniform(0, 10, 50)), np.array([0, 20, 20, 50])
    count = points_within(time, offsets, 0.4)
    for a, b in ((0, 20), (20, 50)):
        near = np.abs(time[a:b, None] - time[None, a:b]) <= 0.4
        np.testing.assert_array_equal(count[a:b], near.sum(axis=1))


def nights(rng, n=60, error=0.02):
    """Four exposures a night, every few days."""
    start = np.cumsum(rng.uniform(1.5, 9, n))
    time = np.ravel(start[:, None] + np.array([0, 0.007, 0.014, 0.021]))
    return time, rng.normal(15, error, time.size), np.full(time.size, error)


def one(time, value, error, **more):
    plain = LightCurveBatch.from_curves([(time, value, error)], ids=["star"])
    return plain.with_columns(**more) if more else plain


def test_single_bad_exposures_are_noise_and_nights_in_eclipse_are_not(rng):
    time, value, error = nights(rng)
    value[40:44] += 0.8  # a whole night in eclipse
    value[[101, 150]] -= 0.9  # an airplane in one exposure
    result = ClusterNoise().transform(one(time, value, error))
    noise = (result.flags & PointFlag.NOISE) > 0
    np.testing.assert_array_equal(np.flatnonzero(noise), [101, 150])
    assert result.objects["n_noise"][0] == 2
    assert not np.isin([101, 150], result.usable.index).any()
    np.testing.assert_array_equal(result.value, value)


def test_a_lone_point_is_kept_unless_it_shall_not_be(rng):
    time, value, error = nights(rng)
    time, value, error = np.append(time, 900.0), np.append(value, 19.0), np.append(error, 0.02)
    kept = ClusterNoise().transform(one(time, value, error))
    assert kept.flags[-1] == 0
    strict = ClusterNoise(lone="flag").transform(one(time, value, error))
    assert strict.flags[-1] == PointFlag.NOISE


def test_events_are_never_noise_and_other_flags_stay(rng):
    time, value, error = nights(rng)
    flags = np.zeros(time.size, np.uint32)
    value[[5, 9]] += 3.0
    flags[5], flags[20] = PointFlag.EVENT, PointFlag.SURVEY
    result = ClusterNoise().transform(one(time, value, error, flags=flags))
    assert result.flags[5] == PointFlag.EVENT
    assert result.flags[9] == PointFlag.NOISE
    assert result.flags[20] == PointFlag.SURVEY


def test_without_errors_the_scatter_of_successive_points_stands_in(rng):
    time, value, _ = nights(rng)
    value[101] -= 0.9
    result = ClusterNoise().transform(one(time, value, np.full(time.size, np.nan)))
    np.testing.assert_array_equal(np.flatnonzero(result.flags), [101])
    flat = ClusterNoise().transform(one(time, np.full(time.size, 15.0), np.zeros(time.size)))
    assert not flat.flags.any()


def test_bands_do_not_witness_for_each_other(rng):
    time, value, error = nights(rng)
    band = np.tile([0, 0, 1, 1], 60).astype(np.int16)
    value[band == 1] += 2.0
    plain = one(time, value, error)
    given = LightCurveBatch(
        time, value, error, plain.offsets, band=band, meta=Meta(bands=("g", "r"))
    )
    result = ClusterNoise().transform(given)
    assert not result.flags.any()
    assert result.objects["n_clusters"][0] == 120


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match=r"time_scale .*; brightness_scale .*; min_points .*; lo"):
        ClusterNoise(time_scale=0, brightness_scale=np.inf, min_points=1, lone="drop").check()

"""Copies of a measurement: against brute force, exact and near, marked and dropped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.integrate import DropDuplicates, MarkDuplicates


def marked(batch, **settings):
    flags = MarkDuplicates(**settings).transform(batch).flags
    return (flags & np.uint32(PointFlag.DUPLICATE)) != 0


def brute(time, value, error, window, tolerance, n_sigma):
    """Walk the points by time, error and value, and hold each against those kept."""
    order = sorted(range(len(time)), key=lambda k: (time[k], error[k], value[k]))
    kept, copies = [], set()
    for j in order:
        for i in reversed(kept.copy()):
            if time[j] - time[i] > window / 86400:
                break
            allowed = tolerance + n_sigma * np.sqrt(error[i] ** 2 + error[j] ** 2)
            if abs(value[i] - value[j]) <= allowed:
                if error[j] < error[i]:
                    kept.remove(i)
                    copies.add(i)
                else:
                    copies.add(j)
                    break
        if j not in copies:
            kept.append(j)
    return [k in copies for k in range(len(time))]


point = st.tuples(
    st.integers(0, 12), st.sampled_from([15.0, 15.01, 15.02, 15.5]), st.sampled_from([0.01, 0.02])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(point, max_size=30), st.sampled_from([0.0, 30.0]), st.sampled_from([0.0, 0.015]))
def test_against_brute_force(points, window, tolerance):
    """Times on a grid of 20 seconds, so that some repeat and some are near."""
    time, value, error = (np.array(c, float) for c in zip(*points, strict=True)) if points else (
        np.empty(0), np.empty(0), np.empty(0)
    )  # fmt: skip
    batch = LightCurveBatch.from_curves([(55000 + time * 20 / 86400, value, error)])
    found = marked(batch, window=window, tolerance=tolerance)
    assert found.tolist() == brute(batch.time, value, error, window, tolerance, 0.0)


def test_exact_copies_are_those_of_flag_bad(rng):
    time = np.repeat(rng.uniform(55000, 55100, 40), 2)
    value = np.repeat(rng.normal(15, 0.1, 40), 2)
    value[::8] += 0.1  # same time, another value: not a copy
    batch = LightCurveBatch.from_curves([(time, value, np.full(80, 0.01))])
    flags = FlagBad().transform(batch).flags
    assert marked(batch).sum() == ((flags & np.uint32(PointFlag.DUPLICATE)) != 0).sum() == 30


def test_the_most_precise_stays_and_errors_allow(rng):
    curve = ([1.0, 1.0 + 5 / 86400], [15.0, 15.02], [0.03, 0.01])
    batch = LightCurveBatch.from_curves([curve, ([], [], []), ([2.0], [1.0], None)])
    assert marked(batch, window=10, n_sigma=1.0).tolist() == [True, False, False]
    assert not marked(batch, window=10).any()
    assert not marked(batch, window=4, n_sigma=1.0).any()


def test_bands_and_unusable_points_are_no_copies():
    batch = LightCurveBatch(
        time=np.ones(4), value=np.array([15.0, 15.0, np.nan, np.nan]), error=np.full(4, 0.1),
        offsets=np.array([0, 4]), band=np.array([0, 1, 0, 0]),
    )  # fmt: skip
    assert not marked(batch).any()


def test_a_dense_series_is_thinned_and_not_swallowed():
    time = 1 + np.arange(11) * 10 / 86400
    batch = LightCurveBatch.from_curves([(time, np.full(11, 15.0), np.full(11, 0.1))])
    assert np.flatnonzero(~marked(batch, window=25)).tolist() == [0, 3, 6, 9]


def test_dropping_records_how_many_and_changes_no_input():
    curves = [([1.0, 1.0, 2.0], [15.0, 15.0, 16.0], [0.1] * 3), ([3.0], [1.0], [0.1])]
    batch = LightCurveBatch.from_curves(curves)
    dropped = DropDuplicates().transform(batch)
    assert dropped.offsets.tolist() == [0, 2, 3]
    assert dropped.time.tolist() == [1.0, 2.0, 3.0]
    assert dropped.objects["n_duplicates"].tolist() == [1, 0]
    again = DropDuplicates().transform(dropped)
    assert again.objects["n_dropped"].tolist() == [1, 0]
    assert batch.n_points == 4
    assert not batch.flags.any()


def test_mistakes_are_named_all_at_once():
    with pytest.raises(ConfigError, match=r"window must be 0 or more.*n_sigma must be 0"):
        MarkDuplicates(window=-1, n_sigma=float("nan")).check()

"""The container: shapes, views, selection, usable points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroprep.data import LightCurveBatch, Meta, PointFlag, Rejected
from astroprep.errors import ConfigError, DataError


def test_usable_points_are_good_sorted_and_weighted():
    batch = LightCurveBatch.from_curves([([3, 1, 2, 5], [30, 10, 20, 50], [1, 1, 1, 1])])
    batch = batch.with_columns(
        flags=np.array([0, 0, PointFlag.OUTLIER, PointFlag.ESTIMATED_ERROR], np.uint32),
        weight=np.array([1.0, 0.25, 1.0, 1.0]),
    )
    usable = batch.usable
    assert usable.time.tolist() == [1, 3, 5]
    assert usable.error.tolist() == [2.0, 1.0, 1.0]
    assert usable.index.tolist() == [1, 0, 3]
    assert usable.scatter_back(usable.value, np.nan)[[0, 1, 3]].tolist() == [30, 10, 50]


@given(st.lists(st.lists(st.floats(-10, 10), max_size=8), max_size=6), st.randoms())
def test_usable_equals_a_plain_sort(times, random):
    curves = [(t, np.arange(len(t)), None) for t in times]
    batch = LightCurveBatch.from_curves(curves)
    keep = np.array([random.random() < 0.7 for _ in range(batch.n_points)], bool)
    batch = batch.with_columns(flags=np.where(keep, 0, 1).astype(np.uint32))
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        time, value = batch.time[part][keep[part]], batch.value[part][keep[part]]
        order = np.argsort(time, kind="stable")
        mine = slice(*batch.usable.offsets[i : i + 2])
        assert batch.usable.time[mine].tolist() == time[order].tolist()
        assert batch.usable.value[mine].tolist() == value[order].tolist()


ODD = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 0.25, 1.0, 3.0, np.inf, np.nan])


@given(
    st.lists(
        st.lists(st.tuples(ODD, ODD, ODD, ODD, st.sampled_from([0, 1, 32, 1 << 17])), max_size=9),
        max_size=5,
    ),
    st.booleans(),
)
def test_usable_of_anything_equals_plain_numpy(curves, trusted):
    columns = [np.array([p[k] for c in curves for p in c], np.float64) for k in range(5)]
    time, value, error, weight, flags = columns
    weight = np.ones(time.size) if trusted else weight
    batch = LightCurveBatch(
        time=time,
        value=value,
        error=error,
        weight=weight,
        flags=flags.astype(np.uint32),
        offsets=np.concatenate(([0], np.cumsum([len(c) for c in curves], dtype=np.int64))),
    )
    good = ((batch.flags & 0xFFFF) == 0) & (weight > 0) & np.isfinite(time) & np.isfinite(value)
    places = [np.flatnonzero(good[a:b]) + a for a, b in itertools.pairwise(batch.offsets)]
    index = np.concatenate([p[np.argsort(time[p], kind="stable")] for p in places] or [[]])
    index = index.astype(np.int64)
    usable = batch.usable
    assert usable.index.tolist() == index.tolist()
    assert usable.counts().tolist() == [p.size for p in places]
    np.testing.assert_array_equal(usable.time, time[index])
    np.testing.assert_array_equal(usable.value, value[index])
    with np.errstate(invalid="ignore"):  # of an infinite error and weight
        expected = error[index] / np.sqrt(weight[index])
    np.testing.assert_array_equal(usable.error, expected)


def test_slices_are_views_and_selection_keeps_columns(make_batch):
    batch = make_batch(4)
    assert np.shares_memory(batch[1:3].time, batch.time)
    assert batch[1:3].ids.tolist() == ["star-1", "star-2"]
    assert batch[-1].ids.tolist() == ["star-3"]
    assert batch[[2, 0]].objects["row"].tolist() == [2, 0]
    np.testing.assert_array_equal(batch[[2]].value, batch[2].value)
    np.testing.assert_array_equal(batch[batch.ids == "star-2"].value, batch[2].value)
    assert batch[3:1].n_curves == 0
    for wrong, message in (
        (4, "curve 4 of a batch with 4"),
        (np.array([True]), "mask of shape"),
        ([0.5], "integers or a mask"),
    ):
        with pytest.raises(IndexError, match=message):
            batch[wrong]


def test_columns_are_read_only_and_the_callers_arrays_stay_writable():
    time = np.array([1.0, 2.0])
    batch = LightCurveBatch.from_curves([(time, time, None)])
    with pytest.raises(ValueError, match="read-only"):
        batch.time[0] = 0.0
    time[0] = 5.0


def test_rejecting_moves_objects_and_keeps_the_count(make_batch):
    batch = make_batch(3)
    left = batch.reject(np.array([True, False, True]), "too faint", "Judge")
    assert left.n_objects == batch.n_objects
    assert left.ids.tolist() == ["star-1"]
    assert left.rejected.id.tolist() == ["star-0", "star-2"]
    assert left.rejected.row.tolist() == [0, 2]
    again = left.reject(np.array([True]), "too late", "Clock")
    assert again.n_curves == 0
    assert again.rejected.reason.tolist() == ["too faint", "too faint", "too late"]


def test_concat_is_the_inverse_of_slicing(make_batch):
    batch = make_batch(5)
    whole = LightCurveBatch.concat([batch[:2], batch[2:2], batch[2:]])
    np.testing.assert_array_equal(whole.time, batch.time)
    np.testing.assert_array_equal(whole.offsets, batch.offsets)
    with pytest.raises(DataError, match="same columns and metadata"):
        LightCurveBatch.concat([batch, batch.with_columns(meta=Meta(survey="other"))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 1]}, "offsets from 0 to the number of points"),
        ({"offsets": [0, 2, 1, 2]}, "offsets that never fall"),
        ({"value": np.ones(3)}, "column 'value' has shape"),
        ({"time": np.array(["a", "b"])}, "numbers in 'time'"),
        ({"time": np.ones((1, 2))}, "one dimension"),
        ({"objects": {"label": np.array(["x", "y"])}}, "column 'label' has shape"),
    ],
)
def test_wrong_shapes_are_named(change, message):
    columns = {"time": np.ones(2), "value": np.ones(2), "error": np.ones(2), "offsets": [0, 2]}
    with pytest.raises(DataError, match=message):
        LightCurveBatch(**{**columns, **change})


def test_curves_of_unequal_lengths_are_named():
    with pytest.raises(DataError, match="curve 'b' has 2 times, 1 values and 2 errors"):
        LightCurveBatch.from_curves([([1], [1], None), ([1, 2], [1], None)], ids=["a", "b"])


def test_empty_batches_and_wrong_quantity():
    empty = LightCurveBatch.from_curves([])
    assert (empty.n_curves, empty.n_points, len(empty.rejected)) == (0, 0, 0)
    assert empty.usable.time.size == 0
    assert len(Rejected.concat([])) == 0
    with pytest.raises(ConfigError, match="quantity must be"):
        Meta(quantity="counts")


def test_missing_labels_are_empty_text():
    batch = LightCurveBatch.from_curves([([1], [1], None)] * 3, ids=["a", None, float("nan")])
    assert batch.ids.tolist() == ["a", "", ""]

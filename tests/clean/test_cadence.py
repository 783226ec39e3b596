"""Absent cadences: found by number and by step, filled, never across long gaps."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import Impute
from astroprep.clean.cadence import absent_cadences
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import DataError

STEP = 0.0204


def sampled(rng, keep, numbered=True, slope=0.01):
    """Curve of the kept cadences out of those numbered 1000, 1001, ..."""
    number = 1000 + np.flatnonzero(keep)
    time = number * STEP
    value = 5.0 + slope * time + rng.normal(0, 1e-3, time.size)
    batch = LightCurveBatch.from_curves(
        [(time, value, np.full(time.size, 1e-3))], meta=Meta(quantity="flux")
    )
    return batch.with_columns(points={"cadence": number}) if numbered else batch


@pytest.mark.parametrize("numbered", [True, False])
def test_each_hole_is_found_where_it_is(rng, numbered):
    keep = np.ones(300, bool)
    gone = [5, 80, 81, 82, 200]
    keep[gone] = False

    absent = absent_cadences(sampled(rng, keep, numbered), 1.0)

    np.testing.assert_allclose(absent.time, (1000 + np.array(gone)) * STEP)
    assert absent.cadence.tolist() == ([1000 + g for g in gone] if numbered else [-1] * 5)


@pytest.mark.parametrize("numbered", [True, False])
def test_the_holes_are_filled_in_order(rng, numbered):
    keep = np.ones(300, bool)
    keep[[80, 81, 200]] = False
    whole = sampled(rng, np.ones(300, bool))

    result = Impute(where="cadence").transform(sampled(rng, keep, numbered))

    np.testing.assert_allclose(result.time, whole.time)
    made = (result.flags & int(PointFlag.IMPUTED)) > 0
    assert np.flatnonzero(made).tolist() == [80, 81, 200]
    np.testing.assert_allclose(result.value[made], 5 + 0.01 * whole.time[made], atol=3e-3)
    assert result.objects["n_imputed"].tolist() == [3]
    assert result.usable.counts()[0] == 300
    if numbered:
        assert np.array_equal(result.points["cadence"], whole.points["cadence"])


def test_a_gap_longer_than_the_limit_stays_a_gap(rng):
    keep = np.ones(300, bool)
    keep[100:150] = False

    result = Impute(where="cadence").transform(sampled(rng, keep))

    assert result.n_points == 250
    assert result.objects["n_imputed"].tolist() == [0]


def test_flagged_points_are_filled_too_and_columns_follow(rng):
    keep = np.ones(100, bool)
    keep[50] = False
    batch = sampled(rng, keep)
    value = batch.value.copy()
    value[20] = np.nan
    batch = batch.with_columns(
        value=value,
        points={
            "pos_corr1": np.ones(99),
            "survey_flags": np.ones(99, np.int64),
            "used": np.ones(99, bool),
            "note": np.full(99, "x", object),
        },
    )

    result = Impute(where="cadence").transform(batch)

    assert result.objects["n_imputed"].tolist() == [2]
    assert np.isnan(result.points["pos_corr1"][50])
    assert [result.points[n][50] for n in ("survey_flags", "used", "note")] == [0, False, ""]
    assert result.points["replaced_flags"].sum() == 0  # the NaN had no flag yet
    assert np.isfinite(result.value).all()


def test_a_batch_is_its_curves(rng):
    parts = []
    for _ in range(3):
        keep = rng.random(200) > 0.05
        parts.append(sampled(rng, keep))
    whole = Impute(where="cadence").transform(LightCurveBatch.concat(parts))

    alone = [Impute(where="cadence").transform(part) for part in parts]

    np.testing.assert_array_equal(whole.value, np.concatenate([a.value for a in alone]))
    np.testing.assert_array_equal(np.diff(whole.offsets), [a.n_points for a in alone])


def test_a_cadence_without_a_time_is_absent(rng):
    """Kepler files number cadences that have no time."""
    batch = sampled(rng, np.ones(100, bool))
    time, value, flags = batch.time.copy(), batch.value.copy(), batch.flags.copy()
    time[40] = value[40] = np.nan
    flags[40] = PointFlag.BAD_TIME | PointFlag.MISSING_VALUE

    result = Impute(where="cadence").transform(
        batch.with_columns(time=time, value=value, flags=flags)
    )

    assert result.n_points == 101
    made = (result.flags & int(PointFlag.IMPUTED)) > 0
    np.testing.assert_allclose(result.time[made], 1040 * STEP)


def test_uneven_sampling_is_refused(make_batch, rng):
    with pytest.raises(DataError, match=r"evenly spaced times.*'star-0'"):
        Impute(where="cadence").transform(make_batch(2))
    result = Impute(where="cadence", on_bad="reject").transform(make_batch(2))
    assert len(result.rejected) == 2
    few = LightCurveBatch.from_curves(
        [([], [], []), ([1.0], [1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0], [1.0, 1.0])]
    )
    assert Impute(where="cadence").transform(few).n_points == 3


def test_holes_of_a_shuffled_curve_are_the_same(rng):
    keep = rng.random(200) > 0.1
    batch = sampled(rng, keep)
    order = rng.permutation(batch.n_points)
    mixed = batch.with_columns(
        time=batch.time[order],
        value=batch.value[order],
        points={"cadence": batch.points["cadence"][order]},
    )

    straight = Impute(where="cadence").transform(batch)
    shuffled = Impute(where="cadence").transform(mixed)

    again = np.argsort(shuffled.time)
    np.testing.assert_array_equal(shuffled.value[again], straight.value)
    np.testing.assert_array_equal(shuffled.points["cadence"][again], straight.points["cadence"])


def test_numbers_that_cannot_be_make_no_points(rng):
    """A cadence number of another camera, times a billion steps apart."""
    batch = sampled(rng, np.ones(50, bool))
    number = batch.points["cadence"].copy()
    number[20:] += 10**12

    assert absent_cadences(batch.with_columns(points={"cadence": number}), 1.0).time.size == 0
    far = batch.time.copy()
    far[-1] = 1e300
    bare = LightCurveBatch.from_curves([(far, batch.value, batch.error)])
    assert absent_cadences(bare, np.inf).time.size == 0

"""Merging: nothing lost, everything traceable, and back again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import (
    MergeObjects,
    ZeroPointCorrection,
    find_same_stars,
    merge_curves,
    merge_objects,
    stack_surveys,
    undo_merge,
)

ARCSEC = 1 / 3600


@pytest.fixture
def batch(rng):
    """Star 0 is curves 0, 2 and 4, star 1 is curve 1, star 2 is curves 3 and 5."""
    star = [0, 1, 0, 2, 0, 2]
    curves = []
    for k, i in enumerate(star):
        time = np.sort(rng.uniform(0, 300, 40 + k)) + 400 * k
        mag = 15 + i + 0.3 * np.cos(2 * np.pi * time / (2.0 + i)) + 0.1 * (k > 2)
        curves.append((time, mag + rng.normal(0, 0.01, time.size), np.full(time.size, 0.01)))
    built = LightCurveBatch.from_curves(
        curves,
        ids=[f"c{k}" for k in range(6)],
        objects={
            "ra": np.array([10.0, 11.0, 12.0])[star],
            "dec": np.zeros(6),
            "period": 2.0 + np.array(star),
            "survey": np.array(["A", "A", "B", "A", "C", "C"], dtype=object),
            "label": np.array(["CEP"] * 6, dtype=object),
        },
        meta=Meta(survey="test", time_scale="HJD", time_ref=0.0, bands=("v", "i")),
    )
    flags = np.zeros(built.n_points, np.uint32)
    flags[7] = PointFlag.OUTLIER
    band = (np.arange(built.n_points) % 2).astype(np.int16)
    return replace(built, flags=flags, band=band, points={"airmass": rng.normal(0, 1, flags.size)})


def test_nothing_is_lost_and_every_point_is_traceable(batch):
    merged, log = merge_objects(batch, find_same_stars(batch))
    assert merged.ids.tolist() == ["c0", "c1", "c3"]
    assert merged.objects["n_sources"].tolist() == [3, 1, 2]
    assert merged.n_points == batch.n_points
    assert merged.n_objects == batch.n_objects
    assert merged.rejected.id.tolist() == ["c2", "c4", "c5"]
    assert all("merged into 'c" in reason for reason in merged.rejected.reason)
    assert log["row"].tolist() == [0, 2, 3, 4, 5]
    for k in range(6):
        own = merged.points["source"] == k
        part = slice(*batch.offsets[k : k + 2])
        np.testing.assert_array_equal(merged.time[own], batch.time[part])
        np.testing.assert_array_equal(merged.flags[own], batch.flags[part])
        assert set(merged.points["source_id"][own]) == {f"c{k}"}
        assert set(merged.points["survey"][own]) == {batch.objects["survey"][k]}


def assert_same(one, two):
    for name in ("time", "error", "flags", "weight", "band", "offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    np.testing.assert_allclose(one.value, two.value, rtol=1e-15)
    assert set(one.points) == set(two.points)
    for name in one.points:
        np.testing.assert_array_equal(one.points[name], two.points[name])
    assert set(one.objects) == set(two.objects)
    for name in one.objects:
        np.testing.assert_array_equal(one.objects[name], two.objects[name], err_msg=name)
        assert one.objects[name].dtype == two.objects[name].dtype, name


@pytest.mark.parametrize("offsets", [None, {"C:v": 0.1, "C:i": 0.1}])
def test_undone_it_is_what_it_was(batch, offsets):
    merged, log = merge_objects(batch, find_same_stars(batch), offsets=offsets)
    back = undo_merge(merged, log)
    assert_same(back, batch)
    assert len(back.rejected) == 0


def test_columns_of_several_numbers_are_undone_too(batch):
    batch = batch.with_columns(objects={"motion": np.arange(12.0).reshape(6, 2)})
    merged, log = merge_objects(batch, find_same_stars(batch))
    assert_same(undo_merge(merged, log), batch)


def test_a_zero_point_of_another_step_is_not_undone(batch):
    """Neither one from before the merger (NaN included), nor one that came after it."""
    before = np.where(np.arange(batch.n_points) % 3, 0.2, np.nan)
    batch = batch.with_columns(points={"zero_point": before})
    merged, log = merge_objects(batch, find_same_stars(batch), offsets={"C:v": 0.1})
    assert_same(undo_merge(merged, log), batch)
    later = merged.with_columns(
        value=merged.value - 0.3, points={"zero_point": np.full(merged.n_points, 0.3)}
    )
    back = undo_merge(later, log)
    np.testing.assert_allclose(back.value, batch.value - 0.3, rtol=1e-14)
    assert set(back.points["zero_point"]) == {0.3}


def test_one_star_undone_keeps_the_offsets_of_the_others(batch):
    merged, log = merge_objects(batch, find_same_stars(batch), offsets={"C:v": 0.1, "C:i": 0.1})
    back = undo_merge(merged, log, stars=[3])
    own = merged.points["source"] == 4
    still = back.points["source"] == 4
    np.testing.assert_array_equal(back.value[still], merged.value[own])
    np.testing.assert_allclose(back[3].value, batch[5].value, rtol=1e-14)
    assert set(back[3].points["merge_offset"]) == {0.0}


def test_columns_that_came_later_are_unknown_for_the_curves(batch):
    merged, log = merge_objects(batch, find_same_stars(batch))
    later = merged.with_columns(
        objects={"n_good": np.array([7, 8, 9]), "type": np.array(["x", "y", "z"], dtype=object)}
    )
    back = undo_merge(later, log)
    np.testing.assert_array_equal(
        back.objects["n_good"], [np.nan, 8, np.nan, np.nan, np.nan, np.nan]
    )
    assert back.objects["type"].tolist() == ["", "y", "", "", "", ""]


def test_the_log_of_another_batch_is_refused(batch):
    merged, log = merge_objects(batch, find_same_stars(batch))
    for rows, match in (
        (np.arange(3), "rows are repeated and not in the log"),
        (merged.objects["row"] + 100, "row 0 had 40 points, 0 are left"),
    ):
        with pytest.raises(DataError, match=match):
            undo_merge(merged.with_columns(objects={"row": rows}), log)
    strange = merged.points["source"] + 50 * (merged.points["source"] == 4)
    with pytest.raises(DataError, match="row 54 has points but is not in the log"):
        undo_merge(merged.with_columns(points={"source": strange}), log)
    with pytest.raises(DataError, match="the log has no column 'n_points'; it has star, row"):
        undo_merge(merged, log.drop(columns="n_points"))


def test_a_second_merger_does_not_hide_the_first(batch):
    merged, _ = merge_objects(batch, find_same_stars(batch))
    with pytest.raises(DataError, match="'source' per point, and the batch has one"):
        merge_objects(merged, find_same_stars(merged))


def test_offsets_by_a_survey_column_of_another_name(batch):
    objects = {("mission" if k == "survey" else k): v for k, v in batch.objects.items()}
    named = replace(batch, objects=objects)
    stars = find_same_stars(named, survey="mission")
    merged, log = merge_objects(named, stars, survey="mission", offsets={"C:v": 0.25})
    shifted = (merged.points["survey"] == "C") & (merged.band == 0)
    np.testing.assert_array_equal(merged.points["merge_offset"], np.where(shifted, 0.25, 0.0))
    assert_same(undo_merge(merged, log), named)
    with pytest.raises(DataError, match="offset of 'C:v' must be finite, got nan"):
        merge_objects(named, stars, survey="mission", offsets={"C:v": np.nan})


def test_one_star_undone_leaves_the_others_merged(batch):
    merged, log = merge_objects(batch, find_same_stars(batch))
    back = undo_merge(merged, log, stars=[3])
    assert back.ids.tolist() == ["c0", "c1", "c3", "c5"]
    assert back.rejected.id.tolist() == ["c2", "c4"]
    assert back.n_objects == batch.n_objects
    np.testing.assert_array_equal(back[3].time, batch[5].time)
    np.testing.assert_array_equal(np.unique(back[0].points["source"]), [0, 2, 4])


def test_undoing_what_cannot_be_undone_is_refused(batch):
    merged, log = merge_objects(batch, find_same_stars(batch))
    with pytest.raises(DataError, match="star 1 is not in it"):
        undo_merge(merged, log, stars=[1])
    with pytest.raises(DataError, match="no 'source' per point"):
        undo_merge(batch, log)
    short = replace(
        merged, time=merged.time[1:], value=merged.value[1:], error=merged.error[1:],
        flags=merged.flags[1:], weight=merged.weight[1:], band=merged.band[1:],
        points={k: v[1:] for k, v in merged.points.items()},
        offsets=np.maximum(merged.offsets - 1, 0),
    )  # fmt: skip
    with pytest.raises(DataError, match="row 0 had 40 points, 39 are left"):
        undo_merge(short, log)


def test_a_link_taken_back_before_merging(batch):
    merged, _ = merge_objects(batch, find_same_stars(batch).undo("c4"))
    assert merged.ids.tolist() == ["c0", "c1", "c3", "c4"]


def test_zero_points_are_taken_out_and_kept(batch):
    merged, _ = merge_objects(batch, find_same_stars(batch), offsets={"C:v": 0.25})
    shifted = (merged.points["survey"] == "C") & (merged.band == 0)
    np.testing.assert_array_equal(merged.points["merge_offset"], np.where(shifted, 0.25, 0.0))
    with pytest.raises(DataError, match="no points are of 'C:x'; the systems are A:i, A:v"):
        merge_objects(batch, find_same_stars(batch), offsets={"C:x": 1.0})


def test_the_step_is_the_function_and_zero_points_plug_in(batch):
    merged = MergeObjects().fit_transform(batch)
    again, _ = merge_objects(batch, find_same_stars(batch))
    np.testing.assert_array_equal(merged.value, again.value)
    assert merged.n_objects == batch.n_objects
    step = ZeroPointCorrection(system="survey", reference="A", method="fold", on_bad="reject")
    corrected = step.fit_transform(merged)
    zero = corrected.points["zero_point"][corrected.points["survey"] == "C"]
    error = corrected.points["zero_point_err"][corrected.points["survey"] == "C"]
    assert np.all(np.abs(zero - 0.1) < 4 * error)


def test_of_another_batch(batch):
    with pytest.raises(DataError, match="the batch that the stars were found in"):
        merge_objects(batch[:5], find_same_stars(batch))


def test_rows_that_repeat_are_refused(batch):
    twice = LightCurveBatch.concat([batch, batch])
    with pytest.raises(DataError, match="a 'row' of its own"):
        merge_objects(twice, find_same_stars(twice))


@pytest.mark.parametrize("unknown", [np.nan, None, ""])
def test_curves_of_unknown_star_are_not_one_star(batch, unknown):
    groups = np.array(["a", unknown, "b", unknown, "a", "b"], dtype=object)
    with pytest.raises(DataError, match=r"'c1' \(curve 1\) is .*, 2 of 6 are not known"):
        merge_curves(batch, groups)


def test_settings_are_checked(batch):
    with pytest.raises(ConfigError, match="radius must lie"):
        MergeObjects(radius=-1).transform(batch)
    with pytest.raises(ConfigError, match="offsets map"):
        MergeObjects(offsets=[1.0]).transform(batch)


# -- stacking surveys -------------------------------------------------------------------------


def test_stacked_surveys_share_a_clock_and_bands(batch):
    one = batch[:2]
    clock = {"time_scale": "HJD-1000", "time_ref": 1000.0}
    meta = replace(batch.meta, survey="two", bands=("i", "v"), **clock)
    two = replace(batch[2:4], time=batch[2:4].time - 1000.0, points={}, meta=meta)
    whole = stack_surveys([one, two])
    np.testing.assert_allclose(whole.time, batch[:4].time, atol=1e-9)
    assert whole.objects["row"].tolist() == [0, 1, 4, 5]
    assert whole.objects["input"].tolist() == [0, 0, 1, 1]
    assert whole.meta.bands == ("v", "i")
    np.testing.assert_array_equal(whole.band[one.n_points :], 1 - two.band)
    assert np.isnan(whole.points["airmass"][one.n_points :]).all()
    assert whole.meta.survey == "test, two"


def test_surveys_that_measure_otherwise_are_refused(batch):
    flux = replace(batch, meta=replace(batch.meta, quantity="flux", unit="nJy"))
    with pytest.raises(DataError, match=r"quantity 'mag' and 'flux'; unit 'mag' and 'nJy'"):
        stack_surveys([batch, flux])
    for scale, ref, what in (("BJD", 0.0, "time scale"), ("HJD", None, "time reference")):
        other = replace(batch, meta=replace(batch.meta, time_scale=scale, time_ref=ref))
        with pytest.raises(DataError, match=f"{what}.*ToBarycentric"):
            stack_surveys([batch, other])
    with pytest.raises(DataError, match="at least one batch"):
        stack_surveys([])


def test_clocks_without_references_agree_by_their_text_only(batch):
    one, two = (
        replace(batch, meta=replace(batch.meta, time_scale=scale, time_ref=None))
        for scale in ("HJD-2450000", "HJD-2400000")
    )
    assert stack_surveys([one, one]).n_points == 2 * batch.n_points
    with pytest.raises(DataError, match="'HJD-2450000' and 'HJD-2400000', no reference"):
        stack_surveys([one, two])


def test_long_ids_are_not_rounded(batch):
    """2^53 + 1 is the first integer that a float cannot hold."""
    gaia = np.full(6, 2**53 + 1)
    one = batch.with_columns(objects={"gaia": gaia, "n": np.arange(6)})
    whole = stack_surveys([one, batch])
    assert whole.objects["gaia"].tolist() == ["9007199254740993"] * 6 + [""] * 6
    np.testing.assert_array_equal(whole.objects["n"][:6], np.arange(6))
    assert np.isnan(whole.objects["n"][6:]).all()
    assert stack_surveys([one, one]).objects["gaia"].dtype == np.int64
    mixed = stack_surveys([one, batch.with_columns(objects={"gaia": np.full(6, 1.5)})])
    assert mixed.objects["gaia"][[0, 6]].tolist() == ["9007199254740993", "1.5"]


def test_a_survey_without_bands_gets_one_of_its_name(batch):
    bare = replace(batch, band=None, meta=replace(batch.meta, survey="white", bands=()))
    whole = stack_surveys([batch, bare])
    assert whole.meta.bands == ("v", "i", "white")
    assert set(whole.band[batch.n_points :]) == {2}
    assert stack_surveys([bare, bare]).band is None

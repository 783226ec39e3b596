"""A survey file through steps: every object in the result or in the list beside it."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import pytest

from astroprep.base import Transformer
from astroprep.clean import DropShort, FlagBad, SigmaClip
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.detrend import MovingTrend
from astroprep.errors import ConfigError, DataError
from astroprep.io import open_survey, read_provenance, survey_writer, write_survey
from astroprep.io.rejected import rejected_path
from astroprep.pipeline.chains import cleaning_steps, detrending_steps
from astroprep.pipeline.treat import treat_survey
from astroprep.synthetic import simulate_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    path = tmp_path_factory.mktemp("survey") / "survey.parquet"
    write_survey(path, simulate_survey(60, 3))
    return path


def test_file_in_file_out_equals_the_steps_in_memory(survey, tmp_path):
    steps = [FlagBad(missing_errors="estimate", on_bad="reject"), MovingTrend(on_bad="reject")]
    counts = treat_survey(steps, survey, tmp_path / "out.parquet")
    with open_survey(survey, on_bad="reject") as reader:
        expected = reader.read()
    for step in steps:
        expected = step.transform(expected)
    with open_survey(tmp_path / "out.parquet") as reader:
        got = reader.read()
    assert counts.result == got.n_curves == expected.n_curves
    assert got.ids.tolist() == expected.ids.tolist()
    for name in ("time", "value", "error", "flags", "weight"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    np.testing.assert_array_equal(got.points["trend"], expected.points["trend"])
    assert got.meta.quantity == expected.meta.quantity


def test_the_file_says_what_it_was_made_of(survey, tmp_path):
    treat_survey([DropShort(min_points=7, on_bad="reject")], survey, tmp_path / "out.parquet")
    record = read_provenance(tmp_path / "out.parquet")
    digest = hashlib.sha256(survey.read_bytes()).hexdigest()
    assert record["inputs"] == [{"name": "survey.parquet", "sha256": digest}]
    assert record["settings"] == [{"step": "DropShort", "min_points": "7", "on_bad": "reject"}]


def test_objects_are_accounted_for_and_refused_ones_listed(survey, tmp_path):
    out = tmp_path / "long.parquet"
    counts = treat_survey([DropShort(min_points=250, on_bad="reject")], survey, out)
    assert 0 < counts.result < counts.input == counts.result + counts.rejected == 60
    with rejected_path(out).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == counts.rejected
    assert {row["step"] for row in rows} == {"DropShort"}
    assert all("at least 250 usable points" in row["reason"] for row in rows)
    treat_survey([FlagBad(on_bad="reject")], survey, out)  # an old list does not stay
    assert not rejected_path(out).exists()


def test_batches_differ_in_nothing_but_size(survey, tmp_path, monkeypatch):
    import astroprep.pipeline.treat as treat

    steps = [FlagBad(missing_errors="estimate", on_bad="reject"), SigmaClip(on_bad="reject")]
    treat_survey(steps, survey, tmp_path / "whole.parquet")
    monkeypatch.setattr(treat, "BATCH_OBJECTS", 7)
    treat_survey(steps, survey, tmp_path / "parts.parquet")
    with (
        open_survey(tmp_path / "whole.parquet") as a,
        open_survey(tmp_path / "parts.parquet") as b,
    ):
        whole, parts = a.read(), b.read()
    np.testing.assert_array_equal(whole.flags, parts.flags)
    np.testing.assert_array_equal(whole.value, parts.value)


class Count(Transformer):
    """Learns how many curves it saw."""

    def __init__(self, on_bad="reject"):
        self.on_bad = on_bad

    def _fit(self, batch):
        self.n_ = batch.n_curves

    def _transform(self, batch):
        return batch


def test_what_learns_learns_from_the_first_objects_only(survey, tmp_path):
    step = Count()
    treat_survey([step], survey, tmp_path / "out.parquet", fit_objects=25)
    assert step.n_ == 25


def test_bad_outputs_and_inputs_are_named(survey, tmp_path):
    with pytest.raises(ConfigError, match=r"written as \.parquet"):
        treat_survey([FlagBad()], survey, tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="is an input too"):
        treat_survey([FlagBad()], survey, survey)
    with pytest.raises(DataError, match="does not exist"):
        treat_survey([FlagBad()], tmp_path / "none.parquet", tmp_path / "x.parquet")
    assert not list(tmp_path.glob("*x.*"))


def test_a_batch_with_other_columns_is_refused_and_no_file_left(tmp_path):
    one = LightCurveBatch.from_curves([([1.0, 2.0], [1.0, 2.0], None)])
    path = tmp_path / "x.parquet"

    def write_both():
        with survey_writer(path) as write:
            write(one)
            write(one.with_columns(points={"trend": np.zeros(2)}))

    with pytest.raises(DataError, match="differs from the first"):
        write_both()
    assert not list(tmp_path.iterdir())


def test_chains_hold_what_was_chosen():
    names = [type(step).__name__ for step in cleaning_steps("clip", "linear")]
    assert names == ["SurveyFlags", "FlagBad", "SigmaClip", "Impute"]
    names = [type(step).__name__ for step in detrending_steps("median", window=2.0)]
    assert names == ["SurveyFlags", "FlagBad", "MarkEvents", "MovingTrend"]
    assert detrending_steps("median", window=2.0)[-1].window == 2.0
    assert [type(step).__name__ for step in detrending_steps()][-1] == "EventTrend"
    assert len(detrending_steps("mean", keep_events=False)) == 3
    with pytest.raises(ConfigError, match="period-column"):
        cleaning_steps(missing="harmonic")
    with pytest.raises(ConfigError, match="--window goes with"):
        detrending_steps("cbv", window=2.0, vectors=["x"])
    with pytest.raises(ConfigError, match="--vectors goes with"):
        detrending_steps("mean", vectors=["x"])
    with pytest.raises(ConfigError, match="cbv needs --vectors"):
        detrending_steps("cbv")


def test_cleaning_loses_no_point_and_keeps_what_was_measured(survey, tmp_path):
    treat_survey(cleaning_steps(), survey, tmp_path / "clean.parquet")
    with open_survey(survey, on_bad="reject") as a, open_survey(tmp_path / "clean.parquet") as b:
        before, after = a.read(), b.read()
    kept = np.isin(before.ids, after.ids)
    before = before.take(kept)
    np.testing.assert_array_equal(before.value, after.value)
    assert (after.flags & np.uint32(PointFlag.SENTINEL)).any()
    assert (after.weight < 1).any()

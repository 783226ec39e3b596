"""`describe_survey`: one row an object, values of the step, reasons where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.features import DEFAULT_FEATURES, FEATURES, FeatureExtractor
from astroprep.io import ColumnNames, open_survey, write_survey
from astroprep.pipeline.features import describe_survey

PERIODS = np.array([0.61, 0.47, np.nan, 0.5, -1.0])


@pytest.fixture
def survey(tmp_path, rng):
    """Five stars in two bands: the fourth of one point, the third and the last without period."""
    curves, bands = [], []
    for i in range(5):
        n = 1 if i == 3 else 160
        time = np.sort(rng.uniform(55_000, 55_400, n))
        shape = 0.3 * np.sin(2 * np.pi * time / 0.61)
        curves.append((time, 15 + shape + rng.normal(0, 0.02, n), np.full(n, 0.02)))
        bands.append(np.arange(n) % 2 if i != 1 else np.zeros(n))
    batch = LightCurveBatch.from_curves(
        curves,
        ids=[f"star-{i}" for i in range(5)],
        objects={"catalogue_period": PERIODS},
        meta=Meta(bands=("g", "r")),
    )
    path = tmp_path / "survey.parquet"
    write_survey(path, replace(batch, band=np.concatenate(bands).astype(np.int16)))
    return path


def read(path, names):
    table = pq.read_table(path)
    assert table.column_names == ["row", "id", *names, "rejected_reason"]
    assert table["row"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["id"].to_pylist() == [f"star-{i}" for i in range(5)]
    assert all(table.schema.field(name).type == pa.float64() for name in names)
    return table


def test_one_band_without_periods(survey, tmp_path):
    counts = describe_survey(survey, tmp_path / "f.parquet", bands=("g",))
    names = [name for name in DEFAULT_FEATURES if not FEATURES[name].period]
    table = read(tmp_path / "f.parquet", names)
    assert (counts.input, counts.result, counts.rejected) == (5, 5, 0)
    assert table["rejected_reason"].null_count == 5
    assert table["skew"].null_count == 1  # one point has none: null, no sentinel
    assert table["amplitude"].to_pylist()[3] == 0.0
    assert not np.isnan(table["skew"].drop_null().to_numpy()).any()


def test_values_are_those_of_the_step(survey, tmp_path):
    counts = describe_survey(
        survey,
        tmp_path / "f.parquet",
        groups=("fourier", "bands", "brightness"),
        features=("log10_period",),
        period_column="period",
        errors=True,
    )
    step = FeatureExtractor(
        features=("log10_period", "fourier", "bands", "brightness"),
        bands=("g", "r"),
        errors=True,
        on_bad="reject",
    )
    table = read(tmp_path / "f.parquet", step.feature_names())
    assert "colour_g_r_error" in table.column_names
    assert (counts.input, counts.result, counts.rejected) == (5, 3, 2)
    with open_survey(survey, ColumnNames(period="period")) as opened:
        batch = opened.read()
    batch = batch.with_columns(objects={"period": batch.objects["catalogue_period"]})
    expected = step.transform(batch).objects["features"]
    for k, name in enumerate(step.feature_names()):
        found = table[name].to_numpy()[[0, 1, 3]]
        np.testing.assert_array_equal(found, expected[:, k], err_msg=name)
    reasons = table["rejected_reason"].to_pylist()
    assert [reason is None for reason in reasons] == [True, True, False, True, False]
    assert "FeatureExtractor needs a finite 'period'" in reasons[2]
    assert "FeatureExtractor needs a positive 'period'" in reasons[4]
    rejected = table.take([2, 4])
    assert all(rejected[name].null_count == 2 for name in step.feature_names())


def test_an_object_outside_the_bands_is_rejected(survey, tmp_path):
    counts = describe_survey(survey, tmp_path / "f.parquet", bands=("r",), features=("skew",))
    table = read(tmp_path / "f.parquet", ["skew"])
    assert (counts.input, counts.result, counts.rejected) == (5, 3, 2)
    assert "SelectBand needs usable points in band 'r'" in table["rejected_reason"].to_pylist()[1]


def test_batches_add_up(survey, tmp_path, monkeypatch):
    describe_survey(survey, tmp_path / "whole.parquet")
    monkeypatch.setattr("astroprep.pipeline.features.BATCH_OBJECTS", 2)
    told = []
    describe_survey(survey, tmp_path / "parts.parquet", progress=lambda *a: told.append(a))
    whole, parts = (pq.read_table(tmp_path / f"{n}.parquet") for n in ("whole", "parts"))
    assert whole.equals(parts)
    assert [t[1] for t in told] == [2, 4, 5]


def test_what_cannot_be_asked_is_said(survey, tmp_path):
    out = tmp_path / "f.parquet"
    with pytest.raises(ConfigError, match=r"'fourier' needs the period.*--period-column"):
        describe_survey(survey, out, groups=("fourier",))
    with pytest.raises(ConfigError, match="did you mean 'skew'"):
        describe_survey(survey, out, features=("skw",))
    with pytest.raises(ConfigError, match="unknown group 'fourrier' of features; there are period"):
        describe_survey(survey, out, groups=("fourrier",))
    with pytest.raises(ConfigError, match="'colour' compares bands"):
        describe_survey(survey, out, features=("colour",), bands=("g",))
    with pytest.raises(ConfigError, match="--period-column needs the name"):
        describe_survey(survey, out, period_column=" ")
    with pytest.raises(ConfigError, match="is an input too"):
        describe_survey(survey, survey)
    with pytest.raises(DataError, match="no band 'z'"):
        describe_survey(survey, out, bands=("g", "z"), features=("skew",))
    with pytest.raises(DataError, match="no column 'P'"):
        describe_survey(survey, out, period_column="P")
    assert not out.exists()

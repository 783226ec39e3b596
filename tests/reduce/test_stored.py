"""Stored curves on disk: the same comes back, and a file that lies is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.reduce import StoredCurves, compress_curves

PERIOD = 0.6173


@pytest.fixture
def batch(rng):
    curves = []
    for n in (120, 2, 0, 200):
        time = np.sort(rng.uniform(53000.0, 56000.0, n))
        value = 15 + 0.3 * np.sin(2 * np.pi * time / PERIOD) + rng.normal(0, 0.02, n)
        value[10:14] += 1.0
        curves.append((time, value, np.full(n, 0.02)))
    return LightCurveBatch.from_curves(
        curves, ids=list("abcd"), objects={"period": np.full(4, PERIOD), "label": list("wxyz")}
    )


@pytest.fixture
def stored(batch):
    return compress_curves(batch, "harmonic")


def same(a, b):
    for name in ("time", "value", "error", "flags", "weight", "offsets"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert set(a.objects) == set(b.objects)
    for name, column in a.objects.items():
        np.testing.assert_array_equal(column, b.objects[name], err_msg=name)
    assert a.meta == b.meta


@pytest.mark.parametrize("times", ["keep", "drop"])
@pytest.mark.parametrize("model", ["harmonic", "spline"])
def test_what_is_written_is_read(tmp_path, batch, times, model):
    stored = compress_curves(batch, model, times=times)
    stored.to_parquet(tmp_path / "s.parquet")
    again = StoredCurves.read(tmp_path / "s.parquet")
    same(stored.decode(), again.decode())
    assert again.reason.tolist() == stored.reason.tolist()
    np.testing.assert_array_equal(again.bytes, stored.bytes)
    for name in ("residual_scale", "residual_in_errors", "reduced_chi2"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stored, name))


def test_nothing_can_be_stored_too(tmp_path, batch):
    nothing = compress_curves(batch[:0], "harmonic")
    nothing.to_parquet(tmp_path / "s.parquet")
    again = StoredCurves.read(tmp_path / "s.parquet")
    assert len(again) == len(again.decode()) == 0


def test_parts_join(batch, stored):
    parts = [compress_curves(batch[:2], "harmonic"), compress_curves(batch[2:], "harmonic")]
    same(StoredCurves.concat(parts).decode(), stored.decode())
    with pytest.raises(DataError, match="treatment of times"):
        StoredCurves.concat([stored, replace(stored, ticks=None)])
    with pytest.raises(DataError, match="at least one"):
        StoredCurves.concat([])


def test_bytes_are_those_of_the_columns(tmp_path, stored):
    """Uncompressed plain pages hold the stated bytes, but for what all rows have alike."""
    own = stored.parameters
    i = 0
    kept = np.diff(stored.kept_offsets)[i]
    coefficients = np.diff(own.codes_offsets)[i]
    by_hand = 1 + 5 * 8 + 2 * coefficients + 5 * 4 + 4 * stored.n_modelled[i] + 24 * kept
    # values are float64 here (8), errors too: time 8, value 8, error 8, flags 4
    assert stored.bytes[i] == by_hand + 4 * kept


def test_a_file_that_is_none_is_named(tmp_path, stored):
    path = tmp_path / "s.parquet"
    with pytest.raises(DataError, match="does not exist"):
        StoredCurves.read(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="no readable Parquet"):
        StoredCurves.read(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(DataError, match="holds no stored curves"):
        StoredCurves.read(path)


def changed(table, name, values):
    column = table.column_names.index(name)
    return table.set_column(column, name, pa.array(values, table[name].type))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("model_kind", lambda x: [9, *x[1:]], "kinds from 0 to 3"),
        ("model_kind", lambda x: [2, *x[1:]], "four more coefficients than knots"),
        ("model_kind", lambda x: [3, *x[1:]], "numbers of each walk"),
        ("model_kind", lambda x: [0, *x[1:]], "no model of a raw series"),
        ("model_period", lambda x: [0.0, *x[1:]], "positive periods"),
        ("model_level", lambda x: [np.inf, *x[1:]], "finite 'level'"),
        ("model_points", lambda x: [10**9, *x[1:]], "as many times as points"),
        ("model_ticks", lambda x: [[-1] * len(x[0]), *x[1:]], "ascending times"),
        ("model_curve", lambda x: [5, *x[1:]], "curves in order"),
        ("model_codes", lambda x: [x[0][:-1], *x[1:]], "whole harmonics"),
        ("model_knots", lambda x: [[3], *x[1:]], "whole harmonics"),
        ("kept_value", lambda x: [x[0][:-1], *x[1:]], "equally long kept columns"),
        ("kept_time", lambda x: [None, *x[1:]], "no nulls"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, stored, name, change, words):
    path = tmp_path / "s.parquet"
    stored.to_parquet(path)
    table = pq.read_table(path)
    pq.write_table(changed(table, name, change(table[name].to_pylist())), path)
    with pytest.raises(DataError, match=words):
        StoredCurves.read(path)


def test_a_column_with_a_taken_name_is_refused(tmp_path, stored):
    taken = replace(stored, objects={**stored.objects, "model_kind": np.zeros(4)})
    with pytest.raises(DataError, match="rename it"):
        taken.to_parquet(tmp_path / "s.parquet")


def test_a_real_survey_loses_no_point_and_most_of_its_bytes(tmp_path, data_dir):
    from astroprep.clean import FlagBad
    from astroprep.io import ColumnNames, open_survey
    from astroprep.reduce import HarmonicModel

    path = data_dir / "crts_south.parquet"
    with open_survey(path, ColumnNames(period="period"), on_bad="reject") as survey:
        batch = next(iter(survey.iter_batches(200)))
    batch = FlagBad(on_bad="reject").fit_transform(batch)
    stored = compress_curves(batch, HarmonicModel(period="catalogue_period"))
    decoded = stored.decode()
    np.testing.assert_array_equal(decoded.offsets, batch.offsets)
    assert np.nanmedian(stored.residual_in_errors) < 1
    raw = 16 * batch.n_points  # float64 times, float32 values and errors
    assert stored.bytes.sum() < raw / 3

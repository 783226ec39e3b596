"""What `write_survey` writes comes back equal: points, flags, weights, further columns, meta."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey, write_batch, write_survey

POINTS = ("cadence", "survey_flags", "pos_corr1", "trend", "inside")
META = Meta("K2", "flux", "electron/s", "BKJD TDB", 2454833.0, ("z", "k2", "unused"))


@pytest.fixture
def batch(rng):
    """Space-like curves, one of them empty, with everything a batch can hold."""
    n, offsets = 90, np.array([0, 40, 40, 41, 90])
    value = rng.normal(1e4, 50, n)
    value[3] = np.nan
    return LightCurveBatch(
        time=np.sort(rng.uniform(1000, 1080, n)),
        value=value,
        error=rng.uniform(1, 2, n),
        offsets=offsets,
        flags=rng.choice(np.array([0, 1, 16, 1 << 17, 1 << 31], np.uint32), n),
        weight=rng.uniform(0, 1, n),
        band=rng.integers(0, 2, n).astype(np.int16),
        points={
            "cadence": np.arange(n, dtype=np.int64) + (1 << 40),
            "survey_flags": rng.integers(0, 1 << 21, n),
            "pos_corr1": rng.normal(0, 0.1, n).astype(np.float32).astype(np.float64),
            "trend": np.where(rng.random(n) < 0.1, np.nan, rng.normal(1e4, 1, n)),
            "inside": rng.random(n) < 0.5,
        },
        objects={
            "id": np.array(["EPIC 1", "EPIC 2", "EPIC 3", "EPIC 4"], object),
            "ra": rng.uniform(0, 360, 4),
            "dec": rng.uniform(-90, 90, 4),
            "segment": np.array([5, 5, 6, 7]),
            "channel": np.array([1, 2, 3, 4]),
            "crowding": np.array([1.0, np.nan, 0.9, 0.8]),
            "n_flares": np.array([0, 1, 2, 3]),
        },
        meta=META,
    )


def same(back, batch, points=POINTS, objects=None):
    np.testing.assert_array_equal(back.offsets, batch.offsets)
    for name in ("time", "value", "error", "flags", "weight"):
        np.testing.assert_array_equal(getattr(back, name), getattr(batch, name), err_msg=name)
        assert getattr(back, name).dtype == getattr(batch, name).dtype
    bands = [[b.meta.bands[code] for code in b.band] for b in (back, batch)]
    assert bands[0] == bands[1]
    assert set(back.points) == set(points)
    for name in points:
        np.testing.assert_array_equal(back.points[name], batch.points[name], err_msg=name)
        assert back.points[name].dtype == batch.points[name].dtype
    for name in batch.objects if objects is None else objects:
        np.testing.assert_array_equal(back.objects[name], batch.objects[name], err_msg=name)
        assert back.objects[name].dtype == batch.objects[name].dtype


def test_parquet_gives_everything_back_by_itself(tmp_path, batch):
    write_survey(tmp_path / "s.parquet", batch, points="all")

    names = ColumnNames(extra=("n_flares",))
    back = open_survey(tmp_path / "s.parquet", names).read()

    same(back, batch)
    assert back.meta == batch.meta
    np.testing.assert_array_equal(back.band, batch.band)


@pytest.mark.parametrize("max_objects", [1, 3])
def test_parquet_in_pieces(tmp_path, batch, max_objects):
    write_batch(tmp_path / "s.parquet", batch, points=POINTS, row_group_objects=2)
    parts = list(open_survey(tmp_path / "s.parquet").iter_batches(max_objects))
    same(LightCurveBatch.concat(parts), batch, objects=("id", "segment", "crowding"))


def test_csv_gives_back_what_is_asked_for(tmp_path, batch):
    batch = batch.take(np.diff(batch.offsets) > 0)  # a curve without points has no row
    batch = batch.with_columns(points={"inside": batch.points["inside"].astype(np.float64)})
    for name in ("s.csv", "s.csv.gz"):
        write_survey(tmp_path / name, batch, points="all")
        back = open_survey(tmp_path / name, ColumnNames(points=POINTS)).read()
        same(back, batch, objects=("id", "ra", "dec"))
        assert (back.meta.quantity, back.meta.time_ref) == ("flux", 2454833.0)


def test_nothing_is_written_that_says_nothing(tmp_path, make_batch):
    """A simulated survey stays what a survey gives: no truth, no flags of zero."""
    batch = make_batch().with_columns(points={"truth": np.ones(180)})
    write_survey(tmp_path / "s.parquet", batch)
    write_survey(tmp_path / "s.csv", batch)
    with open_survey(tmp_path / "s.parquet") as survey:
        assert set(survey.read().points) == set()
    kind = pq.read_schema(tmp_path / "s.parquet").field("lightcurve").type
    assert [field.name for field in kind] == ["time", "mag", "mag_err"]
    assert "astroprep_flags" not in open_survey(tmp_path / "s.csv").columns


@pytest.mark.parametrize("reference", [2450000.0, 2400000.5, None])
def test_any_zero_of_the_times(tmp_path, make_batch, reference):
    meta = Meta(survey="x", time_scale="HJD", time_ref=reference)
    batch = replace(make_batch(), meta=meta)
    write_survey(tmp_path / "s.parquet", batch)
    wanted = 0.0 if reference is None else reference  # what HJD means where nothing is stated
    assert open_survey(tmp_path / "s.parquet").read().meta.time_ref == wanted


class TestForeignFiles:
    """Columns called flags or weight in files of others are not ours."""

    @pytest.fixture
    def table(self):
        lists = {
            "time": [[1.0, 2.0]],
            "mag": [[3.0, 4.0]],
            "flags": [[9, 0]],
            "weight": [[0.5, 1.0]],
            "airmass": [[1, 2]],
            "site": [["a", "b"]],
        }
        return pa.table({"id": ["x"], **lists})

    def test_they_are_left_alone(self, tmp_path, table):
        pq.write_table(table, tmp_path / "s.parquet")
        back = open_survey(tmp_path / "s.parquet").read()
        assert back.flags.tolist() == [0, 0]
        assert back.weight.tolist() == [1, 1]
        assert not back.points

    def test_or_read_by_name(self, tmp_path, table):
        pq.write_table(table, tmp_path / "s.parquet")
        back = open_survey(tmp_path / "s.parquet", ColumnNames(points=("airmass",))).read()
        assert back.points["airmass"].tolist() == [1, 2]
        with pytest.raises(DataError, match=r"no column 'airmas' .*Did you mean 'airmass'"):
            open_survey(tmp_path / "s.parquet", ColumnNames(points=("airmas",)))
        with pytest.raises(DataError, match="'site' must hold numbers, but its type is string"):
            open_survey(tmp_path / "s.parquet", ColumnNames(points=("site",))).read()
        with pytest.raises(ConfigError, match="cannot be called flags"):
            ColumnNames(points=("flags",))

    def test_own_flags_of_another_type_are_not_taken(self, tmp_path, table):
        own = table.replace_schema_metadata({"written_by": "astroprep"})
        pq.write_table(own, tmp_path / "s.parquet")  # flags are int64 here, not uint32
        back = open_survey(tmp_path / "s.parquet").read()
        assert back.flags.tolist() == [0, 0]
        assert set(back.points) == {"airmass"}
        assert back.weight.tolist() == [0.5, 1.0]

    def test_flags_in_csv_must_be_bits(self, tmp_path):
        (tmp_path / "s.csv").write_text("id,time,mag,astroprep_flags\na,1,2,-1\n")
        with pytest.raises(DataError, match="must hold the bits of PointFlag"):
            open_survey(tmp_path / "s.csv").read()


class TestWriting:
    def test_unknown_and_unfit_columns(self, tmp_path, batch):
        batch = batch.with_columns(
            points={"note": np.full(90, "x", object), "pair": np.ones((90, 2))}
        )
        with pytest.raises(DataError, match="'tren' is not among cadence"):
            write_survey(tmp_path / "s.parquet", batch, points=("tren",))
        with pytest.raises(DataError, match=r"one number a point, but 'pair' is .*\(90, 2\)"):
            write_survey(tmp_path / "s.csv", batch, points=("pair",))
        write_survey(tmp_path / "s.parquet", batch, points="all")
        assert set(open_survey(tmp_path / "s.parquet").read().points) == set(POINTS)

    def test_a_name_that_is_taken(self, tmp_path, batch):
        batch = batch.with_columns(points={"mag": np.ones(90)})
        with pytest.raises(DataError, match="'mag' has the name of one of the batch's own"):
            write_survey(tmp_path / "s.parquet", batch, points="all")

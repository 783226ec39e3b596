"""Nested Parquet: every layout, streaming, and one clear message for what cannot be read."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, NestedParquetReader, open_survey, write_batch
from astroprep.synthetic import content_sha256, simulate_survey

CURVES = [
    ([55000.1, 55001.2, 55002.3], [15.0, 15.5, 15.25], [0.5, 0.25, 0.125]),
    ([], [], []),
    ([55003.5], [14.0], [0.0625]),
    ([55005.0, 55004.0], [13.0, 12.0], [0.5, 0.5]),
]


@pytest.fixture
def batch():
    return LightCurveBatch.from_curves(
        CURVES,
        ids=["a", "b", "c", "d"],
        objects={
            "ra": np.array([10.0, 20.0, np.nan, 40.0]),
            "dec": np.array([-10.0, 0.0, 5.0, 90.0]),
            "label": np.array(["RRab", "", "EA", "EA"], dtype=object),
            "split": np.array(["train", "", "test", "test"], dtype=object),
            "catalogue_period": np.array([0.5, np.nan, 2.0, 3.0]),
        },
        meta=Meta(survey="test", time_scale="MJD UTC", time_ref=2400000.5),
    )


def layouts():
    """The same four light curves in the three layouts that surveys use."""
    lists = [
        pa.array([list(map(float, c[k])) for c in CURVES], pa.list_(pa.float64())) for k in range(3)
    ]
    names = ["time", "mag", "mag_err"]
    ids = pa.array(["a", "b", "c", "d"])
    rows = [
        [dict(zip(names, point, strict=True)) for point in zip(*curve, strict=True)]
        for curve in CURVES
    ]
    kind = pa.list_(pa.struct([(name, pa.float64()) for name in names]))
    return {
        "struct of lists": pa.table(
            {"id": ids, "lightcurve": pa.StructArray.from_arrays(lists, names=names)}
        ),
        "list of structs": pa.table({"id": ids, "lc": pa.array(rows, kind)}),
        "lists side by side": pa.table({"id": ids, **dict(zip(names, lists, strict=True))}),
        "large lists": pa.table(
            {
                "id": ids,
                **{
                    n: a.cast(pa.large_list(pa.float64()))
                    for n, a in zip(names, lists, strict=True)
                },
            }
        ),
    }


def written(tmp_path, table, **options):
    path = tmp_path / "survey.parquet"
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("max_objects", [1, 3, 100])
def test_every_layout_reads_alike(tmp_path, layout, max_objects):
    path = written(tmp_path, layouts()[layout], row_group_size=2)

    parts = list(open_survey(path).iter_batches(max_objects))
    whole = LightCurveBatch.concat(parts)

    assert max(map(len, parts)) <= max_objects
    expected = LightCurveBatch.from_curves(CURVES, ids=["a", "b", "c", "d"])
    for name in ("time", "value", "error", "offsets"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
    assert whole.ids.tolist() == ["a", "b", "c", "d"]
    assert whole.objects["row"].tolist() == [0, 1, 2, 3]


def test_written_and_read_back(tmp_path, batch):
    path = tmp_path / "new" / "survey.parquet"
    write_batch(path, batch)
    back = open_survey(path, ColumnNames(period="period")).read()

    assert content_sha256(back) == content_sha256(batch)
    assert back.meta == batch.meta
    assert back.objects["label"].tolist() == ["RRab", "", "EA", "EA"]
    assert [p.name for p in path.parent.iterdir()] == ["survey.parquet"]


def test_precision_survives_writing(tmp_path):
    fine = LightCurveBatch.from_curves([([0.1], [1 / 3], [0.1])])
    write_batch(tmp_path / "fine.parquet", fine)
    back = open_survey(tmp_path / "fine.parquet").read()
    assert back.value[0] == 1 / 3
    assert back.error[0] == 0.1


def test_period_is_never_read_by_itself(tmp_path, batch):
    write_batch(tmp_path / "s.parquet", batch)
    plain = open_survey(tmp_path / "s.parquet").read()
    assert not any("period" in name for name in plain.objects)
    asked = open_survey(tmp_path / "s.parquet", ColumnNames(period="period")).read()
    np.testing.assert_array_equal(asked.objects["catalogue_period"], [0.5, np.nan, 2.0, 3.0])


@pytest.mark.parametrize("first_row", [0, 1, 2, 3, 5, 6, 7, 99])
@pytest.mark.parametrize("max_objects", [2, 3, 50])
def test_starting_later_cuts_alike(tmp_path, first_row, max_objects):
    """Batches after a restart at a multiple of their size are those of an unbroken run."""
    survey = simulate_survey(7, seed=1)
    path = tmp_path / "s.parquet"
    write_batch(path, survey, row_group_objects=3)
    parts = list(open_survey(path).iter_batches(max_objects, first_row=first_row))

    rows = np.concatenate([p.objects["row"] for p in parts]).tolist()
    assert rows == list(range(min(first_row, 7), 7))
    assert all(len(p) == max_objects for p in parts[:-1])
    for part in parts:
        for i, row in enumerate(part.objects["row"]):
            np.testing.assert_array_equal(part[i].value, survey[int(row)].value)


def test_streams_row_groups(tmp_path, monkeypatch):
    """A row group is not asked for before its turn."""
    survey = simulate_survey(40, seed=1)
    path = tmp_path / "s.parquet"
    write_batch(path, survey, row_group_objects=10)
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    monkeypatch.setattr(pq, "read_table", None)
    reader = open_survey(path)
    stream = reader.iter_batches(10)
    first = next(stream)
    assert len(first) == 10
    assert reader.n_objects == 40


def test_float64_lists_are_not_copied(tmp_path):
    path = written(tmp_path, layouts()["struct of lists"])
    reader = NestedParquetReader(path)
    part = next(reader._file.iter_batches())
    batch = reader._batch(part, 0, reader.meta)
    buffer = part.column("lightcurve").flatten()[0].flatten().buffers()[1]
    assert batch.time.ctypes.data == buffer.address
    assert not batch.time.flags.writeable


def test_names_that_surveys_use(tmp_path, caplog):
    table = pa.table(
        {
            "source_id": pa.array([7, 8]),
            "star_ra": pa.array([1.0, 2.0]),
            "star_dec": pa.array([3.0, 4.0]),
            "light_curve": pa.array(
                [[{"MJD": 55000.0, "psfFlux": 3, "psfFluxErr": 1.0, "band": "g"}], []],
                pa.list_(
                    pa.struct(
                        [
                            ("MJD", pa.float64()),
                            ("psfFlux", pa.int32()),
                            ("psfFluxErr", pa.float32()),
                            ("band", pa.string()),
                        ]
                    )
                ),
            ),
        }
    )
    batch = open_survey(written(tmp_path, table)).read()
    assert batch.ids.tolist() == ["7", "8"]
    assert batch.meta.quantity == "flux"
    assert batch.meta.time_ref == 2400000.5
    assert batch.meta.bands == ("g",)
    assert batch.value.tolist() == [3.0]
    assert batch.objects["dec"].tolist() == [3.0, 4.0]

    sexagesimal = table.set_column(1, "ra", pa.array(["01:00:00", "02:00:00"]))
    with caplog.at_level(logging.WARNING):
        batch = open_survey(written(tmp_path, sexagesimal)).read()
    assert "ra" not in batch.objects
    assert "not degrees" in caplog.text


def test_bands_have_one_code_in_every_batch(tmp_path):
    lists = {
        "time": pa.array([[1.0, 2.0], [3.0], [4.0]]),
        "mag": pa.array([[1.0, 2.0], [3.0], [4.0]]),
        "band": pa.array([["r", "g"], ["i"], [None]]),
    }
    path = written(tmp_path, pa.table(lists), row_group_size=1)
    parts = list(open_survey(path).iter_batches(1))
    assert {p.meta.bands for p in parts} == {("", "g", "i", "r")}
    assert LightCurveBatch.concat(parts).band.tolist() == [3, 1, 2, 0]
    assert np.isnan(parts[0].error).all()


def test_a_band_that_the_metadata_do_not_name_is_refused(tmp_path, batch):
    n = batch.n_points
    many = replace(batch, band=np.arange(n) % 2, meta=replace(batch.meta, bands=("g", "r")))
    path = tmp_path / "b.parquet"
    write_batch(path, many)
    table = pq.read_table(path)
    about = {**table.schema.metadata, b"bands": b'["g"]'}
    pq.write_table(table.replace_schema_metadata(about), path)
    with open_survey(path) as survey, pytest.raises(DataError, match=r"holds r, .* bands \(g\)"):
        list(survey.iter_batches(10))


def test_nulls_become_empty_curves_and_nan(tmp_path):
    table = pa.table(
        {
            "id": pa.array(["a", None, "c"]),
            "label": pa.array([None, "EA", "EA"]),
            "time": pa.array([None, [1.0, None], [2.0]], pa.list_(pa.float64())),
            "mag": pa.array([None, [1.0, 2.0], [None]], pa.list_(pa.float32())),
        }
    )
    batch = open_survey(written(tmp_path, table)).read()
    assert np.diff(batch.offsets).tolist() == [0, 2, 1]
    assert batch.ids.tolist() == ["a", "row-1", "c"]
    assert batch.objects["label"].tolist() == ["", "EA", "EA"]
    np.testing.assert_array_equal(batch.time, [1.0, np.nan, 2.0])
    np.testing.assert_array_equal(batch.value, [1.0, 2.0, np.nan])


def test_without_id_the_row_stands_in(tmp_path):
    table = pa.table({"time": pa.array([[1.0]] * 3), "mag": pa.array([[1.0]] * 3)})
    assert open_survey(written(tmp_path, table)).read().ids.tolist() == ["row-0", "row-1", "row-2"]


def test_repeated_ids_stay_separate_objects(tmp_path):
    table = pa.table(
        {
            "id": pa.array(["a", "a"]),
            "time": pa.array([[1.0], [2.0]]),
            "mag": pa.array([[1.0], [2.0]]),
        }
    )
    batch = open_survey(written(tmp_path, table)).read()
    assert batch.ids.tolist() == ["a", "a"]
    assert batch.objects["row"].tolist() == [0, 1]


def test_lists_of_unequal_length(tmp_path):
    table = pa.table(
        {
            "id": pa.array(["good", "bad", "fine"]),
            "time": pa.array([[1.0], [1.0, 2.0], [3.0]]),
            "mag": pa.array([[1.0], [1.0], [3.0]]),
        }
    )
    path = written(tmp_path, table)
    with pytest.raises(
        DataError,
        match=r"'bad' \(row 1\) needs lists of equal length, has 2 in 'time', 1 in 'mag'; 1 of 3",
    ):
        open_survey(path).read()
    batch = open_survey(path, on_bad="reject").read()
    assert batch.ids.tolist() == ["good", "fine"]
    assert batch.time.tolist() == [1.0, 3.0]
    assert batch.n_objects == 3
    assert batch.rejected.row.tolist() == [1]
    assert batch.rejected.reason[0].startswith("needs lists of equal length")


def test_no_rows_is_an_empty_survey(tmp_path, batch):
    write_batch(tmp_path / "s.parquet", batch[:0])
    reader = open_survey(tmp_path / "s.parquet")
    parts = list(reader.iter_batches())
    assert reader.n_objects == 0
    assert [len(p) for p in parts] == [0]
    assert set(parts[0].objects) >= {"id", "row", "ra", "label"}


class TestBadFiles:
    def test_missing_file_names_its_neighbours(self, tmp_path, batch):
        write_batch(tmp_path / "survey.parquet", batch)
        with pytest.raises(
            DataError, match=r"surve\.parquet does not exist.* holds survey\.parquet"
        ):
            open_survey(tmp_path / "surve.parquet")

    def test_folder(self, tmp_path):
        (tmp_path / "x.parquet").mkdir()
        with pytest.raises(DataError, match="is a folder"):
            open_survey(tmp_path / "x.parquet")

    @pytest.mark.timeout(20)
    def test_pipe(self, tmp_path):
        """Nobody writes to it, so reading would never end."""
        os.mkfifo(tmp_path / "x.parquet")
        with pytest.raises(DataError, match=r"x\.parquet is no ordinary file"):
            open_survey(tmp_path / "x.parquet")

    def test_empty_file(self, tmp_path):
        (tmp_path / "x.parquet").touch()
        with pytest.raises(DataError, match="empty file"):
            open_survey(tmp_path / "x.parquet")

    def test_not_parquet(self, tmp_path):
        (tmp_path / "x.parquet").write_text("id,time,mag\n1,2,3\n")
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            open_survey(tmp_path / "x.parquet")

    def test_truncated(self, tmp_path):
        path = tmp_path / "x.parquet"
        write_batch(path, simulate_survey(20, seed=1))
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(DataError, match="truncated"):
            open_survey(path)

    def test_damaged_in_the_middle(self, tmp_path):
        path = tmp_path / "x.parquet"
        write_batch(path, simulate_survey(60, seed=1), row_group_objects=30)
        data = bytearray(path.read_bytes())
        start = len(data) // 2
        data[start : start + 4000] = os.urandom(4000)
        path.write_bytes(data)
        with pytest.raises(DataError, match="is damaged from row"):
            open_survey(path).read()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("bands", "[1, 2]"), ("bands", "{"), ("bands", "[" * 9999), ("time_ref", "x"),
         ("time_ref", "nan")],
    )  # fmt: skip
    def test_damaged_metadata(self, tmp_path, batch, name, value):
        path = tmp_path / "x.parquet"
        meta = replace(batch.meta, bands=("g",))
        write_batch(path, replace(batch, band=np.zeros(batch.n_points, np.int16), meta=meta))
        table = pq.read_table(path)
        metadata = {**table.schema.metadata, name.encode(): value.encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(DataError, match=rf"x.parquet: its metadata .*{name}.* again"):
            open_survey(path).read()

    def test_unknown_suffix(self, tmp_path):
        with pytest.raises(DataError, match=r"no format goes by '\.dat'"):
            open_survey(tmp_path / "x.dat")

    def test_unwritable(self, tmp_path, batch):
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="cannot be written"):
            write_batch(tmp_path / "file" / "x.parquet", batch)

    def test_a_folder_or_device_is_not_written_over(self, tmp_path, batch):
        os.mkfifo(tmp_path / "pipe.parquet")
        (tmp_path / "folder.parquet").mkdir()
        for name in ("pipe.parquet", "folder.parquet"):
            with pytest.raises(DataError, match="no ordinary file"):
                write_batch(tmp_path / name, batch)
            assert not (tmp_path / name).is_file()

    def test_a_name_of_two_columns(self, tmp_path):
        table = layouts()["struct of lists"]
        twice = pa.Table.from_arrays(
            [*table.columns, table["id"]], names=["id", "lightcurve", "id"]
        )
        pq.write_table(twice, tmp_path / "s.parquet")
        with pytest.raises(DataError, match=r"s\.parquet: 2 columns are called 'id'"):
            open_survey(tmp_path / "s.parquet")

    def test_julian_dates_in_float32(self, tmp_path):
        """float32 holds a Julian date to a quarter of a day: no period survives that."""
        time = np.linspace(2455000.0, 2455100.0, 40)
        for kind in (pa.float64(), pa.float32()):
            lists = pa.table({"jd": pa.array([time], pa.list_(kind)), "mag": [[15.0] * 40]})
            pq.write_table(lists, tmp_path / f"{kind}.parquet")
        with open_survey(tmp_path / "double.parquet") as survey:
            assert survey.read().n_points == 40
        with (
            open_survey(tmp_path / "float.parquet") as survey,
            pytest.raises(DataError, match=r"'jd' holds times near 2,455,050 d as float32"),
        ):
            survey.read()

    def test_failed_writing_leaves_the_old_file(self, tmp_path, batch, monkeypatch):
        path = tmp_path / "x.parquet"
        path.write_text("old")

        def full(*_args, **_kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pq, "write_table", full)
        with pytest.raises(DataError, match="No space left"):
            write_batch(path, batch)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


class TestBadColumns:
    def test_missing_column_with_the_closest_match(self, tmp_path, batch):
        write_batch(tmp_path / "s.parquet", batch)
        with pytest.raises(
            DataError, match=r"no column 'perod' for the period; there is .*Did you mean 'period'\?"
        ):
            open_survey(tmp_path / "s.parquet", ColumnNames(period="perod"))

    def test_no_light_curves(self, tmp_path):
        table = pa.table({"id": pa.array([1]), "time": pa.array([1.0]), "mag": pa.array([1.0])})
        with pytest.raises(DataError, match=r"no light curves.*read as CSV"):
            open_survey(written(tmp_path, table))

    def test_no_value_column(self, tmp_path):
        table = pa.table({"time": pa.array([[1.0]]), "brightness": pa.array([[1.0]])})
        path = written(tmp_path, table)
        with pytest.raises(DataError, match="no column for the value"):
            open_survey(path)
        assert open_survey(path, ColumnNames(value="brightness")).read().value.tolist() == [1.0]

    @pytest.mark.parametrize("column", ["time", "mag", "mag_err"])
    def test_text_where_numbers_belong(self, tmp_path, column):
        lists = {name: pa.array([[1.0]]) for name in ("time", "mag", "mag_err")}
        lists[column] = pa.array([["x"]])
        with pytest.raises(
            DataError, match=f"'{column}' must hold lists of numbers, but holds string"
        ):
            open_survey(written(tmp_path, pa.table(lists)))

    def test_text_where_a_period_belongs(self, tmp_path):
        table = pa.table(
            {"time": pa.array([[1.0]]), "mag": pa.array([[1.0]]), "period": pa.array(["long"])}
        )
        reader = open_survey(written(tmp_path, table), ColumnNames(period="period"))
        with pytest.raises(DataError, match="'period' must hold numbers, but its type is string"):
            reader.read()

    def test_fractional_ids(self, tmp_path):
        table = pa.table(
            {"id": pa.array([1.5]), "time": pa.array([[1.0]]), "mag": pa.array([[1.0]])}
        )
        with pytest.raises(DataError, match="'id' must hold text or whole numbers"):
            open_survey(written(tmp_path, table)).read()
        whole = table.set_column(0, "id", pa.array([12.0]))
        assert open_survey(written(tmp_path, whole)).read().ids.tolist() == ["12"]

    def test_two_candidates(self, tmp_path):
        curve = layouts()["struct of lists"].column("lightcurve")
        table = pa.table({"g_points": curve, "r_points": curve})
        path = written(tmp_path, table)
        with pytest.raises(DataError, match="g_points, r_points could each be the light curve"):
            open_survey(path)
        assert len(open_survey(path, ColumnNames(lightcurve="r_points")).read()) == 4

    def test_settings(self, tmp_path, batch):
        write_batch(tmp_path / "s.parquet", batch)
        with pytest.raises(ConfigError, match="max_objects"):
            next(open_survey(tmp_path / "s.parquet").iter_batches(0))
        with pytest.raises(ConfigError, match="extra columns cannot be called row"):
            ColumnNames(extra=("row",))

    def test_extra_columns(self, tmp_path):
        survey = simulate_survey(5, seed=1)
        write_batch(tmp_path / "s.parquet", survey)
        names = ColumnNames(extra=("amplitude", "twin_of"))
        back = open_survey(tmp_path / "s.parquet", names).read()
        np.testing.assert_array_equal(back.objects["amplitude"], survey.objects["amplitude"])
        assert back.objects["twin_of"].tolist() == survey.objects["twin_of"].tolist()


@pytest.mark.parametrize(
    ("name", "objects", "points", "bands"),
    [
        ("sdss_stripe82_rrlyrae", 483, 136137, ("g", "i", "r", "u", "z")),
        ("lmc_cepheids_multisurvey", 1561, 1110729, ("B", "B_E", "B_M", "I", "R_E", "R_M", "V")),
        ("asas_south", 13909, 6334240, ()),
        ("crts_south", 37745, 8453895, ()),
    ],
)
def test_real_surveys(data_dir, name, objects, points, bands):
    """Counts as in the README of the data."""
    with open_survey(data_dir / f"{name}.parquet") as survey:
        sizes = [(len(b), b.n_points) for b in survey.iter_batches(4096)]
        assert survey.meta.bands == bands
        assert survey.meta.time_ref is not None
    assert np.sum(sizes, axis=0).tolist() == [objects, points]

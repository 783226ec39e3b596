"""Tables read through a schema, block by block and file by file."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey, read_head, text_blocks
from astroprep.surveys import load_schema


def crts(n_stars: int, n_points: int) -> str:
    rows = ["MasterID,Mag,Magerr,RA,Dec,MJD,Blend"]
    rows += [
        f"{1000 + i},{15 + i / 8},0.1,{10 + i},{-20 - i},{53500 + k},0"
        for i in range(n_stars)
        for k in range(n_points)
    ]
    return "\n".join(rows) + "\n"


def test_csv_of_catalina(tmp_path, monkeypatch):
    """Small blocks, so that objects go over their borders."""
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 256)
    path = tmp_path / "crts.csv"
    path.write_text(crts(7, 5))

    with open_survey(path, schema="crts") as survey:
        whole = survey.read()
        parts = list(survey.iter_batches(2))
        later = list(survey.iter_batches(2, first_row=3))

        assert survey.n_objects == 7
    assert whole.ids.tolist() == [str(1000 + i) for i in range(7)]
    assert np.diff(whole.offsets).tolist() == [5] * 7
    assert whole.value[::5].tolist() == [15 + i / 8 for i in range(7)]
    np.testing.assert_allclose(whole.objects["ra"], 10 + np.arange(7), atol=1e-9)
    assert whole.meta.time_scale == "MJD UTC"
    assert [len(p) for p in parts] == [2, 2, 2, 1]
    assert np.concatenate([p.value for p in parts]).tolist() == whole.value.tolist()
    assert np.concatenate([p.objects["row"] for p in parts]).tolist() == list(range(7))
    assert np.concatenate([p.objects["row"] for p in later]).tolist() == [3, 4, 5, 6]


def test_the_reader_gives_what_the_schema_makes_of_the_table(tmp_path):
    path = tmp_path / "crts.csv"
    path.write_text(crts(3, 4))
    table = read_head(path)
    one, two = load_schema("crts").apply(table), open_survey(path, schema="crts").read()
    for name in ("time", "value", "error", "offsets", "flags", "band"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.meta == two.meta


def test_a_file_without_ids_is_one_star_with_its_name(tmp_path):
    """ASAS-SN Sky Patrol, with a line of comment, and a folder of such files."""
    text = "HJD,Camera,mag,mag_err,flux(mJy),flux_err,Filter\n"
    (tmp_path / "star-a.csv").write_text(
        "# Sky Patrol\n" + text + "2457000.5,ba,>15.5,99.99,1,1,V\n"
    )
    with gzip.open(tmp_path / "star-b.csv.gz", "wt") as file:
        file.write(text + "2457001.5,ba,12.5,0.02,1,1,g\n2457002.5,ba,12.75,0.02,1,1,V\n")

    with open_survey(tmp_path, schema="asas-sn") as survey:
        batch = survey.read()
        assert survey.n_objects == 2

    assert batch.ids.tolist() == ["star-a", "star-b"]
    assert batch.meta.bands == ("asassn_v", "asassn_g")
    assert batch.band.tolist() == [0, 1, 0]
    assert batch.flags[0] == PointFlag.UPPER_LIMIT
    flux = open_survey(tmp_path, ColumnNames(schema="asas-sn", value="flux")).read()
    assert flux.meta.unit == "mJy"


def test_ogle_files_have_no_names_and_any_white_space(tmp_path):
    path = tmp_path / "OGLE-LMC-CEP-0001.dat"
    path.write_text("2123.50000  15.250 0.010\n2124.5 15.5   0.02\n")

    batch = open_survey(path, schema="ogle").read()

    assert batch.ids.tolist() == ["OGLE-LMC-CEP-0001"]
    assert batch.time.tolist() == [2123.5, 2124.5]
    assert batch.error.tolist() == [0.01, 0.02]
    assert (batch.meta.time_ref, batch.meta.time_scale) == (2450000.0, "HJD-2450000 UTC")
    assert batch.band is None  # the folder says it, not the file


def test_eros_files_have_both_bands_in_a_row(tmp_path):
    path = tmp_path / "lm0627m14174.time"
    path.write_text(
        "# time R errR B errB\n  300.5 15.25 0.02 16.5 0.03\n301.5 99.999 9.999 16.75 0.03\n"
    )

    batch = open_survey(path, schema="eros-2").read()

    assert batch.ids.tolist() == ["lm0627m14174"]
    assert batch.meta.bands == ("eros2_r", "eros2_b")
    assert batch.value[[0, 2, 3]].tolist() == [15.25, 16.5, 16.75]
    assert batch.flags[1] == PointFlag.SENTINEL | PointFlag.MISSING_VALUE
    assert np.isnan(batch.error[1])


def test_macho_files(tmp_path):
    schema = load_schema("macho")
    cells = dict.fromkeys(schema.file.columns, "0")
    rows = []
    for star, mjd, red in ((15, 48825.5, -8.5), (15, 48826.5, -99.0), (16, 48825.5, -7.5)):
        row = {**cells, "blank": "", "field": "1", "tile": "3441", "sequence": str(star)}
        row |= {"mjd": str(mjd), "red_mag": str(red), "blue_mag": "-8.0"}
        rows.append(";".join(row.values()))
    path = tmp_path / "F_1.3441.csv"
    path.write_text("\n".join(rows) + "\n")

    with open_survey(path, schema="macho") as survey:
        batch = survey.read()
        assert survey.n_objects == 2

    assert batch.ids.tolist() == ["1.3441.15", "1.3441.16"]
    assert np.diff(batch.offsets).tolist() == [4, 2]


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_flat_and_nested(tmp_path, nested):
    ids, mjd, mag = ["a", "a", "b"], [58000.5, 58001.5, 58002.5], [15.0, 15.5, 16.0]
    if nested:
        points = [
            {"mjd": mjd[:2], "mag": mag[:2], "filterid": [1, 2]},
            {"mjd": mjd[2:], "mag": mag[2:], "filterid": [2]},
        ]
        table = pa.table({"oid": ["a", "b"], "label": ["x", "y"], "lightcurve": points})
    else:
        label = ["x", "x", "y"]
        columns = {"oid": ids, "mjd": mjd, "mag": mag, "filterid": [1, 2, 2], "label": label}
        table = pa.table(columns)
    pq.write_table(table, tmp_path / "t.parquet")

    with open_survey(tmp_path / "t.parquet", schema="ztf") as survey:
        batch = survey.read()
        assert survey.n_objects == 2

    assert batch.ids.tolist() == ["a", "b"]
    assert batch.value.tolist() == mag
    assert batch.band.tolist() == [0, 1, 1]
    assert batch.objects["label"].tolist() == ["x", "y"]


def test_bad_objects_are_raised_or_set_aside_with_their_row(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(crts(4, 2).replace("15.125,0.1", "bright,0.1"))
    with pytest.raises(DataError, match=r"c.csv needs a number in every cell of 'Mag': '1001'"):
        open_survey(path, schema="crts").read()
    parts = list(open_survey(path, schema="crts", on_bad="reject").iter_batches(3))
    assert [p.n_objects for p in parts] == [3, 1]
    assert parts[0].rejected.row.tolist() == [1]
    assert parts[0].objects["row"].tolist() == [0, 2]


def test_an_id_that_comes_back_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 128)
    text = crts(6, 2)
    path = tmp_path / "c.csv"
    path.write_text(text + "1000,15,0.1,10,-20,53600,0\n")
    with pytest.raises(DataError, match=r"rows of '1000' do not stand together.*apply\(table\)"):
        list(open_survey(path, schema="crts").iter_batches(2))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"MasterID,Mag\n1,2\n", "needs a time: one of MJD"),
        ("x.csv", b"", "is an empty file"),
        ("x.csv", b"MasterID,MJD,Mag\n1,2\n", "cannot be read as a table"),
        ("x.csv.gz", b"\x1f\x8bnonsense", "cannot be read as a table"),
        ("x.parquet", b"PAR1nonsense", "cannot be read as a table"),
        ("x.doc", b"?", "ends in .parquet"),
    ],
)
def test_a_hostile_file_is_one_clear_error(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_survey(tmp_path / name, schema="crts").read()


def test_schema_and_columns_exclude_each_other():
    with pytest.raises(ConfigError, match="schema ztf says which columns are time, band"):
        ColumnNames(schema="ztf", time="t", band="b")
    with pytest.raises(ConfigError, match="did you mean 'ztf'"):
        open_survey("x.csv", schema="ztff")


def test_a_table_with_a_header_only(tmp_path):
    (tmp_path / "x.csv").write_text(crts(0, 0))
    with open_survey(tmp_path / "x.csv", schema="crts") as survey:
        assert survey.n_objects == 0
        assert survey.read().n_curves == 0


def test_real_catalina_through_the_schema(data_dir, tmp_path):
    """The nested file, written as the survey's own CSV and read back, is itself."""
    nested = next(open_survey(data_dir / "crts_south.parquet").iter_batches(300))
    curve = np.repeat(np.arange(nested.n_curves), np.diff(nested.offsets))
    table = pa.table(
        {
            "MasterID": nested.ids[curve].astype(str),
            "Mag": nested.value, "Magerr": nested.error, "MJD": nested.time,
            "RA": nested.objects["ra"][curve], "Dec": nested.objects["dec"][curve],
            "Blend": np.zeros(curve.size, int),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "c.parquet")
    batch = open_survey(tmp_path / "c.parquet", schema="crts").read()
    assert batch.ids.tolist() == nested.ids.tolist()
    np.testing.assert_array_equal(batch.value, nested.value)
    good = nested.time != -2409998.5
    np.testing.assert_array_equal(batch.time[good], nested.time[good])
    np.testing.assert_allclose(batch.objects["ra"], nested.objects["ra"], atol=1e-9)

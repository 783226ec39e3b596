"""Long CSV: streamed by object, whatever the blocks, with one clear message for bad rows."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.io import ColumnNames, csv, open_survey, write_survey
from astroprep.synthetic import simulate_survey

GOOD = """id,mjd,mag,magerr,label,ra
a,55000.5,15.1,0.1,EA,10
a,55001.5,15.2,,EA,10
b,55002.5,nan,0.1,,20
c,55003.5,15.4,0.1,RRab,30
c,55000.5,15.5,0.1,RRab,30
"""


def written(tmp_path, text, name="survey.csv"):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["survey.csv", "survey.csv.gz", "SURVEY.CSV"])
def test_reads_what_is_there(tmp_path, name):
    with open_survey(written(tmp_path, GOOD, name)) as survey:
        batch = survey.read()
        assert survey.n_objects == 3
    assert batch.ids.tolist() == ["a", "b", "c"]
    assert np.diff(batch.offsets).tolist() == [2, 1, 2]
    assert batch.objects["label"].tolist() == ["EA", "", "RRab"]
    assert batch.objects["ra"].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(batch.value, [15.1, 15.2, np.nan, 15.4, 15.5])
    np.testing.assert_array_equal(batch.error, [0.1, np.nan, 0.1, 0.1, 0.1])
    assert batch.meta.time_scale == "MJD"
    assert batch.meta.time_ref == 2400000.5


@pytest.mark.parametrize("block", [2000, 30_000, 1 << 22])
@pytest.mark.parametrize("max_objects", [1, 4, 100])
def test_blocks_do_not_show(tmp_path, monkeypatch, block, max_objects):
    survey = simulate_survey(11, seed=6, accidents=0)
    path = tmp_path / "s.csv"
    write_survey(path, survey)
    monkeypatch.setattr(csv, "BLOCK_BYTES", block)

    reader = open_survey(path, ColumnNames(period="period"))
    parts = list(reader.iter_batches(max_objects))
    whole = LightCurveBatch.concat(parts)

    assert reader.n_objects == 11
    assert [len(p) for p in parts[:-1]] == [max_objects] * (len(parts) - 1)
    np.testing.assert_array_equal(whole.offsets, survey.offsets)
    np.testing.assert_array_equal(whole.time, survey.time)
    np.testing.assert_array_equal(whole.value.astype(np.float32), survey.value.astype(np.float32))
    np.testing.assert_array_equal(
        whole.objects["catalogue_period"], survey.objects["catalogue_period"]
    )
    assert whole.objects["row"].tolist() == list(range(11))
    later = list(reader.iter_batches(max_objects, first_row=5))
    assert np.concatenate([p.objects["row"] for p in later]).tolist() == list(range(5, 11))


def test_bands(tmp_path):
    text = "oid,hjd,mag,band\n1,2450000.5,15,V\n1,2450001.5,14,I\n2,2450001.5,14,\n"
    batch = open_survey(written(tmp_path, text)).read()
    assert batch.meta.bands == ("", "I", "V")
    assert batch.band.tolist() == [2, 1, 0]
    assert np.isnan(batch.error).all()
    assert batch.ids.tolist() == ["1", "2"]


def test_header_only(tmp_path):
    survey = open_survey(written(tmp_path, "id,time,mag\n"))
    assert [len(b) for b in survey.iter_batches()] == [0]
    assert survey.n_objects == 0


class TestBadFiles:
    def test_id_that_comes_back(self, tmp_path):
        text = "id,time,mag\na,1,1\nb,1,1\na,2,1\n"
        with pytest.raises(DataError, match=r"'a' comes back after other objects.*Sort the file"):
            open_survey(written(tmp_path, text)).read()

    def test_missing_id(self, tmp_path):
        with pytest.raises(DataError, match="rows without an id"):
            open_survey(written(tmp_path, "id,time,mag\n,1,1\n")).read()

    def test_label_that_changes(self, tmp_path):
        text = "id,time,mag,label\na,1,1,EA\na,2,1,EB\n"
        with pytest.raises(DataError, match="'label' changes within object 'a'"):
            open_survey(written(tmp_path, text)).read()

    def test_text_where_a_number_belongs(self, tmp_path):
        with pytest.raises(DataError, match=r"survey\.csv: .*bright"):
            open_survey(written(tmp_path, "id,time,mag\na,1,bright\n")).read()

    def test_ragged_rows(self, tmp_path):
        with pytest.raises(DataError, match="Expected 3 columns, got 2"):
            open_survey(written(tmp_path, "id,time,mag\na,1\n")).read()

    def test_text_in_another_encoding(self, tmp_path):
        for k, text in enumerate((GOOD.replace("b,", "é,"), GOOD.replace("label", "étoile"))):
            path = tmp_path / f"{k}.csv"
            path.write_bytes(text.encode("latin-1"))
            with pytest.raises(DataError, match=rf"{k}\.csv.*(UTF8|utf-8)"):
                open_survey(path).read()

    def test_a_name_of_two_columns(self, tmp_path):
        path = written(tmp_path, GOOD.replace("magerr", "mag"))
        with pytest.raises(DataError, match="2 columns are called 'mag'"):
            open_survey(path)

    def test_no_id_column(self, tmp_path):
        with pytest.raises(DataError, match=r"no column for the id.*there is time, mag"):
            open_survey(written(tmp_path, "time,mag\n1,1\n"))

    def test_no_time_column(self, tmp_path):
        with pytest.raises(DataError, match="no column for the time"):
            open_survey(written(tmp_path, "id,when,mag\na,1,1\n"))

    def test_empty(self, tmp_path):
        with pytest.raises(DataError, match="empty file"):
            open_survey(written(tmp_path, ""))

    def test_truncated_gzip(self, tmp_path):
        path = tmp_path / "s.csv.gz"
        write_survey(path, simulate_survey(3, seed=1))
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(DataError, match=r"s\.csv\.gz"):
            open_survey(path).read()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"time": "mjd", "value": "mjd"}, "'mjd' cannot be both the time and the value"),
        ({"error": "mag"}, "'mag' cannot be both the value and the error"),
        ({"ra": "mag", "dec": "mag"}, "'mag' cannot be both the ra and the dec"),
    ],
)
def test_one_column_is_not_two_things(tmp_path, names, words):
    path = tmp_path / "a.csv"
    path.write_text("id,mjd,mag,magerr\na,58000.1,15,.1\na,58001.1,15.1,.1\n")
    with pytest.raises(DataError, match=words), open_survey(path, ColumnNames(**names)) as survey:
        survey.read()


def test_heliocentric_days_stay_heliocentric(tmp_path):
    """Taken for MJD of the observatory, they are corrected for 8 minutes once more."""
    path = tmp_path / "ztf.csv"
    path.write_text("id,hmjd,mag\na,58000.1,15\na,58001.1,15.1\n")
    with open_survey(path) as survey:
        meta = survey.read().meta
    assert (meta.time_scale, meta.time_ref) == ("HMJD", 2400000.5)

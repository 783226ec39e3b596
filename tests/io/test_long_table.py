"""Light curves as FITS tables and VOTables: round trips, units, clocks, hostile files."""

from __future__ import annotations

import bz2
import gzip
import lzma
from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.io import fits, votable
from astropy.table import MaskedColumn, Table

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.io import (
    ColumnNames,
    files,
    make_provenance,
    open_survey,
    read_astro_table,
    read_provenance,
    write_survey,
)

ENDINGS = ["fits", "fits.gz", "vot", "vot.gz", "xml"]
META = Meta("K2", "flux", "electron/s", "BKJD TDB", 2454833.0, ("z", "k2", "unused"))


@pytest.fixture
def batch(rng):
    """Curves with everything that a batch can hold, one of a single point."""
    n, offsets = 90, np.array([0, 40, 41, 90])
    value = rng.normal(1e4, 50, n)
    value[3] = np.nan
    return LightCurveBatch(
        time=np.sort(rng.uniform(1000, 1080, n))[::-1].copy(),
        value=value,
        error=rng.uniform(1, 2, n),
        offsets=offsets,
        flags=rng.choice(np.array([0, 1, 16, 1 << 17, 1 << 31], np.uint32), n),
        weight=rng.uniform(0, 1, n),
        band=rng.integers(-1, 2, n).astype(np.int16),
        points={
            "cadence": np.arange(n, dtype=np.int64) + (1 << 40),
            "trend": np.where(rng.random(n) < 0.1, np.nan, rng.normal(1e4, 1, n)),
            "inside": rng.random(n) < 0.5,
        },
        objects={
            "id": np.array(["EPIC 1", "007", "nan"], object),
            "ra": rng.uniform(0, 360, 3),
            "dec": rng.uniform(-90, 90, 3),
            "segment": np.array([5, 6, 7]),
            "crowding": np.array([1.0, np.nan, 0.9]),
            "n_flares": np.array([0, 1, 2]),
            "catalogue_period": np.array([0.5, np.nan, 3.0]),
            "label": np.array(["RRab", "", "EA"], object),
        },
        meta=META,
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_comes_back(tmp_path, batch, ending):
    path = tmp_path / f"curves.{ending}"
    before = {name: getattr(batch, name).copy() for name in ("time", "value", "flags")}

    write_survey(path, batch, points="all")
    with open_survey(path, ColumnNames(extra=("n_flares",), period="period")) as survey:
        assert survey.n_objects == 3
        back = survey.read()

    assert back.meta == META
    np.testing.assert_array_equal(back.offsets, batch.offsets)
    for name in ("time", "value", "error", "flags", "weight"):
        np.testing.assert_array_equal(getattr(back, name), getattr(batch, name), err_msg=name)
        assert getattr(back, name).dtype == getattr(batch, name).dtype
    names = np.array([*META.bands, ""], object)
    assert names[back.band].tolist() == names[batch.band].tolist()
    for name, column in batch.points.items():
        np.testing.assert_array_equal(back.points[name], column, err_msg=name)
        assert back.points[name].dtype == column.dtype
    for name, column in batch.objects.items():
        np.testing.assert_array_equal(back.objects[name], column, err_msg=name)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(batch, name), column)


@pytest.mark.parametrize("ending", ["fits", "vot"])
def test_without_points_the_file_holds_none(tmp_path, batch, ending):
    path = tmp_path / f"curves.{ending}"
    write_survey(path, batch)
    assert not open_survey(path).read().points
    assert "catalogue_period" not in open_survey(path).read().objects  # only where it is named


@pytest.mark.parametrize("ending", ["fits", "vot"])
def test_batches_are_cut_alike(tmp_path, batch, ending):
    path = tmp_path / f"curves.{ending}"
    write_survey(path, batch)
    parts = list(open_survey(path).iter_batches(2))
    assert [len(part) for part in parts] == [2, 1]
    (last,) = open_survey(path).iter_batches(2, first_row=2)
    assert last.ids.tolist() == ["nan"]
    assert last.objects["row"].tolist() == [2]
    np.testing.assert_array_equal(last.value, batch.value[41:])


@pytest.mark.filterwarnings("ignore:'electron/s' did not parse")  # no unit of the FITS standard
def test_others_read_what_is_written(tmp_path, batch):
    """astropy, as another reader, sees units, descriptions, clock and record."""
    record = make_provenance("merge", inputs=[{"name": "a", "rows": 3, "sha256": "0" * 64}])
    for ending in ("fits", "vot"):
        write_survey(tmp_path / f"c.{ending}", batch, points="all", record=record)
        assert read_provenance(tmp_path / f"c.{ending}") == record
    with fits.open(tmp_path / "c.fits") as file:
        header = file[1].header
        assert header[f"TCOMM{list(file[1].columns.names).index('ra') + 1}"].endswith("ICRS")
        assert header["TIMESYS"] == "TDB"
        assert header["TREFPOS"] == "BARYCENT"
        assert header["JDREF"] == 2454833.0
        assert any("sha256" in str(line) for line in header["HISTORY"])
    file = votable.parse(tmp_path / "c.vot", verify="exception")  # valid to the letter
    (clock,) = file.resources[0].time_systems
    assert (clock.timeorigin, clock.timescale, clock.refposition) == (
        2454833.0, "TDB", "BARYCENTER",
    )  # fmt: skip
    fields = {field.name: field for field in file.get_first_table().fields}
    assert fields["time"].ref == "clock"
    assert fields["ra"].description == "Right ascension, ICRS"
    for kind, path in (("fits", tmp_path / "c.fits"), ("votable", tmp_path / "c.vot")):
        assert read_astro_table(path, kind).descriptions["ra"] == "Right ascension, ICRS"
    for table in (Table.read(tmp_path / "c.fits"), file.get_first_table().to_table()):
        assert table["time"].unit == units.day
        assert str(table["flux"].unit).replace(" ", "") == "electron/s"
        np.testing.assert_array_equal(np.asarray(table["time"]), batch.time)


def foreign(**further):
    """A table of two stars as others write it, their rows mixed."""
    return Table(
        {
            "obj_id": [20, 10, 20, 10, 20],
            "mjd": [55000.5, 55001.5, 55002.5, 55003.5, 55004.5],
            "mag": [15.0, 16.0, 15.1, np.nan, 15.2],
            "mag_err": [10.0, 20.0, 30.0, 40.0, 50.0],
            **further,
        }
    )


@pytest.mark.parametrize("ending", ["fits", "vot"])
class TestForeign:
    def write(self, tmp_path, table, ending):
        path = tmp_path / f"foreign.{ending}"
        table.write(path, format="fits" if ending == "fits" else "votable", overwrite=True)
        return path

    def test_rows_of_an_object_may_stand_apart(self, tmp_path, ending):
        back = open_survey(self.write(tmp_path, foreign(), ending)).read()
        assert back.ids.tolist() == ["20", "10"]
        assert back.value[:3].tolist() == [15.0, 15.1, 15.2]
        assert back.meta.time_ref == 2400000.5

    def test_units_are_brought_to_ours(self, tmp_path, ending):
        table = foreign(ra=[0.5] * 5, dec=[0.1] * 5)
        table["mag_err"].unit = "mmag"
        table["mag"].unit = "mag"
        table["mjd"].unit = "h"
        table["ra"].unit = table["dec"].unit = "rad"
        back = open_survey(self.write(tmp_path, table, ending)).read()
        np.testing.assert_allclose(back.error[:3], [0.01, 0.03, 0.05], rtol=1e-14)
        np.testing.assert_allclose(back.time[:1], 55000.5 / 24, rtol=1e-14)
        np.testing.assert_allclose(back.objects["ra"], np.rad2deg(0.5), rtol=1e-14)
        np.testing.assert_allclose(back.objects["dec"], np.rad2deg(0.1), rtol=1e-14)
        assert back.meta.unit == "mag"

    def test_a_unit_that_does_not_fit_is_refused(self, tmp_path, ending):
        table = foreign()
        table["mjd"].unit = "deg"
        path = self.write(tmp_path, table, ending)
        with pytest.raises(DataError, match=r"foreign.*'mjd' is in 'deg', which cannot be brought"):
            open_survey(path)
        table = foreign()
        table["mag"].unit, table["mag_err"].unit = "mag", "Jy"
        with pytest.raises(DataError, match="'mag_err' is in"):
            open_survey(self.write(tmp_path, table, ending))

    def test_missing_numbers_are_nan_whatever_lies_beneath(self, tmp_path, ending):
        table = foreign(counts=MaskedColumn([1, 2, 3, 4, 5], mask=[1, 0, 0, 0, 0]))
        path = self.write(tmp_path, table, ending)
        back = open_survey(path, ColumnNames(value="counts")).read()
        np.testing.assert_array_equal(back.value, [np.nan, 3, 5, 2, 4])

    def test_an_object_without_an_id_is_refused(self, tmp_path, ending):
        table = foreign()
        table["obj_id"] = MaskedColumn([20, 10, 20, 10, 20], mask=[0, 1, 0, 0, 0])
        with pytest.raises(DataError, match="without an id"):
            open_survey(self.write(tmp_path, table, ending)).read()

    def test_missing_columns_are_named(self, tmp_path, ending):
        table = foreign()
        table.rename_column("obj_id", "which")
        path = self.write(tmp_path, table, ending)
        with pytest.raises(DataError, match=r"no column for the id.*which, mjd, mag"):
            open_survey(path)
        assert len(open_survey(path, ColumnNames(id="which")).read()) == 2
        with pytest.raises(DataError, match="no column 'flx' for the value"):
            open_survey(path, ColumnNames(id="which", value="flx"))

    def test_text_where_numbers_must_be(self, tmp_path, ending):
        table = foreign()
        table["mag"] = ["bright"] * 5
        with pytest.raises(DataError, match="'mag' must hold numbers"):
            open_survey(self.write(tmp_path, table, ending)).read()

    def test_no_rows_are_an_empty_batch(self, tmp_path, ending):
        back = open_survey(self.write(tmp_path, foreign()[:0], ending)).read()
        assert len(back) == 0

    def test_julian_dates_in_float32_are_refused(self, tmp_path, ending):
        table = foreign()
        table["mjd"] = (table["mjd"] + 2400000.5).astype(np.float32)
        with pytest.raises(DataError, match="float32"):
            open_survey(self.write(tmp_path, table, ending))


def test_the_clock_of_the_standards_is_read(tmp_path):
    table = foreign()
    table.rename_column("mjd", "time")
    hdu = fits.table_to_hdu(table)
    hdu.header.update(TIMESYS="TDB", TREFPOS="BARYCENTER", JDREFI=2457000, JDREFF=0.5)
    hdu.writeto(tmp_path / "a.fits")
    meta = open_survey(tmp_path / "a.fits").meta
    assert (meta.time_scale, meta.time_ref) == ("BJD-2457000.5 TDB", 2457000.5)
    del hdu.header["TIMESYS"]
    hdu.writeto(tmp_path / "b.fits")
    assert open_survey(tmp_path / "b.fits").meta.time_ref is None  # not known is not guessed


def test_what_a_long_table_cannot_hold_is_refused(tmp_path, batch):
    empty = replace(batch, offsets=np.array([0, 40, 40, 90]))
    with pytest.raises(DataError, match=r"'007' has no points, like 1 of 3 objects"):
        write_survey(tmp_path / "a.fits", empty)
    greek = replace(batch, objects={**batch.objects, "id": np.array(["é", "b", "c"], object)})
    with pytest.raises(DataError, match="column 'id' holds 'é'; FITS has plain ASCII only"):
        write_survey(tmp_path / "a.fits", greek)
    write_survey(tmp_path / "a.vot", greek)
    assert open_survey(tmp_path / "a.vot").read().ids.tolist() == ["é", "b", "c"]
    clash = replace(batch, objects={**batch.objects, "flux": np.zeros(3)})
    with pytest.raises(DataError, match="both called 'flux'"):
        write_survey(tmp_path / "b.vot", clash)
    upper = replace(batch, points={"a": np.zeros(90), "A": np.zeros(90)})
    with pytest.raises(DataError, match="two columns would be called 'a'"):
        write_survey(tmp_path / "b.fits", upper, points="all")
    assert not (tmp_path / "b.fits").exists()


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{}]>
<VOTABLE version="1.4"><RESOURCE><TABLE><DESCRIPTION>&a9;</DESCRIPTION></TABLE></RESOURCE></VOTABLE>
""".format("".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 10)))


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "empty.vot": b"",
        "junk.vot": b"\x00\xff" * 500,
        "open.vot": b"<VOTABLE><RESOURCE><TABLE>",
        "none.xml": b"<VOTABLE version='1.4'></VOTABLE>",
        "bomb.xml": BOMB.encode(),
        "packed.vot.gz": b"\x1f\x8b\x08\x00junk",
        "junk.fits": b"SIMPLE  = junk",
    }.items(),
)
def test_hostile_files_give_one_clear_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        open_survey(tmp_path / name)


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "vot", "vot.gz"])
def test_truncated_anywhere(tmp_path, batch, ending):
    path = tmp_path / f"whole.{ending}"
    write_survey(path, batch)
    content = path.read_bytes()
    short = tmp_path / f"short.{ending}"
    refused = 0
    for length in np.linspace(1, len(content) - 1, 25).astype(int):
        short.write_bytes(content[:length])
        try:
            back = open_survey(short).read()
        except DataError as error:
            assert "short" in str(error)  # noqa: PT017
            refused += 1
        else:  # only the padding of FITS was cut off
            np.testing.assert_array_equal(back.value, batch.value)
            np.testing.assert_array_equal(back.objects["ra"], batch.objects["ra"])
    assert refused >= (18 if "fits" in ending else 24)


def test_damaged_metadata_are_refused(tmp_path, batch):
    write_survey(tmp_path / "a.fits", batch)
    with fits.open(tmp_path / "a.fits") as file:
        for text in ("{", "[]", '{"points": "1"}', '{"points": "[1]"}', '{"time_ref": "x"}'):
            file[1].header["ASTRMETA"] = text
            file.writeto(tmp_path / "b.fits", overwrite=True)
            with pytest.raises(DataError, match="metadata astroprep_meta are damaged"):
                open_survey(tmp_path / "b.fits")


def test_a_votable_of_several_tables_is_no_survey(tmp_path):
    file = votable.from_table(foreign())
    file.resources[0].tables.append(votable.from_table(foreign()).get_first_table())
    file.to_xml(str(tmp_path / "two.vot"))
    with pytest.raises(DataError, match="holds 2 tables"):
        open_survey(tmp_path / "two.vot")


@pytest.mark.parametrize("ending", ["fits.gz", "vot.gz", "vot"])
def test_what_gzip_inflates_to_has_a_ceiling(tmp_path, batch, ending, monkeypatch):
    """Zeros behind a table: a thousandth of their size on the disk, all of it in memory."""
    path = tmp_path / f"bomb.{ending}"
    whole = tmp_path / f"whole.{ending.removesuffix('.gz')}.gz"
    write_survey(whole, batch)
    content = gzip.decompress(whole.read_bytes())
    path.write_bytes(gzip.compress(content + bytes(3_000_000)))
    monkeypatch.setattr(files, "MAX_INFLATED", 1_000_000)
    with pytest.raises(DataError, match=r"bomb.* of gzip hold more than 1,000,000; if you trust"):
        open_survey(path).read()
    path.write_bytes(gzip.compress(content))
    assert len(open_survey(path).read()) == 3


@pytest.mark.parametrize(("name", "pack"), [("bzip2", bz2.compress), ("xz", lzma.compress)])
def test_packers_that_astropy_would_unpack_by_itself_are_refused(tmp_path, batch, name, pack):
    write_survey(tmp_path / "plain.fits", batch)
    path = tmp_path / "packed.fits"
    path.write_bytes(pack((tmp_path / "plain.fits").read_bytes()))
    with pytest.raises(DataError, match=rf"packed.fits is packed by {name}; unpack it first"):
        open_survey(path).read()

"""Light-curve FITS: every mission and cadence, streaming, nothing left open, clear refusals."""

from __future__ import annotations

import gzip
import hashlib
import os
import re

import numpy as np
import pytest
from astropy.io import fits

from astroprep.errors import ConfigError, DataError
from astroprep.io import (
    ColumnNames,
    SpaceFitsReader,
    open_survey,
    source_sha256,
    write_survey,
)
from astroprep.io import fits as reader_module

KINDS = {  # mission, cadence in days, name as the archives give it
    "Kepler 30 min": ("Kepler", 0.0204, "kplr000000{i}-2010174085026_llc.fits"),
    "Kepler 1 min": ("Kepler", 0.00068, "kplr000000{i}-2010174090439_slc.fits"),
    "K2 30 min": ("K2", 0.0204, "ktwo20000000{i}-c05_llc.fits"),
    "TESS 2 min": ("TESS", 0.00139, "tess2021091135823-s0037-000000000000000{i}-0208-s_lc.fits"),
    "TESS 20 s": ("TESS", 0.00023, "tess2021091135823-s0037-000000000000000{i}-a_fast-lc.fits"),
}
ABOUT = {
    "Kepler": {"TELESCOP": "Kepler", "MISSION": "Kepler", "QUARTER": 5, "CHANNEL": 38},
    "K2": {"TELESCOP": "Kepler", "MISSION": "K2", "CAMPAIGN": 5, "CHANNEL": 38},
    "TESS": {"TELESCOP": "TESS", "SECTOR": 37, "CAMERA": 2, "CCD": 3},
}


def hdus(mission="Kepler", n=40, number=1, step=0.0204, drop=(), change=None, unit=None):
    """HDUs of a light curve with known contents; `drop` and `change` spoil them."""
    zero = 2457000 if mission == "TESS" else 2454833
    quality = "QUALITY" if mission == "TESS" else "SAP_QUALITY"
    i = np.arange(n)
    time = 500.0 + step * i
    flux = 1000.0 + 10 * number + i.astype(np.float32)
    flux[n // 4 : n // 4 + 2] = np.nan
    time[n // 4 : n // 4 + 1] = np.nan
    table = {
        "TIME": ("D", f"BJD - {zero}", time),
        "CADENCENO": ("J", None, 7000 + i),
        "SAP_FLUX": ("E", "e-/s", flux * 0.9),
        "SAP_FLUX_ERR": ("E", "e-/s", np.full(n, 0.5)),
        "SAP_BKG": ("E", "e-/s", np.full(n, 77.0)),
        "PDCSAP_FLUX": ("E", "e-/s", flux),
        "PDCSAP_FLUX_ERR": ("E", "e-/s", np.full(n, 0.25)),
        quality: ("J", None, np.where(i % 7 == 3, 1 << 20, 0)),
        "MOM_CENTR1": ("D", "pixel", i / 10),
        "POS_CORR1": ("E", "pixels", np.sin(i)),
        "POS_CORR2": ("E", "pixels", np.cos(i)),
    }
    table.update(change or {})
    columns = [
        fits.Column(name=name, format=form, unit=unit if name == "PDCSAP_FLUX" else u, array=a)
        if unit is not None
        else fits.Column(name=name, format=form, unit=u, array=a)
        for name, (form, u, a) in table.items()
        if name not in drop
    ]
    catalogue = {"Kepler": "KIC", "K2": "EPIC", "TESS": "TIC"}[mission]
    primary = fits.PrimaryHDU()
    primary.header.update(ABOUT[mission])
    primary.header["OBJECT"] = f"{catalogue} {number}"
    primary.header["RA_OBJ"], primary.header["DEC_OBJ"] = 287.5, 46.25
    primary.header["TEFF"] = 5777.0
    primary.header["TESSMAG" if mission == "TESS" else "KEPMAG"] = 12.5
    light = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    light.header.update(
        {"TIMEREF": "SOLARSYSTEM", "TIMESYS": "TDB", "BJDREFI": zero, "BJDREFF": 0.0}
    )
    light.header.update({"TIMEUNIT": "d", "CROWDSAP": 0.75, "FLFRCSAP": 0.875})
    aperture = fits.ImageHDU(np.zeros((9, 9), np.int32), name="APERTURE")
    return fits.HDUList([primary, light, aperture])


@pytest.fixture
def write(tmp_path):
    def make(kind="Kepler 30 min", number=1, folder="", **options):
        mission, step, name = KINDS[kind]
        path = tmp_path / folder / name.format(i=number)
        path.parent.mkdir(exist_ok=True, parents=True)
        hdus(mission, number=number, step=step, **options).writeto(path)
        return path

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_every_mission_and_cadence(write, kind):
    """Truth by construction: what was written comes out, in canonical columns."""
    mission, step, _ = KINDS[kind]
    path = write(kind)

    with open_survey(path) as survey:
        batch = survey.read()

    zero = 2457000.0 if mission == "TESS" else 2454833.0
    assert survey.n_objects == len(batch) == 1
    assert (batch.meta.survey, batch.meta.time_ref) == (mission, zero)
    assert (batch.meta.quantity, batch.meta.unit) == ("flux", "electron/s")
    assert batch.meta.time_scale == ("BTJD TDB" if mission == "TESS" else "BKJD TDB")
    i = np.arange(40)
    lost = np.isin(i, [10, 11])
    np.testing.assert_array_equal(batch.time[~lost], (500.0 + step * i)[~lost])
    assert np.isnan(batch.time[10])
    np.testing.assert_array_equal(batch.value[~lost], (1010.0 + i)[~lost])
    assert np.isnan(batch.value[lost]).all()
    assert (batch.error == 0.25).all()
    assert batch.points["cadence"].dtype == batch.points["survey_flags"].dtype == np.int64
    np.testing.assert_array_equal(batch.points["cadence"], 7000 + i)
    np.testing.assert_array_equal(batch.points["survey_flags"] > 0, i % 7 == 3)
    np.testing.assert_allclose(batch.points["pos_corr2"], np.cos(i), rtol=1e-7)
    assert (batch.points["background"] == 77).all()
    truth = {"ra": 287.5, "dec": 46.25, "brightness": 12.5, "crowding": 0.75}
    for name, value in {**truth, "flux_fraction": 0.875}.items():
        assert batch.objects[name].tolist() == [value]
    assert batch.objects["segment"].tolist() == [37 if mission == "TESS" else 5]
    assert batch.objects["channel"].tolist() == [7 if mission == "TESS" else 38]
    assert batch.ids[0].split()[0] == {"Kepler": "KIC", "K2": "EPIC", "TESS": "TIC"}[mission]
    assert "PDCSAP_FLUX" in survey.columns
    assert survey.schema_metadata["survey"] == mission


def test_compressed_reads_alike(write):
    path = write()
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))

    np.testing.assert_array_equal(open_survey(packed).read().value, open_survey(path).read().value)


def test_which_flux(write):
    path = write()
    sap = open_survey(path, flux="sap").read()
    np.testing.assert_allclose(sap.value, 0.9 * open_survey(path).read().value, rtol=1e-6)
    assert (sap.error == 0.5).all()
    with pytest.raises(ConfigError, match="flux must be 'pdcsap' or 'sap', got 'best'"):
        open_survey(path, flux="best")


def test_columns_by_name(write):
    names = ColumnNames(
        value="SAP_BKG", error="SAP_FLUX_ERR", points=("MOM_CENTR1",), extra=("TEFF", "LOGG")
    )
    batch = open_survey(write(), names).read()
    assert (batch.value == 77).all()
    assert (batch.error == 0.5).all()
    np.testing.assert_array_equal(batch.points["MOM_CENTR1"], np.arange(40) / 10)
    assert batch.objects["TEFF"].tolist() == [5777.0]
    assert np.isnan(batch.objects["LOGG"]).all()  # the header has none
    with pytest.raises(ConfigError, match="name their own id, time; only value"):
        open_survey(write(number=2), ColumnNames(id="KEPLERID", time="TIME"))


class TestManyFiles:
    @pytest.fixture
    def folder(self, write, tmp_path):
        for number in (3, 1, 2):
            write(number=number, folder="survey/q5", n=10 * number)
        write(number=4, folder="survey/q4")
        (tmp_path / "survey" / "notes.txt").write_text("no light curve")
        return tmp_path / "survey"

    def test_folder_is_searched_in_order(self, folder):
        with open_survey(folder) as survey:
            batch = survey.read()
        assert survey.path == folder
        assert batch.ids.tolist() == ["KIC 4", "KIC 1", "KIC 2", "KIC 3"]
        assert np.diff(batch.offsets).tolist() == [40, 10, 20, 30]
        assert batch.objects["row"].tolist() == [0, 1, 2, 3]

    def test_pattern_and_list(self, folder):
        assert len(open_survey(f"{folder}/q5/*_llc.fits").read()) == 3
        assert len(open_survey(f"{folder}/**/*.fits").read()) == 4
        assert len(open_survey(f"{folder}/q5/kplr*").read()) == 3
        files = sorted((folder / "q5").iterdir())[::-1]
        survey = open_survey([*files, files[0]])  # a file given twice is one object
        assert survey.read().ids.tolist() == ["KIC 3", "KIC 2", "KIC 1"]
        assert survey.path == folder / "q5"

    @pytest.mark.parametrize(("max_objects", "first_row"), [(1, 0), (2, 0), (3, 1), (9, 2), (2, 4)])
    def test_streams_and_starts_later(self, folder, max_objects, first_row):
        survey = open_survey(folder)
        parts = list(survey.iter_batches(max_objects, first_row=first_row))
        whole = survey.read()
        assert max(len(part) for part in parts) <= max_objects
        ids = [name for part in parts for name in part.ids]
        assert ids == whole.ids[first_row:].tolist()
        rows = np.concatenate([part.objects["row"] for part in parts])
        assert rows.tolist() == list(range(first_row, 4))

    def test_long_curves_end_a_batch_early(self, folder, monkeypatch):
        monkeypatch.setattr(reader_module, "MAX_BATCH_POINTS", 45)
        parts = list(open_survey(folder).iter_batches())
        assert [part.n_points for part in parts] == [50, 50]

    def test_bad_files_are_rejected_with_the_reason(self, folder):
        (folder / "q5" / "kplr_a.fits").write_bytes(b"not FITS at all")
        hdus("TESS").writeto(folder / "q5" / "kplr_b.fits")
        with pytest.raises(DataError, match=r"kplr_a\.fits: cannot be read as FITS"):
            open_survey(folder).read()

        batch = open_survey(folder, on_bad="reject").read()

        assert batch.n_objects == 6
        assert batch.rejected.id.tolist() == ["kplr_a.fits", "kplr_b.fits"]
        assert batch.rejected.row.tolist() == [4, 5]
        assert set(batch.rejected.step) == {"SpaceFitsReader"}
        assert batch.rejected.reason[0].startswith("cannot be read as FITS")
        assert "is of TESS, but the survey began with Kepler" in batch.rejected.reason[1]
        parts = list(open_survey(folder, on_bad="reject").iter_batches(2))
        assert [part.n_objects for part in parts] == [2, 2, 2]

    def test_missions_are_not_mixed(self, folder):
        hdus("TESS").writeto(folder / "zzz.fits")
        with pytest.raises(DataError, match=r"zzz\.fits: is of TESS.*open each mission by itself"):
            open_survey(folder).read()

    def test_nothing_readable_is_an_empty_batch_with_all_rejected(self, tmp_path):
        (tmp_path / "a.fits").write_bytes(b"x" * 5000)
        batch = open_survey(tmp_path, on_bad="reject").read()
        assert (len(batch), len(batch.rejected)) == (0, 1)
        assert batch.meta.quantity == "flux"

    def test_nothing_there(self, tmp_path):
        with pytest.raises(DataError, match=r"no \.fits, .*in this folder or below it"):
            open_survey(tmp_path)
        with pytest.raises(DataError, match="no file goes by this pattern"):
            open_survey(f"{tmp_path}/*_lc.fits")
        with pytest.raises(DataError, match="an empty list names no FITS files"):
            open_survey([])
        with pytest.raises(DataError, match="does not exist"):
            open_survey(tmp_path / "one.fits")
        with pytest.raises(DataError, match=r"b\.csv: only FITS files are opened as a list"):
            open_survey([tmp_path / "a.fits", tmp_path / "b.csv"])

    def test_checksum_of_a_folder(self, folder):
        """Bytes, names and number of the files count; the place of the folder does not."""
        first = source_sha256(folder)
        assert source_sha256(folder) == first
        moved = folder.rename(folder.with_name("moved"))
        assert source_sha256(moved) == first
        one = sorted((moved / "q5").iterdir())[0]
        assert source_sha256(one) == hashlib.sha256(one.read_bytes()).hexdigest()
        one.write_bytes(one.read_bytes() + b"x")
        changed = source_sha256(moved)
        one.rename(one.with_name("kplr_z.fits"))
        assert len({first, changed, source_sha256(moved)}) == 3
        with pytest.raises(DataError, match="does not exist"):
            source_sha256(moved / "none.fits")

    def test_a_folder_is_not_written_over(self, tmp_path, make_batch):
        with pytest.raises(DataError, match="is a folder"):
            write_survey(tmp_path, make_batch())

    def test_settings(self, folder):
        with pytest.raises(ConfigError, match="max_objects must be at least 1"):
            next(open_survey(folder).iter_batches(0))


TEXT = ("5A", None, np.full(40, "text"))
WRONG = {
    "no time": ({"drop": ("TIME",)}, "no column 'TIME'"),
    "no flux": ({"drop": ("PDCSAP_FLUX",)}, "no column 'PDCSAP_FLUX'.*mean 'PDCSAP_FLUX_ERR'"),
    "no error": ({"drop": ("PDCSAP_FLUX_ERR",)}, "no column 'PDCSAP_FLUX_ERR'"),
    "no cadence": ({"drop": ("CADENCENO",)}, "no column 'CADENCENO'"),
    "no quality": ({"drop": ("SAP_QUALITY",)}, "no column 'SAP_QUALITY'"),
    "text": ({"change": {"PDCSAP_FLUX": ("5A", "e-/s", TEXT[2])}}, "one number a cadence.*'5A'"),
    "flags as float": (
        {"change": {"SAP_QUALITY": ("E", None, np.zeros(40))}},
        "'SAP_QUALITY' must hold .*'E'",
    ),
    "pixels": (
        {"change": {"PDCSAP_FLUX": ("4E", "e-/s", np.zeros((40, 4)))}},
        "one number a cadence.*'4E'",
    ),
    "float32 times": (
        {"change": {"TIME": ("E", "BJD - 2454833", np.zeros(40))}},
        "'TIME' is float32, too coarse",
    ),
    "magnitudes": ({"unit": "mag"}, "'PDCSAP_FLUX' is in 'mag', where .* e-/s"),
    "no unit": ({"unit": ""}, "'PDCSAP_FLUX' is in 'no unit'"),
    "two zeros": (
        {"change": {"TIME": ("D", "BJD - 2457000, days", np.zeros(40))}},
        "counts times from BJD 2454833.0, the unit of TIME says 'BJD - 2457000, days'",
    ),
}
WRONG_HEADERS = {
    "UTC": (1, "TIMESYS", "UTC", "TIMESYS 'UTC'; times must be barycentric"),
    "at the satellite": (1, "TIMEREF", "LOCAL", "TIMEREF is 'LOCAL'"),
    "seconds": (1, "TIMEUNIT", "s", "TIMEUNIT is 's', not days"),
    "no zero": (1, "BJDREFI", None, "no BJDREFI"),
    "another telescope": (0, "TELESCOP", "HST", "TELESCOP is 'HST'; light curves of Kepler, K2"),
    "no telescope": (0, "TELESCOP", None, "TELESCOP is 'missing'"),
    "no quarter": (0, "QUARTER", None, "no whole number QUARTER"),
    "a target pixel file": (1, "EXTNAME", "TARGETTABLES", "it is a target pixel file"),
    "a catalogue": (1, "EXTNAME", "STARS", "no extension LIGHTCURVE.*it holds PRIMARY, STARS"),
}


def outcome(path):
    """Points that were read, or the message of the one kind of error there may be."""
    try:
        return open_survey(path).read().n_points, ""
    except DataError as error:
        return 0, str(error)


class TestRefusals:
    @pytest.mark.parametrize("case", WRONG)
    def test_columns(self, write, case):
        options, message = WRONG[case]
        path = write(**options)
        with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{message}"):
            open_survey(path)

    @pytest.mark.parametrize("case", WRONG_HEADERS)
    def test_headers(self, tmp_path, case):
        extension, keyword, value, message = WRONG_HEADERS[case]
        file = hdus()
        if value is None:
            del file[extension].header[keyword]
        else:
            file[extension].header[keyword] = value
        file.writeto(tmp_path / "a.fits")
        with pytest.raises(DataError, match=f"a.fits: .*{message}"):
            open_survey(tmp_path / "a.fits")

    def test_a_column_twice(self, tmp_path):
        file = hdus()
        name = next(k for k, v in file[1].header.items() if v == "SAP_FLUX" and k[:5] == "TTYPE")
        file.writeto(tmp_path / "a.fits")
        raw = (tmp_path / "a.fits").read_bytes()
        card = f"{name:8}= 'SAP_FLUX'".encode()
        assert card in raw
        double = raw.replace(card, card.replace(b"'SAP_FLUX'", b"'TIME    '"))
        (tmp_path / "b.fits").write_bytes(double)
        with pytest.raises(DataError, match="2 columns are called 'TIME'; rename them"):
            open_survey(tmp_path / "b.fits")

    def test_extensions_without_end(self, tmp_path):
        """A table of negative size sends the reader back to where it came from, for ever."""
        hdus().writeto(tmp_path / "a.fits")
        raw = (tmp_path / "a.fits").read_bytes()
        rows = b"NAXIS2  =                   40"
        for size in range(1, 400, 19):
            (tmp_path / "b.fits").write_bytes(
                raw.replace(b"'LIGHTCURVE'", b"'LIGHTCURVY'").replace(
                    rows, f"NAXIS2  = {-size:20d}".encode()
                )
            )
            points, message = outcome(tmp_path / "b.fits")
            assert points == 0
            assert message

    @pytest.mark.parametrize("packed", [False, True])
    def test_truncated_anywhere(self, write, tmp_path, packed):
        """No length of the file gives anything but its whole light curve or an error."""
        raw = write().read_bytes()
        raw = gzip.compress(raw) if packed else raw
        short = tmp_path / ("short.fits.gz" if packed else "short.fits")
        with fits.open(write(number=2)) as file:
            end = file[1].fileinfo()["datLoc"] + file[1].header["NAXIS1"] * 40
        refused = 0
        for size in [*range(1, len(raw), max(1, len(raw) // 60)), 2880, 5760, end - 1]:
            short.write_bytes(raw[:size])
            points, message = outcome(short)
            assert points == 40 or message.startswith(str(short))
            assert message or packed or size >= end
            refused += message != ""
        assert refused > 20

    def test_other_times_zero_is_moved(self, tmp_path):
        """Times of BJD 2455000 less 167 days more are those of BKJD."""
        file = hdus(change={"TIME": ("D", "d", np.arange(40.0))})
        file[1].header["BJDREFI"] = 2455000
        file.writeto(tmp_path / "a.fits")
        batch = open_survey(tmp_path / "a.fits").read()
        np.testing.assert_array_equal(batch.time, np.arange(40.0) + 167)

    def test_blank_numbers_are_unknown(self, tmp_path):
        file = hdus()
        file[0].header["KEPMAG"] = None
        del file[0].header["OBJECT"]
        file[0].header["KEPLERID"] = 77
        file.writeto(tmp_path / "a.fits")
        batch = open_survey(tmp_path / "a.fits").read()
        assert np.isnan(batch.objects["brightness"]).all()
        assert batch.ids.tolist() == ["KIC 77"]

    def test_no_cadences_is_an_empty_curve(self, write):
        batch = open_survey(write(n=0)).read()
        assert (len(batch), batch.n_points) == (1, 0)

    @pytest.mark.slow
    def test_damaged_bytes_give_a_curve_or_an_error(self, write, tmp_path, rng):
        """Five hundred files with bytes overwritten: no other exception comes through."""
        raw = np.frombuffer(write().read_bytes(), np.uint8)
        path = tmp_path / "bad.fits"
        refused = 0
        for _ in range(500):
            bad = raw.copy()
            where = rng.integers(0, 14400, rng.integers(1, 40))
            bad[where] = rng.integers(0, 256, where.size)
            path.write_bytes(bad.tobytes())
            _, message = outcome(path)
            assert not message or str(path) in message
            refused += message != ""
        assert refused > 100


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_three_hundred_files_leave_nothing_open_and_no_memory(write, tmp_path):
    """Good, damaged and foreign files in turn; a leak of a table would be 40 MB."""
    good = write(n=2000)
    bad = tmp_path / "truncated.fits"
    bad.write_bytes(good.read_bytes()[:20000])
    foreign = tmp_path / "catalogue.fits"
    fits.BinTableHDU(hdus()[1].data, name="CATALOGUE").writeto(foreign)
    survey = SpaceFitsReader([good, bad, foreign], on_bad="reject")
    survey.files = survey.files * 10
    survey._known = None  # so that the first file is read again too
    survey.read()
    descriptors, memory = open_descriptors(), resident_bytes()

    for _ in range(10):
        for part in survey.iter_batches(7):
            assert part.n_objects
    assert open_descriptors() == descriptors
    assert resident_bytes() - memory < 8e6


class TestRealFiles:
    @pytest.mark.parametrize(
        ("mission", "files", "points"), [("kepler", 5, 19293), ("k2", 6, 21978), ("tess", 3, 57432)]
    )
    def test_all_of_them(self, data_dir, mission, files, points):
        survey = open_survey(data_dir / "space" / mission)
        batch = survey.read()
        assert (batch.n_curves, batch.n_points) == (files, points)
        assert len(batch.rejected) == 0
        good = np.isfinite(batch.value)
        assert good.mean() > 0.85
        assert (batch.error[good] > 0).all()
        for part in (slice(*batch.offsets[i : i + 2]) for i in range(files)):
            assert (np.diff(batch.points["cadence"][part]) == 1).all()
        with pytest.raises(DataError, match="open each mission by itself"):
            open_survey(data_dir / "space").read()

    @pytest.mark.filterwarnings("ignore")  # lightkurve's own import warns
    @pytest.mark.parametrize("flux", ["pdcsap", "sap"])
    def test_lightkurve_reads_the_same(self, data_dir, flux):
        lightkurve = pytest.importorskip("lightkurve")
        for path in sorted((data_dir / "space").rglob("*.fits")):
            theirs = lightkurve.read(path, quality_bitmask="none", flux_column=f"{flux}_flux")
            ours = open_survey(path, flux=flux).read()
            kept = np.isin(ours.points["cadence"], theirs["cadenceno"])
            assert np.isnan(ours.time[~kept]).all()  # lightkurve drops points without a time
            for name, column in (("value", theirs.flux.value), ("error", theirs.flux_err.value)):
                np.testing.assert_array_equal(
                    getattr(ours, name)[kept], np.ma.filled(column.astype(float), np.nan)
                )
            np.testing.assert_array_equal(ours.time[kept], theirs.time.value)
            np.testing.assert_array_equal(ours.points["survey_flags"][kept], theirs["quality"])

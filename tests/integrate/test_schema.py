"""Which survey a table is from, and a draft where it is from none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import Table

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import describe_schema, guess_schema, load_schema, rank_schemas

TABLES = {
    "ztf": {
        "oid": [1], "expid": [5], "hjd": [2458200.5], "mjd": [58199.9], "mag": [15.0],
        "magerr": [0.1], "catflags": [0], "filtercode": ["zg"], "ra": [1.0], "dec": [2.0],
    },
    "ztf-alerts": {
        "objectId": ["ZTF18a"], "jd": [2458200.5], "fid": [1], "magpsf": [18.0],
        "sigmapsf": [0.1], "ra": [1.0], "dec": [2.0], "isdiffpos": ["t"],
    },
    "asas-sn": {
        "HJD": [2457000.5], "Camera": ["ba"], "mag": ["12.5"], "mag_err": [0.1],
        "flux(mJy)": [1.0], "flux_err": [0.1], "Filter": ["V"], "FWHM": [1.0], "Limit": [16.0],
    },
    "crts": {
        "MasterID": [1], "Mag": [15.0], "Magerr": [0.1], "RA": [1.0], "Dec": [2.0],
        "MJD": [53500.0], "Blend": [0],
    },
    "asas-3": {"HJD": [2500.5], "MAG_0": [9.0], "MAG_1": [9.1], "MER_1": [0.1], "GRADE": ["A"]},
    "gaia-dr3": {
        "source_id": [1], "band": ["G"], "time": [1700.0], "flux": [1.0], "flux_error": [0.1],
        "rejected_by_photometry": [False],
    },
    "lsst": {
        "diaObjectId": [1], "midpointMjdTai": [60500.0], "psfFlux": [1.0], "psfFluxErr": [0.1],
        "band": ["g"], "ra": [1.0], "dec": [2.0],
    },
    "tess": {"TIME": [1500.0], "PDCSAP_FLUX": [1.0], "PDCSAP_FLUX_ERR": [0.1], "QUALITY": [0],
             "TICID": [5]},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_survey_is_known_by_its_columns(name):
    assert guess_schema(TABLES[name]).name == name


def test_two_that_mean_different_things_are_not_chosen_between():
    """Kepler and K2 call their columns alike."""
    table = {"TIME": [131.5], "PDCSAP_FLUX": [1.0], "SAP_QUALITY": [0], "CADENCENO": [1]}
    with pytest.raises(DataError, match="could be of k2, kepler"):
        guess_schema(table)


def test_impossible_times_speak_against_a_schema():
    table = {**TABLES["crts"], "MJD": [2453500.5]}
    (guess,) = [g for g in rank_schemas(table) if g.name == "crts"]
    assert not guess.applies
    assert guess.why_not == ("the times in 'MJD' are impossible as MJD",)


def test_none_fits():
    with pytest.raises(DataError, match=r"no schema fits.*describe_schema drafts one"):
        guess_schema({"wavelength": [5000.0], "counts": [1]})


def test_a_report_says_what_disagrees():
    table = Table({**TABLES["lsst"], "band": ["Z"], "extra": [1]})
    table["psfFlux"].unit = u.uJy
    table["psfFluxErr"].unit = u.mag
    report = load_schema("lsst").validate(table)
    assert not report.applies
    assert report.wrong == ("psfFluxErr is in mag, not in nJy",)
    assert report.converted == ("psfFlux from uJy, where the schema has nJy",)
    assert report.unknown_bands == ("Z",)
    assert "extra" in report.unexplained
    assert "scienceFlux" in report.absent
    assert "does not apply" in str(report)


def test_a_report_of_a_table_that_fits():
    report = load_schema("crts").validate(TABLES["crts"])
    assert report.applies
    assert (report.missing, report.wrong, report.unknown_bands) == ((), (), ())


def test_a_draft_finds_what_a_table_tells_and_lists_the_rest():
    table = Table(
        {
            "star": ["a", "a", "b"],
            "hjd": [2457000.5, 2457001.5, 2457002.5],
            "mag": [15.0, 99.99, 16.0] * u.mag,
            "mag_err": [0.1, 99.99, 0.1],
            "filter": ["B", "V", "V"],
            "raj2000": ["12:00:00"] * 2 + ["13:00:00"],
            "dej2000": ["-00:30:00"] * 2 + ["+10:00:00"],
            "quality": [0, 1, 0],
        }
    )

    draft = describe_schema(table, "plates")
    schema = draft.schema()
    batch = schema.apply(table)

    assert schema.id == ("star",)
    assert (schema.time[0].system, schema.time[0].scale) == ("HJD", "unknown")
    assert schema.value[0].sentinels == (99.99,)
    assert schema.band.names == {"B": "plates_b", "V": "plates_v"}
    assert batch.objects["dec"].tolist() == [-0.5, 10.0]
    assert np.isnan(batch.value).tolist() == [False, True, False]
    told = " ".join(draft.undecided)
    for word in ("clock", "magnitude system", "99.99", "quality", 'per = "point"'):
        assert word in told
    assert all(f"# undecided: {one}" in draft.text for one in draft.undecided)


@pytest.mark.parametrize(
    ("column", "time", "system"),
    [
        ("time", 2457000.5, "JD"), ("bjd", 2457000.5, "BJD"), ("mjd", 57000.5, "MJD"),
        ("hmjd", 57000.5, "HJD-2400000.5"), ("btjd", 1500.5, "BTJD"),
    ],
)  # fmt: skip
def test_the_zero_of_times_by_their_size(column, time, system):
    draft = describe_schema({column: [time], "mag": [1.0]})
    assert draft.schema().time[0].system == system


def test_a_zero_that_cannot_be_told_is_asked_for():
    draft = describe_schema({"t": [12.5, 13.5], "mag": [1.0, 1.5]})
    assert any("zero of 't'" in one for one in draft.undecided)


def test_a_draft_without_times_is_no_schema():
    draft = describe_schema({"brightness": [1.0], 'od"d\\': ["x"]})
    assert any("column of times" in one for one in draft.undecided)
    with pytest.raises(ConfigError, match="'time' is missing"):
        draft.schema()


def test_real_tables_with_their_schemas(data_dir):
    """Magnitudes and bands of three surveys in one file (which has unified the times)."""
    table = pq.read_table(data_dir / "lmc_cepheids_multisurvey.parquet")
    for survey, name, bands in (
        ("EROS-2", "eros-2", {"eros2_r", "eros2_b"}),
        ("MACHO", "macho", {"macho_r", "macho_b"}),
        ("OGLE-IV", "ogle", {"ogle_i", "ogle_v"}),
    ):
        rows = table.filter(pa.compute.equal(table["survey"], survey))
        curve = rows["lightcurve"].combine_chunks()
        fields = dict(zip([f.name for f in curve.type], curve.flatten(), strict=True))
        time = "hjd" if name == "ogle" else "mjd" if name == "macho" else "time"
        fields[time] = fields.pop("time")
        batch = load_schema(name).apply({"id": rows["source_id"].combine_chunks(), **fields})
        assert batch.n_curves == rows.num_rows
        assert set(batch.meta.bands) == bands
        assert batch.n_points == len(fields["mag"].flatten())

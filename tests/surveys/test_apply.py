"""Tables with the columns that surveys really have, through their schemas."""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.clean import SurveyFlags
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import DataError
from astroprep.surveys import load_schema, schema_from_toml
from astroprep.surveys.cells import is_one_of, numbers
from astroprep.surveys.group import mean_direction

ZTF = {
    "oid": [686103400034440, 686103400034440, 686203400034441],
    "hjd": [2458200.5, 2458201.5, 2458202.5],
    "mjd": [58199.99, 58200.99, 58201.99],
    "mag": [15.25, 15.5, 16.0],
    "magerr": [0.01, 0.02, 0.03],
    "catflags": [0, 32768, 0],
    "filtercode": ["zg", "zg", "zr"],
    "ra": [298.0, 298.0, 299.0],
    "dec": [29.0, 29.0, 30.0],
}


def bit(batch, flag):
    return ((batch.flags & np.uint32(flag)) != 0).tolist()


def test_ztf_light_curves():
    batch = load_schema("ztf").apply(ZTF)

    assert batch.ids.tolist() == ["686103400034440", "686203400034441"]
    assert batch.offsets.tolist() == [0, 2, 3]
    assert batch.time.tolist() == ZTF["hjd"]
    assert batch.meta.time_scale == "HJD UTC"
    assert batch.meta.time_ref == 0.0
    assert batch.meta.bands == ("ztf_g", "ztf_r")
    assert batch.band.tolist() == [0, 0, 1]
    assert batch.objects["ra"].tolist() == [298.0, 299.0]
    flagged = SurveyFlags().transform(batch)
    assert bit(flagged, PointFlag.SURVEY) == [False, True, False]


def test_ztf_bulk_files_have_lists_and_numbers_for_filters():
    table = pa.table(
        {
            "objectid": [1, 2],
            "filterid": pa.array([2, 3], pa.int8()),
            "objra": pa.array([10.5, 11.5], pa.float32()),
            "objdec": pa.array([-5.5, 6.5], pa.float32()),
            "hmjd": pa.array([[58200.25, 58201.25], []], pa.list_(pa.float64())),
            "mag": pa.array([[15.5, 16.5], []], pa.list_(pa.float32())),
            "magerr": pa.array([[0.25, 0.5], []], pa.list_(pa.float32())),
            "catflags": pa.array([[0, 1], []], pa.list_(pa.int32())),
        }
    )

    batch = load_schema("ztf").apply(table)

    assert batch.ids.tolist() == ["1", "2"]  # the one without points stays
    assert batch.offsets.tolist() == [0, 2, 2]
    assert batch.meta.time_ref == 2400000.5
    assert batch.meta.bands == ("ztf_r",)
    assert batch.objects["dec"].tolist() == [-5.5, 6.5]
    assert batch.points["survey_flags"].tolist() == [0, 1]


def test_asas_sn_limits_and_sentinels():
    """Sky Patrol writes a limit as text, and 99.99 for its error."""
    table = {
        "HJD": [2457000.5, 2457001.5, 2457002.5, 2457003.5],
        "UT Date": ["2014-12-09.0"] * 4,
        "Camera": ["ba", "ba", "bb", "bb"],
        "FWHM": [1.5] * 4,
        "Limit": [16.5] * 4,
        "mag": [">16.5", "12.3", "99.99", "12.5"],
        "mag_err": [99.99, 0.02, 99.99, 0.03],
        "flux(mJy)": [0.5, 45.0, -1.0, 40.0],
        "flux_err": [0.25, 1.0, 1.0, 1.0],
        "Filter": ["V", "V", "g", "g"],
    }
    schema = load_schema("asas-sn")

    mags = schema.apply(table)
    fluxes = schema.apply(table, quantity="flux")

    assert mags.value[:2].tolist() == [16.5, 12.3]
    assert np.isnan(mags.value[2])
    assert bit(mags, PointFlag.UPPER_LIMIT) == [True, False, True, False]
    assert bit(mags, PointFlag.MISSING_VALUE) == [False, False, True, False]
    assert bit(mags, PointFlag.SENTINEL) == [False, False, True, False]
    assert np.isnan(mags.error).tolist() == [True, False, True, False]
    assert mags.meta.bands == ("asassn_v", "asassn_g")
    assert fluxes.value.tolist() == [0.5, 45.0, -1.0, 40.0]  # a negative flux is a measurement
    assert (fluxes.meta.quantity, fluxes.meta.unit) == ("flux", "mJy")
    assert not fluxes.flags.any()


def test_crts_measures_the_position_on_each_image():
    table = {
        "MasterID": ["a", "a", "b", "b"],
        "Mag": [15.0, 15.5, 16.0, 16.5],
        "Magerr": [0.1] * 4,
        "RA": [359.9999, 0.0001, 120.0, 120.0002],
        "Dec": [-30.0, -30.0, 20.0, 20.0],
        "MJD": [53500.5, -2409998.5, 53502.5, 53503.5],
        "Blend": [0, 1, 0, 0],
    }

    batch = load_schema("crts").apply(table)

    assert min(batch.objects["ra"][0], 360 - batch.objects["ra"][0]) < 1e-9
    assert batch.objects["ra"][1] == pytest.approx(120.0001, abs=1e-9)
    assert bit(batch, PointFlag.BAD_TIME) == [False, True, False, False]
    assert np.isnan(batch.time[1])
    assert batch.meta.bands == ("crts_v",)
    hard = SurveyFlags(mask="hard").transform(batch)
    assert bit(hard, PointFlag.SURVEY) == [False, True, False, False]
    assert not SurveyFlags().transform(batch).flags[[0, 2, 3]].any()


def test_macho_keeps_red_and_blue_side_by_side():
    table = {
        "field": [1, 1, 1], "tile": [3441, 3441, 3441], "sequence": [15, 15, 16],
        "mjd": [48825.5, 48826.5, 48825.5], "airmass": [1.5, 1.25, 1.5],
        "red_mag": [-8.5, -99.0, -7.5], "red_err": [0.25, 9.999, 0.5],
        "blue_mag": [-8.0, -8.25, -7.0], "blue_err": [0.125, 0.25, 0.5],
    }  # fmt: skip

    batch = load_schema("macho").apply(table)

    assert batch.ids.tolist() == ["1.3441.15", "1.3441.16"]
    assert batch.meta.bands == ("macho_r", "macho_b")
    assert batch.band.tolist() == [0, 0, 1, 1, 0, 1]
    assert batch.value[[0, 2, 3, 4, 5]].tolist() == [-8.5, -8.0, -8.25, -7.5, -7.0]
    assert bit(batch, PointFlag.SENTINEL) == [False, True, False, False, False, False]
    assert batch.points["airmass"].tolist() == [1.5, 1.25, 1.5, 1.25, 1.5, 1.5]


def test_gaia_flat_and_with_arrays_are_the_same_light_curve():
    flat = {
        "source_id": [7, 7, 7], "transit_id": [1, 2, 1], "band": ["G", "G", "BP"],
        "time": [1700.5, 1701.5, 1700.75], "flux": [100.0, 110.0, 50.0],
        "flux_error": [1.0, 1.5, 2.0], "mag": [15.0, 14.9, 15.5],
        "rejected_by_photometry": [False, False, False],
        "rejected_by_variability": [False, True, False],
    }  # fmt: skip
    arrays = pa.table(
        {
            "source_id": [7],
            "g_transit_time": [[1700.5, 1701.5]], "g_transit_flux": [[100.0, 110.0]],
            "g_transit_flux_error": [[1.0, 1.5]],
            "bp_obs_time": [[1700.75]], "bp_flux": [[50.0]], "bp_flux_error": [[2.0]],
        }
    )  # fmt: skip
    schema = load_schema("gaia-dr3")

    one, two = schema.apply(flat), schema.apply(arrays)

    for name in ("time", "value", "error", "band", "offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.meta == two.meta
    assert one.meta.time_scale == "BJD-2455197.5 TCB"
    assert one.meta.time_ref == 2455197.5
    assert one.points["survey_flags"].tolist() == [0, 2, 0]
    assert bit(SurveyFlags().transform(one), PointFlag.SURVEY) == [False, True, False]


def test_lsst_truth_values_become_bits():
    table = {
        "diaObjectId": [5, 5, None], "midpointMjdTai": [60500.0, 60501.0, 60502.0],
        "psfFlux": [-250.5, 100.0, 9.0], "psfFluxErr": [10.0, 11.0, 1.0],
        "band": ["r", "y", "r"], "ra": [10.0, 10.0, 11.0], "dec": [0.0, 0.0, 1.0],
        "pixelFlags_saturatedCenter": [False, True, None], "isDipole": [True, False, False],
    }  # fmt: skip
    table["diaObjectId"] = pa.array(table["diaObjectId"], pa.int64())
    table["pixelFlags_saturatedCenter"] = pa.array(table["pixelFlags_saturatedCenter"])
    schema = load_schema("lsst")

    batch = schema.apply(table, on_bad="reject")

    assert batch.ids.tolist() == ["5"]
    assert batch.rejected.reason.tolist() == ["needs an id in 'diaObjectId' on every row"]
    assert batch.meta.time_scale == "MJD TAI"
    assert (batch.meta.quantity, batch.meta.unit) == ("flux", "nJy")
    assert bit(SurveyFlags().transform(batch), PointFlag.SURVEY) == [False, True]
    with pytest.raises(DataError, match=r"needs an id in 'diaObjectId'.*on_bad='reject'"):
        schema.apply(table)


def test_ztf_alerts_tell_a_negative_difference():
    table = {
        "objectId": ["ZTF18abc"] * 2, "jd": [2458500.5, 2458501.5], "fid": [1, 2],
        "magpsf": [18.0, 18.5], "sigmapsf": [0.1, 0.1], "isdiffpos": ["t", "f"],
        "ra": [1.0, 1.0], "dec": [2.0, 2.0], "rb": [0.9, 0.8], "diffmaglim": [20.0, 20.1],
    }  # fmt: skip
    batch = load_schema("ztf-alerts").apply(table)
    assert batch.points["survey_flags"].tolist() == [0, 1]
    assert bit(SurveyFlags(mask="hard").transform(batch), PointFlag.SURVEY) == [False, True]


def test_kepler_tables_keep_their_clock():
    table = {
        "TIME": [131.5, np.nan], "PDCSAP_FLUX": [1000.0, np.nan], "PDCSAP_FLUX_ERR": [1.0, np.nan],
        "SAP_FLUX": [900.0, 901.0], "SAP_FLUX_ERR": [1.0, 1.0], "SAP_QUALITY": [0, 1 << 16],
        "CADENCENO": [1, 2],
    }  # fmt: skip
    batch = load_schema("kepler").apply(table)
    assert batch.ids.tolist() == ["kepler"]
    assert (batch.meta.time_scale, batch.meta.time_ref) == ("BKJD TDB", 2454833.0)
    assert bit(batch, PointFlag.BAD_TIME) == [False, True]
    assert bit(SurveyFlags().transform(batch), PointFlag.SURVEY) == [False, True]


# -- every maker of tables ----------------------------------------------------------------


def same(one: LightCurveBatch, two: LightCurveBatch) -> None:
    for name in ("time", "value", "error", "offsets", "flags", "band"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert one.meta == two.meta
    for name, column in one.objects.items():
        np.testing.assert_array_equal(column, two.objects[name], err_msg=name)
    for name, column in one.points.items():
        np.testing.assert_array_equal(column, two.points[name], err_msg=name)


@pytest.mark.parametrize(
    "make",
    [
        pa.table,
        lambda t: pa.table(t).to_batches()[0],
        pd.DataFrame,
        lambda t: pd.DataFrame(t).set_index("oid"),
        Table,
        lambda t: Table({**t, "filtercode": np.array(t["filtercode"], "S2")}),
        lambda t: Table({**t, "mag": np.array(t["mag"], ">f8")}),
        lambda t: {k.upper(): [str(v) for v in column] for k, column in t.items()},
        lambda t: pa.table(t).set_column(
            6, "filtercode", pa.array(t["filtercode"]).dictionary_encode()
        ),
    ],
)
def test_all_makers_of_tables_give_the_same_batch(make):
    schema = load_schema("ztf")
    same(schema.apply(make(ZTF)), schema.apply(ZTF))


def test_units_of_the_table_come_before_those_of_the_schema():
    schema = load_schema("lsst")
    table = Table(
        {
            "diaObjectId": [1],
            "midpointMjdTai": [60500.0 * 24] * u.hour,
            "psfFlux": [2.5] * u.uJy,
            "psfFluxErr": [250.0] * u.nJy,
            "band": ["g"],
            "ra": [np.pi] * u.rad,
            "dec": [30.0] * u.arcmin,
        }
    )

    batch = schema.apply(table)

    assert batch.time[0] == pytest.approx(60500.0, rel=1e-14)
    assert batch.value[0] == pytest.approx(2500.0, rel=1e-14)
    assert batch.error[0] == 250.0
    assert batch.objects["ra"][0] == pytest.approx(180.0)
    assert batch.objects["dec"][0] == pytest.approx(0.5)
    table["psfFlux"].unit = u.m
    with pytest.raises(DataError, match=r"'psfFlux' states the unit 'm'.*'nJy'"):
        schema.apply(table)


def test_masked_cells_are_missing():
    table = Table(ZTF)
    table["mag"] = MaskedColumn(ZTF["mag"], mask=[False, True, False])
    batch = load_schema("ztf").apply(table)
    assert bit(batch, PointFlag.MISSING_VALUE) == [False, True, False]
    assert np.isnan(batch.value[1])


def test_inputs_are_not_changed():
    frame = pd.DataFrame(ZTF)
    before = frame.copy()
    load_schema("ztf").apply(frame)
    pd.testing.assert_frame_equal(frame, before)


# -- rows that cannot be mapped -----------------------------------------------------------


def test_an_unknown_band_is_flagged_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        batch = load_schema("ztf").apply({**ZTF, "filtercode": ["zg", "zu", "zr"]})
    assert batch.n_points == 3
    assert batch.band.tolist() == [0, -1, 1]
    assert bit(batch, PointFlag.OTHER_BAND) == [False, True, False]
    assert batch.usable.counts().tolist() == [1, 1]
    assert "'zu' is not known" in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mag": ["15.2", "bright", "16"]}, "a number in every cell of 'mag'"),
        ({"dec": [29.0, 29.0, 91.0]}, "a position that is an angle in 'dec'"),
        ({"ra": [298.0, 297.0, 299.0]}, "one position in 'ra', not several"),
        ({"catflags": [0, -1, 0]}, "flags that the schema knows in every cell of 'catflags'"),
        ({"oid": ["b", "b", ""]}, "an id in 'oid' on every row"),
    ],
)
def test_a_bad_object_is_named_and_the_others_stay(change, reason):
    schema, table = load_schema("ztf"), {**ZTF, **change}
    with pytest.raises(DataError, match=rf"schema ztf needs {reason}.*reject"):
        schema.apply(table)
    batch = schema.apply(table, on_bad="reject")
    assert len(batch) == 1
    assert batch.rejected.reason.tolist() == [f"needs {reason}"]
    assert sorted([*batch.objects["row"], *batch.rejected.row]) == [0, 1]


def test_empty_flags_count_as_raised():
    batch = load_schema("ztf").apply({**ZTF, "catflags": pa.array([0, None, 0])})
    assert bit(batch, PointFlag.SURVEY) == [False, True, False]


def test_lists_of_different_length_are_refused():
    table = pa.table(
        {"oid": [1, 2], "filterid": [1, 1], "mjd": [[1.0, 2.0], [1.0]], "mag": [[1.0], [1.0]]}
    )
    with pytest.raises(DataError, match="lists of one length"):
        load_schema("ztf").apply(table)
    batch = load_schema("ztf").apply(table, on_bad="reject")
    assert batch.ids.tolist() == ["2"]
    assert batch.rejected.id.tolist() == ["1"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"oid": [1], "mag": [1.0]}, "a time: one of hmjd, hjd, mjd"),
        ({"oid": [1], "mjd": [1.0], "mag": [1.0]}, "a band: one of filtercode"),
        (3, "mapping of arrays, got int"),
        ({"mjd": [1.0], "mag": [[1.0, 2.0]]}, "no column|shape"),
        (pd.DataFrame([[1, 2]], columns=["mag", "mag"]), "several columns called mag"),
        (pd.DataFrame({"mag": [1, "x", None, b"y", 2.0]}), "without one type|no column"),
    ],
)
def test_a_wrong_table_is_one_clear_error(table, words):
    with pytest.raises(DataError, match=words):
        load_schema("ztf").apply(table)


def test_julian_dates_that_float32_has_rounded_are_refused():
    """2458200.5 becomes 2458200.5 or 2458200.25 at best: steps of a quarter of a day."""
    table = Table({**ZTF, "hjd": np.array(ZTF["hjd"], np.float32)})
    with pytest.raises(DataError, match=r"'hjd' holds times near 2,458,202 as float32.* 0.25;"):
        load_schema("ztf").apply(table)


def test_ids_that_differ_by_white_space_are_one_object():
    batch = load_schema("ztf").apply({**ZTF, "oid": ["a", " a ", "b"]})
    assert batch.ids.tolist() == ["a", "b"]
    assert batch.offsets.tolist() == [0, 2, 3]


def test_an_empty_table_is_an_empty_batch():
    batch = load_schema("ztf").apply(pa.table(ZTF).slice(0, 0))
    assert (batch.n_curves, batch.n_points) == (0, 0)
    assert batch.meta.survey == "ZTF"


# -- grouping and parsing against brute force -----------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from("gri")), max_size=40),
    by_band=st.booleans(),
)
def test_grouping_is_that_of_a_loop(rows, by_band):
    """Curves by first row, points in the order of the table, nothing lost."""
    text = 'name="x"\nsurvey="x"\nid=["id"]\n[[time]]\ncolumn="t"\nsystem="MJD"\n'
    text += 'scale="UTC"\nreference="geocentre"\n'
    text += '[[value]]\ncolumn="m"\nquantity="mag"\nunit="mag"\n[band]\ncolumns=["b"]\n'
    text += '[band.names]\ng="x_g"\nr="x_r"\ni="x_i"\n'
    if by_band:
        text = 'curve="object and band"\n' + text
    table = {
        "id": pa.array([f"s{i}" for i, _ in rows], pa.string()),
        "b": pa.array([b for _, b in rows], pa.string()),
        "t": np.arange(len(rows), dtype=float) + 55000,
        "m": np.arange(len(rows), dtype=float),
    }
    wanted: dict[str, list[float]] = {}
    for k, (i, b) in enumerate(rows):
        wanted.setdefault(f"s{i}:x_{b}" if by_band else f"s{i}", []).append(float(k))

    batch = schema_from_toml(text).apply(table)

    got = {
        name: batch.value[batch.offsets[i] : batch.offsets[i + 1]].tolist()
        for i, name in enumerate(batch.ids)
    }
    assert got == wanted
    if not by_band:
        assert list(got) == list(wanted)
    bands = np.array([*batch.meta.bands, ""], object)[batch.band]
    assert [f"x_{rows[int(k)][1]}" for k in batch.value] == bands.tolist()


@pytest.mark.parametrize(
    ("ra", "dec"),
    [("12:34:56.7", "-00:30:00.5"), ("00 00 00", "+89 59 59"), ("23h59m59.99s", "-12d34m56s")],
)
def test_sexagesimal_is_that_of_astropy(ra, dec):
    """A declination between 0 and -1 degree keeps its sign."""
    truth = SkyCoord(ra, dec, unit=(u.hourangle, u.deg))
    table = {"id": ["a"], "hjd": [5000.5], "mag": [1.0], "mag_err": [0.1], "ra": [ra], "dec": [dec]}
    batch = load_schema("ogle").apply({**table, "band": ["I"]})
    assert batch.objects["ra"][0] == pytest.approx(truth.ra.deg, abs=1e-10)
    assert batch.objects["dec"][0] == pytest.approx(truth.dec.deg, abs=1e-10)


@pytest.mark.parametrize("bad", ["12:60:00", "25:00:00", "abc", "12:00"])
def test_what_is_no_angle_is_refused(bad):
    table = {"id": ["a"], "hjd": [5000.5], "mag": [1.0], "ra": [bad], "dec": ["10:00:00"]}
    with pytest.raises(DataError, match="an angle in 'ra'"):
        load_schema("ogle").apply({**table, "band": ["I"]})


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_in_text_are_those_of_python(value):
    cells = numbers(pa.array([repr(value), f" {value:.6g} "]), "x")
    assert cells.values.tolist() == [value, float(f"{value:.6g}")]
    assert not cells.broken.any()


def test_text_that_is_no_number_is_told_from_none():
    cells = numbers(pa.array(["1.5", "", None, "NaN", "--", "1,5", "0x10", "1e", ">3"]), "x")
    assert cells.broken.tolist() == [False] * 5 + [True] * 4
    assert np.isnan(cells.values[1:]).all()


def test_a_sentinel_is_found_as_float32_rounds_it():
    values = np.array([99.99, np.float32(99.99), 99.98, np.nan])
    assert is_one_of(values, (99.99,)).tolist() == [True, True, False, False]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 359.99), st.floats(-89, 89), st.integers(1, 20))
def test_the_mean_of_one_direction_is_it(ra, dec, n):
    got = mean_direction(np.full(n, ra), np.full(n, dec), np.array([0, n]))
    assert abs((got[0][0] - ra + 180) % 360 - 180) < 1e-10
    assert got[1][0] == pytest.approx(dec, abs=1e-10)

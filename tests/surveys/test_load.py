"""Schemas from files: what is shipped is right, and all mistakes of one come at once."""

import re

import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.io.missions import MISSIONS
from astroprep.surveys import SURVEY_BITS, load_schema, schema_from_toml, schema_names, survey_bits
from astroprep.units import time_reference

MINIMAL = """
name = "mine"
survey = "Mine"
id = ["star"]
[[time]]
column = "t"
system = "MJD"
scale = "UTC"
reference = "geocentre"
[[value]]
column = "m"
error = "e"
quantity = "mag"
unit = "mag"
"""

WANTED = {
    "asas-3", "asas-sn", "crts", "eros-2", "gaia-dr3", "k2", "kepler", "lsst", "macho", "ogle",
    "tess", "ztf", "ztf-alerts",
}  # fmt: skip


def test_the_surveys_are_there():
    assert set(schema_names()) == WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_shipped_schema_is_whole(name):
    schema = load_schema(name)
    assert schema.name == name
    assert schema.sources, "facts need a source"
    assert any("doi:" in s or "arXiv" in s or "http" in s or "Manual" in s or "Description" in s
               for s in schema.sources)  # fmt: skip
    assert schema.grouping
    assert schema.about
    for time in schema.time:
        assert time_reference(time.time_scale) == time_reference(time.system)
    if schema.flags is not None:  # the step finds the bits by the name that batches carry
        assert survey_bits(schema.survey) is SURVEY_BITS[schema.flags.table]
    for band in schema.band.canonical():
        assert re.fullmatch(r"[a-z0-9]+(_[a-z]+)?", band)
    heliocentric = any(t.reference == "topocentre" for t in schema.time)
    assert schema.site is not None or not heliocentric or "site" in " ".join(schema.uncertain)


@pytest.mark.parametrize("mission", sorted(MISSIONS))
def test_space_schemas_agree_with_the_reader_of_fits_files(mission):
    schema, reader = load_schema(mission), MISSIONS[mission]
    assert schema.time[0].time_scale == reader.time_scale
    assert time_reference(schema.time[0].system) == reader.time_ref
    assert schema.flags is not None
    assert schema.flags.columns[0] == reader.quality
    assert schema.value[0].unit == "electron / s"


@pytest.mark.parametrize(
    ("survey", "system", "scale", "reference", "jd_of_zero"),
    [
        ("gaia-dr3", "BJD-2455197.5", "TCB", "barycentre", 2455197.5),
        ("lsst", "MJD", "TAI", "topocentre", 2400000.5),
        ("kepler", "BKJD", "TDB", "barycentre", 2454833.0),
        ("tess", "BTJD", "TDB", "barycentre", 2457000.0),
        ("ogle", "HJD-2450000", "UTC", "heliocentre", 2450000.0),
    ],
)
def test_clocks(survey, system, scale, reference, jd_of_zero):
    time = load_schema(survey).time[0]
    assert (time.system, time.scale, time.reference) == (system, scale, reference)
    assert time_reference(system) == jd_of_zero


def test_names_in_any_case_and_files(tmp_path):
    assert load_schema("ASAS SN").name == "asas-sn"
    assert load_schema("Gaia_DR3").name == "gaia-dr3"
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    assert load_schema(path).survey == "Mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ztff", r"there are asas-3, .*did you mean 'ztf'"),
        ("hubble", "a file of your own ends in .toml"),
        ("nowhere.toml", "nowhere.toml cannot be read: No such file"),
    ],
)
def test_no_such_schema(name, words):
    with pytest.raises(ConfigError, match=words):
        load_schema(name)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('unit = "mag"', 'unit = "parrot"', "'parrot' is none that astropy knows"),
        ('unit = "mag"', 'unit = "mJy"', "'mJy' cannot be converted to 'mag'"),
        ('scale = "UTC"', 'scale = "GMT"', "scale must be 'UTC', 'TAI', .*got 'GMT'"),
        ('system = "MJD"', 'system = "XJD"', "'XJD' is not known; there are JD, HJD"),
        ('system = "MJD"', 'system = "HJD-x"', "not a number of days"),
        ('error = "e"', 'eror = "e"', r"unknown key 'value.0.eror'; did you mean 'error'"),
        ('survey = "Mine"', "", "'survey' is missing"),
        ('error = "e"', 'error = "m"', "column 'm' is mapped to mag and to mag_err"),
        ('column = "t"', 'column = "star"', "column 'star' is mapped to id and to time"),
        ('quantity = "mag"', 'quantity = "luck"', "quantity must be 'mag' or 'flux'"),
        ('name = "mine"', "name = mine", "is no TOML"),
        ('name = "mine"', "name = " + "[" * 5000, "is no TOML"),
        ('name = "mine"', "name = 3", "name: .*valid string, got 3"),
    ],
)
def test_a_mistake_is_told(old, new, words):
    with pytest.raises(ConfigError, match=words):
        schema_from_toml(MINIMAL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[band]\ncolumns = ["b"]', "a column of bands needs names"),
        ('[flags]\ntable = "Hubble"\ncolumns = ["q"]', "'Hubble' is not known; there are Kepler"),
        ('[flags]\ntable = "ZTF"', "either columns or booleans"),
        ('[position]\nra = ["t"]\ndec = ["d"]', "column 't' is mapped to time and to ra"),
        ('[points]\nflags = "q"', "'flags' is a column that every batch has"),
        ('[site]\nname = "x"\nlongitude = 400\nlatitude = 0.0\nheight = 1.0', "site.longitude"),
    ],
)
def test_a_mistake_in_a_further_table_is_told(more, words):
    with pytest.raises(ConfigError, match=words):
        schema_from_toml(f"{MINIMAL}\n{more}")


def test_all_mistakes_come_at_once():
    text = MINIMAL.replace('scale = "UTC"', 'scale = "GMT"').replace('error = "e"', 'eror = "e"')
    with pytest.raises(ConfigError) as caught:
        schema_from_toml(text.replace('survey = "Mine"', ""), "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    for part in ("'survey' is missing", "eror", "GMT"):
        assert part in message


@pytest.mark.parametrize(
    ("name", "table", "other"),
    [
        ("ogle", {"hjd": [2452345.1, 2452346.1]}, "system = 'HJD' would"),
        ("ogle", {"hjd": [52345.1, 52346.1]}, "system = 'HMJD' would"),
        ("asas-3", {"HJD": [2452345.1, 2452346.1]}, "system = 'HJD' would"),
        ("eros-2", {"time": [2400.0, 3600.0, 4700.0]}, "system = 'HJD-2447892.5' would"),
        ("crts", {"MJD": [2453646.5, 2453647.5]}, "system = 'JD' would"),
    ],
)
def test_times_of_another_zero_are_refused(name, table, other):
    """Files of OGLE-II hold the full HJD: read as HJD - 2450000 they are of the year 8,713."""
    schema = load_schema(name)
    n = len(next(iter(table.values())))
    value = schema.series[0] if schema.series else schema.value[0]
    columns = {getattr(value, "value", None) or value.column: [15.0] * n, value.error: [0.1] * n}
    columns |= {schema.id[0]: ["a"] * n}
    columns |= {c: [1.0] * n for c in (schema.position.ra[:1] + schema.position.dec[:1]
                                       if schema.position else ())}  # fmt: skip
    with pytest.raises(DataError, match=rf"count from another zero.*{other}"):
        schema.apply(columns | table)


def test_one_impossible_time_spoils_no_table():
    times = [2345.1, 2346.1, 2400000.0]
    batch = load_schema("ogle").apply(
        {"ogle_id": ["a"] * 3, "hjd": times, "mag": [15.0] * 3, "mag_err": [0.1] * 3}
    )
    assert batch.time.tolist() == times


@pytest.mark.parametrize("years", ["[2003.0, 1996.0]", "[1700.0, 2000.0]", "[1996.0]"])
def test_years_are_two_that_rise(tmp_path, years):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL.replace('system = "MJD"', f'system = "MJD"\nyears = {years}'))
    with pytest.raises(ConfigError, match="years"):
        load_schema(path)

"""Times to BJD_TDB: analytic cases, SOFA's numbers, astropy as rival, spacecraft as truth."""

from __future__ import annotations

import warnings

import erfa
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import SITES, ToBarycentric, to_bjd_tdb
from astroprep.integrate import timescale as module
from astroprep.integrate.ephemeris import Ephemeris
from astroprep.integrate.sites import find_site
from astroprep.integrate.time_system import parse_time_system
from astroprep.integrate.timescale import leap_seconds_end, time_shift

DAY = 86400.0
MS = 1e-3 / DAY


def astropy_bjd(mjd, scale, ra, dec, site=None):
    """Modified BJD_TDB by astropy's own way, from each point's nutation and Earth rotation."""
    at = (
        EarthLocation.from_geocentric(0, 0, 0, unit="m")
        if site is None
        else EarthLocation.from_geodetic(
            site.longitude * units.deg, site.latitude * units.deg, site.height * units.m
        )
    )
    with iers.conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        time = Time(mjd, format="mjd", scale=scale.lower(), location=at)
        star = SkyCoord(ra, dec, unit="deg")
        return (time.tdb + time.light_travel_time(star, ephemeris="builtin")).mjd


@pytest.mark.parametrize("scale", ["UTC", "TAI", "TT", "TDB", "TCB"])
@pytest.mark.parametrize("site", [None, "palomar", "siding spring"])
def test_against_astropy(rng, scale, site):
    """Within 10 microseconds from 1973 to 2026, any site and scale."""
    mjd = rng.uniform(42000.0, 61000.0, 300)
    place = None if site is None else find_site(site)
    for ra, dec in [(10.0, 20.0), (200.0, -70.0), (270.0, 66.56), (0.0, -90.0)]:
        mine = to_bjd_tdb(mjd, system="MJD", scale=scale, ra=ra, dec=dec, site=site)
        theirs = astropy_bjd(mjd, scale, ra, dec, place)
        assert np.abs(mine - theirs).max() * DAY < 10e-6


@pytest.mark.parametrize(
    "jd", [2436934.6, 2439126.3, 2441317.5, 2457754.499, 2457754.4999999, 2457754.5]
)
def test_at_the_seams_of_utc(jd):
    """The rubber seconds of the sixties and the ends of a day with a leap second."""
    mine = to_bjd_tdb(jd, system="BJD UTC", reference=2400000.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Time(jd, 0.0, format="jd", scale="utc").tdb.mjd
    assert abs(mine - theirs) * DAY < 30e-6


def test_utc_to_tdb_is_69_seconds_since_2017():
    """37 leap seconds and 32.184 s; TDB itself swings by 1.7 ms in a year."""
    mjd = np.arange(57754.0, 61000.0, 13.0)
    offset = (to_bjd_tdb(mjd, system="BMJD UTC") - mjd) * DAY
    assert np.abs(offset - 69.184).max() < 1.8e-3
    assert np.ptp(offset) > 3e-3
    before = (to_bjd_tdb(57753.9, system="BMJD UTC") - 57753.9) * DAY
    assert before == pytest.approx(68.184, abs=0.95)  # stretched over the last day of 2016


def test_the_earth_where_sofa_has_it():
    """The numbers of SOFA's own test of epv00 (t_sofa_c, MJD 53411.52501161), within 0.1 km."""
    bary = [-0.7714104440491111971, 0.5598412061824171323, 0.2425996277722452400]
    helio = [-0.7757238809297706813, 0.5598052241363340596, 0.2426998466481686993]
    jd = (2400000.5, np.full(3, 53411.52501161))
    earth = Ephemeris.of_days(np.array([53411]), None)
    rows = np.arange(3)
    for path, origin in ((bary, "barycentre"), (helio, "sun")):
        light = earth.light_time(jd, rows, np.eye(3), origin)
        np.testing.assert_allclose(light * DAY * erfa.CMPS / erfa.DAU, path, atol=0.1 / 1.496e8)


def test_the_ecliptic_pole_sees_no_year():
    """8.3 minutes both ways in the ecliptic; at its pole only the Sun's own path is left."""
    mjd = np.arange(55000.0, 55365.0)
    plane = to_bjd_tdb(mjd, system="MJD TDB", ra=0.0, dec=0.0) - mjd
    pole = to_bjd_tdb(mjd, system="MJD TDB", ra=270.0, dec=66.5607) - mjd
    assert np.abs(plane).max() * DAY == pytest.approx(499.0, abs=10.0)
    assert np.abs(pole).max() * DAY < 0.5


def test_heliocentric_minus_barycentric_is_the_sun():
    """Some 4 s, by Jupiter and Saturn: the Sun keeps within 2.2 of its radii of the barycentre."""
    mjd = np.arange(44000.0, 61000.0, 40.0)
    shift = (to_bjd_tdb(mjd, system="HMJD TDB", ra=0.0, dec=0.0) - mjd) * DAY
    assert 4.0 < np.abs(shift).max() < 2.2 * 2.321
    helio, bary = (erfa.epv00(2400000.5, mjd)[i]["p"][:, 0] for i in (0, 1))
    expected = (bary - helio) * erfa.DAU / erfa.CMPS
    assert np.abs(shift - expected).max() < 1e-3  # the Sun moves 6 km while light comes from it


@pytest.mark.parametrize("scale", ["UTC", "TT", "TDB"])
def test_heliocentric_times_are_undone(rng, scale):
    """HJD made by astropy, in the scale itself, comes back as the BJD of the same instant."""
    mjd, ra, dec = rng.uniform(50000.0, 60000.0, 200), 81.0, -69.0
    at = EarthLocation.from_geocentric(0, 0, 0, unit="m")
    with iers.conf.set_temp("auto_download", False):
        time = Time(mjd, format="mjd", scale=scale.lower(), location=at)
        star = SkyCoord(ra, dec, unit="deg")
        helio = time.light_travel_time(star, "heliocentric", ephemeris="builtin").to_value("day")
    mine = to_bjd_tdb(mjd + helio, system="HMJD", scale=scale, ra=ra, dec=dec)
    assert np.abs(mine - astropy_bjd(mjd, scale, ra, dec)).max() * DAY < 5e-6
    sited = to_bjd_tdb(mjd + helio, system="HMJD", scale=scale, ra=ra, dec=dec, site="ogle")
    assert np.abs(sited - mine).max() * DAY < 10e-6  # the site cancels


def test_the_site_is_21_ms_at_most(rng):
    mjd = rng.uniform(50000.0, 60000.0, 500)
    centre = to_bjd_tdb(mjd, system="MJD UTC", ra=80.0, dec=5.0)
    site = to_bjd_tdb(mjd, system="MJD UTC", ra=80.0, dec=5.0, site="palomar")
    apart = np.abs(site - centre).max() * DAY
    assert 15e-3 < apart < 21.3e-3


@settings(max_examples=60, deadline=None)
@given(
    mjd=st.floats(37000.0, 61000.0),
    ra=st.floats(0.0, 360.0),
    dec=st.floats(-90.0, 90.0),
    scale=st.sampled_from(["UTC", "TAI", "TT", "TDB", "TCB"]),
)
def test_reference_and_neighbours_do_not_matter(mjd, ra, dec, scale):
    """The same instant in JD and MJD, alone and in company: within the rounding of a JD."""
    alone = to_bjd_tdb(mjd, system="MJD", scale=scale, ra=ra, dec=dec)
    among = to_bjd_tdb([45000.3, mjd, 61000.9], system="MJD", scale=scale, ra=ra, dec=dec)
    full = to_bjd_tdb(mjd + 2400000.5, system="JD", scale=scale, ra=ra, dec=dec)
    assert among[1] == alone
    assert abs(full - 2400000.5 - alone) * DAY < 120e-6
    shifted = to_bjd_tdb(mjd, system="MJD", scale=scale, ra=ra, dec=dec, reference=2450000.0)
    assert abs(shifted + 49999.5 - alone) * DAY < 2e-6


def test_chunks_do_not_matter(rng, monkeypatch):
    mjd, ra = rng.uniform(50000.0, 60000.0, 999), rng.uniform(0, 360, 999)
    whole = to_bjd_tdb(mjd, system="MJD UTC", ra=ra, dec=ra / 10, site="ztf")
    monkeypatch.setattr(module, "CHUNK", 100)
    np.testing.assert_array_equal(
        to_bjd_tdb(mjd, system="MJD UTC", ra=ra, dec=ra / 10, site="ztf"), whole
    )


def test_what_cannot_be_converted_is_nan_with_a_reason():
    bad = np.array([np.nan, np.inf, -2409998.5, 30000.0, leap_seconds_end() + 1, 55000.0])
    result = to_bjd_tdb(bad, system="MJD UTC", ra=1.0, dec=2.0)
    np.testing.assert_array_equal(np.isfinite(result), [0, 0, 0, 0, 0, 1])
    star = np.array([[1.0, 0.0, 0.0]])
    curve = np.zeros(6, np.int64)
    _, why = time_shift(bad, parse_time_system("MJD UTC"), curve, star, None)
    text = [module.reasons()[code] for code in why]
    for word, reason in zip(
        ["finite", "finite", "1800 to 2200", "1960", "leap seconds", ""], text, strict=True
    ):
        assert word in reason
    early = to_bjd_tdb([14000.0, 30000.0, 89000.0], system="MJD TT", ra=1.0, dec=2.0)
    np.testing.assert_array_equal(np.isfinite(early), [0, 1, 0])
    assert to_bjd_tdb([], system="MJD UTC", ra=1.0, dec=2.0).shape == (0,)


def test_leap_seconds_are_offline_and_current():
    assert leap_seconds_end() > 60000.0
    assert erfa.leap_seconds.get()["tai_utc"][-1] >= 37.0


@pytest.mark.parametrize(
    ("text", "zero", "origin", "scale"),
    [
        ("MJD UTC", 2400000.5, "observer", "UTC"),
        ("HJD-2450000", 2450000.0, "sun", ""),
        ("hmjd utc", 2400000.5, "sun", "UTC"),
        ("BJD_TDB", 0.0, "barycentre", "TDB"),
        ("BJD (TDB)", 0.0, "barycentre", "TDB"),
        ("BJD-2455197.5 TCB", 2455197.5, "barycentre", "TCB"),
        ("BKJD", 2454833.0, "barycentre", "TDB"),
        ("BTJD TDB", 2457000.0, "barycentre", "TDB"),
        ("JD TDT", 0.0, "observer", "TT"),
    ],
)
def test_systems_by_name(text, zero, origin, scale):
    system = parse_time_system(text)
    assert (system.zero, system.origin, system.scale) == (zero, origin, scale)


def test_mistakes_are_named():
    with pytest.raises(DataError, match=r"'MJD' states none.*UTC .*TAI .*TDB .*TCB"):
        to_bjd_tdb([55000.0], system="MJD", ra=1.0, dec=2.0)
    with pytest.raises(ConfigError, match="unknown time system 'stardate'"):
        to_bjd_tdb([55000.0], system="stardate")
    with pytest.raises(ConfigError, match="unknown time scale 'LOCAL'"):
        to_bjd_tdb([55000.0], system="MJD local")
    with pytest.raises(ConfigError, match="is in UTC, but scale='TT'"):
        to_bjd_tdb([55000.0], system="MJD UTC", scale="TT", ra=1.0, dec=2.0)
    with pytest.raises(ConfigError, match="is in TDB, but scale='UTC'"):
        to_bjd_tdb([1500.0], system="BTJD", scale="UTC")
    with pytest.raises(ConfigError, match="not a number of days"):
        parse_time_system("HJD-24x")
    with pytest.raises(DataError, match="needs ra and dec"):
        to_bjd_tdb([55000.0], system="MJD UTC")
    with pytest.raises(DataError, match=r"entry 1 is \(1, 95\); 1 are wrong"):
        to_bjd_tdb([55000.0] * 2, system="MJD UTC", ra=[1.0, 1.0], dec=[2.0, 95.0])
    with pytest.raises(DataError, match="one ra and dec, or as many"):
        to_bjd_tdb([55000.0] * 3, system="MJD UTC", ra=[1.0] * 2, dec=[2.0] * 2)
    with pytest.raises(DataError, match="numbers of days"):
        to_bjd_tdb(["2010-01-01"], system="MJD UTC", ra=1.0, dec=2.0)
    with pytest.raises(ConfigError, match="did you mean 'palomar'"):
        to_bjd_tdb([55000.0], system="MJD UTC", ra=1.0, dec=2.0, site="palomer")
    for site in [(0.0, 95.0, 0.0), (np.nan, 0.0, 0.0), (1.0, 2.0)]:
        with pytest.raises(ConfigError, match="site must"):
            find_site(site)


def test_sites_are_where_light_says():
    """La Silla and Las Campanas are 27 km apart, Tololo and Pachon 11, Palomar far from all."""

    def metres(name):
        site = SITES[name]
        lon, lat = np.deg2rad([site.longitude, site.latitude])
        return np.asarray(erfa.gd2gc(1, lon, lat, site.height))

    assert np.linalg.norm(metres("la silla") - metres("las campanas")) == pytest.approx(
        28e3, rel=0.1
    )
    assert np.linalg.norm(metres("cerro tololo") - metres("cerro pachon")) == pytest.approx(
        11.2e3, rel=0.1
    )
    assert find_site("ztf") == SITES["palomar"]
    assert find_site(" LSST ") == SITES["cerro pachon"]


# -- the step --------------------------------------------------------------------------------


def stars(times, *, meta=None, **objects):
    n = len(times)
    columns = {"ra": np.linspace(10, 50, n), "dec": np.linspace(-20, 20, n)} | objects
    return LightCurveBatch.from_curves(
        [(t, np.ones(len(t)), np.ones(len(t))) for t in times],
        ids=[f"s{i}" for i in range(n)],
        objects=columns,
        meta=meta or Meta(time_scale="MJD UTC", time_ref=2400000.5),
    )


def test_the_step_is_the_function(rng):
    batch = stars([rng.uniform(53000, 60000, n) for n in (5, 0, 1, 40)])
    result = ToBarycentric(site="crts").fit_transform(batch)
    for i in range(4):
        part = slice(*batch.offsets[i : i + 2])
        expected = to_bjd_tdb(
            batch.time[part],
            system="MJD UTC",
            ra=batch.objects["ra"][i],
            dec=batch.objects["dec"][i],
            site="mount bigelow",
        )
        np.testing.assert_array_equal(result.time[part], expected)
    np.testing.assert_array_equal(result.points["time_given"], batch.time)
    assert (result.meta.time_scale, result.meta.time_ref) == ("BJD-2400000.5 TDB", 2400000.5)
    again = ToBarycentric(site="crts").fit_transform(result)
    np.testing.assert_array_equal(again.time, result.time)


def test_space_telescopes_stay_as_they_are():
    """Barycentric already: no position needed, no bit changed; only the reference may move."""
    meta = Meta(quantity="flux", unit="electron/s", time_scale="BTJD TDB", time_ref=2457000.0)
    batch = stars([[1325.29454859, np.nan]], meta=meta, ra=[np.nan], dec=[np.nan])
    with pytest.raises(DataError, match="finite times"):
        ToBarycentric().fit_transform(batch[np.array([0])].with_columns(time=np.full(2, np.nan)))
    result = ToBarycentric().fit_transform(batch)
    np.testing.assert_array_equal(result.time, batch.time)
    assert result.meta.time_scale == "BTJD TDB"
    moved = ToBarycentric(reference=2454833.0).fit_transform(batch)
    assert moved.meta.time_scale == "BKJD TDB"
    assert moved.time[0] == pytest.approx(1325.29454859 + 2167.0, abs=1e-12)


def test_bad_times_are_flagged_and_hopeless_curves_rejected():
    batch = stars([[55000.0, -2409998.5, np.nan], [1.0, 2.0], [], [55000.0]], dec=[0, 0, 0, np.nan])
    with pytest.raises(DataError, match=r"ToBarycentric needs a position .*'s3' \(curve 3\)"):
        ToBarycentric().fit_transform(batch)
    result = ToBarycentric(on_bad="reject").fit_transform(batch)
    assert result.ids.tolist() == ["s0", "s2"]
    assert result.rejected.id.tolist() == ["s3", "s1"]
    assert "UTC times from 1960 on" in result.rejected.reason[1]
    assert result.rejected.reason[1].endswith("has 1")
    np.testing.assert_array_equal(result.flags, [0, PointFlag.BAD_TIME, PointFlag.BAD_TIME])
    np.testing.assert_array_equal(np.isnan(result.time), [False, True, True])


def test_the_step_asks_who_does_not_say():
    unknown = stars([[55000.0]], meta=Meta())
    with pytest.raises(DataError, match=r"the batch does not say; pass system="):
        ToBarycentric().fit_transform(unknown)
    lmc = stars([[2167.0]], meta=Meta(time_scale="HJD-2450000", time_ref=2450000.0))
    with pytest.raises(DataError, match="'HJD-2450000' states none; pass scale="):
        ToBarycentric().fit_transform(lmc)
    assert np.isfinite(ToBarycentric(scale="UTC").fit_transform(lmc).time).all()
    with pytest.raises(DataError, match=r"counts from JD 2400000.5, but .* from 2450000.0"):
        ToBarycentric(system="HMJD UTC").fit_transform(lmc)
    with pytest.raises(DataError, match="is in UTC, but scale='TDB'"):
        ToBarycentric(scale="TDB").fit_transform(stars([[55000.0]]))
    with pytest.raises(DataError, match="needs the column 'lon' per object"):
        ToBarycentric(ra="lon").fit_transform(stars([[55000.0]]))
    with pytest.raises(ConfigError, match=r"unknown site.*; reference must be"):
        ToBarycentric(site="mars", reference=np.inf).check()


# -- real files ------------------------------------------------------------------------------


def spacecraft(path, zero):
    """Times of a file, and how many seconds our times for the Earth's centre are later."""
    with fits.open(path, memmap=False) as file:
        table, header = file[1].data, file[0].header
        good = np.isfinite(table["TIME"])
        time, correction = (table[name][good].astype(float) for name in ("TIME", "TIMECORR"))
    mine = to_bjd_tdb(
        time - correction, system=f"JD-{zero} TDB", ra=header["RA_OBJ"], dec=header["DEC_OBJ"]
    )
    return time, (mine - time) * DAY


def test_tess_is_a_light_second_from_us(data_dir):
    """Its orbit reaches 60 to 68 Earth radii, 1.4 s; the corrections themselves are 16 to 305 s."""
    files = sorted((data_dir / "space/tess").glob("*lc.fits"))
    assert len(files) >= 3
    for file in files:
        time, apart = spacecraft(file, 2457000)
        assert np.abs(apart).max() < 1.45
        steady = np.diff(time) < 0.01
        # at perigee it flies at 4 km/s: 1.6 ms of light in two minutes
        assert np.abs(np.diff(apart)[steady]).max() < 2e-3


def test_kepler_trails_the_earth(data_dir):
    """Kepler fell behind by 0.1 au a year: 50 s of light in 2009-2010, under 1 au in 2015."""
    for folder, low, high in (("kepler", 30.0, 120.0), ("k2", 200.0, 499.0)):
        for file in sorted((data_dir / "space" / folder).glob("*llc.fits")):
            _, apart = spacecraft(file, 2454833)
            assert low < np.abs(apart).max() < high

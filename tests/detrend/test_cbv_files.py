"""Vectors as objects and in files: every format gives back what was written."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from astroprep.detrend import CotrendingVectors, read_vectors, write_vectors
from astroprep.detrend.cbv_files import channel_of, module_output_of
from astroprep.errors import ConfigError, DataError


def make(rng, n=50, k=3, **about):
    rows = rng.normal(size=(n, k))
    rows[10:13] = np.nan
    kept = {
        "vectors": rows,
        "cadence": np.arange(n) + 1000,
        "time": 500 + np.arange(n) * 0.02,
        "time_ref": 2454833.0,
        "survey": "Kepler",
        "segment": 5,
        "channel": 38,
    }
    return CotrendingVectors(**{**kept, **about})


def same(a, b, rtol=0.0):
    np.testing.assert_allclose(a.vectors, b.vectors, rtol=rtol)
    np.testing.assert_array_equal(a.cadence, b.cadence)
    shift = (a.time_ref or 0) - (b.time_ref or 0)
    np.testing.assert_allclose(a.time + shift, b.time, atol=1e-9)
    for name in ("survey", "segment", "channel", "scale"):
        assert getattr(a, name) == getattr(b, name)


@pytest.mark.parametrize("ending", [".fits", ".csv", ".parquet"])
def test_round_trip(rng, tmp_path, ending):
    one = make(rng)
    write_vectors(tmp_path / f"v{ending}", one)
    (again,) = read_vectors(tmp_path / f"v{ending}")
    same(one, again, rtol=0.0)


def test_fits_of_several_channels_in_the_archives_layout(rng, tmp_path):
    """One extension a channel, named MODOUT_m_o, MJD times, GAPFLAG, as the archive has them."""
    pair = [make(rng, channel=38), make(rng, channel=35)]
    write_vectors(tmp_path / "q5.fits", pair)
    with fits.open(tmp_path / "q5.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["MODOUT_12_2", "MODOUT_11_3"]
        assert hdus[0].header["QUARTER"] == 5
        names = ["TIME_MJD", "CADENCENO", "GAPFLAG", "VECTOR_1", "VECTOR_2", "VECTOR_3"]
        assert hdus[1].columns.names == names
        assert hdus[1].data["TIME_MJD"][0] == pytest.approx(55332.5)
        assert hdus[1].data["GAPFLAG"].sum() == 3
    for one, again in zip(pair, read_vectors(tmp_path / "q5.fits"), strict=True):
        same(one, again, rtol=1e-15)
        assert again.time_ref == 2400000.5


def test_tess_layout(rng, tmp_path):
    about = {"survey": "TESS", "segment": 37, "channel": 7, "time_ref": 2457000.0}
    sets = [
        make(rng, **about),
        make(rng, **about, scale="band-2"),
        make(rng, **about, scale="spike"),
    ]
    write_vectors(tmp_path / "s37.fits", sets)
    with fits.open(tmp_path / "s37.fits") as hdus:
        names = ["CBV.SINGLE-SCALE.2.3", "CBV.MULTISCALE-BAND-2.2.3", "CBV.SPIKE.2.3"]
        assert [hdu.name for hdu in hdus[1:]] == names
        assert "GAP" in hdus[1].columns.names
    for one, again in zip(sets, read_vectors(tmp_path / "s37.fits"), strict=True):
        same(one, again, rtol=1e-15)


def test_a_file_as_the_archive_writes_it(rng, tmp_path):
    """Float32 vectors, zeros in gaps, module and output but no channel; an empty channel beside."""
    rows = rng.normal(size=(40, 16)).astype(np.float32)
    gap = np.zeros(40, np.int16)
    gap[:4] = 1
    tables = []
    for module, output, flags in ((12, 2, gap), (3, 1, np.ones(40, np.int16))):
        columns = [
            fits.Column("TIME_MJD", "D", array=55275.0 + np.arange(40) * 0.0204),
            fits.Column("CADENCENO", "J", array=np.arange(40) + 16373),
            fits.Column("GAPFLAG", "I", array=flags),
            *(fits.Column(f"VECTOR_{j + 1}", "E", array=rows[:, j]) for j in range(16)),
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name=f"MODOUT_{module}_{output}")
        hdu.header["MODULE"], hdu.header["OUTPUT"] = module, output
        tables.append(hdu)
    primary = fits.PrimaryHDU()
    primary.header["QUARTER"] = 5
    fits.HDUList([primary, *tables]).writeto(tmp_path / "mast.fits")
    (one,) = read_vectors(tmp_path / "mast.fits")
    assert (one.survey, one.segment, one.channel, one.n_vectors) == ("Kepler", 5, 38, 16)
    assert one.is_known.sum() == 36
    np.testing.assert_array_equal(one.vectors[4:], rows[4:].astype(float))


def test_lightkurve_reads_what_we_write(rng, tmp_path):
    """The archive's layout is the one that lightkurve reads."""
    lightkurve = pytest.importorskip("lightkurve")
    one = make(rng)
    write_vectors(tmp_path / "q5.fits", one)
    with fits.open(tmp_path / "q5.fits") as hdus:
        kind = lightkurve.correctors.cbvcorrector.KeplerCotrendingBasisVectors
        theirs = kind.from_hdu(hdus, module=12, output=2)
    known = one.is_known
    np.testing.assert_array_equal(np.asarray(theirs["VECTOR_2"])[known], one.vectors[known, 1])
    np.testing.assert_array_equal(np.asarray(theirs["CADENCENO"]), one.cadence)


def test_recovered_vectors_of_quarter_5(data_dir):
    path = data_dir / "space" / "kepler" / "kplr_q05_ch38_cbv1-8_recovered.csv"
    (one,) = read_vectors(path, survey="Kepler", segment=5, channel=38, time_ref=2454833.0)
    assert (one.n_cadences, one.n_vectors, int(one.is_known.sum())) == (4634, 8, 4487)
    assert one.cadence[0] == 16373


def test_channels_of_the_focal_plane():
    """All 84 channels, and the two that the data name."""
    assert module_output_of(38) == (12, 2)
    assert module_output_of(35) == (11, 3)
    assert module_output_of(84) == (24, 4)
    assert [channel_of(*module_output_of(c)) for c in range(1, 85)] == list(range(1, 85))
    with pytest.raises(DataError, match="1 to 84"):
        module_output_of(85)
    with pytest.raises(DataError, match="no science module 5"):
        channel_of(5, 1)


class TestRefusals:
    def test_files(self, rng, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            read_vectors(tmp_path / "none.fits")
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(ConfigError, match="are read from"):
            read_vectors(tmp_path / "a.txt")
        (tmp_path / "a.csv").write_text("TIME,FLUX\n1,2\n")
        with pytest.raises(DataError, match=r"no columns VECTOR_1 ... among TIME, FLUX"):
            read_vectors(tmp_path / "a.csv")
        (tmp_path / "b.csv").write_text("TIME,VECTOR_1\n1,\n2,\n")
        with pytest.raises(DataError, match="every one of the 2 cadences is NaN"):
            read_vectors(tmp_path / "b.csv")
        fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "e.fits")
        with pytest.raises(DataError, match="no table with VECTOR_1"):
            read_vectors(tmp_path / "e.fits")

    def test_writing(self, rng, tmp_path):
        with pytest.raises(ConfigError, match="one channel, got 2"):
            write_vectors(tmp_path / "a.csv", [make(rng), make(rng)])
        with pytest.raises(ConfigError, match="are written to"):
            write_vectors(tmp_path / "a.txt", make(rng))
        with pytest.raises(ConfigError, match="one segment"):
            write_vectors(tmp_path / "a.fits", [make(rng), make(rng, segment=6)])

    def test_objects(self, rng):
        with pytest.raises(DataError, match="cadence numbers must rise"):
            make(rng, cadence=np.arange(50)[::-1])
        with pytest.raises(DataError, match="times must rise"):
            make(rng, cadence=None, time=np.zeros(50))
        with pytest.raises(DataError, match="cadence numbers or times"):
            make(rng, cadence=None, time=None)
        with pytest.raises(DataError, match="time has shape"):
            make(rng, time=np.arange(3.0))
        with pytest.raises(DataError, match="at least one vector"):
            make(rng, vectors=np.empty((50, 0)))
        with pytest.raises(ConfigError, match="5 vectors wanted, there are 3"):
            make(rng).first(5)


def test_interpolation_is_linear_and_stops_at_gaps():
    """Brute force on a straight line: exact inside, held half a step beyond, NaN further."""
    x = np.arange(20.0)
    rows = x[:, None] * 2.0
    rows[8:14] = np.nan
    one = CotrendingVectors(vectors=rows, time=x)
    asked = np.array([3.25, 19.4, 19.6, -0.5, 10.0, np.nan, 7.0, 14.0])
    want = np.array([6.5, 38.0, np.nan, 0.0, np.nan, np.nan, 14.0, 28.0])
    np.testing.assert_allclose(one.at_time(asked)[:, 0], want)
    np.testing.assert_allclose(one.at_time(asked, bridge=7.0)[4, 0], 20.0)

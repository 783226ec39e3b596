"""Credible regions: brute force, all pixel schemes, files of every kind, hostile ones."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import SkyMap, credible_level, in_credible_region, read_skymap

healpix = pytest.importorskip("astropy_healpix")
NSIDE = 32


def blob(order="nested", nside=NSIDE, frame="icrs", width=8.0):
    """Gaussian around ra 120, dec -30, as probabilities of pixels."""
    pixels = healpix.HEALPix(nside, order, frame=frame)
    centres = pixels.healpix_to_skycoord(np.arange(pixels.npix))
    apart = centres.separation(SkyCoord(120, -30, unit="deg")).deg
    p = np.exp(-0.5 * (apart / width) ** 2)
    return p / p.sum()


def places(rng, n=3000):
    return rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9, 1.0])
def test_the_region_is_the_densest_pixels_that_reach_the_level(rng, level):
    p = blob()
    ra, dec = places(rng)
    inside = in_credible_region(ra, dec, SkyMap.of(p), level)
    order = np.argsort(-p)
    n = np.searchsorted(np.cumsum(p[order]), level - 1e-12) + 1
    pixel = healpix.HEALPix(NSIDE, "nested", frame="icrs").skycoord_to_healpix(
        SkyCoord(ra, dec, unit="deg")
    )
    np.testing.assert_array_equal(inside, np.isin(pixel, order[:n]))
    assert p[order[:n]].sum() >= level - 1e-9
    assert inside.any()


def test_objects_drawn_from_the_map_fall_in_its_regions_as_often_as_they_say(rng):
    skymap = SkyMap.of(blob())
    pixel = rng.choice(skymap.probability.size, 4000, p=skymap.probability)
    grid = healpix.HEALPix(NSIDE, "nested", frame="icrs")
    sky = grid.healpix_to_skycoord(pixel, rng.random(4000), rng.random(4000))
    for level in (0.5, 0.9):
        share = in_credible_region(sky.ra.deg, sky.dec.deg, skymap, level).mean()
        assert share == pytest.approx(level, abs=0.03)
    assert np.mean(credible_level(sky.ra.deg, sky.dec.deg, skymap)) == pytest.approx(0.5, abs=0.03)


def test_ring_nested_galactic_and_multi_order_say_the_same(rng):
    ra, dec = places(rng)
    level = credible_level(ra, dec, SkyMap.of(blob()))
    np.testing.assert_allclose(
        credible_level(ra, dec, SkyMap.of(blob("ring"), order="ring")), level, atol=1e-9
    )
    uniq = np.arange(12 * NSIDE**2) + 4 * NSIDE**2
    density = blob() / (np.pi / 3 / NSIDE**2)
    shuffled = rng.permutation(uniq.size)
    many = SkyMap.of(density[shuffled], uniq=uniq[shuffled], density=True)
    np.testing.assert_allclose(credible_level(ra, dec, many), level, atol=1e-9)
    galactic = SkyMap.of(blob(frame="galactic"), galactic=True)
    assert np.median(np.abs(credible_level(ra, dec, galactic) - level)) < 0.01


def test_pixels_of_several_sizes(rng):
    """A coarse pixel split into four of the same density is the same map."""
    coarse = np.full(12, 0.02)
    coarse[3] = 1 - 11 * 0.02
    uniq = np.arange(12) + 4
    split = np.append(np.delete(uniq, 3), 4 * 4 + 4 * 3 + np.arange(4))
    p = np.append(np.full(11, 0.02), np.full(4, coarse[3] / 4))
    skymap = SkyMap.of(p, uniq=split)
    ra, dec = places(rng)
    np.testing.assert_array_equal(
        in_credible_region(ra, dec, skymap, 0.78),
        in_credible_region(ra, dec, SkyMap.of(coarse), 0.78),
    )


def test_positions_without_a_place_or_a_pixel():
    partial = SkyMap.of([1.0], uniq=[4])
    level = credible_level([45.0, 200.0, np.nan, 10.0], [45.0, -45.0, 0.0, 95.0], partial)
    np.testing.assert_array_equal(level, [1, 1, np.nan, np.nan])
    inside = in_credible_region([45.0, 200.0, np.nan], [45.0, -45.0, 0.0], partial)
    assert inside.tolist() == [True, False, False]
    assert in_credible_region([], [], partial).shape == (0,)


def written(path, columns, **header):
    table = fits.BinTableHDU(Table(columns))
    table.header.update(header)
    table.writeto(path)
    return path


def test_files_of_every_kind(tmp_path, rng):
    ra, dec = places(rng)
    level = credible_level(ra, dec, SkyMap.of(blob()))
    ring = written(tmp_path / "ring.fits.gz", {"PROB": blob("ring")}, ORDERING="RING", COORDSYS="C")
    rows = written(
        tmp_path / "rows.fits", {"PROB": blob().reshape(-1, 1024)}, ORDERING="NESTED",
        COORDSYS="EQU",
    )  # fmt: skip
    uniq = np.arange(12 * NSIDE**2) + 4 * NSIDE**2
    many = written(
        tmp_path / "many.fits",
        {"UNIQ": uniq, "PROBDENSITY": blob() / (np.pi / 3 / NSIDE**2)},
        ORDERING="NUNIQ", INDXSCHM="EXPLICIT",
    )  # fmt: skip
    for path in (ring, rows, many):
        np.testing.assert_allclose(credible_level(ra, dec, read_skymap(path)), level, atol=1e-9)
    np.testing.assert_array_equal(
        in_credible_region(ra, dec, str(many), 0.9),
        in_credible_region(ra, dec, SkyMap.of(blob()), 0.9),
    )


def test_hostile_maps_are_named(tmp_path):
    p = blob()
    with pytest.raises(DataError, match="sum to 2"):
        SkyMap.of(2 * p)
    with pytest.raises(DataError, match="1 of 12288 pixels are not, the first is 7"):
        SkyMap.of(np.where(np.arange(p.size) == 7, np.nan, p))
    with pytest.raises(DataError, match="13 pixels are no whole sky"):
        SkyMap.of(np.full(13, 1 / 13))
    with pytest.raises(DataError, match="pixels overlap"):
        SkyMap.of([0.5, 0.5], uniq=[4, 16])
    with pytest.raises(DataError, match="UNIQ must be whole numbers from 4"):
        SkyMap.of([1.0], uniq=[3])
    with pytest.raises(ConfigError, match="order must be"):
        SkyMap.of(p, order="other")
    with pytest.raises(ConfigError, match="level must lie"):
        in_credible_region([1], [1], SkyMap.of(p), 0.0)
    with pytest.raises(DataError, match="as many ra as dec"):
        credible_level([1, 2], [1], SkyMap.of(p))
    with pytest.raises(DataError, match="does not exist"):
        read_skymap(tmp_path / "none.fits")
    (tmp_path / "junk.fits").write_bytes(b"SIMPLE  =" + bytes(range(256)) * 40)
    with pytest.raises(DataError, match="cannot be read as a FITS sky map"):
        read_skymap(tmp_path / "junk.fits")
    fits.PrimaryHDU().writeto(tmp_path / "image.fits")
    with pytest.raises(DataError, match="has no table"):
        read_skymap(tmp_path / "image.fits")
    bad = written(tmp_path / "other.fits", {"FLUX": p}, ORDERING="RING")
    with pytest.raises(DataError, match="no column of probabilities; it has FLUX"):
        read_skymap(bad)
    bad = written(tmp_path / "order.fits", {"PROB": p}, ORDERING="SPIRAL")
    with pytest.raises(DataError, match="ORDERING must be"):
        read_skymap(bad)

"""Products of merge and crossmatch in every format: read back, taken apart, and their record."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from typer.testing import CliRunner

from astroprep.cli.main import app
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError
from astroprep.integrate import (
    CatalogueColumns,
    match_files,
    merge_files,
    read_catalogue,
    read_merger,
    stack_surveys,
    undo_merge,
)
from astroprep.io import open_survey, read_provenance, source_sha256, write_survey

RUN = CliRunner()
CURVES = ["parquet", "csv", "csv.gz", "fits", "fits.gz", "vot", "hats"]
TABLES = ["parquet", "csv", "tsv", "csv.gz", "fits", "vot", "xml"]


@pytest.fixture
def surveys(tmp_path, rng):
    """Three stars in two surveys, the third at another place; one of the files is a VOTable."""
    paths = []
    for k, ending in enumerate(("parquet", "vot")):
        curves = []
        for i in range(3):
            time = np.sort(rng.uniform(0, 300, 30)) + 1000 * k
            mag = 15 + i + rng.normal(0, 0.1, 30)
            curves.append((time, mag, np.full(30, 0.01)))
        batch = LightCurveBatch.from_curves(
            curves,
            ids=[f"{k}{i}" for i in range(3)],  # digits, that must stay text
            objects={"ra": np.array([10.0, 11.0, 12.0 + k]), "dec": np.zeros(3)},
            meta=Meta(survey=f"s{k}", time_scale="HJD UTC", time_ref=2450000.0),
        )
        paths.append(tmp_path / f"in{k}.{ending}")
        write_survey(paths[-1], batch)
    return paths


@pytest.mark.parametrize("ending", CURVES)
def test_merged_stars_come_back_and_can_be_taken_apart(surveys, tmp_path, ending):
    if ending == "hats":
        pytest.importorskip("astropy_healpix")
    out = tmp_path / f"stars.{ending}"
    log = tmp_path / "log.csv"
    done = merge_files(surveys, out, radius=1.0, log=log)
    assert (done.n_stars, done.n_merged) == (4, 2)

    stars, table = read_merger(out, log)
    back = undo_merge(stars, table)

    whole = stack_surveys([open_survey(path).read() for path in surveys])
    assert back.ids.tolist() == whole.ids.tolist()
    assert back.objects["survey"].tolist() == ["s0"] * 3 + ["s1"] * 3
    np.testing.assert_array_equal(back.time, whole.time)
    if "csv" in ending:  # float32 where its digits say all
        np.testing.assert_allclose(back.value, whole.value, rtol=1e-7)
    else:
        np.testing.assert_array_equal(back.value, whole.value)
        assert back.meta.time_scale == whole.meta.time_scale
    about = read_provenance(out)
    assert [one["sha256"] for one in about["inputs"]] == [source_sha256(p) for p in surveys]
    assert [one["curves"] for one in about["inputs"]] == [3, 3]
    assert about["settings"]["radius"] == 1.0
    assert about["verb"] == "merge"
    assert about["made_by"].startswith("astroprep ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", about["written"])
    shown = RUN.invoke(app, ["inspect", str(out)])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output) == about


@pytest.mark.parametrize("ending", TABLES)
def test_matches_in_every_format(tmp_path, ending):
    (tmp_path / "a.csv").write_text("id,ra,dec\n007,10.0,20.0\ny é,50.0,20.0\nz,,\n")
    (tmp_path / "b.csv").write_text("ra,dec\n10.0001,20.0\n")
    out = tmp_path / f"m.{ending}"
    if ending == "fits":
        with pytest.raises(DataError, match="'left_id' holds 'y é'; FITS has plain ASCII only"):
            match_files(tmp_path / "a.csv", tmp_path / "b.csv", out, radius=1.0)
        assert not out.exists()
        (tmp_path / "a.csv").write_text("id,ra,dec\n007,10.0,20.0\ny,50.0,20.0\nz,,\n")
    found = match_files(tmp_path / "a.csv", tmp_path / "b.csv", out, radius=1.0)
    about = read_provenance(out)
    assert about["counts"] == found.counts()
    assert [one["rows"] for one in about["inputs"]] == [3, 1]
    shown = RUN.invoke(app, ["inspect", str(out)])
    assert json.loads(shown.output) == about


def test_a_product_without_a_record_says_so(tmp_path, surveys):
    for path in surveys:
        with pytest.raises(DataError, match="does not say how it was made"):
            read_provenance(path)
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="does not say how it was made"):
        read_provenance(tmp_path / "x.csv")
    (tmp_path / "x.csv.json").write_text("{")
    with pytest.raises(DataError, match="its record is no JSON"):
        read_provenance(tmp_path / "x.csv")
    with pytest.raises(DataError, match="does not exist"):
        read_provenance(tmp_path / "none.fits")


def test_catalogues_state_their_units(tmp_path):
    table = Table({"ra": [0.5, 1.0], "dec": [0.1, -0.2], "pmra": [0.1, 0.2], "pmdec": [0.0, 0.1]})
    table["ra"].unit = table["dec"].unit = "rad"
    table["pmra"].unit = table["pmdec"].unit = "arcsec / yr"
    for ending in ("fits", "vot"):
        table.write(tmp_path / f"c.{ending}", format="fits" if ending == "fits" else "votable")
        found = read_catalogue(tmp_path / f"c.{ending}", CatalogueColumns(epoch="2000"))
        np.testing.assert_allclose(found.ra, np.rad2deg([0.5, 1.0]))
        np.testing.assert_allclose(found.dec, np.rad2deg([0.1, -0.2]))
        np.testing.assert_allclose(found.pm_ra, [100, 200])
        np.testing.assert_allclose(found.pm_dec, [0, 100])
    table["ra"].unit = "mag"
    table.write(tmp_path / "d.fits")
    with pytest.raises(DataError, match="column 'ra' is in 'mag'; need an angle"):
        read_catalogue(tmp_path / "d.fits")


def test_a_masked_id_is_no_number(tmp_path):
    ids = MaskedColumn(np.array([5, 6, 7], np.int64), mask=[0, 1, 0])
    table = Table({"id": ids, "ra": [1.0, 2.0, 3.0], "dec": [1.0, 2.0, 3.0]})
    for ending in ("fits", "vot"):
        table.write(tmp_path / f"c.{ending}", format="fits" if ending == "fits" else "votable")
        found = read_catalogue(tmp_path / f"c.{ending}")
        assert found.names(np.arange(3)).tolist() == ["5", "", "7"]


def test_a_table_behind_an_image_is_found(tmp_path):
    from astropy.io import fits

    hdu = fits.table_to_hdu(Table({"ra": [1.0], "dec": [2.0]}))
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 3))), hdu]).writeto(
        tmp_path / "c.fits"
    )
    assert read_catalogue(tmp_path / "c.fits").ra.tolist() == [1.0]

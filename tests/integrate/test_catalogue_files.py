"""Catalogue files in and out: every format, names of columns, sexagesimal text, bad files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import Angle
from astropy.table import Table

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import CatalogueColumns, match_files, read_catalogue
from astroprep.integrate.sexagesimal import angles_of_text
from astroprep.io import read_provenance


def stars(rng, n=50):
    return {
        "Name": np.array([f"V{i}" for i in range(n)]),
        "RAJ2000": rng.uniform(0, 360, n),
        "DEJ2000": rng.uniform(-89, 89, n),
        "e_pos": rng.uniform(0.1, 1, n),
        "pmRA": rng.normal(0, 5, n),
        "pmDE": rng.normal(0, 5, n),
    }


@pytest.mark.parametrize(
    "ending", ["parquet", "csv", "csv.gz", "tsv", "fits", "fits.gz", "vot", "xml"]
)
def test_every_format_reads_the_same(tmp_path, rng, ending):
    columns, path = stars(rng), tmp_path / f"stars.{ending}"
    table = Table(columns)
    if ending == "parquet":
        pq.write_table(pa.table({k: pa.array(v) for k, v in columns.items()}), path)
    elif "csv" in ending or ending == "tsv":
        table.to_pandas().to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    elif "fits" in ending:
        table.write(path)
    else:
        table.write(path, format="votable")

    found = read_catalogue(path, CatalogueColumns(errors=("e_pos",), epoch="2015.5"))

    np.testing.assert_allclose(found.ra, columns["RAJ2000"])
    np.testing.assert_allclose(found.dec, columns["DEJ2000"])
    np.testing.assert_allclose(found.covariance[:, 0], columns["e_pos"] ** 2)
    np.testing.assert_allclose(found.pm_dec, columns["pmDE"])
    assert found.epoch.tolist() == [2015.5] * 50
    assert found.names(np.array([0, -1, 49])).tolist() == ["V0", "", "V49"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "tsv", "fits", "vot"])
def test_matches_are_written_with_where_they_came_from(tmp_path, ending):
    (tmp_path / "a.csv").write_text("id,ra,dec\nx,10.0,20.0\ny,50.0,20.0\nz,,\n")
    (tmp_path / "b.csv").write_text("ra,dec\n10.0001,20.0\n")
    out = tmp_path / f"m.{ending}"

    match_files(tmp_path / "a.csv", tmp_path / "b.csv", out, radius=1.0)

    if ending == "parquet":
        table = pq.read_table(out)
        about = json.loads(table.schema.metadata[b"astroprep"])
        ids, right = table["left_id"].to_pylist(), table["right_id"].to_pylist()
        assert table["separation"].to_pylist()[1:] == [None, None]
        status = table["match_status"].to_pylist()
    elif ending in ("csv", "csv.gz", "tsv"):
        import pandas as pd

        frame = pd.read_csv(out, sep="\t" if ending == "tsv" else ",", keep_default_na=False)
        about = json.loads((tmp_path / f"m.{ending}.json").read_text())
        ids, right = frame["left_id"].tolist(), [str(x) for x in frame["right_id"]]
        status = frame["match_status"].tolist()
    else:
        frame = Table.read(out, format="votable" if ending == "vot" else "fits")
        about = read_provenance(out)
        assert str(frame["separation"].unit) == "arcsec"
        ids, right, status = (
            ["" if x is np.ma.masked else str(x) for x in frame[name]]
            for name in ("left_id", "right_id", "match_status")
        )
    assert ids == ["x", "y", "z"]
    assert right == ["0", "", ""]
    assert status == ["matched", "unmatched: nothing within 1 arcsec", "unmatched: no position"]
    assert [i["name"] for i in about["inputs"]] == ["a.csv", "b.csv"]
    assert all(len(i["sha256"]) == 64 for i in about["inputs"])
    assert about["settings"]["radius"] == 1.0
    assert about["counts"]["matched"] == 1


def test_names_given_and_found(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ra,dec,alpha,delta,w\n1,2,3,4,q\n")
    assert read_catalogue(path).ra[0] == 1
    named = read_catalogue(path, CatalogueColumns(id="w", ra="alpha", dec="delta"))
    assert (named.ra[0], named.dec[0], named.ids[0]) == (3, 4, "q")
    with pytest.raises(DataError, match=r"no column 'x' for right ascension; it has 'ra', 'dec'"):
        read_catalogue(path, CatalogueColumns(ra="x"))
    (tmp_path / "u.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column of right ascension; it has 'a', 'b'"):
        read_catalogue(tmp_path / "u.csv")
    with pytest.raises(ConfigError, match="proper motion is two columns"):
        read_catalogue(path, CatalogueColumns(proper_motion=("w",), epoch="2000"))
    with pytest.raises(DataError, match="column 'w' must hold numbers"):
        read_catalogue(path, CatalogueColumns(errors=("w",)))


def test_units_of_errors_are_taken_from_the_file(tmp_path):
    table = Table({"ra": [1.0], "dec": [2.0], "e": [50.0] * units.mas})
    table.write(tmp_path / "t.fits")
    found = read_catalogue(tmp_path / "t.fits", CatalogueColumns(errors=("e",)))
    assert found.covariance[0, 0] == pytest.approx(0.05**2)
    table["e"] = [50.0] * units.mag
    table.write(tmp_path / "u.fits")
    with pytest.raises(DataError, match="has the unit 'mag'; need an angle"):
        read_catalogue(tmp_path / "u.fits", CatalogueColumns(errors=("e",)))
    three = Table({"ra": [1.0], "dec": [2.0], "a": [2.0], "b": [1.0], "pa": [90.0]})
    three.write(tmp_path / "v.fits")
    found = read_catalogue(tmp_path / "v.fits", CatalogueColumns(errors=("a", "b", "pa")))
    np.testing.assert_allclose(found.covariance, [[4, 0, 1]], atol=1e-12)


def test_sexagesimal_text(tmp_path, rng):
    texts = ["12:34:56.7", "12h34m56.7s", "12 34 56.7", " 00:00:00 ", "23:59:59.999", "5 30"]
    found = angles_of_text(texts, hours=True, what="t")
    np.testing.assert_allclose(found[:5], Angle(texts[:5], unit="hourangle").deg)
    assert found[5] == pytest.approx(82.5)
    texts = ["-00:30:10", "+45d12m01s", "-89 59 59.9", "12.5", "\u221210:00:00"]
    found = angles_of_text(texts, hours=False, what="t")
    np.testing.assert_allclose(found, [-0.502777777, 45.2002777, -89.9999722, 12.5, -10])
    assert np.isnan(angles_of_text(["", None, "nan"], hours=True, what="t")).all()
    with pytest.raises(DataError, match=r"t: 1 of 2 texts are no angles, such as '12:75:00' in"):
        angles_of_text(["12:34:00", "12:75:00"], hours=True, what="t")
    path = tmp_path / "s.csv"
    path.write_text("ra,dec\n00:00:07,18:44:18\n12:00:00,-39:37:30\n")
    sky = read_catalogue(path)
    np.testing.assert_allclose(sky.ra, [7 / 240, 180])
    np.testing.assert_allclose(sky.dec, [18.738333, -39.625], atol=1e-6)


def test_bad_files(tmp_path):
    for name, content in {
        "a.parquet": b"junk", "b.fits": b"SIMPLE  = junk", "c.vot": b"<VOTABLE><RESOURCE>",
        "d.csv": b"\xff\xfe\x00", "e.txt": b"ra,dec\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_catalogue(tmp_path / name)
    with pytest.raises(DataError, match="does not exist"):
        read_catalogue(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("ra,dec\n")
    assert len(read_catalogue(tmp_path / "empty.csv")) == 0
    good = tmp_path / "good.csv"
    good.write_text("ra,dec\n1,2\n")
    with pytest.raises(DataError, match="unknown extension"):
        match_files(good, good, tmp_path / "out.doc", radius=1)


def test_ids_in_csv_are_text(tmp_path):
    """Read as numbers, 00012 and 12 are one star, and ids of 20 digits are rounded."""
    path = tmp_path / "ids.csv"
    ids = ["00012", "12", "98765432109876543210", "98765432109876543211", "2020-01-01"]
    path.write_text("id,ra,dec\n" + "".join(f"{name},1,2\n" for name in ids))
    assert read_catalogue(path).ids.tolist() == ids


def test_one_column_is_not_two_things(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,ra,dec\na,1,2\n")
    with pytest.raises(DataError, match="'dec' cannot be both right ascension and declination"):
        read_catalogue(path, CatalogueColumns(ra="dec"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("stream", ["FITS", "BINARY"])
def test_a_votable_opens_no_other_file(tmp_path, stream, encoding):
    """Its data may be said to lie at any path or address, which astropy opens."""
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.array([1.0, 2.0] * 10, ">f8").tobytes())
    path = tmp_path / "evil.vot"
    path.write_text(
        f'<?xml version="1.0" encoding="{encoding}"?>'
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        '<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/>'
        f'<DATA><{stream}><STREAM href="{secret.as_uri()}"/></{stream}></DATA>'
        "</TABLE></RESOURCE></VOTABLE>",
        encoding=encoding,
    )
    with pytest.raises(DataError, match=r"its data lie elsewhere .*secret\.bin"):
        read_catalogue(path)

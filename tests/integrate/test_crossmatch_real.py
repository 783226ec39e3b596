"""Catalogues with known answers."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from astroprep.integrate import Catalogue, crossmatch
from astroprep.integrate.sexagesimal import angles_of_text


def test_all_published_allwise_partners(data_dir):
    folder = data_dir / "catalogs"
    left = pd.read_csv(folder / "ztf_alerce_xmatch_input.csv", dtype={"id": str})
    known = pd.read_csv(folder / "ztf_x_allwise_response.csv", dtype={"id_in": str})
    found = crossmatch(
        Catalogue.of(left["ra"], left["dec"], ids=left["id"]),
        Catalogue.of(known["RAJ2000"], known["DEJ2000"], ids=known["AllWISE"]),
        radius=3.0, kind="one-to-one",
    )  # fmt: skip
    partner = dict(zip(found.left_id, zip(found.right_id, found.separation, strict=True),
                       strict=True))  # fmt: skip
    for name, wise, apart in zip(known["id_in"], known["AllWISE"], known["angDist"], strict=True):
        assert partner[name][0] == wise
        assert abs(partner[name][1] - apart) < 1e-3
    assert found.counts()["matched"] + found.counts().get("ambiguous", 0) == 5440
    assert (~found.is_matched).sum() == 113


def test_hats_cross_match(data_dir):
    def leaves(folder):
        files = sorted(folder.rglob("Npix=*.parquet"))
        return pd.concat([pq.ParquetFile(f).read().to_pandas() for f in files])

    left = leaves(data_dir / "hats" / "small_sky_order1_collection" / "small_sky_order1")
    right = leaves(data_dir / "hats" / "small_sky_xmatch")
    found = crossmatch((right["ra"], right["dec"]), (left["ra"], left["dec"]), radius=3600.0)
    np.testing.assert_allclose(found.separation / 3600, right["calculated_dist"], atol=1e-10)


def test_gcvs_and_acvs_far_above_chance(data_dir):
    """Sexagesimal hours against degrees; a shifted sky says what chance gives."""
    folder = data_dir / "catalogs"
    gcvs = pq.read_table(folder / "gcvs.parquet").to_pandas()
    acvs = json.loads(gzip.decompress((folder / "acvs_eclipsing_11062.json.gz").read_bytes()))
    sky = (
        angles_of_text([x["ra"] for x in acvs], hours=True, what="ra"),
        angles_of_text([x["dec"] for x in acvs], hours=False, what="dec"),
    )
    real = crossmatch(sky, (gcvs["ra"], gcvs["dec"]), radius=15.0, kind="one-to-one")
    moved = crossmatch(
        (sky[0], np.clip(sky[1] + 0.2, -90, 90)), (gcvs["ra"], gcvs["dec"]), radius=15.0
    )
    assert real.is_matched.sum() == 2709
    assert moved.is_matched.sum() < 10

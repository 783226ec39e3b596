"""HATS between us and LSDB: each reads what the other wrote."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.io import open_survey, write_hats

lsdb = pytest.importorskip("lsdb")
pytest.importorskip("astropy_healpix")


@pytest.fixture
def written(tmp_path, rng):
    n = 120
    curves = [(55000 + np.arange(4.0), rng.normal(15, 1, 4), np.full(4, 0.01)) for _ in range(n)]
    batch = LightCurveBatch.from_curves(
        curves,
        ids=[f"s{i}" for i in range(n)],
        objects={"ra": rng.uniform(10, 30, n), "dec": rng.uniform(-10, 10, n)},
        meta=Meta("x", time_scale="MJD UTC", time_ref=2400000.5),
    )
    write_hats(tmp_path / "ours.hats", batch, max_objects=40)
    return tmp_path / "ours.hats", batch


@pytest.mark.filterwarnings("ignore")  # of dask
def test_lsdb_reads_what_we_write(written, tmp_path):
    from hats.io.validation import is_valid_catalog

    path, batch = written
    assert is_valid_catalog(path, strict=True, verbose=False)
    frame = lsdb.open_catalog(path).compute().set_index("id").loc[batch.ids]
    for i in (0, 60, 119):
        curve = frame["lightcurve"].iloc[i]
        np.testing.assert_array_equal(curve["mag"], batch[i].value)
        np.testing.assert_array_equal(curve["time"], batch[i].time)
    near = lsdb.open_catalog(path).cone_search(20, 0, 3 * 3600).compute()
    ra, dec = np.deg2rad(batch.objects["ra"] - 20), np.deg2rad(batch.objects["dec"])
    inside = np.cos(dec) * np.cos(ra) > np.cos(np.deg2rad(3))
    assert sorted(near["id"]) == sorted(batch.ids[inside])


@pytest.mark.filterwarnings("ignore")
def test_we_read_what_lsdb_writes(written, tmp_path):
    path, batch = written
    lsdb.open_catalog(path).write_catalog(tmp_path / "theirs", catalog_name="theirs")
    back, ours = open_survey(tmp_path / "theirs").read(), open_survey(path).read()
    assert back.ids.tolist() == ours.ids.tolist()
    np.testing.assert_array_equal(back.value, ours.value)
    np.testing.assert_array_equal(back.time, ours.time)
    assert len(back) == len(batch)

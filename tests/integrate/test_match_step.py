"""The step: matched columns beside each object, nothing dropped."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import Catalogue, CrossMatch


@pytest.fixture
def batch(make_batch):
    return make_batch(3).with_columns(
        objects={"ra": np.array([10.0, 20.0, np.nan]), "dec": np.array([0.0, 1.0, 2.0])}
    )


def test_columns_of_the_nearest_entry(batch, tmp_path):
    path = tmp_path / "catalogue.csv"
    path.write_text("id,ra,dec,kind,vmag\nA,10.0001,0,RR,12.5\nB,120,0,EW,13\n")

    found = CrossMatch(str(path), radius=1.0, columns=["kind", "vmag"]).transform(batch).objects

    assert found["match_id"].tolist() == ["A", "", ""]
    assert found["match_row"].tolist() == [0, -1, -1]
    assert found["match_separation"][0] == pytest.approx(0.36, rel=1e-6)
    assert found["match_status"].tolist() == [
        "matched", "unmatched: nothing within 1 arcsec", "unmatched: no position",
    ]  # fmt: skip
    assert found["match_kind"].tolist() == ["RR", "", ""]
    np.testing.assert_array_equal(found["match_vmag"], [12.5, np.nan, np.nan])


def test_a_catalogue_in_memory_and_an_empty_file(batch, tmp_path):
    known = Catalogue.of([20.0], [1.0], ids=["S"])
    assert CrossMatch(known).transform(batch).objects["match_id"].tolist() == ["", "S", ""]
    path = tmp_path / "empty.csv"
    path.write_text("ra,dec,vmag\n")
    found = CrossMatch(path, columns=["vmag"]).transform(batch).objects
    assert found["match_row"].tolist() == [-1, -1, -1]


def test_mistakes_are_named(batch, make_batch):
    with pytest.raises(ConfigError, match="catalogue must be a file"):
        CrossMatch().transform(batch)
    with pytest.raises(ConfigError, match="radius must lie"):
        CrossMatch(([1], [1]), radius=-1).transform(batch)
    with pytest.raises(ConfigError, match="columns is a list of names"):
        CrossMatch(([1], [1]), columns=["x"]).transform(batch)
    with pytest.raises(DataError, match="needs the column 'ra' per object"):
        CrossMatch(([1], [1])).transform(make_batch(1))

"""SelectBand leaves the points of one band in use."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import SelectBand
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import DataError


@pytest.fixture
def batch():
    """Three curves: mostly r, only g, and one without points."""
    return LightCurveBatch(
        time=np.arange(7.0),
        value=np.full(7, 15.0),
        error=np.full(7, 0.1),
        offsets=np.array([0, 5, 7, 7]),
        band=np.array([0, 1, 1, 0, 1, 0, 0]),
        objects={"id": np.array(["a", "b", "c"], object)},
        meta=Meta(bands=("g", "r")),
    )


def test_the_band_with_most_points(batch):
    assert SelectBand().transform(batch).flags.tolist() == [128, 0, 0, 128, 0, 0, 0]


def test_only_usable_points_count(batch):
    batch = batch.with_columns(flags=np.array([0, 2, 2, 0, 0, 0, 0], np.uint32))
    assert SelectBand().transform(batch).flags.tolist() == [0, 130, 130, 0, 128, 0, 0]


def test_a_named_band(batch):
    assert SelectBand("g").transform(batch).usable.counts().tolist() == [2, 2, 0]
    with pytest.raises(DataError, match=r"needs usable points in band 'r': 'b' \(curve 1\)"):
        SelectBand("r").transform(batch)
    result = SelectBand("r", on_bad="reject").transform(batch)
    assert result.ids.tolist() == ["a", "c"]
    assert result.usable.counts().tolist() == [3, 0]


def test_unknown_band(batch):
    with pytest.raises(DataError, match="no band 'i' in this survey; there is g, r"):
        SelectBand("i").transform(batch)


def test_without_bands(batch):
    plain = LightCurveBatch.from_curves([([1.0], [2.0], [0.1])])
    assert SelectBand("g").transform(plain) is plain

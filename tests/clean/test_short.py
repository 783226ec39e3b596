"""DropShort refuses curves by their usable points."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import DropShort
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError


@pytest.fixture
def batch():
    curves = [(np.arange(n) + 0.0, np.full(n, 15.0), np.full(n, 0.1)) for n in (5, 4, 0)]
    whole = LightCurveBatch.from_curves(curves, ids=["long", "short", "empty"])
    flags = np.zeros(9, np.uint32)
    flags[0] = 16
    return whole.with_columns(flags=flags)


def test_counts_usable_points(batch):
    result = DropShort(min_points=4, on_bad="reject").transform(batch)
    assert result.ids.tolist() == ["long", "short"]
    assert result.rejected.id.tolist() == ["empty"]
    assert result.rejected.reason.tolist() == ["needs at least 4 usable points, has 0"]
    assert len(DropShort(min_points=5, on_bad="reject").transform(batch)) == 0


def test_raises_by_default(batch):
    with pytest.raises(
        DataError, match=r"DropShort needs at least 4 usable points, has 0: 'empty' \(curve 2\)"
    ):
        DropShort(min_points=4).transform(batch)


def test_settings(batch):
    with pytest.raises(ConfigError, match="min_points must be at least 1"):
        DropShort(min_points=0).transform(batch)

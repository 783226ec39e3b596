"""The histogram of separations and the expected chance pairs."""

from __future__ import annotations

import io

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.integrate import crossmatch
from astroprep.plot import plot_separations


def test_bars_are_the_matches_and_the_line_is_chance(rng):
    """Two unrelated fields: the histogram is the expectation."""
    sides = [(10 + rng.uniform(0, 1, 6000), rng.uniform(0, 1, 6000)) for _ in range(2)]
    found = crossmatch(*sides, radius=40.0, kind="all")
    ax = plot_separations(found, bins=8)
    heights = np.array([patch.get_height() for patch in ax.patches[:8]])
    assert heights.sum() == found.is_matched.sum()
    expected = ax.patches[8].get_data().values
    np.testing.assert_allclose(expected.sum(), heights.sum(), rtol=0.12)
    np.testing.assert_allclose(expected[-4:], heights[-4:], rtol=0.2)
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_nothing_to_draw_and_no_bins():
    alone = crossmatch(([1.0], [1.0]), ([2.0], [2.0]), radius=1.0)
    assert "no object is matched" in plot_separations(alone).texts[0].get_text()
    with pytest.raises(ConfigError, match="bins must be"):
        plot_separations(alone, bins=0)

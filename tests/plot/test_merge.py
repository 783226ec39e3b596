"""The picture of one star in several surveys."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.plot import plot_merged


@pytest.fixture
def star():
    time = np.arange(100) * 0.37
    batch = LightCurveBatch.from_curves(
        [(time, 15 + np.cos(2 * np.pi * time / 2.5), np.full(100, 0.01))], objects={"period": [2.5]}
    )
    survey = np.repeat(np.array(["A", "B"]), 50)
    return batch.with_columns(points={"survey": survey})


def test_both_sides_show_two_cycles_of_every_system(star):
    shifted = star.with_columns(value=star.value - 0.5 * (star.points["survey"] == "B"))
    one, two = plot_merged(star, shifted)
    for ax, batch in ((one, star), (two, shifted)):
        assert [line.get_label() for line in ax.lines] == ["A", "B"]
        phase, value = ax.lines[1].get_data()
        np.testing.assert_array_equal(np.sort(value[:50]), np.sort(batch.value[50:]))
        np.testing.assert_allclose(phase[:50], batch.time[50:] / 2.5 % 1, atol=1e-12)
        np.testing.assert_allclose(phase[50:], phase[:50] + 1)
        assert ax.yaxis_inverted()
    one.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_what_cannot_be_drawn_is_said(star):
    with pytest.raises(DataError, match="same curves and points"):
        plot_merged(star, star[:0])
    with pytest.raises(DataError, match="no curve 5"):
        plot_merged(star, star, 5)
    with pytest.raises(DataError, match="needs a period of '0'"):
        plot_merged(star, star, period=-1.0)
    with pytest.raises(DataError, match="needs the column 'colour'"):
        plot_merged(star, star, system="colour")
    dark = replace(star, weight=np.zeros(star.n_points))
    assert "no usable" in plot_merged(dark, dark)[0].texts[0].get_text()

"""Nights, bands, drift: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.plot import plot_band_coverage, plot_drift, plot_nights, plot_scatter


def test_nights_are_drawn_by_verdict():
    night = np.arange(55000, 55100)
    value = np.zeros(100)
    value[[3, 50]] = 0.3, np.nan
    verdict = np.full(100, "good", object)
    verdict[[3, 4]] = "poor", "fair"
    ax = plot_nights(night, value, verdict, "zero point [mag]", 0.0)
    drawn = {line.get_label(): len(line.get_xdata()) for line in ax.lines}
    assert drawn["good (97)"] == 97
    assert drawn["fair (1)"] == drawn["poor (1)"] == 1
    assert ax.get_ylim()[1] > 0.3
    assert ax.get_xlabel() == "night [MJD]"


def test_a_wild_good_night_does_not_set_the_axis():
    value = np.r_[np.random.default_rng(1).normal(size=999), 1e6]
    ax = plot_nights(np.arange(1000), value, ["good"] * 1000, "x")
    assert ax.get_ylim()[1] < 10
    assert ax.lines[0].get_ydata().max() <= ax.get_ylim()[1]


def test_nothing_to_draw():
    for ax in (
        plot_nights([], [], [], "x"),
        plot_nights([1], [np.nan], ["unknown"], "x"),
        plot_band_coverage({}, 3),
        plot_band_coverage({"g": (0, 0)}, 0),
        plot_drift({}, {}),
    ):
        assert len(ax.texts) == 1
    with pytest.raises(ConfigError, match="as many nights as values and verdicts"):
        plot_nights([1, 2], [1.0], ["good"], "x")


def test_bands_and_drift_are_bars():
    ax = plot_band_coverage({"g": (80, 60), "r$": (100, 90)}, 100)
    assert [bar.get_width() for bar in ax.patches] == [0.8, 1.0, 0.6, 0.9]
    ax = plot_drift({"a": 0.02, "b": 3.0}, {"a": "good", "b": "poor"})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b (poor)", "a (good)"]
    assert [bar.get_width() for bar in ax.patches] == [3.0, 0.02]


def test_marked_objects_are_on_top():
    ax = plot_scatter([14, 15, 16], [0.1, 0.1, 0.2], marked=([15], [0.1]))
    assert "worst objects" in [text.get_text() for text in ax.get_legend().get_texts()]

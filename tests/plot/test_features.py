"""The pictures of features show the numbers that the results hold."""

from __future__ import annotations

import io

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.plot import (
    plot_correlation_map,
    plot_feature_importances,
    plot_feature_space,
    plot_selection_curve,
)
from astroprep.reduce import PermutationImportance, SelectionCurve, correlation_clusters


def rendered(ax):
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_importances_are_ordered_with_their_errors(rng):
    loss = rng.normal([0.1, 0.5, 0.3], 0.01, (4, 3))
    found = PermutationImportance(("low", "high $x", "mid"), loss, np.full(4, 0.9), 0.25)
    ax = plot_feature_importances(found, n=2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["mid", "high $x"]
    bars = ax.containers[0]
    np.testing.assert_allclose(bars.lines[0].get_xdata(), found.importance[[2, 1]])
    ends = np.array([s[:, 0] for s in bars.lines[2][0].get_segments()])
    np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * found.error[[2, 1]])
    rendered(ax)
    assert "no features" in plot_feature_importances(found, n=0).texts[0].get_text()


def test_the_map_is_the_matrix_in_the_order_of_the_clusters(rng):
    a, b = rng.normal(size=(2, 60))
    table = {"a": a, "b": b, "a2": a + 0.01 * rng.normal(size=60), "one": np.ones(60)}
    found = correlation_clusters(table)
    ax = plot_correlation_map(found)
    drawn = np.ma.filled(ax.collections[0].get_array(), np.nan).reshape(4, 4)
    np.testing.assert_array_equal(drawn, found.rho[np.ix_(found.order, found.order)])
    assert len(ax.patches) == 1
    assert [t.get_text() for t in ax.get_xticklabels()] == [found.names[k] for k in found.order]
    rendered(ax)
    rendered(plot_correlation_map(correlation_clusters(rng.normal(size=(20, 70)))))


def test_the_space_has_every_object_with_both_features(rng):
    table = {"x": rng.normal(size=9), "y": rng.normal(size=9)}
    table["x"][0] = np.nan
    label = ["A"] * 6 + ["B"] * 3
    ax = plot_feature_space(table, "x", "y", label)
    assert sorted(t.get_text() for t in ax.get_legend().get_texts()) == ["A (5)", "B (3)"]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), table["x"][1:6])
    rendered(ax)
    rendered(plot_feature_space(table, "x", "x"))
    nothing = plot_feature_space({"x": [np.nan], "y": [1.0]}, "x", "y")
    assert "no object has both" in nothing.texts[0].get_text()
    with pytest.raises(ConfigError, match="one label an object"):
        plot_feature_space(table, "x", "y", ["A"])
    with pytest.raises(DataError, match="no column 'z'"):
        plot_feature_space(table, "x", "z")


def test_the_curve_shows_the_scores_and_the_choice():
    scores = np.array([[0.8, 0.82, 0.5], [0.84, 0.82, 0.6]])
    curve = SelectionCurve(np.array([8, 4, 1]), scores, 4)
    ax = plot_selection_curve(curve)
    line = ax.containers[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), curve.n_features)
    np.testing.assert_allclose(line.get_ydata(), [0.82, 0.82, 0.55])
    assert any("chosen: 4" in t.get_text() for t in ax.get_legend().get_texts())
    rendered(ax)

"""Pictures of compression: what is drawn is what was given, and nothing breaks without data."""

from __future__ import annotations

import io

import numpy as np
import pytest

from astroprep.plot import plot_pareto, plot_sparsity, plot_ternary, plot_weights


def rendered(ax):
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_the_front_joins_the_given_points_and_refused_ones_are_hollow():
    points = {"a": (100, 0.5), "b": (200, 0.4), "c": (300, 0.9), "bad": (np.nan, 1.0)}
    ax = plot_pareto(points, ["a", "c"], ["b"])
    front, *marks = ax.get_lines()
    assert front.get_xydata().tolist() == [[100, 0.5], [300, 0.9]]
    assert [m.get_markerfacecolor() == "white" for m in marks] == [False, True, False]
    assert [m.get_label().endswith("refused") for m in marks] == [False, True, False]
    rendered(ax)
    assert "no network" in plot_pareto({}).texts[0].get_text()


def test_no_two_of_many_approaches_look_alike():
    ax = plot_pareto({str(k): (100 + k, 0.5) for k in range(24)})
    _, *marks = ax.get_lines()
    assert len({(m.get_color(), m.get_marker()) for m in marks}) == 24


def test_sparsity_curves_are_points_lost():
    ax = plot_sparsity({"retrained": ([0.5, 0.9], [0.8, 0.78])}, reference=0.8)
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xydata(), [[50, 0], [90, -2]], atol=1e-9)
    rendered(ax)
    assert "nothing was pruned" in plot_sparsity({}).texts[0].get_text()


def test_histograms_count_the_weights_that_are_left():
    before = np.random.default_rng(0).normal(size=1000)
    after = np.where(np.abs(before) > 1.0, before, 0.0)
    ax = plot_weights({"before": before, "after": after}, n_bins=20)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    kept = np.count_nonzero(after)
    assert any(f"{kept} of 1,000" in text for text in texts)
    rendered(ax)
    assert "all weights are zero" in plot_weights({"x": np.zeros(3)}).texts[0].get_text()


def test_ternary_shares_fill_the_whole():
    state = {"positive": 0.3, "zero": 0.5, "negative": 0.2}
    scales = {"scale_positive": 0.1, "scale_negative": 0.2}
    ax = plot_ternary([{"w": state | scales}, {"w": state | scales}], "w")
    top = max(path.vertices[:, 1].max() for c in ax.collections for path in c.get_paths())
    assert top == pytest.approx(100)
    rendered(ax)
    assert "no ternary weights" in plot_ternary([], "w").texts[0].get_text()

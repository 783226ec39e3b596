"""Pictures of a survey count what is there."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.plot import (
    plot_error_honesty,
    plot_magnitudes,
    plot_points_per_object,
    plot_sampling,
    plot_scatter,
)

HISTOGRAMS = [plot_points_per_object, plot_magnitudes, plot_sampling, plot_error_honesty]


def rendered(ax) -> None:
    ax.figure.savefig(io.BytesIO(), format="svg")


def bins(ax) -> tuple[np.ndarray, np.ndarray]:
    (stairs,) = ax.patches
    return stairs.get_data().values, stairs.get_data().edges


@pytest.mark.parametrize("plot", HISTOGRAMS)
def test_every_object_is_counted_once(plot: Callable[..., Any], rng: np.random.Generator) -> None:
    values = rng.integers(1, 400, 1000).astype(float)

    counts, edges = bins(plot(values))

    assert counts.sum() == 1000
    np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])


@pytest.mark.parametrize("plot", HISTOGRAMS)
def test_counts_with_edges_are_drawn_as_they_are(plot: Callable[..., Any]) -> None:
    counts, edges = bins(plot([0, 3, 0, 5, 0], edges=[1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(counts, [3, 0, 5])  # empty ends are left away
    np.testing.assert_array_equal(edges, [2, 3, 4, 5])


@pytest.mark.parametrize("plot", HISTOGRAMS)
@pytest.mark.parametrize("values", [[], [np.nan], [7.0], [7.0, 7.0]])
def test_few_and_no_values(plot: Callable[..., Any], values: list[float]) -> None:
    rendered(plot(values))


@pytest.mark.parametrize("plot", HISTOGRAMS)
def test_edges_must_fit(plot: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="one edge more"):
        plot([1, 2], edges=[1, 2])


def test_bins_of_points_hold_equally_many_whole_numbers() -> None:
    _, edges = bins(plot_points_per_object(np.arange(44, 368)))
    assert set(np.diff(edges)) == {9.0}
    assert edges[0] == 43.5


def test_uneven_bins_get_a_logarithmic_axis_with_a_place_for_zero() -> None:
    ax = plot_points_per_object([2, 4, 8], edges=[-0.5, 0.5, 10.5, 100.5])
    assert ax.get_xscale() == "log"
    assert bins(ax)[1][0] == 0.25
    rendered(ax)


def test_sampling_leaves_out_what_is_not_positive_and_names_the_times() -> None:
    ax = plot_sampling([0.0, -1.0, np.nan, 0.01, 1.0, 300.0])
    assert bins(ax)[0].sum() == 3
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1 h", "1 d", "1 month"]


@pytest.mark.parametrize("n", [1, 50, 3000])
def test_scatter_follows_the_median(n: int, rng: np.random.Generator) -> None:
    magnitude = rng.uniform(12, 18, n)
    scatter = np.full(n, 0.03)

    ax = plot_scatter(magnitude, scatter)

    (median,) = [line for line in ax.lines if line.get_label() == "median"]
    np.testing.assert_allclose(median.get_ydata(), 0.03)
    rendered(ax)


def test_scatter_of_nothing_and_of_unequal_lengths() -> None:
    rendered(plot_scatter([np.nan], [0.1]))
    rendered(plot_scatter([15.0], [0.0]))
    with pytest.raises(ConfigError, match="1 and 0"):
        plot_scatter([1.0], [])

"""The picture of a structure function shows the numbers that the functions give."""

from __future__ import annotations

import io

import numpy as np

from astroprep.data import LightCurveBatch
from astroprep.features import fit_power_law, simulate_random_walk, structure_function
from astroprep.plot import plot_structure_function


def quasar(rng, n=200):
    time = np.sort(rng.uniform(0, 3000, n))
    value = 18 + simulate_random_walk(time, 150.0, 0.2, rng) + rng.normal(0, 0.03, n)
    return LightCurveBatch.from_curves([(time, value, np.full(n, 0.03))], ids=["QSO $1"])


def rendered(ax):
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_points_and_models_are_the_numbers(rng):
    batch = quasar(rng)
    ax = plot_structure_function(batch)
    bins, law = structure_function(batch), fit_power_law(batch)

    root, _ = bins.root()
    seen = np.isfinite(root[0])
    drawn = ax.containers[0].lines[0]
    np.testing.assert_allclose(drawn.get_xdata(), bins.lag[0][seen])
    np.testing.assert_allclose(drawn.get_ydata(), root[0][seen])
    line = next(x for x in ax.get_lines() if str(x.get_label()).startswith("power law"))
    slope = np.diff(np.log(line.get_ydata())) / np.diff(np.log(line.get_xdata()))
    np.testing.assert_allclose(slope, law.gamma[0], rtol=1e-6)
    assert any(str(x.get_label()).startswith("damped walk") for x in ax.get_lines())
    assert ax.get_ylabel() == "structure function [mag]"
    rendered(ax)


def test_models_can_be_left_out_and_limits_are_triangles(rng):
    time = np.sort(rng.uniform(0, 3000, 200))
    noise = (time, rng.normal(15, 0.03, 200), np.full(200, 0.06))
    ax = plot_structure_function(noise, models=False)
    labels = [str(x.get_label()) for x in ax.get_lines()]
    assert "upper limit, 2 errors" in labels
    assert not any("law" in x or "walk" in x for x in labels)
    rendered(ax)


def test_nothing_to_draw_says_so():
    for given in (([], [], []), ([1.0], [1.0], [0.1]), (np.arange(50.0), np.ones(50), None)):
        ax = plot_structure_function(LightCurveBatch.from_curves([given]))
        assert "no bin of lag" in ax.texts[0].get_text()
        rendered(ax)
    flat = (np.arange(50.0), np.ones(50), np.full(50, 0.1))
    rendered(plot_structure_function(LightCurveBatch.from_curves([flat])))

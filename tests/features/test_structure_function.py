"""Structure functions: every pair by brute force, unbiased, with honest errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError
from astroprep.features import simulate_random_walk, structure_function

EDGES = np.geomspace(1.0, 1000.0, 7)


def brute(time, value, error, low, high, definition="mean_square"):
    """SF², pairs and mean lag of one bin from a list of pairs."""
    i, j = np.triu_indices(time.size, 1)
    dt = time[j] - time[i]
    inside = (dt >= low) & (dt < high)
    d = (value[j] - value[i])[inside]
    noise = (error[j] ** 2 + error[i] ** 2)[inside].mean()
    if definition == "mean_square":
        return (d**2).mean() - noise, d.size, dt[inside].mean()
    if definition == "mean_absolute":
        return np.pi / 2 * np.abs(d).mean() ** 2 - noise, d.size, 0
    if definition == "iqr":
        low, high = np.quantile(d, [0.25, 0.75], method="hazen")
        return ((high - low) / (2 * norm.ppf(0.75))) ** 2 - noise, d.size, 0
    return (np.median(np.abs(d)) / norm.ppf(0.75)) ** 2 - noise, d.size, 0


def curve(rng, n=150, tau=100.0):
    time = np.sort(np.round(rng.uniform(0, 1500, n), 1))  # repeated times too
    error = 10 ** rng.uniform(-2, -1, n)
    return time, 15 + simulate_random_walk(time, tau, 0.3, rng) + rng.normal(0, error), error


@pytest.mark.parametrize("definition", ["mean_square", "mean_absolute", "iqr", "mad"])
def test_every_pair_is_used(rng, definition):
    """Equal to a list of pairs, each definition, each bin."""
    given = curve(rng)
    found = structure_function(
        LightCurveBatch.from_curves([given]), EDGES, definition, max_pairs=20_000
    )
    for k in range(6):
        wanted, pairs, lag = brute(*given, EDGES[k], EDGES[k + 1], definition)
        assert found.squared[0, k] == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        assert found.pairs[0, k] == pairs
        if lag:
            assert found.lag[0, k] == pytest.approx(lag, rel=1e-9)


@pytest.mark.parametrize("definition", ["mean_square", "mad"])
def test_the_jackknife_leaves_out_the_pairs_that_touch_a_stretch(rng, definition):
    """Ten brute-force structure functions, each without a tenth of the points."""
    time, value, error = curve(rng)
    found = structure_function(
        LightCurveBatch.from_curves([(time, value, error)]), EDGES, definition, max_pairs=20_000
    )
    block = np.arange(150) * 10 // 150
    for k in range(6):
        left = [
            brute(*(x[block != b] for x in (time, value, error)), *EDGES[k : k + 2], definition)[0]
            for b in range(10)
        ]
        wanted = np.sqrt(0.9 * ((left - np.mean(left)) ** 2).sum())
        assert found.squared_error[0, k] == pytest.approx(wanted, rel=1e-7)


def test_noise_is_subtracted_without_bias(rng):
    """400 walks: the mean SF² is 2 sigma² (1 - exp(-dt / tau)) at every lag."""
    batch = LightCurveBatch.from_curves([curve(rng) for _ in range(400)])
    found = structure_function(batch, EDGES)
    mean, spread = found.squared.mean(0), found.squared.std(0) / 20
    lag = found.lag.mean(0)
    np.testing.assert_array_less(np.abs(mean - 2 * 0.09 * (1 - np.exp(-lag / 100))), 4 * spread)


def test_the_error_of_white_noise_is_its_scatter(rng):
    """For independent points the jackknife is right: errors of 300 curves against their scatter."""
    time = np.sort(rng.uniform(0, 1500, 200))
    curves = [(time, rng.normal(0, 0.1, 200), np.full(200, 0.1)) for _ in range(300)]
    found = structure_function(LightCurveBatch.from_curves(curves), EDGES)
    ratio = np.sqrt((found.squared_error**2).mean(0)) / found.squared.std(0)
    assert (np.abs(np.log(ratio)) < np.log(1.35)).all()
    pull = found.squared.mean(0) / found.squared.std(0) * 300**0.5
    assert np.abs(pull).max() < 4


def test_a_draw_of_the_pairs_is_fair(rng):
    """Of 2 x 10⁵ pairs 2000 are drawn: unbiased over 100 curves."""
    curves = [(np.arange(700.0), rng.normal(0, 1, 700), np.full(700, 1e-3)) for _ in range(100)]
    batch = LightCurveBatch.from_curves(curves)
    few = structure_function(batch, (1.0, 600.0), "mad").squared[:, 0]
    assert few.mean() == pytest.approx(2.0, abs=4 * few.std() / 10)


def test_outliers_hardly_move_the_robust_ones(rng):
    time, value, error = curve(rng, 300)
    broken = value.copy()
    broken[::60] += 50.0
    batch = LightCurveBatch.from_curves([(time, value, error), (time, broken, error)])
    for definition, most in (("mad", 1.4), ("iqr", 1.4)):
        clean, dirty = structure_function(batch, (100.0, 1000.0), definition).squared[:, 0]
        assert 1 / most < dirty / clean < most
    assert np.divide(*structure_function(batch, (100.0, 1000.0)).squared[::-1, 0]) > 100


def test_bad_input_has_stated_outcomes(rng):
    """Too few pairs, equal values, equal times, missing errors, fluxes near 1e8."""
    time, value, error = curve(rng)
    missing = error.copy()
    missing[3] = np.nan
    batch = LightCurveBatch.from_curves(
        [
            ([], [], []),
            ([1.0], [1.0], [0.1]),
            ([1.0, 3.0], [1.0, 2.0], [0.1, 0.1]),
            (np.ones(50), np.arange(50.0), np.ones(50)),
            (time, np.full(150, 15.1), error),
            (time, value, missing),
            (time, (1e8 * value).astype(np.float32), 1e8 * error),
        ]
    )
    found = structure_function(batch, EDGES)
    assert np.isnan(found.squared[:4]).all()
    assert found.pairs[:4].sum() == 1
    flat = [brute(time, 0 * value, error, *EDGES[k : k + 2])[0] for k in range(6)]
    np.testing.assert_allclose(found.squared[4], flat, rtol=1e-9)
    assert np.isnan(found.squared[5]).all()
    assert np.isnan(found.squared_error[5]).all()
    for k in range(6):
        rounded = (1e8 * value).astype(np.float32).astype(float)
        wanted = brute(time, rounded, 1e8 * error, EDGES[k], EDGES[k + 1])[0]
        assert found.squared[6, k] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lags": (1.0,)}, "ascending positive"),
        ({"lags": (0.0, 1.0)}, "ascending positive"),
        ({"lags": (1.0, np.inf)}, "ascending positive"),
        ({"definition": "median"}, "definition must be one of"),
        ({"max_pairs": 5}, "max_pairs must be"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        structure_function(LightCurveBatch.from_curves([]), **settings)

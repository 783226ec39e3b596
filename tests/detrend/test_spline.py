"""The Kalman spline is the smoothing spline, with the errors of a Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from astroprep.detrend.spline import half_gain_density, kept_fraction, smooth_run


def smoothed(time, value, weight, density):
    trend, variance = np.empty(time.size), np.empty(time.size)
    smooth_run(time, value, weight, density, trend, variance)
    return trend, variance


def test_equals_the_smoothing_spline_of_scipy(rng):
    """Sum of w (y - f)^2 plus the integral of f''^2 over the density is least (Wahba 1978)."""
    time = np.sort(rng.uniform(0, 20, 300))
    value = 5 * np.sin(time) + rng.normal(size=300)
    weight = rng.uniform(0.2, 2.0, 300)
    for density in (0.01, 1.0, 100.0):
        expected = make_smoothing_spline(time, value, weight, lam=1 / density)(time)
        np.testing.assert_allclose(smoothed(time, value, weight, density)[0], expected, atol=1e-4)


def test_trend_and_variance_are_those_of_the_gaussian_process(rng):
    """Brute force: integrated random walk with a wide prior on level and slope, dense algebra."""
    time = np.sort(rng.uniform(0, 5, 40))
    value = rng.normal(size=40)
    weight = np.where(rng.random(40) < 0.3, 0.0, rng.uniform(0.5, 2.0, 40))
    s = np.minimum.outer(time, time) - time[0]
    late = np.maximum.outer(time, time) - time[0]
    covariance = 2.0 * s**2 * (3 * late - s) / 6
    line = np.stack([np.ones(40), time - time[0]], axis=1)
    covariance += 1e4 * line @ line.T
    seen = weight > 0
    gain = covariance[:, seen] @ np.linalg.inv(
        covariance[np.ix_(seen, seen)] + np.diag(1 / weight[seen])
    )
    trend, variance = smoothed(time, value, weight, 2.0)
    np.testing.assert_allclose(trend, gain @ value[seen], atol=5e-3)
    expected = np.diag(covariance - gain @ covariance[seen])
    np.testing.assert_allclose(variance, expected, rtol=1e-2, atol=1e-3)


def test_repeated_times_are_as_one_point_of_twice_the_weight(rng):
    time, value = np.arange(30.0), rng.normal(size=30)
    once = smoothed(time, value, np.full(30, 2.0), 0.1)
    twice = smoothed(np.repeat(time, 2), np.repeat(value, 2), np.ones(60), 0.1)
    np.testing.assert_allclose(twice[0][::2], once[0], atol=1e-6)
    np.testing.assert_allclose(twice[1][1::2], once[1], atol=1e-6)


@pytest.mark.parametrize("timescale", [1.5, 4.0])
def test_a_sine_of_the_timescale_is_halved(timescale):
    time = np.arange(0, 60, 0.02)
    sine = np.sin(2 * np.pi * time / timescale)
    trend, _ = smoothed(time, sine, np.ones(time.size), half_gain_density(timescale, 0.02))
    inner = slice(500, -500)
    gain = (trend[inner] @ sine[inner]) / (sine[inner] @ sine[inner])
    assert gain == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("hours", [2.0, 6.0, 12.0])
def test_the_kept_fraction_of_a_box_is_what_the_spline_leaves(hours):
    time = np.arange(0, 30, 0.02)
    box = (np.abs(time - 15.01) < hours / 48).astype(float)
    trend, _ = smoothed(time, box, np.ones(time.size), half_gain_density(2.0, 0.02))
    left = np.mean((box - trend)[box > 0])
    assert left == pytest.approx(kept_fraction(box.sum() * 0.02, 2.0), abs=0.01)
    assert kept_fraction(0.0, 2.0) == 1.0

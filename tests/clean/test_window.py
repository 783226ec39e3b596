"""Moving medians against ten lines of brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import median_filter

from astroprep.clean.window import moving_median


def brute_force(time, value, window, gap, min_points):
    trend = np.empty(time.size)
    piece = np.cumsum(np.diff(time, prepend=time[:1]) > gap)
    for i in range(time.size):
        same = piece == piece[i]
        if same.sum() < min_points:
            trend[i] = np.median(value)
            continue
        distance = np.abs(time - time[i])
        enough = np.sort(distance[same])[min_points - 1]
        trend[i] = np.median(value[same & (distance <= max(window / 2, enough))])
    return trend


@pytest.mark.parametrize("window", [0.1, 1.0, 7.0, 1e9, np.inf])
@pytest.mark.parametrize("gap", [0.5, 3.0, np.inf])
@pytest.mark.parametrize("min_points", [1, 5])
def test_against_brute_force(rng, window, gap, min_points):
    sizes = [0, 1, 2, 3, 40, 41, 200]
    curves = []
    for n in sizes:
        time = np.sort(rng.uniform(0, 50, n))
        time[n // 2 : n // 2 + 3] = time[n // 2] if n else 0
        curves.append((np.sort(time), np.round(rng.normal(0, 1, n), 1)))
    time = np.concatenate([c[0] for c in curves])
    value = np.concatenate([c[1] for c in curves])
    offsets = np.cumsum([0, *sizes])
    found = moving_median(time, value, offsets, window, gap, min_points)
    expected = np.concatenate([brute_force(t, v, window, gap, min_points) for t, v in curves])
    np.testing.assert_array_equal(found, expected)


def test_against_scipy_on_even_sampling(rng):
    """Inside the curve a window of 9 cadences is scipy's median filter of size 9."""
    value = rng.normal(0, 1, 500)
    time = np.arange(500.0)
    found = moving_median(time, value, np.array([0, 500]), 8.0, np.inf, 1)
    np.testing.assert_array_equal(found[4:-4], median_filter(value, 9)[4:-4])

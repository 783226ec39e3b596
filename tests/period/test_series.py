"""A series over many blocks of frequencies, with and without room for all its kernels."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.period.backends import PRODUCT, n_spreads, plans
from astroprep.period.exact import harmonic_power, standardise
from astroprep.period.series import KEPT, n_kept, series_power, series_room
from astroprep.period.spectrum import TAPS

GUARD = 64


def series(n_points, n_harmonics, size, choice, seed=5):
    """Power of a noisy sine by `series_power`, and exactly."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 90, n_points))
    error = rng.uniform(0.02, 0.1, n_points)
    value = 0.1 * np.sin(2 * np.pi * time / 0.7) + error * rng.normal(size=n_points)
    centred, weight, weighted, _ = standardise(time, value, error)
    start, step = 0.613, 1 / (5 * 90)
    products, plan = choice == PRODUCT, plans()[max(choice, 0)]
    needed = series_room(n_points, n_harmonics, 1, products, plan)
    room = np.full(needed + GUARD, np.nan, np.float32)
    power = np.full(size, np.nan, np.float32)
    bands = np.array([0, n_points])
    marked = series_power(
        centred, weighted, weight, bands, start, step, n_harmonics, power, products, plan,
        room[:needed],
    )  # fmt: skip
    assert np.isnan(room[needed:]).all()  # nothing written beyond the room
    exact = harmonic_power(centred, weight, weighted, start + step * np.arange(size), n_harmonics)
    return power, exact, marked


@pytest.mark.parametrize("n_harmonics", [2, 4, 8])
@pytest.mark.parametrize("n_points", [60, 300])
@pytest.mark.parametrize("choice", [0, 1, 2, PRODUCT])
def test_blocks_are_exact(n_points, n_harmonics, choice):
    """Brute force; the smallest transforms serve 192 frequencies: six blocks, the last not full."""
    power, exact, marked = series(n_points, n_harmonics, 1003, choice)
    told = power >= 0
    assert marked == (not told.all())
    # fewer points a harmonic are all left to the exact evaluation
    assert told.mean() > 0.5 or n_points < 10 * n_harmonics
    assert (np.abs(power - exact)[told] < 1e-3).all()


def test_blocks_are_exact_where_not_all_kernels_have_room():
    n_points, n_harmonics = 24_000, 4
    assert 1 < n_kept(n_points, n_harmonics) < 2 * n_harmonics
    power, exact, marked = series(n_points, n_harmonics, 500, 0)
    assert not marked
    assert np.abs(power - exact).max() < 1e-4


def test_blocks_are_exact_where_one_kernel_has_room():
    n_points = KEPT // TAPS + 1
    assert n_kept(n_points, 2) == 1
    power, exact, marked = series(n_points, 2, 250, 0)
    assert not marked
    assert np.abs(power - exact).max() < 1e-4


def test_a_room_serves_fewer_harmonics_too():
    """The search of several bands uses one room for all its series."""
    for n_points in (1, 60, 4_000, 10_922, 10_923, 16_384, 16_385, 65_537, 300_000):
        for plan in plans():
            rooms = [series_room(n_points, h, 1, False, plan) for h in range(1, 9)]
            assert rooms == sorted(rooms)


def test_kernels_are_counted_as_they_are_made():
    n_points, blocks = np.array([100, 24_000, KEPT]), np.array([[1.0, 7.0]] * 3)
    # 4 harmonics: all eight kept; five kept, of which the last changes hands; none kept
    assert n_spreads(n_points, blocks, 4).tolist() == [[8, 8], [8, 4 + 4 * 7], [8, 8 * 7]]

"""The chain of states: brute force over all paths, and what it says where nothing is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from astroprep.clean.markov import N_STATES, forward_backward, stay_probability


def run(stay, emission, share):
    n = stay.size
    cavity, scale, drawn = np.empty((n, N_STATES)), np.empty(n), np.empty(N_STATES)
    logarithm = forward_backward(stay, emission, share, cavity, scale, drawn)
    return logarithm, cavity, drawn


def by_brute_force(stay, emission, share):
    """Likelihood, posterior states and expected draws, summed over all paths and draws."""
    n = stay.size
    total, state, drawn = 0.0, np.zeros((n, N_STATES)), np.zeros(N_STATES)
    for path in product(range(N_STATES), repeat=n):
        for kept in product((False, True), repeat=n):
            p = 1.0
            for j in range(n):
                if kept[j]:
                    p *= stay[j] if j and path[j] == path[j - 1] else 0.0
                else:
                    p *= (1 - stay[j]) * share[path[j]]
                p *= emission[j, path[j]]
            total += p
            for j in range(n):
                state[j, path[j]] += p
                drawn[path[j]] += p * (not kept[j])
    return np.log(total), state / total, drawn / total


@pytest.mark.parametrize("n", [1, 2, 5])
def test_equals_brute_force(rng, n):
    stay = np.append(0.0, rng.random(n - 1))
    emission = rng.random((n, N_STATES)) * 10.0 ** rng.integers(-3, 3, n)[:, None]
    share = np.array([0.7, 0.1, 0.2])
    logarithm, cavity, drawn = run(stay, emission, share)
    expected = by_brute_force(stay, emission, share)
    posterior = cavity * emission
    posterior /= posterior.sum(axis=1, keepdims=True)
    assert logarithm == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(posterior, expected[1], rtol=1e-10)
    np.testing.assert_allclose(drawn, expected[2], rtol=1e-10)


def test_the_cavity_knows_nothing_of_the_point_itself(rng):
    stay = np.append(0.0, rng.random(5))
    emission, share = rng.random((6, N_STATES)), np.array([0.7, 0.1, 0.2])
    other = emission.copy()
    other[3] = [1e-5, 3.0, 200.0]
    one, two = run(stay, emission, share)[1][3], run(stay, other, share)[1][3]
    np.testing.assert_allclose(one / one.sum(), two / two.sum(), rtol=1e-10)


def test_points_far_apart_are_independent(rng):
    stay = stay_probability(np.arange(5) * 1e4, 0.25)
    share = np.array([0.7, 0.1, 0.2])
    _, cavity, drawn = run(stay, rng.random((5, N_STATES)), share)
    np.testing.assert_allclose(cavity / cavity.sum(axis=1, keepdims=True), np.tile(share, (5, 1)))
    assert drawn.sum() == pytest.approx(5)


def test_long_curves_neither_overflow_nor_vanish(rng):
    n = 20_000
    for size in (1e-40, 1e40):
        emission = np.full((n, N_STATES), size)
        logarithm, _, _ = run(np.full(n, 0.5) * (np.arange(n) > 0), emission, np.full(3, 1 / 3))
        assert logarithm == pytest.approx(n * np.log(size), rel=1e-9)

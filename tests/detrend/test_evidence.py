"""The regression under chosen priors, and the splines that it is fed with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from astroprep.detrend.evidence import fit_with_priors
from astroprep.detrend.splines import hats, roughness_basis, spline_columns, walk_basis


def fit(x, y, penalty):
    return fit_with_priors(x.T @ x, x.T @ y, float(y @ y), y.size, penalty)


def log_evidence(x, y, variance, prior):
    """Brute force: density of y, a Gaussian of covariance noise + X prior X'."""
    covariance = variance * np.eye(y.size) + (x / prior) @ x.T
    _, log_det = np.linalg.slogdet(covariance)
    return -0.5 * (log_det + y @ np.linalg.solve(covariance, y))


def test_without_a_prior_it_is_least_squares(rng):
    x = rng.normal(size=(50, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + rng.normal(0, 0.1, 50)
    found = fit(x, y, np.zeros((1, 4)))
    expected, rest, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(found.coefficient, expected, rtol=1e-6, atol=1e-8)
    variance = rest[0] / (50 - 4)
    assert found.variance == pytest.approx(variance, rel=1e-3)
    np.testing.assert_allclose(
        found.covariance, variance * np.linalg.inv(x.T @ x), rtol=1e-3, atol=1e-9
    )


def test_the_widths_maximise_the_evidence(rng):
    """No nearby noise level or width has a larger brute-force evidence."""
    x = rng.normal(size=(60, 30))
    y = x @ rng.normal(0, np.repeat([1.0, 0.1], 15)) + rng.normal(0, 0.5, 60)
    penalty = np.repeat(np.eye(2), 15, axis=1)
    found = fit(x, y, penalty)
    best = log_evidence(x, y, found.variance, found.precision @ penalty)
    for group in range(2):
        for factor in (0.5, 2.0):
            other = found.precision.copy()
            other[group] *= factor
            assert log_evidence(x, y, found.variance, other @ penalty) < best + 1e-3
    for factor in (0.7, 1.4):
        assert log_evidence(x, y, found.variance * factor, found.precision @ penalty) < best


def test_columns_that_explain_nothing_are_put_out(rng):
    x = rng.normal(size=(200, 20))
    y = rng.normal(size=200)
    found = fit(x, y, np.ones((1, 20)))
    assert found.freedom < 4
    assert np.abs(found.coefficient).max() < 0.15


def test_equal_columns_share(rng):
    """Exact dependence gives a finite answer and the same prediction."""
    x = rng.normal(size=(40, 1)) * np.ones(3)
    y = 3.0 * x[:, 0]
    found = fit(x, y, np.zeros((1, 3)))
    np.testing.assert_allclose(x @ found.coefficient, y, rtol=1e-4)


def test_splines_are_scipys(rng):
    x = rng.uniform(2, 5, 40)
    ours = spline_columns(x, 2.0, 5.0, 6)
    knots = 2.0 + 0.5 * np.arange(-3, 10)
    np.testing.assert_allclose(ours, BSpline.design_matrix(x, knots, 3).toarray(), atol=1e-12)
    np.testing.assert_allclose(
        spline_columns(np.array([-9.0, 99.0]), 2, 5, 6),
        spline_columns(np.array([2.0, 5.0]), 2, 5, 6),
    )


@pytest.mark.parametrize(("basis", "order"), [(roughness_basis, 2), (walk_basis, 1)])
def test_bases_make_the_penalty_diagonal(basis, order, rng):
    turn, penalty = basis(9)
    np.testing.assert_allclose(turn.T @ turn, np.eye(9), atol=1e-10)
    c = rng.normal(size=9)
    np.testing.assert_allclose(
        (np.diff(turn @ c, order) ** 2).sum(), (penalty * c**2).sum(), rtol=1e-10
    )


def test_hats_interpolate():
    x = np.array([-1.0, 0.0, 0.3, 1.0, 2.0])
    np.testing.assert_allclose(hats(x, 0.0, 1.0, 2) @ [0.0, 1.0, 4.0], [0, 0, 0.6, 4, 4])

"""Standard errors against the scatter of many simulated light curves."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.features import (
    FEATURES,
    FeatureExtractor,
    extract_features,
    feature_errors,
)

PERIOD = 0.7431
WITH_ERROR = tuple(name for name, feature in FEATURES.items() if feature.error)
MOMENTS = ("mean", "standard_deviation", "mean_variance")
HIGH_MOMENTS = ("skew", "kurtosis")
QUANTILES = tuple(
    name for name in WITH_ERROR if "quantile" in FEATURES[name].error or name == "median"
)
NOISE = (
    "weighted_mean",
    "reduced_chi2",
    "linear_fit_reduced_chi2",
    "residual_reduced_chi2",
    "linear_fit_slope",
    "linear_trend",
    "eta",
    "excess_variance",
)
FOURIER = tuple(name for name in WITH_ERROR if FEATURES[name].group == "fourier")
FOLDS = tuple(n for n in FOURIER if n != "residual_reduced_chi2")


def ensemble(rng, shape, n_points, n_curves=1200):
    curves = []
    for _ in range(n_curves):
        time = np.sort(rng.uniform(0, 900, n_points))
        error = rng.uniform(0.05, 0.15, n_points)
        curves.append((time, shape(time, error), error))
    return LightCurveBatch.from_curves(curves, objects={"period": np.full(n_curves, PERIOD)})


def coverage(batch, names):
    """Share of curves within one and two errors of the mean of all, and error over scatter."""
    values, errors = extract_features(batch, names), feature_errors(batch, names)
    result = {}
    for name, value, error in zip(names, values.T, errors.T, strict=True):
        away = value - value.mean()
        if name.startswith("fourier_phi"):
            centre = np.angle(np.mean(np.exp(1j * value)))
            away = (value - centre + np.pi) % (2 * np.pi) - np.pi
        away = np.abs(away)
        ratio = np.median(error) / np.sqrt(np.mean(away**2))
        result[name] = (np.mean(away < error), np.mean(away < 2 * error), ratio)
    return result


def assert_covered(result, one=(0.62, 0.75), two=(0.91, 0.985)):
    """A Gaussian has 0.683 and 0.954; 1,200 curves know the shares to 0.013 and 0.006."""
    for name, (first, second, ratio) in result.items():
        assert one[0] < first < one[1], (name, first, ratio)
        assert two[0] < second < two[1], (name, second, ratio)


@pytest.mark.parametrize("n_points", [100, 400])
def test_moments_and_quantiles_of_gaussian_values(n_points):
    rng = np.random.default_rng(71)
    batch = ensemble(rng, lambda t, e: 15 + rng.normal(0, 0.1, t.size), n_points)
    assert_covered(coverage(batch, (*MOMENTS, *QUANTILES, "median_absolute_deviation")))
    # a tail of which a sample shows a few points only: errors of 100 points are a bit too small
    assert_covered(coverage(batch, HIGH_MOMENTS), one=(0.6, 0.75), two=(0.88, 0.985))


def test_of_values_with_a_tail():
    """Log-normal: the formulas for Gaussian values would be far too small for the deviation."""
    rng = np.random.default_rng(72)
    batch = ensemble(rng, lambda t, e: rng.lognormal(0, 0.3, t.size), 400)
    assert_covered(coverage(batch, (*MOMENTS, *QUANTILES)))
    gaussian = 0.31 / np.sqrt(2 * 400)
    assert np.median(feature_errors(batch, ("standard_deviation",))) > 1.3 * gaussian


def test_of_noise_that_the_errors_describe():
    rng = np.random.default_rng(73)
    assert_covered(coverage(ensemble(rng, lambda t, e: 15 + rng.normal(0, e), 200), NOISE))


def test_fourier_terms():
    rng = np.random.default_rng(74)

    def star(time, error):
        turn = np.pi * time / PERIOD
        odd = 0.15 * np.cos(turn + 1) + 0.12 * np.cos(3 * turn + 2.2)
        return 15 + odd + 0.3 * np.cos(2 * turn) + rng.normal(0, error)

    def pulsator(time, error):
        turn = 2 * np.pi * time / PERIOD
        terms = ((0.4, 0.5), (0.25, 2.0), (0.2, 4.0), (0.15, 0.3))
        shape = sum(a * np.cos(k * turn + p) for k, (a, p) in enumerate(terms, 1))
        return 15 + shape + rng.normal(0, error)

    at_2p = tuple(name for name in FOLDS if name.endswith("_2p"))
    at_p = tuple(name for name in FOLDS if name not in at_2p)
    assert_covered(coverage(ensemble(rng, pulsator, 200, 800), at_p))
    assert_covered(coverage(ensemble(rng, star, 200, 800), at_2p))


def test_fourier_errors_grow_with_what_the_errors_leave_out():
    """Error bars quoted three times too small: the residuals say so."""
    rng = np.random.default_rng(75)

    def star(time, error):
        return 15 + 0.4 * np.cos(2 * np.pi * time / PERIOD) + rng.normal(0, 3 * error)

    result = coverage(ensemble(rng, star, 200, 800), ("fourier_amplitude",))
    assert_covered(result)


def test_fourier_errors_are_those_of_the_normal_equations(rng):
    time = np.sort(rng.uniform(0, 900, 150))
    error = rng.uniform(0.05, 0.15, 150)
    angle = 2 * np.pi * np.outer(time / PERIOD, np.arange(1, 5))
    value = 15 + angle[:, 0] * 0 + 0.3 * np.cos(angle[:, 0] + 1) + 0.1 * np.cos(angle[:, 1])
    batch = LightCurveBatch.from_curves(
        [(time, value, error)], objects={"period": np.array([PERIOD])}
    )
    design = np.column_stack([np.ones(150), np.cos(angle), np.sin(angle)]) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    a, b = np.linalg.lstsq(design, value / error, rcond=None)[0][1:].reshape(2, 4)
    size = np.hypot(a, b)
    gradient = np.zeros((3, 9))
    gradient[0, [1, 5]] = a[0] / size[0], b[0] / size[0]
    gradient[1, [2, 6]] = np.array([a[1], b[1]]) / (size[1] * size[0])
    gradient[1, [1, 5]] = -size[1] * np.array([a[0], b[0]]) / size[0] ** 3
    gradient[2, [2, 6]] = b[1] / size[1] ** 2, -a[1] / size[1] ** 2
    gradient[2, [1, 5]] = -2 * b[0] / size[0] ** 2, 2 * a[0] / size[0] ** 2
    expected = np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
    names = ("fourier_amplitude", "fourier_r21", "fourier_phi21")
    np.testing.assert_allclose(feature_errors(batch, names)[0], expected, rtol=1e-6)


def test_jackknife_of_the_moments_against_leaving_out(rng):
    value = rng.gamma(3.0, 1.0, 40)
    batch = LightCurveBatch.from_curves([(np.arange(40.0), value, None)])
    names = ("mean", "standard_deviation", "mean_variance", "skew", "kurtosis")
    without = [(np.arange(39.0), np.delete(value, j), None) for j in range(40)]
    left = extract_features(LightCurveBatch.from_curves(without), names)
    expected = np.sqrt(np.sum((left - left.mean(0)) ** 2, axis=0) * 39 / 40)
    np.testing.assert_allclose(feature_errors(batch, names)[0], expected, rtol=0.03)


@pytest.mark.parametrize("name", tuple(FEATURES))
def test_declared_if_and_only_if_given(name, make_batch):
    batch = make_batch(2, 60).with_columns(objects={"period_err": np.array([1e-4, 1e-4])})
    errors = feature_errors(batch, (name,))
    if FEATURES[name].error:
        assert (errors > 0).all()
    else:
        assert np.isnan(errors).all()


@pytest.mark.parametrize("n_points", [1, 2, 3, 4, 5, 8])
def test_few_points_have_errors_or_nan_but_never_infinity(n_points, make_batch):
    batch = make_batch(3, n_points)
    values, errors = extract_features(batch, "all"), feature_errors(batch, "all")
    assert not np.isinf(errors).any()
    assert (errors[np.isfinite(errors)] >= 0).all()
    assert np.isnan(errors[np.isnan(values)]).all()


def test_the_step_names_and_appends_them(make_batch):
    batch = make_batch(3)
    step = FeatureExtractor(features=("skew", "amplitude", "median"), errors=True)
    assert step.feature_names() == ["skew", "amplitude", "median", "skew_error", "median_error"]
    table = step.transform(batch).objects["features"]
    expected = feature_errors(batch, ("skew", "median"))
    np.testing.assert_array_equal(table[:, 3:], expected)

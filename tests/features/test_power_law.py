"""The power law of the structure function: maximum, bias, errors and statuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.features import StructureFunction, fit_power_law
from astroprep.features.power_law_errors import YEAR, errors_and_bias
from astroprep.features.power_law_kernel import _maximise


def power_law_process(rng, time, gamma, amplitude, size=1):
    """Fractional Brownian motion, by the matrix of its covariance; its SF is the power law."""
    t = time / YEAR
    lag = np.abs(t[:, None] - t) ** (2 * gamma)
    cov = 0.5 * amplitude**2 * (t[:, None] ** (2 * gamma) + t ** (2 * gamma) - lag)
    root = np.linalg.cholesky(cov + 1e-12 * np.eye(time.size))
    return rng.normal(0, 1, (size, time.size)) @ root.T


def many(rng, gamma, n_curves=150, n=100, error=0.03):
    time = np.sort(rng.uniform(1, 3000, n))
    values = power_law_process(rng, time, gamma, 0.2, n_curves)
    values += 15 + rng.normal(0, error, values.shape)
    return LightCurveBatch.from_curves([(time, y, np.full(n, error)) for y in values])


def test_the_maximum_is_that_of_the_pairs(rng):
    """scipy's simplex on the likelihood of all pairs times the stated priors."""
    time = np.sort(rng.uniform(1, 2000, 60))
    error = 10 ** rng.uniform(-2, -1, 60)
    y = power_law_process(rng, time, 0.4, 0.3)[0] + rng.normal(0, error)
    i, j = np.triu_indices(60, 1)
    d2, noise = (y[j] - y[i]) ** 2, error[i] ** 2 + error[j] ** 2
    x = np.log((time[j] - time[i]) / YEAR)

    def minus(p):
        v = np.exp(p[0] + 2 * p[1] * x) + noise
        return 0.5 * (np.log(v) + d2 / v).sum() + np.log(1 + p[1] ** 2)

    wanted = minimize(minus, [-2.0, 0.3], method="Nelder-Mead", options={"xatol": 1e-7}).x
    theta = np.array([-2.0, 0.3])
    _maximise(d2, noise, x, np.zeros(d2.size, np.int64), theta)
    np.testing.assert_allclose(theta, wanted, atol=2e-6)


def test_the_variance_of_the_score_is_that_of_simulated_curves(rng):
    """Godambe's matrix against the scores of 4000 Gaussian curves."""
    time = np.sort(rng.uniform(1, 2000, 40))
    noise = 10 ** rng.uniform(-4, -2, 40)
    theta = np.array([2 * np.log(0.2), 0.4])
    found, _ = errors_and_bias(time, noise, np.zeros(40, np.int64), theta)

    y = power_law_process(rng, time, 0.4, 0.2, 4000) + rng.normal(0, noise**0.5, (4000, 40))
    i, j = np.triu_indices(40, 1)
    x = np.log((time[j] - time[i]) / YEAR)
    s = np.exp(theta[0] + 2 * theta[1] * x)
    v = s + noise[i] + noise[j]
    z = np.array([np.ones_like(x), 2 * x])
    d2 = (y[:, j] - y[:, i]) ** 2
    scores = (0.5 * s / v * (d2 / v - 1)) @ z.T
    hessian = (0.5 * (s / v) ** 2 * z) @ z.T + np.diag([0, 2 / (1 + 0.4**2)])
    inverse = np.linalg.inv(hessian)
    wanted = inverse @ np.cov(scores.T) @ inverse
    np.testing.assert_allclose(found, wanted, rtol=0.12)


@pytest.mark.parametrize("gamma", [0.2, 0.5])
def test_the_injected_law_comes_back_without_bias(rng, gamma):
    """150 curves: mean within 4 standard errors plus a tenth of an error; errors are the scatter.

    One survey of eight years sees few independent excursions: only the first order of the bias
    (which without it is half an error) is taken out.
    """
    fit = fit_power_law(many(rng, gamma))
    scatter = fit.gamma.std()
    assert abs(fit.gamma.mean() - gamma) < 4 * scatter / 150**0.5 * 0.5 + 0.1 * scatter
    assert 0.8 < np.median(fit.gamma_error) / scatter < 1.25
    covered = (np.abs(fit.gamma - gamma) < fit.gamma_error).mean()
    assert 0.5 < covered < 0.8
    assert np.median(fit.amplitude) == pytest.approx(0.2, rel=0.12)


def test_many_points_and_fewer_pairs_give_the_same(rng):
    batch = many(rng, 0.4, 10, 300)
    all_pairs = fit_power_law(batch, max_pairs=10**6)
    drawn = fit_power_law(batch, max_pairs=10_000)
    assert (np.abs(all_pairs.gamma - drawn.gamma) < 0.25 * all_pairs.gamma_error).all()


def test_bands_share_gamma_and_keep_their_amplitudes(rng):
    time = np.sort(rng.uniform(1, 3000, 120))
    band = np.append([0, 1, 0, 1], rng.integers(0, 2, 116))
    y = power_law_process(rng, time, 0.4, 1.0, 60)
    value = 15 + band + np.array([0.3, 0.15])[band] * y + rng.normal(0, 0.02, y.shape)
    batch = LightCurveBatch(
        time=np.tile(time, 60),
        value=value.ravel(),
        error=np.full(value.size, 0.02),
        offsets=np.arange(61) * 120,
        band=np.tile(band, 60),
        meta=Meta(bands=("g", "r", "i")),
    )
    fit = fit_power_law(batch, multiband=True)
    assert np.isnan(fit.amplitude[:, 2]).all()
    ratio = fit.amplitude[:, 0] / fit.amplitude[:, 1]
    assert np.median(ratio) == pytest.approx(2.0, rel=0.03)
    assert fit.gamma.mean() == pytest.approx(0.4, abs=0.08)
    assert 0.75 < np.median(fit.gamma_error) / fit.gamma.std() < 1.3

    step = StructureFunction(multiband=True).fit_transform(batch[:5])
    assert step.objects["sf_amplitude"].shape == (5, 3)
    assert step.objects["drw_log10_sigma"].shape == (5, 3)
    with pytest.raises(DataError, match="single band"):
        StructureFunction().fit_transform(batch)
    with pytest.raises(DataError, match="single band"):
        fit_power_law(batch)


def test_statuses(rng):
    """Trends are steep, what turns back at each point is flat, pure noise is called so."""
    time = np.sort(rng.uniform(0, 1000, 100))
    error = np.full(100, 0.05)
    noise = rng.normal(0, 0.05, 100)
    curves = {
        "steep slope": (time, 15 + 0.01 * time + noise, error),
        "flat slope": (time, 15 + (-1.0) ** np.arange(100), error),
        "noise": (time, 15 + noise, 3 * error),
        "few points": (time[:4], noise[:4], error[:4]),
        "one time": (np.zeros(9), np.arange(9.0), np.ones(9)),
        "flat": (time, np.full(100, 15.1), error),
        "no errors": (time, noise, 0 * error),
    }
    fit = fit_power_law(LightCurveBatch.from_curves(list(curves.values())))
    assert fit.status.tolist() == list(curves)
    assert np.isfinite(fit.gamma[:2]).all()
    assert np.isfinite(fit.amplitude_error[:2]).all()
    assert np.isnan(fit.gamma[2:]).all()
    assert np.isnan(fit.amplitude[2:]).all()
    with pytest.raises(ConfigError, match="max_pairs"):
        fit_power_law(LightCurveBatch.from_curves([]), max_pairs=10)


def test_a_signal_just_above_the_noise_stays_finite(rng):
    """Where errors of ln A run away, the correction must not: 200 curves, excess near zero."""
    time = np.sort(rng.uniform(0, 1000, 80))
    values = rng.normal(0, 1, (200, 80))
    batch = LightCurveBatch.from_curves([(time, y, np.full(80, 0.99)) for y in values])
    fit = fit_power_law(batch)
    known = fit.status != "noise"
    assert 50 < known.sum() < 200
    assert np.isfinite(fit.amplitude[known]).all()
    assert np.isfinite(fit.gamma_error[known]).all()
    assert (fit.amplitude[known] < 3).all()


def test_flux_near_1e8_in_float32(rng):
    """A gain and a large mean change nothing but the unit, to the last bits that float32 leaves."""
    batch = many(rng, 0.5, 3)
    flux = (1e8 + 1e6 * batch.value).astype(np.float32)
    big = LightCurveBatch(
        time=batch.time, value=flux, error=1e6 * batch.error, offsets=batch.offsets
    )
    a, b = fit_power_law(batch), fit_power_law(big)
    np.testing.assert_allclose(b.gamma, a.gamma, atol=1e-3)
    np.testing.assert_allclose(b.amplitude, 1e6 * a.amplitude, rtol=1e-3)


def test_the_step_writes_what_the_fits_give(make_batch):
    batch = make_batch()
    done = StructureFunction(lags=(1.0, 10.0, 100.0)).fit_transform(batch)
    law = fit_power_law(batch)
    np.testing.assert_array_equal(done.objects["sf_gamma"], law.gamma)
    assert done.objects["sf_squared"].shape == (3, 2)
    assert set(done.objects["drw_status"]) <= {"ok", "noise", "short", "long"}
    only = StructureFunction(models=("random_walk",)).fit_transform(batch)
    assert "sf_gamma" not in only.objects
    assert (only.objects["drw_log10_tau_err"] > 0).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"models": ("walk",)}, "models must be of"),
        ({"models": ()}, "models must be of"),
        ({"definition": "mean"}, "definition must be"),
        ({"lags": (3.0, 2.0)}, "lags must ascend"),
        ({"tau_range": (3.0,)}, "tau_range must ascend"),
        ({"tau_range": (1.0, 2.0, 3.0)}, "tau_range must be two"),
        ({"max_pairs": 3}, "max_pairs must be"),
        ({"lags": (1.0, 2.0), "multiband": True}, "single band"),
    ],
)
def test_wrong_settings_are_named(settings, words, make_batch):
    with pytest.raises(ConfigError, match=words):
        StructureFunction(**settings).fit_transform(make_batch())

"""The damped random walk: exact likelihood, exact posterior, honest intervals and statuses."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.features import (
    fit_random_walk,
    random_walk_log_likelihood,
    simulate_random_walk,
)

COLUMNS = ("time", "mag", "mag_err")


def walk(rng, n=200, tau=100.0, sigma=0.3, error=0.05, baseline=3000.0):
    time = np.sort(rng.uniform(0, baseline, n))
    value = 15 + simulate_random_walk(time, tau, sigma, rng) + rng.normal(0, error, n)
    return time, value, np.full(n, error)


def dense_log_likelihood(time, y, error, band, tau, sigma):
    """Multivariate normal with the means marginalised, by matrices."""
    h = sigma[band]
    cov = np.exp(-np.abs(time[:, None] - time) / tau) * h[:, None] * h + np.diag(error**2)
    ones = np.eye(sigma.size)[band]
    inverse = np.linalg.inv(cov)
    info, cross = ones.T @ inverse @ ones, ones.T @ inverse @ y
    chi2 = y @ inverse @ y - cross @ np.linalg.solve(info, cross)
    dets = np.linalg.slogdet(cov)[1] + np.linalg.slogdet(info)[1]
    return -0.5 * (chi2 + dets + (time.size - sigma.size) * np.log(2 * np.pi))


@pytest.mark.parametrize("n_bands", [1, 2, 4])
def test_the_likelihood_is_that_of_the_dense_matrices(rng, n_bands):
    """Also with repeated times, errors of many sizes, and a mean far away."""
    n = 60
    time = np.sort(np.append(rng.uniform(0, 500, n - 5), rng.uniform(0, 500, 5).repeat(1)))
    time[10:14] = time[10]
    band = np.append(np.arange(n_bands), rng.integers(0, n_bands, n - n_bands))
    error = 10 ** rng.uniform(-2, 0, n)
    y = 3 + rng.normal(0, 1, n)
    for tau, size in ((0.1, 0.5), (30.0, 1.0), (5000.0, 2.0)):
        sigma = size * np.linspace(1, 2, n_bands)
        found = random_walk_log_likelihood(time, y, error, tau, sigma, band)
        wanted = dense_log_likelihood(time, y, error, band, tau, sigma)
        assert found == pytest.approx(wanted, rel=1e-9)


def test_intervals_are_those_of_a_fine_dense_grid(rng):
    """Brute force: 150 x 150 nodes over the same prior."""
    time, value, error = walk(rng, n=80)
    batch = LightCurveBatch.from_curves([(time, value, error)])
    fit = fit_random_walk(batch, tau_range=(1.0, 1e4))

    log_tau, log_sigma = np.linspace(0, 4, 150), np.linspace(-1.5, 1.0, 150)
    grid = np.array(
        [
            [random_walk_log_likelihood(time, value - 15, error, 10**a, 10**s) for s in log_sigma]
            for a in log_tau
        ]
    )
    chance = np.exp(grid - grid.max())
    for axis, nodes, name in ((1, log_tau, "tau"), (0, log_sigma, "sigma")):
        below = np.cumsum(chance.sum(axis=axis))
        wanted = np.interp(
            [0.5, 0.158655, 0.841345], (below - 0.5 * chance.sum(axis)) / below[-1], nodes
        )
        found = [getattr(fit, f"log10_{name}{end}")[0] for end in ("", "_low", "_high")]
        np.testing.assert_allclose(found, wanted, atol=0.012)
    best = np.unravel_index(grid.argmax(), grid.shape)
    assert fit.log10_tau_mode[0] == pytest.approx(log_tau[best[0]], abs=0.03)
    assert fit.log10_sigma_mode[0] == pytest.approx(log_sigma[best[1]], abs=0.03)
    assert fit.log_likelihood[0] == pytest.approx(grid.max(), abs=0.1)


def test_simulated_walks_have_the_covariance_that_they_should(rng):
    """Covariance sigma² exp(-dt / tau) over 20,000 walks; equal times get equal values."""
    time = np.array([5.0, 0.0, 1.0, 5.0])
    walks = np.array([simulate_random_walk(time, 4.0, 2.0, rng) for _ in range(20_000)])
    wanted = 4.0 * np.exp(-np.abs(time[:, None] - time) / 4.0)
    np.testing.assert_allclose(walks.T @ walks / len(walks), wanted, atol=4 * 4 * (2 / 2e4) ** 0.5)
    np.testing.assert_array_equal(walks[:, 0], walks[:, 3])
    with pytest.raises(ConfigError, match="tau must be positive"):
        simulate_random_walk(time, 0.0, 1.0, rng)


def test_truth_drawn_from_the_prior_is_covered_as_often_as_stated(rng):
    """300 curves, tau log-uniform over the prior, far from its ends: 68 % within 68 % limits."""
    n = 300
    log_tau = rng.uniform(0.7, 2.7, n)
    batch = LightCurveBatch.from_curves([walk(rng, 150, 10**x) for x in log_tau])
    fit = fit_random_walk(batch, tau_range=(10**0.7, 10**2.7))

    hat = np.log10(0.3) + 0.5 * (np.log10(2) - log_tau)
    inside = (fit.log10_tau_low < log_tau) & (log_tau < fit.log10_tau_high)
    inside_hat = (fit.log10_sigma_hat_low < hat) & (hat < fit.log10_sigma_hat_high)
    spread = 3 * (0.683 * 0.317 / n) ** 0.5
    assert inside.mean() == pytest.approx(0.683, abs=spread)
    assert inside_hat.mean() == pytest.approx(0.683, abs=spread)


def test_several_bands_share_tau_and_keep_their_amplitudes(rng):
    """One walk in three bands, one band missing from one curve, amplitudes within errors."""
    amplitude, curves = np.array([0.3, 0.2, 0.1]), []
    for i in range(40):
        time, _, _ = walk(rng, 200)
        band = rng.integers(0, 2 if i == 0 else 3, 200)
        value = 15 + band + amplitude[band] * simulate_random_walk(time, 60.0, 1.0, rng)
        curves.append((time, value + rng.normal(0, 0.03, 200), np.full(200, 0.03), band))
    plain = LightCurveBatch.from_curves([c[:3] for c in curves])
    batch = LightCurveBatch(
        time=plain.time,
        value=plain.value,
        error=plain.error,
        offsets=plain.offsets,
        band=np.concatenate([c[3] for c in curves]),
        meta=Meta(bands=("g", "r", "i")),
    )
    fit = fit_random_walk(batch, multiband=True)

    assert np.isnan(fit.log10_sigma[0, 2])
    assert np.isfinite(fit.log10_sigma[0, :2]).all()
    ratio = fit.log10_sigma[1:] - fit.log10_sigma[1:, :1]
    np.testing.assert_allclose(ratio.mean(0), np.log10(amplitude / 0.3), atol=0.015)
    assert fit.log10_tau.mean() == pytest.approx(np.log10(60), abs=0.1)
    with pytest.raises(DataError, match="single band"):
        fit_random_walk(batch)


def test_statuses(rng):
    """White noise, a walk slower than the survey, one faster than it, and curves of no use."""
    time = np.sort(rng.uniform(0, 1000, 200))
    error = np.full(200, 0.05)
    white = (time, 15 + rng.normal(0, 0.05, 200), error)
    pairs = np.sort(np.append(np.arange(150) * 10.0, np.arange(50) * 10 + 0.1))
    fast = pairs, simulate_random_walk(pairs, 0.5, 1.0, rng), error
    curves = {
        "noise": white,
        "long": walk(rng, 200, 5000.0, baseline=1000.0),
        "ok": walk(rng, 200, 50.0),
        "short": fast,
        "few points": ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 1.0, 2.0], [0.1] * 4),
        "one time": (np.zeros(9), np.arange(9.0), np.ones(9)),
        "flat": (time, np.full(200, 15.1), error),
        "no errors": (time, white[1], np.where(np.arange(200) == 3, np.nan, error)),
    }
    fit = fit_random_walk(LightCurveBatch.from_curves(list(curves.values())))
    assert fit.status.tolist() == list(curves)
    assert np.isfinite(fit.log10_tau[:4]).all()
    assert np.isnan(fit.log10_tau[4:]).all()


def test_units_of_value_and_time_come_out(rng):
    """Gain, offset and a stretch of time move the answers as they must."""
    time, value, error = walk(rng)
    given = [(time, value, error), (time * 10, 5e7 + value * 1e6, error * 1e6)]
    fit = fit_random_walk(LightCurveBatch.from_curves(given))
    assert fit.log10_tau[1] - fit.log10_tau[0] == pytest.approx(1.0, abs=1e-6)
    assert fit.log10_sigma[1] - fit.log10_sigma[0] == pytest.approx(6.0, abs=1e-6)
    assert fit.log10_sigma_hat[1] - fit.log10_sigma_hat[0] == pytest.approx(5.5, abs=1e-6)
    assert fit.gain_over_noise[1] == pytest.approx(fit.gain_over_noise[0], abs=1e-5)


@pytest.mark.parametrize("wrong", [(10.0, 1.0), (0.0, 5.0), (1.0, np.inf)])
def test_a_wrong_range_is_named(wrong):
    with pytest.raises(ConfigError, match="tau_range must ascend"):
        fit_random_walk(LightCurveBatch.from_curves([]), tau_range=wrong)


def test_mira_stars_are_slow_and_rr_lyrae_stars_are_not(data_dir):
    """40 stars each of ASAS: what brightens over a year remembers for months."""
    table = pq.read_table(data_dir / "asas_south.parquet", columns=["label", "lightcurve"])
    labels = np.array([str(x) for x in table["label"].to_pylist()])
    tau = {}
    for label in ("Mira", "RR Lyrae, Fundamental Mode"):
        curves = [
            tuple(np.array(table["lightcurve"][int(row)].as_py()[x], float) for x in COLUMNS)
            for row in np.flatnonzero(labels == label)[:40]
        ]
        fit = fit_random_walk(LightCurveBatch.from_curves(curves))
        tau[label] = np.nanmedian(fit.log10_tau)
    assert tau["Mira"] > 2
    assert tau["RR Lyrae, Fundamental Mode"] < 0.5

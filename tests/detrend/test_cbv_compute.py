"""Vectors from ensembles with known systematics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import CotrendingFit, compute_vectors
from astroprep.detrend.cbv_compute import entropy_of
from astroprep.errors import ConfigError, DataError

N = 1000
TIME = np.linspace(130.0, 220.0, N)
X = np.linspace(-1, 1, N)
TRUTH = np.column_stack(
    [X + 0.4 * X**2, np.where(X > 0.1, np.exp(-(X - 0.1) * 12), 0.0), np.cos(11 * X)]
)
TRUTH -= TRUTH.mean(axis=0)
SIZES = np.array([3e-3, 1.5e-3, 1e-3])


def ensemble(rng, stars=40, noise=1e-4, holes=0.02, outliers=0):
    weights = rng.normal(1.0, 0.6, (stars, 3)) * SIZES
    flux = weights @ TRUTH.T + rng.normal(0, noise, (stars, N))
    for row in flux:
        row[rng.integers(0, N, outliers)] += 0.02
    level = 1e4 * np.exp(rng.normal(0, 1, (stars, 1)))
    value = level * (1 + flux)
    value[rng.uniform(size=value.shape) < holes] = np.nan
    return value, level * noise


LIMIT = 10.0  # degrees; least squares with the true weights of 40 stars gives 7 to 8


def batch_of(value, error, cadence=True, **objects):
    stars = len(value)
    return LightCurveBatch(
        time=np.tile(TIME, stars),
        value=value.ravel(),
        error=np.repeat(error.ravel(), N),
        offsets=np.arange(stars + 1) * N,
        points={"cadence": np.tile(np.arange(N) + 300, stars)} if cadence else {},
        objects=objects,
        meta=Meta("Kepler", "flux", "electron/s", "BKJD", 2454833.0),
    )


def angles(found, truth=TRUTH):
    known = found.vectors.is_known
    if found.vectors.cadence is not None:
        truth = truth[found.vectors.cadence - 300]
    centred = truth[known] - truth[known].mean(axis=0)
    return np.degrees(subspace_angles(found.vectors.vectors[known], centred))


@pytest.mark.parametrize("cadence", [True, False])
def test_principal_angles_to_the_truth(rng, cadence):
    """As near to the injected systematics as least squares that is told the stars' weights."""
    value, error = ensemble(rng, holes=0)
    found = compute_vectors(batch_of(value, error, cadence=cadence), 3)
    flux = value / np.median(value, axis=1, keepdims=True)
    flux -= flux.mean(axis=1, keepdims=True)
    weights = np.linalg.lstsq(TRUTH, flux.T, rcond=None)[0].T
    told = np.linalg.lstsq(weights, flux, rcond=None)[0].T
    best = np.degrees(subspace_angles(told, TRUTH))
    assert angles(found).max() < 1.25 * best.max()
    rows = found.vectors.vectors[found.vectors.is_known]
    np.testing.assert_allclose(rows.T @ rows, np.eye(3), atol=1e-10)
    assert (np.diff(found.vectors.power) < 0).all()
    assert (found.snr > 5).all()


def test_outliers_make_no_vectors(rng):
    """Twenty spikes of 200 sigma in every star."""
    found = compute_vectors(batch_of(*ensemble(rng, outliers=20)), 3)
    assert angles(found).max() < LIMIT


def test_events_are_left_out(rng):
    value, error = ensemble(rng, holes=0)
    value[:, 400:420] *= 0.9  # a dip that all stars share, marked
    batch = batch_of(value, error)
    flags = np.zeros((len(value), N), np.uint32)
    flags[:, 400:420] = PointFlag.EVENT
    found = compute_vectors(batch.with_columns(flags=flags.ravel()), 3)
    assert np.isnan(found.vectors.at_cadence(np.arange(700, 720))).all()
    assert angles(found).max() < LIMIT


def test_variable_stars_are_named_and_left_out(rng):
    value, error = ensemble(rng)
    for i in range(6):
        value[i] *= 1 + 0.02 * np.sin(2 * np.pi * TIME / (4 + i))
    found = compute_vectors(batch_of(value, error), 3)
    assert all("varies" in reason for reason in found.reason[:6])
    assert angles(found).max() < LIMIT


def test_a_star_that_dominates_a_vector_is_dropped(rng):
    """The loosest limits on variability, so that only the entropy speaks."""
    value, error = ensemble(rng)
    pulse = np.where(np.abs(X + 0.5) < 0.2, 1.0, 0.0)
    value[7] *= 1 + 0.002 * pulse
    found = compute_vectors(
        batch_of(value, error), 4, max_variability=1e9, quiet_share=1.0, least_snr=-99.0
    )
    assert "dominates vector" in found.reason[7]
    assert (found.entropy > -0.7).all()


def test_the_number_of_vectors_follows_the_snr(rng):
    """Three true vectors: of six asked, the rest is noise."""
    found = compute_vectors(batch_of(*ensemble(rng)), 6)
    assert found.vectors.n_vectors == 3


def test_entropy_of_known_distributions(rng):
    """Zero for a Gaussian, the closed form for a uniform, far below for one heavy star."""
    gauss = np.mean([entropy_of(rng.normal(size=200)) for _ in range(50)])
    assert gauss == pytest.approx(0.0, abs=0.05)
    uniform = np.mean([entropy_of(rng.uniform(size=2000)) for _ in range(10)])
    assert uniform == pytest.approx(np.log(np.sqrt(12 / (2 * np.pi * np.e))), abs=0.05)
    heavy = np.append(rng.normal(size=100), 60.0)
    assert entropy_of(heavy) < -1
    assert entropy_of(np.ones(5)) == 0.0


class TestStep:
    def test_fits_and_corrects_with_the_signal_kept(self, rng):
        value, error = ensemble(rng)
        level = np.nanmedian(value, axis=1, keepdims=True)
        sine = 2e-3 * np.sin(2 * np.pi * TIME / 6.0)
        value[0] += level[0] * sine
        batch = batch_of(value, error)
        result = CotrendingFit(n_vectors=3).fit_transform(batch)
        flat = result.value.reshape(-1, N) / level
        assert np.median(np.nanstd(flat, axis=1)) < 1.3e-4
        known = np.isfinite(flat[0])
        kept = (flat[0][known] - flat[0][known].mean()) @ sine[known] / (sine[known] @ sine[known])
        assert kept == pytest.approx(1.0, abs=0.03)

    def test_each_channel_has_its_own(self, rng):
        a, ea = ensemble(rng, 20)
        b, eb = ensemble(rng, 20)
        batch = batch_of(
            np.vstack([a, b[:, ::-1]]),
            np.vstack([ea, eb]),
            channel=np.repeat([3, 4], 20),
            segment=np.full(40, 5),
        )
        step = CotrendingFit(n_vectors=3).fit(batch)
        sets = step.vector_sets()
        assert [(one.segment, one.channel) for one in sets] == [(5, 3), (5, 4)]
        for one, truth in zip(sets, (TRUTH, TRUTH[::-1]), strict=True):
            known = one.is_known
            assert np.degrees(subspace_angles(one.vectors[known], truth[known])).max() < 20

    def test_settings(self):
        with pytest.raises(ConfigError, match=r"n_vectors.*time_bin.*max_variability.*quiet_share"):
            CotrendingFit(n_vectors=0, time_bin=-1, max_variability=0, quiet_share=2).check()


class TestRefusals:
    def test_one_star_is_no_ensemble(self, rng):
        value, error = ensemble(rng, 1)
        with pytest.raises(DataError, match="at least 10 stars for 8 vectors, the batch has 1"):
            compute_vectors(batch_of(value, error))

    def test_fewer_stars_than_vectors(self, rng):
        value, error = ensemble(rng, 7)
        with pytest.raises(DataError, match="at least 8 stars for 6 vectors"):
            CotrendingFit(n_vectors=6).fit(batch_of(value, error))

    def test_no_common_cadences(self, rng):
        value, error = ensemble(rng, 12)
        batch = batch_of(value, error)
        own = np.arange(batch.n_points)
        apart = batch.with_columns(points={"cadence": own})
        with pytest.raises(DataError, match=r"common cadences: of .* only 0 are in half"):
            compute_vectors(apart, 3)

    def test_constant_and_empty_stars(self, rng):
        value, error = ensemble(rng, 14)
        value[0], value[1] = 5.0, np.nan
        value[2, 100:] = np.nan
        found = compute_vectors(batch_of(value, error), 3)
        assert found.reason[0] == "is constant"
        assert "covers 0%" in found.reason[1]
        assert found.reason[2].startswith("covers")
        value[3:] = 7.0
        with pytest.raises(DataError, match="not constant, there are 0 of 14"):
            compute_vectors(batch_of(value, error), 3)

    def test_all_nan(self):
        with pytest.raises(DataError, match="no star has any"):
            compute_vectors(batch_of(np.full((12, N), np.nan), np.ones(12)), 3)

    def test_missing_errors(self, rng):
        value, error = ensemble(rng)
        found = compute_vectors(batch_of(value, np.full_like(error, np.nan)), 3)
        assert angles(found).max() < LIMIT


def test_difference_flux_has_no_level(rng):
    """Negative and zero flux: the vectors are those of the flux with its level."""
    value, error = ensemble(rng)
    found = compute_vectors(batch_of(value - np.nanmedian(value, axis=1, keepdims=True), error), 3)
    assert angles(found).max() < LIMIT

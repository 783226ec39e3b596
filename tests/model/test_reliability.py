"""Calibration errors, by hand, by brute force and on honest probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import ece
from astroprep.model.reliability import calibration_error, reliability, wilson_interval


def test_bins_by_hand():
    found = reliability([0.05, 0.95, 0.95, np.nan], [False, True, False, True], n_bins=10)

    np.testing.assert_array_equal(found.n, [1, 2])
    np.testing.assert_allclose(found.confidence, [0.05, 0.95])
    np.testing.assert_allclose(found.accuracy, [0.0, 0.5])
    assert calibration_error([0.05, 0.95, 0.95], [0, 1, 0], n_bins=10, bins="width") == (
        pytest.approx((0.05 + 2 * 0.45) / 3)
    )


def test_equal_width_is_the_expected_calibration_error(rng):
    p = rng.dirichlet([1, 1, 1], 500)
    truth = np.array(list("abc"), object)[rng.integers(0, 3, 500)]
    right = truth == np.array(list("abc"), object)[p.argmax(axis=1)]

    mine = calibration_error(p.max(axis=1), right, bins="width")

    assert mine == pytest.approx(ece(truth, p, list("abc")), rel=1e-12)


def test_bins_of_equal_mass_hold_equally_many(rng):
    found = reliability(rng.beta(5, 1, 1000), rng.random(1000) < 0.5, n_bins=8, bins="mass")

    np.testing.assert_array_equal(found.n, 125)
    assert (np.diff(found.confidence) > 0).all()
    assert ((found.low <= found.accuracy) & (found.accuracy <= found.high)).all()


def test_debiasing_takes_out_what_noise_adds():
    """Honest claims: the plain error is that of the noise, the debiased one far smaller."""
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(40):
        p = rng.uniform(0.5, 1.0, 600)
        right = rng.random(600) < p
        plain.append(calibration_error(p, right, norm=2) ** 2)
        debiased.append(calibration_error(p, right, norm=2, debias=True) ** 2)
    noise = np.mean(0.75 * 0.25) / 40  # 40 objects a bin, about
    assert np.mean(plain) == pytest.approx(noise, rel=0.3)
    assert np.mean(debiased) < 0.4 * np.mean(plain)  # cut at 0, so not quite unbiased

    p = rng.uniform(0.5, 0.9, 200_000)
    right = rng.random(p.size) < p + 0.1
    assert calibration_error(p, right, norm=2, debias=True) == pytest.approx(0.1, abs=0.005)


def test_wilson_interval_by_hand_and_at_the_ends():
    low, high = wilson_interval([0, 5, 10], [10, 10, 10], sigma=1.96)
    np.testing.assert_allclose(low, [0.0, 0.2366, 0.7225], atol=1e-4)  # Brown et al. 2001
    np.testing.assert_allclose(high, [0.2775, 0.7634, 1.0], atol=1e-4)


def test_bad_input_and_none():
    assert np.isnan(calibration_error([], []))
    assert np.isnan(calibration_error([np.nan], [True]))
    with pytest.raises(DataError, match="as many confidences"):
        reliability([0.5], [True, False])
    with pytest.raises(DataError, match="between 0 and 1"):
        reliability([1.5], [True])
    with pytest.raises(ConfigError, match="norm=2"):
        calibration_error([0.5], [True], debias=True)

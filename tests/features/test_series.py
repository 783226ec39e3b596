"""Statistics in time order: hand-made numbers, then the plain formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.features import extract_features


def feature(name, time, value, error=None):
    batch = LightCurveBatch.from_curves([(time, value, error)])
    return extract_features(batch, (name,))[0, 0]


class TestByHand:
    def test_straight_line(self):
        time = np.array([0.0, 1.0, 3.0, 4.0, 10.0])
        value, error = 2.0 + 0.5 * time, np.full(5, 0.1)
        assert feature("linear_trend", time, value) == pytest.approx(0.5)
        assert feature("linear_trend_noise", time, value) == pytest.approx(0.0, abs=1e-12)
        assert feature("trend_fraction", time, value) == pytest.approx(1.0)
        assert feature("linear_fit_slope", time, value, error) == pytest.approx(0.5)
        assert feature("linear_fit_reduced_chi2", time, value, error) == pytest.approx(0, abs=1e-12)
        assert feature("maximum_slope", time, value) == pytest.approx(0.5)

    def test_zigzag(self):
        """Every step of ±1 about 0: eta is N (2²) / (N s²) with s² = N / (N - 1)."""
        value = np.tile([1.0, -1.0], 10)
        assert feature("eta", np.arange(20.0), value) == pytest.approx(4 * 19 / 20)
        assert feature("cusum", np.arange(20.0), value) == pytest.approx(np.sqrt(19 / 20) / 20)

    def test_cadence(self):
        time = np.array([3.0, 5.0, 5.5, 10.0])
        value = np.zeros(4)
        assert feature("observation_count", time, value) == 4
        assert feature("duration", time, value) == 7.0
        assert feature("minimum_time_interval", time, value) == 0.5
        assert feature("maximum_time_interval", time, value) == 4.5
        assert feature("time_standard_deviation", time, value) == pytest.approx(time.std(ddof=1))

    def test_equal_times_are_no_slope(self):
        """A repeated time leaves its pair out, and changes nothing else."""
        time = np.array([0.0, 1.0, 1.0, 2.0])
        value = np.array([0.0, 1.0, 3.0, 3.5])
        assert feature("maximum_slope", time, value) == 1.0
        expected = 4 / 27 * (1.0 + 0.25) / value.var(ddof=1)
        assert feature("eta_e", time, value) == pytest.approx(expected)

    def test_all_times_equal(self):
        time, value = np.full(5, 55000.0), np.arange(5.0)
        for name in ("maximum_slope", "eta_e", "linear_trend", "trend_fraction"):
            assert np.isnan(feature(name, time, value)), name
        assert np.isfinite(feature("eta", time, value))
        assert feature("duration", time, value) == 0.0

    def test_steps_of_a_year_are_slow_and_nights_are_not(self, rng):
        year = np.repeat([0.0, 365.0, 730.0, 1095.0], 40)
        time = year + np.tile(np.repeat(np.arange(10.0), 4) + np.tile([0, 0.01, 0.02, 0.03], 10), 4)
        slow = 0.5 * np.sin(year) + rng.normal(0, 0.01, 160)
        nightly = np.repeat(rng.normal(0, 1, 40), 4) + rng.normal(0, 0.01, 160)
        white = rng.normal(0, 1, 160)
        assert feature("slow_fraction", time, slow) > 0.99
        assert feature("slow_fraction", time, white) == pytest.approx(0, abs=0.1)
        assert feature("night_fraction", time, nightly) < 0.01
        assert feature("night_fraction", time, white) == pytest.approx(1, abs=0.3)
        assert feature("stetson_j", time, white, np.full(160, 1.0)) == pytest.approx(0, abs=0.3)
        assert feature("stetson_j", time, nightly, np.full(160, 0.01)) > 20

    def test_no_pair_within_a_night(self):
        time = np.arange(6.0)
        assert np.isnan(feature("night_fraction", time, np.arange(6.0) ** 2))
        assert np.isnan(feature("stetson_j", time, np.arange(6.0) ** 2, np.ones(6)))

    def test_flat(self):
        time, flat = np.arange(6.0), np.full(6, 15.0)
        assert feature("linear_trend", time, flat) == 0.0
        for name in ("eta", "eta_e", "cusum", "trend_fraction", "slow_fraction", "night_fraction"):
            assert np.isnan(feature(name, time, flat)), name


def test_against_plain_numpy(rng):
    for n in (4, 30, 300):
        time = 55000.0 + np.sort(rng.uniform(0, 900, n))
        value = rng.normal(15.0, 0.3, n) + 1e-4 * (time - 55000.0)
        error = rng.uniform(0.02, 0.2, n)
        std = value.std(ddof=1)
        step, gap = np.diff(value), np.diff(time)
        sums = np.cumsum(value - value.mean()) / (n * std)
        origin = time - time.mean()
        slope, level = np.polyfit(origin, value, 1)
        rest = value - slope * origin - level
        noise = np.sqrt(np.sum(rest**2) / (n - 2))
        fit, cov = np.polyfit(origin, value, 1, w=1 / error, cov="unscaled")
        block = np.zeros(n, int)
        start = time[0]
        for j in range(1, n):
            new = time[j] >= start + 50.0
            start = time[j] if new else start
            block[j] = block[j - 1] + new
        groups = [value[block == k] for k in range(block[-1] + 1)]
        within = sum(np.sum((group - group.mean()) ** 2) for group in groups)
        expected = {
            "eta": np.sum(step**2) / ((n - 1) * std**2),
            "eta_e": np.ptp(time) ** 2 / (n - 1) ** 3 * np.sum((step / gap) ** 2) / std**2,
            "cusum": np.ptp(sums),
            "maximum_slope": np.abs(step / gap).max(),
            "linear_trend": slope,
            "linear_trend_noise": noise,
            "linear_trend_sigma": noise / np.sqrt(np.sum(origin**2)),
            "trend_fraction": np.corrcoef(time, value)[0, 1] ** 2,
            "slow_fraction": 1 - within / (n - len(groups)) / std**2 if n > len(groups) else np.nan,
            "linear_fit_slope": fit[0],
            "linear_fit_slope_sigma": np.sqrt(cov[0, 0]),
            "linear_fit_reduced_chi2": np.sum(((value - np.polyval(fit, origin)) / error) ** 2)
            / (n - 2),
        }
        for name, truth in expected.items():
            got = feature(name, time, value, error)
            assert got == pytest.approx(truth, rel=1e-7, abs=1e-12, nan_ok=True), (name, n)

"""Distribution and noise statistics: hand-made numbers, then the plain formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from astroprep.data import LightCurveBatch, Meta
from astroprep.features import extract_features
from astroprep.features.ordering import phase_order, sorted_values

RTOL = 1e-10  # float64 sums of a few hundred terms


def feature(name, value, error=None, quantity="mag", time=None):
    value = np.asarray(value, np.float64)
    time = 55000.0 + 10.0 * np.arange(value.size) if time is None else time
    batch = LightCurveBatch.from_curves([(time, value, error)], meta=Meta(quantity=quantity))
    return extract_features(batch, (name,))[0, 0]


class TestByHand:
    def test_one_two_three_four(self):
        values = [3.0, 1.0, 4.0, 2.0]
        assert feature("mean", values) == 2.5
        assert feature("median", values) == 2.5
        assert feature("amplitude", values) == 1.5
        assert feature("percent_amplitude", values) == 1.5
        assert feature("standard_deviation", values) == pytest.approx(np.sqrt(5 / 3), rel=RTOL)
        assert feature("median_absolute_deviation", values) == 1.0
        assert feature("skew", values) == pytest.approx(0.0, abs=1e-12)
        assert feature("kurtosis", values) == pytest.approx(-1.2, rel=RTOL)
        assert feature("beyond_1_std", values) == 0.5
        assert feature("beyond_2_std", values) == 0.0
        assert feature("inter_percentile_range_25", values) == 2.0  # 1.5 to 3.5, Hazen
        assert feature("median_buffer_range_percentage_20", values) == 0.0
        assert feature("faint_half", values) == 0.5

    def test_one_point(self):
        assert feature("mean", [7.0]) == feature("median", [7.0]) == 7.0
        assert feature("amplitude", [7.0]) == 0.0
        assert feature("median_absolute_deviation", [7.0]) == 0.0
        assert feature("weighted_mean", [7.0], [0.1]) == 7.0
        for name in ("standard_deviation", "skew", "reduced_chi2", "otsu_mean_diff"):
            assert np.isnan(feature(name, [7.0], [0.1])), name

    def test_two_points(self):
        assert feature("standard_deviation", [1.0, 3.0]) == pytest.approx(np.sqrt(2), rel=RTOL)
        assert feature("otsu_mean_diff", [3.0, 1.0]) == 2.0
        assert feature("otsu_std_lower", [3.0, 1.0]) == 0.0
        assert feature("otsu_lower_to_all_ratio", [3.0, 1.0]) == 0.5
        assert np.isnan(feature("skew", [1.0, 3.0]))

    def test_equal_brightness(self):
        flat = np.full(9, 12.5)
        assert feature("standard_deviation", flat) == 0.0
        assert feature("reduced_chi2", flat, np.full(9, 0.1)) == 0.0
        assert feature("beyond_1_std", flat) == 0.0
        for name in ("skew", "kurtosis", "anderson_darling_normal", "otsu_mean_diff"):
            assert np.isnan(feature(name, flat)), name

    def test_otsu_parts_two_clumps(self):
        values = [10.0, 10.2, 9.8, 14.0, 14.2]
        assert feature("otsu_mean_diff", values) == pytest.approx(4.1, rel=RTOL)
        assert feature("otsu_std_lower", values) == pytest.approx(0.2, rel=1e-9)
        assert feature("otsu_std_upper", values) == pytest.approx(np.sqrt(0.02), rel=1e-9)
        assert feature("otsu_lower_to_all_ratio", values) == 0.6

    def test_otsu_never_parts_equal_values(self):
        """A threshold is a value: points of one brightness are on one side of it."""
        assert feature("otsu_lower_to_all_ratio", [1.0, 1.0, 1.0, 2.0]) == 0.75

    def test_weighted_mean_is_least_squares(self):
        assert feature("weighted_mean", [1.0, 4.0], [1.0, 0.5]) == pytest.approx(3.4, rel=RTOL)
        assert feature("reduced_chi2", [1.0, 4.0], [1.0, 0.5]) == pytest.approx(7.2, rel=RTOL)

    def test_stetson_k_of_a_square_wave_is_one(self):
        """|d| is constant there, so the mean of |d| is its root mean square."""
        wave = np.tile([1.0, -1.0], 20)
        assert feature("stetson_k", wave, np.full(40, 0.1)) == pytest.approx(1.0, rel=RTOL)

    def test_an_eclipse_points_to_the_faint_side(self):
        value = np.full(100, 12.0) + 0.001 * np.arange(100)
        value[40:50] += 1.0
        assert feature("percentile_skew", value) > 0.8
        assert feature("faint_reach", value) > 0.9
        assert feature("faint_half", value) == pytest.approx(0.1)
        assert feature("percentile_skew", value, quantity="flux") < -0.8


class TestInTheLimit:
    """What the theory of large samples says; tolerance four standard errors."""

    def test_gaussian(self, rng):
        n = 40_000
        value, error = rng.normal(15.0, 0.1, n), np.full(n, 0.1)
        assert feature("standard_deviation", value) == pytest.approx(0.1, rel=4 / np.sqrt(2 * n))
        assert feature("skew", value) == pytest.approx(0, abs=4 * np.sqrt(6 / n))
        assert feature("kurtosis", value) == pytest.approx(0, abs=4 * np.sqrt(24 / n))
        assert feature("beyond_1_std", value) == pytest.approx(0.31731, abs=4 * np.sqrt(0.22 / n))
        assert feature("median_absolute_deviation", value) == pytest.approx(0.067449, rel=0.03)
        assert feature("anderson_darling_normal", value) < 1.1  # the 1 % point is 1.035
        assert feature("stetson_k", value, error) == pytest.approx(np.sqrt(2 / np.pi), rel=0.02)
        assert feature("reduced_chi2", value, error) == pytest.approx(1, abs=4 * np.sqrt(2 / n))
        assert feature("intrinsic_fraction", value, error) == pytest.approx(0, abs=0.03)

    def test_sine(self):
        value = np.sin(2 * np.pi * np.arange(1000) / 1000)
        assert feature("standard_deviation", value) == pytest.approx(np.sqrt(0.5), rel=1e-3)
        assert feature("kurtosis", value) == pytest.approx(-1.5, abs=5e-3)
        assert feature("otsu_mean_diff", value) == pytest.approx(4 / np.pi, rel=2e-3)

    def test_uniform(self):
        value = (np.arange(1000) + 0.5) / 1000
        assert feature("kurtosis", value) == pytest.approx(-1.2, abs=1e-2)
        ratio = feature("magnitude_percentage_ratio_40_5", value)
        assert ratio == pytest.approx(0.2 / 0.9, rel=1e-9)
        assert feature("inter_percentile_range_2", value) == pytest.approx(0.96, rel=1e-9)


class TestBruteForce:
    @pytest.mark.parametrize("n", [5, 24, 25, 61, 400])
    @pytest.mark.parametrize("kind", ["gaussian", "ties", "outlier"])
    def test_against_numpy_and_scipy(self, n, kind, rng):
        value = rng.normal(15.0, 0.4, n)
        if kind == "ties":
            value = np.round(value, 1)
        if kind == "outlier":
            value[n // 2] += 300.0
        error = rng.uniform(0.02, 0.2, n)
        median, mean, std = np.median(value), value.mean(), value.std(ddof=1)
        d = (value - np.average(value, weights=error**-2)) / error
        q = {p: np.quantile(value, p, method="hazen") for p in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)}
        expected = {
            "mean": mean,
            "median": median,
            "mean_variance": std / mean,
            "standard_deviation": std,
            "skew": stats.skew(value, bias=False),
            "kurtosis": stats.kurtosis(value, bias=False),
            "median_absolute_deviation": np.median(np.abs(value - median)),
            "percent_amplitude": np.abs(value - median).max(),
            "beyond_1_std": np.mean(np.abs(value - mean) > std),
            "magnitude_percentage_ratio_20_5": (q[0.8] - q[0.2]) / (q[0.95] - q[0.05]),
            "magnitude_percentage_ratio_40_5": (q[0.6] - q[0.4]) / (q[0.95] - q[0.05]),
            "percent_difference_magnitude_percentile_5": (q[0.95] - q[0.05]) / median,
            "percentile_skew": (q[0.95] + q[0.05] - 2 * median) / (q[0.95] - q[0.05]),
            "faint_reach": (value.max() - median) / np.ptp(value),
            "reduced_chi2": np.sum(d**2) / (n - 1),
            "stetson_k": np.abs(d).sum() / np.sqrt(n * np.sum(d**2)),
            "roms": np.sum(np.abs(value - median) / error) / (n - 1),
            "excess_variance": (std**2 - np.mean(error**2)) / mean**2,
            "intrinsic_fraction": 1 - np.mean(error**2) / std**2,
        }
        for name, truth in expected.items():
            assert feature(name, value, error) == pytest.approx(truth, rel=1e-8, abs=1e-10), name

    def test_anderson_darling_against_scipy(self, rng):
        for n in (8, 50, 300):
            value = rng.exponential(1.0, n)
            normal = stats.norm(value.mean(), value.std(ddof=1))
            phi, rank = normal.cdf(np.sort(value)), 2 * np.arange(1, n + 1) - 1
            raw = -n - np.sum(rank * (np.log(phi) + np.log1p(-phi[::-1]))) / n
            expected = (1 + 4 / n - 25 / n**2) * raw
            assert feature("anderson_darling_normal", value) == pytest.approx(expected, rel=1e-8)

    def test_otsu_tries_every_threshold(self, rng):
        value = np.concatenate([rng.normal(14, 0.2, 37), rng.normal(15, 0.4, 60)])
        low, high = max(
            ((value[value < cut], value[value >= cut]) for cut in np.unique(value)[1:]),
            key=lambda parts: (
                parts[0].size * parts[1].size * (parts[0].mean() - parts[1].mean()) ** 2
            ),
        )
        assert feature("otsu_mean_diff", value) == pytest.approx(high.mean() - low.mean(), rel=1e-9)
        assert feature("otsu_std_lower", value) == pytest.approx(low.std(ddof=1), rel=1e-9)
        assert feature("otsu_std_upper", value) == pytest.approx(high.std(ddof=1), rel=1e-9)
        assert feature("otsu_lower_to_all_ratio", value) == low.size / value.size


class TestOrdering:
    @pytest.mark.parametrize("n", [0, 1, 2, 23, 24, 25, 300, 5000])
    def test_values_sort(self, n, rng):
        for values in (
            rng.normal(size=n),
            np.round(rng.normal(size=n), 1),
            np.full(n, 3.0),
            np.append(rng.normal(size=n), 1e12),
            rng.normal(size=n) * 1e-310,  # subnormal: the range is too small to divide by
            np.append(rng.normal(size=n), [1e308, -1e308]),
        ):
            np.testing.assert_array_equal(sorted_values(values), np.sort(values))

    @pytest.mark.parametrize("n", [1, 2, 24, 25, 300, 5000])
    def test_phases_sort_and_ties_keep_their_order(self, n, rng):
        for phase in (
            rng.random(n),
            np.round(rng.random(n) * 0.9, 1),
            np.zeros(n),
            rng.random(n) * 1e-9,
            np.full(n, np.nextafter(1.0, 0.0)),
        ):
            np.testing.assert_array_equal(phase_order(phase), np.argsort(phase, kind="stable"))

"""Eclipses, slopes, asymmetry and powers: shapes with known numbers, then the plain formula."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.features import FEATURES, extract_features


def features(time, value, error, period, names):
    batch = LightCurveBatch.from_curves(
        [(time, value, error)], objects={"period": np.array([period])}
    )
    return dict(zip(names, extract_features(batch, names)[0], strict=True))


FOLDED = tuple(name for name, f in FEATURES.items() if f.group == "folded" and not f.default)
POWERS = tuple(name for name, f in FEATURES.items() if f.group == "periodogram")


class TestEclipses:
    def test_trapezoids_of_known_depth_width_and_place(self, rng):
        """Orbit of 2.4 d: 0.8 deep at phase 0.2, 0.4 deep at 0.65, sides of 0.02 each."""
        time = np.sort(rng.uniform(0, 900, 4000))
        phase = (time / 2.4) % 1.0

        def eclipse(centre, half):
            away = np.abs((phase - centre + 0.5) % 1.0 - 0.5)
            return np.clip((half + 0.01 - away) / 0.02, 0, 1)

        value = 12.0 + 0.8 * eclipse(0.2, 0.05) + 0.4 * eclipse(0.65, 0.03)
        got = features(time, value, None, 1.2, FOLDED)
        assert got["first_depth_2p"] == pytest.approx(0.8, abs=0.01)
        assert got["second_depth_2p"] == pytest.approx(0.4, abs=0.01)
        assert got["second_phase_2p"] == pytest.approx(0.45, abs=0.05)
        assert got["first_width_2p"] == pytest.approx(0.10, abs=0.01)
        assert got["second_width_2p"] == pytest.approx(0.06, abs=0.012)

    def test_a_slow_recovery_is_asymmetric(self, rng):
        """A triangle that fades in 0.05 and recovers in 0.15: (0.15 - 0.05) / 0.2."""
        time = np.sort(rng.uniform(0, 900, 6000))
        away = ((time / 2.4) % 1.0 - 0.4 + 0.5) % 1.0 - 0.5
        value = np.clip(np.where(away < 0, 1 + away / 0.05, 1 - away / 0.15), 0, None)
        got = features(time, value, None, 1.2, FOLDED)
        assert got["first_asymmetry_2p"] == pytest.approx(0.5, abs=0.15)
        assert got["first_width_2p"] == pytest.approx(0.1, abs=0.025)
        back = features(time, value[::-1], None, 1.2, FOLDED)
        assert np.isfinite(back["first_asymmetry_2p"])

    def test_mirrored_in_time_the_asymmetry_changes_sign(self, rng):
        time = np.sort(rng.uniform(0, 900, 3000))
        away = ((time / 2.4) % 1.0 - 0.4 + 0.5) % 1.0 - 0.5
        value = np.clip(np.where(away < 0, 1 + away / 0.05, 1 - away / 0.15), 0, None)
        here = features(time, value, None, 1.2, FOLDED)
        there = features(900 - time[::-1], value[::-1], None, 1.2, FOLDED)
        for name in ("first_width_2p", "first_depth_2p", "phase_cusum_p", "phase_cusum_2p"):
            assert there[name] == pytest.approx(here[name], rel=1e-6), name
        assert there["first_asymmetry_2p"] == pytest.approx(-here["first_asymmetry_2p"], abs=1e-9)


def test_slopes_and_sums_of_a_sine(rng):
    """Amplitude A: slopes spread as 2πA cos, whose tenth percentile is -2πA cos(π / 10)."""
    time = np.sort(rng.uniform(0, 900, 5000))
    value = 15.0 + 0.3 * np.sin(2 * np.pi * time / 0.6)
    got = features(time, value, None, 0.6, FOLDED)
    steep = 2 * np.pi * 0.3 * np.cos(np.pi / 10)
    assert got["slope_90_p"] == pytest.approx(steep, rel=0.04)
    assert got["slope_10_p"] == pytest.approx(-steep, rel=0.04)
    # the sum of half a sine is A N / π, its deviation A / sqrt(2)
    assert got["phase_cusum_p"] == pytest.approx(np.sqrt(2) / np.pi, rel=0.03)


def test_sums_do_not_depend_on_the_first_point(rng):
    time = np.sort(rng.uniform(0, 300, 200))
    value = rng.normal(0, 1, 200)
    here = features(time, value, None, 0.7, FOLDED)
    for name, cycle in (("phase_cusum_p", 0.7), ("phase_cusum_2p", 1.4)):
        by_phase = value[np.argsort((time / cycle) % 1.0)]
        sums = np.cumsum(by_phase - value.mean()) / (200 * value.std(ddof=1))
        assert here[name] == pytest.approx(np.ptp(sums), rel=1e-9)


class TestPowers:
    def test_against_astropy(self, rng):
        """Floating mean and error weights: `LombScargle(fit_mean=True)`, standard norm."""
        from astropy.timeseries import LombScargle

        time = np.sort(rng.uniform(0, 300, 120))
        error = rng.uniform(0.05, 0.2, 120)
        value = 15 + 0.2 * np.cos(2 * np.pi * time / 0.7) + rng.normal(0, error)
        got = features(time, value, error, 0.7, POWERS)
        peer = LombScargle(time, value, error, fit_mean=True, center_data=True)
        for name, cycles in (("2p", 0.5), ("p", 1), ("half_p", 2), ("third_p", 3)):
            truth = float(peer.power(cycles / 0.7, method="slow"))
            assert got[f"power_{name}"] == pytest.approx(truth, rel=1e-8)

    def test_a_sine_has_all_of_it(self, rng):
        time = np.sort(rng.uniform(0, 300, 40))
        value = 3 + np.cos(2 * np.pi * time / 0.7)
        got = features(time, value, np.full(40, 0.1), 0.7, POWERS)
        assert got["power_p"] == pytest.approx(1.0, abs=1e-12)
        assert got["power_2p"] < 0.5


class TestModels:
    def test_a_symmetric_series_has_no_odd_part(self, rng):
        time = np.sort(rng.uniform(0, 300, 200))
        turn = 2 * np.pi * (time / 0.7 - 0.31)
        value = 15 + 0.3 * np.cos(turn) + 0.1 * np.cos(2 * turn)
        got = features(time, value, np.full(200, 0.01), 0.7, ("model_asymmetry",))
        assert got["model_asymmetry"] == pytest.approx(0.0, abs=1e-4)

    def test_the_odd_part_by_hand(self, rng):
        """About the faintest phase of the series, found on a fine grid."""
        time = np.sort(rng.uniform(0, 300, 200))
        terms = ((0.3, 0.2), (0.12, 1.9), (0.05, 4.0))

        def series(turn):
            return sum(a * np.cos(k * turn + p) for k, (a, p) in enumerate(terms, 1))

        grid = np.linspace(0, 2 * np.pi, 100_000)
        faintest = grid[np.argmax(series(grid))]
        odd = sum((a * np.sin(k * faintest + p)) ** 2 for k, (a, p) in enumerate(terms, 1))
        truth = odd / sum(a**2 for a, _ in terms)
        value = 15 + series(2 * np.pi * time / 0.7)
        got = features(time, value, np.full(200, 0.01), 0.7, ("model_asymmetry",))
        assert got["model_asymmetry"] == pytest.approx(truth, abs=2e-3)

    def test_terms_at_twice_the_period_come_back(self, rng):
        time = np.sort(rng.uniform(0, 300, 200))
        turn = np.pi * time / 0.7
        value = 15 + 0.2 * np.cos(turn + 1) + 0.4 * np.cos(2 * turn + 3) + 0.1 * np.cos(3 * turn)
        names = tuple(n for n in FEATURES if n.startswith("fourier_") and n.endswith("_2p"))
        got = features(time, value, np.full(200, 0.01), 0.7, names)
        assert got["fourier_amplitude_2p"] == pytest.approx(0.2, rel=1e-6)
        assert got["fourier_r21_2p"] == pytest.approx(2.0, rel=1e-6)
        assert got["fourier_r31_2p"] == pytest.approx(0.5, rel=1e-6)
        # phases count from the first point, which changes no difference of the kind φk - k φ1
        assert got["fourier_phi21_2p"] == pytest.approx(1.0, abs=1e-6)
        assert got["fourier_phi31_2p"] == pytest.approx(2 * np.pi - 3, abs=1e-6)


def test_new_numbers_of_the_distribution(rng):
    value = rng.gamma(2.0, 1.0, 57)
    batch = LightCurveBatch.from_curves([(np.arange(57.0), value, np.full(57, 0.1))])
    q = {p: np.quantile(value, p, method="hazen") for p in np.arange(1, 1000) / 1000}
    tails = np.sort(value)
    wide = q[0.95] - q[0.05]
    expected = {
        "magnitude_percentage_ratio_32_5": (q[0.675] - q[0.325]) / wide,
        "magnitude_percentage_ratio_25_5": (q[0.75] - q[0.25]) / wide,
        "magnitude_percentage_ratio_17_5": (q[0.825] - q[0.175]) / wide,
        "magnitude_percentage_ratio_10_5": (q[0.9] - q[0.1]) / wide,
        "moors_kurtosis": (q[0.875] - q[0.625] + q[0.375] - q[0.125]) / (q[0.75] - q[0.25]),
        "beyond_3_std": np.mean(np.abs(value - value.mean()) > 3 * value.std(ddof=1)),
        "tail_asymmetry": (np.mean([*tails[:6], *tails[-6:]]) - np.median(value))
        / value.std(ddof=1),
        "stetson_l": np.nan,
    }
    got = extract_features(batch, tuple(expected))[0]
    np.testing.assert_allclose(got, list(expected.values()), rtol=1e-12)


def test_stetson_l_is_made_of_j_and_k(make_batch):
    batch = make_batch(3, 400)
    j, k, l_index = extract_features(batch, ("stetson_j", "stetson_k", "stetson_l")).T
    np.testing.assert_allclose(l_index, j * k / 0.798, rtol=1e-12)

"""Harmonic models and folds: known series first, then least squares by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.features import FEATURES, extract_features

FOURIER = tuple(name for name, f in FEATURES.items() if f.group == "fourier")
FOLDED = tuple(name for name, f in FEATURES.items() if f.group == "folded")


def features(time, value, error, period, names=FOURIER + FOLDED, quantity="mag"):
    batch = LightCurveBatch.from_curves(
        [(time, value, error)],
        objects={"period": np.array([period])},
        meta=Meta(quantity=quantity),
    )
    return dict(zip(names, extract_features(batch, names)[0], strict=True))


def series(time, period, amplitudes, phases):
    angle = 2 * np.pi * time / period
    return sum(
        a * np.cos(k * angle + p)
        for k, (a, p) in enumerate(zip(amplitudes, phases, strict=True), 1)
    )


@pytest.fixture
def time(rng):
    return 55000.0 + np.sort(rng.uniform(0, 800, 240))


class TestKnownSeries:
    def test_amplitudes_and_phases_come_back(self, time):
        amplitudes, phases = (0.31, 0.14, 0.06, 0.02), (1.1, 2.9, 4.4, 0.3)
        value = 15.0 + series(time, 0.567, amplitudes, phases)
        got = features(time, value, np.full(time.size, 0.01), 0.567)
        assert got["fourier_amplitude"] == pytest.approx(0.31, rel=1e-6)
        assert got["fourier_r21"] == pytest.approx(0.14 / 0.31, rel=1e-6)
        assert got["fourier_r31"] == pytest.approx(0.06 / 0.31, rel=1e-6)
        assert got["fourier_r41"] == pytest.approx(0.02 / 0.31, rel=1e-6)
        for k, name in ((2, "phi21"), (3, "phi31"), (4, "phi41")):
            truth = (phases[k - 1] - k * phases[0]) % (2 * np.pi)
            assert got[f"fourier_{name}"] == pytest.approx(truth, abs=1e-6)
        assert got["cos_phi21"] == pytest.approx(np.cos(2.9 - 2.2), abs=1e-6)
        assert got["sin_phi31"] == pytest.approx(np.sin(4.4 - 3.3), abs=1e-6)
        assert got["variance_explained_p"] == pytest.approx(1.0, abs=1e-9)

    def test_flux_has_the_shape_of_its_light(self, time):
        """The model is of the faintness, so that a star keeps its phases in flux."""
        value = series(time, 0.567, (0.3, 0.1), (1.0, 2.0))
        error = np.full(time.size, 0.01)
        mag = features(time, value, error, 0.567)
        flux = features(time, -value, error, 0.567, quantity="flux")
        assert flux["fourier_phi21"] == pytest.approx(mag["fourier_phi21"], abs=1e-9)

    def test_a_sawtooth_rises_steeply(self, time):
        """RR Lyrae like: fades for 80 % of the period, brightens in the other 20 %."""
        phase = (time / 0.6) % 1.0
        value = 15.0 + np.where(phase < 0.8, phase / 0.8, (1 - phase) / 0.2)
        got = features(time, value, np.full(time.size, 0.01), 0.6)
        assert got["rise_fraction"] == pytest.approx(0.2, abs=0.05)
        assert got["slope_ratio"] > 1.8
        assert got["model_faint_half"] == pytest.approx(0.5, abs=0.05)

    def test_sine(self, time):
        value = 15.0 + 0.2 * np.sin(2 * np.pi * time / 0.6)
        got = features(time, value, np.full(time.size, 0.01), 0.6)
        assert got["rise_fraction"] == pytest.approx(0.5, abs=1 / 64)
        assert got["slope_ratio"] == pytest.approx(1.0, abs=1e-6)
        assert got["model_range"] == pytest.approx(0.4, rel=3e-3)
        assert got["faint_width"] == pytest.approx(0.5, abs=0.03)
        assert got["bright_width"] == pytest.approx(1 / 3, abs=0.03)
        assert got["depth_ratio_2p"] == pytest.approx(1.0, abs=0.02)
        assert got["depth_ratio_p"] < 0.15
        assert got["maxima_difference_2p"] == pytest.approx(0.0, abs=0.02)
        assert got["phase_dispersion_p"] < 0.05
        assert got["lafler_kinman_p"] < 0.01

    def test_eclipses_at_twice_the_period(self, rng):
        """Two unequal minima half an orbit apart, searched at half the orbit."""
        time = 55000.0 + np.sort(rng.uniform(0, 800, 600))
        phase = (time / 2.4) % 1.0
        deep = np.exp(-0.5 * ((phase - 0.5) / 0.02) ** 2)
        shallow = np.exp(-0.5 * (np.minimum(phase, 1 - phase) / 0.02) ** 2)
        value = 12.0 + 1.0 * deep + 0.5 * shallow + rng.normal(0, 0.005, 600)
        got = features(time, value, np.full(600, 0.005), 1.2)
        assert got["depth_ratio_2p"] == pytest.approx(0.5, abs=0.08)
        assert got["faint_width"] < 0.1
        assert got["bright_width"] > 0.85
        assert got["odd_harmonics_2p"] > 0.05
        assert got["phase_dispersion_2p"] < got["phase_dispersion_p"]
        at_orbit = features(time, value, np.full(600, 0.005), 2.4)
        assert at_orbit["depth_ratio_p"] == pytest.approx(0.5, abs=0.08)

    def test_what_the_model_leaves(self, time, rng):
        value = 15.0 + series(time, 0.567, (0.3, 0.1), (1.0, 2.0)) + rng.normal(0, 0.02, time.size)
        got = features(time, value, np.full(time.size, 0.02), 0.567)
        n = time.size - 9
        assert got["residual_reduced_chi2"] == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))
        assert got["residual_eta"] == pytest.approx(2.0, abs=0.5)
        assert got["residual_bright_share"] == pytest.approx(0.5, abs=0.12)
        assert got["residual_mad_ratio"] < 0.12
        assert got["odd_harmonics_2p"] == pytest.approx(0.0, abs=0.15)


class TestBadInput:
    def test_no_period_fits_all_times_equal(self):
        got = features(np.full(40, 55000.0), np.arange(40.0), np.ones(40), 0.5)
        assert all(np.isnan(got[name]) for name in FOURIER)

    def test_a_period_longer_than_the_data_does_not_constrain_the_harmonics(self, rng):
        time = 55000.0 + np.sort(rng.uniform(0, 3, 100))
        got = features(time, rng.normal(15, 0.1, 100), np.full(100, 0.1), 400.0)
        assert np.isnan(got["fourier_r21"])
        assert np.isfinite(got["lafler_kinman_p"])

    def test_flat(self, time):
        got = features(time, np.full(time.size, 15.0), np.full(time.size, 0.1), 0.5)
        assert got["fourier_amplitude"] == 0.0
        assert np.isnan(got["fourier_r21"])
        assert np.isnan(got["variance_explained_p"])
        assert all(np.isnan(got[name]) for name in FOLDED)

    def test_one_bad_error_bar_does_not_break_the_sums(self, time, rng):
        """Weights over 16 orders: one point owns the fit, and it says so by NaN or numbers."""
        error = np.full(time.size, 0.1)
        error[3] = 1e-9
        got = features(time, rng.normal(15, 0.1, time.size), error, 0.5)
        assert not any(np.isinf(v) for v in got.values())


@pytest.mark.parametrize("n", [30, 250])
def test_against_least_squares_by_numpy(n, rng):
    period = 0.7431
    time = 55000.0 + np.sort(rng.uniform(0, 900, n))
    value = 15.0 + series(time, 2 * period, (0.1, 0.3, 0.05), (1, 2, 3)) + rng.normal(0, 0.1, n)
    error = rng.uniform(0.05, 0.2, n)
    got = features(time, value, error, period)

    def fit(p, harmonics):
        angle = 2 * np.pi * np.outer(time / p, np.arange(1, harmonics + 1))
        design = np.column_stack([np.ones(n), np.cos(angle), np.sin(angle)])
        solution = np.linalg.lstsq(design / error[:, None], value / error, rcond=None)[0]
        return design @ solution, solution

    d = (value - np.average(value, weights=error**-2)) / error
    model, solution = fit(period, 4)
    residual = value - model
    large = fit(2 * period, 8)[0]
    v1 = 1 - np.sum((residual / error) ** 2) / np.sum(d**2)
    v2 = 1 - np.sum(((value - large) / error) ** 2) / np.sum(d**2)
    amplitude = np.hypot(solution[1:5], solution[5:9])
    mad = np.median(np.abs(value - np.median(value)))
    expected = {
        "fourier_amplitude": amplitude[0],
        "fourier_r21": amplitude[1] / amplitude[0],
        "fourier_r41": amplitude[3] / amplitude[0],
        "variance_explained_p": v1,
        "variance_explained_2p": v2,
        "odd_harmonics_2p": 1 - (1 - v2) * (n - 9) / ((1 - v1) * (n - 17)),
        "residual_reduced_chi2": np.sum((residual / error) ** 2) / (n - 9),
        "residual_mad_ratio": np.median(np.abs(residual - np.median(residual))) / mad,
        "residual_eta": np.sum(np.diff(residual) ** 2) / np.sum(residual**2),
    }
    for name, truth in expected.items():
        assert got[name] == pytest.approx(truth, rel=1e-6), name


@pytest.mark.parametrize("n", [30, 31, 250])
def test_folds_against_plain_numpy(n, rng):
    period = 0.7431
    time = np.sort(rng.uniform(0, 900, n))
    value = 15.0 + 0.3 * np.cos(2 * np.pi * time / period) + rng.normal(0, 0.1, n)
    got = features(time, value, None, period, names=FOLDED)
    for suffix, cycle, bins in (("p", period, 10), ("2p", 2 * period, 20)):
        phase = ((time - time[0]) / cycle) % 1.0
        order = np.argsort(phase)
        p, v = phase[order], value[order]
        step = np.diff(np.append(v, v[0]))
        turn = np.diff(np.append(p, p[0] + 1))
        lafler = np.sum(step**2) / (2 * (n - 1) * value.var(ddof=1))
        string = np.sum(np.hypot(turn, step / (2 * np.ptp(value))))
        groups = [v[(p * bins).astype(int) == k] for k in range(bins)]
        groups = [group for group in groups if group.size]
        within = sum(np.sum((group - group.mean()) ** 2) for group in groups)
        half = max(3, n // 32) // 2
        smooth = np.mean([np.roll(v, k) for k in range(-half, half + 1)], axis=0)

        def near(centre, p=p):
            away = np.abs(p - centre) % 1.0
            return np.minimum(away, 1 - away) <= 0.1

        faint, bright = p[smooth.argmax()], smooth.min()
        depth = smooth.max() - bright
        second = smooth[near(faint + 0.5)].max() - bright
        maxima = smooth[near(faint + 0.25)].min() - smooth[near(faint + 0.75)].min()
        assert got[f"lafler_kinman_{suffix}"] == pytest.approx(lafler, rel=1e-9)
        assert got[f"string_length_{suffix}"] == pytest.approx(string, rel=1e-9)
        expected = within / (n - len(groups)) / value.var(ddof=1)
        assert got[f"phase_dispersion_{suffix}"] == pytest.approx(expected, rel=1e-9)
        assert got[f"depth_ratio_{suffix}"] == pytest.approx(second / depth, rel=1e-9)
        assert got[f"maxima_difference_{suffix}"] == pytest.approx(abs(maxima) / depth, abs=1e-9)

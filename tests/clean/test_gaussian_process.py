"""Imputation by a Gaussian process: honest errors, limits, and what to install."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import Impute
from astroprep.clean.gaussian_process import gaussian_process_at
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import MissingExtraError


def walk(rng, n=300, error=0.02):
    """Damped random walk with measurement noise, the classic of quasars."""
    time = np.sort(rng.uniform(0, 100, n))
    value = np.empty(n)
    value[0] = rng.normal(0, 0.3)
    for i in range(1, n):
        keep = np.exp(-(time[i] - time[i - 1]) / 10.0)
        value[i] = keep * value[i - 1] + rng.normal(0, 0.3 * np.sqrt(1 - keep**2))
    return time, 18 + value + rng.normal(0, error, n), np.full(n, error)


def test_without_celerite2_it_says_what_to_install(rng, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "celerite2", None)
    time, value, error = walk(rng)
    value[100] = np.nan

    with pytest.raises(MissingExtraError, match=r"Impute\(method='gp'\).*astroprep\[gp\]"):
        Impute(method="gp", window=20.0).transform((time, value, error))


class TestWithCelerite:
    @pytest.fixture(autouse=True)
    def celerite(self):
        pytest.importorskip("celerite2", reason="extra gp is not installed")

    @pytest.mark.parametrize("known", [True, False])
    def test_hidden_points_lie_within_the_stated_error(self, rng, known):
        curves = []
        for _ in range(8):
            time, value, error = walk(rng)
            curves.append((time, value, error if known else None))
        whole = LightCurveBatch.from_curves(curves)
        gone = rng.random(whole.n_points) < 0.2
        value = whole.value.copy()
        value[gone] = np.nan

        result = Impute(method="gp", window=20.0).transform(whole.with_columns(value=value))

        made = (result.flags & int(PointFlag.IMPUTED)) > 0
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert made.sum() > 0.9 * gone.sum()
        assert np.mean(np.abs(deviation) < 1) == pytest.approx(0.6827, abs=0.05)

    def test_beats_the_mean_of_the_curve(self, rng):
        time, value, error = walk(rng)
        keep = np.ones(300, bool)
        keep[10:290:7] = False

        at, _, _ = gaussian_process_at(time[keep], value[keep], error[keep], time[~keep])

        assert np.std(at - value[~keep]) < 0.5 * np.std(value)

    def test_order_of_targets_and_hopeless_curves(self, rng):
        time, value, error = walk(rng, 60)
        targets = np.array([50.0, 10.0, 30.0])

        at, sigma, quoted = gaussian_process_at(time, value, error, targets)
        back, _, _ = gaussian_process_at(time, value, error, targets[::-1])

        np.testing.assert_allclose(at[::-1], back, rtol=1e-12)
        assert (sigma > quoted).all()
        for bad in (time[:3], np.zeros(60)):
            assert np.isnan(
                gaussian_process_at(bad, value[: bad.size], error[: bad.size], targets)[0]
            ).all()
        assert np.isnan(gaussian_process_at(time, np.ones(60), error, targets)[0]).all()

    def test_gaps_longer_than_the_limit_stay(self, rng):
        time, value, error = walk(rng)
        inside = (time > 40) & (time < 55)
        value[inside] = np.nan

        result = Impute(method="gp", window=20.0).transform((time, value, error))

        assert result.objects["n_imputed"].tolist() == [0]
        assert result.objects["n_left_missing"][0] == inside.sum()

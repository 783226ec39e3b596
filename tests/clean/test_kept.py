"""What a step keeps of a signal is what theory says it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import (
    Bin,
    BinDown,
    ClusterNoise,
    ErrorRescaler,
    Smooth,
    amplitude_kept,
    spline_response,
    window_response,
)
from astroprep.data import LightCurveBatch
from astroprep.detrend import MovingTrend
from astroprep.errors import DataError

PERIODS = np.array([0.7, 1.1, 1.7, 3.1, 8.0])


@pytest.fixture
def dense(rng):
    """One curve of 40 days, sampled every 7 minutes, noise only."""
    time = np.arange(8000) * 0.005
    return LightCurveBatch.from_curves([(time, 15 + rng.normal(0, 0.01, 8000), [0.01] * 8000)])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_moving_polynomials_keep_what_their_kernel_transforms_to(dense, degree):
    kept = amplitude_kept(Smooth(window=1.0, degree=degree), dense, PERIODS)[0]
    truth = np.abs(window_response(PERIODS, 1.0, degree))
    np.testing.assert_allclose(kept, truth, atol=0.02)  # 2 % of the curve is its ends


def test_splines_keep_what_their_equivalent_kernel_says(dense):
    kept = amplitude_kept(Smooth(method="spline", window=1.5), dense, PERIODS)[0]
    np.testing.assert_allclose(kept, spline_response(PERIODS, 1.5), atol=0.02)


def test_bins_keep_a_sinc(dense):
    """One point a bin: a sinc. Of the stairs of bins in place a sine fit sees another sinc."""
    truth = np.abs(np.sinc(0.5 / PERIODS))
    down = amplitude_kept(BinDown(size=0.5), dense, PERIODS)[0]
    np.testing.assert_allclose(down[1:], truth[1:], atol=0.02)
    stairs = amplitude_kept(Bin(size=0.5), dense, PERIODS)[0]
    np.testing.assert_allclose(stairs[1:], truth[1:] ** 2, atol=0.02)


def test_steps_that_change_no_value_keep_all(dense):
    for step in (ClusterNoise(), ErrorRescaler(min_stars=1).fit(dense)):
        np.testing.assert_allclose(amplitude_kept(step, dense, PERIODS), 1.0, atol=1e-9)


def test_a_detrending_loses_slow_signals_and_a_refused_curve_is_nan(rng):
    time = np.arange(2000) * 0.02
    good, short = (time, 15 + rng.normal(0, 0.01, 2000), [0.01] * 2000), ([0.0], [15.0], [0.01])
    batch = LightCurveBatch.from_curves([short, good])
    kept = amplitude_kept(
        MovingTrend(average="median", window=1.0), batch, [0.3, 20.0], amplitude=0.1
    )
    assert np.isnan(kept[0]).all()
    assert kept[1, 0] > 0.9
    assert kept[1, 1] < 0.1


def test_response_functions_at_their_limits():
    for degree in range(4):
        assert window_response(1e9, 1.0, degree) == pytest.approx(1.0)
        near = window_response(np.pi / np.array([0.0499, 0.0501]), 1.0, degree)
        assert np.ptp(near) < 2e-5  # series and formula meet
    np.testing.assert_allclose(spline_response([1.0, 1e9, 1e-3], 1.0), [0.5, 1.0, 0.0], atol=1e-9)
    s = np.linspace(-1, 1, 200_001)
    for x in (0.3, 2.0, 5.0):  # the transform of (9 - 15 s^2) / 8 by a sum
        truth = np.trapezoid((9 - 15 * s**2) / 8 * np.cos(x * s), s)
        assert window_response(np.pi / x, 1.0, 2) == pytest.approx(truth, abs=1e-8)


def test_wrong_periods_are_refused(dense):
    with pytest.raises(DataError, match="positive"):
        amplitude_kept(Bin(), dense, [1.0, 0.0])
    with pytest.raises(DataError, match="positive"):
        amplitude_kept(Bin(), dense, [1.0], amplitude=-1.0)

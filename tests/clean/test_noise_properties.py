"""Properties of the noise steps: shifts, gains and signs of the input come out as they went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.clean import Bin, BinDown, ClusterNoise, Smooth
from astroprep.data import LightCurveBatch

STEPS = (
    Bin(size=2.0),
    Bin("median", size=2.0),
    Bin("boundary", "count", size=7),
    BinDown(size=2.0),
    Smooth(window=3.0),
    Smooth(window=3.0, kernel="tricube", degree=1, robust=2),
    Smooth("spline", window=2.0),
    Smooth("spline", dof=6.0),
    ClusterNoise(time_scale=1.0, brightness_scale=1.5),
)
IDS = [f"{type(step).__name__}-{i}" for i, step in enumerate(STEPS)]


def curve(seed, n=60):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 30, n))
    return time, np.sin(time / 2) + rng.normal(0, 0.1, n), rng.uniform(0.05, 0.2, n)


def run(step, time, value, error):
    return step.transform(LightCurveBatch.from_curves([(time, value, error)]))


@pytest.mark.parametrize("step", STEPS, ids=IDS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    gain=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
    offset=st.floats(-1e3, 1e3),
)
def test_gain_sign_and_offset_pass_through(step, seed, gain, sign, offset):
    """Negative and upside-down fluxes as well; boundaries have ties that a sign turns over."""
    time, value, error = curve(seed)
    plain = run(step, time, value, error)
    moved = run(step, time, sign * gain * value + offset, gain * error)
    tolerance = 1e-6 * gain + 1e-9 * abs(offset)
    np.testing.assert_allclose(moved.value, sign * gain * plain.value + offset, atol=tolerance)
    np.testing.assert_allclose(moved.error, gain * plain.error, rtol=1e-5)
    np.testing.assert_array_equal(moved.flags, plain.flags)


@pytest.mark.parametrize("step", STEPS, ids=IDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.sampled_from([-2048.0, 512.0, 2.0**21]))
def test_a_shift_in_time_passes_through(step, seed, shift):
    """Whole numbers of bins, and times that a shift by a power of two does not round."""
    time, value, error = curve(seed)
    time = np.round(time * 4096) / 4096
    plain, moved = run(step, time, value, error), run(step, time + shift, value, error)
    np.testing.assert_allclose(moved.time - shift, plain.time, atol=1e-9)
    np.testing.assert_allclose(moved.value, plain.value, atol=1e-9)
    np.testing.assert_array_equal(moved.flags, plain.flags)


@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_a_constant_curve_stays_constant(step):
    time, _, error = curve(4)
    result = run(step, time, np.full(60, -7.25), error)
    np.testing.assert_allclose(result.value, -7.25, rtol=1e-14)
    assert not result.flags.any()


@pytest.mark.parametrize("step", STEPS[4:], ids=IDS[4:])
def test_time_runs_both_ways(step):
    """A mirrored curve gives the mirrored result, bins apart, which start somewhere."""
    time, value, error = curve(9)
    plain = run(step, time, value, error)
    back = run(step, -time[::-1], value[::-1], error[::-1])
    np.testing.assert_allclose(back.value[::-1], plain.value, atol=1e-9)
    np.testing.assert_array_equal(back.flags[::-1], plain.flags)

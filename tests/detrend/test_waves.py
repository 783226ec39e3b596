"""Sines are found with their frequencies, and none where there are none."""

from __future__ import annotations

import numpy as np

from astroprep.detrend.waves import _transform, find_waves


def waves_of(time, value, keep=None, max_waves=40):
    keep = np.ones(time.size, bool) if keep is None else keep
    offsets = np.array([0, time.size])
    cadence = np.array([np.median(np.diff(time))])
    return find_waves(time, value, keep, offsets, cadence, 1.8, 80.0, max_waves)


def test_the_transform_is_numpys(rng):
    a = rng.normal(size=256) + 1j * rng.normal(size=256)
    expected = np.fft.fft(a)
    _transform(a)
    np.testing.assert_allclose(a, expected, atol=1e-10)


def test_three_sines_come_out_and_the_noise_stays(rng):
    """What is left has the scatter of the noise, also under points that were not fitted."""
    time = np.sort(np.arange(0, 60, 0.02) + rng.uniform(-0.002, 0.002, 3000))
    time = np.delete(time, slice(1000, 1100))
    truth = sum(
        a * np.sin(2 * np.pi * f * time + p)
        for a, f, p in ((10, 3.217, 0.3), (4, 6.434, 1.0), (2, 11.9, 2.0))
    )
    keep = np.ones(time.size, bool)
    keep[500:525] = False
    wave, n = waves_of(time, truth + rng.normal(size=time.size) - 30.0 * ~keep, keep)
    assert n[0] == 3
    assert np.std(wave - truth) < 0.1  # amplitudes are known to sqrt(2 / 2900) each
    assert np.abs(wave - truth)[500:525].max() < 0.2


def test_noise_has_no_waves(rng):
    """One false sine in two hundred curves of white noise at most."""
    found = 0
    for _ in range(200):
        found += waves_of(np.arange(0, 30, 0.02), rng.normal(size=1500))[1][0]
    assert found <= 1


def test_what_is_too_short_has_none():
    for n in (0, 1, 2, 29):
        time = np.arange(n) * 0.02
        wave, count = find_waves(
            time, np.sin(time), np.ones(n, bool), np.array([0, n]), np.array([0.02]), 1.8, 80.0, 5
        )
        assert count[0] == 0
        assert not wave.any()
    time = np.arange(0, 100.0)  # daily: nothing below 0.5 cycles per day can be told
    assert waves_of(time, np.sin(2 * np.pi * 0.31 * time))[1][0] == 0
    assert waves_of(np.zeros(50), np.zeros(50))[1][0] == 0
    assert waves_of(np.arange(50.0) * 0.02, np.zeros(50))[1][0] == 0
    assert waves_of(time * 0.02, np.sin(time), max_waves=0)[1][0] == 0

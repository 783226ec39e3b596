from __future__ import annotations

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.errors import ConfigError, DataError
from astroprep.period import FrequencyGrid, GridRule, log10_false_alarm, power, power_ragged
from astroprep.period.backends import BANDS, PRODUCT, ROWS, plans
from astroprep.period.exact import harmonic_power, standardise
from astroprep.period.peaks import strongest_peaks
from astroprep.period.sine import sine_power, sine_room


def sampled(rng, n_points, baseline, nightly):
    """Times of a survey: uniform, or a few visits a night at nearly the same hour."""
    if not nightly:
        return np.sort(rng.uniform(0, baseline, n_points))
    night = np.repeat(np.floor(rng.uniform(0, baseline, n_points // 4 + 1)), 4)[:n_points]
    return np.sort(night + 0.3 + 0.1 * rng.normal(size=n_points))


def star(rng, n_points, baseline=300.0, nightly=True, period=0.57):
    time = 55_000.0 + sampled(rng, n_points, baseline, nightly)
    error = rng.uniform(0.02, 0.1, n_points)
    value = 15 + 0.2 * np.sin(2 * np.pi * time / period) + error * rng.normal(size=n_points)
    return time, value, error


def astropy_power(time, value, error, grid, terms=1, normalization="standard"):
    peer = LombScargle(time - time[0], value, error, nterms=terms, normalization=normalization)
    return peer.power(grid.frequencies, method="chi2" if terms > 1 else "slow")


@pytest.mark.parametrize("nightly", [False, True])
@pytest.mark.parametrize("n_points", [10, 30, 100, 300, 1000])
def test_fast_power_is_that_of_astropy(n_points, nightly):
    """Oracle: astropy's slow method; float32 sums stay within 1e-3, 1e-4 at the peak."""
    time, value, error = star(np.random.default_rng(n_points), n_points, nightly=nightly)
    grid = GridRule(max_frequency=8.0).grid(time)

    fast = power(time, value, error, grid)

    truth = astropy_power(time, value, error, grid)
    assert np.abs(fast - truth).max() < 1e-3
    peak = np.argmax(truth)
    assert abs(fast[peak] - truth[peak]) < 1e-4
    # where two peaks tie within float32 the search confirms them exactly; here they do not
    assert np.argmax(fast) == peak


@pytest.mark.parametrize("nightly", [False, True])
@pytest.mark.parametrize("n_points", [25, 60, 300])
@pytest.mark.parametrize("terms", [2, 3, 4, 8])
@pytest.mark.parametrize("backend", ["auto", "fft", "product"])
def test_fast_power_of_a_series_is_exact(terms, n_points, nightly, backend):
    """Brute force: the exact kernel; float32 stays within 1e-3, and what it cannot is repaired."""
    time, value, error = star(np.random.default_rng(n_points), n_points, 90.0, nightly=nightly)
    grid = GridRule(max_frequency=6.0).grid(time)

    fast = power(time, value, error, grid, n_harmonics=terms, backend=backend)

    exact = power(time, value, error, grid, n_harmonics=terms, backend="exact")
    assert np.abs(fast - exact).max() < 1e-3


@pytest.mark.parametrize("nightly", [False, True])
@pytest.mark.parametrize("n_points", [2, 3, 5, 9, 60])
def test_products_are_exact_to_single_precision(n_points, nightly):
    """Brute force: the exact kernel; nothing is interpolated, so 1e-4 holds for any sampling."""
    time, value, error = star(np.random.default_rng(n_points), max(n_points, 4), nightly=nightly)
    time, value, error = time[:n_points], value[:n_points], error[:n_points]
    grid = FrequencyGrid(0.0613, 0.17 / np.ptp(time), 777)

    fast = power(time, value, error, grid, backend="product")

    assert np.abs(fast - power(time, value, error, grid, backend="exact")).max() < 2e-4


@pytest.mark.parametrize("terms", [1, 2, 4, 8])
def test_exact_power_is_that_of_astropy(terms):
    """Oracle: astropy's chi2 method, both in float64; solves of condition 1e4 leave 1e-9."""
    rng = np.random.default_rng(terms)
    time, value, error = star(rng, 120, baseline=60.0, nightly=False)
    grid = FrequencyGrid(0.05, 0.004, 900)

    ours = power(time, value, error, grid, n_harmonics=terms, backend="exact")

    assert ours == pytest.approx(astropy_power(time, value, error, grid, terms), abs=1e-9)


@pytest.mark.parametrize("normalization", ["standard", "model", "log", "psd"])
def test_normalizations_are_those_of_astropy(normalization):
    time, value, error = star(np.random.default_rng(2), 80, baseline=40.0)
    grid = FrequencyGrid(0.1, 0.004, 700)

    ours = power(time, value, error, grid, backend="exact", normalization=normalization)

    truth = astropy_power(time, value, error, grid, normalization=normalization)
    assert ours == pytest.approx(truth, rel=1e-7, abs=1e-9)


def test_only_chosen_transforms_get_tables():
    every, few = plans(), plans(np.array([3, PRODUCT, 0]))
    assert [one.rows for one in every] == list(ROWS)
    assert [one.band for one in every] == list(BANDS)
    assert few[3] is every[3]
    assert {one.rows for one in few} == {ROWS[0], ROWS[3]}


@pytest.mark.parametrize("place", range(len(ROWS)))
def test_every_transform_size_gives_the_same_power(place):
    """Brute force: the exact kernel; 1e-4 is ten times the filter error at 200 points."""
    time, value, error = star(np.random.default_rng(3), 200)
    centred, weight, weighted, _ = standardise(time, value, error)
    step = 0.2 / np.ptp(time)
    fast = np.empty(3000, np.float32)
    chosen = plans()[place]
    room = np.full(sine_room(centred.size, fast.size, chosen), np.nan, np.float32)

    sine_power(centred, weighted, weight, 0.5, step, fast, chosen, room)

    truth = harmonic_power(centred, weight, weighted, 0.5 + step * np.arange(3000), 1)
    assert np.abs(fast - truth).max() < 1e-4


def test_an_exact_sine_is_explained_whole():
    """Analytic: a noiseless sine has power one at its frequency."""
    time = np.sort(np.random.default_rng(0).uniform(0, 50, 60))
    value = np.sin(2 * np.pi * 1.37 * time + 0.3)
    grid = FrequencyGrid(1.37, 1.0, 1)

    for backend in ("fft", "exact"):
        found = power(time, value, np.ones(60), grid, backend=backend)
        assert found[0] == pytest.approx(1.0, abs=1e-5)


def test_a_grid_coarser_than_the_filter_is_served():
    time, value, error = star(np.random.default_rng(4), 90)
    grid = FrequencyGrid(0.3, 1.7 / np.ptp(time), 500)

    fast = power(time, value, error, grid)

    assert np.abs(fast - astropy_power(time, value, error, grid)).max() < 1e-3


def test_power_does_not_depend_on_batch_or_threads():
    rng = np.random.default_rng(5)
    curves = [star(rng, n) for n in (20, 400, 77, 150)]
    time, value, error = (np.concatenate(part) for part in zip(*curves, strict=True))
    offsets = np.concatenate(([0], np.cumsum([c[0].size for c in curves])))
    grid = FrequencyGrid(0.1, 0.0005, 5000)

    together = power_ragged(time, value, error, offsets, grid, jobs=2)

    for i, (t, v, e) in enumerate(curves):
        alone = power_ragged(t, v, e, np.array([0, t.size]), grid, jobs=1)
        assert np.array_equal(together[i], alone[0])


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-3e5, 3e5), gain=st.floats(0.01, 100), offset=st.floats(-100, 100))
def test_shifts_and_gains_change_nothing(shift, gain, offset):
    """Times near 3e5 d keep 6e-11 d, so phases at 20 cycles per day keep 1e-9."""
    time, value, error = star(np.random.default_rng(6), 60, baseline=40.0)
    grid = FrequencyGrid(0.2, 0.005, 3000)

    moved = power(time + shift, value * gain + offset, error * gain, grid, backend="exact")

    assert moved == pytest.approx(power(time, value, error, grid, backend="exact"), abs=1e-6)


def test_false_alarm_probability_is_baluevs():
    """Oracle: astropy, where its numbers do not underflow."""
    time, value, error = star(np.random.default_rng(7), 50, baseline=80.0)
    peer = LombScargle(time, value, error)
    heights = np.array([0.05, 0.2, 0.3, 0.4, 0.6, 0.9])
    truth = peer.false_alarm_probability(heights, method="baluev", maximum_frequency=24.0)
    weight = error**-2 / (error**-2).sum()
    spread = np.sqrt((weight * (time - (weight * time).sum()) ** 2).sum())

    ours = log10_false_alarm(heights, np.full(6, 50), np.full(6, spread), 24.0)

    assert ours == pytest.approx(np.log10(np.clip(truth, 1e-300, 1)), abs=0.02)
    far = log10_false_alarm(np.array([0.99]), np.array([900]), np.array([1e3]), 24.0)
    assert -400 <= far[0] < -300


def test_strongest_peaks_stand_apart():
    signal = np.zeros(1000, np.float32)
    signal[[100, 102, 500, 900]] = [1.0, 0.9, 0.5, 0.7]

    assert strongest_peaks(signal, 1, 4, 5.0, 0.0).tolist()[:3] == [100, 900, 500]
    assert strongest_peaks(np.full(7, 0.5, np.float32), 1, 3, 5.0, 0.0).size == 1


@pytest.mark.parametrize("start", [10.0, 10.25, 7.0, 4000.0, 1e-3, 10.37])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 1001])
def test_every_start_and_length_of_a_grid_is_served(start, size):
    """Brute force: whole, aligned and crooked starts, and grids shorter than a block."""
    time, value, error = star(np.random.default_rng(13), 150)
    step = 0.2 / np.ptp(time)
    grid = FrequencyGrid(start * step, step, size)

    fast = power(time, value, error, grid)

    assert fast == pytest.approx(power(time, value, error, grid, backend="exact"), abs=2e-4)


def test_nifty_ls_agrees():
    nifty_ls = pytest.importorskip("nifty_ls", reason="the oracle nifty-ls is not installed")
    time, value, error = star(np.random.default_rng(8), 500)
    grid = GridRule(max_frequency=10.0).grid(time)
    peer = nifty_ls.lombscargle(
        time, value, error, fmin=grid.start, fmax=grid.stop, Nf=grid.size, nthreads=1
    )

    assert np.abs(power(time, value, error, grid) - peer.power).max() < 1e-4


def test_wrong_settings_and_data_are_named():
    time, value, error = star(np.random.default_rng(9), 10)
    grid = FrequencyGrid(0.1, 0.1, 10)
    with pytest.raises(ConfigError, match="n_harmonics must be 1 to 8"):
        power(time, value, error, grid, n_harmonics=9)
    with pytest.raises(ConfigError, match="backend must be"):
        power(time, value, error, grid, backend="gpu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="normalization must be"):
        power(time, value, error, grid, normalization="unit")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="two points"):
        power(time[:1], value[:1], error[:1], grid)
    with pytest.raises(DataError, match="different times"):
        power(np.full(4, 3.0), value[:4], error[:4], grid)

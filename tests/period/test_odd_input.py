"""What the period engine says to light curves that no survey should send, and some do."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import DataError
from astroprep.period import (
    BoxRule,
    FrequencyGrid,
    GridRule,
    MultibandSearch,
    PeriodSearch,
    TemplatePeriod,
    VerifyPeriod,
    box_power,
    find_box,
    measure_box,
    power,
    power_multiband_ragged,
    power_ragged,
    search,
    search_multiband,
    sine_candidates,
)

GRID = FrequencyGrid(0.05, 0.003, 900)
PERIOD = 0.61


@pytest.fixture
def star():
    rng = np.random.default_rng(5)
    time = 59_000 + np.sort(rng.uniform(0, 120, 60))
    value = 15 + 0.3 * np.sin(2 * np.pi * time / PERIOD) + 0.02 * rng.normal(size=60)
    return time, value, np.full(60, 0.02)


def batch_of(time, value, error, period=PERIOD):
    return LightCurveBatch.from_curves(
        [(time, value, error)], ids=["odd"], objects={"catalogue_period": np.array([period])}
    )


# -- the functions --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "fft", "product", "exact"])
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_refused(star, backend, column, number):
    curve = [c.copy() for c in star]
    curve[column][7] = number

    with pytest.raises(DataError, match="finite times and values and positive errors"):
        power(*curve, GRID, backend=backend)


ALL = np.array([0, 60])
BANDS = (np.arange(60) % 2).astype(np.int16)
RULE = BoxRule(min_period=2.0, durations=(0.2, 0.5))
DOORS = {
    "search": lambda *curve: search(*curve, ALL),
    "search_multiband": lambda *curve: search_multiband(*curve, BANDS, ALL),
    "power_multiband_ragged": lambda *curve: power_multiband_ragged(*curve, BANDS, ALL, GRID),
    "sine_candidates": lambda *curve: sine_candidates(*curve, BANDS, ALL),
    "box_power": lambda *curve: box_power(*curve, RULE),
    "find_box": lambda *curve: find_box(*curve, RULE),
    "measure_box": lambda *curve: measure_box(*curve, PERIOD, 59_000.0, 0.1),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("column", "number"), [(0, np.nan), (0, np.inf), (1, np.nan), (2, np.nan), (2, 0.0), (2, -1.0)]
)
def test_every_door_refuses_what_is_no_measurement(star, door, column, number):
    curve = [c.copy() for c in star]
    curve[column][7] = number
    with pytest.raises(DataError, match=f"{door} needs finite times and values and positive"):
        DOORS[door](*curve)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_times_that_fall(star, door):
    time, value, error = star
    with pytest.raises(DataError, match=f"{door} needs points sorted by time: curve 0"):
        DOORS[door](time[::-1].copy(), value, error)


def test_a_search_without_a_grid_is_refused(star):
    time, value, error = star
    with pytest.raises(DataError, match="search needs a grid of at most"):
        search(time * 1e6, value, error, ALL)
    with pytest.raises(DataError, match="search needs points at different times"):
        search(np.full(60, 59_000.0), value, error, ALL)


@pytest.mark.parametrize("number", [0.0, -0.02])
def test_an_error_that_is_not_positive_is_refused_with_its_curve(star, number):
    time, value, error = (np.tile(c, 3) for c in star)
    error[130] = number

    with pytest.raises(DataError, match=r"positive errors.* curve 2"):
        power_ragged(time, value, error, np.array([0, 60, 120, 180]), GRID)


@pytest.mark.parametrize("backend", ["auto", "exact"])
def test_times_must_rise_within_a_curve(star, backend):
    time, value, error = star
    with pytest.raises(DataError, match="power needs points sorted by time: curve 0"):
        power(time[::-1].copy(), value, error, GRID, backend=backend)
    with pytest.raises(DataError, match="power needs points at different times"):
        power(np.full(60, 59_000.0), value, error, GRID, backend=backend)
    with pytest.raises(DataError, match="two points per curve, got 1"):
        power(time[:1], value[:1], error[:1], GRID, backend=backend)
    with pytest.raises(DataError, match="one value and one error per time"):
        power(time, value[:-1], error, GRID, backend=backend)


@pytest.mark.parametrize("backend", ["auto", "fft", "product", "exact"])
def test_power_does_not_know_the_unit(star, backend):
    """Truth: the share of variance has no unit; a power of two changes no bit, even at 2^900."""
    time, value, error = star
    level = value - 15
    plain = power(time, level, error, GRID, backend=backend)
    for exponent in (-900, -300, 300, 900):
        scaled = power(time, np.ldexp(level, exponent), error, GRID, backend=backend)
        np.testing.assert_array_equal(scaled, plain)


@pytest.mark.parametrize("backend", ["auto", "fft", "product", "exact"])
@pytest.mark.parametrize("smallest", [1e-6, 1e-8, 1e-12])
def test_one_point_with_all_the_weight_leaves_the_others_their_say(star, backend, smallest):
    """Brute force: as one error goes to zero, the sine passes through its point."""
    time, value, error = star
    error = np.full(60, 1.0)
    error[7] = smallest

    ours = power(time, value, error, GRID, backend=backend)

    rest = np.delete(value - value[7], 7)
    truth = []
    for cycles in GRID.frequencies[:, None] * (time - time[7]):
        sines = np.column_stack([np.cos(2 * np.pi * cycles) - 1, np.sin(2 * np.pi * cycles)])
        sines = np.delete(sines, 7, axis=0)
        left = rest - sines @ np.linalg.lstsq(sines, rest, rcond=None)[0]
        truth.append(1 - (left @ left) / (rest @ rest))
    assert np.abs(ours - truth).max() < 1e-3
    assert np.argmax(ours) == np.argmax(truth)


def test_chi_square_of_tiny_and_huge_errors_is_finite(star):
    """Truth: chi-square goes with the inverse square of the errors."""
    time, value, error = star
    plain = power(time, value, error, GRID, backend="exact", normalization="psd")
    for factor in (1e-140, 1e140):
        scaled = power(time, value, error * factor, GRID, backend="exact", normalization="psd")
        np.testing.assert_allclose(scaled * factor * factor, plain, rtol=1e-9)


def test_an_absurd_grid_is_refused_in_a_readable_message():
    with pytest.raises(DataError, match=r"asks for 1\.2e\+302; flag absurd times") as refusal:
        GridRule().grid(np.array([0.0, 1e300]))
    assert len(str(refusal.value)) < 300


# -- the steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-200, 1e170, 1e300])
def test_a_search_does_not_know_the_unit(star, factor):
    time, value, error = star
    plain = PeriodSearch().transform(batch_of(time, value - 15, error))

    found = PeriodSearch().transform(batch_of(time, (value - 15) * factor, error * factor))

    assert found.objects["period"] == pytest.approx(plain.objects["period"], rel=1e-6)


@pytest.mark.parametrize("step", [MultibandSearch, TemplatePeriod])
@pytest.mark.parametrize("error", [1e200, 1e308])
@pytest.mark.parametrize("points", [1, 60])
def test_errors_that_drown_everything_are_refused(star, step, error, points):
    time, value, _ = star
    errors = np.full(60, 0.02)
    errors[:points] = error

    with pytest.raises(DataError, match=r"needs errors below 1e100 times .*'odd'"):
        step().transform(batch_of(time, value, errors))
    rejected = step(on_bad="reject").transform(batch_of(time, value, errors)).rejected
    assert list(rejected.id) == ["odd"]


@pytest.mark.parametrize("absurd", [-2_409_998.5, 1e300])
def test_verification_refuses_absurd_times(star, absurd):
    time, value, error = (c.copy() for c in star)
    time[0] = absurd

    with pytest.raises(DataError, match=r"at most 100,000 days, spans .*FlagBad.*'odd'"):
        VerifyPeriod().transform(batch_of(time, value, error))
    rejected = VerifyPeriod(on_bad="reject").transform(batch_of(time, value, error)).rejected
    assert list(rejected.id) == ["odd"]


def test_verification_refuses_periods_that_the_times_do_not_resolve(star):
    """Truth: float64 days of MJD 59,000 are 7e-12 days apart, so no phase is left at 1e-12."""
    for period in (1e-12, 1e-9):
        with pytest.raises(DataError, match="a period that the times resolve"):
            VerifyPeriod().transform(batch_of(*star, period=period))

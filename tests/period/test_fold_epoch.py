"""Phases stay in the circle, bins hold what they say, phase zero is where it was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.period import FoldPhase, fold, fold_ragged
from astroprep.period.binned import fold_binned
from astroprep.period.fold import fold_sorted

FINITE = st.floats(-1e300, 1e300, allow_nan=False)


@settings(deadline=None, max_examples=300)
@given(
    time=FINITE, period=st.floats(5e-324, 1e300), epoch=FINITE, cycles=st.integers(-(2**53), 2**53)
)
def test_phase_stays_in_the_circle_for_any_doubles(time, period, epoch, cycles):
    """Also around whole cycles, where rounding is worst, and where the cycles overflow."""
    with np.errstate(over="ignore"):
        whole = np.clip(epoch + np.float64(cycles) * period, -1e300, 1e300)
    times = np.array(
        [time, epoch, whole, np.nextafter(whole, -np.inf), np.nextafter(whole, np.inf)]
    )
    phase = fold(times, period, epoch)

    assert ((phase >= 0) & (phase < 1)).all()
    assert phase[1] == 0.0
    np.testing.assert_array_equal(
        phase, fold_ragged(times, np.array([0, 5]), np.array([period]), np.array([epoch]))
    )


@pytest.mark.parametrize("period", [1.0, 0.1, np.pi, 1e-12, 1e12])
def test_just_before_a_whole_cycle_is_late_or_zero(period):
    """The largest double under a multiple of the period must not become 1."""
    phase = fold([np.nextafter(k * period, -np.inf) for k in (0, 1, 2, 1000)], period)

    assert ((phase >= 0) & (phase < 1)).all()
    assert (np.minimum(phase, 1 - phase) < 1e-12).all()


def test_times_that_are_no_numbers_have_no_phase():
    phase = fold([1.25, np.nan, np.inf, -np.inf], 1.0)

    assert phase[0] == 0.25
    assert np.isnan(phase[1:]).all()
    with pytest.raises(DataError, match="finite epoch"):
        fold([1.0], 1.0, np.nan)


def test_sorted_points_are_the_points_by_phase(rng):
    time, value, error = rng.uniform(0, 9, 40), rng.normal(size=40), rng.uniform(1, 2, 40)
    time[7] = np.nan

    got = fold_sorted(time, value, error, 0.7, 0.1)

    assert (np.diff(got.phase) >= 0).all()
    assert sorted(got.index) == [i for i in range(40) if i != 7]
    np.testing.assert_array_equal(got.value, value[got.index])
    np.testing.assert_array_equal(got.error, error[got.index])
    np.testing.assert_array_equal(got.phase, fold(time, 0.7, 0.1)[got.index])
    with pytest.raises(DataError, match="one value and one error per time"):
        fold_sorted(time, value[1:], error, 0.7)


def test_bins_are_those_of_a_loop(rng):
    sizes = np.array([60, 0, 3, 200])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    n = offsets[-1]
    time, value, error = rng.uniform(0, 50, n), rng.normal(14, 1, n), rng.uniform(0.01, 1, n)
    period, epoch = np.array([0.7, 1.0, 5.0, 3.3]), np.array([0.1, 0.0, 4.0, -100.0])

    got = fold_binned(time, value, error, offsets, period, epoch, 16)

    for i in range(4):
        part = slice(offsets[i], offsets[i + 1])
        cell = (fold(time[part], period[i], epoch[i]) * 16).astype(int)
        for k in range(16):
            x, w = value[part][cell == k], error[part][cell == k] ** -2
            assert got.count[i, k] == x.size
            assert got.is_filled[i, k] == (x.size > 0)
            found = [got.mean[i, k], got.error[i, k], got.scatter[i, k]]
            if x.size == 0:
                assert np.isnan(found).all()
                continue
            mean = np.average(x, weights=w)
            scatter = np.sqrt(np.average((x - mean) ** 2, weights=w))
            np.testing.assert_allclose(
                found, [mean, w.sum() ** -0.5, scatter], rtol=1e-9, atol=1e-12
            )
    assert got.phase[0] == 1 / 32


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_bins_bear_any_unit(rng, size):
    time, value = rng.uniform(0, 50, 300), rng.normal(14, 1, 300)
    arrays = np.array([0, 300]), np.array([0.7]), np.array([0.0])

    plain = fold_binned(time, value, np.ones(300), *arrays, 8)
    scaled = fold_binned(time, value * size, np.full(300, size), *arrays, 8)

    np.testing.assert_allclose(scaled.mean / size, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(scaled.error / size, plain.error, rtol=1e-12)
    np.testing.assert_array_equal(plain.count, scaled.count)


def test_bins_refuse_what_they_cannot_weigh():
    three = np.arange(3.0)
    good = {"time": three, "value": three, "error": three + 1, "offsets": np.array([0, 3])}
    good |= {"period": np.array([1.0]), "epoch": np.array([0.0])}
    with pytest.raises(DataError, match="1 of 3 points are not, point 1 first"):
        fold_binned(**good | {"error": np.array([1.0, 0.0, 1.0])})
    with pytest.raises(DataError, match="1 of 3 points"):
        fold_binned(**good | {"time": np.array([1.0, np.nan, 1.0])})
    with pytest.raises(DataError, match=r"curve 0 has .*-1"):
        fold_binned(**good | {"period": np.array([-1.0])})
    with pytest.raises(ConfigError, match="n_bins"):
        fold_binned(**good, n_bins=0)


def batch_of(*curves, period, quantity="mag", **objects):
    return LightCurveBatch.from_curves(
        curves,
        objects={"period": np.full(len(curves), period), **objects},
        meta=Meta(quantity=quantity),
    )


def circle(phase):
    return abs(phase - np.rint(phase))


@pytest.mark.parametrize("n", [40, 200, 5000])
@pytest.mark.parametrize("quantity", ["mag", "flux"])
@pytest.mark.parametrize("epoch", ["brightest", "faintest"])
def test_a_sine_starts_at_its_extreme(rng, n, quantity, epoch):
    """The phase of an extreme of a sine is known to about noise / amplitude / sqrt(n)."""
    time = 55000 + np.sort(rng.uniform(0, 400, n))
    value = np.cos(2 * np.pi * (time - 55000.2) / 0.61) + rng.normal(0, 0.05, n)
    largest = (epoch == "brightest") == (quantity == "flux")

    result = FoldPhase(epoch).transform(
        batch_of((time, value, np.full(n, 0.05)), period=0.61, quantity=quantity)
    )

    found = result.objects["epoch"][0]
    assert time[0] <= found <= time[0] + 0.61
    assert circle((found - 55000.2) / 0.61 - (0.0 if largest else 0.5)) < {40: 0.06}.get(n, 0.03)
    np.testing.assert_array_equal(result.points["phase"], fold(time, 0.61, found))


@pytest.mark.parametrize(("n", "width"), [(3000, 0.02), (3000, 0.1), (120, 0.2)])
def test_an_eclipse_starts_at_its_middle(rng, n, width):
    time = np.sort(rng.uniform(0, 27, n))
    away = circle((time - 1.0) / 2.7)
    flux = 1 - 0.05 * np.clip(1 - away / (width / 2), 0, 1) + rng.normal(0, 1e-3, n)

    found = FoldPhase("faintest").transform(
        batch_of((time, flux, np.full(n, 1e-3)), period=2.7, quantity="flux")
    ).objects["epoch"][0]  # fmt: skip

    assert circle((found - 1.0) / 2.7) < 0.15 * width


def test_a_wild_point_with_an_honest_error_does_not_set_the_epoch(rng):
    time = np.sort(rng.uniform(0, 100, 200))
    value = np.cos(2 * np.pi * time / 1.3)
    error = np.full(200, 0.05)
    value[50], error[50] = -30.0, 30.0

    found = FoldPhase("brightest").transform(batch_of((time, value, error), period=1.3))

    assert circle(found.objects["epoch"][0] / 1.3 - 0.5) < 0.03


def test_extremes_do_not_know_where_the_clock_started(rng):
    time = np.sort(rng.uniform(0, 100, 300))
    curve = np.cos(2 * np.pi * time / 1.3) + 0.3 * np.cos(4 * np.pi * time / 1.3 + 1)
    error = np.full(300, 0.05)

    early = FoldPhase("faintest").transform(batch_of((time, curve, error), period=1.3))
    late = FoldPhase("faintest").transform(batch_of((time + 1000, curve, error), period=1.3))

    assert late.objects["epoch"][0] - 1000 == pytest.approx(early.objects["epoch"][0], abs=1e-6)


def test_what_the_epoch_is_for_curves_that_hardly_are_curves(rng):
    """One point and a constant: the first point. No errors: equal weights. A column: replaced."""
    time = np.sort(rng.uniform(0, 50, 60))
    wave = np.cos(2 * np.pi * time / 1.3)
    none = np.full(60, np.nan)
    batch = batch_of(
        ([3.0], [1.0], [0.1]),
        (time, np.ones(60), np.full(60, 0.1)),
        (time, wave, none),
        ([5.0] * 4, [1.0, 2.0, 3.0, 4.0], [0.1] * 4),
        period=1.3,
        epoch=np.full(4, 0.77),
    )

    result = FoldPhase("faintest").transform(batch)

    assert result.objects["epoch"][[0, 1]].tolist() == [3.0, time[0]]
    assert circle(result.objects["epoch"][2] / 1.3) < 0.06
    assert np.isfinite(result.objects["epoch"]).all()
    assert FoldPhase().transform(batch).objects["epoch"].tolist() == [0.77] * 4


def test_bands_are_not_mixed_and_settings_are_checked():
    batch = batch_of(([1.0, 2.0], [1.0, 2.0], [0.1, 0.1]), period=1.3)
    two = LightCurveBatch(
        time=batch.time, value=batch.value, error=batch.error, offsets=batch.offsets,
        band=np.array([0, 1]), objects=dict(batch.objects), meta=Meta(bands=("g", "r")),
    )  # fmt: skip

    with pytest.raises(DataError, match=r"FoldPhase needs a single band"):
        FoldPhase("brightest").transform(two)
    FoldPhase().transform(two)
    with pytest.raises(ConfigError, match="'first', 'brightest' or 'faintest', got 'bright'"):
        FoldPhase("bright").fit(batch)

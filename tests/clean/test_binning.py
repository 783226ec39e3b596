"""Bins in time hold what brute force says, never cross a gap, and their errors are honest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binned_statistic

from astroprep.clean import Bin, BinDown
from astroprep.clean.bins import bin_statistics, bin_to_boundary, cut_bins
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError


def batch_of(*curves, flags=None, weight=None, band=None, bands=(), points=None):
    plain = LightCurveBatch.from_curves(curves, ids=[f"s{i}" for i in range(len(curves))])
    return LightCurveBatch(
        time=plain.time,
        value=plain.value,
        error=plain.error,
        offsets=plain.offsets,
        flags=flags,
        weight=weight,
        band=band,
        points=points or {},
        objects=plain.objects,
        meta=Meta(bands=bands),
    )


def noisy(rng, n=400, span=40.0, scatter=1.0):
    time = np.sort(rng.uniform(0, span, n))
    error = rng.uniform(0.05, 0.2, n)
    return time, 10 + scatter * rng.normal(0, error), error


def test_means_and_medians_are_those_of_scipy(rng):
    """Oracle: `binned_statistic` on the same aligned edges, with and without weights."""
    time, value, error = noisy(rng)
    edges = np.arange(0, 40.1, 0.5)
    place = np.digitize(time, edges)
    down = BinDown(size=0.5).transform(batch_of((time, value, error)))
    sums = [binned_statistic(time, x, "sum", edges)[0] for x in (value / error**2, 1 / error**2)]
    full = sums[1] > 0
    np.testing.assert_allclose(down.value, (sums[0][full] / sums[1][full]), rtol=1e-12)
    np.testing.assert_allclose(down.error, sums[1][full] ** -0.5, rtol=1e-12)
    np.testing.assert_array_equal(down.points["n_binned"], np.bincount(place)[1:][full])
    median = BinDown(method="median", size=0.5).transform(batch_of((time, value, error)))
    np.testing.assert_array_equal(
        median.value, binned_statistic(time, value, "median", edges)[0][full]
    )
    inside = Bin(size=0.5).transform(batch_of((time, value, error)))
    expected = np.full(edges.size, np.nan)
    expected[np.unique(place)] = down.value
    np.testing.assert_array_equal(inside.value, expected[place])


def test_bins_of_all_curves_share_their_edges(rng):
    a, b = noisy(rng), noisy(rng)
    down = BinDown(size=1.0, origin=0.3).transform(batch_of(a, b))
    for i in range(2):
        part = slice(*down.offsets[i : i + 2])
        assert np.unique(np.floor(down.time[part] - 0.3)).size == part.stop - part.start


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_time_carries_the_mean_value(seed):
    """A straight line stays on itself however the weights fall."""
    rng = np.random.default_rng(seed)
    time, _, error = noisy(rng)
    down = BinDown(size=3.0).transform(batch_of((time, 2.0 + 3.0 * time, error)))
    np.testing.assert_allclose(down.value, 2.0 + 3.0 * down.time, rtol=1e-12)


@pytest.mark.parametrize("bins", ["width", "count"])
@pytest.mark.parametrize("gap", [None, 0.5])
def test_no_bin_crosses_a_gap(rng, bins, gap):
    time = np.concatenate([np.arange(7) * 0.01, 1.0 + np.arange(5) * 0.01])
    value = np.where(time < 0.5, 1.0, 9.0)
    step = Bin(bins=bins, size=4 if bins == "count" else 3.0, gap=gap)
    result = step.transform(batch_of((time, value, np.full(12, 0.1))))
    if bins == "width" and gap is None:  # a bin three days wide was asked for
        assert np.ptp(result.value) == 0
    else:
        np.testing.assert_allclose(result.value, value, rtol=1e-15)


def test_equal_frequency_bins_hold_equally_many_points(rng):
    time = np.arange(103) * 0.02
    down = BinDown(bins="count", size=10).transform(
        batch_of((time, rng.normal(0, 1, 103), np.ones(103)))
    )
    np.testing.assert_array_equal(down.points["n_binned"], [10] * 10 + [3])


def test_the_textbook_example_of_boundaries():
    """Han & Kamber: prices 4 8 15 | 21 21 24 | 25 28 34 become 4 4 15 | 21 21 24 | 25 25 34."""
    price = np.array([4.0, 8, 15, 21, 21, 24, 25, 28, 34])
    result = Bin(method="boundary", bins="count", size=3).transform(
        batch_of((np.arange(9.0), price, np.arange(1.0, 10)))
    )
    np.testing.assert_array_equal(result.value, [4, 4, 15, 21, 21, 24, 25, 25, 34])
    np.testing.assert_array_equal(result.error[[1, 7]], [1.0, 7.0])


def test_boundaries_by_brute_force(rng):
    value, bins = rng.normal(0, 1, 60), np.array([0, 1, 7, 30, 31, 60])
    where = bin_to_boundary(value, bins)
    for a, b in itertools.pairwise(bins):
        ends = np.array([value[a:b].min(), value[a:b].max()])
        nearest = ends[np.abs(value[a:b][:, None] - ends).argmin(axis=1)]
        np.testing.assert_array_equal(value[where[a:b]], nearest)


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 21])
def test_propagated_errors_are_the_scatter_of_bins(method, n):
    """20,000 bins of Gaussian noise scatter as the errors say, to the 2 % that they can tell."""
    rng = np.random.default_rng(n)
    time = np.arange(20_000 * n) / n
    value = rng.normal(0, 0.3, time.size)
    down = BinDown(method=method, bins="count", size=n, gap=1.0).transform(
        batch_of((time, value, np.full(time.size, 0.3)))
    )
    assert np.std(down.value / down.error) == pytest.approx(1.0, abs=0.02)


def test_chi_squared_tells_of_errors_that_are_too_small(rng):
    time, value, error = noisy(rng, n=4000, span=100.0)
    given = batch_of((time, value, error), (time, value, error / 2))
    result = BinDown(size=1.0).transform(given)
    np.testing.assert_allclose(result.objects["bin_chi2"], [1.0, 4.0], rtol=0.1)
    larger = BinDown(size=1.0, errors="larger").transform(given)
    for i, factor in enumerate(np.sqrt(np.maximum(result.objects["bin_chi2"], 1.0))):
        part = slice(*result.offsets[i : i + 2])
        np.testing.assert_allclose(larger.error[part], result.error[part] * factor)


def test_missing_errors_make_all_points_alike(rng):
    time, value = np.arange(40) * 0.01, rng.normal(5, 1, 40)
    error = np.full(40, 0.2)
    error[3] = np.nan
    down = BinDown(bins="count", size=20).transform(batch_of((time, value, error)))
    assert down.value[0] == pytest.approx(value[:20].mean(), rel=1e-14)
    assert down.error[0] == pytest.approx(value[:20].std(ddof=1) / np.sqrt(20))
    assert down.error[1] == pytest.approx(0.2 / np.sqrt(20))
    alone = BinDown().transform(batch_of(([0.0], [1.0], [np.nan])))
    assert np.isnan(alone.error[0])
    assert np.isnan(alone.objects["bin_chi2"][0])


def test_weights_count_as_larger_errors(rng):
    time, value, error = noisy(rng, n=100)
    weight = rng.uniform(0.1, 1, 100)
    weighted = BinDown(size=2.0).transform(batch_of((time, value, error), weight=weight))
    plain = BinDown(size=2.0).transform(batch_of((time, value, error / np.sqrt(weight))))
    np.testing.assert_allclose(weighted.value, plain.value, rtol=1e-13)
    np.testing.assert_allclose(weighted.error, plain.error)
    assert (weighted.weight == 1).all()
    inside = Bin(size=2.0).transform(batch_of((time, value, error), weight=weight))
    again = inside.usable.error[np.unique(np.floor(time / 2), return_index=True)[1]]
    np.testing.assert_allclose(again, plain.error)


def test_flagged_points_stay_in_place_and_are_counted_when_dropped(rng):
    time, value, error = noisy(rng, n=50, span=1.0)
    value[7], value[9] = 1e6, np.nan
    flags = np.zeros(50, np.uint32)
    flags[7] = PointFlag.OUTLIER
    given = batch_of((time, value, error), flags=flags)
    inside = Bin(size=1.0).transform(given)
    assert inside.value[7] == 1e6
    assert np.isnan(inside.value[9])
    assert np.ptp(np.delete(inside.value, [7, 9])) == 0
    down = BinDown(size=1.0).transform(given)
    assert down.n_points == 1
    assert down.points["n_binned"][0] == 48
    assert down.objects["n_points_before"][0] == 50
    assert down.objects["n_dropped"][0] == 2


def test_events_keep_their_own_values(rng):
    """A flare inside a bin is neither averaged away nor does it raise the bin."""
    time = np.arange(20) * 0.01
    value, flags = np.full(20, 10.0), np.zeros(20, np.uint32)
    value[8:10], flags[8:10] = 50.0, PointFlag.EVENT
    given = batch_of((time, value, np.full(20, 0.1)), flags=flags)
    np.testing.assert_array_equal(Bin(size=1.0).transform(given).value, value)
    down = BinDown(size=1.0).transform(given)
    np.testing.assert_array_equal(down.value, [10, 50, 50, 10])
    np.testing.assert_array_equal(down.points["n_binned"], [8, 1, 1, 10])
    np.testing.assert_array_equal(down.flags > 0, [False, True, True, False])


def test_bands_are_not_mixed(rng):
    time = np.repeat(np.arange(30) * 0.01, 2)
    band = np.tile([1, 0], 30).astype(np.int16)
    value = np.where(band == 1, 14.0, 16.0)
    given = batch_of((time, value, np.full(60, 0.1)), band=band, bands=("g", "r"))
    np.testing.assert_array_equal(Bin(size=1.0).transform(given).value, value)
    down = BinDown(size=1.0).transform(given)
    np.testing.assert_array_equal(down.band, [0, 1])
    np.testing.assert_array_equal(down.value, [16.0, 14.0])


def test_other_columns_follow(rng):
    points = {
        "cadence": np.arange(100, 110),
        "background": np.arange(10.0),
        "xy": np.arange(20.0, dtype=np.float32).reshape(10, 2),
    }
    time = np.arange(10) * 0.01
    given = batch_of((time, np.ones(10), np.ones(10)), points=points)
    down = BinDown(bins="count", size=5).transform(given)
    np.testing.assert_array_equal(down.points["cadence"], [100, 105])
    np.testing.assert_array_equal(down.points["background"], [2.0, 7.0])
    np.testing.assert_array_equal(down.points["xy"], [[4, 5], [14, 15]])
    assert down.points["xy"].dtype == np.float32


def test_odd_curves():
    """Empty, one point, all NaN, repeated times, a window longer than the curve."""
    curves = [
        ([], [], []),
        ([3.0], [5.0], [0.1]),
        ([1.0, 2.0], [np.nan, np.nan], [0.1, 0.1]),
        ([4.0] * 5, [1.0, 2, 3, 4, 5], [1.0] * 5),
        (np.arange(5.0), -np.arange(5.0), [0.0] * 5),
    ]
    for step in (Bin(size=1e4), Bin(bins="count", size=1000), Bin(method="boundary")):
        result = step.transform(batch_of(*curves))
        assert result.n_points == 13
        np.testing.assert_array_equal(result.objects["n_bins"][:3], [0, 1, 0])
    down = BinDown(size=1e4).transform(batch_of(*curves))
    np.testing.assert_array_equal(np.diff(down.offsets), [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(down.value, [5.0, 3.0, -2.0])
    assert down.error[2] == pytest.approx(np.sqrt(2.5 / 5))
    nothing = BinDown().transform(batch_of(*curves)[:0])
    assert nothing.n_points == 0


def test_kernels_agree_with_loops(rng):
    time, value, error = noisy(rng, n=90)
    offsets = np.array([0, 40, 40, 90])
    time[40:] = np.sort(time[40:])
    bins = cut_bins(time, offsets, 2.5, 0.7, 0, 1.0)
    expected = [
        j
        for a, b in itertools.pairwise(offsets)
        for j in range(a, b)
        if j == a
        or time[j] - time[j - 1] > 1.0
        or (time[j] - 0.7) // 2.5 != (time[j - 1] - 0.7) // 2.5
    ]
    np.testing.assert_array_equal(bins, [*expected, 90])
    chi2 = bin_statistics(time, value, error, bins, False)[3]
    for b in range(bins.size - 1):
        part = slice(bins[b], bins[b + 1])
        mean = np.average(value[part], weights=error[part] ** -2)
        assert chi2[b] == pytest.approx(np.sum(((value[part] - mean) / error[part]) ** 2), abs=1e-9)


def test_wrong_settings_are_all_named():
    with pytest.raises(ConfigError, match=r"bins must .*; size must be positive.*; method must"):
        Bin(method="mode", bins="night", size=0).check()
    with pytest.raises(ConfigError, match="whole number of points"):
        Bin(bins="count", size=2.5).check()
    with pytest.raises(ConfigError, match="Bin offers 'boundary'"):
        BinDown(method="boundary").check()
    with pytest.raises(ConfigError, match=r"origin .*; gap .*; errors"):
        BinDown(origin=np.nan, gap=-1, errors="scatter").check()

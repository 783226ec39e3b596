"""Moving means, medians and biweights against brute force, repetition, wotan and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.detrend.average import AVERAGES, moving_average
from astroprep.detrend.weighted import weighted_of, weighted_run

NONE = np.empty(0)


def run(time, value, average, window, *, query=None, weight=NONE, gap=np.inf, edge=0.0, least=1):
    query = time if query is None else query
    one = np.array([0, time.size])
    return moving_average(
        query,
        np.array([0, query.size]),
        time,
        value,
        weight,
        one,
        AVERAGES[average],
        window,
        gap,
        edge,
        least,
        5.0,
        True,
    )


def plain_biweight(x):
    """Reweighting from the median, step by step, to far below the tolerance of the kernel."""
    center = np.median(x)
    cut = 5 * np.median(np.abs(x - center))
    if cut == 0:
        return center
    for _ in range(2000):
        u = (x - center) / cut
        w = np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0)
        step = np.sum(w * (x - center)) / np.sum(w)
        center += step
        if abs(step) < 1e-13 * cut:
            break
    return center


PLAIN = {"mean": np.mean, "median": np.median, "biweight": plain_biweight}


def brute_force(query, time, value, average, window, gap, edge, least):
    piece = np.cumsum(np.diff(query, prepend=query[:1]) > gap)
    of_point = piece[np.searchsorted(query, time)]
    trend = np.empty(query.size)
    for i, t in enumerate(query):
        mine = of_point == piece[i]
        run_of = query[piece == piece[i]]
        inside = mine & (time >= t - window / 2) & (time < t + window / 2)
        if mine.sum() < least:
            trend[i] = np.median(value)
        elif inside.sum() < least:
            distance = np.abs(time - t)
            inside = mine & (distance <= np.sort(distance[mine])[least - 1])
            trend[i] = PLAIN[average](value[inside])
        else:
            trend[i] = PLAIN[average](value[inside])
        if edge > 0 and (t < run_of[0] + edge or t > run_of[-1] - edge):
            trend[i] = np.nan
    return trend


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("window", [0.1, 1.0, 7.0, np.inf])
@pytest.mark.parametrize(("gap", "least", "edge"), [(np.inf, 1, 0), (0.5, 3, 0.05), (3.0, 8, 0)])
def test_against_brute_force(rng, average, window, gap, least, edge):
    """Irregular and repeated times, outliers, steps, points that are asked for but do not lead."""
    for n in (1, 2, 3, 40, 41, 300):
        query = np.sort(rng.uniform(0, 50, n))
        query[n // 2 : n // 2 + 3] = query[n // 2]
        value = rng.normal(0, 1, n) + 20 * (query > 30)
        value[rng.random(n) < 0.1] += 40
        leads = rng.random(n) < 0.8
        leads[n // 2] = True
        time, value = query[leads], value[leads]
        found, error = run(
            time, value, average, window, query=query, gap=gap, edge=edge, least=least
        )
        expected = brute_force(query, time, value, average, window, gap, edge, least)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        assert np.all((error >= 0) | np.isnan(error))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e5, 1e30])
def test_sliding_sums_are_as_good_as_fresh_ones(rng, scale):
    """After flares of 1e6 sigma, steps and quiet stretches the window is as if it were new."""
    n = 3000
    time = np.arange(n) / 48
    value = rng.normal(0, 1, n) * np.where((time > 20) & (time < 30), 1e-3, 1.0)
    value += 3 * np.sin(time) + 100 * (time > 40)
    value[rng.random(n) < 0.01] += 1e6
    for average, kind in AVERAGES.items():
        found, _ = run(time, scale * value, average, 0.75)
        low, high = np.searchsorted(time, time - 0.375), np.searchsorted(time, time + 0.375)
        for i in range(0, n, 37):
            x = value[low[i] : high[i]]
            close = 1e-5 * np.median(np.abs(x - np.median(x))) + (1e-9 if kind == 0 else 0)
            assert found[i] / scale == pytest.approx(PLAIN[average](x), abs=close, rel=1e-13)


def test_windows_without_spread_have_their_median():
    time = np.arange(60) * 0.1
    value = np.full(60, 7.0)
    value[::7] = 9.0
    for average in ("median", "biweight"):
        found, error = run(time, value, average, 2.0)
        np.testing.assert_array_equal(found, 7.0)
        assert np.all(error > 0)  # the others are there all the same
    found, error = run(time, np.full(60, 7.0), "biweight", 2.0)
    np.testing.assert_array_equal(found, 7.0)
    np.testing.assert_array_equal(error, 0.0)


def test_empty_and_lone():
    assert run(NONE, NONE, "biweight", 1.0)[0].size == 0
    found, error = run(np.array([3.0]), np.array([5.0]), "biweight", 1.0)
    assert found[0] == 5.0
    assert np.isnan(error[0])
    assert np.isnan(run(NONE, NONE, "mean", 1.0, query=np.array([1.0]))[0]).all()


@pytest.mark.parametrize("average", AVERAGES)
def test_time_shift_and_gain(rng, average):
    time = np.sort(rng.uniform(0, 20, 500))
    value = np.sin(time) + rng.normal(0, 0.1, 500)
    plain = run(time, value, average, 2.0)
    moved = run(time + 64, 4 * value + 8, average, 2.0)
    np.testing.assert_allclose(moved[0], 4 * plain[0] + 8, rtol=1e-6)
    np.testing.assert_allclose(moved[1], 4 * plain[1], rtol=1e-4)


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("noise", ["normal", "outliers", "student"])
@pytest.mark.parametrize("n", [37, 100])
def test_errors_cover(rng, average, noise, n):
    """Two errors hold the truth in 93 to 97 % of windows of independent points."""
    n_curves = 1500
    value = rng.normal(0, 1, (n_curves, n))
    if noise == "outliers":
        value *= np.where(rng.random(value.shape) < 0.05, 10, 1)
    elif noise == "student":
        value = rng.standard_t(3, value.shape)
    offsets = np.arange(n_curves + 1) * n
    time = np.tile(np.arange(float(n)), n_curves)
    trend, error = moving_average(
        time, offsets, time, value.ravel(), NONE, offsets, AVERAGES[average],
        1e9, np.inf, 0.0, 1, 5.0, True,
    )  # fmt: skip
    sure = np.mean(np.abs(trend[offsets[:-1]]) < 2 * error[offsets[:-1]])
    assert 0.92 < sure < 0.975  # 1.3 % is two sigma of 1,500 windows


@pytest.mark.parametrize(
    ("average", "efficiency"), [("mean", 1.0), ("median", 1.2533), ("biweight", 1.10)]
)
def test_errors_along_a_curve(rng, average, efficiency):
    """Interpolated or not, the errors are those of sigma / sqrt(n), and so is the scatter."""
    n, sigma = 40_000, 0.3
    time = np.arange(n) / 100
    trend, error = run(time, rng.normal(0, sigma, n), average, 1.0)
    truth = efficiency * sigma / np.sqrt(100)
    assert np.median(error) == pytest.approx(truth, rel=0.03)
    assert np.std(trend) == pytest.approx(truth, rel=0.08)


def test_correlated_noise_is_not_in_the_errors(rng):
    """The caveat of the docstring in figures: k equal neighbours make it too small by sqrt(k)."""
    k, n = 4, 40_000
    value = np.repeat(rng.normal(0, 1, n // k), k)
    trend, error = run(np.arange(n) / 100, value, "mean", 2.0)
    assert np.std(trend) / np.median(error) == pytest.approx(np.sqrt(k), rel=0.15)


# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("least", [1, 9])
def test_equal_weights_are_none(rng, average, least):
    time = np.sort(rng.uniform(0, 20, 300))
    value = rng.normal(0, 1, 300) + np.where(rng.random(300) < 0.1, 30, 0)
    trend, error = run(time, value, average, 1.0, least=least)
    found, uncertain = np.empty(300), np.empty(300)
    kind = AVERAGES[average]
    weighted_run(time, time, value, np.full(300, 0.25), 0.5, least, kind, 5.0, found, uncertain)
    np.testing.assert_allclose(found, trend, atol=2e-6)
    full = np.isfinite(error)
    if average == "mean":
        np.testing.assert_allclose(uncertain[full], error[full], rtol=1e-9)
    through_run = run(time, value, average, 1.0, weight=np.full(300, 0.25), least=least)
    np.testing.assert_array_equal(through_run[0], trend)


@pytest.mark.parametrize("average", AVERAGES)
def test_whole_weights_are_repetitions(rng, average):
    """A weight of 3 is the same point three times."""
    for n in (3, 10, 37):
        value, weight = np.sort(rng.normal(0, 1, n)), rng.integers(1, 4, n).astype(float)
        found, _ = weighted_of(value, weight, AVERAGES[average], 5.0)
        expected = PLAIN[average](np.repeat(value, weight.astype(int)))
        assert found == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("average", AVERAGES)
def test_weighted_errors_cover(rng, average):
    """Error bars that differ by a factor of ten: weighing shrinks the error, and it covers."""
    n_curves, n = 1500, 50
    sigma = 10 ** rng.uniform(-0.5, 0.5, (n_curves, n))
    value = sigma * rng.normal(0, 1, sigma.shape)
    offsets = np.arange(n_curves + 1) * n
    time = np.tile(np.arange(float(n)), n_curves)
    weight = (sigma**-2.0).ravel() / sigma.min() ** -2.0

    def scatter_and_cover(weight):
        trend, error = moving_average(
            time, offsets, time, value.ravel(), weight, offsets, AVERAGES[average],
            1e9, np.inf, 0.0, 1, 5.0, True,
        )  # fmt: skip
        center, error = trend[offsets[:-1]], error[offsets[:-1]]
        return np.std(center), np.mean(np.abs(center) < 2 * error)

    weighted, sure = scatter_and_cover(weight)
    equal, _ = scatter_and_cover(NONE)
    assert weighted < (0.95 if average == "median" else 0.8) * equal  # a median has less to gain
    assert 0.9 < sure < (1 if average == "median" else 0.98)  # its error is on the safe side


# -- wotan -----------------------------------------------------------------------------------


def against_wotan(time, value, window, average, mask=None):
    """Largest difference from wotan in units of the noise, same windows and gaps."""
    wotan = pytest.importorskip("wotan")
    _, theirs = wotan.flatten(
        time, value, method=average, window_length=window, break_tolerance=window / 2,
        edge_cutoff=0, return_trend=True, mask=mask,
    )  # fmt: skip
    leads = np.ones(time.size, bool) if mask is None else ~mask
    ours, _ = run(time[leads], value[leads], average, window, query=time, gap=window / 2)
    noise = 1.4826 * np.median(np.abs(np.diff(value))) / np.sqrt(2)
    return np.nanmax(np.abs(ours - theirs)) / noise


@pytest.mark.filterwarnings("ignore:.*received a NaN trend:UserWarning")
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("window", [0.3, 0.75, 3.0])
@pytest.mark.parametrize("cadence", [1 / 48, 2 / 1440, None])
def test_equals_wotan(rng, average, window, cadence):
    """Transits, flares, a gap and masked points.

    At ingress the MAD is many times the noise and reweighting converges slowly, so that wotan's
    last step of 1e-6 MAD leaves some 1e-5 of the noise.
    """
    n = 3000
    time = np.sort(rng.uniform(0, 60, n)) if cadence is None else np.arange(n) * cadence
    time[n // 3 :] += 10
    value = 1 + 0.003 * np.sin(time) + rng.normal(0, 3e-4, n)
    value[(time % 4.3) < 0.15] -= 0.005
    value[rng.random(n) < 0.005] += 0.02
    assert against_wotan(time, value, window, average) < 1e-4
    if cadence is not None:  # elsewhere a window may hold masked points only, NaN in wotan
        assert against_wotan(time, value, window, average, (time % 4.3) < 0.15) < 1e-4


@pytest.mark.parametrize("window", [0.75, 2.0])
@pytest.mark.parametrize("mission", ["kepler", "k2", "tess"])
def test_equals_wotan_on_real_curves(data_dir, mission, window):
    """Every star of the archive, raw and corrected flux, good points."""
    fits = pytest.importorskip("astropy.io.fits")
    files = sorted((data_dir / "space" / mission).glob("*lc.fits"))
    assert files
    for path in files:
        with fits.open(path) as file:
            table = file[1].data
            good = table["SAP_QUALITY" if mission != "tess" else "QUALITY"] == 0
            for name in ("SAP_FLUX", "PDCSAP_FLUX"):
                time, flux = (np.asarray(table[c], np.float64) for c in ("TIME", name))
                ok = good & np.isfinite(time) & np.isfinite(flux)
                if ok.sum() > 100:
                    flux = flux[ok] / np.median(flux[ok])
                    for average in AVERAGES:
                        assert against_wotan(time[ok], flux, window, average) < 2e-5, path.name

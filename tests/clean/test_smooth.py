"""Local polynomials and splines are the textbook ones, and their variance is the true one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter

from astroprep.clean import Smooth
from astroprep.clean.local_polynomial import local_polynomial
from astroprep.clean.spline import smoothing_spline
from astroprep.clean.spline_curve import BY_CUTOFF, BY_DOF, BY_GCV
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError

NO_GAP = np.inf


def batch_of(*curves, flags=None, weight=None, band=None, bands=()):
    plain = LightCurveBatch.from_curves(curves, ids=[f"s{i}" for i in range(len(curves))])
    return LightCurveBatch(
        time=plain.time,
        value=plain.value,
        error=plain.error,
        offsets=plain.offsets,
        flags=flags,
        weight=weight,
        band=band,
        objects=plain.objects,
        meta=Meta(bands=bands),
    )


def noisy(rng, n=300, span=30.0):
    time = np.sort(rng.uniform(0, span, n))
    error = rng.uniform(0.05, 0.2, n)
    return time, np.sin(2 * np.pi * time / 7) + rng.normal(0, error), error


def whole(*arrays):
    return *arrays, np.array([0, arrays[0].size])


def by_loop(time, value, weight, window, degree, tricube):
    """Least squares at every point: fit, variance, leverage."""
    rows = []
    for i in range(time.size):
        u = (time - time[i]) / (window / 2)
        near = np.abs(time - time[i]) <= window / 2
        kernel = (1 - np.abs(u[near]) ** 3) ** 3 if tricube else np.ones(near.sum())
        design = np.vander(u[near], min(degree, max(near.sum() - 2, 0)) + 1, increasing=True)
        w = kernel * weight[near]
        row = np.linalg.solve(design.T @ (w[:, None] * design), design.T * w)[0]
        rows.append(
            (row @ value[near], np.sum(row**2 / weight[near]), row[np.flatnonzero(near) == i][0])
        )
    return np.array(rows).T


# -- local polynomials -----------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("tricube", [False, True])
def test_each_point_is_a_least_squares_fit(rng, degree, tricube):
    """Brute force, irregular times, unequal errors: fit, variance and leverage."""
    time, value, error = noisy(rng)
    expected = by_loop(time, value, error**-2, 3.0, degree, tricube)
    ours = local_polynomial(*whole(time, value, error**-2), 3.0, NO_GAP, degree, tricube, 0)
    for mine, truth in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_evenly_sampled_it_is_savitzky_and_golay(rng, degree):
    """Oracle: scipy's filter, away from the ends."""
    value = rng.normal(0, 1, 2000).cumsum()
    time = 5000 + np.arange(2000) * 0.02043
    ours = local_polynomial(
        *whole(time, value, np.ones(2000)), 50 * 0.02043 * 1.001, NO_GAP, degree, False, 0
    )[0]
    peer = savgol_filter(value, 51, degree)
    np.testing.assert_allclose(ours[25:-25], peer[25:-25], atol=1e-9)


@pytest.mark.parametrize("kernel", ["uniform", "tricube"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_polynomials_of_its_degree_pass_unchanged(rng, kernel, degree):
    time, _, error = noisy(rng)
    value = np.polynomial.Polynomial(rng.normal(0, 1, degree + 1), [0, 30])(time)
    result = Smooth(window=4.0, degree=degree, kernel=kernel).transform(
        batch_of((time, value, error))
    )
    np.testing.assert_allclose(result.value, value, atol=1e-9)


def test_sliding_sums_stay_exact_over_long_curves_and_wild_errors(rng):
    """50,000 points at large times, errors over six decades: as good as a fit at each point."""
    n = 50_000
    time = 2_457_000.5 + np.sort(rng.uniform(0, 1000, n))
    error = 10.0 ** rng.uniform(-4, 2, n)
    value = 1e4 + np.sin(time) + rng.normal(0, 0.1, n)
    ours = local_polynomial(*whole(time, value, error**-2), 0.9, NO_GAP, 2, False, 0)[0]
    some = rng.integers(100, n - 100, 200)
    for i in some:
        near = np.abs(time - time[i]) <= 0.45
        u = (time[near] - time[i]) / 0.45
        design = np.vander(u, 3, increasing=True) / error[near][:, None]
        truth = np.linalg.lstsq(design, (value[near] - 1e4) / error[near], rcond=None)[0][0]
        assert ours[i] - 1e4 == pytest.approx(truth, abs=1e-6)


def test_windows_do_not_reach_over_gaps(rng):
    time = np.concatenate([np.arange(30) * 0.02, 1.5 + np.arange(30) * 0.02])
    value = np.where(time < 1, 0.0, 5.0)
    given = batch_of((time, value, np.full(60, 0.1)))
    np.testing.assert_allclose(Smooth(window=1.0).transform(given).value, value, atol=1e-12)
    over = Smooth(window=5.0, gap=3.0).transform(given)
    assert np.abs(over.value - value).max() > 0.5


def test_robust_weights_ignore_outliers(rng):
    time, value, error = noisy(rng, n=600)
    truth = np.sin(2 * np.pi * time / 7)
    value[::40] += 5.0
    plain = Smooth(window=2.0).transform(batch_of((time, value, error)))
    robust = Smooth(window=2.0, robust=3).transform(batch_of((time, value, error)))
    assert np.abs(plain.value - truth).max() > 0.4
    assert np.abs(robust.value - truth).max() < 0.15


def test_robust_weights_work_on_sparse_curves(rng):
    """Nights of one or four exposures: lone points, their own fits, do not set the scale."""
    night = np.cumsum(rng.uniform(3, 9, 60))
    time = np.sort(np.concatenate([night, *(night[:20] + k * 0.01 for k in (1, 2, 3))]))
    value, error = rng.normal(15, 0.02, time.size), np.full(time.size, 0.02)
    given = batch_of((time, value, error))
    plain = Smooth(degree=0).transform(given)
    robust = Smooth(degree=0, robust=3).transform(given)
    assert np.abs(robust.value - plain.value).max() < 0.02
    assert robust.objects["smooth_chi2"][0] > 0.5


# -- splines ---------------------------------------------------------------------------------------


def penalty(time, cutoff):
    return time.size / np.ptp(time) * (cutoff / (2 * np.pi)) ** 4


@pytest.mark.parametrize("cutoff", [0.3, 2.0, 20.0])
def test_the_spline_is_that_of_scipy(rng, cutoff):
    """Oracle: `make_smoothing_spline` with the same penalty and weights; hat matrix column-wise."""
    time = np.sort(rng.permutation(600)[:120] * 0.05)
    error = rng.uniform(0.05, 0.2, 120)
    value = rng.normal(0, 1, 120)
    weight = error**-2 / np.mean(error**-2)
    fit, variance, leverage, cut, dof = smoothing_spline(
        *whole(time, value, error**-2), NO_GAP, BY_CUTOFF, cutoff
    )
    lam = penalty(time, cutoff)
    np.testing.assert_allclose(
        fit, make_smoothing_spline(time, value, weight, lam=lam)(time), atol=1e-7
    )
    hat = np.column_stack(
        [make_smoothing_spline(time, e, weight, lam=lam)(time) for e in np.eye(120)]
    )
    np.testing.assert_allclose(leverage, np.diag(hat), atol=1e-7)
    np.testing.assert_allclose(variance, np.diag(hat) * error**2, atol=1e-8)
    assert dof[0] == pytest.approx(np.trace(hat), rel=1e-6)
    assert cut[0] == cutoff


@pytest.mark.parametrize("seed", range(4))
def test_cross_validation_finds_a_better_score_than_scipy(seed):
    """The score by its definition, at our choice and at scipy's."""
    rng = np.random.default_rng(seed)
    time, value, error = noisy(rng, n=150)
    weight = error**-2 / np.mean(error**-2)
    fit, _, leverage, _, _ = smoothing_spline(*whole(time, value, error**-2), NO_GAP, BY_GCV, 0.0)
    peer = make_smoothing_spline(time, value, weight)(time)
    # scipy tells no trace: the change of its own fit with the data, at its penalty, by difference
    ours = 150 * np.sum(weight * (value - fit) ** 2) / (150 - leverage.sum()) ** 2
    scores = []
    for cutoff in np.geomspace(0.2, 60, 200):
        f, _, lev, _, _ = smoothing_spline(
            *whole(time, value, error**-2), NO_GAP, BY_CUTOFF, cutoff
        )
        scores.append(150 * np.sum(weight * (value - f) ** 2) / (150 - lev.sum()) ** 2)
    assert ours <= min(scores) * (1 + 1e-6)
    truth = np.sin(2 * np.pi * time / 7)
    assert np.std(fit - truth) < 1.3 * np.std(peer - truth)


@pytest.mark.parametrize("wanted", [2.5, 10.0, 60.0])
def test_degrees_of_freedom_are_met(rng, wanted):
    time, value, error = noisy(rng)
    result = Smooth(method="spline", dof=wanted).transform(batch_of((time, value, error)))
    assert result.objects["smooth_dof"][0] == pytest.approx(wanted, rel=1e-3)


def test_a_straight_line_passes_and_the_stiffest_spline_is_one(rng):
    time, value, error = noisy(rng)
    result = Smooth(method="spline", window=1e5).transform(batch_of((time, value, error)))
    line = np.polynomial.Polynomial.fit(time, value, 1, w=1 / error)
    np.testing.assert_allclose(result.value, line(time), atol=1e-5)
    assert result.objects["smooth_dof"][0] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-9, 1e-5])
def test_points_however_close_are_like_one(rng, apart):
    """Three points within an instant: the curve is that through their mean, to rounding."""
    time, value, error = noisy(rng, n=50)
    time = np.round(time, 3)
    time += np.arange(50) * 0.01
    thrice = np.ravel(time[:, None] + apart * np.arange(-1, 2))
    close = smoothing_spline(
        *whole(thrice, np.repeat(value, 3), np.repeat(error**-2, 3) / 3), NO_GAP, BY_CUTOFF, 3.0
    )
    one = smoothing_spline(*whole(time, value, error**-2), NO_GAP, BY_CUTOFF, 3.0)
    np.testing.assert_allclose(close[0][1::3], one[0], atol=1e-8 + 10 * apart)
    np.testing.assert_allclose(close[1][1::3], one[1], atol=1e-8 + 10 * apart)


def test_repeated_times_are_one_knot(rng):
    time, value, error = noisy(rng, n=50)
    twice = Smooth(method="spline", window=3.0).transform(
        batch_of((np.repeat(time, 2), np.repeat(value, 2), np.repeat(error * np.sqrt(2), 2)))
    )
    once = smoothing_spline(*whole(time, value, error**-2), NO_GAP, BY_CUTOFF, 3.0)
    np.testing.assert_allclose(twice.value[::2], once[0], atol=1e-9)
    np.testing.assert_allclose(twice.error[::2], np.sqrt(once[1]), atol=1e-9)


def test_pieces_of_a_spline_share_the_penalty_only(rng):
    time, value, error = noisy(rng, n=100)
    apart = np.where(np.arange(100) < 60, time, time + 500)
    pieces = smoothing_spline(*whole(apart, value, error**-2), 100.0, BY_DOF, 30.0)
    moved = smoothing_spline(
        *whole(apart, np.where(apart > 500, value + 9, value), error**-2), 100.0, BY_DOF, 30.0
    )
    np.testing.assert_allclose(moved[0][:60], pieces[0][:60], atol=1e-9)
    np.testing.assert_allclose(moved[0][60:], pieces[0][60:] + 9, atol=1e-9)


# -- the step --------------------------------------------------------------------------------------

SETTINGS = (
    {"window": 2.0},
    {"window": 2.0, "kernel": "tricube", "degree": 1},
    {"method": "spline", "window": 2.0},
)


@pytest.mark.parametrize("settings", SETTINGS[:2])
def test_errors_are_the_scatter_of_the_smooth(settings):
    """2,000 curves of pure noise: their smooths scatter by the quoted error at each point."""
    rng = np.random.default_rng(5)
    time, _, error = noisy(rng, n=60, span=12.0)
    curves = [(time, rng.normal(0, error), error) for _ in range(2000)]
    result = Smooth(**settings).transform(batch_of(*curves))
    scatter = result.value.reshape(2000, 60).std(axis=0)
    np.testing.assert_allclose(scatter, result.error[:60], rtol=0.08)  # sqrt(1/4000) times 5


def test_the_posterior_error_of_a_spline_covers_the_truth():
    """Wahba 1983: averaged along the curve, 95 % intervals hold the truth 95 % of the time."""
    rng = np.random.default_rng(8)
    time, _, error = noisy(rng, n=200)
    truth = np.sin(2 * np.pi * time / 7)
    curves = [(time, truth + rng.normal(0, error), error) for _ in range(100)]
    result = Smooth(method="spline").transform(batch_of(*curves))
    z = (result.value.reshape(100, 200) - truth) / result.error.reshape(100, 200)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("settings", SETTINGS)
def test_chi_squared_is_one_for_noise_that_the_errors_know(settings):
    rng = np.random.default_rng(2)
    curves = []
    for _ in range(20):
        time, _, error = noisy(rng, n=500)
        curves.append((time, rng.normal(15, error), error))
    chi2 = Smooth(**settings).transform(batch_of(*curves)).objects["smooth_chi2"]
    assert chi2.mean() == pytest.approx(1.0, abs=0.05)  # sqrt(2 / 10,000) times 3.5


@pytest.mark.parametrize("settings", SETTINGS)
def test_missing_errors_come_from_the_residuals(settings):
    """All errors equal and unknown: the smooth is the same, its error as if they were known."""
    rng = np.random.default_rng(3)
    time = np.sort(rng.uniform(0, 60, 3000))
    value = np.sin(2 * np.pi * time / 20) + rng.normal(0, 0.1, 3000)
    known = Smooth(**settings).transform(batch_of((time, value, np.full(3000, 0.1))))
    blind = Smooth(**settings).transform(batch_of((time, value, None)))
    np.testing.assert_allclose(blind.value, known.value, atol=1e-10)
    np.testing.assert_allclose(blind.error, known.error, rtol=0.05)
    assert np.isnan(blind.objects["smooth_chi2"][0])


@pytest.mark.parametrize("settings", SETTINGS)
def test_events_and_flagged_points_neither_move_nor_bend_the_curve(rng, settings):
    time, value, error = noisy(rng)
    flags = np.zeros(300, np.uint32)
    flags[100:110], flags[200] = PointFlag.EVENT, PointFlag.OUTLIER
    with_events = value.copy()
    with_events[flags > 0] += 50.0
    result = Smooth(**settings).transform(batch_of((time, with_events, error), flags=flags))
    np.testing.assert_array_equal(result.value[flags > 0], with_events[flags > 0])
    np.testing.assert_array_equal(result.error[flags > 0], error[flags > 0])
    quiet = flags == 0
    alone = Smooth(**settings).transform(batch_of((time[quiet], value[quiet], error[quiet])))
    np.testing.assert_array_equal(result.value[quiet], alone.value)


@pytest.mark.parametrize("settings", SETTINGS)
def test_bands_are_smoothed_apart(rng, settings):
    time, value, error = noisy(rng)
    band = rng.integers(0, 2, 300).astype(np.int16)
    given = batch_of((time, value + 3.0 * band, error), band=band, bands=("g", "r"))
    result = Smooth(**settings).transform(given)
    for code in (0, 1):
        mine = band == code
        alone = Smooth(**settings).transform(
            batch_of((time[mine], value[mine] + 3.0 * code, error[mine]))
        )
        np.testing.assert_allclose(result.value[mine], alone.value, rtol=1e-12)
    if settings.get("method") == "spline":
        assert result.objects["smooth_cutoff"].shape == (1, 2)


@pytest.mark.parametrize(
    "settings", [*SETTINGS, {"method": "spline"}, {"method": "spline", "dof": 4.0}, {"robust": 3}]
)
def test_odd_curves(rng, settings):
    """Empty, one, two and constant points, one time, all NaN, negative flux: finite results."""
    curves = [
        ([], [], []),
        ([3.0], [5.0], [0.1]),
        ([3.0, 3.5], [5.0, 6.0], [0.1, 0.2]),
        ([1.0, 2.0], [np.nan, np.nan], [0.1, 0.1]),
        ([4.0] * 5, [1.0, 2, 3, 4, 5], [1.0] * 5),
        (np.arange(50) * 0.1, np.full(50, 15.0), np.full(50, 0.1)),
        (np.arange(9.0) * 100, -np.arange(9.0), [0.0] * 9),
        (np.append(np.arange(40) * 0.02, 1e6), np.append(rng.normal(0, 1, 40), 3.0), None),
    ]
    given = batch_of(*curves)
    result = Smooth(**settings).transform(given)
    assert result.n_points == given.n_points
    fine = np.isfinite(given.value)
    assert np.isfinite(result.value[fine]).all()
    assert result.value[0] == 5.0
    assert result.error[0] == pytest.approx(0.1)
    np.testing.assert_allclose(result.value[5:10], 3.0)
    np.testing.assert_allclose(result.value[10:60], 15.0, rtol=1e-14)
    assert np.isfinite(result.objects["smooth_dof"]).all()
    assert Smooth(**settings).transform(given[:0]).n_curves == 0


def test_wrong_settings_are_all_named():
    with pytest.raises(ConfigError, match=r"window must .*; method must .*; degree .*; kernel .*"):
        Smooth(method="loess", window=0, degree=4, kernel="gauss").check()
    with pytest.raises(ConfigError, match="dof goes with"):
        Smooth(dof=5.0).check()
    with pytest.raises(ConfigError, match=r"dof goes .*; dof must be at least 2"):
        Smooth(method="spline", window=1.0, dof=1.0).check()
    with pytest.raises(ConfigError, match="robust must be 0 to 20"):
        Smooth(robust=-1).check()

"""Light curves stored as models: truth comes back, flares survive, nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.features import simulate_random_walk
from astroprep.reduce import (
    HarmonicModel,
    SplineModel,
    StructureFunctionModel,
    compress_curves,
)
from astroprep.reduce.harmonic_kernel import fit_harmonics
from astroprep.reduce.robust_fit import BIC
from astroprep.reduce.spline_kernel import KNOT_STEPS, fit_splines, spline_values

PERIOD = 0.6173
SIGMA = 0.02


def wave(time, n_harmonics=3):
    phase = (time - 53000.0) / PERIOD
    return sum(0.4 / k**2 * np.cos(2 * np.pi * k * phase + k) for k in range(1, n_harmonics + 1))


def star(rng, n=250, signal=wave, noise=SIGMA):
    time = np.sort(rng.uniform(53000.0, 56000.0, n))
    return time, 15.0 + signal(time) + rng.normal(0, noise, n), np.full(n, SIGMA)


def batch_of(curves, period=PERIOD, **more):
    return LightCurveBatch.from_curves(
        curves,
        ids=[f"star-{i}" for i in range(len(curves))],
        objects={"period": np.full(len(curves), period)},
        **more,
    )


def points(batch):
    """Time, value, error, flags and weight of each curve, in time order."""
    curve = np.repeat(np.arange(len(batch)), np.diff(batch.offsets))
    order = np.lexsort((batch.value, batch.time, curve))
    return [getattr(batch, name)[order] for name in ("time", "value", "error", "flags", "weight")]


def test_a_fourier_series_comes_back_with_its_order_and_scale(rng):
    batch = batch_of([star(rng) for _ in range(20)])
    stored = compress_curves(batch, "harmonic")
    decoded = stored.decode()

    coefficients = np.diff(stored.parameters.codes_offsets)
    assert np.median(coefficients) == 7  # three harmonics and the constant
    # the fit knows the truth to sigma * sqrt(7 / 250) on average: 0.17 sigma
    off = decoded.value - (15.0 + wave(decoded.time))
    modelled = decoded.points["modelled"]
    assert np.std(off[modelled]) < 0.25 * SIGMA
    assert np.median(stored.residual_scale) == pytest.approx(SIGMA, rel=0.05)
    assert np.median(stored.residual_in_errors) == pytest.approx(1.0, rel=0.05)
    assert np.median(stored.reduced_chi2) == pytest.approx(1.0, rel=0.05)


def test_the_fit_is_numpys_least_squares_where_no_point_is_far(rng):
    time, value, _ = star(rng, 300, noise=0.0)
    value = value + SIGMA * np.sign(np.sin(7 * np.arange(300)))  # no residual beyond 1.2 sigma
    error = np.full(300, SIGMA)
    out, unknowns, level = fit_harmonics(
        time, value, error, np.array([0, 300]), np.array([PERIOD]), 3, BIC
    )
    assert unknowns[0] == 7
    angle = 2 * np.pi * (time - time[0]) / PERIOD
    design = np.column_stack(
        [np.ones(300)] + [f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)]
    )
    residual = value - level[0] - design @ out[0]
    z = residual / SIGMA
    weight = (1 - (z / (5 * 1.4826 * np.median(np.abs(z)))) ** 2) ** 2  # Tukey, at the solution
    root = np.sqrt(weight)
    best = np.linalg.lstsq(design * root[:, None], (value - level[0]) * root, rcond=None)[0]
    np.testing.assert_allclose(out[0], best, atol=1e-4 * SIGMA)


def test_splines_are_scipys_and_cubics_come_back_exactly(rng):
    time = np.sort(rng.uniform(0.0, 1000.0, 400))
    value = 3.0 + 1e-6 * (time - 300) ** 3 / 100 + np.sin(time / 60.0)
    offsets = np.array([0, 400])
    out, unknowns, knots, level = fit_splines(time, value, np.full(400, 1e-3), offsets, 40, BIC)
    size = unknowns[0]
    inner = time[0] + knots[0, : size - 4] * (time[-1] - time[0]) / KNOT_STEPS
    full = np.concatenate([[time[0]] * 4, inner, [time[-1]] * 4])
    theirs = BSpline(full, out[0, :size], 3)(time)
    ours = spline_values(
        time,
        offsets,
        time[:1],
        time[-1:],
        knots[0, : size - 4],
        np.array([0, size - 4]),
        out[0, :size],
        np.array([0, size]),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert np.max(np.abs(ours + level[0] - value)) < 0.02

    cubic = 2.0 - 1e-3 * time + 1e-8 * (time - 400) ** 3
    noisy = cubic + rng.normal(0, 0.01, 400)
    stored = compress_curves(batch_of([(time, noisy, np.full(400, 0.01))]), "spline")
    assert np.diff(stored.parameters.knots_offsets)[0] == 0
    assert np.std(stored.decode().value - cubic) < 0.01 * 3 * np.sqrt(4 / 400)


def test_leave_one_out_is_what_leaving_out_gives(rng):
    """Brute force: the order that predicts left-out points best, each fitted without them."""
    time, value, _ = star(rng, 60, noise=0.1)
    angle = 2 * np.pi * (time - time[0]) / PERIOD
    scores = []
    for order in range(6):
        columns = [np.ones(60)]
        columns += [f(k * angle) for k in range(1, order + 1) for f in (np.cos, np.sin)]
        design = np.column_stack(columns)
        off = []
        for j in range(60):
            rest = np.arange(60) != j
            best = np.linalg.lstsq(design[rest], value[rest], rcond=None)[0]
            off.append(value[j] - design[j] @ best)
        scores.append(np.mean(np.square(off)))
    stored = compress_curves(
        batch_of([(time, value, np.full(60, 0.1))]),
        HarmonicModel(max_harmonics=5, criterion="leave_one_out"),
    )
    order = (np.diff(stored.parameters.codes_offsets)[0] - 1) // 2
    # weights are Huber's, so a near tie may fall the other way
    assert scores[order] <= 1.05 * min(scores)


def test_a_flare_and_a_far_point_are_kept_exactly(rng):
    time, value, error = star(rng, 300)
    flare = slice(150, 156)
    value[flare] -= SIGMA * np.array([4.0, 30.0, 18.0, 9.0, 5.0, 4.0])
    value[40] += 12 * SIGMA
    batch = batch_of([(time, value, error)])
    decoded = compress_curves(batch, "harmonic").decode()

    kept = ~decoded.points["modelled"]
    wanted = np.r_[40, 150:156]
    assert set(time[wanted]) <= set(decoded.time[kept])
    where = np.searchsorted(decoded.time[kept], time[wanted])
    np.testing.assert_array_equal(decoded.value[kept][where], value[wanted])
    np.testing.assert_array_equal(decoded.error[kept][where], error[wanted])
    assert kept.sum() <= 10  # not half the curve
    assert (decoded.flags[kept] == 0).all()
    assert (decoded.flags[~kept] == PointFlag.IMPUTED).all()
    assert decoded.usable.time.size == 300


def test_a_run_of_three_moderate_points_is_an_event_and_one_is_not(rng):
    time, value, error = star(rng, 400, noise=0.0)
    value += SIGMA * np.sin(1.7 * np.arange(400))  # bounded: nothing is far by chance
    value[100:103] = 15.0 + wave(time[100:103]) + 4 * SIGMA
    value[200] = 15.0 + wave(time[200]) + 4 * SIGMA
    decoded = compress_curves(batch_of([(time, value, error)]), "harmonic").decode()
    np.testing.assert_array_equal(decoded.time[~decoded.points["modelled"]], time[100:103])


def test_an_eclipse_is_no_outlier(rng):
    def eclipse(time):
        phase = (time / PERIOD) % 1.0
        return 0.8 * np.exp(-0.5 * ((phase - 0.5) / 0.05) ** 2)

    stored = compress_curves(batch_of([star(rng, 300, eclipse) for _ in range(10)]), "harmonic")
    decoded = stored.decode()
    share = 1 - decoded.points["modelled"].mean()
    assert share < 0.02
    assert np.median(stored.residual_in_errors) < 1.15


def test_times_are_kept_to_half_a_step_or_made_up_evenly(rng):
    batch = batch_of([star(rng, n) for n in (80, 200)])
    kept = compress_curves(batch, "harmonic", time_resolution=1e-3).decode()
    np.testing.assert_array_equal(kept.offsets, batch.offsets)
    assert np.abs(kept.time - batch.time).max() <= 0.5e-3 + 1e-9

    dropped = compress_curves(batch, "harmonic", times="drop")
    even = dropped.decode()
    assert even.n_points == batch.n_points
    modelled = even.points["modelled"][: even.offsets[1]]
    gaps = np.diff(even.time[: even.offsets[1]][modelled])
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-6)
    assert dropped.bytes.sum() < compress_curves(batch, "harmonic").bytes.sum()


def test_decode_at_given_times_is_the_model_there(rng):
    batch = batch_of([star(rng, 300), star(rng, 300)])
    at = np.linspace(53500.0, 53501.0, 50)
    decoded = compress_curves(batch, "harmonic").decode(at)
    assert np.diff(decoded.offsets).tolist() == [50, 50]
    np.testing.assert_allclose(decoded.value[:50], 15.0 + wave(at), atol=5 * 0.17 * SIGMA)
    each = compress_curves(batch, "spline").decode([at, [53000.0 - 100, 54000.0]])
    assert np.diff(each.offsets).tolist() == [50, 2]
    assert np.isnan(each.value[50])
    assert each.flags[50] == PointFlag.MISSING_VALUE
    with pytest.raises(DataError, match="each of 2 curves, got 3"):
        compress_curves(batch, "harmonic").decode([at, at, at])


def test_the_walk_gives_its_statistics_back_and_says_when_only_they_survive(rng):
    curves = []
    for _ in range(20):
        time = np.sort(rng.uniform(0, 3000, 300))
        value = 18 + simulate_random_walk(time, 100.0, 0.2, rng) + rng.normal(0, SIGMA, 300)
        curves.append((time, value, np.full(300, SIGMA)))
    batch = batch_of(curves)
    only = compress_curves(batch, StructureFunctionModel(anchors=0))
    log_tau, log_sigma = only.walk()
    assert np.median(log_tau) == pytest.approx(2.0, abs=0.15)
    assert np.median(log_sigma) == pytest.approx(np.log10(0.2), abs=0.07)
    decoded = only.decode()
    for i in range(len(batch)):
        part = slice(*decoded.offsets[i : i + 2])
        assert np.unique(decoded.value[part][decoded.points["modelled"][part]]).size == 1
    pinned = compress_curves(batch, StructureFunctionModel(anchors=30))
    assert np.median(pinned.residual_scale) < 0.7 * np.median(only.residual_scale)
    np.testing.assert_array_equal(pinned.walk()[0], log_tau)


def test_the_expectation_of_a_walk_is_the_dense_formula(rng):
    time = np.sort(rng.uniform(0, 1000, 120))
    value = 18 + simulate_random_walk(time, 80.0, 0.3, rng)
    stored = compress_curves(
        batch_of([(time, value, np.full(120, SIGMA))]),
        StructureFunctionModel(anchors=10),
        precision="float32",
    )
    own = stored.parameters
    anchors, _, walk = own.coefficients()
    tau, sigma, delta = 10 ** walk[0]
    at = own.first[0] + own.knots * (own.last[0] - own.first[0]) / KNOT_STEPS
    K = sigma**2 * np.exp(-np.abs(at[:, None] - at) / tau) + delta**2 * np.eye(at.size)
    k = sigma**2 * np.exp(-np.abs(time[:, None] - at) / tau)
    expected = own.level[0] + k @ np.linalg.solve(K, anchors)
    np.testing.assert_allclose(own.values(time, np.array([0, 120])), expected, rtol=1e-9)


def test_auto_takes_the_model_that_made_the_curve(rng):
    slow = star(rng, 300, lambda t: 0.5 * np.sin((t - 53000) / 400.0))
    batch = batch_of([star(rng, 300), slow])
    for choose in ("bic", "bytes"):
        assert compress_curves(batch, choose=choose).kind.tolist() == ["harmonic", "spline"]


def test_auto_serves_curves_without_a_period_and_harmonic_alone_says_why_not(rng):
    batch = batch_of([star(rng, 100)], period=np.nan)
    assert compress_curves(batch, (HarmonicModel(), SplineModel())).kind[0] == "spline"
    raw = compress_curves(batch, "harmonic")
    assert raw.kind[0] == "raw"
    assert raw.reason[0] == "needs a positive period, has nan"
    for before, after in zip(points(batch), points(raw.decode()), strict=True):
        np.testing.assert_array_equal(before, after)
    assert len(raw.decode([54000.0])) == 0
    assert "kept raw" in raw.decode([54000.0]).rejected.reason[0]
    bare = LightCurveBatch.from_curves([star(rng, 100)])
    with pytest.raises(DataError, match="'period' per object"):
        compress_curves(bare, "harmonic")


def hostile(rng):
    t, v, e = star(rng, 60)
    nan, flagged = v.copy(), np.append(t[:-1], -2409998.5)
    nan[::7] = np.nan
    return [
        ([], [], []),
        ([55000.0], [15.0], [0.1]),
        ([55000.0] * 8, [15.0] * 8, [0.1] * 8),
        ([55000.0] * 9, np.arange(9.0), [0.1] * 9),
        (np.full(7, np.nan), np.full(7, np.nan), np.full(7, np.nan)),
        (np.arange(6.0), [1.0, np.inf, -np.inf, np.nan, 2.0, 3.0], [0.0, -1, 1, 1, 1, 1]),
        (t, np.full(60, 15.0), e),
        (t[::-1], -v[::-1], np.full(60, 1e-30)),
        (t, nan, e),
        (flagged, v, e),
        (t, v * 1e30, e * 1e30),
        (t, v * 1e300, e * 1e300),
        (t, v, np.full(60, np.nan)),
        (t, v, np.where(np.arange(60) == 3, 1e-30, e)),
        (np.append(t[:-1], 1e300), v, e),
        (55000.0 + np.linspace(0, 1e-7, 20), 15 + np.arange(20) * 0.01, np.full(20, 0.01)),
    ]


@pytest.mark.parametrize("model", ["harmonic", "spline", "structure", "auto"])
def test_hostile_curves_lose_no_point_and_decode_to_no_silent_number(rng, model):
    batch = batch_of([star(rng, 80), *hostile(rng)])
    before = [c.copy() for c in points(batch)]
    stored = compress_curves(batch, model)
    decoded = stored.decode()

    assert len(decoded) == len(batch)
    np.testing.assert_array_equal(np.diff(decoded.offsets), np.diff(batch.offsets))
    modelled = decoded.points["modelled"]
    assert np.isfinite(decoded.value[modelled]).all()
    assert (decoded.error[modelled] > 0).all()
    assert np.isfinite(decoded.error[modelled]).all()
    assert ((stored.kind == "raw") == (stored.reason != "")).all()
    # every unusable point is there as it was
    good = np.zeros(batch.n_points, bool)
    good[batch.usable.index] = True
    assert (~modelled).sum() >= (~good).sum()
    for was, now in zip(before, points(batch), strict=True):
        np.testing.assert_array_equal(was, now)


def test_a_batch_is_stored_as_its_curves_are_one_by_one(rng):
    batch = batch_of([star(rng, n) for n in (40, 90, 150)] + hostile(rng))
    whole = compress_curves(batch).decode()
    parts = [compress_curves(batch[i]).decode() for i in range(len(batch))]
    one_by_one = LightCurveBatch.concat(parts)
    for name in ("time", "value", "error", "flags", "offsets"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(one_by_one, name))


def test_order_shift_and_gain_change_nothing_but_themselves(rng):
    time, value, error = star(rng, 150)
    order = rng.permutation(150)
    plain = compress_curves(batch_of([(time, value, error)]), "harmonic").decode()
    shuffled = batch_of([(time[order], value[order], error[order])])
    mixed = compress_curves(shuffled, "harmonic").decode()
    np.testing.assert_array_equal(plain.value, mixed.value)
    scaled = compress_curves(batch_of([(time, 8 * value - 3, 8 * error)]), "harmonic").decode()
    # step of the codes is 1 / 32767 of the largest coefficient, 0.4
    np.testing.assert_allclose((scaled.value + 3) / 8, plain.value, atol=7 * 0.4 / 32767)
    np.testing.assert_allclose(scaled.error / 8, plain.error, rtol=1e-2)


def test_bands_are_stored_apart_and_come_back_together(rng):
    time, value, error = star(rng, 300)
    band = np.arange(300) % 2
    value = value + 0.7 * band
    batch = LightCurveBatch(
        time=time,
        value=value,
        error=error,
        offsets=np.array([0, 300]),
        band=band,
        objects={"period": np.array([PERIOD])},
        meta=Meta(bands=("g", "r")),
    )
    stored = compress_curves(batch, "harmonic")
    assert stored.band.tolist() == [0, 1]
    decoded = stored.decode()
    np.testing.assert_array_equal(decoded.band, band)
    assert np.std(decoded.value - 0.7 * band - 15 - wave(time)) < 0.3 * SIGMA
    assert decoded.objects["stored_as"].tolist() == ["harmonic,harmonic"]


def test_int16_gives_way_to_float32_where_it_would_be_seen(rng):
    sharp = (*star(rng, 200, noise=1e-7)[:2], np.full(200, 1e-7))
    batch = batch_of([sharp, star(rng, 200)])
    stored = compress_curves(batch, "harmonic", time_resolution=1e-9)
    assert np.diff(stored.parameters.floats_offsets).tolist()[0] > 0
    assert np.diff(stored.parameters.floats_offsets).tolist()[1] == 0
    assert stored.residual_scale[0] < 2e-6  # 2^-23 of 15 mag


def test_a_bad_model_or_one_that_saves_nothing_leaves_the_curve_raw(rng):
    batch = batch_of([star(rng, 200, lambda t: rng.normal(0, 30 * SIGMA, t.size)), star(rng, 200)])
    stored = compress_curves(batch, "harmonic", max_residual=3.0)
    assert stored.kind.tolist() == ["raw", "harmonic"]
    assert stored.reason[0].startswith("needs a model within 3 errors, the best leaves")
    missed = compress_curves(batch[1], "harmonic", far=1e-6)
    assert missed.reason[0].startswith("needs a model that saves bytes")
    assert missed.decode().n_points == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "fourier"}, "model must be one of harmonic, spline"),
        ({"model": []}, "model must be HarmonicModel"),
        ({"model": HarmonicModel(max_harmonics=0)}, "max_harmonics must be from 1"),
        ({"model": HarmonicModel(criterion="aic")}, "criterion must be one of bic"),
        ({"model": SplineModel(max_pieces=2.5)}, "max_pieces must be"),
        ({"model": StructureFunctionModel(anchors=-1)}, "anchors must be"),
        ({"choose": "best"}, "choose must be one of"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"times": "even"}, "times must be one of"),
        ({"time_resolution": 0.0}, "time_resolution must be positive"),
        ({"far": np.nan}, "far must be positive"),
        ({"max_residual": -1.0}, "max_residual must be positive"),
    ],
)
def test_wrong_settings_are_named(rng, settings, words):
    with pytest.raises(ConfigError, match=words):
        compress_curves(batch_of([star(rng, 30)]), **settings)

"""Template fits: exact without noise, honest errors with it, unmoved by outliers and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares
from sklearn.base import clone

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.period.template import fit_templates
from astroprep.period.template_files import load_templates, shipped_templates
from astroprep.period.template_layout import TemplateTable
from astroprep.period.template_period import TemplatePeriod, sine_candidates
from astroprep.period.template_scan import prepare_segment, scan_epochs
from astroprep.period.templates import TemplateSet
from astroprep.synthetic.stars import draw_stars, magnitude

BANDS = ("g", "r", "i")
AMPLITUDE = np.array([1.0, 0.7, 0.55])  # of the bands, relative; about those of RR Lyrae
MEAN = np.array([17.2, 17.0, 16.95])


def series(phase):
    """A shape with a known Fourier series, 0 at maximum light and 1 at minimum."""
    angle = 2 * np.pi * np.asarray(phase)
    return np.sin(angle + 4.0) + 0.4 * np.sin(2 * angle + 3.9) + 0.2 * np.sin(3 * angle + 4.2)


FINE = np.arange(200_000) / 200_000
LEAST, MOST = series(FINE).min(), series(FINE).max()
TURN = FINE[series(FINE).argmin()]


def shape(phase):
    return (series(np.asarray(phase) + TURN) - LEAST) / (MOST - LEAST)


ONE = TemplateSet(("x",), ("",), ("ab",), shape(np.arange(512) / 512)[None])


@pytest.fixture
def make_star(rng):
    """Factory of points of stars that follow `shape` exactly: columns as `fit_templates` takes."""

    def make(
        period=0.571234, n_stars=1, n_epochs=40, noise=0.02, span=900.0, draw=True, bands=BANDS
    ):
        time, value, band, epoch = [], [], [], []
        for _ in range(n_stars):
            begin = 55000.0 + rng.uniform(0, period)
            t = np.sort(rng.uniform(55000.0, 55000.0 + span, n_epochs))
            t = (t[:, None] + np.arange(len(bands)) * 0.001).ravel()
            code = np.tile(np.arange(len(bands)), n_epochs)
            true = MEAN[code] + 0.9 * AMPLITUDE[code] * shape((t - begin) / period)
            time.append(t)
            value.append(true + draw * rng.normal(0, noise, t.size))
            band.append(code)
            epoch.append(begin)
        n = n_epochs * len(bands)
        columns = [np.concatenate(x) for x in (time, value)]
        error = np.full(n * n_stars, noise)
        offsets = np.arange(n_stars + 1, dtype=np.int64) * n
        return (*columns, error, np.concatenate(band), offsets), np.array(epoch)

    return make


def turned(difference, period):
    """Difference of two epochs, to the nearest cycle."""
    return difference - period * np.rint(difference / period)


# -- truth ---------------------------------------------------------------------------------


def test_exact_light_curves_come_back_exactly(make_star):
    points, epoch = make_star(draw=False, noise=0.01)
    period = 0.571234
    near = np.array([[1 / period + 0.15 / 900]])

    fit = fit_templates(*points, near, ONE, BANDS, mismatch=0.0)

    # cubic interpolation in 512 phases is good to 1e-7 of the amplitude
    assert fit.period[0] == pytest.approx(period, rel=1e-8)
    assert turned(fit.epoch - epoch, period) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(fit.amplitude, 0.9 * AMPLITUDE, rtol=1e-5)
    np.testing.assert_allclose(fit.maximum, MEAN, rtol=0, atol=1e-5)
    np.testing.assert_allclose(fit.mean, MEAN + 0.9 * AMPLITUDE * shape(FINE).mean(), atol=1e-5)
    assert fit.chi2[0] < 1e-4
    assert fit.dof[0] == 120 - 2 - 6
    assert abs(fit.epoch[0] - points[0].mean()) <= period / 2 + 1e-9


def test_pulls_have_no_bias_and_unit_width(make_star):
    """400 stars with Gaussian noise: every error bar is what it says."""
    period, n = 0.571234, 400
    points, epoch = make_star(period, n_stars=n)
    fit = fit_templates(*points, np.full((n, 1), 1 / period), ONE, BANDS, mismatch=0.0)

    pulls = {
        "period": (fit.period - period) / fit.period_err,
        # the epoch is counted from the true one with the true period, near the mean time
        "epoch": turned(fit.epoch - epoch, period) / fit.epoch_err,
        "amplitude": (fit.amplitude - np.tile(0.9 * AMPLITUDE, n)) / fit.amplitude_error,
        "maximum": (fit.maximum - np.tile(MEAN, n)) / fit.maximum_error,
        "mean": (fit.mean - np.tile(MEAN + 0.9 * AMPLITUDE * shape(FINE).mean(), n))
        / fit.mean_error,
    }
    for name, pull in pulls.items():
        assert abs(pull.mean()) < 4 / np.sqrt(pull.size), name
        assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * n)), name
    assert fit.chi2.mean() == pytest.approx(fit.dof[0], abs=4 * np.sqrt(2 * fit.dof[0] / n))


def test_fit_and_errors_equal_those_of_scipy(make_star):
    """The same eight parameters by Levenberg-Marquardt, covariance from its Jacobian."""
    points, _ = make_star(noise=0.05)
    time, value, error, band, _ = points
    period = 0.571234
    fit = fit_templates(*points, np.array([[1 / period]]), ONE, BANDS, mismatch=0.0, clip=None)

    def residual(p):
        phase = (time - time.mean() - p[1]) * (p[0] / 900 + 1 / period)
        return (value - p[2 + band] - p[5 + band] * shape(phase)) / error

    start = [0, turned(fit.epoch[0] - time.mean(), period), *MEAN, *(0.9 * AMPLITUDE)]
    other = least_squares(residual, start, method="lm", xtol=1e-12, ftol=1e-12)
    sigma = np.sqrt(np.diag(np.linalg.inv(other.jac.T @ other.jac)))
    frequency = other.x[0] / 900 + 1 / period
    assert fit.chi2[0] == pytest.approx(2 * other.cost, rel=1e-7)
    assert fit.period[0] == pytest.approx(1 / frequency, rel=1e-8)
    assert fit.period_err[0] == pytest.approx(sigma[0] / 900 / frequency**2, rel=1e-3)
    assert fit.epoch[0] == pytest.approx(time.mean() + other.x[1], abs=1e-6)
    assert fit.epoch_err[0] == pytest.approx(sigma[1], rel=1e-3)
    np.testing.assert_allclose(fit.maximum_error, sigma[2:5], rtol=1e-3)
    np.testing.assert_allclose(fit.amplitude_error, sigma[5:8], rtol=1e-3)


def test_scan_equals_brute_force(make_star, rng):
    """What each kind explains at each epoch, by explicit least squares."""
    templates = shipped_templates().take([0, 3, 13])
    points, _ = make_star(n_epochs=12)
    time, value, error, band, _ = points
    order = np.argsort(band, kind="stable")
    time, value, weight = time[order] - time.mean(), value[order] - 17, error[order] ** -2.0
    segments = np.array([0, 12, 24, 36], np.int64)
    table = TemplateTable.of(templates, BANDS)
    window = 1 / templates.period_range[:, ::-1]
    frequency, n_epochs = 2.1, 16
    gain = np.empty((2, n_epochs))
    scan_epochs(
        time, value, weight, segments, table.columns, np.full(3, 1e9), table.table, table.kind,
        window, frequency, np.empty(36, np.int64), np.empty(36), np.empty((3, 3)), gain,
    )  # fmt: skip

    phase = np.rint((frequency * time % 1) * 512).astype(int)
    for kind, which in enumerate(([0, 1], [2])):
        for s in range(n_epochs):
            total = 0.0
            for b in range(3):
                part = slice(12 * b, 12 * b + 12)
                explained = []
                root, y = np.sqrt(weight[part]), value[part]
                mean = np.average(y, weights=weight[part])
                for k in which:
                    t = templates.shape[k][(phase[part] - s * 32) % 512]
                    x = np.stack([np.ones(12), t], axis=1) * root[:, None]
                    c, rest = np.linalg.lstsq(x, y * root, rcond=None)[:2]
                    null = (weight[part] * (y - mean) ** 2).sum()
                    explained.append(null - rest[0] if c[1] > 0 else 0.0)
                total += max(explained)
            assert gain[kind, s] == pytest.approx(total, rel=1e-7, abs=1e-6)


# -- robustness ----------------------------------------------------------------------------


def test_outliers_are_bounded_by_clip_and_found(make_star, rng):
    points, _ = make_star(n_epochs=60)
    time, value, error, band, offsets = points
    wild = rng.choice(value.size, 9, replace=False)
    spoiled = value.copy()
    spoiled[wild] += rng.choice([-1, 1], 9) * rng.uniform(0.4, 3.0, 9)
    near = np.array([[1 / 0.571234]])
    clean = fit_templates(*points, near, ONE, BANDS)
    robust = fit_templates(time, spoiled, error, band, offsets, near, ONE, BANDS)
    plain = fit_templates(time, spoiled, error, band, offsets, near, ONE, BANDS, clip=None)

    assert np.abs((robust.amplitude - clean.amplitude) / clean.amplitude_error).max() < 1.5
    assert abs(robust.period - clean.period)[0] < 1.5 * clean.period_err[0]
    assert np.abs((plain.amplitude - clean.amplitude) / clean.amplitude_error).max() > 3
    assert set(np.flatnonzero(robust.trust < 0.5)) == set(wild)
    assert (plain.trust == 1).all()


def test_a_band_with_one_point_leaves_the_others_alone(make_star):
    points, _ = make_star()
    time, value, error, band, _offsets = points
    keep = (band < 2) | (np.cumsum(band == 2) == 7)
    near = np.array([[1 / 0.571234]])
    few = fit_templates(
        time[keep],
        value[keep],
        error[keep],
        band[keep],
        np.array([0, keep.sum()]),
        near,
        ONE,
        BANDS,
    )
    assert few.band.tolist() == [0, 1, 2]
    assert np.isfinite(few.amplitude).all()
    assert np.isfinite(few.amplitude_error).tolist() == [True, True, False]
    assert few.period[0] == pytest.approx(0.571234, abs=5 * few.period_err[0])


def test_time_zero_point_and_unit_do_not_matter(make_star):
    points, _ = make_star(n_stars=2)
    time, value, error, band, offsets = points
    near = np.full((2, 1), 1 / 0.571234)
    fit = fit_templates(*points, near, ONE, BANDS)
    other = fit_templates(
        time - 50000, 1e3 * value + 5, 1e3 * error, band, offsets, near, ONE, BANDS
    )
    np.testing.assert_allclose(other.period, fit.period, rtol=1e-9)
    np.testing.assert_allclose(other.epoch + 50000, fit.epoch, rtol=0, atol=1e-6)
    np.testing.assert_allclose(other.amplitude, 1e3 * fit.amplitude, rtol=1e-5)
    np.testing.assert_allclose(other.maximum, 1e3 * fit.maximum + 5, rtol=1e-5)


def test_result_depends_neither_on_threads_nor_on_neighbours(make_star):
    points, _ = make_star(n_stars=70, n_epochs=12)
    near = np.full((70, 2), 1 / 0.571234)
    near[:, 1] = 0.0
    one, two = (fit_templates(*points, near, ONE, BANDS, jobs=jobs) for jobs in (1, 3))
    for name in ("period", "chi2", "amplitude", "trust", "candidate_chi2"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    part = slice(0, 36)
    alone = fit_templates(*(x[part] for x in points[:4]), np.array([0, 36]), near[:1], ONE, BANDS)
    assert alone.period[0] == one.period[0]
    assert np.isinf(alone.candidate_chi2[0, 1])


def test_points_far_outside_the_range_lose_trust_before_any_fit():
    value = np.append(np.tile([15.0, 15.2, 15.4, 15.6, 15.8], 10), [22.0])
    weight, trust = np.empty((2, value.size))
    level, spread, highest = prepare_segment(value, np.full(51, 0.02), 0.0, 4.0, weight, trust)
    assert level == pytest.approx(15.4)
    assert spread == pytest.approx(0.8, abs=0.01)
    assert highest > 1.6
    assert (trust[:50] == 1).all()
    assert trust[50] < 1e-3


def test_no_curve_gives_an_empty_result():
    none = np.empty(0)
    fit = fit_templates(
        none, none, none, np.empty(0, np.int64), np.array([0]), np.empty((0, 3)), ONE, BANDS
    )
    assert fit.period.shape == (0,)
    assert fit.candidate_chi2.shape == (0, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mismatch": 1.0}, "mismatch must be a share"),
        ({"clip": 0.5}, "clip must be None or 1"),
        ({"half_width": -0.1}, "half_width must be 0 or more"),
        ({"half_steps": 1.5}, "half_steps must be a whole number"),
    ],
)
def test_wrong_settings_are_named(make_star, settings, message):
    points, _ = make_star()
    with pytest.raises(ConfigError, match=message):
        fit_templates(*points, np.array([[1.7]]), ONE, BANDS, **settings)


def test_wrong_input_is_named(make_star):
    points, _ = make_star()
    time, value, error, band, offsets = points
    near = np.array([[1.7]])

    def spoil(column, what):
        column = column.copy()
        column[5] = what
        return column

    for bad in (spoil(value, np.nan), spoil(value, np.inf)):
        with pytest.raises(DataError, match=r"finite times and values .* point 5 .*FlagBad"):
            fit_templates(time, bad, error, band, offsets, near, ONE, BANDS)
    with pytest.raises(DataError, match="positive errors: point 5"):
        fit_templates(time, value, spoil(error, 0.0), band, offsets, near, ONE, BANDS)
    with pytest.raises(DataError, match="band codes from 0 to 2"):
        fit_templates(time, value, error, spoil(band, 3), offsets, near, ONE, BANDS)
    with pytest.raises(DataError, match="two times at least: curve 0"):
        fit_templates(np.zeros(time.size), value, error, band, offsets, near, ONE, BANDS)
    with pytest.raises(DataError, match="a row of candidates for each of 1 curves"):
        fit_templates(*points, near[0], ONE, BANDS)
    with pytest.raises(DataError, match="equally many"):
        fit_templates(time[1:], value, error, band, offsets, near, ONE, BANDS)
    with pytest.raises(DataError, match=r"candidate period between 0.36 and 1.2 days: curve 0"):
        fit_templates(*points, np.array([[24.0]]), ONE, BANDS)


# -- the step ------------------------------------------------------------------------------


def survey_of(rng, n_stars, n_epochs=40):
    """Simulated RR Lyrae in three bands, drawn with another seed than the shipped templates."""
    label = np.where(np.arange(n_stars) % 3 == 2, "RRc", "RRab").astype(object)
    stars = draw_stars(rng, label)
    columns, offsets = [], [0]
    for i in range(n_stars):
        night = rng.choice(900, n_epochs, replace=False)
        season = 365.25 * (night // 90) + night % 90
        t = 53600.0 + season + rng.uniform(-0.12, 0.12, n_epochs)
        t = (t[:, None] + np.arange(3) * 0.001).ravel()
        code = np.tile(np.arange(3), n_epochs)
        v = MEAN[code] + AMPLITUDE[code] * magnitude(stars, np.full(t.size, i), t)
        v += rng.normal(0, 0.02, t.size) + (rng.random(t.size) < 0.01) * rng.normal(0, 1, t.size)
        columns.append((t, v, code))
        offsets.append(offsets[-1] + t.size)
    time, value, band = (np.concatenate(x) for x in zip(*columns, strict=True))
    return LightCurveBatch(
        time=time,
        value=value,
        error=np.full(time.size, 0.02),
        band=band,
        offsets=np.array(offsets),
        objects={"truth": stars.period, "label": label},
        meta=Meta(bands=("sdss_g", "sdss_r", "sdss_i")),
    )


def test_the_step_finds_the_periods_of_simulated_stars(rng):
    batch = survey_of(rng, 45)
    found = TemplatePeriod().fit_transform(batch)

    truth = found.objects["truth"]
    cycles = np.abs(1 / found.objects["period"] - 1 / truth) * np.ptp(batch.time)
    assert (cycles < 0.1).mean() >= 0.95
    kind = np.where(found.objects["label"] == "RRab", "ab", "c")
    assert (found.objects["template_kind"] == kind).mean() >= 0.95
    for name, column in found.objects.items():
        assert column.dtype.kind != "f" or np.isfinite(column).all(), name
    per_dof = found.objects["template_chi2"] / found.objects["template_dof"]
    assert 0.4 < np.median(per_dof) < 2


def test_sparse_curves_are_rescued_by_more_candidates(rng):
    """18 nights in three bands: the highest peaks are wrong, the fit tells which is right."""
    batch = survey_of(rng, 24, n_epochs=18)
    found = TemplatePeriod().fit_transform(batch).objects
    few = TemplatePeriod(n_candidates=1).fit_transform(batch).objects

    def right(objects):
        return (np.abs(objects["period"] / objects["truth"] - 1) < 0.01).mean()

    assert right(found) >= 0.85
    assert right(few) <= right(found) - 0.2


def test_candidates_are_in_range_and_hold_the_truth(rng):
    u = survey_of(rng, 12).usable
    points = (u.time, u.value, u.error, u.band, u.offsets)
    found = sine_candidates(*points, min_period=0.25, max_period=0.9, n_candidates=15)
    assert found.shape == (12, 15)
    there = found[found > 0]
    assert there.min() >= 1 / 0.9
    assert there.max() <= 4
    assert sine_candidates(*points).shape == (12, 100)  # 12,000 over 120 points
    constant = np.full(u.time.size, 15.0)
    assert not sine_candidates(u.time, constant, u.error, u.band, u.offsets).any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("few", "more than 8 usable points in 3 bands, has 8"),
        ("constant", "brightness that varies"),
        ("night", r"a baseline of two longest periods, 2.4 days, spans 0\."),
        ("absurd", "a grid of at most"),
        ("same", "points at different times"),
        ("nameless", "a band that meta.bands names"),
    ],
)
def test_the_step_says_why_it_refuses(make_star, change, reason):
    points, _ = make_star()
    time, value, error, band, _ = (x.copy() for x in points)
    if change == "few":
        time, value, error, band = (x[:8] for x in (time, value, error, band))
    elif change == "constant":
        value = MEAN[band]
    elif change == "night":
        time = 55000 + np.linspace(0, 0.3, time.size)
    elif change == "absurd":
        time[0] = -2409998.5
    elif change == "nameless":
        band[3] = -1
    else:
        time[:] = 55000.0
    batch = LightCurveBatch(
        time=time, value=value, error=error, band=band, offsets=np.array([0, time.size]),
        meta=Meta(bands=BANDS),
    )  # fmt: skip
    with pytest.raises(DataError, match=f"TemplatePeriod needs {reason}"):
        TemplatePeriod().fit_transform(batch)
    rejected = TemplatePeriod(on_bad="reject").fit_transform(batch)
    assert (rejected.n_curves, len(rejected.rejected)) == (0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"templates": "no such folder"}, "templates must be 'shipped'"),
        ({"min_period": 2.0}, "min_period must be positive and below"),
        ({"n_candidates": 0}, "n_candidates must be None or 1 to 1000"),
        ({"jobs": 0}, "jobs must be None"),
        ({"clip": 0.0}, "clip must be None"),
    ],
)
def test_wrong_settings_of_the_step_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        clone(TemplatePeriod(**settings)).check()


# -- real stars ----------------------------------------------------------------------------


def test_published_templates_recover_stripe_82(data_dir):
    """Sesar et al. 2010: the templates of the paper on 60 of its stars."""
    from astroprep.clean import FlagBad
    from astroprep.io import ColumnNames, open_survey

    path = data_dir / "sdss_stripe82_rrlyrae.parquet"
    with open_survey(path, ColumnNames(period="period")) as survey:
        batch = next(iter(survey.iter_batches(60)))
    batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    step = TemplatePeriod(templates=str(data_dir / "templates_sesar2010"))
    found = step.fit_transform(batch)
    ratio = found.objects["period"] / found.objects["catalogue_period"]
    assert (np.abs(ratio - 1) < 0.01).mean() >= 0.93
    assert (found.objects["template_kind"] == found.objects["label"]).mean() >= 0.95
    assert len(load_templates(data_dir / "templates_sesar2010")) == 98

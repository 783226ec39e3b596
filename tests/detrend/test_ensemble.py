"""EnsembleTrend takes out what stars share, and a star never corrects itself."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import EnsembleTrend
from astroprep.detrend.epochs import group_epochs, match_epochs
from astroprep.detrend.ownlight import own_light
from astroprep.detrend.sysrem import Ensemble, sysrem_component, sysrem_effects, template_effects
from astroprep.errors import ConfigError, DataError

NOISE = 0.01


def field(rng, n_stars=30, n_epochs=200, *, noise=NOISE, effects=2, seen=0.9, amplitude=0.0):
    """Constant stars (or sines, of known periods) under clouds and colour terms."""
    epochs = np.sort(55000 + rng.integers(0, 400, n_epochs) + rng.uniform(0.2, 0.4, n_epochs))
    shared = rng.normal(size=(effects, n_epochs)) * np.array([0.05, 0.03])[:effects, None]
    strength = np.stack([rng.uniform(0.7, 1.3, n_stars), rng.normal(size=n_stars)])[:effects]
    periods = rng.uniform(0.3, 5.0, n_stars)
    curves, truth = [], []
    for i in range(n_stars):
        there = rng.random(n_epochs) < seen
        trend = strength[:, i] @ shared[:, there]
        time = epochs[there] + rng.uniform(-2e-4, 2e-4, there.sum())
        own = amplitude * np.sin(2 * np.pi * time / periods[i])
        value = 14 + 0.1 * i + trend + own + rng.normal(0, noise, there.sum())
        curves.append((time, value, np.full(there.sum(), noise)))
        truth.append(trend)
    objects = {"period": periods} if amplitude else {}
    batch = LightCurveBatch.from_curves(
        curves, ids=[f"s{i}" for i in range(n_stars)], objects=objects
    )
    return batch, np.concatenate(truth)


def scatter(batch):
    parts = np.split(batch.value, batch.offsets[1:-1])
    return float(np.median([np.std(part) for part in parts]))


def as_ensemble(batch, tolerance=0.001):
    epochs = group_epochs(batch.time, tolerance)
    value = np.concatenate(
        [part - part.mean() for part in np.split(batch.value, batch.offsets[1:-1])]
    )
    epoch = match_epochs(batch.time, epochs, tolerance)
    return Ensemble(value, batch.error, epoch, batch.offsets, epochs.size)


# -- kernels -----------------------------------------------------------------------------------


def test_on_complete_data_sysrem_is_the_singular_value_decomposition(rng):
    """Analytic: equal weights and no gaps make effects the right singular vectors."""
    table = rng.normal(size=(12, 40)) + 3 * np.outer(rng.normal(size=12), rng.normal(size=40))
    table -= table.mean(axis=1, keepdims=True)
    ensemble = Ensemble(
        table.ravel(), np.ones(480), np.tile(np.arange(40), 12), np.arange(13) * 40, 40
    )
    effect, _, slope, _ = sysrem_component(
        ensemble.value, np.ones(480), ensemble.epoch, ensemble.offsets, 40
    )
    _, size, right = np.linalg.svd(table, full_matrices=False)
    np.testing.assert_allclose(np.abs(effect), np.sqrt(40) * np.abs(right[0]), atol=2e-3)
    assert np.linalg.norm(slope) * np.sqrt(40) == pytest.approx(size[0], rel=1e-5)


def test_with_gaps_and_errors_it_is_tamuz_by_brute_force(rng):
    batch, _ = field(rng, effects=1, seen=0.7)
    one = as_ensemble(batch)
    weight = rng.uniform(0.5, 2.0, one.value.size)
    effect, _, slope, level = sysrem_component(
        one.value, weight, one.epoch, one.offsets, one.n_epochs
    )
    star = one.star
    c, a, m = np.ones(star.max() + 1), np.zeros(one.n_epochs), np.zeros(star.max() + 1)
    for _ in range(300):
        a = np.bincount(one.epoch, weight * (one.value - m[star]) * c[star]) / np.bincount(
            one.epoch, weight * c[star] ** 2
        )
        for i in range(c.size):
            here = star == i
            c[i], m[i] = np.polyfit(a[one.epoch[here]], one.value[here], 1, w=np.sqrt(weight[here]))
    ours = level[star] + slope[star] * effect[one.epoch]
    np.testing.assert_allclose(ours, m[star] + c[star] * a[one.epoch], atol=2e-5)


def test_own_light_is_least_squares(rng):
    """Next to numpy, for a star with a period, one without, and one of too few points."""
    n, effects = np.array([80, 60, 11]), rng.normal(size=(2, 90))
    offsets = np.concatenate(([0], np.cumsum(n)))
    time = rng.uniform(0, 50, offsets[-1])
    epoch = rng.integers(0, 90, offsets[-1])
    error = rng.uniform(0.5, 1.5, offsets[-1])
    value = rng.normal(size=offsets[-1])
    period = np.array([1.7, np.nan, 2.0])
    own, scatter = own_light(time, value, error, epoch, offsets, period, 3, effects)
    angle = 2 * np.pi * np.outer(time[:80] / 1.7, [1, 2, 3])
    waves = np.hstack([np.cos(angle), np.sin(angle)])
    design = np.hstack([waves, np.ones((80, 1)), effects[:, epoch[:80]].T]) / error[:80, None]
    fit = np.linalg.lstsq(design, value[:80] / error[:80], rcond=None)[0]
    np.testing.assert_allclose(own[:80], waves @ fit[:6], atol=1e-8)
    np.testing.assert_array_equal(own[80:], 0.0)
    rest = value[:80] - (design @ fit) * error[:80]
    assert scatter[0] == pytest.approx(1.4826 * np.median(np.abs(rest - np.median(rest))))


def test_effects_come_with_their_errors(rng):
    batch, _ = field(rng, n_stars=80, effects=1)
    one = as_ensemble(batch)
    effect, variance = sysrem_effects(one, 1)
    again, _ = sysrem_effects(
        Ensemble(
            one.value + rng.normal(0, NOISE, one.value.size),
            one.error,
            one.epoch,
            one.offsets,
            one.n_epochs,
        ),
        1,
    )
    sign = np.sign((effect * again).sum())
    pull = (effect[0] - sign * again[0]) / np.sqrt(variance[0])
    assert np.std(pull) == pytest.approx(1.0, abs=0.25)


def test_templates_are_the_quietest_curves(rng):
    batch, _ = field(rng, n_stars=6, seen=1.0)
    one = as_ensemble(batch)
    error = np.repeat([3.0, 1.0, 2.0, 0.5, 4.0, 5.0], np.diff(one.offsets))
    made, _ = template_effects(Ensemble(one.value, error, one.epoch, one.offsets, one.n_epochs), 2)
    assert made.shape == (2, one.n_epochs)
    for curve, i in zip(made, (1, 3), strict=True):
        part = slice(*one.offsets[i : i + 2])
        assert np.corrcoef(curve[one.epoch[part]], one.value[part])[0, 1] > 0.999


def test_epochs_are_grouped_and_matched():
    time = np.array([10.0, 1.0, 1.0004, 1.0008, 1.0013, 5.0])
    epochs = group_epochs(time, 0.001)
    np.testing.assert_allclose(epochs, [1.0004, 1.0013, 5.0, 10.0])
    found = match_epochs(np.array([1.0, 9.9995, 7.0, np.nan, 5.002]), epochs, 0.001)
    np.testing.assert_array_equal(found, [0, 3, -1, -1, -1])
    assert match_epochs(time, np.empty(0), 0.1).tolist() == [-1] * 6
    assert group_epochs(np.empty(0), 0.1).size == 0
    assert match_epochs(np.array([1.0]), np.array([1.0]), 0.1).tolist() == [0]


# -- the step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sysrem", "tfa"])
def test_shared_trends_go(rng, method):
    batch, truth = field(rng)
    result = EnsembleTrend(method=method).fit_transform(batch)
    assert scatter(batch) > 4 * NOISE
    assert scatter(result) < 1.25 * NOISE
    trend = result.points["trend"]
    wrong = [
        np.std(t - u)
        for t, u in zip(
            np.split(trend, batch.offsets[1:-1]), np.split(truth, batch.offsets[1:-1]), strict=True
        )
    ]
    assert np.median(wrong) < 0.75 * NOISE


@pytest.mark.parametrize("effects", [0, 1, 2])
def test_the_number_of_effects_is_found(rng, effects):
    """The stopping rule finds none in noise, and what was put in; gaps may leave one more."""
    if effects:
        batch, _ = field(rng, n_stars=40, effects=effects)
    else:
        batch, _ = field(rng, n_stars=40)
        batch = batch.with_columns(value=rng.normal(14, NOISE, batch.n_points))
    assert effects <= EnsembleTrend().fit(batch).n_components_ <= effects + (effects > 1)


@pytest.mark.parametrize("method", ["sysrem", "tfa"])
def test_periodic_stars_keep_their_amplitude(rng, method):
    batch, _ = field(rng, amplitude=0.1)
    result = EnsembleTrend(method=method).fit_transform(batch)
    kept = []
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        angle = 2 * np.pi * batch.time[part] / batch.objects["period"][i]
        design = np.column_stack([np.cos(angle), np.sin(angle), np.ones(angle.size)])
        fit = np.linalg.lstsq(design, result.value[part], rcond=None)[0]
        kept.append(np.hypot(*fit[:2]) / 0.1)
    assert np.median(kept) == pytest.approx(1.0, abs=0.01)
    assert min(kept) > 0.95


def test_a_star_never_corrects_itself(rng):
    """What one star of the ensemble did changes nothing in the effects that it is given."""
    batch, _ = field(rng)
    part = slice(*batch.offsets[7:9])
    value = batch.value.copy()
    value[part] += 0.3 * rng.normal(size=part.stop - part.start)
    disturbed = EnsembleTrend(components=2).fit(batch.with_columns(value=value))
    plain = EnsembleTrend(components=2).fit(batch)
    fold = plain.folds_[plain.ids_.index("s7")]
    np.testing.assert_array_equal(plain.effects_[fold], disturbed.effects_[fold])
    others = [f for f in range(5) if f != fold]
    assert not np.array_equal(plain.effects_[others], disturbed.effects_[others])


def test_an_event_seen_by_one_star_stays(rng):
    batch, _ = field(rng)
    first = batch.offsets[3]
    value = batch.value.copy()
    value[first + 50 : first + 54] -= 0.5
    result = EnsembleTrend().fit(batch).transform(batch.with_columns(value=value))
    calm = EnsembleTrend().fit(batch).transform(batch)
    np.testing.assert_allclose(
        (result.value - calm.value)[first + 50 : first + 54], -0.5, atol=2 * NOISE
    )


def test_events_teach_nothing(rng):
    """Points with EVENT change neither the effects nor the fit, and are corrected."""
    batch, truth = field(rng)
    event = rng.random(batch.n_points) < 0.05
    wild = batch.with_columns(
        value=np.where(event, batch.value + 1, batch.value),
        flags=np.where(event, PointFlag.EVENT, 0).astype(np.uint32),
    )
    mild = wild.with_columns(value=batch.value)
    a, b = EnsembleTrend().fit(wild), EnsembleTrend().fit(mild)
    np.testing.assert_array_equal(a.effects_, b.effects_)
    result = a.transform(wild)
    assert np.std(result.value[event] - batch.value[event] + truth[event]) < NOISE


def test_new_stars_and_new_nights(rng):
    """Stars not taught take the effects of all; nights not taught stay as they are."""
    batch, _ = field(rng, n_stars=31)
    step = EnsembleTrend().fit(batch[:30])
    new = batch[30:]
    result = step.transform(new)
    assert np.std(result.value) < 1.3 * NOISE < np.std(new.value)
    later = new.with_columns(time=np.where(new.time > 55200, new.time + 1000, new.time))
    half = step.transform(later)
    unknown = later.time > 56000
    assert np.isnan(half.points["trend"][unknown]).all()
    np.testing.assert_array_equal(half.value[unknown], later.value[unknown])


def test_fluxes_are_divided(rng):
    batch, _ = field(rng)
    flux = batch.with_columns(
        value=1e4 * 10 ** (-0.4 * (batch.value - 15)),
        error=1e4 * 10 ** (-0.4 * (batch.value - 15)) * NOISE / 1.0857,
        meta=Meta(quantity="flux", unit="count"),
    )
    result = EnsembleTrend().fit_transform(flux)
    parts = np.split(result.value, batch.offsets[1:-1])
    assert np.median([np.std(p) / np.median(p) for p in parts]) < 1.3 * NOISE
    np.testing.assert_allclose(result.error / flux.error, result.value / flux.value, rtol=1e-9)


class TestBadInput:
    def test_one_star_is_no_ensemble(self, rng):
        batch, _ = field(rng)
        for given in (batch[:1], batch[:0]):
            with pytest.raises(DataError, match="at least 2 stars that share epochs"):
                EnsembleTrend(min_stars=1).fit(given)

    def test_disjoint_epochs_teach_nothing(self, rng):
        curves = [
            (55000 + 0.01 * k + np.arange(50.0), rng.normal(14, 0.1, 50), None) for k in range(6)
        ]
        with pytest.raises(DataError, match=r"share epochs within 0\.001 d"):
            EnsembleTrend().fit(LightCurveBatch.from_curves(curves))

    def test_a_star_of_another_field_is_refused(self, rng):
        batch, _ = field(rng)
        step = EnsembleTrend().fit(batch)
        other = batch[:2].with_columns(
            time=np.where(np.arange(batch[:2].n_points) < batch.offsets[1], 0, 1000.5)
            + batch[:2].time
        )
        with pytest.raises(DataError, match=r"shared with the ensemble, has none: 's1'"):
            step.transform(other)
        result = step.set_params(on_bad="reject").transform(other)
        assert result.rejected.id.tolist() == ["s1"]
        assert result.n_objects == 2

    def test_too_few_shared_epochs(self, rng):
        batch, _ = field(rng)
        step = EnsembleTrend().fit(batch)
        few = batch[:1]
        few = few.with_columns(time=np.where(np.arange(few.n_points) < 3, few.time, few.time + 999))
        with pytest.raises(DataError, match=r"at least 6 points at epochs shared .*has 3"):
            step.transform(few)

    def test_without_errors_stars_weigh_by_their_scatter(self, rng):
        batch, _ = field(rng)
        bare = batch.with_columns(error=np.full(batch.n_points, np.nan))
        assert scatter(EnsembleTrend().fit_transform(bare)) < 1.3 * NOISE

    def test_a_variable_does_not_teach(self, rng):
        """A tenth of the stars of ten times the noise leave the others as clean."""
        batch, _ = field(rng, n_stars=30)
        star = np.repeat(np.arange(30), np.diff(batch.offsets))
        wild = batch.with_columns(
            value=batch.value + (star % 10 == 0) * rng.normal(0, 0.5, batch.n_points)
        )
        result = EnsembleTrend().fit_transform(wild)
        assert scatter(result) < 1.3 * NOISE

    def test_constant_and_negative_and_flagged_curves(self, rng):
        batch, _ = field(rng)
        step = EnsembleTrend().fit(batch)
        flat = batch[:1].with_columns(value=np.full(batch[:1].n_points, 3.0))
        np.testing.assert_array_equal(step.transform(flat).value, 3.0)
        flux = batch[:1].with_columns(value=-batch[:1].value, meta=Meta(quantity="flux", unit="x"))
        with pytest.raises(DataError, match="positive level"):
            step.transform(flux)
        gone = batch[:1].with_columns(flags=np.full(batch[:1].n_points, 2, np.uint32))
        with pytest.raises(DataError, match="usable points, has none"):
            step.transform(gone)

    def test_a_lonely_epoch_is_not_corrected(self, rng):
        """Too few stars at an epoch: nothing is learned there and nothing is changed."""
        batch, _ = field(rng)
        time = batch.time.copy()
        time[:3] = [56000.0, 56001.0, 56002.0]
        alone = batch.with_columns(time=time)
        result = EnsembleTrend().fit_transform(alone)
        assert np.isnan(result.points["trend"][:3]).all()
        np.testing.assert_array_equal(result.value[:3], alone.value[:3])
        assert np.isfinite(result.points["trend_err"][3:]).mean() > 0.9

    def test_settings(self):
        with pytest.raises(ConfigError, match=r"tolerance must be positive.*folds must be a whole"):
            EnsembleTrend(tolerance=0, folds=1).check()
        with pytest.raises(ConfigError, match="method must be"):
            EnsembleTrend(method="pca").check()
        with pytest.raises(ConfigError, match="removal must be"):
            EnsembleTrend(removal="add").check()


@pytest.mark.slow
def test_on_real_catalina_stars(data_dir, monkeypatch):
    """Injected clouds leave a field of real variables, whose amplitudes stay."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    bench = importlib.import_module("detrend_ensemble")

    stars = bench.fields(data_dir, 3, 1)[0]
    clean_scatter, clean_amplitude = bench.measure(stars)
    result = EnsembleTrend().fit_transform(bench.inject(stars, 5))
    left, amplitude = bench.measure(result)
    assert np.median(left / clean_scatter) < 1.2
    assert np.median(amplitude / clean_amplitude) == pytest.approx(1.0, abs=0.05)


def test_a_star_of_nothing_but_events_teaches_nothing():
    time = np.arange(30.0)
    batch = LightCurveBatch.from_curves([(time, time + 9, np.ones(30))])
    batch = batch.with_columns(flags=np.full(30, int(PointFlag.EVENT), np.uint32))
    with pytest.raises(DataError, match="EnsembleTrend needs at least 2 stars that share epochs"):
        EnsembleTrend().fit(batch)

"""The battery that every step of the package goes through.

`steps` are found by `astroprep.pipeline.steps.all_steps`, so a new step is tested from its first
day. Each runs with its defaults on curves that any step can serve.
"""

from __future__ import annotations

import contextlib
import pickle
import tomllib
from typing import get_type_hints

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.pipeline.steps import all_steps

STEPS = all_steps()


def curve(rng, n, period=0.61):
    time = np.sort(rng.uniform(55000.0, 55400.0, n))
    mag = 15.0 + 0.4 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.02, n)
    return time, mag, np.full(n, 0.02)


def batch_of(curves):
    n = len(curves)
    return LightCurveBatch.from_curves(
        curves,
        ids=[f"star-{i}" for i in range(n)],
        objects={
            "period": np.full(n, 0.61),
            "catalogue_period": np.full(n, 0.61),
            "ra": np.linspace(10.0, 20.0, n),
            "dec": np.zeros(n),
        },
    )


def make(step):
    return step(**step.example) if hasattr(step, "example") else step()


@pytest.fixture
def batch(rng):
    return batch_of([curve(rng, n) for n in (80, 45, 120)])


def same(a, b):
    np.testing.assert_array_equal(a.offsets, b.offsets)
    for name in ("time", "value", "error", "flags", "weight"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for kind in ("points", "objects"):
        assert set(getattr(a, kind)) == set(getattr(b, kind))
        for name, column in getattr(a, kind).items():
            np.testing.assert_array_equal(column, getattr(b, kind)[name], err_msg=name)


def ready(step, batch):
    """The step, fitted, with the columns that it needs already there."""
    return make(step).fit(batch)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
class TestEveryStep:
    def test_batch_equals_one_by_one(self, step, batch):
        fitted = ready(step, batch)
        whole = fitted.transform(batch)
        parts = [fitted.transform(batch[i]) for i in range(batch.n_curves)]
        same(whole, LightCurveBatch.concat(parts))

    def test_objects_are_neither_lost_nor_invented(self, step, rng, batch):
        nothing = batch_of([])
        dirty = batch_of(
            [
                curve(rng, 60),
                ([], [], []),
                ([55000.0], [15.0], [0.1]),
                ([55000.0] * 8, [15.0] * 8, [0.1] * 8),
                ([55000.0] * 9, np.arange(9.0), [0.1] * 9),
                (np.full(7, np.nan), np.full(7, np.nan), np.full(7, np.nan)),
                (np.arange(6.0), [1.0, np.inf, -np.inf, np.nan, 2.0, 3.0], [0.0, -1, 1, 1, 1, 1]),
                (curve(rng, 30)[0], np.full(30, 15.0), np.full(30, 0.02)),
                (curve(rng, 30)[0][::-1], -curve(rng, 30)[1], np.full(30, 1e-30)),
                (np.append(curve(rng, 29)[0], -2409998.5), np.full(30, 15.0), np.full(30, 0.1)),
                (55000.0 + np.linspace(0, 0.2, 20), 15 + np.arange(20) * 0.01, np.full(20, 0.01)),
                (curve(rng, 30)[0], curve(rng, 30)[1] * 1e30, np.full(30, 1e28)),
            ]
        )
        rejecting = ready(step, batch).set_params(on_bad="reject")
        for given in (dirty, nothing, batch[:0]):
            result = rejecting.transform(given)
            assert result.n_objects == given.n_objects
            rows = np.concatenate([result.objects["row"], result.rejected.row])
            assert sorted(rows) == list(range(given.n_objects))
            assert all(result.rejected.reason)
            for name, column in result.objects.items():
                if name == "period":
                    assert np.isfinite(column).all()

    def test_needs_are_exact_and_named(self, step, rng, batch):
        fitted = ready(step, batch)
        least = step.needs.min_points
        if least > 1:
            short = batch_of([curve(rng, 60), curve(rng, least - 1)])
            with pytest.raises(DataError, match=rf"{step.__name__} needs .*'star-1' \(curve 1\)"):
                fitted.transform(short)
            rejected = clone(fitted).set_params(on_bad="reject").fit(batch).transform(short)
            assert rejected.rejected.id.tolist() == ["star-1"]
            assert rejected.rejected.step.tolist() == [step.__name__]
        # at the limit the needs are met; what the step itself then refuses has its own reason
        enough = batch_of([curve(rng, max(least, 1))])
        assert not step.needs.unmet(enough)[0]
        for name in step.needs.objects:
            without = {k: v for k, v in batch.objects.items() if k != name}
            bare = LightCurveBatch(
                time=batch.time,
                value=batch.value,
                error=batch.error,
                offsets=batch.offsets,
                objects=without,
            )
            with pytest.raises(DataError, match=f"needs the column '{name}'"):
                fitted.transform(bare)
        if step.needs.errors:
            bare = batch.with_columns(error=np.full(batch.n_points, np.nan))
            with pytest.raises(DataError, match="positive error"):
                fitted.transform(bare)

    def test_read_only_inputs_survive(self, step, batch):
        before = {name: getattr(batch, name).copy() for name in ("time", "value", "error", "flags")}
        ready(step, batch).transform(batch)
        for name, column in before.items():
            np.testing.assert_array_equal(getattr(batch, name), column)
        assert "fitted_" not in vars(make(step))

    def test_the_order_of_the_points_does_not_matter(self, step, rng, batch):
        shuffled, where = [], []
        for i in range(batch.n_curves):
            part = slice(*batch.offsets[i : i + 2])
            order = rng.permutation(part.stop - part.start)
            where.append(order + part.start)
            shuffled.append(
                (batch.time[part][order], batch.value[part][order], batch.error[part][order])
            )
        fitted = ready(step, batch)
        plain, mixed = fitted.transform(batch), fitted.transform(batch_of(shuffled))
        index = np.concatenate(where)
        if not getattr(step, "keeps_points", True):  # a result of its own points, in time order
            index = np.arange(plain.n_points)
        np.testing.assert_array_equal(plain.flags[index], mixed.flags)
        np.testing.assert_allclose(plain.value[index], mixed.value, rtol=1e-12)
        for name, column in plain.objects.items():
            np.testing.assert_array_equal(column, mixed.objects[name], err_msg=name)

    def test_scikit_learns_rules(self, step, batch):
        fresh = make(step)
        assert clone(fresh).get_params() == fresh.get_params()
        assert fresh.get_params()["on_bad"] == "raise"
        same(make_pipeline(clone(fresh)).fit_transform(batch), ready(step, batch).transform(batch))
        fitted = ready(step, batch)
        same(pickle.loads(pickle.dumps(fitted)).transform(batch), fitted.transform(batch))
        with pytest.raises(ConfigError, match="on_bad must be"):
            make(step).set_params(on_bad="ignore").fit(batch)

    def test_state_and_settings_make_the_step_again(self, step, batch):
        from astroprep.pipeline.steps import step_from_table, step_to_table

        fitted = ready(step, batch)
        table = step_to_table(fitted)
        text = "\n".join(f"{key} = {toml_value(value)}" for key, value in table.items())
        again = step_from_table(tomllib.loads(text)).load_state(fitted.state())
        assert step_to_table(again) == table
        same(again.transform(batch), fitted.transform(batch))

    @pytest.mark.parametrize("wrong", ["three", None, (1, 2), np.nan, np.inf, True, -1, 2.5, {}])
    def test_a_setting_is_accepted_or_one_clear_error(self, step, wrong):
        """Whatever a setting is given, no comparison of a text with a number gets out."""
        for name, hint in get_type_hints(step.__init__).items():
            if name == "return":
                continue
            given = make(step).set_params(**{name: wrong})
            with contextlib.suppress(ConfigError):
                given.check()
                assert not (hint is float and (isinstance(wrong, str | bool) or wrong != wrong))
                assert not (hint is int and isinstance(wrong, float | bool))
                assert hint is not bool or wrong is True


def toml_value(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return repr(value)

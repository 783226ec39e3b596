"""Imputation: against formulae and least squares, honest errors, limits, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.clean import FlagBad, Impute
from astroprep.clean.harmonic_series import harmonic_at
from astroprep.clean.local_line import local_linear_at
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError

IMPUTED = int(PointFlag.IMPUTED)
MISSING = int(PointFlag.MISSING_VALUE)


def dense(rng, n=400, noise=1e-3, model=lambda t: 1.0 + 0.01 * t):
    time = np.arange(n) * 0.02
    return time, model(time) + rng.normal(0, noise, n), np.full(n, noise)


def batch_of(curves, period=None):
    objects = {} if period is None else {"period": np.asarray(period, float)}
    return LightCurveBatch.from_curves(curves, objects=objects, meta=Meta(quantity="flux"))


def hide(batch, index):
    value, flags = batch.value.copy(), batch.flags.copy()
    value[index] = np.nan
    flags[index] |= np.uint32(MISSING)
    return batch.with_columns(value=value, flags=flags)


def is_imputed(batch):
    return (batch.flags & IMPUTED) > 0


class TestAgainstTruth:
    def test_a_straight_line_comes_back_exactly(self, rng):
        """Analytic: without noise a line is a line, whatever the weights."""
        time, value, _ = dense(rng, noise=0.0)
        whole = batch_of([(time, value, rng.uniform(0.1, 2.0, 400))])
        gone = [50, 51, 200]

        result = Impute().transform(hide(whole, gone))

        np.testing.assert_allclose(result.value, whole.value, rtol=1e-12)
        assert np.flatnonzero(is_imputed(result)).tolist() == gone
        assert result.objects["n_imputed"].tolist() == [3]
        assert result.objects["n_left_missing"].tolist() == [0]

    def test_a_series_of_four_harmonics_comes_back_exactly(self, rng):
        time = np.sort(rng.uniform(0, 300, 200))
        turn = 2 * np.pi * time / 0.61
        value = 15 + sum(0.3 / k * np.cos(k * turn + k) for k in range(1, 5))
        whole = batch_of([(time, value, rng.uniform(0.01, 0.05, 200))], [0.61])
        gone = np.arange(3, 190, 20)

        result = Impute(method="harmonic").transform(hide(whole, gone))

        np.testing.assert_allclose(result.value, whole.value, rtol=1e-9)
        assert is_imputed(result).sum() == gone.size

    def test_the_line_equals_weighted_least_squares(self, rng):
        """Brute force: numpy.polyfit on the window; errors honest, so no scatter is added."""
        time = np.sort(rng.uniform(0, 1.0, 12))
        error = rng.uniform(0.5, 1.5, 12)
        value = 3.0 + time + 0.01 * rng.normal(size=12)  # far below its errors
        offsets, t = np.array([0, 12]), np.array([0.5])

        at, sigma, quoted = local_linear_at(
            time, value, error, offsets, t, np.array([0, 1]), 4.0, 4.0, 3
        )

        (_, level), covariance = np.polyfit(time - 0.5, value, 1, w=1 / error, cov="unscaled")
        assert at[0] == pytest.approx(level, rel=1e-10)
        assert quoted[0] == pytest.approx(np.mean(error**-2.0) ** -0.5)
        assert sigma[0] == pytest.approx(np.sqrt(covariance[1, 1] + quoted[0] ** 2), rel=1e-10)

    def test_the_series_equals_weighted_least_squares(self, rng):
        time, error = np.sort(rng.uniform(0, 30, 18)), rng.uniform(0.5, 1.5, 18)
        value = 3.0 + np.sin(2 * np.pi * time / 1.7) + 0.01 * rng.normal(size=18)
        t = np.array([11.3, 4.4])

        at, sigma, quoted = harmonic_at(
            time, value, error, np.array([0, 18]), t, np.array([0, 2]), np.array([1.7]), 2, 1.0, 3
        )

        def design(x):
            turn = 2 * np.pi * (x - time[0]) / 1.7
            return np.stack([x**0, *(f(k * turn) for k in (1, 2) for f in (np.cos, np.sin))], 1)

        matrix = design(time) / error[:, None]
        covariance = np.linalg.inv(matrix.T @ matrix)
        model = design(t) @ covariance @ matrix.T @ (value / error)
        np.testing.assert_allclose(at, model, rtol=1e-9)
        variance = np.einsum("ij,jk,ik->i", design(t), covariance, design(t))
        np.testing.assert_allclose(sigma, np.sqrt(variance + quoted**2), rtol=1e-9)


class TestCoverage:
    """Hide known points: 68 % of them lie within the stated error, give or take 5 %."""

    @pytest.mark.parametrize("ratio", [1.0, 2.0, 0.5, None], ids=["honest", "x2", "x0.5", "none"])
    @pytest.mark.parametrize("period", [1.0, 5.0])
    def test_of_the_line(self, rng, ratio, period):
        """Errors honest, too small, too large, unknown; stars that a line can and cannot follow."""
        curves = []
        for _ in range(20):
            time, value, _ = dense(
                rng, 800, model=lambda t: 1 + 0.01 * np.sin(2 * np.pi * t / period)
            )
            error = None if ratio is None else np.full(800, 1e-3 / ratio)
            curves.append((time, value, error))
        whole = batch_of(curves)
        gone = rng.random(whole.n_points) < 0.05

        result = Impute().transform(hide(whole, gone))

        made = is_imputed(result)
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert made.sum() > 0.95 * gone.sum()
        assert np.mean(np.abs(deviation) < 1) == pytest.approx(0.6827, abs=0.05)

    def test_of_the_line_in_gaps(self, rng):
        """Runs of five hidden points of a star that bends within them: honest, though not tight."""
        curves = [
            dense(rng, 800, model=lambda t: 1 + 0.05 * np.sin(2 * np.pi * t / 0.4))
            for _ in range(20)
        ]
        whole = batch_of(curves)
        gone = (np.arange(whole.n_points) + rng.integers(0, 100)) % 100 < 5

        result = Impute().transform(hide(whole, gone))

        made = is_imputed(result)
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert made.sum() > 0.9 * gone.sum()
        assert np.mean(np.abs(deviation) < 1) > 0.6327

    @pytest.mark.parametrize("ratio", [1.0, 2.0, 0.5, None], ids=["honest", "x2", "x0.5", "none"])
    @pytest.mark.parametrize("shape", ["smooth", "eclipse"])
    def test_of_the_series(self, rng, ratio, shape):
        curves, periods = [], rng.uniform(0.3, 5.0, 100)
        for period in periods:
            time = np.sort(rng.uniform(0, 500, 150))
            phase = time / period % 1
            model = (
                0.3 * np.sin(2 * np.pi * phase)
                if shape == "smooth"
                else 0.5 * (np.abs(phase - 0.5) < 0.04)
            )
            value = 15 + model + rng.normal(0, 0.02, 150)
            curves.append((time, value, None if ratio is None else np.full(150, 0.02 / ratio)))
        whole = batch_of(curves, periods)
        gone = rng.random(whole.n_points) < 0.1

        result = Impute(method="harmonic").transform(hide(whole, gone))

        made = is_imputed(result)
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert np.mean(np.abs(deviation) < 1) == pytest.approx(0.6827, abs=0.05)

    def test_on_catalina_stars(self, data_dir, rng):
        """Real photometry, whose quoted errors are twice the scatter of bright stars."""
        import pyarrow.parquet as pq

        from astroprep.interchange import from_arrow

        table = pq.read_table(data_dir / "crts_south.parquet", columns=["lightcurve", "period"])
        table = table.take(np.sort(rng.permutation(table.num_rows)[:600]))
        whole = from_arrow(table["lightcurve"], objects={"period": table["period"].to_numpy()})
        whole = FlagBad().transform(whole)
        gone = (rng.random(whole.n_points) < 0.05) & (whole.flags == 0)

        result = Impute(method="harmonic").transform(hide(whole, gone))

        made = is_imputed(result) & gone
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert made.sum() > 0.9 * gone.sum()
        assert np.mean(np.abs(deviation) < 1) == pytest.approx(0.6827, abs=0.05)

    @pytest.mark.parametrize("mission", ["kepler", "k2", "tess"])
    def test_on_space_photometry(self, data_dir, rng, mission):
        fits = pytest.importorskip("astropy.io.fits")
        curves = []
        for path in sorted((data_dir / "space" / mission).glob("*.fits")):
            with fits.open(path) as file:
                names = file[1].columns.names if len(file) > 1 else []
                if "SAP_FLUX" not in names or "TIME" not in names:
                    continue
                data = file[1].data
                quality = data["SAP_QUALITY" if "SAP_QUALITY" in names else "QUALITY"]
                time, flux, error = (
                    np.array(data[c], float) for c in ("TIME", "SAP_FLUX", "SAP_FLUX_ERR")
                )
            good = np.isfinite(time) & np.isfinite(flux) & (quality == 0)
            curves.append((time[good][:5000], flux[good][:5000], error[good][:5000]))
        whole = batch_of(curves)
        gone = rng.random(whole.n_points) < 0.05

        result = Impute().transform(hide(whole, gone))

        made = is_imputed(result)
        deviation = (whole.value - result.value)[made] / result.error[made]
        assert made.sum() > 0.9 * gone.sum()
        assert np.mean(np.abs(deviation) < 1) == pytest.approx(0.6827, abs=0.05)


class TestFlagsAndWeights:
    def test_reasons_move_and_nothing_else_does(self, rng):
        whole = batch_of([dense(rng)])
        flags = whole.flags.copy()
        flags[[30, 31]] = PointFlag.SURVEY | PointFlag.ESTIMATED_ERROR, PointFlag.SENTINEL
        flags[60] = PointFlag.OUTLIER
        flags[90] = PointFlag.SURVEY | PointFlag.OUTLIER
        before = whole.with_columns(flags=flags)

        result = Impute().transform(before)

        assert result.flags[30] == IMPUTED | PointFlag.ESTIMATED_ERROR
        assert result.flags[31] == IMPUTED
        assert result.points["replaced_flags"][[30, 31]].tolist() == [16, 8]
        assert np.array_equal(np.delete(result.flags, [30, 31]), np.delete(flags, [30, 31]))
        assert np.array_equal(np.delete(result.value, [30, 31]), np.delete(whole.value, [30, 31]))
        assert result.points["replaced_flags"].sum() == 24
        assert result.usable.counts()[0] == 398

    def test_upper_limits_and_bad_times_are_never_filled(self, rng):
        whole = hide(batch_of([dense(rng)]), [30, 60, 90])
        flags, time = whole.flags.copy(), whole.time.copy()
        flags[30] |= np.uint32(PointFlag.UPPER_LIMIT)
        flags[60] |= np.uint32(PointFlag.BAD_TIME)
        time[90] = np.nan

        result = Impute().transform(whole.with_columns(flags=flags, time=time))

        assert not is_imputed(result).any()

    def test_no_imputed_point_counts_for_more_than_a_measurement(self, rng):
        """Errors quoted ten times too large: the imputed error is honest, the weight makes up."""
        time, value, error = dense(rng)
        whole = batch_of([(time, value, 10 * error)])

        result = Impute().transform(hide(whole, [100, 200]))

        usable = result.usable
        at = np.isin(usable.index, [100, 200])
        assert (result.error[[100, 200]] < 0.3 * 10 * error[0]).all()
        np.testing.assert_allclose(usable.error[at], 10 * error[0])

    def test_a_doubted_point_raises_no_error(self, rng):
        """One point of weight 1e-6 in the window, far off: the rest decides."""
        time, value, error = dense(rng)
        value[105] += 1.0
        weight = np.ones(400)
        weight[105] = 1e-6
        whole = hide(batch_of([(time, value, error)]).with_columns(weight=weight), [103])

        result = Impute().transform(whole)

        assert abs(result.value[103] - (1 + 0.01 * time[103])) < 2e-3
        assert result.error[103] < 2e-3

    def test_no_line_is_drawn_next_to_an_event(self, rng):
        """The hidden points beside a flare stay missing; the flare bends no line further off."""
        time, value, error = dense(rng)
        value[200:205] += 1.0
        flags = np.zeros(400, np.uint32)
        flags[200:205] = PointFlag.EVENT
        whole = batch_of([(time, value, error)]).with_columns(flags=flags)

        result = Impute(max_gap=0.3, min_points=4).transform(hide(whole, [199, 202, 205, 208]))

        assert np.flatnonzero(is_imputed(result)).tolist() == [208]
        assert abs(result.value[208] - (1 + 0.01 * time[208])) < 5e-3

    def test_earlier_imputed_points_enter_no_model(self, rng):
        whole = batch_of([dense(rng)])
        once = Impute().transform(hide(whole, [100]))
        value = once.value.copy()
        value[100] = 1e6

        twice = Impute().transform(hide(once.with_columns(value=value), [102]))

        assert abs(twice.value[102] - whole.value[102]) < 0.01


class TestLimits:
    def test_nothing_beyond_the_ends(self, rng):
        whole = batch_of([dense(rng)])
        gone = [0, 1, 399]

        linear = Impute().transform(hide(whole, gone))
        harmonic = Impute(method="harmonic").transform(
            hide(whole, gone).with_columns(objects={"period": np.array([2.1])})
        )

        for result in (linear, harmonic):
            assert not is_imputed(result).any()
            assert result.objects["n_left_missing"].tolist() == [3]
            assert np.isnan(result.value[gone]).all()

    @pytest.mark.parametrize(("length", "filled"), [(10, True), (12, True), (13, False)])
    def test_no_bridge_over_a_longer_gap(self, rng, length, filled):
        """Half the window of 0.5 d is 12.5 cadences of 0.02 d; n missing make a gap of n + 1."""
        whole = batch_of([dense(rng)])
        gone = np.arange(100, 100 + length - 1)

        result = Impute().transform(hide(whole, gone))

        assert is_imputed(result)[gone].all() == filled
        assert is_imputed(result)[gone].any() == filled

    def test_no_bridge_over_a_gap_of_phase(self, rng):
        time = np.sort(rng.uniform(0, 100, 600))
        phase = time % 1
        whole = batch_of([(time, np.sin(2 * np.pi * phase), np.full(600, 0.01))], [1.0])
        gone = (phase > 0.4) & (phase < 0.6)

        result = Impute(method="harmonic").transform(hide(whole, gone))

        assert not is_imputed(result).any()

    def test_ground_sampling_is_too_sparse_for_the_line(self, make_batch):
        result = Impute().transform(hide(make_batch(2), [5, 70]))

        assert not is_imputed(result).any()
        assert result.objects["n_left_missing"].tolist() == [1, 1]


class TestBadInput:
    @pytest.mark.parametrize("method", ["linear", "harmonic"])
    def test_what_cannot_be_filled_is_left(self, method):
        nan = np.nan
        n = 40
        time = np.arange(n) * 0.02
        curves = [
            ([], [], []),
            ([1.0], [nan], [nan]),
            (time, np.full(n, nan), np.full(n, nan)),
            (np.full(n, nan), np.full(n, 1.0), np.full(n, 1.0)),
            (np.zeros(n), np.append(np.ones(n - 1), nan), np.full(n, 0.1)),  # one time
            (time, np.where(np.arange(n) == 20, nan, 1.0), None),  # constant, no errors
        ]
        whole = batch_of(curves, np.full(len(curves), 0.3))

        result = Impute(method=method).transform(whole)

        assert not is_imputed(result).any()
        assert np.array_equal(result.value, whole.value, equal_nan=True)
        assert result.objects["n_imputed"].sum() == 0

    @pytest.mark.parametrize(
        "settings", [{}, {"where": "cadence"}, {"method": "harmonic"}, {"window": 1e6}]
    )
    def test_no_garbage_gets_through(self, rng, settings):
        """Whatever comes in, an imputed point is finite and its error positive."""
        n = 30
        odd = [-np.inf, np.inf, np.nan, 0.0, 1e300, -1e300, 1e-300, 55000.0]
        curves = [
            tuple(np.where(rng.random(n) < 0.3, rng.choice(odd, n), x) for x in (t, v, e))
            for t, v, e in (dense(rng, n) for _ in range(40))
        ]
        whole = batch_of(curves, rng.choice([1e-300, 0.3, 1e300, 0.0], 40))
        whole = whole.with_columns(weight=rng.choice([0.0, 1e-12, 0.5, 1.0], whole.n_points))

        result = Impute(on_bad="reject", **settings).transform(whole)

        made = is_imputed(result)
        assert result.n_objects == 40
        assert np.isfinite(result.value[made]).all()
        assert (result.error[made] > 0).all()
        assert np.isfinite(result.error[made]).all()
        assert ((result.weight[made] > 0) & (result.weight[made] <= 1)).all()

    def test_a_constant_curve_with_errors_stays_constant(self):
        time = np.arange(40) * 0.02
        whole = batch_of([(time, np.full(40, -3.0), np.full(40, 0.1))])

        result = Impute().transform(hide(whole, [20]))

        assert result.value[20] == -3.0
        assert 0 < result.error[20] <= 0.11

    @pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
    def test_absurd_units(self, rng, scale):
        time, value, error = dense(rng)
        plain = Impute().transform(hide(batch_of([(time, value, error)]), [100]))

        scaled = Impute().transform(hide(batch_of([(time, value * scale, error * scale)]), [100]))

        assert scaled.value[100] == pytest.approx(plain.value[100] * scale)
        assert scaled.error[100] == pytest.approx(plain.error[100] * scale)

    def test_a_bad_period_is_refused_or_left(self, make_batch):
        batch = hide(make_batch(3), [5, 65, 125])
        batch = batch.with_columns(objects={"period": np.array([0.61, np.nan, -1.0])})

        with pytest.raises(DataError, match="Impute needs a finite 'period': 'star-1'"):
            Impute(method="harmonic").transform(batch)
        result = Impute(method="harmonic", max_phase_gap=0.5, on_bad="reject").transform(batch)
        assert result.rejected.id.tolist() == ["star-1"]
        assert result.objects["n_imputed"].tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"method": "spline"}, "method must be"),
            ({"where": "gaps"}, "where must be"),
            ({"window": 0.0, "max_gap": -1.0}, "window must be positive.*max_gap must be"),
            ({"n_harmonics": 0}, "n_harmonics must be a whole number"),
            ({"min_points": 1}, "min_points must be a whole number, 2 or more"),
            ({"reasons": ("survy",)}, "did you mean 'survey'"),
        ],
    )
    def test_settings_are_checked(self, make_batch, wrong, said):
        with pytest.raises(ConfigError, match=said):
            Impute(**wrong).transform(make_batch(1))


class TestProperties:
    @pytest.mark.parametrize("method", ["linear", "harmonic"])
    def test_imputing_nothing_changes_nothing(self, make_batch, method):
        batch = make_batch(3)

        result = Impute(method=method).transform(batch)

        for name in ("time", "value", "error", "flags", "weight", "offsets"):
            assert np.array_equal(getattr(result, name), getattr(batch, name)), name
        assert not result.points["replaced_flags"].any()

    @settings(max_examples=25, deadline=None)
    @given(
        shift=st.floats(-1e4, 1e4),
        level=st.floats(-1e3, 1e3),
        gain=st.floats(1e-3, 1e3),
        seed=st.integers(0, 99),
    )
    def test_shifts_and_gains_pass_through(self, shift, level, gain, seed):
        rng = np.random.default_rng(seed)
        time, value, error = dense(rng, 120)
        gone = rng.choice(np.arange(10, 110), 5, replace=False)

        plain = Impute().transform(hide(batch_of([(time, value, error)]), gone))
        moved = Impute().transform(
            hide(batch_of([(time + shift, gain * value + level, gain * error)]), gone)
        )

        np.testing.assert_array_equal(plain.flags, moved.flags)
        np.testing.assert_allclose(
            moved.value, gain * plain.value + level, atol=1e-6 * gain, rtol=1e-9
        )
        np.testing.assert_allclose(moved.error, gain * plain.error, rtol=1e-3)

    @pytest.mark.parametrize("method", ["linear", "harmonic"])
    def test_the_order_of_points_and_other_curves_do_not_matter(self, rng, method):
        curves = [dense(rng, 200), dense(rng, 90)]
        whole = hide(batch_of(curves, [1.3, 2.2]), [50, 51, 130, 250])
        order = np.concatenate([rng.permutation(200), 200 + rng.permutation(90)])
        mixed = whole.with_columns(
            time=whole.time[order],
            value=whole.value[order],
            error=whole.error[order],
            flags=whole.flags[order],
        )
        step = Impute(method=method)

        straight, shuffled = step.transform(whole), step.transform(mixed)
        alone = step.transform(whole[1])

        assert is_imputed(straight).sum() == 4
        np.testing.assert_array_equal(straight.value[order], shuffled.value)
        np.testing.assert_array_equal(straight.error[200:], alone.error)

    def test_a_tuple_of_arrays_is_enough(self, rng):
        time, value, error = dense(rng)
        value[77] = np.nan

        assert np.isfinite(Impute().transform((time, value, error)).value).all()

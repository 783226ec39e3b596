"""OutlierMixture: far single points lose their weight, coherent events keep it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from astroprep.clean import FlagBad, OutlierMixture
from astroprep.clean.level import folded_level, level_of
from astroprep.clean.markov import stay_probability
from astroprep.clean.mixture_model import broad_bell, broad_densities, maximise_posterior, step_up
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey
from astroprep.synthetic import simulate_survey

EVENT, OUTLIER = int(PointFlag.EVENT), int(PointFlag.OUTLIER)


@pytest.fixture
def nights(rng):
    """Times of 60 nights with four exposures and quiet magnitudes."""
    time = 55000 + np.repeat(np.arange(60.0), 4) + np.tile(np.arange(4) * 0.007, 60)
    return time, 15 + rng.normal(0, 0.02, 240)


def fitted(time, value, error=0.02, quantity="mag", objects=None, **options):
    error = None if error is None else np.broadcast_to(error, np.shape(value))
    batch = LightCurveBatch.from_curves(
        [(time, value, error)], meta=Meta(quantity=quantity), objects=objects
    )
    return OutlierMixture(**options).transform(batch)


def probability(*given, **options):
    return fitted(*given, **options).points["outlier_probability"]


class TestWhatIsJunk:
    def test_a_far_single_point(self, nights):
        time, value = nights
        value[[17, 90]] += [0.5, -1.0]
        result = fitted(time, value)
        found = result.points["outlier_probability"]
        assert (found[[17, 90]] > 0.98).all()
        assert np.delete(found, [17, 90]).max() < 0.1
        np.testing.assert_allclose(result.weight, 1 - found)
        assert result.flags.max() == 0  # nothing is cut

    def test_the_further_the_surer_and_never_certain(self, nights):
        time, value = nights
        level, found = np.median(value), []
        for size in (0.02, 0.06, 0.08, 0.1, 0.15, 0.3, 3.0, 1e6, 1e30):
            value[17] = level + size
            found.append(probability(time, value)[17])
        assert found[0] < 0.01
        assert (np.diff(found[:5]) > 0).all()
        assert min(found[5:]) > 0.98
        assert max(found) <= 1 - 1e-6

    def test_junk_in_an_eclipse(self, nights):
        """A bright point among faint ones is no part of the eclipse."""
        time, value = nights
        value[80:88] += 0.6
        value[85] -= 1.2
        found = probability(time, value)
        assert found[85] > 0.9
        assert np.delete(found[80:88], 5).max() < 0.1

    def test_dense_cadence(self, rng):
        time = np.arange(3000) / 720
        flux = rng.normal(1, 1e-3, 3000)
        flux[[500, 1500]] += [8e-3, -8e-3]
        found = probability(time, flux, 1e-3, quantity="flux")
        assert (found[[500, 1500]] > 0.99).all()
        assert (found > 0.5).sum() == 2

    def test_flag_above(self, nights):
        time, value = nights
        value[17] += 0.5
        assert np.flatnonzero(fitted(time, value, flag_above=0.9).flags & OUTLIER) == [17]


class TestWhatIsKept:
    def test_flare_of_five_points(self, rng):
        time = np.arange(2000) / 48
        flux = rng.normal(1, 1e-3, 2000)
        flux[700:705] += np.array([9, 30, 14, 8, 5]) * 1e-3
        result = fitted(time, flux, 1e-3, quantity="flux")
        assert result.points["outlier_probability"][700:705].max() < 0.05
        assert (result.points["event_probability"][700:704] > 0.9).all()
        assert (result.flags[700:704] & EVENT > 0).all()
        assert result.usable.time.size == 2000  # EVENT is informative
        assert np.delete(result.flags, range(699, 706)).max() == 0
        none = fitted(time, flux, 1e-3, quantity="flux", mark_events=1.0)
        assert none.flags.max() == 0

    def test_eclipse_and_dip_of_days(self, nights):
        time, value = nights
        value[40:44] += 0.6
        value[120:160] += 0.3 + 0.1 * np.sin(np.arange(40))
        found = probability(time, value)
        assert found[40:44].max() < 0.05
        assert found[120:160].max() < 0.05

    def test_two_together_are_doubtful_three_are_not(self, rng):
        time = np.arange(3000) / 720
        flux = rng.normal(1, 1e-3, 3000)
        flux[100] += 0.02
        flux[500:502] += 0.02
        flux[1500:1503] += 0.02
        found = probability(time, flux, 1e-3, quantity="flux")
        assert found[100] > 0.95
        assert 0.05 < found[500:502].min() < 0.95
        assert found[1500:1503].max() < 0.02

    def test_large_errors_excuse(self, nights):
        time, value = nights
        error = np.full(240, 0.02)
        value[17] += 0.5
        error[17] = 0.25
        assert probability(time, value, error)[17] < 0.02

    def test_pulsation_is_jitter(self, nights):
        time, value = nights
        value = value + 0.5 * np.sin(2 * np.pi * time / 0.617)
        assert probability(time, value).max() < 0.1

    def test_slow_trend_with_a_window(self, nights):
        time, value = nights
        value = value + 2 * np.sin(time / 15)
        value[101] += 0.8
        found = probability(time, value, window=5.0)
        assert found[101] > 0.95
        assert np.delete(found, 101).max() < 0.5


class TestWithPeriod:
    @pytest.fixture
    def binary(self, rng):
        """One point a night, eclipses of 0.8 mag in 0.08 of 2.37 days; strays out of eclipse."""
        time = 55000 + np.arange(600.0) + rng.uniform(-0.2, 0.2, 600)
        phase = (time - 55000) / 2.37 % 1
        depth = np.clip(1.4 - np.minimum(phase, 1 - phase) / 0.04, 0, 1)
        value = 15 + 0.8 * depth + rng.normal(0, 0.02, 600)
        eclipsed = np.flatnonzero(depth > 0.2)
        strays = np.flatnonzero(np.abs(phase - 0.5) < 0.3)[[10, 60, 150, 222]]
        value[strays] += [0.8, -0.5, 0.4, 1.5]
        return time, value, eclipsed, strays

    def found(self, time, value, period):
        return probability(time, value, objects={"period": np.array([period])}, period="period")

    def test_eclipses_are_kept_and_strays_found(self, binary):
        time, value, eclipsed, strays = binary
        found = self.found(time, value, 2.37)
        assert found[strays].min() > 0.7
        assert (found[eclipsed] > 0.5).mean() < 0.03

    @pytest.mark.parametrize("period", [np.nan, 0.0, 3.1234])
    def test_no_period_or_a_wrong_one_does_not_eat_them(self, binary, period):
        time, value, eclipsed, _ = binary
        assert (self.found(time, value, period)[eclipsed] > 0.5).mean() < 0.03

    def test_column(self, nights):
        with pytest.raises(DataError, match="OutlierMixture needs the periods in the column 'p'"):
            fitted(*nights, period="p")

    def test_folded_level_goes_around_the_circle(self):
        phase = np.arange(200) / 200
        shape = np.cos(2 * np.pi * phase)
        level = folded_level(phase, shape, np.array([0, 200]))
        np.testing.assert_allclose(level, shape, atol=2e-3)

    def test_blur_is_the_scatter_of_a_phase(self, rng):
        """Half the turn scatters four times as much."""
        time, phase = np.arange(2000) * 0.37, np.arange(2000) * 0.37 % 1
        value = rng.normal(0, np.where(phase < 0.5, 1.0, 4.0))
        batch = LightCurveBatch.from_curves([(time, value, None)])
        blur = level_of(batch.usable, None, 1.0, np.array([1.0])).blur
        here = phase[batch.usable.index]
        assert np.median(blur[here > 0.5]) == pytest.approx(np.sqrt(16 - 2.1), rel=0.2)
        assert np.median(blur[here < 0.5]) == 0


class TestTheModel:
    @pytest.mark.parametrize("spread", [5.0, 10.0])
    def test_densities_are_normalised(self, spread):
        density = lambda u: step_up(u) * broad_bell(u, spread)  # noqa: E731
        total = quad(density, -200, 200, points=[0, 2], limit=200)[0]
        tail = spread / np.pi * (2 / 198) * 1.0  # a Cauchy tail, doubled on one side
        assert total + tail == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize("case", range(6))
    def test_the_fit_never_falls(self, rng, case):
        n = int(rng.integers(20, 600))
        time = np.sort(rng.uniform(0, 20, n))
        z = rng.standard_t(2, n) * rng.choice([0.5, 3.0])
        z[n // 3 : n // 3 + 6] += 9
        variance = rng.uniform(0.2, 3.0, n) if case % 2 else np.zeros(n)
        prior = np.array([0.5, 0.002, 0.001, 0.98, 0.01, 0.01, 60.0])
        theta, broad = prior[:6].copy(), np.empty((n, 4))
        broad_densities(z, variance, 0.5, 10.0, 5.0, broad)
        history = maximise_posterior(
            z, variance, broad, np.zeros((n, 2)), stay_probability(time, 0.25), prior, 200, theta,
            np.empty((n, 3)), np.empty(n), np.empty(n), np.empty((n, 3)),
        )  # fmt: skip
        assert history.size > 2
        assert np.diff(history).min() > -1e-9 * abs(history[0])
        assert theta[3:].sum() == pytest.approx(1)
        assert (theta > 0).all()

    def test_learns_the_jitter_and_the_rates(self, rng):
        """5 % junk and a jitter of 0.05 mag beyond errors of 0.02."""
        time = np.arange(4000) * 0.02
        value = rng.normal(15, np.hypot(0.05, 0.02), 4000)
        junk = rng.random(4000) < 0.05
        value[junk] += rng.choice([-1, 1], junk.sum()) * rng.uniform(0.5, 3, junk.sum())
        result = fitted(time, value)
        assert result.objects["outlier_rate"][0] == pytest.approx(0.05, rel=0.15)
        assert result.objects["event_rate"][0] < 0.01
        assert ((result.points["outlier_probability"] > 0.5) == junk).mean() > 0.995

    @pytest.mark.parametrize("seed", range(3))
    def test_probabilities_are_calibrated_where_the_model_holds(self, seed):
        """Drawn from the model's own densities: of points with p, a part p is junk."""
        rng = np.random.default_rng(seed)
        n = 40_000
        time = np.arange(n) * 0.02
        junk = rng.random(n) < 0.02
        size = 2 + 10 * np.abs(np.tan(np.pi * (rng.random(n) - 0.5)))
        z = rng.normal(0, 1, n)
        z[junk] = (size * rng.choice([-1, 1], n))[junk]
        found = probability(time, z, 1.0)
        for low, high in ((0.1, 0.5), (0.5, 0.9)):
            here = (found > low) & (found < high)
            expected, part = found[here].mean(), junk[here].mean()
            assert here.sum() > 15
            assert abs(expected - part) < 3 * np.sqrt(0.25 / here.sum()) + 0.1


class TestInvariance:
    @pytest.mark.parametrize(
        ("shift", "offset", "gain"), [(0.0, 4.0, 1.0), (0.0, 0.0, 8.0), (-1024.0, 0.0, 1.0)]
    )
    def test_units_do_not_matter(self, nights, shift, offset, gain):
        time, value = (np.round(part * 1024) / 1024 for part in nights)
        value[[17, 90, 130]] += [0.5, -0.5, 0.125]
        plain = probability(time, value, 0.03125)
        other = probability(time + shift, (value + offset) * gain, 0.03125 * gain)
        np.testing.assert_allclose(other, plain, rtol=1e-9, atol=1e-12)

    def test_up_and_down_are_alike(self, nights):
        time, value = nights
        value[[17, 90]] += [0.5, -0.3]
        np.testing.assert_allclose(probability(time, -value), probability(time, value), rtol=1e-9)

    def test_order_does_not_matter(self, nights, rng):
        time, value = nights
        value[17] += 0.5
        order = rng.permutation(240)
        np.testing.assert_array_equal(
            probability(time[order], value[order]), probability(time, value)[order]
        )


class TestBadInput:
    @pytest.mark.parametrize("n", range(5))
    def test_few_points_are_left_alone(self, n):
        result = fitted(np.arange(n), np.arange(n) * 100.0)
        assert (result.weight == 1).all()
        assert (result.points["outlier_probability"] == 0).all()
        assert np.isfinite(result.objects["outlier_rate"]).all()

    @pytest.mark.parametrize("error", [None, 0.0, -1.0, 0.02, np.inf])
    def test_constant_curves_and_any_error(self, error):
        result = fitted(np.arange(50) * 0.01, np.full(50, 15.0), error)
        assert result.points["outlier_probability"].max() < 0.01
        value = np.full(50, 15.0)
        value[20] = 16.0
        assert probability(np.arange(50) * 0.01, value, error)[20] > 0.5

    def test_without_errors(self, nights):
        time, value = nights
        value[17] += 0.5
        found = probability(time, value, None)
        assert found[17] > 0.98
        assert np.delete(found, 17).max() < 0.2

    def test_some_errors_missing(self, nights):
        time, value = nights
        error = np.full(240, 0.02)
        error[::3] = np.nan
        error[1::7] = 0
        value[18] += 0.5
        found = probability(time, value, error)
        assert np.isfinite(found).all()
        assert found[18] > 0.98

    def test_errors_far_too_large(self, nights):
        """Quoted ten times too large: the scatter tells better."""
        time, value = nights
        value[17] += 0.5
        assert probability(time, value, 0.2)[17] > 0.98

    def test_negative_flux_and_repeated_times(self, rng):
        flux = rng.normal(-3, 1, 100)
        flux[40] = 60
        found = probability(np.repeat(np.arange(50.0), 2), flux, 1.0, quantity="flux")
        assert found[40] > 0.9

    def test_flagged_points_are_not_judged(self, nights):
        time, value = nights
        value[17], value[18] = np.nan, 99.99
        batch = LightCurveBatch.from_curves([(time, value, np.full(240, 0.02))])
        result = OutlierMixture().transform(FlagBad().transform(batch))
        assert np.isnan(result.points["outlier_probability"][[17, 18]]).all()
        assert (result.weight[[17, 18]] == 1).all()
        assert np.isfinite(result.points["outlier_probability"]).sum() == 238

    def test_overflow_is_refused(self):
        value = np.array([1.7e308] * 6 + [-1.7e308] * 4)
        with pytest.raises(DataError, match=r"OutlierMixture needs values of finite spread: '0'"):
            fitted(np.arange(10.0), value)
        result = fitted(np.arange(10.0), value, on_bad="reject")
        assert len(result.rejected) == 1

    def test_settings(self, nights):
        with pytest.raises(ConfigError, match=r"duration must.*junk_rate must.*max_iterations"):
            fitted(*nights, duration=0, junk_rate=0.7, max_iterations=0)


def test_weights_multiply(nights):
    """A second step takes what the first left."""
    time, value = nights
    value[17] += 0.5
    batch = LightCurveBatch.from_curves([(time, value, np.full(240, 0.02))])
    half = batch.with_columns(weight=np.full(240, 0.5))
    result = OutlierMixture().transform(half)
    np.testing.assert_allclose(result.weight, 0.5 * (1 - result.points["outlier_probability"]))


def test_simulated_strays():
    survey = simulate_survey(300, seed=4)
    truth = survey.points["corruption"]
    step = OutlierMixture(period="period" if "period" in survey.objects else None)
    result = step.set_params(on_bad="reject").transform(FlagBad().transform(survey))
    quiet = np.isin(survey.objects["label"], ["constant", "rotational", "EA", "RRc"])
    here = np.repeat(quiet, np.diff(survey.offsets))
    found = result.points["outlier_probability"] > 0.5
    assert found[here & (truth == OUTLIER)].mean() > 0.75
    assert found[here & (truth == 0)].mean() < 1e-3


class TestRealSurveys:
    def test_eclipses_of_detached_binaries(self, data_dir, rng):
        """Catalina South, training split: faint points where the fold is faint, and strays."""
        names = ColumnNames(period="period")
        batch = next(open_survey(data_dir / "crts_south.parquet", names).iter_batches())
        binary = (batch.objects["label"] == "EA_detached") & (batch.objects["split"] == "train")
        stars = FlagBad().transform(batch.take(np.flatnonzero(binary)[:150]))
        usable, value = stars.usable, stars.value.copy()
        eclipsed = np.zeros(usable.time.size, bool)
        for i, period in enumerate(stars.objects["catalogue_period"]):
            part = slice(*usable.offsets[i : i + 2])
            level = np.median(usable.value[part])
            limit = level + 3 * 1.4826 * np.median(np.abs(usable.value[part] - level))
            bins = np.floor((usable.time[part] / period % 1) * 40).astype(int)
            faint = [np.median(usable.value[part][bins == k]) > limit for k in range(40)
                     if (bins == k).any()]  # fmt: skip
            deep = np.isin(bins, np.unique(bins)[np.array(faint)])
            eclipsed[part] = deep & (usable.value[part] > limit)
        stray = ~eclipsed & (rng.random(eclipsed.size) < 0.01)
        value[usable.index[stray]] += rng.uniform(0.6, 2.5, stray.sum()) * rng.choice(
            [-1, 1], stray.sum()
        )
        dirty = stars.with_columns(value=value)
        for period, missed in ((None, 0.25), ("catalogue_period", 0.1)):
            result = OutlierMixture(period=period).transform(dirty)
            lost = result.points["outlier_probability"][usable.index]
            assert eclipsed.sum() > 1500
            assert lost[eclipsed].mean() < 0.015
            assert (lost[stray] < 0.5).mean() < missed

    def test_transit_of_kepler_90(self, data_dir):
        """The transit of planet h in quarter 5, 22 points of up to 40 sigma."""
        from astropy.io import fits

        path = data_dir / "space" / "kepler" / "kplr011442793-2010174085026_llc.fits"
        with fits.open(path) as file:
            table = file[1].data
            good = (table["SAP_QUALITY"] == 0) & np.isfinite(table["PDCSAP_FLUX"])
            time, flux, error = (
                np.asarray(table[name][good], float)
                for name in ("TIME", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR")
            )
        result = fitted(time, flux, error, quantity="flux", window=3.0)
        transit = np.abs(time - 472.1) < 0.25
        assert transit.sum() > 15
        assert result.points["outlier_probability"][transit].max() < 0.1
        assert (result.flags[transit] & EVENT > 0).all()

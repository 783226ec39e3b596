"""TelemetryTrend takes the instrument out and leaves the star."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import TelemetryTrend
from astroprep.detrend.roll import arclength, find_firings, find_oscillations, roll_frequency
from astroprep.errors import ConfigError, DataError

FLUX = Meta(survey="K2", quantity="flux", unit="electron/s")
LEVEL = 1e4
NOISE = 1e-4


def pointing(rng, n):
    """Drift and reset every 12 cadences along a bent path; True where the thrusters fire."""
    along = (np.arange(n) % 12) / 12 - 0.5 + 0.02 * np.repeat(rng.normal(size=n // 12 + 1), 12)[:n]
    along += 0.1 * np.sin(2 * np.pi * np.arange(n) / n)
    across = 0.1 * along**2 + 1e-3 * rng.normal(size=n)
    x = 0.8 * along - 0.6 * across
    y = 0.6 * along + 0.8 * across
    return x, y, along, np.arange(n) % 12 == 0


def rolled(rng, n=1200, star=0.0, noise=NOISE):
    """A star under a roll of one per cent; the batch, the roll and the times."""
    time = 2300 + np.arange(n) / 48
    x, y, along, fired = pointing(rng, n)
    roll = 0.01 * along - 0.02 * along**2 * (1 + 0.3 * (time - time[0]) / np.ptp(time))
    own = star(time) if callable(star) else star
    flux = LEVEL * (1 + own) * (1 + roll) * (1 + noise * rng.normal(size=n))
    batch = LightCurveBatch.from_curves(
        [(time, flux, np.full(n, noise * LEVEL))], ids=["EPIC 1"], meta=FLUX
    ).with_columns(
        points={
            "pos_corr1": x,
            "pos_corr2": y,
            "survey_flags": np.where(fired, 1 << 20, 0).astype(np.int64),
        }
    )
    return batch, roll, time


def sine(period, amplitude=0.005):
    return lambda t: amplitude * np.sin(2 * np.pi * t / period)


@pytest.mark.parametrize("period", [0.31, 1.0, 4.0, 12.0])
def test_the_roll_goes_and_the_star_stays(rng, period):
    """Truth by construction: what is left is the star within little more than the noise."""
    star = sine(period)
    batch, _, time = rolled(rng, star=star)
    result = TelemetryTrend().transform(batch)
    good = result.flags == 0
    rest = result.value[good] / np.median(result.value[good]) / (1 + star(time[good]))
    assert np.std(batch.value) / LEVEL > 40 * NOISE
    assert np.std(rest) < 2 * NOISE
    angle = 2 * np.pi * time[good] / period
    design = np.column_stack([np.sin(angle), np.cos(angle), np.ones(angle.size), time[good] - 2312])
    fitted = np.linalg.lstsq(design, result.value[good], rcond=None)[0]
    assert np.hypot(*fitted[:2]) / fitted[2] == pytest.approx(0.005, rel=0.05)


def test_transits_keep_their_depth(rng):
    star = lambda t: np.where((t - 2300) % 5 < 0.2, -0.003, 0.0)  # noqa: E731
    batch, _, time = rolled(rng, star=star)
    result = TelemetryTrend().transform(batch)
    good = result.flags == 0
    inside = star(time) < 0
    depth = 1 - np.mean(result.value[good & inside]) / np.mean(result.value[good & ~inside])
    assert depth == pytest.approx(0.003, rel=0.05)


def within_cycles(values):
    """Deviations from the mean of each roll of 12 cadences, whose first cadence is flagged.

    What changes with time alone is taken for the star's, by design.
    """
    cycles = values.reshape(-1, 12)[:, 1:]
    return (cycles - cycles.mean(axis=1, keepdims=True)).ravel()


def test_the_uncertainty_of_the_trend_is_honest(rng):
    """Trend less truth, in its errors, scatters by about one."""
    pulls = []
    for _ in range(6):
        batch, roll, _ = rolled(rng, n=960)
        result = TelemetryTrend().transform(batch)
        trend = result.points["trend"] / np.nanmean(result.points["trend"])
        wrong = within_cycles(trend - (1 + roll) / (1 + roll).mean())
        error = result.points["trend_err"].reshape(-1, 12)[:, 1:].ravel() / LEVEL
        pulls.append(np.sqrt(np.mean((wrong / error) ** 2)))
    assert 0.6 < np.median(pulls) < 1.5


def test_events_make_no_trend_and_are_corrected(rng):
    batch, roll, _ = rolled(rng)
    event = np.zeros(batch.n_points, bool)
    event[500:520] = True
    flared = batch.with_columns(
        value=np.where(event, batch.value * 1.5, batch.value),
        flags=np.where(event, PointFlag.EVENT, 0).astype(np.uint32),
    )
    plain, result = TelemetryTrend().transform(batch), TelemetryTrend().transform(flared)
    np.testing.assert_allclose(result.points["trend"], plain.points["trend"], rtol=3e-4)
    calm = event & (result.flags & np.uint32(PointFlag.SURVEY) == 0)
    np.testing.assert_allclose(
        result.value[calm] / LEVEL, 1.5 * batch.value[calm] / LEVEL / (1 + roll[calm]), rtol=0.01
    )


def test_firings_are_flagged_from_bits_and_from_jumps(rng):
    batch, _, _ = rolled(rng)
    fired = (batch.points["survey_flags"] > 0) & (np.arange(batch.n_points) > 0)
    for given in (batch, batch.with_columns(points={"survey_flags": np.zeros(1200, np.int64)})):
        result = TelemetryTrend().transform(given)
        found = result.points["thruster"]
        assert (found & fired).sum() > 0.98 * fired.sum()
        assert (found & ~fired).sum() <= 1
        np.testing.assert_array_equal((result.flags & np.uint32(PointFlag.SURVEY)) > 0, found)
    quiet = TelemetryTrend(firing_bits=0).transform(batch)
    assert "thruster" not in quiet.points
    assert not quiet.flags.any()


def test_a_polynomial_of_any_telemetry(rng):
    """Airmass and seeing of a ground survey, in magnitudes, next to least squares."""
    n = 300
    airmass, seeing = rng.uniform(1, 2, n), rng.uniform(0.5, 2, n)
    time = np.sort(rng.uniform(55000, 55400, n))
    effect = 0.1 * (airmass - 1.5) + 0.05 * (seeing - 1) ** 2
    mag = 15 + effect + rng.normal(0, 0.005, n)
    batch = LightCurveBatch.from_curves([(time, mag, np.full(n, 0.005))]).with_columns(
        points={"airmass": airmass, "seeing": seeing}
    )
    step = TelemetryTrend(columns=("airmass", "seeing"), slow=0.0, oscillations=0)
    result = step.transform(batch)
    design = np.column_stack([airmass, airmass**2, seeing, seeing**2, np.ones(n)])
    plain = design @ np.linalg.lstsq(design, mag, rcond=None)[0]
    np.testing.assert_allclose(
        result.points["trend"] - np.median(mag), plain - plain.mean(), atol=2e-3
    )
    assert np.std(result.value) < 0.0055
    np.testing.assert_array_equal(result.error, batch.error)


def test_telemetry_that_says_nothing_takes_nothing(rng):
    """The prior shuts columns that are only noise: little is fitted away."""
    n = 200
    batch = LightCurveBatch.from_curves([(np.arange(n), rng.normal(15, 0.1, n), None)])
    batch = batch.with_columns(points={f"c{k}": rng.normal(size=n) for k in range(8)})
    step = TelemetryTrend(columns=tuple(f"c{k}" for k in range(8)), slow=0.0, oscillations=0)
    result = step.transform(batch)
    assert np.std(result.value) > 0.96 * np.std(batch.value)


class TestBadInput:
    def test_a_missing_column_is_named_with_advice(self, rng):
        batch = LightCurveBatch.from_curves([(np.arange(9.0), np.ones(9), None)])
        with pytest.raises(DataError, match=r"'pos_corr1', 'pos_corr2' per point.*open_survey"):
            TelemetryTrend().transform(batch)

    def test_all_nan_telemetry_is_refused(self, rng):
        batch, _, _ = rolled(rng)
        batch = batch.with_columns(points={"pos_corr1": np.full(1200, np.nan)})
        with pytest.raises(DataError, match=r"finite telemetry \(pos_corr1, pos_corr2\).*EPIC 1"):
            TelemetryTrend().transform(batch)
        result = TelemetryTrend(on_bad="reject").transform(batch)
        assert result.n_curves == 0
        assert len(result.rejected) == 1

    def test_points_without_telemetry_stay_as_they_are(self, rng):
        batch, _, _ = rolled(rng)
        x = batch.points["pos_corr1"].copy()
        x[100:110] = np.nan
        result = TelemetryTrend().transform(batch.with_columns(points={"pos_corr1": x}))
        assert np.isnan(result.points["trend"][100:110]).all()
        np.testing.assert_array_equal(result.value[100:110], batch.value[100:110])
        assert np.isfinite(np.delete(result.points["trend"], np.s_[100:110])).all()

    def test_a_star_that_does_not_move_keeps_its_flux(self, rng):
        batch, _, _ = rolled(rng)
        still = {"pos_corr1": np.full(1200, 3.0), "pos_corr2": np.full(1200, -1.0)}
        result = TelemetryTrend(firing_bits=0).transform(batch.with_columns(points=still))
        np.testing.assert_allclose(result.value, batch.value, rtol=1e-12)
        np.testing.assert_allclose(result.points["trend"], np.median(batch.value))
        np.testing.assert_array_equal(result.points["trend_err"], 0.0)

    def test_fewer_points_than_coefficients(self, rng):
        batch, _, _ = rolled(rng, n=40)
        with pytest.raises(DataError, match=r"more points than the \d+ coefficients"):
            TelemetryTrend().transform(batch)

    def test_more_coefficients_than_a_fit_can_hold(self, rng):
        batch, _, time = rolled(rng)
        far = batch.with_columns(time=time[0] + 50 * (time - time[0]))
        with pytest.raises(DataError, match=r"at most 1200 coefficients.*widen slow"):
            TelemetryTrend().transform(far)

    @pytest.mark.parametrize("error", [np.nan, 0.0, -1.0])
    def test_without_errors_all_points_weigh_the_same(self, rng, error):
        batch, _, _ = rolled(rng)
        bare = batch.with_columns(error=np.full(1200, error))
        np.testing.assert_allclose(
            TelemetryTrend().transform(bare).value,
            TelemetryTrend().transform(batch).value,
            rtol=1e-9,
        )

    def test_constant_and_negative_and_empty_curves(self, rng):
        batch, _, _ = rolled(rng)
        flat = batch.with_columns(value=np.full(1200, 5.0))
        np.testing.assert_array_equal(TelemetryTrend().transform(flat).value, 5.0)
        negative = batch.with_columns(value=batch.value - 2 * LEVEL)
        with pytest.raises(DataError, match="positive level"):
            TelemetryTrend().transform(negative)
        result = TelemetryTrend(method="subtract").transform(negative)
        assert np.std(result.value[result.flags == 0]) < 0.1 * np.std(negative.value)
        empty = LightCurveBatch.from_curves([([], [], [])], meta=FLUX)
        empty = empty.with_columns(points={"pos_corr1": np.empty(0), "pos_corr2": np.empty(0)})
        assert TelemetryTrend(on_bad="reject").transform(empty).n_objects == 1
        assert TelemetryTrend().transform(empty[:0]).n_curves == 0

    def test_a_long_gap_and_an_outlier(self, rng):
        batch, _, time = rolled(rng, star=sine(4.0))
        value = batch.value.copy()
        value[700] *= 3
        gapped = batch.with_columns(time=np.where(time > 2312, time + 30.0, time), value=value)
        result = TelemetryTrend().transform(gapped)
        good = (result.flags == 0) & (np.arange(1200) != 700)
        star = 1 + sine(4.0)(time[good])
        assert np.std(result.value[good] / star) < 3 * NOISE * LEVEL

    def test_settings(self):
        with pytest.raises(
            ConfigError, match=r"window must be positive.*slow must be.*degree must"
        ):
            TelemetryTrend(window=0.0, slow=-1.0, degree=0).check()
        with pytest.raises(ConfigError, match="the roll needs two columns"):
            TelemetryTrend(columns=("a",), model="roll").check()
        with pytest.raises(ConfigError, match="columns must be a tuple"):
            TelemetryTrend(columns="pos_corr1").check()
        with pytest.raises(ConfigError, match="model must be"):
            TelemetryTrend(model="cubic").check()


class TestPath:
    def test_arclength_of_a_circle(self):
        """Analytic: along a quarter circle the arclength is radius times angle."""
        angle = np.linspace(-0.4, 0.4, 200)
        x, y = 5 * np.sin(angle), 5 * np.cos(angle)
        along, across = arclength(x, y, np.ones(200, bool))
        np.testing.assert_allclose(np.abs(along - along[0]), 5 * (angle + 0.4), atol=2e-3)
        assert np.abs(across).max() < 1e-3

    def test_the_first_cadences_behind_jumps(self):
        along = np.tile(np.arange(10.0), 5)
        np.testing.assert_array_equal(np.flatnonzero(find_firings(along)), [10, 20, 30, 40])
        assert not find_firings(np.zeros(50)).any()
        assert not find_firings(np.arange(2.0)).any()

    def test_frequencies_found(self, rng):
        time = np.arange(1500) / 48
        value = np.sin(2 * np.pi * 3.3 * time) + 0.5 * np.sin(2 * np.pi * 7.1 * time)
        value += rng.normal(0, 0.3, time.size)
        found = find_oscillations(time, value, np.ones(time.size), 1.0, 0.0, 5)
        np.testing.assert_allclose(np.sort(found)[:2], [3.3, 7.1], atol=0.01)
        assert found.size == 2
        without = find_oscillations(time, value, np.ones(time.size), 1.0, 3.3, 5)
        np.testing.assert_allclose(without, [7.1], atol=0.01)
        assert roll_frequency(time, (np.arange(1500) % 12).astype(float)) == pytest.approx(
            4, abs=0.01
        )


@pytest.mark.slow
def test_on_real_k2(data_dir):
    """Six stars of campaign 5 are left as smooth as in the mission's own PDCSAP, within a tenth."""
    from astroprep.clean import FlagBad, SurveyFlags
    from astroprep.io import open_survey

    def read(flux):
        batch = open_survey(data_dir / "space" / "k2", flux=flux).read()
        return SurveyFlags().transform(FlagBad().transform(batch))

    def rough(value):
        y = value / np.median(value)
        return np.median(np.abs(y[24:] - 2 * y[12:-12] + y[:-24]))

    sap, pdcsap = read("sap"), read("pdcsap")
    result = TelemetryTrend().transform(sap)
    everywhere = (result.flags == 0) & (pdcsap.flags == 0) & np.isfinite(result.points["trend"])
    for i in range(sap.n_curves):
        part = slice(*sap.offsets[i : i + 2])
        before, ours, theirs = (
            rough(batch.value[part][everywhere[part]]) for batch in (sap, result, pdcsap)
        )
        assert ours < 1.1 * theirs
        assert ours < 0.9 * before  # the pulsator among them is rough by itself

"""Known periods against light curves made with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.period.exact import harmonic_power, standardise
from astroprep.period.local import LENGTH, _transform, demodulate, strongest_nearby, transform_table
from astroprep.period.segments import MOST, cut, parabola
from astroprep.period.verdict import log10_chance
from astroprep.period.verifiable import unverifiable
from astroprep.period.verify import PeriodStatus, Verification, verify_periods
from astroprep.period.verify_step import VerifyPeriod

CONFIRMED, DRIFTED, ALIAS, HARMONIC, LOST = PeriodStatus


def nights(rng, n, baseline=1500.0):
    """One visit a night, eight months a year."""
    day = np.floor(rng.uniform(0, baseline, 8 * n))
    day = day[day % 365.25 < 240][:n]
    return 55000 + np.sort(day + 0.3 + 0.1 * rng.normal(size=n))


def pulse(cycles):
    """Steep rise, slow decline; period 1, faintest value 0.8 above the brightest at 0.15."""
    x = cycles % 1
    return 0.8 * np.where(x < 0.15, 1 - x / 0.15, (x - 0.15) / 0.85)


def humps(cycles):
    """Two equal humps to a period."""
    return 0.2 * np.cos(4 * np.pi * cycles) + 0.05 * np.cos(8 * np.pi * cycles)


@pytest.fixture
def make(rng):
    """Factory of stars: ``make(n_curves, n, shape, ahead=, period=)`` with noise of 0.04."""

    def curves(n_curves=40, n=150, shape=pulse, ahead=lambda x: 0.0, period=0.6173, noise=0.04):
        made = []
        for _ in range(n_curves):
            t = nights(rng, n)
            x = t - 0.5 * (t[0] + t[-1])
            value = 15 + noise * rng.normal(size=n)
            if shape is not None:
                value += shape(x / period + ahead(x) + rng.uniform())
            made.append((t, value, np.full(n, noise)))
        return LightCurveBatch.from_curves(made)

    return curves


def verify(batch, period, **settings) -> Verification:
    u = batch.usable
    period = np.broadcast_to(np.asarray(period, float), len(batch))
    return verify_periods(u.time, u.value, u.error, u.offsets, period, jobs=1, **settings)


def share(found, status):
    return np.mean(found.status == status)


# -- verdicts by construction ---------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 40, 150])
def test_constant_periods_are_confirmed(make, n):
    """Truth by construction; a twelve-point curve has one harmonic and enough points to judge."""
    found = verify(make(n=n, n_curves=100), 0.6173)

    assert share(found, CONFIRMED) >= (0.98 if n > 12 else 0.6)
    assert share(found, DRIFTED) <= 0.02
    good = found.status == CONFIRMED
    assert np.abs(found.ratio - 1)[good].max() < 1e-3


@pytest.mark.parametrize("relative", [1e-4, -1e-4, 1e-3, -2e-3])
def test_a_changed_period_is_found_again(make, relative):
    found = verify(make(), 0.6173 * (1 + relative))

    assert share(found, DRIFTED) >= 0.95
    drifted = found.status == DRIFTED
    np.testing.assert_allclose(found.period[drifted], 0.6173, rtol=3e-5)
    np.testing.assert_allclose(found.ratio[drifted], 1 / (1 + relative), rtol=3e-5)
    assert (found.significance[drifted] > 3).all()
    assert not found.changing[drifted].mean() > 0.1


def test_the_error_of_the_stored_period_is_respected(make):
    """A difference of 1e-4 is drift for a period known to 1e-6, and none for one known to 1e-4."""
    batch, wrong = make(), 0.6173 * (1 + 1e-4)

    exact = verify(batch, wrong, period_err=np.full(40, 1e-6))
    vague = verify(batch, wrong, period_err=np.full(40, 1e-4))

    assert share(exact, DRIFTED) == 1
    assert share(vague, CONFIRMED) == 1


def test_the_error_of_the_period_is_that_of_the_scatter(make):
    """Analytic: estimates of one constant period spread as much as they say."""
    found = verify(make(n_curves=300), 0.6173)
    good = found.status == CONFIRMED

    pull = ((found.period - 0.6173) / found.period_err)[good]

    assert abs(np.median(pull)) < 0.2
    assert 0.8 < np.std(pull) < 1.2


@pytest.mark.parametrize(("cycles", "least"), [(0.1, 0.9), (0.3, 0.9), (0.6, 0.9), (1.5, 0.7)])
def test_a_linear_change_is_recovered_with_its_error(make, cycles, least):
    """``cycles`` ahead at both ends, 750 days from the middle: dP/dt = -2 b P**2."""
    bend = cycles / 700.0**2
    found = verify(make(n_curves=60, ahead=lambda x: bend * x**2), 0.6173)
    truth = -2 * bend * 0.6173**2

    assert found.changing.mean() >= least
    seen = found.changing
    assert (found.status[seen] == DRIFTED).all()
    pull = (found.dp_dt - truth)[seen] / found.dp_dt_err[seen]
    assert abs(np.median(pull)) < 0.4
    assert 0.6 < np.std(pull) < 1.4


def test_a_sudden_change_is_drift(make):
    found = verify(make(ahead=lambda x: np.where(x > 0, x / 700 * 0.4, 0.0)), 0.6173)

    assert share(found, DRIFTED) >= 0.95


@pytest.mark.parametrize("offset", [1.0, -1.0, 1.0027379, 2.0, -1 / 365.25])
def test_an_alias_is_called_one_and_undone(make, offset):
    found = verify(make(), 1 / (1 / 0.6173 + offset))

    assert share(found, ALIAS) >= 0.9
    is_alias = found.status == ALIAS
    # now and then a neighbour in the same comb, a year or a day further, fits better by chance
    assert np.mean(np.abs(found.period[is_alias] / 0.6173 - 1) < 1e-4) >= 0.9
    assert (found.power > found.power_old)[is_alias].all()


@pytest.mark.parametrize("multiple", [2, 3])
def test_a_period_that_was_a_fraction_is_multiplied(make, multiple):
    found = verify(make(), 0.6173 / multiple)

    assert share(found, HARMONIC) >= 0.9
    np.testing.assert_allclose(found.ratio[found.status == HARMONIC], multiple, rtol=1e-4)


def test_half_the_period_is_a_verdict_only_when_asked_for(make):
    """Equal humps repeat at the whole period as well; only the astronomer knows."""
    batch = make(shape=humps)

    assert share(verify(batch, 0.6173), CONFIRMED) >= 0.95
    found = verify(batch, 0.6173, half="report")
    assert share(found, HARMONIC) >= 0.9
    np.testing.assert_allclose(found.ratio[found.status == HARMONIC], 0.5, rtol=1e-5)


def test_a_third_of_the_period_is_a_verdict(make):
    found = verify(make(shape=lambda x: 0.3 * np.cos(6 * np.pi * x)), 0.6173)

    assert share(found, HARMONIC) >= 0.9
    np.testing.assert_allclose(found.ratio[found.status == HARMONIC], 1 / 3, rtol=1e-5)


def test_noise_is_lost_and_keeps_its_period(make):
    found = verify(make(n_curves=200, shape=None), 0.6173)

    assert share(found, LOST) >= 0.98
    lost = found.status == LOST
    assert (found.period[lost] == 0.6173).all()
    assert (found.log10_false_alarm[lost] > -3).all()
    assert (np.diff(found.segment_offsets)[lost] == 0).all()


# -- O-C --------------------------------------------------------------------------------------


def test_o_minus_c_of_a_wrong_period_is_a_straight_line(make):
    """Late by (P - P0) per cycle of the old period."""
    wrong = 0.6173 * (1 - 1e-4)
    found = verify(make(n_curves=10), wrong)
    pulls = []
    for i in range(10):
        of = slice(*found.segment_offsets[i : i + 2])
        cycle = (found.segment_time[of] - found.middle[i]) / wrong
        pulls.append((found.o_minus_c[of] - cycle * (0.6173 - wrong)) / found.o_minus_c_err[of])
    pulls = np.concatenate(pulls)

    assert pulls.size >= 40
    # the zero point is that of the template, as uncertain as a tenth of the points
    assert 0.6 < np.std(pulls) < 1.5
    assert found.segment_points.sum() == pytest.approx(1500, abs=100)


def test_o_minus_c_counts_from_the_epoch(make):
    """A star 0.05 days late against its stored epoch of maximum light, for all of its seasons."""
    batch = make(n_curves=20, noise=0.02)
    first = verify(batch, 0.6173)

    late = verify(batch, 0.6173, epoch=first.epoch - 0.05 - 0.6173 * 800)

    shift = late.o_minus_c - first.o_minus_c
    assert np.median(shift) == pytest.approx(0.05, abs=0.003)
    np.testing.assert_allclose(shift, 0.05, atol=0.02)


def test_the_epoch_is_that_of_the_extreme(rng):
    """Analytic: a cosine is highest where its phase is zero, lowest half a period later."""
    t = nights(rng, 200)
    value = np.cos(2 * np.pi * (t - 55000.2) / 0.7) + 0.01 * rng.normal(size=200)
    batch = LightCurveBatch.from_curves([(t, value, np.full(200, 0.01))])

    high = verify(batch, 0.7, epoch_of="highest").epoch[0]
    low = verify(batch, 0.7).epoch[0]

    assert np.abs((high - 55000.2) / 0.7 - np.rint((high - 55000.2) / 0.7)) < 0.01
    assert np.abs((low - 55000.55) / 0.7 - np.rint((low - 55000.55) / 0.7)) < 0.01
    assert abs(high - 0.5 * (t[0] + t[-1])) <= 0.36


def test_segments_are_seasons_and_part_no_equal_times(rng):
    t = np.sort(np.concatenate([year * 365.0 + rng.uniform(0, 100, 12) for year in range(5)]))
    bounds = np.zeros(MOST + 1, np.int64)

    assert cut(t - t.mean(), bounds) == 5
    np.testing.assert_array_equal(bounds[:6], np.arange(0, 61, 12))

    same = np.repeat(np.arange(10.0), 30)
    n = cut(same, bounds)
    assert n <= MOST
    assert (bounds[: n + 1] % 30 == 0).all()
    assert cut(np.zeros(50), bounds) == 1


def test_the_parabola_is_that_of_scipy(rng):
    """Another package, to rounding."""
    x, error = np.sort(rng.uniform(-1000, 1000, 9)), rng.uniform(0.01, 0.1, 9)
    y = 0.1 + 1e-4 * x - 2e-7 * x**2 + error * rng.normal(size=9)
    out = np.zeros(3)

    chi, left, variance = parabola(x, y, error, 2, out)

    best, cov = curve_fit(
        lambda t, a, b, c: a + b * t + c * t**2, x, y, sigma=error, absolute_sigma=True
    )
    np.testing.assert_allclose(out, best, rtol=1e-4)
    assert variance == pytest.approx(cov[2, 2], rel=1e-3)
    assert left == 6
    assert chi == pytest.approx((((y - np.polyval(out[::-1], x)) / error) ** 2).sum())
    assert parabola(x[:2], y[:2], error[:2], 2, out)[1] == -1


# -- kernels against brute force -----------------------------------------------------------------


def test_the_transform_is_numpys(rng):
    """float32 sums of 256 terms of order one."""
    twiddle, order = transform_table()
    series = np.zeros(LENGTH, complex)
    series[: LENGTH // 4] = rng.normal(size=LENGTH // 4) + 1j * rng.normal(size=LENGTH // 4)
    re, im = series.real.astype(np.float32), series.imag.astype(np.float32)

    _transform(re, im, twiddle)

    np.testing.assert_allclose((re + 1j * im)[order], np.fft.fft(series), atol=1e-4)


@pytest.mark.parametrize("away", [-55.3, -7.1, -0.4, 0.0, 3.3, 41.9])
def test_the_local_search_finds_what_exact_fits_find(rng, away):
    """Brute force: 2,000 exact fits of two harmonics around the stored frequency."""
    t = nights(rng, 200)
    curve = (t, pulse(t / 0.6173) + 0.05 * rng.normal(size=200), np.full(200, 0.05))
    centred, weight, weighted, _ = standardise(*curve)
    baseline = centred[-1] - centred[0]
    old = 1 / 0.6173 + away / baseline
    twiddle, order = transform_table()
    slow, room = np.zeros((5, 256)), np.zeros((4, LENGTH), np.float32)
    angle = 2 * np.pi * old * centred

    demodulate(centred, weight, weighted, baseline, np.cos(angle), np.sin(angle), slow)
    place, _ = strongest_nearby(slow, 0, -480, 480, twiddle, order, room)

    grid = old + np.linspace(-60, 60, 2001) / baseline
    best = grid[np.argmax(harmonic_power(centred, weight, weighted, grid, 2))]
    assert abs(old + place / (8 * baseline) - best) * baseline < 0.2


def test_chance_is_what_noise_does(rng):
    """Brute force: the share of variance that two harmonics explain of white noise."""
    t = np.sort(rng.uniform(0, 100, 40))
    power = []
    for _ in range(4000):
        parts = standardise(t, rng.normal(size=40), np.ones(40))[:3]
        power.append(harmonic_power(*parts, np.array([0.731]), 2)[0])
    power = np.array(power)

    for p in (0.1, 0.2, 0.3):
        chance = 10 ** log10_chance(np.array([p]), np.array([2.0]), np.array([40.0]), 1.0)[0]
        assert np.mean(power > p) == pytest.approx(chance, rel=0.15, abs=0.004)


# -- what cannot be verified ---------------------------------------------------------------------


def bad_curves(rng):
    t = nights(rng, 30)
    v, e = 15 + rng.normal(size=30), np.full(30, 0.1)
    return {
        "points at 8 different times": [(t[:7], v[:7], e[:7]), 0.5],
        "different times or more, has 1": [(np.full(30, 5.0), v, e), 0.5],
        "different times or more, has 0": [(t[:0], v[:0], e[:0]), 0.5],
        "brightness that varies": [(t, np.full(30, 15.0), e), 0.5],
        "a baseline of at least one period": [(t, v, e), 5000.0],
        "a positive known period, has nan": [(t, v, e), np.nan],
        "a positive known period, has inf": [(t, v, e), np.inf],
        "a positive known period, has 0": [(t, v, e), 0.0],
        "a positive known period, has -1": [(t, v, e), -1.0],
        "twice the cadence": [(55000 + 0.5 * np.arange(30.0), v, e), 0.9],
        "positive errors": [(t, v, np.append(e[1:], 0.0)), 0.5],
        "finite times and values": [(t, np.append(v[1:], np.nan), e), 0.5],
    }


def test_what_cannot_be_verified_has_a_reason(rng):
    for reason, (curve, period) in bad_curves(rng).items():
        offsets = np.array([0, curve[0].size])
        parts = [np.asarray(part, float) for part in curve]
        with pytest.raises(DataError, match=f"verify_periods needs .*{reason}.*curve 0"):
            verify_periods(*parts, offsets, [period])
        assert reason in unverifiable(*parts, offsets, np.array([period]))[0]


def test_irregular_sampling_has_no_limit(make):
    """A period of 72 minutes from one visit a night."""
    batch = make(n_curves=10, n=200, period=0.05)

    assert share(verify(batch, 0.05), CONFIRMED) >= 0.9


def test_odd_but_possible_curves_give_finite_results(rng):
    t = nights(rng, 60)
    v, e = pulse(t / 0.6173), np.full(60, 0.04)
    curves = [
        (t, v, e),  # no noise at all
        (t, v * 1e30, e * 1e30),
        (t, v * 1e-30, e * 1e-30),
        (t, v, np.full(60, 1e-30)),
        (np.sort(np.repeat(t[::4], 4)), np.tile(v[:4], 15), e),  # repeated times
        (t, np.append(np.zeros(59), 1.0), e),  # one point is all there is
        (t, v, np.append(e[:-1], 1e-9)),  # one point has all the weight
    ]
    batch = LightCurveBatch.from_curves(curves)

    found = verify(batch, 0.6173)

    for name in ("period", "period_err", "ratio", "power", "power_old", "log10_false_alarm",
                 "significance", "dp_dt", "epoch", "o_minus_c", "o_minus_c_err"):  # fmt: skip
        assert np.isfinite(getattr(found, name)).all(), name
    assert not np.isnan(found.dp_dt_err).any()
    assert found.status[0] == found.status[1] == found.status[2] == CONFIRMED


def test_settings_are_checked():
    empty, none = np.empty(0), np.zeros(1, np.int64)
    for wrong, message in (
        ({"epoch_of": "middle"}, "epoch_of must be"),
        ({"max_change": 0.5}, "max_change must lie"),
        ({"min_shift": -1.0}, "min_shift must be"),
        ({"half": "maybe"}, "half must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            verify_periods(empty, empty, empty, none, [], **wrong)
    assert verify_periods(empty, empty, empty, none, []).status.size == 0
    with pytest.raises(DataError, match="one period per curve"):
        verify_periods(empty, empty, empty, none, [1.0])


# -- the step -------------------------------------------------------------------------------------


def test_the_step_writes_finite_columns(make):
    batch = make(n_curves=6).with_columns(
        objects={"catalogue_period": np.array([0.6173, 0.6174, 0.30865, 0.6173, 2.0, 0.6173])}
    )

    out = VerifyPeriod(jobs=1).transform(batch)

    status = out.objects["period_verdict"]
    assert status.tolist()[:3] == ["confirmed", "drifted", "harmonic"]
    assert all(type(word) is str for word in status)
    for name, column in out.objects.items():
        if column.dtype.kind == "f":
            assert np.isfinite(column).all(), name
    np.testing.assert_allclose(out.objects["period"][:4], 0.6173, rtol=1e-4)


def test_the_step_names_what_it_lacks(make):
    batch = make(n_curves=2)
    with pytest.raises(DataError, match=r"needs the column 'catalogue_period'.*known="):
        VerifyPeriod().transform(batch)
    known = batch.with_columns(objects={"old": np.array([0.6173, -1.0])})
    with pytest.raises(DataError, match=r"VerifyPeriod needs a positive known period, has -1\.0"):
        VerifyPeriod(known="old").transform(known)
    rejected = VerifyPeriod(known="old", on_bad="reject").transform(known)
    assert rejected.rejected.row.tolist() == [1]
    with pytest.raises(ConfigError, match="jobs must be"):
        VerifyPeriod(jobs=0).check()


def test_batches_equal_one_by_one_and_threads_do_not_matter(make):
    batch = make(n_curves=9)
    u = batch.usable
    period = np.full(9, 0.6174)
    whole = verify(batch, period)
    threads = verify_periods(u.time, u.value, u.error, u.offsets, period, jobs=2)

    for i in range(9):
        one = verify(batch[i], 0.6174)
        for name in ("status", "period", "power", "dp_dt", "epoch", "significance"):
            assert getattr(one, name)[0] == getattr(whole, name)[i], name
    np.testing.assert_array_equal(threads.o_minus_c, whole.o_minus_c)


@pytest.mark.slow
def test_catalogue_periods_of_a_survey_are_confirmed(data_dir):
    """Real stars: periods that were measured on these very light curves."""
    import pyarrow.parquet as pq

    columns = ["period", "split", "lightcurve"]
    table = pq.read_table(data_dir / "crts_south.parquet", columns=columns).slice(0, 4000)
    rows = [row for row in table.to_pylist() if row["split"] == "train"][::8]
    curves, period = [], []
    for row in rows:
        t, v, e = (np.array(row["lightcurve"][k], float) for k in ("time", "mag", "mag_err"))
        good = np.isfinite(t + v + e) & (e > 0) & (t > 0)
        curves.append((t[good], v[good], e[good]))
        period.append(row["period"])
    batch = LightCurveBatch.from_curves(curves, objects={"catalogue_period": np.array(period)})

    out = VerifyPeriod(on_bad="reject").transform(batch)

    assert np.mean(out.objects["period_verdict"] == "confirmed") > 0.85
    assert np.mean(out.objects["period_verdict"] == "lost") < 0.02

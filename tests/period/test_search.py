from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.period import PeriodSearch, UseCataloguePeriod, power, search
from astroprep.period.exact import harmonic_power, standardise
from astroprep.period.grid import GridRule
from astroprep.period.periodsearch import AUXILIARIES


def visits(rng, n_points=150, baseline=800.0):
    return np.sort(np.floor(rng.uniform(0, baseline, n_points)) + 0.15 * rng.normal(size=n_points))


def sawtooth(phase):
    """RR Lyrae-like magnitude: fast rise, slow decline."""
    return 0.8 * np.where(phase < 0.15, 1 - phase / 0.15, (phase - 0.15) / 0.85)


def two_eclipses(phase):
    def dip(at, width, depth):
        away = np.minimum(np.abs(phase - at), 1 - np.abs(phase - at))
        return depth * np.exp(-0.5 * (away / width) ** 2)

    return dip(0.0, 0.03, 0.7) + dip(0.5, 0.03, 0.35)


@pytest.fixture
def stars():
    """Twenty pulsating and twenty eclipsing stars with known periods."""
    rng = np.random.default_rng(11)
    curves, truth = [], []
    for i in range(40):
        period = rng.uniform(0.45, 0.75) if i < 20 else rng.uniform(1.2, 3.0)
        time = visits(rng)
        shape = sawtooth if i < 20 else two_eclipses
        value = shape((time / period) % 1.0) + 0.03 * rng.normal(size=time.size)
        curves.append((time, 15 + value, np.full(time.size, 0.03)))
        truth.append(period)
    return LightCurveBatch.from_curves(curves, objects={"catalogue_period": np.array(truth)})


def related(period, truth):
    ratio = np.asarray(period)[:, None] / np.asarray(truth)[:, None] * [1, 2, 0.5, 3, 1 / 3]
    return (np.abs(ratio - 1) < 0.01).any(axis=1)


def test_injected_periods_come_back(stars):
    """Truth by construction."""
    found = PeriodSearch().transform(stars)
    period, truth = found.objects["period"], stars.objects["catalogue_period"]

    assert np.mean(np.abs(period[:20] / truth[:20] - 1) < 1e-3) >= 0.95
    assert related(period[20:], truth[20:]).mean() >= 0.9
    # unequal eclipses need the whole period
    assert np.mean(np.abs(period[20:] / truth[20:] - 1) < 1e-3) >= 0.7


def test_the_columns_are_finite_numbers(stars):
    found = PeriodSearch().transform(stars)

    for name in ("period", "period_err", *AUXILIARIES):
        assert found.objects[name].shape == (40,)
        assert np.isfinite(found.objects[name]).all(), name
    for name in ("period_power", "period_fit", "period_confidence", "period_second_ratio"):
        assert ((found.objects[name] >= 0) & (found.objects[name] <= 1)).all(), name
    assert (found.objects["period_fap"] < -5).all()


def test_flux_and_magnitudes_are_told_apart(stars):
    """Turned upside down and said to be flux, the curves are the same stars."""
    flux = stars.with_columns(value=-stars.value, meta=Meta(quantity="flux", unit=""))

    ours = PeriodSearch().transform(flux).objects["period"]

    assert np.array_equal(ours, PeriodSearch().transform(stars).objects["period"])


def test_the_winner_is_that_of_the_exact_periodogram(stars):
    """Brute force: every frequency of the grid in float64."""
    for i in range(0, 40, 5):
        usable = stars[i].usable
        grid = GridRule(max_frequency=6.0).grid(usable.time)
        exact = power(usable.time, usable.value, usable.error, grid, backend="exact")
        found = search(
            usable.time,
            usable.value,
            usable.error,
            usable.offsets,
            grid=GridRule(max_frequency=6.0),
        )

        centred, weight, weighted, _ = standardise(usable.time, usable.value, usable.error)
        peak = found.frequency[:, : found.power.shape[1]]
        at_peaks = harmonic_power(centred, weight, weighted, peak[0], 1)
        assert found.power[0, 0] >= exact.max() - 1e-9
        assert found.power[0] == pytest.approx(np.sort(found.power[0])[::-1])
        near = np.abs(peak[0] - grid.frequencies[np.argmax(exact)]).min()
        assert near <= grid.step
        # the highest; an alias or harmonic that was added need not be a maximum
        assert (at_peaks <= found.power[0] + 1e-12)[:6].all()


def test_nothing_depends_on_batch_or_threads(stars):
    whole = PeriodSearch(jobs=2).transform(stars)

    for i in (0, 17, 39):
        alone = PeriodSearch(jobs=1).transform(stars[i])
        for name in ("period", "period_err", "period_status", *AUXILIARIES):
            assert alone.objects[name][0] == whole.objects[name][i], name


def test_time_shift_moves_no_period(stars):
    """The grid follows from the baseline, which a shift rounds in the last bit."""
    moved = stars.with_columns(time=stars.time + 50_000.0)

    ours = PeriodSearch().transform(moved).objects["period"]

    assert ours == pytest.approx(PeriodSearch().transform(stars).objects["period"], rel=1e-5)


def test_highest_takes_the_plain_peak(stars):
    found = PeriodSearch(rule="highest").transform(stars)

    assert found.objects["period"] == pytest.approx(found.objects["period_highest"])


def bad_curves():
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 500, 60))
    noise = rng.normal(size=60)
    error = np.full(60, 0.1)
    return {
        "fine": (time, noise, error),
        "constant": (time, np.full(60, 12.3), error),
        "one time": (np.full(60, 5.0), noise, error),
        "one night": (time / 1000, noise, error),
        "four points": (time[:4], noise[:4], error[:4]),
        "sentinel": (np.r_[-2409998.5, 53_000 + time[1:]], noise, error),
        "four times": (np.repeat([1.0, 2.0, 30.0, 400.0], 15), noise, error),
        "no error": (time, noise, np.r_[0.0, error[1:]]),
        "five points": (time[:5], noise[:5], error[:5]),
    }


REASONS = {
    "constant": "brightness that varies",
    "one time": "different times",
    "one night": "min_baseline",
    "four points": "at least 5 usable points, has 4",
    "sentinel": "at most 2,000,000 frequencies",
    "four times": "5 different times or more, has 4",
    "no error": "a positive error",
}


def test_hopeless_curves_are_rejected_with_the_reason():
    curves = bad_curves()
    batch = LightCurveBatch.from_curves(list(curves.values()), ids=list(curves))

    found = PeriodSearch(on_bad="reject").transform(batch)

    assert found.ids.tolist() == ["fine", "five points"]
    assert np.isfinite(found.objects["period"]).all()
    assert np.isfinite(found.objects["period_err"]).all()
    reason = dict(zip(found.rejected.id, found.rejected.reason, strict=True))
    assert set(reason) == set(REASONS)
    for name, words in REASONS.items():
        assert words in reason[name]


@pytest.mark.parametrize("name", list(REASONS))
def test_hopeless_curves_raise_by_name(name):
    batch = LightCurveBatch.from_curves([bad_curves()[name]], ids=[name])
    with pytest.raises(DataError, match=f"{name}"):
        PeriodSearch().transform(batch)


def test_an_empty_batch_stays_empty():
    found = PeriodSearch().transform(LightCurveBatch.from_curves([]))

    assert found.objects["period"].shape == (0,)


def test_catalogue_periods_are_taken_when_asked(stars):
    found = UseCataloguePeriod().transform(stars)

    assert found.objects["period"] == pytest.approx(stars.objects["catalogue_period"])
    searched = PeriodSearch().transform(stars)
    assert set(found.objects) == set(searched.objects)


def test_missing_catalogue_periods_are_refused_or_searched(stars):
    few = stars[:3]
    period = np.array([0.5, np.nan, -1.0])
    few = few.with_columns(objects={"catalogue_period": period})

    with pytest.raises(DataError, match="positive 'catalogue_period'"):
        UseCataloguePeriod().transform(few)
    kept = UseCataloguePeriod(on_bad="reject").transform(few)
    assert kept.ids.tolist() == ["0"]
    searched = UseCataloguePeriod(missing="search").transform(few)
    found = PeriodSearch().transform(few)
    assert searched.objects["period"][0] == 0.5
    assert np.array_equal(searched.objects["period"][1:], found.objects["period"][1:])


def test_the_octave_of_the_search_meets_missing_periods_and_empty_batches(stars):
    few = stars[:3].with_columns(objects={"catalogue_period": np.array([np.nan, np.inf, -1.0])})
    step = UseCataloguePeriod(missing="search", octave="search")

    found, searched = (s.transform(few).objects["period"] for s in (step, PeriodSearch()))

    assert np.array_equal(found, searched)
    assert step.transform(few[:0]).objects["period"].shape == (0,)


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_the_octave_of_the_search_forgets_that_of_the_catalogue(stars, times):
    """A catalogue that doubled or halved every period gives what the true one gives."""
    step = UseCataloguePeriod(octave="search")
    truth = stars.objects["catalogue_period"]
    wrong = stars.with_columns(objects={"catalogue_period": truth * times})

    from_truth, from_wrong = (step.transform(x).objects["period"] for x in (stars, wrong))

    searched = PeriodSearch().transform(stars).objects["period"]
    right = np.abs(searched / truth - 1) < 1e-3  # the search's own choice of the octave
    assert right.mean() > 0.8
    assert from_wrong[right] == pytest.approx(truth[right], rel=1e-12)
    assert from_truth[right] == pytest.approx(truth[right], rel=1e-12)
    kept = UseCataloguePeriod().transform(wrong).objects["period"]
    assert kept == pytest.approx(truth * times, rel=1e-12)


def test_a_catalogue_period_that_is_no_candidate_stays(stars):
    odd = stars.objects["catalogue_period"] * 0.7317
    batch = stars.with_columns(objects={"catalogue_period": odd})

    found = UseCataloguePeriod(octave="search").transform(batch).objects["period"]

    assert np.mean(np.isclose(found, odd, rtol=1e-12)) > 0.9  # a chance peak lies near the rest


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (PeriodSearch(rule="best"), "rule must be"),  # type: ignore[arg-type]
        (PeriodSearch(n_peaks=1), "n_peaks"),
        (PeriodSearch(jobs=0), "jobs"),
        (PeriodSearch(min_baseline=-1.0), "min_baseline"),
        (PeriodSearch(max_frequency=-3.0), "max_frequency"),
        (UseCataloguePeriod(missing="guess"), "missing must be"),  # type: ignore[arg-type]
        (UseCataloguePeriod(octave="mine"), "octave must be"),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_are_named(stars, step, match):
    with pytest.raises(ConfigError, match=match):
        step.transform(stars)


@pytest.mark.parametrize("n_points", [8, 20, 60, 300])
def test_the_highest_peak_is_that_of_the_exact_periodogram(n_points):
    """Brute force in float64 over the whole grid: no frequency has more power than the winner."""
    rng = np.random.default_rng(n_points)
    rule = GridRule(max_frequency=6.0)
    curves = []
    for _ in range(12):  # noise only, where peaks tie
        time = visits(rng, n_points, baseline=300.0)
        curves.append((time, 15 + rng.normal(size=n_points), rng.uniform(0.5, 2.0, n_points)))
    batch = LightCurveBatch.from_curves(curves)
    usable = batch.usable

    found = search(usable.time, usable.value, usable.error, usable.offsets, grid=rule)

    for i in range(batch.n_curves):
        part = slice(*usable.offsets[i : i + 2])
        centred, weight, weighted, _ = standardise(
            usable.time[part], usable.value[part], usable.error[part]
        )
        every = rule.grid(usable.time[part]).frequencies
        exact = harmonic_power(centred, weight, weighted, every, 1)
        assert found.power[i].max() >= exact.max() - 1e-12

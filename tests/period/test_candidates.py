from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.period import PeriodSearch, UseCataloguePeriod, search
from astroprep.period.choice import STATUS, Candidates, period_status
from astroprep.period.exact import MAX_HARMONICS, harmonic_power, standardise
from astroprep.period.folds import fold_statistics, levels, nested_fit
from astroprep.period.ranking import network

BASELINE = 2500.0


def nightly(rng, n_points=200, baseline=BASELINE):
    """One visit a night within a few hours, in random nights."""
    night = np.floor(rng.uniform(0, baseline, n_points))
    return np.sort(night + 0.4 + 0.12 * rng.normal(size=n_points))


def observed(rng, frequency, shape, noise=0.05, n_points=200):
    time = nightly(rng, n_points)
    value = shape(2 * np.pi * frequency * time) + noise * rng.normal(size=time.size)
    return time, 15 + value, np.full(time.size, noise)


def found_at(frequency, window=0.1, probability=None):
    """Candidates as a search would return them, one curve; half of each peak is added."""
    peak = np.array([frequency], float)
    both = np.concatenate([peak, peak / 2], axis=1)
    if probability is None:
        probability = np.zeros(both.shape)
        probability[0, 0] = 1.0
    return Candidates(
        both,
        np.asarray(probability, float),
        np.linspace(0.5, 0.1, peak.size)[None],
        np.full(peak.shape, -9.0),
        np.broadcast_to(np.asarray(window, float), peak.shape).copy(),
        np.array([BASELINE]),
    )


@pytest.mark.parametrize(
    ("frequency", "code"),
    [
        (1.7, "same"),
        (1.7 / 2, "harmonic 2"),
        (3.4, "harmonic 1/2"),
        (5.1, "harmonic 1/3"),
        (1.7 / 3, "harmonic 3"),
        (1.7 * 2 / 3, "harmonic 3/2"),
        (2.7, "alias +1/d"),
        (0.7, "alias -1/d"),
        (3.7, "alias +2/d"),
        (0.3, "alias -2/d"),
        (2.7027379, "alias +1/sidereal day"),
        (0.6972621, "alias -1/sidereal day"),
        (1.7 + 1 / 29.53, "sidelobe month"),
        (1.7 - 1 / 365.25, "sidelobe year"),
        (1.7 + 2 / 365.25, "sidelobe two years"),
        (4.4, "alias +1/d"),  # of twice the frequency, where an eclipsing star peaks
        (7.77, "other"),
    ],
)
def test_every_relation_is_named(frequency, code):
    """Truth by construction: the arithmetic of aliases and harmonics, within a peak's width."""
    for off in (0.0, 0.4 / BASELINE):
        relations = found_at([1.7, frequency + off]).relations()

        assert relations[0, 0] == "best"
        assert relations[0, 1] == code


def test_half_of_an_alias_is_an_alias():
    assert found_at([1.7, 2.7]).relations()[0, 3] == "alias +1/d"


def test_a_peak_of_the_sampling_is_called_window():
    found = found_at([1.7, 0.9999, 0.0], window=[0.05, 0.8, 0.0])

    assert found.relations()[0].tolist() == [
        *("best", "window", ""),
        *("harmonic 2", "window", ""),
    ]


def test_the_choice_need_not_be_a_candidate():
    """A catalogue period that the search did not find: nothing is best."""
    relations = found_at([1.7, 3.4]).relations(np.array([0.123]))

    assert "best" not in relations[0]


def test_probability_on_aliases_adds_up():
    found = found_at([1.7, 2.7, 3.4], probability=[[0.5, 0.2, 0.1, 0.0, 0.15, 0.05]])

    assert found.alias_share() == pytest.approx([0.35])


def test_status_words_come_in_their_order():
    """The worst is said first."""
    fap = np.array([-9.0, -9, -9, -9, -1])
    window = np.array([0.1, 0.1, 0.1, 0.7, 0.7])
    cycles = np.array([99.0, 99, 3, 3, 3])
    alias = np.array([0.1, 0.3, 0.3, 0.3, 0.3])

    status = period_status(fap, window, cycles, alias)

    assert status.tolist() == ["ok", "alias?", "few cycles", "window", "weak"]
    assert set(status) == set(STATUS)


@pytest.fixture(scope="module")
def pulsators():
    """Forty asymmetric pulsators seen once a night."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(1.3, 2.2, 40)
    shape = lambda a: 0.3 * np.cos(a) + 0.12 * np.cos(2 * a + 1) + 0.05 * np.cos(3 * a + 2)  # noqa: E731
    curves = [observed(rng, f, shape, 0.04) for f in truth]
    return LightCurveBatch.from_curves(curves, objects={"truth": 1 / truth})


def test_aliases_of_real_curves_are_recognised(pulsators):
    """Nightly visits must leave daily aliases among the candidates, and they are called so."""
    usable = pulsators.usable
    found = search(usable.time, usable.value, usable.error, usable.offsets)

    best = 1 / pulsators.objects["truth"]
    relations = found.relations(best)
    assert (np.abs(found.frequency - best[:, None]) < 0.5 / BASELINE).any(axis=1).all()
    for sign, name in ((1, "alias +1/d"), (-1, "alias -1/d")):
        near = np.abs(found.frequency - np.abs(best + sign)[:, None]) < 0.5 / BASELINE
        assert near.any(axis=1).mean() > 0.95
        assert (relations[near] == name).mean() > 0.95
    assert (found.fap[:, 0] < -10).all()
    assert (np.diff(found.fap, axis=1)[found.power[:, 1:] > 0] >= -1e-9).all()
    assert ((relations == "") == (found.frequency == 0)).all()


def test_the_window_column_is_the_spectral_window(pulsators):
    """Brute force: the mean phasor of the times (all errors are equal)."""
    usable = pulsators[0].usable
    found = search(usable.time, usable.value, usable.error, usable.offsets, n_peaks=4)

    for k in range(4):
        phasor = np.exp(2j * np.pi * usable.time * found.frequency[0, k])
        assert found.window[0, k] == pytest.approx(abs(phasor.mean()), abs=0.1)


def test_airmass_is_called_window():
    """A brightness that follows the hour of the night repeats with the sampling."""
    rng = np.random.default_rng(3)
    time = nightly(rng)
    value = 15 + 0.5 * (time - np.floor(time) - 0.4) + 0.02 * rng.normal(size=time.size)
    batch = LightCurveBatch.from_curves([(time, value, np.full(time.size, 0.02))])

    usable = batch.usable
    found = search(usable.time, usable.value, usable.error, usable.offsets)

    day = np.abs(found.frequency[0, :16] - 1.0) < 0.5 / BASELINE
    assert day.any()
    assert set(found.relations(np.array([0.0133]))[0, :16][day]) == {"window"}
    assert PeriodSearch().transform(batch).objects["period_status"][0] == "window"


def test_noise_is_weak_and_a_slow_wave_has_few_cycles():
    rng = np.random.default_rng(8)
    flat = lambda a: 0.0 * a  # noqa: E731
    wave = lambda a: 0.3 * np.cos(a)  # noqa: E731
    curves = [observed(rng, 1.0, flat), observed(rng, 2.6 / BASELINE, wave)]
    curves.append(observed(rng, 1.37, wave))

    found = PeriodSearch().transform(LightCurveBatch.from_curves(curves))

    assert found.objects["period_status"].tolist() == ["weak", "few cycles", "ok"]
    assert np.isfinite(found.objects["period_err"]).all()


SHAPES = {
    "sine": lambda a: 0.2 * np.cos(a + 0.3),
    "two humps": lambda a: 0.05 * np.cos(a) + 0.2 * np.cos(2 * a + 1),
    "four harmonics": lambda a: sum(0.3 / k * np.cos(k * a + k * k) for k in range(1, 5)),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_period_errors_are_of_the_right_size(name):
    """Truth by construction: errors over their estimate scatter by one.

    Of 300 pulls the standard deviation is known to 4 per cent; 15 per cent is 3.7 sigma.
    """
    rng = np.random.default_rng(17)
    curves, truth = [], []
    for _ in range(300):
        f = rng.uniform(0.2, 6.0)
        time = np.sort(rng.uniform(0, 300.0, 120))
        error = rng.uniform(0.5, 1.5, 120) * 0.08
        value = SHAPES[name](2 * np.pi * f * time) + error * rng.normal(size=120)
        # what the survey calls errors may be off by any factor
        curves.append((time, value, 3 * error))
        truth.append(1 / f)
    truth = np.array(truth)
    batch = LightCurveBatch.from_curves(curves, objects={"catalogue_period": truth})

    found = PeriodSearch(max_frequency=13.0).transform(batch).objects

    ratio = np.rint(2 * np.maximum(found["period"] / truth, truth / found["period"])) / 2
    ratio = np.where(found["period"] > truth, ratio, 1 / ratio)
    near = np.abs(found["period"] / ratio / truth - 1) < 1e-3
    assert near.mean() > 0.95
    pull = ((found["period"] - ratio * truth) / found["period_err"])[near]
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(pull)) < 0.25
    given = UseCataloguePeriod(max_frequency=13.0).transform(batch[:20]).objects
    assert np.array_equal(given["period"], 1 / (1 / truth[:20]))
    assert (given["period_err"] > 0).all()


@pytest.mark.parametrize("kind", ["errors", "repeated times", "spikes", "five points", "step"])
def test_odd_curves_get_finite_numbers(kind):
    """Error bars 200 decades apart, tied times, two spikes, next to no points, two values."""
    rng = np.random.default_rng(6)
    time, value, error = observed(rng, 0.77, SHAPES["sine"], n_points=60)
    if kind == "errors":
        error = np.where(np.arange(60) % 4 == 0, 1e-200, 1.0)
    elif kind == "repeated times":
        time = np.repeat(time[::6], 6)
    elif kind == "spikes":
        value = np.where(np.arange(60) % 30 == 0, 1e12, 15.0)
    elif kind == "five points":
        time, value, error = time[:5], value[:5], error[:5]
    else:
        value = np.where(time < 1000, 15.0, 16.0)
    batch = LightCurveBatch.from_curves([(time, value, error)])

    found = PeriodSearch().transform(batch).objects
    usable = batch.usable
    candidates = search(usable.time, usable.value, usable.error, usable.offsets)

    for name, column in found.items():
        if column.dtype.kind == "f":
            assert np.isfinite(column).all(), name
    assert found["period"][0] > 0
    assert found["period_status"][0] in STATUS
    for part in (candidates.probability, candidates.fap, candidates.window):
        assert np.isfinite(part).all()


def test_nested_fits_are_those_of_each_order():
    """Brute force: a fit of every order on its own."""
    rng = np.random.default_rng(2)
    time, value, error = observed(rng, 0.77, SHAPES["four harmonics"])
    centred, weight, weighted, _ = standardise(time, value, error)
    size = 2 * MAX_HARMONICS
    work, matrix = np.empty((4, time.size)), np.empty((size, size))
    share = np.empty(MAX_HARMONICS)

    for f in (0.77, 0.385, 1.0, 3.3, 1e-4):
        nested_fit(centred, weight, weighted, f, MAX_HARMONICS, work, matrix, np.empty(size), share)
        for h in range(MAX_HARMONICS):
            alone = harmonic_power(centred, weight, weighted, np.array([f]), h + 1)[0]
            assert share[h] == pytest.approx(alone, abs=1e-7)


def test_fold_statistics_are_their_definitions():
    """Brute force in numpy."""
    rng = np.random.default_rng(4)
    time, value, error = observed(rng, 0.77, SHAPES["four harmonics"])
    centred, weight, weighted, _ = standardise(time, value, error)
    standard, level = weighted / weight, levels(weighted / weight, 5)
    out = np.empty(5)
    f = 0.7701

    fold_statistics(centred, weight, weighted, standard, level, f, np.empty(time.size), out)

    phase = (f * centred) % 1.0
    for k, n_bins in enumerate((40, 20, 10)):
        where = np.minimum((phase * n_bins).astype(int), n_bins - 1)
        mean = np.array(
            [
                np.average(standard[where == b], weights=weight[where == b])
                if (where == b).any()
                else 0.0
                for b in range(n_bins)
            ]
        )
        rest = (weight * (standard - mean[where]) ** 2).sum()
        used = np.unique(where).size
        assert out[k] == pytest.approx(1 - rest * (time.size - 1) / (time.size - used))
    sort = standard[np.argsort(phase)]
    steps = (np.diff(np.r_[sort, sort[0]]) ** 2).sum() / 2
    assert out[3] == pytest.approx(steps / ((standard - standard.mean()) ** 2).sum())
    assert np.bincount(level).tolist() == [40] * 5
    cells = np.zeros((10, 5))
    np.add.at(cells, (np.minimum((phase * 10).astype(int), 9), level), 1 / time.size)
    total = cells.sum(axis=1, keepdims=True)
    some = cells > 0
    entropy = (cells * np.log(np.where(some, total / np.where(some, cells, 1), 1))).sum()
    assert out[4] == pytest.approx(entropy / np.log(5))


def test_the_shipped_network_is_whole():
    """As many numbers as the layers need, all finite."""
    mean, scale, w1, b1, w2, b2, w3 = network()

    assert mean.shape == scale.shape == (w1.shape[0],)
    assert b1.shape == (w1.shape[1],)
    assert b1.shape == (w2.shape[0],)
    assert b2.shape == w3.shape == (w2.shape[1],)
    assert all(np.isfinite(part).all() for part in network())
    assert (scale > 0).all()

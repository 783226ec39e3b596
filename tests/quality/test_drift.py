"""Drift: none between halves of one survey, named where something moved."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from astroprep.errors import DataError
from astroprep.io import open_survey
from astroprep.quality import assess, compare, summarize, summarize_measures
from astroprep.quality.drift import FINE
from astroprep.synthetic import simulate_survey


def moved(report):
    return {m["name"] for m in report.drift["measures"] if m["verdict"] in ("fair", "poor")}


def one(old, new, name="x"):
    (found,), _ = compare(
        summarize_measures({name: old}), summarize_measures({name: new}, points=FINE)
    )
    return found


@pytest.fixture(scope="module")
def survey():
    return simulate_survey(600, seed=4)


@pytest.fixture(scope="module")
def training(survey):
    return json.loads(json.dumps(assess([survey[:300]]).summary))


def test_the_same_survey_has_none(survey, training):
    """The other half of the same stars: nothing beyond what chance does once in a thousand."""
    report = assess([survey[300:]], training=training)
    assert moved(report) == set()
    assert report.drift["differences"] == []
    (check,) = [k for c in report.conditions for k in c.checks if k.name == "drift from training"]
    assert (check.value, check.verdict) == (0.0, "good")


def test_a_shift_of_brightness_is_named(survey, training):
    other = survey[300:]
    report = assess([other.with_columns(value=other.value + (other.value < 90))], training=training)
    assert moved(report) == {"brightness"}
    assert "median" in report.conditions[2].checks[-1].text


def test_a_small_shift_needs_many_stars():
    """0.3 mag among 20,000 constant stars of a spread of 1 mag is large enough to be fair."""
    rng = np.random.default_rng(2)
    old, new = rng.normal(15, 1, 20_000), rng.normal(15.3, 1, 20_000)
    found = one(old, new, "brightness")
    # for two Gaussians psi is (shift / sigma)^2 and ks 2 Phi(shift / 2 sigma) - 1
    assert found.psi == pytest.approx(0.09, abs=0.01)
    assert found.ks == pytest.approx(0.1192, abs=0.012)
    assert found.verdict == "fair"
    assert (found.before, found.now) == (pytest.approx(15, abs=0.05), pytest.approx(15.3, abs=0.05))


def test_catalina_and_its_zero_point(data_dir):
    """Every second star of Catalina South against the others: no drift; 0.3 mag off: named."""
    with open_survey(data_dir / "crts_south.parquet") as survey:
        batches = list(survey.iter_batches(4096))
    even = [batch[batch.objects["row"] % 2 == 0] for batch in batches]
    odd = [batch[batch.objects["row"] % 2 == 1] for batch in batches]
    training = assess(even).summary
    assert moved(assess(odd, training=training)) == set()
    off = [batch.with_columns(value=batch.value + 0.3) for batch in odd]
    assert moved(assess(off, training=training)) == {"brightness"}
    thin = [
        replace(
            batch,
            time=batch.time[::4],
            value=batch.value[::4],
            error=batch.error[::4],
            flags=batch.flags[::4],
            weight=batch.weight[::4],
            offsets=-(-batch.offsets // 4),
        )
        for batch in odd
    ]
    named = moved(assess(thin, training=training))
    assert {"points of an object", "time to the next point"} <= named
    assert "brightness" not in named


def test_another_cadence_is_named(survey, training):
    other = simulate_survey(300, seed=10, n_visits=90)
    report = assess([other], training=training)
    assert {"points of an object", "longest gap"} <= moved(report)
    assert "brightness" not in moved(report)


def test_other_errors_are_named(survey, training):
    other = survey[300:]
    report = assess([other.with_columns(error=other.error * 2)], training=training)
    assert moved(report) == {"quoted error", "honesty of errors"}


def test_other_classes_are_named(training):
    other = simulate_survey(300, seed=4, shares={"RRab": 1, "EW": 1})
    report = assess([other], training=training)
    assert "classes" in moved(report)


def test_another_quantity_and_bands(survey, training):
    assert compare(training, {**training, "quantity": "flux"})[1] == (
        "the quantity was mag and is flux",
    )
    new = compare({**training, "bands": ["g", "r"]}, {**training, "bands": ["g", "i"]})[1]
    assert new == ("new bands: i", "bands that are gone: r")


@pytest.mark.parametrize("seed", range(5))
def test_distance_is_that_of_scipy(seed):
    """Up to what the 24 stored points can hide, a 23rd."""
    rng = np.random.default_rng(seed)
    old, new = rng.gamma(2, 1, 3000), rng.gamma(2 + 0.3 * seed, 1, 2000)
    exact = ks_2samp(old, new).statistic
    assert exact - 1 / 23 <= one(old, new).ks <= exact + 0.002


def test_chance_alone_seldom_drifts():
    """Two hundred pairs of equal distributions, small and large; at most the expected few."""
    rng = np.random.default_rng(11)
    flagged = sum(
        one(rng.normal(size=n), rng.normal(size=m)).verdict != "good"
        for n, m in rng.integers(25, 3000, (200, 2))
    )
    assert flagged <= 3  # two tests at one in a thousand each, of 200: 0.4 expected


def test_values_that_repeat(rng):
    """Whole numbers and mostly zeros are compared as they are."""
    old, new = rng.poisson(0.3, 4000), rng.poisson(0.3, 4000)
    assert one(old, new).verdict == "good"
    assert one(old, rng.poisson(1.0, 4000)).verdict == "poor"
    assert one(np.zeros(100), np.zeros(100)).psi == pytest.approx(0, abs=1e-12)
    assert one(np.zeros(100), np.ones(100)).verdict == "poor"


def test_unknown_values_drift_too(rng):
    old = rng.normal(size=1000)
    new = np.where(rng.random(1000) < 0.4, np.nan, rng.normal(size=1000))
    found = one(old, new)
    assert found.missing == pytest.approx(0.4, abs=0.05)
    assert found.verdict == "poor"
    assert one(old, np.full(50, np.nan)).verdict == "poor"  # all of it is gone
    assert one(old, old[:5]).verdict == "unknown"


def test_a_summary_is_small_and_plain(training):
    assert len(json.dumps(training)) < 5000
    assert summarize([]) == {"n": 0, "missing": 0.0, "at": [], "below": []}
    assert summarize([np.nan, np.inf])["missing"] == 1.0
    exact = summarize([1.0, 2.0, 3.0, np.nan])
    assert (exact["at"], exact["missing"]) == ([1.0, 2.0, 3.0], 0.25)
    assert exact["below"] == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-5)


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"version": 99, "measures": {}},
        {"version": 1, "measures": 3},
        {"version": 1, "measures": {"brightness": {"n": 3}}},
        {"version": 1, "measures": {"brightness": None}},
        {"version": 1, "measures": {"brightness": {"n": 9, "missing": 0, "at": [1], "below": []}}},
    ],
)
def test_damaged_summaries_are_refused(summary, survey):
    with pytest.raises(DataError, match="train the bundle again"):
        assess([survey[:30]], training=summary)

"""One row an object with verdicts that follow its defects; columns that say it twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Rejected
from astroprep.quality import assess
from astroprep.quality.fields import MOST_ROWS, Fields, rank_correlation
from astroprep.quality.objects import expected_scatter
from astroprep.synthetic import simulate_survey


def test_shares_are_those_of_the_damage():
    """Every share of every object against the truth of the simulation."""
    survey = simulate_survey(200, seed=6)
    table = assess([survey]).table.columns
    truth = survey.points["corruption"]
    sizes = np.diff(survey.offsets)
    curve = np.repeat(np.arange(200), sizes)
    for name, bit in (("sentinels", 8), ("missing_values", 2), ("bad_times", 1)):
        count = np.bincount(curve[(truth & bit) > 0], minlength=200)
        known = sizes > 0
        np.testing.assert_allclose(
            table[f"share_{name}"][known], (count / np.maximum(sizes, 1))[known], rtol=1e-6
        )
        assert np.isnan(table[f"share_{name}"][~known]).all()


def test_verdicts_of_objects(steady):
    batch = steady()
    curve = np.repeat(np.arange(60), 180)
    first = np.arange(batch.n_points) % 180
    value, error, time = batch.value.copy(), batch.error.copy(), batch.time.copy()
    value[(curve == 1) & (first < 30)] = 99.99
    value[(curve == 2) & (first < 90)] = np.nan
    error[curve == 3] /= 8
    value[curve == 4] = 15.0
    time[(curve == 5) & (first == 0)] += 3
    ids = batch.ids.copy()
    ids[7] = "s6"
    report = assess([batch.with_columns(value=value, error=error, time=time, objects={"id": ids})])
    table = report.table.columns
    expected = {
        1: ("validity", "poor", "sentinel values"),
        2: ("completeness", "poor", "missing values"),
        3: ("accuracy_and_reliability", "poor", "misquoted errors"),
        4: ("validity", "poor", "one value only"),
        5: ("consistency", "fair", "not in order of time"),
        7: ("no_redundancy", "fair", "an id that is there already"),
    }
    for row, (condition, verdict, check) in expected.items():
        assert table[f"verdict_{condition}"][row] == verdict
        assert table["worst_check"][row] == check
        assert table["verdict"][row] == verdict
    untouched = np.setdiff1d(np.arange(60), list(expected))
    assert (table["verdict"][untouched] == "good").all()
    assert (table["severity"][untouched] == 0).all()
    assert set(report.table.worst(6).tolist()) == set(expected)
    assert report.table.worst(60).size == 6
    assert report.objects["verdicts"]["all"] == {"unknown": 0, "good": 54, "fair": 2, "poor": 4}


def test_every_object_has_a_row(steady):
    """Those that could not be read stand in their place, with the reason."""
    batch = steady(5)
    refused = Rejected(
        row=np.array([2]),
        id=np.array(["lost"], object),
        step=np.array(["reader"], object),
        reason=np.array(["lists differ in length"], object),
    )
    rows = np.array([0, 1, 3, 4, 5])
    batch = replace(batch, objects={**batch.objects, "row": rows}, rejected=refused)
    table = assess([batch]).table.columns
    assert table["row"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["id"][2] == "lost"
    assert table["worst_check"][2] == "unreadable: lists differ in length"
    assert table["verdict"][2] == "poor"
    assert np.isnan(table["median"][2])


def test_twins_are_named(steady):
    batch = steady(6)
    ra, dec = batch.objects["ra"].copy(), batch.objects["dec"].copy()
    ra[4], dec[4] = ra[1], dec[1] + 2 / 3600
    table = assess([batch.with_columns(objects={"ra": ra, "dec": dec})]).table.columns
    assert table["twin_of"].tolist() == [-1, -1, -1, -1, 1, -1]


def test_expected_scatter_follows_the_brightness(rng):
    median = rng.uniform(13, 18, 4000)
    scatter = 10 ** (0.3 * (median - 18)) * rng.lognormal(0, 0.1, 4000)
    found = expected_scatter(median, scatter)
    np.testing.assert_allclose(np.log10(found), 0.3 * (median - 18), atol=0.06)
    assert np.isnan(expected_scatter(median[:10], scatter[:10])).all()


def objects_only(**columns):
    n = len(next(iter(columns.values())))
    return LightCurveBatch.from_curves([((), (), ())] * n, objects=columns)


def test_correlation_is_spearman(rng):
    from scipy.stats import spearmanr

    a = rng.normal(size=300)
    b = np.exp(a) + rng.normal(0, 0.5, 300)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert np.isnan(rank_correlation(a, np.ones(300)))
    assert np.isnan(rank_correlation(a[:10], b[:10]))


def test_fields_do_not_depend_on_batches(rng):
    n = 3 * MOST_ROWS
    x = rng.normal(size=n)
    batch = objects_only(x=x, y=x**3, z=rng.normal(size=n), same=np.full(n, 2.0))
    whole, parts = Fields(), Fields()
    whole.add(batch)
    for first in range(0, n, 1000):
        parts.add(batch[first : first + 1000])
    assert parts._sample == whole._sample
    assert len(whole._sample["x"]) <= MOST_ROWS
    assert whole.correlated() == parts.correlated() == [("x", "y", pytest.approx(1.0))]
    assert whole.constant() == ["same"]
    assert whole.redundant() == []


def test_presence_that_tells_the_class(rng):
    label = np.array(["EA", "EW", "RRab", "LPV"] * 50, object)
    eclipsing = np.isin(label, ["EA", "EW"])
    fields = Fields()
    fields.add(
        objects_only(
            label=label,
            period=np.where(eclipsing, 1.0, np.nan),
            note=np.where(eclipsing, "x", "").astype(object),
            half=np.where(rng.random(200) < 0.5, 1.0, np.nan),
            all=np.arange(200.0),
        )
    )
    assert fields.telling() == [("period", ["EA", "EW"]), ("note", ["EA", "EW"])]

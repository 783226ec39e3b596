"""Each feature stays or goes for a reason that was built in."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.naive_bayes import GaussianNB

from astroprep.errors import ConfigError, DataError
from astroprep.reduce import select_features
from astroprep.reduce.eliminate import SelectionCurve, _smallest, sizes


def made(rng, n=300):
    """Two features tell of three classes, the others are each useless in their own way."""
    y = np.array(["A", "B", "C"])[rng.integers(0, 3, n)].astype(object)
    good = rng.normal(size=n) + 3 * (y == "A")
    other = rng.normal(size=n) + 3 * (y == "B")
    rare = np.where(rng.random(n) < 0.8, np.nan, good)
    return {
        "good": good,
        "twin": np.exp(good + rng.normal(0, 0.02, n)),
        "other": other,
        "noise": rng.normal(size=n),
        "rare": rare,
        "constant": np.full(n, 3.0),
        "gone": np.full(n, np.nan),
    }, y


def test_every_feature_has_its_reason(rng):
    table, y = made(rng)
    found = select_features(table, y, GaussianNB(), n_folds=4, n_repeats=2)
    assert len(found.kept) == 2
    assert "other" in found.kept
    assert len({"good", "twin"} & set(found.kept)) == 1
    frame = found.table().set_index("feature")
    assert "rho = +" in frame.reason[({"good", "twin"} - set(found.kept)).pop()]
    assert frame.reason["noise"].startswith("no information")
    assert (
        frame.reason["rare"].startswith("missing for 7") or "missing for 8" in frame.reason["rare"]
    )
    assert frame.reason["constant"] == "constant"
    assert frame.reason["gone"] == "missing for all objects"
    for name in found.kept:
        assert frame.importance[name] > 0.1
    text = found.report()
    assert "2 of 7 features stay" in text
    assert "+ other" in text
    assert "- constant" in text
    assert found.apply(table).names == found.kept


def test_the_elimination_drops_what_adds_nothing(rng):
    """Weak copies inform, but not beyond the features that they were made of."""
    table, y = made(rng, 400)
    weak = {f"weak_{k}": table["good"] + rng.normal(0, 2.0, 400) for k in range(4)}
    table = {"good": table["good"], "other": table["other"], **weak}
    trees = ExtraTreesClassifier(30, min_samples_leaf=5, random_state=0)
    found = select_features(table, y, trees, n_folds=4, n_repeats=3)
    assert {"good", "other"} <= set(found.kept)
    assert len(found.kept) <= 4
    curve = found.curve
    assert curve.n_features.tolist() == [6, 4, 3, 2, 1]
    at = curve.n_features.tolist().index(curve.chosen)
    assert curve.score[at] >= curve.bar >= curve.score[0] - curve.error[0]
    assert np.all(curve.score[at + 1 :] < curve.bar)
    out = found.elimination.left_at[[n not in found.kept for n in found.candidates]]
    assert np.all(out > len(found.kept))


def test_the_curve_of_pure_noise_promises_nothing(rng):
    """Selecting on all rows and scoring on them would look better than chance; this does not."""
    x = rng.normal(size=(120, 40))
    y = rng.choice(["A", "B"], 120)
    found = select_features(x, y, GaussianNB(), alpha=0.999, n_folds=5, n_repeats=2)
    assert abs(found.curve.score - 0.5).max() < 0.15


def test_twins_of_objects_stay_on_one_side(rng):
    x = np.repeat(rng.normal(size=(100, 3)), 2, axis=0)
    y = np.repeat(rng.choice(["A", "B"], 100), 2)
    pair = np.repeat(np.arange(100), 2)
    trees = ExtraTreesClassifier(20, random_state=0)
    options = {"alpha": 0.999, "n_folds": 4, "n_repeats": 1, "max_missing": 0.5}
    honest = select_features(x, y, trees, groups=pair, **options).curve.score[0]
    naive = select_features(x, y, trees, **options).curve.score[0]
    assert naive > honest + 0.1


def test_the_smallest_set_within_one_standard_error():
    grid = [8, 6, 4, 2, 1]
    scores = np.array([[0.80, 0.82, 0.80, 0.79, 0.5], [0.84, 0.82, 0.82, 0.81, 0.5]])
    # the full set has 0.82 with error 0.02: 0.80 is the least that will do
    assert _smallest(grid, scores) == 2
    assert SelectionCurve(np.array(grid), scores, 2).error[0] == pytest.approx(0.02)
    # where all features mislead, no worse than all is not enough: within 0.01 of the best
    scores = np.array([[0.68, 0.75, 0.80, 0.78, 0.71], [0.72, 0.75, 0.82, 0.79, 0.71]])
    assert _smallest(grid, scores) == 4
    assert sizes(8, 0.25) == [8, 6, 4, 3, 2, 1]
    assert sizes(1, 0.5) == [1]


def test_without_labels_only_what_features_say_of_each_other_counts(rng):
    table, _ = made(rng)
    found = select_features(table)
    assert found.information is None
    assert found.curve is None
    assert set(found.kept) in ({"good", "other", "noise"}, {"twin", "other", "noise"})


def test_the_same_seed_gives_the_same_set(rng):
    table, y = made(rng)
    one, two = (select_features(table, y, GaussianNB(), n_folds=3, seed=5) for _ in range(2))
    assert one.reason == two.reason
    np.testing.assert_array_equal(one.curve.scores, two.curve.scores)


def test_what_cannot_be_done_is_said(rng):
    table, y = made(rng, 60)
    with pytest.raises(ConfigError, match="needs labels for an estimator"):
        select_features(table, None, GaussianNB())
    with pytest.raises(ConfigError, match="estimator with fit and predict"):
        select_features(table, y, "trees")
    with pytest.raises(
        ConfigError, match=r"max_missing .*; twin_rho .*; alpha .*; drop .*; n_fold"
    ):
        select_features(
            table, y, max_missing=1, twin_rho=0, alpha=1, drop=0, n_folds=1, n_repeats=0
        )
    with pytest.raises(DataError, match="no feature varies"):
        select_features({"a": np.ones(9)})
    with pytest.raises(DataError, match="no feature tells anything"):
        select_features({"a": rng.normal(size=60)}, rng.choice(["A", "B"], 60))
    for empty in (np.empty((0, 2)), np.ones((3, 2))):
        with pytest.raises(DataError, match="needs objects"):
            select_features(empty, [None] * len(empty))

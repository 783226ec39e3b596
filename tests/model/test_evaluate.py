"""Scores against scikit-learn, and the cases that scikit-learn does not know."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from astroprep.errors import DataError
from astroprep.model.evaluate import (
    accuracy,
    balanced_accuracy,
    bootstrap_difference,
    confusion_matrix,
    ece,
    evaluate,
    macro_f1,
    per_class,
    split_validation,
)

CLASSES = ["EA", "EW", "RRab", "RRc"]


@pytest.fixture
def pair(rng):
    truth = rng.choice(CLASSES, 500, p=[0.6, 0.25, 0.1, 0.05]).astype(object)
    predicted = np.where(rng.random(500) < 0.7, truth, rng.choice(CLASSES, 500)).astype(object)
    return truth, predicted


def test_equals_scikit_learn(pair):
    truth, predicted = pair

    assert accuracy(truth, predicted, CLASSES) == metrics.accuracy_score(truth, predicted)
    assert balanced_accuracy(truth, predicted, CLASSES) == pytest.approx(
        metrics.balanced_accuracy_score(truth, predicted)
    )
    assert macro_f1(truth, predicted, CLASSES) == pytest.approx(
        metrics.f1_score(truth, predicted, average="macro")
    )
    np.testing.assert_array_equal(
        confusion_matrix(truth, predicted, CLASSES)[:, :-1],
        metrics.confusion_matrix(truth, predicted, labels=CLASSES),
    )
    report = metrics.classification_report(truth, predicted, output_dict=True)
    for name, row in per_class(truth, predicted, CLASSES).items():
        assert row["recall"] == pytest.approx(report[name]["recall"])
        assert row["precision"] == pytest.approx(report[name]["precision"])
        assert row["f1"] == pytest.approx(report[name]["f1-score"])
        assert row["n"] == report[name]["support"]


def test_a_rejected_object_counts_as_wrong():
    truth = ["EA", "EA", "EW", "EW"]

    assert accuracy(truth, ["EA", "", "EW", "EW"], CLASSES) == 0.75
    assert balanced_accuracy(truth, ["EA", "", "EW", "EW"], CLASSES) == 0.75
    assert confusion_matrix(truth, ["EA", "", "EW", "EW"], CLASSES)[0].tolist() == [1, 0, 0, 0, 1]


def test_truth_outside_the_classes_is_left_out():
    truth, predicted = ["EA", "Misc", "EW"], ["EA", "EA", "EW"]

    assert accuracy(truth, predicted, CLASSES) == 1.0
    assert evaluate(truth, predicted, CLASSES)["n_test"] == 2


def test_absent_classes_pull_macro_f1_down_but_not_balanced_accuracy():
    truth = ["EA", "EW"]

    assert balanced_accuracy(truth, truth, CLASSES) == 1.0
    assert macro_f1(truth, truth, CLASSES) == 0.5


def test_nothing_to_score_is_nan():
    assert np.isnan(accuracy([], [], CLASSES))
    assert np.isnan(balanced_accuracy([], [], CLASSES))
    assert np.isnan(ece([], np.empty((0, 4)), CLASSES))


def test_lengths_must_agree():
    with pytest.raises(DataError, match="equal length, got 1 and 2"):
        accuracy(["EA"], ["EA", "EW"], CLASSES)


def test_ece_by_hand_and_for_honest_probabilities(rng):
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [np.nan, np.nan]])
    # bin of 0.9: one of two right, gap 0.4, twice; bin of 0.6: right, gap 0.4; the last has no say
    assert ece(["a", "b", "a", "a"], sure, ["a", "b"]) == pytest.approx(0.4)

    p = rng.uniform(0.5, 1.0, 200_000)
    truth = np.where(rng.random(p.size) < p, "a", "b").astype(object)
    assert ece(truth, np.column_stack([p, 1 - p]), ["a", "b"]) < 0.01


def test_bootstrap_of_equal_predictions_is_zero(pair):
    truth, predicted = pair

    result = bootstrap_difference(truth, predicted, predicted, CLASSES)

    assert (result.difference, result.low, result.high, result.standard_error) == (0, 0, 0, 0)


def test_bootstrap_agrees_with_resampling_by_hand(rng, pair):
    truth, predicted = pair
    other = np.where(rng.random(500) < 0.9, predicted, "EA").astype(object)

    result = bootstrap_difference(truth, predicted, other, CLASSES, n_resamples=4000)

    expected = balanced_accuracy(truth, predicted, CLASSES) - balanced_accuracy(
        truth, other, CLASSES
    )
    assert result.difference == pytest.approx(expected)
    by_hand = []
    for _ in range(400):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(truth == c), (truth == c).sum()) for c in CLASSES]
        )
        by_hand.append(
            balanced_accuracy(truth[rows], predicted[rows], CLASSES)
            - balanced_accuracy(truth[rows], other[rows], CLASSES)
        )
    # 400 resamples know their own scatter to 3.5 %
    assert result.standard_error == pytest.approx(np.std(by_hand), rel=0.15)
    assert result.low < result.difference < result.high


def test_validation_is_stratified_and_seeded(pair):
    truth, _ = pair

    chosen = split_validation(truth, fraction=0.2, seed=4)

    for name in CLASSES:
        inside = truth == name
        assert chosen[inside].sum() == round(0.2 * inside.sum())
    np.testing.assert_array_equal(chosen, split_validation(truth, fraction=0.2, seed=4))
    assert (chosen != split_validation(truth, fraction=0.2, seed=5)).any()


def test_groups_stay_together(rng, pair):
    truth, _ = pair
    group = rng.integers(0, 150, truth.size)

    chosen = split_validation(truth, group, fraction=0.3, seed=1)

    for g in range(150):
        assert len(set(chosen[group == g])) <= 1
    assert 0.15 < chosen.mean() < 0.45


def test_rare_classes_stand_on_both_sides_or_in_training():
    label = ["EA"] * 20 + ["EW"] * 2 + ["RRab"]

    chosen = split_validation(label, fraction=0.15)

    assert chosen[20:22].sum() == 1
    assert not chosen[22]
    assert split_validation([]).size == 0


def test_wrong_fractions_are_named():
    with pytest.raises(DataError, match="fraction between 0 and 1"):
        split_validation(["EA"], fraction=1.0)
    with pytest.raises(DataError, match="2 labels but 1 groups"):
        split_validation(["EA", "EW"], [1])

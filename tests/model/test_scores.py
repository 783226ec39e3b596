"""Intervals, second guesses and dependences; another survey's labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from astroprep.errors import ConfigError, DataError
from astroprep.model.evaluate import balanced_accuracy, macro_f1
from astroprep.model.label_map import evaluate_mapped, read_label_map
from astroprep.model.scores import accuracy_by, bootstrap_scores, top_k_error

NAMES = ["a", "b", "c"]


def test_intervals_are_those_of_drawing_objects_within_their_class(rng):
    truth = np.repeat(np.array(NAMES, object), [200, 50, 20])
    predicted = np.where(rng.random(270) < 0.7, truth, "a")
    found = bootstrap_scores(truth, predicted, NAMES, n_resamples=4000)

    drawn = []
    for _ in range(1500):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(truth == k), (truth == k).sum()) for k in NAMES]
        )
        once = truth[rows], predicted[rows], NAMES
        drawn.append((balanced_accuracy(*once), macro_f1(*once)))
    for k, name in enumerate(("balanced_accuracy", "macro_f1")):
        brute = np.percentile([d[k] for d in drawn], [2.5, 97.5])
        np.testing.assert_allclose(found[name], brute, atol=0.015)
    with pytest.raises(DataError, match="found none"):
        bootstrap_scores(["x"], ["a"], NAMES)


def test_top_two_against_scikit_learn_and_rejected_ones_are_wrong(rng):
    p = rng.dirichlet(np.ones(3), 300)
    code = rng.integers(0, 3, 300)
    truth = np.array(NAMES, object)[code]
    assert top_k_error(truth, p, NAMES) == pytest.approx(1 - top_k_accuracy_score(code, p, k=2))
    p[:30] = np.nan
    assert top_k_error(truth, p, NAMES, k=3) == pytest.approx(0.1)
    assert np.isnan(top_k_error(["x"], p[:1], NAMES))
    assert top_k_error(["b", "c"], np.full((2, 3), 1 / 3), NAMES) == 0.5  # ties: the first ones
    with pytest.raises(ConfigError, match="k must be"):
        top_k_error(truth, p, NAMES, k=0)


def test_accuracy_by_a_value_keeps_equal_ones_together(rng):
    value = np.concatenate([np.full(100, 1.0), np.arange(2.0, 102.0), [np.nan]])
    right = np.concatenate([np.zeros(100, bool), np.ones(101, bool)])
    found = accuracy_by(value, right, n_bins=4)

    assert sum(found["n"]) == 200
    assert found["n"][0] == 100
    assert found["accuracy"] == [0.0, *[1.0] * (len(found["n"]) - 1)]
    assert all(np.diff(found["low"]) > 0)
    assert accuracy_by([], [])["n"] == []
    assert accuracy_by([3.0], [True])["n"] == [1.0]
    with pytest.raises(DataError, match="got 1 values for 2 objects"):
        accuracy_by([1.0], [True, False])


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "labels.toml"
    path.write_text('"Contact Systems" = "a"\n"RR Lyrae" = ["b", "c"]\nBLAP = []\n')
    return path


def test_another_surveys_labels_may_mean_several_classes_or_none(mapped):
    p = np.array([[0.6, 0.2, 0.2], [0.4, 0.35, 0.25], [0.9, 0.1, 0.0], [np.nan] * 3])
    label = ["Contact Systems", "RR Lyrae", "BLAP", "RR Lyrae"]

    found = evaluate_mapped(label, p, NAMES, mapped)

    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["left_out"] == {"BLAP": 1}
    assert found["classes"] == ["a", "b|c"]


def test_an_answer_that_no_label_means_is_wrong(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("EC,a\n")
    found = evaluate_mapped(["EC", "EC"], np.array([[0.2, 0.8, 0], [1, 0, 0]]), NAMES, path)
    assert found["accuracy"] == 0.5
    assert found["confusion"] == [[1, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('x = "d"', "x means d, known: a, b, c"),
        ('x = ["a", "b"]\ny = "a"', "a and a|b overlap"),
        ("x = 3", "neither a class nor a list"),
        ("", "table of foreign label"),
        ("x", "not a label map"),
    ],
)
def test_maps_that_are_none(tmp_path, text, message):
    path = tmp_path / "labels.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message.replace("|", r"\|")):
        read_label_map(path, NAMES)


def test_labels_outside_the_map(mapped):
    with pytest.raises(DataError, match="the label map lacks 'Mira'"):
        evaluate_mapped(["Mira"], np.ones((1, 3)) / 3, NAMES, mapped)
    with pytest.raises(DataError, match="no label of the map means"):
        evaluate_mapped(["BLAP"], np.ones((1, 3)) / 3, NAMES, mapped)

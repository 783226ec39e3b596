"""Pictures of scores show the numbers that they were given."""

from __future__ import annotations

import io

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.model.scores import accuracy_by
from astroprep.plot import (
    plot_accuracy_by,
    plot_class_counts,
    plot_confusion,
    plot_reliability,
    plot_size_accuracy,
    plot_training,
)

MATRIX = np.array([[6, 2, 0, 0], [0, 5, 0, 5], [0, 0, 0, 0]])
LABELS = ["RRab", "RRc", "EW"]


def rendered(ax) -> None:
    ax.figure.savefig(io.BytesIO(), format="svg")


def cells(ax) -> dict[tuple[int, int], str]:
    return {
        (int(text.get_position()[1]), int(text.get_position()[0])): text.get_text()
        for text in ax.texts
    }


def test_confusion_shows_share_of_the_row_and_count() -> None:
    ax = plot_confusion(MATRIX, LABELS)

    assert cells(ax) == {(0, 0): "75%\n6", (0, 1): "25%\n2", (1, 1): "50%\n5", (1, 3): "50%\n5"}
    share = ax.collections[0].get_array().reshape(3, 4)
    np.testing.assert_allclose(share, [[0.75, 0.25, 0, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 0]])
    assert [t.get_text() for t in ax.get_xticklabels()] == [*LABELS, "(none)"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["RRab  (8)", "RRc  (10)", "EW  (0)"]
    assert ax.get_ylim() == (3, 0)  # first class on top
    rendered(ax)


def test_confusion_without_rejected_has_no_column_for_them() -> None:
    ax = plot_confusion(np.eye(3, 4, dtype=int), LABELS)
    assert [t.get_text() for t in ax.get_xticklabels()] == LABELS


@pytest.mark.parametrize("n", [0, 1, 13, 26])
def test_confusion_of_any_number_of_classes(n: int) -> None:
    rendered(plot_confusion(np.eye(n, n + 1, dtype=int), [f"class {k}" for k in range(n)]))


def test_confusion_refuses_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="3 or 4 columns"):
        plot_confusion(np.eye(2), LABELS)


ROWS = [
    {
        "epoch": k,
        "learning_rate": 0.1,
        "loss": 1 / (1 + k),
        "validation_loss": 1.5 / (1 + k),
        "validation_macro_f1": k / 10,
        "seconds": 1.0,
    }
    for k in range(5)
]


@pytest.mark.parametrize(
    "history",
    [
        {"epochs": ROWS, "best_epoch": 3},
        {name: [row[name] for row in ROWS] for name in ROWS[0]} | {"best_epoch": 3},
    ],
    ids=["rows", "lists"],
)
def test_training_draws_losses_scores_and_the_best_epoch(history: dict) -> None:
    ax = plot_training(history)

    by_label = {line.get_label(): line for line in ax.lines}
    assert set(by_label) == {"training loss", "validation loss", "best epoch 3"}
    np.testing.assert_array_equal(by_label["training loss"].get_ydata(), 1 / (1 + np.arange(5)))
    np.testing.assert_array_equal(by_label["training loss"].get_xdata(), np.arange(5))
    assert list(by_label["best epoch 3"].get_xdata()) == [3, 3]
    (twin,) = (other for other in ax.figure.axes if other is not ax)
    (score,) = twin.lines
    assert score.get_label() == "macro F1"
    np.testing.assert_array_equal(score.get_ydata(), np.arange(5) / 10)
    rendered(ax)


@pytest.mark.parametrize("history", [{}, {"epochs": [], "best_epoch": -1}, {"loss": []}])
def test_training_without_history_says_so(history: dict) -> None:
    ax = plot_training(history)
    assert not ax.lines
    assert ax.texts[0].get_text() == "no training history"


def test_size_accuracy_puts_each_network_at_its_bytes() -> None:
    points = {"fp32": (59200.0, 0.795), "ours": (3300.0, 0.789), "broken": (10.0, np.nan)}

    ax = plot_size_accuracy(points)

    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]
    assert places == [(59200.0, 0.795), (3300.0, 0.789)]
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "fp32: 59.2 kB, 0.795",
        "ours: 3.3 kB, 0.789",
    ]
    low, high = ax.get_ylim()
    assert high - low >= 0.1  # a small difference looks small
    rendered(ax)
    rendered(plot_size_accuracy({}))


def test_reliability_bins_by_confidence() -> None:
    confidence = np.array([0.15, 0.15, 0.95, 0.95, 0.95, 0.95, np.nan])
    correct = np.array([True, False, True, True, True, False, True])

    ax = plot_reliability(confidence, correct, n_bins=10)

    (accuracy,) = [c for c in ax.containers if c.get_label() == "accuracy"]
    np.testing.assert_allclose(accuracy[0].get_xdata(), [0.15, 0.95])
    np.testing.assert_allclose(accuracy[0].get_ydata(), [0.5, 0.75])
    expected = (2 * abs(0.5 - 0.15) + 4 * abs(0.75 - 0.95)) / 6
    assert ax.texts[0].get_text() == f"calibration error {expected:.3f}"
    rendered(ax)


def test_reliability_agrees_with_the_measured_error(rng: np.random.Generator) -> None:
    """The number in the picture is the one in metrics.json."""
    from astroprep.model.evaluate import ece

    p = rng.dirichlet(np.ones(3), 400)
    truth = np.array(["a", "b", "c"])[rng.integers(0, 3, 400)]
    right = np.array(["a", "b", "c"])[p.argmax(axis=1)] == truth

    ax = plot_reliability(p.max(axis=1), right)

    assert ax.texts[0].get_text() == f"calibration error {ece(truth, p, ['a', 'b', 'c']):.3f}"


def test_reliability_of_nothing_and_of_unequal_lengths() -> None:
    rendered(plot_reliability([], []))
    rendered(plot_reliability([0.0, 1.0], [False, True]))
    with pytest.raises(ConfigError, match="2 and 1"):
        plot_reliability([0.1, 0.2], [True])


def test_class_counts_have_one_marker_a_split() -> None:
    ax = plot_class_counts({"RRab": {"train": 30, "test": 0}, "EW": {"train": 20, "test": 700}})

    by_label = {line.get_label(): line for line in ax.lines}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["RRab", "EW"]  # EW on top
    assert list(by_label["train (50)"].get_xdata()) == [30, 20]
    assert list(by_label["test (700)"].get_xdata()) == [700]
    assert list(by_label["test (700)"].get_ydata()) == [1]
    rendered(ax)
    rendered(plot_class_counts({}))
    rendered(plot_class_counts({"a$b": {"": 1}}))


def test_accuracy_by_a_quantity_with_its_intervals(rng):
    bins = accuracy_by(10 ** rng.uniform(-1, 3, 400), rng.random(400) < 0.8)
    ax = plot_accuracy_by(bins, "period")
    assert ax.get_xscale() == "log"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), bins["accuracy"])
    assert ax.get_xlabel() == "period"
    assert "no objects" in plot_accuracy_by(accuracy_by([], []), "points").texts[0].get_text()

"""The objects that a report draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astroprep.errors import DataError
from astroprep.report import choose_examples


def frame(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    """Predictions of (split, label, predicted, probability of a)."""
    split, label, predicted, p = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "row": np.arange(len(rows)) + 100,
            "label": label,
            "split": split,
            "predicted": predicted,
            "prob_a": p,
            "prob_b": 1 - np.array(p),
        }
    )


PREDICTIONS = frame(
    [
        ("test", "a", "a", 0.7),
        ("test", "a", "a", 0.9),
        ("test", "b", "b", 0.2),
        ("train", "b", "b", 0.0),
        ("test", "b", "a", 0.8),
        ("test", "a", "b", 0.1),
        ("train", "a", "b", 0.0),
        ("test", "a", "", np.nan),
        ("test", "other", "a", 1.0),
        ("test", "", "a", 1.0),
    ]
)


def chosen(predictions: pd.DataFrame, role: str, **sizes: int) -> list[int]:
    table = choose_examples(predictions, **sizes)
    return (table.loc[table["role"] == role, "row"] - 100).tolist()


def test_classes_show_the_surest_right_test_objects() -> None:
    assert chosen(PREDICTIONS, "class") == [1, 0, 2]
    assert chosen(PREDICTIONS, "class", per_class=1) == [1, 2]


def test_mistakes_are_the_surest_wrong_test_objects_with_a_known_label() -> None:
    assert chosen(PREDICTIONS, "mistake") == [5, 4]
    assert chosen(PREDICTIONS, "mistake", n_mistakes=1) == [5]


def test_the_role_of_a_run_goes_before_the_split_of_the_file() -> None:
    by_role = PREDICTIONS.assign(role=["train"] * 3 + ["test"] + ["train"] * 6)
    assert chosen(by_role, "class") == [3]
    assert chosen(by_role, "mistake") == []


def test_without_test_objects_all_labelled_ones_count() -> None:
    assert chosen(PREDICTIONS.assign(split=""), "class") == [1, 0, 3, 2]


def test_without_labels_classes_are_those_predicted() -> None:
    unlabelled = PREDICTIONS.assign(label=None)
    assert chosen(unlabelled, "class", per_class=2) == [8, 9, 3, 6]
    assert chosen(unlabelled, "mistake") == []


def test_missing_labels_and_predictions_may_be_null() -> None:
    nulls = PREDICTIONS.replace({"label": {"": None}, "predicted": {"": None}})
    pd.testing.assert_frame_equal(choose_examples(nulls), choose_examples(PREDICTIONS))


@pytest.mark.parametrize("rows", [slice(0, 0), slice(7, 8)], ids=["empty", "all rejected"])
def test_nothing_to_choose(rows: slice) -> None:
    table = choose_examples(PREDICTIONS.iloc[rows])
    assert list(table.columns) == ["row", "role"]
    assert table.empty
    assert table["row"].dtype == np.int64


def test_predictions_without_rows_are_refused() -> None:
    with pytest.raises(DataError, match="needs the columns row"):
        choose_examples(PREDICTIONS.drop(columns="row"))

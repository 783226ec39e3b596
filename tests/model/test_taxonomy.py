"""Probabilities and measures on a tree of classes."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.taxonomy import Taxonomy, evaluate_levels

TABLE = {
    "eclipsing": ["EA", "EW"],
    "rotational": [],
    "pulsating": {"RR Lyrae": ["RRab", "RRc"], "LPV": []},
}
CLASSES = ["EA", "EW", "LPV", "RRab", "RRc", "rotational"]


@pytest.fixture
def tree():
    return Taxonomy.from_table(TABLE).of(CLASSES)


def test_paths_levels_and_a_class_that_stands_alone(tree):
    assert tree.paths["RRab"] == ("pulsating", "RR Lyrae", "RRab")
    assert tree.depth == 3
    assert tree.nodes(1) == ["eclipsing", "pulsating", "rotational"]
    assert tree.nodes(2) == ["EA", "EW", "LPV", "RR Lyrae", "rotational"]
    assert set(tree.nodes(3)) == set(CLASSES)
    assert Taxonomy.from_table(TABLE).of(["EA", "new"]).paths["new"] == ("new",)
    assert tree.node("unheard of", 1) == ""


def test_a_parent_is_the_sum_of_its_children_at_every_level(tree, rng):
    p = rng.dirichlet(np.ones(6), 50)
    top, middle, leaves = (tree.probabilities(p, level) for level in (1, 2, 3))

    np.testing.assert_allclose(top.sum(axis=1), 1.0)
    np.testing.assert_allclose(top[:, 1], middle[:, 2] + middle[:, 3])
    np.testing.assert_allclose(middle[:, 3], leaves[:, 3] + leaves[:, 4])
    np.testing.assert_array_equal(leaves, p)


def test_scores_within_the_true_parent_and_end_to_end(tree):
    """One RRab called EW end to end, right among RR Lyrae; one rejected; one label unknown."""
    p = np.array(
        [
            [0.0, 0.6, 0.0, 0.3, 0.1, 0.0],
            [0.0, 0.1, 0.0, 0.2, 0.7, 0.0],
            [np.nan] * 6,
            [0.9, 0.1, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    levels = evaluate_levels(["RRab", "RRc", "RRc", "else"], p, tree)

    assert levels[0]["end_to_end"]["accuracy"] == pytest.approx(1 / 3)
    within = {row["parent"]: row for row in levels[2]["within"]}
    assert within["RR Lyrae"]["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert within["RR Lyrae"]["n"] == 3
    pulsating = {row["parent"]: row for row in levels[1]["within"]}["pulsating"]
    assert pulsating["balanced_accuracy"] == pytest.approx(2 / 3)  # the rejected one is wrong


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": ["x"], "b": ["x"]}, "'x' stands in two places"),
        ({"a": {"b": ["x"]}, "b": ["y"]}, "b stands in two places"),
        ({"a": 3}, "'a' needs a list of classes or a table"),
        ({"a": {}}, "'a' needs a list"),
        ({"a": [1]}, "'a' needs a list"),
    ],
)
def test_tables_that_are_no_tree(table, message):
    with pytest.raises(ConfigError, match=message):
        Taxonomy.from_table(table)


def test_a_class_named_like_a_group_and_wrong_shapes(tree):
    with pytest.raises(ConfigError, match="a class of the data and a group"):
        Taxonomy.from_table(TABLE).of(["eclipsing"])
    with pytest.raises(DataError, match="6 classes"):
        tree.probabilities(np.ones((2, 5)), 1)
    with pytest.raises(DataError, match="1 true classes for 2 rows"):
        evaluate_levels(["EA"], np.ones((2, 6)), tree)

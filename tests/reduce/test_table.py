"""Any table becomes numbers with names, and what is none is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.reduce import as_table
from astroprep.reduce.table import as_labels, column_names

X = np.array([[1.0, np.nan], [2.0, 5.0], [np.inf, 6.0]])
WANTED = np.array([[1.0, np.nan], [2.0, 5.0], [np.nan, 6.0]])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(X, columns=["a", "b"]),
        pd.DataFrame({"a": X[:, 0], "b": pd.array([None, 5, 6], dtype="Int64")}),
        pa.table({"a": X[:, 0], "b": pa.array([None, 5.0, 6.0])}),
        Table({"a": X[:, 0], "b": np.ma.array([0, 5, 6], mask=[True, False, False])}),
        {"a": X[:, 0], "b": X[:, 1]},
        as_table(X, ["a", "b"]),
    ],
    ids=["pandas", "nullable", "pyarrow", "astropy", "mapping", "own"],
)
def test_every_kind_of_table_gives_the_same(table):
    found = as_table(table)
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.values, WANTED)
    assert as_table(table, ["b"]).names == ("b",)
    with pytest.raises(DataError, match="no column 'c'"):
        as_table(table, ["c"])


def test_arrays_and_batches_are_numbered_or_named(make_batch):
    batch = make_batch(3).with_columns(objects={"features": X})
    assert as_table(X).names == as_table(batch).names == ("feature_0", "feature_1")
    found = as_table(batch, ["p", "q"])
    assert found.names == ("p", "q")
    np.testing.assert_array_equal(found.values, WANTED)
    assert np.isinf(X).any(), "the input was changed"
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0] = 1.0
    with pytest.raises(DataError, match="'features' per object"):
        as_table(make_batch(2))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.ones(3), "shape"),
        (np.ones((2, 2), complex), "complex128"),
        (np.array([["a", "b"]]), "numbers"),
        (np.empty((3, 0)), "at least one column"),
        ({}, "at least one column"),
        ({"a": ["x", "y"]}, "'a' must hold one number"),
        ({"a": np.ones((2, 2))}, "'a' must hold one number"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "equally long"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than once"),
        (pd.DataFrame({"a": ["x"]}), "'a' must hold numbers"),
        (None, "needs numbers"),
    ],
)
def test_what_is_no_table_is_refused(table, words):
    with pytest.raises(DataError, match=words):
        as_table(table)


def test_names_must_fit():
    with pytest.raises(DataError, match="needs as many names"):
        as_table(X, ["a"])
    with pytest.raises(DataError, match="more than once"):
        as_table(X, ["a", "a"])
    with pytest.raises(ConfigError, match="must differ"):
        column_names(["a", "a"], "features")
    assert column_names("period", "features") == ["log10_period"]
    assert column_names(None, ("ra", "dec")) == ["ra", "dec"]


def test_labels_are_text_and_none_is_empty():
    assert as_labels(["a", None, np.nan, 3], 4, "x").tolist() == ["a", "", "", "3"]
    with pytest.raises(DataError, match="x needs one label an object"):
        as_labels(["a"], 2, "x")


def test_an_empty_batch_keeps_its_width():
    empty = LightCurveBatch.from_curves([]).with_columns(objects={"features": np.empty((0, 3))})
    assert as_table(empty).values.shape == (0, 3)

"""Permutation importance on held-out objects, with any estimator and with groups."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as theirs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.tree import DecisionTreeClassifier

from astroprep.errors import ConfigError, DataError
from astroprep.reduce import permutation_importance
from astroprep.reduce.folds import balanced_accuracy, grouped_folds


class Threshold:
    """Knows the answer: B where the first column is positive. No scikit-learn in it."""

    def fit(self, X, y):
        self.seen = len(X)

    def predict(self, X):
        return np.where(X[:, 0] > 0, "B", "A")


class Nearest:
    """Remembers everything: the label of the nearest object that it has seen."""

    def fit(self, X, y):
        self.X, self.y = X, y

    def predict(self, X):
        return self.y[np.abs(X[:, None, :] - self.X[None]).sum(axis=2).argmin(axis=1)]


def simple(rng, n=400):
    x = rng.normal(size=(n, 3))
    return x, np.where(x[:, 0] > 0, "B", "A").astype(object)


def test_the_only_feature_loses_a_half_and_the_others_nothing(rng):
    x, y = simple(rng)
    found = permutation_importance(Threshold(), x, y, n_repeats=10)
    np.testing.assert_array_equal(found.score, 1.0)
    assert found.importance[0] == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(found.importance[1:], 0.0)
    np.testing.assert_array_equal(found.error[1:], 0.0)
    assert found.table().feature[0] == "feature_0"
    assert "feature_0" in found.report(1)


def test_it_agrees_with_scikit_learn_on_one_fold(rng):
    x, y = simple(rng)
    y[rng.random(400) < 0.1] = "B"
    folds = list(grouped_folds(y, None, 2, 0))
    model = LogisticRegression()
    found = permutation_importance(model, x, y, n_folds=2, n_repeats=100)
    for f, (train, test) in enumerate(folds):
        fitted = LogisticRegression().fit(x[train], y[train])
        other = theirs(
            fitted, x[test], y[test], scoring="balanced_accuracy", n_repeats=100, random_state=0
        )
        sigma = other.importances_std / np.sqrt(50)
        assert np.all(np.abs(found.loss[f] - other.importances_mean) < 4 * sigma + 1e-9)
    assert not hasattr(model, "coef_"), "the estimator that was given was fitted"


def test_the_error_is_that_of_nadeau_and_bengio(rng):
    x, y = simple(rng)
    found = permutation_importance(DecisionTreeClassifier(max_depth=2), x, y, n_folds=4)
    spread = found.loss.std(axis=0, ddof=1)
    np.testing.assert_allclose(found.error, spread * np.sqrt(1 / 4 + found.held_out))
    assert found.held_out == pytest.approx(1 / 3, abs=0.01)


def test_twins_never_cross_and_so_memory_does_not_pay(rng):
    """Random labels, each object twice: only a split through pairs makes memory look good."""
    x = rng.normal(size=(150, 2))
    y = rng.choice(["A", "B"], 150).astype(object)
    x, y, pair = np.repeat(x, 2, axis=0), np.repeat(y, 2), np.repeat(np.arange(150), 2)
    honest = permutation_importance(Nearest(), x, y, groups=pair, n_repeats=1).score.mean()
    naive = permutation_importance(Nearest(), x, y, n_repeats=1).score.mean()
    assert naive > 0.8
    assert abs(honest - 0.5) < 0.15
    for train, test in grouped_folds(y, pair, 5, 3):
        assert not set(pair[train]) & set(pair[test])


def test_a_block_shows_what_its_members_hide(rng):
    x, y = simple(rng)
    x = np.column_stack([x[:, 0], x[:, 0], x[:, 1]])
    ridge = LogisticRegression()  # twins share the weight
    single = permutation_importance(ridge, x, y, n_repeats=3)
    both = permutation_importance(
        ridge, x, y, n_repeats=3, blocks=[["feature_0", "feature_1"], ["feature_2"]]
    )
    assert both.names == ("feature_0", "feature_2")
    assert both.importance[0] == pytest.approx(0.5, abs=0.05)
    assert np.all(single.importance[:2] < 0.6 * both.importance[0])


def test_balanced_accuracy_is_scikit_learns(rng):
    truth = rng.choice(list("ABC"), 200, p=[0.8, 0.15, 0.05]).astype(object)
    guess = rng.choice(list("ABC"), 200).astype(object)
    assert balanced_accuracy(truth, guess) == pytest.approx(balanced_accuracy_score(truth, guess))


def test_missing_values_reach_the_estimator_and_unlabelled_objects_do_not(rng):
    x, y = simple(rng, 120)
    x[::7, 1] = np.nan
    y[:20] = ""
    estimator = Threshold()
    seen = []
    estimator.fit = lambda X, y: seen.append((len(X), np.isnan(X).any(), "" in set(y)))
    permutation_importance(estimator, x, y, n_folds=2, n_repeats=1)
    assert sum(n for n, _, _ in seen) == 100
    assert all(nan for _, nan, _ in seen)
    assert not any(empty for _, _, empty in seen)


def test_what_cannot_be_done_is_said(rng):
    x, y = simple(rng, 30)
    with pytest.raises(ConfigError, match="estimator with fit and predict"):
        permutation_importance(object(), x, y)
    with pytest.raises(ConfigError, match="n_repeats"):
        permutation_importance(Threshold(), x, y, n_repeats=0)
    with pytest.raises(ConfigError, match="n_folds must be at least 2"):
        permutation_importance(Threshold(), x, y, n_folds=1)
    with pytest.raises(DataError, match="one value an object"):
        permutation_importance(Threshold(), x, y, groups=[1])
    with pytest.raises(DataError, match="5 folds need two classes"):
        permutation_importance(Threshold(), x, ["A"] * 30)
    with pytest.raises(DataError, match="5 folds need two classes and as many groups"):
        permutation_importance(Threshold(), x, y, groups=[0] * 30)
    lonely = y.copy()
    lonely[0] = "C"
    with pytest.raises(DataError, match="'C' has objects of one group only"):
        permutation_importance(Threshold(), x, lonely)
    with pytest.raises(DataError, match="blocks need features of the table, got 'x'"):
        permutation_importance(Threshold(), x, y, blocks=[["x"]])
    for empty in ([], [[]]):
        with pytest.raises(DataError, match="blocks must not be empty"):
            permutation_importance(Threshold(), x, y, blocks=empty)

"""The two steps: learn on one batch, write features of another, come back from a bundle."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from astroprep.deploy.plain import from_json, to_json
from astroprep.errors import ConfigError, DataError
from astroprep.features import FeatureExtractor
from astroprep.pipeline.restore import Note, restore_steps, state_of_steps
from astroprep.reduce import ComponentFeatures, SelectFeatures, principal_components

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def batch(rng, make_batch):
    n = 90
    y = np.array(["A", "B"])[rng.integers(0, 2, n)].astype(object)
    x = rng.normal(size=(n, 4))
    x[:, 0] += 3 * (y == "A")
    x[:, 1] = 2 * x[:, 0] + rng.normal(0, 0.01, n)
    x[rng.random(x.shape) < 0.05] = np.nan
    return make_batch(n, 6).with_columns(objects={"features": x, "label": y})


def through_a_bundle(steps):
    """What `classify` makes of the steps that a run put into its bundle."""
    steps = from_json(to_json(state_of_steps(steps), "steps"))
    note = {"name": "x", "survey": "", "quantity": "mag", "trained_with": "search", "priors": ()}
    return restore_steps(Note(**note, steps=steps), None)


def test_components_are_those_of_the_training_batch(batch):
    step = ComponentFeatures(2, names=NAMES).fit(batch[:60])
    found = step.transform(batch[60:])
    known = principal_components(batch[:60].objects["features"], 2)
    np.testing.assert_array_equal(
        found.objects["features"], known.scores(batch[60:].objects["features"])
    )
    assert step.feature_names() == ["pc1", "pc2"]
    assert list(step.components().loadings.index) == NAMES


def test_a_curve_without_features_is_refused_or_rejected(batch):
    step = ComponentFeatures(2).fit(batch)
    x = batch.objects["features"].copy()
    x[3, :] = np.nan
    poor = batch.with_columns(objects={"features": x})
    with pytest.raises(DataError, match=r"ComponentFeatures needs 2 finite features .*'star-3'"):
        step.transform(poor)
    rest = step.set_params(on_bad="reject").transform(poor)
    assert rest.rejected.id.tolist() == ["star-3"]
    assert np.isfinite(rest.objects["features"]).all()
    assert len(rest.objects["features"]) == batch.n_curves - 1


def test_the_chosen_features_are_those_columns(batch):
    step = SelectFeatures(
        labels="label", estimator="trees", names=NAMES, n_folds=3, n_repeats=1, twin_rho=0.9
    )
    step.fit(batch)
    assert len(step.kept_) == 1
    assert step.kept_[0] in ("a", "b")
    column = NAMES.index(step.kept_[0])
    found = step.transform(batch[5:9])
    np.testing.assert_array_equal(
        found.objects["features"], batch.objects["features"][5:9, column : column + 1]
    )
    assert step.feature_names() == step.kept_
    assert dict(zip(NAMES, step.reasons_, strict=True))["c"].startswith("no information")


def test_names_to_keep_need_no_learning_and_keep_their_order(batch):
    step = SelectFeatures(keep=["d", "a"], names=NAMES).fit(batch[:0])
    found = step.transform(batch).objects["features"]
    np.testing.assert_array_equal(found, batch.objects["features"][:, [3, 0]])
    assert step.reasons_ == ["named", "not named", "not named", "named"]


def test_both_come_back_from_a_bundle(batch):
    for step in (
        ComponentFeatures(2, names=NAMES),
        SelectFeatures(labels="label", names=NAMES),
        SelectFeatures(keep=("a", "c"), names=NAMES),
    ):
        fitted = step.fit(batch)
        (again,) = through_a_bundle([fitted])
        np.testing.assert_array_equal(
            again.transform(batch).objects["features"], fitted.transform(batch).objects["features"]
        )
        assert again.feature_names() == fitted.feature_names()


def test_behind_the_extractor_the_word_of_its_features_names_the_columns(make_batch):
    described = FeatureExtractor(features="brightness").transform(make_batch(8, 40))
    step = ComponentFeatures(2, names="brightness").fit(described)
    names = tuple(FeatureExtractor(features="brightness").feature_names())
    assert step.components().names == names
    chosen = SelectFeatures(keep=["median"], names="brightness").fit(described)
    np.testing.assert_array_equal(
        chosen.transform(described).objects["features"][:, 0],
        described.objects["features"][:, names.index("median")],
    )


def test_wrong_settings_and_batches_are_named(batch, make_batch):
    for wrong, words in (
        ({"keep": "a"}, "keep must be a list"),
        ({"keep": []}, "keep must be a list"),
        ({"estimator": "forest"}, "'trees' or an object, got 'forest'"),
        ({"estimator": 3, "labels": "label"}, "fit and predict"),
        ({"estimator": GaussianNB()}, "needs labels"),
        ({"twin_rho": 2}, "twin_rho must lie"),
        ({"names": ["a", "a"]}, "must differ"),
    ):
        with pytest.raises(ConfigError, match=words):
            SelectFeatures(**wrong).fit(batch)
    with pytest.raises(ConfigError, match="keep names 'z', which is none of a, b, c, d"):
        SelectFeatures(keep=["z"], names=NAMES).fit(batch)
    for wrong, words in (({"n_components": 0}, "n_components"), ({"scale": "x"}, "scale must be")):
        with pytest.raises(ConfigError, match=words):
            ComponentFeatures(**wrong).fit(batch)
    for step in (ComponentFeatures(1), SelectFeatures()):
        with pytest.raises(DataError, match=r"call fit before (feature_names|components)"):
            step.feature_names()
        with pytest.raises(DataError, match="needs the column 'features' per object"):
            step.fit(make_batch(3))
        fitted = step.fit(batch)
        narrow = batch.with_columns(objects={"features": batch.objects["features"][:, :3]})
        with pytest.raises(DataError, match="needs 4 columns in 'features'"):
            fitted.transform(narrow)
        text = batch.with_columns(objects={"features": batch.objects["label"]})
        with pytest.raises(DataError, match="needs numbers in the column 'features'"):
            fitted.transform(text)
    with pytest.raises(DataError, match="needs the column 'class' per object"):
        SelectFeatures(labels="class").fit(batch)

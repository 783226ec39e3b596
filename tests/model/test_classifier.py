"""The network as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from astroprep.clean import DropShort
from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.model.classifier import FireNetClassifier
from astroprep.model.refold import AugmentSettings
from astroprep.represent import FoldedChannels

SETTINGS = {
    "preset": "nano",
    "max_epochs": 6,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "averaging": 0.8,
    "n_threads": 1,
}


def stars(rng, n=160):
    """Sines and eclipses; the second feature is missing for some."""
    curves, label = [], []
    for i in range(n):
        time = np.sort(rng.uniform(0, 300, 80))
        phase = (time / 0.7) % 1
        shape = np.sin(2 * np.pi * phase) if i % 2 else -2.0 * (phase < 0.1)
        curves.append((time, 15 - 0.3 * shape + rng.normal(0, 0.02, 80), np.full(80, 0.02)))
        label.append("sine" if i % 2 else "eclipse")
    features = rng.normal(size=(n, 2))
    features[::7, 1] = np.nan
    batch = LightCurveBatch.from_curves(
        curves,
        objects={
            "period": np.full(n, 0.7),
            "label": np.array(label, dtype=object),
            "features": features,
        },
    )
    return FoldedChannels(n_bins=16).transform(batch)


@pytest.fixture
def batch(rng):
    return stars(rng)


@pytest.fixture
def fitted(batch):
    return FireNetClassifier(**SETTINGS).fit(batch)


def test_what_a_step_rejects_counts_as_wrong_in_a_search_over_its_settings(rng):
    """Of sixty stars twenty are too short for the longer limit."""
    batch = stars(rng, 60)
    flags = np.zeros((60, 80), np.uint32)
    flags[::3, :40] = 1
    raw = batch.with_columns(flags=flags.ravel())
    steps = make_pipeline(DropShort(on_bad="reject"), FireNetClassifier(**SETTINGS))

    search = GridSearchCV(steps, {"dropshort__min_points": [10, 60]}, cv=2, error_score="raise")
    search.fit(raw)
    longer = clone(steps).set_params(dropshort__min_points=60).fit(raw)

    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.cv_results_["mean_test_score"][1] <= 40 / 60
    kept = longer[0].transform(raw)
    right = (longer[1].predict(kept) == kept.objects["label"]).sum()
    assert longer.score(raw) == right / 60
    with pytest.raises(DataError, match="leave y out"):
        longer.score(raw, ["sine"] * 60)


def test_learns_new_stars(fitted):
    new = stars(np.random.default_rng(5), 60)

    assert (fitted.predict(new) == new.objects["label"]).mean() > 0.9
    probability = fitted.predict_proba(new)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert (fitted.classes_[probability.argmax(axis=1)] == fitted.predict(new)).all()
    assert fitted.score(new, new.objects["label"]) > 0.9


def test_one_by_one_equals_the_batch(fitted, batch):
    whole = fitted.predict_logits(batch[:5])
    single = np.concatenate([fitted.predict_logits(batch[i]) for i in range(5)])

    np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-4)  # float32 sums
    assert fitted.predict_proba(batch[:0]).shape == (0, 2)


def test_is_cloneable_and_repeatable(fitted, batch):
    again = clone(fitted).fit(batch)

    np.testing.assert_array_equal(again.predict_logits(batch), fitted.predict_logits(batch))
    assert again.get_params() == fitted.get_params()


def test_unlabelled_curves_teach_nothing(batch):
    label = batch.objects["label"].copy()
    label[:10] = ""
    some = batch.with_columns(objects={"label": label})

    first = FireNetClassifier(**SETTINGS).fit(some)
    second = FireNetClassifier(**SETTINGS).fit(batch[10:])

    np.testing.assert_array_equal(first.predict_logits(batch), second.predict_logits(batch))
    assert first.classes_.tolist() == ["eclipse", "sine"]


def test_priors_are_shares_to_the_power_left(batch):
    """60 eclipses to 15 sines learned: shares of 2 to 1 at power 0.5, of 4 to 1 at power 0."""
    label = batch.objects["label"]
    rows = np.concatenate(
        [np.flatnonzero(label == "eclipse"), np.flatnonzero(label == "sine")[:20]]
    )
    some = batch[rows]
    validation = np.arange(rows.size) % 4 == 0

    settings = {**SETTINGS, "max_epochs": 1, "prior_power": 0.0}
    fitted = FireNetClassifier(**settings).fit(some, is_validation=validation)

    np.testing.assert_allclose(fitted.learned_priors_, [2 / 3, 1 / 3])
    np.testing.assert_allclose(fitted.priors_, [0.8, 0.2])


def test_missing_inputs_are_named(batch):
    bare = LightCurveBatch(
        time=batch.time, value=batch.value, error=batch.error, offsets=batch.offsets
    )
    with pytest.raises(DataError, match="pass y or a column 'label'"):
        FireNetClassifier().fit(bare)
    with pytest.raises(DataError, match="put FoldedChannels before it"):
        FireNetClassifier().fit(bare, ["a", "b"] * (bare.n_curves // 2))
    with pytest.raises(DataError, match="two classes at least"):
        FireNetClassifier().fit(batch, ["a"] * batch.n_curves)
    with pytest.raises(ConfigError, match="unknown preset"):
        FireNetClassifier(preset="vast").fit(batch)
    with pytest.raises(ConfigError, match="prior_power must be from 0 to 1"):
        FireNetClassifier(prior_power=2.0).fit(batch)


def test_labels_may_be_numbers_and_zero_is_one(batch):
    y = np.arange(batch.n_curves) % 2

    fitted = FireNetClassifier(**{**SETTINGS, "max_epochs": 1}).fit(batch, y)

    assert fitted.classes_.tolist() == [0, 1]
    assert set(fitted.predict(batch)) <= {0, 1}


def test_labels_of_another_length_and_use_before_fit_are_said(batch):
    with pytest.raises(DataError, match="got 3 labels for 160 curves"):
        FireNetClassifier().fit(batch, ["a", "b", "a"])
    with pytest.raises(NotFittedError):
        FireNetClassifier().predict(batch)


def test_says_sets_shares_and_what_is_unknown(fitted, batch):
    new = stars(np.random.default_rng(8), 80)

    inside = fitted.predict_set(new)
    hit = inside[np.arange(80), (new.objects["label"] == "sine").astype(int)]
    assert hit.mean() > 0.8
    assert (fitted.predict_set(new, 0.5) <= inside).all()

    found = fitted.estimate_priors(new)
    assert found.shares[1] == pytest.approx(0.5, abs=0.1)
    only = fitted.predict_proba(new, {"eclipse": 1.0, "sine": 0.0})
    np.testing.assert_array_equal(only, [[1.0, 0.0]] * 80)
    with pytest.raises(ConfigError, match="no share of sine"):
        fitted.predict_proba(new, {"eclipse": 1.0})
    with pytest.raises(DataError, match="20 are needed for 2 classes"):
        fitted.estimate_priors(new[:5])

    assert not fitted.is_unknown(new).any()  # 24 validation stars cannot state one in fifty
    fitted = FireNetClassifier(**SETTINGS, false_unknown_rate=0.1).fit(batch)
    assert fitted.is_unknown(new).mean() < 0.3
    odd = new.with_columns(objects={"features": np.full((80, 2), 50.0)})
    assert fitted.is_unknown(odd).mean() > 0.9
    with pytest.raises(NotFittedError):
        FireNetClassifier().unknown_score(batch)


def test_two_processes_learn_what_one_does(batch, fitted):
    rows = []
    divided = FireNetClassifier(**SETTINGS, processes=2).fit(batch, progress=rows.append)

    assert rows == divided.history_.epochs
    assert divided.history_.bytes_per_step["gradients"] > 0
    # in float32, where AdamW divides by gradients as small as their rounding
    np.testing.assert_allclose(divided.predict_proba(batch), fitted.predict_proba(batch), atol=2e-3)
    for one, two in zip(fitted.history_.epochs, divided.history_.epochs, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)


def test_augments_what_the_step_folded(rng):
    """Folds change from epoch to epoch, the stars are still told apart, and it repeats itself."""
    fold = FoldedChannels(n_bins=16)
    batch = stars(rng, 80)
    model = FireNetClassifier(**SETTINGS, augment=AugmentSettings(noise=0.5), fold=fold)

    first, second = clone(model).fit(batch), clone(model).fit(batch)
    plain = FireNetClassifier(**SETTINGS).fit(batch)

    np.testing.assert_array_equal(first.predict_logits(batch), second.predict_logits(batch))
    assert (first.predict_logits(batch) != plain.predict_logits(batch)).any()
    assert (first.predict(batch) == batch.objects["label"]).mean() > 0.9
    with pytest.raises(ConfigError, match="not made by the step given as fold"):
        clone(model).set_params(fold=FoldedChannels(n_bins=16, limit=1.0)).fit(batch)
    with pytest.raises(ConfigError, match="needs the step that folded"):
        clone(model).set_params(fold=None).fit(batch)


def test_a_class_of_one_is_named(batch):
    label = batch.objects["label"].copy()
    label[3] = "nova"
    with pytest.raises(DataError, match="but 'nova' has 1; merge it"):
        FireNetClassifier(**SETTINGS).fit(batch, label)


def test_a_class_met_only_later_counts_as_wrong(fitted, batch):
    """The network cannot name it; nobody is left out of the count."""
    label = batch.objects["label"].copy()
    label[:40] = "nova"
    seen = fitted.predict(batch) == batch.objects["label"]

    score = fitted.score(batch.with_columns(objects={"label": label}))

    assert score == pytest.approx(seen[40:].sum() / batch.n_curves)


def test_features_that_are_missing_or_infinite_teach_nothing(batch):
    """A column without a number is as if it were not there; infinity is a missing value."""
    features = batch.objects["features"].copy()
    features[:, 1] = np.nan
    features[3, 0] = np.inf
    model = FireNetClassifier(**SETTINGS).fit(batch.with_columns(objects={"features": features}))

    features[3, 0] = np.nan
    other = FireNetClassifier(**SETTINGS).fit(batch.with_columns(objects={"features": features}))

    p = model.predict_proba(batch.with_columns(objects={"features": features}))
    assert np.isfinite(p).all()
    np.testing.assert_array_equal(
        p, other.predict_proba(batch.with_columns(objects={"features": features}))
    )


def test_no_curve_at_all(fitted, batch):
    with pytest.raises(DataError, match=r"two classes at least, got \[\] on 0 labelled curves"):
        FireNetClassifier(**SETTINGS).fit(batch[[]])
    assert fitted.predict_proba(batch[[]]).shape == (0, 2)
    assert fitted.predict(batch[[]]).shape == (0,)

"""What a bundle says of its run: taken up as it was, or one clear error behind valid hashes."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.errors import DataError
from astroprep.pipeline.classify import Classifier
from astroprep.pipeline.restore import read_note
from astroprep.pipeline.steps import step_to_table


@pytest.fixture(scope="module")
def bundle(result):
    return read_bundle(result.out / "bundle.apz")


def changed(bundle, **content):
    """The bundle with other content in its recipe; None takes a key away."""
    recipe = {**copy.deepcopy(bundle.recipe), **content}
    return dataclasses.replace(
        bundle, recipe={key: value for key, value in recipe.items() if value is not None}
    )


def test_a_bundle_of_a_run_is_restored(bundle, recipe):
    classifier = Classifier(bundle)
    assert read_note(bundle).name == recipe.name
    assert [step_to_table(step) for step in classifier.steps] == [
        step_to_table(step) for step in recipe.make_steps()
    ]


@pytest.mark.parametrize("key", ["name", "survey", "quantity", "trained_with", "steps", "priors"])
@pytest.mark.parametrize("value", [None, 5, ["x"], {"x": 1}])
def test_a_key_that_is_missing_or_of_another_type_is_named(bundle, key, value):
    with pytest.raises(DataError, match=rf"bundle\.apz: its recipe lacks, or has damaged: {key}"):
        Classifier(changed(bundle, **{key: value}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": {"step": "os.system"}}, "unknown step 'os.system'"),
        ({"table": {"step": "PeriodSearch", "max_frequency": "x"}}, "PeriodSearch"),
        ({"table": {}}, "a step needs its name"),
        ({"version": 99}, "version 99 of FlagBad"),
        ({"state": {"_transform": 1}}, "FlagBad learns no '_transform'"),
        ({"state": {"needs": 1}}, "FlagBad learns no 'needs'"),
        ({"state": [1]}, r"steps\.0\.state"),
    ],
)
def test_a_step_made_up_is_refused(bundle, change, message):
    steps = copy.deepcopy(bundle.recipe["steps"])
    steps[0].update(change)
    with pytest.raises(DataError, match=message):
        Classifier(changed(bundle, steps=steps))


def test_the_file_is_named(bundle, tmp_path):
    path = tmp_path / "night.apz"
    for change in ({"recipe": {}}, {"auxiliary_state": {}}):
        write_bundle(path, dataclasses.replace(bundle, **change))
        with pytest.raises(DataError, match=r"night\.apz: its"):
            Classifier(path)


def test_priors_of_other_classes_are_refused(bundle):
    with pytest.raises(DataError, match="priors of 1 classes"):
        Classifier(changed(bundle, priors=[1.0]))
    with pytest.raises(DataError, match=r"priors\.0"):
        Classifier(changed(bundle, priors=[float("nan")] * len(bundle.classes)))


@pytest.mark.parametrize("value", [None, "x", [1.0, 2.0]])
@pytest.mark.parametrize("key", ["median", "sigma", "marked"])
def test_a_scale_that_does_not_fit_is_refused(bundle, key, value):
    state = {**bundle.auxiliary_state, key: value}
    with pytest.raises(DataError, match=r"bundle\.apz: its scale"):
        Classifier(dataclasses.replace(bundle, auxiliary_state=state))
    with pytest.raises(DataError, match=r"bundle\.apz: its scale"):
        Classifier(dataclasses.replace(bundle, auxiliary_state={**state, "x": 1}))

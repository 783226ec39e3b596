"""Recipes: all mistakes at once, each with its place and a suggestion."""

from __future__ import annotations

import pytest

from astroprep.errors import ConfigError
from astroprep.model.refold import AugmentSettings
from astroprep.pipeline.recipe import read_recipe, resolved
from astroprep.pipeline.steps import all_steps, step_from_table

GOOD = """
name = "x"
[[steps]]
step = "FlagBad"
[[steps]]
step = "PeriodSearch"
[[steps]]
step = "FoldedChannels"
"""

INTEGERS = '[deployment]\nengine = "integer"\n'


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_every_shipped_recipe_is_valid(pytestconfig):
    paths = sorted((pytestconfig.rootpath / "pipelines").glob("*.toml"))
    assert {"demo.toml", "periodic_variables.toml"} <= {path.name for path in paths}
    for path in paths:
        assert resolved(read_recipe(path))["steps"]


def test_defaults_are_filled_in_when_resolved(tmp_path):
    full = resolved(read_recipe(write(tmp_path, GOOD)))
    assert full["steps"][0]["on_bad"] == "reject"
    assert full["training"]["max_epochs"] > 0
    assert full["split"]["twin_radius"] == 6.0


def test_all_mistakes_come_at_once(tmp_path):
    text = GOOD.replace('"PeriodSearch"', '"PeriodSearch"\nmax_freqency = 3.0') + (
        '[training]\nmax_epoch = 3\n[compression]\nsparsity = 2.0\n[network]\npreset = "smal"\n'
        "[split]\ntest = 1.5\n[trainig]\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, text))
    message = str(caught.value)
    for part in (
        "unknown key 'max_freqency'; did you mean 'max_frequency'? in [[steps]] 2 (PeriodSearch)",
        "unknown key 'max_epoch'; did you mean 'max_epochs'? in [training]",
        "sparsity = 2.0",
        "unknown key 'trainig'; did you mean 'training'?",
        "test = 1.5",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        ("name = " + "[" * 5000, "not a TOML file"),
        ("", "missing key 'name'"),
        ('name = "x"\nsteps = []', "steps"),
        (GOOD.replace("FlagBad", "FlagBd"), "unknown step 'FlagBd'; did you mean 'FlagBad'?"),
        (GOOD.replace('step = "FlagBad"', ""), "a step needs its name"),
        (GOOD + "[training]\nseed = 3", "'seed' belongs at the top"),
        (GOOD + '[training]\nmax_epochs = "many"', "max_epochs"),
        (f"seed = {2**70}\n" + GOOD, "seed"),
        (GOOD + '[network]\npreset = "smal"', "unknown preset 'smal'; did you mean 'small'?"),
        (GOOD.replace('"PeriodSearch"', '"PeriodSearch"\nmax_frequency = "x"'), "PeriodSearch"),
        (
            GOOD + "[compression]\nn_values = 0\nquantization_aware = true",
            'needs engine = "integer" in [deployment]',
        ),
        (
            GOOD + "[compression]\nquantization_aware = true\n" + INTEGERS,
            "needs n_values = 0 and no values_per_layer",
        ),
        (GOOD + "[compression]\nquantization_aware = 3\n" + INTEGERS, "quantization_aware = 3"),
    ],
)
def test_each_mistake_has_a_message(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, text))
    assert message in str(caught.value)
    assert "recipe.toml" in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_may_train_for_integers(tmp_path):
    text = GOOD + "[compression]\nn_values = 0\nquantization_aware = true\n" + INTEGERS
    full = resolved(read_recipe(write(tmp_path, text)))
    assert full["compression"]["quantization_aware"] is True
    assert full["compression"]["quantize_epochs"] == 8


def test_the_period_step_is_exchanged(tmp_path):
    recipe = read_recipe(write(tmp_path, GOOD))
    assert recipe.period_source() == "search"
    other = recipe.with_period_from("column")
    assert other.steps[1] == {"step": "UseCataloguePeriod"}
    assert other.with_period_from("search").steps[1] == {"step": "PeriodSearch"}


def test_steps_are_found_in_the_rooms():
    assert {"FlagBad", "SigmaClip", "PeriodSearch", "FeatureExtractor"} <= set(all_steps())
    assert step_from_table({"step": "FlagBad"}, on_bad="reject").on_bad == "reject"
    assert (
        step_from_table({"step": "FlagBad", "on_bad": "raise"}, on_bad="reject").on_bad == "raise"
    )


def test_teachers_are_part_of_a_recipe_only_where_it_asks(tmp_path):
    plain = read_recipe(write(tmp_path, GOOD))
    taught = read_recipe(write(tmp_path, GOOD + '[teachers]\nmembers = ["trees", "micro"]\n'))

    assert not plain.is_distilled()
    assert "teachers" not in {k for k, v in resolved(plain).items() if v}
    assert taught.is_distilled()
    assert resolved(taught)["teachers"]["members"] == ("trees", "micro")
    assert resolved(taught)["distillation"]["trial_epochs"] == 10


def test_mistakes_about_teachers_are_named_with_the_others(tmp_path):
    bad = GOOD + '[teachers]\nmembers = ["oracle"]\n[distillation]\ntemperature = [1.0]\n'
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, bad))
    assert "members = ('oracle',)" in str(caught.value) or "['oracle']" in str(caught.value)
    assert "unknown key 'temperature'; did you mean 'temperatures'? in [distillation]" in str(
        caught.value
    )


def test_training_curves_are_changed_only_where_a_recipe_asks(tmp_path):
    """An empty table asks for the defaults; the seed is the recipe's."""
    plain = read_recipe(write(tmp_path, GOOD))
    empty = read_recipe(write(tmp_path, "seed = 7\n" + GOOD + "[training.augment]\n"))
    given = read_recipe(
        write(tmp_path, GOOD + "[training]\nmax_epochs = 3\n[training.augment]\nbootstrap = 1.0\n")
    )

    assert plain.augment_settings() is None
    assert "augment" not in resolved(plain)["training"]
    assert empty.augment_settings() == AugmentSettings(seed=7)
    assert given.augment_settings() == AugmentSettings(bootstrap=1.0, seed=1)
    assert given.train_settings().max_epochs == resolved(given)["training"]["max_epochs"] == 3
    assert resolved(given)["training"]["augment"]["bootstrap"] == 1.0
    assert resolved(given)["training"]["augment"]["minority"] == 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[training.augment]\nnoize = 0.1",
            "unknown key 'noize'; did you mean 'noise'? in [training.augment]",
        ),
        ("[training.augment]\nsubsample = 0.0", "subsample = 0.0"),
        ("[training.augment]\nprocess = nan", "process = nan"),
        ('[training.augment]\nmin_points = "few"', "min_points"),
        ("[training.augment]\nseed = 3", "'seed' belongs at the top of the recipe"),
        ("[training]\naugment = true", "training.augment must be one table"),
        ("[training]\nprocesses = 2\n[training.augment]", "several processes train on curves as"),
    ],
)
def test_mistakes_about_changed_curves_are_named(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, GOOD + text))
    assert message in str(caught.value)


def test_bands_apart_are_not_changed(tmp_path):
    bands = GOOD.replace('"FoldedChannels"', '"FoldedChannels"\nbands = ["g", "r"]')
    assert read_recipe(write(tmp_path, bands)).augment_settings() is None
    with pytest.raises(ConfigError, match="folds all points together: leave it out, or 'bands'"):
        read_recipe(write(tmp_path, bands + "[training.augment]\n"))

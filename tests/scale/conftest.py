"""A small labelled survey as a HATS catalogue, and a recipe that learns from it in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.io import write_hats
from astroprep.pipeline.recipe import Recipe
from astroprep.synthetic import simulate_survey

TABLES = {
    "name": "small",
    "seed": 3,
    "steps": [
        {"step": "FlagBad", "missing_errors": "estimate"},
        {"step": "PeriodSearch", "max_frequency": 4.0},
        {"step": "FeatureExtractor"},
        {"step": "FoldedChannels"},
    ],
    "network": {"preset": "nano"},
    "training": {"max_epochs": 2, "n_threads": 1},
    "compression": {
        "sparsity": 0.5,
        "prune_stages": 1,
        "stage_epochs": 1,
        "retrain_epochs": 1,
        "share_epochs": 1,
    },
}


@pytest.fixture(scope="session")
def recipe():
    return Recipe.model_validate(TABLES)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Dirty simulated stars over the sky, some of them unusable, in several partitions."""
    batch, rng = simulate_survey(150, seed=5), np.random.default_rng(1)
    sky = {"ra": rng.uniform(0, 360, len(batch)), "dec": rng.uniform(-80, 80, len(batch))}
    path = tmp_path_factory.mktemp("labelled") / "labelled.hats"
    write_hats(path, batch.with_columns(objects=sky), max_objects=30)
    return path

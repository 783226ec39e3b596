"""One small run, shared by the tests of what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astroprep.io import write_survey
from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.run import RunResult, run
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
    "taxonomy": {"RR Lyrae": ["RRab", "RRc"]},
    "training": {"max_epochs": 3, "n_threads": 1},
    "compression": {
        "sparsity": 0.5,
        "prune_stages": 1,
        "stage_epochs": 1,
        "retrain_epochs": 1,
        "share_epochs": 1,
    },
}


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe.model_validate(TABLES)


@pytest.fixture(scope="session")
def survey_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dirty simulated stars, some of them unusable."""
    path = tmp_path_factory.mktemp("survey") / "survey.parquet"
    write_survey(path, simulate_survey(150, seed=5))
    return path


@pytest.fixture(scope="session")
def result(
    recipe: Recipe, survey_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunResult:
    return run(recipe, survey_file, tmp_path_factory.mktemp("run") / "out")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)

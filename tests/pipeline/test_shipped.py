"""Every shipped recipe runs on the sample survey, with searched periods and with given ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astroprep.pipeline.recipe import read_recipe
from astroprep.pipeline.run import RunOptions, run

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "pipelines").glob("*.toml"))


@pytest.mark.slow
@pytest.mark.parametrize("period_column", [None, "period"])
@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_runs_on_the_sample(path, period_column, tmp_path):
    """A few epochs: what the recipe reaches with all of them is a benchmark's to say."""
    recipe = read_recipe(path)
    short = {"prune_stages": 1, "stage_epochs": 1, "retrain_epochs": 2, "share_epochs": 1}
    changes = {
        # batches for 600 stars, not for the 16,000 that the recipe has in mind
        "training": {**recipe.training, "max_epochs": 12, "batch_size": 64},
        "compression": {**recipe.compression, **short},
    }
    if recipe.is_distilled():
        changes["teachers"] = {
            "members": ["trees", "rocket", "nano"],
            "n_parts": 2,
            "max_epochs": 4,
        }
        changes["distillation"] = {"temperatures": [2.0], "shares": [0.5, 0.9], "trial_epochs": 2}
    recipe = recipe.model_copy(update=changes)
    result = run(
        recipe,
        ROOT / "data_samples" / "survey.parquet",
        tmp_path / "out",
        RunOptions(period_column=period_column),
    )
    if recipe.is_distilled():
        history = json.loads((tmp_path / "out" / ".work" / "history.json").read_text())
        assert history["share"] in (0.5, 0.9)
        assert [m["kind"] for m in history["teacher"]["members"]] == ["trees", "rocket", "nano"]
    counts = result.metrics["counts"]
    assert counts["input"] == counts["result"] + counts["rejected"] == 900
    assert result.metrics["uncompressed"]["balanced_accuracy"] > 0.25  # chance: 0.11
    assert result.metrics["compressed"]["bytes"] * 5 < result.metrics["uncompressed"]["bytes"]

"""A run with teachers, stopped in each of its long stages, ends as one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from astroprep.pipeline.recipe import Recipe
from astroprep.pipeline.run import run


class KilledError(Exception):
    """The machine went down."""


@pytest.mark.slow
def test_no_stage_of_trainings_is_lost_and_the_bundle_is_the_same(
    recipe: Recipe, survey_file: Path, tmp_path: Path
) -> None:
    tables = recipe.to_dict() | {
        "teachers": {"members": ["nano", "forest"], "n_parts": 2, "max_epochs": 2},
        "distillation": {"temperatures": [1.0, 2.0], "shares": [0.5], "trial_epochs": 2},
    }
    taught = Recipe.model_validate(tables)
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(taught, survey_file, whole)

    for stage, count in (("teach", 3), ("train", 3), ("compress", 2)):
        told = 0

        def stop(name: str, *_: object, stage: str = stage, count: int = count) -> None:
            nonlocal told
            told += name == stage
            if told == count:
                raise KilledError

        with pytest.raises(KilledError):
            run(taught, survey_file, out, progress=stop)
        assert list((out / ".work" / f"{stage}-trainings").glob("*.pt"))

    seen: list[str] = []
    run(taught, survey_file, out, progress=lambda name, *_: seen.append(name))
    assert "teach" not in seen
    assert "train" not in seen
    assert "compress" not in seen  # its last epoch had ended
    assert (out / "bundle.apz").read_bytes() == (whole / "bundle.apz").read_bytes()
    assert not list((out / ".work").glob("*-trainings"))

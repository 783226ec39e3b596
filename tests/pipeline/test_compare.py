"""One table of compressed networks, taken up from a run that is done."""

from __future__ import annotations

import json
import shutil

import pytest

from astroprep.errors import ConfigError
from astroprep.pipeline.compare import compare
from astroprep.pipeline.run import RunOptions

MORE = ["channels", "int8"]
DEPLOYED = "pruned + shared + matched"


def test_table_text_and_picture_of_a_finished_run(recipe, survey_file, result, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(result.out, out)
    before = (out / "predictions.parquet").read_bytes()

    rows = compare(recipe, survey_file, out, RunOptions(), approaches=[DEPLOYED, "half", *MORE])

    assert [row.approach for row in rows] == ["reference", DEPLOYED, "half", *MORE]
    content = json.loads((out / "compression.json").read_text())
    table = content["rows"]
    assert [row["compressed_bytes"] for row in table] == [row.compressed_bytes for row in rows]
    assert any(row["on_pareto_front"] for row in table)
    reference = rows[0]
    assert reference.ratio == 1
    assert reference.original_bytes == pytest.approx(
        4 * result.metrics["compressed"]["parameters"], abs=60
    )
    assert rows[1].ratio > 6
    assert rows[2].ratio == pytest.approx(2, abs=0.05)
    assert rows[2].recall == pytest.approx(reference.recall, abs=0.05)
    assert rows[3].joules < reference.joules
    assert (rows[4].data_type, rows[3].data_type) == ("int8", "float32")
    assert rows[4].joules < 0.5 * reference.joules
    assert rows[4].recall == pytest.approx(reference.recall, abs=0.15)
    assert all(row.milliseconds is not None and row.milliseconds >= 0 for row in rows)
    # the run counts rejected test objects as wrong, the table leaves them out
    metrics = result.metrics["compressed"]
    right = round(metrics["accuracy"] * metrics["n_test"])
    assert round(rows[1].accuracy * content["n_test"]) == right
    assert (out / "compression.txt").read_text().count("\n") == len(rows) + 1
    assert (out / "compression.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "predictions.parquet").read_bytes() == before


def test_unknown_approaches_are_named_before_anything_is_written(recipe, survey_file, tmp_path):
    with pytest.raises(ConfigError, match=r"no approach 'magic'; there are reference, half"):
        compare(recipe, survey_file, tmp_path / "new", approaches=["magic"])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_taught_network_is_taken_up_with_its_teachers(recipe, survey_file, tmp_path):
    """Passes train as the network was trained: on soft targets, which must be there."""
    tables = {
        **recipe.to_dict(),
        "teachers": {"members": ["trees"], "n_parts": 2},
        "distillation": {"temperatures": [2.0], "shares": [0.5], "trial_epochs": 1},
    }
    taught = type(recipe).model_validate(tables)

    rows = compare(taught, survey_file, tmp_path / "out", approaches=["shared"])

    assert rows[1].ratio > 2
    assert (tmp_path / "out" / ".work" / "teacher.npy").exists()

"""One table of compressed networks, taken up from a run that is done."""

from __future__ import annotations

import json
import shutil

import pytest

from astroprep.errors import ConfigError
from astroprep.pipeline.compare import compare
from astroprep.pipeline.run import RunOptions


def test_table_text_and_picture_of_a_finished_run(recipe, survey_file, result, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(result.out, out)
    before = (out / "predictions.parquet").read_bytes()

    rows = compare(
        recipe, survey_file, out, RunOptions(), approaches=["pruned + shared", "half", "channels"]
    )

    assert [row.approach for row in rows] == ["reference", "pruned + shared", "half", "channels"]
    content = json.loads((out / "compression.json").read_text())["rows"]
    assert [row["compressed_bytes"] for row in content] == [row.compressed_bytes for row in rows]
    reference = rows[0]
    assert reference.ratio == 1
    assert reference.original_bytes == pytest.approx(
        4 * result.metrics["compressed"]["parameters"], abs=60
    )
    assert rows[1].ratio > 6
    assert rows[2].ratio == pytest.approx(2, abs=0.05)
    assert rows[2].recall == pytest.approx(reference.recall, abs=0.05)
    assert rows[3].joules < reference.joules
    assert all(row.milliseconds is not None and row.milliseconds >= 0 for row in rows)
    assert (out / "compression.txt").read_text().count("\n") == 5
    assert (out / "compression.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "predictions.parquet").read_bytes() == before


def test_unknown_approaches_are_named_before_anything_is_written(recipe, survey_file, tmp_path):
    with pytest.raises(ConfigError, match=r"no approach 'magic'; there are reference, half"):
        compare(recipe, survey_file, tmp_path / "new", approaches=["magic"])
    assert not (tmp_path / "new").exists()

"""Ceilings on memory, and what a cluster refuses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from astroprep.cli.main import app
from astroprep.cli.scaling import bytes_of
from astroprep.errors import ConfigError, DataError, MissingExtraError
from astroprep.io import ColumnNames, write_survey
from astroprep.pipeline.sizing import _resident, objects_within


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2e9), ("500 mb", 5e8), ("1GiB", 2**30), ("1.5G", 1.5e9)]
)
def test_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2TBB", "nanGB"])
def test_no_sizes(text):
    with pytest.raises(ConfigError, match="give a size such as"):
        bytes_of(text)


def test_batches_grow_with_the_ceiling(make_batch, tmp_path):
    path = tmp_path / "s.parquet"
    write_survey(path, make_batch(20, 300))
    names = ColumnNames()
    with pytest.raises(ConfigError, match=r"is not enough: .* MB or more"):
        objects_within(1000, path, names)
    small, large = (
        objects_within(_resident() + extra, path, names) for extra in (40_000_000, 400_000_000)
    )
    assert 1 <= small < large
    assert objects_within(10**13, path, names) == 2000


def test_a_run_on_a_cluster_needs_lsdb_and_a_catalogue(tmp_path):
    recipe = Path(__file__).parents[2] / "pipelines" / "demo.toml"
    asked = ["run", str(recipe), "--input", "s.parquet", "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*asked, "--engine", "lsdb"])
    if importlib.util.find_spec("lsdb"):
        assert isinstance(done.exception, DataError)
        assert "folder of a HATS catalogue" in str(done.exception)
    else:
        assert isinstance(done.exception, MissingExtraError)
    assert not (tmp_path / "o").exists()

"""``astroprep merge``: files in, one file of stars out, with its log and its provenance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from astroprep.cli.main import app
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import read_merger, stack_surveys, undo_merge
from astroprep.io import open_survey, read_provenance, source_sha256, write_survey

RUN = CliRunner()


@pytest.fixture
def surveys(tmp_path, rng):
    """Two files of three stars; the third star of the second lies elsewhere."""
    paths = []
    for k, name in enumerate(("one", "two")):
        curves = []
        for i in range(3):
            time = np.sort(rng.uniform(0, 300, 90)) + 1000 * k
            angle = 2 * np.pi * time / (1.7 + i)
            mag = 15 + i + 0.4 * np.cos(angle) + 0.2 * np.cos(2 * angle + 1)
            curves.append((time, mag + rng.normal(0, 0.01, 90), np.full(90, 0.01)))
        batch = LightCurveBatch.from_curves(
            curves,
            ids=[f"{name}-{i}" for i in range(3)],
            # whose digits a careless parser of CSV gets wrong
            objects={
                "ra": np.array([229.30620743572356, 97.12321695499331, 12.0 + k]),
                "dec": np.zeros(3),
            },
            meta=Meta(survey=name, time_scale="HJD-2450000", time_ref=2450000.0),
        )
        paths.append(tmp_path / f"{name}.parquet")
        write_survey(paths[-1], batch)
    return paths


def run(*words):
    return RUN.invoke(app, ["merge", *map(str, words)])


def test_files_become_one_of_stars(surveys, tmp_path):
    out = tmp_path / "stars.parquet"
    done = run(*surveys, "--out", out, "--radius", 1)
    assert done.exit_code == 0, done.output
    assert "6 light curves = 4 stars + 2 merged into them; 540 points" in done.output
    stars = open_survey(out).read()
    assert stars.ids.tolist() == ["one-0", "one-1", "one-2", "two-2"]
    assert np.diff(stars.offsets).tolist() == [180, 180, 90, 90]
    assert set(stars[0].points["source"]) == {0, 3}
    log = pd.read_csv(tmp_path / "stars.merges.csv")
    assert log["id"].tolist() == ["one-0", "one-1", "two-0", "two-1"]
    about = read_provenance(out)
    assert about["surveys"] == ["one", "two"]
    assert [i["sha256"] for i in about["inputs"]] == [source_sha256(p) for p in surveys]
    assert about["settings"]["radius"] == 1
    assert about["counts"]["curves"] == 6


@pytest.mark.parametrize("log", ["log.csv", "log.parquet"])
def test_the_files_can_be_taken_apart_again(surveys, tmp_path, log):
    out = tmp_path / "stars.parquet"
    assert run(*surveys, "--out", out, "--log", tmp_path / log).exit_code == 0
    stars, table = read_merger(out, tmp_path / log)
    back = undo_merge(stars, table)
    whole = stack_surveys([open_survey(path).read() for path in surveys])
    assert back.ids.tolist() == whole.ids.tolist()
    assert back.objects["survey"].tolist() == ["one"] * 3 + ["two"] * 3
    for name in ("time", "value", "error", "offsets"):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
    for name in ("ra", "dec", "input_row"):
        np.testing.assert_array_equal(back.objects[name], whole.objects[name])


def test_only_a_merged_file_has_a_log(surveys, tmp_path):
    with pytest.raises(DataError, match="no column 'star_row'"):
        read_merger(surveys[0])
    out = tmp_path / "stars.parquet"
    assert run(*surveys, "--out", out).exit_code == 0
    with pytest.raises(DataError, match="cannot be read as the log"):
        read_merger(out, tmp_path / "none.csv")


def test_by_photometry_periods_are_searched(surveys, tmp_path):
    out, log = tmp_path / "stars.parquet", tmp_path / "log.parquet"
    done = run(*surveys, "--out", out, "--by", "photometry", "--log", log)
    assert done.exit_code == 0, done.output
    assert "6 light curves = 3 stars" in done.output
    assert "without a period" not in done.output
    assert len(pd.read_parquet(log)) == 6


def test_curves_without_a_period_are_counted(surveys, tmp_path):
    short = LightCurveBatch.from_curves(
        [([1.0, 2.0], [15.0, 15.1], [0.01, 0.01])],
        meta=Meta(survey="short", time_scale="HJD-2450000", time_ref=2450000.0),
    )
    write_survey(tmp_path / "short.parquet", short)
    done = run(
        surveys[0], tmp_path / "short.parquet", "--out", tmp_path / "x.parquet", "--by", "both"
    )
    assert done.exit_code == 0, done.output
    assert "1 light curves without a period" in done.output


def test_help_has_an_example():
    assert "astroprep merge ogle3.parquet" in run("--help").output.replace("\n", " ")


def test_mistakes_write_nothing(surveys, tmp_path):
    for words, kind, match in (
        ([surveys[0], "--out", surveys[0]], ConfigError, "is an input"),
        ([surveys[0], "--out", tmp_path / "x.doc"], ConfigError, "written as .parquet"),
        ([surveys[0], "--out", tmp_path / "x.parquet", "--log", "x.txt"], ConfigError, "--log"),
        ([tmp_path / "none.parquet", "--out", tmp_path / "x.parquet"], DataError, "not exist"),
    ):
        done = run(*words)
        assert isinstance(done.exception, kind)
        assert match in str(done.exception)
    assert not list(tmp_path.glob("x.*"))


def test_fluxes_and_magnitudes_are_not_mixed(surveys, tmp_path):
    flux = LightCurveBatch.from_curves(
        [([1.0, 2.0], [3.0, 4.0], [1.0, 1.0])],
        objects={"ra": [10.0], "dec": [0.0]},
        meta=Meta(
            survey="f", quantity="flux", unit="nJy", time_scale="HJD-2450000", time_ref=2450000.0
        ),
    )
    write_survey(tmp_path / "flux.parquet", flux)
    done = run(surveys[0], tmp_path / "flux.parquet", "--out", tmp_path / "x.parquet")
    assert "quantity 'mag' and 'flux'" in str(done.exception)


def test_curves_that_cannot_be_read_are_listed(surveys, tmp_path):
    """One of two lists is shorter: no star of the result, and not forgotten either."""
    table = pq.read_table(surveys[1])
    rows = table.to_pylist()
    rows[1]["lightcurve"]["mag"] = rows[1]["lightcurve"]["mag"][:-1]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), surveys[1])
    out = tmp_path / "stars.parquet"
    done = run(*surveys, "--out", out, "--radius", 1)
    assert done.exit_code == 0, done.output
    assert "5 light curves = 4 stars + 1 merged into them; 450 points" in done.output
    assert "1 light curves could not be read" in done.output
    listed = pd.read_csv(tmp_path / "stars.rejected.csv")
    assert listed[["id", "row"]].to_numpy().tolist() == [["two-1", 4]]
    about = read_provenance(out)
    assert [one["curves"] for one in about["inputs"]] == [3, 3]
    assert about["counts"]["rejected"] == 1
    assert run(*surveys, "--out", out, "--radius", 1, "--strict").exit_code == 1

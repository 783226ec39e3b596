"""The verbs: exit codes, one message for a mistake, no traceback, nothing half-written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest

from astroprep.cli.main import main

RECIPE = """
name = "tiny"
seed = 3
[[steps]]
step = "FlagBad"
missing_errors = "estimate"
[[steps]]
step = "PeriodSearch"
max_frequency = 4.0
[[steps]]
step = "FeatureExtractor"
[[steps]]
step = "FoldedChannels"
[network]
preset = "nano"
[training]
max_epochs = 2
n_threads = 1
[compression]
sparsity = 0.5
prune_stages = 1
stage_epochs = 1
retrain_epochs = 1
share_epochs = 1
"""


def astroprep(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, as a shell would see it."""
    words = ["astroprep", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, COLUMNS="200"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def test_a_shell_sees_exit_codes_and_messages(tmp_path):
    """The same through a real process, once."""
    done = subprocess.run(
        [sys.executable, "-m", "astroprep.cli", "inspect", "none.apz"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("astroprep: none.apz: cannot read this bundle")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a recipe, a survey and the result of a run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.toml").write_text(RECIPE)
    made = astroprep("simulate", "--out", "s.parquet", "--objects", 120, "--seed", 5, cwd=folder)
    assert made.returncode == 0, made.stderr
    ran = astroprep("run", "recipe.toml", "--input", "s.parquet", "--out", "out", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    (folder / "stdout").write_text(ran.stdout)
    return folder


def test_run_says_where_everything_is_and_who_was_rejected(folder):
    said = (folder / "stdout").read_text()
    counts = json.loads((folder / "out" / "metrics.json").read_text())["counts"]
    assert f"{counts['input']} objects = {counts['result']} in the result" in said
    assert "usable points" in said
    for name in ("report.html", "predictions.parquet", "bundle.apz", "metrics.json"):
        assert name in said
        assert (folder / "out" / name).exists()


def test_classify_inspect_and_strict(folder):
    done = astroprep("classify", "out/bundle.apz", "s.parquet", "--out", "p.parquet", cwd=folder)
    assert done.returncode == 0, done.stderr
    made = pq.read_table(folder / "p.parquet")
    assert made.num_rows == 120
    for name, number in Counter(made["predicted"].drop_null().to_pylist()).items():
        assert f"  {number:6d}  {name}\n" in done.stdout
    assert "conformal_set, to hold the true class 90 times in 100" in done.stdout
    assert "is_unknown: " in done.stdout
    strict = astroprep(
        "classify", "out/bundle.apz", "s.parquet", "--out", "p.parquet", "--strict",
        "--prior", "estimate", "--coverage", "0.5", cwd=folder,
    )  # fmt: skip
    said = json.loads(pq.read_schema(folder / "p.parquet").metadata[b"astroprep_answers"])
    assert said["coverage"] == 0.5
    assert said["prior"].startswith("estimate")
    assert strict.returncode == 1
    assert "rejected" in strict.stdout
    shown = astroprep("inspect", "out/bundle.apz", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "tiny" in shown.stdout
    assert "aps scores of" in shown.stdout
    assert "float32" in shown.stdout
    assert "RRab" in shown.stdout


def test_period_writes_every_object(folder):
    done = astroprep("period", "s.parquet", "--out", "t.parquet", "--jobs", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(folder / "t.parquet").to_pandas()
    assert table["row"].tolist() == list(range(120))
    assert (table["period"].notna() ^ table["rejected_reason"].notna()).all()


def test_features_gives_every_object_numbers_or_a_reason(folder):
    done = astroprep(
        "features", "s.parquet", "--groups", "fourier", "--features", "skew", "--period-column",
        "period", "--errors", "--out", "n.parquet", "--jobs", 1, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "120 objects = " in done.stdout
    table = pq.read_table(folder / "n.parquet").to_pandas()
    assert table["row"].tolist() == list(range(120))
    assert (table["skew"].notna() ^ table["rejected_reason"].notna()).all()
    assert {"skew_error", "fourier_r21", "fourier_r21_error"} <= set(table)


def test_clean_and_detrend_write_surveys_that_the_next_verb_reads(folder):
    done = astroprep("clean", "s.parquet", "--out", "c.parquet", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "120 objects = " in done.stdout
    done = astroprep(
        "detrend", "c.parquet", "--method", "median", "--window", 300, "--out", "d.parquet",
        "--all-points", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    points = pq.read_schema(folder / "d.parquet").field("lightcurve").type
    assert {"trend", "trend_err", "outlier_probability"} <= {field.name for field in points}
    wrong = astroprep("detrend", "c.parquet", "--method", "cbv", "--out", "e.parquet", cwd=folder)
    assert wrong.returncode == 2
    assert "needs --vectors" in wrong.stderr
    assert not (folder / "e.parquet").exists()


def test_the_steps_of_a_recipe_clean_too(folder):
    text = 'name = "own"\n[[steps]]\nstep = "DropShort"\nmin_points = 200\n'
    (folder / "own.toml").write_text(text)
    done = astroprep(
        "clean", "s.parquet", "--recipe", "own.toml", "--out", "o.parquet", "--strict", cwd=folder
    )
    assert done.returncode == 1, done.stderr
    assert "DropShort" in (folder / "o.rejected.csv").read_text()


def test_assess_writes_numbers_and_a_page(folder):
    done = astroprep("assess", "s.parquet", "--out", "quality", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "quality" / "quality.json").read_text())
    assert "</html>" in (folder / "quality" / "quality.html").read_text()


def test_dry_run_prints_the_resolved_recipe(folder):
    done = astroprep(
        "run", "recipe.toml", "--input", "s.parquet", "--out", "no", "--dry-run", cwd=folder
    )
    assert json.loads(done.stdout)["network"]["preset"] == "nano"
    assert not (folder / "no").exists()


def test_the_same_command_again_changes_nothing_and_another_is_refused(folder):
    again = astroprep("run", "recipe.toml", "--input", "s.parquet", "--out", "out", cwd=folder)
    assert again.returncode == 0, again.stderr
    (folder / "other.toml").write_text(RECIPE.replace("seed = 3", "seed = 4"))
    other = astroprep("run", "other.toml", "--input", "s.parquet", "--out", "out", cwd=folder)
    assert other.returncode == 2
    assert "other settings; results are not mixed" in other.stderr


def mistakes(folder):
    (folder / "empty.parquet").touch()
    (folder / "cut.parquet").write_bytes((folder / "s.parquet").read_bytes()[:5000])
    (folder / "bad.toml").write_text(RECIPE + "[trainig]\n")
    damaged = bytearray((folder / "out" / "bundle.apz").read_bytes())
    damaged[3000] ^= 255
    (folder / "bad.apz").write_bytes(damaged)
    run = ("run", "recipe.toml", "--out", "never", "--input")
    classify = ("classify", "out/bundle.apz", "s.parquet", "--out")
    return {
        "missing input": ((*run, "none.parquet"), "none.parquet does not exist"),
        "empty file": ((*run, "empty.parquet"), "empty file"),
        "truncated file": ((*run, "cut.parquet"), "cut.parquet"),
        "unknown column": ((*run, "s.parquet", "--period-column", "P"), "no column 'P'"),
        "unknown key": (
            ("run", "bad.toml", "--out", "never", "--input", "s.parquet"),
            "did you mean 'training'",
        ),
        "missing recipe": (
            ("run", "none.toml", "--out", "never", "--input", "s.parquet"),
            "cannot read the recipe",
        ),
        "unwritable output": ((*classify, "/proc/nothing/p.parquet"), "cannot be written"),
        "output is a file": (
            ("run", "recipe.toml", "--input", "s.parquet", "--out", "s.parquet"),
            "cannot write there",
        ),
        "tampered bundle": (
            ("classify", "bad.apz", "s.parquet", "--out", "never.parquet"),
            "bad.apz",
        ),
        "not a bundle": (
            ("inspect", "s.parquet"),
            "not a readable bundle",
        ),
        "a text file as survey": ((*run, "recipe.toml"), "recipe.toml"),
        "unknown option": (("run", "--nonsense"), "No such option"),
        "no such class shares": (
            (*classify, "never.parquet", "--prior", "none.json"),
            "cannot read the class shares",
        ),
        "predictions in a format that is not written": (
            ("classify", "out/bundle.apz", "s.parquet", "--out", "never.csv"),
            "the result is Parquet, not csv",
        ),
        "two period sources": (
            (*classify, "never.parquet", "--period-column", "period", "--search-periods"),
            "not both",
        ),
        "a feature of the fold without periods": (
            ("features", "s.parquet", "--groups", "folded", "--out", "never.parquet"),
            "--period-column",
        ),
        "a choice that a recipe overrules": (
            (
                "clean",
                "s.parquet",
                "--recipe",
                "recipe.toml",
                "--missing",
                "drop",
                "--out",
                "never.parquet",
            ),
            "--missing would do nothing",
        ),
        "a window that a recipe overrules": (
            (
                "detrend",
                "s.parquet",
                "--recipe",
                "recipe.toml",
                "--window",
                "5",
                "--all-points",
                "--out",
                "never.parquet",
            ),
            "--window, --all-points would do nothing",
        ),
        "too many jobs": (
            ("period", "s.parquet", "--out", "never.parquet", "--jobs", 4096),
            "--jobs 4096",
        ),
    }


def test_mistakes_end_in_one_message_and_exit_code_2(folder):
    for what, (arguments, message) in mistakes(folder).items():
        done = astroprep(*arguments, cwd=folder)
        assert done.returncode == 2, (what, done.stdout, done.stderr)
        assert message in done.stderr, (what, done.stderr)
        assert "Traceback" not in done.stderr, what
        assert not (folder / "never.parquet").exists()
        assert not [p for p in folder.glob("never/*") if p.name != ".work"]
        assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize(
    "verb",
    [
        "run",
        "classify",
        "period",
        "features",
        "assess",
        "inspect",
        "simulate",
        "demo",
        "clean",
        "detrend",
    ],
)
def test_help_has_an_example(verb):
    done = astroprep(verb, "--help")
    assert done.returncode == 0
    assert f"astroprep {verb}" in done.stdout
    assert "Example" in done.stdout


def test_schemas_are_listed_compared_and_drafted(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("MasterID,Mag,Magerr,RA,Dec,MJD,Blend\n1,15,0.1,10,20,53500.5,0\n")
    listed = astroprep("schemas")
    ranked = astroprep("schemas", table)
    compared = astroprep("schemas", table, "--schema", "ztf")
    drafted = astroprep("schemas", table, "--draft")
    assert [one.returncode for one in (listed, ranked, compared, drafted)] == [0] * 4
    assert listed.stdout.startswith("asas-3 ")
    assert ranked.stdout.splitlines()[0].split() == ["crts", "7", "columns,", "fits"]
    assert "schema ztf does not apply" in compared.stdout
    assert 'system = "MJD"' in drafted.stdout


def test_a_table_is_cleaned_by_its_schema(tmp_path):
    table = tmp_path / "mine.csv"
    rows = [f"7,{15 + k % 3 / 10},0.1,10,20,{53500 + k},0" for k in range(30)]
    table.write_text("\n".join(["MasterID,Mag,Magerr,RA,Dec,MJD,Blend", *rows]) + "\n")
    out = tmp_path / "clean.parquet"
    done = astroprep("clean", table, "--schema", "crts", "--outliers", "none", "--out", out)
    assert done.returncode == 0, done.stderr
    from astroprep.io import open_survey

    with open_survey(out) as survey:
        assert survey.meta.time_scale == "MJD UTC"
        assert survey.meta.bands == ("crts_v",)
        assert survey.read().n_points == 30


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path):
    """Files, labels and columns are the user's: no style, no emoji, and no mistake of ours."""
    out = tmp_path / "[/x] :star:.csv"
    made = astroprep("simulate", "--objects", 3, "--seed", 5, "--out", out)
    assert made.returncode == 0, made.stderr
    assert "[/x] :star:.csv: 3 objects" in made.stdout
    cells = ["id,mjd,mag,mag_err,label"]
    cells += [f"{k // 9},{53500 + k},15,0.1,{'[/b]'[k // 36 :]}" for k in range(90)]
    (tmp_path / "s.csv").write_text("\n".join(cells) + "\n")
    judged = astroprep("assess", tmp_path / "s.csv", "--out", tmp_path / "quality")
    assert judged.returncode == 0, judged.stderr

"""``astroprep crossmatch``: a table out, a line for each status, one message for a mistake."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq

from astroprep.cli.main import main


def astroprep(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, as a shell would see it."""
    words = ["astroprep", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, COLUMNS="200"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def write(folder):
    (folder / "a.csv").write_text("name,RAJ2000,DEJ2000,e\ns1,10,0,0.2\ns2,10.0002,0,0.2\ns3,,,1\n")
    (folder / "b.csv").write_text("ra,dec\n00:40:00.01,00:00:00\n12:00:00,-30:00:00\n")


def test_plain_and_bayes(tmp_path):
    write(tmp_path)
    done = astroprep("crossmatch", "a.csv", "b.csv", "--radius", 2, "--out", "m.parquet",
                     "--keep", "both", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1  ambiguous" not in done.stdout
    assert "1  unmatched: lost to a better partner" in done.stdout
    table = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert [r["left_id"] for r in table] == ["s1", "s2", "s3", ""]
    assert [r["right_id"] for r in table] == ["0", "", "", "1"]
    assert table[2]["match_status"] == "unmatched: no position"
    done = astroprep("crossmatch", "a.csv", "b.csv", "--method", "bayes", "--left-errors", "e",
                     "--right-errors", "0.1", "--out", "m.csv", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "share of left objects with a counterpart" in done.stdout
    assert (tmp_path / "m.csv.json").exists()


def test_mistakes_end_in_one_message(tmp_path):
    write(tmp_path)
    for words, said in (
        (("--out", "m.parquet"), "needs a radius"),
        (("--radius", "2", "--out", "m.parquet", "--left-ra", "x"), "no column 'x'"),
        (("--radius", "2", "--out", "m.doc"), "unknown extension"),
        (("--method", "bayes", "--out", "m.csv"), "b.csv has none"),
    ):
        done = astroprep(
            "crossmatch", "a.csv", "b.csv", *words,
            *(("--left-errors", "0.1") if "bayes" in words else ()), cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("m.*"))


def test_help_has_an_example(tmp_path):
    done = astroprep("crossmatch", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Example" in done.stdout

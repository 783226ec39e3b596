"""What the README shows is run, and its table is the one of the committed results."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import astroprep

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_the_table_is_made_from_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # as `python benchmarks/readme_table.py` does
    path = ROOT / "benchmarks" / "readme_table.py"
    spec = importlib.util.spec_from_file_location("readme_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.updated(README) == README, "run python benchmarks/readme_table.py"


def test_there_are_blocks_of_both_kinds():
    assert [kind for kind, _ in BLOCKS] == ["sh", "python"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "text"), BLOCKS, ids=[kind for kind, _ in BLOCKS])
def test_blocks_run(kind, text, tmp_path):
    """In a folder that has the checkout's recipes and samples, with its own environment."""
    for name in ("pipelines", "data_samples"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", "-e", "-c", text] if kind == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_names_stand_in_the_rooms_that_are_said():
    """Each table of names follows a sentence that says where they are."""
    part = README[README.index("## From Python") : README.index("## Measured")]
    tables = re.findall(
        r"^([^\n|]*`astroprep\.[^\n]*):?\n\n\| what \| name \|\n(.*?)\n\n", part, re.M | re.S
    )
    assert len(tables) == 3
    for sentence, table in tables:
        rooms = [
            importlib.import_module(name) for name in re.findall(r"`(astroprep\.\w+)`", sentence)
        ]
        for name in re.findall(
            r"`([A-Za-z_]\w*)", " ".join(re.findall(r"\|([^|]*)\|$", table, re.M))
        ):
            assert any(hasattr(room, name) for room in (*rooms, astroprep)), (name, sentence)

"""The units of docs/operations.md are units."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_service(tmp_path):
    unit = re.search(r"```ini\n(.*?)```", DOCS.read_text(), re.S).group(1)
    unit = unit.replace("/opt/astroprep/bin/astroprep", "/bin/true")
    unit = unit.replace("User=astroprep", "User=root")  # those need not exist here
    (tmp_path / "astroprep-nightly.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "astroprep-nightly.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_lines_of_cron_call_commands_that_exist():
    from typer.testing import CliRunner

    from astroprep.cli.main import app

    block = re.search(r"## cron\n\n```\n(.*?)```", DOCS.read_text(), re.S).group(1)
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"(\S+ ){5}", line)
        verb = re.search(r"astroprep (\w+)", line).group(1)
        told = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"(--[a-z-]+)", line):
            assert option in told
        assert not re.search(r"(?<!\\)%", line)  # cron ends the command there

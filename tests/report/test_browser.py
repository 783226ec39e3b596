"""The page in a real browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from astroprep.report import write_run_report

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)


def browse(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Open a page, run its script, print the resulting document."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Chromium: no chromium on the path")
    return subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={folder}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_opens_without_a_console_message(tmp_path: Path, a_run: dict[str, Any]) -> None:
    page = tmp_path / "report.html"
    write_run_report(page, **a_run)

    seen = browse(page, tmp_path / "profile")

    assert seen.returncode == 0
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []
    assert 'title="sort"' in seen.stdout  # the script was let run and did its work


@pytest.mark.slow
def test_console_messages_would_be_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    page = tmp_path / "broken.html"
    page.write_text("<!DOCTYPE html><script>missing()</script>")
    assert "CONSOLE" in browse(page, tmp_path / "profile").stderr

"""Write what a benchmark measured, with where and when, as JSON."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def processor() -> str:
    """Name of the processor and how many of it there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown"


def commit() -> str:
    """Commit that was measured, marked when the tree had changes beside it."""

    def git(*words: str) -> str:
        where = Path(__file__).parent
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, check=True, cwd=where
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", "..", ":!results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def record(
    name: str, rows: list[dict[str, Any]], out: str | Path | None = None, **about: Any
) -> Path:
    """Write the rows of a benchmark to ``results/<name>.json``.

    Parameters
    ----------
    name : str
        Of the benchmark.
    rows : list of dict
        What was measured.
    out : path, optional
        Another file.
    **about
        Further facts, such as the data and the seeds.

    Returns
    -------
    Path
        The file.
    """
    path = Path(out) if out else RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = [
        word if "/" not in word else "DATA/" if before == "--data" else "FOLDER/"
        for before, word in zip(sys.argv, sys.argv[1:], strict=False)
        if "--out" not in (before, word)  # where the result went tells nothing
    ]
    content = {
        "benchmark": name,
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {shlex.join(arguments)}".strip(),
        "commit": commit(),
        "processor": processor(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        **about,
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path

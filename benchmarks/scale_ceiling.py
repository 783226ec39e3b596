"""The most memory that verbs under ``--memory`` really take.

    python benchmarks/scale_ceiling.py --data DATA/ --folder FOLDER/

Catalina South, all 37,745 variables: `period`, then `run` (the recipe `demo.toml` with few epochs,
periods of the catalogue), then `classify` with the bundle of the run, each in a process of its own
under several ceilings and once without. The highest resident memory is what the system counted.
Results must be the same bytes under every ceiling.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from record import record

RECIPE = Path(__file__).parents[1] / "pipelines" / "demo.toml"
SHORT = "prune_stages = 1\nstage_epochs = 1\nretrain_epochs = 1\nshare_epochs = 1\n"
SIZES = {"period": ("", "700MB"), "run": ("", "700MB", "2GB"), "classify": ("", "1GB")}
ALONE = (  # a process counts what it was copied from: so this small one starts the large one
    "import json,os,subprocess,sys; p=subprocess.Popen(sys.argv[1:]); "
    "_,s,u=os.wait4(p.pid,0); print(json.dumps([os.waitstatus_to_exitcode(s), u.ru_maxrss]))"
)


def measure(verb: str, ceiling: str, words: list[str], out: Path) -> dict[str, Any]:
    """Run one command; its memory, time and what it wrote."""
    command = [
        sys.executable,
        "-c",
        ALONE,
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "astroprep.cli",
        verb,
    ]
    command += [*words, *(["--memory", ceiling] if ceiling else [])]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    code, kilobytes = json.loads(done.stdout.splitlines()[-1])
    row: dict[str, Any] = {
        "verb": verb,
        "ceiling": ceiling or "none",
        "exit": code,
        "peak_mb": round(kilobytes * 1024 / 1e6),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    if code == 0:
        row["sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
    else:
        row["said"] = " ".join(done.stderr.split())[-300:]
    print(row, flush=True)
    return row


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--folder", type=Path, required=True, help="empty folder to work in")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    survey = str(given.data / "crts_south.parquet")
    recipe = given.folder / "short.toml"
    recipe.write_text(re.sub(r"max_epochs = \d+", "max_epochs = 4", RECIPE.read_text()) + SHORT)
    bundle = str(given.folder / "run_none" / "bundle.apz")
    rows = []
    for verb, ceilings in SIZES.items():
        for ceiling in ceilings:
            name = given.folder / f"{verb}_{ceiling or 'none'}"
            if verb == "run":
                words = [str(recipe), "--input", survey, "--out", str(name)]
                words += ["--period-column", "period", "--label-column", "label"]
                words += ["--split-column", "split"]
                out = name / "predictions.parquet"
            else:
                out = name.with_suffix(".parquet")
                words = [*([bundle] if verb == "classify" else []), survey, "--out", str(out)]
                words += ["--period-column", "period"] if verb == "classify" else []
            rows.append(measure(verb, ceiling, words, out))
    for verb in SIZES:
        mine = [row for row in rows if row["verb"] == verb and row["exit"] == 0]
        if len({row["sha256"] for row in mine}) != 1:
            raise SystemExit(f"{verb}: the results depend on the ceiling")
    path = record("scale_ceiling", rows, given.out, data="Catalina South, 37,745 light curves")
    print(path)


if __name__ == "__main__":
    main()

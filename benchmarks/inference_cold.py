"""What one object costs a process that has just begun: imports, loading the bundle, classifying.

    python benchmarks/inference_cold.py --bundle result/bundle.apz --input one.parquet

Every row is a fresh process, kernels and bytecode compiled and cached by one that went before, as
in any installed package; seconds of the processor's clock, the least and the median of several.
Peers: ONNX Runtime opening the same network, and the imports of lightkurve and of torch for scale.
The last row is the command line from its start to its end, wall clock beside the processor's,
because that is what waits.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import record

TIMED = """
import sys, time
start = time.process_time()
{before}
begin = time.process_time()
{work}
print(begin - start, time.process_time() - begin)
"""
READ = """from astroprep.deploy.bundle import read_bundle
from astroprep.deploy.runtime import Runtime"""
LOAD = "r = Runtime(read_bundle({bundle!r}))"
CLASSIFY = "from astroprep.pipeline.classify import classify"
ROWS = {
    "classify one object": (CLASSIFY, "classify({bundle!r}, {input!r}, {out!r})"),
    "load bundle, first time": (READ, LOAD),
    "load bundle, again": (READ + "\n" + LOAD, LOAD),
    "ONNX Runtime session": ("import onnxruntime as o", "o.InferenceSession({onnx!r})"),
    "import lightkurve": ("", "import lightkurve"),
    "import torch": ("", "import torch"),
}


INSTALLED = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""Environment of the processes: pip compiles what it installs, a checkout at its first start."""


def measure(name: str, places: dict[str, str], n: int) -> dict[str, Any]:
    """Seconds of imports and of the work behind them."""
    code = TIMED.format(**dict(zip(("before", "work"), ROWS[name], strict=True)))
    words = [sys.executable, "-W", "ignore", "-c", code.format(**places)]
    runs = []
    for _ in range(n + 1):  # the first fills caches
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=INSTALLED)
        runs.append([float(word) for word in done.stdout.splitlines()[-1].split()])
    before, work = zip(*runs[1:], strict=True)
    row = {"what": name, "import_s": min(before), "work_s": min(work), "runs": n}
    row["work_median_s"] = statistics.median(work)
    print(json.dumps(row), flush=True)
    return row


def command_line(places: dict[str, str], n: int) -> dict[str, Any]:
    """Seconds of ``astroprep classify`` for one object, the interpreter included."""
    words = [sys.executable, "-W", "ignore", "-m", "astroprep.cli", "classify"]
    words += [places["bundle"], places["input"], "--out", places["out"]]
    wall, cpu = [], []
    for _ in range(n + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, capture_output=True, check=True, env=INSTALLED)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    row = {"what": "astroprep classify", "wall_s": min(wall[1:]), "cpu_s": min(cpu[1:]), "runs": n}
    row |= {"wall_median_s": statistics.median(wall[1:])}
    row |= {"cpu_median_s": statistics.median(cpu[1:])}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--input", type=Path, required=True, help="survey file of one object")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    from astroprep.deploy.bundle import read_bundle
    from astroprep.deploy.export import export_bundle

    with tempfile.TemporaryDirectory() as folder:
        files = export_bundle(given.bundle, "onnx", Path(folder))
        places = {
            "bundle": str(given.bundle),
            "input": str(given.input),
            "out": f"{folder}/predictions.parquet",
            "onnx": str(next(path for path in files if path.suffix == ".onnx")),
        }
        engine = "float32" if read_bundle(given.bundle).integer is None else "8-bit integers"
        rows = [measure(name, places, given.runs) for name in ROWS]
        rows.append(command_line(places, given.runs))
    peer = "ONNX Runtime session of the same network"
    print(record("cold", rows, given.out, peer=peer, engine=engine))


if __name__ == "__main__":
    main()

"""How the cost of a periodogram grows with frequencies and points, and that memory does not grow.

``python benchmarks/period_scaling.py --picture docs/period_scaling.png`` times one thread over
a range of both, beside nifty-ls on part of it, and runs ``astroprep period`` over up to 100,000
simulated objects for its peak memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from period_speed import best_time, simulate
from record import record

from astroprep.io import write_survey
from astroprep.period import FrequencyGrid, power_ragged
from astroprep.synthetic import simulate_survey

POINTS = (10, 30, 100, 300, 1000, 3000, 10_000)
FREQUENCIES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
WRITTEN = 2_000  # objects simulated; larger surveys repeat them


def speed(n_points: int, n_frequencies: int, *, peer: bool) -> dict[str, Any]:
    """Milliseconds per curve at one size, one thread."""
    import nifty_ls

    baseline = n_frequencies / (5 * 24.0)
    curves = simulate(8, n_points, baseline, nightly=True)
    grid = FrequencyGrid(2 / baseline, 1 / (5 * baseline), n_frequencies)
    flat = [np.concatenate(part) for part in zip(*curves, strict=True)]
    offsets = np.arange(len(curves) + 1) * n_points
    power_ragged(*flat, offsets, grid, jobs=1)
    ours = best_time(lambda: power_ragged(*flat, offsets, grid, jobs=1)) / len(curves)
    row = {"points": n_points, "frequencies": n_frequencies, "astroprep_ms": round(ours * 1e3, 4)}
    if peer:
        theirs = best_time(
            lambda: nifty_ls.lombscargle(
                *curves[0], fmin=grid.start, fmax=grid.stop, Nf=grid.size, nthreads=1
            )
        )
        row |= {"nifty_ls_ms": round(theirs * 1e3, 3), "ratio_nifty_ls": round(theirs / ours, 1)}
    return row


def memory(folder: Path, n_objects: int) -> dict[str, Any]:
    """Peak memory and time of ``astroprep period`` over a survey of so many objects."""
    one = folder / "one.parquet"
    if not one.exists():
        write_survey(one, simulate_survey(WRITTEN, seed=5))
    table = pq.read_table(one)
    survey = folder / f"{n_objects}.parquet"
    with pq.ParquetWriter(survey, table.schema) as writer:
        for first in range(0, n_objects, WRITTEN):
            ids = pa.array([f"star-{first + i}" for i in range(WRITTEN)])
            place = table.schema.get_field_index("id")
            part = table.set_column(place, table.schema.field(place), ids.cast(table["id"].type))
            writer.write_table(part.slice(0, n_objects - first))
    command = [sys.executable, "-m", "astroprep.cli", "period", str(survey)]
    command += ["--out", str(folder / "periods.parquet"), "--max-frequency", "2"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return {
        "objects": n_objects,
        "seconds": round(time.perf_counter() - begin, 1),
        "memory_gib": round(usage.ru_maxrss / 2**20, 3),
        "rows_written": pq.ParquetFile(folder / "periods.parquet").metadata.num_rows,
    }


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Time against points and against frequencies, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for ax, along, fixed, values in (
        (left, "points", "frequencies", (10_000, 100_000, 1_000_000)),
        (right, "frequencies", "points", (30, 300, 3000)),
    ):
        for shade, value in enumerate(values):
            mine = [row for row in rows if row.get(fixed) == value]
            colour = f"C{shade}"
            ax.loglog(
                [row[along] for row in mine],
                [row["astroprep_ms"] for row in mine],
                "o-",
                color=colour,
                label=f"{value:,} {fixed}",
            )
            peer = [row for row in mine if "nifty_ls_ms" in row]
            ax.loglog(
                [row[along] for row in peer],
                [row["nifty_ls_ms"] for row in peer],
                "x:",
                color=colour,
                label="nifty-ls" if shade == 0 else None,
            )
        ax.set_xlabel(along)
        ax.set_ylim(0.04, 300)
        ax.legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
        ax.grid(alpha=0.3)
    left.set_ylabel("milliseconds a curve, one thread")
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Measure, draw, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[4_000, 20_000, 100_000])
    parser.add_argument("--picture", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    for n_frequencies in FREQUENCIES:
        for n_points in POINTS:
            rows.append(speed(n_points, n_frequencies, peer=n_frequencies <= 300_000))
            print(rows[-1])
    if args.picture:
        draw(rows, args.picture)
    with tempfile.TemporaryDirectory() as folder:
        for n_objects in args.objects:
            rows.append(memory(Path(folder), n_objects))
            print(rows[-1])
    print(record("period_scaling", rows, args.out))


if __name__ == "__main__":
    main()

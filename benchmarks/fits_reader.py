"""Light-curve FITS a second, beside lightkurve and astropy tables: same files, same numbers.

``python benchmarks/fits_reader.py --data DATA/`` reads the Kepler, K2 and TESS files of
``DATA/space`` with each reader in turn, takes the fastest of the rounds, compares every flux,
error, time and quality, and then reads one file a few hundred times to see what stays open or in
memory.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from record import record

from astroprep.io import SpaceFitsReader

MISSIONS = ("kepler", "k2", "tess")


def ours(files: list[Path]) -> Any:
    """One batch."""
    return SpaceFitsReader(files).read()


def lightkurves(files: list[Path]) -> Any:
    """One object a file, nothing removed by quality."""
    import lightkurve

    return [lightkurve.read(path, quality_bitmask="none") for path in files]


def tables(files: list[Path]) -> Any:
    """One plain astropy table a file: no check, no common units, no batch."""
    return [Table.read(path, hdu=1, memmap=False) for path in files]


def fastest(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest round of each call, the calls taken in turn."""
    best = dict.fromkeys(calls, np.inf)
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def same(files: list[Path]) -> bool:
    """Whether lightkurve's cadences have our numbers; it drops those without a time."""
    batch = ours(files)
    for i, theirs in enumerate(lightkurves(files)):
        one = batch[i]
        kept = np.isin(one.points["cadence"], np.asarray(theirs["cadenceno"]))
        if not np.isnan(one.time[~kept]).all():
            return False
        pairs = [
            (one.time, theirs.time.value),
            (one.value, theirs.flux.value),
            (one.error, theirs.flux_err.value),
            (one.points["survey_flags"].astype(float), theirs["quality"]),
        ]
        for mine, other in pairs:
            plain = np.ma.filled(np.ma.asarray(other, float), np.nan)
            if not np.array_equal(mine[kept], plain, equal_nan=True):
                return False
    return True


def leaks(path: Path, times: int) -> tuple[int, float]:
    """Descriptors and megabytes more than before, after reading a file so many times."""
    survey = SpaceFitsReader(path)
    survey.files = survey.files * 20
    survey._known = None  # or the first file is not read again

    def state() -> tuple[int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")

    for _ in survey.iter_batches(5):
        pass
    files, memory = state()
    for _ in range(times // 20):
        for _ in survey.iter_batches(5):
            pass
    later = state()
    return later[0] - files, (later[1] - memory) / 1e6


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=600)
    parser.add_argument("--out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    print(f"{'mission':8} {'files':>5} {'astroprep':>10} {'lightkurve':>11} {'Table':>8}  equal")
    for mission in MISSIONS:
        files = sorted((options.data / "space" / mission).glob("*lc.fits"))
        calls = {
            "astroprep": lambda files=files: ours(files),
            "lightkurve": lambda files=files: lightkurves(files),
            "Table": lambda files=files: tables(files),
        }
        for call in calls.values():
            call()  # imports and the disk's cache
        best = {name: 1e3 * t / len(files) for name, t in fastest(calls, options.rounds).items()}
        row = {"mission": mission, "files": len(files), "equal": same(files)}
        rows.append({**row, **{f"{name}_ms": round(t, 2) for name, t in best.items()}})
        print(
            f"{mission:8} {len(files):5} {best['astroprep']:7.2f} ms {best['lightkurve']:8.2f} ms "
            f"{best['Table']:5.2f} ms  {row['equal']}"
        )
    path = next((options.data / "space" / "kepler").glob("*_llc.fits"))
    opened, grown = leaks(path, options.times)
    rows.append({"reads": options.times, "left_open": opened, "grown_mb": round(grown, 2)})
    print(f"{options.times} reads of one file: {opened} left open, {grown:+.2f} MB")
    print(record("fits_reader", rows, options.out, data="Kepler, K2 and TESS files, PDCSAP"))


if __name__ == "__main__":
    main()

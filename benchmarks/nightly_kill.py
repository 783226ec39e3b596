"""Kill nightly runs at random instants and compare the tables with an undisturbed run's.

A season of simulated nights is run once undisturbed. Then, again and again, into a state of its
own: a run is started in a process, killed by SIGKILL after a random time, started again, until
the season is through. Tables are compared row for row; what tells the hour of the day and the
number of the run is left out, as is the ledger, whose numbers tell of the repairs.

    python benchmarks/nightly_kill.py --bundle BUNDLE [--kills 200]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from record import record

from astroprep.nightly import NightOptions, current_observations, open_state, run_night
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS, AlertReader
from astroprep.nightly.merge import merge_observations
from astroprep.nightly.objects import OBJECTS
from astroprep.nightly.sources import Message
from astroprep.synthetic import simulate_alerts

numba.config.THREADING_LAYER = "workqueue"  # GNU OpenMP does not survive a fork
TABLES = ("observations", "objects", "classifications", "dead_letters")
BAND = ("ztf_r=V",)


def write_nights(folder: Path, n_stars: int, n_nights: int, seed: int) -> list[Path]:
    """A folder a night, a packet a file, one of each night damaged."""
    _, nights = simulate_alerts(n_stars, n_nights, seed, cutout=200, visits_per_night=3.0)
    folders = []
    for night in nights:
        here, packets = folder / str(night.mjd), night.packets[:]
        here.mkdir(parents=True)
        for i, packet in enumerate(packets):
            (here / f"{i:05d}.avro").write_bytes(packet)
        (here / "damaged.avro").write_bytes(packets[0][:500] if packets else b"x")
        folders.append(here)
    return folders


def run_all(state: str, bundle: str, nights: list[Path], batch: int) -> None:
    """All nights that are not closed yet, in a process of its own; nothing is shared."""
    for night in nights:
        with_ledger = os.path.isdir(f"{state}/runs")
        if with_ledger:
            try:
                with open_state(state) as known:
                    closed = known.runs.to_pylist()
            except ValueError:  # begun, and killed before the first row of the ledger
                closed = []
            if any(r["night"] == night.name and r["closed"] for r in closed):
                continue
        run_night(state, bundle, str(night), NightOptions(night.name, "ztf", BAND, batch=batch))


def warm(bundle: str, nights: list[Path]) -> None:
    """Compile and load everything but the state, so that the processes begin with the work."""
    survey = SURVEYS["ztf"]
    files = [file for night in nights for file in sorted(night.iterdir())]
    found = AlertReader(survey, 2).read([Message(f.read_bytes(), f.name) for f in files])
    rows = merge_observations(found.observations.slice(0, 0), found.observations).current
    names = pc.unique(rows["object_id"].combine_chunks()).sort()
    classifier = NightClassifier(bundle, survey, band_map=BAND)
    histories = object_histories(rows, names, survey)
    first = classifier.classify(histories, OBJECTS.empty_table(), "warm")
    known = first.objects.append_column("run", pa.array([1] * len(names), pa.int64()))
    classifier.classify(histories, known, "warm")


def forked(*args: Any) -> int:
    """Process that does `run_all`; this one never opens a state, so that it may fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        code = 1
        try:
            run_all(*args)
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int, seconds: float) -> int | None:
    """Exit status within so many seconds, or None."""
    until = time.perf_counter() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if time.perf_counter() >= until:
            return None
        time.sleep(0.0005)


def tables(state: str) -> dict[str, list[str]]:
    """Rows of every table as text, sorted."""
    found = {}
    with open_state(state) as opened:
        for name in TABLES:
            rows: pa.Table = opened.read(name)
            if name == "observations":
                rows = current_observations(opened)
            drop = {"run", "time"} if name == "classifications" else {"run"}
            rows = rows.select([c for c in rows.column_names if c not in drop])
            found[name] = sorted(repr(list(r.values())) for r in rows.to_pylist())
        counts = [
            (r["night"], r["batch"], r["closed"], r["counts"])
            for r in opened.runs.to_pylist()
            if r["kind"] == "night"
        ]
        found["ledger"] = sorted(map(repr, counts))
    return found


def compared(state: str, out: str) -> None:
    """Write the tables of a state, from a process of its own."""
    Path(out).write_text("\n".join(f"{k} {r}" for k, rows in tables(state).items() for r in rows))


def text_of(state: str, out: Path) -> str:
    """Tables of a state as text; read in a fork, because this process must stay clean."""
    child = os.fork()
    if child == 0:
        try:
            compared(state, str(out))
            os._exit(0)
        finally:
            os._exit(1)
    status = ended(child, 300)
    if status != 0:
        raise SystemExit(f"{state} cannot be read")
    return out.read_text()


def main() -> None:
    """Kill, restart, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stars", type=int, default=10)
    parser.add_argument("--nights", type=int, default=6)
    parser.add_argument("--batch", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    work = Path(tempfile.mkdtemp())
    nights = write_nights(work / "alerts", args.stars, args.nights, args.seed)
    warm(args.bundle, nights)
    begun = time.perf_counter()
    if ended(forked(str(work / "calm"), args.bundle, nights, args.batch), 3600) != 0:
        raise SystemExit("the undisturbed run failed")
    undisturbed = time.perf_counter() - begun
    truth = text_of(str(work / "calm"), work / "calm.txt")
    kills = seasons = failures = different = 0
    while kills < args.kills:
        state = str(work / f"state{seasons}")
        while True:
            child = forked(state, args.bundle, nights, args.batch)
            status = ended(child, rng.uniform(0, undisturbed / 3))
            if status is None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                kills += 1
            elif status == 0:
                break
            else:
                failures += 1
                break
        seasons += 1
        different += text_of(state, work / "killed.txt") != truth
        shutil.rmtree(state)
        print(
            f"{kills} kills, {seasons} seasons, {failures} failed, {different} differ", flush=True
        )
    rows = [
        {
            "kills": kills,
            "seasons": seasons,
            "failed_restarts": failures,
            "states_that_differ": different,
            "rows_compared": truth.count("\n") + 1,
            "seconds_undisturbed": round(undisturbed, 2),
        }
    ]
    shutil.rmtree(work)
    record("nightly_kill", rows, args.out, data="simulate_alerts", seed=args.seed)


if __name__ == "__main__":
    main()

"""Periods in a HATS catalogue on a Dask cluster: overhead, two processes, memory, LSDB + nifty-ls.

    python benchmarks/scale_lsdb.py --objects 4000

The peer is what one writes with LSDB and nifty-ls: `map_partitions`, and a call per light curve on
a grid of the same highest frequency and five samples a peak. It gives the highest peak and its
power; ours adds candidates, their probabilities, errors and significances; `scale_peer.py` compares
features too. Wall time and CPU time of the workers are given: the machine may be shared.
"""

from __future__ import annotations

import argparse
import tempfile
import time as clock
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client, LocalCluster
from record import record

from astroprep.data import LightCurveBatch, Meta
from astroprep.io import hats_catalog, write_hats
from astroprep.pipeline.periods import search_periods
from astroprep.scale import PeriodWork, run_on_cluster

MAX_FREQUENCY = 24.0
N_POINTS, SPAN, PARTITION = 200, 1000.0, 250


def make_catalogue(path: Path, n: int, seed: int = 1) -> None:
    """Noisy sines at random times, uniform over the sky."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(55_000, 55_000 + SPAN, (n, N_POINTS)), axis=1)
    period = rng.uniform(0.2, 5.0, (n, 1))
    mag = 15 + 0.2 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.03, time.shape)
    batch = LightCurveBatch(
        time=time.ravel(),
        value=mag.ravel(),
        error=np.full(time.size, 0.03),
        offsets=np.arange(n + 1) * N_POINTS,
        objects={
            "id": np.array([f"s{i}" for i in range(n)], object),
            "ra": rng.uniform(0, 360, n),
            "dec": np.rad2deg(np.arcsin(rng.uniform(-1, 1, n))),
        },
        meta=Meta("simulated"),
    )
    write_hats(path, batch, max_objects=PARTITION)


def nifty_periods(frame: Any) -> pd.Series:
    """Highest peak of each light curve of a partition."""
    import nifty_ls

    told = []
    for curve in frame["lightcurve"] if len(frame) else ():
        time, mag, error = (curve[c].to_numpy(np.float64) for c in ("time", "mag", "mag_err"))
        step = 1 / (5 * (time[-1] - time[0]))
        found = nifty_ls.lombscargle(
            time,
            mag,
            error,
            fmin=step,
            fmax=MAX_FREQUENCY,
            Nf=int(MAX_FREQUENCY / step),
            nthreads=1,
        )
        best = int(np.argmax(found.power))
        told.append((1 / (step * (1 + best)), float(found.power[best])))
    return pd.Series(told, dtype=object)


def with_nifty(catalogue: Path, address: str) -> int:
    """Light curves that the peer served."""
    import lsdb

    with Client(address) as client:
        opened = lsdb.open_catalog(catalogue)
        told = opened.map_partitions(nifty_periods, meta=pd.Series([], dtype=object))
        return sum(len(part) for part in client.gather(client.compute(told.to_delayed())))


def usage() -> tuple[float, float]:
    """CPU seconds and highest resident megabytes of this process.

    Of /proc: what `getrusage` says of a process begins with the size of the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return clock.process_time(), int(peak.split()[1]) / 1024


def on_workers(n_processes: int, warm: Any, work: Any) -> dict[str, float]:
    """Wall and CPU seconds of `work(address)` on fresh workers, after `warm(address)`."""
    with LocalCluster(
        n_workers=n_processes, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        warm(address)
        with Client(address) as client:
            before = client.run(usage)
        begin = clock.perf_counter()
        work(address)
        wall = clock.perf_counter() - begin
        with Client(address) as client:
            after = client.run(usage)
    cpu = sum(after[k][0] - before[k][0] for k in before)
    return {"wall": wall, "cpu": cpu, "peak_mb": max(mb for _, mb in after.values())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=4000)
    n = parser.parse_args().objects
    warnings.simplefilter("ignore")
    work = PeriodWork(max_frequency=MAX_FREQUENCY)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"warm": 300, "peer": max(300, n // 8), "small": n // 4, "all": n}
        for key, size in sizes.items():
            make_catalogue(folder / f"{key}.hats", size)
        search_periods(folder / "warm.hats", folder / "w.parquet", max_frequency=MAX_FREQUENCY)
        begin, cpu = clock.perf_counter(), clock.process_time()
        search_periods(folder / "all.hats", folder / "all.parquet", max_frequency=MAX_FREQUENCY)
        rows.append(
            {
                "what": "one machine, one thread",
                "objects": n,
                "wall": clock.perf_counter() - begin,
                "cpu": clock.process_time() - cpu,
                "peak_mb": usage()[1],
            }
        )

        def ours(key: str, label: str) -> Any:
            source = folder / f"{key}.hats"
            out = folder / f"{key}-{label}.hats"
            return lambda address: run_on_cluster(work, source, out, cluster=address)

        for processes, key in ((1, "small"), (1, "all"), (2, "all")):
            label = f"{processes}-{key}"
            used = on_workers(processes, ours("warm", label), ours(key, label))
            rows.append(
                {"what": f"--engine lsdb, {processes} process", "objects": sizes[key], **used}
            )
        peer = on_workers(
            1,
            lambda a: with_nifty(folder / "warm.hats", a),
            lambda a: with_nifty(folder / "peer.hats", a),
        )
        rows.append({"what": "LSDB + nifty-ls, 1 process", "objects": sizes["peer"], **peer})
        partitions = len(hats_catalog(folder / "all.hats").files)
    for row in rows:
        row["per_cpu_second"] = row["objects"] / row["cpu"]
        print(
            f"{row['what']:28} {row['objects']:7} objects  wall {row['wall']:7.2f} s  CPU "
            f"{row['cpu']:7.2f} s  {row['per_cpu_second']:7.0f} a CPU s  "
            f"peak {row['peak_mb']:5.0f} MB"
        )
    alone, _, one, two, nifty = rows
    ratios = {
        "cpu_over_one_machine": one["cpu"] / alone["cpu"],
        "wall_over_one_machine": one["wall"] / alone["wall"],
        "efficiency_1_to_2_wall": one["wall"] / (2 * two["wall"]),
        "efficiency_1_to_2_cpu": one["cpu"] / two["cpu"],
        "times_lsdb_nifty_ls": one["per_cpu_second"] / nifty["per_cpu_second"],
    }
    print(ratios)
    record(
        "scale_lsdb",
        rows,
        ratios=ratios,
        partitions=partitions,
        data=f"simulated sines, seed 1, {N_POINTS} points over {SPAN:g} d",
    )


if __name__ == "__main__":
    main()

"""Memory of a Dask worker from ten thousand to a million light curves.

    python benchmarks/scale_memory.py --folder FOLDER --objects 10000 100000 1000000

Periods are searched in short light curves on a small grid, so that a million are a matter of
minutes: what is measured is memory, not speed. Partitions are written one by one, the first ones
of each catalogue are those of the smaller ones, and so must be the results: the smallest catalogues
are done on one machine as well, and every larger one must begin with the same bits.
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy_healpix import HEALPix
from record import record
from scale_lsdb import on_workers, usage

from astroprep.data import LightCurveBatch, Meta
from astroprep.io import hats_catalog
from astroprep.io.hats_writer import INDEX, healpix_index, seal_hats
from astroprep.io.parquet_writer import batch_table
from astroprep.pipeline.periods import SCHEMA, search_periods
from astroprep.scale import PeriodWork, run_on_cluster

ORDER, PARTITION, N_POINTS, SPAN, MAX_FREQUENCY = 4, 5000, 30, 30.0, 4.0
COMPARED = 100_000  # objects that one machine does as well
WORK = PeriodWork(max_frequency=MAX_FREQUENCY)


def partition(pixel: int, n: int) -> pa.Table:
    """Short noisy sines in one HEALPix pixel, the same whatever the catalogue."""
    rng = np.random.default_rng(pixel)
    time = np.sort(rng.uniform(55_000, 55_000 + SPAN, (n, N_POINTS)), axis=1)
    period = rng.uniform(0.3, 5.0, (n, 1))
    mag = 15 + 0.2 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.03, time.shape)
    healpix = HEALPix(2**ORDER, order="nested")
    at = healpix.healpix_to_lonlat(
        np.full(n, pixel), dx=rng.uniform(0.01, 0.99, n), dy=rng.uniform(0.01, 0.99, n)
    )
    ra, dec = (angle.to_value(u.deg) for angle in at)
    place = healpix_index(ra, dec)
    batch = LightCurveBatch(
        time=time.ravel(),
        value=mag.ravel(),
        error=np.full(time.size, 0.03),
        offsets=np.arange(n + 1) * N_POINTS,
        objects={
            "id": np.array([f"s{pixel}-{i}" for i in range(n)], object),
            "ra": ra,
            "dec": dec,
        },
        meta=Meta("simulated"),
    )
    table = batch_table(batch, ()).append_column(INDEX, pa.array(place))
    return table.take(np.argsort(place, kind="stable"))


def make_catalogue(folder: Path, n: int) -> None:
    """Write a catalogue partition by partition."""
    files = []
    for pixel in range(n // PARTITION):
        file = folder / "dataset" / f"Norder={ORDER}" / "Dir=0" / f"Npix={pixel}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table = partition(pixel, PARTITION)
        pq.write_table(table, file, compression="zstd", row_group_size=2000)
        files.append(file)
    seal_hats(folder, files, table.schema, n)


def first_answers(folder: Path, n: int) -> pa.Table:
    """Results of the first `n` objects of a catalogue."""
    parts = []
    for path in hats_catalog(folder).files[: n // PARTITION]:
        with path.open("rb") as file:
            parts.append(pq.read_table(file, columns=SCHEMA.names).select(SCHEMA.names))
    return pa.concat_tables(parts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="Some gigabytes; removed.")
    parser.add_argument("--objects", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    told.folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    try:
        make_catalogue(told.folder / "warm.hats", PARTITION)
        for n in sorted(told.objects):
            source, out = (told.folder / f"{what}-{n}.hats" for what in ("in", "out"))
            make_catalogue(source, n)
            row: dict[str, Any] = {"objects": n, "partitions": n // PARTITION}
            row["input_mb"] = sum(f.stat().st_size for f in hats_catalog(source).files) / 1e6
            row |= on_workers(
                2,
                lambda a, n=n: run_on_cluster(
                    WORK, told.folder / "warm.hats", told.folder / f"w-{n}.hats", cluster=a
                ),
                lambda a, s=source, o=out: run_on_cluster(WORK, s, o, cluster=a),
            )
            row["driver_peak_mb"] = usage()[1]
            if n <= COMPARED:
                whole = told.folder / f"whole-{n}.parquet"
                search_periods(source, whole, max_frequency=MAX_FREQUENCY)
                row["equal_to_one_machine"] = first_answers(out, n).equals(pq.read_table(whole))
            rows.append(row)
            print({k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()})
            shutil.rmtree(source)
        sizes = [row["objects"] for row in rows]
        for (small, large), row in zip(pairwise(sizes), rows[1:], strict=True):
            a, b = (first_answers(told.folder / f"out-{n}.hats", small) for n in (small, large))
            row["begins_with_the_smaller"] = a.equals(b)
            print(f"{large:,}: begins with the results of {small:,}: {a.equals(b)}")
    finally:
        shutil.rmtree(told.folder)
    record(
        "scale_memory",
        rows,
        growth=rows[-1]["peak_mb"] / rows[0]["peak_mb"],
        data=f"simulated sines, {N_POINTS} points over {SPAN:g} d, to {MAX_FREQUENCY:g} cycles/d",
    )


if __name__ == "__main__":
    main()

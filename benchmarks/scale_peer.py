"""Periods and features on one Dask worker: ours, and LSDB + nifty-ls + light-curve.

    python benchmarks/scale_peer.py --objects 4000

The peer is what one writes with the three: `map_partitions`, for each light curve nifty-ls on a
grid of the same highest frequency and five samples a peak, and for each partition one call of
light-curve's extractor by its fastest door. Both give a period and the same features, all that
light-curve and astroprep have in common. Ours also reports candidates with probabilities, the
false-alarm probability, and folds the light curves for a network. CPU seconds of the workers are
compared, because the machine may be shared; values are compared on the peer's light curves.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from distributed import Client
from features_speed import BOTH, NAMES, disagreement
from numpy.typing import NDArray
from record import record
from scale_lsdb import MAX_FREQUENCY, N_POINTS, SPAN, make_catalogue, on_workers

from astroprep.clean import FlagBad
from astroprep.features import FeatureExtractor
from astroprep.io import ColumnNames, hats_catalog
from astroprep.period import PeriodSearch
from astroprep.represent import FoldedChannels
from astroprep.scale import PrepareWork, run_on_cluster

STEPS = (
    FlagBad(on_bad="reject"),
    PeriodSearch(max_frequency=MAX_FREQUENCY, on_bad="reject"),
    FeatureExtractor(features=list(NAMES), on_bad="reject"),
    FoldedChannels(on_bad="reject"),
)


def described(frame: Any) -> pd.Series:
    """Period and features of each light curve of a partition."""
    import light_curve as lc
    import nifty_ls

    curves = [
        tuple(np.ascontiguousarray(curve[c], np.float64) for c in ("time", "mag", "mag_err"))
        for curve in (frame["lightcurve"] if len(frame) else ())
    ]
    if not curves:
        return pd.Series([], dtype="str")
    extractor = lc.Extractor(*(feature for _, feature in BOTH))
    features = np.asarray(extractor.many(curves, sorted=True, check=False, n_jobs=1))
    told = []
    for identifier, (time, mag, error), values in zip(frame["id"], curves, features, strict=True):
        step = 1 / (5 * (time[-1] - time[0]))
        n = int(MAX_FREQUENCY / step)
        found = nifty_ls.lombscargle(
            time, mag, error, fmin=step, fmax=MAX_FREQUENCY, Nf=n, nthreads=1
        )
        period = 1 / (step * (1 + int(np.argmax(found.power))))
        told.append(json.dumps([str(identifier), period, *values.tolist()]))
    return pd.Series(told, dtype="str")


def with_peer(catalogue: Path, address: str) -> dict[str, list[float]]:
    """Period and features of each object, by its id."""
    import lsdb

    with Client(address) as client:
        opened = lsdb.open_catalog(catalogue)
        told = opened.map_partitions(described, meta=pd.Series([], dtype="str"))
        parts = client.gather(client.compute(told.to_delayed()))
    rows = [json.loads(text) for part in parts for text in part]
    return {row[0]: row[1:] for row in rows}


def with_ours(catalogue: Path, out: Path, address: str) -> None:
    """Period, features and folded channels of each object."""
    run_on_cluster(PrepareWork.of(STEPS, ColumnNames()), catalogue, out, cluster=address)


def ours_of(out: Path) -> dict[str, list[float]]:
    """What `with_ours` wrote, by id."""
    rows = []
    for path in hats_catalog(out).files:
        with path.open("rb") as file:
            columns = ["id", "period", "features"]
            rows += pq.read_table(file, columns=columns).select(columns).to_pylist()
    return {row["id"]: [row["period"], *row["features"]] for row in rows}


def agreement(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> dict[str, float]:
    """Share of equal periods (within a grid step), and how far features differ."""
    a: NDArray[np.float64] = np.array([ours[key] for key in theirs])
    b: NDArray[np.float64] = np.array(list(theirs.values()))
    same = np.abs(1 / a[:, 0] - 1 / b[:, 0]) < 1 / (5 * SPAN)
    return {
        "same_period": float(same.mean()),
        "features_differ_by": disagreement(a[:, 1:], b[:, 1:]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=4000)
    n = parser.parse_args().objects
    warnings.simplefilter("ignore")
    sizes = {"warm": 300, "peer": max(300, n // 8), "ours": n}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, size in sizes.items():
            make_catalogue(folder / f"{key}.hats", size)
        said: dict[str, list[float]] = {}
        ours = on_workers(
            1,
            lambda a: with_ours(folder / "warm.hats", folder / "w.hats", a),
            lambda a: with_ours(folder / "ours.hats", folder / "o.hats", a),
        )
        peer = on_workers(
            1,
            lambda a: with_peer(folder / "warm.hats", a),
            lambda a: said.update(with_peer(folder / "peer.hats", a)),
        )
        on_workers(
            1,
            lambda _: None,
            lambda a: with_ours(folder / "peer.hats", folder / "same.hats", a),
        )
        close = agreement(ours_of(folder / "same.hats"), said)
    rows = [
        {"what": "astroprep --engine lsdb", "objects": sizes["ours"], **ours},
        {"what": "LSDB + nifty-ls + light-curve", "objects": sizes["peer"], **peer},
    ]
    for row in rows:
        row["per_cpu_second"] = row["objects"] / row["cpu"]
        print(
            f"{row['what']:30} {row['objects']:6} objects  CPU {row['cpu']:7.2f} s  "
            f"{row['per_cpu_second']:6.1f} a CPU s  peak {row['peak_mb']:5.0f} MB"
        )
    times = rows[0]["per_cpu_second"] / rows[1]["per_cpu_second"]
    print(f"{times:.1f} times the light curves a core second; {close}")
    record(
        "scale_peer",
        rows,
        times=times,
        agreement=close,
        n_features=len(NAMES),
        versions={n: version(n) for n in ("lsdb", "nifty-ls", "light-curve", "dask", "numpy")},
        data=f"simulated sines, seed 1, {N_POINTS} points over {SPAN:g} d",
    )


if __name__ == "__main__":
    main()

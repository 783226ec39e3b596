"""How often the period is right, per class, beside the highest peak and nifty-ls.

``python benchmarks/period_found.py --data DATA/`` searches the test split of Catalina Southern
(``crts_south.parquet``; the ranking was fitted on its train split) and the eclipsing stars of
ASAS (``asas_south.parquet``; no part of any fit). A period counts as

- strict: within 1 per cent of the catalogue's;
- cycle-exact: the phase drifts by under a quarter of a cycle over the baseline;
- harmonic: within 1 per cent of P, 2P, P/2, 3P or P/3;
- alias: not harmonic, but a whole number of cycles per day (1 or 2) away from f, 2f or f/2.

nifty-ls takes a seeded subsample, on the same grid, because it takes longer; our rates on
that subsample stand beside it. Intervals are 95 per cent, from 1,000 bootstrap samples of objects.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record
from scipy.spatial import cKDTree

from astroprep.data import LightCurveBatch
from astroprep.period import PeriodSearch
from astroprep.period.grid import GridRule

TOLERANCE = 0.01
CYCLE = 0.25
HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])
ALIASES = np.array([1.0, -1.0, 2.0, -2.0])
SAMPLES = 1000
TWIN = 6.0 / 3600  # degrees; the same star under two ids
MEASURES = ("strict", "cycle_exact", "harmonic", "alias")


def position(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors, shape (n, 3)."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(a) * np.cos(d), np.sin(a) * np.cos(d), np.sin(d)], axis=1)


def wanted(path: Path, survey: str) -> NDArray[np.bool_]:
    """Rows that count: test objects without a twin in train, or eclipsing stars with a period."""
    if survey == "asas_south":
        period = pq.read_table(path, columns=["period"])["period"].to_numpy(zero_copy_only=False)
        return np.asarray(np.isfinite(period.astype(float)) & (period.astype(float) > 0))
    table = pq.read_table(path, columns=["ra", "dec", "split"]).to_pandas()
    where = position(table["ra"].to_numpy(), table["dec"].to_numpy())
    test = (table["split"] == "test").to_numpy()
    train = (table["split"] == "train").to_numpy()
    apart, _ = cKDTree(where[train]).query(where)
    return np.asarray(test & (apart > np.radians(TWIN)))


def curves(path: Path, rows: NDArray[np.bool_]) -> Iterator[tuple[Any, ...]]:
    """Points, id, label and catalogue period of the wanted rows."""
    columns = ["id", "label", "period", "lightcurve"]
    first = 0
    for part in pq.ParquetFile(path).iter_batches(batch_size=2000, columns=columns):
        keep = np.flatnonzero(rows[first : first + part.num_rows])
        first += part.num_rows
        for row in part.take(keep).to_pylist():
            t, v, e = (np.array(row["lightcurve"][k], float) for k in ("time", "mag", "mag_err"))
            good = np.isfinite(t + v + e) & (e > 0) & (t > 0)
            order = np.argsort(t[good], kind="stable")
            yield (
                (t[good][order], v[good][order], e[good][order]),
                row["id"],
                row["label"],
                row["period"],
            )


def read(path: Path, survey: str, limit: int) -> tuple[LightCurveBatch, NDArray[np.object_]]:
    """At most `limit` objects, chosen by seed."""
    rows = wanted(path, survey)
    chosen = np.flatnonzero(rows)
    if chosen.size > limit:
        chosen = np.random.default_rng(0).choice(chosen, limit, replace=False)
    rows = np.zeros(rows.size, bool)
    rows[chosen] = True
    points, ids, label, period = zip(*curves(path, rows), strict=True)
    batch = LightCurveBatch.from_curves(
        list(points), ids=list(ids), objects={"truth": np.array(period, float)}
    )
    return batch, np.array(label, dtype=object)


def judge(
    period: NDArray[np.float64], truth: NDArray[np.float64], baseline: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Which periods are right, by each measure."""
    ratio = period / truth
    harmonic = (np.abs(ratio[:, None] * HARMONICS - 1) < TOLERANCE).any(axis=1)
    f, width = 1 / period, 2 / baseline
    alias = np.zeros(period.size, bool)
    for times in (1.0, 2.0, 0.5):
        for shift in ALIASES:
            for scale in (1.0, 2.0):  # half of the alias is what a doubled period gives
                alias |= np.abs(scale * f - np.abs(times / truth + shift)) < width
    return {
        "strict": np.abs(ratio - 1) < TOLERANCE,
        "cycle_exact": np.abs(1 / period - 1 / truth) * baseline < CYCLE,
        "harmonic": harmonic,
        "alias": alias & ~harmonic,
    }


def interval(right: NDArray[np.bool_]) -> list[float]:
    """95 per cent bootstrap interval of a rate: resampled objects are binomial draws."""
    draws = np.random.default_rng(1).binomial(right.size, right.mean(), SAMPLES) / right.size
    return [round(float(x), 4) for x in np.quantile(draws, [0.025, 0.975])]


def nifty_highest(batch: LightCurveBatch, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """Period of the highest peak of nifty-ls on the grid of `PeriodSearch`."""
    import nifty_ls

    usable = batch.usable
    rule = GridRule()
    found = np.empty(which.size)
    for k, i in enumerate(which):
        part = slice(usable.offsets[i], usable.offsets[i + 1])
        t, v, e = usable.time[part], usable.value[part], usable.error[part]
        grid = rule.grid(t)
        power = nifty_ls.lombscargle(
            t, v, e, fmin=grid.start, fmax=grid.stop, Nf=grid.size, nthreads=1
        ).power
        found[k] = 1 / grid.frequencies[int(np.argmax(power))]
    return found


def rates(
    survey: str,
    subset: str,
    label: NDArray[np.object_],
    judged: dict[str, dict[str, NDArray[np.bool_]]],
) -> list[dict[str, Any]]:
    """One row per class: every measure of every method, with its interval."""
    rows = []
    for name in ["all", *np.unique(label)]:
        which = np.full(label.size, True) if name == "all" else label == name
        row: dict[str, Any] = {
            "survey": survey,
            "subset": subset,
            "label": name,
            "objects": int(which.sum()),
        }
        words = []
        for method, measures in judged.items():
            for measure in MEASURES:
                right = measures[measure][which]
                row[f"{method}_{measure}"] = round(float(right.mean()), 4)
                row[f"{method}_{measure}_interval"] = interval(right)
            words.append(
                f"{method} " + " ".join(f"{m} {row[f'{method}_{m}']:.3f}" for m in MEASURES)
            )
        if "ranked" in judged and "highest" in judged:
            row["worse"] = [
                m
                for m in ("strict", "harmonic")
                if row[f"ranked_{m}"] < row[f"highest_{m}_interval"][0]
            ]
            words.append(f"worse {row['worse']}")
        rows.append(row)
        print(f"{survey} {subset} {name} {row['objects']}: " + "; ".join(words), flush=True)
    return rows


def main() -> None:
    """Search, judge, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the Parquet files")
    parser.add_argument("--surveys", nargs="+", default=["crts_south", "asas_south"])
    parser.add_argument("--limit", type=int, default=100_000, help="objects per survey")
    parser.add_argument("--nifty", type=int, default=1500, help="objects that nifty-ls takes")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    for survey in args.surveys:
        batch, label = read(args.data / f"{survey}.parquet", survey, args.limit)
        step = PeriodSearch(jobs=args.jobs, on_bad="reject")
        step.transform(batch[:2])  # compiles
        begin = time.perf_counter()
        found = step.transform(batch)
        seconds = time.perf_counter() - begin
        label = label[found.objects["row"]]
        usable = found.usable
        baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
        truth = found.objects["truth"]
        methods = {"ranked": found.objects["period"], "highest": found.objects["period_highest"]}
        judged = {name: judge(period, truth, baseline) for name, period in methods.items()}
        mine = rates(survey, "all", label, judged)
        mine[0] |= {
            "ms_per_curve": round(seconds / len(batch) * 1e3, 3),
            "rejected": len(found.rejected),
        }
        status, count = np.unique(found.objects["period_status"].astype(str), return_counts=True)
        for one, how_many in zip(status, count, strict=True):
            which = found.objects["period_status"] == one
            mine[0][f"status_{one}"] = {
                "objects": int(how_many),
                "harmonic": round(float(judged["ranked"]["harmonic"][which].mean()), 4),
            }
        print(f"{survey}: {mine[0]['ms_per_curve']} ms per curve", mine[0]["rejected"], "rejected")
        rows += mine
        some = np.random.default_rng(2).permutation(len(found))[: args.nifty]
        if some.size:
            begin = time.perf_counter()
            period = nifty_highest(found, some)
            ms = (time.perf_counter() - begin) / some.size * 1e3
            part = {
                name: {m: x[some] for m, x in measures.items()} for name, measures in judged.items()
            }
            part["nifty_ls"] = judge(period, truth[some], baseline[some])
            peers = rates(survey, "nifty_ls", label[some], part)
            peers[0]["nifty_ls_ms_per_curve"] = round(ms, 3)
            rows += peers
    record("period_found", rows, args.out, jobs=args.jobs)


if __name__ == "__main__":
    main()

"""Flat survey tables into light curves: rows a second, against pandas and nested-pandas.

    python benchmarks/schema_apply.py --rows 2000000

A table like that of ZTF's light curves, its rows shuffled, becomes a batch (units, sentinels,
bands, flags, position) and, by the peers, columns of lists per object (nothing else). The light
curves are compared number by number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from record import record

from astroprep.surveys import load_schema


def table(n_rows: int, per_object: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of one survey in no order."""
    oid = rng.permutation(np.arange(n_rows) // per_object) + 686103400000000
    return pd.DataFrame(
        {
            "oid": oid,
            "hjd": rng.uniform(2458200, 2459900, n_rows),
            "mag": rng.normal(18, 1, n_rows),
            "magerr": rng.uniform(0.01, 0.1, n_rows),
            "catflags": rng.choice([0, 32768], n_rows, p=[0.95, 0.05]),
            "filtercode": rng.choice(["zg", "zr"], n_rows),
            "ra": (oid % 360).astype(float),
            "dec": (oid % 90).astype(float),
        }
    )


def timed(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Best time of several, seconds, and the result."""
    best, result = np.inf, None
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    """Measure and write ``results/schema_apply.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--per-object", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="write the result there")
    settings = parser.parse_args()
    frame = table(settings.rows, settings.per_object, np.random.default_rng(settings.seed))
    schema = load_schema("ztf")
    schema.apply(frame.head(1000))  # compiles
    ours, batch = timed(lambda: schema.apply(frame), settings.repeat)
    lists = ["hjd", "mag", "magerr", "catflags", "filtercode"]
    theirs, grouped = timed(
        lambda: frame.groupby("oid", sort=False)[lists].agg(list), settings.repeat
    )
    results: dict[str, Any] = {
        "rows": settings.rows,
        "objects": len(batch),
        "rows_per_second": settings.rows / ours,
        "seconds": ours,
        "pandas_groupby_seconds": theirs,
        "ratio_pandas": theirs / ours,
    }
    same = np.concatenate(grouped["mag"].to_numpy())
    results["equal_to_pandas"] = bool(np.array_equal(same, batch.value))
    try:
        from nested_pandas import NestedFrame
    except ImportError:
        print("nested-pandas is not installed: not compared")
    else:
        flat = frame.set_index("oid")
        nested_time, nested = timed(
            lambda: NestedFrame.from_flat(flat, base_columns=["ra", "dec"], name="lc"),
            settings.repeat,
        )
        mag = nested["lc"].loc[batch.ids[:100].astype(np.int64)].nest["mag"].to_numpy()
        results |= {
            "nested_pandas_seconds": nested_time,
            "ratio_nested_pandas": nested_time / ours,
            "equal_to_nested_pandas": bool(
                np.array_equal(np.sort(mag), np.sort(batch[:100].value))
            ),
        }
    for name, value in results.items():
        print(f"{name:24} {value}")
    print(record("schema_apply", [results], settings.out, seed=settings.seed))


if __name__ == "__main__":
    main()

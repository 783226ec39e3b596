"""What changing the light curves from epoch to epoch brings the micro network.

    python benchmarks/classify_augment.py --data DATA/ --cache FOLDER/ [--seeds 3] [--only noise]

Split, periods, classes and inputs of `classify_crts.py`. One kind of change at a time, then all of
them; the same initial weights and order of stars for the same seed. Judged on the validation stars
alone, which also chose the epoch: differences are for choosing, not for quoting. The folds change,
the features of a star do not.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from classify_crts import FIT, LAYOUT, POINTS, Stars
from record import record

from astroprep.model.firenet import build_network
from astroprep.model.refold import AugmentSettings, Refold
from astroprep.model.train import fit_network

EPOCHS = 20
QUIET = {"subsample": 1.0, "window": 0.0, "noise": 0.0}
KINDS: dict[str, AugmentSettings | None] = {
    "none": None,
    "sub-sampling": AugmentSettings(**QUIET | {"subsample": 0.5}),
    "random length": AugmentSettings(**QUIET | {"subsample": 0.5, "window": 1.0}),
    "noise within errors": AugmentSettings(**QUIET | {"noise": 1.0}),
    "bootstrap": AugmentSettings(**QUIET, bootstrap=1.0),
    "process minorities": AugmentSettings(**QUIET, process=0.5),
    "all": AugmentSettings(bootstrap=0.25, process=0.5),
}
KEYS = ("validation_loss", "validation_balanced_accuracy", "validation_macro_f1")


def refold(stars: Stars, settings: AugmentSettings) -> Refold:
    """Training stars, then validation stars, as `Stars.arrays` has them."""
    rows = np.concatenate([stars.learn, stars.check])
    offsets = stars.curves["offsets"]
    count = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(count)])
    points = np.arange(ends[-1]) + np.repeat(offsets[rows] - ends[:-1], count)
    columns = {name: stars.curves[name][points] for name in POINTS if name != "offsets"}
    period = np.ascontiguousarray(stars.curves["period"][rows, None])
    label = stars.code[rows].astype(np.int64)
    return Refold(
        **columns, offsets=ends, period=period, label=label, sign=-1.0, layout=LAYOUT,
        settings=settings,
    )  # fmt: skip


def measure(stars: Stars, kind: str, seed: int) -> dict[str, Any]:
    """Train one network; the measures of the epoch that was kept."""
    settings, arrays = KINDS[kind], stars.arrays()
    augment = None
    if settings is not None:
        augment = refold(stars, replace(settings, seed=seed))
        few = np.arange(64)
        if not np.array_equal(augment.plain(few), arrays.folded[few]):
            raise SystemExit("unchanged curves must fold as the network's inputs were folded")
    net = build_network(stars.spec("micro"), seed)
    begin = time.process_time()
    history = fit_network(net, arrays, replace(FIT, max_epochs=EPOCHS, seed=seed), augment=augment)
    spent = time.process_time() - begin
    best = history.epochs[history.best_epoch]
    facts = {"epochs": len(history.epochs), "best_epoch": history.best_epoch + 1}
    return {
        "kind": kind, "seed": seed, **{k: best[k] for k in KEYS}, "cpu_seconds": spent, **facts,
        "settings": None if settings is None else asdict(replace(settings, seed=seed)),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Mean over seeds, and the paired difference from curves as they are."""
    made = {row["seed"]: row for row in rows if row["kind"] == kind}
    plain = {row["seed"]: row for row in rows if row["kind"] == "none"}
    result: dict[str, Any] = {"kind": kind, "seeds": sorted(made)}
    for key in KEYS:
        values = [row[key] for row in made.values()]
        change = [row[key] - plain[seed][key] for seed, row in made.items() if seed in plain]
        result[key] = mean(values)
        result[f"{key}_change"] = mean(change)
        result[f"{key}_change_spread"] = stdev(change) if len(change) > 1 else None
    return result


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = cache(lambda: Stars(given.data, given.cache))
    rows = []
    kinds = list(dict.fromkeys(["none", *given.only.split(",")]))
    for seed in range(1, given.seeds + 1):
        for kind in kinds:
            path = given.cache / f"augment_{kind.replace(' ', '_')}_{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(measure(stars(), kind, seed)))
            rows.append(json.loads(path.read_text()))
            print(rows[-1], flush=True)
    table = [summary(rows, kind) for kind in kinds]
    for row in table:
        told = [f"{key[11:]} {row[key]:.4f} ({row[f'{key}_change']:+.4f})" for key in KEYS]
        print(f"{row['kind']:20} {'  '.join(told)}")
    path = record(
        "classify_augment",
        table,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        runs=rows,
    )
    print(path)


if __name__ == "__main__":
    main()

"""The cyclic networks of Zhang & Bloom 2021 on the Catalina South variables.

    python benchmarks/classify_cyclic.py --data DATA/ --cache FOLDER/ [--seeds 3] [--only iTCN]

iTCN and iResNet (arXiv:2011.01243), rebuilt in `cyclic_baselines.py`, on the split, periods and
classes of `classify_crts.py`. They weigh all stars alike, as published. Validation stars end the
training (so many epochs without a lower loss, or the last one) and choose the epoch that is kept;
the test stars are predicted once for each network and seed.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import cyclic_baselines
import numpy as np
import torch
from classify_crts import Stars
from record import record

from astroprep.model.evaluate import balanced_accuracy

KINDS = ("iResNet", "iTCN")


def measure(stars: Stars, kind: str, epochs: int, patience: int, seed: int) -> dict[str, Any]:
    """Train and score one network."""
    begin = time.process_time()
    code, n_classes = stars.code.astype(np.int64), len(stars.classes)
    net, (middle, scale), losses = cyclic_baselines.train(
        kind, stars.curves, code, stars.learn, stars.check, n_classes,
        epochs=epochs, seed=seed, patience=patience,
    )  # fmt: skip
    spent = time.process_time() - begin
    logits = []
    for rows in (stars.check, stars.test):
        x, a = cyclic_baselines.sequences(stars.curves, rows, seed)
        logits.append(cyclic_baselines.logits_of(net, x, (a - middle) / scale).numpy())
    said = stars.classes[logits[0].argmax(axis=1)]
    return {
        "model": kind,
        "seed": seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "epochs": len(losses),
        "best_epoch": int(np.argmin(losses)) + 1,
        "cpu_seconds": spent,
        "validation_loss": min(losses),
        "validation_balanced_accuracy": balanced_accuracy(
            stars.classes[stars.code[stars.check]], said, stars.classes
        ),
        **stars.scores(logits[0], logits[1], 0.0),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = cache(lambda: Stars(given.data, given.cache))
    rows = []
    for seed in range(1, given.seeds + 1):
        for kind in given.only.split(","):
            path = given.cache / f"cyclic_{kind}_{seed}_{given.epochs}_{given.patience}.json"
            if not path.exists():
                row = measure(stars(), kind, given.epochs, given.patience, seed)
                path.write_text(json.dumps(row))
            rows.append(json.loads(path.read_text()))
            print(rows[-1], flush=True)
    for kind in given.only.split(","):
        for key in ("accuracy", "balanced_accuracy", "macro_f1"):
            values = [row[key] for row in rows if row["model"] == kind]
            spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
            print(f"{kind:8} {key:18} {mean(values):.4f}{spread}")
    path = record(
        "classify_cyclic",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="iTCN and iResNet (Zhang & Bloom 2021) rebuilt",
    )
    print(path)


if __name__ == "__main__":
    main()

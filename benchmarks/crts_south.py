"""The main job on the Catalina South variables: accuracy, bytes, time and memory.

    python benchmarks/crts_south.py --data DATA/ --out-dir FOLDER/

Runs `astroprep run pipelines/periodic_variables.toml` on the published split, once searching the
periods and once with those of the catalogue, then `astroprep classify` on the same file, and
prints the measures beside those of scikit-learn's random forest on the same features.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from record import record
from sklearn.ensemble import RandomForestClassifier

from astroprep.model.evaluate import evaluate

ROOT = Path(__file__).parents[1]


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; give its wall seconds and its peak memory in GiB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 2**20


def one(data: Path, folder: Path, period_column: str | None) -> dict[str, Any]:
    """Run and classify one way of finding periods."""
    astroprep = [sys.executable, "-m", "astroprep.cli"]
    survey = data / "crts_south.parquet"
    recipe = ROOT / "pipelines" / "periodic_variables.toml"
    option = ["--period-column", period_column] if period_column else []
    run = ["run", str(recipe), "--input", str(survey), "--out", str(folder), "--restart", *option]
    seconds, memory = measured([*astroprep, *run])
    again = folder / "again.parquet"
    classify = ["classify", str(folder / "bundle.apz"), str(survey), "--out", str(again), *option]
    classify_seconds, classify_memory = measured([*astroprep, *classify])
    first, second = (pq.read_table(p).to_pandas() for p in (folder / "predictions.parquet", again))
    columns = [name for name in first.columns if name.startswith("prob_")]
    metrics = json.loads((folder / "metrics.json").read_text())
    row = {
        "periods": "catalogue" if period_column else "searched",
        **{
            f"{network}_{name}": metrics[network][name]
            for network in ("uncompressed", "compressed")
            for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece", "bytes")
        },
        "parameters": metrics["compressed"]["parameters"],
        "bundle_bytes": metrics["compressed"]["bundle_bytes"],
        "ratio": metrics["uncompressed"]["bytes"] / metrics["compressed"]["bytes"],
        "compression": metrics["compression"],
        "counts": metrics["counts"],
        "n_test": metrics["compressed"]["n_test"],
        "minutes": seconds / 60,
        "stage_seconds": metrics["seconds"],
        "memory_gib": memory,
        "classify_minutes": classify_seconds / 60,
        "classify_memory_gib": classify_memory,
        "classify_same_predictions": bool(first["predicted"].equals(second["predicted"])),
        "classify_largest_difference": float(
            np.nanmax(np.abs(first[columns].to_numpy() - second[columns].to_numpy()))
        ),
        "per_class_recall": {
            name: value["recall"] for name, value in metrics["compressed"]["per_class"].items()
        },
    }
    row |= forest(data, folder)
    theirs = [row[f"forest_{key}"] for key in ("accuracy", "balanced_accuracy", "macro_f1")]
    print(
        f"{row['periods']:10} {'random forest':13} accuracy {theirs[0]:.4f}  "
        f"balanced {theirs[1]:.4f}  macro F1 {theirs[2]:.4f}"
    )
    for name in ("uncompressed", "compressed"):
        mine = [row[f"{name}_{key}"] for key in ("accuracy", "balanced_accuracy", "macro_f1")]
        ratios = ", ".join(f"{a / b:.3f}" for a, b in zip(mine, theirs, strict=True))
        print(
            f"{row['periods']:10} {name:13} accuracy {mine[0]:.4f}  balanced {mine[1]:.4f}  "
            f"macro F1 {mine[2]:.4f}  (ratio to the forest {ratios})  "
            f"{row[f'{name}_bytes']:,} bytes"
        )
    print(
        f"{row['periods']:10} {row['ratio']:.1f} times smaller, balanced accuracy "
        f"{row['compression']['difference']:+.4f} "
        f"[{row['compression']['low']:+.4f}, {row['compression']['high']:+.4f}], "
        f"{row['minutes']:.1f} min, {row['memory_gib']:.2f} GiB, {row['counts']}; classify: "
        f"same labels {row['classify_same_predictions']}, "
        f"probabilities within {row['classify_largest_difference']:.1e}"
    )
    return row


def forest(data: Path, folder: Path) -> dict[str, Any]:
    """Scikit-learn's random forest on the features that the run wrote, same objects learned."""
    features = pq.read_table(folder / "features.parquet").to_pandas().set_index("row")
    catalogue = pq.read_table(data / "crts_south.parquet", columns=["label", "split"]).to_pandas()
    columns = features.columns.difference(["id", "period"], sort=False)
    about = catalogue.loc[features.index]
    train = (about["split"] == "train").to_numpy()
    X = features[columns].to_numpy(np.float32)
    model = RandomForestClassifier(
        500, min_samples_leaf=2, class_weight="balanced_subsample", n_jobs=-1, random_state=1
    ).fit(X[train], about["label"][train])
    classes = sorted(set(about["label"][train]))
    test = catalogue["split"] == "test"
    predicted = pd.Series("", index=catalogue.index)
    predicted[features.index] = model.predict(X)
    scores = evaluate(catalogue["label"][test], predicted[test], classes)
    return {f"forest_{n}": scores[n] for n in ("accuracy", "balanced_accuracy", "macro_f1")}


def main() -> None:
    """Measure both ways of finding periods, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the two runs")
    parser.add_argument("--periods", choices=["searched", "catalogue", "both"], default="both")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    arguments = parser.parse_args()
    columns = {"searched": None, "catalogue": "period"}
    chosen = columns if arguments.periods == "both" else [arguments.periods]
    rows = [one(arguments.data, arguments.out_dir / name, columns[name]) for name in chosen]
    path = record(
        "crts_south",
        rows,
        arguments.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="scikit-learn RandomForestClassifier on the same features",
    )
    print(path)


if __name__ == "__main__":
    main()

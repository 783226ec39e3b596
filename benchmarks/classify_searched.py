"""What searching the period costs the network, Catalina South.

    python benchmarks/classify_searched.py --data DATA/ --cache FOLDER/ [--seeds 3]

The `micro` network of `classify_crts.py`, published split, but periods of our own search and the
features of the shipped recipe, those of the search included. The figures with the catalogue's
period are read from `results/classify_crts.json` (model "hard", all its features).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

import torch
from record import RESULTS, record
from survey_stars import MEASURES, SurveyStars, say

RULES = {"weighted": "", "train": "_train_shares", "estimated": "_estimated"}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = SurveyStars("crts_south", given.data, given.cache)
    rows = []
    for seed in range(1, given.seeds + 1):
        net = stars.learned(seed, given.cache)
        check, test = (stars.logits(net, stars, side) for side in (stars.check, stars.test))
        rows.append({"model": "micro", "seed": seed, **stars.scores(check, test)})
    say("searched", rows, tuple(RULES))
    stored = json.loads((RESULTS / "classify_crts.json").read_text())["rows"]
    known = [row for row in stored if row["model"] == "hard"]
    loss = {
        f"{key}_{rule}": mean(row[f"{key}_{rule}"] for row in rows)
        - mean(row[key + suffix] for row in known)
        for rule, suffix in RULES.items()
        for key in MEASURES
    }
    print(
        "minus those of the catalogue's periods: "
        + ", ".join(f"{k} {v:+.4f}" for k, v in loss.items())
    )
    print(
        record(
            "classify_searched",
            rows,
            given.out,
            minus_catalogue=loss,
            data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020, "
            "searched periods",
            peer="the same network with the catalogue's period (results/classify_crts.json)",
        )
    )


if __name__ == "__main__":
    main()

"""A flat network beside the hierarchy of Hosenie et al. 2020, level by level.

    python benchmarks/classify_levels.py --data DATA/ --cache FOLDER/ [--seeds 5]

Catalina South, their split, the catalogue's period. Their forests decide each level among the stars
that truly belong to the parent, and give balanced accuracy. The `micro` network of 11 classes is
scored alike: probabilities under equal shares are summed to the nodes of the level and compared
within the true parent only. Such a score hides what the levels above get wrong, so balanced
accuracy of the same level end to end stands beside it. Equal shares are what balanced accuracy asks
for; nothing is chosen on test stars. Networks learn as "hard" in `classify_crts.py`. Beside the
network a random forest on the same features, as teachers have it, and the geometric mean of both.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from classify_crts import FIT, Stars, calibrated, trained_once
from classify_honest import HOSENIE
from numpy.typing import NDArray
from record import record

from astroprep.model.calibrate import correct_priors
from astroprep.model.members import fit_member
from astroprep.model.taxonomy import Taxonomy, evaluate_levels
from astroprep.model.teachers import join_members
from astroprep.model.train import predict_logits

PUBLISHED = {
    frozenset(("eclipsing", "rotational", "pulsating")): 0.775,
    frozenset(("EA_detached", "EW_EB_contact_semidetached")): 0.940,
    frozenset(("RR Lyrae", "Cepheid", "LPV", "delta-Scuti")): 0.978,
    frozenset(("RRab", "RRc", "RRd", "Blazhko")): 0.709,
    frozenset(("ACEP", "Cep-II")): 0.913,
}


MODELS = ("micro network", "random forest", "network and forest")


def probabilities(stars: Stars, cache: Path, seed: int) -> list[NDArray[np.float64]]:
    """Calibrated probabilities of the test stars under equal shares, for each model."""
    n_classes, arrays = len(stars.classes), stars.arrays()
    net = trained_once(cache / f"levels_micro_{seed}.pt", stars.spec("micro"), arrays, seed)
    fit = replace(FIT, seed=seed)
    learn = np.flatnonzero(~arrays.is_validation)
    forest = fit_member("forest", arrays, learn, n_classes, fit)
    shares = []
    for predict in (lambda *x: predict_logits(net, *x), forest):
        said = [predict(stars.folded[k], stars.auxiliary[k]) for k in (stars.check, stars.test)]
        p, learned = calibrated(stars, said[0], said[1])
        shares.append(correct_priors(p, learned, np.full(n_classes, 1 / n_classes)))
    both = join_members(np.log(np.maximum(shares, 1e-7)), np.array([0.5, 0.5]))
    return [*shares, both.astype(np.float64)]


def levels(stars: Stars, p: NDArray[np.float64], model: str, seed: int) -> list[dict[str, Any]]:
    """Balanced accuracy of each decision, within the true parent and end to end."""
    tree = Taxonomy.from_table(HOSENIE).of(stars.classes.tolist())
    rows = []
    for level in evaluate_levels(stars.curves["label"][stars.test], p, tree):
        recall = level["end_to_end"]["per_class"]
        for within in level["within"]:
            nodes = tuple(within["nodes"])
            rows.append(
                {
                    "model": model,
                    "seed": seed,
                    "level": level["level"],
                    **within,
                    "end_to_end": mean(recall[node]["recall"] for node in nodes),
                    "published": PUBLISHED.get(frozenset(nodes)),
                }
            )
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = Stars(given.data, given.cache)
    rows: list[dict[str, Any]] = []
    for seed in range(1, given.seeds + 1):
        for model, p in zip(MODELS, probabilities(stars, given.cache, seed), strict=True):
            rows += levels(stars, p, model, seed)
    for model, nodes in dict.fromkeys((row["model"], tuple(row["nodes"])) for row in rows):
        mine = [r for r in rows if (r["model"], tuple(r["nodes"])) == (model, nodes)]
        said = []
        for key in ("balanced_accuracy", "end_to_end"):
            values = [row[key] for row in mine]
            said.append(f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0:.3f}")
        print(
            f"{model}, {' / '.join(nodes)}: within {said[0]}, end to end {said[1]}, "
            f"published within {mine[0]['published']} ({len(mine)} seeds, {mine[0]['n']} stars)"
        )
    print(
        record(
            "classify_levels",
            rows,
            given.out,
            data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020, "
            "catalogue periods",
            peer="hierarchical random forest of Hosenie et al. 2020, doi:10.1093/mnras/staa642, "
            "as published",
        )
    )


if __name__ == "__main__":
    main()

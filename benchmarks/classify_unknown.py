"""Unknown objects on Catalina South: junk, and classes that no network had seen.

    python benchmarks/classify_unknown.py --data DATA/ --cache FOLDER/ [--seeds 1 2]

A micro network for each group of classes that is left out, trained on the other classes; the area
under the ROC curve says how well a score tells the stars of that group from those of the learned
classes. The parts of the score and their sum were chosen on validation stars of the same groups
and the same kinds of junk, among some two hundred combinations (densities in 8 to 53 auxiliaries,
discriminants, logits; entropy, energy, pooled Mahalanobis distance); test stars are only measured.
Peers: scikit-learn's isolation forest on the same auxiliaries and a plain softmax threshold. The
upper limit is supervised: boosted trees that learned the left-out class against the rest.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from honest_data import JUNK, LEFT_OUT, Learned, learned
from numpy.typing import NDArray
from record import record
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.metrics import roc_auc_score

from astroprep.deploy.plain import to_json
from astroprep.model.calibrate import softmax
from astroprep.model.unknown import METHODS, UnknownScore

Way = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]


def fitted(one: Learned, method: Any) -> UnknownScore:
    """The score of a network, as `astroprep run` fits it."""
    train, check = (one.known & (one.role == side) for side in ("train", "validation"))
    return UnknownScore.fit(
        one.auxiliary[train],
        one.code(train),
        one.logits[check],
        one.auxiliary[check],
        n_classes=len(one.classes),
        method=method,
    )


def unknown(one: Learned, name: str, out: tuple[str, ...]) -> list[dict[str, Any]]:
    """AUROC of each score against junk, or against the classes that were left out."""
    train = one.known & (one.role == "train")
    scores = {method: fitted(one, method) for method in METHODS}
    forest = IsolationForest(n_estimators=300, max_samples=512, random_state=0).fit(
        one.auxiliary[train]
    )
    ways: dict[str, Way] = {
        **{method: made.score for method, made in scores.items()},
        "softmax": lambda z, a: -softmax(z).max(axis=1),
        "isolation forest": lambda z, a: -forest.score_samples(a),
    }
    if out:
        ways["supervised"] = oracle(one, out).score
    rows = []
    for side in ("validation", "test"):
        known = one.known & (one.role == side)
        if out:
            rest = np.isin(one.label, out) & (one.role == side)
            others = {f"class left out: {name}": (one.logits[rest], one.auxiliary[rest])}
        else:
            others = {k: one.junk[f"{side} {k}"] for k in JUNK if f"{side} {k}" in one.junk}
        for method, way in ways.items():
            mine = way(one.logits[known], one.auxiliary[known])
            rows += [
                _row(side, method, other, mine, way(*theirs), scores.get(method))
                for other, theirs in others.items()
            ]
    return rows


def _row(
    side: str,
    method: str,
    other: str,
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    made: UnknownScore | None,
) -> dict[str, Any]:
    """How well one score tells known objects from others."""
    is_other = np.repeat([0, 1], [mine.size, theirs.size])
    row = {
        "what": "unknown",
        "side": side,
        "method": method,
        "against": other,
        "auroc": float(roc_auc_score(is_other, np.concatenate([mine, theirs]))),
        "false_unknown_rate": None if made is None else float(made.is_unknown(mine).mean()),
        "called_unknown": None if made is None else float(made.is_unknown(theirs).mean()),
    }
    print(f"unknown, {side:10} {method:16} {other:40} AUROC {row['auroc']:.3f}", flush=True)
    return row


@dataclass
class Oracle:
    """What one could know who has labels of the class that was left out: an upper limit."""

    model: HistGradientBoostingClassifier

    def score(self, logits: NDArray[Any], auxiliary: NDArray[Any]) -> NDArray[np.float64]:
        """Probability of the class that was left out."""
        return np.asarray(self.model.predict_proba(auxiliary)[:, 1])


def oracle(one: Learned, out: tuple[str, ...]) -> Oracle:
    """Boosted trees that learned the class that was left out against the rest."""
    train = one.role == "train"
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, l2_regularization=1.0, max_leaf_nodes=15, random_state=0
    )
    return Oracle(model.fit(one.auxiliary[train], np.isin(one.label[train], out)))


def size(one: Learned) -> dict[str, Any]:
    """Bytes that the score takes in a bundle, deflated as there."""
    content = to_json(fitted(one, "combined").to_state(), "unknown")
    row = {"what": "size", "classes": len(one.classes), "bytes": len(zlib.compress(content, 9))}
    print(f"{row['bytes']} bytes for {row['classes']} classes")
    return row


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is prepared")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for name, out in LEFT_OUT.items():
            one = learned(given.data, given.cache, name, seed)
            found = unknown(one, name, out)
            rows += [{"seed": seed, **row} for row in (found if out else [*found, size(one)])]
    path = record(
        "unknown",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020, searched "
        "periods, preset micro, one training for each seed and group that is left out",
        seeds=given.seeds,
        peer="scikit-learn IsolationForest; a threshold on the plain softmax",
    )
    print(path)


if __name__ == "__main__":
    main()

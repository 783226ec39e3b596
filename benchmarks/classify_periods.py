"""What searching the period costs the network, and what the catalogue's gives away, Catalina South.

    python benchmarks/classify_periods.py --data DATA/ --cache FOLDER/ [--seeds 3] [--only searched]

The `micro` network, training and published split of `classify_crts.py`; only the period differs.
With the same 107 features at it and folds at it and twice it:

- ``catalogue``: as published;
- ``octave``: as published, but at half or twice that where our search says so;
- ``searched``: of our own search;
- ``catalogue_sine``, ``searched_sine``: halved where a sine of half the period explains more.

Then, of our own search with what it says of itself beside the features:

- ``octaves``: features at half the period and twice it too, and folds at all three;
- ``candidates``: folds at the two most probable other candidates too.

Networks that learned from ``catalogue`` and ``octave`` are also judged by ``searched`` stars.
The first table says how often the catalogue's period is twice that of the strongest sine. Under
each input stands how often stars of a right or wrong searched period get the right class (first
seed). The search's ranking was itself fitted on training stars of this survey.
"""

from __future__ import annotations

import argparse
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from classify_crts import FEATURE_NAMES, FIT, POINTS, Stars, trained_once
from numpy.typing import NDArray
from periods_data import (
    factor_of,
    features_at,
    is_twice_the_sine,
    period_of,
    prepared,
    said_by_search,
)
from record import record

from astroprep.model.calibrate import softmax
from astroprep.model.firenet import build_network, count_parameters
from astroprep.model.train import class_weights, predict_logits
from astroprep.pipeline.recipe import SplitTable
from astroprep.pipeline.split import assign_roles
from astroprep.represent import AuxiliaryScale, FoldLayout

INPUTS = (
    "catalogue", "octave", "searched", "catalogue_sine", "searched_sine", "octaves", "candidates",
)  # fmt: skip
RULES = ("", "_train_shares", "_estimated")
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")
GAPS = {  # what is compared with what
    "searched": ("catalogue", "octave"),
    "octave": ("catalogue",),
    "catalogue_sine": ("catalogue",),
    "searched_sine": ("catalogue_sine",),
    "octaves": ("catalogue",),
    "candidates": ("catalogue",),
    "catalogue, searched": ("searched",),
    "octave, searched": ("searched",),
}


class StarsAt(Stars):
    """Inputs, roles and labels, with one of the `INPUTS`."""

    def __init__(self, stars: dict[str, NDArray[Any]], inputs: str) -> None:
        texts = {k: stars[k].astype(object) for k in ("id", "label", "split")}
        roles = assign_roles(
            {**texts, "ra": stars["ra"], "dec": stars["dec"]}, SplitTable(), 1, given=True
        )
        self.curves, self.role, self.classes = stars, roles.role, np.array(roles.classes)
        self.learn, self.check, self.test = (
            np.flatnonzero(roles.role == name) for name in ("train", "validation", "test")
        )
        self.code = np.searchsorted(self.classes, stars["label"]).clip(0, len(self.classes) - 1)
        self.count = np.bincount(self.code[self.learn])
        self.inputs = inputs

    @cached_property
    def period(self) -> NDArray[np.float64]:
        """What features and folds are made at, days."""
        return period_of(self.curves, self.inputs)

    @cached_property
    def folded(self) -> NDArray[np.float32]:
        """Folds of all stars."""
        curves, periods = self.curves, [self.period[:, None]]
        if self.inputs == "candidates":
            periods.append(np.where(curves["other_probability"] > 0, curves["other"], 0.0))
        multiples = (0.5, 1.0, 2.0) if self.inputs == "octaves" else (1.0, 2.0)
        epoch = curves["time"][curves["offsets"][:-1]]
        return FoldLayout(multiples=multiples).fold(
            *(curves[k] for k in POINTS), epoch, np.hstack(periods), -1.0
        )

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """Features of all stars."""
        multiples = (1.0, 0.5, 2.0) if self.inputs == "octaves" else (1.0,)
        columns = [features_at(self.curves, self.period * m, FEATURE_NAMES) for m in multiples]
        if self.inputs in ("octaves", "candidates"):
            columns.append(said_by_search(self.curves))
        return np.hstack(columns)

    @cached_property
    def scale(self) -> AuxiliaryScale:
        """Of the features of training stars."""
        return AuxiliaryScale.fit(self.features[self.learn])

    @cached_property
    def auxiliary(self) -> NDArray[np.float32]:
        """Scaled features."""
        return self.scale.apply(self.features)

    def logits(self, judged: StarsAt, seed: int, cache: Path) -> tuple[NDArray[np.float32], int]:
        """What a network of these stars says of all stars at another's periods, and its parameters.

        Made once.
        """
        path = cache / f"periods_{self.inputs}_{judged.inputs}_{seed}.npz"
        if not path.exists():
            kept = cache / f"periods_{self.inputs}_{seed}.pt"
            net = trained_once(kept, self.spec("micro"), self.arrays(), seed)
            made = predict_logits(net, judged.folded, self.scale.apply(judged.features))
            parameters = count_parameters(build_network(self.spec("micro")))
            np.savez(path, logits=made, parameters=parameters)
        stored = np.load(path)
        return stored["logits"], int(stored["parameters"])

    def validation(self, logits: NDArray[Any]) -> dict[str, float]:
        """What inputs are chosen by: cross-entropy of the validation stars."""
        p, truth = softmax(logits[self.check]), self.code[self.check]
        loss = -np.log(p[np.arange(len(p)), truth])
        weight = class_weights(self.code[self.learn], self.classes.size, FIT.class_power)[truth]
        return {
            "validation_loss": float(loss.mean()),
            "validation_loss_weighted": float(np.average(loss, weights=weight)),
        }


def octave_of_classes(stars: StarsAt) -> dict[str, float]:
    """Share of each class whose catalogue period is twice that of the strongest sine."""
    twice = is_twice_the_sine(stars.curves, stars.curves["catalogue_period"])
    learned = np.concatenate([stars.learn, stars.check])
    return {
        str(name): float(twice[learned[stars.code[learned] == k]].mean())
        for k, name in enumerate(stars.classes)
    }


def by_period(stars: StarsAt, logits: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Share of the test stars of each kind of searched period, and of right classes among them."""
    right = softmax(logits[stars.test]).argmax(axis=1) == stars.code[stars.test]
    factor = factor_of(stars.curves)[stars.test]
    return {
        kind: {
            "share": float((factor == kind).mean()),
            "accuracy": float(right[factor == kind].mean()),
        }
        for kind in np.unique(factor).tolist()
    }


def spread(rows: list[dict[str, Any]], key: str) -> str:
    """Mean and standard deviation over seeds."""
    values = [row[key] for row in rows]
    return f"{mean(values):.4f} ± {stdev(values) if len(values) > 1 else 0.0:.4f}"


def measured(learned: StarsAt, judged: StarsAt, given: Any) -> list[dict[str, Any]]:
    """Networks of all seeds that learned from and are judged by some of the `INPUTS`."""
    rows = []
    for seed in range(1, given.seeds + 1):
        logits, parameters = learned.logits(judged, seed, given.cache)
        row = {"learned": learned.inputs, "judged": judged.inputs, "seed": seed}
        row |= {"parameters": parameters, **judged.validation(logits)}
        row |= judged.scores(logits[judged.check], logits[judged.test], FIT.class_power)
        rows.append(row | {"by_period": by_period(judged, logits)})
    return rows


def pair_of(row: dict[str, Any]) -> str:
    """Name of what was learned from, and of what it was judged by if that is something else."""
    learned, judged = row["learned"], row["judged"]
    return learned if learned == judged else f"{learned}, {judged}"


def say(rows: list[dict[str, Any]]) -> None:
    """Print what was measured of one pair of inputs."""
    inputs = pair_of(rows[0])
    losses = ", weighted ".join(spread(rows, f"validation_loss{x}") for x in ("", "_weighted"))
    print(f"{inputs:20} validation loss {losses}")
    for rule in RULES:
        words = "  ".join(f"{key} {spread(rows, key + rule)}" for key in MEASURES)
        print(f"{inputs:20} {rule or '_weighted':14} {words}  ({len(rows)} seeds)")
    kinds = rows[0]["by_period"].items()
    print(
        "  "
        + ", ".join(f"{k} {v['share']:.3f} of the stars: {v['accuracy']:.3f}" for k, v in kinds)
    )


def gaps(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Differences of mean scores between two inputs, the second minus the first."""
    made: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        made.setdefault(pair_of(row), []).append(row)
    return {
        f"{second} minus {first}": {
            key + rule: mean(r[key + rule] for r in made[second])
            - mean(r[key + rule] for r in made[first])
            for rule in RULES
            for key in MEASURES
        }
        for second, others in GAPS.items()
        for first in others
        if first in made and second in made
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(INPUTS))
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    curves = prepared(given.data, given.cache)
    searched = StarsAt(curves, "searched")
    octave = octave_of_classes(searched)
    print("catalogue's period is twice that of the strongest sine, stars of train:")
    print("  " + ", ".join(f"{name} {share:.3f}" for name, share in octave.items()))
    rows = []
    for inputs in given.only.split(","):
        stars = StarsAt(curves, inputs)
        for judged in (stars, searched) if inputs in ("catalogue", "octave") else (stars,):
            made = measured(stars, judged, given)
            say(made)
            rows += made
    difference = gaps(rows)
    for name, one in difference.items():
        print(f"{name}: " + ", ".join(f"{key} {value:+.4f}" for key, value in one.items()))
    path = record(
        "periods",
        rows,
        given.out,
        octave=octave,
        difference=difference,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
        peer="the same network, features and training with the catalogue's period",
    )
    print(path)


if __name__ == "__main__":
    main()

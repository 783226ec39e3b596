"""What searching the period costs the network, all else equal, Catalina South.

    python benchmarks/classify_periods.py --data DATA/ --cache FOLDER/ [--seeds 3] [--only half]

The `micro` network of `classify_crts.py` on the published split with the same features, but all
measured at periods of our own search, training stars included, and with what the search says of
itself beside them. Three inputs: folds at the period and twice it, as with the catalogue's periods
(``plain``); at half of it too, because the search errs by factors of two more than in any other
way (``half``); and that with the features measured at the search's second choice (``second``).
The figures with the catalogue's period are read from `results/classify_crts.json` (model "hard").
The search's ranking was itself fitted on training stars of this survey. The table at the end says
how often stars of a right or wrong period get the right class.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from classify_crts import FEATURE_NAMES, FIT, POINTS, Stars
from numpy.typing import NDArray
from record import RESULTS, record

from astroprep.clean import FlagBad, SigmaClip
from astroprep.features import extract_features
from astroprep.io import ColumnNames, open_survey
from astroprep.model.calibrate import softmax
from astroprep.model.firenet import build_network, count_parameters, fold_batchnorm
from astroprep.model.train import fit_network, predict_logits
from astroprep.period import PeriodSearch
from astroprep.pipeline.recipe import SplitTable
from astroprep.pipeline.split import assign_roles
from astroprep.represent import AuxiliaryScale, FoldLayout

SEARCH = (
    "period", "period_power", "period_power_half", "period_fap", "period_fit",
    "period_fit_double", "period_confidence", "period_second_ratio", "period_highest",
    "period_second", "period_sine",
)  # fmt: skip
OBJECTS = ("row", "label", "split", "ra", "dec", "catalogue_period")
FOLDS = {"plain": (1.0, 2.0), "half": (0.5, 1.0, 2.0), "second": (0.5, 1.0, 2.0)}
RULES = ("", "_train_shares", "_estimated")
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")
SAME = 0.01  # of the period, within which two are the same


def prepared(data: Path, cache: Path) -> dict[str, NDArray[Any]]:
    """Usable points, searched periods, and features at them; made once."""
    path = cache / "classify_periods.npz"
    if path.exists():
        return dict(np.load(path))
    kept: dict[str, list[NDArray[Any]]] = {}
    start = 0
    columns = ColumnNames(period="period")
    with open_survey(data / "crts_south.parquet", columns, on_bad="reject") as survey:
        for batch in survey.iter_batches(2000):
            batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
            batch = SigmaClip(on_bad="reject").transform(batch)
            batch = PeriodSearch(n_candidates=6, on_bad="reject").transform(batch)
            usable, objects = batch.usable, batch.objects
            other, probability = other_choices(objects)
            at_second = batch.with_columns(objects={"period": other[:, 0]})
            found = {
                "time": usable.time,
                "value": usable.value,
                "error": usable.error,
                "trust": batch.weight[usable.index],
                "offsets": start + usable.offsets[1:],
                "id": batch.ids,
                **{name: objects[name] for name in (*OBJECTS, *SEARCH)},
                "other": other,
                "other_probability": probability,
                "features": extract_features(batch, FEATURE_NAMES),
                "features_second": extract_features(at_second, FEATURE_NAMES),
            }
            start += usable.time.size
            for name, column in found.items():
                column = column.astype(str) if column.dtype == object else column
                kept.setdefault(name, []).append(column)
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    arrays["offsets"] = np.concatenate([[0], arrays["offsets"]])
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def other_choices(objects: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two most probable candidates of other periods, and their probabilities."""
    chosen, candidate = objects["period"][:, None], objects["candidate_period"]
    other = (candidate > 0) & (np.abs(candidate / chosen - 1) > 1e-3)
    order = np.argsort(~other, axis=1, kind="stable")[:, :2]
    there = np.take_along_axis(other, order, axis=1)
    probability = np.take_along_axis(objects["candidate_probability"], order, axis=1)
    return (
        np.where(there, np.take_along_axis(candidate, order, axis=1), chosen),
        np.where(there, probability, 0.0),
    )


class SearchedStars(Stars):
    """Inputs, roles and labels, with periods of our own search."""

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
        epoch = stars["time"][stars["offsets"][:-1]]
        self.folded = FoldLayout(multiples=FOLDS[inputs]).fold(
            *(stars[k] for k in POINTS), epoch, stars["period"][:, None], -1.0
        )
        period, other = stars["period"], np.log10(stars["other"] / stars["period"][:, None])
        said = [
            *(stars[name] for name in SEARCH[1:7]),
            *(np.log10(stars[name] / period) for name in ("period_highest", "period_second")),
            stars["period_second_ratio"],
            np.log10(stars["period_sine"] / period),
            *(x[:, k] for k in range(2) for x in (other, stars["other_probability"])),
        ]
        more = [stars["features_second"]] if inputs == "second" else []
        self.features = np.hstack([stars["features"], np.column_stack(said), *more])
        self.auxiliary = AuxiliaryScale.fit(self.features[self.learn]).apply(self.features)

    def logits(self, inputs: str, seed: int, cache: Path) -> tuple[NDArray[np.float32], int]:
        """Of all stars by a network of one seed, and its parameters; trained once."""
        path = cache / f"searched_{inputs}_{seed}.npy"
        net = build_network(self.spec("micro"), seed)
        if not path.exists():
            fit_network(net, self.arrays(), replace(FIT, seed=seed))
            np.save(path, predict_logits(fold_batchnorm(net), self.folded, self.auxiliary))
        return np.load(path), count_parameters(net)


def factor_of(stars: dict[str, NDArray[Any]]) -> NDArray[np.str_]:
    """Of the searched period to the catalogue's: right, half, double or other."""
    ratio = stars["period"] / stars["catalogue_period"]
    wanted = {"right": 1.0, "half": 0.5, "double": 2.0}
    return np.select(
        [np.abs(ratio / factor - 1) < SAME for factor in wanted.values()], list(wanted), "other"
    )


def by_period(stars: SearchedStars, logits: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Share of the test stars of each kind of period, and of right classes among them."""
    truth = stars.code[stars.test]
    right = softmax(logits[stars.test]).argmax(axis=1) == truth
    factor = factor_of(stars.curves)[stars.test]
    return {
        kind: {
            "share": float((factor == kind).mean()),
            "accuracy": float(right[factor == kind].mean()),
        }
        for kind in np.unique(factor).tolist()
    }


def validation_loss(stars: SearchedStars, logits: NDArray[Any]) -> float:
    """Cross-entropy of the validation stars, what the inputs are chosen by."""
    p = softmax(logits[stars.check])
    return float(-np.log(p[np.arange(len(p)), stars.code[stars.check]]).mean())


def say(rows: list[dict[str, Any]], known: list[dict[str, Any]], inputs: str) -> dict[str, float]:
    """Print mean and spread over seeds, and the difference from the catalogue's periods."""
    loss = {}
    for rule in RULES:
        words = []
        for key in MEASURES:
            values = [row[key + rule] for row in rows]
            loss[key + rule] = mean(values) - mean(row[key + rule] for row in known)
            spread = stdev(values) if len(values) > 1 else 0.0
            words.append(f"{key} {mean(values):.4f} ± {spread:.4f} ({loss[key + rule]:+.4f})")
        print(f"{inputs:7} {rule or '_weighted':14} {'  '.join(words)}  ({len(rows)} seeds)")
    print(f"{inputs:7} validation loss {mean(row['validation_loss'] for row in rows):.4f}")
    for kind, one in rows[0]["by_period"].items():
        print(f"  period {kind:7} {one['share']:.3f} of the stars, accuracy {one['accuracy']:.3f}")
    return loss


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(FOLDS))
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    curves = prepared(given.data, given.cache)
    stored = json.loads((RESULTS / "classify_crts.json").read_text())["rows"]
    known = [row for row in stored if row["model"] == "hard"]
    rows, loss = [], {}
    for inputs in given.only.split(","):
        stars = SearchedStars(curves, inputs)
        made = []
        for seed in range(1, given.seeds + 1):
            logits, parameters = stars.logits(inputs, seed, given.cache)
            found = stars.scores(logits[stars.check], logits[stars.test], FIT.class_power)
            row = {"inputs": inputs, "seed": seed, "parameters": parameters, **found}
            row["validation_loss"] = validation_loss(stars, logits)
            made.append(row | {"by_period": by_period(stars, logits)})
        loss[inputs] = say(made, known, inputs)
        rows += made
    print(
        record(
            "classify_periods",
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

"""What makes good members of a teacher: over-fitted or early-stopped networks, and which kinds.

    python benchmarks/classify_members.py --data DATA/ --cache FOLDER/ [--seeds 3]

Data and split of `compress_data.py`, whose trained networks are taken up from the cache.

Pairs: micro networks without weight decay and without averaged weights, and of each two states of
one and the same training: the last epoch (over-fitted) and the epoch of least validation loss
(early-stopped). So k of the one cost exactly what k of the other cost, and have the same initial
weights and order of stars.

Kinds: micro networks of several initial weights, trained by the recipe; the smallest and the
largest network; micro networks that each learn from two thirds of the training stars; other trunks;
fixed convolutions and a ridge; boosted trees. Of each kind what it says alone and beside the
initializations, averaged (equal weights) and selected (`select_members`); then all of them, and all
but one kind. Joined as `astroprep.model.teachers` joins them.

Validation stars choose epochs, temperatures and weights, so that the validation columns of what is
selected flatter; test stars decide nothing. A seed changes all members.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any

import numpy as np
import torch
from compress_data import RECIPE, reference, spec_of, training_of, variables
from numpy.typing import NDArray
from record import record

from astroprep.model.calibrate import fit_temperature, softmax
from astroprep.model.evaluate import accuracy, balanced_accuracy, macro_f1
from astroprep.model.firenet import build_network
from astroprep.model.members import fit_member
from astroprep.model.teachers import join_members, select_members
from astroprep.model.train import class_weights, fit_network, predict_logits
from astroprep.pipeline.recipe import read_recipe

PAIR = {"max_epochs": 30, "batch_size": 256, "learning_rate": 5e-3, "patience": 0}
KINDS: dict[str, tuple[str, ...]] = {
    "initializations": ("micro",) * 2,
    "widths": ("nano", "reference"),
    "trees": ("trees",),
    "rocket + ridge": ("rocket",),
    "subsets": ("micro",) * 2,
    "trunks": ("tcn", "resnet"),
}
TRUNK_EPOCHS = 12
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Member:
    """What one classifier says of validation and test stars: logarithms of probabilities."""

    check: NDArray[Any]
    test: NDArray[Any]
    facts: dict[str, float]


class Bench:
    """Stars, and members made once."""

    def __init__(self, data: Path, cache: Path) -> None:
        self.held = variables(data, cache)
        self.cache, self.folder = cache, cache / "members"
        self.folder.mkdir(exist_ok=True)
        self.recipe = read_recipe(RECIPE)
        arrays = self.held.arrays
        self.learn = np.flatnonzero(~arrays.is_validation)
        self.check = np.flatnonzero(arrays.is_validation)
        self.truth = arrays.label[self.check]
        self.n_classes = len(self.held.classes)
        power = training_of(self.recipe, 1).class_power
        self.trust = class_weights(arrays.label[self.learn], self.n_classes, power)[self.truth]

    def made(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Arrays of this name, made if they are not there."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            np.savez(path, **make())
            print(f"  {name}", flush=True)
        with np.load(path) as file:
            return dict(file)

    def member(self, check: Logits, test: Logits, **facts: float) -> Member:
        """Calibrated on the validation stars."""
        t = fit_temperature(check, self.truth, self.trust)
        said = [np.log(np.maximum(softmax(x, t), 1e-7)) for x in (check, test)]
        return Member(said[0], said[1], {k: float(v) for k, v in facts.items()})

    def said(self, predict: Callable[[NDArray[Any], NDArray[Any]], Logits]) -> list[Logits]:
        """Logits of validation and test stars."""
        held, rows = self.held, self.check
        return [
            predict(held.arrays.folded[rows], held.arrays.auxiliary[rows]),
            predict(held.test_folded, held.test_auxiliary),
        ]

    def pair(self, seed: int, k: int) -> dict[str, Member]:
        """One training, at its least validation loss and at its end."""

        def make() -> dict[str, Any]:
            number = 100 * seed + k
            net = build_network(spec_of(self.recipe, self.held, "micro"), number)
            kept: dict[str, torch.Tensor] = {}
            losses: list[float] = []

            def watch(row: dict[str, float]) -> None:
                losses.append(row["validation_loss"])
                if losses[-1] == min(losses):
                    kept.update({n: t.clone() for n, t in net.state_dict().items()})

            fit = training_of(self.recipe, number)
            fit = replace(fit, **PAIR, weight_decay=0.0, averaging=0.0, keep="last")
            begin = process_time()
            history = fit_network(net, self.held.arrays, fit, progress=watch)
            facts = {
                "seconds": process_time() - begin,
                "epochs": len(losses),
                "best_epoch": int(np.argmin(losses)) + 1,
                "best_loss": min(losses),
                "last_loss": losses[-1],
                "training_loss": history.epochs[-1]["loss"],
            }
            last = self.said(lambda *x: predict_logits(net, *x))
            net.load_state_dict(kept)
            early = self.said(lambda *x: predict_logits(net, *x))
            ends = {"last": last[0], "last_test": last[1]}
            return ends | {"early": early[0], "early_test": early[1]} | facts

        made = self.made(f"pair_{seed}_{k}", make)
        facts = {name: x for name, x in made.items() if x.ndim == 0}
        return {
            name: self.member(made[end], made[f"{end}_test"], **facts)
            for name, end in (("early-stopped", "early"), ("over-fitted", "last"))
        }

    def kind(self, kind: str, seed: int) -> list[Member]:
        """Members of one kind."""
        result = []
        for k, name in enumerate(KINDS[kind]):

            def make(name: str = name, k: int = k) -> dict[str, Any]:
                n = 2 * (seed - 1) + k + 1
                if kind in ("initializations", "widths"):
                    number = n if kind == "initializations" else seed
                    net = reference(self.held, self.cache, number, preset=name)
                    check, test = self.said(lambda *x: predict_logits(net, *x))
                    return {"check": check, "test": test}
                fit, seen = training_of(self.recipe, 1000 + n), self.learn
                if kind == "subsets":
                    rng = np.random.default_rng(n)
                    seen = np.sort(rng.permutation(seen)[: 2 * seen.size // 3])
                if kind == "trunks":
                    fit = replace(fit, max_epochs=TRUNK_EPOCHS, batch_size=256)
                predict = fit_member(name, self.held.arrays, seen, self.n_classes, fit)
                check, test = self.said(predict)
                return {"check": check, "test": test}

            made = self.made(f"kind_{kind.split()[0]}_{seed}_{k}", make)
            result.append(self.member(made["check"], made["test"]))
        return result

    def judged(self, members: list[Member], *, select: bool = False) -> dict[str, Any]:
        """Measures of joined members."""
        check = np.stack([member.check for member in members])
        weight = np.full(len(members), 1 / len(members))
        if select:
            weight = select_members(check, self.truth, self.trust)
        row: dict[str, Any] = {"weights": [round(float(w), 3) for w in weight]} if select else {}
        p = join_members(check, weight)
        own = np.log(np.maximum(p[np.arange(self.truth.size), self.truth], 1e-7))
        row["validation_loss"] = float(-(self.trust * own).sum() / self.trust.sum())
        test = join_members(np.stack([member.test for member in members]), weight)
        names = np.array(self.held.classes, dtype=object)
        sides = (("validation", self.truth, p), ("test", self.held.test_label, test))
        for side, code, said in sides:
            label, best = names[code], names[said.argmax(axis=1)]
            row |= {
                f"{side}_accuracy": accuracy(label, best, self.held.classes),
                f"{side}_balanced_accuracy": balanced_accuracy(label, best, self.held.classes),
                f"{side}_macro_f1": macro_f1(label, best, self.held.classes),
            }
        return {"n_members": len(members), **row}


def pairs(bench: Bench, seed: int, n: int) -> list[dict[str, Any]]:
    """Over-fitted beside early-stopped, for 1 to n members."""
    made = [bench.pair(seed, k) for k in range(n)]
    facts = ("epochs", "best_epoch", "best_loss", "last_loss", "training_loss", "seconds")
    means = {key: mean(one["over-fitted"].facts[key] for one in made) for key in facts}
    return [
        {"part": "pairs", "seed": seed, "members": end,
         **bench.judged([one[end] for one in made[:k]]), **means}
        for end in ("early-stopped", "over-fitted")
        for k in range(1, n + 1)
    ]  # fmt: skip


def kinds(bench: Bench, seed: int, names: list[str]) -> list[dict[str, Any]]:
    """Each kind alone, beside the initializations, and what is lost without it."""
    made = {name: bench.kind(name, seed) for name in names}
    sets: dict[str, list[Member]] = {f"{name} alone": made[name] for name in names}
    for name in names[1:]:
        sets[f"initializations and {name}"] = made["initializations"] + made[name]
    sets["all"] = [member for name in names for member in made[name]]
    for left in names:
        sets[f"all but {left}"] = [m for name in names if name != left for m in made[name]]
    return [
        {"part": "kinds", "seed": seed, "members": name, "joined": how,
         **bench.judged(members, select=how == "selected")}
        for name, members in sets.items()
        if members
        for how in (("averaged", "selected") if len(members) > 1 else ("averaged",))
    ]  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """Mean and spread over seeds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        words = [str(row[k]) for k in ("members", "joined") if k in row]
        groups.setdefault(" ".join([*words, f"({row['n_members']})"]), []).append(row)
    for name, group in groups.items():
        told = []
        for key in ("validation_balanced_accuracy", "test_balanced_accuracy", "test_macro_f1"):
            values = [row[key] for row in group]
            told.append(f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if values[1:] else ""))
        print(f"{name:45} validation {told[0]}  test {told[1]}, F1 {told[2]}", flush=True)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--seeds", type=int, default=3, help="of the pairs")
    parser.add_argument("--pairs", type=int, default=3, help="most networks of an ensemble")
    parser.add_argument("--kind-seeds", type=int, default=2)
    parser.add_argument("--kinds", default=",".join(KINDS), help="initializations first")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(given.data, given.cache)
    rows: list[dict[str, Any]] = []
    for seed in range(1, given.kind_seeds + 1):
        rows += kinds(bench, seed, given.kinds.split(","))
    for seed in range(1, given.seeds + 1):
        rows += pairs(bench, seed, given.pairs)
    show(rows)
    path = record(
        "classify_members",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020; "
        f"{bench.learn.size} training, {bench.check.size} validation and "
        f"{bench.held.test_label.size} test stars",
    )
    print(path)


if __name__ == "__main__":
    main()

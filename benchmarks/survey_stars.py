"""Stars of two surveys as the shipped recipe prepares them, with the periods of its own search.

A catalogue's period is never read: in ASAS it stands beside eclipsing stars only, so that its
presence alone would give the label away.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from classify_crts import calibrated, trained_once
from honest_data import catalogue_of, micro_recipe, roles_of, survey_parts
from numpy.typing import NDArray

from astroprep.io import open_survey
from astroprep.model.calibrate import correct_priors, estimate_priors, tempered_priors
from astroprep.model.evaluate import evaluate, split_validation
from astroprep.model.firenet import firenet_spec
from astroprep.model.train import TrainingArrays, predict_logits
from astroprep.pipeline.prepare import Prepared, prepare
from astroprep.represent import AuxiliaryScale

BATCH = 1000
LEAST = 30  # objects of a class that is learned; ASAS has seven stars of Beta Cephei
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1")


def is_test(name: str) -> bool:
    """Whether an ASAS star is tested: the first byte of its id's sha256 is under 77 (30 %)."""
    return hashlib.sha256(name.encode()).digest()[0] < 77


def asas_parts(data: Path, cache: Path) -> list[Prepared]:
    """Prepared ASAS stars of one label; those between two classes are left out."""
    source = data / "asas_south.parquet"
    wanted = ~pq.read_table(source, columns=["ambiguous"])["ambiguous"].to_numpy(
        zero_copy_only=False
    ).astype(bool)
    cache.mkdir(parents=True, exist_ok=True)
    paths = [cache / f"part-{i:06d}.arrow" for i in range(-(-wanted.size // BATCH))]
    if not all(path.exists() for path in paths):
        steps = micro_recipe().make_steps()
        with open_survey(source, on_bad="reject") as survey:
            for path, batch in zip(paths, survey.iter_batches(BATCH), strict=True):
                if not path.exists():
                    prepare(batch[wanted[batch.objects["row"]]], steps).save(path)
    return [Prepared.load(path) for path in paths]


class SurveyStars:
    """Inputs, labels and roles of one survey."""

    def __init__(self, survey: str, data: Path, cache: Path) -> None:
        self.survey = survey
        if survey == "crts_south":
            recipe = micro_recipe()
            catalogue = catalogue_of(data, cache / survey)
            label = catalogue["label"].to_numpy(object)
            role = roles_of(catalogue, recipe).role
            parts = list(survey_parts(data, cache / survey, recipe))
        else:
            parts = asas_parts(data, cache / survey)
            table = pq.read_table(data / f"{survey}.parquet", columns=["id", "label"])
            names, label = (np.array(table[k].to_pylist(), object) for k in ("id", "label"))
            role = np.array(["test" if is_test(str(n)) else "train" for n in names], object)
        row = np.concatenate([part.row for part in parts])
        self.n_rejected = sum(len(part.rejected) for part in parts)
        self.folded = np.concatenate([part.folded for part in parts])
        self.features = np.concatenate([part.features for part in parts])
        self.label, self.role = label[row].astype(str), role[row].astype("U10")
        if survey != "crts_south":
            train = np.flatnonzero(self.role == "train")
            self.role[train[split_validation(self.label[train], seed=1)]] = "validation"
        names_, count = np.unique(self.label[self.role == "train"], return_counts=True)
        self.classes = names_[count >= LEAST]
        known = np.isin(self.label, self.classes)
        self.learn, self.check, self.test = (
            np.flatnonzero(known & (self.role == side)) for side in ("train", "validation", "test")
        )
        self.code = np.searchsorted(self.classes, self.label).clip(0, self.classes.size - 1)
        self.count = np.bincount(self.code[self.learn], minlength=self.classes.size)
        self.scale = AuxiliaryScale.fit(self.features[self.learn])

    @property
    def arrays(self) -> TrainingArrays:
        """Training stars, then validation stars."""
        rows = np.concatenate([self.learn, self.check])
        return TrainingArrays(
            self.folded[rows],
            self.scale.apply(self.features[rows]),
            self.code[rows].astype(np.int64),
            np.arange(rows.size) >= self.learn.size,
        )

    def learned(self, seed: int, cache: Path) -> torch.nn.Module:
        """A `micro` network of the training stars; made once."""
        spec = firenet_spec(
            "micro",
            n_channels=self.folded.shape[1],
            n_bins=self.folded.shape[2],
            n_auxiliary=self.scale.n_auxiliary,
            n_classes=self.classes.size,
        )
        return trained_once(cache / f"{self.survey}_micro_{seed}.pt", spec, self.arrays, seed)

    def logits(self, net: torch.nn.Module, other: SurveyStars, rows: NDArray[Any]) -> Any:
        """What a network of these stars says of stars of this or another survey."""
        return predict_logits(net, other.folded[rows], self.scale.apply(other.features[rows]))

    def probabilities(
        self, check: NDArray[Any], test: NDArray[Any]
    ) -> dict[str, NDArray[np.float64]]:
        """Calibrated probabilities under the weighted, the training and the estimated shares."""
        p, learned = calibrated(self, check, test)
        wanted = {
            "weighted": learned,
            "train": tempered_priors(self.count, 0.0),
            "estimated": estimate_priors(p, learned),
        }
        return {name: correct_priors(p, learned, shares) for name, shares in wanted.items()}

    def scores(self, check: NDArray[Any], test: NDArray[Any]) -> dict[str, Any]:
        """Scores of logits of validation and test stars."""
        result: dict[str, Any] = {}
        for name, p in self.probabilities(check, test).items():
            said = self.classes[p.argmax(axis=1)]
            found = evaluate(self.label[self.test], said, self.classes.tolist())
            result |= {f"{key}_{name}": found[key] for key in MEASURES}
            result[f"recall_{name}"] = {k: v["recall"] for k, v in found["per_class"].items()}
        return result


def say(name: str, rows: list[dict[str, Any]], rules: tuple[str, ...]) -> None:
    """Print mean and spread over seeds."""
    for rule in rules:
        values = np.array([[row[f"{m}_{rule}"] for m in MEASURES] for row in rows])
        spread = values.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(3)
        words = "  ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(0), spread, strict=True))
        print(f"{name:22} {rule:10} {words}  ({len(rows)} seeds)", flush=True)

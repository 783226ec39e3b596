"""Calibration, class shares and conformal sets on Catalina South variables.

    python benchmarks/classify_honest.py --data DATA/ --cache FOLDER/ [--seeds 1 2 3]

A micro network a seed is trained on the published training objects as `astroprep run` trains it;
what was prepared and learned stays in the folder, so that the measures can be repeated in seconds.
Every choice was made on validation objects; the test objects are only measured. Peers:
scikit-learn's isotonic regression and a plain softmax threshold.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from honest_data import POWER, Learned, learned
from numpy.typing import NDArray
from record import record
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from astroprep.model.calibrate import correct_priors, softmax
from astroprep.model.conformal import Conformal
from astroprep.model.evaluate import evaluate
from astroprep.model.isotonic import Isotonic
from astroprep.model.priors import estimate_shares
from astroprep.model.reliability import calibration_error
from astroprep.model.scores import bootstrap_scores, top_k_error
from astroprep.model.taxonomy import Taxonomy, evaluate_levels
from astroprep.model.train import class_weights

HOSENIE = {
    "eclipsing": ["EA_detached", "EW_EB_contact_semidetached"],
    "rotational": ["Rotational"],
    "pulsating": {
        "RR Lyrae": ["RRab", "RRc", "RRd", "Blazhko"],
        "Cepheid": ["ACEP", "Cep-II"],
        "LPV": [],
        "delta-Scuti": [],
    },
}


class _Softmax(ClassifierMixin, BaseEstimator):
    """Logits as a fitted classifier, for scikit-learn's calibration."""

    def fit(self, X: Any, y: NDArray[np.int64]) -> _Softmax:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return softmax(X)

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(self.classes_[X.argmax(axis=1)])


def calibration(one: Learned) -> list[dict[str, Any]]:
    """Calibration errors on the test stars of five ways, at the learned class shares."""
    test = one.known & (one.role == "test")
    check = one.known & (one.role == "validation")
    made, weight = (
        one.outputs(),
        class_weights(one.code(one.known & (one.role == "train")), len(one.classes), POWER),
    )
    code, names = one.code(check), np.array(one.classes, dtype=object)
    tempered = softmax(one.logits[check], made.temperature)
    lines = Isotonic.fit(tempered, code, weight[code])
    plain = _Softmax().fit(None, code)
    peer = CalibratedClassifierCV(FrozenEstimator(plain), method="isotonic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the weights, which the frozen estimator needs not
        peer.fit(one.logits[check].astype(float), code, sample_weight=weight[code])
    ways = {
        "uncalibrated softmax": lambda z: softmax(z),
        "temperature": lambda z: softmax(z, made.temperature),
        "temperature, isotonic": lambda z: lines.apply(softmax(z, made.temperature)),
        "scikit-learn isotonic": lambda z: peer.predict_proba(z.astype(float)),
        "chosen on validation": made.calibrated,
    }
    rows = []
    for side, which in (("validation", check), ("test", test)):
        for prior in ("train", "estimate"):
            for way, apply in ways.items():
                p = np.asarray(apply(one.logits[which]))
                wanted = one.priors(0.0)
                if prior == "estimate":
                    wanted = estimate_shares(p, one.priors(POWER)).shares
                p = correct_priors(p, one.priors(POWER), wanted)
                best, truth = names[p.argmax(axis=1)], one.label[which]
                right, top = best == truth, p.max(axis=1)
                scores = evaluate(truth, best, one.classes, p)
                own = p[np.arange(len(p)), one.code(which)]
                rows.append(
                    {
                        "what": "calibration",
                        "side": side,
                        "prior": prior,
                        "way": way,
                        "isotonic_chosen": made.isotonic is not None,
                        "ece_width": scores["ece"],
                        "ece_mass": calibration_error(top, right),
                        "debiased_rms": calibration_error(top, right, norm=2, debias=True),
                        "log_loss": float(-np.log(np.maximum(own, 1e-12)).mean()),
                        "accuracy": scores["accuracy"],
                        "balanced_accuracy": scores["balanced_accuracy"],
                        "macro_f1": scores["macro_f1"],
                        "top2_error": top_k_error(truth, p, one.classes),
                        "intervals": bootstrap_scores(truth, best, one.classes),
                    }
                )
                r = rows[-1]
                print(
                    f"{side:10} prior {prior:8} {way:22} ECE {r['ece_width']:.4f} mass "
                    f"{r['ece_mass']:.4f} debiased rms {r['debiased_rms']:.4f} log loss "
                    f"{r['log_loss']:.4f} accuracy {r['accuracy']:.4f} balanced "
                    f"{r['balanced_accuracy']:.4f} top-2 error {r['top2_error']:.4f}"
                )
    return rows


def shares(one: Learned, seeds: int = 5) -> list[dict[str, Any]]:
    """Estimated class shares of redrawn validation stars, and of the test stars."""
    made, rows = one.outputs(), []
    check = np.flatnonzero(one.known & (one.role == "validation"))
    p, code = made.calibrated(one.logits[check]), one.code(one.known & (one.role == "validation"))
    n_classes = len(one.classes)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        half = rng.permutation(check.size) < check.size // 2
        wanted = rng.dirichlet(np.full(n_classes, 2.0))
        weight = (wanted / np.bincount(code[~half], minlength=n_classes))[code[~half]]
        drawn = rng.choice(np.flatnonzero(~half), 4000, p=weight / weight.sum())
        found = estimate_shares(p[drawn], made.learned, validation=p[half], code=code[half])
        truth = np.bincount(code[drawn], minlength=n_classes) / drawn.size
        rows.append(_shares_row(f"validation redrawn, seed {seed}", found, truth, one))
    test = one.known & (one.role == "test")
    found = estimate_shares(
        made.calibrated(one.logits[test]), made.learned, validation=p, code=code
    )
    truth = np.bincount(one.code(test), minlength=n_classes) / test.sum()
    rows.append(_shares_row("test", found, truth, one))
    return rows


def _shares_row(side: str, found: Any, truth: NDArray[np.float64], one: Learned) -> dict[str, Any]:
    off = found.shares - truth
    before = one.priors(0.0) - truth
    row = {
        "what": "shares",
        "side": side,
        "total_variation": float(np.abs(off).sum() / 2),
        "total_variation_of_training_shares": float(np.abs(before).sum() / 2),
        "within_two_sigma": float((np.abs(off) <= 2 * found.standard_error).mean()),
        "truth": dict(zip(one.classes, truth.tolist(), strict=True)),
        "estimate": dict(zip(one.classes, found.shares.tolist(), strict=True)),
        "standard_error": dict(zip(one.classes, found.standard_error.tolist(), strict=True)),
    }
    print(
        f"shares, {side}: off by {row['total_variation']:.4f} (training shares "
        f"{row['total_variation_of_training_shares']:.4f}), "
        f"{row['within_two_sigma']:.2f} within 2 standard errors"
    )
    return row


GROUPS = {
    "eclipsing": ("EA_detached", "EW_EB_contact_semidetached"),
    "rotational": ("Rotational",),
    "RR Lyrae": ("RRab", "RRc", "RRd", "Blazhko"),
    "other pulsating": ("ACEP", "Cep-II", "delta-Scuti", "LPV"),
}


def conformal(one: Learned, seeds: int = 5, coverage: float = 0.9) -> list[dict[str, Any]]:
    """Coverage over random divisions of the validation stars, and on the test stars."""
    made, rows = one.outputs(), []
    check, test = (one.known & (one.role == side) for side in ("validation", "test"))
    p, code = made.calibrated(one.logits[check]), one.code(check)
    q, truth = made.calibrated(one.logits[test]), one.code(test)
    found = estimate_shares(q, made.learned).shares
    for score in ("lac", "aps", "raps"):
        for mode, group in (("class", None), ("marginal", np.zeros(len(one.classes), int))):
            held = []
            for seed in range(seeds):
                half = np.random.default_rng(seed).permutation(code.size) < code.size // 2
                sets = Conformal.fit(p[half], code[half], score=score, group=group)
                held.append(_coverage(sets.contains(p[~half], coverage), code[~half], one))
            whole = Conformal.fit(p, code, score=score, group=group)
            mine = _coverage(whole.contains(q, coverage, found), truth, one)
            row = {"what": "conformal", "score": score, "groups": mode, "stated": coverage}
            for key in held[0]:
                values = [h[key] for h in held]
                row[f"held_out {key}"] = float(np.mean(values))
                row[f"held_out {key}, spread"] = float(np.std(values, ddof=1))
                row[f"test {key}"] = mine[key]
            rows.append(row)
            print(
                f"conformal {score:5} {mode:9} held-out coverage "
                + ", ".join(f"{k} {row[f'held_out {k}']:.3f}" for k in held[0])
                + "; test "
                + ", ".join(f"{k} {mine[k]:.3f}" for k in mine)
            )
    plain = softmax(one.logits[test]).max(axis=1) >= coverage
    right = softmax(one.logits[test]).argmax(axis=1) == truth
    print(f"peer, softmax >= {coverage}: kept {plain.mean():.3f}, right {right[plain].mean():.3f}")
    rows.append(
        {
            "what": "softmax threshold",
            "kept": float(plain.mean()),
            "right": float(right[plain].mean()),
        }
    )
    return rows


def _coverage(inside: NDArray[np.bool_], code: NDArray[np.int64], one: Learned) -> dict[str, float]:
    hit = inside[np.arange(code.size), code]
    name = np.array(one.classes)[code]
    return {
        "overall": float(hit.mean()),
        **{group: float(hit[np.isin(name, of)].mean()) for group, of in GROUPS.items()},
        "size": float(inside.sum(axis=1).mean()),
    }


def levels(one: Learned) -> list[dict[str, Any]]:
    """Measures within the true parent and end to end, under estimated class shares."""
    test = one.known & (one.role == "test")
    made = one.outputs()
    found = estimate_shares(made.calibrated(one.logits[test]), made.learned).shares
    tree = Taxonomy.from_table(HOSENIE).of(one.classes)
    rows = []
    for prior, wanted in (
        ("train", one.priors(0.0)),
        ("equal", one.priors(1.0)),
        ("estimate", found),
    ):
        p = made.probabilities(one.logits[test], wanted)
        for level in evaluate_levels(one.label[test], p, tree):
            for within in level["within"]:
                rows.append({"what": "level", "prior": prior, "level": level["level"], **within})
                print(
                    f"level {level['level']}, prior {prior}, within {within['parent'] or 'all'}: "
                    f"balanced {within['balanced_accuracy']:.3f} of {within['n']}"
                )
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is prepared")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        print(f"seed {seed}")
        one = learned(arguments.data, arguments.cache, "none", seed)
        found = calibration(one) + shares(one) + conformal(one) + levels(one)
        rows += [{"seed": seed, **row} for row in found]
    path = record(
        "honest",
        rows,
        arguments.out,
        data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020, searched "
        "periods, preset micro",
        seeds=arguments.seeds,
        peer="scikit-learn CalibratedClassifierCV(isotonic); a threshold on the plain softmax",
    )
    print(path)


if __name__ == "__main__":
    main()

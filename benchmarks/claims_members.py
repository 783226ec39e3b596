"""Claims of the README about baselines, presets, members of teachers and augmentation."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

Rows = list[dict[str, Any]]


def _said(rows: Rows, key: str, form: str = ".3f") -> str:
    """Mean over rows, and its spread where there are several."""
    values = [row[key] for row in rows]
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 else "")


def _seeds(rows: Rows) -> str:
    return "one seed" if len(rows) == 1 else f"{len(rows)} seeds"


def cyclic(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_cyclic.py`."""
    claims = []
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["model"] == model]
        claims.append(
            (
                f"CRTS South, catalogue periods, {model} rebuilt, {rows[0]['parameters']:,} "
                f"parameters, ended by validation stars ({_seeds(rows)})",
                f"accuracy {_said(rows, 'accuracy')}, balanced {_said(rows, 'balanced_accuracy')}, "
                f"macro F1 {_said(rows, 'macro_f1')}; {_said(rows, 'epochs', '.0f')} epochs of "
                f"{mean(row['cpu_seconds'] / row['epochs'] for row in rows):.0f} s",
            )
        )
    return claims


def presets(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_presets.py`."""
    claims = []
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["model"] == model]
        one = rows[0]
        claims.append(
            (
                f"CRTS South, catalogue periods, `{model}`: {one['parameters']:,} parameters, "
                f"{one['macs'] / 1e3:,.0f} kMAC, {one['weight_bytes'] / 1e3:.1f} kB of weights, "
                f"{one['activation_bytes'] / 1e3:.1f} kB of activations ({_seeds(rows)})",
                f"top-1 error {_said(rows, 'top1_error')}, top-2 error "
                f"{_said(rows, 'top2_error')}, balanced accuracy "
                f"{_said(rows, 'balanced_accuracy')}; {one['epochs']} epochs of training take "
                f"{one['training_seconds']:.0f} s of one core",
            )
        )
    return claims


def members(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_members.py`: the largest ensembles of pairs, and all kinds."""
    claims = []
    every = [row for row in result["rows"] if row["part"] == "pairs"]
    most = max((row["n_members"] for row in every), default=0)
    words = []
    for name in ("over-fitted", "early-stopped") if every else ():
        rows = [r for r in every if (r["members"], r["n_members"]) == (name, most)]
        words.append(
            f"{name} balanced {_said(rows, 'test_balanced_accuracy')}, macro F1 "
            f"{_said(rows, 'test_macro_f1')}"
        )
    if words:
        what = f"CRTS South, {most} micro networks averaged, two states of the same trainings"
        claims.append((f"{what} ({_seeds(rows)})", "; ".join(words)))
    kinds = [row for row in result["rows"] if row["part"] == "kinds"]
    for name in dict.fromkeys(row["members"] for row in kinds):
        if name.startswith("all but"):
            continue
        words = []
        for how in ("averaged", "selected"):
            rows = [r for r in kinds if (r["members"], r["joined"]) == (name, how)]
            if rows:
                words.append(
                    f"{how} balanced {_said(rows, 'test_balanced_accuracy')}, macro F1 "
                    f"{_said(rows, 'test_macro_f1')}"
                )
        n = [r for r in kinds if r["members"] == name and r["joined"] == "averaged"]
        claims.append((f"CRTS South, members: {name} ({_seeds(n)})", "; ".join(words)))
    return claims


def augmentation(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_augment.py`: on validation stars."""
    return [
        (
            f"CRTS South, micro network, curves changed each epoch: {row['kind']} "
            f"({len(row['seeds'])} seed{'s' * (len(row['seeds']) > 1)}, validation stars)",
            f"loss {row['validation_loss']:.3f} ({row['validation_loss_change']:+.3f}), balanced "
            f"{row['validation_balanced_accuracy']:.3f} "
            f"({row['validation_balanced_accuracy_change']:+.3f}), macro F1 "
            f"{row['validation_macro_f1']:.3f} ({row['validation_macro_f1_change']:+.3f})",
        )
        for row in result["rows"]
    ]


CLAIMS = {
    "classify_cyclic": cyclic,
    "classify_presets": presets,
    "classify_members": members,
    "classify_augment": augmentation,
}

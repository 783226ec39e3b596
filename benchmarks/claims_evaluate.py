"""Claims of the README about other surveys, levels of classes, and searched periods."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

SURVEYS = {"asas_south": "ASAS South", "crts_south": "CRTS South"}
MODELS = {
    "micro": "micro network",
    "teacher": "the ensemble of distilled.toml",
    "taught": "the micro network that it teaches",
    "forest": "random forest",
    "boosted": "boosted trees",
}


def _said(rows: list[dict[str, Any]], key: str) -> str:
    values = [row[key] for row in rows]
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _scores(rows: list[dict[str, Any]], rule: str) -> str:
    return (
        f"accuracy {_said(rows, f'accuracy_{rule}')}, balanced "
        f"{_said(rows, f'balanced_accuracy_{rule}')}, macro F1 {_said(rows, f'macro_f1_{rule}')}"
    )


def surveys(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_asas.py`."""
    claims = []
    keys = dict.fromkeys((r["learned"], r["tested"], r["model"]) for r in result["rows"])
    for learned, tested, model in keys:
        rows = [
            r
            for r in result["rows"]
            if r["learned"] == learned and r["tested"] == tested and r["model"] == model
        ]
        where = (
            SURVEYS[learned]
            if learned == tested
            else f"learned on {SURVEYS[learned]}, tested on {SURVEYS[tested]}"
        )
        claims.append(
            (
                f"{where}, searched periods, {MODELS[model]} ({len(rows)} seeds)",
                f"{_scores(rows, 'weighted')}; under estimated class shares "
                f"{_scores(rows, 'estimated')}",
            )
        )
    return claims


def levels(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_levels.py`."""
    claims = []
    for model, nodes in dict.fromkeys((r["model"], tuple(r["nodes"])) for r in result["rows"]):
        rows = [r for r in result["rows"] if (r["model"], tuple(r["nodes"])) == (model, nodes)]
        claims.append(
            (
                f"CRTS South, catalogue periods, {' / '.join(nodes)}, {model} "
                f"({len(rows)} seeds), balanced accuracy",
                f"{_said(rows, 'balanced_accuracy')} within the true parent (Hosenie et al. 2020: "
                f"{rows[0]['published']:.3f}), {_said(rows, 'end_to_end')} end to end",
            )
        )
    return claims


PERIODS = {  # learned from: words
    "catalogue": "the catalogue's periods",
    "octave": "the catalogue's periods, half or twice them as our search says",
    "searched": "searched periods",
    "catalogue_sine": "the catalogue's periods, at the strongest sine",
    "searched_sine": "searched periods, at the strongest sine",
    "octaves": "searched periods, features and folds at half and twice them too",
    "candidates": "searched periods, folds at two other candidates too",
}


def periods(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_periods.py`."""
    shares, claims = result["octave"], []
    words = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in shares.items())
    claims.append(
        ("CRTS South, train: the catalogue's period is twice the strongest sine's", words)
    )
    for learned, judged in dict.fromkeys((r["learned"], r["judged"]) for r in result["rows"]):
        rows = [r for r in result["rows"] if (r["learned"], r["judged"]) == (learned, judged)]
        name = learned if learned == judged else f"{learned}, {judged}"
        also = "" if learned == judged else f", judged by {PERIODS[judged]}"
        beside = [
            f"; beside {PERIODS[first]} {gap['accuracy']:+.3f}, "
            f"{gap['balanced_accuracy']:+.3f}, {gap['macro_f1']:+.3f}"
            for pair, gap in result["difference"].items()
            for second, first in [pair.split(" minus ")]
            if second == name
        ]
        claims.append(
            (
                f"CRTS South, one training, {PERIODS[learned]}{also} ({len(rows)} seeds)",
                f"accuracy {_said(rows, 'accuracy')}, balanced "
                f"{_said(rows, 'balanced_accuracy')}, macro F1 {_said(rows, 'macro_f1')}"
                + "".join(beside),
            )
        )
    return claims


CLAIMS = {
    "classify_asas": surveys,
    "classify_levels": levels,
    "periods": periods,
}

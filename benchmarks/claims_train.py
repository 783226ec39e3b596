"""Claims of the README about networks, teachers and their baselines."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

from claims_members import CLAIMS as MEMBERS

NAMES = {
    "hard": "micro network, labels alone",
    "micro": "micro network, taught",
    "teacher": "teacher",
    "forest": "random forest on the same features",
    "iTCN": "iTCN rebuilt",
    "iResNet": "iResNet rebuilt",
}


def networks(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_crts.py`."""
    claims = []
    for model, name in NAMES.items():
        rows = [row for row in result["rows"] if row["model"] == model]
        if not rows:
            continue

        def said(key: str, rows: list[dict[str, Any]] = rows) -> str:
            values = [row[key] for row in rows]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            return f"{mean(values):.3f}{spread}"

        size = f", {rows[0]['parameters']:,} parameters" if "parameters" in rows[0] else ""
        seeds = "one seed" if len(rows) == 1 else f"{len(rows)} seeds"
        claims.append(
            (
                f"CRTS South, catalogue periods, {name}{size} ({seeds})",
                f"accuracy {said('accuracy')}, balanced {said('balanced_accuracy')}, macro F1 "
                f"{said('macro_f1')}; under estimated class shares accuracy "
                f"{said('accuracy_estimated')}",
            )
        )
    return claims


CLAIMS = {"classify_crts": networks, **MEMBERS}

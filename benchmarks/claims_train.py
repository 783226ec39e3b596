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


def distilled(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_distilled.py`."""
    n = len(result["seeds"])
    where = f"CRTS South, catalogue periods, distilled.toml ({n} seeds)"
    claims = []
    for row in result["rows"]:
        if row.get("rule") != "partly_estimated":
            continue

        def said(key: str, row: dict[str, Any] = row) -> str:
            return f"{mean(row[key]):.3f} ± {stdev(row[key]):.3f}"

        if "model" in row:
            plain = next(
                other
                for other in result["rows"]
                if other.get("model") == row["model"] and other["rule"] == "learned"
            )
            each = [mean(plain[k]) for k in ("accuracy", "balanced_accuracy", "macro_f1")]
            claims.append(
                (
                    f"{where}, {row['model']}, {mean(row['bytes']):,.0f} bytes, class shares "
                    f"{result['part']:.1f} of the way to the estimated ones",
                    f"accuracy {said('accuracy')}, balanced {said('balanced_accuracy')}, macro F1 "
                    f"{said('macro_f1')}; by the learned shares {each[0]:.3f}, {each[1]:.3f}, "
                    f"{each[2]:.3f}",
                )
            )
        else:
            gaps = [row[k] for k in ("balanced_accuracy", "macro_f1")]
            words = [f"{100 * g:+.1f} [{100 * a:+.1f}, {100 * b:+.1f}]" for g, a, b in gaps]
            claims.append(
                (
                    f"{where}, {row['second']} minus {row['first']}, points",
                    f"balanced {words[0]}, macro F1 {words[1]}",
                )
            )
    return claims


CLAIMS = {"classify_crts": networks, "classify_distilled": distilled, **MEMBERS}

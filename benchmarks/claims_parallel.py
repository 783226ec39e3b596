"""Claims of the README about training by several processes."""

from __future__ import annotations

from statistics import mean
from typing import Any


def parallel(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_parallel.py`."""
    rows = {row["kind"]: row for row in result["rows"]}
    alone, peer = rows["one process"], rows["two threads"]
    ways = ("data", "region", "output", "layer")
    speed = "; ".join(
        f"by {way} {rows[way]['speed_up']:.2f} ({sum(rows[way]['bytes'].values()) / 1e3:,.0f} kB a "
        "step and process)"
        for way in ways
    )
    claims = [
        (
            f"a training step of two processes, {result['preset']} network, batch of "
            f"{result['batch']}, {result['cores']} cores at load {result['load_average']:.0f}",
            f"times as fast as one process ({alone['wall_ms']:.0f} ms): {speed}; torch's own two "
            f"threads {peer['speed_up']:.2f}",
        )
    ]
    scores: dict[int, list[float]] = {}
    for row in result["accuracy"]:
        scores.setdefault(row["processes"], []).append(row["balanced_accuracy"])
    if scores:
        worst = max(row["largest_loss_difference"] for row in result["accuracy"])
        one, two = (
            f"{mean(scores[n]):.3f} ({min(scores[n]):.3f} to {max(scores[n]):.3f})" for n in (1, 2)
        )
        claims.append(
            (
                f"two processes against one, {result['accuracy'][0]['stars']:,} stars of the train "
                f"split of CRTS South, {len(scores[1])} seeds",
                f"balanced accuracy of held-out stars {two} and {one}; losses of all epochs differ "
                f"by at most {worst:.0e}",
            )
        )
    return claims

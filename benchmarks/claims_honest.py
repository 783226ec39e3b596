"""Claims of the README about calibration, class shares, conformal sets and unknown objects."""

from __future__ import annotations

from typing import Any


def honest(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_honest.py`."""
    rows = result["rows"]
    chosen = {
        row["way"]: row
        for row in rows
        if row["what"] == "calibration" and (row["side"], row["prior"]) == ("test", "estimate")
    }
    mine, peer = chosen["chosen on validation"], chosen["scikit-learn isotonic"]
    shares = next(row for row in rows if row["what"] == "shares" and row["side"] == "test")
    sets = next(r for r in rows if (r.get("score"), r.get("groups")) == ("aps", "class"))
    groups = [k.removeprefix("test ") for k in sets if k.startswith("test ")]
    groups = [name for name in groups if name not in ("overall", "size")]
    return [
        (
            "calibration error of the micro network on CRTS South test stars, shares estimated",
            f"{mine['ece_mass']:.4f} (scikit-learn's isotonic {peer['ece_mass']:.4f}); accuracy "
            f"{mine['accuracy']:.3f}, balanced {mine['balanced_accuracy']:.3f}",
        ),
        (
            "class shares of the CRTS South test stars, estimated without labels",
            f"{100 * shares['total_variation']:.1f} % of the stars in the wrong class share "
            f"(training shares: {100 * shares['total_variation_of_training_shares']:.0f} %)",
        ),
        (
            f"conformal sets of stated coverage {sets['stated']}",
            f"{sets['held_out overall']:.3f} on held-out validation stars, "
            f"{sets['test overall']:.3f} on test stars (by group "
            + ", ".join(f"{name} {sets[f'test {name}']:.3f}" for name in groups)
            + f"), {sets['test size']:.2f} classes a set",
        ),
    ]


def unknown(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_unknown.py`."""
    ways = {
        "combined": "unknown objects on CRTS South, area under the ROC curve",
        "isolation forest": "the same by scikit-learn's isolation forest",
        "supervised": "the same by boosted trees that know the left-out class (upper limit)",
    }
    test = [r for r in result["rows"] if r["what"] == "unknown" and r["side"] == "test"]
    size = next(row for row in result["rows"] if row["what"] == "size")
    claims = []
    for method, what in ways.items():
        found = ", ".join(
            f"{row['against']} {row['auroc']:.3f}" for row in test if row["method"] == method
        )
        if method == "combined":
            found += f"; {size['bytes']:,} bytes for {size['classes']} classes"
        claims.append((what, found))
    return claims


CLAIMS = {"honest": honest, "unknown": unknown}

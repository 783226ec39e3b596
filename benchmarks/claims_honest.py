"""Claims of the README about calibration, class shares, conformal sets and unknown objects."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any


def honest(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_honest.py`: means over seeds, with the spread."""
    rows = result["rows"]

    def told(key: str, which: dict[str, str], digits: int = 3) -> str:
        values = [r[key] for r in rows if all(r.get(k) == v for k, v in which.items())]
        spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):.{digits}f}{spread}"

    def calibrated(key: str, side: str, prior: str, way: str, digits: int = 4) -> str:
        where = {"what": "calibration", "side": side, "prior": prior, "way": way}
        return told(key, where, digits)

    mine, peer = "chosen on validation", "scikit-learn isotonic"
    sets = {"what": "conformal", "score": "aps", "groups": "class"}
    first = next(r for r in rows if all(r.get(k) == v for k, v in sets.items()))
    groups = [k.removeprefix("test ") for k in first if k.startswith("test ")]
    groups = [name for name in groups if name not in ("overall", "size")]
    shares = {"what": "shares", "side": "test"}
    about = f"{len(result['seeds'])} seeds"
    return [
        (
            f"calibration error of the micro network, searched periods ({about})",
            f"CRTS South test stars, shares estimated: "
            f"{calibrated('ece_width', 'test', 'estimate', mine)} (scikit-learn's isotonic "
            f"{calibrated('ece_width', 'test', 'estimate', peer)}), accuracy "
            f"{calibrated('accuracy', 'test', 'estimate', mine, 3)}, balanced "
            f"{calibrated('balanced_accuracy', 'test', 'estimate', mine, 3)}; validation stars at "
            f"their own shares {calibrated('ece_width', 'validation', 'train', mine)}",
        ),
        (
            "class shares of the CRTS South test stars, estimated without labels",
            f"{told('total_variation', shares)} of the stars in the wrong class share "
            f"(training shares: {told('total_variation_of_training_shares', shares, 2)})",
        ),
        (
            f"conformal sets of stated coverage {first['stated']} ({about})",
            f"{told('held_out overall', sets)} on held-out validation stars, "
            f"{told('test overall', sets)} on test stars (by group "
            + ", ".join(f"{name} {told(f'test {name}', sets)}" for name in groups)
            + f"), {told('test size', sets, 2)} classes a set",
        ),
    ]


def unknown(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `classify_unknown.py`: means over seeds, with the spread."""
    about = f"{len(result['seeds'])} seeds"
    ways = {
        "combined": f"unknown objects on CRTS South, area under the ROC curve ({about})",
        "isolation forest": "the same by scikit-learn's isolation forest",
        "supervised": "the same by boosted trees that know the left-out class (upper limit)",
    }
    test = [r for r in result["rows"] if r["what"] == "unknown" and r["side"] == "test"]
    sizes = [row for row in result["rows"] if row["what"] == "size"]
    claims = []
    for method, what in ways.items():
        mine = [row for row in test if row["method"] == method]
        told = []
        for against in dict.fromkeys(row["against"] for row in mine):
            values = [row["auroc"] for row in mine if row["against"] == against]
            spread = stdev(values) if len(values) > 1 else 0.0
            told.append(
                f"{against} {mean(values):.3f}" + (f" ± {spread:.3f}" if spread >= 5e-4 else "")
            )
        found = ", ".join(told)
        if method == "combined":
            size = mean(row["bytes"] for row in sizes)
            found += f"; {size:,.0f} bytes for {sizes[0]['classes']} classes"
        claims.append((what, found))
    return claims


CLAIMS = {"honest": honest, "unknown": unknown}

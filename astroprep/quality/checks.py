"""The checks of a survey: measures from the tally, in words and numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from astroprep.data import Meta
from astroprep.quality.conditions import Condition, judge
from astroprep.quality.drift import Drift
from astroprep.quality.measures import percentiles
from astroprep.quality.tally import PLAUSIBLE_MAG, Tally

__all__ = ["RARE", "conditions_of"]

RARE = 20  # objects: fewer leave nothing to test on once a tenth is set aside ten times
LONG_GAP = 0.6  # of the baseline
Measure = tuple[float, str]


class _Words:
    """Shares with their counts in words."""

    def __init__(self, tally: Tally) -> None:
        self.n_points, self.n_objects = tally.n_points, tally.n_objects

    def points(self, count: int) -> Measure:
        return _share(count, self.n_points), f"{count:,} of {self.n_points:,} points"

    def stars(self, count: int) -> Measure:
        return _share(count, self.n_objects), f"{count:,} of {self.n_objects:,} objects"


def conditions_of(
    tally: Tally,
    parts: dict[str, Any],
    conflicts: int,
    drifts: tuple[tuple[Drift, ...], tuple[str, ...]] | None,
) -> tuple[Condition, ...]:
    """Verdicts on the five conditions.

    Parameters
    ----------
    tally : Tally
        Of the whole survey.
    parts : dict
        Sections of the report by name.
    conflicts : int
        Groups of twins with two labels.
    drifts : tuple or None
        From `astroprep.quality.drift.compare`, where there is something to compare with.
    """
    say = _Words(tally)
    meta = tally.meta or Meta()
    return (
        judge("validity", _validity(tally, meta, say)),
        judge("accuracy and reliability", _accuracy(tally, parts, say)),
        judge("consistency", _consistency(tally, meta, parts, conflicts, drifts, say)),
        judge("completeness", _completeness(tally, parts, say)),
        judge("no redundancy", _redundancy(tally, parts, say)),
    )


def _validity(tally: Tally, meta: Meta, say: _Words) -> dict[str, Measure]:
    dec, median = tally.column("dec"), tally.column("median")
    placed = np.isfinite(tally.column("ra")) & np.isfinite(dec)
    impossible = int(np.count_nonzero(placed & (np.abs(dec) > 90)))
    odd = 0
    if meta.quantity == "mag":
        odd = int(np.count_nonzero((median < PLAUSIBLE_MAG[0]) | (median > PLAUSIBLE_MAG[1])))
    frozen = (tally.column("n_usable") >= 5) & (tally.column("scatter") == 0)
    return {
        "bad times": say.points(tally.flags["bad_time"]),
        "sentinel values": say.points(tally.flags["sentinel"]),
        "absurd values": say.points(tally.n_absurd),
        "impossible positions": say.stars(impossible),
        "implausible brightness": say.stars(odd),
        "curves of one value": say.stars(int(np.count_nonzero(frozen))),
    }


def _accuracy(tally: Tally, parts: dict[str, Any], say: _Words) -> dict[str, Measure]:
    honesty = percentiles(tally.column("honesty"))
    middle, low, high = honesty["median"], honesty["p16"], honesty["p84"]
    off = max(middle, 1 / middle) if middle > 0 else np.nan
    spread = high / low if low > 0 else np.nan
    return {
        "outlying points": say.points(tally.flags["outlier"]),
        "misquoted errors": (
            off,
            f"the scatter within an hour is {middle:.2g} times the quoted error"
            if middle > 0
            else "no objects with errors and points within an hour of each other",
        ),
        "spread of misquoting": (
            spread,
            f"from {low:.2g} to {high:.2g} times (16 % to 84 % of the objects)"
            if low > 0
            else "not known",
        ),
        "nights off in zero point": _nights(parts, "zero point"),
        "noisy nights": _nights(parts, "noise"),
        "nights with other error bars": _nights(parts, "error bars"),
    }


def _nights(parts: dict[str, Any], kind: str) -> Measure:
    judged, bad = parts["nights"]["judged"][kind], parts["nights"]["bad"][kind]
    if not judged:
        return np.nan, "no night with enough stars to judge"
    return bad / judged, f"{bad:,} of {judged:,} nights that can be judged"


def _consistency(
    tally: Tally,
    meta: Meta,
    parts: dict[str, Any],
    conflicts: int,
    drifts: tuple[tuple[Drift, ...], tuple[str, ...]] | None,
    say: _Words,
) -> dict[str, Measure]:
    spellings = Counter(label.casefold().replace(" ", "") for label in {k[0] for k in tally.labels})
    variants = sum(count - 1 for count in spellings.values())
    known = meta.time_ref is not None
    return {
        "unknown time system": (
            np.nan if not tally.n_objects else float(not known),
            f"times are {meta.time_scale}" if known else "the file does not say",
        ),
        "unsorted curves": say.stars(parts["objects"]["unsorted"]),
        "labels spelled in several ways": (float(variants), f"{variants} labels"),
        "twins with different labels": say.stars(conflicts),
        **({} if drifts is None else {"drift from training": _drift(*drifts)}),
    }


def _drift(drifts: tuple[Drift, ...], differences: tuple[str, ...]) -> Measure:
    known = [drift for drift in drifts if drift.verdict != "unknown"]
    if differences:
        return 2.0, "; ".join(differences)
    if not known:
        return np.nan, "nothing to compare"
    moved = [drift for drift in known if drift.verdict != "good"]
    rank = float(max({"good": 0, "fair": 1, "poor": 2}[drift.verdict] for drift in known))
    words = "; ".join(drift.text for drift in moved[:3])
    return rank, f"{len(moved)} of {len(known)} measures moved" + (f": {words}" if words else "")


def _completeness(tally: Tally, parts: dict[str, Any], say: _Words) -> dict[str, Measure]:
    placed = np.isfinite(tally.column("ra")) & np.isfinite(tally.column("dec"))
    usable = tally.column("n_usable")
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = tally.column("gap") / tally.column("span")
    lonely = (usable >= 5) & (gap > LONG_GAP)
    n_bands, all_bands = tally.column("n_bands"), len(tally.bands)
    without = int(np.count_nonzero(n_bands < all_bands))
    return {
        "missing values": say.points(tally.flags["missing_value"]),
        "missing errors": say.points(tally.n_unknown_errors),
        "short curves": say.stars(parts["objects"]["short"]),
        "objects without a position": say.stars(int(np.count_nonzero(~placed))),
        "unreadable objects": say.stars(sum(parts["objects"]["unreadable"].values())),
        "points marked by the survey": (
            say.points(tally.flags["survey"])
            if tally.has_survey_flags or tally.flags["survey"]
            else (np.nan, "the file has no flags of the survey")
        ),
        "nights of bad points": _nights(parts, "bad points"),
        "curves with one long gap": say.stars(int(np.count_nonzero(lonely))),
        "objects without all bands": (
            say.stars(without) if all_bands > 1 else (np.nan, "the survey has one band")
        ),
        **_classes(parts["classes"], say),
    }


def _classes(classes: dict[str, dict[str, int]], say: _Words) -> dict[str, Measure]:
    counts = {name: sum(split.values()) for name, split in classes.items() if name}
    if not counts:
        nothing = (np.nan, "the survey has no labels")
        return {"rare classes": nothing, "objects without a label": nothing}
    rare = sorted((count, name) for name, count in counts.items() if count < RARE)
    words = ", ".join(f"{name} ({count})" for count, name in rare[:6]) or "none"
    return {
        "rare classes": (
            len(rare) / len(counts),
            f"{len(rare)} of {len(counts)} classes have fewer than {RARE} objects: {words}",
        ),
        "objects without a label": say.stars(sum(classes.get("", {}).values())),
    }


def _redundancy(tally: Tally, parts: dict[str, Any], say: _Words) -> dict[str, Measure]:
    found = parts["redundancy"]
    correlated = found["correlated_columns"]
    telling = found["telling_columns"]
    return {
        "repeated points": say.points(tally.flags["duplicate"]),
        "repeated ids": say.stars(found["repeated_ids"]),
        "twins": say.stars(found["objects"]),
        "twins across the split": say.stars(found["crossing"]),
        "redundant columns": (
            float(len(found["redundant_columns"])),
            ", ".join(f"{a} = {b}" for a, b in found["redundant_columns"]) or "none",
        ),
        "correlated columns": (
            float(len(correlated)),
            ", ".join(f"{a} and {b} ({r:+.3f})" for a, b, r in correlated) or "none",
        ),
        "columns that give the label away": (
            float(len(telling)),
            "; ".join(
                f"{name} is there for all of {', '.join(have[:4])}"
                f"{f' and {len(have) - 4} more' if len(have) > 4 else ''}, for none of the others"
                for name, have in telling
            )
            or "none",
        ),
    }


def _share(count: int, total: int) -> float:
    return count / total if total else float("nan")

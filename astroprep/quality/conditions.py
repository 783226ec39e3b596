"""Five conditions of good data, each a few checks with limits and a verdict."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CONDITIONS", "LIMITS", "Check", "Condition", "Limits", "judge"]

Verdict = Literal["good", "fair", "poor", "unknown"]

CONDITIONS = {
    "validity": "values are of the right kind and within what nature and the survey allow",
    "accuracy and reliability": "values are near the truth and the error bars say how near",
    "consistency": "what the survey says in two places agrees",
    "completeness": "nothing that is needed is missing",
    "no redundancy": "nothing is there twice",
}


@dataclass(frozen=True)
class Limits:
    """Up to where a measure is good, and up to where it is fair; beyond it is poor.

    Parameters
    ----------
    good, fair : float
        ``good <= fair``; both are included.
    """

    good: float
    fair: float


# Fractions unless said. A thousandth of bad points changes nothing downstream, a hundredth can
# be seen in features, a tenth means that a column was misread.
LIMITS = {
    "bad times": Limits(1e-3, 1e-2),
    "sentinel values": Limits(1e-3, 1e-2),
    "absurd values": Limits(1e-4, 1e-3),
    "impossible positions": Limits(0.0, 1e-3),
    "implausible brightness": Limits(0.0, 1e-3),
    "curves of one value": Limits(1e-3, 1e-2),
    "outlying points": Limits(5e-3, 5e-2),
    "misquoted errors": Limits(1.5, 3.0),  # factor, either way
    "spread of misquoting": Limits(2.0, 4.0),  # factor between the 16th and 84th percentile
    # of the nights that can be judged; what makes a night bad: nightly.NIGHT_LIMITS
    "nights off in zero point": Limits(0.02, 0.1),
    "noisy nights": Limits(0.02, 0.1),
    "nights with other error bars": Limits(0.02, 0.1),
    "unknown time system": Limits(0.0, 0.5),  # 0 or 1
    "unsorted curves": Limits(0.0, 0.5),
    "labels spelled in several ways": Limits(0.0, 0.0),  # count
    "twins with different labels": Limits(0.0, 1e-3),
    "drift from training": Limits(0.0, 1.0),  # 1 for small, 2 for large
    "missing values": Limits(1e-2, 1e-1),
    "missing errors": Limits(1e-2, 1e-1),
    "short curves": Limits(1e-2, 1e-1),
    "objects without a position": Limits(0.0, 0.5),
    "unreadable objects": Limits(0.0, 1e-3),
    "points marked by the survey": Limits(5e-2, 3e-1),
    "nights of bad points": Limits(0.02, 0.1),
    "curves with one long gap": Limits(0.05, 0.3),
    "objects without all bands": Limits(0.05, 0.5),
    "rare classes": Limits(0.0, 0.25),  # of the classes
    "objects without a label": Limits(0.05, 0.5),
    "repeated points": Limits(1e-3, 1e-2),
    "repeated ids": Limits(0.0, 1e-3),
    "twins": Limits(1e-3, 2e-2),
    "twins across the split": Limits(0.0, 1e-3),
    "redundant columns": Limits(0.0, 1.0),  # count
    "correlated columns": Limits(0.0, 3.0),  # count
    "columns that give the label away": Limits(0.0, 0.0),  # count
}


@dataclass(frozen=True)
class Check:
    """One measure against its limits.

    Parameters
    ----------
    name : str
        Key of `LIMITS`.
    value : float or None
        The measure; None where it could not be taken.
    limits : Limits
        What it was held against.
    verdict : {"good", "fair", "poor", "unknown"}
        The outcome.
    text : str
        The measure in words, with counts.
    """

    name: str
    value: float | None
    limits: Limits
    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Condition:
    """One of the five conditions; its verdict is the worst of its checks that could be made."""

    name: str
    meaning: str
    verdict: Verdict
    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def judge(name: str, measures: dict[str, tuple[float, str]]) -> Condition:
    """Hold measures against their limits.

    Parameters
    ----------
    name : str
        Key of `CONDITIONS`.
    measures : dict of str to (float, str)
        By the name of the check: the measure (NaN for unknown) and its words.

    Returns
    -------
    Condition
        With one check a measure.
    """
    checks = []
    for what, (value, text) in measures.items():
        limits = LIMITS[what]
        verdict: Verdict
        if not math.isfinite(value):
            verdict = "unknown"
        elif value <= limits.good:
            verdict = "good"
        else:
            verdict = "fair" if value <= limits.fair else "poor"
        known = value if math.isfinite(value) else None
        checks.append(Check(what, known, limits, verdict, text))
    ranks: list[Verdict] = ["unknown", "good", "fair", "poor"]
    worst = ranks[max((ranks.index(check.verdict) for check in checks), default=0)]
    return Condition(name, CONDITIONS[name], worst, tuple(checks))

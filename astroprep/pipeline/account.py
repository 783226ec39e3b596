"""Where every object of an input went, and who is told how far the work is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from astroprep.data import Rejected

__all__ = ["Counts", "Progress", "silent"]

Progress = Callable[[str, int, int | None], None]
"""Told a stage, how much of it is done, and of how much (None: not known)."""


def silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


@dataclass
class Counts:
    """Objects in, out and set aside.

    Parameters
    ----------
    input, result, rejected : int
        ``input == result + rejected``.
    reasons : dict of str to int
        Rejected objects by step and reason; what each object had is left out, so that those
        with 3 points and those with 4 count together.
    """

    input: int = 0
    result: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, n_result: int, rejected: Rejected) -> None:
        """Count one more batch."""
        self.result += n_result
        self.rejected += len(rejected)
        self.input += n_result + len(rejected)
        for step, why in zip(rejected.step, rejected.reason, strict=True):
            key = f"{step}: {re.sub(r', has .*', '', why)}"
            self.reasons[key] = self.reasons.get(key, 0) + 1

    def to_dict(self) -> dict[str, int]:
        """The three numbers."""
        return {"input": self.input, "result": self.result, "rejected": self.rejected}

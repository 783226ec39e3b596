"""`Rejected`: the objects that steps could not serve, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rejected"]


@dataclass(frozen=True, eq=False)
class Rejected:
    """Objects that a step could not serve, one row each.

    Parameters
    ----------
    row : int64 array, shape (n_rejected,)
        Row of the object in the input.
    id, step, reason : object arrays of str, shape (n_rejected,)
        Which object, who refused it and why.
    label, split : object arrays of str, shape (n_rejected,)
        What the input said of it, empty where nothing: a rejected test object counts as wrong.
    """

    row: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    id: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    step: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    reason: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    label: NDArray[np.object_] = None  # type: ignore[assignment]
    split: NDArray[np.object_] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in ("label", "split"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(self.row.size, "", dtype=object))

    def __len__(self) -> int:
        return int(self.row.size)

    @classmethod
    def concat(cls, parts: Iterable[Rejected]) -> Rejected:
        """Rows of all parts, in their order."""
        kept = [part for part in parts if len(part)]
        if not kept:
            return cls()
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in kept])
                for name in ("row", "id", "step", "reason", "label", "split")
            }
        )

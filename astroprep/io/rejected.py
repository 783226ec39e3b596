"""The list of objects that were not served, beside a result whose format has no place for it."""

from __future__ import annotations

import csv
from pathlib import Path

from astroprep.data import Rejected
from astroprep.io.files import replaced

__all__ = ["list_rejected", "rejected_path"]


def rejected_path(out: str | Path) -> Path:
    """Where the objects that no step served are listed: ``x.rejected.csv`` beside ``x.parquet``."""
    return Path(out).with_suffix(".rejected.csv")


def list_rejected(path: Path, away: Rejected) -> None:
    """Write the list, or take an old one away.

    Parameters
    ----------
    path : Path
        See `rejected_path`.
    away : Rejected
        One row each: id, row, step and reason.

    Raises
    ------
    DataError
        If the system refuses.
    """
    if not len(away):
        path.unlink(missing_ok=True)
        return
    with replaced(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "row", "step", "reason"])
        rows.writerows(zip(away.id, away.row, away.step, away.reason, strict=True))

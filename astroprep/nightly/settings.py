"""Choices of a night, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

__all__ = ["COUNTS", "NightOptions", "NightResult"]

BATCH = 20_000  # alerts that are stored together: 100 MB of rows, and few files a night
COUNTS = (
    "received",
    "new",
    "duplicate",
    "dead",
    "limits",
    "observations",
    "withdrawn",
    "changed",
    "classified",
    "rejected",
    "by_features",
    "class_changes",
    "unknown",
    "searched",
    "verified",
)
"""What is counted: received = new + duplicate + dead, changed = classified + rejected."""


@dataclass(frozen=True)
class NightOptions:
    """Choices of a night.

    Parameters
    ----------
    night : str
        Name of the night, such as ``2026-11-30``; the UTC date of the start if empty.
    survey : str
        Of a new state, where packets shall not be asked.
    band_map, unknown_below, few
        See `NightClassifier`.
    batch : int
        Alerts that are stored together.
    order : int
        HEALPix order of a new state.
    registry : str
        See `schema_registry`; none if empty.
    follow : bool
        Wait for more alerts.
    publish : str
        Topic for the classifications, see `publish`; none if empty.
    storage_options : mapping
        Of an object store.
    """

    night: str = ""
    survey: str = ""
    band_map: tuple[str, ...] = ()
    unknown_below: float = 0.5
    few: str | Path | None = None
    batch: int = BATCH
    order: int = 2
    registry: str = ""
    follow: bool = False
    publish: str = ""
    storage_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NightResult:
    """What came of a night.

    Parameters
    ----------
    night : str
        Its name.
    counts : dict of str to int
        See `COUNTS`, of all batches of this call and of those that an interrupted one had stored.
    classifications : pyarrow.Table
        Rows of `CLASSIFICATIONS` of these batches.
    seconds, cpu_seconds : float
        That this call took.
    runs : tuple of int
        In the ledger.
    n_resumed : int
        Of the alerts received, those that an interrupted call had stored: in no time of this one.
    complete : bool
        Whether the source came to its end; False if it was stopped before.
    """

    night: str
    counts: dict[str, int]
    classifications: pa.Table
    seconds: float
    cpu_seconds: float
    runs: tuple[int, ...]
    n_resumed: int = 0
    complete: bool = True

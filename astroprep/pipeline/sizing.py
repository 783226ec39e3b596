"""How many objects fit into a ceiling on memory."""

from __future__ import annotations

import sys
from pathlib import Path

from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, open_survey
from astroprep.pipeline.classify import BATCH_OBJECTS

__all__ = ["objects_within"]

PROBE = 200  # objects that are read to know their size
COPIES = 12  # of a batch, in what steps make of it and hold at the same time
OBJECT_BYTES = 40_000  # folded channels, features, candidates and Python strings of one object
SAFETY = 2.0  # later objects may be longer than the first


def _resident() -> int:
    """Bytes that this process holds at its highest, interpreter and libraries included."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def objects_within(
    ceiling: int, source: str | Path, names: ColumnNames, *, most: int = BATCH_OBJECTS
) -> int:
    """Objects a batch so that a process stays below a ceiling.

    Parameters
    ----------
    ceiling : int
        Bytes, of the whole process.
    source : path
        Survey; its first 200 objects are read.
    names : ColumnNames
        Columns to read.
    most : int, default 2000
        More are never asked for: larger batches are not faster.

    Returns
    -------
    int
        Between 1 and `most`.

    Raises
    ------
    ConfigError
        If not even one object fits beside the program itself; the message says what would do.

    Notes
    -----
    A model, with a factor of two to spare: what the process holds after the first objects were
    read, and for each object of a batch twelve copies of its points and 40 kB.
    """
    with open_survey(source, names, on_bad="reject") as survey:
        first = next(iter(survey.iter_batches(PROBE)))
    per_point = 8 * 3 + (0 if first.band is None else 2) + 8 * len(first.points) + 12
    points = first.time.size / max(len(first), 1)
    one = SAFETY * (COPIES * per_point * points + OBJECT_BYTES)
    base = _resident()
    fits = int((ceiling - base) / one)
    if fits < 1:
        raise ConfigError(
            f"--memory {ceiling / 1e6:,.0f} MB is not enough: the program holds "
            f"{base / 1e6:,.0f} MB and an object needs up to {one / 1e6:,.1f} MB; "
            f"give {1.2 * (base + one) / 1e6:,.0f} MB or more"
        )
    return min(fits, most)

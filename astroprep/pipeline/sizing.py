"""How many objects fit into a ceiling on memory."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, open_survey
from astroprep.pipeline.classify import BATCH_OBJECTS
from astroprep.pipeline.prepare import Prepared

__all__ = ["check_learning", "objects_within"]

PROBE = 200  # objects that are read to know their size
COPIES = 12  # of a batch, in what steps make of it and hold at the same time
OBJECT_BYTES = 40_000  # folded channels, features, candidates and Python strings of one object
TABLE_BYTES = 3000  # of an object in the tables of a run, answers and report included
LEARNING_COPIES = 6  # of what the network takes, in training arrays and tensors
SAFETY = 2.0  # later objects may be longer than the first


def _resident() -> int:
    """Bytes that this process held at its highest, interpreter and libraries included."""
    status = Path("/proc/self/status")
    if status.exists():  # what `getrusage` says begins with the size of the starting process
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found is not None:
            return 1024 * int(found[1])
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


def check_learning(ceiling: int, n_objects: int, n_learned: int, sample: Prepared) -> None:
    """Refuse a run that would grow beyond a ceiling, before its light curves are prepared.

    Parameters
    ----------
    ceiling : int
        Bytes, of the whole process.
    n_objects : int
        Of the input; the tables of a run have a row for each.
    n_learned : int
        Training and validation objects, whose inputs of the network are held together.
    sample : Prepared
        A few of them.

    Raises
    ------
    ConfigError
        If it does not fit; the message says what would.

    Notes
    -----
    A model: what the process holds by now, 3 kB for each object, and six copies of
    what the network takes of each that is learned from.
    """
    width = sample.folded.itemsize * int(np.prod(sample.folded.shape[1:]))
    one = LEARNING_COPIES * (width + 8 * sample.features.shape[1])
    need = _resident() + TABLE_BYTES * n_objects + one * n_learned
    if need > ceiling:
        raise ConfigError(
            f"--memory {ceiling / 1e6:,.0f} MB is not enough to learn from {n_learned:,} of "
            f"{n_objects:,} objects, which takes up to {need / 1e6:,.0f} MB; give that, or learn "
            "from fewer with max_train in [split]"
        )

"""Keeping a state in shape: compaction, backup, what it holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from astroprep.errors import ConfigError, DataError
from astroprep.nightly.lock import is_local
from astroprep.nightly.merge import latest_objects, merge_observations
from astroprep.nightly.rows import OBSERVATIONS
from astroprep.nightly.state import State

__all__ = ["backup", "compact", "current_observations", "describe_state"]

TABLES = ("runs", "observations", "objects", "classifications", "dead_letters")  # runs first
LOG = "_delta_log"


def current_observations(state: State, where: pc.Expression | None = None) -> pa.Table:
    """Observations as they stand: one row each, by object and time, with the run it is from."""
    rows = state.read("observations", where=where)
    return merge_observations(rows, rows.schema.empty_table()).current


def compact(state: State) -> dict[str, int]:
    """Write observations and objects anew, without rows that later ones have replaced.

    The tables that only grow keep every row; their files, one of each batch, are joined.

    Parameters
    ----------
    state : State
        Opened for writing.

    Returns
    -------
    dict of str to int
        Rows before and after, by table, and files of old versions that were removed: those that
        nobody could need who opened the state within the last week.

    Notes
    -----
    It is a run like any other: who reads meanwhile sees the state before it. It takes the memory
    of one table.
    """
    before = {name: state.read(name, ["run"]).num_rows for name in ("observations", "objects")}
    observations = current_observations(state).select(OBSERVATIONS.names)
    objects = latest_objects(state.read("objects"))
    state.commit("compact", {"observations": observations, "objects": objects}, replace=True)
    state.pack()
    removed = state.vacuum()
    return {
        "files_removed": removed,
        "observations_before": before["observations"],
        "observations": observations.num_rows,
        "objects_before": before["objects"],
        "objects": objects.num_rows,
    }


def backup(url: str, to: str | Path) -> None:
    """Copy a local state while others may write to it.

    Parameters
    ----------
    url : str
        Folder of the state.
    to : path
        Folder that is not there yet.

    Raises
    ------
    ConfigError
        If the state is in an object store, whose own tools copy it (the folder ``runs`` first),
        or there is none.
    DataError
        If the copy exists or cannot be written.

    Notes
    -----
    The ledger is copied first: tables only grow, so that each copy has at least what the copied
    ledger says. What it has beyond is put back by the next writer. Of each table the log goes
    first, so that no log names a file that was written behind its folder's listing.
    """
    if not is_local(url):
        raise ConfigError(f"{url}: copy it with the tools of the object store, folder runs first")
    source, target = Path(url), Path(to)
    if not (source / "runs").is_dir():
        raise ConfigError(f"there is no state at {url}")
    try:
        target.mkdir(parents=True)
        for name in TABLES:
            _copy_table(source / name, target / name)
    except OSError as error:
        raise DataError(f"{to} cannot be written: {error.strerror or error}") from error


def _copy_table(source: Path, target: Path) -> None:
    """Log, then files; not those that are being written, nor a pointer into the log."""
    half = shutil.ignore_patterns("*#*", "_last_checkpoint")
    shutil.copytree(source / LOG, target / LOG, ignore=half)
    rest = shutil.ignore_patterns("*#*", LOG)
    shutil.copytree(source, target, ignore=rest, dirs_exist_ok=True)


def describe_state(state: State) -> dict[str, Any]:
    """What a state holds: survey, nights, rows."""
    runs = state.runs
    nights = runs.filter(pc.equal(runs["kind"], "night"))
    return {
        "url": state.url,
        "survey": state.about.survey,
        "version": state.about.version,
        "healpix_order": state.about.order,
        "runs": runs.num_rows,
        "nights": len(pc.unique(nights["night"])),
        "last_run": int(state.last["run"]),
        "rows": {name: state.read(name, ["run"]).num_rows for name in TABLES[1:]},
    }

"""Options for inputs that outgrow a machine: a cluster, or a ceiling on memory."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astroprep.errors import ConfigError

if TYPE_CHECKING:
    from astroprep.scale.work import Work

__all__ = ["Cluster", "Engine", "EngineOption", "Memory", "batch_objects", "bytes_of", "on_cluster"]


class Engine(StrEnum):
    """Where the work is done."""

    local = "local"
    lsdb = "lsdb"


EngineOption = Annotated[
    Engine,
    typer.Option(help="lsdb: each partition of a HATS catalogue is a task of a Dask cluster."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler for --engine lsdb; by default --jobs processes of this machine.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Ceiling a process, such as 2GB: sets the batch size."),
]

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def bytes_of(text: str) -> int:
    """Bytes that ``2GB``, ``500 MB`` or ``1GiB`` says.

    Raises
    ------
    ConfigError
        If it says no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?)?B?", text.strip().upper())
    if found is None:
        raise ConfigError(f"--memory {text}: give a size such as 2GB, 500MB or 1GiB")
    return int(float(found[1]) * UNITS[found[2] or ""])


def batch_objects(memory: str | None, source: str | Path, names: Any) -> int:
    """Objects a batch for a ceiling on memory; as many as ever without one.

    Parameters
    ----------
    memory : str or None
        Of ``--memory``.
    source : path
        Survey, the first objects of which are read to know their size.
    names : ColumnNames
        Columns to read.

    Raises
    ------
    ConfigError
        If it says no size, or not even one object fits.
    """
    from astroprep.pipeline.classify import BATCH_OBJECTS

    if memory is None:
        return BATCH_OBJECTS
    from astroprep.pipeline.sizing import objects_within

    return objects_within(bytes_of(memory), source, names)


def on_cluster(
    work: Work,
    source: str | Path,
    out: Path,
    *,
    cluster: str | None,
    jobs: int | None,
    schema: str | None,
    memory: str | None,
    progress: Any,
) -> Any:
    """Counts of the work on a cluster.

    Raises
    ------
    ConfigError
        If a schema is named: a HATS catalogue says itself what its columns are.
    """
    from astroprep.scale import run_on_cluster

    if schema is not None:
        raise ConfigError("--schema is for survey tables; --engine lsdb reads HATS catalogues")
    return run_on_cluster(
        work,
        source,
        out,
        cluster=cluster,
        n_processes=jobs or 1,
        batch_objects=batch_objects(memory, source, work.names),
        progress=progress,
    )

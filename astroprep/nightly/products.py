"""What a night leaves for people and programs: tables, a summary, metrics."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astroprep.errors import ConfigError, DataError
from astroprep.io import AstroTable, astro_bytes, make_provenance, replaced
from astroprep.nightly.settings import NightResult

__all__ = ["check_folder", "product_path", "summary", "write_metrics", "write_products"]

UNITS = {"period": "d"}
GAUGES = {
    "seconds": "Wall-clock time of the last night.",
    "cpu_seconds": "Processor time of the last night.",
    "finished_timestamp_seconds": "When the last night ended, Unix time.",
}


def summary(result: NightResult) -> dict[str, Any]:
    """Counts and times of a night, as JSON can hold them."""
    alerts = max(result.counts["received"] - result.n_resumed, 1)
    return {
        "night": result.night,
        "counts": result.counts,
        "seconds": round(result.seconds, 3),
        "cpu_seconds": round(result.cpu_seconds, 3),
        "cpu_ms_per_alert": round(1e3 * result.cpu_seconds / alerts, 4),
        "runs": list(result.runs),
    }


def product_path(out: str | Path, night: str, kind: str) -> Path:
    """File of a night.

    Raises
    ------
    ConfigError
        If the name of the night cannot name one.
    """
    if "/" in night or "\0" in night or night.startswith("."):
        raise ConfigError(f"--night {night!r} cannot name a file")
    return Path(out) / f"{night}.{kind}"


def check_folder(folder: str | Path, option: str) -> None:
    """Refuse, before a night is run, a folder that nothing could be written to behind it.

    Raises
    ------
    DataError
        If the folder is not there and cannot be made, or refuses a file.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{option}: {folder} cannot be written: {why}; nothing was run") from error


def write_products(
    result: NightResult, out: str | Path, said: pa.Table | None = None
) -> list[Path]:
    """Write the classifications of a night as Parquet and VOTable, and its summary as JSON.

    Parameters
    ----------
    result : NightResult
        Of `run_night`.
    out : path
        Folder; ``NIGHT.parquet``, ``NIGHT.vot`` and ``NIGHT.json`` are written to it, each whole
        or not at all.
    said : pyarrow.Table, optional
        Rows of `CLASSIFICATIONS` in place of those of the result, such as all that the state
        has of the night.

    Raises
    ------
    DataError
        If they cannot be written.
    """
    paths = [product_path(out, result.night, kind) for kind in ("parquet", "vot", "json")]
    record = make_provenance("nightly", **summary(result))
    rows = result.classifications if said is None else said
    table = rows.replace_schema_metadata({"astroprep": json.dumps(record)})
    with replaced(paths[0]) as part:
        pq.write_table(table, part, compression="zstd")
    with replaced(paths[1]) as part:
        part.write_bytes(astro_bytes(_astro(rows), "votable", record))
    with replaced(paths[2]) as part:
        part.write_text(json.dumps(summary(result), indent=1) + "\n", encoding="utf-8")
    return paths


def _astro(table: pa.Table) -> AstroTable:
    """Columns that a VOTable can hold: texts, numbers, switches."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_list(column.type) or name == "classes":
            continue
        if pa.types.is_timestamp(column.type):
            column = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
        if pa.types.is_string(column.type):
            columns[name] = np.array(pc.fill_null(column, "").to_pylist(), object)
        else:
            columns[name] = column.to_numpy()
    return AstroTable(columns, {k: u for k, u in UNITS.items() if k in columns}, {}, {}, {})


def write_metrics(result: NightResult, path: str | Path, finished: float) -> None:
    """Write the counts of a night for the text-file collector of Prometheus' node exporter.

    Parameters
    ----------
    result : NightResult
        Of `run_night`.
    path : path
        A file ``*.prom``; it appears whole.
    finished : float
        Unix time.
    """
    lines = []
    for name, count in result.counts.items():
        metric = f"astroprep_nightly_{name}"
        lines += [
            f"# HELP {metric} Number of {name.replace('_', ' ')} in the last night.",
            f"# TYPE {metric} gauge",
            f"{metric} {count}",
        ]
    values = dict(zip(GAUGES, (result.seconds, result.cpu_seconds, finished), strict=True))
    for name, words in GAUGES.items():
        metric = f"astroprep_nightly_{name}"
        lines += [
            f"# HELP {metric} {words}",
            f"# TYPE {metric} gauge",
            f"{metric} {values[name]:.3f}",
        ]
    with replaced(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")

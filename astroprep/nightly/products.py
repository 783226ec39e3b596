"""What a night leaves for people and programs: tables, a summary, metrics, messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from astroprep.errors import ConfigError, DataError
from astroprep.io import AstroTable, astro_bytes, make_provenance, replaced
from astroprep.nightly.run import NightResult
from astroprep.optional import need

__all__ = ["product_path", "publish", "summary", "write_metrics", "write_products"]

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


def write_products(result: NightResult, out: str | Path) -> list[Path]:
    """Write the classifications of a night as Parquet and VOTable, and its summary as JSON.

    Parameters
    ----------
    result : NightResult
        Of `run_night`.
    out : path
        Folder; ``NIGHT.parquet``, ``NIGHT.vot`` and ``NIGHT.json`` are written to it, each whole
        or not at all.

    Raises
    ------
    DataError
        If they cannot be written.
    """
    paths = [product_path(out, result.night, kind) for kind in ("parquet", "vot", "json")]
    record = make_provenance("nightly", **summary(result))
    table = result.classifications.replace_schema_metadata({"astroprep": json.dumps(record)})
    with replaced(paths[0]) as part:
        pq.write_table(table, part, compression="zstd")
    with replaced(paths[1]) as part:
        part.write_bytes(astro_bytes(_astro(result.classifications), "votable", record))
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


def publish(table: pa.Table, address: str, producer: Any = None) -> int:
    """Send classifications to a Kafka topic, one JSON message an object, keyed by its name.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of `CLASSIFICATIONS`.
    address : str
        ``kafka://HOST:PORT/TOPIC``; further parameters are settings of the client.
    producer : object, optional
        With the methods of ``confluent_kafka.Producer``; made from the address otherwise.

    Returns
    -------
    int
        Messages that the broker has confirmed.

    Raises
    ------
    ConfigError
        If the address is none.
    DataError
        If some were not confirmed; the state has them all the same.
    """
    parts = urlsplit(address)
    topic = parts.path.strip("/")
    if parts.scheme != "kafka" or not parts.netloc or not topic:
        raise ConfigError(f"--publish {address}: write kafka://HOST:PORT/TOPIC")
    if producer is None:
        settings: Mapping[str, str] = {k: v[-1] for k, v in parse_qs(parts.query).items()}
        kafka = need("confluent_kafka", extra="stream", who="A Kafka topic")
        producer = kafka.Producer({"bootstrap.servers": parts.netloc, **settings})
    failed: list[str] = []

    def told(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(str(error))

    for batch in table.to_batches(1000):
        for row in batch.to_pylist():
            row["time"] = row["time"].isoformat()
            message = json.dumps({k: v for k, v in row.items() if v is not None})
            while True:
                try:
                    producer.produce(topic, message.encode(), row["object_id"], on_delivery=told)
                    break
                except BufferError:  # its queue is full: let it send
                    producer.poll(0.5)
        producer.poll(0)
    left = producer.flush(60)
    if left or failed:
        raise DataError(
            f"--publish: {left + len(failed)} of {table.num_rows} messages were not confirmed "
            f"({failed[0] if failed else 'no answer within a minute'}); the state holds them all"
        )
    return int(table.num_rows)

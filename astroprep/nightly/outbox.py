"""What was said goes to a Kafka topic: every row at least once, whatever comes between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from astroprep.errors import ConfigError, DataError
from astroprep.nightly.sources import QUIET, public_address
from astroprep.nightly.state import State
from astroprep.optional import need

__all__ = ["Outbox", "connect", "publish"]

ANSWER = 10.0  # seconds that a broker has to answer before anything is begun


class Outbox:
    """Sends the classifications of a state to a topic, and notes in the ledger how far it is.

    Parameters
    ----------
    state : State
        Opened for writing.
    address : str
        See `publish`.
    producer : object
        See `connect`.

    Notes
    -----
    The ledger is written behind the broker's confirmation. Killed in between, or refused by the
    broker, the rows are sent when the state is next opened with this address: none is left out,
    and some may come twice. What a state says before the address is first used is not sent.
    """

    def __init__(self, state: State, address: str, producer: Any) -> None:
        self._state, self._address, self._producer = state, address, producer
        self._name = public_address(address)
        rows = state.runs.select(["kind", "source", "counts"])
        mine = rows.filter(
            pc.and_(pc.equal(rows["kind"], "publish"), pc.equal(rows["source"], self._name))
        )
        if mine.num_rows:
            counts = [json.loads(one) for one in mine["counts"].to_pylist()]
            self._sent = max(int(one["through"]) for one in counts)
        else:
            self._note()

    def send(self) -> int:
        """Send what was said and not yet sent, and give the number of messages."""
        waiting = self._state.read("classifications", where=pc.field("run") > self._sent)
        if not waiting.num_rows:
            return 0
        sent = publish(waiting.drop_columns(["run"]), self._address, self._producer)
        self._note()
        return sent

    def _note(self) -> None:
        through = int(self._state.last["run"])
        self._state.commit("publish", {}, source=self._name, counts={"through": through})
        self._sent = through


def connect(address: str) -> Any:
    """Connect to the broker of an address, as a ``confluent_kafka.Producer``.

    Raises
    ------
    ConfigError
        If the address is none, or has a setting that the client does not know.
    DataError
        If no broker answers.
    """
    parts, _ = _parts(address)
    settings: Mapping[str, str] = {k: v[-1] for k, v in parse_qs(parts.query).items()}
    kafka = need("confluent_kafka", extra="stream", who="A Kafka topic")
    try:
        producer = kafka.Producer({"bootstrap.servers": parts.netloc, **QUIET, **settings})
    except kafka.KafkaException as error:
        raise ConfigError(f"--publish {public_address(address)}: {error.args[0].str()}") from error
    try:
        producer.list_topics(timeout=ANSWER)
    except kafka.KafkaException as error:
        raise DataError(
            f"--publish {public_address(address)}: no broker answers ({error.args[0].str()})"
        ) from error
    return producer


def _parts(address: str) -> tuple[SplitResult, str]:
    """Parts of an address and its topic."""
    parts = urlsplit(address)
    topic = parts.path.strip("/")
    if parts.scheme != "kafka" or not parts.netloc or not topic:
        raise ConfigError(f"--publish {public_address(address)}: write kafka://HOST:PORT/TOPIC")
    return parts, topic


def publish(table: pa.Table, address: str, producer: Any = None) -> int:
    """Send classifications to a Kafka topic, one JSON message an object, keyed by its name.

    What is null or NaN is left out of the message.

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
        If no broker answers or some were not confirmed; the state has them all the same.
    """
    _, topic = _parts(address)
    if producer is None:
        producer = connect(address)
    failed: list[str] = []

    def told(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(str(error))

    for batch in table.to_batches(1000):
        for row in batch.to_pylist():
            row["time"] = row["time"].isoformat()
            known = {k: v for k, v in row.items() if v is not None and v == v}  # JSON has no NaN
            message = json.dumps(known, allow_nan=False)
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

"""A topic of a real broker's protocol: librdkafka's own mock cluster inside the client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("deltalake")
pytest.importorskip("confluent_kafka")

import confluent_kafka as kafka

from astroprep.errors import DataError
from astroprep.nightly import (
    NightOptions,
    backup,
    current_observations,
    latest_objects,
    open_state,
    publish,
    run_night,
)
from astroprep.nightly.sources import KafkaAlerts, schema_registry
from astroprep.synthetic import simulate_alerts

BAND = ("ztf_r=V",)


@pytest.fixture
def broker():
    """Address of a mock cluster, which lives as long as the client that holds it."""
    holder = kafka.Producer(
        {"bootstrap.servers": "ignored:1", "test.mock.num.brokers": 1, "log_level": 3}
    )
    brokers = holder.list_topics(timeout=20).brokers
    one = next(iter(brokers.values()))
    yield f"{one.host}:{one.port}"
    del holder


@pytest.fixture(scope="module")
def packets():
    _, nights = simulate_alerts(6, 3, 4, visits_per_night=6.0, cutout=100)
    return [packet for night in nights for packet in night.packets]


def send(broker, topic, values):
    producer = kafka.Producer({"bootstrap.servers": broker})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def address(broker, topic):
    quick = "session.timeout.ms=6000"  # whoever died is soon forgotten
    return f"kafka://{broker}/{topic}?group=g-{topic}&{quick}"


def source(broker, topic, **settings):
    return KafkaAlerts(address(broker, topic), wait=2.0, **settings)


def committed(broker, topic):
    consumer = kafka.Consumer({"bootstrap.servers": broker, "group.id": f"g-{topic}"})
    offset = consumer.committed([kafka.TopicPartition(topic, p) for p in range(4)], timeout=20)
    consumer.close()
    return sum(max(one.offset, 0) for one in offset)


def rows(url):
    """What the state says, without hours and runs."""
    with open_state(url) as state:
        found = [repr(list(r.values())[:-1]) for r in current_observations(state).to_pylist()]
        known = latest_objects(state.read("objects"))
        counts = [json.loads(r["counts"]) for r in state.runs.to_pylist() if not r["closed"]]
    fingerprint = known.select(["object_id", "fingerprint"]).to_pylist()
    return found, fingerprint, sum(count["new"] for count in counts)


class DiedError(Exception):
    """In place of a kill."""


def test_a_kill_between_write_and_commit_loses_nothing_and_doubles_nothing(
    broker, packets, bundle_file, tmp_path
):
    send(broker, "kill", packets)
    options = NightOptions("n", "ztf", BAND, batch=len(packets) // 2)
    url = str(tmp_path / "killed")

    def die(_):
        raise DiedError

    with pytest.raises(DiedError):
        run_night(url, bundle_file, source(broker, "kill"), options, die)
    assert committed(broker, "kill") == 0  # written, not committed
    with open_state(url) as state:
        assert state.read("observations").num_rows > 0
    again = run_night(url, bundle_file, source(broker, "kill"), options)
    assert again.counts["received"] == len(packets)
    assert committed(broker, "kill") == len(packets)
    calm = str(tmp_path / "calm")
    folder = tmp_path / "files"
    folder.mkdir()
    for i, packet in enumerate(packets):
        (folder / f"{i:04d}.avro").write_bytes(packet)
    run_night(calm, bundle_file, str(folder), options)
    assert rows(url) == rows(calm)  # no alert counts as new twice
    after = run_night(url, bundle_file, source(broker, "kill"), options)
    assert after.counts["received"] == 0


@pytest.mark.slow  # four times a group is joined and waited for
def test_a_group_that_is_ahead_of_a_restored_state(broker, packets, bundle_file, tmp_path):
    """Step 4 of docs/operations.md: another group reads the topic anew, nothing counts twice."""
    half = len(packets) // 2
    options, live, old = NightOptions("n", "ztf", BAND), str(tmp_path / "s"), tmp_path / "old"
    send(broker, "ahead", packets[:half])
    run_night(live, bundle_file, source(broker, "ahead"), options)
    backup(live, old)
    send(broker, "ahead", packets[half:])
    run_night(live, bundle_file, source(broker, "ahead"), options)
    wanted = rows(live)
    again = run_night(str(old), bundle_file, source(broker, "ahead"), options)
    assert again.counts["received"] == 0  # the group is done with what the copy does not have
    other = KafkaAlerts(address(broker, "ahead").replace("g-ahead", "g-anew"), wait=2.0)
    again = run_night(str(old), bundle_file, other, options)
    assert again.counts["received"] == len(packets)
    assert rows(str(old)) == wanted


def test_messages_in_confluents_framing(broker, bundle_file, tmp_path):
    """Bare records with the number of a schema in front, the schema in a folder."""
    import io

    import fastavro

    _, nights = simulate_alerts(4, 3, 8, survey="lsst", visits_per_night=4.0, cutout=50)
    made, schema = [], None
    for packet in (p for n in nights for p in n.packets):
        reader = fastavro.reader(io.BytesIO(packet))
        schema = reader.writer_schema
        out = io.BytesIO(b"\x00" + (703).to_bytes(4, "big"))
        out.seek(5)
        fastavro.schemaless_writer(out, schema, next(reader))
        made.append(out.getvalue())
    (tmp_path / "703.avsc").write_text(json.dumps(schema))
    unknown = b"\x00" + (704).to_bytes(4, "big") + made[0][5:]
    send(broker, "framed", [*made, unknown])
    options = NightOptions("n", band_map=("lsst_r=V",), registry=str(tmp_path))
    url = str(tmp_path / "state")
    result = run_night(url, bundle_file, source(broker, "framed"), options)
    assert result.counts["received"] == len(made) + 1
    assert result.counts["dead"] == 1
    with open_state(url) as state:
        assert state.about.survey == "lsst"
        assert "no schema 704" in state.read("dead_letters")["reason"][0].as_py()
    with pytest.raises(DataError, match="no schema 704"):
        schema_registry(str(tmp_path))(704)


@pytest.mark.slow
def test_nothing_is_fetched_beyond_a_batch(broker, packets):
    """So that a commit never covers what was not stored."""
    send(broker, "batches", packets[:7])
    one = source(broker, "batches")
    given = one.messages(3)
    assert [m is None for m in (next(given) for _ in range(4))] == [False] * 3 + [True]
    one.commit()
    one.close()
    assert committed(broker, "batches") == 3
    rest = source(broker, "batches")
    assert sum(m is not None for m in rest.messages(100)) == 4
    rest.close()


def test_a_night_is_stopped_while_it_waits(broker, packets, bundle_file, tmp_path):
    send(broker, "stop", packets[:5])
    stop, url = threading.Event(), str(tmp_path / "state")
    options = NightOptions("n", "ztf", BAND, follow=True)
    where = KafkaAlerts(address(broker, "stop"), follow=True, wait=0.6, stop=stop)
    came = []

    def all_here(batch):  # a slow broker may send them in several batches
        came.append(batch.counts["received"])
        if sum(came) == 5:
            stop.set()

    result = run_night(url, bundle_file, where, options, all_here, stop)
    assert not result.complete
    assert result.counts["received"] == 5
    assert committed(broker, "stop") == 5
    with open_state(url) as state:
        assert not state.runs["closed"].to_pylist()[-1]


@pytest.mark.slow  # a process that imports everything
def test_sigterm_ends_a_service_and_its_log_is_json(broker, packets, bundle_file, tmp_path):
    send(broker, "service", packets)
    words = [sys.executable, "-W", "ignore", "-m", "astroprep.cli", "nightly", "--follow"]
    words += ["--log-json"]
    words += ["--state", str(tmp_path / "s"), "--bundle", str(bundle_file), "--band-map", BAND[0]]
    words += ["--alerts", address(broker, "service"), "--publish", f"kafka://{broker}/classes"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as service:
        for _ in range(600):
            time.sleep(0.2)
            if service.poll() is not None or committed(broker, "service") == len(packets):
                break
        asked = time.monotonic()
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(timeout=60)
    assert service.returncode == 0, err
    assert time.monotonic() - asked < 20
    assert f"{len(packets)} alerts" in out
    lines = [json.loads(line) for line in err.splitlines()]
    stored = [line for line in lines if line["message"] == "stored batch"]
    assert sum(line["received"] for line in stored) == len(packets)
    assert all({"time", "level", "night", "seconds"} <= line.keys() for line in stored)
    open_state(str(tmp_path / "s"), write=True).close()  # it has let go of the lock
    consumer = kafka.Consumer(
        {"bootstrap.servers": broker, "group.id": "reader", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["classes"])
    n = sum(line["changed"] for line in stored)
    read = []
    for _ in range(20):
        read += consumer.consume(n - len(read), 1.0)
        if len(read) == n:
            break
    consumer.close()
    said = [json.loads(m.value()) for m in read]
    with open_state(str(tmp_path / "s")) as state:
        table = state.read("classifications")
    assert sorted(s["object_id"] for s in said) == sorted(table["object_id"].to_pylist())


def test_messages_that_no_broker_confirms_are_an_error(season_table):
    """Nobody listens at the address; what was not delivered is said, and how much."""
    quick = kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
    with pytest.raises(DataError, match=r"2 of 2 messages were not confirmed .*the state holds"):
        publish(season_table, "kafka://127.0.0.1:1/classes", quick)


@pytest.fixture
def season_table():
    from datetime import UTC, datetime

    import pyarrow as pa

    when = [datetime(2026, 11, 30, tzinfo=UTC)] * 2
    return pa.table({"object_id": ["a", "b"], "time": when, "probability": [0.5, np.nan]})

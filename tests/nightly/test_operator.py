"""Mistakes of an operator: one clear message each, and nothing is lost."""

from __future__ import annotations

import io
import os
import tarfile
import threading

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

pytest.importorskip("deltalake")
pytest.importorskip("fastavro")

from astroprep.cli.main import app
from astroprep.cli.night import _write_files
from astroprep.errors import ConfigError, DataError
from astroprep.nightly import NightOptions, open_state, publish, run_night, write_night_page
from astroprep.nightly.sources import open_alerts, public_address

BAND = ("ztf_r=V",)


def options(folder, **more):
    return NightOptions(**{"night": folder.name, "band_map": BAND, "batch": 25, **more})


@pytest.fixture(scope="module")
def folders(nights):
    return nights(6, 3)[1]


def call(bundle, state, alerts, *words):
    """Exit code and error of ``astroprep nightly``."""
    fixed = ["nightly", "--bundle", str(bundle), "--state", str(state), "--alerts", str(alerts)]
    done = CliRunner().invoke(app, [*fixed, "--band-map", BAND[0], *words])
    return done.exit_code, done.exception, done.output


def test_pipes_links_and_archives_that_point_outside(folders, tmp_path):
    """A pipe is not waited for, and of an archive nothing is ever written to the disk."""
    place = tmp_path / "deep" / "night"
    place.mkdir(parents=True)
    os.mkfifo(place / "pipe.avro")
    (place / "gone.avro").symlink_to(tmp_path / "nowhere")
    packet = next(folders[0].iterdir()).read_bytes()
    with tarfile.open(place / "night.tar", "w") as archive:
        for name in ("../../evil.avro", "/tmp/evil.avro", "good.avro"):
            info = tarfile.TarInfo(name)
            info.size = len(packet)
            archive.addfile(info, io.BytesIO(packet))
        link = tarfile.TarInfo("link.avro")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    found = [m for m in open_alerts(str(place)).messages(100) if m is not None]
    assert [m.data for m in found if not m.fault] == [packet] * 3
    assert [m.fault for m in found if m.fault] == ["it is no ordinary file"] * 2
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ConfigError, match="no such file or folder"):
        open_alerts(str(place / "pipe.avro"))


def test_a_cloudy_night(folders, bundle_file, tmp_path):
    """No packet at all: a state that is there has an empty night, a new one is not guessed."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"there are no packets.*--survey \(ztf or lsst\)"):
        run_night(str(tmp_path / "new"), bundle_file, str(tmp_path / "empty"))
    assert not (tmp_path / "new").exists()
    out = tmp_path / "out"
    words = ("--survey", "ztf", "--night", "e", "--out", str(out))
    code, _, said = call(bundle_file, tmp_path / "s", tmp_path / "empty", *words)
    assert (code, "night e: 0 alerts = 0 new" in said) == (0, True)
    assert pq.read_table(out / "e.parquet").num_rows == 0
    assert "0 alerts = 0 new + 0 duplicate + 0 dead" in (out / "e.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "FILE/out"), "--out: .*cannot be written.*nothing was run"),
        (("--metrics", "FILE/x.prom"), "--metrics: .*cannot be written.*nothing was run"),
        (("--out", "out", "--night", "../n"), "cannot name a file"),
        (("--publish", "kafka://127.0.0.1:1/x"), "no broker answers"),
        (("--publish", "http://127.0.0.1:1/x"), "write kafka://HOST:PORT/TOPIC"),
        (("--publish", "kafka://127.0.0.1:1/x?nonsense=1"), "nonsense"),
        (("--unknown-below", "7"), "must be 0 to 1"),
        (("--state", ""), "names no folder"),
    ],
)
def test_what_cannot_end_well_is_not_begun(
    folders, bundle_file, tmp_path, monkeypatch, capfd, words, message
):
    if "--publish" in words:
        pytest.importorskip("confluent_kafka")
    monkeypatch.setattr("astroprep.nightly.outbox.ANSWER", 0.3)
    (tmp_path / "FILE").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    _, error, _ = call(bundle_file, "state", folders[0], *words)
    assert isinstance(error, ConfigError | DataError)
    with pytest.raises(type(error), match=message):
        raise error
    assert "FAIL" not in capfd.readouterr().err  # the client has one message, not one a try
    assert not (tmp_path / "runs").exists()
    if (tmp_path / "state").exists():  # begun, and empty: its survey is asked before the rest
        with open_state("state") as state:
            assert state.read("observations").num_rows == 0


def test_a_night_whose_products_failed_gets_them_from_the_next_call(
    folders, bundle_file, tmp_path, monkeypatch
):
    state, out = tmp_path / "s", tmp_path / "out"
    words = ("--night", "n", "--out", str(out), "--batch", "25")

    def full(*_, **__):
        raise DataError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr("astroprep.nightly.products.write_products", full)
        _, error, _ = call(bundle_file, state, folders[1], *words)
        assert "no space left" in str(error)
    assert not list(out.iterdir())
    assert call(bundle_file, state, folders[1], *words)[0] == 0
    with open_state(str(state)) as opened:
        said = opened.read("classifications")
        batches = [r["batch"] for r in opened.runs.to_pylist() if not r["closed"]]
    assert batches == sorted(set(batches))  # none was done twice
    assert pq.read_table(out / "n.parquet").num_rows == said.num_rows > 0
    assert "discoveries" in (out / "n.html").read_text()


def test_the_files_of_a_night_never_lose_a_row(folders, bundle_file, tmp_path):
    """Again: they stay as they are. With late packets: these are added."""
    state, out, part = tmp_path / "s", tmp_path / "out", tmp_path / "part"
    part.mkdir()
    files = sorted(folders[1].iterdir())
    for file in files[: len(files) // 2]:
        (part / file.name).write_bytes(file.read_bytes())
    words = ("--night", "n", "--out", str(out))
    assert call(bundle_file, state, part, *words)[0] == 0
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    first = pq.read_table(out / "n.parquet")
    assert len(kept) == 4
    assert call(bundle_file, state, part, *words)[0] == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept
    assert call(bundle_file, state, folders[1], *words)[0] == 0
    both = pq.read_table(out / "n.parquet")
    assert both.num_rows > first.num_rows > 0
    assert set(map(str, first.to_pylist())) <= set(map(str, both.to_pylist()))


def test_the_files_of_a_night_that_is_followed_hold_all_of_it(folders, bundle_file, tmp_path):
    stop, state = threading.Event(), str(tmp_path / "s")
    chosen = options(folders[1], follow=True, batch=10)

    def two(one):
        if one.runs[0] == 2:
            stop.set()

    result = run_night(state, bundle_file, str(folders[1]), chosen, two, stop)
    assert not result.complete
    _write_files(result, tmp_path / "out", state, bundle_file, chosen)
    with open_state(state) as opened:
        said = opened.read("classifications")
    assert set(said["run"].to_pylist()) == {1, 2}
    assert pq.read_table(tmp_path / "out" / f"{result.night}.parquet").num_rows == said.num_rows


def test_a_bundle_that_is_replaced_in_the_night(folders, bundle_file, tmp_path):
    """The night ends with the one that it began with, and its page compares nothing."""
    bundle = tmp_path / "bundle.apz"
    bundle.write_bytes(bundle_file.read_bytes())
    chosen = options(folders[1])

    def replace(_):
        bundle.write_bytes(b"another")

    result = run_night(str(tmp_path / "s"), bundle, str(folders[1]), chosen, replace)
    assert len(set(result.classifications["bundle"].to_pylist())) == 1
    with pytest.raises(DataError, match=r"bundle\.apz"):
        write_night_page(result, tmp_path, state=str(tmp_path / "s"), bundle=bundle)
    from dataclasses import replace as changed

    from astroprep.deploy.bundle import read_bundle, write_bundle

    write_bundle(bundle, changed(read_bundle(bundle_file), temperature=2.0))
    page = write_night_page(
        result, tmp_path, state=str(tmp_path / "s"), bundle=bundle, options=chosen
    ).read_text()
    assert "not throughout, the one that classified this night" in page
    assert f"bundle {result.classifications['bundle'][0].as_py()[:12]}" in page


def test_the_same_night_twice_at_once(folders, bundle_file, tmp_path):
    url, chosen = str(tmp_path / "s"), options(folders[0])

    def second(_):
        with pytest.raises(ConfigError, match=r"being written by another process .*pid"):
            run_night(url, bundle_file, str(folders[0]), chosen)

    result = run_night(url, bundle_file, str(folders[0]), chosen, second)
    assert result.complete


class Producer:
    """Takes messages; `broken` says how many of the next it loses."""

    def __init__(self):
        self.keys, self.broken = [], 0

    def produce(self, topic, value, key, on_delivery):
        lost, self.broken = self.broken > 0, max(self.broken - 1, 0)
        if not lost:
            self.keys.append(key)
        on_delivery("lost" if lost else None, None)

    def poll(self, seconds):
        return 0

    def flush(self, seconds):
        return 0

    def __len__(self):
        return 0


def test_what_a_broker_did_not_take_is_sent_by_the_next_run(
    folders, bundle_file, tmp_path, monkeypatch
):
    producer, url = Producer(), str(tmp_path / "s")
    monkeypatch.setattr("astroprep.nightly.session.connect", lambda _: producer)
    address = "kafka://host:9092/classes?sasl.password=secret"
    run_night(url, bundle_file, str(folders[0]), options(folders[0]))
    with open_state(url) as state:
        before = int(state.last["run"])
        assert state.read("classifications").num_rows > 0
    producer.broken = 1
    with pytest.raises(DataError, match=r"1 of \d+ messages were not confirmed"):
        run_night(url, bundle_file, str(folders[1]), options(folders[1], publish=address))
    run_night(url, bundle_file, str(folders[1]), options(folders[1], publish=address))
    with open_state(url) as state:
        said = state.read("classifications").to_pylist()
        ledger = str(state.runs.to_pylist())
    later = [row["object_id"] for row in said if row["run"] > before]
    assert set(producer.keys) == set(later)
    assert len(later) < len(producer.keys) < 2 * len(later)  # a batch that was refused, again
    assert "kafka://host:9092/classes" in ledger
    assert "secret" not in ledger
    assert public_address("kafka://h:1/t?sasl.password=x&group=g") == "kafka://h:1/t?group=g"
    n = len(producer.keys)
    run_night(url, bundle_file, str(folders[1]), options(folders[1], publish=address))
    assert len(producer.keys) == n
    assert publish(said_table(url), address, producer) == len(said)


def said_table(url):
    with open_state(url) as state:
        return state.read("classifications").drop_columns(["run"])

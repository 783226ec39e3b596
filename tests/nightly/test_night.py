"""Nights from end to end: accounts, replays, order, kills, bands, products."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.model.unknown import UnknownScore
from astroprep.nightly import (
    NightOptions,
    current_observations,
    latest_objects,
    open_state,
    publish,
    run_night,
    write_metrics,
    write_products,
)
from astroprep.nightly.bands import choose_bands
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS

BAND = ("ztf_r=V",)


def options(folder, **more):
    return NightOptions(**{"night": folder.name, "band_map": BAND, "batch": 25, **more})


def tables(url):
    """Rows of every table, without the hour of the day."""
    found = {}
    with open_state(url) as state:
        for name in ("observations", "objects", "classifications", "dead_letters"):
            rows = current_observations(state) if name == "observations" else state.read(name)
            drop = {"time"} if name == "classifications" else set()
            rows = rows.select([c for c in rows.column_names if c not in {"run", *drop}])
            found[name] = sorted(repr(list(r.values())) for r in rows.to_pylist())
    return found


def accounted(counts):
    return (
        counts["received"] == counts["new"] + counts["duplicate"] + counts["dead"]
        and counts["changed"] == counts["classified"] + counts["rejected"]
    )


@pytest.fixture(scope="module")
def season(nights, bundle_file, tmp_path_factory):
    """Nights run as they came; what the other tests compare with."""
    stars, folders = nights()
    (folders[1] / "damaged.avro").write_bytes(b"rubbish")
    url = str(tmp_path_factory.mktemp("season") / "state")
    results = [run_night(url, bundle_file, str(f), options(f)) for f in folders]
    return stars, folders, url, results


def test_every_alert_and_object_is_accounted_for(season):
    stars, folders, url, results = season
    for folder, result in zip(folders, results, strict=True):
        assert accounted(result.counts)
        assert result.counts["received"] == len(list(folder.iterdir()))
        assert result.classifications.num_rows == result.counts["changed"]
    total = {k: sum(r.counts[k] for r in results) for k in results[0].counts}
    assert total["dead"] == 1
    assert total["duplicate"] > 0
    assert total["searched"] > 0
    assert total["verified"] > 0
    with open_state(url) as state:
        said = [json.loads(r["counts"]) for r in state.runs.to_pylist() if not r["closed"]]
        assert sum(c["received"] for c in said) == total["received"]
        assert state.read("dead_letters")["data"].to_pylist() == [b"rubbish"]
        seen = current_observations(state)
        own = seen.filter(seen["quality"].to_numpy() == 1)
        sent = stars.detected & (stars.night < stars.night.max())  # the last ones may be late
        assert set(np.flatnonzero(sent) + 10**15) <= set(seen["source_id"].to_pylist())
        assert own.num_rows == total["new"]


def test_a_night_again_changes_nothing(season, bundle_file):
    _, folders, url, _ = season
    before = tables(url)
    again = run_night(url, bundle_file, str(folders[2]), options(folders[2]))
    assert again.counts["new"] == again.counts["changed"] == 0
    assert again.counts["duplicate"] == again.counts["received"]
    damaged = run_night(url, bundle_file, str(folders[1]), options(folders[1]))
    assert damaged.counts["dead"] == 1
    assert accounted(damaged.counts)
    assert tables(url) == before


def test_nights_out_of_order_end_with_the_same_observations(season, bundle_file, tmp_path):
    """The classes too, of the objects that the last night touched last in both."""
    _, folders, url, _ = season
    other = str(tmp_path / "state")
    for folder in [folders[3], folders[0], folders[1], folders[2], folders[4]]:
        run_night(other, bundle_file, str(folder), options(folder, batch=1000))
    assert tables(other)["observations"] == tables(url)["observations"]
    with open_state(url) as a, open_state(other) as b:
        first, second = (latest_objects(s.read("objects")) for s in (a, b))
    assert first["object_id"] == second["object_id"]
    assert first["fingerprint"] == second["fingerprint"]


def _run(url, bundle, folders):
    for folder in folders:
        run_night(url, bundle, str(folder), options(folder))


@pytest.mark.slow  # each of seven processes imports everything
def test_killed_runs_end_as_undisturbed_ones(season, bundle_file, tmp_path):
    """Six kills here; two hundred in benchmarks/nightly_kill.py."""
    _, folders, _, _ = season
    calm, url = str(tmp_path / "calm"), str(tmp_path / "killed")
    begun = time.perf_counter()
    _run(calm, bundle_file, folders[:2])
    seconds = time.perf_counter() - begun
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["astroprep.nightly.run", "onnxruntime", "deltalake"])
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 1.1):
        process = context.Process(target=_run, args=(url, bundle_file, folders[:2]))
        process.start()
        process.join(0.5 + share * seconds)
        process.kill()
        process.join()
    _run(url, bundle_file, folders[:2])
    assert tables(url) == tables(calm)


@pytest.fixture
def small_disk(tmp_path):
    """Folder on a disk of its own, and what makes that larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a disk")

    def enlarge(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)

    yield disk, enlarge
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_runs_on_a_full_disk_end_as_undisturbed_ones(season, bundle_file, small_disk):
    _, folders, url, _ = season
    disk, enlarge = small_disk
    refused = 0
    for size in ("60k", "180k", "360k", "64m"):
        enlarge(size)
        try:
            _run(str(disk / "state"), bundle_file, folders)
        except DataError as error:
            assert "cannot be written" in str(error)  # noqa: PT017
            refused += 1
    assert refused == 3
    assert tables(str(disk / "state")) == tables(url)


def test_a_batch_that_was_stored_is_not_stored_again(season, bundle_file, tmp_path, monkeypatch):
    _, folders, _, results = season
    from astroprep.nightly.session import NightSession

    url = str(tmp_path / "state")
    take, done = NightSession.take, []

    def tired(self, incoming, digest):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(take(self, incoming, digest))
        return done[-1]

    monkeypatch.setattr(NightSession, "take", tired)
    with pytest.raises(KeyboardInterrupt):
        run_night(url, bundle_file, str(folders[0]), options(folders[0], batch=12))
    monkeypatch.undo()
    result = run_night(url, bundle_file, str(folders[0]), options(folders[0], batch=12))
    assert result.counts["received"] == results[0].counts["received"]
    assert result.counts["new"] == results[0].counts["new"]
    with open_state(url) as state:
        batches = [r["batch"] for r in state.runs.to_pylist() if not r["closed"]]
    assert batches == sorted(set(batches))


def test_an_object_unlike_the_training_stars_is_unknown_however_probable(season, bundle_file):
    _, _, url, _ = season
    night = NightClassifier(bundle_file, SURVEYS["ztf"], band_map=BAND, unknown_below=0.0)
    with open_state(url) as state:
        rows = current_observations(state)
        known = latest_objects(state.read("objects"))
    names = known["object_id"].combine_chunks()
    histories = object_histories(rows, names, SURVEYS["ztf"])
    plain = night.classify(histories, known, "n")
    assert plain.counts["classified"] > 2
    assert plain.counts["unknown"] == 0  # this bundle has no score
    served = pc.equal(plain.classifications["method"], "network").to_numpy()
    p = np.stack(plain.classifications["probabilities"].filter(pa.array(served)).to_pylist())
    entropy = -(p * np.log(p)).sum(axis=1)  # temperature 1, and the shares that it learned
    threshold = float(np.median(entropy))
    score = UnknownScore("entropy", 0, {}, np.empty((3, 12)), 1.0, threshold, 0.02)
    runtime = night.classifier.runtime
    runtime.outputs = replace(runtime.outputs, unknown=score)
    strange = night.classify(histories, known, "n").classifications
    assert strange["unknown"].to_numpy()[served].tolist() == (entropy > threshold).tolist()
    assert 0 < pc.sum(strange["unknown"]).as_py() < served.sum()


def test_a_packet_that_was_replaced_is_not_taken_for_the_stored_one(bundle_file, season, tmp_path):
    """Of the same name and length, between a call that was interrupted and the next."""
    alert = tmp_path / "alert.avro"
    first = next(iter(sorted(season[1][0].iterdir()))).read_bytes()
    alert.write_bytes(first)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_night(str(tmp_path / "s"), bundle_file, str(alert), options(alert), before_close=stop)
    alert.write_bytes(first[:-40] + bytes(40))
    result = run_night(str(tmp_path / "s"), bundle_file, str(alert), options(alert))
    assert (result.n_resumed, result.counts["dead"]) == (0, 1)


def test_withdrawn_sources_leave_the_history(nights, bundle_file, tmp_path):
    _, folders = nights(6, 4, survey="lsst", withdrawn=0.3, orphans=0.1, seed=8)
    url = str(tmp_path / "state")
    band = ("lsst_r=V",)
    results = [run_night(url, bundle_file, str(f), options(f, band_map=band)) for f in folders]
    assert all(accounted(r.counts) for r in results)
    assert sum(r.counts["withdrawn"] for r in results) > 0
    with open_state(url) as state:
        rows = current_observations(state)
        gone = rows.filter(rows["withdrawn"])
        latest = latest_objects(state.read("objects"))
    assert gone.num_rows > 0
    for name, n in zip(
        latest["object_id"].to_pylist(), latest["n_points"].to_pylist(), strict=True
    ):
        mine = rows.filter(pa.compute.equal(rows["object_id"], name))
        assert n == mine.num_rows - sum(mine["withdrawn"].to_pylist())
    assert "" not in latest["object_id"].to_pylist()
    assert (np.array(rows["object_id"].to_pylist()) == "").any()  # kept, though of no object


def test_bands_are_mapped_by_a_rule_or_refused():
    there = ("ztf_g", "ztf_r", "ztf_i")
    assert choose_bands(["ztf_r=V"], ["V"], there) == {"ztf_r": "V"}
    assert choose_bands([], ["ztf_g", "x"], there) == {"ztf_g": "ztf_g"}
    with pytest.raises(ConfigError, match=r"other bands \(V\) than .* --band-map ztf_i=V"):
        choose_bands([], ["V"], there)
    with pytest.raises(ConfigError, match="trained on V"):
        choose_bands(["ztf_r=B"], ["V"], there)
    with pytest.raises(ConfigError, match="OBSERVED one of ztf_g, ztf_r"):
        choose_bands(["r=V"], ["V"], there)
    with pytest.raises(ConfigError, match="does not say"):
        choose_bands([], [], there)


def test_a_mistake_leaves_no_lock_behind(season, bundle_file):
    _, folders, url, _ = season
    with pytest.raises(ConfigError, match="other bands"):
        run_night(url, bundle_file, str(folders[0]), options(folders[0], band_map=()))
    open_state(url, write=True).close()


class FakeProducer:
    def __init__(self):
        self.sent, self.full = [], True

    def produce(self, topic, value, key, on_delivery):
        if self.full:
            self.full = False
            raise BufferError
        self.sent.append((topic, key, json.loads(value, parse_constant=pytest.fail)))
        on_delivery(None, None)

    def poll(self, seconds):
        return 0

    def flush(self, seconds):
        return 0


def test_products(season, tmp_path):
    _, _, _, results = season
    result = results[-1]
    paths = write_products(result, tmp_path)
    table = pq.read_table(paths[0])
    assert table.num_rows == result.counts["changed"]
    assert table["class"].to_pylist() == result.classifications["class"].to_pylist()
    from astropy.io.votable import parse_single_table

    votable = parse_single_table(paths[1]).to_table()
    assert votable["object_id"].tolist() == table["object_id"].to_pylist()
    assert json.loads(paths[2].read_text())["counts"] == result.counts
    write_metrics(result, tmp_path / "night.prom", 1e9)
    lines = (tmp_path / "night.prom").read_text().splitlines()
    assert f"astroprep_nightly_received {result.counts['received']}" in lines
    assert all(line.startswith(("# HELP ", "# TYPE ", "astroprep_nightly_")) for line in lines)
    producer = FakeProducer()
    assert publish(table, "kafka://host:9092/classes", producer) == table.num_rows
    assert [key for _, key, _ in producer.sent] == table["object_id"].to_pylist()


def test_the_command_line(season, bundle_file, tmp_path):
    from typer.testing import CliRunner

    from astroprep.cli.main import app

    _, folders, _, _ = season
    words = ["nightly", "--state", str(tmp_path / "s"), "--bundle", str(bundle_file)]
    words += ["--alerts", str(folders[1]), "--night", "n1", "--band-map", "ztf_r=V"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 dead" in done.output
    assert (tmp_path / "out" / "n1.vot").exists()
    assert "Night n1" in (tmp_path / "out" / "n1.html").read_text()
    assert CliRunner().invoke(app, [*words, "--strict"]).exit_code == 1
    shown = CliRunner().invoke(app, ["state", "--state", str(tmp_path / "s"), "--compact"])
    assert shown.exit_code == 0, shown.output
    assert '"survey": "ztf"' in shown.output

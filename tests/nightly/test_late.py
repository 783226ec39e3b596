"""Nights again, out of order and late; input that is wrong; a state that must be got back."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

pytest.importorskip("deltalake")
pytest.importorskip("fastavro")

import fastavro

from astroprep.data import PointFlag
from astroprep.deploy.bundle import read_bundle, write_bundle
from astroprep.errors import ConfigError, DataError
from astroprep.nightly import (
    NightOptions,
    backup,
    compact,
    current_observations,
    latest_objects,
    open_state,
    run_night,
)
from astroprep.nightly.classify import NightClassifier
from astroprep.nightly.histories import object_histories
from astroprep.nightly.ingest import SURVEYS
from astroprep.nightly.upkeep import describe_state

BAND = ("ztf_r=V",)


def options(folder, **more):
    return NightOptions(**{"night": folder.name, "band_map": BAND, **more})


def end(url):
    """Observations, and of each object what does not depend on when a period was searched."""
    with open_state(url) as state:
        rows = current_observations(state)
        known = latest_objects(state.read("objects"))
        said = state.read("classifications")
    plain = [repr(list(r.values())[:-1]) for r in rows.to_pylist()]
    names = ["object_id", "pixels", "n_points", "fingerprint", "ra", "dec"]
    return plain, known.select(names).to_pylist(), set(said["object_id"].to_pylist())


def classes_of_whole_histories(url, bundle):
    with open_state(url) as state:
        rows = current_observations(state)
        none = state.read("objects").slice(0, 0)
    names = pc.unique(rows["object_id"].combine_chunks()).sort()
    classifier = NightClassifier(bundle, SURVEYS["ztf"], band_map=BAND)
    said = classifier.classify(object_histories(rows, names, SURVEYS["ztf"]), none, "")
    return said.classifications.select(["object_id", "class", "probabilities"]).to_pylist()


@pytest.fixture(scope="module")
def season(nights, bundle_file, tmp_path_factory):
    _, folders = nights(5, 4, late=0.2)
    url = str(tmp_path_factory.mktemp("season") / "state")
    for folder in folders:
        run_night(url, bundle_file, str(folder), options(folder))
    return folders, url


@pytest.mark.parametrize(
    "order",
    [(0, 1, 1, 2, 2, 3, 3), (3, 1, 0, 2), (0, 1, 3, 2), (3, 2, 1, 0), (0, 3, 0, 2, 1, 3)],
    ids=["each twice", "out of order", "older after newer", "backwards", "again and late"],
)
def test_nights_in_any_order_and_number_end_alike(season, bundle_file, tmp_path, order):
    folders, url = season
    other = str(tmp_path / "state")
    for k in order:
        run_night(other, bundle_file, str(folders[k]), options(folders[k]))
    assert end(other) == end(url)
    assert classes_of_whole_histories(other, bundle_file) == classes_of_whole_histories(
        url, bundle_file
    )


def altered(packet, **values):
    reader = fastavro.reader(io.BytesIO(packet))
    row = next(reader)
    for name, value in values.items():
        (row["candidate"] if name in row["candidate"] else row)[name] = value
    out = io.BytesIO()
    fastavro.writer(out, reader.writer_schema, [row])
    return out.getvalue()


@pytest.fixture
def one(season):
    return next(iter(sorted(season[0][1].iterdir()))).read_bytes()


def run_on(tmp_path, bundle, packets, **more):
    folder = tmp_path / "bad"
    folder.mkdir()
    for i, packet in enumerate(packets):
        (folder / f"{i}.avro").write_bytes(packet)
    return run_night(str(tmp_path / "state"), bundle, str(folder), options(folder, **more))


def other_schema():
    out = io.BytesIO()
    fields = [{"name": "objectId", "type": "string"}, {"name": "x", "type": "double"}]
    fastavro.writer(
        out, {"type": "record", "name": "alert", "fields": fields}, [{"objectId": "a", "x": 1.0}]
    )
    return out.getvalue()


def test_another_schema_is_a_dead_letter_and_stops_nobody(bundle_file, one, tmp_path):
    other = other_schema()
    result = run_on(tmp_path, bundle_file, [one, other])
    assert (result.counts["new"], result.counts["dead"]) == (1, 1)
    with open_state(str(tmp_path / "state")) as state:
        assert state.read("dead_letters")["data"].to_pylist() == [other]


def test_packets_of_no_known_survey_begin_no_state(bundle_file, one, tmp_path):
    with pytest.raises(ConfigError, match="none of the first 1 packets is one of ztf, lsst"):
        run_on(tmp_path, bundle_file, [other_schema()])
    assert not (tmp_path / "state").exists()
    (tmp_path / "bad").rename(tmp_path / "before")
    with pytest.raises(ConfigError, match="--survey css is none of ztf, lsst"):
        run_on(tmp_path, bundle_file, [one], survey="css")


@pytest.mark.parametrize("jump", [-1000.0, -1.0, 1.0, 3650.0])
def test_clocks_that_jump_and_times_to_come(bundle_file, season, one, tmp_path, jump):
    """A time is what the survey says and stays; where no leap seconds are known yet it is flagged,
    and nobody uses it."""
    jd = next(fastavro.reader(io.BytesIO(one)))["candidate"]["jd"]
    new = altered(one, jd=jd + jump, candid=7, prv_candidates=None, fp_hists=None)
    absurd = altered(one, jd=1e8, candid=8, prv_candidates=None, fp_hists=None)
    result = run_on(tmp_path, bundle_file, [one, new, absurd])
    assert result.counts["new"] == 3
    assert result.counts["changed"] == 1
    with open_state(str(tmp_path / "state")) as state:
        rows = {r["source_id"]: r for r in current_observations(state).to_pylist()}
    known = jump < 3000
    assert np.isfinite(rows[7]["time"]) == known
    assert bool(rows[7]["flags"] & PointFlag.BAD_TIME) != known
    assert rows[8]["flags"] & PointFlag.BAD_TIME
    if known:  # half a light time of the Earth's orbit at most
        assert rows[7]["time"] == pytest.approx(jd + jump - 2400000.5, abs=0.01)


def test_a_bundle_without_a_period_search_is_refused(bundle_file, tmp_path):
    opened = read_bundle(bundle_file)
    steps = [s for s in opened.recipe["steps"] if s["table"]["step"] != "PeriodSearch"]
    assert len(steps) == len(opened.recipe["steps"]) - 1
    path = tmp_path / "none.apz"
    write_bundle(path, replace(opened, recipe={**opened.recipe, "steps": steps}))
    with pytest.raises(ConfigError, match=r"none\.apz: its recipe finds no periods"):
        NightClassifier(path, SURVEYS["ztf"], band_map=("ztf_r=V",))


def test_a_bundle_of_the_other_quantity_gets_the_converted_one(nights, bundle_file, tmp_path):
    """LSST measures flux, the bundle learned from magnitudes: they are converted and classified."""
    from astroprep.clean import ToMagnitude

    _, folders = nights(4, 3, survey="lsst", seed=9)
    url = str(tmp_path / "state")
    for folder in folders:
        run_night(url, bundle_file, str(folder), options(folder, band_map=("lsst_r=V",)))
    classifier = NightClassifier(bundle_file, SURVEYS["lsst"], band_map=("lsst_r=V",))
    kinds = [type(step) for step in classifier.before]
    assert ToMagnitude in kinds
    with open_state(url) as state:
        said = state.read("classifications")
    assert (said["method"].to_numpy(zero_copy_only=False) == "network").any()


@pytest.mark.slow
def test_an_object_with_a_million_points(bundle_file, tmp_path, one):
    """It is classified, or refused by name, with bounded time and memory; the others are served."""
    import resource
    import time

    rng = np.random.default_rng(3)
    n = 1_000_000
    first = str(next(fastavro.reader(io.BytesIO(one)))["objectId"])
    phase = rng.uniform(0, 1, n)
    plain = {
        "pixel": np.zeros(n, np.int32),
        "object_id": np.full(n, first, object),
        "source_id": np.arange(1, n + 1),
        "kind": np.zeros(n, np.int8),
        "quality": np.ones(n, np.int8),
        "withdrawn": np.zeros(n, bool),
        "time": 58000 + np.sort(rng.uniform(0, 900, n)),
        "value": 16 + 0.2 * np.sin(2 * np.pi * phase),
        "error": np.full(n, 0.01),
        "band": np.full(n, "ztf_r", object),
        "flags": np.zeros(n, np.int32),
        "ra": np.full(n, 10.0),
        "dec": np.full(n, 10.0),
    }
    from astroprep.nightly.rows import OBSERVATIONS

    fields = [f for f in OBSERVATIONS if f.name != "run"]
    table = pa.table(
        {
            f.name: pa.array(plain[f.name], f.type) if f.name in plain else pa.nulls(n, f.type)
            for f in fields
        }
    )
    objects = pa.array([first])
    with open_state(str(tmp_path / "state"), write=True, survey="ztf") as state:
        from astroprep.nightly.objects import OBJECTS

        known = pa.table(
            {
                f.name: objects
                if f.name == "object_id"
                else pa.array([[0]], f.type)
                if f.name == "pixels"
                else pa.nulls(1, f.type)
                for f in OBJECTS
                if f.name != "run"
            }
        )
        state.commit("night", {"observations": table, "objects": known}, night="before")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    result = run_on(tmp_path, bundle_file, [one])
    assert time.process_time() - begun < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 << 20  # kB
    assert result.counts["changed"] == 1
    with open_state(str(tmp_path / "state")) as state:
        assert state.read("classifications")["n_points"][0].as_py() > n


def test_a_state_of_a_newer_version_is_left_as_it_is(season, bundle_file, tmp_path):
    folders, url = season
    copy = str(tmp_path / "state")
    shutil.copytree(url, copy)
    with open_state(copy, write=True) as state:
        about = json.dumps({"version": 2, "survey": "ztf", "order": 2, "more": 1})
        state.commit("night", {}, about=about)
    files = sorted(p for p in (tmp_path / "state").rglob("*.parquet"))
    with pytest.raises(DataError, match="version 2, this astroprep knows 1"):
        run_night(copy, bundle_file, str(folders[0]), options(folders[0]))
    assert sorted(p for p in (tmp_path / "state").rglob("*.parquet")) == files


class TestDisaster:
    """The steps of docs/operations.md, one by one."""

    @pytest.fixture
    def copy(self, season, tmp_path):
        shutil.copytree(season[1], tmp_path / "state")
        return str(tmp_path / "state")

    def test_a_table_is_lost_the_backup_takes_its_place_and_nights_are_run_again(
        self, season, bundle_file, tmp_path
    ):
        folders, url = season
        live = str(tmp_path / "live")
        for folder in folders[:2]:
            run_night(live, bundle_file, str(folder), options(folder))
        backup(live, tmp_path / "backup")
        for folder in folders[2:]:
            run_night(live, bundle_file, str(folder), options(folder))
        shutil.rmtree(tmp_path / "live" / "observations")
        with pytest.raises((ConfigError, DataError), match="observations"):
            run_night(live, bundle_file, str(folders[3]), options(folders[3]))
        (tmp_path / "live").rename(tmp_path / "broken")
        backup(str(tmp_path / "backup"), live)
        for folder in folders[2:]:
            run_night(live, bundle_file, str(folder), options(folder))
        assert end(live) == end(url)

    def test_a_file_of_a_table_is_damaged(self, season, bundle_file, copy, tmp_path):
        """It is told by name; nothing is stored on top of it."""
        path = max((tmp_path / "state" / "observations").rglob("*.parquet"))
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(DataError, match="observations"), open_state(copy) as state:
            state.read("observations")

    def test_dead_letters_are_read_again(self, bundle_file, one, tmp_path):
        run_on(tmp_path, bundle_file, [one, one[:-300]])
        with open_state(str(tmp_path / "state")) as state:
            dead = state.read("dead_letters")["data"].to_pylist()
        (tmp_path / "again").mkdir()
        for i, packet in enumerate(dead):
            (tmp_path / "again" / f"{i}.avro").write_bytes(packet + one[-300:])  # as if mended
        result = run_night(
            str(tmp_path / "state"), bundle_file, str(tmp_path / "again"), options(tmp_path)
        )
        assert result.counts["dead"] == 0
        assert result.counts["received"] == 1

    def test_compaction_and_backup_end_alike(self, season, copy, tmp_path):
        with open_state(copy, write=True) as state:
            compact(state)
        backup(copy, tmp_path / "copy")
        assert end(str(tmp_path / "copy")) == end(season[1])
        with open_state(str(tmp_path / "copy")) as state:
            assert describe_state(state)["rows"]["observations"] == len(end(copy)[0])

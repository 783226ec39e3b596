"""The state: what counts of several rows, one writer, torn runs, copies, newer versions."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("deltalake")

from astroprep.errors import ConfigError, DataError
from astroprep.nightly.merge import merge_observations, object_pieces
from astroprep.nightly.rows import OBSERVATIONS
from astroprep.nightly.state import open_state
from astroprep.nightly.upkeep import backup, compact, current_observations, describe_state

ROWS = pa.schema([field for field in OBSERVATIONS if field.name != "run"])


def observations(*rows):
    """Rows of (object, source, withdrawn, quality, value)."""
    plain = [
        {
            "pixel": 3,
            "object_id": name,
            "source_id": source,
            "kind": 0,
            "quality": quality,
            "withdrawn": withdrawn,
            "time": 60000.0 + source,
            "value": value,
            "error": 0.1,
            "band": "ztf_r",
            "flags": 0,
            "ra": 10.0,
            "dec": 20.0,
        }
        for name, source, withdrawn, quality, value in rows
    ]
    return pa.Table.from_pylist(plain, ROWS)


row = st.tuples(
    st.sampled_from(["a", "b", ""]),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 1),
    st.sampled_from([15.0, 16.0, np.nan]),
)


def key(rows):
    return [repr(tuple(r.values())) for r in rows.to_pylist()]


@settings(max_examples=60)
@given(st.lists(row, max_size=12), st.lists(row, max_size=12), st.integers(1, 30))
def test_joined_in_pieces_is_joined_at_once(old, new, n_rows):
    stored = merge_observations(observations(), observations(*old)).current
    incoming = observations(*new)
    whole = merge_observations(stored, incoming)
    pieces = [merge_observations(*both) for both in object_pieces(stored, incoming, n_rows)]
    assert key(pa.concat_tables([one.current for one in pieces])) == key(whole.current)
    assert [bool(new) for one in pieces for new in one.is_new] == whole.is_new.tolist()


def test_a_piece_holds_whole_objects_and_about_so_many_rows():
    rows = [(f"o{i}", 100 * i + j, False, 1, 15.0) for i in range(70) for j in range(i % 7)]
    stored, incoming = observations(*rows[::2]), observations(*rows[1::2])
    seen = set()
    for pair in object_pieces(stored, incoming, 20):
        names = {name for table in pair for name in table["object_id"].to_pylist()}
        assert 0 < sum(table.num_rows for table in pair) <= 20 + 6
        assert not names & seen
        seen |= names
    assert seen == {name for name, *_ in rows}


@pytest.mark.parametrize("n", [3, 70_000])  # beyond 16 bits as well
def test_an_order_by_object_time_and_source_is_that_of_a_full_sort(n, rng):
    name = np.array([f"{i:06d}" for i in rng.permutation(n)], object)
    table = observations(("a", 1, False, 1, 15.0)).to_pydict()
    rows = {k: np.repeat(np.array(v, object), 2 * n) for k, v in table.items()}
    rows["object_id"] = np.repeat(name, 2)
    rows["source_id"] = rng.permutation(2 * n)
    rows["time"] = rng.choice([60000.0, 60001.0, np.nan], 2 * n)
    rows = pa.table({f.name: pa.array(rows[f.name], f.type) for f in ROWS})
    found = merge_observations(rows.slice(0, 0), rows).current
    order = np.lexsort((rows["source_id"], rows["time"], rows["object_id"].to_numpy().astype(str)))
    assert found["source_id"].to_numpy().tolist() == rows["source_id"].to_numpy()[order].tolist()


@settings(max_examples=60)
@given(st.lists(row, max_size=12), st.randoms(), st.integers(0, 12))
def test_the_outcome_does_not_depend_on_order_or_repetition(rows, random, cut):
    whole = merge_observations(observations(), observations(*rows)).current
    shuffled = [*rows, *rows[:3]]
    random.shuffle(shuffled)
    first = merge_observations(observations(), observations(*shuffled[:cut])).current
    second = merge_observations(first, observations(*shuffled[cut:]))
    assert key(second.current) == key(whole)
    again = merge_observations(second.current, observations(*rows))
    assert key(again.current) == key(whole)
    assert not again.is_new.any()
    best = {}  # brute force
    for name, source, withdrawn, quality, value in rows:
        rank = (withdrawn, quality, -np.inf if np.isnan(value) else value)
        best[name, source] = max(best.get((name, source), rank), rank)
    found = {(r["object_id"], r["source_id"]): r for r in whole.to_pylist()}
    assert found.keys() == best.keys()
    for which, rank in best.items():
        value = found[which]["value"]
        seen = (found[which]["withdrawn"], found[which]["quality"])
        assert (*seen, -np.inf if np.isnan(value) else value) == rank


def test_rivals_that_differ_in_time_or_place_alone_have_an_order_too():
    """Forced photometry without a position takes that of the object, which moves."""
    plain = observations(("a", 1, False, 0, 15.0)).to_pylist()[0]
    changes = ({}, {"time": np.nan}, {"time": 0.0}, {"ra": 11.0}, {"dec": 0.1}, {"band": "ztf_g"})
    rows = [pa.Table.from_pylist([{**plain, **one}], ROWS) for one in (*changes, {"kind": 1})]
    for one in rows:
        for other in rows:
            first, second = merge_observations(one, other), merge_observations(other, one)
            assert key(first.current) == key(second.current)
            assert first.is_new[0] + second.is_new[0] == (one is not other)


@pytest.fixture
def url(tmp_path):
    url = str(tmp_path / "state")
    with open_state(url, write=True, survey="ztf") as state:
        state.commit("night", {"observations": observations(("a", 1, False, 1, 15.0))})
    return url


def test_what_was_written_is_read(url):
    with open_state(url) as state:
        assert state.about.survey == "ztf"
        assert state.about.order == 2
        assert state.read("observations")["run"].to_pylist() == [1]
        assert state.runs["kind"].to_pylist() == ["begin", "night"]
        assert describe_state(state)["rows"]["observations"] == 1


def test_there_is_no_state_or_anothers(tmp_path, url):
    with pytest.raises(ConfigError, match="no state at"):
        open_state(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="survey's name"):
        open_state(str(tmp_path / "none"), write=True)
    with pytest.raises(ConfigError, match="holds alerts of ztf, not of lsst"):
        open_state(url, write=True, survey="lsst")
    open_state(url, write=True).close()  # the refusal has let go of the lock


def test_a_torn_run_is_invisible_and_put_back(url, monkeypatch):
    with open_state(url, write=True) as state:
        monkeypatch.setattr(state, "_enter", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            state.commit("night", {"observations": observations(("a", 2, False, 1, 16.0))})
    with open_state(url) as reader:
        assert reader.read("observations").num_rows == 1
    with open_state(url, write=True) as state:
        state.commit("night", {"observations": observations(("a", 3, False, 1, 17.0))})
        assert sorted(state.read("observations")["source_id"].to_pylist()) == [1, 3]
        assert state.runs["run"].to_pylist() == [0, 1, 2]


def test_readers_keep_what_they_opened_while_one_writes(url):
    with open_state(url, write=True) as writer, open_state(url) as reader:
        writer.commit("night", {"observations": observations(("a", 2, False, 1, 16.0))})
        assert reader.read("observations").num_rows == 1
        with open_state(url) as later:
            assert later.read("observations").num_rows == 2


def _hold(url, held, go):
    with open_state(url, write=True):
        held.set()
        go.wait(60)


def test_a_second_writer_is_refused_until_the_first_is_gone(url):
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(url, held, go))
    process.start()
    assert held.wait(120)
    with pytest.raises(ConfigError, match=f'another process.*"pid": {process.pid}'):
        open_state(url, write=True)
    open_state(url).close()
    process.kill()
    process.join()
    open_state(url, write=True).close()


def test_a_writer_that_was_overtaken_does_not_commit(url):
    """As in an object store, which has no lock."""
    with open_state(url, write=True) as first:
        rows = observations(("a", 2, False, 1, 16.0))
        import deltalake

        deltalake.write_deltalake(
            f"{url}/observations",
            rows.append_column("run", pa.array([9], pa.int64())),
            mode="append",
        )
        with pytest.raises(DataError, match="somebody else has written"):
            first.commit("night", {"observations": rows})
    with open_state(url) as reader:
        assert reader.read("observations").num_rows == 1


def test_what_a_newer_astroprep_or_deltalake_cannot_share_is_refused(url, tmp_path):
    with open_state(url, write=True) as state:
        about = json.dumps({"version": 1, "survey": "roman", "order": 2})
        state.commit("night", {}, about=about)
    with pytest.raises(DataError, match="alerts of roman, this astroprep knows ztf and lsst"):
        open_state(url)
    for name in ("a[1]", "a%20b", "a|b"):
        with pytest.raises(ConfigError, match="name another"):
            open_state(str(tmp_path / name), write=True, survey="ztf")
        assert not (tmp_path / name).exists()


def test_a_newer_version_is_refused(url):
    with open_state(url, write=True) as state:
        about = json.dumps({"version": 2, "survey": "ztf", "order": 2, "new": True})
        state.commit("night", {}, about=about)
    for write in (False, True):
        with pytest.raises(DataError, match="version 2, this astroprep knows 1"):
            open_state(url, write=write)


def test_compaction_keeps_what_counts(url):
    with open_state(url, write=True) as state:
        rows = observations(("a", 1, True, 0, 15.0), ("b", 2, False, 0, 16.0))
        state.commit("night", {"observations": rows})
        before = current_observations(state).to_pylist()
        done = compact(state)
        assert done["observations_before"] == 3
        assert done["observations"] == 2
        assert current_observations(state).to_pylist() == before
        assert state.read("observations").num_rows == 2
        assert state.vacuum(0, enforce=False) > 0
    with open_state(url, write=True) as state:
        assert current_observations(state).to_pylist() == before


def test_a_copy_is_a_state(url, tmp_path):
    backup(url, tmp_path / "copy")
    with open_state(url, write=True) as state:
        state.commit("night", {"observations": observations(("a", 2, False, 1, 16.0))})
    with open_state(str(tmp_path / "copy"), write=True) as copy:
        assert copy.read("observations").num_rows == 1
    shutil.copytree(f"{url}/runs", tmp_path / "copy" / "runs", dirs_exist_ok=True)
    with pytest.raises(DataError, match="copy the folder runs before"):
        open_state(str(tmp_path / "copy"), write=True)


def test_a_copy_that_is_made_while_somebody_writes_is_whole(url, tmp_path, monkeypatch):
    """A run between the listing of each folder and what is copied of it."""
    listed, n = os.scandir, iter(range(10, 99))
    with open_state(url, write=True) as state:

        def busy(folder):
            with listed(folder) as found:
                entries = list(found)
            if str(folder).startswith(url):
                rows = observations(("b", next(n), False, 1, 16.0))
                state.commit("night", {"observations": rows})
            return contextlib.nullcontext(iter(entries))

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr("shutil.os.scandir", busy)
            backup(url, tmp_path / "copy")
        assert next(n) > 15
    with open_state(str(tmp_path / "copy"), write=True) as copy:
        assert copy.read("observations").num_rows >= 1
        assert copy.runs.num_rows == int(copy.last["run"]) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_read_only_state_is_read_and_not_written(url):
    for parent in Path(url).parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    code = f"""
import os
import deltalake, pyarrow.dataset, pyarrow.parquet
from astroprep.errors import DataError
from astroprep.nightly.state import open_state
open_state({url!r}).read("observations")  # everything is imported while it may be read
os.setuid(65534)
with open_state({url!r}) as state:
    assert state.read("observations").num_rows == 1
try:
    open_state({url!r}, write=True)
except DataError as error:
    assert "cannot be written" in str(error), error
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_CACHE_DIR": "/tmp/numba_nobody"},
    )
    assert done.stdout.strip() == "refused", done.stderr[-2000:]

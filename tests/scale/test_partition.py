"""Partitions one by one are the whole: the same bits, done once, never half."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import hats_catalog, write_hats
from astroprep.io.hats_writer import seal_hats, unseal_hats
from astroprep.pipeline.periods import SCHEMA, search_periods
from astroprep.scale import PeriodWork, run_on_cluster
from astroprep.scale.lsdb import _list_rejected, plan_of
from astroprep.scale.partition import FirstRows, _first_rows, schema_with_place

pytest.importorskip("astropy_healpix")
WORK = PeriodWork(max_frequency=4.0)


@pytest.fixture
def catalogue(tmp_path, rng):
    """Sixty stars in several pixels; every tenth has three points."""
    curves = []
    for i in range(60):
        n = 3 if i % 10 == 0 else 80
        time = np.sort(rng.uniform(55_000, 55_200, n))
        mag = 15 + 0.3 * np.sin(2 * np.pi * time / 0.61) + rng.normal(0, 0.02, n)
        curves.append((time, mag, np.full(n, 0.02)))
    batch = LightCurveBatch.from_curves(
        curves,
        ids=[f"s{i}" for i in range(60)],
        objects={"ra": rng.uniform(10, 60, 60), "dec": rng.uniform(-30, 30, 60)},
        meta=Meta("x"),
    )
    write_hats(tmp_path / "in.hats", batch, max_objects=20)
    return tmp_path / "in.hats"


def test_partitions_are_the_whole_bit_for_bit(catalogue, tmp_path):
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 7)
    job = plan.job
    files = [job.target(name) for name in plan.names]
    assert len(files) > 2
    counts = [job.run(name)[0] for name in plan.names]
    _list_rejected(files, job.out / "rejected.parquet")
    seal_hats(job.out, files, schema_with_place(SCHEMA), 60)

    whole = search_periods(catalogue, tmp_path / "whole.parquet", max_frequency=4.0)
    made = hats_catalog(job.out).read_columns(SCHEMA.names)
    assert made.equals(pq.read_table(tmp_path / "whole.parquet"))
    assert sum(c.input for c in counts) == whole.input == 60
    assert sum(c.rejected for c in counts) == whole.rejected == 6
    away = pq.read_table(job.out / "rejected.parquet")
    assert set(away["id"].to_pylist()) == {f"s{i}" for i in range(0, 60, 10)}
    given = hats_catalog(catalogue).read_columns(["id", "ra", "dec", "_healpix_29"])
    back = hats_catalog(job.out).read_columns(["id", "ra", "dec", "_healpix_29"])
    assert back.equals(given.cast(back.schema))
    unseal_hats(job.out)
    with pytest.raises(DataError, match=r"no hats\.properties"):
        hats_catalog(job.out)


def test_done_is_not_done_again_and_doubtful_is(catalogue, tmp_path):
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 2000)
    job, one = plan.job, plan.names[0]
    first, made = job.run(one)
    assert made
    assert job.run(one) == (first, False)
    other = replace(job, settings={**job.settings, "max_frequency": 5.0})
    assert other.run(one)[1]  # other settings
    assert job.run(one)[1]
    target = job.target(one)
    target.write_bytes(target.read_bytes()[:-9])  # cut short
    assert job.run(one) == (first, True)
    table = pq.read_table(pa.BufferReader(target.read_bytes())).replace_schema_metadata({})
    pq.write_table(table, target)  # not by us
    assert job.run(one) == (first, True)
    source = job.source(one)
    table = pq.read_table(pa.BufferReader(source.read_bytes()))
    pq.write_table(table, source, compression="none")  # other bytes of input
    assert job.run(one)[1]


def test_a_task_knows_its_own_part_alone(catalogue, tmp_path):
    """What is sent does not grow with the partitions; the list that is read is the one written."""
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 2000)
    name = plan.names[-1].encode()
    assert name not in pickle.dumps(plan.job)
    sizes = [pq.read_metadata(plan.job.source(one)).num_rows for one in plan.names]
    firsts = [plan.job.first_rows.of(one) for one in plan.names]
    assert firsts == np.cumsum([0, *sizes[:-1]]).tolist()
    assert plan.job.run(plan.names[-1])[1]
    _first_rows.cache_clear()
    path = plan.job.first_rows.path
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(DataError, match="not what this run wrote"):
        plan.job.run(plan.names[0])
    path.unlink()
    with pytest.raises(DataError, match="must see --out by the same name"):
        plan.job.run(plan.names[0])


def test_rows_that_moved_are_done_anew(catalogue, tmp_path):
    """An object more in front, and the rows of all later partitions are others."""
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 2000)
    last = plan.names[-1]
    plan.job.run(last)
    rows = {name: plan.job.first_rows.of(name) for name in plan.names}
    moved = FirstRows.write(tmp_path / "moved.json", {**rows, last: rows[last] + 1})
    assert replace(plan.job, first_rows=moved).run(last)[1]


def test_an_unfinished_partition_leaves_nothing(catalogue, tmp_path):
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 2000)
    job, one = plan.job, plan.names[0]
    source = job.source(one)
    data = bytearray(source.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    source.write_bytes(data)
    with pytest.raises(DataError, match=r"Npix=\d+\.parquet is damaged"):
        job.run(one)
    assert not [p for p in (tmp_path / "out.hats" / "dataset").rglob("*") if p.is_file()]


def test_other_code_is_refused(catalogue, tmp_path):
    plan = plan_of(WORK, catalogue, tmp_path / "out.hats", 2000)
    job, one = plan.job, plan.names[0]
    with pytest.raises(ConfigError, match="another version"):
        replace(job, code="0" * 64).run(one)


def test_folders_of_others_are_left_alone(catalogue, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for out, why in ((tmp_path / "mine", "something else"), (catalogue, "is an input too")):
        with pytest.raises(ConfigError, match=why):
            plan_of(WORK, catalogue, out, 10)
    with pytest.raises(DataError, match="folder of a HATS catalogue"):
        plan_of(WORK, tmp_path / "s.parquet", tmp_path / "o", 10)


def test_without_lsdb_it_says_what_to_install(catalogue, tmp_path):
    import importlib.util

    from astroprep.errors import MissingExtraError

    if importlib.util.find_spec("lsdb"):
        pytest.skip("lsdb is installed")
    with pytest.raises(MissingExtraError, match=r"pip install 'astroprep\[lsdb\]'"):
        run_on_cluster(WORK, catalogue, tmp_path / "o")

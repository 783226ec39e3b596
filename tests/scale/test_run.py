"""A run whose light curves are prepared elsewhere gives the files of one machine."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.data import Rejected
from astroprep.errors import ConfigError, DataError
from astroprep.io import hats_catalog
from astroprep.io.hats_writer import seal_hats
from astroprep.pipeline.classify import classify
from astroprep.pipeline.prepare import Prepared, recut
from astroprep.pipeline.resume import PARTITIONS
from astroprep.pipeline.run import Resources, run
from astroprep.scale import ClassifyWork, PrepareWork, run_recipe_on_cluster
from astroprep.scale.lsdb import plan_of
from astroprep.scale.partition import schema_with_place
from astroprep.scale.prepared import read_prepared
from astroprep.scale.run import _write_answers

pytest.importorskip("astropy_healpix")
torch = pytest.importorskip("torch")
SAME = ("bundle.apz", "predictions.parquet", "features.parquet")


@pytest.fixture(scope="module")
def whole(recipe, labelled, tmp_path_factory):
    return run(recipe, labelled, tmp_path_factory.mktemp("whole") / "out")


def assert_same_run(one, other):
    for name in SAME:
        assert (one.out / name).read_bytes() == (other.out / name).read_bytes(), name
    assert {**one.metrics, "seconds": 0} == {**other.metrics, "seconds": 0}
    assert one.counts == other.counts


def prepared_in_partitions(job, first_row):
    """What tasks of a cluster do, one after the other in this process."""
    work = PrepareWork.of(job.steps, job.options.names())
    plan = plan_of(work, job.source, job.folder.work / PARTITIONS, 7)
    for name in plan.names:
        plan.job.run(name)
    files = [plan.job.target(name) for name in plan.names]
    return read_prepared(files, first_row, job.sample())


def test_partitions_give_the_bytes_of_one_machine(recipe, labelled, whole, tmp_path):
    resources = Resources(preparer=prepared_in_partitions)
    assert_same_run(run(recipe, labelled, tmp_path / "out", resources=resources), whole)
    assert whole.counts.rejected > 0

    _write_answers(labelled, whole.out / "predictions.parquet", tmp_path / "p.hats")
    made, given = hats_catalog(tmp_path / "p.hats"), hats_catalog(labelled)
    assert len(made.files) == len(given.files) > 2
    plain = pq.read_table(whole.out / "predictions.parquet")
    assert made.read_columns(plain.column_names).equals(plain)
    place = ["id", "ra", "dec", "_healpix_29"]
    there = made.read_columns(place)
    assert there.equals(given.read_columns(place).cast(there.schema))


def test_partitions_are_classified_as_on_one_machine(labelled, whole, tmp_path):
    """What tasks of `classify` do on a cluster, one after the other in this process."""
    bundle = whole.out / "bundle.apz"
    counts = classify(bundle, labelled, tmp_path / "whole.parquet")
    plan = plan_of(ClassifyWork(bundle), labelled, tmp_path / "out.hats", 7)
    done = [plan.job.run(name)[0] for name in plan.names]
    assert len(done) > 2
    assert sum(one.input for one in done) == counts.input
    assert sum(one.rejected for one in done) == counts.rejected > 0
    files = [plan.job.target(name) for name in plan.names]
    seal_hats(plan.job.out, files, schema_with_place(plan.schema), counts.input)
    plain = pq.read_table(tmp_path / "whole.parquet")
    assert hats_catalog(plan.job.out).read_columns(plain.column_names).equals(plain)


def test_a_ceiling_changes_no_result(recipe, labelled, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("astroprep.pipeline.job.objects_within", lambda *_: 7)
    made = run(recipe, labelled, tmp_path / "out", resources=Resources(memory=10**12))
    assert_same_run(made, whole)


def test_what_cannot_fit_is_refused_before_it_is_prepared(recipe, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("astroprep.pipeline.job.objects_within", lambda *_: 2000)
    with pytest.raises(
        ConfigError, match=r"not enough to learn from \d+ of 150 objects.*max_train"
    ):
        run(recipe, labelled, tmp_path / "out", resources=Resources(memory=10**6))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sizes", [(1,) * 23, (23,), (10, 13), (0, 5, 18), (4, 19)])
@pytest.mark.parametrize("first_row", [0, 20])
def test_parts_do_not_depend_on_how_it_was_cut(sizes, first_row, rng):
    n = sum(sizes)
    folded = rng.normal(size=(n, 2, 8)).astype(np.float32)
    lost = rng.random(n) < 0.3
    names = np.array([f"s{i}" for i in range(n)], object)

    def piece(rows):
        good, bad = rows[~lost[rows]], rows[lost[rows]]
        text = np.full(bad.size, "x", object)
        return Prepared(
            row=good + first_row,
            id=names[good],
            period=good + 0.5,
            features=folded[good, 0],
            folded=folded[good],
            rejected=Rejected(row=bad + first_row, id=names[bad], step=text, reason=text),
            feature_names=tuple("abcdefgh"),
        )

    pieces = [piece(rows) for rows in np.split(np.arange(n), np.cumsum(sizes)[:-1])]
    parts = list(recut(pieces, 10, first_row))
    assert [part.n_objects for part in parts] == [10, 10, 3]
    for k, part in enumerate(parts):
        wanted = piece(np.arange(10 * k, min(10 * k + 10, n)))
        for name in ("row", "id", "period", "features", "folded"):
            np.testing.assert_array_equal(getattr(part, name), getattr(wanted, name))
        np.testing.assert_array_equal(part.rejected.row, wanted.rejected.row)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dask
def test_a_cluster_gives_the_bytes_of_one_machine(recipe, labelled, whole, tmp_path):
    pytest.importorskip("lsdb")
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        where = cluster.scheduler_address
        made = run_recipe_on_cluster(recipe, labelled, tmp_path / "out", cluster=where)
        assert_same_run(made, whole)
        again = run_recipe_on_cluster(recipe, labelled, tmp_path / "out", cluster=where)
    assert again.metrics == made.metrics
    import lsdb

    frame = lsdb.open_catalog(tmp_path / "out" / "predictions.hats").compute()
    assert len(frame) == made.counts.input
    assert not (tmp_path / "out" / ".work" / PARTITIONS).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_run_says_early_what_cannot_be(recipe, labelled, tmp_path):
    pytest.importorskip("lsdb")
    import dask

    with pytest.raises(DataError, match="folder of a HATS catalogue"):
        run_recipe_on_cluster(recipe, tmp_path / "s.parquet", tmp_path / "out")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigError, match="no scheduler answers"),
    ):
        run_recipe_on_cluster(recipe, labelled, tmp_path / "out", cluster="tcp://127.0.0.1:9")
    assert not (tmp_path / "out").exists()

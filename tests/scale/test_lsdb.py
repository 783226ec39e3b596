"""A local Dask cluster gives what one machine gives, also when a worker is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time as clock

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import hats_catalog, write_hats
from astroprep.pipeline.periods import SCHEMA, search_periods
from astroprep.scale import PeriodWork, run_on_cluster

lsdb = pytest.importorskip("lsdb")
distributed = pytest.importorskip("distributed")
pytest.importorskip("astropy_healpix")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # processes; of dask

WORK = PeriodWork(max_frequency=4.0)


@pytest.fixture
def catalogue(tmp_path, rng):
    """Noisy sines over the sky, in a dozen pixels or more; some have three points."""
    curves, n_curves = [], 240
    for i in range(n_curves):
        n = 3 if i % 40 == 0 else 100
        time = np.sort(rng.uniform(55_000, 55_900, n))
        mag = 15 + 0.3 * np.sin(2 * np.pi * time / 0.61) + rng.normal(0, 0.02, n)
        curves.append((time, mag, np.full(n, 0.02)))
    sky = {"ra": rng.uniform(0, 360, n_curves), "dec": rng.uniform(-60, 60, n_curves)}
    ids = [f"s{i}" for i in range(n_curves)]
    batch = LightCurveBatch.from_curves(curves, ids=ids, objects=sky, meta=Meta("x"))
    write_hats(tmp_path / "in.hats", batch, max_objects=30)
    return tmp_path / "in.hats"


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as made:
        yield made


def answers(folder):
    return hats_catalog(folder).read_columns(SCHEMA.names)


def test_two_processes_one_killed_the_same_bits(catalogue, cluster, tmp_path):
    whole = search_periods(catalogue, tmp_path / "whole.parquet", max_frequency=4.0)
    out, victim = tmp_path / "out.hats", next(iter(cluster.workers.values())).pid
    killed = []

    def kill_after_the_first() -> None:
        while not killed:
            if list(out.rglob("Npix=*.parquet")):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                killed.append(len(list(out.rglob("Npix=*.parquet"))))
            clock.sleep(0.002)

    killer = threading.Thread(target=kill_after_the_first, daemon=True)
    killer.start()
    counts = run_on_cluster(WORK, catalogue, out, cluster=cluster.scheduler_address)
    killer.join(10)

    assert killed[0] < len(hats_catalog(catalogue).files)  # it was in the middle
    assert answers(out).equals(pq.read_table(tmp_path / "whole.parquet"))
    assert counts == whole
    assert counts.input == counts.result + counts.rejected == 240
    from hats.io.validation import is_valid_catalog

    assert is_valid_catalog(out, strict=True, verbose=False)
    frame = lsdb.open_catalog(out).compute()
    assert len(frame) == 240
    assert frame["rejected_reason"].notna().sum() == counts.rejected == 6

    before = {p: p.stat().st_mtime_ns for p in out.rglob("Npix=*.parquet")}
    again = run_on_cluster(WORK, catalogue, out, cluster=cluster.scheduler_address)
    assert again == counts
    assert {p: p.stat().st_mtime_ns for p in out.rglob("Npix=*.parquet")} == before


def test_a_damaged_partition_and_workers_that_die_are_named(
    catalogue, cluster, tmp_path, monkeypatch
):
    file = hats_catalog(catalogue).files[1]
    data = file.read_bytes()
    file.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    with pytest.raises(DataError, match=rf"{file.name} is damaged"):
        run_on_cluster(WORK, catalogue, tmp_path / "o", cluster=cluster.scheduler_address)
    file.write_bytes(data)
    mine = os.getpid()

    def die(frame, pixel, job):
        if os.getpid() != mine:
            os._exit(9)

    with monkeypatch.context() as broken:
        broken.setattr("astroprep.scale.lsdb._of_pixel", die)
        with pytest.raises(DataError, match="workers died over one partition"):
            run_on_cluster(WORK, catalogue, tmp_path / "o", cluster=cluster.scheduler_address)
    done = run_on_cluster(WORK, catalogue, tmp_path / "o", cluster=cluster.scheduler_address)
    assert done.input == 240


def test_no_scheduler_is_one_message(catalogue, tmp_path):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigError, match="no scheduler answers"),
    ):
        run_on_cluster(WORK, catalogue, tmp_path / "o", cluster="tcp://127.0.0.1:9")

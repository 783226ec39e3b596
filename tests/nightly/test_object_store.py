"""A state in an object store: moto's S3 in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("deltalake")
pytest.importorskip("flask", reason="pip install 'moto[s3,server]' for a state on S3")
pytest.importorskip("moto", reason="pip install 'moto[s3,server]' for a state on S3")

from astroprep.errors import DataError
from astroprep.nightly import (
    NightOptions,
    compact,
    current_observations,
    latest_objects,
    open_state,
    run_night,
)

BAND = ("ztf_r=V",)


@pytest.fixture(scope="module")
def store():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p"]
    server = subprocess.Popen([*words, str(port)], stderr=subprocess.DEVNULL)
    for _ in range(150):
        try:
            urllib.request.urlopen(f"{address}/moto-api/").close()
            break
        except OSError:
            time.sleep(0.2)
    bucket = urllib.request.Request(f"{address}/night", method="PUT")
    urllib.request.urlopen(bucket).close()
    yield {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    server.kill()
    server.wait()


def contents(url, options=None):
    with open_state(url, storage_options=options) as state:
        rows = current_observations(state).drop_columns(["run"])
        known = latest_objects(state.read("objects")).drop_columns(["run"])
    return [repr(list(r.values())) for r in [*rows.to_pylist(), *known.to_pylist()]]


def test_nights_in_a_bucket_are_those_in_a_folder(store, nights, bundle_file, tmp_path):
    _, folders = nights(4, 2, visits_per_night=5.0)
    url, local = "s3://night/season", str(tmp_path / "state")
    for folder in folders:
        here = {"night": folder.name, "band_map": BAND}
        run_night(url, bundle_file, str(folder), NightOptions(**here, storage_options=store))
        run_night(local, bundle_file, str(folder), NightOptions(**here))
    before = contents(local)
    assert contents(url, store) == before
    with open_state(url, write=True, storage_options=store) as state:
        compact(state)
    assert contents(url, store) == before


def test_of_two_writers_the_one_that_was_overtaken_is_refused(store, nights, bundle_file):
    """There is no lock in a bucket."""
    _, folders = nights(3, 1, visits_per_night=5.0)
    url = "s3://night/two"
    settings = {"band_map": BAND, "storage_options": store, "survey": "ztf"}
    with open_state(url, write=True, survey="ztf", storage_options=store) as late:
        run_night(url, bundle_file, str(folders[0]), NightOptions("n", **settings))
        before = contents(url, store)
        with open_state(url, storage_options=store) as reader:
            rows = reader.read("observations").drop_columns(["run"])
        with pytest.raises(DataError, match="somebody else has written"):
            late.commit("night", {"observations": rows})
    assert contents(url, store) == before

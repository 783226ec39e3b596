"""Processes of one training: the failure of one ends all, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time as clock
from pathlib import Path

import pytest
import torch

from astroprep.errors import ConfigError, DataError, ProcessError
from astroprep.model.parallel_processes import launch, process_group

sys.path.insert(0, str(Path(__file__).parent))  # the processes import it by name
import parallel_checks as checks


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("what", "timeout", "error", "match"),
    [
        ("one_fails", 300, DataError, "^star 17 is bad$"),
        ("one_fails_unforeseen", 300, ProcessError, "(?s)process 1 of 2 .*ZeroDivisionError: nob"),
        ("one_is_killed", 300, ProcessError, "process 1 of 2 was killed by SIGKILL"),
        ("one_is_silent", 8, ProcessError, "(?s)process . of 2 failed.*([Tt]imed out|timeout)"),
    ],
)
def test_one_failure_is_the_error_of_all(what, timeout, error, match, tmp_path):
    start = clock.monotonic()

    with pytest.raises(error, match=match):
        launch(f"parallel_checks:{what}", tmp_path, 2, timeout=timeout)

    assert clock.monotonic() - start < 280  # nobody waits for `timeout`; silence lasts 600 s


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path, environment):
    code = (
        "from pathlib import Path\n"
        "from astroprep.model.parallel_processes import launch\n"
        f"launch('parallel_checks:all_sleep', Path({str(tmp_path)!r}), 2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    notes = [tmp_path / f"pid-{rank}" for rank in range(2)]
    try:
        wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
        workers = [int(note.read_text()) for note in notes]
        assert all(is_alive(pid) for pid in workers)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    wait_until(lambda: not any(is_alive(pid) for pid in workers))


def wait_until(done, seconds=240.0):
    end = clock.monotonic() + seconds
    while not done():
        assert clock.monotonic() < end
        clock.sleep(0.05)


def test_torchrun_starts_the_same_training(tmp_path, environment):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, checks.__file__, tmp_path], check=True)
    told = [torch.load(tmp_path / f"told-{rank}.pt") for rank in range(2)]

    assert [len(one["history"]["epochs"]) for one in told] == [checks.QUICK.max_epochs] * 2
    for name, tensor in told[0]["state"].items():
        assert torch.equal(tensor, told[1]["state"][name]), name


def test_settings_out_of_range(tmp_path):
    with pytest.raises(ConfigError, match=r"processes >= 1 and timeout > 0, got 0 and 1\.0"):
        launch("parallel_checks:one_fails", tmp_path, 0, timeout=1.0)
    with pytest.raises(ConfigError, match="needs a store"), process_group():
        pass

"""Start processes that work on one training together; the failure of one ends all."""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time as clock
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

import torch
from torch import distributed

from astroprep import errors
from astroprep.errors import ConfigError, ProcessError
from astroprep.model.parallel_collectives import Team

__all__ = ["launch", "process_group", "report"]

TIMEOUT = 300.0  # seconds that one process waits for another
TAIL = 2000  # characters of a dead process's last words that are worth showing


def launch(
    target: str,
    folder: Path,
    processes: int,
    *,
    timeout: float = TIMEOUT,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Run a function in several new processes of this machine that can reach each other.

    Parameters
    ----------
    target : str
        ``"package.module:function"``, called as ``function(team, folder)`` in each process.
    folder : Path
        Where the function finds its inputs and leaves its results; the processes meet there,
        and no port is asked for by number.
    processes : int
        How many, 1 at least.
    timeout : float, default 300
        Seconds after which a process that waits for another gives up.
    progress : callable, optional
        Given each row that the first process passes to `report`.

    Raises
    ------
    ConfigError
        If `processes` or `timeout` is out of range.
    AstroprepError
        Raised in a process: the same here.
    ProcessError
        Anything else that ended a process. In each case all others have been ended.

    Notes
    -----
    The processes are fresh interpreters, so a caller needs no ``if __name__ == "__main__"``.
    Each ends itself when this process is gone, however that came about.
    """
    if processes < 1 or not timeout > 0:
        raise ConfigError(
            f"launch needs processes >= 1 and timeout > 0, got {processes!r} and {timeout!r}"
        )
    workers: list[subprocess.Popen[bytes]] = []
    rows: queue.SimpleQueue[dict[str, float]] = queue.SimpleQueue()
    try:
        workers.extend(
            _start(target, folder, rank, processes, timeout) for rank in range(processes)
        )
        assert workers[0].stdout is not None
        reader = threading.Thread(target=_read, args=(workers[0].stdout, rows), daemon=True)
        reader.start()
        while _all_well(workers, folder):
            _pass_on(rows, progress, wait=0.05)
        reader.join()
        _pass_on(rows, progress, wait=0.0)
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _start(
    target: str, folder: Path, rank: int, processes: int, timeout: float
) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    if sys.platform == "linux":  # all are here: no other machine need be able to connect
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    command = [sys.executable, "-m", __name__, target, str(folder)]
    with (folder / f"stderr-{rank}.txt").open("wb") as words:
        return subprocess.Popen(
            [*command, str(rank), str(processes), str(timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
            stderr=words,
            env=environment,
        )


def _read(lines: IO[bytes], rows: queue.SimpleQueue[dict[str, float]]) -> None:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # something else printed
        if isinstance(row, dict):
            rows.put(row)


def _pass_on(
    rows: queue.SimpleQueue[dict[str, float]],
    progress: Callable[[dict[str, float]], None] | None,
    wait: float,
) -> None:
    try:
        while True:
            row = rows.get(timeout=wait) if wait else rows.get_nowait()
            if progress is not None:
                progress(row)
    except queue.Empty:
        return


def _all_well(workers: list[subprocess.Popen[bytes]], folder: Path) -> bool:
    """Whether processes still work; False when all are done, an error when one failed."""
    codes = [worker.poll() for worker in workers]
    if not any(codes):
        return None in codes
    # once more and of all: the one that failed first may end after those that missed it
    codes = [worker.poll() for worker in workers]
    failed = [rank for rank, code in enumerate(codes) if code]
    killed = [rank for rank in failed if (codes[rank] or 0) < 0]
    told = [rank for rank in range(len(workers)) if (folder / f"error-{rank}.json").exists()]
    if killed or not told:  # the errors of the others only say that it is gone
        raise ProcessError(_last_words(killed[0] if killed else failed[0], codes, folder))
    causes = [json.loads((folder / f"error-{rank}.json").read_text()) for rank in told]
    # one failure closes the connections of the others, which then fail too, later
    cause = min(causes, key=lambda one: float(one["time"]))
    kind = getattr(errors, cause["type"], None) if cause["ours"] else None
    if kind is not None:
        raise kind(cause["message"])
    raise ProcessError(
        f"process {cause['rank']} of {len(workers)} failed, the others were ended: "
        f"{cause['type']}: {cause['message']}\n{cause['traceback'][-TAIL:]}"
    )


def _last_words(rank: int, codes: list[int | None], folder: Path) -> str:
    code = codes[rank] or 0
    how = f"ended with code {code}"
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        how += " (the memory may have run out)" * (code == -signal.SIGKILL)
    words = (folder / f"stderr-{rank}.txt").read_text(errors="replace")[-TAIL:].strip()
    said = f"; it said last:\n{words}" if words else ""
    return f"process {rank} of {len(codes)} {how}, the others were ended{said}"


@contextmanager
def process_group(
    store: Path | None = None, rank: int = 0, size: int = 1, *, timeout: float = TIMEOUT
) -> Iterator[Team]:
    """Join the group of processes, and leave it at the end.

    Parameters
    ----------
    store : Path, optional
        File in which the processes meet. Without one they meet where ``torchrun``, which
        started them, says; `rank` and `size` are then its too.
    rank, size : int
        Number of this process, from 0, and how many there are.
    timeout : float, default 300
        Seconds after which a process that waits for another gives up.

    Raises
    ------
    ConfigError
        Without a store, if ``torchrun`` did not start this process.

    Notes
    -----
    Tensors on the CPU travel by gloo, those on a GPU by NCCL.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    wait = timedelta(seconds=timeout)
    if store is not None:
        meeting = distributed.FileStore(str(store), size)  # type: ignore[attr-defined]
        distributed.init_process_group(
            backend, store=meeting, rank=rank, world_size=size, timeout=wait
        )
    elif distributed.is_torchelastic_launched():
        distributed.init_process_group(backend, timeout=wait)
    else:
        raise ConfigError("process_group needs a store where torchrun did not start the processes")
    try:
        yield Team(wait)
    finally:
        distributed.destroy_process_group()


def report(row: dict[str, float]) -> None:
    """Send a row of numbers to the ``progress`` of `launch`; heard from the first process only."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # the parent never writes: this returns when it is gone
    os._exit(1)


def _work(target: str, folder: Path, rank: int, size: int, timeout: float) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        module, _, name = target.partition(":")
        function: Callable[[Team, Path], None] = getattr(importlib.import_module(module), name)
        with process_group(folder / "meeting", rank, size, timeout=timeout) as team:
            try:
                function(team, folder)
            except Exception as error:
                # before the group is left: that makes the others fail, and the first counts
                _note(error, folder, rank)
                raise
    except Exception as error:
        _note(error, folder, rank)
        return 1
    return 0


def _note(error: Exception, folder: Path, rank: int) -> None:
    path = folder / f"error-{rank}.json"
    if path.exists():
        return
    cause = {
        "rank": rank,
        "time": clock.time(),
        "type": type(error).__name__,
        "ours": isinstance(error, errors.AstroprepError),
        "message": str(error),
        "traceback": traceback.format_exc(),
    }
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(cause))
    partial.replace(path)


if __name__ == "__main__":
    code = _work(
        sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    )
    sys.stdout.flush()
    os._exit(code)  # threads of a broken group would keep the interpreter from ending

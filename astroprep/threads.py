"""Share objects among threads: compiled kernels release the interpreter's lock.

Numba's own parallel loops compile the kernel twice more, with all that it calls: a kernel over a
range of objects is compiled once and does the same work.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba

from astroprep.errors import ConfigError

__all__ = ["for_objects", "in_chunks"]

CHUNK = 64  # curves that a thread takes at a time
SHARES = 8  # ranges for each thread: the last to end keeps the others waiting for an eighth of it


def in_chunks(n_curves: int, jobs: int | None, work: Callable[[int, int], None]) -> None:
    """Call ``work(first, last)`` for slices of the curves, in threads.

    Parameters
    ----------
    n_curves : int
        Curves in all.
    jobs : int or None
        Threads; None takes numba's number of threads.
    work : callable
        Releases the interpreter lock; its result must not depend on the slicing.

    Raises
    ------
    ConfigError
        If ``jobs`` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs!r}")
    threads = _threads(n_curves) if jobs is None else jobs
    size = max(1, min(CHUNK, -(-n_curves // (4 * threads))))
    starts = range(0, n_curves, size)
    if threads == 1 or len(starts) < 2:
        for first in starts:
            work(first, min(first + size, n_curves))
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, s, min(s + size, n_curves)) for s in starts]:
            done.result()


def for_objects(kernel: Callable[..., None], n_objects: int, *arguments: object) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges of the objects, in numba's threads.

    Parameters
    ----------
    kernel : callable
        Compiled with ``nogil=True``. Writes what belongs to the objects of its range and nothing
        else, so that the ranges do not matter.
    n_objects : int
        Objects in all.
    *arguments : object
        Passed on; arrays are shared.
    """
    threads = _threads(n_objects)
    if threads == 1:
        kernel(0, n_objects, *arguments)
        return
    size = -(-n_objects // (SHARES * threads))
    with ThreadPoolExecutor(threads) as pool:
        starts = range(0, n_objects, size)
        ends = [min(first + size, n_objects) for first in starts]
        for done in [
            pool.submit(kernel, *some, *arguments) for some in zip(starts, ends, strict=True)
        ]:
            done.result()


def _threads(n_objects: int) -> int:
    """Threads that so many objects are worth; to ask numba starts its own, so not for one."""
    return numba.get_num_threads() if n_objects > 1 else 1

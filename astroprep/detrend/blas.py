"""One thread for linear algebra on small matrices, whoever calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread"]


class _Limit:
    """The limit of the process, and how many callers hold it."""

    lock = threading.Lock()
    holders = 0
    limits: threadpool_limits | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile.

    Threads that share a matrix of a few hundred rows wait for each other, the longer the busier
    the machine is. The limit is one of the process: the first caller sets it and the last lifts
    it, so that callers in several threads do not leave the limit of another behind.
    """
    with _Limit.lock:
        if _Limit.holders == 0:
            _Limit.limits = threadpool_limits(limits=1, user_api="blas")
        _Limit.holders += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.holders -= 1
            if _Limit.holders == 0 and _Limit.limits is not None:
                _Limit.limits.restore_original_limits()
                _Limit.limits = None

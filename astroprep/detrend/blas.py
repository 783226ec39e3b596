"""One thread for linear algebra on small matrices, whoever calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread"]


class _Limit:
    """The limits before, and how many callers have their own."""

    lock = threading.Lock()
    holders = 0
    before: threadpool_limits | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile.

    Threads that share a matrix of a few hundred rows wait for each other, the longer the busier
    the machine is. Some BLAS have one limit for the process and some one for each thread, so
    every caller sets it and every caller puts back what was there before the first: whoever
    leaves first may lift it for the others, which costs them time and changes no number.
    """
    with _Limit.lock:
        own = threadpool_limits(limits=1, user_api="blas")
        if _Limit.before is None:
            _Limit.before = own
        before = _Limit.before
        _Limit.holders += 1
    try:
        yield
    finally:
        with _Limit.lock:
            before.restore_original_limits()
            _Limit.holders -= 1
            if _Limit.holders == 0:
                _Limit.before = None

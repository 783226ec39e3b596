"""Objects are shared among threads: each is served once, at the same time, and errors come out."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

from astroprep.threads import for_objects, in_chunks


@pytest.fixture
def n_threads(request, monkeypatch):
    monkeypatch.setattr(numba, "get_num_threads", lambda: request.param)
    return request.param


@pytest.mark.parametrize("n_threads", [1, 2, 3], indirect=True)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000])
def test_every_object_is_served_once(n_threads, n):
    served = np.zeros(n, np.int64)

    def kernel(begin, end, count):
        count[begin:end] += 1

    for_objects(kernel, n, served)
    in_chunks(n, None, lambda begin, end: kernel(begin, end, served))

    np.testing.assert_array_equal(served, 2)


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_two_threads_work_at_once(n_threads):
    """Each waits for the other; one after the other, the barrier breaks."""
    both = threading.Barrier(2)

    for_objects(lambda begin, end: both.wait(timeout=30), 2)


@pytest.mark.parametrize("n_threads", [1, 2], indirect=True)
def test_an_error_comes_out(n_threads):
    def kernel(begin, end):
        if end > 50:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_objects(kernel, 100)

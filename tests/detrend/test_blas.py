"""One thread for small matrices, and afterwards as many as before."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from astroprep.detrend import jointfit, telemetry
from astroprep.detrend.blas import one_blas_thread


def threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two():
    with threadpool_limits(limits=2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS has one thread only")
        yield


def test_one_inside_and_two_after(two):
    with one_blas_thread():
        assert threads() == {1}
        with one_blas_thread():
            assert threads() == {1}
    assert threads() == {2}
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        _ = 1 / 0
    assert threads() == {2}


def test_several_threads_leave_what_was_before(two):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            inside.set()
            leave.wait(10)

    first = one_blas_thread()
    first.__enter__()
    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    first.__exit__(None, None, None)  # the first leaves before the other
    leave.set()
    thread.join()
    assert threads() == {2}


def test_telemetry_is_fitted_on_one(two, rng, monkeypatch):
    from astroprep.data import LightCurveBatch

    seen = []

    def spy(*given):
        seen.append(threads())
        return jointfit.fit_jointly(*given)

    monkeypatch.setattr(telemetry, "fit_jointly", spy)
    time = np.arange(100.0)
    batch = LightCurveBatch.from_curves([(time, rng.normal(size=100), np.ones(100))])
    step = telemetry.TelemetryTrend(columns=("time",), slow=0.0, oscillations=0, degree=1)
    step.fit(batch).transform(batch)
    assert seen == [{1}]
    assert threads() == {2}

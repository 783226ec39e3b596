"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from astroprep.data import LightCurveBatch

settings.register_profile("astroprep", deadline=None)  # a first example may compile a kernel
settings.load_profile("astroprep")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        default=os.environ.get("ASTROPREP_DATA", ""),
        help="folder of real surveys (or ASTROPREP_DATA); tests that need it skip without",
    )
    parser.addoption(
        "--require-data", action="store_true", help="fail unless tests on real surveys ran"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--require-data") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(DataWasUsed())


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")


class DataWasUsed:
    """Real data that is there must have been used: a suite that skips it proves nothing."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed and "real_data" in report.keywords

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self.passed and session.exitstatus == 0:
            raise pytest.UsageError("--require-data, but no test on real surveys ran")


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """Folder of real surveys; skips the test when none was given."""
    given = request.config.getoption("--data")
    if not given:
        pytest.skip("needs real surveys: pass --data FOLDER or set ASTROPREP_DATA")
    folder = Path(given)
    if not (folder / "crts_south.parquet").exists():
        pytest.fail(f"--data {folder} has no crts_south.parquet")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def make_batch(rng: np.random.Generator) -> Callable[..., LightCurveBatch]:
    """Factory of noisy sines with plausible modified Julian dates."""

    def make(
        n_curves: int = 3, n_points: int = 60, *, period: float = 0.61, error: float = 0.02
    ) -> LightCurveBatch:
        curves = []
        for _ in range(n_curves):
            time = np.sort(rng.uniform(55000.0, 55900.0, n_points))
            mag = 15.0 + 0.4 * np.sin(2 * np.pi * time / period) + rng.normal(0, error, n_points)
            curves.append((time, mag, np.full(n_points, error)))
        return LightCurveBatch.from_curves(
            curves,
            ids=[f"star-{i}" for i in range(n_curves)],
            objects={"period": np.full(n_curves, period)},
        )

    return make

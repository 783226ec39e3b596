from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError, DataError
from astroprep.period import FrequencyGrid, GridRule


def test_the_grid_follows_from_the_baseline():
    grid = GridRule(max_frequency=24, min_cycles=2, oversampling=5).grid(np.array([0.0, 2500.0]))

    assert grid.start == pytest.approx(2 / 2500)
    assert grid.step == pytest.approx(1 / 12500)
    assert grid.stop <= 24 < grid.stop + grid.step
    assert grid.frequencies.size == grid.size


def test_a_sentinel_time_is_an_error_with_advice():
    """MJD -2409998.5 once stood in a survey file and asked for 1e8 frequencies."""
    with pytest.raises(DataError, match=r"at most 2,000,000.*FlagBad.*'star 7'"):
        GridRule().grid(np.array([-2409998.5, 53000.0]), name="'star 7'")


@pytest.mark.parametrize(
    ("time", "match"),
    [([5.0, 5.0], "different times"), ([], "different times"), ([1.0, 1.01], "a baseline over")],
)
def test_no_baseline_no_grid(time, match):
    with pytest.raises(DataError, match=match):
        GridRule().grid(np.array(time))


@pytest.mark.parametrize(
    "wrong", [{"max_frequency": 0.0}, {"oversampling": 1.0}, {"min_cycles": np.nan}]
)
def test_wrong_rules_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GridRule(**wrong)


def test_a_grid_needs_a_frequency():
    with pytest.raises(ConfigError, match="at least one frequency"):
        FrequencyGrid(0.1, 0.1, 0)

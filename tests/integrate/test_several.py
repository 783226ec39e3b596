"""Simulated surveys of the same stars: their clocks against the package's own, their truth."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.integrate import ToBarycentric, find_same_stars, stack_surveys
from astroprep.synthetic import SEVERAL_SURVEYS, simulate_several


@pytest.fixture(scope="module")
def surveys():
    return simulate_several(12, seed=3, n_points=30, n_neighbours=4)


def test_the_same_seed_gives_the_same_surveys(surveys):
    again = simulate_several(12, seed=3, n_points=30, n_neighbours=4)
    other = simulate_several(12, seed=4, n_points=30, n_neighbours=4)
    for name, batch in surveys.items():
        np.testing.assert_array_equal(batch.value, again[name].value)
        np.testing.assert_array_equal(batch.time, again[name].time)
        assert not np.array_equal(batch.value, other[name].value)


def test_clocks_are_those_that_we_reduce(surveys):
    """astropy put the times in; our own ephemeris takes them out within its stated errors."""
    for batch in surveys.values():
        found = ToBarycentric(reference=2450000.0).fit_transform(batch)
        late = (found.time + 2450000.0 - 2400000.5 - batch.points["bjd_truth"]) * 86400
        # 2.4 ms per arcsecond of a position that is off by up to a few tenths, and the rounding
        assert np.abs(late).max() < 5e-3


def test_stars_and_their_neighbours(surveys):
    star = {name: batch.objects["star"].tolist() for name, batch in surveys.items()}
    assert star["north"] == star["space"] == list(range(12))
    assert star["old"] == [1, 3, *range(4, 16)]
    assert len({one for batch in surveys.values() for one in batch.ids}) == 12 + 12 + 14
    for name, design in SEVERAL_SURVEYS.items():
        batch = surveys[name]
        again = simulate_several(12, seed=3, n_points=30, n_neighbours=4)[name]
        assert batch.meta.time_ref == design.reference
        assert (batch.error == design.sigma).all()
        assert again.ids.tolist() == batch.ids.tolist()


def test_a_neighbour_is_no_counterpart_though_it_is_the_nearest(surveys):
    clocked = [ToBarycentric(reference=2450000.0).fit_transform(b) for b in surveys.values()]
    whole = stack_surveys(clocked)
    whole = whole.with_columns(objects={"period": whole.objects["true_period"]})
    stars = find_same_stars(whole, radius=3.0, position_error=0.4)
    one, two = np.triu_indices(len(whole), 1)
    truth = whole.objects["star"]
    joined = stars.group[one] == stars.group[two]
    assert not (joined & (truth[one] != truth[two])).any()


def test_settings():
    for settings in ({"n_stars": 0}, {"n_points": 2}, {"n_neighbours": 41}, {"n_neighbours": -1}):
        with pytest.raises(ConfigError, match="simulate_several needs"):
            simulate_several(**{"n_stars": 40, **settings})

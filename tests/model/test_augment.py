"""Random parts of light curves."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.errors import ConfigError
from astroprep.model.augment import subsample


def test_keeps_the_share_asked_for(make_batch):
    batch = make_batch(200, 300)

    share = subsample(batch, lowest=0.5).usable.counts() / 300

    assert share.mean() == pytest.approx(0.75, abs=0.04)  # 3 sigma of 200 draws from [0.5, 1]
    assert share.min() < 0.55
    assert share.max() > 0.95


def test_short_curves_keep_enough(make_batch):
    counts = subsample(make_batch(100, 50), lowest=0.1, min_points=45).usable.counts()

    assert counts.mean() >= 44
    assert (subsample(make_batch(5, 30), lowest=0.1).usable.counts() == 30).all()


def test_seed_and_star_decide_not_the_batch(make_batch):
    batch = make_batch(20, 60)
    whole = subsample(batch, seed=3)

    np.testing.assert_array_equal(subsample(batch[7:9], seed=3).weight, whole[7:9].weight)
    assert (subsample(batch, seed=4).weight != whole.weight).any()
    assert (whole[0].weight != whole[1].weight).any()


def test_points_without_trust_stay_so_and_the_input_is_untouched(make_batch):
    batch = make_batch(4, 200)
    weight = np.full(batch.n_points, 0.5)
    weight[::3] = 0.0
    given = batch.with_columns(weight=weight)

    result = subsample(given)

    assert (result.weight[::3] == 0).all()
    assert set(np.unique(result.weight)) == {0.0, 0.5}
    np.testing.assert_array_equal(given.weight, weight)
    assert subsample(given[:0]).n_curves == 0


def test_wrong_settings_are_named(make_batch):
    with pytest.raises(ConfigError, match="lowest must be above 0"):
        subsample(make_batch(), lowest=0.0)
    with pytest.raises(ConfigError, match="0 or more, got -1"):
        subsample(make_batch(), min_points=-1)

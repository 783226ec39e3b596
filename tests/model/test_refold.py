"""Augmentation: what is drawn, how it repeats, and that it folds what it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from astroprep.data import LightCurveBatch
from astroprep.errors import ConfigError, DataError
from astroprep.model.redraw import draw_points, redraw_periodic
from astroprep.model.refold import AugmentSettings, Refold
from astroprep.represent import FoldedChannels

KEY = np.array([3, 1])


def draw(n=400, n_curves=200, share=1.0, lowest=0.5, window=0.0, noise=0.0, bootstrap=0.0):
    offsets = np.arange(n_curves + 1) * n
    value = np.tile(np.arange(n, dtype=float), n_curves)
    chance = np.array([share, lowest, window, noise, bootstrap])
    index, drawn, error, ends = draw_points(
        value, np.ones(value.size), offsets, np.arange(n_curves), KEY, chance, 40
    )
    return [(index[a:b] % n, drawn[a:b], error[a:b]) for a, b in pairwise(ends)]


def test_scattered_points_are_a_fair_share_in_order():
    curves = draw()
    share = np.array([len(index) for index, _, _ in curves]) / 400

    assert share.min() >= 0.5
    assert share.mean() == pytest.approx(0.75, abs=0.03)  # 3 sigma of 200 draws from [0.5, 1]
    chosen = np.bincount(np.concatenate([index for index, _, _ in curves]), minlength=400)
    assert abs(chosen[:200].sum() / chosen.sum() - 0.5) < 0.01
    assert all((np.diff(index) > 0).all() for index, _, _ in curves)


def test_a_window_is_consecutive():
    curves = draw(window=1.0)

    assert all((np.diff(index) == 1).all() for index, _, _ in curves)
    assert len({int(index[0]) for index, _, _ in curves}) > 50


def test_noise_has_the_size_that_the_errors_then_say():
    curves = draw(lowest=1.0, noise=2.0)
    pulls = [(drawn - index) / np.sqrt(error**2 - 1) for index, drawn, error in curves]

    assert all(np.ptp(error) == 0 and 1 <= error[0] <= np.sqrt(5) for _, _, error in curves)
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.01)


def test_a_bootstrap_repeats_points():
    index = draw(bootstrap=1.0, lowest=1.0)[0][0]

    assert len(index) == 400
    assert len(set(index)) == pytest.approx(400 * (1 - np.exp(-1)), abs=35)


def test_short_curves_and_a_share_of_zero_stay_whole():
    assert all(len(index) == 30 for index, _, _ in draw(n=30))
    assert all(len(index) == 400 for index, _, _ in draw(share=0.0, noise=1.0))


def test_redrawn_curves_scatter_about_the_light_curve_by_posterior_and_noise(rng):
    """The mean of many draws is the light curve, unequal minima too; others stay as they are."""
    time = np.sort(rng.uniform(0, 100, 300))
    shape = np.cos(2 * np.pi * time / 0.7) + 0.5 * np.cos(np.pi * time / 0.7)
    error = np.full(300, 0.05)
    value = 15.0 + shape + rng.normal(0, 0.05, 300)
    copies = 60
    many = np.tile(value, copies)
    rare = np.arange(copies) < copies - 1
    redraw_periodic(
        np.tile(time, copies), many, np.tile(error, copies), np.arange(copies + 1) * 300,
        np.full(copies, 0.7), rare, np.arange(copies), KEY, 1.0,
    )  # fmt: skip
    drawn = many.reshape(copies, 300)

    np.testing.assert_array_equal(drawn[-1], value)
    mean, scatter = drawn[:-1].mean(axis=0), drawn[:-1].std(axis=0)
    assert np.abs(mean - 15.0 - shape).mean() < 0.03
    expected = np.sqrt(0.05**2 + 0.01 * np.var(value))  # the noise; the posterior adds little
    assert np.median(scatter) == pytest.approx(expected, rel=0.1)


@pytest.fixture
def batch(make_batch):
    batch = make_batch(20, 80)
    return batch.with_columns(objects={"period": np.full(20, 0.61)})


def refold(batch, **settings):
    label = np.arange(batch.n_curves) % 2
    return Refold.of_batch(batch, label, FoldedChannels(n_bins=16), AugmentSettings(**settings))


def test_without_changes_it_is_the_step(batch):
    rows = np.array([3, 0, 7])
    expected = FoldedChannels(n_bins=16).transform(batch).objects["folded"][rows]

    np.testing.assert_array_equal(refold(batch, share=0.0)(rows, 5), expected)


def test_seed_epoch_and_row_decide_not_the_others(batch):
    fold = refold(batch, noise=0.5, process=0.5)
    whole = fold(np.arange(20), 2)

    np.testing.assert_array_equal(fold(np.array([4, 9]), 2), whole[[4, 9]])
    assert (fold(np.arange(20), 3) != whole).any()
    assert (replace(fold, settings=AugmentSettings(seed=1))(np.arange(20), 2) != whole).any()
    assert np.isfinite(whole).all()
    assert refold(batch).fingerprint() != fold.fingerprint()


def test_what_it_cannot_serve_is_named():
    curve = np.arange(50.0), np.arange(50.0) % 7, np.full(50, 0.1)
    with pytest.raises(DataError, match="needs curves with the column 'period'"):
        refold(LightCurveBatch.from_curves([curve]))
    with pytest.raises(ConfigError, match="share = 2, noise = -1"):
        AugmentSettings(share=2, noise=-1)

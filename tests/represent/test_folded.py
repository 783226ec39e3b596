"""Folded channels: against ten lines of brute force, on the circle, and at the limits."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.represent import CHANNELS, FoldedChannels, fold_channels

BRIGHTNESS, SCATTER, OCCUPANCY = range(3)


def star(rng, n=200, period=0.61, depth=0.5):
    time = np.sort(rng.uniform(0.0, 400.0, n))
    error = rng.uniform(0.01, 0.05, n)
    mag = 15.0 + depth * np.sin(2 * np.pi * time / period) + rng.normal(0, error)
    return time, mag, error


def batch_of(curves, period, quantity="mag"):
    return LightCurveBatch.from_curves(
        curves, objects={"period": np.asarray(period, float)}, meta=Meta(quantity=quantity)
    )


def fold_one(curve, period, multiples=(1, 2), n_bins=16, sign=-1.0, limit=5.0):
    time, mag, error = (np.asarray(x, float) for x in curve)
    return fold_channels(
        time,
        mag,
        error,
        np.array([0, time.size]),
        np.array([float(period)]),
        np.array(multiples),
        n_bins,
        sign,
        limit,
    )[0]


def brute(curve, period, n_bins, limit):
    """One fold, bin by bin."""
    time, mag, error = curve
    sigma = np.subtract(*np.percentile(mag, [95, 5])) / 3.2897
    z = -(mag - np.median(mag)) / sigma
    index = np.floor(((time - time[0]) / period) % 1 * n_bins).astype(int)
    rows = np.zeros((3, n_bins))
    for k in range(n_bins):
        inside = index == k
        if inside.any():
            weight = error[inside] ** -2
            mean = np.average(z[inside], weights=weight)
            spread = np.sqrt(np.average((z[inside] - mean) ** 2, weights=weight))
            rows[:, k] = mean, spread, inside.sum() / (inside.sum() + 1)
    return np.clip(rows, -limit, limit)


def test_equals_brute_force_at_each_multiple(rng):
    curve = star(rng, 400)

    folded = fold_one(curve, 0.61, n_bins=16)

    np.testing.assert_allclose(folded[:3], np.tile(brute(curve, 0.61, 8, 5.0), 2), atol=1e-5)
    np.testing.assert_allclose(folded[3:], brute(curve, 1.22, 16, 5.0), atol=1e-5)


def test_another_origin_of_phase_rolls_every_channel(rng):
    """A leading point, one bin of the longest fold earlier, moves phase zero by one bin."""
    time, mag, error = star(rng, 300, period=0.5)
    time = np.round((time - time[0]) / 0.0625) * 0.0625 + 0.03  # mid-bin: no point changes bins
    head = np.array([time[0] - 0.03, *time]), np.array([15.0, *mag]), np.array([0.05, *error])
    early = head[0].copy()
    early[0] -= 0.0625

    first = fold_one((head[0], head[1], head[2]), 0.5, n_bins=16)
    rolled = fold_one((early, head[1], head[2]), 0.5, n_bins=16)

    without = np.abs(np.roll(first, 1, axis=-1) - rolled)
    touched = np.zeros(16, bool)
    touched[[0, 1, 8, 9]] = True  # where the leading point itself falls
    assert without[:, ~touched].max() < 1e-5


def test_empty_bins_are_interpolated_around_the_circle_and_marked():
    time = np.array([0.0, 0.15, 0.85, 0.95, 1.05, 1.15])  # bins 0, 1, 8, 9, 0, 1
    mag = np.array([1.0, 2.0, 5.0, 6.0, 1.0, 2.0])

    folded = fold_one((time, mag, np.full(6, 0.1)), 1.0, multiples=(1,), n_bins=10, sign=1.0)

    empty = [2, 3, 4, 5, 6, 7]
    assert (folded[OCCUPANCY, empty] == 0).all()
    filled = [0, 1, 8, 9]
    assert (folded[OCCUPANCY, filled] > 0).all()
    steps = np.diff(folded[BRIGHTNESS, 1:9])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-5)


def test_one_filled_bin_fills_the_circle():
    folded = fold_one(([0.0, 1.0, 2.0], [1.0, 1.0, 4.0], [0.1] * 3), 1.0, multiples=(1,), n_bins=8)

    assert np.ptp(folded[BRIGHTNESS]) == 0
    assert folded[OCCUPANCY].tolist() == [0.75] + [0.0] * 7


def test_bright_is_up_for_both_quantities(rng):
    time, mag, error = star(rng)
    as_mag = FoldedChannels().transform(batch_of([(time, mag, error)], [0.61]))
    as_flux = FoldedChannels().transform(batch_of([(time, -mag, error)], [0.61], "flux"))

    np.testing.assert_array_equal(as_mag.objects["folded"], as_flux.objects["folded"])
    by_hand = fold_one((time, -mag, error), 0.61, n_bins=64, sign=1.0)
    np.testing.assert_array_equal(as_mag.objects["folded"][0], by_hand)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 100.0), (7.0, -3.0)])
def test_gain_and_offset_do_not_matter(rng, gain, offset):
    time, mag, error = star(rng)

    scaled = fold_one((time, gain * mag + offset, gain * error), 0.61)

    np.testing.assert_allclose(scaled, fold_one((time, mag, error), 0.61), atol=1e-4)


@pytest.mark.parametrize(
    "curve",
    [
        (np.arange(6.0), np.full(6, 15.0), np.full(6, 0.1)),  # constant
        (np.zeros(6), np.arange(6.0), np.full(6, 0.1)),  # one instant
        (np.arange(6.0), np.arange(6.0) * 1e30, np.full(6, 1e-30)),  # absurd errors
        (np.arange(6.0) * 0.37, [1, 1, 1, 1, 1, 1e9], [1e-200, 1, 1, 1e200, 1, 1]),
    ],
)
def test_is_finite_and_clipped_whatever_comes(curve):
    folded = fold_one(curve, 0.3, limit=3.0)

    assert np.isfinite(folded).all()
    assert np.abs(folded).max() <= 3.0


def test_step_writes_one_block_of_channels_a_fold(rng):
    step = FoldedChannels(n_bins=32, multiples=(1, 2, 4))

    result = step.transform(batch_of([star(rng), star(rng, 60)], [0.61, 0.8]))

    assert result.objects["folded"].shape == (2, 3 * len(CHANNELS), 32)
    assert result.objects["folded"].dtype == np.float32


def test_refuses_a_period_that_is_not_positive(rng):
    batch = batch_of([star(rng), star(rng)], [0.61, -1.0])

    with pytest.raises(DataError, match=r"FoldedChannels needs a positive 'period'.*curve 1"):
        FoldedChannels().transform(batch)
    kept = FoldedChannels(on_bad="reject").transform(batch)
    assert kept.n_curves == 1
    assert kept.rejected.reason.tolist() == ["needs a positive 'period'"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multiples": ()}, "multiples must be positive"),
        ({"multiples": (2, 3)}, "must divide the largest"),
        ({"n_bins": 33}, "n_bins must be a multiple of 2"),
        ({"limit": 0.0}, "limit must be 1 or more"),
    ],
)
def test_wrong_settings_are_named(rng, settings, message):
    with pytest.raises(ConfigError, match=message):
        FoldedChannels(**settings).transform(batch_of([star(rng)], [0.61]))


def test_occupancy_counts_trust(rng):
    """Two points of trust one half are worth one; full trust is the count of points."""
    time, mag, error = star(rng, 120)
    batch = batch_of([(time, mag, error)], [0.61])
    twice = batch_of([tuple(np.repeat(x, 2) for x in (time, mag, error))], [0.61])
    step = FoldedChannels(n_bins=16)

    plain = step.transform(batch).objects["folded"][0]
    halves = step.transform(twice.with_columns(weight=np.full(240, 0.5))).objects["folded"][0]
    doubted = step.transform(batch.with_columns(weight=np.full(120, 0.01))).objects["folded"][0]

    np.testing.assert_array_equal(plain, fold_one((time, mag, error), 0.61))
    np.testing.assert_allclose(halves[OCCUPANCY::3], plain[OCCUPANCY::3], rtol=1e-6)
    assert (doubted[OCCUPANCY::3] < 0.25).all()
    np.testing.assert_allclose(doubted[BRIGHTNESS], plain[BRIGHTNESS], rtol=1e-5)


def test_every_channel_equals_brute_force(rng):
    """Sparse folds, so that there are empty bins; half the period is a fold like any other."""
    time, mag, error = star(rng, 30)
    step = FoldedChannels(n_bins=32, multiples=(0.5, 1, 2), channels=("precision", "gap", "mask"))

    folded = step.transform(batch_of([(time, mag, error)], [0.61])).objects["folded"][0]

    sigma = np.subtract(*np.percentile(mag, [95, 5])) / 3.2897
    for f, (multiple, bins) in enumerate(((0.5, 8), (1, 16), (2, 32))):
        where = np.floor(((time - time[0]) / (0.61 * multiple)) % 1 * bins).astype(int)
        expected = np.zeros((3, bins))
        filled = np.isin(np.arange(bins), where)
        for k in range(bins):
            if filled[k]:
                e = 1 / np.sqrt((error[where == k] ** -2).sum()) / sigma
                expected[:, k] = 1 / (1 + e), 0, 1
            else:
                around = np.roll(filled, -k)
                run = np.argmax(around) + np.argmax(np.roll(around, -1)[::-1]) - 1
                expected[1, k] = run / bins
        np.testing.assert_allclose(
            folded[3 * f : 3 * f + 3], np.tile(expected, 32 // bins), atol=1e-6
        )


def test_candidates_are_folded_beside_the_chosen_period(rng):
    """The chosen period is no candidate of itself; where there are fewer, channels are zero."""
    batch = batch_of([star(rng), star(rng)], [0.61, 0.8])
    candidates = np.array([[0.61, 0.37, 1.9], [0.8, 0.0, 0.0]])
    given = batch.with_columns(objects={"candidate_period": candidates})

    folded = FoldedChannels(n_bins=16, n_candidates=2).transform(given).objects["folded"]

    assert folded.shape == (2, 18, 16)
    for k, period in enumerate(([0.61, 0.8], [0.37, 0.8], [1.9, 0.8])):
        alone = FoldedChannels(n_bins=16).transform(
            batch.with_columns(objects={"period": np.array(period)})
        )
        part = folded[:, 6 * k : 6 * k + 6]
        np.testing.assert_array_equal(part[0], alone.objects["folded"][0])
        if k:
            assert (part[1] == 0).all()


def test_no_curves_give_no_folds(rng):
    empty = batch_of([star(rng)], [0.61])[:0]
    given = empty.with_columns(objects={"candidate_period": np.empty((0, 4))})

    assert FoldedChannels(n_bins=16).transform(empty).objects["folded"].shape == (0, 6, 16)
    folded = FoldedChannels(n_bins=16, n_candidates=1).transform(given).objects["folded"]
    assert folded.shape == (0, 12, 16)


def test_bands_are_folded_apart_with_one_origin(rng):
    time, mag, error = star(rng, 200)
    band = np.arange(200) % 2
    batch = batch_of([(time, mag + band, error)], [0.61])
    batch = LightCurveBatch(
        batch.time, batch.value, batch.error, batch.offsets, batch.flags, batch.weight,
        band=band.astype(np.int16), objects=batch.objects,
        meta=Meta(quantity="mag", bands=("g", "r")),
    )  # fmt: skip

    both = FoldedChannels(n_bins=16, bands=("g", "r")).transform(batch).objects["folded"][0]

    np.testing.assert_array_equal(
        both[:6], fold_one((time[::2], mag[::2], error[::2]), 0.61, n_bins=16)
    )
    phase = ((time - time[0]) / 1.22) % 1
    seen = np.bincount((phase[1::2] * 16).astype(int), minlength=16)
    np.testing.assert_allclose(both[11], seen / (seen + 1), rtol=1e-6)
    with pytest.raises(DataError, match="no band 'z' in this survey; there is g, r"):
        FoldedChannels(bands=("z",)).transform(batch)
    with pytest.raises(DataError, match="needs a single band"):
        FoldedChannels().transform(batch)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": ("brightness", "colour")}, "channels must be different ones out of"),
        ({"channels": ()}, "channels must be different ones out of"),
        ({"n_candidates": -1}, "n_candidates must be 0 or more"),
        ({"bands": ()}, "bands must name one at least"),
        ({"multiples": (0.5, 1, 2), "n_bins": 66}, "n_bins must be a multiple of 4"),
    ],
)
def test_wrong_choices_are_named(rng, settings, message):
    with pytest.raises(ConfigError, match=message):
        FoldedChannels(**settings).transform(batch_of([star(rng)], [0.61]))

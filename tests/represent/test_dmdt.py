"""dm-dt images: against brute force and light-curve, sampled against whole, at the limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.represent import DmDtImage, dmdt_counts, dmdt_edges

DT, DM = dmdt_edges()


def curves(rng, sizes):
    time = np.concatenate([np.sort(rng.uniform(0, 2900, n)) for n in sizes])
    value = rng.normal(15, 0.5, time.size)
    error = rng.uniform(0.02, 0.3, time.size)
    return time, value, error, np.concatenate([[0], np.cumsum(sizes)])


def brute(time, value, error, dt, dm):
    """Every pair, one by one."""
    counts, spread = (np.zeros((dt.size - 1, dm.size - 1)) for _ in range(2))
    for i in range(time.size):
        for j in range(i + 1, time.size):
            k = np.searchsorted(dt, time[j] - time[i], "right") - 1
            if not 0 <= k < dt.size - 1:
                continue
            d = value[j] - value[i]
            m = np.searchsorted(dm, d, "right") - 1
            if 0 <= m < dm.size - 1:
                counts[k, m] += 1
            spread[k] += np.diff(ndtr((dm - d) / np.hypot(error[i], error[j])))
    return counts, spread


@pytest.mark.parametrize("dm", [DM, np.linspace(-1.5, 1.5, 13), np.array([-9.0, 0.001, 0.0011, 3])])
def test_equals_brute_force(rng, dm):
    time, value, error, offsets = curves(rng, [40, 1, 0, 25])

    plain = dmdt_counts(time, value, offsets, DT, dm)
    spread = dmdt_counts(time, value, offsets, DT, dm, error=error)

    for i, (a, b) in enumerate(pairwise(offsets)):
        counts, smooth = brute(time[a:b], value[a:b], error[a:b], DT, dm)
        np.testing.assert_array_equal(plain.counts[i], counts)
        np.testing.assert_allclose(spread.counts[i], smooth, atol=(b - a) ** 2 * 1e-10)
    np.testing.assert_array_equal(plain.pairs, spread.pairs)
    np.testing.assert_array_equal(plain.pairs, plain.looked_at)


@pytest.mark.parametrize("spread", [False, True])
def test_equals_light_curve(rng, spread):
    light_curve = pytest.importorskip("light_curve")
    time, value, error, offsets = curves(rng, [200])
    peer = light_curve.DmDt(DT, DM, dt_type="asis", dm_type="asis", n_jobs=1)

    ours = dmdt_counts(time, value, offsets, DT, DM, error=error if spread else None)

    theirs = peer.gausses(time, value, error) if spread else peer.points(time, value)
    np.testing.assert_allclose(ours.counts[0], theirs, atol=2e-6 if spread else 0)
    np.testing.assert_array_equal(ours.pairs[0], peer.count_dt(time))


def test_a_bin_holds_its_lower_edge_and_not_its_upper_one():
    time = np.array([0.0, 1.0, 2.0, 4.0])  # differences 1, 2, 4, 1, 3, 2
    value = np.array([0.0, 1.0, 1.0, 0.0])  # 1, 1, 0, 0, -1, -1

    found = dmdt_counts(time, value, np.array([0, 4]), [1, 2, 4], [-1, 0, 1])

    assert found.pairs.tolist() == [[2, 3]]
    assert found.counts.tolist() == [[[0, 1], [2, 0]]]


def test_a_line_lies_on_the_diagonal():
    """Truth by construction: of a straight line dm is its slope times dt."""
    time = np.arange(50.0)
    edges = np.arange(0.5, 10.0)

    found = dmdt_counts(time, 3 * time, np.array([0, 50]), edges, 3 * edges)

    np.testing.assert_array_equal(found.counts[0], np.diag(50 - np.arange(1, 10)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(-1e4, 1e4))
def test_shifts_do_not_matter_and_reversal_mirrors(seed, shift):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, 4000, 30)) / 8.0  # dyadic: differences are exact
    value = rng.integers(-40, 40, 30) / 16.0
    offsets, dt = np.array([0, 30]), np.arange(0.0625, 500, 7.125)
    dm = np.arange(-5, 5.1, 0.5) + 1 / 64  # no value on an edge
    one = dmdt_counts(time, value, offsets, dt, dm).counts

    moved = dmdt_counts(time + round(shift), value + round(shift), offsets, dt, dm).counts
    mirrored = dmdt_counts(-time[::-1], value[::-1], offsets, dt, -dm[::-1]).counts

    np.testing.assert_array_equal(moved, one)
    np.testing.assert_array_equal(mirrored[..., ::-1], one)


def test_tiny_and_huge_errors_are_the_limits(rng):
    time, value, _, offsets = curves(rng, [60])
    points = dmdt_counts(time, value, offsets, DT, DM).counts

    for error in (1e-12, 1e-170, 0.0):
        spread = dmdt_counts(time, value, offsets, DT, DM, error=np.full(60, error)).counts
        np.testing.assert_allclose(spread, points, atol=1e-6)
    flat = dmdt_counts(time, value, offsets, DT, DM, error=np.full(60, 1e300)).counts
    assert (flat == 0).all()  # spread so far that nothing is left within the edges


@pytest.mark.parametrize("spread", [False, True])
def test_a_sample_keeps_totals_and_is_unbiased(rng, spread):
    time, value, error, offsets = curves(rng, [700])
    given_error = error if spread else None
    wide = np.array([-50.0, -0.4, 0.0, 0.4, 50.0])
    whole = dmdt_counts(time, value, offsets, DT, wide, error=given_error)

    samples = [
        dmdt_counts(time, value, offsets, DT, wide, error=given_error, max_pairs=20_000, seed=seed)
        for seed in range(40)
    ]

    for sample in samples:
        assert sample.looked_at.sum() <= 20_000
        np.testing.assert_array_equal(sample.pairs, whole.pairs)
        np.testing.assert_allclose(sample.counts.sum(axis=2), whole.pairs, rtol=1e-7)
        thin = sample.looked_at == sample.pairs
        np.testing.assert_allclose(sample.counts[thin], whole.counts[thin], atol=1e-9)
    assert not np.array_equal(samples[0].counts, samples[1].counts)
    mean = np.mean([s.counts for s in samples], axis=0)
    spread_of_mean = np.std([s.counts for s in samples], axis=0, ddof=1) / np.sqrt(40)
    away = np.abs(mean - whole.counts) / np.maximum(spread_of_mean, 1e-3 * whole.counts.max())
    assert away.max() < 5  # 96 bins: 5 sigma of Student's t with 39 degrees, once in 500 tests


def test_a_long_curve_is_bounded(rng):
    time, value, _, offsets = curves(rng, [20_000])

    found = dmdt_counts(time, value, offsets, DT, DM, max_pairs=200_000)

    assert 190_000 <= found.looked_at.sum() <= 200_000
    assert found.pairs.sum() > 1.9e8
    dense = found.counts[0, -3]  # of millions of pairs: a Gaussian difference of sigma 0.5 sqrt(2)
    share = np.diff(ndtr(DM / np.sqrt(0.5)))
    np.testing.assert_allclose(dense / found.pairs[0, -3], share, atol=0.03)


def batch_of(curves_, **about):
    return LightCurveBatch.from_curves(curves_, **about)


def star(rng, n=50):
    time = np.sort(rng.uniform(0, 900, n))
    return time, rng.normal(15, 0.3, n), np.full(n, 0.05)


def test_normalisations(rng):
    batch = batch_of([star(rng), star(rng, 20)])

    counts = DmDtImage(normalization="counts").transform(batch).objects
    fraction = DmDtImage(normalization="fraction").transform(batch).objects["dmdt"]
    conditional = DmDtImage().transform(batch).objects["dmdt"]

    pairs = counts["dmdt_pairs"]
    assert counts["dmdt"].shape == (2, 24, 24)
    assert counts["dmdt"].dtype == np.float32
    np.testing.assert_array_equal(counts["dmdt"].sum(axis=2), pairs)
    np.testing.assert_allclose(fraction.sum(axis=(1, 2)), 1, rtol=1e-6)
    rows = conditional.sum(axis=2)
    np.testing.assert_allclose(rows[pairs > 0], 1, rtol=1e-6)
    assert (rows[pairs == 0] == 0).all()
    assert (pairs == 0).any()
    assert counts["dmdt_sampled"].tolist() == [1.0, 1.0]


def test_uint8_never_loses_a_pair(rng):
    batch = batch_of([star(rng, 80)])

    image = DmDtImage(dtype="uint8", normalization="fraction").transform(batch).objects["dmdt"]
    share = DmDtImage(normalization="fraction").transform(batch).objects["dmdt"]

    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image > 0, share > 0)
    assert np.abs(image - 255.0 * share).max() < 1.001


def test_bands_are_images_of_their_own(rng):
    g, r = star(rng, 30), star(rng, 40)
    joined = [np.concatenate(pair) for pair in zip(g, r, strict=True)]
    band = np.repeat([0, 1], [30, 40]).astype(np.int16)
    both = LightCurveBatch(
        time=joined[0],
        value=joined[1],
        error=joined[2],
        offsets=np.array([0, 70]),
        band=band,
        meta=Meta(bands=("g", "r")),
    )

    image = DmDtImage(bands=("r", "g")).transform(both).objects["dmdt"]

    assert image.shape == (1, 2, 24, 24)
    for k, single in enumerate((r, g)):
        alone = DmDtImage().transform(batch_of([single])).objects["dmdt"]
        np.testing.assert_array_equal(image[0, k], alone[0])
    with pytest.raises(DataError, match="single band"):
        DmDtImage().transform(both)
    with pytest.raises(DataError, match="no band 'i' in this survey; there is g, r"):
        DmDtImage(bands=("i",)).transform(both)


def test_curves_without_a_pair_are_refused(rng):
    far = ([0.0, 9000.0], [15.0, 15.1], [0.1, 0.1])
    batch = batch_of([star(rng), far, ([1.0] * 5, [15.0] * 5, [0.1] * 5)], ids=["a", "b", "c"])

    with pytest.raises(DataError, match=r"at least 1 pairs within dt_edges, has 0: 'b'"):
        DmDtImage().transform(batch)
    kept = DmDtImage(on_bad="reject").transform(batch)
    assert kept.ids.tolist() == ["a"]
    assert kept.rejected.id.tolist() == ["b", "c"]


def test_spread_needs_errors_and_flux_needs_edges(rng):
    time, value, error = star(rng)
    bare = batch_of([(time, value, None)])
    DmDtImage().transform(bare)
    with pytest.raises(DataError, match="positive error"):
        DmDtImage(spread=True).transform(bare)
    flux = batch_of([(time, value, error)], meta=Meta(quantity="flux"))
    with pytest.raises(DataError, match="edges by default are magnitudes"):
        DmDtImage().transform(flux)
    assert DmDtImage(dm_edges=(-1, 0, 1)).transform(flux).objects["dmdt"].shape == (1, 24, 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dt_edges": (0.0, 1.0)}, "dt_edges must begin above 0"),
        ({"dm_edges": (1.0, 1.0)}, "dm_edges must be 2 to 1025 finite numbers"),
        ({"dm_edges": (1.0, np.nan)}, "dm_edges must be"),
        ({"dm_edges": "wide"}, "dm_edges must be numbers"),
        ({"normalization": "dt"}, "normalization must be"),
        ({"dtype": "uint8", "normalization": "counts"}, "'uint8' holds shares"),
        ({"max_pairs": 3}, "max_pairs must be a whole number from 25"),
        ({"bands": "g"}, "bands must be different names"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_wrong_settings_are_named(rng, wrong, message):
    with pytest.raises(ConfigError, match=message):
        DmDtImage(**wrong).transform(batch_of([star(rng)]))


@pytest.mark.parametrize(
    "wrong", [{"n_dt": 0}, {"n_dm": 3}, {"dt_range": (0.0, 1.0)}, {"dm_range": (2.0, 1.0)}]
)
def test_edges_of_nonsense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        dmdt_edges(**wrong)


def test_hostile_arrays_are_refused(rng):
    time, value, error, offsets = curves(rng, [20])
    for bad, message in (
        ((time[::-1], value, offsets), "sorted"),
        ((time, np.where(value > 15, np.nan, value), offsets), "finite numbers in 'value'"),
        ((time, value[:-1], offsets), "needs 20 numbers in 'value'"),
        ((time, value, np.array([0, 25])), "needs 25 numbers"),
    ):
        with pytest.raises(DataError, match=message):
            dmdt_counts(*bad, DT, DM)
    with pytest.raises(DataError, match="not negative"):
        dmdt_counts(time, value, offsets, DT, DM, error=-error)

"""One star under several ids: found by place and light, never chained across a contradiction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import EVIDENCE, SameStars, find_same_stars
from astroprep.integrate.bayes import SPHERE, log_bayes_factor
from astroprep.integrate.star_evidence import phase_difference
from astroprep.integrate.star_groups import cross_pairs, join
from astroprep.integrate.star_traits import measure_traits, with_periods

ARCSEC = 1 / 3600


def curve(rng, period, *, start=0.0, n=150, level=15.0, amplitude=0.3, epoch=0.0, noise=0.01):
    time = np.sort(start + rng.uniform(0, 700, n))
    angle = 2 * np.pi * (time - epoch) / period
    mag = level + amplitude * (np.cos(angle) + 0.4 * np.cos(2 * angle + 1.0))
    return time, mag + rng.normal(0, noise, n), np.full(n, noise)


def field(rng, n_stars=60, **changes):
    """Every star twice, in two surveys 2,000 days apart with other zero points."""
    period = np.exp(rng.uniform(np.log(1), np.log(20), n_stars))
    level = rng.normal(15, 0.7, n_stars)
    epoch = rng.uniform(0, 20, n_stars)
    amplitude = rng.uniform(0.15, 0.5, n_stars)
    ra, dec = rng.uniform(80, 80.3, n_stars), rng.uniform(0, 0.3, n_stars)
    curves, columns = [], {"ra": [], "dec": [], "period": [], "survey": [], "star": []}
    for survey in (0, 1):
        for i in range(n_stars):
            curves.append(
                curve(
                    rng, period[i], start=2000 * survey, level=level[i] + 0.05 * survey,
                    epoch=epoch[i], amplitude=amplitude[i],
                )
            )  # fmt: skip
            columns["ra"].append(ra[i] + rng.normal(0, 0.3) * ARCSEC)
            columns["dec"].append(dec[i] + rng.normal(0, 0.3) * ARCSEC)
            columns["period"].append(period[i] * (1 + 1e-6 * rng.standard_normal()))
            columns["survey"].append("AB"[survey])
            columns["star"].append(f"s{i}")
    columns["star"] = np.array(columns["star"], dtype=object)
    columns["survey"] = np.array(columns["survey"], dtype=object)
    return LightCurveBatch.from_curves(
        curves, ids=[f"c{k}" for k in range(2 * n_stars)],
        objects={**{k: np.asarray(v) for k, v in columns.items()}, **changes},
        meta=Meta(survey="both", time_scale="HJD", time_ref=0.0),
    )  # fmt: skip


def right_and_wrong(batch, found):
    star = batch.objects["star"]
    one = found.group[found.left] == found.group[found.right]
    true = star[found.left] == star[found.right]
    return int((one & true).sum()), int((one & ~true).sum())


@pytest.mark.parametrize("by", ["position", "photometry", "both"])
def test_every_star_is_found_and_no_other(rng, by):
    batch = field(rng)
    right, wrong = right_and_wrong(batch, find_same_stars(batch, by=by))
    assert wrong == 0
    assert right >= 58  # of 60: the radius of 2 arcsec is 4.7 sigma


def test_an_empty_batch_and_one_curve(rng):
    batch = field(rng, 2)
    for few in (batch[:0], batch[:1]):
        for by in ("position", "photometry", "both"):
            found = find_same_stars(few, by=by)
            assert found.left.size == 0
            assert found.group.tolist() == list(range(len(few)))
            assert len(found.table()) == len(found.merge_log()) == 0


def test_hostile_curves_stand_alone(rng):
    """NaN, infinities, empty, one point, constant; at one place with a healthy star."""
    nan, inf = np.nan, np.inf
    curves = [
        curve(rng, 3.0), ([], [], []), ([1.0], [15.0], None), ([nan] * 20, [nan] * 20, None),
        (np.arange(20.0), np.full(20, 15.0), None), ([1.0, 1, 1], [inf, 15, -inf], None),
        (np.zeros(30), np.arange(30.0), None),
    ]  # fmt: skip
    n = len(curves)
    period = [3.0, nan, 0, -1, 3, inf, 3]
    place = {"ra": np.full(n, 10.0), "dec": np.zeros(n)}
    batch = LightCurveBatch.from_curves(curves, objects={**place, "period": period})
    for by in ("position", "photometry", "both"):
        found = find_same_stars(batch, by=by)
        assert np.isfinite(found.probability).all()
        assert found.probability.size == 0 or found.table()["reason"].ne("").all()


def test_the_position_is_budavari_and_szalays(rng):
    """With no other evidence the ratio is their Eq. 16 over the number of curves in the sky."""
    batch = field(rng, 300)
    found = find_same_stars(batch, radius=1.0, evidence=("position",))
    score = found.scores[:, EVIDENCE.index("position")]
    near = np.bincount(np.concatenate((found.left, found.right)), minlength=600) == 1
    alone = near[found.left] & near[found.right] & (found.separation < 0.5)
    density = 1 / np.pi  # one other curve in the circle, far above the field's density
    expected = log_bayes_factor(found.separation, 0.3, 0.3) - np.log(SPHERE * density)
    assert alone.sum() > 100
    np.testing.assert_allclose(score[alone], expected[alone] + np.log(0.98), atol=0.03)
    np.testing.assert_allclose(found.probability, expit(logit(0.5) + score), rtol=1e-12)


def test_probability_sums_the_evidence(rng):
    batch = field(rng, 20)
    found = find_same_stars(batch)
    table = found.table()
    total = table[list(EVIDENCE)].fillna(0).sum(axis=1)
    np.testing.assert_allclose(table["probability"], expit(total), rtol=1e-9)
    assert set(table["verdict"]) <= {"same", "different", "unsure"}


def test_the_phase_is_predicted_across_a_gap(rng):
    """Two curves of one ephemeris agree 2,000 days apart; half a period off they do not."""
    curves = [
        curve(rng, 3.3), curve(rng, 3.3, start=2000), curve(rng, 3.3, start=2000, epoch=1.65),
    ]  # fmt: skip
    batch = LightCurveBatch.from_curves(curves, objects={"period": np.full(3, 3.3)})
    traits = measure_traits(batch)
    gap, sigma = phase_difference(traits, np.array([0, 0]), np.array([1, 2]))
    assert abs(gap[0]) < 4 * sigma[0] < 0.3
    assert abs(abs(gap[1]) - 0.5) < 4 * sigma[1]


def test_traits_of_a_known_curve(rng):
    traits = measure_traits(
        LightCurveBatch.from_curves(
            [curve(rng, 2.7, n=2000, noise=0.001)], objects={"period": [2.7]}
        )
    )
    assert traits.shape[0] == pytest.approx(0.4 / np.hypot(1, 0.4), abs=1e-3)
    assert traits.level[0] == pytest.approx(15.0, abs=0.1)
    faint = traits.middle[0] + traits.phase[0] * 2.7
    assert abs((faint / 2.7 + 0.5) % 1 - 0.5) < 1e-3  # the fundamental is faintest at its epoch


def test_twice_the_period_describes_the_same_star(rng):
    """A search may take either for two eclipses a cycle: traits are those of the shorter one."""
    one = curve(rng, 2.7, n=400)
    batch = LightCurveBatch.from_curves([one, one], objects={"period": [2.7, 5.4]})
    traits = measure_traits(batch)
    np.testing.assert_allclose(traits.frequency, 1 / 2.7, rtol=1e-12)
    for name in ("phase", "shape", "phase_err", "frequency_err"):
        value = getattr(traits, name)
        assert value[0] == pytest.approx(value[1], rel=1e-6)


def test_frequency_errors_are_honest(rng):
    """Pulls of periods measured from many curves against the truth, spread about one."""
    curves = [curve(rng, 3.3, n=100, noise=0.05) for _ in range(40)]
    batch = with_periods(LightCurveBatch.from_curves(curves), max_frequency=1.0)
    traits = measure_traits(batch)
    pull = (traits.frequency - 1 / 3.3) / traits.frequency_err
    assert 0.6 < pull.std() < 1.5


def test_copies_and_two_sources_in_one_image(rng):
    """One survey, the same exposures: equal values are a copy, others are two stars."""
    one = curve(rng, 3.0)
    other = (one[0], one[1] + rng.normal(0, 0.02, one[0].size), one[2])
    place = {"ra": np.full(2, 10.0), "dec": np.zeros(2)}
    column = EVIDENCE.index("exposures")
    copies = LightCurveBatch.from_curves([one, one], objects=place)
    assert find_same_stars(copies).scores[0, column] > 3
    apart = LightCurveBatch.from_curves([one, other], objects=place)
    assert find_same_stars(apart).scores[0, column] < -3


def test_a_chain_is_not_joined_across_a_contradiction():
    """0-1 and 1-2 are links, 0-2 contradicts: the surer link stands, the other is named."""
    left, right = np.array([0, 0, 1]), np.array([1, 2, 2])
    # pair 1 (0-2) contradicts; links are pairs 0 and 2, pair 2 the surer
    starts, other, pair = np.array([0, 1, 1, 2]), np.array([2, 0]), np.array([1, 1])
    group, by, blocked = join(np.array([2, 0]), left, right, starts, other, pair, 3)
    assert group.tolist() == [0, 1, 1]
    assert by.tolist() == [-1, -1, 2]
    assert blocked.tolist() == [1, -1, -1]


def test_a_star_between_two_others_does_not_join_them(rng):
    """Three sources in a row: the middle one (no period) fits either, the outer two do not."""
    curves = [
        curve(rng, 3.0, n=300), curve(rng, 3.0, n=5, start=900, amplitude=0.3),
        curve(rng, 7.7, n=300, start=2000, amplitude=0.05, level=17.0),
    ]  # fmt: skip
    batch = LightCurveBatch.from_curves(
        curves, ids=["a", "b", "c"],
        objects={
            "ra": np.full(3, 10.0),
            "dec": np.array([0, 0.2, 0.4]) * ARCSEC,
            "period": [3.0, np.nan, 7.7],
        },
    )  # fmt: skip
    found = find_same_stars(batch, evidence=("position", "period", "phase"), radius=10.0)
    assert found.group[0] != found.group[2]
    table = found.table().set_index(["left_id", "right_id"])
    assert table.loc[("a", "c"), "period"] < -3
    kept_apart = table[(table["verdict"] == "same") & ~table["one_star"]]
    assert len(kept_apart) == 1
    assert kept_apart["reason"].str.contains("not joined: 'a' and 'c' contradict").all()


def test_cross_pairs_are_all_pairs_of_a_set(rng):
    left, right, large = cross_pairs(np.array([0, 1, 5]), np.array([1, 3, 6]), 8, 3)
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == [
        (0, 1), (0, 3), (1, 3), (5, 6),
    ]  # fmt: skip
    assert not large.any()
    assert cross_pairs(np.array([0, 1, 5]), np.array([1, 3, 6]), 8, 2)[2].sum() == 3


def test_a_long_chain_is_reported_and_not_joined(rng):
    n = 130
    curves = [(np.arange(5.0) + 10 * k, np.full(5, 15.0), None) for k in range(n)]
    batch = LightCurveBatch.from_curves(
        curves, objects={"ra": np.full(n, 10.0), "dec": np.arange(n) * 0.2 * ARCSEC}
    )
    found = find_same_stars(
        batch, radius=0.25, evidence=("position",), prior=0.99, min_probability=0.6
    )
    assert found.n_stars == n
    assert found.table()["reason"].str.contains("more than 100 curves hang together").any()


def test_undo_takes_one_curve_out(rng):
    batch = field(rng, 5)
    found = find_same_stars(batch)
    log = found.merge_log()
    assert len(log) == 5
    lone = found.undo(str(log["curve_id"][0]))
    assert lone.n_stars == found.n_stars + 1
    assert len(lone.merge_log()) == 4
    with pytest.raises(DataError, match="stands alone already"):
        lone.undo(str(log["curve_id"][0]))
    with pytest.raises(DataError, match="there are 0"):
        found.undo("nobody")
    with pytest.raises(DataError, match="no curve 99"):
        found.undo(99)


def test_the_order_of_curves_does_not_matter(rng):
    batch = field(rng, 30)
    order = rng.permutation(len(batch))
    plain, mixed = find_same_stars(batch), find_same_stars(batch.take(order))
    same = plain.group[:, None] == plain.group[None, :]
    other = mixed.group[:, None] == mixed.group[None, :]
    np.testing.assert_array_equal(same[np.ix_(order, order)], other)


def test_unknown_positions_and_positions_that_cannot_be(rng):
    batch = field(rng, 20)
    ra = batch.objects["ra"].copy()
    ra[:20] = np.nan
    half = batch.with_columns(objects={"ra": ra})
    assert find_same_stars(half).left.size == 0
    right, wrong = right_and_wrong(half, find_same_stars(half, by="both"))
    assert (right >= 19, wrong) == (True, 0)
    with pytest.raises(DataError, match=r"'c0' \(curve 0\) has ra .*, dec 91"):
        find_same_stars(batch.with_columns(objects={"dec": np.full(40, 91.0)}))
    with pytest.raises(DataError, match="has ra 400, dec"):
        find_same_stars(batch.with_columns(objects={"ra": np.full(40, 400.0)}))


def test_mistakes_are_named(rng):
    batch = field(rng, 2)
    with pytest.raises(ConfigError, match=r"by must be.*radius must lie.*prior must lie"):
        find_same_stars(batch, by="colour", radius=-1, prior=2)
    with pytest.raises(ConfigError, match="evidence is a list out of"):
        find_same_stars(batch, evidence=("parallax",))
    bare = LightCurveBatch.from_curves([curve(rng, 3.0)])
    with pytest.raises(DataError, match="needs the column 'ra'"):
        find_same_stars(bare)
    with pytest.raises(DataError, match=r"needs the column 'period'.*PeriodSearch"):
        find_same_stars(bare, by="photometry")
    assert isinstance(find_same_stars(batch), SameStars)


def test_columns_that_are_no_numbers(rng):
    batch = field(rng, 2)
    text = np.array(["10", "x", "1", "2"], dtype=object)
    for name, by in (("ra", "position"), ("period", "photometry"), ("period_err", "photometry")):
        with pytest.raises(DataError, match=f"numbers in the column '{name}'.*'x'"):
            find_same_stars(batch.with_columns(objects={name: text}), by=by)
        with pytest.raises(DataError, match=f"one number per object in '{name}'"):
            find_same_stars(batch.with_columns(objects={name: np.ones((4, 2))}), by=by)


def test_pairs_are_scored_alike_in_any_number_of_parts(rng, monkeypatch):
    batch = field(rng, 20)
    whole = find_same_stars(batch, radius=600.0)
    monkeypatch.setattr("astroprep.integrate.same_stars.CHUNK", 37)
    parts = find_same_stars(batch, radius=600.0)
    assert whole.left.size > 200
    np.testing.assert_array_equal(whole.scores, parts.scores)
    np.testing.assert_array_equal(whole.group, parts.group)


@pytest.mark.parametrize("by", ["position", "photometry"])
def test_too_many_pairs_are_refused(rng, monkeypatch, by):
    batch = field(rng, 40, period=np.full(80, 3.0))
    monkeypatch.setattr("astroprep.integrate.star_pairs.MAX_PAIRS", 50)
    with pytest.raises(ConfigError, match=r"more than.*50"):
        find_same_stars(batch, by=by, radius=3600.0)


def test_work_does_not_grow_with_the_square(rng):
    """2,000 stars of different periods: candidates are those of one period, not 8 million."""
    n = 2000
    time = np.tile(np.arange(20.0) * 7.3, n)
    period = np.exp(np.linspace(np.log(1), np.log(30), n))
    value = np.cos(2 * np.pi * time / np.repeat(period, 20)) + rng.normal(0, 1e-3, time.size)
    batch = LightCurveBatch(
        time=time, value=value, error=np.full(time.size, 1e-3), offsets=np.arange(n + 1) * 20,
        objects={"period": period},
    )  # fmt: skip
    assert find_same_stars(batch, by="photometry").left.size < 5 * n

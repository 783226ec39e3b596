"""Zero points: the exact truth, brute force, pulls of injected offsets, and wrong links."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import ZeroPointCorrection, measure_zero_points, merge_curves
from astroprep.integrate.zeropoint_field import solve_field

OFFSETS = np.array([0.0, 0.3, -0.2])
BANDS = ("a_i", "b_i", "c_i")


def merged(curves, *, bands=BANDS, quantity="mag", **objects):
    """Batch of ``(time, mag, error, band)`` curves."""
    columns = [np.concatenate([np.asarray(c[j], float) for c in curves]) for j in range(4)]
    sizes = [len(c[0]) for c in curves]
    return LightCurveBatch(
        time=columns[0],
        value=columns[1],
        error=columns[2],
        band=columns[3].astype(np.int16),
        offsets=np.concatenate(([0], np.cumsum(sizes))),
        objects={"id": [f"s{i}" for i in range(len(curves))]} | objects,
        meta=Meta(quantity=quantity, bands=bands),
    )


def star(rng, *, n=25, error=(0.02, 0.01, 0.03), extra=0.0, colour=0.0, amplitude=0.3, period=3.3):
    """Visits of three surveys within minutes of each other, each survey with its zero point."""
    shift = OFFSETS + rng.normal(0, colour, 3)
    parts = []
    for k in range(3):
        time = np.sort(rng.choice(400, n, replace=False)) + rng.uniform(0, 0.01, n)
        mag = 15 + amplitude * np.sin(2 * np.pi * time / period) + shift[k]
        mag = mag + rng.normal(0, np.hypot(error[k], extra), n)
        parts.append((time, mag, np.full(n, error[k]), np.full(n, k)))
    return tuple(np.concatenate([p[j] for p in parts]) for j in range(4))


def test_exact_values_come_back_exactly():
    time = np.repeat(np.arange(10.0), 3)
    code = np.tile(np.arange(3), 10)
    mag = 15 + np.sin(time) + OFFSETS[code]
    batch = merged([(time, mag, np.full(30, 0.01), code)])
    for per in ("field", "star"):
        found = measure_zero_points(batch, reference="a_i", per=per)
        np.testing.assert_allclose(found.offset, [OFFSETS], atol=1e-12)
        assert found.error[0, 0] == 0
        assert found.n_points.tolist() == [[10, 10, 10]]
    fixed = ZeroPointCorrection(reference="a_i").fit_transform(batch)
    np.testing.assert_allclose(fixed.value, 15 + np.sin(time), atol=1e-12)


def test_two_surveys_are_the_mean_difference_of_their_pairs(rng):
    """Equal honest errors: the mean of n differences with error sqrt(2 / n), enlarged by t."""
    n, sigma = 200, 0.02
    time = np.repeat(np.arange(float(n)), 2)
    code = np.tile([0, 1], n)
    noise = rng.uniform(-1, 1, 2 * n) * sigma * 0.5  # no tails and less than stated: weights stay
    batch = merged([(time, 15 + noise + 0.1 * code, np.full(2 * n, sigma), code)])
    found = measure_zero_points(batch, reference="a_i", per="star")
    pairs = np.diff(batch.value.reshape(n, 2), axis=1)
    assert found.offset[0, 1] == pytest.approx(pairs.mean(), abs=1e-9)
    freedom = 2 * n - n - 1
    expected = sigma * np.sqrt(2 / n) * np.sqrt((freedom + 1.2) / freedom)
    assert found.error[0, 1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", ["epochs", "fold"])
@pytest.mark.parametrize(("extra", "blank"), [(0.0, False), (0.03, False), (0.0, True)])
def test_pulls_of_single_stars(rng, method, extra, blank):
    """200 stars, variation beyond the errors or errors missing: pulls of size one."""
    curves = []
    for _ in range(200):
        time, mag, error, code = star(rng, n=40 if method == "fold" else 150, extra=extra)
        curves.append((time, mag, np.where(blank & (code == 2), np.nan, error), code))
    batch = merged(curves, period=np.full(200, 3.3))
    found = measure_zero_points(batch, reference="a_i", per="star", method=method, harmonics=2)
    pulls = (found.offset - OFFSETS)[:, 1:] / found.error[:, 1:]
    assert np.isfinite(pulls).all()
    assert 0.85 < np.std(pulls) < 1.2
    assert abs(pulls.mean()) < 0.25


def test_pulls_of_fields(rng):
    """60 fields of 12 stars whose offsets differ by a colour term: it is in the error."""
    n_fields, n_stars = 60, 12
    curves = [star(rng, n=150, colour=0.05) for _ in range(n_fields * n_stars)]
    field = np.repeat([f"f{i:02}" for i in range(n_fields)], n_stars)
    found = measure_zero_points(merged(curves, field=field), reference="a_i", field="field")
    pulls = (found.offset - OFFSETS)[:, 1:] / found.error[:, 1:]
    assert 0.75 < np.std(pulls) < 1.25
    assert 0.56 < (np.abs(pulls) < 1).mean() < 0.80
    assert np.sqrt(np.mean(found.scatter**2)) == pytest.approx(0.05, rel=0.3)
    assert (found.n_stars == n_stars).all()


def test_wrong_links_do_not_count(rng):
    """One star in six is another star by 1.5 mag in one survey, and 3 % of the points are wild."""
    curves = []
    for i in range(60):
        time, mag, error, code = star(rng, n=150, colour=0.02)
        mag = mag + np.where((code == 1) & (i % 6 == 0), 1.5, 0.0)
        mag = mag + np.where(rng.random(mag.size) < 0.03, rng.uniform(-2, 2, mag.size), 0.0)
        curves.append((time, mag, error, code))
    found = measure_zero_points(merged(curves), reference="a_i")
    # the mean of all links is 0.25 off
    assert np.abs(found.offset - OFFSETS).max() < 0.012
    assert (np.abs(found.offset - OFFSETS)[0, 1:] < 3.5 * found.error[0, 1:]).all()


def test_surveys_are_tied_through_a_third(rng):
    """a meets b, b meets c, a never c; d meets nobody."""
    time = np.concatenate([np.repeat(np.arange(50.0), 2), np.repeat(np.arange(100.0, 150.0), 2)])
    code = np.concatenate([np.tile([0, 1], 50), np.tile([1, 2], 50)])
    lonely = np.arange(300.0, 320.0)
    time, code = np.append(time, lonely), np.append(code, np.full(20, 3))
    shift = np.append(OFFSETS, 5.0)
    mag = 15 + np.cos(time) + shift[code] + rng.normal(0, 0.01, time.size)
    batch = merged([(time, mag, np.full(time.size, 0.01), code)], bands=(*BANDS, "d_i"))
    for per in ("star", "field"):
        found = measure_zero_points(batch, reference="a_i", per=per)
        assert found.offset[0, 2] == pytest.approx(-0.2, abs=4 * found.error[0, 2])
        assert found.error[0, 2] > found.error[0, 1]
        assert np.isnan(found.offset[0, 3])
        fixed = ZeroPointCorrection(reference="a_i", per=per).fit_transform(batch)
        lost = batch.band == 3
        np.testing.assert_array_equal(fixed.value[lost], batch.value[lost])
        assert (fixed.flags[lost] & PointFlag.OTHER_BAND).all()
        assert not fixed.flags[~lost].any()
        assert np.isnan(fixed.points["zero_point"][lost]).all()
    assert list(found.table()["system"]) == ["a_i", "b_i", "c_i"]


def test_the_choice_of_reference_shifts_all_alike(rng):
    batch = merged([star(rng, n=150) for _ in range(20)])
    a = measure_zero_points(batch, reference="a_i").offset[0]
    b = measure_zero_points(batch, reference="b_i").offset[0]
    np.testing.assert_allclose(a - a[1], b, atol=2e-4)
    assert measure_zero_points(batch).reference in BANDS


def test_combined_points_are_one_band_and_know_where_they_come_from(rng):
    batch = merged([star(rng, n=150) for _ in range(3)])
    one = ZeroPointCorrection(reference="a_i", combine=True).fit_transform(batch)
    assert one.band is None
    assert one.meta.bands == ()
    assert one.points["system"].tolist() == [BANDS[k] for k in batch.band]
    np.testing.assert_allclose(one.value + one.points["zero_point"], batch.value, atol=1e-12)


def test_state_makes_the_step_again(rng):
    batch = merged([star(rng, n=150) for _ in range(6)], field=["x", "y"] * 3)
    step = ZeroPointCorrection(field="field").fit(batch)
    again = ZeroPointCorrection(field="field").load_state(step.state())
    np.testing.assert_array_equal(again.transform(batch).value, step.transform(batch).value)
    elsewhere = merged([star(rng)], field=["z"])
    with pytest.raises(DataError, match="needs common epochs with"):
        step.transform(elsewhere)
    rejecting = ZeroPointCorrection(field="field", on_bad="reject").fit(batch)
    assert len(rejecting.transform(elsewhere).rejected) == 1


def test_poor_curves(rng):
    """Empty, one point, all of one survey, all missing, no common epoch: no number is made up."""
    nan = np.nan
    curves = [
        ([], [], [], []),
        ([1.0], [15.0], [0.1], [0]),
        (np.arange(5.0), np.full(5, 15.0), np.full(5, 0.1), np.zeros(5)),
        (np.arange(6.0), np.full(6, nan), np.full(6, nan), [0, 1, 2, 0, 1, 2]),
        ([0.0, 5.0], [15.0, 15.3], [0.1, 0.1], [0, 1]),
        (np.zeros(6), [15.0, 15.3] * 3, np.full(6, -1.0), [0, 1] * 3),
        (np.zeros(6), [15.0, np.inf] * 3, np.full(6, 0.1), [0, 1] * 3),
    ]
    batch = merged(curves, period=np.array([nan, 1.0, 0.0, 1.0, -1.0, nan, np.inf]))
    for method in ("epochs", "fold"):
        found = measure_zero_points(batch, reference="a_i", per="star", method=method)
        np.testing.assert_array_equal(np.isnan(found.offset[:5, 1]), True)
        assert found.offset[5, 1] == pytest.approx(0.3, abs=1e-6)
        measure_zero_points(batch, reference="a_i", method=method)
    step = ZeroPointCorrection(reference="a_i", per="star", on_bad="reject")
    assert step.fit_transform(batch).n_objects == 7
    assert measure_zero_points(batch[:0]).offset.shape[1] == 1


def test_mistakes_are_named(rng):
    batch = merged([star(rng)])
    with pytest.raises(DataError, match=r"no usable point is of the reference 'z'; there are a_i"):
        measure_zero_points(batch, reference="z")
    with pytest.raises(DataError, match="need the column 'telescope' per point"):
        measure_zero_points(batch, system="telescope")
    with pytest.raises(DataError, match="need the column 'chip' per object"):
        measure_zero_points(batch, field="chip")
    with pytest.raises(DataError, match="needs mag"):
        measure_zero_points(merged([star(rng)], quantity="flux"))
    with pytest.raises(ConfigError, match=r"per must.*method must.*window must.*harmonics must"):
        ZeroPointCorrection(per="x", method="y", window=0, harmonics=0.5).check()


# -- merging ---------------------------------------------------------------------------------


def test_merged_points_know_their_source():
    batch = LightCurveBatch.from_curves(
        [([1.0, 2.0], [15.0, 15.1], None), ([], [], None), ([1.5], [16.0], None)],
        ids=["m1", "x", "o1"],
        objects={"survey": ["MACHO", "EROS-2", "OGLE"], "ra": [1.0, 9.0, 1.1], "row": [7, 8, 9]},
    )
    one = merge_curves(batch, [5, 3, 5])
    assert one.ids.tolist() == ["m1", "x"]
    assert one.offsets.tolist() == [0, 3, 3]
    assert one.points["source"].tolist() == [7, 7, 9]
    assert one.points["source_id"].tolist() == ["m1", "m1", "o1"]
    assert one.points["survey"].tolist() == ["MACHO", "MACHO", "OGLE"]
    assert one.objects["n_sources"].tolist() == [2, 1]
    np.testing.assert_array_equal(one.value, [15.0, 15.1, 16.0])
    assert merge_curves(batch[:0], []).n_curves == 0
    with pytest.raises(DataError, match="group for each of 3 curves, got 1"):
        merge_curves(batch, [1])
    assert measure_zero_points(one, system="survey", reference="MACHO").systems == ("MACHO", "OGLE")


def field(rng, n, *, error=0.005, scatter=0.0, systems=2):
    """What n stars say of offsets that are 0.1 in truth, star by star against the first system."""
    info, pull = np.zeros((n, systems, systems)), np.zeros((n, systems))
    weight = 1 / error**2
    for k in range(1, systems):
        apart = 0.1 + rng.normal(0, scatter, n) + rng.normal(0, error, n)
        info[:, 0, 0] += weight
        info[:, k, k] += weight
        info[:, 0, k] = info[:, k, 0] = -weight
        pull[:, k] += weight * apart
        pull[:, 0] -= weight * apart
    return info, pull


@pytest.mark.parametrize(("n", "systems"), [(6, 2), (6, 3), (60, 3)])
@pytest.mark.parametrize("wrong", [0.3, 1.5])
def test_one_wrong_link_in_six_moves_nothing(rng, n, systems, wrong):
    """Student's t alone breaks down here: it moved by up to a sixth of the wrong link."""
    moved = []
    for _ in range(20):
        info, pull = field(rng, n, scatter=0.01, systems=systems)
        pull[::6] += info[::6] @ np.eye(systems)[1] * wrong
        offset, error, _ = solve_field(info, pull, 0)
        assert abs(offset[1] - 0.1) < 4 * error[1]
        moved.append(offset[1] - 0.1)
    own = np.hypot(0.01, 0.005) / np.sqrt(n * 5 / 6)
    # a hundredth of the wrong link at most, and what chance leaves of 20 fields
    assert abs(np.mean(moved)) < 0.01 * wrong + 3 * own / np.sqrt(20)
    assert np.std(moved) < 1.8 * own


@pytest.mark.parametrize(("scatter", "systems"), [(0.05, 2), (0.05, 3), (0.01, 2)])
def test_the_scatter_is_the_standard_deviation_of_the_offset(rng, scatter, systems):
    info, pull = field(rng, 400, scatter=scatter, systems=systems)
    _, _, found = solve_field(info, pull, 0)
    assert found[0] == 0
    # 400 stars tell a standard deviation to 3.5 %, with the error of each to somewhat less
    np.testing.assert_allclose(found[1:], scatter, rtol=0.15)


@pytest.mark.parametrize("systems", [2, 3])
def test_stars_that_agree_are_solved_within_the_rounds(rng, caplog, systems):
    """Where the scatter is zero, expectation maximisation stopped on the way after 200 rounds."""
    info, pull = field(rng, 100, systems=systems)
    offset, error, scatter = solve_field(info, pull, 0)
    assert not caplog.records
    assert np.abs(offset[1:] - 0.1).max() < 4 * error[1:].max()
    assert scatter.max() < 0.005
    np.testing.assert_allclose(error[1:], 0.005 / 10, rtol=0.25)

"""Conflicting values of one object: the rules, and that nothing goes unlisted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from astroprep.errors import ConfigError, DataError
from astroprep.integrate import Rule, resolve_conflicts


def table(**columns):
    return pd.DataFrame(columns)


def one(values, errors=None, rule=None, **columns):
    """Merged row and conflicts of a single group."""
    columns = {"x": values, **columns}
    if errors is not None:
        columns["e"] = errors
    merged, conflicts = resolve_conflicts(table(**columns), np.zeros(len(values)), {"x": rule})
    return merged.iloc[0], conflicts


MEAN = Rule("weighted_mean", error="e")


def test_the_weighted_mean_by_hand():
    row, conflicts = one([10.0, 10.4], [0.1, 0.2], MEAN)
    assert row["x"] == pytest.approx((10.0 / 0.01 + 10.4 / 0.04) / 125)
    assert row["e"] == pytest.approx(1 / np.sqrt(125))
    assert len(conflicts) == 0
    assert row["n_rows"] == 2


def test_a_conflict_is_listed_with_all_there_is():
    row, conflicts = one([10.0, 11.0], [0.1, 0.2], MEAN, source=["gaia", "ogle"])
    listed = conflicts.iloc[0]
    chi2 = 1.0 / 0.05
    assert (listed["values"], listed["errors"]) == ((10.0, 11.0), (0.1, 0.2))
    assert (listed["sources"], listed["rule"], listed["column"]) == (
        ("gaia", "ogle"),
        "weighted_mean",
        "x",
    )
    assert listed["chi2"] == pytest.approx(chi2)
    assert listed["p"] == pytest.approx(stats.chi2.sf(chi2, 1))
    assert listed["chosen"] == row["x"]
    assert row["e"] == pytest.approx(np.sqrt(chi2) / np.sqrt(125))  # Birge


def test_against_brute_force(rng):
    """Groups of 0 to 6 values, errors missing at random, one loop per group."""
    n = 400
    group = rng.integers(0, 120, n)
    error = np.where(rng.random(n) < 0.3, np.nan, rng.uniform(0.05, 0.3, n))
    value = np.where(rng.random(n) < 0.1, np.nan, 5 + rng.normal(0, 0.3, n))
    rows = table(x=value, e=error)
    rule = Rule("weighted_mean", error="e", tolerance=0.5)
    merged, conflicts = resolve_conflicts(rows, group, {"x": rule})
    assert merged["object"].tolist() == list(dict.fromkeys(group.tolist()))
    fought = set()
    for _, row in merged.iterrows():
        mine = (group == row["object"]) & np.isfinite(value)
        x, e = value[mine], error[mine]
        sure = np.isfinite(e)
        if x.size == 0:
            assert np.isnan(row["x"])
            continue
        if sure.any():
            mean = np.average(x[sure], weights=e[sure] ** -2)
            err = np.sum(e[sure] ** -2) ** -0.5
            dof = sure.sum() - 1
            chi2 = np.sum((x[sure] - mean) ** 2 / e[sure] ** 2)
            beyond = dof > 0 and stats.chi2.sf(chi2, dof) < rule.p_limit
            err *= max(1, np.sqrt(chi2 / dof)) if beyond else 1
            beyond |= (np.abs(x[~sure] - mean) > 0.5 + 3 * err).any()
        else:
            mean, beyond = x.mean(), False
            err = np.std(x, ddof=1) / np.sqrt(x.size) if x.size > 1 else np.nan
        beyond |= (~sure).sum() > 1 and np.ptp(x[~sure]) > 0.5
        assert row["x"] == pytest.approx(mean, rel=1e-12)
        assert row["e"] == pytest.approx(err, rel=1e-9, nan_ok=True)
        if beyond:
            fought.add(row["object"])
    assert set(conflicts["object"]) == fought
    assert 5 < len(fought) < 115


def test_chance_conflicts_as_often_as_stated(rng):
    """10,000 groups of three honest values: 1 % of them at p_limit = 0.01, binomial 4 sigma."""
    n = 10_000
    error = rng.uniform(0.01, 0.1, 3 * n)
    rows = table(x=rng.normal(0, error), e=error)
    rule = Rule("weighted_mean", error="e", p_limit=0.01)
    merged, conflicts = resolve_conflicts(rows, np.repeat(np.arange(n), 3), {"x": rule})
    assert abs(len(conflicts) - 100) < 40
    assert np.std(merged["x"] / merged["e"]) == pytest.approx(1, abs=0.03)


@settings(max_examples=80, deadline=None)
@given(
    centre=st.floats(0, 360),
    offsets=st.lists(st.floats(-20, 20), min_size=1, max_size=6),
    turns=st.integers(-2, 2),
)
def test_angles_wrap(centre, offsets, turns):
    """The mean of angles turns with them: no value depends on where zero is."""
    rule = Rule("weighted_mean", error="e", period=360.0)
    errors = np.linspace(1, 2, len(offsets))
    angles = (centre + np.array(offsets)) % 360 + 360 * turns
    row, _ = one(angles, errors, rule)
    expected = centre + np.average(offsets, weights=errors**-2)
    assert 0 <= row["x"] < 360
    assert (row["x"] - expected + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_right_ascension_across_zero():
    row, conflicts = one([359.9999, 0.0005], [1e-4, 1e-4], Rule("weighted_mean", "e", period=360.0))
    assert row["x"] == pytest.approx(0.0002)
    assert len(conflicts) == 1  # 6e-4 apart, 4.2 sigma
    row, conflicts = one([359.9999, 0.0001], None, Rule("agree", tolerance=1e-3, period=360.0))
    assert len(conflicts) == 0
    assert row["x"] == 359.9999
    _, conflicts = one([90.0, 270.0], None, Rule("agree", tolerance=1.0, period=360.0))
    assert len(conflicts) == 1


def test_rules_that_choose():
    rows = {"source": ["a", "b", "c"], "date": [2001.0, 2020.0, np.nan]}
    assert (
        one([1.0, 2.0, 3.0], [0.3, np.nan, 0.1], Rule("most_precise", "e"), **rows)[0]["x"] == 3.0
    )
    preferred = Rule("preferred", prefer=("z", "b", "a"))
    assert one([1.0, 2.0, 3.0], None, preferred, **rows)[0]["x"] == 2.0
    assert one([1.0, np.nan, 3.0], None, preferred, **rows)[0]["x"] == 1.0
    assert one([1.0, 2.0, 3.0], None, Rule("newest"), **rows)[0]["x"] == 2.0
    dates = pd.to_datetime(["2020-01-01", None, "2021-01-01"])
    assert one([1.0, 2.0, 3.0], None, Rule("newest"), date=dates)[0]["x"] == 3.0
    row, conflicts = one(["RRAB", "", "RRC"], None, Rule("preferred", prefer=("c",)), **rows)
    assert row["x"] == "RRC"
    assert conflicts.iloc[0]["values"] == ("RRAB", "RRC")
    assert conflicts.iloc[0]["sources"] == ("a", "c")
    row, conflicts = one([1.0, 2.0, 1.0], None, Rule("keep_all"), **rows)
    assert row["x"] == (1.0, 2.0)
    assert len(conflicts) == 1


def test_agree_never_chooses():
    row, conflicts = one(["EW", "EA"], None, Rule())
    assert row["x"] == ""
    assert len(conflicts) == 1
    row, conflicts = one([1.0, 1.0, np.nan], None, Rule())
    assert row["x"] == 1.0
    assert len(conflicts) == 0
    row, conflicts = one([1.0, 2.0], None, Rule())
    assert np.isnan(row["x"])
    assert np.isnan(conflicts.iloc[0]["chi2"])
    assert np.isnan(one([1.0, 2.0], [0.1, 0.1], Rule("agree", "e"))[0]["x"])
    assert one([1.0, 1.1], [0.1, 0.1], Rule("agree", "e"))[0]["x"] == pytest.approx(1.05)


def test_missing_and_odd_values():
    row, conflicts = one([np.nan, np.inf], [0.1, 0.1], MEAN)
    assert np.isnan(row["x"])
    assert np.isnan(row["e"])
    assert len(conflicts) == 0
    row, _ = one([1.0, 5.0], [0.1, -1.0], MEAN)  # a negative error is none
    assert row["x"] == 1.0
    row, _ = one([1.0, 1.0], [1e-200, 1e-200], MEAN)
    assert row["x"] == 1.0
    merged, conflicts = resolve_conflicts(table(x=[], e=[]), [], {"x": MEAN})
    assert (len(merged), len(conflicts)) == (0, 0)
    whole, _ = resolve_conflicts(table(x=[7, 8]), [0, 1], {"x": Rule("keep_all")})
    assert whole["x"].tolist() == [(7,), (8,)]
    assert one([7, 7], None, Rule())[0]["x"] == 7


def test_order_of_rows_and_neighbours_do_not_matter(rng):
    n = 60
    group, error = rng.integers(0, 12, n), rng.uniform(0.1, 1, n)
    rows = table(x=rng.normal(0, 1, n), e=error)
    merged, conflicts = resolve_conflicts(rows, group, {"x": MEAN})
    order = rng.permutation(n)
    mixed, again = resolve_conflicts(rows.iloc[order], group[order], {"x": MEAN})
    left, right = (m.sort_values("object").reset_index(drop=True) for m in (merged, mixed))
    pd.testing.assert_frame_equal(left, right)
    assert set(conflicts["object"]) == set(again["object"])
    alone, _ = resolve_conflicts(rows[group == 3], group[group == 3], {"x": MEAN})
    assert alone["x"][0] == pytest.approx(left["x"][left["object"] == 3].iloc[0], rel=1e-12)


def test_inputs_survive_and_rules_come_from_recipes():
    rows = {"x": np.array([1.0, 2.0]), "e": np.array([0.1, 0.1])}
    rows["x"].flags.writeable = False
    merged, _ = resolve_conflicts(
        rows, ["s", "s"], {"x": {"how": "preferred", "prefer": ["b"], "source": "e", "error": "e"}}
    )
    assert merged["object"].tolist() == ["s"]
    assert merged["x"].tolist() == [1.0]
    np.testing.assert_array_equal(rows["x"], [1.0, 2.0])


def test_mistakes_are_named_all_at_once():
    rows = table(x=[1.0], name=["a"])
    with pytest.raises(
        ConfigError, match=r"x: how must be .*'average'; .*y: unknown key 'eror'.*'error'"
    ):
        resolve_conflicts(rows, [0], {"x": {"how": "average"}, "y": {"eror": "e"}})
    for rule, word in [
        (Rule("most_precise"), "needs error="),
        (Rule("preferred"), "needs prefer="),
        (Rule(tolerance=-1), "tolerance"),
        (Rule(p_limit=0), "p_limit"),
        (Rule(period=0), "period"),
    ]:
        with pytest.raises(ConfigError, match=word):
            resolve_conflicts(rows, [0], {"x": rule})
    with pytest.raises(DataError, match=r"needs the column 'e' for the rule of 'x'"):
        resolve_conflicts(rows, [0], {"x": MEAN})
    with pytest.raises(DataError, match="group for each of 1 rows, got 2"):
        resolve_conflicts(rows, [0, 1], {"x": Rule()})
    with pytest.raises(DataError, match=r"'name' needs numbers, got dtype"):
        resolve_conflicts(rows, [0], {"name": Rule("weighted_mean")})


def test_ids_of_nineteen_digits_conflict_and_are_not_rounded():
    """Floats are 1,024 apart there; the lists of Gaia and LSST are full of such neighbours."""
    first = 6_917_528_443_525_529_729
    rows = {"gaia": np.array([first, first + 1, first, first], np.int64)}
    merged, conflicts = resolve_conflicts(rows, ["a", "a", "b", "b"], {"gaia": {"how": "agree"}})
    assert conflicts["object"].tolist() == ["a"]
    assert conflicts["values"].iloc[0] == (first, first + 1)
    assert merged["gaia"].tolist()[1] == first
    assert np.isnan(merged["gaia"].tolist()[0])
    wide = {"n": np.array([-(2**63), 2**63 - 1], np.int64)}
    assert len(resolve_conflicts(wide, [1, 1], {"n": {}})[1]) == 1


@pytest.mark.parametrize("groups", [["a", None, None], [1.0, np.nan, np.nan]])
def test_rows_without_a_group_are_not_one_object(groups):
    with pytest.raises(DataError, match="2 of 3 rows have no group, the first is row 1"):
        resolve_conflicts({"v": [1.0, 2.0, 3.0]}, groups, {"v": {"how": "newest", "date": "v"}})

"""FlagBad marks what no telescope measured, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroprep.clean import FlagBad, flag_counts
from astroprep.clean.flags import find_duplicates, point_scatter
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError
from astroprep.io import open_survey
from astroprep.synthetic import simulate_survey

MJD = Meta(time_scale="MJD UTC", time_ref=2400000.5)


def one(time, value, error=None, meta=MJD):
    error = np.full(len(time), 0.1) if error is None else error
    return LightCurveBatch.from_curves([(time, value, error)], meta=meta)


def flags(batch, **options):
    return FlagBad(**options).transform(batch).flags.tolist()


class TestTimes:
    def test_the_sentinel_of_catalina(self):
        times = [55000.0, -2409998.5, np.nan, np.inf, -np.inf, 55001.0]
        assert flags(one(times, np.arange(6.0))) == [0, 1, 1, 1, 1, 0]

    @pytest.mark.parametrize("reference", [None, 0.0, 2400000.5, 2450000.0, 2457000.0])
    def test_whatever_the_reference(self, reference):
        """A time of 2012 is good and the sentinel is bad in every system."""
        good = 2456000.0 - (reference or 0.0)
        batch = one([good, -2409998.5], [1.0, 2.0], meta=Meta(time_ref=reference))
        assert flags(batch) == [0, 1]

    def test_julian_dates_where_modified_ones_are_promised(self):
        assert flags(one([2455000.0, 55000.0], [1.0, 2.0])) == [1, 0]

    def test_own_limits(self):
        batch = one([10.0, 20.0, 30.0], [1.0, 2.0, 3.0])
        assert flags(batch, min_time=15, max_time=25) == [1, 0, 1]


class TestValues:
    def test_missing(self):
        values = [1.0, np.nan, np.inf, -np.inf]
        assert flags(one(np.arange(4) + 55000.0, values)) == [0, 2, 2, 2]

    def test_magnitude_sentinels_in_single_precision(self):
        values = np.array([99.99, 99.999, -99.0, 999.0, -9999.0, 99.5, 15.0, 0.0], np.float32)
        assert flags(one(np.arange(8) + 55000.0, values.astype(float))) == [8] * 5 + [0] * 3

    def test_fluxes_may_be_99_or_negative(self):
        batch = one(np.arange(4) + 55000.0, [99.0, -5.0, -999.0, 99.99], meta=Meta(quantity="flux"))
        assert flags(batch) == [0, 0, 8, 0]

    def test_own_sentinels(self):
        batch = one([55000.0, 55001.0], [0.0, 99.99])
        assert flags(batch, sentinels=(0.0,)) == [8, 0]


class TestErrors:
    ERRORS = (0.1, 0.0, -1.0, np.nan, np.inf, 9.999)

    def test_flagged(self):
        batch = one(np.arange(6) + 55000.0, np.arange(6.0), self.ERRORS)
        assert flags(batch, missing_errors="flag") == [0, 4, 4, 4, 4, 4]

    def test_estimated(self, rng):
        """Successive exposures within the hour tell the noise of a strong variable."""
        time = 55000 + np.repeat(np.arange(60), 4) * 3.3 + np.tile(np.arange(4) * 0.007, 60)
        value = 15 + np.sin(time) + rng.normal(0, 0.03, time.size)
        error = np.full(time.size, np.nan)
        error[:10] = 0.05
        result = FlagBad().transform(one(time, value, error))
        assert set(result.flags[10:].tolist()) == {int(PointFlag.ESTIMATED_ERROR)}
        assert (result.flags[:10] == 0).all()
        assert (result.error[:10] == 0.05).all()
        assert result.error[10] == pytest.approx(0.03, rel=0.15)
        assert result.usable.time.size == time.size

    def test_no_estimate_without_scatter(self):
        """A constant curve takes the known errors, and a curve without any stays unknown."""
        known = one([55000.0, 55001.0, 55002.0], [15.0] * 3, [0.2, np.nan, 0.4])
        result = FlagBad().transform(known)
        assert result.error.tolist() == pytest.approx([0.2, 0.3, 0.4])
        unknown = one([55000.0, 55001.0], [15.0] * 2, [np.nan, 0.0])
        assert flags(unknown) == [4, 4]
        assert flags(one([55000.0], [15.0], [np.nan])) == [4]

    def test_estimates_leave_out_bad_points(self):
        time = np.arange(10) + 55000.0
        value = np.where(np.arange(10) % 2, 15.0, 15.1)
        value[5] = 99.99
        result = FlagBad().transform(one(time, value, np.full(10, np.nan)))
        # the MAD estimate of differences that are all 0.1
        assert result.error[0] == pytest.approx(1.4826 * 0.1 / np.sqrt(2), rel=1e-6)


class TestDuplicates:
    def test_first_copy_stays(self):
        time = np.array([2, 1, 2, 1, 2, 2]) + 55000.0
        assert flags(one(time, [5.0, 7, 5, 8, 5, 6])) == [0, 0, 64, 0, 64, 0]
        assert flags(one(time, [5.0, 7, 5, 8, 5, 6]), duplicates=False) == [0] * 6

    def test_bands_are_told_apart(self):
        batch = LightCurveBatch(
            time=np.full(4, 55000.0),
            value=np.full(4, 15.0),
            error=np.full(4, 0.1),
            offsets=np.array([0, 4]),
            band=np.array([0, 1, 0, 1]),
            meta=Meta(bands=("g", "r")),
        )
        assert FlagBad().transform(batch).flags.tolist() == [0, 0, 64, 64]

    def test_missing_values_are_not_copies(self):
        assert flags(one([55000.0, 55000.0], [np.nan, np.nan])) == [2, 2]

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.lists(
                st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 1), st.booleans()),
                max_size=12,
            ),
            max_size=4,
        )
    )
    def test_against_brute_force(self, curves):
        points = [p for curve in curves for p in curve]
        time, value, band, good = (
            np.array([p[k] for p in points], kind)
            for k, kind in enumerate((np.float64, np.float64, np.int16, np.bool_))
        )
        offsets = np.cumsum([0] + [len(c) for c in curves])
        expected = []
        for curve in curves:
            seen = set()
            for t, v, b, ok in curve:
                expected.append(ok and (t, v, b) in seen)
                if ok:
                    seen.add((t, v, b))
        assert find_duplicates(time, value, band, good, offsets).tolist() == expected


def test_the_simulated_accidents_are_found():
    """Every injected bad time, value, sentinel, error and copy is flagged as what it is."""
    survey = simulate_survey(150, seed=8)
    truth = survey.points["corruption"]
    found = FlagBad(missing_errors="flag").transform(survey).flags
    for flag in ("BAD_TIME", "MISSING_VALUE", "SENTINEL", "MISSING_ERROR"):
        bit = np.uint32(PointFlag[flag])
        np.testing.assert_array_equal(found & bit, truth & bit, err_msg=flag)
    # after shuffling either copy may come first, and copies of bad points stay what they are
    bit = np.uint32(PointFlag.DUPLICATE)
    good = (truth & ~bit & ~np.uint32(PointFlag.OUTLIER | PointFlag.MISSING_ERROR)) == 0
    assert np.sum((found & bit) > 0) == np.sum(((truth & bit) > 0) & good)


def test_nothing_is_flagged_in_a_clean_survey():
    assert not FlagBad().transform(simulate_survey(40, seed=8, accidents=0)).flags.any()


def test_earlier_flags_stay():
    batch = one([55000.0, 55001.0], [15.0, np.nan])
    batch = batch.with_columns(flags=np.array([16, 16], np.uint32))
    assert flags(batch) == [16, 18]


def test_counts():
    counts = flag_counts(FlagBad().transform(one([np.nan, 55000.0], [np.nan, 15.0])))
    assert counts["bad_time"] == 1
    assert counts["missing_value"] == 1
    assert counts["outlier"] == 0


def test_scatter_of_a_slope():
    """Differences of a straight line are its slope; fewer than two points have none."""
    offsets = np.array([0, 5, 6, 6])
    time = np.array([0.0, 1, 2, 3, 4, 0])
    scatter = point_scatter(time, 3 * time, offsets, 0.5)
    assert scatter[0] == pytest.approx(1.4826 * 3 / np.sqrt(2))
    assert np.isnan(scatter[1:]).all()


def test_settings():
    with pytest.raises(ConfigError, match="missing_errors"):
        FlagBad(missing_errors="guess").transform(one([1.0], [1.0]))
    with pytest.raises(ConfigError, match="min_time must be below max_time"):
        FlagBad(min_time=2, max_time=1).transform(one([1.0], [1.0]))


def test_catalina_south(data_dir):
    """The three sentinel times that the README of the data names."""
    total = 0
    for batch in open_survey(data_dir / "crts_south.parquet").iter_batches():
        total += flag_counts(FlagBad(duplicates=False).transform(batch))["bad_time"]
    assert total == 3

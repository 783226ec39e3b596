"""Dropping missing points, keeping them as a mask, and what both leave alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astroprep.clean import DropMissing, FlagBad, KeepMissing, missing_points
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.errors import ConfigError
from astroprep.features import FEATURES, FeatureExtractor
from astroprep.represent import FoldedChannels

EXCLUDING = [
    PointFlag.BAD_TIME, PointFlag.MISSING_VALUE, PointFlag.MISSING_ERROR, PointFlag.SENTINEL,
    PointFlag.SURVEY, PointFlag.OUTLIER, PointFlag.DUPLICATE, PointFlag.OTHER_BAND,
    PointFlag.UPPER_LIMIT, PointFlag.NOISE,
]  # fmt: skip


def flagged(batch, index, flag):
    flags = batch.flags.copy()
    flags[index] |= np.uint32(flag)
    return batch.with_columns(flags=flags)


def with_nan(batch, index):
    value = batch.value.copy()
    value[index] = np.nan
    return batch.with_columns(value=value)


class TestMissingPoints:
    def test_a_value_that_is_not_finite_is_missing_flagged_or_not(self, make_batch):
        batch = flagged(with_nan(make_batch(2), [3, 70]), [3, 9], PointFlag.MISSING_VALUE)

        assert np.flatnonzero(missing_points(batch)).tolist() == [3, 9, 70]

    def test_an_upper_limit_is_no_missing_value(self, make_batch):
        batch = flagged(with_nan(make_batch(1), [3]), [3], PointFlag.UPPER_LIMIT)

        assert not missing_points(batch).any()
        assert missing_points(batch, ("upper_limit", "missing_value")).sum() == 1

    @pytest.mark.parametrize("flag", EXCLUDING)
    def test_each_reason_has_the_name_of_its_flag(self, make_batch, flag):
        batch = flagged(make_batch(1), [5], flag)

        assert np.flatnonzero(missing_points(batch, (flag.name.lower(),))).tolist() == [5]

    @pytest.mark.parametrize(
        ("reasons", "said"),
        [
            ((), "reasons is empty"),
            (("sentinal",), "unknown reason 'sentinal'; did you mean 'sentinel'"),
            (("event",), "unknown reason 'event'"),
            (("imputed", "nothing"), "'imputed'.*'nothing'"),
            ("sentinel", r"write \('sentinel',\)"),
        ],
    )
    def test_wrong_reasons_are_named(self, make_batch, reasons, said):
        with pytest.raises(ConfigError, match=said):
            DropMissing(reasons=reasons).transform(make_batch(1))


class TestDropMissing:
    def test_what_is_left_is_what_a_loop_leaves(self, make_batch, rng):
        batch = make_batch(4).with_columns(points={"cadence": np.arange(240)})
        batch = with_nan(batch, rng.random(240) < 0.3)

        result = DropMissing().transform(batch)

        for i in range(4):
            part = slice(*batch.offsets[i : i + 2])
            good = np.isfinite(batch.value[part])
            mine = slice(*result.offsets[i : i + 2])
            np.testing.assert_array_equal(result.value[mine], batch.value[part][good])
            np.testing.assert_array_equal(
                result.points["cadence"][mine], batch.points["cadence"][part][good]
            )
            assert result.objects["n_dropped"][i] == (~good).sum()

    def test_nothing_missing_changes_nothing_but_the_count(self, make_batch):
        batch = make_batch(3)

        result = DropMissing().transform(batch)

        assert result.value is batch.value or np.array_equal(result.value, batch.value)
        assert result.objects["n_dropped"].tolist() == [0, 0, 0]

    def test_usable_points_are_the_same_before_and_after(self, make_batch, rng):
        """Dropping can bring no feature that the mask did not bring."""
        batch = FlagBad().transform(with_nan(make_batch(3), rng.random(180) < 0.4))

        before, after = batch.usable, DropMissing().transform(batch).usable

        for name in ("time", "value", "error", "offsets"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))

    def test_twice_is_once_and_counts_add(self, make_batch):
        once = DropMissing().transform(with_nan(make_batch(1), [1, 2]))
        twice = DropMissing().transform(with_nan(once, [0]))

        assert twice.n_points == 57
        assert twice.objects["n_dropped"].tolist() == [3]

    def test_a_curve_may_end_empty_and_stays(self, make_batch):
        batch = with_nan(make_batch(2), slice(0, 60))

        result = DropMissing().transform(batch)

        assert np.diff(result.offsets).tolist() == [0, 60]
        assert result.objects["n_dropped"].tolist() == [60, 0]

    def test_events_and_limits_stay(self, make_batch):
        batch = flagged(make_batch(1), [4], PointFlag.EVENT)
        batch = flagged(batch, [5], PointFlag.UPPER_LIMIT | PointFlag.MISSING_VALUE)

        assert DropMissing().transform(batch).n_points == 60

    def test_errors_count_only_where_flagged(self, make_batch):
        bare = make_batch(1).with_columns(error=np.full(60, np.nan))

        assert DropMissing().transform(bare).n_points == 60
        assert DropMissing().transform(
            FlagBad(missing_errors="flag").transform(bare)
        ).n_points == 0  # fmt: skip


class TestKeepMissing:
    def test_shares_are_of_the_points_with_a_good_time(self, make_batch):
        batch = with_nan(make_batch(1, 10), [0, 1])
        batch = flagged(batch, [2], PointFlag.UPPER_LIMIT)
        batch = flagged(batch, [3], PointFlag.BAD_TIME)
        batch = flagged(batch, [4], PointFlag.OTHER_BAND)

        result = KeepMissing().transform(batch)

        assert result.objects["missing_fraction"][0] == 2 / 8
        assert result.objects["nondetection_fraction"][0] == 1 / 8
        assert (result.flags[[0, 1]] == PointFlag.MISSING_VALUE).all()
        assert np.array_equal(result.value, batch.value, equal_nan=True)

    def test_an_empty_curve_has_share_zero(self):
        batch = LightCurveBatch.from_curves([([], [], None), ([np.nan], [np.nan], None)])

        result = KeepMissing().transform(batch)

        assert result.objects["missing_fraction"].tolist() == [0.0, 0.0]

    def test_a_frame_comes_back_as_a_frame(self):
        frame = pd.DataFrame({"time": [1.0, 2.0], "mag": [15.0, np.nan], "mag_err": [0.1, 0.1]})

        result = KeepMissing().transform(frame)

        assert result["flags"].tolist() == [0, PointFlag.MISSING_VALUE]


class TestGarbageAtFlaggedPoints:
    """Whatever stands in a flagged point, features and channels are those of the others."""

    @pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e300, 99.99, 0.0])
    @pytest.mark.parametrize("flag", EXCLUDING)
    def test_changes_no_feature_and_no_channel(self, make_batch, rng, flag, garbage):
        clean = make_batch(3)
        bad = rng.random(clean.n_points) < 0.3
        value, error, time = clean.value.copy(), clean.error.copy(), clean.time.copy()
        value[bad] = error[bad] = garbage
        if flag is PointFlag.BAD_TIME:
            time[bad] = garbage
        dirty = flagged(clean.with_columns(value=value, error=error, time=time), bad, flag)
        keep = ~bad
        counts = np.add.reduceat(keep, clean.offsets[:-1])
        short = LightCurveBatch(
            time=clean.time[keep],
            value=clean.value[keep],
            error=clean.error[keep],
            offsets=np.concatenate(([0], np.cumsum(counts))),
            objects=dict(clean.objects),
        )
        for step, name in (
            (FeatureExtractor(features=tuple(FEATURES)), "features"),
            (FoldedChannels(), "folded"),
        ):
            np.testing.assert_array_equal(
                step.transform(dirty).objects[name], step.transform(short).objects[name]
            )

    def test_a_point_of_no_weight_is_as_good_as_absent(self, make_batch):
        batch = make_batch(1)
        weight, value = np.ones(60), batch.value.copy()
        weight[::3], value[::3] = 0.0, 1e9
        masked = batch.with_columns(weight=weight, value=value)
        dropped = DropMissing(reasons=("noise",)).transform(
            flagged(batch, slice(None, None, 3), PointFlag.NOISE)
        )

        for step, name in ((FeatureExtractor(), "features"), (FoldedChannels(), "folded")):
            np.testing.assert_array_equal(
                step.transform(masked).objects[name], step.transform(dropped).objects[name]
            )

    def test_bins_without_points_are_marked_empty(self, make_batch):
        """The occupancy channel is the mask that the network sees."""
        batch = make_batch(1, 400)
        phase = batch.time / 0.61 % 1.0
        folded = FoldedChannels(n_bins=32, multiples=(1,))
        lost = flagged(batch, phase < 0.5, PointFlag.MISSING_VALUE)

        occupancy = folded.transform(lost).objects["folded"][0, 2]

        assert (occupancy == 0).sum() >= 14
        assert (folded.transform(batch).objects["folded"][0, 2] > 0).all()

"""Survey flags: the bits by name, the masks against lightkurve's, flares kept."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from astroprep.clean import (
    SURVEY_BITS,
    KeplerFlag,
    LsstFlag,
    SurveyFlags,
    TessFlag,
    ZtfFlag,
    describe_flags,
    pack_flags,
)
from astroprep.clean.survey_bits import ZtfInfoBit
from astroprep.clean.survey_flags import survey_bits
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.io import open_survey

BITS = np.int64(1) << np.arange(48)


@pytest.fixture
def make():
    """One curve with the given bits, and one with none, of a survey."""

    def batch(survey, bits, column="survey_flags", flags=None):
        bits = np.asarray(bits)
        n = bits.shape[0]
        time = np.concatenate([np.arange(n), np.arange(3)]).astype(float)
        points = np.concatenate([bits, np.zeros((3, *bits.shape[1:]), bits.dtype)])
        return LightCurveBatch(
            time=time,
            value=np.ones(n + 3),
            error=np.ones(n + 3),
            offsets=np.array([0, n, n + 3]),
            flags=flags,
            points={column: points},
            objects={"id": np.array(["flagged", "clean"], object)},
            meta=Meta(survey=survey, quantity="flux", unit="electron/s"),
        )

    return batch


def flagged(batch):
    return batch.flags & np.uint32(PointFlag.SURVEY) > 0


@pytest.mark.filterwarnings("ignore")  # lightkurve's own import warns
class TestAgainstLightkurve:
    @pytest.fixture
    def theirs(self):
        pytest.importorskip("lightkurve")
        from lightkurve import utils

        return utils

    def test_kepler_masks_are_theirs(self, theirs):
        for survey in ("Kepler", "K2"):
            assert SURVEY_BITS[survey].default == theirs.KeplerQualityFlags.DEFAULT_BITMASK
            assert SURVEY_BITS[survey].hard == theirs.KeplerQualityFlags.HARD_BITMASK

    def test_tess_masks_are_theirs_without_impulsive_outliers(self, theirs):
        default = theirs.TessQualityFlags.DEFAULT_BITMASK
        assert default & ~SURVEY_BITS["TESS"].default == TessFlag.IMPULSIVE_OUTLIER
        assert SURVEY_BITS["TESS"].default & ~default == 0
        assert SURVEY_BITS["TESS"].hard == theirs.TessQualityFlags.HARD_BITMASK

    @pytest.mark.parametrize("survey", ["Kepler", "TESS"])
    def test_every_bit_that_they_name_has_a_name_here(self, theirs, survey):
        known = getattr(theirs, f"{survey.capitalize()}QualityFlags").STRINGS
        assert set(known) == {int(flag) for flag in SURVEY_BITS[survey].flag}

    def test_real_files_flag_the_same_points(self, theirs, data_dir):
        for mission, flags in (
            ("kepler", theirs.KeplerQualityFlags),
            ("k2", theirs.KeplerQualityFlags),
        ):
            batch = open_survey(data_dir / "space" / mission).read()
            good = flags.create_quality_mask(batch.points["survey_flags"], "default")
            np.testing.assert_array_equal(flagged(SurveyFlags().transform(batch)), ~good)
            assert 0.001 < (~good).mean() < 0.1


class TestMasks:
    @pytest.mark.parametrize("survey", SURVEY_BITS)
    def test_what_stands_out_is_never_in_the_default(self, survey):
        """A flare is brighter than its neighbours: so is a cosmic ray."""
        bits = SURVEY_BITS[survey]
        for name, member in bits.flag.__members__.items():
            if "COSMIC" in name or "IMPULSIVE" in name or "_cr" in name:
                assert not bits.default & member, name
        assert bits.default & ~bits.hard == 0
        known = 0
        for member in bits.flag.__members__.values():
            known |= int(member)
        assert bits.hard & ~known == 0

    @pytest.mark.parametrize("survey", ["Kepler", "K2", "TESS", "ZTF", "ZTF infobits", "LSST"])
    @pytest.mark.parametrize("which", ["default", "hard"])
    def test_step_flags_exactly_the_mask(self, make, survey, which):
        batch = make(survey, BITS)
        result = SurveyFlags(mask=which).transform(batch)
        mask = getattr(SURVEY_BITS[survey], which)
        np.testing.assert_array_equal(flagged(result), [*((BITS & mask) > 0), *[False] * 3])

    def test_none_and_numbers(self, make):
        batch = make("no survey at all", BITS)
        assert not flagged(SurveyFlags(mask="none").transform(batch)).any()
        for number in (5, np.int64(5)):
            assert np.flatnonzero(flagged(SurveyFlags(mask=number).transform(batch))).tolist() == [
                0,
                2,
            ]
        assert flagged(SurveyFlags(mask=2**63 - 1).transform(batch)).sum() == 48

    def test_bits_of_others_stay(self, make):
        flags = np.full(51, np.uint32(PointFlag.OUTLIER | PointFlag.EVENT))
        result = SurveyFlags().transform(make("K2", BITS, flags=flags))
        assert (result.flags & flags == flags).all()
        # bit 20 is the thrusters': out of use, and still an event
        assert result.flags[20] == PointFlag.OUTLIER | PointFlag.EVENT | PointFlag.SURVEY
        assert result.usable.index.size == 0 or 20 not in result.usable.index

    def test_survey_and_column_can_be_given(self, make):
        batch = make("my download", [0, 1 << 15, 3], column="catflags")
        step = SurveyFlags(survey="ztf", column="catflags")
        assert flagged(step.transform(batch)).tolist() == [False, True, False, False, False, False]


class TestSurveys:
    @pytest.mark.parametrize(
        ("name", "flag"),
        [
            ("kepler", KeplerFlag),
            ("K2", KeplerFlag),
            ("TESS sector 5", TessFlag),
            ("ZTF DR20", ZtfFlag),
            ("ZTF infobits", ZtfInfoBit),
            ("lsst", LsstFlag),
        ],
    )
    def test_names_in_any_case(self, name, flag):
        assert survey_bits(name).flag is flag

    @pytest.mark.parametrize("name", ["", "Gaia", "K21"])
    def test_unknown(self, make, name):
        with pytest.raises(ConfigError, match=r"not known; there are Kepler, K2, TESS, ZTF"):
            SurveyFlags().transform(make(name, BITS))
        with pytest.raises(ConfigError, match="not known"):
            SurveyFlags(survey=name).fit(make("K2", BITS))

    @pytest.mark.parametrize("mask", ["soft", -1, 1.5, True, None, 2**63])
    def test_wrong_masks(self, make, mask):
        with pytest.raises(ConfigError, match="mask must be 'default', 'hard', 'none'"):
            SurveyFlags(mask=mask).transform(make("K2", BITS))


class TestColumns:
    def test_without_the_column_nothing_changes_and_the_log_says_so(self, make_batch, caplog):
        batch = make_batch()
        with caplog.at_level(logging.WARNING):
            result = SurveyFlags().transform(batch)
        assert result is batch
        assert "no column 'survey_flags' per point (there is none)" in caplog.text

    def test_whole_numbers_in_floats_will_do(self, make):
        batch = make("K2", (BITS[:30]).astype(np.float64))
        exact = SurveyFlags().transform(make("K2", BITS[:30]))
        np.testing.assert_array_equal(flagged(SurveyFlags().transform(batch)), flagged(exact))

    @pytest.mark.parametrize("bad", [np.nan, 0.5, np.inf, 1e300])
    def test_others_refuse_the_curve(self, make, bad):
        batch = make("K2", np.array([0.0, bad, 4.0]))
        with pytest.raises(DataError, match=r"needs whole numbers in the column .*'flagged'"):
            SurveyFlags().transform(batch)
        result = SurveyFlags(on_bad="reject").transform(batch)
        assert result.ids.tolist() == ["clean"]
        assert result.rejected.id.tolist() == ["flagged"]

    @pytest.mark.parametrize("bits", [np.array(["a", "b"], object), np.ones((2, 2), int)])
    def test_no_numbers_at_all(self, make, bits):
        result = SurveyFlags(on_bad="reject").transform(make("K2", bits))
        assert (len(result), len(result.rejected)) == (0, 2)

    def test_empty(self, make):
        batch = make("K2", BITS)[:0]
        assert len(SurveyFlags().transform(batch)) == 0
        assert len(SurveyFlags().transform(make("K2", BITS[:0]))) == 2


class TestDescriptions:
    def test_by_name(self):
        assert describe_flags(0, "K2") == ()
        assert describe_flags(3, "tess") == (
            "ATTITUDE_TWEAK: the pointing was adjusted during the cadence",
            "SAFE_MODE: the spacecraft was in safe mode",
        )
        assert describe_flags(np.int64(512 | 1 << 40), "Kepler") == (
            "bit 9 (value 512): not documented",
            f"bit 40 (value {1 << 40}): not documented",
        )
        assert len(describe_flags(6, "ZTF")) == 1  # bits of the extraction have one meaning

    @pytest.mark.parametrize("survey", SURVEY_BITS)
    def test_every_bit_has_words(self, survey):
        bits = SURVEY_BITS[survey]
        for flag in bits.flag:
            (line,) = describe_flags(int(flag), survey)
            assert line.startswith(flag.name)
            assert ":" in line or survey == "LSST"  # there the column's name says it

    @pytest.mark.parametrize("mask", [-1, 2.0, True, "3"])
    def test_wrong(self, mask):
        with pytest.raises(ConfigError, match="whole number of bits"):
            describe_flags(mask, "K2")


class TestLsst:
    def test_columns_become_bits_and_back(self, rng):
        columns = {name: rng.random(50) < 0.2 for name in LsstFlag.__members__}
        packed = pack_flags({**columns, "psfFlux": np.ones(50)})
        for name, column in columns.items():
            np.testing.assert_array_equal((packed & np.int64(LsstFlag[name])) != 0, column)

    def test_null_is_false(self):
        packed = pack_flags({"isDipole": np.array([None, True, False], object)})
        assert packed.tolist() == [0, int(LsstFlag["isDipole"]), 0]

    def test_refusals(self):
        with pytest.raises(DataError, match="no flag of a DiaSource among psfFlux"):
            pack_flags({"psfFlux": np.ones(3)})
        with pytest.raises(DataError, match="'isDipole' has 2 rows, others 3"):
            pack_flags({"centroid_flag": np.zeros(3, bool), "isDipole": np.zeros(2, bool)})

    def test_schema_has_these_columns(self, data_dir):
        """Every flag is a boolean of the published alert schema 11, and none is forgotten."""
        fastavro = pytest.importorskip("fastavro")
        with (data_dir / "alerts/lsst/v11_0_fakeAlert.avro").open("rb") as file:
            schema = str(fastavro.reader(file).writer_schema)
        for name in LsstFlag.__members__:
            assert f"'name': '{name}'" in schema, name
        for name in ("trail_flag_edge", "pixelFlags_streakCenter", "glint_trail"):
            assert name in LsstFlag.__members__


def test_files_that_could_not_be_read_name_no_survey():
    """What a reader makes of a folder of broken files: no curve, no survey, all columns."""
    none = np.empty(0)
    batch = LightCurveBatch(
        none, none, none, np.zeros(1, np.int64), points={"survey_flags": none.astype(np.int64)}
    )
    assert SurveyFlags().transform(batch) is batch

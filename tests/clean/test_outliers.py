"""SigmaClip takes single strays and leaves eclipses, flares and pulsation alone."""

from __future__ import annotations

import numpy as np
import pytest

from astroprep.clean import FlagBad, SigmaClip
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.errors import ConfigError, DataError
from astroprep.io import ColumnNames, open_survey
from astroprep.synthetic import simulate_survey

OUTLIER = int(PointFlag.OUTLIER)


@pytest.fixture
def nights(rng):
    """Times of 50 nights with four exposures and quiet magnitudes."""
    time = 55000 + np.repeat(np.arange(50.0), 4) + np.tile(np.arange(4) * 0.007, 50)
    return time, 15 + rng.normal(0, 0.02, 200)


def marked(time, value, error=0.02, quantity="mag", **options):
    batch = LightCurveBatch.from_curves(
        [(time, value, np.full(len(time), error))], meta=Meta(quantity=quantity)
    )
    return np.flatnonzero(SigmaClip(**options).transform(batch).flags & OUTLIER).tolist()


def test_single_stray(nights):
    time, value = nights
    value[[17, 90]] += [0.5, -0.5]
    assert marked(time, value) == [17, 90]


def test_events_are_confirmed_by_the_night(nights):
    """An eclipse and a flare that at least two exposures of a night see."""
    time, value = nights
    value[40:44] += 0.6
    value[81:83] += 0.6
    value[120:124] -= [0.1, 0.9, 0.5, 0.3]
    assert marked(time, value) == []


def test_ingress_is_no_stray(nights):
    time, value = nights
    value[60:64] += [0.0, 0.05, 0.2, 0.5]
    assert marked(time, value) == []


def test_lone_points_have_no_witness(nights):
    time, value = np.arange(60) + 55000.0, nights[1][:60]
    value[10] += 1
    assert marked(time, value) == []
    assert marked(time, value, lone="clip") == [10]


def test_thresholds_follow_brightness(nights):
    time, value = nights
    value[17] += 0.5
    value[90] -= 0.5
    assert marked(time, value, bright=np.inf) == [17]
    assert marked(time, value, faint=np.inf) == [90]
    assert marked(time, value, bright=np.inf, quantity="flux") == [90]


def test_large_errors_excuse(nights):
    time, value = nights
    value[17] += 0.5
    assert marked(time, value, error=0.2) == []


def test_window_follows_slow_change(nights):
    time, value = nights
    value = value + 2 * np.sin(time / 15)
    value[101] += 0.8
    assert marked(time, value) == []
    assert marked(time, value, window=5.0) == [101]


def test_strays_found_after_others_are_gone(nights):
    time, value = nights
    value[::20] += 3.0
    value[17] += 0.35
    assert 17 in marked(time, value)


def test_rounded_values_are_not_strays(rng):
    """More than half the values are one number: the MAD is zero."""
    time = np.sort(55000 + rng.uniform(0, 10, 400))
    value = np.round(15 + rng.normal(0, 0.003, 400), 2)
    assert np.median(np.abs(value - np.median(value))) == 0
    assert marked(time, value, error=np.nan) == []


def test_constant_and_short_curves():
    for n in range(6):
        assert marked(np.arange(n) * 0.001, np.full(n, 15.0)) == []
    assert marked([0.0, 0.001], [15.0, 25.0]) == []


def test_repeated_times():
    assert marked([1.0] * 40, [15.0] * 39 + [16.0]) == [39]


def test_flagged_points_neither_judge_nor_are_judged(nights):
    time, value = nights
    value[17] += 0.5
    value[18] = np.nan
    batch = LightCurveBatch.from_curves([(time, value, np.full(200, 0.02))])
    result = SigmaClip().transform(FlagBad().transform(batch))
    assert result.flags[17] == OUTLIER
    assert result.flags[18] == int(PointFlag.MISSING_VALUE)


@pytest.mark.parametrize(
    ("shift", "offset", "gain"), [(0.0, 3.0, 1.0), (0.0, 0.0, 8.0), (-1024.0, 0.0, 1.0)]
)
def test_units_do_not_matter(nights, shift, offset, gain):
    """Other zero points of time and value, another unit; steps that floats hold exactly."""
    time, value = np.round(nights[0] * 1024) / 1024, np.round(nights[1] * 1024) / 1024
    value[[17, 90, 130]] += [0.5, -0.5, 0.125]
    plain = marked(time, value, error=0.03125)
    assert plain
    assert marked(time + shift, (value + offset) * gain, error=0.03125 * gain) == plain


def test_settings(nights):
    with pytest.raises(ConfigError, match=r"bright must be positive.*lone must be.*max_iterations"):
        marked(*nights, bright=0, lone="drop", max_iterations=0)


def test_simulated_strays():
    survey = simulate_survey(300, seed=4)
    truth = survey.points["corruption"]
    result = SigmaClip(on_bad="reject").transform(FlagBad().transform(survey))
    quiet = np.isin(survey.objects["label"], ["constant", "rotational", "EA", "RRc"])
    here = np.repeat(quiet, np.diff(survey.offsets))
    found = (result.flags & OUTLIER) > 0
    # mean shifts of 1.5 mag; those near 0.6 mag drown in the noise of the faintest stars
    assert found[here & (truth == OUTLIER)].mean() > 0.75
    assert found[here & (truth == 0)].mean() < 3e-4


def test_real_eclipses_are_kept(data_dir):
    """Detached binaries of Catalina South, folded at the catalogue's period.

    Points that are faint where the fold is faint are in eclipse: fewer than 1 % of them may be
    flagged, while plain clipping at 5 sigma takes more than half.
    """
    names = ColumnNames(period="period")
    parts = []
    for batch in open_survey(data_dir / "crts_south.parquet", names).iter_batches():
        binary = (batch.objects["label"] == "EA_detached") & (batch.objects["split"] == "train")
        parts.append(batch.take(np.flatnonzero(binary)))
        if sum(map(len, parts)) > 300:
            break
    stars = FlagBad().transform(LightCurveBatch.concat(parts))
    usable = stars.usable
    flagged = (SigmaClip().transform(stars).flags[usable.index] & OUTLIER) > 0
    eclipsed = np.zeros(usable.time.size, bool)
    plain = np.zeros(usable.time.size, bool)
    for i, period in enumerate(stars.objects["catalogue_period"]):
        part = slice(*usable.offsets[i : i + 2])
        value = usable.value[part]
        level = np.median(value)
        scatter = 1.4826 * np.median(np.abs(value - level))
        plain[part] = np.abs(value - level) > 5 * scatter
        bins = np.floor((usable.time[part] / period % 1) * 40).astype(int)
        for k in range(40):
            where = bins == k
            if where.sum() >= 3 and np.median(value[where]) > level + 3 * scatter:
                eclipsed[part] |= where
    assert eclipsed.sum() > 3000
    assert flagged[eclipsed].mean() < 0.01
    assert plain[eclipsed].mean() > 0.5


class TestPlainClipping:
    """support=0: the masks of astropy's sigma_clip."""

    @pytest.mark.parametrize("centre", ["median", "mean"])
    @pytest.mark.parametrize("scatter", ["mad", "std"])
    @pytest.mark.parametrize("iterations", [1, 3, 60])
    def test_equals_astropy(self, rng, centre, scatter, iterations):
        from astropy.stats import sigma_clip

        curves, masks = [], []
        for n in (1, 2, 7, 40, 333, 1500, 4001):
            value = 15 + rng.standard_t(2, n)
            if n % 2 == 0:
                value = np.round(value, 2)  # ties
            curves.append((np.arange(n), value, None))
            masks.append(
                np.ma.getmaskarray(
                    sigma_clip(
                        value, sigma_lower=2.5, sigma_upper=3.5, maxiters=iterations,
                        cenfunc=centre, stdfunc={"mad": "mad_std", "std": "std"}[scatter],
                    )
                )
            )  # fmt: skip
        step = SigmaClip(
            bright=2.5, faint=3.5, support=0, centre=centre, scatter=scatter,
            max_iterations=iterations,
        )  # fmt: skip
        flux = LightCurveBatch.from_curves(curves, meta=Meta(quantity="flux"))
        flipped = step.set_params(bright=3.5, faint=2.5).transform(flux)  # bright is up in flux
        np.testing.assert_array_equal((flipped.flags & OUTLIER) > 0, np.concatenate(masks))

    def test_numbers_that_are_mostly_one_keep_their_points(self):
        """The MAD about the mean is zero, and bounds without a width would take everything."""
        value = np.append(np.full(50, 15.0), 16.0)
        assert marked(np.arange(51.0), value, support=0, centre="mean") == []
        assert marked(np.arange(51.0), value, support=0) == [50]

    def test_events_are_not_kept(self, nights):
        time, value = nights
        value[40:44] += 0.6
        assert marked(time, value, support=0) == [40, 41, 42, 43]

    def test_about_a_moving_level(self, nights):
        time, value = nights
        value = value + 2 * np.sin(time / 15)
        value[101] += 0.8
        assert marked(time, value, support=0) == []
        found = marked(time, value, support=0, window=5.0)
        assert [j for j in found if 12 <= j < 188] == [101]  # half a window at the ends is cut


class TestFolded:
    """With a period the folded curve is the level."""

    @pytest.fixture
    def binary(self, rng):
        """One point a night, eclipses of a mag that last 0.08 of 2.37 days, three strays."""
        time = 55000 + np.arange(400.0) + rng.uniform(-0.1, 0.1, 400)
        phase = time / 2.37 % 1
        eclipsed = np.minimum(phase, 1 - phase) < 0.04
        value = 15 + 1.0 * eclipsed + rng.normal(0, 0.02, 400)
        strays = np.flatnonzero(np.abs(phase - 0.5) < 0.3)[[10, 60, 90]]
        value[strays] += [0.8, -0.5, 0.4]
        return time, value, np.flatnonzero(eclipsed), strays

    def marked(self, time, value, period, **options):
        batch = LightCurveBatch.from_curves(
            [(time, value, np.full(time.size, 0.02))], objects={"period": np.array([period])}
        )
        step = SigmaClip(period="period", **options)
        return np.flatnonzero(step.transform(batch).flags & OUTLIER)

    def test_strays_are_found_and_eclipses_kept_in_one_point_a_night(self, binary):
        time, value, eclipsed, strays = binary
        for options in ({}, {"support": 0}):
            found = self.marked(time, value, 2.37, **options)
            assert np.isin(strays, found).all()
            assert np.isin(eclipsed, found).mean() < 0.05  # contacts as sharp as no star has
            assert np.isin(found, np.append(strays, eclipsed)).all()

    def test_without_a_period_the_points_are_lone(self, binary):
        time, value, eclipsed, _ = binary
        assert self.marked(time, value, np.nan).size == 0
        assert np.isin(eclipsed, self.marked(time, value, np.nan, lone="clip")).mean() > 0.5

    def test_a_narrow_eclipse_has_its_witnesses_in_phase(self, rng):
        """Two points in 0.002 of a turn: the median does not follow them, they confirm."""
        time = 55000 + np.arange(300.0)
        period = 1 / 0.3183098861
        value = 15 + rng.normal(0, 0.02, 300)
        phase = (time - time[0]) / period % 1
        near = np.argsort(np.abs(phase - 0.25))[:2]
        value[near] += 0.7
        assert self.marked(time, value, period).size == 0

    def test_columns(self, nights):
        batch = LightCurveBatch.from_curves([(*nights, None)])
        with pytest.raises(DataError, match=r"SigmaClip needs the periods in the column 'p'"):
            SigmaClip(period="p").transform(batch)


def test_dense_cadence_asks_only_the_nearest(rng):
    """In two-minute cadence half a day has 360 neighbours, and chance would confirm a stray."""
    time = np.arange(2000) / 720
    value = 15 + rng.normal(0, 0.02, 2000)
    value[700] += 0.16
    assert marked(time, value) == [700]
    assert marked(time, value, witnesses=1000) == []

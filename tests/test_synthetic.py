"""Simulated surveys: reproducible, true to the published shapes, and damaged as announced."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from astroprep.data import PointFlag
from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, open_survey
from astroprep.synthetic import (
    CLASS_SHARES,
    CLASSES,
    Stars,
    content_sha256,
    draw_stars,
    magnitude,
    simulate_survey,
)

SAMPLES = Path(__file__).parents[1] / "data_samples"


@pytest.fixture(scope="module")
def survey():
    return simulate_survey(600, seed=5)


def parts(batch):
    return [slice(*batch.offsets[i : i + 2]) for i in range(batch.n_curves)]


def recorded(name):
    """Objects, seed and content checksum that the README of the samples states for a file."""
    text = (SAMPLES / "README.md").read_text()
    pattern = rf"{name} --objects (\d+) --seed (\d+)\s+content_sha256\s+([0-9a-f]{{64}})"
    objects, seed, checksum = re.search(pattern, text).groups()
    return int(objects), int(seed), checksum


class TestSamples:
    def test_parquet_is_what_the_command_makes(self):
        objects, seed, checksum = recorded("survey.parquet")
        made = simulate_survey(objects, seed)
        kept = open_survey(SAMPLES / "survey.parquet", ColumnNames(period="period")).read()

        assert content_sha256(made) == checksum
        assert content_sha256(kept) == checksum
        for name in ("time", "value", "error"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))

    def test_csv_is_what_the_command_makes(self):
        objects, seed, checksum = recorded("long.csv")
        made = simulate_survey(objects, seed)
        kept = open_survey(SAMPLES / "long.csv", ColumnNames(period="period")).read()

        assert content_sha256(made) == checksum
        np.testing.assert_array_equal(kept.time, made.time)
        np.testing.assert_array_equal(kept.value.astype(np.float32), made.value.astype(np.float32))
        np.testing.assert_array_equal(kept.ids, made.ids)

    def test_enough_classes_for_training(self):
        kept = open_survey(SAMPLES / "survey.parquet").read()
        for split in ("train", "test"):
            labels, counts = np.unique(
                kept.objects["label"][kept.objects["split"] == split].astype(str),
                return_counts=True,
            )
            assert set(labels) == set(CLASSES)
            assert counts.min() >= 15

    def test_folder_stays_small(self):
        assert sum(p.stat().st_size for p in SAMPLES.iterdir()) < 3_000_000


class TestSurvey:
    def test_same_seed_same_survey(self):
        first, again = simulate_survey(30, seed=3), simulate_survey(30, seed=3)
        assert content_sha256(first) == content_sha256(again)
        assert content_sha256(first) != content_sha256(simulate_survey(30, seed=4))

    def test_shares_are_kept(self, survey):
        labels = survey.objects["label"]
        for name, share in CLASS_SHARES.items():
            # twins take the class of their star, so a count may be off by the number of twins
            assert np.sum(labels == name) == pytest.approx(600 * share, abs=7)

    def test_cadence_of_a_ground_based_survey(self):
        clean = simulate_survey(120, seed=1, accidents=0)
        sizes = np.diff(clean.offsets)
        assert 120 < np.median(sizes) < 300
        for part in parts(clean)[:20]:
            time = clean.time[part]
            assert (np.diff(time) > 0).all()
            night = np.floor(time - 0.59 + 0.5)
            visits = np.unique(night, return_counts=True)[1]
            assert visits.max() == 4
            same = np.diff(night) == 0
            assert np.diff(time)[same].max() < 0.035  # four within half an hour or so
            assert np.diff(time).max() > 60  # the season ends
            moon = ((time - 53527.91) / 29.530588853) % 1
            assert (np.abs(moon - 0.5) > 0.08).all()

    def test_errors_are_honest_up_to_the_stated_factor(self):
        batch = simulate_survey(150, seed=2)
        good = batch.points["corruption"] == 0
        z = np.zeros(batch.n_points)
        z[good] = ((batch.value - batch.points["truth"]) / np.where(good, batch.error, 1))[good]
        for i, part in enumerate(parts(batch)):
            here = z[part][good[part]]
            if here.size > 80:
                factor = batch.objects["error_factor"][i]
                # 5 standard errors of a standard deviation; errors are rounded to 1e-4 mag
                tolerance = 5 / np.sqrt(2 * here.size) + 0.01
                assert np.std(here) == pytest.approx(factor, rel=tolerance)

    def test_accidents_leave_their_bits(self, survey):
        bits = survey.points["corruption"]

        def having(flag):
            return (bits & np.uint32(flag)) > 0

        assert (survey.value[having(PointFlag.SENTINEL)] > 99).all()
        assert np.isnan(survey.value[having(PointFlag.MISSING_VALUE)]).all()
        error = survey.error[having(PointFlag.MISSING_ERROR)]
        assert (np.isnan(error) | (error == 0)).all()
        assert (survey.time[having(PointFlag.BAD_TIME)] == -2409998.5).all()
        shift = np.abs(survey.value - survey.points["truth"])[having(PointFlag.OUTLIER)]
        assert np.median(shift) > 1
        for flag in ("SENTINEL", "MISSING_VALUE", "MISSING_ERROR", "BAD_TIME", "DUPLICATE"):
            assert having(PointFlag[flag]).any(), flag
        assert any((np.diff(survey.time[part]) < 0).any() for part in parts(survey))

    def test_broken_objects_are_there(self, survey):
        sizes = np.diff(survey.offsets)
        assert (sizes == 0).any()
        assert (sizes == 2).any()
        assert any(np.isnan(survey.value[part]).all() for part in parts(survey) if part.stop > 0)

    def test_twins_are_one_star(self, survey):
        second = np.flatnonzero(survey.objects["twin_of"] != "")
        assert second.size == 6
        row = {name: i for i, name in enumerate(survey.ids)}
        for i in second:
            j = row[survey.objects["twin_of"][i]]
            for name in ("label", "mean_mag", "amplitude", "split"):
                assert survey.objects[name][i] == survey.objects[name][j]
            apart = abs(survey.objects["dec"][i] - survey.objects["dec"][j]) * 3600
            assert apart < 3

    def test_without_accidents_nothing_is_wrong(self):
        clean = simulate_survey(100, seed=9, accidents=0)
        assert not clean.points["corruption"].any()
        assert (clean.objects["error_factor"] == 1).all()
        assert (clean.objects["twin_of"] == "").all()
        assert (np.diff(clean.offsets) > 4).all()

    def test_one_object_will_do(self):
        assert len(simulate_survey(1, seed=1)) == 1

    def test_all_mistakes_at_once(self):
        with pytest.raises(ConfigError, match=r"n_objects .* shares .* n_visits .* test_fraction"):
            simulate_survey(0, shares={"quasar": 1.0}, n_visits=1, test_fraction=2)


class TestShapes:
    @pytest.fixture
    def stars(self, rng):
        def make(name, n=200):
            stars = draw_stars(rng, np.full(n, name, dtype=object))
            phase = np.arange(256) / 256
            index = np.repeat(np.arange(n), phase.size)
            period = np.where(np.isfinite(stars.period), stars.period, 1.0)
            time = (stars.epoch[:, None] + phase * period[:, None]).ravel()
            return stars, magnitude(stars, index, time).reshape(n, -1)

        return make

    @pytest.mark.parametrize("name", ["RRab", "RRc", "Cepheid", "delta-Scuti", "EA", "EW"])
    def test_amplitude_is_peak_to_peak(self, stars, name):
        truth, light = stars(name)
        np.testing.assert_allclose(np.ptp(light, axis=1), truth.amplitude, rtol=0.03, atol=0.02)

    @pytest.mark.parametrize("name", ["RRab", "Cepheid", "delta-Scuti"])
    def test_fundamental_pulsators_rise_faster_than_they_fall(self, stars, name):
        truth, light = stars(name)
        keep = truth.period < 8  # near 10 days the bump of Cepheids sits on the maximum
        rising = (np.diff(light[keep], axis=1) < 0).mean(axis=1)
        assert np.median(rising) < 0.42

    def test_rrab_follow_jurcsik_and_kovacs(self, stars):
        """Metallicity by their equation 3 from the phases of the drawn stars."""
        truth, _ = stars("RRab")
        phi31 = truth.phase[:, 2] - 3 * truth.phase[:, 0]
        iron = -5.038 - 5.394 * truth.period + 1.345 * phi31
        assert np.mean(iron) == pytest.approx(-1.3, abs=0.15)
        assert -2.6 < iron.min() < iron.max() < 0.2

    def test_cepheid_like_delta_cephei(self, stars):
        """Johnson V of delta Cephei, 5.366 d: R21 0.42, R31 0.15 (AAVSO, arXiv:2606.29543)."""
        truth, _ = stars("Cepheid", 2000)
        like = np.abs(np.log10(truth.period / 5.366)) < 0.05
        ratios = truth.ratio[like] / truth.ratio[like][:, :1]
        assert np.median(ratios[:, 1]) == pytest.approx(0.42, abs=0.03)
        assert np.median(ratios[:, 2]) == pytest.approx(0.15, abs=0.03)

    def test_detached_binaries_are_flat_between_eclipses(self, stars):
        truth, light = stars("EA")
        level = np.median(light, axis=1)
        bright = np.percentile(light, 1, axis=1)
        assert np.median((level - bright) / truth.amplitude) < 0.1
        assert (light.argmax(axis=1) % 128 < 4).mean() > 0.9  # deepest at phase 0 or a half

    def test_contact_binaries_never_rest(self, stars):
        _, light = stars("EW")
        half = light[:, :128] - light[:, 128:]
        assert np.median(np.abs(half).max(axis=1)) < 0.15  # two eclipses nearly alike
        assert np.median(np.ptp(light[:, 32:96], axis=1)) > 0.1

    def test_total_eclipse_of_equal_discs(self):
        """Two equal discs seen edge-on: half the light goes, 0.7526 mag."""
        one = np.ones(1)
        stars = Stars(
            period=one,
            amplitude=one,
            ratio=np.zeros((1, 6)),
            phase=np.zeros((1, 6)),
            radius=np.full((1, 2), 0.2),
            brightness=one,
            inclination=one * np.pi / 2,
            distortion=0 * one,
            unrest=0 * one,
            epoch=0 * one,
        )
        light = magnitude(stars, np.zeros(3, np.int64), np.array([0.0, 0.5, 0.25]))
        np.testing.assert_allclose(light, [2.5 * np.log10(2), 2.5 * np.log10(2), 0], atol=1e-9)

    def test_rr_lyrae_look_like_the_published_templates(self, stars, data_dir):
        """Every drawn RRab lies near one of Sesar's templates (g or r, either side of V)."""
        folder = data_dir / "templates_sesar2010"
        grid = np.arange(256) / 256
        templates = []
        for path in folder.glob("1[0-9][0-9][gr].dat"):
            phase, mag = np.loadtxt(path).T[:2]
            curve = np.interp(grid, phase, mag)
            templates.append((curve - curve.mean()) / np.ptp(curve))
        shifted = np.array([np.roll(t, s) for t in templates for s in range(0, 256, 2)])
        _, light = stars("RRab", 60)
        light = (light - light.mean(axis=1, keepdims=True)) / np.ptp(light, axis=1, keepdims=True)
        rms = [np.sqrt(((shifted - one) ** 2).mean(axis=1)).min() for one in light]
        assert len(templates) > 30
        assert np.median(rms) < 0.05
        assert max(rms) < 0.12

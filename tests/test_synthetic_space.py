"""Simulated space photometry: truth that is true, spacecraft as flagged, samples as stated."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from astroprep.clean import FlagBad, KeplerFlag, SurveyFlags, TessFlag
from astroprep.data import PointFlag
from astroprep.errors import ConfigError
from astroprep.io import ColumnNames, open_survey, write_survey
from astroprep.synthetic import EVENT_BITS, SPACE_SHARES, content_sha256, simulate_space
from astroprep.synthetic.spacecraft import SPACECRAFT, fly, light_travel
from astroprep.synthetic.stellar import (
    FLARE_AREA,
    LIMB,
    Flares,
    Transits,
    draw_flares,
    draw_transits,
    flare_light,
    flare_profile,
    transit_light,
)

SAMPLES = Path(__file__).parents[1] / "data_samples"
MISSIONS = ("kepler", "k2", "tess")
POINTS = (
    "cadence", "survey_flags", "pos_corr1", "pos_corr2", "background", "truth", "event_truth",
)  # fmt: skip


@pytest.fixture(scope="module")
def surveys():
    kepler = simulate_space(30, 7)
    k2 = simulate_space(30, 7, "k2")
    tess = simulate_space(12, 7, "tess", cadence=10.0)
    return {"kepler": kepler, "k2": k2, "tess": tess}


def table(batch, name):
    """Points of a column as (star, cadence)."""
    column = getattr(batch, name) if hasattr(batch, name) else batch.points[name]
    return column.reshape(batch.n_curves, -1)


class TestSample:
    def test_is_what_the_command_makes(self):
        text = (SAMPLES / "README.md").read_text()
        found = re.search(
            r"simulate_space\((\d+), (\d+), 'k2', days=(\d+)\).*?content_sha256\s+([0-9a-f]{64})",
            text,
            re.DOTALL,
        )
        stars, seed, days = (int(number) for number in found.groups()[:3])
        made = simulate_space(stars, seed, "k2", days=days)
        names = ColumnNames(period="period", extra=("transit_depth", "n_flares"))
        with open_survey(SAMPLES / "space.parquet", names) as survey:
            kept = survey.read()

        assert content_sha256(made, POINTS) == found[4]
        assert content_sha256(kept, POINTS) == found[4]
        assert set(kept.points) == set(POINTS)
        assert kept.meta == made.meta
        for name in POINTS:
            np.testing.assert_array_equal(kept.points[name], made.points[name])
        for name in ("segment", "channel", "crowding", "transit_depth", "n_flares"):
            np.testing.assert_array_equal(kept.objects[name], made.objects[name])

    def test_small_and_with_some_of_everything(self):
        assert (SAMPLES / "space.parquet").stat().st_size < 600_000
        kept = open_survey(SAMPLES / "space.parquet").read()
        assert set(kept.objects["label"]) == set(SPACE_SHARES)
        for bit in EVENT_BITS.values():
            assert (kept.points["event_truth"] & bit > 0).sum() > 30
        thrusters = (kept.points["survey_flags"] & KeplerFlag.THRUSTER_FIRING) > 0
        assert thrusters.sum() > 24 * 10


class TestSurvey:
    @pytest.mark.parametrize("mission", MISSIONS)
    def test_same_seed_same_stars(self, mission):
        options = {"mission": mission, "days": 3, "cadence": 30}
        first = content_sha256(simulate_space(4, 3, **options), POINTS)
        assert first == content_sha256(simulate_space(4, 3, **options), POINTS)
        assert first != content_sha256(simulate_space(4, 4, **options), POINTS)

    @pytest.mark.parametrize("mission", MISSIONS)
    def test_columns_are_those_of_space_photometry(self, surveys, mission):
        batch = surveys[mission]
        assert batch.meta.survey == {"kepler": "Kepler", "k2": "K2", "tess": "TESS"}[mission]
        assert batch.meta.time_ref == SPACECRAFT[mission].time_ref
        assert batch.points["cadence"].dtype == batch.points["survey_flags"].dtype == np.int64
        assert (np.diff(table(batch, "cadence"), axis=1) == 1).all()
        assert (table(batch, "cadence") == table(batch, "cadence")[0]).all()
        assert (np.diff(batch.objects["channel"]) == 0).all()
        usable = FlagBad().transform(batch).usable
        assert usable.counts().min() > 0.9 * batch.n_points / batch.n_curves

    def test_without_spacecraft_and_noise_the_truth_is_left(self):
        batch = simulate_space(6, 1, "k2", days=12, systematics=0, noise=0)
        seen = np.isfinite(batch.value)
        np.testing.assert_array_equal(batch.value[seen], batch.points["truth"][seen])
        assert not batch.points["systematics"].any()

    @pytest.mark.parametrize("mission", MISSIONS)
    def test_errors_are_honest(self, surveys, mission):
        batch = surveys[mission]
        clean = (batch.points["event_truth"] & EVENT_BITS["cosmic_ray"]) == 0
        clean &= np.isfinite(batch.value)
        model = batch.points["truth"] * (1 + batch.points["systematics"])
        z = ((batch.value - model) / batch.error)[clean]
        assert np.std(z) == pytest.approx(1, abs=5 / np.sqrt(2 * z.size) + 1e-3)
        assert abs(np.mean(z)) < 5 / np.sqrt(z.size)

    @pytest.mark.parametrize("mission", MISSIONS)
    def test_brightness_and_noise_are_near_those_of_the_mission(self, surveys, mission):
        """Error bars of real SAP files: 87 ppm at Kp 12.79; 2533 ppm at Tmag 11.50 in 2 min."""
        batch = surveys[mission]
        error = np.nanmedian(table(batch, "error") / table(batch, "truth"), axis=1)
        at, real = {"kepler": (12.791, 87e-6), "k2": (12.925, 96e-6), "tess": (11.504, 2533e-6)}[
            mission
        ]
        real *= np.sqrt(0.2) if mission == "tess" else 1  # ten minutes, not two
        near = np.argsort(np.abs(batch.objects["brightness"] - at))[:5]
        scaled = error[near] * 10 ** (0.2 * (at - batch.objects["brightness"][near]))
        assert np.median(scaled) == pytest.approx(real, rel=0.2)

    def test_lost_cadences(self, surveys):
        for batch in surveys.values():
            lost = np.isnan(batch.value)
            assert 0.01 < lost.mean() < 0.12
            for name in ("time", "error"):
                np.testing.assert_array_equal(np.isnan(getattr(batch, name)), lost)
            np.testing.assert_array_equal(np.isnan(batch.points["pos_corr1"]), lost)
            assert np.isfinite(batch.points["truth"]).all()
            assert (batch.points["survey_flags"][lost] > 0).all()
            flagged = FlagBad().transform(batch).flags
            assert ((flagged & np.uint32(PointFlag.BAD_TIME) > 0) == lost).all()
            assert (batch.error[~lost] > 0).all()

    def test_settings_and_sizes(self):
        assert simulate_space(1, 1, days=0.01).n_points == 1
        only = simulate_space(5, 1, days=2, shares={"quiet": 1.0})
        assert set(only.objects["label"]) == {"quiet"}
        assert not (only.points["event_truth"] & 3).any()
        with pytest.raises(
            ConfigError, match=r"n_stars .*mission .*days .*cadence .*noise .*shares must be of"
        ):
            simulate_space(0, 1, "hst", days=0, cadence=-1, noise=-1, shares={"nova": 1})
        with pytest.raises(ConfigError, match="shares must not be negative"):
            simulate_space(3, 1, shares={"quiet": 2.0, "planet": -1.0})


class TestSpacecraft:
    def test_bits_are_the_surveys(self):
        for mission, flag in (("kepler", KeplerFlag), ("k2", KeplerFlag), ("tess", TessFlag)):
            craft = SPACECRAFT[mission]
            assert craft.safe_mode == flag.SAFE_MODE
            assert craft.cosmic_ray == flag.COSMIC_RAY
        assert SPACECRAFT["kepler"].dump == KeplerFlag.DESATURATION
        assert SPACECRAFT["k2"].dump == KeplerFlag.THRUSTER_FIRING
        assert SPACECRAFT["tess"].dump == TessFlag.MOMENTUM_DUMP
        assert SPACECRAFT["kepler"].no_data == KeplerFlag.NO_DATA
        assert SPACECRAFT["tess"].no_data == TessFlag.EARTH_POINT

    def test_default_mask_keeps_most(self, surveys):
        for batch in surveys.values():
            bad = SurveyFlags().transform(batch).flags & np.uint32(PointFlag.SURVEY) > 0
            assert bad[np.isnan(batch.value)].all()
            assert 0 < bad[np.isfinite(batch.value)].mean() < 0.06

    def test_roll_jumps_where_thrusters_fire(self, surveys):
        """Between firings the star creeps; at firings it jumps, a multiple of 12 cadences apart."""
        batch = surveys["k2"]
        fired = (table(batch, "survey_flags")[0] & KeplerFlag.THRUSTER_FIRING) > 0
        jump = np.abs(np.diff(table(batch, "pos_corr1")[0], prepend=np.nan))
        assert np.nanmedian(jump[fired]) > 8 * np.nanmedian(jump[~fired])
        apart = np.diff(np.flatnonzero(fired))
        assert (apart % 12 == 0).all()
        assert 0.25 < np.median(apart) * 0.0204 < 0.6  # days

    def test_stars_share_their_trends(self, surveys):
        """Away from dumps five vectors carry nearly all that Kepler does to its stars."""
        batch = surveys["kepler"]
        good = np.isfinite(table(batch, "value")[0]) & (table(batch, "survey_flags")[0] & 32 == 0)
        changes = table(batch, "systematics")[:, good]
        size = np.linalg.svd(changes - changes.mean(axis=1, keepdims=True), compute_uv=False) ** 2
        assert size[:5].sum() / size.sum() > 0.98
        assert size[4] / size.sum() > 1e-4

    def test_recovery_after_the_interruption(self, rng):
        """The shared response to a restart falls to 1/e in 1.6 days."""
        flight = fly(rng, "kepler", 90.0, 0.02043359821692, True)
        safe = np.flatnonzero(flight.flags & KeplerFlag.SAFE_MODE)
        restart = safe[-1] + 1
        assert flight.lost[restart - 1]
        assert not flight.lost[restart]
        recovery = flight.basis[2]
        assert recovery[restart] - recovery[restart - 1] == pytest.approx(-1, abs=0.02)
        later = restart + round(1.6 / 0.02043359821692)
        assert recovery[later] / recovery[restart] == pytest.approx(np.exp(-1), abs=0.02)

    def test_scattered_light_and_dumps_of_tess(self, surveys):
        batch = surveys["tess"]
        flags = table(batch, "survey_flags")[0]
        sky = np.median(table(batch, "background"), axis=0)
        stray = (flags & TessFlag.STRAY_LIGHT) > 0
        assert np.nanmedian(sky[stray]) > 2 * np.nanmedian(sky[~stray])
        assert ((flags & TessFlag.MOMENTUM_DUMP) > 0).sum() >= 5

    def test_barycentric_times_differ_from_star_to_star(self, surveys):
        time = table(surveys["tess"], "time")
        assert 5 < 86400 * np.nanmax(np.ptp(time, axis=0)) < 200  # seconds

    def test_light_travel_is_astropys(self, rng):
        """Within ten seconds of the built-in ephemeris, all over the sky and the year."""
        from astropy import constants
        from astropy.coordinates import get_body_barycentric
        from astropy.time import Time

        date = np.linspace(2455200, 2455565, 60)
        earth = get_body_barycentric("earth", Time(date, format="jd", scale="tdb"), "builtin")
        ra, dec = rng.uniform(0, 360, 20), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 20)))
        a, d = np.deg2rad(ra), np.deg2rad(dec)
        star = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)]).T
        exact = star @ (earth.xyz / constants.c).to_value("s")
        np.testing.assert_allclose(86400 * light_travel(date, ra, dec), exact, atol=10)


class TestStars:
    def test_transits_have_period_depth_and_duration(self):
        """Truth by construction, in one-minute cadence where the exposure blurs little."""
        batch = simulate_space(
            8, 5, days=12, cadence=1.0, shares={"planet": 1.0}, systematics=0, noise=0,
            safe_mode=False,
        )  # fmt: skip
        inside = table(batch, "event_truth") & EVENT_BITS["transit"] > 0
        for i in range(8):
            one = {name: column[i] for name, column in batch.objects.items()}
            cycle = (table(batch, "time")[i] - one["transit_epoch"]) / one["transit_period"]
            away = (cycle - np.round(cycle)) * one["transit_period"]
            half = one["transit_duration"] / 2
            assert inside[i][np.abs(away) < half - 1e-3].all()
            assert not inside[i][np.abs(away) > half + 1e-3].any()
            if np.isnan(one["rotation_period"]):
                light = table(batch, "truth")[i]
                out = np.median(light[~inside[i]])
                depth = 1 - light[np.abs(away) < 5e-4].min() / out
                assert depth == pytest.approx(one["transit_depth"] * one["crowding"], rel=0.02)

    def test_depth_against_a_limb_darkened_disc_summed_up(self):
        """Brute force over a fine grid of the star, for a planet of a tenth and of a fiftieth."""
        x, y = np.meshgrid(*[np.linspace(-1, 1, 1601)] * 2)
        r2 = x**2 + y**2
        mu = np.sqrt(np.clip(1 - r2, 0, None))
        star = np.where(r2 < 1, 1 - LIMB[0] * (1 - mu) - LIMB[1] * (1 - mu) ** 2, 0)
        for ratio, impact in ((0.1, 0.0), (0.1, 0.6), (0.05, 0.3)):
            hidden = star[(x - impact) ** 2 + y**2 < ratio**2].sum() / star.sum()
            one = np.ones(1)
            transits = Transits(one, one, one, ratio * one, impact * one)
            assert transits.depth()[0] == pytest.approx(hidden, rel=0.02)

    def test_duration_of_a_solar_transit(self, rng):
        """The Earth crosses the Sun's centre in 13 hours."""
        transits = draw_transits(rng, np.full(400, 0.01), 0.0, 1000.0)
        central = transits.duration / np.sqrt(1.01**2 - transits.impact**2)
        year = central * np.cbrt(365.25 / transits.period)
        np.testing.assert_allclose(24 * year, 13.0, rtol=0.01)
        assert transit_light(transits, np.zeros(1)).max() <= 0

    def test_flare_profile_is_davenports(self):
        """Peak, half maximum and continuity of the published template, and its area."""
        time = np.linspace(-1.5, 80, 400_001)
        profile = flare_profile(time)
        assert profile.max() == pytest.approx(1, abs=1e-3)
        above = time[profile > 0.5]
        assert np.ptp(above) == pytest.approx(1, abs=0.1)  # its unit is the full width at half
        assert np.trapezoid(profile, time) == pytest.approx(FLARE_AREA, rel=1e-4)
        assert np.abs(np.diff(profile)).max() < 0.01  # rise and decay meet within a per cent

    def test_energy_is_the_area_under_the_flare(self, rng):
        flares = draw_flares(rng, np.full(20, 0.2), 0.0, 30.0)
        single = Flares(
            *[getattr(flares, n)[np.isfinite(flares.start)][:, None]
              for n in ("start", "width", "amplitude", "energy")]
        )  # fmt: skip
        assert single.start.size > 50
        for i in range(5):
            span = single.width[i] * 70
            time = single.start[i] + np.linspace(-0.1, 1, 200_001) * span
            light = flare_light(Flares(*[c[i : i + 1] for c in vars(single).values()]), time)[0]
            area = 86400 * np.trapezoid(light, time)
            assert area == pytest.approx(single.energy[i, 0], rel=1e-3)
            assert time[np.flatnonzero(light)[0]] == pytest.approx(
                single.start[i, 0], abs=1e-4 * span.item()
            )

    def test_flares_are_where_the_table_says(self):
        batch = simulate_space(
            6, 2, days=25, cadence=5.0, shares={"flare-star": 1.0}, systematics=0, noise=0,
            safe_mode=False,
        )  # fmt: skip
        flagged = table(batch, "event_truth") & EVENT_BITS["flare"] > 0
        explained = np.zeros_like(flagged)
        for i in range(6):
            start = batch.objects["flare_start"][i]
            assert np.isfinite(start).sum() == batch.objects["n_flares"][i] > 0
            time = table(batch, "time")[i]
            for begin, energy in zip(start, batch.objects["flare_energy"][i], strict=True):
                near = (time > begin - 0.004) & (time < begin + 2.0)
                explained[i] |= near
                if energy > 100 and begin < time[-1] - 0.1:
                    assert flagged[i, (time > begin) & (time < begin + 0.05)].any()
        assert not (flagged & ~explained).any()

    def test_power_law_of_energies(self, rng):
        """Maximum-likelihood slope of the drawn energies; Clauset et al. 2009, eq. 3.1."""
        energy = draw_flares(rng, np.full(400, 0.8), 0.0, 40.0).energy
        energy = energy[np.isfinite(energy)]
        assert energy.min() >= 3
        assert energy.max() <= 3000
        grid = np.linspace(1.3, 2.5, 241)
        log_norm = np.log((1 - grid) / (3000 ** (1 - grid) - 3 ** (1 - grid)))
        likelihood = energy.size * log_norm - grid * np.log(energy).sum()
        assert grid[likelihood.argmax()] == pytest.approx(1.9, abs=0.03)

    def test_rotation_returns_with_its_period(self, surveys):
        batch = surveys["kepler"]
        rotators = np.flatnonzero(batch.objects["label"] == "rotator")
        assert rotators.size >= 4
        for i in rotators:
            light = table(batch, "truth")[i] / np.median(table(batch, "truth")[i]) - 1
            amplitude = batch.objects["rotation_amplitude"][i] * batch.objects["crowding"][i]
            assert 0.25 * amplitude < np.ptp(light) / 2 < 1.05 * amplitude
            lag = round(batch.objects["rotation_period"][i] / 0.02043359821692)
            if 2 * lag < light.size:
                assert np.corrcoef(light[lag:], light[:-lag])[0, 1] > 0.5

    def test_round_trip(self, tmp_path):
        batch = simulate_space(3, 1, "tess", days=1)
        write_survey(tmp_path / "s.parquet", batch, points="all")
        back = open_survey(tmp_path / "s.parquet", ColumnNames(period="period")).read()
        columns = tuple(batch.points)
        assert content_sha256(back, columns) == content_sha256(batch, columns)
        assert back.meta == batch.meta

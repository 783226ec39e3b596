"""The cotrending step: analytic truths, bad input, real Kepler data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import CotrendingCorrection, CotrendingVectors
from astroprep.detrend.cbv_evidence import evidence
from astroprep.errors import ConfigError, DataError

N = 1500
TIME = np.linspace(130.0, 200.0, N)
CADENCE = np.arange(N) + 7000
X = np.linspace(-1, 1, N)
ROWS = np.column_stack(
    [X + 0.3 * X**3, np.where(X > 0.2, np.exp(-(X - 0.2) * 20), 0.0), np.cos(9 * X) * X]
)
BKJD = Meta("Kepler", "flux", "electron/s", "BKJD", 2454833.0)


def vectors(**changed):
    kept = {"vectors": ROWS, "cadence": CADENCE, "time": TIME, "time_ref": 2454833.0}
    return CotrendingVectors(**{**kept, **changed})


def batch_of(fluxes, error=10.0, meta=BKJD, cadence=CADENCE, time=TIME, **objects):
    n = len(fluxes)
    return LightCurveBatch(
        time=np.tile(time, n),
        value=np.concatenate(fluxes),
        error=np.full(time.size * n, error),
        offsets=np.arange(n + 1) * time.size,
        points={} if cadence is None else {"cadence": np.tile(cadence, n)},
        objects={"id": [f"star-{i}" for i in range(n)], **objects},
        meta=meta,
    )


def systematics(weights=(300.0, 200.0, 100.0)):
    return (ROWS - ROWS.mean(axis=0)) @ np.array(weights)


def corrected(batch, **settings):
    settings = {"vectors": vectors(), **settings}
    return CotrendingCorrection(**settings).fit(batch).transform(batch)


class TestAgainstAnalyticTruth:
    def test_recovers_the_coefficients_within_their_errors(self, rng):
        """Known weights in white noise come back, and the quoted trend error is honest."""
        pulls = []
        fluxes = [1e5 + systematics() + rng.normal(0, 10, N) for _ in range(12)]
        result = corrected(batch_of(fluxes))
        np.testing.assert_allclose(
            result.objects["cbv_coefficients"], np.tile([300, 200, 100], (12, 1)), atol=12
        )
        trend = result.points["trend"].reshape(12, N)
        error = result.points["trend_err"].reshape(12, N)
        for i in range(12):
            off = trend[i] - trend[i].mean() - systematics()
            pulls.append(np.std(off / error[i]))
        assert 0.4 < np.median(pulls) < 1.6

    def test_is_least_squares_where_the_prior_has_nothing_to_say(self, rng):
        """Without star and with strong systematics the evidence prior is all but flat."""
        flux = 1e5 + systematics() + rng.normal(0, 1, N)
        result = corrected(batch_of([flux], error=1.0), protect=0.0)
        centred = ROWS - ROWS.mean(axis=0)
        plain = np.linalg.lstsq(np.column_stack([np.ones(N), centred]), flux, rcond=None)[0][1:]
        np.testing.assert_allclose(result.objects["cbv_coefficients"][0], plain, rtol=5e-3)
        assert result.objects["cbv_prior"][0] < 0.01

    @pytest.mark.parametrize("period", [1.3, 4.0, 9.0, 19.0])
    @pytest.mark.parametrize("amplitude", [60.0, 600.0])
    def test_keeps_a_sine_that_least_squares_eats(self, rng, period, amplitude):
        """At least 95 % of the amplitude stays, beside systematics of twice its size."""
        sine = amplitude * np.sin(2 * np.pi * TIME / period + 1.0)
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        bare, with_sine = corrected(batch_of([flux, flux + sine])).value.reshape(2, N)
        change = with_sine - with_sine.mean() - bare + bare.mean()
        assert change @ sine / (sine @ sine) == pytest.approx(1.0, abs=0.05)
        assert np.std(bare) < 12

    def test_unneeded_vectors_shrink_to_nothing(self, rng):
        """Pure noise: the prior takes nearly all of the freedom."""
        result = corrected(batch_of([1e5 + rng.normal(0, 10, N) for _ in range(8)]))
        assert np.median(result.objects["cbv_prior"]) > 0.5
        assert np.std(result.points["trend"].reshape(8, N), axis=1).max() < 3

    def test_scores_tell_a_protected_fit_from_an_unprotected_one(self, rng):
        """A vector that is a sine: the hat matrix says that faint ones go."""
        rows = np.column_stack([X, np.sin(2 * np.pi * TIME / 7.0)])
        flux = 1e5 + 300 * X + 50 * rows[:, 1] + rng.normal(0, 10, N)
        risky = corrected(batch_of([flux]), vectors=vectors(vectors=rows))
        smooth = corrected(batch_of([flux]), vectors=vectors(vectors=rows[:, :1]))
        assert risky.objects["cbv_overfit"][0] > 0.5 > 0.2 > smooth.objects["cbv_overfit"][0]
        assert 0 <= risky.objects["cbv_underfit"][0] < 0.05


class TestEvents:
    def test_a_flare_and_a_transit_survive(self, rng):
        """Marked events are left out of the fit and corrected; unmarked outliers lose weight."""
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        event = np.zeros(N)
        event[700:712] = -900.0
        event[300:306] = 4000.0
        clean = corrected(batch_of([flux]))
        plain = corrected(batch_of([flux + event]))
        batch = batch_of([flux + event])
        marked = batch.with_columns(
            flags=np.where(event != 0, np.uint32(PointFlag.EVENT), 0).astype(np.uint32)
        )
        for result, limit in ((plain, 8.0), (corrected(marked), 5.0)):
            left = result.value - clean.value - event
            assert np.abs(left - np.median(left)).max() < limit
        assert np.isfinite(corrected(marked).points["trend"]).all()

    def test_excluded_points_are_corrected_and_not_fitted(self, rng):
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        flux[100:110] = 9e5
        flags = np.zeros(N, np.uint32)
        flags[100:110] = PointFlag.OUTLIER
        result = corrected(batch_of([flux]).with_columns(flags=flags))
        assert np.std(np.delete(result.value, np.arange(100, 110))) < 12
        assert (result.flags[100:110] == PointFlag.OUTLIER).all()
        assert np.isfinite(result.points["trend"][100:110]).all()


class TestAlignment:
    def test_time_and_cadence_give_the_same(self, rng):
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        by_cadence = corrected(batch_of([flux]))
        by_time = corrected(batch_of([flux], cadence=None))
        np.testing.assert_allclose(by_cadence.value, by_time.value, rtol=1e-12)

    def test_stated_references_are_converted(self, rng):
        """Curve in MJD, vectors in BKJD, both stated: aligned."""
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        mjd = Meta("x", "flux", "electron/s", "MJD", 2400000.5)
        shifted = batch_of([flux], cadence=None, meta=mjd, time=TIME + 54832.5)
        plain = corrected(batch_of([flux], cadence=None)).value
        np.testing.assert_allclose(corrected(shifted).value, plain, rtol=1e-9)

    def test_unstated_mix_is_named(self, rng):
        flux = 1e5 + rng.normal(0, 10, N)
        mixed = batch_of([flux], cadence=None, meta=Meta("x", "flux"), time=TIME + 54832.5)
        with pytest.raises(DataError, match=r"54962.50 to 55032.50.*130.00 to 200.00.*MJD.*BKJD"):
            corrected(mixed)

    def test_disjoint_cadences_are_refused_with_both_ranges(self, rng):
        flux = 1e5 + rng.normal(0, 10, N)
        with pytest.raises(DataError, match=r"it has 17000 to 18499.*7000 to 8499.*only 0 of"):
            corrected(batch_of([flux], cadence=CADENCE + 10000))

    def test_equal_numbers_of_another_clock_are_refused(self, rng):
        flux = 1e5 + rng.normal(0, 10, N)
        with pytest.raises(DataError, match=r"700\.00 days apart"):
            corrected(batch_of([flux], time=TIME - 700.0))

    def test_vectors_without_times_need_cadences(self, rng):
        batch = batch_of([1e5 + rng.normal(0, 10, N)], cadence=None)
        with pytest.raises(DataError, match=r"no points\['cadence'\]"):
            corrected(batch, vectors=vectors(time=None))

    def test_short_gaps_are_bridged_and_long_ones_flagged(self, rng):
        rows = ROWS.copy()
        rows[200:202] = np.nan
        rows[600:640] = np.nan
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        result = corrected(batch_of([flux]), vectors=vectors(vectors=rows))
        gap = np.isnan(result.points["trend"])
        np.testing.assert_array_equal(np.flatnonzero(gap), np.arange(600, 640))
        assert (result.flags[gap] == PointFlag.SURVEY).all()
        assert (result.flags[~gap] == 0).all()
        np.testing.assert_array_equal(result.value[gap], flux[gap])

    def test_each_curve_gets_its_channel(self, rng):
        """Two channels with vectors of their own in one batch, and one with none."""
        other = vectors(vectors=np.column_stack([X**2, X**5]), channel=2, segment=5)
        fluxes = [
            1e5 + systematics() + rng.normal(0, 10, N),
            1e5 + 500 * X**2 + rng.normal(0, 10, N),
            1e5 + rng.normal(0, 10, N),
        ]
        batch = batch_of(fluxes, channel=np.array([1, 2, 3]), segment=np.array([5, 5, 5]))
        step = CotrendingCorrection([vectors(channel=1, segment=5), other], on_bad="reject")
        result = step.fit(batch).transform(batch)
        assert result.ids.tolist() == ["star-0", "star-1"]
        assert np.std(result.value.reshape(2, N), axis=1).max() < 12
        assert "segment 5 and channel 3" in result.rejected.reason[0]
        loose = CotrendingCorrection(vectors(channel=9), any_channel=True).fit(batch)
        assert loose.transform(batch).n_curves == 3


class TestBadInput:
    def test_all_nan_vectors_are_refused(self):
        with pytest.raises(DataError, match="every one of the 1500 cadences is NaN"):
            vectors(vectors=np.full((N, 2), np.nan))

    def test_a_constant_curve_stays(self):
        result = corrected(batch_of([np.full(N, 1e5)]))
        np.testing.assert_array_equal(result.value, 1e5)
        np.testing.assert_array_equal(result.points["trend"], 1e5)
        assert result.objects["cbv_prior"][0] == 1.0

    @pytest.mark.parametrize("error", [np.nan, 0.0, 1e-30])
    def test_missing_errors_are_measured(self, rng, error):
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        known = corrected(batch_of([flux])).value
        np.testing.assert_allclose(corrected(batch_of([flux], error=error)).value, known, rtol=1e-9)

    def test_negative_flux_and_gain(self, rng):
        """Subtraction knows no sign: difference flux, and a gain of minus one, work alike."""
        flux = systematics() + rng.normal(0, 10, N)
        plain = corrected(batch_of([flux])).value
        np.testing.assert_allclose(corrected(batch_of([-flux])).value, -plain, atol=1e-6)
        np.testing.assert_allclose(
            corrected(batch_of([1000 * flux], error=1e4)).value, 1000 * plain, atol=1e-3
        )

    def test_short_curves_are_refused_by_name(self, rng):
        flux = 1e5 + rng.normal(0, 10, N)
        for n in (0, 1, 5):
            cut = batch_of([flux]).with_columns(
                flags=np.where(np.arange(N) < n, 0, PointFlag.OUTLIER).astype(np.uint32)
            )
            with pytest.raises(DataError, match=rf"usable points.*has {n}.*'star-0'"):
                corrected(cut)

    def test_equal_vectors_share_their_coefficient(self, rng):
        flux = 1e5 + systematics((300, 0, 0)) + rng.normal(0, 10, N)
        twice = np.column_stack([ROWS[:, 0], ROWS[:, 0], np.full(N, 2.0)])
        result = corrected(batch_of([flux]), vectors=vectors(vectors=twice))
        assert np.std(result.value) < 12
        assert np.sum(result.objects["cbv_coefficients"]) == pytest.approx(300, rel=0.1)

    def test_a_gap_of_half_the_curve(self, rng):
        flux = 1e5 + systematics() + rng.normal(0, 10, N)
        flux[400:1100] = np.nan
        result = corrected(batch_of([flux]))
        assert np.nanstd(result.value) < 13

    def test_settings(self):
        with pytest.raises(ConfigError, match=r"bin_width.*protect.*bridge.*min_overlap"):
            CotrendingCorrection("x.csv", bin_width=0, protect=0.5, bridge=0, min_overlap=2).check()
        batch = batch_of([np.arange(N) * 1.0])
        with pytest.raises(ConfigError, match="must name a file"):
            CotrendingCorrection().fit(batch)
        with pytest.raises(DataError, match=r"no/such\.csv.*no such file"):
            CotrendingCorrection("no/such.csv").fit(batch)
        with pytest.raises(DataError, match="no vectors of scale 'spike'; there are single"):
            CotrendingCorrection(vectors(), scale="spike").fit(batch)


def test_batch_equals_one_by_one_and_the_state_is_enough(rng):
    fluxes = [1e5 + systematics() + rng.normal(0, 10 + i, N) for i in range(4)]
    batch = batch_of(fluxes)
    step = CotrendingCorrection(vectors()).fit(batch)
    again = CotrendingCorrection("gone.csv").load_state(step.state())
    whole = again.transform(batch).value.reshape(4, N)
    for i in range(4):
        np.testing.assert_array_equal(step.transform(batch[i]).value, whole[i])


def test_the_evidence_is_at_its_maximum(rng):
    """Brute force: no prior precision, moved by itself, makes the data more likely."""
    n = 200
    rows = np.vstack([np.ones(n), rng.normal(size=(3, n))])
    value = np.array([0.5, 3.0, 0.3, 0.0]) @ rows + rng.normal(0, 1.5, n)
    group = np.arange(4)
    precision, gamma = np.array([1e-8, 1.0, 1.0, 1.0]), np.zeros(4)
    covariance, mean, entered, beta = evidence(
        rows, value, np.ones(n), group, group, precision, gamma, 3, 1.0
    )
    assert entered.tolist() == [0, 1, 2, 3]
    dense = np.linalg.inv(beta * rows @ rows.T + np.diag(precision))
    np.testing.assert_allclose(covariance, dense, rtol=1e-6)
    np.testing.assert_allclose(mean, beta * dense @ rows @ value, rtol=1e-6)

    def likelihood(alpha):
        total = np.eye(n) / beta + rows[1:].T @ np.diag(1 / alpha[1:]) @ rows[1:]
        total += 100.0  # the flat prior of the level
        return multivariate_normal.logpdf(value, np.zeros(n), total)

    best = likelihood(precision)
    for j in (1, 2):
        for factor in (0.5, 2.0):
            moved = precision.copy()
            moved[j] *= factor
            assert likelihood(moved) < best + 0.02


def real_star(data_dir):
    from astroprep.io import open_survey

    folder = data_dir / "space" / "kepler"
    path = folder / "kplr009579641-2010174085026_llc.fits"
    with open_survey(path, flux="sap") as survey:
        raw = survey.read()
    with open_survey(path, flux="pdcsap") as survey:
        official = survey.read().value
    good = (raw.points["survey_flags"] == 0) & np.isfinite(raw.value) & np.isfinite(official)
    flags = np.where(good, 0, PointFlag.SURVEY).astype(np.uint32)
    return raw.with_columns(flags=flags), official, folder


class TestRealKepler:
    def test_kic_9579641_falls_to_the_scatter_of_pdcsap(self, data_dir):
        """4,093 ppm in, 164 ppm in PDCSAP: at most 1.1 times that."""
        raw, official, folder = real_star(data_dir)
        step = CotrendingCorrection(str(folder / "kplr_q05_ch38_cbv1-8_recovered.csv"))
        result = step.fit(raw).transform(raw)
        good = (result.flags == 0) & np.isfinite(official)

        def ppm(flux):
            return 1e6 * np.std(flux[good]) / np.median(flux[good])

        assert ppm(raw.value) == pytest.approx(4093, abs=5)
        assert ppm(official) == pytest.approx(164.4, abs=0.5)
        assert ppm(result.value) < 1.1 * ppm(official)

    @pytest.mark.parametrize("period", [3.0, 8.0, 15.0, 20.0])
    def test_injected_sines_stay(self, data_dir, period):
        raw, _, folder = real_star(data_dir)
        step = CotrendingCorrection(str(folder / "kplr_q05_ch38_cbv1-8_recovered.csv"))
        step.fit(raw)
        usable = raw.usable.index
        sine = 1e-3 * np.nanmedian(raw.value) * np.sin(2 * np.pi * raw.time / period)
        bare = step.transform(raw).value[usable]
        kept = step.transform(raw.with_columns(value=raw.value + sine)).value[usable]
        wave = sine[usable] - sine[usable].mean()
        assert (kept - bare) @ wave / (wave @ wave) > 0.95

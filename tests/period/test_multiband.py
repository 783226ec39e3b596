"""Periods from several bands: the kernels against brute force and astropy, the search on truth."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.timeseries import LombScargleMultiband

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.period import FrequencyGrid, power
from astroprep.period.grid import GridRule
from astroprep.period.multiband import multiband_power
from astroprep.period.multiband_evidence import log_evidence, number_visits
from astroprep.period.multiband_grid import power_multiband_ragged
from astroprep.period.multiband_search import RR_LYRAE, search_multiband
from astroprep.period.multiband_step import MultibandSearch

PERIOD = 0.5437
AMPLITUDE = (1.0, 0.72, 0.5)


def shape(phase):
    """A fast rise and a slow fall, as RRab stars have it."""
    turn = 2 * np.pi * phase
    return 0.4 * np.sin(turn) + 0.19 * np.sin(2 * turn + 2.4) + 0.13 * np.sin(3 * turn + 5.1)


def star(rng, visits=50, period=PERIOD, n_bands=3, noise=0.02, amplitude=AMPLITUDE, span=900.0):
    """Time, value, error and band of a star that is seen in all bands at each visit."""
    visit = np.sort(rng.uniform(55000.0, 55000.0 + span, visits))
    parts = []
    for b in range(n_bands):
        t = visit + 0.001 * b
        error = noise * rng.uniform(0.5, 1.5, visits)
        value = 15.0 + 0.7 * b + amplitude[b] * shape(t / period) + rng.normal(0, error)
        parts.append((t, value, error, np.full(visits, b, np.int16)))
    t, v, e, b = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(t, kind="stable")
    return t[order], v[order], e[order], b[order]


def ragged(stars):
    offsets = np.concatenate(([0], np.cumsum([s[0].size for s in stars])))
    return (*(np.concatenate(c) for c in zip(*stars, strict=True)), offsets)


def batch_of(stars, names=("g", "r", "i")):
    t, v, e, b, offsets = ragged(stars)
    ids = [f"star-{i}" for i in range(len(stars))]
    return LightCurveBatch(
        time=t,
        value=v,
        error=e,
        band=b,
        offsets=offsets,
        objects={"id": np.array(ids, dtype=object)},
        meta=Meta(bands=names),
    )


def brute_force(time, value, error, band, frequency, n_harmonics):
    """Share of chi-square that a dense least-squares fit takes from the band means."""
    turn = 2 * np.pi * frequency * (time - time.mean())
    means = [(band == b).astype(float) for b in np.unique(band)]
    waves = [f((k + 1) * turn) for k in range(n_harmonics) for f in (np.cos, np.sin)]
    chi2 = []
    for columns in (means, means + waves):
        matrix = np.stack(columns, axis=1) / error[:, None]
        best = np.linalg.lstsq(matrix, value / error, rcond=None)[0]
        chi2.append(np.sum((value / error - matrix @ best) ** 2))
    return 1 - chi2[1] / chi2[0]


FREQUENCIES = np.array([0.13, 0.9, 1.0 / PERIOD, 1.8401, 2.2, 3.67, 7.7, 21.3])


class TestExact:
    @pytest.mark.parametrize("n_harmonics", [1, 2, 5, 8])
    def test_shared_equals_dense_least_squares(self, rng, n_harmonics):
        t, v, e, b = star(rng)
        expected = [brute_force(t, v, e, b, f, n_harmonics) for f in FREQUENCIES]
        found = multiband_power(t, v, e, b, FREQUENCIES, n_harmonics=n_harmonics)
        np.testing.assert_allclose(found, expected, atol=1e-9)

    @pytest.mark.parametrize("n_harmonics", [1, 3])
    def test_shared_equals_astropy(self, rng, n_harmonics):
        """Astropy solves the same normal equations, regularised by a hair where it must."""
        t, v, e, b = star(rng)
        model = LombScargleMultiband(
            t, v, b, e, nterms_base=n_harmonics, nterms_band=0, reg_band=None
        )
        expected = model.power(FREQUENCIES)
        found = multiband_power(t, v, e, b, FREQUENCIES, n_harmonics=n_harmonics)
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_independent_is_the_sum_over_bands(self, rng):
        t, v, e, b = star(rng)
        left = whole = 0.0
        for k in range(3):
            own = b == k
            weight = e[own] ** -2
            mean = np.sum(weight * v[own]) / weight.sum()
            chi2 = np.sum(weight * (v[own] - mean) ** 2)
            share = [brute_force(t[own], v[own], e[own], b[own], f, 2) for f in FREQUENCIES]
            whole += chi2
            left += chi2 * np.array(share)
        found = multiband_power(t, v, e, b, FREQUENCIES, n_harmonics=2, model="independent")
        np.testing.assert_allclose(found, left / whole, atol=1e-9)

    def test_scaled_lies_between_and_explains_a_scaled_star_wholly(self, rng):
        """Truth by construction: one shape, three amplitudes, no noise."""
        t, _, e, b = star(rng)
        pure = 15 + 0.3 * b + np.array(AMPLITUDE)[b] * shape(t / PERIOD)
        at = np.append(FREQUENCIES, 1 / PERIOD)
        shared, scaled, independent = (
            multiband_power(t, pure, e, b, at, n_harmonics=3, model=model)
            for model in ("shared", "scaled", "independent")
        )
        assert np.all(shared <= scaled + 1e-9)
        assert np.all(scaled <= independent + 1e-9)
        assert scaled[-1] == pytest.approx(1.0, abs=1e-6)
        assert shared[-1] < 0.95

    def test_scaled_equals_nonlinear_least_squares(self, rng):
        from scipy.optimize import least_squares

        t, v, e, b = star(rng, visits=30)
        turn = 2 * np.pi * 1.7 * (t - t.mean())

        def rest(p):
            wave = p[0] * np.cos(turn) + p[1] * np.sin(turn)
            return (v - p[2:5][b] - np.array([1.0, p[5], p[6]])[b] * wave) / e

        starts = rng.normal(0, 0.5, (20, 7)) + np.array([0, 0, 15.0, 15.7, 16.4, 1, 1])
        best = min(2 * least_squares(rest, start).cost for start in starts)
        means = np.array([np.average(v[b == k], weights=e[b == k] ** -2) for k in range(3)])
        whole = np.sum(((v - means[b]) / e) ** 2)
        found = multiband_power(t, v, e, b, [1.7], model="scaled")[0]
        assert found == pytest.approx(1 - best / whole, abs=1e-5)

    @pytest.mark.parametrize("model", ["shared", "scaled", "independent"])
    def test_one_band_is_the_single_band_periodogram(self, rng, model):
        t, v, e, b = star(rng, n_bands=1)
        grid = FrequencyGrid(0.5, 0.01, 300)
        expected = power(t, v, e, grid, n_harmonics=2, backend="exact")
        found = multiband_power(t, v, e, b, grid.frequencies, n_harmonics=2, model=model)
        np.testing.assert_allclose(found, expected, atol=1e-9)

    @pytest.mark.parametrize("model", ["shared", "scaled", "independent"])
    def test_invariances(self, rng, model):
        """Names and order of bands, shifts of a band, of time, gain and order change nothing."""
        t, v, e, b = star(rng)

        def at(*curve):
            return multiband_power(*curve, FREQUENCIES, n_harmonics=2, model=model)

        plain = at(t, v, e, b)
        order = rng.permutation(t.size)
        for other in (
            (t, v, e, np.array(["z", "g", "r"])[b]),
            (t, v + np.array([5.0, -3.0, 100.0])[b], e, b),
            (t - 55000.0, v, e, b),
            (t, -3 * v, 3 * e, b),
            (t, v, 7 * e, b),
            (t[order], v[order], e[order], b[order]),
        ):
            np.testing.assert_allclose(at(*other), plain, atol=1e-6)

    def test_constant_bands_have_no_power(self):
        t = np.linspace(0, 30, 20)
        b = np.arange(20) % 2
        found = multiband_power(t, np.array([15.1, 16.3])[b], np.full(20, 0.1), b, FREQUENCIES)
        assert np.all(found == 0)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"time": [np.nan, 1.0, 2.0]}, "point 0 has time nan"),
            ({"value": [0.0, np.inf, 2.0]}, "point 1 has"),
            ({"error": [0.1, 0.1, 0.0]}, "error 0.0; 1 of 3"),
            ({"error": [0.1, 0.1]}, "equally many"),
            ({"time": [1.0, 1.0, 1.0]}, "two times"),
            ({"frequency": [np.nan]}, "finite frequencies"),
        ],
    )
    def test_bad_input_is_named(self, change, message):
        given = {
            "time": [0.0, 1.0, 2.0],
            "value": [0.0, 1.0, 0.5],
            "error": [0.1, 0.1, 0.1],
            "band": [0, 0, 1],
            "frequency": [0.3],
        } | change
        with pytest.raises(DataError, match=message):
            multiband_power(**given)

    def test_bad_settings_are_named(self):
        curve = ([0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0, 0], [0.3])
        with pytest.raises(ConfigError, match="n_harmonics must be 1 to 8, got 9"):
            multiband_power(*curve, n_harmonics=9)
        with pytest.raises(ConfigError, match="model must be one of 'shared'"):
            multiband_power(*curve, model="free")


class TestGrid:
    @pytest.mark.parametrize("n_harmonics", [1, 3, 6])
    def test_fast_equals_exact(self, rng, n_harmonics):
        stars = [star(rng), star(rng, visits=12), star(rng, n_bands=1), star(rng, visits=200)]
        grid = FrequencyGrid(0.01, 1 / 4500, 9001)
        fast = power_multiband_ragged(*ragged(stars), grid, n_harmonics=n_harmonics, jobs=1)
        for row, curve in zip(fast, stars, strict=True):
            exact = multiband_power(*curve, grid.frequencies, n_harmonics=n_harmonics)
            np.testing.assert_allclose(row, exact, atol=1e-3)

    def test_fast_equals_astropy(self, rng):
        curve = star(rng)
        grid = FrequencyGrid(1.0, 0.003, 500)
        t, v, e, b = curve
        model = LombScargleMultiband(t, v, b, e, nterms_base=1, nterms_band=0, reg_band=None)
        fast = power_multiband_ragged(*ragged([curve]), grid)[0]
        np.testing.assert_allclose(fast, model.power(grid.frequencies), atol=1e-3)

    def test_constant_curve_and_bad_curves(self):
        t = np.arange(6.0)
        flat = (t, np.full(6, 3.0), np.ones(6), np.zeros(6, np.int16))
        grid = FrequencyGrid(0.1, 0.01, 20)
        assert np.all(power_multiband_ragged(*ragged([flat]), grid) == 0)
        with pytest.raises(DataError, match="two points per curve, got 1: curve 1"):
            power_multiband_ragged(*ragged([flat, tuple(c[:1] for c in flat)]), grid)
        with pytest.raises(DataError, match=r"different times, .*curve 0"):
            power_multiband_ragged(*ragged([(t * 0, *flat[1:])]), grid)


class TestEvidence:
    def test_visits_end_after_half_an_hour(self):
        time = np.array([0.0, 0.01, 0.019, 0.021, 0.03, 5.0])
        assert number_visits(time).tolist() == [0, 0, 0, 1, 1, 2]

    @pytest.mark.parametrize("frequency", [1.1, 1 / PERIOD])
    def test_equals_brute_force_laplace(self, rng, frequency):
        """The same mode and Hessian by dense algebra, at the weights that the iteration reaches."""
        t, v, _, _ = star(rng, visits=40, n_bands=1)
        v = v - v.mean()
        visit = number_visits(t)
        precision = np.ones(t.size)
        bands = np.array([0, t.size])
        columns = np.empty((9, t.size))
        given = (t - t[0], v, precision, bands, visit)
        found, worth = log_evidence(*given, frequency, 1.0, 1.5, columns)
        assert worth == 1.0  # one band: a visit is one point
        h = np.repeat(np.arange(1, 5), 2)
        prior = np.concatenate(([0.0], (h**1.5 / 0.7) ** 2))
        weight, scale = precision, 1.0
        for turn in range(4):
            hessian = (columns * weight) @ columns.T + scale * np.diag(prior)
            c = np.linalg.solve(hessian, (columns * weight) @ v)
            square = (v - c @ columns) ** 2
            if turn < 3:
                scale = np.median(square) / 0.4549
                weight = 5 / (4 + square / scale)
        from scipy.stats import t as student

        sigma = np.sqrt(np.geomspace(1e-7, 1.0, 20001))
        best = max(student.logpdf(np.sqrt(square) / s, 4).sum() - t.size * np.log(s) for s in sigma)
        pivots = np.diag(np.linalg.cholesky(hessian))[1:]
        occam = 0.5 * np.log(prior[1:] * scale).sum() - np.log(pivots).sum()
        assert found == pytest.approx(best - 0.5 * (prior * c**2).sum() + occam, abs=2e-3)


class TestSearch:
    def test_finds_injected_periods(self, rng):
        """Truth by construction, periods from 3 hours to 20 days, one curve in a single band."""
        truth = np.array([0.1371, 0.31, PERIOD, 0.7311, 3.21, 19.7])
        stars = [star(rng, period=p, visits=45) for p in truth]
        stars.append(star(rng, n_bands=1, visits=70))
        found = search_multiband(*ragged(stars), jobs=1)
        np.testing.assert_allclose(1 / found.frequency[:, 0], [*truth, PERIOD], rtol=2e-4)
        np.testing.assert_allclose(found.probability.sum(axis=1), 1.0)
        assert np.all(np.diff(found.probability, axis=1) <= 1e-15)

    def test_outliers_do_not_move_the_period(self, rng):
        t, v, e, b = star(rng)
        v[rng.random(t.size) < 0.05] += 3.0
        found = search_multiband(t, v, e, b, np.array([0, t.size]), jobs=1)
        assert 1 / found.frequency[0, 0] == pytest.approx(PERIOD, rel=1e-4)

    def test_offsets_and_gain_of_bands_do_not_matter(self, rng):
        t, v, e, b = star(rng)
        offsets = np.array([0, t.size])
        gain = np.array([1.0, 20.0, 0.1])[b]
        plain = search_multiband(t, v, e, b, offsets, jobs=1)
        other = search_multiband(t - 1234.5, gain * v - 7 * b, gain * e, 2 - b, offsets, jobs=1)
        assert other.frequency[0, 0] == pytest.approx(plain.frequency[0, 0], rel=1e-6)
        assert other.probability[0, 0] == pytest.approx(plain.probability[0, 0], abs=1e-3)

    def test_a_range_is_kept(self, rng):
        curve = star(rng, period=0.081)
        low, high = RR_LYRAE
        rule = GridRule(high, oversampling=8.0)
        found = search_multiband(*ragged([curve]), grid=rule, min_frequency=low, jobs=1)
        frequency = found.frequency[found.frequency > 0]
        assert frequency.min() > low - 0.01
        assert frequency.max() < high + 0.01

    def test_curves_without_a_band_to_search_are_named(self, rng):
        short = tuple(c[:6] for c in star(rng))
        with pytest.raises(DataError, match=r"needs 5 points in a band that varies: curve 1"):
            search_multiband(*ragged([star(rng), short]), jobs=1)


class TestStep:
    def test_columns_are_finite_and_say_which_bands_took_part(self, rng):
        t, v, e, b = star(rng)
        few = (b != 2) | (np.cumsum(b == 2) <= 4)
        first = tuple(c[few] for c in (t, v, e, b))
        flat = (t, np.where(b == 0, 15.0, v), e, b)
        result = MultibandSearch(jobs=1).fit_transform(batch_of([first, flat, (t, v, e, b)]))
        assert result.objects["period_bands"].tolist() == [2, 2, 3]
        assert result.objects["period_bands_left_out"].tolist() == ["i", "g", ""]
        np.testing.assert_allclose(result.objects["period"], PERIOD, rtol=1e-4)
        for name, column in result.objects.items():
            if name.startswith("period") and column.dtype.kind == "f":
                assert np.isfinite(column).all(), name
        assert np.all(result.objects["period_fap"] < -3)
        assert np.all(result.objects["period_confidence"] > 0.9)

    def test_a_batch_without_bands_is_one_band(self, rng):
        t, v, e, b = star(rng, n_bands=1, visits=60)
        with_band = MultibandSearch(jobs=1).fit_transform(batch_of([(t, v, e, b)]))
        without = MultibandSearch(jobs=1).fit_transform(
            LightCurveBatch.from_curves([(t, v, e)], ids=["star-0"])
        )
        for name in ("period", "period_confidence", "period_fap", "period_bands"):
            np.testing.assert_array_equal(with_band.objects[name], without.objects[name])

    def test_highest_takes_the_highest_peak(self, rng):
        result = MultibandSearch(rule="highest", jobs=1).fit_transform(batch_of([star(rng)]))
        period, highest = result.objects["period"], result.objects["period_highest"]
        np.testing.assert_allclose(period, highest, rtol=1e-3)

    def test_what_cannot_be_searched_is_rejected_with_the_reason(self, rng):
        t, v, e, b = star(rng)
        spread = b.copy()
        spread[:] = np.arange(b.size) % 40
        three = np.repeat([55000.0, 55100.0, 55300.0], 4) + 0.001 * np.tile(np.arange(4), 3)
        far = t.copy()
        far[0] = -2409998.5
        given = [
            (t, np.array([15.0, 16.0, 17.0])[b], e, b),
            (t[:30], v[:30], e[:30], spread[:30]),
            (t * 1e-4 + 55000, v, e, b),
            (three, v[:12], e[:12], np.zeros(12, np.int16)),
            (far, v, e, b),
        ]
        result = MultibandSearch(on_bad="reject", jobs=1).fit_transform(batch_of(given))
        for reason, expected in zip(
            result.rejected.reason,
            (
                "constant in every band",
                "min_band_points=5 usable points in one band",
                "min_baseline",
                "separate visits",
                "absurd times",
            ),
            strict=True,
        ):
            assert expected in reason

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"min_frequency": 24.0}, "min_frequency must be from 0 to below"),
            ({"min_frequency": float("nan")}, "min_frequency"),
            ({"max_frequency": -1.0}, "max_frequency must be positive"),
            ({"oversampling": 1.0}, "oversampling must be at least 2"),
            ({"min_band_points": 2}, "min_band_points must be a whole number from 3"),
            ({"n_peaks": 1.5}, "n_peaks must be a whole number"),
            ({"rule": "best"}, "rule must be"),
            ({"jobs": 0}, "jobs must be None"),
            ({"min_baseline": -1}, "min_baseline must be 0"),
        ],
    )
    def test_settings_are_checked(self, rng, settings, message):
        with pytest.raises(ConfigError, match=message):
            MultibandSearch(**settings).check()


@pytest.mark.slow
def test_stripe_82(data_dir):
    """Every sixth RR Lyrae star of Sesar et al. 2010: 95 of 100 listed periods or more."""
    import pyarrow.parquet as pq

    stars, truth = [], []
    for row in pq.read_table(data_dir / "sdss_stripe82_rrlyrae.parquet").to_pylist()[::6]:
        part = row["lightcurve"]
        order = np.argsort(part["time"], kind="stable")
        band = np.array(["ugriz".index(name) for name in part["band"]], np.int16)
        columns = (np.array(part[k], float)[order] for k in ("time", "mag", "mag_err"))
        stars.append((*columns, band[order]))
        truth.append(row["period"])
    found = search_multiband(*ragged(stars))
    right = np.abs(1 / found.frequency[:, 0] / np.array(truth) - 1) < 0.01
    assert right.mean() >= 0.95

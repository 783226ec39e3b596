"""Features per band and between bands: one curve a band, and truths known by construction."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.features import (
    CROSS_FEATURES,
    DEFAULT_FEATURES,
    FeatureExtractor,
    extract_features,
    feature_errors,
)
from astroprep.features.bands import split_bands
from astroprep.io import ColumnNames, open_survey

PERIOD = 0.613
BANDS = ("g", "r", "i")


def batch_of(objects, *, quantity="mag", period=PERIOD, bands=BANDS):
    """Objects as ``{band: (time, value, error)}``; points of the bands come mixed by time."""
    curves, codes = [], []
    for parts in objects:
        columns = [np.concatenate([p[k] for p in parts.values()]) for k in range(3)]
        code = np.repeat([bands.index(b) for b in parts], [len(p[0]) for p in parts.values()])
        order = np.argsort(columns[0], kind="stable")
        curves.append(tuple(column[order] for column in columns))
        codes.append(code[order])
    batch = LightCurveBatch.from_curves(
        curves,
        objects={"period": np.full(len(curves), period)},
        meta=Meta(quantity=quantity, bands=bands),
    )
    return LightCurveBatch(
        time=batch.time,
        value=batch.value,
        error=batch.error,
        offsets=batch.offsets,
        band=np.concatenate(codes).astype(np.int16),
        objects=batch.objects,
        meta=batch.meta,
    )


def star(rng, n=80, level=15.0, amplitude=0.3, lag=0.0, noise=0.01, time=None):
    time = np.sort(rng.uniform(55_000, 55_300, n)) if time is None else time
    error = np.full(time.size, noise)
    shape = amplitude * np.cos(2 * np.pi * (time / PERIOD - lag) + 0.4)
    return time, level + shape + rng.normal(0, noise, time.size), error


def value(batch, name, pair=("g", "r"), get=extract_features):
    return get(batch, (name,), pair)[:, -1]


def test_each_band_is_a_curve_of_its_own(rng):
    """The same numbers as from batches that hold one band."""
    objects = [
        {"g": star(rng, 70), "r": star(rng, 50, 14.6), "i": star(rng, 30)},
        {"r": star(rng, 45), "g": star(rng, 20)},
    ]
    batch = batch_of(objects)
    names = FeatureExtractor(features="all", bands=("r", "g")).feature_names()
    table = dict(zip(names, extract_features(batch, "all", ("r", "g")).T, strict=True))
    for band in ("g", "r"):
        alone = LightCurveBatch.from_curves(
            [parts[band] for parts in objects], objects={"period": np.full(2, PERIOD)}
        )
        expected = extract_features(alone, "all")
        for k, name in enumerate(FeatureExtractor(features="all").feature_names()):
            column = table["log10_period" if name == "log10_period" else f"{name}_{band}"]
            # sums may be taken in another order by another compilation of the kernel
            np.testing.assert_allclose(column, expected[:, k], rtol=1e-13, err_msg=name)


def test_split_bands_against_a_plain_sort(rng):
    band = rng.integers(0, 4, 500).astype(np.int16)
    offsets = np.array([0, 100, 100, 130, 500])
    index, starts = split_bands(band, offsets, np.array([3, 1]))
    expected, sizes = [], []
    for first, last in pairwise(offsets):
        for code in (3, 1):
            found = [j for j in range(first, last) if band[j] == code]
            expected += found
            sizes.append(len(found))
    assert index.tolist() == expected
    assert np.diff(starts).tolist() == sizes


def test_names(rng):
    step = FeatureExtractor(features=("eta", "log10_period", "colour", "median"), bands=BANDS)
    assert step.feature_names() == [
        "log10_period",
        "eta_g",
        "median_g",
        "eta_r",
        "median_r",
        "eta_i",
        "median_i",
        "colour_g_r",
        "colour_r_i",
    ]
    default = FeatureExtractor(bands=("g", "r")).feature_names()
    assert len(default) == 1 + 2 * (len(DEFAULT_FEATURES) - 1) + len(CROSS_FEATURES)


class TestBetweenBands:
    def test_colour_amplitude_ratio_and_lag_come_back(self, rng):
        """g is 0.5 redder, twice as large, and a tenth of a cycle later than r."""
        objects = [
            {"g": star(rng, 200, 15.5, 0.4, lag=0.1), "r": star(rng, 150, 15.0, 0.2)}
            for _ in range(5)
        ]
        batch = batch_of(objects)
        sigma = value(batch, "colour", get=feature_errors)
        assert (np.abs(value(batch, "colour") - 0.5) < 4 * sigma).all()
        assert (sigma < 0.1).all()
        np.testing.assert_allclose(value(batch, "amplitude_ratio"), 2.0, rtol=0.03)
        np.testing.assert_allclose(value(batch, "spread_ratio"), 2.0, rtol=0.15)
        np.testing.assert_allclose(value(batch, "phase_lag"), 0.1, atol=0.01)
        np.testing.assert_allclose(value(batch, "phase_lag", ("r", "g")), -0.1, atol=0.01)

    def test_flux_gives_magnitudes_of_colour_and_relative_amplitudes(self, rng):
        def flux(level, amplitude):
            time, f, error = star(rng, 200, 1.0, amplitude)
            return time, level * f, level * error

        batch = batch_of([{"g": flux(100.0, 0.2), "r": flux(400.0, 0.1)}], quantity="flux")
        assert value(batch, "colour")[0] == pytest.approx(2.5 * np.log10(4), abs=0.1)
        assert value(batch, "amplitude_ratio")[0] == pytest.approx(2.0, rel=0.08)
        negative = batch.with_columns(value=-batch.value)
        assert np.isnan(value(negative, "colour")).all()
        assert np.isnan(value(negative, "amplitude_ratio")).all()
        assert np.isfinite(value(negative, "phase_lag")).all()

    def test_points_taken_together_by_the_plain_formula(self, rng):
        wave = rng.normal(0, 0.1, 30)
        error = np.full(30, 0.02)
        g, r = wave + rng.normal(0, 0.02, 30), 0.7 * wave + rng.normal(0, 0.02, 30)
        time = np.arange(30) * 2.0
        batch = batch_of([{"g": (time, 15 + g, error), "r": (time + 0.01, 14 + r, error)}])
        d = np.sqrt(30 / 29) * (g - g.mean()) / 0.02
        e = np.sqrt(30 / 29) * (r - r.mean()) / 0.02
        p = d * e
        j = np.mean(np.sign(p) * np.sqrt(np.abs(p)))
        both = np.concatenate([d, e])
        k = np.mean(np.abs(both)) / np.sqrt(np.mean(both**2))
        expected = {
            "welch_stetson_i": np.sum(p) / np.sqrt(30 * 29),
            "pair_stetson_j": j,
            "pair_stetson_l": j * k / 0.798,
            "pair_correlation": np.corrcoef(g, r)[0, 1],
        }
        for name, truth in expected.items():
            assert value(batch, name)[0] == pytest.approx(truth, rel=1e-9), name

    def test_noise_has_none_of_them(self, rng):
        time = np.arange(2000) * 2.0
        noise = [(time, 15 + rng.normal(0, 0.1, 2000), np.full(2000, 0.1)) for _ in range(2)]
        batch = batch_of([dict(zip("gr", noise, strict=True))])
        for name in ("welch_stetson_i", "pair_stetson_j", "pair_stetson_l", "pair_correlation"):
            assert value(batch, name)[0] == pytest.approx(0.0, abs=0.08), name

    def test_a_point_is_in_one_pair_with_its_nearest(self):
        """g at 0 and 0.4 share the r at 0.38: the nearer takes it, and 0 goes without."""
        from astroprep.features.bands import _pairs

        first, second = _pairs(np.array([0.0, 0.4, 5.0]), np.array([0.38, 9.0]))
        assert (first.tolist(), second.tolist()) == ([1], [0])

    def test_errors_cover(self):
        """Truth by construction: 68 % within one error, 95 % within two."""
        rng = np.random.default_rng(81)
        objects = [
            {
                "g": star(rng, 200, 15.5, 0.4, lag=0.1, noise=0.05),
                "r": star(rng, 200, 15.0, 0.2, noise=0.05),
            }
            for _ in range(500)
        ]
        batch = batch_of(objects)
        for name in ("colour", "spread_ratio", "amplitude_ratio", "phase_lag"):
            values = value(batch, name)
            errors = value(batch, name, get=feature_errors)
            away = np.abs(values - np.mean(values)) / errors
            assert np.mean(away < 1) == pytest.approx(0.683, abs=0.08), name
            assert np.mean(away < 2) == pytest.approx(0.954, abs=0.045), name


class TestMissing:
    def test_a_missing_band_is_nan_and_the_other_stays(self, rng):
        whole = {"g": star(rng), "r": star(rng, 50)}
        batch = batch_of([whole, {"r": whole["r"]}, {"g": whole["g"]}])
        step = FeatureExtractor(features="all", bands=("g", "r"))
        table = step.transform(batch).objects["features"]
        names = np.array(step.feature_names())
        for band, lacks in (("g", 1), ("r", 2)):
            mine = [n.endswith(f"_{band}") and not n.endswith("_g_r") for n in names]
            counts = names == f"observation_count_{band}"
            assert np.isnan(table[lacks][mine & ~counts]).all()
            np.testing.assert_array_equal(table[3 - lacks][mine], table[0][mine])
        assert np.isnan(table[1:][:, [n.endswith("_g_r") for n in names]]).all()
        assert not np.isnan(table[0]).any()

    def test_a_curve_in_none_of_the_bands_is_refused(self, rng):
        batch = batch_of([{"g": star(rng)}, {"i": star(rng)}])
        step = FeatureExtractor(bands=("g", "r"), on_bad="reject")
        result = step.transform(batch)
        assert result.ids.tolist() == ["0"]
        assert result.rejected.reason.tolist() == ["needs a usable point in band g or r"]

    def test_one_missing_error_costs_its_band_only(self, rng):
        batch = batch_of([{"g": star(rng), "r": star(rng)}])
        error = batch.error.copy()
        error[np.flatnonzero(batch.band == 0)[3]] = np.nan
        table = dict(
            zip(
                ("stetson_k_g", "skew_g", "stetson_k_r", "skew_r", "colour", "welch_stetson_i"),
                extract_features(
                    batch.with_columns(error=error),
                    ("stetson_k", "skew", "colour", "welch_stetson_i"),
                    ("g", "r"),
                )[0],
                strict=True,
            )
        )
        assert np.isnan(table["stetson_k_g"])
        assert np.isnan(table["welch_stetson_i"])
        assert np.isfinite([table[n] for n in ("skew_g", "stetson_k_r", "skew_r", "colour")]).all()

    @pytest.mark.parametrize("n", [1, 2, 3, 11, 12])
    def test_min_points_in_both_bands(self, n, rng):
        batch = batch_of([{"g": star(rng, n), "r": star(rng, 40)}])
        time = batch.time[batch.band == 1][:n]
        g = star(rng, time=time + 0.01)
        batch = batch_of([{"g": g, "r": star(rng, time=time)}])
        for name, feature in CROSS_FEATURES.items():
            found = value(batch, name)[0]
            if n < feature.min_points:
                assert np.isnan(found), name
            elif feature.min_points < 12:
                assert np.isfinite(found), name

    def test_equal_values_and_equal_times(self, rng):
        flat = np.full(20, 15.0)
        at_once = np.full(20, 55_000.0)
        error = np.full(20, 0.1)
        batch = batch_of(
            [
                {"g": (star(rng, 20)[0], flat, error), "r": (star(rng, 20)[0], flat, error)},
                {"g": (at_once, 15 + rng.random(20), error), "r": (at_once, flat, error)},
            ]
        )
        table = extract_features(batch, ("bands",), ("g", "r"))
        assert not np.isinf(table).any()
        named = dict(zip(CROSS_FEATURES, table.T, strict=True))
        assert named["colour"][0] == 0.0
        assert np.isnan(named["spread_ratio"]).all()
        assert np.isnan(named["phase_lag"]).all()
        assert np.isnan(named["pair_correlation"]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": ()}, "bands must be a sequence of different names"),
        ({"bands": "gr"}, "bands must be a sequence of different names"),
        ({"bands": ("g", "g")}, "bands must be a sequence of different names"),
        ({"features": ("colour",)}, "'colour' compares bands; name two or more"),
        ({"features": ("bands",), "bands": ("g",)}, "'bands' compares bands"),
        ({"errors": "yes"}, "errors must be True or False"),
    ],
)
def test_wrong_settings(settings, message, rng):
    with pytest.raises(ConfigError, match=message):
        FeatureExtractor(**settings).transform(batch_of([{"g": star(rng)}]))


def test_unknown_band_is_named(rng, make_batch):
    with pytest.raises(DataError, match="no band 'z' in this survey; there is g, r, i"):
        FeatureExtractor(bands=("g", "z")).transform(batch_of([{"g": star(rng)}]))
    with pytest.raises(DataError, match="no band 'g' in this survey; its points have no band"):
        FeatureExtractor(bands=("g",)).transform(make_batch(1))


def test_without_bands_mixed_points_are_refused(rng):
    batch = batch_of([{"g": star(rng), "r": star(rng)}])
    with pytest.raises(DataError, match="needs a single band"):
        FeatureExtractor().transform(batch)


def test_rr_lyrae_of_stripe_82(data_dir):
    """Known physics: larger and bluer in g than in r, by 1.4 times; hardly a lag between them."""
    with open_survey(data_dir / "sdss_stripe82_rrlyrae.parquet", ColumnNames(period="period")) as s:
        batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(s.read())
    batch = batch.with_columns(objects={"period": batch.objects["catalogue_period"]})
    names = ("bands",)
    table = FeatureExtractor(names, bands=("g", "r", "i"), on_bad="reject").transform(batch)
    columns = FeatureExtractor(names, bands=("g", "r", "i")).feature_names()
    got = dict(zip(columns, table.objects["features"].T, strict=True))
    assert table.n_curves > 450
    assert np.nanmedian(got["amplitude_ratio_g_r"]) == pytest.approx(1.4, abs=0.1)
    assert np.nanmedian(got["spread_ratio_g_r"]) == pytest.approx(1.4, abs=0.15)
    assert np.nanmedian(got["colour_g_r"]) == pytest.approx(0.25, abs=0.15)
    assert np.nanmedian(np.abs(got["phase_lag_g_r"])) < 0.03
    assert np.nanmedian(got["pair_correlation_g_r"]) > 0.9
    assert np.nanmedian(got["pair_stetson_l_g_r"]) > 5

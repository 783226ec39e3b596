"""The same numbers as the light-curve package, on made-up and on real light curves.

light-curve 0.13 computes the position n p - 1/2 of a quantile in float32: for some curves that
moves the quantile by more than 1e-6 of itself. Features made of quantiles are therefore held to the
bound of that rounding, and once to the last digits with the rounding repeated.

Times count from the first point: in light-curve's sums of weighted squares, times near JD 2.45e6
cost six digits of the slope.
"""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch
from astroprep.features import extract_features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # light-curve warns of its own experimental parts
    lc = pytest.importorskip("light_curve", reason="the oracle light-curve is not installed")

RTOL = 1e-6

SAME_NAME = {
    "mean": lc.Mean(),
    "median": lc.Median(),
    "mean_variance": lc.MeanVariance(),
    "amplitude": lc.Amplitude(),
    "standard_deviation": lc.StandardDeviation(),
    "skew": lc.Skew(),
    "kurtosis": lc.Kurtosis(),
    "anderson_darling_normal": lc.AndersonDarlingNormal(),
    "beyond_1_std": lc.BeyondNStd(1),
    "beyond_2_std": lc.BeyondNStd(2),
    "beyond_3_std": lc.BeyondNStd(3),
    "inter_percentile_range_25": lc.InterPercentileRange(0.25),
    "median_absolute_deviation": lc.MedianAbsoluteDeviation(),
    "median_buffer_range_percentage_10": lc.MedianBufferRangePercentage(0.1),
    "median_buffer_range_percentage_20": lc.MedianBufferRangePercentage(0.2),
    "percent_amplitude": lc.PercentAmplitude(),
    "weighted_mean": lc.WeightedMean(),
    "excess_variance": lc.ExcessVariance(),
    "reduced_chi2": lc.ReducedChi2(),
    "stetson_k": lc.StetsonK(),
    "roms": lc.Roms(),
    "eta": lc.Eta(),
    "eta_e": lc.EtaE(),
    "cusum": lc.Cusum(),
    "maximum_slope": lc.MaximumSlope(),
    "observation_count": lc.ObservationCount(),
    "duration": lc.Duration(),
    "minimum_time_interval": lc.MinimumTimeInterval(),
    "maximum_time_interval": lc.MaximumTimeInterval(),
    "time_standard_deviation": lc.TimeStandardDeviation(),
}
SEVERAL = {
    ("linear_trend", "linear_trend_sigma", "linear_trend_noise"): lc.LinearTrend(),
    (
        "linear_fit_slope",
        "linear_fit_slope_sigma",
        "linear_fit_reduced_chi2",
    ): lc.LinearFit(),
    (
        "otsu_mean_diff",
        "otsu_std_lower",
        "otsu_std_upper",
        "otsu_lower_to_all_ratio",
    ): lc.OtsuSplit(),
}
QUANTILES = {
    "inter_percentile_range_2": lc.InterPercentileRange(0.02),
    "inter_percentile_range_10": lc.InterPercentileRange(0.1),
    "magnitude_percentage_ratio_40_5": lc.MagnitudePercentageRatio(0.4, 0.05),
    "magnitude_percentage_ratio_20_5": lc.MagnitudePercentageRatio(0.2, 0.05),
    "magnitude_percentage_ratio_32_5": lc.MagnitudePercentageRatio(0.325, 0.05),
    "magnitude_percentage_ratio_25_5": lc.MagnitudePercentageRatio(0.25, 0.05),
    "magnitude_percentage_ratio_17_5": lc.MagnitudePercentageRatio(0.175, 0.05),
    "magnitude_percentage_ratio_10_5": lc.MagnitudePercentageRatio(0.1, 0.05),
    "percent_difference_magnitude_percentile_5": lc.PercentDifferenceMagnitudePercentile(0.05),
    "percent_difference_magnitude_percentile_10": lc.PercentDifferenceMagnitudePercentile(0.1),
}


def oracle(batch, extractor):
    usable = batch.usable
    rows = []
    for first, last in zip(usable.offsets[:-1], usable.offsets[1:], strict=True):
        part = slice(first, last)
        rows.append(
            extractor(
                usable.time[part] - usable.time[first],
                usable.value[part],
                usable.error[part],
                sorted=True,
            )
        )
    return np.array(rows)


def compare(batch):
    names, extractors = [], []
    for some, extractor in {**{(k,): v for k, v in SAME_NAME.items()}, **SEVERAL}.items():
        names += list(some)
        extractors.append(extractor)
    ours, theirs = extract_features(batch, names), oracle(batch, lc.Extractor(*extractors))
    # a trend may be nothing but rounding: its own standard error sets the scale there
    scale = np.abs(theirs)
    for slope, sigma in (
        ("linear_trend", "linear_trend_sigma"),
        ("linear_fit_slope", "linear_fit_slope_sigma"),
    ):
        column = names.index(slope)
        scale[:, column] = np.maximum(scale[:, column], 1e-2 * theirs[:, names.index(sigma)])
    for k, name in enumerate(names):
        worst = np.nanmax(np.abs(ours[:, k] - theirs[:, k]) / np.maximum(scale[:, k], 1e-12))
        assert worst < RTOL, (name, worst)

    ours, theirs = (
        extract_features(batch, tuple(QUANTILES)),
        oracle(batch, lc.Extractor(*QUANTILES.values())),
    )
    rounding = float32_rounding(batch)
    spread, median = extract_features(batch, ("inter_percentile_range_10", "median")).T
    for k, name in enumerate(QUANTILES):
        allowed = rounding
        if name.startswith("magnitude_percentage_ratio"):
            allowed = 2 * rounding / spread
        elif name.startswith("percent_difference"):
            allowed = rounding / np.abs(median)
        assert (np.abs(ours[:, k] - theirs[:, k]) <= allowed + 1e-9 * np.abs(theirs[:, k])).all()


def float32_rounding(batch):
    """How far two float32 positions, of up to n each, move quantiles: by so much of a gap."""
    usable = batch.usable
    bounds = []
    for first, last in zip(usable.offsets[:-1], usable.offsets[1:], strict=True):
        gap = np.diff(np.sort(usable.value[first:last])).max()
        bounds.append(2 * (last - first) * np.finfo(np.float32).eps * gap)
    return np.array(bounds)


@pytest.fixture
def synthetic(rng):
    """300 stars of 12 to 900 points: sines, eclipses and noise, with errors that vary."""
    curves = []
    for k in range(300):
        n = int(rng.integers(12, 900))
        time = 55000.0 + np.cumsum(rng.exponential(2.0, n))
        phase = (time / rng.uniform(0.3, 30)) % 1
        shape = (np.sin(2 * np.pi * phase), (phase < 0.1) * 1.0, np.zeros(n))[k % 3]
        error = rng.uniform(0.01, 0.1, n)
        value = rng.uniform(11, 19) + rng.uniform(0.1, 1.0) * shape + rng.normal(0, error)
        curves.append((time, np.float32(value).astype(np.float64), error))
    return LightCurveBatch.from_curves(curves)


def test_synthetic(synthetic):
    compare(synthetic)


def test_quantiles_agree_fully_once_the_rounding_is_repeated(rng):
    value = rng.normal(15.0, 0.5, 57)
    ordered, single = np.sort(value), np.float32

    def quantile(p):
        position = single(57) * p - single(0.5)
        below = int(position)
        share = float(position - single(below))
        return ordered[below] + share * (ordered[below + 1] - ordered[below])

    rounded = quantile(single(1) - single(0.1)) - quantile(single(0.1))
    theirs = lc.InterPercentileRange(0.1)(np.arange(57.0), value)[0]
    assert theirs == pytest.approx(rounded, rel=1e-14)
    exact = np.quantile(value, 0.9, method="hazen") - np.quantile(value, 0.1, method="hazen")
    batch = LightCurveBatch.from_curves([(np.arange(57.0), value, None)])
    ours = extract_features(batch, ("inter_percentile_range_10",))[0, 0]
    assert ours == pytest.approx(exact, rel=1e-14)


def test_folded_string_length_is_theirs_in_phase_order(rng):
    time = np.sort(rng.uniform(0, 300, 90))
    value = np.cos(2 * np.pi * time / 0.7) + rng.normal(0, 0.1, 90)
    batch = LightCurveBatch.from_curves([(time, value, None)], objects={"period": np.array([0.7])})
    ours = extract_features(batch, ("lafler_kinman_p",))[0, 0]
    order = np.argsort(((time - time[0]) / 0.7) % 1)
    theirs = lc.LaflerKinmanStringLength()(np.arange(90.0), value[order])[0]
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("survey", ["crts_south", "asas_south"])
def test_real_light_curves(survey, data_dir):
    """Every 90th of the stars that light-curve accepts: no repeated time, at least 12 points."""
    table = pq.read_table(data_dir / f"{survey}.parquet", columns=["id", "lightcurve"])
    table = table.take(np.arange(0, table.num_rows, 90 if survey == "crts_south" else 30))
    curves = []
    for row in table["lightcurve"].to_pylist():
        time, mag, error = (np.array(row[key], float) for key in ("time", "mag", "mag_err"))
        keep = np.isfinite(time + mag + error) & (time > 0) & (error > 0) & (mag < 90)
        time, first = np.unique(time[keep], return_index=True)
        if time.size >= 12:
            curves.append((time, mag[keep][first], error[keep][first]))
    assert len(curves) >= 200
    compare(LightCurveBatch.from_curves(curves))

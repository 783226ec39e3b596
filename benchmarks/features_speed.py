"""Features per second against the light-curve package, on the features that both have.

    python benchmarks/features_speed.py [--out benchmarks/results/features_speed.json]

One core for both, the same light curves, values compared. light-curve gets its fastest door:
`Extractor.many` with an Arrow array, times declared sorted and checks off.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported

import light_curve as lc
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from record import record

from astroprep.data import LightCurveBatch
from astroprep.features import DEFAULT_FEATURES, FEATURES, extract_features, feature_errors

SIZES = {30: 4000, 100: 2000, 300: 1000, 1000: 300, 20_000: 20}  # points: curves
REPEATS = 7

BOTH = (
    (("mean",), lc.Mean()),
    (("median",), lc.Median()),
    (("mean_variance",), lc.MeanVariance()),
    (("amplitude",), lc.Amplitude()),
    (("standard_deviation",), lc.StandardDeviation()),
    (("skew",), lc.Skew()),
    (("kurtosis",), lc.Kurtosis()),
    (("anderson_darling_normal",), lc.AndersonDarlingNormal()),
    (("beyond_1_std",), lc.BeyondNStd(1)),
    (("beyond_2_std",), lc.BeyondNStd(2)),
    (("inter_percentile_range_2",), lc.InterPercentileRange(0.02)),
    (("inter_percentile_range_10",), lc.InterPercentileRange(0.1)),
    (("inter_percentile_range_25",), lc.InterPercentileRange(0.25)),
    (("magnitude_percentage_ratio_40_5",), lc.MagnitudePercentageRatio(0.4, 0.05)),
    (("magnitude_percentage_ratio_20_5",), lc.MagnitudePercentageRatio(0.2, 0.05)),
    (("percent_difference_magnitude_percentile_5",), lc.PercentDifferenceMagnitudePercentile(0.05)),
    (("median_absolute_deviation",), lc.MedianAbsoluteDeviation()),
    (("median_buffer_range_percentage_10",), lc.MedianBufferRangePercentage(0.1)),
    (("percent_amplitude",), lc.PercentAmplitude()),
    (
        ("otsu_mean_diff", "otsu_std_lower", "otsu_std_upper", "otsu_lower_to_all_ratio"),
        lc.OtsuSplit(),
    ),
    (("weighted_mean",), lc.WeightedMean()),
    (("excess_variance",), lc.ExcessVariance()),
    (("reduced_chi2",), lc.ReducedChi2()),
    (("stetson_k",), lc.StetsonK()),
    (("eta",), lc.Eta()),
    (("eta_e",), lc.EtaE()),
    (("cusum",), lc.Cusum()),
    (("maximum_slope",), lc.MaximumSlope()),
    (("linear_trend", "linear_trend_sigma", "linear_trend_noise"), lc.LinearTrend()),
    (("linear_fit_slope", "linear_fit_slope_sigma", "linear_fit_reduced_chi2"), lc.LinearFit()),
    (("percent_difference_magnitude_percentile_10",), lc.PercentDifferenceMagnitudePercentile(0.1)),
    (("median_buffer_range_percentage_20",), lc.MedianBufferRangePercentage(0.2)),
    (("magnitude_percentage_ratio_32_5",), lc.MagnitudePercentageRatio(0.325, 0.05)),
    (("magnitude_percentage_ratio_25_5",), lc.MagnitudePercentageRatio(0.25, 0.05)),
    (("magnitude_percentage_ratio_17_5",), lc.MagnitudePercentageRatio(0.175, 0.05)),
    (("magnitude_percentage_ratio_10_5",), lc.MagnitudePercentageRatio(0.1, 0.05)),
    (("beyond_3_std",), lc.BeyondNStd(3)),
    (("roms",), lc.Roms()),
    (("observation_count",), lc.ObservationCount()),
    (("duration",), lc.Duration()),
    (("minimum_time_interval",), lc.MinimumTimeInterval()),
    (("maximum_time_interval",), lc.MaximumTimeInterval()),
    (("time_standard_deviation",), lc.TimeStandardDeviation()),
)
NAMES = tuple(name for names, _ in BOTH for name in names)


def survey(n_points: int, n_curves: int) -> LightCurveBatch:
    """Noisy sines of float32 magnitudes, as surveys store them, with a period each."""
    rng = np.random.default_rng(n_points)
    curves, periods = [], rng.uniform(0.3, 5.0, n_curves)
    for period in periods:
        day = np.sort(rng.uniform(0, 2900, n_points))
        error = rng.uniform(0.02, 0.1, n_points)
        mag = 15.0 + 0.3 * np.sin(2 * np.pi * day / period) + rng.normal(0, error)
        curves.append((day, mag.astype(np.float32), error))
    return LightCurveBatch.from_curves(curves, objects={"period": periods})


def as_arrow(batch: LightCurveBatch) -> pa.Array:
    """List of structs, which light-curve reads without a copy."""
    points = pa.StructArray.from_arrays(
        [pa.array(batch.time), pa.array(batch.value), pa.array(batch.error)], ["t", "m", "e"]
    )
    return pa.ListArray.from_arrays(pa.array(batch.offsets.astype(np.int32)), points)


def fastest(*runs: Callable[[], Any]) -> list[float]:
    """Shortest time of each, seconds, taken in turns so that other work disturbs all alike."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(REPEATS):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def disagreement(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """99.9th percentile over curves and features of the relative difference."""
    scale = np.maximum(np.abs(theirs), 1e-9)
    return float(np.quantile(np.abs(ours - theirs) / scale, 0.999))


def measure(n_points: int, n_curves: int) -> dict[str, Any]:
    """One row of the table."""
    batch = survey(n_points, n_curves)
    arrow, extractor = as_arrow(batch), lc.Extractor(*(peer for _, peer in BOTH))
    fields = {"t": "t", "m": "m", "sigma": "e"}

    def peer() -> Any:
        return extractor.many(arrow, arrow_fields=fields, sorted=True, check=False, n_jobs=1)

    ours, theirs = extract_features(batch, NAMES), np.asarray(peer())
    extract_features(batch, "all")  # compiles what the other sets need
    feature_errors(batch, "all")
    here, there, default, everything, errors = (
        seconds / n_curves * 1e6
        for seconds in fastest(
            lambda: extract_features(batch, NAMES),
            peer,
            lambda: extract_features(batch),
            lambda: extract_features(batch, "all"),
            lambda: feature_errors(batch, "all"),
        )
    )
    claim = (
        f"{len(NAMES)} features in {here:.1f} µs, light-curve {lc.__version__} {there:.1f} µs: "
        f"{there / here:.1f} times as fast; the {len(DEFAULT_FEATURES)} default features "
        f"in {default:.0f} µs, all {len(FEATURES)} in {everything:.0f} µs, "
        f"with their standard errors in {everything + errors:.0f} µs"
    )
    return {
        "what": f"{n_points:,} points, one core",
        "claim": claim,
        "points": n_points,
        "features": len(NAMES),
        "astroprep_us": round(here, 2),
        "light_curve_us": round(there, 2),
        "ratio": round(there / here, 2),
        "relative_difference_p999": disagreement(ours, theirs),
        "default_features": len(DEFAULT_FEATURES),
        "default_us": round(default, 2),
        "all_features": len(FEATURES),
        "all_us": round(everything, 2),
        "values_and_errors_us": round(everything + errors, 2),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/features_speed.json"))
    out = parser.parse_args().out
    warnings.simplefilter("ignore")  # light-curve warns of its own experimental parts
    rows = [measure(n_points, n_curves) for n_points, n_curves in SIZES.items()]
    for row in rows:
        print(
            f"{row['what']}: {row['claim']}; "
            f"values within {row['relative_difference_p999']:.0e} (99.9 %)"
        )
    record("features_speed", rows, out)


if __name__ == "__main__":
    main()

"""Values of features on real light curves against the light-curve package, star by star.

    python benchmarks/features_values.py --data DATA/ [--curves 1000] [--out FILE]

Up to so many curves of each survey in the data, evenly spaced through the file: Catalina South and
ASAS-3, every band of Stripe 82, the LMC Cepheids of each survey, and all space photometry. Points
are those that astroprep calls usable; equal times are thinned to the first, because the other
package divides by their difference.

Two deviations of the other package are known and taken out first, so that what is left is ours:
it rounds the positions of quantiles to float32 (its quantiles are repeated here with that rounding,
and ours are held against numpy's besides), and it sums squares of raw times (they count from the
first point here). A slope that is nothing but rounding is measured by its standard error.
How many values that rounding moves is printed. Features that it does not have are held against the
plain formula in numpy, on 50 curves a survey, where they are defined.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported

import light_curve as lc
import numpy as np
from features_speed import BOTH, NAMES
from numpy.typing import NDArray
from record import record

from astroprep.clean import FlagBad, SelectBand
from astroprep.data import LightCurveBatch
from astroprep.features import extract_features
from astroprep.io import open_survey

RTOL = 1e-6
FEWEST = 12  # points
PLAIN = 50  # curves a survey that are held against numpy
# positions of quantiles that a feature is made of: numerator, denominator ("median" or another)
QUANTILES: dict[str, tuple[float, float | str | None]] = {
    "inter_percentile_range_2": (0.02, None),
    "inter_percentile_range_10": (0.1, None),
    "inter_percentile_range_25": (0.25, None),
    "magnitude_percentage_ratio_40_5": (0.4, 0.05),
    "magnitude_percentage_ratio_20_5": (0.2, 0.05),
    "magnitude_percentage_ratio_32_5": (0.325, 0.05),
    "magnitude_percentage_ratio_25_5": (0.25, 0.05),
    "magnitude_percentage_ratio_17_5": (0.175, 0.05),
    "magnitude_percentage_ratio_10_5": (0.1, 0.05),
    "percent_difference_magnitude_percentile_5": (0.05, "median"),
    "percent_difference_magnitude_percentile_10": (0.1, "median"),
}
SLOPES = {"linear_trend": "linear_trend_sigma", "linear_fit_slope": "linear_fit_slope_sigma"}
Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def surveys(data: Path) -> Iterator[tuple[str, LightCurveBatch]]:
    """Each survey of the data, one band at a time."""
    for name in ("crts_south", "asas_south", "lmc_cepheids_multisurvey"):
        with open_survey(data / f"{name}.parquet", on_bad="reject") as survey:
            batch = survey.read()
        yield name, batch
    with open_survey(data / "sdss_stripe82_rrlyrae.parquet", on_bad="reject") as survey:
        batch = survey.read()
    for band in batch.meta.bands:
        yield f"stripe82 {band}", SelectBand(band=band, on_bad="reject").transform(batch)
    for name in ("kepler", "k2", "tess"):
        with open_survey(data / "space" / name, on_bad="reject") as survey:
            yield name, survey.read()


def chosen(batch: LightCurveBatch, n_curves: int) -> list[Curve]:
    """Evenly spaced curves with errors, unequal times and unequal values."""
    batch = FlagBad(missing_errors="estimate", on_bad="reject").transform(batch)
    usable, curves = batch.usable, []
    for first, last in zip(usable.offsets[:-1], usable.offsets[1:], strict=True):
        time, where = np.unique(usable.time[first:last], return_index=True)
        value, error = (x[first:last][where] for x in (usable.value, usable.error))
        if time.size >= FEWEST and np.ptp(value) > 0 and np.all(error > 0):
            curves.append((time - time[0], value, error))
    step = max(1, len(curves) // n_curves)
    return curves[::step][:n_curves]


def exact(value: NDArray[np.float64], p: float) -> float:
    """Hazen's quantile by numpy."""
    return float(np.quantile(value, p, method="hazen"))


def rounded(value: NDArray[np.float64], p: float) -> float:
    """The same with the position in float32, as the other package computes it."""
    ordered, single = np.sort(value), np.float32
    position = single(value.size) * single(p) - single(0.5)
    below = min(max(int(position), 0), value.size - 2)
    share = min(max(float(position - single(below)), 0.0), 1.0)
    return float(ordered[below] + share * (ordered[below + 1] - ordered[below]))


def by_quantiles(
    name: str, value: NDArray[np.float64], quantile: Callable[[NDArray[np.float64], float], float]
) -> float:
    """A feature of `QUANTILES` from any quantile function."""
    low, below = QUANTILES[name]
    top = np.float32(1.0) - np.float32(low) if quantile is rounded else 1.0 - low
    wide = quantile(value, top) - quantile(value, low)
    if below is None:
        return wide
    if below == "median":
        return wide / float(np.median(value))
    assert isinstance(below, float)
    high = np.float32(1.0) - np.float32(below) if quantile is rounded else 1.0 - below
    bottom = quantile(value, high) - quantile(value, below)
    return wide / bottom if bottom > 0 else np.nan


def differences(curves: list[Curve]) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Relative difference of every shared feature on every curve.

    Where a feature is made of quantiles the truth is numpy, and theirs is held against its own
    rounding: the larger of both differences counts. The second result counts the values of such
    features that differ between the packages as they come.
    """
    ours = extract_features(LightCurveBatch.from_curves(curves), NAMES)
    peer = lc.Extractor(*(feature for _, feature in BOTH))
    theirs = np.array([peer(*curve, sorted=True, fill_value=np.nan) for curve in curves])
    result, as_they_come = {}, 0
    for k, name in enumerate(NAMES):
        mine, other = ours[:, k], theirs[:, k]
        scale = np.abs(other)
        if name in SLOPES:
            scale = np.maximum(scale, 1e-2 * theirs[:, NAMES.index(SLOPES[name])])
        if name in QUANTILES:
            truth, repeated = (
                np.array([by_quantiles(name, curve[1], q) for curve in curves])
                for q in (exact, rounded)
            )
            away = np.maximum(
                np.abs(mine - truth) / np.abs(truth), np.abs(other - repeated) / np.abs(repeated)
            )
            neither = np.isnan(mine) & np.isnan(truth)
            as_they_come += int((np.abs(mine - other) > RTOL * scale).sum())
            result[name] = np.where(neither, 0.0, away)
            continue
        equal = (mine == other) | (np.isnan(mine) & np.isnan(other))
        with np.errstate(divide="ignore", invalid="ignore"):
            result[name] = np.where(equal, 0.0, np.abs(mine - other) / scale)
    return result, as_they_come


def _series(curve: Curve) -> dict[str, float]:
    """Features that the other package lacks, by plain formulas."""
    time, value, error = curve
    std, n = value.std(ddof=1), value.size
    ordered, median = np.sort(value), np.median(value)
    tail = -(-n // 10)
    q = {p: exact(value, p) for p in (0.05, 0.125, 0.25, 0.375, 0.625, 0.75, 0.875, 0.95)}
    tails = np.mean([*ordered[:tail], *ordered[-tail:]])
    weight = error**-2
    d = (value - np.average(value, weights=weight)) / error
    near = np.flatnonzero(np.diff(time) < 0.5)
    product = d[near] * d[near + 1] * n / (n - 1)
    stetson_j = np.mean(np.sign(product) * np.sqrt(np.abs(product))) if near.size else np.nan
    stetson_k = np.mean(np.abs(d)) / np.sqrt(np.mean(d**2))
    half = q[0.75] - q[0.25]
    octiles = q[0.875] - q[0.625] + q[0.375] - q[0.125]
    return {
        "moors_kurtosis": octiles / half if half > 0 else np.nan,
        "tail_asymmetry": (tails - median) / std,
        "percentile_skew": (q[0.95] + q[0.05] - 2 * median) / (q[0.95] - q[0.05])
        if q[0.95] > q[0.05]
        else np.nan,
        "stetson_j": stetson_j,
        "stetson_l": stetson_j * stetson_k / 0.798,
        "intrinsic_fraction": 1 - np.mean(error**2) / std**2,
        "trend_fraction": np.corrcoef(time, value)[0, 1] ** 2,
        "night_fraction": np.mean((value[near + 1] - value[near]) ** 2) / (2 * std**2)
        if near.size
        else np.nan,
    }


def _folds(curve: Curve, period: float) -> dict[str, float]:
    """Harmonic models by numpy's least squares, powers by astropy, sums in phase order."""
    from astropy.timeseries import LombScargle

    time, value, error = curve
    angle = 2 * np.pi * np.outer(time / period, np.arange(1, 5))
    design = np.column_stack([np.ones(time.size), np.cos(angle), np.sin(angle)])
    centred = value - np.median(value)
    solution = np.linalg.lstsq(design / error[:, None], centred / error, rcond=None)[0]
    a, b = solution[1:5], solution[5:]
    size, phase = np.hypot(a, b), np.arctan2(-b, a)
    d = (value - np.average(value, weights=error**-2)) / error
    residual = (centred - design @ solution) / error
    order = np.argsort(time / period % 1.0, kind="stable")
    sums = np.cumsum(value[order] - value.mean()) / (value.size * value.std(ddof=1))
    power = LombScargle(time, value, error).power(1 / period, method="slow")
    return {
        "fourier_amplitude": size[0],
        "fourier_r21": size[1] / size[0],
        "fourier_r31": size[2] / size[0],
        "cos_phi21": np.cos(phase[1] - 2 * phase[0]),
        "sin_phi31": np.sin(phase[2] - 3 * phase[0]),
        "variance_explained_p": 1 - np.sum(residual**2) / np.sum(d**2),
        "residual_reduced_chi2": np.sum(residual**2) / (value.size - 9),
        "phase_cusum_p": np.ptp(sums),
        "power_p": float(power),
    }


def plain(curves: list[Curve]) -> dict[str, NDArray[np.float64]]:
    """Difference from plain formulas, relative or, below one, absolute; periods are made up."""
    # magnitudes and flux alike are read as faintness: signs are then those of the values
    periods = 0.31 + 0.37 * (np.arange(len(curves)) % 7)
    batch = LightCurveBatch.from_curves(curves, objects={"period": periods})
    truth = [{**_series(c), **_folds(c, p)} for c, p in zip(curves, periods, strict=True)]
    names = tuple(truth[0])
    ours = extract_features(batch, names)
    result = {}
    for k, name in enumerate(names):
        other = np.array([row[name] for row in truth])
        away = np.abs(ours[:, k] - other) / np.maximum(np.abs(other), 1e-3)
        held = ~np.isnan(ours[:, k])  # a fit whose phases do not constrain it is refused
        either = np.isnan(other) & np.isnan(ours[:, k])
        result[name] = np.where(either | ~held, 0.0, away)
    return result


def worst(table: dict[str, NDArray[np.float64]]) -> tuple[str, float, int]:
    """Feature of the largest difference, that difference, and values beyond the tolerance."""
    name = max(table, key=lambda n: float(np.nan_to_num(table[n], nan=np.inf).max()))
    beyond = sum(int((~(column <= RTOL)).sum()) for column in table.values())
    return name, float(table[name].max()), beyond


def measure(name: str, batch: LightCurveBatch, n_curves: int) -> dict[str, Any]:
    """One row of the table."""
    curves = chosen(batch, n_curves)
    shared, rounding = differences(curves)
    first, largest, beyond = worst(shared)
    lacking = plain(curves[:: max(1, len(curves) // PLAIN)][:PLAIN])
    second, largest_plain, beyond_plain = worst(lacking)
    sizes = [curve[0].size for curve in curves]
    claim = (
        f"{len(shared)} features of {len(curves)} curves ({min(sizes)} to {max(sizes):,} points): "
        f"{beyond} of {len(shared) * len(curves):,} values differ by more than {RTOL:g}, the "
        f"largest by {largest:.1e} ({first}); its float32 positions, taken out, move {rounding} "
        f"values of quantiles; {len(lacking)} others against plain formulas: "
        f"{beyond_plain} beyond, the largest {largest_plain:.1e} ({second})"
    )
    return {
        "what": name,
        "claim": claim,
        "curves": len(curves),
        "features": len(shared),
        "values": len(shared) * len(curves),
        "beyond_tolerance": beyond,
        "largest": largest,
        "moved_by_float32_positions": rounding,
        "largest_feature": first,
        "plain_features": len(lacking),
        "plain_beyond_tolerance": beyond_plain,
        "plain_largest": largest_plain,
        "plain_largest_feature": second,
        "beyond_by_feature": {
            n: int((~(c <= RTOL)).sum()) for n, c in shared.items() if (~(c <= RTOL)).any()
        },
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real surveys")
    parser.add_argument("--curves", type=int, default=1000, help="of each survey")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/features_values.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # light-curve warns of its own experimental parts
    rows = []
    for name, batch in surveys(arguments.data):
        rows.append(measure(name, batch, arguments.curves))
        print(f"{rows[-1]['what']}: {rows[-1]['claim']}", flush=True)
    record("features_values", rows, arguments.out, peer=f"light-curve {lc.__version__}")


if __name__ == "__main__":
    main()

"""What binning, smoothing, clustering and rescaled errors give and cost, next to their peers.

    python benchmarks/clean_noise.py --data DATA/ [--out benchmarks/results/clean_noise.json]

Four tables, one core:

1. Amplitude kept of sines of 0.5 to 8 windows, injected into real samplings (one quarter of a
   Kepler star, 100 Catalina stars), and what is left of white noise of the survey's errors.
2. Speed and results against scipy's filter and spline and lightkurve's bins, on what these peers
   can serve: the Kepler quarter, made even for the filter (both compared with extended
   precision); and scikit-learn's DBSCAN.
3. Points in eclipse that are taken for noise, and displaced points that are found, on detached
   binaries of Catalina's published test split (the default was chosen on its training split).
4. Errors rescaled on simulated fields with a known factor and floor, and on real nights.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported

import numpy as np
from numpy.typing import NDArray
from record import record
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter
from sklearn.cluster import DBSCAN

from astroprep.base import Transformer
from astroprep.clean import (
    Bin,
    BinDown,
    ClusterNoise,
    ErrorRescaler,
    FlagBad,
    SigmaClip,
    Smooth,
    SurveyFlags,
    amplitude_kept,
)
from astroprep.clean.cluster import cluster_labels
from astroprep.clean.error_model import robust_scatter, standard_residuals
from astroprep.clean.local_polynomial import local_polynomial
from astroprep.clean.spline import smoothing_spline
from astroprep.clean.spline_curve import BY_CUTOFF, BY_GCV
from astroprep.data import LightCurveBatch, PointFlag
from astroprep.io import ColumnNames, open_survey

REPEATS = 7
RATIOS = (0.5, 1.0, 2.0, 4.0, 8.0)  # periods in windows
LONG_CADENCE = 0.0204340  # days
BAD = PointFlag.NOISE | PointFlag.OUTLIER

Row = dict[str, Any]


def fastest(*runs: Callable[[], Any]) -> list[float]:
    """Shortest time of each, seconds, taken in turns so that other work disturbs all alike."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(REPEATS):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


# -- 1. what is kept -------------------------------------------------------------------------------


def steps_of(window: float) -> Iterator[tuple[str, Transformer]]:
    """Every step at one scale in days."""
    yield "Bin mean", Bin(size=window)
    yield "Bin median", Bin("median", size=window)
    yield "Bin boundary", Bin("boundary", size=window)
    yield "BinDown mean", BinDown(size=window)
    yield "Smooth degree 0", Smooth(window=window, degree=0)
    yield "Smooth degree 2", Smooth(window=window)
    yield "Smooth degree 2 robust", Smooth(window=window, robust=3)
    yield "Smooth degree 2 tricube", Smooth(window=window, kernel="tricube")
    yield "Smooth spline", Smooth("spline", window=window)


def noise_kept(step: Transformer, batch: LightCurveBatch, seed: int) -> float:
    """Scatter of the result per scatter put in, of white noise of the survey's own errors."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, batch.n_points) * np.nan_to_num(batch.error)
    level = np.median(batch.usable.value)
    flat = step.transform(
        batch.with_columns(value=np.where(np.isfinite(batch.value), level, np.nan))
    )
    given = batch.with_columns(value=level + np.where(np.isfinite(batch.value), noise, np.nan))
    usable, result = given.usable, step.transform(given)
    left = result.value[result.usable.index] - flat.value[result.usable.index]
    return float(np.std(left) / np.std(usable.value - level))


def table_kept(name: str, batch: LightCurveBatch, window: float) -> list[Row]:
    """Rows of one survey."""
    print(f"\n{name}, window {window} d: amplitude kept of a sine of so many windows")
    print(f"{'step':26s}" + "".join(f"{r:7.1f}" for r in RATIOS) + f"{'noise left':>12s}")
    rows = []
    for label, step in steps_of(window):
        kept = np.nanmedian(amplitude_kept(step, batch, np.array(RATIOS) * window), axis=0)
        left = noise_kept(step, batch, seed=1)
        print(f"{label:26s}" + "".join(f"{k:7.3f}" for k in kept) + f"{left:12.3f}")
        rows.append(
            {
                "what": f"{name}, {label}",
                "window_days": window,
                "periods_in_windows": RATIOS,
                "amplitude_kept": [round(float(k), 4) for k in kept],
                "noise_left": round(left, 4),
            }
        )
    return rows


# -- 2. peers --------------------------------------------------------------------------------------


def peer_row(what: str, ours: float, theirs: float, agree: str) -> Row:
    """One line of the second table."""
    print(
        f"{what:44s}{ours * 1e3:9.3f} ms {theirs * 1e3:9.3f} ms {theirs / ours:7.1f} times  {agree}"
    )
    return {
        "what": what,
        "astroprep_ms": round(ours * 1e3, 4),
        "peer_ms": round(theirs * 1e3, 4),
        "ratio": round(theirs / ours, 2),
        "agreement": agree,
    }


def exact_quadratic(value: NDArray[np.float64], half: int) -> NDArray[np.longdouble]:
    """Quadratic least squares at the inner points of an even series, in extended precision."""
    x = np.arange(-half, half + 1).astype(np.longdouble) / half
    total, square, fourth = (np.sum(x**k) for k in (0, 2, 4))
    kernel = (fourth - square * x**2) / (total * fourth - square**2)
    return np.convolve(value.astype(np.longdouble), kernel, mode="valid")


def against_filter(value: NDArray[np.float64]) -> list[Row]:
    """Savitzky and Golay's filter on an even series without gaps, all that scipy's can take."""
    n, rows = value.size, []
    even, offsets, weight = np.arange(n) * LONG_CADENCE, np.array([0, n]), np.ones(n)
    for length in (25, 101, 401):
        width = (length - 1) * LONG_CADENCE * 1.0001

        def ours(width: float = width) -> Any:
            return local_polynomial(even, value, weight, offsets, width, np.inf, 2, False, 0)

        def theirs(length: int = length) -> Any:
            return savgol_filter(value, length, 2)

        half = length // 2
        truth = exact_quadratic(value, half)
        mine, other = (
            float(np.max(np.abs(fit[half:-half] - truth)) / np.std(value))
            for fit in (ours()[0], theirs())
        )
        rows.append(
            peer_row(
                f"scipy savgol_filter, {length} cadences",
                *fastest(ours, theirs),
                f"off by {mine:.0e} and {other:.0e} of the scatter",
            )
        )
    return rows


def against_spline(
    time_: NDArray[np.float64], value: NDArray[np.float64], error: NDArray[np.float64]
) -> list[Row]:
    """Smoothing spline with one penalty, and by cross-validation."""
    n, offsets, weight = value.size, np.array([0, value.size]), error**-2
    relative = weight / weight.mean()
    penalty = n / np.ptp(time_) * (2.0 / (2 * np.pi)) ** 4

    def ours() -> Any:
        return smoothing_spline(time_, value, weight, offsets, np.inf, BY_CUTOFF, 2.0)

    def theirs() -> Any:
        return make_smoothing_spline(time_, value, relative, lam=penalty)(time_)

    apart = np.max(np.abs(ours()[0] - theirs())) / np.std(value)
    rows = [
        peer_row(
            f"scipy make_smoothing_spline, {n:,} points",
            *fastest(ours, theirs),
            f"within {apart:.0e} of the scatter; ours with variance and dof",
        )
    ]

    def chosen() -> Any:
        return smoothing_spline(time_, value, weight, offsets, np.inf, BY_GCV, 0.0)

    def peer() -> Any:
        return make_smoothing_spline(time_, value, relative)(time_)

    def score(fit: NDArray[np.float64]) -> tuple[float, float]:
        """GCV score of a fit, its trace from our own with the same residuals."""
        rss = float(np.sum(relative * (value - fit) ** 2))
        low, high = 1e-3, 1e3
        for _ in range(60):
            middle = np.sqrt(low * high)
            same = smoothing_spline(time_, value, weight, offsets, np.inf, BY_CUTOFF, middle)
            low, high = (
                (middle, high) if np.sum(relative * (value - same[0]) ** 2) < rss else (low, middle)
            )
        return n * rss / (n - same[4][0]) ** 2, middle

    (mine, cut), (other, cut_peer) = score(chosen()[0]), score(peer())
    rows.append(
        peer_row(
            "the same, by cross-validation",
            *fastest(chosen, peer),
            f"GCV score ours / scipy's {mine / other:.4f}, cut-offs {cut:.3f}, {cut_peer:.3f} d",
        )
    )
    return rows


def against_bins(batch: LightCurveBatch) -> list[Row]:
    """Time bins of half a day, of the points that we use."""
    import lightkurve as lk

    usable = batch.usable
    curve = lk.LightCurve(time=usable.time, flux=usable.value, flux_err=usable.error)
    start = float(usable.time[0])
    step = BinDown(size=0.5, origin=start)
    plain = LightCurveBatch.from_curves([(usable.time, usable.value, usable.error)])

    def ours() -> Any:
        return step.transform(plain)

    def theirs() -> Any:
        return curve.bin(time_bin_size=0.5, time_bin_start=start)

    result, peer = ours(), theirs()
    level = np.asarray(peer.flux, float)
    level = level[np.isfinite(level)]
    mean = BinDown(size=0.5, origin=start).transform(
        plain.with_columns(error=np.ones(plain.n_points))
    )
    agree = f"{result.n_points} bins, theirs {level.size}"
    if mean.n_points == level.size:
        apart = np.max(np.abs(mean.value - level)) / np.std(level)
        agree += f"; unweighted means within {apart:.0e} of the scatter"
    return [peer_row("lightkurve bin, half a day", *fastest(ours, theirs), agree)]


def against_dbscan(batch: LightCurveBatch) -> list[Row]:
    """scikit-learn's DBSCAN curve by curve, its fastest tree."""
    usable = batch.usable
    scale = np.array([8 * np.median(usable.error[a:b]) for a, b in _parts(usable.offsets)])

    def ours() -> Any:
        return cluster_labels(usable.time, usable.value, usable.offsets, 0.5, scale, 2)

    def theirs() -> Any:
        return [
            DBSCAN(eps=1.0, min_samples=2)
            .fit(np.column_stack([usable.time[a:b] / 0.5, usable.value[a:b] / s]))
            .labels_
            for (a, b), s in zip(_parts(usable.offsets), scale, strict=True)
        ]

    same = np.mean(ours() == np.concatenate(theirs()))
    return [
        peer_row(
            f"scikit-learn DBSCAN, {batch.n_curves} Catalina stars",
            *fastest(ours, theirs),
            f"labels equal for {same:.4%} of the points",
        )
    ]


def _parts(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))


# -- 3. eclipses -----------------------------------------------------------------------------------


def in_eclipse(batch: LightCurveBatch) -> NDArray[np.bool_]:
    """Usable points of folded curves in bins five errors below the median, near their bin's."""
    usable, inside = batch.usable, np.zeros(batch.usable.time.size, bool)
    for i, (a, b) in enumerate(_parts(usable.offsets)):
        if b - a < 60:
            continue
        phase = (usable.time[a:b] / batch.objects["catalogue_period"][i]) % 1
        value, error, part = (
            usable.value[a:b],
            np.median(usable.error[a:b]),
            (phase * 40).astype(int),
        )
        medians = np.array(
            [np.median(value[part == k]) if (part == k).any() else np.nan for k in range(40)]
        )[part]
        inside[a:b] = (medians > np.median(value) + 5 * error) & (abs(value - medians) < 3 * error)
    return inside


def table_eclipses(survey: LightCurveBatch) -> list[Row]:
    """Cost in real eclipses and gain in displaced points, test split."""
    chosen = np.flatnonzero(
        (survey.objects["label"] == "EA_detached") & (survey.objects["split"] == "test")
    )
    chosen = np.random.default_rng(3).permutation(chosen)[:600]
    batch = FlagBad().transform(survey.take(np.sort(chosen)))
    rng, usable, eclipse = np.random.default_rng(4), batch.usable, in_eclipse(batch)
    moved = (rng.random(eclipse.size) < 0.005) & ~eclipse
    value = batch.value.copy()
    value[usable.index[moved]] += rng.choice([-1, 1], moved.sum()) * rng.uniform(
        0.6, 2.5, moved.sum()
    )
    print(f"\n{batch.n_curves} detached binaries, {eclipse.sum()} points in eclipse, test split")
    rows = []
    for name, step in (
        ("ClusterNoise", ClusterNoise()),
        ("ClusterNoise, 4 errors", ClusterNoise(brightness_scale=4.0)),
        ("SigmaClip", SigmaClip()),
    ):
        flagged = [
            (step.transform(given).flags[usable.index] & np.uint32(BAD)) > 0
            for given in (batch, batch.with_columns(value=value))
        ]
        lost, found = flagged[0][eclipse].mean(), flagged[1][moved].mean()
        print(f"{name:26s} in eclipse flagged {lost:7.2%}   displaced points found {found:6.1%}")
        rows.append(
            {
                "what": f"{name} on {batch.n_curves} detached binaries",
                "points_in_eclipse": int(eclipse.sum()),
                "in_eclipse_flagged": round(float(lost), 5),
                "displaced": int(moved.sum()),
                "displaced_found": round(float(found), 4),
            }
        )
    return rows


# -- 4. errors -------------------------------------------------------------------------------------


def simulated_field(seed: int, factor: float) -> tuple[LightCurveBatch, NDArray[np.float64]]:
    """400 stars, a fifth of them variable, 1 % outliers, and the true scatter of each point."""
    rng = np.random.default_rng(seed)
    curves, truth = [], []
    for mag in rng.uniform(13, 18, 400):
        error = 0.003 * 10 ** (0.2 * (mag - 13)) * np.exp(rng.normal(0, 0.4, 80))
        sigma = np.hypot(factor * error, 0.004 + 0.01 * max(mag - 15, 0.0))
        day = np.sort(rng.uniform(0, 300, 80))
        value = mag + rng.normal(0, sigma) + (rng.random(80) < 0.01) * rng.normal(0, 1, 80)
        if rng.random() < 0.2:
            value += 10 ** rng.uniform(-2, 0) * np.sin(2 * np.pi * day / rng.uniform(0.3, 30))
        curves.append((day, value, error))
        truth.append(sigma)
    return LightCurveBatch.from_curves(curves), np.concatenate(truth)


def one_factor(batch: LightCurveBatch) -> float:
    """What is usually done: the median over stars of the scatter in units of the errors."""
    z = standard_residuals(batch.value, batch.error, batch.offsets)
    return float(np.median(robust_scatter(z, batch.offsets)))


def within_nights(batch: LightCurveBatch) -> float:
    """Robust scatter of exposures about the mean of their night, in their errors."""
    usable = batch.usable
    start = np.flatnonzero(np.append(True, np.abs(np.diff(usable.time)) > 0.1))
    z = standard_residuals(usable.value, usable.error, np.append(start, usable.time.size))
    return float(1.4826 * np.nanmedian(np.abs(z)))


def table_errors(survey: LightCurveBatch) -> list[Row]:
    """Truth by injection, then real nights."""
    print("\nErrors rescaled / true scatter (20 fields each; median, and 5th to 95th percentile)")
    rows: list[Row] = []
    for factor in (0.6, 1.0, 1.4, 2.5):
        ratio, plain = [], []
        for seed in range(100, 120):
            batch, truth = simulated_field(seed, factor)
            ratio.append(ErrorRescaler().fit(batch).transform(batch).error / truth)
            plain.append(batch.error * one_factor(batch) / truth)
        low, middle, high = np.percentile(np.concatenate(ratio), [5, 50, 95])
        rough = np.percentile(np.concatenate(plain), [5, 50, 95])
        print(
            f"factor {factor:4.1f}: {middle:6.3f}  ({low:.3f} to {high:.3f})   "
            f"one factor for all {rough[1]:6.3f}  ({rough[0]:.3f} to {rough[2]:.3f})"
        )
        rows.append(
            {
                "what": f"ErrorRescaler, simulated fields, factor {factor}",
                "ratio_median": round(middle, 4),
                "ratio_5_95": [round(low, 4), round(high, 4)],
                "one_factor_5_50_95": [round(float(r), 4) for r in rough],
            }
        )
    slow = survey.take(np.flatnonzero(survey.objects["catalogue_period"] > 5))
    slow = FlagBad().transform(slow)
    step = ErrorRescaler(group=0.1).fit(slow[::2])
    raw, new = within_nights(slow[1::2]), within_nights(step.transform(slow[1::2]))
    text = f"scatter within nights / error {raw:.3f} before, {new:.3f} after"
    print(f"Catalina, {slow[1::2].n_curves} other stars of P > 5 d: {text}")
    rows.append({"what": "ErrorRescaler, Catalina nights", "before": raw, "after": new})
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real surveys")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/clean_noise.json"))
    settings = parser.parse_args()
    warnings.simplefilter("ignore")  # lightkurve warns of its optional parts
    folder = settings.data / "space" / "kepler"
    quarter = open_survey(folder / "kplr009579641-2010174085026_llc.fits").read()
    quarter = FlagBad().transform(SurveyFlags().transform(quarter))
    with open_survey(settings.data / "crts_south.parquet", ColumnNames(period="period")) as source:
        survey = source.read()
    train = np.flatnonzero(survey.objects["split"] == "train")
    stars = FlagBad().transform(
        survey.take(np.sort(np.random.default_rng(2).permutation(train)[:100]))
    )
    rows = table_kept("Kepler Q5", quarter, 0.5)
    rows += table_kept("Catalina, 100 stars", stars, 60.0)
    print(f"\n{'peer':44s}{'astroprep':>12s} {'peer':>12s} {'ratio':>13s}")
    usable = quarter.usable
    rows += against_filter(usable.value)
    rows += against_spline(usable.time, usable.value, usable.error)
    rows += against_bins(quarter)
    rows += against_dbscan(stars)
    rows += table_eclipses(survey)
    rows += table_errors(survey)
    record("clean_noise", rows, settings.out, repeats=REPEATS)


if __name__ == "__main__":
    main()

"""Damped walks and power laws injected into real cadences: bias, coverage, time a curve.

    python benchmarks/features_structure.py --data DATA/ [--out FILE]

Cadences and error bars are those of real stars of CRTS, ASAS and OGLE (LMC); the values are
simulated from them. Of each survey 200 walks for each ratio of τ to the baseline, σ twice the
median error (seed 20261125; nothing was tuned on these). Reported: median bias of the posterior
median in dex, its scatter, the share of truths inside the 68 % limits, how the statuses fell. Then
power laws (fractional Brownian motion) on the same cadences; the time a curve against the same
likelihood by Cholesky factors (scipy, one evaluation, compared in value) and against the list of
all pairs (numpy, compared in value); and long-period variables of ASAS against its other classes.
"""

from __future__ import annotations

import argparse
import os
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record
from scipy.linalg import cho_factor, cho_solve

from astroprep.data import LightCurveBatch
from astroprep.features import (
    fit_power_law,
    fit_random_walk,
    random_walk_log_likelihood,
    simulate_random_walk,
    structure_function,
)

SEED = 20261125
RATIOS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
GAMMAS = (0.2, 0.4, 0.6)
N_CURVES, N_LAWS = 200, 100
LEAST, MOST = 60, 1000  # points of a cadence
REPEATS = 5
Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def cadences(path: Path, rng: np.random.Generator, survey: str = "") -> list[Curve]:
    """Times, values and errors of random stars with good errors and enough points."""
    table = pq.read_table(path)
    if survey:
        names = np.array([str(x) for x in table["survey"].to_pylist()])
        table = table.filter([survey in name for name in names])
    found: list[Curve] = []
    for row in rng.permutation(table.num_rows):
        curve = table["lightcurve"][int(row)].as_py()
        t, m, e = (np.array(curve[name], np.float64) for name in ("time", "mag", "mag_err"))
        good = np.isfinite(t) & np.isfinite(m) & np.isfinite(e) & (e > 0) & (t > -1e5)
        order = np.argsort(t[good], kind="stable")
        if LEAST <= order.size <= MOST and np.ptp(t[good]) > 300:
            found.append((t[good][order], m[good][order], e[good][order]))
        if len(found) == N_CURVES:
            break
    return found


def walks(survey: str, stars: list[Curve], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Inject walks of each ratio of τ to the baseline and fit them."""
    rows = []
    for ratio in RATIOS:
        curves, truth, hats = [], [], []
        for t, _, e in stars:
            tau, sigma = ratio * (t[-1] - t[0]), 2 * np.median(e)
            curves.append((t, simulate_random_walk(t, tau, sigma, rng) + rng.normal(0, e), e))
            truth.append(np.log10([tau, sigma]))
            hats.append(np.log10(sigma * np.sqrt(2 / tau)))
        fit = fit_random_walk(LightCurveBatch.from_curves(curves))
        true = np.array(truth)
        row: dict[str, Any] = {"part": "walk", "survey": survey, "tau_over_baseline": ratio}
        for name, wanted in (
            ("tau", true[:, 0]),
            ("sigma", true[:, 1]),
            ("sigma_hat", np.array(hats)),
        ):
            middle, low, high = (
                getattr(fit, f"log10_{name}{end}") for end in ("", "_low", "_high")
            )
            row[f"{name}_bias"] = float(np.median(middle - wanted))
            row[f"{name}_scatter"] = float(
                0.5 * np.ptp(np.quantile(middle - wanted, [0.159, 0.841]))
            )
            row[f"{name}_coverage"] = float(np.mean((low < wanted) & (wanted < high)))
        for word in ("ok", "long", "short", "noise"):
            row[word] = float(np.mean(fit.status == word))
        rows.append(row)
        print(
            f"{survey:6} tau/T {ratio:<6g} tau {row['tau_bias']:+.3f} ± {row['tau_scatter']:.2f} "
            f"in {row['tau_coverage']:.2f} | sigma {row['sigma_bias']:+.3f} in "
            f"{row['sigma_coverage']:.2f} | sigma_hat {row['sigma_hat_bias']:+.3f} in "
            f"{row['sigma_hat_coverage']:.2f} | ok {row['ok']:.2f} long {row['long']:.2f} "
            f"short {row['short']:.2f} noise {row['noise']:.2f}"
        )
    return rows


def laws(survey: str, stars: list[Curve], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Inject power laws whose amplitude at a year is three times the median error."""
    rows = []
    for gamma in GAMMAS:
        curves, amplitudes = [], []
        for t, _, e in stars[:N_LAWS]:
            year = (t - t[0]) / 365.25
            lag = np.abs(year[:, None] - year) ** (2 * gamma)
            cov = 0.5 * (year[:, None] ** (2 * gamma) + year ** (2 * gamma) - lag)
            scale, root = np.linalg.eigh(cov)
            x = root @ (np.sqrt(np.maximum(scale, 0)) * rng.standard_normal(t.size))
            amplitudes.append(3 * np.median(e))
            curves.append((t, amplitudes[-1] * x + rng.normal(0, e), e))
        fit = fit_power_law(LightCurveBatch.from_curves(curves))
        relative = fit.amplitude / np.array(amplitudes)
        spread = fit.amplitude_error / np.array(amplitudes)
        row = {
            "part": "power law",
            "survey": survey,
            "gamma": gamma,
            "gamma_bias": float(np.mean(fit.gamma - gamma)),
            "gamma_scatter": float(np.std(fit.gamma)),
            "gamma_error": float(np.median(fit.gamma_error)),
            "gamma_coverage": float(np.mean(np.abs(fit.gamma - gamma) < fit.gamma_error)),
            "amplitude_ratio": float(np.median(relative)),
            "amplitude_coverage": float(np.mean(np.abs(relative - 1) < spread)),
        }
        rows.append(row)
        print(
            f"{survey:6} gamma {gamma} {row['gamma_bias']:+.3f} ± {row['gamma_scatter']:.3f}, "
            f"errors {row['gamma_error']:.3f}, in {row['gamma_coverage']:.2f} | A x "
            f"{row['amplitude_ratio']:.3f} in {row['amplitude_coverage']:.2f}"
        )
    return rows


def fastest(run: Callable[[], object]) -> float:
    """Least seconds of several runs."""
    run()
    seconds = []
    for _ in range(REPEATS):
        begin = clock.perf_counter()
        run()
        seconds.append(clock.perf_counter() - begin)
    return min(seconds)


def dense(t: NDArray[np.float64], m: NDArray[np.float64], e: NDArray[np.float64]) -> float:
    """The likelihood of a walk by Cholesky factors, mean marginalised."""
    cov = 0.04 * np.exp(-np.abs(t[:, None] - t) / 100.0)
    cov[np.diag_indices(t.size)] += e**2
    factor = cho_factor(cov, lower=True, overwrite_a=True, check_finite=False)
    ones = np.ones(t.size)
    solved = cho_solve(factor, np.column_stack([m, ones]), check_finite=False)
    info, cross = ones @ solved[:, 1], ones @ solved[:, 0]
    log_det = 2 * np.log(np.diag(factor[0])).sum() + np.log(info)
    chi2 = m @ solved[:, 0] - cross**2 / info
    return float(-0.5 * (chi2 + log_det + (t.size - 1) * np.log(2 * np.pi)))


def pairs(curve: Curve, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean-square structure function from the list of all pairs."""
    t, m, e = curve
    i, j = np.triu_indices(t.size, 1)
    where = np.digitize(t[j] - t[i], edges) - 1
    inside = (where >= 0) & (where < edges.size - 1)
    d = (m[j] - m[i]) ** 2 - e[i] ** 2 - e[j] ** 2
    size = edges.size - 1
    counts = np.bincount(where[inside], minlength=size)
    sums = np.bincount(where[inside], d[inside], minlength=size)
    return np.where(counts >= 10, sums / np.maximum(counts, 1), np.nan)


def speed(stars: list[Curve]) -> list[dict[str, Any]]:
    """Milliseconds a curve, and the same values from slower ways."""
    some = stars[:50]
    batch = LightCurveBatch.from_curves(some)
    edges = np.geomspace(0.01, 1e4, 19)
    given = [(t, m - m.mean(), e) for t, m, e in some]
    ours = np.array([random_walk_log_likelihood(*c, 100.0, 0.2) for c in given])
    dense_gap = float(np.max(np.abs(ours - [dense(*c) for c in given]) / np.abs(ours)))
    mine = structure_function(batch, edges).squared
    listed = np.array([pairs(c, edges) for c in some])
    scale = np.array([np.ptp(m) ** 2 for _, m, _ in some])[:, None]
    pair_gap = float(np.nanmax(np.abs(mine - listed) / scale))
    row = {
        "part": "speed",
        "points_median": float(np.median(batch.usable.counts())),
        "walk_ms": fastest(lambda: fit_random_walk(batch)) / 50 * 1e3,
        "power_law_ms": fastest(lambda: fit_power_law(batch)) / 50 * 1e3,
        "bins_ms": fastest(lambda: structure_function(batch, edges)) / 50 * 1e3,
        "dense_one_likelihood_ms": fastest(lambda: [dense(*c) for c in given]) / 50 * 1e3,
        "list_of_pairs_ms": fastest(lambda: [pairs(c, edges) for c in some]) / 50 * 1e3,
        "largest_difference_likelihood": dense_gap,
        "largest_difference_structure": pair_gap,
    }
    print(
        f"one curve of {row['points_median']:.0f} points: whole posterior {row['walk_ms']:.2f} ms "
        f"(one dense likelihood {row['dense_one_likelihood_ms']:.2f} ms, differs by "
        f"{dense_gap:.0e}); power law {row['power_law_ms']:.2f} ms; bins with jackknife "
        f"{row['bins_ms']:.3f} ms (list of pairs without it {row['list_of_pairs_ms']:.2f} ms, "
        f"differs by {pair_gap:.0e})"
    )
    return [row]


def real_stars(path: Path) -> list[dict[str, Any]]:
    """What the fits say of real classes: long-period variables should be slow and strong."""
    table = pq.read_table(path)
    labels = np.array([str(x) for x in table["label"].to_pylist()])
    rows = []
    for label in np.unique(labels):
        chosen = []
        for row in np.flatnonzero(labels == label)[:150]:
            curve = table["lightcurve"][int(row)].as_py()
            columns = tuple(np.array(curve[x], np.float64) for x in ("time", "mag", "mag_err"))
            if columns[0].size >= LEAST and (columns[2] > 0).all():
                chosen.append(columns)
        if len(chosen) < 20:
            continue
        batch = LightCurveBatch.from_curves(chosen)
        walk, law = fit_random_walk(batch), fit_power_law(batch)
        row_out = {
            "part": "real",
            "label": str(label),
            "n": len(chosen),
            "log10_tau": float(np.nanmedian(walk.log10_tau)),
            "log10_sigma": float(np.nanmedian(walk.log10_sigma)),
            "gamma": float(np.nanmedian(law.gamma)),
            "amplitude": float(np.nanmedian(law.amplitude)),
            **{word: float(np.mean(walk.status == word)) for word in ("ok", "short", "noise")},
        }
        rows.append(row_out)
        print(
            f"ASAS {label:30} {len(chosen):4} stars: log tau {row_out['log10_tau']:+.2f}, "
            f"log sigma {row_out['log10_sigma']:+.2f}, gamma {row_out['gamma']:.2f}, A "
            f"{row_out['amplitude']:.2f}; ok {row_out['ok']:.2f} short {row_out['short']:.2f} "
            f"noise {row_out['noise']:.2f}"
        )
    return rows


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(SEED)
    surveys = {
        "CRTS": cadences(given.data / "crts_south.parquet", rng),
        "ASAS": cadences(given.data / "asas_south.parquet", rng),
        "OGLE": cadences(given.data / "lmc_cepheids_multisurvey.parquet", rng, "OGLE"),
    }
    rows: list[dict[str, Any]] = []
    for name, stars in surveys.items():
        counts = [t.size for t, _, _ in stars]
        print(f"{name}: {len(stars)} cadences of {min(counts)} to {max(counts)} points")
        rows += walks(name, stars, rng)
    for name, stars in surveys.items():
        rows += laws(name, stars, rng)
    rows += speed(surveys["CRTS"])
    rows += real_stars(given.data / "asas_south.parquet")
    record("features_structure", rows, given.out, seed=SEED, curves=N_CURVES, law_curves=N_LAWS)


if __name__ == "__main__":
    main()

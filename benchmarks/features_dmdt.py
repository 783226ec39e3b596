"""dm-dt images against the light-curve package: time a pair, and the images compared.

    python benchmarks/features_dmdt.py [--repeats 5] [--out FILE]

One core for both, the same light curves, the same edges (`dmdt_edges`, which light-curve takes as
they are). Points are counted, then spread by their Gaussian errors; light-curve's faster way of
spreading (``approx_erf``) is measured beside the exact one. A curve of 20,000 points, 2e8 pairs, is
counted whole and as a sample of 2e6 pairs.
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
from record import record

from astroprep.represent import dmdt_counts, dmdt_edges

SIZES = {30: 1000, 100: 200, 300: 30, 1000: 3}  # points: curves
LONG = 20_000
NO_BOUND = 1 << 40


def fastest(*runs: Callable[[], Any], repeats: int) -> list[float]:
    """Shortest time of each, seconds, taken in turns so that other work disturbs all alike."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def measure(n_points: int, n_curves: int, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    rng = np.random.default_rng(n_points)
    day = np.sort(rng.uniform(0, 2900, (n_curves, n_points)), axis=1)
    mag, error = rng.normal(15, 0.3, day.shape), rng.uniform(0.02, 0.1, day.shape)
    offsets = np.arange(n_curves + 1) * n_points
    dt, dm = dmdt_edges()
    kind = {"dt_type": "asis", "dm_type": "asis", "n_jobs": 1}
    peer, rough = lc.DmDt(dt, dm, **kind), lc.DmDt(dt, dm, approx_erf=True, **kind)
    curves = list(zip(day, mag, error, strict=True))

    def ours(spread: bool) -> Any:
        return dmdt_counts(
            day.ravel(),
            mag.ravel(),
            offsets,
            dt,
            dm,
            error=error.ravel() if spread else None,
            max_pairs=NO_BOUND,
        ).counts

    def theirs() -> Any:
        return peer.points_many([curve[:2] for curve in curves], sorted=True)

    points = float(np.abs(ours(False) - theirs()).max())
    exact = peer.gausses_many(curves, sorted=True)
    spread = float(np.abs(ours(True) - exact).max())
    approximate = float(np.abs(rough.gausses_many(curves, sorted=True) - exact).max())
    pairs = n_curves * n_points * (n_points - 1) / 2
    taken = fastest(
        lambda: ours(False),
        theirs,
        lambda: ours(True),
        lambda: peer.gausses_many(curves, sorted=True),
        lambda: rough.gausses_many(curves, sorted=True),
        repeats=repeats,
    )
    here, there, smooth, smooth_there, rough_there = (seconds / pairs * 1e9 for seconds in taken)
    return {
        "what": f"{n_points:,} points, one core",
        "claim": f"a pair in {here:.1f} ns, light-curve {lc.__version__} {there:.1f} ns: "
        f"{there / here:.1f} times as fast; spread by errors {smooth:.0f} ns against "
        f"{smooth_there:.0f} ns: {smooth_there / smooth:.1f} times, against approx_erf "
        f"{rough_there:.0f} ns: {rough_there / smooth:.1f} times",
        "points": n_points,
        "pair_ns": round(here, 2),
        "light_curve_pair_ns": round(there, 2),
        "ratio": round(there / here, 2),
        "spread_pair_ns": round(smooth, 2),
        "light_curve_spread_pair_ns": round(smooth_there, 2),
        "spread_ratio": round(smooth_there / smooth, 2),
        "light_curve_approx_erf_pair_ns": round(rough_there, 2),
        "approx_erf_ratio": round(rough_there / smooth, 2),
        "largest_difference": points,
        "spread_largest_difference": spread,
        "approx_erf_largest_difference": approximate,
    }


def long_curve(repeats: int) -> dict[str, Any]:
    """A curve of 2e8 pairs, whole and sampled."""
    rng = np.random.default_rng(LONG)
    day = np.sort(rng.uniform(0, 2900, LONG))
    mag = rng.normal(15, 0.3, LONG)
    dt, dm = dmdt_edges()
    offsets = np.array([0, LONG])

    def whole() -> Any:
        return dmdt_counts(day, mag, offsets, dt, dm, max_pairs=NO_BOUND)

    def sampled() -> Any:
        return dmdt_counts(day, mag, offsets, dt, dm)

    full, part = whole(), sampled()
    full_seconds, part_seconds = fastest(whole, sampled, repeats=repeats)
    share = np.maximum(full.pairs, 1)[..., None]
    off = float(np.abs(full.counts / share - part.counts / share).max())
    return {
        "what": f"{LONG:,} points, one core",
        "claim": f"all {full.looked_at.sum():.1e} pairs in {full_seconds:.2f} s, a sample of "
        f"{part.looked_at.sum():.1e} in {part_seconds:.2f} s; conditional images within {off:.4f}",
        "points": LONG,
        "whole_seconds": round(full_seconds, 3),
        "sampled_seconds": round(part_seconds, 3),
        "ratio": round(full_seconds / part_seconds, 2),
        "same_pairs": bool((full.pairs == part.pairs).all()),
        "largest_difference_of_conditional": off,
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=5, help="the shortest time counts")
    arguments = parser.parse_args()
    out, repeats = arguments.out, arguments.repeats
    warnings.simplefilter("ignore")  # light-curve warns of its own experimental parts
    rows = [measure(n_points, n_curves, repeats) for n_points, n_curves in SIZES.items()]
    rows.append(long_curve(repeats))
    for row in rows:
        print(f"{row['what']}: {row['claim']}")
    for row in rows[:-1]:
        print(
            f"{row['points']} points: largest difference of a bin {row['largest_difference']:.0e}, "
            f"spread {row['spread_largest_difference']:.0e} "
            f"(approx_erf {row['approx_erf_largest_difference']:.0e})"
        )
    print(record("features_dmdt", rows, out, bins=[24, 24], repeats=repeats))


if __name__ == "__main__":
    main()

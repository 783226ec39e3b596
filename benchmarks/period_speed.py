"""Periodograms per second beside nifty-ls and astropy: same frequencies, one thread, same results.

``python benchmarks/period_speed.py --points 300 --frequencies 120000``. Each package gets the same
batch of curves and one thread (set ``OMP_NUM_THREADS=1``); best of three runs. Agreement is
measured against exact float64 power at sampled frequencies and at the peaks of both.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.timeseries import LombScargle
from numpy.typing import NDArray
from record import record

from astroprep.period import FrequencyGrid, power_ragged, search
from astroprep.period.exact import harmonic_power, standardise
from astroprep.period.grid import GridRule

RUNS = 3
SAMPLED = 500  # frequencies at which the exact power is compared

Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def simulate(n_curves: int, n_points: int, baseline: float, nightly: bool) -> list[Curve]:
    """Noisy sines on uniform times, or four visits a night."""
    rng = np.random.default_rng(n_points)
    curves = []
    for _ in range(n_curves):
        if nightly:
            night = np.repeat(np.floor(rng.uniform(0, baseline, n_points // 4 + 1)), 4)[:n_points]
            t = np.sort(night + 0.3 + 0.1 * rng.normal(size=n_points))
        else:
            t = np.sort(rng.uniform(0, baseline, n_points))
        t = (t - t[0]) * baseline / (t[-1] - t[0])
        e = rng.uniform(0.02, 0.1, n_points)
        v = 0.1 * np.sin(2 * np.pi * t / rng.uniform(0.1, 5)) + e * rng.normal(size=n_points)
        curves.append((t, v, e))
    return curves


def best_time(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure(
    n_curves: int, n_points: int, n_frequencies: int, nightly: bool, n_harmonics: int
) -> dict[str, Any]:
    """One row: milliseconds per curve of each package, and how far the powers are apart."""
    import nifty_ls

    if n_harmonics > 1:
        n_curves = max(1, n_curves // 8)  # the peer takes a tenth of a second for each

    baseline = n_frequencies / (5 * 24.0)
    curves = simulate(n_curves, n_points, baseline, nightly)
    grid = FrequencyGrid(10 / (5 * baseline), 1 / (5 * baseline), n_frequencies)
    flat = [np.concatenate(part) for part in zip(*curves, strict=True)]
    offsets = np.arange(n_curves + 1) * n_points

    def mine() -> NDArray[np.float32]:
        return power_ragged(*flat, offsets, grid, n_harmonics=n_harmonics, jobs=1)

    ours = mine()

    def nifty(curve: Curve) -> NDArray[np.float64]:
        found = nifty_ls.lombscargle(
            *curve,
            fmin=grid.start,
            fmax=grid.stop,
            Nf=grid.size,
            nthreads=1,
            nterms=n_harmonics,
        )
        return np.asarray(found.power)

    def astropy_fast(curve: Curve) -> NDArray[np.float64]:
        peer = LombScargle(*curve, nterms=n_harmonics)
        method = "fast" if n_harmonics == 1 else "fastchi2"
        return np.asarray(
            peer.power(grid.frequencies, method=method, assume_regular_frequency=True)
        )

    seconds = {
        "astroprep": best_time(mine) / n_curves,
        "nifty_ls": best_time(lambda: [nifty(c) for c in curves]) / n_curves,
    }
    if n_harmonics == 1:
        rule = GridRule(max_frequency=grid.stop)
        whole = best_time(lambda: search(*flat, offsets, grid=rule, jobs=1))
        seconds["astroprep_search"] = whole / n_curves
        seconds["astropy_fast"] = best_time(lambda: astropy_fast(curves[0]))
    else:  # several seconds each
        begin = time.perf_counter()
        astropy_fast(curves[0])
        seconds["astropy_fast"] = time.perf_counter() - begin

    peer = [nifty(c) for c in curves]
    rng = np.random.default_rng(0)
    apart, at_peak = 0.0, 0.0
    for i, curve in enumerate(curves):
        centred, weight, weighted, _ = standardise(*curve)
        top = np.array([np.argmax(ours[i]), np.argmax(peer[i])])
        place = np.concatenate((top, rng.integers(0, grid.size, SAMPLED)))
        exact = harmonic_power(centred, weight, weighted, grid.frequencies[place], n_harmonics)
        gap = np.abs(ours[i][place] - exact)
        apart = max(apart, float(gap.max()))
        at_peak = max(at_peak, float(gap[0]))
    return {
        "points": n_points,
        "frequencies": n_frequencies,
        "harmonics": n_harmonics,
        "curves": n_curves,
        "sampling": "nightly" if nightly else "uniform",
        **{f"{name}_ms": round(value * 1e3, 3) for name, value in seconds.items()},
        "ratio_nifty_ls": round(seconds["nifty_ls"] / seconds["astroprep"], 2),
        "ratio_astropy_fast": round(seconds["astropy_fast"] / seconds["astroprep"], 1),
        "same_highest_peak": round(
            float(np.mean([np.argmax(a) == np.argmax(b) for a, b in zip(ours, peer, strict=True)])),
            4,
        ),
        "largest_difference": float(f"{apart:.2g}"),
        "largest_difference_at_peak": float(f"{at_peak:.2g}"),
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=64)
    parser.add_argument("--points", type=int, nargs="+", default=[30, 100, 300, 1000, 4000])
    parser.add_argument("--frequencies", type=int, nargs="+", default=[120_000, 480_000])
    parser.add_argument("--harmonics", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    for n_harmonics in args.harmonics:
        # more than one harmonic: the smaller grid only, or the peers take an hour
        for n_frequencies in args.frequencies if n_harmonics == 1 else args.frequencies[:1]:
            for n_points, nightly in itertools.product(args.points, (False, True)):
                row = measure(args.curves, n_points, n_frequencies, nightly, n_harmonics)
                rows.append(row)
                print(
                    f"{row['points']} points, {row['frequencies']} frequencies, {row['sampling']}, "
                    f"{row['harmonics']} harmonics: {row['astroprep_ms']} ms a curve, "
                    f"nifty-ls {row['nifty_ls_ms']} ms "
                    f"({row['ratio_nifty_ls']} times), astropy fast {row['astropy_fast_ms']} ms "
                    f"({row['ratio_astropy_fast']} times); same highest peak "
                    f"{row['same_highest_peak']:.0%}, power within {row['largest_difference']}"
                )
    print(f"written to {record('period_speed', rows, args.out)}")


if __name__ == "__main__":
    main()

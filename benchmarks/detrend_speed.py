"""Moving averages against wotan and lightkurve: time per curve on one core, and differences.

    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/detrend_speed.py --data DATA/

Simulated curves of two kinds: half-hour cadence, 2,000 points, and two-minute cadence, 20,000
points, a window of 0.75 d, with rotation, transits and flares. astroprep runs on 1,000 curves
(of the long ones, ten times on the same 100, to spare memory); the others, which take one curve
a call, on the first twenty, and their time per curve is given. Both sides alternate, and the
fastest of the repeats counts. Times are processor times of one thread. wotan makes no error of
the trend, so that astroprep is timed without and with it, and as the whole step from batch to
batch. lightkurve's ``flatten`` is another method for the same purpose (a Savitzky-Golay filter
with clipping), over as many cadences as the window holds.

With ``--data`` the same averages are compared on the Kepler, K2 and TESS curves there.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np
import wotan
from astropy.io import fits
from record import record

from astroprep.data import LightCurveBatch, Meta
from astroprep.detrend import MovingTrend
from astroprep.detrend.average import AVERAGES, moving_average

WINDOW = 0.75  # days; three times a transit of six hours
KINDS = {"30 min": (2_000, 1 / 48), "2 min": (20_000, 2 / 1440)}
NO_WEIGHT = np.empty(0)


def simulate(n_curves: int, n: int, cadence: float, seed: int) -> LightCurveBatch:
    """Rotating stars with transits and flares, noise of 300 ppm, in flux units of 1."""
    rng = np.random.default_rng(seed)
    at = np.arange(n) * cadence
    curves = []
    for _ in range(n_curves):
        flux = 1 + 0.003 * np.sin(2 * np.pi * at / rng.uniform(2, 20) + rng.uniform(0, 6))
        flux += rng.normal(0, 3e-4, n)
        flux[(at + rng.uniform(0, 10)) % rng.uniform(3, 12) < 0.15] -= rng.uniform(1e-4, 1e-2)
        for start in rng.uniform(0, at[-1], 5):
            late = at - start
            flux += np.where(late > 0, rng.exponential(3e-3) * np.exp(-np.abs(late) / 0.03), 0.0)
        curves.append((at, flux, np.full(n, 3e-4)))
    meta = Meta(quantity="flux", unit="relative")
    return LightCurveBatch.from_curves(curves, meta=meta)


def curve(batch: LightCurveBatch, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and fluxes of one curve, for those who take one."""
    part = slice(batch.offsets[i], batch.offsets[i + 1])
    return np.array(batch.time[part]), np.array(batch.value[part])


def ours(batch: LightCurveBatch, average: str, with_error: bool) -> np.ndarray:
    """Trends of all curves of a batch."""
    return moving_average(
        batch.time, batch.offsets, batch.time, batch.value, NO_WEIGHT, batch.offsets,
        AVERAGES[average], WINDOW, WINDOW / 2, 0.0, 1, 5.0, with_error,
    )[0]  # fmt: skip


def by_wotan(at: np.ndarray, flux: np.ndarray, average: str) -> np.ndarray:
    """Trend of one curve, with the same window and gaps."""
    _, trend = wotan.flatten(
        at, flux, method=average, window_length=WINDOW, break_tolerance=WINDOW / 2,
        edge_cutoff=0, return_trend=True,
    )  # fmt: skip
    return trend


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def race(works: dict[str, tuple[Callable[[], Any], int]], repeats: int) -> dict[str, float]:
    """Microseconds a curve of each, alternating; the fastest of the repeats."""
    best = dict.fromkeys(works, np.inf)
    for _ in range(repeats):
        for name, (work, n_curves) in works.items():
            best[name] = min(best[name], 1e6 * seconds(work) / n_curves)
    return best


def measure(kind: str, n_curves: int, n_peer: int, repeats: int, seed: int) -> list[dict[str, Any]]:
    """Times and differences of all averages on curves of one kind."""
    import lightkurve

    n, cadence = KINDS[kind]
    size = max(1, min(n_curves, 2_000_000 // n))
    rounds = max(1, n_curves // size)
    total = size * rounds
    batches = [simulate(size, n, cadence, seed)] * rounds
    few = [curve(batches[0], i) for i in range(min(n_peer, size))]
    objects = [lightkurve.LightCurve(time=at, flux=flux) for at, flux in few]
    odd = 2 * int(WINDOW / cadence / 2) + 1
    _ = batches[0].usable  # sorted points, kept with the batch; timed with the step below
    rows = []
    for average in AVERAGES:
        step = MovingTrend(average=average, window=WINDOW, min_points=1)
        works: dict[str, tuple[Callable[[], Any], int]] = {
            "trend": (lambda a=average: [ours(b, a, False) for b in batches], total),
            "trend and error": (
                lambda a=average: [ours(b, a, True) for b in batches],
                size * rounds,
            ),
            "step": (
                lambda s=step: s.transform(batches[0].with_columns(time=batches[0].time)),
                size,
            ),
            "wotan": (lambda a=average: [by_wotan(t, f, a) for t, f in few], len(few)),
        }
        if average == "biweight":
            works["lightkurve"] = (
                lambda: [c.flatten(window_length=odd, return_trend=True) for c in objects],
                len(few),
            )
        race({"warm up": (lambda w=works: [w[k][0]() for k in ("step", "wotan")], 1)}, 1)
        best = race(works, repeats)
        found = [ours(batches[0][i], average, False) for i in range(len(few))]
        apart = max(
            float(np.max(np.abs(mine - by_wotan(*peer, average))))
            for mine, peer in zip(found, few, strict=True)
        )
        row = {"kind": kind, "points": n, "average": average, "difference": apart}
        row |= {f"us_{name.replace(' ', '_')}": value for name, value in best.items()}
        row["wotan_over_trend"] = best["wotan"] / best["trend"]
        row["wotan_over_trend_and_error"] = best["wotan"] / best["trend and error"]
        if "lightkurve" in best:
            row["lightkurve_over_step"] = best["lightkurve"] / best["step"]
        rows.append(row)
    return rows


def real(folder: Path) -> list[dict[str, Any]]:
    """Largest difference from wotan on real curves, in units of their point-to-point noise."""
    rows = []
    for mission, quality in (("kepler", "SAP_QUALITY"), ("k2", "SAP_QUALITY"), ("tess", "QUALITY")):
        apart, n_curves, n_points = dict.fromkeys(AVERAGES, 0.0), 0, 0
        for path in sorted((folder / "space" / mission).glob("*lc.fits")):
            with fits.open(path) as file:
                table = file[1].data
                for name in ("SAP_FLUX", "PDCSAP_FLUX"):
                    at, flux = (np.asarray(table[c], np.float64) for c in ("TIME", name))
                    good = (table[quality] == 0) & np.isfinite(at) & np.isfinite(flux)
                    if good.sum() < 100:
                        continue
                    at, flux = at[good], flux[good] / np.median(flux[good])
                    noise = 1.4826 * np.median(np.abs(np.diff(flux))) / np.sqrt(2)
                    batch = LightCurveBatch.from_curves([(at, flux, None)])
                    for average in AVERAGES:
                        off = np.abs(ours(batch, average, False) - by_wotan(at, flux, average))
                        apart[average] = max(apart[average], float(off.max() / noise))
                    n_curves, n_points = n_curves + 1, n_points + at.size
        rows.append({"mission": mission, "curves": n_curves, "points": n_points, **apart})
    return rows


def main() -> None:
    """Measure, print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of real surveys; left out without")
    parser.add_argument("--curves", type=int, default=1000)
    parser.add_argument("--peer-curves", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--out")
    given = parser.parse_args()
    numba.set_num_threads(1)
    warnings.filterwarnings("ignore", module="lightkurve")
    rows: list[dict[str, Any]] = []
    print(
        "cadence   points  average    trend   +error     step    wotan  "
        "wotan/trend  wotan/+error  difference   (us a curve)"
    )
    for kind in KINDS:
        for row in measure(kind, given.curves, given.peer_curves, given.repeats, given.seed):
            rows.append(row)
            print(
                f"{kind:8s} {row['points']:7,d}  {row['average']:8s} {row['us_trend']:7.1f}  "
                f"{row['us_trend_and_error']:7.1f}  {row['us_step']:7.1f}  {row['us_wotan']:7.1f}  "
                f"{row['wotan_over_trend']:11.2f}  {row['wotan_over_trend_and_error']:12.2f}  "
                f"{row['difference']:10.1e}",
                flush=True,
            )
            if "us_lightkurve" in row:
                print(
                    f"{'':17s}  lightkurve flatten {row['us_lightkurve']:.0f} us, "
                    f"{row['lightkurve_over_step']:.1f} times the step"
                )
    differences = real(Path(given.data)) if given.data else []
    for row in differences:
        print(
            f"{row['mission']:7s} {row['curves']} curves, {row['points']:,} points, largest "
            "difference in noise of a point: "
            + ", ".join(f"{average} {row[average]:.1e}" for average in AVERAGES)
        )
    path = record(
        "detrend_speed", rows, given.out, seed=given.seed, curves=given.curves,
        peer_curves=given.peer_curves, window=WINDOW, real=differences,
        versions={name: version(name) for name in ("wotan", "lightkurve", "numba")},
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

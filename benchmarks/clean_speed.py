"""Time of clipping against astropy and lightkurve, and of what they do not have.

    python benchmarks/clean_speed.py [--out FILE]

One thread for all. 1,000 curves, every one another, in batches of a million points; the peers,
which take one curve at a time, are timed on the first of them, as many as stated. Plain clipping
(`SigmaClip` with ``support=0`` and the standard deviation) is the same method as astropy's
`sigma_clip` and lightkurve's `remove_outliers`, and the masks must be equal; `SigmaClip` as it
comes and `OutlierMixture` are other methods, which keep events, and their time is given beside.
astropy is called as a user would on a plain array, lightkurve on a `LightCurve` that is there.
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

import lightkurve
import numpy as np
from astropy.stats import sigma_clip
from record import record

from astroprep.clean import OutlierMixture, SigmaClip
from astroprep.data import LightCurveBatch, Meta, PointFlag

N_CURVES = 1000
BATCH_POINTS = 1_000_000
PEER_CURVES = {2000: 60, 20_000: 20}
REPEATS = {2000: 5, 20_000: 2}
SIGMA = 5.0  # default of remove_outliers


def curves(n_points: int) -> list[LightCurveBatch]:
    """White noise of two-minute cadence with 0.3 % of strays."""
    rng = np.random.default_rng(n_points)
    n_curves = BATCH_POINTS // n_points
    day = np.tile(np.arange(n_points) / 720, n_curves)
    error, offsets = np.full(day.size, 1e-3), np.arange(0, day.size + 1, n_points)
    meta, batches = Meta(quantity="flux", unit=""), []
    for _ in range(N_CURVES // n_curves):
        flux = rng.normal(1.0, 1e-3, day.size)
        stray = rng.random(day.size) < 0.003
        flux[stray] += rng.choice([-1, 1], stray.sum()) * rng.uniform(5e-3, 0.1, stray.sum())
        batches.append(
            LightCurveBatch(time=day, value=flux, error=error, offsets=offsets, meta=meta)
        )
    return batches


def fastest(repeats: int, *runs: Callable[[], Any]) -> list[float]:
    """Shortest time of each, seconds, taken in turns so that other work disturbs all alike."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def measure(n_points: int) -> dict[str, Any]:
    """One row of the table."""
    batches = curves(n_points)
    batch = batches[0]
    n_peer = PEER_CURVES[n_points]
    values = [batch.value[i * n_points : (i + 1) * n_points] for i in range(n_peer)]
    tables = [
        lightkurve.LightCurve(
            time=batch.time[:n_points], flux=value, flux_err=np.full(n_points, 1e-3)
        )
        for value in values
    ]
    plain = SigmaClip(bright=SIGMA, faint=SIGMA, support=0, scatter="std", max_iterations=5)
    steps = (plain, SigmaClip(), OutlierMixture())

    def astropy_peer() -> list[Any]:
        return [np.ma.getmaskarray(sigma_clip(v, sigma=SIGMA, maxiters=5)) for v in values]

    def lightkurve_peer() -> list[Any]:
        return [table.remove_outliers(sigma=SIGMA, return_mask=True)[1] for table in tables]

    def ours(step: Any) -> Callable[[], Any]:
        # a fresh batch a time: the sorting of usable points is part of the work
        return lambda: [step.transform(one.with_columns(flags=one.flags)) for one in batches]

    for step in steps:
        step.transform(batch[:2])  # compiles
    mask = plain.transform(batch).flags[: n_peer * n_points] & np.uint32(PointFlag.OUTLIER) > 0
    equal = all(
        np.array_equal(mask, np.concatenate(peer())) for peer in (astropy_peer, lightkurve_peer)
    )
    *here, astropy_s, lightkurve_s = fastest(
        REPEATS[n_points], *map(ours, steps), astropy_peer, lightkurve_peer
    )
    plain_us, clip_us, mixture_us = (seconds / N_CURVES * 1e6 for seconds in here)
    astropy_us, lightkurve_us = astropy_s / n_peer * 1e6, lightkurve_s / n_peer * 1e6
    return {
        "what": f"{N_CURVES:,} curves of {n_points:,} points, one thread",
        "claim": (
            f"plain clipping {plain_us:.0f} µs a curve, lightkurve {lightkurve_us:.0f} µs "
            f"({lightkurve_us / plain_us:.0f} times as long), astropy {astropy_us:.0f} µs "
            f"({astropy_us / plain_us:.1f} times), masks {'equal' if equal else 'NOT EQUAL'}; "
            f"SigmaClip {clip_us:.0f} µs, OutlierMixture {mixture_us:.0f} µs"
        ),
        "points": n_points,
        "curves": N_CURVES,
        "peer_curves": n_peer,
        "masks_equal": bool(equal),
        "plain_us": round(plain_us, 1),
        "sigma_clip_us": round(clip_us, 1),
        "mixture_us": round(mixture_us, 1),
        "astropy_us": round(astropy_us, 1),
        "lightkurve_us": round(lightkurve_us, 1),
        "ratio_astropy": round(astropy_us / plain_us, 2),
        "ratio_lightkurve": round(lightkurve_us / plain_us, 1),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    warnings.simplefilter("ignore")  # of lightkurve, on optional parts
    rows = [measure(n_points) for n_points in PEER_CURVES]
    for row in rows:
        print(f"{row['what']}: {row['claim']}; peers on {row['peer_curves']} curves")
    record("clean_speed", rows, out)


if __name__ == "__main__":
    main()

"""Offsets between simulated surveys whose zero points are known: pulls, coverage, a plain peer.

    python benchmarks/zero_points.py

Truth by injection: three surveys of the same stars with offsets of 0, +0.3 and -0.2 mag, honest
errors, variation beyond them, missing errors in one survey, colour terms from star to star, and
wrong links with wild points. The peer is what is written by hand most often: the median of
the differences of nearest pairs within the window, with 1.2533 times the standard error of the
differences as its error. Every seed is another field of stars; nothing was tuned on them. Times are
of one thread; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import time as clock
from typing import Any

import numba
import numpy as np
from record import record

from astroprep.data import LightCurveBatch, Meta
from astroprep.integrate import measure_zero_points

OFFSETS = np.array([0.0, 0.3, -0.2])
ERRORS = np.array([0.02, 0.01, 0.03])
WINDOW = 0.1
CASES: dict[str, dict[str, Any]] = {
    "honest errors": {},
    "variation beyond the errors": {"extra": 0.03},
    "one survey without errors": {"blank": 2},
    "colour terms of 0.05 mag": {"colour": 0.05},
    "wrong links 1 in 6, wild points 3 %": {"wrong": 6, "wild": 0.03, "colour": 0.02},
    "folded curves": {"method": "fold", "colour": 0.02},
}


def simulate(
    rng: np.random.Generator,
    stars: int,
    nights: int,
    *,
    extra: float = 0.0,
    blank: int = -1,
    colour: float = 0.0,
    wrong: int = 0,
    wild: float = 0.0,
) -> LightCurveBatch:
    """Periodic stars seen by three surveys on random nights of two years."""
    shape = (stars, 3, nights)
    period = np.exp(rng.uniform(np.log(0.5), np.log(50.0), stars))
    time = np.argsort(rng.random((stars, 3, 730)), axis=2)[:, :, :nights] + rng.uniform(
        0, 0.02, shape
    )
    phase = 2 * np.pi * time / period[:, None, None]
    mag = 15 + rng.uniform(0.1, 0.5, (stars, 1, 1)) * (np.sin(phase) + 0.3 * np.cos(2 * phase))
    shift = OFFSETS + rng.normal(0, colour, (stars, 3))
    if wrong:
        shift[::wrong, 1] += 1.5
    sigma = np.hypot(ERRORS, extra)[None, :, None]
    mag = mag + shift[:, :, None] + sigma * rng.standard_normal(shape)
    mag = np.where(rng.random(shape) < wild, mag + rng.uniform(-2, 2, shape), mag)
    error = np.broadcast_to(ERRORS[None, :, None], shape).copy()
    if blank >= 0:
        error[:, blank] = np.nan
    band = np.broadcast_to(np.arange(3)[None, :, None], shape)
    return LightCurveBatch(
        time=time.ravel(),
        value=mag.ravel(),
        error=error.ravel(),
        band=band.ravel(),
        offsets=np.arange(stars + 1) * 3 * nights,
        objects={"period": period},
        meta=Meta(bands=("a", "b", "c")),
    )


def pairs(batch: LightCurveBatch) -> tuple[np.ndarray, np.ndarray]:
    """The peer: medians of pair differences and their errors, all stars together."""
    offset, error = np.zeros(3), np.zeros(3)
    for k in (1, 2):
        found = []
        for i in range(batch.n_curves):
            part = slice(*batch.offsets[i : i + 2])
            t, v, b = batch.time[part], batch.value[part], batch.band[part]
            order = np.argsort(t[b == 0])
            first, other = t[b == 0][order], t[b == k]
            near = np.clip(np.searchsorted(first, other), 1, first.size - 1)
            near -= (other - first[near - 1]) < (first[near] - other)
            close = np.abs(first[near] - other) <= WINDOW
            found.append(v[b == k][close] - v[b == 0][order][near[close]])
        d = np.concatenate(found)
        offset[k], error[k] = np.median(d), 1.2533 * d.std() / np.sqrt(d.size)
    return offset, error


def measured(name: str, seeds: int, stars: int, nights: int) -> dict[str, Any]:
    """Pulls of one case, ours and the peer's on the same stars."""
    settings = dict(CASES[name])
    method = settings.pop("method", "epochs")
    kinds: dict[str, list[np.ndarray]] = {"field": [], "peer": []}
    off: dict[str, list[np.ndarray]] = {"field": [], "peer": []}
    spent = {"field": 0.0, "peer": 0.0}
    for seed in range(seeds):
        batch = simulate(np.random.default_rng(seed), stars, nights, **settings)
        for kind in kinds:
            start = clock.perf_counter()
            if kind == "peer":
                offset, error = pairs(batch)
            else:
                found = measure_zero_points(batch, reference="a", method=method, window=WINDOW)
                offset, error = found.offset[0], found.error[0]
            spent[kind] += clock.perf_counter() - start
            off[kind].append(offset[1:] - OFFSETS[1:])
            kinds[kind].append((offset[1:] - OFFSETS[1:]) / error[1:])
    row: dict[str, Any] = {"case": name, "seeds": seeds, "stars": stars, "nights": nights}
    for kind, pulls in kinds.items():
        z = np.concatenate(pulls)
        row[kind] = {
            "rms_pull": round(float(np.sqrt(np.mean(z**2))), 3),
            "within_1_sigma": round(float((np.abs(z) < 1).mean()), 3),
            "within_2_sigma": round(float((np.abs(z) < 2).mean()), 3),
            "rms_error_mmag": round(1e3 * float(np.sqrt(np.mean(np.square(off[kind])))), 3),
            "seconds_per_star": round(spent[kind] / seeds / stars, 6),
        }
    row["error_ratio"] = round(row["peer"]["rms_error_mmag"] / row["field"]["rms_error_mmag"], 2)
    ours, peer = row["field"], row["peer"]
    print(
        f"{name:38} pull {ours['rms_pull']:6.2f} (peer {peer['rms_pull']:6.2f})  68 %: "
        f"{ours['within_1_sigma']:.2f} ({peer['within_1_sigma']:.2f})  error "
        f"{ours['rms_error_mmag']:7.2f} mmag, peer's {row['error_ratio']} times",
        flush=True,
    )
    return row


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--stars", type=int, default=30)
    parser.add_argument("--nights", type=int, default=150)
    parser.add_argument("--out")
    options = parser.parse_args()
    numba.set_num_threads(1)
    measured("honest errors", 1, 3, 150)  # compiles
    rows = [measured(name, options.seeds, options.stars, options.nights) for name in CASES]
    record("zero_points", rows, options.out, offsets=OFFSETS.tolist(), seeds=options.seeds)


if __name__ == "__main__":
    main()

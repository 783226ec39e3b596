"""Periods of RR Lyrae stars from five bands together, beside one band and astropy's multi-band.

``python benchmarks/period_multiband.py --data DATA/`` searches the 483 RR Lyrae stars of SDSS
Stripe 82 (Sesar et al. 2010, doi:10.1088/0004-637X/708/1/717) up to 24 cycles per day, as an
unknown star would be, and between 1 and 5, as a star known to be an RR Lyrae. No constant was
fitted to them; ``--simulated N`` measures on N simulated RR Lyrae stars of that cadence instead, on
which the constants of the ranking were chosen, though half of the real stars were looked at beside
them, and where simulated stars tied the ranking by evidence was kept. The rivals take the highest
peak of the same grid: astropy's `LombScargleMultiband` (on ``--rival`` objects, it takes seconds
each) and nifty-ls on the r and g bands.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record

from astroprep.data import LightCurveBatch, Meta
from astroprep.period.grid import FrequencyGrid
from astroprep.period.multiband_search import OVERSAMPLING, RR_LYRAE
from astroprep.period.multiband_step import MultibandSearch
from astroprep.synthetic import draw_stars, magnitude

BANDS = ("u", "g", "r", "i", "z")
RANGES = ((0.0, 24.0), RR_LYRAE)  # cycles per day
TOLERANCE = 0.01
HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])
DAY = np.array([1.0, 2.0, 3.0])
SIDEREAL = 0.99726957  # days
# a drift scan takes the bands in this order, 72 seconds apart
DELAY = {"r": 0, "i": 1, "u": 2, "z": 3, "g": 4}
# of simulated stars: amplitude against g, lag in phase, colour, limiting magnitude of five sigma
AMPLITUDE = {"u": 1.0, "g": 1.0, "r": 0.71, "i": 0.57, "z": 0.52}
LAG = {"u": -0.005, "g": 0.0, "r": 0.008, "i": 0.014, "z": 0.018}
COLOUR = {"u": 1.6, "g": 0.3, "r": 0.0, "i": -0.05, "z": -0.05}
DEPTH = {"u": 22.0, "g": 23.1, "r": 22.7, "i": 22.2, "z": 20.7}
SEASONS = np.array([0.4, 0.35, 0.55, 2.0, 2.7, 3.5, 4.3, 18.0, 16.0, 9.2])  # visits, 1998 to 2007


def read(path: Path, limit: int) -> LightCurveBatch:
    """Evenly chosen stars of the survey, all bands, with their listed periods."""
    rows = pq.read_table(path).to_pylist()
    rows = rows[:: max(1, len(rows) // limit)][:limit]
    parts = [row["lightcurve"] for row in rows]
    band = [[BANDS.index(name) for name in part["band"]] for part in parts]
    return stack(
        [[np.array(part[k], float) for k in ("time", "mag", "mag_err")] for part in parts],
        band,
        np.array([row["period"] for row in rows]),
        [row["id"] for row in rows],
    )


def stack(
    columns: list[list[NDArray[np.float64]]],
    band: list[list[int]],
    truth: NDArray[np.float64],
    ids: list[str],
) -> LightCurveBatch:
    """A batch of curves given as time, magnitude and error, and the bands of their points."""
    sizes = [len(codes) for codes in band]
    return LightCurveBatch(
        time=np.concatenate([c[0] for c in columns]),
        value=np.concatenate([c[1] for c in columns]),
        error=np.concatenate([c[2] for c in columns]),
        offsets=np.concatenate(([0], np.cumsum(sizes))),
        band=np.concatenate(band).astype(np.int16),
        objects={"id": np.array(ids, dtype=object), "truth": truth},
        meta=Meta(bands=BANDS),
    )


def simulate(n: int, seed: int, share: float = 1.0) -> LightCurveBatch:
    """RR Lyrae stars with the cadence, errors, outliers and unrest of such a survey.

    A third of the RRab stars are modulated (Blazhko), catalogue errors are up to 1.6 times too
    small, 0.8 per cent of the points and 1 per cent of the visits are off, and bands differ in
    amplitude, phase and depth. `share` of the visits are kept.
    """
    rng = np.random.default_rng(seed)
    label = rng.choice(np.array(["RRab", "RRc"], dtype=object), n)
    stars = draw_stars(rng, label)
    columns, bands = [], []
    for i in range(n):
        visits = max(15, int(rng.normal(57, 9)))
        year = rng.choice(np.arange(1998, 2008), visits, p=SEASONS / SEASONS.sum())
        season = np.clip(rng.normal(0.865, 0.06, visits), 0.68, 0.96)
        night = np.unique(np.floor(51544 + (year - 2000 + season) * 365.25))
        night = night[rng.random(night.size) < share]
        transit = (np.floor(night / SIDEREAL) + rng.uniform()) * SIDEREAL
        visit = transit + rng.uniform(-0.085, 0.085, night.size)
        bright = rng.uniform(15, 20.6)
        slow, size, turn = rng.uniform(30, 120), rng.uniform(0.05, 0.25), rng.uniform(0, 2 * np.pi)
        size *= label[i] == "RRab" and rng.random() < 0.3
        spoilt = (rng.random(night.size) < 0.01) * rng.normal(0.3, 0.2)
        small = rng.uniform(1.0, 1.6)
        parts = []
        for name in BANDS:
            t = visit + DELAY[name] * 71.7 / 86400
            swing = 2 * np.pi * t / slow + turn
            late = stars.period[i] * (LAG[name] - 0.13 * size * np.sin(swing + 1))
            mag = magnitude(stars, np.full(t.size, i), t - late)
            mag *= AMPLITUDE[name] * np.exp(rng.normal(0, 0.04)) * (1 + size * np.sin(swing))
            mag += bright + COLOUR[name]
            error = np.hypot(0.007, 0.2 * 10 ** (0.4 * (mag - DEPTH[name])))
            mag += rng.normal(0, np.hypot(error * small, 0.01)) + spoilt
            off = rng.random(t.size) < 0.008
            mag += off * rng.choice([1, 1, -1], t.size) * rng.uniform(0.2, 2, t.size)
            seen = (rng.random(t.size) > 0.01) & (error < 0.5)
            codes = np.full(seen.sum(), BANDS.index(name))
            parts.append((t[seen], mag[seen], error[seen].round(3).clip(0.003), codes))
        columns.append([np.concatenate([part[k] for part in parts]) for k in range(3)])
        bands.append(np.concatenate([part[3] for part in parts]).tolist())
    return stack(columns, bands, stars.period, [str(i) for i in range(n)])


def right(
    period: NDArray[np.float64], truth: NDArray[np.float64], baseline: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Which periods are right: within 1 %, to a quarter cycle, up to harmonics; daily aliases."""
    strict = np.abs(period / truth - 1) < TOLERANCE
    cycle = np.abs(1 / period - 1 / truth) * baseline < 0.25
    harmonic = (np.abs((period / truth)[:, None] * HARMONICS - 1) < TOLERANCE).any(axis=1)
    sides = np.abs(np.concatenate([1 / truth[:, None] + DAY, 1 / truth[:, None] - DAY], axis=1))
    alias = (np.abs(sides - 1 / period[:, None]) < TOLERANCE / truth[:, None]).any(axis=1)
    return {
        "strict": strict,
        "cycle_exact": cycle,
        "harmonic": harmonic,
        "daily_alias": alias & ~harmonic,
    }


def summary(hits: dict[str, NDArray[np.bool_]]) -> dict[str, object]:
    """Rates, each with the 95 % interval of 2,000 bootstraps over the objects."""
    rng = np.random.default_rng(0)
    out: dict[str, object] = {}
    for name, hit in hits.items():
        again = hit[rng.integers(0, hit.size, (2000, hit.size))].mean(axis=1)
        low, high = np.quantile(again, [0.025, 0.975])
        out[name] = round(float(hit.mean()), 4)
        out[f"{name}_interval"] = [round(float(low), 4), round(float(high), 4)]
    return out


def grid_of(time_: NDArray[np.float64], low: float, high: float) -> FrequencyGrid:
    """The grid that `MultibandSearch` takes for these times and this range."""
    step = 1 / (OVERSAMPLING * np.ptp(time_))
    start = np.ceil(max(low / step, 2 * OVERSAMPLING) - 1e-9) * step
    return FrequencyGrid(start, step, int((high - start) / step) + 1)


def astropy_peak(part: list[NDArray[Any]], grid: FrequencyGrid) -> float:
    """Period of the highest peak of astropy's multi-band periodogram, one term for all bands."""
    from astropy.timeseries import LombScargleMultiband

    t, v, e, b = part
    found = LombScargleMultiband(t, v, b, e, nterms_base=1, nterms_band=0)
    return float(1 / grid.frequencies[np.argmax(found.power(grid.frequencies))])


def nifty_peak(band: int) -> Callable[[list[NDArray[Any]], FrequencyGrid], float]:
    """Period of the highest peak of nifty-ls in one band."""
    import nifty_ls  # type: ignore[import-untyped]

    def peak(part: list[NDArray[Any]], grid: FrequencyGrid) -> float:
        t, v, e, b = part
        use = b == band
        result = nifty_ls.lombscargle(
            t[use], v[use], e[use], fmin=grid.start, fmax=grid.stop, Nf=grid.size
        )
        return float(1 / grid.frequencies[np.argmax(result.power)])

    return peak


def measure(
    batch: LightCurveBatch, low: float, high: float
) -> tuple[list[dict[str, object]], LightCurveBatch]:
    """Run the step; rows for its choice and for the highest peak, and its result."""
    step = MultibandSearch(min_frequency=low, max_frequency=high, jobs=1)
    step.fit_transform(batch[:1])  # compiles
    begin, used = time.perf_counter(), time.process_time()
    result = step.transform(batch)
    seconds = (time.perf_counter() - begin) / len(batch)
    busy = (time.process_time() - used) / len(batch)
    truth = np.asarray(result.objects["truth"], np.float64)
    usable = result.usable
    baseline = usable.time[usable.offsets[1:] - 1] - usable.time[usable.offsets[:-1]]
    rows: list[dict[str, object]] = []
    for name, column in (("ranked", "period"), ("highest peak", "period_highest")):
        hits = right(result.objects[column], truth, baseline)
        rows.append(
            {"method": f"astroprep {name}", "range": [low, high], "objects": len(batch)}
            | summary(hits)
        )
    rows[0] |= {
        "mean_confidence": round(float(result.objects["period_confidence"].mean()), 4),
        "seconds_per_object": round(seconds, 4),
        "cpu_seconds_per_object": round(busy, 4),
    }
    return rows, result


def rivals(batch: LightCurveBatch, low: float, high: float, count: int) -> list[dict[str, object]]:
    """The same for the highest peaks of other packages, the slow one on fewer objects."""
    usable = batch.usable
    assert usable.band is not None
    columns: tuple[NDArray[Any], ...] = (usable.time, usable.value, usable.error, usable.band)
    rows: list[dict[str, object]] = []
    methods = [("nifty-ls r", nifty_peak(2), len(batch)), ("nifty-ls g", nifty_peak(1), len(batch))]
    methods.append(("astropy LombScargleMultiband", astropy_peak, min(count, len(batch))))
    for name, peak, n in methods:
        chosen = np.linspace(0, len(batch) - 1, n).astype(int) if n else np.empty(0, int)
        if not n:
            continue
        period, baseline = np.empty(n), np.empty(n)
        begin = time.process_time()
        for k, i in enumerate(chosen):
            part = [column[usable.offsets[i] : usable.offsets[i + 1]] for column in columns]
            baseline[k] = np.ptp(part[0])
            period[k] = peak(part, grid_of(part[0], low, high))
        seconds = (time.process_time() - begin) / n
        hits = right(period, np.asarray(batch.objects["truth"], np.float64)[chosen], baseline)
        row = {"method": name, "range": [low, high], "objects": n, **summary(hits)}
        rows.append({**row, "cpu_seconds_per_object": round(seconds, 4)})
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def misses(batch: LightCurveBatch) -> None:
    """Print the objects whose period is not the listed one."""
    truth, period = batch.objects["truth"], batch.objects["period"]
    for i in np.flatnonzero(np.abs(period / truth - 1) >= TOLERANCE):
        print(
            f"  {batch.ids[i]}: listed {truth[i]:.6f} found {period[i]:.6f} confidence "
            f"{batch.objects['period_confidence'][i]:.3f} fit "
            f"{batch.objects['period_power'][i]:.3f}"
        )


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=483)
    parser.add_argument("--rival", type=int, default=20, help="objects for astropy; 0 for none")
    parser.add_argument("--simulated", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the simulated visits")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    if args.simulated:
        batch = simulate(args.simulated, args.seed, args.share)
    elif args.data:
        batch = read(args.data / "sdss_stripe82_rrlyrae.parquet", args.limit)
    else:
        parser.error("pass --data FOLDER or --simulated N")
    rows = []
    for low, high in RANGES:
        found, result = measure(batch, low, high)
        for row in found:
            print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        misses(result)
        rows += found
        if not args.no_rivals:  # astropy's time grows with the range
            few = args.rival if high < 24 else args.rival // 10
            rows += rivals(batch, low, high, few)
    record("period_multiband", rows, args.out)


if __name__ == "__main__":
    main()

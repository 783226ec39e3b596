"""Verdicts on known periods: right, wrong, how precise, and at what share of a full search.

``python benchmarks/period_verify.py --data DATA/`` injects stars whose period is what was stored,
or has changed by a known amount, or was an alias, a multiple or nothing, at 60, 300 and 1,000
points of ground-based seasons; prints the share of each verdict, bias and pull width of the
recovered dP/dt, how often a constant period is called drifted, and processor time beside
`PeriodSearch` on the same curves in one thread. With ``--data`` also the verdicts on catalogue
periods of Catalina Surveys Southern V, train split.
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

from astroprep.data import LightCurveBatch
from astroprep.period import PeriodSearch
from astroprep.period.verifiable import unverifiable
from astroprep.period.verify import PeriodStatus, Verification, verify_periods

Array = NDArray[np.float64]
BASELINE = 2500.0  # days
SEASON = 240.0  # days of a year
NOISE = 0.05  # mag; the shapes below have 0.3 to 0.8
NAMES = [status.name.lower() for status in PeriodStatus]
CASES = (
    "constant", "measured before", "changed 1e-5", "changed 1e-4", "changed 1e-3", "changed 1e-2",
    "bent 0.05", "bent 0.2", "bent 0.5", "bent 1", "bent 2", "sudden 0.3", "alias day",
    "alias sidereal", "alias year", "double", "half", "half, report", "no signal",
)  # fmt: skip


def sawtooth(x: Array) -> Array:
    """RR Lyrae-like."""
    return 0.8 * np.where(x % 1 < 0.15, 1 - x % 1 / 0.15, (x % 1 - 0.15) / 0.85)


def eclipses(x: Array) -> Array:
    """Two unequal eclipses."""

    def dip(at: float, width: float, depth: float) -> Array:
        away = np.abs(x % 1 - at)
        return depth * np.exp(-0.5 * (np.minimum(away, 1 - away) / width) ** 2)

    return np.asarray(dip(0, 0.05, 0.7) + dip(0.5, 0.05, 0.35))


def contact(x: Array) -> Array:
    """Two nearly equal humps."""
    angle = 2 * np.pi * x
    return np.asarray(0.15 * np.cos(2 * angle) + 0.03 * np.cos(angle) + 0.04 * np.cos(4 * angle))


def sine(x: Array) -> Array:
    """One harmonic."""
    return np.asarray(0.3 * np.cos(2 * np.pi * x))


SHAPES: tuple[tuple[Callable[[Array], Array], int], ...] = (
    (sawtooth, 1), (eclipses, 2), (contact, 2), (sine, 1),
)  # fmt: skip


def nights(rng: np.random.Generator, n: int) -> Array:
    """One visit a night near midnight, in seasons."""
    day = np.floor(rng.uniform(0, BASELINE, 8 * n))
    day = day[day % 365.25 < SEASON][:n]
    return np.sort(day + 0.3 + 0.1 * rng.normal(size=n))


def star(
    case: str, rng: np.random.Generator, shape: Callable[[Array], Array], dominant: int, n: int
) -> tuple[tuple[Array, Array, Array], float, float]:
    """A light curve, the stored period and the true dP/dt."""
    t = nights(rng, n)
    x = t - 0.5 * (t[0] + t[-1])
    half = 0.5 * (t[-1] - t[0])
    period = float(np.exp(rng.uniform(np.log(0.25), np.log(2.0))))
    f, known, dp_dt = 1 / period, period, 0.0
    sign = rng.choice([-1.0, 1.0])
    cycles = f * x
    word, _, number = case.replace(", report", "").rpartition(" ")
    if word == "changed":
        known = period / (1 + sign * float(number))
    elif word == "bent":
        bend = sign * float(number) / half**2
        cycles = cycles + bend * x**2
        dp_dt = -2 * bend * period**2
    elif word == "sudden":
        cycles = cycles + np.where(x > 0, sign * float(number) * x / half, 0.0)
    elif word == "alias":
        offset = {"day": 1.0, "sidereal": 1.0027379, "year": 1 / 365.25}[number]
        known = 1 / abs(f + sign * offset / dominant)
    elif number == "double":
        known = period / 2
    elif number == "half":
        known = period * 2
    light = np.zeros(n) if case == "no signal" else shape(cycles + rng.uniform())
    return (t, 15 + light + NOISE * rng.normal(size=n), np.full(n, NOISE)), known, dp_dt


def stars(case: str, n_curves: int, n: int, seed: int = 0) -> tuple[LightCurveBatch, Array, Array]:
    """Many of them, the four shapes in turn."""
    rng = np.random.default_rng((seed, n, CASES.index(case)))
    made = [star(case, rng, *SHAPES[i % 4], n) for i in range(n_curves)]
    known, dp_dt = np.array([m[1] for m in made]), np.array([m[2] for m in made])
    batch = LightCurveBatch.from_curves([m[0] for m in made])
    if case == "measured before":
        # the same stars, seen before with other noise and other nights
        other = []
        for i, (curve, period, _) in enumerate(made):
            t = nights(rng, n)
            value = 15 + SHAPES[i % 4][0](t / period) + NOISE * rng.normal(size=n)
            other.append((t, value, curve[2]))
        known = verified(LightCurveBatch.from_curves(other), known).period
    return batch, known, dp_dt


def verified(batch: LightCurveBatch, known: Array, half: str = "keep") -> Verification:
    """Verdicts in one thread."""
    u = batch.usable
    return verify_periods(u.time, u.value, u.error, u.offsets, known, half=half, jobs=1)  # type: ignore[arg-type]


def processor_time(call: Callable[[], Any], runs: int = 3) -> float:
    """Seconds of the least of some runs."""
    spent = []
    for _ in range(runs):
        begin = time.process_time()
        call()
        spent.append(time.process_time() - begin)
    return min(spent)


def shares(status: NDArray[np.int64]) -> dict[str, float]:
    """Share of each verdict."""
    count = np.bincount(status, minlength=len(NAMES)) / max(status.size, 1)
    return {name: round(float(share), 4) for name, share in zip(NAMES, count, strict=True)}


def inject(case: str, n_curves: int, n: int) -> dict[str, Any]:
    """One row of the confusion table."""
    batch, known, dp_dt = stars(case, n_curves, n)
    rule = "report" if "report" in case else "keep"
    found = verified(batch, known, rule)
    spent = processor_time(lambda: verified(batch, known, rule)) / n_curves
    row: dict[str, Any] = {"case": case, "points": n, "curves": n_curves, **shares(found.status)}
    row["microseconds"] = round(spent * 1e6, 1)
    row["changing"] = round(float(found.changing.mean()), 4)
    if "bent" in case and found.changing.sum() > 20:
        pull = ((found.dp_dt - dp_dt) / found.dp_dt_err)[found.changing]
        bias = ((found.dp_dt - dp_dt) * np.sign(dp_dt) / np.abs(dp_dt))[found.changing]
        row["dp_dt_relative_bias"] = round(float(np.median(bias)), 4)
        row["dp_dt_pull_width"] = round(float(np.subtract(*np.percentile(pull, [84, 16])) / 2), 3)
    return row


def cost(n_curves: int, n: int) -> dict[str, Any]:
    """Processor time of the verdict and of the search on curves whose period is constant."""
    batch, known, _ = stars("constant", n_curves, n)
    few = batch[: max(n_curves // 8, 1)]
    search = PeriodSearch(jobs=1)
    verified(batch, known)
    search.transform(few)
    ours = processor_time(lambda: verified(batch, known)) / n_curves
    full = processor_time(lambda: search.transform(few)) / len(few)
    return {
        "case": "cost",
        "points": n,
        "verify_microseconds": round(ours * 1e6, 1),
        "search_microseconds": round(full * 1e6, 1),
        "ratio": round(ours / full, 4),
    }


def catalogue(folder: Path, limit: int) -> list[dict[str, Any]]:
    """Verdicts on catalogue periods, in all and by label."""
    columns = ["label", "period", "split", "lightcurve"]
    table = pq.read_table(folder / "crts_south.parquet", columns=columns)
    train = np.flatnonzero(np.array(table["split"].to_pylist()) == "train")
    chosen = np.sort(np.random.default_rng(0).choice(train, limit, replace=False))
    curves, label, period = [], [], []
    for row in table.take(chosen).to_pylist():
        t, v, e = (np.array(row["lightcurve"][k], float) for k in ("time", "mag", "mag_err"))
        good = np.isfinite(t + v + e) & (e > 0) & (t > 0)
        curves.append((t[good], v[good], e[good]))
        label.append(row["label"])
        period.append(row["period"])
    batch, labels = LightCurveBatch.from_curves(curves), np.array(label, dtype=object)
    known = np.array(period)
    u = batch.usable
    served = unverifiable(u.time, u.value, u.error, u.offsets, known) == ""
    batch, labels, known = batch.take(served), labels[served], known[served]
    found = verified(batch, known)
    rows = []
    for name in ["all", *np.unique(labels)]:
        which = (labels == name) | (name == "all")
        rows.append(
            {
                "case": "crts_south",
                "label": name,
                "curves": int(which.sum()),
                "refused": int((~served).sum()) if name == "all" else 0,
                **shares(found.status[which]),
            }
        )
    search = PeriodSearch(jobs=1)
    few = batch[:64]
    ours = processor_time(lambda: verified(batch, known)) / len(batch)
    rows[0]["ratio_to_search"] = round(
        ours / (processor_time(lambda: search.transform(few), 2) / len(few)), 4
    )
    return rows


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--points", type=int, nargs="+", default=[60, 300, 1000])
    parser.add_argument("--curves", type=int, default=400)
    parser.add_argument("--constant", type=int, default=4000, help="curves of the false-drift rate")
    parser.add_argument("--limit", type=int, default=500, help="objects of the survey")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def say(row: dict[str, Any]) -> None:
        rows.append(row)
        print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)

    verified(*stars("constant", 4, 60)[:2])  # compiles
    for n in args.points:
        say(cost(args.curves, n))
        for case in CASES:
            many = case in ("constant", "measured before") and n <= 300
            say(inject(case, args.constant if many else args.curves, n))
    if args.data is not None:
        for row in catalogue(args.data, args.limit):
            say(row)
    print(f"written to {record('period_verify', rows, args.out)}")


if __name__ == "__main__":
    main()

"""Roll of K2 taken out: six-hour scatter left, transits and sines kept, time, next to peers.

``python benchmarks/detrend_k2.py --data DATA/`` takes the K2 campaign 5 light curves in
``DATA/space/k2`` and prints for each star, on the same cadences for all:

- six-hour scatter in ppm (lightkurve's ``estimate_cdpp`` over 13 cadences, after its high-pass
  filter of 101 cadences) of SAP, of `TelemetryTrend` on SAP, of the file's own PDCSAP and of
  lightkurve's ``SFFCorrector`` with its default settings and the trend restored;
- the same after the star's own sinusoids faster than a day are fitted to each and taken out: the
  frequencies are those of PDCSAP, so that ours has no say in them. Pulsators and binaries vary
  within six hours, and their scatter is not the instrument's;
- the share of injected signals that is kept: the difference of the corrected curves with and
  without the signal, projected on the signal. Boxes of 3, 6 and 12 hours and sines of 1 to 15
  days, multiplied into SAP. PDCSAP cannot be injected into;
- scatter over the share of 6-hour boxes kept: what a transit of a given depth is hidden in.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import record

from astroprep.clean import FlagBad, SurveyFlags
from astroprep.data import LightCurveBatch
from astroprep.detrend import TelemetryTrend
from astroprep.detrend.roll import find_oscillations
from astroprep.io import open_survey
from astroprep.optional import need

Array = NDArray[np.float64]
CADENCES = 13  # of half an hour: six hours and a half, as lightkurve's default
DEPTH, AMPLITUDE = 0.002, 0.003  # of the injected boxes and sines
BOXES = (3.0, 6.0, 12.0)  # hours
SINES = (1.0, 1.7, 3.0, 5.0, 9.0, 15.0)  # days


def corrected(batch: LightCurveBatch) -> LightCurveBatch:
    """Ours, with its defaults."""
    result: LightCurveBatch = TelemetryTrend().transform(batch)
    return result


def self_flat_fielded(batch: LightCurveBatch) -> list[Array]:
    """Peer, with its defaults and the star's trend put back."""
    lightkurve = need("lightkurve", extra="kepler", who="detrend_k2")
    curves = []
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        place = [batch.points[name][part] for name in ("pos_corr1", "pos_corr2")]
        good = (batch.flags[part] == 0) & np.isfinite(place[0] + place[1])
        curve = lightkurve.LightCurve(
            time=batch.time[part][good],
            flux=batch.value[part][good],
            flux_err=batch.error[part][good],
        )
        corrector = lightkurve.SFFCorrector(curve)
        result = corrector.correct(
            centroid_col=place[0][good], centroid_row=place[1][good], restore_trend=True
        )
        flux = np.full(good.size, np.nan)
        flux[good] = np.asarray(result.flux.value, float)
        curves.append(flux)
    return curves


def pieces(batch: LightCurveBatch) -> list[Array]:
    """Values of each curve."""
    return np.split(batch.value, batch.offsets[1:-1])


def scatter(flux: Array) -> float:
    """Six-hour scatter, ppm."""
    lightkurve = need("lightkurve", extra="kepler", who="detrend_k2")
    curve = lightkurve.LightCurve(time=np.arange(flux.size) / 48.0, flux=flux / np.median(flux))
    return float(curve.estimate_cdpp(transit_duration=CADENCES).value)


def whitened(day: Array, flux: Array, frequency: Array) -> Array:
    """Flux without a cubic and the sinusoids, in units of its median."""
    y = flux / np.median(flux)
    angle = 2 * np.pi * np.outer(day - day.mean(), frequency)
    slow = np.vander((day - day.mean()) / np.ptp(day), 4)
    design = np.hstack([np.cos(angle), np.sin(angle), slow])
    use = np.ones(day.size, bool)
    for _ in range(4):
        rest = y - design @ np.linalg.lstsq(design[use], y[use], rcond=None)[0]
        use = np.abs(rest) < 4 * 1.4826 * np.median(np.abs(rest[use]))
    return np.asarray(1 + rest)


def signals(days: list[Array], rng: np.random.Generator) -> dict[str, list[Array]]:
    """Relative changes of every star, by name."""
    made: dict[str, list[Array]] = {}
    for period in SINES:
        made[f"sine {period:g} d"] = [
            AMPLITUDE * np.sin(2 * np.pi * (day / period + rng.uniform())) for day in days
        ]
    for hours in BOXES:
        made[f"box {hours:g} h"] = []
        for day in days:
            period = rng.uniform(4.0, 9.0)
            away = np.abs((day + rng.uniform(0, period)) % period - 0.5 * period)
            made[f"box {hours:g} h"].append(np.where(away < hours / 48, -DEPTH, 0.0))
    return made


def kept(clean: Array, injected: Array, signal: Array) -> float:
    """Share of the signal in the difference of two corrected curves."""
    difference = injected / np.median(injected) - clean / np.median(clean)
    signal = signal - signal.mean()
    return float((difference - difference.mean()) @ signal / (signal @ signal))


def best_time(call: Callable[[], Any], runs: int) -> float:
    """Processor seconds of the fastest run."""
    spent = []
    for _ in range(runs):
        begin = time.process_time()
        call()
        spent.append(time.process_time() - begin)
    return min(spent)


def read(folder: Path, flux: str) -> LightCurveBatch:
    """Campaign 5, flagged."""
    batch = open_survey(folder, flux=flux).read()  # type: ignore[arg-type]
    flagged: LightCurveBatch = SurveyFlags().transform(FlagBad().transform(batch))
    return flagged


def inject_all(
    sap: LightCurveBatch, good: list[NDArray[np.bool_]], seeds: int
) -> dict[str, dict[str, Array]]:
    """Share of each signal kept, by method: shape (n_seeds, n_stars)."""
    methods: dict[str, Callable[[LightCurveBatch], list[Array]]] = {
        "ours": lambda batch: pieces(corrected(batch)),
        "sff": self_flat_fielded,
    }
    days = np.split(sap.time, sap.offsets[1:-1])
    clean = {name: method(sap) for name, method in methods.items()}
    shares: dict[str, dict[str, Array]] = {name: {} for name in methods}
    for seed in range(seeds):
        for label, signal in signals(days, np.random.default_rng(seed)).items():
            injected = sap.with_columns(value=sap.value * (1 + np.concatenate(signal)))
            for name, method in methods.items():
                found = method(injected)
                share = [
                    kept(a[k], b[k], s[k])
                    for a, b, s, k in zip(clean[name], found, signal, good, strict=True)
                ]
                rows = shares[name].get(label, np.empty((0, len(share))))
                shares[name][label] = np.vstack([rows, share])
    return shares


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # the peer's: fits of few points
    sap, pdcsap = (read(args.data / "space" / "k2", flux) for flux in ("sap", "pdcsap"))
    ours = corrected(sap)
    good = np.split((ours.flags == 0) & (pdcsap.flags == 0), sap.offsets[1:-1])
    good = [
        g & np.isfinite(t)
        for g, t in zip(good, np.split(ours.points["trend"], sap.offsets[1:-1]), strict=True)
    ]
    days = np.split(sap.time, sap.offsets[1:-1])
    products = {
        "sap": pieces(sap),
        "ours": pieces(ours),
        "pdcsap": pieces(pdcsap),
        "sff": self_flat_fielded(sap),
    }
    shares = inject_all(sap, good, args.seeds)
    rows: list[dict[str, Any]] = []
    for i in range(sap.n_curves):
        k = good[i]
        own = find_oscillations(
            days[i][k], products["pdcsap"][i][k], np.ones(int(k.sum())), 1.0, 0.0, 25
        )
        row: dict[str, Any] = {"star": sap.ids[i], "cadences": int(k.sum()), "sinusoids": own.size}
        for name, curves in products.items():
            row[name] = round(scatter(curves[i][k]), 1)
            row[f"{name}_whitened"] = round(scatter(whitened(days[i][k], curves[i][k], own)), 1)
        for name, by_signal in shares.items():
            row[f"{name}_kept"] = {s: by_signal[s][:, i].round(3).tolist() for s in by_signal}
            row[f"{name}_per_kept"] = round(row[name] / by_signal["box 6 h"][:, i].mean(), 1)
        rows.append(row)
    show(rows, shares)
    cost = {
        "ours_seconds": best_time(lambda: corrected(sap), args.repeats) / sap.n_curves,
        "sff_seconds": best_time(lambda: self_flat_fielded(sap), args.repeats) / sap.n_curves,
    }
    print("processor seconds a star: " + ", ".join(f"{k} {v:.3f}" for k, v in cost.items()))
    print(f"written to {record('detrend_k2', rows, args.out, seeds=args.seeds, **cost)}")


def show(rows: list[dict[str, Any]], shares: dict[str, dict[str, Array]]) -> None:
    """Tables for people."""
    print("six-hour scatter, ppm / after the star's own sinusoids / over the 6-h boxes kept")
    print(f"{'star':16}" + "".join(f"{name:>30}" for name in ("sap", "ours", "pdcsap", "sff")))
    for row in rows:
        cells = []
        for name in ("sap", "ours", "pdcsap", "sff"):
            over = f" / {row[f'{name}_per_kept']}" if f"{name}_per_kept" in row else ""
            cells.append(f"{row[name]} / {row[f'{name}_whitened']}{over}")
        print(f"{row['star']:16}" + "".join(f"{cell:>30}" for cell in cells))
    print("share kept: median over stars and seeds, [least, most]")
    for signal in next(iter(shares.values())):
        cells = [
            f"{name} {np.median(v[signal]):.3f} [{v[signal].min():.3f}, {v[signal].max():.3f}]"
            for name, v in shares.items()
        ]
        print(f"{signal:12}" + "   ".join(cells))


if __name__ == "__main__":
    main()

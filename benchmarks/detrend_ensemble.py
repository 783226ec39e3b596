"""Shared systematics taken out of ground-based curves: scatter left, amplitude of variables kept.

``python benchmarks/detrend_ensemble.py --data DATA/`` takes fields of Catalina Surveys Southern V,
whose stars share exposures, as they are and with injected systematics: a zero point of each
exposure, and a term of airmass times colour. All are variables with a catalogue period. Printed
for each field, median over its stars: scatter about the folded model before and after, in the
scatter of the curves without injection, and the amplitude of the folded model in that of the
curves without injection; for `EnsembleTrend` with SysRem and with TFA, and for SysRem as it is
published, ten lines of numpy with two effects that know no folded model and leave no star out.
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
from astroprep.detrend import EnsembleTrend

Array = NDArray[np.float64]
SIDE = 2.0  # degrees; the camera sees 4.2 square degrees
LEAST_SHARED = 80  # points: a star at the edge of a field is of another
HARMONICS = 4  # of the model that measures amplitude and scatter
ZERO_POINT, COLOUR = 0.10, 0.10  # mag, rms of the injected terms


def fields(folder: Path, skip: int, count: int) -> list[LightCurveBatch]:
    """Fields with the most stars, fixed periods, good points only."""
    columns = ["id", "ra", "dec", "period", "label", "lightcurve"]
    table = pq.read_table(folder / "crts_south.parquet", columns=columns)
    ra, dec = np.array(table["ra"]), np.array(table["dec"])
    cell = np.floor(dec / SIDE) * 1000 + np.floor(ra * np.cos(np.radians(dec)) / SIDE)
    names, sizes = np.unique(cell, return_counts=True)
    made = []
    for name in names[np.argsort(-sizes, kind="stable")][skip : skip + count]:
        rows = table.take(np.flatnonzero(cell == name)).to_pylist()
        curves = []
        for row in rows:
            t, v, e = (np.array(row["lightcurve"][k], float) for k in ("time", "mag", "mag_err"))
            good = np.isfinite(t + v + e) & (e > 0) & (t > 0)
            curves.append((t[good], v[good], e[good]))
        batch = LightCurveBatch.from_curves(
            curves,
            ids=[str(row["id"]) for row in rows],
            objects={"period": np.array([row["period"] for row in rows], float)},
        )
        made.append(batch.take(shared_points(batch) >= LEAST_SHARED))
    return made


def shared_points(batch: LightCurveBatch) -> NDArray[np.int64]:
    """Points of each star at exposures of at least ten."""
    _, which, stars = np.unique(batch.time, return_inverse=True, return_counts=True)
    star = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    return np.bincount(star[stars[which] >= 10], minlength=batch.n_curves)


def inject(batch: LightCurveBatch, seed: int) -> LightCurveBatch:
    """The same stars under clouds and through air."""
    rng = np.random.default_rng(seed)
    epochs, which = np.unique(batch.time, return_inverse=True)
    night = np.unique(np.floor(epochs), return_inverse=True)[1]
    zero = 0.7 * rng.normal(size=night.max() + 1)[night] + 0.7 * rng.normal(size=epochs.size)
    hour = rng.uniform(-4, 4, night.max() + 1)[night] + 24 * (epochs % 1 - 0.5)
    airmass = 1 / np.cos(np.radians(np.clip(15 * np.abs(hour), 0, 65)))
    airmass = (airmass - airmass.mean()) / airmass.std()
    colour = np.repeat(rng.normal(size=batch.n_curves), np.diff(batch.offsets))
    added = ZERO_POINT * zero[which] + COLOUR * colour * airmass[which]
    return batch.with_columns(value=batch.value + added)


def measure(batch: LightCurveBatch) -> tuple[Array, Array]:
    """Scatter about the folded model and the amplitude of the model, one each a star."""
    scatter, amplitude = np.empty(batch.n_curves), np.empty(batch.n_curves)
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        phase = batch.time[part] / batch.objects["period"][i]
        angle = 2 * np.pi * np.outer(phase, np.arange(1, HARMONICS + 1))
        wave = np.hstack([np.cos(angle), np.sin(angle)])
        design = np.hstack([wave, np.ones((phase.size, 1))])
        use = np.ones(phase.size, bool)
        for _ in range(3):
            coefficient = np.linalg.lstsq(design[use], batch.value[part][use], rcond=None)[0]
            rest = batch.value[part] - design @ coefficient
            use = np.abs(rest) < 4 * 1.4826 * np.median(np.abs(rest))
        scatter[i] = 1.4826 * np.median(np.abs(rest))
        amplitude[i] = np.sqrt(0.5 * np.sum(coefficient[:-1] ** 2))
    return scatter, amplitude


def published(batch: LightCurveBatch, n_effects: int = 2, rounds: int = 30) -> LightCurveBatch:
    """SysRem by the book."""
    star = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    epoch = np.unique(batch.time, return_inverse=True)[1]
    weight = batch.error**-2.0
    mean = np.bincount(star, weight * batch.value) / np.bincount(star, weight)
    rest = batch.value - mean[star]
    for _ in range(n_effects):
        a = np.ones(epoch.max() + 1)
        for _ in range(rounds):
            c = np.bincount(star, weight * rest * a[epoch]) / np.bincount(
                star, weight * a[epoch] ** 2
            )
            a = np.bincount(epoch, weight * rest * c[star]) / np.bincount(
                epoch, weight * c[star] ** 2
            )
        rest = rest - c[star] * a[epoch]
    return batch.with_columns(value=rest + mean[star])


def ours(**settings: Any) -> Callable[[LightCurveBatch], LightCurveBatch]:
    """Fit and transform the same stars, one minute of tolerance."""
    return lambda batch: EnsembleTrend(**settings).fit(batch).transform(batch)


METHODS: dict[str, Callable[[LightCurveBatch], LightCurveBatch]] = {
    "none": lambda batch: batch,
    "sysrem, published": published,
    "sysrem": ours(),
    "sysrem, no model": ours(period="none"),
    "tfa": ours(method="tfa"),
    "tfa, no model": ours(method="tfa", period="none"),
}


def compare(field: LightCurveBatch, number: int, seed: int | None) -> list[dict[str, Any]]:
    """Rows of one field, as it is or injected."""
    clean_scatter, clean_amplitude = measure(field)
    given = field if seed is None else inject(field, seed)
    rows = []
    for name, method in METHODS.items():
        begin = time.process_time()
        result = method(given)
        spent = time.process_time() - begin
        scatter, amplitude = measure(result)
        corrected = (
            np.isfinite(result.points["trend"]) if "trend" in result.points else np.ones(1, bool)
        )
        kept = amplitude / clean_amplitude
        rows.append(
            {
                "field": number,
                "injected": seed is not None,
                "seed": seed,
                "stars": field.n_curves,
                "epochs": int(np.unique(field.time).size),
                "method": name,
                "scatter": round(float(np.median(scatter / clean_scatter)), 4),
                "scatter_mag": round(float(np.median(scatter)), 4),
                "amplitude_kept": round(float(np.median(kept)), 4),
                "amplitude_kept_16_84": np.percentile(kept, [16, 84]).round(3).tolist(),
                "points_corrected": round(float(corrected.mean()), 4),
                "seconds": round(spent, 3),
            }
        )
    return rows


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--skip", type=int, default=3, help="densest fields left for tuning")
    parser.add_argument("--fields", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("field injected stars epochs method                scatter  mag    kept  [16, 84 %]  s")
    for number, field in enumerate(fields(args.data, args.skip, args.fields)):
        for seed in (None, args.seed + number):
            for row in compare(field, number, seed):
                rows.append(row)
                print(
                    f"{number:5d} {row['injected']!s:8} {row['stars']:5d} {row['epochs']:6d} "
                    f"{row['method']:20} {row['scatter']:8.3f} {row['scatter_mag']:.3f} "
                    f"{row['amplitude_kept']:6.3f} {row['amplitude_kept_16_84']} "
                    f"{row['points_corrected']:.2f} {row['seconds']}",
                    flush=True,
                )
    print(f"written to {record('detrend_ensemble', rows, args.out)}")


if __name__ == "__main__":
    main()

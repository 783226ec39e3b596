"""Imputed values and errors on hidden points of Kepler, K2, TESS and Catalina, against peers.

    python benchmarks/clean_impute.py --data DATA/

One point in twenty of real light curves is hidden at random, once alone and once in runs of
five, and filled: by `Impute`, by straight lines between neighbours (numpy), by lightkurve's
``fill_gaps`` (which adds noise on purpose) and by astropy's floating-mean Fourier fit of the same
order for the periodic stars. The root mean square of what was missed by, the share of hidden
values within the stated error (68 % if honest; the peers state none) and the time. One thread.
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

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.timeseries import LombScargle
from numpy.typing import NDArray
from record import record

from astroprep.clean import FlagBad, Impute
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.interchange import from_arrow

HIDDEN = 0.05
RUN = 5  # points in a run
N_CATALINA = 400
MOST_POINTS = 6000  # of a space curve
N_HARMONICS = 4


def space(folder: Path) -> LightCurveBatch:
    """Unflagged SAP fluxes of all light-curve files of a folder."""
    curves = []
    for path in sorted(folder.glob("*.fits")):
        with fits.open(path) as file:
            names = file[1].columns.names if len(file) > 1 else []
            if not {"TIME", "SAP_FLUX"} <= set(names) or "cbvshrink" in path.name:
                continue
            data = file[1].data
            quality = data["SAP_QUALITY" if "SAP_QUALITY" in names else "QUALITY"]
            columns = [np.array(data[n], float) for n in ("TIME", "SAP_FLUX", "SAP_FLUX_ERR")]
        good = np.isfinite(columns).all(axis=0) & (quality == 0)
        curves.append(tuple(column[good][:MOST_POINTS] for column in columns))
    return LightCurveBatch.from_curves(curves, meta=Meta(quantity="flux", unit="electron/s"))


def catalina(path: Path, rng: np.random.Generator) -> LightCurveBatch:
    """Some Catalina variables with their catalogue periods, good points only used."""
    table = pq.read_table(path, columns=["lightcurve", "period"])
    table = table.take(np.sort(rng.permutation(table.num_rows)[:N_CATALINA]))
    batch = from_arrow(table["lightcurve"], objects={"period": table["period"].to_numpy()})
    flagged: LightCurveBatch = FlagBad().transform(batch)
    return flagged


def hide(batch: LightCurveBatch, run: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Good points, in runs of neighbours in the file."""
    start = rng.random(batch.n_points) < HIDDEN / run
    hidden = np.zeros(batch.n_points, bool)
    for k in range(run):
        hidden[k:] |= start[: batch.n_points - k]
    hidden &= batch.flags == 0
    return hidden


def with_numpy(batch: LightCurveBatch) -> NDArray[np.float64]:
    """Straight line between the neighbours, level beyond the ends."""
    value, usable = batch.value.copy(), batch.usable
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        own = slice(*usable.offsets[i : i + 2])
        gone = np.flatnonzero(np.isnan(value[part])) + part.start
        value[gone] = np.interp(batch.time[gone], usable.time[own], usable.value[own])
    return value


def with_lightkurve(batch: LightCurveBatch) -> NDArray[np.float64]:
    """``fill_gaps``, read off at the hidden times."""
    from lightkurve import LightCurve

    value = batch.value.copy()
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        good = np.isfinite(value[part])
        time = batch.time[part]
        curve = LightCurve(
            time=time[good], flux=value[part][good], flux_err=batch.error[part][good]
        )
        filled = curve.fill_gaps()
        gone = np.flatnonzero(~good)
        near = np.searchsorted(filled.time.value, time[gone] - 1e-3).clip(max=len(filled) - 1)
        value[part.start + gone] = np.asarray(filled.flux)[near]
    return value


def with_astropy(batch: LightCurveBatch) -> NDArray[np.float64]:
    """Fourier series with a floating mean, at the catalogue period."""
    value, usable = batch.value.copy(), batch.usable
    for i in range(batch.n_curves):
        part = slice(*batch.offsets[i : i + 2])
        own = slice(*usable.offsets[i : i + 2])
        gone = np.flatnonzero(np.isnan(value[part])) + part.start
        if gone.size:
            model = LombScargle(
                usable.time[own], usable.value[own], usable.error[own], nterms=N_HARMONICS
            )
            value[gone] = model.model(batch.time[gone], 1 / batch.objects["period"][i])
    return value


def measured(fill: Callable[[], Any], repeats: int = 3) -> tuple[Any, float]:
    """Result and the least seconds of some repeats."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = fill()
        seconds.append(time.perf_counter() - begin)
    return result, min(seconds)


def one(
    name: str, batch: LightCurveBatch, step: Impute, peers: dict[str, Any], run: int, seed: int
) -> list[dict[str, Any]]:
    """Ours and the peers on one set of hidden points."""
    hidden = hide(batch, run, np.random.default_rng(seed))
    given = batch.with_columns(value=np.where(hidden, np.nan, batch.value))
    step.transform(given[:1])  # compile
    result, seconds = measured(lambda: step.transform(given))
    made = hidden & ((result.flags & int(PointFlag.IMPUTED)) > 0)
    curve = np.repeat(np.arange(batch.n_curves), np.diff(batch.offsets))
    scale = np.array([np.std(batch.usable.value[slice(*batch.usable.offsets[i : i + 2])])
                      for i in range(batch.n_curves)])[curve]  # fmt: skip

    def missed(value: NDArray[np.float64]) -> float:
        """Median over the curves of the root mean square, in standard deviations of the curve."""
        off = ((value - batch.value) / scale)[made]
        per_curve = [np.sqrt(np.mean(off[curve[made] == i] ** 2)) for i in np.unique(curve[made])]
        return float(np.median(per_curve))

    within = np.abs(result.value - batch.value)[made] < result.error[made]
    about = {"data": name, "run": run, "hidden": int(hidden.sum()), "filled": int(made.sum())}
    rows = [{**about, "by": "astroprep", "missed": missed(result.value),
             "within_error": float(within.mean()), "seconds": seconds}]  # fmt: skip
    for peer, fill in peers.items():
        value, seconds = measured(lambda fill=fill: fill(given), 1)  # type: ignore[misc]
        rows.append({**about, "by": peer, "missed": missed(value), "seconds": seconds})
    return rows


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of surveys")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # lightkurve and FITS headers
    rng = np.random.default_rng(arguments.seed)
    peers = {"numpy.interp": with_numpy, "lightkurve": with_lightkurve}
    rows = []
    for run in (1, RUN):
        for mission in ("kepler", "k2", "tess"):
            batch = space(arguments.data / "space" / mission)
            rows += one(mission, batch, Impute(), peers, run, arguments.seed)
    stars = catalina(arguments.data / "crts_south.parquet", rng)
    harmonic = Impute(method="harmonic", n_harmonics=N_HARMONICS)
    periodic = {"numpy.interp": with_numpy, "astropy": with_astropy}
    rows += one("catalina", stars, harmonic, periodic, 1, arguments.seed)
    print(f"{'data':10}{'run':>4}{'filled':>8}  {'by':14}{'missed by':>10}{'within':>8}{'s':>9}")
    for row in rows:
        within = f"{row['within_error']:8.3f}" if "within_error" in row else " " * 8
        print(
            f"{row['data']:10}{row['run']:4}{row['filled']:8}  {row['by']:14}"
            f"{row['missed']:10.4f}{within}{row['seconds']:9.3f}"
        )
    path = record(
        "clean_impute", rows, arguments.out, seed=arguments.seed,
        unit="missed: median over curves of rms / standard deviation of the curve",
    )  # fmt: skip
    print(path)


if __name__ == "__main__":
    main()

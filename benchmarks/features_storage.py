"""Catalina South stored as models: bytes on disk, what is left over, what the features lose.

    python benchmarks/features_storage.py --data DATA/ [--objects N] [--out FILE]

Every light curve is stored as a Fourier series at its catalogue period (`HarmonicModel`), and with
``--sample`` objects evenly spaced also by the choice of all models (``auto``) and by a spline.
Bytes are those of the light-curve columns in a Parquet file, identifiers and positions not counted.

Peers, from the same points: the columns as they are in the survey's file; written again by pyarrow
with snappy, with zstd, and with the zstd level, page size and time coding that the stored file has
(so that only the values differ); and a lossy one that keeps all noise: values and errors as whole
tenths of the curve's median error in two bytes each.

Lost by the model: the error of each point, the noise itself, anything below the exceptions'
threshold that does not repeat with the period. The period is found again by `PeriodSearch` on the
original and on the decoded curves of the sample; the decoded curve was made at the catalogue
period, so that agreement with it is consistency, not evidence.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time as clock
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record
from scipy.stats import spearmanr

from astroprep.clean import FlagBad
from astroprep.data import LightCurveBatch
from astroprep.features import extract_features
from astroprep.io import ColumnNames, open_survey
from astroprep.period import PeriodSearch
from astroprep.reduce import HarmonicModel, SplineModel, StoredCurves, compress_curves
from astroprep.reduce.stored_file import LEVEL, PAGE

BATCH = 2000
SAMPLE = 500
MODEL = HarmonicModel(period="catalogue_period")
FEATURES = (
    "standard_deviation",
    "amplitude",
    "skew",
    "kurtosis",
    "eta",
    "inter_percentile_range_25",
    "fourier_amplitude",
    "fourier_r21",
    "cos_phi21",
    "sin_phi21",
    "rise_fraction",
)


def quantiles(x: NDArray[np.float64]) -> dict[str, float]:
    """5, 25, 50, 75 and 95 per cent of the finite values."""
    x = x[np.isfinite(x)]
    points = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95])
    return {f"q{p}": float(v) for p, v in zip((5, 25, 50, 75, 95), points, strict=True)}


def curve_bytes(path: Path, prefixes: tuple[str, ...]) -> int:
    """Compressed bytes of the columns whose path begins so."""
    meta = pq.ParquetFile(path).metadata
    chunks = (
        meta.row_group(g).column(c)
        for g in range(meta.num_row_groups)
        for c in range(meta.num_columns)
    )
    return sum(x.total_compressed_size for x in chunks if x.path_in_schema.startswith(prefixes))


def lists(offsets: NDArray[np.int64], values: NDArray[Any]) -> pa.Array:
    """List column."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def peers(batch: LightCurveBatch, resolution: float, folder: Path) -> dict[str, int]:
    """Bytes of the same points in other forms."""
    value, error = batch.value.astype(np.float32), batch.error.astype(np.float32)
    first = np.repeat(batch.time[batch.offsets[:-1]], np.diff(batch.offsets))
    ticks = np.rint((batch.time - first) / resolution).astype(np.int64)
    delta = np.diff(ticks, prepend=0)
    delta[batch.offsets[:-1]] = 0
    unit = np.array([0.1 * np.nanmedian(batch[i].error) for i in range(batch.n_curves)])
    unit = np.repeat(unit, np.diff(batch.offsets))
    middle = np.repeat(
        [np.nanmedian(batch[i].value) for i in range(batch.n_curves)], np.diff(batch.offsets)
    )
    whole = np.rint(np.clip((batch.value - middle) / unit, -32767, 32767)).astype(np.int16)
    whole_error = np.rint(np.clip(np.nan_to_num(batch.error / unit), 0, 32767)).astype(np.int16)
    ours = {
        "compression": "zstd",
        "compression_level": LEVEL,
        "use_dictionary": False,
        "data_page_size": PAGE,
    }
    forms: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "snappy": ({"time": batch.time, "mag": value, "mag_err": error}, {"compression": "snappy"}),
        "zstd": ({"time": batch.time, "mag": value, "mag_err": error}, {"compression": "zstd"}),
        "zstd, our time coding and page": (
            {"time": delta, "mag": value, "mag_err": error},
            {**ours, "use_dictionary": ["mag_err"]},
        ),
        "zstd, our time coding, values in tenths of an error": (
            {"time": delta, "mag": whole, "mag_err": whole_error},
            ours,
        ),
    }
    sizes = {}
    for name, (columns, options) in forms.items():
        path = folder / "peer.parquet"
        table = {k: lists(batch.offsets, v) for k, v in columns.items()}
        pq.write_table(pa.table(table), path, **options)
        sizes[name] = curve_bytes(path, ("time", "mag"))
        if name == "zstd, our time coding and page":
            sizes["times alone, our coding"] = curve_bytes(path, ("time",))
    return sizes


def stored_bytes(stored: StoredCurves, folder: Path) -> tuple[int, dict[str, int]]:
    """Bytes of models and kept points on disk, and of which columns."""
    path = folder / "stored.parquet"
    stored.to_parquet(path)
    parts = {
        "times": curve_bytes(path, ("model_ticks",)),
        "kept points": curve_bytes(path, ("kept_",)),
        "parameters and statistics": curve_bytes(path, ("model_",)),
    }
    parts["parameters and statistics"] -= parts["times"]
    return sum(parts.values()), parts


def spread(batch: LightCurveBatch) -> NDArray[np.float64]:
    """1.4826 times the median absolute deviation of the usable values of each curve."""
    usable, out = batch.usable, np.full(batch.n_curves, np.nan)
    for i in range(batch.n_curves):
        x = usable.value[usable.offsets[i] : usable.offsets[i + 1]]
        if x.size:
            out[i] = 1.4826 * np.median(np.abs(x - np.median(x)))
    return out


def described(stored: StoredCurves, scatter: NDArray[np.float64]) -> dict[str, Any]:
    """What the models leave over."""
    n_kept = int(stored.kept_offsets[-1])
    kinds, counts = np.unique(stored.kind, return_counts=True)
    reasons, times = np.unique([r.split(":")[0] for r in stored.reason if r], return_counts=True)
    own = stored.parameters
    size = np.diff(own.codes_offsets) + np.diff(own.floats_offsets)
    return {
        "kinds": dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        "raw_reasons": dict(zip(reasons.tolist(), times.tolist(), strict=True)),
        "coefficients": quantiles(size[own.kind > 0].astype(float)),
        "share_of_points_kept": n_kept / (n_kept + int(stored.n_modelled.sum())),
        "kept_points_a_curve": quantiles(np.diff(stored.kept_offsets).astype(float)),
        "residual_over_scatter": quantiles(stored.residual_scale / scatter),
        "residual_over_error": quantiles(stored.residual_in_errors),
        "reduced_chi2": quantiles(stored.reduced_chi2),
        "bytes_before_compression": quantiles(stored.bytes.astype(float)),
    }


def features(original: LightCurveBatch, decoded: LightCurveBatch) -> list[dict[str, Any]]:
    """Differences of features, in units of their spread over the objects."""
    with_period = [
        b.with_columns(objects={"period": b.objects["catalogue_period"]})
        for b in (original, decoded)
    ]
    a, b = (extract_features(x, FEATURES) for x in with_period)
    rows = []
    for k, name in enumerate(FEATURES):
        both = np.isfinite(a[:, k]) & np.isfinite(b[:, k])
        x, y = a[both, k], b[both, k]
        change = y - x
        wide = np.subtract(*np.quantile(x, [0.75, 0.25]))
        rows.append(
            {
                "feature": name,
                "defined_in_both": int(both.sum()),
                "median_original": float(np.median(x)),
                "median_change": float(np.median(change)),
                "median_absolute_change_over_iqr": float(np.median(np.abs(change)) / wide),
                "rank_correlation": float(spearmanr(x, y).statistic),
            }
        )
    return rows


def periods(original: LightCurveBatch, decoded: LightCurveBatch) -> dict[str, Any]:
    """Search of both; the same within 0.1 %, and against the catalogue."""
    found = []
    for batch in (original, decoded):
        result = PeriodSearch(jobs=1, on_bad="reject").fit_transform(batch)
        own = np.full(batch.n_curves, np.nan)
        place = {row: i for i, row in enumerate(batch.objects["row"].tolist())}
        own[[place[row] for row in result.objects["row"].tolist()]] = result.objects["period"]
        found.append(own)
    truth = original.objects["catalogue_period"]

    def close(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(np.mean(np.abs(x / y - 1) < 1e-3))

    def multiple(x: NDArray[np.float64]) -> float:
        off = [np.abs(x / truth / m - 1) < 1e-3 for m in (0.5, 1, 2)]
        return float(np.mean(np.any(off, axis=0)))

    return {
        "original_is_catalogue": close(found[0], truth),
        "decoded_is_catalogue": close(found[1], truth),
        "original_is_catalogue_half_or_double": multiple(found[0]),
        "decoded_is_catalogue_half_or_double": multiple(found[1]),
        "decoded_is_original": close(found[1], found[0]),
    }


def store(batch: LightCurveBatch, **settings: Any) -> tuple[StoredCurves, float]:
    """Batch after batch, and seconds an object."""
    compress_curves(batch[:20], **settings)  # compiles
    begin = clock.perf_counter()
    starts = range(0, batch.n_curves, BATCH)
    parts = [compress_curves(batch[start : start + BATCH], **settings) for start in starts]
    return StoredCurves.concat(parts), (clock.perf_counter() - begin) / batch.n_curves


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=0, help="the first so many; 0 for all")
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    source = given.data / "crts_south.parquet"
    with open_survey(source, ColumnNames(period="period"), on_bad="reject") as survey:
        batch = survey.read()
    batch = FlagBad(on_bad="reject").fit_transform(batch)
    if given.objects:
        batch = batch[: given.objects]
    sample = batch[:: max(1, batch.n_curves // given.sample)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = peers(batch, 1e-5, folder)
        if not given.objects:
            sizes = {"the survey's file": curve_bytes(source, ("lightcurve",)), **sizes}
        stored, seconds = store(batch, model=MODEL)
        total, parts = stored_bytes(stored, folder)
        dropped, _ = stored_bytes(replace(stored, ticks=None), folder)
    rows.append(
        {
            "part": "bytes",
            "objects": batch.n_curves,
            "points": batch.n_points,
            "stored": total,
            "stored_parts": parts,
            "stored_times_dropped": dropped,
            "peers": sizes,
            "ratios": {k: v / total for k, v in sizes.items()},
            "ratios_times_dropped": {k: v / dropped for k, v in sizes.items()},
            "milliseconds_an_object": 1e3 * seconds,
        }
    )
    print(f"{batch.n_curves} objects, {batch.n_points} points; {1e3 * seconds:.2f} ms an object")
    print(f"stored {total / 1e6:.2f} MB {parts}; times dropped {dropped / 1e6:.2f} MB")
    for peer, size in sizes.items():
        print(f"  {peer:55} {size / 1e6:7.2f} MB, x {size / total:5.1f}, x {size / dropped:5.1f}")
    settings: dict[str, dict[str, Any]] = {
        "leave one out": {
            "model": HarmonicModel(period="catalogue_period", criterion="leave_one_out")
        },
        "spline": {"model": SplineModel()},
        "harmonic or spline": {"model": (MODEL, SplineModel())},
    }
    rows.append(
        {"part": "left over", "model": "harmonic, all objects", **described(stored, spread(batch))}
    )
    print(rows[-1])
    for words, setting in settings.items():
        some, per_object = store(sample, **setting)
        rows.append(
            {
                "part": "left over",
                "model": f"{words}, sample",
                "milliseconds_an_object": 1e3 * per_object,
                **described(some, spread(sample)),
            }
        )
        print(rows[-1])
    few, _ = store(sample, model=MODEL)
    decoded = few.decode()
    rows += [{"part": "feature", **row} for row in features(sample, decoded)]
    for row in rows[-len(FEATURES) :]:
        print(
            f"{row['feature']:28} {row['median_original']:+.4f} "
            f"change {row['median_change']:+.4f}, "
            f"{row['median_absolute_change_over_iqr']:.3f} IQR, "
            f"rank r {row['rank_correlation']:.3f}"
        )
    rows.append({"part": "period", "objects": sample.n_curves, **periods(sample, decoded)})
    print(rows[-1])
    record(
        "features_storage",
        rows,
        given.out,
        survey="crts_south",
        sample=sample.n_curves,
        times="rough: other work ran on the machine"
        if os.getloadavg()[0] > 1.5
        else "idle machine",
    )


if __name__ == "__main__":
    main()

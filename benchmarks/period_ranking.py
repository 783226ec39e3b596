"""Fit the ranking of candidate periods on labelled stars; measure it beside the highest peak.

``python benchmarks/period_ranking.py --data crts_south.parquet`` searches the objects of the train
split, fits on two thirds of them, measures on the rest, and with ``--write`` fits on all of train
and writes ``astroprep/period/coefficients.py``. Test objects are never read.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from record import record
from scipy.optimize import minimize

from astroprep.data import LightCurveBatch
from astroprep.period import weigh
from astroprep.period.periodsearch import Candidates
from astroprep.period.ranking import candidate_features

TOLERANCE = 0.01
HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])
TARGET = Path(__file__).parents[1] / "astroprep" / "period" / "coefficients.py"
HEAD = '''"""Coefficients of the candidate ranking.

Written by ``benchmarks/period_ranking.py --write``: multinomial logistic regression, ridge
{ridge:g}, classes weighted by the inverse root of their size, on {n:,} train objects of Catalina
Surveys Southern V (Drake et al. 2017, MNRAS 469, 3688, doi:10.1093/mnras/stx1085) in the split of
Hosenie et al. 2020 (doi:10.1093/mnras/staa642). Truth is the catalogue period within 1 per cent,
and to the same weight any of P, 2P, P/2, 3P, P/3. The order is that of
`astroprep.period.ranking.candidate_features`.
"""

from __future__ import annotations

__all__ = ["COEFFICIENTS"]

COEFFICIENTS = (
{body})
'''


def read_train(path: Path, limit: int) -> tuple[LightCurveBatch, NDArray[np.object_]]:
    """Usable points of the train objects, at most `limit` of each label."""
    columns = ["id", "label", "period", "split", "lightcurve"]
    kept: dict[str, int] = {}
    curves, ids, label, period = [], [], [], []
    for part in pq.ParquetFile(path).iter_batches(columns=columns):
        for row in part.to_pylist():
            if row["split"] != "train" or kept.get(row["label"], 0) >= limit:
                continue
            kept[row["label"]] = kept.get(row["label"], 0) + 1
            t, v, e = (np.array(row["lightcurve"][k], float) for k in ("time", "mag", "mag_err"))
            good = np.isfinite(t + v + e) & (e > 0) & (t > 0)
            order = np.argsort(t[good], kind="stable")
            curves.append((t[good][order], v[good][order], e[good][order]))
            ids.append(row["id"])
            label.append(row["label"])
            period.append(row["period"])
    batch = LightCurveBatch.from_curves(curves, ids=ids, objects={"truth": np.array(period)})
    return batch, np.array(label, dtype=object)


def fit(
    features: NDArray[np.float64],
    there: NDArray[np.bool_],
    strict: NDArray[np.bool_],
    harmonic: NDArray[np.bool_],
    label: NDArray[np.object_],
    ridge: float,
) -> NDArray[np.float64]:
    """Coefficients that make the right candidates of each curve probable."""
    scale = features[there].std(axis=0) + 1e-9
    z = features / scale
    _, code, count = np.unique(label, return_inverse=True, return_counts=True)
    importance = count[code] ** -0.5
    importance /= importance.mean()

    def loss(b: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = np.where(there, z @ b, -1e9)
        likely = np.exp(score - score.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        total, slope = 0.0, np.zeros_like(likely)
        for right in (harmonic, strict):
            share = np.clip((likely * right).sum(axis=1), 1e-12, None)
            weight = importance * right.any(axis=1)
            total -= float((weight * np.log(share)).sum())
            slope += weight[:, None] * (likely - likely * right / share[:, None])
        n = len(z)
        return total / n + ridge * (b @ b), np.einsum("nk,nkd->d", slope, z) / n + 2 * ridge * b

    start = np.zeros(features.shape[2])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return np.asarray(best.x / scale)


def main() -> None:
    """Search, fit, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=100_000, help="objects per label")
    parser.add_argument("--peaks", type=int, default=10)
    parser.add_argument("--ridge", type=float, default=3e-4)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()

    batch, label = read_train(args.data, args.limit)
    usable = batch.usable
    few = usable.offsets[:2]
    weigh(usable.time, usable.value, usable.error, few, n_peaks=args.peaks)  # compiles
    begin, used = time.perf_counter(), time.process_time()
    evidence = weigh(
        usable.time,
        usable.value,
        usable.error,
        usable.offsets,
        n_peaks=args.peaks,
        jobs=args.jobs,
    )
    wall = (time.perf_counter() - begin) / len(batch) * 1e3
    cpu = (time.process_time() - used) / len(batch) * 1e3

    frequency, features = candidate_features(evidence, usable.counts())
    truth = batch.objects["truth"][:, None]
    there = frequency > 0
    strict = np.abs(frequency * truth - 1) < TOLERANCE
    harmonic = (np.abs((frequency * truth)[..., None] * HARMONICS - 1) < TOLERANCE).any(axis=-1)
    held = np.random.default_rng(0).random(len(batch)) < 1 / 3

    def fitted(on: NDArray[np.bool_]) -> NDArray[np.float64]:
        return fit(features[on], there[on], strict[on], harmonic[on], label[on], args.ridge)

    score = np.where(there, features @ fitted(~held), -np.inf)
    likely = np.exp(score - score.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    row = np.arange(len(batch))
    choice = Candidates(frequency, likely, evidence[:, :, 1]).best()
    rows = []
    for name in ["all", *np.unique(label)]:
        which = held if name == "all" else held & (label == name)
        one = {"label": name, "objects": int(which.sum())}
        for rule, chosen in (("highest", np.zeros_like(choice)), ("ranked", choice)):
            one[f"{rule}_strict"] = round(float(strict[row, chosen][which].mean()), 4)
            one[f"{rule}_harmonic"] = round(float(harmonic[row, chosen][which].mean()), 4)
        one["within_candidates"] = round(float(harmonic.any(axis=1)[which].mean()), 4)
        rows.append(one)
        print(" ".join(f"{key} {value}" for key, value in one.items()))
    rows[0] |= {"ms_per_curve": round(wall, 3), "cpu_ms_per_curve": round(cpu, 3)}
    print(f"{wall:.2f} ms per curve ({cpu:.2f} ms of processor time)")
    if args.write:
        body = "".join(f"    {x:.6g},\n" for x in fitted(np.ones(len(batch), bool)))
        TARGET.write_text(HEAD.format(ridge=args.ridge, n=len(batch), body=body))
    record("period_ranking", rows, args.out)


if __name__ == "__main__":
    main()

"""Fit the ranking of candidate periods on labelled stars; measure it beside the highest peak.

``python benchmarks/period_ranking.py --data crts_south.parquet`` searches the objects of the train
split, fits on two thirds of them and measures on the rest, in turn, and with ``--write`` fits on
all of train and writes ``astroprep/period/coefficients.py``. Test objects are never read.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from record import record

from astroprep.data import LightCurveBatch
from astroprep.period import weigh
from astroprep.period.grid import GridRule
from astroprep.period.periodsearch import Candidates
from astroprep.period.ranking import LIMIT, candidate_features, score, share

TOLERANCE = 0.01
HARMONICS = np.array([1.0, 2.0, 0.5, 3.0, 1 / 3])
HIDDEN = (64, 16)
FOLDS = 3
BATCH = 256
# beside the inverse root of the class size: shapes that half of an eclipsing period resembles,
# and the one class with periods that the baseline barely holds
IMPORTANCE = {"RRc": 3.0, "RRd": 2.0, "LPV": 2.0}
TARGET = Path(__file__).parents[1] / "astroprep" / "period" / "coefficients.py"
HEAD = '''"""Weights of the candidate ranking.

Written by ``benchmarks/period_ranking.py --write``: a network of two hidden layers, fitted with
AdamW for {epochs} passes (weight decay {decay:g}, seed {seed}), classes weighted by the inverse
root of their size and {importance} times that, on {n:,} train objects of Catalina Surveys
Southern V (Drake et al. 2017, MNRAS 469, 3688, doi:10.1093/mnras/stx1085) in the split of Hosenie
et al. 2020 (doi:10.1093/mnras/staa642). Truth is the catalogue period within 1 per cent, and to
the same weight any of P, 2P, P/2, 3P, P/3. The order is that of
`astroprep.period.ranking.network`: mean and scale of each feature of
`astroprep.period.ranking.candidate_features`, then weights and biases of the layers.
"""

from __future__ import annotations

__all__ = ["LAYERS", "WEIGHTS"]

LAYERS = {layers}  # features, first and second hidden layer
WEIGHTS = """
{body}
"""
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
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    importance: NDArray[np.float64],
    epochs: int,
    decay: float,
    seed: int,
) -> tuple[NDArray[np.float64], ...]:
    """Network that makes the right candidates of each curve probable."""
    torch.manual_seed(seed)
    mean = features[there].mean(axis=0)
    scale = features[there].std(axis=0) + 1e-6
    z = np.clip((features - mean) / scale, -LIMIT, LIMIT).astype(np.float32)
    x, present = torch.from_numpy(z), torch.from_numpy(there)
    targets = [torch.from_numpy(r) for r in right]
    weight = torch.from_numpy((importance / importance.mean()).astype(np.float32))
    sizes = (z.shape[2], *HIDDEN)
    layers: list[torch.nn.Module] = []
    for a, b in zip(sizes, HIDDEN, strict=False):
        layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN[-1], 1, bias=False))
    steps = epochs * -(-len(z) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        for some in np.array_split(rng.permutation(len(z)), -(-len(z) // BATCH)):
            i = torch.from_numpy(some)
            points = net(x[i])[..., 0].masked_fill(~present[i], -1e9)
            likely = torch.log_softmax(points, 1)
            loss = torch.zeros(())
            for target in targets:
                found = torch.logsumexp(likely.masked_fill(~target[i], -1e9), 1)
                loss = loss - (weight[i] * target[i].any(1) * found.clamp(min=-30)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    fitted = [p.detach().numpy().astype(np.float64) for p in net.parameters()]
    w1, b1, w2, b2, w3 = fitted
    return mean, scale, w1.T.copy(), b1, w2.T.copy(), b2, w3[0]


def write(parts: tuple[NDArray[np.float64], ...], **about: object) -> None:
    """Write the network as a module of plain numbers."""
    words = [f"{x:.5g}" for part in parts for x in part.ravel()]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 98:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    body = "\n".join([*lines, line])
    TARGET.write_text(HEAD.format(layers=(parts[0].size, *HIDDEN), body=body, **about))


def main() -> None:
    """Search, fit, measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=100_000, help="objects per label")
    parser.add_argument("--peaks", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--decay", type=float, default=3e-2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.jobs)

    batch, label = read_train(args.data, args.limit)
    usable = batch.usable
    flat = (usable.time, usable.value, usable.error)
    weigh(*flat, usable.offsets[:2], n_peaks=args.peaks)  # compiles
    begin, used = time.perf_counter(), time.process_time()
    evidence = weigh(*flat, usable.offsets, n_peaks=args.peaks, jobs=args.jobs)
    wall = (time.perf_counter() - begin) / len(batch) * 1e3
    cpu = (time.process_time() - used) / len(batch) * 1e3

    frequency, features = candidate_features(evidence, usable.counts())
    truth = batch.objects["truth"][:, None]
    there = frequency > 0
    strict = np.abs(frequency * truth - 1) < TOLERANCE
    harmonic = (np.abs((frequency * truth)[..., None] * HARMONICS - 1) < TOLERANCE).any(axis=-1)
    names, code, count = np.unique(label, return_inverse=True, return_counts=True)
    importance = np.array([IMPORTANCE.get(str(name), 1.0) for name in names])[code]
    importance /= np.sqrt(count[code])

    def fitted(on: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
        right = (strict[on], harmonic[on])
        return fit(
            features[on], there[on], right, importance[on], args.epochs, args.decay, args.seed
        )

    fold = np.random.default_rng(0).integers(0, FOLDS, len(batch))
    likely = np.zeros(frequency.shape)
    for k in range(FOLDS):
        parts = fitted(fold != k)
        likely[fold == k] = share(score(features[fold == k], there[fold == k], *parts))
    row = np.arange(len(batch))
    choice = Candidates.from_ranking(
        evidence, frequency, likely, usable.counts(), GridRule().max_frequency
    ).best()
    rows = []
    for name in ["all", *names]:
        which = np.full(len(batch), True) if name == "all" else label == name
        one = {"label": name, "objects": int(which.sum())}
        for rule, chosen in (("highest", np.zeros_like(choice)), ("ranked", choice)):
            one[f"{rule}_strict"] = round(float(strict[row, chosen][which].mean()), 4)
            one[f"{rule}_harmonic"] = round(float(harmonic[row, chosen][which].mean()), 4)
        one["within_candidates"] = round(float(harmonic.any(axis=1)[which].mean()), 4)
        rows.append(one)
        print(" ".join(f"{key} {value}" for key, value in one.items()))
    rows[0] |= {"ms_per_curve": round(wall, 3), "cpu_ms_per_curve": round(cpu, 3)}
    print(f"{wall:.2f} ms per curve ({cpu:.2f} ms of processor time)")
    record("period_ranking", rows, args.out, folds=FOLDS)
    if args.write:
        extra = ", ".join(f"{k} {v:g}" for k, v in IMPORTANCE.items())
        write(
            fitted(np.ones(len(batch), bool)),
            epochs=args.epochs,
            decay=args.decay,
            seed=args.seed,
            importance=extra,
            n=len(batch),
        )


if __name__ == "__main__":
    main()

"""Five trainings: the compressed network against the float32 one and dense ones of equal bytes.

    for s in 1 2 3 4 5: python benchmarks/compress_passes.py --data DATA/ --cache FOLDER/ \
        --seed $s --only reference "pruned + shared"
    python benchmarks/compress_seeds.py --data DATA/ --cache FOLDER/

What those runs kept in ``--cache`` is measured together; the dense rivals, a smaller network
trained from the start for as many epochs, are trained here. Intervals are of the mean difference
over seeds, from a paired bootstrap that draws test objects within classes, the same for all seeds.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from compress_data import RECIPE, Variables, reference, variables
from numpy.typing import NDArray
from record import record

from astroprep.compress.chain import CompressedNetwork, store_network, store_tensors
from astroprep.model.evaluate import evaluate
from astroprep.model.firenet import fold_batchnorm
from astroprep.model.train import predict_logits
from astroprep.pipeline.recipe import read_recipe

N_RESAMPLES = 1000
SCORES = ("accuracy", "balanced_accuracy", "macro_f1")


def dense(held: Variables, cache: Path, preset: str, half: bool, seed: int) -> CompressedNetwork:
    """A smaller preset, no weight left out, in four bytes a weight or two."""
    net = reference(held, cache, seed, preset=preset)
    if not half:
        return store_network(net)
    folded = fold_batchnorm(net)
    tensors = {n: t.half().float().numpy() for n, t in folded.state_dict().items()}
    return store_tensors(folded, tensors)


def outcome(held: Variables, made: CompressedNetwork) -> NDArray[np.int64]:
    """Class codes of the test objects by the decoded network."""
    codes: NDArray[np.int64] = predict_logits(
        made.net, held.test_folded, held.test_auxiliary
    ).argmax(axis=1)
    return codes


def scores(
    truth: NDArray[np.int64], said: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Balanced accuracy and macro F1 of codes."""
    table = np.bincount(truth * n_classes + said, minlength=n_classes**2).reshape(n_classes, -1)
    right, true, given = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return np.array([np.mean(right / true), np.mean(2 * right / np.maximum(true + given, 1))])


def interval(
    truth: NDArray[np.int64], first: list[NDArray[np.int64]], second: list[NDArray[np.int64]]
) -> dict[str, list[float]]:
    """Second minus first, mean over seeds: difference and 95 % limits of both scores."""
    n_classes = int(truth.max()) + 1
    members = [np.flatnonzero(truth == k) for k in range(n_classes)]
    rng = np.random.default_rng(0)

    def gap(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        pairs = zip(first, second, strict=True)
        t = truth[rows]
        gaps = [scores(t, b[rows], n_classes) - scores(t, a[rows], n_classes) for a, b in pairs]
        return np.mean(gaps, axis=0)

    drawn = np.array(
        [gap(np.concatenate([rng.choice(m, m.size) for m in members])) for _ in range(N_RESAMPLES)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    here = gap(np.arange(truth.size))
    return {
        name: [float(here[k]), float(low[k]), float(high[k])] for k, name in enumerate(SCORES[1:])
    }


def summary(
    name: str, held: Variables, networks: list[CompressedNetwork], said: list[NDArray[np.int64]]
) -> dict[str, Any]:
    """Mean, spread and every seed of one approach."""
    names = np.array(held.classes)
    measures = [evaluate(names[held.test_label], names[one], held.classes) for one in said]
    n_bytes = [len(network.data) for network in networks]
    row: dict[str, Any] = {
        "approach": name,
        "bytes": n_bytes,
        "mean_bytes": float(np.mean(n_bytes)),
    }
    for score in SCORES:
        each = [float(m[score]) for m in measures]
        row |= {score: each, f"mean_{score}": float(np.mean(each))}
        row[f"spread_{score}"] = float(np.std(each, ddof=1))
    row["recall"] = {
        k: [float(m["per_class"][k]["recall"]) for m in measures] for k in held.classes
    }
    return row


def main() -> None:
    """Train the rivals, measure all, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="of compress_passes.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--train-only", action="store_true", help="the dense rivals, no more")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    made = {
        name: [dense(held, given.cache, preset, half, seed) for seed in given.seeds]
        for name, preset, half in (
            ("nano, float32", "nano", False),
            ("micro, float16", "micro", True),
        )
    }
    if given.train_only:
        return
    recipe = read_recipe(RECIPE)
    tag = f"{recipe.compression['sparsity']}-{recipe.compression['n_values']}-None"
    for name in ("reference", "pruned + shared"):
        kept = [given.cache / f"{name.replace(' ', '_')}-{tag}-{s}.pkl" for s in given.seeds]
        made[name] = [pickle.loads(path.read_bytes()) for path in kept]
    said = {name: [outcome(held, one) for one in networks] for name, networks in made.items()}
    rows = []
    for name in ("reference", "pruned + shared", "nano, float32", "micro, float16"):
        row = summary(name, held, made[name], said[name])
        row["ratio"] = float(np.mean([
            len(a.data) / len(b.data)
            for a, b in zip(made["reference"], made[name], strict=True)
        ]))  # fmt: skip
        row["minus_reference"] = interval(held.test_label, said["reference"], said[name])
        row["compressed_minus_this"] = interval(
            held.test_label, said[name], said["pruned + shared"]
        )
        rows.append(row)
        print(
            f"{name:16} {row['mean_bytes']:9,.0f} bytes {row['ratio']:5.2f} times, balanced "
            f"{row['mean_balanced_accuracy']:.4f} +- {row['spread_balanced_accuracy']:.4f}, F1 "
            f"{row['mean_macro_f1']:.4f} +- {row['spread_macro_f1']:.4f}; "
            f"minus reference {row['minus_reference']}"
        )
    print(
        record(
            "compress_seeds",
            rows,
            given.out,
            data="Catalina South variables (Drake et al. 2017), split of Hosenie et al. 2020",
            peer="the same network as float32, and smaller dense networks of about equal bytes",
            seeds=given.seeds,
            epochs=recipe.training["max_epochs"],
            sparsity=recipe.compression["sparsity"],
        )
    )


if __name__ == "__main__":
    main()

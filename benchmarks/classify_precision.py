"""What each technique of mixed-precision training is worth, on a processor.

    python benchmarks/classify_precision.py --data DATA/ --cache FOLDER/ [--stars N] [--epochs N]

A `nano` network on training stars of Catalina South (inputs as in `classify_crts.py`), the same
initial weights and order, in float32, bfloat16 and float16 with all three techniques of
Micikevicius et al. 2017 (arXiv:1710.03740), and in float16 with one of them left out. Losses are
those of validation stars; the test stars are not looked at. Peer: float32. The accumulation without
float32 is emulated, so its seconds say nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from classify_crts import FIT, Stars
from record import record

from astroprep.model.firenet import build_network
from astroprep.model.precision import MixedPrecision
from astroprep.model.train import TrainingArrays, fit_network

WAYS = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "float16, weights in float16": {"precision": "float16", "master_weights": False},
    "float16, loss not scaled": {"precision": "float16", "loss_scale": 1.0},
    "float16, sums in float16": {"precision": "float16", "float32_accumulation": False},
}


def lost_gradients(net: torch.nn.Module, arrays: TrainingArrays, scale: float) -> float:
    """Share of the numbers in activation gradients that are 0 in float16 and not in float32."""
    lost = total = 0
    seen: dict[str, list[torch.Tensor]] = {"float32": [], "float16": []}
    x, a = torch.tensor(arrays.folded[:64]), torch.tensor(arrays.auxiliary[:64])
    for given in (x, a):
        given.requires_grad_()  # so that the hooks see every layer
    label = torch.tensor(arrays.label[:64])
    for name, kept in seen.items():
        precision = MixedPrecision(replace(FIT, precision=name))
        hooks = [
            unit.register_full_backward_hook(lambda _, __, out, kept=kept: kept.append(out[0]))
            for unit in net.modules()
            if isinstance(unit, torch.nn.Conv1d | torch.nn.Linear)
        ]
        with precision.products():
            logits = net(x, a)
        # the mean over a batch of 16,384, as large trainings have it
        loss = torch.nn.functional.cross_entropy(logits.float(), label) * 64 / 16384
        (loss * scale).backward()
        for hook in hooks:
            hook.remove()
    for full, half in zip(seen["float32"], seen["float16"], strict=True):
        lost += int(((half == 0) & (full != 0)).sum())
        total += int((full != 0).sum())
    net.zero_grad()
    return lost / total


def main() -> None:
    """Train every way, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is made once")
    parser.add_argument("--stars", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stars = Stars(given.data, given.cache)
    whole = stars.arrays()
    rng = np.random.default_rng(1)
    rows_ = rng.permutation(len(whole.label))[: given.stars]
    arrays = TrainingArrays(
        *(getattr(whole, k)[rows_] for k in ("folded", "auxiliary", "label", "is_validation"))
    )
    rows = []
    for name, changes in WAYS.items():
        net = build_network(stars.spec("nano"), 1)
        settings = replace(FIT, max_epochs=given.epochs, batch_size=64, averaging=0.9, **changes)
        begin = time.perf_counter()
        history = fit_network(net, arrays, replace(settings, min_class_objects=1))
        seconds = time.perf_counter() - begin
        last = history.epochs[-1]
        row = {"way": name, "seconds": seconds}
        row |= {k: last[k] for k in ("loss", "validation_loss", "validation_balanced_accuracy")}
        rows.append(row)
        print(
            f"{name:28} loss {row['loss']:.4f}  validation loss {row['validation_loss']:.4f}  "
            f"balanced accuracy {row['validation_balanced_accuracy']:.4f}  {seconds:.0f} s",
            flush=True,
        )
    net = build_network(stars.spec("nano"), 1)
    shares = {scale: lost_gradients(net, arrays, scale) for scale in (1.0, 2.0**16)}
    for scale, share in shares.items():
        print(f"loss scaled by {scale:g}: {100 * share:.2f} % of activation gradients vanish")
    path = record(
        "classify_precision",
        rows,
        given.out,
        data="Catalina South variables (Drake et al. 2017), stars out of train",
        peer="float32",
        stars=given.stars,
        epochs=given.epochs,
        vanished={str(scale): share for scale, share in shares.items()},
    )
    print(path)


if __name__ == "__main__":
    main()

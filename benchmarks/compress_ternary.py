"""The product of packed ternary weights against dense float32 ones.

    python benchmarks/compress_ternary.py

Layers of the `reference` network, one curve, 16 or 256 at a time: 64 columns a curve where there
are phases, one in the hidden layer. The peer is numpy's matrix product (BLAS) of the same weights
in float32, one thread; the two take turns. Seconds are of the processor; they and the ratio are
medians of the turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from record import record
from threadpoolctl import threadpool_limits

from astroprep.compress.packed import pack_ternary, ternary_product

LAYERS = {"squeeze": (36, 96, 64), "expand by 3 taps": (64, 108, 64), "hidden": (96, 320, 1)}
BATCHES = (1, 16, 256)
COMPARED_SECONDS = 0.8


def alternated(ours: Callable[[], Any], peer: Callable[[], Any]) -> tuple[float, float, float]:
    """Processor time of both, s, and of the peer over ours; medians."""
    spent: list[tuple[float, float]] = []
    ours(), peer()
    end = time.process_time() + COMPARED_SECONDS
    while time.process_time() < end:
        begin = time.process_time()
        ours()
        middle = time.process_time()
        peer()
        spent.append((middle - begin, time.process_time() - middle))
    ours_spent, peer_spent = np.array(spent).T
    parts = (ours_spent, peer_spent, peer_spent / np.maximum(ours_spent, 1e-9))
    first, second, ratio = (float(np.median(part)) for part in parts)
    return first, second, ratio


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    rows = []
    for name, (n_out, n_in, per_curve) in LAYERS.items():
        for zeros in (0.5, 0.9):
            for batch in BATCHES:
                columns = batch * per_curve
                signs = rng.choice(
                    [-1, 0, 1], (n_out, n_in), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2]
                )
                x = rng.normal(size=(n_in, columns)).astype(np.float32)
                weight = np.where(signs > 0, 0.1, np.where(signs < 0, -0.2, 0)).astype(np.float32)
                packed = pack_ternary(signs)
                product = partial(ternary_product, packed, x, 0.1, 0.2)
                np.testing.assert_allclose(product(), weight @ x, atol=1e-4)
                with threadpool_limits(1):
                    ours, dense, ratio = alternated(product, partial(np.matmul, weight, x))
                row = {
                    "layer": name,
                    "zeros": zeros,
                    "batch": batch,
                    "columns": columns,
                    "bytes": packed.nbytes,
                    "dense_bytes": weight.nbytes,
                    "microseconds": 1e6 * ours,
                    "dense_microseconds": 1e6 * dense,
                    "speed_ratio": ratio,
                }
                rows.append(row)
                print(
                    f"{name:17} {zeros:.0%} zeros, {columns:5} columns: {1e6 * ours:7.1f} us, "
                    f"dense {1e6 * dense:7.1f} us, ratio {ratio:.2f}; "
                    f"{packed.nbytes:,} bytes for {weight.nbytes:,}"
                )
    print(record("compress_ternary", rows, given.out, peer="numpy matrix product, one thread"))


if __name__ == "__main__":
    main()

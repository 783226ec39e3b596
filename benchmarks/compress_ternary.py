"""The product of packed ternary weights against dense float32 ones.

    python benchmarks/compress_ternary.py

Layers of the `reference` network over 64 phases of 16 curves (1,024 columns) and of one curve;
the peer is numpy's matrix product (BLAS), one thread. Seconds are of the processor, the least of
many.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import record
from threadpoolctl import threadpool_limits

from astroprep.compress.packed import pack_ternary, ternary_product

LAYERS = {"squeeze": (36, 96), "expand by 3 taps": (64, 108), "hidden": (96, 320)}


def least(call: Callable[[], Any], seconds: float = 0.4) -> float:
    """Least processor time of a call, s."""
    call()
    best, end = np.inf, time.process_time() + seconds
    while time.process_time() < end:
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    rows = []
    for name, (n_out, n_in) in LAYERS.items():
        for zeros in (0.5, 0.9):
            for columns in (64, 1024):
                signs = rng.choice(
                    [-1, 0, 1], (n_out, n_in), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2]
                )
                x = rng.normal(size=(n_in, columns)).astype(np.float32)
                weight = np.where(signs > 0, 0.1, np.where(signs < 0, -0.2, 0)).astype(np.float32)
                packed = pack_ternary(signs)
                with threadpool_limits(1):
                    ours = least(lambda p=packed, x=x: ternary_product(p, x, 0.1, 0.2))
                    dense = least(lambda w=weight, x=x: w @ x)
                row = {
                    "layer": name,
                    "zeros": zeros,
                    "columns": columns,
                    "bytes": packed.nbytes,
                    "dense_bytes": weight.nbytes,
                    "microseconds": 1e6 * ours,
                    "dense_microseconds": 1e6 * dense,
                    "speed_ratio": dense / ours,
                }
                rows.append(row)
                print(
                    f"{name:17} {zeros:.0%} zeros, {columns:5} columns: {1e6 * ours:7.1f} us, "
                    f"dense {1e6 * dense:7.1f} us, ratio {dense / ours:.2f}; "
                    f"{packed.nbytes:,} bytes for {weight.nbytes:,}"
                )
    print(record("compress_ternary", rows, given.out, peer="numpy matrix product, one thread"))


if __name__ == "__main__":
    main()

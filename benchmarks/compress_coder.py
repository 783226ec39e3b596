"""Bytes of a pruned, shared network: our coder against the paper's scheme and general ones.

    python benchmarks/compress_coder.py --data DATA/ --cache FOLDER/ --epochs 6

The tensors are those of the reference network of `deep_compression.toml`, pruned by magnitude
(without retraining: the coder does not mind) at several sparsities and shared. All schemes code
the same codes of the same weights; codebooks and biases, alike for all, are left out, except in
the column of the whole file. Deep Compression (Han et al. 2016): relative indices of 5 (dense) or
8 (convolution) bits with padding zeros and values, each Huffman-coded per layer, tables not
counted in its favour. constriction: the best of its adaptive models written out, order-0
counts a layer, through its range coder, with the significance apart from the values. zstd: level
19 on the codes as bytes, all layers together.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import zstandard
from compress_data import reference, variables
from numpy.typing import NDArray
from record import record

from astroprep.compress.context import read_tensors, write_tensors
from astroprep.compress.encode import encode_weights
from astroprep.compress.entropy import code_lengths, encoded_bits
from astroprep.compress.prune import apply_masks, magnitude_masks, prunable_layers
from astroprep.compress.share import share_weights, stored_form
from astroprep.compress.tensors import SharedTensor, Tensor
from astroprep.model.firenet import FireNet, fold_batchnorm


def tensors_of(net: FireNet, sparsity: float, n_values: int) -> dict[str, Tensor]:
    """The network pruned and shared, as stored."""
    folded = fold_batchnorm(net)
    masks = magnitude_masks(folded, prunable_layers(folded), sparsity, scope="balanced")
    apply_masks(folded, masks)
    share_weights(folded, n_values)
    return stored_form(folded)


def paper(codes: NDArray[np.uint8], longest: int) -> float:
    """Bits of one layer as in Deep Compression: Huffman on gaps and values, no tables."""
    gaps = np.diff(np.flatnonzero(codes), prepend=-1) - 1
    fill = gaps // (longest + 1)
    symbols = np.concatenate([np.full(int(fill.sum()), longest), gaps % (longest + 1)])
    values = np.concatenate([np.zeros(int(fill.sum()), np.int64), codes[codes > 0]])
    bits = 0
    for stream in (symbols, values):
        if stream.size:
            bits += encoded_bits(stream, code_lengths(np.bincount(stream)))
    return bits


def adaptive(layers: list[NDArray[np.uint8]]) -> int:
    """Bytes by constriction's range coder with counts that adapt as both sides go along."""
    encoder = constriction.stream.queue.RangeEncoder()
    for codes in layers:
        seen = np.full(2, 0.5)
        n_values = int(codes.max(initial=0))
        values = np.full(max(n_values, 1), 0.5)
        for code in codes.tolist():
            used = int(code > 0)
            p = float(np.clip(seen[1] / seen.sum(), 1e-4, 1 - 1e-4))
            encoder.encode(used, constriction.stream.model.Bernoulli(p, perfect=False))
            seen[used] += 1
            if used and n_values > 1:
                model = constriction.stream.model.Categorical(values / values.sum(), perfect=False)
                encoder.encode(code - 1, model)
                values[code - 1] += 1
    return int(4 * encoder.get_compressed().size)


def compared(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Bytes of every scheme on the shared tensors, and of whole files."""
    shared = {n: t for n, t in tensors.items() if isinstance(t, SharedTensor)}
    flat = [t.codes.ravel() for t in shared.values()]
    _, spent = write_tensors(shared)
    ours = sum(payload for _, payload in spent.values()) / 8
    paper_bits = sum(
        paper(t.codes.ravel(), 31 if t.codes.ndim == 2 else 255) for t in shared.values()
    )
    data, _ = write_tensors(tensors)
    shapes = {name: t.shape for name, t in tensors.items()}
    n_weights = sum(int(np.prod(shape)) for shape in shapes.values())
    spent_seconds = []
    for _ in range(15):
        begin = time.process_time()
        read_tensors(data, shapes, "weights.bin")
        spent_seconds.append(time.process_time() - begin)
    return {
        "weights": n_weights,
        "ours": ours,
        "deep_compression": paper_bits / 8,
        "constriction_adaptive": adaptive(flat),
        "zstd_19": len(zstandard.compress(b"".join(f.tobytes() for f in flat), 19)),
        "file_ours": len(encode_weights(tensors, "context")),
        "file_huffman": len(encode_weights(tensors, "huffman")),
        "million_weights_decoded_a_second": n_weights / min(spent_seconds) / 1e6,
    }


def main() -> None:
    """Code at several sparsities, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crts_south.parquet")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--epochs", type=int, help="of the reference; the recipe's by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    held = variables(given.data, given.cache)
    net = reference(held, given.cache, given.seed, given.epochs)
    rows = []
    for sparsity in (0.0, 0.8, 0.9, 0.95, 0.97):
        row = {"sparsity": sparsity, **compared(tensors_of(net, sparsity, 16))}
        rows.append(row)
        others = ", ".join(
            f"{name} {row[name]:,.0f} ({row[name] / row['ours'] - 1:+.1%})"
            for name in ("deep_compression", "constriction_adaptive", "zstd_19")
        )
        print(
            f"{sparsity:.0%} zeros: ours {row['ours']:,.0f} bytes; {others}; file "
            f"{row['file_ours']:,} (Huffman {row['file_huffman']:,}), "
            f"{row['million_weights_decoded_a_second']:.1f} M weights/s",
            flush=True,
        )
    path = record(
        "compress_coder",
        rows,
        given.out,
        data="reference network on Catalina South, 16 values a layer",
        peer="Deep Compression's scheme, constriction 0.5, zstandard 0.25",
    )
    print(path)


if __name__ == "__main__":
    main()

"""What the benchmarks of compression claim, for the measured table of the README."""

from __future__ import annotations

from typing import Any


def coder(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_coder.py`."""
    return [
        (
            f"weights of the reference network, {row['sparsity']:.0%} zeros, 16 values, coded",
            f"{row['ours']:,.0f} bytes; Deep Compression's scheme {row['deep_compression']:,.0f}, "
            f"constriction, adaptive {row['constriction_adaptive']:,}, zstd {row['zstd_19']:,}; "
            f"{row['million_weights_decoded_a_second']:.0f} million weights decoded a second",
        )
        for row in result["rows"]
        if row["sparsity"] in (0.9, 0.95)
    ]


def passes(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_passes.py`, with the seeds and epochs that stand behind them."""
    about = f"{result['epochs']} epochs, {len(result['seeds'])} seed"
    return [
        (
            f"Catalina South, catalogue periods, {row['approach']} ({about})",
            f"{row['original_bytes']:,} -> {row['compressed_bytes']:,} bytes ({row['ratio']:.1f} "
            f"times), balanced {row['balanced_accuracy']:.4f}, macro F1 {row['macro_f1']:.4f}",
        )
        for row in result["rows"]
    ]

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
    about = f"{result['epochs']} epochs, seed {result['seeds'][0]}"
    return [
        (
            f"Catalina South, catalogue periods, {row['approach']} ({about})",
            f"{row['original_bytes']:,} -> {row['compressed_bytes']:,} bytes ({row['ratio']:.1f} "
            f"times), balanced {row['balanced_accuracy']:.4f}, macro F1 {row['macro_f1']:.4f}",
        )
        for row in result["rows"]
    ]


def runtimes(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `inference_runtimes.py`: light curves a second on one core, weights random."""
    speed = {(r["network"], r["engine"]): r for r in result["rows"]}
    claims = []
    for row in result["ratios"]:
        kernel = speed[row["network"], "integer kernel"][f"per_second_{row['batch']}"]
        claims.append(
            (
                f"integer kernel, {row['network']} network, {row['batch']} at a time, one core",
                f"{kernel:,.0f} light curves a second: "
                f"{row['over_ort_int8']:.1f} times ONNX Runtime int8, "
                f"{row['over_ort_fp32']:.1f} times its fp32, {row['over_torch']:.0f} times torch",
            )
        )
    return claims


CLAIMS = {
    "compress_coder": coder,
    "compress_passes": passes,
    "compress_passes_seed_2": passes,
    "runtime": runtimes,
}

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
            f"Catalina South, catalogue periods, {row['approach']}, {row['sparsity']:.1%} zeros "
            f"({about})",
            f"{row['original_bytes']:,} -> {row['compressed_bytes']:,} bytes ({row['ratio']:.1f} "
            f"times), balanced {row['balanced_accuracy']:.4f}, macro F1 {row['macro_f1']:.4f}",
        )
        for row in result["rows"]
    ]


def seeds(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_seeds.py`: means over seeds, with the spread."""
    about = f"{len(result['seeds'])} seeds, {result['epochs']} epochs"
    return [
        (
            f"Catalina South, {row['approach']} ({about})",
            f"{row['mean_bytes']:,.0f} bytes ({row['ratio']:.1f} times smaller), balanced "
            f"{row['mean_balanced_accuracy']:.4f} ± {row['spread_balanced_accuracy']:.4f}, "
            f"macro F1 {row['mean_macro_f1']:.4f} ± {row['spread_macro_f1']:.4f}; against float32 "
            + ", ".join(
                f"{words} {100 * gap[0]:+.1f} [{100 * gap[1]:+.1f}, {100 * gap[2]:+.1f}] points"
                for words, gap in zip(
                    ("balanced", "F1"), row["minus_reference"].values(), strict=True
                )
            ),
        )
        for row in result["rows"]
    ]


def winograd(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `inference_winograd.py`: the fastest tile against the direct product."""
    return [
        (
            f"convolution in floats, {row['layer']}, {row['n_in']} to {row['n_out']} channels",
            f"F(2,3) takes {row['over_direct']['F(2,3)'][1]:.1f} times as long as the direct "
            f"product ({row['direct']:.1f} us a curve), "
            f"F(4,3) {row['over_direct']['F(4,3)'][1]:.1f} times; Fourier wins from "
            + (f"{row['fourier_wins_from']} taps" if row["fourier_wins_from"] else "no size"),
        )
        for row in result["rows"]
        if "fourier_wins_from" in row
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
    "compress_passes_932_seed_1": passes,
    "compress_passes_932_seed_2": passes,
    "compress_seeds": seeds,
    "inference_winograd": winograd,
    "runtime": runtimes,
}

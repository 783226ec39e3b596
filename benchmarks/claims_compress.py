"""What the benchmarks of compression claim, for the measured table of the README."""

from __future__ import annotations

from statistics import mean, stdev
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


def table(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_table.py`: means over seeds, with the spread where there are several.

    Networks that lose more than five points of recall of some class, the gate of ``astroprep
    compress``, are counted. The interval of a change is one seed's (paired bootstrap of the
    objects), its ends averaged.
    """
    n_seeds = len(result["seeds"])
    about = f"{n_seeds} seed{'s' * (n_seeds > 1)}, {result['retrain']} epochs of retraining"
    claims = []
    for name in dict.fromkeys(row["approach"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["approach"] == name]

        def share(key: str, rows: list[dict[str, Any]] = rows) -> str:
            values = [100 * row[key] for row in rows]
            spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
            return f"{mean(values):.1f}{spread}"

        change = ""
        if name != "reference":
            gap, low, high = (
                round(100 * mean(row[f"balanced_accuracy_change{end}"] for row in rows), 1) + 0.0
                for end in ("", "_low", "_high")
            )  # plus 0.0: no minus zero
            change = f" ({gap:+.1f} [{low:+.1f}, {high:+.1f}])"

        size, ratio, context, huffman, joules = (
            mean(row[key] for row in rows)
            for key in ("compressed_bytes", "ratio", "context_bytes", "huffman_bytes", "joules")
        )
        spent = [row["milliseconds"] for row in rows if row["milliseconds"] is not None]
        refused = sum(bool(row["refused"]) for row in rows)
        claims.append(
            (
                f"Catalina South, {result['network']} network, {name} ({about})",
                f"{size:,.0f} bytes ({ratio:.1f} times smaller; weights by context "
                f"{context:,.0f}, by Huffman {huffman:,.0f}), accuracy {share('accuracy')}, "
                f"balanced {share('balanced_accuracy')}{change}, F1 {share('macro_f1')}, rare "
                f"classes {share('rare_recall')} %"
                + (f", {refused} of {n_seeds} over five points of a class" if refused else "")
                + f"; {1e6 * joules:.2f} µJ by the model"
                + (f", {1e3 * mean(spent):.1f} µs" if spent else ""),
            )
        )
    return claims


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
            )
            + _lost(row),
        )
        for row in result["rows"]
    ]


def _lost(row: dict[str, Any]) -> str:
    lost = row["lost_recall"]
    if lost["mean_loss"] <= 0:
        return ""
    over = sum(bool(names) for names in lost["over_gate"])
    return (
        f"; most recall lost by {lost['class']} in the mean, {100 * lost['mean_loss']:.1f} points; "
        f"a class loses over five in {over} of {len(row['bytes'])} seeds"
    )


def sweep(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_sweep.py`: balanced accuracy against sparsity."""

    def share(sparsity: float, way: str) -> str:
        values = [
            100 * row["balanced_accuracy"]
            for row in result["rows"]
            if (row["sparsity"], row["way"]) == (sparsity, way)
        ]
        return f"{mean(values):.1f} ± {stdev(values):.1f}"

    whole = share(0.0, "whole")
    return [
        (
            f"Catalina South, {result['network']} network, {sparsity:.0%} of the weights zero "
            f"({len(result['seeds'])} seeds), balanced accuracy",
            f"in one shot {share(sparsity, 'one shot')}, with new statistics of batch norms "
            f"{share(sparsity, 'recalibrated')}, retrained {share(sparsity, 'retrained')} % "
            f"(whole {whole} %)",
        )
        for sparsity in sorted({row["sparsity"] for row in result["rows"]})
        if sparsity
    ]


def share(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_share.py`: balanced accuracy and bytes of ways to share weights."""
    n_seeds, tuned = len(result["seeds"]), max(row["epochs"] for row in result["rows"])

    def told(way: str, epochs: int, key: str = "balanced_accuracy") -> float:
        rows = [r for r in result["rows"] if (r["way"], r["epochs"]) == (way, epochs)]
        return mean(row[key] for row in rows)

    def scores(ways: dict[str, str]) -> str:
        return ", ".join(
            f"{word} {100 * told(way, 0):.1f} -> {100 * told(way, tuned):.1f} %"
            for way, word in ways.items()
        )

    about = f"Catalina South, micro network, 70% zeros, weights shared ({n_seeds} seeds)"
    spent = [
        f"{bits} bits alike {100 * told(f'{bits} bits', tuned):.1f} % in "
        f"{told(f'{bits} bits', tuned, 'bytes'):,.0f} bytes, by "
        + ", by ".join(
            f"{words} {100 * told(f'rate of {bits} bits by {words}', tuned):.1f} % in "
            f"{told(f'rate of {bits} bits by {words}', tuned, 'bytes'):,.0f}"
            for words in ("distortion", "sensitivity")
        )
        for bits in (2, 3, 4)
    ]
    return [
        (
            f"{about}, k-means begun three ways, balanced accuracy as found -> trained",
            "; ".join(
                f"{n} values: "
                + scores({f"{way}, {n} values": way for way in ("linear", "density", "random")})
                for n in (4, 16)
            )
            + f" (pruned alone {100 * told('pruned alone', 0):.1f} %)",
        ),
        (
            f"{about}, 1 to 8 bits a layer, balanced accuracy as found -> trained",
            "; ".join(
                f"{bits}: {100 * told(f'{bits} bits', 0):.1f} -> "
                f"{100 * told(f'{bits} bits', tuned):.1f} %, "
                f"{told(f'{bits} bits', tuned, 'bytes'):,.0f} bytes"
                for bits in range(1, 9)
            ),
        ),
        (f"{about}, as many bits where a layer needs them, trained", "; ".join(spent)),
    ]


def ternary(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `compress_ternary.py`: what is saved, and what the product costs."""
    claims = []
    for zeros in dict.fromkeys(row["zeros"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["zeros"] == zeros]
        smaller = {row["dense_bytes"] / row["bytes"] for row in rows}
        speeds = "; ".join(
            f"{row['layer']} "
            + ", ".join(f"{r['speed_ratio']:.2f}" for r in rows if r["layer"] == row["layer"])
            for row in rows
            if row["batch"] == 1
        )
        batches = " / ".join(f"{n}" for n in dict.fromkeys(row["batch"] for row in rows))
        claims.append(
            (
                f"ternary weights at two bits, {zeros:.0%} zeros, layers of the reference network",
                f"{min(smaller):.0f} times smaller than float32; speed of the product over them "
                f"beside numpy's float32, {batches} curves at a time: {speeds}",
            )
        )
    return claims


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
    ] + _images(result)


def _images(result: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [row for row in result["rows"] if "image" in row]
    claims = []
    for name in dict.fromkeys(row["image"] for row in rows):
        same = [row for row in rows if row["image"] == name]
        first = same[0]
        times = {
            key: " / ".join(f"{row['over_direct'][key][1]:.2f}" for row in same)
            for key in first["over_direct"]
        }
        claims.append(
            (
                f"3 x 3 convolution in floats, {name}, {first['n_in']} to {first['n_out']} "
                f"channels of {first['size']} x {first['size']}, "
                f"{' / '.join(str(row['batch']) for row in same)} images at a time",
                "time over the direct product: "
                + ", ".join(f"{key} {said}" for key, said in times.items())
                + f"; multiplications {first['fewer_multiplications']['F(2x2,3x3)']:.2f} and "
                f"{first['fewer_multiplications']['F(4x4,3x3)']:.2f} times fewer; error of "
                f"F(2x2,3x3) {max(row['error']['F(2x2,3x3)'] for row in same):.0e}, bound "
                f"{min(row['bound']['F(2x2,3x3)'] for row in same):.0e}; `convolve` takes "
                f"{first['default']}",
            )
        )
    return claims


def arm(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `inference_arm.py`."""
    claims = []
    for name in dict.fromkeys(row["network"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["network"] == name]
        bits = ", ".join(
            f"{row['differ'] + row['saturating_differ']} of {row['curves']:,} on {row['machine']}"
            + " (big-endian)" * row["big_endian"]
            for row in rows
            if "machine" in row
        )
        sizes = ", ".join(
            f"{row['cortex']} {row['flash']:,} and {row['ram']:,}"
            for row in rows
            if "cortex" in row
        )
        claims.append(
            (
                f"C99 export of the {name} network on other processors, emulated; sized",
                f"curves that differ from the definition in a bit, saturated ones among them: "
                f"{bits}; bytes of flash and RAM: {sizes}",
            )
        )
    return claims


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


def cold(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `inference_cold.py`."""
    row = {row["what"]: row for row in result["rows"]}
    command, first = row["astroprep classify"], row["load bundle, first time"]
    return [
        (
            f"one object from a process that has just begun, {result['engine']}, best of "
            f"{command['runs']}",
            f"`astroprep classify` in {command['wall_s']:.2f} s of wall time (median "
            f"{command['wall_median_s']:.2f}), {command['cpu_s']:.2f} s of processor time; `import "
            f"torch` alone takes {row['import torch']['work_s']:.2f} s, `import lightkurve` "
            f"{row['import lightkurve']['work_s']:.2f}",
        ),
        (
            "a bundle opened and proved, once imported",
            f"{1e3 * first['work_s']:.0f} ms, again "
            f"{1e3 * row['load bundle, again']['work_s']:.0f} ms; an ONNX Runtime session of the "
            f"same network {1e3 * row['ONNX Runtime session']['work_s']:.0f} ms",
        ),
    ]


def flips(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `inference_flips.py`."""
    words = {
        "matrix products": "with periodograms by matrix products in place of transforms",
        "last place": "with every brightness and error moved by one unit in the last place",
    }
    return [
        (
            f"classes of {row['objects']:,} Catalina stars by the integer network, {words[name]}",
            f"{row['classes_differ']:,} differ; {row['inputs_differ']:,} stars have another input, "
            f"{row['logits_differ']:,} another integer logit",
        )
        for row in result["rows"]
        if (name := row["inputs"]) in words
    ]


CLAIMS = {
    "inference_flips": flips,
    "cold": cold,
    "compress_coder": coder,
    "compress_table_micro": table,
    "compress_table_reference": table,
    "compress_seeds": seeds,
    "compress_share": share,
    "compress_sweep": sweep,
    "compress_ternary": ternary,
    "inference_winograd": winograd,
    "runtime": runtimes,
    "arm": arm,
}

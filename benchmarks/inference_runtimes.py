"""Light curves a second of one network on one core: torch, ONNX Runtime, the integer kernel, C.

The same networks, inputs and run for all. Times are those of the process's clock, the least of
several groups of calls, call overhead included; of several processes the median, because torch's
differ by up to a factor of two with what its allocator is given. Memory is what a fresh process
holds more with the engine imported, loaded and used than before; load time runs from the imports to
the first answer, and once more in the same process.
ONNX Runtime int8 is measured on our own QDQ graph and on one that its `quantize_static` makes;
the faster counts.

    python benchmarks/inference_runtimes.py
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from record import record

ENGINES = ("torch fp32", "ORT fp32", "ORT int8", "ORT int8 static", "integer kernel", "C99")
SHAPE = {"n_channels": 6, "n_bins": 64, "n_auxiliary": 45, "n_classes": 11}
N_EQUAL = 10_000


def make_network(preset: str) -> tuple[Any, Any, Any, Any]:
    """Network of random weights, its integers, and inputs like folded curves."""
    from astroprep.compress.quantize import calibrate_ranges, quantize_network
    from astroprep.model.firenet import build_network, firenet_spec, fold_batchnorm

    net = fold_batchnorm(build_network(firenet_spec(preset, **SHAPE), 1))
    rng = np.random.default_rng(0)
    folded = rng.normal(size=(N_EQUAL, 6, 64)).astype(np.float32)
    auxiliary = rng.normal(size=(N_EQUAL, 45)).astype(np.float32)
    ranges = calibrate_ranges(net, folded[:1000], auxiliary[:1000])
    return net, quantize_network(net, ranges), folded, auxiliary


def write_all(preset: str, folder: Path) -> None:
    """Files of every engine, so that a process can load one without making it."""
    import onnxruntime.quantization as oq
    import torch

    from astroprep.compress.stored import store_network
    from astroprep.deploy.c99 import write_c99
    from astroprep.deploy.onnx import build_graph
    from astroprep.deploy.onnx_files import float_model, integer_model

    net, network, folded, auxiliary = make_network(preset)
    stored = store_network(net)
    graph = build_graph(stored.spec, stored.shapes)
    (folder / "fp32.onnx").write_bytes(float_model(graph, stored.weights))
    (folder / "int8.onnx").write_bytes(integer_model(network))
    torch.save((net.spec, net.state_dict()), folder / "net.pt")
    np.savez(folder / "inputs.npz", folded=folded[:256], auxiliary=auxiliary[:256])
    ranges = {
        k: v.tolist() if isinstance(v, np.ndarray) else v
        for k, v in network.ranges.to_dict().items()
    }
    (folder / "ranges.json").write_text(json.dumps(ranges))
    np.savez(folder / "weights.npz", **stored.weights)
    (folder / "spec.json").write_text(json.dumps(net.spec))
    write_c99(network, folder, [str(k) for k in range(11)])
    build_library(folder, "-O3 -march=native")

    class Reader(oq.CalibrationDataReader):
        def __init__(self) -> None:
            self.rows = iter(range(0, 512, 64))

        def get_next(self) -> dict[str, Any] | None:
            i = next(self.rows, None)
            if i is None:
                return None
            return {"folded": folded[i : i + 64], "auxiliary": auxiliary[i : i + 64]}

    oq.quantize_static(
        str(folder / "fp32.onnx"),
        str(folder / "static.onnx"),
        Reader(),
        quant_format=oq.QuantFormat.QDQ,
        per_channel=True,
        activation_type=oq.QuantType.QUInt8,
        weight_type=oq.QuantType.QInt8,
    )


def build_library(folder: Path, options: str) -> None:
    """Compile the C export into a library."""
    source, target = folder / "astroprep.c", folder / "astroprep.so"
    words = ["gcc", "-std=c99", *options.split(), "-shared", "-fPIC", str(source), "-o"]
    subprocess.run([*words, str(target)], check=True)


def c_function(folder: Path) -> Callable[[Any, Any], Any]:
    """Integer logits of many curves by the compiled C, one call a curve."""
    function = ctypes.CDLL(str(folder / "astroprep.so")).astroprep_classify
    function.argtypes = [ctypes.c_void_p] * 3

    def call(folded: Any, auxiliary: Any) -> Any:
        out = np.empty((len(folded), 11), np.int32)
        a, b, c = folded.ctypes.data, auxiliary.ctypes.data, out.ctypes.data
        for i in range(len(folded)):
            function(a + i * 384, b + i * 45, c + i * 44)
        return out

    return call


def load(engine: str, folder: Path) -> Callable[[Any, Any], Any]:
    """Engine as a function of float inputs."""
    if engine == "torch fp32":
        import torch

        from astroprep.model.firenet import FireNet

        torch.set_num_threads(1)
        spec, state = torch.load(folder / "net.pt")
        net = FireNet(spec)
        net.load_state_dict(state)
        net.eval()

        def run(folded: Any, auxiliary: Any) -> Any:
            with torch.inference_mode():
                return net(torch.from_numpy(folded), torch.from_numpy(auxiliary)).numpy()

        return run
    if engine.startswith("ORT"):
        import onnxruntime

        name = {"fp32": "fp32", "int8": "int8", "static": "static"}[engine.split()[-1]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        return lambda f, a: session.run(None, {"folded": f, "auxiliary": a})[0]
    from astroprep.compress.integer import integer_network
    from astroprep.compress.ranges import ActivationRanges

    content = json.loads((folder / "ranges.json").read_text())
    ranges = {k: v if k == "high" else np.array(v) for k, v in content.items()}
    spec = json.loads((folder / "spec.json").read_text())
    with np.load(folder / "weights.npz") as weights:
        network = integer_network(spec, dict(weights), ActivationRanges(**ranges))
    if engine == "C99":
        call = c_function(folder)
        return lambda f, a: call(*network.quantize(f, a))
    from astroprep.deploy.kernel import IntegerKernel

    return IntegerKernel(network).logits


def seconds(call: Callable[[], object]) -> float:
    """Least time of a call over groups of calls."""
    call()
    n, least = 1, np.inf
    while True:
        start = time.process_time()
        for _ in range(n):
            call()
        spent = time.process_time() - start
        if spent > 0.05:
            break
        n *= 2
    for _ in range(7):
        start = time.process_time()
        for _ in range(n):
            call()
        least = min(least, (time.process_time() - start) / n)
    return float(least)


def resident() -> float:
    """Memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def child(engine: str, folder: Path) -> None:
    """One engine in a process of its own; prints JSON."""
    with np.load(folder / "inputs.npz") as file:
        folded, auxiliary = file["folded"], file["auxiliary"]
    imports = {"torch fp32": "astroprep.model.firenet", "C99": "astroprep.compress.integer"}
    default = "onnxruntime" if engine.startswith("ORT") else "astroprep.deploy.kernel"
    before = resident()
    __import__(imports.get(engine, default))
    start = time.process_time()
    run = load(engine, folder)
    run(folded[:1], auxiliary[:1])
    load_ms = 1e3 * (time.process_time() - start)
    run(folded, auxiliary)
    memory = resident() - before
    rates = {
        f"per_second_{n}": n / seconds(lambda n=n: run(folded[:n], auxiliary[:n])) for n in (1, 256)
    }
    warm = 1e3 * seconds(lambda: load(engine, folder)(folded[:1], auxiliary[:1]))
    print(json.dumps({"reload_ms": warm, "load_ms": load_ms, "memory_mib": memory, **rates}))


def flash_and_ram(folder: Path, processor: str) -> dict[str, int] | None:
    """Bytes of the C export on a Cortex: code and constants, arena and input."""
    target = folder / "astroprep.o"
    compiler = ["arm-none-eabi-gcc", f"-mcpu={processor}", "-mthumb", "-Os", "-std=c99", "-c"]
    try:
        subprocess.run([*compiler, str(folder / "astroprep.c"), "-o", str(target)], check=True)
    except FileNotFoundError:
        return None
    words = ["arm-none-eabi-size", str(target)]
    sizes = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[1]
    text, data, bss = (int(word) for word in sizes.split()[:3])
    return {"flash": text + data, "ram": data + bss, "input": 6 * 64 + 45 + 44}


def equal_bits(preset: str, folder: Path) -> dict[str, int]:
    """Curves on which kernel, C and definition disagree in any bit, of `N_EQUAL`."""
    from astroprep.deploy.kernel import IntegerKernel

    _, network, folded, auxiliary = make_network(preset)
    levels = network.quantize(folded, auxiliary)
    truth = network.evaluate(*levels)
    kernel = IntegerKernel(network).logits(folded, auxiliary)
    c = c_function(folder)(*levels)
    return {
        "curves": len(truth),
        "kernel_differs": int((kernel != truth).any(axis=1).sum()),
        "c99_differs": int((c != truth).any(axis=1).sum()),
    }


def measure(preset: str, runs: int) -> list[dict[str, Any]]:
    """Rows of one network: medians over processes, which take turns with those of other engines."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(preset, folder)
        said: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
        for engine in ENGINES * runs:
            words = [sys.executable, __file__, "--child", engine, "--folder", name]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            said[engine].append(json.loads(done.stdout.splitlines()[-1]))
        for engine, found in said.items():
            row = {key: median(one[key] for one in found) for key in found[0]}
            rates = [one["per_second_256"] for one in found]
            ends = {"least_256": min(rates), "most_256": max(rates)}
            rows.append({"network": preset, "engine": engine, "runs": runs, **row, **ends})
            print(
                f"{preset:10} {engine:16} batch 1 {row['per_second_1']:9,.0f}/s, batch 256 "
                f"{row['per_second_256']:11,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f}), load "
                f"{row['load_ms']:6.1f} ms, again {row['reload_ms']:.1f}, "
                f"{row['memory_mib']:6.1f} MiB",
                flush=True,
            )
        equal = equal_bits(preset, folder)
        sizes = {p: flash_and_ram(folder, p) for p in ("cortex-m4", "cortex-m7")}
        rows.append({"network": preset, "engine": "proof", **equal, "sizes": sizes})
        print(preset, equal, sizes, flush=True)
    return rows


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our fastest engine against the others, network by network."""
    out = []
    for preset in sorted({row["network"] for row in rows}):
        for batch in (1, 256):
            rate = {
                r["engine"]: r[f"per_second_{batch}"]
                for r in rows
                if r["network"] == preset and "load_ms" in r
            }
            best = max(rate["integer kernel"], rate["C99"])
            int8 = max(rate["ORT int8"], rate["ORT int8 static"])
            row = {
                "network": preset,
                "batch": batch,
                "over_ort_int8": best / int8,
                "over_ort_fp32": best / rate["ORT fp32"],
                "over_torch": best / rate["torch fp32"],
            }
            out.append(row)
            print({k: v if isinstance(v, str | int) else round(v, 1) for k, v in row.items()})
    return out


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", default=["nano", "micro", "small", "reference"])
    parser.add_argument("--runs", type=int, default=5, help="processes of each engine")
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out")
    given = parser.parse_args()
    if given.child:
        child(given.child, given.folder)
        return
    rows = [row for preset in given.networks for row in measure(preset, given.runs)]
    record("runtime", rows, given.out, ratios=ratios(rows), shape=SHAPE, seed=0)


if __name__ == "__main__":
    main()

"""The C export on processors other than this one: equal bits, and bytes on a Cortex.

    python benchmarks/inference_arm.py

Programs for arm of 32 and 64 bits and for big-endian processors of 64 and 32 bits, run by the user
emulation of qemu on 10,000 drawn inputs (the largest network only on arm of 64 bits, on the others
1,000, for emulation is slow) and on inputs that saturate every sum; the peer is the
definition (`IntegerNetwork.evaluate`) on this machine. Compilers are the cross gcc of the
distribution where there is one, else the clang of the package `ziglang`, the warnings of the tests
being errors. What has no compiler or no emulator here is left out. Speeds of an emulator say
nothing and are not taken. Bytes are those of the object file of ``arm-none-eabi-gcc -Os``: code
and constants, arena, and what it calls from outside.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from inference_runtimes import SHAPE, flash_and_ram, make_network
from numpy.typing import NDArray
from record import record

from astroprep.compress.integer import IntegerNetwork
from astroprep.deploy.c99 import write_c99

sys.path.insert(0, str(Path(__file__).parents[1]))  # the saturating network is that of the tests
from tests.deploy.test_c99 import MAIN, WARNINGS
from tests.deploy.test_c99_machines import CORTEX, MACHINES, ends
from tests.deploy.test_kernel import saturating

N_SLOW = 1_000  # curves of the largest network on other machines than arm of 64 bits
Levels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def compiler_of(gcc: str, target: str) -> tuple[list[str], str] | None:
    """Command and what to call it."""
    if shutil.which(gcc):
        command, version = [gcc], [gcc, "-dumpfullversion"]
    elif importlib.util.find_spec("ziglang"):
        zig = [sys.executable, "-m", "ziglang"]
        command, version = [*zig, "cc", "-target", target], [*zig, "version"]
    else:
        return None
    said = subprocess.run(version, capture_output=True, text=True, check=True).stdout.strip()
    return command, f"{gcc} {said}" if command == [gcc] else f"ziglang {said}"


def built(network: IntegerNetwork, folder: Path, compiler: list[str]) -> Path:
    """Static program that answers levels by logits."""
    write_c99(network, folder, [str(k) for k in range(SHAPE["n_classes"])])
    (folder / "main.c").write_text(MAIN)
    sources = [str(folder / name) for name in ("astroprep.c", "main.c")]
    options = ["-static", "-O2", *WARNINGS]
    subprocess.run([*compiler, *options, *sources, "-o", str(folder / "program")], check=True)
    return folder / "program"


def differing(program: Path, qemu: str, order: str, levels: Levels, truth: NDArray[Any]) -> int:
    """Curves of which a logit or the best class is another than by the definition."""
    data = b"".join(a.tobytes() + b.tobytes() for a, b in zip(*levels, strict=True))
    done = subprocess.run([qemu, str(program)], input=data, capture_output=True, check=True)
    out = np.frombuffer(done.stdout, f"{order}i4").reshape(len(truth), -1)
    expected = np.concatenate([truth, truth.argmax(axis=1)[:, None]], axis=1)
    return int((out != expected).any(axis=1).sum())


def compared(preset: str, folder: Path) -> list[dict[str, Any]]:
    """A row for every machine that can be had."""
    _, network, folded, auxiliary = make_network(preset)
    levels = network.quantize(folded, auxiliary)
    full, extremes = saturating(network), ends(levels)
    truths = network.evaluate(*levels), full.evaluate(*extremes)
    rows = []
    for machine, (gcc, target, qemu, order) in MACHINES.items():
        found = compiler_of(gcc, target)
        if found is None or not shutil.which(qemu):
            print(f"{preset:10} {machine:10} left out: no compiler or no {qemu}", flush=True)
            continue
        row: dict[str, Any] = {"network": preset, "machine": machine, "compiler": found[1]}
        n = N_SLOW if preset == "reference" and machine != "aarch64" else len(levels[0])
        row |= {"big_endian": order == ">", "curves": n}
        program = built(network, folder, found[0])
        some = (levels[0][:n], levels[1][:n])
        row["differ"] = differing(program, qemu, order, some, truths[0][:n])
        program = built(full, folder, found[0])
        row["saturating"] = len(extremes[0])
        row["saturating_differ"] = differing(program, qemu, order, extremes, truths[1])
        rows.append(row)
        print(row, flush=True)
    return rows


def cortex(preset: str, folder: Path) -> list[dict[str, Any]]:
    """A row for every Cortex."""
    write_c99(make_network(preset)[1], folder, [str(k) for k in range(SHAPE["n_classes"])])
    rows = []
    for processor in CORTEX:
        sizes = flash_and_ram(folder, processor)
        if sizes is None:
            return []
        words = ["arm-none-eabi-nm", "-u", str(folder / "astroprep.o")]
        outside = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        row = {"network": preset, "cortex": processor, **sizes, "calls": outside[1::2]}
        rows.append(row)
        print(row, flush=True)
    return rows


def main() -> None:
    """Compare, size, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["nano", "micro", "reference"])
    parser.add_argument("--out", help="JSON file; benchmarks/results/ by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            row
            for preset in given.networks
            for row in (*cortex(preset, folder), *compared(preset, folder))
        ]
    peer = "the definition of the integer network, in numpy"
    print(record("arm", rows, given.out, peer=peer, shape=SHAPE, seed=0))


if __name__ == "__main__":
    main()

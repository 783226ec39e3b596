"""The C export on other machines: the same bits on arm and big-endian processors, and its size."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astroprep.deploy.c99 import write_c99
from tests.deploy.test_c99 import WARNINGS, run_c
from tests.deploy.test_kernel import saturating

CORTEX = ("cortex-m0plus", "cortex-m4", "cortex-m7")


def cross_compiler(gcc: str, target: str) -> list[str]:
    """The distribution's gcc, or clang with its C library out of the wheel `ziglang`."""
    if shutil.which(gcc):
        return [gcc]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", target]
    pytest.skip(f"needs {gcc}, or the package ziglang")


def assert_same_bits(
    network: Any, levels: Any, folder: Path, gcc: str, target: str, qemu: str, order: str
) -> None:
    if not shutil.which(qemu):
        pytest.skip(f"needs {qemu}")
    compiler = [*cross_compiler(gcc, target), "-static", "-O2"]
    out = run_c(network, levels, folder, compiler, (qemu,), order)
    expected = network.evaluate(*levels)
    np.testing.assert_array_equal(out[:, :-1], expected)
    np.testing.assert_array_equal(out[:, -1], expected.argmax(axis=1))


def ends(levels: Any) -> Any:
    """Inputs that reach the ends of every sum of a `saturating` network."""
    return tuple(
        np.repeat(np.array([0, 255, 1, 254], np.uint8), a[0].size).reshape(4, *a.shape[1:])
        for a in levels
    )


MACHINES = {
    "arm": ("arm-linux-gnueabihf-gcc", "arm-linux-musleabihf", "qemu-arm", "<"),
    "aarch64": ("aarch64-linux-gnu-gcc", "aarch64-linux-musl", "qemu-aarch64", "<"),
    "powerpc64": ("powerpc64-linux-gnu-gcc", "powerpc64-linux-musl", "qemu-ppc64", ">"),
    "mips": ("mips-linux-gnu-gcc", "mips-linux-musleabi", "qemu-mips", ">"),
}


@pytest.mark.parametrize(
    ("machine", "preset"),
    [
        ("arm", "micro"),
        *(("aarch64", preset) for preset in ("nano", "micro", "reference")),
        *(pytest.param(m, "micro", marks=pytest.mark.slow) for m in ("powerpc64", "mips")),
    ],
)
def test_same_bits_on(make_integer: Any, tmp_path: Path, machine: str, preset: str) -> None:
    """Drawn inputs, and inputs that saturate: arm of 32 and 64 bits, big-endian of 64 and 32."""
    network, _, levels = make_integer(preset, 7)
    assert_same_bits(network, levels, tmp_path, *MACHINES[machine])
    assert_same_bits(saturating(network), ends(levels), tmp_path, *MACHINES[machine])


@pytest.mark.parametrize("processor", CORTEX)
@pytest.mark.parametrize(("preset", "flash", "ram"), [("nano", 12, 6), ("micro", 24, 12)])
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_fits_a_cortex(
    make_integer: Any, tmp_path: Path, preset: str, flash: int, ram: int, processor: str
) -> None:
    """Object code, constants and arena, and the input, which the caller holds; no library."""
    network = make_integer(preset, 7)[0]
    write_c99(network, tmp_path, ["a", "b", "c"])
    source, target = tmp_path / "astroprep.c", tmp_path / "astroprep.o"
    options = [f"-mcpu={processor}", "-mthumb", "-Os", "-c", *WARNINGS]
    subprocess.run(["arm-none-eabi-gcc", *options, str(source), "-o", str(target)], check=True)

    text, data, bss = (int(word) for word in _said("size", target).split("\n")[1].split()[:3])
    assert text + data < flash * 1024
    assert data + bss + 4 * 32 * 2 + 512 < ram * 1024
    assert not _said("nm", target, "-u").strip()  # a Cortex-M0 would divide by a call


def _said(tool: str, *words: str | Path) -> str:
    command = [f"arm-none-eabi-{tool}", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

"""The integer kernel on 64-bit arm: its code for processors without AVX-512, emulated."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from astroprep.deploy import dense, levels, tile
from astroprep.deploy.emit import I8, I32, I64
from astroprep.deploy.kernel import IntegerKernel
from astroprep.errors import ConfigError
from tests.deploy.test_c99_machines import MACHINES, cross_compiler
from tests.deploy.test_kernel_random import at_the_ends, random_floats, random_network

DRIVER = Path(__file__).with_name("kernel_driver.c")
BYTE, INT, LONG, FLOAT = (kind.as_pointer() for kind in (I8, I32, I64, ir.FloatType()))
FUNCTIONS: dict[str, tuple[list[Any], Any]] = {
    "tile": ([BYTE, LONG, LONG, INT, INT, *[I64] * 4], lambda *a: tile._tile(False, *a)),
    "circles": ([FLOAT, FLOAT, BYTE, *[I64] * 7], lambda *a: levels._circles(False, *a)),
    "vectors": ([FLOAT, FLOAT, BYTE, *[I64] * 3], levels._vectors),
    "pool": ([BYTE, LONG, *[I64] * 5], lambda *a: dense._pool(False, *a)),
    "dense": ([BYTE, LONG, INT, INT, *[I64] * 2], lambda *a: dense._dense(False, *a)),
    "head": ([INT, I64, BYTE, LONG, INT, INT, *[I64] * 2], lambda *a: dense._head(False, *a)),
}


def machine_code(triple: str) -> bytes:
    """Object file of the functions, optimised as numba does."""
    module = ir.Module()
    module.triple = triple
    for name, (kinds, emit) in FUNCTIONS.items():
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), f"kernel_{name}")
        builder = ir.IRBuilder(function.append_basic_block())
        emit(builder, *function.args)
        builder.ret_void()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple).create_target_machine(opt=3, reloc="pic")
    parsed = llvm.parse_assembly(str(module))
    passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return bytes(target.emit_object(parsed))


@pytest.mark.slow
def test_same_bits_on_aarch64(tmp_path: Path) -> None:
    """Random networks and those at the ends of the proof, in an arena full of other bytes."""
    gcc, target, qemu, _ = MACHINES["aarch64"]
    if not shutil.which(qemu):
        pytest.skip(f"needs {qemu}")
    compiler = [*cross_compiler(gcc, target), "-static", "-O2"]
    (tmp_path / "kernel.o").write_bytes(machine_code("aarch64-linux-gnu"))
    files = [str(DRIVER), str(tmp_path / "kernel.o"), "-lm", "-o", str(tmp_path / "program")]
    subprocess.run([*compiler, *files], check=True)
    sent, expected = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        try:
            network = random_network(rng)
        except ConfigError:
            continue
        if seed % 2:
            layers = {name: at_the_ends(rng, layer) for name, layer in network.layers.items()}
            network = dataclasses.replace(network, layers=layers)
        spec, n = network.spec, int(rng.integers(1, 8))
        inner = (spec["n_channels"], spec["n_bins"]), (spec["n_auxiliary"],)
        folded, auxiliary = (random_floats(rng, (n, *shape)) for shape in inner)
        expected.append(network.evaluate(*network.quantize(folded, auxiliary)).ravel())
        kernel = IntegerKernel(network)
        p = kernel.packed
        tables = (kernel._factors, p.program, p.steps, p.weights, p.outputs, p.layout)
        for array in (folded, auxiliary, *tables, np.array([n])):
            sent += [np.int64(array.nbytes).tobytes(), array.tobytes()]

    command = [qemu, str(tmp_path / "program")]
    done = subprocess.run(command, input=b"".join(sent), capture_output=True, check=True)

    assert len(expected) > 60
    np.testing.assert_array_equal(np.frombuffer(done.stdout, "<i4"), np.concatenate(expected))

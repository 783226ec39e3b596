"""The integer kernel: bit-equal to the definition, alone or in a crowd, in threads, saturated."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest

from astroprep.compress.integer import IntegerNetwork
from astroprep.compress.quantize import calibrate_ranges, quantize_network
from astroprep.deploy import kernel, tile
from astroprep.deploy.bundle import Bundle, bundle_bytes, parse_bundle, write_bundle
from astroprep.deploy.emit import has_vnni
from astroprep.deploy.kernel import IntegerKernel, _compiled
from astroprep.deploy.runtime import Runtime
from astroprep.errors import ConfigError, DataError
from astroprep.model.firenet import build_network, firenet_spec


@pytest.mark.parametrize("n_auxiliary", [7, 0])
@pytest.mark.parametrize("preset", ["nano", "micro", "small"])
def test_equals_the_definition(make_integer: Any, preset: str, n_auxiliary: int) -> None:
    network, inputs, levels = make_integer(preset, n_auxiliary)
    expected = network.evaluate(*levels)
    kernel = IntegerKernel(network)

    np.testing.assert_array_equal(kernel.logits(*inputs), expected)
    np.testing.assert_array_equal(kernel.logits_of_levels(*levels), expected)
    alone = [kernel.logits(inputs[0][i : i + 1], inputs[1][i : i + 1])[0] for i in range(17)]
    np.testing.assert_array_equal(alone, expected[:17])
    threads = IntegerKernel(network, 2)
    twice = [np.concatenate([a, a]) for a in inputs]
    np.testing.assert_array_equal(threads.logits(*twice), np.concatenate([expected, expected]))
    assert kernel.logits(*(a[:0] for a in inputs)).shape == (0, 3)


@pytest.mark.parametrize("n_bins", [1, 2, 7, 16, 65, 100])
@pytest.mark.parametrize("fires", [[[3, 5, 3], [6, 5, 40]], [], [[1, 3, 1]]])
def test_any_shape(n_bins: int, fires: Any) -> None:
    """Circles that are no multiple of the lanes, dilations wider than the circle, odd widths."""
    network, levels = odd_network(n_bins, fires)

    np.testing.assert_array_equal(
        IntegerKernel(network).logits_of_levels(*levels), network.evaluate(*levels)
    )


def odd_network(n_bins: int, fires: Any) -> tuple[IntegerNetwork, Any]:
    """Network on a circle of any size, and its quantized inputs."""
    spec = firenet_spec("nano", n_channels=5, n_bins=n_bins, n_auxiliary=3, n_classes=6)
    net = build_network({**spec, "stem": 6, "fires": fires, "head_width": 9}, seed=2).eval()
    for unit in net.modules():  # torch pads by whole turns at most, so only ranges come from it
        if hasattr(unit, "pad") and unit.pad > n_bins:
            unit.pad = 0
    rng = np.random.default_rng(0)
    inputs = (
        rng.normal(size=(20, 5, n_bins)).astype(np.float32),
        rng.normal(size=(20, 3)).astype(np.float32),
    )
    network = quantize_network(net, _ranges(net, *inputs))
    return network, network.quantize(*inputs)


def _ranges(net: Any, folded: Any, extra: Any) -> Any:
    """Calibrated on circles that are wide enough for torch."""
    wide = np.concatenate([folded] * -(-128 // folded.shape[2]), axis=2)
    return calibrate_ranges(net, wide, extra)


def saturating(network: IntegerNetwork) -> IntegerNetwork:
    """The same shapes with sums that reach the ends of what 32 bits leave for the rounding."""
    layers = {}
    for k, (name, layer) in enumerate(network.layers.items()):
        weight = np.full_like(layer.weight, 127)
        weight[k % 2 :: 2] = -127
        one = np.ones_like(layer.multiplier)
        half = np.int64(1) << 22
        most = 2**31 - 1 - int(half) - 255 * 127 * int(layer.weight[0].size)
        bias = np.where(weight[:, 0, 0] > 0, most, -most).astype(np.int32)
        layers[name] = dataclasses.replace(
            layer, weight=weight, bias=bias, multiplier=one, shift=23 * one, bypass=0 * one
        )
    return dataclasses.replace(network, layers=layers)


def test_inputs_that_saturate_every_accumulator(make_integer: Any) -> None:
    """Sum and rounding reach 2**31 - 1 exactly, and sums minus that, and nothing wraps."""
    network, _, (folded, extra) = make_integer("micro", 7)
    full = saturating(network)
    for layer in full.layers.values():
        low, high = layer.bounds()
        assert high.max() + 2**22 == 2**31 - 1
        assert low.min() == -high.max()
    kernel = IntegerKernel(full)
    for level in (0, 1, 254, 255):
        levels = np.full_like(folded, level), np.full_like(extra, level)
        np.testing.assert_array_equal(kernel.logits_of_levels(*levels), full.evaluate(*levels))


def test_negative_sums_whose_products_would_wrap(make_integer: Any) -> None:
    """Sums near -2**31 and multipliers of hundreds: zero, whatever the low 32 bits would say."""
    network, _, (folded, extra) = make_integer("micro", 7)
    layers = {}
    for name, layer in network.layers.items():
        if name != "head":
            weight = -np.abs(layer.weight.astype(np.int16)).clip(100, 127).astype(np.int8)
            most = -(2**31) + 255 * 127 * int(weight[0].size)
            bias = np.linspace(most, most // 4, len(weight)).astype(np.int32)
            bias[::3] = 2**20  # some stay positive for small inputs
            many = np.full_like(layer.multiplier, 777)
            rest = {"multiplier": many, "shift": np.full_like(many, 22), "bypass": 0 * many}
            layers[name] = dataclasses.replace(layer, weight=weight, bias=bias, **rest)
        else:
            layers[name] = layer
    wild = dataclasses.replace(network, layers=layers)
    expected = wild.evaluate(folded, extra)

    np.testing.assert_array_equal(IntegerKernel(wild).logits_of_levels(folded, extra), expected)


@pytest.mark.slow
def test_uses_vector_instructions(make_integer: Any) -> None:
    """Four products an instruction, where the processor has it."""
    network, inputs, _ = make_integer("nano", 7)
    IntegerKernel(network).logits(*inputs)
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx512_vnni" not in flags:
        pytest.skip("no AVX-512 VNNI here")
    run = _compiled()
    if run.stats.cache_hits:
        run.recompile()
    assert run.inspect_asm(run.signatures[0]).count("vpdpbusd") >= 32


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("+avx512f,+avx512bw,+avx512vnni", True),
        ("+avx512f,+avx512vnni", False),
        ("+avx512bw,-avx512vnni", False),
        ("-avx512bw,+avx512vnni", False),
        ("+avx512vnni2,+avx512bw", False),
        ("", False),
    ],
)
def test_all_its_instructions_or_none(features: str, expected: bool) -> None:
    """One that LLVM cannot write would end the process."""
    context = SimpleNamespace(
        codegen=lambda: SimpleNamespace(_get_host_cpu_features=lambda: features)
    )
    assert has_vnni(context) is expected


def test_machine_code_knows_its_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = kernel._sources()
    assert [cell.cell_contents for cell in _compiled().py_func.__closure__] == [before]
    copy = tmp_path / "tile.py"
    copy.write_bytes(Path(str(tile.__file__)).read_bytes())
    monkeypatch.setattr(tile, "__file__", str(copy))
    assert kernel._sources() == before
    copy.write_bytes(copy.read_bytes() + b"#")
    assert kernel._sources() != before


@pytest.mark.slow
def test_machine_code_of_other_sources_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files that write the instructions change, the one with the kernel does not."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    found = []
    for digest in (1, 1, 2):
        monkeypatch.setattr(kernel, "_sources", lambda digest=digest: digest)
        found.append(bool(_compiled.__wrapped__().stats.cache_hits))
    assert found == [False, True, False]


def test_inputs_that_would_be_read_wrongly_are_refused(make_integer: Any) -> None:
    """Too short ones would be read beyond their ends, other types for what they are not."""
    network, (folded, extra), _ = make_integer("nano", 7, 5)
    run = IntegerKernel(network).logits
    for wrong in (
        folded[:, :3].copy(),
        folded[:, :, :31].copy(),
        folded[:, [0, 1, 2, 3, 3]].copy(),
    ):
        with pytest.raises(DataError, match="another shape"):
            run(wrong, extra)
    for wrong in (extra[:4], extra[:, :6].copy(), np.zeros((6, 7), np.float32)):
        with pytest.raises(DataError, match="another shape"):
            run(folded, wrong)
    big, odd = folded.astype(">f4"), np.asfortranarray(folded)
    for wrong in (folded.astype(np.float64), big, odd, np.repeat(folded, 2, axis=0)[::2]):
        with pytest.raises(TypeError, match="No matching definition"):
            run(wrong, extra)


def test_read_only_inputs_are_not_compiled_for_again(make_integer: Any) -> None:
    network, (folded, extra), levels = make_integer("nano", 7, 5)
    shut = [a.copy() for a in (folded, extra)]
    for a in shut:
        a.flags.writeable = False

    np.testing.assert_array_equal(IntegerKernel(network).logits(*shut), network.evaluate(*levels))
    assert len(_compiled().signatures) == 1


ELSEWHERE = """
import sys, json
import numpy as np
from astroprep.deploy.runtime import Runtime
runtime = Runtime(sys.argv[1])
folded = np.random.default_rng(5).normal(size=(33, 4, 32)).astype(np.float32)
auxiliary = np.random.default_rng(6).normal(size=(33, 7)).astype(np.float32)
loaded = {"torch", "onnx", "onnxruntime"} & set(sys.modules)
print(json.dumps([runtime.engine, sorted(loaded), runtime.logits(folded, auxiliary).tolist()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["haswell", "generic"])
def test_other_processors_give_the_same_bits(
    integer_bundle: Bundle, tmp_path: Path, processor: str
) -> None:
    """Machine code for processors without the instruction, run on this one."""
    path = tmp_path / "x.apz"
    write_bundle(path, integer_bundle)
    folded = np.random.default_rng(5).normal(size=(33, 4, 32)).astype(np.float32)
    auxiliary = np.random.default_rng(6).normal(size=(33, 7)).astype(np.float32)
    other = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}

    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **other, "NUMBA_CACHE_DIR": str(tmp_path)},
    )

    engine, loaded, logits = json.loads(done.stdout)
    assert (engine, loaded) == ("integer", [])
    expected = Runtime(integer_bundle).logits(folded, auxiliary)
    np.testing.assert_array_equal(np.float32(logits), expected)


def test_bundle_round_trip_and_choice_of_engine(
    integer_bundle: Bundle, bundle: Bundle, make_inputs: Any
) -> None:
    data = bundle_bytes(integer_bundle)
    back = parse_bundle(data, "x")

    assert bundle_bytes(back) == data
    assert Runtime(back).engine == "integer"
    exact, near = Runtime(back, engine="float"), Runtime(back)
    inputs = make_inputs(100)
    spread = exact.logits(*inputs).std()
    assert np.abs(exact.logits(*inputs) - near.logits(*inputs)).std() < 0.05 * spread
    np.testing.assert_allclose(near.predict_proba(*inputs).sum(axis=1), 1.0)
    assert len(data) < len(bundle_bytes(bundle)) + 2048
    with pytest.raises(ConfigError, match="no integer network"):
        Runtime(bundle, engine="integer")
    with pytest.raises(ConfigError, match="engine must be"):
        Runtime(bundle, engine="quick")  # type: ignore[arg-type]


def test_another_network_or_answer_is_refused(integer_bundle: Bundle) -> None:
    part = integer_bundle.integer
    assert part is not None
    lying = dataclasses.replace(part, logits=part.logits + np.int32(1))
    with pytest.raises(DataError, match="other golden logits"):
        Runtime(dataclasses.replace(integer_bundle, integer=lying))
    other = dataclasses.replace(part, digest="0" * 64)
    with pytest.raises(ConfigError, match="another integer network"):
        bundle_bytes(dataclasses.replace(integer_bundle, integer=other))
    few = dataclasses.replace(part, logits=part.logits[:1])
    with pytest.raises(ConfigError, match="logits have shape"):
        bundle_bytes(dataclasses.replace(integer_bundle, integer=few))
